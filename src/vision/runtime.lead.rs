//! Loading ONNX Runtime's shared library, once a process, with errors that say what to do.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use ort::environment::Environment;

/// Why the runtime cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    #[error("ONNX Runtime's library {path} is missing; run `snova setup`, or set library in [runtime]", path = .0.display())]
    Missing(PathBuf),
    #[error(
        "{path} cannot be loaded as ONNX Runtime: {cause}; run `snova setup`, or set library in [runtime]", path = .path.display()
    )]
    Unusable { path: PathBuf, cause: String },
}

// The environment lives as long as the process: ONNX Runtime allows one, and sessions need it.
static ENVIRONMENT: OnceLock<Environment> = OnceLock::new();
static LOADING: Mutex<()> = Mutex::new(());

/// Loads the library at `path` and starts ONNX Runtime. Later calls do nothing.
pub fn load(path: &Path) -> Result<(), RuntimeError> {
    let _one_at_a_time = LOADING.lock().unwrap_or_else(PoisonError::into_inner);
    if ENVIRONMENT.get().is_some() {
        return Ok(());
    }
    if !path.is_file() {
        return Err(RuntimeError::Missing(path.to_owned()));
    }
    let unusable = |cause: &dyn std::fmt::Display| RuntimeError::Unusable {
        path: path.to_owned(),
        cause: cause.to_string().lines().next().unwrap_or_default().to_owned(),
    };
    let builder = ort::init_from(path).map_err(|e| unusable(&e))?;
    let environment = builder.with_name("snova").with_telemetry(false).build().map_err(|e| unusable(&e))?;
    // Under the lock nobody else can have set it.
    let _ = ENVIRONMENT.set(environment);
    Ok(())
}

/// The loaded runtime; an error before [`load`].
pub(super) fn environment() -> ort::Result<&'static Environment> {
    ENVIRONMENT.get().ok_or_else(|| ort::Error::new("ONNX Runtime is not loaded"))
}
