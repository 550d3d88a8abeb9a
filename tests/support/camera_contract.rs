//! What every source of pictures must do, whatever it is: call `frame_source_contract` for a new recording, and
//! `live_source_contract` for a new camera.
//!
//! Faults that only one kind of source can have are not here: see `tests/frame_sources.rs`,
//! `tests/mjpeg_camera.rs` and `tests/rtsp_camera.rs`.

#![allow(dead_code, reason = "each test program uses its own part")]

use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use snova::camera::{FrameSource, Pace};
use snova::clock::{Clock, Monotonic, SystemClock};
use snova::face::{CameraId, CounterId, Frame};

/// More than any source under test has: a recording that should end must not run for ever.
const MOST_PICTURES: usize = 2_000;

/// Checks a source that plays a short recording of at least three pictures. `make` opens it anew.
pub fn frame_source_contract(make: impl Fn() -> Box<dyn FrameSource>) {
    let first = play(make());
    assert!(first.len() >= 3, "the contract needs some pictures, not {}", first.len());
    assert_eq!(first[0].offset, Duration::ZERO, "the first picture is at zero");
    assert!(first.windows(2).all(|pair| pair[0].offset < pair[1].offset), "offsets grow");
    assert!(first.iter().all(|picture| picture.size == first[0].size), "all pictures have one size");
    assert!(first[0].size.0 > 0 && first[0].size.1 > 0);
    assert!(play(make()) == first, "opened again, it gives the same");
    assert_eq!(make().pace(), Pace::ByOffset, "a recording is paced by its offsets");
    early_drop_leaves_nothing_behind(&make);
    a_stopped_source_says_so(&make);
}

#[derive(PartialEq)]
struct Played {
    offset: Duration,
    size: (u32, u32),
    hash: u64,
}

fn play(mut source: Box<dyn FrameSource>) -> Vec<Played> {
    let mut played = Vec::new();
    while let Some(capture) = source.next().expect("a picture") {
        let frame = Frame {
            counter: CounterId::new("contract"),
            camera: CameraId::new("contract"),
            seq: played.len() as u64,
            captured_at: Monotonic::default(),
            pixels: capture.pixels,
        };
        let picture = frame.into_rgb().expect("a picture that can be decoded");
        let mut hasher = DefaultHasher::new();
        picture.as_raw().hash(&mut hasher);
        played.push(Played { offset: capture.offset, size: picture.dimensions(), hash: hasher.finish() });
        assert!(played.len() <= MOST_PICTURES, "the recording does not end");
    }
    for _ in 0..3 {
        assert!(source.next().expect("no error after the end").is_none(), "ended is ended");
    }
    played
}

fn early_drop_leaves_nothing_behind(make: &impl Fn() -> Box<dyn FrameSource>) {
    let before = (own_children(), own_threads());
    let mut source = make();
    source.next().expect("a picture").expect("not the end");
    drop(source);
    drop(make());
    assert_eq!((own_children(), own_threads()), before, "children and threads are gone when drop returns");
}

fn a_stopped_source_says_so(make: &impl Fn() -> Box<dyn FrameSource>) {
    let mut source = make();
    source.next().expect("a picture");
    let Some(handle) = source.stop_handle() else { return };
    handle.stop();
    handle.stop();
    // Pictures that had arrived before may still come, then there must be an error.
    let stopped = (0..MOST_PICTURES).any(|_| source.next().is_err());
    assert!(stopped && source.next().is_err(), "after the stop the source reports it, each time");
    drop(source);
    handle.stop();
}

/// The 100 ms that a stop may take, for a test machine that does much else.
const STOPPED_WITHIN: Duration = Duration::from_millis(400);

/// Checks a camera that gives pictures. `make` opens it anew; `silence` lets it go on without giving any.
pub fn live_source_contract(make: impl Fn() -> Box<dyn FrameSource>, silence: impl FnOnce()) {
    let mut source = make();
    assert_eq!(source.pace(), Pace::Live, "a camera sets its own pace");
    let first = live_picture(&mut *source);
    assert_eq!(first, Duration::ZERO, "the first picture is at zero");
    let mut last = first;
    for _ in 0..5 {
        let next = live_picture(&mut *source);
        assert!(next > last, "offsets grow");
        last = next;
    }
    drop(source);
    early_drop_leaves_nothing_behind(&make);
    let (mut source, mut unused) = (make(), make());
    live_picture(&mut *source);
    unused.stop_handle().expect("a camera can be stopped").stop();
    assert!(unused.next().is_err(), "stopped before its first picture");
    drop(unused);
    a_stop_wakes_who_waits(source, silence);
}

/// The offset of the next picture, which can be decoded.
fn live_picture(source: &mut dyn FrameSource) -> Duration {
    let capture = source.next().expect("a picture").expect("a camera has no end");
    let (counter, camera) = (CounterId::new("contract"), CameraId::new("contract"));
    let frame = Frame { counter, camera, seq: 0, captured_at: Monotonic::default(), pixels: capture.pixels };
    frame.into_rgb().expect("a picture that can be decoded");
    capture.offset
}

fn a_stop_wakes_who_waits(mut source: Box<dyn FrameSource>, silence: impl FnOnce()) {
    let handle = source.stop_handle().expect("a camera can be stopped");
    let (sender, stopped_at) = std::sync::mpsc::channel();
    let clock = std::sync::Arc::new(SystemClock::new());
    let watch = std::sync::Arc::clone(&clock);
    silence();
    let stopper = std::thread::Builder::new().name("stopper".into()).spawn(move || {
        // Long enough that what had been sent before is read, and somebody waits.
        std::thread::sleep(Duration::from_millis(700));
        sender.send(watch.monotonic()).unwrap();
        handle.stop();
        handle.stop();
    });
    while source.next().is_ok() {}
    let woken_at = clock.monotonic();
    let took = woken_at.since(stopped_at.try_recv().expect("nothing else than the stop wakes it"));
    assert!(took < STOPPED_WITHIN, "the stop took {took:?}");
    assert!(source.next().is_err() && source.next().is_err(), "after the stop the source reports it, each time");
    stopper.unwrap().join().unwrap();
}

/// The processes that this very thread has started and not reaped; other tests run beside this one.
fn own_children() -> BTreeSet<String> {
    let list = fs::read_to_string("/proc/thread-self/children").expect("the kernel lists children");
    list.split_whitespace().map(str::to_owned).collect()
}

/// The threads a source may have started: unnamed ones inherit this thread's name, ours begin with "camera".
fn own_threads() -> BTreeSet<String> {
    let own_name = fs::read_to_string("/proc/thread-self/comm").expect("a thread has a name");
    let tasks = fs::read_dir("/proc/self/task").expect("the kernel lists threads").flatten();
    let named = tasks.filter_map(|task| Some((task.file_name(), fs::read_to_string(task.path().join("comm")).ok()?)));
    let ours = named.filter(|(_, name)| *name == own_name || name.starts_with("camera"));
    ours.map(|(id, _)| id.to_string_lossy().into_owned()).collect()
}
