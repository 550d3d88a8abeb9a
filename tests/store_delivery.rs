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
use snova::store::{Ask, Claimed, Conclusion, KeptCard, Lane, Link, Store, StoreError, TargetId, Task};
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

fn conclude(store: &Store, concluded: &[(Uuid, Conclusion)], now: Timestamp) -> Result<Lane, StoreError> {
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

fn refused(seconds: i64, said: &str) -> Conclusion {
    Conclusion::Refused { class: "poison", said: said.to_owned(), not_before: at(seconds).at }
}

fn done() -> Conclusion {
    Conclusion::Done(None)
}

fn state_of(device: &store_fixture::Device, event: Uuid) -> String {
    let sql = "SELECT state FROM outbox WHERE event = ?1";
    raw(device.dir.path()).query_row(sql, [event.into_bytes()], |row| row.get(0)).expect("it is there")
}

#[test]
fn a_refusal_is_held_against_a_visit_only_if_another_was_taken_in_the_call_or_since() {
    let device = fresh();
    let store = &device.store;
    let (ivan, elena) = (enrol(store, "Иван"), enrol(store, "Елена"));
    visited(store, elena, 1);
    let hers = claim(store, 9, 10)[0].event;
    conclude(store, &[(hers, done())], at(10).at).expect("written");
    // What was taken before proves nothing of now.
    visited(store, ivan, 2);
    let his = claim(store, 9, 20)[0].event;
    for (second, tries) in [(20, 1), (50, 2), (170, 3)] {
        let lane = conclude(store, &[(his, refused(second + 30, "no (A)"))], at(second).at).expect("written");
        assert_eq!((lane.taken, lane.refused, lane.suspects, lane.is_stopped()), (1, tries, 1, tries >= 3));
        assert!(!lane.holds_up_all(), "others are sent beside it");
        assert_eq!(state_of(&device, his), "new");
        assert!(claim(store, 9, second + 29).is_empty(), "it rests");
        assert_eq!(claim(store, 9, second + 30).len(), 1);
    }
    let target = current(store);
    store.keep_failure(target, "tenant-blocked", "everything is refused", at(200).at, at(200).at).expect("written");
    conclude(store, &[(his, refused(10_000, "no (A)"))], at(200).at).expect("written");
    visited(store, elena, 201);
    let hers = claim(store, 9, 210);
    assert_eq!(hers.iter().map(|claimed| claimed.customer).collect::<Vec<_>>(), [elena]);
    let lane = conclude(store, &[(hers[0].event, done())], at(210).at).expect("written");
    assert_eq!((lane.taken, lane.refused, lane.suspects), (2, 0, 0));
    assert_eq!(store.sync_state().expect("readable").error_class, None, "the lane is open again");
    assert_eq!(claim(store, 9, 211)[0].event, his, "and the suspect goes on at once");
    conclude(store, &[(his, refused(10_000, "no (A)"))], at(211).at).expect("written");
    assert_eq!(state_of(&device, his), "dead");

    // In one call the evidence is beside it, whatever the order of the answers.
    visited(store, ivan, 300);
    visited(store, elena, 301);
    let both = claim(store, 9, 310);
    conclude(store, &[(both[0].event, refused(400, "no (B)")), (both[1].event, done())], at(310).at).expect("written");
    assert_eq!(state_of(&device, both[0].event), "dead");
}

#[test]
fn many_that_are_refused_stop_the_lane_and_a_try_takes_removals_first_and_what_was_tried_least() {
    let device = fresh();
    let store = &device.store;
    let all = ["Иван", "Елена", "Олег", "Анна"].map(|name| enrol(store, name));
    for (customer, second) in all.iter().zip(1..) {
        visited(store, *customer, second);
    }
    let first = claim(store, 3, 10);
    let refusals: Vec<_> = first.iter().map(|claimed| (claimed.event, refused(40, "no (A)"))).collect();
    let lane = conclude(store, &refusals, at(10).at).expect("written");
    assert!(lane.is_stopped() && lane.holds_up_all());
    store.erase(all[1], at(11)).expect("she is there");
    let ask = |seconds| Ask { is_try: true, ..ask(store, 2, at(seconds)) };
    let tried = store.claim(&ask(50)).expect("written");
    assert!(matches!(tried[..], [Claimed { task: Task::Erasure(_), .. }]), "{tried:?}");
    let lane = conclude(store, &[(tried[0].event, done())], at(50).at).expect("written");
    assert!(lane.refused >= 3, "that says nothing of visits");
    let tried = store.claim(&ask(51)).expect("written");
    let customers: Vec<_> = tried.iter().map(|claimed| claimed.customer).collect();
    assert_eq!(customers, [all[3], all[0]], "the one that was never tried first");
}

#[test]
fn a_suspect_holds_up_only_what_is_about_itself() {
    let device = fresh();
    let ivan = enrol(&device.store, "Иван");
    visited(&device.store, ivan, 1);
    let event = claim(&device.store, 9, 10)[0].event;
    conclude(&device.store, &[(event, refused(5_000, "no (A)"))], at(10).at).expect("written");
    let second = visited(&device.store, ivan, 20);
    assert_eq!(visits(&claim(&device.store, 9, 30)), [second], "his next visit does not wait for it");
}

#[test]
fn what_was_given_up_for_one_cause_comes_back_together_once_the_cause_is_mended_or_by_a_persons_word() {
    let device = fresh();
    let store = &device.store;
    let (ivan, elena) = (enrol(store, "Иван"), enrol(store, "Елена"));
    for second in [1, 2, 3] {
        visited(store, ivan, second);
    }
    visited(store, elena, 4);
    let sent: Vec<Uuid> = claim(store, 9, 10).iter().map(|claimed| claimed.event).collect();
    let answers = ["no (A)", "no (A)", "no (B)"].map(|said| refused(40, said)).into_iter().chain([done()]);
    let concluded: Vec<_> = sent.iter().copied().zip(answers).collect();
    conclude(store, &concluded, at(10).at).expect("written");
    let states = |device| sent[..3].iter().map(|event| state_of(device, *event)).collect::<Vec<_>>();
    assert_eq!(states(&device), ["dead", "dead", "dead"]);
    assert_eq!(store.retry(Some(sent[0])).expect("written"), 1);
    assert_eq!(claim(store, 9, 20).len(), 1);
    conclude(store, &[(sent[0], done())], at(20).at).expect("written");
    assert_eq!(states(&device), ["done", "new", "dead"], "the one of the same cause goes again, the other does not");
    assert_eq!(claim(store, 9, 21).len(), 1);
    conclude(store, &[(sent[1], done())], at(21).at).expect("written");
    assert_eq!(store.retry_like(sent[1]).expect("written"), 0, "that one was not given up");
    assert_eq!(store.retry_like(sent[2]).expect("written"), 1);
    assert_eq!(states(&device), ["done", "done", "new"]);
}

#[test]
fn what_was_refused_may_be_there_a_discard_a_no_and_an_erasure_ask_the_crm() {
    let device = fresh();
    let store = &device.store;
    let (ivan, elena) = (enrol(store, "Иван"), enrol(store, "Елена"));
    let discarded = visited(store, ivan, 1);
    let denied = visited(store, ivan, 2);
    visited(store, ivan, 3);
    visited(store, elena, 4);
    let sent: Vec<Uuid> = claim(store, 9, 10).iter().map(|claimed| claimed.event).collect();
    let mut concluded: Vec<_> = sent[..3].iter().map(|event| (*event, refused(40, "the link (A)"))).collect();
    concluded.push((sent[3], done()));
    conclude(store, &concluded, at(10).at).expect("written");
    assert!(store.visit(discarded).expect("readable").is_some());

    assert!(store.discard(sent[0], at(20).at).expect("written"));
    store.answer_visit(denied, Verdict::No, at(21), TODAY).expect("recorded");
    assert_eq!(state_of(&device, sent[1]), "withdrawn", "and is no dead letter any more");
    for about in [sent[0], sent[1]] {
        let claimed = claim(store, 9, 30);
        let [Claimed { task: Task::Void(taken), .. }] = &claimed[..] else { panic!("{claimed:?}") };
        assert_eq!(taken.key, about, "under the key that it has if it is there");
        conclude(store, &[(claimed[0].event, done())], at(30).at).expect("written");
    }
    store.erase(ivan, at(40)).expect("he is there");
    let claimed = claim(store, 9, 50);
    let Task::Erasure(gone) = &claimed[0].task else { panic!("{claimed:?}") };
    assert_eq!(gone.records.iter().map(|sent| sent.key).collect::<Vec<_>>(), sent[..3]);
}

#[test]
fn a_record_in_doubt_is_known_by_every_contact_that_it_was_sent_for_and_by_the_crms_own_time() {
    let device = fresh();
    let store = &device.store;
    let ivan = enrol(store, "Иван");
    visited(store, ivan, 1);
    let server = Some(at(-10_800).at);
    for (contact, seconds, server_now) in [("a", 10, server), ("b", 20, Some(at(0).at)), ("c", 30, None)] {
        store.set_link(current(store), ivan, &Link::Linked(contact.to_owned()), at(seconds).at).expect("written");
        let ask = Ask { server_now, ..ask(store, 9, at(seconds)) };
        let claimed = store.claim(&ask).expect("written");
        assert_eq!(claimed[0].server_at, server.filter(|_| seconds > 10), "the first try's, by the CRM's clock");
        conclude(store, &[(claimed[0].event, again(seconds))], at(seconds).at).expect("written");
    }
    store.erase(ivan, at(40)).expect("he is there");
    let claimed = claim(store, 9, 50);
    let Task::Erasure(gone) = &claimed[0].task else { panic!("{claimed:?}") };
    let sent = &gone.records[0];
    assert_eq!((sent.contact.as_deref(), &*sent.elders), (Some("c"), &["a".to_owned(), "b".to_owned()][..]));
    assert_eq!((sent.tried_at, sent.server_at), (at(30).at, server));
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
    let discard = || device.store.discard(event, at(20).at).expect("written");
    assert!(discard() && !discard());
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
