//! The child process's work: opens a USB camera, sets the chosen format, and sends its pictures down the pipe.
//!
//! Starting and stopping the child is not here (see `mod.rs`), nor the choice of the format (see `choice.rs`).
//!
//! `nokhwa` opens the camera and negotiates the format. It cannot read the pictures: it gives the driver's whole
//! buffer without the picture's length, and what an older picture left behind it makes a picture cut in half look
//! whole. So the stream is read through `v4l`, on which nokhwa stands, and which tells the length.
//!
//! A camera that falls silent leaves the read waiting for ever. That is the parent's to notice: it kills this
//! process, which is also the one way to be sure that the device is let go of.

use std::io::{self, Write};
use std::mem::ManuallyDrop;
use std::path::PathBuf;
use std::time::Duration;

use nokhwa::Camera;
use nokhwa::utils::{
    ApiBackend, CameraFormat, CameraIndex, FrameFormat, RequestedFormat, RequestedFormatType, Resolution,
};
use v4l::buffer::{Flags, Type};
use v4l::io::mmap::Stream;
use v4l::io::traits::CaptureStream;
use v4l::video::Capture;
use v4l::video::capture::Parameters;
use v4l::{Device, Format, Fraction};

use super::super::jpeg::whole_jpeg;
use super::super::pipe::write_picture;
use super::super::{SourceError, UsbConfig, UsbFormat};
use super::choice::{UsbOffer, choose};
use super::devices::{Node, fourcc, node_at, nodes, usb_format};
use super::fault;
use crate::face::{Pixels, Yuyv};

/// Successive pictures without a good one after which the camera is given up: two seconds of most cameras.
const MOST_BROKEN: u32 = 60;

/// Sends the camera's pictures until nobody reads them any more, or there are none.
pub fn send_usb_pictures(config: &UsbConfig, to: &mut impl Write) -> Result<(), SourceError> {
    let mut camera = match &config.device {
        Some(path) => Opened::open(&node_at(path)?, config)?,
        None => first_that_opens(config)?,
    };
    camera.send(config.fps, to)
}

/// The first camera that is there, is free and has pictures; else why the first did not open.
fn first_that_opens(config: &UsbConfig) -> Result<Opened, SourceError> {
    let mut first_error = None;
    for node in nodes().into_iter().filter(|node| node.on_usb) {
        match Opened::open(&node, config) {
            Ok(camera) => return Ok(camera),
            Err(error) => first_error = first_error.or(error.why),
        }
    }
    Err(first_error.unwrap_or_else(|| SourceError::new("no USB camera is plugged in; plug one in")))
}

/// Why a node did not open; nothing if it is none that gives pictures.
struct Unopened {
    path: PathBuf,
    why: Option<SourceError>,
}

impl From<Unopened> for SourceError {
    fn from(error: Unopened) -> Self {
        let path = error.path.display();
        error.why.unwrap_or_else(|| {
            Self::new(format!("{path} gives no pictures; choose a camera that `snova cameras` lists"))
        })
    }
}

/// A camera with its stream.
struct Opened {
    path: PathBuf,
    offer: UsbOffer,
    /// Bytes of a row, which may be longer than its pixels; of raw pictures.
    row_bytes: usize,
    /// Never dropped: its drop panics where the camera is in trouble. The process ends right after, and the
    /// kernel cleans up.
    stream: ManuallyDrop<Stream<'static>>,
}

impl Opened {
    fn open(node: &Node, config: &UsbConfig) -> Result<Self, Unopened> {
        let unopened = |why| Unopened { path: node.path.clone(), why };
        let failed = |what, error: io::Error| unopened(Some(fault::text(&node.path, what, &error)));
        let offers = node.offers().map_err(|e| failed("cannot be opened", e))?;
        if offers.is_empty() {
            return Err(unopened(None));
        }
        let offer = choose(&offers.usable, config).ok_or_else(|| unopened(Some(not_offered(node, config))))?;
        negotiate(node, &offer).map_err(|e| failed("does not take the format it offers", e))?;
        let device = Device::with_path(&node.path).map_err(|e| failed("cannot be opened", e))?;
        let set = device.format().map_err(|e| failed("does not tell its format", e))?;
        if usb_format(set.fourcc) != Some(offer.format) || (set.width, set.height) != offer.size {
            let what = format!("{} was offered and is not given", offer);
            return Err(failed("cannot be used", io::Error::other(what)));
        }
        let stream = Stream::new(&device, Type::VideoCapture).map_err(|e| failed("gives no buffers", e))?;
        Ok(Self {
            path: node.path.clone(),
            offer,
            row_bytes: usize::try_from(set.stride).unwrap_or(0),
            stream: ManuallyDrop::new(stream),
        })
    }

    fn send(&mut self, fps: Option<u32>, to: &mut impl Write) -> Result<(), SourceError> {
        let mut pace = fps.map(Pace::new);
        let mut broken = 0;
        loop {
            let (buffer, about) = match self.stream.next() {
                Ok(next) => next,
                Err(error) => return Err(fault::text(&self.path, "gives no pictures", &error)),
            };
            let length = usize::try_from(about.bytesused).unwrap_or(0).min(buffer.len());
            let damaged = about.flags.contains(Flags::ERROR);
            let picture = if damaged { None } else { picture(&self.offer, self.row_bytes, &buffer[..length]) };
            let Some(picture) = picture else {
                broken += 1;
                if broken == MOST_BROKEN {
                    return Err(self.sends_no_whole_picture());
                }
                continue;
            };
            broken = 0;
            if pace.as_mut().is_some_and(|pace| !pace.is_due(about.timestamp.into())) {
                continue;
            }
            match write_picture(to, &picture, self.offer.size) {
                Ok(()) => {}
                // Whoever started us has gone.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                Err(error) => return Err(fault::text(&self.path, "has pictures that cannot be sent", &error)),
            }
        }
    }

    fn sends_no_whole_picture(&self) -> SourceError {
        let (path, offer) = (self.path.display(), self.offer);
        SourceError::new(format!(
            "the camera {path} sends no whole picture ({offer}); try another USB port, cable or format"
        ))
    }
}

fn not_offered(node: &Node, config: &UsbConfig) -> SourceError {
    let path = node.path.display();
    let format = config.format.map_or("pictures", UsbFormat::as_str);
    let size = config.size.map(|(width, height)| format!(" of {width}x{height}")).unwrap_or_default();
    if config.format.is_none() && config.size.is_none() {
        return SourceError::new(format!("the camera {path} has neither mjpeg nor yuyv; use another camera"));
    }
    SourceError::new(format!(
        "the camera {path} does not offer {format}{size}; choose what `snova cameras` lists for it"
    ))
}

/// Sets the format. The device is closed again, since whoever has set it holds it alone.
fn negotiate(node: &Node, offer: &UsbOffer) -> io::Result<()> {
    let device = Device::with_path(&node.path)?;
    let (Some(fps), true) = (offer.rate.whole(), nokhwa_can_read(node, &device)) else {
        return set(&device, offer);
    };
    drop(device);
    let (width, height) = offer.size;
    let format = match offer.format {
        UsbFormat::Mjpeg => FrameFormat::MJPEG,
        UsbFormat::Yuyv => FrameFormat::YUYV,
    };
    let wanted = CameraFormat::new(Resolution::new(width, height), format, fps);
    let request = RequestedFormat::with_formats(RequestedFormatType::Exact(wanted), std::slice::from_ref(&format));
    let camera = Camera::with_backend(CameraIndex::Index(node.index), request, ApiBackend::Video4Linux);
    camera.map(drop).map_err(|e| fault::from_text(&e.to_string()))
}

/// nokhwa reads what is set before it sets anything, and gives up on a format it has no word for (H.264) and on a
/// rate that is not whole (7.5), which another program may have left; on a name that is no text it panics.
fn nokhwa_can_read(node: &Node, device: &Device) -> bool {
    const KNOWN: [&[u8; 4]; 6] = [b"MJPG", b"YUYV", b"GRAY", b"RGB3", b"BGR3", b"NV12"];
    let known = device.format().is_ok_and(|format| KNOWN.contains(&&format.fourcc.repr));
    known && device.params().is_ok_and(|params| params.interval.numerator == 1) && node.name.is_some()
}

/// The same without nokhwa.
fn set(device: &Device, offer: &UsbOffer) -> io::Result<()> {
    let (width, height) = offer.size;
    device.set_format(&Format::new(width, height, fourcc(offer.format)))?;
    // The interval is the rate turned over.
    device.set_params(&Parameters::new(Fraction::new(offer.rate.seconds, offer.rate.pictures)))?;
    Ok(())
}

/// The picture in a driver's buffer, if it is whole.
fn picture(offer: &UsbOffer, row_bytes: usize, bytes: &[u8]) -> Option<Pixels> {
    match offer.format {
        UsbFormat::Mjpeg => whole_jpeg(bytes).map(|jpeg| Pixels::Jpeg(jpeg.bytes.to_vec())),
        UsbFormat::Yuyv => {
            let (width, height) = offer.size;
            let (width_bytes, rows) = (usize::try_from(width).ok()? * 2, usize::try_from(height).ok()?);
            let row_bytes = row_bytes.max(width_bytes);
            // The last row may come without its padding.
            let needed = row_bytes * (rows - 1) + width_bytes;
            let rows = bytes.get(..needed)?.chunks(row_bytes);
            let packed = rows.flat_map(|row| &row[..width_bytes]).copied().collect();
            Yuyv::new(width, height, packed).map(Pixels::Yuyv)
        }
    }
}

/// Lets pass as many pictures a second as are wanted, by the driver's time of each.
struct Pace {
    interval: Duration,
    due: Duration,
}

impl Pace {
    fn new(fps: u32) -> Self {
        Self { interval: Duration::from_secs(1) / fps.max(1), due: Duration::ZERO }
    }

    fn is_due(&mut self, at: Duration) -> bool {
        // Cameras are not punctual: a picture a little early is the one that was meant.
        if at + self.interval / 4 < self.due {
            return false;
        }
        // After a pause the beat begins anew, so that nothing is made up for.
        self.due = self.due.max(at.saturating_sub(self.interval / 4)) + self.interval;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::choice::PictureRate;
    use super::*;

    fn offer(format: UsbFormat, width: u32, height: u32) -> UsbOffer {
        UsbOffer { format, size: (width, height), rate: PictureRate::new(30, 1).unwrap() }
    }

    #[test]
    fn half_a_picture_is_no_picture_whatever_lies_behind_it() {
        let mut jpeg = Vec::new();
        let drawn = image::RgbImage::from_fn(64, 48, |x, y| image::Rgb([(x * 4) as u8, (y * 5) as u8, 90]));
        image::codecs::jpeg::JpegEncoder::new(&mut jpeg).encode_image(&drawn).unwrap();
        let half = jpeg.len() / 2;
        let mjpeg = offer(UsbFormat::Mjpeg, 640, 480);
        assert!(picture(&mjpeg, 0, &jpeg).is_some());
        assert!(picture(&mjpeg, 0, &jpeg[..half]).is_none());
        assert!(picture(&mjpeg, 0, &[&jpeg[..], &[0; 300]].concat()).is_some(), "padded by the camera");
        assert!(picture(&mjpeg, 0, &[]).is_none());
        let yuyv = offer(UsbFormat::Yuyv, 4, 2);
        assert!(picture(&yuyv, 8, &[0; 16]).is_some());
        assert!(picture(&yuyv, 8, &[0; 15]).is_none());
    }

    #[test]
    fn rows_are_freed_of_their_padding() {
        let yuyv = offer(UsbFormat::Yuyv, 2, 2);
        let padded = [1, 2, 3, 4, 0, 0, 5, 6, 7, 8];
        let Some(Pixels::Yuyv(picture)) = picture(&yuyv, 6, &padded) else { panic!("a whole picture") };
        assert_eq!(picture.as_raw(), [1, 2, 3, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn no_more_pictures_pass_than_are_wanted() {
        let passed = |fps: u32, camera_fps: u32| {
            let mut pace = Pace::new(fps);
            // Ten seconds of an unpunctual camera, long after it was plugged in.
            let at = |n: u32| Duration::from_secs(90_000) + Duration::from_secs(n.into()) / camera_fps;
            let unpunctual = |n: u32| at(n) + Duration::from_millis(u64::from(n * 7 % 5));
            (0..10 * camera_fps).filter(|n| pace.is_due(unpunctual(*n))).count()
        };
        // One more than the time's worth where the first comes at once.
        assert!((150..=151).contains(&passed(15, 30)), "{}", passed(15, 30));
        assert!((100..=101).contains(&passed(10, 30)), "{}", passed(10, 30));
        assert!((195..=201).contains(&passed(20, 30)), "{}", passed(20, 30));
        assert_eq!((passed(30, 30), passed(60, 30)), (300, 300), "none is lost to unpunctuality");
    }

    #[test]
    fn a_pause_is_not_made_up_for() {
        let mut pace = Pace::new(10);
        assert!(pace.is_due(Duration::from_secs(100)));
        let after = (0..30).filter(|n| pace.is_due(Duration::from_secs(160) + Duration::from_millis(n * 33)));
        assert!((9..=11).contains(&after.count()));
    }
}
