//! The ledger on a real database: what each CRM has, what is held, what leaves when it is old, and where it came from.
//!
//! How delivery uses it is `store_delivery.rs`; what the CRMs then hear, `crm_change.rs`.
#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/store_fixture.rs"]
mod store_fixture;

use std::path::Path;

use jiff::civil::date;
use snova::clock::{Days, Trust};
use snova::customer::{CustomerId, Verdict, VisitId};
use snova::store::{Ask, Claimed, Conclusion, FILE_NAME, Link, Store, Task, Tombstone};
use store_fixture::{TODAY, ask, at, consent, courier, enrol, fresh, open, outbox, raw, visit_of};

const PILOT: &str = "bitrix24 https://pilot.bitrix24.ru";
const PRODUCTION: &str = "bitrix24 https://shop.bitrix24.ru";

/// A visit that is over and may leave at `seconds`.
fn visited(store: &Store, customer: CustomerId, seconds: i64) -> VisitId {
    let visit = visit_of(customer, seconds);
    store.open_visit(&visit, TODAY).expect("the consent is live");
    store.close_visit(visit.id, at(seconds + 1), at(seconds).at).expect("it is open");
    visit.id
}

fn claim(store: &Store, seconds: i64) -> Vec<Claimed> {
    store.claim(&ask(store, 9, at(seconds))).expect("the store can be written")
}

/// Everything that waits arrives, each under the next of these ids.
fn deliver(store: &Store, ids: &[&str], seconds: i64) {
    let target = store.current_target().expect("readable");
    let done: Vec<_> = claim(store, seconds)
        .iter()
        .zip(ids)
        .map(|(claimed, id)| (claimed.event, Conclusion::Done(Some((*id).to_owned()))))
        .collect();
    assert_eq!(done.len(), ids.len());
    store.conclude(target, &done, at(seconds).at).expect("written");
}

fn states(dir: &Path) -> Vec<(String, String)> {
    outbox(dir).into_iter().map(|event| (event.0, event.3)).collect()
}

fn is(kind: &str, state: &str) -> (String, String) {
    (kind.to_owned(), state.to_owned())
}

fn tombstone(claimed: &[Claimed]) -> Tombstone {
    let [Claimed { task: Task::Erasure(gone), .. }] = claimed else { panic!("{claimed:?}") };
    gone.clone()
}

#[test]
fn an_erasure_after_a_change_of_crm_names_to_each_one_its_own_records_alone() {
    let device = fresh();
    let store = &device.store;
    let pilot = store.use_crm(PILOT).expect("written");
    let ivan = enrol(store, "Иван");
    store.set_link(pilot, ivan, &Link::Linked("913".to_owned()), at(0).at).expect("written");
    visited(store, ivan, 1);
    deliver(store, &["57"], 10);
    let production = store.use_crm(PRODUCTION).expect("written");
    assert_eq!(store.link(ivan).expect("readable"), None, "his contact there is not known yet");
    visited(store, ivan, 20);
    deliver(store, &["3"], 30);
    store.erase(ivan, at(40)).expect("he is there");

    let gone = tombstone(&claim(store, 50));
    let named: Vec<_> = gone.records.iter().map(|sent| sent.record.as_deref()).collect();
    assert_eq!((named, gone.contact), (vec![Some("3")], None));
    let debts = store.debts().expect("readable");
    assert_eq!((debts.len(), debts[0].target, debts[0].records, debts[0].contacts), (1, pilot, 1, 1));
    let theirs = store.claim(&Ask { target: pilot, ..ask(store, 9, at(50)) }).expect("written");
    let gone = tombstone(&theirs);
    assert_eq!((gone.records[0].record.as_deref(), gone.contact.as_deref()), (Some("57"), Some("913")));
    assert_eq!(gone.records[0].contact.as_deref(), Some("913"));
    for target in [pilot, production] {
        store.conclude(target, &[(theirs[0].event, Conclusion::Done(None))], at(60).at).expect("written");
    }
    assert_eq!(store.outbox_status().expect("readable").debts, 0);
}

#[test]
fn what_was_never_tried_goes_to_the_new_crm_and_what_is_in_doubt_stays_with_the_old_one() {
    let device = fresh();
    let store = &device.store;
    let pilot = store.use_crm(PILOT).expect("written");
    let (ivan, elena) = (enrol(store, "Иван"), enrol(store, "Елена"));
    visited(store, ivan, 1);
    assert_eq!(claim(store, 10).len(), 1, "it is under way");
    visited(store, elena, 11);
    store.use_crm(PRODUCTION).expect("written");
    let sent = claim(store, 20);
    assert_eq!(sent.iter().map(|claimed| claimed.customer).collect::<Vec<_>>(), [elena]);
    assert_eq!(store.debts().expect("readable")[0].in_doubt, 1);
    assert_eq!(store.use_crm(PILOT).expect("written"), pilot, "it is known again");
    assert_eq!(store.recover_sending(pilot, std::time::Duration::ZERO).expect("written"), 1);
    assert_eq!(claim(store, 30)[0].customer, ivan);
}

#[test]
fn a_debt_that_is_signed_off_is_gone_and_a_later_erasure_owes_anew() {
    let device = fresh();
    let store = &device.store;
    let pilot = store.use_crm(PILOT).expect("written");
    let ivan = enrol(store, "Иван");
    let visit = visited(store, ivan, 1);
    visited(store, ivan, 2);
    deliver(store, &["57", "58"], 10);
    store.use_crm(PRODUCTION).expect("written");
    store.answer_visit(visit, Verdict::No, at(20), TODAY).expect("recorded");
    assert_eq!(store.debts().expect("readable")[0].records, 1);
    assert_eq!(store.sign_off(pilot).expect("written").len(), 1);
    assert_eq!(store.debts().expect("readable"), []);
    store.erase(ivan, at(30)).expect("he is there");
    assert_eq!(store.debts().expect("readable")[0].records, 2);
}

#[test]
fn a_clock_in_the_past_deletes_no_waiting_visit() {
    let device = fresh();
    let (ivan, elena) = (enrol(&device.store, "Иван"), enrol(&device.store, "Елена"));
    let store = &device.store;
    visited(store, ivan, 1);
    assert_eq!(claim(store, 10).len(), 1, "his is in doubt");
    store.recover_sending(store.current_target().expect("readable"), std::time::Duration::ZERO).expect("written");
    visited(store, elena, 11);
    for trust in [Trust::Plausible, Trust::Behind] {
        // No consent had been given on this day.
        let past = Ask { days: date(2020, 1, 1).into(), trust, ..ask(store, 9, at(20)) };
        assert_eq!(store.claim(&past).expect("written"), []);
        assert_eq!(states(device.dir.path()), [is("visit", "held"), is("visit", "held")], "{trust:?}");
    }
    let status = store.outbox_status().expect("readable");
    assert_eq!((status.depth, status.held), (0, 2));
    assert_eq!(claim(store, 30).len(), 2, "the clock is set, and both go");
}

#[test]
fn a_clock_far_ahead_holds_what_it_takes_for_ended_and_takes_nothing_back() {
    let device = fresh();
    let store = &device.store;
    let ivan = enrol(store, "Иван");
    let until = snova::customer::Consent { valid_until: Some(date(2027, 3, 2)), ..consent() };
    store.renew_consent(ivan, &until, at(0), TODAY).expect("live");
    visited(store, ivan, 1);
    assert_eq!(claim(store, 10).len(), 1, "it is in doubt");
    store.recover_sending(store.current_target().expect("readable"), std::time::Duration::ZERO).expect("written");
    let days = Days { wall: date(2036, 2, 7), known: Some(TODAY) };
    let ahead = Ask { days, trust: Trust::Ahead, ..ask(store, 9, at(20)) };
    assert_eq!(store.claim(&ahead).expect("written"), []);
    assert_eq!(states(device.dir.path()), [is("visit", "held")]);
    // By a clock that can be right it has ended indeed.
    let later = Ask { days: days.wall.into(), ..ask(store, 9, at(20)) };
    let taken_back = store.claim(&later).expect("written");
    assert!(matches!(taken_back[..], [Claimed { task: Task::Void(_), .. }]), "{taken_back:?}");
    assert_eq!(states(device.dir.path()), [is("visit", "withdrawn"), is("correction", "sending")]);
}

#[test]
fn a_visit_in_doubt_whose_consent_ended_is_taken_back_and_an_erasure_still_finds_it() {
    let device = fresh();
    let store = &device.store;
    let ivan = enrol(store, "Иван");
    visited(store, ivan, 1);
    let sent = claim(store, 10)[0].event;
    let target = store.current_target().expect("readable");
    store.recover_sending(target, std::time::Duration::ZERO).expect("written");
    store.withdraw_consent(ivan, at(20)).expect("enrolled");
    let void = claim(store, 30);
    let [Claimed { task: Task::Void(taken), .. }] = &void[..] else { panic!("{void:?}") };
    assert_eq!(taken.key, sent, "under the key that the record has there");
    store.conclude(target, &[(void[0].event, Conclusion::Done(None))], at(30).at).expect("written");
    store.erase(ivan, at(40)).expect("he is there");
    let gone = tombstone(&claim(store, 50));
    assert_eq!(gone.records.iter().map(|record| record.key).collect::<Vec<_>>(), [sent]);
}

#[test]
fn a_renewed_consent_sends_what_was_held() {
    let device = fresh();
    let store = &device.store;
    let ivan = enrol(store, "Иван");
    let visit = visited(store, ivan, 1);
    store.withdraw_consent(ivan, at(5)).expect("enrolled");
    assert_eq!(claim(store, 10), []);
    assert_eq!(states(device.dir.path()), [is("visit", "held")]);
    store.renew_consent(ivan, &consent(), at(20), TODAY).expect("live");
    let claimed = claim(store, 30);
    assert!(matches!(&claimed[..], [Claimed { task: Task::Visit(v), .. }] if v.record.id == visit), "{claimed:?}");
}

#[test]
fn visits_too_old_to_be_kept_leave_in_rounds_and_an_erasure_still_takes_them_out_of_the_crm() {
    let device = fresh();
    let store = &device.store;
    let ivan = enrol(store, "Иван");
    let days = [1, 2, 3, 4].map(|day| day * 86_400);
    let visits = days.map(|seconds| visited(store, ivan, seconds));
    deliver(store, &["1", "2", "3"], days[3] - 1);
    store.answer_visit(visits[1], Verdict::No, at(days[3] + 10), TODAY).expect("recorded");
    let card = |store: &Store| store.customer(ivan).expect("readable").expect("enrolled").card;
    let before = card(store);
    assert_eq!((before.visits, before.last_visit), (3, Some(at(days[3]).at)));

    let cut = at(days[3] + 1).at;
    assert_eq!(store.retire_visits(cut, 1).expect("written"), 1, "a few at a time");
    // The second one's taking back is on its way: it is there still. So is the fourth, which nobody has.
    store.use_crm(PILOT).expect("written");
    assert_eq!(store.retire_visits(cut, 500).expect("written"), 1);
    assert_eq!(store.retire_visits(cut, 500).expect("written"), 0);
    let left = visits.map(|visit| store.visit(visit).expect("readable").is_some());
    assert_eq!(left, [false, true, false, true]);
    assert_eq!(card(store), before, "the card counts them on");
    assert_eq!(outbox(device.dir.path()).len(), 3, "their facts are gone with them");
    store.erase(ivan, at(days[3] + 20)).expect("he is there");
    assert_eq!(tombstone(&claim(store, days[3] + 30)).records.len(), 3);
    store.verify().expect("whole");
}

#[test]
fn an_open_visit_and_a_young_one_are_kept_and_one_that_no_crm_waits_for_is_not() {
    let device = fresh();
    let store = &device.store;
    let ivan = enrol(store, "Иван");
    let open_one = visit_of(ivan, 1);
    store.open_visit(&open_one, TODAY).expect("live");
    let (waiting, young) = (visited(store, ivan, 2), visited(store, ivan, 500));
    assert_eq!(store.retire_visits(at(400).at, 500).expect("written"), 1);
    let left = [open_one.id, waiting, young].map(|visit| store.visit(visit).expect("readable").is_some());
    assert_eq!(left, [true, false, true]);
}

#[test]
fn the_box_keeps_the_id_that_it_was_given_first() {
    let device = fresh();
    let id = device.store.box_id(at(0).at).expect("written");
    assert_eq!(open(device.dir.path()).box_id(at(900).at).expect("readable"), id);
    assert_ne!(fresh().store.box_id(at(0).at).expect("written"), id);
}

/// Makes a database of version 3 that has the customers and visits of `newer`, and an outbox of its own.
fn as_version_3(newer: &Path, rows: &[String]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a temporary folder");
    std::fs::copy(newer.join("device.key"), dir.path().join("device.key")).expect("the key is there");
    let old = rusqlite::Connection::open(dir.path().join(FILE_NAME)).expect("a file");
    for step in [
        include_str!("support/store_schema_1.sql"),
        include_str!("../src/store/schema_2.sql"),
        include_str!("../src/store/schema_3.sql"),
    ] {
        old.execute_batch(step).expect("the old tables");
    }
    old.execute("ATTACH ?1 AS newer", [newer.join(FILE_NAME).display().to_string()]).expect("readable");
    for table in ["customers", "consents", "templates", "visits"] {
        let columns = "SELECT group_concat(name) FROM pragma_table_info(?1, 'main')";
        let columns: String = old.query_row(columns, [table], |row| row.get(0)).expect("the table is there");
        let copy = format!("INSERT INTO {table} ({columns}) SELECT {columns} FROM newer.{table}");
        old.execute_batch(&copy).expect("the same columns");
    }
    for row in rows {
        old.execute_batch(row).unwrap_or_else(|error| panic!("{error}: {row}"));
    }
    old.execute_batch(
        "DETACH newer; PRAGMA application_id = 0x536e7661; PRAGMA user_version = 3; PRAGMA journal_mode = WAL",
    )
    .expect("marks");
    dir
}

#[test]
fn an_outbox_of_version_3_becomes_facts_deliveries_and_a_ledger() {
    let device = fresh();
    let (ivan, elena) = (enrol(&device.store, "Иван"), enrol(&device.store, "Елена"));
    let visits = [1, 2, 3, 4, 5].map(|seconds| visited(&device.store, ivan, seconds));
    // A tombstone as it was sealed, of a customer who is gone.
    let event = |number: u8| format!("x'0195{number:02x}00000070008000000000000000'");
    let hex = |id: uuid::Uuid| format!("x'{}'", id.simple());
    let row = |seq: u8,
               kind: &str,
               visit: Option<VisitId>,
               about: Option<u8>,
               state: &str,
               attempts: u8,
               more: &str| {
        let (visit, about) = (visit.map_or("NULL".to_owned(), |v| hex(v.0)), about.map_or("NULL".to_owned(), event));
        let (record, class) = more.split_once(' ').unwrap_or((more, ""));
        format!(
            "INSERT INTO outbox (seq, event, kind, customer, visit, about, created_at, deliver_after, state, attempts, record, last_error_class)
             VALUES ({seq}, {}, '{kind}', {}, {visit}, {about}, {}, {}, '{state}', {attempts}, nullif('{record}', ''), nullif('{class}', ''))",
            event(seq),
            hex(if kind == "erasure" { elena.0 } else { ivan.0 }),
            at(0).at.as_microsecond(),
            at(1).at.as_microsecond(),
        )
    };
    let rows = [
        row(1, "visit", Some(visits[0]), None, "done", 1, "57"),
        row(2, "visit", Some(visits[1]), None, "new", 2, ""),
        row(3, "visit", Some(visits[2]), None, "dead", 1, " poison"),
        // One whose consent ended while it was in doubt: it became its own void.
        row(4, "visit_void", Some(visits[3]), None, "new", 1, ""),
        row(5, "visit", Some(visits[4]), None, "new", 0, ""),
        row(6, "visit_void", Some(visits[0]), Some(1), "new", 0, ""),
        row(8, "erasure", None, None, "new", 0, ""),
        format!(
            "INSERT INTO crm_links (customer, state, contact, tried_at) VALUES ({}, 'linked', '913', 0)",
            hex(ivan.0)
        ),
        format!("UPDATE sync_state SET target = '{PILOT}', cursor = 'x', wakes = 3"),
        "DELETE FROM outbox WHERE seq = 8; INSERT INTO outbox (seq, event, kind, customer, created_at, deliver_after)
         SELECT 9, x'01950900000070008000000000000001', 'erasure', customer, 0, 0 FROM crm_links"
            .to_owned(),
    ];
    let old = as_version_3(device.dir.path(), &rows);

    let store = open(old.path());
    store.verify().expect("whole");
    let wanted = [
        is("visit", "done"),
        is("visit", "new"),
        is("visit", "dead"),
        is("visit", "withdrawn"),
        is("visit", "new"),
        is("correction", "new"),
        is("erasure", "new"),
        is("correction", "new"),
    ];
    assert_eq!(states(old.path()), wanted);
    let state = store.sync_state().expect("readable");
    assert_eq!((&*state.cursor, state.wakes), ("x", 3));
    assert_eq!(store.target_named(PILOT).expect("readable"), Some(store.current_target().expect("readable")));
    assert_eq!(store.link(ivan).expect("readable"), Some(Link::Linked("913".to_owned())));
    let ledger: Vec<(u8, String, Option<String>)> = {
        let connection = raw(old.path());
        let mut statement = connection
            .prepare("SELECT key, state, record FROM records WHERE contact = '913' ORDER BY key")
            .expect("the table");
        let rows = statement.query_map([], |row| Ok((row.get::<_, [u8; 16]>(0)?[2], row.get(1)?, row.get(2)?)));
        rows.expect("readable").collect::<Result<_, _>>().expect("as written")
    };
    let there = (1, "there".to_owned(), Some("57".to_owned()));
    // What was refused may be there nevertheless.
    let perhaps = |number| (number, "perhaps".to_owned(), None);
    assert_eq!(ledger, [there, perhaps(2), perhaps(3), perhaps(4)]);
    let next: i64 = raw(old.path())
        .query_row("SELECT seq FROM sqlite_sequence WHERE name = 'facts'", [], |row| row.get(0))
        .expect("a number");
    assert_eq!(next, 10, "no number is used twice");
    // The void that had no visit's event of its own is about the one it was.
    let about: [u8; 16] = raw(old.path())
        .query_row("SELECT about FROM facts WHERE seq = 10", [], |row| row.get(0))
        .expect("the correction");
    assert_eq!(about[2], 4);
    courier(old.path(), visits[4], "done", 1);
    store.erase(ivan, at(100)).expect("he is there");
    store.verify().expect("whole");
}
