//! Single records of a SugarCRM tenant: by `sync_key`, and as its database has them.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{FakeSugar, Said, error};
use crate::crm::{FakeRecords, remarked};

impl FakeSugar {
    pub(super) fn by_sync_key(
        &mut self,
        name: &'static str,
        key: &str,
        method: &str,
        body: &Value,
        now: Timestamp,
    ) -> Said {
        if !self.admin {
            return error(403, "not_authorized");
        }
        let known = self.sync_keys.iter().find(|(_, own)| *own == key).map(|(id, _)| id.clone());
        let live = known.clone().filter(|id| self.beans.get(name, id).is_some());
        match (method, live) {
            ("GET", Some(id)) => (200, self.shown(name, self.beans.get(name, &id).unwrap(), None)),
            ("DELETE", Some(id)) => {
                self.beans.remove(name, &id, now);
                (200, json!({ "id": id }))
            }
            ("PATCH" | "PUT", live) => {
                if let (Some(binned), None) = (&known, &live) {
                    self.sync_keys.remove(binned);
                }
                let created = live.is_none();
                let mut body = body.clone();
                body["sync_key"] = key.into();
                match self.write(name, live.as_deref(), &body, now) {
                    Ok(id) => (if created { 201 } else { 200 }, json!({ "record": id })),
                    // Whatever a creation fails of, but for a right.
                    Err((status, _)) if created && status != 403 => error(422, "invalid_parameter"),
                    Err(said) => said,
                }
            }
            _ => error(422, "invalid_parameter"),
        }
    }
}

impl FakeRecords for FakeSugar {
    fn raw(&self, record: &str) -> Option<String> {
        Some(format!("{} {:?}", self.beans.raw(record)?, self.sync_keys.get(record)))
    }

    fn plant(&mut self, record: &str, contact: &str, now: Timestamp) {
        self.beans.plant(record, contact, now);
    }

    fn remark(&mut self, record: &str, key: &str) -> bool {
        if self.sync_keys.remove(record).is_some() && !key.is_empty() {
            self.sync_keys.insert(record.to_owned(), key.to_owned());
        }
        let bean = self.beans.get_mut("Meetings", record).unwrap();
        if let Some(own) = bean.get_mut("snova_visit_c") {
            *own = key.to_owned();
        }
        if let Some(said) = bean.get_mut("description") {
            *said = remarked(said, key);
        }
        true
    }
}
