//! Open-set evaluation on folders of labelled photographs, by the very code the counter runs.
//!
//! No figure is assumed anywhere: thresholds come out of here and go into packs by hand, with the name of
//! the evaluation that made them. Counting is `eval::measure`'s, plotting `eval::plot`'s, and threshold
//! tables are `eval::calibrate`'s.

mod calibrate;
mod dataset;
mod measure;
mod plot;

pub use calibrate::{CalibratedRow, Calibration, calibrate};
pub use dataset::{Identity, read_folder};
pub use measure::{Evaluation, OperatingPoint, evaluate};
pub use plot::det_svg;

use std::path::{Path, PathBuf};

use crate::face::{Embedding, decode_picture};
use crate::vision::{Vision, VisionError, portrait, subject};

/// Why an evaluation could not be made.
#[derive(Debug, thiserror::Error)]
pub enum EvalError {
    #[error(
        "cannot read the folder {path}: {cause}; give a folder that holds one folder an identity, with pictures in it",
        path = .path.display()
    )]
    Unreadable { path: PathBuf, cause: String },
    #[error(
        "the folder {path} holds no pictures; it must hold one folder an identity, with JPEG or PNG pictures in it",
        path = .0.display()
    )]
    Empty(PathBuf),
    #[error("the picture {path} cannot be used: {cause}", path = .path.display())]
    BadPicture { path: PathBuf, cause: String },
    #[error("{0}")]
    NotEnough(String),
    #[error(transparent)]
    Vision(#[from] VisionError),
}

/// Told after each picture: how many are done, of how many.
pub type Progress<'a> = &'a mut dyn FnMut(usize, usize);

/// The embedding of the face a photograph is about; `None` is a failure to acquire: no face, or one that
/// the quality gate refuses.
fn acquire(vision: &mut dyn Vision, path: &Path) -> Result<Option<Embedding>, EvalError> {
    let bad = |cause: String| EvalError::BadPicture { path: path.to_owned(), cause };
    let bytes = std::fs::read(path).map_err(|e| bad(e.to_string()))?;
    let picture = decode_picture(&bytes).map_err(|e| bad(e.to_string()))?;
    let detections = vision.detect(&picture)?;
    let Some(detection) = subject(&picture, &detections) else { return Ok(None) };
    match portrait(&*vision, &picture, detection) {
        Ok(found) if found.quality.is_usable() => Ok(vision.embed(&[found.chip])?.into_iter().next()),
        _ => Ok(None),
    }
}
