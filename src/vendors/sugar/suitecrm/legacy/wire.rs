//! What SuiteCRM's v4_1 answers, and what it means.
//!
//! Everything is HTTP 200, errors too: `{"name": …, "number": …}`. Only the database's trouble is 500 with a page, and
//! that says nothing of what was done before it.

use serde_json::Value;

use crate::clock::Clock;
use crate::crm::{Contact, ContactFields, Failure, Reply};
use crate::vendors::sugar::suitecrm::{contact, read_time};

/// "Invalid Session ID".
const SESSION_OVER: i64 = 11;
/// "Invalid Login".
const LOGIN_REFUSED: i64 = 10;

pub(super) enum Answer {
    Done(Value),
    SessionOver,
    /// HTTP 500: the database failed at some point of it.
    Failed,
}

/// A call's answer.
pub(super) fn answer(reply: &Reply, clock: &dyn Clock) -> Result<Answer, Failure> {
    if reply.status == 500 {
        return Ok(Answer::Failed);
    }
    if let Some(common) = reply.common_failure(clock) {
        return Err(common);
    }
    match reply.status {
        403 => {
            return Err(Failure::blocked(
                "something before SuiteCRM refused the request (HTTP 403); let this box through there",
                None,
            ));
        }
        404 => {
            return Err(Failure::blocked(
                "SuiteCRM has nothing at this address; check url and path in [crm.suitecrm]",
                None,
            ));
        }
        _ => {}
    }
    let body = reply.json()?;
    let Some(number) = body["number"].as_i64().filter(|_| body["name"].is_string()) else {
        if reply.is_success() && body.is_object() {
            return Ok(Answer::Done(body));
        }
        return Err(Failure::transient(format!("SuiteCRM's answer makes no sense (HTTP {})", reply.status)));
    };
    let code = number.to_string();
    match number {
        SESSION_OVER => Ok(Answer::SessionOver),
        LOGIN_REFUSED => {
            let said = "SuiteCRM refused the login; check user in [crm.suitecrm] and the password";
            Err(Failure::auth(said).with_code(&code))
        }
        _ => {
            let said = "SuiteCRM does not let this user do that, or lacks a module; run `snova crm probe`";
            Err(Failure::blocked(said, None).with_code(&code))
        }
    }
}

/// A value of an entry: `{"name_value_list": {"status": {"name": "status", "value": "Held"}}}`.
fn value(entry: &Value, name: &str) -> Option<String> {
    match &entry["name_value_list"][name]["value"] {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The entries of an answer that are there: one that is not has a list with a warning instead of values.
pub(super) fn entries(body: &mut Value) -> Result<Vec<Value>, Failure> {
    let Value::Array(mut entries) = body["entry_list"].take() else {
        return Err(Failure::transient("SuiteCRM's answer holds no entries"));
    };
    entries.retain(|entry| entry["name_value_list"].is_object() && value(entry, "deleted").as_deref() != Some("1"));
    Ok(entries)
}

/// The ids of the entries that bear a time, which a meeting without does not count as.
pub(super) fn dated(entries: &[Value]) -> impl Iterator<Item = (String, bool)> {
    let one = |entry: &Value| {
        let dated = value(entry, "date_start").is_some_and(|at| !at.is_empty());
        Some((entry["id"].as_str()?.to_owned(), dated))
    };
    entries.iter().filter_map(one)
}

pub(super) fn stamp(entry: &Value) -> Option<jiff::Timestamp> {
    read_time(&value(entry, "date_modified")?)
}

/// A contact in our words; `None` for an entry without an id.
pub(super) fn read_contact(entry: &Value, fields: &ContactFields) -> Option<Contact> {
    Some(contact(entry["id"].as_str()?, |name| value(entry, name), fields))
}

/// A number that may come as a text.
pub(super) fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}
