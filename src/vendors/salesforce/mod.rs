//! Salesforce by its REST API: visits are rows of a custom object, upserted by an external id that the org keeps unique.
//!
//! Reading its answers is `wire`'s, looking at the org is `probe`'s. A collections upsert takes 200 visits in one call,
//! answers 200 with errors inside, and is safe to repeat: the second time the same rows are updated.

mod probe;
pub mod settings;
mod wire;

use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};

use self::wire::{Answer, quoted};
use crate::crm::{
    Changes, Contact, ContactFields, ContactId, Creation, CrmConnector, CrmSettings, Failure, FailureClass, Finding,
    Forgotten, Heartbeat, Http, Manners, NewContact, RecordFields, RecordId, Reply, Request, Seek, SentVisit, Standing,
    Token, Told, ToldFields, Tools, VisitRecord, phone_like, quoted_path,
};

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
        }
    }
}

/// The connector.
pub struct Salesforce {
    settings: Settings,
    country: Option<crate::customer::Country>,
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
        Ok(Self { settings: settings.clone(), country: common.country, http, tools: tools.clone(), login: None })
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

    async fn query(&mut self, soql: &str) -> Result<Answer, Failure> {
        let reply = self.call(|base| Request::get(format!("{base}/query")).query("q", soql)).await?;
        wire::answer(&reply, &*self.tools.clock)
    }

    fn visit_rows(&self, visits: &[VisitRecord]) -> Value {
        let names = &self.settings.visit;
        let rows = visits.iter().map(|visit| {
            json!({
                "attributes": { "type": names.object },
                names.key.as_str(): visit.key.to_string(),
                names.contact.as_str(): visit.contact.0,
                names.at.as_str(): wire::time(visit.opened_at.at),
                names.until.as_str(): wire::time(visit.closed_at.at),
                names.counter.as_str(): format!("{} / {}", visit.shop, visit.counter),
                names.how.as_str(): visit.how.as_str(),
            })
        });
        json!({ "allOrNone": false, "records": rows.collect::<Vec<_>>() })
    }

    fn upsert_visits(&self, base: &str, visits: &[VisitRecord]) -> Request {
        let names = &self.settings.visit;
        Request::patch(format!("{base}/composite/sobjects/{}/{}", names.object, names.key))
            .json(&self.visit_rows(visits))
    }

    /// Updates one row found by its key; one that is not there stays away.
    async fn update_visit(&mut self, visit: &SentVisit, change: Value) -> Result<(), Failure> {
        let path = format!("/sobjects/{}/{}/{}", self.settings.visit.object, self.settings.visit.key, visit.key);
        let build = move |base: &str| Request::patch(format!("{base}{path}")).query("updateOnly", "true").json(&change);
        let reply = self.call(build).await?;
        if reply.status == 404 { Ok(()) } else { wire::done(&reply, &*self.tools.clock) }
    }

    fn contact_columns(&self) -> String {
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
        let mut columns = vec![
            "Id",
            "FirstName",
            "LastName",
            "MobilePhone",
            "Phone",
            "HomePhone",
            "Email",
            "Owner.Name",
            "SystemModstamp",
            "IsDeleted",
        ];
        columns.extend(own.iter().filter_map(|field| field.as_deref()).filter(|field| !field.is_empty()));
        columns.join(",")
    }

    fn contacts(&self, answer: &Answer) -> Vec<Contact> {
        answer.records.iter().filter_map(|row| wire::contact(row, &self.settings.fields)).collect()
    }
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
        let body = self.visit_rows(visits);
        let path = format!("/composite/sobjects/{}/{}", self.settings.visit.object, self.settings.visit.key);
        let reply = self.call(|base| Request::patch(format!("{base}{path}")).json(&body)).await?;
        wire::rows(&reply, visits.len(), &*self.tools.clock)
    }

    async fn reconcile(&mut self, visits: &[VisitRecord]) -> Result<Vec<Option<RecordId>>, Failure> {
        let (object, key) = (self.settings.visit.object.clone(), self.settings.visit.key.clone());
        let keys: Vec<String> = visits.iter().map(|visit| format!("'{}'", visit.key)).collect();
        let answer = self.query(&format!("SELECT Id,{key} FROM {object} WHERE {key} IN ({})", keys.join(","))).await?;
        let there = |visit: &VisitRecord| {
            let row = answer.records.iter().find(|row| row[&key].as_str() == Some(&*visit.key.to_string()))?;
            row["Id"].as_str().map(|id| RecordId(id.to_owned()))
        };
        Ok(visits.iter().map(there).collect())
    }

    async fn void(&mut self, visit: &SentVisit) -> Result<(), Failure> {
        let change = json!({ self.settings.visit.void.as_str(): true });
        self.update_visit(visit, change).await
    }

    async fn forget(&mut self, gone: &Forgotten) -> Result<(), Failure> {
        for visit in &gone.visits {
            let path = format!("/sobjects/{}/{}/{}", self.settings.visit.object, self.settings.visit.key, visit.key);
            let reply = self.call(|base| Request::delete(format!("{base}{path}"))).await?;
            if reply.status != 404 {
                wire::done(&reply, &*self.tools.clock)?;
            }
        }
        Ok(())
    }

    async fn find(&mut self, sought: &Seek) -> Result<Vec<Contact>, Failure> {
        let wanted = match sought {
            Seek::Mark(customer) => format!("{} = '{customer}'", self.external_id()?),
            Seek::Phone(phone) => {
                let like = phone_like(phone);
                format!("MobilePhone LIKE '{like}' OR Phone LIKE '{like}' OR HomePhone LIKE '{like}'")
            }
            Seek::Email(email) => format!("Email = '{}'", quoted(email)),
        };
        let soql = format!("SELECT {} FROM Contact WHERE {wanted} ORDER BY Id LIMIT 50", self.contact_columns());
        let answer = self.query(&soql).await?;
        Ok(self.contacts(&answer).into_iter().filter(|contact| sought.is_met_by(contact, self.country)).collect())
    }

    async fn write_mark(&mut self, contact: &ContactId, text: &str) -> Result<(), Failure> {
        let change = json!({ self.external_id()?: text });
        let path = format!("/sobjects/Contact/{}", quoted_path(&contact.0));
        let reply = self.call(|base| Request::patch(format!("{base}{path}")).json(&change)).await?;
        wire::done(&reply, &*self.tools.clock)
    }

    async fn create(&mut self, new: &NewContact) -> Result<Creation, Failure> {
        let mut row = json!({
            "FirstName": new.given,
            // A contact has a surname in Salesforce, whatever people have.
            "LastName": new.family.as_deref().unwrap_or(&new.given),
        });
        let patronymic = self.settings.fields.patronymic.as_deref().filter(|field| !field.is_empty());
        for (field, value) in
            [(patronymic, &new.patronymic), (Some("MobilePhone"), &new.phone), (Some("Email"), &new.email)]
        {
            if let (Some(field), Some(value)) = (field, value) {
                row[field] = value.as_str().into();
            }
        }
        let path = format!("/sobjects/Contact/{}/{}", self.external_id()?, new.customer);
        let reply = self.call(|base| Request::patch(format!("{base}{path}")).json(&row)).await?;
        wire::created(&reply, &*self.tools.clock).map(Creation::Made)
    }

    async fn contact(&mut self, id: &ContactId) -> Result<Option<Contact>, Failure> {
        let soql = format!("SELECT {} FROM Contact WHERE Id = '{}'", self.contact_columns(), quoted(&id.0));
        let answer = self.query(&soql).await?;
        Ok(self.contacts(&answer).into_iter().next())
    }

    async fn changed(&mut self, cursor: &str) -> Result<Changes, Failure> {
        // The watermark, or the rest of a long answer with the watermark to go on from.
        let (rest, since) = match cursor.strip_prefix("rest:").and_then(|both| both.split_once(' ')) {
            Some((rest, since)) => (Some(rest.to_owned()), since),
            None => (None, cursor),
        };
        if since.is_empty() {
            return Ok(Changes { cursor: wire::time(self.tools.clock.wall().at), ..Changes::default() });
        }
        let answer = match rest {
            Some(rest) => {
                let reply = self.call(|base| Request::get(format!("{base}/query/{rest}"))).await?;
                match wire::answer(&reply, &*self.tools.clock) {
                    // Salesforce keeps the rest of an answer for two days only.
                    Err(failure) if failure.class == FailureClass::Poison => {
                        return Ok(Changes { cursor: since.to_owned(), more: true, ..Changes::default() });
                    }
                    answer => answer?,
                }
            }
            None => {
                let columns = self.contact_columns();
                let wanted = format!("SystemModstamp >= {since} ORDER BY SystemModstamp, Id");
                self.query(&format!("SELECT {columns} FROM Contact WHERE {wanted}")).await?
            }
        };
        let latest =
            answer.records.iter().filter_map(|row| row["SystemModstamp"].as_str()).filter_map(wire::read_time).max();
        let reached = latest.map_or_else(|| since.to_owned(), wire::time);
        let contacts = self.contacts(&answer);
        Ok(match answer.next.as_deref().and_then(|next| next.rsplit('/').next()) {
            Some(rest) => Changes { contacts, cursor: format!("rest:{rest} {reached}"), more: true },
            None => Changes { contacts, cursor: reached, more: false },
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
        visits.chunks(BATCH).map(|batch| self.upsert_visits(&base, batch).in_words()).collect()
    }
}
