//! The visit rules as sentences, on simulated time: the shop of the tests, and what one camera sees at one till.

mod answers;
mod cards;
mod model;
mod restart;
mod tills;

use super::*;
use crate::customer::Verdict;
use crate::face::{BoundingBox, CameraId, Similarity};

/// A box with a frame of each counter every 100 ms. Where a test names no counter, it is the first till.
struct Shop {
    visits: Visits,
    now_ms: u64,
    minted: u128,
}

fn till(n: u8) -> CounterId {
    CounterId::new(format!("till-{n}"))
}

fn customer(n: u128) -> CustomerId {
    CustomerId(Uuid::from_u128(1000 + n))
}

fn candidate(n: u128) -> Candidate {
    Candidate { customer: customer(n), similarity: Similarity(0.7) }
}

fn is(n: u128) -> Decision {
    Decision::Match(candidate(n))
}

fn maybe(all: &[u128]) -> Decision {
    Decision::Maybe(all.iter().map(|n| candidate(*n)).collect())
}

impl Shop {
    fn new() -> Self {
        Self { visits: Visits::new(VisitConfig::default()), now_ms: 0, minted: 0 }
    }

    fn now(&self) -> Monotonic {
        Monotonic::from_millis(self.now_ms)
    }

    /// Shows the faces at the first till for `ms`.
    fn show(&mut self, ms: u64, faces: &[(u64, Decision)]) -> Vec<VisitEvent> {
        self.show_at(ms, &[(1, faces)])
    }

    /// Shows the faces at these tills for `ms`.
    fn show_at(&mut self, ms: u64, tills: &[(u8, &[(u64, Decision)])]) -> Vec<VisitEvent> {
        let mut events = Vec::new();
        for _ in 0..ms / 100 {
            for (at, faces) in tills {
                events.extend(self.frame(&till(*at), faces));
            }
            self.now_ms += 100;
        }
        events
    }

    fn frame(&mut self, counter: &CounterId, faces: &[(u64, Decision)]) -> Vec<VisitEvent> {
        let seen_at = self.now();
        let sighting = |(track, decision): &(u64, Decision)| Sighting {
            counter: counter.clone(),
            camera: CameraId::new("camera-1"),
            track: TrackId(*track),
            bounds: BoundingBox::default(),
            decision: decision.clone(),
            seen_at,
        };
        let sightings: Vec<Sighting> = faces.iter().map(sighting).collect();
        self.visits.advance(seen_at, counter, &sightings, &mut minter(&mut self.minted))
    }

    /// The card of a customer is entered.
    fn enter(&mut self, n: u128) -> (VisitId, Vec<VisitEvent>) {
        self.enter_at(1, n)
    }

    fn enter_at(&mut self, at: u8, n: u128) -> (VisitId, Vec<VisitEvent>) {
        let now = self.now();
        self.visits.introduce(now, &till(at), customer(n), &mut minter(&mut self.minted))
    }

    fn say(&mut self, visit: VisitId, answer: Verdict) -> Option<Vec<VisitEvent>> {
        let now = self.now();
        self.visits.answer(now, None, visit, answer, &mut minter(&mut self.minted))
    }

    fn say_at(&mut self, at: u8, visit: VisitId, answer: Verdict) -> Vec<VisitEvent> {
        let now = self.now();
        let events = self.visits.answer(now, Some(&till(at)), visit, answer, &mut minter(&mut self.minted));
        events.expect("the visit is in the box")
    }
}

fn minter(minted: &mut u128) -> impl FnMut() -> Uuid {
    || {
        *minted += 1;
        Uuid::from_u128(*minted)
    }
}

fn opened(events: &[VisitEvent]) -> Vec<(VisitId, CustomerId)> {
    let open = |e: &VisitEvent| match e {
        VisitEvent::Opened { visit, customer, .. } => Some((*visit, *customer)),
        _ => None,
    };
    events.iter().filter_map(open).collect()
}

fn suggested(events: &[VisitEvent]) -> VisitId {
    match events {
        [VisitEvent::Suggested { visit, .. }] => *visit,
        other => panic!("expected one suggestion, got {other:?}"),
    }
}

/// What happened to `visit`, in words.
fn told(events: &[VisitEvent], visit: VisitId) -> Vec<&'static str> {
    let word = |e: &VisitEvent| match e {
        VisitEvent::Opened { visit, how: HowKnown::Entered, .. } => (*visit, "entered"),
        VisitEvent::Opened { visit, .. } => (*visit, "opened"),
        VisitEvent::Suggested { visit, .. } => (*visit, "asked"),
        VisitEvent::Returned { visit, reopens: false, .. } => (*visit, "shown too"),
        VisitEvent::Returned { visit, reopens: true, .. } => (*visit, "returned"),
        VisitEvent::Held { visit, .. } => (*visit, "held"),
        VisitEvent::Confirmed { visit, .. } => (*visit, "confirmed"),
        VisitEvent::Rejected { visit, .. } => (*visit, "rejected"),
        VisitEvent::Reassigned { visit, .. } => (*visit, "reassigned"),
        VisitEvent::Left { visit, last: false, .. } => (*visit, "left"),
        VisitEvent::Left { visit, last: true, .. } => (*visit, "gone"),
        VisitEvent::Closed { visit, .. } => (*visit, "closed"),
    };
    events.iter().map(word).filter(|(whose, _)| *whose == visit).map(|(_, word)| word).collect()
}

#[test]
fn a_regular_who_stays_opens_one_visit_and_closes_it_after_leaving() {
    let mut shop = Shop::new();
    let events = shop.show(10_000, &[(1, is(1))]);
    assert_eq!(opened(&events).len(), 1);
    assert_eq!(events.len(), 1);
    let (visit, _) = opened(&events)[0];
    let left = shop.show(3_000, &[]);
    assert_eq!(left, [VisitEvent::Left { visit, counter: till(1), recorded: true, last: true }]);
    let closed = shop.show(301_000, &[]);
    assert_eq!(closed, [VisitEvent::Closed { visit, counter: till(1) }]);
    assert_eq!(shop.show(10_000, &[]), []);
}

#[test]
fn a_passer_by_is_not_a_visit() {
    let mut shop = Shop::new();
    assert_eq!(shop.show(300, &[(1, is(1))]), []);
    assert_eq!(shop.show(400_000, &[]), []);
}

#[test]
fn a_regular_back_soon_continues_the_visit_and_back_later_opens_another() {
    let mut shop = Shop::new();
    let (visit, _) = opened(&shop.show(5_000, &[(1, is(1))]))[0];
    shop.show(60_000, &[]);
    let back = shop.show(5_000, &[(2, is(1))]);
    assert!(matches!(back[..], [VisitEvent::Returned { visit: v, .. }] if v == visit), "{back:?}");
    shop.show(302_000, &[]);
    shop.show(5_000, &[]);
    let again = shop.show(5_000, &[(3, is(1))]);
    assert_eq!(opened(&again).len(), 1);
    assert_ne!(opened(&again)[0].0, visit);
}

#[test]
fn a_visit_seen_by_two_cameras_is_one_visit() {
    let mut shop = Shop::new();
    let events = shop.show(5_000, &[(1, is(1)), (2, is(1))]);
    assert_eq!(opened(&events).len(), 1);
}

#[test]
fn a_question_is_asked_once_and_a_yes_opens_the_visit() {
    let mut shop = Shop::new();
    let visit = suggested(&shop.show(5_000, &[(1, maybe(&[1, 2]))]));
    let events = shop.say(visit, Verdict::Yes).expect("it is here");
    assert_eq!(opened(&events), [(visit, customer(1))]);
    assert_eq!(shop.show(5_000, &[(1, maybe(&[1, 2]))]), [], "the cashier's word holds while the face stays");
    let left = shop.show(3_000, &[]);
    assert!(matches!(left[..], [VisitEvent::Left { recorded: true, .. }]));
}

#[test]
fn a_no_ends_the_question_and_it_is_not_asked_again() {
    let mut shop = Shop::new();
    let visit = suggested(&shop.show(5_000, &[(1, maybe(&[1]))]));
    let events = shop.say(visit, Verdict::No).expect("it is here");
    assert!(matches!(events[..], [VisitEvent::Rejected { recorded: false, .. }]));
    assert_eq!(shop.show(60_000, &[(1, maybe(&[1]))]), []);
    assert_eq!(shop.show(10_000, &[(2, is(1))]), [], "nor under a new track");
    shop.show(31_000, &[]);
    assert_eq!(opened(&shop.show(5_000, &[(3, is(1))])).len(), 1, "the real one is greeted later");
    assert_eq!(shop.say(visit, Verdict::Yes), None);
}

#[test]
fn another_candidate_may_be_picked() {
    let mut shop = Shop::new();
    let visit = suggested(&shop.show(5_000, &[(1, maybe(&[1, 2]))]));
    let events = shop.say(visit, Verdict::Other(customer(2))).expect("it is here");
    assert_eq!(opened(&events), [(visit, customer(2))]);
}

#[test]
fn a_wrong_greeting_is_taken_back_and_not_repeated() {
    let mut shop = Shop::new();
    let (visit, _) = opened(&shop.show(5_000, &[(1, is(1))]))[0];
    let events = shop.say(visit, Verdict::No).expect("it is here");
    assert!(matches!(events[..], [VisitEvent::Rejected { recorded: true, .. }]));
    assert_eq!(shop.show(20_000, &[(1, is(1))]), []);
}

#[test]
fn a_visit_may_be_given_to_another_customer() {
    let mut shop = Shop::new();
    let (visit, _) = opened(&shop.show(5_000, &[(1, is(1))]))[0];
    let events = shop.say(visit, Verdict::Other(customer(2))).expect("it is here");
    assert!(matches!(events[..], [VisitEvent::Reassigned { customer: c, .. }] if c == customer(2)));
    assert_eq!(shop.show(10_000, &[(1, is(1))]), [], "the face stays with the one the cashier named");
}

#[test]
fn a_confirmed_customer_whose_visit_is_still_open_continues_it() {
    let mut shop = Shop::new();
    let (first, _) = opened(&shop.show(5_000, &[(1, is(1))]))[0];
    shop.show(10_000, &[]);
    let visit = suggested(&shop.show(2_000, &[(2, maybe(&[1]))]));
    let events = shop.say(visit, Verdict::Yes).expect("it is here");
    assert!(
        matches!(events[..], [VisitEvent::Left { recorded: false, .. }, VisitEvent::Returned { visit: v, .. }] if v == first)
    );
}

#[test]
fn a_question_that_answers_itself_becomes_the_visit() {
    let mut shop = Shop::new();
    let visit = suggested(&shop.show(2_000, &[(1, maybe(&[1, 2]))]));
    assert_eq!(opened(&shop.show(1_000, &[(1, is(1))])), [(visit, customer(1))]);
}

#[test]
fn two_regulars_at_once_are_two_visits() {
    let mut shop = Shop::new();
    let events = shop.show(5_000, &[(1, is(1)), (2, is(2))]);
    assert_eq!(opened(&events).len(), 2);
    let left = shop.show(3_000, &[(2, is(2))]);
    assert_eq!(left.len(), 1, "only the first has left: {left:?}");
}

#[test]
fn an_erased_customer_leaves_the_screen_and_no_more_is_said() {
    let mut shop = Shop::new();
    shop.show(5_000, &[(1, is(1))]);
    assert!(matches!(shop.visits.forget(customer(1))[..], [VisitEvent::Left { recorded: false, .. }]));
    assert_eq!(shop.show(400_000, &[(1, Decision::NoMatch)]), []);
}

#[test]
fn strangers_and_undecided_faces_make_no_events() {
    let mut shop = Shop::new();
    assert_eq!(shop.show(60_000, &[(1, Decision::NoMatch), (2, Decision::Undecided(None))]), []);
}

#[test]
fn a_question_on_one_camera_and_a_match_on_the_other_are_one_visit() {
    let mut shop = Shop::new();
    let question = suggested(&shop.show(1_000, &[(1, maybe(&[1]))]));
    let events = shop.show(5_000, &[(1, maybe(&[1])), (2, is(1))]);
    assert_eq!(opened(&events), [(question, customer(1))], "the match answers the other camera's question");
    assert_eq!(events.len(), 1, "{events:?}");

    let mut shop = Shop::new();
    shop.show(5_000, &[(1, is(1))]);
    shop.show(3_000, &[]);
    let question = suggested(&shop.show(2_000, &[(2, maybe(&[1]))]));
    let events = shop.show(2_000, &[(2, maybe(&[1])), (3, is(1))]);
    assert_eq!(told(&events, question), ["gone"], "back by another camera: nothing is left to be asked");
    assert_eq!((events.len(), opened(&events).len()), (2, 0), "{events:?}");
}
