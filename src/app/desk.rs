//! The visit thread: brings sightings, answers, camera states and time to the desk, and keeps the gallery
//! true to the store.
//!
//! What the desk makes of them is `crate::greeter`'s.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use jiff::tz::TimeZone;
use tokio::sync::{mpsc, watch};

use super::Supervision;
use super::pulse::Carrier;
use super::sync_desk::Outbox;
use super::watch::Seen;
use crate::camera::CameraState;
use crate::clock::{Clock, Days, Monotonic};
use crate::customer::VisitId;
use crate::enrolment::load_gallery;
use crate::face::{CameraId, CounterId};
use crate::gallery::GalleryHandle;
use crate::greeter::{Answer, CrmTrouble, Desk, Entered, Entry, EntryError};
use crate::store::Store;
use crate::telemetry::Metrics;
use crate::trouble::Troubles;
use crate::vision::PackFacts;
use crate::visit::VisitEvent;
use crate::web::HealthReport;

/// The longest an answer waits, and the grain of absences.
const TICK: Duration = Duration::from_millis(20);
/// How often the store is asked whether another process enrolled or erased somebody.
const LOOK_AT_STORE: Duration = Duration::from_millis(250);
/// How often slow gauges are refreshed.
const REFRESH_GAUGES: Duration = Duration::from_secs(5);

pub(super) struct Reader {
    pub desk: Desk,
    pub seen: Receiver<Seen>,
    pub answered: mpsc::Receiver<Answer>,
    pub entered: mpsc::Receiver<Entry>,
    pub store: Arc<Store>,
    pub gallery: GalleryHandle,
    pub pack: PackFacts,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    pub cameras: Vec<(CounterId, CameraId, watch::Receiver<CameraState>)>,
    pub time_zone: TimeZone,
    pub alive: Carrier,
    pub overloaded: Arc<AtomicBool>,
    pub outbox: Outbox,
    pub troubles: Troubles,
}

/// What the gallery was loaded from: the store's state, and the date, since consents end with a day.
#[derive(PartialEq)]
struct Loaded {
    stamp: Option<u64>,
    on: Days,
}

impl Reader {
    /// Until the vision thread has ended; then closes the visits.
    pub fn run(mut self) {
        let mut loaded = self.current();
        let (mut looked_at, mut refreshed_at) = (self.clock.monotonic(), Monotonic::default());
        let mut failures = 0;
        loop {
            let seen = self.seen.recv_timeout(TICK);
            let now = self.clock.monotonic();
            match seen {
                Ok(seen) => self.take(now, &seen),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            while let Ok(Answer { visit, verdict, reply }) = self.answered.try_recv() {
                // A screen that no longer waits is no error.
                let _ = reply.send(self.desk.answer(now, visit, verdict));
            }
            while let Ok(Entry { counter, entered, reply }) = self.entered.try_recv() {
                let _ = reply.send(self.enter(now, &counter, &entered));
            }
            if now.since(looked_at) >= LOOK_AT_STORE {
                looked_at = now;
                self.follow_store(now, &mut loaded);
            }
            self.show_cameras();
            self.desk.overloaded(self.overloaded.load(Ordering::Acquire));
            self.desk.troubles(self.troubles.all());
            self.desk.tick(now);
            let failed = self.desk.journal().failures();
            self.metrics.commit_failures.inc_by(failed - failures);
            self.metrics.unsaved_visits.set(i64::try_from(self.desk.journal().unsaved()).unwrap_or(i64::MAX));
            failures = failed;
            self.alive.carry(now);
            if refreshed_at == Monotonic::default() || now.since(refreshed_at) >= REFRESH_GAUGES {
                refreshed_at = now;
                self.refresh_gauges();
            }
        }
        self.answered.close();
        self.entered.close();
        self.desk.close(self.clock.monotonic());
    }

    fn take(&mut self, now: Monotonic, seen: &Seen) {
        let events = self.desk.see(seen.captured_at.max(Monotonic::default()), &seen.counter, &seen.sightings);
        for event in events {
            if let VisitEvent::Opened { visit, counter, .. } = event {
                let shown_after = self.clock.monotonic().since(seen.captured_at);
                self.metrics.visits_opened.inc(counter.as_str());
                self.metrics.greeting_seconds.observe(shown_after);
                let waited_ms = now.since(seen.captured_at).as_millis() as u64;
                tracing::info!(%visit, %counter, camera = %seen.camera, waited_ms, "visit opened");
            }
        }
    }

    fn enter(&mut self, now: Monotonic, counter: &CounterId, entered: &str) -> Result<VisitId, EntryError> {
        let Entered { visit, is_new } = self.desk.enter(now, counter, entered)?;
        if is_new {
            self.metrics.visits_opened.inc(counter.as_str());
            tracing::info!(%visit, %counter, "visit opened by card or phone");
        }
        Ok(visit)
    }

    fn current(&self) -> Loaded {
        let on = self.clock.days(&self.time_zone);
        Loaded { stamp: self.store.change_stamp().ok(), on }
    }

    /// Loads the gallery anew when customers, templates or consents changed, by whatever process.
    fn follow_store(&mut self, now: Monotonic, loaded: &mut Loaded) {
        let current = self.current();
        if current == *loaded || current.stamp.is_none() {
            return;
        }
        // Not everybody on a screen is in the gallery: who gave a card need not have a template.
        let kept = self.desk.keep_live(now);
        match kept.and_then(|()| load_gallery(&self.store, &self.pack, current.on)) {
            Ok(gallery) => {
                if gallery.len() != self.gallery.snapshot().len() {
                    tracing::info!(customers = gallery.len(), "gallery changed");
                }
                self.metrics.gallery_customers.set(i64::try_from(gallery.len()).unwrap_or(i64::MAX));
                self.gallery.replace(gallery);
                *loaded = current;
            }
            Err(error) => tracing::error!(%error, "the gallery cannot be loaded; trying again"),
        }
    }

    fn show_cameras(&mut self) {
        let mut by_counter: BTreeMap<&CounterId, Vec<(CameraId, CameraState)>> = BTreeMap::new();
        for (counter, camera, state) in &self.cameras {
            by_counter.entry(counter).or_default().push((camera.clone(), state.borrow().clone()));
        }
        for (counter, states) in by_counter {
            self.desk.cameras(counter, states);
        }
    }

    fn refresh_gauges(&mut self) {
        for (_, camera, state) in &self.cameras {
            self.metrics.camera_live.set(camera.as_str(), i64::from(*state.borrow() == CameraState::Live));
            self.metrics.camera_state.set(camera.as_str(), state.borrow().as_str(), &CameraState::NAMES);
        }
        self.metrics.gallery_customers.set(i64::try_from(self.gallery.snapshot().len()).unwrap_or(i64::MAX));
        let (outbox, metrics) = (self.outbox.health(), &self.metrics);
        let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        metrics.outbox_depth.set(number(outbox.depth));
        metrics.outbox_dead.set(number(outbox.dead));
        metrics.outbox_unlinked.set(number(outbox.unlinked));
        metrics.outbox_oldest_age.set(number(outbox.oldest_age.unwrap_or_default().as_secs()));
        metrics.crm_last_success.set(outbox.last_success.map_or(0, |at| at.as_second()));
        let trouble = self.outbox.trouble();
        for (name, is_it) in [
            ("refused", trouble == Some(CrmTrouble::Refused)),
            ("blocked", trouble == Some(CrmTrouble::Blocked)),
            ("late", matches!(trouble, Some(CrmTrouble::Late { .. }))),
        ] {
            metrics.crm_trouble.set(name, i64::from(is_it));
        }
        self.desk.crm_trouble(trouble);
    }
}

/// What `/health` is told.
pub(super) fn health(
    outbox: &Outbox,
    gallery: &GalleryHandle,
    clock: &Arc<dyn Clock>,
    pack: &str,
    supervision: &Supervision,
    overloaded: &Arc<AtomicBool>,
) -> Arc<dyn Fn() -> HealthReport + Send + Sync> {
    let (outbox, gallery, clock) = (outbox.clone(), gallery.clone(), Arc::clone(clock));
    let (pack, started, overloaded) = (pack.to_owned(), clock.monotonic(), Arc::clone(overloaded));
    let config_refused = Arc::clone(&supervision.config_refused);
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
