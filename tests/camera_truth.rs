//! A camera whose pictures come and are of no use: the box says so, and nobody stays on the screen because of them.
//!
//! The real service with scripted models, on a clock that the test puts forward.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use snova::app::{self, Parts, Service, Settings, Supervision};
use snova::camera::CameraConfig;
use snova::clock::{Clock, Monotonic, SystemClock, WallTime};
use snova::face::{CameraId, CounterId};
use snova::telemetry::Metrics;
use snova::trouble::Troubles;

#[path = "support/box_under_test.rs"]
mod box_under_test;
#[path = "support/http_client.rs"]
mod http_client;
#[path = "support/mjpeg_server.rs"]
mod mjpeg_server;
#[path = "support/running_service.rs"]
mod running_service;
#[path = "support/scripted_vision.rs"]
mod scripted_vision;

use mjpeg_server::{MjpegServer, begin_stream, send_part};
use running_service::{config, enrol_on, greeting, is_empty, open_store, wait_until};
use scripted_vision::{ScriptedVision, picture, square};

/// The machine's clock, which the test may put forward.
struct Ahead(SystemClock, AtomicU64);

impl Clock for Ahead {
    fn monotonic(&self) -> Monotonic {
        self.0.monotonic() + Duration::from_millis(self.1.load(Ordering::SeqCst))
    }

    fn wall(&self) -> WallTime {
        self.0.wall()
    }
}

/// Each has threads that need the machine for themselves.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

const LIVING: u8 = 0;
const REPEATING: u8 = 1;
const TWELVE_BITS: u8 = 2;

/// A camera with Ivan before it, that does as it is told.
fn camera(says: &Arc<AtomicU8>, ivan: scripted_vision::Face) -> MjpegServer {
    let says = Arc::clone(says);
    MjpegServer::start(move |_, to| {
        begin_stream(to)?;
        let mut number = 0_u8;
        loop {
            let does = says.load(Ordering::SeqCst);
            number = if does == REPEATING { number } else { number.wrapping_add(1) };
            let mut shown = picture(320, 240, &[(ivan, square(100.0, 60.0, 120.0))]);
            // A sensor's noise.
            for x in 0..8 {
                shown.put_pixel(x, 0, image::Rgb([number % 24; 3]));
            }
            let mut jpeg = Vec::new();
            image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 97).encode_image(&shown).unwrap();
            if does == TWELVE_BITS {
                let header = jpeg.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
                jpeg[header + 4] = 12;
            }
            send_part(to, &jpeg)?;
            std::thread::sleep(Duration::from_millis(20));
        }
    })
}

struct TestBox {
    service: Service,
    says: Arc<AtomicU8>,
    clock: Arc<Ahead>,
    _camera: MjpegServer,
    _data: tempfile::TempDir,
}

impl TestBox {
    async fn start(says: u8) -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut vision = ScriptedVision::new(64);
        // Those before have the dark colours.
        let ivan = (0..14).map(|n| vision.person(&format!("somebody-{n}"))).last().unwrap();
        let store = open_store(data.path());
        let shots = (0..3).map(|shot| scripted_vision::photo(ivan.shot(shot))).collect();
        enrol_on(&store, &mut vision, box_under_test::request_of("Иван", shots));
        let says = Arc::new(AtomicU8::new(says));
        let camera = camera(&says, ivan);
        let mut settings = Settings::from_config(&config(data.path())).unwrap();
        let counter = CounterId::new("till-1");
        // A loaded machine must not be taken for a stall.
        let front = CameraConfig { counter, camera: CameraId::new("front"), stall_after: Duration::from_secs(120) };
        settings.cameras.push((front, camera.spec(None)));
        let clock = Arc::new(Ahead(SystemClock::new(), AtomicU64::new(0)));
        let parts = Parts {
            store,
            vision: Box::new(vision),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            metrics: Arc::new(Metrics::new()),
            supervision: Supervision::default(),
            troubles: Troubles::default(),
        };
        let service = app::start(settings, parts).await.unwrap();
        Self { service, says, clock, _camera: camera, _data: data }
    }

    fn let_it(&self, do_this: u8) {
        self.says.store(do_this, Ordering::SeqCst);
    }

    /// Lets so many seconds pass, faster than life.
    async fn pass(&self, seconds: u64) {
        for _ in 0..seconds * 2 {
            tokio::time::sleep(Duration::from_millis(60)).await;
            self.clock.1.fetch_add(500, Ordering::SeqCst);
        }
    }

    async fn get(&self, path: &str) -> String {
        let http = http_client::builder().build().unwrap();
        http.get(format!("http://{}{path}", self.service.address())).send().await.unwrap().text().await.unwrap()
    }

    /// The state is on the screen and at /health as a trouble, and in the metrics.
    async fn says(&self, state: &str) {
        wait_until(self.service.address(), state, |picture| picture["cameras"][0]["state"] == state).await;
        let health: Value = serde_json::from_str(&self.get("/health").await).unwrap();
        assert_eq!((&health["status"], &health["troubles"]), (&json!("trouble"), &json!([format!("camera_{state}")])));
        let line = format!("snova_camera_state{{camera=\"front\",state=\"{state}\"}} 1");
        let counted = tokio::time::timeout(running_service::PATIENCE, async {
            while !self.get("/metrics").await.lines().any(|one| one == line) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        assert!(counted.await.is_ok(), "no {line}");
    }
}

fn is_live(picture: &Value) -> bool {
    picture["cameras"][0]["state"] == "live"
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_that_repeats_its_last_picture_is_frozen_and_the_card_leaves() {
    let _alone = ALONE.lock().await;
    let shop = TestBox::start(LIVING).await;
    let address = shop.service.address();
    wait_until(address, "Ivan is greeted", |picture| greeting(picture).is_some()).await;
    shop.let_it(REPEATING);
    shop.pass(22).await;
    shop.says("frozen").await;
    wait_until(address, "the card leaves", is_empty).await;
    shop.let_it(LIVING);
    wait_until(address, "he is seen again", |picture| is_live(picture) && !is_empty(picture)).await;
    shop.service.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_that_cannot_be_decoded_are_a_trouble() {
    let _alone = ALONE.lock().await;
    let shop = TestBox::start(LIVING).await;
    let address = shop.service.address();
    wait_until(address, "Ivan is greeted", |picture| greeting(picture).is_some()).await;
    shop.let_it(TWELVE_BITS);
    shop.pass(4).await;
    shop.says("unreadable").await;
    wait_until(address, "the card leaves", is_empty).await;
    shop.let_it(LIVING);
    wait_until(address, "he is seen again", |picture| is_live(picture) && !is_empty(picture)).await;
    shop.service.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_still_scene_is_not_frozen() {
    let _alone = ALONE.lock().await;
    // Somebody who does not move, before a sensor with its noise; and a test picture, which never differed.
    for does in [LIVING, REPEATING] {
        let shop = TestBox::start(does).await;
        wait_until(shop.service.address(), "its pictures come", is_live).await;
        for _ in 0..25 {
            shop.pass(1).await;
            let shown = running_service::picture(shop.service.address()).await.unwrap();
            assert!(is_live(&shown), "{shown}");
        }
        shop.service.stop().await.unwrap();
    }
}
