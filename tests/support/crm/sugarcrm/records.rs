//! Single meetings of a SugarCRM tenant.

use jiff::Timestamp;

use super::FakeSugar;
use crate::crm::{FakeRecords, remarked};

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
