//! SuiteCRM: a visit is a meeting that was held, whose id is our key.
//!
//! Two ways lead there: `v8` is the JSON API of SuiteCRM 7.12 and later, `legacy` is v4_1 for those before or where V8 is
//! shut. Here is what both share: times, texts as a page has them, and what a refusal without a reason means.

mod legacy;
pub mod settings;
mod v8;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::shape::Shape;
use crate::crm::{ContactFields, CrmConnector, CrmSettings, Failure, Manners, RecordFields, ToldFields, Tools};

/// The secrets of the login: the first for V8, the second for v4_1.
pub const SECRETS: &[&str] = &["crm/suitecrm/client-secret", "crm/suitecrm/password"];

/// `[crm.suitecrm]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `https://crm.shop.example`.
    pub url: String,
    pub api: Api,
    pub fields: ContactFields,
    /// What is written on a contact beside its mark.
    pub told: ToldFields,
    /// Values of a visit that have no standard place.
    pub record: RecordFields,
}

/// By which API, with its login and the path at which it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Api {
    /// `path` is "/Api", or "/legacy/Api" in SuiteCRM 8.
    V8 { client_id: String, path: String },
    /// `path` is "/service/v4_1/rest.php", or that after "/legacy".
    Legacy { user: String, path: String },
}

/// The connector for the configured API.
pub fn open(settings: &Settings, common: &CrmSettings, tools: &Tools) -> Result<Box<dyn CrmConnector>, Failure> {
    let shape = Arc::new(Shape {
        vendor: "SuiteCRM",
        section: "crm.suitecrm",
        fields: settings.fields.clone(),
        told: settings.told.clone(),
        record: settings.record.clone(),
        key_field: None,
        time,
        language: common.language,
        country: common.country,
    });
    let (url, http) = (&settings.url, &common.http);
    Ok(match &settings.api {
        Api::V8 { client_id, path } => {
            Box::new(v8::SuiteCrm::new(shape, client_id, format!("{url}{path}"), http, tools)?)
        }
        Api::Legacy { user, path } => {
            Box::new(legacy::SuiteCrm::new(shape, user, format!("{url}{path}"), http, tools)?)
        }
    })
}

/// Meetings and contacts have ids of ours, and SuiteCRM refuses either the second time.
fn ways(batch: usize) -> Manners {
    Manners { keyed: true, batch, keyed_contacts: true, settle: Duration::ZERO, needs_contact: true, mark_chars: 255 }
}

/// As SuiteCRM keeps times: in UTC, with a space. One with a `T` is accepted and lost.
fn time(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// SuiteCRM keeps what people type as it would stand in a page.
fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&#039;", "'")
        .replace("&#39;", "'")
        .replace("&amp;", "&")
}

fn no_time() -> Failure {
    Failure::blocked("SuiteCRM took a visit and lost its time; see that it keeps date_start", None)
}

/// A refusal of which it is not known whose fault it is: the lane finds that out.
fn unexplained() -> Failure {
    Failure::poison(
        "SuiteCRM refused the visit and gave no reason (its database, or a logic hook there); see suitecrm.log there",
    )
}
