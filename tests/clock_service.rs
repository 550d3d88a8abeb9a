//! What the service and the commands do by a clock that cannot be right: greet, lose nothing, say so, and take the
//! owner's word.
//!
//! How a clock is judged is `clock.rs`.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, dead_code, reason = "a test fails by panicking")]

#[path = "support/box_under_test.rs"]
mod box_under_test;
#[path = "support/command_line.rs"]
mod command_line;
#[path = "support/http_client.rs"]
mod http_client;
#[path = "support/running_service.rs"]
mod running_service;
#[path = "support/trace_log.rs"]
mod trace_log;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use box_under_test::{ivan, real_vision};
use command_line::Shop;
use jiff::{SignedDuration, Timestamp};
use running_service::{PATIENCE, config, enrol_on, greeting, open_store, wait_until};
use snova::app::{self, Parts, Service, Settings, Supervision};
use snova::clock::{Clock, Kept, Monotonic, SystemClock, Trust, TrustedClock, WallTime, mint_at};
use snova::config::Config;
use snova::crm::{Http, HttpSettings, Request, Secrets, SystemTimer, Tools};
use snova::customer::{CustomerId, HowKnown, Identifier, VisitId};
use snova::enrolment::EnrolRequest;
use snova::face::CounterId;
use snova::store::{FILE_NAME, Store, VisitRecord};
use snova::telemetry::Metrics;
use snova::trouble::{Trouble, Troubles};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The machine's clock, with a wall clock that somebody has set and no time server keeps.
struct Apart(SystemClock, Mutex<SignedDuration>);

impl Apart {
    fn at(wall: &str) -> Arc<Self> {
        let clock = SystemClock::new();
        let wall: Timestamp = wall.parse().unwrap();
        let apart = wall.duration_since(clock.wall().at);
        Arc::new(Self(clock, Mutex::new(apart)))
    }

    fn set_right(&self) {
        *self.1.lock().unwrap() = SignedDuration::ZERO;
    }
}

impl Clock for Apart {
    fn monotonic(&self) -> Monotonic {
        self.0.monotonic()
    }
    fn wall(&self) -> WallTime {
        WallTime { at: self.0.wall().at + *self.1.lock().unwrap(), synchronised: false }
    }
}

fn now() -> Timestamp {
    SystemClock::new().wall().at
}

/// What a time server has said to this box until now.
fn kept_until_now() -> Kept {
    Kept { floor: Some(now()), believed: Some(now()), ..Kept::default() }
}

/// The service on a judged clock.
async fn start(settings: Settings, store: &Arc<Store>, wall: &Arc<Apart>, troubles: &Troubles) -> Service {
    let kept = store.floor().expect("the row is there");
    let parts = Parts {
        store: Arc::clone(store),
        vision: Box::new(real_vision()),
        clock: Arc::new(TrustedClock::new(Arc::clone(wall) as Arc<dyn Clock>, kept)),
        metrics: Arc::new(Metrics::new()),
        supervision: Supervision::default(),
        troubles: troubles.clone(),
    };
    app::start(settings, parts).await.expect("the service starts")
}

async fn until(what: &str, so: impl Fn() -> bool) {
    let waiting = async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("not within {PATIENCE:?}: {what}"));
}

/// A visit of an hour ago that waits for the CRM.
fn visit_waits(store: &Store, customer: CustomerId) -> VisitId {
    let opened = now() - SignedDuration::from_hours(1);
    let opened_at = WallTime { at: opened, synchronised: true };
    let id = VisitId(mint_at(opened));
    let counter = CounterId::new("till-1");
    let record = VisitRecord { id, customer, counter, opened_at, how: HowKnown::Match };
    store.open_visit(&record, opened.to_zoned(jiff::tz::TimeZone::UTC).date()).expect("his consent is live");
    store.close_visit(id, opened_at, opened).expect("it is open");
    id
}

fn events_of(dir: &Path, visit: VisitId) -> Vec<String> {
    let database = rusqlite::Connection::open(dir.join(FILE_NAME)).expect("the file opens");
    let mut kinds = database.prepare("SELECT kind FROM outbox WHERE visit = ?1 ORDER BY seq").expect("the table");
    let kinds = kinds.query_map([visit.0.into_bytes()], |row| row.get(0)).expect("it is read");
    kinds.collect::<Result<_, _>>().expect("rows are as written")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_box_that_wakes_up_in_the_past_greets_its_regulars_keeps_their_visits_and_says_what_is_wrong() {
    let log = trace_log::log_file();
    let data = tempfile::tempdir().expect("a temporary folder");
    let store = open_store(data.path());
    let regular = EnrolRequest { identifiers: vec![Identifier::card("4820000123456").expect("a card")], ..ivan() };
    let customer = enrol_on(&store, &mut real_vision(), regular);
    let waits = visit_waits(&store, customer);
    assert!(store.keep_floor(&kept_until_now()).expect("it is written"));
    store.set_secret("crm/webhook/key", "0123456789abcdef0123456789abcdef").expect("it is written");
    // Nobody listens there: what is claimed fails and has to be there still.
    let crm = "[crm]\nkind = \"webhook\"\n[crm.webhook]\nurl = \"https://127.0.0.1:9/visits\"\n";
    let mut settings = Settings::from_config(&config(data.path())).expect("nothing is missing");
    settings.crm = Config::parse(crm, Path::new("snova.toml")).expect("a configuration").crm;

    let (wall, troubles) = (Apart::at("2021-01-01T00:00:07Z"), Troubles::default());
    let service = start(settings, &store, &wall, &troubles).await;
    assert_eq!(service.gallery().snapshot().len(), 1, "his face is known to the cameras");
    let entries = format!("http://{}/api/v1/counter/entries", service.address());
    let http = http_client::builder().build().expect("a client");
    let told = http.post(entries).json(&serde_json::json!({"entered": "4820000123456"})).send().await;
    assert!(told.expect("an answer").status().is_success(), "his consent is live");
    let picture = wait_until(service.address(), "Ivan is greeted", |p| greeting(p).is_some()).await;
    assert!(greeting(&picture).is_some_and(|g| g.contains("Иван Петрович")), "{picture}");
    until("the clock is a trouble", || troubles.holds(Trouble::Clock)).await;
    until("the courier has tried", || store.sync_state().is_ok_and(|state| state.error_class.is_some())).await;
    assert_eq!(events_of(data.path(), waits), ["visit"], "neither deleted nor taken back");

    let said = std::fs::read_to_string(log).expect("the log");
    let said: Vec<&str> = said.lines().filter(|line| line.contains("the clock says 2021-01-01T")).collect();
    assert!(said.len() == 1 && said[0].contains("run `snova clock accept`"), "once, with what to do: {said:?}");
    wall.set_right();
    until("the trouble is over", || !troubles.holds(Trouble::Clock)).await;
    service.stop().await.expect("it stops in order");
    let floor = store.floor().expect("the row is there").floor.expect("it was kept");
    assert!(floor <= now() && floor >= now() - SignedDuration::from_mins(5), "kept at the stop: {floor}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owners_word_to_the_command_is_followed_by_the_running_service() {
    let data = tempfile::tempdir().expect("a temporary folder");
    let store = open_store(data.path());
    store.keep_floor(&kept_until_now()).expect("it is written");
    let settings = Settings::from_config(&config(data.path())).expect("nothing is missing");
    let (wall, troubles) = (Apart::at("2036-02-07T06:28:16Z"), Troubles::default());
    let service = start(settings, &store, &wall, &troubles).await;
    until("the clock is a trouble", || troubles.holds(Trouble::Clock)).await;
    let shop = Shop::open();
    shop.keep_data_in(data.path());
    let ended = shop.snova(&["clock", "accept"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    until("the trouble is over", || !troubles.holds(Trouble::Clock)).await;
    service.stop().await.expect("it stops in order");
    let kept = store.floor().expect("the row is there");
    assert!(kept.accepted.is_some() && kept.floor.is_some_and(|floor| floor <= now()), "{kept:?}");
}

#[tokio::test]
async fn the_date_of_every_answer_of_a_crm_is_heard() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    let said = now() + SignedDuration::from_hours(7 * 24);
    let date = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&said).expect("a date");
    tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.expect("a caller");
        let mut asked = [0; 4096];
        assert!(connection.read(&mut asked).await.expect("a request") > 0);
        let answer = format!("HTTP/1.1 404 Not Found\r\nDate: {date}\r\nContent-Length: 2\r\n\r\nno");
        connection.write_all(answer.as_bytes()).await.expect("it listens");
    });
    let wall = Apart::at(&now().to_string());
    let clock = Arc::new(TrustedClock::new(wall, kept_until_now()));
    assert_eq!(clock.trust(), Trust::Plausible);
    struct NoSecrets;
    impl Secrets for NoSecrets {
        fn secret(&self, _: &str) -> Result<Option<String>, String> {
            Ok(None)
        }
        fn keep(&self, _: &str, _: &str) -> Result<(), String> {
            Ok(())
        }
    }
    let tools = Tools {
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
        timer: Arc::new(SystemTimer),
        secrets: Arc::new(NoSecrets),
        server_clock: Arc::default(),
    };
    let mut http = Http::new(&HttpSettings::default(), &tools, Duration::ZERO).expect("a client");
    http.send(&Request::get(format!("http://{address}/"))).await.expect("an answer");
    let judgement = clock.judgement().expect("it is judged");
    assert_eq!(judgement.trust, Trust::Behind, "{judgement}");
    let skew = judgement.skew.expect("it was heard").as_hours();
    assert!((-168..=-167).contains(&skew), "{skew}");
}

#[test]
fn a_look_at_the_clock_of_a_box_without_a_database_says_so_and_makes_none() {
    let shop = Shop::open();
    let ended = shop.snova(&["clock"]);
    assert_eq!(ended.code, Some(0), "{}{}", ended.out, ended.err);
    assert!(ended.out.contains("plausible") && ended.out.contains("there is no database yet"), "{}", ended.out);
    assert!(!shop.data().exists());
}

#[test]
fn nobody_is_enrolled_by_a_clock_that_cannot_be_right_until_the_owner_accepts_it() {
    let shop = Shop::open();
    let later = now() + SignedDuration::from_hours(30 * 24);
    let kept = Kept { floor: Some(later), believed: Some(later), ..Kept::default() };
    open_store(&shop.data()).keep_floor(&kept).expect("it is written");
    let enrol = || {
        let name = ["enrol", "--given", "Анна", "--card", "4820000123456"];
        shop.snova(&[&name[..], &["--consent-on", "2026-01-15", "--consent-method", "paper-form"]].concat())
    };
    let ended = shop.snova(&["clock"]);
    if SystemClock::new().wall().synchronised {
        // A time server is believed, whatever was kept; that nobody else is, is in clock.rs.
        assert!(ended.code == Some(0) && ended.out.contains("synchronised  yes"), "{}", ended.out);
        assert_eq!(enrol().code, Some(0));
        return;
    }
    assert_eq!(ended.code, Some(1), "{}", ended.out);
    assert!(ended.out.contains("judgement     behind") && ended.out.contains("snova clock accept"), "{}", ended.out);
    enrol().fails_with(&["nobody is enrolled", "which is past", "connect the box to the network"]);
    assert_eq!(open_store(&shop.data()).customers().expect("it is read").len(), 0);

    let ended = shop.snova(&["clock", "accept"]);
    assert!(ended.code == Some(0) && ended.out.contains("is taken as right"), "{}{}", ended.out, ended.err);
    let shown: serde_json::Value = serde_json::from_str(&shop.snova(&["clock", "--json"]).out).expect("JSON");
    assert_eq!((&shown["judgement"], &shown["database"]), (&"plausible".into(), &true.into()), "{shown}");
    assert_eq!(enrol().code, Some(0), "and so is it");
}
