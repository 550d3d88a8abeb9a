//! The keeper's chore for the time: keeps it over a stop, hears the owner's word, and says when the clock cannot be right.
//!
//! How the clock is judged is `crate::clock`'s.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::keeper::Keeper;
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
    pub fn of(keeper: &Keeper) -> Self {
        Self {
            store: Arc::clone(&keeper.store),
            clock: Arc::clone(&keeper.clock),
            metrics: Arc::clone(&keeper.metrics),
            troubles: keeper.troubles.clone(),
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
