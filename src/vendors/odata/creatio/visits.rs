//! Recording visits in Creatio: a batch of activities, and what is done about each row whose answer leaves a doubt.
//!
//! The same id again is an error of a shape that is not documented, a failure may be reported after the row was
//! written, and a success may hide that the contact was dropped. So the table decides, not the answer.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use uuid::Uuid;

use super::{Creatio, Kinds, guid, wire};
use crate::crm::{Failure, FailureClass, RecordId, Request, VisitRecord};

/// The batch of activities for these visits.
pub(super) fn batch(site: &Creatio, base: &str, visits: &[VisitRecord], kinds: Kinds) -> Request {
    let parts =
        visits.iter().map(|visit| wire::part(visit.key, "POST", "Activity", Some(activity(site, visit, kinds))));
    wire::batch(base, parts.collect())
}

fn activity(site: &Creatio, visit: &VisitRecord, kinds: Kinds) -> Value {
    let mut row = json!({
        "Id": visit.key,
        "Title": visit.title(site.language),
        "StartDate": wire::time(visit.opened_at.at),
        "DueDate": wire::time(visit.closed_at.at.max(visit.opened_at.at)),
        "ContactId": visit.contact.0,
        "ActivityCategoryId": kinds.category,
        "StatusId": kinds.finished,
        "Notes": visit.text(site.language),
    });
    if let Some(owner) = site.settings.visit.owner {
        row["OwnerId"] = owner.to_string().into();
    }
    row
}

pub(super) async fn record(
    site: &mut Creatio,
    visits: &[VisitRecord],
) -> Result<Vec<Result<RecordId, Failure>>, Failure> {
    let kinds = site.kinds().await?;
    let reply = {
        let (whole, this) = (visits.to_vec(), &*site);
        let body = batch(this, &this.base(), &whole, kinds);
        site.call(move |_| body.clone()).await?
    };
    let answers = wire::answers(&reply, &*site.tools.clock)?;
    if answers.values().any(wire::Part::is_throttled) {
        site.http.slow_down();
    }
    let mut results = BTreeMap::new();
    let mut doubtful = Vec::new();
    for visit in visits {
        match judge(visit, answers.get(&visit.key)) {
            Ok(()) => {
                results.insert(visit.key, Ok(RecordId(visit.key.to_string())));
            }
            Err(failure) => doubtful.push((visit, failure)),
        }
    }
    if !doubtful.is_empty() {
        let keys: Vec<Uuid> = doubtful.iter().map(|(visit, _)| visit.key).collect();
        let rows = site.rows_by_id("Activity", &keys, "Id,ContactId").await?;
        let mut absent = Vec::new();
        for (visit, failure) in doubtful {
            match rows.iter().find(|row| wire::id(row, "Id") == Some(visit.key)) {
                Some(row) => {
                    results.insert(visit.key, settle(site, visit, row).await);
                }
                None => absent.push((visit, failure)),
            }
        }
        for (key, failure) in without_contact(site, absent).await? {
            results.insert(key, Err(failure));
        }
    }
    let result = |visit: &VisitRecord| {
        let lost = || Err(Failure::transient("Creatio's answer does not say what became of the visit"));
        results.remove(&visit.key).unwrap_or_else(lost)
    };
    Ok(visits.iter().map(result).collect())
}

/// Whether the answer alone shows that the visit is there, with its contact.
fn judge(visit: &VisitRecord, answer: Option<&wire::Part>) -> Result<(), Failure> {
    let Some(answer) = answer else {
        return Err(Failure::transient("Creatio did not come to this visit; it is sent again"));
    };
    if let Some(failure) = answer.failure() {
        return Err(failure);
    }
    let kept = wire::id(&answer.body, "Id") == Some(visit.key)
        && wire::id(&answer.body, "ContactId") == guid(&visit.contact.0);
    if kept { Ok(()) } else { Err(Failure::transient("Creatio's answer does not show the visit; it is sent again")) }
}

/// The row is there; if it has lost its contact, or has one of an earlier try, it is given the right one.
async fn settle(site: &mut Creatio, visit: &VisitRecord, row: &Value) -> Result<RecordId, Failure> {
    let wanted = guid(&visit.contact.0);
    if wire::id(row, "ContactId") != wanted {
        site.patch("Activity", visit.key, &json!({ "ContactId": visit.contact.0 })).await?;
        let rows = site.rows_by_id("Activity", &[visit.key], "Id,ContactId").await?;
        if rows.first().is_none_or(|row| wire::id(row, "ContactId") != wanted) {
            return Err(Failure::blocked(
                "Creatio saves activities without their contact and calls it a success; run `snova crm probe`",
                None,
            ));
        }
    }
    Ok(RecordId(visit.key.to_string()))
}

/// Of the rows that are not there, those whose contact is gone will never be taken; how Creatio says that is not
/// documented, and a server's failure may be all it says.
async fn without_contact(
    site: &mut Creatio,
    absent: Vec<(&VisitRecord, Failure)>,
) -> Result<Vec<(Uuid, Failure)>, Failure> {
    let in_doubt = |failure: &Failure| failure.class == FailureClass::Transient;
    let mut contacts: Vec<Uuid> = absent
        .iter()
        .filter(|(_, failure)| in_doubt(failure))
        .filter_map(|(visit, _)| guid(&visit.contact.0))
        .collect();
    contacts.sort();
    contacts.dedup();
    let there = if contacts.is_empty() { Vec::new() } else { site.rows_by_id("Contact", &contacts, "Id").await? };
    let gone = |visit: &VisitRecord| {
        let contact = guid(&visit.contact.0);
        contact.is_none() || !there.iter().any(|row| wire::id(row, "Id") == contact)
    };
    let said = |(visit, failure): (&VisitRecord, Failure)| {
        let failure = if in_doubt(&failure) && gone(visit) {
            Failure::poison("the visit's contact is not in Creatio any more; link the customer anew")
        } else {
            failure
        };
        (visit.key, failure)
    };
    Ok(absent.into_iter().map(said).collect())
}
