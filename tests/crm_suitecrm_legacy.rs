//! The SuiteCRM connector by v4_1 at its fake: what is this API's alone. What all must keep is in `crm_contract`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test a panic is the report")]

#[path = "support/crm/mod.rs"]
mod crm;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crm::bench::Bench;
use crm::server::Hits;
use crm::suitecrm_legacy::FakeLegacySuite;
use crm::{FakeContact, FakeCrm, Fault, POISON_TILL};
use snova::clock::Clock;
use snova::crm::{FailureClass, Seek, Verdict};

/// A bench whose fake can be looked into.
async fn tenant() -> (Bench, Arc<Mutex<FakeLegacySuite>>) {
    let crm = Arc::new(Mutex::new(FakeLegacySuite::default()));
    (Bench::of(Arc::clone(&crm) as Arc<Mutex<dyn FakeCrm>>).await, crm)
}

fn ivan() -> FakeContact {
    FakeContact::named("Иван", "Петрович", "О'Соколов", "8 (912) 345-67-89")
}

fn add(bench: &Bench, contact: FakeContact) -> String {
    let now = bench.clock.wall().at;
    bench.server.crm.lock().unwrap().add_contact(contact, now)
}

/// The methods that were called, in order.
fn methods(bench: &Bench) -> Vec<String> {
    bench.server.asked().iter().filter_map(|asked| asked.form_value("method")).collect()
}

#[tokio::test]
async fn visits_and_their_ties_go_in_one_call_and_are_asked_for_before_and_after() {
    let (mut bench, crm) = tenant().await;
    let contact = add(&bench, ivan());
    let visits = [bench.visit(&contact), bench.visit(&contact)];
    let rows = bench.connector.record(&visits).await.unwrap();
    assert!(rows.iter().all(Result::is_ok), "{rows:?}");
    let calls = ["login", "get_entries", "get_entries", "set_entries", "get_entries"];
    assert_eq!(methods(&bench), calls, "contacts, meetings, all of them made with their ties, meetings and ties");
    bench.server.forget_asked();
    bench.connector.record(&visits).await.unwrap();
    assert_eq!(methods(&bench), ["get_entries", "get_entries"], "nothing is created again");
    let there = crm.lock().unwrap().visits();
    assert_eq!(there.len(), 2);
    assert_eq!((there[0].contact.as_str(), there[0].opened_at), (contact.as_str(), Some(visits[0].opened_at.at)));
    let found = bench.connector.reconcile(&[visits[0].clone(), bench.visit(&contact)]).await.unwrap();
    assert!(found[0].is_some() && found[1].is_none());
}

#[tokio::test]
async fn a_failure_of_the_database_in_mid_batch_loses_none_of_the_others() {
    let (mut bench, crm) = tenant().await;
    let contact = add(&bench, ivan());
    let visits = [bench.visit(&contact), bench.visit_at(&contact, POISON_TILL), bench.visit(&contact)];
    let rows = bench.connector.record(&visits).await.unwrap();
    assert!(rows[0].is_ok() && rows[2].is_ok(), "{rows:?}");
    assert_eq!(rows[1].as_ref().unwrap_err().class, FailureClass::Poison, "whose fault it is the lane finds out");
    assert_eq!(crm.lock().unwrap().visits().len(), 2);
    // A disk that is full refuses everything alike.
    crm.lock().unwrap().read_only = true;
    let more = [bench.visit(&contact), bench.visit(&contact)];
    let full = bench.connector.record(&more).await.unwrap();
    assert!(full.iter().all(|row| row.as_ref().unwrap_err().class == FailureClass::Poison), "{full:?}");
    crm.lock().unwrap().read_only = false;
    assert!(bench.connector.record(&more).await.unwrap().iter().all(Result::is_ok));
    assert_eq!(crm.lock().unwrap().visits().len(), 4);
}

#[tokio::test]
async fn a_tie_is_made_by_hand_where_saving_makes_none_and_read_wherever_it_is_shown() {
    for hides_links in [false, true] {
        let (mut bench, crm) = tenant().await;
        (crm.lock().unwrap().saves_no_tie, crm.lock().unwrap().hides_links) = (true, hides_links);
        let contact = add(&bench, ivan());
        let visits = [bench.visit(&contact), bench.visit(&contact)];
        let rows = bench.connector.record(&visits).await.unwrap();
        assert!(rows.iter().all(Result::is_ok), "{rows:?}");
        assert_eq!(methods(&bench).iter().filter(|method| *method == "set_relationship").count(), 2);
        assert!(crm.lock().unwrap().visits().iter().all(|visit| visit.contact == contact));
    }
}

#[tokio::test]
async fn a_failure_after_the_rows_were_written_is_no_refusal() {
    let (mut bench, crm) = tenant().await;
    let contact = add(&bench, ivan());
    let visits = [bench.visit(&contact), bench.visit(&contact)];
    bench.server.plan(Fault::ErrorAfter, Hits::VisitWrites, 1);
    let rows = bench.connector.record(&visits).await.unwrap();
    assert!(rows.iter().all(Result::is_ok), "they are there, whatever the answer said: {rows:?}");
    bench.server.plan(Fault::CutAfter, Hits::VisitWrites, 1);
    let cut = [bench.visit(&contact)];
    assert_eq!(bench.connector.record(&cut).await.unwrap_err().class, FailureClass::Transient);
    assert!(bench.connector.record(&cut).await.unwrap()[0].is_ok());
    assert_eq!(crm.lock().unwrap().visits()[2].contact, contact);
}

#[tokio::test]
async fn a_meeting_that_somebody_threw_away_is_recorded_and_stays_away() {
    let (mut bench, crm) = tenant().await;
    let contact = add(&bench, ivan());
    let visits = [bench.visit(&contact), bench.visit(&contact)];
    bench.connector.record(&visits[..1]).await.unwrap();
    crm.lock().unwrap().beans.remove("Meetings", &visits[0].key.to_string(), bench.clock.wall().at);
    let rows = bench.connector.record(&visits).await.unwrap();
    assert!(rows.iter().all(Result::is_ok), "{rows:?}");
    let there = crm.lock().unwrap().visits();
    assert_eq!(there.iter().map(|visit| visit.erased).collect::<Vec<_>>(), [true, false]);
}

#[tokio::test]
async fn a_dead_session_is_begun_anew_and_a_wrong_password_is_said() {
    let (mut bench, crm) = tenant().await;
    let contact = add(&bench, ivan());
    bench.server.plan(Fault::TokenExpired, Hits::VisitWrites, 1);
    assert!(bench.connector.record(&[bench.visit(&contact)]).await.unwrap()[0].is_ok());
    assert_eq!(methods(&bench).iter().filter(|method| *method == "login").count(), 2);
    let asked = bench.server.asked();
    assert!(asked.iter().all(|asked| !asked.text().contains("suite-password-8a41")), "only its digest leaves");
    bench.secrets.0.lock().unwrap().insert("crm/suitecrm/password".to_owned(), "wrong".to_owned());
    crm.lock().unwrap().expire_tokens();
    let refused = bench.connector.record(&[bench.visit(&contact)]).await.unwrap_err();
    assert_eq!(refused.class, FailureClass::Auth);
    assert!(refused.said().contains("(10)"), "{refused}");
}

#[tokio::test]
async fn contacts_are_found_by_phone_and_e_mail_and_no_quote_reaches_the_database() {
    let (mut bench, _) = tenant().await;
    let contact = add(&bench, ivan());
    add(&bench, FakeContact { phone: "8 (912) 345-67-80".to_owned(), ..ivan() });
    let found = bench.connector.find(&Seek::Phone("+79123456789".to_owned())).await.unwrap();
    assert_eq!(found.iter().map(|c| c.id.clone()).collect::<Vec<_>>(), [contact]);
    assert_eq!(found[0].family.as_deref(), Some("О'Соколов"), "as it was typed, not as it stands in a page");
    let plain = |email: &str| FakeContact { email: email.to_owned(), phone: String::new(), ..ivan() };
    let anna = add(&bench, plain("Anna.Neil@example.com"));
    add(&bench, plain("annaxneil@example.com"));
    let found = bench.connector.find(&Seek::Email("anna.neil@example.com".to_owned())).await.unwrap();
    assert_eq!(found.iter().map(|c| c.id.clone()).collect::<Vec<_>>(), [anna]);
    for nasty in ["o'neil@example.com", "a\\'@example.com", "%@example.com", "'); --@example.com"] {
        assert!(bench.connector.find(&Seek::Email(nasty.to_owned())).await.unwrap().is_empty(), "{nasty}");
    }
}

#[tokio::test]
async fn changed_cards_come_page_by_page_and_the_probe_finds_all_well() {
    let (mut bench, _) = tenant().await;
    let contact = add(&bench, ivan());
    let begin = bench.connector.changed("").await.unwrap();
    bench.clock.advance(Duration::from_secs(60));
    let now = bench.clock.wall().at;
    bench.server.crm.lock().unwrap().change_contact(&contact, &|c| c.tier = "gold & more".to_owned(), now);
    let page = bench.connector.changed(&begin.cursor).await.unwrap();
    assert_eq!((page.contacts[0].tier.as_deref(), page.more), (Some("gold & more"), false));
    let mut wanted = std::collections::BTreeSet::new();
    for number in 0..430 {
        wanted.insert(add(&bench, FakeContact { phone: format!("+7900{number:07}"), ..ivan() }));
        bench.clock.advance(Duration::from_secs(u64::from(number > 220)));
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
    let findings = bench.connector.probe().await;
    assert!(findings.iter().all(|finding| finding.verdict == Verdict::Good), "{findings:#?}");
    let shown = bench.connector.preview(&[bench.visit(&contact)]).join("\n");
    assert!(shown.contains("set_entries") && shown.contains("2026-03-02") && !shown.contains("session"), "{shown}");
}
