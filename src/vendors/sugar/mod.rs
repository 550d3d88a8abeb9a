//! SugarCRM, and SuiteCRM, which was once the same program: contacts, and meetings that were held.
//!
//! What the family shares is here: its fields and forms (`shape`), what a connector does with rows (`connector`), what is
//! said to the administrator (`findings`). How rows are asked for and written is each member's own.

mod connector;
mod findings;
mod shape;
pub mod sugarcrm;
pub mod suitecrm;

use crate::crm::{ContactFields, Keys, RecordFields, ToldFields};

/// `fields` of the family: what it calls a contact's fields unless said otherwise.
fn family_fields(keys: &mut dyn Keys, about: &'static str) -> ContactFields {
    let named = |name: &str| Some(name.to_owned());
    let defaults = ContactFields {
        external_id: named("snova_customer_c"),
        notes: named("description"),
        birthday: named("birthdate"),
        ..ContactFields::default()
    };
    let shown = [
        "snova_customer_c",
        "patronymic_c",
        "loyalty_tier_c",
        "description",
        "offer_c",
        "birthdate",
        "visits_c",
        "last_visit_c",
    ];
    keys.contact_fields(about, &defaults, shown)
}

/// `told` and `record`, with the names that are proposed for Studio.
fn written_fields(keys: &mut dyn Keys) -> (ToldFields, RecordFields) {
    let told = keys.told_fields([
        "snova_first_visit_c",
        "snova_last_visit_c",
        "snova_late_since_c",
        "snova_consent_c",
        "snova_consent_until_c",
        "snova_source_c",
        "snova_visits_30_c",
        "snova_visits_90_c",
        "snova_home_store_c",
    ]);
    let record = keys.record_fields([
        "snova_store_c",
        "snova_counter_c",
        "snova_how_c",
        "snova_served_by_c",
        "snova_receipt_c",
        "snova_sum_c",
        "snova_greeting_c",
    ]);
    (told, record)
}
