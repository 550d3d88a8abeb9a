//! What a connector of the family does with rows; asking for them and writing them is its [`Api`].
//!
//! Every rule that holds for all three of them is here once: whose record it is, what was kept, who is gone.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;

use super::findings;
use super::shape::{CONTACTS, MEETINGS, Row, Shape, VOID, Values};
use crate::crm::watermark::Watermark;
use crate::crm::{
    Changes, Contact, ContactId, Creation, CrmConnector, Failure, Finding, Forgotten, Heartbeat, Manners, NewContact,
    RecordId, Seek, SentVisit, Standing, Told, VisitRecord,
};

/// One member's way to its rows.
#[async_trait]
pub(super) trait Api: Send {
    fn shape(&self) -> Arc<Shape>;

    fn ways(&self) -> Manners;

    fn now(&self) -> jiff::Timestamp;

    /// The rows with these ids; one that is gone is left out, one in the bin says so where it is known.
    async fn read(&mut self, module: &'static str, ids: &[String], fields: &[String]) -> Result<Vec<Row>, Failure>;

    /// Contacts that the CRM finds by this; more than are meant may be among them.
    async fn search(&mut self, sought: &Seek) -> Result<Vec<Row>, Failure>;

    /// A page of contacts changed, and the ids of those thrown away, since then; and whether there are more.
    async fn since(&mut self, mark: &Watermark) -> Result<(Vec<Row>, Vec<String>, bool), Failure>;

    /// A new contact under that id; `None` where the CRM has one, or has it in its bin.
    async fn create_contact(&mut self, id: &str, values: &Values) -> Result<Option<Row>, Failure>;

    /// Changes rows, and answers for each as it is then; `None` is one that is gone.
    async fn change(
        &mut self,
        module: &'static str,
        rows: &[(String, Values)],
    ) -> Result<Vec<Result<Option<Row>, Failure>>, Failure>;

    /// Removes rows; what is not there is no error.
    async fn remove(&mut self, module: &'static str, ids: &[String]) -> Result<(), Failure>;

    /// The ids of the meetings that bear these visits' keys or marks: the keys themselves, where they are the ids and what
    /// is not there does no harm.
    async fn ours(&mut self, visits: &[SentVisit]) -> Result<Vec<String>, Failure> {
        Ok(visits.iter().map(|visit| visit.key.to_string()).collect())
    }

    /// All meetings in a contact's list; `None` where the contact is gone.
    async fn meetings_of(&mut self, contact: &str) -> Result<Option<Vec<Row>>, Failure>;

    /// See [`CrmConnector::record`].
    async fn send(&mut self, visits: &[VisitRecord]) -> Result<Vec<Result<RecordId, Failure>>, Failure>;

    /// See [`CrmConnector::reconcile`]. One in the bin is not there.
    async fn look_for(&mut self, visits: &[VisitRecord]) -> Result<Vec<Option<RecordId>>, Failure> {
        let keys: Vec<String> = visits.iter().map(|visit| visit.key.to_string()).collect();
        let there = self.read(MEETINGS, &keys, &["date_start".to_owned()]).await?;
        let is_there = |key: &String| there.iter().any(|row| row.id == *key && !row.deleted);
        Ok(keys.into_iter().map(|key| is_there(&key).then_some(RecordId(key))).collect())
    }

    /// Logs in anew and looks at what this member needs beside the fields; the error is a login that fails.
    async fn look(&mut self) -> Result<Vec<Finding>, Failure>;

    /// The names of a module's fields.
    async fn fields(&mut self, module: &'static str) -> Result<BTreeSet<String>, Failure>;

    /// See [`CrmConnector::preview`].
    fn show(&self, visits: &[VisitRecord]) -> Vec<String>;
}

async fn change_one(
    api: &mut impl Api,
    module: &'static str,
    id: &str,
    values: Values,
) -> Result<Option<Row>, Failure> {
    let changed = api.change(module, &[(id.to_owned(), values)]).await?.pop();
    changed.unwrap_or_else(|| Err(Failure::transient("the CRM's answer passed over a row")))
}

/// Writes on whatever bears the visit's key or mark; what is gone is no error.
async fn rewrite(api: &mut impl Api, sent: &SentVisit, values: &Values) -> Result<(), Failure> {
    for meeting in api.ours(std::slice::from_ref(sent)).await? {
        change_one(api, MEETINGS, &meeting, values.clone()).await?;
    }
    Ok(())
}

#[async_trait]
impl<A: Api> CrmConnector for A {
    fn manners(&self) -> Manners {
        self.ways()
    }

    async fn record(&mut self, visits: &[VisitRecord]) -> Result<Vec<Result<RecordId, Failure>>, Failure> {
        self.send(visits).await
    }

    async fn reconcile(&mut self, visits: &[VisitRecord]) -> Result<Vec<Option<RecordId>>, Failure> {
        self.look_for(visits).await
    }

    async fn void(&mut self, visit: &SentVisit) -> Result<(), Failure> {
        rewrite(self, visit, &Values::from_iter([("status".to_owned(), VOID.into())])).await
    }

    async fn amend(&mut self, visit: &VisitRecord, sent: &SentVisit) -> Result<(), Failure> {
        // Its status is left alone: a void one stays void.
        let words = self.shape().words(visit);
        rewrite(self, sent, &words).await
    }

    async fn forget(&mut self, gone: &Forgotten) -> Result<(), Failure> {
        let meetings = self.ours(&gone.visits).await?;
        self.remove(MEETINGS, &meetings).await
    }

    async fn find(&mut self, sought: &Seek) -> Result<Vec<Contact>, Failure> {
        let shape = self.shape();
        let rows = self.search(sought).await?;
        let contacts = rows.iter().filter(|row| !row.deleted).map(|row| shape.contact(row));
        let mut met: Vec<Contact> = contacts.filter(|contact| sought.is_met_by(contact, shape.country)).collect();
        met.sort_by(|a, b| a.id.cmp(&b.id));
        met.dedup_by(|a, b| a.id == b.id);
        Ok(met)
    }

    async fn write_mark(&mut self, contact: &ContactId, text: &str) -> Result<(), Failure> {
        let shape = self.shape();
        let field = shape.external_id()?;
        let row = change_one(self, CONTACTS, &contact.0, Values::from_iter([(field.to_owned(), text.into())])).await?;
        let kept = row.filter(|row| !row.deleted).ok_or_else(|| shape.gone(contact))?;
        if kept.text(field).unwrap_or_default() == text.trim() { Ok(()) } else { Err(shape.not_kept(field)) }
    }

    async fn create(&mut self, new: &NewContact) -> Result<Creation, Failure> {
        let shape = self.shape();
        let field = shape.external_id()?;
        let id = new.key.to_string();
        match self.create_contact(&id, &shape.new_contact(new)?).await? {
            Some(row) if row.text(field) == Some(new.mark.trim()) => Ok(Creation::Made(ContactId(row.id))),
            Some(_) => Err(shape.not_kept(field)),
            None => {
                let there = self.contact(&ContactId(id.clone())).await?;
                // What is taken and cannot be read is in the bin.
                let there = there.unwrap_or(Contact { id, deleted: true, ..Contact::default() });
                Ok(Creation::Taken(Box::new(there)))
            }
        }
    }

    async fn retire(&mut self, younger: &ContactId, _: &ContactId) -> Result<(), Failure> {
        self.remove(CONTACTS, std::slice::from_ref(&younger.0)).await
    }

    async fn contact(&mut self, id: &ContactId) -> Result<Option<Contact>, Failure> {
        let shape = self.shape();
        let rows = self.read(CONTACTS, std::slice::from_ref(&id.0), &shape.contact_columns()?).await?;
        Ok(rows.iter().find(|row| row.id == id.0).map(|row| shape.contact(row)))
    }

    async fn changed(&mut self, cursor: &str) -> Result<Changes, Failure> {
        let Some(mark) = Watermark::read(cursor) else {
            return Ok(Changes { cursor: Watermark::begin(self.now()).cursor(), ..Changes::default() });
        };
        let shape = self.shape();
        let (rows, gone, more) = self.since(&mark).await?;
        let more = more && !rows.is_empty();
        let latest = rows.iter().filter_map(|row| row.text("date_modified").and_then(super::shape::read_time)).max();
        let next = mark.after(latest, rows.len() as u64, more);
        let gone = gone.into_iter().map(|id| Contact { id, deleted: true, ..Contact::default() });
        let contacts = rows.iter().map(|row| shape.contact(row)).chain(gone).collect();
        Ok(Changes { contacts, cursor: next.cursor(), more })
    }

    async fn visits_of(&mut self, contact: &ContactId) -> Result<Vec<Standing>, Failure> {
        let shape = self.shape();
        let rows = self.meetings_of(&contact.0).await?.ok_or_else(|| shape.gone(contact))?;
        Ok(rows.iter().filter_map(|row| shape.standing(row)).collect())
    }

    async fn tell(&mut self, told: &[(ContactId, Told)]) -> Result<Vec<Result<(), Failure>>, Failure> {
        let shape = self.shape();
        if shape.told.is_empty() {
            return Ok(told.iter().map(|_| Ok(())).collect());
        }
        let rows: Vec<_> = told.iter().map(|(contact, told)| (contact.0.clone(), shape.told(told))).collect();
        let changed = self.change(CONTACTS, &rows).await?;
        let kept = |row: Result<Option<Row>, Failure>, (contact, written): (&ContactId, &Values)| {
            let row = row?.filter(|row| !row.deleted).ok_or_else(|| shape.gone(contact))?;
            let lost = written.keys().find(|name| !row.values.contains_key(*name));
            lost.map_or(Ok(()), |name| Err(shape.not_kept(name)))
        };
        let written = told.iter().zip(&rows).map(|((contact, _), (_, values))| (contact, values));
        Ok(changed.into_iter().zip(written).map(|(row, written)| kept(row, written)).collect())
    }

    async fn prepare(&mut self) -> Vec<Finding> {
        findings::prepare(self).await
    }

    async fn probe(&mut self) -> Vec<Finding> {
        findings::probe(self).await
    }

    /// The family has no place for it.
    async fn heartbeat(&mut self, _: &Heartbeat) -> Result<bool, Failure> {
        Ok(false)
    }

    fn preview(&self, visits: &[VisitRecord]) -> Vec<String> {
        self.show(visits)
    }
}
