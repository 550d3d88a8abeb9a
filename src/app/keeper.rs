//! The keeper's thread: the chores of the box that nobody waits for.
//!
//! What each chore does is its own room's; that the disk is never waited for at the counter is why they are here.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::SignedDuration;
use jiff::tz::TimeZone;

use super::Settings;
use super::lookout::Lookout;
use super::report::Report;
use super::timekeeper::Timekeeper;
use crate::clock::{Clock, Monotonic, Trust};
use crate::shutdown::Shutdown;
use crate::store::Store;
use crate::telemetry::Metrics;
use crate::trouble::{Trouble, Troubles};

/// How often the keeper looks what is due.
const LOOK: Duration = Duration::from_secs(1);
/// How often it is asked whether erasures left traces: it costs one row.
const SCRUB: Duration = Duration::from_secs(5);
/// How often metrics and screens hear of the outbox.
const REPORT: Duration = Duration::from_secs(5);
/// How often it is looked whether visits are too old to be kept, in the hours in which nobody comes.
const RETIRE: Duration = Duration::from_secs(60);
/// The shop's hours in which visits are removed.
const NIGHT: std::ops::Range<i8> = 3..5;
/// Visits removed in one transaction: a few, so that nobody waits for it.
const RETIRED_AT_ONCE: usize = 500;
/// How often it is looked whether there is room for the spare again, and whether it should be longer.
const SPARE: Duration = Duration::from_secs(60);
/// How often copies of the database are looked at; the first time at once.
const COPIES: Duration = Duration::from_secs(3600);
/// How often the database itself is looked at.
const LOOK_AT_STORE: Duration = Duration::from_secs(2);

pub(super) struct Keeper {
    pub store: Arc<Store>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    pub troubles: Troubles,
    pub report: Report,
    pub stop: Shutdown,
    pub keeping: Keeping,
}

/// How long visits are kept, and whose night it is. All clones are one; a reload changes it.
#[derive(Clone)]
pub(super) struct Keeping(Arc<Mutex<(TimeZone, Option<u32>)>>);

impl Keeping {
    pub fn new(settings: &Settings) -> Self {
        Self(Arc::new(Mutex::new((settings.desk.time_zone.clone(), settings.keep_visits_days))))
    }

    pub fn follow(&self, settings: &Settings) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) =
            (settings.desk.time_zone.clone(), settings.keep_visits_days);
    }

    /// The shop's time zone, and for how many days visits are kept; `None`: for ever.
    fn now(&self) -> (TimeZone, Option<u32>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Keeper {
    /// Until the stop is asked.
    pub fn run(self) {
        let (mut scrub, mut report) = (Chore::every(SCRUB), Chore::every(REPORT));
        let (mut retire, mut time) =
            (Chore::every(RETIRE), Timekeeper::new(&self.store, &self.clock, &self.metrics, &self.troubles));
        let (mut spare, mut copies) = (Chore::every(SPARE), Chore::every(COPIES));
        let mut look = Chore::every(LOOK_AT_STORE);
        let mut lookout = Lookout::new(Arc::clone(&self.store), Arc::clone(&self.clock), self.troubles.clone());
        lookout.look();
        while !self.stop.wait_for(LOOK) {
            let now = self.clock.monotonic();
            if scrub.is_due(now) {
                self.scrub();
            }
            if report.is_due(now) {
                self.report.look();
            }
            time.look(now);
            if self.is_night() && retire.is_due(now) {
                self.retire();
            }
            if spare.is_due(now) {
                self.keep_spare();
            }
            if copies.is_due(now) {
                self.tidy_copies();
            }
            if look.is_due(now) {
                lookout.look();
            }
            count_troubles(&self.troubles, &self.metrics);
        }
        time.keep(self.clock.monotonic());
    }

    /// By a clock that can be right: what it removes does not come back.
    fn is_night(&self) -> bool {
        is_night(&*self.clock, self.keeping.now().0)
    }

    /// Removes visits that are too old to be kept, one round; the rest goes in the rounds after.
    fn retire(&self) {
        let Some(days) = self.keeping.now().1 else { return };
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

    /// Keeps room back for an erasure on a full disk.
    fn keep_spare(&self) {
        if let Err(error) = self.store.keep_spare() {
            tracing::warn!(%error, "no room is kept back for an erasure on a full disk");
        }
    }

    /// Ends copies of the database that are not needed any more.
    fn tidy_copies(&self) {
        // By a clock that cannot be right a copy of today may seem to be of last year.
        if self.clock.trust() != Trust::Plausible {
            return;
        }
        match self.store.tidy_copies(self.clock.wall().at) {
            Ok(0) => {}
            Ok(gone) => tracing::info!(gone, "copies of the database were overwritten and deleted"),
            Err(error) => tracing::warn!(%error, "copies of the database are still there; trying again"),
        }
    }
}

fn is_night(clock: &dyn Clock, zone: TimeZone) -> bool {
    clock.trust() == Trust::Plausible && NIGHT.contains(&clock.wall().at.to_zoned(zone).hour())
}

pub(super) fn count_troubles(troubles: &Troubles, metrics: &Metrics) {
    let held = troubles.all();
    for trouble in Trouble::ALL {
        let times = held.iter().find(|(one, _)| *one == trouble).map_or(0, |(_, times)| *times);
        metrics.trouble.set(trouble.as_str(), i64::try_from(times).unwrap_or(i64::MAX));
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
        let is_night = |time: &str, trust| {
            let clock = Doubtful(SimulatedClock::starting_at(time.parse().unwrap()), trust);
            is_night(&clock, TimeZone::get("Europe/Kyiv").unwrap())
        };
        // Two hours east of UTC in winter.
        let times = ["2026-03-02T00:59:00Z", "2026-03-02T01:00:00Z", "2026-03-02T02:59:00Z", "2026-03-02T03:00:00Z"];
        assert_eq!(times.map(|time| is_night(time, Trust::Plausible)), [false, true, true, false]);
        assert!(!is_night(times[1], Trust::Ahead));
    }
}
