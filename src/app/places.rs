//! Where the runtime library, the model packs and the sample media are found on this machine.
//!
//! Order: what the configuration names, then what a package installs, then what `snova setup` fills.

use std::path::{Path, PathBuf};

use crate::vision::runtime::LIBRARY;

/// What a package of Snova installs.
const INSTALLED: &str = "/usr/lib/snova";

const LIBRARY_REMEDY: &str = "run `snova setup`, or set library in [runtime]";
const PACK_REMEDY: &str = "run `snova setup`, or set pack and packs_dir in [runtime]";

/// The files that recognition needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    pub library: PathBuf,
    /// The folder of the pack in use.
    pub pack: PathBuf,
}

/// What was looked for in vain.
#[derive(Debug, thiserror::Error)]
#[error("{what} was not found; looked in {}; {remedy}", list(.looked_in))]
pub struct Unfound {
    what: String,
    remedy: &'static str,
    looked_in: Vec<PathBuf>,
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ")
}

impl Places {
    /// Finds the library and the pack `name`. A configured path is taken at its word: a wrong one is an
    /// error, never silently passed over.
    pub fn find(library: Option<&Path>, packs: Option<&Path>, name: &str) -> Result<Self, Unfound> {
        let library = match library {
            Some(library) => library.to_owned(),
            None => {
                first(roots().map(|root| root.join("runtime").join(LIBRARY)), "ONNX Runtime's library", LIBRARY_REMEDY)?
            }
        };
        let candidates: Vec<PathBuf> = match packs {
            Some(packs) => vec![packs.join(name)],
            None => pack_folders().map(|packs| packs.join(name)).collect(),
        };
        let manifests = candidates.into_iter().map(|pack| pack.join("pack.toml"));
        let manifest = first(manifests, &format!("the model pack \"{name}\""), PACK_REMEDY)?;
        let pack = manifest.parent().unwrap_or(&manifest).to_owned();
        Ok(Self { library, pack })
    }

    /// The folders that hold packs, in the order of looking.
    pub fn packs(packs: Option<&Path>) -> Vec<PathBuf> {
        packs.map_or_else(|| pack_folders().filter(|p| p.is_dir()).collect(), |packs| vec![packs.to_owned()])
    }

    /// The folder of the sample pictures for scenes.
    pub fn media() -> Result<PathBuf, Unfound> {
        first(roots().map(|root| root.join("media")), "the folder of sample pictures", "run `snova setup`")
    }
}

fn pack_folders() -> impl Iterator<Item = PathBuf> {
    roots().map(|root| root.join("packs"))
}

/// The installed folder, then `models/.cache` here and beside the program's own checkout.
fn roots() -> impl Iterator<Item = PathBuf> {
    let program = std::env::current_exe().unwrap_or_default();
    let beside: Vec<PathBuf> =
        program.ancestors().skip(1).take(4).map(|dir| dir.join(crate::setup::DEFAULT_DIR)).collect();
    [PathBuf::from(INSTALLED), PathBuf::from(crate::setup::DEFAULT_DIR)].into_iter().chain(beside)
}

fn first(paths: impl Iterator<Item = PathBuf>, what: &str, remedy: &'static str) -> Result<PathBuf, Unfound> {
    let mut looked_in = Vec::new();
    for path in paths {
        if path.exists() {
            return Ok(path);
        }
        looked_in.push(path);
    }
    Err(Unfound { what: what.to_owned(), remedy, looked_in })
}
