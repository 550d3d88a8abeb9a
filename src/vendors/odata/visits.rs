//! Records of visits: created under their own keys, looked at where an answer leaves a doubt, changed and deleted by them.
//!
//! Creatio may report a failure after the row was written, and may save an activity without its contact with success; in
//! Dynamics the box may stop between a task's creation and its completion. So the table decides, not the answer.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use uuid::Uuid;

use super::wire::{Answer, Doing, Part, guid, is_refusal};
use super::{Dialect, OData, rows, wire};
use crate::crm::{Failure, FailureClass, RecordId, Standing, VisitRecord, mark};

/// The part that creates a visit's row; `contact` is the row of its contact.
pub(super) fn creation<D: Dialect>(site: &OData<D>, visit: &VisitRecord, contact: Option<&Value>) -> Part {
    let words = site.own.words();
    let mut row = site.own.frame(visit);
    let owner = contact.filter(|_| site.owners).and_then(|contact| site.own.owner(contact));
    for (name, value) in
        object(site.own.texts(visit, site.language)).chain([site.own.contact(&visit.contact.0)]).chain(owner)
    {
        row[name] = value;
    }
    for (name, value) in rows::particulars(visit, words) {
        row[name] = value;
    }
    Part::new(Doing::Create, &words.visits, visit.key, row)
}

fn object(value: Value) -> impl Iterator<Item = (String, Value)> {
    let map = match value {
        Value::Object(map) => map,
        _ => serde_json::Map::new(),
    };
    map.into_iter()
}

/// The rows of these visits that are there.
pub(super) async fn there<D: Dialect>(site: &mut OData<D>, keys: &[Uuid]) -> Result<BTreeMap<Uuid, Value>, Failure> {
    let words = site.own.words();
    let (set, key) = (words.visits.clone(), words.visit_id.clone());
    let select = [&*key, &words.visit_contact, &words.visit_state].join(",");
    let rows = site.rows_by_id(&set, &key, keys, &select).await?;
    Ok(rows.into_iter().filter_map(|row| Some((wire::id(&row, &key)?, row))).collect())
}

pub(super) async fn record<D: Dialect>(
    site: &mut OData<D>,
    visits: &[VisitRecord],
) -> Result<Vec<Result<RecordId, Failure>>, Failure> {
    D::ready(site).await?;
    let mut contacts: Vec<Uuid> = visits.iter().filter_map(|visit| guid(&visit.contact.0)).collect();
    contacts.sort();
    contacts.dedup();
    // Dynamics would tie a task to a contact that was merged away, where nobody looks.
    let holders = site.holders(&contacts).await?;
    let holder = |visit: &VisitRecord| guid(&visit.contact.0).and_then(|contact| holders.get(&contact));
    let (going, gone): (Vec<_>, Vec<_>) = visits.iter().partition(|visit| holder(visit).is_some());
    let mut results: BTreeMap<Uuid, Result<(), Failure>> =
        gone.iter().map(|visit| (visit.key, Err(site.gone()))).collect();
    let build = |site: &OData<D>| going.iter().map(|visit| creation(site, visit, holder(visit))).collect::<Vec<_>>();
    let mut answers = if going.is_empty() { Vec::new() } else { site.send(&build(site)).await? };
    // Perhaps the user may not give rows to others; if it is something else, it is refused again.
    if site.owners && is_blocked(site.vendor(), &answers) {
        site.owners = false;
        answers = site.send(&build(site)).await?;
        site.owners = is_blocked(site.vendor(), &answers);
    }
    let (mut changes, mut doubtful) = (Vec::new(), Vec::new());
    for (visit, answer) in going.into_iter().zip(answers) {
        match judge(site, visit, answer.as_ref()) {
            Ok(()) => {
                results.insert(visit.key, Ok(()));
                changes.extend(site.own.completion(None).map(|change| (visit, change)));
            }
            Err(failure) => doubtful.push((visit, failure, answer.map_or(0, |answer| answer.status))),
        }
    }
    let keys: Vec<Uuid> = doubtful.iter().map(|(visit, ..)| visit.key).collect();
    let lying = if keys.is_empty() { BTreeMap::new() } else { there(site, &keys).await? };
    let mut moved = Vec::new();
    for (visit, failure, status) in doubtful {
        let Some(row) = lying.get(&visit.key) else {
            results.insert(visit.key, Err(without_row(site, visit, failure, status).await?));
            continue;
        };
        results.insert(visit.key, Ok(()));
        let mut change = site.own.completion(Some(row)).unwrap_or_else(|| json!({}));
        // It lost its contact, or was sent when the customer was linked to another one.
        if wire::id(row, &site.own.words().visit_contact) != guid(&visit.contact.0) {
            let (name, contact) = site.own.contact(&visit.contact.0);
            change[name] = contact;
            moved.push(visit);
        }
        if change.as_object().is_some_and(|change| !change.is_empty()) {
            changes.push((visit, change));
        }
    }
    finish(site, changes, &moved, &mut results).await?;
    let lost = || Err(Failure::transient("the answer does not say what became of the visit"));
    let result =
        |visit: &VisitRecord| results.remove(&visit.key).unwrap_or_else(lost).map(|()| RecordId(visit.key.to_string()));
    Ok(visits.iter().map(result).collect())
}

fn is_blocked(vendor: &str, answers: &[Option<Answer>]) -> bool {
    let failures = answers.iter().flatten().filter_map(|answer| answer.failure(vendor));
    failures.into_iter().any(|failure| failure.class == FailureClass::TenantBlocked)
}

/// Whether the answer alone shows that the visit is there, with its contact.
fn judge<D: Dialect>(site: &OData<D>, visit: &VisitRecord, answer: Option<&Answer>) -> Result<(), Failure> {
    let words = site.own.words();
    let again = |what: &str| Err(Failure::transient(format!("{} {what}; it is sent again", words.vendor)));
    let Some(answer) = answer else { return again("did not come to this visit") };
    if let Some(failure) = answer.failure(words.vendor) {
        return Err(failure);
    }
    let kept = wire::id(&answer.body, &words.visit_id) == Some(visit.key)
        && wire::id(&answer.body, &words.visit_contact) == guid(&visit.contact.0);
    if kept || !words.shows_rows { Ok(()) } else { again("does not show the visit in its answer") }
}

/// Why a visit whose row is not there was refused, where the answer's own words would mislead.
async fn without_row<D: Dialect>(
    site: &mut OData<D>,
    visit: &VisitRecord,
    failure: Failure,
    status: u16,
) -> Result<Failure, Failure> {
    let vendor = site.vendor();
    let said = match status {
        412 => format!(
            "{vendor} says that the visit is there (HTTP 412) and does not show it; its user must be able to read visits, and \
             the header If-None-Match must reach it"
        ),
        404 if failure.class == FailureClass::Poison => {
            // Its contact may have gone in this moment.
            let contact = guid(&visit.contact.0).unwrap_or_default();
            if site.holders(&[contact]).await?.is_empty() {
                return Ok(site.gone());
            }
            format!(
                "{vendor} does not create a row under a key of ours (HTTP 404), though the contact is there; look whether a proxy \
                 drops the header If-None-Match"
            )
        }
        _ => return Ok(failure),
    };
    Ok(Failure::blocked(said, None))
}

/// Completes what was created, and ties what lost its contact; both are looked at where an answer is worth nothing.
async fn finish<D: Dialect>(
    site: &mut OData<D>,
    changes: Vec<(&VisitRecord, Value)>,
    moved: &[&VisitRecord],
    results: &mut BTreeMap<Uuid, Result<(), Failure>>,
) -> Result<(), Failure> {
    if changes.is_empty() {
        return Ok(());
    }
    let (vendor, set) = (site.vendor(), site.own.words().visits.clone());
    let keys: Vec<Uuid> = changes.iter().map(|(visit, _)| visit.key).collect();
    let parts: Vec<Part> =
        changes.into_iter().map(|(visit, change)| Part::new(Doing::Update, &set, visit.key, change)).collect();
    for (key, answer) in keys.into_iter().zip(site.send(&parts).await?) {
        let failure = match answer {
            None => Some(Failure::transient(format!("{vendor} did not come to completing this visit"))),
            Some(answer) => answer.failure(vendor),
        };
        if let Some(failure) = failure {
            // The visit is there; that it cannot be completed is no fault of its own.
            results.insert(
                key,
                Err(match failure.class {
                    FailureClass::Poison => Failure::blocked(
                        format!("{vendor} does not let visits be completed ({failure}); run `snova crm probe`"),
                        None,
                    ),
                    _ => failure,
                }),
            );
        }
    }
    if moved.is_empty() {
        return Ok(());
    }
    let rows = there(site, &moved.iter().map(|visit| visit.key).collect::<Vec<_>>()).await?;
    for visit in moved {
        let column = &site.own.words().visit_contact;
        let is_kept = rows.get(&visit.key).is_some_and(|row| wire::id(row, column) == guid(&visit.contact.0));
        if !is_kept && results.get(&visit.key).is_some_and(Result::is_ok) {
            let said =
                format!("{vendor} saves visits without their contact and calls it a success; run `snova crm probe`");
            results.insert(visit.key, Err(Failure::blocked(said, None)));
        }
    }
    Ok(())
}

/// Changes a row that may have to be opened first, where the tenant restricts what a completed one takes (unverified).
async fn change<D: Dialect>(
    site: &mut OData<D>,
    key: Uuid,
    change: Value,
    close: Option<Value>,
) -> Result<bool, Failure> {
    let set = site.own.words().visits.clone();
    let part = |body: Value| Part::new(Doing::Update, &set, key, body);
    match (site.write(part(change.clone())).await, site.own.reopening()) {
        (Err(failure), Some(opening)) if is_refusal(&failure) => {
            let mut done = site.write(part(opening)).await? && site.write(part(change)).await?;
            if let Some(close) = close {
                done = site.write(part(close)).await?;
            }
            Ok(done)
        }
        (done, _) => done,
    }
}

pub(super) async fn void<D: Dialect>(site: &mut OData<D>, key: Uuid) -> Result<(), Failure> {
    D::ready(site).await?;
    let done = change(site, key, site.own.voiding(), None).await;
    // What is answered for a row that is not there is not documented everywhere, and nothing may be saved with success.
    match there(site, &[key]).await?.get(&key) {
        None => Ok(()),
        Some(row) if site.own.is_void(row) => Ok(()),
        Some(_) => {
            done?;
            let said = format!("{} did not keep that the visit is void; run `snova crm probe`", site.vendor());
            Err(Failure::blocked(said, None))
        }
    }
}

pub(super) async fn amend<D: Dialect>(site: &mut OData<D>, visit: &VisitRecord) -> Result<(), Failure> {
    D::ready(site).await?;
    let rows = there(site, &[visit.key]).await?;
    let Some(row) = rows.get(&visit.key).filter(|row| !site.own.is_void(row)) else { return Ok(()) };
    let mut texts = site.own.texts(visit, site.language);
    // One that an amendment before this one left open is completed along with it.
    let more = rows::particulars(visit, site.own.words()).into_iter();
    for (name, value) in more.chain(site.own.completion(Some(row)).into_iter().flat_map(object)) {
        texts[name] = value;
    }
    let close = site.own.completion(None);
    change(site, visit.key, texts, close).await.map(|_| ())
}

pub(super) async fn delete<D: Dialect>(site: &mut OData<D>, keys: &[Uuid]) -> Result<(), Failure> {
    let (vendor, set) = (site.vendor(), site.own.words().visits.clone());
    let parts: Vec<Part> = keys.iter().map(|key| Part::new(Doing::Delete, &set, key, Value::Null)).collect();
    let answers = site.send(&parts).await?;
    let refused =
        answers.iter().flatten().filter(|answer| answer.status != 404).find_map(|answer| answer.failure(vendor));
    if there(site, keys).await?.is_empty() {
        return Ok(());
    }
    let refused = refused.filter(|failure| failure.class != FailureClass::Poison);
    Err(refused
        .unwrap_or_else(|| Failure::blocked(format!("{vendor} did not delete visits; give its user that right"), None)))
}

/// The visits of a contact that bear their own mark, whichever box wrote them.
pub(super) async fn of<D: Dialect>(site: &mut OData<D>, contact: Uuid) -> Result<Vec<Standing>, Failure> {
    let words = site.own.words();
    let (set, key, at) = (words.visits.clone(), words.visit_id.clone(), words.visit_at.clone());
    let (store, marked_in) = (words.record.store.clone(), words.marked_in);
    let mut select: Vec<&str> = vec![&key, &words.visit_contact, &at, &words.visit_state];
    select.extend(store.as_deref().into_iter().chain(marked_in));
    let select = select.join(",");
    let mut filter = format!("{} eq {contact}", words.visit_of);
    if let Some(column) = marked_in {
        filter.push_str(&format!(" and contains({column},'#visit:')"));
    }
    let rows = site.all_rows(&set, &filter, &select, &key).await?;
    let standing = |row: &Value| {
        let own = wire::id(row, &key)?;
        // By the row's own contact too: a filter may be passed over.
        let is_theirs = wire::id(row, &site.own.words().visit_contact) == Some(contact);
        let is_ours = marked_in.is_none_or(|column| row[column].as_str().is_some_and(|text| text.contains(&mark(own))));
        let named = store.as_deref().and_then(|name| row[name].as_str()).filter(|name| !name.is_empty());
        (is_theirs && is_ours).then_some(())?;
        Some(Standing {
            key: own,
            opened_at: wire::read_time(row[&at].as_str()?)?,
            store: named.map(str::to_owned).or_else(|| site.own.store_of(row)),
            void: site.own.is_void(row),
        })
    };
    Ok(rows.iter().filter_map(standing).collect())
}
