//! Loads ONNX Runtime, once per process.
//!
//! Opening models with it is `super::pack`'s; obtaining the library is `crate::setup`'s.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use ort::environment::Environment;

/// The file that `snova setup` installs.
pub const LIBRARY: &str = "libonnxruntime.so.1.31.1";

/// Why ONNX Runtime could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    #[error("ONNX Runtime is missing, looked at {}; run `snova setup`", list(.0))]
    Missing(Vec<PathBuf>),
    #[error("{path} cannot be used as ONNX Runtime: {cause}; run `snova setup`", path = .path.display())]
    Unusable { path: PathBuf, cause: String },
    #[error("ONNX Runtime is not loaded yet")]
    NotLoaded,
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" and ")
}

/// Dropping the last handle would tear ONNX Runtime down under living sessions: this one lives for ever.
static ENVIRONMENT: OnceLock<Environment> = OnceLock::new();
static LOADING: Mutex<()> = Mutex::new(());

/// Loads the library at `path`: the file itself, or the folder that `snova setup` put it into.
///
/// The first success counts for the whole process; later calls change nothing and succeed.
pub fn load(path: &Path) -> Result<(), RuntimeError> {
    let _one_at_a_time = LOADING.lock().unwrap_or_else(PoisonError::into_inner);
    if ENVIRONMENT.get().is_some() {
        return Ok(());
    }
    let library = locate(path)?;
    warn_of_a_slow_processor();
    let unusable = |cause: String| RuntimeError::Unusable { path: library.clone(), cause: one_line(&cause) };
    let environment = ort::init_from(&library)
        .map_err(|error| unusable(error.to_string()))?
        .with_name("snova")
        .with_telemetry(false)
        .build()
        .map_err(|error| unusable(error.to_string()))?;
    let _ = ENVIRONMENT.set(environment);
    Ok(())
}

/// What sessions are opened in. Outside of this room only benchmarks need it, to time the bare graphs.
pub fn environment() -> Result<&'static Environment, RuntimeError> {
    ENVIRONMENT.get().ok_or(RuntimeError::NotLoaded)
}

fn locate(path: &Path) -> Result<PathBuf, RuntimeError> {
    let is_named_like_one = path.to_string_lossy().contains(".so");
    let looked_at = match (path.is_dir(), is_named_like_one) {
        (true, _) => vec![path.join(LIBRARY)],
        (false, true) => vec![path.to_owned()],
        (false, false) => vec![path.to_owned(), path.join(LIBRARY)],
    };
    // The loader would look for a relative path beside the executable first.
    match looked_at.iter().find(|file| file.is_file()).map(std::path::absolute) {
        Some(Ok(file)) => Ok(file),
        _ => Err(RuntimeError::Missing(looked_at)),
    }
}

fn warn_of_a_slow_processor() {
    #[cfg(target_arch = "x86_64")]
    if !std::is_x86_feature_detected!("avx2") {
        tracing::warn!("this processor has no AVX2: recognition works, but several times slower");
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_library_is_said_with_the_places_and_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let text = locate(&folder.path().join("runtime")).unwrap_err().to_string();
        assert!(text.contains("runtime and ") && text.contains(LIBRARY) && text.contains("`snova setup`"), "{text}");
        let text = locate(folder.path()).unwrap_err().to_string();
        assert!(text.contains(LIBRARY) && !text.contains(" and "), "{text}");
        let text = locate(&folder.path().join(LIBRARY)).unwrap_err().to_string();
        assert_eq!(text.matches(LIBRARY).count(), 1, "{text}");
    }

    #[test]
    fn library_is_found_by_its_folder_and_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(LIBRARY);
        std::fs::write(&file, b"x").unwrap();
        assert_eq!(locate(folder.path()).unwrap(), file);
        assert_eq!(locate(&file).unwrap(), file);
    }
}
