//! The keys of `[crm.amocrm]`.
//!
//! Their meaning to the owner is in `firmware-config/snova.toml`.

use super::{address, contact_fields, record_fields, told_fields, word};
use crate::config::reader::{Faults, Section};
use crate::crm::{ContactFields, RecordFields};
use crate::vendors::amocrm::{App, Settings};

pub(super) fn settings(section: &mut Section, faults: &mut Faults) -> Option<Settings> {
    let url = address(section, faults, "url", "https://shop.amocrm.ru");
    let client_id = word(section, faults, "client_id");
    let redirect_uri = section.parsed(faults, "redirect_uri", redirect_uri).flatten();
    let app = match (client_id, redirect_uri) {
        (Some(client_id), Some(redirect_uri)) => Some(App { client_id, redirect_uri }),
        (Some(_), None) => {
            section.missing(faults, "redirect_uri", "https://example.com");
            None
        }
        _ => None,
    };
    let fields = contact_fields(section, faults, ContactFields::default());
    let told = told_fields(section, faults);
    if record_fields(section, faults) != RecordFields::default() {
        let what = "amoCRM's visits are notes, which have no fields; leave it out, and fill those of the contact by [crm.amocrm.told]";
        section.fault(faults, &["record"], what);
    }
    let named = [
        &fields.external_id,
        &fields.patronymic,
        &fields.tier,
        &fields.notes,
        &fields.offer,
        &fields.birthday,
        &fields.visits,
        &fields.last_visit,
        &told.first_visit,
        &told.last_visit,
        &told.late_since,
        &told.consent,
        &told.consent_until,
        &told.source,
        &told.visits_30,
        &told.visits_90,
        &told.home_store,
    ];
    let is_number = |field: &str| field.parse::<i64>().is_ok_and(|number| number > 0);
    for field in named.into_iter().flatten().filter(|field| !is_number(field)) {
        section.fault(faults, &["fields"], format!("{field:?} is not a field's number; give one such as \"123456\""));
    }
    if section.is_there() && fields.external_id.is_none() {
        let what = "external_id is missing; make a text field for contacts and give its number";
        section.fault(faults, &["fields"], what);
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
