//! The shapes on the wire, and how the greeter's picture becomes them.
//!
//! A field exists here only if a cashier may see it: no similarity, no camera's URL, no error's cause.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::card::{CardView, Today};
use crate::camera::CameraState;
use crate::customer::PersonName;
use crate::face::{CameraId, CounterId};
use crate::greeter::{CounterState, CrmTrouble, Greeted, Present};
use crate::trouble::Trouble;

/// The counters of this box.
#[derive(Debug, Serialize, ToSchema)]
pub struct CounterListView {
    pub counters: Vec<CounterNameView>,
}

/// One counter, by name.
#[derive(Debug, Serialize, ToSchema)]
pub struct CounterNameView {
    #[schema(example = "till-1")]
    pub name: String,
    /// The language of its page: ru, uk or en.
    #[schema(example = "ru")]
    pub language: &'static str,
}

/// Who is at a counter now, and whether its cameras see.
#[derive(Debug, Serialize, ToSchema)]
pub struct CounterView {
    #[schema(example = "till-1")]
    pub counter: String,
    /// In order of arrival. Somebody who is not recognised is not here.
    pub present: Vec<PresentView>,
    pub cameras: Vec<CameraView>,
    /// Visits shown but not yet written: above 0 only while the disk is in trouble.
    pub unsaved_visits: usize,
    /// Whether the box looks at a camera too rarely to be quick: names may come late.
    pub overloaded: bool,
    /// Why visits do not reach the company's CRM, if they do not. Greeting goes on, and no visit is lost.
    pub crm_trouble: Option<CrmTroubleView>,
    /// What of the box itself a person must mend, the gravest first.
    pub troubles: Vec<TroubleView>,
}

/// Something that is wrong with the box itself.
#[derive(Debug, Serialize, ToSchema)]
pub struct TroubleView {
    pub kind: TroubleKind,
    /// How often: for `row_unreadable` the rows, else 1.
    pub count: u64,
}

/// `store_unreadable`: the database cannot be read. `store_lost`: it is empty or gone although the box had one.
/// `key_missing`, `key_mismatch`: the device key is gone, or is not this database's. `row_unreadable`: single customers
/// cannot be read. `clock`: the clock cannot be right.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TroubleKind {
    StoreUnreadable,
    StoreLost,
    KeyMissing,
    KeyMismatch,
    RowUnreadable,
    Clock,
}

/// What keeps visits from the CRM.
#[derive(Debug, Serialize, ToSchema)]
pub struct CrmTroubleView {
    pub kind: CrmTroubleKind,
    /// For `late`: since when the oldest visit waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub since: Option<String>,
}

/// `refused`: the CRM does not accept the box's login. `blocked`: the CRM takes nothing from the box for hours (its
/// plan, a limit, a missing right). `late`: it does not answer, or not fast enough.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CrmTroubleKind {
    Refused,
    Blocked,
    Late,
}

/// Somebody the screen may name.
#[derive(Debug, Serialize, ToSchema)]
pub struct PresentView {
    pub visit_id: Uuid,
    pub decision: DecisionView,
    /// For a match: who it is.
    pub customer_id: Option<Uuid>,
    /// For a match: what to say, in the customer's language.
    #[schema(example = "С возвращением, Иван Петрович!")]
    pub greeting: Option<String>,
    /// For a match.
    pub name: Option<NameView>,
    /// For a maybe: whom to ask about, the likeliest first.
    pub candidates: Vec<CandidateView>,
    /// For a match. It suggests; nothing in it authorises money or bonus points.
    pub card: Option<CardView>,
    /// Whether they gave a card or phone here; they stay until `done`, or for a while.
    pub entered: bool,
    /// When the visit began.
    #[schema(format = DateTime)]
    pub since: String,
}

/// The system's word: `match` is sure enough to greet, `maybe` needs the cashier's answer.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DecisionView {
    Match,
    Maybe,
}

/// A name in its parts.
#[derive(Debug, Serialize, ToSchema)]
pub struct NameView {
    #[schema(example = "Иван")]
    pub given: String,
    #[schema(example = "Петрович")]
    pub patronymic: Option<String>,
    #[schema(example = "Сидоров")]
    pub family: Option<String>,
}

/// Somebody it might be.
#[derive(Debug, Serialize, ToSchema)]
pub struct CandidateView {
    pub customer_id: Uuid,
    pub name: NameView,
}

/// Whether a camera sees.
#[derive(Debug, Serialize, ToSchema)]
pub struct CameraView {
    #[schema(example = "till-1-left")]
    pub name: String,
    pub state: CameraStateView,
    /// Since when it has been stalled, unreadable, frozen, lost or refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub since: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CameraStateView {
    Starting,
    Live,
    /// Open, but silent for longer than it should be.
    Stalled,
    /// Its pictures come, and none can be decoded.
    Unreadable,
    /// The same picture comes over and over.
    Frozen,
    /// Gone; being reopened.
    Lost,
    /// It answers, and does not accept the password.
    Refused,
    /// A recording that has come to its end.
    Ended,
}

/// A refusal.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorBody {
    pub error: ErrorView,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorView {
    /// For programs.
    #[schema(example = "visit_gone")]
    pub code: &'static str,
    /// For people: what is wrong and what to do.
    #[schema(example = "this visit is not at the counter any more")]
    pub message: String,
}

impl CounterView {
    pub fn of(counter: &CounterId, state: &CounterState, today: &Today) -> Self {
        Self {
            counter: counter.to_string(),
            present: state.present.iter().map(|present| PresentView::of(present, today)).collect(),
            cameras: state.cameras.iter().map(|(camera, state)| CameraView::of(camera, state)).collect(),
            unsaved_visits: state.unsaved_visits,
            overloaded: state.overloaded,
            crm_trouble: state.crm_trouble.as_ref().map(CrmTroubleView::of),
            troubles: state.troubles.iter().map(|(what, count)| TroubleView::of(*what, *count)).collect(),
        }
    }
}

impl PresentView {
    fn of(present: &Present, today: &Today) -> Self {
        let view = Self {
            visit_id: present.visit.0,
            decision: DecisionView::Maybe,
            customer_id: None,
            greeting: None,
            name: None,
            candidates: Vec::new(),
            card: None,
            entered: present.entered,
            since: wire_time(present.since),
        };
        match &present.who {
            Greeted::Match { customer, name, greeting, card } => Self {
                decision: DecisionView::Match,
                customer_id: Some(customer.0),
                greeting: Some(greeting.clone()),
                name: Some(NameView::of(name)),
                card: Some(CardView::of(card, today)),
                ..view
            },
            Greeted::Maybe { candidates } => {
                let candidate = |c: &crate::greeter::CandidateCard| CandidateView {
                    customer_id: c.customer.0,
                    name: NameView::of(&c.name),
                };
                Self { candidates: candidates.iter().map(candidate).collect(), ..view }
            }
        }
    }
}

impl NameView {
    pub fn of(name: &PersonName) -> Self {
        Self { given: name.given.clone(), patronymic: name.patronymic.clone(), family: name.family.clone() }
    }
}

impl CrmTroubleView {
    fn of(trouble: &CrmTrouble) -> Self {
        let (kind, since) = match trouble {
            CrmTrouble::Refused => (CrmTroubleKind::Refused, None),
            CrmTrouble::Blocked => (CrmTroubleKind::Blocked, None),
            CrmTrouble::Late { since } => (CrmTroubleKind::Late, Some(wire_time(*since))),
        };
        Self { kind, since }
    }
}

impl TroubleView {
    fn of(trouble: Trouble, count: u64) -> Self {
        let kind = match trouble {
            Trouble::StoreUnreadable => TroubleKind::StoreUnreadable,
            Trouble::StoreLost => TroubleKind::StoreLost,
            Trouble::KeyMissing => TroubleKind::KeyMissing,
            Trouble::KeyMismatch => TroubleKind::KeyMismatch,
            Trouble::RowUnreadable => TroubleKind::RowUnreadable,
            Trouble::Clock => TroubleKind::Clock,
        };
        Self { kind, count }
    }
}

impl CameraView {
    pub fn of(camera: &CameraId, state: &CameraState) -> Self {
        let (state, since) = match state {
            CameraState::Starting => (CameraStateView::Starting, None),
            CameraState::Live => (CameraStateView::Live, None),
            CameraState::Stalled { since } => (CameraStateView::Stalled, Some(since)),
            CameraState::Unreadable { since } => (CameraStateView::Unreadable, Some(since)),
            CameraState::Frozen { since } => (CameraStateView::Frozen, Some(since)),
            CameraState::Lost { since, cause: _ } => (CameraStateView::Lost, Some(since)),
            CameraState::Refused { since, cause: _ } => (CameraStateView::Refused, Some(since)),
            CameraState::Ended => (CameraStateView::Ended, None),
        };
        Self { name: camera.to_string(), state, since: since.map(|since| wire_time(since.at)) }
    }
}

/// RFC 3339, UTC, whole seconds: finer would only be noise to a cashier.
pub fn wire_time(at: Timestamp) -> String {
    let whole = Timestamp::from_second(at.as_second()).unwrap_or(at);
    whole.to_string()
}
