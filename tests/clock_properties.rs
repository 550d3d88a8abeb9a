//! The judged clock under any sequence of steps, stops and heard dates.
//!
//! Each rule by itself is `clock.rs`.
#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/clock_machine.rs"]
mod clock_machine;

use std::time::Duration;

use clock_machine::{HOUR, Machine, today};
use jiff::SignedDuration;
use proptest::prelude::*;
use snova::clock::{Clock, Kept, Trust, release_time};

/// What happens to a box.
#[derive(Clone, Debug)]
enum Happening {
    Passes(Duration),
    /// Somebody or something sets the wall clock, this far from the true time.
    Step(i64),
    /// A time server is reached, and is right.
    Synchronise,
    Unplug,
    /// A CRM that is right, but for some minutes.
    Hear(i64),
    /// The owner accepts the clock, having set it right.
    SetAndAccept,
    /// Off for so long; the chip goes on.
    Restart(Duration),
}

fn happening() -> impl Strategy<Value = Happening> {
    let hours = |most: u32| (0..most).prop_map(|hours| HOUR * hours);
    prop_oneof![
        4 => hours(1_000).prop_map(Happening::Passes),
        2 => (-20 * 365 * 24..20 * 365 * 24i64).prop_map(Happening::Step),
        1 => (-2..2i64).prop_map(Happening::Step),
        1 => Just(Happening::Synchronise),
        1 => Just(Happening::Unplug),
        1 => (-8..8i64).prop_map(Happening::Hear),
        1 => Just(Happening::SetAndAccept),
        2 => hours(399 * 24).prop_map(Happening::Restart),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_the_floor_stays_below_the_truth(happenings in prop::collection::vec(happening(), 1..60)) {
        let tolerance = SignedDuration::from_mins(10);
        let (mut truth, mut apart) = (today(), SignedDuration::ZERO);
        let mut machine = Machine::starts(truth, false, Kept::default());
        for happening in happenings {
            let before = machine.trust();
            let passes = matches!(happening, Happening::Passes(_));
            match happening {
                Happening::Passes(time) => {
                    truth += time;
                    machine.hands.advance(time);
                }
                Happening::Step(hours) => {
                    apart = SignedDuration::from_hours(hours);
                    machine.hands.set_synchronised(false);
                }
                Happening::Synchronise => {
                    apart = SignedDuration::ZERO;
                    machine.hands.step_wall(truth);
                    machine.hands.set_synchronised(true);
                }
                Happening::Unplug => machine.hands.set_synchronised(false),
                Happening::Hear(minutes) => machine.clock.hear(truth + SignedDuration::from_mins(minutes)),
                Happening::SetAndAccept => {
                    apart = SignedDuration::ZERO;
                    machine.hands.set_synchronised(false);
                    machine.hands.step_wall(truth);
                    machine.clock.accept(truth);
                    prop_assert_eq!(machine.trust(), Trust::Plausible);
                }
                Happening::Restart(off) => {
                    let kept = machine.kept();
                    truth += off;
                    machine = Machine::starts(truth + apart, false, kept);
                }
            }
            machine.hands.step_wall(truth + apart);
            let floor = machine.judged().floor;
            prop_assert!(floor <= truth + tolerance, "{} at {}", floor, truth);
            prop_assert!(floor >= release_time());
            if passes && before == Trust::Plausible {
                prop_assert_eq!(machine.trust(), Trust::Plausible, "time merely passed");
            }
        }
    }

    #[test]
    fn an_honest_clock_is_never_doubted(stops in prop::collection::vec((0..2_000u32, 0..9_500u32), 1..40)) {
        let (mut truth, mut kept) = (today(), Kept::default());
        for (on, off) in stops {
            let machine = Machine::starts(truth, false, kept);
            prop_assert_eq!(machine.trust(), Trust::Plausible);
            machine.hands.advance(HOUR * on);
            truth += HOUR * on;
            machine.clock.hear(truth);
            prop_assert_eq!(machine.trust(), Trust::Plausible);
            kept = machine.kept();
            truth += HOUR * off;
        }
    }
}
