//! A Creatio site: both of its logins, its lists, contacts and activities, and what it is known to lie about.
//!
//! After academy.creatio.com and what the company's own command-line client guards itself against. The entity sets are
//! `service`'s. Which shape an error takes where, and what a repeated id is answered with, is not documented: here all
//! three shapes are in use.

mod entities;
mod service;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::Timestamp;
use serde_json::{Value, json};

pub use entities::ENTITIES;

use super::odata::{self, Kind, Row, Tables};
use super::{Answer, Asked, FakeContact, FakeCrm, FakeVisit};

const CLIENT: &str = "6F2DSNOVA";
const SECRET: &str = "creatio-client-secret-55c1";
pub const USER: &str = "Supervisor";
const PASSWORD: &str = "creatio-password-90ab";
pub const TODO: &str = "f51c4643-58e6-df11-971b-001d60e938c6";
pub const FINISHED: &str = "4bdbb88f-58e6-df11-971b-001d60e938c6";
pub const CANCELLED: &str = "201cfba8-58e6-df11-971b-001d60e938c6";
const NOT_STARTED: &str = "384d4b84-58e6-df11-971b-001d60e938c6";
const TOKEN_S: i64 = 3600;

/// The site's memory and its manners.
pub struct FakeCreatio {
    tables: BTreeMap<&'static str, Vec<Row>>,
    /// Employees: contacts too, and not among those that are counted.
    owners: Vec<Row>,
    tokens: BTreeMap<String, Timestamp>,
    sessions: BTreeMap<String, Timestamp>,
    given: u64,
    recent: VecDeque<Timestamp>,
    inserts: usize,
    lost: usize,
    /// .NET Framework has its services below `/0`.
    pub net_framework: bool,
    /// The most rows of one answer, whatever `$top` says.
    pub max_rows: usize,
    /// Each such insert of an activity is written and reported as failed; zero never.
    pub lies_each: usize,
    /// Filters are read and heeded by nobody, as that of a value in the wrong form.
    pub ignores_filters: bool,
    /// Activities are saved without their contact, and that is called a success.
    pub drops_contact: bool,
    pub most_per_second: usize,
    /// Parts of a batch in the verbose form that the vendor's pages show are refused, as a strict server does.
    pub strict: bool,
    /// What every insert of an activity is refused with.
    pub refuses: Option<(u16, &'static str)>,
    /// Keys of contacts that were deleted: they are kept, and not given again.
    deleted: BTreeSet<String>,
    described: Tables,
    demands_field: bool,
    right_taken: bool,
}

/// The code of the column for a key of the configuration.
fn named(key: &str) -> String {
    let parts = key.split('_').map(|part| part[..1].to_uppercase() + &part[1..]);
    format!("UsrSnova{}", parts.collect::<String>())
}

impl Default for FakeCreatio {
    fn default() -> Self {
        let mut tables: BTreeMap<&'static str, Vec<Row>> =
            ENTITIES.iter().map(|entity| (entity.name, Vec::new())).collect();
        let stamp = "2020-01-01T00:00:00Z";
        let mut list = |table: &'static str, rows: &[(&str, &str)]| {
            let row = |(id, name): &(&str, &str)| {
                json!({ "Id": id, "Name": name, "CreatedOn": stamp, "ModifiedOn": stamp }).as_object().unwrap().clone()
            };
            tables.insert(table, rows.iter().map(row).collect());
        };
        list("ActivityStatus", &[(NOT_STARTED, "Not started"), (FINISHED, "Completed"), (CANCELLED, "Canceled")]);
        list("ActivityCategory", &[(TODO, "To do"), ("42c74c49-58e6-df11-971b-001d60e938c6", "Meeting")]);
        Self {
            tables,
            owners: Vec::new(),
            tokens: BTreeMap::new(),
            sessions: BTreeMap::new(),
            given: 0,
            recent: VecDeque::new(),
            inserts: 0,
            lost: 0,
            net_framework: true,
            max_rows: 20_000,
            lies_each: 9,
            ignores_filters: false,
            drops_contact: false,
            most_per_second: 40,
            strict: false,
            refuses: None,
            deleted: BTreeSet::new(),
            described: Tables::of(ENTITIES),
            demands_field: false,
            right_taken: false,
        }
    }
}

impl FakeCreatio {
    fn fresh_id(&mut self) -> String {
        self.given += 1;
        uuid::Uuid::from_u128((0xc0ffee << 96) | u128::from(self.given)).to_string()
    }

    fn identity(&mut self, asked: &Asked, now: Timestamp) -> Answer {
        let value = |name: &str| asked.form_value(name).unwrap_or_default();
        if value("grant_type") != "client_credentials" {
            return Answer::json(400, &json!({ "error": "unsupported_grant_type" }));
        }
        if value("client_id") != CLIENT || value("client_secret") != SECRET {
            return Answer::json(400, &json!({ "error": "invalid_client" }));
        }
        self.given += 1;
        let token = format!("eyJcreatio.{}", self.given);
        self.tokens.insert(token.clone(), now + jiff::SignedDuration::from_secs(TOKEN_S));
        Answer::json(
            200,
            &json!({ "access_token": token, "expires_in": TOKEN_S, "token_type": "Bearer", "scope": "ApplicationAccess" }),
        )
    }

    /// A refused login is 200 with a code.
    fn form_login(&mut self, asked: &Asked, now: Timestamp) -> Answer {
        let body = asked.json().unwrap_or(Value::Null);
        if body["UserName"] != USER || body["UserPassword"] != PASSWORD {
            return Answer::json(
                200,
                &json!({
                    "Code": 1, "Message": "Invalid user name or password specified", "Exception": {
                        "HelpLink": null, "InnerException": null, "Message": "Invalid user name or password specified",
                        "StackTrace": null, "Type": "System.Security.SecurityException",
                    }, "PasswordChangeUrl": null, "RedirectUrl": null,
                }),
            );
        }
        self.given += 1;
        let session = format!("aspx{}", self.given);
        self.sessions.insert(session.clone(), now + jiff::SignedDuration::from_secs(TOKEN_S));
        Answer::json(
            200,
            &json!({ "Code": 0, "Message": "", "Exception": null, "PasswordChangeUrl": null, "RedirectUrl": null }),
        )
        .with("set-cookie", &format!(".ASPXAUTH={session}; path=/; HttpOnly; SameSite=Lax"))
        .with("set-cookie", &format!("BPMCSRF=csrf.{session}; path=/"))
        .with("set-cookie", "BPMLOADER=loader; path=/; HttpOnly")
        .with("set-cookie", "UserName=83|117|112; expires=Fri, 01-Jan-2100 00:00:00 GMT; path=/")
    }

    /// `None`: the request is let in.
    fn refused_login(&mut self, asked: &Asked, now: Timestamp) -> Option<Answer> {
        if let Some(token) = asked.bearer() {
            let lives = self.tokens.get(token).is_some_and(|until| now < *until);
            return (!lives).then(|| Answer::empty(401).with("www-authenticate", "Bearer error=\"invalid_token\""));
        }
        let cookie = |name: &str| {
            let all = asked.header("cookie").unwrap_or_default().to_owned();
            let found = all.split("; ").find_map(|pair| pair.strip_prefix(&format!("{name}="))).map(str::to_owned);
            found.unwrap_or_default()
        };
        let session = cookie(".ASPXAUTH");
        if self.sessions.get(&session).is_none_or(|until| now >= *until) {
            // The way to the login page, or at once the page.
            self.lost += 1;
            let page = "<!DOCTYPE html><html><head><title>Login</title></head><body id=\"login\"></body></html>";
            return Some(if self.lost.is_multiple_of(2) {
                Answer::html(200, page)
            } else {
                Answer::html(302, "<html><body>Object moved</body></html>").with("location", "/Login/NuiLogin.aspx")
            });
        }
        let guarded = asked.header("bpmcsrf").is_some_and(|value| value == cookie("BPMCSRF") && !value.is_empty());
        let forced = asked.header("forceusesession").is_some_and(|value| value.eq_ignore_ascii_case("true"));
        if !guarded || !forced {
            return Some(Answer::json(403, &json!({ "Message": "Access denied", "MessageDetail": "CSRF token" })));
        }
        None
    }

    fn is_too_fast(&mut self, now: Timestamp) -> bool {
        let from = now - jiff::SignedDuration::from_secs(1);
        while self.recent.front().is_some_and(|at| *at <= from) {
            self.recent.pop_front();
        }
        self.recent.push_back(now);
        self.recent.len() > self.most_per_second
    }

    /// The contact goes; its activities become another's, or nobody's.
    fn drop_contact(&mut self, id: &str, to: &Value, now: Timestamp) {
        self.tables.get_mut("Contact").unwrap().retain(|row| row["Id"] != id);
        self.deleted.insert(id.to_owned());
        for row in self.tables.get_mut("Activity").unwrap().iter_mut().filter(|row| row["ContactId"] == id) {
            row.insert("ContactId".to_owned(), to.clone());
            row.insert("ModifiedOn".to_owned(), service::stamp(now));
        }
    }

    fn rows(&self, table: &str) -> &[Row] {
        self.tables.get(table).map(Vec::as_slice).unwrap_or_default()
    }
}

impl FakeCrm for FakeCreatio {
    fn answer(&mut self, asked: &Asked, now: Timestamp) -> Answer {
        let path = asked.path.clone();
        match (asked.method.as_str(), path.as_str()) {
            ("POST", "/connect/token") => return self.identity(asked, now),
            ("POST", "/ServiceModel/AuthService.svc/Login") => return self.form_login(asked, now),
            (_, "/Login/NuiLogin.aspx") => return Answer::html(200, "<!DOCTYPE html><title>Login</title>"),
            _ => {}
        }
        if self.is_too_fast(now) {
            return self.throttled();
        }
        if let Some(refused) = self.refused_login(asked, now) {
            return refused;
        }
        let root = if self.net_framework { "/0/odata" } else { "/odata" };
        match path.strip_prefix(root) {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => {
                self.serve(&asked.method, rest.trim_start_matches('/'), &asked.query, asked, now)
            }
            _ => Answer::html(404, "<html><head><title>The resource cannot be found.</title></head></html>"),
        }
    }

    fn throttled(&self) -> Answer {
        Answer::html(429, "<html>Too Many Requests</html>")
    }

    fn blocked(&self) -> Answer {
        Answer::html(403, "<html><head><title>403 - Forbidden: Access is denied.</title></head></html>")
    }

    fn expire_tokens(&mut self) {
        self.tokens.clear();
        self.sessions.clear();
    }

    fn is_visit_write(&self, asked: &Asked) -> bool {
        if asked.method != "POST" {
            return false;
        }
        let posts = |part: &Value| part["method"] == "POST" && part["url"] == "Activity";
        asked.path.ends_with("/Activity")
            || (asked.path.ends_with("/$batch")
                && asked
                    .json()
                    .is_some_and(|body| body["requests"].as_array().is_some_and(|all| all.iter().any(posts))))
    }

    fn visits(&self) -> Vec<FakeVisit> {
        let text = |row: &Row, name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let visit = |row: &Row| FakeVisit {
            key: text(row, "Id"),
            contact: text(row, "ContactId"),
            opened_at: text(row, "StartDate").parse().ok(),
            void: text(row, "StatusId") == CANCELLED,
            erased: false,
        };
        self.rows("Activity").iter().map(visit).collect()
    }

    fn add_contact(&mut self, contact: FakeContact, now: Timestamp) -> String {
        let id = self.fresh_id();
        let row = json!({ "Id": id, "CreatedOn": service::stamp(now) }).as_object().unwrap().clone();
        self.tables.get_mut("Contact").unwrap().push(row);
        self.change_contact(&id, &|there| *there = contact.clone(), now);
        id
    }

    fn change_contact(&mut self, id: &str, change: &dyn Fn(&mut FakeContact), now: Timestamp) {
        let mut contact = self.contact(id).unwrap();
        change(&mut contact);
        let owner = match self.owners.iter().find(|row| row["Name"] == contact.owner.as_str()) {
            _ if contact.owner.is_empty() => Value::Null,
            Some(row) => row["Id"].clone(),
            None => {
                let id = self.fresh_id();
                self.owners.push(json!({ "Id": id, "Name": contact.owner }).as_object().unwrap().clone());
                id.into()
            }
        };
        let row = self.tables.get_mut("Contact").unwrap().iter_mut().find(|row| row["Id"] == id).unwrap();
        let name = [&contact.family, &contact.given, &contact.patronymic].map(|part| part.trim().to_owned()).join(" ");
        for (column, value) in [
            ("Name", name.trim().to_owned()),
            ("UsrSnovaCustomer", contact.external_id),
            ("GivenName", contact.given),
            ("MiddleName", contact.patronymic),
            ("Surname", contact.family),
            ("MobilePhone", contact.phone),
            ("Email", contact.email),
            ("UsrTier", contact.tier),
            ("Notes", contact.notes),
            ("UsrOffer", contact.offer),
        ] {
            row.insert(column.to_owned(), value.into());
        }
        let birth = (!contact.birthday.is_empty()).then(|| format!("{}T00:00:00Z", contact.birthday));
        row.insert("BirthDate".to_owned(), json!(birth));
        row.insert("OwnerId".to_owned(), owner);
        row.insert("UsrVisits".to_owned(), contact.visits.into());
        row.insert("ModifiedOn".to_owned(), service::stamp(now));
    }

    fn contact(&self, id: &str) -> Option<FakeContact> {
        let row = self.rows("Contact").iter().find(|row| row["Id"] == id)?;
        let text = |name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let owner = self.owners.iter().find(|owner| Some(&owner["Id"]) == row.get("OwnerId"));
        Some(FakeContact {
            external_id: text("UsrSnovaCustomer"),
            given: text("GivenName"),
            patronymic: text("MiddleName"),
            family: text("Surname"),
            phone: text("MobilePhone"),
            email: text("Email"),
            tier: text("UsrTier"),
            owner: owner.and_then(|row| row["Name"].as_str()).unwrap_or_default().to_owned(),
            notes: text("Notes"),
            offer: text("UsrOffer"),
            birthday: text("BirthDate").get(..10).unwrap_or_default().to_owned(),
            visits: row.get("UsrVisits").and_then(Value::as_u64).unwrap_or(0) as u32,
        })
    }

    fn contacts(&self) -> usize {
        self.rows("Contact").len()
    }

    fn all_contacts(&self) -> Vec<(String, FakeContact)> {
        let ids = self.rows("Contact").iter().map(|row| row["Id"].as_str().unwrap().to_owned());
        ids.map(|id| (id.clone(), self.contact(&id).unwrap())).collect()
    }

    /// Nobody sees it any more. Activities stay, of nobody.
    fn bin_contact(&mut self, id: &str, now: Timestamp) {
        self.drop_contact(id, &Value::Null, now);
    }

    /// The loser's row is deleted, and what was the loser's is the survivor's.
    fn merge_contacts(&mut self, loser: &str, survivor: &str, now: Timestamp) {
        self.drop_contact(loser, &survivor.into(), now);
    }

    fn demand_field(&mut self, on: bool) {
        self.demands_field = on;
    }

    fn take_right(&mut self, taken: bool) {
        self.right_taken = taken;
    }

    fn told(&self, id: &str) -> snova::crm::Told {
        odata::told(self.rows("Contact").iter().find(|row| row["Id"] == id).unwrap(), &named)
    }

    fn told_config(&mut self) -> String {
        self.described.add_told("creatio", ["Contact", "Activity"], Kind::Time, &named)
    }

    fn heartbeats(&self) -> usize {
        self.rows("UsrSnovaDevice").len()
    }

    fn config(&self, url: &str, ca_file: &str) -> String {
        format!(
            "[crm]\nkind = \"creatio\"\nca_file = \"{ca_file}\"\n[crm.creatio]\nurl = \"{url}\"\nidentity_url = \"{url}\"\n\
             client_id = \"{CLIENT}\"\nphone_e164 = \"UsrPhoneE164\"\ndevice_object = \"UsrSnovaDevice\"\n[crm.creatio.fields]\n\
             tier = \"UsrTier\"\noffer = \"UsrOffer\"\nvisits = \"UsrVisits\"\n"
        )
    }

    fn secrets(&self) -> Vec<(&'static str, String)> {
        vec![("crm/creatio/client-secret", SECRET.to_owned()), ("crm/creatio/password", PASSWORD.to_owned())]
    }
}
