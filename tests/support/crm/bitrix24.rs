//! A Битрикс24 portal: webhook and OAuth, the methods that clients of CRM use, batches, its bucket of requests.
//!
//! After the vendor's REST documentation. It takes unknown fields without a word, keeps the same xmlId twice, answers a
//! batch with 200 whatever happened, sends empty maps as lists, and leaves out of a batch what answered nothing.

mod items;
mod methods;
mod office;
mod php;

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use snova::crm::void_text;
use snova::i18n::Language;

use self::items::{Items, Refusal, stamp};
use self::php::{many, number, params, text};
use super::{Answer, Asked, FakeContact, FakeCrm, FakeVisit};

pub const WEBHOOK: &str = "1/hook7f3akx0qzb";
const CLIENT: &str = "local.6f2a";
const SECRET: &str = "b24-client-secret-0d4e";
const FIRST_REFRESH: &str = "b24-refresh-first";
const CONTACTS: i64 = 3;
const DEALS: i64 = 2;
const VISITS: i64 = 1046;
const BOXES: i64 = 1050;
/// The bucket's size, and what leaves it in a second.
const BUCKET: f64 = 50.0;
const DRAIN: f64 = 2.0;

/// How a portal may differ from the usual.
#[derive(Clone, Copy, Default)]
pub struct Quirks {
    /// A box of this fake logs in by OAuth.
    pub by_oauth: bool,
    /// A box of this fake knows no smart process.
    pub comments_only: bool,
    /// The tariff allows no new elements.
    pub restricted: bool,
    /// The smart process has no field of clients.
    pub no_clients: bool,
    /// The login may not see users.
    pub no_users: bool,
    /// The login may not read single comments.
    pub no_comments: bool,
    /// Of two merged contacts the survivor's ids alone are kept, empty or not.
    pub merge_forgets: bool,
    /// The login is no administrator's, and has not the scope of fields: it makes none.
    pub no_admin: bool,
}

/// The portal's memory.
pub struct FakeBitrix24 {
    items: Items,
    owners: Vec<String>,
    tokens: BTreeSet<String>,
    refresh: String,
    given: u64,
    level: f64,
    at: Option<Timestamp>,
    quirks: Quirks,
}

impl Default for FakeBitrix24 {
    fn default() -> Self {
        Self::of(Quirks::default())
    }
}

fn refused((status, code, prose): &Refusal) -> Answer {
    Answer::json(*status, &json!({ "error": code, "error_description": prose }))
}

impl FakeBitrix24 {
    pub fn of(quirks: Quirks) -> Self {
        Self {
            items: Items::default(),
            owners: vec!["Администратор".to_owned()],
            tokens: BTreeSet::new(),
            refresh: FIRST_REFRESH.to_owned(),
            given: 0,
            level: 0.0,
            at: None,
            quirks,
        }
    }

    /// How many exchanges of refresh tokens there were.
    pub fn exchanges(&self) -> u64 {
        self.given
    }

    /// Another program's id on a contact.
    pub fn claim(&mut self, contact: &str, now: Timestamp) {
        let fields = json!({ "originatorId": "1C", "originId": "00-000017" });
        self.items.change(CONTACTS, &contact.into(), &fields, self.quirks, now).unwrap();
    }

    /// New elements lose whose they are, as if their contacts went at that moment.
    pub fn drop_clients(&mut self, on: bool) {
        self.items.drops_clients = on;
    }

    fn exchange(&mut self, asked: &Asked) -> Answer {
        let given = params(asked);
        let is = |name: &str, value: &str| given[name] == value;
        if !is("client_id", CLIENT) || !is("client_secret", SECRET) {
            return Answer::json(400, &json!({ "error": "invalid_client", "error_description": "wrong client" }));
        }
        if !is("grant_type", "refresh_token") || !is("refresh_token", &self.refresh) {
            return Answer::json(400, &json!({ "error": "invalid_grant", "error_description": "wrong token" }));
        }
        self.given += 1;
        let access = format!("b24-access-{}", self.given);
        self.refresh = format!("b24-refresh-{}", self.given);
        self.tokens.insert(access.clone());
        Answer::json(
            200,
            &json!({
                "access_token": access, "refresh_token": self.refresh, "expires": 1_780_319_382, "expires_in": 3600, "scope": "crm",
                "domain": "portal.bitrix24.ru", "client_endpoint": "https://portal.bitrix24.ru/rest/", "member_id": "a1", "user_id": 1, "status": "L",
                "server_endpoint": "https://oauth.bitrix24.tech/rest/",
            }),
        )
    }

    /// The method's name, where the login is right.
    fn logged_in(&self, asked: &Asked, given: &Value) -> Result<String, Refusal> {
        let path = asked.path.strip_prefix("/rest/").unwrap_or_default().trim_end_matches('/');
        let (login, method) = path.rsplit_once('/').unwrap_or(("", path));
        // Capitals in a method's name mean nothing: b24pysdk writes `crm.item.Fields`.
        let method = method.strip_suffix(".json").unwrap_or(method).to_lowercase();
        if !login.is_empty() {
            return match login == WEBHOOK {
                true => Ok(method),
                false => Err((401, "INVALID_CREDENTIALS", "Invalid request credentials".to_owned())),
            };
        }
        let token = given["auth"].as_str().or_else(|| asked.bearer());
        match token {
            None => Err((401, "NO_AUTH_FOUND", "Wrong authorization data".to_owned())),
            Some(token) if self.tokens.contains(token) => Ok(method),
            Some(_) => Err((401, "expired_token", "The access token provided has expired.".to_owned())),
        }
    }

    /// A method's result, with where the next page begins and how many there are.
    fn method(
        &mut self,
        method: &str,
        given: &Value,
        now: Timestamp,
    ) -> Result<(Value, Option<i64>, Option<usize>), Refusal> {
        let type_id = number(&given["entityTypeId"]).unwrap_or(0);
        let plain = |value: Value| Ok((value, None, None));
        match method {
            "server.time" => plain(stamp(now).into()),
            "scope" => plain(json!(["crm", "user_brief"])),
            "profile" | "user.current" => plain(json!({ "ID": "1", "NAME": "Snova", "LAST_NAME": "", "ADMIN": true })),
            "user.get" if self.quirks.no_users => {
                Err((403, "insufficient_scope", "The request requires higher privileges than provided".to_owned()))
            }
            "user.get" => {
                // An ID beside the filter is passed over, and everybody comes.
                let wanted = number(&given["FILTER"]["ID"]);
                let row = |(id, name): (i64, &String)| json!({ "ID": id.to_string(), "NAME": name, "LAST_NAME": "" });
                let rows = (1i64..).zip(&self.owners).filter(|(id, _)| wanted.is_none_or(|wanted| wanted == *id));
                plain(rows.map(row).collect())
            }
            "crm.item.fields" => self.items.described(type_id, self.quirks).and_then(plain),
            "crm.type.getbyentitytypeid" if type_id == VISITS => plain(
                json!({ "type": { "id": 5, "entityTypeId": VISITS, "title": "Визит", "isClientEnabled": "Y", "isRecyclebinEnabled": "N" } }),
            ),
            "crm.item.get" => self.items.get(type_id, &given["id"]).and_then(|row| plain(json!({ "item": row }))),
            "crm.item.add" => {
                let row = self.items.add(type_id, &given["fields"], self.quirks, now)?;
                plain(json!({ "item": row }))
            }
            "crm.item.update" => {
                let row = self.items.change(type_id, &given["id"], &given["fields"], self.quirks, now)?;
                plain(json!({ "item": row }))
            }
            "crm.contact.userfield.add" | "userfieldconfig.add" if self.quirks.no_admin => {
                let code = if method.starts_with("crm") { "ACCESS_DENIED" } else { "insufficient_scope" };
                Err((403, code, "The request requires higher privileges than provided".to_owned()))
            }
            "crm.contact.userfield.add" => {
                let fields = &given["fields"];
                self.items
                    .make_field(CONTACTS, &text(&fields["FIELD_NAME"]), &text(&fields["USER_TYPE_ID"]))
                    .and_then(plain)
            }
            "userfieldconfig.add" => {
                let field = &given["field"];
                if text(&given["moduleId"]) != "crm" || text(&field["entityId"]) != "CRM_5" {
                    return Err((400, "BX_INVALID_VALUE", "Неверный объект".to_owned()));
                }
                let made = self.items.make_field(VISITS, &text(&field["fieldName"]), &text(&field["userTypeId"]))?;
                plain(json!({ "field": { "id": made } }))
            }
            "crm.item.delete" => self.items.delete(type_id, &given["id"]).and_then(|()| plain(json!([]))),
            "crm.item.list" => {
                let (rows, next, total) = self.items.list(given, self.quirks)?;
                Ok((json!({ "items": rows }), next, Some(total).filter(|_| number(&given["start"]) != Some(-1))))
            }
            "crm.duplicate.findbycomm" => self.items.duplicates(given).and_then(plain),
            _ => match method.strip_prefix("crm.timeline.comment.").or(method.strip_prefix("crm.contact.")) {
                Some(action) if method.starts_with("crm.timeline") => {
                    self.items.comment(action, given, self.quirks, now).map(|(result, next)| (result, next, None))
                }
                Some(action) => self.old_contact(action, given, now),
                None => Err((404, "ERROR_METHOD_NOT_FOUND", "Method not found!".to_owned())),
            },
        }
    }

    fn overflows(&mut self, now: Timestamp) -> bool {
        let passed = self.at.map_or(0.0, |at| now.duration_since(at).as_secs_f64().max(0.0));
        self.at = Some(now);
        self.level = (self.level - passed * DRAIN).max(0.0);
        let overflows = self.level + 1.0 > BUCKET;
        self.level += if overflows { 0.0 } else { 1.0 };
        overflows
    }
}

fn time(now: Timestamp) -> Value {
    let at = now.as_millisecond() as f64 / 1000.0;
    json!({
        "start": at, "finish": at + 0.02, "duration": 0.02, "processing": 0.01, "date_start": stamp(now), "date_finish": stamp(now),
        "operating_reset_at": now.as_second() + 600, "operating": 0.1,
    })
}

impl FakeCrm for FakeBitrix24 {
    fn answer(&mut self, asked: &Asked, now: Timestamp) -> Answer {
        if asked.path.trim_end_matches('/') == "/oauth/token" {
            return self.exchange(asked);
        }
        if !asked.path.starts_with("/rest/") {
            return Answer::html(404, "<!DOCTYPE html><html><body>404</body></html>");
        }
        if self.overflows(now) {
            return self.throttled();
        }
        let given = params(asked);
        let method = match self.logged_in(asked, &given) {
            Ok(method) => method,
            Err(refusal) => return refused(&refusal),
        };
        let outcome = match &*method {
            "batch" => self.batch(&given, now).map(|result| (result, None, None)),
            method => self.method(method, &given, now),
        };
        match outcome {
            Ok((result, next, total)) => {
                let mut body = json!({ "result": result, "time": time(now) });
                if let Some(next) = next {
                    body["next"] = next.into();
                }
                if let Some(total) = total {
                    body["total"] = total.into();
                }
                Answer::json(200, &body)
            }
            Err(refusal) => refused(&refusal),
        }
    }

    fn throttled(&self) -> Answer {
        refused(&(503, "QUERY_LIMIT_EXCEEDED", "Too many requests".to_owned()))
    }

    fn blocked(&self) -> Answer {
        refused(&(503, "OVERLOAD_LIMIT", "REST API is blocked due to overload.".to_owned()))
    }

    fn expire_tokens(&mut self) {
        // A webhook has no token to expire.
        self.tokens.clear();
    }

    fn is_visit_write(&self, asked: &Asked) -> bool {
        let (path, body) = (&asked.path, asked.text());
        let direct = path.contains("crm.timeline.comment.add")
            || path.contains("crm.item.add") && body.contains(&VISITS.to_string());
        direct
            || path.contains("/batch") && (body.contains("crm.item.add?") || body.contains("crm.timeline.comment.add?"))
    }

    fn visits(&self) -> Vec<FakeVisit> {
        let says_void = |said: &str, key: &str| {
            let Ok(key) = key.parse() else { return false };
            [Language::Russian, Language::Ukrainian, Language::English]
                .into_iter()
                .any(|language| void_text(language, key) == said)
        };
        let element = |row: &items::Row| {
            let key = text(&row["xmlId"]);
            FakeVisit {
                contact: text(&row["contactId"]),
                opened_at: text(&row["ufCrm5At"]).parse().ok(),
                void: row["ufCrm5Void"] == "Y" && says_void(&text(&row["title"]), &key),
                erased: false,
                key,
            }
        };
        let comment = |row: &items::Row| {
            let said = text(&row["COMMENT"]);
            let key = said.split("#visit:").nth(1)?.get(..36)?.to_owned();
            Some(FakeVisit {
                contact: text(&row["ENTITY_ID"]),
                opened_at: said.split(' ').next().and_then(|at| at.parse().ok()),
                void: says_void(said.split_once(' ').map_or("", |(_, words)| words), &key),
                erased: false,
                key,
            })
        };
        let elements = self.items.tables.get(&VISITS).into_iter().flatten().map(element);
        elements.chain(self.items.comments.iter().filter_map(comment)).collect()
    }

    fn add_contact(&mut self, contact: FakeContact, now: Timestamp) -> String {
        let row = self.items.add(CONTACTS, &json!({}), self.quirks, now).unwrap();
        let id = text(&row["id"]);
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
        let ids = self.items.tables.get(&CONTACTS).into_iter().flatten().map(|row| text(&row["id"]));
        ids.filter_map(|id| Some((id.clone(), self.card(&id)?))).collect()
    }

    fn bin_contact(&mut self, id: &str, _now: Timestamp) {
        self.items.delete(CONTACTS, &id.into()).unwrap();
    }

    fn merge_contacts(&mut self, loser: &str, survivor: &str, now: Timestamp) {
        self.merge(loser, survivor, now);
    }

    fn demand_field(&mut self, on: bool) {
        self.items.demands_field = on;
    }

    fn take_right(&mut self, taken: bool) {
        self.items.lacks_right = taken;
    }

    fn told(&self, id: &str) -> snova::crm::Told {
        self.told_of(id)
    }

    fn told_config(&mut self) -> String {
        self.fields_of_told()
    }

    fn contacts(&self) -> usize {
        self.items.tables.get(&CONTACTS).map_or(0, Vec::len)
    }

    fn heartbeats(&self) -> usize {
        self.items.tables.get(&BOXES).map_or(0, Vec::len)
    }

    fn config(&self, url: &str, ca_file: &str) -> String {
        let app = if self.quirks.by_oauth {
            format!("client_id = \"{CLIENT}\"\noauth_url = \"{url}\"\n")
        } else {
            String::new()
        };
        let (types, visit) = if self.quirks.comments_only {
            (String::new(), "")
        } else {
            let visit = "[crm.bitrix24.visit]\nat = \"UF_CRM_5_AT\"\nuntil = \"ufCrm5Until\"\ncounter = \"ufCrm5Counter\"\nhow = \"ufCrm5How\"\n\
                         void = \"UF_CRM_5_VOID\"\n";
            (format!("visit_type_id = {VISITS}\ndevice_type_id = {BOXES}\n"), visit)
        };
        format!(
            "[crm]\nkind = \"bitrix24\"\nca_file = \"{ca_file}\"\n[crm.bitrix24]\nurl = \"{url}\"\n{app}{types}{visit}[crm.bitrix24.fields]\n\
             tier = \"UF_CRM_TIER\"\noffer = \"ufCrmOffer\"\nvisits = \"ufCrmVisits\"\n"
        )
    }

    fn secrets(&self) -> Vec<(&'static str, String)> {
        if self.quirks.by_oauth {
            return vec![
                ("crm/bitrix24/client-secret", SECRET.to_owned()),
                ("crm/bitrix24/refresh-token", self.refresh.clone()),
            ];
        }
        vec![("crm/bitrix24/webhook", WEBHOOK.to_owned())]
    }
}
