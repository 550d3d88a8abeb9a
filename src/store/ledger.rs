//! The ledger: what each CRM has of a customer, or may have, under which id of its own.
//!
//! Takings back and erasures read it, each for its own CRM alone: another's ids belong to other people there. It outlives
//! the visits; an erasure takes a customer's part along, sealed.

use rusqlite::{Row, Transaction, params};
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
    /// The contact it was last written for, where the CRM has contacts.
    pub contact: Option<String>,
    /// The contacts it was written for before: a try without an answer may have left it there.
    pub elders: Vec<String>,
    /// The record is not older, by the box's clock.
    pub written_at: Timestamp,
    /// When the last try began, by the box's clock.
    pub tried_at: Timestamp,
    /// When the first try began, by the CRM's clock, if that was known then.
    pub server_at: Option<Timestamp>,
}

const COLUMNS: &str = "key, record, contact, written_at, tried_at, server_at, elders";

/// The visit is about to leave for `target`: from now on it may be there, until that says that it is not.
pub(super) fn perhaps(
    tx: &Transaction<'_>,
    target: TargetId,
    sent: &SentRecord,
    customer: CustomerId,
) -> Result<(), Fault> {
    tx.prepare_cached(
        "INSERT INTO records (key, target, customer, state, contact, written_at, tried_at, server_at)
         VALUES (?1, ?2, ?3, 'perhaps', ?4, ?5, ?6, ?7)
         ON CONFLICT (key, target) DO UPDATE SET state = 'perhaps', tried_at = excluded.tried_at,
         elders = iif(contact <> excluded.contact, coalesce(elders || char(10), '') || contact, elders), contact = excluded.contact",
    )?
    .execute(params![
        key(sent.key),
        target.0,
        key(customer.0),
        sent.contact,
        micros(sent.written_at),
        micros(sent.tried_at),
        sent.server_at.map(micros)
    ])?;
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

/// `target` marked the record as taken back.
pub(super) fn void(tx: &Transaction<'_>, target: TargetId, of: Uuid) -> Result<(), Fault> {
    let sql = "UPDATE records SET state = 'void' WHERE key = ?1 AND target = ?2";
    tx.prepare_cached(sql)?.execute(params![key(of), target.0])?;
    Ok(())
}

/// What `target` has, or may have, under this key.
pub(super) fn record(tx: &Transaction<'_>, target: TargetId, of: Uuid) -> Result<Option<SentRecord>, Fault> {
    let mut statement = tx.prepare_cached(&format!("SELECT {COLUMNS} FROM records WHERE key = ?1 AND target = ?2"))?;
    let mut rows = statement.query(params![key(of), target.0])?;
    rows.next()?.map(read).transpose()
}

fn read(row: &Row<'_>) -> Result<SentRecord, Fault> {
    let elders: Option<String> = row.get(6)?;
    Ok(SentRecord {
        key: uuid(row, 0)?,
        record: row.get(1)?,
        contact: row.get(2)?,
        written_at: time(row.get(3)?)?,
        tried_at: time(row.get(4)?)?,
        server_at: row.get::<_, Option<i64>>(5)?.map(time).transpose()?,
        elders: elders.map(|all| all.lines().map(str::to_owned).collect()).unwrap_or_default(),
    })
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
        "SELECT target FROM records WHERE customer = ?1
         UNION SELECT target FROM crm_links WHERE customer = ?1 AND state IN ('linked', 'creating') ORDER BY 1",
    )?;
    let found = statement.query_map(params![key(customer.0)], |row| row.get(0).map(TargetId))?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// All that `target` has, or may have, of a customer.
pub(super) fn records(tx: &Transaction<'_>, target: TargetId, customer: CustomerId) -> Result<Vec<SentRecord>, Fault> {
    let sql = format!("SELECT {COLUMNS} FROM records WHERE customer = ?1 AND target = ?2 ORDER BY written_at, key");
    let mut statement = tx.prepare_cached(&sql)?;
    let found = statement.query_and_then(params![key(customer.0), target.0], read)?;
    found.collect()
}

/// The customer is being erased; what must still be said of them is in the tombstones.
pub(super) fn drop_all(tx: &Transaction<'_>, customer: CustomerId) -> Result<(), Fault> {
    tx.execute("DELETE FROM records WHERE customer = ?1", params![key(customer.0)])?;
    Ok(())
}
