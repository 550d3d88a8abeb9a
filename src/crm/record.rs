//! What leaves the box about visits: facts and ids, nothing of a face.

use std::fmt;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::ContactId;
use crate::clock::WallTime;
use crate::customer::{CustomerId, HowKnown, Receipt};
use crate::face::CounterId;
use crate::i18n::Language;

/// The CRM's own id of a record of ours; empty where the vendor has none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId(pub String);

/// One visit on its way into the CRM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VisitRecord {
    /// The key under which the CRM has this visit at most once: a UUID, minted with the event, never changed.
    pub key: Uuid,
    /// Whose visit; the customer's id where [`super::Manners::needs_contact`] is false.
    pub contact: ContactId,
    pub customer: CustomerId,
    /// The store's name.
    pub shop: String,
    /// Which box saw it: its id never changes, whatever the box is called.
    pub box_id: Uuid,
    pub counter: CounterId,
    pub opened_at: WallTime,
    pub closed_at: WallTime,
    pub how: HowKnown,
    /// What was said of the greeting, if anything was.
    pub greeting: Option<Greeting>,
    /// Who served them, as the point of sale says it.
    pub served_by: Option<String>,
    pub receipt: Option<Receipt>,
    /// By how much the box's clock was ahead of the CRM's (negative: behind), where that is more than [`MUCH_SKEW`].
    pub skew: Option<SignedDuration>,
    /// When the first try began that may have arrived, by the CRM's clock, never the box's. `None` where there was none, or
    /// where the CRM's clock was not known then: a look for the visit has no lower bound of time.
    pub tried_at: Option<Timestamp>,
}

/// A clock that differs by more is worth a word on the record.
pub const MUCH_SKEW: SignedDuration = SignedDuration::from_mins(5);

/// What the cashier's answer says of the greeting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Greeting {
    Right,
    /// Somebody else's name was shown first.
    Wrong,
}

impl Greeting {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::Wrong => "wrong",
        }
    }
}

/// A visit that the CRM has, or may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentVisit {
    pub key: Uuid,
    /// `None`: it was sent and no answer came.
    pub record: Option<RecordId>,
    /// Empty where the customer has no contact any more.
    pub contact: ContactId,
    /// Before it was sent, by the CRM's clock: the record in the CRM is not older. 1970 where that clock was not known.
    pub written_at: Timestamp,
}

/// An erased customer, as far as the CRM can know them. Their mark on the contact is not among it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forgotten {
    /// The erasure's own event.
    pub key: Uuid,
    /// The dead id.
    pub customer: CustomerId,
    /// All of the customer's visits that the CRM has or may have.
    pub visits: Vec<SentVisit>,
}

/// A sign of life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    pub device: String,
    /// The id that no other box has.
    pub box_id: Uuid,
    pub version: String,
    pub at: WallTime,
    /// Names of the cameras and whether each one sees.
    pub cameras: Vec<(String, bool)>,
    pub outbox_depth: u64,
    pub outbox_oldest: Option<Duration>,
    pub outbox_dead: u64,
}

impl VisitRecord {
    /// A line for people: «Визит, Тверская 7, касса till-1».
    pub fn title(&self, language: Language) -> String {
        let (shop, counter) = (&self.shop, &self.counter);
        match language {
            Language::Russian => format!("Визит, {shop}, касса {counter}"),
            Language::Ukrainian => format!("Візит, {shop}, каса {counter}"),
            Language::English => format!("Visit, {shop}, counter {counter}"),
        }
    }

    /// A sentence for people, with the mark by which the record is found again: «… #visit:UUID».
    pub fn text(&self, language: Language) -> String {
        format!("{}. {}", self.particulars(language), self.mark())
    }

    /// The same without the mark.
    pub fn particulars(&self, language: Language) -> String {
        let mut all = vec![self.title(language), in_words(self.how, language).to_owned()];
        all.extend(self.greeting.map(|greeting| greeted(greeting, language).to_owned()));
        all.extend(self.served_by.as_ref().map(|who| match language {
            Language::Russian => format!("обслужил(а) {who}"),
            Language::Ukrainian => format!("обслуговує {who}"),
            Language::English => format!("served by {who}"),
        }));
        all.extend(self.receipt.as_ref().map(|receipt| {
            let (number, sum) = (&receipt.number, receipt.decimal());
            match language {
                Language::Russian => format!("чек {number} на {sum}"),
                Language::Ukrainian => format!("чек {number} на {sum}"),
                Language::English => format!("receipt {number} of {sum}"),
            }
        }));
        all.extend(self.skew.map(|skew| {
            let minutes = skew.as_mins();
            match language {
                Language::Russian => format!("часы кассы расходились с часами CRM на {minutes} мин"),
                Language::Ukrainian => format!("годинник каси розходився з годинником CRM на {minutes} хв"),
                Language::English => format!("the till's clock was {minutes} min off the CRM's"),
            }
        }));
        all.join(", ")
    }

    /// What no other text holds.
    pub fn mark(&self) -> String {
        mark(self.key)
    }

    /// How long the visit took; at least a minute for CRMs that know no shorter one.
    pub fn minutes(&self) -> i64 {
        (self.closed_at.at.duration_since(self.opened_at.at).as_secs() / 60).max(1)
    }
}

/// The mark of the record with this key.
pub fn mark(key: Uuid) -> String {
    format!("#visit:{key}")
}

/// What stands in place of a record's text once its customer was erased, where a vendor cannot delete.
pub fn erased_text(language: Language, key: Uuid) -> String {
    let what = match language {
        Language::Russian => "Запись удалена по просьбе клиента",
        Language::Ukrainian => "Запис видалено на прохання клієнта",
        Language::English => "Removed at the customer's request",
    };
    format!("{what}. {}", mark(key))
}

/// What stands in place of a record's text once the visit turned out to be somebody else's.
pub fn void_text(language: Language, key: Uuid) -> String {
    let what = match language {
        Language::Russian => "Отменено: это был другой человек",
        Language::Ukrainian => "Скасовано: це була інша людина",
        Language::English => "Void: it was somebody else",
    };
    format!("{what}. {}", mark(key))
}

fn greeted(greeting: Greeting, language: Language) -> &'static str {
    match (greeting, language) {
        (Greeting::Right, Language::Russian) => "приветствие верное",
        (Greeting::Right, Language::Ukrainian) => "привітання правильне",
        (Greeting::Right, Language::English) => "greeted by the right name",
        (Greeting::Wrong, Language::Russian) => "сначала назвали другого",
        (Greeting::Wrong, Language::Ukrainian) => "спершу назвали іншого",
        (Greeting::Wrong, Language::English) => "somebody else was named first",
    }
}

fn in_words(how: HowKnown, language: Language) -> &'static str {
    match (how, language) {
        (HowKnown::Match, Language::Russian) => "узнан камерой",
        (HowKnown::Match, Language::Ukrainian) => "впізнано камерою",
        (HowKnown::Match, Language::English) => "recognised by camera",
        (HowKnown::Confirmed, Language::Russian) => "подтверждён кассиром",
        (HowKnown::Confirmed, Language::Ukrainian) => "підтверджено касиром",
        (HowKnown::Confirmed, Language::English) => "confirmed by the cashier",
        (HowKnown::Entered, Language::Russian) => "по карте или телефону",
        (HowKnown::Entered, Language::Ukrainian) => "за карткою або телефоном",
        (HowKnown::Entered, Language::English) => "by card or phone",
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
