//! `[crm]`: which CRM, how it is reached, and the keys that every vendor shares.
//!
//! A vendor's own keys are in its file; what the values mean is `crate::crm`'s.

mod amocrm;
mod bitrix24;
mod creatio;
mod dynamics;
mod salesforce;
mod sugarcrm;
mod suitecrm;
mod webhook;

use std::path::PathBuf;
use std::time::Duration;

use super::reader::{Faults, Section};
use super::{Crm, Device};
use crate::crm::{ContactFields, CrmSettings, HttpSettings, RecordFields, ToldFields};
use crate::vendors::{Vendor, webhook as beacon};

/// Reads `[crm]` with all vendors' sections; only that of `kind` must be complete.
pub(super) fn crm(mut section: Section, faults: &mut Faults, device: &Device) -> Crm {
    let default = Crm::default().common;
    let kind = section.parsed(faults, "kind", kind).unwrap_or("none");
    let seconds = |section: &mut Section, faults: &mut Faults, key, default: Duration, range| {
        Duration::from_secs(section.whole(faults, key, default.as_secs(), range))
    };
    let http = HttpSettings {
        timeout: Duration::from_millis(section.whole(
            faults,
            "timeout_ms",
            default.http.timeout.as_millis() as u64,
            100..=600_000,
        )),
        ca_file: section
            .parsed(faults, "ca_file", |text| Ok((!text.is_empty()).then(|| PathBuf::from(text))))
            .flatten(),
        proxy: section.parsed(faults, "proxy", proxy).flatten(),
    };
    let mut vendors = Vec::new();
    macro_rules! vendor {
        ($name:literal, $module:ident, $vendor:path) => {
            let mut own = section.within(faults, $name);
            if kind == $name && !own.is_there() {
                section.fault(faults, &["kind"], format!("{:?} needs its own section; add [crm.{}]", $name, $name));
            }
            let settings = $module::settings(&mut own, faults);
            own.close(faults);
            vendors.push(($name, settings.map($vendor)));
        };
    }
    vendor!("amocrm", amocrm, Vendor::AmoCrm);
    vendor!("bitrix24", bitrix24, Vendor::Bitrix24);
    vendor!("creatio", creatio, Vendor::Creatio);
    vendor!("dynamics", dynamics, Vendor::Dynamics);
    vendor!("salesforce", salesforce, Vendor::Salesforce);
    vendor!("sugarcrm", sugarcrm, Vendor::SugarCrm);
    vendor!("suitecrm", suitecrm, Vendor::SuiteCrm);
    vendor!("webhook", webhook, Vendor::Webhook);
    let vendor = vendors.into_iter().find(|(name, _)| *name == kind).and_then(|(_, vendor)| vendor);
    let vendor = vendor.unwrap_or(Vendor::None);
    let common = CrmSettings {
        identity: vendor.identity(),
        http,
        create_contacts: section.flag(faults, "create_contacts", default.create_contacts),
        tells: vendor.told().is_some_and(|told| !told.is_empty()),
        names_from_crm: section.flag(faults, "names_from_crm", default.names_from_crm),
        grace: seconds(&mut section, faults, "grace_s", default.grace, 0..=86_400),
        pull_every: seconds(&mut section, faults, "pull_s", default.pull_every, 0..=604_800),
        heartbeat_every: seconds(&mut section, faults, "heartbeat_s", default.heartbeat_every, 0..=86_400),
        stale_after: seconds(&mut section, faults, "stale_s", default.stale_after, 60..=31_536_000),
        language: device.language,
        country: device.country,
        shop: device.store.clone(),
    };
    let beacon = optional_address(&mut section, faults, "heartbeat_url", "https://watch.example.com/snova")
        .map(|url| beacon::Settings { url });
    section.close(faults);
    Crm { common, vendor, beacon }
}

fn kind(text: &str) -> Result<&'static str, String> {
    let found = Vendor::KINDS.into_iter().find(|kind| *kind == text);
    found.ok_or_else(|| format!("{text:?} is not a CRM that Snova knows; give one of {}", Vendor::KINDS.join(", ")))
}

fn proxy(text: &str) -> Result<Option<String>, String> {
    match text {
        "" => Ok(None),
        _ if text.starts_with("http://") && !text.contains('@') => Ok(Some(text.to_owned())),
        _ => Err(format!("{text:?} is not a proxy; give one such as \"http://192.168.1.5:3128\", without a password")),
    }
}

/// The CRM's address: HTTPS, without a slash at its end. One that carries a login is refused without quoting it.
fn address(section: &mut Section, faults: &mut Faults, key: &'static str, example: &str) -> Option<String> {
    if section.is_there() && !section.has(key) {
        section.missing(faults, key, example);
    }
    optional_address(section, faults, key, example)
}

/// The same for a key that may be left out, or be empty.
fn optional_address(section: &mut Section, faults: &mut Faults, key: &'static str, example: &str) -> Option<String> {
    let address = section.parsed(faults, key, |text| {
        if text.is_empty() {
            return Ok(String::new());
        }
        let bad = || format!("the address cannot be used; give one such as {example:?}");
        let rest = text
            .strip_prefix("https://")
            .ok_or_else(|| format!("the address does not begin with https://; give one such as {example:?}"))?;
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.contains('@') {
            return Err("a password does not belong into the address; give it by `snova crm secret NAME`".to_owned());
        }
        let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\'' | '\\' | '<' | '>' | '`' | '?' | '#');
        if authority.is_empty() || text.len() > 500 || !rest.chars().all(plain) {
            return Err(bad());
        }
        Ok(text.trim_end_matches('/').to_owned())
    });
    address.filter(|address| !address.is_empty())
}

/// A name or id of the CRM's: no space and no control character. Empty is `None` for a key without default.
fn word(section: &mut Section, faults: &mut Faults, key: &'static str) -> Option<String> {
    let word = section.parsed(faults, key, |text| {
        let plain =
            |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '"' | '\'' | '/' | '\\' | '?' | '#');
        if text.len() <= 200 && text.chars().all(plain) {
            Ok(text.to_owned())
        } else {
            Err(format!("{text:?} is not a name or id of the CRM; copy it from there"))
        }
    });
    word.filter(|word| !word.is_empty())
}

/// `fields` of a vendor: what its contact's fields are called. A key that is given empty means that there is none.
fn contact_fields(section: &mut Section, faults: &mut Faults, defaults: ContactFields) -> ContactFields {
    let mut fields = section.within(faults, "fields");
    let mut field = |key, default: Option<String>| {
        let given = word(&mut fields, faults, key);
        if fields.has(key) { given } else { default }
    };
    let mapped = ContactFields {
        external_id: field("external_id", defaults.external_id),
        patronymic: field("patronymic", defaults.patronymic),
        tier: field("tier", defaults.tier),
        notes: field("notes", defaults.notes),
        offer: field("offer", defaults.offer),
        birthday: field("birthday", defaults.birthday),
        visits: field("visits", defaults.visits),
        last_visit: field("last_visit", defaults.last_visit),
    };
    fields.close(faults);
    mapped
}

/// `told` of a vendor: what Snova writes on a contact beside its mark. Nothing has a name unless it is given.
fn told_fields(section: &mut Section, faults: &mut Faults) -> ToldFields {
    let mut told = section.within(faults, "told");
    let mut field = |key| word(&mut told, faults, key);
    let mapped = ToldFields {
        first_visit: field("first_visit"),
        last_visit: field("last_visit"),
        late_since: field("late_since"),
        consent: field("consent"),
        consent_until: field("consent_until"),
        source: field("source"),
        visits_30: field("visits_30"),
        visits_90: field("visits_90"),
        home_store: field("home_store"),
    };
    told.close(faults);
    mapped
}

/// `record` of a vendor: what the values of a visit are called that have no standard place.
fn record_fields(section: &mut Section, faults: &mut Faults) -> RecordFields {
    let mut record = section.within(faults, "record");
    let mut field = |key| word(&mut record, faults, key);
    let mapped = RecordFields {
        store: field("store"),
        counter: field("counter"),
        how: field("how"),
        served_by: field("served_by"),
        receipt: field("receipt"),
        sum: field("sum"),
        greeting: field("greeting"),
    };
    record.close(faults);
    mapped
}
