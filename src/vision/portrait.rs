//! One face out of one picture: the steps that the counter, enrolment and evaluation share.
//!
//! Following a face through many pictures is `crate::track`'s.

use image::RgbImage;

use super::Vision;
use crate::face::{Detection, FaceChip, Quality, QualityReason, align};

/// A detected face made ready for the embedder.
pub struct Portrait {
    pub chip: FaceChip,
    pub quality: Quality,
}

/// Aligns one face of `picture` and measures it. Degenerate landmarks count as a face turned away.
pub fn portrait(vision: &dyn Vision, picture: &RgbImage, detection: &Detection) -> Result<Portrait, QualityReason> {
    let chip = align(picture, &detection.landmarks, &vision.pack().layout).ok_or(QualityReason::Turned)?;
    let quality = vision.quality(picture, detection, &chip);
    Ok(Portrait { chip, quality })
}

/// The face a photograph is about: large, and near the middle. Area counts fully at the centre and half
/// at a corner.
pub fn subject<'d>(picture: &RgbImage, detections: &'d [Detection]) -> Option<&'d Detection> {
    let (cx, cy) = (picture.width() as f32 / 2.0, picture.height() as f32 / 2.0);
    let radius = cx.hypot(cy).max(1.0);
    let weight = |d: &Detection| {
        let centre = d.bounds.centre();
        let away = (centre.x - cx).hypot(centre.y - cy) / radius;
        d.bounds.area() * (1.0 - 0.5 * away.min(1.0))
    };
    detections.iter().max_by(|a, b| weight(a).total_cmp(&weight(b)))
}
