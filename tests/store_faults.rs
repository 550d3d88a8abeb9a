//! The store under power cuts, kills, full disks, wrong files, other programs, and after erasures.
#![allow(clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a test fails by panicking")]

use std::collections::HashSet;
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::str::FromStr;

use snova::customer::{CustomerId, PersonName, VisitId};
use snova::face::Template;
use snova::store::{FILE_NAME, NewCustomer, Store, StoreConfig, StoreError};
use snova::vault::Seal;

#[path = "support/store_fixture.rs"]
mod store_fixture;
use store_fixture::*;

fn refusal(dir: &Path) -> StoreError {
    let error = Store::open(&config(dir), Seal::plain()).err().expect("this must not open");
    let told = error.to_string();
    assert!(!told.contains('\n') && told.contains("; "), "one line with a remedy: {told}");
    error
}

/// What an erased customer must leave nowhere: name, note, embedding.
fn traces(customer: &NewCustomer, templates: &[Template]) -> Vec<Vec<u8>> {
    let texts = [customer.name.given.clone(), customer.note.clone().unwrap_or_default()];
    let numbers = templates.iter().map(|t| t.embedding.values().iter().flat_map(|v| v.to_le_bytes()).collect());
    texts.into_iter().map(String::into_bytes).chain(numbers).filter(|bytes| !bytes.is_empty()).collect()
}

/// Pieces of `trace` that are in `bytes`: the whole thing need not have survived to be a leak.
fn pieces_in(bytes: &HashSet<[u8; 8]>, trace: &[u8]) -> usize {
    trace.as_chunks::<8>().0.iter().filter(|piece| bytes.contains(*piece)).count()
}

#[test]
fn an_erased_customer_leaves_no_byte_of_name_or_template_in_any_file() {
    let device = fresh();
    let reader_in_another_process = open(device.dir.path());
    let given =
        NewCustomer { note: Some("берёт без сахара".to_owned()), ..customer("Иннокентий") };
    let templates = [template(11), template(12)];
    device.store.add_customer(&given, &templates, TODAY).expect("live");
    let olga = enrol(&device.store, "Ольга");
    let visit = visit_of(given.id, 10);
    device.store.open_visit(&visit, TODAY).expect("live");
    let before = bytes_in(device.dir.path());
    let secret = traces(&given, &templates);
    assert!(secret.iter().all(|trace| contains(&before, trace)), "the search would not find it if it were there");

    let erasure = device.store.erase(given.id, at(60)).expect("enrolled");
    assert_eq!((erasure.templates, erasure.visits, erasure.events, erasure.scrubbed), (2, 1, 1, true));
    let after = bytes_in(device.dir.path());
    for trace in &secret {
        assert!(trace.windows(6).all(|piece| !contains(&after, piece)), "a piece of the erased customer is left");
    }
    assert!(!contains(&after, visit.id.0.as_bytes()), "the visit is left");
    assert_eq!(outbox(device.dir.path()), [], "no CRM ever heard of them");
    assert!(device.store.visit(visit.id).expect("readable").is_none());
    assert!(reader_in_another_process.customer(given.id).expect("readable").is_none());
    assert!(device.store.customer(olga).expect("readable").is_some());
    assert!(matches!(device.store.erase(given.id, at(61)), Err(StoreError::UnknownCustomer(_))));
    device.store.verify().expect("nothing is damaged");
}

/// SQLite moves rows between pages as others come and go, and its `secure_delete` forgets the places they were
/// moved from. Without clearing the pages this test finds such remains.
#[test]
fn rows_that_were_moved_between_pages_leave_no_copy_when_erased() {
    let device = fresh();
    let mut enrolled: Vec<(CustomerId, Vec<Vec<u8>>)> = Vec::new();
    let mut erased: Vec<Vec<u8>> = Vec::new();
    let mut state: u64 = 1;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    // Many rows come and go through a second connection, which does not scrub; one erasure at the end does.
    let outside = raw(device.dir.path());
    outside.execute_batch("PRAGMA secure_delete = ON; PRAGMA synchronous = OFF").expect("a pragma");
    for step in 0..700u64 {
        if !enrolled.is_empty() && random(100) < 45 {
            let (id, templates) = enrolled.swap_remove(random(enrolled.len()));
            erased.extend(templates);
            let key = id.0.into_bytes();
            for table in ["templates", "consents"] {
                outside.execute(&format!("DELETE FROM {table} WHERE customer = ?1"), [key]).expect("deletable");
            }
            outside.execute("DELETE FROM customers WHERE id = ?1", [key]).expect("deletable");
            outside.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).expect("a checkpoint");
        } else {
            let name = format!("{:016x}", (random(1 << 31) as u64) << 31 | random(1 << 31) as u64);
            let note = Some(format!("{step:07}#{}", name.repeat(1 + random(11))));
            let dimension = if random(3) == 0 { 512 } else { 128 };
            let templates: Vec<Template> = (0..1 + random(3) as u64)
                .map(|n| Template { embedding: embedding(step * 10 + n, dimension), ..template(0) })
                .collect();
            let given = NewCustomer { note: note.map(|n| n.chars().take(200).collect()), ..customer(&name) };
            device.store.add_customer(&given, &templates, TODAY).expect("live");
            enrolled.push((given.id, traces(&given, &templates)));
        }
    }
    let last = enrol(&device.store, "Иннокентий");
    let windows = || bytes_in(device.dir.path()).windows(8).map(|w| w.try_into().expect("eight")).collect();
    let left = |windows| erased.iter().map(|trace| pieces_in(&windows, trace)).sum::<usize>();
    assert!(left(windows()) > 0, "nothing was left behind: this test shows nothing, give it another seed");
    assert!(device.store.erase(last, at(60)).expect("enrolled").scrubbed);
    assert_eq!(left(windows()), 0, "pieces of erased templates are left in the file");
    let kept = windows();
    assert!(
        enrolled.iter().flat_map(|(_, traces)| traces).all(|trace| pieces_in(&kept, trace) == trace.len() / 8),
        "the living suffer"
    );
}

#[test]
fn an_erasure_that_another_reader_keeps_from_being_complete_says_so_and_is_completed_later() {
    for completed_by_restart in [false, true] {
        let device = fresh();
        let given = customer("Иннокентий");
        device.store.add_customer(&given, &[template(11)], TODAY).expect("live");
        let reader = raw(device.dir.path());
        reader.execute_batch("BEGIN; SELECT count(*) FROM customers").expect("a snapshot");

        let erasure = device.store.erase(given.id, at(60)).expect("the erasure itself is not held up");
        assert!(!erasure.scrubbed);
        assert!(device.store.customer(given.id).expect("readable").is_none(), "gone from every answer at once");
        assert!(!device.store.scrub().expect("not an error"), "the reader is still there");
        assert!(contains(&bytes_in(device.dir.path()), "Иннокентий".as_bytes()), "the reader's view needs it");
        reader.execute_batch("COMMIT").expect("the reader ends");

        if completed_by_restart {
            // A copy as after a power cut: no orderly close has cleaned up.
            let copy = after_power_cut(device.dir.path(), None);
            assert!(contains(&bytes_in(copy.path()), "Иннокентий".as_bytes()));
            let _store = open(copy.path());
            assert!(!contains(&bytes_in(copy.path()), "Иннокентий".as_bytes()));
        } else {
            assert!(device.store.scrub().expect("writable"));
            assert!(!contains(&bytes_in(device.dir.path()), "Иннокентий".as_bytes()));
        }
    }
}

#[test]
fn a_power_cut_at_any_point_leaves_visit_and_event_both_or_neither() {
    let device = fresh();
    let ivan = enrol(&device.store, "Иван");
    let log = device.dir.path().join(format!("{FILE_NAME}-wal"));
    let before = fs::metadata(&log).expect("the log").len() as usize;
    let visit = visit_of(ivan, 10);
    device.store.open_visit(&visit, TODAY).expect("live");
    let whole = fs::metadata(&log).expect("the log").len() as usize;
    assert!(whole > before, "the visit went through the log");

    let mut outcomes = [0, 0];
    for cut in (before..=whole).step_by(509).chain([whole - 1, whole]) {
        let copy = after_power_cut(device.dir.path(), Some(cut));
        let store = open(copy.path());
        let visit_is_there = store.visit(visit.id).expect("readable").is_some();
        let event_is_there = outbox(copy.path()).iter().any(|event| event.2 == Some(visit.id));
        assert_eq!(visit_is_there, event_is_there, "cut at byte {cut} of {whole}");
        assert!(store.customer(ivan).expect("readable").is_some(), "what was committed before stays");
        store.verify().expect("nothing is damaged");
        outcomes[usize::from(visit_is_there)] += 1;
    }
    assert!(outcomes[0] > 0 && outcomes[1] > 0, "both outcomes were seen: {outcomes:?}");
}

const CHILD_DIR: &str = "SNOVA_TEST_CHILD_DIR";

/// Not a test by itself: the process that `a_killed_process_loses_no_acknowledged_visit` kills.
#[test]
#[ignore = "runs as the child of another test"]
fn child_that_records_visits_until_killed() {
    let Some(dir) = std::env::var_os(CHILD_DIR) else { return };
    let store = open(Path::new(&dir));
    let ivan = store.customers().expect("readable")[0].id;
    for second in 0.. {
        let visit = visit_of(ivan, second);
        store.open_visit(&visit, TODAY).expect("live");
        println!("recorded {}", visit.id);
        std::io::stdout().flush().expect("the parent reads");
    }
}

#[test]
fn a_killed_process_loses_no_acknowledged_visit() {
    let device = fresh();
    enrol(&device.store, "Иван");
    let mut child = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "child_that_records_visits_until_killed", "--ignored", "--nocapture"])
        .env(CHILD_DIR, device.dir.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("this test runs again");
    let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
    let mut acknowledged = Vec::new();
    for line in lines {
        acknowledged.extend(line.split_once("recorded ").map(|(_, id)| VisitId::from_str(id).expect("an id")));
        if acknowledged.len() == 25 {
            child.kill().expect("still running"); // SIGKILL, in the middle of whatever it does
        }
    }
    child.wait().expect("killed");
    assert!(acknowledged.len() >= 25, "only {} visits were acknowledged", acknowledged.len());
    let store = open(device.dir.path());
    store.verify().expect("nothing is damaged");
    let events = outbox(device.dir.path());
    for id in acknowledged {
        assert!(store.visit(id).expect("readable").is_some(), "visit {id} is lost");
        assert_eq!(events.iter().filter(|event| event.2 == Some(id)).count(), 1, "visit {id} has not one event");
    }
}

#[test]
fn a_full_disk_writes_nothing_half_and_the_store_recovers() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let small = StoreConfig { max_bytes: Some(200_000), ..config(dir.path()) };
    let store = Store::open(&small, Seal::plain()).expect("opens");
    let mut enrolled = Vec::new();
    let full = loop {
        let given = customer(&format!("Иван {}", enrolled.len()));
        match store.add_customer(&given, &[template(1), template(2), template(3)], TODAY) {
            Ok(()) => enrolled.push(given.id),
            Err(error) => break error,
        }
        assert!(enrolled.len() < 1000, "the limit does not hold");
    };
    assert!(matches!(full, StoreError::DiskFull { .. }), "{full}");
    assert!(full.to_string().contains("free some space"), "{full}");
    assert_eq!(store.customers().expect("still readable").len(), enrolled.len());
    let templates = store.templates(PACK, TODAY).expect("still readable");
    assert!(templates.len() == enrolled.len() && templates.iter().all(|(_, parts)| parts.len() == 3));
    store.verify().expect("nothing is damaged");

    // Visits fill what little is left, then are refused whole.
    let ivan = enrolled[0];
    let mut visits = 0;
    while store.open_visit(&visit_of(ivan, visits), TODAY).is_ok() {
        visits += 1;
        assert!(visits < 10_000, "the limit does not hold");
    }
    let count = |table: &str| -> i64 {
        raw(dir.path()).query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).expect("a number")
    };
    assert_eq!((count("visits"), count("outbox")), (visits, visits));

    // Space is made: by forgetting somebody, at once; by a higher limit, at the next start.
    // Several: a visit may begin a page in more than one index, and one customer's rows fill none.
    for _ in 0..8 {
        let gone = enrolled.pop().filter(|gone| *gone != ivan).expect("many");
        assert!(store.erase(gone, at(60)).expect("erasing needs no new space").scrubbed);
    }
    store.open_visit(&visit_of(ivan, 1), TODAY).expect("there is space again");
    drop(store);
    let store = open(dir.path());
    enrol(&store, "Ольга");
    assert!(fs::metadata(store.path()).expect("the file").len() <= 300_000);
}

#[test]
fn only_snovas_user_may_look_into_folder_and_files() {
    let parent = tempfile::tempdir().expect("a temporary folder");
    let dir = parent.path().join("var/snova");
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    let store = open(&dir);
    enrol(&store, "Иван");
    assert_eq!(mode(&dir), 0o700);
    assert_eq!(fs::read_dir(&dir).expect("the folder").count(), 5, "db, log, index, key and spare");
    for entry in fs::read_dir(&dir).expect("the folder") {
        let path = entry.expect("an entry").path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    drop(store);
    fs::set_permissions(dir.join(FILE_NAME), Permissions::from_mode(0o644)).expect("our file");
    let _store = open(&dir);
    assert_eq!(mode(&dir.join(FILE_NAME)), 0o600, "a copy put back with wide permissions is closed");
}

#[test]
fn a_folder_that_cannot_be_used_is_named_with_a_remedy() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let file = dir.path().join("a-file");
    fs::write(&file, "not a folder").expect("writable");
    // Not even root can make a folder in /proc.
    for unusable in [file.as_path(), Path::new("/proc/snova-data")] {
        let error = refusal(unusable);
        assert!(matches!(error, StoreError::Folder { .. }), "{error}");
        assert!(error.to_string().contains(&*unusable.to_string_lossy()), "{error}");
    }
    let read_only = dir.path().join("read-only");
    fs::create_dir(&read_only).expect("writable");
    fs::set_permissions(&read_only, Permissions::from_mode(0o500)).expect("our folder");
    if fs::write(read_only.join("probe"), "").is_err() {
        assert!(matches!(refusal(&read_only), StoreError::Folder { .. }));
    } else {
        println!("this user may write everywhere: the read-only folder was not tried");
    }
}

#[test]
fn a_file_that_is_no_database_or_another_programs_is_left_untouched() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join(FILE_NAME);
    let text = "Покупатели: Иван, Ольга. ".repeat(200);
    fs::write(&path, &text).expect("writable");
    assert!(matches!(refusal(dir.path()), StoreError::Foreign { .. }));
    assert_eq!(fs::read(&path).expect("readable"), text.as_bytes());

    fs::remove_file(&path).expect("ours");
    let theirs = raw(dir.path());
    theirs.execute_batch("CREATE TABLE songs (title TEXT); INSERT INTO songs VALUES ('Снова')").expect("writable");
    drop(theirs);
    let before = fs::read(&path).expect("readable");
    assert!(matches!(refusal(dir.path()), StoreError::Foreign { .. }));
    assert_eq!(fs::read(&path).expect("readable"), before);
}

#[test]
fn a_database_of_a_newer_snova_is_refused_and_left_untouched() {
    let device = fresh();
    enrol(&device.store, "Иван");
    drop(device.store);
    raw(device.dir.path()).pragma_update(None, "user_version", 5).expect("writable");
    let before = fs::read(device.dir.path().join(FILE_NAME)).expect("readable");
    let error = refusal(device.dir.path());
    assert!(matches!(error, StoreError::NewerSchema { found: 5, known: 4, .. }), "{error}");
    assert!(error.to_string().contains("made by a newer Snova"), "{error}");
    assert_eq!(fs::read(device.dir.path().join(FILE_NAME)).expect("readable"), before);
}

#[test]
fn a_file_left_empty_by_a_crash_at_the_first_start_is_made_anew() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    fs::write(dir.path().join(FILE_NAME), "").expect("writable");
    enrol(&open(dir.path()), "Иван");
}

#[test]
fn two_programs_may_start_on_an_empty_folder_at_once() {
    for _ in 0..10 {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let patient = StoreConfig::new(dir.path());
        std::thread::scope(|scope| {
            for name in ["Иван", "Ольга", "Пётр"] {
                let patient = &patient;
                scope.spawn(move || {
                    enrol(&Store::open(patient, Seal::plain()).expect("opens"), name);
                });
            }
        });
        assert_eq!(open(dir.path()).customers().expect("readable").len(), 3);
    }
}

#[test]
fn a_database_that_another_program_holds_is_reported_as_busy_and_works_afterwards() {
    let device = fresh();
    let other = raw(device.dir.path());
    other.execute_batch("BEGIN IMMEDIATE").expect("a write lock");
    let given = customer("Иван");
    let error = device.store.add_customer(&given, &[], TODAY).expect_err("locked");
    assert!(matches!(error, StoreError::Busy { .. }), "{error}");
    assert!(device.store.customers().expect("reading goes on").is_empty());
    other.execute_batch("ROLLBACK").expect("unlocked");
    device.store.add_customer(&given, &[], TODAY).expect("free again");
}

#[test]
fn a_database_held_whole_by_another_program_does_not_open() {
    let device = fresh();
    drop(device.store);
    let other = raw(device.dir.path());
    other.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE").expect("a lock on the whole file");
    assert!(matches!(refusal(device.dir.path()), StoreError::Busy { .. }));
}

#[test]
fn damaged_pages_are_reported_not_read_as_customers() {
    let device = fresh();
    for n in 0..60 {
        enrol(&device.store, &format!("Иван {n}"));
    }
    drop(device.store);
    let path = device.dir.path().join(FILE_NAME);
    let mut bytes = fs::read(&path).expect("readable");
    for byte in bytes.iter_mut().skip(4096 * 2) {
        *byte = 0xa5;
    }
    fs::write(&path, bytes).expect("writable");
    let error = match Store::open(&config(device.dir.path()), Seal::plain()) {
        Err(error) => error,
        Ok(store) => store.verify().expect_err("every page but the first two is garbage"),
    };
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("put a copy of the data folder back"), "{error}");
}

#[test]
fn a_name_or_template_moved_to_another_row_is_noticed() {
    for table in ["customers", "templates"] {
        let device = fresh();
        let ivan = customer("Иван");
        device.store.add_customer(&ivan, &[template(1)], TODAY).expect("live");
        let olga = customer("Ольга");
        device.store.add_customer(&olga, &[template(2)], TODAY).expect("live");
        device.store.verify().expect("nothing is wrong yet");
        let first = format!("(SELECT min(id) FROM {table})");
        let swap = format!("UPDATE {table} SET sealed = (SELECT sealed FROM {table} WHERE id = {first})");
        raw(device.dir.path()).execute(&swap, []).expect("writable");
        let error = device.store.verify().expect_err("one of two is in the wrong place");
        assert!(matches!(error, StoreError::Sealed { .. }), "{error}");
        let unreadable = device.store.unreadable_rows().expect("the others can be read");
        assert!(matches!(&unreadable[..], [one] if one.table == table), "{unreadable:?}");
        let given_out = if table == "customers" {
            device.store.customers().expect("readable").len()
        } else {
            device.store.templates(PACK, TODAY).expect("readable").len()
        };
        assert_eq!(given_out, 1, "nobody is given out under another's name or face");
        for name in [&ivan, &olga].map(|c| &c.name) as [&PersonName; 2] {
            assert!(!error.to_string().contains(&name.given), "{error}");
        }
    }
}

#[test]
fn a_dangling_reference_is_found_by_verify() {
    let device = fresh();
    let ivan = enrol(&device.store, "Иван");
    let other = raw(device.dir.path());
    other.execute_batch("PRAGMA foreign_keys = OFF").expect("a pragma");
    other.execute("DELETE FROM customers WHERE id = ?1", [ivan.0.into_bytes()]).expect("writable");
    let error = device.store.verify().expect_err("templates and consents dangle");
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("refers to a missing row of customers"), "{error}");
}
