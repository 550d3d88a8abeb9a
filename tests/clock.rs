//! The judged clock: which wall time is believed, what raises and lowers the floor, and what is kept over a stop.
//!
//! What holds whatever happens is `clock_properties.rs`; what the service does by it is `clock_service.rs`.
#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/clock_machine.rs"]
mod clock_machine;
#[path = "support/store_fixture.rs"]
mod store_fixture;

use std::sync::Arc;
use std::time::Duration;

use clock_machine::{DAY, HOUR, MINUTE, Machine, time, today};
use jiff::SignedDuration;
use jiff::civil::date;
use jiff::tz::TimeZone;
use snova::clock::{Clock, Kept, RELEASE, SimulatedClock, SinceBoot, Trust, TrustedClock, release_time};
use snova::customer::{Consent, Purpose};
use store_fixture::{consent, fresh};

#[test]
fn the_release_is_the_one_that_is_built_and_its_date_has_passed() {
    assert_eq!(RELEASE.0, env!("CARGO_PKG_VERSION"), "a new release: set its date in clock::RELEASE");
    assert!(release_time() < today(), "the tests of this file live after the release");
}

#[test]
fn a_clock_before_the_release_is_behind_even_on_a_new_box_and_even_if_a_time_server_says_so() {
    for synchronised in [false, true] {
        let machine = Machine::starts(time("1970-01-01T00:00:20Z"), synchronised, Kept::default());
        assert_eq!(machine.trust(), Trust::Behind);
        assert_eq!(machine.judged().floor, release_time());
    }
}

#[test]
fn a_new_box_with_a_clock_chip_and_no_network_is_plausible_and_one_that_stands_in_2036_is_not() {
    assert_eq!(Machine::starts(today(), false, Kept::default()).trust(), Trust::Plausible);
    let shelved = release_time() + 1_000 * DAY;
    assert_eq!(Machine::starts(shelved, false, Kept::default()).trust(), Trust::Plausible, "installed years later");
    assert_eq!(Machine::starts(time("2036-02-07T06:28:16Z"), false, Kept::default()).trust(), Trust::Ahead);
}

#[test]
fn synchronised_time_raises_the_floor_and_a_clock_nobody_synchronises_does_not() {
    let chip = Machine::starts(today(), false, Kept::default());
    assert_eq!(chip.judged().floor, release_time());
    chip.hands.set_synchronised(true);
    assert_eq!(chip.judged().floor, today());
}

#[test]
fn time_that_passes_raises_the_floor_at_its_own_pace_whatever_the_wall_clock_does() {
    let machine = Machine::starts(today(), true, Kept::default());
    machine.judged();
    machine.hands.set_synchronised(false);
    machine.hands.advance(DAY);
    machine.set_wall(today() + 400 * DAY);
    let risen = machine.judged().floor.duration_since(today());
    assert!(risen <= SignedDuration::from_hours(24), "{risen}");
    assert!(
        risen > SignedDuration::from_hours(24) - SignedDuration::from_secs(60),
        "but for a quartz's error: {risen}"
    );
}

#[test]
fn a_clock_that_wakes_up_below_the_floor_is_behind() {
    let kept = Machine::was_right_at(today());
    let machine = Machine::starts(today() - HOUR, false, kept.clone());
    assert_eq!(machine.trust(), Trust::Behind);
    let words = machine.judged().to_string();
    assert!(words.contains("2027-05-12T08:00:00Z") && words.contains("it is 2027-05-12T09:00:00Z at least"), "{words}");
    assert_eq!(Machine::starts(today() - 9 * MINUTE, false, kept).trust(), Trust::Plausible, "a chip's drift is none");
}

#[test]
fn a_chip_that_fell_back_by_months_over_a_stop_is_behind_though_the_floor_is_older() {
    let kept = Machine::starts(today(), false, Kept::default()).kept();
    assert_eq!(kept.floor, Some(release_time()), "nobody ever synchronised it");
    assert_eq!(Machine::starts(today() - 60 * DAY, false, kept.clone()).trust(), Trust::Behind);
    assert_eq!(Machine::starts(today() - HOUR, false, kept).trust(), Trust::Plausible, "it was corrected by an hour");
}

#[test]
fn a_stop_may_last_400_days_and_no_longer() {
    let kept = Machine::was_right_at(today());
    assert_eq!(Machine::starts(today() + 399 * DAY, false, kept.clone()).trust(), Trust::Plausible);
    let machine = Machine::starts(today() + 401 * DAY, false, kept);
    assert_eq!(machine.trust(), Trust::Ahead);
    assert!(machine.judged().to_string().contains("which is still to come"), "{}", machine.judged());
}

#[test]
fn a_shop_that_is_never_synchronised_stays_plausible_over_many_stops() {
    let mut kept = Kept::default();
    // Open half of the day, for six years: the floor falls behind by three.
    for day in 0..2_200 {
        let machine = Machine::starts(today() + day * DAY, false, kept);
        assert_eq!(machine.trust(), Trust::Plausible, "day {day}");
        machine.hands.advance(12 * HOUR);
        assert_eq!(machine.trust(), Trust::Plausible, "day {day}");
        kept = machine.kept();
    }
}

#[test]
fn a_chip_that_loses_fifteen_seconds_a_day_never_falls_below_the_floor() {
    let mut kept = Machine::was_right_at(today());
    let mut chip = today();
    // Never off for longer than it takes to start again: all time is the floor's.
    for week in 0..300 {
        let machine = Machine::starts(chip, false, kept);
        assert_eq!(machine.trust(), Trust::Plausible, "week {week}");
        machine.hands.advance(7 * DAY);
        kept = machine.kept();
        chip = chip + 7 * DAY - Duration::from_secs(7 * 15);
    }
}

#[test]
fn a_running_clock_that_is_set_by_hours_is_doubted_and_one_set_by_minutes_is_not() {
    for (step, trust) in [
        (SignedDuration::from_mins(9), Trust::Plausible),
        (SignedDuration::from_mins(-9), Trust::Plausible),
        (SignedDuration::from_hours(3), Trust::Ahead),
        (SignedDuration::from_hours(-3), Trust::Behind),
    ] {
        let machine = Machine::starts(today(), false, Kept::default());
        machine.hands.advance(HOUR);
        machine.set_wall(today() + HOUR + step);
        assert_eq!(machine.trust(), trust, "{step}");
        machine.set_wall(today() + HOUR);
        assert_eq!(machine.trust(), Trust::Plausible, "set back after {step}");
    }
}

#[test]
fn many_small_steps_do_not_make_a_large_one() {
    let machine = Machine::starts(today(), false, Kept::default());
    machine.set_wall(today() + 9 * MINUTE);
    assert_eq!(machine.trust(), Trust::Plausible);
    machine.set_wall(today() + 18 * MINUTE);
    assert_eq!(machine.trust(), Trust::Ahead);
}

#[test]
fn a_glitch_of_the_time_server_is_believed_and_the_time_server_takes_it_back() {
    let machine = Machine::starts(today(), true, Kept::default());
    machine.set_wall(time("2036-02-07T06:28:16Z"));
    assert_eq!((machine.trust(), machine.judged().floor), (Trust::Plausible, time("2036-02-07T06:28:16Z")));
    machine.set_wall(today());
    assert_eq!((machine.trust(), machine.judged().floor), (Trust::Plausible, today()));
    assert_eq!(machine.judged().known(), today());
}

#[test]
fn after_a_glitch_into_2036_the_crms_date_or_the_owner_lowers_the_floor() {
    let glitch = Machine::was_right_at(time("2036-02-07T06:28:16Z"));
    let by = |mend: fn(&TrustedClock)| {
        let machine = Machine::starts(today(), false, glitch.clone());
        assert_eq!(machine.trust(), Trust::Behind);
        mend(&machine.clock);
        assert_eq!((machine.trust(), machine.judged().floor), (Trust::Plausible, today()));
        // And so it is after the next start.
        assert_eq!(Machine::starts(today() + HOUR, false, machine.kept()).trust(), Trust::Plausible);
    };
    by(|clock| clock.hear(today()));
    by(|clock| clock.accept(today()));
}

#[test]
fn a_crm_lowers_a_floor_that_is_still_to_come_also_while_the_clock_is_wrong() {
    let glitch = Machine::was_right_at(time("2036-02-07T06:28:16Z"));
    let machine = Machine::starts(time("2026-11-20T00:00:00Z"), false, glitch);
    machine.clock.hear(today());
    assert_eq!((machine.trust(), machine.judged().floor), (Trust::Behind, today()));
    assert_eq!(machine.judged().known(), today(), "consents are judged by the CRM's day, not by 2036");
}

#[test]
fn a_crms_date_never_raises_the_floor() {
    let machine = Machine::starts(today(), false, Kept::default());
    machine.clock.hear(time("2036-02-07T06:28:16Z"));
    assert_eq!(machine.judged().floor, release_time());
    assert!(machine.judged().known() <= today());
}

#[test]
fn a_clock_that_is_a_day_from_the_crms_is_implausible_and_says_what_the_crm_says() {
    let machine = Machine::starts(today(), false, Kept::default());
    assert_eq!(machine.trust(), Trust::Plausible);
    machine.clock.hear(today() + 3 * DAY);
    assert_eq!(machine.trust(), Trust::Behind);
    assert!(machine.judged().to_string().ends_with("by the CRM's clock it is 2027-05-15T09:00:00Z"));
    machine.set_wall(today() + 3 * DAY + HOUR);
    assert_eq!(machine.trust(), Trust::Plausible, "the owner has set it near enough to what the CRM says");
}

#[test]
fn a_crm_that_is_hours_off_or_before_the_release_is_no_reason_to_doubt_the_clock() {
    let machine = Machine::starts(today(), true, Kept::default());
    machine.hands.set_synchronised(false);
    for said in [today() - 5 * HOUR, today() + 5 * HOUR, time("1999-12-31T00:00:00Z")] {
        machine.clock.hear(said);
        assert_eq!((machine.trust(), machine.judged().floor), (Trust::Plausible, today()), "{said}");
    }
    assert_eq!(machine.judged().skew.map(|skew| skew.is_positive()), Some(true), "but it is told");
}

#[test]
fn a_synchronised_clock_is_not_judged_by_a_crm() {
    let machine = Machine::starts(today(), true, Kept::default());
    machine.clock.hear(today() - 30 * DAY);
    // Nobody has looked since.
    machine.hands.set_synchronised(false);
    assert_eq!((machine.trust(), machine.judged().floor), (Trust::Plausible, today()));
}

#[test]
fn the_owners_word_stands_against_a_crm_with_a_wrong_clock() {
    let machine = Machine::starts(today(), false, Kept::default());
    machine.clock.hear(today() - 30 * DAY);
    assert_eq!(machine.trust(), Trust::Ahead);
    machine.clock.accept(today());
    machine.clock.hear(today() - 30 * DAY);
    assert_eq!(machine.trust(), Trust::Plausible);
}

#[test]
fn the_owner_cannot_accept_a_clock_before_the_release() {
    let machine = Machine::starts(time("2001-01-01T00:00:00Z"), false, Machine::was_right_at(today()));
    machine.clock.accept(time("2001-01-01T00:00:00Z"));
    assert_eq!((machine.trust(), machine.judged().floor), (Trust::Behind, today()));
}

#[test]
fn a_restart_of_the_program_does_not_make_a_wrong_clock_right() {
    let hands = Arc::new(SimulatedClock::starting_at(today()));
    hands.set_synchronised(false);
    hands.boot(Some(SinceBoot { boot: "first".to_owned(), after: MINUTE }));
    let start = |kept| TrustedClock::new(Arc::clone(&hands) as Arc<dyn Clock>, kept);
    let before = start(Kept::default());
    assert_eq!(before.trust(), Trust::Plausible);
    hands.step_wall(today() + 30 * DAY);
    assert_eq!(before.trust(), Trust::Ahead);
    let kept = before.judgement().expect("judged").kept();
    hands.advance(HOUR);
    assert_eq!(start(kept.clone()).trust(), Trust::Ahead, "the machine ran on: an hour has passed, not a month");
    // Over a start of the machine a month is possible.
    hands.boot(Some(SinceBoot { boot: "second".to_owned(), after: MINUTE }));
    assert_eq!(start(kept).trust(), Trust::Plausible);
}

#[test]
fn what_a_crm_said_holds_over_a_restart_of_the_program() {
    let hands = Arc::new(SimulatedClock::starting_at(today()));
    hands.set_synchronised(false);
    hands.boot(Some(SinceBoot { boot: "first".to_owned(), after: MINUTE }));
    let start = |kept| TrustedClock::new(Arc::clone(&hands) as Arc<dyn Clock>, kept);
    let before = start(Kept::default());
    before.hear(today() + 3 * DAY);
    let again = start(before.judgement().expect("judged").kept());
    assert_eq!(again.trust(), Trust::Behind);
    hands.step_wall(today() + 3 * DAY);
    assert_eq!(again.trust(), Trust::Plausible);
}

#[test]
fn an_implausible_clock_gives_two_dates_and_a_plausible_one_gives_one() {
    let kept = Machine::was_right_at(today());
    let right = Machine::starts(today() + HOUR, false, kept.clone()).clock.days(&TimeZone::UTC);
    assert_eq!((right.wall, right.known), (date(2027, 5, 12), None));
    let wrong = Machine::starts(time("2021-01-01T00:00:00Z"), false, kept).clock.days(&TimeZone::UTC);
    assert_eq!((wrong.wall, wrong.known), (date(2021, 1, 1), Some(date(2027, 5, 12))));
}

#[test]
fn who_has_a_live_consent_by_either_clock_and_none_that_ended_by_either_is_greeted() {
    let kept = Machine::was_right_at(today());
    let greeted = |wall: &str, consent: &Consent| {
        let machine = Machine::starts(time(wall), false, kept.clone());
        consent.is_live(Purpose::Recognition, machine.clock.days(&TimeZone::UTC))
    };
    let given = |on, until| Consent { given_on: on, valid_until: until, ..consent() };
    let (open, closed) = (given(date(2027, 2, 1), None), given(date(2027, 2, 1), Some(date(2027, 4, 30))));
    let (yet_to_end, yet_to_begin) = (given(date(2027, 2, 1), Some(date(2028, 1, 31))), given(date(2030, 1, 1), None));
    assert!(greeted("2021-01-01T00:00:00Z", &open), "a box without a battery greets its regulars");
    assert!(greeted("2021-01-01T00:00:00Z", &yet_to_end));
    assert!(!greeted("2021-01-01T00:00:00Z", &closed), "a consent that has ended does not come back");
    assert!(greeted("2036-02-07T06:28:16Z", &open));
    assert!(!greeted("2036-02-07T06:28:16Z", &yet_to_end), "it may have ended");
    assert!(!greeted("2021-01-01T00:00:00Z", &yet_to_begin), "by neither clock has it begun");
}

#[test]
fn the_database_keeps_the_time_and_the_owners_word_is_not_overwritten_by_who_has_not_heard_it() {
    let device = fresh();
    assert_eq!(device.store.floor().expect("the row is there"), Kept::default());
    let kept = Kept {
        boot: Some(SinceBoot { boot: "first".to_owned(), after: Duration::from_millis(1_500) }),
        heard: Some(today()),
        ..Machine::was_right_at(today())
    };
    assert!(device.store.keep_floor(&kept).expect("it is written"));
    assert_eq!(device.store.floor().expect("it is read"), kept);

    let word = Kept { accepted: Some(today()), floor: Some(release_time()), ..kept.clone() };
    device.store.accept_clock(&word).expect("it is written");
    assert!(!device.store.keep_floor(&kept).expect("the database is fine"), "this one has not heard it");
    assert_eq!(device.store.floor().expect("it is read"), word);
    assert!(device.store.keep_floor(&Kept { believed: None, ..word }).expect("it is written"), "and this one has");
}
