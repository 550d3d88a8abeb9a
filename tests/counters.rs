//! Several counters on one box, several cameras at one counter, cards at a counter without any: who is shown where.
//!
//! Real threads, sockets and database; the models are scripted. The page in a browser is `card_entry.rs`.
#![allow(clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a test fails by panicking")]

#[path = "support/box_under_test.rs"]
mod box_under_test;
#[path = "support/http_client.rs"]
mod http_client;
#[path = "support/running_service.rs"]
mod running_service;
#[path = "support/scripted_vision.rs"]
mod scripted_vision;
#[path = "support/tills.rs"]
mod tills;
#[path = "support/trace_log.rs"]
mod trace_log;

use std::collections::BTreeSet;
use std::time::Duration;

use box_under_test::{BoxUnderTest, Moment};
use image::RgbImage;
use running_service::{at, greeting, is_empty, wait_until};
use scripted_vision::{Face, ScriptedVision, picture, square};
use snova::clock::{Clock, SystemClock};
use snova::customer::{CustomerId, Identifier, Purpose};
use snova::face::{Detection, Embedding, FaceChip, Quality};
use snova::greeter::CrmTrouble;
use snova::vision::{PackFacts, Vision, VisionError};
use tills::{Shop, Shown, done, enter, eventually, film, http, rules, still};
use trace_log::log_file;

/// The films are played at the speed of life: two at once on a small machine would skip each other's frames.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

fn card(code: &str) -> Identifier {
    Identifier::card(code).expect("a code")
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_tills_never_show_each_others_customer() {
    let _alone = ALONE.lock().await;
    let mut vision = ScriptedVision::new(64);
    let faces = ["Иван", "Ольга", "Елена", "Пётр"].map(|name| (name, vision.person(name)));
    let stranger = vision.person("stranger");
    let mut shop = Shop::with_tills(&["till-1", "till-2"]);
    for (name, face) in faces {
        shop.enrol_face(name, face, &mut vision);
    }
    let purposes = [Purpose::CardGreeting, Purpose::VisitRecords];
    shop.enrol_card("Карл", card("4820-1"), &purposes);
    shop.enrol_card("Нина", card("4820-2"), &purposes);
    let [ivan, olga, elena, pyotr] = faces.map(|(_, face)| Some(face));
    let folder = |name: &str| shop.data.path().join(name);
    // At both tills at once, one after the other, and with somebody unknown in between.
    let cameras = [
        at("till-1", "1-front", film(&folder("1-front"), &[(25, ivan), (10, Some(stranger)), (25, olga), (30, None)])),
        at("till-1", "1-side", film(&folder("1-side"), &[(10, None), (25, ivan), (30, None), (20, olga)])),
        at(
            "till-2",
            "2-front",
            film(&folder("2-front"), &[(25, elena), (10, None), (25, pyotr), (30, Some(stranger))]),
        ),
    ];
    shop.settings.cameras.extend(cameras);
    let service = shop.open(Box::new(vision)).await;
    let inside = ["till-1", "till-2"].map(|till| Shown::inside(service.counters(), till));
    let wire = [Shown::on_the_wire(&service, "till-1").await, Shown::on_the_wire(&service, "till-2").await];
    let (first, second) = (enter(&service, "till-1", "4820-1").await, enter(&service, "till-2", "4820-2").await);
    assert_eq!((first.0, second.0), (200, 200), "{first:?} {second:?}");
    let of_till = [set(&["Иван", "Ольга", "Карл"]), set(&["Елена", "Пётр", "Нина"])];
    let all_came = || inside.iter().zip(&of_till).all(|(shown, of_till)| shown.names().is_superset(of_till));
    eventually("all six were shown", all_came).await;
    let ended = |picture: &serde_json::Value| {
        picture["cameras"].as_array().is_some_and(|all| all.iter().all(|c| c["state"] == "ended"))
    };
    let films_end = async {
        for till in ["till-1", "till-2"] {
            let url = format!("http://{}/api/v1/counters/{till}", service.address());
            while !ended(&http().get(&url).send().await.expect("an answer").json().await.expect("JSON")) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    };
    tokio::time::timeout(running_service::PATIENCE, films_end).await.expect("the films end");
    service.stop().await.expect("it stops in order");
    for (shown, of_till) in inside.iter().chain(&wire).zip(of_till.iter().cycle()) {
        assert_eq!(&shown.names(), of_till);
    }
    for till in ["till-1", "till-2"] {
        assert_eq!(shop.count(&format!("visits WHERE counter = '{till}'")), 3, "one visit each at {till}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_tills_that_see_one_queue_make_one_visit_and_greet_once() {
    let _alone = ALONE.lock().await;
    let mut vision = ScriptedVision::new(64);
    let face = vision.person("Иван");
    let mut shop = Shop::with_tills(&["till-1", "till-2"]);
    shop.enrol_face("Иван", face, &mut vision);
    for (till, parts) in [("till-1", [(40, Some(face)), (30, None)]), ("till-2", [(20, None), (50, Some(face))])] {
        let source = film(&shop.data.path().join(till), &parts);
        shop.settings.cameras.push(at(till, till, source));
    }
    let service = shop.open(Box::new(vision)).await;
    let tills = ["till-1", "till-2"].map(|till| Shown::inside(service.counters(), till));
    eventually("both tills know him", || tills.iter().all(|till| !till.greetings().is_empty())).await;
    let row = "visits WHERE counter = 'till-1' AND closed_at IS NULL";
    eventually("the visit is recorded", || shop.count(row) == 1).await;
    service.stop().await.expect("it stops in order");
    assert!(tills[0].greetings()[0].ends_with(", Иван!"), "{:?}", tills[0].greetings());
    assert_eq!(tills[1].greetings(), ["Иван"], "the second till has his name, and no greeting");
    assert_eq!((shop.count("visits"), shop.count("outbox")), (1, 1));
    assert_eq!(shop.count("visits WHERE closed_at IS NULL"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_greets_without_a_camera() {
    let _alone = ALONE.lock().await;
    let log = log_file();
    let shop = Shop::with_tills(&["till-1"]);
    let purposes = [Purpose::CardGreeting, Purpose::VisitRecords];
    let ivan = shop.enrol_card("Иван", card("SNOVA-4820-7755"), &purposes);
    let phone = Identifier::phone("+79123456789", None).expect("a number");
    let olga = shop.enrol_card("Ольга", phone, &purposes[..1]);
    let service = shop.open(Box::new(ScriptedVision::new(64))).await;
    let screen = Shown::on_the_wire(&service, "till-1").await;

    let clock = SystemClock::new();
    // As a scanner under a Cyrillic layout types it.
    let (status, body) = enter(&service, "till-1", "ЫТЩМФ-4820-7755").await;
    assert_eq!(status, 200, "{body}");
    eventually("the greeting is on the wire", || !screen.greetings().is_empty()).await;
    let took = clock.monotonic().0;
    println!("from the call to the picture on the wire: {took:?}");
    assert!(took < Duration::from_secs(1), "{took:?}");
    let greeted = screen.greetings()[0].clone();
    assert!(greeted.ends_with(", Иван!"), "{greeted}");
    let picture = wait_until(service.address(), "he is shown", |p| !is_empty(p)).await;
    assert_eq!(
        (&picture["present"][0]["visit_id"], &picture["present"][0]["entered"]),
        (&body["visit_id"], &true.into())
    );
    assert_eq!(picture["cameras"], serde_json::json!([]));
    let row = format!("visits WHERE how = 'entered' AND closed_at IS NULL AND hex(customer) = '{}'", hex(ivan));
    eventually("the visit is recorded", || shop.count(&row) == 1).await;
    assert_eq!(
        shop.count("outbox WHERE kind = 'visit' AND deliver_after IS NULL"),
        1,
        "the CRM hears of it at its end"
    );
    assert_eq!(shop.count("templates"), 0);

    // The next customer gives a phone; she did not agree that visits go to the CRM.
    let (status, next) = enter(&service, "till-1", "8 (912) 345-67-89").await;
    assert_eq!(status, 200, "{next}");
    let only_her = |p: &serde_json::Value| {
        p["present"].as_array().is_some_and(|all| all.len() == 1 && all[0]["visit_id"] == next["visit_id"])
    };
    wait_until(service.address(), "his card gives way to hers", only_her).await;
    eventually("her visit is recorded", || shop.count("visits") == 2).await;
    assert_eq!(shop.count("outbox WHERE kind = 'visit'"), 1);

    assert_eq!(done(&service, &next["visit_id"]).await, 200);
    wait_until(service.address(), "she is done", is_empty).await;
    eventually("both visits are closed", || shop.count("visits WHERE closed_at IS NULL") == 0).await;
    assert_eq!(shop.count("outbox WHERE kind = 'visit' AND deliver_after IS NOT NULL"), 1);

    // What nobody has leaves no trace.
    for unknown in ["4820999888777", "+380671234567"] {
        let (status, body) = enter(&service, "till-1", unknown).await;
        assert_eq!((status, &body["error"]["code"]), (404, &"unknown_entry".into()));
    }
    assert_eq!(shop.count("visits"), 2);

    // Back within the merge window, it is the same visit; and who takes their consent back is off the screen.
    let (_, again) = enter(&service, "till-1", "+7 912 345 67 89").await;
    assert_eq!(again["visit_id"], next["visit_id"]);
    wait_until(service.address(), "she is back", |p| greeting(p) == Some("Ольга")).await;
    // A change of the customers is looked up at once; she is in no gallery, and stays.
    shop.enrol_card("Яна", card("4823"), &purposes);
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(greeting(&running_service::picture(service.address()).await.expect("an answer")), Some("Ольга"));
    shop.withdraw(olga);
    wait_until(service.address(), "her consent has ended", is_empty).await;
    let (status, body) = enter(&service, "till-1", "+79123456789").await;
    assert_eq!((status, &body["error"]["code"]), (403, &"consent_ended".into()));
    service.stop().await.expect("it stops in order");
    assert_eq!(shop.count("visits"), 2);

    let said = std::fs::read_to_string(log).expect("the log is text");
    assert!(said.contains("visit opened by card or phone"), "the log is the service's");
    // Four digits alone stand in many an id: the code's own shape is searched for.
    for secret in ["4820-7755", "3456789", "345-67-89", "999888777", "671234567", "Иван", "Ольга", "Яна"] {
        assert!(!said.contains(secret), "{secret} is in the log");
    }
}

fn hex(customer: CustomerId) -> String {
    customer.0.simple().to_string().to_uppercase()
}

#[tokio::test(flavor = "multi_thread")]
async fn walking_through_numbers_is_stopped() {
    let _alone = ALONE.lock().await;
    let shop = Shop::with_tills(&["till-1", "till-2"]);
    shop.enrol_card("Иван", card("4820"), &[Purpose::CardGreeting]);
    let service = shop.open(Box::new(ScriptedVision::new(64))).await;
    for number in 0..30 {
        assert_eq!(enter(&service, "till-1", &format!("+7912345{number:04}")).await.0, 404);
    }
    assert_eq!(enter(&service, "till-1", "4820").await.0, 429, "neither a hit nor a miss is told any more");
    assert_eq!(enter(&service, "till-2", "4820").await.0, 200, "another counter goes on");
    service.stop().await.expect("it stops in order");
}

/// Two cameras of one counter, in simulated time: the pictures of both every 66 ms.
struct TwoCameras {
    shop: BoxUnderTest,
    shown: u8,
}

impl TwoCameras {
    fn before(vision: ScriptedVision) -> Self {
        Self { shop: BoxUnderTest::with(Box::new(vision), rules()), shown: 0 }
    }

    fn show(&mut self, frames: u32, left: Option<Face>, right: Option<Face>) -> Vec<Moment> {
        let mut moments = Vec::new();
        for _ in 0..frames {
            self.shown += 1;
            for (camera, face) in [("till-1-left", left), ("till-1-right", right)] {
                let shot = |face: Face| (face.shot(3 + self.shown % 10), square(60.0, 60.0, 90.0));
                let drawn: Vec<_> = face.into_iter().map(shot).collect();
                self.shop.clock.advance(Duration::from_millis(33));
                moments.push(self.shop.see_by(camera, picture(320, 240, &drawn), Vec::new()));
            }
        }
        moments
    }
}

/// Every greeting that appeared, repeated when it appeared anew.
fn greetings(moments: &[Moment]) -> Vec<String> {
    let mut all = Vec::new();
    let mut before: Vec<&str> = Vec::new();
    for moment in moments {
        let now = moment.greetings();
        all.extend(now.iter().filter(|g| !before.contains(g)).map(|g| (*g).to_owned()));
        before = now;
    }
    all
}

#[test]
fn a_visit_seen_by_two_cameras_is_one_visit() {
    let mut vision = ScriptedVision::new(64);
    let face = vision.person("ivan");
    let mut cameras = TwoCameras::before(vision);
    let photos = scripted_photos(face);
    let ivan = cameras.shop.enrol(box_under_test::request_of("Иван", photos));
    let mut moments = Vec::new();
    // By the left one, by both, by the right one; a gap between the cameras; by the left one again.
    for (frames, left, right) in
        [(30, true, false), (30, true, true), (30, false, true), (20, false, false), (30, true, false)]
    {
        moments.extend(cameras.show(frames, left.then_some(face), right.then_some(face)));
    }
    assert_eq!(moments.iter().filter_map(Moment::opened).collect::<Vec<_>>(), [ivan]);
    assert_eq!(greetings(&moments), ["Доброе утро, Иван!"], "one greeting, and the card never went in between");
    assert!(moments.iter().all(|m| m.screen.present.len() <= 1), "never two cards of one customer");
    // Longer out of both cameras' sight than the card stays, and back before the other one.
    let away = cameras.show(60, None, None);
    assert!(away.last().is_some_and(|m| m.screen.present.is_empty()));
    let back = cameras.show(30, None, Some(face));
    assert_eq!(greetings(&back), ["Иван"], "the name, without a second greeting");
    assert_eq!((cameras.shop.rows("visits"), cameras.shop.rows("outbox")), (1, 1));
}

#[test]
fn a_question_of_one_camera_that_the_other_answers_is_one_visit() {
    let mut vision = ScriptedVision::new(64);
    let face = vision.person("ivan");
    // The same man from the side, where the models are not sure.
    let side = vision.lookalike("ivan from the side", face, 0.46);
    let mut cameras = TwoCameras::before(vision);
    let ivan = cameras.shop.enrol(box_under_test::request_of("Иван", scripted_photos(face)));
    let asked = cameras.show(30, Some(side), None);
    let is_question = |m: &Moment| m.named() == [ivan] && m.greetings().is_empty();
    assert!(asked.last().is_some_and(is_question), "the side view alone is a question");
    assert_eq!(cameras.shop.rows("visits"), 0);
    let both = cameras.show(40, Some(side), Some(face));
    assert_eq!(both.iter().filter_map(Moment::opened).collect::<Vec<_>>(), [ivan]);
    assert!(both.iter().all(|m| m.screen.present.len() == 1), "the question becomes the greeting");
    assert_eq!(greetings(&both), ["Доброе утро, Иван!"]);
    let matched_first = cameras.show(40, Some(side), Some(face));
    assert!(matched_first.iter().all(|m| m.screen.present.len() == 1), "and is not asked again");
    assert_eq!((cameras.shop.rows("visits"), cameras.shop.rows("outbox")), (1, 1));
}

fn scripted_photos(face: Face) -> Vec<Vec<u8>> {
    (0..3).map(|n| scripted_vision::photo(face.shot(n))).collect()
}

/// Models that need their time for every picture.
struct Slow(ScriptedVision, Duration);

impl Vision for Slow {
    fn pack(&self) -> &PackFacts {
        self.0.pack()
    }
    fn detect(&mut self, picture: &RgbImage) -> Result<Vec<Detection>, VisionError> {
        std::thread::sleep(self.1);
        self.0.detect(picture)
    }
    fn quality(&self, picture: &RgbImage, detection: &Detection, chip: &FaceChip) -> Quality {
        self.0.quality(picture, detection, chip)
    }
    fn embed(&mut self, chips: &[FaceChip]) -> Result<Vec<Embedding>, VisionError> {
        self.0.embed(chips)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overload_drops_frames_evenly_and_says_so() {
    let _alone = ALONE.lock().await;
    let mut shop = Shop::with_tills(&["till-1", "till-2", "till-3"]);
    let cameras = [
        ("till-1", "1-left", 30.0),
        ("till-1", "1-front", 12.0),
        ("till-1", "1-right", 20.0),
        ("till-2", "2", 25.0),
        ("till-3", "3", 15.0),
    ];
    for (till, camera, fps) in cameras {
        let source = still(shop.data.path().join(camera), fps);
        shop.settings.cameras.push(at(till, camera, source));
    }
    // Some six looks a second for three tills.
    let service = shop.open(Box::new(Slow(ScriptedVision::new(64), Duration::from_millis(150)))).await;
    let url = |path: &str| format!("http://{}{path}", service.address());
    let fine: serde_json::Value =
        http().get(url("/health")).send().await.expect("an answer").json().await.expect("JSON");
    assert_eq!(fine["troubles"], serde_json::json!([]));
    let metric = |name: &str, label: &str| {
        let text = shop.metrics.encode();
        let series = format!("snova_{name}{label} ");
        text.lines().find_map(|line| line.strip_prefix(&series)?.parse::<u64>().ok()).unwrap_or(0)
    };
    eventually("the overload is noticed", || metric("overloaded", "") == 1).await;
    let health: serde_json::Value =
        http().get(url("/health")).send().await.expect("an answer").json().await.expect("JSON");
    assert_eq!(health["troubles"], serde_json::json!(["overloaded"]));
    let page_is_told = async {
        loop {
            let answer = http().get(url("/api/v1/counters/till-2")).send().await.expect("an answer");
            let picture: serde_json::Value = answer.json().await.expect("JSON");
            if picture["overloaded"] == true {
                return;
            }
        }
    };
    tokio::time::timeout(running_service::PATIENCE, page_is_told).await.expect("the page is told");
    service.stop().await.expect("it stops in order");

    let looks = |camera: &str| metric("frames_processed_total", &format!("{{camera=\"{camera}\"}}"));
    let first_till = ["1-left", "1-front", "1-right"].map(looks);
    let tills = [first_till.iter().sum(), looks("2"), looks("3")];
    println!("looks at each till {tills:?}, at the cameras of the first {first_till:?}");
    let spread = |counts: &[u64]| counts.iter().max().expect("some") - counts.iter().min().expect("some");
    assert!(tills[0] >= 15, "{tills:?}");
    assert!(spread(&tills) <= 2, "every till gets the same: {tills:?}");
    assert!(spread(&first_till) <= 2, "and each of its cameras: {first_till:?}");
    let skipped = metric("frames_skipped_total", "{camera=\"1-left\"}");
    assert!(skipped > 10 * first_till[0], "what is too much is counted as skipped: {skipped}");
}

#[test]
fn trouble_with_the_crm_is_told_to_the_screens_once_a_change() {
    let mut shop = BoxUnderTest::with(Box::new(ScriptedVision::new(64)), rules());
    let mut screens = shop.desk.screens();
    for trouble in [Some(CrmTrouble::Refused), Some(CrmTrouble::Blocked), None] {
        shop.desk.crm_trouble(trouble);
        for screen in screens.values_mut() {
            assert!(screen.has_changed().expect("the desk is there"));
            assert_eq!(screen.borrow_and_update().crm_trouble, trouble);
        }
        shop.desk.crm_trouble(trouble);
        assert!(screens.values().all(|screen| screen.has_changed().is_ok_and(|news| !news)), "no picture without news");
    }
}
