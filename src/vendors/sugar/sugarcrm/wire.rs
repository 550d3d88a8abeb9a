//! What SugarCRM answers, and what it means.
//!
//! An error is `{"error": code, "error_message": prose}`; a bulk answer is 200 with a status in each of its rows.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::clock::Clock;
use crate::crm::{Contact, ContactFields, Failure, FailureClass, RecordId, Reply};

/// The fields of a contact that hold phones.
pub(super) const PHONES: [&str; 4] = ["phone_mobile", "phone_work", "phone_home", "phone_other"];

/// What a login brings.
pub(super) struct Granted {
    pub access: String,
    pub refresh: Option<String>,
    pub lasts: Option<u64>,
}

/// Records of a list or filter.
pub(super) struct Page {
    pub records: Vec<Value>,
    pub more: bool,
}

/// With an offset, as Sugar wants it: `2026-01-12T14:05:00+00:00`.
pub(super) fn time(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string()
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
            "SugarCRM does not let this user do that; make them an administrator, or name visit_key_field in \
             [crm.sugarcrm], and run `snova crm probe`",
            None,
        ),
        (_, "no_method") => Failure::blocked(
            "this SugarCRM does not know what is asked of it; check api_version in [crm.sugarcrm]",
            None,
        ),
        (409, _) | (_, "edit_conflict") => Failure::transient("SugarCRM asks to try again"),
        (500.., _) | (_, "fatal_error" | "maintenance" | "metadata_out_of_date") => {
            Failure::transient(format!("SugarCRM failed (HTTP {status})"))
        }
        (429, _) => Failure::throttled("SugarCRM asks for fewer requests", None),
        _ => Failure::poison(format!("SugarCRM refused the request (HTTP {status})")),
    };
    failure.with_code(code)
}

/// The records of a list or filter.
pub(super) fn page(reply: &Reply, clock: &dyn Clock) -> Result<Page, Failure> {
    answered(reply, clock)?;
    let mut body = reply.json()?;
    let Value::Array(records) = body["records"].take() else {
        return Err(Failure::transient("SugarCRM's answer holds no records"));
    };
    let more = body["next_offset"].as_i64().is_some_and(|next| next >= 0);
    Ok(Page { records, more })
}

/// Row by row, what a bulk request did.
pub(super) fn rows(reply: &Reply, wanted: usize, clock: &dyn Clock) -> Result<Vec<Result<RecordId, Failure>>, Failure> {
    answered(reply, clock)?;
    let body = reply.json()?;
    let rows = body.as_array().filter(|rows| rows.len() == wanted);
    let rows = rows.ok_or_else(|| Failure::transient("SugarCRM's answer does not say what became of each visit"))?;
    Ok(rows.iter().map(row).collect())
}

fn row(row: &Value) -> Result<RecordId, Failure> {
    let unclear = || Failure::transient("SugarCRM does not say clearly what became of a visit");
    let status = row["status"].as_u64().and_then(|status| u16::try_from(status).ok()).ok_or_else(unclear)?;
    let contents = &row["contents"];
    if matches!(status, 200 | 201) {
        // An upsert names the record, a creation gives it whole.
        let id = contents["record"].as_str().or_else(|| contents["id"].as_str());
        return id.map(|id| RecordId(id.to_owned())).ok_or_else(unclear);
    }
    match contents["error"].as_str() {
        Some(code) => Err(refusal(status, code)),
        None => Err(unclear()),
    }
}

pub(super) fn stamp(row: &Value) -> Option<Timestamp> {
    row["date_modified"].as_str()?.parse().ok()
}

/// A contact in our words; `None` for a row without an id.
pub(super) fn contact(row: &Value, fields: &ContactFields) -> Option<Contact> {
    let text = |name: &str| {
        let value = &row[name];
        let text = value.as_str().map(str::to_owned).or_else(|| value.is_number().then(|| value.to_string()))?;
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    };
    let mapped = |field: &Option<String>| field.as_deref().and_then(text);
    let number = |field: &Option<String>| mapped(field).and_then(|count| count.parse::<f64>().ok());
    let mut emails: Vec<String> = Vec::new();
    for address in row["email"].as_array().into_iter().flatten() {
        emails.extend(address["email_address"].as_str().map(str::to_owned));
    }
    emails.extend(text("email1").filter(|first| !emails.contains(first)));
    Some(Contact {
        id: text("id")?,
        external_id: mapped(&fields.external_id),
        phones: PHONES.iter().filter_map(|name| text(name)).collect(),
        emails,
        given: text("first_name"),
        patronymic: mapped(&fields.patronymic),
        family: text("last_name"),
        tier: mapped(&fields.tier),
        owner: text("assigned_user_name"),
        notes: mapped(&fields.notes),
        offer: mapped(&fields.offer),
        birthday: mapped(&fields.birthday).and_then(|date| date.parse().ok()),
        visits: number(&fields.visits).map(|count| count.clamp(0.0, f64::from(u32::MAX)) as u32),
        last_visit: mapped(&fields.last_visit).and_then(|at| at.parse().ok()),
        deleted: row["deleted"] == true,
        ..Contact::default()
    })
}
