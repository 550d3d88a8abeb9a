//! What a CRM's own clock says, by the `Date` of its answers, and how it goes on between them.
//!
//! It goes on by the monotonic clock: whatever the box's wall clock is set to, times of the CRM stay the CRM's. Whether the
//! box's clock is to be believed is `crate::clock`'s.

use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use crate::clock::Monotonic;

/// The clock of one CRM. All that talk to it share one.
#[derive(Default)]
pub struct ServerClock(Mutex<Option<(Monotonic, Timestamp)>>);

impl ServerClock {
    /// It said that it was `said` when it answered just now.
    pub fn hear(&self, now: Monotonic, said: Timestamp) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, said));
    }

    /// What it says now; `None` before its first answer.
    pub fn at(&self, now: Monotonic) -> Option<Timestamp> {
        let (heard, said) = (*self.0.lock().unwrap_or_else(PoisonError::into_inner))?;
        said.checked_add(now.since(heard)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_time_goes_on_by_the_clock_that_nobody_sets() {
        let clock = ServerClock::default();
        let said: Timestamp = "2026-03-02T09:00:00Z".parse().unwrap();
        assert_eq!(clock.at(Monotonic::from_millis(5_000)), None);
        clock.hear(Monotonic::from_millis(5_000), said);
        assert_eq!(clock.at(Monotonic::from_millis(65_000)), Some("2026-03-02T09:01:00Z".parse().unwrap()));
    }
}
