//! The visit thread: brings sightings, answers, entries, changes of customers, camera states and time to the desk.
//!
//! It waits for no disk. What the desk makes of it all is `crate::greeter`'s. It goes on over a reload, which tells it
//! by an [`Order`] what is another from now on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use super::pulse::Carrier;
use super::watch::Seen;
use crate::camera::CameraState;
use crate::clock::{Clock, Monotonic};
use crate::face::{CameraId, CounterId};
use crate::gallery::GalleryHandle;
use crate::greeter::{Answer, CounterState, CrmTrouble, Desk, DeskConfig, Entered, Entry, EntryError, EntryTaken};
use crate::shutdown::Shutdown;
use crate::store::RosterChange;
use crate::telemetry::Metrics;
use crate::visit::VisitEvent;

/// The longest an answer waits, and the grain of absences.
const TICK: Duration = Duration::from_millis(20);
/// An entry is answered at the latest after so long, whatever the disk does.
const ANSWER_ENTRY: Duration = Duration::from_millis(1200);
/// How often slow gauges are refreshed.
const REFRESH_GAUGES: Duration = Duration::from_secs(5);

/// The cameras with their states, by counter.
pub(super) type CameraStates = Vec<(CounterId, CameraId, watch::Receiver<CameraState>)>;
/// What the screens of each counter follow.
pub(super) type Screens = BTreeMap<CounterId, watch::Receiver<Arc<CounterState>>>;

/// What a reload changes for the visits.
pub(super) struct Order {
    pub config: DeskConfig,
    pub cameras: CameraStates,
    /// Told once it holds.
    pub done: oneshot::Sender<Screens>,
}

pub(super) struct VisitThread {
    pub desk: Desk,
    pub seen: Receiver<Seen>,
    pub changes: Receiver<RosterChange>,
    pub orders: Receiver<Order>,
    pub answered: mpsc::Receiver<Answer>,
    pub entered: mpsc::Receiver<Entry>,
    pub gallery: GalleryHandle,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    pub cameras: CameraStates,
    pub alive: Carrier,
    pub overloaded: Arc<AtomicBool>,
    pub crm_trouble: watch::Receiver<Option<CrmTrouble>>,
    pub stop: Shutdown,
}

/// An entry whose visit is on its way to the disk.
struct Waiting {
    entered: Entered,
    until: Monotonic,
    reply: oneshot::Sender<Result<EntryTaken, EntryError>>,
}

impl VisitThread {
    /// Until the stop is asked; then everybody leaves.
    pub fn run(mut self) {
        let (mut refreshed_at, mut failures) = (Monotonic::default(), 0);
        let mut waiting = Vec::new();
        while !self.stop.is_asked() {
            let seen = self.seen.recv_timeout(TICK);
            let now = self.clock.monotonic();
            // A customer is told of before their face can be found: see `crate::loader`.
            while let Ok(change) = self.changes.try_recv() {
                self.desk.take_change(now, change);
            }
            match seen {
                Ok(seen) => self.take(now, &seen),
                Err(RecvTimeoutError::Timeout) => {}
                // Nobody looks any more; the cards and the rest go on until the stop.
                Err(RecvTimeoutError::Disconnected) => {
                    self.stop.wait_for(TICK);
                }
            }
            while let Ok(order) = self.orders.try_recv() {
                self.obey(now, order);
            }
            while let Ok(Answer { visit, verdict, reply }) = self.answered.try_recv() {
                // A screen that no longer waits is no error.
                let _ = reply.send(self.desk.answer(now, visit, verdict));
            }
            while let Ok(entry) = self.entered.try_recv() {
                self.enter(now, entry, &mut waiting);
            }
            self.show_cameras();
            self.desk.overloaded(self.overloaded.load(Ordering::Acquire));
            let trouble = *self.crm_trouble.borrow();
            self.desk.crm_trouble(trouble);
            self.desk.tick(now);
            waiting = waiting.into_iter().filter_map(|one| self.answer_entry(now, one)).collect();
            self.count(&mut failures);
            self.alive.carry(now);
            if refreshed_at == Monotonic::default() || now.since(refreshed_at) >= REFRESH_GAUGES {
                refreshed_at = now;
                self.refresh_gauges();
            }
        }
        // What was looked at before the stop still counts.
        while let Ok(seen) = self.seen.try_recv() {
            self.take(self.clock.monotonic(), &seen);
        }
        self.answered.close();
        self.entered.close();
        self.desk.close(self.clock.monotonic());
        for Waiting { entered, reply, .. } in waiting {
            let _ = reply.send(Ok(EntryTaken { visit: entered.visit, recorded: false }));
        }
    }

    fn obey(&mut self, now: Monotonic, order: Order) {
        self.desk.reconfigure(now, order.config);
        self.cameras = order.cameras;
        let _ = order.done.send(self.desk.screens());
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

    fn enter(&mut self, now: Monotonic, entry: Entry, waiting: &mut Vec<Waiting>) {
        let Entry { counter, entered, key, reply } = entry;
        match self.desk.enter(now, &counter, &entered, key) {
            Ok(entered) => {
                if entered.is_new {
                    self.metrics.visits_opened.inc(counter.as_str());
                    tracing::info!(visit = %entered.visit, %counter, "visit opened by card or phone");
                }
                waiting.push(Waiting { entered, until: now + ANSWER_ENTRY, reply });
            }
            Err(refusal) => {
                let _ = reply.send(Err(refusal));
            }
        }
    }

    /// Answers an entry that is on the disk, or cannot wait for it any longer.
    fn answer_entry(&self, now: Monotonic, waiting: Waiting) -> Option<Waiting> {
        let taken = |recorded| EntryTaken { visit: waiting.entered.visit, recorded };
        let answer = match self.desk.entry_outcome(&waiting.entered) {
            Some(outcome) => outcome.map(|()| taken(true)),
            None if now >= waiting.until => Ok(taken(false)),
            None => return Some(waiting),
        };
        let _ = waiting.reply.send(answer);
        None
    }

    fn count(&mut self, failures: &mut u64) {
        let failed = self.desk.failures();
        self.metrics.commit_failures.inc_by(failed - *failures);
        *failures = failed;
        self.metrics.unsaved_visits.set(number(self.desk.unsaved() as u64));
        for took in self.desk.take_times() {
            self.metrics.unwritten_seconds.observe(took);
        }
    }

    fn show_cameras(&mut self) {
        let mut by_counter: BTreeMap<CounterId, Vec<(CameraId, CameraState)>> =
            self.desk.counters().map(|counter| (counter.clone(), Vec::new())).collect();
        for (counter, camera, state) in &self.cameras {
            by_counter.entry(counter.clone()).or_default().push((camera.clone(), state.borrow().clone()));
        }
        for (counter, states) in by_counter {
            self.desk.cameras(&counter, states);
        }
    }

    fn refresh_gauges(&self) {
        for (_, camera, state) in &self.cameras {
            self.metrics.camera_live.set(camera.as_str(), i64::from(*state.borrow() == CameraState::Live));
            self.metrics.camera_state.set(camera.as_str(), state.borrow().as_str(), &CameraState::NAMES);
        }
        self.metrics.gallery_customers.set(number(self.gallery.snapshot().len() as u64));
    }
}

fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
