//! Which of the contacts that a search found is a customer: by our word on it, else by the names.
//!
//! A wrong contact is worse than none: what is not certain is left to a person (`snova crm link`). Searching is `link`'s.

use crate::crm::{Contact, Seek};
use crate::customer::{Customer, PersonName};
use crate::names::{self, Agreement, Written, agree_with};
use crate::store::Why;

/// What the contacts of one search come to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Choice {
    One(Box<Contact>),
    /// None of them is the customer; these have other names.
    Nobody(Vec<String>),
    Unclear(Why, Vec<String>),
}

/// Somebody whom visits can be written for.
pub(super) fn is_live(contact: &Contact) -> bool {
    !contact.deleted && contact.master.is_none()
}

pub(super) fn choose(known: &Customer, sought: &Seek, found: &[Contact]) -> Choice {
    let live: Vec<&Contact> = found.iter().filter(|contact| is_live(contact)).collect();
    let ours: Vec<&Contact> = live.iter().copied().filter(|contact| contact.mark().bears(known.id)).collect();
    match (ours.as_slice(), sought) {
        // Somebody else's by now: the phone was passed on, and the contact renamed.
        ([one], _) if is_anothers(&known.name, one) => {
            return Choice::Unclear(Why::AnotherName, ids(&ours));
        }
        ([one], _) => return Choice::One(Box::new((*one).clone())),
        ([], Seek::Mark(_)) => return Choice::Nobody(Vec::new()),
        ([], _) => {}
        (several, _) => return Choice::Unclear(Why::Several, ids(several)),
    }
    let with = |wanted: fn(&Agreement) -> bool| -> Vec<&Contact> {
        live.iter().copied().filter(|contact| wanted(&compare(&known.name, contact))).collect()
    };
    let agree = with(|names| *names == Agreement::Agree);
    let perhaps = with(|names| matches!(names, Agreement::CannotSay(_)));
    match (agree.as_slice(), perhaps.as_slice()) {
        ([one], []) => Choice::One(Box::new((*one).clone())),
        ([], []) => Choice::Nobody(ids(&live)),
        ([], perhaps) => Choice::Unclear(Why::CannotSay, ids(perhaps)),
        (agree, perhaps) => Choice::Unclear(Why::Several, ids(&[agree, perhaps].concat())),
    }
}

fn ids(contacts: &[&Contact]) -> Vec<String> {
    contacts.iter().map(|contact| contact.id.clone()).collect()
}

/// The name under which a customer enrolled, and the contact's.
pub fn compare(name: &PersonName, contact: &Contact) -> Agreement {
    let (given, patronymic, family) = (contact.given.as_deref(), contact.patronymic.as_deref(), family(contact));
    agree_with(name, Written { given, patronymic, family })
}

/// Whether a contact that was the customer's is somebody else by now: by given name, patronymic or gender. People marry, and
/// surnames are corrected.
pub(super) fn is_anothers(name: &PersonName, contact: &Contact) -> bool {
    matches!(compare(name, contact), Agreement::Disagree(why) if why != names::Why::Family)
}

/// The contact's family name. Where a CRM wants one of everybody, who has none bears the given name twice.
pub(super) fn family(contact: &Contact) -> Option<&str> {
    contact.family.as_deref().filter(|family| contact.given.as_deref() != Some(family))
}
