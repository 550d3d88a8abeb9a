//! The keys of `[crm.salesforce]`.
//!
//! Their meaning to the owner is in `firmware-config/snova.toml`.

use super::{address, contact_fields, record_fields, told_fields, word};
use crate::config::reader::{Faults, Section};
use crate::crm::ContactFields;
use crate::vendors::salesforce::{Settings, VisitFields};

pub(super) fn settings(section: &mut Section, faults: &mut Faults) -> Option<Settings> {
    let url = address(section, faults, "url", "https://shop.my.salesforce.com");
    let client_id = word(section, faults, "client_id");
    let api_version = word(section, faults, "api_version").unwrap_or_else(|| "v62.0".to_owned());
    let contact_key = word(section, faults, "contact_key").unwrap_or_else(|| "Snova_Key__c".to_owned());
    let device_object = word(section, faults, "device_object").unwrap_or_default();
    let default = VisitFields::default();
    let mut visit = section.within(faults, "visit");
    let visit_fields = VisitFields {
        object: word(&mut visit, faults, "object").unwrap_or(default.object),
        key: word(&mut visit, faults, "key").unwrap_or(default.key),
        contact: word(&mut visit, faults, "contact").unwrap_or(default.contact),
        at: word(&mut visit, faults, "at").unwrap_or(default.at),
        until: word(&mut visit, faults, "until").unwrap_or(default.until),
        counter: word(&mut visit, faults, "counter").unwrap_or(default.counter),
        how: word(&mut visit, faults, "how").unwrap_or(default.how),
        void: word(&mut visit, faults, "void").unwrap_or(default.void),
        name: word(&mut visit, faults, "name"),
        note: word(&mut visit, faults, "note"),
    };
    visit.close(faults);
    let defaults = ContactFields {
        external_id: Some("Snova_Customer__c".to_owned()),
        patronymic: Some("MiddleName".to_owned()),
        tier: None,
        notes: Some("Description".to_owned()),
        offer: None,
        birthday: Some("Birthdate".to_owned()),
        visits: None,
        last_visit: None,
    };
    let fields = contact_fields(section, faults, defaults);
    let (told, record) = (told_fields(section, faults), record_fields(section, faults));
    if section.is_there() && client_id.is_none() {
        section.missing(faults, "client_id", "3MVG9…");
    }
    Some(Settings {
        url: url?,
        client_id: client_id?,
        api_version,
        contact_key,
        visit: visit_fields,
        device_object,
        fields,
        told,
        record,
    })
}
