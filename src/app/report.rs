//! How far the outbox is, for metrics and for the screens: read now and then, where nobody at a counter waits for it.
//!
//! What the outbox holds is `crate::store`'s; what the page says of it is `crate::web`'s.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::sync_desk::Outbox;
use crate::greeter::CrmTrouble;
use crate::telemetry::Metrics;
use crate::trouble::DeliveryTrouble;

/// Looks at the outbox of whichever CRM is configured.
#[derive(Clone)]
pub(super) struct Report {
    outbox: Arc<Mutex<Outbox>>,
    metrics: Arc<Metrics>,
    trouble: Arc<watch::Sender<Option<CrmTrouble>>>,
}

impl Report {
    /// With what the screens follow.
    pub fn new(outbox: Outbox, metrics: &Arc<Metrics>) -> (Self, watch::Receiver<Option<CrmTrouble>>) {
        let (trouble, seen) = watch::channel(None);
        let outbox = Arc::new(Mutex::new(outbox));
        (Self { outbox, metrics: Arc::clone(metrics), trouble: Arc::new(trouble) }, seen)
    }

    pub fn use_outbox(&self, outbox: Outbox) {
        *self.lock() = outbox;
    }

    pub fn look(&self) {
        let outbox = self.lock().clone();
        let (health, metrics) = (outbox.health(), &self.metrics);
        let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        metrics.outbox_depth.set(number(health.depth));
        metrics.outbox_dead.set(number(health.dead));
        metrics.outbox_unlinked.set(number(health.unlinked));
        metrics.outbox_oldest_age.set(number(health.oldest_age.unwrap_or_default().as_secs()));
        metrics.crm_last_success.set(health.last_success.map_or(0, |at| at.as_second()));
        let trouble = outbox.trouble();
        for (name, is_it) in [
            ("refused", trouble == Some(CrmTrouble::Refused)),
            ("blocked", trouble == Some(CrmTrouble::Blocked)),
            ("late", matches!(trouble, Some(CrmTrouble::Late { .. }))),
        ] {
            metrics.crm_trouble.set(name, i64::from(is_it));
        }
        for trouble in DeliveryTrouble::ALL {
            let holds = health.notes.iter().any(|(held, _)| *held == trouble);
            metrics.crm_trouble.set(trouble.as_str(), i64::from(holds));
        }
        self.trouble.send_replace(trouble);
    }

    fn lock(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
