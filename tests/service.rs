//! The service as a whole: threads, page, stop, crash and failure, over HTTP as a screen sees it.
//!
//! Who is greeted and when is `main_job.rs`; a browser looks at the page in `demo_page.rs`.
#![allow(clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a test fails by panicking")]

#[path = "support/box_under_test.rs"]
mod box_under_test;
#[path = "support/http_client.rs"]
mod http_client;
#[path = "support/running_service.rs"]
mod running_service;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use box_under_test::{elena, ivan, media, real_vision};
use image::RgbImage;
use running_service::{PATIENCE, config, enrol_on, greeting, is_empty, open_store, scene, start, wait_until};
use snova::camera::{DEMO_SCENE, ImagesConfig, SourceSpec};
use snova::clock::{Clock, SystemClock};
use snova::face::{Detection, Embedding, FaceChip, Quality};
use snova::store::{FILE_NAME, Store};
use snova::vision::{OnnxVision, PackFacts, Vision, VisionError};

/// The scenes are played at the speed of life: two at once on a small machine would skip each other's frames.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

fn shop() -> (tempfile::TempDir, Arc<Store>, OnnxVision) {
    let data = tempfile::tempdir().expect("a temporary folder");
    let (store, mut vision) = (open_store(data.path()), real_vision());
    enrol_on(&store, &mut vision, ivan());
    enrol_on(&store, &mut vision, elena());
    (data, store, vision)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_greeting_comes_and_goes_on_the_page_and_the_stop_is_orderly() {
    let _alone = ALONE.lock().await;
    let (data, store, vision) = shop();
    let demo = scene(DEMO_SCENE, &media(), true);
    let service = start(&config(data.path()), demo, Arc::clone(&store), Box::new(vision)).await;
    let address = service.address();
    let greeted = wait_until(address, "Ivan is greeted", |p| greeting(p).is_some()).await;
    assert!(greeting(&greeted).is_some_and(|g| g.ends_with("Иван Петрович!")), "{greeted}");
    assert_eq!(greeted["cameras"][0]["state"], "live");
    wait_until(address, "his card has gone", is_empty).await;
    // The stop comes while somebody stands at the counter: the second half of the scene has two customers.
    wait_until(address, "Elena is greeted", |p| greeting(p).is_some_and(|g| g.contains("Елена"))).await;

    let clock = SystemClock::new();
    service.stop().await.expect("every part stops in time");
    let took = clock.monotonic().0;
    println!("stopped in {took:?}");
    assert!(took < Duration::from_secs(3), "{took:?}");
    assert!(running_service::picture(address).await.is_none(), "nobody answers any more");
    assert_eq!(open_visits(data.path()), 0, "visits are closed by an orderly stop");
    assert_eq!(Arc::strong_count(&store), 1, "and no thread holds the store");
}

fn open_visits(data: &Path) -> i64 {
    let connection = rusqlite::Connection::open(data.join(FILE_NAME)).expect("the file opens");
    let count = "SELECT count(*) FROM visits WHERE closed_at IS NULL";
    connection.query_row(count, [], |row| row.get(0)).expect("the table is there")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_that_ends_and_one_that_is_not_there_are_shown() {
    let _alone = ALONE.lock().await;
    let (data, store, vision) = shop();
    let empty = "size = [320, 240]\nfps = 10\nlength_s = 0.5";
    let service =
        start(&config(data.path()), scene(empty, &media(), false), Arc::clone(&store), Box::new(vision)).await;
    wait_until(service.address(), "the recording has ended", |p| p["cameras"][0]["state"] == "ended").await;
    service.stop().await.expect("an ended camera is no fault");

    let folder = data.path().join("not-there");
    let missing = SourceSpec::Images(ImagesConfig { folder: folder.clone(), fps: 10.0, repeat: true });
    let service = start(&config(data.path()), missing, store, Box::new(real_vision())).await;
    let lost = wait_until(service.address(), "the camera is lost", |p| p["cameras"][0]["state"] == "lost").await;
    assert!(lost["cameras"][0]["since"].is_string(), "{lost}");
    assert!(!lost.to_string().contains("not-there"), "where it was looked for is not the cashier's");
    // It is plugged in: the service finds it by itself.
    let aside = data.path().join("aside");
    std::fs::create_dir(&aside).expect("a folder");
    RgbImage::new(320, 240).save(aside.join("1.png")).expect("a picture");
    std::fs::rename(&aside, &folder).expect("renamed");
    wait_until(service.address(), "the camera is back", |p| p["cameras"][0]["state"] == "live").await;
    service.stop().await.expect("it stops in order");
}

/// The real binary, killed when the test fails.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn visits_that_a_crash_left_open_are_closed_by_the_next_start() {
    let _alone = ALONE.lock().await;
    let (data, store, vision) = shop();
    drop((store, vision));
    let stays = data.path().join("stays.toml");
    std::fs::write(&stays, STAYS).expect("the scene is written");
    let file = data.path().join("snova.toml");
    let text = format!(
        "[device]\ndata_dir = \"{data}\"\n[web]\nlisten = \"127.0.0.1:0\"\n[[counter]]\nname = \"till-1\"\n\
         [[counter.camera]]\nname = \"till-1-front\"\nsource = \"scene\"\npath = \"{scene}\"\n",
        data = data.path().display(),
        scene = stays.display(),
    );
    std::fs::write(&file, text).expect("the configuration is written");
    let mut box_process = run(&file);
    let address = address_of(&mut box_process);
    wait_until(&address, "Ivan is greeted", |p| greeting(p).is_some()).await;
    // The screen does not wait for the disk, which a busy machine may keep waiting for long.
    let committed = async {
        while open_visits(data.path()) == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, committed).await.expect("the visit is committed after the greeting");

    // A second service on the same data would greet and count everybody twice.
    let second = Command::new(env!("CARGO_BIN_EXE_snova")).args(["run", "--config"]).arg(&file).output();
    let second = second.expect("the command runs");
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(!second.status.success() && said.contains("another `snova run` uses the data folder"), "{said}");

    box_process.0.kill().expect("it is running");
    box_process.0.wait().expect("it is dead");
    assert_eq!(open_visits(data.path()), 1, "nobody closed the visit");

    let again = start(
        &config(data.path()),
        scene("size = [320, 240]\nfps = 10\nlength_s = 0.5", &media(), false),
        open_store(data.path()),
        Box::new(real_vision()),
    )
    .await;
    assert_eq!(open_visits(data.path()), 0);
    let database = rusqlite::Connection::open(data.path().join(FILE_NAME)).expect("the file opens");
    let deliverable = "SELECT count(*) FROM outbox WHERE kind = 'visit' AND deliver_after IS NOT NULL";
    let count: i64 = database.query_row(deliverable, [], |row| row.get(0)).expect("the table is there");
    assert_eq!(count, 1, "and the CRM will hear of it, once");
    again.stop().await.expect("it stops in order");
}

/// He comes at once and stays for as long as the test may take.
const STAYS: &str = "size = [640, 480]\nfps = 10\n[[person]]\nportrait = 'obama-2'\nenter_s = 0.0\napproach_s = 1.0\n\
                     stay_s = 120.0\nface_px = 115\nplace = [0.5, 0.42]";

fn run(config: &Path) -> Running {
    let mut command = Command::new(env!("CARGO_BIN_EXE_snova"));
    command.args(["run", "--config"]).arg(config).stdout(Stdio::piped()).stderr(Stdio::null());
    Running(command.spawn().expect("the binary runs"))
}

/// The address that the service prints when its page can be opened.
fn address_of(running: &mut Running) -> String {
    let printed = running.0.stdout.take().expect("its output is ours");
    let mut lines = BufReader::new(printed).lines().map_while(Result::ok);
    let address = lines.find_map(|line| Some(line.split("http://").nth(1)?.split('/').next()?.to_owned()));
    address.expect("it says where its page is")
}

/// Models that fall over at the first picture.
struct Panicking(OnnxVision);

impl Vision for Panicking {
    fn pack(&self) -> &PackFacts {
        self.0.pack()
    }
    fn detect(&mut self, _: &RgbImage) -> Result<Vec<Detection>, VisionError> {
        panic!("this panic is the test's own")
    }
    fn quality(&self, picture: &RgbImage, detection: &Detection, chip: &FaceChip) -> Quality {
        self.0.quality(picture, detection, chip)
    }
    fn embed(&mut self, chips: &[FaceChip]) -> Result<Vec<Embedding>, VisionError> {
        self.0.embed(chips)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_falls_over_is_reported_so_that_the_box_restarts() {
    let _alone = ALONE.lock().await;
    let (data, store, vision) = shop();
    let demo = scene(DEMO_SCENE, &media(), true);
    let service = start(&config(data.path()), demo, store, Box::new(Panicking(vision))).await;
    tokio::time::timeout(PATIENCE, service.failed()).await.expect("the failure is told");
    let error = service.stop().await.expect_err("it was no orderly stop");
    assert!(error.to_string().contains("a part of the service failed"), "{error}");
}
