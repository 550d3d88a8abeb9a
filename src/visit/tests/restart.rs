//! A process that stops, and the one that takes up its visits.

use super::*;

const FIRST: VisitId = VisitId(Uuid::from_u128(77));

fn resumed(visit: VisitId, left_s: u64) -> Resumed {
    let (counter, how, left) = (till(1), HowKnown::Match, Duration::from_secs(left_s));
    Resumed { visit, counter, customer: customer(1), how, entered: false, left }
}

/// A process that has just begun: its time is 0.
fn restarted(all: impl IntoIterator<Item = Resumed>) -> Shop {
    let mut shop = Shop::new();
    for resumed in all {
        shop.visits.take_up(Monotonic::default(), resumed);
    }
    shop
}

#[test]
fn stopping_takes_everybody_off_the_screens_and_ends_no_visit() {
    let mut shop = Shop::new();
    let (visit, _) = opened(&shop.show_at(2_000, &[(1, &[(1, is(1))]), (2, &[(2, is(1))])]))[0];
    let question = suggested(&shop.show_at(1_000, &[(1, &[(1, is(1))]), (2, &[(2, is(1)), (3, maybe(&[2]))])]));
    let now = shop.now();
    let events = shop.visits.suspend(now);
    assert_eq!((told(&events, visit), told(&events, question)), (vec!["left", "gone"], vec!["gone"]));
    assert_eq!(events.len(), 3);
}

#[test]
fn who_stands_there_after_a_restart_is_named_without_a_second_greeting() {
    let mut shop = restarted([resumed(FIRST, 200)]);
    let events = shop.show_at(2_000, &[(2, &[(1, is(1))])]);
    assert_eq!(told(&events, FIRST), ["returned"]);
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(told(&shop.show(400_000, &[]), FIRST), ["gone", "closed"], "the visit goes on as any other");
}

#[test]
fn who_is_not_seen_again_has_left_for_good_at_the_deadline() {
    let mut shop = restarted([resumed(FIRST, 200)]);
    assert_eq!(shop.show(200_000, &[]), []);
    assert_eq!(shop.show(200, &[]), [VisitEvent::Closed { visit: FIRST, counter: till(1) }]);
    assert_eq!(opened(&shop.show(2_000, &[(1, is(1))])).len(), 1, "later is another visit");
}

#[test]
fn a_visit_without_time_left_is_over_before_anybody_is_seen() {
    let mut shop = restarted([resumed(FIRST, 0)]);
    let events = shop.show(1_000, &[(1, is(1))]);
    assert_eq!(told(&events, FIRST), ["closed"]);
    assert_eq!(opened(&events).len(), 1);
}

#[test]
fn of_two_visits_of_one_customer_one_goes_on() {
    let second = VisitId(Uuid::from_u128(78));
    let pair = [resumed(FIRST, 100), resumed(second, 200)];
    for all in [pair.clone(), [pair[1].clone(), pair[0].clone()]] {
        let mut shop = restarted(all);
        let events = shop.show(2_000, &[(1, is(1))]);
        assert_eq!((told(&events, FIRST), told(&events, second)), (vec!["closed"], vec!["returned"]));
        assert_eq!(events.len(), 2);
    }
    let mut shop = restarted([resumed(FIRST, 100), resumed(FIRST, 100)]);
    assert_eq!(shop.show(200_000, &[]).len(), 1, "taken up twice is once");
}

#[test]
fn a_card_given_before_the_restart_is_still_a_card() {
    let by_card = Resumed { how: HowKnown::Entered, entered: true, ..resumed(FIRST, 200) };
    let mut shop = restarted([by_card]);
    assert!(shop.visits.is_entered(FIRST));
    assert_eq!(shop.visits.customers(), [(customer(1), true)]);
    shop.show_at(2_000, &[(2, &[(1, is(1))])]);
    assert_eq!(told(&shop.say_at(2, FIRST, Verdict::No), FIRST), ["gone"], "and vouches for the visit");
    for (how, told_of_it) in [(HowKnown::Confirmed, "gone"), (HowKnown::Match, "rejected")] {
        let mut shop = restarted([Resumed { how, ..resumed(FIRST, 200) }]);
        shop.show_at(2_000, &[(2, &[(1, is(1))])]);
        assert_eq!(told(&shop.say_at(2, FIRST, Verdict::No), FIRST), [told_of_it], "a match alone does not");
    }
}
