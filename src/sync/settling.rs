//! How long a request that got no answer may still be carried out, by a clock that nobody sets: until then what it was
//! about is neither looked for nor sent again. The times on the disk say the same, by a clock that may be put forward.
//!
//! Only CRMs that know no key of ours need it.

use std::collections::BTreeMap;
use std::time::Duration;

use uuid::Uuid;

use crate::clock::Monotonic;

pub(super) struct Settling {
    settle: Duration,
    /// What an earlier run of the program has tried may have begun just before this one.
    began: Monotonic,
    tried: BTreeMap<Uuid, Monotonic>,
}

impl Settling {
    /// `settle` is the vendor's; zero where a request may be repeated at once.
    pub fn new(settle: Duration, now: Monotonic) -> Self {
        Self { settle, began: now, tried: BTreeMap::new() }
    }

    /// A request about `event` has ended without an answer just now.
    pub fn tried(&mut self, event: Uuid, now: Monotonic) {
        if !self.settle.is_zero() {
            self.tried.insert(event, now);
        }
    }

    /// It is known what became of `event`.
    pub fn concluded(&mut self, event: Uuid) {
        self.tried.remove(&event);
    }

    /// How long a request about `event` may still be under way.
    pub fn rest(&self, event: Uuid, now: Monotonic) -> Duration {
        let since = self.tried.get(&event).copied().unwrap_or(self.began);
        self.settle.saturating_sub(now.since(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_tried_before_the_start_settles_from_the_start_and_the_rest_from_its_try() {
        let (old, new) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let mut settling = Settling::new(Duration::from_secs(60), Monotonic::from_millis(0));
        settling.tried(new, Monotonic::from_millis(30_000));
        let rest =
            |settling: &Settling, event, s: u64| settling.rest(event, Monotonic::from_millis(s * 1_000)).as_secs();
        assert_eq!((rest(&settling, old, 40), rest(&settling, new, 40)), (20, 50));
        assert_eq!((rest(&settling, old, 60), rest(&settling, new, 90)), (0, 0));
        settling.concluded(new);
        assert_eq!(rest(&settling, new, 60), 0);
    }
}
