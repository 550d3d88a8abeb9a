//! Meetings of a SugarCRM tenant: written in bulk, and found again by their key, or by what the tenant called them if they
//! bear our mark.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use uuid::Uuid;

use super::{BATCH, SugarCrm, body, wire};
use crate::crm::{Failure, FailureClass, RecordId, SentVisit, VisitRecord, mark};
use crate::vendors::sugar::connector::Api;
use crate::vendors::sugar::shape::{CONTACTS, MEETINGS, Row};

impl SugarCrm {
    /// The field of a meeting that holds the key. That `sync_key` may be filtered by is unverified.
    pub(super) fn key_field(&self) -> &str {
        self.settings.visit_key_field.as_deref().unwrap_or("sync_key")
    }

    /// The meetings with these keys, by key.
    pub(super) async fn meetings(&mut self, keys: &[Uuid]) -> Result<BTreeMap<String, RecordId>, Failure> {
        let field = self.key_field().to_owned();
        let keys: Vec<String> = keys.iter().map(Uuid::to_string).collect();
        let wanted = json!([{ field.as_str(): { "$in": keys } }]);
        let found = self.all(MEETINGS, &wanted, &format!("id,{field}"), false).await?;
        let both = |row: Row| Some((row.text(&field)?.to_owned(), RecordId(row.id.clone())));
        Ok(found.into_iter().filter_map(both).collect())
    }

    /// The meetings of these visits, twins too: each bears its visit's key, or none and the mark in its text. The ids
    /// that were told are only looked at, for in another tenant they are somebody else's.
    pub(super) async fn marked(&mut self, visits: &[SentVisit]) -> Result<Vec<String>, Failure> {
        let mut found = BTreeSet::new();
        for part in visits.chunks(BATCH) {
            let keys: Vec<String> = part.iter().map(|visit| visit.key.to_string()).collect();
            let told = part.iter().filter_map(|visit| visit.record.as_ref()).map(|record| &*record.0);
            let told: Vec<&str> = told.filter(|id| !id.is_empty()).collect();
            let field = self.key_field().to_owned();
            let mut wanted = vec![json!({ field.as_str(): { "$in": keys } })];
            if !told.is_empty() {
                wanted.push(json!({ "id": { "$in": told } }));
            }
            let wanted = json!([{ "$or": wanted }]);
            let rows = self.all(MEETINGS, &wanted, &format!("id,description,{field}"), false).await?;
            let bears = |row: &Row, key: &Uuid| match row.text(&field) {
                None => row.text("description").is_some_and(|text| text.contains(&mark(*key))),
                Some(own) => own == key.to_string(),
            };
            let ours = rows.into_iter().filter(|row| part.iter().any(|visit| bears(row, &visit.key)));
            found.extend(ours.map(|row| row.id));
        }
        Ok(found.into_iter().collect())
    }

    /// What is to be done with one visit, as a row of a bulk call. `there` is the meeting that bears the key already,
    /// which no upsert finds: it is put into the contact's list.
    pub(super) fn bulk_row(&self, visit: &VisitRecord, owner: Option<&str>, there: Option<&RecordId>) -> Value {
        let mut values = self.shape.meeting(visit, owner);
        if there.is_some() {
            values.retain(|name, _| name.starts_with("parent_"));
        }
        values.insert("contacts".to_owned(), json!({ "add": [{ "id": visit.contact.0 }] }));
        let key = visit.key.to_string();
        match (&self.settings.visit_key_field, there) {
            (_, Some(id)) => self.bulk_request("PUT", &format!("Meetings/{id}"), &body(&values)),
            (None, _) => self.bulk_request("PATCH", &format!("Meetings/sync_key/{key}"), &body(&values)),
            (Some(field), _) => {
                values.insert(field.clone(), key.into());
                self.bulk_request("POST", "Meetings", &body(&values))
            }
        }
    }

    pub(super) async fn record_all(
        &mut self,
        visits: &[VisitRecord],
    ) -> Result<Vec<Result<RecordId, Failure>>, Failure> {
        let keys: Vec<Uuid> = visits.iter().map(|visit| visit.key).collect();
        // A contact in the bin is found out before anything is made: a tie that is refused leaves its meeting.
        let contacts: BTreeSet<String> = visits.iter().map(|visit| visit.contact.0.clone()).collect();
        let rows = self.read(CONTACTS, &Vec::from_iter(contacts), &["assigned_user_id".to_owned()]).await?;
        let mut owners = BTreeMap::new();
        for row in rows.into_iter().filter(|row| !row.deleted) {
            let owner = match row.text("assigned_user_id") {
                Some(owner) => Some(owner.to_owned()),
                None => self.own_user().await?,
            };
            owners.insert(row.id, owner);
        }
        // Without an upsert, what is there is not created again; this also finds out a field that is not there, which
        // a creation would pass over in silence.
        let there = match &self.settings.visit_key_field {
            Some(_) => self.meetings(&keys).await?,
            None => BTreeMap::new(),
        };
        let live: Vec<&VisitRecord> = visits.iter().filter(|visit| owners.contains_key(&visit.contact.0)).collect();
        let row = |visit: &&VisitRecord| {
            let owner = owners.get(&visit.contact.0).and_then(Option::as_deref);
            self.bulk_row(visit, owner, there.get(&visit.key.to_string()))
        };
        let requests: Vec<Value> = live.iter().map(row).collect();
        let sent = if requests.is_empty() { Vec::new() } else { self.bulk(&requests).await? };
        let mut sent: Vec<_> = sent.into_iter().map(wire::BulkRow::recorded).collect();
        // An upsert says "invalid parameter" of everything: whether its key is a field at all must be asked for, and
        // what is there all the same is tied by its id.
        let refused = |row: &Result<_, Failure>| row.as_ref().is_err_and(|f| f.class == FailureClass::Poison);
        if self.settings.visit_key_field.is_none() && sent.iter().any(refused) {
            let there = self.meetings(&keys).await?;
            let loose = |(place, visit): (usize, &&VisitRecord)| {
                let id = there.get(&visit.key.to_string()).filter(|_| refused(&sent[place]))?;
                Some((place, self.bulk_row(visit, None, Some(id))))
            };
            let (places, requests): (Vec<usize>, Vec<Value>) = live.iter().enumerate().filter_map(loose).unzip();
            let tied = if requests.is_empty() { Vec::new() } else { self.bulk(&requests).await? };
            places.into_iter().zip(tied).for_each(|(place, row)| sent[place] = row.recorded());
        }
        let mut sent = sent.into_iter();
        let answer = |visit: &VisitRecord| {
            if !owners.contains_key(&visit.contact.0) {
                return Err(self.shape.gone(&visit.contact));
            }
            sent.next().unwrap_or_else(|| Err(Failure::transient("SugarCRM's answer passed over a visit")))
        };
        Ok(visits.iter().map(answer).collect())
    }
}
