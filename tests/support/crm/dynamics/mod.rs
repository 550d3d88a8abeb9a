//! A Dynamics environment: Microsoft's login, tables with primary and alternate keys, conditions, change tracking, and
//! the limits of the service.
//!
//! After Microsoft's pages on the Dataverse Web API. The entity sets are `service`'s, batches `batch`'s, descriptions
//! of tables `definitions`'s, change tracking `tracking`'s.

mod actions;
mod batch;
mod definitions;
mod entities;
mod service;
mod tracking;

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;
use serde_json::{Value, json};

pub use entities::ENTITIES;

use super::odata::{self, Entity, Kind, Row, Tables};
use super::{Answer, Asked, FakeContact, FakeCrm, FakeVisit};

const TENANT: &str = "shop.onmicrosoft.com";
const CLIENT: &str = "0f3c4b1e-6d5a-4c2b-9e8f-7a6b5c4d3e2f";
const SECRET: &str = "dataverse~client-secret-31d8";
const TOKEN_S: i64 = 3599;
const ROOT: &str = "/api/data/v9.2";
/// The app's own user.
const APP_USER: &str = "aaaaaaaa-0000-4000-8000-000000000001";
/// Requests of a user in five minutes.
const MOST_REQUESTS: usize = 6000;
const WINDOW_S: i64 = 300;

/// Alternate keys of one column.
const KEYS: &[(&str, &str)] = &[("contact", "new_cardnumber"), ("new_snovadevice", "new_device")];

fn entity(name: &str) -> &'static Entity {
    ENTITIES.iter().find(|entity| entity.name == name).unwrap()
}

/// The environment's memory and its manners.
pub struct FakeDynamics {
    tables: BTreeMap<&'static str, Vec<Row>>,
    tokens: BTreeMap<String, Timestamp>,
    given: u64,
    /// Counts changes: rows keep the one that made them what they are.
    version: u64,
    deleted: Vec<(u64, &'static str, String)>,
    recent: VecDeque<Timestamp>,
    /// The names of the choice `new_tier`.
    tiers: Vec<String>,
    /// Whether contacts are tracked.
    pub tracks: bool,
    /// The state of the alternate keys' index: "Active", "Pending", "Failed".
    pub key_status: &'static str,
    /// Completed tasks must be opened before they can be cancelled.
    pub strict_transitions: bool,
    /// The next request that completes tasks fails: the box stopped between the two.
    pub loses_completion: bool,
    /// A header that what stands before the environment refuses.
    pub refuses_header: Option<&'static str>,
    /// `PATCH` makes no rows, as where a header of it is dropped on the way.
    pub only_updates: bool,
    /// Rows may not be given to others.
    pub keeps_owners: bool,
    /// The right to make columns.
    pub may_customise: bool,
    described: Tables,
    demands_field: bool,
    right_taken: bool,
}

/// The logical name of the column for a key of the configuration.
fn named(key: &str) -> String {
    format!("new_snova{}", key.replace('_', ""))
}

impl Default for FakeDynamics {
    fn default() -> Self {
        let mut tables: BTreeMap<&'static str, Vec<Row>> =
            ENTITIES.iter().map(|entity| (entity.name, Vec::new())).collect();
        let app = json!({ "systemuserid": APP_USER, "fullname": "# Snova" });
        tables.insert("systemuser", vec![app.as_object().unwrap().clone()]);
        let own = json!({ "organizationid": APP_USER, "languagecode": 1049 });
        tables.insert("organization", vec![own.as_object().unwrap().clone()]);
        Self {
            tables,
            tokens: BTreeMap::new(),
            given: 0,
            version: 1000,
            deleted: Vec::new(),
            recent: VecDeque::new(),
            tiers: Vec::new(),
            tracks: true,
            key_status: "Active",
            strict_transitions: false,
            loses_completion: false,
            refuses_header: None,
            only_updates: false,
            keeps_owners: false,
            may_customise: true,
            described: Tables::of(ENTITIES),
            demands_field: false,
            right_taken: false,
        }
    }
}

/// As every error looks.
fn error(status: u16, code: &str, message: &str) -> Answer {
    Answer::json(status, &json!({ "error": { "code": code, "message": message } }))
}

/// Of one length, so that stamps can be sorted as texts.
fn stamp(at: Timestamp) -> Value {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into()
}

impl FakeDynamics {
    fn fresh_id(&mut self) -> String {
        self.given += 1;
        uuid::Uuid::from_u128((0xda7a << 112) | u128::from(self.given)).to_string()
    }

    /// Visits of one contact become another's, or nobody's.
    fn retie(&mut self, from: &str, to: &Value, now: Timestamp) {
        for (table, column) in [("task", "_regardingobjectid_value"), ("new_storevisit", "_new_contact_value")] {
            for at in 0..self.rows(table).len() {
                let row = &mut self.tables.get_mut(table).unwrap()[at];
                if row.get(column) == Some(&from.into()) {
                    row.insert(column.to_owned(), to.clone());
                    self.touch(table, at, now);
                }
            }
        }
    }

    fn rows(&self, table: &str) -> &[Row] {
        self.tables.get(table).map(Vec::as_slice).unwrap_or_default()
    }

    /// A change of a row: its stamp and version.
    fn touch(&mut self, table: &'static str, at: usize, now: Timestamp) {
        self.version += 1;
        let version = self.version;
        let row = &mut self.tables.get_mut(table).unwrap()[at];
        row.insert("modifiedon".to_owned(), stamp(now));
        row.entry("createdon").or_insert_with(|| stamp(now));
        if table == "contact" {
            let parts = ["firstname", "lastname"].map(|name| row.get(name).and_then(Value::as_str).unwrap_or_default());
            let name = parts.join(" ").trim().to_owned();
            row.insert("fullname".to_owned(), name.into());
        }
        row.insert("#version".to_owned(), version.into());
    }

    fn log_in(&mut self, asked: &Asked, now: Timestamp) -> Answer {
        let value = |name: &str| asked.form_value(name).unwrap_or_default();
        let refuse = |code: &str, number: u32, text: &str| {
            Answer::json(
                400,
                &json!({ "error": code, "error_description": format!("AADSTS{number}: {text}"), "error_codes": [number] }),
            )
        };
        if asked.path != format!("/{TENANT}/oauth2/v2.0/token") {
            return refuse("invalid_request", 90002, "Tenant not found.");
        }
        if value("grant_type") != "client_credentials" {
            return refuse("unsupported_grant_type", 70003, "The app requested an unsupported grant type.");
        }
        if value("client_id") != CLIENT {
            return refuse("unauthorized_client", 700016, "Application was not found in the directory.");
        }
        if value("client_secret") != SECRET {
            let mut refused = refuse("invalid_client", 7000215, "Invalid client secret provided.");
            refused.status = 401;
            return refused;
        }
        let host = asked.header("host").unwrap_or("localhost");
        if value("scope").trim_end_matches("/.default").trim_end_matches('/') != format!("https://{host}") {
            return refuse("invalid_scope", 70011, "The provided value for the input parameter 'scope' is not valid.");
        }
        self.given += 1;
        let token = format!("eyJdataverse.{}", self.given);
        self.tokens.insert(token.clone(), now + jiff::SignedDuration::from_secs(TOKEN_S));
        let lasts =
            json!({ "token_type": "Bearer", "expires_in": TOKEN_S, "ext_expires_in": TOKEN_S, "access_token": token });
        Answer::json(200, &lasts)
    }

    /// How long this user must wait, if they asked too much.
    fn wait(&mut self, now: Timestamp) -> Option<i64> {
        let from = now - jiff::SignedDuration::from_secs(WINDOW_S);
        while self.recent.front().is_some_and(|at| *at <= from) {
            self.recent.pop_front();
        }
        self.recent.push_back(now);
        let first = *self.recent.front()?;
        (self.recent.len() > MOST_REQUESTS).then(|| (first - from).total(jiff::Unit::Second).unwrap_or(1.0) as i64 + 1)
    }

    fn tier(&mut self, name: &str) -> Value {
        if name.is_empty() {
            return Value::Null;
        }
        let at = self.tiers.iter().position(|own| own == name).unwrap_or_else(|| {
            self.tiers.push(name.to_owned());
            self.tiers.len() - 1
        });
        (100_000_000 + at).into()
    }

    /// How a value is shown to people.
    fn formatted(&self, column: &str, value: &Value) -> Option<String> {
        match column {
            "_ownerid_value" => {
                let owner = self.rows("systemuser").iter().find(|row| &row["systemuserid"] == value)?;
                owner["fullname"].as_str().map(str::to_owned)
            }
            "new_tier" => self.tiers.get(usize::try_from(value.as_u64()?).ok()? - 100_000_000).cloned(),
            "birthdate" => {
                let day: jiff::civil::Date = value.as_str()?.parse().ok()?;
                Some(format!("{}/{}/{}", day.month(), day.day(), day.year()))
            }
            "statecode" => Some(["Active", "Inactive", "Canceled"].get(value.as_u64()? as usize)?.to_string()),
            "new_visits" => Some(value.as_u64()?.to_string()),
            _ => None,
        }
    }
}

impl FakeCrm for FakeDynamics {
    fn answer(&mut self, asked: &Asked, now: Timestamp) -> Answer {
        if asked.method == "POST" && asked.path.ends_with("/oauth2/v2.0/token") {
            return self.log_in(asked, now);
        }
        if asked.path.ends_with("/.well-known/openid-configuration") {
            return Self::addresses();
        }
        let token = asked.bearer().and_then(|token| self.tokens.get(token));
        if token.is_none_or(|until| now >= *until) {
            return Answer::empty(401)
                .with("www-authenticate", "Bearer authorization_uri=https://login.microsoftonline.com");
        }
        if let Some(seconds) = self.wait(now) {
            let message = "Number of requests exceeded the limit of 6000 over time window of 300 seconds.";
            return error(429, "0x80072322", message).with("retry-after", &seconds.to_string());
        }
        let Some(rest) = asked.path.strip_prefix(ROOT).map(|rest| rest.trim_start_matches('/').to_owned()) else {
            return Answer::html(404, "<html><h1>404 - File or directory not found.</h1></html>");
        };
        let left = MOST_REQUESTS.saturating_sub(self.recent.len());
        let answer = if rest == "$batch" { self.batch(asked, now) } else { self.serve(&rest, asked, now) };
        answer.with("OData-Version", "4.0").with("x-ms-ratelimit-burst-remaining-xrm-requests", &left.to_string())
    }

    fn throttled(&self) -> Answer {
        error(429, "0x80072322", "Number of requests exceeded the limit of 6000 over time window of 300 seconds.")
            .with("retry-after", "30")
    }

    fn blocked(&self) -> Answer {
        Answer::html(403, "<html><body>Access to this environment is blocked by the IP firewall</body></html>")
    }

    fn expire_tokens(&mut self) {
        self.tokens.clear();
    }

    fn is_visit_write(&self, asked: &Asked) -> bool {
        let text = asked.text();
        let of =
            |set: &str| text.contains(&format!("PATCH {ROOT}/{set}(")) || text.contains(&format!("POST {ROOT}/{set} "));
        let direct = ["/tasks", "/new_storevisits"].iter().any(|set| asked.path.contains(set)) && asked.method != "GET";
        direct || (asked.path.ends_with("/$batch") && (of("tasks") || of("new_storevisits")))
    }

    fn visits(&self) -> Vec<FakeVisit> {
        let text = |row: &Row, name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let of = |row: &Row, key: &str, contact: &str, at: &str, void: bool| FakeVisit {
            key: text(row, key),
            contact: text(row, contact),
            opened_at: text(row, at).parse().ok(),
            void,
            erased: false,
        };
        let task = |row: &Row| {
            of(row, "activityid", "_regardingobjectid_value", "scheduledstart", row.get("statecode") == Some(&json!(2)))
        };
        let own = |row: &Row| {
            of(row, "new_storevisitid", "_new_contact_value", "new_at", row.get("new_void") == Some(&json!(true)))
        };
        self.rows("task").iter().map(task).chain(self.rows("new_storevisit").iter().map(own)).collect()
    }

    fn add_contact(&mut self, contact: FakeContact, now: Timestamp) -> String {
        let id = self.fresh_id();
        let row = json!({ "contactid": id, "statecode": 0, "statuscode": 1 }).as_object().unwrap().clone();
        self.tables.get_mut("contact").unwrap().push(row);
        self.change_contact(&id, &|there| *there = contact.clone(), now);
        id
    }

    fn change_contact(&mut self, id: &str, change: &dyn Fn(&mut FakeContact), now: Timestamp) {
        let mut contact = self.contact(id).unwrap();
        change(&mut contact);
        let owner = match self.rows("systemuser").iter().find(|row| row["fullname"] == contact.owner.as_str()) {
            _ if contact.owner.is_empty() => APP_USER.into(),
            Some(row) => row["systemuserid"].clone(),
            None => {
                let id = self.fresh_id();
                let row = json!({ "systemuserid": id, "fullname": contact.owner }).as_object().unwrap().clone();
                self.tables.get_mut("systemuser").unwrap().push(row);
                id.into()
            }
        };
        let tier = self.tier(&contact.tier);
        let at = self.rows("contact").iter().position(|row| row["contactid"] == id).unwrap();
        let row = &mut self.tables.get_mut("contact").unwrap()[at];
        for (column, value) in [
            ("new_snovacustomer", contact.external_id),
            ("firstname", contact.given),
            ("middlename", contact.patronymic),
            ("lastname", contact.family),
            ("mobilephone", contact.phone),
            ("emailaddress1", contact.email),
            ("description", contact.notes),
            ("new_offer", contact.offer),
            ("birthdate", contact.birthday),
        ] {
            row.insert(column.to_owned(), if value.is_empty() { Value::Null } else { value.into() });
        }
        row.insert("new_tier".to_owned(), tier);
        row.insert("new_visits".to_owned(), contact.visits.into());
        row.insert("_ownerid_value".to_owned(), owner);
        self.touch("contact", at, now);
    }

    fn contact(&self, id: &str) -> Option<FakeContact> {
        let row = self.rows("contact").iter().find(|row| row["contactid"] == id)?;
        let text = |name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let shown = |name: &str| row.get(name).and_then(|value| self.formatted(name, value)).unwrap_or_default();
        let owner =
            if row.get("_ownerid_value") == Some(&APP_USER.into()) { String::new() } else { shown("_ownerid_value") };
        Some(FakeContact {
            external_id: text("new_snovacustomer"),
            given: text("firstname"),
            patronymic: text("middlename"),
            family: text("lastname"),
            phone: text("mobilephone"),
            email: text("emailaddress1"),
            tier: shown("new_tier"),
            owner,
            notes: text("description"),
            offer: text("new_offer"),
            birthday: text("birthdate"),
            visits: row.get("new_visits").and_then(Value::as_u64).unwrap_or(0) as u32,
        })
    }

    fn contacts(&self) -> usize {
        self.rows("contact").len()
    }

    fn all_contacts(&self) -> Vec<(String, FakeContact)> {
        let live = self.rows("contact").iter().filter(|row| row["statecode"] == 0);
        let ids = live.map(|row| row["contactid"].as_str().unwrap().to_owned());
        ids.map(|id| (id.clone(), self.contact(&id).unwrap())).collect()
    }

    /// For good. What becomes of its tasks is the relationship's choice: here they stay, of nobody.
    fn bin_contact(&mut self, id: &str, now: Timestamp) {
        self.retie(id, &Value::Null, now);
        let at = self.rows("contact").iter().position(|row| row["contactid"] == id).unwrap();
        self.remove(entity("contact"), at);
    }

    /// The loser is deactivated and keeps all but what hangs on it; it takes tasks and changes as before.
    fn merge_contacts(&mut self, loser: &str, survivor: &str, now: Timestamp) {
        self.retie(loser, &survivor.into(), now);
        let at = self.rows("contact").iter().position(|row| row["contactid"] == loser).unwrap();
        let merged = json!({ "statecode": 1, "statuscode": 2, "merged": true, "_masterid_value": survivor });
        self.tables.get_mut("contact").unwrap()[at].extend(merged.as_object().unwrap().clone());
        self.touch("contact", at, now);
    }

    fn demand_field(&mut self, on: bool) {
        self.demands_field = on;
    }

    fn take_right(&mut self, taken: bool) {
        self.right_taken = taken;
    }

    fn told(&self, id: &str) -> snova::crm::Told {
        odata::told(self.rows("contact").iter().find(|row| row["contactid"] == id).unwrap(), &named)
    }

    fn told_config(&mut self) -> String {
        self.described.add_told("dynamics", ["contact", "task"], Kind::Date, &named)
    }

    fn heartbeats(&self) -> usize {
        self.rows("new_snovadevice").len()
    }

    fn config(&self, url: &str, ca_file: &str) -> String {
        format!(
            "[crm]\nkind = \"dynamics\"\nca_file = \"{ca_file}\"\n[crm.dynamics]\nurl = \"{url}\"\nlogin_url = \"{url}\"\n\
             tenant = \"{TENANT}\"\nclient_id = \"{CLIENT}\"\ndevice_table = \"new_snovadevices\"\n[crm.dynamics.fields]\n\
             tier = \"new_tier\"\noffer = \"new_offer\"\nvisits = \"new_visits\"\n"
        )
    }

    fn secrets(&self) -> Vec<(&'static str, String)> {
        vec![("crm/dynamics/client-secret", SECRET.to_owned())]
    }
}
