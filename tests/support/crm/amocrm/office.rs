//! What the company's people and administrators do in the account: cards, merges, deletions, fields.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Value, json};
use snova::crm::{ConsentWord, Told};

use super::{FIELDS, FakeAmoCrm, Field, Row, bad, listed, many, not_found, number, problem};
use crate::crm::{Answer, Asked, FakeContact};

/// (number, key, kind) of what is told on a contact.
const TOLD: [(i64, &str, &str); 9] = [
    (9101, "first_visit", "date_time"),
    (9102, "last_visit", "date_time"),
    (9103, "late_since", "date"),
    (9104, "consent", "text"),
    (9105, "consent_until", "date"),
    (9106, "source", "text"),
    (9107, "visits_30", "numeric"),
    (9108, "visits_90", "numeric"),
    (9109, "home_store", "text"),
];

impl FakeAmoCrm {
    pub(super) fn edit(&mut self, id: &str, change: &dyn Fn(&mut FakeContact), now: Timestamp) {
        let mut contact = self.card(id).unwrap();
        change(&mut contact);
        let mut values = Vec::new();
        let birthday =
            contact.birthday.parse::<jiff::civil::Date>().ok().map(|date| {
                date.to_zoned(jiff::tz::TimeZone::fixed(jiff::tz::offset(3))).unwrap().timestamp().as_second()
            });
        for (field, value) in [
            (11, json!(contact.phone)),
            (12, json!(contact.email)),
            (9001, json!(contact.external_id)),
            (9002, json!(contact.patronymic)),
            (9003, json!(contact.tier)),
            (9004, json!(contact.offer)),
            (9005, birthday.map_or_else(|| json!(""), Value::from)),
            (9006, json!(contact.visits.to_string())),
            (9007, json!(contact.notes)),
        ] {
            let given = if value == "" { Value::Null } else { json!([{ "value": value }]) };
            values.push(json!({ "field_id": field, "values": given }));
        }
        let owner = match self.owners.iter().position(|name| *name == contact.owner) {
            _ if contact.owner.is_empty() => 0,
            Some(at) => at + 1,
            None => {
                self.owners.push(contact.owner.clone());
                self.owners.len()
            }
        };
        let at = self.at(id).unwrap();
        let kept = std::mem::take(&mut self.quirks.forgetful);
        self.put(
            at,
            &json!({ "first_name": contact.given, "last_name": contact.family, "responsible_user_id": owner, "custom_fields_values": values }),
            now,
        );
        self.quirks.forgetful = kept;
    }

    pub(super) fn card(&self, id: &str) -> Option<FakeContact> {
        let row = &self.contacts[self.at(id)?];
        let value = |field: i64| Self::value(row, field);
        let text = |field: i64| value(field).as_str().unwrap_or_default().to_owned();
        let birthday = value(9005).as_i64().map(|at| Timestamp::from_second(at + 3 * 3600).unwrap());
        let owner = row["responsible_user_id"].as_u64().unwrap_or(0) as usize;
        Some(FakeContact {
            external_id: text(9001),
            given: row["first_name"].as_str().unwrap_or_default().to_owned(),
            patronymic: text(9002),
            family: row["last_name"].as_str().unwrap_or_default().to_owned(),
            phone: text(11),
            email: text(12),
            tier: text(9003),
            owner: owner.checked_sub(1).and_then(|at| self.owners.get(at)).cloned().unwrap_or_default(),
            notes: text(9007),
            offer: text(9004),
            birthday: birthday.map(|at| at.to_zoned(jiff::tz::TimeZone::UTC).date().to_string()).unwrap_or_default(),
            visits: text(9006).parse().unwrap_or(0),
        })
    }

    pub(super) fn value(row: &Row, field: i64) -> Value {
        let fields = row["custom_fields_values"].as_array().cloned().unwrap_or_default();
        fields
            .iter()
            .find(|own| own["field_id"] == field)
            .map(|own| own["values"][0]["value"].clone())
            .unwrap_or_default()
    }

    pub(super) fn all_fields(&self) -> Vec<Field> {
        let fixed = FIELDS
            .iter()
            .map(|(id, code, kind, name)| (*id, code.map(str::to_owned), (*kind).to_owned(), (*name).to_owned()));
        fixed.chain(self.made.iter().cloned()).collect()
    }

    pub(super) fn custom_fields(&mut self, id: Option<&str>, asked: &Asked) -> Answer {
        let rows = |(id, code, kind, name): &Field| {
            json!({ "id": id, "code": code, "type": kind, "name": name, "entity_type": "contacts" })
                .as_object()
                .cloned()
                .unwrap()
        };
        let all = self.all_fields();
        match (asked.method.as_str(), id) {
            ("GET", None) => listed(asked, "custom_fields", all.iter().map(rows).collect()),
            ("GET", Some(id)) => match all.iter().find(|field| Some(field.0) == number(id)) {
                Some(field) => Answer::json(200, &rows(field).into()),
                None => not_found(),
            },
            ("POST", None) if self.quirks.no_admin => problem(403, "Forbidden", "Access denied", None),
            ("POST", None) => {
                let row = asked.json().unwrap_or_default()[0].clone();
                let text = |name: &str| row[name].as_str().map(str::to_owned);
                let (Some(kind), Some(name)) = (text("type"), text("name")) else {
                    return problem(
                        400,
                        "Bad Request",
                        "Request validation failed",
                        Some(json!([bad(&row["request_id"], "FieldMissing", "name")])),
                    );
                };
                let code = text("code");
                if all.iter().any(|field| code.is_some() && field.1 == code) {
                    return problem(
                        400,
                        "Bad Request",
                        "Request validation failed",
                        Some(json!([bad(&row["request_id"], "NotUnique", "code")])),
                    );
                }
                let id = 9201 + self.made.len() as i64;
                self.made.push((id, code, kind, name));
                Answer::json(200, &json!({ "_embedded": { "custom_fields": [{ "id": id }] } }))
            }
            _ => not_found(),
        }
    }

    pub(super) fn list_events(&self, asked: &Asked) -> Answer {
        if self.quirks.no_admin {
            return problem(403, "Forbidden", "Access denied", None);
        }
        let kinds = many(asked, "filter[type]");
        let from = asked.param("filter[created_at][from]").and_then(number);
        let mut rows = self.events.clone();
        rows.retain(|row| {
            kinds.iter().any(|kind| row["type"] == *kind)
                && from.is_none_or(|from| row["created_at"].as_i64() >= Some(from))
        });
        rows.reverse();
        listed(asked, "events", rows)
    }

    /// The contact goes; its notes stay in the database, and nobody sees them.
    pub(super) fn lose(&mut self, id: &str, kind: &str, after: &Value, now: Timestamp) {
        let at = self.at(id).unwrap();
        let contact = self.contacts.remove(at);
        let event = json!({
            "id": format!("01e{}", self.events.len()), "type": kind, "entity_id": contact["id"], "entity_type": "contact",
            "created_at": now.as_second(), "value_before": [], "value_after": after,
        });
        self.events.push(event.as_object().cloned().unwrap());
    }

    /// Notes move to the survivor, which keeps its own values and, unless it forgets, takes the loser's where it has none.
    pub(super) fn merge(&mut self, loser: &str, survivor: &str, now: Timestamp) {
        let (from, to) = (number(loser).unwrap(), number(survivor).unwrap());
        for note in self.notes.iter_mut().filter(|note| note["entity_id"] == from) {
            note.insert("entity_id".to_owned(), to.into());
        }
        let others =
            self.contacts[self.at(loser).unwrap()]["custom_fields_values"].as_array().cloned().unwrap_or_default();
        let at = self.at(survivor).unwrap();
        let own: Vec<Value> = self.contacts[at]["custom_fields_values"].as_array().cloned().unwrap_or_default();
        let has: BTreeSet<i64> = own.iter().filter_map(|field| field["field_id"].as_i64()).collect();
        let taken = others.into_iter().filter(|field| field["field_id"].as_i64().is_some_and(|id| !has.contains(&id)));
        let taken: Vec<Value> = if self.quirks.merge_forgets { Vec::new() } else { taken.collect() };
        self.put(at, &json!({ "custom_fields_values": taken }), now);
        // Which of the two it is about is not documented.
        self.lose(loser, "entity_merged", &json!([{ "contact": { "id": from } }]), now);
        self.events.last_mut().unwrap().insert("entity_id".to_owned(), to.into());
    }

    pub(super) fn told_of(&self, id: &str) -> Told {
        let row = &self.contacts[self.at(id).unwrap()];
        let value = |key: &str| Self::value(row, TOLD.iter().find(|field| field.1 == key).unwrap().0);
        let text = |key: &str| value(key).as_str().map(str::to_owned);
        let at = |key: &str| value(key).as_i64().map(|at| Timestamp::from_second(at).unwrap());
        let day = |key: &str| at(key).map(|at| at.to_zoned(jiff::tz::TimeZone::fixed(jiff::tz::offset(3))).date());
        Told {
            first_visit: at("first_visit"),
            last_visit: at("last_visit"),
            late_since: day("late_since"),
            consent: text("consent").map(|word| ConsentWord::read(&word).unwrap()),
            consent_until: day("consent_until"),
            source: text("source"),
            visits_30: text("visits_30").map(|count| count.parse().unwrap()),
            visits_90: text("visits_90").map(|count| count.parse().unwrap()),
            home_store: text("home_store"),
        }
    }

    pub(super) fn fields_of_told(&mut self) -> String {
        let fields = TOLD.iter().map(|(id, key, kind)| (*id, None, (*kind).to_owned(), (*key).to_owned()));
        self.made.retain(|field| field.0 > 9200);
        self.made.extend(fields);
        let lines: String = TOLD.iter().map(|(id, key, _)| format!("{key} = \"{id}\"\n")).collect();
        format!("[crm.amocrm.told]\n{lines}")
    }
}
