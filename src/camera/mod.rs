//! Where frames come from.

use std::time::Duration;

use crate::clock::WallTime;
use crate::face::Pixels;

/// A place that pictures come from. It reports and never retries: reconnecting is the supervisor's.
pub trait FrameSource: Send {
    /// Waits for the next picture. `Ok(None)` means that a recording has come to its end; a live camera
    /// never ends. After an error the source is dropped and opened anew.
    fn next(&mut self) -> Result<Option<Capture>, SourceError>;
}

/// A picture fresh from its source. `offset` is its time since the source's first picture: recordings
/// are paced by it, live cameras by themselves.
pub struct Capture {
    pub offset: Duration,
    pub pixels: Pixels,
}

/// Why a source gives no picture; the text names the source and says what to do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SourceError(pub String);

/// What is true of a camera now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CameraState {
    /// Opened, no picture yet.
    #[default]
    Starting,
    Live,
    /// Open, but silent for longer than it should be.
    Stalled {
        since: WallTime,
    },
    /// Gone; being reopened.
    Lost {
        since: WallTime,
        cause: String,
    },
    /// A recording that has come to its end.
    Ended,
}
