//! The keys of `[crm.dynamics]`, each with what it means to the owner.

use super::{Settings, VisitTable};
use crate::crm::{ContactFields, Keys, key};

pub const ABOUT: &str =
    "Microsoft Dynamics 365 (Dataverse). How the environment is prepared is in docs/crm/dynamics.md.";

const LOGIN: &str = "https://login.microsoftonline.com";

pub fn read(keys: &mut dyn Keys) -> Option<Settings> {
    let url = keys.address(key("url", "https://shop.crm4.dynamics.com", "The environment's address."));
    let login = key("login_url", LOGIN, "The login service, which differs in national clouds only.");
    let login_url = keys.optional_address(login).unwrap_or_else(|| LOGIN.to_owned());
    let tenant = keys.needed(key("tenant", "shop.onmicrosoft.com", "The directory's id or domain."));
    let client_id = keys.needed(key(
        "client_id",
        "0f3c4b1e-6d5a-4c2b-9e8f-7a6b5c4d3e2f",
        "The app registration's id. Its secret is given by `snova crm secret crm/dynamics/client-secret`.",
    ));
    let device_table = keys.word(key(
        "device_table",
        "new_snovadevices",
        "The entity set of a custom table with a row for each box, for signs of life, and its alternate key; what stands \
         before the first \"_\" of it begins the names of all its columns. Empty: there is none.",
    ));
    let device_key = keys.named(key("device_key", "new_device", ""));
    let about = "Where visits are rows of a custom table: its entity set, its logical name, and what its columns are called. \
                 contact is the lookup's name with its capitals. Without table visits are tasks.";
    let mut visit = None;
    keys.within(key("visit", "", about), &mut |own| {
        let table = own.word(key("table", "new_storevisits", ""));
        let default = VisitTable::named(table.clone().unwrap_or_default());
        let mut column = |name, shown, default: String| own.word(key(name, shown, "")).unwrap_or(default);
        let named = VisitTable {
            table: default.table,
            entity: column("entity", "new_storevisit", default.entity),
            id: column("id", "new_storevisitid", default.id),
            contact: column("contact", "new_Contact", default.contact),
            name: column("name", "new_name", default.name),
            at: column("at", "new_at", default.at),
            until: column("until", "new_until", default.until),
            counter: column("counter", "new_counter", default.counter),
            how: column("how", "new_how", default.how),
            void: column("void", "new_void", default.void),
        };
        visit = table.map(|_| named);
    });
    let defaults = ContactFields {
        external_id: Some("new_snovacustomer".to_owned()),
        patronymic: Some("middlename".to_owned()),
        notes: Some("description".to_owned()),
        birthday: Some("birthdate".to_owned()),
        ..ContactFields::default()
    };
    let shown =
        ["new_snovacustomer", "middlename", "new_tier", "description", "new_offer", "birthdate", "new_visits", ""];
    let about = "What the columns of contacts are called; an empty name is a value that is not kept. external_id holds Snova's mark.";
    let fields = keys.contact_fields(about, &defaults, shown);
    let told = keys.told_fields([
        "new_snovafirstvisit",
        "new_snovalastvisit",
        "new_snovalatesince",
        "new_snovaconsent",
        "new_snovaconsentuntil",
        "new_snovasource",
        "new_snovavisits30",
        "new_snovavisits90",
        "new_snovahomestore",
    ]);
    let record = keys.record_fields([
        "new_snovastore",
        "new_snovacounter",
        "new_snovahow",
        "new_snovaservedby",
        "new_snovareceipt",
        "new_snovasum",
        "new_snovagreeting",
    ]);
    let device_table = device_table.unwrap_or_default();
    Some(Settings {
        url: url?,
        login_url,
        tenant: tenant?,
        client_id: client_id?,
        visit,
        device_table,
        device_key,
        fields,
        told,
        record,
    })
}
