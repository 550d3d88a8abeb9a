//! amoCRM (Kommo abroad) by its API v4: a visit is a note on the contact, found again by the mark in its text.
//!
//! Writing and finding notes is `notes`', reading answers is `wire`'s, looking at the account is `probe`'s. amoCRM knows
//! no key of ours: the same note sent twice is there twice, so what is in doubt is looked for before it is sent again.

mod notes;
mod probe;
pub mod settings;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};

use crate::crm::refresh::{Exchange, kept};
use crate::crm::{
    Changes, Contact, ContactFields, ContactId, Creation, CrmConnector, CrmSettings, Failure, Finding, Forgotten,
    Heartbeat, Http, Manners, NewContact, RecordFields, RecordId, Reply, Request, Seek, SentVisit, Standing, Token,
    Told, ToldFields, Tools, VisitRecord, erased_text, quoted_path, void_text,
};
use crate::customer::Country;
use crate::i18n::Language;

/// The secrets of the login: the long-lived token, or the two of an OAuth integration.
pub const SECRETS: &[&str] = &["crm/amocrm/token", "crm/amocrm/client-secret", "crm/amocrm/refresh-token"];

/// amoCRM allows seven a second and shuts out who does not heed it: four leave room for others.
const INTERVAL: Duration = Duration::from_millis(250);
/// Rows of one writing request.
const BATCH: usize = 50;
/// Rows of one page.
const PAGE: usize = 250;
/// No list that Snova reads is longer.
const MOST_PAGES: usize = 200;
/// How long a request may run there after we gave it up (unverified: a usual web server's limit).
const SETTLE: Duration = Duration::from_secs(60);
/// Seconds by which two looks at the changes overlap.
const OVERLAP: i64 = 10;

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
    /// Values of a visit that have no standard place.
    pub record: RecordFields,
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

    async fn contacts(&mut self, rows: &[Value]) -> Result<Vec<Contact>, Failure> {
        let mut contacts = Vec::new();
        for row in rows {
            let Some(mut contact) = wire::contact(row, &self.settings.fields) else { continue };
            if let Some(owner) = row["responsible_user_id"].as_i64().filter(|id| *id > 0) {
                contact.owner = self.owner(owner).await?;
            }
            contacts.push(contact);
        }
        Ok(contacts)
    }

    /// Writes that value, or nothing, into the external-id field, and looks whether it is there.
    async fn write_external_id(&mut self, id: &ContactId, value: &str) -> Result<(), Failure> {
        let field = self.seen_external_id().await?;
        let values = (!value.is_empty()).then(|| json!([{ "value": value }]));
        let change = json!({ "custom_fields_values": [{ "field_id": field, "values": values }] });
        let path = format!("/contacts/{}", quoted_path(&id.0));
        let reply = self.call(|base| Request::patch(format!("{base}{path}")).json(&change)).await?;
        if reply.status == 404 && !reply.is_html() {
            return Err(Failure::contact_gone("the contact is not in amoCRM any more"));
        }
        wire::done(&reply, &*self.tools.clock)?;
        let there = self.row(id).await?.and_then(|row| wire::contact(&row, &self.settings.fields));
        let kept = there.as_ref().and_then(|contact| contact.external_id.clone());
        if kept.unwrap_or_default() == value {
            return Ok(());
        }
        Err(Failure::blocked(
            format!(
                "amoCRM took the customer's id and field {field} does not hold it; see that it is a text field which may be edited"
            ),
            None,
        ))
    }

    async fn row(&mut self, id: &ContactId) -> Result<Option<Value>, Failure> {
        let path = format!("/contacts/{}", quoted_path(&id.0));
        let reply = self.call(|base| Request::get(format!("{base}{path}"))).await?;
        if matches!(reply.status, 204 | 404) && !reply.is_html() {
            return Ok(None);
        }
        wire::done(&reply, &*self.tools.clock)?;
        let row = reply.json()?;
        Ok(row["id"].is_number().then_some(row))
    }

    /// A page of contacts, and whether there is another.
    async fn page(&mut self, page: usize, wanted: &[(&str, &str)]) -> Result<(Vec<Value>, bool), Failure> {
        let build = |base: &str| {
            let request = Request::get(format!("{base}/contacts"));
            let request = wanted.iter().fold(request, |request, (name, value)| request.query(name, value));
            request.query("page", &page.to_string())
        };
        let reply = self.call(build).await?;
        wire::page(&reply, "contacts", &*self.tools.clock)
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
        let erased = move |key| Some(erased_text(language, key));
        notes::rewrite(self, std::slice::from_ref(visit), |key| void_text(language, key), erased).await
    }

    async fn forget(&mut self, gone: &Forgotten) -> Result<(), Failure> {
        let language = self.language;
        notes::rewrite(self, &gone.visits, |key| erased_text(language, key), |_| None).await
    }

    async fn find(&mut self, sought: &Seek) -> Result<Vec<Contact>, Failure> {
        // A filter by field is ignored where the account does not have it, and then everybody is found. `query` looks
        // into all fields, for parts of them too: both need a second look.
        let words = match sought {
            Seek::Mark(customer) => customer.to_string(),
            Seek::Phone(phone) => phone[phone.len().saturating_sub(10)..].to_owned(),
            Seek::Email(email) => email.clone(),
        };
        let mut found = Vec::new();
        for page in 1..=4 {
            let (rows, more) = self.page(page, &[("query", &words), ("limit", &PAGE.to_string())]).await?;
            let is_sought = |row: &&Value| {
                wire::contact(row, &self.settings.fields).is_some_and(|c| sought.is_met_by(&c, self.country))
            };
            found.extend(rows.iter().filter(is_sought).cloned());
            if !more {
                break;
            }
        }
        let mut seen = BTreeSet::new();
        found.retain(|row| seen.insert(row["id"].to_string()));
        self.contacts(&found).await
    }

    async fn write_mark(&mut self, contact: &ContactId, text: &str) -> Result<(), Failure> {
        self.write_external_id(contact, text).await
    }

    async fn create(&mut self, new: &NewContact) -> Result<Creation, Failure> {
        let field = self.seen_external_id().await?;
        let mut values = vec![json!({ "field_id": field, "values": [{ "value": new.mark }] })];
        for (code, value) in [("PHONE", &new.phone), ("EMAIL", &new.email)] {
            if let Some(value) = value {
                values.push(json!({ "field_code": code, "values": [{ "value": value, "enum_code": "WORK" }] }));
            }
        }
        let patronymic = self.settings.fields.patronymic.as_deref().and_then(|field| field.parse::<i64>().ok());
        if let (Some(field), Some(value)) = (patronymic, &new.patronymic) {
            values.push(json!({ "field_id": field, "values": [{ "value": value }] }));
        }
        let mut row = json!({
            "first_name": new.given,
            "custom_fields_values": values,
            "request_id": new.customer.to_string(),
        });
        if let Some(family) = &new.family {
            row["last_name"] = family.as_str().into();
        }
        let body = json!([row]);
        let reply = self.call(|base| Request::post(format!("{base}/contacts")).json(&body)).await?;
        wire::done(&reply, &*self.tools.clock)?;
        let made = wire::id(&reply.json()?["_embedded"]["contacts"][0]["id"]);
        made.map(ContactId).map(Creation::Made).ok_or_else(|| Failure::transient("amoCRM's answer names no contact"))
    }

    async fn contact(&mut self, id: &ContactId) -> Result<Option<Contact>, Failure> {
        let row = self.row(id).await?;
        let rows: Vec<Value> = row.into_iter().collect();
        Ok(self.contacts(&rows).await?.into_iter().next())
    }

    async fn changed(&mut self, cursor: &str) -> Result<Changes, Failure> {
        // The newest change seen by an earlier walk; within a walk also the newest one of its own, and the page.
        let mut parts = cursor.split(' ').map(|part| part.parse::<i64>().ok());
        let newest_first = ("order[updated_at]", "desc");
        let Some(since) = parts.next().flatten() else {
            let (rows, _) = self.page(1, &[newest_first, ("limit", "1")]).await?;
            let newest = rows.first().and_then(|row| row["updated_at"].as_i64()).unwrap_or(0);
            return Ok(Changes { cursor: newest.to_string(), ..Changes::default() });
        };
        let (newest, page) = (parts.next().flatten(), parts.next().flatten().unwrap_or(1).max(1));
        let (rows, more) = self.page(page as usize, &[newest_first, ("limit", &PAGE.to_string())]).await?;
        let stamps: Vec<i64> = rows.iter().map(|row| row["updated_at"].as_i64().unwrap_or(0)).collect();
        if !stamps.is_sorted_by(|a, b| a >= b) {
            return Err(Failure::blocked(
                "amoCRM does not sort contacts by their change; changes cannot be read",
                None,
            ));
        }
        let newest = newest.or(stamps.first().copied()).unwrap_or(since).max(since);
        let wanted: Vec<Value> =
            rows.into_iter().filter(|row| row["updated_at"].as_i64().is_none_or(|at| at >= since - OVERLAP)).collect();
        let contacts = self.contacts(&wanted).await?;
        if more && wanted.len() == stamps.len() {
            return Ok(Changes { contacts, cursor: format!("{since} {newest} {}", page + 1), more: true });
        }
        Ok(Changes { contacts, cursor: newest.to_string(), more: false })
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

    async fn heartbeat(&mut self, _beat: &Heartbeat) -> Result<bool, Failure> {
        // A box is neither a contact nor a deal: there is no place for it.
        Ok(false)
    }

    fn preview(&self, visits: &[VisitRecord]) -> Vec<String> {
        notes::preview(self, visits)
    }
}
