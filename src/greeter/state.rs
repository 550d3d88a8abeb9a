//! What a counter's screens show, and the handle by which they see it and answer.
//!
//! The wire form is `crate::web`'s; these types are never serialised.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};
use uuid::Uuid;

use super::Shifts;
use crate::camera::CameraState;
use crate::customer::{Card, CustomerId, PersonName, Verdict, VisitId};
use crate::face::{CameraId, CounterId};
use crate::trouble::Trouble;

/// The whole picture of one counter. Every change is a new one; the latest wins.
#[derive(Clone, Debug, Default)]
pub struct CounterState {
    /// Who is at the counter now, in order of arrival.
    pub present: Vec<Present>,
    pub cameras: Vec<(CameraId, CameraState)>,
    /// Visits shown but not yet on disk: 0 unless the disk is in trouble.
    pub unsaved_visits: usize,
    /// Whether the box looks at a live camera too rarely to be quick: names come late.
    pub overloaded: bool,
    /// Why visits do not reach the company's CRM, if they do not.
    pub crm_trouble: Option<CrmTrouble>,
    /// What of the box itself a person must mend, with how often it holds.
    pub troubles: Vec<(Trouble, u64)>,
}

/// What keeps visits from the CRM, as far as a cashier can use it. No visit is lost meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrmTrouble {
    /// The CRM does not accept the box's login; a person must mend it.
    Refused,
    /// The CRM takes nothing from the box for hours: its plan, a limit, a right that is missing.
    Blocked,
    /// The CRM does not answer, or not fast enough: the oldest visit has waited since then.
    Late { since: Timestamp },
}

/// One person at the counter whom the screen may name.
#[derive(Clone, Debug)]
pub struct Present {
    pub visit: VisitId,
    pub since: Timestamp,
    pub who: Greeted,
    /// Whether their card or phone was given here: then nobody need see them, and the cashier says when they are done.
    pub entered: bool,
}

/// The certain and the uncertain case; there is no third, strangers are not shown.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "a counter has a handful of them, and nearly all are matches")]
pub enum Greeted {
    Match {
        customer: CustomerId,
        name: PersonName,
        greeting: String,
        card: Card,
    },
    /// Best first, never empty. The cashier answers.
    Maybe {
        candidates: Vec<CandidateCard>,
    },
}

#[derive(Clone, Debug)]
pub struct CandidateCard {
    pub customer: CustomerId,
    pub name: PersonName,
}

/// One answer on its way to the visit thread, with the way back.
#[derive(Debug)]
pub struct Answer {
    pub visit: VisitId,
    pub verdict: Verdict,
    pub reply: oneshot::Sender<Result<(), AnswerError>>,
}

/// Why an answer was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    #[error("this visit is not at the counter any more")]
    UnknownVisit,
    #[error("there is no such customer")]
    UnknownCustomer,
    #[error("the service is busy or stopping; try again")]
    Busy,
}

/// A card or phone given at a counter, on its way to the visit thread, with the way back.
pub struct Entry {
    pub counter: CounterId,
    /// As it was scanned or typed. It is personal, and lives no longer than the question whose it is.
    pub entered: String,
    /// Minted by whoever sends it: sent twice, it is one entry.
    pub key: Option<Uuid>,
    pub reply: oneshot::Sender<Result<EntryTaken, EntryError>>,
}

/// Somebody was greeted by a card or phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryTaken {
    pub visit: VisitId,
    /// Whether that is on the disk. If not it waits in memory, and is counted as unsaved.
    pub recorded: bool,
}

/// Without what was entered.
impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Entry({}, …)", self.counter)
    }
}

/// Why nobody was greeted by a card or phone. Nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    #[error("no customer has this card or phone")]
    Unknown,
    #[error("this customer's consent has ended or does not cover greeting by card; ask them for a new one")]
    ConsentEnded,
    #[error("too many cards and phones that nobody has were entered here; wait a minute")]
    TooMany,
    #[error("the service is busy or stopping; try again")]
    Busy,
}

/// The screens' handle on the counters. Cheap to clone.
#[derive(Clone)]
pub struct Counters {
    states: Arc<BTreeMap<CounterId, watch::Receiver<Arc<CounterState>>>>,
    answers: mpsc::Sender<Answer>,
    entries: mpsc::Sender<Entry>,
    /// Where the owner lets it be said who serves.
    shifts: Option<Shifts>,
}

impl Counters {
    pub fn new(
        states: BTreeMap<CounterId, watch::Receiver<Arc<CounterState>>>,
        answers: mpsc::Sender<Answer>,
        entries: mpsc::Sender<Entry>,
    ) -> Self {
        Self { states: Arc::new(states), answers, entries, shifts: None }
    }

    /// Lets it be said who serves at a counter.
    pub fn with_shifts(self, shifts: Option<Shifts>) -> Self {
        Self { shifts, ..self }
    }

    /// `None` where the owner has not switched that on.
    pub fn shifts(&self) -> Option<&Shifts> {
        self.shifts.as_ref()
    }

    /// The counters of this box in order of name.
    pub fn names(&self) -> impl Iterator<Item = &CounterId> {
        self.states.keys()
    }

    /// A receiver that holds the latest picture of `counter` and wakes at every change.
    pub fn watch(&self, counter: &CounterId) -> Option<watch::Receiver<Arc<CounterState>>> {
        self.states.get(counter).cloned()
    }

    /// Hands the cashier's word to the visit thread and waits for its outcome.
    pub async fn answer(&self, visit: VisitId, verdict: Verdict) -> Result<(), AnswerError> {
        let (reply, outcome) = oneshot::channel();
        self.answers.try_send(Answer { visit, verdict, reply }).map_err(|_| AnswerError::Busy)?;
        outcome.await.unwrap_or(Err(AnswerError::Busy))
    }

    /// Hands a card or phone given at `counter` to the visit thread and waits for whose visit it opened.
    pub async fn enter(
        &self,
        counter: &CounterId,
        entered: String,
        key: Option<Uuid>,
    ) -> Result<EntryTaken, EntryError> {
        let (reply, outcome) = oneshot::channel();
        let entry = Entry { counter: counter.clone(), entered, key, reply };
        self.entries.try_send(entry).map_err(|_| EntryError::Busy)?;
        outcome.await.unwrap_or(Err(EntryError::Busy))
    }
}
