//! The keys of `[crm.creatio]`, each with what it means to the owner.

use super::{Login, Settings, VisitSettings};
use crate::crm::{ContactFields, Key, Keys, key};

pub const ABOUT: &str = "Creatio. How the site is prepared is in docs/crm/creatio.md.";

const IDENTITY: Key = key(
    "identity_url",
    "https://shop-is.creatio.com",
    "One of two logins. By the identity service: its address and the app's id; the secret is given by \
     `snova crm secret crm/creatio/client-secret`.",
);
const CLIENT: Key = key("client_id", "6F2D9A0C", "");
const USER: Key = key(
    "user",
    "",
    "By a user's name, with the password from `snova crm secret crm/creatio/password`. It is left empty, or out, where the \
     identity service is used.",
);

pub fn read(keys: &mut dyn Keys) -> Option<Settings> {
    let url = keys.address(key("url", "https://shop.creatio.com", "The site's address, without /0."));
    let about =
        "Whether the site runs on .NET Framework; false for .NET Core, where its address in a browser has no /0.";
    let net_framework = keys.flag(key("net_framework", "true", about), true);
    let login = login(keys);
    let phone_e164 = keys.word(key(
        "phone_e164",
        "",
        "A custom text column of contacts that holds the mobile phone in E.164, where the site keeps one. Empty: there is none.",
    ));
    let about = "A custom object with a row for each box, for signs of life. Empty: there is none.";
    let device_object = keys.word(key("device_object", "UsrSnovaDevice", about)).unwrap_or_default();
    let about = "What a visit is among the activities: its category, its status, and that of one which was somebody else's. \
                 Each is an id or a name from the site's lists; without them those that come with every site as \"To do\", \
                 \"Completed\" and \"Canceled\". owner is the contact's id of the employee who owns them; empty: whom \
                 Creatio takes.";
    let mut visit = VisitSettings::default();
    keys.within(key("visit", "", about), &mut |own| {
        let default = VisitSettings::default();
        let mut entry = |name, shown, default| own.parsed(key(name, shown, ""), entry).unwrap_or(default);
        visit = VisitSettings {
            category: entry("category", "f51c4643-58e6-df11-971b-001d60e938c6", default.category),
            finished: entry("finished", "4bdbb88f-58e6-df11-971b-001d60e938c6", default.finished),
            cancelled: entry("cancelled", "201cfba8-58e6-df11-971b-001d60e938c6", default.cancelled),
            owner: own.parsed(key("owner", "", ""), owner).flatten(),
        };
    });
    let defaults = ContactFields {
        external_id: Some("UsrSnovaCustomer".to_owned()),
        patronymic: Some("MiddleName".to_owned()),
        notes: Some("Notes".to_owned()),
        birthday: Some("BirthDate".to_owned()),
        ..ContactFields::default()
    };
    let shown = ["UsrSnovaCustomer", "MiddleName", "UsrTier", "Notes", "UsrOffer", "BirthDate", "UsrVisits", ""];
    let about = "What the columns of contacts are called; an empty name is a value that is not kept. A column of what a lookup \
                 leads to is written with a dot: \"UsrTier.Name\". external_id holds Snova's mark.";
    let fields = keys.contact_fields(about, &defaults, shown);
    let told = keys.told_fields([
        "UsrSnovaFirstVisit",
        "UsrSnovaLastVisit",
        "UsrSnovaLateSince",
        "UsrSnovaConsent",
        "UsrSnovaConsentUntil",
        "UsrSnovaSource",
        "UsrSnovaVisits30",
        "UsrSnovaVisits90",
        "UsrSnovaHomeStore",
    ]);
    let record = keys.record_fields([
        "UsrSnovaStore",
        "UsrSnovaCounter",
        "UsrSnovaHow",
        "UsrSnovaServedBy",
        "UsrSnovaReceipt",
        "UsrSnovaSum",
        "UsrSnovaGreeting",
    ]);
    Some(Settings { url: url?, login: login?, net_framework, visit, phone_e164, device_object, fields, told, record })
}

fn login(keys: &mut dyn Keys) -> Option<Login> {
    // Only asked for where it is meant: a key that is missing is a fault by itself.
    let user = |keys: &mut dyn Keys| keys.parsed(USER, user).filter(|user| !user.is_empty());
    let by_client = keys.has(IDENTITY.name) || keys.has(CLIENT.name) || !keys.is_there();
    let identity_url = if by_client { keys.address(IDENTITY) } else { None };
    let (client_id, user) = (keys.word(CLIENT), user(keys));
    if !keys.is_there() {
        return None;
    }
    let both = [USER.name, CLIENT.name];
    match (user, client_id) {
        (Some(_), Some(_)) => {
            keys.fault(&both, "there are two logins; keep user, or identity_url and client_id");
            None
        }
        (Some(user), None) if !keys.has(IDENTITY.name) => Some(Login::Form { user }),
        (None, None) if !keys.has(IDENTITY.name) => {
            keys.fault(&both, "there is no login; give identity_url and client_id, or user");
            None
        }
        (_, client_id) => {
            if client_id.is_none() {
                keys.missing(CLIENT);
            }
            Some(Login::Client { identity_url: identity_url?, client_id: client_id? })
        }
    }
}

fn user(text: &str) -> Result<String, String> {
    if text.len() <= 200 && !text.chars().any(char::is_control) {
        Ok(text.to_owned())
    } else {
        Err("that is not a user's name; copy it from Creatio".to_owned())
    }
}

/// The id or the name of an entry of one of the site's lists.
fn entry(text: &str) -> Result<String, String> {
    let text = text.trim();
    if (1..=200).contains(&text.len()) && !text.chars().any(char::is_control) {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} is no entry of a list; give its id or its name as Creatio shows it"))
    }
}

fn owner(text: &str) -> Result<Option<uuid::Uuid>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse()
        .map(Some)
        .map_err(|_| format!("{text:?} is not the id of a contact; copy the employee's from its address"))
}
