//! What an erasure reaches besides the rows: the copies that Snova makes, a full disk, readers in the way, open folders.
//!
//! The raw disk is searched by `raw_disk.rs`, the files by `store_faults.rs` and `privacy.rs`.
#![allow(clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a test fails by panicking")]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use snova::store::{FILE_NAME, SPARE_FILE, Store, StoreConfig, StoreError, free_bytes};
use snova::vault::Seal;

#[path = "support/store_fixture.rs"]
mod store_fixture;
use store_fixture::*;

const NAME: &str = "Иннокентий";

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").permissions().mode() & 0o7777
}

/// The names that begin with the database's and are not of SQLite.
fn copies_in(dir: &Path) -> Vec<String> {
    let names =
        fs::read_dir(dir).expect("a folder").map(|e| e.expect("an entry").file_name().into_string().expect("text"));
    let mut copies: Vec<_> = names.filter(|name| name.starts_with("snova.db.")).collect();
    copies.sort();
    copies
}

fn has(dir: &Path, text: &str) -> bool {
    contains(&bytes_in(dir), text.as_bytes())
}

#[test]
fn a_copy_put_aside_is_listed_closed_to_others_and_destroyed_by_an_erasure() {
    let device = fresh();
    let gone = enrol(&device.store, NAME);
    let copy = device.store.set_aside("damaged").expect("there is room");
    assert_eq!(mode(&copy), 0o600);
    let listed: Vec<PathBuf> = device.store.copies().expect("listed").into_iter().map(|copy| copy.path).collect();
    assert_eq!(listed.first(), Some(&copy));
    // It is a database, with all that was committed.
    let opened = rusqlite::Connection::open(&copy).expect("a database");
    let customers: i64 = opened.query_row("SELECT count(*) FROM customers", [], |row| row.get(0)).expect("a number");
    assert_eq!(customers, 1);
    drop(opened);
    assert!(!copies_in(device.dir.path()).is_empty());
    // The locks held: to read the file beside its connection would have dropped them.
    let reader = raw(device.dir.path());
    reader.execute_batch("BEGIN; SELECT count(*) FROM customers").expect("a snapshot");
    device.store.set_aside("damaged").expect("there is room");
    reader.execute_batch("COMMIT").expect("the reader ends");

    let erasure = device.store.erase(gone, at(60)).expect("enrolled");
    assert!(erasure.scrubbed && erasure.copies == 2, "{erasure:?}");
    assert_eq!(copies_in(device.dir.path()), [""; 0]);
    assert!(!has(device.dir.path(), NAME));
}

#[test]
fn a_copy_is_gone_after_the_next_healthy_start_or_fourteen_days() {
    let device = fresh();
    enrol(&device.store, NAME);
    device.store.set_aside("damaged").expect("there is room");
    let now = snova::clock::Clock::wall(&snova::clock::SystemClock::new()).at;
    assert_eq!(device.store.tidy_copies(now).expect("readable"), 0, "this start has not shown that it is not needed");
    drop(device.store);

    let store = open(device.dir.path());
    assert_eq!(store.copies().expect("listed").len(), 1);
    assert_eq!(store.tidy_copies(now).expect("readable"), 1, "the next start is a healthy one");

    store.set_aside("damaged").expect("there is room");
    assert_eq!(store.tidy_copies(now + Duration::from_secs(13 * 86_400)).expect("readable"), 0);
    assert_eq!(store.tidy_copies(now + Duration::from_secs(15 * 86_400)).expect("readable"), 1);
    assert_eq!(copies_in(device.dir.path()), [""; 0]);
}

#[test]
fn a_copy_stays_while_the_database_is_damaged() {
    let device = fresh();
    for n in 0..60 {
        enrol(&device.store, &format!("{NAME} {n}"));
    }
    device.store.set_aside("damaged").expect("there is room");
    drop(device.store);
    let path = device.dir.path().join(FILE_NAME);
    let mut bytes = fs::read(&path).expect("readable");
    let from = bytes.len() - 4096 * 8;
    bytes[from..].fill(0xa5);
    fs::write(&path, bytes).expect("writable");
    let store = open(device.dir.path());
    let now = snova::clock::Clock::wall(&snova::clock::SystemClock::new()).at;
    assert_eq!(store.tidy_copies(now).expect("a folder"), 0);
    assert_eq!(store.copies().expect("listed").len(), 1);
}

#[test]
fn a_database_is_copied_before_it_is_brought_up_to_date_and_the_next_start_ends_the_copy() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let old = raw(dir.path());
    // What the steps of later versions need of version 1.
    old.execute_batch(include_str!("support/store_schema_1.sql")).expect("an old database");
    old.pragma_update(None, "application_id", 0x536e_7661).expect("ours");
    old.pragma_update(None, "user_version", 1).expect("the first");
    drop(old);
    let store = open(dir.path());
    let copies = copies_in(dir.path());
    assert!(copies.len() == 1 && copies[0].starts_with("snova.db.before-update-"), "{copies:?}");
    let copy = dir.path().join(&copies[0]);
    assert_eq!(mode(&copy), 0o600);
    let version: i64 = rusqlite::Connection::open(&copy)
        .expect("a database")
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .expect("a number");
    assert_eq!(version, 1, "the copy is of before");
    let now = snova::clock::Clock::wall(&snova::clock::SystemClock::new()).at;
    assert_eq!(store.tidy_copies(now).expect("readable"), 0);
    drop(store);
    assert_eq!(open(dir.path()).tidy_copies(now).expect("readable"), 1);
}

/// A small file system of its own; `None` where mounting is not allowed.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mounted(size: &str) -> Option<Self> {
        let at = tempfile::tempdir().expect("a temporary folder");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size},mode=0700"), "tmpfs"]).arg(at.path());
        let mounted = mount.stderr(Stdio::null()).status().is_ok_and(|status| status.success());
        assert!(mounted || std::env::var_os("CI").is_none_or(|ci| ci != "true"), "in CI a disk of its own is needed");
        if !mounted {
            println!("skipped: this user may not mount");
        }
        mounted.then_some(Self(at))
    }

    /// Writes until nothing more fits.
    fn fill(&self) {
        let mut ballast = fs::File::create(self.0.path().join("ballast")).expect("a file");
        let mut block = 1 << 20;
        while block > 0 {
            if std::io::Write::write_all(&mut ballast, &vec![1_u8; block]).is_err() {
                block /= 2;
            }
        }
        assert_eq!(free_bytes(self.0.path()).expect("a folder"), 0);
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a store is still open when the test ends by a panic.
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_can_forget() {
    let Some(disk) = SmallDisk::mounted("40m") else { return };
    let dir = disk.0.path().join("data");
    let store = open(&dir);
    let spare = dir.join(SPARE_FILE);
    assert!(fs::metadata(&spare).is_ok_and(|spare| spare.len() >= 4 << 20) && mode(&spare) == 0o600);
    let (gone, second) = (enrol(&store, NAME), enrol(&store, "Ольга"));
    disk.fill();
    let refused = std::iter::repeat_with(|| store.add_customer(&customer("Иван"), &[template(1), template(2)], TODAY));
    let refused = refused.take(10_000).find_map(Result::err).expect("the disk is full");
    assert!(matches!(refused, StoreError::DiskFull { .. }), "{refused}");

    let erasure = store.erase(gone, at(60)).expect("there is a spare for that");
    assert!(erasure.scrubbed, "{erasure:?}");
    assert!(!has(&dir, NAME) && has(&dir, "Ольга"));
    assert!(spare.exists(), "and there is room for the next one");

    // Without it a full disk does refuse: that is what the spare is for.
    fs::remove_file(&spare).expect("ours");
    disk.fill();
    while store.add_customer(&customer("Иван"), &[template(1), template(2)], TODAY).is_ok() {}
    assert!(matches!(store.erase(second, at(61)), Err(StoreError::DiskFull { .. })));
}

#[test]
fn a_full_disk_can_be_started_on_to_forget() {
    let Some(disk) = SmallDisk::mounted("40m") else { return };
    let dir = disk.0.path().join("data");
    let store = open(&dir);
    let gone = enrol(&store, NAME);
    drop(store);
    disk.fill();
    let store = open(&dir);
    assert!(store.erase(gone, at(60)).expect("there is a spare for that").scrubbed);
    assert!(!has(&dir, NAME));
}

#[test]
fn a_folder_that_others_may_look_into_is_closed_and_one_that_is_not_snovas_alone_is_refused() {
    let parent = tempfile::tempdir().expect("a temporary folder");
    let dir = parent.path().join("snova");
    fs::create_dir(&dir).expect("writable");
    for open_to in [0o777, 0o755, 0o770] {
        fs::set_permissions(&dir, Permissions::from_mode(open_to)).expect("ours");
        let store = open(&dir);
        assert_eq!(mode(&dir), 0o700, "{open_to:o} was closed");
        drop(store);
    }
    fs::set_permissions(dir.join(SPARE_FILE), Permissions::from_mode(0o644)).expect("ours");
    let _store = open(&dir);
    assert_eq!(mode(&dir.join(SPARE_FILE)), 0o600);

    let shared = parent.path().join("shared");
    fs::create_dir(&shared).expect("writable");
    fs::write(shared.join("accounts.txt"), "of somebody else").expect("writable");
    let sticky = parent.path().join("sticky");
    fs::create_dir(&sticky).expect("writable");
    for (dir, open_to) in [(&shared, 0o777), (&sticky, 0o1777)] {
        fs::set_permissions(dir, Permissions::from_mode(open_to)).expect("ours");
        let refused = Store::open(&config(dir), Seal::plain()).err().expect("not Snova's alone").to_string();
        assert!(refused.contains("chmod 700") && !refused.contains('\n'), "{refused}");
        assert_eq!(mode(dir), open_to, "what is another's is left as it was");
        assert!(!dir.join(FILE_NAME).exists());
    }
}

#[test]
fn a_reader_in_the_way_holds_up_writers_for_a_moment_only_and_the_log_does_not_grow_meanwhile() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let store = Store::open(&StoreConfig::new(dir.path()), Seal::plain()).expect("opens");
    for n in 0..200 {
        enrol(&store, &format!("Иван {n}"));
    }
    let gone = enrol(&store, NAME);
    let reader = raw(dir.path());
    reader.execute_batch("BEGIN; SELECT count(*) FROM customers").expect("a snapshot");
    assert!(!store.erase(gone, at(60)).expect("enrolled").scrubbed);
    let log = || fs::metadata(dir.path().join(format!("{FILE_NAME}-wal"))).expect("the log").len();
    let before = log();
    let clock = snova::clock::SystemClock::new();
    for _ in 0..5 {
        assert!(!store.scrub().expect("not an error"), "the reader is still there");
    }
    let took = snova::clock::Clock::monotonic(&clock).0;
    assert!(took < Duration::from_secs(5), "five tries took {took:?}: others could not write meanwhile");
    assert_eq!(log(), before, "trying costs no room");
    reader.execute_batch("COMMIT").expect("the reader ends");
    assert!(store.scrub().expect("writable"));
    assert!(!has(dir.path(), NAME));
}
