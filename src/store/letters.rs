//! Events that the current CRM refused for good: a person looks at them, and takes them up again or forgets them.
//!
//! Giving one up is `delivery`'s; what former CRMs are owed, `debts`'.

use jiff::Timestamp;
use rusqlite::params;
use uuid::Uuid;

use super::delivery::limit;
use super::rows::{customer_id, key, time, uuid};
use super::targets::{CURRENT, wake};
use super::{Store, StoreError};
use crate::customer::CustomerId;

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

    /// Forgets one given-up event: the CRM will never hear of it. What it may have of it stays in the ledger. `false` when
    /// no given-up event has this id.
    pub fn discard(&self, event: Uuid) -> Result<bool, StoreError> {
        let sql = format!(
            "UPDATE deliveries SET state = 'withdrawn', sealed = NULL WHERE target = {CURRENT} AND state = 'dead'
             AND fact = (SELECT seq FROM facts WHERE id = ?1)"
        );
        self.write(|tx| Ok(tx.execute(&sql, params![key(event)])? > 0))
    }
}
