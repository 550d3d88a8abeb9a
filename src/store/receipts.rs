//! Receipts, and who served: what the point of sale says of a visit, before or after it has left for a CRM.
//!
//! How a CRM hears of what came later is `amendments`.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{OptionalExtension, Transaction, params};

use super::error::Fault;
use super::rows::{key, micros, visit_id};
use super::{Store, StoreError, amendments, visits};
use crate::customer::{Receipt, VisitId};
use crate::face::CounterId;

/// Who left a counter so long ago may still be paying at it.
const PAYS_AFTER: SignedDuration = SignedDuration::from_mins(10);
/// A point of sale that got no answer sends a receipt again within this time.
const SENT_AGAIN: SignedDuration = SignedDuration::from_hours(24);

/// Whose receipt it is that came from a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payer {
    Known(VisitId),
    Nobody,
    /// More than one is there: a person must say whose it is.
    Several,
}

impl Store {
    /// Keeps the receipt of a visit; of two the last holds. A CRM that may have the visit is told by an amendment. The
    /// same receipt again is one; `false` tells that it was there.
    pub fn put_receipt(&self, visit: VisitId, receipt: &Receipt, at: Timestamp) -> Result<bool, StoreError> {
        self.write(|tx| put(tx, visit, receipt, None, at))
    }

    /// As [`Self::put_receipt`], for a point of sale that knows only where it stands: the receipt is of the one who is
    /// `shown` there, or else of the visit that is open at the counter, or was lately. One that it gave before stays with
    /// its visit, whoever is there now.
    pub fn put_receipt_at(
        &self,
        counter: &CounterId,
        shown: &[VisitId],
        receipt: &Receipt,
        at: Timestamp,
    ) -> Result<Payer, StoreError> {
        self.write(|tx| {
            let visit = match (given_before(tx, counter, receipt, at)?, shown) {
                (Some(visit), _) => Some(visit),
                (None, []) => lately_at(tx, counter, at)?,
                (None, [only]) => Some(*only),
                (None, _) => return Ok(Payer::Several),
            };
            let Some(visit) = visit else { return Ok(Payer::Nobody) };
            put(tx, visit, receipt, Some(counter), at)?;
            Ok(Payer::Known(visit))
        })
    }

    /// Notes who serves the customer of a visit; who was noted first stays.
    pub fn note_served_by(&self, visit: VisitId, who: &str) -> Result<(), StoreError> {
        self.write(|tx| {
            visits::require(tx, visit)?;
            let sql = "UPDATE visits SET served_by = coalesce(served_by, ?2) WHERE id = ?1";
            tx.execute(sql, params![key(visit.0), who])?;
            Ok(())
        })
    }
}

fn put(
    tx: &Transaction<'_>,
    visit: VisitId,
    receipt: &Receipt,
    counter: Option<&CounterId>,
    at: Timestamp,
) -> Result<bool, Fault> {
    if visits::require(tx, visit)?.receipt.as_ref() == Some(receipt) {
        return Ok(false);
    }
    tx.execute(
        "INSERT INTO receipts (visit, number, sum, counter, at) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (visit) DO UPDATE SET number = ?2, sum = ?3, counter = ?4, at = ?5",
        params![key(visit.0), receipt.number, receipt.sum, counter.map(CounterId::as_str), micros(at)],
    )?;
    amendments::put(tx, visit, at)?;
    Ok(true)
}

/// The visit to which this counter gave a receipt of that number within a day.
fn given_before(
    tx: &Transaction<'_>,
    counter: &CounterId,
    receipt: &Receipt,
    at: Timestamp,
) -> Result<Option<VisitId>, Fault> {
    let sql = "SELECT visit FROM receipts WHERE counter = ?1 AND number = ?2 AND at >= ?3 ORDER BY at DESC LIMIT 1";
    let since = micros(before(at, SENT_AGAIN));
    let found = tx.query_row(sql, params![counter.as_str(), receipt.number, since], |row| visit_id(row, 0));
    Ok(found.optional()?)
}

fn lately_at(tx: &Transaction<'_>, counter: &CounterId, at: Timestamp) -> Result<Option<VisitId>, Fault> {
    let sql = "SELECT id FROM visits WHERE counter = ?1 AND verdict <> 'rejected' AND opened_at >= ?2
               AND coalesce(closed_at, opened_at) <= ?3 AND (closed_at IS NULL OR closed_at >= ?4)
               ORDER BY closed_at IS NULL DESC, closed_at DESC, opened_at DESC LIMIT 1";
    let (today, lately) = (micros(before(at, SENT_AGAIN)), micros(before(at, PAYS_AFTER)));
    let found = tx.query_row(sql, params![counter.as_str(), today, micros(at), lately], |row| visit_id(row, 0));
    Ok(found.optional()?)
}

fn before(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_sub(by).unwrap_or(at)
}
