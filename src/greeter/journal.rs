//! The writes that follow what was shown, kept in order and repeated until the disk takes them.
//!
//! What a write does to the database is `crate::store`'s; nothing here is ever about somebody not enrolled.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::clock::{Clock, Monotonic, WallTime};
use crate::customer::{CustomerId, Verdict, VisitId};
use crate::store::{Store, StoreError, VisitRecord};

/// One thing to be recorded.
pub(super) enum Write {
    Open(VisitRecord),
    Close { visit: VisitId, at: WallTime, deliver_after: Timestamp },
    Reopen(VisitId),
    Answer { visit: VisitId, answer: Verdict, at: WallTime },
}

/// Waits between tries while the disk is in trouble.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// The queue before the store. Empty unless the disk is in trouble.
pub struct Journal {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    time_zone: TimeZone,
    waiting: VecDeque<Write>,
    wait: Duration,
    retry_at: Monotonic,
    failures: u64,
}

impl Journal {
    pub fn new(store: Arc<Store>, clock: Arc<dyn Clock>, time_zone: TimeZone) -> Self {
        let retry_at = clock.monotonic();
        Self { store, clock, time_zone, waiting: VecDeque::new(), wait: FIRST_WAIT, retry_at, failures: 0 }
    }

    /// Visits that were shown and are not on disk yet.
    pub fn unsaved(&self) -> usize {
        self.waiting.iter().filter(|w| matches!(w, Write::Open(_))).count()
    }

    /// Failed tries since the start.
    pub fn failures(&self) -> u64 {
        self.failures
    }

    /// Records `write` now, or after what already waits. Gives the customers of visits that may not be
    /// recorded: erased meanwhile, or their consent ended.
    pub(super) fn write(&mut self, write: Write) -> Vec<CustomerId> {
        let idle = self.waiting.is_empty();
        self.waiting.push_back(write);
        if idle { self.flush() } else { Vec::new() }
    }

    /// Tries again what waits, if its time has come.
    pub(super) fn retry(&mut self, now: Monotonic) -> Vec<CustomerId> {
        if self.waiting.is_empty() || now < self.retry_at { Vec::new() } else { self.flush() }
    }

    /// Tries everything that waits, in order, until the disk refuses.
    pub(super) fn flush(&mut self) -> Vec<CustomerId> {
        let mut refused = Vec::new();
        while let Some(write) = self.waiting.front() {
            match self.attempt(write) {
                Ok(()) => {}
                Err(error) if may_pass(&error) => {
                    self.failures += 1;
                    if self.wait == FIRST_WAIT {
                        tracing::warn!(%error, "visits are shown but cannot be recorded; they are kept in memory and tried again");
                    }
                    self.retry_at = self.clock.monotonic() + self.wait;
                    self.wait = (self.wait * 2).min(LONGEST_WAIT);
                    return refused;
                }
                Err(error) => {
                    if let Write::Open(visit) = write {
                        refused.push(visit.customer);
                    }
                    tracing::info!(%error, "a visit was not recorded");
                }
            }
            self.waiting.pop_front();
        }
        if self.wait > FIRST_WAIT {
            tracing::info!("all visits are recorded again");
        }
        self.wait = FIRST_WAIT;
        refused
    }

    fn attempt(&self, write: &Write) -> Result<(), StoreError> {
        let days = self.clock.days(&self.time_zone);
        match write {
            Write::Open(record) => self.store.open_visit(record, days),
            Write::Close { visit, at, deliver_after } => self.store.close_visit(*visit, *at, *deliver_after),
            Write::Reopen(visit) => self.store.reopen_visit(*visit).map(drop),
            Write::Answer { visit, answer, at } => self.store.answer_visit(*visit, *answer, *at, days),
        }
    }
}

/// Whether trying again later can help.
fn may_pass(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::DiskFull { .. } | StoreError::Disk { .. } | StoreError::Busy { .. } | StoreError::ReadOnly { .. }
    )
}
