//! What Битрикс24 is asked and answers, and what that means.
//!
//! A batch is always 200, with each command's own error inside; PHP's empty maps arrive as empty lists; an error's code
//! is a text, a number or nothing; a fault of the server is a page.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::temporal::Pieces;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use crate::clock::Clock;
use crate::crm::refresh::Granted;
use crate::crm::{Failure, Heartbeat, Reply, quoted_path};

/// The portal's support must lift it.
const OVERLOADED: Duration = Duration::from_secs(3600);
/// The window over which a method's running time is counted.
const WINDOW: Duration = Duration::from_secs(600);

/// A method with its values, as a batch takes it: a query, whose values are encoded once more than JSON does.
pub(super) struct Command(String);

impl Command {
    pub fn new(method: &str) -> Self {
        Self(format!("{method}?"))
    }

    /// `name` is taken as it is: `fields[title]`.
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        if !self.0.ends_with('?') {
            self.0.push('&');
        }
        self.0 = format!("{}{name}={}", self.0, quoted_path(&value.to_string()));
        self
    }
}

/// What became of a command.
pub(super) enum Outcome {
    Done {
        result: Value,
        next: Option<u64>,
    },
    /// The portal's code, and what it means.
    Refused {
        code: String,
        failure: Failure,
    },
    /// Neither: PHP leaves out what is nothing, and a deletion answers nothing.
    Unsaid,
}

impl Outcome {
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => Some(code),
            Self::Done { .. } | Self::Unsaid => None,
        }
    }

    /// Done, or not needed since what it is about is not there.
    pub fn gone_or_done(self) -> Result<(), Failure> {
        match self {
            Self::Refused { code, failure } if code != "NOT_FOUND" => Err(failure),
            _ => Ok(()),
        }
    }

    /// The result of a command that has one; the code is for callers that know what it means here.
    pub fn result(self) -> Result<(Value, Option<u64>), (String, Failure)> {
        match self {
            Self::Done { result, next } => Ok((result, next)),
            Self::Refused { code, failure } => Err((code, failure)),
            Self::Unsaid => {
                Err((String::new(), Failure::transient("Битрикс24's answer does not say what became of a command")))
            }
        }
    }
}

pub(super) fn batch(commands: &[Command]) -> Value {
    let named: Map<String, Value> =
        commands.iter().enumerate().map(|(at, command)| (key(at), command.0.as_str().into())).collect();
    json!({ "halt": 0, "cmd": named })
}

fn key(at: usize) -> String {
    format!("k{at:02}")
}

/// Command by command, what a batch did.
pub(super) fn outcomes(reply: &Reply, wanted: usize, clock: &dyn Clock) -> Result<Vec<Outcome>, Failure> {
    let body = answer(reply, clock)?;
    let inner = &body["result"];
    if !inner.is_object() {
        return Err(Failure::transient("Битрикс24's answer does not say what became of each command"));
    }
    let outcome = |at: usize| {
        let key = key(at);
        let error = &inner["result_error"][&key];
        if !error.is_null() {
            let code = code(error);
            let failure = meaning(&code, 200, &inner["result_time"][&key], clock);
            return Outcome::Refused { code, failure };
        }
        match inner["result"].get(&key) {
            Some(result) => Outcome::Done { result: result.clone(), next: inner["result_next"][&key].as_u64() },
            None => Outcome::Unsaid,
        }
    };
    Ok((0..wanted).map(outcome).collect())
}

/// An error's code, whatever it came as. Methods of comments have words instead for two of them.
fn code(error: &Value) -> String {
    let code = if error.is_object() { &error["error"] } else { error };
    match (code.as_str(), error["error_description"].as_str().unwrap_or_default()) {
        (None, _) if code.is_number() => code.to_string(),
        (None | Some(""), "Not found.") => "NOT_FOUND".to_owned(),
        (None | Some(""), "Access denied.") => "ACCESS_DENIED".to_owned(),
        (code, _) => code.unwrap_or_default().to_owned(),
    }
}

/// The code of a reply that is an error.
pub(super) fn code_of(reply: &Reply) -> String {
    reply.json().map(|body| code(&body)).unwrap_or_default()
}

/// A method's answer, with `result` and `time` in it.
pub(super) fn answer(reply: &Reply, clock: &dyn Clock) -> Result<Value, Failure> {
    let body = match reply.json() {
        Ok(body) => body,
        Err(unread) => return Err(page(reply, clock).unwrap_or(unread)),
    };
    if !body["error"].is_null() {
        return Err(meaning(&code(&body), reply.status, &body["time"], clock));
    }
    if reply.is_success() && body.get("result").is_some() {
        return Ok(body);
    }
    Err(page(reply, clock).unwrap_or_else(|| Failure::transient("Битрикс24's answer holds no result")))
}

/// What an answer means that says nothing itself.
fn page(reply: &Reply, clock: &dyn Clock) -> Option<Failure> {
    match reply.status {
        200..=299 => None,
        403 => Some(Failure::blocked(
            "Битрикс24 refuses this address (HTTP 403 with a page); see its list of allowed addresses",
            Some(Duration::from_secs(15 * 60)),
        )),
        404 => Some(Failure::blocked("Битрикс24 has nothing at this address (HTTP 404); check url", None)),
        status => Some(reply.common_failure(clock).unwrap_or_else(|| {
            Failure::transient(format!("Битрикс24 answered with what is no answer (HTTP {status})"))
        })),
    }
}

fn meaning(code: &str, status: u16, time: &Value, clock: &dyn Clock) -> Failure {
    let failure = match code {
        "QUERY_LIMIT_EXCEEDED" => Failure::throttled("Битрикс24 asks for fewer requests", None),
        "OPERATION_TIME_LIMIT" => {
            let reset = time["operating_reset_at"].as_i64().and_then(|at| Timestamp::from_second(at).ok());
            let wait = reset.map(|at| Duration::try_from(at.duration_since(clock.wall().at)).unwrap_or_default());
            Failure::throttled("Битрикс24's running time for this is used up", wait.or(Some(WINDOW)))
        }
        "OVERLOAD_LIMIT" => {
            Failure::blocked("Битрикс24 has shut REST out of this portal; ask its support", Some(OVERLOADED))
        }
        "PAYMENT_REQUIRED" => Failure::blocked("the Битрикс24 portal or its REST is not paid for", None),
        "insufficient_scope" => {
            Failure::blocked("the login lacks a right (scope); tick CRM in the webhook or application", None)
        }
        "ACCESS_DENIED" | "allowed_only_intranet_user" | "ERROR_WRONG_CONTEXT" => Failure::blocked(
            "Битрикс24 does not let this login do that, or the tariff has no REST; run `snova crm probe`",
            None,
        ),
        "CRM_FIELD_ERROR_REQUIRED" => Failure::blocked(
            "Битрикс24 demands a field that Snova does not fill; `snova crm probe` names it: let it be empty",
            None,
        ),
        "NOT_FOUND" | "ERROR_METHOD_NOT_FOUND" | "CREATE_DYNAMIC_ITEM_RESTRICTED" | "ENTITY_TYPE_NOT_SUPPORTED" => {
            Failure::blocked("the Битрикс24 portal lacks what the configuration names; run `snova crm probe`", None)
        }
        "expired_token"
        | "invalid_token"
        | "NO_AUTH_FOUND"
        | "INVALID_CREDENTIALS"
        | "user_access_error"
        | "authorization_error"
        | "invalid_grant"
        | "invalid_client" => {
            Failure::auth("Битрикс24 does not accept the login; make it anew and give it with `snova crm secret`")
        }
        _ if status == 401 => Failure::auth("Битрикс24 does not accept the login (HTTP 401)"),
        _ if status == 403 => Failure::blocked("Битрикс24 does not let this login do that (HTTP 403)", None),
        "" | "INTERNAL_SERVER_ERROR" | "ERROR_UNEXPECTED_ANSWER" | "ERROR_CORE" => {
            Failure::transient(format!("Битрикс24 failed (HTTP {status})"))
        }
        _ if status >= 500 => Failure::transient(format!("Битрикс24 failed (HTTP {status})")),
        _ => Failure::poison("Битрикс24 refused what was sent"),
    };
    failure.with_code(code)
}

/// The tokens of an exchange.
pub(super) fn granted(reply: &Reply, clock: &dyn Clock) -> Result<Granted, Failure> {
    let body = match reply.json() {
        Ok(body) => body,
        Err(unread) => return Err(page(reply, clock).unwrap_or(unread)),
    };
    if !body["error"].is_null() {
        return Err(match meaning(&code(&body), reply.status, &Value::Null, clock) {
            failure if failure.class == crate::crm::FailureClass::Poison => {
                Failure::auth("Битрикс24's login refused the exchange").with_code(&code(&body))
            }
            failure => failure,
        });
    }
    let text = |name: &str| body[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    match (text("access_token"), text("refresh_token")) {
        // How long it lasts is not used: it is exchanged when the portal says that it has expired.
        (Some(access), Some(refresh)) if reply.is_success() => Ok(Granted { access, refresh, lasts: None }),
        _ => Err(Failure::transient("Битрикс24's login answer holds no token")),
    }
}

/// A list; PHP makes a map of one with gaps.
pub(super) fn list(value: &Value) -> Option<Vec<Value>> {
    match value {
        Value::Array(rows) => Some(rows.clone()),
        Value::Object(rows) => Some(rows.values().cloned().collect()),
        _ => None,
    }
}

/// A number, whether it came as one or as a text.
pub(super) fn number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

pub(super) fn id_of(row: &Value) -> Option<i64> {
    number(&row["id"]).or_else(|| number(&row["ID"]))
}

/// `2026-01-12T11:05:00+00:00`.
pub(super) fn time(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string()
}

/// The portal's own time of an answer, a little earlier, in the portal's zone: a filter takes it back as it came.
pub(super) fn begun(answer: &Value, earlier: Duration) -> Option<String> {
    let said = answer["time"]["date_start"].as_str()?;
    let at: Timestamp = said.parse().ok()?;
    let offset = Pieces::parse(said).ok()?.to_numeric_offset()?;
    let at = at.checked_sub(earlier).ok()?.to_zoned(TimeZone::fixed(offset));
    Some(at.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string())
}

/// A box in one line, for the title of its element.
pub(super) fn beat(beat: &Heartbeat) -> String {
    let age = beat.outbox_oldest.map_or(0, |age| age.as_secs());
    let blind: Vec<&str> = beat.cameras.iter().filter(|(_, sees)| !sees).map(|(name, _)| &**name).collect();
    let cameras = if blind.is_empty() { "ok".to_owned() } else { format!("lost: {}", blind.join(", ")) };
    format!(
        "{} | snova {} | {} | outbox {} ({age} s), dead {} | cameras {cameras}",
        beat.device,
        beat.version,
        time(beat.at.at),
        beat.outbox_depth,
        beat.outbox_dead
    )
}
