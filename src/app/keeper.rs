//! The keeper's thread: the chores of the box that nobody waits for.
//!
//! What each chore does is its own room's; that the disk is never waited for at the counter is why they are here.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, Monotonic};
use crate::shutdown::Shutdown;
use crate::store::Store;

/// How often the keeper looks what is due.
const LOOK: Duration = Duration::from_secs(1);
/// How often it is asked whether erasures left traces: it costs one row.
const SCRUB: Duration = Duration::from_secs(5);
/// How often it is looked whether there is room for the spare again, and whether it should be longer.
const SPARE: Duration = Duration::from_secs(60);
/// How often copies of the database are looked at; the first time at once.
const COPIES: Duration = Duration::from_secs(3600);

pub(super) struct Keeper {
    pub store: Arc<Store>,
    pub clock: Arc<dyn Clock>,
    pub stop: Shutdown,
}

impl Keeper {
    /// Until the stop is asked.
    pub fn run(self) {
        let mut scrub = Chore::every(SCRUB);
        let (mut spare, mut copies) = (Chore::every(SPARE), Chore::every(COPIES));
        while !self.stop.wait_for(LOOK) {
            let now = self.clock.monotonic();
            if scrub.is_due(now) {
                self.scrub();
            }
            if spare.is_due(now) {
                self.keep_spare();
            }
            if copies.is_due(now) {
                self.tidy_copies();
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
        match self.store.tidy_copies(self.clock.wall().at) {
            Ok(0) => {}
            Ok(gone) => tracing::info!(gone, "copies of the database were overwritten and deleted"),
            Err(error) => tracing::warn!(%error, "copies of the database are still there; trying again"),
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
