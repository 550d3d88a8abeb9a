//! What a customer agreed to, and the one question everything asks: is it live?
//!
//! Withdrawing by the customer themselves, receipts and papers come with the vault.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::Date;

use crate::clock::Days;

/// What the customer's data may be used for. Each purpose is agreed to by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// Keep a face template and greet by name.
    Recognition,
    /// Send visits to the company's CRM.
    VisitRecords,
    /// Greet by name and record visits when the customer gives a card or phone. Who agreed to recognition agreed
    /// to this: it asks for less.
    CardGreeting,
}

/// How the consent was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsentMethod {
    PaperForm,
    SignedOnScreen,
    OwnDevice,
    /// Made-up customers of `snova demo` and of tests.
    Demonstration,
}

/// A customer's consent: given on a date, by a method, for purposes, until it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consent {
    pub given_on: Date,
    pub method: ConsentMethod,
    pub purposes: Vec<Purpose>,
    /// The last day on which it holds; `None` until withdrawn.
    pub valid_until: Option<Date>,
    pub withdrawn_at: Option<Timestamp>,
}

/// Why a consent does not allow what is asked.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ConsentError {
    #[error("the consent is dated {given_on}, which is after today ({today}); check --consent-on and the box's clock")]
    InTheFuture { given_on: Date, today: Date },
    #[error("the consent ended on {0}; ask the customer for a new one")]
    Ended(Date),
    #[error("the consent was withdrawn; ask the customer for a new one")]
    Withdrawn,
    #[error("the consent does not cover {0}; ask the customer for it")]
    NotCovered(Purpose),
}

impl Consent {
    /// Checks that the consent covers `purpose` on `days` (the shop's date): that it has ended by none of them, and
    /// has begun by one of them.
    pub fn check(&self, purpose: Purpose, days: impl Into<Days>) -> Result<(), ConsentError> {
        let days: Days = days.into();
        let mut verdicts = days.all().map(|day| self.check_on(purpose, day));
        let ends =
            |verdict: &Result<(), ConsentError>| !matches!(verdict, Ok(()) | Err(ConsentError::InTheFuture { .. }));
        if let Some(ended) = verdicts.by_ref().find(ends) {
            return ended;
        }
        let mut verdicts = days.all().map(|day| self.check_on(purpose, day));
        if verdicts.any(|verdict| verdict.is_ok()) { Ok(()) } else { self.check_on(purpose, days.wall) }
    }

    fn check_on(&self, purpose: Purpose, today: Date) -> Result<(), ConsentError> {
        if self.withdrawn_at.is_some() {
            return Err(ConsentError::Withdrawn);
        }
        if self.given_on > today {
            return Err(ConsentError::InTheFuture { given_on: self.given_on, today });
        }
        if let Some(last) = self.valid_until.filter(|last| *last < today) {
            return Err(ConsentError::Ended(last));
        }
        if !self.covers(purpose) {
            return Err(ConsentError::NotCovered(purpose));
        }
        Ok(())
    }

    fn covers(&self, purpose: Purpose) -> bool {
        let agreed = |to: Purpose| self.purposes.contains(&to);
        agreed(purpose) || (purpose == Purpose::CardGreeting && agreed(Purpose::Recognition))
    }

    /// Whether the consent covers `purpose` on `days`, as [`Self::check`] judges.
    pub fn is_live(&self, purpose: Purpose, days: impl Into<Days>) -> bool {
        self.check(purpose, days).is_ok()
    }
}

impl Purpose {
    pub const ALL: [Self; 3] = [Self::Recognition, Self::VisitRecords, Self::CardGreeting];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Recognition => "recognition",
            Self::VisitRecords => "visit-records",
            Self::CardGreeting => "card-greeting",
        }
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Recognition => "recognition by face",
            Self::VisitRecords => "sending visits to the CRM",
            Self::CardGreeting => "greeting by card or phone",
        })
    }
}

impl FromStr for Purpose {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|p| p.as_str() == text);
        found.ok_or_else(|| format!("\"{text}\" is not a purpose; give recognition, visit-records or card-greeting"))
    }
}

impl ConsentMethod {
    pub const ALL: [Self; 4] = [Self::PaperForm, Self::SignedOnScreen, Self::OwnDevice, Self::Demonstration];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::PaperForm => "paper-form",
            Self::SignedOnScreen => "signed-on-screen",
            Self::OwnDevice => "own-device",
            Self::Demonstration => "demonstration",
        }
    }
}

impl FromStr for ConsentMethod {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|m| m.as_str() == text);
        found.ok_or_else(|| {
            format!(
                "\"{text}\" is not a way to consent; give paper-form, signed-on-screen, own-device or demonstration"
            )
        })
    }
}
