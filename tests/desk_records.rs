//! What is recorded of a visit, and what a stop, a crash, a clock and a damaged disk do to it: in simulated time.
//!
//! The same with threads, sockets and real time is `desk_service.rs`.
#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/box_under_test.rs"]
mod box_under_test;
#[path = "support/scripted_vision.rs"]
mod scripted_vision;

use std::fs;
use std::time::Duration;

use box_under_test::{BoxUnderTest, Moment};
use jiff::SignedDuration;
use scripted_vision::{Face, ScriptedVision, photo, picture, square};
use snova::clock::{Clock, SinceBoot};
use snova::customer::{Consent, CustomerId, Verdict, VisitId};
use snova::face::CounterId;
use snova::gallery::DecisionConfig;
use snova::greeter::Greeted;
use snova::pipeline::PipelineConfig;
use snova::store::{FILE_NAME, Visit, VisitVerdict};
use snova::trouble::Trouble;
use snova::visit::VisitEvent;

const FRAME: Duration = Duration::from_millis(66);

fn rules() -> PipelineConfig {
    let decision = DecisionConfig { fpir: 0.01, maybe_fpir: 0.1, ..DecisionConfig::default() };
    PipelineConfig { decision, ..PipelineConfig::default() }
}

fn models() -> (ScriptedVision, Face, Face) {
    let mut vision = ScriptedVision::new(64);
    let (ivan, olga) = (vision.person("ivan"), vision.person("olga"));
    (vision, ivan, olga)
}

/// A box that knows Ivan.
fn shop() -> (BoxUnderTest, Face, CustomerId) {
    let (vision, face, _) = models();
    let mut shop = BoxUnderTest::with(Box::new(vision), rules());
    let ivan = enrol(&mut shop, "Иван", face);
    (shop, face, ivan)
}

fn enrol(shop: &mut BoxUnderTest, name: &str, face: Face) -> CustomerId {
    shop.enrol(box_under_test::request_of(name, (0..3).map(|n| photo(face.shot(n))).collect()))
}

/// Started anew on the same data, with models that know the same people.
fn restarted(shop: BoxUnderTest) -> BoxUnderTest {
    shop.restarted(Box::new(models().0), rules())
}

fn show(shop: &mut BoxUnderTest, frames: u8, faces: &[Face]) -> Vec<Moment> {
    let frame = |n: u8| {
        shop.clock.advance(FRAME);
        let place = |(at, face): (usize, &Face)| (face.shot(3 + n % 10), square(40.0 + 150.0 * at as f32, 60.0, 90.0));
        let shots: Vec<_> = faces.iter().enumerate().map(place).collect();
        shop.see(picture(320, 240, &shots), Vec::new())
    };
    (0..frames).map(frame).collect()
}

/// He stands there, looked at five times a second.
fn stay(shop: &mut BoxUnderTest, seconds: u32, face: Face) {
    for n in 0..5 * seconds {
        shop.clock.advance(Duration::from_millis(200));
        let shot = face.shot(3 + (n % 10) as u8);
        shop.see(picture(320, 240, &[(shot, square(40.0, 60.0, 90.0))]), Vec::new());
    }
}

fn greetings(moments: &[Moment]) -> Vec<String> {
    let mut all: Vec<String> = moments.iter().flat_map(Moment::greetings).map(str::to_owned).collect();
    all.dedup();
    all
}

/// The visit that stands first on the screen.
fn on_screen(shop: &BoxUnderTest) -> VisitId {
    shop.screen().present.first().expect("somebody is shown").visit
}

fn visit(shop: &BoxUnderTest, id: VisitId) -> Visit {
    shop.store.visit(id).expect("readable").expect("recorded")
}

fn length(visit: &Visit) -> SignedDuration {
    visit.closed_at.expect("it has an end").at.duration_since(visit.record.opened_at.at)
}

fn about(length: SignedDuration, seconds: i64) -> bool {
    (length.as_secs() - seconds).abs() <= 3
}

#[test]
fn a_restart_takes_up_a_visit_within_the_merge_window() {
    for is_crash in [false, true] {
        let (mut shop, face, _) = shop();
        shop.clock.boot(Some(SinceBoot { boot: "a".to_owned(), after: Duration::from_secs(1000) }));
        assert_eq!(greetings(&show(&mut shop, 30, &[face])), ["Доброе утро, Иван!"]);
        let first = on_screen(&shop);
        stay(&mut shop, 12, face);
        if !is_crash {
            shop.desk.close(shop.clock.monotonic());
            shop.writer.work();
        }
        shop.clock.advance(Duration::from_secs(60));
        // A time server has set the clock meanwhile; how long it was is known all the same.
        shop.clock.step_wall(shop.clock.wall().at + SignedDuration::from_hours(30));
        let mut shop = restarted(shop);
        assert!(visit(&shop, first).closed_at.is_some());
        let deliverable = format!("outbox WHERE deliver_after <= {}", shop.clock.wall().at.as_microsecond());
        let before = shop.rows(&deliverable);
        assert_eq!(greetings(&show(&mut shop, 30, &[face])), ["Иван"], "the name, without a greeting");
        assert_eq!(shop.rows("visits WHERE closed_at IS NULL"), 1, "and the visit goes on");
        assert_eq!((shop.rows("visits"), on_screen(&shop), before), (1, first, i64::from(before > 0)));
    }
}

#[test]
fn a_visit_bears_who_served_when_it_opened_while_that_is_said() {
    let (mut shop, face, _) = shop();
    let (shifts, till) = (shop.desk.shifts(), CounterId::new("till-1"));
    for who in [Some("Анна"), Some("Яна"), None] {
        shifts.set(&till, who.map(str::to_owned));
        show(&mut shop, 30, &[face]);
        let opened = on_screen(&shop);
        shifts.set(&till, Some("Сменщица".to_owned()));
        stay(&mut shop, 2, face);
        assert_eq!(visit(&shop, opened).served_by.as_deref(), who);
        shop.clock.advance(Duration::from_secs(400));
        shop.settle();
    }
    assert_eq!(shop.rows("visits"), 3);
}

#[test]
fn a_restart_after_the_merge_window_greets_again() {
    let (mut shop, face, _) = shop();
    show(&mut shop, 30, &[face]);
    let first = on_screen(&shop);
    shop.clock.advance(Duration::from_secs(400));
    let mut shop = restarted(shop);
    assert_eq!(greetings(&show(&mut shop, 30, &[face])).len(), 1);
    assert_ne!(on_screen(&shop), first);
    assert_eq!(shop.rows("visits"), 2);
}

#[test]
fn a_crash_does_not_end_a_visit_at_its_beginning() {
    let (mut shop, face, _) = shop();
    show(&mut shop, 30, &[face]);
    let id = on_screen(&shop);
    stay(&mut shop, 66, face);
    let shop = restarted(shop);
    let ended = visit(&shop, id);
    assert!((55..=68).contains(&length(&ended).as_secs()), "a minute, less ten seconds at most: {}", length(&ended));
    let after = ended.closed_at.expect("ended").at + SignedDuration::from_secs(300);
    let waits = format!("outbox WHERE deliver_after = {}", after.as_microsecond());
    assert_eq!(shop.rows(&waits), 1, "with the ordinary grace");
}

#[test]
fn a_clock_step_in_an_open_visit_changes_neither_its_length_nor_its_order() {
    // Back by a day only: before it, he had not agreed yet.
    for step in [SignedDuration::from_hours(366 * 24), SignedDuration::from_hours(-24)] {
        let (mut shop, face, _) = shop();
        show(&mut shop, 30, &[face]);
        let id = on_screen(&shop);
        shop.clock.step_wall(shop.clock.wall().at + step);
        stay(&mut shop, 50, face);
        shop.wait(Duration::from_secs(5));
        let ended = visit(&shop, id);
        assert!(about(length(&ended), 52), "{}", length(&ended));
        assert_eq!(shop.rows("outbox"), 1);
    }
}

#[test]
fn a_visit_whose_event_has_left_begins_anew_without_a_greeting() {
    let (mut shop, face, ivan) = shop();
    show(&mut shop, 30, &[face]);
    let first = on_screen(&shop);
    shop.wait(Duration::from_secs(10));
    let database = rusqlite::Connection::open(shop.dir.path().join(FILE_NAME)).expect("the file opens");
    database.execute("UPDATE deliveries SET state = 'done', attempts = 1", []).expect("the courier was faster");
    assert_eq!(greetings(&show(&mut shop, 30, &[face])), ["Иван"]);
    assert_eq!((shop.rows("visits"), shop.rows("outbox")), (2, 2));
    // What is said of it on the screen is said of the new one.
    shop.desk.answer(shop.clock.monotonic(), on_screen(&shop), Verdict::Yes).expect("it is there");
    shop.wait(Duration::from_secs(10));
    assert_eq!(shop.rows("visits WHERE verdict = 'confirmed' AND closed_at > opened_at"), 1);
    let old = visit(&shop, first);
    assert_eq!((old.record.customer, old.verdict), (ivan, VisitVerdict::Unanswered));
    assert!(about(length(&old), 5), "the one that left stays as it was told");
}

#[test]
fn a_rejected_visit_has_an_end() {
    let (mut shop, face, _) = shop();
    show(&mut shop, 30, &[face]);
    let id = on_screen(&shop);
    shop.desk.answer(shop.clock.monotonic(), id, Verdict::No).expect("it is there");
    show(&mut shop, 10, &[face]);
    let rejected = visit(&shop, id);
    assert_eq!(rejected.verdict, VisitVerdict::Rejected);
    assert!(about(length(&rejected), 2));
    assert_eq!((shop.rows("visits WHERE closed_at IS NULL"), shop.rows("outbox")), (0, 0));
}

#[test]
fn a_visit_whose_consent_ends_meanwhile_has_an_end() {
    let (mut shop, face, ivan) = shop();
    show(&mut shop, 30, &[face]);
    shop.store.withdraw_consent(ivan, shop.clock.wall()).expect("enrolled");
    show(&mut shop, 10, &[face]);
    assert!(shop.screen().present.is_empty());
    assert_eq!(shop.rows("visits WHERE closed_at IS NULL"), 0);
}

#[test]
fn a_write_is_judged_by_the_day_of_its_visit() {
    let (mut shop, face, ivan) = shop();
    let today = shop.today();
    let consent = Consent { valid_until: Some(today), ..box_under_test::consent(today) };
    shop.store.renew_consent(ivan, &consent, shop.clock.wall(), today).expect("it covers today");
    let other = rusqlite::Connection::open(shop.dir.path().join(FILE_NAME)).expect("the file opens");
    shop.follow_store();
    // The day is over before the disk is free.
    other.execute_batch("BEGIN IMMEDIATE").expect("another program holds the database");
    show(&mut shop, 12, &[face]);
    let id = on_screen(&shop);
    shop.clock.advance(Duration::from_secs(24 * 3600));
    shop.follow_store();
    other.execute_batch("COMMIT").expect("it lets go");
    shop.wait(Duration::from_secs(31));
    assert_eq!(visit(&shop, id).record.customer, ivan, "he was here while his consent held");
}

#[test]
fn a_database_damaged_while_running_greets_on_and_loses_no_visit() {
    let (vision, face, other) = models();
    let mut shop = BoxUnderTest::with(Box::new(vision), rules());
    let (ivan, olga) = (enrol(&mut shop, "Иван", face), enrol(&mut shop, "Ольга", other));
    shop.follow_store();
    let file = shop.dir.path().join(FILE_NAME);
    let connection = rusqlite::Connection::open(&file).expect("the file opens");
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).expect("the log is emptied");
    // A word of another program, so that nobody goes on from memory.
    connection.execute("UPDATE targets SET wakes = wakes + 1", []).expect("written");
    drop(connection);
    let whole = fs::read(&file).expect("readable");
    overwrite(&file, &vec![0x5a; whole.len()]);

    let moments = show(&mut shop, 30, &[face, other]);
    let opened: Vec<_> = moments.iter().flat_map(opened).collect();
    assert_eq!(opened, [ivan, olga], "both are greeted, and once");
    let ids: Vec<VisitId> = shop.screen().present.iter().map(|present| present.visit).collect();
    shop.wait(Duration::from_secs(60));
    assert!(shop.screen().present.is_empty(), "the cards go as ever");
    assert_eq!(shop.screen().unsaved_visits, 2);
    assert!(shop.troubles.holds(Trouble::StoreUnreadable));

    overwrite(&file, &whole);
    shop.wait(Duration::from_secs(31));
    assert_eq!(shop.screen().unsaved_visits, 0);
    assert!(!shop.troubles.holds(Trouble::StoreUnreadable));
    assert!(ids.iter().all(|id| visit(&shop, *id).closed_at.is_some()), "nothing is lost");
    assert_eq!((shop.rows("visits"), shop.rows("outbox")), (2, 2));
}

/// All for whom this frame opened a visit.
fn opened(moment: &Moment) -> Vec<CustomerId> {
    let of = |event: &VisitEvent| match event {
        VisitEvent::Opened { customer, .. } => Some(*customer),
        _ => None,
    };
    moment.events.iter().filter_map(of).collect()
}

/// In place, as a failing disk does it.
fn overwrite(file: &std::path::Path, bytes: &[u8]) {
    use std::io::Write;
    let mut open = fs::OpenOptions::new().write(true).open(file).expect("the file opens");
    open.write_all(bytes).expect("written");
}

#[test]
fn a_customer_whose_row_cannot_be_read_is_left_out_and_counted_and_the_others_are_greeted() {
    let (vision, face, other) = models();
    let mut shop = BoxUnderTest::with(Box::new(vision), rules());
    let (ivan, olga) = (enrol(&mut shop, "Иван", face), enrol(&mut shop, "Ольга", other));
    let flip = format!("UPDATE customers SET sealed = zeroblob(40) WHERE id = x'{}'", ivan.0.simple());
    let database = rusqlite::Connection::open(shop.dir.path().join(FILE_NAME)).expect("the file opens");
    database.execute(&flip, []).expect("one row is not what it was");
    let mut shop = restarted(shop);
    assert_eq!(shop.troubles.all(), [(Trouble::RowUnreadable, 1)]);
    let moments = show(&mut shop, 30, &[face, other]);
    assert_eq!(moments.iter().filter_map(Moment::opened).collect::<Vec<_>>(), [olga]);
}

#[test]
fn a_card_counts_the_visit_before_as_soon_as_it_is_over() {
    let (mut shop, face, _) = shop();
    show(&mut shop, 30, &[face]);
    shop.wait(Duration::from_secs(400));
    show(&mut shop, 30, &[face]);
    let screen = shop.screen();
    let Greeted::Match { card, greeting, .. } = &screen.present[0].who else { panic!("a match") };
    assert_eq!((card.visits, greeting.as_str()), (1, "И снова здравствуйте, Иван!"));
}
