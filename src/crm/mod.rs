//! What the company's CRM is told and asked: the connector that every vendor has, and the words of this road.
//!
//! When something is sent, in which order and how often, is `crate::sync`'s; what is kept is `crate::store`'s; the
//! connectors themselves are `crate::vendors`'.

mod contact;
mod failure;
mod http;
mod keys;
mod mark;
pub mod named;
mod record;
pub mod refresh;
mod server_clock;
mod settings;
mod timer;
mod token;
pub mod watermark;

use std::sync::Arc;

use async_trait::async_trait;

pub use contact::{
    Changes, ConsentWord, Contact, ContactId, Creation, NewContact, Seek, Standing, Told, phone_like, phone_spellings,
    searches,
};
pub use failure::{Failure, FailureClass};
pub use http::{Http, HttpSettings, Reply, Request, quoted_path};
pub use keys::{Key, Keys, Page, key};
pub use mark::Mark;
pub use record::{
    Forgotten, Greeting, Heartbeat, MUCH_SKEW, RecordId, SentVisit, VisitRecord, erased_text, mark, void_text,
};
pub use server_clock::ServerClock;
pub use settings::{ContactFields, CrmSettings, RecordFields, ToldFields};
pub use timer::{SystemTimer, Timer};
pub use token::Token;

pub use crate::customer::Receipt;

use crate::clock::Clock;

/// What a connector stands on beside its own settings.
#[derive(Clone)]
pub struct Tools {
    pub clock: Arc<dyn Clock>,
    pub timer: Arc<dyn Timer>,
    pub secrets: Arc<dyn Secrets>,
    /// What the CRM's clock says: its connector's [`Http`] sets it.
    pub server_clock: Arc<ServerClock>,
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
    /// The CRM refuses, by [`NewContact::key`], to have a person twice. Otherwise a double may be made by two boxes at
    /// once, and is settled by [`CrmConnector::retire`].
    pub keyed_contacts: bool,
    /// How long a request that was given up may still be carried out: what is in doubt is looked for, or removed, only after.
    pub settle: std::time::Duration,
    /// The most characters that the field of the mark holds.
    pub mark_chars: usize,
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

    /// Rewrites a recorded visit by what is known of it now: a receipt, an answer. One that is not there is no error. What
    /// does not bear the visit's key or mark is left alone; a look that fails is an error.
    async fn amend(&mut self, visit: &VisitRecord, sent: &SentVisit) -> Result<(), Failure>;

    /// Makes the CRM forget the records of a customer's visits. What is not there (any more) is no error. What does not bear a visit's key
    /// or mark is left alone, whatever id was told; a look that fails is an error. The mark on the contact is the caller's.
    async fn forget(&mut self, gone: &Forgotten) -> Result<(), Failure>;

    /// Contacts that have exactly what is sought: the connector compares normalised values itself and never trusts a
    /// search's first hit. At most some ten.
    async fn find(&mut self, sought: &Seek) -> Result<Vec<Contact>, Failure>;

    /// Writes that text into the contact's field of the mark, and nothing else, and looks whether it is there; empty
    /// empties the field. A contact that is gone is [`Failure::contact_gone`].
    async fn write_mark(&mut self, contact: &ContactId, text: &str) -> Result<(), Failure>;

    /// Creates a contact that bears [`NewContact::mark`], under [`NewContact::key`] where the CRM enforces keys. The
    /// caller has looked for them before.
    async fn create(&mut self, new: &NewContact) -> Result<Creation, Failure>;

    /// Takes back a contact that Snova itself has just created, since `elder` is the same person: deleted, or, where the
    /// vendor cannot delete, emptied and named a double. Never asked of a CRM with [`Manners::keyed_contacts`].
    async fn retire(&mut self, younger: &ContactId, elder: &ContactId) -> Result<(), Failure>;

    /// One contact with all of its card; `None` when it is gone. One in the bin, or merged into another, says so.
    async fn contact(&mut self, id: &ContactId) -> Result<Option<Contact>, Failure>;

    /// Contacts changed since `cursor`, a page at a time; an empty cursor begins with those changed from now on
    /// or, where the vendor's way allows, with all. Contacts of others may be among them: the caller sorts them out.
    /// Those deleted or merged since are among them, with their ids at least, where the vendor can tell them.
    async fn changed(&mut self, cursor: &str) -> Result<Changes, Failure>;

    /// All records of visits that bear a key or mark of ours on that contact, whichever box wrote them.
    async fn visits_of(&mut self, contact: &ContactId) -> Result<Vec<Standing>, Failure>;

    /// Writes on contacts what [`ToldFields`] have names for, and answers for each in their order.
    async fn tell(&mut self, told: &[(ContactId, Told)]) -> Result<Vec<Result<(), Failure>>, Failure>;

    /// Makes the fields of [`ToldFields`] and [`RecordFields`] in the CRM, or names them for the administrator where the
    /// API may not; what is there already stays. The remedies say what to put into the configuration.
    async fn prepare(&mut self) -> Vec<Finding>;

    /// Looks at rights, fields and limits of the tenant, and changes nothing there.
    async fn probe(&mut self) -> Vec<Finding>;

    /// Tells the CRM that this box is alive; `false` where this CRM has no place for it.
    async fn heartbeat(&mut self, beat: &Heartbeat) -> Result<bool, Failure>;

    /// The requests that [`CrmConnector::record`] would send for these visits, as texts for a person: method, path and
    /// body, without any secret. Sends nothing.
    fn preview(&self, visits: &[VisitRecord]) -> Vec<String>;
}
