//! Amendments: what became known of a visit after it may have left for the CRM, as a fact of its own.
//!
//! A fact holds no values: whoever is told hears the visit as it is at that moment, so changes that come before the next
//! try are one. Only the current CRM is told; what a former one has of a visit stays as it was.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Transaction, params};
use uuid::Uuid;

use super::error::Fault;
use super::ledger::{self, SentRecord};
use super::outbox;
use super::rows::{customer_id, key, uuid};
use super::targets::{self, TargetId};
use super::visits::{self, Visit};
use crate::customer::VisitId;

/// Writes that something of a visit is another than was told, where the CRM has it or may have it.
pub(super) fn put(tx: &Transaction<'_>, visit: VisitId, at: Timestamp) -> Result<(), Fault> {
    let latest = tx
        .prepare_cached("SELECT customer, id FROM facts WHERE visit = ?1 AND kind = 'visit' ORDER BY seq DESC LIMIT 1")?
        .query_row(params![key(visit.0)], |row| Ok((customer_id(row, 0)?, uuid(row, 1)?)))
        .optional()?;
    let Some((customer, about)) = latest else { return Ok(()) };
    let target = targets::current(tx)?;
    if is_moot(tx, target, visit, about)? {
        return Ok(());
    }
    let mine = "fact IN (SELECT seq FROM facts WHERE visit = ?1 AND kind = 'amendment' AND about = ?2) AND target = ?3";
    let mine_of = params![key(visit.0), key(about), target.0];
    // One that was refused is overtaken by this; one that is under way may have left with what was known before.
    tx.execute(&format!("DELETE FROM deliveries WHERE {mine} AND state = 'dead'"), mine_of)?;
    let waits = format!("SELECT 1 FROM deliveries WHERE {mine} AND state IN ('new', 'held')");
    if tx.prepare_cached(&waits)?.exists(mine_of)? {
        return Ok(());
    }
    let fact = outbox::put(tx, "amendment", customer, Some(visit), Some(about), at, Some(at))?;
    outbox::deliver_to(tx, fact, target)
}

/// The visit as it is now, and what `target` has of it; `None` where there is nothing to be amended any more.
pub(super) fn of(
    tx: &Transaction<'_>,
    target: TargetId,
    visit: VisitId,
    about: Uuid,
) -> Result<Option<(Visit, SentRecord)>, Fault> {
    if is_moot(tx, target, visit, about)? {
        return Ok(None);
    }
    ledger::record(tx, target, about)?.map(|sent| Ok((visits::require(tx, visit)?, sent))).transpose()
}

/// Nobody has the record, or it is taken back.
fn is_moot(tx: &Transaction<'_>, target: TargetId, visit: VisitId, about: Uuid) -> Result<bool, Fault> {
    let taken_back = "SELECT 1 FROM facts WHERE visit = ?1 AND kind = 'correction' AND about = ?2";
    Ok(!ledger::targets_of_record(tx, about)?.contains(&target)
        || tx.prepare_cached(taken_back)?.exists(params![key(visit.0), key(about)])?)
}

/// What never left is not told to a CRM that is no longer configured, nor to the next one, which hears the whole.
pub(super) fn leave(tx: &Transaction<'_>, former: TargetId) -> Result<(), Fault> {
    tx.execute(
        "UPDATE deliveries SET state = 'withdrawn' WHERE target = ?1 AND state NOT IN ('done', 'withdrawn')
         AND EXISTS (SELECT 1 FROM facts WHERE seq = deliveries.fact AND kind = 'amendment')",
        params![former.0],
    )?;
    Ok(())
}
