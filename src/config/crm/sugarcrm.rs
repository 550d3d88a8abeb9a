//! The keys of `[crm.sugarcrm]`.
//!
//! Their meaning to the owner is in `firmware-config/snova.toml`.

use super::{address, contact_fields, record_fields, told_fields, word};
use crate::config::reader::{Faults, Section};
use crate::crm::ContactFields;
use crate::vendors::sugar::sugarcrm::Settings;

pub(super) fn settings(section: &mut Section, faults: &mut Faults) -> Option<Settings> {
    let url = address(section, faults, "url", "https://shop.sugarondemand.com");
    let user = word(section, faults, "user");
    let platform = word(section, faults, "platform").unwrap_or_else(|| "snova".to_owned());
    let api_version = section.parsed(faults, "api_version", version).unwrap_or_else(|| "v11_10".to_owned());
    let visit_key_field = word(section, faults, "visit_key_field");
    let fields = contact_fields(section, faults, family_fields());
    let (told, record) = (told_fields(section, faults), record_fields(section, faults));
    if section.is_there() && user.is_none() {
        section.missing(faults, "user", "snova");
    }
    Some(Settings { url: url?, user: user?, platform, api_version, visit_key_field, fields, told, record })
}

/// What the whole family calls the fields of a contact, unless said otherwise.
pub(super) fn family_fields() -> ContactFields {
    let named = |name: &str| Some(name.to_owned());
    ContactFields {
        external_id: named("snova_customer_c"),
        notes: named("description"),
        birthday: named("birthdate"),
        ..ContactFields::default()
    }
}

/// Visits stand at addresses that begin with it.
fn version(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix('v').unwrap_or_default();
    let (major, minor) = rest.split_once('_').unwrap_or((rest, "0"));
    let number = |text: &str| !text.is_empty() && text.len() <= 3 && text.chars().all(|c| c.is_ascii_digit());
    if number(major) && number(minor) {
        return Ok(text.to_owned());
    }
    Err(format!("{text:?} is not a version of SugarCRM's API; give one such as \"v11_10\""))
}
