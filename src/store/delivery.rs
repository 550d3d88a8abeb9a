//! The outbox as the delivery sees it: events claimed, concluded, put back, given up, and taken up again by a person.
//!
//! Talking to the CRM is `crate::sync`'s and never happens inside a transaction of this file.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Row, Transaction, params};
use uuid::Uuid;

use super::error::Fault;
use super::rows::{customer_id, key, micros, time, uuid};
use super::tombstone::{self, Tombstone};
use super::visits::{self, Visit};
use super::{Store, StoreError, consents};
use crate::clock::Days;
use crate::customer::{CustomerId, Purpose, VisitId};

/// No event waits longer than this by its own times: a time further ahead was written under a clock that was wrong.
const FARTHEST: SignedDuration = SignedDuration::from_hours(48);

/// An event that was claimed: from now on it may be with the CRM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    pub event: Uuid,
    pub customer: CustomerId,
    /// When the first try began that may have arrived; `None` if this is it.
    pub tried_at: Option<Timestamp>,
    /// Tries before this one.
    pub attempts: u32,
    pub created_at: Timestamp,
    pub task: Task,
}

/// What the CRM is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    Visit(Box<Visit>),
    /// The record written under `key` no longer holds.
    Void {
        key: Uuid,
        record: Option<String>,
        written_at: Timestamp,
    },
    Erasure(Tombstone),
}

/// What became of a claimed event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Conclusion {
    /// The CRM has it, under this id of its own if it has one.
    Done(Option<String>),
    /// To be tried again from `not_before` on.
    Again { class: &'static str, said: String, not_before: Timestamp },
    /// Given up; a person must look at it.
    Dead { class: &'static str, said: String },
}

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

const MAY_LEAVE: &str = "(deliver_after <= ?1 OR deliver_after > ?2)
    AND (not_before IS NULL OR not_before <= ?1 OR not_before > ?2)";

impl Store {
    /// Claims what comes next, at most `most` visits or one event of another kind, and commits that they are under way
    /// before anything is sent. The order of a customer's events is kept: none is claimed while an earlier one is not
    /// done. A visit whose customer's consent does not cover [`Purpose::VisitRecords`] on `days` is not given out: it
    /// is dropped, or, if it may be with the CRM, turned into its own taking back. With `linked_only`, visits of
    /// customers without a contact in the CRM stay where they are.
    pub fn claim(
        &self,
        most: usize,
        linked_only: bool,
        now: Timestamp,
        days: impl Into<Days>,
    ) -> Result<Vec<Claimed>, StoreError> {
        let days = days.into();
        // Nothing to do is the rule; it must not cost a write.
        if self.read(|tx| next(tx, 1, linked_only, now))?.is_empty() {
            return Ok(Vec::new());
        }
        self.write(|tx| {
            let mut claimed = Vec::new();
            for waiting in next(tx, most, linked_only, now)? {
                let Some(waiting) = with_consent(tx, waiting, days)? else { continue };
                let is_visit = waiting.kind == "visit";
                // One that was just turned into a void ends the run of visits.
                if !claimed.is_empty() && !is_visit {
                    break;
                }
                let task = waiting.task(self, tx)?;
                tx.prepare_cached(
                    "UPDATE outbox SET state = 'sending', attempts = attempts + 1, attempt_started_at = ?2,
                     first_attempt_at = coalesce(first_attempt_at, ?2), not_before = NULL
                     WHERE seq = ?1",
                )?
                .execute(params![waiting.seq, micros(now)])?;
                claimed.push(Claimed {
                    event: waiting.event,
                    customer: waiting.customer,
                    tried_at: waiting.tried_at,
                    attempts: waiting.attempts,
                    created_at: waiting.created_at,
                    task,
                });
                if !is_visit {
                    break;
                }
            }
            Ok(claimed)
        })
    }

    /// What would be claimed, without claiming it: for a look at what is about to be sent.
    pub fn waiting(&self, most: usize, now: Timestamp, days: impl Into<Days>) -> Result<Vec<Claimed>, StoreError> {
        let days = days.into();
        self.read(|tx| {
            let mut all = Vec::new();
            for waiting in next(tx, most, false, now)? {
                let agreed = waiting.kind != "visit" || covered(tx, waiting.customer, days)?;
                if agreed {
                    all.push(Claimed {
                        event: waiting.event,
                        customer: waiting.customer,
                        tried_at: waiting.tried_at,
                        attempts: waiting.attempts,
                        created_at: waiting.created_at,
                        task: waiting.task(self, tx)?,
                    });
                }
            }
            Ok(all)
        })
    }

    /// Records what became of claimed events, in one transaction. One that was erased meanwhile is passed over.
    pub fn conclude(&self, concluded: &[(Uuid, Conclusion)], now: Timestamp) -> Result<(), StoreError> {
        if concluded.is_empty() {
            return Ok(());
        }
        self.write(|tx| {
            let mut done = false;
            for (event, conclusion) in concluded {
                conclude(tx, *event, conclusion)?;
                done |= matches!(conclusion, Conclusion::Done(_));
            }
            if done {
                tx.execute("UPDATE sync_state SET last_success = ?1, failing_since = NULL", params![micros(now)])?;
            }
            Ok(())
        })
    }

    /// Events found under way, because the box stopped in the middle: in doubt, and to be tried again once whatever
    /// was under way has had `settle` to end. To be called once, before anything is claimed; returns how many.
    pub fn recover_sending(&self, settle: std::time::Duration) -> Result<usize, StoreError> {
        let settle = i64::try_from(settle.as_micros()).unwrap_or(i64::MAX);
        self.write(|tx| {
            let sql = "UPDATE outbox SET state = 'new', not_before = attempt_started_at + ?1 WHERE state = 'sending'";
            Ok(tx.execute(sql, params![settle])?)
        })
    }

    /// The given up, oldest first.
    pub fn dead_letters(&self, most: usize) -> Result<Vec<DeadLetter>, StoreError> {
        self.read(|tx| {
            let mut statement = tx.prepare_cached(
                "SELECT event, kind, customer, visit, created_at, attempts, last_error_class, last_error
                 FROM outbox WHERE state = 'dead' ORDER BY seq LIMIT ?1",
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
        self.write(|tx| {
            let taken = match event {
                Some(event) => tx.execute(
                    "UPDATE outbox SET state = 'new', not_before = NULL WHERE state = 'dead' AND event = ?1",
                    params![key(event)],
                )?,
                None => {
                    tx.execute("UPDATE outbox SET not_before = NULL WHERE state = 'new'", [])?;
                    // Contacts that were looked for in vain may be there now.
                    tx.execute("UPDATE crm_links SET tried_at = 0 WHERE state IN ('absent', 'unclear')", [])?;
                    tx.execute("UPDATE outbox SET state = 'new', not_before = NULL WHERE state = 'dead'", [])?
                }
            };
            wake(tx)?;
            Ok(taken)
        })
    }

    /// Ends the rest of a delivery that waits out a failure: what it failed at may have been mended.
    pub fn wake_delivery(&self) -> Result<(), StoreError> {
        self.write(wake)
    }

    /// Forgets one given-up event: the CRM will never have it. `false` when no given-up event has this id.
    pub fn discard(&self, event: Uuid) -> Result<bool, StoreError> {
        self.write(|tx| {
            Ok(tx.execute("DELETE FROM outbox WHERE state = 'dead' AND event = ?1", params![key(event)])? > 0)
        })
    }
}

fn wake(tx: &Transaction<'_>) -> Result<(), Fault> {
    tx.execute("UPDATE sync_state SET blocked_until = NULL, wakes = wakes + 1", [])?;
    Ok(())
}

struct Waiting {
    seq: i64,
    event: Uuid,
    kind: String,
    customer: CustomerId,
    visit: Option<Uuid>,
    about: Option<Uuid>,
    created_at: Timestamp,
    attempts: u32,
    tried_at: Option<Timestamp>,
    sealed: Option<Vec<u8>>,
}

/// The events that may be claimed now, of the first one's kind, in order.
fn next(tx: &Transaction<'_>, most: usize, linked_only: bool, now: Timestamp) -> Result<Vec<Waiting>, Fault> {
    let farthest = now.checked_add(FARTHEST).unwrap_or(Timestamp::MAX);
    let sql = format!(
        "SELECT seq, event, kind, customer, visit, about, created_at, attempts, first_attempt_at, sealed
         FROM outbox o WHERE state = 'new' AND {MAY_LEAVE} AND NOT EXISTS (
             SELECT 1 FROM outbox WHERE customer = o.customer AND seq < o.seq
             AND (state = 'sending' OR state = 'new' AND NOT coalesce({MAY_LEAVE}, 0)))
         AND (?4 = 0 OR kind <> 'visit'
              OR EXISTS (SELECT 1 FROM crm_links l WHERE l.customer = o.customer AND l.state = 'linked'))
         ORDER BY seq LIMIT ?3"
    );
    let mut statement = tx.prepare_cached(&sql)?;
    let mut rows = statement.query(params![micros(now), micros(farthest), limit(most), linked_only])?;
    let mut waiting: Vec<Waiting> = Vec::new();
    while let Some(row) = rows.next()? {
        let event = waiting_of(row)?;
        // A run of visits, or one of anything else; so a customer's events keep their order.
        match waiting.first() {
            Some(first) if first.kind != "visit" || event.kind != "visit" => break,
            _ => waiting.push(event),
        }
    }
    Ok(waiting)
}

fn waiting_of(row: &Row<'_>) -> Result<Waiting, Fault> {
    let id =
        |column| -> Result<Option<Uuid>, Fault> { Ok(row.get::<_, Option<[u8; 16]>>(column)?.map(Uuid::from_bytes)) };
    Ok(Waiting {
        seq: row.get(0)?,
        event: uuid(row, 1)?,
        kind: row.get(2)?,
        customer: customer_id(row, 3)?,
        visit: id(4)?,
        about: id(5)?,
        created_at: time(row.get(6)?)?,
        attempts: row.get(7)?,
        tried_at: row.get::<_, Option<i64>>(8)?.map(time).transpose()?,
        sealed: row.get(9)?,
    })
}

impl Waiting {
    fn task(&self, store: &Store, tx: &Transaction<'_>) -> Result<Task, Fault> {
        match &*self.kind {
            "visit" => {
                let visit = self.visit.ok_or(UNREADABLE)?;
                Ok(Task::Visit(Box::new(visits::require(tx, VisitId(visit))?)))
            }
            "visit_void" => {
                let key_of = self.about.unwrap_or(self.event);
                let mut statement = tx.prepare_cached("SELECT record, created_at FROM outbox WHERE event = ?1")?;
                let mut rows = statement.query(params![key(key_of)])?;
                let (record, written_at) = match rows.next()? {
                    Some(row) => (row.get(0)?, time(row.get(1)?)?),
                    None => (None, self.created_at),
                };
                Ok(Task::Void { key: key_of, record, written_at })
            }
            _ => Ok(Task::Erasure(tombstone::open(&store.key, self.event, self.sealed.clone())?)),
        }
    }
}

const UNREADABLE: Fault = Fault::Row("an outbox event is not what this Snova writes");

fn covered(tx: &Transaction<'_>, customer: CustomerId, days: Days) -> Result<bool, Fault> {
    let consent = consents::current(tx, customer)?;
    Ok(consent.is_some_and(|consent| consent.is_live(Purpose::VisitRecords, days)))
}

/// The event if it may be sent; a visit without consent goes, or is taken back.
fn with_consent(tx: &Transaction<'_>, mut waiting: Waiting, days: Days) -> Result<Option<Waiting>, Fault> {
    if waiting.kind != "visit" || covered(tx, waiting.customer, days)? {
        return Ok(Some(waiting));
    }
    if waiting.attempts == 0 {
        tx.execute("DELETE FROM outbox WHERE seq = ?1", params![waiting.seq])?;
        return Ok(None);
    }
    tx.execute("UPDATE outbox SET kind = 'visit_void' WHERE seq = ?1", params![waiting.seq])?;
    waiting.kind = "visit_void".to_owned();
    Ok(Some(waiting))
}

fn conclude(tx: &Transaction<'_>, event: Uuid, conclusion: &Conclusion) -> Result<(), Fault> {
    let event = key(event);
    match conclusion {
        Conclusion::Done(record) => tx
            .prepare_cached(
                "UPDATE outbox SET state = 'done', record = coalesce(?2, record), sealed = NULL, not_before = NULL,
                 last_error_class = NULL, last_error = NULL WHERE event = ?1 AND state = 'sending'",
            )?
            .execute(params![event, record])?,
        Conclusion::Again { class, said, not_before } => tx
            .prepare_cached(
                "UPDATE outbox SET state = 'new', not_before = ?2, last_error_class = ?3, last_error = ?4
                 WHERE event = ?1 AND state = 'sending'",
            )?
            .execute(params![event, micros(*not_before), class, said])?,
        Conclusion::Dead { class, said } => tx
            .prepare_cached(
                "UPDATE outbox SET state = 'dead', not_before = NULL, last_error_class = ?2, last_error = ?3
                 WHERE event = ?1 AND state = 'sending'",
            )?
            .execute(params![event, class, said])?,
    };
    Ok(())
}

fn limit(most: usize) -> i64 {
    i64::try_from(most).unwrap_or(i64::MAX)
}
