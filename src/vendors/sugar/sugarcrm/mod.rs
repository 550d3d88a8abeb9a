//! SugarCRM by its REST API v11: a visit is a meeting that was held, upserted by its `sync_key` through `/bulk`.
//!
//! Meetings are written and found in `meetings`, answers read in `wire`. Only an administrator may upsert by `sync_key`;
//! for others the key goes into a field of the tenant's own, and is looked for before a meeting is created.

mod meetings;
pub mod settings;
mod wire;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::crm::refresh::kept;
use crate::crm::watermark::Watermark;
use crate::crm::{
    ContactFields, CrmConnector, CrmSettings, Failure, FailureClass, Finding, Http, Manners, Mark, RecordFields,
    RecordId, Reply, Request, Seek, SentVisit, Token, ToldFields, Tools, VisitRecord, phone_spellings, quoted_path,
};
use crate::vendors::sugar::connector::Api;
use crate::vendors::sugar::findings;
use crate::vendors::sugar::shape::{CONTACTS, MEETINGS, PHONES, Row, Shape, Values};

/// The secrets of the login.
pub const SECRETS: &[&str] = &["crm/sugarcrm/password"];

/// Sugar publishes no limit; five a second leave people at work their server.
const INTERVAL: Duration = Duration::from_millis(200);
/// Requests of one bulk call; its limit is not documented (unverified).
const BATCH: usize = 50;
/// The same where a creation that was given up may still be under way.
const UNKEYED_BATCH: usize = 10;
/// How long a bulk call may go on after we have given it up (unverified).
const SETTLE: Duration = Duration::from_secs(120);
/// Rows of one page.
const PAGE: u64 = 100;
/// No list that Snova reads is longer.
const MOST_PAGES: usize = 50;

/// `[crm.sugarcrm]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `https://shop.sugarondemand.com`.
    pub url: String,
    pub user: String,
    /// Sugar keeps one session for each user and platform: with its own, nobody is logged out by Snova.
    pub platform: String,
    /// "v11_10".
    pub api_version: String,
    /// The meetings' field for the key, where the user is no administrator.
    pub visit_key_field: Option<String>,
    pub fields: ContactFields,
    /// What is written on a contact beside its mark.
    pub told: ToldFields,
    /// Values of a visit that have no standard place.
    pub record: RecordFields,
}

/// The connector.
struct SugarCrm {
    settings: Settings,
    shape: Arc<Shape>,
    http: Http,
    tools: Tools,
    access: Option<Token>,
    /// In memory only: whoever holds it needs no password.
    refresh: Option<String>,
    /// Snova's own user; empty where Sugar does not say.
    own_user: Option<String>,
}

/// The connector for these settings.
pub fn open(settings: &Settings, common: &CrmSettings, tools: &Tools) -> Result<Box<dyn CrmConnector>, Failure> {
    let shape = Arc::new(Shape {
        vendor: "SugarCRM",
        section: "crm.sugarcrm",
        fields: settings.fields.clone(),
        told: settings.told.clone(),
        record: settings.record.clone(),
        key_field: Some(settings.visit_key_field.clone().unwrap_or_else(|| "sync_key".to_owned())),
        time,
        language: common.language,
        country: common.country,
    });
    let http = Http::new(&common.http, tools, INTERVAL)?;
    let (settings, tools) = (settings.clone(), tools.clone());
    Ok(Box::new(SugarCrm { settings, shape, http, tools, access: None, refresh: None, own_user: None }))
}

/// With an offset, as Sugar wants it: `2026-01-12T14:05:00+00:00`.
fn time(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string()
}

impl SugarCrm {
    fn base(&self) -> String {
        format!("{}/rest/{}", self.settings.url, self.settings.api_version)
    }

    /// By the refresh token where there is one that still works, else by the password.
    async fn log_in(&mut self) -> Result<Token, Failure> {
        if let Some(refresh) = self.refresh.take() {
            let body = json!({
                "grant_type": "refresh_token", "refresh_token": refresh, "client_id": "sugar", "client_secret": "",
                "platform": self.settings.platform,
            });
            match self.grant(&body).await {
                Err(failure) if failure.class == FailureClass::Auth => {}
                granted => return granted,
            }
        }
        let password = kept(&self.tools, SECRETS[0])?;
        let body = json!({
            "grant_type": "password", "client_id": "sugar", "client_secret": "", "username": self.settings.user,
            "password": password, "platform": self.settings.platform,
        });
        self.grant(&body).await
    }

    async fn grant(&mut self, body: &Value) -> Result<Token, Failure> {
        let request = Request::post(format!("{}/oauth2/token", self.base())).json(body);
        let reply = self.http.send(&request).await?;
        let granted = wire::granted(&reply, &*self.tools.clock)?;
        self.refresh = granted.refresh;
        let lasts = granted.lasts.map(Duration::from_secs);
        let token = Token::new(granted.access, self.tools.clock.monotonic(), lasts);
        self.access = Some(token.clone());
        Ok(token)
    }

    /// Sends what `build` makes of the API's address. A session that has ended is refreshed, and should that not help,
    /// begun anew.
    async fn call(&mut self, build: impl Fn(&str) -> Request + Send + Sync) -> Result<Reply, Failure> {
        let base = self.base();
        for attempt in 0..3 {
            let now = self.tools.clock.monotonic();
            let token = match &self.access {
                Some(token) if token.is_fresh(now) => token.clone(),
                _ => self.log_in().await?,
            };
            let reply = self.http.send(&build(&base).header("oauth-token", token.value)).await?;
            if reply.status != 401 {
                return Ok(reply);
            }
            self.access = None;
            if attempt == 1 {
                self.refresh = None;
            }
        }
        Err(Failure::auth(
            "SugarCRM accepted the login and then refused the session; check the platform in [crm.sugarcrm]",
        ))
    }

    /// An answer to a question that is no list.
    async fn told(&mut self, path: &str) -> Result<Value, Failure> {
        let reply = self.call(|base| Request::get(format!("{base}{path}"))).await?;
        wire::answered(&reply, &*self.tools.clock)?;
        reply.json()
    }

    async fn filter(&mut self, module: &str, body: &Value) -> Result<(Vec<Row>, bool), Failure> {
        let reply = self.call(|base| Request::post(format!("{base}/{module}/filter")).json(body)).await?;
        wire::answered(&reply, &*self.tools.clock)?;
        wire::page(&reply)
    }

    /// Every row for which the filter holds, however few Sugar shows at once.
    async fn all(&mut self, module: &str, wanted: &Value, fields: &str, in_bin: bool) -> Result<Vec<Row>, Failure> {
        let mut rows = Vec::new();
        for _ in 0..MOST_PAGES {
            let mut body = json!({ "filter": wanted, "fields": fields, "max_num": PAGE, "offset": rows.len() });
            if in_bin {
                // Those in the bin as well (unverified that every version heeds it).
                body["deleted"] = true.into();
            }
            let (page, more) = self.filter(module, &body).await?;
            let is_last = !more || page.is_empty();
            rows.extend(page);
            if is_last {
                return Ok(rows);
            }
        }
        Err(Failure::transient(format!("SugarCRM's list of {module} does not end")))
    }

    /// Row by row, what a bulk of these requests came to.
    async fn bulk(&mut self, rows: &[Value]) -> Result<Vec<wire::BulkRow>, Failure> {
        let reply = self.call(|base| bulk(base, rows)).await?;
        wire::answered(&reply, &*self.tools.clock)?;
        wire::bulk(&reply, rows.len())
    }

    fn bulk_request(&self, method: &str, path: &str, data: &Value) -> Value {
        // The body within the bulk is a text of its own.
        json!({
            "url": format!("/{}/{path}", self.settings.api_version), "method": method,
            "headers": ["Content-Type: application/json"], "data": data.to_string(),
        })
    }

    async fn own_user(&mut self) -> Result<Option<String>, Failure> {
        if self.own_user.is_none() {
            let me = self.told("/me").await?;
            self.own_user = Some(me["current_user"]["id"].as_str().unwrap_or_default().to_owned());
        }
        Ok(self.own_user.clone().filter(|id| !id.is_empty()))
    }

    fn contact_columns(&self) -> Result<String, Failure> {
        Ok(format!("id,deleted,email,{}", self.shape.contact_columns()?.join(",")))
    }
}

fn bulk(base: &str, rows: &[Value]) -> Request {
    Request::post(format!("{base}/bulk")).json(&json!({ "requests": rows }))
}

/// As Sugar wants them: what is emptied is null, an address is a list.
fn body(values: &Values) -> Value {
    let mut body = Values::new();
    for (name, value) in values {
        if name == "email1" {
            let all = json!([{ "email_address": value, "primary_address": true }]);
            body.insert("email".to_owned(), all);
        } else {
            body.insert(name.clone(), if value == "" { Value::Null } else { value.clone() });
        }
    }
    body.into()
}

#[async_trait]
impl Api for SugarCrm {
    fn shape(&self) -> Arc<Shape> {
        Arc::clone(&self.shape)
    }

    fn ways(&self) -> Manners {
        let is_keyed = self.settings.visit_key_field.is_none();
        Manners {
            keyed: is_keyed,
            batch: if is_keyed { BATCH } else { UNKEYED_BATCH },
            // A contact's id may be given by anybody who may create one, and is refused the second time.
            keyed_contacts: true,
            settle: if is_keyed { Duration::ZERO } else { SETTLE },
            needs_contact: true,
            mark_chars: 255,
        }
    }

    fn now(&self) -> Timestamp {
        self.tools.clock.wall().at
    }

    async fn read(&mut self, module: &'static str, ids: &[String], fields: &[String]) -> Result<Vec<Row>, Failure> {
        let fields = format!("id,deleted,email,{}", fields.join(","));
        let mut rows = Vec::new();
        for ids in ids.chunks(BATCH) {
            rows.extend(self.all(module, &json!([{ "id": { "$in": ids } }]), &fields, true).await?);
        }
        Ok(rows)
    }

    async fn search(&mut self, sought: &Seek) -> Result<Vec<Row>, Failure> {
        let any = |all: Vec<Value>| json!([{ "$or": all }]);
        let wanted = match sought {
            Seek::Mark(customer) => {
                let field = self.shape.external_id()?;
                any(Mark::words(*customer).map(|word| json!({ field: { "$contains": word } })).into())
            }
            Seek::Phone(phone) => {
                // Sugar compares texts: every spelling that people use is asked for, and looked at again later.
                let spellings = phone_spellings(phone);
                any(PHONES.map(|field| json!({ field: { "$in": spellings } })).into())
            }
            Seek::Email(email) => json!([{ "email": { "$equals": email } }]),
        };
        let body = json!({ "filter": wanted, "fields": self.contact_columns()?, "max_num": 20, "offset": 0 });
        Ok(self.filter(CONTACTS, &body).await?.0)
    }

    /// Those in the bin are among the others (unverified that every version heeds `deleted`).
    async fn since(&mut self, mark: &Watermark) -> Result<(Vec<Row>, Vec<String>, bool), Failure> {
        let body = json!({
            "filter": [{ "date_modified": { "$gte": time(mark.since) } }], "fields": self.contact_columns()?,
            "order_by": "date_modified:ASC", "max_num": PAGE, "offset": mark.skip, "deleted": true,
        });
        let (rows, more) = self.filter(CONTACTS, &body).await?;
        Ok((rows, Vec::new(), more))
    }

    async fn create_contact(&mut self, id: &str, values: &Values) -> Result<Option<Row>, Failure> {
        let mut row = body(values);
        row["id"] = id.into();
        let reply = self.call(|base| Request::post(format!("{base}/Contacts")).json(&row)).await?;
        match wire::done(&reply, &*self.tools.clock) {
            Ok(()) => {
                let row = wire::row(&reply.json()?);
                row.map(Some).ok_or_else(|| Failure::transient("SugarCRM's answer names no contact"))
            }
            // One that is there is refused as a bad value, one in the bin as a fault of the database.
            Err(failure) if matches!(reply.status, 422 | 500) => {
                let there = self.read(CONTACTS, &[id.to_owned()], &[]).await?;
                if there.is_empty() { Err(failure) } else { Ok(None) }
            }
            Err(failure) => Err(failure),
        }
    }

    async fn change(
        &mut self,
        module: &'static str,
        rows: &[(String, Values)],
    ) -> Result<Vec<Result<Option<Row>, Failure>>, Failure> {
        if let [(id, values)] = rows {
            let (path, body) = (format!("/{module}/{}", quoted_path(id)), body(values));
            let reply = self.call(|base| Request::put(format!("{base}{path}")).json(&body)).await?;
            if wire::is_missing(&reply) {
                return Ok(vec![Ok(None)]);
            }
            let done = wire::done(&reply, &*self.tools.clock).and_then(|()| Ok(wire::row(&reply.json()?)));
            return Ok(vec![done]);
        }
        let mut changed = Vec::with_capacity(rows.len());
        for rows in rows.chunks(BATCH) {
            let put = |(id, values): &(String, Values)| {
                self.bulk_request("PUT", &format!("{module}/{}", quoted_path(id)), &body(values))
            };
            let requests: Vec<Value> = rows.iter().map(put).collect();
            changed.extend(self.bulk(&requests).await?.into_iter().map(wire::BulkRow::changed));
        }
        Ok(changed)
    }

    async fn remove(&mut self, module: &'static str, ids: &[String]) -> Result<(), Failure> {
        for id in ids {
            let path = format!("/{module}/{}", quoted_path(id));
            let reply = self.call(|base| Request::delete(format!("{base}{path}"))).await?;
            if !wire::is_missing(&reply) {
                wire::done(&reply, &*self.tools.clock)?;
            }
        }
        Ok(())
    }

    async fn ours(&mut self, visits: &[SentVisit]) -> Result<Vec<String>, Failure> {
        self.marked(visits).await
    }

    async fn meetings_of(&mut self, contact: &str) -> Result<Option<Vec<Row>>, Failure> {
        let path = format!("/Contacts/{}/link/meetings", quoted_path(contact));
        let fields = format!("id,{}", self.shape.meeting_columns().join(","));
        let mut rows = Vec::new();
        for _ in 0..MOST_PAGES {
            let offset = rows.len().to_string();
            let reply = self
                .call(|base| {
                    let request = Request::get(format!("{base}{path}")).query("fields", &fields);
                    request.query("max_num", &PAGE.to_string()).query("offset", &offset)
                })
                .await?;
            if wire::is_missing(&reply) {
                return Ok(None);
            }
            wire::answered(&reply, &*self.tools.clock)?;
            let (page, more) = wire::page(&reply)?;
            let is_last = !more || page.is_empty();
            rows.extend(page);
            if is_last {
                return Ok(Some(rows));
            }
        }
        Err(Failure::transient("SugarCRM's list of a contact's meetings does not end"))
    }

    async fn send(&mut self, visits: &[VisitRecord]) -> Result<Vec<Result<RecordId, Failure>>, Failure> {
        self.record_all(visits).await
    }

    async fn look_for(&mut self, visits: &[VisitRecord]) -> Result<Vec<Option<RecordId>>, Failure> {
        let keys: Vec<_> = visits.iter().map(|visit| visit.key).collect();
        let there = self.meetings(&keys).await?;
        Ok(visits.iter().map(|visit| there.get(&visit.key.to_string()).cloned()).collect())
    }

    /// The shape of `/me` follows the vendor's guide (unverified on a tenant).
    async fn look(&mut self) -> Result<Vec<Finding>, Failure> {
        // The login itself is to be seen: nothing of an earlier one is used.
        (self.access, self.refresh) = (None, None);
        self.log_in().await?;
        let me = match self.told("/me").await {
            Ok(mut me) => me["current_user"].take(),
            Err(failure) => return Ok(vec![Finding::missing("modules and rights", failure.to_string())]),
        };
        let mut found = Vec::new();
        let (own, what) = (self.settings.visit_key_field.clone(), "the right to upsert by sync_key");
        if own.is_none() && me["type"] == "admin" {
            found.push(Finding::good(what));
        } else if own.is_none() {
            let remedy = "make the user an administrator (Admin, User Management), or give the meetings a text field \
                          for the key and name it in visit_key_field of [crm.sugarcrm]";
            found.push(Finding::missing(what, remedy));
        }
        let there = self.fields(MEETINGS).await;
        for field in [&*own.unwrap_or_else(|| "sync_key".to_owned()), "contacts"] {
            let what = format!("the field {field} of Meetings");
            found.push(match &there {
                Ok(there) if there.contains(field) => Finding::good(what),
                Ok(_) if field == "sync_key" => Finding::missing(what, "update SugarCRM to 10.2 or later"),
                Ok(_) if field == "contacts" => Finding::missing(what, "let the user see and edit it"),
                Ok(_) => {
                    let remedy = "create it in Studio (Meetings, TextField, 36 characters), or correct visit_key_field";
                    Finding::missing(what, remedy)
                }
                Err(failure) => Finding::missing(what, failure.to_string()),
            });
        }
        // Rights that are not named are given.
        let rights = ["access", "list", "view", "create", "edit", "delete"];
        for module in [MEETINGS, CONTACTS] {
            let lacking: Vec<&str> = rights.into_iter().filter(|right| me["acl"][module][*right] == "no").collect();
            found.push(findings::rights(module, &lacking));
        }
        let what = format!("searching meetings by {}", self.key_field());
        found.push(match self.meetings(&[uuid::Uuid::nil()]).await {
            Ok(_) => Finding::good(what),
            Err(failure) => Finding::missing(what, failure.to_string()),
        });
        Ok(found)
    }

    /// The shape of `/metadata` follows the vendor's guide (unverified on a tenant).
    async fn fields(&mut self, module: &'static str) -> Result<BTreeSet<String>, Failure> {
        let body = self.told("/metadata?type_filter=modules&module_filter=Contacts,Meetings").await?;
        let fields = body["modules"][module]["fields"].as_object();
        Ok(fields.into_iter().flat_map(|fields| fields.keys().cloned()).collect())
    }

    fn show(&self, visits: &[VisitRecord]) -> Vec<String> {
        let rows: Vec<Value> = visits.iter().map(|visit| self.bulk_row(visit, None, None)).collect();
        rows.chunks(self.ways().batch).map(|batch| bulk(&self.base(), batch).in_words()).collect()
    }
}
