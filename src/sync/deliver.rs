//! Claimed events on their way: visits in batches, bisected when one of them is refused; takings back, amendments and erasures.
//!
//! Which events come next, and in which order, is the store's `claim`.

use std::time::Duration;

use uuid::Uuid;

use super::{Courier, later, marking};
use crate::crm::{ContactId, Failure, FailureClass, Forgotten, Greeting, RecordId, SentVisit, VisitRecord};
use crate::store::{Claimed, Conclusion, SentRecord, StoreError, Task, Tombstone, Visit, VisitVerdict};

/// A visit that fails so often by itself, while others get through, is given up.
const MOST_ATTEMPTS: u32 = 30;

/// One visit with what its event says.
struct Parcel {
    record: VisitRecord,
    attempts: u32,
}

impl Courier {
    pub(super) async fn deliver(&mut self, claimed: Vec<Claimed>) -> Result<(), StoreError> {
        let mut parcels = Vec::new();
        for claimed in claimed {
            match &claimed.task {
                Task::Visit(visit) => parcels.push(self.parcel(&claimed, visit)),
                Task::Void(sent) => {
                    let sent = sent_visit(sent, claimed.contact.as_deref());
                    let outcome = self.parts.connector.void(&sent).await;
                    self.conclude_one(&claimed, outcome, "void")?;
                }
                Task::Amend(visit, sent) => {
                    let sent = sent_visit(sent, claimed.contact.as_deref());
                    let record = VisitRecord { key: sent.key, ..self.parcel(&claimed, visit).record };
                    let outcome = self.parts.connector.amend(&record, &sent).await;
                    self.conclude_one(&claimed, outcome, "amended")?;
                }
                Task::Erasure(tombstone) => {
                    let outcome = self.forget(&claimed, tombstone).await;
                    self.conclude_one(&claimed, outcome, "erased")?;
                }
            }
        }
        let parcels = self.without_the_unsettled(parcels)?;
        if parcels.is_empty() { Ok(()) } else { self.deliver_visits(parcels).await }
    }

    /// Puts back what is in doubt and whose last request may still be under way, whatever the wall clock says.
    fn without_the_unsettled(&mut self, parcels: Vec<Parcel>) -> Result<Vec<Parcel>, StoreError> {
        let now = self.parts.clock.monotonic();
        let rest = |parcel: &Parcel| match parcel.record.tried_at {
            Some(_) => self.settling.rest(parcel.record.key, now),
            None => Duration::ZERO,
        };
        let (early, ready): (Vec<Parcel>, Vec<Parcel>) =
            parcels.into_iter().partition(|parcel| !rest(parcel).is_zero());
        let again = |parcel: &Parcel| {
            let said = "a request about it may still be under way".to_owned();
            let not_before = later(self.now(), rest(parcel));
            (parcel.record.key, Conclusion::Again { class: FailureClass::Transient.as_str(), said, not_before })
        };
        let early = early.iter().map(again).collect();
        self.write(early)?;
        Ok(ready)
    }

    fn parcel(&self, claimed: &Claimed, visit: &Visit) -> Parcel {
        let contact = match &claimed.contact {
            Some(contact) if self.manners.needs_contact => contact.clone(),
            _ if self.manners.needs_contact => String::new(),
            _ => claimed.customer.to_string(),
        };
        let record = record_of(claimed, visit, ContactId(contact), &self.parts.settings.shop, self.box_id);
        Parcel { record, attempts: claimed.attempts }
    }

    async fn deliver_visits(&mut self, parcels: Vec<Parcel>) -> Result<(), StoreError> {
        let (doubtful, mut fresh): (Vec<Parcel>, Vec<Parcel>) =
            parcels.into_iter().partition(|parcel| !self.manners.keyed && parcel.record.tried_at.is_some());
        if !doubtful.is_empty() {
            match self.absent(doubtful).await? {
                Ok(absent) => fresh.extend(absent),
                Err((failure, unsure)) => {
                    self.put_back(unsure.iter().chain(&fresh), &failure)?;
                    return self.rest(&failure);
                }
            }
        }
        // A customer's visits in the order in which they happened, whichever of them were in doubt.
        fresh.sort_by_key(|parcel| parcel.record.key);
        let mut pieces = vec![fresh];
        while let Some(piece) = pieces.pop() {
            if piece.is_empty() {
                continue;
            }
            if let Some(halves) = self.record(piece).await? {
                match halves {
                    Halves::Split(first, second) => pieces.extend([second, first]),
                    Halves::Stop(failure) => {
                        self.put_back(pieces.iter().flatten(), &failure)?;
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// Asks which of these are there already, concludes those, and gives back the rest; or why it cannot be told.
    async fn absent(
        &mut self,
        doubtful: Vec<Parcel>,
    ) -> Result<Result<Vec<Parcel>, (Failure, Vec<Parcel>)>, StoreError> {
        let records: Vec<VisitRecord> = doubtful.iter().map(|parcel| parcel.record.clone()).collect();
        let found = match self.parts.connector.reconcile(&records).await {
            Ok(found) if found.len() == records.len() => found,
            Ok(_) => {
                return Ok(Err((
                    Failure::transient("the CRM did not say of each visit whether it is there"),
                    doubtful,
                )));
            }
            Err(failure) => return Ok(Err((failure, doubtful))),
        };
        let (mut absent, mut concluded) = (Vec::new(), Vec::new());
        for (parcel, found) in doubtful.into_iter().zip(found) {
            match found {
                Some(id) => concluded.push((parcel.record.key, Conclusion::Done(Some(id.0)))),
                None => absent.push(parcel),
            }
        }
        self.parts.metrics.crm_deliveries.inc_by("already_there", concluded.len() as u64);
        self.write(concluded)?;
        Ok(Ok(absent))
    }

    /// Sends one piece of a batch and concludes what can be; what must be done with the rest is given back.
    async fn record(&mut self, mut piece: Vec<Parcel>) -> Result<Option<Halves>, StoreError> {
        let records: Vec<VisitRecord> = piece.iter().map(|parcel| parcel.record.clone()).collect();
        let outcome = match self.parts.connector.record(&records).await {
            Ok(rows) if rows.len() == records.len() => Ok(rows),
            Ok(_) => Err(Failure::transient("the CRM did not say what became of each visit")),
            Err(failure) => Err(failure),
        };
        match outcome {
            Ok(rows) => self.conclude_rows(piece, rows),
            Err(failure) if failure.class == FailureClass::Poison && piece.len() > 1 => {
                // The whole was answered and refused, so nothing is under way. A CRM without a key may still have taken
                // a part of it, and is asked.
                let second = piece.split_off(piece.len() / 2);
                Ok(Some(if self.manners.keyed {
                    Halves::Split(piece, second)
                } else {
                    match self.absent(piece).await? {
                        Ok(first) => match self.absent(second).await? {
                            Ok(second) => Halves::Split(first, second),
                            Err((failure, second)) => self.stop(failure, first.iter().chain(&second))?,
                        },
                        Err((failure, first)) => self.stop(failure, first.iter().chain(&second))?,
                    }
                }))
            }
            Err(failure) => {
                if failure.class == FailureClass::Transient {
                    self.batch = (self.batch / 2).max(1);
                }
                // One that fails alone while all was well is suspected itself; in an outage nothing is held against it.
                let well = self.parts.store.sync_state_of(self.target)?.failing_since.is_none();
                if let [only] = piece.as_slice()
                    && (well || failure.class == FailureClass::Poison)
                {
                    let conclusion = self.after_failure(only.record.key, only.attempts, &failure)?;
                    self.write(vec![(only.record.key, conclusion)])?;
                    if failure.class == FailureClass::Poison {
                        return Ok(None);
                    }
                    self.rest(&failure)?;
                    return Ok(Some(Halves::Stop(failure)));
                }
                Ok(Some(self.stop(failure, piece.iter())?))
            }
        }
    }

    fn stop<'a>(&mut self, failure: Failure, parcels: impl Iterator<Item = &'a Parcel>) -> Result<Halves, StoreError> {
        self.put_back(parcels, &failure)?;
        self.rest(&failure)?;
        Ok(Halves::Stop(failure))
    }

    fn conclude_rows(
        &mut self,
        piece: Vec<Parcel>,
        rows: Vec<Result<RecordId, Failure>>,
    ) -> Result<Option<Halves>, StoreError> {
        let mut concluded = Vec::new();
        let mut whole: Option<Failure> = None;
        let mut recorded = 0;
        for (parcel, row) in piece.iter().zip(rows) {
            let conclusion = match row {
                Ok(id) => {
                    recorded += 1;
                    Conclusion::Done((!id.0.is_empty()).then_some(id.0))
                }
                Err(failure) => {
                    let conclusion = self.after_failure(parcel.record.key, parcel.attempts, &failure)?;
                    // What is true of the login or the tenant is true of all.
                    if !matches!(failure.class, FailureClass::Poison | FailureClass::Transient) {
                        whole = Some(failure);
                    }
                    conclusion
                }
            };
            concluded.push((parcel.record.key, conclusion));
        }
        self.parts.metrics.crm_deliveries.inc_by("recorded", recorded);
        self.write(concluded)?;
        if let Some(failure) = whole {
            self.rest(&failure)?;
            return Ok(Some(Halves::Stop(failure)));
        }
        if recorded > 0 {
            self.batch = (self.batch * 2).min(self.manners.batch.max(1));
            self.well()?;
        }
        Ok(None)
    }

    /// What becomes of one event after a failure of its own.
    fn after_failure(&mut self, event: Uuid, attempts: u32, failure: &Failure) -> Result<Conclusion, StoreError> {
        let (class, said) = (failure.class.as_str(), failure.said().to_owned());
        let hopeless = failure.class == FailureClass::Transient
            && attempts >= MOST_ATTEMPTS
            && self.parts.store.sync_state_of(self.target)?.failing_since.is_none();
        if failure.class == FailureClass::Poison || hopeless {
            self.parts.metrics.crm_deliveries.inc("refused");
            tracing::warn!(%event, class, said, "the CRM refuses an event; look at it with `snova sync status`");
            return Ok(Conclusion::Dead { class, said });
        }
        self.settling.tried(event, self.parts.clock.monotonic());
        let rest = self.backoff.of_event(attempts).max(self.settled_after());
        Ok(Conclusion::Again { class, said, not_before: later(self.now(), rest) })
    }

    /// All of these are tried again later; with a CRM without keys not before what is under way has ended.
    fn put_back<'a>(&mut self, parcels: impl Iterator<Item = &'a Parcel>, failure: &Failure) -> Result<(), StoreError> {
        let (not_before, now) = (later(self.now(), self.settled_after()), self.parts.clock.monotonic());
        let parcels: Vec<&Parcel> = parcels.collect();
        parcels.iter().for_each(|parcel| self.settling.tried(parcel.record.key, now));
        let again = |parcel: &&Parcel| {
            let (class, said) = (failure.class.as_str(), failure.said().to_owned());
            (parcel.record.key, Conclusion::Again { class, said, not_before })
        };
        self.write(parcels.iter().map(again).collect())
    }

    fn settled_after(&self) -> Duration {
        if self.manners.keyed { Duration::ZERO } else { self.manners.settle }
    }

    async fn forget(&mut self, claimed: &Claimed, tombstone: &Tombstone) -> Result<(), Failure> {
        let of_contact = tombstone.contact.as_deref();
        let visits: Vec<_> = tombstone.records.iter().map(|sent| sent_visit(sent, of_contact)).collect();
        let known = tombstone.contact.is_some() || tombstone.perhaps_created;
        if self.manners.needs_contact && !known && visits.is_empty() {
            // The CRM never heard of them.
            return Ok(());
        }
        let gone = Forgotten { key: claimed.event, customer: claimed.customer, visits };
        self.parts.connector.forget(&gone).await?;
        if self.manners.needs_contact && known {
            marking::remove(&mut *self.parts.connector, claimed.customer).await?;
        }
        Ok(())
    }

    /// Concludes an event that travels alone.
    fn conclude_one(&mut self, claimed: &Claimed, outcome: Result<(), Failure>, what: &str) -> Result<(), StoreError> {
        match outcome {
            Ok(()) => {
                self.parts.metrics.crm_deliveries.inc(what);
                self.write(vec![(claimed.event, Conclusion::Done(None))])?;
                self.well()
            }
            Err(failure) => {
                let conclusion = self.after_failure(claimed.event, claimed.attempts, &failure)?;
                self.write(vec![(claimed.event, conclusion)])?;
                if failure.class == FailureClass::Poison { Ok(()) } else { self.rest(&failure) }
            }
        }
    }

    /// Commits what became of events; what the disk does not take is kept and comes before anything else.
    fn write(&mut self, concluded: Vec<(Uuid, Conclusion)>) -> Result<(), StoreError> {
        for (event, conclusion) in &concluded {
            if !matches!(conclusion, Conclusion::Again { .. }) {
                self.settling.concluded(*event);
            }
        }
        self.unwritten.extend(concluded);
        self.parts.store.conclude(self.target, &self.unwritten, self.now())?;
        self.unwritten.clear();
        Ok(())
    }
}

/// What is left of a piece.
enum Halves {
    /// One of them is refused: each half by itself.
    Split(Vec<Parcel>, Vec<Parcel>),
    /// Nothing more is sent now; the piece itself was put back.
    Stop(Failure),
}

/// A record as the ledger has it; its contact is the one it was written for, or else the customer's.
fn sent_visit(sent: &SentRecord, of_customer: Option<&str>) -> SentVisit {
    let contact = sent.contact.as_deref().or(of_customer).unwrap_or_default();
    SentVisit {
        key: sent.key,
        record: sent.record.clone().map(RecordId),
        contact: ContactId(contact.to_owned()),
        written_at: sent.written_at,
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
        tried_at: claimed.tried_at,
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
