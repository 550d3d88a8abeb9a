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

#[cfg(test)]
mod tests {
    use super::*;

    /// The twelve outputs of YuNet for a 64 × 32 input, empty of faces: 32, 8 and 2 cells.
    struct YuNet(Vec<(Vec<usize>, Vec<f32>)>);

    impl YuNet {
        fn empty() -> Self {
            let cells = [32, 8, 2];
            let group = |channels: usize| cells.map(|n| (vec![1, n, channels], vec![0.0; n * channels]));
            Self([1, 1, 4, 10].into_iter().flat_map(group).collect())
        }

        /// Puts `values` at `cell` of the tensor of `group` (class, object, box, landmarks) and `level`.
        fn put(&mut self, group: usize, level: usize, cell: usize, values: &[f32]) {
            let channels = values.len();
            self.0[group * 3 + level].1[cell * channels..][..channels].copy_from_slice(values);
        }

        fn decode(&self, confidence: f32) -> Result<Vec<Detection>, VisionError> {
            let outputs: Vec<Output<'_>> =
                self.0.iter().map(|(shape, values)| Output { shape: shape.clone(), values }).collect();
            decode(DetectorHead::YuNet, &outputs, (64, 32), confidence)
        }
    }

    fn close(a: f32, b: f32) -> bool {
        (a - b).abs() < 1e-3
    }

    #[test]
    fn yunet_cells_become_boxes_and_landmarks_of_their_stride() {
        let mut tensors = YuNet::empty();
        // Stride 16: 4 columns, 2 rows. Cell 6 is column 2 of row 1.
        tensors.put(0, 1, 6, &[0.81]);
        tensors.put(1, 1, 6, &[1.0]);
        tensors.put(2, 1, 6, &[0.5, -0.25, 2f32.ln(), 0.0]);
        tensors.put(3, 1, 6, &[0.0, 0.0, 1.0, 0.0, 0.5, 0.5, 0.0, 1.0, 1.0, 1.0]);
        // Stride 32: 2 columns, 1 row; scores above 1 count as 1.
        tensors.put(0, 2, 1, &[1.2]);
        tensors.put(1, 2, 1, &[0.49]);
        let found = tensors.decode(0.6).expect("the tensors are as they must be");
        assert_eq!(found.len(), 2);
        let (near, far) = (&found[0], &found[1]);
        assert!(close(near.confidence, 0.9), "the root of 0.81 · 1: {}", near.confidence);
        // Centre ((2 + 0.5) · 16, (1 − 0.25) · 16) = (40, 12), width 2 · 16, height 1 · 16.
        let b = near.bounds;
        assert!(close(b.x1, 24.0) && close(b.x2, 56.0) && close(b.y1, 4.0) && close(b.y2, 20.0), "{b:?}");
        let marks = near.landmarks.0.map(|p| (p.x, p.y));
        assert_eq!(marks, [(32.0, 16.0), (48.0, 16.0), (40.0, 24.0), (32.0, 32.0), (48.0, 32.0)]);
        assert!(close(far.confidence, 0.7), "the root of 1 · 0.49: {}", far.confidence);
        let b = far.bounds;
        assert!(close(b.x1, 16.0) && close(b.x2, 48.0) && close(b.y1, -16.0) && close(b.y2, 16.0), "{b:?}");
    }

    #[test]
    fn yunet_needs_class_and_objectness_together() {
        let mut tensors = YuNet::empty();
        tensors.put(0, 0, 3, &[1.0]);
        tensors.put(1, 0, 4, &[1.0]);
        tensors.put(0, 0, 5, &[f32::NAN]);
        tensors.put(1, 0, 5, &[1.0]);
        assert!(suppress(tensors.decode(0.6).expect("shapes are right"), 0.3).is_empty());
    }

    #[test]
    fn outputs_of_another_shape_are_refused() {
        let mut tensors = YuNet::empty();
        tensors.0[7].0 = vec![1, 8, 5];
        assert!(matches!(tensors.decode(0.6), Err(VisionError::UnexpectedOutput { .. })));
        tensors = YuNet::empty();
        tensors.0[9].1.truncate(3);
        assert!(tensors.decode(0.6).is_err());
        tensors = YuNet::empty();
        tensors.0.pop();
        assert!(tensors.decode(0.6).is_err());
    }

    #[test]
    fn centerface_cells_become_boxes_and_landmarks() {
        // A heat map of 2 rows and 3 columns; the face is in row 1, column 2: cell 5.
        let (mut heat, mut size, mut offset, mut marks) = (vec![0.0; 6], vec![0.0; 12], vec![0.0; 12], vec![0.0; 60]);
        heat[5] = 0.8;
        (size[5], size[6 + 5]) = (2f32.ln(), 3f32.ln());
        (offset[5], offset[6 + 5]) = (0.25, -0.25);
        // The right eye a quarter down and half across the box; the rest in its corner.
        (marks[2 * 6 + 5], marks[3 * 6 + 5]) = (0.25, 0.5);
        let output = |channels: usize, values| Output { shape: vec![1, channels, 2, 3], values };
        let outputs = [output(1, &heat), output(2, &size), output(2, &offset), output(10, &marks)];
        let found = decode(DetectorHead::CenterFace, &outputs, (12, 8), 0.5).expect("shapes are right");
        // Centre ((2 − 0.25 + 0.5) · 4, (1 + 0.25 + 0.5) · 4) = (9, 7), width 3 · 4, height 2 · 4.
        let b = found[0].bounds;
        assert!(close(b.x1, 3.0) && close(b.x2, 15.0) && close(b.y1, 3.0) && close(b.y2, 11.0), "{b:?}");
        let eyes = [Landmarks::LEFT_EYE, Landmarks::RIGHT_EYE].map(|eye| found[0].landmarks.0[eye]);
        assert!(close(eyes[0].x, 3.0) && close(eyes[0].y, 3.0), "{eyes:?}");
        assert!(close(eyes[1].x, 9.0) && close(eyes[1].y, 5.0), "{eyes:?}");
    }

    #[test]
    fn of_boxes_of_one_face_the_most_confident_stays() {
        let face = |x: f32, confidence: f32| {
            let bounds = BoundingBox { x1: x, y1: 0.0, x2: x + 10.0, y2: 10.0 };
            Detection { bounds, landmarks: Landmarks::default(), confidence }
        };
        let mut broken = face(50.0, 0.99);
        broken.bounds.x2 = f32::INFINITY;
        let kept = suppress(vec![face(2.0, 0.7), face(0.0, 0.9), face(30.0, 0.6), broken], 0.3);
        assert_eq!(kept.iter().map(|d| d.confidence).collect::<Vec<_>>(), [0.9, 0.6]);
    }
}
