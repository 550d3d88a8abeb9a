//! Which of the contacts that a search found is a customer: by our word on it, else by the names.
//!
//! A wrong contact is worse than none: what is not certain is left to a person (`snova crm link`). Searching is `link`'s.

use crate::crm::{Contact, Seek};
use crate::customer::{Customer, PersonName};
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
        ([one], _) => return Choice::One(Box::new((*one).clone())),
        ([], Seek::Mark(_)) => return Choice::Nobody(Vec::new()),
        ([], _) => {}
        (several, _) => return Choice::Unclear(Why::Several, ids(several)),
    }
    let with = |wanted: Names| -> Vec<&Contact> {
        live.iter().copied().filter(|contact| compare(&known.name, contact) == wanted).collect()
    };
    let (agree, perhaps) = (with(Names::Agree), with(Names::CannotSay));
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

/// Whether two names are one person's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    Agree,
    Disagree,
    CannotSay,
}

/// The name under which a customer enrolled, and the contact's.
pub fn compare(name: &PersonName, contact: &Contact) -> Names {
    // Stand-in until the room of names is there.
    let fold = |part: &Option<String>| part.as_deref().map(|part| part.trim().to_lowercase().replace('ё', "е"));
    let same = |own: Option<String>, there: Option<String>| match (own, there) {
        (Some(own), Some(there)) => Some(own == there),
        _ => None,
    };
    let given = same(fold(&Some(name.given.clone())), fold(&contact.given));
    let rest = [same(fold(&name.patronymic), fold(&contact.patronymic)), same(fold(&name.family), fold(&contact.family))];
    match given {
        _ if rest.contains(&Some(false)) => Names::Disagree,
        Some(true) => Names::Agree,
        Some(false) => Names::Disagree,
        None => Names::CannotSay,
    }
}
