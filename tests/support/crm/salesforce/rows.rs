//! The rows of a fake Salesforce org: which objects and fields there are, and what may be written into them.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::{FakeRecords, POISON_TILL};
use super::{FakeSalesforce, Row};

pub const VISIT: &str = "Store_Visit__c";

/// (object, fields): a field that ends in `!` is a unique external id.
pub const SCHEMA: &[(&str, &[&str])] = &[
    (
        "Contact",
        &[
            "Snova_Key__c!",
            "Snova_Customer__c",
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
            "MasterRecordId",
        ],
    ),
    (VISIT, &["Visit_UID__c!", "Contact__c", "At__c", "Until__c", "Counter__c", "How__c", "Void__c"]),
    (
        "Store_Device__c",
        &["Device__c!", "Version__c", "Seen_At__c", "Outbox_Depth__c", "Outbox_Age_S__c", "Cameras_Lost__c"],
    ),
];

pub fn key_of(object: &str) -> Option<&'static str> {
    let (_, fields) = SCHEMA.iter().find(|(name, _)| *name == object)?;
    fields.iter().find_map(|field| field.strip_suffix('!'))
}

/// Fields that hold a time.
const TIMES: &[&str] =
    &["At__c", "Until__c", "Seen_At__c", "SystemModstamp", "Snova_First_Visit__c", "Snova_Last_Visit__c"];

/// How long a text may be there, for the fields where a test comes near it.
pub fn length(name: &str) -> usize {
    if name == "Snova_Key__c" || name == "Visit_UID__c" { 36 } else { 255 }
}

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

pub fn is_deleted(row: &Row) -> bool {
    row["IsDeleted"] == true
}

/// Why a row is refused: the code and the field.
pub type Refusal = (&'static str, String);

impl FakeSalesforce {
    /// The fields of an object that the user sees; `None` where there is no such object.
    pub fn columns(&self, object: &str) -> Option<Vec<&str>> {
        let (_, fields) = SCHEMA.iter().find(|(name, _)| *name == object)?;
        let made = self.made.iter().filter(|made| made.object == object && made.granted).map(|made| &*made.name);
        Some(fields.iter().map(|field| field.trim_end_matches('!')).chain(made).collect())
    }

    pub fn fresh_id(&mut self, prefix: &str) -> String {
        self.next_id += 1;
        format!("{prefix}{:015}", self.next_id)
    }

    /// Why these values cannot be written.
    fn refusal(&self, object: &str, values: &Row) -> Option<Refusal> {
        let known = self.columns(object).unwrap_or_default();
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
        let long =
            |(name, value): &(&String, &Value)| value.as_str().is_some_and(|text| text.chars().count() > length(name));
        if let Some((name, _)) = values.iter().find(long) {
            return Some(("STRING_TOO_LONG", name.clone()));
        }
        if values.get("Counter__c").and_then(Value::as_str).is_some_and(|counter| counter.contains(POISON_TILL)) {
            return Some(("REQUIRED_FIELD_MISSING", "At__c".to_owned()));
        }
        if object == VISIT && self.no_right {
            return Some(("INSUFFICIENT_ACCESS_OR_READONLY", String::new()));
        }
        if object == VISIT && self.demands {
            return Some(("REQUIRED_FIELD_MISSING", "Cashier_Code__c".to_owned()));
        }
        let contact = values.get("Contact__c").filter(|contact| !contact.is_null())?;
        match self.rows("Contact").iter().find(|row| row["Id"] == *contact) {
            None => Some(("INVALID_CROSS_REFERENCE_KEY", "Contact__c".to_owned())),
            Some(row) if is_deleted(row) => Some(("ENTITY_IS_DELETED", String::new())),
            Some(_) => None,
        }
    }

    /// Whether another row has that key, in the bin or not: whether the real index looks into the bin is not known.
    fn is_taken(&self, object: &str, values: &Row, but: Option<usize>) -> bool {
        let key = key_of(object).unwrap();
        let Some(value) = values.get(key).filter(|value| !value.is_null()) else { return false };
        self.rows(object).iter().enumerate().any(|(at, row)| Some(at) != but && row.get(key) == Some(value))
    }

    /// A new row.
    pub fn insert(&mut self, object: &str, values: &Row, now: Timestamp) -> Result<String, Refusal> {
        if let Some(refusal) = self.refusal(object, values) {
            return Err(refusal);
        }
        if object == "Contact" && values.get("LastName").and_then(Value::as_str).unwrap_or_default().is_empty() {
            return Err(("REQUIRED_FIELD_MISSING", "LastName".to_owned()));
        }
        if object == "Contact" && self.duplicate_rule {
            return Err(("DUPLICATES_DETECTED", String::new()));
        }
        if self.is_taken(object, values, None) {
            return Err(("DUPLICATE_VALUE", String::new()));
        }
        let id = self.fresh_id(if object == "Contact" { "003" } else { "a0X" });
        let row = json!({ "Id": id, "IsDeleted": false });
        self.tables.entry(object.to_owned()).or_default().push(row.as_object().cloned().unwrap());
        let index = self.rows(object).len() - 1;
        self.write(object, index, values, now);
        Ok(id)
    }

    pub fn update(&mut self, object: &str, index: usize, values: &Row, now: Timestamp) -> Result<String, Refusal> {
        if let Some(refusal) = self.refusal(object, values) {
            return Err(refusal);
        }
        if self.is_taken(object, values, Some(index)) {
            return Err(("DUPLICATE_VALUE", String::new()));
        }
        self.write(object, index, values, now);
        Ok(self.rows(object)[index]["Id"].as_str().unwrap().to_owned())
    }

    /// The place of the row with that id, or how the org says that there is none.
    pub fn by_id(&self, object: &str, id: &str) -> Result<usize, Refusal> {
        let at = self.rows(object).iter().position(|row| row["Id"] == id);
        let at = at.ok_or(("INVALID_CROSS_REFERENCE_KEY", String::new()))?;
        if is_deleted(&self.rows(object)[at]) { Err(("ENTITY_IS_DELETED", String::new())) } else { Ok(at) }
    }

    /// Puts a row into the bin. Lookups to it are cleared, as is the default.
    pub fn bin(&mut self, object: &str, id: &str, now: Timestamp) -> Result<String, Refusal> {
        let at = self.by_id(object, id)?;
        if object == VISIT && self.no_right {
            return Err(("INSUFFICIENT_ACCESS_OR_READONLY", String::new()));
        }
        self.write(object, at, json!({ "IsDeleted": true }).as_object().unwrap(), now);
        if object == "Contact" {
            self.lead_visits(id, &Value::Null);
        }
        Ok(id.to_owned())
    }

    /// Every visit of that contact is another's.
    pub fn lead_visits(&mut self, of: &str, to: &Value) {
        for row in self.tables.entry(VISIT.to_owned()).or_default().iter_mut().filter(|row| row["Contact__c"] == of) {
            row.insert("Contact__c".to_owned(), to.clone());
        }
    }

    pub fn write(&mut self, object: &str, index: usize, values: &Row, now: Timestamp) {
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
    ) -> Result<(String, bool), Refusal> {
        let is_it = |row: &Row| row.get(field).and_then(Value::as_str) == Some(key) && !is_deleted(row);
        if let Some(index) = self.rows(object).iter().position(is_it) {
            return Ok((self.update(object, index, values, now)?, false));
        }
        let mut values = values.clone();
        values.insert(field.to_owned(), key.into());
        Ok((self.insert(object, &values, now)?, true))
    }

    pub fn rows(&self, object: &str) -> &[Row] {
        self.tables.get(object).map(Vec::as_slice).unwrap_or_default()
    }

    pub fn live(&self, object: &str) -> impl Iterator<Item = &Row> {
        self.rows(object).iter().filter(|row| !is_deleted(row))
    }
}

impl FakeRecords for FakeSalesforce {
    fn raw(&self, record: &str) -> Option<String> {
        let row = self.rows(VISIT).iter().find(|row| row["Id"] == record)?;
        Some(Value::Object(row.clone()).to_string())
    }

    fn plant(&mut self, record: &str, contact: &str, now: Timestamp) {
        let row = json!({
            "Id": record, "IsDeleted": false, "Visit_UID__c": "57c0ffee-0000-4000-8000-000000000000", "Contact__c": contact,
            "At__c": now.to_string(), "Counter__c": "shop-8 / till-1", "SystemModstamp": now.to_string(),
        });
        self.tables.entry(VISIT.to_owned()).or_default().push(row.as_object().cloned().unwrap());
    }

    fn remark(&mut self, record: &str, key: &str) -> bool {
        let rows = self.tables.get_mut(VISIT).unwrap();
        let row = rows.iter_mut().find(|row| row["Id"] == record).unwrap();
        row.insert("Visit_UID__c".to_owned(), if key.is_empty() { Value::Null } else { key.into() });
        true
    }
}
