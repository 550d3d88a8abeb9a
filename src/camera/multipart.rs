//! The pictures in a multipart stream, which network cameras send in many wrong ways.
//!
//! The connection that the bytes come from is not here: see `mjpeg.rs`.
//!
//! Only two things of the stream are believed: a line with the boundary begins a part, and a JPEG says itself where
//! it ends. Stated lengths and types are passed over, so a wrong one does no harm, and a picture is given when its
//! last byte has come. After a damaged part the search goes on inside it: half a picture costs no other.

use super::jpeg::{JpegWalk, Walked};
use super::pipe::MOST_JPEG_BYTES;

/// All headers of one part together; cameras send about 100 bytes.
const MOST_HEADER_BYTES: usize = 8 << 10;

/// So much of a line's end is looked at for the boundary.
const LINE_END: usize = 512;

/// RFC 2046 allows 70.
const MOST_BOUNDARY_BYTES: usize = 200;

/// Some cameras send one more empty line before the picture.
const MOST_BREAKS: u8 = 4;

/// What a part held.
#[derive(PartialEq, Eq)]
#[cfg_attr(test, derive(Clone, Debug))]
pub(super) enum Part {
    /// One whole JPEG.
    Picture(Vec<u8>),
    /// Half a picture, something else, or headers without end.
    Damaged,
}

/// 16 MB have come without a picture: this is no stream of pictures, or a part has no end.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong;

/// A stream that comes piece by piece.
pub(super) struct Parts {
    /// Without the dashes before it; empty if none was stated.
    boundary: Vec<u8>,
    buffer: Vec<u8>,
    /// What is before it in the buffer is done.
    at: usize,
    place: Place,
}

#[derive(Clone, Copy)]
enum Place {
    /// Between two parts, after `passed` bytes of something else. `longer`: the line has lost its beginning.
    Between { passed: usize, longer: bool },
    /// Among a part's headers, of which there were `passed` bytes.
    Headers { passed: usize },
    /// In a part, after so many line breaks before it.
    Picture { walk: JpegWalk, breaks: u8 },
}

const SEARCH: Place = Place::Between { passed: 0, longer: false };

/// The boundary that a `Content-Type` states, if that is a multipart one; empty if it is left out.
pub(super) fn boundary_of(content_type: &str) -> Option<String> {
    let is = |text: &str, word: &str| text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
    let mut fields = content_type.split(';').map(str::trim);
    fields.next().filter(|kind| is(kind, "multipart/"))?;
    let stated = fields.find(|field| is(field, "boundary=")).map(|field| &field["boundary=".len()..]);
    Some(stated.unwrap_or_default().trim().trim_matches('"').to_owned())
}

impl Parts {
    /// The boundary may have the dashes that a line puts before it, or not: cameras do both.
    pub fn new(boundary: &str) -> Self {
        let boundary = boundary.trim_start_matches('-').as_bytes();
        let boundary = boundary[..boundary.len().min(MOST_BOUNDARY_BYTES)].to_vec();
        Self { boundary, buffer: Vec::new(), at: 0, place: SEARCH }
    }

    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.at);
        self.at = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next part that has come whole, or damaged; `None` until more bytes are pushed.
    pub fn next(&mut self) -> Result<Option<Part>, TooLong> {
        loop {
            let place = self.place;
            let part = match place {
                Place::Between { passed, longer } => {
                    if !self.find_boundary(passed, longer)? {
                        return Ok(None);
                    }
                    continue;
                }
                Place::Headers { passed } => self.pass_header(passed),
                Place::Picture { walk, breaks } => self.take_picture(walk, breaks)?,
            };
            match part {
                Found::Part(part) => return Ok(Some(part)),
                Found::GoOn => {}
                Found::Nothing => return Ok(None),
            }
        }
    }

    /// Passes over one line; false if its end has not come.
    fn find_boundary(&mut self, passed: usize, longer: bool) -> Result<bool, TooLong> {
        let rest = &self.buffer[self.at..];
        let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
            if passed + rest.len() > MOST_JPEG_BYTES {
                return Err(TooLong);
            }
            let dropped = rest.len().saturating_sub(LINE_END);
            self.at += dropped;
            self.place = Place::Between { passed: passed + dropped, longer: longer || dropped > 0 };
            return Ok(false);
        };
        let passed = passed + end + 1;
        if passed > MOST_JPEG_BYTES {
            return Err(TooLong);
        }
        let line = &rest[..end];
        let shown = &line[line.len().saturating_sub(LINE_END)..];
        let begins = self.is_boundary(shown, !longer && shown.len() == line.len());
        self.at += end + 1;
        self.place = if begins { Place::Headers { passed: 0 } } else { Place::Between { passed, longer: false } };
        Ok(true)
    }

    /// Whether a line's end holds the boundary. Half a picture may stand before it, without a line break.
    fn is_boundary(&self, line: &[u8], whole_line: bool) -> bool {
        let line = line.trim_ascii_end();
        if self.boundary.is_empty() {
            return whole_line && line.starts_with(b"--");
        }
        let closed = line.strip_suffix(self.boundary.as_slice());
        // The last boundary of all has two more dashes; some cameras go on after it.
        let open = line.strip_suffix(b"--").and_then(|line| line.strip_suffix(self.boundary.as_slice()));
        closed
            .or(open)
            .is_some_and(|before| before.ends_with(b"--") || whole_line && before.iter().all(|byte| *byte == b'-'))
    }

    /// A picture cut among its tables may by chance be mended by those of the next; the boundary lies between.
    fn holds_boundary(&self, head: &[u8]) -> bool {
        // A shorter one may be in any picture.
        const SHORTEST: usize = 4;
        let boundary = self.boundary.as_slice();
        boundary.len() >= SHORTEST && head.windows(boundary.len()).any(|bytes| bytes == boundary)
    }

    /// Passes over one header, or the empty line after the last.
    fn pass_header(&mut self, passed: usize) -> Found {
        let rest = &self.buffer[self.at..];
        let end = rest.iter().position(|byte| *byte == b'\n');
        let length = end.map_or(rest.len(), |end| end + 1);
        if passed + length > MOST_HEADER_BYTES {
            self.place = SEARCH;
            return Found::Part(Part::Damaged);
        }
        let Some(end) = end else { return Found::Nothing };
        let line = &rest[..end];
        if self.is_boundary(line, true) {
            // A part of nothing; the next one begins here.
            self.place = SEARCH;
            return Found::Part(Part::Damaged);
        }
        let is_last = line.trim_ascii_end().is_empty();
        self.at += length;
        self.place = if is_last {
            Place::Picture { walk: JpegWalk::default(), breaks: 0 }
        } else {
            Place::Headers { passed: passed + length }
        };
        Found::GoOn
    }

    fn take_picture(&mut self, mut walk: JpegWalk, breaks: u8) -> Result<Found, TooLong> {
        let rest = &self.buffer[self.at..];
        if breaks < MOST_BREAKS && matches!(rest.first(), Some(b'\r' | b'\n')) {
            self.at += 1;
            self.place = Place::Picture { walk, breaks: breaks + 1 };
            return Ok(Found::GoOn);
        }
        let looked_at = &rest[..rest.len().min(MOST_JPEG_BYTES)];
        match walk.go_on(looked_at) {
            Walked::More if looked_at.len() == MOST_JPEG_BYTES => Err(TooLong),
            Walked::More => {
                self.place = Place::Picture { walk, breaks };
                Ok(Found::Nothing)
            }
            Walked::Whole { length, .. } => {
                let picture = rest[..length].to_vec();
                let merged = self.holds_boundary(&picture[..walk.head().min(length)]);
                self.place = SEARCH;
                if merged {
                    return Ok(Found::Part(Part::Damaged));
                }
                self.at += length;
                Ok(Found::Part(Part::Picture(picture)))
            }
            Walked::Broken => {
                self.place = SEARCH;
                Ok(Found::Part(Part::Damaged))
            }
        }
    }
}

enum Found {
    Part(Part),
    GoOn,
    /// More bytes are needed.
    Nothing,
}

#[cfg(test)]
mod tests;
