//! What the cashier may see of a customer, and the customer record itself.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;

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
    /// What the company's CRM says, once it was asked; its tier and note stand above, in place of the box's own.
    pub crm: Option<CrmCard>,
}

/// The part of a card that only the CRM knows.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct CrmCard {
    /// Visits in all stores.
    pub visits: Option<u32>,
    pub last_visit: Option<Timestamp>,
    /// Who of the company looks after them.
    pub owner: Option<String>,
    /// The current offer, in the shop's own words. It is shown, never booked.
    pub offer: Option<String>,
    pub birthday: Option<Date>,
    /// When the CRM was last heard of this customer.
    pub as_of: Timestamp,
}

impl CrmCard {
    /// Days from `today` to the next birthday; 0 on the day itself. 29 February is kept on the 28th in other years.
    pub fn days_to_birthday(&self, today: Date) -> Option<u16> {
        let birthday = self.birthday?;
        let in_year = |year| Date::new(year, birthday.month(), birthday.day()).or_else(|_| Date::new(year, 2, 28)).ok();
        let next = in_year(today.year()).filter(|day| *day >= today).or_else(|| in_year(today.year() + 1))?;
        u16::try_from((next - today).get_days()).ok()
    }
}

impl fmt::Debug for CrmCard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CrmCard(as of {}, …)", self.as_of)
    }
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
