//! The scene's pixels that are not people: the room, the counter, the noise, and how layers are joined.
//!
//! Cut-outs are not here: see `figure.rs`. Everything is integer arithmetic on bytes, so that frames are
//! the same on every machine and quick to make.

use image::RgbImage;

use super::script::RoomScript;
use crate::camera::backoff::splitmix;

/// A part of a frame in which something was drawn: RGBA, colours multiplied by alpha.
pub(super) struct Layer {
    pub left: usize,
    pub top: usize,
    pub width: usize,
    pub height: usize,
    rgba: Vec<[u8; 4]>,
}

impl Layer {
    /// A clear layer from `left`, `top` to `right` and the frame's lower edge, cut to the frame.
    pub fn empty(left: f32, top: f32, right: f32, size: (u32, u32)) -> Self {
        let inside = |value: f32, limit: u32| (value.max(0.0) as usize).min(limit as usize);
        let (left, top) = (inside(left.floor(), size.0), inside(top.floor(), size.1));
        let width = inside(right.ceil(), size.0).saturating_sub(left);
        let height = size.1 as usize - top;
        Self { left, top, width, height, rgba: vec![[0; 4]; width * height] }
    }

    pub fn row_mut(&mut self, row: usize) -> &mut [[u8; 4]] {
        &mut self.rgba[row * self.width..][..self.width]
    }

    /// Blurs by about `sigma` pixels.
    pub fn blur(&mut self, sigma: f32) {
        // Three boxes of radius r have the standard deviation sqrt(r² + r).
        let radius = ((sigma * sigma + 0.25).sqrt() - 0.5).round() as usize;
        if radius > 0 && self.width > 0 && self.height > 0 {
            box_blur(&mut self.rgba, self.width, self.height, radius);
        }
    }

    /// Lays the layer over a picture, its light multiplied by `brightness`, with noise of its own.
    pub fn blend_onto(&self, picture: &mut RgbImage, brightness: f32, noise: &Noise, frame: u64) {
        if self.width == 0 {
            return;
        }
        let light = (brightness * 256.0) as u32;
        let stride = picture.width() as usize * 3;
        let rows = picture.as_mut().chunks_exact_mut(stride).skip(self.top);
        for (number, (row, own)) in rows.zip(self.rgba.chunks_exact(self.width)).enumerate() {
            let target = &mut row[self.left * 3..][..self.width * 3];
            let grains = noise.row(frame, number);
            for (index, (pixel, [r, g, b, alpha])) in target.chunks_exact_mut(3).zip(own).enumerate() {
                if *alpha == 0 {
                    continue;
                }
                let grain =
                    grains.map_or(0, |grains| i32::from(grains[index % grains.len()]) * i32::from(*alpha) / 255);
                for (value, colour) in pixel.iter_mut().zip([r, g, b]) {
                    let behind = (u32::from(*value) * u32::from(255 - alpha) + 127) / 255;
                    let sum = behind + ((u32::from(*colour) * light) >> 8);
                    *value = (sum as i32 + grain).clamp(0, 255) as u8;
                }
            }
        }
    }
}

/// Grains of a normal distribution (the sum of four uniform numbers), made once, read from another place
/// for each row.
pub(super) struct Noise {
    grains: Vec<i8>,
    seed: u64,
}

impl Noise {
    const GRAINS: usize = 1 << 16;

    /// `sigma` is the standard deviation in grey levels; 0 makes no noise.
    pub fn new(sigma: f32, seed: u64) -> Self {
        if sigma <= 0.0 {
            return Self { grains: Vec::new(), seed };
        }
        let mut state = splitmix(seed ^ 0x6e6f_6973_6521);
        let grains = (0..Self::GRAINS).map(|_| {
            state = splitmix(state);
            let sum: u64 = (0..4).map(|part| state >> (16 * part) & 0xffff).sum();
            // Four uniform numbers of width 65536: mean 131070, standard deviation 37837.
            ((sum as f32 - 131_070.0) / 37_837.0 * sigma).round() as i8
        });
        Self { grains: grains.collect(), seed }
    }

    /// At least half of all grains, from a place that depends on frame and row.
    fn row(&self, frame: u64, row: usize) -> Option<&[i8]> {
        let at = splitmix(self.seed ^ frame << 20 ^ row as u64) as usize % (Self::GRAINS / 2);
        self.grains.get(at..at + Self::GRAINS / 2)
    }

    /// Adds grains to every value of a picture, each colour by itself as in a sensor.
    pub fn add_to(&self, picture: &mut RgbImage, frame: u64) {
        let stride = picture.width() as usize * 3;
        for (number, row) in picture.as_mut().chunks_exact_mut(stride).enumerate() {
            let Some(grains) = self.row(frame, number) else { return };
            for (value, grain) in row.iter_mut().zip(grains) {
                *value = value.saturating_add_signed(*grain);
            }
        }
    }
}

/// The empty room, painted once.
pub(super) struct Room {
    empty: RgbImage,
    /// The counter's first row; the rows from here on lie in front of everybody.
    counter_row: usize,
}

impl Room {
    pub fn new(size: (u32, u32), script: &RoomScript, seed: u64) -> Self {
        let (width, height) = (size.0 as usize, size.1 as usize);
        let counter_row = (script.counter_y * size.1 as f32) as usize;
        let mut pixels: Vec<[u8; 3]> = vec![[0; 3]; width * height];
        paint_wall(&mut pixels, (width, height), script.wall);
        paint_shelves(&mut pixels, (width, height), seed);
        // Everything behind the counter is out of focus.
        box_blur(&mut pixels, width, height, (width / 110).max(1));
        paint_counter(&mut pixels, (width, height), counter_row, script.counter);
        let raw = pixels.into_iter().flatten().collect();
        // The vector was made from the same size.
        Self { empty: RgbImage::from_raw(size.0, size.1, raw).unwrap_or_default(), counter_row }
    }

    pub fn empty(&self) -> RgbImage {
        self.empty.clone()
    }

    /// Lays the counter over whoever stands behind it.
    pub fn draw_counter(&self, picture: &mut RgbImage) {
        let from = (self.counter_row * self.empty.width() as usize * 3).min(self.empty.as_raw().len());
        let counter = &self.empty.as_raw()[from..];
        picture.as_mut()[from..].copy_from_slice(counter);
    }
}

/// A plain wall, lit from above and a little from the left, and a darker floor far below.
fn paint_wall(pixels: &mut [[u8; 3]], (width, height): (usize, usize), wall: [u8; 3]) {
    for (index, pixel) in pixels.iter_mut().enumerate() {
        let (x, y) = (index % width * 256 / width, index / width * 256 / height);
        let light = (292 - y * 60 / 256 - x * 30 / 256) as u32;
        *pixel = wall.map(|colour| ((u32::from(colour) * light) >> 8).min(255) as u8);
    }
}

/// Two shelves of goods at the sides; their colours are muted, so that no detector takes them for skin.
fn paint_shelves(pixels: &mut [[u8; 3]], (width, height): (usize, usize), seed: u64) {
    let goods = |pixel: &mut [u8; 3], kind: u64| {
        let tone = splitmix(seed.wrapping_add(kind));
        *pixel = [96 + (tone & 31) as u8, 98 + (tone >> 8 & 31) as u8, 94 + (tone >> 16 & 31) as u8];
    };
    for (index, pixel) in pixels.iter_mut().enumerate() {
        let (x, y) = (index % width * 1000 / width, index / width * 1000 / height);
        let on_shelf = (20..210).contains(&x) || (790..985).contains(&x);
        if !on_shelf || !(90..760).contains(&y) {
            continue;
        }
        let (row, within) = ((y - 90) / 134, (y - 90) % 134);
        match within {
            0..14 => *pixel = [96, 92, 86],
            14..34 => *pixel = pixel.map(|colour| colour / 2 + 20),
            _ => goods(pixel, (row * 100 + x / 38) as u64),
        }
    }
}

/// The counter's top from its far edge, which catches the light, towards the camera.
fn paint_counter(pixels: &mut [[u8; 3]], (width, height): (usize, usize), from: usize, colour: [u8; 3]) {
    let depth = height.saturating_sub(from).max(1);
    for (index, pixel) in pixels.iter_mut().enumerate().skip(from * width) {
        let row = index / width - from;
        let light = if row * 240 < height * 2 { 330 } else { 236 - row * 70 / depth };
        *pixel = colour.map(|colour| ((u32::from(colour) * light as u32) >> 8).min(255) as u8);
    }
}

/// Three box blurs of the same radius, which together are close to a Gaussian one; edges are repeated.
pub(super) fn box_blur<const N: usize>(pixels: &mut [[u8; N]], width: usize, height: usize, radius: usize) {
    for _ in 0..3 {
        for row in pixels.chunks_exact_mut(width) {
            blur_lines(row, 1, row.len(), radius);
        }
        if height > 1 {
            blur_lines(pixels, width, height, radius);
        }
    }
}

/// Blurs along the longer stride: `length` steps of `lane` pixels, all pixels of a step side by side, so
/// that columns are blurred in the order in which memory is read.
fn blur_lines<const N: usize>(pixels: &mut [[u8; N]], lane: usize, length: usize, radius: usize) {
    let before = pixels.to_vec();
    let step = |at: usize| &before[at.min(length - 1) * lane..][..lane];
    let span = (2 * radius + 1) as u32;
    let half = span / 2;
    // The window around the first step reaches over the edge, which stands in for what lies beyond.
    let mut sums: Vec<[u32; N]> = step(0).iter().map(|p| p.map(|v| u32::from(v) * (radius as u32 + 1))).collect();
    for at in 1..=radius {
        for (sum, pixel) in sums.iter_mut().zip(step(at)) {
            (0..N).for_each(|c| sum[c] += u32::from(pixel[c]));
        }
    }
    for (at, out) in pixels.chunks_exact_mut(lane).enumerate() {
        let (gone, come) = (step(at.saturating_sub(radius)), step(at + radius + 1));
        for (((sum, out), gone), come) in sums.iter_mut().zip(out).zip(gone).zip(come) {
            for c in 0..N {
                out[c] = ((sum[c] + half) / span) as u8;
                sum[c] = sum[c] + u32::from(come[c]) - u32::from(gone[c]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blur_keeps_a_plain_surface_and_spreads_a_point_evenly() {
        let mut plain = vec![[77u8, 3]; 20 * 10];
        box_blur(&mut plain, 20, 10, 4);
        assert!(plain.iter().all(|pixel| *pixel == [77, 3]));
        let mut point = vec![[0u8]; 21 * 21];
        point[10 * 21 + 10] = [255];
        box_blur(&mut point, 21, 21, 2);
        assert!(point[10 * 21 + 10] > point[10 * 21 + 12] && point[10 * 21 + 12] > [0]);
        assert_eq!(point[10 * 21 + 8], point[10 * 21 + 12]);
        assert_eq!(point[8 * 21 + 10], point[10 * 21 + 8]);
    }

    #[test]
    fn noise_has_the_deviation_that_was_asked_for() {
        let mut picture = RgbImage::from_pixel(200, 100, image::Rgb([128; 3]));
        Noise::new(4.0, 9).add_to(&mut picture, 3);
        let values: Vec<f64> = picture.as_raw().iter().map(|value| f64::from(*value) - 128.0).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let deviation = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt();
        assert!(mean.abs() < 0.2 && (deviation - 4.0).abs() < 0.2, "{mean} {deviation}");
    }

    #[test]
    fn a_layer_is_laid_over_with_its_light_and_its_blur() {
        let blended = |brightness: f32, sigma: f32| {
            let mut layer = Layer::empty(10.0, 10.0, 40.0, (50, 50));
            layer.row_mut(20)[15] = [200, 100, 50, 255];
            layer.blur(sigma);
            let mut picture = RgbImage::from_pixel(50, 50, image::Rgb([8; 3]));
            layer.blend_onto(&mut picture, brightness, &Noise::new(0.0, 1), 0);
            (picture.get_pixel(25, 30).0, picture.get_pixel(26, 30).0)
        };
        assert_eq!(blended(1.0, 0.0), ([200, 100, 50], [8; 3]));
        assert_eq!(blended(0.5, 0.0).0, [100, 50, 25]);
        assert_eq!(blended(4.0, 0.0).0, [255, 255, 200], "light saturates");
        let (at, beside) = blended(1.0, 1.5);
        assert!(at[0] < 60 && beside[0] > 10 && at[0] > beside[0], "{at:?} {beside:?}");
    }

    #[test]
    fn a_room_of_any_size_can_be_painted() {
        for size in [(64, 64), (64, 1200), (1920, 64)] {
            for counter_y in [0.3, 1.0] {
                let script = RoomScript { counter_y, ..RoomScript::default() };
                let room = Room::new(size, &script, 5);
                let mut picture = room.empty();
                room.draw_counter(&mut picture);
                assert_eq!(picture.dimensions(), size);
                assert_eq!(picture, room.empty());
            }
        }
    }
}
