//! Looks for traces of a face in the bytes of files: its embeddings, its pixels, any picture at all.
//!
//! What may not be kept is said by `privacy.rs`.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use snova::face::{Embedding, FaceChip};

const WINDOW: usize = 12;

/// Every file below some folders, with every 12-byte run of each; but for the spare, which is megabytes of nothing.
pub struct Files(Vec<(PathBuf, Vec<u8>, HashSet<[u8; WINDOW]>)>);

impl Files {
    pub fn below(folders: &[&Path]) -> Self {
        let mut files = Vec::new();
        let mut open: Vec<PathBuf> = folders.iter().map(|f| f.to_path_buf()).collect();
        while let Some(path) = open.pop() {
            if path.is_dir() {
                open.extend(std::fs::read_dir(&path).expect("a folder").map(|entry| entry.expect("an entry").path()));
            } else if !path.ends_with(snova::store::SPARE_FILE) {
                let bytes = std::fs::read(&path).expect("a file");
                let runs = bytes.windows(WINDOW).map(|w| w.try_into().expect("as long as the window")).collect();
                files.push((path, bytes, runs));
            }
        }
        Self(files)
    }

    pub fn names(&self) -> Vec<String> {
        self.0.iter().map(|(path, ..)| path.file_name().unwrap_or_default().to_string_lossy().into_owned()).collect()
    }

    /// The file that holds any three neighbouring values of the embedding, as bytes of either order or written out.
    pub fn with_part_of(&self, embedding: &Embedding) -> Option<&Path> {
        let values = embedding.values();
        let bytes = |of: fn(f32) -> [u8; 4]| values.iter().flat_map(|v| of(*v)).collect::<Vec<u8>>();
        // A file may begin its values anywhere in the vector, so every value begins a run.
        let runs = |bytes: Vec<u8>| bytes.windows(WINDOW).step_by(4).map(to_run).collect::<Vec<_>>();
        let mut wanted = runs(bytes(f32::to_le_bytes));
        wanted.extend(runs(bytes(f32::to_be_bytes)));
        let written = |a: &[f32]| format!("{}, {}, {}", a[0], a[1], a[2]);
        let texts: Vec<String> = values.windows(3).map(written).collect();
        let has = |(_, bytes, runs): &&(PathBuf, Vec<u8>, HashSet<_>)| {
            let is_text = std::str::from_utf8(bytes);
            wanted.iter().any(|run| runs.contains(run))
                || is_text.is_ok_and(|text| texts.iter().any(|values| text.contains(values)))
        };
        self.0.iter().find(has).map(|(path, ..)| path.as_path())
    }

    /// The file that holds a run of the chip's pixels. Runs of nearly one colour say nothing and are left out.
    pub fn with_pixels_of(&self, chip: &FaceChip) -> Option<&Path> {
        let telling = |run: &&[u8]| run.iter().collect::<HashSet<_>>().len() >= 8;
        let wanted: Vec<_> = chip.image.as_raw().windows(WINDOW).filter(telling).map(to_run).collect();
        assert!(wanted.len() > 1_000, "the chip shows something");
        let has = |file: &&(PathBuf, Vec<u8>, HashSet<_>)| wanted.iter().any(|run| file.2.contains(run));
        self.0.iter().find(has).map(|(path, ..)| path.as_path())
    }

    /// The file that holds the beginning of a JPEG or PNG picture.
    pub fn with_picture(&self) -> Option<&Path> {
        let jpeg = |w: &[u8]| w[..3] == *b"\xff\xd8\xff" && matches!(w[3], 0xc0..=0xc4 | 0xdb | 0xdd..=0xef | 0xfe);
        let has = |file: &&(PathBuf, Vec<u8>, HashSet<_>)| {
            contains(&file.1, b"\x89PNG\r\n\x1a\n") || file.1.windows(4).any(jpeg)
        };
        self.0.iter().find(has).map(|(path, ..)| path.as_path())
    }

    pub fn with_bytes(&self, wanted: &[u8]) -> Option<&Path> {
        self.0.iter().find(|(_, bytes, _)| contains(bytes, wanted)).map(|(path, ..)| path.as_path())
    }
}

fn to_run(window: &[u8]) -> [u8; WINDOW] {
    window.try_into().expect("as long as the window")
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}
