//! What Dynamics is sent and answers, and what it means.
//!
//! Its errors have codes, which may be empty; their texts are looked at for what they are about and never passed on.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use crate::clock::Clock;
use crate::crm::{Contact, ContactFields, Failure, Heartbeat, NewContact, Reply, Request, Token};

/// Of the API, below the environment's address.
pub(super) const ROOT: &str = "/api/data/v9.2";
/// The contact's phones: mobile, business, home.
pub(super) const PHONES: [&str; 3] = ["mobilephone", "telephone1", "telephone2"];
pub(super) const EMAILS: [&str; 2] = ["emailaddress1", "emailaddress2"];
/// How a choice, a lookup or a number is shown to people.
const SHOWN: &str = "OData.Community.Display.V1.FormattedValue";
const INACTIVE: i64 = 1;

pub(super) fn headed(request: Request) -> Request {
    request.header("accept", "application/json").header("OData-MaxVersion", "4.0").header("OData-Version", "4.0")
}

/// A reading request: what is cached on the way is not wanted; values come with how they are shown.
pub(super) fn read(request: Request, prefer: &str) -> Request {
    let comma = if prefer.is_empty() { "" } else { "," };
    let prefer = format!("{prefer}{comma}odata.include-annotations=\"{SHOWN}\"");
    request.header("if-none-match", "null").header("prefer", prefer)
}

pub(super) fn write(request: Request, body: &Value) -> Request {
    request.body("application/json; charset=utf-8", body.to_string())
}

/// A text as OData writes it; GUIDs and times stand without quotes.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

pub(super) fn time(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

pub(super) fn login(reply: &Reply, clock: &dyn Clock) -> Result<Token, Failure> {
    if matches!(reply.status, 400 | 401) {
        let code = reply.json().ok().and_then(|body| body["error"].as_str().map(str::to_owned)).unwrap_or_default();
        return Err(Failure::auth(
            "Microsoft refused the login; check tenant, client_id and the client secret, which ends after two years at most",
        )
        .with_code(&code));
    }
    if reply.status == 404 {
        return Err(Failure::auth("there is no login at login_url, or no such tenant; check both"));
    }
    done(reply, clock)?;
    let body = reply.json()?;
    let token = body["access_token"].as_str();
    let token = token.ok_or_else(|| Failure::transient("Microsoft's login answer holds no token"))?;
    Ok(Token::new(token, clock.monotonic(), body["expires_in"].as_u64().map(Duration::from_secs)))
}

fn says(body: &Value, what: &str) -> bool {
    body["error"]["message"].as_str().is_some_and(|text| text.contains(what))
}

/// Whether a row is not there, as opposed to its table.
pub(super) fn says_absent(status: u16, body: &Value) -> bool {
    status == 404 && body["error"].is_object() && !says(body, "Resource not found for the segment")
}

pub(super) fn is_absent(reply: &Reply) -> bool {
    reply.status == 404 && says_absent(404, &reply.json().unwrap_or(Value::Null))
}

/// What an error's body is about; `None` for a body that is no error.
pub(super) fn refusal(status: u16, body: &Value) -> Option<Failure> {
    if !body["error"].is_object() {
        return None;
    }
    let code = body["error"]["code"].as_str().unwrap_or_default();
    let undeclared = ["Could not find a property named", "undeclared property", "Invalid property"];
    let failure = match (status, code) {
        (_, "0x80072321" | "0x80072322" | "0x80072326") => {
            Failure::throttled("Dynamics asks for fewer requests (HTTP 429)", None)
        }
        (403, "0x80072560") => {
            Failure::auth("the app is no user of this environment; add it as an application user and give it a role")
        }
        (403, _) => Failure::blocked("the app's role does not allow that; run `snova crm probe`", None),
        (404, _) if !says_absent(status, body) => {
            Failure::blocked("Dynamics has no such table as the configuration names; run `snova crm probe`", None)
        }
        (404, _) => Failure::poison("a row is not in Dynamics any more, perhaps the contact; link the customer anew"),
        (400, _) if undeclared.iter().any(|text| says(body, text)) => {
            Failure::blocked("Dynamics lacks a column that the configuration names; run `snova crm probe`", None)
        }
        (400..=499, _) if !matches!(status, 401 | 408 | 429) => {
            Failure::poison(format!("Dynamics refused the row (HTTP {status})"))
        }
        (401 | 408 | 429 | 500..=599, _) => Failure::transient(format!("Dynamics failed (HTTP {status})")),
        _ => Failure::transient("Dynamics answers with an error under success"),
    };
    Some(failure.with_code(code))
}

/// What a reply that is no success means.
pub(super) fn failure(reply: &Reply, clock: &dyn Clock) -> Option<Failure> {
    let body = if reply.is_success() { Value::Null } else { reply.json().unwrap_or(Value::Null) };
    if matches!(reply.status, 401 | 429 | 500..=599) {
        let code = body["error"]["code"].as_str().unwrap_or_default();
        return reply.common_failure(clock).map(|failure| failure.with_code(code));
    }
    if let Some(refused) = refusal(reply.status, &body) {
        return Some(refused);
    }
    if reply.is_success() {
        return None;
    }
    Some(reply.common_failure(clock).unwrap_or_else(|| match reply.status {
        403 => Failure::blocked("Dynamics, or what stands before it, refuses everything (HTTP 403)", None),
        404 => Failure::blocked("there is no Dynamics at this address; check url", None),
        status => Failure::poison(format!("Dynamics refused the request (HTTP {status})")),
    }))
}

/// A request that is done, or why not. A page under success is a proxy's.
pub(super) fn done(reply: &Reply, clock: &dyn Clock) -> Result<(), Failure> {
    if let Some(failure) = failure(reply, clock) {
        return Err(failure);
    }
    if reply.is_html() {
        return Err(Failure::transient("a page came instead of Dynamics's answer; nothing is taken from it"));
    }
    Ok(())
}

pub(super) fn rows(reply: &Reply, clock: &dyn Clock) -> Result<Vec<Value>, Failure> {
    done(reply, clock)?;
    match reply.json()?["value"].take() {
        Value::Array(rows) => Ok(rows),
        _ => Err(Failure::transient("Dynamics's answer holds no rows")),
    }
}

/// `$select` of contacts.
pub(super) fn contact_columns(fields: &ContactFields) -> String {
    let mut select = vec!["contactid", "firstname", "lastname", "_ownerid_value", "statecode", "modifiedon"];
    select.extend(PHONES.into_iter().chain(EMAILS));
    let mapped = [
        &fields.external_id,
        &fields.patronymic,
        &fields.tier,
        &fields.notes,
        &fields.offer,
        &fields.birthday,
        &fields.visits,
        &fields.last_visit,
    ];
    for name in mapped.into_iter().flatten() {
        if !select.contains(&name.as_str()) {
            select.push(name);
        }
    }
    select.join(",")
}

/// A row of contacts in our words; `None` for one without an id. Of one that was deleted only the id is left.
pub(super) fn contact(row: &Value, fields: &ContactFields) -> Option<Contact> {
    if row["reason"].is_string() {
        let id = row["id"].as_str()?;
        // The id alone, or within an address.
        let id = id.rsplit_once('(').map_or(id, |(_, rest)| rest.trim_end_matches(')'));
        return Some(Contact { id: id.to_owned(), deleted: true, ..Contact::default() });
    }
    let own = |value: &Value| value.as_str().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
    let text = |name: &str| own(&row[name]);
    // A choice is a number, and its name stands beside it.
    let shown = |name: &str| own(&row[format!("{name}@{SHOWN}")]);
    let mapped = |field: &Option<String>| field.as_deref().and_then(|name| shown(name).or_else(|| text(name)));
    let raw = |field: &Option<String>| field.as_deref().and_then(text);
    let number = |field: &Option<String>| field.as_deref().and_then(|name| row[name].as_f64());
    Some(Contact {
        id: text("contactid")?,
        external_id: raw(&fields.external_id),
        phones: PHONES.into_iter().filter_map(text).collect(),
        emails: EMAILS.into_iter().filter_map(text).collect(),
        given: text("firstname"),
        patronymic: raw(&fields.patronymic),
        family: text("lastname"),
        tier: mapped(&fields.tier),
        owner: shown("_ownerid_value"),
        notes: mapped(&fields.notes),
        offer: mapped(&fields.offer),
        birthday: raw(&fields.birthday).and_then(|text| text.get(..10)?.parse().ok()),
        visits: number(&fields.visits).map(|count| count.clamp(0.0, f64::from(u32::MAX)) as u32),
        last_visit: raw(&fields.last_visit).and_then(|at| at.parse().ok()),
        // Merging deactivates the contact that was merged into another.
        deleted: row["statecode"] == INACTIVE,
        ..Contact::default()
    })
}

/// A contact to be created; its external id stands in the address.
pub(super) fn new_contact(new: &NewContact, fields: &ContactFields) -> Value {
    let mut row = json!({ "firstname": new.given });
    let optional = [
        (Some("lastname"), &new.family),
        (fields.patronymic.as_deref(), &new.patronymic),
        (Some("mobilephone"), &new.phone),
        (Some("emailaddress1"), &new.email),
    ];
    for (field, value) in optional {
        if let (Some(field), Some(value)) = (field, value) {
            row[field] = value.as_str().into();
        }
    }
    row
}

/// "new" of "new_device".
pub(super) fn prefix(key: &str) -> &str {
    key.split_once('_').map_or(key, |(prefix, _)| prefix)
}

/// The columns of a box's row, without the publisher's prefix.
pub(super) const SIGNS: [&str; 6] = ["version", "seenat", "outboxdepth", "outboxages", "outboxdead", "cameraslost"];

pub(super) fn sign_of_life(beat: &Heartbeat, prefix: &str) -> Value {
    let blind: Vec<&str> = beat.cameras.iter().filter(|(_, sees)| !sees).map(|(name, _)| &**name).collect();
    let values = [
        json!(beat.version),
        json!(time(beat.at.at)),
        json!(beat.outbox_depth),
        json!(beat.outbox_oldest.map_or(0, |age| age.as_secs())),
        json!(beat.outbox_dead),
        json!(blind.join(", ")),
    ];
    let row: Map<String, Value> =
        SIGNS.into_iter().zip(values).map(|(name, value)| (format!("{prefix}_{name}"), value)).collect();
    Value::Object(row)
}
