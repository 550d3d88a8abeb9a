//! What SuiteCRM's v4_1 answers, and what it means.
//!
//! Everything is HTTP 200, errors too: `{"name": …, "number": …}`. Only the database's trouble is 500 with a page, and
//! that says nothing of what was done before it.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::clock::Clock;
use crate::crm::{Failure, Reply};
use crate::vendors::sugar::shape::Row;
use crate::vendors::sugar::suitecrm::unescaped;

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
            let said = "SuiteCRM does not let this user do that, or lacks a module; give its role the rights, and run \
                        `snova crm probe`";
            Err(Failure::blocked(said, None).with_code(&code))
        }
    }
}

/// The entries of an answer, those in the bin too; one that is not there has a list with a warning instead of values, and
/// is left out.
pub(super) fn rows(body: &Value) -> Result<Vec<Row>, Failure> {
    let entries = body["entry_list"].as_array();
    let entries = entries.ok_or_else(|| Failure::transient("SuiteCRM's answer holds no entries"))?;
    Ok(entries.iter().filter_map(row).collect())
}

/// `{"id": …, "name_value_list": {"status": {"name": "status", "value": "Held"}}}`.
fn row(entry: &Value) -> Option<Row> {
    let text = |value: &Value| match value {
        Value::String(text) => unescaped(text),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    };
    let values = entry["name_value_list"].as_object()?.iter();
    let mut row = Row { id: entry["id"].as_str()?.to_owned(), ..Row::default() };
    row.values = values.map(|(name, value)| (name.clone(), text(&value["value"]))).collect();
    row.deleted = row.text("deleted") == Some("1");
    row.emails = row.text("email1").map(str::to_owned).into_iter().collect();
    Some(row)
}

/// Row by row, the ids of the contacts that the answer shows beside the entries; `None` where it shows none at all.
pub(super) fn linked(body: &Value, rows: usize) -> Option<Vec<BTreeSet<String>>> {
    let lists = body["relationship_list"].as_array().filter(|lists| lists.len() == rows)?;
    let ids = |list: &Value| {
        let mut ids = BTreeSet::new();
        collect_ids(list, &mut ids);
        ids
    };
    Some(lists.iter().map(ids).collect())
}

/// The releases nest them differently; each id is a `{"name": "id", "value": …}` somewhere within.
fn collect_ids(value: &Value, ids: &mut BTreeSet<String>) {
    match value {
        Value::Array(all) => all.iter().for_each(|one| collect_ids(one, ids)),
        Value::Object(all) if value["name"] == "id" && value["value"].is_string() => {
            ids.extend(all["value"].as_str().map(str::to_owned));
        }
        Value::Object(all) => all.values().for_each(|one| collect_ids(one, ids)),
        _ => {}
    }
}

/// A number that may come as a text.
pub(super) fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}
