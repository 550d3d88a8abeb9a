//! The keys of `[crm.suitecrm]`, each with what it means to the owner.

use super::{Api, Settings};
use crate::crm::{Key, Keys, key};
use crate::vendors::sugar::{family_fields, written_fields};

pub const ABOUT: &str = "SuiteCRM. docs/crm/suitecrm.md says what to click there.";

const CLIENT: Key = key("client_id", "4b2a7f3c-6d1e-4c0f-9b7a-2f8c1d0e5a66", "");
const USER: Key = key("user", "snova", "");

pub fn read(keys: &mut dyn Keys) -> Option<Settings> {
    let url = keys.address(key("url", "https://crm.shop.example", ""));
    let about = "\"v8\", the JSON API of 7.12.3 and later, needs client_id and the secret crm/suitecrm/client-secret; \"v4_1\", the \
                 older one, user and the secret crm/suitecrm/password. Secrets are given by `snova crm secret NAME`.";
    let is_v8 = keys.parsed(key("api", "v8", about), api).unwrap_or(true);
    let (client_id, user) = (keys.word(CLIENT), keys.word(USER));
    let about = "Where the API is below url: \"/Api\" and \"/service/v4_1/rest.php\" unless said otherwise; in SuiteCRM 8 both are \
                 below \"/legacy\".";
    let default = if is_v8 { "/Api" } else { "/service/v4_1/rest.php" };
    let path = keys.parsed(key("path", "/Api", about), path).unwrap_or_else(|| default.to_owned());
    let about = "What the contacts' fields are called there, as with SugarCRM.";
    let fields = family_fields(keys, about);
    let (told, record) = written_fields(keys);
    for (needed, value, wanted) in [(CLIENT, &client_id, is_v8), (USER, &user, !is_v8)] {
        if keys.is_there() && wanted && value.is_none() {
            keys.missing(needed);
        }
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
