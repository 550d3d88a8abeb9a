//! The real program, killed with SIGKILL at random points while visits flow in by card: afterwards every visit that the
//! box acknowledged is in the CRM, once, and the database is whole.
//!
//! `make crash-test` kills 40 times at each fake; without it 3 times. The seed of each run is printed, and taken from
//! SNOVA_CRASH_SEED if that is set.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test a panic is the report")]
#![allow(clippy::print_stdout, reason = "the seed of a run must be known to repeat it")]
#![allow(clippy::disallowed_methods, reason = "the real program runs by the real clock")]

#[path = "support/command_line.rs"]
#[allow(dead_code, reason = "each test uses its part of the support code")]
mod command_line;
#[path = "support/crm/mod.rs"]
mod crm;
#[path = "support/http_client.rs"]
mod http_client;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use command_line::{packs, runtime_library};
use crm::{FakeContact, FakeServer};
use serde_json::{Value, json};
use snova::clock::{Clock, SystemClock};
use snova::customer::{Consent, ConsentMethod, CustomerId, Identifier, PersonName, Purpose};
use snova::store::{FILE_NAME, NewCustomer, Store, StoreConfig};
use snova::vault::Seal;
use uuid::Uuid;

const CUSTOMERS: u64 = 24;
/// For what is in doubt to be looked for (a minute with CRMs that have no key) and sent.
const DRAIN: Duration = Duration::from_secs(300);
const START: Duration = Duration::from_secs(30);

/// One run at a time for the machine's two cores; the order does not matter.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

struct Run {
    dir: tempfile::TempDir,
    server: FakeServer,
    address: SocketAddr,
    client: reqwest::Client,
    /// Visits whose entry was answered `recorded`: they are on the disk.
    acknowledged: BTreeSet<String>,
    random: u64,
}

impl Run {
    async fn at(vendor: &str, seed: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let server = FakeServer::start(crm::vendor(vendor), Arc::clone(&clock)).await;
        server.set_delay(Duration::from_millis(30));
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = format!(
            "[device]\nname = \"shop-7\"\ndata_dir = \"{}\"\n[runtime]\npacks_dir = \"{}\"\nlibrary = \"{}\"\n\
             [log]\nlevel = \"trace\"\n[web]\nlisten = \"127.0.0.1:{port}\"\n[visit]\nmerge_s = 0\n{}",
            dir.path().join("data").display(),
            packs().display(),
            runtime_library().display(),
            server.config().replacen("[crm]", "[crm]\ngrace_s = 0\npull_s = 0\ntimeout_ms = 5000\n", 1),
        );
        std::fs::write(dir.path().join("snova.toml"), config).unwrap();
        let store = Store::open(&StoreConfig::new(dir.path().join("data")), Seal::plain()).unwrap();
        for (name, value) in server.crm.lock().unwrap().secrets() {
            store.set_secret(name, &value).unwrap();
        }
        for number in 0..CUSTOMERS {
            enrol(&store, &server, &*clock, number);
        }
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let client = http_client::builder().timeout(Duration::from_secs(5)).build().unwrap();
        Self { dir, server, address, client, acknowledged: BTreeSet::new(), random: seed }
    }

    fn start(&self) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_snova"));
        command.arg("run").arg("--config").arg(self.dir.path().join("snova.toml"));
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log()).unwrap();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        command.spawn().expect("snova starts")
    }

    /// SplitMix64.
    fn random(&mut self, below: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below
    }

    async fn until_up(&self) {
        let begun = Instant::now();
        while self.get("/health").await.is_none() {
            assert!(begun.elapsed() < START, "the service does not start");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn get(&self, path: &str) -> Option<Value> {
        let answer = self.client.get(format!("http://{}{path}", self.address)).send().await.ok()?;
        answer.json().await.ok()
    }

    async fn post(&self, path: &str, body: Value) -> Option<Value> {
        let request = self.client.post(format!("http://{}{path}", self.address)).json(&body);
        let answer = request.send().await.ok()?;
        if answer.status().is_success() { Some(answer.json().await.unwrap_or(Value::Null)) } else { None }
    }

    /// Somebody gives a card and is served; which of the two the kill cuts off is chance.
    async fn serve_somebody(&mut self) {
        let code = format!("snova-{:04}", self.random(CUSTOMERS));
        let Some(entered) = self.post("/api/v1/counters/till-1/entries", json!({ "entered": code })).await else {
            return;
        };
        let visit = entered["visit_id"].as_str().expect("an entry answers with its visit").to_owned();
        if entered["record"] == "recorded" {
            self.acknowledged.insert(visit.clone());
        }
        self.post(&format!("/api/v1/visits/{visit}/answer"), json!({ "verdict": "done" })).await;
    }

    async fn serve_for(&mut self, time: Duration) {
        let begun = Instant::now();
        while begun.elapsed() < time {
            let left = time.saturating_sub(begun.elapsed());
            let _ = tokio::time::timeout(left, self.serve_somebody()).await;
        }
    }

    async fn drained(&self) {
        let begun = Instant::now();
        loop {
            let depth = self.get("/health").await.and_then(|health| health["outbox"]["depth"].as_u64());
            if depth == Some(0) {
                return;
            }
            assert!(begun.elapsed() < DRAIN, "the outbox does not drain: {:?}", self.get("/health").await);
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    fn log(&self) -> std::path::PathBuf {
        self.dir.path().join("snova.log")
    }

    /// The real program's log at its most talkative level quotes nobody and no secret.
    fn assert_log_is_clean(&self) {
        let log = std::fs::read_to_string(self.log()).unwrap();
        assert!(log.lines().count() > 20, "the log is the program's");
        for line in log.lines() {
            assert_eq!(crm::leaks::leak_in(line), None, "{line}");
        }
    }

    fn database(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.dir.path().join("data").join(FILE_NAME)).unwrap()
    }

    /// Visits on the disk, each with the key of its event and that event's state.
    fn on_disk(&self) -> Vec<(String, String, String)> {
        let database = self.database();
        let mut statement = database
            .prepare("SELECT v.id, o.event, o.state FROM visits v JOIN outbox o ON o.visit = v.id AND o.kind = 'visit'")
            .unwrap();
        let uuid = |bytes: [u8; 16]| Uuid::from_bytes(bytes).to_string();
        let rows = statement.query_map([], |row| Ok((uuid(row.get(0)?), uuid(row.get(1)?), row.get(2)?))).unwrap();
        rows.map(Result::unwrap).collect()
    }
}

fn enrol(store: &Store, server: &FakeServer, clock: &dyn Clock, number: u64) {
    let (now, phone) = (clock.wall().at, format!("+7912000{number:04}"));
    let contact = FakeContact::named(&format!("Имя{number}"), "Петрович", "Соколов", &phone);
    server.crm.lock().unwrap().add_contact(contact, now);
    let customer = NewCustomer {
        id: CustomerId(clock.mint()),
        name: PersonName::given(&format!("Имя{number}")),
        language: None,
        tier: None,
        note: None,
        consent: Consent {
            given_on: jiff::civil::date(2026, 3, 1),
            method: ConsentMethod::Demonstration,
            purposes: Purpose::ALL.to_vec(),
            valid_until: None,
            withdrawn_at: None,
        },
        identifiers: vec![
            Identifier::phone(&phone, None).unwrap(),
            Identifier::card(&format!("snova-{number:04}")).unwrap(),
        ],
        enrolled_at: now,
    };
    store.add_customer(&customer, &[], jiff::civil::date(2026, 3, 2)).unwrap();
}

fn kills() -> u64 {
    std::env::var("SNOVA_CRASH_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(3)
}

fn seed(vendor: &str) -> u64 {
    let given = std::env::var("SNOVA_CRASH_SEED").ok().and_then(|seed| seed.parse().ok());
    given.unwrap_or_else(|| SystemClock::new().mint().as_u64_pair().1 ^ vendor.len() as u64)
}

async fn crash_run(vendor: &str) {
    let _alone = ALONE.lock().await;
    let (kills, seed) = (kills(), seed(vendor));
    println!("{vendor}: {kills} kills, SNOVA_CRASH_SEED={seed}");
    let mut run = Run::at(vendor, seed).await;
    for _ in 0..kills {
        let mut service = run.start();
        // Sometimes it is killed while it starts and takes up what was in doubt.
        if run.random(8) > 0 {
            run.until_up().await;
            let time = Duration::from_millis(run.random(700));
            run.serve_for(time).await;
        } else {
            let time = Duration::from_millis(run.random(400));
            tokio::time::sleep(time).await;
        }
        // SIGKILL: nothing is flushed, nobody says good-bye.
        service.kill().unwrap();
        service.wait().unwrap();
        let whole: String = run.database().query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(whole, "ok", "{vendor}, seed {seed}");
    }
    let mut service = run.start();
    run.until_up().await;
    run.serve_for(Duration::from_millis(500)).await;
    // The last one may stand at the counter still.
    tokio::time::sleep(Duration::from_secs(1)).await;
    for present in run.get("/api/v1/counters/till-1").await.unwrap()["present"].as_array().unwrap() {
        let visit = present["visit_id"].as_str().unwrap();
        run.post(&format!("/api/v1/visits/{visit}/answer"), json!({ "verdict": "done" })).await;
    }
    run.drained().await;
    service.kill().unwrap();
    service.wait().unwrap();

    let on_disk = run.on_disk();
    let visits: BTreeSet<String> = on_disk.iter().map(|(visit, ..)| visit.clone()).collect();
    let lost: Vec<_> = run.acknowledged.difference(&visits).collect();
    assert!(lost.is_empty(), "{vendor}, seed {seed}: acknowledged and not on the disk: {lost:?}");
    let mut wanted: Vec<String> = on_disk.iter().map(|(_, event, _)| event.clone()).collect();
    let mut there: Vec<String> = run.server.crm.lock().unwrap().visits().into_iter().map(|visit| visit.key).collect();
    wanted.sort();
    there.sort();
    assert_eq!(there, wanted, "{vendor}, seed {seed}");
    assert!(on_disk.iter().all(|(_, _, state)| state == "done"), "{vendor}, seed {seed}");
    run.assert_log_is_clean();
    println!("{vendor}: {} visits acknowledged, {} recorded, 0 lost, 0 double", run.acknowledged.len(), there.len());
    assert!(there.len() as u64 >= kills, "visits did flow");
}

macro_rules! crash_runs {
    ($($name:ident: $vendor:literal),* $(,)?) => { $(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            crash_run($vendor).await;
        }
    )* };
}
crash_runs!(
    amocrm_has_each_visit_once: "amocrm",
    bitrix24_has_each_visit_once: "bitrix24",
    creatio_has_each_visit_once: "creatio",
    dynamics_has_each_visit_once: "dynamics",
    salesforce_has_each_visit_once: "salesforce",
    sugarcrm_has_each_visit_once: "sugarcrm",
    suitecrm_has_each_visit_once: "suitecrm",
    suitecrm_legacy_has_each_visit_once: "suitecrm-legacy",
    webhook_has_each_visit_once: "webhook",
);

#[test]
fn every_fake_has_its_crash_run() {
    let runs = include_str!("crash_run.rs");
    for vendor in crm::VENDORS {
        assert!(runs.contains(&format!(": \"{vendor}\"")), "{vendor}");
    }
}
