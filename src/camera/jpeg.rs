//! Whether a JPEG is whole: a walk over its parts, from its beginning to its true end.
//!
//! Decoding is not here (`crate::face` does it): a decoder fills what is missing of half a picture with grey.
//!
//! A length stated beside the picture is not asked: cameras state wrong ones, and put bytes behind the end.

use super::pipe::MOST_PIXELS;

/// A JPEG that has all its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WholeJpeg<'a> {
    /// From the first marker to the last; what stood behind is left out.
    pub bytes: &'a [u8],
    /// Width and height in pixels, as its header says.
    pub size: (u32, u32),
}

/// The JPEG that `bytes` begin with; `None` if they begin with something else, or it is damaged or cut short.
pub fn whole_jpeg(bytes: &[u8]) -> Option<WholeJpeg<'_>> {
    match JpegWalk::default().go_on(bytes) {
        Walked::Whole { length, size } => Some(WholeJpeg { bytes: &bytes[..length], size }),
        Walked::More | Walked::Broken => None,
    }
}

/// How far a walk has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Walked {
    /// Right so far; go on when there are more bytes.
    More,
    Whole {
        length: usize,
        size: (u32, u32),
    },
    /// This will never be a JPEG.
    Broken,
}

/// A walk over a JPEG that comes piece by piece.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct JpegWalk {
    at: usize,
    inside: Inside,
    size: Option<(u32, u32)>,
    /// How many bytes there are before the first pixels.
    head: Option<usize>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Inside {
    #[default]
    Start,
    /// Before a marker.
    Segments,
    /// Among the coded pixels, which end at the next marker that is none of theirs.
    Pixels,
}

// Names of the markers as in ITU-T T.81, table B.1.
const SOI: u8 = 0xd8;
const EOI: u8 = 0xd9;
const SOS: u8 = 0xda;
const TEM: u8 = 0x01;

fn is_restart(marker: u8) -> bool {
    matches!(marker, 0xd0..=0xd7)
}

/// A frame header, which has the size. C4, C8 and CC are tables and extensions.
fn is_frame(marker: u8) -> bool {
    matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc)
}

impl JpegWalk {
    /// Goes on over `bytes`, which are all bytes of the JPEG so far: those of the last call and what has come since.
    /// Each byte is looked at once.
    pub fn go_on(&mut self, bytes: &[u8]) -> Walked {
        loop {
            let rest = bytes.get(self.at..).unwrap_or_default();
            let step = match self.inside {
                Inside::Start => Self::start(rest),
                Inside::Segments => self.segment(rest),
                Inside::Pixels => self.pixels(rest),
            };
            match step {
                Ok(Some((length, inside))) => (self.at, self.inside) = (self.at + length, inside),
                Ok(None) => return Walked::More,
                Err(End::Broken) => return Walked::Broken,
                Err(End::Whole(size)) => return Walked::Whole { length: self.at + 2, size },
            }
        }
    }

    /// How many bytes of a whole JPEG are tables and the like, before the first pixels.
    pub fn head(&self) -> usize {
        self.head.unwrap_or(0)
    }

    fn start(rest: &[u8]) -> Step {
        match rest {
            [0xff, SOI, ..] => Ok(Some((2, Inside::Segments))),
            [] | [0xff] => Ok(None),
            _ => Err(End::Broken),
        }
    }

    /// One segment, or the end.
    fn segment(&mut self, rest: &[u8]) -> Step {
        match *rest {
            [] | [0xff] => Ok(None),
            // A marker may have any number of FF before it.
            [0xff, 0xff, ..] => Ok(Some((1, Inside::Segments))),
            [0xff, marker, ..] if marker == TEM || is_restart(marker) => Ok(Some((2, Inside::Segments))),
            [0xff, EOI, ..] => match self.size {
                Some(size) if self.head.is_some() => Err(End::Whole(size)),
                _ => Err(End::Broken),
            },
            // Those from 02 to BF are reserved: a text that follows half a picture.
            [0xff, 0x00 | 0x02..=0xbf | SOI, ..] => Err(End::Broken),
            [0xff, marker, high, low, ..] => {
                self.segment_of(marker, usize::from(u16::from_be_bytes([high, low])), rest)
            }
            [0xff, ..] => Ok(None),
            _ => Err(End::Broken),
        }
    }

    /// A segment with its stated length, which counts itself but not the marker.
    fn segment_of(&mut self, marker: u8, length: usize, rest: &[u8]) -> Step {
        // Length, sample precision, height, width, number of components.
        const FRAME_LENGTH: usize = 8;
        let whole = 2 + length;
        if length < 2 {
            return Err(End::Broken);
        }
        if is_frame(marker) {
            let Some(&[_, height_high, height_low, width_high, width_low]) = rest.get(4..9) else { return Ok(None) };
            let [width, height] =
                [[width_high, width_low], [height_high, height_low]].map(|side| u32::from(u16::from_be_bytes(side)));
            let usable = |side| (1..=MOST_PIXELS).contains(&side);
            // A second frame is another picture's: this one was cut inside of a segment.
            if length < FRAME_LENGTH || !usable(width) || !usable(height) || self.size.is_some() {
                return Err(End::Broken);
            }
            self.size = Some((width, height));
        }
        if marker != SOS {
            return Ok(Some((whole, Inside::Segments)));
        }
        let Some(&components) = rest.get(4) else { return Ok(None) };
        if self.size.is_none() || length != 6 + 2 * usize::from(components) {
            return Err(End::Broken);
        }
        self.head.get_or_insert(self.at);
        Ok(Some((whole, Inside::Pixels)))
    }

    /// Coded pixels up to the next marker.
    fn pixels(&mut self, rest: &[u8]) -> Step {
        let Some(marker) = rest.iter().position(|byte| *byte == 0xff) else {
            return if rest.is_empty() { Ok(None) } else { Ok(Some((rest.len(), Inside::Pixels))) };
        };
        Ok(match rest.get(marker + 1) {
            // FF 00 is a pixel's FF; a restart marker stands among the pixels.
            Some(0x00) => Some((marker + 2, Inside::Pixels)),
            Some(byte) if is_restart(*byte) => Some((marker + 2, Inside::Pixels)),
            Some(_) => Some((marker, Inside::Segments)),
            None if marker == 0 => None,
            None => Some((marker, Inside::Pixels)),
        })
    }
}

/// So many bytes are done, and where that leads; `None` if the rest is too short to tell.
type Step = Result<Option<(usize, Inside)>, End>;

enum End {
    Whole((u32, u32)),
    Broken,
}

#[cfg(test)]
mod tests {
    use image::codecs::jpeg::JpegEncoder;
    use image::{Rgb, RgbImage};
    use proptest::prelude::*;

    use super::*;

    fn jpeg(width: u32, height: u32) -> Vec<u8> {
        // Noise, so that there are FFs among the coded pixels.
        let noise = |x: u32, y: u32| Rgb([((x * 37) ^ (y * 91)) as u8, (x * y * 13) as u8, (x * 251 + y * 17) as u8]);
        let mut bytes = Vec::new();
        JpegEncoder::new_with_quality(&mut bytes, 95).encode_image(&RgbImage::from_fn(width, height, noise)).unwrap();
        bytes
    }

    #[test]
    fn a_whole_picture_is_found_without_what_stands_behind_it() {
        let picture = jpeg(80, 60);
        assert!(picture[200..].windows(2).any(|pair| pair == [0xff, 0x00]), "the picture is hard enough");
        for behind in [b"".as_slice(), &[0; 500], b"\r\n--next\r\n", &[0xff, 0xd9], &[0xff, 0xd8, 0xff]] {
            let bytes = [&picture, behind].concat();
            assert_eq!(whole_jpeg(&bytes), Some(WholeJpeg { bytes: &picture, size: (80, 60) }));
        }
    }

    #[test]
    fn half_a_picture_is_none_wherever_it_is_cut() {
        let picture = jpeg(40, 30);
        let scan = picture.windows(2).position(|pair| pair == [0xff, SOS]).unwrap();
        for cut in 0..picture.len() {
            assert!(whole_jpeg(&picture[..cut]).is_none(), "cut at {cut}");
            // The next picture follows at once, as on a wire. Cut among its tables it may by chance be mended by
            // the next one's; cut among its pixels never.
            let mixed = [&picture[..cut], &picture].concat();
            assert!(cut <= scan || whole_jpeg(&mixed).is_none(), "cut at {cut}");
        }
    }

    #[test]
    fn a_thumbnail_inside_does_not_end_the_picture() {
        let (picture, thumbnail) = (jpeg(64, 64), jpeg(8, 8));
        let length = u16::try_from(thumbnail.len() + 2).unwrap().to_be_bytes();
        let bytes = [&picture[..2], &[0xff, 0xe1], &length, &thumbnail, &picture[2..]].concat();
        assert_eq!(whole_jpeg(&bytes), Some(WholeJpeg { bytes: &bytes, size: (64, 64) }));
    }

    #[test]
    fn fill_bytes_and_restart_markers_are_parts_of_a_picture() {
        let picture = jpeg(16, 16);
        let (head, tail) = picture.split_at(picture.len() - 2);
        let bytes = [&[0xff, SOI, 0xff, 0xff], &head[2..], &[0xff, 0xd3, 1, 0xff, 0xff, 0xff], tail].concat();
        assert_eq!(whole_jpeg(&bytes).map(|whole| whole.bytes.len()), Some(bytes.len()));
    }

    #[test]
    fn what_is_no_picture_is_none() {
        let frame = [0xff, 0xc0, 0, 11, 8, 0, 4, 0, 4, 1, 1, 0x11, 0];
        let scan = [0xff, SOS, 0, 8, 1, 1, 0, 0, 63, 0, 0x55];
        let of = |parts: &[&[u8]]| [&[0xff, SOI], parts.concat().as_slice(), &[0xff, EOI]].concat();
        assert!(whole_jpeg(&of(&[&frame, &scan])).is_some(), "this much is enough");
        for (bytes, what) in [
            (of(&[]), "nothing inside"),
            (of(&[&frame]), "no pixels"),
            (of(&[&scan]), "no size"),
            (of(&[&frame, &[0xff, 0xe0, 0, 1], &scan]), "a length shorter than itself"),
            (of(&[&frame[..6], &[0xff; 4], &frame[10..], &scan]), "65535 pixels wide"),
            (of(&[&frame[..6], &[0; 4], &frame[10..], &scan]), "no height"),
            (of(&[&[0xff, SOI], &frame, &scan]), "begins twice"),
            (of(&[&frame, b"text", &scan]), "text between segments"),
            (b"\x89PNG\r\n".to_vec(), "a PNG"),
            (Vec::new(), "nothing"),
        ] {
            assert_eq!(whole_jpeg(&bytes), None, "{what}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_walked_without_panic(bytes: Vec<u8>) {
            for beginning in [vec![], vec![0xff, SOI], vec![0xff, SOI, 0xff, 0xc0], jpeg(8, 8)[..300].to_vec()] {
                let _ = whole_jpeg(&[beginning, bytes.clone()].concat());
            }
        }

        #[test]
        fn it_does_not_matter_in_what_pieces_a_picture_comes(cuts in proptest::collection::vec(1_usize..90, 1..80)) {
            let picture = jpeg(24, 24);
            let bytes = [picture.as_slice(), b"\r\n--next"].concat();
            let (mut walk, mut come, mut walked) = (JpegWalk::default(), 0, Walked::More);
            for cut in cuts.iter().cycle() {
                come = (come + cut).min(bytes.len());
                walked = walk.go_on(&bytes[..come]);
                if walked != Walked::More {
                    break;
                }
                prop_assert!(come < bytes.len());
            }
            prop_assert_eq!(walked, Walked::Whole { length: picture.len(), size: (24, 24) });
        }
    }
}
