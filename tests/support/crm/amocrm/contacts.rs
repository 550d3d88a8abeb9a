//! The account's contacts: written with their numbered fields, and searched.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{FakeAmoCrm, Field, Row, bad, digits, many, not_found, number, problem};
use crate::crm::{Answer, Asked};

impl FakeAmoCrm {
    pub(super) fn search(&self, asked: &Asked) -> Vec<Row> {
        let query = asked.param("query").unwrap_or_default().to_lowercase();
        let wanted = digits(&query);
        let by_digits = wanted.len() >= 3 && wanted.len() == query.len();
        let has = |row: &Row| {
            let values = row["custom_fields_values"].as_array().into_iter().flatten();
            let values = values.flat_map(|field| field["values"].as_array().cloned().unwrap_or_default());
            let texts = values.filter_map(|value| value["value"].as_str().map(str::to_owned));
            texts
                .chain([row["name"].as_str().unwrap_or_default().to_owned()])
                .any(|text| text.to_lowercase().contains(&query) || by_digits && digits(&text).contains(&wanted))
        };
        let ids = if self.quirks.no_filter_by_id { Vec::new() } else { many(asked, "filter[id]") };
        // filter[custom_fields_values] is not open in this account: it is read and ignored.
        let mut rows: Vec<Row> = self.contacts.iter().filter(|row| query.is_empty() || has(row)).cloned().collect();
        rows.retain(|row| ids.is_empty() || ids.iter().any(|id| number(id) == row["id"].as_i64()));
        if let Some(order) = asked.param("order[updated_at]") {
            rows.sort_by_key(|row| row["updated_at"].as_i64());
            if order == "desc" {
                rows.reverse();
            }
        }
        rows
    }

    /// The field that a value is for, by its number or code.
    fn field(&self, value: &Value) -> Option<Field> {
        let is_it = |field: &Field| {
            value["field_id"] == field.0 || field.1.as_ref().is_some_and(|code| value["field_code"] == code.as_str())
        };
        self.all_fields().into_iter().find(is_it)
    }

    /// The faults of a contact's values; `place` goes before their paths.
    pub(super) fn faults(&self, row: &Value, place: &str) -> Vec<Value> {
        let mut faults = Vec::new();
        let values = row["custom_fields_values"].as_array().cloned().unwrap_or_default();
        for (index, value) in values.iter().enumerate() {
            let path = format!("{place}custom_fields_values.{index}");
            let Some(field) = self.field(value) else {
                faults.push(bad(&row["request_id"], "NotSupportedChoice", &format!("{path}.field_id")));
                continue;
            };
            let is_bad = |value: &Value| match &*field.2 {
                "date" | "date_time" => !value["value"].is_i64(),
                "numeric" => value["value"].as_str().is_some_and(|count| count.parse::<f64>().is_err()),
                "text" => value["value"].as_str().is_none_or(|text| text.len() > 256),
                _ => false,
            };
            let values = value["values"].as_array();
            if values.is_none() && !value["values"].is_null() || values.is_some_and(|values| values.iter().any(is_bad))
            {
                faults.push(bad(&row["request_id"], "InvalidType", &format!("{path}.values")));
            }
        }
        faults
    }

    pub(super) fn put(&mut self, at: usize, change: &Value, now: Timestamp) {
        let forgetful = self.quirks.forgetful;
        let values = change["custom_fields_values"].as_array().cloned().unwrap_or_default();
        let values: Vec<(Value, Field)> =
            values.into_iter().filter_map(|value| Some((value.clone(), self.field(&value)?))).collect();
        let row = &mut self.contacts[at];
        for name in ["first_name", "last_name", "name", "responsible_user_id"] {
            if !change[name].is_null() {
                row.insert(name.to_owned(), change[name].clone());
            }
        }
        if change["first_name"].is_string() || change["last_name"].is_string() {
            let text = |name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
            let name = format!("{} {}", text("first_name"), text("last_name"));
            row.insert("name".to_owned(), name.trim().into());
        }
        let mut fields = row["custom_fields_values"].as_array().cloned().unwrap_or_default();
        for (value, (id, code, kind, name)) in values {
            fields.retain(|own| own["field_id"] != id);
            let mut values = value["values"].as_array().cloned().unwrap_or_default();
            if kind == "date" {
                // A day is the midnight of the account's time zone.
                let midnight = |at: i64| (at + 3 * 3600).div_euclid(86_400) * 86_400 - 3 * 3600;
                values = values
                    .iter()
                    .filter_map(|value| Some(json!({ "value": midnight(value["value"].as_i64()?) })))
                    .collect();
            }
            let is_dropped = forgetful && kind == "text";
            if !values.is_empty() && !is_dropped {
                fields.push(json!({ "field_id": id, "field_name": name, "field_code": code, "field_type": kind, "values": values }));
            }
        }
        let fields = if fields.is_empty() { Value::Null } else { fields.into() };
        row.insert("custom_fields_values".to_owned(), fields);
        row.insert("updated_at".to_owned(), now.as_second().into());
    }

    pub(super) fn new_row(&mut self, now: Timestamp) -> usize {
        let id = self.fresh_id();
        let row = json!({
            "id": id, "name": "", "first_name": "", "last_name": "", "responsible_user_id": 0, "created_at": now.as_second(),
            "updated_at": now.as_second(), "custom_fields_values": null, "is_deleted": false, "account_id": 1,
            "_links": { "self": { "href": format!("https://localhost/api/v4/contacts/{id}") } }, "_embedded": { "tags": [], "companies": [] },
        });
        self.contacts.push(row.as_object().cloned().unwrap());
        self.contacts.len() - 1
    }

    pub(super) fn write_contacts(&mut self, asked: &Asked, now: Timestamp) -> Answer {
        let Some(rows) = asked.json().and_then(|body| body.as_array().cloned()) else {
            return problem(400, "Bad Request", "Invalid request", None);
        };
        let faults: Vec<Value> =
            rows.iter().enumerate().flat_map(|(at, row)| self.faults(row, &format!("{at}."))).collect();
        if !faults.is_empty() {
            return problem(400, "Bad Request", "Request validation failed", Some(faults.into()));
        }
        if asked.method == "PATCH" && rows.iter().any(|row| self.at(&row["id"].to_string()).is_none()) {
            return not_found();
        }
        let mut answer = Vec::new();
        for row in rows {
            let at = match asked.method.as_str() {
                "POST" => self.new_row(now),
                _ => match self.at(&row["id"].to_string()) {
                    Some(at) => at,
                    None => return not_found(),
                },
            };
            self.put(at, &row, now);
            answer.push(json!({ "id": self.contacts[at]["id"], "request_id": row["request_id"], "updated_at": now.as_second() }));
        }
        Answer::json(200, &json!({ "_links": {}, "_embedded": { "contacts": answer } }))
    }
}
