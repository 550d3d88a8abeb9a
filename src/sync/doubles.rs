//! Contacts that Snova creates: once a person, whichever box is first and whatever answer is lost.
//!
//! A CRM that enforces keys refuses the second under the same phone; any other is looked at again once every request has
//! ended, and the younger of two is taken back.

use super::identity::{compare, is_live};
use super::link::{LinkError, Linked, Seeker};
use super::marking;
use crate::crm::{Contact, ContactId, Creation, Mark, NewContact, searches};
use crate::customer::IdentifierKind;
use crate::names::Agreement;
use crate::store::{Link, Why};

/// So many people on one phone are told apart.
const ORDINALS: u32 = 8;

impl Seeker<'_> {
    /// Creates the contact of somebody whom the CRM does not have.
    pub(super) async fn create(&mut self) -> Result<Linked, LinkError> {
        if let Some(on) = self.marked_otherwise().await? {
            return self.unclear(Why::OtherCompanyKey, vec![on]);
        }
        // On the disk before it is sent: if no answer comes, the contact is looked for before it is created again.
        if !self.set(&Link::Creating { since: self.now(), made: None })? {
            return Ok(Linked::Erased);
        }
        for ordinal in 1..=ORDINALS {
            let there = match self.connector.create(&self.new_contact(ordinal)).await? {
                Creation::Made(contact) if self.connector.manners().keyed_contacts => {
                    tracing::info!(customer = %self.known.id, %contact, "a contact was created in the CRM");
                    return self.link(contact, Linked::Created).await;
                }
                Creation::Made(ContactId(made)) => {
                    let is_kept = self.set(&Link::Creating { since: self.now(), made: Some(made.clone()) })?;
                    return if is_kept { Ok(Linked::Waiting) } else { self.erased(&ContactId(made)).await };
                }
                Creation::Taken(there) => *there,
            };
            self.note_key(&there)?;
            let is_ours = is_live(&there) && there.mark().bears(self.known.id);
            let there = if is_live(&there) { Some(there) } else { self.successor(&there.id).await? };
            match there {
                Some(there) if is_ours => return self.link(ContactId(there.id), Linked::Created).await,
                Some(there) => match compare(&self.known.name, &there) {
                    Agreement::Agree => return self.take(&there).await,
                    Agreement::Disagree(_) => {}
                    Agreement::CannotSay(_) => return self.unclear(Why::CannotSay, vec![there.id]),
                },
                // In the bin: whoever comes back is created anew.
                None => {}
            }
        }
        self.unclear(Why::Several, Vec::new())
    }

    /// Of a CRM without keys, once whatever was under way has ended: whether another box has created the same person. The
    /// elder stays, for every box alike. `None`: the contact that was being created is not there.
    pub(super) async fn settle(&mut self, made: Option<&str>) -> Result<Option<Linked>, LinkError> {
        let mut found: Vec<Contact> = Vec::new();
        for sought in searches(self.known.id, &self.identifiers) {
            found.extend(self.connector.find(&sought).await?);
        }
        if let Some(made) = made.filter(|made| found.iter().all(|contact| contact.id != *made)) {
            found.extend(self.connector.contact(&ContactId(made.to_owned())).await?);
        }
        found.retain(is_live);
        found.sort_by_key(age);
        found.dedup_by(|one, other| one.id == other.id);
        let id = self.known.id;
        let is_ours = |contact: &Contact| contact.mark().bears(id) || made == Some(contact.id.as_str());
        if !found.iter().any(is_ours) {
            return Ok(None);
        }
        let is_same = |contact: &Contact| {
            let mark = contact.mark();
            let is_stores = !mark.is_empty() && !mark.is_foreign();
            is_ours(contact) || is_stores && compare(&self.known.name, contact) == Agreement::Agree
        };
        let same: Vec<Contact> = found.iter().filter(|contact| is_same(contact)).cloned().collect();
        let Some((elder, younger)) = same.split_first() else { return Ok(None) };
        same.iter().try_for_each(|contact| self.note_key(contact))?;
        if !is_ours(elder) && self.is_anothers(&elder.id)? {
            return self.unclear(Why::AnotherCustomer, vec![elder.id.clone()]).map(Some);
        }
        let ours_alone = |contact: &&Contact| {
            let mark = contact.mark();
            is_ours(contact) && !mark.is_foreign() && mark.customers().iter().all(|customer| *customer == id)
        };
        let doubles: Vec<&Contact> = younger.iter().filter(ours_alone).collect();
        if !doubles.is_empty() {
            // The word first: a crash between leaves two that bear it, and this is done again.
            if let marking::Marked::Full(_) = marking::add(self.connector, elder, id, self.book.company).await? {
                return self.unclear(Why::MarkFull, vec![elder.id.clone()]).map(Some);
            }
        }
        for double in doubles {
            let (younger, elder) = (ContactId(double.id.clone()), ContactId(elder.id.clone()));
            self.connector.retire(&younger, &elder).await?;
            tracing::info!(customer = %id, %younger, %elder, "another store created the same person before; ours was taken back");
        }
        self.take(elder).await.map(Some)
    }

    fn new_contact(&self, ordinal: u32) -> NewContact {
        // The smallest: every box that knows the same ones takes the same.
        let first = |kind| {
            let of_kind = self.identifiers.iter().filter(|identifier| identifier.kind() == kind);
            of_kind.map(|identifier| identifier.value().to_owned()).min()
        };
        let (phone, email) = (first(IdentifierKind::Phone), first(IdentifierKind::Email));
        let reached = phone.clone().or(email.clone()).unwrap_or_else(|| self.known.id.to_string());
        NewContact {
            key: self.book.company.key.contact_key(&reached, ordinal),
            customer: self.known.id,
            mark: Mark::default().with(self.known.id, &self.book.company.fingerprint()).text(),
            given: self.known.name.given.clone(),
            patronymic: self.known.name.patronymic.clone(),
            family: self.known.name.family.clone(),
            phone,
            email,
        }
    }
}

/// The elder has the lower number; ids that are none come last, in their order.
fn age(contact: &Contact) -> (u64, String) {
    (contact.id.parse().unwrap_or(u64::MAX), contact.id.clone())
}
