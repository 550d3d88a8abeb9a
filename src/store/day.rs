//! The visits of a day as a person at the shop looks at them, and one of them voided, days later if need be.
//!
//! What a correction does to the outbox is `visits`'; how a CRM hears of it, `delivery`'s.

use std::collections::HashMap;
use std::ops::Range;

use jiff::{SignedDuration, Timestamp};
use rusqlite::{OptionalExtension, Transaction, params};

use super::error::Fault;
use super::rows::{key, micros};
use super::visits::{self, VISIT_COLUMNS, Visit, VisitVerdict};
use super::{Store, StoreError};
use crate::clock::{Days, WallTime};
use crate::customer::{CustomerId, PersonName, Verdict, VisitId};
use crate::face::CounterId;

/// How long after its begin a visit can be corrected here.
const CORRECTED_FOR: SignedDuration = SignedDuration::from_hours(7 * 24);

/// A visit of a day.
#[derive(Clone, Debug)]
pub struct DayVisit {
    pub visit: Visit,
    /// The customer's name as they are greeted; `None` where it cannot be read.
    pub name: Option<PersonName>,
    pub state: VisitState,
}

/// How far a visit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VisitState {
    /// Its customer is at a counter.
    Open,
    /// On its way to the CRM.
    Waiting,
    /// The CRM has it.
    Delivered,
    /// It was somebody else, and does not count.
    Void,
    /// The CRM refused it, or a person gave it up.
    Refused,
    /// No CRM is told of it: its customer did not agree to that.
    Here,
}

impl VisitState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Waiting => "waiting",
            Self::Delivered => "delivered",
            Self::Void => "void",
            Self::Refused => "refused",
            Self::Here => "here",
        }
    }
}

impl Store {
    /// The visits that began within `day`, at `counter` or at all of them, in the order in which they began. Of the erased
    /// there are none.
    pub fn visits_of_day(
        &self,
        day: Range<Timestamp>,
        counter: Option<&CounterId>,
    ) -> Result<Vec<DayVisit>, StoreError> {
        self.read(|tx| {
            let mut statement = tx.prepare_cached(&format!(
                "{VISIT_COLUMNS} WHERE v.opened_at >= ?1 AND v.opened_at < ?2 AND (?3 IS NULL OR v.counter = ?3)
                 ORDER BY v.opened_at, v.id"
            ))?;
            let mut rows =
                statement.query(params![micros(day.start), micros(day.end), counter.map(CounterId::as_str)])?;
            let (mut found, mut names) = (Vec::new(), HashMap::new());
            while let Some(row) = rows.next()? {
                let visit = visits::visit_of(row)?;
                let customer = visit.record.customer;
                let name = match names.entry(customer) {
                    std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
                    std::collections::hash_map::Entry::Vacant(new) => new.insert(self.name_of(tx, customer)?),
                };
                found.push(DayVisit { name: name.clone(), state: state(tx, &visit)?, visit });
            }
            Ok(found)
        })
    }

    /// Voids a visit of the last 7 days: it was nobody who is enrolled, or `other`, whose consent must cover it on `days`.
    /// Whether it is open, over or with the CRM for long makes no difference. The same again is one.
    pub fn void_visit(
        &self,
        id: VisitId,
        other: Option<CustomerId>,
        at: WallTime,
        days: impl Into<Days>,
    ) -> Result<Visit, StoreError> {
        let days = days.into();
        let answer = other.map_or(Verdict::No, Verdict::Other);
        self.write(|tx| {
            let before = visits::require(tx, id)?;
            if before.answered(answer) != before && at.at.duration_since(before.record.opened_at.at) > CORRECTED_FOR {
                return Err(StoreError::OldVisit(id).into());
            }
            visits::answer(tx, &before, answer, at.at, days)
        })
    }

    fn name_of(&self, tx: &Transaction<'_>, customer: CustomerId) -> Result<Option<PersonName>, Fault> {
        match self.customer_in(tx, customer) {
            Err(fault) if fault.is_of_one_row() => Ok(None),
            read => Ok(read?.map(|customer| customer.name)),
        }
    }
}

fn state(tx: &Transaction<'_>, visit: &Visit) -> Result<VisitState, Fault> {
    if visit.verdict == VisitVerdict::Rejected {
        return Ok(VisitState::Void);
    }
    if visit.closed_at.is_none() {
        return Ok(VisitState::Open);
    }
    // The latest fact is the one that holds; of its deliveries the one to the current CRM, if there is one.
    let delivery: Option<String> = tx
        .prepare_cached(
            "SELECT o.state FROM outbox o JOIN targets t ON t.id = o.target WHERE o.visit = ?1 AND o.kind = 'visit'
             ORDER BY o.seq DESC, t.state = 'current' DESC LIMIT 1",
        )?
        .query_row(params![key(visit.record.id.0)], |row| row.get(0))
        .optional()?;
    Ok(match delivery.as_deref() {
        None => VisitState::Here,
        Some("done") => VisitState::Delivered,
        Some("dead" | "withdrawn") => VisitState::Refused,
        Some(_) => VisitState::Waiting,
    })
}
