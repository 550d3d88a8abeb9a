//! Customers and their templates: enrolled together, read for screens and for the gallery.
//!
//! Consent history is `consents`, removal is `erasure`; which photo is good enough is `crate::enrolment`'s.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use rusqlite::{Row, Transaction, params};

use super::error::{Fault, StoreError};
use super::rows::{self, CustomerRow, customer_id, key, micros, time, uuid};
use super::{Seal, Store, UnreadableRow, cards, consents, identifiers};
use crate::clock::{Days, mint_at};
use crate::customer::{Card, Consent, Customer, CustomerId, Identifier, PersonName, Purpose};
use crate::face::{Embedding, Template};
use crate::i18n::Language;
use crate::names::{Written, greeted};

/// A customer about to be enrolled; the name is one that [`PersonName::checked`] passed.
#[derive(Clone)]
pub struct NewCustomer {
    pub id: CustomerId,
    pub name: PersonName,
    pub language: Option<Language>,
    pub tier: Option<String>,
    pub note: Option<String>,
    pub consent: Consent,
    /// Cards and phones by which they are known too.
    pub identifiers: Vec<Identifier>,
    pub enrolled_at: Timestamp,
}

impl fmt::Debug for NewCustomer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NewCustomer({}, …)", self.id)
    }
}

/// Visits count once they are over, so that a card shows what was before the present one.
const CUSTOMER_COLUMNS: &str = "SELECT c.id, c.sealed, c.enrolled_at,
    c.past_visits
        + (SELECT count(*) FROM visits v WHERE v.customer = c.id AND v.closed_at NOT NULL AND v.verdict <> 'rejected'),
    coalesce((SELECT max(opened_at) FROM visits v
              WHERE v.customer = c.id AND v.closed_at NOT NULL AND v.verdict <> 'rejected'), c.past_last_visit),
    l.sealed, max(l.as_of, coalesce(t.pulled_at, 0))
    FROM customers c JOIN targets t ON t.state = 'current'
    LEFT JOIN crm_links l ON l.customer = c.id AND l.target = t.id";

impl Store {
    /// Writes customer, consent, cards and templates in one transaction. Refused unless the consent covers
    /// recognition on `days` (greeting by card, for one with cards and no template), for an id that is already
    /// there, and when another customer has one of the cards.
    pub fn add_customer(
        &self,
        customer: &NewCustomer,
        templates: &[Template],
        days: impl Into<Days>,
    ) -> Result<(), StoreError> {
        let days = days.into();
        let by_card = templates.is_empty() && !customer.identifiers.is_empty();
        let purpose = if by_card { Purpose::CardGreeting } else { Purpose::Recognition };
        consents::check(customer.id, &customer.consent, purpose, days)?;
        if !customer.identifiers.is_empty() {
            self.need_key()?;
        }
        self.write(|tx| {
            if exists(tx, customer.id)? {
                return Err(StoreError::CustomerExists(customer.id).into());
            }
            let sealed = CustomerRow::of(customer).seal(self.seal, customer.id)?;
            tx.execute(
                "INSERT INTO customers (id, sealed, enrolled_at) VALUES (?1, ?2, ?3)",
                params![key(customer.id.0), sealed, micros(customer.enrolled_at)],
            )?;
            consents::grant(tx, customer.id, &customer.consent, customer.enrolled_at)?;
            for identifier in &customer.identifiers {
                identifiers::add(tx, &self.key, customer.id, identifier, customer.enrolled_at)?;
            }
            for template in templates {
                add_template(tx, self.seal, customer, template)?;
            }
            gallery_changed(tx, customer.id)
        })
    }

    /// Everybody enrolled, live consent or not, in the order of enrolment; without those whose row cannot be read: see
    /// [`Store::unreadable_rows`].
    pub fn customers(&self) -> Result<Vec<Customer>, StoreError> {
        self.read(|tx| {
            let mut consents = consents::all(tx)?;
            let mut statement = tx.prepare_cached(&format!("{CUSTOMER_COLUMNS} ORDER BY c.enrolled_at, c.id"))?;
            let mut rows = statement.query([])?;
            let mut customers = Vec::new();
            while let Some(row) = rows.next()? {
                let consent = consents.remove(&customer_id(row, 0)?);
                match self.customer_of(row, consent) {
                    Err(fault) if fault.is_of_one_row() => {}
                    customer => customers.push(customer?),
                }
            }
            Ok(customers)
        })
    }

    /// One customer with the card of the visits before the present one; `None` when unknown or erased.
    pub fn customer(&self, id: CustomerId) -> Result<Option<Customer>, StoreError> {
        self.read(|tx| self.customer_in(tx, id))
    }

    /// The name with which a customer consented, without what the CRM adds to it.
    pub fn consented_name(&self, id: CustomerId) -> Result<Option<PersonName>, StoreError> {
        self.read(|tx| {
            let mut statement = tx.prepare_cached("SELECT sealed FROM customers WHERE id = ?1")?;
            let mut rows = statement.query(params![key(id.0)])?;
            let Some(row) = rows.next()? else { return Ok(None) };
            let sealed = row.get_ref(0)?.as_blob().map_err(|_| NOT_BYTES)?;
            Ok(Some(CustomerRow::open(self.seal, id, sealed)?.name()?))
        })
    }

    pub(super) fn customer_in(&self, tx: &Transaction<'_>, id: CustomerId) -> Result<Option<Customer>, Fault> {
        let consent = consents::current(tx, id)?;
        let mut statement = tx.prepare_cached(&format!("{CUSTOMER_COLUMNS} WHERE c.id = ?1"))?;
        let mut rows = statement.query(params![key(id.0)])?;
        rows.next()?.map(|row| self.customer_of(row, consent)).transpose()
    }

    /// The embeddings that `pack` made, of customers whose consent covers recognition on `days`: exactly what
    /// a gallery may hold, without rows that cannot be read. In the order of customer ids.
    pub fn templates(
        &self,
        pack: &str,
        days: impl Into<Days>,
    ) -> Result<Vec<(CustomerId, Vec<Embedding>)>, StoreError> {
        let days = days.into();
        self.read(|tx| {
            let mut consents = consents::all(tx)?;
            consents.retain(|_, consent| consent.is_live(Purpose::Recognition, days));
            let mut statement =
                tx.prepare_cached("SELECT customer, id, sealed FROM templates WHERE pack = ?1 ORDER BY id")?;
            let mut rows = statement.query(params![pack])?;
            let mut found: BTreeMap<CustomerId, Vec<Embedding>> = BTreeMap::new();
            while let Some(row) = rows.next()? {
                let customer = customer_id(row, 0)?;
                if consents.contains_key(&customer) {
                    let sealed = row.get_ref(2)?.as_blob().map_err(|_| NOT_BYTES)?;
                    match rows::open_embedding(self.seal, uuid(row, 1)?, sealed) {
                        Err(fault) if fault.is_of_one_row() => {}
                        embedding => found.entry(customer).or_default().push(embedding?),
                    }
                }
            }
            Ok(found.into_iter().collect())
        })
    }

    fn customer_of(&self, row: &Row<'_>, consent: Option<Consent>) -> Result<Customer, Fault> {
        let id = customer_id(row, 0)?;
        let sealed = row.get_ref(1)?.as_blob().map_err(|_| NOT_BYTES)?;
        let personal = CustomerRow::open(self.seal, id, sealed)?;
        let last_visit: Option<i64> = row.get(4)?;
        let (mut name, language) = (personal.name()?, personal.language()?);
        let kept = match (row.get_ref(5)?.as_blob_or_null().map_err(|_| NOT_BYTES)?, row.get::<_, Option<i64>>(6)?) {
            (Some(sealed), Some(as_of)) => cards::open_card(&self.key, id, sealed, time(as_of)?),
            _ => None,
        };
        let (mut tier, mut note) = (personal.tier, personal.note);
        let crm = kept.map(|kept| {
            let [given, patronymic, family] = [&kept.given, &kept.patronymic, &kept.family].map(Option::as_deref);
            name = greeted(&name, Written { given, patronymic, family });
            tier = kept.tier.or(tier.take());
            note = kept.notes.or(note.take());
            kept.card
        });
        Ok(Customer {
            id,
            name,
            language,
            consent: consent.ok_or(Fault::Row("a customer has no consent"))?,
            enrolled_at: time(row.get(2)?)?,
            card: Card { visits: row.get(3)?, last_visit: last_visit.map(time).transpose()?, tier, note, crm },
        })
    }
}

pub(super) const NOT_BYTES: Fault = Fault::Row("a sealed column holds no bytes");

fn add_template(tx: &Transaction<'_>, seal: Seal, customer: &NewCustomer, template: &Template) -> Result<(), Fault> {
    let id = mint_at(customer.enrolled_at);
    tx.execute(
        "INSERT INTO templates (id, customer, pack, quality, made_at, sealed) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            key(id),
            key(customer.id.0),
            template.pack,
            template.quality,
            micros(customer.enrolled_at),
            rows::seal_embedding(seal, id, &template.embedding),
        ],
    )?;
    Ok(())
}

/// Moves [`Store::change_stamp`] and marks `customer`; part of every transaction that changes a customer, their consent,
/// identifiers, templates or the CRM's card. An erased customer has no row left to mark.
pub(super) fn gallery_changed(tx: &Transaction<'_>, customer: CustomerId) -> Result<(), Fault> {
    tx.execute("UPDATE upkeep SET gallery = gallery + 1", [])?;
    tx.execute("UPDATE customers SET changed = (SELECT gallery FROM upkeep) WHERE id = ?1", params![key(customer.0)])?;
    Ok(())
}

pub(super) fn require_customer(tx: &Transaction<'_>, id: CustomerId) -> Result<(), Fault> {
    if exists(tx, id)? { Ok(()) } else { Err(StoreError::UnknownCustomer(id).into()) }
}

fn exists(tx: &Transaction<'_>, id: CustomerId) -> Result<bool, Fault> {
    Ok(tx.prepare_cached("SELECT 1 FROM customers WHERE id = ?1")?.exists(params![key(id.0)])?)
}

/// Rows of customers and their templates that do not open, while all others do.
pub(super) fn unreadable_rows(tx: &Transaction<'_>, seal: Seal) -> Result<Vec<UnreadableRow>, Fault> {
    let mut unreadable = Vec::new();
    let mut note = |table, row, customer, opened: Result<(), Fault>| match opened {
        Err(fault) if fault.is_of_one_row() => {
            unreadable.push(UnreadableRow { table, row, customer });
            Ok(())
        }
        opened => opened,
    };
    let consents = consents::all(tx)?;
    let mut statement = tx.prepare("SELECT id, sealed FROM customers ORDER BY id")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (id, sealed) = (customer_id(row, 0)?, row.get_ref(1)?.as_blob().map_err(|_| NOT_BYTES)?);
        let opened = CustomerRow::open(seal, id, sealed).and_then(|open| open.name().and(open.language()).map(drop));
        let agreed = if consents.contains_key(&id) { Ok(()) } else { Err(Fault::Row("a customer has no consent")) };
        note("customers", id.0, id, opened.and(agreed))?;
    }
    let mut statement = tx.prepare("SELECT id, customer, sealed FROM templates ORDER BY id")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (id, sealed) = (uuid(row, 0)?, row.get_ref(2)?.as_blob().map_err(|_| NOT_BYTES)?);
        note("templates", id, customer_id(row, 1)?, rows::open_embedding(seal, id, sealed).map(drop))?;
    }
    Ok(unreadable)
}

/// Opens everything sealed, for the error alone.
pub(super) fn open_every_seal(tx: &Transaction<'_>, seal: Seal) -> Result<(), Fault> {
    let mut statement = tx.prepare("SELECT id, sealed FROM customers")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let sealed = row.get_ref(1)?.as_blob().map_err(|_| NOT_BYTES)?;
        CustomerRow::open(seal, customer_id(row, 0)?, sealed)?;
    }
    let mut statement = tx.prepare("SELECT id, sealed FROM templates")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let sealed = row.get_ref(1)?.as_blob().map_err(|_| NOT_BYTES)?;
        rows::open_embedding(seal, uuid(row, 0)?, sealed)?;
    }
    Ok(())
}
