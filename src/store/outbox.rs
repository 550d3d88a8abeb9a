//! The outbox table: events written in the transaction of their cause, and taken back while they still can be.
//!
//! Handing them out for delivery is `delivery`'s. Rows hold ids and times only; what a CRM is told is read from the visit when the
//! event leaves, which is why nothing about a visit may change once its event was tried.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Transaction, params};
use uuid::Uuid;

use super::Store;
use super::error::{Fault, StoreError};
use super::rows::{customer_id, key, micros, time, uuid};
use crate::clock::mint_at;
use crate::customer::{CustomerId, VisitId};

/// How far the CRM lags behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutboxStatus {
    /// Events not yet confirmed by the CRM, those of open visits included, dead ones not.
    pub depth: u64,
    /// The oldest of them.
    pub oldest_created_at: Option<Timestamp>,
    /// Events that the CRM refused for good; a person must look at them.
    pub dead: u64,
}

/// An event that no CRM can have seen: never tried, or refused for what it is.
pub(super) const NOT_THERE: &str =
    "(state = 'new' AND attempts = 0 OR state = 'dead' AND coalesce(last_error_class, 'poison') = 'poison')";

impl Store {
    pub fn outbox_status(&self) -> Result<OutboxStatus, StoreError> {
        self.read(|tx| {
            let mut statement = tx.prepare_cached(
                "SELECT count(*) FILTER (WHERE state <> 'dead'), min(created_at) FILTER (WHERE state <> 'dead'),
                        count(*) FILTER (WHERE state = 'dead')
                 FROM outbox WHERE state <> 'done'",
            )?;
            let (depth, oldest, dead): (i64, Option<i64>, i64) =
                statement.query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            let oldest_created_at = oldest.map(time).transpose()?;
            Ok(OutboxStatus { depth: depth.unsigned_abs(), oldest_created_at, dead: dead.unsigned_abs() })
        })
    }
}

/// Writes the event of a visit; without `deliver_after` it waits for the visit's close.
pub(super) fn put_visit(
    tx: &Transaction<'_>,
    visit: VisitId,
    customer: CustomerId,
    at: Timestamp,
    deliver_after: Option<Timestamp>,
) -> Result<(), Fault> {
    put(tx, "visit", customer, Some(visit), None, at, deliver_after).map(drop)
}

/// Writes that a customer is gone and must be forgotten by the CRM too.
pub(super) fn put_erasure(tx: &Transaction<'_>, customer: CustomerId, at: Timestamp) -> Result<Uuid, Fault> {
    put(tx, "erasure", customer, None, None, at, Some(at))
}

fn put(
    tx: &Transaction<'_>,
    kind: &str,
    customer: CustomerId,
    visit: Option<VisitId>,
    about: Option<Uuid>,
    at: Timestamp,
    deliver_after: Option<Timestamp>,
) -> Result<Uuid, Fault> {
    let event = mint_at(at);
    tx.execute(
        "INSERT INTO outbox (event, kind, customer, visit, about, created_at, deliver_after)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            key(event),
            kind,
            key(customer.0),
            visit.map(|id| key(id.0)),
            about.map(key),
            micros(at),
            deliver_after.map(micros)
        ],
    )?;
    Ok(event)
}

/// The visit is over: its waiting event may leave from `deliver_after` on.
pub(super) fn let_go(tx: &Transaction<'_>, visit: VisitId, deliver_after: Timestamp) -> Result<(), Fault> {
    tx.execute(
        "UPDATE outbox SET deliver_after = ?2 WHERE visit = ?1 AND kind = 'visit' AND deliver_after IS NULL",
        params![key(visit.0), micros(deliver_after)],
    )?;
    Ok(())
}

/// The visit goes on: its event waits again. `false`, and nothing changed, if one may already have left.
pub(super) fn hold_back(tx: &Transaction<'_>, visit: VisitId) -> Result<bool, Fault> {
    let left = "SELECT 1 FROM outbox WHERE visit = ?1 AND NOT (state = 'new' AND attempts = 0)";
    if tx.prepare_cached(left)?.exists(params![key(visit.0)])? {
        return Ok(false);
    }
    tx.execute("UPDATE outbox SET deliver_after = NULL WHERE visit = ?1 AND kind = 'visit'", params![key(visit.0)])?;
    Ok(true)
}

/// The visit's latest event no longer holds: it is removed, or voided if the CRM may have it.
pub(super) fn take_back(tx: &Transaction<'_>, visit: VisitId, at: Timestamp) -> Result<(), Fault> {
    let latest = tx
        .prepare_cached(
            "SELECT seq, customer, event FROM outbox WHERE visit = ?1 AND kind = 'visit' ORDER BY seq DESC LIMIT 1",
        )?
        .query_row(params![key(visit.0)], |row| Ok((row.get::<_, i64>(0)?, customer_id(row, 1)?, uuid(row, 2)?)))
        .optional()?;
    let Some((seq, customer, event)) = latest else { return Ok(()) };
    let removed = tx.execute(&format!("DELETE FROM outbox WHERE seq = ?1 AND {NOT_THERE}"), params![seq])?;
    if removed == 0 {
        put(tx, "visit_void", customer, Some(visit), Some(event), at, Some(at))?;
    }
    Ok(())
}

/// Visits that no CRM has seen are not to be sent any more.
pub(super) fn drop_untried_visits(tx: &Transaction<'_>, customer: CustomerId) -> Result<(), Fault> {
    let sql = format!("DELETE FROM outbox WHERE customer = ?1 AND kind = 'visit' AND {NOT_THERE}");
    tx.execute(&sql, params![key(customer.0)])?;
    Ok(())
}

/// Removes every event of a customer about to be erased, and returns how many. One under way may still
/// arrive; the erasure that follows it in the outbox undoes that.
pub(super) fn drop_all(tx: &Transaction<'_>, customer: CustomerId) -> Result<usize, Fault> {
    Ok(tx.execute("DELETE FROM outbox WHERE customer = ?1", params![key(customer.0)])?)
}
