//! The part of the service that goes on over a reload: store, writer, desk, loader, courier and keeper.
//!
//! So nobody who stands at a counter is greeted again by it, no visit is cut in two, and there are never two couriers.
//! What a reload exchanges is `front`.

use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use tokio::sync::{mpsc, oneshot};

use super::courier::Dispatch;
use super::duty::{Failure, spawn};
use super::heartbeat::{CameraBoard, heartbeat};
use super::keeper::{Keeper, Keeping};
use super::pulse::{Carrier, Pulse};
use super::report::Report;
use super::sync_desk::Outbox;
use super::visits::{CameraStates, Order, VisitThread};
use super::watch::Seen;
use super::{CoreParts, Settings, Supervision};
use crate::clock::{Clock, Monotonic};
use crate::gallery::{Gallery, GalleryHandle};
use crate::greeter::{Answer, Counters, Desk, DeskConfig, DeskParts, Entry, Shifts};
use crate::loader::{Loader, LoaderParts, PackName, Whole};
use crate::shutdown::{self, Shutdown, Stopper};
use crate::store::{Store, StoreError, visit_writer};
use crate::telemetry::Metrics;
use crate::vision::PackFacts;

/// Sightings on their way from the vision thread to the desk; full, the vision thread waits (rare, small).
const SIGHTINGS: usize = 64;
/// Answers, and as many entries, on their way from screens to the desk; full, the screen is told to try again.
const ANSWERS: usize = 32;
/// So many entries of an earlier run are known again, should one be sent once more.
const ENTRIES: usize = 256;

type Thread = std::thread::JoinHandle<()>;

pub(super) struct Core {
    pub store: Arc<Store>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    pub supervision: Supervision,
    pub gallery: GalleryHandle,
    pub failed: Failure,
    /// Completes when a part has failed.
    pub asked: Shutdown,
    pub started: Monotonic,
    pub overloaded: Arc<AtomicBool>,
    pub pulse: Arc<Pulse>,
    pub sightings: SyncSender<Seen>,
    loader: Arc<Mutex<Loader>>,
    orders: Sender<Order>,
    answers: mpsc::Sender<Answer>,
    entries: mpsc::Sender<Entry>,
    shifts: Shifts,
    cameras: CameraBoard,
    report: Report,
    keeping: Keeping,
    desk: Thread,
    writer: Thread,
    stop_desk: Stopper,
    /// Loader and keeper.
    helpers: Vec<Thread>,
    stop_helpers: Stopper,
    courier: Option<RunningCourier>,
}

struct RunningCourier {
    thread: Thread,
    stop: Stopper,
}

impl Core {
    /// Everything but cameras and web, before anybody is shown.
    pub fn start(settings: &Settings, pack: &PackFacts, parts: CoreParts) -> Result<Self> {
        let CoreParts { store, clock, metrics, supervision, troubles } = parts;
        let desk_config = settings.desk.clone();
        close_left_open(&store, &desk_config)?;
        let (failed, asked) = Failure::new();
        let started = clock.monotonic();
        let (changes, changed) = channel();
        let gallery = GalleryHandle::new(Gallery::empty(pack.dimension));
        let store_unreadable = Arc::new(AtomicBool::new(false));
        let loader = Loader::new(LoaderParts {
            store: Arc::clone(&store),
            clock: Arc::clone(&clock),
            time_zone: desk_config.time_zone.clone(),
            pack: pack_name(pack),
            gallery: gallery.clone(),
            troubles: troubles.clone(),
            unreadable: Arc::clone(&store_unreadable),
            changes,
        })?;
        let (queue, writer) = visit_writer(Arc::clone(&store), Arc::clone(&clock));
        let (roster, merge) = (store.empty_roster(), desk_config.visit.merge);
        let clock_of_desk = Arc::clone(&clock);
        let mut desk = Desk::new(
            desk_config,
            DeskParts { clock: clock_of_desk, roster, queue, troubles: troubles.clone(), store_unreadable },
        );
        while let Ok(change) = changed.try_recv() {
            desk.take_change(started, change);
        }
        let boot = clock.since_boot();
        let left = store.visits_to_take_up(clock.wall(), boot.as_ref(), merge);
        desk.take_up(started, unless_unreadable(left)?);
        desk.remember_entries(unless_unreadable(store.recent_entries(ENTRIES))?);

        let shifts = desk.shifts();
        let outbox = Outbox::new(&store, &clock, settings.crm.vendor.as_str());
        let (report, crm_trouble) = Report::new(outbox, &metrics);
        let (answers, answered) = mpsc::channel(ANSWERS);
        let (entries, entered) = mpsc::channel(ANSWERS);
        let (sightings, seen) = sync_channel(SIGHTINGS);
        let (orders, obeyed) = channel();
        let (pulse, overloaded) = (Arc::new(Pulse::default()), Arc::new(AtomicBool::new(false)));
        let (stop_desk, desk_stops) = shutdown::channel();
        let visits = VisitThread {
            desk,
            seen,
            changes: changed,
            orders: obeyed,
            answered,
            entered,
            gallery: gallery.clone(),
            clock: Arc::clone(&clock),
            metrics: Arc::clone(&metrics),
            cameras: Vec::new(),
            alive: Carrier::new(Arc::clone(&pulse), supervision.clone()),
            overloaded: Arc::clone(&overloaded),
            crm_trouble,
            stop: desk_stops.clone(),
        };
        let (stop_helpers, helpers_stop) = shutdown::channel();
        let keeping = Keeping::new(settings);
        let keeper = Keeper {
            store: Arc::clone(&store),
            clock: Arc::clone(&clock),
            metrics: Arc::clone(&metrics),
            troubles: troubles.clone(),
            report: report.clone(),
            stop: helpers_stop.clone(),
            keeping: keeping.clone(),
        };
        let loader = Arc::new(Mutex::new(loader));
        let loading = Arc::clone(&loader);
        let writer = spawn("writer", failed.on_duty(&desk_stops), move || writer.run())?;
        let desk = spawn("visits", failed.on_duty(&desk_stops), move || visits.run())?;
        let duty = failed.on_duty(&helpers_stop);
        let helpers = vec![
            spawn("loader", duty, move || Loader::run(&loading, &helpers_stop))?,
            spawn("keeper", failed.only_panics(), move || keeper.run())?,
        ];
        let mut core = Self {
            store,
            clock,
            metrics,
            supervision,
            gallery,
            failed,
            asked,
            started,
            overloaded,
            pulse,
            sightings,
            loader,
            orders,
            answers,
            entries,
            shifts,
            cameras: CameraBoard::default(),
            report,
            keeping,
            desk,
            writer,
            stop_desk,
            helpers,
            stop_helpers,
            courier: None,
        };
        core.start_courier(settings)?;
        Ok(core)
    }

    /// The outbox of the configured CRM.
    pub fn outbox(&self, settings: &Settings) -> Outbox {
        Outbox::new(&self.store, &self.clock, settings.crm.vendor.as_str())
    }

    pub fn pack_name(&self) -> String {
        self.lock_loader().pack().name.clone()
    }

    /// Reads the templates of another pack, if it is another; nothing is exchanged yet. Blocks.
    pub fn read_for(loader: &Mutex<Loader>, pack: &PackFacts) -> Result<Option<Whole>> {
        let (loader, pack) = (loader.lock().unwrap_or_else(PoisonError::into_inner), pack_name(pack));
        Ok(if *loader.pack() == pack { None } else { Some(loader.read(pack)?) })
    }

    pub fn loader(&self) -> Arc<Mutex<Loader>> {
        Arc::clone(&self.loader)
    }

    /// From now on these templates, and days of this zone. Nobody looks with another pack any more.
    pub fn use_gallery(&self, settings: &Settings, whole: Option<Whole>) {
        let mut loader = self.lock_loader();
        loader.use_zone(settings.desk.time_zone.clone());
        if let Some(whole) = whole {
            loader.use_whole(whole);
        }
    }

    /// Tells the desk what is another from now on; whoever stands at a counter stays. Gives what its screens follow.
    pub async fn reconfigure(&self, settings: &Settings, cameras: CameraStates) -> Result<Counters> {
        self.cameras.show(&cameras);
        self.report.use_outbox(self.outbox(settings));
        self.keeping.follow(settings);
        let (done, told) = oneshot::channel();
        let order = Order { config: settings.desk.clone(), cameras, done };
        self.orders.send(order).ok().context("the visit thread has ended")?;
        let screens = told.await.context("the visit thread has ended")?;
        if !settings.served_by {
            self.shifts.clear();
        }
        let shifts = settings.served_by.then(|| self.shifts.clone());
        Ok(Counters::new(screens, self.answers.clone(), self.entries.clone()).with_shifts(shifts))
    }

    /// The new courier begins after the old one has ended, which may take the seconds of a request.
    pub async fn replace_courier(&mut self, settings: &Settings) -> Result<()> {
        let old = self.courier.take();
        let ended = tokio::task::spawn_blocking(move || stop_courier(old)).await;
        if !matches!(ended, Ok(true)) {
            tracing::warn!("the courier did not stop cleanly for the new configuration");
        }
        self.start_courier(settings)
    }

    fn start_courier(&mut self, settings: &Settings) -> Result<()> {
        let (stop, stops) = shutdown::channel();
        let dispatch = Dispatch {
            store: Arc::clone(&self.store),
            settings: settings.crm.clone(),
            clock: Arc::clone(&self.clock),
            time_zone: settings.desk.time_zone.clone(),
            metrics: Arc::clone(&self.metrics),
            heartbeat: heartbeat(&settings.device_name, &self.store, &self.clock, &self.cameras),
            stop: stops,
        };
        let thread = spawn("courier", self.failed.only_panics(), move || {
            if let Err(error) = dispatch.run() {
                tracing::error!("visits wait in the outbox: {error:#}");
            }
        })?;
        self.courier = Some(RunningCourier { thread, stop });
        Ok(())
    }

    /// In the order desk, writer, courier, helpers. `false` if one fell over. Blocks.
    pub fn stop(mut self) -> bool {
        self.stop_desk.stop();
        // The desk lets everybody leave and finishes the writer's queue.
        let mut in_order = self.desk.join().is_ok() & self.writer.join().is_ok();
        // What is not sent now is sent after the next start.
        in_order &= stop_courier(self.courier.take());
        self.stop_helpers.stop();
        self.helpers.drain(..).fold(in_order, |in_order, helper| helper.join().is_ok() && in_order)
    }

    fn lock_loader(&self) -> std::sync::MutexGuard<'_, Loader> {
        self.loader.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends the visits that a crash cut off.
fn close_left_open(store: &Store, desk: &DeskConfig) -> Result<(), StoreError> {
    let left_open = unless_unreadable(store.close_left_open(desk.visit.merge.max(desk.grace)))?;
    if left_open > 0 {
        tracing::info!(visits = left_open, "visits left open by the last run are closed");
    }
    Ok(())
}

/// Nothing, where the database is not what it should be: the service comes up all the same, and says so.
fn unless_unreadable<T: Default>(read: Result<T, StoreError>) -> Result<T, StoreError> {
    match read {
        Err(error) if error.is_unreadable() => {
            tracing::error!(%error, "the service starts without what the database knows");
            Ok(T::default())
        }
        read => read,
    }
}

fn stop_courier(courier: Option<RunningCourier>) -> bool {
    let Some(courier) = courier else { return true };
    courier.stop.stop();
    courier.thread.join().is_ok()
}

fn pack_name(pack: &PackFacts) -> PackName {
    PackName { name: pack.name.clone(), dimension: pack.dimension }
}
