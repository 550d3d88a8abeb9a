//! How much room the disk under the data folder has.
//!
//! The database's own limit is in `super::connection`.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Bytes that Snova's user may still write on the file system that holds `dir`.
pub fn free_bytes(dir: &Path) -> io::Result<u64> {
    let dir = CString::new(dir.as_os_str().as_bytes())?;
    // SAFETY: `statvfs` is plain data that the call fills; the path is a C string that lives through the call.
    let stat = unsafe {
        let mut stat: libc::statvfs = std::mem::zeroed();
        if libc::statvfs(dir.as_ptr(), &raw mut stat) != 0 {
            return Err(io::Error::last_os_error());
        }
        stat
    };
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_room_and_a_missing_one_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        assert!(free_bytes(dir.path()).unwrap() > 0);
        assert_eq!(free_bytes(&dir.path().join("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
