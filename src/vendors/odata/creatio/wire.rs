//! What Creatio is sent and answers, and what it means.
//!
//! Errors come in three shapes, now and then under a status of success. Their texts are looked at for what they are
//! about and never passed on.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Settings;
use crate::clock::Clock;
use crate::crm::{Contact, Failure, Heartbeat, NewContact, Reply, Request, quoted_path};

const JSON: &str = "application/json; charset=utf-8; IEEE754Compatible=true";

pub(super) fn headed(request: Request) -> Request {
    request.header("accept", "application/json")
}

pub(super) fn json_body(request: Request, body: &Value) -> Request {
    request.body(JSON, body.to_string())
}

/// A text as OData writes it; GUIDs and times stand without quotes.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

pub(super) fn time(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// Where Creatio has no time it says the year 1.
fn read_time(text: &str) -> Option<Timestamp> {
    text.parse().ok().filter(|at: &Timestamp| at.as_second() > -60_000_000_000)
}

/// A GUID of a row; where Creatio has none it says zeros.
pub(super) fn id(row: &Value, name: &str) -> Option<Uuid> {
    row[name].as_str()?.parse().ok().filter(|id: &Uuid| !id.is_nil())
}

/// One request of a batch.
pub(super) fn part(id: Uuid, method: &str, url: &str, body: Option<Value>) -> Value {
    let kind = "application/json;odata=verbose";
    let mut part =
        json!({ "id": id, "method": method, "url": url, "headers": { "Content-Type": kind, "Accept": kind } });
    if let Some(body) = body {
        part["body"] = body;
    }
    part
}

/// Without the preference Creatio stops at the first row that it refuses.
pub(super) fn batch(base: &str, parts: Vec<Value>) -> Request {
    let request = Request::post(format!("{base}/$batch")).header("prefer", "continue-on-error");
    json_body(request, &json!({ "requests": parts }))
}

pub(super) fn deletions(base: &str, keys: &[Uuid]) -> Request {
    batch(base, keys.iter().map(|key| part(*key, "DELETE", &format!("Activity({key})"), None)).collect())
}

/// What became of one request of a batch.
pub(super) struct Part {
    status: u16,
    pub body: Value,
}

impl Part {
    pub(super) fn is_throttled(&self) -> bool {
        self.status == 429
    }

    pub(super) fn failure(&self) -> Option<Failure> {
        refusal(self.status, &self.body).or_else(|| match self.status {
            200..=299 => None,
            401 | 408 => Some(Failure::transient("Creatio's session ended within the batch")),
            429 => Some(Failure::throttled("Creatio asks for fewer requests (HTTP 429)", None)),
            500..=599 => Some(Failure::transient(format!("Creatio failed at this row (HTTP {})", self.status))),
            status => Some(Failure::poison(format!("Creatio refused the row (HTTP {status})"))),
        })
    }
}

/// The answers of a batch by the ids of their requests; what is missing was not come to.
pub(super) fn answers(reply: &Reply, clock: &dyn Clock) -> Result<BTreeMap<Uuid, Part>, Failure> {
    if reply.status == 404 {
        return Err(Failure::blocked(
            "Creatio has no $batch at this address; it needs 7.16.1 or newer, and net_framework must be right",
            None,
        ));
    }
    done(reply, clock)?;
    let mut body = reply.json()?;
    let Value::Array(answers) = body["responses"].take() else {
        return Err(Failure::transient("Creatio's answer does not say what became of each request"));
    };
    let one = |mut answer: Value| {
        let status = answer["status"].as_u64().and_then(|status| u16::try_from(status).ok())?;
        let mut body = answer["body"].take();
        // Some versions send a body that is JSON as a text.
        if let Some(inner) = body.as_str().and_then(|text| serde_json::from_str(text).ok()) {
            body = inner;
        }
        Some((id(&answer, "id")?, Part { status, body }))
    };
    Ok(answers.into_iter().filter_map(one).collect())
}

/// Why a row of a batch was refused, if one was; a row that is not there is none.
pub(super) fn first_refusal(reply: &Reply, clock: &dyn Clock) -> Result<Option<Failure>, Failure> {
    Ok(answers(reply, clock)?.values().filter(|part| part.status != 404).find_map(Part::failure))
}

/// What an error's body is about; `None` for a body that is no error.
fn refusal(status: u16, body: &Value) -> Option<Failure> {
    let error = &body["error"];
    let texts = [&error["message"], &error["innererror"]["message"], &body["Message"], &body["ExceptionMessage"]];
    let says = |what: &str| texts.iter().any(|text| text.as_str().is_some_and(|text| text.contains(what)));
    let has_message = body["Message"].is_string() && body["Id"].is_null();
    if !(error.is_object() || has_message || body["ExceptionMessage"].is_string()) {
        return None;
    }
    let code =
        [&error["code"], &body["ExceptionType"]].into_iter().filter_map(Value::as_str).find(|code| !code.is_empty());
    let failure = if says("Column by path") || says("not found in schema") {
        Failure::blocked("Creatio lacks a column that the configuration names; run `snova crm probe`", None)
    } else if body["MessageDetail"].is_string() && says("No HTTP resource") {
        Failure::blocked(
            "Creatio has no such object for OData; one that was just published takes two minutes, else run `snova crm probe`",
            None,
        )
    } else {
        match status {
            403 => Failure::blocked("Creatio does not let this user do that; run `snova crm probe`", None),
            401 | 408 => Failure::transient("Creatio's session ended within the batch"),
            429 => Failure::throttled("Creatio asks for fewer requests (HTTP 429)", None),
            400..=499 => Failure::poison(format!("Creatio refused the row (HTTP {status})")),
            _ => Failure::transient(format!("Creatio failed (HTTP {status})")),
        }
    };
    Some(failure.with_code(code.unwrap_or_default()))
}

/// What a reply that is no success means.
pub(super) fn failure(reply: &Reply, clock: &dyn Clock) -> Option<Failure> {
    let body = if reply.body.trim_ascii().is_empty() { Value::Null } else { reply.json().unwrap_or(Value::Null) };
    if matches!(reply.status, 429 | 503) {
        return reply.common_failure(clock);
    }
    if let Some(refused) = refusal(reply.status, &body) {
        return Some(refused);
    }
    if reply.is_success() {
        return None;
    }
    Some(reply.common_failure(clock).unwrap_or_else(|| match reply.status {
        403 => Failure::blocked("Creatio, or what stands before it, refuses everything (HTTP 403)", None),
        404 => Failure::blocked("Creatio has nothing at this address; check url and net_framework", None),
        status => Failure::poison(format!("Creatio refused the request (HTTP {status})")),
    }))
}

pub(super) fn done(reply: &Reply, clock: &dyn Clock) -> Result<(), Failure> {
    failure(reply, clock).map_or(Ok(()), Err)
}

pub(super) fn rows(reply: &Reply, clock: &dyn Clock) -> Result<Vec<Value>, Failure> {
    done(reply, clock)?;
    match reply.json()?["value"].take() {
        Value::Array(rows) => Ok(rows),
        _ => Err(Failure::transient("Creatio's answer holds no rows")),
    }
}

/// The id of what the configuration gives by id or name, in one of the site's lists.
pub(super) fn listed(rows: &[Value], wanted: &str, key: &str) -> Result<Uuid, Failure> {
    let by_id = wanted.parse::<Uuid>().ok();
    let is_it = |row: &&Value| match by_id {
        Some(wanted) => id(row, "Id") == Some(wanted),
        None => row["Name"].as_str().is_some_and(|name| name.trim().to_lowercase() == wanted.to_lowercase()),
    };
    let found = rows.iter().find(is_it).and_then(|row| id(row, "Id"));
    found.ok_or_else(|| {
        Failure::blocked(
            format!("Creatio's list has no such entry as {key} in [crm.creatio.visit] names; give its id or name"),
            None,
        )
    })
}

/// The conditions joined by "or" into filters that fit an address.
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

/// `$select` and `$expand` of contacts. A mapped name such as "UsrTier.Name" is a column of what a lookup leads to.
pub(super) fn contact_columns(settings: &Settings) -> (String, String) {
    let fields = &settings.fields;
    let mut select =
        vec!["Id", "Name", "GivenName", "Surname", "MobilePhone", "Phone", "HomePhone", "Email", "ModifiedOn"];
    let mut expand = vec!["Owner($select=Name)".to_owned()];
    let mapped = [
        &fields.external_id,
        &fields.patronymic,
        &fields.tier,
        &fields.notes,
        &fields.offer,
        &fields.birthday,
        &fields.visits,
        &fields.last_visit,
        &settings.phone_e164,
    ];
    for name in mapped.into_iter().flatten() {
        match name.split_once('.') {
            Some((lookup, column)) => expand.push(format!("{lookup}($select={column})")),
            None if select.contains(&name.as_str()) => {}
            None => select.push(name),
        }
    }
    (select.join(","), expand.join(","))
}

/// A row of contacts in our words; `None` for one without an id.
pub(super) fn contact(row: &Value, settings: &Settings) -> Option<Contact> {
    let fields = &settings.fields;
    let own = |value: &Value| value.as_str().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
    let value = |name: &str| match name.split_once('.') {
        Some((lookup, column)) => &row[lookup][column],
        None => &row[name],
    };
    let text = |name: &str| own(value(name));
    let mapped = |field: &Option<String>| field.as_deref().and_then(text);
    let phones = ["MobilePhone", "Phone", "HomePhone"].into_iter().filter_map(text);
    let number = |field: &Option<String>| field.as_deref().and_then(|name| value(name).as_f64());
    Some(Contact {
        id: id(row, "Id")?.to_string(),
        external_id: mapped(&fields.external_id),
        phones: phones.chain(mapped(&settings.phone_e164)).collect(),
        emails: text("Email").into_iter().collect(),
        given: text("GivenName"),
        patronymic: mapped(&fields.patronymic),
        family: text("Surname"),
        tier: mapped(&fields.tier),
        owner: own(&row["Owner"]["Name"]),
        notes: mapped(&fields.notes),
        offer: mapped(&fields.offer),
        // A date comes as a time at midnight; its zone must not move it to the day before.
        birthday: mapped(&fields.birthday)
            .and_then(|text| text.get(..10).and_then(|day| day.parse().ok()))
            .filter(|day: &Date| day.year() > 1),
        visits: number(&fields.visits).map(|count| count.clamp(0.0, f64::from(u32::MAX)) as u32),
        last_visit: mapped(&fields.last_visit).and_then(|at| read_time(&at)),
        deleted: false,
        ..Contact::default()
    })
}

/// A contact to be created. The whole name is what Creatio demands and shows.
pub(super) fn new_contact(new: &NewContact, id: Uuid, settings: &Settings, external_id: &str) -> Value {
    let parts = [new.family.as_deref(), Some(&*new.given), new.patronymic.as_deref()];
    let name: Vec<&str> = parts.into_iter().flatten().collect();
    let mut row = json!({
        "Id": id,
        "Name": name.join(" "),
        "GivenName": new.given,
        external_id: new.mark.clone(),
    });
    let optional = [
        (Some("Surname"), &new.family),
        (settings.fields.patronymic.as_deref(), &new.patronymic),
        (Some("MobilePhone"), &new.phone),
        (settings.phone_e164.as_deref(), &new.phone),
        (Some("Email"), &new.email),
    ];
    for (field, value) in optional {
        if let (Some(field), Some(value)) = (field, value) {
            row[field] = value.as_str().into();
        }
    }
    row
}

pub(super) fn sign_of_life(beat: &Heartbeat) -> Value {
    let blind: Vec<&str> = beat.cameras.iter().filter(|(_, sees)| !sees).map(|(name, _)| &**name).collect();
    json!({
        "UsrName": beat.device,
        "UsrVersion": beat.version,
        "UsrSeenAt": time(beat.at.at),
        "UsrOutboxDepth": beat.outbox_depth,
        "UsrOutboxAgeS": beat.outbox_oldest.map_or(0, |age| age.as_secs()),
        "UsrOutboxDead": beat.outbox_dead,
        "UsrCamerasLost": blind.join(", "),
    })
}

/// How far changes were read. Pages follow one another by the last row's time, not by a count from the beginning:
/// contacts that change meanwhile leave their place, and those behind them would be missed.
pub(super) struct Place {
    pub since: Timestamp,
    /// Rows to pass over; only where more rows than a page have the same time.
    pub skip: usize,
    /// Whether this is in the middle of a look, which needs no overlap.
    pub within: bool,
}

impl Place {
    pub(super) fn read(cursor: &str) -> Option<Self> {
        let (since, rest) = cursor.split_once(' ').unwrap_or((cursor, ""));
        Some(Self { since: since.parse().ok()?, skip: rest.parse().unwrap_or(0), within: !rest.is_empty() })
    }

    /// After a page of rows that were asked for from `from` on.
    pub(super) fn advance(&mut self, from: Timestamp, rows: &[Value], more: bool) {
        let latest = rows.iter().filter_map(|row| row["ModifiedOn"].as_str()).filter_map(read_time).max();
        let latest = latest.unwrap_or(self.since);
        // A tenth is read again, for the same reason.
        self.skip = if more && latest <= from { self.skip + rows.len() * 9 / 10 } else { 0 };
        self.since = if more { latest } else { latest.max(self.since) };
        self.within = more;
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.within { write!(f, "{} {}", time(self.since), self.skip) } else { f.write_str(&time(self.since)) }
    }
}
