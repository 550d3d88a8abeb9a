//! Which contact of the CRM a customer is, the card that the CRM keeps of them, and what delivery remembers.
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

/// What delivery remembers over a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyncState {
    pub cursor: String,
    pub last_success: Option<Timestamp>,
    pub failing_since: Option<Timestamp>,
    pub blocked_until: Option<Timestamp>,
    pub error_class: Option<String>,
    pub error: Option<String>,
    /// Counts the times that a person asked for another try.
    pub wakes: u64,
    /// Customers with waiting visits and no contact.
    pub unlinked: u64,
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
    /// Says which CRM links, cards and the cursor belong to. If it is another one than before, they are forgotten.
    pub fn use_crm(&self, target: &str) -> Result<(), StoreError> {
        self.write(|tx| {
            let before: String = tx.query_row("SELECT target FROM sync_state", [], |row| row.get(0))?;
            if before == target {
                return Ok(());
            }
            tx.execute("UPDATE upkeep SET gallery = gallery + 1", [])?;
            // Whoever had a card of that CRM has none any more.
            tx.execute(
                "UPDATE customers SET changed = (SELECT gallery FROM upkeep)
                 WHERE id IN (SELECT customer FROM crm_links WHERE sealed NOT NULL)",
                [],
            )?;
            tx.execute("DELETE FROM crm_links", [])?;
            tx.execute(
                "UPDATE sync_state SET target = ?1, cursor = '', pulled_at = NULL, failing_since = NULL, blocked_until = NULL,
                 error_class = NULL, error = NULL",
                params![target],
            )?;
            Ok(())
        })
    }

    /// `None`: not looked for yet.
    pub fn link(&self, customer: CustomerId) -> Result<Option<Link>, StoreError> {
        self.read(|tx| link(tx, customer))
    }

    /// Records what is known of a customer's contact. A contact that another customer has is refused.
    pub fn set_link(&self, customer: CustomerId, link: &Link, at: Timestamp) -> Result<(), StoreError> {
        self.write(|tx| {
            require_customer(tx, customer)?;
            let (state, contact, tried_at) = match link {
                Link::Linked(contact) => ("linked", Some(contact), at),
                Link::Creating(since) => ("creating", None, *since),
                Link::Absent(since) => ("absent", None, *since),
                Link::Unclear(since) => ("unclear", None, *since),
            };
            if let Some(contact) = contact
                && let Some(owner) = linked_to(tx, contact)?.filter(|owner| *owner != customer)
            {
                return Err(StoreError::ContactTaken { owner }.into());
            }
            tx.execute(
                "INSERT INTO crm_links (customer, state, contact, tried_at) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (customer) DO UPDATE SET state = ?2, contact = ?3, tried_at = ?4,
                 sealed = iif(contact IS ?3, sealed, NULL), as_of = iif(contact IS ?3, as_of, NULL)",
                params![key(customer.0), state, contact, micros(tried_at)],
            )?;
            gallery_changed(tx, customer)
        })
    }

    /// Forgets a customer's contact and card: they are looked for anew.
    pub fn unlink(&self, customer: CustomerId) -> Result<bool, StoreError> {
        self.write(|tx| {
            gallery_changed(tx, customer)?;
            Ok(tx.execute("DELETE FROM crm_links WHERE customer = ?1", params![key(customer.0)])? > 0)
        })
    }

    /// Whose contact this is.
    pub fn customer_linked_to(&self, contact: &str) -> Result<Option<CustomerId>, StoreError> {
        self.read(|tx| linked_to(tx, contact))
    }

    /// Customers who agreed, on `days`, that the CRM hears of them, and have no contact there; those who were looked
    /// for since `tried_after` are left out. Who waits with a visit comes first.
    pub fn customers_to_link(
        &self,
        most: usize,
        tried_after: Timestamp,
        days: impl Into<Days>,
    ) -> Result<Vec<CustomerId>, StoreError> {
        let days = days.into();
        self.read(|tx| {
            let mut statement = tx.prepare_cached(
                "SELECT c.id FROM customers c LEFT JOIN crm_links l ON l.customer = c.id
                 WHERE l.customer IS NULL OR l.state = 'creating' OR l.state <> 'linked' AND l.tried_at < ?1
                 ORDER BY NOT EXISTS (SELECT 1 FROM outbox o WHERE o.customer = c.id AND o.state = 'new'), c.id",
            )?;
            let mut rows = statement.query(params![micros(tried_after)])?;
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
    pub fn customers_without_card(&self, most: usize) -> Result<Vec<(CustomerId, String)>, StoreError> {
        self.read(|tx| {
            let mut statement = tx.prepare_cached(
                "SELECT customer, contact FROM crm_links WHERE state = 'linked' AND as_of IS NULL ORDER BY customer LIMIT ?1",
            )?;
            let mut rows = statement.query(params![i64::try_from(most).unwrap_or(i64::MAX)])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push((customer_id(row, 0)?, row.get(1)?));
            }
            Ok(found)
        })
    }

    /// Keeps what the CRM says of a linked customer, in place of what it said before.
    pub fn keep_card(&self, customer: CustomerId, kept: &KeptCard) -> Result<(), StoreError> {
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
                "UPDATE crm_links SET sealed = ?2, as_of = ?3 WHERE customer = ?1 AND state = 'linked'",
                params![key(customer.0), sealed, micros(kept.card.as_of)],
            )?;
            gallery_changed(tx, customer)
        })
    }

    /// What delivery remembers.
    pub fn sync_state(&self) -> Result<SyncState, StoreError> {
        self.read(|tx| {
            let unlinked: i64 = tx.query_row(
                "SELECT count(DISTINCT o.customer) FROM outbox o LEFT JOIN crm_links l ON l.customer = o.customer
                 WHERE o.state = 'new' AND o.kind = 'visit' AND l.state IN ('absent', 'unclear')",
                [],
                |row| row.get(0),
            )?;
            let mut statement = tx.prepare_cached(
                "SELECT cursor, last_success, failing_since, blocked_until, error_class, error, wakes FROM sync_state",
            )?;
            let mut rows = statement.query([])?;
            let row = rows.next()?.ok_or(UNREADABLE)?;
            let at = |column| row.get::<_, Option<i64>>(column)?.map(time).transpose();
            Ok(SyncState {
                cursor: row.get(0)?,
                last_success: at(1)?,
                failing_since: at(2)?,
                blocked_until: at(3)?,
                error_class: row.get(4)?,
                error: row.get(5)?,
                wakes: row.get::<_, i64>(6)?.unsigned_abs(),
                unlinked: unlinked.unsigned_abs(),
            })
        })
    }

    /// Remembers where the next look for changed cards begins; and, at the end of one, that all cards are as of `at`.
    pub fn keep_cursor(&self, cursor: &str, at: Option<Timestamp>) -> Result<(), StoreError> {
        self.write(|tx| {
            tx.execute(
                "UPDATE sync_state SET cursor = ?1, pulled_at = coalesce(?2, pulled_at)",
                params![cursor, at.map(micros)],
            )?;
            Ok(())
        })
    }

    /// Remembers a failure of the whole delivery, and until when it waits.
    pub fn keep_failure(&self, class: &str, said: &str, until: Timestamp, now: Timestamp) -> Result<(), StoreError> {
        self.write(|tx| {
            tx.execute(
                "UPDATE sync_state SET error_class = ?1, error = ?2, blocked_until = ?3, failing_since = coalesce(failing_since, ?4)",
                params![class, said, micros(until), micros(now)],
            )?;
            Ok(())
        })
    }

    /// The delivery is well again.
    pub fn clear_failure(&self) -> Result<(), StoreError> {
        self.write(|tx| {
            let sql =
                "UPDATE sync_state SET error_class = NULL, error = NULL, blocked_until = NULL, failing_since = NULL
                       WHERE error_class NOT NULL OR blocked_until NOT NULL";
            tx.execute(sql, [])?;
            Ok(())
        })
    }
}

pub(super) fn link(tx: &Transaction<'_>, customer: CustomerId) -> Result<Option<Link>, Fault> {
    let mut statement = tx.prepare_cached("SELECT state, contact, tried_at FROM crm_links WHERE customer = ?1")?;
    let mut rows = statement.query(params![key(customer.0)])?;
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

fn linked_to(tx: &Transaction<'_>, contact: &str) -> Result<Option<CustomerId>, Fault> {
    let mut statement = tx.prepare_cached("SELECT customer FROM crm_links WHERE contact = ?1")?;
    Ok(statement.query_row(params![contact], |row| customer_id(row, 0)).optional()?)
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
