//! Which contact of the CRM a customer is: sought by our mark, then by what took its place, then by phone and e-mail.
//!
//! Whether one that was found is the customer says `identity`; creating one is `doubles`'.

use std::time::Duration;

use jiff::Timestamp;

use super::identity::{Choice, choose, compare, is_live};
use super::marking::Marked;
use super::{Company, Courier, SEEK_AGAIN, SOME, later, marking};
use crate::clock::{Clock, Days};
use crate::crm::{Contact, ContactId, CrmConnector, CrmSettings, Failure, FailureClass, Seek, searches};
use crate::customer::{Customer, CustomerId, Identifier};
use crate::names::Agreement;
use crate::store::{Link, Store, StoreError, TargetId, Why};

/// Contacts that were merged one into the other are followed so far.
const MERGES: usize = 8;

/// How a search for a customer's contact ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Linked {
    Found(ContactId),
    Created(ContactId),
    /// Nobody in the CRM has their mark, phone or e-mail, and none may be created.
    Absent,
    /// A person must say.
    Unclear(Why),
    /// Their contact was deleted in the CRM, and nobody took its place.
    Deleted,
    /// A contact is perhaps being created; it is looked for again later.
    Waiting,
    /// The customer was erased meanwhile, and nothing of them is left on a contact.
    Erased,
}

/// What a look for the contacts of some customers came to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Looked {
    ForNobody,
    ForSome,
    /// The CRM failed: everything rests.
    InVain,
}

/// Why a search could not be ended.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Crm(#[from] Failure),
}

impl Courier {
    /// Looks for the contacts of some customers who have none.
    pub(super) async fn link_some(&mut self, now: Timestamp, days: Days) -> Result<Looked, StoreError> {
        let (store, target, times) = (&self.parts.store, self.target, (SEEK_AGAIN, self.manners.settle));
        let customers = store.customers_to_link(target, SOME, now, times, days)?;
        if customers.is_empty() {
            return Ok(Looked::ForNobody);
        }
        // A person may have changed it since the last time.
        let company = Company::of(store)?;
        let mut looked = Looked::ForNobody;
        for customer in &customers {
            let parts = &mut self.parts;
            let book = LinkBook { store: &parts.store, target, company: &company };
            let linked = link_customer(book, &mut *parts.connector, &parts.settings, &*parts.clock, *customer).await;
            if !matches!(linked, Ok(Linked::Waiting)) {
                looked = Looked::ForSome;
            }
            match linked {
                Ok(Linked::Found(_) | Linked::Created(_)) => self.well()?,
                Ok(_) => {}
                Err(LinkError::Store(error)) => return Err(error),
                Err(LinkError::Crm(failure)) if failure.class == FailureClass::Poison => {
                    tracing::warn!(%customer, said = failure.said(), "the CRM refuses a customer's contact");
                    let lost = lost_by(self.parts.store.link_in(target, *customer)?);
                    let refused = doubted(lost, now, Why::Refused, Vec::new());
                    unless_erased(self.parts.store.set_link(target, *customer, &refused, now))?;
                }
                Err(LinkError::Crm(failure)) => {
                    self.settling.tried(customer.0, self.parts.clock.monotonic());
                    self.rest(&failure)?;
                    return Ok(Looked::InVain);
                }
            }
        }
        Ok(looked)
    }

    /// The CRM does not have the customer's contact any more: they are looked for anew before anything else is sent of them.
    pub(super) async fn contact_lost(&mut self, customer: CustomerId, contact: &ContactId) -> Result<(), StoreError> {
        let linked = self.parts.store.link_in(self.target, customer)?;
        if linked == Some(Link::Linked(contact.0.clone())) {
            tracing::info!(%customer, %contact, "the customer's contact is gone from the CRM; they are looked for anew");
            let lost = Link::Lost(contact.0.clone());
            unless_erased(self.parts.store.set_link(self.target, customer, &lost, self.now()))?;
        }
        Ok(())
    }
}

/// Whether the customer was still there to be written about.
pub(super) fn unless_erased(written: Result<(), StoreError>) -> Result<bool, StoreError> {
    match written {
        Ok(()) => Ok(true),
        Err(StoreError::UnknownCustomer(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The contact that the CRM does not have any more.
fn lost_by(link: Option<Link>) -> Option<String> {
    match link {
        Some(Link::Lost(contact) | Link::Deleted { contact, .. }) => Some(contact),
        _ => None,
    }
}

fn doubted(lost: Option<String>, since: Timestamp, why: Why, candidates: Vec<String>) -> Link {
    match lost {
        Some(contact) => Link::Deleted { since, contact, doubt: Some((why, candidates)) },
        None => Link::Unclear { since, why, candidates },
    }
}

/// Where it is written which contact of a CRM a customer is.
#[derive(Clone, Copy)]
pub struct LinkBook<'a> {
    pub store: &'a Store,
    pub target: TargetId,
    pub company: &'a Company,
}

/// Finds, links or creates the contact of one customer, and records what came of it.
pub async fn link_customer(
    book: LinkBook<'_>,
    connector: &mut dyn CrmConnector,
    settings: &CrmSettings,
    clock: &dyn Clock,
    customer: CustomerId,
) -> Result<Linked, LinkError> {
    let Some(mut known) = book.store.customer(customer)? else { return Ok(Linked::Erased) };
    // What a card added to the name is no evidence of whose contact it is.
    let Some(name) = book.store.consented_name(customer)? else { return Ok(Linked::Erased) };
    known.name = name;
    let identifiers = book.store.identifiers(customer)?.into_iter().filter_map(|kept| kept.identifier).collect();
    Seeker { book, connector, clock, known, identifiers, lost: None }.seek(settings.create_contacts).await
}

/// One customer on the way to their contact.
pub(super) struct Seeker<'a> {
    pub book: LinkBook<'a>,
    pub connector: &'a mut dyn CrmConnector,
    pub clock: &'a dyn Clock,
    pub known: Customer,
    pub identifiers: Vec<Identifier>,
    /// The contact that they were, and that the CRM does not have any more.
    pub lost: Option<String>,
}

impl Seeker<'_> {
    async fn seek(&mut self, may_create: bool) -> Result<Linked, LinkError> {
        let before = self.book.store.link_in(self.book.target, self.known.id)?;
        if let Some(Link::Creating { since, made }) = &before {
            if self.is_under_way(*since) {
                return Ok(Linked::Waiting);
            }
            if !self.connector.manners().keyed_contacts
                && let Some(linked) = self.settle(made.as_deref()).await?
            {
                return Ok(linked);
            }
        }
        self.lost = lost_by(before);
        let mut doubt = None;
        let mut others = Vec::new();
        for sought in searches(self.known.id, &self.identifiers) {
            let found = self.connector.find(&sought).await?;
            found.iter().try_for_each(|contact| self.note_key(contact))?;
            match choose(&self.known, &sought, &found) {
                Choice::One(contact) => return self.take(&contact).await,
                Choice::Unclear(why, candidates) => doubt = doubt.or(Some((why, candidates))),
                Choice::Nobody(of_other_names) => others.extend(of_other_names),
            }
            if let (Seek::Mark(_), Some(lost)) = (&sought, self.lost.clone())
                && let Some(successor) = self.successor(&lost).await?
            {
                // A merge by a rule on phones may have put two people together.
                match compare(&self.known.name, &successor) {
                    Agreement::Disagree(_) if !successor.mark().bears(self.known.id) => {
                        doubt = Some((Why::AnotherName, vec![successor.id]));
                    }
                    _ => return self.take(&successor).await,
                }
            }
        }
        match doubt {
            Some((why, candidates)) => self.unclear(why, candidates),
            // Nobody is created in place of somebody who was deleted on purpose.
            None if may_create && self.lost.is_none() => self.create().await,
            None if !others.is_empty() && self.lost.is_none() => self.unclear(Why::AnotherName, others),
            None => self.nobody(),
        }
    }

    pub fn now(&self) -> Timestamp {
        self.clock.wall().at
    }

    /// Whether a request of that time may still be carried out. A time that lies far ahead was another clock's.
    fn is_under_way(&self, since: Timestamp) -> bool {
        let (now, settle) = (self.now(), self.connector.manners().settle);
        now < later(since, settle) && later(since, settle) < later(now, settle + Duration::from_secs(1))
    }

    /// Writes it down; `false`: the customer was erased meanwhile.
    pub fn set(&self, link: &Link) -> Result<bool, StoreError> {
        unless_erased(self.book.store.set_link(self.book.target, self.known.id, link, self.now()))
    }

    pub fn unclear(&self, why: Why, candidates: Vec<String>) -> Result<Linked, LinkError> {
        tracing::info!(customer = %self.known.id, why = why.as_str(), "it is unclear which contact a customer is; see `snova crm unclear`");
        let is_kept = self.set(&doubted(self.lost.clone(), self.now(), why, candidates))?;
        Ok(if is_kept { Linked::Unclear(why) } else { Linked::Erased })
    }

    /// The CRM has nobody who could be the customer.
    fn nobody(&self) -> Result<Linked, LinkError> {
        let since = self.now();
        let (link, linked) = match self.lost.clone() {
            Some(contact) => (Link::Deleted { since, contact, doubt: None }, Linked::Deleted),
            None => (Link::Absent(since), Linked::Absent),
        };
        if linked == Linked::Deleted {
            tracing::info!(customer = %self.known.id, "a customer's contact was deleted in the CRM; see `snova crm unclear`");
        }
        Ok(if self.set(&link)? { linked } else { Linked::Erased })
    }

    /// Whether the contact is another customer's of this box.
    pub fn is_anothers(&self, contact: &str) -> Result<bool, StoreError> {
        let owner = self.book.store.customer_linked_to(self.book.target, contact)?;
        Ok(owner.is_some_and(|owner| owner != self.known.id))
    }

    /// Has the contact bear our word, and links the customer to it.
    pub async fn take(&mut self, contact: &Contact) -> Result<Linked, LinkError> {
        if self.is_anothers(&contact.id)? {
            return self.unclear(Why::AnotherCustomer, vec![contact.id.clone()]);
        }
        let id = ContactId(contact.id.clone());
        // Read anew: a search may be behind what another box has just written.
        let Some(contact) = self.connector.contact(&id).await?.filter(is_live) else {
            // Gone since it was found.
            return self.nobody();
        };
        if !contact.mark().bears(self.known.id) {
            if contact.mark().is_foreign() {
                return self.unclear(Why::ForeignMark, vec![contact.id]);
            }
            // On the disk before it is written: an erasure takes it off again, whatever happens between.
            if self.lost.is_none() && !self.set(&Link::Marking(contact.id.clone()))? {
                return Ok(Linked::Erased);
            }
        }
        match marking::add(self.connector, &contact, self.known.id, self.book.company).await? {
            Marked::Borne => self.link(id, Linked::Found).await,
            Marked::Full(_) => self.unclear(Why::MarkFull, vec![contact.id]),
        }
    }

    /// Links the customer to a contact that bears our word.
    pub async fn link(&mut self, id: ContactId, how: fn(ContactId) -> Linked) -> Result<Linked, LinkError> {
        if !self.set(&Link::Linked(id.0.clone()))? {
            return self.erased(&id).await;
        }
        tracing::info!(customer = %self.known.id, contact = %id, "the customer is linked to a contact");
        Ok(how(id))
    }

    /// The customer was erased while their contact was being marked: our word goes again.
    pub async fn erased(&mut self, contact: &ContactId) -> Result<Linked, LinkError> {
        marking::take_off(self.connector, contact, self.known.id).await?;
        Ok(Linked::Erased)
    }

    /// The live contact that a lost one was merged into, or that one itself if it is back.
    pub async fn successor(&mut self, lost: &str) -> Result<Option<Contact>, Failure> {
        let mut at = ContactId(lost.to_owned());
        for _ in 0..MERGES {
            let Some(there) = self.connector.contact(&at).await? else { return Ok(None) };
            match &there.master {
                Some(master) if *master != at => at = master.clone(),
                _ => return Ok(Some(there).filter(is_live)),
            }
        }
        Ok(None)
    }

    /// Remembers a contact that is marked under a key which this box never held.
    pub fn note_key(&self, contact: &Contact) -> Result<(), StoreError> {
        note_key(self.book, contact)
    }

    /// A contact that is still marked under another company key: two boxes would give one person two keys.
    pub async fn marked_otherwise(&mut self) -> Result<Option<String>, LinkError> {
        look_at_keys_again(self.book, self.connector).await
    }
}

pub(super) fn note_key(book: LinkBook<'_>, contact: &Contact) -> Result<(), StoreError> {
    let Some(other) = book.company.other_on(contact) else { return Ok(()) };
    if book.store.other_company_key(book.target)?.is_none() {
        tracing::warn!(contact = %contact.id, key = %other, "another store marks contacts under another company key; see `snova crm company-key`");
        book.store.note_other_key(book.target, &other, &contact.id)?;
    }
    Ok(())
}

/// Whether the contact on which another company key was seen still bears it.
pub(super) async fn look_at_keys_again(
    book: LinkBook<'_>,
    connector: &mut dyn CrmConnector,
) -> Result<Option<String>, LinkError> {
    let Some((_, on)) = book.store.other_key_on(book.target)? else { return Ok(None) };
    let there = connector.contact(&ContactId(on.clone())).await?;
    if there.filter(is_live).is_some_and(|there| book.company.other_on(&there).is_some()) {
        return Ok(Some(on));
    }
    book.store.clear_other_key(book.target)?;
    Ok(None)
}
