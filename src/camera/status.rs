//! What is true of one camera, computed by whoever looks: a source that blocks cannot say so itself.
//!
//! Threads are not here: see `supervisor.rs`.

use std::time::Duration;

use super::{CameraState, StopHandle};
use crate::clock::{Monotonic, WallTime};

/// How long a source may take to its first picture: an RTSP camera sends a whole one only every few seconds.
const FIRST_PICTURE_WITHIN: Duration = Duration::from_secs(10);

/// What the camera's thread has noted.
pub(super) struct Status {
    pub shown: Shown,
    stall_after: Duration,
    /// Since when the source owes us something; `None` while we wait for a recording's next due time.
    pub waiting: Option<(Monotonic, WallTime)>,
    /// Whether the opened source has given a picture.
    pub begun: bool,
    pub stop: Option<StopHandle>,
    /// The source was silent for so long that it was stopped.
    pub given_up: bool,
}

pub(super) enum Shown {
    Starting,
    Live,
    Lost { since: WallTime, cause: String, refused: bool },
    Ended,
}

impl Status {
    pub fn new(stall_after: Duration) -> Self {
        Self { shown: Shown::Starting, stall_after, waiting: None, begun: false, stop: None, given_up: false }
    }

    /// Silence after which the camera counts as stalled.
    fn silence_allowed(&self) -> Duration {
        if self.begun { self.stall_after } else { self.stall_after.max(FIRST_PICTURE_WITHIN) }
    }

    /// Silence after which the source is stopped, to be opened anew.
    pub fn patience(&self) -> Duration {
        self.silence_allowed() + self.stall_after
    }

    /// The truth at `now`.
    pub fn state(&self, now: Monotonic) -> CameraState {
        let silent = self.waiting.filter(|(since, _)| now.since(*since) >= self.silence_allowed());
        match (&self.shown, silent) {
            (Shown::Lost { since, cause, refused: false }, _) => {
                CameraState::Lost { since: *since, cause: cause.clone() }
            }
            (Shown::Lost { since, cause, refused: true }, _) => {
                CameraState::Refused { since: *since, cause: cause.clone() }
            }
            (Shown::Ended, _) => CameraState::Ended,
            (_, Some((_, since))) => CameraState::Stalled { since },
            (Shown::Starting, None) => CameraState::Starting,
            (Shown::Live, None) => CameraState::Live,
        }
    }

    /// The way to stop a source that has been silent for too long; once a source.
    pub fn give_up(&mut self, now: Monotonic) -> Option<StopHandle> {
        let (since, _) = self.waiting?;
        if self.given_up || now.since(since) < self.patience() {
            return None;
        }
        let stop = self.stop.clone()?;
        self.given_up = true;
        Some(stop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wall(second: i64) -> WallTime {
        WallTime { at: jiff::Timestamp::from_second(second).unwrap(), synchronised: true }
    }

    #[test]
    fn silence_is_judged_by_whoever_looks() {
        let mut status = Status::new(Duration::from_secs(2));
        status.waiting = Some((Monotonic::from_millis(1_000), wall(1)));
        assert_eq!(status.state(Monotonic::from_millis(10_999)), CameraState::Starting);
        assert_eq!(status.state(Monotonic::from_millis(11_000)), CameraState::Stalled { since: wall(1) });
        (status.begun, status.shown) = (true, Shown::Live);
        assert_eq!(status.state(Monotonic::from_millis(2_999)), CameraState::Live);
        assert_eq!(status.state(Monotonic::from_millis(3_000)), CameraState::Stalled { since: wall(1) });
    }

    #[test]
    fn waiting_for_a_due_time_is_not_silence() {
        let mut status = Status::new(Duration::from_secs(2));
        (status.begun, status.shown) = (true, Shown::Live);
        assert_eq!(status.state(Monotonic::from_millis(900_000)), CameraState::Live);
    }

    #[test]
    fn a_silent_source_is_given_up_once_and_only_if_it_can_be_stopped() {
        let mut status = Status::new(Duration::from_secs(2));
        (status.begun, status.waiting) = (true, Some((Monotonic::default(), wall(0))));
        assert!(status.give_up(Monotonic::from_millis(9_000)).is_none(), "no handle");
        status.stop = Some(StopHandle::new(|| {}));
        assert!(status.give_up(Monotonic::from_millis(3_999)).is_none(), "too early");
        assert!(status.give_up(Monotonic::from_millis(4_000)).is_some());
        assert!(status.give_up(Monotonic::from_millis(5_000)).is_none(), "once");
    }
}
