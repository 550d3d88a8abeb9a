//! What an erasure must still tell the CRM once every row of the customer is gone: which contact, which records.
//!
//! It is sealed with the device key, hangs on the erasure's event, and goes when that is delivered.

use rusqlite::{OptionalExtension, Transaction, params};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::error::{Fault, StoreError};
use super::outbox::NOT_THERE;
use super::rows::{key, time, uuid};
use crate::customer::CustomerId;
use crate::vault::{DeviceKey, SealContext};
use jiff::Timestamp;

/// What the CRM has, or may have, of an erased customer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tombstone {
    /// The customer's contact in the CRM.
    pub contact: Option<String>,
    /// The contact was being created and no answer came: it must be looked for by the dead id.
    pub perhaps_created: bool,
    pub records: Vec<SentRecord>,
}

/// A visit that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentRecord {
    /// The event under whose id it was sent.
    pub key: Uuid,
    /// The CRM's own id of it, if it was told.
    pub record: Option<String>,
    pub created_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct TombstoneRow {
    contact: Option<String>,
    perhaps_created: bool,
    records: Vec<(Uuid, Option<String>, i64)>,
}

const UNREADABLE: Fault = Fault::Row("an erasure's sealed values are not what this Snova writes");

pub(super) fn of(tx: &Transaction<'_>, customer: CustomerId) -> Result<Tombstone, Fault> {
    let link = tx
        .prepare_cached("SELECT contact, state = 'creating' FROM crm_links WHERE customer = ?1")?
        .query_row(params![key(customer.0)], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (contact, perhaps_created) = link.unwrap_or_default();
    let sql = format!(
        "SELECT event, record, created_at FROM outbox WHERE customer = ?1 AND kind = 'visit' AND NOT {NOT_THERE} ORDER BY seq"
    );
    let mut statement = tx.prepare_cached(&sql)?;
    let mut rows = statement.query(params![key(customer.0)])?;
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        records.push(SentRecord { key: uuid(row, 0)?, record: row.get(1)?, created_at: time(row.get(2)?)? });
    }
    Ok(Tombstone { contact, perhaps_created, records })
}

pub(super) fn keep(tx: &Transaction<'_>, device: &DeviceKey, event: Uuid, tombstone: &Tombstone) -> Result<(), Fault> {
    let records = tombstone.records.iter().map(|r| (r.key, r.record.clone(), r.created_at.as_microsecond())).collect();
    let row = TombstoneRow { contact: tombstone.contact.clone(), perhaps_created: tombstone.perhaps_created, records };
    let json = serde_json::to_vec(&row).map_err(|_| UNREADABLE)?;
    let sealed = device.seal(&context(event), &json).map_err(|cause| unopened(event, cause))?;
    tx.execute("UPDATE outbox SET sealed = ?2 WHERE event = ?1", params![key(event), sealed])?;
    Ok(())
}

/// An erasure written by a Snova that had no CRM yet has none: nothing was ever sent.
pub(super) fn open(device: &DeviceKey, event: Uuid, sealed: Option<Vec<u8>>) -> Result<Tombstone, Fault> {
    let Some(sealed) = sealed else { return Ok(Tombstone::default()) };
    let json = device.open(&context(event), &sealed).map_err(|cause| unopened(event, cause))?;
    let row: TombstoneRow = serde_json::from_slice(&json).map_err(|_| UNREADABLE)?;
    let records =
        row.records.into_iter().map(|(key, record, at)| Ok(SentRecord { key, record, created_at: time(at)? }));
    Ok(Tombstone {
        contact: row.contact,
        perhaps_created: row.perhaps_created,
        records: records.collect::<Result<_, Fault>>()?,
    })
}

fn unopened(event: Uuid, cause: crate::vault::VaultError) -> Fault {
    StoreError::Sealed { table: "outbox", row: event, cause }.into()
}

fn context(event: Uuid) -> SealContext {
    SealContext { table: "outbox", column: "sealed", row: event }
}
