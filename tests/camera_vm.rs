//! USB cameras as the kernel's own driver gives them, whole, half, silent, pulled out and in use: for the virtual
//! machine of `make test-camera`.
//!
//! The camera is made of software (`tests/camera-vm/device`) and obeys commands. What needs no driver is in
//! `tests/usb_camera.rs`. One test at a time: there is one camera.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test a panic is the report")]

#[path = "support/camera_bench.rs"]
mod camera_bench;

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use camera_bench::{Bench, lost_by};
use snova::camera::{CameraState, Capture, FrameSource, Taken, UsbConfig, UsbFormat, UsbSource};
use snova::clock::{Clock, SystemClock};
use snova::face::Pixels;

/// An emulated processor is some thirty times slower than a real one.
const PATIENCE: Duration = Duration::from_secs(60);

const NODE: &str = "/dev/video0";

/// The camera's pictures are so many bands high; one band is light, in each picture another.
const BANDS: usize = 8;
/// Without the noise, which is even, from 0 to 15.
const GREY: f64 = 90.0;
const LIGHT: f64 = 170.0;

/// Our program in the virtual machine.
fn snova() -> OsString {
    std::env::var_os("SNOVA").expect("run this by `make test-camera`")
}

/// Tells the camera what to do.
fn command(what: &str) {
    let pipe = std::env::var_os("CAMERA_COMMANDS").expect("run this by `make test-camera`");
    fs::write(pipe, format!("{what}\n")).unwrap();
}

/// Waits for the camera in its usual state, whatever the test before has left.
fn ready() {
    command("plug");
    command("speak");
    command("halve 0");
    wait_until("the camera is there", || Path::new(NODE).exists());
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let clock = SystemClock::new();
    while !condition() {
        assert!(clock.monotonic().0 < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn open(config: &UsbConfig) -> UsbSource {
    UsbSource::open_with(&snova(), config).unwrap()
}

fn at_node() -> UsbConfig {
    UsbConfig { device: Some(NODE.into()), ..UsbConfig::default() }
}

fn next(source: &mut UsbSource) -> Capture {
    source.next().unwrap().expect("a camera does not end")
}

/// The next error, at most this many pictures later.
fn error_within(source: &mut UsbSource, pictures: usize) -> String {
    (0..pictures).find_map(|_| source.next().err()).expect("no error came").to_string()
}

/// Whether it is one of the camera's pictures from top to bottom.
fn whole(pixels: Pixels) -> Result<(), String> {
    let picture = pixels.into_rgb().map_err(|e| e.to_string())?;
    let (width, height) = picture.dimensions();
    // A part of the columns is enough for a mean.
    let columns = || (0..width).step_by(8);
    let band = |n: u32| {
        let rows = n * height / BANDS as u32..(n + 1) * height / BANDS as u32;
        let lights =
            rows.flat_map(|y| columns().map(move |x| (x, y))).map(|(x, y)| f64::from(picture.get_pixel(x, y).0[1]));
        lights.sum::<f64>() / (columns().count() * height as usize / BANDS) as f64
    };
    let bands: Vec<f64> = (0..BANDS as u32).map(band).collect();
    // Raw pictures have 219 levels for a JPEG's 255.
    let near = |level: f64, is: f64| {
        let level = level + 7.5;
        (is - level).abs() < 5.0 || (is - (level - 16.0) * 255.0 / 219.0).abs() < 5.0
    };
    let (light, grey): (Vec<f64>, Vec<f64>) = bands.iter().partition(|is| near(LIGHT, **is));
    let whole = light.len() == 1 && grey.iter().all(|is| near(GREY, *is));
    whole.then_some(()).ok_or_else(|| format!("no picture of the camera: {bands:.0?}"))
}

/// Looks at pictures: each is one of the camera's, whole. Gives the longest time between two of them.
fn look_at(source: &mut UsbSource, pictures: usize) -> Duration {
    let (mut last, mut longest) = (next(source).offset, Duration::ZERO);
    for n in 0..pictures {
        let Capture { offset, pixels } = next(source);
        whole(pixels).unwrap_or_else(|e| panic!("{n}: {e}"));
        longest = longest.max(offset - last);
        last = offset;
    }
    longest
}

fn rate(source: &mut UsbSource, pictures: u32) -> f64 {
    // The camera draws its pictures when they are first wanted, which takes it some time.
    (0..BANDS).for_each(|_| drop(next(source)));
    let first = next(source).offset;
    let last = (0..pictures).map(|_| next(source).offset).last().unwrap();
    f64::from(pictures) / (last - first).as_secs_f64()
}

/// The camera under our supervisor.
fn supervised(stall_after: Duration) -> Bench {
    let open =
        || -> Result<Box<dyn FrameSource>, _> { Ok(Box::new(UsbSource::open_with(&snova(), &UsbConfig::default())?)) };
    Bench::new("till-1-front", stall_after, Arc::new(SystemClock::new()), open)
}

fn is_live(bench: &Bench) {
    bench.state_becomes(|state| *state == CameraState::Live);
    bench.frame();
}

fn stops(bench: Bench) {
    bench.stop();
    assert!(children().is_empty(), "nothing is left behind");
}

/// The processes that read the camera.
fn children() -> Vec<String> {
    let numbers =
        fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.file_name().into_string().unwrap_or_default());
    let is_child = |pid: &String| {
        fs::read(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|line| String::from_utf8_lossy(&line).contains("camera-child"))
    };
    numbers.filter(is_child).collect()
}

fn run(arguments: &[&str]) -> String {
    let output = Command::new(snova()).args(arguments).output().unwrap();
    String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_camera_is_listed_once_with_all_its_formats() {
    ready();
    let listed: serde_json::Value = serde_json::from_str(&run(&["cameras", "list", "--json"])).unwrap();
    let nodes =
        fs::read_dir("/dev").unwrap().flatten().filter(|e| e.file_name().to_string_lossy().starts_with("video"));
    assert_eq!(nodes.count(), 2, "the camera has a node that gives no pictures");
    let [device] = &listed["devices"].as_array().unwrap()[..] else { panic!("{listed}") };
    assert_eq!((device["path"].as_str(), device["auto"].as_str()), (Some(NODE), Some("mjpeg 640x480 at 30/s")));
    assert!(device["name"].as_str().unwrap().contains("Snova Test Camera"), "{device}");
    let formats = device["formats"].as_array().unwrap();
    assert_eq!((formats[0]["format"].as_str(), formats[1]["format"].as_str()), (Some("mjpeg"), Some("yuyv")));
    assert_eq!(formats[0]["sizes"][1]["width"], 1280);
    assert_eq!(formats[1]["sizes"][1]["rates"], serde_json::json!([30.0, 15.0, 7.5]));
    println!("{}", run(&["cameras"]));
}

#[test]
fn jpegs_come_whole_and_at_the_full_rate() {
    ready();
    let mut source = open(&UsbConfig::default());
    let clock = SystemClock::new();
    assert!(matches!(next(&mut source).pixels, Pixels::Jpeg(_)));
    let first_ms = clock.monotonic().0.as_millis();
    look_at(&mut source, 30);
    let rate = rate(&mut source, 60);
    // How fast an emulated processor is depends on what else the real one does.
    assert!((12.0..=33.0).contains(&rate), "{rate:.1} a second");
    println!("  mjpeg 640x480: the first after {first_ms} ms, {rate:.1} a second");
    let about = fs::read_to_string(format!("/proc/{}/status", children()[0])).unwrap();
    let memory = about.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim();
    println!("  the process that reads it has held {memory} at most");
}

#[test]
fn raw_pictures_come_as_well() {
    ready();
    for (width, height) in [(640, 480), (320, 240)] {
        let mut source = open(&UsbConfig { format: Some(UsbFormat::Yuyv), size: Some((width, height)), ..at_node() });
        let Pixels::Yuyv(raw) = next(&mut source).pixels else { panic!("not raw") };
        assert_eq!(raw.size(), (width, height));
        look_at(&mut source, 20);
        println!("  yuyv {width}x{height}: {:.1} a second", rate(&mut source, 40));
    }
}

#[test]
fn half_a_picture_is_never_shown() {
    ready();
    for format in [UsbFormat::Mjpeg, UsbFormat::Yuyv] {
        let mut source = open(&UsbConfig { format: Some(format), size: Some((640, 480)), ..at_node() });
        look_at(&mut source, 10);
        // A second's worth: it is as long that nothing comes, since not one of them is shown.
        command("halve 30");
        let pause = look_at(&mut source, 40);
        assert!(pause > Duration::from_millis(700), "the halves were sent and left out: {pause:?}");
        println!("  {}: 30 halves sent, none shown, {} ms without a picture", format.as_str(), pause.as_millis());
    }
}

#[test]
fn a_camera_that_sends_only_halves_is_said_to_do_so() {
    ready();
    let mut source = open(&at_node());
    next(&mut source);
    command("halve 100000");
    let error = error_within(&mut source, 60);
    assert!(error.contains("sends no whole picture (mjpeg 640x480 at 30/s)"), "{error}");
}

#[test]
fn a_silent_camera_is_killed_and_opened_anew() {
    ready();
    let bench = supervised(Duration::from_secs(1));
    is_live(&bench);
    let before = children();
    command("silent");
    bench.state_becomes(|state| matches!(state, CameraState::Stalled { .. }));
    bench.state_becomes(|state| lost_by(state, "no picture for"));
    command("speak");
    is_live(&bench);
    let after = children();
    assert!(before.len() == 1 && after.len() == 1 && before != after, "{before:?} then {after:?}");
    stops(bench);
}

#[test]
fn an_unplugged_camera_is_live_again_within_5_s_of_its_return() {
    ready();
    let bench = supervised(Duration::from_secs(3));
    is_live(&bench);
    let clock = SystemClock::new();
    command("unplug");
    bench.state_becomes(|state| lost_by(state, "was unplugged"));
    println!("  lost {} ms after it was unplugged", clock.monotonic().0.as_millis());
    bench.state_becomes(|state| lost_by(state, "no USB camera is plugged in"));
    // By now the tries are as seldom as they become.
    std::thread::sleep(Duration::from_secs(9));
    command("plug");
    wait_until("the camera is back", || Path::new(NODE).exists());
    while !matches!(bench.frames.take(Duration::ZERO), Taken::Nothing) {}
    let clock = SystemClock::new();
    is_live(&bench);
    let took = clock.monotonic().0;
    assert!(took <= Duration::from_secs(5), "{took:?}");
    println!("  live again {} ms after its return", took.as_millis());
    stops(bench);
}

#[test]
fn a_camera_in_use_is_left_to_its_user() {
    ready();
    let mut user = open(&at_node());
    next(&mut user);
    for format in [UsbFormat::Mjpeg, UsbFormat::Yuyv] {
        let error = error_within(&mut open(&UsbConfig { format: Some(format), ..at_node() }), 1);
        assert!(error.starts_with("the camera /dev/video0 is used by another program; "), "{error}");
        println!("  {error}");
    }
    let error = error_within(&mut open(&UsbConfig::default()), 1);
    assert!(error.contains("is used by another program"), "{error}");
    assert!(run(&["cameras"]).contains("mjpeg 640x480 at 30/s"), "it can still be listed");
    look_at(&mut user, 20);
}

#[test]
fn what_is_not_offered_is_said() {
    ready();
    let error = error_within(&mut open(&UsbConfig { size: Some((1920, 1080)), ..at_node() }), 1);
    assert!(error.contains("does not offer pictures of 1920x1080; choose what `snova cameras` lists"), "{error}");
    let error = error_within(&mut open(&UsbConfig { device: Some("/dev/video1".into()), ..at_node() }), 1);
    assert!(error.contains("/dev/video1 gives no pictures"), "{error}");
}

#[test]
fn rates_are_kept_and_those_that_are_not_whole_disturb_nobody() {
    ready();
    let mut source = open(&UsbConfig { fps: Some(10), ..at_node() });
    let ten = rate(&mut source, 30);
    drop(source);
    let mut source = open(&UsbConfig { size: Some((1280, 720)), fps: Some(7), ..at_node() });
    let seven = rate(&mut source, 20);
    drop(source);
    // 7.5 is what the camera is still set to, which nokhwa cannot read.
    let mut source = open(&at_node());
    let thirty = rate(&mut source, 30);
    println!("  asked for 10, 7 and nothing: {ten:.1}, {seven:.1} and {thirty:.1} a second");
    assert!((7.0..=10.8).contains(&ten) && (5.0..=7.8).contains(&seven) && thirty > 12.0, "{ten} {seven} {thirty}");
}

#[test]
fn check_looks_through_the_camera() {
    ready();
    let config = "[[counter]]\nname = \"till-1\"\n[[counter.camera]]\nname = \"front\"\nsource = \"usb\"\n";
    fs::write("/tmp/snova.toml", config).unwrap();
    let said = run(&["check", "--config", "/tmp/snova.toml"]);
    let line = said.lines().find(|line| line.contains("\"front\"")).expect(&said);
    assert!(line.starts_with("ok") && line.contains("(usb, mjpeg 640x480, the first after "), "{line}");
    println!("  {line}");
}
