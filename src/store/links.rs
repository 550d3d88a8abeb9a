//! Which contact of the current CRM a customer is. Links to a former one stay for erasures.
//!
//! Which contact it is, `crate::sync` says; of people who are not enrolled nothing but the ids of contacts is kept, where a
//! person must choose among them.

use std::time::Duration;

use crate::clock::Days;
use jiff::Timestamp;
use rusqlite::{OptionalExtension, Transaction, params};

use super::customers::{gallery_changed, require_customer};
use super::error::{Fault, StoreError};
use super::rows::{customer_id, key, micros, time};
use super::targets::{self, TargetId};
use super::{Store, consents};
use crate::customer::{CustomerId, Purpose};

/// What is known of a customer's contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    Linked(String),
    /// It is perhaps being created since then; `made` is what the CRM called it, while it may turn out a double.
    Creating {
        since: Timestamp,
        made: Option<String>,
    },
    /// Our word is perhaps on this contact already.
    Marking(String),
    /// Looked for in vain.
    Absent(Timestamp),
    /// A person must say which of these it is, or what else to do.
    Unclear {
        since: Timestamp,
        why: Why,
        candidates: Vec<String>,
    },
    /// The contact is not in the CRM any more; who took its place is looked for at once.
    Lost(String),
    /// And it is not certain that somebody did: it was deleted on purpose, or a person must say.
    Deleted {
        since: Timestamp,
        contact: String,
        doubt: Option<(Why, Vec<String>)>,
    },
}

/// Why it is unclear which contact a customer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// More than one contact could be them.
    Several,
    /// Their phone or e-mail is only on contacts of other names.
    AnotherName,
    /// The names neither agree nor disagree.
    CannotSay,
    /// The contact is another customer of this box.
    AnotherCustomer,
    /// The field of the mark holds another program's text.
    ForeignMark,
    /// The field of the mark has no room for another word.
    MarkFull,
    /// Another store marks contacts under another company key, so that nobody is created.
    OtherCompanyKey,
    /// The CRM refuses to write it.
    Refused,
    /// The contact was deleted in the CRM.
    Deleted,
}

impl Why {
    pub const ALL: [Self; 9] = [
        Self::Several,
        Self::AnotherName,
        Self::CannotSay,
        Self::AnotherCustomer,
        Self::ForeignMark,
        Self::MarkFull,
        Self::OtherCompanyKey,
        Self::Refused,
        Self::Deleted,
    ];

    /// A stable name for the database and for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Several => "several",
            Self::AnotherName => "another-name",
            Self::CannotSay => "cannot-say",
            Self::AnotherCustomer => "another-customer",
            Self::ForeignMark => "foreign-mark",
            Self::MarkFull => "mark-full",
            Self::OtherCompanyKey => "other-company-key",
            Self::Refused => "refused",
            Self::Deleted => "deleted-in-crm",
        }
    }
}

/// A customer of whom a person must say which contact they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unclear {
    pub customer: CustomerId,
    pub why: Why,
    /// The contacts that it is about.
    pub candidates: Vec<String>,
    pub since: Timestamp,
}

/// Between the ids of contacts in one column.
const BETWEEN: &str = "\n";
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
            let none = String::new();
            let (state, contact, tried_at, why, about) = match link {
                Link::Linked(contact) => ("linked", Some(contact), at, None, none),
                Link::Creating { since, made } => ("creating", None, *since, None, made.clone().unwrap_or_default()),
                Link::Marking(contact) => ("marking", None, at, None, contact.clone()),
                Link::Absent(since) => ("absent", None, *since, None, none),
                Link::Unclear { since, why, candidates } => {
                    ("unclear", None, *since, Some(why.as_str()), candidates.join(BETWEEN))
                }
                Link::Lost(contact) => ("lost", None, at, None, contact.clone()),
                Link::Deleted { since, contact, doubt } => {
                    let candidates = doubt.iter().flat_map(|(_, candidates)| candidates.iter());
                    let about: Vec<&str> = std::iter::once(contact).chain(candidates).map(String::as_str).collect();
                    ("deleted", None, *since, doubt.as_ref().map(|(why, _)| why.as_str()), about.join(BETWEEN))
                }
            };
            if let Some(contact) = contact
                && let Some(owner) = linked_to(tx, target, contact)?.filter(|owner| *owner != customer)
            {
                return Err(StoreError::ContactTaken { owner }.into());
            }
            tx.execute(
                "INSERT INTO crm_links (customer, target, state, contact, tried_at, why, about) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                 ON CONFLICT (customer, target) DO UPDATE SET state = ?3, contact = ?4, tried_at = ?5, why = ?6, about = ?7,
                 sealed = iif(contact IS ?4, sealed, NULL), as_of = iif(contact IS ?4, as_of, NULL),
                 vouched = iif(contact IS ?4, vouched, 0)",
                params![
                    key(customer.0),
                    target.0,
                    state,
                    contact,
                    micros(tried_at),
                    why,
                    Some(about).filter(|about| !about.is_empty())
                ],
            )?;
            gallery_changed(tx, customer)
        })
    }

    /// A person said that the customer is the contact that they are linked to, whatever its name is or becomes.
    pub fn vouch(&self, target: TargetId, customer: CustomerId) -> Result<(), StoreError> {
        let sql = "UPDATE crm_links SET vouched = 1 WHERE customer = ?1 AND target = ?2 AND state = 'linked'";
        self.write(|tx| Ok(tx.execute(sql, params![key(customer.0), target.0]).map(drop)?))
    }

    /// Whether a person said so of the present contact.
    pub fn is_vouched(&self, target: TargetId, customer: CustomerId) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM crm_links WHERE customer = ?1 AND target = ?2 AND vouched";
        self.read(|tx| Ok(tx.prepare_cached(sql)?.exists(params![key(customer.0), target.0])?))
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

    /// Customers of whom a person must say which contact they are, or whose contact was deleted in the CRM.
    pub fn unclear(&self, target: TargetId) -> Result<Vec<Unclear>, StoreError> {
        self.read(|tx| {
            let mut statement = tx.prepare_cached(
                "SELECT customer FROM crm_links WHERE target = ?1 AND state IN ('unclear', 'deleted') ORDER BY tried_at, customer",
            )?;
            let mut rows = statement.query(params![target.0])?;
            let mut all = Vec::new();
            while let Some(row) = rows.next()? {
                let customer = customer_id(row, 0)?;
                match link(tx, target, customer)? {
                    Some(Link::Unclear { since, why, candidates }) => {
                        all.push(Unclear { customer, why, candidates, since });
                    }
                    Some(Link::Deleted { since, contact, doubt }) => {
                        let (why, candidates) = doubt.unwrap_or((Why::Deleted, vec![contact]));
                        all.push(Unclear { customer, why, candidates, since });
                    }
                    _ => {}
                }
            }
            Ok(all)
        })
    }

    /// Customers who agreed, on `days`, that the CRM hears of them, and have no contact there; those who were looked
    /// for within `again` before `now` are left out, and those who are being created for less than `settle`. Who waits with a
    /// visit comes first.
    pub fn customers_to_link(
        &self,
        target: TargetId,
        most: usize,
        now: Timestamp,
        (again, settle): (Duration, Duration),
        days: impl Into<Days>,
    ) -> Result<Vec<CustomerId>, StoreError> {
        let days = days.into();
        let ago = |time: Duration| micros(now.checked_sub(time).unwrap_or(Timestamp::MIN));
        self.read(|tx| {
            let mut statement = tx.prepare_cached(
                "SELECT c.id FROM customers c LEFT JOIN crm_links l ON l.customer = c.id AND l.target = ?2
                 WHERE l.customer IS NULL OR l.state IN ('marking', 'lost')
                 OR l.state = 'creating' AND NOT (l.tried_at > ?3 AND l.tried_at <= ?4)
                 OR l.state IN ('absent', 'unclear', 'deleted') AND NOT (l.tried_at >= ?1 AND l.tried_at <= ?4)
                 ORDER BY NOT EXISTS (SELECT 1 FROM outbox o WHERE o.customer = c.id AND o.target = ?2 AND o.state = 'new'), c.id",
            )?;
            let mut rows = statement.query(params![ago(again), target.0, ago(settle), micros(now)])?;
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

    /// Every card is fetched anew, and with it the mark on the contact looked at.
    pub fn fetch_cards_anew(&self) -> Result<(), StoreError> {
        self.write(|tx| {
            tx.execute("UPDATE crm_links SET sealed = NULL, as_of = NULL WHERE state = 'linked'", [])?;
            Ok(())
        })
    }

    /// Remembers that a contact of `target` is marked under another company key.
    pub fn note_other_key(&self, target: TargetId, fingerprint: &str, contact: &str) -> Result<(), StoreError> {
        let sql = "UPDATE targets SET other_key = ?2, other_key_on = ?3 WHERE id = ?1 AND other_key IS NULL";
        self.write(|tx| tx.execute(sql, params![target.0, fingerprint, contact]).map(drop).map_err(Fault::from))
    }

    /// No contact is known any more that is marked under another company key.
    pub fn clear_other_key(&self, target: TargetId) -> Result<(), StoreError> {
        let sql = "UPDATE targets SET other_key = NULL, other_key_on = NULL WHERE id = ?1 AND other_key NOT NULL";
        self.write(|tx| tx.execute(sql, params![target.0]).map(drop).map_err(Fault::from))
    }

    /// The fingerprint of another company key that was seen in `target`: a store there has another one than this box.
    pub fn other_company_key(&self, target: TargetId) -> Result<Option<String>, StoreError> {
        Ok(self.other_key_on(target)?.map(|(fingerprint, _)| fingerprint))
    }

    /// And the contact on which it was seen.
    pub fn other_key_on(&self, target: TargetId) -> Result<Option<(String, String)>, StoreError> {
        let sql = "SELECT other_key, other_key_on FROM targets WHERE id = ?1 AND other_key NOT NULL";
        self.read(|tx| {
            let found = tx.prepare_cached(sql)?.query_row(params![target.0], |row| Ok((row.get(0)?, row.get(1)?)));
            Ok(found.optional()?)
        })
    }
}

pub(super) fn link(tx: &Transaction<'_>, target: TargetId, customer: CustomerId) -> Result<Option<Link>, Fault> {
    let mut statement = tx.prepare_cached(
        "SELECT state, coalesce(contact, about), tried_at, why FROM crm_links WHERE customer = ?1 AND target = ?2",
    )?;
    let mut rows = statement.query(params![key(customer.0), target.0])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let (state, about, since): (String, Option<String>, _) = (row.get(0)?, row.get(1)?, time(row.get(2)?)?);
    let why = match row.get::<_, Option<String>>(3)? {
        Some(code) => Some(Why::ALL.into_iter().find(|why| why.as_str() == code).ok_or(UNREADABLE)?),
        None => None,
    };
    Ok(Some(match (&*state, about) {
        ("linked", Some(contact)) => Link::Linked(contact),
        ("creating", made) => Link::Creating { since, made },
        ("marking", Some(contact)) => Link::Marking(contact),
        ("absent", None) => Link::Absent(since),
        ("unclear", about) => {
            Link::Unclear { since, why: why.ok_or(UNREADABLE)?, candidates: ids(&about.unwrap_or_default()) }
        }
        ("lost", Some(contact)) => Link::Lost(contact),
        ("deleted", Some(about)) => {
            let (contact, candidates) = about.split_once(BETWEEN).unwrap_or((&about, ""));
            Link::Deleted { since, contact: contact.to_owned(), doubt: why.map(|why| (why, ids(candidates))) }
        }
        _ => return Err(UNREADABLE),
    }))
}

fn ids(lines: &str) -> Vec<String> {
    lines.split(BETWEEN).filter(|id| !id.is_empty()).map(str::to_owned).collect()
}

fn linked_to(tx: &Transaction<'_>, target: TargetId, contact: &str) -> Result<Option<CustomerId>, Fault> {
    let mut statement = tx.prepare_cached("SELECT customer FROM crm_links WHERE target = ?2 AND contact = ?1")?;
    Ok(statement.query_row(params![contact, target.0], |row| customer_id(row, 0)).optional()?)
}
