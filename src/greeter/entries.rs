//! Cards and phones given at a counter: whose they are, and the bound on trying out those of others.
//!
//! What follows for the visit is `crate::visit`'s. Nothing of what was entered is written or logged here.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Desk, EntryError};
use crate::clock::Monotonic;
use crate::customer::{CustomerId, Purpose, VisitId, parse_entry};
use crate::face::CounterId;
use crate::store::StoreError;
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

/// A customer who was greeted by their card or phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entered {
    pub visit: VisitId,
    /// Whether a visit began, rather than one that went on.
    pub is_new: bool,
}

impl Desk {
    /// Takes a card or phone given at `counter`, as it was scanned or typed, and greets its customer there.
    pub fn enter(&mut self, now: Monotonic, counter: &CounterId, entered: &str) -> Result<Entered, EntryError> {
        let at = self.counters.get_mut(counter).ok_or(EntryError::Busy)?;
        if at.strangers.are_too_many(now) {
            return Err(EntryError::TooMany);
        }
        let found = self.customer_of(entered);
        let at = self.counters.get_mut(counter).ok_or(EntryError::Busy)?;
        let customer = found.inspect_err(|error| {
            if *error != EntryError::Busy {
                at.strangers.0.push_back(now);
            }
        })?;
        let clock = std::sync::Arc::clone(&self.clock);
        let (visit, events) = self.visits.introduce(now, counter, customer, &mut || clock.mint());
        self.carry_out(now, &events);
        let is_new = events.iter().any(|event| matches!(event, VisitEvent::Opened { .. }));
        Ok(Entered { visit, is_new })
    }

    fn customer_of(&self, entered: &str) -> Result<CustomerId, EntryError> {
        self.look_up(entered).map_err(|error| {
            tracing::error!(%error, "it cannot be looked up whose card or phone was given");
            EntryError::Busy
        })?
    }

    fn look_up(&self, entered: &str) -> Result<Result<CustomerId, EntryError>, StoreError> {
        let mut outcome = Err(EntryError::Unknown);
        for identifier in parse_entry(entered, self.config.country) {
            let Some(id) = self.store.identified(&identifier)? else { continue };
            let customer = self.store.customer(id)?;
            if customer.is_some_and(|c| c.consent.is_live(Purpose::CardGreeting, self.days())) {
                return Ok(Ok(id));
            }
            outcome = Err(EntryError::ConsentEnded);
        }
        Ok(outcome)
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
