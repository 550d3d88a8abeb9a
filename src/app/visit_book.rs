//! The visits on record for the web: those of a day, one of them voided, and receipts.
//!
//! What is kept is `crate::store`'s; what a desk still has before it is asked of the desk first, by `crate::web`.

use std::sync::Arc;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::clock::Clock;
use crate::customer::{CustomerId, Receipt, VisitId};
use crate::face::CounterId;
use crate::store::{DayVisit, Payer, Store, StoreError, VisitState, VisitVerdict};
use crate::web::{BookError, BookedState, BookedVisit, VisitBook};

/// The visits of this box.
pub(super) struct Book {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    time_zone: TimeZone,
}

impl Book {
    pub fn new(store: &Arc<Store>, clock: &Arc<dyn Clock>, time_zone: &TimeZone) -> Self {
        Self { store: Arc::clone(store), clock: Arc::clone(clock), time_zone: time_zone.clone() }
    }
}

impl VisitBook for Book {
    fn of_day(&self, day: Date, counter: Option<&CounterId>) -> Result<Vec<BookedVisit>, BookError> {
        let bounds = || -> Result<_, jiff::Error> {
            let begin = |day: Date| Ok::<_, jiff::Error>(day.to_zoned(self.time_zone.clone())?.timestamp());
            Ok(begin(day)?..begin(day.tomorrow()?)?)
        };
        let day = bounds().map_err(|_| BookError::NoSuchDay)?;
        let visits = self.store.visits_of_day(day, counter).map_err(refusal)?;
        Ok(visits.into_iter().map(booked).collect())
    }

    fn void(&self, visit: VisitId, other: Option<CustomerId>) -> Result<Option<CustomerId>, BookError> {
        let days = self.clock.days(&self.time_zone);
        let after = self.store.void_visit(visit, other, self.clock.wall(), days).map_err(refusal)?;
        Ok((after.verdict != VisitVerdict::Rejected).then_some(after.record.customer))
    }

    fn receipt(&self, visit: VisitId, receipt: &Receipt) -> Result<(), BookError> {
        self.store.put_receipt(visit, receipt, self.clock.wall().at).map_err(refusal)?;
        Ok(())
    }

    fn receipt_at(&self, counter: &CounterId, shown: &[VisitId], receipt: &Receipt) -> Result<VisitId, BookError> {
        match self.store.put_receipt_at(counter, shown, receipt, self.clock.wall().at).map_err(refusal)? {
            Payer::Known(visit) => Ok(visit),
            Payer::Nobody => Err(BookError::NobodyThere),
            Payer::Several => Err(BookError::SeveralThere),
        }
    }
}

fn booked(DayVisit { visit, name, state }: DayVisit) -> BookedVisit {
    BookedVisit {
        visit: visit.record.id,
        customer: visit.record.customer,
        counter: visit.record.counter,
        name,
        how: visit.record.how,
        opened_at: visit.record.opened_at.at,
        closed_at: visit.closed_at.map(|closed| closed.at),
        state: match state {
            VisitState::Open => BookedState::Open,
            VisitState::Waiting => BookedState::Waiting,
            VisitState::Delivered => BookedState::Delivered,
            VisitState::Void => BookedState::Void,
            VisitState::Refused => BookedState::Refused,
            VisitState::Here => BookedState::Here,
        },
        receipt: visit.receipt,
    }
}

fn refusal(error: StoreError) -> BookError {
    match error {
        StoreError::UnknownVisit(_) => BookError::UnknownVisit,
        StoreError::UnknownCustomer(_) => BookError::UnknownCustomer,
        StoreError::Consent { .. } => BookError::NoConsent,
        StoreError::OldVisit(_) => BookError::TooOld,
        error => {
            tracing::error!(%error, "the visits on record cannot be used");
            BookError::Store
        }
    }
}

/// The visits of a box whose database is not there.
pub(super) struct NoBook;

impl VisitBook for NoBook {
    fn of_day(&self, _: Date, _: Option<&CounterId>) -> Result<Vec<BookedVisit>, BookError> {
        Err(BookError::Store)
    }

    fn void(&self, _: VisitId, _: Option<CustomerId>) -> Result<Option<CustomerId>, BookError> {
        Err(BookError::Store)
    }

    fn receipt(&self, _: VisitId, _: &Receipt) -> Result<(), BookError> {
        Err(BookError::Store)
    }

    fn receipt_at(&self, _: &CounterId, _: &[VisitId], _: &Receipt) -> Result<VisitId, BookError> {
        Err(BookError::Store)
    }
}
