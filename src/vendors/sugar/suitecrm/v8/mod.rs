//! SuiteCRM by its V8 API: one meeting a call, created under our key, then tied to its contact.
//!
//! Reading its answers is `wire`'s, looking at the tenant is `probe`'s. The same key again is refused with "already
//! exist", which is what makes a repetition safe.

mod probe;
mod wire;

use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value, json};

use self::wire::{Outcome, Refusal};
use super::{PHONES, SECRETS, Settings, Suspects};
use crate::crm::watermark::Watermark;
use crate::crm::{
    Changes, Contact, ContactId, Creation, CrmConnector, CrmSettings, Failure, Finding, Forgotten, Heartbeat, Http,
    Manners, NewContact, RecordId, Reply, Request, Seek, SentVisit, Standing, Token, Told, Tools, VisitRecord,
    phone_like, quoted_path,
};
use crate::customer::Country;
use crate::i18n::Language;

/// SuiteCRM publishes no limit; five a second leave people at work their server.
const INTERVAL: Duration = Duration::from_millis(200);
/// Contacts of one page.
const PAGE: u64 = 50;
const KIND: &str = "application/vnd.api+json";

/// The connector.
pub(super) struct SuiteCrm {
    settings: Settings,
    client_id: String,
    base: String,
    country: Option<Country>,
    language: Language,
    http: Http,
    tools: Tools,
    token: Option<Token>,
    suspects: Suspects,
}

impl SuiteCrm {
    pub fn new(
        settings: &Settings,
        client_id: &str,
        path: &str,
        common: &CrmSettings,
        tools: &Tools,
    ) -> Result<Self, Failure> {
        Ok(Self {
            settings: settings.clone(),
            client_id: client_id.to_owned(),
            base: format!("{}{path}", settings.url),
            country: common.country,
            language: common.language,
            http: Http::new(&common.http, tools, INTERVAL)?,
            tools: tools.clone(),
            token: None,
            suspects: Suspects::default(),
        })
    }

    async fn log_in(&mut self) -> Result<Token, Failure> {
        let secret = self.tools.secrets.secret(SECRETS[0]).map_err(Failure::auth)?.ok_or_else(|| {
            Failure::auth(format!("no client secret is kept; give it with `snova crm secret {}`", SECRETS[0]))
        })?;
        let body = json!({
            "grant_type": "client_credentials", "client_id": self.client_id, "client_secret": secret,
        });
        let request = Request::post(format!("{}/access_token", self.base)).json(&body);
        let reply = self.http.send(&request).await?;
        let (token, lasts) = wire::token(&reply, &*self.tools.clock)?;
        let token = Token::new(token, self.tools.clock.monotonic(), lasts.map(Duration::from_secs));
        self.token = Some(token.clone());
        Ok(token)
    }

    /// Sends what `build` makes of the API's address; logs in anew where the session has ended.
    async fn call(&mut self, build: impl Fn(&str) -> Request + Send + Sync) -> Result<Reply, Failure> {
        let base = format!("{}/V8", self.base);
        for _ in 0..2 {
            let now = self.tools.clock.monotonic();
            let token = match &self.token {
                Some(token) if token.is_fresh(now) => token.clone(),
                _ => self.log_in().await?,
            };
            let request = build(&base).bearer(&token.value).header("accept", KIND);
            let reply = self.http.send(&request).await?;
            if !wire::is_session_over(&reply) {
                return Ok(reply);
            }
            self.token = None;
        }
        Err(Failure::auth(
            "SuiteCRM gave a token and then refused it; see that its web server passes the Authorization header on",
        ))
    }

    async fn get(&mut self, path: &str, id: &str) -> Result<Outcome, Failure> {
        let reply = self.call(|base| Request::get(format!("{base}{path}"))).await?;
        wire::outcome(&reply, id, &*self.tools.clock)
    }

    /// `POST /module` creates, `PATCH /module` changes; the id is in the body.
    async fn write(&mut self, create: bool, module: &str, id: &str, values: &Value) -> Result<Outcome, Failure> {
        let body = document(module, id, values);
        let reply = self
            .call(|base| {
                let url = format!("{base}/module");
                if create { posted(url, &body) } else { Request::patch(url).body(KIND, body.to_string()) }
            })
            .await?;
        wire::outcome(&reply, id, &*self.tools.clock)
    }

    async fn list(&mut self, module: &str, query: &[(&str, &str)]) -> Result<Outcome, Failure> {
        let reply = self
            .call(|base| {
                let request = Request::get(format!("{base}/module/{module}"));
                query.iter().fold(request, |request, (name, value)| request.query(name, value))
            })
            .await?;
        wire::outcome(&reply, "", &*self.tools.clock)
    }

    /// One page of contacts for which this holds, with the number of pages.
    async fn contacts(&mut self, filter: (&str, &str), page: u64) -> Result<(Vec<Value>, u64), Failure> {
        let columns = super::columns(&self.settings.fields)?.join(",");
        let (size, number) = (PAGE.to_string(), page.to_string());
        let query = [
            (filter.0, filter.1),
            ("fields[Contacts]", &columns),
            ("page[size]", &size),
            ("page[number]", &number),
            // Ascending is without a sign.
            ("sort", "date_modified"),
        ];
        let mut body = self.list("Contacts", &query).await?.done("a search for contacts")?;
        wire::records(&mut body)
    }

    /// The outer failure is one of all visits, the inner of this one.
    async fn record_one(&mut self, visit: &VisitRecord) -> Result<Result<RecordId, Failure>, Failure> {
        let key = visit.key.to_string();
        let mut values = object(&super::meeting(visit, self.language));
        let kept = match self.write(true, "Meetings", &key, &values).await? {
            Outcome::Done(body) => body,
            Outcome::Refused(Refusal::Exists) => {
                // Sent before. What a cut or a contact that has gone since left wrong is put right; status is not
                // touched, and a meeting that somebody has thrown away stays so.
                if let Value::Object(values) = &mut values {
                    values.retain(|name, _| matches!(&**name, "date_start" | "date_end" | "parent_type" | "parent_id"));
                }
                match self.write(false, "Meetings", &key, &values).await? {
                    Outcome::Refused(Refusal::Missing) => return Ok(Ok(RecordId(key))),
                    changed => changed.done("writing a meeting")?,
                }
            }
            Outcome::Refused(Refusal::Unknown) => return Ok(Err(self.judge(visit).await?)),
            refused => refused.done("writing a meeting")?,
        };
        if kept["data"]["attributes"]["date_start"].as_str().is_none_or(str::is_empty) {
            return Err(Failure::blocked(
                "SuiteCRM took a visit and lost its time; see that it keeps date_start",
                None,
            ));
        }
        self.suspects.took(visit.key);
        Ok(if self.tie(&key, &visit.contact).await? { Ok(RecordId(key)) } else { Err(super::contact_gone()) })
    }

    /// A refusal without a reason. From the second one on an earlier visit is written once more, unchanged: if that
    /// goes well, it is this one's fault; if not, it is nobody's, and all wait.
    async fn judge(&mut self, visit: &VisitRecord) -> Result<Failure, Failure> {
        if self.suspects.refused(visit.key) {
            return Ok(super::unexplained());
        }
        let Some(earlier) = self.suspects.taken.map(|key| key.to_string()) else { return Err(super::unexplained()) };
        match self.write(false, "Meetings", &earlier, &json!({ "id": earlier })).await? {
            Outcome::Done(_) => Ok(super::at_fault()),
            Outcome::Refused(_) => Err(super::unexplained()),
        }
    }

    /// A parent alone does not put the meeting into the contact's list. Safe to repeat; `false` where there is no such
    /// contact.
    async fn tie(&mut self, key: &str, contact: &ContactId) -> Result<bool, Failure> {
        let body = json!({ "data": { "type": "Contacts", "id": contact.0 } });
        let reply = self.call(|base| posted(format!("{base}/module/Meetings/{key}/relationships"), &body)).await?;
        match wire::outcome(&reply, &contact.0, &*self.tools.clock)? {
            Outcome::Refused(Refusal::Missing) => Ok(false),
            tied => tied.done("tying a meeting to its contact").map(|_| true),
        }
    }

    /// Writes the external id and makes sure that it is there; `None` where there is no such contact.
    async fn write_external_id(&mut self, contact: &ContactId, value: &str) -> Result<Option<()>, Failure> {
        let field = super::external_id(&self.settings.fields)?.to_owned();
        let change = json!({ field.as_str(): value });
        let body = match self.write(false, "Contacts", &contact.0, &change).await? {
            Outcome::Refused(Refusal::Missing) => return Ok(None),
            changed => changed.done("changing a contact")?,
        };
        let kept = body["data"]["attributes"][&field].as_str().unwrap_or_default();
        if kept == value { Ok(Some(())) } else { Err(super::not_kept(&field)) }
    }
}

fn object(values: &[(&str, String)]) -> Value {
    let pairs = values.iter().map(|(name, value)| ((*name).to_owned(), Value::from(value.as_str())));
    Value::Object(pairs.collect::<Map<_, _>>())
}

fn document(module: &str, id: &str, values: &Value) -> Value {
    let mut data = json!({ "type": module, "attributes": values });
    if !id.is_empty() {
        data["id"] = id.into();
    }
    json!({ "data": data })
}

fn posted(url: String, body: &Value) -> Request {
    Request::post(url).body(KIND, body.to_string())
}

#[async_trait]
impl CrmConnector for SuiteCrm {
    fn manners(&self) -> Manners {
        // V8 knows no batch.
        Manners {
            keyed: true,
            batch: 1,
            keyed_contacts: true,
            settle: Duration::ZERO,
            needs_contact: true,
            mark_chars: 255,
        }
    }

    async fn record(&mut self, visits: &[VisitRecord]) -> Result<Vec<Result<RecordId, Failure>>, Failure> {
        let mut rows = Vec::with_capacity(visits.len());
        for visit in visits {
            rows.push(self.record_one(visit).await?);
        }
        Ok(rows)
    }

    async fn reconcile(&mut self, visits: &[VisitRecord]) -> Result<Vec<Option<RecordId>>, Failure> {
        let mut found = Vec::with_capacity(visits.len());
        for visit in visits {
            let key = visit.key.to_string();
            found.push(match self.get(&format!("/module/Meetings/{key}"), &key).await? {
                Outcome::Refused(Refusal::Missing) => None,
                there => {
                    there.done("looking for a meeting")?;
                    Some(RecordId(key))
                }
            });
        }
        Ok(found)
    }

    async fn void(&mut self, visit: &SentVisit) -> Result<(), Failure> {
        let change = json!({ "status": "Not Held" });
        match self.write(false, "Meetings", &visit.key.to_string(), &change).await? {
            Outcome::Refused(Refusal::Missing) => Ok(()),
            changed => changed.done("changing a meeting").map(|_| ()),
        }
    }

    async fn forget(&mut self, gone: &Forgotten) -> Result<(), Failure> {
        for visit in &gone.visits {
            let key = visit.key.to_string();
            let reply = self.call(|base| Request::delete(format!("{base}/module/Meetings/{key}"))).await?;
            match wire::outcome(&reply, &key, &*self.tools.clock)? {
                Outcome::Refused(Refusal::Missing) => {}
                removed => {
                    removed.done("removing a meeting")?;
                }
            }
        }
        Ok(())
    }

    async fn find(&mut self, sought: &Seek) -> Result<Vec<Contact>, Failure> {
        let mut records = Vec::new();
        match sought {
            Seek::Mark(customer) => {
                let name = format!("filter[{}][eq]", super::external_id(&self.settings.fields)?);
                records = self.contacts((&name, &customer.to_string()), 1).await?.0;
            }
            Seek::Phone(phone) => {
                // One field at a time: before 7.13 or so, an "or" took in everybody who is not deleted.
                for field in PHONES {
                    let name = format!("filter[{field}][like]");
                    records.extend(self.contacts((&name, &phone_like(phone)), 1).await?.0);
                }
            }
            // Addresses that a contact once had are found as well, and some contacts twice.
            Seek::Email(email) => records = self.contacts(("filter[email1][eq]", email), 1).await?.0,
        }
        let contacts = records.iter().filter_map(|record| wire::read_contact(record, &self.settings.fields));
        let mut met: Vec<Contact> = contacts.filter(|contact| sought.is_met_by(contact, self.country)).collect();
        met.sort_by(|a, b| a.id.cmp(&b.id));
        met.dedup_by(|a, b| a.id == b.id);
        Ok(met)
    }

    async fn write_mark(&mut self, contact: &ContactId, text: &str) -> Result<(), Failure> {
        let written = self.write_external_id(contact, text).await?;
        written.ok_or_else(|| Failure::contact_gone("the contact is not in SuiteCRM any more"))
    }

    async fn create(&mut self, new: &NewContact) -> Result<Creation, Failure> {
        let values = object(&super::new_contact(new, &self.settings.fields)?);
        let id = new.key.to_string();
        let body = match self.write(true, "Contacts", &id, &values).await? {
            Outcome::Refused(Refusal::Exists) => match self.contact(&ContactId(id.clone())).await? {
                Some(_) => return Ok(Creation::Made(ContactId(id))),
                // Somebody threw that one away, and its id is used up.
                None => self.write(true, "Contacts", "", &values).await?.done("creating a contact")?,
            },
            created => created.done("creating a contact")?,
        };
        let id = body["data"]["id"].as_str().map(|id| Creation::Made(ContactId(id.to_owned())));
        id.ok_or_else(|| Failure::transient("SuiteCRM's answer names no contact"))
    }

    async fn contact(&mut self, id: &ContactId) -> Result<Option<Contact>, Failure> {
        let columns = super::columns(&self.settings.fields)?.join(",");
        let path = format!("/module/Contacts/{}?fields[Contacts]={}", quoted_path(&id.0), quoted_path(&columns));
        match self.get(&path, &id.0).await? {
            Outcome::Refused(Refusal::Missing) => Ok(None),
            there => {
                let contact = wire::read_contact(&there.done("reading a contact")?["data"], &self.settings.fields);
                contact.map(Some).ok_or_else(|| Failure::transient("SuiteCRM's answer holds no contact"))
            }
        }
    }

    async fn changed(&mut self, cursor: &str) -> Result<Changes, Failure> {
        let Some(mark) = Watermark::read(cursor) else {
            let begin = Watermark::begin(self.tools.clock.wall().at);
            return Ok(Changes { cursor: begin.cursor(), ..Changes::default() });
        };
        let number = mark.skip / PAGE + 1;
        let since = super::time(mark.since);
        let (records, pages) = self.contacts(("filter[date_modified][gte]", &since), number).await?;
        let more = number < pages && !records.is_empty();
        let next = mark.after(records.iter().filter_map(wire::stamp).max(), records.len() as u64, more);
        let contacts = records.iter().filter_map(|record| wire::read_contact(record, &self.settings.fields)).collect();
        Ok(Changes { contacts, cursor: next.cursor(), more })
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

    /// SuiteCRM has no place for it.
    async fn heartbeat(&mut self, _: &Heartbeat) -> Result<bool, Failure> {
        Ok(false)
    }

    fn preview(&self, visits: &[VisitRecord]) -> Vec<String> {
        let base = format!("{}/V8/module", self.base);
        let both = |visit: &VisitRecord| {
            let key = visit.key.to_string();
            let meeting = document("Meetings", &key, &object(&super::meeting(visit, self.language)));
            let tie = json!({ "data": { "type": "Contacts", "id": visit.contact.0 } });
            let tied = posted(format!("{base}/Meetings/{key}/relationships"), &tie);
            [posted(base.clone(), &meeting).in_words(), tied.in_words()]
        };
        visits.iter().flat_map(both).collect()
    }
}
