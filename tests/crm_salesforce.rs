//! The Salesforce connector at its fake: what is this vendor's alone. What all must keep is in `crm_contract`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test a panic is the report")]

#[path = "support/crm/mod.rs"]
mod crm;

use crm::bench::Bench;
use crm::server::Hits;
use crm::{FakeContact, Fault, POISON_TILL};
use snova::crm::{ContactId, FailureClass, Forgotten, NewContact, Seek, SentVisit, Verdict};
use snova::customer::CustomerId;

async fn org() -> Bench {
    Bench::of(crm::vendor("salesforce")).await
}

fn ivan() -> FakeContact {
    FakeContact::named("Иван", "Петрович", "Соколов", "8 (912) 345-67-89")
}

fn add(bench: &Bench, contact: FakeContact) -> String {
    use snova::clock::Clock;
    let now = bench.clock.wall().at;
    bench.server.crm.lock().unwrap().add_contact(contact, now)
}

#[tokio::test]
async fn a_visit_sent_twice_is_one_row_and_a_poisoned_row_does_not_hold_up_the_rest() {
    let mut bench = org().await;
    let contact = add(&bench, ivan());
    let visits = [bench.visit(&contact), bench.visit_at(&contact, POISON_TILL), bench.visit(&contact)];
    for _ in 0..2 {
        let rows = bench.connector.record(&visits).await.unwrap();
        assert!(rows[0].is_ok() && rows[2].is_ok());
        let refused = rows[1].as_ref().unwrap_err();
        assert_eq!(refused.class, FailureClass::Poison);
        assert!(refused.said().contains("REQUIRED_FIELD_MISSING"), "{refused}");
    }
    let there = bench.server.crm.lock().unwrap().visits();
    assert_eq!(there.len(), 2);
    assert_eq!(there[0].opened_at, Some(visits[0].opened_at.at));
    let found = bench.connector.reconcile(&visits).await.unwrap();
    assert!(found[0].is_some() && found[1].is_none() && found[2].is_some());
}

#[tokio::test]
async fn a_phone_is_found_however_it_was_typed_and_never_by_a_part_of_it() {
    let mut bench = org().await;
    let contact = add(&bench, ivan());
    add(&bench, FakeContact { phone: "8 (912) 345-67-80".to_owned(), ..ivan() });
    let found = bench.connector.find(&Seek::Phone("+79123456789".to_owned())).await.unwrap();
    assert_eq!(found.iter().map(|c| c.id.clone()).collect::<Vec<_>>(), [contact]);
    assert_eq!(found[0].patronymic.as_deref(), Some("Петрович"));
    assert!(bench.connector.find(&Seek::Phone("+79123450000".to_owned())).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_customer_is_linked_created_voided_and_forgotten() {
    let mut bench = org().await;
    let contact = add(&bench, ivan());
    let customer = CustomerId(uuid::Uuid::from_u128(7));
    bench.connector.link(&ContactId(contact.clone()), customer).await.unwrap();
    assert_eq!(bench.server.crm.lock().unwrap().contact(&contact).unwrap().external_id, customer.to_string());
    let new = NewContact {
        customer: CustomerId(uuid::Uuid::from_u128(8)),
        given: "Елена".to_owned(),
        patronymic: None,
        family: None,
        phone: None,
        email: None,
    };
    let first = bench.connector.create(&new).await.unwrap();
    assert_eq!(bench.connector.create(&new).await.unwrap(), first, "the second time it is the same one");
    let visit = bench.visit(&contact);
    bench.connector.record(std::slice::from_ref(&visit)).await.unwrap();
    let sent =
        SentVisit { key: visit.key, record: None, contact: ContactId(contact.clone()), written_at: visit.opened_at.at };
    bench.connector.void(&sent).await.unwrap();
    assert!(bench.server.crm.lock().unwrap().visits()[0].void);
    let gone =
        Forgotten { key: visit.key, customer, contact: Some(ContactId(contact.clone())), visits: vec![sent.clone()] };
    for _ in 0..2 {
        bench.connector.forget(&gone).await.unwrap();
        bench.connector.void(&sent).await.unwrap();
    }
    let crm = bench.server.crm.lock().unwrap();
    assert!(crm.visits().is_empty() && crm.contact(&contact).unwrap().external_id.is_empty());
}

#[tokio::test]
async fn changed_cards_come_once_page_by_page() {
    use snova::clock::Clock;
    let mut bench = org().await;
    let contact = add(&bench, ivan());
    let begin = bench.connector.changed("").await.unwrap();
    bench.clock.advance(std::time::Duration::from_secs(60));
    let now = bench.clock.wall().at;
    bench.server.crm.lock().unwrap().change_contact(&contact, &|c| c.tier = "gold".to_owned(), now);
    let page = bench.connector.changed(&begin.cursor).await.unwrap();
    assert_eq!(page.contacts.len(), 1);
    assert_eq!((page.contacts[0].tier.as_deref(), page.more), (Some("gold"), false));
    for number in 0..2100 {
        add(&bench, FakeContact { phone: format!("+7900{number:07}"), ..ivan() });
    }
    let (mut seen, mut cursor) = (0, page.cursor);
    loop {
        let page = bench.connector.changed(&cursor).await.unwrap();
        seen += page.contacts.len();
        cursor = page.cursor;
        if !page.more {
            break;
        }
    }
    assert!(seen >= 2100, "{seen}");
}

#[tokio::test]
async fn an_expired_session_is_renewed_and_a_wrong_secret_is_said() {
    let mut bench = org().await;
    let contact = add(&bench, ivan());
    bench.server.plan(Fault::TokenExpired, Hits::VisitWrites, 1);
    let visit = bench.visit(&contact);
    assert!(bench.connector.record(std::slice::from_ref(&visit)).await.unwrap()[0].is_ok());
    bench.server.plan(Fault::Throttled, Hits::VisitWrites, 1);
    let full = bench.connector.record(std::slice::from_ref(&visit)).await.unwrap_err();
    assert_eq!(full.class, FailureClass::TenantBlocked);
    assert!(full.wait.is_some());
    let findings = bench.connector.probe().await;
    assert!(findings.iter().all(|finding| finding.verdict == Verdict::Good), "{findings:#?}");
    bench.secrets.0.lock().unwrap().insert("crm/salesforce/client-secret".to_owned(), "wrong".to_owned());
    bench.server.crm.lock().unwrap().expire_tokens();
    let refused = bench.connector.record(&[visit]).await.unwrap_err();
    assert_eq!(refused.class, FailureClass::Auth);
    assert!(refused.said().contains("invalid_client"), "{refused}");
}
