//! How long everything rests after a failure, by its class.
//!
//! What rests, and until when, is kept by the store, so that a restart does not begin to hammer again.

use std::time::Duration;

use crate::crm::{Failure, FailureClass};

const FIRST: Duration = Duration::from_secs(2);
const LAST: Duration = Duration::from_secs(300);
/// A refused login is for a person to mend; trying it often locks accounts.
const REFUSED: Duration = Duration::from_secs(15 * 60);
const THROTTLED: Duration = Duration::from_secs(30);
const BLOCKED: Duration = Duration::from_secs(300);
/// A tenant's trouble is looked at so often at least, so that the lane goes on soon after it was mended.
const BLOCKED_LAST: Duration = Duration::from_secs(1800);
/// Of one that was refused while nothing else was taken: after its first refusal, its second, …
const SUSPECT: [Duration; 5] = [
    Duration::from_secs(30),
    Duration::from_secs(120),
    Duration::from_secs(300),
    Duration::from_secs(900),
    Duration::from_secs(1800),
];
/// No vendor's word is taken for more.
pub(super) const LONGEST: Duration = Duration::from_secs(6 * 3600);

pub(super) struct Backoff {
    failures: u32,
    seed: u64,
}

impl Backoff {
    /// `seed` should differ from box to box, so that a chain's boxes do not come back in step.
    pub fn new(seed: u64) -> Self {
        Self { failures: 0, seed }
    }

    /// The rest after one more failure.
    pub fn after(&mut self, failure: &Failure) -> Duration {
        let doubled =
            |first: Duration, last: Duration, failures: u32| first.saturating_mul(1 << failures.min(16)).min(last);
        let base = match failure.class {
            FailureClass::Throttled => failure.wait.unwrap_or_else(|| doubled(THROTTLED, LAST * 2, self.failures)),
            FailureClass::Auth => REFUSED,
            FailureClass::TenantBlocked => {
                failure.wait.unwrap_or_else(|| doubled(BLOCKED, BLOCKED_LAST, self.failures))
            }
            FailureClass::Transient | FailureClass::Poison => {
                failure.wait.unwrap_or_default().max(doubled(FIRST, LAST, self.failures))
            }
        };
        self.failures = self.failures.saturating_add(1);
        // Never before the vendor's time, and up to a fifth after it.
        base.min(LONGEST).mul_f64(1.0 + 0.2 * self.share())
    }

    /// The rest of one event alone, after so many tries.
    pub fn of_event(&mut self, attempts: u32) -> Duration {
        let base = FIRST.saturating_mul(1 << attempts.min(16)).min(LAST * 6);
        base.mul_f64(1.0 + 0.2 * self.share())
    }

    /// The rest of one that was refused, after so many tries.
    pub fn of_suspect(&mut self, attempts: u32) -> Duration {
        let step = usize::try_from(attempts).unwrap_or(usize::MAX).min(SUSPECT.len() - 1);
        SUSPECT[step].mul_f64(1.0 + 0.2 * self.share())
    }

    /// Begins anew with short rests; whether there had been a failure.
    pub fn reset(&mut self) -> bool {
        std::mem::take(&mut self.failures) > 0
    }

    /// One step of SplitMix64 (Steele, Lea and Flood 2014), as a number from 0 to 1.
    fn share(&mut self) -> f64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rests_grow_are_bounded_and_never_end_before_the_vendors_time() {
        let mut backoff = Backoff::new(7);
        let transient = Failure::transient("no answer");
        let rests: Vec<Duration> = (0..12).map(|_| backoff.after(&transient)).collect();
        assert!(rests[0] >= FIRST && rests[0] < FIRST * 2);
        assert!(rests.windows(2).take(6).all(|pair| pair[1] > pair[0]), "{rests:?}");
        assert!(rests.iter().all(|rest| *rest <= LAST.mul_f64(1.2)));
        assert!(backoff.reset() && !backoff.reset());
        let wanted = Duration::from_secs(47);
        assert!(backoff.after(&Failure::throttled("429", Some(wanted))) >= wanted);
        assert!(backoff.after(&Failure::blocked("quota", Some(Duration::MAX))) <= LONGEST.mul_f64(1.2));
        assert!(backoff.after(&Failure::auth("refused")) >= REFUSED);
    }
}
