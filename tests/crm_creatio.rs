//! The Creatio connector at its fake: what is this vendor's alone. What all must keep is in `crm_contract`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test a panic is the report")]

#[path = "support/crm/mod.rs"]
mod crm;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crm::bench::Bench;
use crm::creatio::{FakeCreatio, USER};
use crm::server::Hits;
use crm::{FakeContact, Fault};
use snova::clock::Clock;
use snova::crm::{FailureClass, Seek, Verdict, VisitRecord};

async fn site() -> Bench {
    Bench::of(crm::vendor("creatio")).await
}

/// A site whose manners a test may change, and a box that logs in by user and password.
async fn site_with(
    manners: impl Fn(&mut FakeCreatio),
    change: impl Fn(String) -> String,
) -> (Bench, Arc<Mutex<FakeCreatio>>) {
    let mut fake = FakeCreatio::default();
    manners(&mut fake);
    let fake = Arc::new(Mutex::new(fake));
    let bench = Bench::with(Arc::clone(&fake) as Arc<Mutex<dyn crm::FakeCrm>>, change).await;
    (bench, fake)
}

fn by_password(config: String) -> String {
    let lines = config.lines().filter(|line| !line.starts_with("identity_url"));
    let line = |line: &str| if line.starts_with("client_id") { format!("user = \"{USER}\"") } else { line.to_owned() };
    lines.map(line).collect::<Vec<_>>().join("\n")
}

fn ivan() -> FakeContact {
    FakeContact {
        birthday: "1980-05-17".to_owned(),
        owner: "Ольга Петрова".to_owned(),
        ..FakeContact::named("Иван", "Петрович", "Соколов", "8 (912) 345-67-89")
    }
}

fn add(bench: &Bench, contact: FakeContact) -> String {
    bench.server.crm.lock().unwrap().add_contact(contact, bench.clock.wall().at)
}

#[tokio::test]
async fn what_is_reported_as_failed_and_was_written_counts_as_recorded() {
    let (mut bench, _) = site_with(|fake| fake.lies_each = 1, |config| config).await;
    let contact = add(&bench, ivan());
    let visits: Vec<VisitRecord> = (0..20).map(|_| bench.visit(&contact)).collect();
    let rows = bench.connector.record(&visits).await.unwrap();
    assert!(rows.iter().all(Result::is_ok), "{rows:?}");
    assert_eq!(bench.server.crm.lock().unwrap().visits().len(), 20);
}

#[tokio::test]
async fn an_activity_that_lost_its_contact_is_mended_or_stops_the_road() {
    let (mut bench, fake) = site_with(|fake| fake.drops_contact = true, |config| config).await;
    let contact = add(&bench, ivan());
    let visit = bench.visit(&contact);
    let lost = bench.connector.record(std::slice::from_ref(&visit)).await.unwrap().remove(0).unwrap_err();
    assert_eq!(lost.class, FailureClass::TenantBlocked);
    fake.lock().unwrap().drops_contact = false;
    assert!(bench.connector.record(&[visit]).await.unwrap()[0].is_ok());
    let there = bench.server.crm.lock().unwrap().visits();
    assert_eq!((there.len(), there[0].contact.as_str()), (1, contact.as_str()));
}

#[tokio::test]
async fn a_visit_of_a_contact_that_is_gone_is_said_so_and_a_missing_list_entry_stops_the_road() {
    let mut bench = site().await;
    let nobody = uuid::Uuid::from_u128(77).to_string();
    let rows = bench.connector.record(&[bench.visit(&nobody)]).await.unwrap();
    assert!(rows[0].as_ref().unwrap_err().contact_gone);
    let wrong = |config: String| format!("{config}[crm.creatio.visit]\nfinished = \"Выполнено\"\n");
    let (mut bench, _) = site_with(|_| {}, wrong).await;
    let contact = add(&bench, ivan());
    let refused = bench.connector.record(&[bench.visit(&contact)]).await.unwrap_err();
    assert_eq!(refused.class, FailureClass::TenantBlocked);
    let named =
        |config: String| format!("{config}[crm.creatio.visit]\nfinished = \"completed\"\ncategory = \"Meeting\"\n");
    let (mut bench, _) = site_with(|_| {}, named).await;
    let contact = add(&bench, ivan());
    assert!(bench.connector.record(&[bench.visit(&contact)]).await.unwrap()[0].is_ok());
}

#[tokio::test]
async fn a_phone_is_found_however_it_was_typed_and_never_by_a_part_of_it() {
    let mut bench = site().await;
    let contact = add(&bench, ivan());
    add(&bench, FakeContact { phone: "8 (912) 345-67-80".to_owned(), ..ivan() });
    let found = bench.connector.find(&Seek::Phone("+79123456789".to_owned())).await.unwrap();
    assert_eq!(found.iter().map(|c| c.id.clone()).collect::<Vec<_>>(), [contact]);
    assert_eq!(found[0].patronymic.as_deref(), Some("Петрович"));
    assert_eq!(found[0].owner.as_deref(), Some("Ольга Петрова"));
    assert_eq!(found[0].birthday, Some("1980-05-17".parse().unwrap()));
    assert_eq!(found[0].tier, None, "an empty text is none");
    assert!(bench.connector.find(&Seek::Phone("+79123450000".to_owned())).await.unwrap().is_empty());
    let longest = bench.server.asked().iter().map(|a| a.query.iter().map(|(_, v)| v.len()).sum::<usize>()).max();
    assert!(longest.unwrap() < 2000, "IIS refuses longer addresses: {longest:?}");
}

#[tokio::test]
async fn changed_cards_come_page_by_page_though_contacts_change_meanwhile() {
    let mut bench = site().await;
    let contact = add(&bench, ivan());
    bench.clock.advance(Duration::from_secs(600));
    let begin = bench.connector.changed("").await.unwrap();
    assert!(bench.connector.changed(&begin.cursor).await.unwrap().contacts.is_empty());
    bench.clock.advance(Duration::from_secs(60));
    let now = bench.clock.wall().at;
    bench.server.crm.lock().unwrap().change_contact(&contact, &|c| c.tier = "gold".to_owned(), now);
    let page = bench.connector.changed(&begin.cursor).await.unwrap();
    assert_eq!(page.contacts.len(), 1);
    assert_eq!((page.contacts[0].tier.as_deref(), page.more), (Some("gold"), false));
    // An import gives more than a page the same time; then come single ones.
    bench.clock.advance(Duration::from_secs(600));
    let mut all = std::collections::BTreeSet::new();
    for number in 0..1800 {
        if number > 1200 {
            bench.clock.advance(Duration::from_millis(10));
        }
        all.insert(add(&bench, FakeContact { phone: format!("+7900{number:07}"), ..ivan() }));
    }
    let (mut seen, mut cursor, mut pages) = (std::collections::BTreeSet::new(), page.cursor, 0);
    loop {
        let page = bench.connector.changed(&cursor).await.unwrap();
        seen.extend(page.contacts.iter().map(|contact| contact.id.clone()));
        cursor = page.cursor;
        pages += 1;
        if !page.more {
            break;
        }
        // One that was read already moves to the end, and those behind it move up.
        let early = seen.iter().next().cloned().unwrap();
        bench.clock.advance(Duration::from_secs(1));
        let now = bench.clock.wall().at;
        bench.server.crm.lock().unwrap().change_contact(&early, &|c| c.visits += 1, now);
    }
    assert!(all.is_subset(&seen), "{} of {} in {pages} pages", seen.len(), all.len());
    assert!(pages < 10, "{pages}");
}

#[tokio::test]
async fn an_expired_session_is_renewed_by_either_login_and_a_wrong_secret_is_said() {
    for password in [false, true] {
        let change = |config: String| if password { by_password(config) } else { config };
        let (mut bench, fake) = site_with(|fake| fake.lies_each = 0, change).await;
        let contact = add(&bench, ivan());
        // Twice: a way to the login page, and then the page itself.
        for _ in 0..2 {
            bench.server.plan(Fault::TokenExpired, Hits::VisitWrites, 1);
            let visit = bench.visit(&contact);
            assert!(bench.connector.record(&[visit]).await.unwrap()[0].is_ok());
        }
        let visit = bench.visit(&contact);
        bench.server.plan(Fault::Throttled, Hits::VisitWrites, 1);
        let full = bench.connector.record(std::slice::from_ref(&visit)).await.unwrap_err();
        assert_eq!(full.class, FailureClass::Throttled);
        bench.server.plan(Fault::Garbage, Hits::VisitWrites, 1);
        assert!(bench.connector.record(std::slice::from_ref(&visit)).await.unwrap()[0].is_ok());
        assert_eq!(bench.server.crm.lock().unwrap().visits().len(), 3);
        let findings = bench.connector.probe().await;
        assert!(findings.iter().all(|finding| finding.verdict == Verdict::Good), "{findings:#?}");
        let name = if password { "crm/creatio/password" } else { "crm/creatio/client-secret" };
        bench.secrets.0.lock().unwrap().insert(name.to_owned(), "wrong".to_owned());
        crm::FakeCrm::expire_tokens(&mut *fake.lock().unwrap());
        let refused = bench.connector.record(&[visit]).await.unwrap_err();
        assert_eq!(refused.class, FailureClass::Auth);
        assert!(refused.said().contains(if password { "(1)" } else { "invalid_client" }), "{refused}");
    }
}

#[tokio::test]
async fn a_site_on_net_core_is_reached_and_the_wrong_choice_is_said() {
    let core = |fake: &mut FakeCreatio| fake.net_framework = false;
    let told = |config: String| config.replace("client_id", "net_framework = false\nclient_id");
    let (mut bench, _) = site_with(core, told).await;
    let contact = add(&bench, ivan());
    assert!(bench.connector.record(&[bench.visit(&contact)]).await.unwrap()[0].is_ok());
    let (mut bench, _) = site_with(core, |config| config).await;
    let findings = bench.connector.probe().await;
    assert_eq!(findings[0].verdict, Verdict::Missing);
    assert!(findings[0].remedy.contains("net_framework"), "{findings:?}");
    assert_eq!(bench.connector.record(&[bench.visit(&contact)]).await.unwrap_err().class, FailureClass::TenantBlocked);
}

#[tokio::test]
async fn the_probe_names_a_column_that_is_missing() {
    let other =
        |config: String| config.replace("tier = \"UsrTier\"", "tier = \"UsrRank\"\nexternal_id = \"UsrNobody\"");
    let (mut bench, _) = site_with(|_| {}, other).await;
    let findings = bench.connector.probe().await;
    let of = |name: &str| findings.iter().find(|finding| finding.what.contains(name)).unwrap().verdict;
    assert_eq!((of("UsrNobody"), of("UsrRank"), of("UsrOffer")), (Verdict::Missing, Verdict::Warning, Verdict::Good));
    let sought = bench.connector.find(&Seek::Email("i@x.ru".to_owned())).await.unwrap_err();
    assert_eq!(sought.class, FailureClass::TenantBlocked);
}

#[tokio::test]
async fn a_strict_server_gets_the_plain_form_and_is_asked_in_the_other_one_only_once() {
    let (mut bench, _) = site_with(|fake| fake.strict = true, |config| config).await;
    let contact = add(&bench, ivan());
    for _ in 0..2 {
        assert!(bench.connector.record(&[bench.visit(&contact)]).await.unwrap()[0].is_ok());
    }
    let asked = bench.server.asked();
    let verbose = asked.iter().filter(|asked| asked.text().contains("odata=verbose")).count();
    let batches = asked.iter().filter(|asked| asked.path.ends_with("/$batch")).count();
    assert_eq!((verbose, batches), (1, 3));
    assert_eq!(bench.server.crm.lock().unwrap().visits().len(), 2);
}

#[tokio::test]
async fn an_answer_that_a_rows_form_is_refused_names_no_contact_and_stops_the_road() {
    let (mut bench, fake) = site_with(|_| {}, |config| config).await;
    let contact = add(&bench, ivan());
    fake.lock().unwrap().refuses = Some((405, "The requested resource does not support http method."));
    let refused = bench.connector.record(&[bench.visit(&contact)]).await.unwrap().remove(0).unwrap_err();
    assert_eq!(refused.class, FailureClass::TenantBlocked);
    assert!(refused.said().contains("HTTP 405") && !refused.said().contains("contact"), "{refused}");
}
