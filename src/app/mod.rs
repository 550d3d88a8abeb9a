//! The composition root: builds the concrete parts, starts their threads and tasks, stops them in order.
//!
//! What each part does is its own; which settings it gets is `app::settings`.

mod courier;
mod desk;
mod keeper;
mod load;
pub mod passwords;
mod places;
mod pulse;
pub mod settings;
mod sync_desk;
mod watch;

pub use places::{Places, Unfound};
pub use pulse::Supervision;
pub use settings::Settings;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::task::JoinHandle;

use crate::camera::{self, Camera, FrameSource, SourceError, newest_frames};
use crate::clock::Clock;
use crate::crm::Heartbeat;
use crate::enrolment::load_gallery;
use crate::gallery::GalleryHandle;
use crate::greeter::{Counters, Desk};
use crate::pipeline::Pipeline;
use crate::shutdown::{self, Shutdown, Stopper};
use crate::store::Store;
use crate::telemetry::Metrics;
use crate::vision::Vision;
use crate::web;

/// Sightings on their way from the vision thread to the desk; full, the vision thread waits (rare, small).
const SIGHTINGS: usize = 64;
/// Answers, and as many entries, on their way from screens to the desk; full, the screen is told to try again.
const ANSWERS: usize = 32;
/// How long the parts together may take to stop.
const STOP_LIMIT: Duration = Duration::from_secs(8);

/// The parts that come from outside, so that a test may bring its own.
pub struct Parts {
    pub store: Arc<Store>,
    pub vision: Box<dyn Vision>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    pub supervision: Supervision,
}

/// A running service.
pub struct Service {
    address: SocketAddr,
    counters: Counters,
    gallery: GalleryHandle,
    cameras: Vec<Camera>,
    threads: Vec<std::thread::JoinHandle<()>>,
    courier: std::thread::JoinHandle<()>,
    keeper: std::thread::JoinHandle<()>,
    stop_cameras: Stopper,
    stop_courier: Stopper,
    stop_web: Stopper,
    web: JoinHandle<Result<(), web::WebError>>,
    failed: Failure,
    asked: Shutdown,
}

/// Raised by a thread that ends without having been asked to.
#[derive(Clone)]
pub(crate) struct Failure {
    raised: Arc<AtomicBool>,
    stopper: Stopper,
}

/// Held by a thread while it works; a panic drops it too.
pub(crate) struct OnDuty {
    failure: Failure,
    /// Whether the service has lost its purpose once this thread ends.
    needed: bool,
}

impl Failure {
    fn on_duty(&self) -> OnDuty {
        OnDuty { failure: self.clone(), needed: true }
    }

    /// For a thread that may end by itself.
    fn only_panics(&self) -> OnDuty {
        OnDuty { failure: self.clone(), needed: false }
    }
}

impl Drop for OnDuty {
    fn drop(&mut self) {
        let panics = std::thread::panicking();
        if panics {
            self.failure.raised.store(true, Ordering::Release);
        }
        // A part that is gone leaves the service without its purpose: let the supervisor of services restart it.
        if panics || self.needed {
            self.failure.stopper.stop();
        }
    }
}

/// Starts everything and returns once the page can be opened.
pub async fn start(settings: Settings, parts: Parts) -> Result<Service> {
    let Parts { store, vision, clock, metrics, supervision } = parts;
    let left_open = store.close_left_open(clock.wall())?;
    if left_open > 0 {
        tracing::info!(visits = left_open, "visits left open by the last run are closed");
    }
    let days = clock.days(&settings.desk.time_zone);
    let gallery = GalleryHandle::new(load_gallery(&store, vision.pack(), days)?);
    tracing::info!(customers = gallery.snapshot().len(), pack = vision.pack().name, "gallery loaded");

    let listener = web::bind(settings.listen).await?;
    let address = listener.local_addr().context("the web address cannot be read")?;
    let (stop_cameras, cameras_stop) = shutdown::channel();
    let (stop_web, web_stop) = shutdown::channel();
    let (stop_courier, courier_stop) = shutdown::channel();
    let (stopper, asked) = shutdown::channel();
    let failed = Failure { raised: Arc::default(), stopper };

    let desk = Desk::new(settings.desk.clone(), Arc::clone(&store), Arc::clone(&clock));
    let (answers, answered) = tokio::sync::mpsc::channel(ANSWERS);
    let (entries, entered) = tokio::sync::mpsc::channel(ANSWERS);
    let counters = Counters::new(desk.screens(), answers, entries);
    let pack = vision.pack().clone();
    let overloaded = Arc::new(AtomicBool::new(false));
    let outbox = sync_desk::Outbox::new(&store, &clock, settings.crm.target.as_str());
    let parts = web::WebParts {
        counters: counters.clone(),
        languages: settings.desk.counters.iter().cloned().collect(),
        time_zone: settings.desk.time_zone.clone(),
        clock: Arc::clone(&clock),
        health: desk::health(&outbox, &gallery, &clock, &pack.name, &supervision, &overloaded),
        sync: Arc::new(outbox.clone()),
        stale_after: settings.crm.stale_after,
        metrics: Arc::clone(&metrics),
        host_names: vec![settings.device_name.clone()],
        limits: web::Limits::default(),
    };
    let web = tokio::spawn(web::serve(listener, parts, web_stop));

    let (frames, newest) = newest_frames();
    let cameras = start_cameras(&settings, &store, &frames, &clock, &cameras_stop)?;
    // The slot closes when the last camera has stopped.
    drop(frames);
    let (sightings, seen) = std::sync::mpsc::sync_channel(SIGHTINGS);
    let pulse = Arc::new(pulse::Pulse::default());
    let dispatch = courier::Dispatch {
        store: Arc::clone(&store),
        settings: settings.crm.clone(),
        clock: Arc::clone(&clock),
        time_zone: settings.desk.time_zone.clone(),
        metrics: Arc::clone(&metrics),
        heartbeat: heartbeat(
            &settings,
            &store,
            &clock,
            cameras.iter().map(|c| (c.id().to_string(), c.watch())).collect(),
        ),
        stop: courier_stop.clone(),
    };
    let keeper = keeper::Keeper {
        store: Arc::clone(&store),
        clock: Arc::clone(&clock),
        stop: courier_stop,
        time_zone: settings.desk.time_zone.clone(),
        keep_visits_days: settings.keep_visits_days,
    };
    let watcher = watch::Watcher {
        pipeline: Pipeline::new(vision, gallery.clone(), Arc::clone(&clock), settings.pipeline.clone()),
        frames: newest,
        sightings,
        metrics: Arc::clone(&metrics),
        clock: Arc::clone(&clock),
        stop: cameras_stop,
        overloaded: Arc::clone(&overloaded),
        pulse: Arc::clone(&pulse),
        cameras: cameras.iter().map(Camera::watch).collect(),
    };
    let reader = desk::Reader {
        alive: pulse::Carrier::new(pulse, supervision),
        desk,
        seen,
        answered,
        entered,
        store,
        gallery: gallery.clone(),
        pack,
        clock,
        metrics,
        cameras: cameras.iter().map(|c| (c.counter().clone(), c.id().clone(), c.watch())).collect(),
        time_zone: settings.desk.time_zone.clone(),
        overloaded,
        outbox,
    };
    let threads = vec![
        spawn("vision", failed.on_duty(), move || watcher.run())?,
        spawn("visits", failed.on_duty(), move || reader.run())?,
    ];
    let keeper = spawn("keeper", failed.only_panics(), move || keeper.run())?;
    let courier = spawn("courier", failed.only_panics(), move || {
        if let Err(error) = dispatch.run() {
            tracing::error!("visits wait in the outbox: {error:#}");
        }
    })?;
    Ok(Service {
        address,
        counters,
        gallery,
        cameras,
        threads,
        courier,
        keeper,
        stop_cameras,
        stop_courier,
        stop_web,
        web,
        failed,
        asked,
    })
}

/// What the centre is told of this box.
fn heartbeat(
    settings: &Settings,
    store: &Arc<Store>,
    clock: &Arc<dyn Clock>,
    cameras: Vec<(String, tokio::sync::watch::Receiver<camera::CameraState>)>,
) -> Arc<dyn Fn() -> Heartbeat + Send + Sync> {
    let (store, clock, device) = (Arc::clone(store), Arc::clone(clock), settings.device_name.clone());
    Arc::new(move || {
        let outbox = store.outbox_status().unwrap_or_default();
        let at = clock.wall();
        let sees =
            |state: &camera::CameraState| matches!(state, camera::CameraState::Live | camera::CameraState::Ended);
        Heartbeat {
            device: device.clone(),
            // None where the store cannot be used: the centre then hears of that by the rest.
            box_id: store.box_id(at.at).unwrap_or_default(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            at,
            cameras: cameras.iter().map(|(name, state)| (name.clone(), sees(&state.borrow()))).collect(),
            outbox_depth: outbox.depth,
            outbox_oldest: outbox
                .oldest_created_at
                .and_then(|oldest| Duration::try_from(at.at.duration_since(oldest)).ok()),
            outbox_dead: outbox.dead,
        }
    })
}

fn start_cameras(
    settings: &Settings,
    store: &Arc<Store>,
    frames: &camera::FrameSender,
    clock: &Arc<dyn Clock>,
    stop: &Shutdown,
) -> Result<Vec<Camera>> {
    let mut cameras = Vec::new();
    for (config, spec) in &settings.cameras {
        let (spec, id, store) = (spec.clone(), config.camera.clone(), Arc::clone(store));
        let open = move || -> Result<Box<dyn FrameSource>, SourceError> {
            camera::open(&passwords::with_password(&spec, &id, Some(&store))?)
        };
        let camera = Camera::start(config.clone(), open, frames.clone(), Arc::clone(clock), stop.clone());
        cameras.push(camera.with_context(|| format!("camera \"{}\": no thread can be started", config.camera))?);
    }
    Ok(cameras)
}

fn spawn(name: &str, duty: OnDuty, work: impl FnOnce() + Send + 'static) -> Result<std::thread::JoinHandle<()>> {
    let run = move || {
        let _duty = duty;
        work();
    };
    std::thread::Builder::new().name(name.to_owned()).spawn(run).with_context(|| format!("no thread for {name}"))
}

impl Service {
    /// Where the page is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What the screens see, for whoever is in the same process.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The customers whom the service recognises now.
    pub fn gallery(&self) -> &GalleryHandle {
        &self.gallery
    }

    /// Completes when a part has failed and the service should be stopped.
    pub async fn failed(&self) {
        self.asked.clone().asked().await;
    }

    /// Stops in the order cameras, vision, visits, courier, web, within a total limit. An error says that a part had
    /// failed before, or did not stop in time.
    pub async fn stop(self) -> Result<()> {
        let raised = Arc::clone(&self.failed.raised);
        let (cameras, threads, stop_courier) = (self.cameras, self.threads, self.stop_courier);
        let (courier, keeper) = (self.courier, self.keeper);
        self.stop_cameras.stop();
        // The vision thread ends when the last camera has put its last frame, the desk when vision has ended.
        let stopped = tokio::task::spawn_blocking(move || {
            let all: Vec<bool> = cameras.into_iter().map(|camera| camera.join(STOP_LIMIT / 4)).collect();
            let threads_end = threads.into_iter().all(|thread| thread.join().is_ok());
            // After the desk, which closes the visits; what it does not send now it sends after the next start.
            stop_courier.stop();
            let threads_end = courier.join().is_ok() && keeper.join().is_ok() && threads_end;
            threads_end && all.iter().all(|ended| *ended)
        });
        let in_time = tokio::time::timeout(STOP_LIMIT, stopped).await;
        self.stop_web.stop();
        let web = tokio::time::timeout(STOP_LIMIT / 4, self.web).await;
        if let Ok(Ok(Err(error))) = web {
            return Err(error.into());
        }
        if raised.load(Ordering::Acquire) {
            anyhow::bail!("a part of the service failed; see the log above");
        }
        match in_time {
            Ok(Ok(true)) => Ok(()),
            _ => anyhow::bail!("some parts did not stop within {} s", STOP_LIMIT.as_secs()),
        }
    }
}
