//! Which of a camera's formats, sizes and rates is taken: a pure choice from a list.
//!
//! Reading the list from the camera is not here (see `devices.rs`), nor setting what was chosen (see `capture.rs`).

use std::fmt;

use super::super::{UsbConfig, UsbFormat};

/// One way in which a camera gives pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsbOffer {
    pub format: UsbFormat,
    /// Width and height in pixels.
    pub size: (u32, u32),
    pub rate: PictureRate,
}

/// Pictures a second as cameras say it: a fraction, since 7.5 is 15 pictures in 2 seconds. Neither is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PictureRate {
    pub pictures: u32,
    pub seconds: u32,
}

impl PictureRate {
    /// `None` for a rate that is none.
    pub fn new(pictures: u32, seconds: u32) -> Option<Self> {
        (pictures > 0 && seconds > 0).then_some(Self { pictures, seconds })
    }

    pub fn per_second(self) -> f64 {
        f64::from(self.pictures) / f64::from(self.seconds)
    }

    /// The rate, if it is a whole number.
    pub fn whole(self) -> Option<u32> {
        self.pictures.is_multiple_of(self.seconds).then(|| self.pictures / self.seconds)
    }
}

impl fmt::Display for PictureRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // 30, 7.5, 29.97.
        write!(f, "{}", (self.per_second() * 100.0).round() / 100.0)
    }
}

impl fmt::Display for UsbOffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (width, height) = self.size;
        write!(f, "{} {width}x{height} at {}/s", self.format.as_str(), self.rate)
    }
}

/// A face at a counter is 100 to 300 pixels wide in such a picture: enough for the models, and little to decode.
const BEST_SIZE: (u32, u32) = (640, 480);
/// Faces are too small in narrower pictures; wider ones cost more to carry and decode than they tell.
const GOOD_WIDTHS: std::ops::RangeInclusive<u32> = 640..=1280;
/// With fewer pictures a second the name comes noticeably later: it takes three good ones to decide.
const SMOOTH: f64 = 15.0;
/// More is decoded by nobody: two cores see some 15 pictures a second.
const ENOUGH: f64 = 30.0;

/// The best of a camera's offers for what the configuration leaves open. In this order: the size 640x480, or the
/// nearest in area from 640 to 1280 wide, then wider ones, then narrower ones; at least 15 pictures a second;
/// MJPEG, which leaves room on the USB bus for a second camera; the faster one. Of the rates of one size the
/// highest up to 30, or with a configured rate the lowest that reaches it. `None` if nothing fits a configured
/// format or size.
pub(super) fn choose(offers: &[UsbOffer], wanted: &UsbConfig) -> Option<UsbOffer> {
    let fits = |offer: &&UsbOffer| {
        wanted.format.is_none_or(|format| format == offer.format) && wanted.size.is_none_or(|size| size == offer.size)
    };
    let limit = wanted.fps.map_or(ENOUGH, f64::from);
    offers.iter().filter(fits).copied().min_by(|a, b| {
        size_rank(a.size)
            .cmp(&size_rank(b.size))
            .then_with(|| is_slow(a, limit).cmp(&is_slow(b, limit)))
            .then_with(|| if is_slow(a, limit) { rate_rank(a, wanted, b) } else { std::cmp::Ordering::Equal })
            .then_with(|| (a.format != UsbFormat::Mjpeg).cmp(&(b.format != UsbFormat::Mjpeg)))
            .then_with(|| rate_rank(a, wanted, b))
    })
}

/// Smaller is better: first the class of widths, then the distance.
fn size_rank((width, height): (u32, u32)) -> (u8, u64) {
    let class = match width {
        width if GOOD_WIDTHS.contains(&width) => 0,
        width if width > *GOOD_WIDTHS.end() => 1,
        _ => 2,
    };
    let area = |(width, height): (u32, u32)| u64::from(width) * u64::from(height);
    (class, area((width, height)).abs_diff(area(BEST_SIZE)))
}

fn is_slow(offer: &UsbOffer, limit: f64) -> bool {
    offer.rate.per_second() < SMOOTH.min(limit)
}

fn rate_rank(a: &UsbOffer, wanted: &UsbConfig, b: &UsbOffer) -> std::cmp::Ordering {
    // Smaller is better: which side of the aim, then how far from it.
    let rank = |offer: &UsbOffer| {
        let rate = offer.rate.per_second();
        match wanted.fps.map(f64::from) {
            Some(aim) => (rate < aim, (rate - aim).abs()),
            None => (rate > ENOUGH, (rate - ENOUGH).abs()),
        }
    };
    let (a, b) = (rank(a), rank(b));
    a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MJPEG: UsbFormat = UsbFormat::Mjpeg;
    const YUYV: UsbFormat = UsbFormat::Yuyv;

    fn offer(format: UsbFormat, width: u32, height: u32, fps: u32) -> UsbOffer {
        UsbOffer { format, size: (width, height), rate: PictureRate::new(fps, 1).unwrap() }
    }

    /// What a common HD webcam offers.
    fn webcam() -> Vec<UsbOffer> {
        let mut offers = vec![UsbOffer { format: YUYV, size: (1280, 720), rate: PictureRate::new(15, 2).unwrap() }];
        for fps in [30, 24, 20, 15, 10, 5] {
            for (width, height) in [(640, 480), (320, 240), (640, 360)] {
                offers.push(offer(YUYV, width, height, fps));
            }
            for (width, height) in [(1920, 1080), (1280, 720), (640, 480), (800, 600), (160, 120)] {
                offers.push(offer(MJPEG, width, height, fps));
            }
        }
        offers
    }

    fn auto(offers: &[UsbOffer]) -> Option<UsbOffer> {
        choose(offers, &UsbConfig::default())
    }

    #[test]
    fn a_common_webcam_is_asked_for_mjpeg_640x480_at_30() {
        assert_eq!(auto(&webcam()), Some(offer(MJPEG, 640, 480, 30)));
        let mut turned = webcam();
        turned.reverse();
        assert_eq!(auto(&turned), Some(offer(MJPEG, 640, 480, 30)), "whatever the order of the list");
    }

    #[test]
    fn raw_pictures_are_taken_where_jpegs_come_too_seldom() {
        let slow_jpeg = [offer(MJPEG, 640, 480, 10), offer(YUYV, 640, 480, 15), offer(YUYV, 640, 480, 25)];
        assert_eq!(auto(&slow_jpeg), Some(offer(YUYV, 640, 480, 25)));
        let both_slow = [offer(MJPEG, 640, 480, 5), offer(YUYV, 640, 480, 10)];
        assert_eq!(auto(&both_slow), Some(offer(YUYV, 640, 480, 10)), "the faster one");
        let equally_slow = [offer(YUYV, 640, 480, 10), offer(MJPEG, 640, 480, 10)];
        assert_eq!(auto(&equally_slow), Some(offer(MJPEG, 640, 480, 10)));
    }

    #[test]
    fn the_nearest_size_is_taken_not_below_640_and_not_above_1280_wide_if_avoidable() {
        for (sizes, wanted) in [
            (vec![(320, 240), (800, 600), (1280, 720)], (800, 600)),
            (vec![(352, 288), (640, 360), (1920, 1080)], (640, 360)),
            (vec![(320, 240), (1920, 1080), (3840, 2160)], (1920, 1080)),
            (vec![(160, 120), (352, 288), (320, 240)], (352, 288)),
        ] {
            let offers: Vec<UsbOffer> = sizes.into_iter().map(|(w, h)| offer(MJPEG, w, h, 30)).collect();
            assert_eq!(auto(&offers).map(|o| o.size), Some(wanted));
        }
    }

    #[test]
    fn more_than_30_pictures_a_second_are_taken_only_if_there_are_no_fewer() {
        let fast = [offer(MJPEG, 640, 480, 120), offer(MJPEG, 640, 480, 60)];
        assert_eq!(auto(&fast), Some(offer(MJPEG, 640, 480, 60)));
        let offers = [&fast[..], &[offer(MJPEG, 640, 480, 20)]].concat();
        assert_eq!(auto(&offers), Some(offer(MJPEG, 640, 480, 20)));
    }

    #[test]
    fn what_is_configured_is_kept_and_the_rest_is_chosen() {
        let of = |format, size, fps| choose(&webcam(), &UsbConfig { device: None, format, size, fps });
        assert_eq!(of(Some(YUYV), None, None), Some(offer(YUYV, 640, 480, 30)));
        assert_eq!(of(None, Some((1280, 720)), None), Some(offer(MJPEG, 1280, 720, 30)));
        assert_eq!(of(None, None, Some(12)), Some(offer(MJPEG, 640, 480, 15)), "the lowest rate that reaches it");
        assert_eq!(of(None, None, Some(5)), Some(offer(MJPEG, 640, 480, 5)), "asked for, it is not too slow");
        assert_eq!(of(None, None, Some(90)), Some(offer(MJPEG, 640, 480, 30)), "the highest if none reaches it");
        assert_eq!(of(Some(YUYV), Some((1920, 1080)), None), None, "not offered");
        let odd = of(Some(YUYV), Some((1280, 720)), None).unwrap();
        assert_eq!((odd.rate.to_string().as_str(), odd.rate.whole()), ("7.5", None));
        assert_eq!(auto(&[]), None);
    }
}
