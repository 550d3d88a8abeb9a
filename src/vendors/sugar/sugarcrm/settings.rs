//! The keys of `[crm.sugarcrm]`, each with what it means to the owner.

use super::Settings;
use crate::crm::{ContactFields, Keys, key};

pub const ABOUT: &str = "SugarCRM, by its REST API v11. docs/crm/sugarcrm.md says what to click there.";

pub fn read(keys: &mut dyn Keys) -> Option<Settings> {
    let url = keys.address(key("url", "https://shop.sugarondemand.com", ""));
    let about = "The password is given by `snova crm secret crm/sugarcrm/password`.";
    let user = keys.needed(key("user", "snova", about));
    let about = "The API platform that was registered for Snova (Admin, Configure API Platforms): with one of its own, nobody is \
                 logged out by Snova.";
    let platform = keys.named(key("platform", "snova", about));
    let version_key = key("api_version", "v11_10", "v11_10 or later.");
    let api_version = keys.parsed(version_key, version).unwrap_or_else(|| version_key.shown.to_owned());
    let about = "Visits are meetings, upserted by their sync_key, which only an administrator may; for another user give the \
                 meetings a text field and name it here.";
    let visit_key_field = keys.word(key("visit_key_field", "snova_visit_c", about));
    let defaults = ContactFields {
        external_id: Some("snova_customer_c".to_owned()),
        notes: Some("description".to_owned()),
        birthday: Some("birthdate".to_owned()),
        ..ContactFields::default()
    };
    let shown = [
        "snova_customer_c",
        "patronymic_c",
        "loyalty_tier_c",
        "description",
        "offer_c",
        "birthdate",
        "visits_c",
        "last_visit_c",
    ];
    let about = "What the contacts' fields are called there: external_id holds Snova's mark and must be there; a key that is left \
                 empty is a value that Sugar does not keep.";
    let fields = keys.contact_fields(about, &defaults, shown);
    let told = keys.told_fields([
        "snova_first_visit_c",
        "snova_last_visit_c",
        "snova_late_since_c",
        "snova_consent_c",
        "snova_consent_until_c",
        "snova_source_c",
        "snova_visits_30_c",
        "snova_visits_90_c",
        "snova_home_store_c",
    ]);
    let record = keys.record_fields([
        "snova_store_c",
        "snova_counter_c",
        "snova_how_c",
        "snova_served_by_c",
        "snova_receipt_c",
        "snova_sum_c",
        "snova_greeting_c",
    ]);
    Some(Settings { url: url?, user: user?, platform, api_version, visit_key_field, fields, told, record })
}

fn version(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix('v').unwrap_or_default();
    let (major, minor) = rest.split_once('_').unwrap_or((rest, "0"));
    let number = |text: &str| !text.is_empty() && text.len() <= 3 && text.chars().all(|c| c.is_ascii_digit());
    if number(major) && number(minor) {
        return Ok(text.to_owned());
    }
    Err(format!("{text:?} is not a version of SugarCRM's API; give one such as \"v11_10\""))
}
