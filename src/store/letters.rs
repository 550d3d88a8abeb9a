//! Events that the current CRM refused for good: a person looks at them, and takes them up again or forgets them.
//!
//! Giving one up is `delivery`'s; what former CRMs are owed, `debts`'.

use jiff::Timestamp;
use rusqlite::params;
use uuid::Uuid;

use super::delivery::limit;
use super::rows::{customer_id, key, time, uuid};
use super::targets::{self, CURRENT, wake};
use super::{Store, StoreError, lane, ledger, outbox};
use crate::customer::{CustomerId, VisitId};

/// An event that was given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    pub event: Uuid,
    pub kind: String,
    pub customer: CustomerId,
    pub visit: Option<Uuid>,
    pub created_at: Timestamp,
    pub attempts: u32,
    pub class: Option<String>,
    pub said: Option<String>,
}

impl Store {
    /// The given up, oldest first.
    pub fn dead_letters(&self, most: usize) -> Result<Vec<DeadLetter>, StoreError> {
        self.read(|tx| {
            let mut statement = tx.prepare_cached(
                "SELECT event, kind, customer, visit, created_at, attempts, last_error_class, last_error
                 FROM outbox WHERE target = (SELECT id FROM targets WHERE state = 'current') AND state = 'dead'
                 ORDER BY seq LIMIT ?1",
            )?;
            let mut rows = statement.query(params![limit(most)])?;
            let mut letters = Vec::new();
            while let Some(row) = rows.next()? {
                letters.push(DeadLetter {
                    event: uuid(row, 0)?,
                    kind: row.get(1)?,
                    customer: customer_id(row, 2)?,
                    visit: row.get::<_, Option<[u8; 16]>>(3)?.map(Uuid::from_bytes),
                    created_at: time(row.get(4)?)?,
                    attempts: row.get(5)?,
                    class: row.get(6)?,
                    said: row.get(7)?,
                });
            }
            Ok(letters)
        })
    }

    /// Takes one given-up event, or all, up again, and wakes a delivery that waits out a failure. Returns how many
    /// were taken up.
    pub fn retry(&self, event: Option<Uuid>) -> Result<usize, StoreError> {
        let again = format!(
            "UPDATE deliveries SET state = 'new', not_before = NULL WHERE target = {CURRENT} AND state = 'dead'
             AND (?1 IS NULL OR fact = (SELECT seq FROM facts WHERE id = ?1))"
        );
        self.write(|tx| {
            if event.is_none() {
                let waiting =
                    format!("UPDATE deliveries SET not_before = NULL WHERE target = {CURRENT} AND state = 'new'");
                tx.execute(&waiting, [])?;
                // Contacts that were looked for in vain may be there now.
                tx.execute("UPDATE crm_links SET tried_at = 0 WHERE state IN ('absent', 'unclear', 'deleted')", [])?;
            }
            let taken = tx.execute(&again, params![event.map(key)])?;
            wake(tx)?;
            Ok(taken)
        })
    }

    /// Takes up what was given up in the same words as this event, itself among them. Returns how many were.
    pub fn retry_like(&self, event: Uuid) -> Result<usize, StoreError> {
        self.write(|tx| {
            let target = targets::current(tx)?;
            let is_dead = "SELECT 1 FROM outbox WHERE event = ?1 AND target = ?2 AND state = 'dead'";
            if !tx.prepare_cached(is_dead)?.exists(params![key(event), target.0])? {
                return Ok(0);
            }
            let taken = lane::cause_is_mended(tx, target, event)?;
            wake(tx)?;
            Ok(taken)
        })
    }

    /// Forgets one given-up event. A visit that may be there nevertheless is taken back. `false` when no given-up event
    /// has this id.
    pub fn discard(&self, event: Uuid, now: Timestamp) -> Result<bool, StoreError> {
        let sql = format!(
            "UPDATE deliveries SET state = 'withdrawn', sealed = NULL WHERE target = {CURRENT} AND state = 'dead'
             AND fact = (SELECT seq FROM facts WHERE id = ?1)"
        );
        self.write(|tx| {
            if tx.execute(&sql, params![key(event)])? == 0 {
                return Ok(false);
            }
            let target = targets::current(tx)?;
            let (kind, customer, visit) =
                tx.query_row("SELECT kind, customer, visit FROM facts WHERE id = ?1", params![key(event)], |row| {
                    Ok((row.get::<_, String>(0)?, customer_id(row, 1)?, row.get::<_, Option<[u8; 16]>>(2)?))
                })?;
            if let (Some(visit), "visit") = (visit.map(|id| VisitId(Uuid::from_bytes(id))), &*kind)
                && ledger::targets_of_record(tx, event)?.contains(&target)
            {
                outbox::put_correction_for(tx, &[target], event, customer, visit, now)?;
            }
            Ok(true)
        })
    }
}
