//! The configuration file: what is refused, with which words, and that the documentation tells the truth.

use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;
use snova::camera::{UsbConfig, UsbFormat};
use snova::config::{Config, ConfigError, Network, Recording, Source};
use snova::i18n::Language;

const DOCUMENTED: &str = include_str!("../firmware-config/snova.toml");

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("snova.toml"))
}

/// The faults of a text; none if it was accepted.
fn faults(text: &str) -> Vec<String> {
    match parse(text) {
        Err(ConfigError::Invalid(lines)) => lines,
        _ => Vec::new(),
    }
}

/// The one fault of a text.
fn fault(text: &str) -> String {
    let lines = faults(text);
    assert_eq!(lines.len(), 1, "{text:?}: {lines:?}");
    lines[0].clone()
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_known_one() {
    let text = "[device]\nname = \"box\"\n\n[visit]\ndwel_ms = 300\n";
    assert_eq!(fault(text), "snova.toml line 5: unknown key \"dwel_ms\" in [visit]; did you mean \"dwell_ms\"?");
    assert_eq!(
        fault("[recogniton]\nfpir = 0.001\n"),
        "snova.toml line 1: unknown section \"recogniton\" in the file; did you mean \"recognition\"?"
    );
    assert_eq!(
        fault(
            "[[counter]]\nname = \"a\"\n[[counter.camera]]\nname = \"b\"\nsource = \"video\"\npath = \"p\"\nrepeet = true\n"
        ),
        "snova.toml line 7: unknown key \"repeet\" in [[counter.camera]]; did you mean \"repeat\"?"
    );
}

#[test]
fn the_documented_configuration_equals_the_defaults() {
    assert_eq!(parse("").unwrap(), Config::default());
    assert_eq!(parse(DOCUMENTED).unwrap(), Config::default(), "as shipped");
    // A default stands right after its "#"; prose and examples have a space there.
    let uncommented: String = DOCUMENTED
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if !rest.starts_with(' ') => format!("{rest}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    assert!(uncommented.matches(" = ").count() > 25 && uncommented.contains("\n[[counter]]\nname ="));
    assert_eq!(parse(&uncommented).unwrap(), Config::default(), "uncommented");
}

#[test]
fn every_fault_of_a_file_is_named_at_once_in_the_order_of_its_lines() {
    let lines = faults("[log]\nlevel = \"loud\"\n[web]\nlisten = 8642\nport = 1\n[visit]\ndwell_ms = -1\n");
    assert_eq!(lines.len(), 4, "{lines:?}");
    for (line, number) in lines.iter().zip([2, 4, 5, 7]) {
        assert!(line.starts_with(&format!("snova.toml line {number}: ")), "{line}");
        assert!(!line.contains('\n'));
    }
}

#[test]
fn a_bad_value_is_refused_with_its_key_and_what_to_do() {
    let camera = |rest: &str| format!("[[counter]]\nname = \"a\"\n[[counter.camera]]\n{rest}\n");
    for (text, key, remedy) in [
        ("[device]\nlanguage = \"de\"".to_owned(), "\"language\" in [device]", "give ru, uk or en"),
        ("[device]\ntime_zone = \"Europe/Kiyv\"".to_owned(), "\"time_zone\" in [device]", "IANA name"),
        ("[device]\nname = \"the box\"".to_owned(), "\"name\" in [device]", "Latin letters"),
        ("[device]\ndata_dir = \"\"".to_owned(), "\"data_dir\" in [device]", "give one"),
        ("[web]\nlisten = \"localhost\"".to_owned(), "\"listen\" in [web]", "127.0.0.1:8642"),
        ("[runtime]\nthreads = 0".to_owned(), "\"threads\" in [runtime]", "from 1 to 64"),
        ("[runtime]\nallow_noncommercial = \"no\"".to_owned(), "\"allow_noncommercial\" in [runtime]", "true or false"),
        ("[recognition]\nfpir = 2".to_owned(), "\"fpir\" in [recognition]", "out of range"),
        ("[recognition]\nfpir = nan".to_owned(), "\"fpir\" in [recognition]", "out of range"),
        ("[recognition]\nmargin = inf".to_owned(), "\"margin\" in [recognition]", "from 0 to 1"),
        (
            "[recognition]\nshots = 5.5".to_owned(),
            "\"shots\" in [recognition]",
            "whole number from 1 to 32, not a float",
        ),
        ("[recognition]\nfpir = 0.05".to_owned(), "\"maybe_fpir\" and \"fpir\" in [recognition]", "lower fpir"),
        ("[recognition]\nmin_shots = 9".to_owned(), "\"min_shots\" and \"shots\" in [recognition]", "raise shots"),
        ("[recognition]\nattempts = 4".to_owned(), "\"attempts\" and \"shots\" in [recognition]", "raise attempts"),
        ("[visit]\nabsence_ms = 99999999999999999999999".to_owned(), "\"absence_ms\" in [visit]", "out of range"),
        ("[visit]\nmerge_s = 1".to_owned(), "\"merge_s\" and \"absence_ms\" in [visit]", "merge_s = 0"),
        ("[greeting]\nday_from = 19".to_owned(), "\"evening_from\" and \"day_from\" in [greeting]", "ascending order"),
        ("[store]\nmax_mb = 3".to_owned(), "\"max_mb\" in [store]", "at least 16"),
        ("[log]\nlevel = \"INFO\"".to_owned(), "\"level\" in [log]", "give error, warn, info"),
        ("visit = 3".to_owned(), "visit is a section", "write [visit]"),
        ("counter = []".to_owned(), "\"counter\"", "add [[counter]]"),
        ("[counter]\nname = \"a\"".to_owned(), "counter is a list", "write [[counter]]"),
        ("[[counter]]".to_owned(), "[[counter]] lacks the key \"name\"", "add name = \"till-1\""),
        (
            "[[counter]]\nname = \"a\"\n[[counter]]\nname = \"a\"".to_owned(),
            "\"name\" in [[counter]]",
            "a name of its own",
        ),
        (
            camera("name = \"b\"\nsource = \"ftp\"\npath = \"p\""),
            "\"source\" in [[counter.camera]]",
            "usb, mjpeg, rtsp, video, images, scene",
        ),
        (camera("name = \"b\"\npath = \"p\""), "lacks the key \"source\"", "add source"),
        (camera("name = \"b\"\nsource = \"video\""), "lacks the key \"path\"", "add path"),
    ] {
        let said = fault(&text);
        assert!(said.contains(key) && said.contains(remedy) && !said.contains('\n'), "{text:?}: {said}");
    }
}

#[test]
fn two_cameras_of_one_name_are_refused_even_at_different_counters() {
    let camera = "[[counter.camera]]\nname = \"front\"\nsource = \"images\"\npath = \"p\"\n";
    let said = fault(&format!("[[counter]]\nname = \"a\"\n{camera}[[counter]]\nname = \"b\"\n{camera}"));
    assert!(said.starts_with("snova.toml line 10: ") && said.contains("\"front\" is taken already"), "{said}");
}

#[test]
fn a_whole_configuration_is_understood() {
    let config = parse(
        r#"
        [device]
        name = "store-12"
        language = "uk"
        time_zone = "Europe/Kyiv"
        [web]
        listen = "[::1]:9000"
        [runtime]
        library = "/opt/onnxruntime/libonnxruntime.so"
        [recognition]
        fpir = 1e-4
        [visit]
        dwell_ms = 1_000
        merge_s = 0
        [store]
        max_mb = 512
        [[counter]]
        name = "till-1"
        [[counter.camera]]
        name = "till-1-front"
        source = "video"
        path = "/srv/day.mp4"
        repeat = true
        [[counter]]
        name = "till-2"
        language = "en"
        "#,
    )
    .unwrap();
    assert_eq!(config.device.time_zone.iana_name(), Some("Europe/Kyiv"));
    assert_eq!(config.web.listen.port(), 9000);
    assert_eq!(config.runtime.library, Some(PathBuf::from("/opt/onnxruntime/libonnxruntime.so")));
    assert_eq!(config.recognition.fpir, 0.0001);
    assert_eq!((config.visit.dwell, config.visit.merge), (Duration::from_secs(1), Duration::ZERO));
    assert_eq!(config.store.max_mb, Some(512));
    assert_eq!(config.counters.len(), 2);
    let (first, second) = (&config.counters[0], &config.counters[1]);
    assert_eq!((first.name.as_str(), first.language), ("till-1", Language::Ukrainian));
    assert_eq!((second.name.as_str(), second.language), ("till-2", Language::English));
    assert!(second.cameras.is_empty());
    assert_eq!(first.cameras.len(), 1);
    let camera = &first.cameras[0];
    assert_eq!(camera.name.as_str(), "till-1-front");
    assert_eq!(camera.source, Source::Video(Recording { path: "/srv/day.mp4".into(), repeat: true }));
}

fn camera(keys: &str) -> Result<Config, ConfigError> {
    parse(&format!("[[counter]]\nname = \"till-1\"\n[[counter.camera]]\nname = \"front\"\n{keys}\n"))
}

#[test]
fn live_cameras_need_little_and_take_much() {
    let usb = |keys: &str| match camera(&format!("source = \"usb\"\n{keys}")).unwrap().counters[0].cameras[0].source {
        Source::Usb(ref usb) => usb.clone(),
        ref other => panic!("{other:?}"),
    };
    assert_eq!(usb(""), UsbConfig::default());
    assert_eq!(
        usb("device = \"/dev/video2\"\nformat = \"yuyv\"\nsize = \"1280x720\"\nfps = 15"),
        UsbConfig {
            device: Some("/dev/video2".into()),
            format: Some(UsbFormat::Yuyv),
            size: Some((1280, 720)),
            fps: Some(15)
        }
    );
    let http = camera("source = \"mjpeg\"\nurl = \"http://10.0.0.9:8080/video?channel=2\"\nuser = \"snova\"").unwrap();
    let network = Network { url: "http://10.0.0.9:8080/video?channel=2".into(), user: Some("snova".into()) };
    assert_eq!(http.counters[0].cameras[0].source, Source::Mjpeg(network));
}

#[test]
fn a_live_camera_that_cannot_be_is_refused_in_words() {
    for (keys, said) in [
        ("source = \"usb\"\ndevice = \"video0\"", "is not a device"),
        ("source = \"usb\"\nformat = \"h264\"", "give auto, mjpeg or yuyv"),
        ("source = \"usb\"\nsize = \"640\"", "is not a picture size"),
        ("source = \"usb\"\npath = \"/dev/video0\"", "unknown key \"path\""),
        ("source = \"mjpeg\"", "lacks the key \"url\""),
        ("source = \"mjpeg\"\nurl = \"https://10.0.0.9/\"", "does not begin with http://"),
        ("source = \"rtsp\"\nurl = \"rtsp://\"", "cannot be used"),
        ("source = \"rtsp\"\nurl = \"rtsp://a/ b\"", "cannot be used"),
    ] {
        let Err(ConfigError::Invalid(lines)) = camera(keys) else { panic!("{keys} was taken") };
        assert!(lines.len() == 1 && lines[0].contains(said), "{keys}: {lines:?}");
    }
}

#[test]
fn a_password_in_an_address_is_refused_and_not_repeated() {
    let Err(error) = camera("source = \"rtsp\"\nurl = \"rtsp://admin:s3cret@10.0.0.9/stream\"") else { panic!() };
    let said = error.to_string();
    assert!(said.contains("snova cameras password") && !said.contains("s3cret"), "{said}");
}

#[test]
fn a_broken_line_is_named() {
    let said = fault("[device]\nname = \"box\"\n[web\nlisten = \"127.0.0.1:1\"\n");
    assert!(said.starts_with("snova.toml line 3: "), "{said}");
    let said = fault("[device]\nname = \"a\"\nname = \"b\"\n");
    assert!(said.starts_with("snova.toml line 3: ") && said.contains("duplicate key"), "{said}");
}

#[test]
fn a_missing_file_at_a_given_path_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("none.toml");
    let error = Config::load(Some(&path)).unwrap_err();
    assert!(matches!(&error, ConfigError::Missing(missing) if *missing == path));
    assert!(error.to_string().contains("none.toml") && !error.to_string().contains('\n'));
}

#[test]
fn a_file_that_is_not_text_is_refused_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("snova.toml");
    std::fs::write(&path, [0xff, 0xfe, b'a']).unwrap();
    let error = Config::load(Some(&path)).unwrap_err();
    assert!(matches!(error, ConfigError::Unreadable { .. }));
    assert!(error.to_string().contains("UTF-8") && !error.to_string().contains('\n'));
    std::fs::write(&path, DOCUMENTED).unwrap();
    assert_eq!(Config::load(Some(&path)).unwrap(), Config::default());
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = parse(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn arbitrary_toml_never_panics_and_every_fault_is_one_line(
        text in "(\\[{0,2}(device|web|visit|counter|counter\\.camera|log|\"a\\\\nb\"|x)\\]{0,2}\n|(name|level|dwell_ms|source|path|\"\\\\n\"|counter|visit) = (1|-1|1\\.5|true|\"[a-z]{0,3}\"|\"\\\\n\"|\\[\\]|\\[1\\]|\\{\\}|\\{name=1\\}|0xFF|inf|1979-05-27)\n){0,8}"
    ) {
        if let Err(ConfigError::Invalid(lines)) = parse(&text) {
            prop_assert!(!lines.is_empty());
            for line in lines {
                prop_assert!(line.starts_with("snova.toml line ") && !line.contains('\n'), "{line:?}");
            }
        }
    }
}

#[test]
fn the_country_of_phone_numbers_follows_the_language_unless_it_is_given() {
    let country = |text: &str| parse(text).unwrap().device.country.map(|country| country.code());
    assert_eq!(country("[device]\nlanguage = \"uk\"\n"), Some("UA"));
    assert_eq!(country("[device]\nlanguage = \"en\"\n"), None);
    assert_eq!(country("[device]\nlanguage = \"en\"\ncountry = \"KZ\"\n"), Some("KZ"));
    let said = fault("[device]\ncountry = \"Ukraine\"\n");
    assert!(said.contains("\"country\" in [device]") && said.contains("RU, KZ, UA"), "{said}");
    let said = fault("[visit]\ncard_hold_s = 1\n");
    assert!(said.contains("\"card_hold_s\" in [visit]") && said.contains("from 5 to 3600"), "{said}");
}
