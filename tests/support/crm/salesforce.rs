//! A Salesforce org: OAuth, objects with external ids, collections, SOQL as far as clients use it, and its refusals.
//!
//! After developer.salesforce.com's REST guide and what simple-salesforce expects.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{Answer, Asked, FakeContact, FakeCrm, FakeVisit, POISON_TILL};

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

/// (object, fields): a field that ends in `!` is a unique external id.
const SCHEMA: &[(&str, &[&str])] = &[
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

fn columns(object: &str) -> Option<Vec<&'static str>> {
    SCHEMA
        .iter()
        .find(|(name, _)| *name == object)
        .map(|(_, fields)| fields.iter().map(|f| f.trim_end_matches('!')).collect())
}

fn key_of(object: &str) -> Option<&'static str> {
    let (_, fields) = SCHEMA.iter().find(|(name, _)| *name == object)?;
    fields.iter().find_map(|field| field.strip_suffix('!'))
}

fn error(status: u16, code: &str, message: &str) -> Answer {
    Answer::json(status, &json!([{ "message": message, "errorCode": code }]))
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
        if value("client_id") != CLIENT || value("client_secret") != SECRET {
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

    fn fresh_id(&mut self, prefix: &str) -> String {
        self.next_id += 1;
        format!("{prefix}{:015}", self.next_id)
    }

    /// Creates or updates the row with that external id: its id and whether it is new.
    fn upsert(
        &mut self,
        object: &str,
        field: &str,
        key: &str,
        values: &Row,
        now: Timestamp,
    ) -> Result<(String, bool), (String, String)> {
        let known = columns(object).unwrap_or_default();
        if let Some(unknown) =
            values.keys().find(|name| *name != "attributes" && *name != "Id" && !known.contains(&name.as_str()))
        {
            return Err((
                "INVALID_FIELD".to_owned(),
                format!("No such column '{unknown}' on sobject of type {object}"),
            ));
        }
        if values.get("Counter__c").and_then(Value::as_str).is_some_and(|counter| counter.contains(POISON_TILL)) {
            return Err(("REQUIRED_FIELD_MISSING".to_owned(), "At__c".to_owned()));
        }
        if object == "Store_Visit__c" && values.get("Contact__c").is_some() {
            let contact = values["Contact__c"].as_str().unwrap_or_default().to_owned();
            if !self.rows("Contact").iter().any(|row| row["Id"] == contact.as_str()) {
                return Err(("INVALID_CROSS_REFERENCE_KEY".to_owned(), "Contact__c".to_owned()));
            }
        }
        let stamp = json!(now.to_string());
        let at = self.rows(object).iter().position(|row| row.get(field).and_then(Value::as_str) == Some(key));
        let (index, created) = match at {
            Some(index) => (index, false),
            None => {
                let id = self.fresh_id(if object == "Contact" { "003" } else { "a0X" });
                let mut row = Row::new();
                row.insert("Id".to_owned(), id.into());
                row.insert("IsDeleted".to_owned(), false.into());
                row.insert(field.to_owned(), key.into());
                let table = self.tables.entry(object.to_owned()).or_default();
                table.push(row);
                (table.len() - 1, true)
            }
        };
        let row = &mut self.tables.get_mut(object).unwrap()[index];
        row.insert("SystemModstamp".to_owned(), stamp);
        for (name, value) in values.iter().filter(|(name, _)| *name != "attributes" && *name != "Id") {
            row.insert(name.clone(), value.clone());
        }
        Ok((row["Id"].as_str().unwrap().to_owned(), created))
    }

    fn rows(&self, object: &str) -> &[Row] {
        self.tables.get(object).map(Vec::as_slice).unwrap_or_default()
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
                let mut row = self.rows(object)[at].clone();
                row.insert("attributes".to_owned(), json!({ "type": object }));
                Answer::json(200, &Value::Object(row))
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
                if field == "Id" {
                    let key = key_of(object).unwrap();
                    let row = &self.rows(object)[at.unwrap()];
                    // Written by its id: the external id stays, unless it is among the values.
                    let own = row.get(key).cloned().unwrap_or(Value::Null);
                    let index = at.unwrap();
                    let known = columns(object).unwrap();
                    if values.keys().any(|name| !known.contains(&name.as_str())) {
                        return error(400, "INVALID_FIELD", "No such column");
                    }
                    let row = &mut self.tables.get_mut(object).unwrap()[index];
                    row.insert(key.to_owned(), own);
                    row.extend(values);
                    row.insert("SystemModstamp".to_owned(), json!(now.to_string()));
                    return Answer::empty(204);
                }
                match self.upsert(object, field, value, &values, now) {
                    Ok((id, created)) => {
                        let status = if created { 201 } else { 200 };
                        Answer::json(status, &json!({ "id": id, "success": true, "errors": [], "created": created }))
                    }
                    Err((code, named)) => Answer::json(
                        400,
                        &json!([{ "message": "value not acceptable", "errorCode": code, "fields": [named] }]),
                    ),
                }
            }
            (_, None) => error(404, "NOT_FOUND", "The requested resource does not exist"),
            _ => error(405, "METHOD_NOT_ALLOWED", "HTTP Method not allowed"),
        }
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
                    "SystemModstamp" => {
                        json!(row["SystemModstamp"].as_str().unwrap_or_default().replace('Z', ".000+0000"))
                    }
                    name => row.get(name).cloned().unwrap_or(Value::Null),
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
            ["sobjects", object, "describe"] => Self::describe(object),
            ["sobjects", object] if asked.method == "POST" => {
                let values = asked.json().and_then(|body| body.as_object().cloned()).unwrap_or_default();
                let key = key_of(object).unwrap_or("Id");
                let own = values.get(key).and_then(Value::as_str).map_or_else(|| self.fresh_id("new"), str::to_owned);
                match self.upsert(object, key, &own, &values, now) {
                    Ok((id, _)) => Answer::json(201, &json!({ "id": id, "success": true, "errors": [] })),
                    Err((code, named)) => error(400, &code, &named),
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

/// As much of SOQL as clients use here.
mod soql {
    use serde_json::Value;

    use super::Row;

    pub struct Query {
        pub object: String,
        pub fields: Vec<String>,
        /// Alternatives of conditions that must all hold.
        pub any: Vec<Vec<Condition>>,
        pub by_stamp: bool,
        pub limit: Option<usize>,
    }

    pub enum Condition {
        Is(String, String),
        Like(String, String),
        In(String, Vec<String>),
        From(String, jiff::Timestamp),
    }

    pub fn parse(soql: &str) -> Option<Query> {
        let rest = strip(soql.trim(), "SELECT ")?;
        let (fields, rest) = split(rest, " FROM ")?;
        let (object, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        let (head, limit) = match split(rest, "LIMIT ") {
            Some((head, limit)) => (head, Some(limit.trim().parse().ok()?)),
            None => (rest, None),
        };
        let (wheres, order) = split(head, "ORDER BY ").unwrap_or((head, ""));
        let mut any = Vec::new();
        if let Some(conditions) = strip(wheres.trim(), "WHERE ") {
            for alternative in conditions.split(" OR ") {
                any.push(alternative.split(" AND ").map(condition).collect::<Option<Vec<_>>>()?);
            }
        }
        let fields = fields.split(',').map(|field| field.trim().to_owned()).collect();
        Some(Query { object: object.to_owned(), fields, any, by_stamp: order.contains("SystemModstamp"), limit })
    }

    fn strip<'a>(text: &'a str, head: &str) -> Option<&'a str> {
        text.get(..head.len()).filter(|start| start.eq_ignore_ascii_case(head)).map(|_| &text[head.len()..])
    }

    fn split<'a>(text: &'a str, word: &str) -> Option<(&'a str, &'a str)> {
        let at = text.to_ascii_uppercase().find(word)?;
        Some((&text[..at], &text[at + word.len()..]))
    }

    fn condition(text: &str) -> Option<Condition> {
        let text = text.trim();
        let literal = |text: &str| {
            let inner = text.trim().strip_prefix('\'')?.strip_suffix('\'')?;
            Some(inner.replace("\\'", "'").replace("\\\\", "\\"))
        };
        if let Some((field, list)) = split(text, " IN (") {
            let list = list.trim_end().strip_suffix(')')?;
            return Some(Condition::In(field.trim().to_owned(), list.split(',').map(literal).collect::<Option<_>>()?));
        }
        if let Some((field, pattern)) = split(text, " LIKE ") {
            return Some(Condition::Like(field.trim().to_owned(), literal(pattern)?));
        }
        for sign in [">=", ">"] {
            if let Some((field, at)) = text.split_once(sign) {
                return Some(Condition::From(field.trim().to_owned(), at.trim().parse().ok()?));
            }
        }
        let (field, value) = text.split_once('=')?;
        Some(Condition::Is(field.trim().to_owned(), literal(value)?))
    }

    impl Query {
        pub fn matches(&self, row: &Row) -> bool {
            self.any.is_empty() || self.any.iter().any(|all| all.iter().all(|condition| condition.holds(row)))
        }
    }

    impl Condition {
        fn holds(&self, row: &Row) -> bool {
            let text = |field: &str| row.get(field).and_then(Value::as_str).unwrap_or_default();
            match self {
                Self::Is(field, value) => text(field) == value,
                Self::In(field, values) => values.iter().any(|value| text(field) == value),
                Self::Like(field, pattern) => like(text(field), pattern),
                Self::From(field, at) => text(field).parse::<jiff::Timestamp>().is_ok_and(|own| own >= *at),
            }
        }
    }

    /// `%` stands for any run of characters.
    pub fn like(text: &str, pattern: &str) -> bool {
        let mut parts = pattern.split('%');
        let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else { return false };
        let mut open = pattern.ends_with('%');
        for part in parts {
            let Some(at) = rest.find(part) else { return false };
            rest = &rest[at + part.len()..];
            open = open || part.is_empty();
        }
        rest.is_empty() || pattern.ends_with('%')
    }
}
