//! The main job on real models and real faces: who is greeted, when, how often, and who never is.
//!
//! Threads and sockets are `service.rs`, what must not be kept is `privacy.rs`, rules on scripted models `pipeline.rs`.
#![allow(clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a test fails by panicking")]

#[path = "support/box_under_test.rs"]
mod box_under_test;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use box_under_test::{BoxUnderTest, GREETING, Moment, elena, ivan, media, real_vision, scene, shipped_scene};
use image::RgbImage;
use snova::clock::{Clock, Monotonic};
use snova::customer::{CustomerId, Decision, Verdict};
use snova::face::{Detection, Embedding, FaceChip, Quality, decode_picture};
use snova::greeter::{CounterState, Greeted};
use snova::pipeline::PipelineConfig;
use snova::vision::{PackFacts, Vision, VisionError};

/// The gate's smallest face.
const USABLE_PX: f32 = 60.0;
const A_PLACE_OF_THEIR_OWN: &str = "size = [640, 480]\nfps = 15\n";

#[test]
fn regular_is_greeted_once_per_visit() {
    let mut shop = BoxUnderTest::real();
    let (ivan, _) = shop.enrol_samples();

    let first = shop.play(shipped_scene("regular.toml"));
    let usable_at = first.iter().find(|m| m.face_px("sample-1") >= USABLE_PX).expect("he comes near").at;
    let greeted_at = first.iter().find(|m| m.greetings() == [GREETING]).expect("he is greeted by his name").at;
    let gone_at = first.iter().rev().find(|m| m.face_px("sample-1") > 0.0).expect("he was there").at;
    println!("greeted {:?} after the face was {USABLE_PX} px wide", greeted_at - usable_at);
    assert!(greeted_at - usable_at <= Duration::from_secs(2), "{:?} after he could be seen", greeted_at - usable_at);
    assert_eq!(first.iter().filter_map(Moment::opened).collect::<Vec<_>>(), [ivan]);
    assert_eq!((shop.rows("visits"), shop.rows("outbox")), (1, 1));
    assert!(first.iter().all(|m| m.named().iter().all(|who| *who == ivan)), "no other name was on the screen");

    let until_empty = Duration::from_secs(3) - (shop.clock.monotonic() - gone_at);
    shop.wait(until_empty);
    assert!(shop.screen().present.is_empty(), "the card goes at most 3 s after him");

    // Back within the merge window: the name is shown, but nobody is greeted and nothing is counted anew.
    let second = shop.play(shipped_scene("regular.toml"));
    assert!(second.iter().any(|m| m.greetings() == ["Иван Петрович"]), "his card is there again");
    assert!(second.iter().all(|m| m.opened().is_none() && !m.greetings().contains(&GREETING)));
    assert_eq!((shop.rows("visits"), shop.rows("outbox")), (1, 1));

    // After the merge window it is another visit, and now he is somebody who was here before.
    shop.wait(Duration::from_secs(301));
    let third = shop.play(shipped_scene("regular.toml"));
    assert_eq!(third.iter().filter_map(Moment::opened).collect::<Vec<_>>(), [ivan]);
    assert!(third.iter().any(|m| m.greetings() == ["И снова здравствуйте, Иван Петрович!"]));
    assert_eq!((shop.rows("visits"), shop.rows("outbox")), (2, 2));
}

#[test]
fn stranger_is_never_greeted_by_name() {
    let mut shop = BoxUnderTest::real();
    shop.enrol_samples();
    let moments = shop.play(shipped_scene("strangers.toml"));
    let decided = |m: &Moment| m.sightings.iter().any(|s| s.decision == Decision::NoMatch);
    assert!(moments.iter().any(decided), "the stranger was looked at and is nobody");
    assert!(moments.iter().all(|m| m.screen.present.is_empty()), "nothing is ever shown, not even a question");
    assert_eq!((shop.rows("visits"), shop.rows("outbox")), (0, 0));
}

#[test]
fn no_sample_picture_is_taken_for_somebody_else() {
    let identities = [("obama-2.jpg", 0), ("biden-1.jpg", 1), ("astronaut-1.png", 2)];
    for enrolled in [0, 2] {
        let mut shop = BoxUnderTest::real();
        let customer = shop.enrol(if enrolled == 0 { ivan() } else { elena() });
        for (picture, identity) in identities {
            let picture = std::fs::read(media().join(picture)).expect("the sample picture is there");
            let picture = decode_picture(&picture).expect("it can be read");
            let mut named = Vec::new();
            for _ in 0..12 {
                shop.clock.advance(Duration::from_millis(150));
                named.extend(shop.see(picture.clone(), Vec::new()).named());
            }
            let right = if identity == enrolled { Some(customer) } else { None };
            named.dedup();
            assert_eq!(named.first().copied(), right, "identity {identity} before a gallery of identity {enrolled}");
            // The next picture is of somebody who comes later.
            shop.wait(Duration::from_secs(400));
        }
    }
}

#[test]
fn two_regulars_at_once_are_both_greeted() {
    let mut shop = BoxUnderTest::real();
    let (ivan, elena) = shop.enrol_samples();
    let moments = shop.play(shipped_scene("two-regulars.toml"));
    assert_eq!(moments.iter().filter_map(Moment::opened).collect::<Vec<_>>(), [ivan, elena]);
    let both = moments.iter().filter(|m| m.named() == [ivan, elena]).count();
    assert!(both >= 30, "both cards stand side by side for 2 s at least, not for {both} frames");
    assert!(moments.iter().any(|m| m.greetings() == [GREETING, "Доброе утро, Елена Андреевна!"]));
    for identity in ["sample-1", "sample-2"] {
        let who = if identity == "sample-1" { ivan } else { elena };
        let usable_at = moments.iter().find(|m| m.face_px(identity) >= USABLE_PX).expect("comes near").at;
        let greeted_at = moments.iter().find(|m| m.opened() == Some(who)).expect("is greeted").at;
        assert!(greeted_at - usable_at <= Duration::from_secs(2), "{identity}: {:?}", greeted_at - usable_at);
    }
    assert_eq!((shop.rows("visits"), shop.rows("outbox")), (2, 2));
}

#[test]
fn a_face_that_is_replaced_by_another_does_not_inherit_the_name() {
    // The stranger stands behind the regular, in the same line of sight: he appears where the regular's face was,
    // 200 ms after it went: long before the tracker gives a face up.
    let text = format!(
        "{A_PLACE_OF_THEIR_OWN}
        [[person]]\nportrait = 'obama-2'\nenter_s = 0.2\napproach_s = 1.0\nstay_s = 2.3\nleave_s = 0.1
        to = [-0.9, 0.42]\nfar_px = 110\nface_px = 110\nplace = [0.5, 0.42]\nfrom = [0.3, 0.42]
        [[person]]\nportrait = 'biden-1'\nenter_s = 3.65\napproach_s = 0.1\nstay_s = 3.0\nleave_s = 0.1
        from = [0.5, 0.42]\nfar_px = 110\nface_px = 110\nplace = [0.5, 0.42]\nto = [1.9, 0.42]"
    );
    let mut shop = BoxUnderTest::real();
    let (ivan, _) = shop.enrol_samples();
    let moments = shop.play(scene(&text));
    assert_eq!(moments.iter().filter_map(Moment::opened).collect::<Vec<_>>(), [ivan]);
    let alone = |m: &&Moment| m.face_px("stranger-1") > 0.0 && m.face_px("sample-1") == 0.0;
    let came_at = moments.iter().find(alone).expect("the stranger comes").at;
    let left_at = moments.iter().rev().find(|m| m.face_px("sample-1") > 0.0).expect("the regular was there").at;
    let without = came_at - left_at;
    assert!(without <= Duration::from_millis(300), "the faces follow each other closely: {without:?}");

    let named_frames = moments.iter().filter(alone).filter(|m| m.sightings.iter().any(is_match)).count();
    assert_eq!(named_frames, 0, "no frame of the stranger is a match");
    let long_after = |m: &&Moment| m.at - left_at > Duration::from_millis(2700);
    let late = moments.iter().filter(alone).filter(long_after).inspect(|m| assert!(m.named().is_empty())).count();
    assert!(late > 3, "the stranger still stands there when the regular's card has gone");
}

fn is_match(sighting: &snova::customer::Sighting) -> bool {
    matches!(sighting.decision, Decision::Match(_))
}

/// The real models, with the embeddings counted.
struct Counted(Box<dyn Vision>, Arc<AtomicUsize>);

impl Vision for Counted {
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
        self.1.fetch_add(chips.len(), Ordering::Relaxed);
        self.0.embed(chips)
    }
}

#[test]
fn a_person_standing_at_the_counter_costs_no_embedding() {
    let embedded = Arc::new(AtomicUsize::new(0));
    let vision = Counted(Box::new(real_vision()), Arc::clone(&embedded));
    let mut shop = BoxUnderTest::with(Box::new(vision), PipelineConfig::default());
    shop.enrol_samples();
    embedded.store(0, Ordering::Relaxed);
    // Eight frames a second, as on a slow box: the cost must not hang on the camera's speed.
    let text = "size = [640, 480]\nfps = 8\n[[person]]\nportrait = 'obama-2'\nenter_s = 0.0\napproach_s = 1.5
        stay_s = 21.5\nleave_s = 1.0\nface_px = 115\nplace = [0.5, 0.42]";
    let mut costs = Vec::new();
    let moments = shop.play_with(scene(text), |_, _| costs.push(embedded.load(Ordering::Relaxed)));
    let matched = moments.iter().position(|m| m.opened().is_some()).expect("he is greeted");
    let stands = |m: &Moment| m.at <= Monotonic::from_millis(23_000);
    let last = moments.iter().rposition(stands).expect("the scene is long enough");
    let (before, after, stood) = (costs[matched], costs[last] - costs[matched], last - matched);
    assert!(stood >= 160, "he stands there for 20 s, not for {stood} frames");
    println!("{before} embeddings until the match, {after} in the {stood} frames after it");
    assert!(before <= 10, "{before} embeddings until the greeting");
    assert_eq!(after, 0, "embeddings of a face whose name is known");
}

#[test]
fn enrolled_while_standing_there_is_greeted() {
    let mut shop = BoxUnderTest::real();
    shop.enrol(elena());
    let mut enrolled: Option<(Monotonic, CustomerId)> = None;
    let moments = shop.play_with(shipped_scene("regular.toml"), |shop, moment| {
        if enrolled.is_none() && moment.at >= Monotonic::from_millis(3_500) {
            enrolled = Some((moment.at, shop.enrol(ivan())));
        }
    });
    let (enrolled_at, ivan) = enrolled.expect("the scene is long enough");
    assert!(moments.iter().filter(|m| m.at <= enrolled_at).all(|m| m.named().is_empty()), "unknown before");
    let greeted = moments.iter().find(|m| m.opened() == Some(ivan)).expect("greeted without leaving the counter");
    println!("greeted {:?} after the enrolment", greeted.at - enrolled_at);
    assert!(greeted.at - enrolled_at <= Duration::from_millis(200), "{:?}", greeted.at - enrolled_at);
    assert_eq!(greeted.greetings(), [GREETING]);
}

#[test]
fn the_cashiers_no_takes_a_wrong_name_back() {
    let mut shop = BoxUnderTest::real();
    // A stranger to the shop is enrolled under Ivan's name: the box is sure, and wrong.
    shop.enrol_samples();
    let mut said_no_at = None;
    let moments = shop.play_with(shipped_scene("regular.toml"), |shop, moment| {
        if let Some(present) = moment.screen.present.first().filter(|_| said_no_at.is_none()) {
            let now = shop.clock.monotonic();
            shop.desk.answer(now, present.visit, Verdict::No).expect("the visit is at the counter");
            assert_nobody(&shop.screen());
            said_no_at = Some(now);
        }
    });
    let said_no_at = said_no_at.expect("somebody was named");
    let still_matched = |m: &&Moment| m.at > said_no_at && m.sightings.iter().any(is_match);
    assert!(moments.iter().filter(still_matched).count() > 20, "the box still thinks that it is him");
    moments.iter().filter(|m| m.at > said_no_at).for_each(|m| assert_nobody(&m.screen));
    assert_eq!(shop.rows("visits WHERE verdict = 'rejected'"), 1);
    assert_eq!(shop.rows("outbox"), 0, "the CRM hears nothing of a visit that was not his");
    // After a while out of sight the counter may try again.
    shop.wait(Duration::from_secs(60));
    let later = shop.play(shipped_scene("regular.toml"));
    assert_eq!(later.iter().filter_map(Moment::opened).count(), 1);
}

fn assert_nobody(screen: &CounterState) {
    let sure = screen.present.iter().filter(|p| matches!(p.who, Greeted::Match { .. })).count();
    assert_eq!((sure, screen.present.len()), (0, 0), "nobody is on the screen");
}

/// No claim about recognition: it says how far the sample pictures lie from the thresholds of this pack.
#[test]
fn sample_customers_stand_clear_of_the_thresholds() {
    let mut vision = real_vision();
    let mut embedded = |file: &str| {
        let picture = decode_picture(&std::fs::read(media().join(file)).expect("there")).expect("readable");
        let faces = vision.detect(&picture).expect("the detector runs");
        assert_eq!(faces.len(), 1, "{file} shows one face");
        let face = snova::vision::portrait(&vision, &picture, &faces[0]).expect("aligned");
        assert!(face.quality.is_usable(), "{file}: {:?}", face.quality.reasons);
        vision.embed(&[face.chip]).expect("the embedder runs").remove(0)
    };
    let files = ["obama-1.jpg", "obama-2.jpg", "obama-3.jpg", "biden-1.jpg", "astronaut-1.png"];
    let [o1, o2, o3, biden, astronaut] = files.map(&mut embedded);
    let ivan = snova::face::fuse([&o1, &o3]).expect("two pictures");
    let table = &vision.pack().thresholds;
    let (match_at, maybe_at) = (table.threshold(0.001, 2, 2, 3).0, table.threshold(0.01, 2, 2, 3).0);
    let (mated, stranger, other) = (ivan.similarity(&o2).0, ivan.similarity(&biden).0, ivan.similarity(&astronaut).0);
    let other_stranger = astronaut.similarity(&biden).0;
    println!(
        "match at {match_at:.3}, maybe at {maybe_at:.3}; obama-1+3 against obama-2 {mated:.3}, against biden-1 \
         {stranger:.3}, against astronaut-1 {other:.3}; astronaut-1 against biden-1 {other_stranger:.3}"
    );
    assert!(mated > match_at, "{mated} against {match_at}");
    assert!(stranger < maybe_at && other < maybe_at && other_stranger < maybe_at);
}
