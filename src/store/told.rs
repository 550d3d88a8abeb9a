//! When a contact is next to be told what its visits come to: after each change, at most once an hour.
//!
//! What that is, and the telling, is `crate::sync`'s. Nothing of it is kept here: all of it is counted from the CRM's own
//! records.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Transaction, params};
use uuid::Uuid;

use super::delivery::limit;
use super::error::Fault;
use super::rows::{customer_id, key, micros};
use super::targets::TargetId;
use super::{Store, StoreError, consents};
use crate::customer::{Consent, CustomerId};

/// A contact is told at most so often.
const LEAST_BETWEEN: SignedDuration = SignedDuration::from_hours(1);

/// A linked contact whose told fields are due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueTold {
    pub customer: CustomerId,
    pub contact: String,
    /// As it is kept today.
    pub consent: Consent,
    /// Which change this is, as [`Store::told`] is given it back.
    pub change: Option<i64>,
}

impl Store {
    /// Linked contacts of `target` that are to be told now, at most `most`, those that wait longest first.
    pub fn due_to_tell(&self, target: TargetId, most: usize, now: Timestamp) -> Result<Vec<DueTold>, StoreError> {
        self.read(|tx| {
            let mut statement = tx.prepare_cached(
                "SELECT customer, contact, tell_at FROM crm_links WHERE target = ?1 AND state = 'linked'
                 AND (told_contact IS NOT contact OR tell_at <= ?2)
                 AND (told_at IS NULL OR told_contact IS NOT contact OR told_at <= ?3 OR told_at > ?2)
                 ORDER BY tell_at, customer LIMIT ?4",
            )?;
            let hour_ago = now.checked_sub(LEAST_BETWEEN).unwrap_or(Timestamp::MIN);
            let mut rows = statement.query(params![target.0, micros(now), micros(hour_ago), limit(most)])?;
            let mut due = Vec::new();
            while let Some(row) = rows.next()? {
                let customer = customer_id(row, 0)?;
                if let Some(consent) = consents::current(tx, customer)? {
                    due.push(DueTold { customer, contact: row.get(1)?, consent, change: row.get(2)? });
                }
            }
            Ok(due)
        })
    }

    /// Notes that the contact was told now, and when what it was told changes by itself. What changed meanwhile stays due.
    pub fn told(
        &self,
        target: TargetId,
        due: &DueTold,
        now: Timestamp,
        again: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        self.write(|tx| {
            tx.prepare_cached(
                "UPDATE crm_links SET told_at = ?4, told_contact = ?3, tell_at = iif(tell_at IS ?6, ?5, tell_at)
                 WHERE customer = ?1 AND target = ?2 AND contact = ?3",
            )?
            .execute(params![
                key(due.customer.0),
                target.0,
                due.contact,
                micros(now),
                again.map(micros),
                due.change
            ])?;
            Ok(())
        })
    }
}

/// What the CRM has of the customer of `event` has changed: their contact is to be told.
pub(super) fn changed(tx: &Transaction<'_>, target: TargetId, event: Uuid) -> Result<(), Fault> {
    tx.prepare_cached(
        "UPDATE crm_links SET tell_at = 0 WHERE target = ?1 AND customer = (SELECT customer FROM facts WHERE id = ?2)",
    )?
    .execute(params![target.0, key(event)])?;
    Ok(())
}

/// The customer's consent has changed: every CRM that has a contact of theirs is to hear so.
pub(super) fn consent_changed(tx: &Transaction<'_>, customer: CustomerId, at: Timestamp) -> Result<(), Fault> {
    tx.execute("UPDATE crm_links SET tell_at = ?2 WHERE customer = ?1", params![key(customer.0), micros(at)])?;
    Ok(())
}
