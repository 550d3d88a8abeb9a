//! Visits: opened with their outbox event in one transaction, closed, reopened, answered.
//!
//! When a visit begins and ends is `crate::visit`'s; what an event says of itself is `outbox`; how visits outlive the
//! service is `left`.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, Transaction, params};
use uuid::Uuid;

use super::error::{Fault, StoreError};
use super::rows::{customer_id, key, micros, uuid, visit_id, wall};
use super::{Store, amendments, consents, outbox};
use crate::clock::{Days, WallTime};
use crate::customer::{CustomerId, HowKnown, Purpose, Receipt, Verdict, VisitId};
use crate::face::CounterId;

/// A visit as it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VisitRecord {
    pub id: VisitId,
    pub customer: CustomerId,
    pub counter: CounterId,
    pub opened_at: WallTime,
    pub how: HowKnown,
}

/// What is on record of the cashier's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VisitVerdict {
    Unanswered,
    Confirmed,
    Rejected,
    /// The visit was moved from the customer it was opened for to the one it has now.
    Other,
}

/// A visit on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visit {
    pub record: VisitRecord,
    pub closed_at: Option<WallTime>,
    pub verdict: VisitVerdict,
    /// Who served, as the point of sale says it.
    pub served_by: Option<String>,
    pub receipt: Option<Receipt>,
}

impl Store {
    /// Records that a visit began, with its event for the CRM, in one transaction. The event is written only
    /// if the customer agreed to [`Purpose::VisitRecords`], and waits until the visit is closed.
    ///
    /// Recording the same visit again changes nothing, so a caller may repeat after any error. Refused when
    /// the customer is gone or their consent does not cover, on `days`, how they were identified.
    pub fn open_visit(&self, visit: &VisitRecord, days: impl Into<Days>) -> Result<(), StoreError> {
        let days = days.into();
        self.write(|tx| begin(tx, visit, days))
    }

    /// As [`Self::open_visit`], with the key of the entry that opened it.
    pub fn open_visit_by(&self, entry: Uuid, visit: &VisitRecord, days: impl Into<Days>) -> Result<(), StoreError> {
        let days = days.into();
        self.write(|tx| {
            begin(tx, visit, days)?;
            mark_entry(tx, visit.id, entry)
        })
    }

    /// Notes that the entry `key` belongs to this visit, which had begun before.
    pub fn keep_entry(&self, id: VisitId, key: Uuid) -> Result<(), StoreError> {
        self.write(|tx| {
            require(tx, id)?;
            mark_entry(tx, id, key)
        })
    }

    /// The visits of the latest `most` entries that came with a key.
    pub fn recent_entries(&self, most: usize) -> Result<Vec<(Uuid, VisitId)>, StoreError> {
        self.read(|tx| {
            let mut statement =
                tx.prepare("SELECT entry, id FROM visits WHERE entry NOT NULL ORDER BY rowid DESC LIMIT ?1")?;
            let mut rows = statement.query(params![i64::try_from(most).unwrap_or(i64::MAX)])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push((uuid(row, 0)?, visit_id(row, 1)?));
            }
            Ok(found)
        })
    }

    /// Records that the visit ended; its event may be sent from `deliver_after` on, which leaves time for the
    /// customer to come back or the cashier to object. A visit already closed stays as it is.
    pub fn close_visit(&self, id: VisitId, closed_at: WallTime, deliver_after: Timestamp) -> Result<(), StoreError> {
        self.write(|tx| {
            if require(tx, id)?.closed_at.is_some() {
                return Ok(());
            }
            close(tx, id, closed_at, deliver_after)
        })
    }

    /// Goes on with a visit, or begins `anew` in its place where its event may already have left. Gives which of the
    /// two goes on. May be repeated after any error.
    pub fn reopen_or_begin(
        &self,
        id: VisitId,
        anew: &VisitRecord,
        days: impl Into<Days>,
    ) -> Result<VisitId, StoreError> {
        let days = days.into();
        self.write(|tx| {
            let before = require(tx, id)?;
            if reopen(tx, id)? {
                return Ok(id);
            }
            // The cashier may have said meanwhile whose visit it was.
            begin(tx, &VisitRecord { customer: before.record.customer, ..anew.clone() }, days)?;
            Ok(anew.id)
        })
    }

    /// Opens a closed visit again because the customer came back within the merge window. `false`, and
    /// nothing changed, if its event may already have left: [`Self::reopen_or_begin`] then begins another.
    pub fn reopen_visit(&self, id: VisitId) -> Result<bool, StoreError> {
        self.write(|tx| {
            require(tx, id)?;
            reopen(tx, id)
        })
    }

    /// Takes the cashier's word. A rejected visit does not count and is not sent; `Other` moves it to another
    /// customer, whose consent must cover the same on `days`. An event that may have left is followed by a
    /// correction. The last answer holds; the same answer twice is one.
    pub fn answer_visit(
        &self,
        id: VisitId,
        answer: Verdict,
        at: WallTime,
        days: impl Into<Days>,
    ) -> Result<(), StoreError> {
        let days = days.into();
        self.write(|tx| {
            let before = require(tx, id)?;
            self::answer(tx, &before, answer, at.at, days)?;
            Ok(())
        })
    }

    /// One visit; `None` when unknown, or when its customer was erased.
    pub fn visit(&self, id: VisitId) -> Result<Option<Visit>, StoreError> {
        self.read(|tx| find(tx, id))
    }
}

impl Visit {
    /// Whether this visit was recorded from `record`. A visit moved since has another customer by right.
    fn began_as(&self, record: &VisitRecord) -> bool {
        let mine = &self.record;
        (mine.customer == record.customer || self.verdict == VisitVerdict::Other)
            && mine.counter == record.counter
            && micros(mine.opened_at.at) == micros(record.opened_at.at)
            && mine.opened_at.synchronised == record.opened_at.synchronised
            && mine.how == record.how
    }

    pub(super) fn answered(&self, answer: Verdict) -> Self {
        let mut after = self.clone();
        after.verdict = match answer {
            // Served is no word on who it was.
            Verdict::Done => self.verdict,
            Verdict::No => VisitVerdict::Rejected,
            Verdict::Other(customer) if customer != self.record.customer => {
                after.record.customer = customer;
                VisitVerdict::Other
            }
            // Saying yes to a visit that was moved does not make the first recognition right.
            Verdict::Yes | Verdict::Other(_) if self.verdict == VisitVerdict::Other => VisitVerdict::Other,
            Verdict::Yes | Verdict::Other(_) => VisitVerdict::Confirmed,
        };
        after
    }

    /// For whom the visit counts.
    fn counts_for(&self) -> Option<CustomerId> {
        (self.verdict != VisitVerdict::Rejected).then_some(self.record.customer)
    }
}

/// Takes somebody's word on a visit, and gives what it is after that.
pub(super) fn answer(
    tx: &Transaction<'_>,
    before: &Visit,
    answer: Verdict,
    at: Timestamp,
    days: Days,
) -> Result<Visit, Fault> {
    let after = before.answered(answer);
    let (id, customer) = (after.record.id, after.record.customer);
    if customer != before.record.customer {
        consents::require(tx, customer, after.record.how.needs(), days)?;
    }
    tx.execute(
        "UPDATE visits SET customer = ?2, verdict = ?3 WHERE id = ?1",
        params![key(id.0), key(customer.0), after.verdict.as_str()],
    )?;
    correct_outbox(tx, before, &after, at, days)?;
    Ok(after)
}

/// Makes the outbox say what the visit says after an answer.
fn correct_outbox(tx: &Transaction<'_>, before: &Visit, after: &Visit, at: Timestamp, days: Days) -> Result<(), Fault> {
    if before.counts_for() == after.counts_for() {
        // What was said of the greeting is on the record.
        return if before.verdict == after.verdict { Ok(()) } else { amendments::put(tx, before.record.id, at) };
    }
    let id = before.record.id;
    if before.counts_for().is_some() {
        outbox::take_back(tx, id, at)?;
    }
    let Some(customer) = after.counts_for() else { return Ok(()) };
    let consent = consents::current(tx, customer)?;
    if consent.is_some_and(|consent| consent.is_live(Purpose::VisitRecords, days)) {
        outbox::put_visit(tx, id, customer, at, after.closed_at.map(|_| at))?;
    }
    Ok(())
}

fn begin(tx: &Transaction<'_>, visit: &VisitRecord, days: Days) -> Result<(), Fault> {
    if let Some(there) = find(tx, visit.id)? {
        return if there.began_as(visit) { Ok(()) } else { Err(StoreError::VisitConflict(visit.id).into()) };
    }
    let consent = consents::require(tx, visit.customer, visit.how.needs(), days)?;
    tx.execute(
        "INSERT INTO visits (id, customer, counter, opened_at, opened_synchronised, how)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            key(visit.id.0),
            key(visit.customer.0),
            visit.counter.as_str(),
            micros(visit.opened_at.at),
            visit.opened_at.synchronised,
            visit.how.as_str(),
        ],
    )?;
    if consent.is_live(Purpose::VisitRecords, days) {
        outbox::put_visit(tx, visit.id, visit.customer, visit.opened_at.at, None)?;
    }
    Ok(())
}

/// A key is one visit's: where another has it already, it stays there.
fn mark_entry(tx: &Transaction<'_>, id: VisitId, entry: Uuid) -> Result<(), Fault> {
    tx.execute("UPDATE OR IGNORE visits SET entry = ?2 WHERE id = ?1", params![key(id.0), key(entry)])?;
    Ok(())
}

fn reopen(tx: &Transaction<'_>, id: VisitId) -> Result<bool, Fault> {
    if !outbox::hold_back(tx, id)? {
        return Ok(false);
    }
    tx.execute("UPDATE visits SET closed_at = NULL, closed_synchronised = NULL WHERE id = ?1", params![key(id.0)])?;
    Ok(true)
}

pub(super) fn close(
    tx: &Transaction<'_>,
    id: VisitId,
    closed_at: WallTime,
    deliver_after: Timestamp,
) -> Result<(), Fault> {
    tx.execute(
        "UPDATE visits SET closed_at = ?2, closed_synchronised = ?3 WHERE id = ?1",
        params![key(id.0), micros(closed_at.at), closed_at.synchronised],
    )?;
    outbox::let_go(tx, id, deliver_after)
}

pub(super) fn require(tx: &Transaction<'_>, id: VisitId) -> Result<Visit, Fault> {
    find(tx, id)?.ok_or_else(|| StoreError::UnknownVisit(id).into())
}

/// What [`visit_of`] reads, and `boot` and `seen_after_ms` after it.
pub(super) const VISIT_COLUMNS: &str =
    "SELECT v.id, v.customer, v.counter, v.opened_at, v.opened_synchronised, v.how, v.closed_at, v.closed_synchronised, v.verdict,
     v.served_by, r.number, r.sum, v.boot, v.seen_after_ms FROM visits v LEFT JOIN receipts r ON r.visit = v.id";

fn find(tx: &Transaction<'_>, id: VisitId) -> Result<Option<Visit>, Fault> {
    let mut statement = tx.prepare_cached(&format!("{VISIT_COLUMNS} WHERE v.id = ?1"))?;
    let read = statement.query_row(params![key(id.0)], |row| Ok(visit_of(row)));
    read.optional()?.transpose()
}

pub(super) fn visit_of(row: &Row<'_>) -> Result<Visit, Fault> {
    let counter: String = row.get(2)?;
    let (how, verdict): (String, String) = (row.get(5)?, row.get(8)?);
    let closed: Option<(i64, bool)> = row.get::<_, Option<i64>>(6)?.zip(row.get(7)?);
    Ok(Visit {
        record: VisitRecord {
            id: visit_id(row, 0)?,
            customer: customer_id(row, 1)?,
            counter: CounterId::new(counter),
            opened_at: wall(row.get(3)?, row.get(4)?)?,
            how: HowKnown::ALL.into_iter().find(|h| h.as_str() == how).ok_or(UNREADABLE_VISIT)?,
        },
        closed_at: closed.map(|(micros, synchronised)| wall(micros, synchronised)).transpose()?,
        verdict: VisitVerdict::ALL.into_iter().find(|v| v.as_str() == verdict).ok_or(UNREADABLE_VISIT)?,
        served_by: row.get(9)?,
        receipt: row.get::<_, Option<String>>(10)?.zip(row.get(11)?).map(|(number, sum)| Receipt { number, sum }),
    })
}

const UNREADABLE_VISIT: Fault = Fault::Row("a visit is not what this Snova writes");

impl VisitVerdict {
    const ALL: [Self; 4] = [Self::Unanswered, Self::Confirmed, Self::Rejected, Self::Other];

    fn as_str(self) -> &'static str {
        match self {
            Self::Unanswered => "none",
            Self::Confirmed => "confirmed",
            Self::Rejected => "rejected",
            Self::Other => "other",
        }
    }
}
