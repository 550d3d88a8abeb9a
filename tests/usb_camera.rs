//! USB cameras without a USB camera: the process that reads one, its life and its last words, and the commands.
//!
//! A camera as the kernel's own driver gives it is not here: see `tests/camera_vm.rs`, which needs a virtual machine.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test a panic is the report")]

#[path = "support/camera_bench.rs"]
mod camera_bench;
#[path = "support/camera_contract.rs"]
mod camera_contract;
#[path = "support/command_line.rs"]
#[allow(dead_code, reason = "some of it is for the tests of other commands")]
mod command_line;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::FromRawFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use camera_bench::{Bench, lost_by};
use camera_contract::live_source_contract;
use command_line::Shop;
use snova::camera::{CameraState, FrameSource, UsbConfig, UsbFormat, UsbSource};
use snova::clock::SystemClock;
use snova::face::Pixels;

/// Sends the picture until there is a file `silent`, and then nothing.
const LIVE: &str = "while [ ! -e \"$folder/silent\" ]; do cat \"$folder/picture\"; sleep 0.02; done; exec sleep 600";

/// A folder that is the camera, and a script that is the process.
struct FakeCamera(tempfile::TempDir);

impl FakeCamera {
    fn new(plan: &str) -> Self {
        let camera = Self(tempfile::tempdir().unwrap());
        let mut jpeg = Vec::new();
        image::codecs::jpeg::JpegEncoder::new(&mut jpeg).encode_image(&image::RgbImage::new(32, 16)).unwrap();
        fs::write(camera.file("picture"), [format!("SNVF JPEG 32 16 {}\n", jpeg.len()).as_bytes(), &jpeg].concat())
            .unwrap();
        fs::write(camera.file("plan"), plan).unwrap();
        camera
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn config(&self) -> UsbConfig {
        UsbConfig { device: Some(self.0.path().to_owned()), ..UsbConfig::default() }
    }

    fn open(&self) -> UsbSource {
        UsbSource::open_with(&fake_program(), &self.config()).unwrap()
    }

    /// The processes that were started, first to last.
    fn started(&self) -> Vec<String> {
        fs::read_to_string(self.file("started")).unwrap_or_default().lines().map(str::to_owned).collect()
    }
}

fn fake_program() -> std::ffi::OsString {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/camera_child.sh").into()
}

fn is_running(pid: &str) -> bool {
    Path::new("/proc").join(pid).exists()
}

#[test]
fn a_stalled_camera_is_killed_and_reopened() {
    // The first process falls silent after some pictures, and ignores a polite request to end; the second goes on.
    let camera = FakeCamera::new(&format!(
        "trap '' TERM
        if [ \"$(wc -l < \"$folder/started\")\" -gt 1 ]; then {LIVE}; fi
        for n in 1 2 3; do cat \"$folder/picture\"; sleep 0.02; done
        exec sleep 600"
    ));
    let (program, usb) = (fake_program(), camera.config());
    let open = move || -> Result<Box<dyn FrameSource>, _> { Ok(Box::new(UsbSource::open_with(&program, &usb)?)) };
    let bench = Bench::new("till-1-front", Duration::from_secs(1), Arc::new(SystemClock::new()), open);

    // In the order in which they come.
    bench.state_becomes(|state| *state == CameraState::Live);
    bench.state_becomes(|state| matches!(state, CameraState::Stalled { .. }));
    let stalled = camera.started();
    assert!(stalled.len() == 1 && is_running(&stalled[0]), "silent, and still there");
    bench.state_becomes(|state| lost_by(state, "no picture for 2.0 s"));
    bench.state_becomes(|state| *state == CameraState::Live);

    let started = camera.started();
    assert!(started.len() == 2 && started[0] == stalled[0] && started[1] != stalled[0], "{started:?}");
    assert!(!is_running(&started[0]), "the silent process is gone");
    assert!(is_running(&started[1]));
    bench.frame();
    bench.stop();
    assert!(!is_running(&started[1]), "none is left behind");
}

#[test]
fn the_process_is_asked_for_what_is_configured_and_its_pictures_come() {
    let camera = FakeCamera::new(LIVE);
    let config = UsbConfig { format: Some(UsbFormat::Mjpeg), size: Some((640, 480)), fps: Some(15), ..camera.config() };
    let mut source = UsbSource::open_with(&fake_program(), &config).unwrap();
    let offsets: Vec<Duration> = (0..5)
        .map(|_| {
            let capture = source.next().unwrap().expect("a camera does not end");
            assert!(matches!(&capture.pixels, Pixels::Jpeg(bytes) if bytes.starts_with(&[0xFF, 0xD8])));
            capture.offset
        })
        .collect();
    assert!(offsets[0] == Duration::ZERO && offsets.is_sorted() && offsets[4] >= Duration::from_millis(60));
    let device = camera.0.path().display();
    let wanted = format!("camera-child usb --device {device} --format mjpeg --size 640x480 --fps 15\n");
    assert_eq!(fs::read_to_string(camera.file("arguments")).unwrap(), wanted);
    drop(source);
    assert!(!is_running(&camera.started()[0]), "it ends with the source");
}

#[test]
fn a_usb_camera_keeps_the_contract_of_live_sources() {
    let camera = FakeCamera::new(LIVE);
    live_source_contract(|| Box::new(camera.open()), || fs::write(camera.file("silent"), "").unwrap());
}

#[test]
fn what_the_process_says_last_is_the_reason() {
    let busy = "the camera /dev/video0 is used by another program; close that";
    for (plan, reason) in [
        (format!("echo warning >&2; echo 'snova: {busy}' >&2; exit 1"), busy),
        (format!("cat \"$folder/picture\"; echo 'snova: {busy}' >&2; exit 1"), busy),
        ("exit 3".to_owned(), "exit status: 3"),
        ("exit 0".to_owned(), "exit status: 0"),
        ("kill -9 $$".to_owned(), "signal: 9"),
        ("echo this is no picture; sleep 600".to_owned(), "something else than a picture"),
        ("head -c 100 \"$folder/picture\"; exit 1".to_owned(), "exit status: 1"),
    ] {
        let mut source = FakeCamera::new(&plan).open_for_good();
        let error = (0..3).find_map(|_| source.next().err()).expect("it ends").to_string();
        assert!(error.contains(reason) && !error.contains("snova: "), "{plan}: {error}");
        assert_eq!(source.next().err().unwrap().to_string(), error, "the same ever after");
    }
}

impl FakeCamera {
    /// A source whose folder outlives it.
    fn open_for_good(self) -> UsbSource {
        let source = self.open();
        std::mem::forget(self.0);
        source
    }
}

#[test]
fn a_camera_that_is_not_there_is_said_by_the_real_process() {
    let config = UsbConfig { device: Some("/dev/video-of-nowhere".into()), ..UsbConfig::default() };
    let mut source = UsbSource::open_with(OsStr::new(env!("CARGO_BIN_EXE_snova")), &config).unwrap();
    let error = source.next().err().unwrap().to_string();
    let wanted = "the camera /dev/video-of-nowhere is not there; plug it in, or choose one that `snova cameras` lists";
    assert_eq!(error, wanted);
}

#[test]
fn the_process_sends_pictures_through_a_pipe_only() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("pictures");
    let mut child = Command::new(env!("CARGO_BIN_EXE_snova"));
    child.args(["camera-child", "usb", "--device", "/dev/null"]).stdin(Stdio::null());
    let output = child.stdout(File::create(&file).unwrap()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("through a pipe and nowhere else"), "{said}");
    assert_eq!(fs::metadata(&file).unwrap().len(), 0);
}

#[test]
fn a_usb_camera_that_does_not_open_is_named_by_check_with_what_to_do() {
    let shop = Shop::open();
    shop.configure(
        "[[counter]]\nname = \"till-1\"\n[[counter.camera]]\nname = \"front\"\nsource = \"usb\"\ndevice = \"/dev/video-of-nowhere\"",
    );
    let ended = shop.snova(&["check"]);
    assert_eq!(ended.code, Some(2));
    let line = ended.out.lines().find(|line| line.contains("\"front\"")).expect(&ended.out);
    assert!(line.starts_with("error") && line.contains("is not there") && line.contains("— plug it in"), "{line}");
}

#[test]
fn cameras_are_listed_for_people_and_for_programs() {
    let shop = Shop::open();
    assert!(shop.snova(&["cameras"]).out.contains("No camera is configured; "));
    shop.configure(
        "[[counter]]\nname = \"till-1\"\n
        [[counter.camera]]\nname = \"front\"\nsource = \"usb\"\n
        [[counter.camera]]\nname = \"side\"\nsource = \"rtsp\"\nurl = \"rtsp://10.0.0.7/live?pwd=secret\"\nuser = \"till\"",
    );
    let listed = shop.snova(&["cameras", "list"]);
    assert_eq!(listed.code, Some(0), "{}", listed.err);
    assert!(listed.out.contains("  front  (till-1)  usb  the first one\n"), "{}", listed.out);
    assert!(listed.out.contains("  side  (till-1)  rtsp  rtsp://10.0.0.7/live\n"), "{}", listed.out);
    for arguments in [&["cameras", "--json"][..], &["cameras", "list", "--json"]] {
        let json: serde_json::Value = serde_json::from_str(&shop.snova(arguments).out).unwrap();
        assert!(json["devices"].is_array());
        assert_eq!(json["configured"][1]["from"], "rtsp://10.0.0.7/live");
        assert!(!json.to_string().contains("secret"));
    }
}

#[test]
fn a_picture_is_shown_on_a_terminal_and_nowhere_else() {
    let shop = Shop::open();
    let pictures = shop.path("pictures");
    fs::create_dir(&pictures).unwrap();
    image::RgbImage::from_pixel(64, 48, image::Rgb([200, 10, 20])).save(pictures.join("1.png")).unwrap();
    let path = pictures.display();
    shop.configure(&format!(
        "[[counter]]\nname = \"till-1\"\n[[counter.camera]]\nname = \"front\"\nsource = \"images\"\npath = \"{path}\""
    ));
    let before = shop.left();
    shop.snova(&["cameras", "show", "front"]).fails_with(&["shown on a terminal and never written"]);

    let shown = on_a_terminal(&shop, &["cameras", "show", "front"]);
    assert_eq!(shown.matches("\x1b[38;2;200;10;20;48;2;200;10;20m▀").count(), 80 * 30, "{shown}");
    assert!(shown.contains("rgb 64x48, one picture only, the first after "), "{shown}");
    let unknown = on_a_terminal(&shop, &["cameras", "show", "back"]);
    assert!(unknown.contains("no camera \"back\" is configured"), "{unknown}");
    let missing = on_a_terminal(&shop, &["cameras", "show", "/dev/video-of-nowhere"]);
    assert!(missing.contains("/dev/video-of-nowhere is not there"), "{missing}");
    assert_eq!(shop.left(), before, "nothing is written");
}

/// What the program writes to a terminal.
fn on_a_terminal(shop: &Shop, arguments: &[&str]) -> String {
    let (mut ours, mut theirs) = (-1, -1);
    // SAFETY: both numbers are live locals; the other arguments may be null.
    let opened = unsafe {
        libc::openpty(&raw mut ours, &raw mut theirs, std::ptr::null_mut(), std::ptr::null_mut(), std::ptr::null_mut())
    };
    assert_eq!(opened, 0, "{}", std::io::Error::last_os_error());
    // SAFETY: openpty has just given us these, and nobody else closes them.
    let (mut ours, theirs) = unsafe { (File::from_raw_fd(ours), File::from_raw_fd(theirs)) };
    let mut command = Command::new(env!("CARGO_BIN_EXE_snova"));
    command.args(arguments).arg("--config").arg(shop.path("snova.toml")).current_dir(shop.path(""));
    command.stdin(Stdio::null()).stderr(theirs.try_clone().unwrap()).stdout(theirs);
    let mut child = command.spawn().unwrap();
    // Our copies of the terminal's other end, so that reading comes to an end.
    drop(command);
    let mut shown = Vec::new();
    // The end of a terminal is an error on Linux.
    let _ = ours.read_to_end(&mut shown);
    child.wait().unwrap();
    String::from_utf8(shown).unwrap()
}
