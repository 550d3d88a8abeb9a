//! A Salesforce org: OAuth, objects with external ids, collections, SOQL as far as clients use it, its bin and its refusals.
//!
//! After developer.salesforce.com's REST guide and what simple-salesforce expects.

mod bulk;
mod people;
mod rows;
mod soql;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use bulk::{fault, outcome};
use rows::{SCHEMA, VISIT, is_deleted, key_of, length, shown};

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
    /// Fields that were made beside those of the schema.
    made: Vec<Made>,
    /// The user may make fields.
    pub customizes: bool,
    /// A duplicate rule stands in the way of every new contact.
    pub duplicate_rule: bool,
    demands: bool,
    no_right: bool,
}

/// A field that somebody made: nobody sees it before it is granted.
struct Made {
    object: String,
    name: String,
    granted: bool,
}

fn error(status: u16, code: &str, message: &str) -> Answer {
    Answer::json(status, &json!([{ "message": message, "errorCode": code }]))
}

fn not_found() -> Answer {
    error(404, "NOT_FOUND", "The requested resource does not exist")
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

    /// `/sobjects/{object}/{id}` and `/sobjects/{object}/{field}/{value}`.
    fn row(&mut self, object: &str, rest: &[&str], asked: &Asked, now: Timestamp) -> Answer {
        let (field, value) = match rest {
            [id] => ("Id", *id),
            [field, value] => (*field, *value),
            _ => return not_found(),
        };
        if self.columns(object).is_none() {
            return not_found();
        }
        let is_it = |row: &Row| row.get(field).and_then(Value::as_str) == Some(value);
        let at = self.rows(object).iter().position(|row| is_it(row) && (field == "Id" || !is_deleted(row)));
        if at.is_some_and(|at| is_deleted(&self.rows(object)[at])) {
            return error(404, "ENTITY_IS_DELETED", "entity is deleted");
        }
        match (&*asked.method, at) {
            ("GET", Some(at)) => {
                let row = &self.rows(object)[at];
                let own = self.columns(object).unwrap().into_iter().chain(["Id", "IsDeleted", "SystemModstamp"]);
                let mut view: Row = own.map(|name| (name.to_owned(), shown(name, row.get(name)))).collect();
                let url = format!("/services/data/{VERSION}/sobjects/{object}/{}", row["Id"].as_str().unwrap());
                view.insert("attributes".to_owned(), json!({ "type": object, "url": url }));
                Answer::json(200, &Value::Object(view))
            }
            ("DELETE", Some(at)) => {
                let id = self.rows(object)[at]["Id"].as_str().unwrap().to_owned();
                self.bin(object, &id, now).map_or_else(|refusal| fault(&refusal), |_| Answer::empty(204))
            }
            ("PATCH", _) => {
                let values = asked.json().and_then(|body| body.as_object().cloned()).unwrap_or_default();
                if let (Some(index), "Id") = (at, field) {
                    let done = self.update(object, index, &values, now);
                    return done.map_or_else(|refusal| fault(&refusal), |_| Answer::empty(204));
                }
                if key_of(object) != Some(field) || (at.is_none() && asked.param("updateOnly") == Some("true")) {
                    return error(404, "NOT_FOUND", "Provided external ID field does not exist or is not accessible");
                }
                match self.upsert(object, field, value, &values, now) {
                    Ok((id, created)) => {
                        let status = if created { 201 } else { 200 };
                        Answer::json(status, &outcome(Ok((id, created))))
                    }
                    Err(refusal) => fault(&refusal),
                }
            }
            (_, None) => not_found(),
            _ => error(405, "METHOD_NOT_ALLOWED", "HTTP Method not allowed"),
        }
    }

    fn describe_all() -> Answer {
        let object = |(name, _): &(&str, _)| json!({ "name": name, "queryable": true, "createable": true, "custom": name.ends_with("__c") });
        let all: Vec<Value> = SCHEMA.iter().map(object).collect();
        Answer::json(200, &json!({ "encoding": "UTF-8", "maxBatchSize": 200, "sobjects": all }))
    }

    fn describe(&self, object: &str) -> Answer {
        let Some(names) = self.columns(object) else { return not_found() };
        let key = key_of(object);
        let field = |name: &str| {
            let is_key = key == Some(name);
            json!({
                "name": name, "updateable": true, "createable": true, "externalId": is_key, "unique": is_key,
                "type": "string", "length": length(name),
            })
        };
        let fields: Vec<Value> = names.into_iter().map(field).collect();
        let may = object != VISIT || !self.no_right;
        Answer::json(
            200,
            &json!({ "name": object, "createable": may, "updateable": may, "queryable": true, "fields": fields }),
        )
    }

    /// `all` shows what lies in the bin too.
    fn query(&mut self, soql: &str, all: bool) -> Answer {
        let Some(query) = soql::parse(soql) else { return error(400, "MALFORMED_QUERY", "unexpected token") };
        let Some(mut known) = self.columns(&query.object) else {
            return error(400, "INVALID_TYPE", "sObject type is not supported");
        };
        known.extend(["Id", "SystemModstamp", "IsDeleted", "Owner.Name"]);
        let mut asked: Vec<&str> = query.fields.iter().map(String::as_str).collect();
        if asked.iter().any(|field| !known.contains(field)) {
            return error(400, "INVALID_FIELD", "No such column");
        }
        asked.sort_unstable();
        asked.dedup();
        if asked.len() < query.fields.len() {
            return error(400, "MALFORMED_QUERY", "duplicate field selected");
        }
        if query.misnames_ids() {
            return error(400, "INVALID_QUERY_FILTER_OPERATOR", "invalid ID field");
        }
        let is_asked = |row: &&Row| query.matches(row) && (all || !is_deleted(row));
        let mut rows: Vec<Row> = self.rows(&query.object).iter().filter(is_asked).cloned().collect();
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
            return not_found();
        };
        let parts: Vec<&str> = path.trim_end_matches('/').split('/').collect();
        let answer = match parts.as_slice() {
            ["query"] => self.query(asked.param("q").unwrap_or_default(), false),
            ["queryAll"] => self.query(asked.param("q").unwrap_or_default(), true),
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
            ["composite", "sobjects"] if asked.method == "PATCH" => self.changes(asked, now),
            ["composite", "sobjects"] if asked.method == "DELETE" => self.deletions(asked, now),
            ["tooling", "sobjects", "CustomField"] if asked.method == "POST" => self.make_field(asked),
            ["sobjects"] => Self::describe_all(),
            ["sobjects", object, "describe"] => self.describe(object),
            ["sobjects", object] if asked.method == "POST" => {
                let values = asked.json().and_then(|body| body.as_object().cloned()).unwrap_or_default();
                if self.columns(object).is_none() {
                    return not_found();
                }
                match self.insert(object, &values, now) {
                    Ok(id) => Answer::json(201, &json!({ "id": id, "success": true, "errors": [] })),
                    Err(refusal) => fault(&refusal),
                }
            }
            ["sobjects", object, rest @ ..] => self.row(object, rest, asked, now),
            _ => not_found(),
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
        self.visit_rows()
    }

    fn add_contact(&mut self, contact: FakeContact, now: Timestamp) -> String {
        let id = self.fresh_id("003");
        let row = json!({ "Id": id, "IsDeleted": false });
        self.tables.entry("Contact".to_owned()).or_default().push(row.as_object().cloned().unwrap());
        self.change(&id, &|there| *there = contact.clone(), now);
        id
    }

    fn change_contact(&mut self, id: &str, change: &dyn Fn(&mut FakeContact), now: Timestamp) {
        self.change(id, change, now);
    }

    fn contact(&self, id: &str) -> Option<FakeContact> {
        self.live("Contact").find(|row| row["Id"] == id).map(people::person)
    }

    fn contacts(&self) -> usize {
        self.live("Contact").count()
    }

    fn all_contacts(&self) -> Vec<(String, FakeContact)> {
        let both = |row: &Row| (row["Id"].as_str().unwrap().to_owned(), people::person(row));
        self.live("Contact").map(both).collect()
    }

    fn bin_contact(&mut self, id: &str, now: Timestamp) {
        self.bin("Contact", id, now).unwrap();
    }

    fn merge_contacts(&mut self, loser: &str, survivor: &str, now: Timestamp) {
        self.merge(loser, survivor, now);
    }

    fn demand_field(&mut self, on: bool) {
        self.demands = on;
    }

    fn take_right(&mut self, taken: bool) {
        self.no_right = taken;
    }

    fn told(&self, id: &str) -> snova::crm::Told {
        people::told(self.rows("Contact").iter().find(|row| row["Id"] == id).unwrap())
    }

    fn told_config(&mut self) -> String {
        self.fields_of_all()
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
