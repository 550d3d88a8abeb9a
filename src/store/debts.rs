//! What CRMs that are no longer configured must still take back or forget, and a person's word that they need not.
//!
//! Delivering it there is the courier's, as everywhere: `snova sync settle`.

use rusqlite::{Transaction, params};
use uuid::Uuid;

use super::error::Fault;
use super::rows::uuid;
use super::targets::{self, TargetId};
use super::{Store, StoreError, tombstone};

/// What a former CRM is owed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Debt {
    pub target: TargetId,
    /// The kind of CRM and its address.
    pub identity: String,
    /// Records that it has, or may have, and should not.
    pub records: u64,
    /// Customers whose contact there still bears their id.
    pub contacts: u64,
    /// Visits of which it is not known whether they arrived there.
    pub in_doubt: u64,
    /// What would be delivered: the ids of the facts.
    pub events: Vec<Uuid>,
}

/// In SQL, of `deliveries`: not at an end, for a target that is not configured any more. Visits that were never tried are
/// never there: they went to the next CRM.
const OWED: &str = "state IN ('new', 'held', 'sending', 'dead')
    AND target IN (SELECT id FROM targets former WHERE former.state = 'former')";

impl Store {
    /// What former CRMs are owed, in the order in which they were configured.
    pub fn debts(&self) -> Result<Vec<Debt>, StoreError> {
        self.read(|tx| {
            let sql = format!(
                "SELECT o.target, t.identity, o.kind, o.event, o.sealed
                 FROM (SELECT * FROM outbox WHERE {OWED}) o JOIN targets t ON t.id = o.target ORDER BY o.target, o.seq"
            );
            let mut statement = tx.prepare_cached(&sql)?;
            let mut rows = statement.query([])?;
            let mut debts: Vec<Debt> = Vec::new();
            while let Some(row) = rows.next()? {
                let target = TargetId(row.get(0)?);
                if debts.last().is_none_or(|debt| debt.target != target) {
                    let identity = row.get(1)?;
                    debts.push(Debt { target, identity, records: 0, contacts: 0, in_doubt: 0, events: Vec::new() });
                }
                let Some(debt) = debts.last_mut() else { continue };
                let (kind, event): (String, Uuid) = (row.get(2)?, uuid(row, 3)?);
                debt.events.push(event);
                match &*kind {
                    "visit" => debt.in_doubt += 1,
                    "correction" => debt.records += 1,
                    // One that does not open is owed all the same.
                    _ => match tombstone::open(&self.key, event, row.get(4)?) {
                        Ok(gone) => {
                            debt.records += gone.records.len() as u64;
                            debt.contacts += u64::from(gone.contact.is_some() || gone.perhaps_created);
                        }
                        Err(_) => debt.contacts += 1,
                    },
                }
            }
            Ok(debts)
        })
    }

    /// The CRM that was once configured under this identity, current or former.
    pub fn target_named(&self, identity: &str) -> Result<Option<TargetId>, StoreError> {
        self.read(|tx| targets::of_identity(tx, identity))
    }

    /// What was given up, or rests, is tried again at once: somebody is about to settle it.
    pub fn take_up_debts(&self, target: TargetId) -> Result<(), StoreError> {
        self.write(|tx| {
            tx.execute(
                "UPDATE deliveries SET state = 'new', not_before = NULL, suspect_since = NULL
                 WHERE target = ?1 AND state IN ('new', 'dead')",
                params![target.0],
            )?;
            tx.execute("UPDATE targets SET blocked_until = NULL WHERE id = ?1", params![target.0])?;
            Ok(())
        })
    }

    /// Drops what a former CRM is owed, and returns the ids of the facts it will never hear of. What it has of customers
    /// who are enrolled stays in the ledger.
    pub fn sign_off(&self, target: TargetId) -> Result<Vec<Uuid>, StoreError> {
        self.write(|tx| {
            let mut statement =
                tx.prepare_cached(&format!("SELECT event FROM outbox WHERE target = ?1 AND {OWED} ORDER BY seq"))?;
            let events = statement.query_map(params![target.0], |row| uuid(row, 0))?.collect::<Result<Vec<_>, _>>()?;
            tx.execute(
                &format!("UPDATE deliveries SET state = 'withdrawn', sealed = NULL WHERE target = ?1 AND {OWED}"),
                params![target.0],
            )?;
            Ok(events)
        })
    }
}

/// How many deliveries to former CRMs are not at an end.
pub(super) fn count(tx: &Transaction<'_>) -> Result<u64, Fault> {
    let sql = format!("SELECT count(*) FROM deliveries WHERE {OWED}");
    let count: i64 = tx.prepare_cached(&sql)?.query_row([], |row| row.get(0))?;
    Ok(count.unsigned_abs())
}
