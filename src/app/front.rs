//! The part of the service that a reload exchanges: cameras, the models that look at them, and the web.
//!
//! What goes on meanwhile is `core`; in which order both stop is `super`'s.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::task::JoinHandle;

use super::core::Core;
use super::duty::spawn;
use super::visit_book::Book;
use super::visits::CameraStates;
use super::{Settings, passwords, watch};
use crate::camera::{self, Camera, FrameReceiver, FrameSource, SourceError, newest_frames};
use crate::greeter::Counters;
use crate::pipeline::Pipeline;
use crate::shutdown::{self, Shutdown, Stopper};
use crate::vision::Vision;
use crate::web::{self, HealthReport, WebError};

/// How long one camera may take to stop.
const CAMERA_STOPS: Duration = Duration::from_secs(2);
/// How long the web may take to end its streams and requests.
const WEB_STOPS: Duration = Duration::from_secs(3);

/// The cameras with what looks at their pictures.
pub(super) struct Looking {
    cameras: Vec<Camera>,
    vision: std::thread::JoinHandle<Box<dyn Vision>>,
    stop: Stopper,
}

/// Cameras that run already and nobody looks at yet.
pub(super) struct Opened {
    cameras: Vec<Camera>,
    frames: FrameReceiver,
    stop: (Stopper, Shutdown),
}

impl Opened {
    pub fn new(core: &Core, settings: &Settings) -> Result<Self> {
        let (stopper, stop) = shutdown::channel();
        let (frames, newest) = newest_frames();
        let mut cameras = Vec::new();
        for (config, spec) in &settings.cameras {
            let (spec, id, store) = (spec.clone(), config.camera.clone(), Arc::clone(&core.store));
            let open = move || -> Result<Box<dyn FrameSource>, SourceError> {
                camera::open(&passwords::with_password(&spec, &id, Some(&store))?)
            };
            let camera = Camera::start(config.clone(), open, frames.clone(), Arc::clone(&core.clock), stop.clone());
            cameras.push(camera.with_context(|| format!("camera \"{}\": no thread can be started", config.camera))?);
        }
        // The slot closes when the last camera has stopped.
        Ok(Self { cameras, frames: newest, stop: (stopper, stop) })
    }

    pub fn states(&self) -> CameraStates {
        self.cameras.iter().map(|c| (c.counter().clone(), c.id().clone(), c.watch())).collect()
    }

    /// Looks at their pictures from now on. `run` tells apart the tracks of one set of cameras from those of the next.
    pub fn look(self, core: &Core, settings: &Settings, vision: Box<dyn Vision>, run: u32) -> Result<Looking> {
        let Self { cameras, frames, stop: (stopper, stop) } = self;
        core.overloaded.store(false, Ordering::Release);
        let watcher = watch::Watcher {
            pipeline: Pipeline::new(vision, core.gallery.clone(), Arc::clone(&core.clock), settings.pipeline.clone()),
            frames,
            sightings: core.sightings.clone(),
            metrics: Arc::clone(&core.metrics),
            clock: Arc::clone(&core.clock),
            stop: stop.clone(),
            overloaded: Arc::clone(&core.overloaded),
            pulse: Arc::clone(&core.pulse),
            cameras: cameras.iter().map(Camera::watch).collect(),
            eyes: cameras.iter().map(|camera| (camera.id().clone(), camera.eye())).collect(),
            run,
        };
        let vision = spawn("vision", core.failed.on_duty(&stop), move || watcher.run())?;
        Ok(Looking { cameras, vision, stop: stopper })
    }
}

impl Looking {
    /// Waits until the cameras and the thread that looks at them have ended; `false` if one did not in time or in
    /// order. Gives the models back, unless they fell over. Blocks.
    pub fn stop(self) -> (bool, Option<Box<dyn Vision>>) {
        self.stop.stop();
        let all: Vec<bool> = self.cameras.into_iter().map(|camera| camera.join(CAMERA_STOPS)).collect();
        // It ends when the last camera has put its last frame.
        let vision = self.vision.join().ok();
        (vision.is_some() && all.into_iter().all(|ended| ended), vision)
    }
}

/// The page and its API.
pub(super) struct Web {
    served: JoinHandle<Result<(), WebError>>,
    stop: Stopper,
}

/// A socket that outlives the web that serves it: the next one takes over what the last one leaves waiting.
pub(super) struct Door(TcpListener);

impl Door {
    pub async fn open(address: SocketAddr) -> Result<Self> {
        let listener = web::bind(address).await?.into_std().context("the web's socket cannot be kept")?;
        Ok(Self(listener))
    }

    pub fn address(&self) -> Result<SocketAddr> {
        self.0.local_addr().context("the web address cannot be read")
    }

    fn listener(&self) -> Result<tokio::net::TcpListener> {
        let handle = self.0.try_clone().and_then(tokio::net::TcpListener::from_std);
        handle.context("the web's socket cannot be handed over")
    }
}

impl Web {
    pub fn serve(core: &Core, settings: &Settings, door: &Door, counters: &Counters) -> Result<Self> {
        let (stop, stopped) = shutdown::channel();
        let outbox = core.outbox(settings);
        let languages: BTreeMap<_, _> = settings.desk.counters.iter().cloned().collect();
        let parts = web::WebParts {
            counters: counters.clone(),
            languages,
            time_zone: settings.desk.time_zone.clone(),
            clock: Arc::clone(&core.clock),
            health: health(core, settings),
            sync: Arc::new(outbox),
            visits: Arc::new(Book::new(&core.store, &core.clock, &settings.desk.time_zone)),
            stale_after: settings.crm.common.stale_after,
            metrics: Arc::clone(&core.metrics),
            host_names: vec![settings.device_name.clone()],
            limits: web::Limits::default(),
        };
        let served = tokio::spawn(web::serve(door.listener()?, parts, stopped));
        Ok(Self { served, stop })
    }

    pub async fn stop(self) -> Result<()> {
        self.stop.stop();
        match tokio::time::timeout(WEB_STOPS, self.served).await {
            Ok(Ok(Err(error))) => Err(error.into()),
            _ => Ok(()),
        }
    }
}

/// What `/health` is told.
fn health(core: &Core, settings: &Settings) -> Arc<dyn Fn() -> HealthReport + Send + Sync> {
    let (outbox, gallery, clock) = (core.outbox(settings), core.gallery.clone(), Arc::clone(&core.clock));
    let (pack, started, overloaded) = (core.pack_name(), core.started, Arc::clone(&core.overloaded));
    let config_refused = Arc::clone(&core.supervision.config_refused);
    Arc::new(move || {
        let wall = clock.wall();
        HealthReport {
            pack: pack.clone(),
            customers: gallery.snapshot().len(),
            outbox: outbox.health(),
            clock_synchronised: wall.synchronised,
            config_refused: config_refused.load(Ordering::Relaxed),
            overloaded: overloaded.load(Ordering::Acquire),
            uptime: clock.monotonic().since(started),
        }
    })
}
