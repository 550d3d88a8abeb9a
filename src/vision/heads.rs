//! How a detector's raw outputs become boxes and landmarks: one function a family.
//!
//! Running the graph and scaling to the picture is `vision::onnx`'s.

use super::VisionError;
use super::manifest::DetectorHead;
use crate::face::{BoundingBox, Detection, Landmarks, Point};

/// One output tensor with its shape.
pub(super) struct Output<'a> {
    pub shape: Vec<usize>,
    pub values: &'a [f32],
}

/// Decodes the outputs (in the manifest's order) of one picture of `width` × `height` input pixels into
/// detections in input pixels, unsorted and before non-maximum suppression.
pub(super) fn decode(
    head: DetectorHead,
    outputs: &[Output<'_>],
    (width, height): (u32, u32),
    confidence: f32,
) -> Result<Vec<Detection>, VisionError> {
    match head {
        DetectorHead::CenterFace => centerface(outputs, confidence),
        DetectorHead::YuNet => yunet(outputs, (width as usize, height as usize), confidence),
    }
}

/// How many outputs a head reads, for the check on load.
pub(super) fn output_count(head: DetectorHead) -> usize {
    match head {
        DetectorHead::CenterFace => 4,
        DetectorHead::YuNet => 12,
    }
}

fn unexpected(got: &[usize], expected: &str) -> VisionError {
    VisionError::UnexpectedOutput { model: "detector", got: format!("{got:?}"), expected: expected.to_owned() }
}

/// CenterFace (Xu et al. 2019): a heat map a quarter of the input's size, with size, offset and landmark
/// maps beside it; landmarks are given as (y, x) pairs relative to the box.
fn centerface(outputs: &[Output<'_>], confidence: f32) -> Result<Vec<Detection>, VisionError> {
    const STRIDE: f32 = 4.0;
    let [heat, size, offset, marks] = outputs else {
        return Err(unexpected(&[outputs.len()], "4 outputs"));
    };
    let &[1, 1, rows, columns] = heat.shape.as_slice() else {
        return Err(unexpected(&heat.shape, "[1, 1, h, w]"));
    };
    let cells = rows * columns;
    for (output, channels) in [(heat, 1), (size, 2), (offset, 2), (marks, 10)] {
        if output.shape != [1, channels, rows, columns] || output.values.len() != channels * cells {
            return Err(unexpected(&output.shape, &format!("[1, {channels}, {rows}, {columns}]")));
        }
    }
    let mut found = Vec::new();
    for (cell, &score) in heat.values.iter().enumerate().filter(|(_, score)| **score > confidence) {
        let at = |output: &Output<'_>, channel: usize| output.values[channel * cells + cell];
        let (row, column) = ((cell / columns) as f32, (cell % columns) as f32);
        let (h, w) = (at(size, 0).exp() * STRIDE, at(size, 1).exp() * STRIDE);
        let x1 = (column + at(offset, 1) + 0.5) * STRIDE - w / 2.0;
        let y1 = (row + at(offset, 0) + 0.5) * STRIDE - h / 2.0;
        let points = std::array::from_fn(|j| Point { x: at(marks, 2 * j + 1) * w + x1, y: at(marks, 2 * j) * h + y1 });
        found.push(Detection {
            bounds: BoundingBox { x1, y1, x2: x1 + w, y2: y1 + h },
            landmarks: Landmarks(points),
            confidence: score,
        });
    }
    Ok(found)
}

/// YuNet (Wu et al. 2023): three strides; class and objectness scores are multiplied under a root.
fn yunet(
    outputs: &[Output<'_>],
    (width, height): (usize, usize),
    confidence: f32,
) -> Result<Vec<Detection>, VisionError> {
    if outputs.len() != 12 {
        return Err(unexpected(&[outputs.len()], "12 outputs"));
    }
    let mut found = Vec::new();
    for (level, stride) in [8usize, 16, 32].into_iter().enumerate() {
        let [class, object, bounds, marks] = [0, 3, 6, 9].map(|group| &outputs[group + level]);
        let columns = width / stride;
        let cells = columns * (height / stride);
        for (output, channels) in [(class, 1), (object, 1), (bounds, 4), (marks, 10)] {
            if output.shape != [1, cells, channels] || output.values.len() != cells * channels {
                return Err(unexpected(&output.shape, &format!("[1, {cells}, {channels}]")));
            }
        }
        let stride = stride as f32;
        for cell in 0..cells {
            let score = (class.values[cell].clamp(0.0, 1.0) * object.values[cell].clamp(0.0, 1.0)).sqrt();
            if score <= confidence {
                continue;
            }
            let (row, column) = ((cell / columns) as f32, (cell % columns) as f32);
            let b = &bounds.values[cell * 4..][..4];
            let (w, h) = (b[2].exp() * stride, b[3].exp() * stride);
            let (x1, y1) = ((column + b[0]) * stride - w / 2.0, (row + b[1]) * stride - h / 2.0);
            let m = &marks.values[cell * 10..][..10];
            let points =
                std::array::from_fn(|j| Point { x: (m[2 * j] + column) * stride, y: (m[2 * j + 1] + row) * stride });
            found.push(Detection {
                bounds: BoundingBox { x1, y1, x2: x1 + w, y2: y1 + h },
                landmarks: Landmarks(points),
                confidence: score,
            });
        }
    }
    Ok(found)
}

/// Greedy non-maximum suppression: most confident first, boxes that overlap a kept one by more than
/// `iou` go. Non-finite boxes go too: no face gives one.
pub(super) fn suppress(mut found: Vec<Detection>, iou: f32) -> Vec<Detection> {
    found.retain(|d| d.bounds.area().is_finite() && d.bounds.area() > 0.0 && d.confidence.is_finite());
    found.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
    let mut kept: Vec<Detection> = Vec::new();
    for candidate in found {
        if kept.iter().all(|k| k.bounds.iou(&candidate.bounds) <= iou) {
            kept.push(candidate);
        }
    }
    kept
}
