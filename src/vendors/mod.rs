//! The CRMs that Snova knows, in families: what each one is told, and how it answers.
//!
//! What is said is the words of `crate::crm`; when, in which order and how often is `crate::sync`'s. Each vendor is a
//! folder here with its wire types inside it. Facts about the vendors come from their documentation; what could not be
//! verified there is marked "unverified" at its place.

pub mod amocrm;
pub mod bitrix24;
mod fields;
pub mod odata;
pub mod salesforce;
pub mod sugar;
mod texts;
pub mod webhook;

use std::sync::Arc;

use odata::{creatio, dynamics};
use sugar::{sugarcrm, suitecrm};

use crate::crm::{CrmConnector, CrmSettings, Failure, Keys, Page, ToldFields, Tools};

/// Everything of `[crm]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configured {
    pub common: CrmSettings,
    pub vendor: Vendor,
    /// Where signs of life go beside the CRM, also while the CRM takes nothing: a webhook as in [`webhook`].
    pub beacon: Option<webhook::Settings>,
}

/// The vendor with its own keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Vendor {
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

/// How a vendor's section of the configuration is read.
pub struct Known {
    /// As `kind` in `[crm]` has it, and the section's name.
    pub kind: &'static str,
    /// What the page of the section begins with.
    pub about: &'static str,
    pub read: fn(&mut dyn Keys) -> Option<Vendor>,
}

/// All vendors.
pub static VENDORS: [Known; 8] = [
    known("amocrm", amocrm::settings::ABOUT, |keys| amocrm::settings::read(keys).map(Vendor::AmoCrm)),
    known("bitrix24", bitrix24::settings::ABOUT, |keys| bitrix24::settings::read(keys).map(Vendor::Bitrix24)),
    known("creatio", creatio::settings::ABOUT, |keys| creatio::settings::read(keys).map(Vendor::Creatio)),
    known("dynamics", dynamics::settings::ABOUT, |keys| dynamics::settings::read(keys).map(Vendor::Dynamics)),
    known("salesforce", salesforce::settings::ABOUT, |keys| salesforce::settings::read(keys).map(Vendor::Salesforce)),
    known("sugarcrm", sugarcrm::settings::ABOUT, |keys| sugarcrm::settings::read(keys).map(Vendor::SugarCrm)),
    known("suitecrm", suitecrm::settings::ABOUT, |keys| suitecrm::settings::read(keys).map(Vendor::SuiteCrm)),
    known("webhook", webhook::settings::ABOUT, |keys| webhook::settings::read(keys).map(Vendor::Webhook)),
];

const fn known(kind: &'static str, about: &'static str, read: fn(&mut dyn Keys) -> Option<Vendor>) -> Known {
    Known { kind, about, read }
}

impl Configured {
    /// Opens the configured connector; nothing is sent yet. `None` where no CRM is configured.
    pub fn open(&self, tools: &Tools) -> Result<Option<Box<dyn CrmConnector>>, Failure> {
        let common = &self.common;
        let connector: Box<dyn CrmConnector> = match &self.vendor {
            Vendor::None => return Ok(None),
            Vendor::AmoCrm(own) => Box::new(amocrm::AmoCrm::new(own, common, tools)?),
            Vendor::Bitrix24(own) => Box::new(bitrix24::Bitrix24::new(own, common, tools)?),
            Vendor::Creatio(own) => Box::new(creatio::Creatio::new(own, common, tools)?),
            Vendor::Dynamics(own) => Box::new(dynamics::Dynamics::new(own, common, tools)?),
            Vendor::Salesforce(own) => Box::new(salesforce::Salesforce::new(own, common, tools)?),
            Vendor::SugarCrm(own) => sugarcrm::open(own, common, tools)?,
            Vendor::SuiteCrm(own) => suitecrm::open(own, common, tools)?,
            Vendor::Webhook(own) => Box::new(webhook::Webhook::new(own, common, tools)?),
        };
        Ok(Some(connector))
    }

    /// The webhook that signs of life go to beside the CRM; `None` where none is configured.
    pub fn open_beacon(&self, tools: &Tools) -> Result<Option<Box<dyn CrmConnector>>, Failure> {
        let Some(own) = &self.beacon else { return Ok(None) };
        // What its clock says is not what the CRM's says.
        let tools = Tools { server_clock: Arc::default(), ..tools.clone() };
        Ok(Some(Box::new(webhook::Webhook::new(own, &self.common, &tools)?)))
    }

    /// The secrets that the configured logins may need, by the names under which they are kept.
    pub fn secret_names(&self) -> Vec<&'static str> {
        let of_beacon = if self.beacon.is_some() { webhook::SECRETS } else { &[] };
        let of_vendor = self.vendor.secret_names();
        of_vendor.iter().chain(of_beacon.iter().filter(|name| !of_vendor.contains(name))).copied().collect()
    }

    /// Whether a CRM is configured.
    pub fn is_some(&self) -> bool {
        self.vendor != Vendor::None
    }
}

impl Vendor {
    /// As `kind` in `[crm]` has it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::AmoCrm(_) => "amocrm",
            Self::Bitrix24(_) => "bitrix24",
            Self::Creatio(_) => "creatio",
            Self::Dynamics(_) => "dynamics",
            Self::Salesforce(_) => "salesforce",
            Self::SugarCrm(_) => "sugarcrm",
            Self::SuiteCrm(_) => "suitecrm",
            Self::Webhook(_) => "webhook",
        }
    }

    /// See [`CrmSettings::identity`].
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

    /// What the CRM calls the values that are written on a contact, where it has contacts.
    pub fn told(&self) -> Option<&ToldFields> {
        Some(match self {
            Self::None | Self::Webhook(_) => return None,
            Self::AmoCrm(own) => &own.told,
            Self::Bitrix24(own) => &own.told,
            Self::Creatio(own) => &own.told,
            Self::Dynamics(own) => &own.told,
            Self::Salesforce(own) => &own.told,
            Self::SugarCrm(own) => &own.told,
            Self::SuiteCrm(own) => &own.told,
        })
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

/// The vendors' sections as `firmware-config/snova.toml` shows them.
pub fn pages() -> String {
    let page = |vendor: &Known| {
        Page::of(&format!("crm.{}", vendor.kind), vendor.about, |keys| {
            let _ = (vendor.read)(keys);
        })
    };
    VENDORS.iter().map(page).collect::<Vec<_>>().join("\n\n")
}
