//! What cameras send instead of a proper multipart stream, and what becomes of it.

use proptest::prelude::*;

use super::*;

/// A small JPEG that differs from number to number.
fn jpeg(number: u8) -> Vec<u8> {
    let picture = image::RgbImage::from_fn(16, 16, |x, y| image::Rgb([number, (x * 16) as u8, (y * 16) as u8]));
    let mut bytes = Vec::new();
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 80).encode_image(&picture).unwrap();
    bytes
}

fn part(headers: &str, body: &[u8]) -> Vec<u8> {
    [b"--frame\r\n", headers.as_bytes(), b"\r\n", body, b"\r\n"].concat()
}

fn plain(number: u8) -> Vec<u8> {
    part("Content-Type: image/jpeg\r\n", &jpeg(number))
}

/// Everything that comes out of a stream: numbers of pictures, `None` for damaged ones.
fn read_as(boundary: &str, stream: &[u8], piece: usize) -> Result<Vec<Part>, TooLong> {
    let mut parts = Parts::new(boundary);
    let mut found = Vec::new();
    for piece in stream.chunks(piece) {
        parts.push(piece);
        while let Some(part) = parts.next()? {
            found.push(part);
        }
    }
    Ok(found)
}

fn read(stream: &[u8]) -> Vec<Part> {
    read_as("frame", stream, stream.len().max(1)).expect("not too long")
}

fn pictures(numbers: &[u8]) -> Vec<Part> {
    numbers.iter().map(|number| Part::Picture(jpeg(*number))).collect()
}

#[test]
fn the_boundary_is_read_from_any_spelling() {
    for (stated, boundary) in [
        ("multipart/x-mixed-replace;boundary=frame", Some("frame")),
        ("multipart/x-mixed-replace; boundary=\"--frame\"", Some("--frame")),
        ("Multipart/Mixed ; charset=x ; BOUNDARY= frame ", Some("frame")),
        ("multipart/x-mixed-replace", Some("")),
        ("image/jpeg", None),
        ("text/html; boundary=frame", None),
        ("", None),
    ] {
        assert_eq!(boundary_of(stated).as_deref(), boundary, "{stated}");
    }
}

#[test]
fn the_boundary_is_found_however_it_is_announced() {
    let stream = [plain(1), plain(2)].concat();
    for announced in ["frame", "--frame", "----frame", ""] {
        assert_eq!(read_as(announced, &stream, 7).unwrap(), pictures(&[1, 2]), "{announced:?}");
    }
    let bare = String::from_utf8_lossy(b"frame\nContent-Type: image/jpeg\n\n").into_owned();
    let stream = [bare.as_bytes(), &jpeg(1), b"\n", bare.as_bytes(), &jpeg(2)].concat();
    assert_eq!(read_as("frame", &stream, 7).unwrap(), pictures(&[1, 2]), "line feeds only, and no dashes");
}

#[test]
fn a_picture_is_given_when_its_last_byte_has_come() {
    let stream = part("Content-Length: 99999999\r\n", &jpeg(1));
    assert_eq!(read(&stream[..stream.len() - 2]), pictures(&[1]), "the line break after it is not waited for");
    assert_eq!(read(&stream[..stream.len() - 3]), []);
}

#[test]
fn stated_lengths_are_not_believed() {
    for length in ["0", "7", "100000", "99999999999999999999", "-1", "many", ""] {
        let wrong = part(&format!("Content-Length: {length}\r\n"), &jpeg(1));
        assert_eq!(read(&[wrong, plain(2)].concat()), pictures(&[1, 2]), "{length}");
    }
}

#[test]
fn odd_parts_are_read() {
    for (stream, what) in [
        ([b"HTTP noise\r\n\r\n\r\n".as_slice(), &plain(1), &plain(2)].concat(), "junk before the first part"),
        ([plain(1).as_slice(), &[0; 999], b"\r\n", &plain(2)].concat(), "zeros behind a picture"),
        ([part("", &jpeg(1)), plain(2)].concat(), "no headers"),
        ([part("\r\n\r\n", &jpeg(1)), plain(2)].concat(), "empty lines before the picture"),
        ([b"--frame\r\n\r\n".as_slice(), &jpeg(1), &plain(2)].concat(), "no line break behind a picture"),
        ([plain(1).as_slice(), b"--frame--\r\n", &plain(2)].concat(), "an end that is none"),
        ([part("X: --frame-2\r\nY: frame\r\n", &jpeg(1)), plain(2)].concat(), "headers that resemble the boundary"),
    ] {
        let good: Vec<Part> = read(&stream).into_iter().filter(|part| *part != Part::Damaged).collect();
        assert_eq!(good, pictures(&[1, 2]), "{what}");
    }
}

#[test]
fn half_a_picture_is_dropped_and_costs_no_other() {
    let whole = jpeg(1);
    // More bytes than the text behind the cut can be taken for the length of.
    let numbers: Vec<u8> = (2..20).collect();
    let behind: Vec<u8> = numbers.iter().copied().flat_map(plain).collect();
    for cut in 2..whole.len() {
        let half = &whole[..cut];
        for stream in [
            [plain(0), part("", half), behind.clone()].concat(),
            // The boundary follows without a line break.
            [&plain(0), b"--frame\r\n\r\n".as_slice(), half, &behind].concat(),
        ] {
            let mut read = read(&stream);
            assert_eq!(read.remove(1), Part::Damaged, "cut at {cut}");
            assert!(read == [pictures(&[0]), pictures(&numbers)].concat(), "cut at {cut}");
        }
    }
}

#[test]
fn what_is_no_picture_is_counted_as_damaged() {
    for body in [b"sorry, no picture".as_slice(), b"\x89PNG\r\n", b""] {
        let read = read(&[part("Content-Type: image/jpeg\r\n", body), plain(2)].concat());
        assert_eq!(read, [vec![Part::Damaged], pictures(&[2])].concat(), "{body:?}");
    }
}

#[test]
fn headers_without_end_are_given_up_and_the_next_part_is_found() {
    let endless = part(&"X-Padding: more of it\r\n".repeat(1_000), &jpeg(1));
    assert_eq!(read(&[endless, plain(2)].concat()), [vec![Part::Damaged], pictures(&[2])].concat());
    let one_line = part(&"x".repeat(100_000), &jpeg(1));
    assert_eq!(read(&[one_line, plain(2)].concat()), [vec![Part::Damaged], pictures(&[2])].concat());
}

#[test]
fn a_part_without_end_is_an_error_before_it_fills_the_memory() {
    let whole = jpeg(1);
    let begun = [b"--frame\r\n\r\n".as_slice(), &whole[..whole.len() - 2]].concat();
    let (junk, comments) = (vec![b'x'; 64 << 10], [&[0xff, 0xfe, 0xff, 0xff], vec![0; 65_533].as_slice()].concat());
    let lines = b"no boundary here\n".repeat(4_000);
    for (beginning, more) in
        [(begun.as_slice(), &junk), (b"--frame\r\n\r\n\xff\xd8", &comments), (b"", &junk), (b"", &lines)]
    {
        let mut parts = Parts::new("frame");
        parts.push(beginning);
        let mut pushed = 0;
        while parts.next().map(|part| assert_eq!(part, None)).is_ok() {
            parts.push(more);
            pushed += more.len();
            assert!(parts.buffer.len() <= MOST_JPEG_BYTES + more.len() + beginning.len());
            assert!(pushed < 20 << 20, "it is never given up");
        }
        assert!(pushed > 15 << 20, "given up too early, after {pushed}");
    }
}

/// One of the things that a stream is made of.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => any::<u8>().prop_map(plain),
        1 => (any::<u8>(), 0.0..1.0_f64).prop_map(|(number, share)| {
            let whole = plain(number);
            whole[..(whole.len() as f64 * share) as usize].to_vec()
        }),
        1 => proptest::collection::vec(any::<u8>(), 0..600),
        1 => Just(b"--frame\r\n".to_vec()),
        1 => Just(b"\r\n".to_vec()),
        1 => Just(vec![b'-'; 600]),
        1 => Just(vec![b'x'; 9_000]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn it_does_not_matter_in_what_pieces_a_stream_comes(
        made_of in proptest::collection::vec(pieces(), 0..12),
        cuts in proptest::collection::vec(1_usize..2_000, 1..40),
    ) {
        let stream = made_of.concat();
        let at_once = read(&stream);
        let mut parts = Parts::new("frame");
        let (mut rest, mut found) = (stream.as_slice(), Vec::new());
        for cut in cuts.iter().cycle() {
            let (piece, behind) = rest.split_at((*cut).min(rest.len()));
            rest = behind;
            parts.push(piece);
            while let Some(part) = parts.next().unwrap() {
                found.push(part);
            }
            if rest.is_empty() {
                break;
            }
        }
        prop_assert!(found == at_once, "{} parts in pieces, {} at once", found.len(), at_once.len());
    }

    #[test]
    fn any_bytes_are_read_without_panic(boundary in ".{0,20}", stream: Vec<u8>, content_type in ".{0,60}") {
        let _ = boundary_of(&content_type);
        let _ = boundary_of(&format!("multipart/x;{content_type}"));
        for beginning in ["", "--frame\r\n", "--frame\r\n\r\n", "--frame\n\n\u{ff}"] {
            let _ = read_as("frame", &[beginning.as_bytes(), &stream].concat(), 5);
        }
        let _ = read_as(&boundary, &stream, 3);
    }
}
