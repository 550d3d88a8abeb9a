//! The keys of `[crm.salesforce]`, each with what it means to the owner.

use super::{Settings, VisitFields};
use crate::crm::{ContactFields, Keys, key};

pub const ABOUT: &str = "Salesforce: docs/crm/salesforce.md says what to click there.";

pub fn read(keys: &mut dyn Keys) -> Option<Settings> {
    let url = keys.address(key("url", "https://shop.my.salesforce.com", "The org's My Domain."));
    let client_id = keys.needed(key(
        "client_id",
        "3MVG9snova",
        "The consumer key of the External Client App. Its secret: `snova crm secret crm/salesforce/client-secret`.",
    ));
    let api_version = keys.named(key("api_version", "v62.0", "The version of the REST API that is spoken."));
    let device_object = keys.word(key(
        "device_object",
        "Store_Device__c",
        "The object with a row for each box, for signs of life. Left out or empty: Salesforce is given none.",
    ));
    let about = "The field of Contact with the key of a contact that Snova creates: Text(36), external id and unique.";
    let contact_key = keys.named(key("contact_key", "Snova_Key__c", about));
    let about = "What the org calls the object of visits and its fields. What is left out has the name shown here, but for \
                 name and note, which are written only where they are named.";
    let mut visit = VisitFields::default();
    keys.within(key("visit", "", about), &mut |own| {
        visit = VisitFields {
            object: own.named(key("object", "Store_Visit__c", "")),
            key: own.named(key("key", "Visit_UID__c", "Text(36), external id and unique.")),
            contact: own.named(key("contact", "Contact__c", "Lookup to Contact.")),
            at: own.named(key("at", "At__c", "Date/Time.")),
            until: own.named(key("until", "Until__c", "")),
            counter: own.named(key("counter", "Counter__c", "Text.")),
            how: own.named(key("how", "How__c", "")),
            void: own.named(key("void", "Void__c", "Checkbox.")),
            name: own.word(key("name", "Name", "The visit's title, where the record's name is a text and no number.")),
            note: own.word(key("note", "Note__c", "The visit in words, Text(255).")),
        };
    });
    let defaults = ContactFields {
        external_id: Some("Snova_Customer__c".to_owned()),
        patronymic: Some("MiddleName".to_owned()),
        notes: Some("Description".to_owned()),
        birthday: Some("Birthdate".to_owned()),
        ..ContactFields::default()
    };
    let shown = [
        "Snova_Customer__c",
        "MiddleName",
        "Loyalty_Tier__c",
        "Description",
        "Offer__c",
        "Birthdate",
        "Visits__c",
        "Last_Visit__c",
    ];
    let about = "What the org calls the contacts' fields; an empty name is a value that is not kept. external_id, Text(255) \
                 and not unique, holds Snova's mark.";
    let fields = keys.contact_fields(about, &defaults, shown);
    let told = keys.told_fields([
        "Snova_First_Visit__c",
        "Snova_Last_Visit__c",
        "Snova_Late_Since__c",
        "Snova_Consent__c",
        "Snova_Consent_Until__c",
        "Snova_Source__c",
        "Snova_Visits_30__c",
        "Snova_Visits_90__c",
        "Snova_Home_Store__c",
    ]);
    let record =
        keys.record_fields(["Store__c", "Till__c", "Known__c", "Served_By__c", "Receipt__c", "Sum__c", "Greeting__c"]);
    let device_object = device_object.unwrap_or_default();
    Some(Settings {
        url: url?,
        client_id: client_id?,
        api_version,
        contact_key,
        visit,
        device_object,
        fields,
        told,
        record,
    })
}
