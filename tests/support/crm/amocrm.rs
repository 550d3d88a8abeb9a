//! An amoCRM account: OAuth with refresh tokens of one use, contacts with numbered fields, notes, and its refusals.
//!
//! After amocrm.ru's developer pages and what its PHP client expects. It takes the same note twice, ignores the filter
//! by field, answers 204 for nothing, and shuts out who does not heed its 429.

mod contacts;
mod notes;
mod office;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use snova::crm::{erased_text, void_text};
use snova::i18n::Language;

use super::{Answer, Asked, FakeContact, FakeCrm, FakeVisit};

const LONG_LIVED: &str = "amo-long-lived-5d1c";
const CLIENT: &str = "0f6a2c1e-amo-client";
const SECRET: &str = "amo-client-secret-91be";
const REDIRECT: &str = "https://example.com/amo";
const FIRST_REFRESH: &str = "def50200-first";
/// Who was taken back: nobody any more.
const RETIRED: &str = "Дубль (Snova)";
/// What it allows in a second, and how many refusals are heard before the door is shut.
const A_SECOND: usize = 7;
const PATIENCE: usize = 10;

/// (number, code, kind, name)
const FIELDS: &[(i64, Option<&str>, &str, &str)] = &[
    (11, Some("PHONE"), "multitext", "Телефон"),
    (12, Some("EMAIL"), "multitext", "Email"),
    (9001, None, "text", "Snova"),
    (9002, None, "text", "Отчество"),
    (9003, None, "select", "Уровень"),
    (9004, None, "text", "Предложение"),
    (9005, None, "birthday", "День рождения"),
    (9006, None, "numeric", "Визиты"),
    (9007, None, "textarea", "Предпочтения"),
];

type Row = Map<String, Value>;
/// As [`FIELDS`].
type Field = (i64, Option<String>, String, String);

/// The account's memory.
pub struct FakeAmoCrm {
    /// Fields that were made since.
    made: Vec<Field>,
    events: Vec<Row>,
    demands_field: bool,
    lacks_right: bool,
    contacts: Vec<Row>,
    notes: Vec<Row>,
    owners: Vec<String>,
    next_id: i64,
    /// Access tokens given out, with their ends.
    tokens: BTreeMap<String, Timestamp>,
    refresh: String,
    given: u64,
    recent: VecDeque<Timestamp>,
    refusals: usize,
    quirks: Quirks,
}

/// How an account may differ from the usual.
#[derive(Clone, Copy, Default)]
pub struct Quirks {
    /// A box of this fake logs in by OAuth.
    pub by_oauth: bool,
    /// Text fields take a value and keep nothing.
    pub forgetful: bool,
    /// 400 names no row.
    pub nameless: bool,
    /// Notes and contacts cannot be filtered by their ids: the filter is read and ignored.
    pub no_filter_by_id: bool,
    /// Of two merged contacts the survivor's fields alone are kept, empty or not.
    pub merge_forgets: bool,
    /// The integration's owner is no administrator: no fields are made, and no events are read.
    pub no_admin: bool,
}

impl Default for FakeAmoCrm {
    fn default() -> Self {
        Self {
            made: Vec::new(),
            events: Vec::new(),
            demands_field: false,
            lacks_right: false,
            contacts: Vec::new(),
            notes: Vec::new(),
            owners: Vec::new(),
            next_id: 100,
            tokens: BTreeMap::new(),
            refresh: FIRST_REFRESH.to_owned(),
            given: 0,
            recent: VecDeque::new(),
            refusals: 0,
            quirks: Quirks::default(),
        }
    }
}

fn problem(status: u16, title: &str, detail: &str, errors: Option<Value>) -> Answer {
    let mut body = json!({ "title": title, "type": format!("https://httpstatus.es/{status}"), "status": status, "detail": detail });
    if let Some(errors) = errors {
        body["validation-errors"] = errors;
    }
    Answer {
        headers: vec![("content-type".to_owned(), "application/problem+json".to_owned())],
        ..Answer::json(status, &body)
    }
}

fn not_found() -> Answer {
    problem(404, "Not Found", "Entity not found", None)
}

fn bad(request_id: &Value, code: &str, path: &str) -> Value {
    json!({ "request_id": request_id, "errors": [{ "code": code, "path": path, "detail": "This value is not valid." }] })
}

fn number(text: &str) -> Option<i64> {
    text.parse().ok()
}

fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

fn quoted(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// A list, page by page; nothing is 204.
fn listed(asked: &Asked, name: &str, rows: Vec<Row>) -> Answer {
    let limit = asked.param("limit").and_then(number).unwrap_or(50).clamp(1, 250) as usize;
    let page = asked.param("page").and_then(number).unwrap_or(1).max(1) as usize;
    let more = rows.len() > page * limit;
    let rows: Vec<Row> = rows.into_iter().skip((page - 1) * limit).take(limit).collect();
    if rows.is_empty() {
        return Answer::empty(204);
    }
    let mut body = json!({ "_page": page, "_links": { "self": { "href": asked.path } }, "_embedded": { name: rows } });
    if more {
        // The next page has the same host, filters and order: clients follow it as it stands.
        let kept = asked.query.iter().filter(|(name, _)| name != "page" && name != "limit");
        let kept: String = kept.map(|(name, value)| format!("&{}={}", quoted(name), quoted(value))).collect();
        let host = asked.header("host").unwrap_or("localhost");
        body["_links"]["next"] =
            json!({ "href": format!("https://{host}{}?limit={limit}&page={}{kept}", asked.path, page + 1) });
    }
    Answer::json(200, &body)
}

/// Values of `name[]` or `name[0]`, or of `name` itself.
fn many<'a>(asked: &'a Asked, name: &str) -> Vec<&'a str> {
    let is_it = |own: &str| own.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('['));
    asked.query.iter().filter(|(own, _)| is_it(own)).map(|(_, value)| value.as_str()).collect()
}

impl FakeAmoCrm {
    pub fn of(quirks: Quirks) -> Self {
        Self { quirks, ..Self::default() }
    }

    fn exchange(&mut self, asked: &Asked, now: Timestamp) -> Answer {
        let Some(body) = asked.json() else { return problem(400, "Bad Request", "not JSON", None) };
        let is = |name: &str, value: &str| body[name] == value;
        if !is("client_id", CLIENT) || !is("client_secret", SECRET) || !is("redirect_uri", REDIRECT) {
            return problem(401, "Unauthorized", "Client authentication failed", None);
        }
        if !is("grant_type", "refresh_token") || body["refresh_token"] != self.refresh.as_str() {
            let mut answer = problem(401, "Unauthorized", "Token has been revoked", None);
            answer.body = json!({ "hint": "Token has been revoked", "title": "Unauthorized", "status": 401 })
                .to_string()
                .into_bytes();
            return answer;
        }
        self.given += 1;
        let access = format!("amo-access-{}", self.given);
        self.refresh = format!("def50200-{}", self.given);
        self.tokens.insert(access.clone(), now.checked_add(Duration::from_secs(86_400)).unwrap());
        Answer::json(
            200,
            &json!({
                "token_type": "Bearer", "expires_in": 86_400, "access_token": access, "refresh_token": self.refresh,
                "server_time": now.as_second(),
            }),
        )
    }

    fn fresh_id(&mut self) -> i64 {
        self.next_id += 1;
        self.next_id
    }

    fn at(&self, id: &str) -> Option<usize> {
        let id = number(id)?;
        self.contacts.iter().position(|row| row["id"] == id)
    }

    fn people(&self, asked: &Asked, id: Option<&str>) -> Answer {
        let rows: Vec<Row> = (1i64..)
            .zip(&self.owners)
            .map(|(id, name)| json!({ "id": id, "name": name, "email": "x@example.com" }).as_object().cloned().unwrap())
            .collect();
        match id {
            None => listed(asked, "users", rows),
            Some(id) => rows
                .into_iter()
                .find(|row| number(id) == row["id"].as_i64())
                .map_or_else(not_found, |row| Answer::json(200, &row.into())),
        }
    }

    /// Seven a second; refusals that are not heeded shut the door for good.
    fn too_fast(&mut self, now: Timestamp) -> bool {
        let second_ago = now.checked_sub(Duration::from_secs(1)).unwrap();
        self.recent.retain(|at| *at > second_ago);
        self.recent.push_back(now);
        let is_too_fast = self.recent.len() > A_SECOND;
        self.refusals += usize::from(is_too_fast);
        is_too_fast
    }
}

impl FakeCrm for FakeAmoCrm {
    fn answer(&mut self, asked: &Asked, now: Timestamp) -> Answer {
        if self.refusals > PATIENCE {
            return self.blocked();
        }
        if self.too_fast(now) {
            return self.throttled();
        }
        if asked.path == "/oauth2/access_token" && asked.method == "POST" {
            return self.exchange(asked, now);
        }
        let bearer = asked.bearer().unwrap_or_default();
        if bearer != LONG_LIVED && self.tokens.get(bearer).is_none_or(|until| *until <= now) {
            return problem(401, "Unauthorized", "Wrong credentials", None);
        }
        let Some(path) = asked.path.strip_prefix("/api/v4/") else { return not_found() };
        let parts: Vec<&str> = path.trim_end_matches('/').split('/').collect();
        match (asked.method.as_str(), parts.as_slice()) {
            ("GET", ["account"]) => {
                Answer::json(200, &json!({ "id": 1, "name": "Магазин", "subdomain": "shop", "current_user_id": 1 }))
            }
            ("GET", ["users"]) => self.people(asked, None),
            ("GET", ["users", id]) => self.people(asked, Some(id)),
            (_, ["contacts", "custom_fields", rest @ ..]) => self.custom_fields(rest.first().copied(), asked),
            ("GET", ["events"]) => self.list_events(asked),
            ("POST" | "PATCH", ["contacts", .., "notes"]) if self.lacks_right => {
                problem(403, "Forbidden", "Access denied", None)
            }
            ("GET", ["contacts"]) => listed(asked, "contacts", self.search(asked)),
            ("POST" | "PATCH", ["contacts"]) => self.write_contacts(asked, now),
            ("GET", ["contacts", "notes"]) => self.list_notes(None, asked),
            ("POST", ["contacts", "notes"]) => self.write_notes(None, asked, now),
            ("PATCH", ["contacts", "notes"]) => self.change_notes(asked, now),
            ("GET", ["contacts", "notes", id]) => self.note(id),
            ("GET" | "PATCH", ["contacts", contact, "notes", id]) => self.one_note(contact, id, asked, now),
            (method, ["contacts", contact, rest @ ..]) => match (method, self.at(contact), rest) {
                ("GET", None, []) => Answer::empty(204),
                (_, None, _) => not_found(),
                ("GET", Some(at), []) => Answer::json(200, &Value::Object(self.contacts[at].clone())),
                ("PATCH", Some(at), []) => {
                    let change = asked.json().unwrap_or_default();
                    let faults = self.faults(&change, "");
                    if !faults.is_empty() {
                        return problem(400, "Bad Request", "Request validation failed", Some(faults.into()));
                    }
                    self.put(at, &change, now);
                    Answer::json(200, &json!({ "id": number(contact), "updated_at": now.as_second() }))
                }
                ("GET", Some(_), ["notes"]) => self.list_notes(number(contact), asked),
                ("POST", Some(_), ["notes"]) => self.write_notes(number(contact), asked, now),
                _ => problem(405, "Method Not Allowed", "Method Not Allowed", None),
            },
            _ => not_found(),
        }
    }

    fn throttled(&self) -> Answer {
        let headers = vec![("content-type".to_owned(), "text/plain".to_owned())];
        Answer { status: 429, headers, body: b"Too Many Requests".to_vec() }
    }

    fn blocked(&self) -> Answer {
        Answer::html(
            403,
            "<html><head><title>403 Forbidden</title></head><body><center><h1>403 Forbidden</h1></center><hr><center>nginx</center></body></html>",
        )
    }

    fn expire_tokens(&mut self) {
        // The long-lived token is nobody's to expire but the administrator's.
        self.tokens.clear();
    }

    fn is_visit_write(&self, asked: &Asked) -> bool {
        asked.method == "POST" && asked.path.starts_with("/api/v4/contacts/") && asked.path.ends_with("/notes")
    }

    fn visits(&self) -> Vec<FakeVisit> {
        let visit = |row: &Row| {
            let text = row["params"]["text"].as_str()?;
            let key = text.split("#visit:").nth(1)?.get(..36)?.to_owned();
            let uuid = key.parse().ok()?;
            let says = |of: fn(Language, uuid::Uuid) -> String| {
                [Language::Russian, Language::Ukrainian, Language::English]
                    .into_iter()
                    .any(|language| of(language, uuid) == text)
            };
            Some(FakeVisit {
                contact: row["entity_id"].to_string(),
                opened_at: row["created_at"].as_i64().and_then(|at| Timestamp::from_second(at).ok()),
                void: says(void_text),
                erased: says(erased_text) && !row["params"].to_string().contains("till"),
                key,
            })
        };
        self.notes.iter().filter_map(visit).collect()
    }

    fn add_contact(&mut self, contact: FakeContact, now: Timestamp) -> String {
        let at = self.new_row(now);
        let id = self.contacts[at]["id"].to_string();
        self.change_contact(&id, &|there| *there = contact.clone(), now);
        id
    }

    fn change_contact(&mut self, id: &str, change: &dyn Fn(&mut FakeContact), now: Timestamp) {
        self.edit(id, change, now);
    }

    fn contact(&self, id: &str) -> Option<FakeContact> {
        self.card(id)
    }

    fn all_contacts(&self) -> Vec<(String, FakeContact)> {
        let ids = self.contacts.iter().filter(|row| row["first_name"] != RETIRED).map(|row| row["id"].to_string());
        ids.filter_map(|id| Some((id.clone(), self.card(&id)?))).collect()
    }

    fn bin_contact(&mut self, id: &str, now: Timestamp) {
        self.lose(id, "contact_deleted", &json!([]), now);
    }

    fn merge_contacts(&mut self, loser: &str, survivor: &str, now: Timestamp) {
        self.merge(loser, survivor, now);
    }

    fn demand_field(&mut self, on: bool) {
        self.demands_field = on;
    }

    fn take_right(&mut self, taken: bool) {
        self.lacks_right = taken;
    }

    fn told(&self, id: &str) -> snova::crm::Told {
        self.told_of(id)
    }

    fn told_config(&mut self) -> String {
        self.fields_of_told()
    }

    fn contacts(&self) -> usize {
        self.all_contacts().len()
    }

    fn heartbeats(&self) -> usize {
        0
    }

    fn config(&self, url: &str, ca_file: &str) -> String {
        let app = if self.quirks.by_oauth {
            format!("client_id = \"{CLIENT}\"\nredirect_uri = \"{REDIRECT}\"\n")
        } else {
            String::new()
        };
        format!(
            "[crm]\nkind = \"amocrm\"\nca_file = \"{ca_file}\"\n[crm.amocrm]\nurl = \"{url}\"\n{app}[crm.amocrm.fields]\n\
             external_id = \"9001\"\npatronymic = \"9002\"\ntier = \"9003\"\noffer = \"9004\"\nbirthday = \"9005\"\nvisits = \"9006\"\n\
             notes = \"9007\"\n"
        )
    }

    fn secrets(&self) -> Vec<(&'static str, String)> {
        if self.quirks.by_oauth {
            return vec![
                ("crm/amocrm/client-secret", SECRET.to_owned()),
                ("crm/amocrm/refresh-token", self.refresh.clone()),
            ];
        }
        vec![("crm/amocrm/token", LONG_LIVED.to_owned())]
    }
}
