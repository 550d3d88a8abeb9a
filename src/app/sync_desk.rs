//! The outbox for the web: how far it is, why it stands still, and what a person decides about it.
//!
//! What is kept is `crate::store`'s, what is sent `crate::sync`'s.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use crate::clock::Clock;
use crate::crm::FailureClass;
use crate::greeter::CrmTrouble;
use crate::store::{OutboxStatus, Store, StoreError, SyncState};
use crate::sync::notes;
use crate::trouble::DeliveryTrouble;
use crate::web::{DeadLetter, OutboxHealth, SyncDesk, SyncError};

/// The cashier is told of a CRM that fails for so long; before, it is nobody's worry.
const LATE_AFTER: Duration = Duration::from_secs(30 * 60);

/// The outbox of this box.
#[derive(Clone)]
pub(super) struct Outbox {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    /// The configured kind of CRM.
    crm: &'static str,
}

impl Outbox {
    pub fn new(store: &Arc<Store>, clock: &Arc<dyn Clock>, crm: &'static str) -> Self {
        Self { store: Arc::clone(store), clock: Arc::clone(clock), crm }
    }

    /// The truth for `/health`; what cannot be read is not there.
    pub fn health(&self) -> OutboxHealth {
        self.report().unwrap_or_else(|_| OutboxHealth { crm: self.crm.to_owned(), ..OutboxHealth::default() })
    }

    fn notes(&self, status: &OutboxStatus, now: Timestamp) -> Vec<(DeliveryTrouble, String)> {
        let skew = self.clock.judgement().and_then(|judgement| judgement.skew);
        let target = self.store.current_target();
        let other_key = target.and_then(|target| self.store.other_company_key(target)).unwrap_or_default();
        notes(status, skew, other_key.as_deref(), now)
    }

    /// What a cashier should know of it.
    pub fn trouble(&self) -> Option<CrmTrouble> {
        let (state, status) = (self.store.sync_state().ok()?, self.store.outbox_status().ok()?);
        if self.crm == "none" { None } else { trouble(&state, status.late_since, self.clock.wall().at) }
    }
}

/// `waits_since` is the oldest event's that only waits for its turn: it may wait although the CRM answers.
fn trouble(state: &SyncState, waits_since: Option<Timestamp>, now: Timestamp) -> Option<CrmTrouble> {
    match class_of(state) {
        Some(FailureClass::Auth) => Some(CrmTrouble::Refused),
        Some(FailureClass::TenantBlocked) => Some(CrmTrouble::Blocked),
        class => {
            let since = class.and(state.failing_since).into_iter().chain(waits_since).min()?;
            let late = Duration::try_from(now.duration_since(since)).is_ok_and(|time| time >= LATE_AFTER);
            late.then_some(CrmTrouble::Late { since })
        }
    }
}

fn class_of(state: &SyncState) -> Option<FailureClass> {
    let class = state.error_class.as_deref()?;
    FailureClass::ALL.into_iter().find(|known| known.as_str() == class)
}

impl SyncDesk for Outbox {
    fn report(&self) -> Result<OutboxHealth, SyncError> {
        let read = || -> Result<(OutboxStatus, SyncState), StoreError> {
            Ok((self.store.outbox_status()?, self.store.sync_state()?))
        };
        let (status, state) = read().map_err(unreadable)?;
        let now = self.clock.wall().at;
        let class = class_of(&state);
        Ok(OutboxHealth {
            crm: self.crm.to_owned(),
            connected: self.crm != "none" && class.is_none() && state.last_success.is_some(),
            depth: status.depth,
            oldest_age: status
                .oldest_created_at
                .map(|created| Duration::try_from(now.duration_since(created)).unwrap_or_default()),
            dead: status.dead,
            unlinked: state.unlinked,
            held: status.held,
            debts: status.debts,
            last_success: state.last_success,
            error_class: class.map(FailureClass::as_str),
            error: state.error,
            blocked_until: state.blocked_until.filter(|until| *until > now),
            notes: if self.crm == "none" { Vec::new() } else { self.notes(&status, now) },
        })
    }

    fn dead(&self, most: usize) -> Result<Vec<DeadLetter>, SyncError> {
        let letters = self.store.dead_letters(most).map_err(unreadable)?;
        let letter = |letter: crate::store::DeadLetter| DeadLetter {
            event: letter.event,
            kind: letter.kind,
            visit: letter.visit,
            customer: letter.customer.0,
            created_at: letter.created_at,
            attempts: letter.attempts,
            error_class: letter.class,
            error: letter.said,
        };
        Ok(letters.into_iter().map(letter).collect())
    }

    fn retry(&self, event: Uuid) -> Result<(), SyncError> {
        match self.store.retry(Some(event)).map_err(unreadable)? {
            0 => Err(SyncError::UnknownEvent),
            _ => Ok(()),
        }
    }

    fn retry_all(&self) -> Result<u64, SyncError> {
        self.store.retry(None).map(|taken| taken as u64).map_err(unreadable)
    }

    fn discard(&self, event: Uuid) -> Result<(), SyncError> {
        if self.store.discard(event, self.clock.wall().at).map_err(unreadable)? {
            Ok(())
        } else {
            Err(SyncError::UnknownEvent)
        }
    }
}

fn unreadable(error: StoreError) -> SyncError {
    tracing::error!(%error, "the outbox cannot be used");
    SyncError::Store
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(class: &str) -> SyncState {
        let failing_since = Some(Timestamp::from_second(1_000_000).unwrap());
        SyncState { error_class: Some(class.to_owned()), failing_since, ..SyncState::default() }
    }

    #[test]
    fn the_cashier_hears_of_a_refused_login_at_once_and_of_an_outage_after_half_an_hour() {
        let at = |minutes: i64| Timestamp::from_second(1_000_000 + minutes * 60).unwrap();
        let trouble = |state: &SyncState, now| trouble(state, None, now);
        assert_eq!(trouble(&SyncState::default(), at(90)), None);
        assert_eq!(trouble(&state("auth"), at(0)), Some(CrmTrouble::Refused));
        assert_eq!(trouble(&state("tenant-blocked"), at(0)), Some(CrmTrouble::Blocked));
        assert_eq!(trouble(&state("transient"), at(29)), None);
        assert_eq!(trouble(&state("transient"), at(30)), Some(CrmTrouble::Late { since: at(0) }));
    }

    #[test]
    fn a_visit_that_waits_half_an_hour_is_late_though_the_crm_answers() {
        let at = |minutes: i64| Timestamp::from_second(1_000_000 + minutes * 60).unwrap();
        let told = |now| trouble(&SyncState::default(), Some(at(0)), at(now));
        assert_eq!((told(29), told(30)), (None, Some(CrmTrouble::Late { since: at(0) })));
    }
}
