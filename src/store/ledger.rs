//! The ledger: what each CRM has of a customer, or may have, under which id of its own.
//!
//! Takings back and erasures read it, each for its own CRM alone: another's ids belong to other people there. It outlives
//! the visits; an erasure takes a customer's part along, sealed.

use rusqlite::{OptionalExtension, Transaction, params};
use uuid::Uuid;

use super::error::Fault;
use super::rows::{key, micros, time, uuid};
use super::targets::TargetId;
use crate::customer::CustomerId;
use jiff::Timestamp;

/// A visit that a CRM has, or may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentRecord {
    /// The fact under whose id it was sent.
    pub key: Uuid,
    /// The CRM's own id of it, if it was told.
    pub record: Option<String>,
    /// The contact it was written for, where the CRM has contacts.
    pub contact: Option<String>,
    /// The record is not older.
    pub written_at: Timestamp,
}

/// The visit is about to leave for `target`: from now on it may be there.
pub(super) fn perhaps(
    tx: &Transaction<'_>,
    target: TargetId,
    sent: &SentRecord,
    customer: CustomerId,
) -> Result<(), Fault> {
    tx.prepare_cached(
        "INSERT INTO records (key, target, customer, state, contact, written_at) VALUES (?1, ?2, ?3, 'perhaps', ?4, ?5)
         ON CONFLICT (key, target) DO UPDATE SET state = 'perhaps', contact = excluded.contact",
    )?
    .execute(params![key(sent.key), target.0, key(customer.0), sent.contact, micros(sent.written_at)])?;
    Ok(())
}

/// `target` said that it has the record.
pub(super) fn there(tx: &Transaction<'_>, target: TargetId, of: Uuid, record: Option<&str>) -> Result<(), Fault> {
    tx.prepare_cached(
        "UPDATE records SET state = 'there', record = coalesce(?3, record) WHERE key = ?1 AND target = ?2",
    )?
    .execute(params![key(of), target.0, record])?;
    Ok(())
}

/// `target` refused the visit for what it is: it never was there.
pub(super) fn absent(tx: &Transaction<'_>, target: TargetId, of: Uuid) -> Result<(), Fault> {
    let sql = "UPDATE records SET state = 'absent' WHERE key = ?1 AND target = ?2 AND record IS NULL";
    tx.prepare_cached(sql)?.execute(params![key(of), target.0])?;
    Ok(())
}

/// `target` marked the record as taken back.
pub(super) fn void(tx: &Transaction<'_>, target: TargetId, of: Uuid) -> Result<(), Fault> {
    let sql = "UPDATE records SET state = 'void' WHERE key = ?1 AND target = ?2";
    tx.prepare_cached(sql)?.execute(params![key(of), target.0])?;
    Ok(())
}

/// What `target` has, or may have, under this key.
pub(super) fn record(tx: &Transaction<'_>, target: TargetId, of: Uuid) -> Result<Option<SentRecord>, Fault> {
    let mut statement = tx.prepare_cached(
        "SELECT record, contact, written_at FROM records WHERE key = ?1 AND target = ?2 AND state <> 'absent'",
    )?;
    let found = statement.query_row(params![key(of), target.0], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    let Some((record, contact, written_at)) = found.optional()? else { return Ok(None) };
    Ok(Some(SentRecord { key: of, record, contact, written_at: time(written_at)? }))
}

/// The CRMs that have this record, or may have it, and were not told yet that it is taken back.
pub(super) fn targets_of_record(tx: &Transaction<'_>, of: Uuid) -> Result<Vec<TargetId>, Fault> {
    let sql = "SELECT target FROM records WHERE key = ?1 AND state IN ('perhaps', 'there') ORDER BY target";
    let mut statement = tx.prepare_cached(sql)?;
    let found = statement.query_map(params![key(of)], |row| row.get(0).map(TargetId))?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// The CRMs that have something of a customer, or may have it: a record, or our id on a contact.
pub(super) fn targets_of_customer(tx: &Transaction<'_>, customer: CustomerId) -> Result<Vec<TargetId>, Fault> {
    let mut statement = tx.prepare_cached(
        "SELECT target FROM records WHERE customer = ?1 AND state <> 'absent'
         UNION SELECT target FROM crm_links WHERE customer = ?1 AND (state NOT IN ('absent', 'unclear') OR why = 'refused') ORDER BY 1",
    )?;
    let found = statement.query_map(params![key(customer.0)], |row| row.get(0).map(TargetId))?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// All that `target` has, or may have, of a customer.
pub(super) fn records(tx: &Transaction<'_>, target: TargetId, customer: CustomerId) -> Result<Vec<SentRecord>, Fault> {
    let mut statement = tx.prepare_cached(
        "SELECT key, record, contact, written_at FROM records WHERE customer = ?1 AND target = ?2 AND state <> 'absent'
         ORDER BY written_at, key",
    )?;
    let mut rows = statement.query(params![key(customer.0), target.0])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(SentRecord {
            key: uuid(row, 0)?,
            record: row.get(1)?,
            contact: row.get(2)?,
            written_at: time(row.get(3)?)?,
        });
    }
    Ok(found)
}

/// The customer is being erased; what must still be said of them is in the tombstones.
pub(super) fn drop_all(tx: &Transaction<'_>, customer: CustomerId) -> Result<(), Fault> {
    tx.execute("DELETE FROM records WHERE customer = ?1", params![key(customer.0)])?;
    Ok(())
}
