//! Cards and phones given at a counter: whose they are, and the bound on trying out those of others.
//!
//! What follows for the visit is `crate::visit`'s. Nothing of what was entered is written or logged here.

use std::collections::VecDeque;
use std::time::Duration;

use uuid::Uuid;

use super::{Desk, EntryError};
use crate::clock::Monotonic;
use crate::customer::{CustomerId, Purpose, VisitId, parse_entry};
use crate::face::CounterId;
use crate::store::VisitWrite;
use crate::visit::VisitEvent;

/// So many entries that greet nobody may be made at a counter within the window: a cashier who mistypes makes a few,
/// who walks through phone numbers to see whose they are needs thousands.
const MOST_STRANGERS: usize = 30;
const WINDOW: Duration = Duration::from_secs(60);

/// When entries that greeted nobody were made at one counter.
#[derive(Default)]
pub(super) struct Strangers(VecDeque<Monotonic>);

impl Strangers {
    fn are_too_many(&mut self, now: Monotonic) -> bool {
        self.0.retain(|at| now.since(*at) < WINDOW);
        self.0.len() >= MOST_STRANGERS
    }
}

/// So many keys are remembered: a page sends an entry again within seconds, not after a thousand others.
const MOST_KEYS: usize = 1024;

/// The keys of entries that were taken, so that one that is sent twice is one.
#[derive(Default)]
pub(super) struct Keys {
    taken: VecDeque<(Uuid, Entered)>,
    /// Of the entry that is being taken, until a visit has it.
    taking: Option<Uuid>,
    /// Writes that were refused, lately.
    refused: VecDeque<u64>,
}

impl Keys {
    fn find(&self, key: Uuid) -> Option<Entered> {
        self.taken.iter().rev().find(|(other, _)| *other == key).map(|(_, entered)| *entered)
    }

    fn keep(&mut self, key: Uuid, entered: Entered) {
        self.taken.push_back((key, Entered { is_new: false, ..entered }));
        if self.taken.len() > MOST_KEYS {
            self.taken.pop_front();
        }
    }

    /// The key of the entry that opens this visit.
    pub fn being_taken(&mut self) -> Option<Uuid> {
        self.taking.take()
    }

    /// Nothing came of the write of that number, nor of an entry that led to it.
    pub fn refuse(&mut self, number: u64) {
        self.taken.retain(|(_, entered)| entered.write != number);
        self.refused.push_back(number);
        if self.refused.len() > MOST_STRANGERS {
            self.refused.pop_front();
        }
    }
}

/// A customer who was greeted by their card or phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entered {
    pub visit: VisitId,
    /// Whether a visit began, rather than one that went on.
    pub is_new: bool,
    /// The write that must be done for the visit to be on the disk.
    write: u64,
}

impl Desk {
    /// Takes a card or phone given at `counter`, as it was scanned or typed, and greets its customer there. One that
    /// comes again with the same key is the same entry.
    pub fn enter(
        &mut self,
        now: Monotonic,
        counter: &CounterId,
        entered: &str,
        key: Option<Uuid>,
    ) -> Result<Entered, EntryError> {
        if let Some(again) = key.and_then(|key| self.keys.find(key)) {
            return Ok(again);
        }
        let at = self.counters.get_mut(counter).ok_or(EntryError::Busy)?;
        if at.strangers.are_too_many(now) {
            return Err(EntryError::TooMany);
        }
        let customer = match self.customer_of(entered) {
            Ok(customer) => customer,
            Err(error) => {
                if let Some(at) = self.counters.get_mut(counter) {
                    at.strangers.0.push_back(now);
                }
                return Err(error);
            }
        };
        let clock = std::sync::Arc::clone(&self.clock);
        let (visit, events) = self.visits.introduce(now, counter, customer, &mut || clock.mint());
        self.keys.taking = key;
        self.carry_out(now, &events);
        // A visit that had begun before, and knows the entry all the same.
        if let Some(key) = self.keys.taking.take() {
            self.put(now, VisitWrite::Entry { visit, key });
        }
        let is_new = events.iter().any(|event| matches!(event, VisitEvent::Opened { .. }));
        let entered = Entered { visit, is_new, write: self.queue.last() };
        if let Some(key) = key {
            self.keys.keep(key, entered);
        }
        Ok(entered)
    }

    /// What became of an entry: `None` while its visit is on its way to the disk.
    pub fn entry_outcome(&self, entered: &Entered) -> Option<Result<(), EntryError>> {
        if !self.queue.is_done(entered.write) {
            return None;
        }
        // The store found what the roster did not know yet.
        let refused = self.keys.refused.contains(&entered.write);
        Some(if refused { Err(EntryError::ConsentEnded) } else { Ok(()) })
    }

    /// Remembers the entries of an earlier run of the service.
    pub fn remember_entries(&mut self, entries: Vec<(Uuid, VisitId)>) {
        for (key, visit) in entries.into_iter().rev() {
            self.keys.keep(key, Entered { visit, is_new: false, write: 0 });
        }
    }

    fn customer_of(&self, entered: &str) -> Result<CustomerId, EntryError> {
        let mut outcome = EntryError::Unknown;
        for identifier in parse_entry(entered, self.config.country) {
            let Some(id) = self.roster.identified(&identifier) else { continue };
            if self.live_customer(id, Purpose::CardGreeting).is_some() {
                return Ok(id);
            }
            outcome = EntryError::ConsentEnded;
        }
        Err(outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thirty_strangers_a_minute_are_borne_and_time_forgives_them() {
        let mut strangers = Strangers::default();
        for second in 0..30 {
            let now = Monotonic::from_millis(second * 1000);
            assert!(!strangers.are_too_many(now), "after {second}");
            strangers.0.push_back(now);
        }
        assert!(strangers.are_too_many(Monotonic::from_millis(59_999)));
        assert!(!strangers.are_too_many(Monotonic::from_millis(60_000)), "the first is a minute old");
    }
}
