//! The outbox as delivery uses it, on a real database: order, doubts, times, what is remembered over a restart.
//!
//! What a CRM makes of it is `crm_contract.rs`.
#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/store_fixture.rs"]
mod store_fixture;

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::date;
use snova::customer::{CrmCard, CustomerId, Verdict, VisitId};
use snova::store::{Claimed, Conclusion, KeptCard, Link, Store, StoreError, TargetId, Task};
use store_fixture::{TODAY, ask, at, enrol, fresh, open, raw, visit_of};
use uuid::Uuid;

/// A visit that is over and may leave at `seconds`.
fn visited(store: &Store, customer: CustomerId, seconds: i64) -> VisitId {
    let visit = visit_of(customer, seconds);
    store.open_visit(&visit, TODAY).expect("the consent is live");
    store.close_visit(visit.id, at(seconds), at(seconds).at).expect("it is open");
    visit.id
}

fn claim(store: &Store, most: usize, seconds: i64) -> Vec<Claimed> {
    store.claim(&ask(store, most, at(seconds))).expect("the store can be written")
}

fn current(store: &Store) -> TargetId {
    store.current_target().expect("readable")
}

fn conclude(store: &Store, concluded: &[(Uuid, Conclusion)], now: Timestamp) -> Result<(), StoreError> {
    store.conclude(current(store), concluded, now)
}

fn visits(claimed: &[Claimed]) -> Vec<VisitId> {
    let visit = |claimed: &Claimed| match &claimed.task {
        Task::Visit(visit) => visit.record.id,
        other => panic!("{other:?}"),
    };
    claimed.iter().map(visit).collect()
}

fn again(seconds: i64) -> Conclusion {
    Conclusion::Again { class: "transient", said: "no answer".to_owned(), not_before: at(seconds).at }
}

#[test]
fn a_customers_events_keep_their_order_and_do_not_hold_up_others() {
    let device = fresh();
    let (ivan, elena) = (enrol(&device.store, "Иван"), enrol(&device.store, "Елена"));
    let (first, second) = (visited(&device.store, ivan, 1), visited(&device.store, ivan, 2));
    let hers = visited(&device.store, elena, 3);
    let claimed = claim(&device.store, 1, 10);
    assert_eq!(visits(&claimed), [first]);
    assert_eq!(visits(&claim(&device.store, 9, 10)), [hers], "his second waits for his first, hers does not");
    conclude(&device.store, &[(claimed[0].event, again(100))], at(10).at).expect("written");
    assert!(claim(&device.store, 9, 99).is_empty(), "the first rests, and the second with it");
    assert_eq!(visits(&claim(&device.store, 9, 100)), [first, second]);
}

#[test]
fn what_was_under_way_at_a_stop_is_in_doubt_until_it_can_have_ended() {
    let device = fresh();
    let ivan = enrol(&device.store, "Иван");
    let visit = visited(&device.store, ivan, 1);
    assert_eq!(claim(&device.store, 9, 10)[0].tried_at, None);
    let restarted = open(device.dir.path());
    assert_eq!(restarted.recover_sending(current(&restarted), Duration::from_secs(60)).expect("written"), 1);
    assert!(claim(&restarted, 9, 69).is_empty());
    let claimed = claim(&restarted, 9, 70);
    assert_eq!(visits(&claimed), [visit]);
    assert_eq!((claimed[0].tried_at, claimed[0].attempts), (Some(at(10).at), 1), "since the first try, not the last");
    conclude(&restarted, &[(claimed[0].event, again(80))], at(70).at).expect("written");
    assert_eq!(claim(&restarted, 9, 80)[0].tried_at, Some(at(10).at));
}

#[test]
fn a_time_that_a_wrong_clock_wrote_holds_nothing_up_for_ever() {
    let device = fresh();
    let ivan = enrol(&device.store, "Иван");
    let visit = visit_of(ivan, 1);
    device.store.open_visit(&visit, TODAY).expect("the consent is live");
    let a_year = 365 * 86_400;
    device.store.close_visit(visit.id, at(2), at(a_year).at).expect("it is open");
    assert_eq!(visits(&claim(&device.store, 9, 10)), [visit.id]);
}

#[test]
fn a_visit_given_up_is_listed_taken_up_again_or_discarded() {
    let device = fresh();
    let ivan = enrol(&device.store, "Иван");
    visited(&device.store, ivan, 1);
    let event = claim(&device.store, 9, 10)[0].event;
    let dead = Conclusion::Dead { class: "poison", said: "refused (REQUIRED_FIELD_MISSING)".to_owned() };
    conclude(&device.store, &[(event, dead.clone())], at(10).at).expect("written");
    let letters = device.store.dead_letters(9).expect("readable");
    assert_eq!((letters[0].event, letters[0].class.as_deref(), letters[0].attempts), (event, Some("poison"), 1));
    assert!(claim(&device.store, 9, 10_000).is_empty(), "it is not tried by itself");
    assert_eq!(device.store.retry(Some(event)).expect("written"), 1);
    assert_eq!(claim(&device.store, 9, 20).len(), 1);
    conclude(&device.store, &[(event, dead)], at(20).at).expect("written");
    assert!(device.store.discard(event).expect("written") && !device.store.discard(event).expect("written"));
    assert_eq!(device.store.outbox_status().expect("readable").dead, 0);
}

#[test]
fn a_void_names_the_record_that_it_takes_back_also_after_the_visit_was_moved_and_erased() {
    let device = fresh();
    let (ivan, elena) = (enrol(&device.store, "Иван"), enrol(&device.store, "Елена"));
    let visit = visited(&device.store, ivan, 1);
    let sent = claim(&device.store, 9, 10)[0].event;
    conclude(&device.store, &[(sent, Conclusion::Done(Some("a0X1".to_owned())))], at(10).at).expect("written");
    device.store.answer_visit(visit, Verdict::Other(elena), at(11), TODAY).expect("both agreed");
    device.store.erase(elena, at(12)).expect("she is there");
    let claimed = claim(&device.store, 9, 20);
    let Task::Void(gone) = &claimed[0].task else { panic!("{claimed:?}") };
    assert_eq!((gone.key, gone.record.as_deref()), (sent, Some("a0X1")));
}

#[test]
fn a_tombstone_says_what_the_crm_has_sealed_and_only_until_it_is_delivered() {
    let device = fresh();
    let ivan = enrol(&device.store, "Иван");
    device
        .store
        .set_link(current(&device.store), ivan, &Link::Linked("contact-4711".to_owned()), at(0).at)
        .expect("written");
    visited(&device.store, ivan, 1);
    let sent = claim(&device.store, 9, 10)[0].event;
    conclude(&device.store, &[(sent, Conclusion::Done(Some("record-0815".to_owned())))], at(10).at).expect("written");
    visited(&device.store, ivan, 11);
    device.store.erase(ivan, at(12)).expect("he is there");
    for plain in ["contact-4711", "record-0815", "Иван"] {
        let file = std::fs::read(device.store.path()).expect("the file can be read");
        assert!(!file.windows(plain.len()).any(|window| window == plain.as_bytes()), "{plain} is in the file");
    }
    let claimed = claim(&device.store, 9, 20);
    let Task::Erasure(gone) = &claimed[0].task else { panic!("{claimed:?}") };
    assert_eq!(gone.contact.as_deref(), Some("contact-4711"));
    assert_eq!(gone.records.len(), 1, "what was never sent need not be forgotten");
    assert_eq!((gone.records[0].key, gone.records[0].record.as_deref()), (sent, Some("record-0815")));
    conclude(&device.store, &[(claimed[0].event, Conclusion::Done(None))], at(20).at).expect("written");
    let sealed: i64 = raw(device.dir.path())
        .query_row("SELECT count(*) FROM outbox WHERE sealed NOT NULL", [], |row| row.get(0))
        .expect("readable");
    assert_eq!(sealed, 0);
}

#[test]
fn a_contact_is_one_customers_and_is_forgotten_with_the_crm_that_it_is_in() {
    let device = fresh();
    let (ivan, elena) = (enrol(&device.store, "Иван"), enrol(&device.store, "Елена"));
    let (store, linked) = (&device.store, Link::Linked("7".to_owned()));
    store.use_crm("salesforce https://a.example").expect("written");
    store.set_link(current(store), ivan, &linked, at(0).at).expect("written");
    let taken = store.set_link(current(store), elena, &linked, at(0).at).expect_err("it is his");
    assert!(matches!(taken, StoreError::ContactTaken { owner } if owner == ivan), "{taken}");
    store.keep_cursor(current(store), "2026-03-02", Some(at(5).at)).expect("written");
    store.use_crm("salesforce https://a.example").expect("written");
    assert_eq!(store.link(ivan).expect("readable"), Some(linked));
    store.use_crm("salesforce https://b.example").expect("written");
    assert_eq!(store.link(ivan).expect("readable"), None);
    assert_eq!(store.sync_state().expect("readable").cursor, "");
}

#[test]
fn a_contact_of_another_name_is_not_greeted_for_the_customer() {
    let device = fresh();
    let peter = enrol(&device.store, "Пётр");
    device.store.set_link(current(&device.store), peter, &Link::Linked("7".to_owned()), at(0).at).expect("written");
    for (given, patronymic, greeted) in
        [("Мария", "Павловна", "Пётр"), ("П.", "С.", "Пётр"), ("Петр", "Сергеевич", "Пётр Сергеевич")]
    {
        let [given, patronymic] = [given, patronymic].map(|part| Some(part.to_owned()));
        let kept = KeptCard { given, patronymic, ..KeptCard::default() };
        device.store.keep_card(current(&device.store), peter, &kept).expect("written");
        let customer = device.store.customer(peter).expect("readable").expect("he is there");
        assert_eq!(customer.name.full(), greeted);
    }
}

#[test]
fn the_crms_card_and_name_come_with_the_customer_and_go_with_the_device_key() {
    let device = fresh();
    let ivan = enrol(&device.store, "Иван");
    device.store.set_link(current(&device.store), ivan, &Link::Linked("7".to_owned()), at(0).at).expect("written");
    let card = CrmCard {
        visits: Some(41),
        last_visit: Some(at(-86_400).at),
        owner: Some("Анна".to_owned()),
        offer: Some("Кофе".to_owned()),
        birthday: Some(date(1980, 5, 17)),
        as_of: at(1).at,
    };
    let [given, patronymic, tier] = ["Иван", "Титович", "gold"].map(|text| Some(text.to_owned()));
    let kept = KeptCard { given, patronymic, tier, card: card.clone(), ..KeptCard::default() };
    device.store.keep_card(current(&device.store), ivan, &kept).expect("written");
    let read = |store: &Store| store.customer(ivan).expect("readable").expect("he is there");
    let customer = read(&device.store);
    assert_eq!((&*customer.name.full(), customer.card.tier.as_deref()), ("Иван Титович", Some("gold")));
    assert_eq!(customer.card.crm, Some(card));
    device.store.keep_cursor(current(&device.store), "x", Some(at(900).at)).expect("written");
    let as_of = read(&device.store).card.crm.map(|card| card.as_of);
    assert_eq!(as_of, Some(at(900).at), "the CRM was asked since, and had no change");
    for plain in ["Титович", "Анна", "Кофе", "1980"] {
        let file = std::fs::read(device.store.path()).expect("the file can be read");
        assert!(!file.windows(plain.len()).any(|window| window == plain.as_bytes()), "{plain} is in the file");
    }
    // Without its key the card is not there; the customer is greeted by the name that was enrolled.
    std::fs::remove_file(device.dir.path().join(snova::vault::KEY_FILE)).expect("the key is there");
    let keyless = open(device.dir.path());
    let customer = read(&keyless);
    assert_eq!((&*customer.name.full(), customer.card.crm), ("Иван", None));
}
