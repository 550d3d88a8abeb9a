//! A contact that becomes somebody else's: the phone was passed on and the CRM's people have written another name. Over the
//! whole road, at every vendor that has contacts.
//!
//! Who is found in the first place is `crm_identity`'s.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test a panic is the report")]

#[path = "support/crm/mod.rs"]
mod crm;

use std::time::Duration;

use crm::FakeContact;
use crm::road::Road;
use snova::store::{Link, Why};

const HOUR: Duration = Duration::from_secs(3600);
const PHONE: &str = "+7 912 000-00-77";

/// Пётр, linked, with a visit on his contact and her note in place of his once the contact is renamed.
async fn renamed(vendor: &str, vouched: bool) -> (Road, snova::customer::CustomerId, String) {
    let mut road = Road::to(crm::vendor(vendor)).await;
    let contact = FakeContact::named("Пётр", "Сергеевич", "Муж", PHONE);
    let contact = road.server.crm.lock().unwrap().add_contact(contact, road.now());
    let peter = road.enrol_named("Пётр Сергеевич Муж", PHONE);
    road.visit(peter, "till-1");
    road.work(HOUR).await;
    road.idle(HOUR).await;
    assert_eq!(road.in_crm().len(), 1, "{vendor}");
    if vouched {
        road.store.vouch(road.store.current_target().unwrap(), peter).unwrap();
    }
    let become_maria = |there: &mut FakeContact| {
        (there.given, there.patronymic) = ("Мария".to_owned(), "Павловна".to_owned());
        there.notes = "любит лилии".to_owned();
    };
    road.server.crm.lock().unwrap().change_contact(&contact, &become_maria, road.now());
    road.idle(HOUR).await;
    road.visit(peter, "till-1");
    road.idle(3 * HOUR).await;
    (road, peter, contact)
}

#[tokio::test]
async fn a_contact_that_was_renamed_to_somebody_else_gets_no_more_visits_and_shows_no_card() {
    for vendor in crm::VENDORS.iter().filter(|vendor| **vendor != "webhook") {
        let (road, peter, contact) = renamed(vendor, false).await;
        let link = road.store.link(peter).unwrap();
        let Some(Link::Unclear { why: Why::AnotherName, candidates, .. }) = link else { panic!("{vendor}: {link:?}") };
        assert_eq!(candidates, [contact], "{vendor}");
        assert_eq!(road.in_crm().len(), 1, "{vendor}: his second visit is not hers");
        let known = road.store.customer(peter).unwrap().unwrap();
        assert_eq!((known.name.given.as_str(), known.card.note.as_deref()), ("Пётр", None), "{vendor}");
    }
}

#[tokio::test]
async fn a_renamed_contact_stays_whom_a_person_has_vouched_for() {
    for vendor in crm::VENDORS.iter().filter(|vendor| **vendor != "webhook") {
        let (road, peter, contact) = renamed(vendor, true).await;
        assert_eq!(road.store.link(peter).unwrap(), Some(Link::Linked(contact)), "{vendor}");
        assert_eq!(road.in_crm().len(), 2, "{vendor}");
        assert_eq!(
            road.store.customer(peter).unwrap().unwrap().name.given,
            "Пётр",
            "{vendor}: greeted by his own name"
        );
    }
}
