//! From a camera to the cashier's screen: a frame is sent over the network as a camera does it, the greeting comes
//! out of the event stream as a screen gets it.
//!
//! One frame every 200 ms, so that the frame that decided is the last one sent before the greeting.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use image::codecs::jpeg::JpegEncoder;
use snova::app::{self, Parts, Settings, Supervision};
use snova::camera::{CameraConfig, NetworkConfig, SourceSpec};
use snova::clock::{Clock, SystemClock};
use snova::config::Config;
use snova::customer::{Consent, ConsentMethod, PersonName, Purpose};
use snova::enrolment::{EnrolRequest, EnrolmentRules, Photo, enrol};
use snova::face::CameraId;
use snova::store::{Store, StoreConfig};
use snova::telemetry::Metrics;
use snova::trouble::Troubles;
use snova::vault::Seal;
use snova::vision::VisionConfig;

use super::{Sorted, steps};

const VISITS: usize = 40;
const BETWEEN_FRAMES: Duration = Duration::from_millis(200);

pub fn measure() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("threads");
    let data = tempfile::tempdir().expect("a temporary folder");
    let store = Arc::new(Store::open(&StoreConfig::new(data.path()), Seal::plain()).expect("a fresh store"));
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let jpeg = steps::regular();
    let mut vision = steps::open(VisionConfig::default().threads);
    let today = clock.wall().at.to_zoned(jiff::tz::TimeZone::UTC).date();
    let request = EnrolRequest {
        name: PersonName::given("Иван"),
        language: None,
        tier: None,
        note: None,
        consent: Consent {
            given_on: today,
            method: ConsentMethod::Demonstration,
            purposes: Purpose::ALL.to_vec(),
            valid_until: None,
            withdrawn_at: None,
        },
        photos: vec![Photo { label: "frame".into(), bytes: jpeg.clone() }],
        identifiers: Vec::new(),
        allow_similar: false,
    };
    enrol(request, EnrolmentRules { target_fpir: 0.001 }, &mut vision, &store, &*clock, today).expect("a good photo");

    let camera = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let mut config = Config::default();
    config.device.data_dir = data.path().to_owned();
    config.device.time_zone = jiff::tz::TimeZone::UTC;
    config.web.listen = ([127, 0, 0, 1], 0).into();
    // Every coming is a visit of its own, so that each is greeted.
    config.visit.merge = Duration::ZERO;
    config.visit.absence = Duration::from_millis(500);
    let mut settings = Settings::from_config(&config).expect("nothing is missing");
    let url = format!("http://{}/video", camera.local_addr().expect("an address"));
    let front = CameraConfig {
        counter: config.counters[0].name.clone(),
        camera: CameraId::new("front"),
        stall_after: Duration::from_secs(30),
    };
    settings.cameras.push((front, SourceSpec::Mjpeg(NetworkConfig { url, login: None })));
    let parts = Parts {
        store,
        vision: Box::new(vision),
        clock,
        metrics: Arc::new(Metrics::new()),
        supervision: Supervision::default(),
        troubles: Troubles::default(),
    };
    let service = runtime.block_on(app::start(settings, parts)).expect("the service starts");

    let (greeted, greetings) = mpsc::channel();
    let address = service.address();
    std::thread::Builder::new().name("screen".into()).spawn(move || screen(address, &greeted)).expect("a thread");
    let mut took = Vec::new();
    let mut sender = Sender::accept(&camera);
    let empty = empty_counter();
    for _ in 0..VISITS {
        let mut sent_at = Instant::now();
        let greeted_at = loop {
            sender.send(&jpeg);
            let before = std::mem::replace(&mut sent_at, Instant::now());
            match greetings.recv_timeout(BETWEEN_FRAMES) {
                // A greeting that was on its way when this frame was sent was decided by the one before.
                Ok(at) if at < sent_at => break at - before,
                Ok(at) => break at - sent_at,
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => panic!("the screen lost its line"),
            }
        };
        took.push(greeted_at);
        // Nobody for as long as it takes the card to go.
        for _ in 0..8 {
            sender.send(&empty);
            std::thread::sleep(BETWEEN_FRAMES);
        }
    }
    println!("{:<42} {}", "deciding frame sent to greeting received", Sorted::new(took));
    runtime.block_on(service.stop()).expect("it stops in order");
}

fn empty_counter() -> Vec<u8> {
    let mut jpeg = Vec::new();
    let picture = image::RgbImage::from_pixel(640, 480, image::Rgb([90, 88, 84]));
    JpegEncoder::new_with_quality(&mut jpeg, 85).encode_image(&picture).expect("memory takes a JPEG");
    jpeg
}

/// The camera's side of the connection.
struct Sender(TcpStream);

impl Sender {
    fn accept(listener: &TcpListener) -> Self {
        let (mut stream, _) = listener.accept().expect("the service connects");
        stream.set_nodelay(true).expect("an option");
        let mut request = BufReader::new(stream.try_clone().expect("a handle"));
        let mut line = String::new();
        while request.read_line(&mut line).expect("a request") > 2 {
            line.clear();
        }
        let head = "HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n";
        stream.write_all(head.as_bytes()).expect("it listens");
        Self(stream)
    }

    fn send(&mut self, jpeg: &[u8]) {
        let mut part = format!("--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n", jpeg.len());
        part.reserve(jpeg.len() + 2);
        let mut part = part.into_bytes();
        part.extend_from_slice(jpeg);
        part.extend_from_slice(b"\r\n");
        self.0.write_all(&part).expect("it listens");
    }
}

/// Notes when each greeting comes out of the event stream.
fn screen(address: SocketAddr, greeted: &mpsc::Sender<Instant>) {
    let mut stream = TcpStream::connect(address).expect("it listens");
    let request = format!("GET /api/v1/counter/events HTTP/1.1\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut shown = false;
    for line in BufReader::new(stream).lines().map_while(Result::ok) {
        let at = Instant::now();
        if !line.starts_with("data:") || !line.contains("\"present\"") {
            continue;
        }
        let there = line.contains("\"greeting\":\"");
        if there && !shown && greeted.send(at).is_err() {
            return;
        }
        shown = there;
    }
}
