//! The SugarCRM connector at its fake: what is this vendor's alone. What all must keep is in `crm_contract`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test a panic is the report")]

#[path = "support/crm/mod.rs"]
mod crm;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crm::bench::Bench;
use crm::road::Road;
use crm::server::Hits;
use crm::sugarcrm::FakeSugar;
use crm::{Asked, FakeContact, FakeCrm, Fault, POISON_TILL};
use serde_json::Value;
use snova::clock::Clock;
use snova::crm::{FailureClass, Forgotten, Seek, SentVisit, Verdict, VisitRecord};
use snova::customer::CustomerId;

/// A bench whose fake can be looked into.
async fn tenant(admin: bool) -> (Bench, Arc<Mutex<FakeSugar>>) {
    let crm = Arc::new(Mutex::new(FakeSugar::of(admin)));
    (Bench::of(Arc::clone(&crm) as Arc<Mutex<dyn FakeCrm>>).await, crm)
}

fn ivan() -> FakeContact {
    FakeContact::named("Иван", "Петрович", "Соколов", "8 (912) 345-67-89")
}

fn add(bench: &Bench, contact: FakeContact) -> String {
    let now = bench.clock.wall().at;
    bench.server.crm.lock().unwrap().add_contact(contact, now)
}

fn sent(visit: &VisitRecord) -> SentVisit {
    SentVisit { key: visit.key, record: None, contact: visit.contact.clone(), written_at: visit.closed_at.at }
}

/// The bodies of the requests to this path, in order.
fn bodies(bench: &Bench, path: &str) -> Vec<Value> {
    let to = |asked: &&Asked| asked.path.ends_with(path);
    bench.server.asked().iter().filter(to).map(|asked| asked.json().unwrap()).collect()
}

#[tokio::test]
async fn visits_are_held_meetings_upserted_in_one_bulk_and_a_poisoned_row_does_not_hold_up_the_rest() {
    let (mut bench, crm) = tenant(true).await;
    let contact = add(&bench, ivan());
    let visits = [bench.visit(&contact), bench.visit_at(&contact, POISON_TILL), bench.visit(&contact)];
    for _ in 0..2 {
        let rows = bench.connector.record(&visits).await.unwrap();
        assert!(rows[0].is_ok() && rows[2].is_ok());
        let refused = rows[1].as_ref().unwrap_err();
        assert_eq!(refused.class, FailureClass::Poison);
        assert!(refused.said().contains("invalid_parameter") && !refused.said().contains("Ivan"), "{refused}");
    }
    let bulk = &bodies(&bench, "/bulk")[0]["requests"][0];
    assert_eq!(bulk["url"], format!("/v11_10/Meetings/sync_key/{}", visits[0].key));
    let data: Value = serde_json::from_str(bulk["data"].as_str().expect("the body is a text")).unwrap();
    assert_eq!((&data["status"], &data["date_start"]), (&"Held".into(), &"2026-03-02T08:50:00+00:00".into()));
    let there = crm.lock().unwrap().visits();
    assert_eq!(there.len(), 2);
    assert_eq!((there[0].contact.as_str(), there[0].opened_at), (contact.as_str(), Some(visits[0].opened_at.at)));
    let found = bench.connector.reconcile(&visits).await.unwrap();
    assert!(found[0].is_some() && found[1].is_none() && found[2].is_some());
}

#[tokio::test]
async fn an_ended_session_is_refreshed_and_where_that_is_refused_the_password_is_given_again() {
    let (mut bench, crm) = tenant(true).await;
    let contact = add(&bench, ivan());
    bench.connector.record(&[bench.visit(&contact)]).await.unwrap();
    bench.server.plan(Fault::TokenExpired, Hits::VisitWrites, 1);
    assert!(bench.connector.record(&[bench.visit(&contact)]).await.unwrap()[0].is_ok());
    crm.lock().unwrap().end_sessions();
    assert!(bench.connector.record(&[bench.visit(&contact)]).await.unwrap()[0].is_ok());
    // An hour passes: the token is renewed before it is refused.
    bench.clock.advance(Duration::from_secs(3590));
    assert!(bench.connector.record(&[bench.visit(&contact)]).await.unwrap()[0].is_ok());
    let logins = bodies(&bench, "/oauth2/token");
    let ways: Vec<&str> = logins.iter().map(|login| login["grant_type"].as_str().unwrap()).collect();
    assert_eq!(ways, ["password", "refresh_token", "refresh_token", "password", "refresh_token"]);
    assert!(logins.iter().all(|login| login["platform"] == "snova"));
    assert_eq!(crm.lock().unwrap().visits().len(), 4);
    bench.secrets.0.lock().unwrap().insert("crm/sugarcrm/password".to_owned(), "wrong".to_owned());
    crm.lock().unwrap().end_sessions();
    let refused = bench.connector.record(&[bench.visit(&contact)]).await.unwrap_err();
    assert_eq!(refused.class, FailureClass::Auth);
    assert!(refused.said().contains("need_login"), "{refused}");
}

#[tokio::test]
async fn a_user_who_is_no_administrator_is_told_so_and_no_visit_becomes_a_dead_letter() {
    let crm = Arc::new(Mutex::new(FakeSugar::of(false)));
    let without = |config: String| config.replace("visit_key_field = \"snova_visit_c\"\n", "");
    let mut bench = Bench::with(crm, without).await;
    let contact = add(&bench, ivan());
    let rows = bench.connector.record(&[bench.visit(&contact)]).await.unwrap();
    let refused = rows[0].as_ref().unwrap_err();
    assert_eq!(refused.class, FailureClass::TenantBlocked);
    assert!(refused.said().contains("visit_key_field"), "{refused}");
    let findings = bench.connector.probe().await;
    let missing: Vec<_> = findings.iter().filter(|finding| finding.verdict == Verdict::Missing).collect();
    assert_eq!(missing.len(), 1, "{findings:#?}");
    assert!(missing[0].what.contains("sync_key") && missing[0].remedy.contains("administrator"));
}

#[tokio::test]
async fn without_the_right_to_upsert_a_visit_is_looked_for_before_it_is_created() {
    let (mut bench, crm) = tenant(false).await;
    assert!(!bench.connector.manners().keyed && !bench.connector.manners().settle.is_zero());
    let contact = add(&bench, ivan());
    let visits = [bench.visit(&contact), bench.visit(&contact)];
    bench.connector.record(&visits[..1]).await.unwrap();
    for _ in 0..2 {
        let rows = bench.connector.record(&visits).await.unwrap();
        assert!(rows.iter().all(Result::is_ok), "{rows:?}");
    }
    assert_eq!(crm.lock().unwrap().visits().len(), 2);
    bench.connector.void(&sent(&visits[0])).await.unwrap();
    assert!(crm.lock().unwrap().visits()[0].void);
    let findings = bench.connector.probe().await;
    assert!(findings.iter().all(|finding| finding.verdict == Verdict::Good), "{findings:#?}");
}

#[tokio::test]
async fn a_key_field_that_is_not_there_is_found_out_before_anything_is_written() {
    let crm = Arc::new(Mutex::new(FakeSugar::of(false)));
    let mut bench =
        Bench::with(Arc::clone(&crm) as Arc<Mutex<dyn FakeCrm>>, |c| c.replace("snova_visit_c", "nowhere_c")).await;
    let contact = add(&bench, ivan());
    let refused = bench.connector.record(&[bench.visit(&contact)]).await.unwrap_err();
    assert_eq!(refused.class, FailureClass::TenantBlocked);
    assert!(crm.lock().unwrap().visits().is_empty(), "a meeting without its key would come again and again");
}

#[tokio::test]
async fn without_upserts_lost_answers_still_double_nothing() {
    for fault in [Fault::SilentAfter, Fault::CutAfter, Fault::ErrorAfter, Fault::Garbage, Fault::CutBefore] {
        let crm = Arc::new(Mutex::new(FakeSugar::of(false)));
        let mut road = Road::to(crm).await;
        for number in 1..=3 {
            let regular = road.regular(number);
            road.visit(regular, "till-1");
            road.clock.advance(Duration::from_secs(1));
        }
        road.server.plan(fault, Hits::VisitWrites, 2);
        road.work(Duration::from_secs(86_400)).await;
        road.assert_each_once(&format!("{fault:?}"));
    }
}

#[tokio::test]
async fn a_phone_is_found_in_the_spellings_that_people_use_and_never_by_a_part_of_it() {
    let (mut bench, _) = tenant(true).await;
    let contact = add(&bench, ivan());
    add(&bench, FakeContact { phone: "8 (912) 345-67-80".to_owned(), ..ivan() });
    add(&bench, FakeContact { phone: "+79123456789000".to_owned(), ..ivan() });
    let found = bench.connector.find(&Seek::Phone("+79123456789".to_owned())).await.unwrap();
    assert_eq!(found.iter().map(|c| c.id.clone()).collect::<Vec<_>>(), [contact]);
    assert_eq!((found[0].given.as_deref(), found[0].patronymic.as_deref()), (Some("Иван"), Some("Петрович")));
    let anna = add(&bench, FakeContact { email: "Anna@Example.com".to_owned(), phone: String::new(), ..ivan() });
    let found = bench.connector.find(&Seek::Email("anna@example.com".to_owned())).await.unwrap();
    assert_eq!(found.iter().map(|c| c.id.clone()).collect::<Vec<_>>(), [anna]);
}

#[tokio::test]
async fn changed_cards_come_page_by_page_and_none_is_missed_while_others_change() {
    let (mut bench, _) = tenant(true).await;
    let contact = add(&bench, ivan());
    let begin = bench.connector.changed("").await.unwrap();
    bench.clock.advance(Duration::from_secs(60));
    let now = bench.clock.wall().at;
    bench.server.crm.lock().unwrap().change_contact(&contact, &|c| c.tier = "gold".to_owned(), now);
    let page = bench.connector.changed(&begin.cursor).await.unwrap();
    assert_eq!((page.contacts[0].tier.as_deref(), page.more), (Some("gold"), false));
    // More than a page within one second, and as many over time.
    let mut wanted = std::collections::BTreeSet::new();
    for number in 0..500 {
        wanted.insert(add(&bench, FakeContact { phone: format!("+7900{number:07}"), ..ivan() }));
        bench.clock.advance(Duration::from_secs(u64::from(number > 250)));
    }
    let mut cursor = page.cursor;
    for round in 0.. {
        let page = bench.connector.changed(&cursor).await.unwrap();
        page.contacts.iter().for_each(|contact| {
            wanted.remove(&contact.id);
        });
        cursor = page.cursor;
        // One that was read already changes in between, and all behind it move up by one.
        let now = bench.clock.wall().at;
        bench.server.crm.lock().unwrap().change_contact(&contact, &|c| c.offer = round.to_string(), now);
        if !page.more {
            break;
        }
    }
    assert!(wanted.is_empty(), "{} were missed", wanted.len());
}

#[tokio::test]
async fn the_preview_shows_the_requests_and_no_secret() {
    let (bench, _) = tenant(true).await;
    let shown = bench.connector.preview(&[bench.visit("5ca1ab1e-0000-4000-8000-000000000001")]).join("\n");
    assert!(shown.starts_with("POST /rest/v11_10/bulk") && shown.contains("sync_key"), "{shown}");
    assert!(!shown.contains("password"));
}

#[tokio::test]
async fn twins_of_an_erased_visit_go_too_however_few_are_shown_at_once() {
    let crm = Arc::new(Mutex::new(FakeSugar::of(false)));
    let mut bench = Bench::of(crm.clone()).await;
    let contact = add(&bench, ivan());
    let visits: Vec<_> = (0..12).map(|_| bench.visit(&contact)).collect();
    let ids = bench.connector.record(&visits[..10]).await.unwrap();
    bench.connector.record(&visits[10..]).await.unwrap();
    {
        // Somebody copies a meeting with all its fields; and the tenant shows three at once.
        let mut crm = crm.lock().unwrap();
        let twin = crm.beans.all("Meetings")[4].clone();
        crm.beans.insert("Meetings", "5ca1ab1e-0000-4000-8000-00000000eeee", bench.clock.wall().at);
        crm.beans.update("Meetings", "5ca1ab1e-0000-4000-8000-00000000eeee", &twin, bench.clock.wall().at);
        crm.most = 3;
    }
    let told = |(at, visit): (usize, &VisitRecord)| SentVisit {
        record: ids.get(at).map(|id| id.clone().unwrap()),
        ..sent(visit)
    };
    let visits = visits.iter().enumerate().map(told).collect();
    let customer = CustomerId(uuid::Uuid::from_u128(7));
    bench.server.forget_asked();
    bench.connector.forget(&Forgotten { key: customer.0, customer, visits }).await.unwrap();
    assert_eq!(crm.lock().unwrap().beans.live("Meetings").count(), 0);
    let reads = bench.server.asked().iter().filter(|asked| asked.path.ends_with("/filter")).count();
    assert_eq!(reads, 5, "thirteen meetings by three");
}
