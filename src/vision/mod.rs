//! From pictures to detections and embeddings, by the models of one pack.
//!
//! Only here is ONNX Runtime named. Following faces through frames is `crate::track`'s; whose face it is,
//! `crate::gallery`'s.

pub mod golden;
mod heads;
pub mod manifest;
mod onnx;
mod pack;
mod portrait;
pub mod quality;
pub mod runtime;
mod shrink;

pub use onnx::OnnxVision;
pub use pack::{PackError, VisionConfig, open, verify_files};
pub use portrait::{Portrait, portrait, subject};

use std::time::Duration;

use image::RgbImage;

use crate::face::{ChipLayout, Detection, Embedding, FaceChip, Quality, ThresholdTable};

/// What the rest of the house may know of the pack in use.
#[derive(Clone, Debug)]
pub struct PackFacts {
    /// The pack's name; templates carry it, and only templates of this pack are searched.
    pub name: String,
    /// Values per embedding.
    pub dimension: usize,
    pub layout: ChipLayout,
    pub thresholds: ThresholdTable,
}

/// Why a picture could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum VisionError {
    #[error("the {model} model failed: {cause}; run `snova models verify`")]
    Inference { model: &'static str, cause: String },
    #[error("the {model} model gave {got}, expected {expected}; run `snova models verify`")]
    UnexpectedOutput { model: &'static str, got: String, expected: String },
}

/// The models' side of recognition. Two implementations: `OnnxVision`, and a scripted one in tests.
pub trait Vision: Send {
    fn pack(&self) -> &PackFacts;

    /// All faces of a picture, most confident first, in that picture's pixels.
    fn detect(&mut self, picture: &RgbImage) -> Result<Vec<Detection>, VisionError>;

    /// Measures one detected face and its chip against the quality gate.
    fn quality(&self, picture: &RgbImage, detection: &Detection, chip: &FaceChip) -> Quality;

    /// One embedding a chip, in order.
    fn embed(&mut self, chips: &[FaceChip]) -> Result<Vec<Embedding>, VisionError>;

    /// Time spent inside of the graphs so far; what else a frame takes is ours to make faster.
    fn in_graphs(&self) -> Duration {
        Duration::ZERO
    }
}
