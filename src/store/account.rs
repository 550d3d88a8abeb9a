//! Whose the data folder is: files made for another account become that account's at once.
//!
//! What is wrong with a folder that is there already is `snova check`'s to say.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::Path;

use super::error::StoreError;

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

/// Gives a file just made to the owner of the folder that it lies in.
pub(super) fn hand_over(file: &File, dir: &Path) -> io::Result<()> {
    let (folder, made) = (fs::metadata(dir)?, file.metadata()?);
    if folder.uid() == made.uid() { Ok(()) } else { fchown(file, Some(folder.uid()), Some(folder.gid())) }
}

fn this_user() -> u32 {
    // SAFETY: it takes nothing and always succeeds.
    unsafe { libc::geteuid() }
}
