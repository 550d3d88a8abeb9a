//! The signed webhook at its fake and at the receiver of `docs/crm/webhook.md`: what is this connector's alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test a panic is the report")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[path = "support/crm/mod.rs"]
mod crm;

use crm::bench::Bench;
use crm::server::Hits;
use crm::webhook::{FakeReceiver, Manner};
use crm::{FakeCrm, Fault, POISON_TILL};
use snova::clock::Clock;
use snova::crm::{
    ContactId, CrmConnector, Failure, FailureClass, Forgotten, Greeting, Heartbeat, Receipt, RecordId, Seek, SentVisit,
    Told, Verdict, VisitRecord,
};
use snova::customer::CustomerId;

/// A bench with the receiver itself, whose manner can be changed.
async fn receiver() -> (Bench, Arc<Mutex<FakeReceiver>>) {
    let fake = Arc::new(Mutex::new(FakeReceiver::default()));
    let bench = Bench::of(Arc::clone(&fake) as Arc<Mutex<dyn FakeCrm>>).await;
    (bench, fake)
}

fn sent(visit: &VisitRecord) -> SentVisit {
    SentVisit { key: visit.key, record: None, contact: visit.contact.clone(), written_at: visit.closed_at.at }
}

fn beat(bench: &Bench) -> Heartbeat {
    Heartbeat {
        device: "shop-7".to_owned(),
        box_id: uuid::Uuid::nil(),
        version: "0.2.0".to_owned(),
        at: bench.clock.wall(),
        cameras: vec![("till-1-front".to_owned(), true)],
        outbox_depth: 3,
        outbox_oldest: Some(Duration::from_secs(70)),
        outbox_dead: 0,
    }
}

#[tokio::test]
async fn a_visit_sent_twice_is_taken_once_and_a_refused_one_does_not_hold_up_the_rest() {
    let (mut bench, fake) = receiver().await;
    let visits = [bench.visit("c1"), bench.visit_at("c2", POISON_TILL), bench.visit("c3")];
    for _ in 0..2 {
        let rows = bench.connector.record(&visits).await.unwrap();
        assert_eq!(rows[0], Ok(RecordId("row-0".to_owned())));
        assert_eq!(rows[2], Ok(RecordId("row-1".to_owned())));
        let refused = rows[1].as_ref().unwrap_err();
        assert_eq!(refused.class, FailureClass::Poison);
        assert!(refused.said().contains("bad_counter"), "{refused}");
    }
    let there = fake.lock().unwrap().visits();
    assert_eq!(there.len(), 2);
    assert_eq!(there[0].opened_at, Some(visits[0].opened_at.at));
    assert_eq!(there[0].contact, visits[0].customer.to_string());
}

#[tokio::test]
async fn one_bad_visit_is_found_out_where_the_receiver_refuses_the_whole_batch() {
    let (mut bench, fake) = receiver().await;
    fake.lock().unwrap().manner = Manner::AllOrNothing;
    let visits = [bench.visit("c1"), bench.visit_at("c2", POISON_TILL), bench.visit("c3")];
    let rows = bench.connector.record(&visits).await.unwrap();
    assert!(rows[0].is_ok() && rows[2].is_ok());
    assert_eq!(rows[1].as_ref().unwrap_err().class, FailureClass::Poison);
    let alone = bench.connector.record(&visits[1..2]).await.unwrap();
    assert_eq!(alone[0].as_ref().unwrap_err().class, FailureClass::Poison);
    assert_eq!(fake.lock().unwrap().visits().len(), 2);
}

#[tokio::test]
async fn every_request_is_signed_keyed_and_named() {
    let (mut bench, fake) = receiver().await;
    let visits = [bench.visit("c1"), bench.visit("c2")];
    bench.connector.record(&visits[..1]).await.unwrap();
    bench.connector.record(&visits).await.unwrap();
    assert!(bench.connector.heartbeat(&beat(&bench)).await.unwrap());
    let asked = bench.server.asked();
    assert_eq!(asked[0].header("idempotency-key"), Some(&*visits[0].key.to_string()));
    assert_eq!(asked[1].header("idempotency-key").map(str::len), Some(64), "a batch has a key of its own");
    let kinds: Vec<_> = asked.iter().map(|asked| asked.header("snova-event").unwrap()).collect();
    assert_eq!(kinds, ["visit", "visit", "heartbeat"]);
    assert!(asked.iter().all(|asked| asked.header("content-type") == Some("application/json")));
    assert_eq!(fake.lock().unwrap().heartbeats(), 1);
}

#[tokio::test]
async fn a_visit_is_voided_and_a_customer_forgotten_as_often_as_it_is_said() {
    let (mut bench, fake) = receiver().await;
    let visit = bench.visit("c1");
    bench.connector.record(std::slice::from_ref(&visit)).await.unwrap();
    let gone = Forgotten {
        key: uuid::Uuid::from_u128(5),
        customer: visit.customer,
        visits: vec![sent(&visit), sent(&bench.visit("never sent"))],
    };
    for _ in 0..2 {
        bench.connector.void(&sent(&visit)).await.unwrap();
        bench.connector.void(&sent(&bench.visit("never sent"))).await.unwrap();
        bench.connector.forget(&gone).await.unwrap();
    }
    let there = fake.lock().unwrap().visits();
    assert_eq!(there.len(), 1);
    assert!(there[0].void && there[0].erased);
}

/// A visit of which everything is known.
fn whole(bench: &Bench) -> VisitRecord {
    VisitRecord {
        greeting: Some(Greeting::Right),
        served_by: Some("Анна К.".to_owned()),
        receipt: Some(Receipt { number: "A-77".to_owned(), sum: 123_450 }),
        skew: Some(jiff::SignedDuration::from_mins(-9)),
        ..bench.visit("c1")
    }
}

#[tokio::test]
async fn what_becomes_known_later_is_an_amendment_once_and_what_changes_again_another() {
    let (mut bench, fake) = receiver().await;
    let mut visit = bench.visit("c1");
    bench.connector.record(std::slice::from_ref(&visit)).await.unwrap();
    let of = |fake: &Arc<Mutex<FakeReceiver>>, kind: &str| -> Vec<serde_json::Value> {
        fake.lock().unwrap().taken.values().filter(|event| event["event"] == kind).cloned().collect()
    };
    assert!(of(&fake, "visit")[0]["receipt"].is_null() && of(&fake, "visit")[0]["greeting"].is_null());
    visit = VisitRecord { key: visit.key, ..whole(&bench) };
    for _ in 0..2 {
        bench.connector.amend(&visit, &sent(&visit)).await.unwrap();
    }
    let amended = of(&fake, "amendment");
    assert_eq!(amended.len(), 1, "the same is said under the same key");
    assert_eq!(amended[0]["visit"], visit.key.to_string());
    assert_eq!(amended[0]["receipt"], serde_json::json!({ "number": "A-77", "sum": "1234.50" }));
    assert_eq!((&amended[0]["greeting"], &amended[0]["clock_ahead_s"]), (&"right".into(), &(-540).into()));
    visit.greeting = Some(Greeting::Wrong);
    bench.connector.amend(&visit, &sent(&visit)).await.unwrap();
    assert_eq!(of(&fake, "amendment").len(), 2);
    assert_eq!(fake.lock().unwrap().visits().len(), 1);
}

#[tokio::test]
async fn the_events_of_the_guide_are_those_that_are_sent() {
    let (mut bench, fake) = receiver().await;
    let visit = whole(&bench);
    bench.connector.record(std::slice::from_ref(&visit)).await.unwrap();
    bench.connector.amend(&visit, &sent(&visit)).await.unwrap();
    let keys = |event: &serde_json::Value| event.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let guide = include_str!("../docs/crm/webhook.md");
    let blocks = guide.split("```json\n").skip(1).filter_map(|rest| rest.split("```").next());
    let shown: Vec<serde_json::Value> = blocks.filter_map(|block| serde_json::from_str(block).ok()).collect();
    let events: Vec<_> = shown.iter().filter_map(|block| block.as_array()).flatten().collect();
    assert_eq!(events.len(), 2, "a visit and an amendment");
    for event in events {
        let sent = fake.lock().unwrap().taken.values().find(|own| own["event"] == event["event"]).cloned().unwrap();
        assert_eq!(keys(event), keys(&sent), "{}", event["event"]);
    }
}

#[tokio::test]
async fn an_empty_answer_means_taken_and_any_other_that_is_none_does_not() {
    let (mut bench, fake) = receiver().await;
    fake.lock().unwrap().manner = Manner::Silent;
    let visit = bench.visit("c1");
    let rows = bench.connector.record(std::slice::from_ref(&visit)).await.unwrap();
    assert_eq!(rows, [Ok(RecordId(String::new()))]);
    fake.lock().unwrap().manner = Manner::Results;
    for fault in [Fault::Garbage, Fault::HalfAnswer, Fault::ErrorAfter, Fault::Unavailable, Fault::CutAfter] {
        bench.server.plan(fault, Hits::VisitWrites, 1);
        let failure = bench.connector.record(std::slice::from_ref(&visit)).await.unwrap_err();
        assert_eq!(failure.class, FailureClass::Transient, "{fault:?}: {failure}");
    }
    assert!(bench.connector.record(&[visit]).await.unwrap()[0].is_ok());
    assert_eq!(fake.lock().unwrap().visits().len(), 1);
}

#[tokio::test]
async fn each_refusal_has_its_class_and_quotes_no_prose() {
    let (mut bench, _fake) = receiver().await;
    let visit = bench.visit("c1");
    let mut failure = async |fault| -> Failure {
        bench.server.plan(fault, Hits::VisitWrites, 1);
        bench.connector.record(std::slice::from_ref(&visit)).await.unwrap_err()
    };
    let throttled = failure(Fault::Throttled).await;
    assert_eq!((throttled.class, throttled.wait), (FailureClass::Throttled, Some(Duration::from_secs(30))));
    assert_eq!(failure(Fault::Blocked).await.class, FailureClass::TenantBlocked);
    bench.secrets.0.lock().unwrap().insert("crm/webhook/key".to_owned(), "wrong".to_owned());
    let refused = bench.connector.record(&[visit]).await.unwrap_err();
    assert_eq!(refused.class, FailureClass::Auth);
    assert!(refused.said().ends_with("compare the key on both sides (bad_signature)"), "{refused}");
    bench.secrets.0.lock().unwrap().clear();
    let none = bench.connector.heartbeat(&beat(&bench)).await.unwrap_err();
    assert!(none.said().contains("snova crm secret crm/webhook/key"), "{none}");
}

#[tokio::test]
async fn a_wrong_address_stops_the_lane_instead_of_condemning_a_visit() {
    let fake = Arc::new(Mutex::new(FakeReceiver::default()));
    let mut bench = Bench::with(fake, |config| config.replace("/snova\"", "/nothing\"")).await;
    let visit = bench.visit("c1");
    let failure = bench.connector.record(&[visit]).await.unwrap_err();
    assert_eq!(failure.class, FailureClass::TenantBlocked);
    assert!(failure.said().contains("correct url"), "{failure}");
}

#[tokio::test]
async fn a_clock_may_be_some_minutes_off_and_a_larger_difference_is_said() {
    let (mut bench, _fake) = receiver().await;
    let visit = bench.visit("c1");
    bench.server.set_clock_ahead(jiff::SignedDuration::from_mins(9));
    assert!(bench.connector.record(std::slice::from_ref(&visit)).await.unwrap()[0].is_ok());
    bench.server.set_clock_ahead(jiff::SignedDuration::from_secs(3 * 3600 + 30));
    let refused = bench.connector.record(&[visit]).await.unwrap_err();
    assert_eq!(refused.class, FailureClass::Auth);
    assert!(refused.said().contains("180 minutes apart (stale_timestamp)"), "{refused}");
}

#[tokio::test]
async fn a_webhook_has_no_contacts() {
    let (mut bench, _fake) = receiver().await;
    assert!(!bench.connector.manners().needs_contact && bench.connector.manners().keyed);
    let customer = CustomerId(uuid::Uuid::from_u128(7));
    assert!(bench.connector.find(&Seek::Mark(customer)).await.unwrap().is_empty());
    assert_eq!(bench.connector.contact(&ContactId("c1".to_owned())).await.unwrap(), None);
    let c1 = ContactId("c1".to_owned());
    let told = [(c1.clone(), Told::default())];
    for refused in [
        bench.connector.write_mark(&c1, "x").await.unwrap_err(),
        bench.connector.visits_of(&c1).await.unwrap_err(),
        bench.connector.tell(&told).await.unwrap_err(),
        bench.connector.retire(&c1, &c1).await.unwrap_err(),
    ] {
        assert_eq!(refused.class, FailureClass::TenantBlocked);
        assert!(refused.said().contains("keeps no contacts"), "{refused}");
    }
    let prepared = bench.connector.prepare().await;
    assert!(prepared.len() == 1 && prepared[0].verdict == Verdict::Good);
    let page = bench.connector.changed("x").await.unwrap();
    assert!(page.contacts.is_empty() && !page.more && page.cursor == "x");
    assert!(bench.server.asked().is_empty(), "nothing was sent for any of it");
}

#[tokio::test]
async fn the_probe_finds_out_a_receiver_that_takes_everything() {
    let (mut bench, fake) = receiver().await;
    let good = bench.connector.probe().await;
    assert!(good.len() == 4 && good.iter().all(|finding| finding.verdict == Verdict::Good), "{good:#?}");
    fake.lock().unwrap().manner = Manner::Careless;
    let careless = bench.connector.probe().await;
    let last = careless.last().unwrap();
    assert!(last.verdict == Verdict::Warning && last.remedy.contains("anybody"), "{last:?}");
    fake.lock().unwrap().manner = Manner::Silent;
    let silent = bench.connector.probe().await;
    assert!(silent.iter().any(|finding| finding.remedy.contains("\"results\"")), "{silent:?}");
}

/// The example of the guide, running. It ends with this.
struct Example {
    child: Child,
    url: String,
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn example(dir: &Path) -> Example {
    let guide = include_str!("../docs/crm/webhook.md");
    let code = guide.split("```python\n").nth(1).and_then(|rest| rest.split("```").next()).expect("the guide has it");
    std::fs::write(dir.join("receiver.py"), code).unwrap();
    std::fs::write(dir.join("key.txt"), "a key of the shop, drawn at random\n").unwrap();
    let pair = crm::server::certificate_files(dir);
    let mut child = Command::new("python3")
        .current_dir(dir)
        .args(["-I", "receiver.py", "0", "key.txt", "visits.db"])
        .args([&pair.certificate, &pair.key])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("python3 starts");
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let port = line.trim().rsplit(' ').next().unwrap().to_owned();
    Example { child, url: format!("https://localhost:{port}/snova") }
}

#[tokio::test]
async fn the_receiver_of_the_guide_takes_each_visit_once() {
    let dir = tempfile::tempdir().unwrap();
    let example = example(dir.path());
    let text = format!(
        "[crm]\nkind = \"webhook\"\nca_file = \"{}\"\n[crm.webhook]\nurl = \"{}\"\n",
        dir.path().join("ca.pem").display(),
        example.url
    );
    // Only the real clock will do: the receiver has its own.
    let (bench, _fake) = receiver().await;
    let settings = snova::config::Config::parse(&text, Path::new("snova.toml")).unwrap().crm;
    let tools = snova::crm::Tools {
        clock: Arc::new(snova::clock::SystemClock::new()),
        timer: Arc::new(snova::crm::SystemTimer),
        secrets: Arc::clone(&bench.secrets) as Arc<dyn snova::crm::Secrets>,
        server_clock: Arc::default(),
    };
    let key = "a key of the shop, drawn at random".to_owned();
    bench.secrets.0.lock().unwrap().insert("crm/webhook/key".to_owned(), key);
    let mut connector: Box<dyn CrmConnector> = settings.open(&tools).unwrap().unwrap();
    let findings = connector.probe().await;
    assert!(findings.iter().all(|finding| finding.verdict == Verdict::Good), "{findings:#?}");
    let visits = [bench.visit("c1"), bench.visit("c2")];
    for _ in 0..2 {
        assert!(connector.record(&visits).await.unwrap().iter().all(Result::is_ok));
    }
    let count = |sql: &str| {
        let database = rusqlite::Connection::open(dir.path().join("visits.db")).unwrap();
        database.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap()
    };
    assert_eq!(count("SELECT count(*) FROM visits"), 2);
    connector.void(&sent(&visits[0])).await.unwrap();
    assert_eq!(count("SELECT count(*) FROM visits WHERE void"), 1);
    let amended = VisitRecord { key: visits[0].key, ..whole(&bench) };
    connector.amend(&amended, &sent(&amended)).await.unwrap();
    assert_eq!(count("SELECT count(*) FROM visits WHERE void AND receipt = 'A-77' AND sum = '1234.50'"), 1);
    let gone =
        Forgotten { key: uuid::Uuid::from_u128(9), customer: visits[1].customer, visits: vec![sent(&visits[1])] };
    connector.forget(&gone).await.unwrap();
    assert_eq!(count("SELECT count(*) FROM visits"), 1);
    connector.record(&visits[1..]).await.unwrap();
    assert_eq!(count("SELECT count(*) FROM visits"), 1, "what was erased does not come back");
    bench.secrets.0.lock().unwrap().insert("crm/webhook/key".to_owned(), "another".to_owned());
    let refused = connector.record(&visits).await.unwrap_err();
    assert_eq!(refused.class, FailureClass::Auth);
}
