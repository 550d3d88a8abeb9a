//! amoCRM (Kommo abroad) by its API v4: a visit is a note on the contact, found again by the mark in its text.
//!
//! Notes are `notes`', contacts `contacts`', what is told on them `tell`'s, reading answers `wire`'s, looking at the account
//! `probe`'s. amoCRM knows no key of ours: the same note sent twice is there twice, so what is in doubt is looked for before
//! it is sent again.

mod contacts;
mod notes;
mod probe;
pub mod settings;
mod tell;
mod wire;

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};

use crate::crm::refresh::{Exchange, kept};
use crate::crm::{
    Changes, Contact, ContactFields, ContactId, Creation, CrmConnector, CrmSettings, Failure, Finding, Forgotten,
    Heartbeat, Http, Manners, NewContact, RecordId, Reply, Request, Seek, SentVisit, Standing, Token, Told, ToldFields,
    Tools, VisitRecord, erased_text, void_text,
};
use crate::customer::Country;
use crate::i18n::Language;
use crate::vendors::texts::Said;

/// The secrets of the login: the long-lived token, or the two of an OAuth integration.
pub const SECRETS: &[&str] = &["crm/amocrm/token", "crm/amocrm/client-secret", "crm/amocrm/refresh-token"];

/// amoCRM allows seven a second and shuts out who does not heed it: four leave room for others.
const INTERVAL: Duration = Duration::from_millis(250);
/// Rows of one writing request.
const BATCH: usize = 50;
/// Rows of one page.
const PAGE: usize = 250;
/// Rows that are asked for by their ids in one address.
const IDS: usize = 50;
/// No list that Snova reads is longer.
const MOST_PAGES: usize = 200;
/// How long a request may run there after we gave it up (unverified: a usual web server's limit).
const SETTLE: Duration = Duration::from_secs(60);

/// `[crm.amocrm]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `https://shop.amocrm.ru`.
    pub url: String,
    /// `None`: a long-lived token is the login.
    pub app: Option<App>,
    /// Numbers of the contact's fields.
    pub fields: ContactFields,
    /// What is written on a contact beside its mark.
    pub told: ToldFields,
}

/// An integration that logs in by OAuth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct App {
    pub client_id: String,
    pub redirect_uri: String,
}

/// The connector.
pub struct AmoCrm {
    settings: Settings,
    language: Language,
    country: Option<Country>,
    http: Http,
    tools: Tools,
    exchange: Exchange,
    token: Option<Token>,
    /// Names of the account's people, by their numbers.
    owners: BTreeMap<i64, Option<String>>,
    /// Whether the external-id field was seen.
    field_is_there: bool,
}

impl AmoCrm {
    pub fn new(settings: &Settings, common: &CrmSettings, tools: &Tools) -> Result<Self, Failure> {
        Ok(Self {
            settings: settings.clone(),
            language: common.language,
            country: common.country,
            http: Http::new(&common.http, tools, INTERVAL)?,
            tools: tools.clone(),
            exchange: Exchange::new(SECRETS[2]),
            token: None,
            owners: BTreeMap::new(),
            field_is_there: false,
        })
    }

    fn base(&self) -> String {
        format!("{}/api/v4", self.settings.url)
    }

    async fn log_in(&mut self) -> Result<String, Failure> {
        let token = match &self.settings.app {
            None => Token::new(kept(&self.tools, SECRETS[0])?, self.tools.clock.monotonic(), None),
            Some(app) => {
                let client_secret = kept(&self.tools, SECRETS[1])?;
                let url = format!("{}/oauth2/access_token", self.settings.url);
                let ask = |refresh: &str| {
                    Request::post(&url).json(&json!({
                        "client_id": app.client_id,
                        "client_secret": client_secret,
                        "grant_type": "refresh_token",
                        "refresh_token": refresh,
                        "redirect_uri": app.redirect_uri,
                    }))
                };
                let clock = self.tools.clock.clone();
                let read = |reply: &Reply| wire::granted(reply, &*clock);
                self.exchange.log_in(&mut self.http, &self.tools, ask, read).await?
            }
        };
        Ok(self.token.insert(token).value.clone())
    }

    /// Sends what `build` makes of the API's address; logs in anew where the token has expired.
    async fn call(&mut self, build: impl Fn(&str) -> Request + Send + Sync) -> Result<Reply, Failure> {
        let base = self.base();
        for _ in 0..2 {
            let now = self.tools.clock.monotonic();
            let token = match self.token.as_ref().filter(|token| token.is_fresh(now)) {
                Some(token) => token.value.clone(),
                None => self.log_in().await?,
            };
            let reply = self.http.send(&build(&base).bearer(&token)).await?;
            if reply.status != 401 {
                return Ok(reply);
            }
            self.token = None;
        }
        Err(Failure::auth(match self.settings.app {
            None => {
                "amoCRM does not accept the token: it has expired or was revoked; make a new one in the integration and give it with `snova crm secret crm/amocrm/token`"
            }
            Some(_) => {
                "amoCRM accepted the login and then refused its token; check that the integration is switched on"
            }
        }))
    }

    /// The number of the external-id field.
    fn external_id(&self) -> Result<i64, Failure> {
        let field = self.settings.fields.external_id.as_deref().and_then(|field| field.parse().ok());
        field.ok_or_else(|| Failure::blocked("external_id in [crm.amocrm.fields] is not a field's number", None))
    }

    /// The number of that field once it was seen there: what is written into a missing one would be lost, and a
    /// contact made without its id would be made again.
    async fn seen_external_id(&mut self) -> Result<i64, Failure> {
        let field = self.external_id()?;
        if !self.field_is_there {
            let reply = self.call(|base| Request::get(format!("{base}/contacts/custom_fields/{field}"))).await?;
            if matches!(reply.status, 204 | 404) && !reply.is_html() {
                return Err(Failure::blocked(
                    format!("amoCRM's contacts have no field {field}; correct external_id in [crm.amocrm.fields]"),
                    None,
                ));
            }
            wire::done(&reply, &*self.tools.clock)?;
            self.field_is_there = true;
        }
        Ok(field)
    }

    /// Who that is; `None` where the account does not say.
    async fn owner(&mut self, id: i64) -> Result<Option<String>, Failure> {
        if let Some(known) = self.owners.get(&id) {
            return Ok(known.clone());
        }
        let reply = self.call(|base| Request::get(format!("{base}/users/{id}"))).await?;
        let hidden = matches!(reply.status, 204 | 403 | 404) && !reply.is_html();
        let name = if hidden {
            None
        } else {
            wire::done(&reply, &*self.tools.clock)?;
            reply.json()?["name"].as_str().map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned)
        };
        self.owners.insert(id, name.clone());
        Ok(name)
    }
}

#[async_trait]
impl CrmConnector for AmoCrm {
    fn manners(&self) -> Manners {
        Manners {
            keyed: false,
            batch: BATCH,
            keyed_contacts: false,
            settle: SETTLE,
            needs_contact: true,
            mark_chars: 255,
        }
    }

    async fn record(&mut self, visits: &[VisitRecord]) -> Result<Vec<Result<RecordId, Failure>>, Failure> {
        notes::record(self, visits).await
    }

    async fn reconcile(&mut self, visits: &[VisitRecord]) -> Result<Vec<Option<RecordId>>, Failure> {
        notes::reconcile(self, visits).await
    }

    async fn void(&mut self, visit: &SentVisit) -> Result<(), Failure> {
        let language = self.language;
        let text = move |key| notes::plain(void_text(language, key));
        notes::rewrite(self, std::slice::from_ref(visit), text, |said| said == Said::Stands).await
    }

    async fn amend(&mut self, visit: &VisitRecord, sent: &SentVisit) -> Result<(), Failure> {
        let now = notes::params(self.language, visit);
        notes::rewrite(self, std::slice::from_ref(sent), |_| now.clone(), |said| said == Said::Stands).await
    }

    async fn forget(&mut self, gone: &Forgotten) -> Result<(), Failure> {
        let language = self.language;
        let text = move |key| notes::plain(erased_text(language, key));
        notes::rewrite(self, &gone.visits, text, |said| said != Said::Erased).await
    }

    async fn visits_of(&mut self, contact: &ContactId) -> Result<Vec<Standing>, Failure> {
        notes::standing(self, contact).await
    }

    async fn find(&mut self, sought: &Seek) -> Result<Vec<Contact>, Failure> {
        self.find_contacts(sought).await
    }

    async fn write_mark(&mut self, contact: &ContactId, text: &str) -> Result<(), Failure> {
        self.write_external_id(contact, text).await
    }

    async fn create(&mut self, new: &NewContact) -> Result<Creation, Failure> {
        self.create_contact(new).await.map(Creation::Made)
    }

    async fn retire(&mut self, younger: &ContactId, elder: &ContactId) -> Result<(), Failure> {
        self.retire_contact(younger, elder).await
    }

    async fn contact(&mut self, id: &ContactId) -> Result<Option<Contact>, Failure> {
        let rows: Vec<Value> = self.row(id).await?.into_iter().collect();
        Ok(self.contacts(&rows).await?.into_iter().next())
    }

    async fn changed(&mut self, cursor: &str) -> Result<Changes, Failure> {
        self.changed_contacts(cursor).await
    }

    async fn tell(&mut self, told: &[(ContactId, Told)]) -> Result<Vec<Result<(), Failure>>, Failure> {
        tell::tell(self, told).await
    }

    async fn prepare(&mut self) -> Vec<Finding> {
        tell::prepare(self).await
    }

    async fn probe(&mut self) -> Vec<Finding> {
        probe::probe(self).await
    }

    async fn heartbeat(&mut self, _beat: &Heartbeat) -> Result<bool, Failure> {
        // A box is neither a contact nor a deal: there is no place for it.
        Ok(false)
    }

    fn preview(&self, visits: &[VisitRecord]) -> Vec<String> {
        notes::preview(self, visits)
    }
}
