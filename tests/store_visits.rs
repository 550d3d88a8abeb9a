//! Visits on record: those of a day, voided days later, with receipts and who served, and what a CRM hears of it once it
//! has the visit.
//!
//! How a CRM rewrites its record is `crm_visits.rs`; the API is `web/visits.rs`, the commands `cli_visits.rs`.
#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/store_fixture.rs"]
mod store_fixture;

use std::path::Path;
use std::time::Duration;

use snova::customer::{CustomerId, Receipt, Verdict, VisitId};
use snova::face::CounterId;
use snova::store::{
    Claimed, Conclusion, Payer, SentRecord, Store, StoreError, Task, Visit, VisitRecord, VisitState, VisitVerdict,
};
use store_fixture::{TODAY, ask, at, bytes_in, contains, enrol, fresh, open, outbox, recognition_only, visit_of};

const A_DAY: i64 = 86_400;

fn opened(store: &Store, visit: &VisitRecord) -> VisitId {
    store.open_visit(visit, TODAY).expect("the consent is live");
    visit.id
}

/// A visit that is over and may leave.
fn visited(store: &Store, customer: CustomerId, seconds: i64) -> VisitId {
    let visit = opened(store, &visit_of(customer, seconds));
    store.close_visit(visit, at(seconds), at(seconds).at).expect("it is open");
    visit
}

fn receipt(number: &str, sum: i64) -> Receipt {
    Receipt::checked(number, sum).expect("it is one")
}

fn claim(store: &Store, seconds: i64) -> Vec<Claimed> {
    store.claim(&ask(store, 9, at(seconds))).expect("the store can be written")
}

fn conclude(store: &Store, claimed: &Claimed, conclusion: Conclusion) {
    let target = store.current_target().expect("readable");
    store.conclude(target, &[(claimed.event, conclusion)], at(0).at).expect("written");
}

/// Everything that may leave arrives, the visits as records of these ids; what was told, in order.
fn deliver(store: &Store, seconds: i64) -> Vec<Task> {
    let mut told = Vec::new();
    loop {
        let claimed = claim(store, seconds);
        if claimed.is_empty() {
            return told;
        }
        for claimed in claimed {
            let record = matches!(claimed.task, Task::Visit(_)).then(|| format!("record-{}", told.len()));
            conclude(store, &claimed, Conclusion::Done(record));
            told.push(claimed.task);
        }
    }
}

fn amendment(task: &Task) -> (&Visit, &SentRecord) {
    match task {
        Task::Amend(visit, sent) => (visit, sent),
        other => panic!("{other:?}"),
    }
}

fn amendments(dir: &Path) -> Vec<String> {
    outbox(dir).into_iter().filter(|(kind, ..)| kind == "amendment").map(|(.., state, _)| state).collect()
}

#[test]
fn a_receipt_that_comes_before_the_visit_leaves_travels_with_it() {
    let device = fresh();
    let store = &device.store;
    let ivan = enrol(store, "Иван");
    let visit = visited(store, ivan, 1);
    assert!(store.put_receipt(visit, &receipt("A-1", 123_450), at(2).at).expect("written"));
    let told = deliver(store, 10);
    let [Task::Visit(told)] = &told[..] else { panic!("{told:?}") };
    assert_eq!(told.receipt, Some(receipt("A-1", 123_450)));
    assert_eq!(amendments(device.dir.path()), [""; 0]);
}

#[test]
fn a_receipt_that_comes_later_amends_the_record_once_however_often_it_comes() {
    let device = fresh();
    let store = &device.store;
    let ivan = enrol(store, "Иван");
    let visit = visited(store, ivan, 1);
    let sent = claim(store, 10).remove(0);
    conclude(store, &sent, Conclusion::Done(Some("57".to_owned())));
    assert!(store.put_receipt(visit, &receipt("A-1", 100), at(20).at).expect("written"));
    assert!(!store.put_receipt(visit, &receipt("A-1", 100), at(21).at).expect("written"), "the same again");
    assert!(store.put_receipt(visit, &receipt("A-1", 90), at(22).at).expect("written"), "a change, before it was told");
    let told = deliver(store, 30);
    assert_eq!(told.len(), 1, "one amendment for both: {told:?}");
    let (visit_now, there) = amendment(&told[0]);
    assert_eq!(visit_now.receipt, Some(receipt("A-1", 90)), "the last holds");
    assert_eq!((there.key, there.record.as_deref()), (sent.event, Some("57")));
    assert!(!store.put_receipt(visit, &receipt("A-1", 90), at(40).at).expect("written"));
    assert_eq!(deliver(store, 50), []);
    assert!(store.put_receipt(visit, &receipt("A-2", 90), at(60).at).expect("written"), "another number");
    assert_eq!(deliver(store, 70).len(), 1);
}

#[test]
fn a_crash_between_amendment_and_acknowledgement_tells_it_again_and_then_no_more() {
    let device = fresh();
    let ivan = enrol(&device.store, "Иван");
    let visit = visited(&device.store, ivan, 1);
    deliver(&device.store, 10);
    device.store.put_receipt(visit, &receipt("A-1", 100), at(20).at).expect("written");
    let before = claim(&device.store, 30).remove(0);
    amendment(&before.task);
    let restarted = open(device.dir.path());
    let target = restarted.current_target().expect("readable");
    assert_eq!(restarted.recover_sending(target, Duration::ZERO).expect("written"), 1);
    let again = claim(&restarted, 40).remove(0);
    assert_eq!((again.event, again.task.clone()), (before.event, before.task));
    conclude(&restarted, &again, Conclusion::Done(None));
    assert_eq!(claim(&restarted, 50), []);
    assert_eq!(amendments(device.dir.path()), ["done"]);
    let state = |store: &Store| store.visits_of_day(at(0).at..at(A_DAY).at, None).expect("readable")[0].state;
    assert_eq!(state(&restarted), VisitState::Delivered, "an amendment takes nothing back");
}

#[test]
fn what_changes_while_an_amendment_is_under_way_is_told_by_another() {
    let device = fresh();
    let store = &device.store;
    let ivan = enrol(store, "Иван");
    let visit = visited(store, ivan, 1);
    let sent = claim(store, 10).remove(0);
    // The visit itself is under way: its request may have left without this.
    store.put_receipt(visit, &receipt("A-1", 1), at(11).at).expect("written");
    conclude(store, &sent, Conclusion::Done(None));
    let first = claim(store, 20).remove(0);
    store.put_receipt(visit, &receipt("A-1", 2), at(21).at).expect("written");
    conclude(store, &first, Conclusion::Done(None));
    let told = deliver(store, 30);
    assert_eq!(
        told.iter().map(|task| amendment(task).0.receipt.clone()).collect::<Vec<_>>(),
        [Some(receipt("A-1", 2))]
    );
}

#[test]
fn an_amendment_that_was_refused_is_overtaken_by_the_next() {
    let device = fresh();
    let store = &device.store;
    let ivan = enrol(store, "Иван");
    let visit = visited(store, ivan, 1);
    deliver(store, 10);
    store.put_receipt(visit, &receipt("A-1", 1), at(11).at).expect("written");
    let refused = claim(store, 20).remove(0);
    conclude(store, &refused, Conclusion::Dead { class: "poison", said: "refused".to_owned() });
    assert_eq!(store.outbox_status().expect("readable").dead, 1);
    store.put_receipt(visit, &receipt("A-1", 2), at(21).at).expect("written");
    assert_eq!(deliver(store, 30).len(), 1);
    assert_eq!(store.outbox_status().expect("readable").dead, 0);
}

#[test]
fn a_yes_of_the_cashier_after_the_record_left_is_told_once() {
    let device = fresh();
    let store = &device.store;
    let ivan = enrol(store, "Иван");
    let (late, early) = (visited(store, ivan, 1), visited(store, ivan, 2));
    store.answer_visit(early, Verdict::Yes, at(3), TODAY).expect("recorded");
    deliver(store, 10);
    for _ in 0..2 {
        for visit in [late, early] {
            store.answer_visit(visit, Verdict::Yes, at(11), TODAY).expect("recorded");
        }
        store.answer_visit(late, Verdict::Done, at(12), TODAY).expect("recorded");
    }
    let told = deliver(store, 20);
    assert_eq!(told.len(), 1, "{told:?}");
    let (visit, _) = amendment(&told[0]);
    assert_eq!((visit.record.id, visit.verdict), (late, VisitVerdict::Confirmed));
}

#[test]
fn amendments_of_what_is_void_moved_or_erased_vanish() {
    let device = fresh();
    let store = &device.store;
    let (ivan, elena) = (enrol(store, "Иван"), enrol(store, "Елена"));
    let (void, moved, erased) = (visited(store, ivan, 1), visited(store, ivan, 2), visited(store, elena, 3));
    deliver(store, 10);
    for visit in [void, moved, erased] {
        store.put_receipt(visit, &receipt("A-1", 1), at(11).at).expect("written");
    }
    store.void_visit(void, None, at(12), TODAY).expect("corrected");
    store.put_receipt(void, &receipt("A-1", 2), at(13).at).expect("written");
    let olga = enrol(store, "Ольга");
    store.void_visit(moved, Some(olga), at(12), TODAY).expect("corrected");
    store.erase(elena, at(13)).expect("she is there");
    let told = deliver(store, 20);
    assert!(!told.iter().any(|task| matches!(task, Task::Amend(..))), "{told:?}");
    let sent: Vec<_> =
        told.iter().filter_map(|task| if let Task::Visit(visit) = task { Some(visit) } else { None }).collect();
    assert_eq!(sent.len(), 1, "Olga's: {told:?}");
    assert_eq!((sent[0].receipt.clone(), sent[0].verdict), (Some(receipt("A-1", 1)), VisitVerdict::Other));
    assert_eq!(told.iter().filter(|task| matches!(task, Task::Void(_))).count(), 2);
    assert!(!amendments(device.dir.path()).contains(&"new".to_owned()));
}

#[test]
fn a_void_overtakes_an_amendment_in_doubt() {
    let device = fresh();
    let ivan = enrol(&device.store, "Иван");
    let visit = visited(&device.store, ivan, 1);
    deliver(&device.store, 10);
    device.store.put_receipt(visit, &receipt("A-1", 1), at(11).at).expect("written");
    assert_eq!(claim(&device.store, 20).len(), 1, "it is under way, and the power goes");
    device.store.void_visit(visit, None, at(21), TODAY).expect("corrected");
    let restarted = open(device.dir.path());
    let target = restarted.current_target().expect("readable");
    restarted.recover_sending(target, Duration::ZERO).expect("written");
    let told = deliver(&restarted, 30);
    assert!(matches!(told[..], [Task::Void(_)]), "{told:?}");
}

#[test]
fn an_amendment_is_held_while_no_consent_covers_it_and_takes_nothing_back() {
    let device = fresh();
    let store = &device.store;
    let ivan = enrol(store, "Иван");
    let visit = visited(store, ivan, 1);
    deliver(store, 10);
    store.put_receipt(visit, &receipt("A-1", 1), at(11).at).expect("written");
    let doubtful = claim(store, 12).remove(0);
    conclude(store, &doubtful, Conclusion::Again { class: "transient", said: String::new(), not_before: at(13).at });
    store.withdraw_consent(ivan, at(20)).expect("enrolled");
    assert_eq!(deliver(store, 30), []);
    assert_eq!(amendments(device.dir.path()), ["held"]);
    store.renew_consent(ivan, &store_fixture::consent(), at(40), TODAY).expect("live");
    assert_eq!(deliver(store, 50).len(), 1);
}

#[test]
fn the_next_crm_is_told_no_amendment_of_what_it_never_had_and_the_former_one_is_owed_none() {
    let device = fresh();
    let store = &device.store;
    store.use_crm("amocrm https://a.example").expect("written");
    let ivan = enrol(store, "Иван");
    let visit = visited(store, ivan, 1);
    deliver(store, 10);
    store.put_receipt(visit, &receipt("A-1", 1), at(11).at).expect("written");
    store.use_crm("bitrix24 https://b.example").expect("written");
    store.put_receipt(visit, &receipt("A-1", 2), at(12).at).expect("written");
    assert_eq!(deliver(store, 20), []);
    assert_eq!(store.debts().expect("readable"), []);
}

#[test]
fn a_visit_is_voided_days_after_it_was_delivered_and_the_same_again_is_one() {
    let device = fresh();
    let store = &device.store;
    let ivan = enrol(store, "Иван");
    let visit = visited(store, ivan, 1);
    deliver(store, 10);
    for _ in 0..2 {
        let after = store.void_visit(visit, None, at(7 * A_DAY), TODAY).expect("corrected");
        assert_eq!(after.verdict, VisitVerdict::Rejected);
    }
    assert!(matches!(deliver(store, 7 * A_DAY)[..], [Task::Void(_)]));
    assert!(store.void_visit(visit, None, at(8 * A_DAY), TODAY).is_ok(), "it is void already");
    let old = visited(store, ivan, 2);
    let refused = store.void_visit(old, None, at(8 * A_DAY), TODAY).expect_err("too late");
    assert!(matches!(refused, StoreError::OldVisit(id) if id == old) && refused.to_string().contains("7 days"));
    let nobody = VisitId(uuid::Uuid::nil());
    assert!(matches!(store.void_visit(nobody, None, at(0), TODAY), Err(StoreError::UnknownVisit(_))));
    store.answer_visit(old, Verdict::No, at(9 * A_DAY), TODAY).expect("the desk's own word has no such bound");
}

#[test]
fn a_visit_is_moved_only_to_somebody_who_agreed_to_the_same() {
    let device = fresh();
    let store = &device.store;
    let (ivan, elena) = (enrol(store, "Иван"), enrol(store, "Елена"));
    let visit = visited(store, ivan, 1);
    store.withdraw_consent(elena, at(2)).expect("enrolled");
    assert!(matches!(store.void_visit(visit, Some(elena), at(3), TODAY), Err(StoreError::Consent { .. })));
    let stranger = CustomerId(uuid::Uuid::nil());
    assert!(store.void_visit(visit, Some(stranger), at(3), TODAY).is_err());
    assert_eq!(store.visit(visit).expect("readable").expect("there").record.customer, ivan);
}

#[test]
fn the_visits_of_a_day_say_who_where_and_how_far_and_nothing_of_the_erased() {
    let device = fresh();
    let store = &device.store;
    let ivan = enrol(store, "Иван");
    let only_here = store_fixture::customer("Яна");
    let only_here = snova::store::NewCustomer { consent: recognition_only(), ..only_here };
    store.add_customer(&only_here, &[store_fixture::template(9)], TODAY).expect("enrolled");
    let gone = enrol(store, "Елена");
    visited(store, gone, 1);
    let delivered = visited(store, ivan, 2);
    let refused = visited(store, ivan, 3);
    deliver(store, 2);
    let letter = claim(store, 10).remove(0);
    conclude(store, &letter, Conclusion::Dead { class: "poison", said: "refused".to_owned() });
    let waiting = visited(store, ivan, 4);
    let void = visited(store, ivan, 5);
    store.void_visit(void, None, at(6), TODAY).expect("corrected");
    let here = visited(store, only_here.id, 7);
    let elsewhere = VisitRecord { counter: CounterId::new("till-2"), ..visit_of(ivan, 8) };
    let open_one = opened(store, &elsewhere);
    visited(store, ivan, A_DAY);
    store.erase(gone, at(9)).expect("she is there");
    let day = at(0).at..at(A_DAY).at;
    let all = store.visits_of_day(day.clone(), None).expect("readable");
    let told: Vec<_> = all.iter().map(|one| (one.visit.record.id, one.state)).collect();
    let wanted = [
        (delivered, VisitState::Delivered),
        (refused, VisitState::Refused),
        (waiting, VisitState::Waiting),
        (void, VisitState::Void),
        (here, VisitState::Here),
        (open_one, VisitState::Open),
    ];
    assert_eq!(told, wanted);
    assert_eq!(all[4].name.as_ref().map(|name| &*name.given), Some("Яна"));
    let till = store.visits_of_day(day, Some(&CounterId::new("till-2"))).expect("readable");
    assert_eq!(till.iter().map(|one| one.visit.record.id).collect::<Vec<_>>(), [open_one]);
}

#[test]
fn a_receipt_of_a_counter_is_that_of_the_visit_there_and_stays_with_it_when_it_is_sent_again() {
    let device = fresh();
    let store = &device.store;
    let (ivan, elena) = (enrol(store, "Иван"), enrol(store, "Елена"));
    let till = CounterId::new("till-1");
    let give = |shown: &[VisitId], number: &str, seconds: i64| {
        store.put_receipt_at(&till, shown, &receipt(number, 5), at(seconds).at).expect("written")
    };
    assert_eq!(give(&[], "A-0", 0), Payer::Nobody);
    let his = visited(store, ivan, 10);
    assert_eq!(give(&[], "A-1", 610), Payer::Known(his), "he left ten minutes ago");
    assert_eq!(give(&[], "A-2", 611), Payer::Nobody);
    let hers = opened(store, &visit_of(elena, 620));
    assert_eq!(give(&[], "A-1", 630), Payer::Known(his), "it comes again, and she stands there");
    assert_eq!(give(&[hers], "A-1", 630), Payer::Known(his));
    assert_eq!(give(&[], "A-3", 631), Payer::Known(hers));
    assert_eq!(give(&[his, hers], "A-4", 632), Payer::Several);
    assert_eq!(give(&[his], "A-5", 633), Payer::Known(his), "whom the screen shows is meant");
    store.void_visit(hers, None, at(640), TODAY).expect("corrected");
    assert_eq!(give(&[], "A-6", 641), Payer::Nobody, "a void visit pays nothing");
    let kept = |visit| store.visit(visit).expect("readable").expect("there").receipt.expect("kept").number;
    assert_eq!((kept(his), kept(hers)), ("A-5".to_owned(), "A-3".to_owned()));
}

#[test]
fn receipts_and_who_served_go_with_the_erased_and_with_visits_too_old() {
    let device = fresh();
    let store = &device.store;
    let (ivan, elena) = (enrol(store, "Иван"), enrol(store, "Елена"));
    let (his, hers) = (visited(store, ivan, 1), visited(store, elena, 2));
    for (visit, number, who) in [(his, "RECEIPT-HIS", "Кассир-первый"), (hers, "RECEIPT-HERS", "Кассир-вторая")]
    {
        store.put_receipt(visit, &receipt(number, 1), at(3).at).expect("written");
        store.note_served_by(visit, who).expect("written");
        store.note_served_by(visit, "Сменщик").expect("written");
        assert_eq!(store.visit(visit).expect("readable").expect("there").served_by.as_deref(), Some(who));
    }
    let nobody = store.note_served_by(VisitId(uuid::Uuid::nil()), "Кассир");
    assert!(matches!(nobody, Err(StoreError::UnknownVisit(_))), "what was not opened is served by nobody");
    assert!(contains(&bytes_in(device.dir.path()), b"RECEIPT-HIS"));
    assert!(store.erase(ivan, at(10)).expect("he is there").scrubbed);
    let files = bytes_in(device.dir.path());
    assert!(!contains(&files, b"RECEIPT-HIS") && !contains(&files, "Кассир-первый".as_bytes()));
    assert!(contains(&files, b"RECEIPT-HERS"));
    assert_eq!(store.retire_visits(at(10).at, 9).expect("written"), 1);
    let left: i64 = store_fixture::raw(device.dir.path())
        .query_row("SELECT count(*) FROM receipts", [], |row| row.get(0))
        .expect("readable");
    assert_eq!(left, 0);
    store.verify().expect("whole");
}
