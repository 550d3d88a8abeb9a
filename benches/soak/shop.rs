//! The box that is soaked: the real program with what happens to it in a shop.

use std::collections::BTreeSet;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use rusqlite::OpenFlags;
use serde_json::{Value, json};
use snova::clock::{Clock, SystemClock};
use snova::store::{FILE_NAME, Store, StoreConfig};
use snova::vault::Seal;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::command_line::{Shop, media};
use crate::crm::{self, FakeContact, FakeServer};
use crate::http_client;

const CARDS: u64 = 24;
const COUNTERS: [&str; 2] = ["till-1", "till-2"];
/// From one customer with a card to the next, at each counter.
const NEXT_CARD: Duration = Duration::from_secs(3);
const START: Duration = Duration::from_secs(60);

pub struct Soaked {
    shop: Shop,
    server: FakeServer,
    address: String,
    service: Mutex<Child>,
    /// Visits that a screen named or an entry was answered with.
    shown: Arc<Mutex<BTreeSet<String>>>,
    work: Vec<JoinHandle<()>>,
}

impl Soaked {
    pub async fn open() -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let server = FakeServer::start(crm::vendor("webhook"), Arc::clone(&clock)).await;
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (shop, address) = (Shop::open(), format!("127.0.0.1:{port}"));
        let mut soaked =
            Self { shop, server, address, service: Mutex::new(idle()), shown: Arc::default(), work: Vec::new() };
        soaked.configure(4);
        soaked.enrol(&*clock);
        let log = std::fs::File::create(soaked.shop.path("snova.log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_snova"));
        command.arg("run").arg("--config").arg(soaked.shop.path("snova.toml")).current_dir(soaked.shop.path(""));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        *soaked.service.get_mut().unwrap() = command.spawn().expect("snova starts");
        soaked.until_up().await;
        for counter in COUNTERS {
            let (address, shown) = (soaked.address.clone(), Arc::clone(&soaked.shown));
            soaked.work.push(tokio::spawn(screen(address.clone(), counter, Arc::clone(&shown))));
            soaked.work.push(tokio::spawn(cashier(address, counter, shown)));
        }
        soaked
    }

    /// Visits of the scene's people, who come back every 40 s, are counted each time.
    fn configure(&self, merge_s: u64) {
        let scene = std::path::absolute("scenes/demo.toml").unwrap();
        let mut text = self.server.config().replacen("[crm]", "[crm]\ngrace_s = 5\n", 1);
        text += &format!("\n[visit]\nmerge_s = {merge_s}\n[web]\nlisten = \"{}\"\n", self.address);
        for counter in COUNTERS {
            text += &format!(
                "[[counter]]\nname = \"{counter}\"\n[[counter.camera]]\nname = \"{counter}-front\"\n\
                 source = \"scene\"\npath = \"{}\"\nrepeat = true\n",
                scene.display()
            );
        }
        self.shop.configure(&text);
    }

    fn enrol(&self, clock: &dyn Clock) {
        let consent = ["--consent-on", "2026-01-15", "--consent-method", "paper-form"];
        let enrol = |rest: &[&str]| {
            let ended = self.shop.snova(&[&["enrol"], &consent[..], rest].concat());
            assert_eq!(ended.code, Some(0), "{}", ended.err);
        };
        let photos = ["obama-1.jpg", "obama-3.jpg", "astronaut-1.png"].map(|name| media(name).display().to_string());
        enrol(&["--given", "Иван", "--patronymic", "Петрович", &photos[0], &photos[1]]);
        enrol(&["--given", "Елена", &photos[2]]);
        for number in 0..CARDS {
            let (name, phone) = (format!("Имя{number}"), format!("+7912000{number:04}"));
            let contact = FakeContact::named(&name, "Петрович", "Соколов", &phone);
            self.server.crm.lock().unwrap().add_contact(contact, clock.wall().at);
            enrol(&["--given", &name, "--phone", &phone, "--card", &card(number)]);
        }
        let store = Store::open(&StoreConfig::new(self.shop.data()), Seal::plain()).unwrap();
        for (name, value) in self.server.crm.lock().unwrap().secrets() {
            store.set_secret(name, &value).unwrap();
        }
    }

    async fn until_up(&self) {
        let (begun, url, http) =
            (Instant::now(), format!("http://{}/health", self.address), http_client::builder().build().unwrap());
        while http.get(&url).send().await.is_err() {
            assert!(begun.elapsed() < START, "the service does not start");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub fn process(&self) -> u32 {
        self.service.lock().unwrap().id()
    }

    /// `systemctl reload`, with another configuration each time.
    pub fn reload(&self, number: u64) {
        self.configure(4 + number % 2);
        // What the fake was asked is its own memory, and would grow without end.
        self.server.forget_asked();
        self.signal(libc::SIGHUP);
    }

    fn signal(&self, signal: i32) {
        // SAFETY: a plain system call, to a child that nobody has waited for.
        unsafe { libc::kill(i32::try_from(self.process()).unwrap(), signal) };
    }

    /// The visits on the disk.
    pub fn rows(&self) -> BTreeSet<String> {
        let file = self.shop.data().join(FILE_NAME);
        let database = rusqlite::Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        database.busy_timeout(Duration::from_secs(10)).unwrap();
        let mut statement = database.prepare("SELECT id FROM visits").unwrap();
        let ids = statement.query_map([], |row| row.get::<_, [u8; 16]>(0)).unwrap();
        ids.map(|id| Uuid::from_bytes(id.unwrap()).to_string()).collect()
    }

    pub fn database_bytes(&self) -> u64 {
        std::fs::metadata(self.shop.data().join(FILE_NAME)).map_or(0, |file| file.len())
    }

    /// Nobody comes any more, then the service is stopped; every visit that was shown.
    pub async fn close(&self) -> BTreeSet<String> {
        self.work.iter().for_each(JoinHandle::abort);
        // An entry that was cut off may be a visit that nobody was told of: the screens know it.
        for counter in COUNTERS {
            let url = format!("http://{}/api/v1/counters/{counter}", self.address);
            let state = http_client::builder().build().unwrap().get(url).send().await.unwrap();
            note(&self.shown, &state.json().await.unwrap());
        }
        self.signal(libc::SIGTERM);
        assert!(self.service.lock().unwrap().wait().unwrap().success(), "it stops in order");
        self.shown.lock().unwrap().clone()
    }
}

impl Drop for Soaked {
    fn drop(&mut self) {
        let service = self.service.get_mut().unwrap();
        let _ = service.kill();
        let _ = service.wait();
    }
}

/// Stands in until the service is started.
fn idle() -> Child {
    Command::new("true").spawn().expect("`true` is everywhere")
}

fn card(number: u64) -> String {
    format!("snova-{number:04}")
}

/// The visits of a counter's picture that are visits, not questions.
fn note(shown: &Mutex<BTreeSet<String>>, picture: &Value) {
    let present = picture["present"].as_array().into_iter().flatten();
    let visits = present.filter(|p| p["greeting"].is_string()).filter_map(|p| p["visit_id"].as_str());
    shown.lock().unwrap().extend(visits.map(str::to_owned));
}

/// A cashier's page that is open all day; a reload makes it connect again.
async fn screen(address: String, counter: &'static str, shown: Arc<Mutex<BTreeSet<String>>>) {
    let http = http_client::builder().build().unwrap();
    loop {
        if let Ok(answer) = http.get(format!("http://{address}/api/v1/counters/{counter}/events")).send().await {
            let (mut bytes, mut held) = (answer.bytes_stream(), String::new());
            while let Some(Ok(piece)) = bytes.next().await {
                held.push_str(&String::from_utf8_lossy(&piece));
                while let Some(end) = held.find("\n\n") {
                    let event: String = held.drain(..end + 2).collect();
                    let data = event.lines().find_map(|line| line.strip_prefix("data:")).unwrap_or("null");
                    note(&shown, &serde_json::from_str(data.trim()).unwrap_or_default());
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// One customer with a card after another; every fifth card is the wrong one.
async fn cashier(address: String, counter: &'static str, shown: Arc<Mutex<BTreeSet<String>>>) {
    let http = http_client::builder().timeout(Duration::from_secs(10)).build().unwrap();
    // Neighbours begin at other ends, so that no card is at two counters at once.
    let first = if counter == COUNTERS[0] { 0 } else { CARDS / 2 };
    for number in 0u64.. {
        tokio::time::sleep(NEXT_CARD).await;
        let entered = json!({ "entered": card((first + number) % CARDS) });
        let url = format!("http://{address}/api/v1/counters/{counter}/entries");
        let Ok(answer) = http.post(url).json(&entered).send().await else { continue };
        let Ok(answer) = answer.json::<Value>().await else { continue };
        let Some(visit) = answer["visit_id"].as_str().map(str::to_owned) else { continue };
        shown.lock().unwrap().insert(visit.clone());
        tokio::time::sleep(NEXT_CARD / 2).await;
        let verdict = if number % 5 == 4 { "no" } else { "done" };
        let url = format!("http://{address}/api/v1/visits/{visit}/answer");
        let _ = http.post(url).json(&json!({ "verdict": verdict })).send().await;
    }
}
