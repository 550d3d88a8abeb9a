//! What must not be kept: nothing of a stranger, and nothing of a customer who took their consent back.
//!
//! The real service runs here, with real models, threads, data folder and a log at its chattiest.
#![allow(clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a test fails by panicking")]

#[path = "support/box_under_test.rs"]
mod box_under_test;
#[path = "support/http_client.rs"]
mod http_client;
#[path = "support/running_service.rs"]
mod running_service;
#[path = "support/trace_log.rs"]
mod trace_log;
#[path = "support/traces.rs"]
mod traces;

use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use box_under_test::{elena, ivan, media, real_vision};
use image::RgbImage;
use running_service::{PATIENCE, config, enrol_on, greeting, is_empty, open_store, picture, scene, start, wait_until};
use snova::camera::CameraState;
use snova::face::{CounterId, Detection, Embedding, FaceChip, Quality};
use snova::vision::{PackFacts, Vision, VisionError};
use trace_log::log_file;
use traces::Files;

/// One of these tests at a time: the log is the process's, and the scenes are played at the speed of life.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Chips and embeddings, kept in the test's memory alone.
type Kept = Arc<Mutex<Vec<(FaceChip, Embedding)>>>;

/// The real models, with everything that was embedded kept.
struct Recording(Box<dyn Vision>, Kept);

impl Vision for Recording {
    fn pack(&self) -> &PackFacts {
        self.0.pack()
    }
    fn detect(&mut self, picture: &RgbImage) -> Result<Vec<Detection>, VisionError> {
        self.0.detect(picture)
    }
    fn quality(&self, picture: &RgbImage, detection: &Detection, chip: &FaceChip) -> Quality {
        self.0.quality(picture, detection, chip)
    }
    fn embed(&mut self, chips: &[FaceChip]) -> Result<Vec<Embedding>, VisionError> {
        let embeddings = self.0.embed(chips)?;
        let pairs = chips.iter().cloned().zip(embeddings.iter().cloned());
        self.1.lock().expect("the list is whole").extend(pairs);
        Ok(embeddings)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_stranger_is_on_disk() {
    let _alone = ALONE.lock().await;
    let (data, log) = (tempfile::tempdir().expect("a temporary folder"), log_file());
    let store = open_store(data.path());
    let kept: Kept = Arc::default();
    let mut vision = Recording(Box::new(real_vision()), Arc::clone(&kept));
    enrol_on(&store, &mut vision, ivan());
    enrol_on(&store, &mut vision, elena());
    let of_customers = std::mem::take(&mut *kept.lock().expect("whole"));

    let strangers = scene(include_str!("../scenes/strangers.toml"), &media(), false);
    let service = start(&config(data.path()), strangers, Arc::clone(&store), Box::new(vision)).await;
    let mut shown = service.counters().watch(&CounterId::new("till-1")).expect("the counter is there");
    let ended = shown.wait_for(|state| {
        assert!(state.present.is_empty(), "a stranger is on the screen");
        matches!(state.cameras.as_slice(), [(_, CameraState::Ended)])
    });
    tokio::time::timeout(PATIENCE, ended).await.expect("the scene ends").expect("the desk is there");

    let look = |what: &str| {
        let files = Files::below(&[data.path(), &log]);
        let strangers = kept.lock().expect("whole");
        assert!(strangers.len() >= 5, "{what}: the strangers were looked at, not only {} times", strangers.len());
        for (chip, embedding) in strangers.iter() {
            assert_eq!(files.with_part_of(embedding), None, "{what}: a stranger's embedding");
            assert_eq!(files.with_pixels_of(chip), None, "{what}: a stranger's pixels");
        }
        assert_eq!(files.with_picture(), None, "{what}: a picture");
        // The search does find embeddings: those of the customers, who agreed, are in the database.
        for (chip, embedding) in &of_customers {
            assert!(files.with_part_of(embedding).is_some(), "{what}: a customer's template is not found");
            assert_eq!(files.with_pixels_of(chip), None, "{what}: a customer's pixels");
        }
        files
    };
    look("running");
    service.stop().await.expect("it stops in order");
    drop(store);
    let files = look("stopped");
    println!("looked for {} chips and embeddings in {:?}", kept.lock().expect("whole").len(), files.names());
    assert!(files.with_bytes(b"recording ended").is_some(), "the log is the service's");
    let database = rusqlite::Connection::open(data.path().join(snova::store::FILE_NAME)).expect("the file opens");
    for (table, rows) in [("visits", 0), ("outbox", 0), ("customers", 2), ("templates", 3)] {
        let count: i64 = database
            .query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))
            .expect("the table is there");
        assert_eq!(count, rows, "rows of {table}");
    }
    what_is_planted_is_found(data.path(), &kept.lock().expect("whole")[0]);
}

/// The searches above would be worth nothing if they could not find what they look for.
fn what_is_planted_is_found(data: &std::path::Path, (chip, embedding): &(FaceChip, Embedding)) {
    let little: Vec<u8> = embedding.values().iter().flat_map(|v| v.to_le_bytes()).collect();
    let big: Vec<u8> = embedding.values().iter().flat_map(|v| v.to_be_bytes()).collect();
    let text = format!("a line with {:?} in it", &embedding.values()[20..30]);
    let png = box_png(&chip.image);
    for (what, bytes) in [("f32", &little), ("big-endian", &big), ("text", &text.into_bytes())] {
        let copy = copy_with(data, &[b"before".as_slice(), &bytes[..bytes.len() / 2]].concat());
        assert!(Files::below(&[copy.path()]).with_part_of(embedding).is_some(), "planted as {what}");
    }
    let copy = copy_with(data, &chip.image.as_raw()[6_001..9_000]);
    assert!(Files::below(&[copy.path()]).with_pixels_of(chip).is_some(), "planted pixels");
    let copy = copy_with(data, &png);
    assert!(Files::below(&[copy.path()]).with_picture().is_some(), "a planted picture");
}

fn box_png(image: &RgbImage) -> Vec<u8> {
    let mut file = std::io::Cursor::new(Vec::new());
    image.write_to(&mut file, image::ImageFormat::Png).expect("memory takes a PNG");
    file.into_inner()
}

fn copy_with(data: &std::path::Path, planted: &[u8]) -> tempfile::TempDir {
    let copy = tempfile::tempdir().expect("a temporary folder");
    for entry in std::fs::read_dir(data).expect("the data folder") {
        let path = entry.expect("an entry").path();
        std::fs::copy(&path, copy.path().join(path.file_name().expect("a file"))).expect("the copy is written");
    }
    std::fs::write(copy.path().join("planted"), planted).expect("the plant is written");
    copy
}

/// He comes at once and stays for as long as the test may take.
const STAYS: &str = "size = [640, 480]\nfps = 10\n[[person]]\nportrait = 'obama-2'\nenter_s = 0.0\napproach_s = 1.0\n\
                     stay_s = 120.0\nface_px = 115\nplace = [0.5, 0.42]";

#[tokio::test(flavor = "multi_thread")]
async fn erased_customer_is_unknown_at_once() {
    let _alone = ALONE.lock().await;
    let (data, log) = (tempfile::tempdir().expect("a temporary folder"), log_file());
    let store = open_store(data.path());
    let kept: Kept = Arc::default();
    let mut vision = Recording(Box::new(real_vision()), Arc::clone(&kept));
    let ivan = enrol_on(&store, &mut vision, ivan());
    enrol_on(&store, &mut vision, elena());
    let templates = std::mem::take(&mut *kept.lock().expect("whole"));
    let (of_ivan, of_elena) = templates.split_at(2);

    let config_file = data.path().join("snova.toml");
    let data_dir = data.path().join("data");
    drop(store);
    std::fs::create_dir(&data_dir).expect("a folder");
    std::fs::rename(data.path().join(snova::store::FILE_NAME), data_dir.join(snova::store::FILE_NAME)).expect("moved");
    std::fs::write(&config_file, format!("[device]\ndata_dir = \"{}\"\n", data_dir.display())).expect("written");
    let store = open_store(&data_dir);

    let service = start(&config(&data_dir), scene(STAYS, &media(), false), store, Box::new(vision)).await;
    let address = service.address();
    wait_until(address, "Ivan is greeted", |p| greeting(p).is_some_and(|g| g.contains("Иван Петрович"))).await;

    // Another process erases him while he stands there.
    let erased = tokio::task::spawn_blocking(move || {
        Command::new(env!("CARGO_BIN_EXE_snova"))
            .args(["customers", "erase", "--yes", &ivan.to_string(), "--config"])
            .arg(config_file)
            .output()
            .expect("the command runs")
    });
    let erased = erased.await.expect("the command ends");
    assert!(erased.status.success(), "{}", String::from_utf8_lossy(&erased.stderr));
    let gone = async {
        while !picture(address).await.as_ref().is_some_and(is_empty) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(1), gone).await.expect("his card is gone within a second");
    let named_again = tokio::time::timeout(Duration::from_secs(3), async {
        while picture(address).await.as_ref().is_some_and(is_empty) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(named_again.await.is_err(), "he stands there still, and is nobody");
    assert_eq!(service.gallery().snapshot().len(), 1);

    let files = Files::below(&[&data_dir, &log]);
    for (_, template) in of_ivan {
        assert_eq!(files.with_part_of(template), None, "a template is in the files of the running service");
    }
    for name in ["Иван", "Петрович", "Соколов"] {
        assert_eq!(files.with_bytes(name.as_bytes()), None, "{name} is in the files of the running service");
    }
    assert!(files.with_part_of(&of_elena[0].1).is_some() && files.with_bytes("Белова".as_bytes()).is_some());
    service.stop().await.expect("it stops in order");
}
