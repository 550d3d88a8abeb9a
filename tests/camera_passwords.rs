//! Passwords of network cameras by the real commands: kept sealed, never shown, never on a command line.
//!
//! What a camera does with its password is `mjpeg_camera.rs` and `rtsp_camera.rs`.
#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const PASSWORD: &str = "s3cret-of-the-left-camera";

fn snova(folder: &Path, arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_snova"));
    command.args(arguments).arg("--config").arg(folder.join("snova.toml"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = command.spawn().expect("the binary runs");
    // A command that refuses at once does not read: that is not this line's business.
    let _ = running.stdin.take().expect("its input").write_all(input.as_bytes());
    running.wait_with_output().expect("it ends")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

fn shop() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    let config = format!(
        "[device]\ndata_dir = \"{}\"\n[[counter]]\nname = \"till-1\"\n\
         [[counter.camera]]\nname = \"left\"\nsource = \"rtsp\"\nurl = \"rtsp://127.0.0.1:1/live\"\nuser = \"till\"\n\
         [[counter.camera]]\nname = \"open\"\nsource = \"mjpeg\"\nurl = \"http://127.0.0.1:1/\"\n\
         [[counter.camera]]\nname = \"usb\"\nsource = \"usb\"\n",
        data.display()
    );
    std::fs::write(folder.path().join("snova.toml"), config).expect("the configuration is written");
    folder
}

fn holds(folder: &Path, needle: &str) -> bool {
    let mut found = false;
    for entry in std::fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("an entry").path()) {
        let bytes = if entry.is_dir() { Vec::new() } else { std::fs::read(&entry).expect("a file") };
        found |= entry.is_dir() && holds(&entry, needle);
        found |= bytes.windows(needle.len()).any(|window| window == needle.as_bytes());
    }
    found
}

#[test]
fn a_password_is_kept_sealed_and_can_be_forgotten() {
    let shop = shop();
    let missing = snova(shop.path(), &["check"], "");
    assert!(text(&missing).contains("`snova cameras password left`"), "{}", text(&missing));
    let kept = snova(shop.path(), &["cameras", "password", "left"], &format!("{PASSWORD}\n"));
    assert!(kept.status.success(), "{}", text(&kept));
    assert!(!holds(shop.path(), PASSWORD), "no file holds it in the open");
    let database = std::fs::metadata(shop.path().join("data/snova.db")).expect("it is kept in the database");
    assert!(database.len() > 0);
    for command in [&["cameras"] as &[_], &["cameras", "--json"], &["check"]] {
        let said = text(&snova(shop.path(), command, ""));
        assert!(!said.contains(PASSWORD), "{command:?}: {said}");
        assert!(!said.contains("cameras password left"), "it has one now: {said}");
    }
    let forgotten = snova(shop.path(), &["cameras", "password", "left", "--remove"], "");
    assert!(text(&forgotten).contains("is forgotten"), "{}", text(&forgotten));
    assert!(text(&snova(shop.path(), &["check"], "")).contains("`snova cameras password left`"));
}

#[test]
fn a_password_that_makes_no_sense_is_refused_in_words() {
    let shop = shop();
    let long = "x".repeat(1_000);
    for (camera, input, said) in [
        ("right", PASSWORD, "no camera \"right\" is configured"),
        ("usb", PASSWORD, "is no network camera"),
        ("open", PASSWORD, "add user"),
        ("left", "", "cannot be a password"),
        ("left", "two\nlines\n", "cannot be a password"),
        ("left", long.as_str(), "cannot be a password"),
    ] {
        let refused = snova(shop.path(), &["cameras", "password", camera], input);
        assert!(!refused.status.success() && text(&refused).contains(said), "{camera}: {}", text(&refused));
    }
}
