//! amoCRM and Битрикс24 know no key of ours, neither of a visit nor of a contact: what both keep for that reason, beyond the
//! contract of `crm_contract`, at their fakes.
//!
//! What is one of the two's alone is in its own tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test a panic is the report")]

#[path = "support/crm/mod.rs"]
mod crm;

use std::sync::{Arc, Mutex};

use crm::amocrm::FakeAmoCrm;
use crm::bench::Bench;
use crm::bitrix24::FakeBitrix24;
use crm::server::Hits;
use crm::{FakeContact, FakeCrm, Fault};
use jiff::SignedDuration;
use snova::clock::Clock;
use snova::crm::{
    ConsentWord, ContactId, Creation, Failure, FailureClass, Finding, Forgotten, Greeting, Mark, NewContact, Receipt,
    RecordId, Seek, SentVisit, Told, Verdict, VisitRecord,
};
use snova::customer::CustomerId;
use uuid::Uuid;

const MODES: [&str; 3] = ["amocrm", "bitrix24", "bitrix24-comments"];
const COMPANY: &str = "3f9a1c22";

fn customer(number: u128) -> CustomerId {
    CustomerId(Uuid::from_u128(0x0193_0000_0000_7000_8000_0000_0000_0000 + number))
}

fn ivan() -> FakeContact {
    FakeContact::named("Иван", "Петрович", "Соколов", "8 (912) 345-67-89")
}

fn add(bench: &Bench, contact: FakeContact) -> ContactId {
    let now = bench.clock.wall().at;
    ContactId(bench.server.crm.lock().unwrap().add_contact(contact, now))
}

fn sent(visit: &VisitRecord, record: Option<RecordId>) -> SentVisit {
    SentVisit { key: visit.key, record, contact: visit.contact.clone(), written_at: visit.opened_at.at }
}

async fn recorded(bench: &mut Bench, visit: &VisitRecord) -> RecordId {
    bench.connector.record(std::slice::from_ref(visit)).await.unwrap()[0].clone().unwrap()
}

/// With all fields that Snova may fill.
async fn told_bench(mode: &str) -> Bench {
    let crm = crm::vendor(mode);
    let fields = crm.lock().unwrap().told_config();
    Bench::with(crm, |config| config + &fields).await
}

fn told() -> Told {
    Told {
        first_visit: Some("2026-01-12T14:05:00Z".parse().unwrap()),
        last_visit: Some("2026-03-01T23:30:00.75Z".parse().unwrap()),
        late_since: Some("2026-03-09".parse().unwrap()),
        consent: Some(ConsentWord::Live),
        consent_until: Some("2027-01-01".parse().unwrap()),
        source: Some("Snova".to_owned()),
        visits_30: Some(4),
        visits_90: Some(11),
        home_store: Some("Тверская, 7".to_owned()),
    }
}

/// As CRMs keep it: in whole seconds.
fn kept() -> Told {
    Told { last_visit: Some("2026-03-01T23:30:00Z".parse().unwrap()), ..told() }
}

fn is_gone<T: std::fmt::Debug>(outcome: &Result<T, Failure>) -> bool {
    outcome.as_ref().is_err_and(|failure| failure.contact_gone)
}

fn new_contact(customer: CustomerId, phone: &str) -> NewContact {
    NewContact {
        key: Uuid::from_u128(1),
        customer,
        mark: Mark::default().with(customer, COMPANY).text(),
        given: "Елена".to_owned(),
        patronymic: Some("Павловна".to_owned()),
        family: None,
        phone: Some(phone.to_owned()),
        email: None,
    }
}

async fn made(bench: &mut Bench, customer: CustomerId, phone: &str) -> ContactId {
    match bench.connector.create(&new_contact(customer, phone)).await.unwrap() {
        Creation::Made(id) => id,
        taken => panic!("{taken:?}"),
    }
}

#[tokio::test]
async fn a_visit_whose_answer_was_lost_is_found_however_wrong_the_boxs_clock_is() {
    for mode in MODES {
        for hours in [-30, -3, 3, 30] {
            let mut bench = Bench::of(crm::vendor(mode)).await;
            bench.server.set_clock_ahead(SignedDuration::from_hours(hours));
            let contact = add(&bench, ivan());
            let mut others: Vec<VisitRecord> = (0..70).map(|_| bench.visit(&contact.0)).collect();
            let later = others.split_off(20);
            bench.connector.record(&others).await.unwrap();
            let visit = bench.visit(&contact.0);
            bench.server.plan(Fault::CutAfter, Hits::VisitWrites, 1);
            bench.connector.record(std::slice::from_ref(&visit)).await.unwrap_err();
            let there = bench.clock.wall().at.checked_add(SignedDuration::from_hours(hours)).unwrap();
            bench.clock.advance(std::time::Duration::from_secs(600));
            bench.connector.record(&later).await.unwrap();
            // By the CRM's clock, a little after, or at no time that is certain.
            let after = there.checked_add(SignedDuration::from_mins(5)).unwrap();
            for tried_at in [Some(there), Some(after), None] {
                let never = VisitRecord { tried_at, ..bench.visit(&contact.0) };
                let doubtful = VisitRecord { tried_at, ..visit.clone() };
                let found = bench.connector.reconcile(&[doubtful, never]).await.unwrap();
                let said = format!("{mode}, {hours} h, {tried_at:?}");
                assert_eq!(found.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false], "{said}");
            }
            // Nor does a time bound what is taken back.
            let year = SignedDuration::from_hours(24 * 365);
            let wrong = SentVisit { written_at: there.checked_add(year).unwrap(), ..sent(&visit, None) };
            bench.connector.void(&wrong).await.unwrap();
            let voided = bench.server.crm.lock().unwrap().visits().into_iter().filter(|visit| visit.void).count();
            assert_eq!(voided, 1, "{mode}, {hours} h");
        }
    }
}

#[tokio::test]
async fn a_contact_that_was_deleted_or_merged_is_said_row_by_row_and_its_visits_are_the_survivors() {
    for mode in MODES {
        let mut bench = told_bench(mode).await;
        let [deleted, merged, survivor] =
            [1, 2, 3].map(|number| add(&bench, FakeContact { phone: format!("+7912000000{number}"), ..ivan() }));
        let old = bench.visit(&merged.0);
        let id = recorded(&mut bench, &old).await;
        let now = bench.clock.wall().at;
        bench.server.crm.lock().unwrap().bin_contact(&deleted.0, now);
        bench.server.crm.lock().unwrap().merge_contacts(&merged.0, &survivor.0, now);
        let all = [&deleted, &merged, &survivor].map(|contact| bench.visit(&contact.0));
        let rows = bench.connector.record(&all).await.unwrap();
        assert_eq!(rows.iter().map(is_gone).collect::<Vec<_>>(), [true, true, false], "{mode}: {rows:?}");
        assert!(rows[2].is_ok(), "{mode}: {rows:?}");
        let each = [&deleted, &merged, &survivor].map(|contact| (contact.clone(), told()));
        let rows = bench.connector.tell(&each).await.unwrap();
        assert_eq!(rows.iter().map(is_gone).collect::<Vec<_>>(), [true, true, false], "{mode}: {rows:?}");
        for gone in [&deleted, &merged] {
            assert_eq!(bench.connector.contact(gone).await.unwrap(), None, "{mode}");
            assert!(is_gone(&bench.connector.write_mark(gone, "x").await), "{mode}");
            assert!(bench.connector.visits_of(gone).await.unwrap().is_empty(), "{mode}");
        }
        let standing = bench.connector.visits_of(&survivor).await.unwrap();
        assert_eq!(standing.len(), 2, "{mode}: {standing:?}");
        // What it was called is still known, and where it was is not.
        bench.connector.void(&sent(&old, Some(id))).await.unwrap();
        let standing = bench.connector.visits_of(&survivor).await.unwrap();
        assert_eq!(
            standing.iter().filter(|visit| visit.void).map(|visit| visit.key).collect::<Vec<_>>(),
            [old.key],
            "{mode}"
        );
    }
}

#[tokio::test]
async fn the_visits_of_a_contact_are_all_boxes_and_say_when_where_and_whether_they_stand() {
    for mode in MODES {
        let mut bench = Bench::of(crm::vendor(mode)).await;
        let (contact, other) = (add(&bench, ivan()), add(&bench, ivan()));
        let mut visits: Vec<VisitRecord> = (0..60).map(|_| bench.visit(&contact.0)).collect();
        visits[0].shop = "Тверская, 7".to_owned();
        bench.connector.record(&visits).await.unwrap();
        let elsewhere = bench.visit(&other.0);
        recorded(&mut bench, &elsewhere).await;
        let now = bench.clock.wall().at;
        let planted = if mode == "bitrix24-comments" { "comment:913" } else { "913" };
        bench.server.crm.lock().unwrap().plant(planted, &contact.0, now);
        bench.connector.void(&sent(&visits[1], None)).await.unwrap();
        let erasure = Forgotten { key: Uuid::nil(), customer: customer(1), visits: vec![sent(&visits[2], None)] };
        bench.connector.forget(&erasure).await.unwrap();
        let standing = bench.connector.visits_of(&contact).await.unwrap();
        assert_eq!(standing.len(), 59, "{mode}");
        let one = |at: usize| standing.iter().find(|visit| visit.key == visits[at].key);
        let (first, voided) = (one(0).unwrap(), one(1).unwrap());
        assert_eq!((first.opened_at, first.store.as_deref()), (visits[0].opened_at.at, Some("Тверская, 7")), "{mode}");
        assert!(voided.void && !first.void && one(2).is_none(), "{mode}");
    }
}

#[tokio::test]
async fn a_receipt_and_an_answer_that_come_later_are_written_once_and_never_on_what_is_void() {
    for mode in MODES {
        let mut bench = told_bench(mode).await;
        let contact = add(&bench, ivan());
        let visit = bench.visit(&contact.0);
        let id = recorded(&mut bench, &visit).await;
        let now = VisitRecord {
            receipt: Some(Receipt { number: "Ч-77".to_owned(), sum: 123_450 }),
            greeting: Some(Greeting::Right),
            served_by: Some("Ольга К.".to_owned()),
            ..visit.clone()
        };
        let raw = |bench: &Bench| bench.server.crm.lock().unwrap().raw(&id.0).unwrap();
        for record in [None, Some(id.clone())] {
            bench.connector.amend(&now, &sent(&visit, record)).await.unwrap();
            let raw = raw(&bench);
            assert!(["Ч-77", "1234.5", "Ольга К."].iter().all(|word| raw.contains(word)), "{mode}: {raw}");
            assert_eq!(bench.server.crm.lock().unwrap().visits().len(), 1, "{mode}");
        }
        bench.connector.void(&sent(&visit, None)).await.unwrap();
        let before = raw(&bench);
        bench.connector.amend(&now, &sent(&visit, Some(id.clone()))).await.unwrap();
        assert_eq!(raw(&bench), before, "{mode}: it was somebody else's visit");
        let nowhere = bench.visit(&contact.0);
        bench.connector.amend(&nowhere, &sent(&nowhere, None)).await.unwrap();
    }
}

#[tokio::test]
async fn what_is_told_of_contacts_is_written_in_batches_read_back_and_emptied_and_never_written_for_nothing() {
    for mode in MODES {
        let mut bench = told_bench(mode).await;
        let all: Vec<(ContactId, Told)> = (0..60).map(|_| (add(&bench, ivan()), told())).collect();
        bench.server.forget_asked();
        let rows = bench.connector.tell(&all).await.unwrap();
        assert!(rows.iter().all(Result::is_ok), "{mode}: {rows:?}");
        let asked = bench.server.asked_so_far();
        assert!(asked <= 7, "{mode}: sixty contacts in {asked} requests");
        for (contact, _) in &all[58..] {
            assert_eq!(bench.server.crm.lock().unwrap().told(&contact.0), kept(), "{mode}");
            assert_eq!(bench.connector.contact(contact).await.unwrap().unwrap().told, kept(), "{mode}");
        }
        bench.server.forget_asked();
        bench.connector.tell(&all).await.unwrap();
        let writes = bench
            .server
            .asked()
            .into_iter()
            .filter(|asked| asked.method == "PATCH" || asked.text().contains("crm.item.update"));
        assert_eq!(writes.count(), 0, "{mode}: it is there already");
        let nothing = [(all[0].0.clone(), Told::default())];
        assert!(bench.connector.tell(&nothing).await.unwrap()[0].is_ok(), "{mode}");
        assert_eq!(bench.server.crm.lock().unwrap().told(&all[0].0.0), Told::default(), "{mode}");
        let card = bench.server.crm.lock().unwrap().contact(&all[0].0.0).unwrap();
        assert_eq!((&*card.given, &*card.phone), ("Иван", "8 (912) 345-67-89"), "{mode}: nothing else is touched");
    }
}

#[tokio::test]
async fn a_field_that_is_told_and_not_there_stops_the_lane_with_its_name() {
    for (mode, field, wrong) in [("amocrm", "9107", "9999"), ("bitrix24", "UF_CRM_SNOVA_V30", "UF_CRM_SNOVA_V3")] {
        let crm = crm::vendor(mode);
        let fields = crm.lock().unwrap().told_config().replace(field, wrong);
        let mut bench = Bench::with(crm, |config| config + &fields).await;
        let contact = add(&bench, ivan());
        let outcome = bench.connector.tell(&[(contact, told())]).await;
        let failure = outcome.unwrap_err();
        assert_eq!(failure.class, FailureClass::TenantBlocked, "{mode}: {failure}");
        let findings = bench.connector.probe().await;
        assert!(
            findings.iter().any(|f| f.verdict == Verdict::Warning && f.what.contains(wrong)),
            "{mode}: {findings:#?}"
        );
    }
}

#[tokio::test]
async fn a_right_that_is_taken_away_and_a_new_mandatory_field_are_the_tenants_fault_and_pass_when_mended() {
    for mode in MODES {
        let mut bench = Bench::of(crm::vendor(mode)).await;
        let contact = add(&bench, ivan());
        let visits = [bench.visit(&contact.0), bench.visit(&contact.0)];
        for (right, word) in [(true, "does not let"), (false, "demands a field")] {
            let set = |on: bool| {
                let mut crm = bench.server.crm.lock().unwrap();
                if right { crm.take_right(on) } else { crm.demand_field(on) }
            };
            set(true);
            let failures: Vec<Failure> = match bench.connector.record(&visits).await {
                Ok(rows) => rows.into_iter().map(Result::unwrap_err).collect(),
                Err(failure) => vec![failure],
            };
            for failure in failures {
                assert_eq!(failure.class, FailureClass::TenantBlocked, "{mode}: {failure}");
                assert!(failure.said().contains(word), "{mode}: {failure}");
            }
            assert!(bench.server.crm.lock().unwrap().visits().is_empty(), "{mode}");
            if !right && mode == "bitrix24" {
                let findings = bench.connector.probe().await;
                assert!(findings.iter().any(|finding| finding.remedy.contains("ufCrm5Manager")), "{findings:#?}");
            }
            let set = |on: bool| {
                let mut crm = bench.server.crm.lock().unwrap();
                if right { crm.take_right(on) } else { crm.demand_field(on) }
            };
            set(false);
        }
        assert!(bench.connector.record(&visits).await.unwrap().iter().all(Result::is_ok), "{mode}");
    }
}

#[tokio::test]
async fn a_contact_that_many_boxes_know_is_found_by_each_of_their_words_and_by_the_old_id() {
    for mode in MODES {
        let mut bench = Bench::of(crm::vendor(mode)).await;
        let (ours, theirs, old) = (customer(1), customer(2), customer(3));
        let contact = add(&bench, ivan());
        let text = Mark::default().with(ours, COMPANY).with(theirs, COMPANY).text();
        bench.connector.write_mark(&contact, &text).await.unwrap();
        let before = add(&bench, FakeContact { external_id: old.to_string(), ..ivan() });
        // The words in a field that is no mark, and a longer word around one of them.
        let word = Mark::words(ours)[0].clone();
        add(&bench, FakeContact { notes: word.clone(), external_id: format!("x{word}"), ..ivan() });
        for (who, contact) in [(ours, &contact), (theirs, &contact), (old, &before)] {
            let found = bench.connector.find(&Seek::Mark(who)).await.unwrap();
            assert_eq!(found.iter().map(|found| &found.id).collect::<Vec<_>>(), [&contact.0], "{mode}");
        }
        assert!(bench.connector.find(&Seek::Mark(customer(4))).await.unwrap().is_empty());
        bench.connector.write_mark(&contact, "").await.unwrap();
        assert!(bench.connector.find(&Seek::Mark(ours)).await.unwrap().is_empty(), "{mode}");
        assert!(!bench.connector.manners().keyed_contacts && !bench.connector.manners().keyed);
    }
}

#[tokio::test]
async fn the_younger_of_two_doubles_is_taken_back_and_only_if_it_is_ours_alone() {
    for mode in MODES {
        let mut bench = Bench::of(crm::vendor(mode)).await;
        let phone = "+79120000001";
        let (elder, younger) = (made(&mut bench, customer(1), phone).await, made(&mut bench, customer(2), phone).await);
        let shared = Mark::default().with(customer(2), COMPANY).with(customer(3), COMPANY).text();
        bench.connector.write_mark(&younger, &shared).await.unwrap();
        let left = bench.connector.retire(&younger, &elder).await.unwrap_err();
        assert!(left.said().contains("by hand") && left.class == FailureClass::Poison, "{mode}: {left}");
        assert_eq!(bench.server.crm.lock().unwrap().all_contacts().len(), 2, "{mode}");
        bench.connector.write_mark(&younger, &Mark::default().with(customer(2), COMPANY).text()).await.unwrap();
        for _ in 0..2 {
            bench.connector.retire(&younger, &elder).await.unwrap();
            let found = bench.connector.find(&Seek::Phone(phone.to_owned())).await.unwrap();
            assert_eq!(found.iter().map(|found| &found.id).collect::<Vec<_>>(), [&elder.0], "{mode}");
            assert!(bench.connector.find(&Seek::Mark(customer(2))).await.unwrap().is_empty(), "{mode}");
            assert_eq!(bench.server.crm.lock().unwrap().all_contacts().len(), 1, "{mode}");
        }
    }
}

#[tokio::test]
async fn a_customer_is_marked_created_voided_and_forgotten_with_and_without_what_the_crm_called_it() {
    for mode in MODES {
        let mut bench = told_bench(mode).await;
        let made = made(&mut bench, customer(8), "+79120000001").await;
        let found = bench.connector.find(&Seek::Phone("+79120000001".to_owned())).await.unwrap();
        assert_eq!((&*found[0].id, found[0].patronymic.as_deref()), (&*made.0, Some("Павловна")), "{mode}");
        assert_eq!(found[0].told.source.as_deref(), Some("Snova"), "{mode}");
        let (visit, twin, moved) = (bench.visit(&made.0), bench.visit(&made.0), bench.visit(&made.0));
        let mut ids = bench.connector.record(&[visit.clone(), twin.clone(), moved.clone()]).await.unwrap();
        recorded(&mut bench, &twin).await;
        bench.connector.void(&sent(&visit, None)).await.unwrap();
        assert!(bench.server.crm.lock().unwrap().visits()[0].void, "{mode}");
        // Of a customer without a contact by now, only what the CRM called it is known.
        let moved = SentVisit { contact: ContactId(String::new()), ..sent(&moved, ids.remove(2).ok()) };
        let never = bench.visit(&made.0);
        let visits = vec![sent(&visit, None), sent(&twin, None), moved, sent(&never, None)];
        let gone = Forgotten { key: visit.key, customer: customer(8), visits };
        for _ in 0..2 {
            bench.connector.forget(&gone).await.unwrap();
            bench.connector.void(&sent(&visit, None)).await.unwrap();
        }
        let crm = bench.server.crm.lock().unwrap();
        assert!(crm.visits().iter().all(|visit| visit.erased), "{mode}: twins too");
        assert_eq!(crm.contacts(), 1, "{mode}: the contact is the company's");
    }
}

/// As `snova crm prepare` prints them.
fn in_the_guide(mode: &str, findings: &[Finding]) {
    let remedy = |text: &str| if text.is_empty() { String::new() } else { format!(": {text}") };
    let line = |finding: &Finding| format!("good     {}{}\n", finding.what, remedy(&finding.remedy));
    let printed = format!("```text\n$ snova crm prepare\n{}```\n", findings.iter().map(line).collect::<String>());
    let page = match mode {
        "amocrm" => include_str!("../docs/crm/amocrm.md"),
        "bitrix24" => include_str!("../docs/crm/bitrix24.md"),
        _ => return,
    };
    assert!(page.contains(&printed), "the guide of {mode} does not show\n{printed}");
}

#[tokio::test]
async fn the_fields_are_made_once_and_what_is_printed_makes_them_be_filled() {
    for mode in MODES {
        let crm = crm::vendor(mode);
        let mut bench = Bench::of(Arc::clone(&crm)).await;
        let findings = bench.connector.prepare().await;
        assert!(findings.iter().all(|finding| finding.verdict == Verdict::Good), "{mode}: {findings:#?}");
        in_the_guide(mode, &findings);
        let paste = findings.last().unwrap().remedy.clone();
        let pasted = |config: String| {
            paste.split("\n[").fold(config, |config, section| {
                let (head, lines) = section.split_once('\n').unwrap();
                let head = format!("[{}\n", head.trim_start_matches('['));
                if config.contains(&head) {
                    config.replace(&head, &format!("{head}{lines}\n"))
                } else {
                    format!("{config}{head}{lines}\n")
                }
            })
        };
        let mut bench = Bench::with(Arc::clone(&crm), pasted).await;
        // Another box, some time after.
        bench.clock.advance(std::time::Duration::from_secs(3600));
        let contact = add(&bench, ivan());
        assert!(bench.connector.tell(&[(contact.clone(), told())]).await.unwrap()[0].is_ok(), "{mode}");
        assert_eq!(bench.connector.contact(&contact).await.unwrap().unwrap().told, kept(), "{mode}");
        let receipt = Some(Receipt { number: "Ч-77".to_owned(), sum: 99 });
        let visit = VisitRecord { receipt, ..bench.visit(&contact.0) };
        let id = recorded(&mut bench, &visit).await;
        assert!(crm.lock().unwrap().raw(&id.0).unwrap().contains("Ч-77"), "{mode}");
        let findings = bench.connector.prepare().await;
        assert!(findings.iter().all(|finding| !finding.what.contains("made")), "{mode}: {findings:#?}");
        assert_eq!(findings.last().unwrap().remedy, "", "{mode}: nothing is left to paste");
        let findings = bench.connector.probe().await;
        assert!(findings.iter().all(|finding| finding.verdict == Verdict::Good), "{mode}: {findings:#?}");
    }
}

#[tokio::test]
async fn a_login_that_may_make_no_fields_names_them_for_the_administrator() {
    let amocrm = FakeAmoCrm::of(crm::amocrm::Quirks { no_admin: true, ..Default::default() });
    let bitrix24 = FakeBitrix24::of(crm::bitrix24::Quirks { no_admin: true, ..Default::default() });
    let both: [Arc<Mutex<dyn FakeCrm>>; 2] = [Arc::new(Mutex::new(amocrm)), Arc::new(Mutex::new(bitrix24))];
    for crm in both {
        let mut bench = Bench::of(crm).await;
        let findings = bench.connector.prepare().await;
        let named = findings.iter().filter(|finding| finding.verdict == Verdict::Warning);
        let named: Vec<&str> = named.map(|finding| &*finding.remedy).collect();
        assert!(named.len() >= 9 && named.iter().all(|remedy| remedy.contains("«Snova: ")), "{findings:#?}");
        assert!(!findings.last().unwrap().remedy.contains("told"), "{findings:#?}");
    }
}
