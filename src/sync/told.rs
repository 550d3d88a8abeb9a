//! What a contact is told of its visits, beside the mark: counted over the CRM's own records, and written where the
//! owner has given the fields a name.
//!
//! What the records come to is `rollup`'s, when a contact is due `crate::store`'s. Everything may be told again: it is
//! counted anew each time.

use jiff::Timestamp;

use super::rollup::roll_up;
use super::{Courier, later};
use crate::crm::{ConsentWord, ContactId, Failure, FailureClass, Forgotten, Standing, Told};
use crate::customer::{Consent, Purpose};
use crate::store::{DueTold, StoreError};

/// Contacts of one step: each is read before it is written.
const SOME: usize = 20;
/// One that the CRM refuses is tried again after this.
const REFUSED: std::time::Duration = std::time::Duration::from_secs(86_400);

/// A contact with what is to stand on it.
struct Ready {
    due: DueTold,
    told: Told,
    again: Option<Timestamp>,
}

impl Courier {
    /// Tells some contacts that are due; whether anything was asked of the CRM.
    pub(super) async fn tell_some(&mut self, now: Timestamp) -> Result<bool, StoreError> {
        if !self.parts.settings.tells {
            return Ok(false);
        }
        let due = self.parts.store.due_to_tell(self.target, SOME, now)?;
        let asked = !due.is_empty();
        let mut ready = Vec::new();
        for due in due {
            let contact = ContactId(due.contact.clone());
            match self.counted(&due, now).await {
                Ok(Some((told, again))) => ready.push(Ready { due, told, again }),
                Ok(None) => self.contact_lost(due.customer, &contact).await?,
                Err(failure) if failure.contact_gone => self.contact_lost(due.customer, &contact).await?,
                Err(failure) if failure.class == FailureClass::Poison => self.not_told(&due, &failure, now)?,
                Err(failure) => {
                    self.rest(&failure)?;
                    return Ok(true);
                }
            }
        }
        if ready.is_empty() {
            return Ok(asked);
        }
        let told: Vec<_> = ready.iter().map(|one| (ContactId(one.due.contact.clone()), one.told.clone())).collect();
        let rows = match self.parts.connector.tell(&told).await {
            Ok(rows) if rows.len() == ready.len() => rows,
            Ok(_) => {
                self.rest(&Failure::transient("the CRM did not say what became of each contact"))?;
                return Ok(true);
            }
            Err(failure) if failure.class == FailureClass::Poison => {
                ready.iter().try_for_each(|one| self.not_told(&one.due, &failure, now))?;
                return Ok(true);
            }
            Err(failure) => {
                self.rest(&failure)?;
                return Ok(true);
            }
        };
        for (one, row) in ready.iter().zip(rows) {
            match row {
                Ok(()) => self.parts.store.told(self.target, &one.due, now, one.again)?,
                Err(failure) if failure.contact_gone => {
                    self.contact_lost(one.due.customer, &ContactId(one.due.contact.clone())).await?;
                }
                Err(failure) if failure.class == FailureClass::Poison => self.not_told(&one.due, &failure, now)?,
                Err(failure) => {
                    self.rest(&failure)?;
                    return Ok(true);
                }
            }
        }
        self.well()?;
        Ok(true)
    }

    /// Lowers what stands on a contact by the records that are about to be forgotten there. It comes before they go: what
    /// is cut off in the middle is counted alike when it is done again.
    pub(super) async fn tell_without(&mut self, contact: &ContactId, gone: &Forgotten) -> Result<(), Failure> {
        if !self.parts.settings.tells {
            return Ok(());
        }
        let Some(there) = self.parts.connector.contact(contact).await?.filter(|there| !there.deleted) else {
            return Ok(());
        };
        let is_gone = |standing: &Standing| gone.visits.iter().any(|visit| visit.key == standing.key);
        let all = self.parts.connector.visits_of(contact).await?;
        let (removed, left): (Vec<_>, Vec<_>) = all.into_iter().partition(is_gone);
        let removed: Vec<Timestamp> = removed.iter().map(|record| record.opened_at).collect();
        let counted = roll_up(&there.told, &left, &removed, self.now(), &self.parts.time_zone);
        let told = if there.mark().without(gone.customer).is_empty() {
            // No box knows them any more: nothing of Snova's is left, and the company's own first and last visits stay.
            Told { first_visit: counted.told.first_visit, last_visit: counted.told.last_visit, ..Told::default() }
        } else {
            counted.told
        };
        let mut rows = self.parts.connector.tell(&[(contact.clone(), told)]).await?;
        match rows.pop() {
            Some(Err(failure)) if !failure.contact_gone => Err(failure),
            _ => Ok(()),
        }
    }

    /// What is to stand on a contact, and when that changes by itself; `None` for one that is gone.
    async fn counted(&mut self, due: &DueTold, now: Timestamp) -> Result<Option<(Told, Option<Timestamp>)>, Failure> {
        let contact = ContactId(due.contact.clone());
        let Some(there) = self.parts.connector.contact(&contact).await?.filter(|there| !there.deleted) else {
            return Ok(None);
        };
        let standing = self.parts.connector.visits_of(&contact).await?;
        let zone = &self.parts.time_zone;
        let counted = roll_up(&there.told, &standing, &[], now, zone);
        let live = due.consent.is_live(Purpose::VisitRecords, self.days());
        let others = there.mark().customers().iter().any(|customer| *customer != due.customer);
        let (consent, until) = match live {
            true => (Some(ConsentWord::Live), due.consent.valid_until),
            // Another box keeps a consent of its own.
            false if others => (there.told.consent, there.told.consent_until),
            false => (Some(ConsentWord::Ended), ended_on(&due.consent, zone)),
        };
        let ends = until.filter(|_| live).and_then(|day| day.tomorrow().ok());
        let ends = ends.and_then(|day| day.to_zoned(zone.clone()).ok()).map(|midnight| midnight.timestamp());
        let again = [counted.again, ends].into_iter().flatten().min();
        Ok(Some((Told { consent, consent_until: until, ..counted.told }, again)))
    }

    fn not_told(&self, due: &DueTold, failure: &Failure, now: Timestamp) -> Result<(), StoreError> {
        let customer = due.customer;
        tracing::warn!(%customer, said = failure.said(), "the CRM does not take what a contact is told; run `snova crm probe`");
        self.parts.store.told(self.target, due, now, Some(later(now, REFUSED)))
    }
}

/// The last day on which a consent that has ended held.
fn ended_on(consent: &Consent, zone: &jiff::tz::TimeZone) -> Option<jiff::civil::Date> {
    let withdrawn = consent.withdrawn_at.map(|at| at.to_zoned(zone.clone()).date());
    [withdrawn, consent.valid_until].into_iter().flatten().min()
}
