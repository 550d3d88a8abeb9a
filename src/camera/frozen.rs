//! Whether a camera gives the same picture over and over: a frozen encoder, which sends bytes and sees nothing.
//!
//! What follows from it is the supervisor's. No sensor gives the same picture twice in the light: its noise differs.

use std::hash::Hasher;
use std::time::Duration;

use image::RgbImage;

use crate::clock::{Monotonic, WallTime};
use crate::face::Pixels;

/// Looking at each picture would cost more than it tells.
const EVERY: Duration = Duration::from_millis(200);
/// After such a pause it is not known whether the same picture came all the time.
const PAUSE: Duration = Duration::from_secs(5);
/// Light of 0 to 255: in the dark a camera smooths its noise away, and lawfully repeats itself.
const DARK: u8 = 40;
const LIT_PERCENT: usize = 5;

/// What is known of one camera's pictures, through all its openings.
#[derive(Default)]
pub(super) struct Repeats {
    last: Option<u64>,
    looked_at: Option<Monotonic>,
    /// When the last picture came first.
    since: Option<(Monotonic, WallTime)>,
    /// Whether two pictures were ever seen to differ: a test picture never does.
    differed: bool,
    judged: bool,
    frozen: Option<WallTime>,
}

impl Repeats {
    /// Takes a picture; says since when the same one comes, if that is for `after` or longer and it is not dark.
    pub fn see(&mut self, pixels: &Pixels, (now, wall): (Monotonic, WallTime), after: Duration) -> Option<WallTime> {
        let pause = self.looked_at.map(|at| now.since(at));
        if pause.is_some_and(|pause| pause < EVERY) {
            return self.frozen;
        }
        self.looked_at = Some(now);
        let mark = mark_of(pixels);
        if self.last != Some(mark) {
            self.differed |= self.last.is_some();
            (self.last, self.since, self.judged, self.frozen) = (Some(mark), Some((now, wall)), false, None);
        } else if self.frozen.is_none() && pause.is_some_and(|pause| pause > PAUSE) {
            (self.since, self.judged) = (Some((now, wall)), false);
        } else if let Some((first, since)) = self.since.filter(|_| self.differed && !self.judged)
            && now.since(first) >= after
        {
            self.judged = true;
            self.frozen = (!is_dark(pixels)).then_some(since);
        }
        self.frozen
    }
}

fn mark_of(pixels: &Pixels) -> u64 {
    let mut hash = std::hash::DefaultHasher::new();
    match pixels {
        Pixels::Rgb8(picture) => hash.write(picture.as_raw()),
        Pixels::Jpeg(bytes) => hash.write(bytes),
        Pixels::Yuyv(raw) => hash.write(raw.as_raw()),
    }
    hash.finish()
}

fn is_dark(pixels: &Pixels) -> bool {
    let dark = |picture: &RgbImage| {
        let lit = picture.pixels().filter(|pixel| pixel.0.iter().any(|part| *part >= DARK)).count();
        lit * 100 < LIT_PERCENT * picture.pixels().len()
    };
    match pixels {
        Pixels::Rgb8(picture) => dark(picture),
        Pixels::Jpeg(bytes) => Pixels::Jpeg(bytes.clone()).into_rgb().is_ok_and(|picture| dark(&picture)),
        Pixels::Yuyv(raw) => dark(&raw.to_rgb()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AFTER: Duration = Duration::from_secs(20);

    fn grey(light: u8) -> Pixels {
        Pixels::Rgb8(RgbImage::from_pixel(8, 8, image::Rgb([light; 3])))
    }

    fn at(ms: u64) -> (Monotonic, WallTime) {
        let at = jiff::Timestamp::from_millisecond(1_000_000 + ms as i64).unwrap();
        (Monotonic::from_millis(ms), WallTime { at, synchronised: true })
    }

    /// Shows `picture` every half second from `from` to `to`; the last word.
    fn show(repeats: &mut Repeats, picture: &Pixels, from: u64, to: u64) -> Option<WallTime> {
        (from..=to).step_by(500).map(|ms| repeats.see(picture, at(ms), AFTER)).last().flatten()
    }

    #[test]
    fn the_same_picture_for_twenty_seconds_is_frozen_until_another_comes() {
        let mut repeats = Repeats::default();
        assert_eq!(show(&mut repeats, &grey(100), 0, 1_000), None);
        assert_eq!(show(&mut repeats, &grey(101), 1_500, 21_000), None);
        assert_eq!(show(&mut repeats, &grey(101), 21_500, 22_000), Some(at(1_500).1));
        assert_eq!(show(&mut repeats, &grey(101), 60_000, 60_000), Some(at(1_500).1), "through its being reopened");
        assert_eq!(show(&mut repeats, &grey(102), 60_500, 60_500), None);
    }

    #[test]
    fn what_never_differed_what_is_dark_and_what_came_after_a_pause_is_not_frozen() {
        assert_eq!(show(&mut Repeats::default(), &grey(100), 0, 90_000), None, "a test picture");
        let mut dark = Repeats::default();
        show(&mut dark, &grey(100), 0, 0);
        assert_eq!(show(&mut dark, &grey(3), 500, 90_000), None, "the light is off");
        let mut paused = Repeats::default();
        show(&mut paused, &grey(100), 0, 0);
        show(&mut paused, &grey(101), 500, 1_000);
        assert_eq!(show(&mut paused, &grey(101), 30_000, 40_000), None, "nothing is known of the time between");
        assert!(show(&mut paused, &grey(101), 40_500, 50_500).is_some());
    }

    #[test]
    fn a_still_scene_with_a_sensors_noise_is_not_frozen() {
        let mut repeats = Repeats::default();
        for round in 0..200 {
            assert_eq!(repeats.see(&grey(100 + (round % 2) as u8), at(round * 500), AFTER), None);
        }
    }
}
