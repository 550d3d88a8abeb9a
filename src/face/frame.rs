//! A picture on its way from a camera to the vision thread, and the decoding of untrusted pictures.
//!
//! Where frames come from is `crate::camera`'s.

use std::fmt;
use std::io::Cursor;
use std::sync::Arc;

use image::{ImageReader, Limits, RgbImage};

use super::Yuyv;
use crate::clock::Monotonic;

/// The name of a place of sale, as the configuration gives it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CounterId(Arc<str>);

/// The name of a camera, as the configuration gives it; unique on a box.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CameraId(Arc<str>);

macro_rules! name_newtype {
    ($name:ident) => {
        impl $name {
            pub fn new(name: impl AsRef<str>) -> Self {
                Self(Arc::from(name.as_ref()))
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}
name_newtype!(CounterId);
name_newtype!(CameraId);

/// A frame's picture in the form its source had it, so that decoding happens once, where it is needed.
pub enum Pixels {
    /// 8-bit RGB, row by row.
    Rgb8(RgbImage),
    /// One whole JPEG file.
    Jpeg(Vec<u8>),
    /// Raw 4:2:2.
    Yuyv(Yuyv),
}

/// One picture of one camera. `seq` counts the camera's frames from 0, gaps are frames nobody took.
pub struct Frame {
    pub counter: CounterId,
    pub camera: CameraId,
    pub seq: u64,
    pub captured_at: Monotonic,
    pub pixels: Pixels,
}

/// Why a picture cannot be used. Each text is one line for a person: what failed and what to do.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    #[error("this is not a JPEG or PNG picture; give a photo in one of these formats")]
    NotAPicture,
    #[error("the picture is damaged ({0}); take or export it again")]
    Damaged(String),
    #[error(
        "the picture is {width}×{height} pixels, more than the {max_megapixels} megapixels allowed; make it smaller"
    )]
    TooManyPixels { width: u32, height: u32, max_megapixels: u32 },
}

/// The most pixels a picture may have, in millions. A 48-megapixel phone photo passes; a bomb does not.
pub const MAX_MEGAPIXELS: u32 = 50;

impl Frame {
    /// The frame as 8-bit RGB; decodes on demand.
    pub fn into_rgb(self) -> Result<RgbImage, FrameError> {
        self.pixels.into_rgb()
    }
}

impl Pixels {
    /// The picture as 8-bit RGB; decodes on demand.
    pub fn into_rgb(self) -> Result<RgbImage, FrameError> {
        match self {
            Self::Rgb8(image) => Ok(image),
            Self::Jpeg(bytes) => decode_picture(&bytes),
            Self::Yuyv(raw) => Ok(raw.to_rgb()),
        }
    }
}

/// Decodes an untrusted JPEG or PNG file. The format is read from the bytes, never from a name; the
/// size is checked before any pixel is decoded; an EXIF orientation is applied, since phones rely on it.
pub fn decode_picture(bytes: &[u8]) -> Result<RgbImage, FrameError> {
    let reader =
        || ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|e| FrameError::Damaged(e.to_string()));
    let first = reader()?;
    if first.format().is_none_or(|format| !matches!(format, image::ImageFormat::Jpeg | image::ImageFormat::Png)) {
        return Err(FrameError::NotAPicture);
    }
    let (width, height) = first.into_dimensions().map_err(|e| FrameError::Damaged(one_line(&e)))?;
    if u64::from(width) * u64::from(height) > u64::from(MAX_MEGAPIXELS) * 1_000_000 {
        return Err(FrameError::TooManyPixels { width, height, max_megapixels: MAX_MEGAPIXELS });
    }
    let mut second = reader()?;
    let mut limits = Limits::default();
    // Four bytes a pixel for the widest 8-bit layout, twice over for 16-bit PNGs.
    limits.max_alloc = Some(u64::from(MAX_MEGAPIXELS) * 1_000_000 * 8);
    second.limits(limits);
    let mut decoder = second.into_decoder().map_err(|e| FrameError::Damaged(one_line(&e)))?;
    let orientation =
        image::ImageDecoder::orientation(&mut decoder).unwrap_or(image::metadata::Orientation::NoTransforms);
    let mut image = image::DynamicImage::from_decoder(decoder).map_err(|e| FrameError::Damaged(one_line(&e)))?;
    image.apply_orientation(orientation);
    Ok(image.into_rgb8())
}

fn one_line(error: &dyn fmt::Display) -> String {
    error.to_string().replace('\n', " ")
}
