//! The outbox for the web: how far it is, and what a person decides about it.
//!
//! What is kept is `crate::store`'s.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use crate::clock::Clock;
use crate::store::{OutboxStatus, Store};
use crate::web::{DeadLetter, OutboxHealth, SyncDesk, SyncError};

/// The outbox of a box that has no CRM: nothing is sent, so nothing can be sent again.
pub(super) struct Outbox {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
}

impl Outbox {
    pub fn new(store: &Arc<Store>, clock: &Arc<dyn Clock>) -> Self {
        Self { store: Arc::clone(store), clock: Arc::clone(clock) }
    }
}

impl SyncDesk for Outbox {
    fn report(&self) -> Result<OutboxHealth, SyncError> {
        let status = self.store.outbox_status().map_err(|error| {
            tracing::error!(%error, "the outbox cannot be read");
            SyncError::Store
        })?;
        Ok(health(status, self.clock.wall().at))
    }

    fn dead(&self, _most: usize) -> Result<Vec<DeadLetter>, SyncError> {
        Ok(Vec::new())
    }

    fn retry(&self, _event: Uuid) -> Result<(), SyncError> {
        Err(SyncError::UnknownEvent)
    }

    fn retry_all(&self) -> Result<u64, SyncError> {
        Ok(0)
    }

    fn discard(&self, _event: Uuid) -> Result<(), SyncError> {
        Err(SyncError::UnknownEvent)
    }
}

pub(super) fn health(status: OutboxStatus, now: Timestamp) -> OutboxHealth {
    let age = |created| Duration::try_from(now.duration_since(created)).unwrap_or_default();
    OutboxHealth {
        crm: "none".to_owned(),
        depth: status.depth,
        oldest_age: status.oldest_created_at.map(age),
        dead: status.dead,
        ..OutboxHealth::default()
    }
}
