//! Visits on their way in batches: what is in doubt is asked for first, a batch that is refused is halved until the bad row
//! stands alone, and what became of each is concluded.
//!
//! Which visits come next is the store's `claim`; corrections and erasures travel alone, in `deliver`.

use std::time::Duration;

use uuid::Uuid;

use super::deliver::Parcel;
use super::{Courier, later};
use crate::crm::{ContactId, Failure, FailureClass, RecordId, VisitRecord};
use crate::customer::CustomerId;
use crate::store::{Conclusion, StoreError};

/// A visit that fails so often by itself, while others get through, is given up.
const MOST_ATTEMPTS: u32 = 30;
/// The longest rest of one visit while everything fails: longer than the lane's own, so that another one is tried.
const IN_AN_OUTAGE: Duration = Duration::from_secs(10 * 60);

/// What is left of a piece.
enum Halves {
    /// One of them is refused: each half by itself.
    Split(Vec<Parcel>, Vec<Parcel>),
    /// Nothing more is sent now; the piece itself was put back.
    Stop(Failure),
}

impl Courier {
    pub(super) async fn deliver_visits(&mut self, parcels: Vec<Parcel>) -> Result<(), StoreError> {
        let (doubtful, mut fresh): (Vec<Parcel>, Vec<Parcel>) =
            parcels.into_iter().partition(|parcel| !self.manners.keyed && parcel.in_doubt);
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
            Ok(rows) => self.conclude_rows(piece, rows).await,
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
                // One that fails alone rests by itself too: if it is the cause, the next try is another's.
                if let [only] = piece.as_slice() {
                    let conclusion = self.after_failure(only.record.key, only.attempts, &failure)?;
                    self.write(vec![(only.record.key, conclusion)])?;
                    if failure.contact_gone {
                        self.contact_lost(only.record.customer, &only.record.contact).await?;
                        return Ok(None);
                    }
                    if failure.class == FailureClass::Poison {
                        return Ok(self.stops_for(&failure)?.then_some(Halves::Stop(failure)));
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

    async fn conclude_rows(
        &mut self,
        piece: Vec<Parcel>,
        rows: Vec<Result<RecordId, Failure>>,
    ) -> Result<Option<Halves>, StoreError> {
        let mut concluded = Vec::new();
        let (mut whole, mut refusal) = (None, None);
        let mut lost: Vec<(CustomerId, ContactId)> = Vec::new();
        let recorded = rows.iter().filter(|row| row.is_ok()).count();
        for (parcel, row) in piece.iter().zip(rows) {
            let conclusion = match row {
                Ok(id) => Conclusion::Done((!id.0.is_empty()).then_some(id.0)),
                Err(mut failure) => {
                    if failure.class == FailureClass::TenantBlocked && recorded > 0 {
                        // It takes others: whatever the vendor calls it, it is this row's own.
                        failure.class = FailureClass::Poison;
                    }
                    let conclusion = self.after_failure(parcel.record.key, parcel.attempts, &failure)?;
                    match failure.class {
                        _ if failure.contact_gone => {
                            let of = (parcel.record.customer, parcel.record.contact.clone());
                            if !lost.contains(&of) {
                                lost.push(of);
                            }
                        }
                        FailureClass::Poison => refusal = Some(failure),
                        FailureClass::Transient => {}
                        // What is true of the login or the tenant is true of all.
                        _ => whole = Some(failure),
                    }
                    conclusion
                }
            };
            concluded.push((parcel.record.key, conclusion));
        }
        self.parts.metrics.crm_deliveries.inc_by("recorded", recorded as u64);
        self.write(concluded)?;
        for (customer, contact) in lost {
            self.contact_lost(customer, &contact).await?;
        }
        if let Some(failure) = whole {
            self.rest(&failure)?;
            return Ok(Some(Halves::Stop(failure)));
        }
        if recorded > 0 {
            self.batch = (self.batch * 2).min(self.manners.batch.max(1));
            self.well()?;
        }
        match refusal {
            Some(refusal) if self.stops_for(&refusal)? => Ok(Some(Halves::Stop(refusal))),
            _ => Ok(None),
        }
    }

    /// What becomes of one event after a failure of its own.
    pub(super) fn after_failure(
        &mut self,
        event: Uuid,
        attempts: u32,
        failure: &Failure,
    ) -> Result<Conclusion, StoreError> {
        let (class, said) = (failure.class.as_str(), failure.said().to_owned());
        if failure.contact_gone {
            // Nothing is held against it: it goes again once a contact is known, and not at once if that is the same one.
            let not_before = later(self.now(), self.backoff.of_event(attempts));
            return Ok(Conclusion::Again { class: FailureClass::Transient.as_str(), said, not_before });
        }
        let well = self.parts.store.sync_state_of(self.target)?.failing_since.is_none();
        // In an outage nothing is held against it.
        let hopeless = failure.class == FailureClass::Transient && attempts >= MOST_ATTEMPTS && well;
        if failure.class == FailureClass::Poison || hopeless {
            self.parts.metrics.crm_deliveries.inc("refused");
            tracing::warn!(%event, class, said, "the CRM refuses an event; look at it with `snova sync status`");
            let not_before = later(self.now(), self.backoff.of_suspect(attempts));
            return Ok(if hopeless {
                Conclusion::Dead { class, said }
            } else {
                Conclusion::Refused { class, said, not_before }
            });
        }
        self.settling.tried(event, self.parts.clock.monotonic());
        let rest = if well { Duration::MAX } else { IN_AN_OUTAGE };
        let rest = self.backoff.of_event(attempts).min(rest).max(self.settled_after());
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
}
