//! What is true of one camera, computed by whoever looks: a source that blocks cannot say so itself.
//!
//! Threads are not here: see `supervisor.rs`.

use std::time::Duration;

use super::{CameraState, StopHandle};
use crate::clock::{Monotonic, WallTime};

/// How long a source may take to its first picture: an RTSP camera sends a whole one only every few seconds.
const FIRST_PICTURE_WITHIN: Duration = Duration::from_secs(10);

/// A camera of which no picture could be decoded for so long, and so many, is unreadable.
const UNREADABLE_AFTER: Duration = Duration::from_secs(3);
const MOST_UNREADABLE: u32 = 3;
/// When a frozen or unreadable camera is opened anew, and when again: it may be that this mends it, and perhaps not. Not
/// soon: a camera that shows a while of what it had kept, each time it is opened, would bring back who has left.
const REOPEN_FIRST: Duration = Duration::from_secs(120);
const REOPEN_THEN: Duration = Duration::from_secs(300);

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
    /// Since when the same picture comes.
    pub frozen: Option<WallTime>,
    /// Since when no picture could be decoded, and how many could not.
    pub undecoded: Option<(Monotonic, WallTime, u32)>,
    /// When a camera whose pictures are of no use is opened anew.
    pub reopen_at: Option<Monotonic>,
}

pub(super) enum Shown {
    Starting,
    Live,
    Lost { since: WallTime, cause: String, refused: bool },
    Ended,
}

impl Status {
    pub fn new(stall_after: Duration) -> Self {
        Self {
            shown: Shown::Starting,
            stall_after,
            waiting: None,
            begun: false,
            stop: None,
            given_up: false,
            frozen: None,
            undecoded: None,
            reopen_at: None,
        }
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
            (Shown::Live, None) => match (self.frozen, self.unreadable(now)) {
                (Some(since), _) => CameraState::Frozen { since },
                (None, Some(since)) => CameraState::Unreadable { since },
                (None, None) => CameraState::Live,
            },
        }
    }

    fn unreadable(&self, now: Monotonic) -> Option<WallTime> {
        let (first, since, times) = self.undecoded?;
        (now.since(first) >= UNREADABLE_AFTER && times >= MOST_UNREADABLE).then_some(since)
    }

    /// One more picture was looked at, and could be decoded or not.
    pub fn looked_at(&mut self, (now, wall): (Monotonic, WallTime), is_decoded: bool) {
        self.undecoded = match self.undecoded {
            _ if is_decoded => None,
            None => Some((now, wall, 1)),
            Some((first, since, times)) => Some((first, since, times.saturating_add(1))),
        };
    }

    /// Whether to open a camera anew whose pictures come and are of no use.
    pub fn is_reopening_due(&mut self, now: Monotonic) -> bool {
        if self.frozen.is_none() && self.unreadable(now).is_none() {
            self.reopen_at = None;
            return false;
        }
        match self.reopen_at {
            None => {
                self.reopen_at = Some(now + REOPEN_FIRST);
                false
            }
            Some(at) if now < at => false,
            Some(_) => {
                self.reopen_at = Some(now + REOPEN_THEN);
                true
            }
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
    fn pictures_that_cannot_be_decoded_make_a_camera_unreadable_until_one_can() {
        let mut status = Status::new(Duration::from_secs(2));
        (status.begun, status.shown) = (true, Shown::Live);
        for second in 0..3 {
            let at = Monotonic::from_millis(second * 1_000);
            assert_eq!(status.state(at), CameraState::Live);
            status.looked_at((at, wall(second as i64)), false);
        }
        assert_eq!(status.state(Monotonic::from_millis(2_900)), CameraState::Live);
        assert_eq!(status.state(Monotonic::from_millis(3_000)), CameraState::Unreadable { since: wall(0) });
        status.looked_at((Monotonic::from_millis(3_500), wall(3)), true);
        assert_eq!(status.state(Monotonic::from_millis(3_500)), CameraState::Live);
        // One bad picture, and then nobody had time to look.
        status.looked_at((Monotonic::from_millis(4_000), wall(4)), false);
        assert_eq!(status.state(Monotonic::from_millis(9_000)), CameraState::Live);
    }

    #[test]
    fn a_camera_whose_pictures_are_of_no_use_is_opened_anew_now_and_then() {
        let mut status = Status::new(Duration::from_secs(2));
        assert!(!status.is_reopening_due(Monotonic::default()));
        status.frozen = Some(wall(0));
        let due: Vec<u64> = (0..900).filter(|s| status.is_reopening_due(Monotonic::from_millis(s * 1_000))).collect();
        assert_eq!(due, [120, 420, 720]);
        status.frozen = None;
        assert!(!status.is_reopening_due(Monotonic::from_millis(990_000)));
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
