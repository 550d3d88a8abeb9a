//! Cards and phones: whose they are, without standing in the file in plain.
//!
//! A value is found by its blind index and read back from its seal; both hang on the device key. Their one form is
//! `Identifier`'s.

use rusqlite::{OptionalExtension, Transaction, params};

use super::customers::{gallery_changed, require_customer};
use super::error::{Fault, StoreError};
use super::rows::{customer_id, key, uuid};
use super::{Store, consents};
use crate::clock::{Days, WallTime, mint_at};
use crate::customer::{CustomerId, Identifier, IdentifierKind, Purpose};
use crate::vault::{DeviceKey, SealContext};
use uuid::Uuid;

/// A customer's card or phone on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptIdentifier {
    pub kind: IdentifierKind,
    /// `None`: sealed with a device key that this box no longer has. It finds nobody; remove it and give it again.
    pub identifier: Option<Identifier>,
}

impl Store {
    /// Gives a customer cards and phones, all or none; one that is theirs already changes nothing. Refused when
    /// another customer has one of them, and unless the consent covers greeting by card on `days`.
    pub fn add_identifiers(
        &self,
        customer: CustomerId,
        identifiers: &[Identifier],
        at: WallTime,
        days: impl Into<Days>,
    ) -> Result<(), StoreError> {
        let days = days.into();
        self.need_key()?;
        self.write(|tx| {
            consents::require(tx, customer, Purpose::CardGreeting, days)?;
            identifiers.iter().try_for_each(|identifier| add(tx, &self.key, customer, identifier, at.at))?;
            gallery_changed(tx, customer)
        })
    }

    /// Whose card or phone this is. Takes a moment and no plain value to the disk.
    pub fn identified(&self, identifier: &Identifier) -> Result<Option<CustomerId>, StoreError> {
        self.read(|tx| owner(tx, identifier.kind(), &blind(&self.key, identifier)))
    }

    /// A customer's cards and phones in the order in which they were given.
    pub fn identifiers(&self, customer: CustomerId) -> Result<Vec<KeptIdentifier>, StoreError> {
        self.read(|tx| {
            require_customer(tx, customer)?;
            let mut statement =
                tx.prepare_cached("SELECT id, kind, sealed FROM identifiers WHERE customer = ?1 ORDER BY rowid")?;
            let mut rows = statement.query(params![key(customer.0)])?;
            let mut kept = Vec::new();
            while let Some(row) = rows.next()? {
                let (id, kind, sealed) = (uuid(row, 0)?, row.get::<_, String>(1)?, row.get::<_, Vec<u8>>(2)?);
                let kind = IdentifierKind::ALL.into_iter().find(|k| k.as_str() == kind).ok_or(UNREADABLE)?;
                let plain = self.key.open(&context(id), &sealed).ok();
                let value = plain.map(String::from_utf8).transpose().map_err(|_| UNREADABLE)?;
                kept.push(KeptIdentifier { kind, identifier: value.map(|value| Identifier::kept(kind, value)) });
            }
            Ok(kept)
        })
    }

    /// Takes a card or phone from a customer; `false` if it was not theirs.
    pub fn remove_identifier(&self, customer: CustomerId, identifier: &Identifier) -> Result<bool, StoreError> {
        self.write(|tx| {
            require_customer(tx, customer)?;
            let sql = "DELETE FROM identifiers WHERE customer = ?1 AND kind = ?2 AND blind = ?3";
            let blind = blind(&self.key, identifier);
            let removed = tx.execute(sql, params![key(customer.0), identifier.kind().as_str(), blind])? > 0;
            gallery_changed(tx, customer)?;
            Ok(removed)
        })
    }

    /// Takes every card and phone from a customer and says how many there were; also those that no longer open.
    pub fn remove_identifiers(&self, customer: CustomerId) -> Result<usize, StoreError> {
        self.write(|tx| {
            require_customer(tx, customer)?;
            gallery_changed(tx, customer)?;
            drop_all(tx, customer)
        })
    }
}

const UNREADABLE: Fault = Fault::Row("a card or phone is not what this Snova writes");

pub(super) fn add(
    tx: &Transaction<'_>,
    device: &DeviceKey,
    customer: CustomerId,
    identifier: &Identifier,
    at: jiff::Timestamp,
) -> Result<(), Fault> {
    let (kind, blind, id) = (identifier.kind(), blind(device, identifier), mint_at(at));
    match owner(tx, kind, &blind)? {
        Some(theirs) if theirs == customer => return Ok(()),
        Some(owner) => return Err(StoreError::IdentifierTaken { kind, owner }.into()),
        None => {}
    }
    let sealed = device.seal(&context(id), identifier.value().as_bytes());
    let sealed = sealed.map_err(|cause| StoreError::Sealed { table: "identifiers", row: id, cause })?;
    tx.execute(
        "INSERT INTO identifiers (id, customer, kind, blind, sealed) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![key(id), key(customer.0), kind.as_str(), blind, sealed],
    )?;
    Ok(())
}

pub(super) fn drop_all(tx: &Transaction<'_>, customer: CustomerId) -> Result<usize, Fault> {
    Ok(tx.execute("DELETE FROM identifiers WHERE customer = ?1", params![key(customer.0)])?)
}

/// Opens every sealed value, for the error alone.
pub(super) fn open_every_seal(tx: &Transaction<'_>, device: &DeviceKey) -> Result<(), Fault> {
    let mut statement = tx.prepare("SELECT id, sealed FROM identifiers")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (id, sealed) = (uuid(row, 0)?, row.get::<_, Vec<u8>>(1)?);
        let opened = device.open(&context(id), &sealed);
        opened.map_err(|cause| StoreError::Sealed { table: "identifiers", row: id, cause })?;
    }
    Ok(())
}

/// Whether the first sealed value opens; `None` where there is none.
pub(super) fn first_opens(tx: &Transaction<'_>, device: &DeviceKey) -> Result<Option<bool>, Fault> {
    let mut statement = tx.prepare("SELECT id, sealed FROM identifiers LIMIT 1")?;
    let first = statement.query_row([], |row| Ok((uuid(row, 0)?, row.get::<_, Vec<u8>>(1)?))).optional()?;
    Ok(first.map(|(id, sealed)| device.open(&context(id), &sealed).is_ok()))
}

fn owner(tx: &Transaction<'_>, kind: IdentifierKind, blind: &[u8; 32]) -> Result<Option<CustomerId>, Fault> {
    let mut statement = tx.prepare_cached("SELECT customer FROM identifiers WHERE kind = ?1 AND blind = ?2")?;
    Ok(statement.query_row(params![kind.as_str(), blind], |row| customer_id(row, 0)).optional()?)
}

fn blind(device: &DeviceKey, identifier: &Identifier) -> [u8; 32] {
    device.blind_index(identifier.kind().as_str(), identifier.value())
}

fn context(id: Uuid) -> SealContext {
    SealContext { table: "identifiers", column: "sealed", row: id }
}
