//! Stays of the whole box: one visit, whatever tills see the customer.

use super::*;

fn left(events: &[VisitEvent]) -> Vec<(VisitId, CounterId, bool)> {
    let left = |e: &VisitEvent| match e {
        VisitEvent::Left { visit, counter, last, .. } => Some((*visit, counter.clone(), *last)),
        _ => None,
    };
    events.iter().filter_map(left).collect()
}

#[test]
fn two_tills_that_see_one_queue_make_one_visit() {
    let mut shop = Shop::new();
    let events = shop.show_at(5_000, &[(1, &[(1, is(1))]), (2, &[(2, is(1))])]);
    let (visit, _) = opened(&events)[0];
    assert_eq!(told(&events, visit), ["opened", "shown too"]);
    assert_eq!(events.len(), 2, "{events:?}");
    assert!(
        matches!(&events[0], VisitEvent::Opened { counter, .. } if *counter == till(1)),
        "the record bears the first"
    );
    assert!(matches!(&events[1], VisitEvent::Returned { counter, entered: false, .. } if *counter == till(2)));
}

#[test]
fn a_second_till_shows_nobody_who_only_walks_past_it() {
    let mut shop = Shop::new();
    shop.show(2_000, &[(1, is(1))]);
    assert_eq!(shop.show_at(300, &[(1, &[(1, is(1))]), (2, &[(2, is(1))])]), []);
    assert_eq!(shop.show_at(60_000, &[(1, &[(1, is(1))])]), []);
    assert_eq!(shop.show_at(1_000, &[(1, &[(1, is(1))]), (2, &[(3, is(1))])]).len(), 1, "who stays is shown");
}

#[test]
fn each_till_shows_only_who_stands_at_it_and_the_visit_ends_when_they_are_gone_everywhere() {
    let mut shop = Shop::new();
    let (visit, _) = opened(&shop.show(2_000, &[(1, is(1))]))[0];
    let both = shop.show_at(2_000, &[(1, &[(1, is(1))]), (2, &[(2, is(1))])]);
    assert_eq!(told(&both, visit), ["shown too"]);
    let at_the_second = shop.show_at(400_000, &[(2, &[(2, is(1))])]);
    assert_eq!(left(&at_the_second), [(visit, till(1), false)], "longer than the merge window, and not gone");
    assert_eq!(told(&shop.show_at(1_000, &[(1, &[(3, is(1))]), (2, &[(2, is(1))])]), visit), ["shown too"]);
    let going = shop.show_at(5_000, &[(1, &[(3, is(1))])]);
    assert_eq!(left(&going), [(visit, till(2), false)]);
    assert_eq!(left(&shop.show(5_000, &[])), [(visit, till(1), true)]);
    assert_eq!(told(&shop.show_at(1_000, &[(3, &[(4, is(1))])]), visit), ["returned"], "at whatever till");
    assert_eq!(left(&shop.show(5_000, &[])), [(visit, till(3), true)]);
    let closed = shop.show(301_000, &[]);
    assert_eq!(closed, [VisitEvent::Closed { visit, counter: till(1) }], "the record is the first till's");
}

#[test]
fn after_the_merge_window_a_new_visit_begins_though_nothing_ticked_meanwhile() {
    let mut shop = Shop::new();
    let (visit, _) = opened(&shop.show(2_000, &[(1, is(1))]))[0];
    shop.now_ms += 400_000;
    let events = shop.show(1_000, &[(2, is(1))]);
    assert_eq!(told(&events, visit), ["gone", "closed"]);
    let (second, _) = opened(&events)[0];
    assert_ne!(second, visit);
    shop.now_ms += 400_000;
    let (third, events) = shop.enter(1);
    assert_eq!((told(&events, second), told(&events, third)), (vec!["gone", "closed"], vec!["entered"]));
    shop.show(121_000, &[]);
    let question = suggested(&shop.show(1_000, &[(3, maybe(&[1]))]));
    shop.now_ms += 400_000;
    let events = shop.say(question, Verdict::Yes).expect("it is here");
    assert_eq!((told(&events, third), told(&events, question)), (vec!["closed"], vec!["opened"]));
}

#[test]
fn the_window_runs_from_their_leaving_not_from_the_tick_that_noticed_it() {
    let mut shop = Shop::new();
    shop.show(2_000, &[(1, is(1))]);
    shop.now_ms += 290_000;
    assert_eq!(left(&shop.show(100, &[])).len(), 1);
    assert!(matches!(shop.show(13_000, &[])[..], [VisitEvent::Closed { .. }]), "300 s after they left");
}

#[test]
fn the_window_runs_from_the_last_leaving_of_several() {
    let mut shop = Shop::new();
    let (visit, _) = opened(&shop.show_at(2_000, &[(1, &[(1, is(1))]), (2, &[(2, is(1))])]))[0];
    shop.show_at(2_000, &[(2, &[(2, is(1))])]);
    shop.now_ms += 290_000;
    assert_eq!(left(&shop.show(11_900, &[])), [(visit, till(1), false), (visit, till(2), true)]);
    assert!(matches!(shop.show(1_000, &[])[..], [VisitEvent::Closed { .. }]));
}

#[test]
fn faces_that_have_gone_are_not_kept() {
    let mut shop = Shop::new();
    for track in 0..1_000 {
        shop.show(500, &[(2 * track, is(1)), (2 * track + 1, maybe(&[2]))]);
    }
    let visits = &shop.visits;
    let of_stays = visits.stays.iter().flat_map(Stay::presences).map(|(_, presence)| presence.tracks.len()).sum();
    let of_questions: usize = visits.questions.iter().map(|question| question.tracks.len()).sum();
    let kept: [usize; 3] = [of_stays, of_questions, visits.arrivals.len()];
    assert!(kept.iter().all(|kept| (1..=12).contains(kept)), "{kept:?}");
}

#[test]
fn a_card_given_at_a_second_till_goes_on_with_the_visit_and_holds_there_only() {
    let mut shop = Shop::new();
    let (visit, _) = opened(&shop.show(2_000, &[(1, is(1))]))[0];
    let (same, events) = shop.enter_at(2, 1);
    assert_eq!((same, told(&events, visit)), (visit, vec!["shown too"]));
    assert!(matches!(&events[..], [VisitEvent::Returned { counter, entered: true, .. }] if *counter == till(2)));
    assert_eq!(left(&shop.show(5_000, &[])), [(visit, till(1), false)], "at the first till their face tells");
    let (_, events) = shop.enter_at(1, 2);
    assert_eq!(told(&events, visit), Vec::<&str>::new(), "the next card at another till is not the next customer here");
    let (_, events) = shop.enter_at(2, 3);
    assert_eq!(left(&events), [(visit, till(2), true)]);
}

#[test]
fn a_question_is_asked_at_its_own_till_and_its_answer_joins_the_visit() {
    let mut shop = Shop::new();
    let (visit, _) = opened(&shop.show(2_000, &[(1, is(1))]))[0];
    let question = suggested(&shop.show_at(2_000, &[(1, &[(1, is(1))]), (2, &[(2, maybe(&[1]))])]));
    let events = shop.say_at(2, question, Verdict::Yes);
    assert_eq!((told(&events, question), told(&events, visit)), (vec!["gone"], vec!["shown too"]));
    assert_eq!(shop.show_at(10_000, &[(1, &[(1, is(1))]), (2, &[(2, maybe(&[1]))])]), [], "and is not asked again");
}

#[test]
fn done_at_one_till_leaves_them_on_the_screen_of_another() {
    let mut shop = Shop::new();
    let both: [(u8, &[(u64, Decision)]); 2] = [(1, &[(1, is(1))]), (2, &[(2, is(1))])];
    let (visit, _) = opened(&shop.show_at(2_000, &both))[0];
    assert_eq!(left(&shop.say_at(1, visit, Verdict::Done)), [(visit, till(1), false)]);
    assert_eq!(shop.show_at(10_000, &both), [], "off the first, on the second");
    assert_eq!(left(&shop.say_at(2, visit, Verdict::Done)), [(visit, till(2), false)], "they stand there");
    assert_eq!(left(&shop.show(5_000, &[])).len(), 1, "the visit ends once");
    shop.show_at(2_000, &both);
    assert_eq!(left(&shop.say(visit, Verdict::Done).expect("here")).len(), 2, "said of no till it is said of all");
}

#[test]
fn an_erased_customer_leaves_every_screen() {
    let mut shop = Shop::new();
    let (visit, _) = opened(&shop.show_at(2_000, &[(1, &[(1, is(1))]), (2, &[(2, is(1))])]))[0];
    let events = shop.visits.forget(customer(1));
    assert_eq!(left(&events), [(visit, till(1), false), (visit, till(2), true)]);
    assert_eq!(shop.show(400_000, &[]), []);
}

#[test]
fn whoever_is_at_a_counter_that_is_configured_no_more_leaves_it() {
    let mut shop = Shop::new();
    let (visit, _) = opened(&shop.show_at(2_000, &[(1, &[(1, is(1))]), (2, &[(2, is(1))])]))[0];
    let question = suggested(&shop.show_at(1_000, &[(1, &[(1, is(1)), (3, maybe(&[2]))]), (2, &[(2, is(1))])]));
    let now = shop.now();
    let events = shop.visits.close_counter(now, &till(1));
    assert_eq!(left(&events), [(question, till(1), true), (visit, till(1), false)]);
    assert_eq!(left(&shop.visits.close_counter(now, &till(2))), [(visit, till(2), true)]);
    assert_eq!(told(&shop.show_at(1_000, &[(3, &[(4, is(1))])]), visit), ["returned"]);
}

#[test]
fn the_visits_that_have_not_ended_are_told_with_when_they_were_last_seen() {
    let mut shop = Shop::new();
    let (visit, _) = opened(&shop.show(2_000, &[(1, is(1))]))[0];
    shop.show_at(1_000, &[(2, &[(2, is(1)), (3, maybe(&[2]))])]);
    assert_eq!(shop.visits.present(), [(visit, Monotonic::from_millis(2_900))], "by any till, and no question");
    shop.say(visit, Verdict::Done);
    assert_eq!(shop.visits.present(), [(visit, Monotonic::from_millis(3_000))], "who lingers has no end yet");
    shop.show(5_000, &[]);
    assert_eq!(shop.visits.present(), []);
}

#[test]
fn new_times_hold_at_once_and_a_window_that_runs_keeps_its_end() {
    let mut shop = Shop::new();
    let (visit, _) = opened(&shop.show(2_000, &[(1, is(1))]))[0];
    let config = VisitConfig { absence: Duration::from_secs(10), ..VisitConfig::default() };
    shop.visits.reconfigure(config.clone());
    assert_eq!(shop.show(9_000, &[]), []);
    assert_eq!(told(&shop.show(2_000, &[]), visit), ["gone"]);
    shop.visits.reconfigure(VisitConfig { merge: Duration::from_secs(1), ..config });
    assert_eq!(shop.show(290_000, &[]), []);
    assert_eq!(told(&shop.show(11_000, &[]), visit), ["closed"]);
}
