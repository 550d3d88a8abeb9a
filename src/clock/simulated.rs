//! A clock that moves only when told to: for tests, and for replaying a recording faster than life.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::{Clock, Monotonic, SinceBoot, WallTime};

/// Both clocks move together by [`Self::advance`]; the wall clock alone by [`Self::step_wall`].
pub struct SimulatedClock {
    now: Mutex<(Monotonic, WallTime)>,
    boot: Mutex<Option<SinceBoot>>,
}

impl SimulatedClock {
    /// Synchronised, until [`Self::set_synchronised`] says otherwise.
    pub fn starting_at(wall: Timestamp) -> Self {
        let now = Mutex::new((Monotonic::default(), WallTime { at: wall, synchronised: true }));
        Self { now, boot: Mutex::default() }
    }

    /// Says during which start of the machine it is, and how long after it.
    pub fn boot(&self, since: Option<SinceBoot>) {
        *self.lock_boot() = since;
    }

    /// Moves both clocks forward by `by`.
    pub fn advance(&self, by: Duration) {
        let mut now = self.lock();
        now.0 = now.0 + by;
        now.1.at = now.1.at.checked_add(by).unwrap_or(now.1.at);
        if let Some(since) = &mut *self.lock_boot() {
            since.after += by;
        }
    }

    /// Moves both clocks forward to `to`; a point in the past changes nothing.
    pub fn advance_to(&self, to: Monotonic) {
        let by = to.since(self.lock().0);
        self.advance(by);
    }

    /// Sets the wall clock, as a person or a time server does. No time passes.
    pub fn step_wall(&self, to: Timestamp) {
        self.lock().1.at = to;
    }

    /// Whether a time server is said to keep the wall clock right.
    pub fn set_synchronised(&self, synchronised: bool) {
        self.lock().1.synchronised = synchronised;
    }

    fn lock(&self) -> MutexGuard<'_, (Monotonic, WallTime)> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_boot(&self) -> MutexGuard<'_, Option<SinceBoot>> {
        self.boot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for SimulatedClock {
    fn monotonic(&self) -> Monotonic {
        self.lock().0
    }

    fn wall(&self) -> WallTime {
        self.lock().1
    }

    fn since_boot(&self) -> Option<SinceBoot> {
        self.lock_boot().clone()
    }
}
