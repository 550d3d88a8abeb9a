//! The amoCRM connector at its fake: what is this vendor's alone. What all must keep is in `crm_contract`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test a panic is the report")]

#[path = "support/crm/mod.rs"]
mod crm;

use std::sync::{Arc, Mutex};

use crm::amocrm::{FakeAmoCrm, Quirks};
use crm::bench::Bench;
use crm::server::Hits;
use crm::{FakeContact, Fault, POISON_TILL};
use snova::clock::Clock;
use snova::crm::{ContactId, FailureClass, Forgotten, NewContact, Seek, SentVisit, Verdict, VisitRecord};
use snova::customer::CustomerId;

async fn account() -> Bench {
    account_with(Quirks::default()).await
}

async fn account_with(quirks: Quirks) -> Bench {
    Bench::of(Arc::new(Mutex::new(FakeAmoCrm::of(quirks)))).await
}

fn ivan() -> FakeContact {
    FakeContact::named("Иван", "Петрович", "Соколов", "8 (912) 345-67-89")
}

fn add(bench: &Bench, contact: FakeContact) -> String {
    let now = bench.clock.wall().at;
    bench.server.crm.lock().unwrap().add_contact(contact, now)
}

fn sent(visit: &VisitRecord) -> SentVisit {
    SentVisit { key: visit.key, record: None, contact: visit.contact.clone(), written_at: visit.opened_at.at }
}

fn in_doubt(bench: &Bench, visit: &VisitRecord) -> VisitRecord {
    VisitRecord { tried_at: Some(bench.clock.wall().at), ..visit.clone() }
}

#[tokio::test]
async fn a_visit_is_a_note_at_its_own_time_and_the_account_takes_it_twice() {
    let mut bench = account().await;
    let contact = add(&bench, ivan());
    let visit = bench.visit(&contact);
    let first = bench.connector.record(std::slice::from_ref(&visit)).await.unwrap()[0].clone().unwrap();
    let there = bench.server.crm.lock().unwrap().visits();
    assert_eq!((there.len(), there[0].opened_at), (1, Some(visit.opened_at.at)));
    assert_eq!((&*there[0].key, &*there[0].contact), (&*visit.key.to_string(), &*contact));
    let found = bench.connector.reconcile(&[in_doubt(&bench, &visit), bench.visit(&contact)]).await.unwrap();
    assert_eq!(found, [Some(first), None]);
    bench.connector.record(&[visit]).await.unwrap();
    assert_eq!(bench.server.crm.lock().unwrap().visits().len(), 2, "which is why it is looked for before");
    assert!(!bench.connector.manners().keyed);
}

#[tokio::test]
async fn one_bad_row_fails_an_array_of_which_the_rest_arrives_once() {
    for nameless in [false, true] {
        let mut bench = account_with(Quirks { nameless, ..Quirks::default() }).await;
        let contact = add(&bench, ivan());
        let mut visits: Vec<VisitRecord> = (0..9).map(|_| bench.visit(&contact)).collect();
        visits[2] = bench.visit_at(&contact, POISON_TILL);
        visits[6] = bench.visit("999");
        let rows = bench.connector.record(&visits).await.unwrap();
        for (at, row) in rows.iter().enumerate() {
            assert_eq!(row.is_ok(), ![2, 6].contains(&at), "{at}: {row:?}");
        }
        assert!(rows[2].as_ref().is_err_and(|failure| failure.class == FailureClass::Poison));
        let there = bench.server.crm.lock().unwrap().visits();
        assert_eq!(there.len(), 7);
        let found = bench.connector.reconcile(&visits).await.unwrap();
        assert_eq!(found.iter().filter(|id| id.is_some()).count(), 7);
    }
}

#[tokio::test]
async fn a_lost_answer_is_found_among_hundreds_of_notes() {
    let mut bench = account().await;
    let contact = add(&bench, ivan());
    for _ in 0..6 {
        let many: Vec<VisitRecord> = (0..50).map(|_| bench.visit(&contact)).collect();
        bench.connector.record(&many).await.unwrap();
    }
    let visit = bench.visit(&contact);
    bench.server.plan(Fault::CutAfter, Hits::VisitWrites, 1);
    let lost = bench.connector.record(std::slice::from_ref(&visit)).await.unwrap_err();
    assert_eq!(lost.class, FailureClass::Transient);
    for (tried_at, pages) in [(None, 1), (Some(bench.clock.wall().at), 1)] {
        bench.server.forget_asked();
        let doubtful = VisitRecord { tried_at, ..visit.clone() };
        assert!(bench.connector.reconcile(&[doubtful]).await.unwrap()[0].is_some());
        let asked = bench.server.asked();
        assert_eq!(asked.len(), pages, "the newest come first, and no more is read than until it is met");
        // Ten minutes before the visit, at the latest.
        let from = asked[0].param("filter[updated_at][from]").map(|from| from.parse::<i64>().unwrap());
        assert_eq!(from, tried_at.map(|_| visit.opened_at.at.as_second() - 600));
    }
}

#[tokio::test]
async fn a_contact_is_found_by_value_though_the_account_finds_parts_and_ignores_filters() {
    let mut bench = account().await;
    let contact = add(&bench, FakeContact { email: "ivan@example.com".to_owned(), ..ivan() });
    add(&bench, FakeContact { phone: "+7 912 345 67 890".to_owned(), email: "xivan@example.com".to_owned(), ..ivan() });
    add(&bench, FakeContact { phone: String::new(), notes: "9123456789".to_owned(), ..ivan() });
    for sought in [Seek::Phone("+79123456789".to_owned()), Seek::Email("ivan@example.com".to_owned())] {
        let found = bench.connector.find(&sought).await.unwrap();
        assert_eq!(
            found.iter().map(|c| c.id.clone()).collect::<Vec<_>>(),
            std::slice::from_ref(&contact),
            "{sought:?}"
        );
    }
    assert!(bench.connector.find(&Seek::Phone("+79120000000".to_owned())).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_card_comes_with_all_its_fields_and_the_name_of_who_looks_after_it() {
    let mut bench = account().await;
    let full = FakeContact {
        tier: "золото".to_owned(),
        owner: "Ольга".to_owned(),
        notes: "без сахара".to_owned(),
        offer: "−10 %".to_owned(),
        birthday: "1980-05-17".to_owned(),
        visits: 12,
        ..ivan()
    };
    let contact = add(&bench, full);
    let card = bench.connector.contact(&ContactId(contact)).await.unwrap().unwrap();
    assert_eq!((card.given.as_deref(), card.family.as_deref()), (Some("Иван"), Some("Соколов")));
    assert_eq!((card.patronymic.as_deref(), card.tier.as_deref()), (Some("Петрович"), Some("золото")));
    assert_eq!((card.owner.as_deref(), card.notes.as_deref()), (Some("Ольга"), Some("без сахара")));
    assert_eq!((card.birthday, card.visits), (Some("1980-05-17".parse().unwrap()), Some(12)));
    assert_eq!(bench.connector.contact(&ContactId("999".to_owned())).await.unwrap(), None);
}

#[tokio::test]
async fn a_field_that_is_not_there_or_keeps_nothing_stops_the_lane_and_no_contact_is_made() {
    for forgetful in [false, true] {
        let crm: Arc<Mutex<dyn crm::FakeCrm>> =
            Arc::new(Mutex::new(FakeAmoCrm::of(Quirks { forgetful, ..Quirks::default() })));
        let number = if forgetful { "9001" } else { "9999" };
        let mut bench = Bench::with(crm, |config| config.replace("\"9001\"", &format!("{number:?}"))).await;
        let contact = ContactId(add(&bench, ivan()));
        let customer = CustomerId(uuid::Uuid::from_u128(7));
        if forgetful {
            let visit = bench.visit(&contact.0);
            bench.connector.record(std::slice::from_ref(&visit)).await.unwrap();
            assert_eq!(bench.connector.void(&sent(&visit)).await.unwrap_err().class, FailureClass::TenantBlocked);
        }
        let refused = bench.connector.write_mark(&contact, &customer.to_string()).await.unwrap_err();
        assert_eq!(refused.class, FailureClass::TenantBlocked, "{refused}");
        assert!(refused.said().contains(number), "{refused}");
        if !forgetful {
            let new = NewContact {
                key: customer.0,
                mark: customer.to_string(),
                customer,
                given: "Елена".to_owned(),
                patronymic: None,
                family: None,
                phone: None,
                email: None,
            };
            assert!(bench.connector.create(&new).await.is_err());
            assert_eq!(bench.server.crm.lock().unwrap().contacts(), 1);
            let findings = bench.connector.probe().await;
            assert!(findings.iter().any(|f| f.verdict == Verdict::Missing && f.what.contains("9999")), "{findings:#?}");
        }
    }
}

#[tokio::test]
async fn changed_cards_come_page_by_page_and_none_is_missed_between_two_looks() {
    let mut bench = account().await;
    let contact = add(&bench, ivan());
    let begin = bench.connector.changed("").await.unwrap();
    bench.clock.advance(std::time::Duration::from_secs(60));
    let now = bench.clock.wall().at;
    bench.server.crm.lock().unwrap().change_contact(&contact, &|c| c.tier = "gold".to_owned(), now);
    let page = bench.connector.changed(&begin.cursor).await.unwrap();
    assert_eq!((page.contacts[0].tier.as_deref(), page.more), (Some("gold"), false));
    bench.clock.advance(std::time::Duration::from_secs(60));
    let idle = bench.connector.changed(&page.cursor).await.unwrap();
    for number in 0..600 {
        add(&bench, FakeContact { phone: format!("+7900{number:07}"), ..ivan() });
    }
    let (mut seen, mut cursor, mut walked) = (std::collections::BTreeSet::new(), idle.cursor, false);
    loop {
        let page = bench.connector.changed(&cursor).await.unwrap();
        seen.extend(page.contacts.iter().map(|contact| contact.id.clone()));
        cursor = page.cursor;
        if !walked {
            // Changed while the walk is under way: it moves to the front and is seen by the next walk.
            walked = true;
            bench.clock.advance(std::time::Duration::from_secs(20));
            let now = bench.clock.wall().at;
            bench.server.crm.lock().unwrap().change_contact(&contact, &|c| c.tier = "silver".to_owned(), now);
        }
        if !page.more {
            break;
        }
    }
    assert!(seen.len() >= 600, "{}", seen.len());
    let next = bench.connector.changed(&cursor).await.unwrap();
    assert!(next.contacts.iter().any(|c| c.id == contact && c.tier.as_deref() == Some("silver")));
}

#[tokio::test]
async fn a_spent_refresh_token_is_never_used_again_and_the_new_one_is_kept_before_its_access() {
    let mut bench = account_with(Quirks { by_oauth: true, ..Quirks::default() }).await;
    let contact = add(&bench, ivan());
    let refresh = |bench: &Bench| bench.secrets.0.lock().unwrap()["crm/amocrm/refresh-token"].clone();
    let first = refresh(&bench);
    let visit = bench.visit(&contact);
    assert!(bench.connector.record(&[visit]).await.unwrap()[0].is_ok());
    let second = refresh(&bench);
    assert_ne!(first, second);
    bench.server.plan(Fault::TokenExpired, Hits::VisitWrites, 1);
    let visit = bench.visit(&contact);
    assert!(bench.connector.record(&[visit]).await.unwrap()[0].is_ok());
    assert_ne!(refresh(&bench), second);
    // By its own end, without being told.
    bench.server.forget_asked();
    bench.clock.advance(std::time::Duration::from_secs(90_000));
    let visit = bench.visit(&contact);
    assert!(bench.connector.record(&[visit]).await.unwrap()[0].is_ok());
    assert_eq!(bench.server.asked()[0].path, "/oauth2/access_token");
    bench.secrets.0.lock().unwrap().insert("crm/amocrm/refresh-token".to_owned(), first);
    bench.server.crm.lock().unwrap().expire_tokens();
    let visit = bench.visit(&contact);
    let refused = bench.connector.record(&[visit]).await.unwrap_err();
    assert_eq!(refused.class, FailureClass::Auth);
    assert!(refused.said().contains("crm/amocrm/refresh-token"), "{refused}");
}

#[tokio::test]
async fn the_pace_stays_below_seven_a_second_and_a_shut_door_is_left_alone() {
    let mut bench = account().await;
    let contact = add(&bench, ivan());
    for _ in 0..60 {
        assert!(bench.connector.contact(&ContactId(contact.clone())).await.unwrap().is_some());
    }
    bench.server.plan(Fault::Throttled, Hits::VisitWrites, 1);
    let visit = bench.visit(&contact);
    let throttled = bench.connector.record(std::slice::from_ref(&visit)).await.unwrap_err();
    assert_eq!(throttled.class, FailureClass::Throttled);
    bench.server.plan(Fault::Blocked, Hits::VisitWrites, 1);
    let shut = bench.connector.record(&[visit]).await.unwrap_err();
    assert_eq!(shut.class, FailureClass::TenantBlocked);
    assert!(shut.wait.is_some_and(|wait| wait.as_secs() >= 900));
}

#[tokio::test]
async fn a_good_account_is_found_good_and_a_wrong_token_is_said_without_it() {
    let mut bench = account().await;
    add(&bench, FakeContact { owner: "Ольга".to_owned(), ..ivan() });
    let findings = bench.connector.probe().await;
    assert!(findings.iter().all(|finding| finding.verdict == Verdict::Good), "{findings:#?}");
    assert!(findings.iter().any(|finding| finding.what.contains("is not open")), "{findings:#?}");
    bench.secrets.0.lock().unwrap().insert("crm/amocrm/token".to_owned(), "stolen-token-77".to_owned());
    let findings = bench.connector.probe().await;
    assert_eq!(findings.len(), 1);
    assert!(findings[0].remedy.contains("snova crm secret crm/amocrm/token"), "{findings:#?}");
    let visit = bench.visit("1");
    let said = format!("{findings:?}{:?}", bench.connector.preview(&[visit]));
    assert!(!said.contains("stolen-token-77") && said.contains("POST /api/v4/contacts/notes"), "{said}");
}

#[tokio::test]
async fn notes_that_moved_with_a_merged_contact_are_read_in_batches_and_only_ours_is_emptied() {
    for no_filter_by_id in [false, true] {
        let mut bench = account_with(Quirks { no_filter_by_id, ..Quirks::default() }).await;
        let contact = add(&bench, ivan());
        let visits: Vec<_> = (0..60).map(|_| bench.visit(&contact)).collect();
        let ids = bench.connector.record(&visits).await.unwrap();
        let now = bench.clock.wall().at;
        bench.server.crm.lock().unwrap().plant("57", &contact, now);
        // The contact that the box knows is gone: its notes are another's now.
        let told = |(visit, id): (&VisitRecord, &Result<_, _>)| SentVisit {
            record: id.clone().ok(),
            contact: ContactId("99".to_owned()),
            ..sent(visit)
        };
        let mut told: Vec<SentVisit> = visits.iter().zip(&ids).map(told).collect();
        told.push(SentVisit { record: Some(snova::crm::RecordId("57".to_owned())), ..told[0].clone() });
        told.push(SentVisit { record: Some(snova::crm::RecordId("comment:57".to_owned())), ..told[0].clone() });
        bench.server.forget_asked();
        let customer = CustomerId(uuid::Uuid::from_u128(7));
        let gone = Forgotten { key: customer.0, customer, visits: told };
        bench.connector.forget(&gone).await.unwrap();
        let there = bench.server.crm.lock().unwrap().visits();
        assert_eq!(there.iter().filter(|visit| visit.erased).count(), 60);
        assert!(bench.server.crm.lock().unwrap().raw("57").unwrap().contains("перезвонить"));
        let reads = bench.server.asked();
        let reads = reads.iter().take_while(|asked| asked.method == "GET").count();
        assert_eq!(reads, if no_filter_by_id { 64 } else { 3 }, "the contact's list, and each fifty notes");
    }
}

#[tokio::test]
async fn contacts_that_were_deleted_or_merged_are_among_the_changed_where_the_account_tells_them() {
    for no_admin in [false, true] {
        let mut bench = account_with(Quirks { no_admin, ..Quirks::default() }).await;
        let [deleted, loser, survivor, quiet] = [0; 4].map(|_| add(&bench, ivan()));
        let begin = bench.connector.changed("").await.unwrap();
        bench.clock.advance(std::time::Duration::from_secs(60));
        let now = bench.clock.wall().at;
        bench.server.crm.lock().unwrap().bin_contact(&deleted, now);
        bench.server.crm.lock().unwrap().merge_contacts(&loser, &survivor, now);
        let page = bench.connector.changed(&begin.cursor).await.unwrap();
        let gone: Vec<&String> = page.contacts.iter().filter(|c| c.deleted).map(|c| &c.id).collect();
        assert_eq!(gone, if no_admin { vec![] } else { vec![&deleted, &loser] });
        assert!(page.contacts.iter().any(|c| c.id == survivor && !c.deleted) && !page.more);
        bench.clock.advance(std::time::Duration::from_secs(60));
        let now = bench.clock.wall().at;
        bench.server.crm.lock().unwrap().change_contact(&quiet, &|c| c.tier = "gold".to_owned(), now);
        let page = bench.connector.changed(&page.cursor).await.unwrap();
        assert_eq!(page.contacts.iter().filter(|c| c.id == quiet && !c.deleted).count(), 1);
    }
}

#[tokio::test]
async fn a_note_is_the_contacts_owners_and_a_double_says_whose_it_is() {
    let mut bench = account().await;
    let contact = add(&bench, FakeContact { owner: "Ольга".to_owned(), ..ivan() });
    let visit = bench.visit(&contact);
    let id = bench.connector.record(&[visit]).await.unwrap()[0].clone().unwrap();
    let raw = bench.server.crm.lock().unwrap().raw(&id.0).unwrap();
    let note: serde_json::Value = serde_json::from_str(&raw).unwrap();
    assert_eq!(
        bench.connector.contact(&ContactId(contact.clone())).await.unwrap().unwrap().owner.as_deref(),
        Some("Ольга")
    );
    assert_eq!(note["responsible_user_id"], 1);
    assert!(note["params"]["text"].as_str().unwrap().starts_with("Визит, shop-7, касса till-1, "), "{raw}");
    let customer = CustomerId(uuid::Uuid::from_u128(7));
    let double = add(&bench, FakeContact { external_id: customer.to_string(), ..ivan() });
    for _ in 0..2 {
        bench.connector.retire(&ContactId(double.clone()), &ContactId(contact.clone())).await.unwrap();
    }
    let card = bench.server.crm.lock().unwrap().contact(&double).unwrap();
    assert_eq!((&*card.given, &*card.family, &*card.phone, &*card.external_id), ("Дубль (Snova)", "", "", ""));
    let asked = bench.server.asked();
    let notes = asked
        .iter()
        .filter(|asked| asked.method == "POST" && asked.path.ends_with(&format!("/contacts/{double}/notes")));
    let notes: Vec<String> = notes.map(crm::Asked::text).collect();
    assert!(notes.len() == 1 && notes[0].contains(&format!("/contacts/detail/{contact}")), "{notes:?}");
}
