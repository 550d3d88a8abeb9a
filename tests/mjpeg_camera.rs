//! A camera that sends JPEG pictures over HTTP: what it may do wrong, and what Snova makes of it.
//!
//! Single streams of odd bytes are not here: see the tests of `camera::multipart`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test a panic is the report")]

#[path = "support/camera_bench.rs"]
mod camera_bench;
#[path = "support/camera_contract.rs"]
mod camera_contract;
#[path = "support/mjpeg_server.rs"]
mod mjpeg_server;

use std::io::{self, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use camera_bench::{Bench, lost_by};
use camera_contract::live_source_contract;
use mjpeg_server::{
    MjpegServer, PASSWORD, Request, USER, basic_or_refused, begin_stream, digest_or_refused, good_stream, grey_jpeg,
    keep_silent, reset, say, send_part,
};
use snova::camera::{CameraState, FrameSource, SourceError, SourceSpec, open};
use snova::clock::{Clock, SystemClock};
use snova::face::Pixels;

const STALL: Duration = Duration::from_secs(1);
/// What is promised: pictures again so long after the camera is back.
const BACK_WITHIN: Duration = Duration::from_secs(5);

fn supervised(server: &MjpegServer, login: Option<(&str, &str)>) -> Bench {
    let spec = server.spec(login);
    Bench::new("door", STALL, Arc::new(SystemClock::new()), move || open(&spec))
}

/// The grey and the size of the source's next picture.
fn grey(source: &mut dyn FrameSource) -> Result<(u8, (u32, u32)), SourceError> {
    let Pixels::Jpeg(jpeg) = source.next()?.expect("a camera has no end").pixels else { panic!("a JPEG") };
    let picture = snova::face::decode_picture(&jpeg).expect("a picture that can be decoded");
    Ok((picture.get_pixel(picture.width() / 2, picture.height() / 2).0[0], picture.dimensions()))
}

/// How a source that is opened now ends, after how many pictures.
fn end_of(spec: &SourceSpec) -> (usize, SourceError) {
    let mut source = open(spec).expect("an address that can be used");
    let mut given = 0;
    let error = loop {
        match source.next() {
            Ok(_) => {
                given += 1;
                assert!(given < 300, "it gives pictures and does not end");
            }
            Err(error) => break error,
        }
    };
    let text = error.to_string();
    assert!(!text.contains('\n') && text.len() < 400, "{text}");
    assert_eq!(source.next().err().map(|error| error.to_string()), Some(text), "it stays ended");
    (given, error)
}

fn has_ended(server: &MjpegServer) -> bool {
    (0..200).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        server.open_connections() == 0
    })
}

#[test]
fn a_stream_keeps_the_contract_of_live_cameras() {
    let silent = Arc::new(AtomicBool::new(false));
    let hush = Arc::clone(&silent);
    let server = MjpegServer::start(move |_, to| {
        begin_stream(to)?;
        while !silent.load(Ordering::SeqCst) {
            send_part(to, &grey_jpeg(90, (64, 48)))?;
            std::thread::sleep(Duration::from_millis(10));
        }
        keep_silent(to)
    });
    let spec = server.spec(None);
    live_source_contract(|| open(&spec).unwrap(), || hush.store(true, Ordering::SeqCst));
    assert!(has_ended(&server), "{} connections are left open", server.open_connections());
}

#[test]
fn a_camera_of_single_pictures_keeps_the_contract_too() {
    let silent = Arc::new(AtomicBool::new(false));
    let hush = Arc::clone(&silent);
    let server = MjpegServer::start(move |_, to| match silent.load(Ordering::SeqCst) {
        true => keep_silent(to),
        false => say(to, "200 OK", "Content-Type: image/jpeg\r\n", &grey_jpeg(90, (64, 48))),
    });
    let spec = server.spec(None);
    live_source_contract(|| open(&spec).unwrap(), || hush.store(true, Ordering::SeqCst));
    assert!(has_ended(&server), "{} connections are left open", server.open_connections());
}

#[test]
fn single_pictures_are_asked_for_at_a_sane_pace_over_a_kept_connection_or_new_ones() {
    for close in [false, true] {
        let server = MjpegServer::start(move |_, to| {
            let headers =
                if close { "Content-Type: image/jpeg\r\nConnection: close\r\n" } else { "Content-Type: IMAGE/JPG\r\n" };
            say(to, "200 OK", headers, &grey_jpeg(50, (64, 48)))?;
            if close { Err(io::Error::other("closed")) } else { Ok(()) }
        });
        let mut source = open(&server.spec(None)).unwrap();
        let clock = SystemClock::new();
        (0..11).for_each(|_| assert!(grey(&mut *source).is_ok()));
        let took = clock.monotonic().0;
        assert!(took >= Duration::from_millis(950), "11 pictures in {took:?}");
        assert_eq!(server.accepted_connections(), if close { 11 } else { 1 }, "closed: {close}");
    }
}

#[test]
fn black_pictures_and_other_sizes_are_pictures() {
    let shown = [(0, (64, 48)), (0, (320, 240)), (200, (64, 48)), (120, (48, 64))];
    let server = MjpegServer::start(move |_, to| {
        begin_stream(to)?;
        for (grey, size) in shown {
            send_part(to, &grey_jpeg(grey, size))?;
            std::thread::sleep(Duration::from_millis(50));
        }
        keep_silent(to)
    });
    let mut source = open(&server.spec(None)).unwrap();
    for (wanted, size) in shown {
        let (is, dimensions) = grey(&mut *source).unwrap();
        assert!(dimensions == size && is.abs_diff(wanted) < 6, "{is} {dimensions:?} for {wanted} {size:?}");
    }
}

#[test]
fn half_pictures_and_wrong_lengths_cost_no_whole_one() {
    let server = MjpegServer::start(|_, to| {
        begin_stream(to)?;
        for number in 0..40_u8 {
            let jpeg = grey_jpeg(number, (64, 48));
            match number % 4 {
                1 => send_part(to, &jpeg[..jpeg.len() / 2])?,
                2 => to.write_all(&[b"--cam\r\nContent-Length: 3\r\n\r\n", jpeg.as_slice(), b"\r\n"].concat())?,
                3 => to.write_all(&[b"--cam\r\nContent-Length: 9999999\r\n\r\n", jpeg.as_slice()].concat())?,
                _ => send_part(to, &jpeg)?,
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(io::Error::other("done"))
    });
    let (given, error) = end_of(&server.spec(None));
    // Where the machine was busy, a newer picture may have gone before an older one.
    assert!((20..=30).contains(&given), "{given} of 30 whole ones");
    assert!(error.to_string().contains("ended its pictures"), "{error}");
}

#[test]
fn nothing_but_damaged_pictures_is_a_lost_camera() {
    let server = MjpegServer::start(|_, to| {
        begin_stream(to)?;
        let jpeg = grey_jpeg(90, (64, 48));
        loop {
            send_part(to, &jpeg[..jpeg.len() - 20])?;
            std::thread::sleep(Duration::from_millis(10));
        }
    });
    let bench = supervised(&server, None);
    bench.state_becomes(|state| lost_by(state, "30 damaged pictures in a row"));
    server.answer_with(|_, to| good_stream(to));
    bench.state_becomes(|state| *state == CameraState::Live);
}

#[test]
fn a_part_without_end_is_a_lost_camera() {
    let server = MjpegServer::start(|_, to| {
        begin_stream(to)?;
        let jpeg = grey_jpeg(90, (64, 48));
        to.write_all(&[b"--cam\r\n\r\n", &jpeg[..jpeg.len() - 2]].concat())?;
        loop {
            to.write_all(&[0x55; 1 << 16])?;
        }
    });
    let (given, error) = end_of(&server.spec(None));
    assert!(given == 0 && error.to_string().contains("16 MB without a picture"), "{error}");
    let server = MjpegServer::start(|_, to| {
        to.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\n\r\n")?;
        loop {
            to.write_all(&[0x55; 1 << 16])?;
        }
    });
    let (_, error) = end_of(&server.spec(None));
    assert!(error.to_string().contains("more than 16 MB"), "{error}");
}

#[test]
fn a_silent_camera_is_stalled_then_lost_then_back() {
    let talks = Arc::new(AtomicBool::new(true));
    let tongue = Arc::clone(&talks);
    let server = MjpegServer::start(move |_, to| {
        begin_stream(to)?;
        while tongue.load(Ordering::SeqCst) {
            send_part(to, &grey_jpeg(90, (64, 48)))?;
            std::thread::sleep(Duration::from_millis(20));
        }
        keep_silent(to)
    });
    let bench = supervised(&server, None);
    bench.state_becomes(|state| *state == CameraState::Live);
    talks.store(false, Ordering::SeqCst);
    bench.state_becomes(|state| matches!(state, CameraState::Stalled { .. }));
    bench.state_becomes(|state| lost_by(state, "no picture for 2.0 s"));
    talks.store(true, Ordering::SeqCst);
    server.answer_with(|_, to| good_stream(to));
    server.hang_up();
    bench.state_becomes(|state| *state == CameraState::Live);
    bench.stop();
    assert!(has_ended(&server), "{} connections are left open", server.open_connections());
}

#[test]
fn a_reset_or_closed_connection_is_lost_and_opened_anew() {
    for with_reset in [true, false] {
        let server = MjpegServer::start(move |_, to| {
            begin_stream(to)?;
            send_part(to, &grey_jpeg(90, (64, 48)))?;
            // In the middle of the next one.
            to.write_all(&[b"--cam\r\n\r\n", &grey_jpeg(90, (64, 48))[..100]].concat())?;
            std::thread::sleep(Duration::from_millis(100));
            if with_reset { reset(to) } else { Err(io::Error::other("closed")) }
        });
        let bench = supervised(&server, None);
        let cause = if with_reset { "broke" } else { "ended its pictures" };
        bench.state_becomes(|state| lost_by(state, cause));
        server.answer_with(|_, to| good_stream(to));
        bench.state_becomes(|state| *state == CameraState::Live);
    }
}

#[test]
fn a_camera_that_was_away_gives_pictures_within_five_seconds() {
    let mut server = MjpegServer::start(|_, to| good_stream(to));
    let bench = supervised(&server, None);
    bench.frame();
    server.go_away();
    bench.state_becomes(|state| lost_by(state, "cannot be reached"));
    // Long enough that the waits between two tries have grown to their longest.
    std::thread::sleep(Duration::from_secs(9));
    while matches!(bench.frames.take(Duration::ZERO), snova::camera::Taken::Frame(_)) {}
    let clock = SystemClock::new();
    server.come_back();
    bench.frame();
    let took = clock.monotonic().0;
    println!("recovery of an MJPEG camera: {} ms", took.as_millis());
    assert!(took < BACK_WITHIN, "{took:?}");
    bench.state_becomes(|state| *state == CameraState::Live);
}

#[test]
fn of_a_tenfold_rate_the_newest_pictures_are_given() {
    let sent = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&sent);
    let server = MjpegServer::start(move |_, to| {
        begin_stream(to)?;
        let pictures: Vec<_> = (0..200).map(|number| grey_jpeg(number, (320, 240))).collect();
        for number in 0.. {
            send_part(to, &pictures[number % 200])?;
            count.store(number as u32, Ordering::SeqCst);
            std::thread::sleep(Duration::from_micros(3_300));
        }
        Ok(())
    });
    let mut source = open(&server.spec(None)).unwrap();
    for round in 0..12 {
        let before = sent.load(Ordering::SeqCst);
        let (is, _) = grey(&mut *source).unwrap();
        // Numbers go round at 200, and a JPEG's grey is off by one or two.
        let age = (before + 200 - u32::from(is)) % 200;
        assert!(!(12..=190).contains(&age), "in round {round} the picture was {age} pictures old");
        std::thread::sleep(Duration::from_millis(300));
    }
    assert!(sent.load(Ordering::SeqCst) > 300, "the camera was fast enough to tell");
}

#[test]
fn the_right_password_opens_and_a_wrong_one_is_refused() {
    type Guard = fn(&Request, &mut TcpStream) -> io::Result<bool>;
    for (way, guard) in [("Basic", basic_or_refused as Guard), ("Digest", digest_or_refused)] {
        let server = MjpegServer::start(move |request, to| if guard(request, to)? { good_stream(to) } else { Ok(()) });
        let bench = supervised(&server, Some((USER, PASSWORD)));
        bench.state_becomes(|state| *state == CameraState::Live);
        bench.stop();
        let asked: Vec<_> = server.requests().iter().map(|r| r.header("authorization").map(str::to_owned)).collect();
        assert_eq!(asked[0], None, "{way}: nothing is shown before the camera asks");
        assert!(asked[1].as_ref().unwrap().starts_with(way), "{way}: the best way on offer");
        for login in [Some((USER, "another")), Some(("somebody", PASSWORD)), None] {
            let before = server.requests().len();
            let bench = supervised(&server, login);
            let refused = bench.state_becomes(|state| matches!(state, CameraState::Refused { .. }));
            let CameraState::Refused { cause, .. } = refused else { panic!("refused") };
            assert!(cause.contains("set it with `snova cameras password NAME`"), "{cause}");
            let knocked = server.requests().len() - before;
            assert_eq!(knocked, 1 + usize::from(login.is_some()), "{way}: cameras lock who knocks too often");
        }
    }
}

#[test]
fn a_camera_that_forbids_or_asks_in_an_unknown_way_has_refused() {
    for (status, headers, what) in [
        ("403 Forbidden", "", "does not let this user see"),
        ("401 Unauthorized", "WWW-Authenticate: Negotiate\r\n", "neither Basic nor Digest"),
        ("401 Unauthorized", "", "neither Basic nor Digest"),
    ] {
        let server = MjpegServer::start(move |_, to| say(to, status, headers, b""));
        let (_, error) = end_of(&server.spec(Some((USER, PASSWORD))));
        assert!(error.is_refused() && error.to_string().contains(what), "{error}");
    }
}

#[test]
fn a_password_that_the_camera_stops_accepting_is_refused_while_single_pictures_are_taken() {
    let changed = Arc::new(AtomicBool::new(false));
    let change = Arc::clone(&changed);
    let server = MjpegServer::start(move |request, to| {
        if changed.load(Ordering::SeqCst) {
            return say(to, "401 Unauthorized", "WWW-Authenticate: Basic realm=\"x\"\r\n", b"");
        }
        match digest_or_refused(request, to)? {
            true => say(to, "200 OK", "Content-Type: image/jpeg\r\n", &grey_jpeg(50, (64, 48))),
            false => Ok(()),
        }
    });
    let mut source = open(&server.spec(Some((USER, PASSWORD)))).unwrap();
    (0..3).for_each(|_| assert!(grey(&mut *source).is_ok()));
    assert_eq!(server.requests().len(), 4, "the camera asks once, not for every picture");
    change.store(true, Ordering::SeqCst);
    let error = (0..3).find_map(|_| grey(&mut *source).err()).expect("refused");
    assert!(error.is_refused(), "{error}");
}

#[test]
fn a_redirection_is_followed_but_never_with_the_password_to_another_host() {
    let server = MjpegServer::start(|request, to| match request.path.as_str() {
        "/video?stream=1" => say(to, "302 Found", "Location: /real\r\n", b""),
        _ => match basic_or_refused(request, to)? {
            true => good_stream(to),
            false => Ok(()),
        },
    });
    let mut source = open(&server.spec(Some((USER, PASSWORD)))).unwrap();
    grey(&mut *source).unwrap();

    let other = MjpegServer::start(|_, to| good_stream(to));
    let elsewhere = format!("Location: http://localhost:{}/video\r\n", other.address.port());
    server.answer_with(move |_, to| say(to, "301 Moved Permanently", &elsewhere, b""));
    let (_, error) = end_of(&server.spec(Some((USER, PASSWORD))));
    assert!(error.to_string().contains("another host"), "{error}");
    assert!(other.requests().is_empty(), "it was not even asked");
    grey(&mut *open(&server.spec(None)).unwrap()).expect("without a password there is nothing to lose");

    server.answer_with(|_, to| say(to, "302 Found", "Location: /video?stream=1\r\n", b""));
    assert!(end_of(&server.spec(None)).1.to_string().contains("answers 302"), "not for ever");
    server.answer_with(|_, to| say(to, "302 Found", "Location: https://cam/\r\n", b""));
    assert!(end_of(&server.spec(None)).1.to_string().contains("not plain http"));
}

#[test]
fn what_is_no_camera_is_named() {
    for (status, headers, what) in [
        ("200 OK", "Content-Type: text/html\r\n", "gives \"text/html\" and not JPEG pictures"),
        ("200 OK", "", "gives \"\" and not JPEG pictures"),
        ("404 Not Found", "", "answers 404 Not Found; check the path"),
        ("503 Service Unavailable", "", "answers 503"),
    ] {
        let server = MjpegServer::start(move |_, to| say(to, status, headers, b"<html>"));
        let (_, error) = end_of(&server.spec(None));
        assert!(error.to_string().contains(what) && !error.is_refused(), "{error}");
    }
    let server = MjpegServer::start(|_, to| to.write_all(b"SSH-2.0-OpenSSH_9.2\r\n"));
    let (_, error) = end_of(&server.spec(None));
    assert!(error.to_string().contains("does not answer as a web server does"), "{error}");
}

#[test]
fn pictures_come_through_chunks_and_odd_headers() {
    let server = MjpegServer::start(|_, to| {
        to.write_all(b"HTTP/1.1 200 OK\r\nServer : my camera\r\nbad header line\r\n")?;
        to.write_all(
            b"Content-Type: multipart/x-mixed-replace;boundary=\"cam\"\r\nTransfer-Encoding: chunked\r\n\r\n",
        )?;
        for number in 0..50_u8 {
            let part = [b"--cam\r\n\r\n", grey_jpeg(number, (64, 48)).as_slice(), b"\r\n"].concat();
            for chunk in part.chunks(500) {
                to.write_all(&[format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat())?;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        keep_silent(to)
    });
    let mut source = open(&server.spec(None)).unwrap();
    (0..5).for_each(|_| assert!(grey(&mut *source).is_ok()));
}

#[test]
fn a_camera_that_does_not_answer_is_given_up_after_a_few_seconds_and_a_stop_is_obeyed_before() {
    let server = MjpegServer::start(|_, to| keep_silent(to));
    let clock = SystemClock::new();
    let (_, error) = end_of(&server.spec(None));
    assert!(error.to_string().contains("does not answer within 4 s"), "{error}");
    let took = clock.monotonic().0;
    assert!((Duration::from_secs(4)..Duration::from_secs(8)).contains(&took), "{took:?}");
    let bench = supervised(&server, None);
    let asked = server.requests().len();
    while server.requests().len() == asked {
        std::thread::yield_now();
    }
    let took = bench.stop();
    assert!(took < Duration::from_millis(400), "the stop took {took:?}");
}

/// Everything that this test program logs, whatever the level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn no_password_is_in_any_log_line_or_error_text() {
    let (log, user, password) = (Log::default(), "user-5150", "planted-password-90125");
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .init();
    type Guard = fn(&Request, &mut TcpStream) -> io::Result<bool>;
    let mut texts = String::new();
    for guard in [basic_or_refused as Guard, digest_or_refused] {
        let server = MjpegServer::start(move |request, to| if guard(request, to)? { good_stream(to) } else { Ok(()) });
        let bench = supervised(&server, Some((user, password)));
        texts += &format!("{:?}", bench.state_becomes(|state| matches!(state, CameraState::Refused { .. })));
        texts += &format!("{:?}", server.spec(Some((user, password))));
        let shown = server.requests().iter().filter(|request| request.header("authorization").is_some()).count();
        assert_eq!(shown, 1, "the password was really used");
        bench.stop();
        let accepting = MjpegServer::start(|request, to| match request.header("authorization") {
            Some(_) => reset(to),
            None => say(to, "401 Unauthorized", "WWW-Authenticate: Basic realm=\"x\"\r\n", b""),
        });
        texts += &end_of(&accepting.spec(Some((user, password)))).1.to_string();
    }
    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("camera lost"), "something is logged: {logged}");
    // The password, its reverse look (base64 of the pair), and the query of the address.
    for secret in [password, "dXNlci01MTUw", "stream=1"] {
        assert!(!logged.contains(secret), "{secret} is in the log");
        assert!(secret == "stream=1" || !texts.contains(secret), "{secret} is in {texts}");
    }
}
