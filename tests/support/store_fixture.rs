//! A store in a temporary folder with made-up customers, and a look at its tables and files from outside.
#![allow(dead_code, reason = "each test uses its part of the support code")]

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::{Date, date};
use snova::clock::{Trust, WallTime, mint_at};
use snova::customer::{Consent, ConsentMethod, CustomerId, HowKnown, PersonName, Purpose, VisitId};
use snova::face::{CounterId, Embedding, Template};
use snova::store::{Ask, FILE_NAME, NewCustomer, Store, StoreConfig, VisitRecord};
use snova::vault::Seal;

pub const TODAY: Date = date(2026, 3, 2);
pub const PACK: &str = "pack-a";

/// `seconds` after nine in the morning.
pub fn at(seconds: i64) -> WallTime {
    let morning: Timestamp = "2026-03-02T09:00:00Z".parse().expect("a time");
    let at = morning.checked_add(jiff::SignedDuration::from_secs(seconds)).expect("within the calendar");
    WallTime { at, synchronised: true }
}

pub struct Device {
    pub dir: tempfile::TempDir,
    pub store: Store,
}

/// A fresh store; other programs are waited for 50 ms only.
pub fn fresh() -> Device {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let store = open(dir.path());
    Device { dir, store }
}

pub fn config(dir: &Path) -> StoreConfig {
    StoreConfig { busy_timeout: Duration::from_millis(50), ..StoreConfig::new(dir) }
}

pub fn open(dir: &Path) -> Store {
    Store::open(&config(dir), Seal::plain()).expect("the store opens")
}

/// The tables as another program sees them.
pub fn raw(dir: &Path) -> rusqlite::Connection {
    rusqlite::Connection::open(dir.join(FILE_NAME)).expect("the file opens")
}

pub fn consent() -> Consent {
    Consent {
        given_on: TODAY,
        method: ConsentMethod::PaperForm,
        purposes: vec![Purpose::Recognition, Purpose::VisitRecords],
        valid_until: None,
        withdrawn_at: None,
    }
}

pub fn recognition_only() -> Consent {
    Consent { purposes: vec![Purpose::Recognition], ..consent() }
}

pub fn customer(given: &str) -> NewCustomer {
    NewCustomer {
        id: CustomerId(mint_at(at(0).at)),
        name: PersonName::given(given),
        language: None,
        tier: None,
        note: None,
        consent: consent(),
        identifiers: Vec::new(),
        enrolled_at: at(0).at,
    }
}

/// A unit vector of `dimension` values that depends on `seed` alone.
pub fn embedding(seed: u64, dimension: usize) -> Embedding {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    Embedding::from_raw((0..dimension).map(|_| next()).collect()).expect("random values are not all zero")
}

pub fn template(seed: u64) -> Template {
    Template { embedding: embedding(seed, 128), pack: PACK.to_owned(), quality: 0.8 }
}

/// Enrols a customer of this name with one template and returns the id.
pub fn enrol(store: &Store, given: &str) -> CustomerId {
    let customer = customer(given);
    store.add_customer(&customer, &[template(7)], TODAY).expect("the consent is live");
    customer.id
}

pub fn visit_of(customer: CustomerId, seconds: i64) -> VisitRecord {
    VisitRecord {
        id: VisitId(mint_at(at(seconds).at)),
        customer,
        counter: CounterId::new("till-1"),
        opened_at: at(seconds),
        how: HowKnown::Match,
    }
}

/// One event on its way: kind, customer, visit, state, seconds after nine from which it may leave.
pub type Event = (String, CustomerId, Option<VisitId>, String, Option<i64>);

/// What is on its way to CRMs or was, in order of `seq`: the one place of the tests that reads these tables.
pub fn outbox(dir: &Path) -> Vec<Event> {
    let connection = raw(dir);
    let mut statement = connection
        .prepare("SELECT kind, customer, visit, state, deliver_after FROM outbox ORDER BY seq, target")
        .expect("the view is there");
    let uuid = uuid::Uuid::from_bytes;
    let rows = statement.query_map([], |row| {
        let visit: Option<[u8; 16]> = row.get(2)?;
        let after: Option<i64> = row.get(4)?;
        let after = after.map(|micros| (micros - at(0).at.as_microsecond()) / 1_000_000);
        Ok((row.get(0)?, CustomerId(uuid(row.get(1)?)), visit.map(|v| VisitId(uuid(v))), row.get(3)?, after))
    });
    rows.expect("the view can be read").collect::<Result<_, _>>().expect("rows are as written")
}

/// Plays the courier: sets the state of this visit's last delivery, and what the CRM then has.
pub fn courier(dir: &Path, visit: VisitId, state: &str, attempts: u32) {
    let connection = raw(dir);
    let seq: i64 = connection
        .query_row("SELECT max(seq) FROM outbox WHERE visit = ?1 AND kind = 'visit'", [visit.0.into_bytes()], |row| {
            row.get(0)
        })
        .expect("an event of this visit");
    play(dir, seq, state, attempts);
}

/// Plays the courier for one event.
pub fn play(dir: &Path, seq: i64, state: &str, attempts: u32) {
    let connection = raw(dir);
    let changed = connection.execute(
        "UPDATE deliveries SET state = ?2, attempts = ?3 WHERE fact = ?1",
        rusqlite::params![seq, state, attempts],
    );
    assert_eq!(changed.expect("the deliveries can be written"), 1, "no delivery of this event");
    if state == "done" || state == "sending" || attempts > 0 {
        let has = if state == "done" { "there" } else { "perhaps" };
        let has = connection.execute(
            "INSERT OR REPLACE INTO records (key, target, customer, state, written_at, tried_at)
             SELECT event, target, customer, ?2, created_at, created_at FROM outbox WHERE seq = ?1 AND kind = 'visit'",
            rusqlite::params![seq, has],
        );
        has.expect("the ledger can be written");
    }
}

/// A question to the outbox for the current CRM, under a clock that is right.
pub fn ask(store: &Store, most: usize, now: WallTime) -> Ask {
    let target = store.current_target().expect("readable");
    Ask {
        target,
        most,
        linked_only: false,
        now: now.at,
        server_now: None,
        is_try: false,
        days: TODAY.into(),
        trust: Trust::Plausible,
    }
}

/// All bytes of all files in the folder, but for the megabytes of the spare, into which nobody ever writes.
pub fn bytes_in(dir: &Path) -> Vec<u8> {
    let files = std::fs::read_dir(dir).expect("the data folder").map(|entry| entry.expect("an entry").path());
    let written = files.filter(|path| !path.ends_with(snova::store::SPARE_FILE));
    written.flat_map(|path| std::fs::read(path).expect("a file")).collect()
}

pub fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}

/// Copies db and log as they lie on the disk: what a power cut leaves. The log is cut to `log_bytes`.
pub fn after_power_cut(dir: &Path, log_bytes: Option<usize>) -> tempfile::TempDir {
    let copy = tempfile::tempdir().expect("a temporary folder");
    let log = format!("{FILE_NAME}-wal");
    std::fs::copy(dir.join(FILE_NAME), copy.path().join(FILE_NAME)).expect("the file is there");
    let mut written = std::fs::read(dir.join(&log)).expect("the log is there");
    written.truncate(log_bytes.unwrap_or(usize::MAX));
    std::fs::write(copy.path().join(&log), written).expect("the copy is written");
    copy
}
