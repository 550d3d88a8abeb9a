//! Enrolment: consent first, every refused photo with its reason, one person a customer, nothing half done.
#![allow(clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a test fails by panicking")]

use std::sync::atomic::Ordering;

use jiff::civil::{Date, date};
use snova::clock::SimulatedClock;
use snova::customer::{Consent, ConsentError, ConsentMethod, CustomerId, NameError, PersonName, Purpose};
use snova::enrolment::{
    EnrolError, EnrolRequest, Enrolled, EnrolmentRules, MAX_PHOTOS, Photo, RefusalReason, Warning, enrol, erase,
};
use snova::face::{QualityReason, fuse};
use snova::store::{Store, StoreConfig, StoreError};
use snova::vault::Seal;
use snova::vision::Vision;

#[path = "support/scripted_vision.rs"]
mod scripted_vision;
use scripted_vision::{Face, PACK, ScriptedVision, photo, picture, png, square};

const TODAY: Date = date(2026, 3, 2);

struct Shop {
    store: Store,
    vision: ScriptedVision,
    clock: SimulatedClock,
    dir: tempfile::TempDir,
}

fn shop() -> Shop {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let store = Store::open(&StoreConfig::new(dir.path()), Seal::plain()).expect("a fresh store opens");
    let clock = SimulatedClock::starting_at("2026-03-02T09:00:00Z".parse().expect("a time"));
    Shop { store, vision: ScriptedVision::new(64), clock, dir }
}

impl Shop {
    fn enrol(&mut self, request: EnrolRequest) -> Result<Enrolled, EnrolError> {
        let rules = EnrolmentRules { target_fpir: 0.01 };
        enrol(request, rules, &mut self.vision, &self.store, &self.clock, TODAY)
    }

    fn nobody_is_enrolled(&self) -> bool {
        self.store.customers().expect("customers can be read").is_empty()
    }
}

fn consent() -> Consent {
    Consent {
        given_on: TODAY,
        method: ConsentMethod::PaperForm,
        purposes: vec![Purpose::Recognition, Purpose::VisitRecords],
        valid_until: None,
        withdrawn_at: None,
    }
}

fn request(name: &str, files: Vec<Vec<u8>>) -> EnrolRequest {
    let photos = files.into_iter().enumerate().map(|(i, bytes)| Photo { label: format!("{i}.png"), bytes }).collect();
    EnrolRequest {
        name: PersonName::given(name),
        language: None,
        tier: None,
        note: None,
        consent: consent(),
        identifiers: Vec::new(),
        photos,
        allow_similar: false,
    }
}

fn photos_of(face: Face, shots: std::ops::Range<u8>) -> Vec<Vec<u8>> {
    shots.map(|shot| photo(face.shot(shot))).collect()
}

#[test]
fn a_customer_with_three_good_photos_is_enrolled_with_three_templates() {
    let mut shop = shop();
    let ivan = shop.vision.person("ivan");
    let enrolled = shop.enrol(request("Иван", photos_of(ivan, 0..3))).expect("good photos");
    assert_eq!((enrolled.accepted, enrolled.refused.len(), enrolled.warnings.len()), (3, 0, 0));

    let templates = shop.store.templates(PACK, TODAY).expect("templates can be read");
    assert_eq!(templates.len(), 1);
    assert_eq!((templates[0].0, templates[0].1.len()), (enrolled.id, 3));
    let again = shop.vision.embedding(ivan.shot(9));
    let similarity = fuse(&templates[0].1).expect("templates fuse").similarity(&again).0;
    assert!(similarity > 0.8, "another shot of the same person is at {similarity}");
    let customer = shop.store.customer(enrolled.id).expect("readable").expect("enrolled");
    assert_eq!(customer.name, PersonName::given("Иван"));
}

#[test]
fn without_a_live_consent_no_photo_is_even_looked_at() {
    let cases = [
        (
            Consent { purposes: vec![Purpose::VisitRecords], ..consent() },
            ConsentError::NotCovered(Purpose::Recognition),
        ),
        (Consent { valid_until: Some(date(2026, 3, 1)), ..consent() }, ConsentError::Ended(date(2026, 3, 1))),
        (
            Consent { given_on: date(2026, 3, 3), ..consent() },
            ConsentError::InTheFuture { given_on: date(2026, 3, 3), today: TODAY },
        ),
        (
            Consent { withdrawn_at: Some("2026-03-01T09:00:00Z".parse().expect("a time")), ..consent() },
            ConsentError::Withdrawn,
        ),
    ];
    for (consent, expected) in cases {
        let mut shop = shop();
        let ivan = shop.vision.person("ivan");
        let request = EnrolRequest { consent, ..request("Иван", photos_of(ivan, 0..2)) };
        match shop.enrol(request) {
            Err(EnrolError::Consent(reason)) => assert_eq!(reason, expected),
            other => panic!("{expected:?} gave {other:?}"),
        }
        assert_eq!(shop.vision.calls().detect.load(Ordering::Relaxed), 0);
        assert!(shop.nobody_is_enrolled());
    }
}

#[test]
fn every_unusable_photo_is_refused_by_its_label_and_reason_and_the_good_one_is_taken() {
    let mut shop = shop();
    let (ivan, olga) = (shop.vision.person("ivan"), shop.vision.person("olga"));
    shop.vision.refuse(ivan.shot(5), QualityReason::Blurred);
    let two_people = picture(96, 96, &[(ivan, square(4.0, 4.0, 60.0)), (olga, square(70.0, 70.0, 12.0))]);
    let mut damaged = photo(ivan);
    damaged.truncate(damaged.len() / 2);
    let files = vec![
        b"not a picture".to_vec(),
        png(&picture(96, 96, &[])),
        png(&two_people),
        photo(ivan.shot(5)),
        photo(ivan),
        damaged,
    ];
    let enrolled = shop.enrol(request("Иван", files)).expect("one photo is good");
    assert_eq!(enrolled.accepted, 1);
    let told: Vec<String> = enrolled.refused.iter().map(|refused| refused.to_string()).collect();
    let causes: Vec<&str> = enrolled.refused.iter().map(|refused| refused.reason.as_str()).collect();
    assert_eq!(causes, ["unreadable", "no_face", "several_faces", "blurred", "unreadable"], "{told:?}");
    assert_eq!(told[2], "2.png: several people (2 faces); crop the photo to one");
    assert!(told[3].starts_with("3.png: ") && told[3].contains("clean and focus the lens"), "{}", told[3]);
}

#[test]
fn when_no_photo_can_be_used_the_reasons_are_told_in_one_line_and_nobody_is_enrolled() {
    let mut shop = shop();
    let ivan = shop.vision.person("ivan");
    shop.vision.refuse(ivan, QualityReason::TooDark);
    let error = shop.enrol(request("Иван", vec![photo(ivan), b"?".to_vec()])).expect_err("no photo is good");
    let told = error.to_string();
    assert!(told.contains("0.png: the face is too dark; add light") && told.contains("1.png: "), "{told}");
    assert!(!told.contains('\n') && !told.contains("Иван"), "{told}");
    assert!(shop.nobody_is_enrolled());
    assert_eq!(shop.vision.calls().embed.load(Ordering::Relaxed), 0);
}

#[test]
fn a_photo_of_somebody_else_among_three_is_refused() {
    let mut shop = shop();
    let (ivan, olga) = (shop.vision.person("ivan"), shop.vision.person("olga"));
    let files = vec![photo(ivan), photo(olga), photo(ivan.shot(1))];
    let enrolled = shop.enrol(request("Иван", files)).expect("two of three agree");
    assert_eq!(enrolled.accepted, 2);
    assert_eq!(enrolled.refused.len(), 1);
    assert_eq!(enrolled.refused[0].label, "1.png");
    assert!(matches!(enrolled.refused[0].reason, RefusalReason::AnotherPerson));
    let templates = shop.store.templates(PACK, TODAY).expect("templates can be read");
    let olgas = shop.vision.embedding(olga);
    assert!(templates[0].1.iter().all(|template| template.similarity(&olgas).0 < 0.4), "Olga is in Ivan's template");
}

#[test]
fn photos_without_a_majority_for_one_person_enrol_nobody() {
    let mut shop = shop();
    let (ivan, olga) = (shop.vision.person("ivan"), shop.vision.person("olga"));
    let one_each = vec![photo(ivan), photo(olga)];
    let two_each = vec![photo(ivan), photo(olga), photo(ivan.shot(1)), photo(olga.shot(1))];
    for files in [one_each, two_each] {
        match shop.enrol(request("Иван", files)) {
            Err(error @ EnrolError::PhotosDisagree(_)) => assert!(error.to_string().contains(" against "), "{error}"),
            other => panic!("mixed photos gave {other:?}"),
        }
    }
    assert!(shop.nobody_is_enrolled());
}

#[test]
fn a_face_already_enrolled_is_not_enrolled_twice_by_accident() {
    let mut shop = shop();
    let ivan = shop.vision.person("ivan");
    let first = shop.enrol(request("Иван", photos_of(ivan, 0..2))).expect("good photos").id;
    match shop.enrol(request("Ваня", photos_of(ivan, 3..5))) {
        Err(error @ EnrolError::AlreadyEnrolled(id)) => {
            assert_eq!(id, first);
            assert!(error.to_string().contains(&first.to_string()) && !error.to_string().contains("Иван"), "{error}");
        }
        other => panic!("a second enrolment gave {other:?}"),
    }
    assert_eq!(shop.store.customers().expect("readable").len(), 1);
}

#[test]
fn a_twin_can_be_enrolled_on_request_and_the_cashier_is_warned() {
    let mut shop = shop();
    let ivan = shop.vision.person("ivan");
    let twin = shop.vision.lookalike("petr", ivan, 0.8);
    let first = shop.enrol(request("Иван", photos_of(ivan, 0..2))).expect("good photos").id;
    let plain = shop.enrol(request("Пётр", photos_of(twin, 0..2)));
    assert!(matches!(plain, Err(EnrolError::AlreadyEnrolled(id)) if id == first), "{plain:?}");
    let allowed = EnrolRequest { allow_similar: true, ..request("Пётр", photos_of(twin, 0..2)) };
    let enrolled = shop.enrol(allowed).expect("asked for");
    assert_eq!(enrolled.warnings, [Warning::Confusable(first)]);
}

#[test]
fn a_customer_somewhat_like_another_is_enrolled_with_a_warning() {
    let mut shop = shop();
    let ivan = shop.vision.person("ivan");
    let cousin = shop.vision.lookalike("sergey", ivan, 0.5);
    let first = shop.enrol(request("Иван", photos_of(ivan, 0..3))).expect("good photos").id;
    // Noise takes the fused similarity from 0.5 to somewhere between the two acceptance points.
    let enrolled = shop.enrol(request("Сергей", photos_of(cousin, 0..3))).expect("below the acceptance point");
    assert_eq!(enrolled.warnings, [Warning::Confusable(first)]);
}

#[test]
fn customers_whose_consent_ended_are_not_compared_with() {
    let mut shop = shop();
    let ivan = shop.vision.person("ivan");
    let first = shop.enrol(request("Иван", photos_of(ivan, 0..2))).expect("good photos").id;
    let clock = &shop.clock;
    shop.store.withdraw_consent(first, snova::clock::Clock::wall(clock)).expect("enrolled");
    shop.enrol(request("Иван", photos_of(ivan, 0..2))).expect("the withdrawn template is out of use");
}

#[test]
fn a_failing_model_enrols_nobody_and_says_which() {
    for model in ["detector", "embedder"] {
        let mut shop = shop();
        let ivan = shop.vision.person("ivan");
        shop.vision.break_model(model);
        let error = shop.enrol(request("Иван", photos_of(ivan, 0..2))).expect_err("the model fails");
        assert!(error.to_string().contains(model), "{error}");
        assert!(shop.nobody_is_enrolled());
    }
}

#[test]
fn names_notes_and_numbers_of_photos_are_checked_before_the_models_run() {
    let mut shop = shop();
    let ivan = shop.vision.person("ivan");
    let good = || request("Иван", vec![photo(ivan)]);
    let error = shop.enrol(request("  ", vec![photo(ivan)])).expect_err("no name");
    assert!(matches!(error, EnrolError::Name(NameError::Empty(_))), "{error}");
    let error = shop.enrol(EnrolRequest { note: Some("a\nb".to_owned()), ..good() }).expect_err("a line break");
    assert!(matches!(error, EnrolError::Text { what: "note", .. }), "{error}");
    let error = shop.enrol(EnrolRequest { tier: Some("з".repeat(81)), ..good() }).expect_err("too long");
    assert!(matches!(error, EnrolError::Text { what: "tier", .. }), "{error}");
    let error = shop.enrol(request("Иван", Vec::new())).expect_err("no photo");
    assert!(matches!(error, EnrolError::NoPhotos), "{error}");
    let error = shop.enrol(request("Иван", vec![photo(ivan); MAX_PHOTOS + 1])).expect_err("too many");
    assert!(matches!(error, EnrolError::TooManyPhotos(_)), "{error}");
    assert_eq!(shop.vision.calls().detect.load(Ordering::Relaxed), 0);
    assert!(shop.nobody_is_enrolled());
}

#[test]
fn neither_photo_nor_its_label_is_kept() {
    let mut shop = shop();
    let ivan = shop.vision.person("ivan");
    let file = photo(ivan);
    let photos = vec![Photo { label: "ivan-petrov-passport.png".to_owned(), bytes: file.clone() }];
    shop.enrol(EnrolRequest { photos, ..request("Иван", Vec::new()) }).expect("a good photo");
    for entry in std::fs::read_dir(shop.dir.path()).expect("the data folder") {
        let bytes = std::fs::read(entry.expect("an entry").path()).expect("a file of the store");
        assert!(!bytes.windows(8).any(|w| w == b"passport"), "the label is on disk");
        assert!(!bytes.windows(32).any(|w| w == &file[8..40]), "the photo is on disk");
    }
}

#[test]
fn an_erased_customer_is_unknown_at_once_and_can_enrol_anew() {
    let mut shop = shop();
    let ivan = shop.vision.person("ivan");
    let id = shop.enrol(request("Иван", photos_of(ivan, 0..2))).expect("good photos").id;
    let erasure = erase(id, &shop.store, &shop.clock).expect("enrolled");
    assert_eq!((erasure.templates, erasure.scrubbed), (2, true));
    assert!(shop.nobody_is_enrolled());
    assert!(shop.store.templates(PACK, TODAY).expect("readable").is_empty());
    let unknown: Result<_, StoreError> = erase(id, &shop.store, &shop.clock);
    assert!(matches!(unknown, Err(StoreError::UnknownCustomer(gone)) if gone == id));
    let anew: CustomerId = shop.enrol(request("Иван", photos_of(ivan, 0..2))).expect("nobody like him is left").id;
    assert_ne!(anew, id);
}

#[test]
fn the_scripted_models_tell_people_apart_and_shots_together() {
    let mut vision = ScriptedVision::new(64);
    let (ivan, olga) = (vision.person("ivan"), vision.person("olga"));
    let scene = picture(160, 120, &[(ivan.shot(3), square(10.0, 20.0, 60.0)), (olga, square(100.0, 30.0, 40.0))]);
    let found = vision.detect(&scene).expect("not broken");
    assert_eq!(
        found.iter().map(|d| d.bounds).collect::<Vec<_>>(),
        [square(10.0, 20.0, 60.0), square(100.0, 30.0, 40.0)]
    );
    let chips: Vec<_> = found
        .iter()
        .map(|d| snova::face::align(&scene, &d.landmarks, &vision.pack().layout).expect("the landmarks are spread"))
        .collect();
    let embeddings = vision.embed(&chips).expect("not broken");
    assert_eq!(embeddings, [vision.embedding(ivan.shot(3)), vision.embedding(olga)]);
    assert!(embeddings[0].similarity(&vision.embedding(ivan)).0 > 0.8);
    assert!(embeddings[0].similarity(&embeddings[1]).0.abs() < 0.35);
}
