//! A camera on a USB port as a source: a child process of our own program sends its pictures.
//!
//! A driver's read may block for ever, and only killing the reader ends that. What the child does is `capture.rs`'s;
//! which cameras there are, `devices.rs`'; which of a camera's formats is taken, `choice.rs`'.

mod capture;
mod choice;
mod devices;
mod fault;

use std::ffi::{OsStr, OsString};
use std::io::{self, BufReader};
use std::time::Duration;

pub use capture::send_usb_pictures;
pub use choice::{PictureRate, UsbOffer};
pub use devices::{Offers, UsbDevice, usb_devices};

use super::child::PictureChild;
use super::pipe::read_picture;
use super::{Capture, FrameSource, Pace, SourceError, StopHandle, UsbConfig};
use crate::clock::{Clock, Monotonic, SystemClock};

/// Ourselves, as the kernel knows us: still there after an update has replaced the file.
const OURSELVES: &str = "/proc/self/exe";

/// The command of our program that the child runs, with the kind of camera.
const COMMAND: [&str; 2] = ["camera-child", "usb"];

/// An opened USB camera.
pub struct UsbSource {
    pictures: BufReader<PictureChild>,
    name: String,
    clock: SystemClock,
    first_at: Option<Monotonic>,
    /// Why there are no more pictures, once there are none.
    end: Option<SourceError>,
}

impl UsbSource {
    /// Starts the child. Whether the camera is there and free is known at the first `next`.
    pub fn open(config: &UsbConfig) -> Result<Self, SourceError> {
        Self::open_with(OsStr::new(OURSELVES), config)
    }

    /// With another program than this one in the child's place: one that knows the same command.
    pub fn open_with(program: &OsStr, config: &UsbConfig) -> Result<Self, SourceError> {
        let name = config.device.as_ref().map_or_else(|| "on USB".to_owned(), |path| path.display().to_string());
        let child = PictureChild::start(program, arguments(config)).map_err(|e| {
            SourceError::new(format!("no process can be started for the camera {name}: {e}; look at the free memory"))
        })?;
        let pictures = BufReader::with_capacity(64 * 1024, child);
        Ok(Self { pictures, name, clock: SystemClock::new(), first_at: None, end: None })
    }

    /// The output has ended, or holds something else than pictures: the child's own words say why.
    fn judge_end(&mut self, broken: Option<&io::Error>) -> SourceError {
        let name = &self.name;
        if self.pictures.get_ref().was_stopped() {
            return SourceError::new(format!("the camera {name} was stopped"));
        }
        if let Some(error) = broken.filter(|error| error.kind() == io::ErrorKind::InvalidData) {
            return SourceError::new(format!("the camera {name} broke off: {error}; it is being opened anew"));
        }
        let (status, said) = self.pictures.get_mut().finish();
        // As `main` writes an error.
        let said = said.strip_prefix("snova: ").unwrap_or(&said);
        if !said.is_empty() && status.is_some_and(|status| !status.success()) {
            return SourceError::new(said);
        }
        let how = status.map_or_else(|| "it does not end".to_owned(), |status| status.to_string());
        SourceError::new(format!("the process of the camera {name} ended ({how}); it is being started anew"))
    }
}

impl FrameSource for UsbSource {
    fn next(&mut self) -> Result<Option<Capture>, SourceError> {
        if let Some(end) = &self.end {
            return Err(end.clone());
        }
        let broken = match read_picture(&mut self.pictures) {
            Ok(Some(pixels)) => {
                let now = self.clock.monotonic();
                let offset: Duration = now.since(*self.first_at.get_or_insert(now));
                return Ok(Some(Capture { offset, pixels }));
            }
            Ok(None) => None,
            Err(error) => Some(error),
        };
        let end = self.judge_end(broken.as_ref());
        self.end = Some(end.clone());
        Err(end)
    }

    fn pace(&self) -> Pace {
        Pace::Live
    }

    fn frozen_after(&self) -> Option<Duration> {
        Some(crate::camera::SAME_BYTES_FOR)
    }

    fn stop_handle(&self) -> Option<StopHandle> {
        Some(self.pictures.get_ref().stop_handle())
    }
}

/// What the child is started with; `crate::cli` reads it back.
pub fn arguments(config: &UsbConfig) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = COMMAND.map(Into::into).into();
    let mut add =
        |name: &str, value: Option<OsString>| arguments.extend(value.into_iter().flat_map(|v| [name.into(), v]));
    add("--device", config.device.as_ref().map(Into::into));
    add("--format", config.format.map(|format| format.as_str().into()));
    add("--size", config.size.map(|(width, height)| format!("{width}x{height}").into()));
    add("--fps", config.fps.map(|fps| fps.to_string().into()));
    arguments
}
