//! Signs of life: to the CRM, where it has a place for them, and beside it.
//!
//! What they say is `crate::app`'s.

use super::Courier;
use crate::crm::FailureClass;
use crate::store::StoreError;

impl Courier {
    /// Gives the sign of life that goes beside the CRM, if it is due. A receiver that is away is not waited for.
    pub(super) async fn light_beacon(&mut self) {
        let (every, now) = (self.parts.settings.heartbeat_every, self.parts.clock.monotonic());
        let due = !every.is_zero() && now >= self.next_beacon;
        let Some(beacon) = self.parts.beacon.as_mut().filter(|_| due) else { return };
        self.next_beacon = now + every;
        let beat = (self.parts.heartbeat)();
        if let Err(failure) = beacon.heartbeat(&beat).await {
            self.parts.metrics.beacon_failures.inc();
            tracing::warn!(said = failure.said(), "the receiver of signs of life did not take one");
        }
    }

    /// Gives a sign of life if one is due; whether anything was sent.
    pub(super) async fn beat(&mut self) -> Result<bool, StoreError> {
        let (every, now) = (self.parts.settings.heartbeat_every, self.parts.clock.monotonic());
        if !self.takes_heartbeats || now < self.next_beat {
            return Ok(false);
        }
        self.next_beat = now + every;
        let beat = (self.parts.heartbeat)();
        match self.parts.connector.heartbeat(&beat).await {
            Ok(true) => self.well()?,
            Ok(false) => self.takes_heartbeats = false,
            Err(failure) if matches!(failure.class, FailureClass::Poison | FailureClass::TenantBlocked) => {
                // No reason to hold back visits.
                tracing::warn!(said = failure.said(), "the CRM does not take signs of life; run `snova crm probe`");
            }
            Err(failure) => self.rest(&failure)?,
        }
        Ok(true)
    }
}
