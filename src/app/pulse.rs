//! Whether the service makes progress, told to whoever watches it from outside.
//!
//! Nothing here runs by a timer: the vision thread beats for each frame it has handled, the visit thread passes
//! the beats on. A hang of either stops them. Who is told (systemd, a test) is the caller's.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Monotonic;

/// The line to whoever watches the service.
#[derive(Clone, Default)]
pub struct Supervision {
    /// Called while the service makes progress, at most once a second.
    pub alive: Option<Arc<dyn Fn() + Send + Sync>>,
    /// The configuration file was changed and cannot be used: the service runs by the last good one.
    pub config_refused: Arc<AtomicBool>,
}

/// Beats of the vision thread.
#[derive(Default)]
pub(super) struct Pulse(AtomicU64);

impl Pulse {
    /// A frame was handled, or it is known why there is none.
    pub fn beat(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Passes the beats on, from the visit thread.
pub(super) struct Carrier {
    pulse: Arc<Pulse>,
    supervision: Supervision,
    carried: u64,
    carried_at: Option<Monotonic>,
}

impl Carrier {
    /// systemd wants a sign every half of its limit; more than one a second is noise.
    const EVERY: Duration = Duration::from_secs(1);

    pub fn new(pulse: Arc<Pulse>, supervision: Supervision) -> Self {
        Self { pulse, supervision, carried: 0, carried_at: None }
    }

    /// Tells that the service is alive, if the vision thread has beaten since the last time.
    pub fn carry(&mut self, now: Monotonic) {
        let Some(alive) = &self.supervision.alive else { return };
        let beats = self.pulse.0.load(Ordering::Relaxed);
        let rested = self.carried_at.is_none_or(|at| now.since(at) >= Self::EVERY);
        if beats != self.carried && rested {
            (self.carried, self.carried_at) = (beats, Some(now));
            alive();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_progress_is_passed_on_and_not_more_than_once_a_second() {
        let told = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&told);
        let alive = Arc::new(move || {
            count.fetch_add(1, Ordering::Relaxed);
        });
        let pulse = Arc::new(Pulse::default());
        let supervision = Supervision { alive: Some(alive), ..Supervision::default() };
        let mut carrier = Carrier::new(Arc::clone(&pulse), supervision);
        let at = Monotonic::from_millis;
        carrier.carry(at(0));
        assert_eq!(told.load(Ordering::Relaxed), 0, "nothing has happened yet");
        pulse.beat();
        carrier.carry(at(10));
        pulse.beat();
        carrier.carry(at(900));
        assert_eq!(told.load(Ordering::Relaxed), 1);
        carrier.carry(at(1_010));
        assert_eq!(told.load(Ordering::Relaxed), 2);
        carrier.carry(at(60_000));
        assert_eq!(told.load(Ordering::Relaxed), 2, "time alone is no progress");
    }
}
