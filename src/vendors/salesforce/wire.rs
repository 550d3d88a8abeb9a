//! What Salesforce answers, and what it means.
//!
//! Errors are a JSON array; a collections request answers 200 with an array in which each row has its own.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::clock::Clock;
use crate::crm::{Contact, ContactFields, ContactId, Failure, RecordId, Reply};

/// A query's rows.
pub(super) struct Answer {
    pub records: Vec<Value>,
    pub next: Option<String>,
}

/// A text within SOQL's quotes.
pub(super) fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\'', "\\'")
}

/// As SOQL and the API write times: `2026-01-12T11:05:00.000Z`.
pub(super) fn time(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// Salesforce answers with `+0000`, which is not RFC 3339.
pub(super) fn read_time(text: &str) -> Option<Timestamp> {
    text.replace("+0000", "Z").parse().ok()
}

/// The access token and the address of the org's API.
pub(super) fn login(reply: &Reply, clock: &dyn Clock) -> Result<(String, String), Failure> {
    if matches!(reply.status, 400 | 401) {
        let code = reply.json().ok().and_then(|body| body["error"].as_str().map(str::to_owned)).unwrap_or_default();
        return Err(
            Failure::auth("Salesforce refused the login; check client_id and the client secret").with_code(&code)
        );
    }
    if let Some(failure) = failure(reply, clock) {
        return Err(failure);
    }
    let body = reply.json()?;
    let text = |name: &str| body[name].as_str().map(str::to_owned);
    let token = text("access_token").ok_or_else(|| Failure::transient("Salesforce's login answer holds no token"))?;
    Ok((token, text("instance_url").unwrap_or_default()))
}

/// What a reply that is no success means.
pub(super) fn failure(reply: &Reply, clock: &dyn Clock) -> Option<Failure> {
    if reply.is_success() {
        return None;
    }
    let body = reply.json().unwrap_or(Value::Null);
    let code = body[0]["errorCode"].as_str().unwrap_or_default();
    let field = body[0]["fields"][0].as_str().unwrap_or_default();
    // Over the day's calls Salesforce answers 403, not 429, and says no time.
    if code == "REQUEST_LIMIT_EXCEEDED" {
        let wait = std::time::Duration::from_secs(15 * 60);
        return Some(
            Failure::blocked("the Salesforce org has used up its API calls of the day", Some(wait)).with_code(code),
        );
    }
    if let Some(common) = reply.common_failure(clock) {
        return Some(common.with_code(code));
    }
    Some(match (reply.status, code) {
        (_, "INVALID_FIELD" | "INVALID_TYPE" | "NOT_FOUND" | "INVALID_FIELD_FOR_INSERT_UPDATE") => Failure::blocked(
            "the Salesforce org lacks an object or field that the configuration names, or its user may not see it; run `snova crm probe`",
            None,
        )
        .with_code(code),
        (403, _) => Failure::blocked("Salesforce does not let this user do that; run `snova crm probe`", None).with_code(code),
        (_, "UNABLE_TO_LOCK_ROW" | "DUPLICATE_VALUE") => Failure::transient("Salesforce asks to try again").with_code(code),
        (_, "") if reply.status == 404 => Failure::blocked("Salesforce has nothing at this address; check url and api_version", None),
        _ => Failure::poison(format!("Salesforce refused the request (HTTP {})", reply.status)).with_code(code).with_code(field),
    })
}

/// A write that is done, or why not.
pub(super) fn done(reply: &Reply, clock: &dyn Clock) -> Result<(), Failure> {
    failure(reply, clock).map_or(Ok(()), Err)
}

/// The id of what an upsert made or found.
pub(super) fn created(reply: &Reply, clock: &dyn Clock) -> Result<ContactId, Failure> {
    done(reply, clock)?;
    let id = reply.json()?["id"].as_str().map(str::to_owned);
    id.map(ContactId).ok_or_else(|| Failure::transient("Salesforce's answer names no contact"))
}

/// A query's answer.
pub(super) fn answer(reply: &Reply, clock: &dyn Clock) -> Result<Answer, Failure> {
    done(reply, clock)?;
    let mut body = reply.json()?;
    let Value::Array(records) = body["records"].take() else {
        return Err(Failure::transient("Salesforce's answer holds no records"));
    };
    let next = (body["done"] == false).then(|| body["nextRecordsUrl"].as_str().map(str::to_owned)).flatten();
    Ok(Answer { records, next })
}

/// Row by row, what a collections request did.
pub(super) fn rows(reply: &Reply, wanted: usize, clock: &dyn Clock) -> Result<Vec<Result<RecordId, Failure>>, Failure> {
    done(reply, clock)?;
    let body = reply.json()?;
    let rows = body.as_array().filter(|rows| rows.len() == wanted);
    let rows = rows.ok_or_else(|| Failure::transient("Salesforce's answer does not say what became of each visit"))?;
    Ok(rows.iter().map(row).collect())
}

fn row(row: &Value) -> Result<RecordId, Failure> {
    if row["success"] == true {
        return Ok(RecordId(row["id"].as_str().unwrap_or_default().to_owned()));
    }
    let error = &row["errors"][0];
    let code = error["statusCode"].as_str().unwrap_or_default();
    let field = error["fields"][0].as_str().unwrap_or_default();
    Err(match code {
        "UNABLE_TO_LOCK_ROW" | "DUPLICATE_VALUE" => {
            Failure::transient("Salesforce asks to send the visit again").with_code(code)
        }
        "INVALID_FIELD" | "INVALID_FIELD_FOR_INSERT_UPDATE" => Failure::blocked(
            "the object of visits lacks a field, or the user may not write it; run `snova crm probe`",
            None,
        )
        .with_code(code)
        .with_code(field),
        "" => Failure::transient("Salesforce says that a visit failed, and not why"),
        _ => Failure::poison("Salesforce refused the visit").with_code(code).with_code(field),
    })
}

/// A row of `Contact` in our words; `None` for one without an id.
pub(super) fn contact(row: &Value, fields: &ContactFields) -> Option<Contact> {
    let text = |name: &str| row[name].as_str().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
    let mapped = |field: &Option<String>| field.as_deref().and_then(text);
    let number = |field: &Option<String>| field.as_deref().and_then(|name| row[name].as_f64());
    let list = |names: &[&str]| names.iter().filter_map(|name| text(name)).collect();
    Some(Contact {
        id: text("Id")?,
        external_id: mapped(&fields.external_id),
        phones: list(&["MobilePhone", "Phone", "HomePhone"]),
        emails: list(&["Email"]),
        given: text("FirstName"),
        patronymic: mapped(&fields.patronymic),
        family: text("LastName"),
        tier: mapped(&fields.tier),
        owner: row["Owner"]["Name"].as_str().map(str::to_owned),
        notes: mapped(&fields.notes),
        offer: mapped(&fields.offer),
        birthday: mapped(&fields.birthday).and_then(|date| date.parse().ok()),
        visits: number(&fields.visits).map(|count| count.clamp(0.0, f64::from(u32::MAX)) as u32),
        last_visit: mapped(&fields.last_visit).and_then(|at| read_time(&at)),
        deleted: row["IsDeleted"] == true,
        ..Contact::default()
    })
}
