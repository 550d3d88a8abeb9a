//! Making a picture smaller for the detector, by averaging over areas, straight into its planes.
//!
//! Our own, because it runs on every frame: the general resizers at hand took several milliseconds a frame
//! or minutes of every build. Enlarging is not here: nobody needs it.

use image::RgbImage;

/// From pictures of one size to a smaller one. Made once for a camera's size, used for every frame.
pub(super) struct Shrink {
    from: (u32, u32),
    to: (u32, u32),
    columns: Spans,
    rows: Spans,
    /// A row of the picture's width, averaged over the height of a target row; RGB interleaved.
    mean_row: Vec<f32>,
    small_row: Vec<[f32; 3]>,
}

/// The source pixels under each target pixel, along one axis.
struct Spans {
    /// The first source pixel of each target pixel.
    first: Vec<usize>,
    /// How much each of `taps` pixels from the first on counts; the shares of a target pixel add up to 1.
    shares: Vec<f32>,
    /// The same number for all, so that the inner loop has one length; some shares are 0.
    taps: usize,
}

impl Spans {
    fn new(from: u32, to: u32) -> Self {
        let ratio = f64::from(from) / f64::from(to);
        let taps = (ratio.ceil() as u32 + 1).min(from);
        let (mut firsts, mut shares) = (Vec::new(), Vec::new());
        for index in 0..to {
            let (start, end) = (f64::from(index) * ratio, (f64::from(index) * ratio + ratio).min(f64::from(from)));
            // Near the end the taps begin earlier, with shares of 0, rather than reach over it.
            let first = (start as u32).min(from - taps);
            let share = |at: u32| (end.min(f64::from(at) + 1.0) - start.max(f64::from(at))).max(0.0) / ratio;
            firsts.push(first as usize);
            shares.extend((first..first + taps).map(|at| share(at) as f32));
        }
        Self { first: firsts, shares, taps: taps as usize }
    }

    fn each(&self) -> impl Iterator<Item = (usize, &[f32])> {
        self.first.iter().copied().zip(self.shares.chunks_exact(self.taps))
    }
}

impl Shrink {
    /// For pictures of `from` pixels (width, height); `to` is brought into the range from 1 to `from`.
    pub fn new(from: (u32, u32), to: (u32, u32)) -> Self {
        let to = (to.0.clamp(1, from.0.max(1)), to.1.clamp(1, from.1.max(1)));
        let (columns, rows) = (Spans::new(from.0.max(1), to.0), Spans::new(from.1.max(1), to.1));
        let (mean_row, small_row) = (vec![0.0; from.0 as usize * 3], vec![[0.0; 3]; to.0 as usize]);
        Self { from, to, columns, rows, mean_row, small_row }
    }

    pub fn is_for(&self, from: (u32, u32), to: (u32, u32)) -> bool {
        (self.from, self.to) == (from, to)
    }

    /// Gives each row of the smaller picture to `row`, with its number: for each pixel the mean of the area it
    /// covers, 0 to 255. `picture` has the size this was made for.
    pub fn run(&mut self, picture: &RgbImage, mut row: impl FnMut(usize, &[[f32; 3]])) {
        let row_bytes = self.from.0 as usize * 3;
        if row_bytes == 0 {
            return;
        }
        for (index, (first, shares)) in self.rows.each().enumerate() {
            // Rows first: whole rows are added in vector registers, and fewer are left for the columns.
            self.mean_row.fill(0.0);
            let sources = picture.as_raw().chunks_exact(row_bytes).skip(first);
            for (share, source) in shares.iter().zip(sources).filter(|(share, _)| **share > 0.0) {
                self.mean_row.iter_mut().zip(source).for_each(|(sum, byte)| *sum += share * f32::from(*byte));
            }
            let pixels = self.mean_row.as_chunks::<3>().0;
            // The number of taps known to the compiler halves the time; these are the sizes of real cameras.
            match self.columns.taps {
                2 => average::<2>(&self.columns, pixels, &mut self.small_row),
                3 => average::<3>(&self.columns, pixels, &mut self.small_row),
                4 => average::<4>(&self.columns, pixels, &mut self.small_row),
                5 => average::<5>(&self.columns, pixels, &mut self.small_row),
                _ => average_of_many(&self.columns, pixels, &mut self.small_row),
            }
            row(index, &self.small_row);
        }
    }
}

fn average<const TAPS: usize>(columns: &Spans, pixels: &[[f32; 3]], target: &mut [[f32; 3]]) {
    let (shares, _) = columns.shares.as_chunks::<TAPS>();
    for ((first, shares), target) in columns.first.iter().zip(shares).zip(target) {
        let Some(sources) = pixels.get(*first..*first + TAPS) else { continue };
        let mut sum = [0.0f32; 3];
        for tap in 0..TAPS {
            for channel in 0..3 {
                sum[channel] += shares[tap] * sources[tap][channel];
            }
        }
        *target = sum;
    }
}

fn average_of_many(columns: &Spans, pixels: &[[f32; 3]], target: &mut [[f32; 3]]) {
    for ((first, shares), target) in columns.each().zip(target) {
        let mut sum = [0.0f32; 3];
        for (share, source) in shares.iter().zip(&pixels[first..]) {
            sum.iter_mut().zip(source).for_each(|(sum, value)| *sum += share * value);
        }
        *target = sum;
    }
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    /// The smaller picture's pixels, row by row.
    fn shrunk(picture: &RgbImage, width: u32, height: u32) -> Vec<[f32; 3]> {
        let mut pixels = Vec::new();
        let mut rows = 0;
        Shrink::new(picture.dimensions(), (width, height)).run(picture, |index, row| {
            assert_eq!(index, rows);
            rows += 1;
            pixels.extend_from_slice(row);
        });
        pixels
    }

    fn close(found: &[[f32; 3]], expected: &[[f32; 3]]) -> bool {
        let apart = found.iter().flatten().zip(expected.iter().flatten()).map(|(a, b)| (a - b).abs());
        found.len() == expected.len() && apart.fold(0.0, f32::max) < 0.01
    }

    #[test]
    fn a_plain_picture_stays_plain_at_any_size() {
        let plain = RgbImage::from_pixel(97, 41, Rgb([200, 3, 255]));
        for (width, height) in [(97, 41), (96, 40), (50, 1), (30, 20), (25, 10), (1, 41), (13, 7)] {
            let small = shrunk(&plain, width, height);
            assert!(close(&small, &vec![[200.0, 3.0, 255.0]; (width * height) as usize]), "{width}×{height}");
        }
    }

    #[test]
    fn each_pixel_is_the_mean_of_its_area() {
        let picture = RgbImage::from_fn(4, 2, |x, y| Rgb([(x * 10 + y * 100) as u8, 0, 0]));
        assert!(close(&shrunk(&picture, 2, 1), &[[55.0, 0.0, 0.0], [75.0, 0.0, 0.0]]));
        // A third of the way: pixels lie under two targets by their shares.
        let picture = RgbImage::from_fn(3, 1, |x, _| Rgb([x as u8 * 90, 0, 0]));
        assert!(close(&shrunk(&picture, 2, 1), &[[30.0, 0.0, 0.0], [150.0, 0.0, 0.0]]));
    }

    #[test]
    fn few_and_many_taps_average_alike() {
        let picture = RgbImage::from_fn(97, 3, |x, y| Rgb([(x * 2) as u8, (x * 7 % 251) as u8, y as u8 * 100]));
        for width in [90, 60, 40, 30, 22] {
            let shrink = Shrink::new((97, 3), (width, 3));
            let row: Vec<[f32; 3]> = (0..97).map(|x| picture.get_pixel(x, 1).0.map(f32::from)).collect();
            let mut many = vec![[0.0; 3]; width as usize];
            average_of_many(&shrink.columns, &row, &mut many);
            let all = shrunk(&picture, width, 3);
            assert!(close(&all[width as usize..2 * width as usize], &many), "{width}");
        }
    }

    #[test]
    fn a_size_that_cannot_be_is_brought_into_range() {
        assert_eq!(shrunk(&RgbImage::new(5, 5), 0, 9).len(), 5);
        assert_eq!(shrunk(&RgbImage::new(0, 0), 2, 2).len(), 0);
    }
}
