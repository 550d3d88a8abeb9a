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

    /// The card of a customer is entered.
    fn enter(&mut self, n: u128) -> (VisitId, Vec<VisitEvent>) {
        let minted = &mut self.minted;
        let mut mint = || {
            *minted += 1;
            Uuid::from_u128(*minted)
        };
        self.visits.introduce(Monotonic::from_millis(self.now_ms), customer(n), &mut mint)
    }

    fn say(&mut self, visit: VisitId, answer: Verdict) -> Option<Vec<VisitEvent>> {
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
    let events = counter.say(visit, Verdict::Yes).expect("it is here");
    assert_eq!(opened(&events), [(visit, customer(1))]);
    assert_eq!(counter.show(5_000, &[(1, maybe(&[1, 2]))]), [], "the cashier's word holds while the face stays");
    let left = counter.show(3_000, &[]);
    assert!(matches!(left[..], [VisitEvent::Left { recorded: true, .. }]));
}

#[test]
fn a_no_ends_the_question_and_it_is_not_asked_again() {
    let mut counter = Counter::new();
    let visit = suggested(&counter.show(5_000, &[(1, maybe(&[1]))]));
    let events = counter.say(visit, Verdict::No).expect("it is here");
    assert!(matches!(events[..], [VisitEvent::Rejected { recorded: false, .. }]));
    assert_eq!(counter.show(60_000, &[(1, maybe(&[1]))]), []);
    assert_eq!(counter.show(10_000, &[(2, is(1))]), [], "nor under a new track");
    counter.show(31_000, &[]);
    assert_eq!(opened(&counter.show(5_000, &[(3, is(1))])).len(), 1, "the real one is greeted later");
    assert_eq!(counter.say(visit, Verdict::Yes), None);
}

#[test]
fn another_candidate_may_be_picked() {
    let mut counter = Counter::new();
    let visit = suggested(&counter.show(5_000, &[(1, maybe(&[1, 2]))]));
    let events = counter.say(visit, Verdict::Other(customer(2))).expect("it is here");
    assert_eq!(opened(&events), [(visit, customer(2))]);
}

#[test]
fn a_wrong_greeting_is_taken_back_and_not_repeated() {
    let mut counter = Counter::new();
    let (visit, _) = opened(&counter.show(5_000, &[(1, is(1))]))[0];
    let events = counter.say(visit, Verdict::No).expect("it is here");
    assert!(matches!(events[..], [VisitEvent::Rejected { recorded: true, .. }]));
    assert_eq!(counter.show(20_000, &[(1, is(1))]), []);
}

#[test]
fn a_visit_may_be_given_to_another_customer() {
    let mut counter = Counter::new();
    let (visit, _) = opened(&counter.show(5_000, &[(1, is(1))]))[0];
    let events = counter.say(visit, Verdict::Other(customer(2))).expect("it is here");
    assert!(matches!(events[..], [VisitEvent::Reassigned { customer: c, .. }] if c == customer(2)));
    assert_eq!(counter.show(10_000, &[(1, is(1))]), [], "the face stays with the one the cashier named");
}

#[test]
fn a_confirmed_customer_whose_visit_is_still_open_continues_it() {
    let mut counter = Counter::new();
    let (first, _) = opened(&counter.show(5_000, &[(1, is(1))]))[0];
    counter.show(10_000, &[]);
    let visit = suggested(&counter.show(2_000, &[(2, maybe(&[1]))]));
    let events = counter.say(visit, Verdict::Yes).expect("it is here");
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

/// What happened to `visit`, in words.
fn told(events: &[VisitEvent], visit: VisitId) -> Vec<&'static str> {
    let word = |e: &VisitEvent| match e {
        VisitEvent::Opened { visit, how: HowKnown::Entered, .. } => (*visit, "entered"),
        VisitEvent::Opened { visit, .. } => (*visit, "opened"),
        VisitEvent::Suggested { visit, .. } => (*visit, "asked"),
        VisitEvent::Returned { visit, .. } => (*visit, "returned"),
        VisitEvent::Held { visit, .. } => (*visit, "held"),
        VisitEvent::Confirmed { visit, .. } => (*visit, "confirmed"),
        VisitEvent::Rejected { visit, .. } => (*visit, "rejected"),
        VisitEvent::Reassigned { visit, .. } => (*visit, "reassigned"),
        VisitEvent::Left { visit, .. } => (*visit, "left"),
        VisitEvent::Closed { visit, .. } => (*visit, "closed"),
    };
    events.iter().map(word).filter(|(whose, _)| *whose == visit).map(|(_, word)| word).collect()
}

#[test]
fn a_card_opens_a_visit_that_stays_for_the_hold_without_any_face() {
    let mut counter = Counter::new();
    let (visit, events) = counter.enter(1);
    assert_eq!(told(&events, visit), ["entered"]);
    assert_eq!(counter.show(120_000, &[]), [], "nobody need see them");
    assert_eq!(told(&counter.show(300, &[]), visit), ["left"]);
    assert_eq!(told(&counter.show(301_000, &[]), visit), ["closed"]);
}

#[test]
fn a_card_entered_again_goes_on_with_the_visit() {
    let mut counter = Counter::new();
    let (visit, _) = counter.enter(1);
    counter.show(60_000, &[]);
    let (same, events) = counter.enter(1);
    assert_eq!((same, told(&events, visit)), (visit, vec!["held"]));
    assert_eq!(counter.show(119_000, &[]), [], "the hold begins anew");
    assert_eq!(told(&counter.show(2_000, &[]), visit), ["left"]);
    let (same, events) = counter.enter(1);
    assert_eq!((same, told(&events, visit)), (visit, vec!["returned"]), "within the merge window");
    counter.show(500_000, &[]);
    let (another, events) = counter.enter(1);
    assert_ne!(another, visit);
    assert_eq!(told(&events, another), ["entered"]);
}

#[test]
fn the_next_card_ends_the_hold_of_the_one_before() {
    let mut counter = Counter::new();
    let (first, _) = counter.enter(1);
    counter.show(1_000, &[]);
    let (second, events) = counter.enter(2);
    assert_eq!((told(&events, first), told(&events, second)), (vec!["left"], vec!["entered"]));
    assert_eq!(counter.show(60_000, &[]), []);
}

#[test]
fn the_next_card_leaves_those_whom_a_camera_sees() {
    let mut counter = Counter::new();
    let (by_face, _) = opened(&counter.show(2_000, &[(1, is(1))]))[0];
    let (by_card, _) = counter.enter(2);
    counter.show(2_000, &[(1, is(1)), (2, is(2))]);
    let (_, events) = counter.enter(3);
    assert_eq!((told(&events, by_face), told(&events, by_card)), (vec![], vec![]));
    assert_eq!(counter.show(10_000, &[(1, is(1)), (2, is(2))]), [], "all three stand there");
    let left = counter.show(3_000, &[(1, is(1))]);
    assert_eq!((told(&left, by_face), told(&left, by_card)), (vec![], vec!["left"]));
}

#[test]
fn a_face_of_another_customer_does_not_take_the_card_away() {
    let mut counter = Counter::new();
    let (by_card, _) = counter.enter(1);
    let events = counter.show(20_000, &[(7, is(2))]);
    assert_eq!(opened(&events).len(), 1, "the other one is greeted");
    assert!(told(&events, by_card).is_empty(), "{events:?}");
}

#[test]
fn a_face_and_a_card_of_one_customer_are_one_visit_in_either_order() {
    let mut counter = Counter::new();
    let (visit, _) = counter.enter(1);
    assert_eq!(counter.show(5_000, &[(1, is(1))]), [], "no second greeting");
    assert_eq!(told(&counter.show(3_000, &[]), visit), ["left"], "the camera saw them go before the hold was over");

    let mut counter = Counter::new();
    let (visit, _) = opened(&counter.show(2_000, &[(1, is(1))]))[0];
    let (same, events) = counter.enter(1);
    assert_eq!((same, told(&events, visit)), (visit, vec!["held"]));
    assert_eq!(counter.show(60_000, &[]), [], "out of sight, and held by the card");
}

#[test]
fn a_glimpse_of_the_face_does_not_end_the_hold() {
    let mut counter = Counter::new();
    counter.enter(1);
    assert_eq!(counter.show(300, &[(1, is(1))]), []);
    assert_eq!(counter.show(60_000, &[]), [], "shorter than the dwell time");
}

#[test]
fn a_card_answers_the_question_about_its_customer() {
    for (asked, n) in [(&[1][..], 1), (&[2, 1][..], 1)] {
        let mut counter = Counter::new();
        let question = suggested(&counter.show(2_000, &[(1, maybe(asked))]));
        let (visit, events) = counter.enter(n);
        assert_eq!((visit, told(&events, question)), (question, vec!["entered"]));
        assert_eq!(counter.show(10_000, &[(1, maybe(asked))]), [], "and the face is theirs: nobody is asked again");
    }
    let mut counter = Counter::new();
    let question = suggested(&counter.show(2_000, &[(1, maybe(&[2]))]));
    let (visit, events) = counter.enter(1);
    assert_ne!(visit, question);
    assert!(told(&events, question).is_empty(), "the question about somebody else stays");
}

#[test]
fn done_takes_the_customer_off_the_screen_and_they_are_not_shown_again_while_they_linger() {
    let mut counter = Counter::new();
    let (visit, _) = counter.enter(1);
    counter.show(2_000, &[(1, is(1))]);
    assert_eq!(told(&counter.say(visit, Verdict::Done).expect("here"), visit), ["left"]);
    assert_eq!(counter.say(visit, Verdict::Done), Some(vec![]), "twice is once");
    assert_eq!(counter.show(400_000, &[(1, is(1))]), [], "they stand there, longer than the merge window");
    assert_eq!(counter.show(10_000, &[(2, maybe(&[1]))]), [], "a worse look is no news either");
    counter.show(3_000, &[]);
    let back = counter.show(1_000, &[(3, is(1))]);
    assert_eq!(told(&back, visit), ["returned"], "gone and back");
}

#[test]
fn done_and_then_the_card_again_brings_them_back() {
    let mut counter = Counter::new();
    let (visit, _) = counter.enter(1);
    counter.say(visit, Verdict::Done);
    counter.show(1_000, &[]);
    assert_eq!(told(&counter.enter(1).1, visit), ["returned"]);
    assert_eq!(counter.show(60_000, &[]), []);
}

#[test]
fn a_refused_name_is_believed_when_their_card_is_entered() {
    let mut counter = Counter::new();
    let (wrong, _) = opened(&counter.show(2_000, &[(1, is(1))]))[0];
    counter.say(wrong, Verdict::No);
    let (visit, events) = counter.enter(1);
    assert_eq!(told(&events, visit), ["entered"]);
}

#[test]
fn a_question_on_one_camera_and_a_match_on_the_other_are_one_visit() {
    let mut counter = Counter::new();
    let question = suggested(&counter.show(1_000, &[(1, maybe(&[1]))]));
    let events = counter.show(5_000, &[(1, maybe(&[1])), (2, is(1))]);
    assert_eq!(opened(&events), [(question, customer(1))], "the match answers the other camera's question");
    assert_eq!(events.len(), 1, "{events:?}");

    let mut counter = Counter::new();
    counter.show(5_000, &[(1, is(1))]);
    counter.show(3_000, &[]);
    let question = suggested(&counter.show(2_000, &[(2, maybe(&[1]))]));
    let events = counter.show(2_000, &[(2, maybe(&[1])), (3, is(1))]);
    assert_eq!(told(&events, question), ["left"], "back by another camera: nothing is left to be asked");
    assert_eq!((events.len(), opened(&events).len()), (2, 0), "{events:?}");
}
