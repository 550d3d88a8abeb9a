//! Salesforce by its REST API: visits are rows of a custom object, upserted by an external id that the org keeps unique.
//!
//! Rows are `visits`' and `contacts`', answers `wire`'s, the fields that an org must have `columns`', looking at it is
//! `probe`'s, making fields there `prepare`'s. A collections upsert takes 200 visits in one call, answers 200 with errors inside, and is safe
//! to repeat: the second time the same rows are updated. Contacts are never upserted: that would overwrite somebody.

mod columns;
mod contacts;
mod prepare;
mod probe;
pub mod settings;
mod visits;
mod wire;

use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use uuid::Uuid;

use self::wire::Answer;
use crate::crm::{
    Changes, Contact, ContactFields, ContactId, Creation, CrmConnector, CrmSettings, Failure, Finding, Forgotten,
    Heartbeat, Http, Manners, NewContact, RecordFields, RecordId, Reply, Request, Seek, SentVisit, Standing, Token,
    Told, ToldFields, Tools, VisitRecord, quoted_path,
};
use crate::i18n::Language;

/// The secrets of the login.
pub const SECRETS: &[&str] = &["crm/salesforce/client-secret"];

/// Salesforce limits calls a day, not a second; five a second leave a burst of others room.
const INTERVAL: Duration = Duration::from_millis(200);
/// Rows of one collections request.
const BATCH: usize = 200;

/// `[crm.salesforce]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `https://shop.my.salesforce.com`.
    pub url: String,
    /// The consumer key of the app that runs as an integration user.
    pub client_id: String,
    /// "v62.0".
    pub api_version: String,
    /// Of Contact, Text(36), external id and unique: under it a contact that Snova creates is there once.
    pub contact_key: String,
    pub visit: VisitFields,
    /// The object that holds a row a box, with an external id `Device__c`; empty: no sign of life.
    pub device_object: String,
    pub fields: ContactFields,
    /// What is written on a contact beside its mark.
    pub told: ToldFields,
    /// Values of a visit that have no standard place.
    pub record: RecordFields,
}

/// `[crm.salesforce.visit]`: what the org calls the object of visits and its fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VisitFields {
    pub object: String,
    /// Text(36), external id and unique.
    pub key: String,
    pub contact: String,
    pub at: String,
    pub until: String,
    pub counter: String,
    pub how: String,
    /// Checkbox.
    pub void: String,
    /// The record's name, where it is a text and no number: the visit's title.
    pub name: Option<String>,
    /// Text(255): the visit in words.
    pub note: Option<String>,
}

impl Default for VisitFields {
    fn default() -> Self {
        Self {
            object: "Store_Visit__c".to_owned(),
            key: "Visit_UID__c".to_owned(),
            contact: "Contact__c".to_owned(),
            at: "At__c".to_owned(),
            until: "Until__c".to_owned(),
            counter: "Counter__c".to_owned(),
            how: "How__c".to_owned(),
            void: "Void__c".to_owned(),
            name: None,
            note: None,
        }
    }
}

/// The connector.
pub struct Salesforce {
    settings: Settings,
    country: Option<crate::customer::Country>,
    language: Language,
    http: Http,
    tools: Tools,
    login: Option<Login>,
}

struct Login {
    token: Token,
    /// Where the org says that it lives.
    instance: String,
}

impl Salesforce {
    pub fn new(settings: &Settings, common: &CrmSettings, tools: &Tools) -> Result<Self, Failure> {
        let http = Http::new(&common.http, tools, INTERVAL)?;
        let (country, language) = (common.country, common.language);
        Ok(Self { settings: settings.clone(), country, language, http, tools: tools.clone(), login: None })
    }

    /// The name of the field, where the org has one.
    fn external_id(&self) -> Result<&str, Failure> {
        let field = self.settings.fields.external_id.as_deref();
        field.ok_or_else(|| Failure::blocked("external_id in [crm.salesforce.fields] is empty; name the field", None))
    }

    async fn log_in(&mut self) -> Result<&Login, Failure> {
        let secret = self.tools.secrets.secret(SECRETS[0]).map_err(Failure::auth)?.ok_or_else(|| {
            Failure::auth(format!("no client secret is kept; give it with `snova crm secret {}`", SECRETS[0]))
        })?;
        let fields = [
            ("grant_type", "client_credentials"),
            ("client_id", &*self.settings.client_id),
            ("client_secret", &*secret),
        ];
        let request = Request::post(format!("{}/services/oauth2/token", self.settings.url)).form(&fields);
        let reply = self.http.send(&request).await?;
        let (token, instance) = wire::login(&reply, &*self.tools.clock)?;
        let token = Token::new(token, self.tools.clock.monotonic(), None);
        // The reply's instance_url is where the API is; it must not lead the token to another protocol.
        let instance = if instance.starts_with("https://") { instance } else { self.settings.url.clone() };
        Ok(self.login.insert(Login { token, instance }))
    }

    /// Sends what `build` makes of the address of the API; logs in anew where the session has ended.
    async fn call(&mut self, build: impl Fn(&str) -> Request + Send + Sync) -> Result<Reply, Failure> {
        let version = self.settings.api_version.clone();
        for first in [true, false] {
            let login = match &self.login {
                Some(login) => login,
                None => self.log_in().await?,
            };
            let base = format!("{}/services/data/{version}", login.instance);
            let request = build(&base).bearer(&login.token.value);
            let reply = self.http.send(&request).await?;
            if reply.status != 401 {
                return Ok(reply);
            }
            // Sessions end without saying when.
            self.login = None;
            if !first {
                break;
            }
        }
        Err(Failure::auth(
            "Salesforce accepted the login and then refused the session; check the app's user and its IP rules",
        ))
    }

    /// `way` is "query", which leaves out deleted and merged rows, or "queryAll".
    async fn query(&mut self, way: &str, soql: &str) -> Result<Answer, Failure> {
        let reply = self.call(|base| Request::get(format!("{base}/{way}")).query("q", soql)).await?;
        wire::answer(&reply, &*self.tools.clock)
    }

    async fn next_page(&mut self, rest: &str) -> Result<Answer, Failure> {
        let reply = self.call(|base| Request::get(format!("{base}/query/{rest}"))).await?;
        wire::answer(&reply, &*self.tools.clock)
    }

    /// Changes rows by the ids that the org gave them; what became of each, in their order.
    async fn update(&mut self, rows: &[Value]) -> Result<Vec<Result<(), Failure>>, Failure> {
        let mut outcomes = Vec::new();
        for batch in rows.chunks(BATCH) {
            let body = json!({ "allOrNone": false, "records": batch });
            let reply = self.call(|base| Request::patch(format!("{base}/composite/sobjects")).json(&body)).await?;
            let done = wire::rows(&reply, batch.len(), None, &*self.tools.clock)?;
            outcomes.extend(done.into_iter().map(|row| row.map(|_| ())));
        }
        Ok(outcomes)
    }
}

/// Whether this can be an id of an org: what cannot makes a whole query wrong.
fn is_id(text: &str) -> bool {
    matches!(text.len(), 15 | 18) && text.chars().all(|c| c.is_ascii_alphanumeric())
}

#[async_trait]
impl CrmConnector for Salesforce {
    fn manners(&self) -> Manners {
        Manners {
            keyed: true,
            batch: BATCH,
            keyed_contacts: true,
            settle: Duration::ZERO,
            needs_contact: true,
            mark_chars: 255,
        }
    }

    async fn record(&mut self, visits: &[VisitRecord]) -> Result<Vec<Result<RecordId, Failure>>, Failure> {
        let (path, body) = self.upsert(visits);
        let reply = self.call(|base| Request::patch(format!("{base}{path}")).json(&body)).await?;
        wire::rows(&reply, visits.len(), Some(&self.settings.visit.contact), &*self.tools.clock)
    }

    async fn reconcile(&mut self, visits: &[VisitRecord]) -> Result<Vec<Option<RecordId>>, Failure> {
        let keys: Vec<Uuid> = visits.iter().map(|visit| visit.key).collect();
        let there = self.there(&keys).await?;
        let own = |key: &Uuid| there.iter().find(|(other, _)| other == key).map(|(_, id)| RecordId(id.clone()));
        Ok(keys.iter().map(own).collect())
    }

    async fn void(&mut self, visit: &SentVisit) -> Result<(), Failure> {
        let change = json!({ self.settings.visit.void.as_str(): true });
        self.update_visit(visit.key, change).await
    }

    /// Contact and void stay as they are there: people may have merged the one, and a void visit stays void.
    async fn amend(&mut self, visit: &VisitRecord, _sent: &SentVisit) -> Result<(), Failure> {
        self.update_visit(visit.key, self.said(visit)).await
    }

    async fn forget(&mut self, gone: &Forgotten) -> Result<(), Failure> {
        self.delete_visits(gone).await
    }

    async fn find(&mut self, sought: &Seek) -> Result<Vec<Contact>, Failure> {
        self.found(sought).await
    }

    async fn write_mark(&mut self, contact: &ContactId, text: &str) -> Result<(), Failure> {
        self.mark(contact, text).await
    }

    async fn create(&mut self, new: &NewContact) -> Result<Creation, Failure> {
        self.created(new).await
    }

    async fn contact(&mut self, id: &ContactId) -> Result<Option<Contact>, Failure> {
        self.one(id).await
    }

    async fn changed(&mut self, cursor: &str) -> Result<Changes, Failure> {
        self.changed_since(cursor).await
    }

    async fn visits_of(&mut self, contact: &ContactId) -> Result<Vec<Standing>, Failure> {
        self.standing(contact).await
    }

    async fn tell(&mut self, told: &[(ContactId, Told)]) -> Result<Vec<Result<(), Failure>>, Failure> {
        self.told(told).await
    }

    async fn retire(&mut self, _younger: &ContactId, _elder: &ContactId) -> Result<(), Failure> {
        Err(Failure::poison("Salesforce has each contact of Snova's once by its key; no double is taken back there"))
    }

    async fn prepare(&mut self) -> Vec<Finding> {
        prepare::prepare(self).await
    }

    async fn probe(&mut self) -> Vec<Finding> {
        probe::probe(self).await
    }

    async fn heartbeat(&mut self, beat: &Heartbeat) -> Result<bool, Failure> {
        if self.settings.device_object.is_empty() {
            return Ok(false);
        }
        let blind: Vec<&str> = beat.cameras.iter().filter(|(_, sees)| !sees).map(|(name, _)| &**name).collect();
        let row = json!({
            "Version__c": beat.version,
            "Seen_At__c": wire::time(beat.at.at),
            "Outbox_Depth__c": beat.outbox_depth,
            "Outbox_Age_S__c": beat.outbox_oldest.map_or(0, |age| age.as_secs()),
            "Cameras_Lost__c": blind.join(", "),
        });
        let path = format!("/sobjects/{}/Device__c/{}", self.settings.device_object, quoted_path(&beat.device));
        let reply = self.call(|base| Request::patch(format!("{base}{path}")).json(&row)).await?;
        wire::done(&reply, &*self.tools.clock).map(|()| true)
    }

    fn preview(&self, visits: &[VisitRecord]) -> Vec<String> {
        let base = format!("{}/services/data/{}", self.settings.url, self.settings.api_version);
        let request = |batch| {
            let (path, body) = self.upsert(batch);
            Request::patch(format!("{base}{path}")).json(&body).in_words()
        };
        visits.chunks(BATCH).map(request).collect()
    }
}
