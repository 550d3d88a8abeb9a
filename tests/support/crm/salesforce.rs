//! A Salesforce org: OAuth, objects with external ids, collections, SOQL as far as clients use it, and its refusals.
//!
//! After developer.salesforce.com's REST guide and what simple-salesforce expects.

mod rows;
mod soql;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use rows::{SCHEMA, columns, key_of, shown};

use super::{Answer, Asked, FakeContact, FakeCrm, FakeVisit};

const CLIENT: &str = "3MVG9snova";
const SECRET: &str = "sf-client-secret-7f3a";
const VERSION: &str = "v62.0";
const PAGE: usize = 2000;

type Row = Map<String, Value>;

/// The org's memory.
#[derive(Default)]
pub struct FakeSalesforce {
    tables: BTreeMap<String, Vec<Row>>,
    tokens: BTreeSet<String>,
    given: u64,
    next_id: u64,
    /// Queries that were cut into pages: what is left of each.
    cursors: BTreeMap<String, Vec<Value>>,
}

fn error(status: u16, code: &str, message: &str) -> Answer {
    Answer::json(status, &json!([{ "message": message, "errorCode": code }]))
}

fn fault(code: &str, field: &str) -> Answer {
    Answer::json(400, &json!([{ "message": "value not acceptable", "errorCode": code, "fields": [field] }]))
}

fn base64(text: &str) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let of_three = |three: &[u8]| -> String {
        let bits = three.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        let letter = |place: usize| char::from(LETTERS[(bits >> (18 - 6 * place)) as usize & 63]);
        (0..4).map(|place| if place <= three.len() { letter(place) } else { '=' }).collect()
    };
    text.as_bytes().chunks(3).map(of_three).collect()
}

impl FakeSalesforce {
    fn log_in(&mut self, asked: &Asked) -> Answer {
        let value = |name: &str| asked.form_value(name).unwrap_or_default();
        if value("grant_type") != "client_credentials" {
            return Answer::json(
                400,
                &json!({ "error": "unsupported_grant_type", "error_description": "grant type not supported" }),
            );
        }
        // Either way of naming the app is OAuth's; simple-salesforce takes the header.
        let by_header = asked.header("authorization").and_then(|header| header.strip_prefix("Basic "));
        let is_known = match by_header {
            Some(both) => both == base64(&format!("{CLIENT}:{SECRET}")),
            None => value("client_id") == CLIENT && value("client_secret") == SECRET,
        };
        if !is_known {
            return Answer::json(
                400,
                &json!({ "error": "invalid_client", "error_description": "invalid client credentials" }),
            );
        }
        self.given += 1;
        let token = format!("00Dsession!{}", self.given);
        self.tokens.insert(token.clone());
        let host = asked.header("host").unwrap_or("localhost");
        Answer::json(
            200,
            &json!({
                "access_token": token, "instance_url": format!("https://{host}"), "token_type": "Bearer",
                "issued_at": "1767225600000", "signature": "x", "scope": "api", "id": format!("https://{host}/id/00D/005"),
            }),
        )
    }

    fn collections(&mut self, object: &str, field: &str, asked: &Asked, now: Timestamp) -> Answer {
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
                return json!({ "success": false, "errors": [{ "statusCode": "DUPLICATE_VALUE", "message": "Duplicate external id specified", "fields": [field] }] });
            }
            match self.upsert(object, field, &key, &values, now) {
                Ok((id, created)) => json!({ "id": id, "success": true, "errors": [], "created": created }),
                Err((code, named)) => json!({ "success": false, "errors": [{ "statusCode": code, "message": "value not acceptable", "fields": [named] }] }),
            }
        });
        let results: Vec<Value> = results.collect();
        Answer::json(200, &json!(results))
    }

    /// `/sobjects/{object}/{id}` and `/sobjects/{object}/{field}/{value}`.
    fn row(&mut self, object: &str, rest: &[&str], asked: &Asked, now: Timestamp) -> Answer {
        let (field, value) = match rest {
            [id] => ("Id", *id),
            [field, value] => (*field, *value),
            _ => return error(404, "NOT_FOUND", "The requested resource does not exist"),
        };
        if columns(object).is_none() {
            return error(404, "NOT_FOUND", "The requested resource does not exist");
        }
        let at = self.rows(object).iter().position(|row| row.get(field).and_then(Value::as_str) == Some(value));
        match (&*asked.method, at) {
            ("GET", Some(at)) => {
                let row = &self.rows(object)[at];
                let own = columns(object).unwrap().into_iter().chain(["Id", "IsDeleted", "SystemModstamp"]);
                let mut view: Row = own.map(|name| (name.to_owned(), shown(name, row.get(name)))).collect();
                let url = format!("/services/data/{VERSION}/sobjects/{object}/{}", row["Id"].as_str().unwrap());
                view.insert("attributes".to_owned(), json!({ "type": object, "url": url }));
                Answer::json(200, &Value::Object(view))
            }
            ("DELETE", Some(at)) => {
                self.tables.get_mut(object).unwrap().remove(at);
                Answer::empty(204)
            }
            ("PATCH", _) => {
                let values = asked.json().and_then(|body| body.as_object().cloned()).unwrap_or_default();
                if at.is_none() && (field == "Id" || asked.param("updateOnly") == Some("true")) {
                    return error(404, "NOT_FOUND", "Provided external ID field does not exist or is not accessible");
                }
                if let (Some(index), "Id") = (at, field) {
                    return match self.update(object, index, &values, now) {
                        Ok(_) => Answer::empty(204),
                        Err((code, named)) => fault(code, &named),
                    };
                }
                if key_of(object) != Some(field) {
                    return error(404, "NOT_FOUND", "Provided external ID field does not exist or is not accessible");
                }
                match self.upsert(object, field, value, &values, now) {
                    Ok((id, created)) => {
                        let status = if created { 201 } else { 200 };
                        Answer::json(status, &json!({ "id": id, "success": true, "errors": [], "created": created }))
                    }
                    Err((code, named)) => fault(code, &named),
                }
            }
            (_, None) => error(404, "NOT_FOUND", "The requested resource does not exist"),
            _ => error(405, "METHOD_NOT_ALLOWED", "HTTP Method not allowed"),
        }
    }

    fn describe_all() -> Answer {
        let object = |(name, _): &(&str, _)| json!({ "name": name, "queryable": true, "createable": true, "custom": name.ends_with("__c") });
        let all: Vec<Value> = SCHEMA.iter().map(object).collect();
        Answer::json(200, &json!({ "encoding": "UTF-8", "maxBatchSize": 200, "sobjects": all }))
    }

    fn describe(object: &str) -> Answer {
        let Some(names) = columns(object) else {
            return error(404, "NOT_FOUND", "The requested resource does not exist");
        };
        let key = key_of(object);
        let field = |name: &str| {
            let is_key = key == Some(name);
            json!({ "name": name, "updateable": true, "createable": true, "externalId": is_key, "unique": is_key, "type": "string" })
        };
        let fields: Vec<Value> = names.into_iter().map(field).collect();
        Answer::json(
            200,
            &json!({ "name": object, "createable": true, "updateable": true, "queryable": true, "fields": fields }),
        )
    }

    fn query(&mut self, soql: &str) -> Answer {
        let Some(query) = soql::parse(soql) else { return error(400, "MALFORMED_QUERY", "unexpected token") };
        if columns(&query.object).is_none() {
            return error(400, "INVALID_TYPE", "sObject type is not supported");
        }
        let known = columns(&query.object).unwrap();
        let standard = ["Id", "SystemModstamp", "IsDeleted", "Owner.Name"];
        if query.fields.iter().any(|field| !known.contains(&field.as_str()) && !standard.contains(&field.as_str())) {
            return error(400, "INVALID_FIELD", "No such column");
        }
        let mut rows: Vec<Row> = self.rows(&query.object).iter().filter(|row| query.matches(row)).cloned().collect();
        rows.sort_by_key(|row| {
            let stamp = if query.by_stamp {
                row["SystemModstamp"].as_str().unwrap_or_default().to_owned()
            } else {
                String::new()
            };
            (stamp, row["Id"].as_str().unwrap_or_default().to_owned())
        });
        rows.truncate(query.limit.unwrap_or(usize::MAX));
        let view = |row: &Row| {
            let mut view = Map::new();
            view.insert("attributes".to_owned(), json!({ "type": query.object, "url": "/x" }));
            for field in &query.fields {
                let value = match field.as_str() {
                    "Owner.Name" => {
                        view.insert(
                            "Owner".to_owned(),
                            json!({ "attributes": { "type": "Name" }, "Name": row.get("OwnerName") }),
                        );
                        continue;
                    }
                    name => shown(name, row.get(name)),
                };
                view.insert(field.clone(), value);
            }
            Value::Object(view)
        };
        let total = rows.len();
        let all: Vec<Value> = rows.iter().map(view).collect();
        self.page(all, total)
    }

    fn page(&mut self, mut all: Vec<Value>, total: usize) -> Answer {
        let rest = if all.len() > PAGE { all.split_off(PAGE) } else { Vec::new() };
        let mut body = json!({ "totalSize": total, "done": rest.is_empty(), "records": all });
        if !rest.is_empty() {
            self.next_id += 1;
            let cursor = format!("01g{}-{PAGE}", self.next_id);
            body["nextRecordsUrl"] = format!("/services/data/{VERSION}/query/{cursor}").into();
            self.cursors.insert(cursor, rest);
        }
        Answer::json(200, &body)
    }
}

impl FakeCrm for FakeSalesforce {
    fn answer(&mut self, asked: &Asked, now: Timestamp) -> Answer {
        if asked.path == "/services/oauth2/token" {
            return self.log_in(asked);
        }
        if !asked.bearer().is_some_and(|token| self.tokens.contains(token)) {
            return error(401, "INVALID_SESSION_ID", "Session expired or invalid");
        }
        let prefix = format!("/services/data/{VERSION}/");
        let Some(path) = asked.path.strip_prefix(&prefix) else {
            return error(404, "NOT_FOUND", "The requested resource does not exist");
        };
        let parts: Vec<&str> = path.trim_end_matches('/').split('/').collect();
        let answer = match parts.as_slice() {
            ["query"] => self.query(asked.param("q").unwrap_or_default()),
            ["query", cursor] => match self.cursors.remove(*cursor) {
                Some(rest) => {
                    let total = rest.len();
                    self.page(rest, total)
                }
                None => error(400, "INVALID_QUERY_LOCATOR", "invalid query locator"),
            },
            ["limits"] => Answer::json(200, &json!({ "DailyApiRequests": { "Max": 15000, "Remaining": 14000 } })),
            ["composite", "sobjects", object, field] if asked.method == "PATCH" => {
                self.collections(object, field, asked, now)
            }
            ["sobjects"] => Self::describe_all(),
            ["sobjects", object, "describe"] => Self::describe(object),
            ["sobjects", object] if asked.method == "POST" => {
                let values = asked.json().and_then(|body| body.as_object().cloned()).unwrap_or_default();
                if columns(object).is_none() {
                    return error(404, "NOT_FOUND", "The requested resource does not exist");
                }
                match self.insert(object, &values, now) {
                    Ok(id) => Answer::json(201, &json!({ "id": id, "success": true, "errors": [] })),
                    Err((code, named)) => fault(code, &named),
                }
            }
            ["sobjects", object, rest @ ..] => self.row(object, rest, asked, now),
            _ => error(404, "NOT_FOUND", "The requested resource does not exist"),
        };
        answer.with("Sforce-Limit-Info", "api-usage=113/15000")
    }

    fn throttled(&self) -> Answer {
        error(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
    }

    fn blocked(&self) -> Answer {
        Answer::html(403, "<html><body>Your organisation's network policy forbids this</body></html>")
    }

    fn expire_tokens(&mut self) {
        self.tokens.clear();
    }

    fn is_visit_write(&self, asked: &Asked) -> bool {
        asked.method == "PATCH" && asked.path.contains("/composite/sobjects/Store_Visit__c/")
    }

    fn visits(&self) -> Vec<FakeVisit> {
        let visit = |row: &Row| FakeVisit {
            key: row["Visit_UID__c"].as_str().unwrap_or_default().to_owned(),
            contact: row.get("Contact__c").and_then(Value::as_str).unwrap_or_default().to_owned(),
            opened_at: row.get("At__c").and_then(Value::as_str).and_then(|at| at.parse().ok()),
            void: row.get("Void__c") == Some(&json!(true)),
            erased: false,
        };
        self.rows("Store_Visit__c").iter().map(visit).collect()
    }

    fn add_contact(&mut self, contact: FakeContact, now: Timestamp) -> String {
        let id = self.fresh_id("003");
        let mut row = Row::new();
        row.insert("Id".to_owned(), id.clone().into());
        row.insert("IsDeleted".to_owned(), false.into());
        self.tables.entry("Contact".to_owned()).or_default().push(row);
        self.change_contact(&id, &|there| *there = contact.clone(), now);
        id
    }

    fn change_contact(&mut self, id: &str, change: &dyn Fn(&mut FakeContact), now: Timestamp) {
        let mut contact = self.contact(id).unwrap();
        change(&mut contact);
        let row = self.tables.get_mut("Contact").unwrap().iter_mut().find(|row| row["Id"] == id).unwrap();
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
            row.insert(name.to_owned(), if value.is_empty() { Value::Null } else { value.into() });
        }
        row.insert("Visits__c".to_owned(), contact.visits.into());
        row.insert("SystemModstamp".to_owned(), json!(now.to_string()));
    }

    fn contact(&self, id: &str) -> Option<FakeContact> {
        let row = self.rows("Contact").iter().find(|row| row["Id"] == id)?;
        let text = |name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        Some(FakeContact {
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
        })
    }

    fn contacts(&self) -> usize {
        self.rows("Contact").len()
    }

    fn heartbeats(&self) -> usize {
        self.rows("Store_Device__c").len()
    }

    fn config(&self, url: &str, ca_file: &str) -> String {
        format!(
            "[crm]\nkind = \"salesforce\"\nca_file = \"{ca_file}\"\n[crm.salesforce]\nurl = \"{url}\"\nclient_id = \"{CLIENT}\"\n\
             device_object = \"Store_Device__c\"\n[crm.salesforce.fields]\ntier = \"Loyalty_Tier__c\"\noffer = \"Offer__c\"\n\
             visits = \"Visits__c\"\n"
        )
    }

    fn secrets(&self) -> Vec<(&'static str, String)> {
        vec![("crm/salesforce/client-secret", SECRET.to_owned())]
    }
}
