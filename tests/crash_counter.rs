//! The real program, killed with SIGKILL while a camera greets, cards are given, the configuration is read anew, customers
//! are erased and old visits leave, with merge and grace as they are shipped: nothing that was acknowledged is lost, no
//! stay is two visits, nobody is greeted twice for a visit that is on the disk, and nobody erased comes back.
//!
//! `make crash-test` kills 300 times and waits until the CRM has everything; without it 5 times. The seed of each run is
//! printed, and taken from SNOVA_CRASH_SEED if that is set. Delivery under kills, vendor by vendor, is `crash_run.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test a panic is the report")]
#![allow(clippy::print_stdout, reason = "the seed of a run must be known to repeat it")]
#![allow(clippy::disallowed_methods, reason = "the real program runs by the real clock")]

#[path = "support/box_under_test.rs"]
mod box_under_test;
#[path = "support/command_line.rs"]
#[allow(dead_code, reason = "each test uses its part of the support code")]
mod command_line;
#[path = "support/crm/mod.rs"]
mod crm;
#[path = "support/http_client.rs"]
mod http_client;
#[path = "support/killed_box.rs"]
mod killed_box;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Child;
use std::sync::Arc;
use std::time::{Duration, Instant};

use box_under_test::{PACK, elena, ivan, real_vision};
use crm::FakeServer;
use jiff::{SignedDuration, Timestamp};
use killed_box::{KilledBox, from_environment, seed};
use serde_json::json;
use snova::clock::{Clock, SystemClock, WallTime, mint_at};
use snova::customer::{Consent, ConsentMethod, CustomerId, HowKnown, Identifier, PersonName, Purpose, VisitId};
use snova::enrolment::{EnrolmentRules, enrol};
use snova::face::{CounterId, Template};
use snova::store::{NewCustomer, Store, StoreConfig, VisitRecord};
use snova::vault::Seal;
use uuid::Uuid;

const CARDS: u64 = 12;
/// Visits of four years ago, which leave in the shop's night.
const OLD: u32 = 60;
const MERGE: SignedDuration = SignedDuration::from_secs(300);
/// `seen_at` is written each 10 s, and a start takes its time.
const GRAIN: SignedDuration = SignedDuration::from_secs(20);
const TODAY: jiff::civil::Date = jiff::civil::date(2026, 3, 2);

struct Run {
    at: KilledBox,
    server: FakeServer,
    /// By what each enrolled person is known: a card's code, or the templates of their face.
    people: Vec<Person>,
    /// Visits that the box said are recorded, or that were read back from the disk, with their customer.
    acknowledged: BTreeMap<String, String>,
    /// Erased for certain, and perhaps.
    erased: BTreeSet<String>,
    doubtful: BTreeSet<String>,
    /// Visits of years ago, which leave.
    old: BTreeSet<String>,
    /// Visits on the disk when the program was last started.
    at_start: BTreeSet<String>,
    /// Visits on the screen since the program was started, with their customer.
    shown: BTreeMap<String, String>,
    greeted: BTreeSet<String>,
    tally: Tally,
    reloads: u64,
}

/// What a run did, for its report.
#[derive(Default)]
struct Tally {
    erasures: u64,
    cut_erasures: u64,
    /// Shown and not yet on the disk when the power went.
    unwritten: u64,
    /// How often a write took at most so long from the screen to the disk, by the upper bound in seconds.
    windows: BTreeMap<String, u64>,
}

struct Person {
    name: String,
    code: Option<String>,
    templates: Vec<Template>,
    /// `None` between an erasure and the next enrolment.
    id: Option<CustomerId>,
}

impl Run {
    async fn new(seed: u64) -> Self {
        let at = KilledBox::new(seed);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let server = FakeServer::start(crm::vendor("webhook"), Arc::clone(&clock)).await;
        let store = open(&at);
        for (name, value) in server.crm.lock().unwrap().secrets() {
            store.set_secret(name, &value).unwrap();
        }
        let mut run = Self {
            at,
            server,
            people: people(),
            acknowledged: BTreeMap::new(),
            erased: BTreeSet::new(),
            doubtful: BTreeSet::new(),
            old: BTreeSet::new(),
            at_start: BTreeSet::new(),
            shown: BTreeMap::new(),
            greeted: BTreeSet::new(),
            tally: Tally::default(),
            reloads: 0,
        };
        for person in &mut run.people {
            person.enrol(&store);
        }
        old_visits(&store, run.people.last().unwrap().id.unwrap(), clock.wall().at);
        run.old = run.on_disk().into_keys().collect();
        run.configure(true);
        run
    }

    /// Another time of absence at each reload, so that there is something to be read anew.
    fn configure(&self, with_camera: bool) {
        let scene = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("scenes/demo.toml");
        let camera = format!(
            "[[counter.camera]]\nname = \"front\"\nsource = \"scene\"\npath = \"{}\"\nrepeat = true\n",
            scene.display()
        );
        let sections = format!(
            "[visit]\nabsence_ms = {}\n[[counter]]\nname = \"till-1\"\nlanguage = \"ru\"\n{}{}",
            2_000 + 500 * (self.reloads % 2),
            if with_camera { camera.as_str() } else { "" },
            self.server.config().replacen("[crm]", "[crm]\npull_s = 0\ntimeout_ms = 5000\n", 1),
        );
        // The shop's night, in which old visits leave, is now.
        let hour = Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).hour();
        let west = (i16::from(hour) - 3 + 36) % 24 - 12;
        let zone = if west >= 0 { format!("Etc/GMT+{west}") } else { format!("Etc/GMT{west}") };
        self.at.configure(&format!("time_zone = \"{zone}\""), &sections);
    }

    fn on_disk(&self) -> BTreeMap<String, String> {
        let database = self.at.database();
        let mut statement = database.prepare("SELECT id, customer FROM visits").unwrap();
        let text = |bytes: [u8; 16]| Uuid::from_bytes(bytes).to_string();
        let rows = statement.query_map([], |row| Ok((text(row.get(0)?), text(row.get(1)?)))).unwrap();
        rows.map(Result::unwrap).collect()
    }

    /// One thing that happens in a shop, and a look at the screen and the disk.
    async fn live(&mut self, service: &Child) {
        match self.at.random(20) {
            0..4 => self.give_a_card().await,
            4 => {
                self.reloads += 1;
                self.configure(true);
                // SAFETY: it sends a signal to a child of ours that was not waited for yet.
                unsafe { libc::kill(service.id() as i32, libc::SIGHUP) };
            }
            5 => self.erase_somebody().await,
            6 => {
                let store = open(&self.at);
                self.people.iter_mut().filter(|p| p.id.is_none()).for_each(|person| person.enrol(&store));
            }
            _ => {}
        }
        self.look().await;
    }

    async fn give_a_card(&mut self) {
        let at = self.at.random(CARDS) as usize;
        let Some(code) = self.people[at].code.clone() else { return };
        let key = Uuid::now_v7();
        let body = json!({ "entered": code, "key": key });
        let Some(entered) = self.at.post("/api/v1/counters/till-1/entries", body).await else { return };
        if entered["record"] == "recorded" {
            let visit = entered["visit_id"].as_str().unwrap().to_owned();
            let customer = self.people[at].id.map(|id| id.to_string()).unwrap_or_default();
            self.acknowledged.insert(visit, customer);
        }
    }

    async fn erase_somebody(&mut self) {
        // The last one's visits are to leave by themselves.
        let at = self.at.random(self.people.len() as u64 - 1) as usize;
        let Some(id) = self.people[at].id.take() else { return };
        let mut command = self.at.command(&["customers", "erase", &id.to_string(), "--yes"]).spawn().unwrap();
        self.tally.erasures += 1;
        if self.at.random(3) == 0 {
            let time = Duration::from_millis(self.at.random(150));
            tokio::time::sleep(time).await;
            let _ = command.kill();
            command.wait().unwrap();
            self.tally.cut_erasures += 1;
            self.doubtful.insert(id.to_string());
            return;
        }
        let code = command.wait().unwrap().code();
        // 1: traces wait for the keeper. Anything else, and the customer may be there still.
        if matches!(code, Some(0 | 1)) && !self.is_enrolled(id) {
            self.erased.insert(id.to_string());
        } else {
            self.doubtful.insert(id.to_string());
        }
    }

    fn is_enrolled(&self, id: CustomerId) -> bool {
        let exists = "SELECT EXISTS (SELECT 1 FROM customers WHERE id = ?1)";
        self.at.database().query_row(exists, [id.0.into_bytes()], |row| row.get(0)).unwrap()
    }

    /// What the screen shows, held against what was on the disk at the start.
    async fn look(&mut self) {
        let before: BTreeSet<String> = self.on_disk().into_keys().collect();
        let Some(screen) = self.at.get("/api/v1/counters/till-1").await else { return };
        for present in screen["present"].as_array().into_iter().flatten() {
            let visit = present["visit_id"].as_str().unwrap().to_owned();
            let Some(greeting) = present["greeting"].as_str() else { continue };
            if greeting.ends_with('!') {
                assert!(!self.at_start.contains(&visit), "{greeting} a second time for {visit}, which is on the disk");
                self.greeted.insert(visit.clone());
            }
            self.shown.insert(visit, present["customer_id"].as_str().unwrap_or_default().to_owned());
        }
        // Read back before the screen was asked: these are on the disk for certain. Old ones may leave by right.
        let rows = self.on_disk();
        for visit in before.iter().filter(|visit| rows.contains_key(*visit) && !self.old.contains(*visit)) {
            self.acknowledged.entry(visit.clone()).or_insert_with(|| rows[visit].clone());
        }
    }

    /// How long writes took, as the program itself counted it.
    async fn note_windows(&mut self) {
        let Some(text) = self.at.text("/metrics").await else { return };
        for line in text.lines() {
            let Some(rest) = line.strip_prefix("snova_unwritten_seconds_bucket{le=\"") else { continue };
            let Some((bound, count)) = rest.split_once("\"} ") else { continue };
            *self.tally.windows.entry(bound.to_owned()).or_default() += count.trim().parse::<u64>().unwrap_or(0);
        }
    }

    /// What must hold whenever the power went.
    fn assert_promises(&mut self) {
        let rows = self.on_disk();
        let gone = |customer: &String| self.erased.contains(customer) || self.doubtful.contains(customer);
        let lost: Vec<_> =
            self.acknowledged.iter().filter(|(visit, who)| !rows.contains_key(*visit) && !gone(who)).collect();
        assert!(lost.is_empty(), "acknowledged and not on the disk: {lost:?}");
        for (visit, customer) in &rows {
            assert!(!self.erased.contains(customer), "visit {visit} of {customer}, who was erased");
        }
        self.assert_one_visit_a_stay();
    }

    /// Between two visits of one customer lies the time to come back.
    fn assert_one_visit_a_stay(&self) {
        let database = self.at.database();
        let sql = "SELECT customer, opened_at, coalesce(closed_at, seen_at, opened_at) FROM visits ORDER BY customer, opened_at";
        let mut statement = database.prepare(sql).unwrap();
        let time = |micros: i64| Timestamp::from_microsecond(micros).unwrap();
        let rows = statement.query_map([], |row| Ok((row.get::<_, [u8; 16]>(0)?, row.get(1)?, row.get(2)?))).unwrap();
        let rows: Vec<([u8; 16], i64, i64)> = rows.map(Result::unwrap).collect();
        for pair in rows.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
            let away = time(pair[1].1).duration_since(time(pair[0].2));
            assert!(away >= MERGE - GRAIN, "{} was away for {away} and has two visits", Uuid::from_bytes(pair[0].0));
        }
    }
}

impl Person {
    fn enrol(&mut self, store: &Store) {
        let now = SystemClock::new().wall().at;
        let id = CustomerId(mint_at(now));
        let customer = NewCustomer {
            id,
            name: PersonName::given(&self.name),
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
            identifiers: self.code.iter().map(|code| Identifier::card(code).unwrap()).collect(),
            enrolled_at: now,
        };
        // An erasure that was cut off may have left the card with its owner: then nobody is enrolled now.
        self.id = store.add_customer(&customer, &self.templates, TODAY).is_ok().then_some(id);
    }
}

/// Customers of cards; the two whom the demo's scene shows; one who came years ago.
fn people() -> Vec<Person> {
    let by_card = |n: u64| Person {
        name: format!("Имя{n}"),
        code: Some(format!("snova-{n:04}")),
        templates: Vec::new(),
        id: None,
    };
    let mut people: Vec<Person> = (0..CARDS).map(by_card).collect();
    people.extend(faces());
    people.push(by_card(CARDS));
    people
}

fn faces() -> Vec<Person> {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&StoreConfig::new(dir.path()), Seal::plain()).unwrap();
    let (mut vision, clock) = (real_vision(), SystemClock::new());
    let mut names = BTreeMap::new();
    for request in [ivan(), elena()] {
        let name = request.name.given.clone();
        let enrolled =
            enrol(request, EnrolmentRules { target_fpir: 0.001 }, &mut vision, &store, &clock, TODAY).unwrap();
        names.insert(enrolled.id, name);
    }
    let template = |embedding| Template { embedding, pack: PACK.to_owned(), quality: 1.0 };
    let of = |(id, embeddings): (CustomerId, Vec<_>)| Person {
        name: names[&id].clone(),
        code: None,
        templates: embeddings.into_iter().map(template).collect(),
        id: None,
    };
    store.templates(PACK, TODAY).unwrap().into_iter().map(of).collect()
}

fn open(at: &KilledBox) -> Store {
    Store::open(&StoreConfig::new(at.data()), Seal::plain()).unwrap()
}

fn old_visits(store: &Store, customer: CustomerId, now: Timestamp) {
    let began = now - SignedDuration::from_hours(24 * 1_461);
    for n in 0..OLD {
        let at = began + SignedDuration::from_hours(i64::from(n));
        let (id, opened_at) = (VisitId(mint_at(at)), WallTime { at, synchronised: true });
        let (counter, how) = (CounterId::new("till-1"), HowKnown::Entered);
        store.open_visit(&VisitRecord { id, customer, counter, opened_at, how }, TODAY).unwrap();
        store.close_visit(id, opened_at, at).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_power_goes_while_a_camera_greets() {
    let (kills, seed) = (from_environment("SNOVA_CRASH_KILLS_AT_COUNTER", 5), seed());
    println!("{kills} kills, SNOVA_CRASH_SEED={seed}");
    let mut run = Run::new(seed).await;
    for _ in 0..kills {
        run.at_start = run.on_disk().into_keys().collect();
        let service = run.at.start();
        // Sometimes it is killed while it starts and takes up what was left.
        if run.at.random(8) > 0 {
            run.at.until_up().await;
            let (begun, time) = (Instant::now(), Duration::from_millis(run.at.random(4_000)));
            while begun.elapsed() < time {
                run.live(&service).await;
            }
            run.note_windows().await;
            run.look().await;
        } else {
            let time = Duration::from_millis(run.at.random(400));
            tokio::time::sleep(time).await;
        }
        run.at.kill(service);
        let rows = run.on_disk();
        // Counted, not forbidden: what was shown less than a moment ago.
        let shown = std::mem::take(&mut run.shown);
        let gone = |who: &String| run.erased.contains(who) || run.doubtful.contains(who);
        let lost = shown.iter().filter(|(visit, who)| !rows.contains_key(*visit) && !gone(who)).count();
        run.tally.unwritten += lost as u64;
        run.assert_promises();
    }
    let delivered = if kills >= 100 { run.drain().await } else { 0 };
    run.report(kills, delivered);
}

impl Run {
    /// Everybody leaves, the merge window passes, and the CRM has each visit once.
    async fn drain(&mut self) -> usize {
        self.configure(false);
        let service = self.at.start();
        self.at.until_up().await;
        let begun = Instant::now();
        loop {
            let depth = self.at.get("/health").await.and_then(|health| health["outbox"]["depth"].as_u64());
            if depth == Some(0) {
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(600), "the outbox does not drain");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        self.at.kill(service);
        self.assert_promises();
        let database = self.at.database();
        let mut statement = database.prepare("SELECT key FROM records WHERE state = 'there' ORDER BY key").unwrap();
        let text = |bytes: [u8; 16]| Uuid::from_bytes(bytes).to_string();
        let wanted: Vec<String> =
            statement.query_map([], |row| Ok(text(row.get(0)?))).unwrap().map(Result::unwrap).collect();
        let visits = self.server.crm.lock().unwrap().visits();
        let mut there: Vec<String> = visits.into_iter().filter(|visit| !visit.erased).map(|visit| visit.key).collect();
        there.sort();
        assert_eq!(there, wanted, "what the CRM has is what the ledger says, each once");
        let old: u32 = database
            .query_row("SELECT count(*) FROM visits WHERE opened_at < ?1", [four_years_ago()], |row| row.get(0))
            .unwrap();
        assert_eq!(old, 0, "old visits have left");
        assert!(there.len() as u32 >= OLD, "and stay in the CRM");
        there.len()
    }

    fn report(&self, kills: u64, delivered: usize) {
        let Tally { erasures, cut_erasures, unwritten, windows } = &self.tally;
        let all = windows.get("+Inf").copied().unwrap_or(0);
        let bound = |share: f64| {
            let mut bounds: Vec<(f64, u64)> =
                windows.iter().map(|(bound, n)| (bound.parse().unwrap_or(f64::INFINITY), *n)).collect();
            bounds.sort_by(|a, b| a.0.total_cmp(&b.0));
            bounds.into_iter().find(|(_, n)| *n as f64 >= share * all as f64).map_or(f64::INFINITY, |(bound, _)| bound)
        };
        println!(
            "{kills} kills, {} visits acknowledged, {} greeted, {} reloads, {erasures} erasures ({cut_erasures} cut off): \
             0 lost, 0 double, 0 greeted twice; {unwritten} shown and not yet on the disk; screen to disk of {all} writes: \
             p50 <= {} s, p99 <= {} s; {delivered} delivered",
            self.acknowledged.len(),
            self.greeted.len(),
            self.reloads,
            bound(0.5),
            bound(0.99),
        );
        assert!(!self.acknowledged.is_empty() && !self.greeted.is_empty(), "visits did flow");
    }
}

fn four_years_ago() -> i64 {
    (Timestamp::now() - SignedDuration::from_hours(24 * 1_400)).as_microsecond()
}
