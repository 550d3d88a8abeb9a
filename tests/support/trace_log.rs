//! The log of the whole test process at its most talkative level, in a file that can be searched.
//!
//! What is searched for, and where else, is `support/traces.rs`.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

/// Everything the process says goes to this file, at the level `trace`.
pub fn log_file() -> PathBuf {
    static LOG: std::sync::OnceLock<tempfile::TempDir> = std::sync::OnceLock::new();
    let dir = LOG.get_or_init(|| {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let file = Arc::new(File::create(dir.path().join("snova.log")).expect("the log is made"));
        snova::telemetry::init_logging("trace", file).expect("logging is not set up yet");
        dir
    });
    dir.path().join("snova.log")
}
