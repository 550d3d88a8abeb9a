//! The Битрикс24 connector at its fake: what is this vendor's alone. What all must keep is in `crm_contract`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test a panic is the report")]

#[path = "support/crm/mod.rs"]
mod crm;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crm::bench::Bench;
use crm::bitrix24::{FakeBitrix24, Quirks, WEBHOOK};
use crm::server::Hits;
use crm::{FakeContact, FakeCrm, FakeRecords, Fault, POISON_TILL};
use snova::clock::Clock;
use snova::crm::{ContactId, FailureClass, Finding, Forgotten, Heartbeat, Seek, SentVisit, Verdict, VisitRecord};
use snova::customer::CustomerId;

async fn portal() -> Bench {
    portal_with(Quirks::default()).await
}

async fn portal_with(quirks: Quirks) -> Bench {
    Bench::of(Arc::new(Mutex::new(FakeBitrix24::of(quirks)))).await
}

fn comments() -> Quirks {
    Quirks { comments_only: true, ..Quirks::default() }
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

fn named(visit: &VisitRecord, record: &snova::crm::RecordId) -> SentVisit {
    SentVisit { record: Some(record.clone()), ..sent(visit) }
}

fn in_doubt(bench: &Bench, visit: &VisitRecord) -> VisitRecord {
    VisitRecord { tried_at: Some(bench.clock.wall().at), ..visit.clone() }
}

fn missing(findings: &[Finding]) -> Vec<&str> {
    findings.iter().filter(|finding| finding.verdict == Verdict::Missing).map(|finding| &*finding.what).collect()
}

#[tokio::test]
async fn a_visit_is_an_element_or_a_comment_with_its_own_time_and_the_portal_takes_it_twice() {
    for quirks in [Quirks::default(), comments()] {
        let mut bench = portal_with(quirks).await;
        let contact = add(&bench, ivan());
        let visits = [bench.visit(&contact), bench.visit_at(&contact, POISON_TILL), bench.visit(&contact)];
        let rows = bench.connector.record(&visits).await.unwrap();
        assert!(rows[0].is_ok() && rows[2].is_ok(), "{rows:?}");
        let refused = rows[1].as_ref().unwrap_err();
        assert_eq!(refused.class, FailureClass::Poison);
        assert!(refused.said().contains("CRM_FIELD_ERROR_VALUE_NOT_VALID"), "{refused}");
        let there = bench.server.crm.lock().unwrap().visits();
        assert_eq!((there.len(), there[0].opened_at), (2, Some(visits[0].opened_at.at)));
        assert_eq!((&*there[0].key, &*there[0].contact), (&*visits[0].key.to_string(), &*contact));
        let found = bench.connector.reconcile(&visits).await.unwrap();
        assert_eq!(found, [rows[0].clone().ok(), None, rows[2].clone().ok()]);
        bench.connector.record(&visits[..1]).await.unwrap();
        assert_eq!(bench.server.crm.lock().unwrap().visits().len(), 3, "which is why it is looked for before");
    }
}

#[tokio::test]
async fn a_lost_answer_is_found_again_among_all_the_rest() {
    for quirks in [Quirks::default(), comments()] {
        let mut bench = portal_with(quirks).await;
        let contact = add(&bench, ivan());
        let tried: Vec<VisitRecord> = (0..50).map(|_| in_doubt(&bench, &bench.visit(&contact))).collect();
        bench.server.plan(Fault::CutAfter, Hits::VisitWrites, 1);
        assert_eq!(bench.connector.record(&tried).await.unwrap_err().class, FailureClass::Transient);
        for _ in 0..3 {
            let more: Vec<VisitRecord> = (0..50).map(|_| bench.visit(&contact)).collect();
            bench.connector.record(&more).await.unwrap();
        }
        let found = bench.connector.reconcile(&tried).await.unwrap();
        assert_eq!(found.iter().filter(|id| id.is_some()).count(), 50);
        assert_eq!(bench.connector.manners().settle, Duration::from_secs(60));
    }
}

#[tokio::test]
async fn a_tariff_without_elements_turns_visits_into_comments_and_both_are_found() {
    let fake = Arc::new(Mutex::new(FakeBitrix24::of(Quirks { restricted: true, ..Quirks::default() })));
    let mut bench = Bench::of(fake).await;
    let contact = add(&bench, ivan());
    let visit = bench.visit(&contact);
    let id = bench.connector.record(std::slice::from_ref(&visit)).await.unwrap()[0].clone().unwrap();
    assert!(id.0.starts_with("comment:"), "{id}");
    assert_eq!(bench.connector.reconcile(&[in_doubt(&bench, &visit)]).await.unwrap(), [Some(id.clone())]);
    let findings = bench.connector.probe().await;
    assert!(findings.iter().any(|f| f.remedy.contains("CREATE_DYNAMIC_ITEM_RESTRICTED")), "{findings:#?}");
    let customer = CustomerId(uuid::Uuid::from_u128(7));
    let gone = Forgotten { key: visit.key, customer, visits: vec![named(&visit, &id)] };
    bench.connector.forget(&gone).await.unwrap();
    assert!(bench.server.crm.lock().unwrap().visits().is_empty());
}

#[tokio::test]
async fn a_field_that_the_portal_would_drop_without_a_word_stops_the_lane() {
    let crm: Arc<Mutex<dyn FakeCrm>> = Arc::new(Mutex::new(FakeBitrix24::default()));
    let mut bench = Bench::with(crm, |config| config.replace("ufCrm5How", "ufCrm5Why")).await;
    let contact = add(&bench, ivan());
    let visit = bench.visit(&contact);
    let refused = bench.connector.record(&[visit]).await.unwrap_err();
    assert_eq!(refused.class, FailureClass::TenantBlocked);
    assert!(refused.said().contains("ufCrm5Why"), "{refused}");
    assert!(bench.server.crm.lock().unwrap().visits().is_empty());
    assert_eq!(missing(&bench.connector.probe().await), ["the field ufCrm5Why of 1046"]);
    let mut bench = portal_with(Quirks { no_clients: true, ..Quirks::default() }).await;
    let contact = add(&bench, ivan());
    let visit = bench.visit(&contact);
    assert_eq!(bench.connector.record(&[visit]).await.unwrap_err().class, FailureClass::TenantBlocked);
    assert_eq!(missing(&bench.connector.probe().await), ["the field contactIds of 1046"]);
}

#[tokio::test]
async fn a_card_is_found_by_phone_and_comes_with_the_words_of_its_lists() {
    let mut bench = portal().await;
    let full = FakeContact {
        email: "ivan@example.com".to_owned(),
        tier: "золото".to_owned(),
        owner: "Ольга".to_owned(),
        notes: "без сахара<br>".to_owned(),
        birthday: "1980-05-17".to_owned(),
        visits: 12,
        ..ivan()
    };
    let contact = add(&bench, full);
    add(&bench, FakeContact { phone: "8 (912) 345-67-80".to_owned(), ..ivan() });
    for sought in [Seek::Phone("+79123456789".to_owned()), Seek::Email("ivan@example.com".to_owned())] {
        let found = bench.connector.find(&sought).await.unwrap();
        assert_eq!(
            found.iter().map(|c| c.id.clone()).collect::<Vec<_>>(),
            std::slice::from_ref(&contact),
            "{sought:?}"
        );
        let card = &found[0];
        assert_eq!((card.patronymic.as_deref(), card.tier.as_deref()), (Some("Петрович"), Some("золото")));
        assert_eq!((card.owner.as_deref(), card.notes.as_deref()), (Some("Ольга"), Some("без сахара")));
        assert_eq!((card.birthday, card.visits), (Some("1980-05-17".parse().unwrap()), Some(12)));
    }
    assert!(bench.connector.find(&Seek::Phone("+79120000000".to_owned())).await.unwrap().is_empty());
    assert_eq!(bench.connector.contact(&ContactId("999".to_owned())).await.unwrap(), None);
    let mut bench = portal_with(Quirks { no_users: true, ..Quirks::default() }).await;
    let contact = add(&bench, FakeContact { owner: "Ольга".to_owned(), ..ivan() });
    assert_eq!(bench.connector.contact(&ContactId(contact)).await.unwrap().unwrap().owner, None);
}

#[tokio::test]
async fn another_programs_id_is_never_overwritten_and_a_field_of_its_own_helps() {
    for own in [false, true] {
        let fake = Arc::new(Mutex::new(FakeBitrix24::default()));
        let change = |config: String| if own { format!("{config}external_id = \"UF_CRM_SNOVA\"\n") } else { config };
        let mut bench = Bench::with(fake.clone(), change).await;
        let contact = add(&bench, ivan());
        fake.lock().unwrap().claim(&contact, bench.clock.wall().at);
        let customer = CustomerId(uuid::Uuid::from_u128(7));
        let linked = bench.connector.write_mark(&ContactId(contact.clone()), &customer.to_string()).await;
        if own {
            linked.unwrap();
            assert_eq!(bench.connector.find(&Seek::Mark(customer)).await.unwrap()[0].id, contact);
            continue;
        }
        let refused = linked.unwrap_err();
        assert_eq!(refused.class, FailureClass::TenantBlocked);
        assert!(refused.said().contains("external_id"), "{refused}");
        assert_eq!(bench.server.crm.lock().unwrap().contact(&contact).unwrap().external_id, "00-000017");
        let found = bench.connector.find(&Seek::Phone("+79123456789".to_owned())).await.unwrap();
        assert!(found[0].external_id.is_some(), "it is not free");
        let findings = bench.connector.probe().await;
        assert!(findings.iter().any(|f| f.remedy.contains("another program")), "{findings:#?}");
    }
}

#[tokio::test]
async fn changed_cards_come_page_by_page_and_none_is_missed_behind_the_walk() {
    let mut bench = portal().await;
    let contact = add(&bench, ivan());
    let begin = bench.connector.changed("").await.unwrap();
    bench.clock.advance(Duration::from_secs(60));
    let now = bench.clock.wall().at;
    bench.server.crm.lock().unwrap().change_contact(&contact, &|c| c.tier = "gold".to_owned(), now);
    let page = bench.connector.changed(&begin.cursor).await.unwrap();
    assert_eq!((page.contacts[0].tier.as_deref(), page.more), (Some("gold"), false));
    bench.clock.advance(Duration::from_secs(60));
    for number in 0..120 {
        add(&bench, FakeContact { phone: format!("+7900{number:07}"), ..ivan() });
    }
    let (mut seen, mut cursor, mut pages) = (BTreeSet::new(), page.cursor, 0);
    loop {
        let page = bench.connector.changed(&cursor).await.unwrap();
        seen.extend(page.contacts.iter().map(|contact| contact.id.clone()));
        cursor = page.cursor;
        pages += 1;
        if pages == 1 {
            bench.clock.advance(Duration::from_secs(20));
            let now = bench.clock.wall().at;
            bench.server.crm.lock().unwrap().change_contact(&contact, &|c| c.tier = "silver".to_owned(), now);
        }
        if !page.more {
            break;
        }
    }
    assert!(seen.len() >= 120 && pages == 3, "{} in {pages}", seen.len());
    let mut next = bench.connector.changed(&cursor).await.unwrap();
    let mut tiers: Vec<_> = next.contacts.iter().filter(|c| c.id == contact).map(|c| c.tier.clone()).collect();
    while next.more {
        next = bench.connector.changed(&next.cursor).await.unwrap();
        tiers.extend(next.contacts.iter().filter(|c| c.id == contact).map(|c| c.tier.clone()));
    }
    assert_eq!(tiers, [Some("silver".to_owned())]);
}

#[tokio::test]
async fn a_token_is_exchanged_when_the_portal_says_so_and_never_by_the_clock() {
    let fake = Arc::new(Mutex::new(FakeBitrix24::of(Quirks { by_oauth: true, ..Quirks::default() })));
    let mut bench = Bench::of(fake.clone()).await;
    let contact = add(&bench, ivan());
    let refresh = |bench: &Bench| bench.secrets.0.lock().unwrap()["crm/bitrix24/refresh-token"].clone();
    let first = refresh(&bench);
    for _ in 0..3 {
        let visit = bench.visit(&contact);
        assert!(bench.connector.record(&[visit]).await.unwrap()[0].is_ok());
        bench.clock.advance(Duration::from_secs(4000));
    }
    assert_eq!(fake.lock().unwrap().exchanges(), 1);
    assert_ne!(refresh(&bench), first);
    bench.server.plan(Fault::TokenExpired, Hits::VisitWrites, 1);
    let visit = bench.visit(&contact);
    assert!(bench.connector.record(&[visit]).await.unwrap()[0].is_ok());
    assert_eq!(fake.lock().unwrap().exchanges(), 2);
    assert_eq!(fake.lock().unwrap().visits().len(), 4);
    bench.secrets.0.lock().unwrap().insert("crm/bitrix24/refresh-token".to_owned(), first);
    fake.lock().unwrap().expire_tokens();
    let visit = bench.visit(&contact);
    let refused = bench.connector.record(&[visit]).await.unwrap_err();
    assert_eq!(refused.class, FailureClass::Auth);
    assert!(refused.said().contains("invalid_grant"), "{refused}");
}

#[tokio::test]
async fn the_pace_stays_below_two_a_second_and_an_overload_is_left_alone() {
    let mut bench = portal().await;
    let contact = add(&bench, ivan());
    for _ in 0..150 {
        assert!(bench.connector.contact(&ContactId(contact.clone())).await.unwrap().is_some());
    }
    bench.server.plan(Fault::Throttled, Hits::VisitWrites, 1);
    let visit = bench.visit(&contact);
    let throttled = bench.connector.record(std::slice::from_ref(&visit)).await.unwrap_err();
    assert_eq!(throttled.class, FailureClass::Throttled);
    let before = bench.clock.wall().at;
    bench.connector.contact(&ContactId(contact.clone())).await.unwrap();
    assert!(bench.clock.wall().at.duration_since(before).as_millis() >= 1000, "slower from now on");
    bench.server.plan(Fault::Blocked, Hits::VisitWrites, 1);
    let shut = bench.connector.record(&[visit]).await.unwrap_err();
    assert_eq!(shut.class, FailureClass::TenantBlocked);
    assert!(shut.wait.is_some_and(|wait| wait.as_secs() >= 3600));
}

#[tokio::test]
async fn a_box_has_one_element_however_often_it_beats() {
    let mut bench = portal().await;
    let beat = Heartbeat {
        device: "shop-7".to_owned(),
        box_id: uuid::Uuid::nil(),
        version: "0.2.0".to_owned(),
        at: bench.clock.wall(),
        cameras: vec![("till-1-front".to_owned(), false)],
        outbox_depth: 3,
        outbox_oldest: None,
        outbox_dead: 0,
    };
    for _ in 0..3 {
        assert!(bench.connector.heartbeat(&beat).await.unwrap());
    }
    assert_eq!(bench.server.crm.lock().unwrap().heartbeats(), 1);
    let mut bench = portal_with(comments()).await;
    assert!(!bench.connector.heartbeat(&beat).await.unwrap());
}

#[tokio::test]
async fn the_webhook_is_taken_as_the_portal_shows_it_and_stands_in_no_word_of_ours() {
    let mut bench = portal().await;
    let whole = format!("https://shop.bitrix24.ru/rest/{WEBHOOK}/");
    bench.secrets.0.lock().unwrap().insert("crm/bitrix24/webhook".to_owned(), whole);
    let findings = bench.connector.probe().await;
    assert!(findings.iter().all(|finding| finding.verdict == Verdict::Good), "{findings:#?}");
    let visit = bench.visit("1");
    let mut said = format!("{findings:?}{:?}", bench.connector.preview(std::slice::from_ref(&visit)));
    assert!(said.contains("POST /rest/NUMBER/CODE/batch.json"), "{said}");
    bench.server.set_down(true);
    said.push_str(&format!("{:?}", bench.connector.record(&[visit]).await));
    bench.server.set_down(false);
    for wrong in ["1/wrongcode99", "no webhook"] {
        bench.secrets.0.lock().unwrap().insert("crm/bitrix24/webhook".to_owned(), wrong.to_owned());
        let refused = bench.connector.changed("").await.unwrap_err();
        assert_eq!(refused.class, FailureClass::Auth);
        said.push_str(refused.said());
    }
    assert!(!said.contains("hook7f3a") && !said.contains("wrongcode"), "{said}");
}

#[tokio::test]
async fn comments_whose_ids_were_told_are_read_in_batches_and_one_that_may_not_be_read_waits() {
    for no_comments in [false, true] {
        let mut bench = portal_with(Quirks { no_comments, ..comments() }).await;
        let contact = add(&bench, ivan());
        let visits: Vec<_> = (0..60).map(|_| bench.visit(&contact)).collect();
        let ids = bench.connector.record(&visits).await.unwrap();
        let told = visits.iter().zip(&ids).map(|(visit, id)| named(visit, id.as_ref().unwrap())).collect();
        let customer = CustomerId(uuid::Uuid::from_u128(7));
        let gone = Forgotten { key: customer.0, customer, visits: told };
        bench.server.forget_asked();
        let forgotten = bench.connector.forget(&gone).await;
        if no_comments {
            // "Access denied." comes without a code, as "Not found." does, and is not that.
            assert_eq!(forgotten.unwrap_err().class, FailureClass::TenantBlocked);
            assert_eq!(bench.server.crm.lock().unwrap().visits().len(), 60);
            continue;
        }
        forgotten.unwrap();
        assert!(bench.server.crm.lock().unwrap().visits().is_empty());
        let asked = bench.server.asked_so_far();
        assert!(asked <= 15, "three parts of 25: read, delete, read again and look through the contact's: {asked}");
    }
}

#[tokio::test]
async fn an_element_is_sought_by_its_key_alone_and_a_missing_one_among_the_comments() {
    let mut bench = portal().await;
    let contact = add(&bench, ivan());
    let visit = bench.visit(&contact);
    bench.connector.record(std::slice::from_ref(&visit)).await.unwrap();
    let told = |visit: &VisitRecord| named(visit, &snova::crm::RecordId("913".to_owned()));
    bench.server.forget_asked();
    bench.connector.void(&told(&visit)).await.unwrap();
    assert!(bench.server.crm.lock().unwrap().visits()[0].void);
    assert!(!bench.server.asked().iter().any(|asked| asked.text().contains("913")));
    // Another box of the same shop, whose visits are comments.
    let no_type = |config: String| config.replace("visit_type_id", "# visit_type_id");
    let mut commenting = Bench::with(bench.server.crm.clone(), no_type).await;
    let visit = commenting.visit(&contact);
    let id = commenting.connector.record(std::slice::from_ref(&visit)).await.unwrap()[0].clone().unwrap();
    assert!(id.0.starts_with("comment:"), "{id}");
    bench.connector.void(&told(&visit)).await.unwrap();
    assert!(bench.server.crm.lock().unwrap().visits()[1].void);
}

#[tokio::test]
async fn an_element_whose_contact_went_at_that_moment_is_nobodys_and_is_tied_or_taken_back() {
    let fake = Arc::new(Mutex::new(FakeBitrix24::default()));
    let mut bench = Bench::of(fake.clone()).await;
    let contact = add(&bench, FakeContact { owner: "Ольга".to_owned(), ..ivan() });
    let visit = bench.visit(&contact);
    fake.lock().unwrap().drop_clients(true);
    let rows = bench.connector.record(std::slice::from_ref(&visit)).await.unwrap();
    assert!(rows[0].as_ref().is_err_and(|failure| failure.contact_gone), "{rows:?}");
    assert!(fake.lock().unwrap().visits().is_empty(), "it is not left behind");
    // The box went before it could be taken back.
    bench.server.plan(Fault::CutAfter, Hits::VisitWrites, 1);
    bench.connector.record(std::slice::from_ref(&visit)).await.unwrap_err();
    fake.lock().unwrap().drop_clients(false);
    assert_eq!(fake.lock().unwrap().visits()[0].contact, "");
    assert!(bench.connector.reconcile(&[in_doubt(&bench, &visit)]).await.unwrap()[0].is_some());
    assert_eq!(fake.lock().unwrap().visits()[0].contact, contact);
    let visit = bench.visit(&contact);
    let id = bench.connector.record(&[visit]).await.unwrap()[0].clone().unwrap();
    let raw = fake.lock().unwrap().raw(&id.0).unwrap();
    assert!(raw.contains("\"assignedById\":2") && raw.contains("\"title\":\"Визит, shop-7, касса till-1\""), "{raw}");
}

#[tokio::test]
async fn a_double_that_somebody_has_worked_with_is_left() {
    for quirks in [Quirks::default(), comments()] {
        let mut bench = portal_with(quirks).await;
        let elder = add(&bench, ivan());
        let customer = CustomerId(uuid::Uuid::from_u128(7));
        let younger = add(&bench, FakeContact { external_id: customer.to_string(), ..ivan() });
        let visit = bench.visit(&younger);
        bench.connector.record(&[visit]).await.unwrap();
        let left = bench.connector.retire(&ContactId(younger.clone()), &ContactId(elder)).await.unwrap_err();
        assert!(left.said().contains("already"), "{left}");
        assert!(bench.connector.contact(&ContactId(younger)).await.unwrap().is_some());
    }
}
