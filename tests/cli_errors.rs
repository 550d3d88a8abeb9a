//! Errors of the command line as its owner meets them: one line that says what to do, a failing exit code, and
//! nothing half written. The real program runs, each time in a box of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test a panic is the report")]

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::ToSpan;
use jiff::tz::TimeZone;
use snova::clock::{Clock, SystemClock};

#[path = "support/command_line.rs"]
mod command_line;
use command_line::{Ended, Shop, media, pack_name, packs, runtime_library};

const PHOTO_REMEDY: &str = "one of these formats";

/// A JPEG whose header is whole and whose picture breaks off.
fn corrupt_jpeg() -> Vec<u8> {
    let mut bytes = fs::read(media("obama-1.jpg")).unwrap();
    bytes.truncate(600);
    bytes
}

/// 10000 × 10000 pixels, one bit each, all alike: about 15 kB that unpack to 300 MB as RGB.
fn png_bomb() -> Vec<u8> {
    let side: u32 = 10_000;
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut chunk = |kind: &[u8; 4], data: &[u8]| {
        png.extend((data.len() as u32).to_be_bytes());
        let body = [kind, data].concat();
        png.extend(&body);
        let mut crc = flate2::Crc::new();
        crc.update(&body);
        png.extend(crc.sum().to_be_bytes());
    };
    let header: Vec<u8> =
        [side.to_be_bytes(), side.to_be_bytes()].concat().into_iter().chain([1, 0, 0, 0, 0]).collect();
    chunk(b"IHDR", &header);
    let mut packed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    let row = vec![0; 1 + side as usize / 8];
    (0..side).for_each(|_| packed.write_all(&row).unwrap());
    chunk(b"IDAT", &packed.finish().unwrap());
    chunk(b"IEND", b"");
    png
}

fn day(offset: i64) -> String {
    let today = SystemClock::new().wall().at.to_zoned(TimeZone::system()).date();
    today.checked_add(offset.days()).unwrap().to_string()
}

/// The refusals that need nothing but a file given as a photo: by `enrol` and by `identify`.
fn photo_is_refused(name: &str, bytes: &[u8], says: &str) {
    let shop = Shop::open();
    let photo = shop.file(name, bytes);
    for command in ["enrol", "identify"] {
        let mut arguments = vec![command];
        let today = day(0);
        if command == "enrol" {
            arguments.extend(["--given", "Иван", "--consent-on", &today, "--consent-method", "paper-form"]);
        }
        arguments.push(photo.to_str().unwrap());
        let ended = shop.snova(&arguments);
        ended.fails_with(&[says, name]);
        assert!(!shop.data().exists(), "{command} left something: {:?}", shop.left());
    }
}

#[test]
fn a_corrupt_jpeg_is_refused() {
    photo_is_refused("torn.jpg", &corrupt_jpeg(), "take or export it again");
}

#[test]
fn a_text_file_named_as_a_picture_is_refused() {
    photo_is_refused("note.jpg", b"milk, bread, coffee\n", PHOTO_REMEDY);
}

#[test]
fn a_picture_of_a_hundred_megapixels_is_refused_without_being_unpacked() {
    let bomb = png_bomb();
    assert!(bomb.len() < 100_000, "{} bytes", bomb.len());
    photo_is_refused("bomb.png", &bomb, "make it smaller");
    // Under a limit of address space the models just fit into, unpacking would end the program.
    let shop = Shop::open();
    let photo = shop.file("bomb.png", &bomb);
    let small = shop.file("small.jpg", &fs::read(media("obama-1.jpg")).unwrap());
    let peak = |photo: &Path| {
        let ended = shop.snova(&["identify", photo.to_str().unwrap()]);
        (ended.peak_kb, ended.took)
    };
    let ((bomb_kb, took), (usual_kb, _)) = (peak(&photo), peak(&small));
    assert!(took < Duration::from_secs(20), "{took:?}");
    assert!(bomb_kb < usual_kb + 100_000, "{bomb_kb} kB for the bomb, {usual_kb} kB for a usual photo");
}

#[test]
fn one_bad_photo_does_not_stop_the_others_but_fails_the_command() {
    let shop = Shop::open();
    let bad = shop.file("note.jpg", b"milk");
    let good = media("obama-1.jpg");
    let missing = shop.path("none.jpg");
    let ended = shop.snova(&["identify", "--json", text(&bad), text(&missing), text(&good)]);
    ended.fails_with(&["note.jpg", "none.jpg", PHOTO_REMEDY]);
    let lines: Vec<serde_json::Value> = ended.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3, "{}", ended.out);
    assert!(lines[0]["error"].is_string() && lines[1]["error"].is_string());
    assert_eq!(lines[2]["faces"].as_array().map(Vec::len), Some(1), "{}", ended.out);
    assert!(!shop.data().exists());
}

#[test]
fn an_empty_folder_is_named_with_what_belongs_into_it() {
    let shop = Shop::open();
    let empty = shop.path("empty");
    fs::create_dir(&empty).unwrap();
    let says = ["empty", "pictures"];
    shop.snova(&["eval", "--enrol", text(&empty), "--probe", text(&empty)]).fails_with(&says);
    assert!(!shop.path("det.svg").exists(), "no plot of nothing");
    shop.snova(&["eval", "--calibrate", text(&empty)]).fails_with(&says);
    shop.snova(&["replay", text(&empty)]).fails_with(&says);
    assert!(!shop.data().exists());

    let camera = format!(
        "[[counter]]\nname = \"a\"\n[[counter.camera]]\nname = \"door\"\nsource = \"images\"\npath = {empty:?}\n"
    );
    shop.configure(&camera);
    let ended = shop.snova(&["check"]);
    assert_eq!(ended.code, Some(2), "{}", ended.out);
    let line = ended.out.lines().find(|line| line.contains("\"door\"")).expect("the camera is named");
    assert!(line.starts_with("error") && line.contains("put JPEG or PNG files into it"), "{line}");
}

#[test]
fn a_check_names_a_network_camera_that_cannot_be_reached_within_ten_seconds() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mute = silent.local_addr().unwrap();
    for (source, url, says) in [
        ("mjpeg", format!("http://{closed}/video"), "cannot be reached"),
        ("mjpeg", format!("http://{mute}/video"), "does not answer within 4 s"),
        ("rtsp", format!("rtsp://{closed}/live"), "Connection refused"),
        ("rtsp", format!("rtsp://{mute}/live"), "gives no pictures"),
    ] {
        let shop = Shop::open();
        let camera = format!("[[counter.camera]]\nname = \"door\"\nsource = \"{source}\"\nurl = \"{url}\"\n");
        shop.configure(&format!("[[counter]]\nname = \"a\"\n{camera}"));
        let ended = shop.snova(&["check"]);
        let line = ended.out.lines().find(|line| line.contains("\"door\"")).expect("the camera is named");
        assert!(line.starts_with("error") && line.contains(says) && line.contains("check its"), "{line}");
        // With what else is checked; a camera that is only waited for would take longer.
        assert!(ended.took.as_secs() < 13, "{source} {url}: {:?}", ended.took);
    }
}

#[test]
fn an_unknown_configuration_key_is_refused_with_the_nearest_one() {
    let shop = Shop::open();
    shop.configure("[visit]\ndwel_ms = 300\n");
    for arguments in [&["run"][..], &["customers", "list"], &["models", "list"]] {
        shop.snova(arguments).fails_with(&["unknown key \"dwel_ms\" in [visit]; did you mean \"dwell_ms\"?"]);
    }
    assert!(!shop.data().exists());
    let ended = shop.snova(&["check"]);
    assert_eq!((ended.code, ended.err.as_str()), (Some(2), ""));
    assert!(ended.out.contains("did you mean \"dwell_ms\"?"), "{}", ended.out);
}

#[test]
fn weights_with_a_flipped_bit_are_refused_by_every_command_that_would_use_them() {
    let shop = Shop::open();
    let copy = shop.path("packs").join(pack_name());
    fs::create_dir_all(&copy).unwrap();
    for entry in fs::read_dir(packs().join(pack_name())).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
    }
    let weights = copy.join("mobilefacenet.onnx");
    let mut bytes = fs::read(&weights).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&weights, &bytes).unwrap();
    shop.configure(&format!("[runtime]\npacks_dir = {:?}\n", shop.path("packs")));

    let says = ["mobilefacenet.onnx", "sha256", "run `snova setup`"];
    let (photo, today) = (media("obama-1.jpg"), day(0));
    shop.snova(&["run"]).fails_with(&says);
    shop.snova(&["identify", text(&photo)]).fails_with(&says);
    shop.snova(&["models", "verify"]).fails_with(&says);
    shop.snova(&["models", "verify", pack_name()]).fails_with(&says);
    let enrol = ["enrol", "--given", "Иван", "--consent-on", &today, "--consent-method", "paper-form", text(&photo)];
    shop.snova(&enrol).fails_with(&says);
    let ended = shop.snova(&["check"]);
    assert_eq!(ended.code, Some(2), "{}", ended.out);
    assert!(!shop.data().exists());
    assert_eq!(fs::read(&weights).unwrap(), bytes, "nothing repairs a pack behind the owner's back");
}

#[test]
fn a_pack_left_to_the_owner_is_not_supplied_until_it_is_asked_for_by_name() {
    let shop = Shop::open();
    let folder = shop.path("packs/yunet-sface");
    fs::create_dir_all(&folder).unwrap();
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/yunet-sface/pack.toml");
    fs::copy(manifest, folder.join("pack.toml")).unwrap();
    shop.configure(&format!("[runtime]\npacks_dir = {:?}\n", shop.path("packs")));
    let ended = shop.snova(&["models", "verify"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(ended.out.starts_with("yunet-sface: not supplied") && ended.out.lines().count() == 1, "{}", ended.out);
    shop.snova(&["models", "verify", "yunet-sface"]).fails_with(&["face_detection_yunet_2023mar.onnx", "put "]);
    shop.snova(&["models", "verify", "yunet"]).fails_with(&["no pack \"yunet\"", "`snova models list`"]);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "no partial pack");
}

#[test]
fn a_missing_runtime_library_is_named_with_the_remedy() {
    let shop = Shop::open();
    let nowhere = shop.path("libonnxruntime.so");
    shop.configure(&format!("[runtime]\nlibrary = {nowhere:?}\n"));
    let says = ["libonnxruntime.so", "`snova setup`"];
    shop.snova(&["run"]).fails_with(&says);
    shop.snova(&["identify", text(&media("obama-1.jpg"))]).fails_with(&says);
    shop.snova(&["models", "verify"]).fails_with(&says);
    // A library, but another one: a file that is none at all.
    fs::write(&nowhere, b"\x7fELF, not").unwrap();
    shop.snova(&["run"]).fails_with(&says);
    assert_eq!(shop.snova(&["check"]).code, Some(2));
    assert!(!shop.data().exists());
    assert!(runtime_library().is_file(), "the tests themselves have one");
}

#[test]
fn a_port_in_use_is_refused_before_anything_is_written() {
    let shop = Shop::open();
    let busy = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = busy.local_addr().unwrap().to_string();
    shop.configure(&format!("[web]\nlisten = \"{address}\"\n"));
    shop.snova(&["run"]).fails_with(&[&address, "in use", "give another address"]);
    assert!(!shop.data().exists());
    shop.snova(&["demo", "--listen", &address]).fails_with(&[&address, "in use"]);
    let ended = shop.snova(&["check"]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.out.lines().any(|line| line.starts_with("error") && line.contains(&address)), "{}", ended.out);
}

#[test]
fn a_data_folder_that_cannot_be_written_is_named() {
    let shop = Shop::open();
    let file = shop.file("regular", b"a file");
    let closed = shop.path("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o500)).unwrap();
    let mut folders = vec![file.join("data"), PathBuf::from("/proc/snova"), PathBuf::from("/sys/snova")];
    // Root may write everywhere, whatever the permissions say.
    if tempfile::tempfile_in(&closed).is_err() {
        folders.push(closed.join("data"));
    }
    let (photo, today) = (media("obama-1.jpg"), day(0));
    for folder in folders {
        shop.keep_data_in(&folder);
        let says = [folder.to_str().unwrap(), "let Snova's user"];
        shop.snova(&["run"]).fails_with(&says);
        let enrol =
            ["enrol", "--given", "Иван", "--consent-on", &today, "--consent-method", "paper-form", text(&photo)];
        shop.snova(&enrol).fails_with(&says);
        let ended = shop.snova(&["check"]);
        assert_eq!(ended.code, Some(2), "{}: {}", folder.display(), ended.out);
        assert!(!folder.exists());
    }
    assert_eq!(fs::read(&file).unwrap(), b"a file");
}

#[test]
fn nobody_is_enrolled_without_a_consent_that_holds_today() {
    let shop = Shop::open();
    let photo = media("obama-1.jpg");
    let enrol = |rest: &[&str]| {
        let mut arguments = vec!["enrol", "--given", "Иван"];
        arguments.extend(rest);
        arguments.push(text(&photo));
        shop.snova(&arguments)
    };
    let (yesterday, today, tomorrow) = (day(-1), day(0), day(2));
    enrol(&[]).fails_with(&["without a consent", "--consent-on"]);
    enrol(&["--consent-on", &today]).fails_with(&["--consent-method"]);
    let method = ["--consent-method", "paper-form"];
    enrol(&[&["--consent-on", &tomorrow], &method[..]].concat()).fails_with(&[&tomorrow, "check --consent-on"]);
    let ended = ["--consent-on", &yesterday, "--consent-until", &yesterday];
    enrol(&[&ended, &method[..]].concat()).fails_with(&["ended", "ask the customer"]);
    assert!(!shop.data().exists());
}

#[test]
fn an_unknown_customer_is_refused_and_the_others_stay() {
    let shop = Shop::open();
    let unknown = "0193a000-0000-7000-8000-000000000000";
    for command in ["show", "erase"] {
        shop.snova(&["customers", command, unknown]).fails_with(&[unknown, "`snova customers list`"]);
    }
    assert!(!shop.data().exists(), "looking makes no database");
    shop.enrol_somebody();
    let before = shop.snova(&["customers", "list"]).out;
    assert_eq!(before.lines().count(), 1, "{before}");
    for command in ["show", "erase"] {
        shop.snova(&["customers", command, unknown]).fails_with(&[unknown, "`snova customers list`"]);
    }
    // Refused enrolments leave those who are there as they are.
    let bad = shop.file("note.jpg", b"milk");
    let today = day(0);
    let enrol = ["enrol", "--given", "Ян", "--consent-on", &today, "--consent-method", "paper-form"];
    shop.snova(&[&enrol[..], &[text(&bad)]].concat()).fails_with(&[PHOTO_REMEDY]);
    shop.snova(&[&enrol[..], &[text(&media("obama-2.jpg"))]].concat())
        .fails_with(&["already enrolled", "--allow-similar"]);
    assert_eq!(shop.snova(&["customers", "list"]).out, before);
}

#[test]
fn a_regular_is_identified_without_numbers_unless_they_are_asked_for() {
    let shop = Shop::open();
    shop.enrol_somebody();
    let (mate, stranger) = (media("obama-2.jpg"), media("biden-1.jpg"));
    let seen = |more: &[&str]| -> Vec<serde_json::Value> {
        let ended = shop.snova(&[&["identify", "--json"], more, &[text(&mate), text(&stranger)]].concat());
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        ended.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let plain = seen(&[]);
    assert_eq!(plain[0]["faces"][0]["decision"], "match", "{plain:?}");
    assert_eq!(plain[0]["faces"][0]["customers"][0]["name"], "Иван Петрович");
    assert_eq!(plain[1]["faces"][0]["decision"], "no_match", "{plain:?}");
    assert!(plain.iter().all(|photo| photo["faces"][0]["numbers"].is_null()));
    let numbers = seen(&["--numbers"]);
    assert!(numbers[0]["faces"][0]["numbers"]["candidates"][0]["similarity"].as_f64() > Some(0.4), "{numbers:?}");
}

#[test]
fn a_replayed_scene_names_the_regular_and_records_nothing() {
    let shop = Shop::open();
    shop.enrol_somebody();
    let before = shop.snova(&["customers", "list", "--json"]).out;
    let scene = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenes/regular.toml");
    // Till the regular has stood at the counter for two seconds.
    let ended = shop.snova(&["replay", "--json", "--frames", "60", text(&scene)]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let events: Vec<serde_json::Value> = ended.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events[0]["event"], "visit_opened", "{}", ended.out);
    assert_eq!(events[0]["customers"][0]["name"], "Иван Петрович");
    let end = &events[1];
    assert_eq!((&end["event"], &end["frames"]), (&"end".into(), &60.into()));
    let truth = &end["truth"][0];
    assert_eq!(truth["named"], "Иван Петрович");
    let at = |value: &serde_json::Value| value.as_f64().expect("a number of seconds");
    let named_after_s = at(&events[0]["at_s"]) - at(&truth["entered_s"]);
    assert!((at(&truth["named_after_s"]) - named_after_s).abs() < 1e-6, "{truth}");
    assert!(end["mean_ms"]["detect"].as_f64() > Some(0.0));
    assert_eq!(shop.snova(&["customers", "list", "--json"]).out, before);
}

#[test]
fn a_check_of_a_fresh_box_states_licence_and_training_data_and_makes_nothing() {
    let shop = Shop::open();
    let Ended { out, err, code, .. } = shop.snova(&["check", "--json"]);
    let findings: Vec<serde_json::Value> = serde_json::from_str(&out).unwrap();
    // The clock and the disk of a test machine may be what they are: the exit code says the worst of what was found.
    let worst = if findings.iter().any(|f| f["severity"] == "warning") { 1 } else { 0 };
    assert_eq!((code, err.as_str()), (Some(worst), ""), "{out}");
    assert!(findings.iter().all(|f| f["severity"] != "error"), "{out}");
    let of = |area: &str| -> Vec<&serde_json::Value> { findings.iter().filter(|f| f["area"] == area).collect() };
    assert_eq!((of("licence").len(), of("training data").len()), (2, 2));
    assert!(of("training data").iter().all(|f| f["what"].as_str().is_some_and(|what| what.len() > 60)));
    for area in ["runtime", "pack", "thresholds", "web", "disk"] {
        assert!(of(area).iter().all(|f| f["severity"] == "ok") && !of(area).is_empty(), "{area}: {:?}", of(area));
    }
    assert_eq!(of("store")[0]["severity"], "note");
    assert_eq!(of("camera")[0]["severity"], "note");
    assert_eq!(shop.left(), ["snova.toml"]);
}

#[test]
fn every_fault_of_a_file_is_a_line_of_its_own() {
    let shop = Shop::open();
    shop.configure("[log]\nlevel = \"loud\"\n[visit]\ndwel_ms = 1\n");
    let ended = shop.snova(&["run"]);
    assert_eq!(ended.err.lines().filter(|line| line.starts_with("snova: ")).count(), 2, "{}", ended.err);
    assert!(ended.code.is_some_and(|code| code != 0));
}

fn text(path: &Path) -> &str {
    path.to_str().expect("paths of tests are UTF-8")
}
