//! A recording as a source: ffmpeg decodes it in a child process, which sends pictures through the frame pipe.
//!
//! The child's life is not here (see `child.rs`), nor how a picture is read (see `pipe.rs`), nor network cameras
//! (see `rtsp.rs` and `mjpeg.rs`).

use std::ffi::{OsStr, OsString};
use std::io::{self, BufReader};
use std::path::PathBuf;

use super::child::PictureChild;
use super::pipe::read_picture;
use super::{Capture, FrameSource, SourceError, StopHandle, check_fps, offset_at};

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
        let broken = match read_picture(&mut self.pictures) {
            Ok(Some(pixels)) => {
                let offset = offset_at(self.index, self.fps);
                self.index += 1;
                return Ok(Some(Capture { offset, pixels }));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_ffmpeg_is_named_with_the_command_that_installs_it() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let config = VideoConfig { file: file.path().into(), fps: 15.0, repeat: false };
        let error = VideoSource::open_with(OsStr::new("ffmpeg-of-nowhere"), &config).err().unwrap().to_string();
        assert!(error.contains("sudo apt-get install ffmpeg"), "{error}");
        assert!(!error.contains('\n'));
    }
}
