//! CRMs that are not there: a fake server a vendor, which answers, refuses and lies as the real one is known to.
//!
//! Each is made from the vendor's documentation, speaks TLS with a certificate of its own, and is held to that by
//! clients which we did not write (`tests/crm_clients.rs`). What must hold of every connector is `crm_contract`.
#![allow(dead_code, unused_imports, reason = "each test uses its part of the support code")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test a panic is the report")]

pub mod amocrm;
pub mod beans;
pub mod bench;
pub mod bitrix24;
pub mod certificates;
pub mod creatio;
pub mod dynamics;
pub mod leaks;
pub mod odata;
pub mod road;
pub mod salesforce;
pub mod server;
pub mod sugarcrm;
pub mod suitecrm;
pub mod suitecrm_legacy;
pub mod webhook;

use std::sync::{Arc, Mutex};

use jiff::Timestamp;

pub use server::{Answer, Asked, FakeServer, Fault};

/// The counter whose visits every fake refuses as its vendor refuses a row with a bad value.
pub const POISON_TILL: &str = "poison-till";

/// Single records of visits by the ids that the vendor gives them, as its database has them.
pub trait FakeRecords {
    /// The record whole, and whether it is in the bin; `None` for one that is gone.
    fn raw(&self, record: &str) -> Option<String>;

    /// Puts somebody else's record there under that very id, as another portal has something under every number.
    fn plant(&mut self, record: &str, contact: &str, now: Timestamp);

    /// Puts another key in place of ours wherever the record bears it, or none at all; `false` where it is the primary
    /// key, which stays what it is.
    fn remark(&mut self, record: &str, key: &str) -> bool;
}

/// A vendor's server: its memory and its manners. The same `answer` serves our connectors and others' clients.
pub trait FakeCrm: FakeRecords + Send {
    /// Answers a request as the vendor does. `now` is the vendor's clock: token lifetimes, rates, change stamps.
    fn answer(&mut self, asked: &Asked, now: Timestamp) -> Answer;

    /// How the vendor says "too many requests" to this request.
    fn throttled(&self) -> Answer;

    /// How the vendor, or what stands before it, refuses everything: 403 with a page, an unpaid account.
    fn blocked(&self) -> Answer;

    /// Every access token given out so far is refused from now on, as expired.
    fn expire_tokens(&mut self);

    /// Whether the request is one that records visits (the call that may be made twice).
    fn is_visit_write(&self, asked: &Asked) -> bool;

    /// The records of visits, every single row, in the order in which they were written.
    fn visits(&self) -> Vec<FakeVisit>;

    /// Puts a contact there as the company's people would, and gives its id.
    fn add_contact(&mut self, contact: FakeContact, now: Timestamp) -> String;

    /// Changes a contact as the company's people would; `change` is applied to what is there.
    fn change_contact(&mut self, id: &str, change: &dyn Fn(&mut FakeContact), now: Timestamp);

    fn contact(&self, id: &str) -> Option<FakeContact>;

    fn contacts(&self) -> usize;

    /// Every contact that is not in the bin, with its id, in the order in which they were made.
    fn all_contacts(&self) -> Vec<(String, FakeContact)>;

    /// The company's people throw a contact away, as the vendor does it: into a bin, or for good.
    fn bin_contact(&mut self, id: &str, now: Timestamp);

    /// The company's people merge `loser` into `survivor`, as the vendor does it: what is marked, and what of the records of
    /// visits moves along, is the vendor's way.
    fn merge_contacts(&mut self, loser: &str, survivor: &str, now: Timestamp);

    /// The administrator makes a field of visits mandatory that Snova does not fill, or takes that back: every write of a
    /// visit is refused as the vendor refuses it.
    fn demand_field(&mut self, on: bool);

    /// The administrator takes away the right to write visits, or gives it back.
    fn take_right(&mut self, taken: bool);

    /// What Snova has written on a contact beside its mark, read back from the vendor's own fields under the names that
    /// [`Self::told_config`] gives.
    fn told(&self, id: &str) -> snova::crm::Told;

    /// The lines of `[crm.<vendor>.told]` and `[crm.<vendor>.record]`, whole, to be added to [`Self::config`]; with them
    /// the fake has these fields.
    fn told_config(&mut self) -> String;

    /// Signs of life that arrived.
    fn heartbeats(&self) -> usize;

    /// The `[crm]` section, with its vendor's, by which a box reaches this fake at `url` and trusts `ca_file`.
    fn config(&self, url: &str, ca_file: &str) -> String;

    /// What `snova crm secret` must be given.
    fn secrets(&self) -> Vec<(&'static str, String)>;
}

/// A record of a visit as it lies in the CRM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FakeVisit {
    /// Our key, wherever the vendor has it: a field, the primary key, a mark in a text.
    pub key: String,
    pub contact: String,
    pub opened_at: Option<Timestamp>,
    /// Marked as void by its vendor's means.
    pub void: bool,
    /// Emptied or deleted since, because the customer was erased.
    pub erased: bool,
}

/// A contact in words that every vendor has, or has a field for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FakeContact {
    pub external_id: String,
    pub given: String,
    pub patronymic: String,
    pub family: String,
    /// As somebody typed it.
    pub phone: String,
    pub email: String,
    pub tier: String,
    pub owner: String,
    pub notes: String,
    pub offer: String,
    /// "1980-05-17", or nothing.
    pub birthday: String,
    pub visits: u32,
}

impl FakeContact {
    pub fn named(given: &str, patronymic: &str, family: &str, phone: &str) -> Self {
        Self {
            given: given.to_owned(),
            patronymic: patronymic.to_owned(),
            family: family.to_owned(),
            phone: phone.to_owned(),
            ..Self::default()
        }
    }
}

/// Every vendor by name, and some of their other modes, with an empty CRM.
pub fn vendor(name: &str) -> Arc<Mutex<dyn FakeCrm>> {
    match name {
        "amocrm" => Arc::new(Mutex::new(amocrm::FakeAmoCrm::default())),
        "bitrix24" => Arc::new(Mutex::new(bitrix24::FakeBitrix24::default())),
        "bitrix24-comments" => {
            let quirks = bitrix24::Quirks { comments_only: true, ..Default::default() };
            Arc::new(Mutex::new(bitrix24::FakeBitrix24::of(quirks)))
        }
        "creatio" => Arc::new(Mutex::new(creatio::FakeCreatio::default())),
        "dynamics" => Arc::new(Mutex::new(dynamics::FakeDynamics::default())),
        "salesforce" => Arc::new(Mutex::new(salesforce::FakeSalesforce::default())),
        "webhook" => Arc::new(Mutex::new(webhook::FakeReceiver::default())),
        "sugarcrm" => Arc::new(Mutex::new(sugarcrm::FakeSugar::of(true))),
        "sugarcrm-user" => Arc::new(Mutex::new(sugarcrm::FakeSugar::of(false))),
        "suitecrm" => Arc::new(Mutex::new(suitecrm::FakeSuite::default())),
        "suitecrm-legacy" => Arc::new(Mutex::new(suitecrm_legacy::FakeLegacySuite::default())),
        other => panic!("there is no fake of {other}"),
    }
}

/// The vendors that [`vendor`] knows: the contract suite and the crash run go through all of them.
pub const VENDORS: &[&str] =
    &["amocrm", "bitrix24", "creatio", "dynamics", "salesforce", "sugarcrm", "suitecrm", "suitecrm-legacy", "webhook"];

/// A text with another key in its mark, or without any mark.
pub fn remarked(text: &str, key: &str) -> String {
    let Some((before, after)) = text.split_once("#visit:") else { return text.to_owned() };
    let after = after.get(36..).unwrap_or_default();
    if key.is_empty() { format!("{}{after}", before.trim_end()) } else { format!("{before}#visit:{key}{after}") }
}
