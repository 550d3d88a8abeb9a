//! Claimed events on their way: what each one is for the CRM; takings back, amendments and erasures travel alone.
//!
//! Which events come next, and in which order, is the store's `claim`; visits go in batches, by `batch`.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::{Courier, later, marking};
use crate::crm::{ContactId, Failure, FailureClass, Forgotten, Greeting, MUCH_SKEW, RecordId, SentVisit, VisitRecord};
use crate::store::{Claimed, Conclusion, SentRecord, StoreError, Task, Tombstone, Visit, VisitVerdict};

/// One visit with what its event says.
pub(super) struct Parcel {
    pub record: VisitRecord,
    pub attempts: u32,
    /// It was sent before, and may be there.
    pub in_doubt: bool,
}

impl Courier {
    pub(super) async fn deliver(&mut self, claimed: Vec<Claimed>) -> Result<(), StoreError> {
        let mut parcels = Vec::new();
        for claimed in claimed {
            match &claimed.task {
                Task::Visit(visit) => parcels.push(self.parcel(&claimed, visit)),
                Task::Void(sent) => {
                    if self.waits_for_the_lost(&claimed, std::slice::from_ref(sent), false)? {
                        continue;
                    }
                    let mut outcome = Ok(());
                    for sent in sent_visits(sent, claimed.contact.as_deref()) {
                        if outcome.is_ok() {
                            outcome = self.parts.connector.void(&sent).await;
                        }
                    }
                    self.conclude_one(&claimed, outcome, "void").await?;
                }
                Task::Amend(visit, sent) => {
                    if self.waits_for_the_lost(&claimed, std::slice::from_ref(sent), false)? {
                        continue;
                    }
                    let sent = sent_visit(sent, claimed.contact.as_deref());
                    let record = VisitRecord { key: sent.key, ..self.parcel(&claimed, visit).record };
                    let outcome = self.parts.connector.amend(&record, &sent).await;
                    self.conclude_one(&claimed, outcome, "amended").await?;
                }
                Task::Erasure(tombstone) => {
                    if self.waits_for_the_lost(&claimed, &tombstone.records, tombstone.perhaps_created)? {
                        continue;
                    }
                    let outcome = self.forget(&claimed, tombstone).await;
                    self.conclude_one(&claimed, outcome, "erased").await?;
                }
            }
        }
        let parcels = self.without_the_unsettled(parcels)?;
        if parcels.is_empty() { Ok(()) } else { self.deliver_visits(parcels).await }
    }

    /// Puts back what is in doubt and whose last request may still be under way, whatever the wall clock says.
    fn without_the_unsettled(&mut self, parcels: Vec<Parcel>) -> Result<Vec<Parcel>, StoreError> {
        let now = self.parts.clock.monotonic();
        let rest = |parcel: &Parcel| {
            if parcel.in_doubt { self.settling.before_resend(parcel.record.key, now) } else { Duration::ZERO }
        };
        let (early, ready): (Vec<Parcel>, Vec<Parcel>) =
            parcels.into_iter().partition(|parcel| !rest(parcel).is_zero());
        let early = early.iter().map(|parcel| (parcel.record.key, self.unsettled(rest(parcel)))).collect();
        self.write(early)?;
        Ok(ready)
    }

    /// Puts back a removal of records about which a lost request may still be carried out: it would find nothing, and the
    /// request would write the record after it. Whether it was put back.
    fn waits_for_the_lost(
        &mut self,
        claimed: &Claimed,
        records: &[SentRecord],
        perhaps_created: bool,
    ) -> Result<bool, StoreError> {
        let now = self.parts.clock.monotonic();
        let rest = |sent: &SentRecord| {
            if !self.settles {
                return self.settling.before_removal(sent.key, now);
            }
            // Each such call begins anew: what it knows of tries before is on the disk.
            let ago = Duration::try_from(self.now().duration_since(sent.tried_at)).unwrap_or(Duration::MAX);
            self.settling.before_removal_of_old(sent.key, now, ago)
        };
        // So may one that creates the contact.
        let of_contact = perhaps_created.then(|| self.settling.before_removal(claimed.customer.0, now));
        let rest = records.iter().map(rest).chain(of_contact).max().unwrap_or_default();
        if !rest.is_zero() {
            self.write(vec![(claimed.event, self.unsettled(rest))])?;
        }
        Ok(!rest.is_zero())
    }

    fn unsettled(&self, rest: Duration) -> Conclusion {
        let said = "a request about it may still be under way".to_owned();
        Conclusion::Again { class: FailureClass::Transient.as_str(), said, not_before: later(self.now(), rest) }
    }

    fn parcel(&self, claimed: &Claimed, visit: &Visit) -> Parcel {
        let contact = match &claimed.contact {
            Some(contact) if self.manners.needs_contact => contact.clone(),
            _ if self.manners.needs_contact => String::new(),
            _ => claimed.customer.to_string(),
        };
        let record = record_of(claimed, visit, ContactId(contact), &self.parts.settings.shop, self.box_id);
        let record = VisitRecord { skew: self.skew(), ..record };
        Parcel { record, attempts: claimed.attempts, in_doubt: claimed.tried_at.is_some() }
    }

    /// By how much the box's clock is ahead of the CRM's, where that is much.
    fn skew(&self) -> Option<SignedDuration> {
        let server = self.parts.server_clock.at(self.parts.clock.monotonic())?;
        let ahead = self.now().duration_since(server);
        (ahead.abs() > MUCH_SKEW).then_some(ahead)
    }

    async fn forget(&mut self, claimed: &Claimed, tombstone: &Tombstone) -> Result<(), Failure> {
        let of_contact = tombstone.contact.as_deref();
        let visits: Vec<_> = tombstone.records.iter().flat_map(|sent| sent_visits(sent, of_contact)).collect();
        let known = tombstone.contact.is_some() || tombstone.perhaps_created;
        if self.manners.needs_contact && !known && visits.is_empty() {
            // The CRM never heard of them.
            return Ok(());
        }
        let gone = Forgotten { key: claimed.event, customer: claimed.customer, visits };
        if let Some(contact) = of_contact {
            self.tell_without(&ContactId(contact.to_owned()), &gone).await?;
        }
        self.parts.connector.forget(&gone).await?;
        if self.manners.needs_contact && known {
            marking::remove(&mut *self.parts.connector, claimed.customer, None).await?;
        }
        Ok(())
    }

    /// Concludes an event that travels alone.
    async fn conclude_one(
        &mut self,
        claimed: &Claimed,
        outcome: Result<(), Failure>,
        what: &str,
    ) -> Result<(), StoreError> {
        match outcome {
            Ok(()) => {
                self.parts.metrics.crm_deliveries.inc(what);
                self.write(vec![(claimed.event, Conclusion::Done(None))])?;
                self.well()
            }
            Err(failure) => {
                let conclusion = self.after_failure(claimed.event, claimed.attempts, &failure)?;
                self.write(vec![(claimed.event, conclusion)])?;
                match claimed.contact.clone().filter(|_| failure.contact_gone) {
                    Some(contact) => self.contact_lost(claimed.customer, &ContactId(contact)).await,
                    None if failure.class == FailureClass::Poison => self.stops_for(&failure).map(|_| ()),
                    None => self.rest(&failure),
                }
            }
        }
    }

    /// Commits what became of events; what the disk does not take is kept and comes before anything else.
    pub(super) fn write(&mut self, concluded: Vec<(Uuid, Conclusion)>) -> Result<(), StoreError> {
        self.unwritten.extend(concluded);
        self.lane = self.parts.store.conclude(self.target, &self.unwritten, self.now())?;
        self.unwritten.clear();
        Ok(())
    }
}

/// The same for every contact that a record may stand on: where it was sent for another one before, it may be on either.
fn sent_visits(sent: &SentRecord, of_customer: Option<&str>) -> Vec<SentVisit> {
    let last = sent_visit(sent, of_customer);
    let elder = |contact: &String| SentVisit { contact: ContactId(contact.clone()), ..last.clone() };
    sent.elders.iter().map(elder).chain([last.clone()]).collect()
}

/// A record as the ledger has it; its contact is the one it was last written for, or else the customer's.
fn sent_visit(sent: &SentRecord, of_customer: Option<&str>) -> SentVisit {
    let contact = sent.contact.as_deref().or(of_customer).unwrap_or_default();
    SentVisit {
        key: sent.key,
        record: sent.record.clone().map(RecordId),
        contact: ContactId(contact.to_owned()),
        written_at: sent.server_at.unwrap_or(Timestamp::UNIX_EPOCH),
    }
}

/// What the cashier's answer says of the greeting.
fn greeting_of(verdict: VisitVerdict) -> Option<Greeting> {
    match verdict {
        VisitVerdict::Unanswered | VisitVerdict::Rejected => None,
        VisitVerdict::Confirmed => Some(Greeting::Right),
        VisitVerdict::Other => Some(Greeting::Wrong),
    }
}

/// The facts of a visit for the CRM.
fn record_of(claimed: &Claimed, visit: &Visit, contact: ContactId, shop: &str, box_id: Uuid) -> VisitRecord {
    let record = &visit.record;
    VisitRecord {
        key: claimed.event,
        box_id,
        contact,
        customer: claimed.customer,
        shop: shop.to_owned(),
        counter: record.counter.clone(),
        opened_at: record.opened_at,
        closed_at: visit.closed_at.unwrap_or(record.opened_at),
        how: record.how,
        greeting: greeting_of(visit.verdict),
        served_by: visit.served_by.clone(),
        receipt: visit.receipt.clone(),
        skew: None,
        tried_at: claimed.server_at,
    }
}

/// Visits that wait, as they would be sent, for a look before it happens.
pub fn about_to_be_sent(claimed: &[Claimed], shop: &str, box_id: Uuid) -> Vec<VisitRecord> {
    let visits = claimed.iter().filter_map(|claimed| match &claimed.task {
        Task::Visit(visit) => {
            let contact = ContactId(claimed.contact.clone().unwrap_or_else(|| "(not found yet)".to_owned()));
            Some(record_of(claimed, visit, contact, shop, box_id))
        }
        Task::Void(_) | Task::Amend(..) | Task::Erasure(_) => None,
    });
    visits.collect()
}
