//! The keeper's thread: the chores of the box that nobody waits for.
//!
//! What each chore does is its own room's; that the disk is never waited for at the counter is why they are here.

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use jiff::tz::TimeZone;

use crate::clock::{Clock, Monotonic, Trust};
use crate::shutdown::Shutdown;
use crate::store::Store;

/// How often the keeper looks what is due.
const LOOK: Duration = Duration::from_secs(1);
/// How often it is asked whether erasures left traces: it costs one row.
const SCRUB: Duration = Duration::from_secs(5);
/// How often it is looked whether visits are too old to be kept, in the hours in which nobody comes.
const RETIRE: Duration = Duration::from_secs(3600);
/// The shop's hours in which visits are removed.
const NIGHT: std::ops::Range<i8> = 3..5;
/// Visits removed in one transaction: a few, so that nobody waits for it.
const RETIRED_AT_ONCE: usize = 500;

pub(super) struct Keeper {
    pub store: Arc<Store>,
    pub clock: Arc<dyn Clock>,
    pub stop: Shutdown,
    pub time_zone: TimeZone,
    pub keep_visits_days: Option<u32>,
}

impl Keeper {
    /// Until the stop is asked.
    pub fn run(self) {
        let mut scrub = Chore::every(SCRUB);
        let mut retire = Chore::every(RETIRE);
        while !self.stop.wait_for(LOOK) {
            let now = self.clock.monotonic();
            if scrub.is_due(now) {
                self.scrub();
            }
            if self.is_night() && retire.is_due(now) {
                self.retire();
            }
        }
    }

    /// By a clock that can be right: what it removes does not come back.
    fn is_night(&self) -> bool {
        let hour = self.clock.wall().at.to_zoned(self.time_zone.clone()).hour();
        self.clock.trust() == Trust::Plausible && NIGHT.contains(&hour)
    }

    /// Removes visits that are too old to be kept, one round; the rest goes in the rounds after.
    fn retire(&self) {
        let Some(days) = self.keep_visits_days else { return };
        let Ok(before) = self.clock.wall().at.checked_sub(SignedDuration::from_hours(24 * i64::from(days))) else {
            return;
        };
        match self.store.retire_visits(before, RETIRED_AT_ONCE) {
            Ok(0) => {}
            Ok(visits) => tracing::info!(visits, "visits that were too old to be kept were removed"),
            Err(error) => {
                tracing::warn!(%error, "visits that are too old to be kept could not be removed; trying again")
            }
        }
    }

    /// Overwrites what an erasure could not, because a reader was in the way.
    fn scrub(&self) {
        if let Err(error) = self.store.scrub() {
            tracing::warn!(%error, "traces of erased customers are still in the files; trying again");
        }
    }
}

/// Something that is done now and then.
struct Chore {
    every: Duration,
    done_at: Option<Monotonic>,
}

impl Chore {
    fn every(every: Duration) -> Self {
        Self { every, done_at: None }
    }

    /// Whether its time has come; asked once a round, it then counts as done.
    fn is_due(&mut self, now: Monotonic) -> bool {
        let due = self.done_at.is_none_or(|at| now.since(at) >= self.every);
        if due {
            self.done_at = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{SimulatedClock, WallTime};
    use crate::store::StoreConfig;
    use crate::vault::Seal;

    struct Doubtful(SimulatedClock, Trust);

    impl Clock for Doubtful {
        fn monotonic(&self) -> Monotonic {
            self.0.monotonic()
        }
        fn wall(&self) -> WallTime {
            self.0.wall()
        }
        fn trust(&self) -> Trust {
            self.1
        }
    }

    #[test]
    fn old_visits_are_removed_at_night_alone_and_under_a_clock_that_can_be_right() {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(&StoreConfig::new(dir.path()), Seal::plain()).unwrap());
        let is_night = |time: &str, trust| {
            let clock = Arc::new(Doubtful(SimulatedClock::starting_at(time.parse().unwrap()), trust));
            let (_stopper, stop) = crate::shutdown::channel();
            let time_zone = TimeZone::get("Europe/Kyiv").unwrap();
            Keeper { store: Arc::clone(&store), clock, stop, time_zone, keep_visits_days: Some(1) }.is_night()
        };
        // Two hours east of UTC in winter.
        let times = ["2026-03-02T00:59:00Z", "2026-03-02T01:00:00Z", "2026-03-02T02:59:00Z", "2026-03-02T03:00:00Z"];
        assert_eq!(times.map(|time| is_night(time, Trust::Plausible)), [false, true, true, false]);
        assert!(!is_night(times[1], Trust::Ahead));
    }
}
