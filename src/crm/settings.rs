//! The configured CRM: which one, how it is reached, and what its fields are called.
//!
//! Reading the file is `crate::config`'s; the keys and their meaning stand in `firmware-config/snova.toml`.

use std::time::Duration;

use super::{HttpSettings, amocrm, bitrix24, creatio, dynamics, salesforce, sugarcrm, suitecrm, webhook};
use crate::customer::Country;
use crate::i18n::Language;

/// Everything of `[crm]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrmSettings {
    pub target: Target,
    pub http: HttpSettings,
    /// Whether a customer who is not found in the CRM is created there.
    pub create_contacts: bool,
    /// Whether the name on the card takes from the CRM what it lacks.
    pub names_from_crm: bool,
    /// Between the visit's end and its delivery: time for the cashier's answer.
    pub grace: Duration,
    /// Between looks for changed cards; zero never looks.
    pub pull_every: Duration,
    /// Between signs of life; zero gives none.
    pub heartbeat_every: Duration,
    /// Where signs of life go beside the CRM, also while the CRM takes nothing: a webhook as in [`webhook`].
    pub beacon: Option<webhook::Settings>,
    /// A card older than this is said to be old.
    pub stale_after: Duration,
    pub language: Language,
    pub country: Option<Country>,
    /// The box's name.
    pub shop: String,
}

/// The vendor with its own keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Visits wait in the outbox.
    None,
    AmoCrm(amocrm::Settings),
    Bitrix24(bitrix24::Settings),
    Creatio(creatio::Settings),
    Dynamics(dynamics::Settings),
    Salesforce(salesforce::Settings),
    SugarCrm(sugarcrm::Settings),
    SuiteCrm(suitecrm::Settings),
    Webhook(webhook::Settings),
}

impl CrmSettings {
    /// The secrets that the configured logins may need, by the names under which they are kept.
    pub fn secret_names(&self) -> Vec<&'static str> {
        let of_beacon = if self.beacon.is_some() { webhook::SECRETS } else { &[] };
        let of_target = self.target.secret_names();
        of_target.iter().chain(of_beacon.iter().filter(|name| !of_target.contains(name))).copied().collect()
    }
}

impl Target {
    /// As `kind` in `[crm]` has them.
    pub const KINDS: [&'static str; 9] =
        ["none", "amocrm", "bitrix24", "creatio", "dynamics", "salesforce", "sugarcrm", "suitecrm", "webhook"];

    pub fn as_str(&self) -> &'static str {
        let place = match self {
            Self::None => 0,
            Self::AmoCrm(_) => 1,
            Self::Bitrix24(_) => 2,
            Self::Creatio(_) => 3,
            Self::Dynamics(_) => 4,
            Self::Salesforce(_) => 5,
            Self::SugarCrm(_) => 6,
            Self::SuiteCrm(_) => 7,
            Self::Webhook(_) => 8,
        };
        Self::KINDS[place]
    }

    /// Names the one CRM there is behind this: links to its contacts mean nothing in another.
    pub fn identity(&self) -> String {
        let url = match self {
            Self::None => "",
            Self::AmoCrm(own) => &own.url,
            Self::Bitrix24(own) => &own.url,
            Self::Creatio(own) => &own.url,
            Self::Dynamics(own) => &own.url,
            Self::Salesforce(own) => &own.url,
            Self::SugarCrm(own) => &own.url,
            Self::SuiteCrm(own) => &own.url,
            Self::Webhook(own) => &own.url,
        };
        format!("{} {url}", self.as_str())
    }

    fn secret_names(&self) -> &'static [&'static str] {
        match self {
            Self::None => &[],
            Self::AmoCrm(_) => amocrm::SECRETS,
            Self::Bitrix24(_) => bitrix24::SECRETS,
            Self::Creatio(_) => creatio::SECRETS,
            Self::Dynamics(_) => dynamics::SECRETS,
            Self::Salesforce(_) => salesforce::SECRETS,
            Self::SugarCrm(_) => sugarcrm::SECRETS,
            Self::SuiteCrm(_) => suitecrm::SECRETS,
            Self::Webhook(_) => webhook::SECRETS,
        }
    }
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
