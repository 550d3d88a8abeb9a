//! The keys of `[crm.creatio]`.
//!
//! Their meaning to the owner is in `firmware-config/snova.toml`.

use super::{address, contact_fields, record_fields, told_fields, word};
use crate::config::reader::{Faults, Section};
use crate::crm::ContactFields;
use crate::vendors::odata::creatio::{Login, Settings, VisitSettings};

pub(super) fn settings(section: &mut Section, faults: &mut Faults) -> Option<Settings> {
    let url = address(section, faults, "url", "https://shop.creatio.com");
    let login = login(section, faults);
    let net_framework = section.flag(faults, "net_framework", true);
    let phone_e164 = word(section, faults, "phone_e164");
    let device_object = word(section, faults, "device_object").unwrap_or_default();
    let default = VisitSettings::default();
    let mut visit = section.within(faults, "visit");
    let visit_settings = VisitSettings {
        category: visit.parsed(faults, "category", entry).unwrap_or(default.category),
        finished: visit.parsed(faults, "finished", entry).unwrap_or(default.finished),
        cancelled: visit.parsed(faults, "cancelled", entry).unwrap_or(default.cancelled),
        owner: visit.parsed(faults, "owner", owner).flatten(),
    };
    visit.close(faults);
    let defaults = ContactFields {
        external_id: Some("UsrSnovaCustomer".to_owned()),
        patronymic: Some("MiddleName".to_owned()),
        tier: None,
        notes: Some("Notes".to_owned()),
        offer: None,
        birthday: Some("BirthDate".to_owned()),
        visits: None,
        last_visit: None,
    };
    let fields = contact_fields(section, faults, defaults);
    let (told, record) = (told_fields(section, faults), record_fields(section, faults));
    Some(Settings {
        url: url?,
        login: login?,
        net_framework,
        visit: visit_settings,
        phone_e164,
        device_object,
        fields,
        told,
        record,
    })
}

/// Either of the two logins, whole.
fn login(section: &mut Section, faults: &mut Faults) -> Option<Login> {
    let user = section.parsed(faults, "user", user).filter(|user| !user.is_empty());
    let client_id = word(section, faults, "client_id");
    // Only asked for where it is meant: a key that is missing is a fault by itself.
    let by_client = client_id.is_some() || section.has("identity_url") || !section.is_there();
    let identity_url =
        if by_client { address(section, faults, "identity_url", "https://shop-is.creatio.com") } else { None };
    if !section.is_there() {
        return None;
    }
    match (user, client_id) {
        (Some(_), Some(_)) => {
            section.fault(
                faults,
                &["user", "client_id"],
                "there are two logins; keep user, or identity_url and client_id",
            );
            None
        }
        (Some(user), None) if !section.has("identity_url") => Some(Login::Form { user }),
        (None, None) if !section.has("identity_url") => {
            section.fault(
                faults,
                &["user", "client_id"],
                "there is no login; give identity_url and client_id, or user",
            );
            None
        }
        (_, client_id) => {
            if client_id.is_none() {
                section.missing(faults, "client_id", "6F2D…");
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
