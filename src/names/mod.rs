//! Whether two names are one person's: Russian, Ukrainian and English, written by whoever typed them.
//!
//! It decides before a contact is taken for a customer's by a phone that a family shares, and before a CRM's name is
//! shown. In doubt it cannot say, and a person is asked; to agree wrongly is the one fault it must not have. Where a
//! contact is looked for is `crate::crm`'s, the phrase with the name `crate::greeting`'s.

mod given;
mod greeted;
mod kin;
mod reading;
mod sound;
mod written;

use std::str::FromStr;

use crate::customer::{Gender, PersonName};
pub use greeted::greeted;
use reading::{Reading, compare, readings};
use written::Words;
pub use written::Written;

/// What two names say of their bearers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreement {
    Agree,
    Disagree(Why),
    /// A person must say.
    CannotSay(Why),
}

/// What does not agree, or leaves it open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    Gender,
    GivenName,
    Patronymic,
    /// Also a woman's that may have changed by marriage.
    Family,
    /// Junior and senior.
    Generation,
    /// There is no given name to compare.
    NoName,
    OnlyInitials,
    /// A given name that is in no table, so that nothing says how else its bearer is called.
    UnknownName,
    /// More than one are named, or somebody by another's name.
    SeveralNames,
    /// More words than the parts of a name.
    Unreadable,
}

impl Why {
    pub const ALL: [Self; 10] = [
        Self::Gender,
        Self::GivenName,
        Self::Patronymic,
        Self::Family,
        Self::Generation,
        Self::NoName,
        Self::OnlyInitials,
        Self::UnknownName,
        Self::SeveralNames,
        Self::Unreadable,
    ];

    /// The word by which it is kept.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gender => "gender",
            Self::GivenName => "given-name",
            Self::Patronymic => "patronymic",
            Self::Family => "family",
            Self::Generation => "generation",
            Self::NoName => "no-name",
            Self::OnlyInitials => "only-initials",
            Self::UnknownName => "unknown-name",
            Self::SeveralNames => "several-names",
            Self::Unreadable => "unreadable",
        }
    }
}

impl FromStr for Why {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|why| why.as_str() == text);
        found.ok_or_else(|| format!("\"{text}\" is not a reason why names do not agree"))
    }
}

/// Whether two names are one person's. Symmetric.
pub fn agree(a: Written, b: Written) -> Agreement {
    judge((&Words::of(a), None), (&Words::of(b), None)).0
}

/// [`agree`] for a customer's name, whose gender may be on record: «Саша» who is a woman is no «Александр».
pub fn agree_with(ours: &PersonName, theirs: Written) -> Agreement {
    judge((&Words::of(Written::of(ours)), ours.gender), (&Words::of(theirs), None)).0
}

/// What the likely readings of both say together, and the two that agree best.
fn judge<'a>(
    a: (&'a Words, Option<Gender>),
    b: (&'a Words, Option<Gender>),
) -> (Agreement, Option<(Reading<'a>, Reading<'a>)>) {
    let (one, other) = match (readings(a.0, a.1), readings(b.0, b.1)) {
        (Ok(one), Ok(other)) => (one, other),
        (Err(one), Err(other)) => return (Agreement::CannotSay(one.min(other)), None),
        (Err(why), _) | (_, Err(why)) => return (Agreement::CannotSay(why), None),
    };
    let (mut best, mut disagree, mut open) = (None, None, None);
    for (a, b) in one.iter().flat_map(|a| other.iter().map(move |b| (a, b))) {
        match compare(a, b) {
            (Agreement::Agree, evidence) if best.is_none_or(|(most, _)| evidence > most) => {
                best = Some((evidence, (*a, *b)));
            }
            (Agreement::Agree, _) => {}
            (Agreement::Disagree(why), _) => disagree = Some(disagree.map_or(why, |other: Why| other.min(why))),
            (Agreement::CannotSay(why), _) => open = Some(open.map_or(why, |other: Why| other.min(why))),
        }
    }
    // Of two ways to read a name the one that two parts speak for is meant; one part alone may be chance.
    match (best, disagree.or(open)) {
        (Some(_), _) if a.0.is_elder != b.0.is_elder => match a.0.is_elder.zip(b.0.is_elder) {
            Some(_) => (Agreement::Disagree(Why::Generation), None),
            None => (Agreement::CannotSay(Why::Generation), None),
        },
        (Some((2.., pair)), _) | (Some((_, pair)), None) => (Agreement::Agree, Some(pair)),
        (Some(_), Some(why)) => (Agreement::CannotSay(why), None),
        (None, _) => match (disagree, open) {
            (Some(why), None) => (Agreement::Disagree(why), None),
            (_, Some(why)) => (Agreement::CannotSay(why), None),
            (None, None) => (Agreement::CannotSay(Why::NoName), None),
        },
    }
}
