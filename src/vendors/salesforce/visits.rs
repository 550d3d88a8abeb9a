//! Visits as rows of the org's object: what they say, and how they are found, changed and deleted by their key.
//!
//! Contacts are `contacts`'.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{BATCH, Salesforce, is_id, wire};
use crate::crm::{ContactId, Failure, Forgotten, Greeting, Request, Standing, VisitRecord};

impl Salesforce {
    /// What a row of a visit says beside its key and its contact.
    pub(super) fn said(&self, visit: &VisitRecord) -> Value {
        let (names, more, receipt) = (&self.settings.visit, &self.settings.record, visit.receipt.as_ref());
        let mut row = json!({
            "attributes": { "type": names.object },
            names.at.as_str(): wire::time(visit.opened_at.at),
            names.until.as_str(): wire::time(visit.closed_at.at),
            names.counter.as_str(): format!("{} / {}", visit.shop, visit.counter),
            names.how.as_str(): visit.how.as_str(),
        });
        let own = [
            (&names.name, json!(short(&visit.title(self.language), 80))),
            (&names.note, json!(short(&visit.particulars(self.language), 255))),
            (&more.store, json!(visit.shop)),
            (&more.counter, json!(visit.counter.as_str())),
            (&more.how, json!(visit.how.as_str())),
            (&more.served_by, json!(visit.served_by)),
            (&more.receipt, json!(receipt.map(|receipt| &receipt.number))),
            (&more.sum, json!(receipt.map(|receipt| receipt.sum as f64 / 100.0))),
            (&more.greeting, json!(visit.greeting.map(Greeting::as_str))),
        ];
        for (name, value) in own {
            if let Some(name) = name.as_deref().filter(|_| !value.is_null()) {
                row[name] = value;
            }
        }
        row
    }

    /// What the visits are upserted by: the path and the body.
    pub(super) fn upsert(&self, visits: &[VisitRecord]) -> (String, Value) {
        let names = &self.settings.visit;
        let row = |visit: &VisitRecord| {
            let mut row = self.said(visit);
            row[&names.key] = visit.key.to_string().into();
            row[&names.contact] = visit.contact.0.as_str().into();
            row
        };
        let rows: Vec<Value> = visits.iter().map(row).collect();
        let path = format!("/composite/sobjects/{}/{}", names.object, names.key);
        (path, json!({ "allOrNone": false, "records": rows }))
    }

    /// The rows of visits with these keys and their ids. A right that was taken away is an error here, while a write by
    /// the key would answer 404 for it as for a row that is not there.
    pub(super) async fn there(&mut self, keys: &[Uuid]) -> Result<Vec<(Uuid, String)>, Failure> {
        let (object, key) = (self.settings.visit.object.clone(), self.settings.visit.key.clone());
        let mut there = Vec::new();
        for keys in keys.chunks(BATCH) {
            let keys: Vec<String> = keys.iter().map(|key| format!("'{key}'")).collect();
            let soql = format!("SELECT Id,{key} FROM {object} WHERE {key} IN ({})", keys.join(","));
            let rows = self.query("query", &soql).await?.records;
            let read = |row: &Value| Some((row[&key].as_str()?.parse().ok()?, row["Id"].as_str()?.to_owned()));
            there.extend(rows.iter().filter_map(read));
        }
        Ok(there)
    }

    /// Changes the row of one visit; one that is not there stays away.
    pub(super) async fn update_visit(&mut self, key: Uuid, mut change: Value) -> Result<(), Failure> {
        let Some((_, id)) = self.there(&[key]).await?.pop() else { return Ok(()) };
        change["attributes"] = json!({ "type": self.settings.visit.object });
        change["id"] = id.into();
        self.update(&[change]).await?.into_iter().try_for_each(wire::unless_gone)
    }

    pub(super) async fn delete_visits(&mut self, gone: &Forgotten) -> Result<(), Failure> {
        let keys: Vec<Uuid> = gone.visits.iter().map(|visit| visit.key).collect();
        let there = self.there(&keys).await?;
        for batch in there.chunks(BATCH) {
            let ids: Vec<&str> = batch.iter().map(|(_, id)| id.as_str()).collect();
            let ids = ids.join(",");
            let build =
                |base: &str| Request::delete(format!("{base}/composite/sobjects?allOrNone=false")).query("ids", &ids);
            let reply = self.call(build).await?;
            let done = wire::rows(&reply, batch.len(), None, &*self.tools.clock)?;
            done.into_iter().map(|row| row.map(|_| ())).try_for_each(wire::unless_gone)?;
        }
        Ok(())
    }

    pub(super) async fn standing(&mut self, contact: &ContactId) -> Result<Vec<Standing>, Failure> {
        if !is_id(&contact.0) {
            return Ok(Vec::new());
        }
        let (names, store) = (self.settings.visit.clone(), self.settings.record.store.clone());
        let mut columns = vec!["Id", &names.key, &names.at, &names.void, &names.counter];
        columns.extend(store.as_deref().filter(|store| *store != names.counter));
        let (columns, object, of) = (columns.join(","), &names.object, &names.contact);
        let mut page = self
            .query("query", &format!("SELECT {columns} FROM {object} WHERE {of} = '{}' ORDER BY Id", contact.0))
            .await?;
        let mut all = Vec::new();
        loop {
            all.extend(page.records.iter().filter_map(|row| wire::standing(row, &names, store.as_deref())));
            match page.next {
                Some(rest) => page = self.next_page(&rest).await?,
                None => return Ok(all),
            }
        }
    }
}

/// As much of a text as a field holds.
fn short(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}
