//! The store on a real database: what it keeps, what it refuses, and what the outbox then says.
#![allow(clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a test fails by panicking")]

use std::time::Duration;

use jiff::civil::date;
use snova::clock::WallTime;
use snova::customer::{
    Card, Consent, ConsentError, CustomerId, FormOfAddress, Gender, HowKnown, PersonName, Purpose, Verdict,
};
use snova::i18n::Language;
use snova::store::{NewCustomer, OutboxStatus, SeenAt, StoreError, VisitRecord, VisitVerdict};

#[path = "support/store_fixture.rs"]
mod store_fixture;
use store_fixture::*;

#[test]
fn an_enrolled_customer_is_read_back_as_given_after_a_restart() {
    let device = fresh();
    let name = PersonName {
        given: "Иван".to_owned(),
        patronymic: Some("Петрович".to_owned()),
        family: Some("О'Коннор-Шевченко".to_owned()),
        gender: Some(Gender::Masculine),
        form: FormOfAddress::TitleFamily,
        spoken: Some("Іване Петровичу".to_owned()),
    };
    let given = NewCustomer {
        name: name.clone(),
        language: Some(Language::Ukrainian),
        tier: Some("золотой".to_owned()),
        note: Some("берёт \"без сахара\"".to_owned()),
        consent: Consent { valid_until: Some(date(2027, 3, 1)), ..consent() },
        ..customer("")
    };
    device.store.add_customer(&given, &[template(1), template(2)], TODAY).expect("the consent is live");
    drop(device.store);

    let store = open(device.dir.path());
    let read = store.customer(given.id).expect("readable").expect("enrolled");
    assert_eq!((read.name, read.language, read.enrolled_at), (name, Some(Language::Ukrainian), given.enrolled_at));
    assert_eq!(read.consent, given.consent);
    assert_eq!(read.card, Card { tier: given.tier, note: given.note, visits: 0, last_visit: None, crm: None });
    let listed: Vec<CustomerId> = store.customers().expect("readable").into_iter().map(|c| c.id).collect();
    assert_eq!(listed, [given.id]);
    let templates = store.templates(PACK, TODAY).expect("readable");
    assert_eq!(templates.len(), 1);
    for seed in [1, 2] {
        let nearest = templates[0].1.iter().map(|t| t.similarity(&embedding(seed, 128)).0).fold(-1.0, f32::max);
        assert!(nearest > 0.999_999, "template {seed} came back at {nearest}");
    }
    store.verify().expect("nothing is damaged");
}

#[test]
fn nobody_is_enrolled_without_a_live_consent_to_recognition() {
    let device = fresh();
    let refused = [
        (
            Consent { purposes: vec![Purpose::VisitRecords], ..consent() },
            ConsentError::NotCovered(Purpose::Recognition),
        ),
        (Consent { valid_until: Some(date(2026, 3, 1)), ..consent() }, ConsentError::Ended(date(2026, 3, 1))),
        (
            Consent { given_on: date(2026, 3, 3), ..consent() },
            ConsentError::InTheFuture { given_on: date(2026, 3, 3), today: TODAY },
        ),
        (Consent { withdrawn_at: Some(at(0).at), ..consent() }, ConsentError::Withdrawn),
    ];
    for (consent, expected) in refused {
        let given = NewCustomer { consent, ..customer("Иван") };
        match device.store.add_customer(&given, &[template(1)], TODAY) {
            Err(StoreError::Consent { customer, cause }) => assert_eq!((customer, cause), (given.id, expected)),
            other => panic!("{expected:?} gave {other:?}"),
        }
    }
    assert!(device.store.customers().expect("readable").is_empty());
    assert!(!contains(&bytes_in(device.dir.path()), "Иван".as_bytes()));
}

#[test]
fn an_id_is_enrolled_once() {
    let device = fresh();
    let given = customer("Иван");
    device.store.add_customer(&given, &[template(1)], TODAY).expect("the consent is live");
    let again =
        device.store.add_customer(&NewCustomer { name: PersonName::given("Пётр"), ..given.clone() }, &[], TODAY);
    assert!(matches!(again, Err(StoreError::CustomerExists(id)) if id == given.id), "{again:?}");
    let read = device.store.customer(given.id).expect("readable").expect("enrolled");
    assert_eq!(read.name, PersonName::given("Иван"));
    assert_eq!(device.store.templates(PACK, TODAY).expect("readable")[0].1.len(), 1);
}

#[test]
fn templates_are_given_out_only_while_the_consent_to_recognition_is_live() {
    let device = fresh();
    let until_march_5 = Consent { valid_until: Some(date(2026, 3, 5)), ..consent() };
    let given = NewCustomer { consent: until_march_5, ..customer("Иван") };
    device.store.add_customer(&given, &[template(1)], TODAY).expect("the consent is live");
    let known_on = |day| !device.store.templates(PACK, day).expect("readable").is_empty();
    assert!(known_on(date(2026, 3, 5)));
    assert!(!known_on(date(2026, 3, 6)), "the day after the last");
    assert!(!known_on(date(2026, 3, 1)), "a clock that went back before the consent");
    assert!(device.store.templates("pack-b", TODAY).expect("readable").is_empty(), "another pack's templates");

    device.store.withdraw_consent(given.id, at(60)).expect("enrolled");
    assert!(!known_on(TODAY));
    let read = device.store.customer(given.id).expect("readable").expect("still listed");
    assert_eq!(read.consent.withdrawn_at, Some(at(60).at));
    device.store.withdraw_consent(given.id, at(90)).expect("twice is once");
    let read = device.store.customer(given.id).expect("readable").expect("still listed");
    assert_eq!(read.consent.withdrawn_at, Some(at(60).at), "the first withdrawal stands");

    device.store.renew_consent(given.id, &consent(), at(120), TODAY).expect("a live consent");
    assert!(known_on(date(2026, 3, 6)));
    let history: i64 =
        raw(device.dir.path()).query_row("SELECT count(*) FROM consents", [], |row| row.get(0)).expect("a number");
    assert_eq!(history, 3, "grant, withdrawal, grant");
    let nobody = CustomerId(visit_of(given.id, 0).id.0);
    assert!(matches!(device.store.withdraw_consent(nobody, at(0)), Err(StoreError::UnknownCustomer(_))));
    assert!(matches!(
        device.store.renew_consent(nobody, &consent(), at(0), TODAY),
        Err(StoreError::UnknownCustomer(_))
    ));
}

#[test]
fn a_visit_and_its_event_are_recorded_together_and_the_event_waits_for_the_close() {
    let device = fresh();
    let ivan = enrol(&device.store, "Иван");
    let opened_at = WallTime { synchronised: false, ..at(10) };
    let visit = VisitRecord { opened_at, how: HowKnown::Confirmed, ..visit_of(ivan, 10) };
    device.store.open_visit(&visit, TODAY).expect("the consent is live");
    let event = |after| vec![("visit".to_owned(), ivan, Some(visit.id), "new".to_owned(), after)];
    assert_eq!(outbox(device.dir.path()), event(None));

    device.store.close_visit(visit.id, at(300), at(900).at).expect("open");
    assert_eq!(outbox(device.dir.path()), event(Some(900)));
    device.store.close_visit(visit.id, at(400), at(1000).at).expect("already closed");
    assert_eq!(outbox(device.dir.path()), event(Some(900)));
    let read = device.store.visit(visit.id).expect("readable").expect("recorded");
    assert_eq!((read.record, read.closed_at, read.verdict), (visit, Some(at(300)), VisitVerdict::Unanswered));
    let unknown = visit_of(ivan, 0).id;
    assert!(matches!(device.store.close_visit(unknown, at(1), at(1).at), Err(StoreError::UnknownVisit(_))));
}

#[test]
fn recording_the_same_visit_again_changes_nothing_and_another_under_its_id_is_refused() {
    let device = fresh();
    let (ivan, olga) = (enrol(&device.store, "Иван"), enrol(&device.store, "Ольга"));
    let visit = visit_of(ivan, 10);
    for _ in 0..3 {
        device.store.open_visit(&visit, TODAY).expect("the same visit");
    }
    assert_eq!(outbox(device.dir.path()).len(), 1);
    for other in [
        VisitRecord { customer: olga, ..visit.clone() },
        VisitRecord { opened_at: at(11), ..visit.clone() },
        VisitRecord { how: HowKnown::Confirmed, ..visit.clone() },
        VisitRecord { counter: snova::face::CounterId::new("till-2"), ..visit.clone() },
    ] {
        let refused = device.store.open_visit(&other, TODAY);
        assert!(matches!(refused, Err(StoreError::VisitConflict(id)) if id == visit.id), "{other:?}: {refused:?}");
    }
    assert_eq!(device.store.visit(visit.id).expect("readable").map(|v| v.record), Some(visit.clone()));
    // A retry that arrives after the cashier moved the visit is still the same visit.
    device.store.answer_visit(visit.id, Verdict::Other(olga), at(20), TODAY).expect("both enrolled");
    device.store.open_visit(&visit, TODAY).expect("the same visit");
}

#[test]
fn no_visit_is_recorded_for_somebody_erased_or_without_consent() {
    let device = fresh();
    let (ivan, olga) = (enrol(&device.store, "Иван"), enrol(&device.store, "Ольга"));
    device.store.erase(ivan, at(5)).expect("enrolled");
    let refused = device.store.open_visit(&visit_of(ivan, 10), TODAY);
    assert!(matches!(refused, Err(StoreError::UnknownCustomer(id)) if id == ivan), "{refused:?}");
    device.store.withdraw_consent(olga, at(5)).expect("enrolled");
    let refused = device.store.open_visit(&visit_of(olga, 10), TODAY);
    assert!(matches!(refused, Err(StoreError::Consent { cause: ConsentError::Withdrawn, .. })), "{refused:?}");
    let visits: i64 =
        raw(device.dir.path()).query_row("SELECT count(*) FROM visits", [], |row| row.get(0)).expect("a number");
    assert_eq!(visits, 0);
}

#[test]
fn without_consent_to_visit_records_the_visit_stays_on_the_box() {
    let device = fresh();
    let given = NewCustomer { consent: recognition_only(), ..customer("Иван") };
    device.store.add_customer(&given, &[], TODAY).expect("the consent is live");
    let visit = visit_of(given.id, 10);
    device.store.open_visit(&visit, TODAY).expect("recognition is enough for the box");
    device.store.close_visit(visit.id, at(20), at(20).at).expect("open");
    device.store.answer_visit(visit.id, Verdict::No, at(30), TODAY).expect("recorded");
    device.store.answer_visit(visit.id, Verdict::Yes, at(31), TODAY).expect("recorded");
    assert!(outbox(device.dir.path()).is_empty());
}

#[test]
fn withdrawing_or_narrowing_consent_takes_back_what_was_not_sent_yet() {
    for narrow in [false, true] {
        let device = fresh();
        let (ivan, olga) = (enrol(&device.store, "Иван"), enrol(&device.store, "Ольга"));
        let visits = [visit_of(ivan, 10), visit_of(ivan, 20), visit_of(olga, 30)];
        for visit in &visits {
            device.store.open_visit(visit, TODAY).expect("the consent is live");
        }
        courier(device.dir.path(), visits[0].id, "done", 1);
        if narrow {
            device.store.renew_consent(ivan, &recognition_only(), at(40), TODAY).expect("live");
        } else {
            device.store.withdraw_consent(ivan, at(40)).expect("enrolled");
        }
        let left: Vec<_> = outbox(device.dir.path()).into_iter().map(|event| (event.2, event.3)).collect();
        let expected = [(&visits[0], "done"), (&visits[1], "held"), (&visits[2], "new")];
        assert_eq!(left, expected.map(|(visit, state)| (Some(visit.id), state.to_owned())));
    }
}

#[test]
fn a_visit_goes_on_if_its_event_has_not_left() {
    let device = fresh();
    let ivan = enrol(&device.store, "Иван");
    let visit = visit_of(ivan, 10);
    device.store.open_visit(&visit, TODAY).expect("the consent is live");
    device.store.close_visit(visit.id, at(300), at(900).at).expect("open");
    assert!(device.store.reopen_visit(visit.id).expect("recorded"));
    assert_eq!(device.store.visit(visit.id).expect("readable").and_then(|v| v.closed_at), None);
    assert_eq!(outbox(device.dir.path())[0].4, None);

    device.store.close_visit(visit.id, at(500), at(1000).at).expect("open");
    for (state, attempts) in [("sending", 1), ("done", 1), ("new", 1), ("dead", 1)] {
        courier(device.dir.path(), visit.id, state, attempts);
        assert!(!device.store.reopen_visit(visit.id).expect("recorded"), "{state} after {attempts} attempts");
    }
    let read = device.store.visit(visit.id).expect("readable").expect("recorded");
    assert_eq!(read.closed_at, Some(at(500)));
    assert_eq!(outbox(device.dir.path())[0].4, Some(1000));
    assert!(matches!(device.store.reopen_visit(visit_of(ivan, 0).id), Err(StoreError::UnknownVisit(_))));
}

#[test]
fn a_rejected_visit_is_not_sent_and_yes_after_no_sends_it() {
    let device = fresh();
    let ivan = enrol(&device.store, "Иван");
    let visit = visit_of(ivan, 10);
    device.store.open_visit(&visit, TODAY).expect("the consent is live");
    for _ in 0..2 {
        device.store.answer_visit(visit.id, Verdict::No, at(15), TODAY).expect("recorded");
        assert!(outbox(device.dir.path()).is_empty());
    }
    device.store.close_visit(visit.id, at(20), at(80).at).expect("open");
    assert_eq!(device.store.customer(ivan).expect("readable").expect("enrolled").card.visits, 0);

    device.store.answer_visit(visit.id, Verdict::Yes, at(30), TODAY).expect("recorded");
    let event = ("visit".to_owned(), ivan, Some(visit.id), "new".to_owned(), Some(30));
    assert_eq!(outbox(device.dir.path()), [event]);
    let card = device.store.customer(ivan).expect("readable").expect("enrolled").card;
    assert_eq!((card.visits, card.last_visit), (1, Some(at(10).at)));
}

#[test]
fn a_visit_that_may_have_reached_the_crm_is_voided_there_once() {
    for (state, attempts) in [("done", 1), ("sending", 1), ("new", 3)] {
        let device = fresh();
        let ivan = enrol(&device.store, "Иван");
        let visit = visit_of(ivan, 10);
        device.store.open_visit(&visit, TODAY).expect("the consent is live");
        device.store.close_visit(visit.id, at(20), at(20).at).expect("open");
        courier(device.dir.path(), visit.id, state, attempts);
        for _ in 0..2 {
            device.store.answer_visit(visit.id, Verdict::No, at(30), TODAY).expect("recorded");
        }
        let void = ("correction".to_owned(), ivan, Some(visit.id), "new".to_owned(), Some(30));
        // What was to be sent again is not sent only to be taken back.
        let then = if state == "new" { "withdrawn" } else { state };
        let sent = ("visit".to_owned(), ivan, Some(visit.id), then.to_owned(), Some(20));
        assert_eq!(outbox(device.dir.path()), [sent, void]);
    }
}

#[test]
fn a_visit_that_was_another_customers_moves_to_them() {
    let device = fresh();
    let (ivan, olga) = (enrol(&device.store, "Иван"), enrol(&device.store, "Ольга"));
    let visit = visit_of(ivan, 10);
    device.store.open_visit(&visit, TODAY).expect("the consent is live");
    device.store.answer_visit(visit.id, Verdict::Other(olga), at(15), TODAY).expect("both enrolled");
    let waiting = ("visit".to_owned(), olga, Some(visit.id), "new".to_owned(), None);
    assert_eq!(outbox(device.dir.path()), [waiting], "unsent: only the right one is left");
    device.store.close_visit(visit.id, at(20), at(80).at).expect("open");
    let visits = |id| device.store.customer(id).expect("readable").expect("enrolled").card.visits;
    assert_eq!((visits(ivan), visits(olga)), (0, 1));
    // Yes to the corrected visit does not make the first recognition right.
    device.store.answer_visit(visit.id, Verdict::Yes, at(25), TODAY).expect("recorded");
    let read = device.store.visit(visit.id).expect("readable").expect("recorded");
    assert_eq!((read.verdict, read.record.customer), (VisitVerdict::Other, olga));
    assert_eq!(outbox(device.dir.path()).len(), 1);
}

#[test]
fn a_sent_visit_that_was_another_customers_is_voided_and_sent_anew() {
    let device = fresh();
    let (ivan, olga) = (enrol(&device.store, "Иван"), enrol(&device.store, "Ольга"));
    let visit = visit_of(ivan, 10);
    device.store.open_visit(&visit, TODAY).expect("the consent is live");
    device.store.close_visit(visit.id, at(20), at(20).at).expect("open");
    courier(device.dir.path(), visit.id, "done", 1);
    device.store.answer_visit(visit.id, Verdict::Other(olga), at(30), TODAY).expect("both enrolled");
    let event = |kind: &str, who, state: &str, after| (kind.to_owned(), who, Some(visit.id), state.to_owned(), after);
    let expected = [
        event("visit", ivan, "done", Some(20)),
        event("correction", ivan, "new", Some(30)),
        event("visit", olga, "new", Some(30)),
    ];
    assert_eq!(outbox(device.dir.path()), expected);
    // Olga is erased: Ivan's void must still reach the CRM.
    device.store.erase(olga, at(40)).expect("enrolled");
    assert_eq!(outbox(device.dir.path()), expected[..2], "and of her it never heard");
}

#[test]
fn a_visit_is_not_moved_to_somebody_unknown_or_without_consent() {
    let device = fresh();
    let (ivan, olga) = (enrol(&device.store, "Иван"), enrol(&device.store, "Ольга"));
    let visit = visit_of(ivan, 10);
    device.store.open_visit(&visit, TODAY).expect("the consent is live");
    device.store.withdraw_consent(olga, at(12)).expect("enrolled");
    let nobody = CustomerId(visit.id.0);
    let refused = device.store.answer_visit(visit.id, Verdict::Other(olga), at(15), TODAY);
    assert!(matches!(refused, Err(StoreError::Consent { customer, .. }) if customer == olga), "{refused:?}");
    let refused = device.store.answer_visit(visit.id, Verdict::Other(nobody), at(15), TODAY);
    assert!(matches!(refused, Err(StoreError::UnknownCustomer(_))), "{refused:?}");
    let read = device.store.visit(visit.id).expect("readable").expect("recorded");
    assert_eq!((read.record.customer, read.verdict), (ivan, VisitVerdict::Unanswered));
    assert_eq!(outbox(device.dir.path()).len(), 1);
    let refused = device.store.answer_visit(visit_of(ivan, 0).id, Verdict::Yes, at(15), TODAY);
    assert!(matches!(refused, Err(StoreError::UnknownVisit(_))), "{refused:?}");
}

#[test]
fn visits_that_a_crash_left_open_end_when_their_customers_were_last_seen() {
    let device = fresh();
    let ivan = enrol(&device.store, "Иван");
    let (over, left) = (visit_of(ivan, 10), visit_of(ivan, 500));
    device.store.open_visit(&over, TODAY).expect("the consent is live");
    device.store.close_visit(over.id, at(100), at(100).at).expect("open");
    device.store.open_visit(&left, TODAY).expect("the consent is live");
    // Of the third it was never noted.
    let unseen = visit_of(ivan, 550);
    device.store.open_visit(&unseen, TODAY).expect("the consent is live");
    for seconds in [510, 520] {
        let seen = SeenAt { at: at(seconds).at, since_boot: None };
        device.store.note_seen(&[(left.id, seen.clone()), (over.id, seen)]).expect("writable");
    }
    drop(device.store);

    let store = open(device.dir.path());
    assert_eq!(store.close_left_open(Duration::from_secs(60)).expect("writable"), 2);
    assert_eq!(store.close_left_open(Duration::ZERO).expect("writable"), 0);
    assert_eq!(store.visit(left.id).expect("readable").and_then(|v| v.closed_at), Some(at(520)));
    assert_eq!(store.visit(unseen.id).expect("readable").and_then(|v| v.closed_at), Some(at(550)));
    assert_eq!(store.visit(over.id).expect("readable").and_then(|v| v.closed_at), Some(at(100)));
    let after: Vec<_> = outbox(device.dir.path()).into_iter().map(|event| event.4).collect();
    assert_eq!(after, [Some(100), Some(580), Some(610)], "each with the ordinary grace");
}

#[test]
fn the_outbox_tells_its_depth_its_oldest_and_its_dead() {
    let device = fresh();
    assert_eq!(device.store.outbox_status().expect("readable"), OutboxStatus::default());
    let ivan = enrol(&device.store, "Иван");
    let visits = [visit_of(ivan, 10), visit_of(ivan, 20), visit_of(ivan, 30), visit_of(ivan, 40)];
    for visit in &visits {
        device.store.open_visit(visit, TODAY).expect("the consent is live");
    }
    courier(device.dir.path(), visits[0].id, "dead", 1);
    courier(device.dir.path(), visits[1].id, "done", 1);
    courier(device.dir.path(), visits[2].id, "sending", 1);
    let status = device.store.outbox_status().expect("readable");
    assert_eq!(
        status,
        OutboxStatus { depth: 2, oldest_created_at: Some(at(30).at), dead: 1, ..OutboxStatus::default() }
    );
}

#[test]
fn a_card_shows_the_visits_before_the_present_one() {
    let device = fresh();
    let ivan = enrol(&device.store, "Иван");
    let (first, second) = (visit_of(ivan, 10), visit_of(ivan, 5000));
    let card = || device.store.customer(ivan).expect("readable").expect("enrolled").card;
    device.store.open_visit(&first, TODAY).expect("the consent is live");
    assert_eq!((card().visits, card().last_visit), (0, None));
    device.store.close_visit(first.id, at(100), at(100).at).expect("open");
    device.store.open_visit(&second, TODAY).expect("the consent is live");
    assert_eq!((card().visits, card().last_visit), (1, Some(at(10).at)));
}

#[test]
fn a_service_sees_that_another_process_changed_the_customers_and_visits_do_not_alarm_it() {
    let device = fresh();
    let elsewhere = open(device.dir.path());
    let mut last = device.store.change_stamp().expect("readable");
    let mut moved = || {
        let now = device.store.change_stamp().expect("readable");
        std::mem::replace(&mut last, now) != now
    };
    assert!(!moved());
    let ivan = enrol(&elsewhere, "Иван");
    assert!(moved(), "enrolled elsewhere");
    elsewhere.renew_consent(ivan, &consent(), at(1), TODAY).expect("live");
    assert!(moved(), "consent renewed elsewhere");
    let visit = visit_of(ivan, 10);
    elsewhere.open_visit(&visit, TODAY).expect("live");
    elsewhere.close_visit(visit.id, at(20), at(20).at).expect("open");
    assert!(!moved(), "a visit is no change of the gallery");
    elsewhere.withdraw_consent(ivan, at(30)).expect("enrolled");
    assert!(moved(), "consent withdrawn elsewhere");
    elsewhere.erase(ivan, at(40)).expect("enrolled");
    assert!(moved(), "erased elsewhere");
    enrol(&device.store, "Ольга");
    assert!(moved(), "enrolled here");
    assert!(!moved());
}

#[test]
fn nothing_that_is_printed_for_debugging_names_a_customer() {
    let device = fresh();
    let given =
        NewCustomer {
            tier: Some("золотой".to_owned()), note: Some("без сахара".to_owned()), ..customer("Иван")
        };
    device.store.add_customer(&given, &[template(1)], TODAY).expect("live");
    let read = device.store.customer(given.id).expect("readable").expect("enrolled");
    let printed = format!("{given:?} {read:?} {:?}", device.store.templates(PACK, TODAY));
    for secret in ["Иван", "золотой", "сахара"] {
        assert!(!printed.contains(secret), "{printed}");
    }
    let value = format!("{:?}", template(1).embedding.values()[0]);
    assert!(!printed.contains(&value), "{printed}");
}
