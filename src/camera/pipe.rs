//! The pictures that a child process sends through its standard output, each saying what it is; one form for all children.
//!
//! The child's life is not here (see `child.rs`), nor whether a JPEG is whole (see `jpeg.rs`).
//!
//! Two kinds, told apart by their first bytes. Binary PPM, which ffmpeg writes: `P6`, width, height, 255, then RGB.
//! Our own: a line `SNVF <JPEG|YUYV> <width> <height> <length>`, then that many bytes.

use std::io::{self, Read, Write};

use image::RgbImage;

use crate::face::{Pixels, Yuyv};

/// 8K in either direction.
pub(super) const MOST_PIXELS: u32 = 8192;

/// A camera's JPEG of 1080p has about 0.3 MB.
pub(super) const MOST_JPEG_BYTES: usize = 16 << 20;

/// Memory taken on the word of a header alone; for a larger picture it grows with the bytes that come.
const TAKEN_AT_ONCE: u64 = 8 << 20;

/// Reads one picture; `None` when the stream has ended between two pictures. Nothing is believed: the header is
/// bounded, and so is what it names. `InvalidData` is something else than a picture, `UnexpectedEof` one cut short.
pub fn read_picture(from: &mut impl Read) -> io::Result<Option<Pixels>> {
    let mut magic = [0; 2];
    if from.read(&mut magic[..1])? == 0 {
        return Ok(None);
    }
    from.read_exact(&mut magic[1..])?;
    match &magic {
        b"P6" => read_ppm(from).map(Some),
        b"SN" => read_own(from).map(Some),
        _ => Err(invalid("the child sent something else than a picture")),
    }
}

/// Writes one picture. The size is that of a JPEG, which does not carry it in the open; the other kinds know theirs.
pub fn write_picture(to: &mut impl Write, picture: &Pixels, size: (u32, u32)) -> io::Result<()> {
    let (kind, (width, height), bytes) = match picture {
        Pixels::Rgb8(image) => {
            let (width, height) = checked(image.dimensions())?;
            write!(to, "P6\n{width} {height}\n255\n")?;
            to.write_all(image.as_raw())?;
            return to.flush();
        }
        Pixels::Jpeg(bytes) if bytes.is_empty() || bytes.len() > MOST_JPEG_BYTES => {
            return Err(invalid(&format!("a JPEG of {} bytes cannot be sent", bytes.len())));
        }
        Pixels::Jpeg(bytes) => ("JPEG", size, bytes.as_slice()),
        Pixels::Yuyv(yuyv) => ("YUYV", yuyv.size(), yuyv.as_raw()),
    };
    let (width, height) = checked((width, height))?;
    writeln!(to, "SNVF {kind} {width} {height} {}", bytes.len())?;
    to.write_all(bytes)?;
    to.flush()
}

fn checked((width, height): (u32, u32)) -> io::Result<(u32, u32)> {
    if (1..=MOST_PIXELS).contains(&width) && (1..=MOST_PIXELS).contains(&height) {
        return Ok((width, height));
    }
    Err(invalid(&format!("a picture of {width}×{height} pixels cannot be used")))
}

/// What follows `P6`.
fn read_ppm(from: &mut impl Read) -> io::Result<Pixels> {
    let mut space = [0; 1];
    from.read_exact(&mut space)?;
    if !space[0].is_ascii_whitespace() {
        return Err(invalid("the child sent something else than a picture"));
    }
    let size = (read_number(from)?, read_number(from)?);
    let levels = read_number(from)?;
    let (width, height) = checked(size)?;
    if levels != 255 {
        return Err(invalid(&format!("a picture with {levels} levels cannot be used")));
    }
    let pixels = read_bytes(from, u64::from(width) * u64::from(height) * 3)?;
    RgbImage::from_raw(width, height, pixels).map(Pixels::Rgb8).ok_or_else(|| invalid("a picture of a wrong length"))
}

/// What follows `SN`.
fn read_own(from: &mut impl Read) -> io::Result<Pixels> {
    let mut rest = [0; 8];
    from.read_exact(&mut rest)?;
    if rest[..3] != *b"VF " || rest[7] != b' ' {
        return Err(invalid("the child sent something else than a picture"));
    }
    let size = (read_number(from)?, read_number(from)?);
    let length = read_number(from)?;
    let (width, height) = checked(size)?;
    match &rest[3..7] {
        b"JPEG" if (1..=MOST_JPEG_BYTES).contains(&(length as usize)) => {
            read_bytes(from, u64::from(length)).map(Pixels::Jpeg)
        }
        // Told apart before the bytes are read, so that a wrong length takes nothing.
        b"YUYV" if width.is_multiple_of(2) && length == width * height * 2 => {
            let bytes = read_bytes(from, u64::from(length))?;
            Yuyv::new(width, height, bytes).map(Pixels::Yuyv).ok_or_else(|| invalid("a picture of a wrong length"))
        }
        b"JPEG" | b"YUYV" => {
            Err(invalid(&format!("a picture of {width}×{height} pixels in {length} bytes cannot be used")))
        }
        _ => Err(invalid("the child sent a picture of an unknown kind")),
    }
}

fn read_bytes(from: &mut impl Read, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(length.min(TAKEN_AT_ONCE) as usize);
    from.take(length).read_to_end(&mut bytes)?;
    if (bytes.len() as u64) < length {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the last picture is cut short"));
    }
    Ok(bytes)
}

/// A decimal number of at most nine digits and the one white space that ends it.
fn read_number(from: &mut impl Read) -> io::Result<u32> {
    const MOST_DIGITS: u32 = 9;
    let mut number = 0;
    for digits in 0..=MOST_DIGITS {
        let mut byte = [0; 1];
        from.read_exact(&mut byte)?;
        match byte[0] {
            digit @ b'0'..=b'9' if digits < MOST_DIGITS => number = number * 10 + u32::from(digit - b'0'),
            space if space.is_ascii_whitespace() && digits > 0 => return Ok(number),
            _ => break,
        }
    }
    Err(invalid("the child sent a damaged picture header"))
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(bytes: &[u8]) -> io::Result<Option<Pixels>> {
        read_picture(&mut io::Cursor::new(bytes))
    }

    /// A picture of any kind. Described, for pictures themselves are never printed.
    #[derive(Clone, Debug)]
    struct Drawn {
        kind: u8,
        size: (u32, u32),
        bytes: Vec<u8>,
    }

    fn drawn() -> impl Strategy<Value = Drawn> {
        let bytes = proptest::collection::vec(any::<u8>(), 48 * 24 * 3);
        let size = (1..=24_u32, 1..=24_u32).prop_map(|(width, height)| (width * 2, height));
        (0..3_u8, size, bytes).prop_map(|(kind, size, bytes)| Drawn { kind, size, bytes })
    }

    fn picture(Drawn { kind, size: (width, height), bytes }: &Drawn) -> Pixels {
        let first = |each: u32| bytes[..(width * height * each) as usize].to_vec();
        match kind {
            0 => Pixels::Rgb8(RgbImage::from_raw(*width, *height, first(3)).unwrap()),
            1 => Pixels::Yuyv(Yuyv::new(*width, *height, first(2)).unwrap()),
            _ => Pixels::Jpeg(first(1)),
        }
    }

    fn parts(picture: &Pixels) -> (u8, (u32, u32), &[u8]) {
        match picture {
            Pixels::Rgb8(image) => (0, image.dimensions(), image.as_raw()),
            Pixels::Yuyv(yuyv) => (1, yuyv.size(), yuyv.as_raw()),
            Pixels::Jpeg(bytes) => (2, (0, 0), bytes),
        }
    }

    #[test]
    fn pictures_as_ffmpeg_sends_them_are_read_and_then_the_end() {
        let mut stream = io::Cursor::new(b"P6\n2 1\n255\nabcdefP6\n1 1\n255\nxyz".as_slice());
        let Some(Pixels::Rgb8(first)) = read_picture(&mut stream).unwrap() else { panic!("RGB") };
        assert_eq!((first.dimensions(), first.into_raw().as_slice()), ((2, 1), b"abcdef".as_slice()));
        assert!(matches!(read_picture(&mut stream), Ok(Some(Pixels::Rgb8(second))) if second.dimensions() == (1, 1)));
        assert!(read_picture(&mut stream).unwrap().is_none());
    }

    #[test]
    fn hostile_headers_are_refused_before_any_memory_is_taken() {
        for header in [
            "P6\n99999 99999\n255\n",
            "P6\n8193 1\n255\n",
            "P6\n0 4\n255\n",
            "P6\n4 4\n65535\n",
            "P6\n-4 4\n255\n",
            "P6\n4444444444444444444 4\n255\n",
            "P6\n\n\n4 4\n255\n",
            "P5\n4 4\n255\n",
            "P6#comment\n4 4\n255\n",
            "SNVF JPEG 8193 4 100\n",
            "SNVF JPEG 0 4 100\n",
            "SNVF JPEG 4 4 0\n",
            "SNVF JPEG 4 4 16777217\n",
            "SNVF JPEG 4 4 99999999999999\n",
            "SNVF YUYV 4 4 33\n",
            "SNVF YUYV 3 4 24\n",
            "SNVF YUYV 8192 8192 32\n",
            "SNVF H264 4 4 32\n",
            "SNVG JPEG 4 4 32\n",
            "hello there, this is no picture",
        ] {
            let error = read(header.as_bytes()).err().expect(header);
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{header}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_not_written() {
        let nothing = |picture: &Pixels, size| {
            let mut written = Vec::new();
            assert!(write_picture(&mut written, picture, size).is_err() && written.is_empty());
        };
        nothing(&Pixels::Jpeg(Vec::new()), (4, 4));
        nothing(&Pixels::Jpeg(vec![0; MOST_JPEG_BYTES + 1]), (4, 4));
        nothing(&Pixels::Jpeg(vec![0; 4]), (0, 4));
        nothing(&Pixels::Rgb8(RgbImage::new(MOST_PIXELS + 1, 1)), (1, 1));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
            for beginning in ["", "P6\n", "SNVF JPEG ", "SNVF YUYV ", "SNVF JPEG 4 4 ", "P6\n4 4\n255\n"] {
                let _ = read(&[beginning.as_bytes(), &bytes].concat());
            }
        }

        #[test]
        fn what_is_written_is_read_again(first in drawn(), second in drawn()) {
            let mut stream = Vec::new();
            for one in [&first, &second] {
                write_picture(&mut stream, &picture(one), one.size).unwrap();
            }
            let mut stream = io::Cursor::new(stream);
            for one in [first, second] {
                let again = read_picture(&mut stream).unwrap().unwrap();
                prop_assert!(parts(&again) == parts(&picture(&one)));
            }
            prop_assert!(read_picture(&mut stream).unwrap().is_none());
        }

        #[test]
        fn a_picture_cut_short_is_an_error(one in drawn(), share in 0.0..1.0_f64) {
            let mut stream = Vec::new();
            write_picture(&mut stream, &picture(&one), one.size).unwrap();
            let cut = 1 + ((stream.len() - 2) as f64 * share) as usize;
            let error = read(&stream[..cut]).err().expect("cut");
            prop_assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        }
    }
}
