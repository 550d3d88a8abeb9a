//! The password of a camera over HTTP: shown only to the camera, only when it asks, and to nobody else.
//!
//! What else a camera may do is not here: see `tests/mjpeg_camera.rs`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test a panic is the report")]

#[path = "support/camera_bench.rs"]
mod camera_bench;
#[path = "support/live_camera.rs"]
mod live_camera;
#[path = "support/mjpeg_server.rs"]
mod mjpeg_server;

use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use live_camera::{Log, end_of, grey, supervised};
use mjpeg_server::{
    MjpegServer, PASSWORD, Request, USER, basic_or_refused, digest_or_refused, good_stream, grey_jpeg, reset, say,
};
use snova::camera::{CameraState, open};

#[test]
fn the_right_password_opens_and_a_wrong_one_is_refused() {
    type Guard = fn(&Request, &mut TcpStream) -> io::Result<bool>;
    for (way, guard) in [("Basic", basic_or_refused as Guard), ("Digest", digest_or_refused)] {
        let server = MjpegServer::start(move |request, to| if guard(request, to)? { good_stream(to) } else { Ok(()) });
        let bench = supervised(server.spec(Some((USER, PASSWORD))));
        bench.state_becomes(|state| *state == CameraState::Live);
        bench.stop();
        let asked: Vec<_> = server.requests().iter().map(|r| r.header("authorization").map(str::to_owned)).collect();
        assert_eq!(asked[0], None, "{way}: nothing is shown before the camera asks");
        assert!(asked[1].as_ref().unwrap().starts_with(way), "{way}: the best way on offer");
        for login in [Some((USER, "another")), Some(("somebody", PASSWORD)), None] {
            let before = server.requests().len();
            let bench = supervised(server.spec(login));
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
fn no_password_is_in_any_log_line_or_error_text() {
    let (log, user, password) = (Log::install(), "user-5150", "planted-password-90125");
    type Guard = fn(&Request, &mut TcpStream) -> io::Result<bool>;
    let mut texts = String::new();
    for guard in [basic_or_refused as Guard, digest_or_refused] {
        let server = MjpegServer::start(move |request, to| if guard(request, to)? { good_stream(to) } else { Ok(()) });
        let bench = supervised(server.spec(Some((user, password))));
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
    let logged = log.text();
    assert!(logged.contains("camera lost"), "something is logged: {logged}");
    // The password, its reverse look (base64 of the pair), and the query of the address.
    for secret in [password, "dXNlci01MTUw", "stream=1"] {
        assert!(!logged.contains(secret), "{secret} is in the log");
        assert!(secret == "stream=1" || !texts.contains(secret), "{secret} is in {texts}");
    }
}
