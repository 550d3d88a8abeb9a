//! A pack's two graphs behind the [`Vision`] trait: scaling, normalising, running, decoding.
//!
//! Checking graphs against their manifest is `vision::pack`'s; decode heads are `vision::heads`.

use std::time::Duration;

use image::RgbImage;
use ndarray::{Array4, ArrayViewMut3, Axis};
use ort::session::Session;
use ort::value::TensorRef;

use super::heads::{self, Output};
use super::manifest::{ChannelOrder, DetectorManifest, EmbedderManifest, PixelFormat};
use super::quality::{self, QualityConfig};
use super::shrink::Shrink;
use super::{PackFacts, Vision, VisionError};
use crate::clock::Stopwatch;
use crate::face::{Detection, Embedding, FaceChip, Point, Quality};

/// The models of a checked pack, with one ONNX Runtime session each. Made by `pack::open`.
pub struct OnnxVision {
    pub(super) facts: PackFacts,
    pub(super) detector: Detector,
    pub(super) embedder: Embedder,
    pub(super) quality: QualityConfig,
}

impl Vision for OnnxVision {
    fn pack(&self) -> &PackFacts {
        &self.facts
    }

    fn detect(&mut self, picture: &RgbImage) -> Result<Vec<Detection>, VisionError> {
        self.detector.detect(picture)
    }

    fn quality(&self, picture: &RgbImage, detection: &Detection, chip: &FaceChip) -> Quality {
        quality::judge(&quality::measure(picture, detection, chip), &self.quality)
    }

    fn embed(&mut self, chips: &[FaceChip]) -> Result<Vec<Embedding>, VisionError> {
        // One by one: the graph's cost is linear in the batch, and a fixed shape keeps its buffers.
        chips.iter().map(|chip| self.embedder.embed(chip)).collect()
    }

    fn in_graphs(&self) -> Duration {
        self.detector.in_graph.total() + self.embedder.in_graph.total()
    }
}

pub(super) struct Detector {
    pub session: Session,
    pub manifest: DetectorManifest,
    /// Longest side in pixels at which pictures are looked at; larger ones are scaled down.
    pub long_side: u32,
    /// `[1, 3, height, width]`, kept between frames of one size.
    pub tensor: Array4<f32>,
    /// The size of the picture in it; the rest of the tensor is zero.
    pub drawn: (u32, u32),
    /// For pictures of the size of the last one.
    pub shrink: Option<Shrink>,
    pub in_graph: Stopwatch,
}

impl Detector {
    fn detect(&mut self, picture: &RgbImage) -> Result<Vec<Detection>, VisionError> {
        let canvas = self.canvas(picture.width(), picture.height());
        let scale = self.draw(picture, canvas);
        let failed = |cause: ort::Error| inference("detector", &cause);
        let tensor = TensorRef::from_array_view(self.tensor.view()).map_err(failed)?;
        let input = ort::inputs![self.manifest.input.name.as_str() => tensor];
        let results = self.in_graph.time(|| self.session.run(input)).map_err(failed)?;
        let mut outputs = Vec::with_capacity(self.manifest.outputs.len());
        for name in &self.manifest.outputs {
            let (shape, values) = results[name.as_str()].try_extract_tensor::<f32>().map_err(failed)?;
            outputs.push(Output { shape: shape.iter().map(|d| usize::try_from(*d).unwrap_or(0)).collect(), values });
        }
        let found = heads::decode(self.manifest.head, &outputs, canvas, self.manifest.confidence)?;
        let mut kept = heads::suppress(found, self.manifest.nms_iou);
        kept.iter_mut().for_each(|detection| rescale(detection, 1.0 / scale));
        Ok(kept)
    }

    /// Draws `picture` at the top left of the tensor, shrunk to fit `canvas`; gives the factor.
    fn draw(&mut self, picture: &RgbImage, canvas: (u32, u32)) -> f32 {
        let scale = scale_into(picture, canvas);
        let side = |length: u32| ((length as f32 * scale).round() as u32).max(1);
        let (from, to) = (picture.dimensions(), (side(picture.width()), side(picture.height())));
        let shape = (1, 3, canvas.1 as usize, canvas.0 as usize);
        if self.tensor.dim() != shape || self.drawn != to {
            // What no picture of this size covers stays zero from now on.
            self.tensor = Array4::zeros(shape);
            self.drawn = to;
        }
        let mut planes = self.tensor.index_axis_mut(Axis(0), 0);
        let pixels = &self.manifest.input.pixels;
        if scale == 1.0 {
            fill(planes, picture, pixels);
            return scale;
        }
        if !self.shrink.as_ref().is_some_and(|shrink| shrink.is_for(from, to)) {
            self.shrink = Some(Shrink::new(from, to));
        }
        let Some(shrink) = &mut self.shrink else { return scale };
        shrink.run(picture, |row, means| {
            for (channel, mut plane) in planes.outer_iter_mut().enumerate() {
                let (byte, mean, scale) = normalisation(pixels, channel);
                for (value, pixel) in plane.row_mut(row).iter_mut().zip(means) {
                    *value = (pixel[byte] - mean) * scale;
                }
            }
        });
        scale
    }

    /// The graph's input size for a picture: fixed by the graph, or the picture's shape scaled to the
    /// long side and rounded to the graph's multiple — down when scaling (a little smaller is cheaper),
    /// up when not (padding loses nothing).
    fn canvas(&self, width: u32, height: u32) -> (u32, u32) {
        if let Some([width, height]) = self.manifest.input.fixed_size {
            return (width, height);
        }
        let multiple = self.manifest.input.multiple_of.max(1);
        let longest = width.max(height).max(1);
        if longest <= self.long_side {
            return (width.max(1).next_multiple_of(multiple), height.max(1).next_multiple_of(multiple));
        }
        let down = |side: u32| {
            let scaled = (f64::from(side) * f64::from(self.long_side) / f64::from(longest)) as u32;
            (scaled / multiple * multiple).max(multiple)
        };
        (down(width), down(height))
    }
}

/// The factor by which `picture` must shrink to fit `canvas`; never above 1.
fn scale_into(picture: &RgbImage, canvas: (u32, u32)) -> f32 {
    let x = canvas.0 as f32 / picture.width().max(1) as f32;
    let y = canvas.1 as f32 / picture.height().max(1) as f32;
    x.min(y).min(1.0)
}

fn rescale(detection: &mut Detection, by: f32) {
    let point = |p: Point| Point { x: p.x * by, y: p.y * by };
    detection.landmarks.0 = detection.landmarks.0.map(point);
    let b = &mut detection.bounds;
    (b.x1, b.y1, b.x2, b.y2) = (b.x1 * by, b.y1 * by, b.x2 * by, b.y2 * by);
}

pub(super) struct Embedder {
    pub session: Session,
    pub manifest: EmbedderManifest,
    /// `[1, 3, side, side]`.
    pub tensor: Array4<f32>,
    pub in_graph: Stopwatch,
}

impl Embedder {
    fn embed(&mut self, chip: &FaceChip) -> Result<Embedding, VisionError> {
        if chip.image.dimensions() != (self.manifest.input.side, self.manifest.input.side) {
            return Err(VisionError::UnexpectedOutput {
                model: "embedder",
                got: format!("a chip of {:?} pixels", chip.image.dimensions()),
                expected: format!("{0}×{0}", self.manifest.input.side),
            });
        }
        fill(self.tensor.index_axis_mut(Axis(0), 0), &chip.image, &self.manifest.input.pixels);
        let failed = |cause: ort::Error| inference("embedder", &cause);
        let tensor = TensorRef::from_array_view(self.tensor.view()).map_err(failed)?;
        let input = ort::inputs![self.manifest.input.name.as_str() => tensor];
        let results = self.in_graph.time(|| self.session.run(input)).map_err(failed)?;
        let (_, values) = results[self.manifest.output.as_str()].try_extract_tensor::<f32>().map_err(failed)?;
        let unexpected = |got: String| VisionError::UnexpectedOutput {
            model: "embedder",
            got,
            expected: format!("{} finite values", self.manifest.dimension),
        };
        if values.len() != self.manifest.dimension {
            return Err(unexpected(format!("{} values", values.len())));
        }
        Embedding::from_raw(values.to_vec()).ok_or_else(|| unexpected("a zero or non-finite vector".to_owned()))
    }
}

fn inference(model: &'static str, cause: &ort::Error) -> VisionError {
    VisionError::Inference { model, cause: cause.to_string().lines().next().unwrap_or_default().to_owned() }
}

/// Writes `image` at the top left of a `[3, height, width]` tensor, normalised; the rest stays.
fn fill(mut tensor: ArrayViewMut3<'_, f32>, image: &RgbImage, format: &PixelFormat) {
    let row_bytes = image.width() as usize * 3;
    for (channel, mut plane) in tensor.outer_iter_mut().enumerate() {
        let (byte, mean, scale) = normalisation(format, channel);
        for (mut target, source) in plane.outer_iter_mut().zip(image.as_raw().chunks_exact(row_bytes)) {
            for (value, pixel) in target.iter_mut().zip(source.as_chunks::<3>().0) {
                *value = (f32::from(pixel[byte]) - mean) * scale;
            }
        }
    }
}

/// For a plane of the tensor: which byte of a pixel it takes, what is subtracted from it, what it is multiplied by.
fn normalisation(format: &PixelFormat, channel: usize) -> (usize, f32, f32) {
    let byte = match format.channels {
        ChannelOrder::Rgb => channel,
        ChannelOrder::Bgr => 2 - channel,
    };
    (byte, format.mean[channel], 1.0 / format.std[channel])
}
