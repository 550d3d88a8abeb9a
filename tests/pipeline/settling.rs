//! Who of several faces has the name, over time; and what is left of a face when its camera falls silent.

use std::sync::atomic::Ordering;
use std::time::Duration;

use snova::clock::Clock;
use snova::customer::{CustomerId, Decision, Sighting};
use snova::face::BoundingBox;

use crate::box_under_test::{BoxUnderTest, Moment};
use crate::scripted_vision::{ScriptedVision, picture};
use crate::{FRAME, LEFT, RIGHT, enrol, shop, show};

/// Where the one face that is matched with `customer` stands, if it is.
fn named_at(moment: &Moment, customer: CustomerId) -> Option<f32> {
    let is_it = |s: &&Sighting| matches!(&s.decision, Decision::Match(c) if c.customer == customer);
    let mut all = moment.sightings.iter().filter(is_it);
    let first = all.next().map(|s| s.bounds.x1);
    assert!(all.next().is_none(), "two faces cannot be one customer");
    first
}

fn stands_at(moment: &Moment, customer: CustomerId, place: BoundingBox) -> bool {
    named_at(moment, customer).is_some_and(|x| (x - place.x1).abs() < 5.0)
}

#[test]
fn the_true_customer_takes_the_name_back_from_a_stranger() {
    let mut vision = ScriptedVision::new(64).with_noise(0.2);
    let face = vision.person("ivan");
    let stranger = vision.lookalike("stranger", face, 0.7);
    let calls = vision.calls();
    let mut shop = shop(vision);
    let ivan = enrol(&mut shop, "Иван", face);
    let alone = show(&mut shop, 20, &[(stranger, RIGHT())]);
    assert!(stands_at(&alone[19], ivan, RIGHT()), "that is how alike they are");
    calls.chips.store(0, Ordering::Relaxed);
    let both = show(&mut shop, 30, &[(face, LEFT()), (stranger, RIGHT())]);
    let back = both.iter().position(|m| stands_at(m, ivan, LEFT())).expect("the name goes to its owner");
    assert!((4..=5).contains(&back), "as soon as three looks at him have decided, not in frame {back}");
    assert!(both[back..].iter().all(|m| stands_at(m, ivan, LEFT())), "and stays with him");
    let nobody = |m: &Moment| m.sightings.iter().any(|s| s.decision == Decision::NoMatch);
    assert!(nobody(&both[29]), "the stranger was looked at again and is nobody");
    let later = show(&mut shop, 30, &[(face, LEFT()), (stranger, RIGHT())]);
    assert!(later.iter().all(|m| stands_at(m, ivan, LEFT()) && m.named() == [ivan]));
    assert!(calls.chips.load(Ordering::Relaxed) <= 3 + 20, "who bears a name costs no looks, who lost it its attempts");
    // He goes; the stranger, who stands there still, does not become him again.
    let left = show(&mut shop, 60, &[(stranger, RIGHT())]);
    assert!(left.iter().all(|m| named_at(m, ivan).is_none()));
    assert!(left[59].named().is_empty(), "and the card has gone with its owner");
    assert_eq!(shop.rows("visits"), 1);
}

#[test]
fn two_alike_do_not_flicker() {
    let mut vision = ScriptedVision::new(64).with_noise(0.2);
    let face = vision.person("ivan");
    let twin = vision.lookalike("his twin", face, 0.995);
    let mut shop = shop(vision);
    let ivan = enrol(&mut shop, "Иван", face);
    show(&mut shop, 20, &[(twin, RIGHT())]);
    let both = show(&mut shop, 90, &[(face, LEFT()), (twin, RIGHT())]);
    assert!(both.iter().all(|m| stands_at(m, ivan, RIGHT())), "who came first keeps the name: nobody can tell better");
    // A frame in which the detector misses the one with the name is no reason to give it away.
    for _ in 0..5 {
        let missed = show(&mut shop, 1, &[(face, LEFT())]);
        assert!(named_at(&missed[0], ivan).is_none());
        let again = show(&mut shop, 6, &[(face, LEFT()), (twin, RIGHT())]);
        assert!(again.iter().all(|m| named_at(m, ivan).is_none() || stands_at(m, ivan, RIGHT())));
        assert!(stands_at(&again[5], ivan, RIGHT()));
    }
}

#[test]
fn a_lost_camera_keeps_no_face_in_memory() {
    let mut vision = ScriptedVision::new(64);
    let (face, stranger) = (vision.person("ivan"), vision.person("stranger"));
    let mut shop = shop(vision);
    enrol(&mut shop, "Иван", face);
    let faces = [(face, LEFT()), (stranger, RIGHT())];
    show(&mut shop, 12, &faces);
    let pass = |shop: &mut BoxUnderTest, ms| {
        shop.clock.advance(Duration::from_millis(ms));
        shop.pipeline.pass(shop.clock.monotonic());
        shop.pipeline.followed()
    };
    assert_eq!(pass(&mut shop, 700), 2, "a frame may still come");
    assert_eq!(pass(&mut shop, 1000), 0, "none came: whoever stood there is forgotten");
    // Another camera's frames are no life sign of this one; pictures that cannot be used are none either.
    show(&mut shop, 12, &faces);
    for _ in 0..30 {
        shop.clock.advance(FRAME);
        shop.see_by("till-1-side", picture(320, 240, &[]), Vec::new());
    }
    assert_eq!(shop.pipeline.followed(), 0);
}
