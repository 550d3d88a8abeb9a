//! Creatio: a visit is an activity whose primary key is the visit's own.
//!
//! What it shares with Dynamics is `odata`'s, logging in `login`'s, following changes `changes`'s, looking at the site
//! `probe`'s. A row's own column and a filter's path to it differ: `ContactId` is written, `Contact/Id` is asked for.

mod changes;
mod login;
mod probe;
pub mod settings;

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde_json::{Value, json};
use uuid::Uuid;

use super::login::Session;
use super::rows::Words;
use super::wire::{self, Answer, Doing, Part};
use super::{Dialect, OData};
use crate::crm::named::named_id;
use crate::crm::{
    Changes, ContactFields, CrmSettings, Failure, Finding, Heartbeat, Http, RecordFields, Reply, Request, ToldFields,
    Tools, VisitRecord,
};
use crate::i18n::Language;

/// The secrets of the login: which of them is needed is the configuration's choice.
pub const SECRETS: &[&str] = &["crm/creatio/client-secret", "crm/creatio/password"];

const JSON: &str = "application/json; charset=utf-8; IEEE754Compatible=true";
/// As the vendor's pages show it for the parts of a batch; a strict server refuses it with 406.
const VERBOSE: &str = "application/json;odata=verbose";
const PLAIN: &str = "application/json";

/// `[crm.creatio]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `https://shop.creatio.com`, the site's root.
    pub url: String,
    pub login: Login,
    /// Whether the site runs on .NET Framework, which has its services below `/0`.
    pub net_framework: bool,
    pub visit: VisitSettings,
    /// A custom text column of contacts with the mobile phone in E.164, where the site keeps one.
    pub phone_e164: Option<String>,
    /// A custom object with a row a box; empty: no sign of life.
    pub device_object: String,
    pub fields: ContactFields,
    /// What is written on a contact beside its mark.
    pub told: ToldFields,
    /// Values of a visit that have no standard place.
    pub record: RecordFields,
}

/// How the box logs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    /// OAuth's client credentials, from the identity service.
    Client { identity_url: String, client_id: String },
    /// A user's name and password, as a browser's form sends them.
    Form { user: String },
}

/// `[crm.creatio.visit]`: each a GUID or the name in the site's own list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VisitSettings {
    pub category: String,
    pub finished: String,
    pub cancelled: String,
    /// The contact of the employee who owns the activities; `None`: whoever the site takes.
    pub owner: Option<Uuid>,
}

impl Default for VisitSettings {
    /// Ids that come with every site in whatever language: "To do", "Completed", "Canceled" (unverified on a live
    /// one; whether they are there is asked before the first visit).
    fn default() -> Self {
        Self {
            category: "f51c4643-58e6-df11-971b-001d60e938c6".to_owned(),
            finished: "4bdbb88f-58e6-df11-971b-001d60e938c6".to_owned(),
            cancelled: "201cfba8-58e6-df11-971b-001d60e938c6".to_owned(),
            owner: None,
        }
    }
}

/// The connector.
pub type Creatio = OData<Site>;

/// What is Creatio's alone.
pub struct Site {
    settings: Settings,
    words: Words,
    kinds: Option<Kinds>,
    /// Whether this box's own row is known to be there.
    has_device: bool,
}

/// The site's ids of what `[crm.creatio.visit]` names.
#[derive(Clone, Copy)]
struct Kinds {
    category: Uuid,
    finished: Uuid,
    cancelled: Uuid,
}

impl Creatio {
    pub fn new(settings: &Settings, common: &CrmSettings, tools: &Tools) -> Result<Self, Failure> {
        let words = Words {
            vendor: "Creatio",
            section: "creatio",
            root: "/odata",
            // IIS takes some two thousand characters of an address.
            filter_chars: 1500,
            shows_rows: true,
            contacts: "Contact",
            contact_id: "Id",
            given: "GivenName",
            family: "Surname",
            full_name: Some("Name"),
            phones: &["MobilePhone", "Phone", "HomePhone"],
            emails: &["Email"],
            more: &["OwnerId", "ModifiedOn"],
            expand: &["Owner($select=Name)"],
            visits: "Activity".to_owned(),
            visit_id: "Id".to_owned(),
            visit_contact: "ContactId".to_owned(),
            visit_of: "Contact/Id".to_owned(),
            visit_at: "StartDate".to_owned(),
            visit_state: "StatusId".to_owned(),
            marked_in: Some("Notes"),
            fields: settings.fields.clone(),
            phone_e164: settings.phone_e164.clone(),
            told: settings.told.clone(),
            record: settings.record.clone(),
            // A date is a time there, at midnight.
            day: |day| format!("{day}T00:00:00Z"),
        };
        Self::open(Site { settings: settings.clone(), words, kinds: None, has_device: false }, common, tools)
    }
}

impl Site {
    /// By the site's lists, or, as long as they were not asked, by the configuration.
    fn kinds(&self) -> Kinds {
        let own = |text: &str| text.parse().unwrap_or(Uuid::nil());
        let visit = &self.settings.visit;
        let configured = || Kinds {
            category: own(&visit.category),
            finished: own(&visit.finished),
            cancelled: own(&visit.cancelled),
        };
        self.kinds.unwrap_or_else(configured)
    }
}

/// The id of what the configuration gives by id or name, in one of the site's lists.
fn listed(rows: &[Value], wanted: &str, key: &str) -> Result<Uuid, Failure> {
    let by_id = wanted.parse::<Uuid>().ok();
    let is_it = |row: &&Value| match by_id {
        Some(wanted) => wire::id(row, "Id") == Some(wanted),
        None => row["Name"].as_str().is_some_and(|name| name.trim().to_lowercase() == wanted.to_lowercase()),
    };
    let found = rows.iter().find(is_it).and_then(|row| wire::id(row, "Id"));
    found.ok_or_else(|| {
        Failure::blocked(
            format!("Creatio's list has no such entry as {key} in [crm.creatio.visit] names; give its id or name"),
            None,
        )
    })
}

#[async_trait]
impl Dialect for Site {
    fn words(&self) -> &Words {
        &self.words
    }

    fn base(&self) -> String {
        format!("{}{}/odata", self.settings.url, if self.settings.net_framework { "/0" } else { "" })
    }

    async fn log_in(&self, http: &mut Http, tools: &Tools) -> Result<Session, Failure> {
        login::log_in(http, &self.settings, tools).await
    }

    /// A refusal, a way to the login page, or that page itself.
    fn is_lost(reply: &Reply) -> bool {
        matches!(reply.status, 401 | 300..=399) || (reply.is_success() && reply.is_html())
    }

    fn headed(request: Request) -> Request {
        request.header("accept", "application/json")
    }

    fn reading(request: Request) -> Request {
        request
    }

    fn batch(base: &str, parts: &[Part], plain: bool) -> Request {
        let kind = if plain { PLAIN } else { VERBOSE };
        let part = |(number, part): (usize, &Part)| {
            let (method, url) = match part.doing {
                Doing::Create | Doing::Put => ("POST", part.set.clone()),
                Doing::Update => ("PATCH", part.row()),
                Doing::Delete => ("DELETE", part.row()),
            };
            let mut body = part.body.clone();
            if part.doing == Doing::Create {
                body["Id"] = part.key.as_str().into();
            }
            let mut all = json!({
                "id": number.to_string(), "method": method, "url": url, "headers": { "Content-Type": kind, "Accept": kind },
            });
            if !body.is_null() {
                all["body"] = body;
            }
            all
        };
        let requests: Vec<Value> = parts.iter().enumerate().map(part).collect();
        // Without the preference Creatio stops at the first row that it refuses.
        let request = Request::post(format!("{base}/$batch")).header("prefer", "continue-on-error");
        request.body(JSON, json!({ "requests": requests }).to_string())
    }

    fn answers(reply: &Reply, wanted: usize) -> Result<Vec<Option<Answer>>, Failure> {
        let Value::Array(answers) = reply.json()?["responses"].take() else {
            return Err(Failure::transient("Creatio's answer does not say what became of each request"));
        };
        let one = |mut answer: Value| {
            let status = answer["status"].as_u64().and_then(|status| u16::try_from(status).ok())?;
            let mut body = answer["body"].take();
            // Some versions send a body that is JSON as a text.
            if let Some(inner) = body.as_str().and_then(|text| serde_json::from_str(text).ok()) {
                body = inner;
            }
            Some((answer["id"].as_str()?.parse().ok()?, Answer { status, body }))
        };
        let mut all: BTreeMap<usize, Answer> = answers.into_iter().filter_map(one).collect();
        Ok((0..wanted).map(|number| all.remove(&number)).collect())
    }

    async fn ready(site: &mut Creatio) -> Result<(), Failure> {
        if site.own.kinds.is_some() {
            return Ok(());
        }
        let options = [("$select", "Id,Name"), ("$top", "500")];
        let categories = site.rows("ActivityCategory", &options).await?;
        let statuses = site.rows("ActivityStatus", &options).await?;
        let visit = &site.own.settings.visit;
        site.own.kinds = Some(Kinds {
            category: listed(&categories, &visit.category, "category")?,
            finished: listed(&statuses, &visit.finished, "finished")?,
            cancelled: listed(&statuses, &visit.cancelled, "cancelled")?,
        });
        Ok(())
    }

    fn texts(&self, visit: &VisitRecord, language: Language) -> Value {
        json!({ "Title": visit.title(language), "Notes": visit.text(language) })
    }

    fn frame(&self, visit: &VisitRecord) -> Value {
        let kinds = self.kinds();
        json!({
            "StartDate": wire::time(visit.opened_at.at),
            "DueDate": wire::time(visit.closed_at.at.max(visit.opened_at.at)),
            "ActivityCategoryId": kinds.category,
            "StatusId": kinds.finished,
        })
    }

    fn contact(&self, contact: &str) -> (String, Value) {
        ("ContactId".to_owned(), contact.into())
    }

    fn owner(&self, contact: &Value) -> Option<(String, Value)> {
        let owner = self.settings.visit.owner.or_else(|| wire::id(contact, "OwnerId"))?;
        Some(("OwnerId".to_owned(), owner.to_string().into()))
    }

    fn voiding(&self) -> Value {
        json!({ "StatusId": self.kinds().cancelled })
    }

    fn is_void(&self, row: &Value) -> bool {
        wire::id(row, "StatusId") == Some(self.kinds().cancelled)
    }

    async fn changed(site: &mut Creatio, cursor: &str) -> Result<Changes, Failure> {
        changes::changed(site, cursor).await
    }

    async fn prepare(site: &mut Creatio) -> Vec<Finding> {
        probe::prepare(site).await
    }

    async fn probe(site: &mut Creatio) -> Vec<Finding> {
        probe::probe(site).await
    }

    async fn heartbeat(site: &mut Creatio, beat: &Heartbeat) -> Result<bool, Failure> {
        if site.own.settings.device_object.is_empty() {
            return Ok(false);
        }
        let object = site.own.settings.device_object.clone();
        let id = named_id("creatio device", &beat.device);
        if !site.own.has_device {
            site.own.has_device = !site.rows_by_id(&object, "Id", &[id], "Id").await?.is_empty();
        }
        let doing = if site.own.has_device { Doing::Update } else { Doing::Create };
        site.own.has_device = false;
        site.write(Part::new(doing, &object, id, sign_of_life(beat))).await?;
        site.own.has_device = true;
        Ok(true)
    }
}

fn sign_of_life(beat: &Heartbeat) -> Value {
    let blind: Vec<&str> = beat.cameras.iter().filter(|(_, sees)| !sees).map(|(name, _)| &**name).collect();
    json!({
        "UsrName": beat.device,
        "UsrVersion": beat.version,
        "UsrSeenAt": wire::time(beat.at.at),
        "UsrOutboxDepth": beat.outbox_depth,
        "UsrOutboxAgeS": beat.outbox_oldest.map_or(0, |age| age.as_secs()),
        "UsrOutboxDead": beat.outbox_dead,
        "UsrCamerasLost": blind.join(", "),
    })
}
