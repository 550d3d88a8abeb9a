//! Whose the data folder is, and who may look into it: Snova's user alone. Files made for another account become that
//! account's at once; what others may read is closed, where it is ours to close.
//!
//! What else is wrong with a folder that is there already is `snova check`'s to say.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::Path;

use super::error::{StoreError, folder_error};

const OTHERS: u32 = 0o077;
const OTHERS_WRITE: u32 = 0o022;
/// A folder like /tmp, which belongs to everybody.
const SHARED: u32 = 0o1000;

/// Closes the folder and Snova's files in it to everybody else. A folder that holds other things too is left as it is:
/// refused where others may write into it, since they could put another database there; used where they may only look,
/// since each file of Snova's is closed by itself.
pub(super) fn close_to_others(dir: &Path) -> Result<(), StoreError> {
    let at = |cause| folder_error(dir, cause);
    let folder = fs::metadata(dir).map_err(at)?;
    if folder.mode() & OTHERS != 0 {
        let is_shared = folder.mode() & SHARED != 0 || !holds_nothing_else(dir).map_err(at)?;
        let closed = !is_shared && fs::set_permissions(dir, Permissions::from_mode(0o700)).is_ok();
        if !closed && folder.mode() & OTHERS_WRITE != 0 {
            return Err(StoreError::OpenFolder { path: dir.to_owned(), mode: folder.mode() & 0o7777 });
        }
        if closed {
            tracing::warn!(path = %dir.display(), "others could look into the data folder; it is closed to them now");
        }
    }
    for entry in fs::read_dir(dir).map_err(at)?.flatten() {
        let name = entry.file_name();
        // The device key says itself what is wrong with it: whoever could read it may have a copy.
        let is_ours = name.to_str().is_some_and(|name| name.starts_with("snova."));
        let Ok(file) = entry.metadata() else { continue };
        if is_ours && file.is_file() && file.mode() & OTHERS != 0 {
            let path = entry.path();
            fs::set_permissions(&path, Permissions::from_mode(0o600)).map_err(|cause| folder_error(&path, cause))?;
        }
    }
    Ok(())
}

/// Whether everything in the folder is of Snova, so that nobody else needs to get in.
fn holds_nothing_else(dir: &Path) -> io::Result<bool> {
    let ours = |name: &str| name.starts_with("snova.") || name.starts_with("device.key") || name == "lost+found";
    let mut entries = fs::read_dir(dir)?;
    entries.try_fold(true, |all, entry| Ok(all && entry?.file_name().to_str().is_some_and(ours)))
}

/// A file that root makes in another user's data folder is that user's.
pub(super) fn hand_over(dir: &Path, file: &File) -> io::Result<()> {
    let (folder, made) = (fs::metadata(dir)?, file.metadata()?);
    if (folder.uid(), folder.gid()) != (made.uid(), made.gid()) && made.uid() == 0 {
        fchown(file, Some(folder.uid()), Some(folder.gid()))?;
    }
    Ok(())
}

/// The user whom `dir` belongs to, if that is not who runs this.
pub fn other_owner(dir: &Path) -> Option<u32> {
    let owner = fs::metadata(dir).ok()?.uid();
    (owner != this_user()).then_some(owner)
}

/// Refuses another user's folder; root may use it, and leaves nothing of its own there.
pub(super) fn refuse_others(dir: &Path) -> Result<(), StoreError> {
    match other_owner(dir) {
        Some(owner) if this_user() != 0 => {
            Err(StoreError::OtherOwner { path: dir.to_owned(), owner, user: this_user() })
        }
        _ => Ok(()),
    }
}

fn this_user() -> u32 {
    // SAFETY: it takes nothing and always succeeds.
    unsafe { libc::geteuid() }
}
