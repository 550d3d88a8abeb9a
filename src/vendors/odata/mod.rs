//! CRMs that speak OData 4, Creatio and Microsoft Dynamics 365: what their connectors share. A visit is a row whose
//! primary key is the visit's own, and a contact made by Snova one whose key is the person's, so that there can be one only.
//!
//! Literals, batches' parts and refusals are `wire`'s, the columns of rows `rows`'s, records of visits `visits`'s, the fields
//! that Snova can make `prepare`'s; what only one of the two does is its own ([`Dialect`]).

pub mod creatio;
pub mod dynamics;
mod login;
mod prepare;
mod road;
mod rows;
mod visits;
mod wire;

use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use uuid::Uuid;

use self::login::Session;
use self::road::OData;
use self::rows::Words;
use self::wire::{Answer, Doing, Part, guid};
use crate::crm::{
    Changes, Contact, ContactId, Creation, CrmConnector, Failure, Finding, Forgotten, Heartbeat, Http, Manners,
    NewContact, RecordId, Reply, Request, Seek, SentVisit, Standing, Told, Tools, VisitRecord, phone_spellings,
};
use crate::i18n::Language;

/// Five a second: Creatio publishes no limit, and of Dynamics's 6000 in five minutes they are a quarter.
const INTERVAL: Duration = Duration::from_millis(200);
/// Requests of one `$batch`. Creatio allows a hundred, Dynamics a thousand; all must be done in one request's time.
const BATCH: usize = 20;
/// Rows of one page.
const PAGE: usize = 500;
/// What the column of the mark must hold: eight boxes.
const MARK_CHARS: usize = 250;

/// What only one of the two vendors does.
#[async_trait]
pub trait Dialect: Sized + Send + Sync + 'static {
    fn words(&self) -> &Words;

    /// Where the entity sets are.
    fn base(&self) -> String;

    async fn log_in(&self, http: &mut Http, tools: &Tools) -> Result<Session, Failure>;

    /// Whether the answer shows that the session has ended.
    fn is_lost(reply: &Reply) -> bool;

    fn headed(request: Request) -> Request;

    fn reading(request: Request) -> Request;

    /// A batch that goes on after a part was refused; `plain` where the headers of the vendor's own pages are refused.
    fn batch(base: &str, parts: &[Part], plain: bool) -> Request;

    /// The answers in the order of the parts; `None` for one that was not come to.
    fn answers(reply: &Reply, wanted: usize) -> Result<Vec<Option<Answer>>, Failure>;

    /// Learns once what the site's own lists are called.
    async fn ready(_site: &mut OData<Self>) -> Result<(), Failure> {
        Ok(())
    }

    /// The texts of a visit's row: what an amendment rewrites.
    fn texts(&self, visit: &VisitRecord, language: Language) -> Value;

    /// The rest of it, but for contact and owner.
    fn frame(&self, visit: &VisitRecord) -> Value;

    /// What binds a visit's row to its contact.
    fn contact(&self, contact: &str) -> (String, Value);

    /// What gives it the owner of the contact with that row.
    fn owner(&self, _contact: &Value) -> Option<(String, Value)> {
        None
    }

    /// What completes the row of a visit, just created (`None`) or as it is there; `None` where nothing is missing.
    fn completion(&self, _there: Option<&Value>) -> Option<Value> {
        None
    }

    /// What opens a completed row that takes no change.
    fn reopening(&self) -> Option<Value> {
        None
    }

    fn voiding(&self) -> Value;

    fn is_void(&self, row: &Value) -> bool;

    /// The store of a visit whose row has no column for it by the configuration.
    fn store_of(&self, _row: &Value) -> Option<String> {
        None
    }

    async fn changed(site: &mut OData<Self>, cursor: &str) -> Result<Changes, Failure>;

    async fn prepare(site: &mut OData<Self>) -> Vec<Finding>;

    async fn probe(site: &mut OData<Self>) -> Vec<Finding>;

    async fn heartbeat(site: &mut OData<Self>, beat: &Heartbeat) -> Result<bool, Failure>;
}

#[async_trait]
impl<D: Dialect> CrmConnector for OData<D> {
    fn manners(&self) -> Manners {
        Manners {
            keyed: true,
            batch: BATCH,
            keyed_contacts: true,
            settle: Duration::ZERO,
            mark_chars: MARK_CHARS,
            needs_contact: true,
        }
    }

    async fn record(&mut self, visits: &[VisitRecord]) -> Result<Vec<Result<RecordId, Failure>>, Failure> {
        visits::record(self, visits).await
    }

    async fn reconcile(&mut self, visits: &[VisitRecord]) -> Result<Vec<Option<RecordId>>, Failure> {
        let keys: Vec<Uuid> = visits.iter().map(|visit| visit.key).collect();
        let there = visits::there(self, &keys).await?;
        Ok(keys.iter().map(|key| there.contains_key(key).then(|| RecordId(key.to_string()))).collect())
    }

    async fn void(&mut self, visit: &SentVisit) -> Result<(), Failure> {
        visits::void(self, visit.key).await
    }

    async fn amend(&mut self, visit: &VisitRecord, _: &SentVisit) -> Result<(), Failure> {
        visits::amend(self, visit).await
    }

    async fn forget(&mut self, gone: &Forgotten) -> Result<(), Failure> {
        let keys: Vec<Uuid> = gone.visits.iter().map(|visit| visit.key).collect();
        for some in keys.chunks(BATCH) {
            visits::delete(self, some).await?;
        }
        Ok(())
    }

    async fn find(&mut self, sought: &Seek) -> Result<Vec<Contact>, Failure> {
        let words = self.own.words();
        let is = |field: &str, text: &str| format!("{field} eq {}", wire::quoted(text));
        let any: Vec<String> = match sought {
            Seek::Mark(customer) => {
                let field = self.mark_column()?;
                crate::crm::Mark::words(*customer)
                    .map(|word| format!("contains({field},{})", wire::quoted(&word)))
                    .to_vec()
            }
            Seek::Phone(phone) => {
                let normalised = words.phone_e164.iter().map(|field| is(field, phone));
                let spelt = phone_spellings(phone);
                let spelt = spelt.iter().flat_map(|text| words.phones.iter().map(move |field| is(field, text)));
                normalised.chain(spelt).collect()
            }
            Seek::Email(email) => words.emails.iter().map(|field| is(field, email)).collect(),
        };
        let found = self.contacts(&any).await?;
        Ok(found.into_iter().filter(|contact| sought.is_met_by(contact, self.country)).collect())
    }

    async fn write_mark(&mut self, contact: &ContactId, text: &str) -> Result<(), Failure> {
        let field = self.mark_column()?;
        let set = self.own.words().contacts;
        let id = guid(&contact.0).ok_or_else(|| self.gone())?;
        let written = self.write(Part::new(Doing::Update, set, id, json!({ field: text }))).await;
        // The contact decides, not the answer: either vendor may save nothing with success.
        match self.contact_of(id).await? {
            None => Err(self.gone()),
            // On one that was merged away a mark is taken back, and none is worth anything.
            Some(there) if there.external_id.as_deref().unwrap_or_default() == text.trim() => {
                if there.deleted && !text.is_empty() { Err(self.gone()) } else { Ok(()) }
            }
            Some(_) => {
                written?;
                let most = MARK_CHARS;
                Err(Failure::blocked(
                    format!("{} did not keep the mark; its column must hold {most} characters", self.vendor()),
                    None,
                ))
            }
        }
    }

    async fn create(&mut self, new: &NewContact) -> Result<Creation, Failure> {
        self.mark_column()?;
        let words = self.own.words();
        let (set, vendor) = (words.contacts, words.vendor);
        let row = Value::Object(rows::new_contact(new, words));
        let mut answers = self.send(&[Part::new(Doing::Create, set, new.key, row)]).await?;
        let answer = answers.pop().flatten();
        let failure = match &answer {
            Some(answer) => answer.failure(vendor),
            None => Some(Failure::transient(format!("{vendor} did not come to the request"))),
        };
        match (self.contact_of(new.key).await?, failure) {
            (Some(_), None) => Ok(Creation::Made(ContactId(new.key.to_string()))),
            // Its own key was refused, or the answer to the first try was lost: whose it is says its name and its mark.
            (Some(there), Some(_)) => Ok(Creation::Taken(Box::new(there))),
            (None, Some(failure)) => {
                // The key is refused and nobody is shown: somebody who was deleted.
                let deleted = || Contact { id: new.key.to_string(), deleted: true, ..Contact::default() };
                let is_taken = answer.is_some_and(|answer| answer.is_taken());
                if is_taken { Ok(Creation::Taken(Box::new(deleted()))) } else { Err(failure) }
            }
            (None, None) => {
                Err(Failure::transient(format!("{vendor} says that it created the contact, and does not have it")))
            }
        }
    }

    async fn retire(&mut self, _: &ContactId, _: &ContactId) -> Result<(), Failure> {
        Err(Failure::blocked(format!("{} refuses doubles by their key; none is ever taken back", self.vendor()), None))
    }

    async fn contact(&mut self, id: &ContactId) -> Result<Option<Contact>, Failure> {
        match guid(&id.0) {
            Some(id) => self.contact_of(id).await,
            None => Ok(None),
        }
    }

    async fn changed(&mut self, cursor: &str) -> Result<Changes, Failure> {
        D::changed(self, cursor).await
    }

    async fn visits_of(&mut self, contact: &ContactId) -> Result<Vec<Standing>, Failure> {
        match guid(&contact.0) {
            Some(contact) => visits::of(self, contact).await,
            None => Ok(Vec::new()),
        }
    }

    async fn tell(&mut self, told: &[(ContactId, Told)]) -> Result<Vec<Result<(), Failure>>, Failure> {
        let words = self.own.words();
        let (set, vendor) = (words.contacts, words.vendor);
        if words.told.is_empty() {
            return Ok(told.iter().map(|_| Ok(())).collect());
        }
        let part = |(contact, told): &(ContactId, Told)| {
            Part::new(Doing::Update, set, guid(&contact.0).unwrap_or_default(), rows::told(told, words))
        };
        let parts: Vec<Part> = told.iter().map(part).collect();
        let mut results = Vec::new();
        for some in parts.chunks(BATCH) {
            for answer in self.send(some).await? {
                results.push(match answer {
                    None => Err(Failure::transient(format!("{vendor} did not come to this contact"))),
                    Some(answer) if answer.is_absent() => Err(self.gone()),
                    Some(answer) => answer.failure(vendor).map_or(Ok(()), Err),
                });
            }
        }
        Ok(results)
    }

    async fn prepare(&mut self) -> Vec<Finding> {
        D::prepare(self).await
    }

    async fn probe(&mut self) -> Vec<Finding> {
        D::probe(self).await
    }

    async fn heartbeat(&mut self, beat: &Heartbeat) -> Result<bool, Failure> {
        D::heartbeat(self, beat).await
    }

    fn preview(&self, visits: &[VisitRecord]) -> Vec<String> {
        let parts: Vec<Part> = visits.iter().map(|visit| visits::creation(self, visit, None)).collect();
        parts.chunks(BATCH).map(|some| D::batch(&self.own.base(), some, self.plain).in_words()).collect()
    }
}
