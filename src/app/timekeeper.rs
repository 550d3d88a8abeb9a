//! The keeper's chore for the time: keeps it over a stop, hears the owner's word, and says when the clock cannot be right.
//!
//! How the clock is judged is `crate::clock`'s.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::clock::{Clock, Judgement, Kept, Monotonic, REMEDY, Trust};
use crate::store::Store;
use crate::telemetry::Metrics;
use crate::trouble::{Teller, Trouble, Troubles};

/// The disk is written when what is kept is this far from what is so: once an hour, and at once when it was corrected.
/// A power cut then takes an hour of the floor at most.
const KEPT: SignedDuration = SignedDuration::from_hours(1);
/// How often the owner's word is looked for: it costs one row.
const OWNER: Duration = Duration::from_secs(2);
/// Between tries after a write that failed.
const AGAIN: Duration = Duration::from_secs(60);

pub(super) struct Timekeeper {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    troubles: Troubles,
    /// What was said last.
    trust: Trust,
    kept: Kept,
    asked_at: Option<Monotonic>,
    failed_at: Option<Monotonic>,
}

impl Timekeeper {
    pub fn new(store: &Arc<Store>, clock: &Arc<dyn Clock>, metrics: &Arc<Metrics>, troubles: &Troubles) -> Self {
        Self {
            store: Arc::clone(store),
            clock: Arc::clone(clock),
            metrics: Arc::clone(metrics),
            troubles: troubles.clone(),
            trust: Trust::Plausible,
            kept: Kept::default(),
            asked_at: None,
            failed_at: None,
        }
    }

    /// Once a round.
    pub fn look(&mut self, now: Monotonic) {
        if self.asked_at.is_none_or(|at| now.since(at) >= OWNER) {
            self.asked_at = Some(now);
            self.hear_the_owner();
        }
        let Some(judgement) = self.clock.judgement() else { return };
        self.say(&judgement);
        let rests = self.failed_at.is_some_and(|at| now.since(at) < AGAIN);
        let so = judgement.kept();
        if !rests && differs(&self.kept, &so) {
            self.write(so, now);
        }
    }

    /// At the stop, whenever it was last kept.
    pub fn keep(&mut self, now: Monotonic) {
        if let Some(judgement) = self.clock.judgement() {
            self.write(judgement.kept(), now);
        }
    }

    /// Another process writes it. A store that cannot be read is told of elsewhere.
    fn hear_the_owner(&mut self) {
        let (Ok(kept), Some(judgement)) = (self.store.floor(), self.clock.judgement()) else { return };
        let accepted = kept.accepted;
        self.kept = kept;
        if let Some(mark) = accepted.filter(|mark| judgement.accepted != Some(*mark)) {
            self.clock.accept(mark);
            tracing::info!(clock = %judgement.wall, "the clock was accepted as right by the owner");
        }
    }

    fn say(&mut self, judgement: &Judgement) {
        if let Some(skew) = judgement.skew {
            self.metrics.clock_skew.set(skew.as_secs());
        }
        self.troubles.set(Teller::Keeper, Trouble::Clock, judgement.trust != Trust::Plausible);
        if self.trust == judgement.trust {
            return;
        }
        self.trust = judgement.trust;
        if self.trust == Trust::Plausible {
            tracing::info!("{judgement} again");
        } else {
            tracing::warn!("{judgement}; {REMEDY}");
        }
    }

    fn write(&mut self, kept: Kept, now: Monotonic) {
        match self.store.keep_floor(&kept) {
            // Not kept: the owner's word came in between, and is heard in the next round.
            Ok(is_kept) => {
                self.failed_at = None;
                if is_kept {
                    self.kept = kept;
                }
            }
            Err(error) => {
                if self.failed_at.is_none() {
                    tracing::warn!(%error, "the time that has passed cannot be kept; trying again");
                }
                self.failed_at = Some(now);
            }
        }
    }
}

/// Whether what is on the disk is to be written anew.
fn differs(kept: &Kept, so: &Kept) -> bool {
    let moved = |kept: Option<Timestamp>, so: Option<Timestamp>| match (kept, so) {
        (Some(kept), Some(so)) => so.duration_since(kept).abs() >= KEPT,
        (kept, so) => kept != so,
    };
    let boot = |of: &Kept| of.boot.as_ref().map(|since| since.boot.clone());
    let times = [(kept.floor, so.floor), (kept.believed, so.believed), (kept.heard, so.heard)];
    so.floor < kept.floor || times.into_iter().any(|(kept, so)| moved(kept, so)) || boot(kept) != boot(so)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{SimulatedClock, TrustedClock, release_time};
    use crate::store::StoreConfig;
    use crate::vault::Seal;

    const MINUTE: Duration = Duration::from_secs(60);

    struct Bench {
        _dir: tempfile::TempDir,
        hands: Arc<SimulatedClock>,
        store: Arc<Store>,
        troubles: Troubles,
        timekeeper: Timekeeper,
    }

    fn noon() -> Timestamp {
        "2027-05-12T12:00:00Z".parse().unwrap()
    }

    impl Bench {
        fn at(wall: Timestamp, synchronised: bool) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let store = Arc::new(Store::open(&StoreConfig::new(dir.path()), Seal::plain()).unwrap());
            let hands = Arc::new(SimulatedClock::starting_at(wall));
            hands.set_synchronised(synchronised);
            let clock: Arc<dyn Clock> =
                Arc::new(TrustedClock::new(Arc::clone(&hands) as Arc<dyn Clock>, Kept::default()));
            let (troubles, metrics) = (Troubles::default(), Arc::new(Metrics::new()));
            let timekeeper = Timekeeper::new(&store, &clock, &metrics, &troubles);
            Self { _dir: dir, hands, store, troubles, timekeeper }
        }

        /// Looks each minute for so long, and gives what is on the disk then.
        fn look_for(&mut self, minutes: u32) -> Option<Timestamp> {
            for _ in 0..minutes {
                self.hands.advance(MINUTE);
                self.timekeeper.look(self.hands.monotonic());
            }
            self.store.floor().unwrap().floor
        }
    }

    #[test]
    fn the_floor_is_written_at_the_start_then_once_an_hour_and_at_the_stop() {
        let mut bench = Bench::at(noon(), true);
        let first = bench.look_for(1);
        assert_eq!(first, Some(noon() + MINUTE));
        assert_eq!(bench.look_for(59), first, "not within the hour");
        assert_eq!(bench.look_for(1), Some(noon() + 61 * MINUTE));
        bench.hands.advance(20 * MINUTE);
        bench.timekeeper.keep(bench.hands.monotonic());
        assert_eq!(bench.store.floor().unwrap().floor, Some(noon() + 81 * MINUTE));
    }

    #[test]
    fn a_floor_that_was_lowered_is_written_at_once() {
        let mut bench = Bench::at(noon(), true);
        bench.look_for(1);
        bench.hands.step_wall(noon() - 5 * MINUTE);
        assert_eq!(bench.look_for(1), Some(noon() - 4 * MINUTE));
    }

    #[test]
    fn the_clock_is_a_trouble_for_as_long_as_it_cannot_be_right() {
        let mut bench = Bench::at(Timestamp::UNIX_EPOCH, false);
        assert!(bench.look_for(1) >= Some(release_time()));
        assert!(bench.troubles.holds(Trouble::Clock));
        bench.hands.step_wall(noon());
        bench.look_for(1);
        assert!(!bench.troubles.holds(Trouble::Clock));
    }

    #[test]
    fn the_owners_word_is_followed_once() {
        let mut bench = Bench::at(noon(), false);
        bench.look_for(1);
        bench.hands.step_wall(noon() + 300 * MINUTE);
        bench.look_for(1);
        assert!(bench.troubles.holds(Trouble::Clock), "it was set by five hours");
        let word = Kept { accepted: Some(noon()), ..bench.store.floor().unwrap() };
        bench.store.accept_clock(&word).unwrap();
        bench.look_for(1);
        assert!(!bench.troubles.holds(Trouble::Clock));
        // The same word is no word about what comes later.
        bench.hands.step_wall(noon() + 900 * MINUTE);
        bench.look_for(2);
        assert!(bench.troubles.holds(Trouble::Clock));
    }
}
