//! Which contact of the current CRM a customer is, and the card that it keeps of them. Links to a former one stay for erasures.
//!
//! Which contact it is, `crate::crm::choose` says. Contacts of people who are not enrolled are never written.

use crate::clock::Days;
use jiff::Timestamp;
use rusqlite::{OptionalExtension, Transaction, params};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::customers::{gallery_changed, require_customer};
use super::error::{Fault, StoreError};
use super::rows::{customer_id, key, micros, time};
use super::targets::{self, TargetId};
use super::{Store, consents};
use crate::customer::{CrmCard, CustomerId, Purpose};
use crate::vault::{DeviceKey, SealContext};

/// What is known of a customer's contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    Linked(String),
    /// It was being created since then, and no answer came.
    Creating(Timestamp),
    /// Looked for in vain.
    Absent(Timestamp),
    /// Several, or another customer's: a person must say.
    Unclear(Timestamp),
}

/// What the CRM says of a customer, as it is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeptCard {
    /// The name, if the card on the screen is to bear the CRM's.
    pub given: Option<String>,
    pub patronymic: Option<String>,
    pub family: Option<String>,
    pub tier: Option<String>,
    pub notes: Option<String>,
    pub card: CrmCard,
}

#[derive(Serialize, Deserialize)]
struct CardRow {
    given: Option<String>,
    patronymic: Option<String>,
    family: Option<String>,
    tier: Option<String>,
    notes: Option<String>,
    owner: Option<String>,
    offer: Option<String>,
    birthday: Option<String>,
    visits: Option<u32>,
    /// Microseconds.
    last_visit: Option<i64>,
}

const UNREADABLE: Fault = Fault::Row("a link to the CRM is not what this Snova writes");

impl Store {
    /// Which contact of the current CRM this customer is. `None`: not looked for yet.
    pub fn link(&self, customer: CustomerId) -> Result<Option<Link>, StoreError> {
        self.read(|tx| link(tx, targets::current(tx)?, customer))
    }

    /// Which contact of `target` this customer is.
    pub fn link_in(&self, target: TargetId, customer: CustomerId) -> Result<Option<Link>, StoreError> {
        self.read(|tx| link(tx, target, customer))
    }

    /// Records what is known of a customer's contact. A contact that another customer has is refused.
    pub fn set_link(
        &self,
        target: TargetId,
        customer: CustomerId,
        link: &Link,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.write(|tx| {
            require_customer(tx, customer)?;
            let (state, contact, tried_at) = match link {
                Link::Linked(contact) => ("linked", Some(contact), at),
                Link::Creating(since) => ("creating", None, *since),
                Link::Absent(since) => ("absent", None, *since),
                Link::Unclear(since) => ("unclear", None, *since),
            };
            if let Some(contact) = contact
                && let Some(owner) = linked_to(tx, target, contact)?.filter(|owner| *owner != customer)
            {
                return Err(StoreError::ContactTaken { owner }.into());
            }
            tx.execute(
                "INSERT INTO crm_links (customer, target, state, contact, tried_at) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (customer, target) DO UPDATE SET state = ?3, contact = ?4, tried_at = ?5,
                 sealed = iif(contact IS ?4, sealed, NULL), as_of = iif(contact IS ?4, as_of, NULL)",
                params![key(customer.0), target.0, state, contact, micros(tried_at)],
            )?;
            gallery_changed(tx, customer)
        })
    }

    /// Forgets a customer's contact and card: they are looked for anew.
    pub fn unlink(&self, target: TargetId, customer: CustomerId) -> Result<bool, StoreError> {
        let sql = "DELETE FROM crm_links WHERE customer = ?1 AND target = ?2";
        self.write(|tx| {
            gallery_changed(tx, customer)?;
            Ok(tx.execute(sql, params![key(customer.0), target.0])? > 0)
        })
    }

    /// Whose contact this is.
    pub fn customer_linked_to(&self, target: TargetId, contact: &str) -> Result<Option<CustomerId>, StoreError> {
        self.read(|tx| linked_to(tx, target, contact))
    }

    /// Customers who agreed, on `days`, that the CRM hears of them, and have no contact there; those who were looked
    /// for since `tried_after` are left out. Who waits with a visit comes first.
    pub fn customers_to_link(
        &self,
        target: TargetId,
        most: usize,
        tried_after: Timestamp,
        days: impl Into<Days>,
    ) -> Result<Vec<CustomerId>, StoreError> {
        let days = days.into();
        self.read(|tx| {
            let mut statement = tx.prepare_cached(
                "SELECT c.id FROM customers c LEFT JOIN crm_links l ON l.customer = c.id AND l.target = ?2
                 WHERE l.customer IS NULL OR l.state = 'creating' OR l.state <> 'linked' AND l.tried_at < ?1
                 ORDER BY NOT EXISTS (SELECT 1 FROM outbox o WHERE o.customer = c.id AND o.target = ?2 AND o.state = 'new'), c.id",
            )?;
            let mut rows = statement.query(params![micros(tried_after), target.0])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                let customer = customer_id(row, 0)?;
                let consent = consents::current(tx, customer)?;
                if consent.is_some_and(|consent| consent.is_live(Purpose::VisitRecords, days)) {
                    found.push(customer);
                }
                if found.len() >= most {
                    break;
                }
            }
            Ok(found)
        })
    }

    /// Linked customers whose card was never fetched, with their contact.
    pub fn customers_without_card(
        &self,
        target: TargetId,
        most: usize,
    ) -> Result<Vec<(CustomerId, String)>, StoreError> {
        self.read(|tx| {
            let mut statement = tx.prepare_cached(
                "SELECT customer, contact FROM crm_links WHERE target = ?2 AND state = 'linked' AND as_of IS NULL
                 ORDER BY customer LIMIT ?1",
            )?;
            let mut rows = statement.query(params![i64::try_from(most).unwrap_or(i64::MAX), target.0])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push((customer_id(row, 0)?, row.get(1)?));
            }
            Ok(found)
        })
    }

    /// Keeps what the CRM says of a linked customer, in place of what it said before.
    pub fn keep_card(&self, target: TargetId, customer: CustomerId, kept: &KeptCard) -> Result<(), StoreError> {
        self.write(|tx| {
            let row = CardRow {
                given: kept.given.clone(),
                patronymic: kept.patronymic.clone(),
                family: kept.family.clone(),
                tier: kept.tier.clone(),
                notes: kept.notes.clone(),
                owner: kept.card.owner.clone(),
                offer: kept.card.offer.clone(),
                birthday: kept.card.birthday.map(|day| day.to_string()),
                visits: kept.card.visits,
                last_visit: kept.card.last_visit.map(micros),
            };
            let json = serde_json::to_vec(&row).map_err(|_| UNREADABLE)?;
            let sealed = self.key.seal(&context(customer.0), &json);
            let sealed = sealed.map_err(|cause| StoreError::Sealed { table: "crm_links", row: customer.0, cause })?;
            tx.execute(
                "UPDATE crm_links SET sealed = ?2, as_of = ?3 WHERE customer = ?1 AND target = ?4 AND state = 'linked'",
                params![key(customer.0), sealed, micros(kept.card.as_of), target.0],
            )?;
            gallery_changed(tx, customer)
        })
    }
}

pub(super) fn link(tx: &Transaction<'_>, target: TargetId, customer: CustomerId) -> Result<Option<Link>, Fault> {
    let mut statement =
        tx.prepare_cached("SELECT state, contact, tried_at FROM crm_links WHERE customer = ?1 AND target = ?2")?;
    let mut rows = statement.query(params![key(customer.0), target.0])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let (state, contact, tried_at): (String, Option<String>, _) = (row.get(0)?, row.get(1)?, time(row.get(2)?)?);
    Ok(Some(match (&*state, contact) {
        ("linked", Some(contact)) => Link::Linked(contact),
        ("creating", None) => Link::Creating(tried_at),
        ("absent", None) => Link::Absent(tried_at),
        ("unclear", None) => Link::Unclear(tried_at),
        _ => return Err(UNREADABLE),
    }))
}

fn linked_to(tx: &Transaction<'_>, target: TargetId, contact: &str) -> Result<Option<CustomerId>, Fault> {
    let mut statement = tx.prepare_cached("SELECT customer FROM crm_links WHERE target = ?2 AND contact = ?1")?;
    Ok(statement.query_row(params![contact, target.0], |row| customer_id(row, 0)).optional()?)
}

/// The card as it was sealed. One that no longer opens, because the device key was replaced, is fetched again sooner or
/// later: until then there is none.
pub(super) fn open_card(device: &DeviceKey, customer: CustomerId, sealed: &[u8], as_of: Timestamp) -> Option<KeptCard> {
    let json = device.open(&context(customer.0), sealed).ok()?;
    let row: CardRow = serde_json::from_slice(&json).ok()?;
    let birthday = row.birthday.and_then(|day| day.parse().ok());
    let last_visit = row.last_visit.and_then(|at| time(at).ok());
    Some(KeptCard {
        given: row.given,
        patronymic: row.patronymic,
        family: row.family,
        tier: row.tier,
        notes: row.notes,
        card: CrmCard { visits: row.visits, last_visit, owner: row.owner, offer: row.offer, birthday, as_of },
    })
}

fn context(customer: Uuid) -> SealContext {
    SealContext { table: "crm_links", column: "sealed", row: customer }
}
