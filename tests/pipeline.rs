//! The rules between frames and screens, on scripted models: pictures say who is in them, time is the test's.
//!
//! Real models and faces are `main_job.rs`; the rules of single rooms are tested beside their code.
#![allow(clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a test fails by panicking")]

#[path = "support/box_under_test.rs"]
mod box_under_test;
#[path = "support/scripted_vision.rs"]
mod scripted_vision;

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use box_under_test::{BoxUnderTest, Moment, till};
use jiff::civil::date;
use scripted_vision::{Face, ScriptedVision, photo, picture, square};
use snova::clock::{Clock, Monotonic};
use snova::customer::{CustomerId, Decision, PersonName, TrackId};
use snova::enrolment::{EnrolRequest, Photo};
use snova::face::{BoundingBox, CameraId, CounterId, Frame, Pixels, QualityReason};
use snova::gallery::DecisionConfig;
use snova::pipeline::{PipelineConfig, StepError};
use snova::store::StoreConfig;
use snova::visit::VisitEvent;

const FRAME: Duration = Duration::from_millis(66);

/// The scripted table says 0.5 at 0.01 and 0.4 at 0.1.
fn rules() -> PipelineConfig {
    let decision = DecisionConfig { fpir: 0.01, maybe_fpir: 0.1, ..DecisionConfig::default() };
    PipelineConfig { decision, ..PipelineConfig::default() }
}

fn shop(vision: ScriptedVision) -> BoxUnderTest {
    BoxUnderTest::with(Box::new(vision), rules())
}

fn enrol(shop: &mut BoxUnderTest, name: &str, face: Face) -> CustomerId {
    shop.enrol(request(name, face, false))
}

fn request(name: &str, face: Face, allow_similar: bool) -> EnrolRequest {
    let photos = (0..3).map(|n| Photo { label: format!("{n}.png"), bytes: photo(face.shot(n)) }).collect();
    EnrolRequest {
        name: PersonName::given(name),
        language: None,
        tier: None,
        note: None,
        consent: box_under_test::consent(date(2026, 3, 1)),
        identifiers: Vec::new(),
        photos,
        allow_similar,
    }
}

const LEFT: fn() -> BoundingBox = || square(40.0, 60.0, 90.0);
const RIGHT: fn() -> BoundingBox = || square(190.0, 60.0, 90.0);

/// Shows `faces` for `frames` frames; each frame is another shot of each.
fn show(shop: &mut BoxUnderTest, frames: u8, faces: &[(Face, BoundingBox)]) -> Vec<Moment> {
    let frame = |n: u8| {
        shop.clock.advance(FRAME);
        let shots: Vec<_> = faces.iter().map(|(face, at)| (face.shot(3 + n % 10), *at)).collect();
        shop.see(picture(320, 240, &shots), Vec::new())
    };
    (0..frames).map(frame).collect()
}

fn matches(moment: &Moment) -> Vec<CustomerId> {
    let of = |s: &snova::customer::Sighting| match &s.decision {
        Decision::Match(candidate) => Some(candidate.customer),
        _ => None,
    };
    moment.sightings.iter().filter_map(of).collect()
}

fn tracks(moments: &[Moment]) -> BTreeSet<TrackId> {
    moments.iter().flat_map(|m| &m.sightings).map(|s| s.track).collect()
}

#[test]
fn a_regular_is_matched_after_three_looks_and_greeted_after_the_dwell() {
    let mut vision = ScriptedVision::new(64);
    let face = vision.person("ivan");
    let calls = vision.calls();
    let mut shop = shop(vision);
    let ivan = enrol(&mut shop, "Иван", face);
    calls.chips.store(0, Ordering::Relaxed);
    let moments = show(&mut shop, 40, &[(face, LEFT())]);
    let matched = moments.iter().position(|m| matches(m) == [ivan]).expect("he is matched");
    let greeted = moments.iter().position(|m| m.opened() == Some(ivan)).expect("he is greeted");
    assert!((4..=5).contains(&matched), "three looks 120 ms apart, not frame {matched}");
    assert!((6..=7).contains(&greeted), "400 ms after he came, not frame {greeted}");
    assert_eq!(calls.chips.load(Ordering::Relaxed), 3, "and not one look more");
    assert_eq!(tracks(&moments).len(), 1);
}

#[test]
fn a_face_in_another_ones_place_does_not_inherit_the_name() {
    let mut vision = ScriptedVision::new(64);
    let (ivan_face, stranger) = (vision.person("ivan"), vision.person("stranger"));
    let mut shop = shop(vision);
    let ivan = enrol(&mut shop, "Иван", ivan_face);
    for missing in [1, 3, 8] {
        let before = show(&mut shop, 20, &[(ivan_face, LEFT())]);
        assert_eq!(matches(&before[19]), [ivan]);
        show(&mut shop, missing, &[]);
        let after = show(&mut shop, 60, &[(stranger, square(46.0, 66.0, 84.0))]);
        assert!(after.iter().all(|m| matches(m).is_empty()), "{missing} frames between them");
        assert!(tracks(&before).is_disjoint(&tracks(&after)), "another face is another track");
        assert!(after[59].named().is_empty(), "and the card has gone with its owner");
        shop.wait(Duration::from_secs(400));
    }
}

#[test]
fn a_face_that_jumps_or_changes_its_size_is_looked_at_before_its_name_is_said_again() {
    let mut vision = ScriptedVision::new(64);
    let (ivan_face, stranger) = (vision.person("ivan"), vision.person("stranger"));
    let mut shop = shop(vision);
    let ivan = enrol(&mut shop, "Иван", ivan_face);
    for place in [square(85.0, 60.0, 90.0), square(55.0, 75.0, 56.0)] {
        show(&mut shop, 20, &[(ivan_face, LEFT())]);
        let after = show(&mut shop, 10, &[(stranger, place)]);
        assert!(after.iter().all(|m| matches(m).is_empty()), "{place:?}");
        shop.wait(Duration::from_secs(400));
        show(&mut shop, 20, &[(ivan_face, LEFT())]);
        let same = show(&mut shop, 3, &[(ivan_face, place)]);
        assert_eq!(matches(&same[0]), [ivan], "his own face is known again in the same frame");
        shop.wait(Duration::from_secs(400));
    }
}

#[test]
fn a_name_is_not_said_of_a_doubtful_face_that_cannot_be_looked_at() {
    let mut vision = ScriptedVision::new(64);
    let face = vision.person("ivan");
    (3..13).for_each(|shot| vision.refuse(face.shot(shot), QualityReason::Turned));
    let mut shop = shop(vision);
    let ivan = enrol(&mut shop, "Иван", face);
    // Shots 0 to 2 are good, as in the photos; later ones show him turned away.
    let good = |shop: &mut BoxUnderTest, n: u8| {
        shop.clock.advance(FRAME);
        shop.see(picture(320, 240, &[(face.shot(n % 3), LEFT())]), Vec::new())
    };
    let seen: Vec<Moment> = (0..12).map(|n| good(&mut shop, n)).collect();
    assert_eq!(matches(&seen[11]), [ivan]);
    let turned = show(&mut shop, 5, &[(face, LEFT())]);
    assert!(turned.iter().all(|m| matches(m) == [ivan]), "a face that is followed without a doubt keeps its name");
    show(&mut shop, 1, &[]);
    let doubtful = show(&mut shop, 40, &[(face, LEFT())]);
    assert!(doubtful.iter().all(|m| matches(m).is_empty()), "nobody could look whether it is still him");
    assert!(tracks(&doubtful).len() == 2, "after 1.5 s it is followed as somebody new");
    let again: Vec<Moment> = (0..12).map(|n| good(&mut shop, n)).collect();
    assert_eq!(matches(&again[11]), [ivan]);
}

#[test]
fn a_customer_is_given_to_one_face_of_a_frame_only() {
    let mut vision = ScriptedVision::new(64).with_noise(0.2);
    let face = vision.person("ivan");
    let brother = vision.lookalike("his brother", face, 0.75);
    let mut shop = shop(vision);
    let ivan = enrol(&mut shop, "Иван", face);
    // Alone the brother is taken for him: that is how alike they are.
    let alone = show(&mut shop, 20, &[(brother, RIGHT())]);
    assert_eq!(matches(&alone[19]), [ivan]);
    shop.wait(Duration::from_secs(400));
    // Side by side, in either order of detection, only the one who resembles Ivan more has the name.
    for (his, brothers) in [(LEFT(), RIGHT()), (RIGHT(), LEFT())] {
        let both = show(&mut shop, 30, &[(face, his), (brother, brothers)]);
        for moment in &both {
            assert!(matches(moment).len() <= 1, "two faces cannot be one customer");
        }
        let last = both.last().expect("frames");
        let named = last.sightings.iter().find(|s| matches!(s.decision, Decision::Match(_))).expect("he is there");
        assert!((named.bounds.x1 - his.x1).abs() < 5.0, "the name stands at {:?}", named.bounds);
        assert_eq!(last.named(), [ivan]);
        shop.wait(Duration::from_secs(400));
    }
}

#[test]
fn two_customers_who_are_too_alike_are_a_question_never_a_name() {
    let mut vision = ScriptedVision::new(64).with_noise(0.2);
    let face = vision.person("ivan");
    let twin = vision.lookalike("twin", face, 0.995);
    let mut shop = shop(vision);
    let ivan = enrol(&mut shop, "Иван", face);
    let igor = shop.enrol(request("Игорь", twin, true));
    let moments = show(&mut shop, 30, &[(face, LEFT())]);
    assert!(moments.iter().all(|m| matches(m).is_empty() && m.opened().is_none()));
    let asked: BTreeSet<CustomerId> = moments[29].named().into_iter().collect();
    assert_eq!(asked, BTreeSet::from([ivan, igor]), "the cashier is asked which of the two");
    assert_eq!((shop.rows("visits"), shop.rows("outbox")), (0, 0), "and nothing is written before the answer");
}

#[test]
fn an_erased_customer_is_nobody_in_the_next_frame() {
    let mut vision = ScriptedVision::new(64);
    let face = vision.person("ivan");
    let mut shop = shop(vision);
    let ivan = enrol(&mut shop, "Иван", face);
    let before = show(&mut shop, 20, &[(face, LEFT())]);
    assert_eq!((matches(&before[19]), before[19].named()), (vec![ivan], vec![ivan]));
    snova::enrolment::erase(ivan, &shop.store, &*shop.clock).expect("he is enrolled");
    let after = show(&mut shop, 60, &[(face, LEFT())]);
    assert!(after.iter().all(|m| matches(m).is_empty() && m.named().is_empty()));
    assert_eq!((shop.rows("visits"), shop.rows("customers"), shop.rows("templates")), (0, 0, 0));
}

#[test]
fn frames_that_cannot_be_used_do_not_end_the_following() {
    let mut vision = ScriptedVision::new(64);
    let face = vision.person("ivan");
    let mut shop = shop(vision);
    let ivan = enrol(&mut shop, "Иван", face);
    let before = show(&mut shop, 20, &[(face, LEFT())]);
    for bytes in [vec![], b"not a picture".to_vec(), scripted_vision::png(&picture(8, 8, &[]))[..40].to_vec()] {
        shop.clock.advance(FRAME);
        let frame = Frame {
            counter: till(),
            camera: CameraId::new("till-1-front"),
            seq: 0,
            captured_at: shop.clock.monotonic(),
            pixels: Pixels::Jpeg(bytes),
        };
        let error = shop.pipeline.step(frame).expect_err("that is no picture");
        assert!(matches!(&error, StepError::BadFrame { .. }) && error.to_string().contains("till-1-front"), "{error}");
    }
    let after = show(&mut shop, 5, &[(face, LEFT())]);
    assert!(after.iter().all(|m| matches(m) == [ivan]));
    assert_eq!(tracks(&before), tracks(&after));
}

#[test]
fn two_cameras_do_not_mix_their_faces_up() {
    let mut vision = ScriptedVision::new(64);
    let (face, stranger) = (vision.person("ivan"), vision.person("stranger"));
    let mut shop = shop(vision);
    let ivan = enrol(&mut shop, "Иван", face);
    shop.follow_store();
    let mut last = BTreeSet::new();
    for n in 0..30u8 {
        shop.clock.advance(FRAME);
        for (camera, who) in [("front", face), ("side", stranger)] {
            let frame = Frame {
                counter: CounterId::new("till-1"),
                camera: CameraId::new(camera),
                seq: u64::from(n),
                captured_at: shop.clock.monotonic(),
                pixels: Pixels::Rgb8(picture(320, 240, &[(who.shot(3 + n % 10), LEFT())])),
            };
            let outcome = shop.pipeline.step(frame).expect("a picture");
            let matched = matches!(outcome.sightings[0].decision, Decision::Match(c) if c.customer == ivan);
            assert!(!matched || camera == "front", "the face in the same place of another camera is another face");
            if n == 29 {
                last.insert((camera, outcome.sightings[0].track, matched));
            }
        }
    }
    assert_eq!(
        last.iter().map(|(camera, _, matched)| (*camera, *matched)).collect::<Vec<_>>(),
        [("front", true), ("side", false)]
    );
    assert_eq!(last.iter().map(|(_, track, _)| track).collect::<BTreeSet<_>>().len(), 2);
}

/// How the disk under a box is filled, and how it gets space again.
enum Disk {
    /// A file system of its own; the ballast is a file on it. Needs the right to mount.
    Own { at: tempfile::TempDir },
    /// The store's own limit; the ballast is another customer's rows.
    Limited,
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Self::Own { at } = self {
            // Lazily: the database is still open when the test ends by a panic.
            let _ = std::process::Command::new("umount").arg("-l").arg(at.path()).status();
        }
    }
}

impl Disk {
    fn mounted() -> Option<Self> {
        let at = tempfile::tempdir().expect("a temporary folder");
        let mount = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
            .arg(at.path())
            .stderr(std::process::Stdio::null())
            .status();
        mount.is_ok_and(|status| status.success()).then_some(Self::Own { at })
    }
}

#[test]
fn a_full_disk_does_not_stop_the_greeting() {
    if let Some(disk) = Disk::mounted() {
        greet_on(disk);
    }
    greet_on(Disk::Limited);
}

fn greet_on(disk: Disk) {
    let mut vision = ScriptedVision::new(64);
    let (face, other) = (vision.person("ivan"), vision.person("the ballast"));
    let dir = match &disk {
        Disk::Own { at } => tempfile::tempdir_in(at.path()).expect("the small disk takes a folder"),
        Disk::Limited => tempfile::tempdir().expect("a temporary folder"),
    };
    let limit = if matches!(disk, Disk::Limited) { Some(200_000) } else { None };
    let config = StoreConfig { max_bytes: limit, ..StoreConfig::new(dir.path()) };
    let mut shop = BoxUnderTest::on(dir, &config, Box::new(vision), rules());
    let ivan = enrol(&mut shop, "Иван", face);
    let ballast = enrol(&mut shop, "Балласт", other);
    fill(&shop, &disk, ballast);
    let rows_before = (shop.rows("visits"), shop.rows("outbox"));

    let moments = show(&mut shop, 12, &[(face, LEFT())]);
    let opened = moments.iter().find(|m| m.opened() == Some(ivan)).expect("he is greeted all the same");
    assert_eq!(opened.named(), [ivan], "in the frame that decides");
    assert_eq!(opened.screen.unsaved_visits, 1, "and the cashier is told that it is not written down");
    let visit = opened.screen.present[0].visit;
    assert_eq!((shop.rows("visits"), shop.rows("outbox")), rows_before);
    // He goes, the disk is still full: the card goes, the visit does not.
    shop.wait(Duration::from_secs(20));
    assert!(shop.screen().present.is_empty() && shop.screen().unsaved_visits == 1);

    make_space(&shop, &disk, ballast);
    shop.wait(Duration::from_secs(31));
    assert_eq!(shop.screen().unsaved_visits, 0, "tried again at most 30 s later");
    let recorded = shop.store.visit(visit).expect("the store can be read").expect("the visit is there");
    assert_eq!(recorded.record.customer, ivan);
    assert!(recorded.closed_at.is_some_and(|closed| closed.at > recorded.record.opened_at.at));
    let mine = format!("WHERE customer = x'{}'", ivan.0.simple());
    assert_eq!((shop.rows(&format!("visits {mine}")), shop.rows(&format!("outbox {mine}"))), (1, 1), "exactly once");
}

/// Until no visit fits any more, wherever its rows would go.
fn fill(shop: &BoxUnderTest, disk: &Disk, ballast: CustomerId) {
    if let Disk::Own { at } = disk {
        use std::io::Write;
        let mut file = std::fs::File::create(at.path().join("ballast")).expect("a file");
        while file.write_all(&[1; 4096]).is_ok() {}
        return;
    }
    let mut refused = 0;
    for n in 0..100_000 {
        let at = shop.clock.wall();
        let record = snova::store::VisitRecord {
            id: snova::customer::VisitId(shop.clock.mint()),
            customer: ballast,
            counter: CounterId::new(format!("{:080}", n)),
            opened_at: at,
            how: snova::customer::HowKnown::Match,
        };
        match shop.store.open_visit(&record, shop.today()) {
            Ok(()) => refused = 0,
            Err(snova::store::StoreError::DiskFull { .. }) => refused += 1,
            Err(error) => panic!("not because of the disk: {error}"),
        }
        shop.clock.advance(Duration::from_millis(1));
        if refused == 20 {
            return;
        }
    }
    panic!("the limit does not limit");
}

fn make_space(shop: &BoxUnderTest, disk: &Disk, ballast: CustomerId) {
    match disk {
        Disk::Own { at } => std::fs::remove_file(at.path().join("ballast")).expect("the ballast goes"),
        Disk::Limited => {
            // Another process, without this one's limit, has room to work in.
            let other = snova::store::Store::open(&StoreConfig::new(shop.dir.path()), snova::vault::Seal::plain());
            let erased = other.expect("a second one may be open").erase(ballast, shop.clock.wall());
            assert!(erased.expect("the ballast is enrolled").visits > 100);
        }
    }
}

#[test]
fn events_of_a_visit_come_in_their_order() {
    let mut vision = ScriptedVision::new(64);
    let face = vision.person("ivan");
    let mut shop = shop(vision);
    enrol(&mut shop, "Иван", face);
    let mut moments = show(&mut shop, 20, &[(face, LEFT())]);
    moments.extend(show(&mut shop, 60, &[]));
    moments.extend(show(&mut shop, 20, &[(face, RIGHT())]));
    let names: Vec<&str> = moments.iter().flat_map(|m| &m.events).map(kind).collect();
    assert_eq!(names, ["opened", "left", "returned"]);
    let left_at = moments.iter().find(|m| m.events.iter().any(|e| kind(e) == "left")).expect("he left").at;
    let last_seen = Monotonic(FRAME * 20);
    assert!((2500..=2600).contains(&(left_at - last_seen).as_millis()), "{:?}", left_at - last_seen);
}

fn kind(event: &VisitEvent) -> &'static str {
    match event {
        VisitEvent::Opened { .. } => "opened",
        VisitEvent::Suggested { .. } => "suggested",
        VisitEvent::Returned { .. } => "returned",
        VisitEvent::Left { .. } => "left",
        VisitEvent::Closed { .. } => "closed",
        VisitEvent::Held { .. } => "held",
        VisitEvent::Confirmed { .. } | VisitEvent::Rejected { .. } | VisitEvent::Reassigned { .. } => "answered",
    }
}
