//! What an erasure must still tell each CRM once every row of the customer is gone: which contact, which records.
//!
//! It is sealed with the device key, one for each CRM that has or may have something, on the delivery to that CRM, and
//! goes when that is done. What was known there comes from `ledger`.

use rusqlite::{OptionalExtension, Transaction, params};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::error::{Fault, StoreError};
use super::ledger::{self, SentRecord};
use super::outbox;
use super::rows::{key, micros, time};
use super::targets::TargetId;
use crate::customer::CustomerId;
use crate::vault::{DeviceKey, SealContext};

/// What one CRM has, or may have, of an erased customer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tombstone {
    /// The customer's contact in the CRM.
    pub contact: Option<String>,
    /// Some contact perhaps bears the dead id: it must be looked for.
    pub perhaps_created: bool,
    pub records: Vec<SentRecord>,
}

#[derive(Serialize, Deserialize)]
struct TombstoneRow {
    contact: Option<String>,
    perhaps_created: bool,
    records: Vec<(Uuid, Option<String>, i64)>,
    /// The contact of each record where it is another one. Missing in what was sealed before there was a ledger.
    #[serde(default)]
    contacts: Vec<Option<String>>,
    /// Of each record the last try, the first by the CRM's clock, and former contacts. Missing in older ones.
    #[serde(default)]
    tries: Vec<(i64, Option<i64>, Vec<String>)>,
}

const UNREADABLE: Fault = Fault::Row("an erasure's sealed values are not what this Snova writes");

/// What each CRM must forget of a customer who is about to be erased.
pub(super) fn of(tx: &Transaction<'_>, customer: CustomerId) -> Result<Vec<(TargetId, Tombstone)>, Fault> {
    let mut all = Vec::new();
    for target in ledger::targets_of_customer(tx, customer)? {
        let link = tx
            .prepare_cached("SELECT contact, state IN ('creating', 'marking', 'lost', 'deleted') OR coalesce(why, '') = 'refused' FROM crm_links WHERE customer = ?1 AND target = ?2")?
            .query_row(params![key(customer.0), target.0], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let (contact, perhaps_created) = link.unwrap_or_default();
        let records = ledger::records(tx, target, customer)?;
        all.push((target, Tombstone { contact, perhaps_created, records }));
    }
    Ok(all)
}

/// Has the erasure `fact` told to each of these CRMs.
pub(super) fn keep(
    tx: &Transaction<'_>,
    device: &DeviceKey,
    fact: Uuid,
    tombstones: &[(TargetId, Tombstone)],
) -> Result<(), Fault> {
    for (target, tombstone) in tombstones {
        let of = |r: &SentRecord| (r.key, r.record.clone(), r.written_at.as_microsecond());
        let row = TombstoneRow {
            contact: tombstone.contact.clone(),
            perhaps_created: tombstone.perhaps_created,
            records: tombstone.records.iter().map(of).collect(),
            contacts: tombstone.records.iter().map(|record| record.contact.clone()).collect(),
            tries: tombstone.records.iter().map(tries).collect(),
        };
        let json = serde_json::to_vec(&row).map_err(|_| UNREADABLE)?;
        let sealed = device.seal(&context(fact), &json).map_err(|cause| unopened(fact, cause))?;
        outbox::deliver_to(tx, fact, *target)?;
        tx.execute(
            "UPDATE deliveries SET sealed = ?3 WHERE target = ?2 AND fact = (SELECT seq FROM facts WHERE id = ?1)",
            params![key(fact), target.0, sealed],
        )?;
    }
    Ok(())
}

fn tries(of: &SentRecord) -> (i64, Option<i64>, Vec<String>) {
    (micros(of.tried_at), of.server_at.map(micros), of.elders.clone())
}

/// An erasure written by a Snova that had no CRM yet has none: nothing was ever sent.
pub(super) fn open(device: &DeviceKey, fact: Uuid, sealed: Option<Vec<u8>>) -> Result<Tombstone, Fault> {
    let Some(sealed) = sealed else { return Ok(Tombstone::default()) };
    let json = device.open(&context(fact), &sealed).map_err(|cause| unopened(fact, cause))?;
    let row: TombstoneRow = serde_json::from_slice(&json).map_err(|_| UNREADABLE)?;
    let contacts = row.contacts.into_iter().chain(std::iter::repeat(None));
    let tries = row.tries.into_iter().map(Some).chain(std::iter::repeat(None));
    let records = row.records.into_iter().zip(contacts).zip(tries).map(|(((key, record, at), contact), tries)| {
        let (tried_at, server_at, elders) = tries.unwrap_or((at, None, Vec::new()));
        let server_at = server_at.map(time).transpose()?;
        Ok(SentRecord { key, record, contact, elders, written_at: time(at)?, tried_at: time(tried_at)?, server_at })
    });
    Ok(Tombstone {
        contact: row.contact,
        perhaps_created: row.perhaps_created,
        records: records.collect::<Result<_, Fault>>()?,
    })
}

fn unopened(fact: Uuid, cause: crate::vault::VaultError) -> Fault {
    StoreError::Sealed { table: "outbox", row: fact, cause }.into()
}

/// The names are those under which version 3 sealed them.
fn context(fact: Uuid) -> SealContext {
    SealContext { table: "outbox", column: "sealed", row: fact }
}
