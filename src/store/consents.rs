//! The history of what each customer agreed to, and what of it holds now.
//!
//! The rule itself is `Consent::check`; here are only its rows.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use rusqlite::{Row, Transaction, params};

use super::customers::{gallery_changed, require_customer};
use super::error::{Fault, StoreError};
use super::rows::{customer_id, key, micros, time};
use super::{Store, outbox, told};
use crate::clock::{Days, WallTime};
use crate::customer::{Consent, CustomerId, Purpose};

impl Store {
    /// Records a new consent in place of the one before; it must cover greeting by card at least, on `days`.
    /// Templates are given out, and visits wait for the CRM, only if it covers them too.
    pub fn renew_consent(
        &self,
        customer: CustomerId,
        consent: &Consent,
        recorded_at: WallTime,
        days: impl Into<Days>,
    ) -> Result<(), StoreError> {
        check(customer, consent, Purpose::CardGreeting, days.into())?;
        self.write(|tx| {
            require_customer(tx, customer)?;
            grant(tx, customer, consent, recorded_at.at)?;
            // Those held are taken up again by the next claim, which knows the date.
            if !consent.purposes.contains(&Purpose::VisitRecords) {
                outbox::hold_untried_visits(tx, customer)?;
            }
            told::consent_changed(tx, customer, recorded_at.at)?;
            gallery_changed(tx, customer)
        })
    }

    /// Ends the customer's consent at once: no template of theirs is given out any more, and visits not yet
    /// sent are held. Name and templates stay until [`Store::erase`], which is an act of its own.
    /// Withdrawing twice is withdrawing once.
    pub fn withdraw_consent(&self, customer: CustomerId, at: WallTime) -> Result<(), StoreError> {
        self.write(|tx| {
            require_customer(tx, customer)?;
            if current(tx, customer)?.is_some_and(|consent| consent.withdrawn_at.is_some()) {
                return Ok(());
            }
            tx.execute(
                "INSERT INTO consents (customer, act, recorded_at) VALUES (?1, 'withdrawal', ?2)",
                params![key(customer.0), micros(at.at)],
            )?;
            outbox::hold_untried_visits(tx, customer)?;
            told::consent_changed(tx, customer, at.at)?;
            gallery_changed(tx, customer)
        })
    }
}

/// Refuses in the store's words what `consent` does not cover.
pub(super) fn check(customer: CustomerId, consent: &Consent, purpose: Purpose, days: Days) -> Result<(), StoreError> {
    consent.check(purpose, days).map_err(|cause| StoreError::Consent { customer, cause })
}

/// Refuses a customer who is gone, or whose consent does not cover `purpose` on `days`.
pub(super) fn require(
    tx: &Transaction<'_>,
    customer: CustomerId,
    purpose: Purpose,
    days: Days,
) -> Result<Consent, Fault> {
    let consent = current(tx, customer)?.ok_or(StoreError::UnknownCustomer(customer))?;
    check(customer, &consent, purpose, days)?;
    Ok(consent)
}

pub(super) fn grant(
    tx: &Transaction<'_>,
    customer: CustomerId,
    consent: &Consent,
    recorded_at: Timestamp,
) -> Result<(), Fault> {
    let purposes: Vec<&str> = consent.purposes.iter().map(|purpose| purpose.as_str()).collect();
    tx.execute(
        "INSERT INTO consents (customer, act, recorded_at, given_on, method, purposes, valid_until)
         VALUES (?1, 'grant', ?2, ?3, ?4, ?5, ?6)",
        params![
            key(customer.0),
            micros(recorded_at),
            consent.given_on.to_string(),
            consent.method.as_str(),
            purposes.join(","),
            consent.valid_until.map(|last| last.to_string()),
        ],
    )?;
    Ok(())
}

/// What holds for one customer; `None` when there is no such customer.
pub(super) fn current(tx: &Transaction<'_>, customer: CustomerId) -> Result<Option<Consent>, Fault> {
    let mut statement = tx.prepare_cached(concat!(
        "SELECT customer, recorded_at, given_on, method, purposes, valid_until FROM consents ",
        "WHERE customer = ?1 ORDER BY id"
    ))?;
    let mut rows = statement.query(params![key(customer.0)])?;
    let mut holds = BTreeMap::new();
    while let Some(row) = rows.next()? {
        apply(&mut holds, row)?;
    }
    Ok(holds.remove(&customer))
}

/// What holds for everybody; without those of whose history a row cannot be read.
pub(super) fn all(tx: &Transaction<'_>) -> Result<BTreeMap<CustomerId, Consent>, Fault> {
    let mut statement = tx.prepare_cached(
        "SELECT customer, recorded_at, given_on, method, purposes, valid_until FROM consents ORDER BY id",
    )?;
    let mut rows = statement.query([])?;
    let (mut holds, mut unreadable) = (BTreeMap::new(), BTreeSet::new());
    while let Some(row) = rows.next()? {
        match apply(&mut holds, row) {
            Err(fault) if fault.is_of_one_row() => unreadable.insert(customer_id(row, 0)?),
            applied => applied.map(|()| false)?,
        };
    }
    holds.retain(|customer, _| !unreadable.contains(customer));
    Ok(holds)
}

/// One row of history: a grant replaces what held, a withdrawal ends it.
fn apply(holds: &mut BTreeMap<CustomerId, Consent>, row: &Row<'_>) -> Result<(), Fault> {
    let customer = customer_id(row, 0)?;
    let recorded_at = time(row.get(1)?)?;
    let Some(given_on) = row.get::<_, Option<String>>(2)? else {
        if let Some(consent) = holds.get_mut(&customer) {
            consent.withdrawn_at = Some(recorded_at);
        }
        return Ok(());
    };
    let unreadable = || Fault::Row("a consent is not what this Snova writes");
    let method: String = row.get(3)?;
    let purposes: String = row.get(4)?;
    let valid_until: Option<String> = row.get(5)?;
    let consent = Consent {
        given_on: given_on.parse().map_err(|_| unreadable())?,
        method: method.parse().map_err(|_| unreadable())?,
        purposes: purposes.split_terminator(',').map(str::parse).collect::<Result<_, _>>().map_err(|_| unreadable())?,
        valid_until: valid_until.map(|last| last.parse()).transpose().map_err(|_| unreadable())?,
        withdrawn_at: None,
    };
    holds.insert(customer, consent);
    Ok(())
}
