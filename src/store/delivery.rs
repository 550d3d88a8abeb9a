//! Deliveries as the courier sees them: claimed, concluded, put back, given up; held while no consent covers them.
//!
//! Talking to a CRM is `crate::sync`'s and never happens inside a transaction of this file. What the CRM then has is
//! written by `ledger`, what a person does about the given up, by `letters`.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Row, Transaction, params};
use uuid::Uuid;

use super::error::Fault;
use super::ledger::{self, SentRecord};
use super::rows::{customer_id, key, micros, time, uuid};
use super::targets::TargetId;
use super::tombstone::{self, Tombstone};
use super::visits::{self, Visit};
use super::{Lane, Store, StoreError, held, lane, links};
use crate::clock::{Days, Trust};
use crate::customer::{CustomerId, VisitId};

/// No event waits longer than this by its own times: a time further ahead was written under a clock that was wrong.
const FARTHEST: SignedDuration = SignedDuration::from_hours(48);

/// An event that was claimed: from now on it may be with the CRM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    pub event: Uuid,
    pub customer: CustomerId,
    /// When the first try began that may have arrived; `None` if this is it.
    pub tried_at: Option<Timestamp>,
    /// The same by the CRM's clock, if that was known then.
    pub server_at: Option<Timestamp>,
    /// Tries before this one.
    pub attempts: u32,
    pub created_at: Timestamp,
    /// The customer's contact in the CRM that it is for; of what was sent before, the one it was sent to.
    pub contact: Option<String>,
    pub task: Task,
}

/// What the CRM is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    Visit(Box<Visit>),
    /// This record no longer holds.
    Void(SentRecord),
    Erasure(Tombstone),
}

/// What became of a claimed event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Conclusion {
    /// The CRM has it, under this id of its own if it has one.
    Done(Option<String>),
    /// To be tried again from `not_before` on.
    Again { class: &'static str, said: String, not_before: Timestamp },
    /// Refused for what it is, as far as the CRM says. Given up if the lane works, else tried again from `not_before` on.
    Refused { class: &'static str, said: String, not_before: Timestamp },
    /// Given up; a person must look at it.
    Dead { class: &'static str, said: String },
}

const MAY_LEAVE: &str = "(deliver_after <= ?1 OR deliver_after > ?2)
    AND (not_before IS NULL OR not_before <= ?1 OR not_before > ?2)";

/// What is asked for with [`Store::claim`].
#[derive(Clone, Copy, Debug)]
pub struct Ask {
    /// The CRM that it is for.
    pub target: TargetId,
    /// The most visits.
    pub most: usize,
    /// Leaves visits of customers without a contact in the CRM where they are.
    pub linked_only: bool,
    pub now: Timestamp,
    /// What the CRM's clock says now, if that is known.
    pub server_now: Option<Timestamp>,
    /// The lane is stopped, and this is a try: what is taken back or forgotten comes first, then what was tried least.
    pub is_try: bool,
    pub days: Days,
    /// Under a clock that cannot be right nothing is taken back.
    pub trust: Trust,
}

impl Store {
    /// Claims what comes next, at most [`Ask::most`] visits or one event of another kind, and commits that they are under
    /// way, and that the CRM may have them, before anything is sent. The order of a customer's events is kept: none is
    /// claimed while an earlier one is not done, except that visits pass a suspect, which may never be taken. A visit that its customer's consent does not cover at this time is held;
    /// one that may be with the CRM, and whose consent has ended by a clock that can be right, is taken back.
    pub fn claim(&self, ask: &Ask) -> Result<Vec<Claimed>, StoreError> {
        // Nothing to do is the rule; it must not cost a write.
        let (due, judged) =
            self.read(|tx| Ok((!next(tx, &Ask { most: 1, ..*ask })?.is_empty(), held::judge(tx, ask)?)))?;
        if !due && judged.is_empty() {
            return Ok(Vec::new());
        }
        self.write(|tx| {
            for (fact, becomes) in held::judge(tx, ask)? {
                held::carry_out(tx, ask, fact, becomes)?;
            }
            let mut claimed = Vec::new();
            for waiting in allowed(tx, ask)? {
                let entry = waiting.claimed(self, tx, ask)?;
                if let Task::Visit(_) = entry.task {
                    let sent = waiting.sent(ask, entry.contact.clone());
                    ledger::perhaps(tx, ask.target, &sent, waiting.customer)?;
                }
                tx.prepare_cached(
                    "UPDATE deliveries SET state = 'sending', attempts = attempts + 1, attempt_started_at = ?3,
                     first_attempt_at = coalesce(first_attempt_at, ?3), not_before = NULL
                     WHERE fact = ?1 AND target = ?2",
                )?
                .execute(params![waiting.seq, ask.target.0, micros(ask.now)])?;
                claimed.push(entry);
            }
            Ok(claimed)
        })
    }

    /// What would be claimed, without claiming it: for a look at what is about to be sent.
    pub fn waiting(&self, ask: &Ask) -> Result<Vec<Claimed>, StoreError> {
        self.read(|tx| {
            let mut all = Vec::new();
            for waiting in next(tx, ask)? {
                let agreed =
                    waiting.kind != "visit" || held::verdict(tx, ask, waiting.customer, waiting.attempts)?.is_none();
                if agreed {
                    all.push(waiting.claimed(self, tx, ask)?);
                }
            }
            Ok(all)
        })
    }

    /// Records what became of claimed events, in one transaction, and says how the lane is then. One that was erased
    /// meanwhile is passed over.
    pub fn conclude(
        &self,
        target: TargetId,
        concluded: &[(Uuid, Conclusion)],
        now: Timestamp,
    ) -> Result<Lane, StoreError> {
        if concluded.is_empty() {
            return self.read(|tx| lane::of(tx, target));
        }
        self.write(|tx| {
            let before = lane::of(tx, target)?.taken;
            let is_done = |conclusion: &Conclusion| matches!(conclusion, Conclusion::Done(_));
            let (mut done, mut visits) = (false, 0);
            for (event, conclusion) in concluded.iter().filter(|(_, conclusion)| is_done(conclusion)) {
                visits += u64::from(conclude(tx, target, *event, conclusion, before)?);
                done = true;
            }
            if done {
                lane::went_through(tx, target, visits, now)?;
            }
            for (event, conclusion) in concluded.iter().filter(|(_, conclusion)| !is_done(conclusion)) {
                conclude(tx, target, *event, conclusion, before)?;
            }
            lane::of(tx, target)
        })
    }

    /// Events found under way, because the box stopped in the middle: in doubt, and to be tried again once whatever
    /// was under way has had `settle` to end. To be called once, before anything is claimed; returns how many.
    pub fn recover_sending(&self, target: TargetId, settle: std::time::Duration) -> Result<usize, StoreError> {
        let settle = i64::try_from(settle.as_micros()).unwrap_or(i64::MAX);
        self.write(|tx| {
            let sql = "UPDATE deliveries SET state = 'new', not_before = attempt_started_at + ?1
                       WHERE target = ?2 AND state = 'sending'";
            Ok(tx.execute(sql, params![settle, target.0])?)
        })
    }
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

/// The events that may be claimed now: a run of visits, or one of anything else, so that a customer's keep their order.
fn next(tx: &Transaction<'_>, ask: &Ask) -> Result<Vec<Waiting>, Fault> {
    let farthest = ask.now.checked_add(FARTHEST).unwrap_or(Timestamp::MAX);
    let mut waiting: Vec<Waiting> = Vec::new();
    // Two looks, each by its index: a long outbox is not sorted for the few suspects in it.
    let unsuspected = if ask.is_try { "kind = 'visit', seq" } else { "seq" };
    for (which, order) in [("IS NULL", unsuspected), ("NOT NULL", "attempts, seq")] {
        let sql = format!(
            "SELECT seq, event, kind, customer, visit, about, created_at, attempts, first_attempt_at, sealed
             FROM outbox o WHERE target = ?5 AND state = 'new' AND suspect_since {which} AND {MAY_LEAVE} AND NOT EXISTS (
                 SELECT 1 FROM outbox WHERE customer = o.customer AND seq < o.seq AND target = ?5
                 AND (state = 'sending' OR state = 'new' AND iif(suspect_since IS NULL, NOT coalesce({MAY_LEAVE}, 0), event = o.about)))
             AND (?4 = 0 OR kind <> 'visit' OR EXISTS (
                 SELECT 1 FROM crm_links l WHERE l.customer = o.customer AND l.target = ?5 AND l.state = 'linked'))
             ORDER BY {order} LIMIT ?3"
        );
        let mut statement = tx.prepare_cached(&sql)?;
        let (now, most) = (micros(ask.now), limit(ask.most.saturating_sub(waiting.len())));
        let mut rows = statement.query(params![now, micros(farthest), most, ask.linked_only, ask.target.0])?;
        while let Some(row) = rows.next()? {
            let event = waiting_of(row)?;
            match waiting.first() {
                Some(first) if first.kind != "visit" || event.kind != "visit" => return Ok(waiting),
                _ => waiting.push(event),
            }
        }
    }
    Ok(waiting)
}

/// The events that may be claimed, once what no consent covers is out of the way.
fn allowed(tx: &Transaction<'_>, ask: &Ask) -> Result<Vec<Waiting>, Fault> {
    loop {
        let waiting = next(tx, ask)?;
        let mut refused = false;
        for visit in waiting.iter().filter(|waiting| waiting.kind == "visit") {
            if let Some(becomes) = held::verdict(tx, ask, visit.customer, visit.attempts)? {
                held::carry_out(tx, ask, visit.seq, becomes)?;
                refused = true;
            }
        }
        // Each round has fewer.
        if !refused {
            return Ok(waiting);
        }
    }
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
    fn claimed(&self, store: &Store, tx: &Transaction<'_>, ask: &Ask) -> Result<Claimed, Fault> {
        let target = ask.target;
        let linked = match links::link(tx, target, self.customer)? {
            Some(links::Link::Linked(contact)) => Some(contact),
            _ => None,
        };
        let (contact, task) = match &*self.kind {
            "visit" => {
                let visit = self.visit.ok_or(UNREADABLE)?;
                (linked, Task::Visit(Box::new(visits::require(tx, VisitId(visit))?)))
            }
            "correction" => {
                let about = self.about.ok_or(UNREADABLE)?;
                let known = ledger::record(tx, target, about)?;
                let sent = known.unwrap_or(SentRecord { key: about, ..self.sent(ask, None) });
                (sent.contact.clone().or(linked), Task::Void(sent))
            }
            _ => {
                let gone = tombstone::open(&store.key, self.event, self.sealed.clone())?;
                (gone.contact.clone(), Task::Erasure(gone))
            }
        };
        Ok(Claimed {
            event: self.event,
            customer: self.customer,
            tried_at: self.tried_at,
            server_at: ledger::record(tx, target, self.event)?.and_then(|sent| sent.server_at),
            attempts: self.attempts,
            created_at: self.created_at,
            contact,
            task,
        })
    }

    fn sent(&self, ask: &Ask, contact: Option<String>) -> SentRecord {
        let (tried_at, server_at) = (ask.now, ask.server_now);
        let (key, written_at) = (self.event, self.created_at);
        SentRecord { key, record: None, contact, elders: Vec::new(), written_at, tried_at, server_at }
    }
}

const UNREADABLE: Fault = Fault::Row("an outbox event is not what this Snova writes");

/// Whether it is a visit that the CRM took. It had taken `before` until this call.
fn conclude(
    tx: &Transaction<'_>,
    target: TargetId,
    event: Uuid,
    conclusion: &Conclusion,
    before: u64,
) -> Result<bool, Fault> {
    let mut statement = tx.prepare_cached(
        "SELECT kind, about, last_error_class FROM outbox WHERE event = ?1 AND target = ?2 AND state = 'sending'",
    )?;
    let mut rows = statement.query(params![key(event), target.0])?;
    let Some(row) = rows.next()? else { return Ok(false) };
    let kind: String = row.get(0)?;
    let about: Option<[u8; 16]> = row.get(1)?;
    let was_refused = row.get::<_, Option<String>>(2)?.as_deref() == Some(POISON);
    drop(rows);
    let set = |sql: &str, values: &[&dyn rusqlite::ToSql]| -> Result<(), Fault> {
        let sql =
            format!("UPDATE deliveries SET {sql} WHERE target = ?1 AND fact = (SELECT seq FROM facts WHERE id = ?2)");
        let event = key(event);
        let ours: [&dyn rusqlite::ToSql; 2] = [&target.0, &event];
        tx.prepare_cached(&sql)?.execute(&*[&ours, values].concat())?;
        Ok(())
    };
    match conclusion {
        Conclusion::Done(record) => {
            if was_refused {
                lane::cause_is_mended(tx, target, event)?;
            }
            set(
                "state = 'done', sealed = NULL, not_before = NULL, last_error_class = NULL, last_error = NULL,
                 suspect_since = NULL",
                &[],
            )?;
            match about {
                Some(about) => ledger::void(tx, target, Uuid::from_bytes(about))?,
                None if kind == "visit" => ledger::there(tx, target, event, record.as_deref())?,
                None => {}
            }
            return Ok(kind == "visit");
        }
        Conclusion::Again { class, said, not_before } => {
            if *class == TENANT_BLOCKED {
                lane::refuses(tx, target)?;
            }
            set(
                "state = 'new', not_before = ?3, last_error_class = ?4, last_error = ?5",
                &[&micros(*not_before), class, said],
            )?;
        }
        Conclusion::Refused { class, said, not_before } => {
            lane::refused(tx, target, event, before, (class, said, *not_before))?;
        }
        Conclusion::Dead { class, said } => {
            set("state = 'dead', not_before = NULL, last_error_class = ?3, last_error = ?4", &[class, said])?;
        }
    }
    Ok(false)
}

/// Classes of failures: what a row was refused for, and what no row can help.
const POISON: &str = "poison";
const TENANT_BLOCKED: &str = "tenant-blocked";

pub(super) fn limit(most: usize) -> i64 {
    i64::try_from(most).unwrap_or(i64::MAX)
}
