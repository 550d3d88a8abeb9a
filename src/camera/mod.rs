//! Where frames come from: the sources, the supervisor that keeps one alive, and the newest-frame slot.
//!
//! What is in a frame is not here: finding faces is `crate::vision`'s, and the words (`Frame`, `Pixels`)
//! are `crate::face`'s.

mod backoff;
mod child;
mod frozen;
mod http;
mod http_login;
mod images;
mod jpeg;
mod mjpeg;
mod multipart;
mod pacer;
mod pipe;
mod rtsp;
mod scene;
mod slot;
mod source;
mod status;
mod supervisor;
mod usb;
mod video;

pub use images::{ImagesConfig, ImagesSource};
pub use jpeg::{WholeJpeg, whole_jpeg};
pub use mjpeg::MjpegSource;
pub use pipe::{read_picture, write_picture};
pub use rtsp::RtspSource;
pub use scene::{DEMO_SCENE, Scene, SceneSource, Truth};
pub use slot::{FrameReceiver, FrameSender, Taken, newest_frames};
pub use source::{Login, NetworkConfig, SceneScript, SourceSpec, UsbConfig, UsbFormat, open};
pub use supervisor::{Camera, CameraConfig, Eye};
pub use usb::{
    Offers, PictureRate, UsbDevice, UsbOffer, UsbSource, arguments as usb_arguments, send_usb_pictures, usb_devices,
};
pub use video::{VideoConfig, VideoSource};

use std::sync::Arc;
use std::time::Duration;

use crate::clock::WallTime;
use crate::face::Pixels;

/// A place that pictures come from. It reports and never retries: reconnecting is the supervisor's.
///
/// Opening one must be quick: whatever may take long (a handshake, a driver) belongs into `next`, where
/// the supervisor can interrupt it.
pub trait FrameSource: Send {
    /// Waits for the next picture. `Ok(None)` means that a recording has come to its end; a live camera
    /// never ends. After an error the source is dropped and opened anew.
    fn next(&mut self) -> Result<Option<Capture>, SourceError>;

    /// Who sets the pace of the pictures.
    fn pace(&self) -> Pace {
        Pace::ByOffset
    }

    /// A camera whose pictures differed and then are the same for so long is frozen. `None` for what may repeat itself:
    /// recordings and scenes.
    fn frozen_after(&self) -> Option<Duration> {
        None
    }

    /// The way to interrupt a `next` that waits, for a source whose `next` may wait for long. `None`
    /// says that `next` always comes back by itself, soon.
    fn stop_handle(&self) -> Option<StopHandle> {
        None
    }
}

/// Who sets the pace of a source's pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// The supervisor: each picture is due at its offset (recordings, which could be read faster).
    ByOffset,
    /// The source itself: a picture is new when it comes (cameras).
    Live,
}

/// Interrupts one opened source from another thread: its waiting `next`, and every later one, returns an
/// error within 100 ms. Asking twice is asking once; asking a dropped source does nothing.
#[derive(Clone)]
pub struct StopHandle(Arc<dyn Fn() + Send + Sync>);

impl StopHandle {
    pub fn new(stop: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(stop))
    }

    pub fn stop(&self) {
        (self.0)();
    }
}

/// A picture fresh from its source. `offset` is its time since the source's first picture: recordings
/// are paced by it, live cameras by themselves.
pub struct Capture {
    pub offset: Duration,
    pub pixels: Pixels,
}

/// Why a source gives no picture; the text names the source and says what to do.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{text}")]
pub struct SourceError {
    text: String,
    refused: bool,
}

impl SourceError {
    /// Something that may pass, or that a person must mend: the camera is tried again soon.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), refused: false }
    }

    /// The camera wants another user or password. It is tried again, but seldom: cameras lock an account
    /// that knocks too often.
    pub fn refused(text: impl Into<String>) -> Self {
        Self { text: text.into(), refused: true }
    }

    pub fn is_refused(&self) -> bool {
        self.refused
    }
}

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
    /// Its pictures come and none can be decoded.
    Unreadable {
        since: WallTime,
    },
    /// The same picture comes over and over.
    Frozen {
        since: WallTime,
    },
    /// Gone; being reopened.
    Lost {
        since: WallTime,
        cause: String,
    },
    /// Reached, and the user or password was not accepted.
    Refused {
        since: WallTime,
        cause: String,
    },
    /// A recording that has come to its end.
    Ended,
}

impl CameraState {
    /// Every name that [`Self::as_str`] gives.
    pub const NAMES: [&'static str; 8] =
        ["starting", "live", "stalled", "unreadable", "frozen", "lost", "refused", "ended"];

    /// A stable name for metrics and programs.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Live => "live",
            Self::Stalled { .. } => "stalled",
            Self::Unreadable { .. } => "unreadable",
            Self::Frozen { .. } => "frozen",
            Self::Lost { .. } => "lost",
            Self::Refused { .. } => "refused",
            Self::Ended => "ended",
        }
    }
}

/// A camera that gives the same bytes for so long is frozen.
const SAME_BYTES_FOR: Duration = Duration::from_secs(20);
/// The same for decoded video, where what does not move is repeated from key frame to key frame: cameras send one every 1
/// to 10 s.
const SAME_VIDEO_FOR: Duration = Duration::from_secs(30);

/// The slowest and the fastest a recording may be played.
const FRAME_RATES: std::ops::RangeInclusive<f64> = 0.1..=120.0;

/// The offset of the `index`th picture of a recording with a constant rate.
fn offset_at(index: u64, fps: f64) -> Duration {
    Duration::from_secs_f64(index as f64 / fps)
}

fn check_fps(fps: f64) -> Result<(), SourceError> {
    if FRAME_RATES.contains(&fps) {
        return Ok(());
    }
    let (slowest, fastest) = (FRAME_RATES.start(), FRAME_RATES.end());
    Err(SourceError::new(format!("{fps} frames a second cannot be played; give a rate from {slowest} to {fastest}")))
}

/// A picture file's bytes, if it is one plain file of a sane size; else why not.
pub fn read_picture_file(path: &std::path::Path) -> Result<Vec<u8>, String> {
    // A 50-megapixel PNG photo is about 150 MB; whatever is larger was not made by a camera.
    const MOST_BYTES: u64 = 200_000_000;
    let about = std::fs::metadata(path).map_err(|e| e.to_string())?;
    if !about.is_file() {
        return Err("it is not a file".into());
    }
    if about.len() > MOST_BYTES {
        return Err(format!(
            "it has {} MB, more than the {} MB allowed",
            about.len() / 1_000_000,
            MOST_BYTES / 1_000_000
        ));
    }
    std::fs::read(path).map_err(|e| e.to_string())
}
