//! What the company's CRM is told and asked: the connector that every vendor has, and the words of this road.
//!
//! When something is sent, in which order and how often, is `crate::sync`'s; what is kept is `crate::store`'s. Each
//! vendor is a file or folder here, with its wire types inside it. Facts about the vendors come from their
//! documentation; what could not be verified there is marked "unverified" at its place.

mod contact;
mod failure;
mod http;
mod named;
mod record;
mod refresh;
mod settings;
mod timer;
mod token;
mod watermark;

pub mod amocrm;
pub mod bitrix24;
pub mod creatio;
pub mod dynamics;
pub mod salesforce;
pub mod sugarcrm;
pub mod suitecrm;
pub mod webhook;

use std::sync::Arc;

use async_trait::async_trait;

pub use contact::{
    Changes, Contact, ContactId, NewContact, Seek, Seeking, choose, phone_like, phone_spellings, searches,
};
pub use failure::{Failure, FailureClass};
pub use http::{Http, HttpSettings, Reply, Request, quoted_path};
pub use record::{Forgotten, Heartbeat, RecordId, SentVisit, VisitRecord, erased_text, mark, void_text};
pub use settings::{ContactFields, CrmSettings, Target};
pub use timer::{SystemTimer, Timer};
pub use token::Token;

use crate::clock::Clock;
use crate::customer::CustomerId;

/// Opens the configured connector; nothing is sent yet. `None` where no CRM is configured.
pub fn open(settings: &CrmSettings, tools: &Tools) -> Result<Option<Box<dyn CrmConnector>>, Failure> {
    let connector: Box<dyn CrmConnector> = match &settings.target {
        Target::None => return Ok(None),
        Target::AmoCrm(own) => Box::new(amocrm::AmoCrm::new(own, settings, tools)?),
        Target::Bitrix24(own) => Box::new(bitrix24::Bitrix24::new(own, settings, tools)?),
        Target::Creatio(own) => Box::new(creatio::Creatio::new(own, settings, tools)?),
        Target::Dynamics(own) => Box::new(dynamics::Dynamics::new(own, settings, tools)?),
        Target::Salesforce(own) => Box::new(salesforce::Salesforce::new(own, settings, tools)?),
        Target::SugarCrm(own) => Box::new(sugarcrm::SugarCrm::new(own, settings, tools)?),
        Target::SuiteCrm(own) => suitecrm::open(own, settings, tools)?,
        Target::Webhook(own) => Box::new(webhook::Webhook::new(own, settings, tools)?),
    };
    Ok(Some(connector))
}

/// The webhook that signs of life go to beside the CRM; `None` where none is configured.
pub fn open_beacon(settings: &CrmSettings, tools: &Tools) -> Result<Option<Box<dyn CrmConnector>>, Failure> {
    let Some(own) = &settings.beacon else { return Ok(None) };
    Ok(Some(Box::new(webhook::Webhook::new(own, settings, tools)?)))
}

/// What a connector stands on beside its own settings.
#[derive(Clone)]
pub struct Tools {
    pub clock: Arc<dyn Clock>,
    pub timer: Arc<dyn Timer>,
    pub secrets: Arc<dyn Secrets>,
}

/// Tokens, passwords and keys by name, kept sealed. Two implementations: the store's, and a test's memory.
pub trait Secrets: Send + Sync {
    /// `None` where none is kept. The error is a sentence for the owner and quotes no secret.
    fn secret(&self, name: &str) -> Result<Option<String>, String>;

    /// Keeps a secret that the vendor has exchanged (a refresh token): on the disk when this returns.
    fn keep(&self, name: &str, value: &str) -> Result<(), String>;
}

/// How a CRM takes visits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manners {
    /// The CRM refuses, by a key of ours, to have a visit twice: what is in doubt may simply be sent again.
    /// Otherwise it is looked for first.
    pub keyed: bool,
    /// The most visits of one call of [`CrmConnector::record`].
    pub batch: usize,
    /// How long a request that was given up may still be carried out: what is in doubt is looked for only after.
    pub settle: std::time::Duration,
    /// Whether a visit belongs to a contact of the CRM, which must be known before.
    pub needs_contact: bool,
}

/// One thing that [`CrmConnector::probe`] looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub verdict: Verdict,
    /// What was looked at: "the field Loyalty_Tier__c of Contact".
    pub what: String,
    /// What the administrator must still do; empty where all is well.
    pub remedy: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Good,
    /// Works, but less well.
    Warning,
    /// Visits or cards do not arrive like this.
    Missing,
}

impl Finding {
    pub fn good(what: impl Into<String>) -> Self {
        Self { verdict: Verdict::Good, what: what.into(), remedy: String::new() }
    }

    pub fn warning(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { verdict: Verdict::Warning, what: what.into(), remedy: remedy.into() }
    }

    pub fn missing(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { verdict: Verdict::Missing, what: what.into(), remedy: remedy.into() }
    }
}

/// The code that talks to one CRM. Calls come one after the other, never two at once. A connector logs in by itself
/// and, when the CRM says that its token has expired, logs in once more and repeats the request before it fails.
///
/// No error, log line or `Debug` of a connector holds a secret, a name, a phone or an e-mail.
#[async_trait]
pub trait CrmConnector: Send {
    fn manners(&self) -> Manners;

    /// Records visits, each under its [`VisitRecord::key`], and answers for each in their order. An error of the whole
    /// says nothing about any of them: all are in doubt. With [`Manners::keyed`], a visit that is there already
    /// counts as recorded; without, the caller has looked first.
    async fn record(&mut self, visits: &[VisitRecord]) -> Result<Vec<Result<RecordId, Failure>>, Failure>;

    /// Which of these visits are there, in their order. Only the CRM's word counts, never a missing answer.
    async fn reconcile(&mut self, visits: &[VisitRecord]) -> Result<Vec<Option<RecordId>>, Failure>;

    /// Marks a recorded visit as void: it was not this customer. One that is not there is no error. What does not bear
    /// the visit's key or mark is left alone, whatever id was told; a look that fails is an error.
    async fn void(&mut self, visit: &SentVisit) -> Result<(), Failure>;

    /// Makes the CRM forget what Snova told it of a customer: their visits' records, and the external id on the
    /// contact. The contact itself is the company's. What is not there (any more) is no error. What does not bear a
    /// visit's key or mark, or the dead id, is left alone, whatever id was told; a look that fails is an error.
    async fn forget(&mut self, gone: &Forgotten) -> Result<(), Failure>;

    /// Contacts that have exactly what is sought: the connector compares normalised values itself and never trusts a
    /// search's first hit. At most some ten.
    async fn find(&mut self, sought: &Seek) -> Result<Vec<Contact>, Failure>;

    /// Writes the customer's id into the contact's external-id field, and nothing else.
    async fn link(&mut self, contact: &ContactId, customer: CustomerId) -> Result<(), Failure>;

    /// Creates a contact with the external id set. The caller has looked for that id before.
    async fn create(&mut self, new: &NewContact) -> Result<ContactId, Failure>;

    /// One contact with all of its card; `None` when it is gone.
    async fn contact(&mut self, id: &ContactId) -> Result<Option<Contact>, Failure>;

    /// Contacts changed since `cursor`, a page at a time; an empty cursor begins with those changed from now on
    /// or, where the vendor's way allows, with all. Contacts of others may be among them: the caller sorts them out.
    async fn changed(&mut self, cursor: &str) -> Result<Changes, Failure>;

    /// Looks at rights, fields and limits of the tenant, and changes nothing there.
    async fn probe(&mut self) -> Vec<Finding>;

    /// Tells the CRM that this box is alive; `false` where this CRM has no place for it.
    async fn heartbeat(&mut self, beat: &Heartbeat) -> Result<bool, Failure>;

    /// The requests that [`CrmConnector::record`] would send for these visits, as texts for a person: method, path and
    /// body, without any secret. Sends nothing.
    fn preview(&self, visits: &[VisitRecord]) -> Vec<String>;
}
