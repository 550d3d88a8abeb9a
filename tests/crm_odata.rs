//! What the connectors of Creatio and Dynamics share, at both fakes: keys, marks, contacts that go, the words of refusals,
//! amendments, what is told on contacts, and the fields for it.
//!
//! What is one vendor's alone is in its own tests, what all vendors must keep in `crm_contract`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test a panic is the report")]

#[path = "support/crm/mod.rs"]
mod crm;

use std::time::Duration;

use crm::bench::Bench;
use crm::server::Hits;
use crm::{FakeContact, Fault, POISON_TILL};
use jiff::Timestamp;
use snova::clock::Clock;
use snova::crm::{
    ConsentWord, Contact, ContactId, Creation, FailureClass, Greeting, Heartbeat, Mark, NewContact, Receipt, Seek,
    SentVisit, Told, Verdict, VisitRecord,
};
use snova::customer::CustomerId;
use uuid::Uuid;

/// Both vendors, and visits in a table of the company's own.
const ALL: [&str; 3] = ["creatio", "dynamics", "dynamics-table"];
/// Those whose visits are the vendor's own activities.
const ACTIVITIES: [&str; 2] = ["creatio", "dynamics"];
const OURS: CustomerId = CustomerId(Uuid::from_u128(7));
const ANOTHERS: CustomerId = CustomerId(Uuid::from_u128(8));

async fn bench(name: &str) -> Bench {
    let (vendor, table) = name.split_once('-').unwrap_or((name, ""));
    let own = |config: String| match table {
        "" => config,
        _ => format!("{config}[crm.dynamics.visit]\ntable = \"new_storevisits\"\n"),
    };
    Bench::with(crm::vendor(vendor), own).await
}

/// With all the fields that Snova can fill.
async fn told_bench(vendor: &str) -> Bench {
    let fake = crm::vendor(vendor);
    let told = fake.lock().unwrap().told_config();
    Bench::with(fake, |config| format!("{config}{told}")).await
}

fn ivan() -> FakeContact {
    let named = FakeContact::named("Иван", "Петрович", "Соколов", "8 (912) 345-67-89");
    FakeContact { owner: "Ольга Петрова".to_owned(), ..named }
}

fn add(bench: &Bench, contact: FakeContact) -> String {
    bench.server.crm.lock().unwrap().add_contact(contact, bench.clock.wall().at)
}

fn sent(visit: &VisitRecord) -> SentVisit {
    SentVisit { key: visit.key, record: None, contact: visit.contact.clone(), written_at: visit.opened_at.at }
}

async fn recorded(bench: &mut Bench, contact: &str) -> VisitRecord {
    let visit = bench.visit(contact);
    bench.connector.record(std::slice::from_ref(&visit)).await.unwrap().remove(0).unwrap();
    visit
}

fn raw(bench: &Bench, visit: &VisitRecord) -> String {
    bench.server.crm.lock().unwrap().raw(&visit.key.to_string()).unwrap()
}

fn elena(key: u128, customer: CustomerId) -> NewContact {
    NewContact {
        key: Uuid::from_u128(key),
        customer,
        mark: Mark::default().with(customer, "3f9a1c22").text(),
        given: "Елена".to_owned(),
        patronymic: Some("Игоревна".to_owned()),
        family: Some("Лис".to_owned()),
        phone: Some("+79990000001".to_owned()),
        email: None,
    }
}

async fn of(bench: &mut Bench, id: &str) -> Option<Contact> {
    bench.connector.contact(&ContactId(id.to_owned())).await.unwrap()
}

#[tokio::test]
async fn a_visit_sent_twice_is_one_row_and_a_poisoned_one_does_not_hold_up_the_rest() {
    for vendor in ALL {
        let mut bench = bench(vendor).await;
        let contact = add(&bench, ivan());
        let visits = [bench.visit(&contact), bench.visit_at(&contact, POISON_TILL), bench.visit(&contact)];
        for _ in 0..2 {
            let rows = bench.connector.record(&visits).await.unwrap();
            assert!(rows[0].is_ok() && rows[2].is_ok(), "{vendor}: {rows:?}");
            let refused = rows[1].as_ref().unwrap_err();
            assert_eq!(refused.class, FailureClass::Poison);
            assert!(refused.said().contains("HTTP 400"), "{refused}");
        }
        let there = bench.server.crm.lock().unwrap().visits();
        assert_eq!(there.len(), 2, "{vendor}");
        assert_eq!((there[0].opened_at, &there[0].contact), (Some(visits[0].opened_at.at), &contact));
        let found = bench.connector.reconcile(&visits).await.unwrap();
        assert!(found[0].is_some() && found[1].is_none() && found[2].is_some());
    }
}

#[tokio::test]
async fn a_second_box_is_refused_the_persons_key_and_told_who_is_there() {
    for vendor in ACTIVITIES {
        let mut bench = bench(vendor).await;
        let new = elena(5, OURS);
        let Creation::Made(id) = bench.connector.create(&new).await.unwrap() else { panic!("{vendor}: it was made") };
        assert_eq!(id.0, new.key.to_string());
        let before = bench.server.crm.lock().unwrap().contact(&id.0).unwrap();
        let other = NewContact { given: "Пётр".to_owned(), ..elena(5, ANOTHERS) };
        let Creation::Taken(there) = bench.connector.create(&other).await.unwrap() else { panic!("{vendor}: taken") };
        assert_eq!((there.given.as_deref(), there.deleted), (Some("Елена"), false), "{vendor}");
        assert!(there.mark().bears(OURS) && !there.mark().bears(ANOTHERS));
        // A lost answer looks the same, and bears our mark.
        bench.server.forget_asked();
        bench.server.plan(Fault::CutAfter, Hits::After(0), 1);
        let lost = elena(6, OURS);
        assert!(bench.connector.create(&lost).await.is_err());
        let Creation::Taken(there) = bench.connector.create(&lost).await.unwrap() else {
            panic!("{vendor}: it is there")
        };
        assert!(there.mark().bears(OURS));
        let crm = bench.server.crm.lock().unwrap();
        assert_eq!(crm.contact(&id.0).unwrap(), before, "{vendor}: nothing is written over what is there");
        assert_eq!(crm.contacts(), 2);
    }
}

#[tokio::test]
async fn a_mark_of_two_boxes_is_found_by_either_and_written_whole() {
    for vendor in ACTIVITIES {
        let mut bench = bench(vendor).await;
        let contact = add(&bench, ivan());
        add(&bench, FakeContact { external_id: Uuid::from_u128(99).to_string(), ..ivan() });
        let mark = Mark::read("ERP-7").with(ANOTHERS, "3f9a1c22").with(OURS, "3f9a1c22");
        let id = ContactId(contact.clone());
        bench.connector.write_mark(&id, &mark.text()).await.unwrap();
        for customer in [OURS, ANOTHERS] {
            let found = bench.connector.find(&Seek::Mark(customer)).await.unwrap();
            assert_eq!(found.iter().map(|contact| &contact.id).collect::<Vec<_>>(), [&contact], "{vendor}");
        }
        bench.connector.write_mark(&id, &mark.without(OURS).text()).await.unwrap();
        assert!(bench.connector.find(&Seek::Mark(OURS)).await.unwrap().is_empty());
        // As version 0.3.0 wrote it.
        bench.connector.write_mark(&id, &OURS.to_string()).await.unwrap();
        assert_eq!(bench.connector.find(&Seek::Mark(OURS)).await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_contact_that_was_deleted_or_merged_is_said_to_be_gone() {
    for vendor in ALL {
        let mut bench = bench(vendor).await;
        let [binned, loser, survivor] = [(); 3].map(|()| add(&bench, ivan()));
        let before = recorded(&mut bench, &loser).await;
        let now = bench.clock.wall().at;
        {
            let mut crm = bench.server.crm.lock().unwrap();
            crm.bin_contact(&binned, now);
            crm.merge_contacts(&loser, &survivor, now);
        }
        let visits = [bench.visit(&binned), bench.visit(&loser), bench.visit(&survivor)];
        let rows = bench.connector.record(&visits).await.unwrap();
        for row in &rows[..2] {
            assert!(row.as_ref().unwrap_err().contact_gone, "{vendor}: {row:?}");
        }
        assert!(rows[2].is_ok(), "{vendor}");
        for gone in [&binned, &loser] {
            let written = bench.connector.write_mark(&ContactId(gone.clone()), "snova:aa x").await.unwrap_err();
            assert!(written.contact_gone, "{vendor}: {written}");
        }
        assert_eq!(of(&mut bench, &binned).await, None);
        let merged = of(&mut bench, &loser).await;
        let expected = (vendor != "creatio").then(|| (true, Some(ContactId(survivor.clone()))));
        assert_eq!(merged.map(|contact| (contact.deleted, contact.master)), expected, "{vendor}");
        let keys: Vec<Uuid> =
            bench.connector.visits_of(&ContactId(survivor)).await.unwrap().iter().map(|v| v.key).collect();
        assert_eq!(keys.len(), 2, "{vendor}");
        assert!(keys.contains(&before.key) && keys.contains(&visits[2].key), "{vendor}: the merge moved it");
    }
}

#[tokio::test]
async fn a_new_mandatory_field_and_a_right_taken_away_stop_the_road_with_their_own_words() {
    for vendor in ALL {
        let mut bench = bench(vendor).await;
        let contact = add(&bench, ivan());
        let visit = bench.visit(&contact);
        for (demands, words) in [(true, "demands a field"), (false, "look at its rights")] {
            bench.server.crm.lock().unwrap().demand_field(demands);
            bench.server.crm.lock().unwrap().take_right(!demands);
            let refused = bench.connector.record(std::slice::from_ref(&visit)).await.unwrap().remove(0).unwrap_err();
            assert_eq!(refused.class, FailureClass::TenantBlocked, "{vendor}: {refused}");
            assert!(refused.said().contains(words), "{vendor}: {refused}");
        }
        bench.server.crm.lock().unwrap().take_right(false);
        assert!(bench.connector.record(std::slice::from_ref(&visit)).await.unwrap()[0].is_ok(), "{vendor}: mended");
    }
}

#[tokio::test]
async fn a_visit_bears_its_contacts_owner_and_what_has_a_column() {
    for vendor in ACTIVITIES {
        let mut bench = told_bench(vendor).await;
        let contact = add(&bench, ivan());
        let mut visit = bench.visit(&contact);
        visit.served_by = Some("Анна".to_owned());
        visit.greeting = Some(Greeting::Right);
        bench.connector.record(std::slice::from_ref(&visit)).await.unwrap().remove(0).unwrap();
        let row: serde_json::Value = serde_json::from_str(&raw(&bench, &visit)).unwrap();
        let of = |creatio: &str, dynamics: &str| row[if vendor == "creatio" { creatio } else { dynamics }].clone();
        assert_eq!(of("UsrSnovaStore", "new_snovastore"), "shop-7");
        assert_eq!(of("UsrSnovaServedBy", "new_snovaservedby"), "Анна");
        assert_eq!(of("UsrSnovaGreeting", "new_snovagreeting"), "right");
        assert_eq!(of("UsrSnovaReceipt", "new_snovareceipt"), serde_json::Value::Null);
        assert!(of("Title", "subject").as_str().unwrap().contains("shop-7"));
        let owner = of("OwnerId", "_ownerid_value").as_str().unwrap_or_default().to_owned();
        let created = elena(5, OURS);
        bench.connector.create(&created).await.unwrap();
        let told = bench.server.crm.lock().unwrap().told(&created.key.to_string());
        assert_eq!(told.source.as_deref(), Some("Snova"));
        assert!(!owner.is_empty() && owner != "aaaaaaaa-0000-4000-8000-000000000001", "{vendor}: {owner}");
    }
}

#[tokio::test]
async fn an_amendment_rewrites_one_record_exactly_and_leaves_a_void_one_void() {
    for vendor in ACTIVITIES {
        let mut bench = told_bench(vendor).await;
        let contact = add(&bench, ivan());
        let mut visit = recorded(&mut bench, &contact).await;
        let other = recorded(&mut bench, &contact).await;
        let others = raw(&bench, &other);
        visit.receipt = Some(Receipt { number: "A-77".to_owned(), sum: 123_450 });
        for _ in 0..2 {
            bench.connector.amend(&visit, &sent(&visit)).await.unwrap();
        }
        let row = raw(&bench, &visit);
        assert!(row.contains("\"A-77\"") && row.contains("1234.5") && row.contains(&visit.mark()), "{vendor}: {row}");
        assert_eq!(raw(&bench, &other), others);
        bench.connector.void(&sent(&visit)).await.unwrap();
        let void = raw(&bench, &visit);
        visit.receipt = None;
        bench.connector.amend(&visit, &sent(&visit)).await.unwrap();
        assert_eq!(raw(&bench, &visit), void, "{vendor}");
        let nowhere = bench.visit(&contact);
        bench.connector.amend(&nowhere, &sent(&nowhere)).await.unwrap();
        assert_eq!(bench.server.crm.lock().unwrap().visits().len(), 2);
    }
}

#[tokio::test]
async fn all_visits_of_a_contact_are_listed_with_void_ones_and_those_of_other_boxes_and_no_others() {
    for vendor in ACTIVITIES {
        let mut bench = told_bench(vendor).await;
        let (contact, other) = (add(&bench, ivan()), add(&bench, ivan()));
        let mut visits: Vec<VisitRecord> = Vec::new();
        for number in 0..520 {
            let shop = if number % 2 == 0 { "Тверская" } else { "Арбат" };
            visits.push(VisitRecord { shop: shop.to_owned(), ..bench.visit(&contact) });
        }
        for some in visits.chunks(20) {
            assert!(bench.connector.record(some).await.unwrap().iter().all(Result::is_ok));
        }
        recorded(&mut bench, &other).await;
        bench.connector.void(&sent(&visits[3])).await.unwrap();
        // A seller's own task on the contact.
        let now = bench.clock.wall().at;
        bench.server.crm.lock().unwrap().plant("57c0ffee-0000-4000-8000-000000000913", &contact, now);
        let mut there = bench.connector.visits_of(&ContactId(contact)).await.unwrap();
        there.sort_by_key(|standing| visits.iter().position(|visit| visit.key == standing.key));
        assert_eq!(there.len(), 520, "{vendor}");
        assert_eq!((there[0].store.as_deref(), there[1].store.as_deref()), (Some("Тверская"), Some("Арбат")));
        assert_eq!(there[0].opened_at, visits[0].opened_at.at);
        let void: Vec<Uuid> = there.iter().filter(|standing| standing.void).map(|standing| standing.key).collect();
        assert_eq!(void, [visits[3].key]);
    }
}

fn some_told(at: Timestamp) -> Told {
    Told {
        first_visit: Some(at),
        last_visit: Some(at),
        late_since: Some(jiff::civil::date(2026, 3, 1)),
        consent: Some(ConsentWord::Live),
        consent_until: Some(jiff::civil::date(2027, 3, 1)),
        source: Some("Snova".to_owned()),
        visits_30: Some(2),
        visits_90: Some(5),
        home_store: Some("Тверская".to_owned()),
    }
}

#[tokio::test]
async fn what_is_told_on_contacts_goes_in_one_request_is_read_back_and_can_be_emptied() {
    for vendor in ACTIVITIES {
        let mut bench = told_bench(vendor).await;
        let (ivan_id, other) = (add(&bench, ivan()), add(&bench, ivan()));
        let now = bench.clock.wall().at;
        let told = some_told(now);
        of(&mut bench, &ivan_id).await;
        bench.server.forget_asked();
        let all =
            [ivan_id.clone(), Uuid::from_u128(77).to_string(), other.clone()].map(|id| (ContactId(id), told.clone()));
        let rows = bench.connector.tell(&all).await.unwrap();
        assert!(rows[0].is_ok() && rows[2].is_ok(), "{vendor}: {rows:?}");
        assert!(rows[1].as_ref().unwrap_err().contact_gone);
        assert_eq!(bench.server.asked_so_far(), 1, "{vendor}");
        assert_eq!(bench.server.crm.lock().unwrap().told(&other), told);
        assert_eq!(of(&mut bench, &ivan_id).await.unwrap().told, told, "{vendor}");
        let less = Told { late_since: None, last_visit: None, home_store: None, ..told };
        bench.connector.tell(&[(ContactId(ivan_id.clone()), less.clone())]).await.unwrap();
        assert_eq!(of(&mut bench, &ivan_id).await.unwrap().told, less, "{vendor}");
    }
}

#[tokio::test]
async fn nothing_is_told_where_no_field_has_a_name() {
    for vendor in ACTIVITIES {
        let mut bench = bench(vendor).await;
        let contact = add(&bench, ivan());
        let told = [(ContactId(contact), some_told(bench.clock.wall().at))];
        assert!(bench.connector.tell(&told).await.unwrap()[0].is_ok());
        assert_eq!(bench.server.asked_so_far(), 0, "{vendor}");
    }
}

#[tokio::test]
async fn the_fields_are_made_or_named_once_and_what_is_printed_is_the_configuration() {
    for vendor in ACTIVITIES {
        let mut bench = bench(vendor).await;
        for makes in [true, false] {
            let found = bench.connector.prepare().await;
            let (last, columns) = found.split_last().unwrap();
            assert!(last.remedy.starts_with(&format!("[crm.{vendor}.told]\n")), "{last:?}");
            assert!(last.remedy.contains(&format!("[crm.{vendor}.record]\n")), "{last:?}");
            assert_eq!(columns.len(), 17, "the mark, nine on contacts, seven on visits");
            let todo = columns.iter().filter(|finding| finding.verdict != Verdict::Good).count();
            assert_eq!(todo, if vendor == "creatio" && makes { 16 } else { 0 }, "{vendor}: {columns:#?}");
            let made = columns.iter().filter(|finding| finding.what.ends_with("was made")).count();
            assert_eq!(made, if vendor == "dynamics" && makes { 16 } else { 0 }, "{vendor}");
            if vendor == "creatio" {
                // The administrator does what was said.
                bench.server.crm.lock().unwrap().told_config();
            }
        }
        // What was printed is what a box is told to fill these fields.
        let fake = std::sync::Arc::clone(&bench.server.crm);
        let remedy = bench.connector.prepare().await.pop().unwrap().remedy;
        let mut told = Bench::with(fake, |config| format!("{config}{remedy}\n")).await;
        let findings = told.connector.probe().await;
        assert!(findings.iter().all(|finding| finding.verdict == Verdict::Good), "{findings:#?}");
        let contact = add(&told, ivan());
        let values = some_told(told.clock.wall().at);
        told.connector.tell(&[(ContactId(contact.clone()), values.clone())]).await.unwrap();
        assert_eq!(of(&mut told, &contact).await.unwrap().told, values, "{vendor}");
    }
}

#[tokio::test]
async fn a_contact_of_its_own_key_is_never_taken_back() {
    for vendor in ACTIVITIES {
        let mut bench = bench(vendor).await;
        let contact = ContactId(add(&bench, ivan()));
        assert!(bench.connector.manners().keyed_contacts);
        let refused = bench.connector.retire(&contact, &contact).await.unwrap_err();
        assert_eq!(refused.class, FailureClass::TenantBlocked);
        assert_eq!(bench.server.asked_so_far(), 0);
    }
}

#[tokio::test]
async fn a_box_has_one_row_that_its_signs_of_life_renew() {
    for vendor in ACTIVITIES {
        let mut bench = bench(vendor).await;
        let beat = Heartbeat {
            device: "shop-7".to_owned(),
            box_id: Uuid::nil(),
            version: "0.2.0".to_owned(),
            at: bench.clock.wall(),
            cameras: vec![("front".to_owned(), true), ("left".to_owned(), false)],
            outbox_depth: 3,
            outbox_oldest: Some(Duration::from_secs(90)),
            outbox_dead: 0,
        };
        for _ in 0..3 {
            assert!(bench.connector.heartbeat(&beat).await.unwrap());
        }
        assert_eq!(bench.server.crm.lock().unwrap().heartbeats(), 1);
    }
}

#[tokio::test]
async fn what_would_be_sent_can_be_seen_and_holds_no_secret() {
    for vendor in ALL {
        let bench = bench(vendor).await;
        let visit = bench.visit(&Uuid::from_u128(5).to_string());
        let shown = bench.connector.preview(std::slice::from_ref(&visit)).join("\n");
        assert!(shown.starts_with("POST /") && shown.contains(&visit.key.to_string()), "{shown}");
        assert!(!shown.contains("secret") && bench.server.asked().is_empty());
    }
}
