//! The composition root: builds the concrete parts, starts their threads and tasks, exchanges and stops them in order.
//!
//! What each part does is its own; which settings it gets is `app::settings`. What a reload exchanges is `front`, what
//! goes on is `core`.

mod core;
mod courier;
mod duty;
mod front;
mod heartbeat;
mod keeper;
mod load;
mod lookout;
pub mod passwords;
mod places;
mod pulse;
mod report;
pub mod settings;
mod sync_desk;
mod timekeeper;
mod visit_book;
mod visits;
mod waiting;
mod watch;

pub use places::{Places, Unfound};
pub use pulse::Supervision;
pub use settings::Settings;
pub use waiting::{WaitingRoom, can_wait};

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};

use self::core::Core;
use self::front::{Door, Looking, Opened, Web};
use crate::clock::Clock;
use crate::gallery::GalleryHandle;
use crate::greeter::Counters;
use crate::loader::Whole;
use crate::store::Store;
use crate::telemetry::Metrics;
use crate::trouble::Troubles;
use crate::vision::Vision;

/// How long the parts together may take to stop.
const STOP_LIMIT: Duration = Duration::from_secs(8);

/// The parts that come from outside, so that a test may bring its own.
pub struct Parts {
    pub store: Arc<Store>,
    pub vision: Box<dyn Vision>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    pub supervision: Supervision,
    /// The board on which every part says what is wrong.
    pub troubles: Troubles,
}

/// A running service.
pub struct Service {
    core: Core,
    looking: Option<Looking>,
    web: Option<Web>,
    door: Door,
    address: SocketAddr,
    counters: Counters,
    settings: Settings,
    /// How often cameras and models were exchanged.
    exchanges: u32,
}

/// Starts everything and returns once the page can be opened.
pub async fn start(settings: Settings, parts: Parts) -> Result<Service> {
    let door = Door::open(settings.listen).await?;
    let address = door.address()?;
    let Parts { store, vision, clock, metrics, supervision, troubles } = parts;
    let pack = vision.pack().clone();
    let own = CoreParts { store, clock, metrics, supervision, troubles };
    let core = Core::start(&settings, &pack, own)?;
    let cameras = Opened::new(&core, &settings)?;
    let counters = core.reconfigure(&settings, cameras.states()).await?;
    let web = Web::serve(&core, &settings, &door, &counters)?;
    let looking = cameras.look(&core, &settings, vision, 0)?;
    let (looking, web) = (Some(looking), Some(web));
    Ok(Service { core, looking, web, door, address, counters, settings, exchanges: 0 })
}

/// Of the parts from outside, those that outlive a reload.
struct CoreParts {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    supervision: Supervision,
    troubles: Troubles,
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
        &self.core.gallery
    }

    /// Completes when a part has failed and the service should be stopped.
    pub async fn failed(&self) {
        self.core.asked.clone().asked().await;
    }

    /// Goes on by other settings: cameras and web are exchanged, models where others are given, the desk is told, and the
    /// courier is replaced if it works for another CRM. What can be refused is refused before anything is touched: after an error of that
    /// kind the service runs on as it was.
    pub async fn exchange(&mut self, settings: Settings, vision: Option<Box<dyn Vision>>) -> Result<()> {
        let door =
            if settings.listen == self.settings.listen { None } else { Some(Door::open(settings.listen).await?) };
        let whole = match &vision {
            Some(vision) => {
                let (loader, pack) = (self.core.loader(), vision.pack().clone());
                let read = tokio::task::spawn_blocking(move || Core::read_for(&loader, &pack));
                read.await.context("the customers cannot be read for the new models")??
            }
            None => None,
        };
        let changed = self.change(settings, vision, whole, door).await;
        if changed.is_err() {
            // What is left is no service: the supervisor of services starts it anew.
            self.core.failed.raise();
        }
        changed
    }

    async fn change(
        &mut self,
        settings: Settings,
        vision: Option<Box<dyn Vision>>,
        whole: Option<Whole>,
        door: Option<Door>,
    ) -> Result<()> {
        let mut kept = None;
        if let Some(looking) = self.looking.take() {
            // Before the new ones: a camera opens once.
            let ended = tokio::task::spawn_blocking(move || looking.stop()).await;
            let (in_order, models) = ended.unwrap_or((false, None));
            if !in_order {
                tracing::warn!("the cameras did not stop cleanly for the new configuration");
            }
            kept = models;
        }
        let vision = vision.or(kept).context("the models fell over")?;
        self.core.use_gallery(&settings, whole);
        let cameras = Opened::new(&self.core, &settings)?;
        self.counters = self.core.reconfigure(&settings, cameras.states()).await?;
        self.exchanges += 1;
        self.looking = Some(cameras.look(&self.core, &settings, vision, self.exchanges)?);
        if let Some(door) = door {
            self.address = door.address()?;
            self.door = door;
        }
        // The new web answers before the old one ends: nobody is refused in between.
        let web = Web::serve(&self.core, &settings, &self.door, &self.counters)?;
        if let Some(old) = self.web.replace(web)
            && let Err(error) = old.stop().await
        {
            tracing::warn!(%error, "the page did not stop cleanly for the new configuration");
        }
        let same_courier = settings.crm == self.settings.crm
            && settings.device_name == self.settings.device_name
            && settings.desk.time_zone == self.settings.desk.time_zone;
        if !same_courier {
            self.core.replace_courier(&settings).await?;
        }
        self.settings = settings;
        Ok(())
    }

    /// Stops in the order cameras, vision, visits, writer, courier, web, within a total limit. An error says that a
    /// part had failed before, or did not stop in time.
    pub async fn stop(self) -> Result<()> {
        let Self { core, looking, web, door, .. } = self;
        let failed = core.failed.clone();
        let stopped = tokio::task::spawn_blocking(move || {
            let looked = looking.is_none_or(|looking| looking.stop().0);
            core.stop() && looked
        });
        let in_time = tokio::time::timeout(STOP_LIMIT, stopped).await;
        drop(door);
        if let Some(web) = web {
            web.stop().await?;
        }
        if failed.is_raised() {
            anyhow::bail!("a part of the service failed; see the log above");
        }
        match in_time {
            Ok(Ok(true)) => Ok(()),
            _ => anyhow::bail!("some parts did not stop within {} s", STOP_LIMIT.as_secs()),
        }
    }
}
