//! The roster: everybody enrolled, as greeting them needs it, in memory; and what of it changed, read at once.
//!
//! Nobody at the counter waits for the disk: names, cards, consents and whose card or phone it is are asked here. Who
//! reads the changes, and when, is `crate::loader`'s; templates go from here to the gallery and are not kept.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use rusqlite::{Transaction, params};
use uuid::Uuid;

use super::error::{Fault, StoreError};
use super::rows::{self, customer_id, key, time, uuid};
use super::{Store, customers};
use crate::customer::{Customer, CustomerId, Identifier};
use crate::face::Embedding;
use crate::vault::DeviceKey;

/// A customer with what they are looked up by.
#[derive(Clone)]
pub struct Known {
    pub customer: Customer,
    /// Kind and blind index of their cards and phones.
    blinds: Vec<Blind>,
    /// The change of customers after which this was read.
    changed: u64,
}

type Blind = (String, [u8; 32]);

/// A customer as they were read, with their templates of one pack.
pub struct RosterRow {
    pub known: Known,
    /// A template never changes: its id says which it is.
    pub templates: Vec<(Uuid, Embedding)>,
}

/// How far the customers have changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RosterStamp {
    changes: u64,
    erasures: u64,
    /// When the CRM was last asked for changed cards.
    pub cards_as_of: Option<Timestamp>,
}

/// What changed since a stamp, or everything.
pub struct RosterRead {
    pub stamp: RosterStamp,
    pub rows: Vec<RosterRow>,
    /// Those who changed and whose rows cannot be read, or not all of them.
    pub unreadable: Vec<CustomerId>,
    /// Everybody who is enrolled, where somebody may have been erased.
    pub enrolled: Option<HashSet<CustomerId>>,
}

/// A change on its way to the roster.
#[derive(Default)]
pub struct RosterChange {
    /// `known` is everybody: whoever is not among them is gone.
    pub is_whole: bool,
    pub known: Vec<Known>,
    pub gone: Vec<CustomerId>,
    pub cards_as_of: Option<Timestamp>,
}

/// Everybody enrolled.
pub struct Roster {
    key: DeviceKey,
    known: HashMap<CustomerId, Known>,
    owners: HashMap<Blind, CustomerId>,
    cards_as_of: Option<Timestamp>,
}

impl Roster {
    /// One customer with the card of the visits before the present one.
    pub fn customer(&self, id: CustomerId) -> Option<Customer> {
        let mut customer = self.known.get(&id)?.customer.clone();
        if let Some((card, asked)) = customer.card.crm.as_mut().zip(self.cards_as_of) {
            card.as_of = card.as_of.max(asked);
        }
        Some(customer)
    }

    /// Whose card or phone this is.
    pub fn identified(&self, identifier: &Identifier) -> Option<CustomerId> {
        let kind = identifier.kind().as_str();
        self.owners.get(&(kind.to_owned(), self.key.blind_index(kind, identifier.value()))).copied()
    }

    pub fn apply(&mut self, change: RosterChange) {
        if change.is_whole {
            self.known.clear();
            self.owners.clear();
        }
        change.gone.iter().for_each(|id| self.forget(*id));
        // Before anybody is put in: a card may have gone from one of them to another.
        change.known.iter().for_each(|known| self.forget(known.customer.id));
        change.known.into_iter().for_each(|known| self.put(known));
        self.cards_as_of = change.cards_as_of.or(self.cards_as_of);
    }

    /// Takes a customer as they were read again, unless a later change is here already, or they are gone.
    pub fn refresh(&mut self, known: Known) {
        let id = known.customer.id;
        if self.known.get(&id).is_some_and(|there| there.changed <= known.changed) {
            self.forget(id);
            self.put(known);
        }
    }

    fn put(&mut self, known: Known) {
        let id = known.customer.id;
        self.owners.extend(known.blinds.iter().map(|blind| (blind.clone(), id)));
        self.known.insert(id, known);
    }

    fn forget(&mut self, id: CustomerId) {
        let Some(known) = self.known.remove(&id) else { return };
        for blind in known.blinds {
            if self.owners.get(&blind) == Some(&id) {
                self.owners.remove(&blind);
            }
        }
    }
}

impl Store {
    /// A roster that knows nobody yet.
    pub fn empty_roster(&self) -> Roster {
        Roster { key: self.key.clone(), known: HashMap::new(), owners: HashMap::new(), cards_as_of: None }
    }

    /// How far the customers have changed. Costs one row.
    pub fn roster_stamp(&self) -> Result<RosterStamp, StoreError> {
        self.read(stamp)
    }

    /// Who changed after `since`, with their templates of `pack`; everybody without it. A row that cannot be read is
    /// left out and said; an error is one of the whole file.
    pub fn read_roster(&self, pack: &str, since: Option<RosterStamp>) -> Result<RosterRead, StoreError> {
        self.read(|tx| {
            let now = stamp(tx)?;
            let changed = since.map_or(-1, |since| i64::try_from(since.changes).unwrap_or(i64::MAX));
            let ids = ids(tx, "SELECT id FROM customers WHERE changed > ?1 ORDER BY id", changed)?;
            let mut read = RosterRead { stamp: now, rows: Vec::new(), unreadable: Vec::new(), enrolled: None };
            if since.is_some_and(|since| since.erasures != now.erasures) {
                read.enrolled =
                    Some(self::ids(tx, "SELECT id FROM customers WHERE changed > ?1", -1)?.into_iter().collect());
            }
            for id in ids {
                match self.row(tx, pack, id) {
                    Ok(Some((row, whole))) => {
                        read.rows.push(row);
                        read.unreadable.extend((!whole).then_some(id));
                    }
                    Ok(None) => {}
                    Err(fault) if fault.is_of_one_row() => read.unreadable.push(id),
                    Err(fault) => return Err(fault),
                }
            }
            Ok(read)
        })
    }

    /// One customer as the roster has them.
    pub(super) fn known(&self, id: CustomerId) -> Result<Option<Known>, StoreError> {
        self.read(|tx| self.known_in(tx, id))
    }

    fn known_in(&self, tx: &Transaction<'_>, id: CustomerId) -> Result<Option<Known>, Fault> {
        let Some(customer) = self.customer_in(tx, id)? else { return Ok(None) };
        let mut statement = tx.prepare_cached("SELECT kind, blind FROM identifiers WHERE customer = ?1")?;
        let blinds = statement.query_map(params![key(id.0)], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let blinds = blinds.collect::<rusqlite::Result<_>>()?;
        let changed: i64 = tx
            .prepare_cached("SELECT changed FROM customers WHERE id = ?1")?
            .query_row(params![key(id.0)], |row| row.get(0))?;
        Ok(Some(Known { customer, blinds, changed: changed.unsigned_abs() }))
    }

    /// A customer with those of their templates that can be read, and whether that is all of them.
    fn row(&self, tx: &Transaction<'_>, pack: &str, id: CustomerId) -> Result<Option<(RosterRow, bool)>, Fault> {
        let Some(known) = self.known_in(tx, id)? else { return Ok(None) };
        let mut statement =
            tx.prepare_cached("SELECT id, sealed FROM templates WHERE customer = ?1 AND pack = ?2 ORDER BY id")?;
        let mut found = statement.query(params![key(id.0), pack])?;
        let (mut templates, mut whole) = (Vec::new(), true);
        while let Some(row) = found.next()? {
            let template = || -> Result<_, Fault> {
                let id = uuid(row, 0)?;
                let sealed = row.get_ref(1)?.as_blob().map_err(|_| customers::NOT_BYTES)?;
                Ok((id, rows::open_embedding(self.seal, id, sealed)?))
            };
            match template() {
                Ok(template) => templates.push(template),
                Err(fault) if fault.is_of_one_row() => whole = false,
                Err(fault) => return Err(fault),
            }
        }
        Ok(Some((RosterRow { known, templates }, whole)))
    }
}

fn stamp(tx: &Transaction<'_>) -> Result<RosterStamp, Fault> {
    let mut statement = tx.prepare_cached(
        "SELECT gallery, erasures, (SELECT pulled_at FROM targets WHERE state = 'current') FROM upkeep",
    )?;
    let (changes, erasures, asked): (i64, i64, Option<i64>) =
        statement.query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let cards_as_of = asked.map(time).transpose()?;
    Ok(RosterStamp { changes: changes.unsigned_abs(), erasures: erasures.unsigned_abs(), cards_as_of })
}

fn ids(tx: &Transaction<'_>, sql: &str, changed: i64) -> Result<Vec<CustomerId>, Fault> {
    let mut statement = tx.prepare_cached(sql)?;
    let found = statement.query_map(params![changed], |row| customer_id(row, 0))?;
    Ok(found.collect::<rusqlite::Result<_>>()?)
}
