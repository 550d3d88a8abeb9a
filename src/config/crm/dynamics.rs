//! The keys of `[crm.dynamics]`.
//!
//! Their meaning to the owner is in `firmware-config/snova.toml`.

use super::{address, contact_fields, record_fields, told_fields, word};
use crate::config::reader::{Faults, Section};
use crate::crm::ContactFields;
use crate::vendors::odata::dynamics::{Settings, VisitTable};

const LOGIN: &str = "https://login.microsoftonline.com";

pub(super) fn settings(section: &mut Section, faults: &mut Faults) -> Option<Settings> {
    let url = address(section, faults, "url", "https://shop.crm4.dynamics.com");
    let login_url = if section.is_there() && !section.has("login_url") {
        Some(LOGIN.to_owned())
    } else {
        address(section, faults, "login_url", LOGIN)
    };
    let tenant = word(section, faults, "tenant");
    let client_id = word(section, faults, "client_id");
    let device_table = word(section, faults, "device_table").unwrap_or_default();
    let device_key = word(section, faults, "device_key").unwrap_or_else(|| "new_device".to_owned());
    let mut visit = section.within(faults, "visit");
    let table = word(&mut visit, faults, "table");
    let default = VisitTable::named(table.clone().unwrap_or_default());
    let named = VisitTable {
        table: default.table,
        entity: word(&mut visit, faults, "entity").unwrap_or(default.entity),
        id: word(&mut visit, faults, "id").unwrap_or(default.id),
        contact: word(&mut visit, faults, "contact").unwrap_or(default.contact),
        name: word(&mut visit, faults, "name").unwrap_or(default.name),
        at: word(&mut visit, faults, "at").unwrap_or(default.at),
        until: word(&mut visit, faults, "until").unwrap_or(default.until),
        counter: word(&mut visit, faults, "counter").unwrap_or(default.counter),
        how: word(&mut visit, faults, "how").unwrap_or(default.how),
        void: word(&mut visit, faults, "void").unwrap_or(default.void),
    };
    visit.close(faults);
    let defaults = ContactFields {
        external_id: Some("new_snovacustomer".to_owned()),
        patronymic: Some("middlename".to_owned()),
        tier: None,
        notes: Some("description".to_owned()),
        offer: None,
        birthday: Some("birthdate".to_owned()),
        visits: None,
        last_visit: None,
    };
    let fields = contact_fields(section, faults, defaults);
    let (told, record) = (told_fields(section, faults), record_fields(section, faults));
    for (key, value, example) in
        [("tenant", &tenant, "shop.onmicrosoft.com"), ("client_id", &client_id, "0f3c4b1e-6d5a-4c2b-9e8f-7a6b5c4d3e2f")]
    {
        if section.is_there() && value.is_none() {
            section.missing(faults, key, example);
        }
    }
    Some(Settings {
        url: url?,
        login_url: login_url?,
        tenant: tenant?,
        client_id: client_id?,
        visit: table.map(|_| named),
        device_table,
        device_key,
        fields,
        told,
        record,
    })
}
