//! The visit rules as sentences, on simulated time.

use super::*;
use crate::face::{BoundingBox, CameraId, Similarity};

/// One counter with a frame every 100 ms.
struct Counter {
    visits: Visits,
    now_ms: u64,
    minted: u128,
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

impl Counter {
    fn new() -> Self {
        Self { visits: Visits::new(CounterId::new("till-1"), VisitConfig::default()), now_ms: 0, minted: 0 }
    }

    /// Shows the faces for `ms`; gives the events without their counter's name.
    fn show(&mut self, ms: u64, faces: &[(u64, Decision)]) -> Vec<VisitEvent> {
        let mut events = Vec::new();
        for _ in 0..ms / 100 {
            let seen_at = Monotonic::from_millis(self.now_ms);
            let sightings: Vec<Sighting> = faces
                .iter()
                .map(|(track, decision)| Sighting {
                    counter: CounterId::new("till-1"),
                    camera: CameraId::new("camera-1"),
                    track: TrackId(*track),
                    bounds: BoundingBox::default(),
                    decision: decision.clone(),
                    seen_at,
                })
                .collect();
            let minted = &mut self.minted;
            let mut mint = || {
                *minted += 1;
                Uuid::from_u128(*minted)
            };
            events.extend(self.visits.advance(seen_at, &sightings, &mut mint));
            self.now_ms += 100;
        }
        events
    }

    fn say(&mut self, visit: VisitId, answer: VisitAnswer) -> Option<Vec<VisitEvent>> {
        self.visits.answer(Monotonic::from_millis(self.now_ms), visit, answer)
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

#[test]
fn a_regular_who_stays_opens_one_visit_and_closes_it_after_leaving() {
    let mut counter = Counter::new();
    let events = counter.show(10_000, &[(1, is(1))]);
    assert_eq!(opened(&events).len(), 1);
    assert_eq!(events.len(), 1);
    let (visit, _) = opened(&events)[0];
    let left = counter.show(3_000, &[]);
    assert_eq!(left, [VisitEvent::Left { visit, counter: CounterId::new("till-1"), recorded: true }]);
    let closed = counter.show(301_000, &[]);
    assert_eq!(closed, [VisitEvent::Closed { visit, counter: CounterId::new("till-1") }]);
    assert_eq!(counter.show(10_000, &[]), []);
}

#[test]
fn a_passer_by_is_not_a_visit() {
    let mut counter = Counter::new();
    assert_eq!(counter.show(300, &[(1, is(1))]), []);
    assert_eq!(counter.show(400_000, &[]), []);
}

#[test]
fn a_regular_back_soon_continues_the_visit_and_back_later_opens_another() {
    let mut counter = Counter::new();
    let (visit, _) = opened(&counter.show(5_000, &[(1, is(1))]))[0];
    counter.show(60_000, &[]);
    let back = counter.show(5_000, &[(2, is(1))]);
    assert!(matches!(back[..], [VisitEvent::Returned { visit: v, .. }] if v == visit), "{back:?}");
    counter.show(302_000, &[]);
    counter.show(5_000, &[]);
    let again = counter.show(5_000, &[(3, is(1))]);
    assert_eq!(opened(&again).len(), 1);
    assert_ne!(opened(&again)[0].0, visit);
}

#[test]
fn a_visit_seen_by_two_cameras_is_one_visit() {
    let mut counter = Counter::new();
    let events = counter.show(5_000, &[(1, is(1)), (2, is(1))]);
    assert_eq!(opened(&events).len(), 1);
}

#[test]
fn a_question_is_asked_once_and_a_yes_opens_the_visit() {
    let mut counter = Counter::new();
    let visit = suggested(&counter.show(5_000, &[(1, maybe(&[1, 2]))]));
    let events = counter.say(visit, VisitAnswer::Yes).expect("it is here");
    assert_eq!(opened(&events), [(visit, customer(1))]);
    assert_eq!(counter.show(5_000, &[(1, maybe(&[1, 2]))]), [], "the cashier's word holds while the face stays");
    let left = counter.show(3_000, &[]);
    assert!(matches!(left[..], [VisitEvent::Left { recorded: true, .. }]));
}

#[test]
fn a_no_ends_the_question_and_it_is_not_asked_again() {
    let mut counter = Counter::new();
    let visit = suggested(&counter.show(5_000, &[(1, maybe(&[1]))]));
    let events = counter.say(visit, VisitAnswer::No).expect("it is here");
    assert!(matches!(events[..], [VisitEvent::Rejected { recorded: false, .. }]));
    assert_eq!(counter.show(60_000, &[(1, maybe(&[1]))]), []);
    assert_eq!(counter.show(10_000, &[(2, is(1))]), [], "nor under a new track");
    counter.show(31_000, &[]);
    assert_eq!(opened(&counter.show(5_000, &[(3, is(1))])).len(), 1, "the real one is greeted later");
    assert_eq!(counter.say(visit, VisitAnswer::Yes), None);
}

#[test]
fn another_candidate_may_be_picked() {
    let mut counter = Counter::new();
    let visit = suggested(&counter.show(5_000, &[(1, maybe(&[1, 2]))]));
    let events = counter.say(visit, VisitAnswer::Other(customer(2))).expect("it is here");
    assert_eq!(opened(&events), [(visit, customer(2))]);
}

#[test]
fn a_wrong_greeting_is_taken_back_and_not_repeated() {
    let mut counter = Counter::new();
    let (visit, _) = opened(&counter.show(5_000, &[(1, is(1))]))[0];
    let events = counter.say(visit, VisitAnswer::No).expect("it is here");
    assert!(matches!(events[..], [VisitEvent::Rejected { recorded: true, .. }]));
    assert_eq!(counter.show(20_000, &[(1, is(1))]), []);
}

#[test]
fn a_visit_may_be_given_to_another_customer() {
    let mut counter = Counter::new();
    let (visit, _) = opened(&counter.show(5_000, &[(1, is(1))]))[0];
    let events = counter.say(visit, VisitAnswer::Other(customer(2))).expect("it is here");
    assert!(matches!(events[..], [VisitEvent::Reassigned { customer: c, .. }] if c == customer(2)));
    assert_eq!(counter.show(10_000, &[(1, is(1))]), [], "the face stays with the one the cashier named");
}

#[test]
fn a_confirmed_customer_whose_visit_is_still_open_continues_it() {
    let mut counter = Counter::new();
    let (first, _) = opened(&counter.show(5_000, &[(1, is(1))]))[0];
    counter.show(10_000, &[]);
    let visit = suggested(&counter.show(2_000, &[(2, maybe(&[1]))]));
    let events = counter.say(visit, VisitAnswer::Yes).expect("it is here");
    assert!(
        matches!(events[..], [VisitEvent::Left { recorded: false, .. }, VisitEvent::Returned { visit: v, .. }] if v == first)
    );
}

#[test]
fn a_question_that_answers_itself_becomes_the_visit() {
    let mut counter = Counter::new();
    let visit = suggested(&counter.show(2_000, &[(1, maybe(&[1, 2]))]));
    assert_eq!(opened(&counter.show(1_000, &[(1, is(1))])), [(visit, customer(1))]);
}

#[test]
fn two_regulars_at_once_are_two_visits() {
    let mut counter = Counter::new();
    let events = counter.show(5_000, &[(1, is(1)), (2, is(2))]);
    assert_eq!(opened(&events).len(), 2);
    let left = counter.show(3_000, &[(2, is(2))]);
    assert_eq!(left.len(), 1, "only the first has left: {left:?}");
}

#[test]
fn an_erased_customer_leaves_the_screen_and_no_more_is_said() {
    let mut counter = Counter::new();
    counter.show(5_000, &[(1, is(1))]);
    assert!(matches!(counter.visits.forget(customer(1))[..], [VisitEvent::Left { recorded: false, .. }]));
    assert_eq!(counter.show(400_000, &[(1, Decision::NoMatch)]), []);
}

#[test]
fn stopping_closes_what_is_open() {
    let mut counter = Counter::new();
    counter.show(5_000, &[(1, is(1)), (2, maybe(&[2]))]);
    let events = counter.visits.close_all();
    assert_eq!(events.iter().filter(|e| matches!(e, VisitEvent::Closed { .. })).count(), 1);
    assert_eq!(events.iter().filter(|e| matches!(e, VisitEvent::Left { .. })).count(), 2);
}

#[test]
fn strangers_and_undecided_faces_make_no_events() {
    let mut counter = Counter::new();
    assert_eq!(counter.show(60_000, &[(1, Decision::NoMatch), (2, Decision::Undecided(None))]), []);
}
