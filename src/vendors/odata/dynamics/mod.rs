//! Microsoft Dynamics 365 by the Dataverse Web API: a visit is a task, or a row of a custom table, whose primary key is
//! the visit's own and which may only be created, so that there can be one only.
//!
//! Reading its answers is `wire`'s, the multipart form of batches `batch`'s, recording `visits`'s, following changes
//! `changes`'s, looking at the environment `probe`'s.

mod batch;
mod changes;
mod probe;
pub mod settings;
mod visits;
mod wire;

use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};

use self::batch::Part;
use crate::crm::{
    Changes, Contact, ContactFields, ContactId, Creation, CrmConnector, CrmSettings, Failure, FailureClass, Finding,
    Forgotten, Heartbeat, Http, Manners, NewContact, RecordFields, RecordId, Reply, Request, Seek, SentVisit, Standing,
    Token, Told, ToldFields, Tools, VisitRecord, phone_spellings, quoted_path,
};
use crate::customer::Country;
use crate::i18n::Language;

/// The secrets of the login.
pub const SECRETS: &[&str] = &["crm/dynamics/client-secret"];

/// 6000 requests in five minutes are allowed to a user; five a second are a quarter of that.
const INTERVAL: Duration = Duration::from_millis(200);
/// Requests of one `$batch`. A thousand are allowed; Microsoft advises to begin small, for the time that one may take.
const BATCH: usize = 20;

/// `[crm.dynamics]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `https://shop.crm4.dynamics.com`.
    pub url: String,
    pub login_url: String,
    /// The directory's id or domain.
    pub tenant: String,
    /// The app registration's id.
    pub client_id: String,
    /// `None`: visits are tasks.
    pub visit: Option<VisitTable>,
    /// The entity set of a custom table with a row a box; empty: no sign of life.
    pub device_table: String,
    /// Its alternate key. What stands before the first "_" is the prefix of its columns.
    pub device_key: String,
    pub fields: ContactFields,
    /// What is written on a contact beside its mark.
    pub told: ToldFields,
    /// Values of a visit that have no standard place.
    pub record: RecordFields,
}

/// `[crm.dynamics.visit]`: a custom table of visits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VisitTable {
    /// The entity set: "new_storevisits".
    pub table: String,
    /// The logical name: "new_storevisit".
    pub entity: String,
    /// The primary key.
    pub id: String,
    /// The lookup of the contact, by the name in `$metadata`, which has capitals.
    pub contact: String,
    pub name: String,
    pub at: String,
    pub until: String,
    pub counter: String,
    pub how: String,
    /// Yes or no.
    pub void: String,
}

impl VisitTable {
    /// The columns of that table as a new one would have them.
    pub fn named(table: String) -> Self {
        Self {
            table,
            entity: "new_storevisit".to_owned(),
            id: "new_storevisitid".to_owned(),
            contact: "new_Contact".to_owned(),
            name: "new_name".to_owned(),
            at: "new_at".to_owned(),
            until: "new_until".to_owned(),
            counter: "new_counter".to_owned(),
            how: "new_how".to_owned(),
            void: "new_void".to_owned(),
        }
    }
}

/// The connector.
pub struct Dynamics {
    settings: Settings,
    country: Option<Country>,
    language: Language,
    http: Http,
    tools: Tools,
    token: Option<Token>,
}

impl Dynamics {
    pub fn new(settings: &Settings, common: &CrmSettings, tools: &Tools) -> Result<Self, Failure> {
        let http = Http::new(&common.http, tools, INTERVAL)?;
        Ok(Self {
            settings: settings.clone(),
            country: common.country,
            language: common.language,
            http,
            tools: tools.clone(),
            token: None,
        })
    }

    fn external_id(&self) -> Result<String, Failure> {
        let field = self.settings.fields.external_id.clone();
        field.ok_or_else(|| Failure::blocked("external_id in [crm.dynamics.fields] is empty; name the column", None))
    }

    async fn log_in(&mut self) -> Result<Token, Failure> {
        let secret = self.tools.secrets.secret(SECRETS[0]).map_err(Failure::auth)?.ok_or_else(|| {
            Failure::auth(format!("no client secret is kept; give it with `snova crm secret {}`", SECRETS[0]))
        })?;
        let scope = format!("{}/.default", self.settings.url);
        let fields = [
            ("grant_type", "client_credentials"),
            ("client_id", &*self.settings.client_id),
            ("client_secret", &*secret),
            ("scope", &*scope),
        ];
        let tenant = quoted_path(&self.settings.tenant);
        let request = Request::post(format!("{}/{tenant}/oauth2/v2.0/token", self.settings.login_url)).form(&fields);
        let reply = self.http.send(&request).await?;
        wire::login(&reply, &*self.tools.clock)
    }

    /// Sends what `build` makes of the address of the API; logs in anew where the token is refused.
    async fn call(&mut self, build: impl Fn(&str) -> Request + Send + Sync) -> Result<Reply, Failure> {
        let base = format!("{}{}", self.settings.url, wire::ROOT);
        for _ in [true, false] {
            let now = self.tools.clock.monotonic();
            let token = match self.token.take().filter(|token| token.is_fresh(now)) {
                Some(token) => token,
                None => self.log_in().await?,
            };
            let request = wire::headed(build(&base)).bearer(&token.value);
            self.token = Some(token);
            let reply = self.http.send(&request).await?;
            if reply.status != 401 {
                return Ok(reply);
            }
            self.token = None;
        }
        Err(Failure::auth(
            "Microsoft gave a token and Dynamics refuses it; add the app as an application user of the environment, with a role",
        ))
    }

    /// Sends parts and answers for each, in their order.
    async fn send(&mut self, parts: Vec<Part>) -> Result<Vec<batch::Answer>, Failure> {
        let reply = self.call(|base| batch::request(base, &parts)).await?;
        if let Some(failure) = wire::failure(&reply, &*self.tools.clock) {
            return Err(failure);
        }
        let answers = batch::answers(&reply, parts.len())?;
        if answers.iter().any(|answer| answer.status == 429) {
            self.http.slow_down();
        }
        Ok(answers)
    }

    /// Rows of one page; sets of few rows only.
    async fn rows(&mut self, set: &str, filter: &str, select: &str) -> Result<Vec<Value>, Failure> {
        let reply = self
            .call(|base| {
                wire::read(Request::get(format!("{base}/{set}")), "").query("$filter", filter).query("$select", select)
            })
            .await?;
        wire::rows(&reply, &*self.tools.clock)
    }

    /// Changes a row that is there; `false` when it is not.
    async fn update(&mut self, row: &str, change: &Value) -> Result<bool, Failure> {
        let build = |base: &str| wire::write(Request::patch(format!("{base}/{row}")).header("if-match", "*"), change);
        let reply = self.call(build).await?;
        if wire::is_absent(&reply) {
            return Ok(false);
        }
        wire::done(&reply, &*self.tools.clock).map(|()| true)
    }

    /// The contacts that a filter finds.
    async fn contacts(&mut self, filter: &str) -> Result<Vec<Contact>, Failure> {
        let select = wire::contact_columns(&self.settings.fields);
        let rows = self.rows("contacts", filter, &select).await?;
        Ok(rows.iter().filter_map(|row| wire::contact(row, &self.settings.fields)).collect())
    }
}

#[async_trait]
impl CrmConnector for Dynamics {
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
        visits::record(self, visits).await
    }

    async fn reconcile(&mut self, visits: &[VisitRecord]) -> Result<Vec<Option<RecordId>>, Failure> {
        let keys: Vec<_> = visits.iter().map(|visit| visit.key).collect();
        let there = visits::there(self, &keys).await?;
        Ok(keys.iter().map(|key| there.contains_key(key).then(|| RecordId(key.to_string()))).collect())
    }

    async fn void(&mut self, visit: &SentVisit) -> Result<(), Failure> {
        visits::void(self, visit.key).await
    }

    async fn forget(&mut self, gone: &Forgotten) -> Result<(), Failure> {
        let set = visits::set(&self.settings).to_owned();
        for some in gone.visits.chunks(BATCH) {
            let parts = some.iter().map(|visit| Part::new("DELETE", format!("{set}({})", visit.key))).collect();
            for answer in self.send(parts).await? {
                if !answer.is_absent() {
                    answer.failure().map_or(Ok(()), Err)?;
                }
            }
        }
        Ok(())
    }

    async fn find(&mut self, sought: &Seek) -> Result<Vec<Contact>, Failure> {
        let is = |field: &str, text: &str| format!("{field} eq {}", wire::quoted(text));
        let filter = match sought {
            Seek::Mark(customer) => is(&self.external_id()?, &customer.to_string()),
            Seek::Phone(phone) => {
                let spelt = phone_spellings(phone);
                let any = spelt.iter().flat_map(|text| wire::PHONES.map(|field| is(field, text)));
                any.collect::<Vec<_>>().join(" or ")
            }
            Seek::Email(email) => wire::EMAILS.map(|field| is(field, email)).join(" or "),
        };
        let found = self.contacts(&filter).await?;
        Ok(found.into_iter().filter(|contact| sought.is_met_by(contact, self.country)).take(50).collect())
    }

    async fn write_mark(&mut self, contact: &ContactId, text: &str) -> Result<(), Failure> {
        let change = json!({ self.external_id()?: text });
        if self.update(&format!("contacts({})", quoted_path(&contact.0)), &change).await? {
            return Ok(());
        }
        Err(Failure::contact_gone("the contact is not in Dynamics any more"))
    }

    async fn create(&mut self, new: &NewContact) -> Result<Creation, Failure> {
        let field = self.external_id()?;
        let key = format!("contacts({field}={})", wire::quoted(&new.customer.to_string()));
        let row = wire::new_contact(new, &self.settings.fields);
        // The key stands in the address and not in the row; create only, so that nothing of the company's is changed.
        let build = |base: &str| {
            let request = Request::patch(format!("{base}/{key}"))
                .header("if-none-match", "*")
                .header("prefer", "return=representation")
                .query("$select", "contactid");
            wire::write(request, &row)
        };
        let reply = self.call(build).await?;
        if reply.status != 412 {
            wire::done(&reply, &*self.tools.clock)?;
            if let Some(id) = reply.json().ok().and_then(|row| row["contactid"].as_str().map(str::to_owned)) {
                return Ok(Creation::Made(ContactId(id)));
            }
        }
        let filter = format!("{field} eq {}", wire::quoted(&new.customer.to_string()));
        let rows = self.rows("contacts", &filter, "contactid").await?;
        let id = rows.first().and_then(|row| row["contactid"].as_str());
        let id = id.ok_or_else(|| Failure::transient("Dynamics does not show the contact that it created"))?;
        Ok(Creation::Made(ContactId(id.to_owned())))
    }

    async fn contact(&mut self, id: &ContactId) -> Result<Option<Contact>, Failure> {
        let select = wire::contact_columns(&self.settings.fields);
        let path = format!("contacts({})", quoted_path(&id.0));
        let reply =
            self.call(|base| wire::read(Request::get(format!("{base}/{path}")), "").query("$select", &select)).await?;
        if wire::is_absent(&reply) {
            return Ok(None);
        }
        wire::done(&reply, &*self.tools.clock)?;
        Ok(wire::contact(&reply.json()?, &self.settings.fields))
    }

    async fn changed(&mut self, cursor: &str) -> Result<Changes, Failure> {
        changes::changed(self, cursor).await
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
        if self.settings.device_table.is_empty() {
            return Ok(false);
        }
        let (table, key) = (&self.settings.device_table, &self.settings.device_key);
        let row = wire::sign_of_life(beat, wire::prefix(key));
        let path = format!("{table}({key}={})", wire::quoted(&beat.device));
        let reply = self.call(|base| wire::write(Request::patch(format!("{base}/{path}")), &row)).await?;
        wire::done(&reply, &*self.tools.clock).map(|()| true)
    }

    fn preview(&self, visits: &[VisitRecord]) -> Vec<String> {
        let base = format!("{}{}", self.settings.url, wire::ROOT);
        visits
            .chunks(BATCH)
            .map(|some| batch::request(&base, &visits::creations(&self.settings, self.language, some)).in_words())
            .collect()
    }
}

/// Whether a refusal is about what was asked, and not about login, pace or a fault that passes.
fn is_refusal(failure: &Failure) -> bool {
    matches!(failure.class, FailureClass::Poison | FailureClass::TenantBlocked)
}
