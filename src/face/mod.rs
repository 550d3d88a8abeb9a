//! The words of the picture side: frames, faces in them, and the vectors made of them.
//!
//! No detector and no model is here (see [`crate::vision`]), and no identity (see [`crate::customer`]).

mod align;
mod embedding;
mod frame;
mod geometry;
mod quality;
mod threshold;
mod yuyv;

pub use align::{ChipLayout, FaceChip, align};
pub use embedding::{Embedding, Probe, Similarity, Template, fuse, wipe};
pub use frame::{CameraId, CounterId, Frame, FrameError, Pixels, decode_picture};
pub use geometry::{BoundingBox, Detection, Landmarks, Point};
pub use quality::{Quality, QualityReason};
pub use threshold::{ThresholdRow, ThresholdTable};
pub use yuyv::Yuyv;
