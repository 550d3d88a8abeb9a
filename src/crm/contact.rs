//! People as the CRM has them, and what is written about them there.
//!
//! Which of several found ones is the customer says `crate::sync`.
//!
//! Nothing here is logged: `Debug` prints ids alone.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;

use uuid::Uuid;

use super::Mark;
use crate::customer::{Country, CustomerId, Identifier, IdentifierKind};

/// The CRM's id of a contact.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContactId(pub String);

impl fmt::Display for ContactId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// By what a contact is sought.
#[derive(Clone, PartialEq, Eq)]
pub enum Seek {
    /// A mark that bears the customer: [`Mark::words`] are what to search for.
    Mark(CustomerId),
    /// A phone in E.164, however the CRM's people typed it.
    Phone(String),
    /// An e-mail address in small letters.
    Email(String),
}

impl Seek {
    /// Whether `contact` has what is sought, compared in one form. `phones` are taken as dialled in `country`.
    pub fn is_met_by(&self, contact: &Contact, country: Option<Country>) -> bool {
        match self {
            Self::Mark(customer) => contact.mark().bears(*customer),
            Self::Phone(phone) => contact
                .phones
                .iter()
                .any(|other| Identifier::phone(other, country).is_ok_and(|other| other.value() == phone)),
            Self::Email(email) => contact.emails.iter().any(|other| other.trim().to_lowercase() == *email),
        }
    }
}

impl fmt::Debug for Seek {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mark(_) => "Seek(mark)",
            Self::Phone(_) => "Seek(phone)",
            Self::Email(_) => "Seek(e-mail)",
        })
    }
}

/// A contact as far as Snova reads it. Empty texts of the CRM are `None`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Contact {
    pub id: String,
    /// What stands in the field of the mark.
    pub external_id: Option<String>,
    pub phones: Vec<String>,
    pub emails: Vec<String>,
    pub given: Option<String>,
    pub patronymic: Option<String>,
    pub family: Option<String>,
    pub tier: Option<String>,
    /// Who looks after them.
    pub owner: Option<String>,
    /// What the shop should remember: preferences.
    pub notes: Option<String>,
    /// The current offer.
    pub offer: Option<String>,
    pub birthday: Option<Date>,
    /// Visits in all stores, as the CRM counts them.
    pub visits: Option<u32>,
    pub last_visit: Option<Timestamp>,
    /// Removed, or put into the bin, in the CRM.
    pub deleted: bool,
    /// The contact that it was merged into, where the CRM says so.
    pub master: Option<ContactId>,
    /// What Snova has written on it, as far as its fields have names.
    pub told: Told,
}

impl Contact {
    pub fn mark(&self) -> Mark {
        Mark::read(self.external_id.as_deref().unwrap_or_default())
    }
}

/// What Snova writes on a contact beside its mark: of each field that has a name in [`super::ToldFields`], this value, or
/// nothing. All of it is made of the CRM's own records of visits and of the consent, so that writing it again does no harm.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    pub first_visit: Option<Timestamp>,
    pub last_visit: Option<Timestamp>,
    pub late_since: Option<Date>,
    pub consent: Option<ConsentWord>,
    pub consent_until: Option<Date>,
    pub source: Option<String>,
    pub visits_30: Option<u32>,
    pub visits_90: Option<u32>,
    pub home_store: Option<String>,
}

/// How the consent that a box keeps today stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsentWord {
    Live,
    Ended,
}

impl ConsentWord {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Ended => "ended",
        }
    }

    pub fn read(word: &str) -> Option<Self> {
        [Self::Live, Self::Ended].into_iter().find(|own| own.as_str() == word)
    }
}

/// A record of a visit as the CRM has it on a contact, whichever box wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Our key; records without one are other programs' and are not listed.
    pub key: Uuid,
    pub opened_at: Timestamp,
    /// The store's name, where the record has it.
    pub store: Option<String>,
    /// It stands there as taken back.
    pub void: bool,
}

impl fmt::Debug for Contact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Contact({}, …)", self.id)
    }
}

/// A page of changed contacts.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    pub contacts: Vec<Contact>,
    /// Where the next call begins: to be kept once this page is.
    pub cursor: String,
    /// Whether there is more already.
    pub more: bool,
}

/// Somebody to be created in the CRM.
#[derive(Clone)]
pub struct NewContact {
    /// Under which a CRM that enforces keys has this person at most once, whichever box creates them.
    pub key: Uuid,
    pub customer: CustomerId,
    /// The text of the mark.
    pub mark: String,
    pub given: String,
    pub patronymic: Option<String>,
    pub family: Option<String>,
    /// In E.164.
    pub phone: Option<String>,
    pub email: Option<String>,
}

impl fmt::Debug for NewContact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NewContact({}, …)", self.customer)
    }
}

/// What became of a creation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Creation {
    Made(ContactId),
    /// The CRM has somebody under this key already, or has put them into the bin ([`Contact::deleted`]): as they are there.
    Taken(Box<Contact>),
}

/// How people type the phone `e164`, for CRMs that compare texts: whole, as dialled at home, and in the usual groups.
/// What they find is compared anew by [`Seek::is_met_by`].
pub fn phone_spellings(e164: &str) -> Vec<String> {
    let digits = e164.trim_start_matches('+');
    let mut all = vec![e164.to_owned(), digits.to_owned()];
    let grouped = |prefix: &str, rest: &str, cuts: [usize; 3]| -> Vec<String> {
        let (area, rest) = rest.split_at(cuts[0]);
        let (first, rest) = rest.split_at(cuts[1]);
        let (second, third) = rest.split_at(cuts[2]);
        let (plain, tail) = (format!("{prefix}{area}{first}{second}{third}"), format!("{first}-{second}-{third}"));
        let spaced = if prefix.is_empty() { String::new() } else { format!("{prefix} ") };
        vec![
            plain,
            format!("{spaced}{area} {tail}"),
            format!("{spaced}({area}) {tail}"),
            format!("{prefix}({area}){tail}"),
            format!("{prefix}({area}) {tail}"),
            format!("{spaced}{area} {first} {second} {third}"),
        ]
    };
    if let Some(rest) = digits.strip_prefix('7').filter(|rest| rest.len() == 10) {
        for prefix in ["+7", "8", "7", ""] {
            all.extend(grouped(prefix, rest, [3, 3, 2]));
        }
    } else if let Some(rest) = digits.strip_prefix("380").filter(|rest| rest.len() == 9) {
        all.extend(grouped("+380", rest, [2, 3, 2]));
        all.extend(grouped("380", rest, [2, 3, 2]));
        all.extend(grouped("", &format!("0{rest}"), [3, 3, 2]));
    }
    all.sort();
    all.dedup();
    all
}

/// The last ten digits with `%` before each, for CRMs that search by SQL's LIKE, whatever stands between the digits.
pub fn phone_like(e164: &str) -> String {
    let digits = e164.trim_start_matches('+');
    let last = &digits[digits.len().saturating_sub(10)..];
    last.chars().flat_map(|digit| ['%', digit]).collect()
}

/// What a customer's cards and phones let a CRM be searched by, the surest first.
pub fn searches(customer: CustomerId, identifiers: &[Identifier]) -> Vec<Seek> {
    let mut all = vec![Seek::Mark(customer)];
    all.extend(identifiers.iter().filter_map(|identifier| match identifier.kind() {
        IdentifierKind::Phone => Some(Seek::Phone(identifier.value().to_owned())),
        IdentifierKind::Email => Some(Seek::Email(identifier.value().to_owned())),
        IdentifierKind::Card => None,
    }));
    all
}
