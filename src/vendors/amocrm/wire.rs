//! What amoCRM answers, and what it means.
//!
//! An empty list is 204 without a body. Errors are problem+json, or a page of the web server that stands before it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::Value;

use super::Settings;
use crate::clock::Clock;
use crate::crm::refresh::Granted;
use crate::crm::{ConsentWord, Contact, Failure, Reply, Told};

/// amoCRM shuts out who asks too much, and lets nobody in for asking more.
const SHUT_OUT: Duration = Duration::from_secs(15 * 60);

/// An id as text, whether it came as a number or one.
pub(super) fn id(value: &Value) -> Option<String> {
    value.as_i64().map(|id| id.to_string()).or_else(|| value.as_str().map(str::to_owned)).filter(|id| !id.is_empty())
}

/// Every `id` within a value.
pub(super) fn ids_within(value: &Value, ids: &mut BTreeSet<String>) {
    match value {
        Value::Array(rows) => rows.iter().for_each(|row| ids_within(row, ids)),
        Value::Object(row) => {
            ids.extend(row.get("id").and_then(id));
            row.values().for_each(|value| ids_within(value, ids));
        }
        _ => {}
    }
}

/// The tokens of an exchange.
pub(super) fn granted(reply: &Reply, clock: &dyn Clock) -> Result<Granted, Failure> {
    if matches!(reply.status, 400 | 401) {
        return Err(Failure::auth(
            "amoCRM refused the login: the refresh token is spent or too old, or client_id, its secret or redirect_uri is another; authorise the integration anew and give `snova crm secret crm/amocrm/refresh-token`",
        ));
    }
    done(reply, clock)?;
    let body = reply.json()?;
    let text = |name: &str| body[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let (Some(access), Some(refresh)) = (text("access_token"), text("refresh_token")) else {
        return Err(Failure::transient("amoCRM's login answer holds no token"));
    };
    Ok(Granted { access, refresh, lasts: body["expires_in"].as_u64().map(Duration::from_secs) })
}

/// What a reply that is no success means.
pub(super) fn failure(reply: &Reply, clock: &dyn Clock) -> Option<Failure> {
    if reply.is_success() {
        return None;
    }
    let body = reply.json().unwrap_or(Value::Null);
    if reply.status == 403 && !body.is_object() {
        return Some(Failure::blocked(
            "amoCRM shuts this account's integration out (HTTP 403 with a page), as it does after too many requests; ask its support if it lasts",
            Some(SHUT_OUT),
        ));
    }
    if let Some(common) = reply.common_failure(clock) {
        return Some(common);
    }
    Some(match reply.status {
        403 => Failure::blocked("amoCRM does not let this integration do that; run `snova crm probe`", None),
        404 => Failure::blocked("amoCRM has nothing at this address (HTTP 404); check url in [crm.amocrm]", None),
        status => refused_row(&body["validation-errors"][0], status),
    })
}

/// A row's own fault, or the account's where a field or a kind of note is not there.
fn refused_row(row: &Value, status: u16) -> Failure {
    let error = &row["errors"][0];
    let (code, path) = (error["code"].as_str().unwrap_or_default(), error["path"].as_str().unwrap_or_default());
    // Paths begin with the row's place in some methods.
    let is_about = |names: &[&str]| path.split('.').any(|part| names.contains(&part));
    let failure = if code == "FieldMissing" {
        Failure::blocked("amoCRM demands a field that Snova does not fill; let it be empty", None)
    } else if is_about(&["note_type", "field_id", "field_code"]) {
        Failure::blocked("the amoCRM account lacks a field or a kind of note; run `snova crm probe`", None)
    } else if is_about(&["entity_id"]) && code == "NotFound" {
        Failure::contact_gone("the visit's contact is not in amoCRM any more")
    } else {
        Failure::poison(format!("amoCRM refused what was sent (HTTP {status})"))
    };
    failure.with_code(code).with_code(path)
}

/// By their request_id, the rows that an answer names as bad.
pub(super) fn refused(reply: &Reply) -> BTreeMap<String, Failure> {
    let body = reply.json().unwrap_or(Value::Null);
    let rows = body["validation-errors"].as_array().cloned().unwrap_or_default();
    rows.iter().filter_map(|row| Some((id(&row["request_id"])?, refused_row(row, reply.status)))).collect()
}

/// A request that is done, or why not.
pub(super) fn done(reply: &Reply, clock: &dyn Clock) -> Result<(), Failure> {
    failure(reply, clock).map_or(Ok(()), Err)
}

/// The notes that were made: ids by request_id.
pub(super) fn made(reply: &Reply, clock: &dyn Clock) -> Result<BTreeMap<String, String>, Failure> {
    done(reply, clock)?;
    let body = reply.json()?;
    let rows = body["_embedded"]["notes"].as_array();
    let rows = rows.ok_or_else(|| Failure::transient("amoCRM's answer does not say what became of the visits"))?;
    Ok(rows.iter().filter_map(|row| Some((id(&row["request_id"])?, id(&row["id"])?))).collect())
}

/// The rows of a page, and whether another follows.
pub(super) fn page(reply: &Reply, name: &str, clock: &dyn Clock) -> Result<(Vec<Value>, bool), Failure> {
    done(reply, clock)?;
    if reply.status == 204 {
        return Ok((Vec::new(), false));
    }
    let mut body = reply.json()?;
    let more = body["_links"]["next"]["href"].is_string();
    match body["_embedded"][name].take() {
        Value::Array(rows) => Ok((rows, more)),
        _ => Err(Failure::transient("amoCRM's answer holds no rows")),
    }
}

/// A contact in our words; `None` for one without an id.
pub(super) fn contact(row: &Value, settings: &Settings) -> Option<Contact> {
    let (fields, told) = (&settings.fields, &settings.told);
    let filled = |text: &str| Some(text.trim()).filter(|text| !text.is_empty()).map(str::to_owned);
    let named = |name: &str| row[name].as_str().and_then(filled);
    let custom = row["custom_fields_values"].as_array().map(Vec::as_slice).unwrap_or_default();
    let values = |field: &Value| field["values"].as_array().cloned().unwrap_or_default();
    let coded = |code: &str| {
        let fields = custom.iter().filter(|field| field["field_code"] == code);
        fields.flat_map(values).filter_map(|value| value["value"].as_str().and_then(filled)).collect()
    };
    let value = |field: &Option<String>| -> Option<Value> {
        let wanted = field.as_deref()?.parse::<i64>().ok()?;
        let field = custom.iter().find(|field| field["field_id"].as_i64() == Some(wanted))?;
        values(field).first().map(|value| value["value"].clone())
    };
    let mapped = |field: &Option<String>| {
        value(field).and_then(|value| match value {
            Value::String(text) => filled(&text),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        })
    };
    let count = |field: &Option<String>| {
        let count = mapped(field)?.parse::<f64>().ok()?;
        Some(count.clamp(0.0, f64::from(u32::MAX)) as u32)
    };
    let at = |field: &Option<String>| value(field).as_ref().and_then(time);
    let day = |field: &Option<String>| value(field).as_ref().and_then(date);
    let told = Told {
        first_visit: at(&told.first_visit),
        last_visit: at(&told.last_visit),
        late_since: day(&told.late_since),
        consent: mapped(&told.consent).and_then(|word| ConsentWord::read(&word)),
        consent_until: day(&told.consent_until),
        source: mapped(&told.source),
        visits_30: count(&told.visits_30),
        visits_90: count(&told.visits_90),
        home_store: mapped(&told.home_store),
    };
    Some(Contact {
        id: id(&row["id"])?,
        external_id: mapped(&fields.external_id),
        phones: coded("PHONE"),
        emails: coded("EMAIL"),
        // Whoever typed the whole name into one line has it there.
        given: named("first_name").or_else(|| named("last_name").is_none().then(|| named("name")).flatten()),
        patronymic: mapped(&fields.patronymic),
        family: named("last_name"),
        tier: mapped(&fields.tier),
        owner: None,
        notes: mapped(&fields.notes),
        offer: mapped(&fields.offer),
        birthday: day(&fields.birthday),
        visits: count(&fields.visits),
        last_visit: at(&fields.last_visit),
        deleted: row["is_deleted"] == true,
        told,
        ..Contact::default()
    })
}

/// A date field is the midnight of the account's time zone in seconds; in a text field people write what they write.
fn date(value: &Value) -> Option<Date> {
    let text = match value {
        Value::Number(_) => return midnight(value.as_i64()?),
        Value::String(text) => text.trim(),
        _ => return None,
    };
    if let Ok(seconds) = text.parse::<i64>() {
        return midnight(seconds);
    }
    let iso = text.get(..10).and_then(|date| date.parse().ok());
    iso.or_else(|| Date::strptime("%d.%m.%Y", text).ok())
}

/// The date whose midnight this is in any time zone between -11 and +12.
fn midnight(seconds: i64) -> Option<Date> {
    let noon = Timestamp::from_second(seconds).ok()?.checked_add(Duration::from_secs(12 * 3600)).ok()?;
    Some(noon.to_zoned(TimeZone::UTC).date())
}

fn time(value: &Value) -> Option<Timestamp> {
    let seconds = value.as_i64().or_else(|| value.as_str()?.trim().parse().ok());
    seconds.map_or_else(|| value.as_str()?.trim().parse().ok(), |seconds| Timestamp::from_second(seconds).ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_birthday_is_the_same_day_however_the_field_keeps_it() {
        let day: Date = "1980-05-17".parse().unwrap_or_default();
        let moscow_midnight = 327_358_800; // 1980-05-16T21:00:00Z
        for value in [
            json!(moscow_midnight),
            json!(moscow_midnight.to_string()),
            json!("1980-05-17"),
            json!("1980-05-17T00:00:00+03:00"),
            json!("17.05.1980"),
        ] {
            assert_eq!(date(&value), Some(day), "{value}");
        }
        assert_eq!((date(&json!("soon")), date(&json!("")), date(&Value::Null)), (None, None, None));
    }
}
