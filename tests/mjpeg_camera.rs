//! A camera that sends JPEG pictures over HTTP: what it may do wrong, and what Snova makes of it.
//!
//! Single streams of odd bytes are not here: see the tests of `camera::multipart`. Passwords are not either: see
//! `tests/mjpeg_login.rs`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test a panic is the report")]

#[path = "support/camera_bench.rs"]
mod camera_bench;
#[path = "support/camera_contract.rs"]
mod camera_contract;
#[path = "support/live_camera.rs"]
mod live_camera;
#[path = "support/mjpeg_server.rs"]
mod mjpeg_server;

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use camera_bench::lost_by;
use camera_contract::live_source_contract;
use live_camera::{BACK_WITHIN, end_of, grey, supervised};
use mjpeg_server::{MjpegServer, begin_stream, good_stream, grey_jpeg, keep_silent, reset, say, send_part};
use snova::camera::{CameraState, open};
use snova::clock::{Clock, SystemClock};

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
    let bench = supervised(server.spec(None));
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
    let bench = supervised(server.spec(None));
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
        let bench = supervised(server.spec(None));
        let cause = if with_reset { "broke" } else { "ended its pictures" };
        bench.state_becomes(|state| lost_by(state, cause));
        server.answer_with(|_, to| good_stream(to));
        bench.state_becomes(|state| *state == CameraState::Live);
    }
}

#[test]
fn a_camera_that_was_away_gives_pictures_within_five_seconds() {
    let mut server = MjpegServer::start(|_, to| good_stream(to));
    let bench = supervised(server.spec(None));
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
    // Longest wait and first picture take 3.7 s; the rest is for a test machine that does much else.
    assert!(took < BACK_WITHIN + Duration::from_secs(2), "{took:?}");
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
    let bench = supervised(server.spec(None));
    let asked = server.requests().len();
    while server.requests().len() == asked {
        std::thread::yield_now();
    }
    let took = bench.stop();
    assert!(took < Duration::from_millis(400), "the stop took {took:?}");
}
