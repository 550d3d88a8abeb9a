//! The rows of a fake Salesforce org: which objects and fields there are, and what may be written into them.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::{FakeRecords, POISON_TILL};
use super::{FakeSalesforce, Row};

/// (object, fields): a field that ends in `!` is a unique external id.
pub const SCHEMA: &[(&str, &[&str])] = &[
    (
        "Contact",
        &[
            "Snova_Customer__c!",
            "FirstName",
            "LastName",
            "MiddleName",
            "MobilePhone",
            "Phone",
            "HomePhone",
            "Email",
            "Description",
            "Loyalty_Tier__c",
            "Offer__c",
            "Birthdate",
            "Visits__c",
            "OwnerName",
        ],
    ),
    ("Store_Visit__c", &["Visit_UID__c!", "Contact__c", "At__c", "Until__c", "Counter__c", "How__c", "Void__c"]),
    (
        "Store_Device__c",
        &["Device__c!", "Version__c", "Seen_At__c", "Outbox_Depth__c", "Outbox_Age_S__c", "Cameras_Lost__c"],
    ),
];

pub fn columns(object: &str) -> Option<Vec<&'static str>> {
    SCHEMA
        .iter()
        .find(|(name, _)| *name == object)
        .map(|(_, fields)| fields.iter().map(|f| f.trim_end_matches('!')).collect())
}

pub fn key_of(object: &str) -> Option<&'static str> {
    let (_, fields) = SCHEMA.iter().find(|(name, _)| *name == object)?;
    fields.iter().find_map(|field| field.strip_suffix('!'))
}

/// Fields that hold a time.
const TIMES: &[&str] = &["At__c", "Until__c", "Seen_At__c", "SystemModstamp"];

/// A field's value as the API shows it: times with `+0000`.
pub fn shown(name: &str, value: Option<&Value>) -> Value {
    match value {
        Some(Value::String(at)) if TIMES.contains(&name) => {
            let at: Timestamp = at.parse().unwrap();
            json!(at.to_zoned(jiff::tz::TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%S%.3f+0000").to_string())
        }
        value => value.cloned().unwrap_or(Value::Null),
    }
}

impl FakeSalesforce {
    pub fn fresh_id(&mut self, prefix: &str) -> String {
        self.next_id += 1;
        format!("{prefix}{:015}", self.next_id)
    }

    /// Why these values cannot be written: the code and the field.
    fn refusal(&self, object: &str, values: &Row) -> Option<(&'static str, String)> {
        let known = columns(object).unwrap_or_default();
        let own = |name: &&String| *name != "attributes" && !known.contains(&name.as_str());
        if let Some(unknown) = values.keys().find(own) {
            return Some(("INVALID_FIELD", unknown.clone()));
        }
        let is_time = |value: &Value| value.as_str().is_some_and(|at| at.parse::<Timestamp>().is_ok());
        let wrong =
            |(name, value): &(&String, &Value)| TIMES.contains(&name.as_str()) && !value.is_null() && !is_time(value);
        if let Some((name, _)) = values.iter().find(wrong) {
            return Some(("JSON_PARSER_ERROR", name.clone()));
        }
        if values.get("Counter__c").and_then(Value::as_str).is_some_and(|counter| counter.contains(POISON_TILL)) {
            return Some(("REQUIRED_FIELD_MISSING", "At__c".to_owned()));
        }
        if let Some(contact) = values.get("Contact__c")
            && !self.rows("Contact").iter().any(|row| row["Id"] == *contact)
        {
            return Some(("INVALID_CROSS_REFERENCE_KEY", "Contact__c".to_owned()));
        }
        None
    }

    /// A new row.
    pub fn insert(&mut self, object: &str, values: &Row, now: Timestamp) -> Result<String, (&'static str, String)> {
        if let Some(refusal) = self.refusal(object, values) {
            return Err(refusal);
        }
        if object == "Contact" && values.get("LastName").and_then(Value::as_str).unwrap_or_default().is_empty() {
            return Err(("REQUIRED_FIELD_MISSING", "LastName".to_owned()));
        }
        let key = key_of(object).unwrap();
        if let Some(value) = values.get(key).filter(|value| !value.is_null())
            && self.rows(object).iter().any(|row| row.get(key) == Some(value))
        {
            return Err(("DUPLICATE_VALUE", key.to_owned()));
        }
        let id = self.fresh_id(if object == "Contact" { "003" } else { "a0X" });
        let mut row = Row::new();
        row.insert("Id".to_owned(), id.clone().into());
        row.insert("IsDeleted".to_owned(), false.into());
        self.tables.entry(object.to_owned()).or_default().push(row);
        let index = self.rows(object).len() - 1;
        self.write(object, index, values, now);
        Ok(id)
    }

    pub fn update(
        &mut self,
        object: &str,
        index: usize,
        values: &Row,
        now: Timestamp,
    ) -> Result<String, (&'static str, String)> {
        if let Some(refusal) = self.refusal(object, values) {
            return Err(refusal);
        }
        let key = key_of(object).unwrap();
        if let Some(value) = values.get(key).filter(|value| !value.is_null())
            && self.rows(object).iter().enumerate().any(|(at, row)| at != index && row.get(key) == Some(value))
        {
            return Err(("DUPLICATE_VALUE", key.to_owned()));
        }
        self.write(object, index, values, now);
        Ok(self.rows(object)[index]["Id"].as_str().unwrap().to_owned())
    }

    fn write(&mut self, object: &str, index: usize, values: &Row, now: Timestamp) {
        let row = &mut self.tables.get_mut(object).unwrap()[index];
        for (name, value) in values.iter().filter(|(name, _)| *name != "attributes") {
            row.insert(name.clone(), value.clone());
        }
        row.insert("SystemModstamp".to_owned(), json!(now.to_string()));
    }

    /// Creates or updates the row with that external id: its id and whether it is new.
    pub fn upsert(
        &mut self,
        object: &str,
        field: &str,
        key: &str,
        values: &Row,
        now: Timestamp,
    ) -> Result<(String, bool), (&'static str, String)> {
        let at = self.rows(object).iter().position(|row| row.get(field).and_then(Value::as_str) == Some(key));
        if let Some(index) = at {
            return Ok((self.update(object, index, values, now)?, false));
        }
        let mut values = values.clone();
        values.insert(field.to_owned(), key.into());
        Ok((self.insert(object, &values, now)?, true))
    }

    pub fn rows(&self, object: &str) -> &[Row] {
        self.tables.get(object).map(Vec::as_slice).unwrap_or_default()
    }
}

impl FakeRecords for FakeSalesforce {
    fn raw(&self, record: &str) -> Option<String> {
        let row = self.rows("Store_Visit__c").iter().find(|row| row["Id"] == record)?;
        Some(Value::Object(row.clone()).to_string())
    }

    fn plant(&mut self, record: &str, contact: &str, now: Timestamp) {
        let row = json!({
            "Id": record, "IsDeleted": false, "Visit_UID__c": "57c0ffee-0000-4000-8000-000000000000", "Contact__c": contact,
            "At__c": now.to_string(), "Counter__c": "shop-8 / till-1", "SystemModstamp": now.to_string(),
        });
        self.tables.entry("Store_Visit__c".to_owned()).or_default().push(row.as_object().cloned().unwrap());
    }

    fn remark(&mut self, record: &str, key: &str) -> bool {
        let rows = self.tables.get_mut("Store_Visit__c").unwrap();
        let row = rows.iter_mut().find(|row| row["Id"] == record).unwrap();
        row.insert("Visit_UID__c".to_owned(), if key.is_empty() { Value::Null } else { key.into() });
        true
    }
}
