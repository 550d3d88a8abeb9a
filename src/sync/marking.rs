//! The mark on a contact: a box adds and removes its own word, and nobody else's.
//!
//! What a mark is says `crate::crm::Mark`. Two boxes that write at once may lose one of the words; it is written again
//! when the contact is next read (`cards`).

use super::Company;
use crate::crm::{Contact, ContactId, CrmConnector, Failure, Seek};
use crate::customer::CustomerId;

/// What became of a word on a contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marked {
    Borne,
    /// The field holds so many characters, and no word more.
    Full(usize),
}

/// Has `contact`, as it was read just now, bear the customer's word under the company's key.
pub async fn add(
    connector: &mut dyn CrmConnector,
    contact: &Contact,
    customer: CustomerId,
    company: &Company,
) -> Result<Marked, Failure> {
    let mut mark = contact.mark();
    if mark.company.is_some() && company.other_on(contact).is_none() {
        // Under a former key of ours, perhaps.
        mark.company = Some(company.fingerprint());
    }
    let mark = mark.with(customer, &company.fingerprint());
    if mark == contact.mark() {
        return Ok(Marked::Borne);
    }
    let (text, most) = (mark.text(), connector.manners().mark_chars);
    if text.chars().count() > most {
        return Ok(if contact.mark().bears(customer) { Marked::Borne } else { Marked::Full(most) });
    }
    connector.write_mark(&ContactId(contact.id.clone()), &text).await?;
    Ok(Marked::Borne)
}

/// Takes the customer's word off one contact.
pub(super) async fn take_off(
    connector: &mut dyn CrmConnector,
    contact: &ContactId,
    customer: CustomerId,
) -> Result<(), Failure> {
    // Read anew: what a search says may be older than another box's word.
    let Some(there) = connector.contact(contact).await?.filter(|there| there.mark().bears(customer)) else {
        return Ok(());
    };
    match connector.write_mark(contact, &there.mark().without(customer).text()).await {
        Err(failure) if failure.contact_gone => Ok(()),
        outcome => outcome,
    }
}

/// Takes the customer's word off every contact that bears it, `but` one.
pub async fn remove(
    connector: &mut dyn CrmConnector,
    customer: CustomerId,
    but: Option<&ContactId>,
) -> Result<(), Failure> {
    for contact in connector.find(&Seek::Mark(customer)).await? {
        let id = ContactId(contact.id);
        if Some(&id) != but {
            take_off(connector, &id, customer).await?;
        }
    }
    Ok(())
}
