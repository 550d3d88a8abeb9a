//! What is written on contacts beside the mark, and the fields that are made for it.
//!
//! Notes have no fields: what a report must count or filter stands on the contact.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::{AmoCrm, BATCH, probe, wire};
use crate::crm::{ContactId, Failure, FailureClass, Finding, Request, Told};
use crate::vendors::fields::{self, Field, Kind};

/// A day as the account's date fields take it: a moment that is on that day in every time zone between -11 and +12.
fn day(date: Date) -> i64 {
    let noon = date.at(11, 59, 59, 0).to_zoned(TimeZone::UTC);
    noon.map(|at| at.timestamp().as_second()).unwrap_or_default()
}

fn row(account: &AmoCrm, contact: &ContactId, told: &Told) -> Value {
    let value = |(field, value): (&str, Option<fields::Value<'_>>)| {
        let value = value.map(|value| match value {
            fields::Value::Time(at) => json!(at.as_second()),
            fields::Value::Date(date) => json!(day(date)),
            fields::Value::Text(text) => json!(text),
            fields::Value::Number(count) => json!(count.to_string()),
        });
        let values = value.map(|value| json!([{ "value": value }]));
        Some(json!({ "field_id": field.parse::<i64>().ok()?, "values": values }))
    };
    let values: Vec<Value> = fields::values(&account.settings.told, told).into_iter().filter_map(value).collect();
    json!({ "id": contact.0.parse::<i64>().ok(), "custom_fields_values": values })
}

/// Up to fifty contacts in one request. One bad row fails the whole: it is looked for by halves, since what is written
/// twice does no harm. What is there already is not written again, and what was written is read back.
pub(super) async fn tell(
    account: &mut AmoCrm,
    told: &[(ContactId, Told)],
) -> Result<Vec<Result<(), Failure>>, Failure> {
    let ids = |part: &[usize]| part.iter().map(|at| told[*at].0.0.clone()).collect::<BTreeSet<_>>();
    let all: Vec<usize> = (0..told.len()).collect();
    let mut done: BTreeMap<usize, Result<(), Failure>> = BTreeMap::new();
    for part in all.chunks(BATCH) {
        let there = account.rows_of(&ids(part)).await?;
        let mut left = Vec::new();
        for at in part {
            match there.get(&told[*at].0.0) {
                None => drop(done.insert(*at, Err(Failure::contact_gone("the contact is not in amoCRM any more")))),
                Some(row) if holds(account, row, &told[*at].1) => drop(done.insert(*at, Ok(()))),
                Some(_) => left.push(*at),
            }
        }
        let mut parts = if left.is_empty() { Vec::new() } else { vec![left.clone()] };
        while let Some(part) = parts.pop() {
            let body: Value = part.iter().map(|at| row(account, &told[*at].0, &told[*at].1)).collect();
            let reply = account.call(|base| Request::patch(format!("{base}/contacts")).json(&body)).await?;
            let Some(failure) = wire::failure(&reply, &*account.tools.clock) else { continue };
            match (part.as_slice(), failure.class) {
                _ if !matches!(reply.status, 400 | 404) || reply.is_html() => return Err(failure),
                ([_], FailureClass::TenantBlocked) if reply.status == 400 => return Err(failure),
                // Whether it is gone by now is looked at below.
                ([only], _) => drop(done.insert(*only, Err(failure))),
                (several, _) => parts.extend(several.chunks(several.len().div_ceil(2)).map(<[_]>::to_vec)),
            }
        }
        let there = account.rows_of(&ids(&left)).await?;
        for at in left {
            let outcome = match there.get(&told[at].0.0) {
                None => Err(Failure::contact_gone("the contact is not in amoCRM any more")),
                Some(row) if holds(account, row, &told[at].1) => Ok(()),
                Some(_) => done.remove(&at).unwrap_or_else(|| {
                    let said = "amoCRM took what is told of a contact and does not hold it; see that the fields of [crm.amocrm.told] are of the right kinds and may be edited";
                    Err(Failure::blocked(said, None))
                }),
            };
            done.insert(at, outcome);
        }
    }
    Ok(done.into_values().collect())
}

fn holds(account: &AmoCrm, row: &Value, told: &Told) -> bool {
    let there = wire::contact(row, &account.settings).map(|contact| contact.told);
    there.is_some_and(|there| there == fields::kept(&account.settings.told, told))
}

/// How amoCRM calls a kind of field, and what an administrator chooses for it.
fn kind(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Time => ("date_time", "Дата и время"),
        Kind::Date => ("date", "Дата"),
        Kind::Text => ("text", "Текст"),
        Kind::Number | Kind::Sum => ("numeric", "Число"),
        Kind::YesNo => ("checkbox", "Флаг"),
    }
}

/// The number of a field, and what was found or done about it.
async fn one(account: &mut AmoCrm, there: &[Value], field: &Field<'_>) -> (Finding, Option<String>) {
    let code = format!("SNOVA_{}", field.code);
    let (typed, shown) = kind(field.kind);
    let what = |number: &str| format!("the field {number} of contacts ({})", field.key);
    let is_it = |row: &&Value| match field.name {
        Some(name) => wire::id(&row["id"]).as_deref() == Some(name),
        None => row["code"] == code.as_str(),
    };
    if let Some(row) = there.iter().find(is_it) {
        let number = wire::id(&row["id"]).unwrap_or_default();
        if row["type"] != typed && !(field.kind == Kind::Text && row["type"] == "textarea") {
            let other = row["type"].as_str().unwrap_or_default();
            let remedy = format!("it is of the kind {other}; Snova fills one of the kind {shown}");
            return (Finding::warning(what(&number), remedy), None);
        }
        return (Finding::good(what(&number)), Some(number));
    }
    let name = format!("Snova: {}", field.label);
    // Which is also what another box finds it by.
    let body = json!([{ "name": name, "type": typed, "code": code, "is_api_only": true }]);
    let made = match account.call(|base| Request::post(format!("{base}/contacts/custom_fields")).json(&body)).await {
        Ok(reply) => wire::done(&reply, &*account.tools.clock)
            .and_then(|()| reply.json())
            .map(|body| wire::id(&body["_embedded"]["custom_fields"][0]["id"])),
        Err(failure) => Err(failure),
    };
    match made {
        Ok(Some(number)) => (Finding::good(format!("{}, made as «{name}»", what(&number))), Some(number)),
        Ok(None) => {
            (Finding::warning(what("?"), "amoCRM's answer names no field; look for it in a contact's settings"), None)
        }
        Err(failure) => {
            let remedy = format!("make a field «{name}» of the kind {shown} and give its number ({failure})");
            (Finding::warning(format!("a field of contacts for {}", field.key), remedy), None)
        }
    }
}

pub(super) async fn prepare(account: &mut AmoCrm) -> Vec<Finding> {
    let there = match probe::fields(account).await {
        Ok(there) => there,
        Err(failure) => return vec![Finding::missing("the fields of contacts", failure.to_string())],
    };
    let settings = account.settings.clone();
    let external_id = settings.fields.external_id.as_deref();
    let known = external_id.filter(|number| there.iter().any(|row| wire::id(&row["id"]).as_deref() == Some(number)));
    let mark = Field { key: "external_id", code: "MARK", kind: Kind::Text, label: "ID", name: known };
    let mut found = Vec::new();
    let mut of_mark = Vec::new();
    let mut of_told = Vec::new();
    for field in [mark].iter().chain(&fields::of_contact(&settings.told)) {
        let (finding, number) = one(account, &there, field).await;
        found.push(finding);
        let named = if field.code == "MARK" { &mut of_mark } else { &mut of_told };
        // What the configuration says already need not be pasted.
        let number = number.filter(|number| field.name != Some(number));
        named.extend(number.map(|number| (field.key, number)));
    }
    found.push(Finding::good("visits are notes, which have no fields: what is counted and filtered is the contact's"));
    let sections = [fields::section("crm.amocrm.fields", &of_mark), fields::section("crm.amocrm.told", &of_told)];
    found.push(fields::to_paste(&sections));
    found
}
