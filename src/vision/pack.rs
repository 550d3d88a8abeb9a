//! Opening a model pack: manifest, licence, hashes and graphs are compared, and any difference refuses it.
//!
//! The manifest's form is `vision::manifest`'s; fetching weights is `crate::setup`'s.

use std::path::{Path, PathBuf};

use ndarray::Array4;
use ort::session::Session;
use ort::session::builder::GraphOptimizationLevel;
use ort::value::ValueType;
use sha2::{Digest, Sha256};

use super::manifest::{ManifestError, PackManifest, Source};
use super::onnx::{Detector, Embedder, OnnxVision};
use super::quality::QualityConfig;
use super::runtime::{self, RuntimeError};
use super::{PackFacts, heads};
use crate::face::{ChipLayout, Point, ThresholdRow, ThresholdTable};

/// How a pack is run.
#[derive(Clone, Debug)]
pub struct VisionConfig {
    /// ONNX Runtime threads a session, at least 1.
    pub threads: usize,
    /// Longest side in pixels at which pictures are searched for faces.
    pub detect_long_side: u32,
    /// Accept weights whose licence forbids commercial use: for evaluation only.
    pub allow_noncommercial: bool,
    pub quality: QualityConfig,
}

impl Default for VisionConfig {
    fn default() -> Self {
        Self { threads: 2, detect_long_side: 480, allow_noncommercial: false, quality: QualityConfig::default() }
    }
}

/// Why a pack was refused. Each text is one line: what, on what, what to do.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    #[error("the manifest {manifest} says {what}; restore it from the release", manifest = .manifest.display())]
    Nonsense { manifest: PathBuf, what: String },
    #[error(
        "the licence of pack \"{pack}\" ({licence}) forbids commercial use; choose another pack, or set allow_noncommercial = true in [runtime] for evaluation only"
    )]
    NonCommercial { pack: String, licence: String },
    #[error("the weights {path} are missing; {remedy}", path = .path.display())]
    Missing { path: PathBuf, remedy: String },
    #[error("the weights {path} have sha256 {got}, the manifest says {expected}; {remedy}", path = .path.display())]
    WrongHash { path: PathBuf, got: String, expected: String, remedy: String },
    #[error("the graph {path} does not match its manifest: {what}; restore both from the release", path = .path.display())]
    GraphDiffers { path: PathBuf, what: String },
    #[error("the graph {path} cannot be loaded: {cause}; run `snova models verify`", path = .path.display())]
    Unloadable { path: PathBuf, cause: String },
}

/// Opens the pack in `dir`, whose weights lie beside its `pack.toml`, on the runtime library `library`.
pub fn open(dir: &Path, library: &Path, config: &VisionConfig) -> Result<OnnxVision, PackError> {
    let manifest = PackManifest::read(dir)?;
    check_sense(dir, &manifest)?;
    check_licence(&manifest, config)?;
    let detector_path = dir.join(&manifest.detector.file);
    let embedder_path = dir.join(&manifest.embedder.file);
    let detector = weights(&detector_path, &manifest.detector.sha256, &manifest.detector.source)?;
    let embedder = weights(&embedder_path, &manifest.embedder.sha256, &manifest.embedder.source)?;
    runtime::load(library)?;
    let detector = session(&detector_path, &detector, config.threads)?;
    let embedder = session(&embedder_path, &embedder, config.threads)?;
    check_detector(&detector_path, &detector, &manifest)?;
    check_embedder(&embedder_path, &embedder, &manifest)?;
    Ok(OnnxVision {
        facts: facts(dir, &manifest)?,
        detector: Detector {
            session: detector,
            manifest: manifest.detector,
            long_side: config.detect_long_side,
            tensor: Array4::zeros((1, 3, 0, 0)),
            drawn: (0, 0),
            shrink: None,
            in_graph: Default::default(),
        },
        embedder: Embedder {
            session: embedder,
            tensor: Array4::zeros((1, 3, manifest.embedder.input.side as usize, manifest.embedder.input.side as usize)),
            in_graph: Default::default(),
            manifest: manifest.embedder,
        },
        quality: config.quality.clone(),
    })
}

/// Compares the weights of the pack in `dir` with its manifest, without running them.
pub fn verify_files(dir: &Path) -> Result<PackManifest, PackError> {
    let manifest = PackManifest::read(dir)?;
    check_sense(dir, &manifest)?;
    for (file, sha256, source) in [
        (&manifest.detector.file, &manifest.detector.sha256, &manifest.detector.source),
        (&manifest.embedder.file, &manifest.embedder.sha256, &manifest.embedder.source),
    ] {
        weights(&dir.join(file), sha256, source)?;
    }
    Ok(manifest)
}

fn check_sense(dir: &Path, manifest: &PackManifest) -> Result<(), PackError> {
    let nonsense = |what: String| Err(PackError::Nonsense { manifest: dir.join("pack.toml"), what });
    let (detector, embedder) = (&manifest.detector, &manifest.embedder);
    for file in [&detector.file, &embedder.file] {
        if Path::new(file).components().count() != 1 || file.starts_with('.') {
            return nonsense(format!("file = \"{file}\", which is not a plain file name"));
        }
    }
    let expected = heads::output_count(detector.head);
    if detector.outputs.len() != expected {
        return nonsense(format!("{} detector outputs, its head reads {expected}", detector.outputs.len()));
    }
    if let Some(twice) = detector.outputs.iter().enumerate().find(|(i, name)| detector.outputs[..*i].contains(name)) {
        return nonsense(format!("the detector output \"{}\" twice", twice.1));
    }
    let side = embedder.input.side as f32;
    if embedder.alignment.iter().flatten().any(|at| !(0.0..=side).contains(at)) {
        return nonsense(format!("an alignment point outside the chip of {side} pixels"));
    }
    for format in [&detector.input.pixels, &embedder.input.pixels] {
        if format.std.iter().any(|s| *s <= 0.0 || !s.is_finite()) || format.mean.iter().any(|m| !m.is_finite()) {
            return nonsense("a mean that is not a number or a std that is not positive".to_owned());
        }
    }
    for (key, value) in [("confidence", detector.confidence), ("nms_iou", detector.nms_iou)] {
        if !(value > 0.0 && value < 1.0) {
            return nonsense(format!("{key} = {value}, which must lie between 0 and 1"));
        }
    }
    let sides = detector.input.fixed_size.into_iter().flatten().chain([embedder.input.side]);
    if sides.clone().any(|side| !(32..=4096).contains(&side)) {
        return nonsense("an input side outside 32..4096 pixels".to_owned());
    }
    if !(16..=4096).contains(&embedder.dimension) || !(1..=256).contains(&detector.input.multiple_of) {
        return nonsense("a dimension outside 16..4096 or multiple_of outside 1..256".to_owned());
    }
    Ok(())
}

fn check_licence(manifest: &PackManifest, config: &VisionConfig) -> Result<(), PackError> {
    let licences = [&manifest.detector.licence, &manifest.embedder.licence];
    match licences.into_iter().find(|licence| !licence.commercial_use) {
        Some(licence) if !config.allow_noncommercial => {
            Err(PackError::NonCommercial { pack: manifest.name.clone(), licence: licence.weights.clone() })
        }
        _ => Ok(()),
    }
}

fn weights(path: &Path, expected: &str, source: &Source) -> Result<Vec<u8>, PackError> {
    let remedy = || match source {
        Source::User { what } => format!("put {what} there"),
        Source::Pypi(_) | Source::Npm(_) => "run `snova setup`".to_owned(),
    };
    let bytes = std::fs::read(path).map_err(|_| PackError::Missing { path: path.to_owned(), remedy: remedy() })?;
    let got: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    if got != expected {
        let expected = expected.to_owned();
        return Err(PackError::WrongHash { path: path.to_owned(), got, expected, remedy: remedy() });
    }
    Ok(bytes)
}

fn session(path: &Path, bytes: &[u8], threads: usize) -> Result<Session, PackError> {
    let environment = runtime::environment()?;
    let build = || -> ort::Result<Session> {
        let mut builder = Session::builder(environment)?
            .with_intra_threads(threads)?
            .with_inter_threads(1)?
            // Spinning threads burn the cores that the rest of the box needs between frames.
            .with_intra_op_spinning(false)?
            .with_optimization_level(GraphOptimizationLevel::All)?;
        builder.commit_from_memory(bytes)
    };
    build().map_err(|e| PackError::Unloadable {
        path: path.to_owned(),
        cause: e.to_string().lines().next().unwrap_or_default().to_owned(),
    })
}

fn check_detector(path: &Path, session: &Session, manifest: &PackManifest) -> Result<(), PackError> {
    let input = &manifest.detector.input;
    let (height, width) = match input.fixed_size {
        Some([width, height]) => (i64::from(height), i64::from(width)),
        None => (-1, -1),
    };
    check_input(path, session, &input.name, &[3, height, width])?;
    let given: Vec<&str> = session.outputs().iter().map(|o| o.name()).collect();
    match manifest.detector.outputs.iter().find(|name| !given.contains(&name.as_str())) {
        Some(missing) => differs(path, format!("it has no output \"{missing}\" (it has {})", given.join(", "))),
        None => Ok(()),
    }
}

fn check_embedder(path: &Path, session: &Session, manifest: &PackManifest) -> Result<(), PackError> {
    let side = i64::from(manifest.embedder.input.side);
    check_input(path, session, &manifest.embedder.input.name, &[3, side, side])?;
    let name = &manifest.embedder.output;
    let Some(output) = session.outputs().iter().find(|o| o.name() == name) else {
        return differs(path, format!("it has no output \"{name}\""));
    };
    let last = shape(output.dtype()).and_then(|s| s.last().copied());
    if last != i64::try_from(manifest.embedder.dimension).ok() {
        let dimension = manifest.embedder.dimension;
        return differs(path, format!("its output has {last:?} values, the manifest says {dimension}"));
    }
    Ok(())
}

/// The input must bear this name and, after the batch, these dimensions; -1 is a free one.
fn check_input(path: &Path, session: &Session, name: &str, expected: &[i64]) -> Result<(), PackError> {
    let Some(input) = session.inputs().iter().find(|i| i.name() == name) else {
        let given: Vec<&str> = session.inputs().iter().map(|i| i.name()).collect();
        return differs(path, format!("it has no input \"{name}\" (it has {})", given.join(", ")));
    };
    let given = shape(input.dtype()).unwrap_or_default();
    if given.get(1..) != Some(expected) {
        return differs(path, format!("its input is {given:?}, the manifest says [batch, {expected:?}]"));
    }
    Ok(())
}

fn shape(value: &ValueType) -> Option<Vec<i64>> {
    match value {
        ValueType::Tensor { shape, .. } => Some(shape.to_vec()),
        _ => None,
    }
}

fn differs(path: &Path, what: String) -> Result<(), PackError> {
    Err(PackError::GraphDiffers { path: path.to_owned(), what })
}

fn facts(dir: &Path, manifest: &PackManifest) -> Result<PackFacts, PackError> {
    let points = manifest.embedder.alignment.map(|[x, y]| Point { x, y });
    Ok(PackFacts {
        name: manifest.name.clone(),
        dimension: manifest.embedder.dimension,
        layout: ChipLayout { side: manifest.embedder.input.side, points },
        thresholds: thresholds(dir, manifest)?,
    })
}

fn thresholds(dir: &Path, manifest: &PackManifest) -> Result<ThresholdTable, PackError> {
    let table = &manifest.thresholds;
    if table.rows.is_empty() {
        return Ok(ThresholdTable::uncalibrated());
    }
    let rows = table.rows.iter().map(|r| ThresholdRow {
        fpir: r.fpir,
        gallery: r.gallery,
        templates: r.templates,
        shots: r.shots,
        threshold: r.threshold,
    });
    ThresholdTable::new(rows.collect(), table.evaluation.clone())
        .map_err(|e| PackError::Nonsense { manifest: dir.join("pack.toml"), what: e.to_string() })
}
