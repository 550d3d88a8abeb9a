//! Copies that the product itself puts aside: of a damaged database, before it is touched.

use std::io;
use std::path::{Path, PathBuf};

/// Copies the file at `path` beside itself, once a `reason`; gives where, or `None` if there is one already.
pub(super) fn set_aside(path: &Path, reason: &str) -> io::Result<Option<PathBuf>> {
    let copy = path.with_extension(format!("db.{reason}"));
    if copy.try_exists()? {
        return Ok(None);
    }
    std::fs::copy(path, &copy)?;
    Ok(Some(copy))
}
