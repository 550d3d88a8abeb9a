//! The quality gate: measures one face image and says by name what is wrong with it.
//!
//! The words and remedies are `face::quality`'s. Quality never touches a similarity: it admits a shot or
//! not, and ranks shots among themselves.

use image::RgbImage;

use crate::face::{Detection, FaceChip, Landmarks, Quality, QualityReason};

/// The gate's limits.
#[derive(Clone, Debug, PartialEq)]
pub struct QualityConfig {
    /// Smallest face width in pixels of the picture.
    pub min_face_px: f32,
    /// Smallest share of the box inside the picture, in [0, 1].
    pub min_share_inside: f32,
    /// Largest sideways distance of the nose from between the eyes, in eye distances.
    pub max_turn: f32,
    /// Smallest and largest mean brightness of the face, 0..255.
    pub brightness: (f32, f32),
    /// Smallest sharpness: mean absolute Laplacian over mean absolute contrast of the chip.
    pub min_sharpness: f32,
}

impl Default for QualityConfig {
    fn default() -> Self {
        Self {
            min_face_px: 60.0,
            min_share_inside: 0.85,
            max_turn: 0.6,
            brightness: (40.0, 230.0),
            min_sharpness: 0.05,
        }
    }
}

/// What the gate measured, in the units of [`QualityConfig`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measures {
    pub face_px: f32,
    pub share_inside: f32,
    pub turn: f32,
    pub brightness: f32,
    pub sharpness: f32,
}

/// Measures one face of `picture`.
pub fn measure(picture: &RgbImage, detection: &Detection, chip: &FaceChip) -> Measures {
    let (brightness, sharpness) = light_and_sharpness(&chip.image);
    Measures {
        face_px: detection.bounds.width(),
        share_inside: detection.bounds.share_inside(picture.width(), picture.height()),
        turn: turn(&detection.landmarks),
        brightness,
        sharpness,
    }
}

/// Holds measures against the limits.
pub fn judge(measures: &Measures, config: &QualityConfig) -> Quality {
    let checks = [
        (measures.face_px < config.min_face_px, QualityReason::TooSmall),
        (measures.share_inside < config.min_share_inside, QualityReason::CutOff),
        (measures.turn > config.max_turn || !measures.turn.is_finite(), QualityReason::Turned),
        (measures.brightness < config.brightness.0, QualityReason::TooDark),
        (measures.brightness > config.brightness.1, QualityReason::TooBright),
        (measures.sharpness < config.min_sharpness, QualityReason::Blurred),
    ];
    let reasons = checks.into_iter().filter(|(fails, _)| *fails).map(|(_, reason)| reason).collect();
    Quality { score: score(measures, config), reasons }
}

/// Ranks shots: large, frontal and sharp is best. Each factor saturates where more no longer helps an
/// input of about 112 pixels.
fn score(measures: &Measures, config: &QualityConfig) -> f32 {
    let size = (measures.face_px / 112.0).clamp(0.0, 1.0);
    let frontal = (1.0 - measures.turn / (2.0 * config.max_turn)).clamp(0.0, 1.0);
    let sharp = (measures.sharpness / (4.0 * config.min_sharpness)).clamp(0.0, 1.0);
    let score = size * frontal * sharp;
    if score.is_finite() { score } else { 0.0 }
}

/// How far the nose stands to the side of the middle between the eyes, in eye distances along the eye
/// line: 0 is frontal, about 0.5 a half profile. Degenerate landmarks give infinity.
fn turn(landmarks: &Landmarks) -> f32 {
    let [left, right, nose, ..] = landmarks.0;
    let (ex, ey) = (right.x - left.x, right.y - left.y);
    let square = ex * ex + ey * ey;
    if square < 1.0 {
        return f32::INFINITY;
    }
    let (mx, my) = ((left.x + right.x) / 2.0, (left.y + right.y) / 2.0);
    (((nose.x - mx) * ex + (nose.y - my) * ey) / square).abs()
}

/// Mean luma (Rec. 601, 0..255) of the chip's inner face, and how much of its contrast is fine detail.
///
/// Sharpness is the mean absolute Laplacian over the mean absolute deviation, so that a dark or
/// low-contrast but focused face is not called blurred.
fn light_and_sharpness(chip: &RgbImage) -> (f32, f32) {
    let side = chip.width() as usize;
    let luma: Vec<f32> = chip
        .pixels()
        .map(|p| 0.299 * f32::from(p.0[0]) + 0.587 * f32::from(p.0[1]) + 0.114 * f32::from(p.0[2]))
        .collect();
    // The middle: hair and background at the rim say nothing about the face.
    let inner = side / 5..side - side / 5;
    let cells = || inner.clone().flat_map(|y| inner.clone().map(move |x| y * side + x));
    let count = cells().count().max(1) as f32;
    let mean = cells().map(|i| luma[i]).sum::<f32>() / count;
    let contrast = cells().map(|i| (luma[i] - mean).abs()).sum::<f32>() / count;
    let detail = cells()
        .map(|i| (4.0 * luma[i] - luma[i - 1] - luma[i + 1] - luma[i - side] - luma[i + side]).abs())
        .sum::<f32>()
        / count;
    (mean, detail / (contrast + 1.0))
}
