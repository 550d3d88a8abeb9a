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
#[path = "support/killed_box.rs"]
mod killed_box;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crm::{FakeContact, FakeServer};
use killed_box::{KilledBox, from_environment, seed};
use serde_json::json;
use snova::clock::{Clock, SystemClock};
use snova::customer::{Consent, ConsentMethod, CustomerId, Identifier, PersonName, Purpose};
use snova::store::{NewCustomer, Store, StoreConfig};
use snova::vault::Seal;
use uuid::Uuid;

const CUSTOMERS: u64 = 24;
/// For what is in doubt to be looked for (a minute with CRMs that have no key) and sent.
const DRAIN: Duration = Duration::from_secs(300);

/// One run at a time for the machine's two cores; the order does not matter.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

struct Run {
    at: KilledBox,
    server: FakeServer,
    /// Visits whose entry was answered `recorded`: they are on the disk.
    acknowledged: BTreeSet<String>,
}

impl Run {
    async fn at(vendor: &str, seed: u64) -> Self {
        let at = KilledBox::new(seed);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let server = FakeServer::start(crm::vendor(vendor), Arc::clone(&clock)).await;
        server.set_delay(Duration::from_millis(30));
        let crm = server.config().replacen("[crm]", "[crm]\ngrace_s = 0\npull_s = 0\ntimeout_ms = 5000\n", 1);
        at.configure("", &format!("[log]\nlevel = \"trace\"\n[visit]\nmerge_s = 0\n{crm}"));
        let store = Store::open(&StoreConfig::new(at.data()), Seal::plain()).unwrap();
        for (name, value) in server.crm.lock().unwrap().secrets() {
            store.set_secret(name, &value).unwrap();
        }
        for number in 0..CUSTOMERS {
            enrol(&store, &server, &*clock, number);
        }
        Self { at, server, acknowledged: BTreeSet::new() }
    }

    /// Somebody gives a card and is served; which of the two the kill cuts off is chance.
    async fn serve_somebody(&mut self) {
        let code = format!("snova-{:04}", self.at.random(CUSTOMERS));
        let Some(entered) = self.at.post("/api/v1/counters/till-1/entries", json!({ "entered": code })).await else {
            return;
        };
        let visit = entered["visit_id"].as_str().expect("an entry answers with its visit").to_owned();
        if entered["record"] == "recorded" {
            self.acknowledged.insert(visit.clone());
        }
        self.at.post(&format!("/api/v1/visits/{visit}/answer"), json!({ "verdict": "done" })).await;
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
            let depth = self.at.get("/health").await.and_then(|health| health["outbox"]["depth"].as_u64());
            if depth == Some(0) {
                return;
            }
            assert!(begun.elapsed() < DRAIN, "the outbox does not drain: {:?}", self.at.get("/health").await);
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// The real program's log at its most talkative level quotes nobody and no secret.
    fn assert_log_is_clean(&self) {
        let log = std::fs::read_to_string(self.at.log()).unwrap();
        assert!(log.lines().count() > 20, "the log is the program's");
        for line in log.lines() {
            assert_eq!(crm::leaks::leak_in(line), None, "{line}");
        }
    }

    /// Visits on the disk, each with the key of its event and that event's state.
    fn on_disk(&self) -> Vec<(String, String, String)> {
        let database = self.at.database();
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

async fn crash_run(vendor: &str) {
    let _alone = ALONE.lock().await;
    let (kills, seed) = (from_environment("SNOVA_CRASH_KILLS", 3), seed());
    println!("{vendor}: {kills} kills, SNOVA_CRASH_SEED={seed}");
    let mut run = Run::at(vendor, seed).await;
    for _ in 0..kills {
        let service = run.at.start();
        // Sometimes it is killed while it starts and takes up what was in doubt.
        if run.at.random(8) > 0 {
            run.at.until_up().await;
            let time = Duration::from_millis(run.at.random(700));
            run.serve_for(time).await;
        } else {
            let time = Duration::from_millis(run.at.random(400));
            tokio::time::sleep(time).await;
        }
        run.at.kill(service);
    }
    let service = run.at.start();
    run.at.until_up().await;
    run.serve_for(Duration::from_millis(500)).await;
    // The last one may stand at the counter still.
    tokio::time::sleep(Duration::from_secs(1)).await;
    for present in run.at.get("/api/v1/counters/till-1").await.unwrap()["present"].as_array().unwrap() {
        let visit = present["visit_id"].as_str().unwrap();
        run.at.post(&format!("/api/v1/visits/{visit}/answer"), json!({ "verdict": "done" })).await;
    }
    run.drained().await;
    run.at.kill(service);

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
