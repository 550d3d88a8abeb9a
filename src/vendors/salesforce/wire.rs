//! What Salesforce answers, and what it means.
//!
//! Errors are a JSON array; a collections request answers 200 with an array in which each row has its own.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::VisitFields;
use crate::clock::Clock;
use crate::crm::{
    ConsentWord, Contact, ContactFields, ContactId, Failure, RecordId, Reply, Standing, Told, ToldFields,
};

/// A query's rows.
pub(super) struct Answer {
    pub records: Vec<Value>,
    /// The locator of the rest.
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
    if let Some(tenant) = tenants(code) {
        return Some(tenant.with_code(field));
    }
    Some(match (reply.status, code) {
        (403, _) => forbidden().with_code(code),
        (_, "UNABLE_TO_LOCK_ROW" | "DUPLICATE_VALUE") => Failure::transient("Salesforce asks to try again").with_code(code),
        (_, "DUPLICATES_DETECTED") => Failure::poison(
            "a duplicate rule of the org forbids a contact that resembles another; say with `snova crm link` who it is, or let the rule allow it",
        )
        .with_code(code),
        (_, "") if reply.status == 404 => Failure::blocked("Salesforce has nothing at this address; check url and api_version", None),
        _ => Failure::poison(format!("Salesforce refused the request (HTTP {})", reply.status)).with_code(code).with_code(field),
    })
}

/// What no row is to blame for: the org's fields, rights and space.
fn tenants(code: &str) -> Option<Failure> {
    let failure = match code {
        "INVALID_FIELD" | "INVALID_FIELD_FOR_INSERT_UPDATE" | "INVALID_TYPE" | "NOT_FOUND" => Failure::blocked(
            "the Salesforce org lacks an object or field that the configuration names, or its user may not see or write it; run `snova crm probe`",
            None,
        ),
        "INSUFFICIENT_ACCESS" | "INSUFFICIENT_ACCESS_OR_READONLY" | "TXN_SECURITY_METERING_ERROR" => forbidden(),
        "STORAGE_LIMIT_EXCEEDED" => {
            Failure::blocked("the Salesforce org's storage is full; free some, or buy more", None)
        }
        _ => return None,
    };
    Some(failure.with_code(code))
}

fn forbidden() -> Failure {
    Failure::blocked("Salesforce does not let this user do that; give back the right, as `snova crm probe` says", None)
}

/// The code of the first error.
pub(super) fn code(reply: &Reply) -> String {
    let body = reply.json().unwrap_or(Value::Null);
    body[0]["errorCode"].as_str().unwrap_or_default().to_owned()
}

/// Whether a creation was refused since somebody has one of its unique values.
pub(super) fn is_taken(reply: &Reply) -> bool {
    reply.status == 400 && code(reply) == "DUPLICATE_VALUE"
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
    let rest = |url: &Value| url.as_str().and_then(|url| url.rsplit('/').next()).map(str::to_owned);
    let next = (body["done"] == false).then(|| rest(&body["nextRecordsUrl"])).flatten();
    Ok(Answer { records, next })
}

/// Row by row, what a collections request did. `lookup` is the visits' field of their contact; without one the rows were
/// named by their own ids.
pub(super) fn rows(
    reply: &Reply,
    wanted: usize,
    lookup: Option<&str>,
    clock: &dyn Clock,
) -> Result<Vec<Result<RecordId, Failure>>, Failure> {
    done(reply, clock)?;
    let body = reply.json()?;
    let rows = body.as_array().filter(|rows| rows.len() == wanted);
    let rows = rows.ok_or_else(|| Failure::transient("Salesforce's answer does not say what became of each row"))?;
    Ok(rows.iter().map(|answer| row(answer, lookup)).collect())
}

fn row(row: &Value, lookup: Option<&str>) -> Result<RecordId, Failure> {
    if row["success"] == true {
        return Ok(RecordId(row["id"].as_str().unwrap_or_default().to_owned()));
    }
    let error = &row["errors"][0];
    let code = error["statusCode"].as_str().unwrap_or_default();
    let field = error["fields"][0].as_str().unwrap_or_default();
    if let Some(tenant) = tenants(code) {
        return Err(tenant.with_code(field));
    }
    Err(match (code, lookup) {
        ("UNABLE_TO_LOCK_ROW" | "DUPLICATE_VALUE", _) => {
            Failure::transient("Salesforce asks to send it again").with_code(code)
        }
        ("ENTITY_IS_DELETED" | "INVALID_CROSS_REFERENCE_KEY" | "MALFORMED_ID", None) => {
            Failure::contact_gone("the row is not in Salesforce any more").with_code(code)
        }
        (
            "ENTITY_IS_DELETED" | "INVALID_CROSS_REFERENCE_KEY" | "MALFORMED_ID" | "FIELD_INTEGRITY_EXCEPTION",
            Some(lookup),
        ) if field.is_empty() || field == lookup => {
            Failure::contact_gone("the visit's contact is not in Salesforce any more").with_code(code)
        }
        ("INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY", _) => Failure::poison(
            "Salesforce does not let this user see the visit's contact; give its permission set View All on Contact",
        )
        .with_code(code),
        ("", _) => Failure::transient("Salesforce says that a row failed, and not why"),
        (_, None) => Failure::poison("Salesforce refused the change").with_code(code).with_code(field),
        (_, Some(_)) => Failure::poison("Salesforce refused the visit").with_code(code).with_code(field),
    })
}

/// A change of what is not there any more is no failure.
pub(super) fn unless_gone(row: Result<(), Failure>) -> Result<(), Failure> {
    match row {
        Err(failure) if failure.contact_gone => Ok(()),
        row => row,
    }
}

/// A row of the visits' object; `None` for one that is not Snova's.
pub(super) fn standing(row: &Value, names: &VisitFields, store: Option<&str>) -> Option<Standing> {
    let text = |name: &str| row[name].as_str().filter(|text| !text.is_empty());
    let named = || text(&names.counter)?.rsplit_once(" / ").map(|(shop, _)| shop);
    Some(Standing {
        key: text(&names.key)?.parse().ok()?,
        opened_at: read_time(text(&names.at)?)?,
        store: store.and_then(text).or_else(named).map(str::to_owned),
        void: row[&names.void] == true,
    })
}

/// What Snova writes on a contact, as far as the org has fields for it; nothing empties the field.
pub(super) fn told_row(told: &Told, fields: &ToldFields) -> Value {
    let mut row = json!({});
    for (field, value) in [
        (&fields.first_visit, json!(told.first_visit.map(time))),
        (&fields.last_visit, json!(told.last_visit.map(time))),
        (&fields.late_since, json!(told.late_since.map(|on| on.to_string()))),
        (&fields.consent, json!(told.consent.map(ConsentWord::as_str))),
        (&fields.consent_until, json!(told.consent_until.map(|on| on.to_string()))),
        (&fields.source, json!(told.source)),
        (&fields.visits_30, json!(told.visits_30)),
        (&fields.visits_90, json!(told.visits_90)),
        (&fields.home_store, json!(told.home_store)),
    ] {
        if let Some(field) = field {
            row[field.as_str()] = value;
        }
    }
    row
}

/// A row of `Contact` in our words; `None` for one without an id.
pub(super) fn contact(row: &Value, fields: &ContactFields, told: &ToldFields) -> Option<Contact> {
    let text = |name: &str| row[name].as_str().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
    let mapped = |field: &Option<String>| field.as_deref().and_then(text);
    let date = |field: &Option<String>| mapped(field).and_then(|date| date.parse().ok());
    let at = |field: &Option<String>| mapped(field).and_then(|at| read_time(&at));
    let number = |field: &Option<String>| {
        let number = field.as_deref().and_then(|name| row[name].as_f64());
        number.map(|count| count.clamp(0.0, f64::from(u32::MAX)) as u32)
    };
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
        birthday: date(&fields.birthday),
        visits: number(&fields.visits),
        last_visit: at(&fields.last_visit),
        deleted: row["IsDeleted"] == true,
        master: text("MasterRecordId").map(ContactId),
        told: Told {
            first_visit: at(&told.first_visit),
            last_visit: at(&told.last_visit),
            late_since: date(&told.late_since),
            consent: mapped(&told.consent)
                .and_then(|word| [ConsentWord::Live, ConsentWord::Ended].into_iter().find(|own| own.as_str() == word)),
            consent_until: date(&told.consent_until),
            source: mapped(&told.source),
            visits_30: number(&told.visits_30),
            visits_90: number(&told.visits_90),
            home_store: mapped(&told.home_store),
        },
    })
}
