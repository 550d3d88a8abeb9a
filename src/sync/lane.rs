//! Whether the lane to the CRM works: how long it rests after a failure of the whole, and when it stops because everything
//! is refused.
//!
//! What it took and refused is kept by `crate::store`; how long each class of failure rests, `backoff` says.

use std::time::Duration;

use jiff::Timestamp;

use super::{Courier, backoff, later};
use crate::clock::Days;
use crate::crm::{Failure, FailureClass};
use crate::store::{Ask, StoreError, SyncState};

/// The most visits of a call while the lane is stopped.
const A_FEW: usize = 3;

impl Courier {
    /// What is asked for next. A stopped lane is tried with a little.
    pub(super) fn ask(&self, state: &SyncState, now: Timestamp, days: Days) -> Ask {
        let is_try = state.error_class.as_deref() == Some(FailureClass::TenantBlocked.as_str());
        Ask {
            target: self.target,
            most: if is_try { self.batch.min(A_FEW) } else { self.batch },
            linked_only: self.manners.needs_contact,
            now,
            server_now: self.parts.server_clock.at(self.parts.clock.monotonic()),
            is_try,
            days,
            trust: self.parts.clock.trust(),
        }
    }

    /// How long the lane still rests. A person's wish ends the rest.
    pub(super) fn blocked(&mut self, state: &SyncState, now: Timestamp) -> Option<Duration> {
        if state.wakes != self.wakes {
            self.wakes = state.wakes;
            self.backoff.reset();
            self.next_pull = self.parts.clock.monotonic();
        }
        let until = state.blocked_until?;
        let wait = Duration::try_from(until.duration_since(now)).ok()?;
        // Longer than any rest there is: it was written under another clock.
        (!wait.is_zero() && wait <= backoff::LONGEST * 2).then_some(wait)
    }

    /// A failure that is not one event's own: everything rests.
    pub(super) fn rest(&mut self, failure: &Failure) -> Result<(), StoreError> {
        let wait = self.backoff.after(failure);
        self.say(failure, wait)
    }

    /// After a refusal: whether the lane stops, since everything is refused. What is refused then is not held against any row.
    pub(super) fn stops_for(&mut self, refusal: &Failure) -> Result<bool, StoreError> {
        if !self.lane.is_stopped() {
            return Ok(false);
        }
        let said = format!("everything is refused, and nothing was taken since: {}", refusal.said());
        let failure = Failure::blocked(said, None);
        if self.lane.holds_up_all() {
            self.rest(&failure)?;
            return Ok(true);
        }
        // It may be these few; others are sent beside them, and the first that is taken shows it.
        self.say(&failure, Duration::ZERO)?;
        Ok(false)
    }

    fn say(&mut self, failure: &Failure, wait: Duration) -> Result<(), StoreError> {
        let (now, class) = (self.now(), failure.class.as_str());
        self.failing = true;
        self.parts.metrics.crm_failures.inc(class);
        let before = self.parts.store.sync_state_of(self.target)?.error_class;
        self.parts.store.keep_failure(self.target, class, failure.said(), later(now, wait), now)?;
        let wait_s = wait.as_secs();
        if before.as_deref() == Some(class) {
            tracing::debug!(class, wait_s, said = failure.said(), "the CRM still fails");
        } else {
            tracing::warn!(class, wait_s, said = failure.said(), "the CRM fails; visits wait in the outbox");
        }
        Ok(())
    }

    /// The CRM has done what it was asked. While it refuses visits, only a visit that it takes says so.
    pub(super) fn well(&mut self) -> Result<(), StoreError> {
        if self.lane.refused > 0 {
            return Ok(());
        }
        let failed = self.backoff.reset();
        if std::mem::take(&mut self.failing) || failed {
            self.parts.store.clear_failure(self.target)?;
            tracing::info!("the CRM takes what it is sent again");
        }
        Ok(())
    }
}
