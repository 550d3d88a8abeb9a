//! Microsoft Dynamics 365 by the Dataverse Web API: a visit is a task, or a row of a custom table, whose primary key is
//! the visit's own and which may only be created.
//!
//! What it shares with Creatio is `odata`'s, the multipart form of batches `batch`'s, following changes `changes`'s, the
//! environment's description of itself `probe`'s and `definitions`'s.

mod batch;
mod changes;
mod definitions;
mod probe;
pub mod settings;

use async_trait::async_trait;
use serde_json::{Map, Value, json};

use super::login::{Session, client_credentials, secret};
use super::rows::Words;
use super::wire::{self, Answer, Doing, Part};
use super::{Dialect, OData};
use crate::crm::{
    Changes, ContactFields, CrmSettings, Failure, Finding, Heartbeat, Http, RecordFields, Reply, Request, ToldFields,
    Tools, VisitRecord, quoted_path,
};
use crate::i18n::Language;

/// The secrets of the login.
pub const SECRETS: &[&str] = &["crm/dynamics/client-secret"];

/// Of the API, below the environment's address.
const ROOT: &str = "/api/data/v9.2";
/// Values come with how they are shown, lookups with the table that they lead to.
const ANNOTATED: &str =
    "odata.include-annotations=\"OData.Community.Display.V1.FormattedValue,Microsoft.Dynamics.CRM.lookuplogicalname\"";
/// By which tasks of Snova are told from others in a view.
const CATEGORY: &str = "Snova";
/// Open, with the reason Not Started.
const OPEN: (i64, i64) = (0, 2);
/// Completed, with the reason Completed.
const COMPLETED: (i64, i64) = (1, 5);
/// Canceled, with the reason Canceled.
const CANCELLED: (i64, i64) = (2, 6);

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
pub type Dynamics = OData<Org>;

/// What is Dynamics's alone.
pub struct Org {
    settings: Settings,
    words: Words,
}

impl Dynamics {
    pub fn new(settings: &Settings, common: &CrmSettings, tools: &Tools) -> Result<Self, Failure> {
        let task = |name: &str| name.to_owned();
        let table = settings.visit.as_ref();
        let contact = table.map_or_else(
            || task("_regardingobjectid_value"),
            |table| format!("_{}_value", table.contact.to_lowercase()),
        );
        let words = Words {
            vendor: "Dynamics",
            section: "dynamics",
            root: ROOT,
            filter_chars: 20_000,
            shows_rows: false,
            contacts: "contacts",
            contact_id: "contactid",
            given: "firstname",
            family: "lastname",
            full_name: None,
            phones: &["mobilephone", "telephone1", "telephone2"],
            emails: &["emailaddress1", "emailaddress2"],
            more: &["_ownerid_value", "_masterid_value", "statecode", "modifiedon"],
            expand: &[],
            visits: table.map_or_else(|| task("tasks"), |table| table.table.clone()),
            visit_id: table.map_or_else(|| task("activityid"), |table| table.id.clone()),
            visit_contact: contact.clone(),
            visit_of: contact,
            visit_at: table.map_or_else(|| task("scheduledstart"), |table| table.at.clone()),
            visit_state: table.map_or_else(|| task("statecode"), |table| format!("{},{}", table.void, table.counter)),
            marked_in: table.is_none().then_some("description"),
            fields: settings.fields.clone(),
            phone_e164: None,
            told: settings.told.clone(),
            record: settings.record.clone(),
            day: |day| day.to_string(),
        };
        Self::open(Org { settings: settings.clone(), words }, common, tools)
    }
}

fn state((state, reason): (i64, i64)) -> Value {
    json!({ "statecode": state, "statuscode": reason })
}

#[async_trait]
impl Dialect for Org {
    fn words(&self) -> &Words {
        &self.words
    }

    fn base(&self) -> String {
        format!("{}{ROOT}", self.settings.url)
    }

    async fn log_in(&self, http: &mut Http, tools: &Tools) -> Result<Session, Failure> {
        let secret = secret(tools, "Dynamics", SECRETS[0])?;
        let scope = format!("{}/.default", self.settings.url);
        let fields = [("client_id", &*self.settings.client_id), ("client_secret", &*secret), ("scope", &*scope)];
        let url = format!("{}/{}/oauth2/v2.0/token", self.settings.login_url, quoted_path(&self.settings.tenant));
        let said = (
            "Microsoft",
            "Microsoft refused the login; check tenant, client_id and the client secret, which ends after two years at most",
            "there is no login at login_url, or no such tenant; check both",
        );
        client_credentials(http, tools, &url, &fields, said).await
    }

    fn is_lost(reply: &Reply) -> bool {
        reply.status == 401
    }

    fn headed(request: Request) -> Request {
        request.header("accept", "application/json").header("OData-MaxVersion", "4.0").header("OData-Version", "4.0")
    }

    /// What is cached on the way is not wanted.
    fn reading(request: Request) -> Request {
        request
            .header("if-none-match", "null")
            .header("prefer", format!("odata.maxpagesize={},{ANNOTATED}", super::PAGE))
    }

    fn batch(base: &str, parts: &[Part], plain: bool) -> Request {
        batch::request(base, parts, plain)
    }

    fn answers(reply: &Reply, wanted: usize) -> Result<Vec<Option<Answer>>, Failure> {
        batch::answers(reply, wanted)
    }

    fn texts(&self, visit: &VisitRecord, language: Language) -> Value {
        let title = visit.title(language);
        match &self.settings.visit {
            None => json!({ "subject": title, "description": visit.text(language) }),
            Some(table) => json!({
                table.name.as_str(): title,
                table.counter.as_str(): format!("{} / {}", visit.shop, visit.counter),
                table.how.as_str(): visit.how.as_str(),
            }),
        }
    }

    fn frame(&self, visit: &VisitRecord) -> Value {
        let (opened, closed) = (wire::time(visit.opened_at.at), wire::time(visit.closed_at.at));
        match &self.settings.visit {
            None => json!({
                "actualstart": opened, "scheduledstart": opened, "scheduledend": closed, "category": CATEGORY,
            }),
            Some(table) => json!({ table.at.as_str(): opened, table.until.as_str(): closed }),
        }
    }

    fn contact(&self, contact: &str) -> (String, Value) {
        // The lookup's name in $metadata; some pages leave "_task" out, which is another one (unverified on a live tenant).
        let lookup = self.settings.visit.as_ref().map_or("regardingobjectid_contact_task", |table| &table.contact);
        (format!("{lookup}@odata.bind"), format!("/contacts({contact})").into())
    }

    fn owner(&self, contact: &Value) -> Option<(String, Value)> {
        // A table of the company's may have no owners.
        let owner = wire::id(contact, "_ownerid_value").filter(|_| self.settings.visit.is_none())?;
        let is_team = contact["_ownerid_value@Microsoft.Dynamics.CRM.lookuplogicalname"] == "team";
        let set = if is_team { "teams" } else { "systemusers" };
        Some(("ownerid_task@odata.bind".to_owned(), format!("/{set}({owner})").into()))
    }

    fn completion(&self, there: Option<&Value>) -> Option<Value> {
        let is_open = there.is_none_or(|row| row["statecode"] == OPEN.0);
        (self.settings.visit.is_none() && is_open).then(|| state(COMPLETED))
    }

    fn reopening(&self) -> Option<Value> {
        self.settings.visit.is_none().then(|| state(OPEN))
    }

    fn voiding(&self) -> Value {
        self.settings.visit.as_ref().map_or_else(|| state(CANCELLED), |table| json!({ table.void.as_str(): true }))
    }

    fn is_void(&self, row: &Value) -> bool {
        self.settings.visit.as_ref().map_or_else(|| row["statecode"] == CANCELLED.0, |table| row[&table.void] == true)
    }

    fn store_of(&self, row: &Value) -> Option<String> {
        let (store, _) = row[&self.settings.visit.as_ref()?.counter].as_str()?.rsplit_once(" / ")?;
        Some(store.to_owned())
    }

    async fn changed(org: &mut Dynamics, cursor: &str) -> Result<Changes, Failure> {
        changes::changed(org, cursor).await
    }

    async fn prepare(org: &mut Dynamics) -> Vec<Finding> {
        definitions::prepare(org).await
    }

    async fn probe(org: &mut Dynamics) -> Vec<Finding> {
        probe::probe(org).await
    }

    async fn heartbeat(org: &mut Dynamics, beat: &Heartbeat) -> Result<bool, Failure> {
        let Settings { device_table: table, device_key: key, .. } = &org.own.settings;
        if table.is_empty() {
            return Ok(false);
        }
        let own = format!("{key}={}", wire::quoted(&quoted_path(&beat.device)));
        let part = Part::new(Doing::Put, table, own, sign_of_life(beat, prefix(key)));
        org.write(part).await.map(|_| true)
    }
}

/// "new" of "new_device".
fn prefix(key: &str) -> &str {
    key.split_once('_').map_or(key, |(prefix, _)| prefix)
}

/// The columns of a box's row, without the publisher's prefix.
const SIGNS: [&str; 6] = ["version", "seenat", "outboxdepth", "outboxages", "outboxdead", "cameraslost"];

fn sign_of_life(beat: &Heartbeat, prefix: &str) -> Value {
    let blind: Vec<&str> = beat.cameras.iter().filter(|(_, sees)| !sees).map(|(name, _)| &**name).collect();
    let values = [
        json!(beat.version),
        json!(wire::time(beat.at.at)),
        json!(beat.outbox_depth),
        json!(beat.outbox_oldest.map_or(0, |age| age.as_secs())),
        json!(beat.outbox_dead),
        json!(blind.join(", ")),
    ];
    let row: Map<String, Value> =
        SIGNS.into_iter().zip(values).map(|(name, value)| (format!("{prefix}_{name}"), value)).collect();
    Value::Object(row)
}
