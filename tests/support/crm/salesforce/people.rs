//! What the company's people see and do in a fake Salesforce org: contacts, visits in lists, merging, fields of Snova's.

use jiff::Timestamp;
use serde_json::{Value, json};
use snova::crm::{ConsentWord, Told};

use super::super::{FakeContact, FakeVisit};
use super::rows::VISIT;
use super::{FakeSalesforce, Made, Row};

/// Our field of each value of `[crm.salesforce.told]`, and of `[crm.salesforce.record]`.
const TOLD: &[(&str, &str)] = &[
    ("first_visit", "Snova_First_Visit__c"),
    ("last_visit", "Snova_Last_Visit__c"),
    ("late_since", "Snova_Late_Since__c"),
    ("consent", "Snova_Consent__c"),
    ("consent_until", "Snova_Consent_Until__c"),
    ("source", "Snova_Source__c"),
    ("visits_30", "Snova_Visits_30__c"),
    ("visits_90", "Snova_Visits_90__c"),
    ("home_store", "Snova_Home_Store__c"),
];
const RECORD: &[(&str, &str)] = &[
    ("store", "Store__c"),
    ("counter", "Till__c"),
    ("how", "Known__c"),
    ("served_by", "Served_By__c"),
    ("receipt", "Receipt__c"),
    ("sum", "Sum__c"),
    ("greeting", "Greeting__c"),
];

fn text(row: &Row, name: &str) -> String {
    row.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

pub fn person(row: &Row) -> FakeContact {
    let text = |name: &str| text(row, name);
    FakeContact {
        external_id: text("Snova_Customer__c"),
        given: text("FirstName"),
        patronymic: text("MiddleName"),
        family: text("LastName"),
        phone: text("MobilePhone"),
        email: text("Email"),
        tier: text("Loyalty_Tier__c"),
        owner: text("OwnerName"),
        notes: text("Description"),
        offer: text("Offer__c"),
        birthday: text("Birthdate"),
        visits: row.get("Visits__c").and_then(Value::as_u64).unwrap_or(0) as u32,
    }
}

pub fn told(row: &Row) -> Told {
    let some = |name: &str| Some(text(row, name)).filter(|text| !text.is_empty());
    let number = |name: &str| row.get(name).and_then(Value::as_u64).map(|number| number as u32);
    Told {
        first_visit: some("Snova_First_Visit__c").map(|at| at.parse().unwrap()),
        last_visit: some("Snova_Last_Visit__c").map(|at| at.parse().unwrap()),
        late_since: some("Snova_Late_Since__c").map(|on| on.parse().unwrap()),
        consent: some("Snova_Consent__c").map(|word| match word.as_str() {
            "live" => ConsentWord::Live,
            "ended" => ConsentWord::Ended,
            other => panic!("{other} is no word for a consent"),
        }),
        consent_until: some("Snova_Consent_Until__c").map(|on| on.parse().unwrap()),
        source: some("Snova_Source__c"),
        visits_30: number("Snova_Visits_30__c"),
        visits_90: number("Snova_Visits_90__c"),
        home_store: some("Snova_Home_Store__c"),
    }
}

impl FakeSalesforce {
    pub fn visit_rows(&self) -> Vec<FakeVisit> {
        let visit = |row: &Row| FakeVisit {
            key: text(row, "Visit_UID__c"),
            contact: text(row, "Contact__c"),
            opened_at: text(row, "At__c").parse().ok(),
            void: row.get("Void__c") == Some(&json!(true)),
            erased: false,
        };
        self.live(VISIT).map(visit).collect()
    }

    pub fn change(&mut self, id: &str, change: &dyn Fn(&mut FakeContact), now: Timestamp) {
        let at = self.by_id("Contact", id).unwrap();
        let mut contact = person(&self.rows("Contact")[at]);
        change(&mut contact);
        let mut row = json!({ "Visits__c": contact.visits });
        for (name, value) in [
            ("Snova_Customer__c", contact.external_id),
            ("FirstName", contact.given),
            ("MiddleName", contact.patronymic),
            ("LastName", contact.family),
            ("MobilePhone", contact.phone),
            ("Email", contact.email),
            ("Loyalty_Tier__c", contact.tier),
            ("OwnerName", contact.owner),
            ("Description", contact.notes),
            ("Offer__c", contact.offer),
            ("Birthdate", contact.birthday),
        ] {
            row[name] = if value.is_empty() { Value::Null } else { value.into() };
        }
        self.write("Contact", at, row.as_object().unwrap(), now);
    }

    /// The loser goes into the bin and names who took it over; what led to it leads there.
    pub fn merge(&mut self, loser: &str, survivor: &str, now: Timestamp) {
        self.lead_visits(loser, &survivor.into());
        self.bin("Contact", loser, now).unwrap();
        let at = self.rows("Contact").iter().position(|row| row["Id"] == loser).unwrap();
        self.write("Contact", at, json!({ "MasterRecordId": survivor }).as_object().unwrap(), now);
        let at = self.by_id("Contact", survivor).unwrap();
        self.write("Contact", at, &Row::new(), now);
    }

    /// The administrator lets the user see every field that was made.
    pub fn grant_fields(&mut self) {
        self.made.iter_mut().for_each(|made| made.granted = true);
    }

    /// Makes every field of the configuration that this returns.
    pub fn fields_of_all(&mut self) -> String {
        let mut text = String::new();
        for (section, object, fields) in [("told", "Contact", TOLD), ("record", VISIT, RECORD)] {
            text += &format!("[crm.salesforce.{section}]\n");
            for (key, name) in fields {
                text += &format!("{key} = \"{name}\"\n");
                self.made.push(Made { object: object.to_owned(), name: (*name).to_owned(), granted: true });
            }
        }
        text
    }
}
