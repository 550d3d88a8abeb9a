//! The keys of `[crm.sugarcrm]`, each with what it means to the owner.

use super::Settings;
use crate::crm::{Keys, key};
use crate::vendors::sugar::{family_fields, written_fields};

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
    let about = "What the contacts' fields are called there: external_id holds Snova's mark and must be there; a key that is left \
                 empty is a value that Sugar does not keep.";
    let fields = family_fields(keys, about);
    let (told, record) = written_fields(keys);
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
