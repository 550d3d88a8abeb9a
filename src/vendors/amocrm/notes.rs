//! Visits as notes: written in batches, found by the mark in their text, rewritten where they must not stay.
//!
//! amoCRM's API has no way to delete a note, so an erased customer's notes are emptied.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{AmoCrm, BATCH, IDS, MOST_PAGES, PAGE, wire};
use crate::crm::{
    ContactId, Failure, FailureClass, RecordId, Reply, Request, SentVisit, Standing, VisitRecord, quoted_path,
};
use crate::i18n::Language;
use crate::vendors::texts::{self, Said};

/// A note in the contact's feed with a heading and a text.
const KIND: &str = "extended_service_message";
/// What a rewritten note says instead of shop and counter.
const SERVICE: &str = "Snova";
/// How far before the first try, by amoCRM's clock, a note is looked for.
const SLACK: SignedDuration = SignedDuration::from_mins(10);

/// A note of our kind as far as it matters here.
struct Note {
    id: String,
    text: String,
    created: Option<Timestamp>,
}

/// What a visit's note says.
pub(super) fn params(language: Language, visit: &VisitRecord) -> Value {
    json!({ "service": format!("{}, {}", visit.shop, visit.counter), "text": visit.text(language) })
}

/// A note that says nothing of shop and counter.
pub(super) fn plain(text: String) -> Value {
    json!({ "service": SERVICE, "text": text })
}

/// `owner` looks after the contact.
fn row(account: &AmoCrm, visit: &VisitRecord, owner: Option<i64>) -> Result<Value, Failure> {
    let contact: i64 = visit.contact.0.parse().map_err(|_| Failure::poison("the contact's id is none of amoCRM's"))?;
    let mut row = json!({
        "entity_id": contact,
        "note_type": KIND,
        "params": params(account.language, visit),
        // When the visit was, however late it arrives.
        "created_at": visit.opened_at.at.as_second(),
        // Comes back beside the note's id, and is no key: the same one twice makes two notes.
        "request_id": visit.key.to_string(),
    });
    if let Some(owner) = owner {
        row["responsible_user_id"] = owner.into();
    }
    Ok(row)
}

fn gone() -> Failure {
    Failure::contact_gone("the visit's contact is not in amoCRM any more: it was deleted, or merged into another")
}

pub(super) async fn record(
    account: &mut AmoCrm,
    visits: &[VisitRecord],
) -> Result<Vec<Result<RecordId, Failure>>, Failure> {
    let mut done: BTreeMap<usize, Result<RecordId, Failure>> = BTreeMap::new();
    let mut rows: BTreeMap<usize, Value> = BTreeMap::new();
    let contacts = visits.iter().map(|visit| visit.contact.0.clone()).filter(|id| id.parse::<i64>().is_ok());
    let there = account.rows_of(&contacts.collect()).await?;
    for (at, visit) in visits.iter().enumerate() {
        let owner = there.get(&visit.contact.0).map(|row| row["responsible_user_id"].as_i64().filter(|id| *id > 0));
        match row(account, visit, owner.flatten()) {
            Ok(row) if owner.is_some() => drop(rows.insert(at, row)),
            Ok(_) => drop(done.insert(at, Err(gone()))),
            Err(failure) => drop(done.insert(at, Err(failure))),
        }
    }
    let mut parts: Vec<Vec<usize>> =
        rows.keys().copied().collect::<Vec<_>>().chunks(BATCH).map(<[_]>::to_vec).collect();
    while let Some(part) = parts.pop() {
        let body: Value = part.iter().filter_map(|at| rows.get(at)).cloned().collect();
        let reply = account.call(|base| Request::post(format!("{base}/contacts/notes")).json(&body)).await?;
        if !matches!(reply.status, 400 | 404) || reply.is_html() {
            let made = wire::made(&reply, &*account.tools.clock)?;
            for at in part {
                let id = made.get(&visits[at].key.to_string()).cloned().map(RecordId);
                let unsaid = || Failure::transient("amoCRM's answer does not say what became of the visit");
                done.insert(at, id.ok_or_else(unsaid));
            }
            continue;
        }
        if let [only] = part.as_slice() {
            done.insert(*only, Err(refusal(account, &reply).await?));
            continue;
        }
        // One bad row fails the whole array; that none of the others was written all the same is unverified, so each
        // is looked for before it is sent again.
        let doubted: Vec<VisitRecord> =
            part.iter().map(|at| VisitRecord { tried_at: None, ..visits[*at].clone() }).collect();
        let there = reconcile(account, &doubted).await?;
        let refused = wire::refused(&reply);
        let mut left = Vec::new();
        for (at, there) in part.iter().copied().zip(there) {
            match (there, refused.get(&visits[at].key.to_string())) {
                (Some(id), _) => drop(done.insert(at, Ok(id))),
                (None, Some(failure)) if failure.class == FailureClass::TenantBlocked => return Err(failure.clone()),
                (None, Some(failure)) => drop(done.insert(at, Err(failure.clone()))),
                (None, None) => left.push(at),
            }
        }
        if left.len() == part.len() {
            // The answer does not name the bad one: it is in one half or the other.
            parts.extend(left.chunks(left.len().div_ceil(2)).map(<[_]>::to_vec));
        } else if !left.is_empty() {
            parts.push(left);
        }
    }
    Ok(done.into_values().collect())
}

/// Why the one row of a request was refused; an error where the fault is not the row's.
async fn refusal(account: &mut AmoCrm, reply: &Reply) -> Result<Failure, Failure> {
    if reply.status == 404 {
        // Either the contact is gone, or nothing of the API is where url says.
        let reply = account.call(|base| Request::get(format!("{base}/account"))).await?;
        wire::done(&reply, &*account.tools.clock)?;
        return Ok(gone());
    }
    match wire::failure(reply, &*account.tools.clock) {
        Some(failure) if failure.class == FailureClass::Poison => Ok(failure),
        Some(failure) => Err(failure),
        None => Err(Failure::transient("amoCRM's answer makes no sense")),
    }
}

pub(super) async fn reconcile(account: &mut AmoCrm, visits: &[VisitRecord]) -> Result<Vec<Option<RecordId>>, Failure> {
    let mut contacts: BTreeMap<&ContactId, (Option<Timestamp>, Vec<Uuid>)> = BTreeMap::new();
    for visit in visits {
        // Whether a note's change stamp is when it arrived, by amoCRM's clock, or the time that we gave it is unverified:
        // it is not before the earlier of the two. A try at no certain time bounds nothing.
        let from = visit.tried_at.and_then(|tried| tried.min(visit.opened_at.at).checked_sub(SLACK).ok());
        let (earliest, keys) = contacts.entry(&visit.contact).or_insert_with(|| (from, Vec::new()));
        *earliest = earliest.zip(from).map(|(earliest, from)| from.min(earliest));
        keys.push(visit.key);
    }
    let mut notes = BTreeMap::new();
    for (contact, (from, keys)) in contacts {
        notes.insert(contact, list(account, contact, from, &keys).await?);
    }
    let there = |visit: &VisitRecord| {
        let mut all = notes.get(&visit.contact)?.iter();
        all.find(|note| texts::bears(&note.text, visit.key)).map(|note| RecordId(note.id.clone()))
    };
    Ok(visits.iter().map(there).collect())
}

/// Our kind of notes of a contact that were changed since `from`: the newest first until each of the keys is met, or, for
/// no keys, all of them. A contact that is gone has none.
async fn list(
    account: &mut AmoCrm,
    contact: &ContactId,
    from: Option<Timestamp>,
    keys: &[Uuid],
) -> Result<Vec<Note>, Failure> {
    let path = format!("/contacts/{}/notes", quoted_path(&contact.0));
    let from = from.map(|from| from.as_second().to_string());
    let mut notes: Vec<Note> = Vec::new();
    for page in 1..=MOST_PAGES {
        let build = |base: &str| {
            let mut request = Request::get(format!("{base}{path}")).query("filter[note_type][]", KIND);
            if let Some(from) = &from {
                request = request.query("filter[updated_at][from]", from);
            }
            if !keys.is_empty() {
                request = request.query("order[updated_at]", "desc");
            }
            request.query("limit", &PAGE.to_string()).query("page", &page.to_string())
        };
        let reply = account.call(build).await?;
        if reply.status == 404 && !reply.is_html() {
            return Ok(notes);
        }
        let (rows, more) = wire::page(&reply, "notes", &*account.tools.clock)?;
        notes.extend(rows.iter().filter_map(note));
        let is_met = |key: &Uuid| notes.iter().any(|note| texts::bears(&note.text, *key));
        if !more || !keys.is_empty() && keys.iter().all(is_met) {
            return Ok(notes);
        }
    }
    Err(Failure::transient("amoCRM's list of a contact's notes does not end"))
}

/// The visits in a contact's feed, whichever box wrote them; those of the erased are nobody's any more.
pub(super) async fn standing(account: &mut AmoCrm, contact: &ContactId) -> Result<Vec<Standing>, Failure> {
    let mut seen = BTreeSet::new();
    let stands = |note: &Note| {
        let key = texts::key_in(&note.text)?;
        let said = texts::said(&note.text, key);
        let is_new = said != Said::Erased && seen.insert(key);
        let (opened_at, store) = (note.created.filter(|_| is_new)?, texts::store_in(&note.text));
        Some(Standing { key, opened_at, store, void: said == Said::Void })
    };
    Ok(list(account, contact, None, &[]).await?.iter().filter_map(stands).collect())
}

fn note(row: &Value) -> Option<Note> {
    if row["note_type"] != KIND {
        return None;
    }
    let text = row["params"]["text"].as_str().unwrap_or_default();
    let created = row["created_at"].as_i64().and_then(|at| Timestamp::from_second(at).ok());
    Some(Note { id: wire::id(&row["id"])?, text: text.trim().to_owned(), created })
}

async fn one(account: &mut AmoCrm, id: &str) -> Result<Option<Note>, Failure> {
    let path = format!("/contacts/notes/{}", quoted_path(id));
    let reply = account.call(|base| Request::get(format!("{base}{path}"))).await?;
    if matches!(reply.status, 204 | 404) && !reply.is_html() {
        return Ok(None);
    }
    wire::done(&reply, &*account.tools.clock)?;
    Ok(note(&reply.json()?))
}

/// Those of our kind among the notes with these ids, whosesoever they are. One that is not there is left out.
async fn several(account: &mut AmoCrm, ids: &[&str]) -> Result<Vec<Note>, Failure> {
    let mut notes = Vec::new();
    for ids in ids.chunks(IDS) {
        let build = |base: &str| {
            let request = Request::get(format!("{base}/contacts/notes")).query("limit", &PAGE.to_string());
            ids.iter().fold(request, |request, id| request.query("filter[id][]", id))
        };
        let reply = account.call(build).await?;
        let (rows, more) = wire::page(&reply, "notes", &*account.tools.clock)?;
        let is_asked = |row: &Value| wire::id(&row["id"]).is_some_and(|id| ids.contains(&&*id));
        if !more && rows.iter().all(is_asked) {
            notes.extend(rows.iter().filter_map(note));
            continue;
        }
        // An account that passes the filter over shows some of everybody's: who is not among them may be there.
        for id in ids {
            notes.extend(one(account, id).await?);
        }
    }
    Ok(notes)
}

/// Puts what `params` makes of a visit's key in place of what every note of these visits says, where `may` agrees to
/// what that is. A note is a visit's by its mark: an id that was told may be another's here.
pub(super) async fn rewrite(
    account: &mut AmoCrm,
    visits: &[SentVisit],
    params: impl Fn(Uuid) -> Value,
    may: impl Fn(Said) -> bool,
) -> Result<(), Failure> {
    let mut by_contact: BTreeMap<&ContactId, Vec<&SentVisit>> = BTreeMap::new();
    for visit in visits {
        by_contact.entry(&visit.contact).or_default().push(visit);
    }
    for (contact, visits) in by_contact {
        // All of them, whenever they were written: there may be twins of some time before.
        let mut there = if contact.0.is_empty() { Vec::new() } else { list(account, contact, None, &[]).await? };
        // Of a contact that is gone or was merged, the notes whose ids were told may be elsewhere.
        let told = visits.iter().filter_map(|visit| visit.record.as_ref()).map(|record| &*record.0);
        let told = told.filter(|id| id.parse::<i64>().is_ok() && there.iter().all(|note| note.id != *id));
        let elsewhere = several(account, &told.collect::<Vec<_>>()).await?;
        there.extend(elsewhere);
        for visit in visits {
            let params = params(visit.key);
            let own = there.iter().filter(|note| texts::bears(&note.text, visit.key));
            let is_stale =
                |note: &&Note| params["text"] != note.text.as_str() && may(texts::said(&note.text, visit.key));
            for note in own.filter(is_stale) {
                replace(account, &note.id, &params).await?;
            }
        }
    }
    Ok(())
}

async fn replace(account: &mut AmoCrm, id: &str, params: &Value) -> Result<(), Failure> {
    let number: i64 = id.parse().map_err(|_| Failure::poison("the note's id is none of amoCRM's"))?;
    let change = json!([{ "id": number, "note_type": KIND, "params": params }]);
    let reply = account.call(|base| Request::patch(format!("{base}/contacts/notes")).json(&change)).await?;
    // What became of it is looked at in any case: it may have been deleted meanwhile.
    let refused = wire::failure(&reply, &*account.tools.clock);
    match one(account, id).await? {
        None => Ok(()),
        Some(note) if params["text"] == note.text.as_str() => Ok(()),
        Some(_) => Err(refused.unwrap_or_else(|| {
            Failure::blocked("amoCRM took a note's new text and did not keep it; see who may edit notes", None)
        })),
    }
}

pub(super) fn preview(account: &AmoCrm, visits: &[VisitRecord]) -> Vec<String> {
    let request = |batch: &[VisitRecord]| {
        let rows: Value = batch.iter().filter_map(|visit| row(account, visit, None).ok()).collect();
        Request::post(format!("{}/contacts/notes", account.base())).json(&rows).in_words()
    };
    visits.chunks(BATCH).map(request).collect()
}
