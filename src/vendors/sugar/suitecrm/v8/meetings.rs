//! Visits by V8: a meeting under our key, in its contact's list or not recorded.
//!
//! The same key again is refused with "already exist", which is what makes a repetition safe.

use serde_json::{Value, json};

use super::wire::{self, Outcome, Refusal};
use super::{SuiteCrm, posted};
use crate::crm::{Failure, FailureClass, RecordId, VisitRecord};
use crate::vendors::sugar::connector::Api;
use crate::vendors::sugar::shape::{CONTACTS, MEETINGS, Row, Values};
use crate::vendors::sugar::suitecrm::{no_time, unexplained};

/// Contacts whose owners are kept in memory.
const MOST_OWNERS: usize = 10_000;

impl SuiteCrm {
    /// The contact's owner, else Snova's own user; `None` where the contact is gone. Asked for once a run.
    async fn owner(&mut self, contact: &str) -> Result<Option<String>, Failure> {
        if let Some(owner) = self.owners.get(contact) {
            return Ok(Some(owner.clone()));
        }
        let rows = self.read(CONTACTS, &[contact.to_owned()], &["assigned_user_id".to_owned()]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let owner = match row.text("assigned_user_id") {
            Some(owner) => owner.to_owned(),
            None => self.own_user().await?,
        };
        if self.owners.len() >= MOST_OWNERS {
            self.owners.clear();
        }
        self.owners.insert(contact.to_owned(), owner.clone());
        Ok(Some(owner))
    }

    /// Empty where SuiteCRM does not say.
    async fn own_user(&mut self) -> Result<String, Failure> {
        if self.own_user.is_none() {
            let body = match self.get("/current-user", "", &[]).await {
                Ok(Outcome::Done(body)) => body,
                Ok(Outcome::Refused(_)) => Value::Null,
                // Earlier releases have no such address.
                Err(failure) if failure.class == FailureClass::TenantBlocked => Value::Null,
                Err(failure) => return Err(failure),
            };
            self.own_user = Some(body["data"]["id"].as_str().unwrap_or_default().to_owned());
        }
        Ok(self.own_user.clone().unwrap_or_default())
    }

    pub(super) fn values(&self, visit: &VisitRecord, owner: &str) -> Values {
        let mut values = self.shape.meeting(visit, Some(owner).filter(|owner| !owner.is_empty()));
        // Saved with it, the meeting comes into the contact's list; a parent alone does not do that.
        values.insert("contact_id".to_owned(), visit.contact.0.as_str().into());
        values
    }

    /// The outer failure is one of all visits, the inner of this one.
    pub(super) async fn record_one(&mut self, visit: &VisitRecord) -> Result<Result<RecordId, Failure>, Failure> {
        let key = visit.key.to_string();
        let Some(owner) = self.owner(&visit.contact.0).await? else { return Ok(Err(self.shape.gone(&visit.contact))) };
        let mut values = self.values(visit, &owner);
        let kept = match self.write(true, MEETINGS, &key, &values).await? {
            Outcome::Done(body) => body,
            Outcome::Refused(Refusal::Exists) => {
                // Sent before. What a cut or a contact that has gone since left wrong is put right; status is not
                // touched, and a meeting that somebody has thrown away stays so.
                values.retain(|name, _| {
                    matches!(&**name, "date_start" | "date_end" | "parent_type" | "parent_id" | "contact_id")
                });
                match self.write(false, MEETINGS, &key, &values).await?.found("writing a meeting")? {
                    None => return Ok(Ok(RecordId(key))),
                    Some(body) => body,
                }
            }
            Outcome::Refused(Refusal::Database) => return Ok(Err(unexplained())),
            Outcome::Refused(Refusal::Rule) => {
                return Ok(Outcome::Refused(Refusal::Rule).done("this visit").map(|_| RecordId(key)));
            }
            refused => refused.done("writing a meeting")?,
        };
        let kept = wire::row(&kept["data"]).unwrap_or_default();
        if kept.text("date_start").is_none() {
            return Err(no_time());
        }
        if self.is_tied(visit, &kept).await? {
            return Ok(Ok(RecordId(key)));
        }
        // The meeting is there, in nobody's list; it is found by its key.
        self.owners.remove(&visit.contact.0);
        Ok(Err(self.shape.gone(&visit.contact)))
    }

    /// Whether the meeting is in its contact's list. Saving puts it there if the contact is there, whose name the answer
    /// then bears; where either is not so, it is tied by hand. `false` where there is no such contact.
    async fn is_tied(&mut self, visit: &VisitRecord, kept: &Row) -> Result<bool, Failure> {
        let key = visit.key.to_string();
        if kept.text("contact_name").is_some() {
            if self.ties_by_saving.is_none() {
                let path = format!("/module/Meetings/{key}/relationships/contacts");
                let body = self.get(&path, "", &[]).await?.done("looking at a meeting's contacts")?;
                self.ties_by_saving = Some(wire::rows(&body)?.0.iter().any(|row| row.id == visit.contact.0));
            }
            if self.ties_by_saving == Some(true) {
                return Ok(true);
            }
        }
        let body = json!({ "data": { "type": CONTACTS, "id": visit.contact.0 } });
        let reply = self.call(|base| posted(format!("{base}/module/Meetings/{key}/relationships"), &body)).await?;
        let tied = wire::outcome(&reply, &visit.contact.0, &*self.tools.clock)?;
        Ok(tied.found("tying a meeting to its contact")?.is_some())
    }
}
