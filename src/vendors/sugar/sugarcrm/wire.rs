//! What SugarCRM answers, and what it means.
//!
//! An error is `{"error": code, "error_message": prose}`; a bulk answer is 200 with a status in each of its rows.

use serde_json::Value;

use crate::clock::Clock;
use crate::crm::{Failure, FailureClass, RecordId, Reply};
use crate::vendors::sugar::shape::Row;

/// What a login brings.
pub(super) struct Granted {
    pub access: String,
    pub refresh: Option<String>,
    pub lasts: Option<u64>,
}

/// The answer to a login, by password or by refresh token.
pub(super) fn granted(reply: &Reply, clock: &dyn Clock) -> Result<Granted, Failure> {
    if matches!(reply.status, 400 | 401 | 422) {
        let said = "SugarCRM refused the login; check user, platform and the password in [crm.sugarcrm]";
        return Err(Failure::auth(said).with_code(&code(reply)));
    }
    done(reply, clock)?;
    let body = reply.json()?;
    let text = |name: &str| body[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let access = text("access_token").ok_or_else(|| Failure::transient("SugarCRM's login answer holds no token"))?;
    Ok(Granted { access, refresh: text("refresh_token"), lasts: body["expires_in"].as_u64() })
}

fn code(reply: &Reply) -> String {
    let body = reply.json().unwrap_or(Value::Null);
    body["error"].as_str().unwrap_or_default().to_owned()
}

/// Sugar's own word that there is no such record, which a wrong address does not give.
pub(super) fn is_missing(reply: &Reply) -> bool {
    reply.status == 404 && code(reply) == "not_found"
}

/// A call that is done, or why not.
pub(super) fn done(reply: &Reply, clock: &dyn Clock) -> Result<(), Failure> {
    if reply.is_success() {
        return Ok(());
    }
    let code = code(reply);
    if let Some(common) = reply.common_failure(clock) {
        return Err(common.with_code(&code));
    }
    if reply.status == 404 && code.is_empty() {
        return Err(Failure::blocked("SugarCRM has nothing at this address; check url in [crm.sugarcrm]", None));
    }
    if reply.status == 403 && code.is_empty() {
        return Err(Failure::blocked(
            "something before SugarCRM refused the request (HTTP 403); let this box through there",
            None,
        ));
    }
    Err(refusal(reply.status, &code))
}

/// As [`done`], for a question: what is wrong with one is wrong with the configuration, never with a visit.
pub(super) fn answered(reply: &Reply, clock: &dyn Clock) -> Result<(), Failure> {
    done(reply, clock).map_err(|failure| match failure.class {
        FailureClass::Poison => Failure::blocked(
            "SugarCRM does not know a field or module that the configuration names; run `snova crm probe`",
            None,
        )
        .with_code(&code(reply)),
        _ => failure,
    })
}

/// What Sugar's own code says, of a request or of a row of a bulk.
fn refusal(status: u16, code: &str) -> Failure {
    let failure = match (status, code) {
        (_, "need_login" | "invalid_grant") | (401, _) => {
            Failure::transient("SugarCRM's session ended in the middle; it is tried again")
        }
        (_, "not_authorized") | (403, _) => Failure::blocked(
            "SugarCRM does not let this user do that; give its role the rights on Meetings and Contacts, and either make \
             it an administrator, or name visit_key_field in [crm.sugarcrm]; then run `snova crm probe`",
            None,
        ),
        (_, "no_method") => Failure::blocked(
            "this SugarCRM does not know what is asked of it; check api_version in [crm.sugarcrm]",
            None,
        ),
        (_, "missing_parameter") => Failure::blocked(
            "SugarCRM wants a field filled that Snova does not know; make it optional, or give it a default, in Studio",
            None,
        ),
        (409, _) | (_, "edit_conflict") => Failure::transient("SugarCRM asks to try again"),
        // A contact that was there just now: the next try looks for it first.
        (404, "not_found") => Failure::transient("SugarCRM does not find a record that it has just shown"),
        (500.., _) | (_, "fatal_error" | "maintenance" | "metadata_out_of_date") => {
            Failure::transient(format!("SugarCRM failed (HTTP {status})"))
        }
        (429, _) => Failure::throttled("SugarCRM asks for fewer requests", None),
        _ => Failure::poison(format!("SugarCRM refused the request (HTTP {status})")),
    };
    failure.with_code(code)
}

/// The rows of a list or filter, and whether there are more.
pub(super) fn page(reply: &Reply) -> Result<(Vec<Row>, bool), Failure> {
    let body = reply.json()?;
    let records = body["records"].as_array();
    let records = records.ok_or_else(|| Failure::transient("SugarCRM's answer holds no records"))?;
    let more = body["next_offset"].as_i64().is_some_and(|next| next >= 0);
    Ok((records.iter().filter_map(row).collect(), more))
}

/// `None` for a record without an id.
pub(super) fn row(record: &Value) -> Option<Row> {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null => Some(String::new()),
        _ => None,
    };
    let mut row = Row { id: record["id"].as_str()?.to_owned(), ..Row::default() };
    let values = record.as_object()?.iter();
    row.values = values.filter_map(|(name, value)| Some((name.clone(), text(value)?))).collect();
    row.deleted = record["deleted"] == true;
    let addresses = record["email"].as_array().into_iter().flatten();
    row.emails = addresses.filter_map(|address| address["email_address"].as_str().map(str::to_owned)).collect();
    row.emails.extend(row.text("email1").map(str::to_owned).filter(|first| !row.emails.contains(first)));
    Some(row)
}

/// What one request of a bulk came to.
pub(super) struct BulkRow {
    status: u16,
    contents: Value,
}

/// Row by row, what a bulk request did.
pub(super) fn bulk(reply: &Reply, wanted: usize) -> Result<Vec<BulkRow>, Failure> {
    let body = reply.json()?;
    let rows = body.as_array().filter(|rows| rows.len() == wanted);
    let rows = rows.ok_or_else(|| Failure::transient("SugarCRM's answer does not say what became of each row"))?;
    let one = |row: &Value| BulkRow {
        status: row["status"].as_u64().and_then(|status| u16::try_from(status).ok()).unwrap_or(0),
        contents: row["contents"].clone(),
    };
    Ok(rows.iter().map(one).collect())
}

fn unclear() -> Failure {
    Failure::transient("SugarCRM does not say clearly what became of a row")
}

impl BulkRow {
    fn done(self) -> Result<Value, Failure> {
        match self.contents["error"].as_str() {
            _ if matches!(self.status, 200 | 201) => Ok(self.contents),
            Some(code) => Err(refusal(self.status, code)),
            None => Err(unclear()),
        }
    }

    pub fn recorded(self) -> Result<RecordId, Failure> {
        let contents = self.done()?;
        // An upsert names the record, a creation gives it whole.
        let id = contents["record"].as_str().or_else(|| contents["id"].as_str());
        id.map(|id| RecordId(id.to_owned())).ok_or_else(unclear)
    }

    /// `None` where there is no such record.
    pub fn changed(self) -> Result<Option<Row>, Failure> {
        if self.status == 404 && self.contents["error"] == "not_found" {
            return Ok(None);
        }
        row(&self.done()?).map(Some).ok_or_else(unclear)
    }
}
