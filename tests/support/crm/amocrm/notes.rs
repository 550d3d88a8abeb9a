//! The account's notes: taken as often as they are sent, changed, and never deleted.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{FakeAmoCrm, Row, bad, listed, many, not_found, number, problem};
use crate::crm::{Answer, Asked, FakeRecords, POISON_TILL, remarked};

impl FakeAmoCrm {
    /// `within` is the contact of the path.
    pub(super) fn write_notes(&mut self, within: Option<i64>, asked: &Asked, now: Timestamp) -> Answer {
        let Some(rows) = asked.json().and_then(|body| body.as_array().cloned()) else {
            return problem(400, "Bad Request", "Invalid request", None);
        };
        if rows.len() > 50 {
            return problem(400, "Bad Request", "Too many entities", None);
        }
        let mut faults = Vec::new();
        if self.demands_field {
            faults.extend(rows.iter().map(|row| bad(&row["request_id"], "FieldMissing", "params.phone")));
        }
        for row in &rows {
            let entity = within.map_or_else(|| row["entity_id"].clone(), Value::from);
            let params = &row["params"];
            let told = match row["note_type"].as_str() {
                Some("extended_service_message") => params["service"].is_string() && params["text"].is_string(),
                Some("common") => params["text"].is_string(),
                Some("service_message") => params["text"].is_string(),
                _ => {
                    faults.push(bad(&row["request_id"], "NotSupportedChoice", "note_type"));
                    continue;
                }
            };
            if !entity.is_i64() || self.at(&entity.to_string()).is_none() {
                faults.push(bad(&row["request_id"], "NotFound", "entity_id"));
            } else if !told || params.to_string().contains(POISON_TILL) {
                faults.push(bad(&row["request_id"], "InvalidValue", "params.service"));
            } else if !row["created_at"].is_null() && !row["created_at"].is_i64() {
                faults.push(bad(&row["request_id"], "InvalidType", "created_at"));
            }
        }
        if !faults.is_empty() {
            let faults = if self.quirks.nameless { json!([]) } else { faults.into() };
            return problem(400, "Bad Request", "Request validation failed", Some(faults));
        }
        let mut answer = Vec::new();
        for row in rows {
            let entity = within.map_or_else(|| row["entity_id"].clone(), Value::from);
            let id = self.fresh_id();
            let created = row["created_at"].as_i64().unwrap_or(now.as_second());
            let note = json!({
                "id": id, "entity_id": entity, "note_type": row["note_type"], "params": row["params"],
                "created_at": created, "updated_at": now.as_second(), "account_id": 1,
                "responsible_user_id": row["responsible_user_id"].as_i64().unwrap_or(1),
            });
            self.notes.push(note.as_object().cloned().unwrap());
            answer.push(json!({ "id": id, "entity_id": entity, "request_id": row["request_id"] }));
        }
        Answer::json(200, &json!({ "_links": {}, "_embedded": { "notes": answer } }))
    }

    pub(super) fn list_notes(&self, within: Option<i64>, asked: &Asked) -> Answer {
        let kinds = many(asked, "filter[note_type]");
        let ids = if self.quirks.no_filter_by_id { Vec::new() } else { many(asked, "filter[id]") };
        let from = asked.param("filter[updated_at][from]").or(asked.param("filter[updated_at]")).and_then(number);
        let mut rows = self.notes.clone();
        rows.retain(|row| {
            within.is_none_or(|id| row["entity_id"] == id)
                && self.at(&row["entity_id"].to_string()).is_some()
                && (ids.is_empty() || ids.iter().any(|id| number(id) == row["id"].as_i64()))
                && (kinds.is_empty() || kinds.iter().any(|kind| row["note_type"] == *kind))
                && from.is_none_or(|from| row["updated_at"].as_i64() >= Some(from))
        });
        if asked.param("order[updated_at]") == Some("desc") {
            rows.sort_by_key(|row| std::cmp::Reverse(row["updated_at"].as_i64()));
        }
        listed(asked, "notes", rows)
    }

    pub(super) fn one_note(&mut self, contact: &str, id: &str, asked: &Asked, now: Timestamp) -> Answer {
        let (contact, id) = (number(contact), number(id));
        let is_it = |row: &Row| row["id"].as_i64() == id && row["entity_id"].as_i64() == contact;
        let Some(note) = self.notes.iter_mut().find(|row| is_it(row)) else { return not_found() };
        if asked.method == "PATCH" {
            let change = asked.json().unwrap_or_default();
            if !change["params"]["text"].is_string() || change["note_type"] != note["note_type"] {
                return problem(400, "Bad Request", "Request validation failed", None);
            }
            note.insert("params".to_owned(), change["params"].clone());
            note.insert("updated_at".to_owned(), now.as_second().into());
            return Answer::json(200, &json!({ "id": id, "entity_id": contact, "updated_at": now.as_second() }));
        }
        Answer::json(200, &Value::Object(note.clone()))
    }

    pub(super) fn note(&self, id: &str) -> Answer {
        let is_seen = |row: &&Row| self.at(&row["entity_id"].to_string()).is_some();
        let note = self.notes.iter().filter(is_seen).find(|row| row["id"].as_i64() == number(id));
        note.map_or_else(not_found, |note| Answer::json(200, &Value::Object(note.clone())))
    }

    pub(super) fn change_notes(&mut self, asked: &Asked, now: Timestamp) -> Answer {
        let mut changed = Vec::new();
        for change in asked.json().and_then(|body| body.as_array().cloned()).unwrap_or_default() {
            let Some(note) = self.notes.iter_mut().find(|note| change["id"].is_i64() && note["id"] == change["id"])
            else {
                return problem(
                    400,
                    "Bad Request",
                    "Request validation failed",
                    Some(json!([bad(&change["request_id"], "NotFound", "id")])),
                );
            };
            if !change["params"]["text"].is_string() || change["note_type"] != note["note_type"] {
                return problem(400, "Bad Request", "Request validation failed", None);
            }
            if !self.quirks.forgetful {
                note.insert("params".to_owned(), change["params"].clone());
            }
            note.insert("updated_at".to_owned(), now.as_second().into());
            changed.push(json!({ "id": change["id"], "entity_id": note["entity_id"], "updated_at": now.as_second() }));
        }
        Answer::json(200, &json!({ "_links": {}, "_embedded": { "notes": changed } }))
    }
}

impl FakeRecords for FakeAmoCrm {
    fn raw(&self, record: &str) -> Option<String> {
        let note = self.notes.iter().find(|note| note["id"].as_i64() == number(record))?;
        Some(Value::Object(note.clone()).to_string())
    }

    fn plant(&mut self, record: &str, contact: &str, now: Timestamp) {
        let note = json!({
            "id": number(record), "entity_id": number(contact), "note_type": "extended_service_message",
            "params": { "service": "Телефония", "text": "Просил перезвонить во вторник" },
            "created_at": now.as_second(), "updated_at": now.as_second(), "responsible_user_id": 1, "account_id": 1,
        });
        self.notes.push(note.as_object().cloned().unwrap());
    }

    fn remark(&mut self, record: &str, key: &str) -> bool {
        let note = self.notes.iter_mut().find(|note| note["id"].as_i64() == number(record)).unwrap();
        note["params"]["text"] = remarked(note["params"]["text"].as_str().unwrap_or_default(), key).into();
        true
    }
}
