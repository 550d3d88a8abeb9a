//! What a cashier says where several tills are concerned, and faces that exchange a name.

use super::*;

/// The first customer before both tills, for `ms`.
fn at_both(shop: &mut Shop, ms: u64) -> Vec<VisitEvent> {
    shop.show_at(ms, &[(1, &[(1, is(1))]), (2, &[(2, is(1))])])
}

fn open_at_both(shop: &mut Shop) -> VisitId {
    let events = at_both(shop, 2_000);
    opened(&events)[0].0
}

#[test]
fn not_them_at_a_second_till_takes_them_off_that_screen_only() {
    let mut shop = Shop::new();
    let visit = open_at_both(&mut shop);
    let events = shop.say_at(2, visit, Verdict::No);
    assert_eq!(events, [VisitEvent::Left { visit, counter: till(2), recorded: true, last: false }]);
    assert_eq!(at_both(&mut shop, 60_000), [], "not named at the second again, and not gone from the first");
    assert_eq!(told(&shop.show(400_000, &[]), visit), ["gone", "closed"], "the record stands");
}

#[test]
fn not_them_where_the_visit_was_opened_voids_it_at_every_till() {
    let mut shop = Shop::new();
    let visit = open_at_both(&mut shop);
    let events = shop.say_at(1, visit, Verdict::No);
    let gone = VisitEvent::Left { visit, counter: till(2), recorded: true, last: false };
    assert_eq!(events, [gone, VisitEvent::Rejected { visit, counter: till(1), recorded: true }]);
    assert_eq!(at_both(&mut shop, 60_000), [], "neither till names that face again");
    assert_eq!(shop.show(400_000, &[]), [], "Rejected was the end: the row has none but this");
    assert_eq!(shop.say(visit, Verdict::Yes), None);
    assert_eq!(opened(&at_both(&mut shop, 2_000)).len(), 1, "the real one is greeted later");
}

#[test]
fn not_them_of_both_tills_voids_the_visit() {
    let mut shop = Shop::new();
    let visit = open_at_both(&mut shop);
    shop.say_at(2, visit, Verdict::No);
    assert_eq!(told(&shop.say_at(1, visit, Verdict::No), visit), ["rejected"]);

    let mut shop = Shop::new();
    let visit = open_at_both(&mut shop);
    shop.say_at(2, visit, Verdict::Yes);
    shop.say_at(2, visit, Verdict::No);
    assert_eq!(told(&shop.say_at(1, visit, Verdict::No), visit), ["rejected"], "their last word holds");
}

#[test]
fn not_them_at_the_only_till_that_has_them_voids_a_visit_opened_elsewhere() {
    let mut shop = Shop::new();
    let visit = open_at_both(&mut shop);
    shop.show_at(4_000, &[(2, &[(2, is(1))])]);
    assert_eq!(told(&shop.say_at(2, visit, Verdict::No), visit), ["rejected"], "it is the same wrong face");
}

#[test]
fn a_visit_that_a_card_or_a_cashier_vouches_for_outlives_a_mistake_at_another_till() {
    let by_card = |shop: &mut Shop| shop.enter(1).0;
    let by_yes = |shop: &mut Shop| {
        let (visit, _) = opened(&shop.show(2_000, &[(1, is(1))]))[0];
        shop.say_at(1, visit, Verdict::Yes);
        visit
    };
    let by_face_and_card = |shop: &mut Shop| {
        shop.show(2_000, &[(1, is(1))]);
        shop.enter(1).0
    };
    let by_question = |shop: &mut Shop| {
        let question = suggested(&shop.show(2_000, &[(1, maybe(&[1]))]));
        shop.say_at(1, question, Verdict::Yes);
        question
    };
    let by_question_later = |shop: &mut Shop| {
        let (visit, _) = opened(&shop.show(2_000, &[(1, is(1))]))[0];
        shop.show(5_000, &[]);
        let question = suggested(&shop.show(2_000, &[(2, maybe(&[1]))]));
        shop.say_at(1, question, Verdict::Yes);
        visit
    };
    let by_other = |shop: &mut Shop| {
        let (visit, _) = opened(&shop.show(2_000, &[(1, is(2))]))[0];
        shop.say_at(1, visit, Verdict::Other(customer(1)));
        visit
    };
    let ways: [fn(&mut Shop) -> VisitId; 6] =
        [by_card, by_yes, by_face_and_card, by_question, by_question_later, by_other];
    for begin in ways {
        let mut shop = Shop::new();
        let visit = begin(&mut shop);
        shop.show(125_000, &[]);
        assert_eq!(told(&shop.show_at(2_000, &[(2, &[(2, is(1))])]), visit), ["returned"]);
        let events = shop.say_at(2, visit, Verdict::No);
        assert_eq!(events, [VisitEvent::Left { visit, counter: till(2), recorded: true, last: true }]);
        assert_eq!(told(&shop.show(301_000, &[]), visit), ["closed"]);
    }
}

#[test]
fn another_customer_at_a_second_till_has_a_visit_of_their_own_there() {
    let mut shop = Shop::new();
    let visit = open_at_both(&mut shop);
    let events = shop.say_at(2, visit, Verdict::Other(customer(2)));
    let (theirs, who) = opened(&events)[0];
    assert_eq!((told(&events, visit), told(&events, theirs), who), (vec!["left"], vec!["opened"], customer(2)));
    assert_eq!(at_both(&mut shop, 10_000), [], "each face stays with whom it is");

    let mut shop = Shop::new();
    let visit = open_at_both(&mut shop);
    let (theirs, _) = shop.enter_at(3, 2);
    let events = shop.say_at(2, visit, Verdict::Other(customer(2)));
    assert_eq!((told(&events, visit), told(&events, theirs)), (vec!["left"], vec!["shown too"]));

    let mut shop = Shop::new();
    let visit = open_at_both(&mut shop);
    shop.say_at(2, visit, Verdict::Done);
    let (theirs, _) = opened(&shop.say_at(2, visit, Verdict::Other(customer(2))))[0];
    assert_eq!(told(&shop.say_at(2, theirs, Verdict::Done), theirs), ["left"], "named anew they are shown anew");
}

#[test]
fn another_customer_is_held_by_the_card_that_was_taken_for_someone_elses() {
    let mut shop = Shop::new();
    let (theirs, _) = opened(&shop.show(2_000, &[(1, is(2))]))[0];
    shop.show(5_000, &[]);
    let (visit, _) = shop.enter(1);
    let events = shop.say_at(1, visit, Verdict::Other(customer(2)));
    assert_eq!((told(&events, visit), told(&events, theirs)), (vec!["rejected"], vec!["returned"]));
    assert_eq!(shop.show(60_000, &[]), []);
}

#[test]
fn another_customer_where_the_visit_was_opened_takes_it_along_and_off_the_other_screens() {
    let mut shop = Shop::new();
    let visit = open_at_both(&mut shop);
    let events = shop.say_at(1, visit, Verdict::Other(customer(2)));
    assert_eq!(told(&events, visit), ["left", "reassigned"]);
    assert_eq!(at_both(&mut shop, 10_000), []);
    assert_eq!(told(&shop.show(3_000, &[]), visit), ["gone"]);
}

#[test]
fn a_refusal_holds_at_its_own_counter() {
    let mut shop = Shop::new();
    let question = suggested(&shop.show(2_000, &[(1, maybe(&[1]))]));
    shop.say_at(1, question, Verdict::No);
    let there = shop.show_at(2_000, &[(1, &[(1, maybe(&[1]))]), (2, &[(2, maybe(&[1]))])]);
    assert!(matches!(&there[..], [VisitEvent::Suggested { counter, .. }] if *counter == till(2)), "{there:?}");
}

#[test]
fn an_answer_that_comes_after_they_have_gone_brings_nobody_onto_a_screen() {
    for known in [false, true] {
        let mut shop = Shop::new();
        if known {
            shop.enter_at(3, 2);
        }
        let (visit, _) = opened(&shop.show(2_000, &[(1, is(1))]))[0];
        shop.show(10_000, &[]);
        let events = shop.say_at(1, visit, Verdict::Other(customer(2)));
        assert_eq!(events.len(), 1, "{events:?}");
        assert_eq!(told(&events, visit), [if known { "rejected" } else { "reassigned" }]);
        assert_eq!(told(&shop.show(301_000, &[]), visit), if known { vec![] } else { vec!["closed"] });
    }
}

#[test]
fn a_word_at_the_last_moment_is_taken() {
    let mut shop = Shop::new();
    let (visit, _) = opened(&shop.show(2_000, &[(1, is(1))]))[0];
    shop.now_ms += 400_000;
    let events = shop.say(visit, Verdict::Yes).expect("nothing has ticked since");
    assert_eq!(told(&events, visit), ["gone", "confirmed"]);
    assert_eq!(told(&shop.show(100, &[]), visit), ["closed"]);
}

#[test]
fn the_card_follows_the_more_similar_face_without_a_flicker() {
    let mut shop = Shop::new();
    let (visit, _) = opened(&shop.show(3_000, &[(1, is(1))]))[0];
    assert_eq!(shop.show(10_000, &[(1, Decision::NoMatch), (2, is(1))]), [], "the real one stands beside");
    assert_eq!(told(&shop.show(5_000, &[(1, Decision::NoMatch)]), visit), ["gone"], "and goes");
}

#[test]
fn a_face_that_has_lost_a_name_does_not_keep_its_card() {
    for lost in [Decision::NoMatch, is(2), maybe(&[2])] {
        let mut shop = Shop::new();
        let (visit, _) = opened(&shop.show(3_000, &[(1, is(1))]))[0];
        shop.show(1_000, &[(1, lost), (2, is(1))]);
        let events = shop.show(5_000, &[(1, maybe(&[1]))]);
        assert_eq!(told(&events, visit), ["gone"], "a doubtful look of it is no look of theirs");
    }
}

#[test]
fn two_faces_that_exchange_their_names_change_no_screen() {
    let mut shop = Shop::new();
    assert_eq!(opened(&shop.show(3_000, &[(1, is(1)), (2, is(2))])).len(), 2);
    assert_eq!(shop.show(10_000, &[(1, is(2)), (2, is(1))]), []);
}

#[test]
fn done_with_one_customer_does_not_hide_another_to_whom_the_face_turns_out_to_belong() {
    let mut shop = Shop::new();
    let (visit, _) = opened(&shop.show(3_000, &[(1, is(1))]))[0];
    shop.say(visit, Verdict::Done);
    assert_eq!(shop.show(1_000, &[(1, maybe(&[2]))]), [], "a worse look is no news");
    assert_eq!(opened(&shop.show(1_000, &[(1, is(2))])).len(), 1);
}
