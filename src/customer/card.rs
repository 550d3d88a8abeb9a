//! What the cashier may see of a customer, and the customer record itself.

use std::fmt;

use jiff::Timestamp;

use super::{Consent, CustomerId, PersonName};
use crate::i18n::Language;

/// The facts beside the greeting. It suggests; nothing here may authorise money or bonus points.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Card {
    /// Loyalty tier in the shop's own words.
    pub tier: Option<String>,
    /// A short note that the customer knows of («берёт без сахара»).
    pub note: Option<String>,
    /// Visits recorded by this box before the present one.
    pub visits: u32,
    pub last_visit: Option<Timestamp>,
}

/// Tier and note are the customer's own words and deeds; they never reach a log by accident.
impl fmt::Debug for Card {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Card({} visits, …)", self.visits)
    }
}

/// An enrolled customer as the store gives them out; templates travel apart.
#[derive(Clone, Debug)]
pub struct Customer {
    pub id: CustomerId,
    pub name: PersonName,
    /// The language to greet in; the counter's own when `None`.
    pub language: Option<Language>,
    pub card: Card,
    pub consent: Consent,
    pub enrolled_at: Timestamp,
}
