//! What SuiteCRM's V8 API answers, and what it means.
//!
//! Nearly every refusal is 400 with a sentence. The few whose English is in SuiteCRM's code are told apart here; that of
//! the database comes in the tenant's language.

use serde_json::Value;

use crate::clock::Clock;
use crate::crm::{Failure, Reply};
use crate::vendors::sugar::shape::Row;
use crate::vendors::sugar::suitecrm::unescaped;

/// What a refusal (HTTP 400) is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// There is a record with that id, perhaps one in the bin.
    Exists,
    /// There is no record with that id.
    Missing,
    /// A field or module that is not there.
    Structure,
    /// A rule of the tenant's own: a logic hook that wants a field filled.
    Rule,
    /// The database's, without a reason.
    Database,
}

/// An answer, or the refusal of it.
pub(super) enum Outcome {
    Done(Value),
    Refused(Refusal),
}

impl Outcome {
    /// `None` where there is no record with that id.
    pub fn found(self, what: &str) -> Result<Option<Value>, Failure> {
        match self {
            Self::Refused(Refusal::Missing) => Ok(None),
            other => other.done(what).map(Some),
        }
    }

    /// For a request that is refused only if the tenant lacks something, or is in trouble.
    pub fn done(self, what: &str) -> Result<Value, Failure> {
        match self {
            Self::Done(body) => Ok(body),
            Self::Refused(Refusal::Structure | Refusal::Missing | Refusal::Exists) => Err(Failure::blocked(
                "SuiteCRM lacks a field or module that the configuration names; run `snova crm probe`",
                None,
            )),
            Self::Refused(Refusal::Rule) => Err(Failure::poison(format!(
                "SuiteCRM refuses {what} by a rule of its own (HTTP 400): a logic hook, or a field that must be filled; \
                 see suitecrm.log there"
            ))),
            Self::Refused(Refusal::Database) => Err(Failure::transient(format!(
                "SuiteCRM failed in {what} (HTTP 400); if that stays so, see suitecrm.log there, update SuiteCRM, or \
                 set api = \"v4_1\" in [crm.suitecrm]"
            ))),
        }
    }
}

/// The access token and how long it lasts.
pub(super) fn token(reply: &Reply, clock: &dyn Clock) -> Result<(String, Option<u64>), Failure> {
    if matches!(reply.status, 400 | 401) {
        let body = reply.json().unwrap_or(Value::Null);
        let code = body["error"].as_str().unwrap_or_default();
        let said = "SuiteCRM refused the login; check client_id and the client secret";
        return Err(Failure::auth(said).with_code(code));
    }
    if let Some(failure) = failure(reply, clock) {
        return Err(failure);
    }
    let body = reply.json()?;
    let token = body["access_token"].as_str().filter(|token| !token.is_empty());
    let token = token.ok_or_else(|| Failure::transient("SuiteCRM's login answer holds no token"))?;
    Ok((token.to_owned(), body["expires_in"].as_u64()))
}

/// Whether the session has ended; a right that is lacking is 401 too, in another form.
pub(super) fn is_session_over(reply: &Reply) -> bool {
    reply.status == 401 && !reply.json().is_ok_and(|body| body["errors"].is_object())
}

fn failure(reply: &Reply, clock: &dyn Clock) -> Option<Failure> {
    if reply.is_success() || reply.status == 400 {
        return None;
    }
    if matches!(reply.status, 401 | 403) && reply.json().is_ok_and(|body| !body.is_null()) {
        return Some(Failure::blocked(
            format!(
                "SuiteCRM does not let this client do that (HTTP {}); give its user's role the rights, and run `snova \
                 crm probe`",
                reply.status
            ),
            None,
        ));
    }
    if let Some(common) = reply.common_failure(clock) {
        return Some(common);
    }
    Some(match reply.status {
        403 => Failure::blocked(
            "something before SuiteCRM refused the request (HTTP 403); let this box through there",
            None,
        ),
        404 => Failure::blocked("SuiteCRM has nothing at this address; check url and path in [crm.suitecrm]", None),
        status => Failure::transient(format!("SuiteCRM answered in a way that makes no sense (HTTP {status})")),
    })
}

/// An answer about the record `id`, where it is about one.
pub(super) fn outcome(reply: &Reply, id: &str, clock: &dyn Clock) -> Result<Outcome, Failure> {
    if let Some(failure) = failure(reply, clock) {
        return Err(failure);
    }
    if reply.status != 400 {
        return Ok(Outcome::Done(reply.json()?));
    }
    let said = String::from_utf8_lossy(&reply.body);
    if !said.contains("errors") {
        return Err(Failure::transient("something before SuiteCRM refused the request (HTTP 400)"));
    }
    let named = !id.is_empty() && said.contains(id);
    Ok(Outcome::Refused(if named && said.contains("already exist") {
        Refusal::Exists
    } else if named && said.contains("not found") {
        Refusal::Missing
    } else if said.contains("not found") || said.contains("is invalid") || said.contains("does not have access") {
        Refusal::Structure
    } else if reply.json().is_ok() {
        Refusal::Rule
    } else {
        // Its sentence stands behind the JSON once more: it is no JSON as a whole.
        Refusal::Database
    }))
}

/// The id in "Contacts module with id … is not found": of a list, the record in the bin that it cannot show.
pub(super) fn unshown(reply: &Reply) -> Option<String> {
    let body = reply.json().ok().filter(|_| reply.status == 400)?;
    let (_, rest) = body["errors"]["detail"].as_str()?.split_once("module with id ")?;
    Some(rest.strip_suffix(" is not found")?.to_owned())
}

/// The records of a list, and the number of its pages; an empty one has a sentence instead of either.
pub(super) fn rows(body: &Value) -> Result<(Vec<Row>, u64), Failure> {
    let pages = body["meta"]["total-pages"].as_u64().unwrap_or(0);
    match &body["data"] {
        Value::Array(records) => Ok((records.iter().filter_map(row).collect(), pages)),
        Value::Null if body["meta"]["message"].is_string() => Ok((Vec::new(), 0)),
        _ => Err(Failure::transient("SuiteCRM's answer holds no records")),
    }
}

/// `None` for a record without an id.
pub(super) fn row(record: &Value) -> Option<Row> {
    let text = |value: &Value| match value {
        Value::String(text) => unescaped(text),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    };
    let attributes = record["attributes"].as_object().into_iter().flatten();
    let mut row = Row { id: record["id"].as_str()?.to_owned(), ..Row::default() };
    row.values = attributes.map(|(name, value)| (name.clone(), text(value))).collect();
    row.emails = row.text("email1").map(str::to_owned).into_iter().collect();
    Some(row)
}
