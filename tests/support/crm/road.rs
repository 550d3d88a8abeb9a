//! The whole road from the outbox to a fake CRM, on one simulated clock: store, worker, connector, server.
//!
//! A crash is a worker dropped in the middle of a step, and another one started on the same database.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::date;
use jiff::tz::TimeZone;
use snova::clock::{Clock, SimulatedClock, SystemClock, WallTime};
use snova::config::Config;
use snova::crm::{Heartbeat, Secrets, SystemTimer, Timer, Tools};
use snova::customer::{Consent, ConsentMethod, CustomerId, HowKnown, Identifier, PersonName, Purpose, VisitId};
use snova::face::CounterId;
use snova::store::{Ask, FILE_NAME, NewCustomer, Store, StoreConfig, VisitRecord};
use snova::sync::{COMPANY_KEY, Company, Courier, CourierParts, StoreSecrets};
use snova::telemetry::Metrics;
use snova::vault::Seal;
use snova::vendors::Configured;
use uuid::Uuid;

use super::bench::{Leap, Pocket, START};
use super::{FakeContact, FakeCrm, FakeServer, FakeVisit};

pub struct Road {
    pub dir: tempfile::TempDir,
    pub clock: Arc<SimulatedClock>,
    pub store: Arc<Store>,
    pub server: Arc<FakeServer>,
    pub settings: Configured,
    pub courier: Courier,
}

impl Road {
    /// A box and its CRM, both empty. Answers are waited for half a second of real time.
    pub async fn to(crm: Arc<Mutex<dyn FakeCrm>>) -> Self {
        Self::with(crm, |config| config).await
    }

    pub async fn with(crm: Arc<Mutex<dyn FakeCrm>>, change: impl Fn(String) -> String) -> Self {
        super::leaks::watch();
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(SimulatedClock::starting_at(START.parse().unwrap()));
        let store = Arc::new(open_store(dir.path()));
        let server = Arc::new(FakeServer::start(crm, Arc::clone(&clock) as Arc<dyn Clock>).await);
        for (name, value) in server.crm.lock().unwrap().secrets() {
            store.set_secret(name, &value).unwrap();
        }
        let settings = settings_of(&server, change);
        let courier = courier(&store, &clock, &settings);
        Self { dir, clock, store, server, settings, courier }
    }

    /// The box of another store of the company, with nobody enrolled, at the same CRM and on the same clock.
    pub fn beside(other: &Self) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (clock, server) = (Arc::clone(&other.clock), Arc::clone(&other.server));
        let store = Arc::new(open_store(dir.path()));
        for (name, value) in server.crm.lock().unwrap().secrets() {
            store.set_secret(name, &value).unwrap();
        }
        store.set_secret(COMPANY_KEY, &Company::of(&other.store).unwrap().key.in_hex()).unwrap();
        let settings = other.settings.clone();
        let courier = courier(&store, &clock, &settings);
        Self { dir, clock, store, server, settings, courier }
    }

    /// Another worker on the same database, as after a crash of the box. The one before is dropped wherever it was.
    pub fn restart(&mut self) {
        self.courier = courier(&self.store, &self.clock, &self.settings);
    }

    /// The owner points the box at another CRM, and gives the secrets of that one.
    pub fn point_at(&mut self, server: &FakeServer) {
        server.set_clock(Arc::clone(&self.clock) as Arc<dyn Clock>);
        for (name, value) in server.crm.lock().unwrap().secrets() {
            self.store.set_secret(name, &value).unwrap();
        }
        self.settings = settings_of(server, |config| config);
        self.restart();
    }

    /// Secrets of the configured CRM as they are now, for [`Self::settle`].
    pub fn secrets(&self) -> Pocket {
        let names = self.settings.secret_names().into_iter();
        let kept = names.filter_map(|name| Some((name.to_owned(), self.store.secret(name).unwrap()?)));
        Pocket(Mutex::new(kept.collect()))
    }

    /// What `snova sync settle` does, with the settings and secrets that the former CRM had.
    pub async fn settle(&self, settings: &Configured, secrets: Pocket) {
        let target = self.store.target_named(&settings.common.identity).unwrap().expect("it was configured once");
        let timer = Arc::new(Leap(Arc::clone(&self.clock)));
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let parts = parts(&self.store, clock, timer, settings, Arc::new(secrets));
        Courier::settling(parts, target).unwrap().settle().await;
    }

    pub fn now(&self) -> Timestamp {
        self.clock.wall().at
    }

    /// Somebody enrolled by phone, who agreed that the CRM hears of visits.
    pub fn enrol(&self, given: &str, phone: &str) -> CustomerId {
        enrol(&self.store, &*self.clock, PersonName::given(given), phone)
    }

    /// The same, under a name in full: "Мария Павловна Муж".
    pub fn enrol_named(&self, name: &str, phone: &str) -> CustomerId {
        let mut parts = name.split(' ').map(str::to_owned);
        let name = PersonName::given(&parts.next().unwrap());
        let name = PersonName { patronymic: parts.next(), family: parts.next(), ..name };
        enrol(&self.store, &*self.clock, name, phone)
    }

    /// Somebody enrolled whom the CRM knows by their phone, typed as people type.
    pub fn regular(&self, number: u32) -> CustomerId {
        regular(&self.store, &self.server, &*self.clock, number)
    }

    /// A visit of ten minutes that ended now and may leave at once.
    pub fn visit(&self, customer: CustomerId, counter: &str) -> VisitId {
        visit(&self.store, &*self.clock, customer, counter)
    }

    pub fn today(&self) -> jiff::civil::Date {
        self.now().to_zoned(TimeZone::UTC).date()
    }

    /// What the worker would ask the outbox for now.
    pub fn ask(&self, most: usize) -> Ask {
        let (target, days) = (self.store.current_target().unwrap(), self.today().into());
        Ask {
            target,
            most,
            linked_only: true,
            now: self.now(),
            server_now: None,
            is_try: false,
            days,
            trust: self.clock.trust(),
        }
    }

    /// Lets the worker work, and simulated time pass, until nothing waits or `limit` has passed.
    pub async fn work(&mut self, limit: Duration) {
        let until = self.now().checked_add(limit).unwrap();
        while self.store.outbox_status().unwrap().depth > 0 && self.now() < until {
            self.step().await;
        }
    }

    /// One step, and the time until the next one.
    pub async fn step(&mut self) {
        let wait = self.courier.step().await;
        self.clock.advance(wait.max(Duration::from_millis(1)));
    }

    /// Works for a while although nothing waits: links, cards, signs of life. Where there is nothing to do the time
    /// passes in strides.
    pub async fn idle(&mut self, time: Duration) {
        let until = self.now().checked_add(time).unwrap();
        while self.now() < until {
            let wait = self.courier.step().await;
            self.clock.advance(if wait.is_zero() { Duration::from_millis(1) } else { wait.max(time / 240) });
        }
    }

    /// The keys under which visits were to be sent, in order, with what became of them.
    pub fn events(&self, kind: &str) -> Vec<(String, String)> {
        let connection = rusqlite::Connection::open(self.dir.path().join(FILE_NAME)).unwrap();
        let mut statement = connection.prepare("SELECT event, state FROM outbox WHERE kind = ?1 ORDER BY seq").unwrap();
        let rows = statement.query_map([kind], |row| Ok((Uuid::from_bytes(row.get(0)?).to_string(), row.get(1)?)));
        rows.unwrap().map(Result::unwrap).collect()
    }

    pub fn in_crm(&self) -> Vec<FakeVisit> {
        self.server.carry_out_late();
        self.server.crm.lock().unwrap().visits()
    }

    /// The contract: every visit that is to be there is there once, and nothing else is.
    pub fn assert_each_once(&self, said: &str) {
        let mut wanted: Vec<String> = self.events("visit").into_iter().map(|(key, _)| key).collect();
        let states: BTreeMap<String, usize> =
            self.events("visit").into_iter().fold(BTreeMap::new(), |mut all, (_, state)| {
                *all.entry(state).or_default() += 1;
                all
            });
        let mut there: Vec<String> = self.in_crm().into_iter().map(|visit| visit.key).collect();
        there.sort();
        wanted.sort();
        let state = self.store.sync_state().unwrap();
        assert_eq!(there, wanted, "{said}: states {states:?}, {state:?}");
        assert!(states.keys().all(|state| state == "done"), "{said}: {states:?}");
    }
}

/// What the box keeps and logs of a conversation quotes nobody and no secret.
impl Drop for Road {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        super::leaks::assert_none();
        let connection = rusqlite::Connection::open(self.dir.path().join(FILE_NAME)).unwrap();
        let sql = "SELECT last_error FROM outbox WHERE last_error NOT NULL UNION SELECT error FROM targets WHERE error NOT NULL";
        let mut statement = connection.prepare(sql).unwrap();
        for said in statement.query_map([], |row| row.get::<_, String>(0)).unwrap().map(Result::unwrap) {
            assert_eq!(super::leaks::leak_in(&said), None, "{said}");
        }
    }
}

/// See [`Road::enrol`].
pub fn enrol(store: &Store, clock: &dyn Clock, name: PersonName, phone: &str) -> CustomerId {
    let id = CustomerId(clock.mint());
    let customer = NewCustomer {
        id,
        name,
        language: None,
        tier: None,
        note: None,
        consent: Consent {
            given_on: date(2026, 3, 1),
            method: ConsentMethod::Demonstration,
            purposes: Purpose::ALL.to_vec(),
            valid_until: None,
            withdrawn_at: None,
        },
        identifiers: vec![Identifier::phone(phone, "RU".parse().ok()).unwrap()],
        enrolled_at: clock.wall().at,
    };
    store.add_customer(&customer, &[], date(2026, 3, 2)).unwrap();
    id
}

/// See [`Road::regular`].
pub fn regular(store: &Store, server: &FakeServer, clock: &dyn Clock, number: u32) -> CustomerId {
    let phone = format!("8 (912) 000-{:02}-{:02}", number / 100 % 100, number % 100);
    let contact = FakeContact::named(&format!("Имя{number}"), "Петрович", "Соколов", &phone);
    server.crm.lock().unwrap().add_contact(contact, clock.wall().at);
    enrol(store, clock, PersonName::given(&format!("Имя{number}")), &phone)
}

/// See [`Road::visit`].
pub fn visit(store: &Store, clock: &dyn Clock, customer: CustomerId, counter: &str) -> VisitId {
    let (id, now) = (VisitId(clock.mint()), clock.wall());
    let opened_at = WallTime { at: now.at.checked_sub(Duration::from_secs(600)).unwrap(), ..now };
    let record = VisitRecord { id, customer, counter: CounterId::new(counter), opened_at, how: HowKnown::Entered };
    store.open_visit(&record, now.at.to_zoned(TimeZone::UTC).date()).unwrap();
    store.close_visit(id, now, now.at).unwrap();
    id
}

pub fn open_store(dir: &Path) -> Store {
    Store::open(&StoreConfig::new(dir), Seal::plain()).unwrap()
}

/// A worker as the service has it: by the configuration file, the store and the real clock.
pub fn courier_of(store: &Arc<Store>, config: &Path) -> Courier {
    let settings = Config::load(Some(config)).unwrap().crm;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    courier_on(store, clock, Arc::new(SystemTimer), &settings)
}

fn courier(store: &Arc<Store>, clock: &Arc<SimulatedClock>, settings: &Configured) -> Courier {
    let timer = Arc::new(Leap(Arc::clone(clock)));
    courier_on(store, Arc::clone(clock) as Arc<dyn Clock>, timer, settings)
}

fn courier_on(store: &Arc<Store>, clock: Arc<dyn Clock>, timer: Arc<dyn Timer>, settings: &Configured) -> Courier {
    let secrets = Arc::new(StoreSecrets(Some(Arc::clone(store)))) as Arc<dyn Secrets>;
    Courier::new(parts(store, clock, timer, settings, secrets)).unwrap()
}

/// The configuration by which a box reaches `server`.
fn settings_of(server: &FakeServer, change: impl Fn(String) -> String) -> Configured {
    // Signs of life have their own tests: here they would only stand between visits.
    let text = change(server.config().replacen("[crm]", "[crm]\ntimeout_ms = 500\nheartbeat_s = 0", 1));
    Config::parse(&text, Path::new("snova.toml")).unwrap_or_else(|e| panic!("{e}\n{text}")).crm
}

fn parts(
    store: &Arc<Store>,
    clock: Arc<dyn Clock>,
    timer: Arc<dyn Timer>,
    settings: &Configured,
    secrets: Arc<dyn Secrets>,
) -> CourierParts {
    let tools = Tools { clock: Arc::clone(&clock), timer, secrets, server_clock: Arc::default() };
    let beat_clock = Arc::clone(&clock);
    CourierParts {
        store: Arc::clone(store),
        connector: settings.open(&tools).unwrap().expect("a CRM is configured"),
        beacon: settings.open_beacon(&tools).unwrap(),
        settings: settings.common.clone(),
        clock,
        server_clock: tools.server_clock,
        time_zone: TimeZone::UTC,
        metrics: Arc::new(Metrics::new()),
        heartbeat: Arc::new(move || Heartbeat {
            device: "shop-7".to_owned(),
            box_id: Uuid::nil(),
            version: "1".to_owned(),
            at: beat_clock.wall(),
            cameras: vec![("till-1-front".to_owned(), true)],
            outbox_depth: 0,
            outbox_oldest: None,
            outbox_dead: 0,
        }),
    }
}
