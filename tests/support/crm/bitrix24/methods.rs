//! Batches, the older methods of contacts, and single records.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::items::{Refusal, stamp};
use super::php::{many, text};
use super::{CONTACTS, FakeBitrix24, VISITS, php, time};
use crate::crm::{FakeRecords, remarked};

impl FakeBitrix24 {
    /// The older methods of contacts, which clients still use: the same rows with names in capitals.
    pub(super) fn old_contact(
        &mut self,
        action: &str,
        given: &Value,
        now: Timestamp,
    ) -> Result<(Value, Option<i64>, Option<usize>), Refusal> {
        let id = given.get("id").or(given.get("ID")).cloned().unwrap_or_default();
        let mut fields = given["fields"].clone();
        let several = ["PHONE", "EMAIL"].into_iter().flat_map(|kind| {
            many(&given["fields"][kind])
                .into_iter()
                .map(move |own| json!({ "typeId": kind, "valueType": own["VALUE_TYPE"], "value": own["VALUE"] }))
        });
        let several: Vec<Value> = several.collect();
        if !several.is_empty() {
            fields["fm"] = several.into();
        }
        let shown = |row: &Map<String, Value>| {
            let value = |name: &str| row.get(name).cloned().unwrap_or_default();
            let kind = |kind: &str| -> Value {
                let rows = many(&row["fm"]).into_iter().filter(|own| own["typeId"] == kind);
                rows.map(|own| json!({ "ID": text(&own["id"]), "VALUE": own["value"], "VALUE_TYPE": own["valueType"], "TYPE_ID": kind })).collect()
            };
            json!({
                "ID": text(&row["id"]), "NAME": value("name"), "SECOND_NAME": value("secondName"), "LAST_NAME": value("lastName"),
                "ORIGINATOR_ID": value("originatorId"), "ORIGIN_ID": value("originId"), "DATE_MODIFY": value("updatedTime"),
                "PHONE": kind("PHONE"), "EMAIL": kind("EMAIL"),
            })
        };
        match action {
            "add" => self.items.add(CONTACTS, &fields, self.quirks, now).map(|row| (row["id"].clone(), None, None)),
            "get" => self.items.get(CONTACTS, &id).map(|row| (shown(&row), None, None)),
            "update" => self.items.change(CONTACTS, &id, &fields, self.quirks, now).map(|_| (true.into(), None, None)),
            "delete" => self.items.delete(CONTACTS, &id).map(|()| (true.into(), None, None)),
            "list" => {
                let mut wanted = given.clone();
                wanted["entityTypeId"] = CONTACTS.into();
                wanted["select"] = json!(["*"]);
                let (rows, next, total) = self.items.list(&wanted, self.quirks)?;
                Ok((rows.iter().filter_map(Value::as_object).map(shown).collect(), next, Some(total)))
            }
            "fields" => self.items.described(CONTACTS, self.quirks).map(|all| (all["fields"].clone(), None, None)),
            _ => Err((404, "ERROR_METHOD_NOT_FOUND", "Method not found!".to_owned())),
        }
    }

    pub(super) fn batch(&mut self, given: &Value, now: Timestamp) -> Result<Value, Refusal> {
        let named: Vec<(String, String)> = match &given["cmd"] {
            Value::Object(cmd) => cmd.iter().map(|(key, command)| (key.clone(), text(command))).collect(),
            other => {
                (0..).zip(many(other)).map(|(key, command): (usize, _)| (key.to_string(), text(&command))).collect()
            }
        };
        if named.len() > 50 {
            return Err((400, "ERROR_BATCH_LENGTH_EXCEEDED", "Max batch length exceeded".to_owned()));
        }
        let halt = ["1", "true"].contains(&&*text(&given["halt"]));
        let (mut result, mut errors, mut nexts, mut totals, mut times) =
            (Map::new(), Map::new(), Map::new(), Map::new(), Map::new());
        for (key, command) in named {
            let (method, values) = php::command(&command);
            let values = php::resolved(values, &result);
            let outcome = match &*method.to_lowercase() {
                "batch" => {
                    Err((400, "ERROR_BATCH_METHOD_NOT_ALLOWED", "Method is not allowed for batch usage".to_owned()))
                }
                method => self.method(method, &values, now),
            };
            match outcome {
                Ok((value, next, total)) => {
                    if !value.is_null() {
                        result.insert(key.clone(), value);
                    }
                    next.map(|next| nexts.insert(key.clone(), next.into()));
                    total.map(|total| totals.insert(key.clone(), total.into()));
                    times.insert(key, time(now));
                }
                Err((_, code, prose)) => {
                    errors.insert(key, json!({ "error": code, "error_description": prose }));
                    if halt {
                        break;
                    }
                }
            }
        }
        let map = |own: Map<String, Value>| {
            // A list went in: a list comes out.
            if given["cmd"].is_array() && (0..own.len()).all(|at| own.contains_key(&at.to_string())) {
                return own.into_iter().map(|(_, value)| value).collect();
            }
            php::map(own)
        };
        Ok(json!({
            "result": map(result), "result_error": php::map(errors), "result_total": php::map(totals), "result_next": php::map(nexts),
            "result_time": php::map(times),
        }))
    }
}

impl FakeRecords for FakeBitrix24 {
    fn raw(&self, record: &str) -> Option<String> {
        let row = match record.strip_prefix("comment:") {
            Some(id) => self.items.comments.iter().find(|row| row["ID"] == id)?.clone(),
            None => self.items.get(VISITS, &record.into()).ok()?,
        };
        Some(Value::Object(row).to_string())
    }

    fn plant(&mut self, record: &str, contact: &str, now: Timestamp) {
        let row = match record.strip_prefix("comment:") {
            Some(id) => json!({
                "ID": id, "CREATED": stamp(now), "AUTHOR_ID": "7", "ENTITY_ID": contact, "ENTITY_TYPE": "contact",
                "COMMENT": "Просил перезвонить во вторник",
            }),
            None => json!({
                "id": record.parse::<i64>().unwrap(), "title": "Замер кухни", "xmlId": null, "contactId": contact.parse::<i64>().unwrap(),
                "contactIds": [contact.parse::<i64>().unwrap()], "createdTime": stamp(now), "updatedTime": stamp(now), "ufCrm5At": null, "ufCrm5Void": "N",
            }),
        };
        let row = row.as_object().cloned().unwrap();
        match record.starts_with("comment:") {
            true => self.items.comments.push(row),
            false => self.items.tables.entry(VISITS).or_default().push(row),
        }
    }

    fn remark(&mut self, record: &str, key: &str) -> bool {
        match record.strip_prefix("comment:") {
            Some(id) => {
                let row = self.items.comments.iter_mut().find(|row| row["ID"] == id).unwrap();
                row["COMMENT"] = remarked(&text(&row["COMMENT"]), key).into();
            }
            None => {
                let rows = self.items.tables.get_mut(&VISITS).unwrap();
                let row = rows.iter_mut().find(|row| text(&row["id"]) == record).unwrap();
                row["xmlId"] = key.into();
                row["title"] = remarked(&text(&row["title"]), key).into();
            }
        }
        true
    }
}
