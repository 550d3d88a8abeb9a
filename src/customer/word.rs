//! How somebody was known, and what the cashier says of it: one enum for each, from the counter to the CRM.
//!
//! The wire forms are those of the rooms at the rim.

use super::{CustomerId, Purpose};

/// How it was known who the visitor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HowKnown {
    /// The system was certain.
    Match,
    /// The system asked, the cashier said yes.
    Confirmed,
    /// The customer gave a card or phone at the counter.
    Entered,
}

impl HowKnown {
    pub const ALL: [Self; 3] = [Self::Match, Self::Confirmed, Self::Entered];

    /// A stable name for rows and wires.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Match => "match",
            Self::Confirmed => "confirmed",
            Self::Entered => "entered",
        }
    }

    /// What the customer must have agreed to.
    pub fn needs(self) -> Purpose {
        match self {
            Self::Match | Self::Confirmed => Purpose::Recognition,
            Self::Entered => Purpose::CardGreeting,
        }
    }
}

/// What the cashier says of a suggestion, or of a greeting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Yes,
    No,
    /// It is another customer.
    Other(CustomerId),
    /// They are served and may leave the screen.
    Done,
}
