//! Which contact of the CRM a customer is: sought by their id, then by phone and e-mail, created where that is allowed.
//!
//! A wrong contact is worse than none: what is not certain is left to a person (`snova crm link`).

use std::time::Duration;

use jiff::Timestamp;

use super::{Courier, SEEK_AGAIN, SOME, later, marking};
use crate::clock::{Clock, Days};
use crate::crm::{
    Contact, ContactId, Creation, CrmConnector, CrmSettings, Failure, FailureClass, Mark, NewContact, searches,
};
use crate::customer::{Customer, CustomerId, Identifier, IdentifierKind};
use crate::store::{Link, Store, StoreError, TargetId};
use crate::vault::CompanyKey;

/// How a search for a customer's contact ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Linked {
    Found(ContactId),
    Created(ContactId),
    /// Nobody in the CRM has their id, phone or e-mail, and none may be created.
    Absent,
    /// Several have it, or it is another customer's contact.
    Unclear,
    /// A contact is perhaps being created; it is looked for again later.
    Waiting,
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
        let again = now.checked_sub(SEEK_AGAIN).unwrap_or(Timestamp::MIN);
        let customers = self.parts.store.customers_to_link(self.target, SOME, again, days)?;
        let mut looked = Looked::ForNobody;
        for customer in &customers {
            let parts = &mut self.parts;
            let book = LinkBook { store: &parts.store, target: self.target, company: &parts.company };
            let linked = link_customer(book, &mut *parts.connector, &parts.settings, &*parts.clock, *customer).await;
            if !matches!(linked, Ok(Linked::Waiting)) {
                looked = Looked::ForSome;
            }
            match linked {
                Ok(Linked::Found(_) | Linked::Created(_)) => self.well()?,
                Ok(Linked::Absent | Linked::Unclear | Linked::Waiting) => {}
                Err(LinkError::Store(error)) => return Err(error),
                Err(LinkError::Crm(failure)) if failure.class == FailureClass::Poison => {
                    tracing::warn!(%customer, said = failure.said(), "the CRM refuses a customer's contact");
                    self.parts.store.set_link(self.target, *customer, &Link::Unclear(now), now)?;
                }
                Err(LinkError::Crm(failure)) => {
                    self.rest(&failure)?;
                    return Ok(Looked::InVain);
                }
            }
        }
        Ok(looked)
    }
}

/// Where it is written which contact of a CRM a customer is.
#[derive(Clone, Copy)]
pub struct LinkBook<'a> {
    pub store: &'a Store,
    pub target: TargetId,
    pub company: &'a CompanyKey,
}

impl LinkBook<'_> {
    fn set(self, customer: CustomerId, link: &Link, at: Timestamp) -> Result<(), StoreError> {
        self.store.set_link(self.target, customer, link, at)
    }
}

/// Finds, links or creates the contact of one customer, and records what came of it.
pub async fn link_customer(
    book: LinkBook<'_>,
    connector: &mut dyn CrmConnector,
    settings: &CrmSettings,
    clock: &dyn Clock,
    customer: CustomerId,
) -> Result<Linked, LinkError> {
    let now = clock.wall().at;
    let Some(known) = book.store.customer(customer)? else { return Err(StoreError::UnknownCustomer(customer).into()) };
    let identifiers: Vec<Identifier> =
        book.store.identifiers(customer)?.into_iter().filter_map(|kept| kept.identifier).collect();
    let before = book.store.link_in(book.target, customer)?;
    // A creation that got no answer may still be under way.
    let settle = connector.manners().settle;
    if let Some(Link::Creating(since)) = before
        && now < later(since, settle)
        && later(since, settle) < later(now, settle + Duration::from_secs(1))
    {
        return Ok(Linked::Waiting);
    }
    let mut unclear = false;
    for sought in searches(customer, &identifiers) {
        let found = connector.find(&sought).await?;
        match choose(customer, &found) {
            Seeking::Found(contact) => return take(book, connector, customer, &contact, &found, now).await,
            Seeking::Unclear => unclear = true,
            Seeking::Nobody => {}
        }
    }
    if unclear {
        book.set(customer, &Link::Unclear(now), now)?;
        tracing::info!(%customer, "the CRM has several contacts that could be this customer; say which with `snova crm link`");
        return Ok(Linked::Unclear);
    }
    if !settings.create_contacts {
        book.set(customer, &Link::Absent(now), now)?;
        return Ok(Linked::Absent);
    }
    // On the disk before it is sent: if no answer comes, the contact is looked for before it is created again.
    book.set(customer, &Link::Creating(now), now)?;
    let new = new_contact(&known, &identifiers, book.company);
    let contact = match connector.create(&new).await? {
        Creation::Made(contact) => contact,
        Creation::Taken(there) => {
            marking::add(connector, &there, customer, &book.company.fingerprint()).await?;
            ContactId(there.id.clone())
        }
    };
    book.set(customer, &Link::Linked(contact.0.clone()), now)?;
    tracing::info!(%customer, "a contact was created in the CRM");
    Ok(Linked::Created(contact))
}

async fn take(
    book: LinkBook<'_>,
    connector: &mut dyn CrmConnector,
    customer: CustomerId,
    contact: &ContactId,
    found: &[Contact],
    now: Timestamp,
) -> Result<Linked, LinkError> {
    if book.store.customer_linked_to(book.target, &contact.0)?.is_some_and(|owner| owner != customer) {
        book.set(customer, &Link::Unclear(now), now)?;
        return Ok(Linked::Unclear);
    }
    if let Some(there) = found.iter().find(|other| other.id == contact.0) {
        marking::add(connector, there, customer, &book.company.fingerprint()).await?;
    }
    book.set(customer, &Link::Linked(contact.0.clone()), now)?;
    tracing::info!(%customer, "the customer was found in the CRM");
    Ok(Linked::Found(contact.clone()))
}

fn new_contact(customer: &Customer, identifiers: &[Identifier], company: &CompanyKey) -> NewContact {
    let first = |kind| {
        let mut of_kind = identifiers.iter().filter(|identifier| identifier.kind() == kind);
        of_kind.next().map(|identifier| identifier.value().to_owned())
    };
    let reached = identifiers.first().map_or_else(|| customer.id.to_string(), |one| one.value().to_owned());
    NewContact {
        key: company.contact_key(&reached, 1),
        customer: customer.id,
        mark: Mark::default().with(customer.id, &company.fingerprint()).text(),
        given: customer.name.given.clone(),
        patronymic: customer.name.patronymic.clone(),
        family: customer.name.family.clone(),
        phone: first(IdentifierKind::Phone),
        email: first(IdentifierKind::Email),
    }
}

/// What a search for a customer's contact came to.
enum Seeking {
    Found(ContactId),
    Nobody,
    /// Several have it, or the one that has it is another customer's: a person must say.
    Unclear,
}

/// The one contact that may be taken for `customer`: found by their own id, or by something only they have. A wrong contact
/// is worse than none.
fn choose(customer: CustomerId, found: &[Contact]) -> Seeking {
    let live: Vec<&Contact> = found.iter().filter(|contact| !contact.deleted).collect();
    let ours: Vec<_> = live.iter().filter(|contact| contact.mark().bears(customer)).collect();
    match (ours.as_slice(), live.as_slice()) {
        ([one], _) => Seeking::Found(ContactId(one.id.clone())),
        ([], []) => Seeking::Nobody,
        ([], [one]) if !one.mark().is_foreign() => Seeking::Found(ContactId(one.id.clone())),
        _ => Seeking::Unclear,
    }
}

impl Courier {
    /// The CRM does not have the customer's contact any more: they are looked for anew before anything else is sent of them.
    pub(super) async fn contact_lost(&mut self, customer: CustomerId, contact: &ContactId) -> Result<(), StoreError> {
        tracing::info!(%customer, %contact, "the customer's contact is gone from the CRM; they are looked for anew");
        self.parts.store.unlink(self.target, customer)?;
        Ok(())
    }
}
