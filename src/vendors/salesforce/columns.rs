//! The fields that an org must have for Snova: what each holds, and whether the org's description of it will do.
//!
//! Probe and prepare both go by this; fields that are only read are the probe's.

use serde_json::{Value, json};

use super::Settings;
use crate::crm::{Finding, ToldFields};

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Text(36), external id and unique.
    Key,
    /// Text(255) in which several stores write: it must not be unique.
    Mark,
    Text(u16),
    Time,
    Date,
    Count,
    Sum,
    Tick,
    Contact,
}

/// A field of Contact or of the object of visits.
pub(super) struct Column {
    pub object: String,
    pub name: String,
    pub kind: Kind,
    /// Where the configuration names it, if it need not be there.
    pub toml: Option<(&'static str, &'static str)>,
}

/// What is written on a contact: its key in the configuration, the name given there, what it holds, and our own name.
pub(super) fn told(fields: &ToldFields) -> [(&'static str, &Option<String>, Kind, &'static str); 9] {
    [
        ("first_visit", &fields.first_visit, Kind::Time, "Snova_First_Visit__c"),
        ("last_visit", &fields.last_visit, Kind::Time, "Snova_Last_Visit__c"),
        ("late_since", &fields.late_since, Kind::Date, "Snova_Late_Since__c"),
        ("consent", &fields.consent, Kind::Text(20), "Snova_Consent__c"),
        ("consent_until", &fields.consent_until, Kind::Date, "Snova_Consent_Until__c"),
        ("source", &fields.source, Kind::Text(20), "Snova_Source__c"),
        ("visits_30", &fields.visits_30, Kind::Count, "Snova_Visits_30__c"),
        ("visits_90", &fields.visits_90, Kind::Count, "Snova_Visits_90__c"),
        ("home_store", &fields.home_store, Kind::Text(100), "Snova_Home_Store__c"),
    ]
}

impl Settings {
    /// The fields that Snova writes; `with_unnamed` adds those that the configuration does not name, by our own names.
    pub(super) fn columns(&self, with_unnamed: bool) -> Vec<Column> {
        let (visit, record) = (&self.visit, &self.record);
        let needed = |object: &str, name: &str, kind| Column {
            object: object.to_owned(),
            name: name.to_owned(),
            kind,
            toml: None,
        };
        let mark = self.fields.external_id.as_deref().unwrap_or_default();
        let mut all = vec![
            needed("Contact", mark, Kind::Mark),
            needed("Contact", &self.contact_key, Kind::Key),
            needed(&visit.object, &visit.key, Kind::Key),
            needed(&visit.object, &visit.contact, Kind::Contact),
            needed(&visit.object, &visit.at, Kind::Time),
            needed(&visit.object, &visit.until, Kind::Time),
            needed(&visit.object, &visit.counter, Kind::Text(200)),
            needed(&visit.object, &visit.how, Kind::Text(20)),
            needed(&visit.object, &visit.void, Kind::Tick),
        ];
        let of_visits = [
            ("visit", "note", &visit.note, Kind::Text(255), "Note__c"),
            ("record", "store", &record.store, Kind::Text(100), "Store__c"),
            ("record", "served_by", &record.served_by, Kind::Text(100), "Served_By__c"),
            ("record", "receipt", &record.receipt, Kind::Text(100), "Receipt__c"),
            ("record", "sum", &record.sum, Kind::Sum, "Sum__c"),
            ("record", "greeting", &record.greeting, Kind::Text(20), "Greeting__c"),
        ];
        let of_contacts = told(&self.told).map(|(key, name, kind, own)| ("told", key, name, kind, own));
        let optional = of_visits.map(|of| (&*visit.object, of)).into_iter();
        for (object, (section, key, name, kind, own)) in optional.chain(of_contacts.map(|of| ("Contact", of))) {
            if let Some(name) = name.as_deref().or(with_unnamed.then_some(own)) {
                all.push(Column { toml: Some((section, key)), ..needed(object, name, kind) });
            }
        }
        // What `visit` has already is seldom named here as well.
        let twice = [
            ("visit", "name", &visit.name, 80),
            ("record", "counter", &record.counter, 100),
            ("record", "how", &record.how, 20),
        ];
        for (section, key, name, length) in twice {
            if let Some(name) = name {
                all.push(Column { toml: Some((section, key)), ..needed(&visit.object, name, Kind::Text(length)) });
            }
        }
        all
    }
}

impl Kind {
    /// As the page for a new field calls it.
    pub(super) fn in_words(self) -> String {
        match self {
            Self::Key => "Text, length 36, with External ID and Unique".to_owned(),
            Self::Mark => "Text, length 255, neither External ID nor Unique".to_owned(),
            Self::Text(length) => format!("Text, length {length}"),
            Self::Time => "Date/Time".to_owned(),
            Self::Date => "Date".to_owned(),
            Self::Count => "Number, length 6, no decimal places".to_owned(),
            Self::Sum => "Number, length 16, 2 decimal places".to_owned(),
            Self::Tick => "Checkbox".to_owned(),
            Self::Contact => "Lookup(Contact)".to_owned(),
        }
    }

    /// As the Tooling API is told it.
    pub(super) fn metadata(self) -> Value {
        match self {
            Self::Key => {
                json!({ "type": "Text", "length": 36, "externalId": true, "unique": true, "caseSensitive": false })
            }
            Self::Mark => json!({ "type": "Text", "length": 255 }),
            Self::Text(length) => json!({ "type": "Text", "length": length }),
            Self::Time => json!({ "type": "DateTime" }),
            Self::Date => json!({ "type": "Date" }),
            Self::Count => json!({ "type": "Number", "precision": 6, "scale": 0 }),
            Self::Sum => json!({ "type": "Number", "precision": 18, "scale": 2 }),
            Self::Tick => json!({ "type": "Checkbox", "defaultValue": "false" }),
            Self::Contact => {
                json!({ "type": "Lookup", "referenceTo": "Contact", "relationshipLabel": "Store visits", "relationshipName": "Store_Visits" })
            }
        }
    }
}

impl Column {
    pub(super) fn what(&self) -> String {
        format!("the field {} of {}", self.name, self.object)
    }

    /// As the org describes it: `None` where its user does not see such a field.
    pub(super) fn seen(&self, object: &Value) -> Option<Finding> {
        let field = field(object, &self.name)?;
        let what = self.what();
        let (unique, external) = (field["unique"] == true, field["externalId"] == true);
        let short = |least: u64| field["length"].as_u64().is_some_and(|length| length < least);
        Some(match self.kind {
            Kind::Key if !unique || !external => {
                // A key that is not unique lets two racing upserts make twins that fail for ever.
                Finding::missing(what, "tick External ID and Unique in the field's definition")
            }
            Kind::Mark if unique => Finding::missing(what, "untick Unique: it holds the words of several stores"),
            Kind::Mark if short(255) => {
                Finding::missing(what, "give it the length 255: it holds the words of several stores")
            }
            _ if field["updateable"] != true => {
                Finding::missing(what, "let the integration user edit it (field-level security)")
            }
            Kind::Key => Finding::good(format!("{what}, unique external id")),
            _ => Finding::good(what),
        })
    }
}

pub(super) fn field<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    object["fields"].as_array()?.iter().find(|field| field["name"] == name)
}
