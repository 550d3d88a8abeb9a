//! Битрикс24 by its REST: a visit is an element of a smart process or, where the tariff has none, a timeline comment.
//!
//! Visits are `visits`', their comments `comments`', contacts `contacts`', what is told on them `tell`'s, reading answers
//! `wire`'s, fields `names`' and `prepare`'s, looking at the portal `probe`'s.
//! Битрикс24 has no key that it keeps unique: what is in doubt is looked for before it is sent again.

mod comments;
mod contacts;
mod names;
mod prepare;
mod probe;
pub mod settings;
mod tell;
mod visits;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};

use self::names::{CardNames, VisitNames};
use self::wire::Command;
use crate::clock::Monotonic;
use crate::crm::refresh::{Exchange, kept};
use crate::crm::{
    Changes, Contact, ContactFields, ContactId, Creation, CrmConnector, CrmSettings, Failure, Finding, Forgotten,
    Heartbeat, Http, Manners, NewContact, RecordFields, RecordId, Reply, Request, Seek, SentVisit, Standing, Token,
    Told, ToldFields, Tools, VisitRecord,
};
use crate::customer::Country;
use crate::i18n::Language;

/// The secrets of the login: the webhook's "number/code", or the two of an OAuth application.
pub const SECRETS: &[&str] = &["crm/bitrix24/webhook", "crm/bitrix24/client-secret", "crm/bitrix24/refresh-token"];

/// The portal lets 50 requests through at once and two more each second; at this pace it never says no.
const INTERVAL: Duration = Duration::from_millis(500);
/// Commands of one batch.
const BATCH: usize = 50;
/// Rows of one page: the portal gives no more.
const PAGE: usize = 50;
/// No list that Snova reads is longer.
const MOST_PAGES: usize = 200;
/// The portal ends a request after a minute; until then a lost one may still be carried out.
const SETTLE: Duration = Duration::from_secs(60);
/// How long a tariff without elements is believed to have none.
const RESTRICTED: Duration = Duration::from_secs(6 * 3600);

/// `[crm.bitrix24]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `https://shop.bitrix24.ru`.
    pub url: String,
    /// `None`: an incoming webhook is the login.
    pub client_id: Option<String>,
    /// Where refresh tokens are exchanged.
    pub oauth_url: String,
    /// The entityTypeId of the smart process of visits; `None`: visits are comments in the contact's timeline.
    pub visit_type_id: Option<u32>,
    pub visit: VisitFields,
    /// The entityTypeId of the smart process with an element a box; `None`: no sign of life.
    pub device_type_id: Option<u32>,
    /// An `external_id` of `None` is the pair originatorId and originId.
    pub fields: ContactFields,
    /// What is written on a contact beside its mark.
    pub told: ToldFields,
    /// Values of a visit that have no standard place.
    pub record: RecordFields,
}

/// `[crm.bitrix24.visit]`: what the smart process calls its fields. Either spelling of a name does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VisitFields {
    pub at: Option<String>,
    pub until: Option<String>,
    /// Store and counter in one.
    pub counter: Option<String>,
    /// Yes or no.
    pub void: Option<String>,
}

/// The connector.
pub struct Bitrix24 {
    settings: Settings,
    language: Language,
    country: Option<Country>,
    http: Http,
    tools: Tools,
    exchange: Exchange,
    token: Option<Token>,
    /// Names of the fields as the portal has them, once they were looked up.
    visit_names: Option<VisitNames>,
    card_names: Option<CardNames>,
    /// Until when visits are comments, since the tariff allows no elements.
    restricted: Option<Monotonic>,
    /// Names of the portal's people, by their numbers.
    owners: BTreeMap<i64, Option<String>>,
}

impl Bitrix24 {
    pub fn new(settings: &Settings, common: &CrmSettings, tools: &Tools) -> Result<Self, Failure> {
        Ok(Self {
            settings: settings.clone(),
            language: common.language,
            country: common.country,
            http: Http::new(&common.http, tools, INTERVAL)?,
            tools: tools.clone(),
            exchange: Exchange::new(SECRETS[2]),
            token: None,
            visit_names: None,
            card_names: None,
            restricted: None,
            owners: BTreeMap::new(),
        })
    }

    /// The path of the webhook, which is the whole login: it stands in no error and no log.
    fn webhook(&self) -> Result<String, Failure> {
        let kept = kept(&self.tools, SECRETS[0])?;
        // People paste the whole address that the portal shows them.
        let path = kept.rsplit_once("/rest/").map_or(&*kept, |(_, path)| path).trim_matches('/');
        let parts: Vec<&str> = path.split('/').collect();
        let plain = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric());
        match parts.as_slice() {
            [number, code, ..] if number.parse::<u64>().is_ok() && plain(code) => Ok(format!("{number}/{code}")),
            _ => Err(Failure::auth(format!(
                "the webhook that is kept is none; give its \"number/code\" with `snova crm secret {}`",
                SECRETS[0]
            ))),
        }
    }

    async fn access(&mut self, client_id: &str) -> Result<String, Failure> {
        if let Some(token) = &self.token {
            return Ok(token.value.clone());
        }
        let client_secret = kept(&self.tools, SECRETS[1])?;
        let url = format!("{}/oauth/token/", self.settings.oauth_url);
        let ask = |refresh: &str| {
            Request::get(&url)
                .query("grant_type", "refresh_token")
                .query("client_id", client_id)
                .query("client_secret", &client_secret)
                .query("refresh_token", refresh)
        };
        let clock = self.tools.clock.clone();
        let read = |reply: &Reply| wire::granted(reply, &*clock);
        let token = self.exchange.log_in(&mut self.http, &self.tools, ask, read).await?;
        Ok(self.token.insert(token).value.clone())
    }

    fn request(&self, login: &str, method: &str, params: &Value) -> Request {
        let slash = if login.is_empty() { "" } else { "/" };
        Request::post(format!("{}/rest/{login}{slash}{method}.json", self.settings.url)).json(params)
    }

    /// Calls a method. A token is exchanged only when the portal says that it has expired: an application that
    /// does it by the clock may be shut out. After a start there is none, and that counts as expired.
    async fn ask(&mut self, method: &str, params: &Value) -> Result<Reply, Failure> {
        let client_id = self.settings.client_id.clone();
        let mut reply = self.ask_once(client_id.as_deref(), method, params).await?;
        if client_id.is_some() && reply.status == 401 && wire::code_of(&reply) == "expired_token" {
            self.token = None;
            reply = self.ask_once(client_id.as_deref(), method, params).await?;
        }
        Ok(reply)
    }

    async fn ask_once(&mut self, client_id: Option<&str>, method: &str, params: &Value) -> Result<Reply, Failure> {
        let request = match client_id {
            None => self.request(&self.webhook()?, method, params),
            Some(client_id) => {
                let mut params = params.clone();
                params["auth"] = self.access(client_id).await?.into();
                self.request("", method, &params)
            }
        };
        let reply = self.http.send(&request).await?;
        if reply.status == 503 && wire::code_of(&reply) == "QUERY_LIMIT_EXCEEDED" {
            self.http.slow_down();
        }
        Ok(reply)
    }

    /// A method's whole answer.
    async fn call(&mut self, method: &str, params: &Value) -> Result<Value, Failure> {
        let reply = self.ask(method, params).await?;
        wire::answer(&reply, &*self.tools.clock)
    }

    /// A method's answer, or `None` where what it is about is not there.
    async fn call_of(&mut self, method: &str, params: &Value) -> Result<Option<Value>, Failure> {
        let reply = self.ask(method, params).await?;
        if matches!(reply.status, 400 | 404) && wire::code_of(&reply) == "NOT_FOUND" {
            return Ok(None);
        }
        wire::answer(&reply, &*self.tools.clock).map(Some)
    }

    /// Several commands in one request; each has its own outcome. At most [`BATCH`].
    async fn batch(&mut self, commands: &[Command]) -> Result<Vec<wire::Outcome>, Failure> {
        let reply = self.ask("batch", &wire::batch(commands)).await?;
        let outcomes = wire::outcomes(&reply, commands.len(), &*self.tools.clock)?;
        if outcomes.iter().any(|outcome| outcome.code() == Some("QUERY_LIMIT_EXCEEDED")) {
            self.http.slow_down();
        }
        Ok(outcomes)
    }

    /// Every row of a list by ascending ids: a page is what follows the last id, without the costly count.
    async fn list(&mut self, type_id: u32, filter: &Value, select: &Value) -> Result<Vec<Value>, Failure> {
        let (mut rows, mut last) = (Vec::new(), 0);
        for _ in 0..MOST_PAGES {
            let (page, _) = self.list_page(type_id, filter, select, last).await?;
            last = page.iter().filter_map(wire::id_of).max().unwrap_or(last);
            let more = page.len() >= PAGE;
            rows.extend(page);
            if !more {
                return Ok(rows);
            }
        }
        Err(Failure::transient("Битрикс24's list does not end"))
    }

    /// Those of these contacts that are there, by their ids.
    async fn contact_rows(
        &mut self,
        ids: &BTreeSet<String>,
        select: &Value,
    ) -> Result<BTreeMap<String, Value>, Failure> {
        let mut there = BTreeMap::new();
        let ids: Vec<i64> = ids.iter().filter_map(|id| id.parse().ok()).collect();
        for part in ids.chunks(PAGE) {
            let rows = self.list(names::CONTACT, &json!({ "@id": part }), select).await?;
            there.extend(rows.into_iter().filter_map(|row| Some((wire::id_of(&row)?.to_string(), row))));
        }
        Ok(there)
    }

    /// The rows after that id, and the whole answer.
    async fn list_page(
        &mut self,
        type_id: u32,
        filter: &Value,
        select: &Value,
        after: i64,
    ) -> Result<(Vec<Value>, Value), Failure> {
        let mut filter = filter.clone();
        filter[">id"] = after.into();
        let params = json!({
            "entityTypeId": type_id, "filter": filter, "select": select, "order": { "id": "ASC" }, "start": -1,
        });
        let answer = self.call("crm.item.list", &params).await?;
        let rows = wire::list(&answer["result"]["items"]);
        Ok((rows.ok_or_else(|| Failure::transient("Битрикс24's answer holds no rows"))?, answer))
    }
}

#[async_trait]
impl CrmConnector for Bitrix24 {
    fn manners(&self) -> Manners {
        Manners {
            keyed: false,
            batch: BATCH,
            keyed_contacts: false,
            settle: SETTLE,
            needs_contact: true,
            // originId holds a short text; a field of the company's own has no such limit.
            mark_chars: if self.settings.fields.external_id.is_some() { 2000 } else { 255 },
        }
    }

    async fn record(&mut self, visits: &[VisitRecord]) -> Result<Vec<Result<RecordId, Failure>>, Failure> {
        self.record_visits(visits).await
    }

    async fn reconcile(&mut self, visits: &[VisitRecord]) -> Result<Vec<Option<RecordId>>, Failure> {
        self.reconcile_visits(visits).await
    }

    async fn void(&mut self, visit: &SentVisit) -> Result<(), Failure> {
        self.void_visit(visit).await
    }

    async fn forget(&mut self, gone: &Forgotten) -> Result<(), Failure> {
        for visits in gone.visits.chunks(BATCH / 2) {
            self.forget_visits(visits).await?;
        }
        Ok(())
    }

    async fn find(&mut self, sought: &Seek) -> Result<Vec<Contact>, Failure> {
        self.find_contacts(sought).await
    }

    async fn write_mark(&mut self, contact: &ContactId, text: &str) -> Result<(), Failure> {
        self.link_contact(contact, text).await
    }

    async fn create(&mut self, new: &NewContact) -> Result<Creation, Failure> {
        self.create_contact(new).await.map(Creation::Made)
    }

    async fn contact(&mut self, id: &ContactId) -> Result<Option<Contact>, Failure> {
        self.one_contact(id).await
    }

    async fn changed(&mut self, cursor: &str) -> Result<Changes, Failure> {
        self.changed_contacts(cursor).await
    }

    async fn amend(&mut self, visit: &VisitRecord, sent: &SentVisit) -> Result<(), Failure> {
        self.amend_visit(visit, sent).await
    }

    async fn retire(&mut self, younger: &ContactId, elder: &ContactId) -> Result<(), Failure> {
        self.retire_contact(younger, elder).await
    }

    async fn visits_of(&mut self, contact: &ContactId) -> Result<Vec<Standing>, Failure> {
        self.standing_visits(contact).await
    }

    async fn tell(&mut self, told: &[(ContactId, Told)]) -> Result<Vec<Result<(), Failure>>, Failure> {
        self.tell_contacts(told).await
    }

    async fn prepare(&mut self) -> Vec<Finding> {
        prepare::prepare(self).await
    }

    async fn probe(&mut self) -> Vec<Finding> {
        probe::probe(self).await
    }

    async fn heartbeat(&mut self, beat: &Heartbeat) -> Result<bool, Failure> {
        let Some(type_id) = self.settings.device_type_id else { return Ok(false) };
        let fields = json!({ "title": wire::beat(beat), "xmlId": beat.device });
        let filter = json!({ "=xmlId": beat.device });
        let there = self.list(type_id, &filter, &json!(["id", "xmlId"])).await?;
        let own = there.iter().find(|row| row["xmlId"] == beat.device.as_str()).and_then(wire::id_of);
        match own {
            Some(id) => {
                let change = json!({ "entityTypeId": type_id, "id": id, "fields": fields });
                self.call("crm.item.update", &change).await?;
            }
            None => {
                self.call("crm.item.add", &json!({ "entityTypeId": type_id, "fields": fields })).await?;
            }
        }
        Ok(true)
    }

    fn preview(&self, visits: &[VisitRecord]) -> Vec<String> {
        let request = |batch: &[VisitRecord]| {
            let commands: Vec<Command> = batch.iter().filter_map(|visit| self.preview_command(visit)).collect();
            let login = if self.settings.client_id.is_some() { "" } else { "NUMBER/CODE" };
            self.request(login, "batch", &wire::batch(&commands)).in_words()
        };
        visits.chunks(BATCH).map(request).collect()
    }
}
