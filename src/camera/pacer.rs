//! When a recording's pictures are due, so that it is played as fast as it was recorded.
//!
//! Waiting is not here: that is the supervisor's.

use std::time::Duration;

use crate::clock::Monotonic;

/// A recording this late (the box slept, or drawing is too slow) goes on from here instead of racing.
const LATE: Duration = Duration::from_millis(500);

/// When a recording's pictures are due.
#[derive(Default)]
pub(super) struct Pacer {
    began: Option<Monotonic>,
}

impl Pacer {
    /// How long before its due time a picture is, zero if it is due.
    pub fn ahead(&mut self, now: Monotonic, offset: Duration) -> Duration {
        let began_now = Monotonic(now.0.saturating_sub(offset));
        let due = *self.began.get_or_insert(began_now) + offset;
        if now.since(due) > LATE {
            self.began = Some(began_now);
        }
        due.since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_keeps_time_and_does_not_race_after_a_long_sleep() {
        let ms = Duration::from_millis;
        let mut pacer = Pacer::default();
        assert_eq!(pacer.ahead(Monotonic::from_millis(1_000), ms(0)), ms(0));
        assert_eq!(pacer.ahead(Monotonic::from_millis(1_010), ms(100)), ms(90));
        assert_eq!(pacer.ahead(Monotonic::from_millis(1_250), ms(200)), ms(0), "a little late is caught up");
        assert_eq!(pacer.ahead(Monotonic::from_millis(1_250), ms(300)), ms(50));
        assert_eq!(pacer.ahead(Monotonic::from_millis(60_000), ms(400)), ms(0), "the box slept");
        assert_eq!(pacer.ahead(Monotonic::from_millis(60_000), ms(500)), ms(100));
    }
}
