//! The desk over reloads, restarts, locks and lost answers: real threads, sockets, database and time.
//!
//! What is recorded, in simulated time, is `desk_records.rs`; who is shown at which counter is `counters.rs`.
#![allow(clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a test fails by panicking")]

#[path = "support/http_client.rs"]
mod http_client;
#[path = "support/running_service.rs"]
mod running_service;
#[path = "support/scripted_vision.rs"]
mod scripted_vision;
#[path = "support/tills.rs"]
mod tills;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use running_service::{at, greeting, is_empty, wait_until};
use scripted_vision::{Face, ScriptedVision};
use serde_json::{Value, json};
use snova::app::Service;
use snova::clock::{Clock, SystemClock};
use snova::customer::{Identifier, Purpose};
use snova::greeter::DeskConfig;
use snova::i18n::Language;
use snova::store::FILE_NAME;
use snova::vision::Vision;
use tills::{Shop, Shown, eventually, film, http};
use uuid::Uuid;

/// The films are played at the speed of life: two at once on a small machine would skip each other's frames.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

fn models() -> (ScriptedVision, Face) {
    let mut vision = ScriptedVision::new(64);
    let ivan = vision.person("ivan");
    (vision, ivan)
}

fn card(code: &str) -> Identifier {
    Identifier::card(code).expect("a code")
}

async fn enter(service: &Service, code: &str, key: Uuid) -> (u16, Value) {
    let url = format!("http://{}/api/v1/counters/till-1/entries", service.address());
    let answer = http().post(url).json(&json!({"entered": code, "key": key})).send().await.expect("an answer");
    (answer.status().as_u16(), answer.json().await.expect("JSON"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_greets_nobody_again() {
    let _alone = ALONE.lock().await;
    let (mut vision, ivan) = models();
    let mut shop = Shop::with_tills(&["till-1"]);
    shop.enrol_face("Иван", ivan, &mut vision);
    let stands = film(&shop.data.path().join("stands"), &[(200, Some(ivan))]);
    shop.settings.cameras.push(at("till-1", "front", stands));
    let mut service = shop.open(Box::new(vision)).await;
    let address = service.address();
    let shown = Shown::inside(service.counters(), "till-1");
    wait_until(address, "Ivan is greeted", |p| greeting(p).is_some()).await;
    eventually("and recorded", || shop.count("visits") == 1).await;

    // Whoever asks meanwhile gets an answer.
    let (asking, refused) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
    let (go_on, count) = (Arc::clone(&asking), Arc::clone(&refused));
    let asker = tokio::spawn(async move {
        while go_on.load(Ordering::Relaxed) {
            let asked = http().get(format!("http://{address}/api/v1/counters")).send().await;
            count.fetch_add(usize::from(asked.is_err()), Ordering::Relaxed);
        }
    });
    for reload in 0..2 {
        let mut settings = shop.settings.clone();
        let (mut counters, visit) = (settings.desk.counters.clone(), settings.desk.visit.clone());
        if reload == 0 {
            counters.push((snova::face::CounterId::new("till-2"), Language::English));
        }
        settings.desk = DeskConfig { counters, visit, ..settings.desk };
        // Other models the first time, then the same.
        let vision: Option<Box<dyn Vision>> = if reload == 0 { Some(Box::new(models().0)) } else { None };
        service.exchange(settings, vision).await.expect("the new configuration holds");
        assert_eq!(service.address(), address);
        assert_eq!(service.counters().names().count(), 2 - reload);
        tokio::time::sleep(Duration::from_secs(4)).await;
    }
    asking.store(false, Ordering::Relaxed);
    asker.await.expect("it asked");
    assert_eq!(refused.load(Ordering::Relaxed), 0, "nobody was refused");
    let again = wait_until(address, "he stands there", |_| true).await;
    println!("{again}");
    service.stop().await.expect("it stops in order");
    let greetings: Vec<String> = shown.greetings().into_iter().filter(|greeting| greeting != "Иван").collect();
    assert_eq!(greetings.len(), 1, "{greetings:?}");
    assert!(shown.names().len() == 1, "he is the only one");
    assert_eq!(shop.count("visits"), 1, "one stay, one visit");
    assert_eq!(shop.count("visits WHERE closed_at IS NULL"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_to_a_busy_port_leaves_the_service_as_it_was() {
    let _alone = ALONE.lock().await;
    let shop = Shop::with_tills(&["till-1"]);
    shop.enrol_card("Иван", card("4820-1"), &[Purpose::CardGreeting]);
    let mut service = shop.open(Box::new(models().0)).await;
    let busy = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let mut settings = shop.settings.clone();
    settings.listen = busy.local_addr().expect("an address");
    let refused = service.exchange(settings, Some(Box::new(models().0))).await.expect_err("another program is there");
    assert!(refused.to_string().contains("in use"), "{refused}");
    assert_eq!(enter(&service, "4820-1", Uuid::from_u128(1)).await.0, 200);
    service.stop().await.expect("it stops in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_tills_that_see_one_queue_make_one_visit() {
    let _alone = ALONE.lock().await;
    let (mut vision, ivan) = models();
    let mut shop = Shop::with_tills(&["till-1", "till-2"]);
    shop.enrol_face("Иван", ivan, &mut vision);
    let folder = |name: &str| shop.data.path().join(name);
    let cameras = [
        at("till-1", "1", film(&folder("1"), &[(40, Some(ivan)), (60, None)])),
        at("till-2", "2", film(&folder("2"), &[(20, None), (40, Some(ivan)), (40, None)])),
    ];
    shop.settings.cameras.extend(cameras);
    let service = shop.open(Box::new(vision)).await;
    let tills = ["till-1", "till-2"].map(|till| Shown::inside(service.counters(), till));
    eventually("both tills have shown him", || tills.iter().all(|till| !till.greetings().is_empty())).await;
    eventually("his visit is over", || shop.count("visits WHERE closed_at NOT NULL") == 1).await;
    service.stop().await.expect("it stops in order");
    assert!(tills[0].greetings()[0].ends_with(", Иван!"), "{:?}", tills[0].greetings());
    assert_eq!(tills[1].greetings(), ["Иван"], "the name, without the greeting");
    assert_eq!((shop.count("visits"), shop.count("outbox")), (1, 1), "one stay, one record");
    assert_eq!(shop.count("visits WHERE counter = 'till-1'"), 1, "which bears the first counter");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_another_program_holds_the_lock_a_scan_is_answered_waiting_and_a_card_leaves() {
    let _alone = ALONE.lock().await;
    let (mut vision, ivan) = models();
    let mut shop = Shop::with_tills(&["till-1"]);
    shop.enrol_face("Иван", ivan, &mut vision);
    shop.enrol_card("Ольга", card("4820-2"), &[Purpose::CardGreeting, Purpose::VisitRecords]);
    let comes = film(&shop.data.path().join("comes"), &[(40, Some(ivan)), (200, None)]);
    shop.settings.cameras.push(at("till-1", "front", comes));
    let service = shop.open(Box::new(vision)).await;
    let address = service.address();
    wait_until(address, "Ivan is greeted", |p| greeting(p).is_some()).await;
    eventually("and recorded", || shop.count("visits") == 1).await;

    let other = rusqlite::Connection::open(shop.data.path().join(FILE_NAME)).expect("the file opens");
    other.execute_batch("BEGIN IMMEDIATE").expect("another program holds the database");
    let clock = SystemClock::new();
    let (status, answer) = enter(&service, "4820-2", Uuid::from_u128(2)).await;
    let took = clock.monotonic().0;
    assert_eq!((status, &answer["record"]), (200, &json!("waiting")), "{answer}");
    assert!(took < Duration::from_secs(2), "{took:?}");
    let only_olga = |p: &Value| p["present"].as_array().is_some_and(|all| all.len() == 1) && greeting(p).is_some();
    let hers = |p: &Value| only_olga(p) && p["present"][0]["visit_id"] == answer["visit_id"];
    let left = wait_until(address, "Ivan's card leaves", hers).await;
    println!("answered after {took:?}, left after {:?}; the lock is held", clock.monotonic().0);
    wait_until(address, "what is unsaved is said", |p| p["unsaved_visits"] == 1).await;
    assert!(!other.is_autocommit(), "the lock is held still");
    assert_eq!(shop.count("visits"), 1, "{left}");
    // The same scan, sent again, is the same, and no better recorded.
    let again = enter(&service, "4820-2", Uuid::from_u128(2)).await;
    assert_eq!(again, (200, answer.clone()));

    other.execute_batch("COMMIT").expect("it lets go");
    eventually("all is recorded", || shop.count("visits") == 2).await;
    let (_, recorded) = enter(&service, "4820-2", Uuid::from_u128(2)).await;
    assert_eq!(recorded, json!({"visit_id": answer["visit_id"], "record": "recorded"}));
    wait_until(address, "nothing is unsaved", |p| p["unsaved_visits"] == 0).await;
    service.stop().await.expect("it stops in order");
    assert_eq!((shop.count("visits"), shop.count("outbox")), (2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_sent_twice_is_one_visit() {
    let _alone = ALONE.lock().await;
    let mut shop = Shop::with_tills(&["till-1"]);
    shop.enrol_card("Иван", card("4820-1"), &[Purpose::CardGreeting, Purpose::VisitRecords]);
    // Nothing but the key tells that it is the same.
    shop.settings.desk.visit.merge = Duration::ZERO;
    shop.settings.desk.visit.card_hold = Duration::from_millis(300);
    let key = Uuid::from_u128(7);
    let service = shop.open(Box::new(models().0)).await;
    let first = enter(&service, "4820-1", key).await;
    assert_eq!((first.0, &first.1["record"]), (200, &json!("recorded")), "{first:?}");
    assert_eq!(shop.count("visits"), 1, "recorded is on the disk");
    wait_until(service.address(), "his card has gone", is_empty).await;
    assert_eq!(enter(&service, "4820-1", key).await, first);
    service.stop().await.expect("it stops in order");

    let service = shop.open(Box::new(models().0)).await;
    assert_eq!(enter(&service, "4820-1", key).await, first, "also after a restart");
    assert_eq!(shop.count("visits"), 1);
    let other = enter(&service, "4820-1", Uuid::from_u128(8)).await;
    assert_eq!(other.0, 200);
    assert_ne!(other.1["visit_id"], first.1["visit_id"], "another scan is another visit");
    service.stop().await.expect("it stops in order");
    assert_eq!(shop.count("visits"), 2);
}
