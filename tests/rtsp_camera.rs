//! A camera that sends video over RTSP, played by a real RTSP server: what goes wrong, and what Snova makes of it.
//!
//! Cameras over HTTP are not here: see `tests/mjpeg_camera.rs`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test a panic is the report")]

#[path = "support/camera_bench.rs"]
mod camera_bench;
#[path = "support/camera_contract.rs"]
mod camera_contract;
#[path = "support/live_camera.rs"]
mod live_camera;
#[path = "support/rtsp_server.rs"]
mod rtsp_server;

use std::fs;
use std::net::TcpListener;
use std::time::Duration;

use camera_bench::lost_by;
use camera_contract::live_source_contract;
use live_camera::{BACK_WITHIN, Log, end_of, grey, supervised, supervised_as};
use rtsp_server::RtspServer;
use snova::camera::{CameraState, Login, NetworkConfig, SourceSpec, Taken, open};
use snova::clock::{Clock, SystemClock};

const USER: &str = "till";
/// With everything that has a meaning in an address or in a script.
const PASSWORD: &str = "pa ss@w:o/r%d'#1";

#[test]
fn a_video_stream_keeps_the_contract_of_live_cameras() {
    let server = RtspServer::start();
    let spec = server.spec("/live", None);
    live_source_contract(|| open(&spec).unwrap(), || server.hang());
}

#[test]
fn pictures_come_soon_and_are_fresh() {
    let mut server = RtspServer::start();
    let clock = SystemClock::new();
    let mut source = open(&server.spec("/live", None)).unwrap();
    let (black, size) = grey(&mut *source).unwrap();
    assert!(black < 30 && size == (640, 480), "{black} {size:?}");
    println!("first picture of an RTSP camera: {} ms", clock.monotonic().0.as_millis());
    // What had queued up while the stream was looked at is read at once.
    (0..50).for_each(|_| assert!(grey(&mut *source).is_ok()));
    let mut delays = Vec::new();
    for (pattern, is_white) in [("white", true), ("black", false), ("white", true)] {
        let shown_at = clock.monotonic();
        server.show(pattern);
        while (grey(&mut *source).unwrap().0 > 128) != is_white {}
        delays.push(clock.monotonic().since(shown_at));
    }
    println!("from scene to picture over RTSP: {delays:?}");
    let shortest = delays.iter().min().unwrap();
    assert!(*shortest < Duration::from_millis(600), "old pictures are queued somewhere: {delays:?}");
}

#[test]
fn large_pictures_are_made_smaller_and_fast_ones_fewer() {
    let server = RtspServer::start();
    let mut wide = open(&server.spec("/wide", None)).unwrap();
    assert_eq!(grey(&mut *wide).unwrap().1, (1280, 720));
    drop(wide);
    let mut fast = open(&server.spec("/fast", None)).unwrap();
    assert_eq!(grey(&mut *fast).unwrap().1, (320, 240), "never made larger");
    (0..25).for_each(|_| assert!(grey(&mut *fast).is_ok()));
    let clock = SystemClock::new();
    (0..75).for_each(|_| assert!(grey(&mut *fast).is_ok()));
    let took = clock.monotonic().0;
    assert!(took > Duration::from_millis(2_400), "75 pictures of a camera of 50 a second came in {took:?}");
}

#[test]
fn a_camera_that_was_away_gives_pictures_within_five_seconds() {
    let mut server = RtspServer::start();
    let bench = supervised(server.spec("/live", None));
    bench.frame();
    bench.state_becomes(|state| *state == CameraState::Live);
    server.kill();
    bench.state_becomes(|state| matches!(state, CameraState::Lost { .. }));
    bench.state_becomes(|state| lost_by(state, "Connection refused"));
    // Long enough that the waits between two tries have grown to their longest.
    std::thread::sleep(Duration::from_secs(9));
    while matches!(bench.frames.take(Duration::ZERO), Taken::Frame(_)) {}
    server.come_back();
    let clock = SystemClock::new();
    bench.frame();
    let took = clock.monotonic().0;
    println!("recovery of an RTSP camera: {} ms", took.as_millis());
    // RTSP begins with the next whole picture, which this camera sends each second; and see `tests/mjpeg_camera.rs`.
    assert!(took < BACK_WITHIN + Duration::from_secs(3), "{took:?}");
    bench.state_becomes(|state| *state == CameraState::Live);
}

#[test]
fn a_hanging_camera_is_stalled_then_lost_then_back() {
    let server = RtspServer::start();
    let bench = supervised(server.spec("/live", None));
    bench.frame();
    bench.state_becomes(|state| *state == CameraState::Live);
    server.hang();
    bench.state_becomes(|state| matches!(state, CameraState::Stalled { .. }));
    bench.state_becomes(|state| lost_by(state, "no picture for 2.0 s"));
    server.go_on();
    bench.state_becomes(|state| *state == CameraState::Live);
    let took = bench.stop();
    assert!(took < Duration::from_millis(400), "the stop took {took:?}");
}

#[test]
fn the_right_password_opens_and_a_wrong_one_is_refused() {
    for way in ["basic", "digest"] {
        let server = RtspServer::guarded(way, USER, PASSWORD);
        let bench = supervised(server.spec("/live", Some((USER, PASSWORD))));
        bench.state_becomes(|state| *state == CameraState::Live);
        bench.stop();
        for login in [Some((USER, "another")), Some(("somebody", PASSWORD)), None] {
            let bench = supervised(server.spec("/live", login));
            let refused = bench.state_becomes(|state| matches!(state, CameraState::Refused { .. }));
            let CameraState::Refused { cause, .. } = refused else { panic!("refused") };
            assert!(cause.contains("set it with `snova cameras password NAME`"), "{way} {cause}");
        }
    }
}

#[test]
fn what_cannot_be_played_is_named_within_ten_seconds() {
    let server = RtspServer::start();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let rtsp = |url: String| SourceSpec::Rtsp(NetworkConfig { url, login: None });
    for (spec, what) in [
        (server.spec("/nowhere", None), "answers 404 Not Found; check the path"),
        (rtsp(format!("rtsp://{closed}/live")), "Connection refused"),
        (rtsp(format!("rtsp://{}/live", silent.local_addr().unwrap())), "check its power, its cable and its address"),
        (rtsp("rtsp://camera.invalid/live".to_owned()), "check its power, its cable and its address"),
    ] {
        let clock = SystemClock::new();
        let (given, error) = end_of(&spec);
        assert!(given == 0 && !error.is_refused() && error.to_string().contains(what), "{error}");
        assert!(clock.monotonic().0 < Duration::from_secs(10), "{error} took {:?}", clock.monotonic().0);
    }
}

#[test]
fn no_password_is_in_the_process_list_in_any_log_line_or_error_text() {
    let log = Log::install();
    let password = "planted pass/90125";
    let server = RtspServer::guarded("basic", "user-5150", password);
    let login = Some(("user-5150", password));
    let bench = supervised_as("vault", server.spec("/live", login));
    bench.state_becomes(|state| *state == CameraState::Live);
    let children = children_of("camera-vault");
    assert_eq!(children.len(), 1, "ffmpeg is running");
    let mut texts = String::new();
    for file in ["cmdline", "environ"] {
        texts += &String::from_utf8_lossy(&fs::read(format!("/proc/{}/{file}", children[0])).unwrap());
    }
    assert!(texts.contains("ffmpeg") && texts.contains("pipe:0"), "{texts}");
    bench.stop();
    for (path, user) in [("/nowhere", "user-5150"), ("/live", "nobody")] {
        let bench = supervised(server.spec(path, Some((user, password))));
        let state = bench.state_becomes(|s| matches!(s, CameraState::Lost { .. } | CameraState::Refused { .. }));
        texts += &format!("{state:?}");
        bench.stop();
    }
    // A server that hangs up makes ffmpeg quote the whole address.
    let rude = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("rtsp://{}/live", rude.local_addr().unwrap());
    let hang_up = move || drop(rude.accept());
    let hanging_up = std::thread::Builder::new().name("rude".into()).spawn(hang_up).unwrap();
    let login = Some(Login { user: "user-5150".to_owned(), password: password.to_owned() });
    let (_, error) = end_of(&SourceSpec::Rtsp(NetworkConfig { url, login }));
    hanging_up.join().unwrap();
    assert!(error.to_string().contains("Impossible to open 'its address'"), "{error}");
    texts += &error.to_string();
    let logged = log.text();
    assert!(logged.contains("camera lost"), "something is logged: {logged}");
    for secret in [password, "planted", "90125", "/nowhere"] {
        assert!(!logged.contains(secret), "{secret} is in the log: {logged}");
        assert!(!texts.contains(secret), "{secret} is in {texts}");
    }
}

/// The processes that this program's threads of this name have started.
fn children_of(thread: &str) -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").unwrap().flatten().map(|task| task.path());
    let of_name = tasks.filter(|task| fs::read_to_string(task.join("comm")).is_ok_and(|name| name.trim() == thread));
    let lists = of_name.filter_map(|task| fs::read_to_string(task.join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect()
}
