//! The keeper's thread: the chores of the box that nobody waits for.
//!
//! What each chore does is its own room's; that the disk is never waited for at the counter is why they are here.

use std::sync::Arc;
use std::time::Duration;

use super::lookout::Lookout;
use super::report::Report;
use crate::clock::{Clock, Monotonic};
use crate::shutdown::Shutdown;
use crate::store::Store;
use crate::telemetry::Metrics;
use crate::trouble::{Trouble, Troubles};

/// How often the keeper looks what is due.
const LOOK: Duration = Duration::from_secs(1);
/// How often it is asked whether erasures left traces: it costs one row.
const SCRUB: Duration = Duration::from_secs(5);
/// How often the database itself is looked at.
const LOOK_AT_STORE: Duration = Duration::from_secs(2);
/// How often metrics and screens hear of the outbox.
const REPORT: Duration = Duration::from_secs(5);

pub(super) struct Keeper {
    pub store: Arc<Store>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    pub troubles: Troubles,
    pub report: Report,
    pub stop: Shutdown,
}

impl Keeper {
    /// Until the stop is asked.
    pub fn run(self) {
        let (mut scrub, mut look, mut report) =
            (Chore::every(SCRUB), Chore::every(LOOK_AT_STORE), Chore::every(REPORT));
        let mut lookout = Lookout::new(Arc::clone(&self.store), Arc::clone(&self.clock), self.troubles.clone());
        lookout.look();
        while !self.stop.wait_for(LOOK) {
            let now = self.clock.monotonic();
            if scrub.is_due(now) {
                self.scrub();
            }
            if look.is_due(now) {
                lookout.look();
            }
            count_troubles(&self.troubles, &self.metrics);
            if report.is_due(now) {
                self.report.look();
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
