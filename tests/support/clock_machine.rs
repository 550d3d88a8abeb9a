//! A machine with a judged clock on simulated hands, for the tests of how a clock is judged.
#![allow(dead_code, reason = "each test uses its part of the support code")]

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use snova::clock::{Clock, Judgement, Kept, SimulatedClock, Trust, TrustedClock};

pub const MINUTE: Duration = Duration::from_secs(60);
pub const HOUR: Duration = Duration::from_secs(3_600);
pub const DAY: Duration = Duration::from_secs(86_400);

pub fn time(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

/// A day on which this release is in use.
pub fn today() -> Timestamp {
    time("2027-05-12T09:00:00Z")
}

/// A machine and the judged clock on it; `restart` ends both.
pub struct Machine {
    pub hands: Arc<SimulatedClock>,
    pub clock: TrustedClock,
}

impl Machine {
    pub fn starts(wall: Timestamp, synchronised: bool, kept: Kept) -> Self {
        let hands = Arc::new(SimulatedClock::starting_at(wall));
        hands.set_synchronised(synchronised);
        Self { clock: TrustedClock::new(Arc::clone(&hands) as Arc<dyn Clock>, kept), hands }
    }

    /// One that a time server had set, and that is off since.
    pub fn was_right_at(then: Timestamp) -> Kept {
        Self::starts(then, true, Kept::default()).kept()
    }

    pub fn judged(&self) -> Judgement {
        self.clock.judgement().expect("this clock is judged")
    }

    pub fn kept(&self) -> Kept {
        self.judged().kept()
    }

    pub fn trust(&self) -> Trust {
        self.clock.trust()
    }

    pub fn set_wall(&self, to: Timestamp) {
        // What it said until now is seen first, as a service sees it each second.
        self.clock.trust();
        self.hands.step_wall(to);
    }
}
