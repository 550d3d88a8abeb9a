//! Visits by v4_1: meetings under our key, some twenty a call, each in its contact's list or not recorded.
//!
//! `set_relationship` answers "created" for a contact in the bin and for one that never was: a tie counts once it is read.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{SuiteCrm, entries, wire, written};
use crate::crm::{Failure, RecordId, VisitRecord};
use crate::vendors::sugar::shape::{CONTACTS, MEETINGS, Row, Values};
use crate::vendors::sugar::suitecrm::{no_time, unexplained};

/// A meeting that is there.
struct There {
    is_dated: bool,
    /// In whose lists it is; `None` where SuiteCRM does not show that beside the meetings.
    contacts: Option<BTreeSet<String>>,
}

impl There {
    fn is_tied(&self, visit: &VisitRecord) -> bool {
        self.contacts.as_ref().is_some_and(|contacts| contacts.contains(&visit.contact.0))
    }
}

type Meetings = BTreeMap<String, There>;

fn missing<'a>(visits: &[&'a VisitRecord], there: &Meetings) -> Vec<&'a VisitRecord> {
    visits.iter().filter(|visit| !there.contains_key(&visit.key.to_string())).copied().collect()
}

fn keys(visits: &[&VisitRecord]) -> Vec<String> {
    visits.iter().map(|visit| visit.key.to_string()).collect()
}

impl SuiteCrm {
    pub(super) fn new_meeting(&self, visit: &VisitRecord, owner: Option<&str>) -> Value {
        let mut values = self.shape.meeting(visit, owner);
        // Saved with it, the meeting comes into the contact's list; a parent alone does not do that.
        values.insert("contact_id".to_owned(), visit.contact.0.as_str().into());
        written(&visit.key.to_string(), &values, true)
    }

    /// Which of these visits are there, with their time and their contacts.
    async fn meetings(&mut self, keys: &[String]) -> Result<Meetings, Failure> {
        if keys.is_empty() {
            return Ok(Meetings::new());
        }
        let links = json!([{ "name": "contacts", "value": ["id"] }]);
        let arguments = entries(MEETINGS, keys, &["date_start".to_owned()], links);
        let body = self.call("get_entries", &arguments).await?;
        let rows: Vec<Row> = wire::rows(&body)?.into_iter().filter(|row| !row.deleted).collect();
        let mut linked = wire::linked(&body, rows.len()).map(Vec::into_iter);
        let mut there = Meetings::new();
        for row in rows {
            let contacts = match &mut linked {
                Some(linked) => linked.next(),
                None => Some(self.contacts_of(&row.id).await?),
            };
            there.insert(row.id.clone(), There { is_dated: row.text("date_start").is_some(), contacts });
        }
        Ok(there)
    }

    /// The same for one meeting, where they are not shown beside the meetings (unverified that every release does).
    async fn contacts_of(&mut self, key: &str) -> Result<BTreeSet<String>, Failure> {
        let arguments = json!({
            "module_name": MEETINGS, "module_id": key, "link_field_name": "contacts", "related_module_query": "",
            "related_fields": ["id"], "related_module_link_name_to_fields_array": [], "deleted": 0,
        });
        let rows = wire::rows(&self.call("get_relationships", &arguments).await?)?;
        Ok(rows.into_iter().map(|row| row.id).collect())
    }

    pub(super) async fn record_all(
        &mut self,
        visits: &[VisitRecord],
    ) -> Result<Vec<Result<RecordId, Failure>>, Failure> {
        // A contact in the bin is found out before anything is made.
        let contacts: BTreeSet<String> = visits.iter().map(|visit| visit.contact.0.clone()).collect();
        let owners = self.entries(CONTACTS, &Vec::from_iter(contacts), &["assigned_user_id".to_owned()]).await?;
        let owners: BTreeMap<String, Option<String>> =
            owners.into_iter().map(|row| (row.id.clone(), row.text("assigned_user_id").map(str::to_owned))).collect();
        let live: Vec<&VisitRecord> = visits.iter().filter(|visit| owners.contains_key(&visit.contact.0)).collect();
        let mut there = self.create(&live, &owners).await?;
        self.tie(&live, &mut there).await?;
        let absent = keys(&missing(&live, &there));
        let thrown = self.thrown_away(MEETINGS, &absent).await?;
        let mut rows = Vec::with_capacity(visits.len());
        for visit in visits {
            let key = visit.key.to_string();
            rows.push(match there.get(&key) {
                _ if !owners.contains_key(&visit.contact.0) => Err(self.shape.gone(&visit.contact)),
                Some(meeting) if !meeting.is_dated => return Err(no_time()),
                Some(meeting) if meeting.is_tied(visit) => Ok(RecordId(key)),
                // The next try asks for the contact first.
                Some(_) => Err(Failure::transient(
                    "SuiteCRM took a visit and does not show it in its contact's list; it is tried again",
                )),
                // Somebody there has thrown it away: it was recorded, and stays away.
                None if thrown.contains(&key) => Ok(RecordId(key)),
                None => Err(unexplained()),
            });
        }
        Ok(rows)
    }

    /// Creates what is not there and says what is there then. The answer itself is not trusted.
    async fn create(
        &mut self,
        visits: &[&VisitRecord],
        owners: &BTreeMap<String, Option<String>>,
    ) -> Result<Meetings, Failure> {
        let before = self.meetings(&keys(visits)).await?;
        let absent = missing(visits, &before);
        if absent.is_empty() {
            return Ok(before);
        }
        let row = |crm: &Self, visit: &VisitRecord| {
            let owner = owners.get(&visit.contact.0).and_then(Option::as_deref);
            crm.new_meeting(visit, owner.or(crm.own_user.as_deref()))
        };
        let rows = absent.iter().map(|visit| row(self, visit)).collect();
        let failed = self.set_entries(MEETINGS, rows).await?.is_none();
        let there = self.meetings(&keys(visits)).await?;
        let left = missing(&absent, &there);
        if !failed || visits.len() == 1 || left.is_empty() {
            return Ok(there);
        }
        // The database failed at one row: those before it were kept, those after it never looked at. Each goes alone.
        for visit in left {
            let row = row(self, visit);
            self.set_entries(MEETINGS, vec![row]).await?;
        }
        self.meetings(&keys(visits)).await
    }

    /// Ties what saving left in nobody's list, or in another contact's: by saving it with the contact once more, then by
    /// hand; and reads what came of it.
    async fn tie(&mut self, visits: &[&VisitRecord], there: &mut Meetings) -> Result<(), Failure> {
        for by_hand in [false, true] {
            let loose: Vec<&VisitRecord> = visits
                .iter()
                .filter(|visit| there.get(&visit.key.to_string()).is_some_and(|meeting| !meeting.is_tied(visit)))
                .copied()
                .collect();
            if loose.is_empty() {
                return Ok(());
            }
            if by_hand {
                for visit in &loose {
                    let arguments = json!({
                        "module_name": MEETINGS, "module_id": visit.key, "link_field_name": "contacts",
                        "related_ids": [visit.contact.0], "name_value_list": [], "delete": 0,
                    });
                    self.call("set_relationship", &arguments).await?;
                }
            } else {
                let row = |visit: &&VisitRecord| {
                    let own =
                        [("parent_type", CONTACTS), ("parent_id", &*visit.contact.0), ("contact_id", &visit.contact.0)];
                    let values: Values = own.map(|(name, value)| (name.to_owned(), value.into())).into_iter().collect();
                    written(&visit.key.to_string(), &values, false)
                };
                self.set_entries(MEETINGS, loose.iter().map(row).collect()).await?;
            }
            there.extend(self.meetings(&keys(&loose)).await?);
        }
        Ok(())
    }
}
