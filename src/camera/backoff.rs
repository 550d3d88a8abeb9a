//! How long to wait before a lost camera is tried again.
//!
//! Waiting itself is not here: that is the supervisor's.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(250);

/// With jitter at most 3 s, which leaves 2 s for opening: a camera that is back is seen within 5 s, and an RTSP or
/// USB camera may take 1 to 1.5 s to its first picture.
const LAST: Duration = Duration::from_millis(2_500);

/// Cameras lock an account for minutes after some five wrong passwords; one that was mended is soon tried.
const REFUSED: Duration = Duration::from_secs(30);

/// Waits that double from 250 ms to 2.5 s, each moved by up to 20 % so that cameras lost together (a switch
/// rebooted) do not come back in step.
pub(super) struct Backoff {
    next: Duration,
    seed: u64,
}

impl Backoff {
    /// `seed` should differ from camera to camera.
    pub fn new(seed: u64) -> Self {
        Self { next: FIRST, seed }
    }

    /// The next wait.
    pub fn wait(&mut self) -> Duration {
        let base = self.next;
        self.next = (base * 2).min(LAST);
        self.moved(base)
    }

    /// The next wait after a password was refused.
    pub fn wait_refused(&mut self) -> Duration {
        self.moved(REFUSED)
    }

    fn moved(&mut self, base: Duration) -> Duration {
        self.seed = splitmix(self.seed);
        let share = (self.seed >> 11) as f64 / (1u64 << 53) as f64;
        base.mul_f64(0.8 + 0.4 * share)
    }

    /// Begins again with short waits: the camera has been well for a while.
    pub fn reset(&mut self) {
        self.next = FIRST;
    }
}

/// One step of SplitMix64 (Steele, Lea and Flood 2014): well-spread bits from any seed, in three lines.
pub(super) fn splitmix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_stay_below_five_seconds() {
        for seed in 0..200 {
            let mut backoff = Backoff::new(seed);
            let waits: Vec<_> = (0..12).map(|_| backoff.wait()).collect();
            assert!(waits[0] <= Duration::from_millis(300));
            assert!(waits.windows(2).take(3).all(|pair| pair[0] < pair[1]), "{waits:?}");
            assert!(waits.iter().all(|wait| *wait <= Duration::from_millis(3_000)), "{waits:?}");
            assert!(waits[11] >= Duration::from_millis(2_000));
        }
    }

    #[test]
    fn two_cameras_do_not_wait_in_step() {
        let (mut one, mut other) = (Backoff::new(1), Backoff::new(2));
        assert!((0..8).any(|_| one.wait().abs_diff(other.wait()) > Duration::from_millis(50)));
    }

    #[test]
    fn a_reset_begins_with_the_shortest_wait() {
        let mut backoff = Backoff::new(7);
        for _ in 0..6 {
            backoff.wait();
        }
        backoff.reset();
        assert!(backoff.wait() <= Duration::from_millis(300));
    }
}
