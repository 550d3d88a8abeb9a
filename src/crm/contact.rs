//! People as the CRM has them, and which of several found ones is the customer.
//!
//! Nothing here is logged: `Debug` prints ids alone.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;

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
    /// The customer's id in the external-id field.
    ExternalId(CustomerId),
    /// A phone in E.164, however the CRM's people typed it.
    Phone(String),
    /// An e-mail address in small letters.
    Email(String),
}

impl Seek {
    /// Whether `contact` has what is sought, compared in one form. `phones` are taken as dialled in `country`.
    pub fn is_met_by(&self, contact: &Contact, country: Option<Country>) -> bool {
        match self {
            Self::ExternalId(customer) => contact.external_id.as_deref() == Some(&*customer.to_string()),
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
            Self::ExternalId(_) => "Seek(external id)",
            Self::Phone(_) => "Seek(phone)",
            Self::Email(_) => "Seek(e-mail)",
        })
    }
}

/// A contact as far as Snova reads it. Empty texts of the CRM are `None`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Contact {
    pub id: String,
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
    pub customer: CustomerId,
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

/// What a search for a customer's contact came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seeking {
    Found(ContactId),
    Nobody,
    /// Several have it, or the one that has it is another customer's: a person must say.
    Unclear,
}

/// The one contact that may be taken for `customer`: found by their own id, or by something only they have and
/// with no other customer's id on it. A wrong contact is worse than none.
pub fn choose(customer: CustomerId, found: &[Contact]) -> Seeking {
    let own = customer.to_string();
    let live: Vec<&Contact> = found.iter().filter(|contact| !contact.deleted).collect();
    let ours: Vec<_> = live.iter().filter(|contact| contact.external_id.as_deref() == Some(&*own)).collect();
    match (ours.as_slice(), live.as_slice()) {
        ([one], _) => Seeking::Found(ContactId(one.id.clone())),
        ([], []) => Seeking::Nobody,
        ([], [one]) if one.external_id.is_none() => Seeking::Found(ContactId(one.id.clone())),
        _ => Seeking::Unclear,
    }
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
    let mut all = vec![Seek::ExternalId(customer)];
    all.extend(identifiers.iter().filter_map(|identifier| match identifier.kind() {
        IdentifierKind::Phone => Some(Seek::Phone(identifier.value().to_owned())),
        IdentifierKind::Email => Some(Seek::Email(identifier.value().to_owned())),
        IdentifierKind::Card => None,
    }));
    all
}
