//! One person is one contact, whichever store enrols them: over the whole road, with one box or two at one CRM, on every
//! vendor that has contacts.
//!
//! What becomes of visits whatever fails is `crm_contract`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test a panic is the report")]

#[path = "support/crm/mod.rs"]
mod crm;

use std::sync::Arc;
use std::time::Duration;

use crm::road::Road;
use crm::server::Hits;
use crm::{FakeContact, Fault};
use snova::clock::Clock;
use snova::customer::CustomerId;
use snova::store::{Link, Why};
use snova::sync::{COMPANY_KEY, Company};
use snova::vault::CompanyKey;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const PHONE: &str = "+7 912 000-00-77";
const PETER: &str = "Пётр Сергеевич Муж";
const MARIA: &str = "Мария Павловна Муж";

/// A box that may create contacts.
async fn creating(vendor: &str) -> Road {
    Road::with(crm::vendor(vendor), |config| config.replacen("[crm]", "[crm]\ncreate_contacts = true", 1)).await
}

/// A contact that the company's people have made.
fn there(road: &Road, name: &str, phone: &str) -> String {
    let parts: Vec<&str> = name.split(' ').collect();
    let contact = FakeContact::named(parts[0], parts[1], parts[2], phone);
    road.server.crm.lock().unwrap().add_contact(contact, road.now())
}

fn contact(road: &Road, id: &str) -> FakeContact {
    road.server.crm.lock().unwrap().contact(id).expect("the contact is there")
}

fn word(customer: CustomerId) -> String {
    snova::crm::Mark::words(customer)[0].clone()
}

/// Whose words the contact bears, of these.
fn bears(road: &Road, id: &str, customer: CustomerId) -> bool {
    contact(road, id).external_id.contains(&word(customer))
}

fn all(road: &Road) -> Vec<(String, FakeContact)> {
    road.server.crm.lock().unwrap().all_contacts()
}

fn bin(road: &Road, id: &str) {
    road.server.crm.lock().unwrap().bin_contact(id, road.now());
}

fn linked(road: &Road, customer: CustomerId) -> String {
    match road.store.link(customer).unwrap() {
        Some(Link::Linked(contact)) => contact,
        other => panic!("not linked: {other:?}, {:?}", road.store.sync_state()),
    }
}

/// The contacts of the records that stand there.
fn visits_on(road: &Road) -> Vec<String> {
    let mut all: Vec<_> = road.in_crm().into_iter().filter(|v| !v.erased && !v.void).map(|v| v.contact).collect();
    all.sort();
    all
}

async fn idle(roads: &mut [&mut Road], time: Duration) {
    for _ in 0..2 {
        for road in roads.iter_mut() {
            road.idle(time / 2).await;
        }
    }
}

/// Has `road` do one step, and `meanwhile` happen when the CRM was asked so many times in it. `false`: it never was.
async fn in_the_middle<T>(road: &mut Road, requests: usize, meanwhile: impl AsyncFnOnce() -> T) -> (T, bool) {
    let server = Arc::clone(&road.server);
    server.forget_asked();
    let was_asked = async {
        while server.asked_so_far() < requests {
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
    };
    let step = road.courier.step();
    tokio::pin!(step);
    let reached = tokio::select! {
        biased;
        () = was_asked => true,
        _ = &mut step => false,
    };
    let done = meanwhile().await;
    if reached {
        step.await;
    }
    (done, reached)
}

async fn a_wifes_phone(vendor: &str) {
    let mut road = Road::to(crm::vendor(vendor)).await;
    let wife = there(&road, MARIA, PHONE);
    let peter = road.enrol_named(PETER, PHONE);
    road.visit(peter, "till-1");
    road.idle(2 * HOUR).await;
    assert!(visits_on(&road).is_empty(), "{vendor}: his visits are not hers");
    assert_eq!(contact(&road, &wife).external_id, "", "{vendor}: nothing is written on her meanwhile");
    let known = road.store.customer(peter).unwrap().unwrap();
    assert_eq!((known.name.given.as_str(), known.card.crm), ("Пётр", None), "{vendor}: greeted as himself");
    let unclear = road.store.unclear(road.store.current_target().unwrap()).unwrap();
    let said: Vec<_> = unclear.into_iter().map(|row| (row.customer, row.why, row.candidates)).collect();
    assert_eq!(said, [(peter, Why::AnotherName, vec![wife.clone()])], "{vendor}");
    let (status, state) = (road.store.outbox_status().unwrap(), road.store.sync_state().unwrap());
    assert_eq!((status.unclear, status.deleted, state.unlinked), (1, 0, 1), "{vendor}");
    // His own contact turns up.
    let own = there(&road, PETER, "8 (912) 000-00-77");
    road.idle(2 * HOUR).await;
    assert_eq!(visits_on(&road), [own], "{vendor}: of two on one phone the one whose name agrees");
    assert_eq!(contact(&road, &wife).external_id, "", "{vendor}");
}

async fn a_regular_of_two_stores(vendor: &str) {
    let mut seven = Road::to(crm::vendor(vendor)).await;
    let mut eight = Road::beside(&seven);
    let maria = there(&seven, MARIA, PHONE);
    let (of_seven, of_eight) = (seven.enrol_named(MARIA, PHONE), eight.enrol_named("Мария Павловна", PHONE));
    seven.visit(of_seven, "till-1");
    seven.work(HOUR).await;
    eight.visit(of_eight, "till-1");
    eight.work(HOUR).await;
    assert_eq!((linked(&seven, of_seven), linked(&eight, of_eight)), (maria.clone(), maria.clone()), "{vendor}");
    assert!(bears(&seven, &maria, of_seven) && bears(&seven, &maria, of_eight), "{vendor}: both words");
    assert_eq!(visits_on(&seven), [maria.clone(), maria.clone()], "{vendor}");
    seven.store.erase(of_seven, seven.clock.wall()).unwrap();
    idle(&mut [&mut seven, &mut eight], HOUR).await;
    let left = contact(&seven, &maria).external_id;
    assert!(!left.contains(&word(of_seven)) && left.contains(&word(of_eight)), "{vendor}: eight's word stays: {left}");
    assert_eq!(visits_on(&seven), std::slice::from_ref(&maria), "{vendor}: and its visit");
    eight.visit(of_eight, "till-1");
    eight.work(HOUR).await;
    assert_eq!(visits_on(&seven).len(), 2, "{vendor}");
    eight.store.erase(of_eight, eight.clock.wall()).unwrap();
    idle(&mut [&mut seven, &mut eight], HOUR).await;
    assert_eq!(contact(&seven, &maria).external_id, "", "{vendor}: the last word takes the mark along");
    assert!(visits_on(&seven).is_empty(), "{vendor}");
}

async fn the_same_minute(vendor: &str) {
    // Eight comes between at every request of seven's step; at last it comes after.
    for request in 0..20 {
        let mut seven = creating(vendor).await;
        let mut eight = Road::beside(&seven);
        let (of_seven, of_eight) = (seven.enrol_named(MARIA, PHONE), eight.enrol_named("Мария Павловна", PHONE));
        seven.visit(of_seven, "till-1");
        eight.visit(of_eight, "till-1");
        let ((), reached) = in_the_middle(&mut seven, request, async || eight.idle(MINUTE / 2).await).await;
        idle(&mut [&mut seven, &mut eight], 30 * MINUTE).await;
        let said = format!("{vendor}, at request {request}");
        let contacts = all(&seven);
        assert_eq!(contacts.len(), 1, "{said}: {contacts:?}");
        let one = &contacts[0].0;
        assert_eq!((&linked(&seven, of_seven), &linked(&eight, of_eight)), (one, one), "{said}");
        assert!(bears(&seven, one, of_seven) && bears(&seven, one, of_eight), "{said}: {contacts:?}");
        assert_eq!(visits_on(&seven), [one.clone(), one.clone()], "{said}");
        if !reached {
            assert!(request > 2, "{said}: the step asks something");
            return;
        }
    }
}

async fn couples(vendor: &str) {
    let mut seven = creating(vendor).await;
    let mut eight = Road::beside(&seven);
    let names = [
        ("Пётр Сергеевич Муж", "Мария Павловна Муж"),
        ("Иван Ильич Коваль", "Ольга Ивановна Коваль"),
        ("Олег Петрович Громов", "Анна Викторовна Громова"),
        ("Юрий Николаевич Соколов", "Елена Петровна Соколова"),
        ("Андрей Иванович Лебедев", "Наталья Сергеевна Лебедева"),
    ];
    let mut people = Vec::new();
    for (number, (husband, wife)) in names.iter().enumerate() {
        let phone = format!("+791200001{number:02}");
        people.push((seven.enrol_named(husband, &phone), eight.enrol_named(wife, &phone)));
    }
    for (husband, wife) in &people {
        seven.visit(*husband, "till-1");
        eight.visit(*wife, "till-1");
    }
    idle(&mut [&mut seven, &mut eight], 30 * MINUTE).await;
    idle(&mut [&mut seven, &mut eight], 4 * HOUR).await;
    let contacts = all(&seven);
    assert_eq!(contacts.len(), 10, "{vendor}: {contacts:?}");
    let mut of_all: Vec<String> = Vec::new();
    for ((husband, wife), names) in people.iter().zip(names) {
        for (id, name) in [(linked(&seven, *husband), names.0), (linked(&eight, *wife), names.1)] {
            assert_eq!(contact(&seven, &id).given, name.split(' ').next().unwrap(), "{vendor}");
            of_all.push(id);
        }
    }
    of_all.sort();
    assert_eq!(visits_on(&seven), of_all, "{vendor}: each has their own");
}

async fn enrolled_again_after_a_deletion(vendor: &str) {
    let mut road = creating(vendor).await;
    let before = road.enrol_named(MARIA, PHONE);
    road.visit(before, "till-1");
    road.work(HOUR).await;
    let first = linked(&road, before);
    road.store.erase(before, road.clock.wall()).unwrap();
    road.work(HOUR).await;
    bin(&road, &first);
    let again = road.enrol_named(MARIA, PHONE);
    road.visit(again, "till-1");
    road.work(HOUR).await;
    // Where a contact is deleted for good its key is free again; where it lies in a bin it is not.
    let second = linked(&road, again);
    assert_eq!(all(&road).into_iter().map(|(id, _)| id).collect::<Vec<_>>(), std::slice::from_ref(&second), "{vendor}");
    assert_eq!(visits_on(&road), [second], "{vendor}");
}

/// `ours` was merged into another contact of the same person: whatever comes then goes there.
async fn merged(vendor: &str) {
    let mut road = Road::to(crm::vendor(vendor)).await;
    let ours = there(&road, MARIA, PHONE);
    let maria = road.enrol_named(MARIA, PHONE);
    road.visit(maria, "till-1");
    road.work(HOUR).await;
    let survivor = there(&road, MARIA, PHONE);
    road.server.crm.lock().unwrap().merge_contacts(&ours, &survivor, road.now());
    let second = road.visit(maria, "till-1");
    road.work(HOUR).await;
    road.idle(2 * HOUR).await;
    assert_eq!(linked(&road, maria), survivor, "{vendor}");
    assert!(bears(&road, &survivor, maria), "{vendor}: found again by its word");
    let status = road.store.outbox_status().unwrap();
    assert_eq!((status.dead, status.depth), (0, 0), "{vendor}: {:?} {second:?}", road.store.dead_letters(9));
    assert!(visits_on(&road).contains(&survivor), "{vendor}: {:?}", road.in_crm());
}

async fn deleted(vendor: &str) {
    let mut road = creating(vendor).await;
    let ours = there(&road, MARIA, PHONE);
    let maria = road.enrol_named(MARIA, PHONE);
    road.visit(maria, "till-1");
    road.work(HOUR).await;
    bin(&road, &ours);
    road.visit(maria, "till-1");
    road.idle(3 * HOUR).await;
    assert_eq!(all(&road), [], "{vendor}: nobody is created in their place");
    let target = road.store.current_target().unwrap();
    let unclear = road.store.unclear(target).unwrap();
    let said: Vec<_> = unclear.into_iter().map(|row| (row.customer, row.why, row.candidates)).collect();
    assert_eq!(said, [(maria, Why::Deleted, vec![ours])], "{vendor}: the manager is asked");
    let status = road.store.outbox_status().unwrap();
    assert_eq!((status.deleted, status.dead, status.depth), (1, 0, 1), "{vendor}: {:?}", road.store.dead_letters(9));
    // What `snova crm link --create` does.
    road.store.set_link(target, maria, &Link::Absent(jiff::Timestamp::MIN), road.now()).unwrap();
    road.idle(HOUR).await;
    let anew = linked(&road, maria);
    assert!(visits_on(&road).contains(&anew), "{vendor}: {:?}", road.in_crm());
    assert_eq!(road.store.outbox_status().unwrap().depth, 0, "{vendor}");
}

async fn a_word_that_was_lost(vendor: &str) {
    let mut road = Road::to(crm::vendor(vendor)).await;
    let ours = there(&road, MARIA, PHONE);
    let maria = road.enrol_named(MARIA, PHONE);
    road.idle(HOUR).await;
    assert!(bears(&road, &ours, maria), "{vendor}");
    let now = road.now();
    road.server.crm.lock().unwrap().change_contact(&ours, &|there| there.external_id = "ERP-77".to_owned(), now);
    road.idle(2 * HOUR).await;
    assert!(bears(&road, &ours, maria), "{vendor}: written again");
    assert!(contact(&road, &ours).external_id.contains("ERP-77"), "{vendor}: beside what is there");
}

async fn a_field_of_another_program(vendor: &str) {
    let mut road = Road::to(crm::vendor(vendor)).await;
    let theirs = there(&road, MARIA, PHONE);
    let now = road.now();
    road.server.crm.lock().unwrap().change_contact(&theirs, &|there| there.external_id = "ERP-77".to_owned(), now);
    let maria = road.enrol_named(MARIA, PHONE);
    road.idle(2 * HOUR).await;
    assert!(matches!(road.store.link(maria).unwrap(), Some(Link::Unclear { why: Why::ForeignMark, .. })), "{vendor}");
    assert_eq!(contact(&road, &theirs).external_id, "ERP-77", "{vendor}");
}

async fn another_company_key(vendor: &str) {
    let mut seven = Road::to(crm::vendor(vendor)).await;
    let mut eight = creating_beside(&seven);
    eight.store.set_secret(COMPANY_KEY, &CompanyKey::mint().unwrap().in_hex()).unwrap();
    let maria = there(&seven, MARIA, PHONE);
    let of_seven = seven.enrol_named(MARIA, PHONE);
    seven.idle(HOUR).await;
    assert_eq!(linked(&seven, of_seven), maria, "{vendor}");
    let (of_eight, target) = (eight.enrol_named(MARIA, PHONE), eight.store.current_target().unwrap());
    eight.idle(HOUR).await;
    assert_eq!(linked(&eight, of_eight), maria, "{vendor}: linking goes on");
    let key = Company::of(&seven.store).unwrap();
    assert_eq!(eight.store.other_company_key(target).unwrap(), Some(key.fingerprint()), "{vendor}: and it is told");
    let peter = eight.enrol_named(PETER, "+79120000088");
    eight.idle(2 * HOUR).await;
    let why = |road: &Road| match road.store.link(peter).unwrap() {
        Some(Link::Unclear { why, .. }) => Some(why),
        _ => None,
    };
    assert_eq!((why(&eight), all(&seven).len()), (Some(Why::OtherCompanyKey), 1), "{vendor}: nobody is created");
    // The owner gives the second store the key of the first.
    Company::of(&eight.store).unwrap().change(&eight.store, &key.key).unwrap();
    eight.idle(2 * HOUR).await;
    assert_eq!(eight.store.other_company_key(target).unwrap(), None, "{vendor}");
    assert_eq!((linked(&eight, peter).is_empty(), all(&seven).len()), (false, 2), "{vendor}: now he is");
    let marks: Vec<String> = all(&seven).into_iter().map(|(_, there)| there.external_id).collect();
    assert!(marks.iter().all(|mark| mark.contains(&key.fingerprint())), "{vendor}: {marks:?}");
}

/// A box beside `other` that may create contacts.
fn creating_beside(other: &Road) -> Road {
    let mut road = Road::beside(other);
    road.settings.common.create_contacts = true;
    road.restart();
    road
}

async fn an_answer_lost_at_a_creation(vendor: &str) {
    for fault in [Fault::SilentAfter, Fault::HalfAnswer] {
        for place in 0.. {
            let mut road = creating(vendor).await;
            let maria = road.enrol_named(MARIA, PHONE);
            road.visit(maria, "till-1");
            road.server.plan(fault, Hits::After(place), 1);
            road.work(24 * HOUR).await;
            let said = format!("{vendor}, {fault:?} at request {place}");
            road.assert_each_once(&said);
            assert_eq!(all(&road).len(), 1, "{said}");
            if road.server.asked_so_far() <= place {
                assert!(place > 2, "{said}");
                break;
            }
        }
    }
}

async fn erased_in_the_middle(vendor: &str) {
    for request in 0..20 {
        let mut road = Road::to(crm::vendor(vendor)).await;
        let ours = there(&road, MARIA, PHONE);
        let maria = road.enrol_named(MARIA, PHONE);
        let (store, now) = (Arc::clone(&road.store), road.clock.wall());
        let (_, reached) = in_the_middle(&mut road, request, async || store.erase(maria, now).unwrap()).await;
        assert_eq!(road.store.sync_state().unwrap().error, None, "{vendor}: no failure of anything");
        road.idle(HOUR).await;
        assert_eq!(contact(&road, &ours).external_id, "", "{vendor}: erased at request {request}");
        if !reached {
            assert!(request > 2, "{vendor}: the step asks something");
            return;
        }
    }
}

/// The suite for one vendor.
macro_rules! identity {
    ($vendor:ident, $name:literal) => {
        mod $vendor {
            use super::*;

            #[tokio::test]
            async fn a_husband_is_not_his_wife_whose_phone_he_gives() {
                a_wifes_phone($name).await;
            }
            #[tokio::test]
            async fn a_regular_of_two_stores_is_one_contact_and_each_store_forgets_its_own() {
                a_regular_of_two_stores($name).await;
            }
            #[tokio::test]
            async fn two_stores_that_enrol_one_person_in_the_same_minute_make_one_contact() {
                the_same_minute($name).await;
            }
            #[tokio::test]
            async fn five_couples_on_five_phones_are_ten_contacts() {
                couples($name).await;
            }
            #[tokio::test]
            async fn who_is_enrolled_again_after_a_deletion_gets_a_contact_that_is_not_in_the_bin() {
                enrolled_again_after_a_deletion($name).await;
            }
            #[tokio::test]
            async fn a_contact_that_was_merged_is_followed() {
                merged($name).await;
            }
            #[tokio::test]
            async fn a_contact_that_was_deleted_on_purpose_is_told_and_not_made_again() {
                deleted($name).await;
            }
            #[tokio::test]
            async fn a_word_that_was_written_over_is_written_again() {
                a_word_that_was_lost($name).await;
            }
            #[tokio::test]
            async fn another_programs_text_in_the_field_of_the_mark_is_left_alone() {
                a_field_of_another_program($name).await;
            }
            #[tokio::test]
            async fn under_another_company_key_nobody_is_created() {
                another_company_key($name).await;
            }
            #[tokio::test]
            async fn an_answer_that_is_lost_at_a_creation_makes_no_second_contact() {
                an_answer_lost_at_a_creation($name).await;
            }
            #[tokio::test]
            async fn a_customer_erased_between_the_look_and_the_link_leaves_no_mark() {
                erased_in_the_middle($name).await;
            }
        }
    };
}
identity!(amocrm, "amocrm");
identity!(bitrix24, "bitrix24");
identity!(creatio, "creatio");
identity!(dynamics, "dynamics");
identity!(salesforce, "salesforce");
identity!(sugarcrm, "sugarcrm");
identity!(suitecrm, "suitecrm");
identity!(suitecrm_legacy, "suitecrm-legacy");

#[test]
fn every_vendor_with_contacts_is_asked() {
    let suite = include_str!("crm_identity.rs");
    for vendor in crm::VENDORS.iter().filter(|vendor| **vendor != "webhook") {
        assert!(suite.contains(&format!("identity!({}, \"{vendor}\")", vendor.replace('-', "_"))), "{vendor}");
    }
}
