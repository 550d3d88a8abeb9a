//! The mark on a contact: a box adds and removes its own name, and nobody else's.
//!
//! What a mark is says `crate::crm::Mark`. Two boxes that write at once may lose one of the names; it is written again
//! when the contact is next read (`cards`).

use crate::crm::{Contact, ContactId, CrmConnector, Failure, Seek};
use crate::customer::CustomerId;

/// Has `contact` bear the customer's name.
pub async fn add(
    connector: &mut dyn CrmConnector,
    contact: &Contact,
    customer: CustomerId,
    company: &str,
) -> Result<(), Failure> {
    let mark = contact.mark();
    if mark.bears(customer) {
        return Ok(());
    }
    let text = mark.with(customer, company).text();
    let most = connector.manners().mark_chars;
    if text.chars().count() > most {
        return Err(Failure::poison(format!(
            "the contact's mark has no room for another box: its field holds {most} characters; make it longer in the CRM"
        )));
    }
    connector.write_mark(&ContactId(contact.id.clone()), &text).await
}

/// Takes the customer's name off every contact that bears it.
pub(super) async fn remove(connector: &mut dyn CrmConnector, customer: CustomerId) -> Result<(), Failure> {
    for contact in connector.find(&Seek::Mark(customer)).await? {
        let text = contact.mark().without(customer).text();
        match connector.write_mark(&ContactId(contact.id), &text).await {
            Err(failure) if failure.contact_gone => {}
            outcome => outcome?,
        }
    }
    Ok(())
}
