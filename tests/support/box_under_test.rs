//! A box without threads: frames go through pipeline, desk and store in simulated time, joined as `snova::app` does.
//!
//! The service with its threads is `support/running_service.rs`; scripted models are `support/scripted_vision.rs`.
#![allow(dead_code, reason = "each test uses its part of the support code")]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use image::RgbImage;
use jiff::civil::Date;
use snova::app::Places;
use snova::camera::{FrameSource, Scene, SceneSource, Truth};
use snova::clock::{Clock, Monotonic, SimulatedClock};
use snova::customer::{Consent, ConsentMethod, CustomerId, Gender, PersonName, Purpose, Sighting};
use snova::enrolment::{EnrolRequest, EnrolmentRules, Photo, enrol};
use snova::face::{CameraId, CounterId, Frame, Pixels};
use snova::gallery::{Gallery, GalleryHandle};
use snova::greeter::{CounterState, Desk, DeskConfig, DeskParts, Greeted};
use snova::greeting::DayHours;
use snova::i18n::Language;
use snova::loader::{Loader, LoaderParts, PackName};
use snova::pipeline::{Pipeline, PipelineConfig};
use snova::store::{FILE_NAME, RosterChange, Store, StoreConfig, Writer, visit_writer};
use snova::trouble::Troubles;
use snova::vault::Seal;
use snova::vision::{OnnxVision, Vision, VisionConfig};
use snova::visit::{VisitConfig, VisitEvent};
use tokio::sync::watch;

pub const PACK: &str = "centerface-mobilefacenet";

/// Ivan's greeting at eleven in the morning, when he was never here before.
pub const GREETING: &str = "Доброе утро, Иван Петрович!";

/// The installed default pack, opened as the service opens it.
pub fn real_vision() -> OnnxVision {
    let places = Places::find(None, None, PACK).expect("the models are installed: run `snova setup`");
    snova::vision::open(&places.pack, &places.library, &VisionConfig::default()).expect("the pack opens")
}

pub fn media() -> PathBuf {
    Places::media().expect("the sample pictures are installed: run `snova setup`")
}

pub fn shipped_scene(name: &str) -> Scene {
    Scene::open(&PathBuf::from("scenes").join(name), &media()).expect("a shipped scene opens")
}

pub fn scene(text: &str) -> Scene {
    Scene::parse("of this test", text, &media()).expect("the scene is valid")
}

/// One frame's way through the box.
pub struct Moment {
    /// Since the box was started.
    pub at: Monotonic,
    pub truth: Vec<Truth>,
    pub sightings: Vec<Sighting>,
    pub events: Vec<VisitEvent>,
    /// What the cashier sees after it.
    pub screen: Arc<CounterState>,
}

impl Moment {
    /// The greetings on the screen, in order of arrival.
    pub fn greetings(&self) -> Vec<&str> {
        let greeting = |who: &'_ Greeted| matches!(who, Greeted::Match { .. });
        self.screen.present.iter().filter(|p| greeting(&p.who)).map(|p| greeting_of(&p.who)).collect()
    }

    /// Everybody whom the screen names, surely or as a question.
    pub fn named(&self) -> Vec<CustomerId> {
        let names = self.screen.present.iter().flat_map(|p| match &p.who {
            Greeted::Match { customer, .. } => vec![*customer],
            Greeted::Maybe { candidates } => candidates.iter().map(|c| c.customer).collect(),
        });
        names.collect()
    }

    /// Whom this frame opened a visit for.
    pub fn opened(&self) -> Option<CustomerId> {
        self.events.iter().find_map(|event| match event {
            VisitEvent::Opened { customer, .. } => Some(*customer),
            _ => None,
        })
    }

    /// The width in pixels that `identity`'s face truly has here; 0 when it is not in the frame.
    pub fn face_px(&self, identity: &str) -> f32 {
        self.truth.iter().filter(|t| &*t.identity == identity).map(|t| t.bounds.width()).fold(0.0, f32::max)
    }
}

fn greeting_of(who: &Greeted) -> &str {
    match who {
        Greeted::Match { greeting, .. } => greeting,
        Greeted::Maybe { .. } => "",
    }
}

/// Store, gallery, pipeline and desk of one counter.
pub struct BoxUnderTest {
    pub dir: tempfile::TempDir,
    pub store: Arc<Store>,
    pub clock: Arc<SimulatedClock>,
    pub pipeline: Pipeline,
    pub desk: Desk,
    pub troubles: Troubles,
    loader: Loader,
    changes: Receiver<RosterChange>,
    /// Does its work when it is told to: what the desk hands over meanwhile waits.
    pub writer: Writer,
    screen: watch::Receiver<Arc<CounterState>>,
    seq: u64,
}

impl BoxUnderTest {
    /// A fresh box with the real models.
    pub fn real() -> Self {
        Self::with(Box::new(real_vision()), PipelineConfig::default())
    }

    pub fn with(vision: Box<dyn Vision>, pipeline: PipelineConfig) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let config = StoreConfig::new(dir.path());
        Self::on(dir, &config, vision, pipeline)
    }

    /// A box whose data lies where `store` says; `dir` lives as long as the box.
    pub fn on(dir: tempfile::TempDir, store: &StoreConfig, vision: Box<dyn Vision>, pipeline: PipelineConfig) -> Self {
        let store = Arc::new(Store::open(store, Seal::plain()).expect("a fresh store opens"));
        // Eleven in the morning in Kyiv.
        let clock = Arc::new(SimulatedClock::starting_at("2026-03-02T09:00:00Z".parse().expect("a time")));
        let pack = vision.pack().clone();
        let gallery = GalleryHandle::new(Gallery::empty(pack.dimension));
        let pipeline = Pipeline::new(vision, gallery.clone(), Arc::clone(&clock) as Arc<dyn Clock>, pipeline);
        let config = DeskConfig {
            counters: vec![(till(), Language::Russian)],
            country: "RU".parse().ok(),
            time_zone: jiff::tz::TimeZone::get("Europe/Kyiv").expect("the zone is known"),
            hours: DayHours::default(),
            visit: VisitConfig::default(),
            grace: Duration::ZERO,
        };
        let (troubles, store_unreadable) = (Troubles::default(), Arc::<AtomicBool>::default());
        let (told, changes) = channel();
        let loader = Loader::new(LoaderParts {
            store: Arc::clone(&store),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            time_zone: config.time_zone.clone(),
            pack: PackName { name: pack.name.clone(), dimension: pack.dimension },
            gallery,
            troubles: troubles.clone(),
            unreadable: Arc::clone(&store_unreadable),
            changes: told,
        });
        let loader = loader.expect("the customers can be read");
        let (queue, writer) = visit_writer(Arc::clone(&store), Arc::clone(&clock) as Arc<dyn Clock>);
        let parts = DeskParts {
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            roster: store.empty_roster(),
            queue,
            troubles: troubles.clone(),
            store_unreadable,
        };
        let desk = Desk::new(config, parts);
        let screen = desk.screens().remove(&till()).expect("the desk has its counter");
        let mut shop = Self { dir, store, clock, pipeline, desk, troubles, loader, changes, writer, screen, seq: 0 };
        shop.hear_changes();
        shop
    }

    /// The box is started again on the same data: nothing of its memory is left.
    pub fn restarted(self, vision: Box<dyn Vision>, pipeline: PipelineConfig) -> Self {
        let Self { dir, store, clock, desk, .. } = self;
        drop((desk, store));
        let wall = clock.wall().at;
        let config = StoreConfig::new(dir.path());
        let mut next = Self::on(dir, &config, vision, pipeline);
        next.clock.step_to(wall);
        next.clock.boot(clock.since_boot());
        let visit = VisitConfig::default();
        next.store.close_left_open(visit.merge).expect("writable");
        let left = next.store.visits_to_take_up(next.clock.wall(), next.clock.since_boot().as_ref(), visit.merge);
        next.desk.take_up(next.clock.monotonic(), left.expect("readable"));
        next
    }

    fn hear_changes(&mut self) {
        while let Ok(change) = self.changes.try_recv() {
            self.desk.take_change(self.clock.monotonic(), change);
        }
    }

    pub fn today(&self) -> Date {
        self.clock.wall().at.to_zoned(jiff::tz::TimeZone::get("Europe/Kyiv").expect("known")).date()
    }

    pub fn enrol(&mut self, request: EnrolRequest) -> CustomerId {
        let (rules, today) = (EnrolmentRules { target_fpir: 0.001 }, self.today());
        let enrolled = enrol(request, rules, self.pipeline.vision(), &self.store, &*self.clock, today);
        enrolled.expect("the photos are good").id
    }

    /// The two sample customers: Ivan, of whom scenes show another photograph, and Elena.
    pub fn enrol_samples(&mut self) -> (CustomerId, CustomerId) {
        (self.enrol(ivan()), self.enrol(elena()))
    }

    /// What the loader does four times a second: sees what enrolment and erasure did.
    pub fn follow_store(&mut self) {
        self.loader.look();
        self.hear_changes();
    }

    /// What the writer and the desk do at all times.
    pub fn settle(&mut self) {
        self.writer.work();
        self.desk.tick(self.clock.monotonic());
    }

    /// One picture at the counter, now.
    pub fn see(&mut self, picture: RgbImage, truth: Vec<Truth>) -> Moment {
        self.see_by("till-1-front", picture, truth)
    }

    /// One picture of that camera, now.
    pub fn see_by(&mut self, camera: &str, picture: RgbImage, truth: Vec<Truth>) -> Moment {
        self.follow_store();
        let at = self.clock.monotonic();
        let (counter, camera, pixels) = (till(), CameraId::new(camera), Pixels::Rgb8(picture));
        let frame = Frame { counter, camera, seq: self.seq, captured_at: at, pixels };
        self.seq += 1;
        let outcome = self.pipeline.step(frame).expect("the frame can be looked at");
        let events = self.desk.see(at, &till(), &outcome.sightings);
        self.writer.work();
        self.desk.tick(at);
        Moment { at, truth, sightings: outcome.sightings, events, screen: self.screen() }
    }

    /// Plays a scene once, from now on.
    pub fn play(&mut self, scene: Scene) -> Vec<Moment> {
        self.play_with(scene, |_, _| {})
    }

    /// Plays a scene; after each frame `act` may do to the box what people do meanwhile.
    pub fn play_with(&mut self, scene: Scene, mut act: impl FnMut(&mut Self, &Moment)) -> Vec<Moment> {
        let began = self.clock.monotonic();
        let mut source = SceneSource::new(scene, false);
        let mut moments = Vec::new();
        while let Some(capture) = source.next().expect("a scene does not fail") {
            self.clock.advance_to(began + capture.offset);
            let truth = source.scene().truth(capture.offset);
            let Pixels::Rgb8(picture) = capture.pixels else { panic!("a drawn scene is RGB") };
            let moment = self.see(picture, truth);
            act(self, &moment);
            moments.push(moment);
        }
        moments
    }

    /// Lets time pass with nobody in sight.
    pub fn wait(&mut self, time: Duration) {
        let until = self.clock.monotonic() + time;
        while self.clock.monotonic() < until {
            self.clock.advance(Duration::from_millis(250).min(until - self.clock.monotonic()));
            self.follow_store();
            self.settle();
            self.writer.work();
        }
    }

    pub fn screen(&self) -> Arc<CounterState> {
        self.screen.borrow().clone()
    }

    /// The rows of a table, counted as another program sees them.
    pub fn rows(&self, table: &str) -> i64 {
        let connection = rusqlite::Connection::open(self.dir.path().join(FILE_NAME)).expect("the file opens");
        let count = format!("SELECT count(*) FROM {table}");
        connection.query_row(&count, [], |row| row.get(0)).expect("the table is there")
    }
}

pub fn till() -> CounterId {
    CounterId::new("till-1")
}

pub fn consent(today: Date) -> Consent {
    Consent {
        given_on: today,
        method: ConsentMethod::PaperForm,
        purposes: Purpose::ALL.to_vec(),
        valid_until: None,
        withdrawn_at: None,
    }
}

/// A request for a made-up customer, from sample pictures.
pub fn request(given: &str, patronymic: &str, family: &str, gender: Gender, pictures: &[&str]) -> EnrolRequest {
    let name = PersonName {
        patronymic: Some(patronymic.to_owned()),
        family: Some(family.to_owned()),
        gender: Some(gender),
        ..PersonName::given(given)
    };
    let photo = |file: &&str| Photo {
        label: (*file).to_owned(),
        bytes: std::fs::read(media().join(file)).expect("the sample picture is there"),
    };
    EnrolRequest {
        name,
        language: None,
        tier: None,
        note: None,
        consent: consent(jiff::civil::date(2026, 3, 1)),
        identifiers: Vec::new(),
        photos: pictures.iter().map(photo).collect(),
        allow_similar: false,
    }
}

/// A request for somebody with one name, from these pictures.
pub fn request_of(given: &str, pictures: Vec<Vec<u8>>) -> EnrolRequest {
    let photo = |(n, bytes)| Photo { label: format!("{n}.png"), bytes };
    let photos = pictures.into_iter().enumerate().map(photo).collect();
    EnrolRequest { photos, name: PersonName::given(given), ..request("", "", "", Gender::Masculine, &[]) }
}

pub fn ivan() -> EnrolRequest {
    request("Иван", "Петрович", "Соколов", Gender::Masculine, &["obama-1.jpg", "obama-3.jpg"])
}

pub fn elena() -> EnrolRequest {
    request("Елена", "Андреевна", "Белова", Gender::Feminine, &["astronaut-1.png"])
}
