//! A raw picture as USB cameras send it: 4:2:2, two bytes a pixel, two pixels sharing their colour.
//!
//! Who gives such pictures is not here: that is `crate::camera`'s.

use image::RgbImage;

/// A picture of `Y0 U Y1 V` groups, row by row without padding; its length is always width × height × 2.
#[derive(Clone, PartialEq, Eq)]
pub struct Yuyv {
    width: u32,
    height: u32,
    bytes: Vec<u8>,
}

impl Yuyv {
    /// `None` if the bytes are not width × height × 2, or the width is odd: two pixels share a group.
    pub fn new(width: u32, height: u32, bytes: Vec<u8>) -> Option<Self> {
        let length = u128::from(width) * u128::from(height) * 2;
        (width.is_multiple_of(2) && bytes.len() as u128 == length).then_some(Self { width, height, bytes })
    }

    /// Width and height in pixels.
    pub fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    pub fn as_raw(&self) -> &[u8] {
        &self.bytes
    }

    /// As 8-bit RGB, by ITU-R BT.601 with the video range 16–235: what a UVC camera that says nothing else sends.
    pub fn to_rgb(&self) -> RgbImage {
        let mut rgb = RgbImage::new(self.width, self.height);
        for (group, pair) in self.bytes.chunks_exact(4).zip(rgb.chunks_exact_mut(6)) {
            let [y0, u, y1, v] = [group[0], group[1], group[2], group[3]].map(i32::from);
            let (u, v) = (u - 128, v - 128);
            // In 256ths, 128 rounds: 1.164, 1.596, 0.391, 0.813, 2.018.
            let (red, green, blue) = (409 * v + 128, -100 * u - 208 * v + 128, 516 * u + 128);
            for (y, pixel) in [y0, y1].into_iter().zip(pair.chunks_exact_mut(3)) {
                let light = 298 * (y - 16);
                for (value, colour) in pixel.iter_mut().zip([red, green, blue]) {
                    *value = ((light + colour) >> 8).clamp(0, 255) as u8;
                }
            }
        }
        rgb
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_come_out_as_bt_601_says() {
        for (group, wanted) in [
            ([16, 128, 235, 128], [[0, 0, 0], [255, 255, 255]]),
            ([81, 90, 81, 240], [[255, 0, 0], [255, 0, 0]]),
            ([145, 54, 145, 34], [[0, 255, 0], [0, 255, 0]]),
            ([41, 240, 41, 110], [[0, 0, 255], [0, 0, 255]]),
        ] {
            let rgb = Yuyv::new(2, 1, group.to_vec()).unwrap().to_rgb();
            for (pixel, wanted) in rgb.pixels().zip(wanted) {
                assert!(
                    pixel.0.iter().zip(wanted).all(|(is, wanted)| is.abs_diff(wanted) <= 2),
                    "{pixel:?} {wanted:?}"
                );
            }
        }
    }

    #[test]
    fn bytes_that_do_not_fill_the_picture_are_refused() {
        assert!(Yuyv::new(2, 2, vec![0; 8]).is_some());
        for (width, height, length) in [(2, 2, 7), (2, 2, 9), (3, 2, 12), (u32::MAX - 1, u32::MAX, 8)] {
            assert!(Yuyv::new(width, height, vec![0; length]).is_none());
        }
    }
}
