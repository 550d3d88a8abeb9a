//! A `Vision` that reads who is in a picture from its colours, and the pictures to show it.
//!
//! A face is a filled rectangle on black: red and green name the person, blue is the number of the shot. So a
//! picture says by itself what the models would find, through files, aligning and threads. No model is here.
#![allow(dead_code, reason = "each test uses its part of the support code")]

use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use image::{Rgb, RgbImage};
use snova::face::{
    BoundingBox, ChipLayout, Detection, Embedding, FaceChip, Landmarks, Point, Quality, QualityReason, ThresholdRow,
    ThresholdTable,
};
use snova::vision::{PackFacts, Vision, VisionError};

/// The name of the scripted pack.
pub const PACK: &str = "scripted";

/// Colour levels lie this far apart, so that scaling and JPEG do not turn one person into another.
const STEP: u8 = 16;
const LEVELS: usize = 14;

/// Somebody the scripted models can tell apart, by a number from [`ScriptedVision::person`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Face {
    person: usize,
    shot: u8,
}

impl Face {
    /// The same person in another shot, 0 to 13: an embedding a little different.
    pub fn shot(self, shot: u8) -> Self {
        assert!(usize::from(shot) < LEVELS, "shots are numbered 0 to 13");
        Self { shot, ..self }
    }

    fn colour(self) -> Rgb<u8> {
        let level = |n: usize| (n as u8 + 2) * STEP;
        Rgb([level(self.person / LEVELS), level(self.person % LEVELS), level(usize::from(self.shot))])
    }

    fn read(pixel: Rgb<u8>) -> Option<Self> {
        let level = |v: u8| (usize::from(v) + usize::from(STEP / 2)) / usize::from(STEP);
        let [r, g, b] = pixel.0.map(level);
        (r >= 2 && g >= 2 && b >= 2).then(|| Self { person: (r - 2) * LEVELS + (g - 2), shot: (b - 2) as u8 })
    }
}

/// How often the models were asked; shared, so that it can be read while the vision is elsewhere.
#[derive(Debug, Default)]
pub struct Calls {
    pub detect: AtomicUsize,
    pub embed: AtomicUsize,
    /// Chips given to `embed`, over all calls.
    pub chips: AtomicUsize,
}

/// The scripted models. Embeddings of one person agree at about 0.9, of two at about 0.
pub struct ScriptedVision {
    facts: PackFacts,
    names: Vec<String>,
    /// Directions that are not a hash of the name: (person it is near to, similarity).
    near: BTreeMap<usize, (usize, f32)>,
    bad: BTreeMap<(usize, u8), QualityReason>,
    /// Norm of the noise that a shot adds to the person's unit direction.
    noise: f32,
    fails: Option<&'static str>,
    calls: Arc<Calls>,
}

impl ScriptedVision {
    pub fn new(dimension: usize) -> Self {
        let points = [(0.34, 0.46), (0.66, 0.46), (0.5, 0.64), (0.37, 0.82), (0.63, 0.82)];
        let layout = ChipLayout { side: 32, points: points.map(|(x, y)| Point { x: x * 32.0, y: y * 32.0 }) };
        let facts = PackFacts { name: PACK.to_owned(), dimension, layout, thresholds: default_thresholds() };
        let (names, near, bad) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        Self { facts, names, near, bad, noise: 0.33, fails: None, calls: Arc::default() }
    }

    pub fn with_thresholds(mut self, thresholds: ThresholdTable) -> Self {
        self.facts.thresholds = thresholds;
        self
    }

    /// The norm of a shot's noise relative to the person's unit direction; two shots of one person then agree
    /// at about 1 / (1 + noise²).
    pub fn with_noise(mut self, noise: f32) -> Self {
        self.noise = noise;
        self
    }

    /// The person called `name`; the same name is the same person, at any time and in any `ScriptedVision` that
    /// was told the names in the same order.
    pub fn person(&mut self, name: &str) -> Face {
        let person = self.names.iter().position(|known| known == name).unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.names.len() - 1
        });
        assert!(person < LEVELS * LEVELS, "there are colours for 196 people");
        Face { person, shot: 0 }
    }

    /// A person whose direction has the cosine `similarity` with that of `like`.
    pub fn lookalike(&mut self, name: &str, like: Face, similarity: f32) -> Face {
        let face = self.person(name);
        self.near.insert(face.person, (like.person, similarity));
        face
    }

    /// From now on the quality gate refuses this very shot for `reason`.
    pub fn refuse(&mut self, face: Face, reason: QualityReason) {
        self.bad.insert((face.person, face.shot), reason);
    }

    /// From now on every call of `model` ("detector" or "embedder") fails.
    pub fn break_model(&mut self, model: &'static str) {
        self.fails = Some(model);
    }

    pub fn calls(&self) -> Arc<Calls> {
        Arc::clone(&self.calls)
    }

    /// The embedding of one face as `embed` gives it.
    pub fn embedding(&self, face: Face) -> Embedding {
        let dimension = self.facts.dimension;
        let noise = noise_of(&format!("shot {} {}", self.name(face.person), face.shot), dimension);
        let values = self.direction(face.person).into_iter().zip(noise).map(|(d, n)| d + self.noise * n);
        Embedding::from_raw(values.collect()).expect("a direction and noise do not cancel out")
    }

    fn name(&self, person: usize) -> &str {
        self.names.get(person).map_or("nobody registered", String::as_str)
    }

    fn direction(&self, person: usize) -> Vec<f32> {
        let own = noise_of(&format!("person {}", self.name(person)), self.facts.dimension);
        let Some((like, similarity)) = self.near.get(&person) else { return own };
        let like = self.direction(*like);
        let along: f32 = own.iter().zip(&like).map(|(a, b)| a * b).sum();
        let across = Embedding::from_raw(own.iter().zip(&like).map(|(o, l)| o - along * l).collect())
            .expect("two names hash to different directions");
        let rest = (1.0 - similarity * similarity).sqrt();
        like.iter().zip(across.values()).map(|(l, a)| similarity * l + rest * a).collect()
    }

    fn fail_if_broken(&self, model: &'static str) -> Result<(), VisionError> {
        match self.fails {
            Some(broken) if broken == model => Err(VisionError::Inference { model, cause: "scripted".to_owned() }),
            _ => Ok(()),
        }
    }
}

impl Vision for ScriptedVision {
    fn pack(&self) -> &PackFacts {
        &self.facts
    }

    /// One detection for each face colour in the picture: the box around its pixels, largest first.
    fn detect(&mut self, picture: &RgbImage) -> Result<Vec<Detection>, VisionError> {
        self.calls.detect.fetch_add(1, Ordering::Relaxed);
        self.fail_if_broken("detector")?;
        let mut boxes: BTreeMap<Face, BoundingBox> = BTreeMap::new();
        for (x, y, pixel) in picture.enumerate_pixels() {
            let Some(face) = Face::read(*pixel) else { continue };
            let (x, y) = (x as f32, y as f32);
            let found = boxes.entry(face).or_insert(BoundingBox { x1: x, y1: y, x2: x, y2: y });
            found.x1 = found.x1.min(x);
            found.x2 = found.x2.max(x + 1.0);
            found.y2 = found.y2.max(y + 1.0);
        }
        // Edges that JPEG or scaling smeared are no faces.
        boxes.retain(|_, b| b.width() >= 4.0 && b.height() >= 4.0);
        let mut found: Vec<Detection> = boxes.into_values().map(|bounds| self.detection(bounds)).collect();
        found.sort_by(|a, b| b.bounds.area().total_cmp(&a.bounds.area()));
        Ok(found)
    }

    fn quality(&self, _picture: &RgbImage, _detection: &Detection, chip: &FaceChip) -> Quality {
        let face = face_of(chip);
        let reason = face.and_then(|face| self.bad.get(&(face.person, face.shot)));
        Quality { score: 0.9, reasons: reason.copied().into_iter().collect() }
    }

    fn embed(&mut self, chips: &[FaceChip]) -> Result<Vec<Embedding>, VisionError> {
        self.calls.embed.fetch_add(1, Ordering::Relaxed);
        self.calls.chips.fetch_add(chips.len(), Ordering::Relaxed);
        self.fail_if_broken("embedder")?;
        chips
            .iter()
            .map(|chip| {
                let face = face_of(chip).ok_or_else(|| VisionError::UnexpectedOutput {
                    model: "embedder",
                    got: "a chip without a scripted face".to_owned(),
                    expected: "a face colour in its middle".to_owned(),
                })?;
                Ok(self.embedding(face))
            })
            .collect()
    }
}

impl ScriptedVision {
    fn detection(&self, bounds: BoundingBox) -> Detection {
        let side = self.facts.layout.side as f32;
        let landmarks = self
            .facts
            .layout
            .points
            .map(|p| Point { x: bounds.x1 + p.x / side * bounds.width(), y: bounds.y1 + p.y / side * bounds.height() });
        Detection { bounds, landmarks: Landmarks(landmarks), confidence: 0.95 }
    }
}

/// Black with a rectangle for each face; later ones lie on top.
pub fn picture(width: u32, height: u32, faces: &[(Face, BoundingBox)]) -> RgbImage {
    let mut image = RgbImage::new(width, height);
    for (face, b) in faces {
        for (x, y, pixel) in image.enumerate_pixels_mut() {
            let (x, y) = (x as f32, y as f32);
            if x >= b.x1 && x < b.x2 && y >= b.y1 && y < b.y2 {
                *pixel = face.colour();
            }
        }
    }
    image
}

/// A square box with its top left corner at (`x`, `y`).
pub fn square(x: f32, y: f32, side: f32) -> BoundingBox {
    BoundingBox { x1: x, y1: y, x2: x + side, y2: y + side }
}

/// A photo file (PNG) of one face in the middle.
pub fn photo(face: Face) -> Vec<u8> {
    png(&picture(96, 96, &[(face, square(24.0, 24.0, 48.0))]))
}

pub fn png(image: &RgbImage) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    image.write_to(&mut file, image::ImageFormat::Png).expect("memory takes a PNG");
    file.into_inner()
}

/// A table with one acceptance point for every size: 0.5 at FPIR 0.01, 0.4 at FPIR 0.1.
pub fn default_thresholds() -> ThresholdTable {
    let row = |fpir, threshold| ThresholdRow { fpir, gallery: 1, templates: 1, shots: 1, threshold };
    ThresholdTable::new(vec![row(0.01, 0.5), row(0.1, 0.4)], "scripted".to_owned()).expect("the rows are valid")
}

fn face_of(chip: &FaceChip) -> Option<Face> {
    Face::read(*chip.image.get_pixel(chip.image.width() / 2, chip.image.height() / 2))
}

/// A unit vector that depends on `seed` alone: FNV-1a into SplitMix64, twelve uniform values a normal one.
fn noise_of(seed: &str, dimension: usize) -> Vec<f32> {
    let mut state =
        seed.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, b| (hash ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
    let mut uniform = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 24) as f32
    };
    let raw: Vec<f32> = (0..dimension).map(|_| (0..12).map(|_| uniform()).sum::<f32>() - 6.0).collect();
    Embedding::from_raw(raw).expect("random values are not all zero").values().to_vec()
}
