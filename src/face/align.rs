//! From a face in a picture to the small upright picture a model reads.
//!
//! The layout (where the five points must land) comes from the pack; nothing is assumed here.

use image::RgbImage;

use super::{Landmarks, Point};

/// Where a model wants the five landmarks, in pixels of its square input.
#[derive(Clone, Debug, PartialEq)]
pub struct ChipLayout {
    /// Side of the square chip in pixels.
    pub side: u32,
    /// Left eye, right eye, nose tip, mouth left, mouth right.
    pub points: [Point; 5],
}

/// An aligned face: `side` × `side` RGB pixels, eyes level, in the pack's layout.
#[derive(Clone)]
pub struct FaceChip {
    pub image: RgbImage,
}

/// A similarity transform: `x' = a·x − b·y + tx`, `y' = b·x + a·y + ty`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct SimilarityTransform {
    a: f32,
    b: f32,
    tx: f32,
    ty: f32,
}

impl SimilarityTransform {
    /// The least-squares transform from `from` onto `onto` (Umeyama 1991, 2-D without reflection, in
    /// closed form). `None` when the points coincide or are not finite.
    fn estimate(from: &[Point; 5], onto: &[Point; 5]) -> Option<Self> {
        let (cf, co) = (centroid(from), centroid(onto));
        let (mut spread, mut dot, mut cross) = (0.0, 0.0, 0.0);
        for (f, o) in from.iter().zip(onto) {
            let (fx, fy, ox, oy) = (f.x - cf.x, f.y - cf.y, o.x - co.x, o.y - co.y);
            spread += fx * fx + fy * fy;
            dot += fx * ox + fy * oy;
            cross += fx * oy - fy * ox;
        }
        let (a, b) = (dot / spread, cross / spread);
        let transform = Self { a, b, tx: co.x - (a * cf.x - b * cf.y), ty: co.y - (b * cf.x + a * cf.y) };
        let scale = a.hypot(b);
        (spread > 1e-3 && scale.is_finite() && scale > 1e-6).then_some(transform)
    }

    fn inverse(self) -> Self {
        let square = self.a * self.a + self.b * self.b;
        let (a, b) = (self.a / square, -self.b / square);
        Self { a, b, tx: -(a * self.tx - b * self.ty), ty: -(b * self.tx + a * self.ty) }
    }
}

fn centroid(points: &[Point; 5]) -> Point {
    let (x, y) = points.iter().fold((0.0, 0.0), |(x, y), p| (x + p.x, y + p.y));
    Point { x: x / 5.0, y: y / 5.0 }
}

/// Warps the face at `landmarks` of `frame` into `layout`; pixels from outside the frame are black.
///
/// A chip pixel averages as many frame samples a side as the face is shrunk (up to 8), so that a close
/// face is low-passed and not aliased. `None` when the landmarks are degenerate.
pub fn align(frame: &RgbImage, landmarks: &Landmarks, layout: &ChipLayout) -> Option<FaceChip> {
    let onto_chip = SimilarityTransform::estimate(&landmarks.0, &layout.points)?;
    let back = onto_chip.inverse();
    let scale = back.a.hypot(back.b);
    let samples = (scale.round() as u32).clamp(1, 8);
    let step = 1.0 / samples as f32;
    let weight = 1.0 / (samples * samples) as f32;
    let source = Source::new(frame);
    let mut image = RgbImage::new(layout.side, layout.side);
    for (y, row) in image.rows_mut().enumerate() {
        for (x, pixel) in row.enumerate() {
            let mut sum = [0.0f32; 4];
            for j in 0..samples {
                for i in 0..samples {
                    // Offsets are symmetric about the pixel's centre, which is at its integer position.
                    let cx = x as f32 + (i as f32 + 0.5) * step - 0.5;
                    let cy = y as f32 + (j as f32 + 0.5) * step - 0.5;
                    let sample =
                        source.bilinear(back.a * cx - back.b * cy + back.tx, back.b * cx + back.a * cy + back.ty);
                    sum.iter_mut().zip(sample).for_each(|(s, v)| *s += v);
                }
            }
            let [r, g, b, _] = sum.map(|s| (s * weight + 0.5) as u8);
            pixel.0 = [r, g, b];
        }
    }
    Some(FaceChip { image })
}

/// Between a pixel and its right neighbour, which begin at bytes 0 and 3.
#[inline]
fn between(bytes: &[u8; 7], share: f32) -> [f32; 4] {
    let [a0, a1, a2, b0, b1, b2, c0] = *bytes;
    let (left, right) = ([a0, a1, a2, b0].map(f32::from), [b0, b1, b2, c0].map(f32::from));
    std::array::from_fn(|k| left[k] + (right[k] - left[k]) * share)
}

struct Source<'a> {
    bytes: &'a [u8],
    width: i32,
    height: i32,
}

impl<'a> Source<'a> {
    fn new(frame: &'a RgbImage) -> Self {
        Self { bytes: frame.as_raw(), width: frame.width() as i32, height: frame.height() as i32 }
    }

    fn bilinear(&self, x: f32, y: f32) -> [f32; 4] {
        self.inside(x, y).unwrap_or_else(|| {
            let [r, g, b] = self.anywhere(x, y);
            [r, g, b, 0.0]
        })
    }

    /// The sample where all four pixels lie in the frame, which is nearly always: without a branch a pixel, and
    /// without `floor`, which plain x86-64 has to call. The fourth value is the neighbour's red and means nothing:
    /// four at a time fill a vector register, three do not.
    #[inline]
    fn inside(&self, x: f32, y: f32) -> Option<[f32; 4]> {
        // Rounds towards zero, which is down for what passes; what is below zero or no number does not.
        let (x0, y0) = (x as i32, y as i32);
        if !(x >= 0.0 && y >= 0.0 && x0 < self.width - 1 && y0 < self.height - 1) {
            return None;
        }
        let (fx, fy) = (x - x0 as f32, y - y0 as f32);
        let row_bytes = self.width as usize * 3;
        let start = y0 as usize * row_bytes + x0 as usize * 3;
        // The frame's last pixel has no byte behind it: there the slower way is taken.
        let top: &[u8; 7] = self.bytes.get(start..start + 7)?.try_into().ok()?;
        let bottom: &[u8; 7] = self.bytes.get(start + row_bytes..start + row_bytes + 7)?.try_into().ok()?;
        let (above, below) = (between(top, fx), between(bottom, fx));
        Some(std::array::from_fn(|k| above[k] + (below[k] - above[k]) * fy))
    }

    /// The sample where pixels may lie outside of the frame, which are black.
    #[cold]
    fn anywhere(&self, x: f32, y: f32) -> [f32; 3] {
        let (x0, y0) = (x.floor(), y.floor());
        let (fx, fy) = (x - x0, y - y0);
        let (x0, y0) = (x0 as i32, y0 as i32);
        let (a, b) = (self.at(x0, y0), self.at(x0.saturating_add(1), y0));
        let (c, d) = (self.at(x0, y0.saturating_add(1)), self.at(x0.saturating_add(1), y0.saturating_add(1)));
        std::array::from_fn(|k| {
            let top = a[k] + (b[k] - a[k]) * fx;
            let bottom = c[k] + (d[k] - c[k]) * fx;
            top + (bottom - top) * fy
        })
    }

    fn at(&self, x: i32, y: i32) -> [f32; 3] {
        if x < 0 || y < 0 || x >= self.width || y >= self.height {
            return [0.0; 3];
        }
        let start = (y as usize * self.width as usize + x as usize) * 3;
        std::array::from_fn(|k| f32::from(self.bytes[start + k]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout() -> ChipLayout {
        let points = [(38.0, 52.0), (74.0, 52.0), (56.0, 72.0), (42.0, 92.0), (71.0, 92.0)];
        ChipLayout { side: 112, points: points.map(|(x, y)| Point { x, y }) }
    }

    #[test]
    fn a_turned_and_scaled_face_comes_out_upright() {
        let (turn, grow) = (0.4f32, 2.5f32);
        let turned = layout().points.map(|p| Point {
            x: grow * (turn.cos() * p.x - turn.sin() * p.y) + 200.0,
            y: grow * (turn.sin() * p.x + turn.cos() * p.y) + 30.0,
        });
        let transform = SimilarityTransform::estimate(&turned, &layout().points).expect("points are spread");
        for (from, onto) in turned.iter().zip(layout().points) {
            let x = transform.a * from.x - transform.b * from.y + transform.tx;
            let y = transform.b * from.x + transform.a * from.y + transform.ty;
            assert!((x - onto.x).abs() < 0.01 && (y - onto.y).abs() < 0.01, "{x},{y} is not {onto:?}");
        }
    }

    #[test]
    fn an_untouched_face_keeps_its_pixels() {
        let frame = RgbImage::from_fn(112, 112, |x, y| image::Rgb([x as u8, y as u8, (x ^ y) as u8]));
        let chip = align(&frame, &Landmarks(layout().points), &layout()).expect("points are spread");
        assert_eq!(chip.image, frame);
    }

    #[test]
    fn landmarks_on_one_spot_or_at_infinity_give_no_chip() {
        let frame = RgbImage::new(10, 10);
        for p in [Point { x: 5.0, y: 5.0 }, Point { x: f32::NAN, y: 0.0 }, Point { x: f32::INFINITY, y: 0.0 }] {
            assert!(align(&frame, &Landmarks([p; 5]), &layout()).is_none());
        }
    }
}
