//! A person cut out of a portrait with soft edges, at several sizes, ready to be drawn into a frame.
//!
//! Who stands where is not here: see `walk.rs`.

use image::RgbImage;

use super::paint::{Layer, box_blur};
use super::script::PortraitScript;
use super::walk::Pose;
use crate::face::BoundingBox;

/// A cut-out. Below its lower edge the last row goes on for ever, so that a bust has a body to the
/// counter's edge.
pub(super) struct Figure {
    /// Each half as large as the one before.
    levels: Vec<Level>,
    /// The face's box in pixels of the first level.
    face: BoundingBox,
}

/// RGBA rows, colours multiplied by alpha, so that averaging pixels never takes in the portrait's wall.
struct Level {
    width: usize,
    height: usize,
    rgba: Vec<[u8; 4]>,
}

impl Figure {
    /// Cuts along the portrait's outline; `largest_px` is the widest face that will be drawn.
    pub fn cut(mut picture: RgbImage, portrait: &PortraitScript, largest_px: f32) -> Result<Self, String> {
        let [x1, y1, x2, y2] = portrait.face;
        let (width, height) = (picture.width() as f32, picture.height() as f32);
        let mut face = BoundingBox { x1, y1, x2, y2 };
        if face.share_inside(picture.width(), picture.height()) < 1.0 {
            return Err(format!("face: the box lies outside the picture, which has {width}×{height} pixels"));
        }
        let mut outline = portrait.outline.clone();
        if outline.is_empty() {
            outline = usual_outline(&face);
        }
        while face.width() > 2.0 * largest_px {
            picture = half_picture(&picture);
            face = scaled(&face, 0.5);
            outline.iter_mut().flatten().for_each(|number| *number *= 0.5);
        }
        let crop =
            Crop::around(&outline, picture.width(), picture.height()).ok_or("outline: it lies outside the picture")?;
        let mut mask = crop.rasterise(&outline);
        soften(&mut mask, &crop, face.width());
        let mut level = crop.multiply(&picture, &mask);
        level.add_body(face.height() as usize);
        let mut levels = vec![level];
        while let Some(half) = levels.last().filter(|level| level.width.min(level.height) >= 16).map(Level::half) {
            levels.push(half);
        }
        let (left, top) = (crop.left as f32, crop.top as f32);
        let face = BoundingBox { x1: face.x1 - left, y1: face.y1 - top, x2: face.x2 - left, y2: face.y2 - top };
        Ok(Self { levels, face })
    }

    /// The face's box in frame pixels. The tilt is too small to change it.
    pub fn face_at(&self, pose: &Pose) -> BoundingBox {
        let (half_w, half_h) = (pose.face_px / 2.0, pose.face_px * self.face.height() / self.face.width() / 2.0);
        let centre = pose.centre;
        BoundingBox { x1: centre.x - half_w, y1: centre.y - half_h, x2: centre.x + half_w, y2: centre.y + half_h }
    }

    /// Draws the figure into a layer of a frame of `size`.
    pub fn draw(&self, pose: &Pose, size: (u32, u32)) -> Layer {
        let first = &self.levels[0];
        let scale = pose.face_px / self.face.width();
        // The level that is at most twice as fine as the frame: bilinear sampling needs no more.
        let depth = ((1.0 / scale).log2().floor().max(0.0) as usize).min(self.levels.len() - 1);
        let shrink = 1.0 / (1u32 << depth) as f32;
        let (middle, centre) = (self.face.centre(), pose.centre);
        // The frame's height bounds how far the tilt can move the body sideways.
        let lean = pose.tilt.abs() * size.1 as f32 + 2.0;
        let top = centre.y - middle.y * scale - pose.tilt.abs() * first.width as f32 * scale - 1.0;
        let left = centre.x - middle.x * scale - lean;
        let right = centre.x + (first.width as f32 - middle.x) * scale + lean;
        let mut layer = Layer::empty(left, top, right, size);
        let (sin, cos) = pose.tilt.sin_cos();
        let step = shrink / scale;
        let level = &self.levels[depth];
        for row in 0..layer.height {
            let (dx, dy) = (layer.left as f32 + 0.5 - centre.x, (layer.top + row) as f32 + 0.5 - centre.y);
            let x = (cos * dx + sin * dy) * step + middle.x * shrink - 0.5;
            let y = (cos * dy - sin * dx) * step + middle.y * shrink - 0.5;
            level.sample_row((fixed(x), fixed(y)), (fixed(cos * step), fixed(-sin * step)), layer.row_mut(row));
        }
        layer
    }
}

/// 16.16 fixed point; a level is at most some thousand pixels wide.
fn fixed(value: f32) -> i32 {
    (value * 65_536.0) as i32
}

impl Level {
    /// Bilinear samples from `at`, moving by `step`; all in 16.16 fixed point.
    fn sample_row(&self, at: (i32, i32), step: (i32, i32), out: &mut [[u8; 4]]) {
        let (mut x, mut y) = at;
        let (width, height) = (self.width as i32, self.height as i32);
        for pixel in out {
            let (column, row) = (x >> 16, y >> 16);
            // A border of one clear pixel all around lets everything outside be left out.
            if column >= 0 && column + 1 < width && row >= 0 {
                let (upper, lower) = (row.min(height - 1) * width, (row + 1).min(height - 1) * width);
                let (upper, lower) = ((upper + column) as usize, (lower + column) as usize);
                let corners = [self.rgba[upper], self.rgba[upper + 1], self.rgba[lower], self.rgba[lower + 1]];
                *pixel = bilinear(corners, (x >> 8 & 255) as u32, (y >> 8 & 255) as u32);
            }
            x = x.wrapping_add(step.0);
            y = y.wrapping_add(step.1);
        }
    }

    /// Half the size, each pixel the mean of four.
    fn half(&self) -> Self {
        let (width, height) = (self.width / 2, self.height / 2);
        let mut rgba = Vec::with_capacity(width * height);
        for row in 0..height {
            let upper = &self.rgba[2 * row * self.width..][..self.width];
            let lower = &self.rgba[(2 * row + 1) * self.width..][..self.width];
            for (u, l) in upper.chunks_exact(2).zip(lower.chunks_exact(2)) {
                rgba.push(std::array::from_fn(|c| {
                    let sum = u32::from(u[0][c]) + u32::from(u[1][c]) + u32::from(l[0][c]) + u32::from(l[1][c]);
                    ((sum + 2) / 4) as u8
                }));
            }
        }
        Self { width, height, rgba }
    }

    /// Goes on below the cut for `rows`: the last row, ever smoother and darker, like cloth in shadow.
    fn add_body(&mut self, rows: usize) {
        let last: Vec<[u8; 4]> = self.rgba[(self.height - 1) * self.width..].to_vec();
        let mut smooth = last.clone();
        box_blur(&mut smooth, self.width, 1, (self.width / 10).max(1));
        for row in 0..rows {
            let share = ((row + 1) * 256 / rows) as u32;
            let pixels = last.iter().zip(&smooth).map(|(sharp, smooth)| {
                let mixed = |c: usize| (u32::from(sharp[c]) * (256 - share) + u32::from(smooth[c]) * share) / 256;
                let dark = |c: usize| (mixed(c) * (256 - share / 4) / 256) as u8;
                [dark(0), dark(1), dark(2), mixed(3) as u8]
            });
            self.rgba.extend(pixels);
        }
        self.height += rows;
    }
}

fn bilinear([a, b, c, d]: [[u8; 4]; 4], x: u32, y: u32) -> [u8; 4] {
    let weights = [(256 - x) * (256 - y), x * (256 - y), (256 - x) * y, x * y];
    let mix = |i: usize| {
        let sum = u32::from(a[i]) * weights[0] + u32::from(b[i]) * weights[1];
        ((sum + u32::from(c[i]) * weights[2] + u32::from(d[i]) * weights[3] + 32_768) >> 16) as u8
    };
    [mix(0), mix(1), mix(2), mix(3)]
}

/// The part of a portrait that the outline touches, with a border of one clear pixel.
struct Crop {
    left: i64,
    top: i64,
    width: usize,
    height: usize,
}

impl Crop {
    fn around(outline: &[[f32; 2]], width: u32, height: u32) -> Option<Self> {
        let ends = |axis: usize, limit: u32| {
            let all = outline.iter().map(|point| point[axis].clamp(0.0, limit as f32));
            let (low, high) = all.fold((f32::MAX, 0.0), |(low, high): (f32, f32), v| (low.min(v), high.max(v)));
            (low.floor() as i64, high.ceil() as i64)
        };
        let ((left, right), (top, bottom)) = (ends(0, width), ends(1, height));
        // No border below: the body goes on there.
        (right - left >= 4 && bottom - top >= 4).then(|| Self {
            left: left - 1,
            top: top - 1,
            width: (right - left + 2) as usize,
            height: (bottom - top + 1) as usize,
        })
    }

    /// 255 inside the outline, 0 outside (even-odd rule).
    fn rasterise(&self, outline: &[[f32; 2]]) -> Vec<[u8; 1]> {
        let mut mask = vec![[0]; self.width * self.height];
        for (row, pixels) in mask.chunks_exact_mut(self.width).enumerate().skip(1) {
            let y = self.top as f32 + row as f32 + 0.5;
            let ends = outline.iter().zip(outline.iter().cycle().skip(1));
            let crossing = ends.filter(|(a, b)| (a[1] <= y) != (b[1] <= y));
            let mut xs: Vec<f32> = crossing.map(|(a, b)| a[0] + (y - a[1]) / (b[1] - a[1]) * (b[0] - a[0])).collect();
            xs.sort_by(f32::total_cmp);
            let last = self.width - 2;
            for pair in xs.chunks_exact(2) {
                let column = |x: f32| ((x - self.left as f32 - 0.5).ceil().max(1.0) as usize).min(last + 1);
                let (from, to) = (column(pair[0]), column(pair[1]));
                pixels[from..to.max(from)].fill([255]);
            }
        }
        mask
    }

    fn multiply(&self, picture: &RgbImage, mask: &[[u8; 1]]) -> Level {
        let (most_x, most_y) = (i64::from(picture.width()) - 1, i64::from(picture.height()) - 1);
        let mut rgba = Vec::with_capacity(mask.len());
        for (index, [alpha]) in mask.iter().enumerate() {
            let x = (self.left + (index % self.width) as i64).clamp(0, most_x) as u32;
            let y = (self.top + (index / self.width) as i64).clamp(0, most_y) as u32;
            let image::Rgb([r, g, b]) = *picture.get_pixel(x, y);
            let times = |colour: u8| ((u32::from(colour) * u32::from(*alpha) + 127) / 255) as u8;
            rgba.push([times(r), times(g), times(b), *alpha]);
        }
        Level { width: self.width, height: self.height, rgba }
    }
}

/// Softens a mask's edge inwards only: outwards it would show a rim of the portrait's wall. The lower
/// edge stays hard, since the body goes on there.
fn soften(mask: &mut Vec<[u8; 1]>, crop: &Crop, face_width: f32) {
    let radius = ((face_width * 0.018).round() as usize).max(1);
    let margin = 3 * radius;
    let last = mask[(crop.height - 1) * crop.width..].to_vec();
    // Rows of the cut below it, so that the blur finds no edge there.
    for _ in 0..margin {
        mask.extend_from_slice(&last);
    }
    box_blur(mask, crop.width, crop.height + margin, radius);
    mask.truncate(crop.width * crop.height);
    for (index, [alpha]) in mask.iter_mut().enumerate() {
        let column = index % crop.width;
        let border = index < crop.width || column == 0 || column == crop.width - 1;
        *alpha = if border { 0 } else { (i32::from(*alpha) * 2 - 255).max(0) as u8 };
    }
}

fn half_picture(picture: &RgbImage) -> RgbImage {
    let (width, height) = ((picture.width() / 2).max(1), (picture.height() / 2).max(1));
    let stride = picture.width() as usize * 3;
    let raw = picture.as_raw();
    let mut half = Vec::with_capacity(width as usize * height as usize * 3);
    for row in 0..height as usize {
        let upper = &raw[2 * row * stride..][..stride];
        let lower = raw.get((2 * row + 1) * stride..(2 * row + 2) * stride).unwrap_or(upper);
        for column in 0..width as usize {
            for channel in 0..3 {
                let (a, b) = (6 * column + channel, (6 * column + 3 + channel).min(stride - 1));
                let sum = u32::from(upper[a]) + u32::from(upper[b]) + u32::from(lower[a]) + u32::from(lower[b]);
                half.push(((sum + 2) / 4) as u8);
            }
        }
    }
    // The vector was filled by the same two numbers.
    RgbImage::from_raw(width, height, half).unwrap_or_default()
}

fn scaled(face: &BoundingBox, by: f32) -> BoundingBox {
    BoundingBox { x1: face.x1 * by, y1: face.y1 * by, x2: face.x2 * by, y2: face.y2 * by }
}

/// Head, neck and shoulders of usual proportions around a face, in face widths and heights from the
/// box's centre; the right half is mirrored.
fn usual_outline(face: &BoundingBox) -> Vec<[f32; 2]> {
    const HALF: [[f32; 2]; 15] = [
        [0.0, -0.86],
        [0.24, -0.83],
        [0.44, -0.70],
        [0.57, -0.48],
        [0.62, -0.20],
        [0.62, 0.08],
        [0.54, 0.30],
        [0.44, 0.48],
        [0.42, 0.66],
        [0.72, 0.82],
        [1.12, 0.96],
        [1.38, 1.12],
        [1.50, 1.36],
        [1.56, 1.80],
        [1.60, 3.00],
    ];
    let centre = face.centre();
    let at = |[x, y]: [f32; 2], side: f32| [centre.x + side * x * face.width(), centre.y + y * face.height()];
    let right = HALF.iter().map(|point| at(*point, 1.0));
    right.chain(HALF.iter().rev().map(|point| at(*point, -1.0))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::face::Point;

    fn figure(largest_px: f32) -> Figure {
        // A green wall with a grey person-like block in it.
        let picture = RgbImage::from_fn(400, 600, |x, y| {
            if (100..300).contains(&x) && y >= 100 { image::Rgb([90, 90, 90]) } else { image::Rgb([0, 255, 0]) }
        });
        let portrait: PortraitScript = toml::from_str(
            "file = 'a.png'\nidentity = 'a'\nface = [150, 150, 250, 270]\noutline = [[110, 110], [290, 110], [290, 500], [110, 500]]",
        )
        .unwrap();
        Figure::cut(picture, &portrait, largest_px).unwrap()
    }

    fn drawn(face_px: f32) -> RgbImage {
        let pose = Pose { centre: Point { x: 160.0, y: 100.0 }, face_px, tilt: 0.02 };
        let mut picture = RgbImage::from_pixel(320, 240, image::Rgb([10, 20, 30]));
        figure(100.0).draw(&pose, (320, 240)).blend_onto(
            &mut picture,
            1.0,
            &super::super::paint::Noise::new(0.0, 1),
            0,
        );
        picture
    }

    #[test]
    fn the_person_is_drawn_and_the_portraits_wall_is_not() {
        for face_px in [12.0, 33.0, 80.0, 190.0] {
            let picture = drawn(face_px);
            assert_eq!(picture.get_pixel(160, 100).0, [90, 90, 90], "the face at {face_px} px");
            assert!(picture.pixels().all(|p| p.0[1] <= 92), "no green at {face_px} px");
        }
        assert_eq!(drawn(33.0).get_pixel(5, 5).0, [10, 20, 30]);
    }

    #[test]
    fn the_body_goes_on_to_the_frames_lower_edge() {
        let picture = drawn(20.0);
        let below = picture.get_pixel(160, 239).0;
        assert!(below[0] > 50 && below[1] < 95, "{below:?}");
    }

    #[test]
    fn the_face_is_where_the_truth_says() {
        let pose = Pose { centre: Point { x: 160.0, y: 100.0 }, face_px: 50.0, tilt: 0.0 };
        let bounds = figure(100.0).face_at(&pose);
        assert_eq!((bounds.x1, bounds.x2, bounds.y1, bounds.y2), (135.0, 185.0, 70.0, 130.0));
    }

    #[test]
    fn a_large_portrait_is_kept_no_larger_than_needed() {
        assert!(figure(20.0).levels[0].width < figure(100.0).levels[0].width / 2);
    }
}
