//! SugarCRM by its REST API v11: a visit is a meeting that was held, upserted by its `sync_key` through `/bulk`.
//!
//! Finding meetings is `meetings`', reading answers `wire`'s, looking at the tenant `probe`'s. Only an administrator may upsert by `sync_key`;
//! for others the key goes into a field of the tenant's own, and is looked for before a meeting is created.

mod meetings;
mod probe;
pub mod settings;
mod wire;

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use uuid::Uuid;

use self::wire::PHONES;
use crate::crm::watermark::Watermark;
use crate::crm::{
    Changes, Contact, ContactFields, ContactId, Creation, CrmConnector, CrmSettings, Failure, FailureClass, Finding,
    Forgotten, Heartbeat, Http, Manners, NewContact, RecordFields, RecordId, Reply, Request, Seek, SentVisit, Standing,
    Token, Told, ToldFields, Tools, VisitRecord, phone_spellings, quoted_path,
};
use crate::customer::Country;
use crate::i18n::Language;

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
/// Contacts or meetings of one page.
const PAGE: u64 = 100;

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
pub struct SugarCrm {
    settings: Settings,
    country: Option<Country>,
    language: Language,
    http: Http,
    tools: Tools,
    access: Option<Token>,
    /// In memory only: whoever holds it needs no password.
    refresh: Option<String>,
}

impl SugarCrm {
    pub fn new(settings: &Settings, common: &CrmSettings, tools: &Tools) -> Result<Self, Failure> {
        let http = Http::new(&common.http, tools, INTERVAL)?;
        let (country, language) = (common.country, common.language);
        let (settings, tools) = (settings.clone(), tools.clone());
        Ok(Self { settings, country, language, http, tools, access: None, refresh: None })
    }

    fn base(&self) -> String {
        format!("{}/rest/{}", self.settings.url, self.settings.api_version)
    }

    fn external_id(&self) -> Result<&str, Failure> {
        let field = self.settings.fields.external_id.as_deref();
        field.ok_or_else(|| Failure::blocked("external_id in [crm.sugarcrm.fields] is empty; name the field", None))
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
        let password = self.tools.secrets.secret(SECRETS[0]).map_err(Failure::auth)?.ok_or_else(|| {
            Failure::auth(format!("no password is kept; give it with `snova crm secret {}`", SECRETS[0]))
        })?;
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

    async fn get(&mut self, path: &str) -> Result<Reply, Failure> {
        self.call(|base| Request::get(format!("{base}{path}"))).await
    }

    async fn put(&mut self, path: &str, change: &Value) -> Result<Reply, Failure> {
        self.call(|base| Request::put(format!("{base}{path}")).json(change)).await
    }

    async fn filter(&mut self, module: &str, body: &Value) -> Result<wire::Page, Failure> {
        let reply = self.call(|base| Request::post(format!("{base}/{module}/filter")).json(body)).await?;
        wire::page(&reply, &*self.tools.clock)
    }

    /// What is to be done with one visit, as a row of a bulk call.
    fn bulk_row(&self, visit: &VisitRecord) -> Value {
        let (contact, minutes) = (&visit.contact.0, visit.minutes());
        let mut meeting = json!({
            "name": format!("{}, {}", visit.title(self.language), visit.shop),
            "description": visit.text(self.language),
            "status": "Held",
            "date_start": wire::time(visit.opened_at.at),
            "duration_hours": minutes / 60,
            "duration_minutes": minutes % 60,
            "parent_type": "Contacts",
            "parent_id": contact,
            "contacts": { "add": [{ "id": contact }] },
        });
        let version = &self.settings.api_version;
        let (method, url) = match &self.settings.visit_key_field {
            None => ("PATCH", format!("/{version}/Meetings/sync_key/{}", visit.key)),
            Some(field) => {
                meeting[field] = visit.key.to_string().into();
                ("POST", format!("/{version}/Meetings"))
            }
        };
        // The body within the bulk is a text of its own.
        json!({ "url": url, "method": method, "headers": ["Content-Type: application/json"], "data": meeting.to_string() })
    }

    async fn send(&mut self, visits: &[&VisitRecord]) -> Result<Vec<Result<RecordId, Failure>>, Failure> {
        let rows: Vec<Value> = visits.iter().map(|visit| self.bulk_row(visit)).collect();
        let reply = self.call(|base| bulk(base, &rows)).await?;
        wire::rows(&reply, visits.len(), &*self.tools.clock)
    }

    fn contact_fields(&self) -> String {
        let fields = &self.settings.fields;
        let own = [
            &fields.external_id,
            &fields.patronymic,
            &fields.tier,
            &fields.notes,
            &fields.offer,
            &fields.birthday,
            &fields.visits,
            &fields.last_visit,
        ];
        let mut all = vec!["id", "first_name", "last_name", "email", "assigned_user_name", "date_modified", "deleted"];
        all.extend(PHONES);
        all.extend(own.iter().filter_map(|field| field.as_deref()).filter(|field| !field.is_empty()));
        all.join(",")
    }

    fn contacts(&self, records: &[Value]) -> Vec<Contact> {
        records.iter().filter_map(|row| wire::contact(row, &self.settings.fields)).collect()
    }

    /// Writes the external id and makes sure that it is there: Sugar passes over fields that it does not know.
    async fn write_external_id(&mut self, contact: &ContactId, value: &str) -> Result<Option<()>, Failure> {
        let field = self.external_id()?.to_owned();
        let path = format!("/Contacts/{}", quoted_path(&contact.0));
        let reply = self.put(&path, &json!({ field.as_str(): value })).await?;
        if is_missing(&reply) {
            return Ok(None);
        }
        wire::done(&reply, &*self.tools.clock)?;
        let kept = reply.json()?[&field].as_str().unwrap_or_default().to_owned();
        if kept == value { Ok(Some(())) } else { Err(not_kept(&field)) }
    }
}

fn bulk(base: &str, rows: &[Value]) -> Request {
    Request::post(format!("{base}/bulk")).json(&json!({ "requests": rows }))
}

/// Sugar's own word that there is no such record, which a wrong address does not give.
fn is_missing(reply: &Reply) -> bool {
    reply.status == 404 && reply.json().is_ok_and(|body| body["error"] == "not_found")
}

fn not_kept(field: &str) -> Failure {
    let said = format!("SugarCRM did not keep the field {field} of a contact; create it, and run `snova crm probe`");
    Failure::blocked(said, None)
}

#[async_trait]
impl CrmConnector for SugarCrm {
    fn manners(&self) -> Manners {
        match self.settings.visit_key_field {
            None => Manners {
                keyed: true,
                batch: BATCH,
                keyed_contacts: true,
                settle: Duration::ZERO,
                needs_contact: true,
                mark_chars: 255,
            },
            Some(_) => Manners {
                keyed: false,
                batch: UNKEYED_BATCH,
                keyed_contacts: true,
                settle: SETTLE,
                needs_contact: true,
                mark_chars: 255,
            },
        }
    }

    async fn record(&mut self, visits: &[VisitRecord]) -> Result<Vec<Result<RecordId, Failure>>, Failure> {
        let keys: Vec<Uuid> = visits.iter().map(|visit| visit.key).collect();
        // Without an upsert, what is there is not created again; this also finds out a field that is not there, which
        // a creation would pass over in silence.
        let mut there = match &self.settings.visit_key_field {
            Some(_) => self.meetings(&keys).await?,
            None => BTreeMap::new(),
        };
        let absent: Vec<&VisitRecord> =
            visits.iter().filter(|visit| !there.contains_key(&visit.key.to_string())).collect();
        let sent = if absent.is_empty() { Vec::new() } else { self.send(&absent).await? };
        // An upsert says "invalid parameter" of everything: whether its key is a field at all must be asked for.
        let refused = |row: &Result<_, Failure>| row.as_ref().is_err_and(|f| f.class == FailureClass::Poison);
        if self.settings.visit_key_field.is_none() && sent.iter().any(refused) {
            there.extend(self.meetings(&keys).await?);
        }
        let mut sent = sent.into_iter();
        let mut rows = Vec::with_capacity(visits.len());
        for visit in visits {
            let was_sent = absent.iter().any(|other| other.key == visit.key);
            let row = if was_sent { sent.next() } else { None };
            rows.push(match (row, there.get(&visit.key.to_string())) {
                (Some(Ok(id)), _) => Ok(id),
                (_, Some(id)) => Ok(id.clone()),
                (Some(failed), None) => failed,
                (None, None) => Err(Failure::transient("SugarCRM's answer passed over a visit")),
            });
        }
        Ok(rows)
    }

    async fn reconcile(&mut self, visits: &[VisitRecord]) -> Result<Vec<Option<RecordId>>, Failure> {
        let keys: Vec<Uuid> = visits.iter().map(|visit| visit.key).collect();
        let there = self.meetings(&keys).await?;
        Ok(visits.iter().map(|visit| there.get(&visit.key.to_string()).cloned()).collect())
    }

    async fn void(&mut self, visit: &SentVisit) -> Result<(), Failure> {
        for meeting in self.marked(std::slice::from_ref(visit)).await? {
            let reply =
                self.put(&format!("/Meetings/{}", quoted_path(&meeting)), &json!({ "status": "Not Held" })).await?;
            if !is_missing(&reply) {
                wire::done(&reply, &*self.tools.clock)?;
            }
        }
        Ok(())
    }

    async fn forget(&mut self, gone: &Forgotten) -> Result<(), Failure> {
        for meeting in self.marked(&gone.visits).await? {
            let path = format!("/Meetings/{}", quoted_path(&meeting));
            let reply = self.call(|base| Request::delete(format!("{base}{path}"))).await?;
            if !is_missing(&reply) {
                wire::done(&reply, &*self.tools.clock)?;
            }
        }
        Ok(())
    }

    async fn find(&mut self, sought: &Seek) -> Result<Vec<Contact>, Failure> {
        let wanted = match sought {
            Seek::Mark(customer) => json!([{ self.external_id()?: { "$equals": customer.to_string() } }]),
            Seek::Phone(phone) => {
                // Sugar compares texts: every spelling that people use is asked for, and looked at again below.
                let spellings = phone_spellings(phone);
                let any: Vec<Value> = PHONES.iter().map(|&field| json!({ field: { "$in": spellings } })).collect();
                json!([{ "$or": any }])
            }
            Seek::Email(email) => json!([{ "email": { "$equals": email } }]),
        };
        let body = json!({ "filter": wanted, "fields": self.contact_fields(), "max_num": 20, "offset": 0 });
        let records = self.filter("Contacts", &body).await?.records;
        Ok(self.contacts(&records).into_iter().filter(|contact| sought.is_met_by(contact, self.country)).collect())
    }

    async fn write_mark(&mut self, contact: &ContactId, text: &str) -> Result<(), Failure> {
        let written = self.write_external_id(contact, text).await?;
        written.ok_or_else(|| Failure::contact_gone("the contact is not in SugarCRM any more"))
    }

    async fn create(&mut self, new: &NewContact) -> Result<Creation, Failure> {
        let field = self.external_id()?.to_owned();
        let mut row = json!({
            "first_name": new.given,
            // A contact has a surname in Sugar, whatever people have.
            "last_name": new.family.as_deref().unwrap_or(&new.given),
            field.as_str(): new.mark,
        });
        let patronymic = self.settings.fields.patronymic.as_deref().filter(|field| !field.is_empty());
        for (field, value) in [(patronymic, &new.patronymic), (Some("phone_mobile"), &new.phone)] {
            if let (Some(field), Some(value)) = (field, value) {
                row[field] = value.as_str().into();
            }
        }
        if let Some(email) = &new.email {
            row["email"] = json!([{ "email_address": email, "primary_address": true }]);
        }
        let reply = self.call(|base| Request::post(format!("{base}/Contacts")).json(&row)).await?;
        wire::done(&reply, &*self.tools.clock)?;
        let body = reply.json()?;
        if body["id"].is_string() && body[&field].as_str() != Some(&*new.mark) {
            return Err(not_kept(&field));
        }
        let id = body["id"].as_str().map(|id| Creation::Made(ContactId(id.to_owned())));
        id.ok_or_else(|| Failure::transient("SugarCRM's answer names no contact"))
    }

    async fn contact(&mut self, id: &ContactId) -> Result<Option<Contact>, Failure> {
        let (path, fields) = (format!("/Contacts/{}", quoted_path(&id.0)), self.contact_fields());
        let reply = self.call(|base| Request::get(format!("{base}{path}")).query("fields", &fields)).await?;
        if is_missing(&reply) {
            return Ok(None);
        }
        wire::answered(&reply, &*self.tools.clock)?;
        let contact = wire::contact(&reply.json()?, &self.settings.fields);
        contact.map(Some).ok_or_else(|| Failure::transient("SugarCRM's answer holds no contact"))
    }

    async fn changed(&mut self, cursor: &str) -> Result<Changes, Failure> {
        let Some(mark) = Watermark::read(cursor) else {
            let begin = Watermark::begin(self.tools.clock.wall().at);
            return Ok(Changes { cursor: begin.cursor(), ..Changes::default() });
        };
        let body = json!({
            "filter": [{ "date_modified": { "$gte": wire::time(mark.since) } }],
            "fields": self.contact_fields(), "order_by": "date_modified:ASC", "max_num": PAGE, "offset": mark.skip,
            // Those in the bin as well (unverified that every version heeds it).
            "deleted": true,
        });
        let page = self.filter("Contacts", &body).await?;
        let latest = page.records.iter().filter_map(wire::stamp).max();
        let next = mark.after(latest, page.records.len() as u64, page.more && !page.records.is_empty());
        Ok(Changes {
            contacts: self.contacts(&page.records),
            cursor: next.cursor(),
            more: page.more && !page.records.is_empty(),
        })
    }

    async fn amend(&mut self, _visit: &VisitRecord, _sent: &SentVisit) -> Result<(), Failure> {
        Err(Failure::blocked("not built yet", None))
    }

    async fn retire(&mut self, _younger: &ContactId, _elder: &ContactId) -> Result<(), Failure> {
        Err(Failure::blocked("not built yet", None))
    }

    async fn visits_of(&mut self, _contact: &ContactId) -> Result<Vec<Standing>, Failure> {
        Err(Failure::blocked("not built yet", None))
    }

    async fn tell(&mut self, _told: &[(ContactId, Told)]) -> Result<Vec<Result<(), Failure>>, Failure> {
        Err(Failure::blocked("not built yet", None))
    }

    async fn prepare(&mut self) -> Vec<Finding> {
        Vec::new()
    }

    async fn probe(&mut self) -> Vec<Finding> {
        probe::probe(self).await
    }

    /// Sugar has no place for it.
    async fn heartbeat(&mut self, _: &Heartbeat) -> Result<bool, Failure> {
        Ok(false)
    }

    fn preview(&self, visits: &[VisitRecord]) -> Vec<String> {
        let rows: Vec<Value> = visits.iter().map(|visit| self.bulk_row(visit)).collect();
        rows.chunks(self.manners().batch).map(|batch| bulk(&self.base(), batch).in_words()).collect()
    }
}
