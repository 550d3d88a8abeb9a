//! The CRM's cards of linked customers: fetched once a customer is linked, then as the CRM says that they changed.
//!
//! Contacts of people who are not enrolled pass by here in memory and are dropped.

use jiff::Timestamp;

use super::identity::{family, is_anothers, is_live};
use super::link::{look_at_keys_again, note_key, unless_erased};
use super::{Company, Courier, LinkBook, LinkError, SOME, marking};
use crate::crm::{Contact, ContactId, Failure, FailureClass};
use crate::customer::{CrmCard, CustomerId};
use crate::store::{KeptCard, Link, StoreError, Why};

/// Pages of changes taken in one step, so that visits never wait long.
const PAGES: usize = 4;

impl Courier {
    /// Fetches what is missing and looks for changes if it is time; whether anything was asked of the CRM.
    pub(super) async fn fetch_cards(&mut self, now: Timestamp) -> Result<bool, StoreError> {
        let missing = self.parts.store.customers_without_card(self.target, SOME)?;
        for (customer, contact) in &missing {
            match self.parts.connector.contact(&ContactId(contact.clone())).await {
                Ok(Some(there)) if is_live(&there) => {
                    if !self.keep(*customer, &there, now)? {
                        continue;
                    }
                    if let Err(failure) = self.mark_again(*customer, there).await? {
                        self.rest(&failure)?;
                        return Ok(true);
                    }
                }
                Ok(_) => self.contact_lost(*customer, &ContactId(contact.clone())).await?,
                Err(failure) if failure.class == FailureClass::Poison => self.keep_nothing(*customer, now)?,
                Err(failure) => {
                    self.rest(&failure)?;
                    return Ok(true);
                }
            }
        }
        if !missing.is_empty() {
            return Ok(true);
        }
        let every = self.parts.settings.pull_every;
        let passed = self.parts.clock.monotonic();
        if every.is_zero() || passed < self.next_pull {
            return Ok(false);
        }
        match self.pull(now).await? {
            Ok(more) => {
                self.next_pull = if more { passed } else { passed + every };
                self.well()?;
            }
            Err(failure) => {
                self.next_pull = passed + every;
                self.rest(&failure)?;
            }
        }
        Ok(true)
    }

    /// Some pages of changes; whether there are more.
    async fn pull(&mut self, now: Timestamp) -> Result<Result<bool, Failure>, StoreError> {
        let mut cursor = self.parts.store.sync_state_of(self.target)?.cursor;
        for _ in 0..PAGES {
            let changes = match self.parts.connector.changed(&cursor).await {
                Ok(changes) => changes,
                Err(failure) => return Ok(Err(failure)),
            };
            for contact in &changes.contacts {
                let Some(customer) = self.parts.store.customer_linked_to(self.target, &contact.id)? else { continue };
                let id = ContactId(contact.id.clone());
                if !is_live(contact) {
                    self.contact_lost(customer, &id).await?;
                    continue;
                }
                if self.keep(customer, contact, now)? && !contact.mark().bears(customer) {
                    // Read anew: what changed may be older than what stands there now.
                    match self.parts.connector.contact(&id).await {
                        Ok(Some(there)) if is_live(&there) => {
                            if let Err(failure) = self.mark_again(customer, there).await? {
                                return Ok(Err(failure));
                            }
                        }
                        Ok(_) => self.contact_lost(customer, &id).await?,
                        Err(failure) => return Ok(Err(failure)),
                    }
                }
            }
            cursor = changes.cursor;
            self.parts.store.keep_cursor(self.target, &cursor, (!changes.more).then_some(now))?;
            if !changes.more {
                let company = Company::of(&self.parts.store)?;
                let book = LinkBook { store: &self.parts.store, target: self.target, company: &company };
                return match look_at_keys_again(book, &mut *self.parts.connector).await {
                    Ok(_) => Ok(Ok(false)),
                    Err(LinkError::Crm(failure)) => Ok(Err(failure)),
                    Err(LinkError::Store(error)) => Err(error),
                };
            }
        }
        Ok(Ok(true))
    }

    /// Has a linked contact, as it was read just now, bear our word, which another box may have written over or somebody taken
    /// away; and renews one under a former key of ours.
    async fn mark_again(&mut self, customer: CustomerId, there: Contact) -> Result<Result<(), Failure>, StoreError> {
        let company = Company::of(&self.parts.store)?;
        note_key(LinkBook { store: &self.parts.store, target: self.target, company: &company }, &there)?;
        match marking::add(&mut *self.parts.connector, &there, customer, &company).await {
            Err(failure) if failure.contact_gone => self.contact_lost(customer, &ContactId(there.id)).await.map(Ok),
            Err(failure) if failure.class == FailureClass::Poison => {
                tracing::warn!(%customer, said = failure.said(), "the CRM refuses the mark on a customer's contact");
                Ok(Ok(()))
            }
            outcome => Ok(outcome.map(drop)),
        }
    }

    /// Keeps the card of a linked contact. `false`: the contact bears another name by now, and nobody has said that it is
    /// theirs all the same; a person must say, and their visits wait.
    fn keep(&self, customer: CustomerId, contact: &Contact, now: Timestamp) -> Result<bool, StoreError> {
        let Some(name) = self.parts.store.consented_name(customer)? else { return Ok(false) };
        if is_anothers(&name, contact) && !self.parts.store.is_vouched(self.target, customer)? {
            tracing::info!(%customer, contact = %contact.id, "the customer's contact bears another name now; see `snova crm unclear`");
            let unclear = Link::Unclear { since: now, why: Why::AnotherName, candidates: vec![contact.id.clone()] };
            unless_erased(self.parts.store.set_link(self.target, customer, &unclear, now))?;
            return Ok(false);
        }
        let named = self.parts.settings.names_from_crm;
        let name = |part: &Option<String>| part.clone().filter(|_| named);
        let kept = KeptCard {
            given: name(&contact.given),
            patronymic: name(&contact.patronymic),
            family: name(&family(contact).map(str::to_owned)),
            tier: contact.tier.clone(),
            notes: contact.notes.clone(),
            card: CrmCard {
                visits: contact.visits,
                last_visit: contact.last_visit,
                owner: contact.owner.clone(),
                offer: contact.offer.clone(),
                birthday: contact.birthday,
                as_of: now,
            },
        };
        self.parts.store.keep_card(self.target, customer, &kept)?;
        Ok(true)
    }

    /// A card that the CRM will not give is not asked for again and again.
    fn keep_nothing(&self, customer: CustomerId, now: Timestamp) -> Result<(), StoreError> {
        let card = CrmCard { as_of: now, ..CrmCard::default() };
        self.parts.store.keep_card(self.target, customer, &KeptCard { card, ..KeptCard::default() })
    }
}
