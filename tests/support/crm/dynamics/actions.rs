//! Actions of the Dataverse Web API on many rows at once, and single tasks.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::odata::{Entity, Row};
use super::super::{Answer, Asked, FakeRecords};
use super::service::pieces;
use super::{ENTITIES, FakeDynamics, KEYS, ROOT, entity, error, stamp};

impl FakeDynamics {
    /// `CreateMultiple` and its like: all of it or nothing.
    pub(super) fn multiple(
        &mut self,
        entity: &'static Entity,
        action: &str,
        body: &Row,
        asked: &Asked,
        now: Timestamp,
    ) -> Answer {
        let before = (self.tables.clone(), self.version, self.deleted.clone());
        let mut ids = Vec::new();
        for target in body.get("Targets").and_then(Value::as_array).cloned().unwrap_or_default() {
            let mut values = target.as_object().cloned().unwrap_or_default();
            let own = values.get("@odata.id").and_then(Value::as_str).map(str::to_owned);
            let inner = Asked { headers: Vec::new(), query: Vec::new(), ..asked.clone() };
            let answer = match action.rsplit('.').next().unwrap_or_default() {
                "CreateMultiple" => self.create(entity, &values, &inner, now),
                "UpdateMultiple" => {
                    let id =
                        values.remove(entity.key).and_then(|id| id.as_str().map(str::to_owned)).unwrap_or_default();
                    self.part("PATCH", &format!("{}({id})", entity.set), vec![("if-match", "*")], &values, now)
                }
                "UpsertMultiple" => {
                    let key = own.unwrap_or_default();
                    let named = KEYS.iter().any(|(name, column)| *name == entity.name && values.contains_key(*column));
                    if named && key.contains('=') {
                        error(400, "0x80048d19", "The key stands in the id and in the values.")
                    } else {
                        self.part("PATCH", &key, Vec::new(), &values, now)
                    }
                }
                _ => error(404, "0x8006088a", &format!("Resource not found for the segment '{action}'.")),
            };
            if answer.status >= 300 {
                (self.tables, self.version, self.deleted) = before;
                return answer;
            }
            let made = answer.headers.iter().find(|(name, _)| name == "OData-EntityId").map(|(_, id)| id.clone());
            ids.extend(made.and_then(|id| pieces(id.rsplit('/').next()?).1.map(str::to_owned)));
        }
        if action.ends_with("CreateMultiple") { Answer::json(200, &json!({ "Ids": ids })) } else { Answer::empty(204) }
    }

    fn part(&mut self, method: &str, row: &str, headers: Vec<(&str, &str)>, values: &Row, now: Timestamp) -> Answer {
        let asked = Asked {
            method: method.to_owned(),
            path: format!("{ROOT}/{row}"),
            query: Vec::new(),
            headers: headers.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            body: Value::Object(values.clone()).to_string().into_bytes(),
        };
        self.serve(row.trim_start_matches('/'), &asked, now)
    }

    pub(super) fn bulk_delete(&mut self, asked: &Asked) -> Answer {
        let query = asked.json().unwrap_or(Value::Null)["QuerySet"][0].take();
        let values = query["Criteria"]["Conditions"][0]["Values"].as_array().cloned().unwrap_or_default();
        let wanted = query["EntityName"].as_str().unwrap_or_default();
        if ENTITIES.iter().any(|entity| entity.name == wanted) {
            let entity = entity(wanted);
            for id in values.iter().filter_map(|value| value["Value"].as_str()) {
                if let Some(at) = self.rows(entity.name).iter().position(|row| row[entity.key] == id) {
                    self.remove(entity, at);
                }
            }
        }
        Answer::json(200, &json!({ "JobId": self.fresh_id() }))
    }
}

impl FakeRecords for FakeDynamics {
    fn raw(&self, record: &str) -> Option<String> {
        let row = self.rows("task").iter().find(|row| row["activityid"] == record)?;
        Some(Value::Object(row.clone()).to_string())
    }

    fn plant(&mut self, record: &str, contact: &str, now: Timestamp) {
        let row = json!({
            "activityid": record, "subject": "Замер кухни", "description": "Просил перезвонить во вторник", "scheduledend": stamp(now),
            "_regardingobjectid_value": contact, "statecode": 0, "statuscode": 2,
        });
        let table = self.tables.get_mut("task").unwrap();
        table.push(row.as_object().cloned().unwrap());
        let at = table.len() - 1;
        self.touch("task", at, now);
    }

    fn remark(&mut self, _: &str, _: &str) -> bool {
        false
    }
}
