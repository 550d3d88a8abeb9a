//! Recording visits in Dynamics: created under their own key, then, where they are tasks, completed.
//!
//! The box may stop between the two, so a visit that is there already is looked at, and completed where it is open.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use uuid::Uuid;

use super::batch::{Answer, Part};
use super::{Dynamics, Settings, is_refusal, wire};
use crate::crm::{Failure, FailureClass, RecordId, VisitRecord};
use crate::i18n::Language;

/// Completed, with the reason Completed.
const COMPLETED: (i64, i64) = (1, 5);
/// Canceled, with the reason Canceled.
const CANCELLED: (i64, i64) = (2, 6);
/// Open, with the reason Not Started.
const OPEN: (i64, i64) = (0, 2);

fn state((state, reason): (i64, i64)) -> Value {
    json!({ "statecode": state, "statuscode": reason })
}

/// The entity set of visits.
pub(super) fn set(settings: &Settings) -> &str {
    settings.visit.as_ref().map_or("tasks", |table| &table.table)
}

/// By which a row is bound to its contact.
fn binding(settings: &Settings, contact: &str) -> (String, Value) {
    // The lookup's name in $metadata; some pages leave "_task" out, which is another one (unverified on a live tenant).
    let lookup = settings.visit.as_ref().map_or("regardingobjectid_contact_task", |table| &table.contact);
    (format!("{lookup}@odata.bind"), format!("/contacts({contact})").into())
}

fn creation(settings: &Settings, language: Language, visit: &VisitRecord) -> Part {
    let mut row = match &settings.visit {
        None => json!({
            "subject": visit.title(language),
            "description": visit.text(language),
            "actualstart": wire::time(visit.opened_at.at),
            "scheduledstart": wire::time(visit.opened_at.at),
            "scheduledend": wire::time(visit.closed_at.at),
        }),
        Some(table) => json!({
            table.name.as_str(): visit.title(language),
            table.at.as_str(): wire::time(visit.opened_at.at),
            table.until.as_str(): wire::time(visit.closed_at.at),
            table.counter.as_str(): format!("{} / {}", visit.shop, visit.counter),
            table.how.as_str(): visit.how.as_str(),
        }),
    };
    let (lookup, contact) = binding(settings, &visit.contact.0);
    row[lookup] = contact;
    Part::create(format!("{}({})", set(settings), visit.key), row)
}

/// The requests that create these visits.
pub(super) fn creations(settings: &Settings, language: Language, visits: &[VisitRecord]) -> Vec<Part> {
    visits.iter().map(|visit| creation(settings, language, visit)).collect()
}

/// A visit's row as it lies there.
pub(super) struct There {
    is_open: bool,
    contact: Option<Uuid>,
}

/// Which of these visits are there.
pub(super) async fn there(org: &mut Dynamics, keys: &[Uuid]) -> Result<BTreeMap<Uuid, There>, Failure> {
    let (set, id, contact) = match &org.settings.visit {
        None => ("tasks".to_owned(), "activityid".to_owned(), "_regardingobjectid_value".to_owned()),
        Some(table) => (table.table.clone(), table.id.clone(), format!("_{}_value", table.contact.to_lowercase())),
    };
    let mut all = BTreeMap::new();
    for some in keys.chunks(50) {
        let wanted: Vec<String> = some.iter().map(|key| format!("{id} eq {key}")).collect();
        for row in org.rows(&set, &wanted.join(" or "), &format!("{id},statecode,{contact}")).await? {
            let guid = |name: &str| row[name].as_str().and_then(|text| text.parse().ok());
            if let Some(key) = guid(&id) {
                all.insert(key, There { is_open: row["statecode"] == OPEN.0, contact: guid(&contact) });
            }
        }
    }
    Ok(all)
}

pub(super) async fn record(
    org: &mut Dynamics,
    visits: &[VisitRecord],
) -> Result<Vec<Result<RecordId, Failure>>, Failure> {
    let parts = creations(&org.settings, org.language, visits);
    let answers = org.send(parts).await?;
    let is_there = |answer: &Answer| answer.status == 412;
    let keys: Vec<Uuid> =
        visits.iter().zip(&answers).filter(|(_, answer)| is_there(answer)).map(|(visit, _)| visit.key).collect();
    let there = if keys.is_empty() { BTreeMap::new() } else { there(org, &keys).await? };
    let by_task = org.settings.visit.is_none();
    let (mut results, mut changes) = (Vec::new(), Vec::new());
    for (visit, answer) in visits.iter().zip(&answers) {
        let mut change = json!({});
        let result = match (is_there(answer), answer.failure()) {
            (false, Some(failure)) => Err(failure),
            (false, None) => {
                if by_task {
                    change = state(COMPLETED);
                }
                Ok(())
            }
            (true, _) => match there.get(&visit.key) {
                Some(row) => {
                    if by_task && row.is_open {
                        change = state(COMPLETED);
                    }
                    // It was sent when the customer was linked to another contact.
                    if row.contact != visit.contact.0.parse().ok() {
                        let (lookup, contact) = binding(&org.settings, &visit.contact.0);
                        change[lookup] = contact;
                    }
                    Ok(())
                }
                None => Err(Failure::transient("Dynamics says that the visit is there, and does not show it")),
            },
        };
        if change.as_object().is_some_and(|change| !change.is_empty()) {
            changes.push((visit.key, change));
        }
        results.push(result.map(|()| RecordId(visit.key.to_string())));
    }
    for (key, failure) in completed(org, changes).await? {
        if let Some(at) = visits.iter().position(|visit| visit.key == key) {
            results[at] = Err(failure);
        }
    }
    Ok(results)
}

/// Completes what was created; gives back those for which it failed.
async fn completed(org: &mut Dynamics, changes: Vec<(Uuid, Value)>) -> Result<Vec<(Uuid, Failure)>, Failure> {
    if changes.is_empty() {
        return Ok(Vec::new());
    }
    let set = set(&org.settings).to_owned();
    let keys: Vec<Uuid> = changes.iter().map(|(key, _)| *key).collect();
    let parts = changes.into_iter().map(|(key, change)| Part::update(format!("{set}({key})"), change)).collect();
    let answers = org.send(parts).await?;
    let failed = |(key, answer): (Uuid, Answer)| {
        let failure = answer.failure()?;
        // The visit is there; that it cannot be completed is no fault of its own.
        let failure = match failure.class {
            FailureClass::Poison => Failure::blocked(
                format!("Dynamics does not let visits be completed ({failure}); run `snova crm probe`"),
                None,
            ),
            _ => failure,
        };
        Some((key, failure))
    };
    Ok(keys.into_iter().zip(answers).filter_map(failed).collect())
}

pub(super) async fn void(org: &mut Dynamics, key: Uuid) -> Result<(), Failure> {
    let row = format!("{}({key})", set(&org.settings));
    if let Some(table) = &org.settings.visit {
        let change = json!({ table.void.as_str(): true });
        return org.update(&row, &change).await.map(|_| ());
    }
    match org.update(&row, &state(CANCELLED)).await {
        // Where the tenant restricts the ways between states, a completed task must be opened first (unverified).
        Err(failure) if is_refusal(&failure) => {
            org.update(&row, &state(OPEN)).await?;
            org.update(&row, &state(CANCELLED)).await.map(|_| ())
        }
        done => done.map(|_| ()),
    }
}
