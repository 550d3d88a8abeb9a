//! How long a request that got no answer may still be carried out, by a clock that nobody sets: until then what it was
//! about is neither looked for nor removed, and, where the CRM knows no key of ours, not sent again. The times on the disk
//! say the same, by a clock that may be put forward.

use std::collections::BTreeMap;
use std::time::Duration;

use uuid::Uuid;

use crate::clock::Monotonic;

/// A proxy or a busy server may hold a request so long after we have given it up.
pub(super) const LOST: Duration = Duration::from_secs(60);

pub(super) struct Settling {
    /// Before it is sent again.
    resend: Duration,
    /// Before it is removed.
    removal: Duration,
    /// What an earlier run of the program has tried may have begun just before this one.
    began: Monotonic,
    tried: BTreeMap<Uuid, Monotonic>,
}

impl Settling {
    /// `resend` is the vendor's; zero where a request may be repeated at once. A removal waits also there: a key does not
    /// keep a lost request from writing the record once more after it was removed.
    pub fn new(resend: Duration, now: Monotonic) -> Self {
        Self { resend, removal: resend.max(LOST), began: now, tried: BTreeMap::new() }
    }

    /// A request about `event` has ended without an answer just now.
    pub fn tried(&mut self, event: Uuid, now: Monotonic) {
        let removal = self.removal;
        self.tried.retain(|_, since| now.since(*since) < removal);
        self.tried.insert(event, now);
    }

    /// How long `event` must not be sent again.
    pub fn before_resend(&self, event: Uuid, now: Monotonic) -> Duration {
        self.resend.saturating_sub(now.since(self.since(event)))
    }

    /// How long what was sent as `event` must not be removed.
    pub fn before_removal(&self, event: Uuid, now: Monotonic) -> Duration {
        self.removal.saturating_sub(now.since(self.since(event)))
    }

    /// The same where the times on the disk are all that is known of tries before: the last one was `ago`.
    pub fn before_removal_of_old(&self, event: Uuid, now: Monotonic, ago: Duration) -> Duration {
        let ago = self.tried.get(&event).map_or(ago, |since| now.since(*since));
        self.removal.saturating_sub(ago)
    }

    fn since(&self, event: Uuid) -> Monotonic {
        self.tried.get(&event).copied().unwrap_or(self.began)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: Uuid = Uuid::from_u128(1);
    const NEW: Uuid = Uuid::from_u128(2);

    #[test]
    fn what_was_tried_before_the_start_settles_from_the_start_and_the_rest_from_its_try() {
        let mut settling = Settling::new(Duration::from_secs(90), Monotonic::from_millis(0));
        settling.tried(NEW, Monotonic::from_millis(30_000));
        let rest = |settling: &Settling, event, s: u64| {
            settling.before_resend(event, Monotonic::from_millis(s * 1_000)).as_secs()
        };
        assert_eq!((rest(&settling, OLD, 40), rest(&settling, NEW, 40)), (50, 80));
        assert_eq!((rest(&settling, OLD, 90), rest(&settling, NEW, 120)), (0, 0));
    }

    #[test]
    fn what_may_be_repeated_at_once_is_removed_only_after_its_lost_requests_have_had_their_time() {
        let mut settling = Settling::new(Duration::ZERO, Monotonic::from_millis(0));
        let now = |s: u64| Monotonic::from_millis(s * 1_000);
        settling.tried(NEW, now(100));
        assert_eq!(settling.before_resend(NEW, now(100)), Duration::ZERO);
        assert_eq!(settling.before_removal(NEW, now(120)), Duration::from_secs(40));
        assert_eq!(settling.before_removal(OLD, now(20)), Duration::from_secs(40));
        assert_eq!(settling.before_removal_of_old(OLD, now(20), Duration::from_secs(3600)), Duration::ZERO);
        settling.tried(OLD, now(200));
        assert_eq!(settling.tried.len(), 1, "what has had its time is forgotten");
    }
}
