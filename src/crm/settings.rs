//! What every CRM is told by: how it is reached, what is kept of it, and what its fields are called.
//!
//! Reading the file is `crate::config`'s, a vendor's own keys are `crate::vendors`'; their meaning to the owner stands in
//! `firmware-config/snova.toml`.

use std::time::Duration;

use super::HttpSettings;
use crate::customer::Country;
use crate::i18n::Language;

/// The keys of `[crm]` that every vendor shares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrmSettings {
    /// Names the one CRM there is behind this: links to its contacts mean nothing in another.
    pub identity: String,
    pub http: HttpSettings,
    /// Whether a customer who is not found in the CRM is created there.
    pub create_contacts: bool,
    /// Whether the name on the card takes from the CRM what it lacks.
    pub names_from_crm: bool,
    /// Whether anything is written on a contact beside its mark: a field of [`ToldFields`] has a name.
    pub tells: bool,
    /// Between the visit's end and its delivery: time for the cashier's answer.
    pub grace: Duration,
    /// Between looks for changed cards; zero never looks.
    pub pull_every: Duration,
    /// Between signs of life; zero gives none.
    pub heartbeat_every: Duration,
    /// A card older than this is said to be old.
    pub stale_after: Duration,
    pub language: Language,
    pub country: Option<Country>,
    /// The store's name.
    pub shop: String,
}

/// What the CRM calls the values of a contact that have no standard place, where it has them; an empty name is a
/// value that this CRM does not keep. Each vendor has its own defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContactFields {
    /// Holds the customer's id.
    pub external_id: Option<String>,
    pub patronymic: Option<String>,
    pub tier: Option<String>,
    pub notes: Option<String>,
    pub offer: Option<String>,
    pub birthday: Option<String>,
    pub visits: Option<String>,
    pub last_visit: Option<String>,
}

impl ContactFields {
    /// The fields of the card that have a name, by their keys; that of the mark is not among them.
    pub fn card(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all = [
            ("patronymic", &self.patronymic),
            ("tier", &self.tier),
            ("notes", &self.notes),
            ("offer", &self.offer),
            ("birthday", &self.birthday),
            ("visits", &self.visits),
            ("last_visit", &self.last_visit),
        ];
        all.into_iter().filter_map(|(key, name)| Some((key, name.as_deref().filter(|name| !name.is_empty())?)))
    }
}

/// What the CRM calls the values that Snova writes on a contact beside its mark; each is written only where it has a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToldFields {
    /// Date and time.
    pub first_visit: Option<String>,
    /// Date and time.
    pub last_visit: Option<String>,
    /// A date: since when they are later than their own rhythm lets expect.
    pub late_since: Option<String>,
    /// A text: «live» or «ended».
    pub consent: Option<String>,
    /// A date.
    pub consent_until: Option<String>,
    /// A text: «Snova».
    pub source: Option<String>,
    /// A number: visits of the last 30 days, in all stores.
    pub visits_30: Option<String>,
    /// A number: visits of the last 90 days, in all stores.
    pub visits_90: Option<String>,
    /// A text: the store of most visits of the last 90 days.
    pub home_store: Option<String>,
}

/// What the CRM calls the values of a visit that have no standard place; each is written only where it has a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordFields {
    /// A text: the store's name.
    pub store: Option<String>,
    /// A text: the counter's name.
    pub counter: Option<String>,
    /// A text: how the customer was known, as [`crate::customer::HowKnown::as_str`].
    pub how: Option<String>,
    /// A text: who served them.
    pub served_by: Option<String>,
    /// A text: the receipt's number.
    pub receipt: Option<String>,
    /// A number: the receipt's sum.
    pub sum: Option<String>,
    /// A text: «right», «wrong», or nothing where nobody said.
    pub greeting: Option<String>,
}

impl ToldFields {
    /// Whether nothing beside the mark is written.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
