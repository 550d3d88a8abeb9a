//! The SuiteCRM connector by V8 at its fake: what is this vendor's alone. What all must keep is in `crm_contract`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test a panic is the report")]

#[path = "support/crm/mod.rs"]
mod crm;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crm::bench::Bench;
use crm::server::Hits;
use crm::suitecrm::FakeSuite;
use crm::{FakeContact, FakeCrm, Fault, POISON_TILL};
use snova::clock::Clock;
use snova::crm::{FailureClass, Seek, SentVisit, Verdict, VisitRecord};

/// A bench whose fake can be looked into.
async fn tenant() -> (Bench, Arc<Mutex<FakeSuite>>) {
    let crm = Arc::new(Mutex::new(FakeSuite::default()));
    (Bench::of(Arc::clone(&crm) as Arc<Mutex<dyn FakeCrm>>).await, crm)
}

fn ivan() -> FakeContact {
    FakeContact::named("Иван", "Петрович", "О'Соколов", "8 (912) 345-67-89")
}

fn add(bench: &Bench, contact: FakeContact) -> String {
    let now = bench.clock.wall().at;
    bench.server.crm.lock().unwrap().add_contact(contact, now)
}

fn sent(visit: &VisitRecord) -> SentVisit {
    SentVisit { key: visit.key, record: None, contact: visit.contact.clone(), written_at: visit.closed_at.at }
}

fn requests(bench: &Bench) -> Vec<String> {
    bench.server.asked().iter().map(|asked| format!("{} {}", asked.method, asked.path)).collect()
}

#[tokio::test]
async fn a_visit_sent_twice_is_one_meeting_with_its_time_in_the_contacts_list() {
    let (mut bench, crm) = tenant().await;
    let contact = add(&bench, ivan());
    let visit = bench.visit(&contact);
    for _ in 0..3 {
        let rows = bench.connector.record(std::slice::from_ref(&visit)).await.unwrap();
        assert_eq!(rows[0].as_ref().unwrap().0, visit.key.to_string());
    }
    let there = crm.lock().unwrap().visits();
    assert_eq!(there.len(), 1);
    assert_eq!((there[0].contact.as_str(), there[0].opened_at), (contact.as_str(), Some(visit.opened_at.at)));
    let found = bench.connector.reconcile(&[visit, bench.visit(&contact)]).await.unwrap();
    assert!(found[0].is_some() && found[1].is_none());
}

#[tokio::test]
async fn a_visit_is_one_request_once_saving_is_seen_to_tie_and_two_where_it_does_not() {
    for saves_no_tie in [false, true] {
        let (mut bench, crm) = tenant().await;
        crm.lock().unwrap().saves_no_tie = saves_no_tie;
        let contact = add(&bench, ivan());
        let mut sent = Vec::new();
        for _ in 0..4 {
            let visit = bench.visit(&contact);
            bench.server.forget_asked();
            assert!(bench.connector.record(std::slice::from_ref(&visit)).await.unwrap()[0].is_ok());
            sent.push(
                requests(&bench).iter().filter(|line| line.contains("eetings") || line.ends_with("/module")).count(),
            );
        }
        assert_eq!(sent, if saves_no_tie { [3, 2, 2, 2] } else { [2, 1, 1, 1] }, "the first one is looked at");
        let visits = crm.lock().unwrap().visits();
        assert!(visits.len() == 4 && visits.iter().all(|visit| visit.contact == contact), "{visits:?}");
    }
}

#[tokio::test]
async fn a_cut_between_meeting_and_tie_is_healed_when_the_visit_is_sent_again() {
    let (mut bench, crm) = tenant().await;
    crm.lock().unwrap().saves_no_tie = true;
    let contact = add(&bench, ivan());
    let visit = bench.visit(&contact);
    bench.server.plan(Fault::CutAfter, Hits::VisitWrites, 1);
    let cut = bench.connector.record(std::slice::from_ref(&visit)).await.unwrap_err();
    assert_eq!(cut.class, FailureClass::Transient);
    assert_eq!(crm.lock().unwrap().visits()[0].contact, "", "it is in nobody's list");
    assert!(bench.connector.record(std::slice::from_ref(&visit)).await.unwrap()[0].is_ok());
    assert_eq!(crm.lock().unwrap().visits()[0].contact, contact);
}

#[tokio::test]
async fn no_search_makes_the_server_log_an_sql_error_and_addresses_are_found_all_the_same() {
    for hides_addresses in [false, true] {
        let (mut bench, crm) = tenant().await;
        crm.lock().unwrap().hides_addresses = hides_addresses;
        for number in 0..120 {
            add(&bench, FakeContact { email: format!("x{number}@example.com"), ..ivan() });
        }
        let seek = |email: &str| Seek::Email(email.to_owned());
        let found = bench.connector.find(&seek("x77@example.com")).await.unwrap();
        assert_eq!((found.len(), found[0].emails[0].as_str()), (1, "x77@example.com"));
        // Somebody is added later, and somebody's address is another's now.
        bench.clock.advance(Duration::from_secs(60));
        let anna = add(&bench, FakeContact { email: "Anna@Example.com".to_owned(), ..ivan() });
        let now = bench.clock.wall().at;
        crm.lock().unwrap().change_contact(&found[0].id, &|c| c.email = "other@example.com".to_owned(), now);
        assert_eq!(bench.connector.find(&seek("anna@example.com")).await.unwrap()[0].id, anna);
        bench.server.forget_asked();
        for nobodys in ["x77@example.com", "nobody@example.com"] {
            assert!(bench.connector.find(&seek(nobodys)).await.unwrap().is_empty(), "{nobodys}");
        }
        if !hides_addresses {
            assert_eq!(requests(&bench).len(), 2, "an address that nobody has is one request");
        }
        bench.connector.find(&Seek::Phone("+79123456789".to_owned())).await.unwrap();
        bench.connector.changed("2026-03-02T09:00:00Z 0").await.unwrap();
        bench.connector.probe().await;
        assert_eq!(crm.lock().unwrap().sql_errors, 0);
    }
}

#[tokio::test]
async fn a_meeting_that_somebody_threw_away_is_recorded_and_stays_away() {
    let (mut bench, crm) = tenant().await;
    let contact = add(&bench, ivan());
    let visit = bench.visit(&contact);
    bench.connector.record(std::slice::from_ref(&visit)).await.unwrap();
    crm.lock().unwrap().beans.remove("Meetings", &visit.key.to_string(), bench.clock.wall().at);
    assert!(bench.connector.record(std::slice::from_ref(&visit)).await.unwrap()[0].is_ok());
    let there = crm.lock().unwrap().visits();
    assert_eq!((there.len(), there[0].erased), (1, true));
    bench.connector.void(&sent(&visit)).await.unwrap();
    assert!(bench.connector.reconcile(&[visit]).await.unwrap()[0].is_none());
}

#[tokio::test]
async fn sending_a_voided_visit_again_does_not_bring_it_back() {
    let (mut bench, crm) = tenant().await;
    let contact = add(&bench, ivan());
    let visit = bench.visit(&contact);
    bench.connector.record(std::slice::from_ref(&visit)).await.unwrap();
    bench.connector.void(&sent(&visit)).await.unwrap();
    bench.connector.record(std::slice::from_ref(&visit)).await.unwrap();
    assert!(crm.lock().unwrap().visits()[0].void);
}

#[tokio::test]
async fn the_databases_refusal_is_for_the_lane_to_judge_and_makes_nothing() {
    let (mut bench, crm) = tenant().await;
    let contact = add(&bench, ivan());
    let poison = bench.connector.record(&[bench.visit_at(&contact, POISON_TILL)]).await.unwrap();
    assert_eq!(poison[0].as_ref().unwrap_err().class, FailureClass::Poison);
    // A disk that is full refuses everything alike.
    crm.lock().unwrap().read_only = true;
    let visit = [bench.visit(&contact)];
    let full = bench.connector.record(&visit).await.unwrap();
    assert_eq!(full[0].as_ref().unwrap_err(), poison[0].as_ref().unwrap_err());
    crm.lock().unwrap().read_only = false;
    assert!(bench.connector.record(&visit).await.unwrap()[0].is_ok());
    assert_eq!(crm.lock().unwrap().visits().len(), 1);
}

#[tokio::test]
async fn contacts_are_found_by_phone_and_e_mail_and_each_one_once() {
    let (mut bench, crm) = tenant().await;
    let contact = add(&bench, ivan());
    add(&bench, FakeContact { phone: "8 (912) 345-67-80".to_owned(), ..ivan() });
    let work = [("phone_work".to_owned(), "+7 912 345 67 89".to_owned())].into();
    crm.lock().unwrap().beans.update("Contacts", &contact, &work, bench.clock.wall().at);
    let found = bench.connector.find(&Seek::Phone("+79123456789".to_owned())).await.unwrap();
    assert_eq!(found.iter().map(|c| c.id.clone()).collect::<Vec<_>>(), [contact], "by either number, and once");
    assert_eq!(found[0].family.as_deref(), Some("О'Соколов"), "as it was typed, not as it stands in a page");
    assert_eq!(found[0].phones.len(), 2);
    let anna = add(&bench, FakeContact { email: "anna@example.com".to_owned(), phone: String::new(), ..ivan() });
    let found = bench.connector.find(&Seek::Email("anna@example.com".to_owned())).await.unwrap();
    assert_eq!(found.iter().map(|c| c.id.clone()).collect::<Vec<_>>(), [anna]);
    assert!(!bench.server.asked().iter().any(|asked| asked.param("filter[operator]").is_some()));
}

#[tokio::test]
async fn changed_cards_come_page_by_page() {
    let (mut bench, _) = tenant().await;
    let contact = add(&bench, ivan());
    let begin = bench.connector.changed("").await.unwrap();
    bench.clock.advance(Duration::from_secs(60));
    let now = bench.clock.wall().at;
    bench.server.crm.lock().unwrap().change_contact(&contact, &|c| c.tier = "gold & more".to_owned(), now);
    let page = bench.connector.changed(&begin.cursor).await.unwrap();
    assert_eq!((page.contacts[0].tier.as_deref(), page.more), (Some("gold & more"), false));
    let mut wanted = std::collections::BTreeSet::new();
    for number in 0..230 {
        wanted.insert(add(&bench, FakeContact { phone: format!("+7900{number:07}"), ..ivan() }));
        bench.clock.advance(Duration::from_secs(u64::from(number > 120)));
    }
    let mut cursor = page.cursor;
    loop {
        let page = bench.connector.changed(&cursor).await.unwrap();
        page.contacts.iter().for_each(|contact| {
            wanted.remove(&contact.id);
        });
        cursor = page.cursor;
        if !page.more {
            break;
        }
    }
    assert!(wanted.is_empty(), "{} were missed", wanted.len());
}

#[tokio::test]
async fn an_expired_token_is_renewed_and_a_wrong_secret_is_said() {
    let (mut bench, crm) = tenant().await;
    let contact = add(&bench, ivan());
    bench.connector.record(&[bench.visit(&contact)]).await.unwrap();
    bench.server.plan(Fault::TokenExpired, Hits::VisitWrites, 1);
    assert!(bench.connector.record(&[bench.visit(&contact)]).await.unwrap()[0].is_ok());
    let findings = bench.connector.probe().await;
    assert!(findings.iter().all(|finding| finding.verdict == Verdict::Good), "{findings:#?}");
    bench.secrets.0.lock().unwrap().insert("crm/suitecrm/client-secret".to_owned(), "wrong".to_owned());
    crm.lock().unwrap().expire_tokens();
    let refused = bench.connector.record(&[bench.visit(&contact)]).await.unwrap_err();
    assert_eq!(refused.class, FailureClass::Auth);
    assert!(refused.said().contains("invalid_client"), "{refused}");
}

#[tokio::test]
async fn suitecrm_8_is_reached_at_its_own_path() {
    let crm = Arc::new(Mutex::new(FakeSuite::default()));
    let path = |config: String| config.replace("client_id", "path = \"/legacy/Api/\"\nclient_id");
    let mut bench = Bench::with(crm, path).await;
    let contact = add(&bench, ivan());
    assert!(bench.connector.record(&[bench.visit(&contact)]).await.unwrap()[0].is_ok());
    assert!(requests(&bench).contains(&"POST /legacy/Api/V8/module".to_owned()));
    let shown = bench.connector.preview(&[bench.visit(&contact)]);
    assert_eq!(shown.len(), 1);
    assert!(shown[0].starts_with("POST /legacy/Api/V8/module\n") && shown[0].contains("2026-03-02 08:50:00"));
}
