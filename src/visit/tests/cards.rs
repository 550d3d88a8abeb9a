//! Cards and phones, and the cashier who is done.

use super::*;

#[test]
fn a_card_opens_a_visit_that_stays_for_the_hold_without_any_face() {
    let mut shop = Shop::new();
    let (visit, events) = shop.enter(1);
    assert_eq!(told(&events, visit), ["entered"]);
    assert_eq!(shop.show(120_000, &[]), [], "nobody need see them");
    assert_eq!(told(&shop.show(300, &[]), visit), ["gone"]);
    assert_eq!(told(&shop.show(301_000, &[]), visit), ["closed"]);
}

#[test]
fn a_card_entered_again_goes_on_with_the_visit() {
    let mut shop = Shop::new();
    let (visit, _) = shop.enter(1);
    shop.show(60_000, &[]);
    let (same, events) = shop.enter(1);
    assert_eq!((same, told(&events, visit)), (visit, vec!["held"]));
    assert_eq!(shop.show(119_000, &[]), [], "the hold begins anew");
    assert_eq!(told(&shop.show(2_000, &[]), visit), ["gone"]);
    let (same, events) = shop.enter(1);
    assert_eq!((same, told(&events, visit)), (visit, vec!["returned"]), "within the merge window");
    shop.show(500_000, &[]);
    let (another, events) = shop.enter(1);
    assert_ne!(another, visit);
    assert_eq!(told(&events, another), ["entered"]);
}

#[test]
fn the_next_card_ends_the_hold_of_the_one_before() {
    let mut shop = Shop::new();
    let (first, _) = shop.enter(1);
    shop.show(1_000, &[]);
    let (second, events) = shop.enter(2);
    assert_eq!((told(&events, first), told(&events, second)), (vec!["gone"], vec!["entered"]));
    assert_eq!(shop.show(60_000, &[]), []);
}

#[test]
fn the_next_card_leaves_those_whom_a_camera_sees() {
    let mut shop = Shop::new();
    let (by_face, _) = opened(&shop.show(2_000, &[(1, is(1))]))[0];
    let (by_card, _) = shop.enter(2);
    shop.show(2_000, &[(1, is(1)), (2, is(2))]);
    let (_, events) = shop.enter(3);
    assert_eq!((told(&events, by_face), told(&events, by_card)), (vec![], vec![]));
    assert_eq!(shop.show(10_000, &[(1, is(1)), (2, is(2))]), [], "all three stand there");
    let left = shop.show(3_000, &[(1, is(1))]);
    assert_eq!((told(&left, by_face), told(&left, by_card)), (vec![], vec!["gone"]));
}

#[test]
fn a_face_of_another_customer_does_not_take_the_card_away() {
    let mut shop = Shop::new();
    let (by_card, _) = shop.enter(1);
    let events = shop.show(20_000, &[(7, is(2))]);
    assert_eq!(opened(&events).len(), 1, "the other one is greeted");
    assert!(told(&events, by_card).is_empty(), "{events:?}");
}

#[test]
fn a_face_and_a_card_of_one_customer_are_one_visit_in_either_order() {
    let mut shop = Shop::new();
    let (visit, _) = shop.enter(1);
    assert_eq!(shop.show(5_000, &[(1, is(1))]), [], "no second greeting");
    assert_eq!(told(&shop.show(3_000, &[]), visit), ["gone"], "the camera saw them go before the hold was over");

    let mut shop = Shop::new();
    let (visit, _) = opened(&shop.show(2_000, &[(1, is(1))]))[0];
    let (same, events) = shop.enter(1);
    assert_eq!((same, told(&events, visit)), (visit, vec!["held"]));
    assert_eq!(shop.show(60_000, &[]), [], "out of sight, and held by the card");
}

#[test]
fn a_glimpse_of_the_face_does_not_end_the_hold() {
    let mut shop = Shop::new();
    shop.enter(1);
    assert_eq!(shop.show(300, &[(1, is(1))]), []);
    assert_eq!(shop.show(60_000, &[]), [], "shorter than the dwell time");
}

#[test]
fn a_card_answers_the_question_about_its_customer() {
    for (asked, n) in [(&[1][..], 1), (&[2, 1][..], 1)] {
        let mut shop = Shop::new();
        let question = suggested(&shop.show(2_000, &[(1, maybe(asked))]));
        let (visit, events) = shop.enter(n);
        assert_eq!((visit, told(&events, question)), (question, vec!["entered"]));
        assert_eq!(shop.show(10_000, &[(1, maybe(asked))]), [], "and the face is theirs: nobody is asked again");
    }
    let mut shop = Shop::new();
    let question = suggested(&shop.show(2_000, &[(1, maybe(&[2]))]));
    let (visit, events) = shop.enter(1);
    assert_ne!(visit, question);
    assert!(told(&events, question).is_empty(), "the question about somebody else stays");
}

#[test]
fn done_takes_the_customer_off_the_screen_and_they_are_not_shown_again_while_they_linger() {
    let mut shop = Shop::new();
    let (visit, _) = shop.enter(1);
    shop.show(2_000, &[(1, is(1))]);
    assert_eq!(told(&shop.say(visit, Verdict::Done).expect("here"), visit), ["left"]);
    assert_eq!(shop.say(visit, Verdict::Done), Some(vec![]), "twice is once");
    assert_eq!(shop.show(400_000, &[(1, is(1))]), [], "they stand there, longer than the merge window");
    assert_eq!(shop.show(10_000, &[(2, maybe(&[1]))]), [], "a worse look is no news either");
    assert_eq!(told(&shop.show(3_000, &[]), visit), ["gone"], "only now the visit has an end");
    let back = shop.show(1_000, &[(3, is(1))]);
    assert_eq!(told(&back, visit), ["returned"], "gone and back");
}

#[test]
fn done_and_then_the_card_again_brings_them_back() {
    let mut shop = Shop::new();
    let (visit, _) = shop.enter(1);
    shop.say(visit, Verdict::Done);
    shop.show(1_000, &[]);
    assert_eq!(told(&shop.enter(1).1, visit), ["shown too"]);
    assert_eq!(shop.show(60_000, &[]), []);
}

#[test]
fn a_refused_name_is_believed_when_their_card_is_entered() {
    let mut shop = Shop::new();
    let (wrong, _) = opened(&shop.show(2_000, &[(1, is(1))]))[0];
    shop.say(wrong, Verdict::No);
    let (visit, events) = shop.enter(1);
    assert_eq!(told(&events, visit), ["entered"]);
}
