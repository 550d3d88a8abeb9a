//! The Dynamics connector at its fake: what is this vendor's alone. What all must keep is in `crm_contract`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test a panic is the report")]

#[path = "support/crm/mod.rs"]
mod crm;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crm::bench::Bench;
use crm::dynamics::FakeDynamics;
use crm::server::Hits;
use crm::{FakeContact, FakeCrm, Fault};
use snova::clock::Clock;
use snova::crm::{ContactId, FailureClass, Seek, SentVisit, Verdict, VisitRecord};

async fn org() -> Bench {
    Bench::of(crm::vendor("dynamics")).await
}

/// An environment whose manners a test may change.
async fn org_with(
    manners: impl Fn(&mut FakeDynamics),
    change: impl Fn(String) -> String,
) -> (Bench, Arc<Mutex<FakeDynamics>>) {
    let mut fake = FakeDynamics::default();
    manners(&mut fake);
    let fake = Arc::new(Mutex::new(fake));
    let bench = Bench::with(Arc::clone(&fake) as Arc<Mutex<dyn FakeCrm>>, change).await;
    (bench, fake)
}

fn ivan() -> FakeContact {
    FakeContact {
        birthday: "1980-05-17".to_owned(),
        owner: "Ольга Петрова".to_owned(),
        tier: "Золотой".to_owned(),
        ..FakeContact::named("Иван", "Петрович", "Соколов", "8 (912) 345-67-89")
    }
}

fn add(bench: &Bench, contact: FakeContact) -> String {
    bench.server.crm.lock().unwrap().add_contact(contact, bench.clock.wall().at)
}

fn sent(visit: &VisitRecord) -> SentVisit {
    SentVisit { key: visit.key, record: None, contact: visit.contact.clone(), written_at: visit.opened_at.at }
}

/// The state of a task as others read it.
async fn state(bench: &Bench, fake: &Arc<Mutex<FakeDynamics>>, key: uuid::Uuid) -> (i64, i64) {
    let asked = crm::Asked {
        method: "GET".to_owned(),
        path: format!("/api/data/v9.2/tasks({key})"),
        query: Vec::new(),
        headers: vec![("authorization".to_owned(), format!("Bearer {}", token(bench)))],
        body: Vec::new(),
    };
    let answer = fake.lock().unwrap().answer(&asked, bench.clock.wall().at);
    let row: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    (row["statecode"].as_i64().unwrap(), row["statuscode"].as_i64().unwrap())
}

/// The token that the connector used last.
fn token(bench: &Bench) -> String {
    bench.server.asked().iter().rev().find_map(|asked| asked.bearer().map(str::to_owned)).unwrap()
}

#[tokio::test]
async fn a_stop_between_creating_and_completing_is_healed() {
    let (mut bench, fake) = org_with(|fake| fake.loses_completion = true, |config| config).await;
    let contact = add(&bench, ivan());
    let visit = bench.visit(&contact);
    let lost = bench.connector.record(std::slice::from_ref(&visit)).await.unwrap().remove(0).unwrap_err();
    assert_eq!(lost.class, FailureClass::Transient);
    assert_eq!(state(&bench, &fake, visit.key).await, (0, 2));
    fake.lock().unwrap().loses_completion = false;
    assert!(bench.connector.record(std::slice::from_ref(&visit)).await.unwrap()[0].is_ok());
    assert_eq!(state(&bench, &fake, visit.key).await, (1, 5));
    // One that was voided since is not completed by a late repetition.
    bench.connector.void(&sent(&visit)).await.unwrap();
    assert!(bench.connector.record(std::slice::from_ref(&visit)).await.unwrap()[0].is_ok());
    assert_eq!(state(&bench, &fake, visit.key).await, (2, 6));
}

#[tokio::test]
async fn a_visit_is_voided_also_where_a_completed_task_must_be_opened_first() {
    let (mut bench, fake) = org_with(|fake| fake.strict_transitions = true, |config| config).await;
    let contact = add(&bench, ivan());
    let visit = bench.visit(&contact);
    bench.connector.record(std::slice::from_ref(&visit)).await.unwrap();
    bench.connector.void(&sent(&visit)).await.unwrap();
    assert_eq!(state(&bench, &fake, visit.key).await, (2, 6));
    assert!(fake.lock().unwrap().visits()[0].void);
}

#[tokio::test]
async fn a_visit_follows_its_customer_to_another_contact_while_it_was_in_doubt() {
    let mut bench = org().await;
    let (wrong, right) = (add(&bench, ivan()), add(&bench, ivan()));
    let mut visit = bench.visit(&wrong);
    bench.server.plan(Fault::CutAfter, Hits::VisitWrites, 1);
    assert_eq!(bench.connector.record(&[visit.clone()]).await.unwrap_err().class, FailureClass::Transient);
    visit.contact = ContactId(right.clone());
    assert!(bench.connector.record(&[visit]).await.unwrap()[0].is_ok());
    let there = bench.server.crm.lock().unwrap().visits();
    assert_eq!((there.len(), there[0].contact.as_str()), (1, right.as_str()));
}

#[tokio::test]
async fn a_visit_of_a_contact_that_is_gone_is_said_so_and_a_missing_table_stops_the_road() {
    let mut bench = org().await;
    let rows = bench.connector.record(&[bench.visit(&uuid::Uuid::from_u128(77).to_string())]).await.unwrap();
    assert!(rows[0].as_ref().unwrap_err().contact_gone);
    for wrong in [
        "table = \"new_nothings\"",
        "table = \"new_storevisits\"\nat = \"new_when\"",
        "table = \"new_storevisits\"\ncontact = \"new_contact\"",
    ] {
        let (mut bench, _) = org_with(|_| {}, |config| format!("{config}[crm.dynamics.visit]\n{wrong}\n")).await;
        let contact = add(&bench, ivan());
        let rows = bench.connector.record(&[bench.visit(&contact)]).await;
        let refused = rows.map_or_else(|failure| failure, |mut rows| rows.remove(0).unwrap_err());
        assert_eq!(refused.class, FailureClass::TenantBlocked, "{wrong}");
        let findings = bench.connector.probe().await;
        assert!(findings.iter().any(|finding| finding.verdict == Verdict::Missing), "{wrong}");
    }
}

#[tokio::test]
async fn a_phone_is_found_however_it_was_typed_and_never_by_a_part_of_it() {
    let mut bench = org().await;
    let contact = add(&bench, ivan());
    let plus = add(&bench, FakeContact { phone: "+79123456780".to_owned(), ..ivan() });
    let found = bench.connector.find(&Seek::Phone("+79123456789".to_owned())).await.unwrap();
    assert_eq!(found.iter().map(|c| c.id.clone()).collect::<Vec<_>>(), [contact]);
    assert_eq!(found[0].patronymic.as_deref(), Some("Петрович"));
    assert_eq!(found[0].owner.as_deref(), Some("Ольга Петрова"));
    assert_eq!(found[0].tier.as_deref(), Some("Золотой"), "a choice is shown by its name");
    assert_eq!(found[0].birthday, Some("1980-05-17".parse().unwrap()), "and a date is not read as it is shown");
    let found = bench.connector.find(&Seek::Phone("+79123456780".to_owned())).await.unwrap();
    assert_eq!(found.iter().map(|c| c.id.clone()).collect::<Vec<_>>(), [plus], "the plus arrives as one");
    assert!(bench.connector.find(&Seek::Phone("+79123450000".to_owned())).await.unwrap().is_empty());
}

async fn follow(bench: &mut Bench, cursor: &mut String) -> Vec<snova::crm::Contact> {
    let mut all = Vec::new();
    loop {
        let page = bench.connector.changed(cursor).await.unwrap();
        all.extend(page.contacts);
        *cursor = page.cursor;
        if !page.more {
            return all;
        }
    }
}

#[tokio::test]
async fn changes_are_tracked_with_deletions_and_an_old_link_begins_anew() {
    let (mut bench, fake) = org_with(|_| {}, |config| config).await;
    let contact = add(&bench, ivan());
    for number in 0..1100 {
        add(&bench, FakeContact { phone: format!("+7900{number:07}"), ..ivan() });
    }
    let mut cursor = String::new();
    let all: BTreeSet<String> = follow(&mut bench, &mut cursor).await.into_iter().map(|c| c.id).collect();
    assert_eq!(all.len(), 1101);
    assert!(follow(&mut bench, &mut cursor).await.is_empty());
    let now = bench.clock.wall().at;
    fake.lock().unwrap().change_contact(&contact, &|c| c.tier = "gold".to_owned(), now);
    let changed = follow(&mut bench, &mut cursor).await;
    assert_eq!(changed.len(), 1);
    assert_eq!(changed[0].tier.as_deref(), Some("gold"));
    let (loser, survivor) = (add(&bench, ivan()), add(&bench, ivan()));
    follow(&mut bench, &mut cursor).await;
    fake.lock().unwrap().merge_contacts(&loser, &survivor, now);
    let merged = follow(&mut bench, &mut cursor).await.remove(0);
    assert_eq!((merged.id, merged.deleted, merged.master), (loser, true, Some(ContactId(survivor))));
    fake.lock().unwrap().bin_contact(&contact, now);
    let deleted = follow(&mut bench, &mut cursor).await;
    assert_eq!((deleted[0].id.as_str(), deleted[0].deleted), (contact.as_str(), true));
    bench.clock.advance(Duration::from_secs(8 * 86_400));
    assert!(follow(&mut bench, &mut cursor).await.is_empty());
    assert_eq!(cursor, "", "all is read anew");
    assert_eq!(follow(&mut bench, &mut cursor).await.len(), 1102);
}

#[tokio::test]
async fn without_change_tracking_changes_are_followed_by_time() {
    let (mut bench, fake) = org_with(|fake| fake.tracks = false, |config| config).await;
    let contact = add(&bench, ivan());
    bench.clock.advance(Duration::from_secs(600));
    let mut cursor = String::new();
    assert!(follow(&mut bench, &mut cursor).await.is_empty());
    bench.clock.advance(Duration::from_secs(60));
    let now = bench.clock.wall().at;
    fake.lock().unwrap().change_contact(&contact, &|c| c.tier = "gold".to_owned(), now);
    assert_eq!(follow(&mut bench, &mut cursor).await[0].tier.as_deref(), Some("gold"));
    bench.clock.advance(Duration::from_secs(60));
    for number in 0..1100 {
        add(&bench, FakeContact { phone: format!("+7900{number:07}"), ..ivan() });
    }
    let all: BTreeSet<String> = follow(&mut bench, &mut cursor).await.into_iter().map(|c| c.id).collect();
    assert!(all.len() >= 1100, "{}", all.len());
    let findings = bench.connector.probe().await;
    let tracking = findings.iter().find(|finding| finding.what.contains("change tracking")).unwrap();
    assert_eq!(tracking.verdict, Verdict::Warning);
}

#[tokio::test]
async fn an_expired_token_is_renewed_a_wrong_secret_is_said_and_the_limit_is_kept() {
    let (mut bench, fake) = org_with(|_| {}, |config| config).await;
    let contact = add(&bench, ivan());
    bench.server.plan(Fault::TokenExpired, Hits::VisitWrites, 1);
    let visit = bench.visit(&contact);
    assert!(bench.connector.record(std::slice::from_ref(&visit)).await.unwrap()[0].is_ok());
    for (fault, class) in [
        (Fault::Garbage, FailureClass::Transient),
        (Fault::HalfAnswer, FailureClass::Transient),
        (Fault::Blocked, FailureClass::TenantBlocked),
        (Fault::Throttled, FailureClass::Throttled),
    ] {
        bench.server.plan(fault, Hits::VisitWrites, 1);
        let failure = bench.connector.record(std::slice::from_ref(&visit)).await.unwrap_err();
        assert_eq!(failure.class, class, "{fault:?}: {failure}");
        assert_eq!(failure.wait.is_some(), class == FailureClass::Throttled);
    }
    assert!(bench.connector.record(std::slice::from_ref(&visit)).await.unwrap()[0].is_ok());
    assert_eq!(fake.lock().unwrap().visits().len(), 1);
    let findings = bench.connector.probe().await;
    assert!(findings.iter().all(|finding| finding.verdict == Verdict::Good), "{findings:#?}");
    bench.secrets.0.lock().unwrap().insert("crm/dynamics/client-secret".to_owned(), "wrong".to_owned());
    fake.lock().unwrap().expire_tokens();
    let refused = bench.connector.record(&[visit]).await.unwrap_err();
    assert_eq!(refused.class, FailureClass::Auth);
    assert!(refused.said().contains("invalid_client"), "{refused}");
}

#[tokio::test]
async fn a_refused_header_is_named_and_stops_the_road_instead_of_killing_one_visit_after_the_other() {
    let (mut bench, fake) = org_with(|fake| fake.refuses_header = Some("if-none-match"), |config| config).await;
    let contact = add(&bench, ivan());
    let visit = bench.visit(&contact);
    let refused = bench.connector.record(std::slice::from_ref(&visit)).await.unwrap().remove(0).unwrap_err();
    assert_eq!(refused.class, FailureClass::TenantBlocked);
    assert!(refused.said().contains("refuses the header If-None-Match"), "{refused}");
    fake.lock().unwrap().refuses_header = None;
    // One that is dropped on the way makes an upsert an update, which finds nothing.
    fake.lock().unwrap().only_updates = true;
    let refused = bench.connector.record(std::slice::from_ref(&visit)).await.unwrap().remove(0).unwrap_err();
    assert_eq!(refused.class, FailureClass::TenantBlocked);
    assert!(refused.said().contains("though the contact is there"), "{refused}");
    fake.lock().unwrap().only_updates = false;
    assert!(bench.connector.record(&[visit]).await.unwrap()[0].is_ok());
}

#[tokio::test]
async fn where_rows_may_not_be_given_away_visits_are_the_apps_own() {
    let (mut bench, fake) = org_with(|fake| fake.keeps_owners = true, |config| config).await;
    let contact = add(&bench, ivan());
    for _ in 0..2 {
        assert!(bench.connector.record(&[bench.visit(&contact)]).await.unwrap()[0].is_ok());
    }
    assert_eq!(fake.lock().unwrap().visits().len(), 2);
    let given = bench.server.asked().iter().filter(|asked| asked.text().contains("ownerid_task@odata.bind")).count();
    assert_eq!(given, 1, "it is tried once");
}

#[tokio::test]
async fn columns_that_may_not_be_made_are_named_with_what_they_hold() {
    let (mut bench, _) = org_with(|fake| fake.may_customise = false, |config| config).await;
    let findings = bench.connector.prepare().await;
    let of = |name: &str| findings.iter().find(|finding| finding.what.contains(name)).unwrap();
    let late = of("new_snovalatesince");
    assert_eq!(late.verdict, Verdict::Warning);
    assert!(late.remedy.contains("a date ") && late.remedy.contains("rights"), "{late:?}");
    assert!(of("new_snovasum").remedy.contains("two places"));
}
