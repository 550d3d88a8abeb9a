//! A SugarCRM tenant: its OAuth with one session a platform, filters, bulk, and upserts by `sync_key` for administrators.
//!
//! After the vendor's developer guide and what pysugarcrm expects. Unknown fields are passed over in silence when they
//! are written and refused when they are asked for; a meeting in the bin gives up its key, and is created anew.

mod records;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::beans::{Bean, Beans, like, module, of_its_beans, read_sql_time, sql_time};
use super::{Answer, Asked, FakeContact, FakeCrm, FakeVisit, POISON_TILL};

const ACCOUNT: &str = "snova";
const PASSWORD: &str = "sugar-password-51d2";
const ACCESS_LASTS: i64 = 3600;
const REFRESH_LASTS: i64 = 1_209_600;

/// The tenant's memory.
pub struct FakeSugar {
    pub beans: Beans,
    /// Whether Snova's account may upsert.
    pub admin: bool,
    /// So many records it shows at once, whatever is asked for.
    pub most: usize,
    /// Until when, and on which platform.
    access: BTreeMap<String, (i64, String)>,
    refresh: BTreeMap<String, (i64, String)>,
    given: u64,
    /// Meetings' `sync_key`, by their id.
    sync_keys: BTreeMap<String, String>,
}

/// Whether a field holds a time, which comes and goes with an offset.
fn is_time(field: &str) -> bool {
    field.starts_with("date_") || matches!(field, "snova_first_visit_c" | "snova_last_visit_c")
}

/// Status and body.
type Said = (u16, Value);

fn error(status: u16, code: &str) -> Said {
    (status, json!({ "error": code, "error_message": format!("The request about Ivan failed: {code}") }))
}

impl FakeSugar {
    pub fn of(admin: bool) -> Self {
        let (beans, access, refresh, sync_keys) = Default::default();
        Self { beans, admin, most: 1000, access, refresh, given: 0, sync_keys }
    }

    /// Ends the refresh tokens as well, as another login on the same platform does.
    pub fn end_sessions(&mut self) {
        self.access.clear();
        self.refresh.clear();
    }

    fn log_in(&mut self, asked: &Asked, now: Timestamp) -> Said {
        let body = asked.json().unwrap_or_default();
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        let platform = if text("platform").is_empty() { "base".to_owned() } else { text("platform") };
        match &*text("grant_type") {
            _ if text("client_id") != "sugar" => return error(401, "invalid_client"),
            "password" if text("username") == ACCOUNT && text("password") == PASSWORD => {}
            "password" => return error(401, "need_login"),
            "refresh_token" => {
                let known = self.refresh.remove(&text("refresh_token"));
                if !known.is_some_and(|(until, own)| until > now.as_second() && own == platform) {
                    return error(401, "invalid_grant");
                }
            }
            _ => return error(422, "invalid_parameter"),
        }
        // One session a platform: who was there before is logged out.
        self.access.retain(|_, (_, own)| *own != platform);
        self.refresh.retain(|_, (_, own)| *own != platform);
        self.given += 1;
        let (access, refresh) = (format!("access-{}", self.given), format!("refresh-{}", self.given));
        self.access.insert(access.clone(), (now.as_second() + ACCESS_LASTS, platform.clone()));
        self.refresh.insert(refresh.clone(), (now.as_second() + REFRESH_LASTS, platform));
        let body = json!({
            "access_token": access, "expires_in": ACCESS_LASTS, "token_type": "bearer", "scope": null,
            "refresh_token": refresh, "refresh_expires_in": REFRESH_LASTS, "download_token": "d",
        });
        (200, body)
    }

    fn me(&self) -> Said {
        let kind = if self.admin { "admin" } else { "user" };
        let all = json!({ "fields": {}, "admin": "no", "developer": "no" });
        let acl = json!({ "Contacts": all, "Meetings": all });
        let me = json!({ "type": kind, "id": "u-snova", "full_name": "Snova", "user_name": ACCOUNT, "acl": acl });
        (200, json!({ "current_user": me }))
    }

    fn metadata(&self) -> Said {
        let fields = |name: &str, more: &[&str]| {
            let all = [&self.beans.fields(name), more].concat();
            let all: Map<_, _> = all.iter().map(|&field| (field.to_owned(), json!({ "name": field }))).collect();
            json!({ "fields": all })
        };
        let modules = json!({
            "Contacts": fields("Contacts", &["email", "sync_key"]),
            "Meetings": fields("Meetings", &["contacts", "sync_key"]),
        });
        (200, json!({ "modules": modules, "_hash": "1" }))
    }

    /// A record as Sugar shows it.
    fn shown(&self, name: &str, bean: &Bean, fields: Option<&str>) -> Value {
        let mut all = Map::new();
        for field in &self.beans.fields(name) {
            let text = bean.get(*field).map_or("", String::as_str);
            let value = match *field {
                "deleted" => (text == "1").into(),
                "visits_c" | "duration_hours" | "duration_minutes" | "snova_visits_30_c" | "snova_visits_90_c" => {
                    text.parse::<i64>().map_or(Value::Null, Value::from)
                }
                "birthdate" if text.is_empty() => Value::Null,
                date if is_time(date) => read_sql_time(text)
                    .map_or(Value::Null, |at| json!(format!("{}+00:00", sql_time(at).replace(' ', "T")))),
                _ => text.into(),
            };
            all.insert((*field).to_owned(), value);
        }
        if name == "Contacts" {
            let address = all["email1"].as_str().unwrap_or_default();
            let one = json!([{ "email_address": address, "primary_address": true, "invalid_email": false }]);
            all.insert("email".to_owned(), if address.is_empty() { json!([]) } else { one });
        }
        all.insert("sync_key".to_owned(), json!(self.sync_keys.get(&bean["id"])));
        if let Some(wanted) = fields.filter(|wanted| !wanted.is_empty()) {
            let wanted: Vec<&str> = wanted.split(',').map(str::trim).collect();
            all.retain(|field, _| wanted.contains(&field.as_str()) || field == "id" || field == "date_modified");
        }
        all.insert("_module".to_owned(), name.into());
        all.insert("_acl".to_owned(), json!({ "fields": {} }));
        Value::Object(all)
    }

    /// Whether a record is what a filter wants; an error for a field that is not there.
    fn holds(&self, name: &str, bean: &Bean, filter: &Value) -> Result<bool, Said> {
        let Some(conditions) = filter.as_object() else { return Err(error(422, "invalid_parameter")) };
        for (field, wanted) in conditions {
            if matches!(&**field, "$or" | "$and") {
                let each = wanted.as_array().into_iter().flatten().map(|one| self.holds(name, bean, one));
                let each = each.collect::<Result<Vec<_>, _>>()?;
                let met = if field == "$or" { each.contains(&true) } else { !each.contains(&false) };
                if !met {
                    return Ok(false);
                }
                continue;
            }
            let stored = match &**field {
                "email" if name == "Contacts" => "email1",
                "sync_key" => "sync_key",
                known if self.beans.fields(name).contains(&known) => known,
                _ => return Err(error(422, "invalid_parameter")),
            };
            let own = match stored {
                "sync_key" => self.sync_keys.get(&bean["id"]).cloned().unwrap_or_default(),
                _ => bean.get(stored).cloned().unwrap_or_default(),
            };
            let plain = json!({ "$equals": wanted });
            let tests = if wanted.is_object() { wanted } else { &plain };
            for (operator, value) in tests.as_object().unwrap() {
                let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                let met = match &**operator {
                    // MySQL compares without regard to case.
                    "$equals" => own.to_lowercase() == text(value).to_lowercase(),
                    "$in" => value.as_array().is_some_and(|all| all.iter().any(|one| own == text(one))),
                    "$starts" => like(&own, &format!("{}%", text(value))),
                    "$contains" => like(&own, &format!("%{}%", text(value))),
                    "$gte" | "$gt" => {
                        let Ok(from) = text(value).parse::<Timestamp>() else {
                            return Err(error(422, "invalid_parameter"));
                        };
                        let at = read_sql_time(&own);
                        at.is_some_and(|at| if operator == "$gt" { at > from } else { at >= from })
                    }
                    _ => return Err(error(422, "invalid_parameter")),
                };
                if !met {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    fn list(&self, name: &str, body: &Value) -> Said {
        let number = |key: &str, default: usize| {
            let value = &body[key];
            value.as_u64().map(|n| n as usize).or_else(|| value.as_str()?.parse().ok()).unwrap_or(default)
        };
        let (most, offset) = (number("max_num", 20).min(self.most), number("offset", 0));
        let mut found = Vec::new();
        for bean in self.beans.all(name).iter().filter(|bean| bean["deleted"] == "0" || body["deleted"] == true) {
            let filters = body["filter"].as_array().cloned().unwrap_or_default();
            match filters.iter().map(|one| self.holds(name, bean, one)).collect::<Result<Vec<_>, _>>() {
                Ok(met) if !met.contains(&false) => found.push(bean),
                Ok(_) => {}
                Err(said) => return said,
            }
        }
        // A field that is not there is refused in an empty module too.
        let nobody: Bean = [("id".to_owned(), String::new())].into();
        for one in body["filter"].as_array().into_iter().flatten() {
            if let Err(said) = self.holds(name, &nobody, one) {
                return said;
            }
        }
        let order = body["order_by"].as_str().unwrap_or("date_modified:DESC");
        let (field, direction) = order.split_once(':').unwrap_or((order, "ASC"));
        found.sort_by_key(|bean| bean.get(field).cloned().unwrap_or_default());
        if direction.eq_ignore_ascii_case("DESC") {
            found.reverse();
        }
        let page: Vec<Value> =
            found.iter().skip(offset).take(most).map(|bean| self.shown(name, bean, body["fields"].as_str())).collect();
        let next = if offset + page.len() < found.len() { (offset + page.len()) as i64 } else { -1 };
        (200, json!({ "next_offset": next, "records": page }))
    }

    /// Creates or changes; what it does not know it passes over.
    fn write(&mut self, name: &'static str, id: Option<&str>, body: &Value, now: Timestamp) -> Result<String, Said> {
        if !body.is_object() {
            return Err(error(422, "invalid_parameter"));
        }
        if !self.beans.may_write(name) {
            return Err(error(403, "not_authorized"));
        }
        if self.beans.is_demanded(name) {
            return Err(error(422, "missing_parameter"));
        }
        let mut values = Bean::new();
        for (field, value) in body.as_object().unwrap() {
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Null => String::new(),
                Value::Array(all) if field == "email" => {
                    values.insert("email1".to_owned(), all[0]["email_address"].as_str().unwrap_or_default().to_owned());
                    continue;
                }
                other => other.to_string(),
            };
            if is_time(field) && !text.is_empty() {
                let Ok(at) = text.parse::<Timestamp>() else { return Err(error(422, "invalid_parameter")) };
                values.insert(field.clone(), sql_time(at));
            } else {
                values.insert(field.clone(), text);
            }
        }
        if values.get("name").is_some_and(|text| text.contains(POISON_TILL)) {
            return Err(error(422, "invalid_parameter"));
        }
        let linked: Vec<String> = body["contacts"]["add"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|one| one["id"].as_str().or(one.as_str()).map(str::to_owned))
            .collect();
        let given = body["id"].as_str().filter(|_| id.is_none());
        match given.and_then(|given| self.beans.any(name, given)) {
            Some(there) if there["deleted"] == "0" => return Err(error(422, "invalid_parameter")),
            // What is in the bin is not seen, and then the database does not take the key.
            Some(_) => return Err(error(500, "fatal_error")),
            None => {}
        }
        let id = match id {
            Some(id) => id.to_owned(),
            None => {
                let id = given.map_or_else(|| self.beans.fresh_id(), str::to_owned);
                self.beans.insert(name, &id, now);
                id
            }
        };
        values.retain(|field, _| {
            !matches!(&**field, "deleted" | "date_modified" | "date_entered" | "assigned_user_name")
        });
        self.beans.update(name, &id, &values, now);
        if let Some(key) = body["sync_key"].as_str() {
            self.sync_keys.insert(id.clone(), key.to_owned());
        }
        // The record is there before it is tied: a tie that is refused leaves it.
        if linked.iter().any(|contact| !self.beans.tie(&id, contact)) {
            return Err(error(404, "not_found"));
        }
        Ok(id)
    }

    fn route(&mut self, method: &str, version: &str, path: &[&str], body: &Value, now: Timestamp) -> Said {
        let upserts =
            matches!(version.split_once('_'), Some((_, minor)) if minor.parse::<u32>().is_ok_and(|n| n >= 10));
        let name = path.iter().find_map(|part| module(part));
        match (method, path, name) {
            ("GET", ["me"], _) => self.me(),
            ("GET", ["metadata"], _) => self.metadata(),
            (_, [_, "sync_key", key] | ["integrate", _, "sync_key", key], Some(name)) if upserts => {
                self.by_sync_key(name, key, method, body, now)
            }
            ("GET", [_] | [_, "filter"], Some(name)) | ("POST", [_, "filter"], Some(name)) => self.list(name, body),
            ("POST", [_], Some(name)) => match self.write(name, None, body, now) {
                Ok(id) => (200, self.shown(name, self.beans.get(name, &id).unwrap(), None)),
                Err(said) => said,
            },
            (_, [_, id], Some(name)) if self.beans.get(name, id).is_none() => error(404, "not_found"),
            ("GET", ["Contacts", id, "link", "meetings"], _) if self.beans.get("Contacts", id).is_some() => {
                let number = |key: &str| body[key].as_str().and_then(|n| n.parse::<usize>().ok());
                let (most, offset) = (number("max_num").unwrap_or(20).min(self.most), number("offset").unwrap_or(0));
                let all = self.beans.meetings_of(id);
                let page = all.iter().skip(offset).take(most);
                let page: Vec<Value> = page.map(|bean| self.shown("Meetings", bean, body["fields"].as_str())).collect();
                let next = if offset + page.len() < all.len() { (offset + page.len()) as i64 } else { -1 };
                (200, json!({ "next_offset": next, "records": page }))
            }
            ("GET", ["Contacts", _, "link", "meetings"], _) => error(404, "not_found"),
            ("GET", [_, id], Some(name)) => {
                (200, self.shown(name, self.beans.get(name, id).unwrap(), body["fields"].as_str()))
            }
            ("PUT", [_, id], Some(name)) => match self.write(name, Some(id), body, now) {
                Ok(id) => (200, self.shown(name, self.beans.get(name, &id).unwrap(), None)),
                Err(said) => said,
            },
            ("DELETE", [_, id], Some(name)) => {
                self.beans.remove(name, id, now);
                (200, json!({ "id": id }))
            }
            (_, _, None) => error(404, "not_found"),
            _ => error(404, "no_method"),
        }
    }

    fn bulk(&mut self, body: &Value, now: Timestamp) -> Said {
        let Some(requests) = body["requests"].as_array() else { return error(422, "missing_parameter") };
        let mut rows = Vec::new();
        for request in requests {
            let url = request["url"].as_str().unwrap_or_default();
            let parts: Vec<&str> = url.trim_start_matches('/').split('/').collect();
            let versioned = url.starts_with("/v") || url.starts_with('v');
            // The body of each is a text; an object there is not read.
            let data = request["data"].as_str().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
            let (status, contents) = match parts.split_first() {
                Some((version, path)) if versioned => {
                    self.route(request["method"].as_str().unwrap_or("GET"), version, path, &data, now)
                }
                _ => error(404, "no_method"),
            };
            rows.push(json!({ "contents": contents, "headers": [], "status": status, "status_text": "" }));
        }
        (200, rows.into())
    }
}

/// Arguments of the query, where a filter is JSON as a whole.
fn arguments(asked: &Asked) -> Value {
    let mut all = asked.json().filter(Value::is_object).unwrap_or_else(|| json!({}));
    for (name, value) in &asked.query {
        let parsed = if name == "filter" { serde_json::from_str(value).ok() } else { None };
        all[name] = parsed.unwrap_or_else(|| value.as_str().into());
    }
    all
}

impl FakeCrm for FakeSugar {
    of_its_beans!("sugarcrm", str::to_owned);

    fn answer(&mut self, asked: &Asked, now: Timestamp) -> Answer {
        let Some(path) = asked.path.strip_prefix("/rest/") else { return Answer::html(404, "<h1>Not Found</h1>") };
        let parts: Vec<&str> = path.trim_end_matches('/').split('/').collect();
        let (version, path) = parts.split_first().unwrap();
        if !version.starts_with("v1") {
            return Answer::json(404, &error(404, "no_method").1);
        }
        if path == ["oauth2", "token"] {
            let (status, body) = self.log_in(asked, now);
            return Answer::json(status, &body);
        }
        let token = asked.header("oauth-token").or(asked.bearer()).unwrap_or_default();
        let (status, body) = match self.access.get(token) {
            None => error(401, if token.is_empty() { "need_login" } else { "invalid_grant" }),
            Some((until, _)) if *until <= now.as_second() => error(401, "invalid_grant"),
            Some(_) if path == ["oauth2", "logout"] => {
                self.end_sessions();
                (200, json!({ "success": true }))
            }
            Some(_) if path == ["bulk"] => self.bulk(&arguments(asked), now),
            Some(_) => self.route(&asked.method, version, path, &arguments(asked), now),
        };
        Answer::json(status, &body)
    }

    fn expire_tokens(&mut self) {
        self.access.clear();
    }

    fn is_visit_write(&self, asked: &Asked) -> bool {
        (asked.path.ends_with("/bulk") && asked.text().contains("/Meetings"))
            || (asked.method == "POST" && asked.path.ends_with("/Meetings"))
    }

    fn visits(&self) -> Vec<FakeVisit> {
        let mut visits = self.beans.visits("id");
        for visit in &mut visits {
            let own = self.beans.any("Meetings", &visit.key).unwrap().get("snova_visit_c").cloned();
            visit.key = self.sync_keys.get(&visit.key).cloned().or(own).unwrap_or_default();
        }
        visits
    }

    fn config(&self, url: &str, ca_file: &str) -> String {
        let key = if self.admin { "" } else { "visit_key_field = \"snova_visit_c\"\n" };
        format!(
            "[crm]\nkind = \"sugarcrm\"\nca_file = \"{ca_file}\"\n[crm.sugarcrm]\nurl = \"{url}\"\nuser = \"{ACCOUNT}\"\n\
             {key}[crm.sugarcrm.fields]\npatronymic = \"patronymic_c\"\ntier = \"loyalty_tier_c\"\noffer = \"offer_c\"\n\
             visits = \"visits_c\"\n"
        )
    }

    fn secrets(&self) -> Vec<(&'static str, String)> {
        vec![("crm/sugarcrm/password", PASSWORD.to_owned())]
    }
}
