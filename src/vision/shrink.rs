//! Making a picture smaller for the detector, by averaging over areas.
//!
//! Our own, because it runs on every frame: the general resizers at hand took several milliseconds a frame
//! or minutes of every build. Enlarging is not here: nobody needs it.

use image::RgbImage;

/// The source pixels under one target pixel, along one axis: the first one, and what share each has.
struct Span {
    first: usize,
    shares: Vec<f32>,
}

fn spans(from: u32, to: u32) -> Vec<Span> {
    let ratio = f64::from(from) / f64::from(to);
    let span = |index: u32| {
        let (start, end) = (f64::from(index) * ratio, (f64::from(index) * ratio + ratio).min(f64::from(from)));
        let first = start as u32;
        let last = (end.ceil() as u32).clamp(first + 1, from);
        let share = |at: u32| (end.min(f64::from(at) + 1.0) - start.max(f64::from(at))).max(0.0) / ratio;
        Span { first: first as usize, shares: (first..last).map(|at| share(at) as f32).collect() }
    };
    (0..to).map(span).collect()
}

/// `picture` at `width` × `height`, neither larger than it is nor zero; each pixel is the mean of the area
/// it covers.
pub(super) fn shrink(picture: &RgbImage, width: u32, height: u32) -> RgbImage {
    let (width, height) = (width.clamp(1, picture.width().max(1)), height.clamp(1, picture.height().max(1)));
    let row_bytes = picture.width() as usize * 3;
    let (columns, rows) = (spans(picture.width(), width), spans(picture.height(), height));
    let mut small = RgbImage::new(width, height);
    // Rows first: whole rows are added in vector registers, and fewer are left for the columns.
    let mut mean_row = vec![0.0f32; row_bytes];
    for (row, target) in rows.iter().zip(small.chunks_exact_mut(width as usize * 3)) {
        mean_row.fill(0.0);
        let sources = picture.as_raw().chunks_exact(row_bytes).skip(row.first);
        for (share, source) in row.shares.iter().zip(sources) {
            mean_row.iter_mut().zip(source).for_each(|(sum, byte)| *sum += share * f32::from(*byte));
        }
        let pixels = mean_row.as_chunks::<3>().0;
        for (column, pixel) in columns.iter().zip(target.as_chunks_mut::<3>().0) {
            let mut sum = [0.5f32; 3];
            for (share, source) in column.shares.iter().zip(&pixels[column.first..]) {
                sum.iter_mut().zip(source).for_each(|(sum, value)| *sum += share * value);
            }
            *pixel = sum.map(|value| value as u8);
        }
    }
    small
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    #[test]
    fn a_plain_picture_stays_plain_at_any_size() {
        let plain = RgbImage::from_pixel(97, 41, Rgb([200, 3, 255]));
        for (width, height) in [(97, 41), (96, 40), (50, 1), (1, 41), (13, 7)] {
            let small = shrink(&plain, width, height);
            assert_eq!(small.dimensions(), (width, height));
            assert!(small.pixels().all(|p| *p == Rgb([200, 3, 255])), "{width}×{height}");
        }
    }

    #[test]
    fn each_pixel_is_the_mean_of_its_area() {
        let picture = RgbImage::from_fn(4, 2, |x, y| Rgb([(x * 10 + y * 100) as u8, 0, 0]));
        assert_eq!(shrink(&picture, 2, 1).into_raw(), [55, 0, 0, 75, 0, 0]);
        // A third of the way: pixels lie under two targets by their shares.
        let picture = RgbImage::from_fn(3, 1, |x, _| Rgb([x as u8 * 90, 0, 0]));
        assert_eq!(shrink(&picture, 2, 1).into_raw(), [30, 0, 0, 150, 0, 0]);
    }

    #[test]
    fn a_size_that_cannot_be_is_brought_into_range() {
        let picture = RgbImage::new(5, 5);
        assert_eq!(shrink(&picture, 0, 9).dimensions(), (1, 5));
    }
}
