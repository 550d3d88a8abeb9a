//! A shop with several tills on scripted models: short films before their cameras, cards in their customers' hands, and
//! a log of everything that each screen ever showed.
#![allow(dead_code, reason = "each test uses its part of the support code")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt;
use image::RgbImage;
use serde_json::{Value, json};
use snova::app::{Service, Settings};
use snova::camera::{ImagesConfig, SourceSpec};
use snova::clock::{Clock, SystemClock};
use snova::config::{Config, Counter};
use snova::customer::{Consent, ConsentMethod, CustomerId, Identifier, PersonName, Purpose};
use snova::enrolment::{EnrolRequest, EnrolmentRules, Photo, enrol, enrol_without_photos};
use snova::face::CounterId;
use snova::gallery::DecisionConfig;
use snova::greeter::{Counters, Greeted};
use snova::i18n::Language;
use snova::pipeline::PipelineConfig;
use snova::store::Store;
use snova::telemetry::Metrics;
use snova::vision::Vision;

use crate::running_service::{PATIENCE, config, open_store, start_with};
use crate::scripted_vision::{Face, photo, picture, square};

/// The scripted table says 0.5 at 0.01 and 0.4 at 0.1.
pub fn rules() -> PipelineConfig {
    let decision = DecisionConfig { fpir: 0.01, maybe_fpir: 0.1, ..DecisionConfig::default() };
    PipelineConfig { decision, ..PipelineConfig::default() }
}

pub struct Shop {
    pub data: tempfile::TempDir,
    pub store: Arc<Store>,
    pub settings: Settings,
    pub metrics: Arc<Metrics>,
    clock: SystemClock,
}

impl Shop {
    pub fn with_tills(tills: &[&str]) -> Self {
        let data = tempfile::tempdir().expect("a temporary folder");
        let mut config: Config = config(data.path());
        let till =
            |name: &&str| Counter { name: CounterId::new(name), language: Language::Russian, cameras: Vec::new() };
        config.counters = tills.iter().map(till).collect();
        let mut settings = Settings::from_config(&config).expect("nothing is missing");
        settings.pipeline = rules();
        let store = open_store(data.path());
        Self { data, store, settings, metrics: Arc::new(Metrics::new()), clock: SystemClock::new() }
    }

    fn request(&self, given: &str, purposes: &[Purpose]) -> EnrolRequest {
        let today = self.settings.today(&self.clock);
        EnrolRequest {
            name: PersonName::given(given),
            language: None,
            tier: None,
            note: None,
            consent: Consent {
                given_on: today,
                method: ConsentMethod::PaperForm,
                purposes: purposes.to_vec(),
                valid_until: None,
                withdrawn_at: None,
            },
            identifiers: Vec::new(),
            photos: Vec::new(),
            allow_similar: false,
        }
    }

    pub fn enrol_face(&self, given: &str, face: Face, vision: &mut dyn Vision) -> CustomerId {
        let photos = (0..3).map(|n| Photo { label: format!("{n}.png"), bytes: photo(face.shot(n)) }).collect();
        let purposes = [Purpose::Recognition, Purpose::VisitRecords];
        let request = EnrolRequest { photos, ..self.request(given, &purposes) };
        let (rules, today) = (EnrolmentRules { target_fpir: 0.01 }, self.settings.today(&self.clock));
        enrol(request, rules, vision, &self.store, &self.clock, today).expect("good photos").id
    }

    /// Somebody without a photograph, who agreed to `purposes`.
    pub fn enrol_card(&self, given: &str, identifier: Identifier, purposes: &[Purpose]) -> CustomerId {
        let request = EnrolRequest { identifiers: vec![identifier], ..self.request(given, purposes) };
        let today = self.settings.today(&self.clock);
        enrol_without_photos(request, &self.store, &self.clock, today).expect("a live consent")
    }

    pub async fn open(&self, vision: Box<dyn Vision>) -> Service {
        start_with(self.settings.clone(), Arc::clone(&self.store), vision, Arc::clone(&self.metrics)).await
    }

    /// The rows that `query` counts, as another program sees them.
    pub fn count(&self, query: &str) -> i64 {
        let file = self.data.path().join(snova::store::FILE_NAME);
        let connection = rusqlite::Connection::open(file).expect("the file opens");
        connection.query_row(&format!("SELECT count(*) FROM {query}"), [], |row| row.get(0)).expect("readable")
    }

    pub fn withdraw(&self, customer: CustomerId) {
        self.store.withdraw_consent(customer, self.clock.wall()).expect("enrolled");
    }
}

/// Ten pictures a second: so many of each face in turn, nobody where there is none.
pub fn film(folder: &Path, parts: &[(u8, Option<Face>)]) -> SourceSpec {
    std::fs::create_dir_all(folder).expect("a folder");
    let mut number = 0;
    for (frames, face) in parts {
        for n in 0..*frames {
            let shown: Vec<_> = face.iter().map(|face| (face.shot(3 + n % 10), square(60.0, 60.0, 90.0))).collect();
            save(folder, number, &picture(320, 240, &shown));
            number += 1;
        }
    }
    SourceSpec::Images(ImagesConfig { folder: folder.to_owned(), fps: 10.0, repeat: false })
}

fn save(folder: &Path, number: u32, picture: &RgbImage) {
    picture.save(folder.join(format!("{number:05}.png"))).expect("a picture");
}

/// An empty counter, as fast as asked, for ever.
pub fn still(folder: PathBuf, fps: f64) -> SourceSpec {
    std::fs::create_dir_all(&folder).expect("a folder");
    (0..2).for_each(|number| save(&folder, number, &picture(320, 240, &[])));
    SourceSpec::Images(ImagesConfig { folder, fps, repeat: true })
}

pub fn http() -> reqwest::Client {
    crate::http_client::builder().build().expect("an HTTP client")
}

/// Gives a card or phone at a counter over the API; what came back.
pub async fn enter(service: &Service, counter: &str, entered: &str) -> (u16, Value) {
    let url = format!("http://{}/api/v1/counters/{counter}/entries", service.address());
    let answer = http().post(url).json(&json!({"entered": entered})).send().await.expect("an answer");
    (answer.status().as_u16(), answer.json().await.expect("JSON"))
}

pub async fn done(service: &Service, visit: &Value) -> u16 {
    let visit = visit.as_str().expect("an id");
    let url = format!("http://{}/api/v1/visits/{visit}/answer", service.address());
    http().post(url).json(&json!({"verdict": "done"})).send().await.expect("an answer").status().as_u16()
}

/// Everybody whom a screen ever named, and each greeting it showed, in order of appearing.
#[derive(Clone, Default)]
pub struct Shown(Arc<Mutex<(BTreeSet<String>, Vec<String>)>>);

impl Shown {
    pub fn names(&self) -> BTreeSet<String> {
        self.0.lock().expect("whole").0.clone()
    }

    pub fn greetings(&self) -> Vec<String> {
        self.0.lock().expect("whole").1.clone()
    }

    fn note(&self, names: impl IntoIterator<Item = String>, greetings: Vec<String>) {
        let mut shown = self.0.lock().expect("whole");
        shown.0.extend(names);
        for greeting in greetings {
            if shown.1.last() != Some(&greeting) {
                shown.1.push(greeting);
            }
        }
    }

    /// Follows what the counter's screens are given, inside the process.
    pub fn inside(counters: &Counters, counter: &str) -> Self {
        let shown = Self::default();
        let (note, mut pictures) = (shown.clone(), counters.watch(&CounterId::new(counter)).expect("a counter"));
        tokio::spawn(async move {
            loop {
                let state = pictures.borrow_and_update().clone();
                let (mut names, mut greetings) = (Vec::new(), Vec::new());
                for present in &state.present {
                    match &present.who {
                        Greeted::Match { name, greeting, .. } => {
                            names.push(name.given.clone());
                            greetings.push(greeting.clone());
                        }
                        Greeted::Maybe { candidates } => names.extend(candidates.iter().map(|c| c.name.given.clone())),
                    }
                }
                note.note(names, greetings);
                if pictures.changed().await.is_err() {
                    return;
                }
            }
        });
        shown
    }

    /// Follows the counter's event stream, as a browser does.
    pub async fn on_the_wire(service: &Service, counter: &str) -> Self {
        let url = format!("http://{}/api/v1/counters/{counter}/events", service.address());
        let mut bytes = http().get(url).send().await.expect("a stream").bytes_stream();
        let (shown, mut held) = (Self::default(), String::new());
        let note = shown.clone();
        tokio::spawn(async move {
            while let Some(Ok(piece)) = bytes.next().await {
                held.push_str(&String::from_utf8_lossy(&piece));
                while let Some(end) = held.find("\n\n") {
                    let event: String = held.drain(..end + 2).collect();
                    let data = event.lines().find_map(|line| line.strip_prefix("data:")).unwrap_or("null");
                    let picture: Value = serde_json::from_str(data.trim()).unwrap_or_default();
                    let (mut names, mut greetings) = (Vec::new(), Vec::new());
                    for present in picture["present"].as_array().into_iter().flatten() {
                        let named = std::iter::once(&present["name"])
                            .chain(present["candidates"].as_array().into_iter().flatten().map(|c| &c["name"]));
                        names.extend(named.filter_map(|name| name["given"].as_str()).map(str::to_owned));
                        greetings.extend(present["greeting"].as_str().map(str::to_owned));
                    }
                    note.note(names, greetings);
                }
            }
        });
        shown
    }
}

pub async fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let wait = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("not within {PATIENCE:?}: {what}"));
}
