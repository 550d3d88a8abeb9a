//! The keys of `[crm.suitecrm]`.
//!
//! Their meaning to the owner is in `firmware-config/snova.toml`.

use super::sugarcrm::family_fields;
use super::{address, contact_fields, record_fields, told_fields, word};
use crate::config::reader::{Faults, Section};
use crate::vendors::sugar::suitecrm::{Api, Settings};

pub(super) fn settings(section: &mut Section, faults: &mut Faults) -> Option<Settings> {
    let url = address(section, faults, "url", "https://crm.shop.example");
    let is_v8 = section.parsed(faults, "api", api).unwrap_or(true);
    let client_id = word(section, faults, "client_id");
    let user = word(section, faults, "user");
    let default = if is_v8 { "/Api" } else { "/service/v4_1/rest.php" };
    let path = section.parsed(faults, "path", path).unwrap_or_else(|| default.to_owned());
    let fields = contact_fields(section, faults, family_fields());
    let (told, record) = (told_fields(section, faults), record_fields(section, faults));
    if section.is_there() && is_v8 && client_id.is_none() {
        section.missing(faults, "client_id", "4b2a7f3c-…");
    }
    if section.is_there() && !is_v8 && user.is_none() {
        section.missing(faults, "user", "snova");
    }
    let api = if is_v8 { Api::V8 { client_id: client_id?, path } } else { Api::Legacy { user: user?, path } };
    Some(Settings { url: url?, api, fields, told, record })
}

/// Whether it is V8.
fn api(text: &str) -> Result<bool, String> {
    match text {
        "v8" => Ok(true),
        "v4_1" => Ok(false),
        _ => Err(format!("{text:?} is not an API of SuiteCRM's; give \"v8\" or \"v4_1\"")),
    }
}

/// The part of the address after `url`, without a slash at its end.
fn path(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '-' | '.');
    if text.starts_with('/') && text.len() > 1 && text.len() <= 200 && text.chars().all(plain) {
        return Ok(text.trim_end_matches('/').to_owned());
    }
    Err(format!("{text:?} is not a path; give one such as \"/Api\" or \"/legacy/Api\""))
}
