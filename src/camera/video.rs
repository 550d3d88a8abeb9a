//! A recording as a source: ffmpeg decodes it in a child process, which sends self-describing PPM pictures.
//!
//! The child's life is not here: that is `child.rs`. Network cameras are not here: they will be a source
//! of their own.

use std::ffi::{OsStr, OsString};
use std::io::{self, BufReader, Read};
use std::path::PathBuf;

use image::RgbImage;

use super::child::PictureChild;
use super::{Capture, FrameSource, SourceError, StopHandle, check_fps, offset_at};
use crate::face::Pixels;

/// Which recording, and how it is played.
#[derive(Clone, Debug, PartialEq)]
pub struct VideoConfig {
    pub file: PathBuf,
    /// Pictures a second, made constant by repeating or leaving out the recording's own.
    pub fps: f64,
    /// Begin anew at the end, for ever.
    pub repeat: bool,
}

/// A recording in any format that the installed ffmpeg reads.
pub struct VideoSource {
    pictures: BufReader<PictureChild>,
    file: PathBuf,
    fps: f64,
    index: u64,
    /// How it ended, once it has.
    end: Option<Result<(), SourceError>>,
}

impl VideoSource {
    /// Starts the decoder. Whether the file holds a video is known at the first `next`.
    pub fn open(config: &VideoConfig) -> Result<Self, SourceError> {
        Self::open_with(OsStr::new("ffmpeg"), config)
    }

    fn open_with(program: &OsStr, config: &VideoConfig) -> Result<Self, SourceError> {
        let file = config.file.clone();
        check_fps(config.fps)?;
        let about = std::fs::metadata(&file).map_err(|e| {
            SourceError::new(format!("the video {} cannot be opened: {e}; check its path", file.display()))
        })?;
        if !about.is_file() {
            return Err(SourceError::new(format!("{} is not a video file; give the path of one", file.display())));
        }
        let child = PictureChild::start(program, arguments(config)).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => SourceError::new(format!(
                "the video {} needs ffmpeg, which is not installed; install it: sudo apt-get install ffmpeg",
                file.display()
            )),
            _ => SourceError::new(format!("ffmpeg cannot be started for the video {}: {e}", file.display())),
        })?;
        // A pipe holds 64 KB: a larger buffer would never be filled by one read.
        let pictures = BufReader::with_capacity(64 * 1024, child);
        Ok(Self { pictures, file, fps: config.fps, index: 0, end: None })
    }

    /// The output has ended, or holds something else than pictures (`broken`): the recording's end, or an
    /// error with ffmpeg's own words.
    fn judge_end(&mut self, broken: Option<&io::Error>) -> Result<(), SourceError> {
        let stopped = self.pictures.get_ref().was_stopped();
        let (file, count) = (self.file.display(), self.index);
        if stopped {
            return Err(SourceError::new(format!("the video {file} was stopped")));
        }
        if let Some(error) = broken.filter(|error| error.kind() == io::ErrorKind::InvalidData) {
            return Err(SourceError::new(format!(
                "the video {file} broke off after {count} pictures: {error}; export it again"
            )));
        }
        let (status, said) = self.pictures.get_mut().finish();
        let said = if said.is_empty() { "no word from ffmpeg".to_owned() } else { said };
        let done = status.is_some_and(|status| status.success());
        Err(SourceError::new(match (done, count) {
            (true, 1..) if broken.is_none() => return Ok(()),
            (true, 0) => format!("the video {file} has no pictures ({said}); give another recording"),
            (false, 0) => format!("{file} cannot be read as a video ({said}); give a recording that ffmpeg can play"),
            _ => format!(
                "ffmpeg broke off in {file} after {count} pictures ({said}); check the file and the free memory"
            ),
        }))
    }
}

impl FrameSource for VideoSource {
    fn next(&mut self) -> Result<Option<Capture>, SourceError> {
        if let Some(end) = &self.end {
            return end.clone().map(|()| None);
        }
        let broken = match read_ppm(&mut self.pictures) {
            Ok(Some(picture)) => {
                let offset = offset_at(self.index, self.fps);
                self.index += 1;
                return Ok(Some(Capture { offset, pixels: Pixels::Rgb8(picture) }));
            }
            Ok(None) => None,
            Err(error) => Some(error),
        };
        let end = self.judge_end(broken.as_ref());
        self.end = Some(end.clone());
        end.map(|()| None)
    }

    fn stop_handle(&self) -> Option<StopHandle> {
        Some(self.pictures.get_ref().stop_handle())
    }
}

fn arguments(config: &VideoConfig) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = ["-nostdin", "-hide_banner", "-v", "error"].map(Into::into).into();
    if config.repeat {
        arguments.extend(["-stream_loop", "-1"].map(Into::into));
    }
    // `file:` so that a name can never be a protocol; the list so that a playlist cannot reach the network.
    let mut input = OsString::from("file:");
    input.push(&config.file);
    // One decoding thread: the box's cores belong to detection.
    arguments.extend(["-protocol_whitelist", "file", "-threads", "1", "-i"].map(Into::into));
    arguments.push(input);
    arguments.extend(["-map", "0:v:0", "-vf"].map(Into::into));
    arguments.push(format!("fps={}", config.fps).into());
    arguments.extend(["-f", "image2pipe", "-c:v", "ppm", "pipe:1"].map(Into::into));
    arguments
}

/// Reads one binary PPM picture ("P6", width, height, 255, pixels); `None` when the stream has ended
/// between two pictures. Nothing is believed: the header is bounded, and so is the size it names.
fn read_ppm(from: &mut impl Read) -> io::Result<Option<RgbImage>> {
    // 8K in either direction.
    const MOST_PIXELS: u32 = 8192;
    let mut magic = [0; 1];
    if from.read(&mut magic)? == 0 {
        return Ok(None);
    }
    let mut rest = [0; 2];
    from.read_exact(&mut rest)?;
    if magic != *b"P" || rest[0] != b'6' || !rest[1].is_ascii_whitespace() {
        return Err(invalid("the decoder sent something else than a picture"));
    }
    let (width, height, most) = (read_number(from)?, read_number(from)?, read_number(from)?);
    if most != 255 || !(1..=MOST_PIXELS).contains(&width) || !(1..=MOST_PIXELS).contains(&height) {
        return Err(invalid(&format!("a picture of {width}×{height} pixels with {most} levels cannot be used")));
    }
    let length = u64::from(width) * u64::from(height) * 3;
    let mut pixels = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
    from.take(length).read_to_end(&mut pixels)?;
    RgbImage::from_raw(width, height, pixels)
        .map(Some)
        .ok_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, "the last picture is cut short"))
}

/// A decimal number of at most five digits and the one white space that ends it.
fn read_number(from: &mut impl Read) -> io::Result<u32> {
    const MOST_DIGITS: u32 = 5;
    let mut number = 0;
    for _ in 0..=MOST_DIGITS {
        let mut byte = [0; 1];
        from.read_exact(&mut byte)?;
        match byte[0] {
            digit @ b'0'..=b'9' => number = number * 10 + u32::from(digit - b'0'),
            space if space.is_ascii_whitespace() => return Ok(number),
            _ => break,
        }
    }
    Err(invalid("the decoder sent a damaged picture header"))
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ppm(bytes: &[u8]) -> io::Result<Option<RgbImage>> {
        read_ppm(&mut io::Cursor::new(bytes))
    }

    #[test]
    fn a_picture_is_read_and_then_the_end() {
        let mut stream = io::Cursor::new(b"P6\n2 1\n255\nabcdefP6\n1 1\n255\nxyz".as_slice());
        assert_eq!(read_ppm(&mut stream).unwrap().unwrap().into_raw(), b"abcdef");
        assert_eq!(read_ppm(&mut stream).unwrap().unwrap().dimensions(), (1, 1));
        assert!(read_ppm(&mut stream).unwrap().is_none());
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
            "P5\n4 4\n255\n",
            "P6#comment\n4 4\n255\n",
            "hello there, this is no picture",
        ] {
            let error = ppm(header.as_bytes()).expect_err(header);
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{header}");
        }
    }

    #[test]
    fn a_picture_cut_short_is_an_error() {
        for cut in [&b"P"[..], b"P6", b"P6\n2 ", b"P6\n2 1\n255", b"P6\n2 1\n255\nabc"] {
            assert_eq!(ppm(cut).expect_err("cut").kind(), io::ErrorKind::UnexpectedEof);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
            let _ = ppm(&bytes);
            let _ = ppm(&[b"P6\n".as_slice(), &bytes].concat());
        }
    }

    #[test]
    fn a_missing_ffmpeg_is_named_with_the_command_that_installs_it() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let config = VideoConfig { file: file.path().into(), fps: 15.0, repeat: false };
        let error = VideoSource::open_with(OsStr::new("ffmpeg-of-nowhere"), &config).err().unwrap().to_string();
        assert!(error.contains("sudo apt-get install ffmpeg"), "{error}");
        assert!(!error.contains('\n'));
    }
}
