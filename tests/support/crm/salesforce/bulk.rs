//! Many rows in one request at a fake Salesforce org, and its fields made by the Tooling API.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::rows::{Refusal, SCHEMA, VISIT, key_of};
use super::{Answer, Asked, FakeSalesforce, Made, error};

pub fn fault((code, field): &Refusal) -> Answer {
    Answer::json(400, &json!([{ "message": "value not acceptable", "errorCode": code, "fields": named(field) }]))
}

fn named(field: &str) -> Vec<&str> {
    Some(field).filter(|field| !field.is_empty()).into_iter().collect()
}

pub fn outcome(row: Result<(String, bool), Refusal>) -> Value {
    match row {
        Ok((id, created)) => json!({ "id": id, "success": true, "errors": [], "created": created }),
        Err((code, field)) => {
            let error = json!({ "statusCode": code, "message": "value not acceptable", "fields": named(&field) });
            json!({ "success": false, "errors": [error] })
        }
    }
}

impl FakeSalesforce {
    pub fn collections(&mut self, object: &str, field: &str, asked: &Asked, now: Timestamp) -> Answer {
        let Some(body) = asked.json() else { return error(400, "JSON_PARSER_ERROR", "unexpected character") };
        let rows = body["records"].as_array().cloned().unwrap_or_default();
        if rows.len() > 200 {
            return error(
                400,
                "EXCEEDED_ID_LIMIT",
                "record limit reached. cannot submit more than 200 records into this call",
            );
        }
        if key_of(object) != Some(field) {
            return error(400, "INVALID_FIELD", "field is not an external id");
        }
        let mut seen = BTreeSet::new();
        let results = rows.iter().map(|row| {
            let mut values = row.as_object().cloned().unwrap_or_default();
            let key = values.remove(field).and_then(|key| key.as_str().map(str::to_owned)).unwrap_or_default();
            if !seen.insert(key.clone()) {
                return outcome(Err(("DUPLICATE_VALUE", field.to_owned())));
            }
            outcome(self.upsert(object, field, &key, &values, now))
        });
        let results: Vec<Value> = results.collect();
        Answer::json(200, &json!(results))
    }

    /// Rows changed by their ids, of one object or several.
    pub fn changes(&mut self, asked: &Asked, now: Timestamp) -> Answer {
        let Some(body) = asked.json() else { return error(400, "JSON_PARSER_ERROR", "unexpected character") };
        let rows = body["records"].as_array().cloned().unwrap_or_default();
        if rows.len() > 200 {
            return error(400, "EXCEEDED_ID_LIMIT", "record limit reached");
        }
        let results = rows.iter().map(|row| {
            let mut values = row.as_object().cloned().unwrap_or_default();
            let id = values.remove("id").and_then(|id| id.as_str().map(str::to_owned)).unwrap_or_default();
            let object = row["attributes"]["type"].as_str().unwrap_or_default();
            let changed = self.by_id(object, &id).and_then(|at| self.update(object, at, &values, now));
            outcome(changed.map(|id| (id, false)))
        });
        let results: Vec<Value> = results.collect();
        Answer::json(200, &json!(results))
    }

    /// `?ids=…`: whichever object they are of.
    pub fn deletions(&mut self, asked: &Asked, now: Timestamp) -> Answer {
        let ids: Vec<&str> = asked.param("ids").unwrap_or_default().split(',').collect();
        let results = ids.into_iter().map(|id| {
            let object = if id.starts_with("003") { "Contact" } else { VISIT };
            outcome(self.bin(object, id, now).map(|id| (id, false)))
        });
        let results: Vec<Value> = results.collect();
        Answer::json(200, &json!(results))
    }

    /// The Tooling API makes a field, which nobody sees yet.
    pub fn make_field(&mut self, asked: &Asked) -> Answer {
        if !self.customizes {
            return error(403, "INSUFFICIENT_ACCESS", "insufficient access rights on entity");
        }
        let body = asked.json().unwrap_or_default();
        let whole = body["FullName"].as_str().unwrap_or_default();
        let Some((object, name)) = whole.split_once('.').filter(|_| body["Metadata"]["label"].is_string()) else {
            return error(400, "FIELD_INTEGRITY_EXCEPTION", "no label");
        };
        let known = SCHEMA.iter().any(|(own, fields)| *own == object && fields.contains(&name));
        if known || self.made.iter().any(|made| made.object == object && made.name == name) {
            return error(400, "DUPLICATE_DEVELOPER_NAME", "there is already a field of that name");
        }
        self.made.push(Made { object: object.to_owned(), name: name.to_owned(), granted: false });
        Answer::json(201, &json!({ "id": "00N000000000001", "success": true, "errors": [], "warnings": [] }))
    }
}
