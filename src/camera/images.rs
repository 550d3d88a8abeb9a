//! A folder of pictures as a source: each picture is a frame, in the order of their names.
//!
//! Decoding untrusted pictures is not here: that is `crate::face`'s.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::{Capture, FrameSource, SourceError, check_fps, offset_at, read_picture_file};
use crate::face::{Pixels, decode_picture};

/// Which folder, and how it is played.
#[derive(Clone, Debug, PartialEq)]
pub struct ImagesConfig {
    pub folder: PathBuf,
    /// Pictures a second.
    pub fps: f64,
    /// Begin anew at the end, for ever.
    pub repeat: bool,
}

/// The JPEG and PNG files of one folder; other files are not looked at, nor are folders inside.
///
/// A picture that cannot be used is an error with its name, never skipped: a recording with silent gaps
/// would make an evaluation wrong. What can be told from a file's first bytes is told at opening, in a
/// fraction of a millisecond a file, so also for a large folder; damage further on is told when its
/// turn comes.
pub struct ImagesSource {
    files: Vec<PathBuf>,
    fps: f64,
    repeat: bool,
    index: u64,
    size: Option<(u32, u32)>,
}

impl ImagesSource {
    pub fn open(config: &ImagesConfig) -> Result<Self, SourceError> {
        check_fps(config.fps)?;
        let folder = config.folder.display();
        let cannot =
            |e: std::io::Error| SourceError::new(format!("the folder {folder} cannot be read: {e}; check its path"));
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&config.folder).map_err(cannot)? {
            let path = entry.map_err(cannot)?.path();
            if has_picture_name(&path) && path.is_file() {
                files.push(path);
            }
        }
        if files.is_empty() {
            return Err(SourceError::new(format!(
                "the folder {folder} has no pictures; put JPEG or PNG files into it"
            )));
        }
        files.sort();
        for file in &files {
            if !begins_like_a_picture(file) {
                return Err(unusable(file, "it is neither JPEG nor PNG inside"));
            }
        }
        Ok(Self { files, fps: config.fps, repeat: config.repeat, index: 0, size: None })
    }
}

impl FrameSource for ImagesSource {
    fn next(&mut self) -> Result<Option<Capture>, SourceError> {
        let count = self.files.len() as u64;
        if self.index >= count && !self.repeat {
            return Ok(None);
        }
        // The remainder is below a length that is a usize.
        let file = &self.files[(self.index % count) as usize];
        let bytes = read_picture_file(file).map_err(|e| unusable(file, &e))?;
        let picture = decode_picture(&bytes).map_err(|e| unusable(file, &e.to_string()))?;
        let size = *self.size.get_or_insert(picture.dimensions());
        if picture.dimensions() != size {
            let ((is_w, is_h), (was_w, was_h)) = (picture.dimensions(), size);
            let what =
                format!("it has {is_w}×{is_h} pixels and the first one {was_w}×{was_h}; a recording has one size");
            return Err(unusable(file, &what));
        }
        let offset = offset_at(self.index, self.fps);
        self.index += 1;
        Ok(Some(Capture { offset, pixels: Pixels::Rgb8(picture) }))
    }
}

fn unusable(file: &Path, why: &str) -> SourceError {
    SourceError::new(format!("the picture {} cannot be used: {why}; replace or remove it", file.display()))
}

fn has_picture_name(path: &Path) -> bool {
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
    ["jpg", "jpeg", "png"].iter().any(|known| extension.eq_ignore_ascii_case(known))
}

fn begins_like_a_picture(path: &Path) -> bool {
    let mut start = [0; 4];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut start));
    read.is_ok() && (start.starts_with(b"\xff\xd8\xff") || start == *b"\x89PNG")
}
