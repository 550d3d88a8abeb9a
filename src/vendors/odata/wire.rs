//! OData 4 on the wire, as far as Creatio and Dynamics share it: literals, filters, parts of batches, and what an answer
//! that is no success means.
//!
//! Errors have codes, which may be empty; their texts are looked at for what they are about and never passed on. The
//! form of a batch is each vendor's.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;
use uuid::Uuid;

use crate::clock::Clock;
use crate::crm::{Failure, FailureClass, Reply, quoted_path};

/// A text as OData writes it; GUIDs and times stand without quotes.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

pub(super) fn time(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// Where Creatio has no time it says the year 1.
pub(super) fn read_time(text: &str) -> Option<Timestamp> {
    text.parse().ok().filter(|at: &Timestamp| at.as_second() > -60_000_000_000)
}

/// An id of the CRM's as what it must be; where Creatio has none it says zeros.
pub(super) fn guid(text: &str) -> Option<Uuid> {
    text.parse().ok().filter(|id: &Uuid| !id.is_nil())
}

/// A GUID of a row.
pub(super) fn id(row: &Value, name: &str) -> Option<Uuid> {
    guid(row[name].as_str()?)
}

/// The conditions joined by "or" into filters that fit an address of so many characters.
pub(super) fn filters(any: &[String], most: usize) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for condition in any {
        match all.last_mut() {
            Some(last) if quoted_path(last).len() + quoted_path(condition).len() < most => {
                last.push_str(" or ");
                last.push_str(condition);
            }
            _ => all.push(condition.clone()),
        }
    }
    all
}

/// What a part of a batch does with its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// Refused where the row is there already.
    Create,
    /// Refused where it is not there.
    Update,
    /// Either; Dynamics alone.
    Put,
    Delete,
}

/// One request of a batch.
#[derive(Clone)]
pub struct Part {
    pub doing: Doing,
    pub set: String,
    pub key: String,
    pub body: Value,
}

impl Part {
    pub(super) fn new(doing: Doing, set: &str, key: impl ToString, body: Value) -> Self {
        Self { doing, set: set.to_owned(), key: key.to_string(), body }
    }

    pub(super) fn row(&self) -> String {
        format!("{}({})", self.set, self.key)
    }
}

/// What a part of a batch was answered.
pub struct Answer {
    pub status: u16,
    pub body: Value,
}

impl Answer {
    /// Whether the row is not there, as opposed to its table.
    pub(super) fn is_absent(&self) -> bool {
        self.status == 404 && self.body["error"].is_object() && !lacks_table(&self.body)
    }

    /// Whether the form of the request was refused, and not what it asks.
    pub(super) fn is_refused_form(&self) -> bool {
        matches!(self.status, 406 | 415)
    }

    pub(super) fn failure(&self, vendor: &str) -> Option<Failure> {
        refusal(vendor, self.status, &self.body).or_else(|| match self.status {
            200..=299 => None,
            status => Some(by_status(vendor, status)),
        })
    }
}

/// Whether a refusal is about what was asked, and not about login, pace or a fault that passes.
pub(super) fn is_refusal(failure: &Failure) -> bool {
    matches!(failure.class, FailureClass::Poison | FailureClass::TenantBlocked)
}

/// An error's texts, in small letters: Creatio has three shapes of it, Dynamics one of them.
fn texts(body: &Value) -> impl Iterator<Item = String> + '_ {
    let error = &body["error"];
    [
        &error["message"],
        &error["innererror"]["message"],
        &body["Message"],
        &body["ExceptionMessage"],
        &body["ExceptionType"],
    ]
    .into_iter()
    .filter_map(|text| text.as_str().map(str::to_lowercase))
}

fn says(body: &Value, any: &[&str]) -> bool {
    texts(body).any(|text| any.iter().any(|what| text.contains(what)))
}

fn lacks_table(body: &Value) -> bool {
    says(body, &["resource not found for the segment", "no http resource"])
}

/// Headers of ours that a server, or what stands before it, may not take.
const HEADERS: [&str; 6] =
    ["If-None-Match", "If-Match", "Prefer", "OData-Version", "OData-MaxVersion", "odata=verbose"];
const COLUMN: [&str; 5] = [
    "column by path",
    "not found in schema",
    "could not find a property named",
    "undeclared property",
    "invalid property",
];
/// How a value that is missing is complained of (unverified on live tenants; a site's own rules speak its language).
const DEMANDED: [&str; 7] = [
    "is required",
    "required field",
    "mandatory",
    "cannot be null",
    "not-null constraint",
    "must be filled",
    "обязател",
];
const RIGHTS: [&str; 3] = ["securityexception", "sufficient permissions", "missing prv"];

/// What an error's body is about; `None` for a body that is no error.
fn refusal(vendor: &str, status: u16, body: &Value) -> Option<Failure> {
    let error = &body["error"];
    let has_message = body["Message"].is_string() && body["Id"].is_null();
    if !(error.is_object() || has_message || body["ExceptionMessage"].is_string()) {
        return None;
    }
    let code = [&error["code"], &body["ExceptionType"]].into_iter().filter_map(Value::as_str);
    let code = code.into_iter().find(|code| !code.is_empty()).unwrap_or_default();
    let named = || HEADERS.iter().find(|name| says(body, &[&name.to_lowercase()]));
    let failure = if matches!(status, 401 | 408 | 429) {
        by_status(vendor, status)
    } else if matches!(code, "0x80072321" | "0x80072322" | "0x80072326") {
        by_status(vendor, 429)
    } else if code == "0x80072560" {
        Failure::auth("the app is no user of this environment; add it as an application user and give it a role")
    } else if says(body, &COLUMN) {
        Failure::blocked(format!("{vendor} lacks a column that the configuration names; run `snova crm probe`"), None)
    } else if status == 404 && lacks_table(body) {
        Failure::blocked(
            format!(
                "{vendor} has no such table as is asked for; one that was just published takes two minutes, else run `snova crm probe`"
            ),
            None,
        )
    } else if status == 403 || says(body, &RIGHTS) {
        Failure::blocked(
            format!("{vendor} does not let Snova's user do that; look at its rights and run `snova crm probe`"),
            None,
        )
    } else if let Some(header) = named() {
        Failure::blocked(
            format!("{vendor} refuses the header {header} (HTTP {status}); look what a proxy changes"),
            None,
        )
    } else if says(body, &DEMANDED) {
        Failure::blocked(
            format!(
                "{vendor} demands a field that Snova does not fill (HTTP {status}); make it optional or give it a default"
            ),
            None,
        )
    } else if status < 400 {
        Failure::transient(format!("{vendor} answers with an error under success"))
    } else {
        by_status(vendor, status)
    };
    Some(failure.with_code(code))
}

/// What a status means where the body says no more.
fn by_status(vendor: &str, status: u16) -> Failure {
    match status {
        401 | 408 => Failure::transient(format!("{vendor}'s session ended within the request")),
        403 => Failure::blocked(format!("{vendor}, or what stands before it, refuses everything (HTTP 403)"), None),
        405 | 406 | 415 | 428 | 501 => Failure::blocked(
            format!(
                "{vendor} refuses the form of the request, as its method or headers are (HTTP {status}); look what a proxy changes"
            ),
            None,
        ),
        429 => Failure::throttled(format!("{vendor} asks for fewer requests (HTTP 429)"), None),
        500..=599 => Failure::transient(format!("{vendor} failed (HTTP {status})")),
        _ => Failure::poison(format!("{vendor} refused the row (HTTP {status})")),
    }
}

/// Why a reply is no success. Creatio's errors come now and then under a status of success.
pub(super) fn failure(vendor: &str, reply: &Reply, clock: &dyn Clock) -> Option<Failure> {
    let body = reply.json().unwrap_or(Value::Null);
    if matches!(reply.status, 429 | 503) {
        let code = body["error"]["code"].as_str().unwrap_or_default();
        return reply.common_failure(clock).map(|failure| failure.with_code(code));
    }
    refusal(vendor, reply.status, &body).or_else(|| match reply.status {
        200..=299 => None,
        404 => Some(Failure::blocked(format!("there is no {vendor} at this address; check url in its section"), None)),
        status => Some(reply.common_failure(clock).unwrap_or_else(|| by_status(vendor, status))),
    })
}

/// A reply's body, or why there is none.
pub(super) fn read(vendor: &str, reply: &Reply, clock: &dyn Clock) -> Result<Value, Failure> {
    match failure(vendor, reply, clock) {
        Some(failure) => Err(failure),
        None if reply.body.trim_ascii().is_empty() => Ok(Value::Null),
        None => reply.json(),
    }
}

/// The rows of an answer.
pub(super) fn rows(vendor: &str, body: &mut Value) -> Result<Vec<Value>, Failure> {
    match body["value"].take() {
        Value::Array(rows) => Ok(rows),
        _ => Err(Failure::transient(format!("{vendor}'s answer holds no rows"))),
    }
}
