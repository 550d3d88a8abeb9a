//! The keys of `[crm.amocrm]`, each with what it means to the owner.

use super::{App, Settings};
use crate::crm::{ContactFields, Key, Keys, key};
use crate::vendors::fields::of_contact;

pub const ABOUT: &str = "amoCRM (Kommo). How the account is prepared is in docs/crm/amocrm.md.";

const REDIRECT: Key = key("redirect_uri", "https://example.com", "");

pub fn read(keys: &mut dyn Keys) -> Option<Settings> {
    let about = "The account's address. The long-lived token of a private integration is the login: it is given by \
                 `snova crm secret crm/amocrm/token`.";
    let url = keys.address(key("url", "https://shop.amocrm.ru", about));
    let about = "For an integration that logs in by OAuth instead: its id and its redirect address, as they stand in the \
                 integration. Its secrets are crm/amocrm/client-secret and crm/amocrm/refresh-token. Without client_id the token is \
                 the login.";
    let client_id = keys.word(key("client_id", "0f6a2c1e-8d3b-4a5f-9c7e-1b2d3c4e5f60", about));
    let redirect_uri = keys.parsed(REDIRECT, redirect_uri).flatten();
    let app = match (client_id, redirect_uri) {
        (Some(client_id), Some(redirect_uri)) => Some(App { client_id, redirect_uri }),
        (Some(_), None) => {
            keys.missing(REDIRECT);
            None
        }
        _ => None,
    };
    let about = "The numbers of these fields of contacts, as amoCRM shows them in a field's settings. external_id, a text field, \
                 is needed: it holds Snova's mark; each other one is a value that the account does not keep where it is left out.";
    let shown = ["900101", "900102", "900103", "900104", "900105", "900106", "900107", "900108"];
    let fields = keys.contact_fields(about, &ContactFields::default(), shown);
    let told =
        keys.told_fields(["900201", "900202", "900203", "900204", "900205", "900206", "900207", "900208", "900209"]);
    let told_names = of_contact(&told);
    let named = fields.external_id.as_deref().into_iter().chain(fields.card().map(|(_, name)| name));
    let named = named.chain(told_names.iter().filter_map(|field| field.name));
    let is_number = |field: &str| field.parse::<i64>().is_ok_and(|number| number > 0);
    for field in named.filter(|field| !is_number(field)) {
        keys.fault(&["fields"], &format!("{field:?} is not a field's number; give one such as \"123456\""));
    }
    if keys.is_there() && fields.external_id.is_none() {
        let what = "external_id is missing; make a text field for contacts and give its number";
        keys.fault(&["fields"], what);
    }
    Some(Settings { url: url?, app, fields, told })
}

/// As it stands in the integration; it is only sent back.
fn redirect_uri(text: &str) -> Result<Option<String>, String> {
    match text {
        "" => Ok(None),
        _ if text.starts_with("https://") && text.chars().all(|c| c.is_ascii_graphic()) => Ok(Some(text.to_owned())),
        _ => Err(format!("{text:?} is not an address; copy it from the integration, such as \"https://example.com\"")),
    }
}
