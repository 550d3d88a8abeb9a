//! What an erasure leaves on the raw disk, under a running service: nothing. And what a reader in the way may hold up.
//!
//! An ext4 image is mounted by a loop device where that is allowed, which it is in CI. Files are searched by `store_faults.rs`.
#![allow(clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "the real service runs by the real clock")]

#[path = "support/http_client.rs"]
mod http_client;
#[path = "support/running_service.rs"]
mod running_service;
#[path = "support/scripted_vision.rs"]
mod scripted_vision;
#[path = "support/store_fixture.rs"]
mod store_fixture;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use scripted_vision::ScriptedVision;
use snova::app::{Service, Settings};
use snova::customer::{CustomerId, PersonName};
use snova::face::Template;
use snova::store::{NewCustomer, Store, StoreConfig};
use snova::telemetry::Metrics;
use snova::vault::Seal;
use store_fixture::{TODAY, at, bytes_in, contains, customer, embedding, enrol, raw, template, visit_of};

const ENROLLED: u32 = 21;
const ERASED: u32 = 10;

/// The n-th customer, with words that are nobody else's.
fn nth(n: u32) -> (NewCustomer, Vec<Template>) {
    let letter = char::from_u32('А' as u32 + n).expect("a Cyrillic letter");
    let name = PersonName {
        patronymic: Some(format!("Исторический{letter}")),
        ..PersonName::given(&format!("Пантелеймон{letter}"))
    };
    let (tier, note) = (Some(format!("сословие-{letter}")), Some(format!("пьёт кофе без сахара, номер {letter}")));
    let templates = (0..2).map(|k| Template { embedding: embedding(1 + u64::from(n * 2 + k), 128), ..template(0) });
    (NewCustomer { name, tier, note, ..customer("") }, templates.collect())
}

/// What of the n-th customer must not be found: words whole, a template in any four neighbouring values.
fn needles(n: u32) -> Vec<Needle> {
    let (who, templates) = nth(n);
    let words = [Some(who.name.given), who.name.patronymic, who.tier, who.note];
    let kinds = ["name", "patronymic", "tier", "note"];
    let words = kinds.into_iter().zip(words.into_iter().flatten().map(String::into_bytes));
    let template = |t: Template| t.embedding.values().iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let runs = templates.into_iter().flat_map(|t| template(t).chunks_exact(16).map(<[u8]>::to_vec).collect::<Vec<_>>());
    words.chain(runs.map(|run| ("template", run))).map(|(kind, bytes)| Needle { n, kind, bytes }).collect()
}

struct Needle {
    n: u32,
    kind: &'static str,
    bytes: Vec<u8>,
}

/// Where the needles are: whose, of what kind, each as often as it is there.
fn found(disk: &[u8], needles: &[Needle]) -> Vec<(u32, &'static str)> {
    let mut by_head: Vec<Vec<usize>> = vec![Vec::new(); 1 << 16];
    let head = |bytes: &[u8]| usize::from(u16::from_le_bytes([bytes[0], bytes[1]]));
    for (index, needle) in needles.iter().enumerate() {
        by_head[head(&needle.bytes)].push(index);
    }
    let mut found = Vec::new();
    for at in 0..disk.len() - 1 {
        for index in &by_head[head(&disk[at..])] {
            if disk[at..].starts_with(&needles[*index].bytes) {
                found.push((needles[*index].n, needles[*index].kind));
            }
        }
    }
    found
}

/// A file system in a file, mounted; the data folder is on it.
struct Image {
    folder: tempfile::TempDir,
    mounted: bool,
}

impl Image {
    /// `None` where this user may not mount, which in CI is a failure.
    fn mounted() -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("image");
        fs::File::create(&file).and_then(|file| file.set_len(96 << 20)).expect("room for an image");
        fs::create_dir(folder.path().join("disk")).expect("a folder");
        let run = |program: &str, arguments: &[&Path]| {
            let mut command = Command::new(program);
            command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
            command.status().is_ok_and(|status| status.success())
        };
        let disk = folder.path().join("disk");
        let mounted = run("mkfs.ext4", &[Path::new("-q"), &file])
            && run("mount", &[Path::new("-o"), Path::new("loop"), &file, &disk]);
        let in_ci = std::env::var_os("CI").is_some_and(|ci| ci == "true");
        assert!(mounted || !in_ci, "in CI the raw disk is searched: ext4 tools and the right to mount are needed");
        if !mounted {
            println!("skipped: no ext4 image can be mounted here");
            return None;
        }
        Some(Self { folder, mounted })
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("disk/data")
    }

    fn unmount(&mut self) {
        let disk = self.folder.path().join("disk");
        let status = Command::new("umount").arg(disk).status();
        assert!(status.is_ok_and(|status| status.success()), "the disk is in use");
        self.mounted = false;
    }

    /// Everything that is on the disk, without blocks of zeros; neighbours stay neighbours.
    fn bytes(&self) -> Vec<u8> {
        if self.mounted {
            let synced = Command::new("sync").arg("-f").arg(self.data()).status();
            assert!(synced.is_ok_and(|status| status.success()), "the disk takes what it was given");
        }
        let all = fs::read(self.folder.path().join("image")).expect("the image");
        let empty = [0; 4096];
        all.chunks(4096).filter(|block| *block != empty).flatten().copied().collect()
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        if self.mounted {
            // Lazily: the database is still open when a test ends by a panic.
            let _ = Command::new("umount").arg("-l").arg(self.folder.path().join("disk")).status();
        }
    }
}

fn config(dir: &Path, overwrite: bool) -> StoreConfig {
    StoreConfig { overwrite, ..StoreConfig::new(dir) }
}

const CHILD: &str = "SNOVA_TEST_RAW_DISK_CHILD";

/// Not a test by itself: a command of another process, which opens the database beside the service.
#[test]
#[ignore = "runs as the child of other tests"]
fn child_that_is_a_command() {
    let Ok(what) = std::env::var(CHILD) else { return };
    let words: Vec<&str> = what.split('|').collect();
    let [dir, overwrite, verb, whom] = words[..] else { panic!("not a command: {what}") };
    let store = Store::open(&config(Path::new(dir), overwrite == "true"), Seal::plain()).expect("opens");
    if verb == "erase" {
        store.erase(whom.parse().expect("an id"), at(60)).expect("enrolled");
    } else {
        let (who, templates) = nth(whom.parse().expect("a number"));
        store.add_customer(&who, &templates, TODAY).expect("live");
        println!("enrolled {}", who.id);
    }
}

/// Runs the child; what it said after `enrolled `.
fn command(dir: &Path, overwrite: bool, verb: &str, whom: &str) -> Option<CustomerId> {
    let ended = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "child_that_is_a_command", "--ignored", "--nocapture"])
        .env(CHILD, format!("{}|{overwrite}|{verb}|{whom}", dir.display()))
        .output()
        .expect("this test runs again");
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success(), "{said}{}", String::from_utf8_lossy(&ended.stderr));
    said.lines().find_map(|line| line.split_once("enrolled ")).map(|(_, id)| id.parse().expect("an id"))
}

/// `snova customers erase`, on a box whose data lie in `dir`: its exit code and what it said.
fn erase_by_command(dir: &Path, id: CustomerId) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("snova.toml");
    fs::write(&file, format!("[device]\ndata_dir = \"{}\"\n", dir.display())).expect("written");
    let ended = Command::new(env!("CARGO_BIN_EXE_snova"))
        .args(["customers", "erase", "--yes", &id.to_string(), "--config"])
        .arg(file)
        .stdin(Stdio::null())
        .output()
        .expect("the command runs");
    let said = [ended.stdout, ended.stderr].concat();
    (ended.status.code(), String::from_utf8_lossy(&said).into_owned())
}

/// The service with its threads, and no camera.
async fn service(dir: &Path, store: &Arc<Store>) -> Service {
    let settings = Settings::from_config(&running_service::config(dir)).expect("nothing is missing");
    let vision = Box::new(ScriptedVision::new(64));
    running_service::start_with(settings, Arc::clone(store), vision, Arc::new(Metrics::new())).await
}

/// Lives through a day of enrolments and erasures, and says what is found of the erased and of the living, while the service
/// runs and after it.
async fn day(mut image: Image, overwrite: bool) -> [(Vec<(u32, &'static str)>, usize); 2] {
    let dir = image.data();
    let store = Arc::new(Store::open(&config(&dir, overwrite), Seal::plain()).expect("opens"));
    let service = service(&dir, &store).await;
    let mut enrolled = Vec::new();
    for n in 0..ENROLLED {
        let id = command(&dir, overwrite, "enrol", &n.to_string()).expect("an id");
        enrolled.push(id);
        let visit = visit_of(id, i64::from(n));
        store.open_visit(&visit, TODAY).expect("live");
        store.close_visit(visit.id, at(50), at(350).at).expect("open");
        // From the middle on somebody goes as often as somebody comes.
        let Some(gone) = n.checked_sub(ENROLLED - ERASED) else { continue };
        let gone_id = enrolled[gone as usize];
        if overwrite {
            let (code, said) = erase_by_command(&dir, gone_id);
            assert_eq!(code, Some(0), "{said}");
        } else {
            command(&dir, overwrite, "erase", &gone_id.to_string());
        }
    }
    // What is left of all visits leaves as too old, and the file is built anew.
    let retired = store.retire_visits(at(400).at, ENROLLED as usize).expect("writable");
    assert_eq!(retired, (ENROLLED - ERASED) as usize);
    vacuum(&dir, overwrite);
    let erased: Vec<Needle> = (0..ERASED).flat_map(needles).collect();
    let living: Vec<Needle> = (ERASED..ENROLLED).flat_map(needles).collect();
    let look = |image: &Image| {
        let disk = image.bytes();
        let mut kinds = found(&disk, &living);
        kinds.sort_unstable();
        kinds.dedup();
        (found(&disk, &erased), kinds.len())
    };
    let running = look(&image);
    service.stop().await.expect("it stops in order");
    drop(store);
    image.unmount();
    [running, look(&image)]
}

/// Builds the file anew without what is free in it, and cuts it off.
fn vacuum(dir: &Path, overwrite: bool) {
    let path = dir.join(snova::store::FILE_NAME);
    let connection = if overwrite {
        rusqlite::Connection::open_with_flags_and_vfs(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE, c"snova-scrub")
    } else {
        rusqlite::Connection::open(path)
    };
    let connection = connection.expect("the file opens");
    connection.busy_timeout(Duration::from_secs(10)).expect("a number");
    connection.execute_batch("PRAGMA temp_store = MEMORY; VACUUM").expect("room");
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).expect("a checkpoint");
}

/// How often each kind was found.
fn sums(found: &[(u32, &'static str)]) -> String {
    let of = |kind| found.iter().filter(|(_, k)| *k == kind).count();
    ["name", "patronymic", "tier", "note", "template"].map(|kind| format!("{kind} {}", of(kind))).join(", ")
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_an_erased_customer_is_on_the_raw_disk() {
    let Some(image) = Image::mounted() else { return };
    for (when, (erased, living)) in ["running", "stopped"].into_iter().zip(day(image, true).await) {
        println!("{when}: {} of {ERASED} erased", sums(&erased));
        assert_eq!(erased, [], "{when}: something of the erased is on the disk");
        assert_eq!(living, (ENROLLED - ERASED) as usize * 5, "{when}: the search finds everything of the living");
    }
}

/// The search above would be worth nothing if it found nothing where nothing is overwritten.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_overwriting_the_raw_disk_holds_erased_customers() {
    let Some(image) = Image::mounted() else { return };
    let [(running, _), (stopped, _)] = day(image, false).await;
    println!("running: {}; stopped: {}", sums(&running), sums(&stopped));
    assert!(!running.is_empty() && !stopped.is_empty(), "nothing is found either way: the search shows nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_running_service_ends_an_erasure_that_a_reader_held_up_and_the_command_says_that_it_is_not_done() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let store = running_service::open_store(dir.path());
    let service = service(dir.path(), &store).await;
    let gone = enrol(&store, "Иннокентий");
    let reader = raw(dir.path());
    reader.execute_batch("BEGIN; SELECT count(*) FROM customers").expect("a snapshot");
    let has_name = || contains(&bytes_in(dir.path()), "Иннокентий".as_bytes());

    let (code, said) = erase_by_command(dir.path(), gone);
    assert!(code == Some(1) && said.contains("not done yet"), "{code:?} {said}");
    assert!(store.customer(gone).expect("readable").is_none(), "gone from every answer at once");
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert!(has_name(), "the reader's view needs it");
    reader.execute_batch("COMMIT").expect("the reader ends");
    let begun = Instant::now();
    while has_name() {
        assert!(begun.elapsed() < Duration::from_secs(12), "the service has not ended it");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!("ended {:?} after the reader had gone", begun.elapsed());
    service.stop().await.expect("it stops in order");
}
