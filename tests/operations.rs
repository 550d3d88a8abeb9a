//! What the box's owner and systemd see of the service: signs of life, reloads, the last good configuration, logs.
//!
//! Start, stop and crash are `service.rs`; what the commands print is `cli_errors.rs`.
#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "the real program runs by the real clock")]

#[path = "support/http_client.rs"]
mod http_client;
#[path = "support/running_service.rs"]
mod running_service;
#[path = "support/scripted_vision.rs"]
mod scripted_vision;

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use image::RgbImage;
use running_service::{PATIENCE, config, open_store};
use scripted_vision::{ScriptedVision, picture, png};
use serde_json::Value;
use snova::app::{self, Parts, Settings, Supervision};
use snova::camera::{CameraConfig, ImagesConfig, SourceSpec};
use snova::clock::SystemClock;
use snova::face::{CameraId, Detection, Embedding, FaceChip, Quality};
use snova::telemetry::Metrics;
use snova::trouble::Troubles;
use snova::vision::{PackFacts, Vision, VisionError};

/// Models that hang in the middle of a picture for as long as somebody holds the gate closed.
struct Hanging {
    models: ScriptedVision,
    gate: Arc<Gate>,
}

#[derive(Default)]
struct Gate {
    closed: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    fn close(&self, closed: bool) {
        *self.closed.lock().expect("not poisoned") = closed;
        self.opened.notify_all();
    }
}

impl Vision for Hanging {
    fn pack(&self) -> &PackFacts {
        self.models.pack()
    }
    fn detect(&mut self, picture: &RgbImage) -> Result<Vec<Detection>, VisionError> {
        let closed = self.gate.closed.lock().expect("not poisoned");
        drop(self.gate.opened.wait_while(closed, |closed| *closed).expect("not poisoned"));
        self.models.detect(picture)
    }
    fn quality(&self, picture: &RgbImage, detection: &Detection, chip: &FaceChip) -> Quality {
        self.models.quality(picture, detection, chip)
    }
    fn embed(&mut self, chips: &[FaceChip]) -> Result<Vec<Embedding>, VisionError> {
        self.models.embed(chips)
    }
}

/// Waits until `done` says so.
async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_watchdog_stops_being_fed_when_the_pipeline_hangs() {
    let data = tempfile::tempdir().expect("a temporary folder");
    let pictures = data.path().join("pictures");
    std::fs::create_dir(&pictures).expect("a folder");
    std::fs::write(pictures.join("1.png"), png(&picture(96, 96, &[]))).expect("a picture");
    let mut settings = Settings::from_config(&config(data.path())).expect("nothing is missing");
    let front = CameraConfig {
        counter: settings.desk.counters[0].0.clone(),
        camera: CameraId::new("till-1-front"),
        stall_after: Duration::from_secs(3),
    };
    let folder = ImagesConfig { folder: pictures.clone(), fps: 20.0, repeat: true };
    settings.cameras.push((front, SourceSpec::Images(folder)));

    let (gate, fed) = (Arc::new(Gate::default()), Arc::new(AtomicU64::new(0)));
    let count = Arc::clone(&fed);
    let alive = Arc::new(move || {
        count.fetch_add(1, Ordering::Relaxed);
    });
    let parts = Parts {
        store: open_store(data.path()),
        vision: Box::new(Hanging { models: ScriptedVision::new(16), gate: Arc::clone(&gate) }),
        clock: Arc::new(SystemClock::new()),
        metrics: Arc::new(Metrics::new()),
        supervision: Supervision { alive: Some(alive), ..Supervision::default() },
        troubles: Troubles::default(),
    };
    let service = app::start(settings, parts).await.expect("the service starts");
    let feedings = || fed.load(Ordering::Relaxed);
    until("it is fed while pictures are looked at", || feedings() >= 2).await;

    gate.close(true);
    // One that was on its way may still come.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let before = feedings();
    tokio::time::sleep(Duration::from_millis(3_500)).await;
    assert_eq!(feedings(), before, "a timer goes on; a hanging pipeline does not");

    gate.close(false);
    until("it is fed again", || feedings() > before).await;
    // Where it is known why no picture comes, waiting is the work.
    std::fs::remove_dir_all(&pictures).expect("the camera is unplugged");
    let before = feedings();
    until("it is fed while the camera is known to be lost", || feedings() > before + 3).await;
    service.stop().await.expect("it stops in order");
}

/// The real binary on a configuration file, killed when the test fails.
struct Running {
    process: Child,
    port: u16,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it has an address").port()
}

/// A configuration of one folder, with `more` behind it.
fn write_config(folder: &Path, port: u16, more: &str) {
    let text = format!(
        "[device]\ndata_dir = \"{}\"\n[web]\nlisten = \"127.0.0.1:{port}\"\n{more}",
        folder.join("data").display()
    );
    std::fs::write(folder.join("snova.toml"), text).expect("the configuration is written");
}

impl Running {
    /// Starts it and waits until its page can be opened. Standard error goes to `folder/stderr`.
    fn start(folder: &Path, port: u16, notify: Option<&Path>) -> Self {
        let said = std::fs::OpenOptions::new().create(true).append(true).open(folder.join("stderr"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_snova"));
        command.args(["run", "--config"]).arg(folder.join("snova.toml"));
        command.stdout(Stdio::piped()).stderr(said.expect("a file"));
        if let Some(socket) = notify {
            command.env("NOTIFY_SOCKET", socket);
        }
        let mut process = command.spawn().expect("the binary runs");
        let mut lines = BufReader::new(process.stdout.take().expect("its output is ours"));
        let running = Self { process, port };
        let mut line = String::new();
        lines.read_line(&mut line).expect("it speaks");
        assert!(line.contains("Snova is at"), "{line}; {}", said_in(folder));
        running
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.process.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
    }

    async fn get(&self, path: &str) -> Option<Value> {
        let http = http_client::builder().build().expect("an HTTP client");
        let answer = http.get(format!("http://127.0.0.1:{}{path}", self.port)).send().await.ok()?;
        answer.json().await.ok()
    }

    async fn until(&self, what: &str, path: &str, wanted: impl Fn(&Value) -> bool) {
        let begun = Instant::now();
        loop {
            let answer = self.get(path).await;
            if answer.as_ref().is_some_and(&wanted) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}; {path} is {answer:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Asks it to stop and waits for the orderly end.
    fn stop(self) {
        self.signal("TERM");
        self.ended();
    }

    fn ended(mut self) {
        let ended = self.process.wait().expect("it ends");
        assert!(ended.success(), "{ended}");
    }
}

fn said_in(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("stderr")).unwrap_or_default()
}

fn counters(answer: &Value) -> Vec<&str> {
    answer["counters"].as_array().into_iter().flatten().filter_map(|counter| counter["name"].as_str()).collect()
}

const ONE: &str = "[[counter]]\nname = \"till-1\"\n";
const TWO: &str = "[[counter]]\nname = \"till-1\"\n[[counter]]\nname = \"till-2\"\n";
const FAULTY: &str = "[visit]\ndwel_ms = 300\n[[counter]]\nname = \"till-9\"\n";

fn refused(health: &Value) -> bool {
    health["troubles"].as_array().is_some_and(|troubles| troubles.iter().any(|t| t == "config_refused"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_is_checked_before_it_holds_and_the_last_good_one_is_kept() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (folder, port) = (folder.path(), free_port());
    write_config(folder, port, ONE);
    let service = Running::start(folder, port, None);
    service.until("one counter", "/api/v1/counters", |a| counters(a) == ["till-1"]).await;

    write_config(folder, port, TWO);
    service.signal("HUP");
    service.until("the second counter is served", "/api/v1/counters", |a| counters(a) == ["till-1", "till-2"]).await;

    write_config(folder, port, FAULTY);
    service.signal("HUP");
    service.until("the refusal is told", "/health", refused).await;
    assert_eq!(counters(&service.get("/api/v1/counters").await.expect("it serves")), ["till-1", "till-2"]);
    assert!(said_in(folder).contains("did you mean \"dwell_ms\"?"), "{}", said_in(folder));

    // A value that only fails when it is used is refused as well, with nothing stopped.
    write_config(folder, port, &format!("[runtime]\npack = \"unheard-of\"\n{TWO}"));
    service.signal("HUP");
    let begun = Instant::now();
    while !said_in(folder).contains("the model pack \"unheard-of\" was not found") {
        assert!(begun.elapsed() < PATIENCE, "{}", said_in(folder));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(counters(&service.get("/api/v1/counters").await.expect("it serves")), ["till-1", "till-2"]);

    write_config(folder, port, TWO);
    service.signal("HUP");
    service.until("the mended file is taken", "/health", |h| !refused(h)).await;
    service.stop();

    // A box that restarts in the night with a broken file goes on by what was good.
    write_config(folder, port, FAULTY);
    let service = Running::start(folder, port, None);
    service.until("the last good one holds", "/api/v1/counters", |a| counters(a) == ["till-1", "till-2"]).await;
    service.until("and it is said", "/health", refused).await;
    service.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_start_with_a_broken_file_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    write_config(folder.path(), free_port(), FAULTY);
    let mut command = Command::new(env!("CARGO_BIN_EXE_snova"));
    let ended = command.args(["run", "--config"]).arg(folder.path().join("snova.toml")).output().expect("it runs");
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(!ended.status.success() && said.contains("did you mean \"dwell_ms\"?"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn systemd_is_told_of_start_progress_and_stop() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let socket = folder.path().join("notify");
    let listener = UnixDatagram::bind(&socket).expect("a socket");
    listener.set_read_timeout(Some(PATIENCE)).expect("a time limit");
    let port = free_port();
    write_config(folder.path(), port, ONE);
    let service = Running::start(folder.path(), port, Some(&socket));
    let mut told = Vec::new();
    let mut hear = |wanted: &str| {
        let mut message = [0; 512];
        while !told.iter().any(|line| line == wanted) {
            let length = listener.recv(&mut message).unwrap_or_else(|_| panic!("{wanted} was not told, only {told:?}"));
            told.extend(String::from_utf8_lossy(&message[..length]).lines().map(str::to_owned));
        }
        std::mem::take(&mut told)
    };
    let first = hear("READY=1");
    assert!(!first.iter().any(|line| line == "STOPPING=1"), "{first:?}");
    hear("WATCHDOG=1");
    service.signal("TERM");
    hear("STOPPING=1");
    service.ended();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_file_takes_the_lines_and_stays_within_its_bound() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (folder, port) = (folder.path(), free_port());
    let log = folder.join("snova.log");
    // What a run of months has left: the file is full.
    std::fs::write(&log, "x".repeat(600_000)).expect("a file");
    write_config(folder, port, &format!("[log]\nfile = \"{}\"\nmax_mb = 1\n{ONE}", log.display()));
    let service = Running::start(folder, port, None);
    service.until("it serves", "/api/v1/counters", |a| counters(a) == ["till-1"]).await;
    service.stop();
    let mut lines = String::new();
    std::fs::File::open(&log).expect("the log").read_to_string(&mut lines).expect("text");
    assert!(lines.contains("gallery loaded") && lines.contains("stopping") && lines.len() < 500_000, "{lines}");
    assert_eq!(std::fs::metadata(folder.join("snova.log.1")).expect("the page before").len(), 600_000);
    assert!(!said_in(folder).contains("gallery loaded"), "lines go to one place");
}
