//! How values of the house become columns and come back: ids, times, and the sealed rows.
//!
//! What is sealed is JSON of a row type of this file, or an embedding's numbers; no domain type is serialised.

use jiff::Timestamp;
use rusqlite::Row;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::error::{Fault, StoreError};
use super::{NewCustomer, Seal};
use crate::clock::WallTime;
use crate::customer::{CustomerId, PersonName, VisitId};
use crate::face::Embedding;
use crate::i18n::Language;
use crate::vault::SealContext;

pub(super) fn customer_id(row: &Row<'_>, column: usize) -> rusqlite::Result<CustomerId> {
    Ok(CustomerId(uuid(row, column)?))
}

pub(super) fn visit_id(row: &Row<'_>, column: usize) -> rusqlite::Result<VisitId> {
    Ok(VisitId(uuid(row, column)?))
}

pub(super) fn uuid(row: &Row<'_>, column: usize) -> rusqlite::Result<Uuid> {
    row.get(column).map(Uuid::from_bytes)
}

pub(super) fn key(id: Uuid) -> [u8; 16] {
    id.into_bytes()
}

/// Times are kept to the microsecond.
pub(super) fn micros(at: Timestamp) -> i64 {
    at.as_microsecond()
}

pub(super) fn time(micros: i64) -> Result<Timestamp, Fault> {
    Timestamp::from_microsecond(micros).map_err(|_| Fault::Row("a time lies outside the calendar"))
}

pub(super) fn wall(micros: i64, synchronised: bool) -> Result<WallTime, Fault> {
    Ok(WallTime { at: time(micros)?, synchronised })
}

/// The personal columns of a customer, as sealed JSON.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CustomerRow {
    given: String,
    patronymic: Option<String>,
    family: Option<String>,
    gender: Option<String>,
    form: String,
    spoken: Option<String>,
    language: Option<String>,
    pub tier: Option<String>,
    pub note: Option<String>,
}

const UNREADABLE_CUSTOMER: Fault = Fault::Row("a customer's sealed values are not what this Snova writes");

impl CustomerRow {
    pub fn of(customer: &NewCustomer) -> Self {
        let name = customer.name.clone();
        Self {
            given: name.given,
            patronymic: name.patronymic,
            family: name.family,
            gender: name.gender.map(|gender| gender.as_str().to_owned()),
            form: name.form.as_str().to_owned(),
            spoken: name.spoken,
            language: customer.language.map(|language| language.code().to_owned()),
            tier: customer.tier.clone(),
            note: customer.note.clone(),
        }
    }

    pub fn seal(&self, seal: Seal, id: CustomerId) -> Result<Vec<u8>, Fault> {
        // The cause is dropped here and below: it may quote the values.
        let json = serde_json::to_vec(self).map_err(|_| UNREADABLE_CUSTOMER)?;
        Ok(seal.seal(&context("customers", id.0), &json))
    }

    pub fn open(seal: Seal, id: CustomerId, sealed: &[u8]) -> Result<Self, Fault> {
        serde_json::from_slice(&open(seal, "customers", id.0, sealed)?).map_err(|_| UNREADABLE_CUSTOMER)
    }

    pub fn name(&self) -> Result<PersonName, Fault> {
        Ok(PersonName {
            given: self.given.clone(),
            patronymic: self.patronymic.clone(),
            family: self.family.clone(),
            gender: self.gender.as_deref().map(str::parse).transpose().map_err(|_| UNREADABLE_CUSTOMER)?,
            form: self.form.parse().map_err(|_| UNREADABLE_CUSTOMER)?,
            spoken: self.spoken.clone(),
        })
    }

    pub fn language(&self) -> Result<Option<Language>, Fault> {
        self.language.as_deref().map(str::parse).transpose().map_err(|_| UNREADABLE_CUSTOMER)
    }
}

pub(super) fn seal_embedding(seal: Seal, template: Uuid, embedding: &Embedding) -> Vec<u8> {
    let numbers: Vec<u8> = embedding.values().iter().flat_map(|value| value.to_le_bytes()).collect();
    seal.seal(&context("templates", template), &numbers)
}

pub(super) fn open_embedding(seal: Seal, template: Uuid, sealed: &[u8]) -> Result<Embedding, Fault> {
    let numbers = open(seal, "templates", template, sealed)?;
    let (values, rest) = numbers.as_chunks::<4>();
    let embedding = Embedding::from_raw(values.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect());
    embedding.filter(|_| rest.is_empty()).ok_or(Fault::Row("a template is not an embedding"))
}

fn context(table: &'static str, row: Uuid) -> SealContext {
    SealContext { table, column: "sealed", row }
}

fn open(seal: Seal, table: &'static str, row: Uuid, sealed: &[u8]) -> Result<Vec<u8>, Fault> {
    seal.open(&context(table, row), sealed).map_err(|cause| StoreError::Sealed { table, row, cause }.into())
}
