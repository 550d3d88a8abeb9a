//! What is recorded of a visit, and when it was by its own time; and what becomes of visits when the service stops.
//!
//! A visit's lengths are monotonic: its end is its begin plus the time that passed, whatever the wall clock was set to
//! meanwhile. How a write reaches the disk is `crate::store`'s.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;

use super::Desk;
use super::desk::purpose;
use crate::clock::{Monotonic, SinceBoot, WallTime};
use crate::customer::{CustomerId, HowKnown, Verdict, VisitId};
use crate::face::CounterId;
use crate::store::{LeftVisit, SeenAt, VisitRecord, VisitWrite, Written};
use crate::visit::{Resumed, VisitEvent};

/// How often it is noted when the customers of open visits were last seen: by so much a crash may shorten a visit.
const NOTE_SEEN: Duration = Duration::from_secs(10);

/// The visits that have a row, until their merge windows have passed.
#[derive(Default)]
pub(super) struct Rows {
    all: HashMap<VisitId, Row>,
    noted_at: Monotonic,
    /// The number of the last note, of which one at a time is on its way.
    note: u64,
    /// From showing to the disk, of the writes that got there since these were asked for.
    took: Vec<Duration>,
}

struct Row {
    customer: CustomerId,
    counter: CounterId,
    how: HowKnown,
    /// What time it was for this visit at the point `then`; from there on its time runs by itself.
    at: WallTime,
    then: Monotonic,
    is_open: bool,
}

impl Row {
    fn time(&self, now: Monotonic) -> WallTime {
        WallTime { at: later(self.at.at, now.since(self.then)), ..self.at }
    }
}

impl Desk {
    /// The store's side of an event.
    pub(super) fn record(&mut self, now: Monotonic, event: &VisitEvent) {
        match event {
            VisitEvent::Opened { visit, counter, customer, how } => {
                let at = self.clock.wall();
                let (customer, counter, how) = (*customer, counter.clone(), *how);
                let record = VisitRecord { id: *visit, customer, counter: counter.clone(), opened_at: at, how };
                let row = Row { customer, counter, how, at, then: now, is_open: true };
                self.rows.all.insert(*visit, row);
                let entry = self.keys.being_taken();
                self.put(now, VisitWrite::Open { visit: record, entry });
                self.note_served_by(now, *visit);
            }
            VisitEvent::Returned { visit, reopens: true, .. } => self.reopen(now, *visit),
            VisitEvent::Confirmed { visit, .. } => self.put_answer(now, *visit, Verdict::Yes),
            VisitEvent::Reassigned { visit, customer, .. } => {
                if let Some(row) = self.rows.all.get_mut(visit) {
                    row.customer = *customer;
                }
                self.put_answer(now, *visit, Verdict::Other(*customer));
            }
            VisitEvent::Rejected { visit, recorded: true, .. } => {
                self.put_answer(now, *visit, Verdict::No);
                self.leave(now, *visit);
                self.rows.all.remove(visit);
            }
            // Whoever may not be recorded any more has left for good, and their visit has an end like any other.
            VisitEvent::Left { visit, recorded, last, .. } if *last || !recorded => self.leave(now, *visit),
            VisitEvent::Closed { visit, .. } => {
                self.rows.all.remove(visit);
            }
            VisitEvent::Returned { .. }
            | VisitEvent::Left { .. }
            | VisitEvent::Suggested { .. }
            | VisitEvent::Held { .. }
            | VisitEvent::Rejected { recorded: false, .. } => {}
        }
    }

    /// What the writer has done since the last call: who may not be recorded leaves the screens.
    pub(super) fn settle(&mut self, now: Monotonic) {
        for written in self.queue.take_written() {
            match written {
                Written::Recorded { took, refreshed, anew, .. } => {
                    self.rows.took.push(took);
                    if let Some(known) = refreshed {
                        self.roster.refresh(*known);
                    }
                    if let Some((visit, opened_at, then)) = anew
                        && let Some(row) = self.rows.all.get_mut(&visit)
                    {
                        (row.at, row.then) = (opened_at, then);
                    }
                }
                Written::Refused { number, customer } => {
                    self.keys.refuse(number);
                    if let Some(customer) = customer {
                        self.drop_customers(now, &[customer]);
                    }
                }
            }
        }
    }

    /// How long the writes that reached the disk were shown before; each is told once.
    pub fn take_times(&mut self) -> Vec<Duration> {
        std::mem::take(&mut self.rows.took)
    }

    /// Notes when the customers of open visits were last seen: a crash must not end a visit at its beginning.
    pub(super) fn note_seen(&mut self, now: Monotonic) {
        if now.since(self.rows.noted_at) < NOTE_SEEN || !self.queue.is_done(self.rows.note) {
            return;
        }
        self.rows.noted_at = now;
        let since_boot = self.clock.since_boot();
        let seen = |(visit, seen): (VisitId, Monotonic)| {
            let row = self.rows.all.get(&visit).filter(|row| row.is_open)?;
            let after = |since: SinceBoot| SinceBoot { after: since.after.saturating_sub(now.since(seen)), ..since };
            Some((visit, SeenAt { at: row.time(seen).at, since_boot: since_boot.clone().map(after) }))
        };
        let seen: Vec<_> = self.visits.present().into_iter().filter_map(seen).collect();
        if !seen.is_empty() {
            self.rows.note = self.put(now, VisitWrite::Seen(seen));
        }
    }

    /// Goes on with visits that an earlier run of the service left within the merge window: their customers' names
    /// appear without a second greeting. To be called once, before anybody is seen.
    pub fn take_up(&mut self, now: Monotonic, left: Vec<LeftVisit>) {
        for LeftVisit { record, ended, ago } in left {
            let entered = record.how == HowKnown::Entered;
            let here = self.counters.contains_key(&record.counter);
            let Some(left) = self.config.visit.merge.checked_sub(ago).filter(|_| here) else { continue };
            if self.live_customer(record.customer, purpose(entered)).is_none() {
                continue;
            }
            let VisitRecord { id: visit, customer, counter, how, .. } = record;
            let at = WallTime { at: later(ended.at, ago), ..ended };
            let row = Row { customer, counter: counter.clone(), how, at, then: now, is_open: false };
            self.rows.all.insert(visit, row);
            self.visits.take_up(now, Resumed { visit, counter, customer, how, entered, left });
        }
    }

    fn reopen(&mut self, now: Monotonic, visit: VisitId) {
        let (id, opened_at) = (VisitId(self.clock.mint()), self.clock.wall());
        let Some(row) = self.rows.all.get_mut(&visit).filter(|row| !row.is_open) else { return };
        row.is_open = true;
        let (customer, counter, how) = (row.customer, row.counter.clone(), row.how);
        let anew = VisitRecord { id, customer, counter, opened_at, how };
        self.put(now, VisitWrite::Reopen { visit, anew });
        self.note_served_by(now, visit);
    }

    fn note_served_by(&mut self, now: Monotonic, visit: VisitId) {
        let Some(row) = self.rows.all.get(&visit) else { return };
        if let Some(who) = self.shifts.who(&row.counter) {
            self.put(now, VisitWrite::Served { visit, who });
        }
    }

    fn leave(&mut self, now: Monotonic, visit: VisitId) {
        let Some(row) = self.rows.all.get_mut(&visit).filter(|row| row.is_open) else { return };
        row.is_open = false;
        let (at, wall) = (row.time(now), self.clock.wall());
        let left = SeenAt { at: at.at, since_boot: self.clock.since_boot() };
        // By the clock that the courier will ask.
        let deliver_after = later(wall.at, self.config.visit.merge.max(self.config.grace));
        self.put(now, VisitWrite::Leave { visit, left, at, deliver_after });
    }

    fn put_answer(&mut self, now: Monotonic, visit: VisitId, answer: Verdict) {
        let at = self.clock.wall();
        self.put(now, VisitWrite::Answer { visit, answer, at });
    }

    pub(super) fn put(&mut self, now: Monotonic, write: VisitWrite) -> u64 {
        let days = self.days();
        self.queue.put(write, days, now)
    }
}

fn later(at: Timestamp, by: Duration) -> Timestamp {
    at.checked_add(by).unwrap_or(at)
}
