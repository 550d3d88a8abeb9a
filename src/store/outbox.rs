//! The outbox: facts and their deliveries, written in the transaction of their cause and taken back while they still can be.
//!
//! Handing them out is `delivery`'s, what became of them in a CRM `ledger`'s. A fact holds ids and times only; what a CRM
//! is told is read from the visit when the fact leaves; what changes after it was tried is told by `amendments`.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Transaction, params};
use uuid::Uuid;

use super::error::{Fault, StoreError};
use super::ledger;
use super::rows::{customer_id, key, micros, time, uuid};
use super::targets::{self, CURRENT, TargetId};
use super::{Store, debts};
use crate::clock::mint_at;
use crate::customer::{CustomerId, VisitId};

/// How far the CRM lags behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutboxStatus {
    /// Events not yet confirmed by the current CRM, those of open visits included; dead and held ones not.
    pub depth: u64,
    /// The oldest of them.
    pub oldest_created_at: Option<Timestamp>,
    /// Events that the CRM refused for good; a person must look at them.
    pub dead: u64,
    /// Visits whose customer's consent does not cover them now. They are sent if it does again.
    pub held: u64,
    /// What former CRMs must still take back or forget; see [`Store::debts`].
    pub debts: u64,
    /// When the oldest visit could have left whose customer has no contact.
    pub unlinked_since: Option<Timestamp>,
    /// When the oldest event could have left that waits for nothing but its turn.
    pub late_since: Option<Timestamp>,
    /// Customers of whom a person must say which contact they are.
    pub unclear: u64,
    /// And of these those whose contact was deleted in the CRM.
    pub deleted: u64,
}

/// In SQL, of a delivery: its target cannot have seen it, since it was never tried. A refusal proves nothing: the record
/// may be there and only its link have been refused.
pub(super) const NOT_THERE: &str = "(state IN ('new', 'held') AND attempts = 0)";

impl Store {
    pub fn outbox_status(&self) -> Result<OutboxStatus, StoreError> {
        self.read(|tx| {
            let sql = format!(
                "SELECT state, count(*), min(created_at) FROM outbox
                 WHERE target = {CURRENT} AND state IN ('new', 'sending', 'held', 'dead') GROUP BY state"
            );
            let mut statement = tx.prepare_cached(&sql)?;
            let mut rows = statement.query([])?;
            let mut status = OutboxStatus { debts: debts::count(tx)?, ..OutboxStatus::default() };
            while let Some(row) = rows.next()? {
                let (state, count, oldest): (String, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
                match &*state {
                    "dead" => status.dead = count.unsigned_abs(),
                    "held" => status.held = count.unsigned_abs(),
                    _ => {
                        status.depth += count.unsigned_abs();
                        let oldest = time(oldest)?;
                        status.oldest_created_at = Some(status.oldest_created_at.map_or(oldest, |at| at.min(oldest)));
                    }
                }
            }
            let waits = format!(
                "SELECT coalesce(l.state, '') IN ('absent', 'unclear', 'deleted'), min(o.deliver_after)
                 FROM outbox o LEFT JOIN crm_links l ON l.customer = o.customer AND l.target = o.target
                 WHERE o.target = {CURRENT} AND o.state IN ('new', 'sending') GROUP BY 1"
            );
            let mut statement = tx.prepare_cached(&waits)?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let since = row.get::<_, Option<i64>>(1)?.map(time).transpose()?;
                if row.get(0)? { status.unlinked_since = since } else { status.late_since = since }
            }
            let links = |states: &str| -> Result<u64, Fault> {
                let sql = format!("SELECT count(*) FROM crm_links WHERE target = {CURRENT} AND state IN ({states})");
                Ok(tx.prepare_cached(&sql)?.query_row([], |row| row.get::<_, i64>(0))?.unsigned_abs())
            };
            status.unclear = links("'unclear', 'deleted'")?;
            status.deleted = links("'deleted'")?;
            Ok(status)
        })
    }
}

/// Writes that a visit took place; without `deliver_after` it waits for the visit's close.
pub(super) fn put_visit(
    tx: &Transaction<'_>,
    visit: VisitId,
    customer: CustomerId,
    at: Timestamp,
    deliver_after: Option<Timestamp>,
) -> Result<(), Fault> {
    let fact = put(tx, "visit", customer, Some(visit), None, at, deliver_after)?;
    deliver_to(tx, fact, targets::current(tx)?)
}

/// Writes that a customer is gone. Whom that is to be told says [`super::tombstone`].
pub(super) fn put_erasure(tx: &Transaction<'_>, customer: CustomerId, at: Timestamp) -> Result<Uuid, Fault> {
    put(tx, "erasure", customer, None, None, at, Some(at))
}

/// Writes that the visit's fact `about` does not hold, and that every CRM which may have it is to hear so.
pub(super) fn put_correction(
    tx: &Transaction<'_>,
    about: Uuid,
    customer: CustomerId,
    visit: VisitId,
    at: Timestamp,
) -> Result<(), Fault> {
    put_correction_for(tx, &ledger::targets_of_record(tx, about)?, about, customer, visit, at)
}

/// The same for some CRMs.
pub(super) fn put_correction_for(
    tx: &Transaction<'_>,
    targets: &[TargetId],
    about: Uuid,
    customer: CustomerId,
    visit: VisitId,
    at: Timestamp,
) -> Result<(), Fault> {
    let fact = put(tx, "correction", customer, Some(visit), Some(about), at, Some(at))?;
    targets.iter().try_for_each(|target| deliver_to(tx, fact, *target))
}

pub(super) fn put(
    tx: &Transaction<'_>,
    kind: &str,
    customer: CustomerId,
    visit: Option<VisitId>,
    about: Option<Uuid>,
    at: Timestamp,
    deliver_after: Option<Timestamp>,
) -> Result<Uuid, Fault> {
    let fact = mint_at(at);
    tx.execute(
        "INSERT INTO facts (id, kind, customer, visit, about, at, deliver_after) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            key(fact),
            kind,
            key(customer.0),
            visit.map(|id| key(id.0)),
            about.map(key),
            micros(at),
            deliver_after.map(micros)
        ],
    )?;
    Ok(fact)
}

/// The fact is to be told to `target`.
pub(super) fn deliver_to(tx: &Transaction<'_>, fact: Uuid, target: TargetId) -> Result<(), Fault> {
    let sql = "INSERT INTO deliveries (fact, target) SELECT seq, ?2 FROM facts WHERE id = ?1";
    tx.execute(sql, params![key(fact), target.0])?;
    Ok(())
}

/// The visit is over: its waiting fact may leave from `deliver_after` on.
pub(super) fn let_go(tx: &Transaction<'_>, visit: VisitId, deliver_after: Timestamp) -> Result<(), Fault> {
    tx.execute(
        "UPDATE facts SET deliver_after = ?2 WHERE visit = ?1 AND kind = 'visit' AND deliver_after IS NULL",
        params![key(visit.0), micros(deliver_after)],
    )?;
    Ok(())
}

/// The visit goes on: its fact waits again. `false`, and nothing changed, if one may already have left.
pub(super) fn hold_back(tx: &Transaction<'_>, visit: VisitId) -> Result<bool, Fault> {
    let left = "SELECT 1 FROM outbox WHERE visit = ?1 AND NOT (state IN ('new', 'held') AND attempts = 0)";
    if tx.prepare_cached(left)?.exists(params![key(visit.0)])? {
        return Ok(false);
    }
    tx.execute("UPDATE facts SET deliver_after = NULL WHERE visit = ?1 AND kind = 'visit'", params![key(visit.0)])?;
    Ok(true)
}

/// The visit's latest fact no longer holds: nobody is told of it any more, and whoever may have it is told so.
pub(super) fn take_back(tx: &Transaction<'_>, visit: VisitId, at: Timestamp) -> Result<(), Fault> {
    let latest = tx
        .prepare_cached(
            "SELECT seq, customer, id FROM facts WHERE visit = ?1 AND kind = 'visit' ORDER BY seq DESC LIMIT 1",
        )?
        .query_row(params![key(visit.0)], |row| Ok((row.get::<_, i64>(0)?, customer_id(row, 1)?, uuid(row, 2)?)))
        .optional()?;
    let Some((seq, customer, fact)) = latest else { return Ok(()) };
    tx.execute(&format!("DELETE FROM deliveries WHERE fact = ?1 AND {NOT_THERE}"), params![seq])?;
    // What was tried is not tried again: whoever may have it takes it back.
    let tried = "UPDATE deliveries SET state = 'withdrawn' WHERE fact = ?1 AND state IN ('new', 'held', 'dead')";
    tx.execute(tried, params![seq])?;
    put_correction(tx, fact, customer, visit, at)
}

/// What is waiting of a customer whose consent does not cover it any more is not given out until one does.
pub(super) fn hold_untried_visits(tx: &Transaction<'_>, customer: CustomerId) -> Result<(), Fault> {
    tx.execute(
        "UPDATE deliveries SET state = 'held' WHERE state = 'new' AND attempts = 0
         AND fact IN (SELECT seq FROM facts WHERE customer = ?1 AND kind = 'visit')",
        params![key(customer.0)],
    )?;
    Ok(())
}

/// Removes every fact of a customer about to be erased, and what the ledger has of them; returns how many were to be
/// delivered or had been. One under way may still arrive; the erasure that follows undoes that. An erasure of the same id
/// that came before stays: it says what else is to be forgotten.
pub(super) fn drop_all(tx: &Transaction<'_>, customer: CustomerId) -> Result<usize, Fault> {
    let mine = "SELECT seq FROM facts WHERE customer = ?1 AND kind <> 'erasure'";
    let deliveries = tx.execute(&format!("DELETE FROM deliveries WHERE fact IN ({mine})"), params![key(customer.0)])?;
    tx.execute("DELETE FROM facts WHERE customer = ?1 AND kind <> 'erasure'", params![key(customer.0)])?;
    ledger::drop_all(tx, customer)?;
    Ok(deliveries)
}
