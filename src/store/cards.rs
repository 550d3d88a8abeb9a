//! The cards that a CRM keeps of linked customers, sealed beside the link.
//!
//! Which contact a customer is says `links`; how a card changes a name, `customers`.

use jiff::Timestamp;
use rusqlite::params;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Store;
use super::customers::gallery_changed;
use super::error::{Fault, StoreError};
use super::rows::{customer_id, key, micros, time};
use super::targets::TargetId;
use crate::customer::{CrmCard, CustomerId};
use crate::vault::{DeviceKey, SealContext};

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

const UNREADABLE: Fault = Fault::Row("a card of the CRM is not what this Snova writes");

impl Store {
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
