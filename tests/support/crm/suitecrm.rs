//! A SuiteCRM by its V8 API: OAuth for clients, records under ids of ours, and its lies about times and searches.
//!
//! After what a 7.14 does and what PySuiteCRM and SuitecrmPythonClient expect. `/legacy/Api` is SuiteCRM 8's address.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::beans::{Bean, Beans, escaped, like, module, of_its_beans, read_sql_time};
use super::{Answer, Asked, FakeContact, FakeCrm, FakeRecords, FakeVisit, POISON_TILL};

const CLIENT: &str = "4b2a7f3c-snova";
const SECRET: &str = "suite-client-secret-0c9e";
/// The two above as a client sends them in a header.
const BASIC: &str = "Basic NGIyYTdmM2Mtc25vdmE6c3VpdGUtY2xpZW50LXNlY3JldC0wYzll";
const LASTS: i64 = 3600;

/// The tenant's memory.
#[derive(Default)]
pub struct FakeSuite {
    pub beans: Beans,
    tokens: BTreeMap<String, i64>,
    given: u64,
    /// Whether the database is in trouble: it can be read, and refuses everything new.
    pub read_only: bool,
    /// Searches that made the server log an SQL error.
    pub sql_errors: usize,
    /// Saving a meeting with a contact does not put it into the contact's list.
    pub saves_no_tie: bool,
    /// The module of addresses is not shown to this client.
    pub hides_addresses: bool,
}

fn refused(detail: &str) -> Answer {
    Answer::json(400, &json!({ "errors": { "status": 400, "title": null, "detail": detail } }))
}

/// The sentence stands behind the JSON once more.
fn database_failure() -> Answer {
    let said = "Database failure. Please refer to suitecrm.log for details.";
    let mut answer = refused(said);
    answer.body.extend_from_slice(said.as_bytes());
    answer
}

fn said(message: &str) -> Value {
    json!({ "meta": { "message": message }, "data": [] })
}

fn singular(name: &str) -> &str {
    name.trim_end_matches('s')
}

/// As V8 shows a time.
fn atom(text: &str) -> Option<String> {
    read_sql_time(text).map(|_| format!("{}+00:00", text.replace(' ', "T")))
}

/// The values of a form of PHP: `filter[name][eq]` is the parts `name`, `eq`.
fn bracketed<'a>(asked: &'a Asked, head: &str) -> Vec<(Vec<&'a str>, &'a str)> {
    let parts = |name: &'a str| Some(name.strip_prefix(head)?.trim_matches(['[', ']']).split("][").collect());
    asked.query.iter().filter_map(|(name, value)| Some((parts(name)?, value.as_str()))).collect()
}

impl FakeSuite {
    fn log_in(&mut self, asked: &Asked, now: Timestamp) -> Answer {
        let body = asked.json().unwrap_or_default();
        let value =
            |name: &str| body[name].as_str().map(str::to_owned).or_else(|| asked.form_value(name)).unwrap_or_default();
        if value("grant_type") != "client_credentials" {
            let body = json!({ "error": "unsupported_grant_type", "message": "The grant type is not supported." });
            return Answer::json(400, &body);
        }
        let by_header = asked.header("authorization") == Some(BASIC);
        if !by_header && (value("client_id") != CLIENT || value("client_secret") != SECRET) {
            let body = json!({ "error": "invalid_client", "message": "Client authentication failed" });
            return Answer::json(401, &body);
        }
        self.given += 1;
        let token = format!("eyJ0.{}.sig", self.given);
        self.tokens.insert(token.clone(), now.as_second() + LASTS);
        Answer::json(200, &json!({ "token_type": "Bearer", "expires_in": LASTS, "access_token": token }))
    }

    fn shown(&self, name: &str, bean: &Bean, fields: &[&str]) -> Value {
        let mut all = Map::new();
        for field in self.beans.fields(name).iter().filter(|field| fields.is_empty() || fields.contains(field)) {
            let value = match bean.get(*field) {
                Some(text) => atom(text).unwrap_or_else(|| text.clone()).into(),
                None if field.starts_with("date_") => Value::Null,
                None => "".into(),
            };
            if *field != "id" {
                all.insert((*field).to_owned(), value);
            }
        }
        let link = format!("V8/module/{name}/{}/relationships/contacts", bean["id"]);
        json!({
            "type": singular(name), "id": bean["id"], "attributes": all,
            "relationships": { "Contacts": { "links": { "related": link } } },
        })
    }

    /// Which fields of the module are asked for.
    fn fields<'a>(&self, name: &str, asked: &'a Asked) -> Result<Vec<&'a str>, Answer> {
        let wanted = asked.param(&format!("fields[{name}]")).unwrap_or_default();
        let wanted: Vec<&str> = wanted.split(',').filter(|field| !field.is_empty()).collect();
        let known = self.beans.fields(name);
        match wanted.iter().find(|field| !known.contains(field)) {
            Some(unknown) => {
                let of = singular(name);
                Err(refused(&format!("The following field in {of} module is not found: {unknown}")))
            }
            None => Ok(wanted),
        }
    }

    /// The module of addresses: whether anybody has one, and no way to whom.
    fn addresses(&self, asked: &Asked) -> Answer {
        if self.hides_addresses {
            return refused("The API user does not have access to this module.");
        }
        let wanted = asked.param("filter[email_address_caps][eq]").unwrap_or_default();
        let all = self.beans.live("Contacts").filter_map(|bean| bean.get("email1"));
        if !all.into_iter().any(|own| own.to_uppercase() == wanted) {
            return Answer::json(200, &said("Request was successful, but there is no result"));
        }
        let one = json!({ "type": "EmailAddress", "id": "ea-1", "attributes": { "email_address": "" } });
        Answer::json(200, &json!({ "meta": { "total-pages": 1, "records-on-this-page": 1 }, "data": [one] }))
    }

    fn list(&mut self, name: &'static str, asked: &Asked) -> Answer {
        let fields = match self.fields(name, asked) {
            Ok(fields) => fields,
            Err(answer) => return answer,
        };
        let (mut conditions, mut any) = (Vec::new(), false);
        for (parts, value) in bracketed(asked, "filter") {
            match parts.as_slice() {
                ["operator"] => any = value.eq_ignore_ascii_case("or"),
                [field, _] if !self.beans.fields(name).contains(field) => {
                    let of = singular(name);
                    return refused(&format!("Filter field {field} in {of} module is not found"));
                }
                [field, operator] => conditions.push((*field, operator.to_lowercase(), value)),
                [""] => {}
                _ => return refused("Filter must be an array"),
            }
        }
        let known = ["eq", "neq", "gt", "gte", "lt", "lte", "like"];
        if let Some((_, other, _)) = conditions.iter().find(|(_, operator, _)| !known.contains(&&**operator)) {
            return refused(&format!("Filter operator {other} is invalid"));
        }
        let holds = |bean: &Bean, (field, operator, value): &(&str, String, &str)| {
            let own = bean.get(*field).map(String::as_str).unwrap_or_default();
            let (small, value) = (own.to_lowercase(), value.to_lowercase());
            match &**operator {
                "eq" => small == value,
                "neq" => small != value,
                "gt" => small > value,
                "gte" => small >= value,
                "lt" => small < value,
                "lte" => small <= value,
                _ => like(own, &value),
            }
        };
        if conditions.iter().any(|(field, ..)| *field == "email1") {
            self.sql_errors += 1;
        }
        let in_bin = conditions.iter().any(|(field, _, value)| *field == "deleted" && *value == "1");
        let mut found: Vec<&Bean> = self
            .beans
            .all(name)
            .iter()
            .filter(|bean| (bean["deleted"] == "1") == in_bin)
            .filter(|bean| {
                let mut met = conditions.iter().map(|condition| holds(bean, condition));
                conditions.is_empty() || if any { met.any(|met| met) } else { met.all(|met| met) }
            })
            .collect();
        if let Some(sort) = asked.param("sort") {
            found.sort_by_key(|bean| bean.get(sort.trim_start_matches('-')).cloned().unwrap_or_default());
            if sort.starts_with('-') {
                found.reverse();
            }
        }
        if conditions.iter().any(|(field, ..)| *field == "email1") {
            // A join with the addresses: a contact comes once for each.
            found = found.into_iter().flat_map(|bean| [bean, bean]).collect();
        }
        let page = |part: &str| asked.param(&format!("page[{part}]")).and_then(|n| n.parse::<usize>().ok());
        let (size, number) = (page("size"), page("number").unwrap_or(1).max(1));
        let most = size.unwrap_or(20);
        if let Some(binned) = found.iter().skip((number - 1) * most).take(most).find(|bean| bean["deleted"] == "1") {
            // Each row is read once more, and one in the bin is not there.
            return refused(&format!("{name} module with id {} is not found", binned["id"]));
        }
        let records: Vec<Value> =
            found.iter().skip((number - 1) * most).take(most).map(|bean| self.shown(name, bean, &fields)).collect();
        if records.is_empty() {
            return Answer::json(200, &said("Request was successful, but there is no result"));
        }
        let pages = found.len().div_ceil(most);
        Answer::json(
            200,
            &json!({ "meta": { "total-pages": pages, "records-on-this-page": records.len() }, "data": records }),
        )
    }

    /// `POST /module` creates, `PATCH /module` changes.
    fn write(&mut self, create: bool, asked: &Asked, now: Timestamp) -> Answer {
        let data = asked.json().unwrap_or_default()["data"].take();
        let Some(name) = data["type"].as_str().and_then(module) else {
            return refused("Module Nothing does not exist");
        };
        let known = self.beans.fields(name);
        if !self.beans.may_write(name) {
            let body = json!({ "errors": { "status": 403, "title": null, "detail": "Access denied" } });
            return Answer::json(403, &body);
        }
        let empty = Map::new();
        let attributes = data["attributes"].as_object().unwrap_or(&empty);
        let given = data["id"].as_str();
        let is_uuid = |id: &str| id.len() == 36 && id.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
        if given.is_some_and(|id| !is_uuid(id)) || (!create && given.is_none()) {
            return refused("The option \"id\" with value is invalid.");
        }
        if let Some(unknown) =
            attributes.keys().find(|field| !known.contains(&field.as_str()) && *field != "contact_id")
        {
            return refused(&format!("Property {unknown} in {} module is invalid", singular(name)));
        }
        let mut values = Bean::new();
        for (field, value) in attributes {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            // A time in any other form than the database's is accepted, and is NULL from then on.
            if (field == "date_start" || field == "date_end") && read_sql_time(&text).is_none() {
                continue;
            }
            values.insert(field.clone(), text);
        }
        let id = match given {
            Some(id) if create && self.beans.any(name, id).is_some() => {
                return refused(&format!("Bean {name} with id {id} is already exist"));
            }
            Some(id) if !create && self.beans.get(name, id).is_none() => {
                return refused(&format!("{name} module with id {id} is not found"));
            }
            Some(id) => id.to_owned(),
            None => self.beans.fresh_id(),
        };
        let too_much = values.get("name").is_some_and(|name| name.contains(POISON_TILL));
        if too_much || self.read_only {
            return database_failure();
        }
        if self.beans.is_demanded(name) {
            return refused("Ivan's meeting lacks its department");
        }
        if create {
            self.beans.insert(name, &id, now);
        }
        self.beans.update(name, &id, &values, now);
        let mut shown = self.shown(name, self.beans.get(name, &id).unwrap(), &[]);
        // Saving it adds the contact to its links, if there is one; and the answer has their name.
        if let Some(contact) = values.get("contact_id") {
            let is_there = self.beans.get("Contacts", contact).is_some();
            if is_there && !self.saves_no_tie {
                self.beans.tie(&id, contact);
            }
            shown["attributes"]["contact_name"] = (if is_there { "Иван Соколов" } else { "" }).into();
        }
        Answer::json(201, &json!({ "data": shown }))
    }

    fn relate(&mut self, meeting: &str, asked: &Asked) -> Answer {
        let data = asked.json().unwrap_or_default()["data"].take();
        let (kind, contact) = (data["type"].as_str().unwrap_or_default(), data["id"].as_str().unwrap_or_default());
        for (name, id) in [("Meetings", meeting), ("Contacts", contact)] {
            if kind != "Contacts" || self.beans.get(name, id).is_none() {
                return refused(&format!("{name} module with id {id} is not found"));
            }
        }
        self.beans.tie(meeting, contact);
        let message = format!("Contact with id {contact} has been added to Meeting with id {meeting}");
        Answer::json(201, &said(&message))
    }

    fn meta(&self, parts: &[&str]) -> Answer {
        let attributes: Map<String, Value> = match parts {
            ["modules"] => ["Contacts", "Meetings"]
                .map(|name| {
                    let rights = json!(["access", "delete", "edit", "export", "import", "list", "massupdate", "view"]);
                    (name.to_owned(), json!({ "label": name, "access": rights }))
                })
                .into_iter()
                .collect(),
            ["fields", name] => match module(name) {
                Some(name) => self
                    .beans
                    .fields(name)
                    .iter()
                    .map(|field| ((*field).to_owned(), json!({ "type": "varchar", "required": false })))
                    .collect(),
                None => return refused("The API user does not have access to this module."),
            },
            _ => return Answer::html(404, "<h1>Not Found</h1>"),
        };
        let kind = parts[0];
        Answer::json(200, &json!({ "data": { "type": kind, "id": "", "attributes": attributes } }))
    }

    fn record(&mut self, name: &'static str, id: &str, asked: &Asked, now: Timestamp) -> Answer {
        if self.beans.get(name, id).is_none() {
            return refused(&format!("{name} module with id {id} is not found"));
        }
        match &*asked.method {
            "GET" => match self.fields(name, asked) {
                Ok(fields) => {
                    Answer::json(200, &json!({ "data": self.shown(name, self.beans.get(name, id).unwrap(), &fields) }))
                }
                Err(answer) => answer,
            },
            "DELETE" => {
                self.beans.remove(name, id, now);
                Answer::json(200, &said(&format!("Record with id {id} is deleted")))
            }
            _ => Answer::html(405, "<h1>Method not allowed</h1>"),
        }
    }

    /// The rows at the other end, whole, by pages.
    fn related(&self, name: &str, id: &str, asked: &Asked) -> Answer {
        if self.beans.get(name, id).is_none() {
            return refused(&format!("{name} module with id {id} is not found"));
        }
        let (other, all) = match name {
            "Contacts" => ("Meetings", self.beans.meetings_of(id)),
            _ => ("Contacts", self.beans.contacts_of(id)),
        };
        let page = |part: &str| asked.param(&format!("page[{part}]")).and_then(|n| n.parse::<usize>().ok());
        let size = page("size").unwrap_or(all.len().max(1));
        let shown = all.iter().skip((page("number").unwrap_or(1) - 1) * size).take(size);
        let shown: Vec<Value> = shown.map(|bean| self.shown(other, bean, &[])).collect();
        if shown.is_empty() {
            return Answer::json(200, &json!({ "meta": { "message": "There is no relationship set" } }));
        }
        let meta = json!({ "total-pages": all.len().div_ceil(size), "records-on-this-page": shown.len() });
        Answer::json(200, &json!({ "meta": meta, "data": shown }))
    }
}

impl FakeRecords for FakeSuite {
    fn raw(&self, record: &str) -> Option<String> {
        self.beans.raw(record)
    }

    fn plant(&mut self, record: &str, contact: &str, now: Timestamp) {
        self.beans.plant(record, contact, now);
    }

    fn remark(&mut self, _: &str, _: &str) -> bool {
        false
    }
}

impl FakeCrm for FakeSuite {
    of_its_beans!("suitecrm", escaped);

    fn answer(&mut self, asked: &Asked, now: Timestamp) -> Answer {
        let path = asked.path.strip_prefix("/legacy").unwrap_or(&asked.path);
        let Some(path) = path.strip_prefix("/Api/") else { return Answer::html(404, "<h1>Not Found</h1>") };
        if path == "access_token" {
            return self.log_in(asked, now);
        }
        if asked.bearer().and_then(|token| self.tokens.get(token)).is_none_or(|until| *until <= now.as_second()) {
            let body = json!({
                "error": "access_denied", "message": "The resource owner or authorization server denied the request.",
                "hint": "Access token is invalid",
            });
            return Answer::json(401, &body);
        }
        let parts: Vec<&str> = path.trim_end_matches('/').split('/').collect();
        match (&*asked.method, parts.as_slice()) {
            ("POST", ["V8", "logout"]) => {
                self.tokens.clear();
                Answer::json(200, &said("You have been successfully logged out"))
            }
            ("GET", ["V8", "meta", rest @ ..]) => self.meta(rest),
            ("POST", ["V8", "module"]) => self.write(true, asked, now),
            ("PATCH", ["V8", "module"]) => self.write(false, asked, now),
            ("POST", ["V8", "module", "Meetings", id, "relationships"]) => self.relate(id, asked),
            ("GET", ["V8", "module", name, id, "relationships", _]) => self.related(name, id, asked),
            ("GET", ["V8", "current-user"]) => {
                Answer::json(200, &json!({ "data": { "type": "User", "id": "u-snova", "attributes": {} } }))
            }
            ("GET", ["V8", "module", "EmailAddresses"]) => self.addresses(asked),
            ("GET", ["V8", "module", name]) if module(name).is_some() => self.list(module(name).unwrap(), asked),
            (_, ["V8", "module", name, id]) if module(name).is_some() => {
                self.record(module(name).unwrap(), id, asked, now)
            }
            _ => Answer::html(404, "<h1>Not Found</h1>"),
        }
    }

    fn expire_tokens(&mut self) {
        self.tokens.clear();
    }

    fn is_visit_write(&self, asked: &Asked) -> bool {
        asked.method == "POST" && asked.path.ends_with("/V8/module") && asked.text().contains("\"Meetings\"")
    }

    fn visits(&self) -> Vec<FakeVisit> {
        self.beans.visits("id")
    }

    fn config(&self, url: &str, ca_file: &str) -> String {
        format!(
            "[crm]\nkind = \"suitecrm\"\nca_file = \"{ca_file}\"\n[crm.suitecrm]\nurl = \"{url}\"\n\
             client_id = \"{CLIENT}\"\n[crm.suitecrm.fields]\npatronymic = \"patronymic_c\"\n\
             tier = \"loyalty_tier_c\"\noffer = \"offer_c\"\nvisits = \"visits_c\"\n"
        )
    }

    fn secrets(&self) -> Vec<(&'static str, String)> {
        vec![("crm/suitecrm/client-secret", SECRET.to_owned())]
    }
}
