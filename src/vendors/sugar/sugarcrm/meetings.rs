//! Meetings of a SugarCRM tenant found again: by their key, and by what the tenant called them if they bear our mark.
//!
//! Writing them is the connector's own.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use uuid::Uuid;

use super::{BATCH, PAGE, SugarCrm};
use crate::crm::{Failure, RecordId, SentVisit, mark};

/// No list of meetings that Snova reads is longer.
const MOST_PAGES: usize = 50;

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
        let found = self.all_meetings(&wanted, &format!("id,{field}")).await?;
        let both = |row: &Value| Some((row[&field].as_str()?.to_owned(), RecordId(row["id"].as_str()?.to_owned())));
        Ok(found.iter().filter_map(both).collect())
    }

    /// The meetings of these visits, twins too: each bears its visit's key, or none and the mark in its text. The ids
    /// that were told are only looked at, for in another tenant they are somebody else's.
    pub(super) async fn marked(&mut self, visits: &[SentVisit]) -> Result<BTreeSet<String>, Failure> {
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
            let rows = self.all_meetings(&wanted, &format!("id,description,{field}")).await?;
            let bears = |row: &Value, key: &Uuid| match row[&field].as_str().unwrap_or_default() {
                "" => row["description"].as_str().is_some_and(|text| text.contains(&mark(*key))),
                own => own == key.to_string(),
            };
            let ours = rows.iter().filter(|row| part.iter().any(|visit| bears(row, &visit.key)));
            found.extend(ours.filter_map(|row| row["id"].as_str().map(str::to_owned)));
        }
        Ok(found)
    }

    /// Every meeting for which the filter holds, however few Sugar shows at once.
    async fn all_meetings(&mut self, wanted: &Value, fields: &str) -> Result<Vec<Value>, Failure> {
        let mut rows = Vec::new();
        for _ in 0..MOST_PAGES {
            let body = json!({ "filter": wanted, "fields": fields, "max_num": PAGE, "offset": rows.len() });
            let page = self.filter("Meetings", &body).await?;
            let more = page.more && !page.records.is_empty();
            rows.extend(page.records);
            if !more {
                return Ok(rows);
            }
        }
        Err(Failure::transient("SugarCRM's list of meetings does not end"))
    }
}
