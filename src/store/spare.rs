//! Room kept back on the disk, so that a full one can still forget: a file of nothing, given up when an erasure needs it.
//!
//! How much room there is at all is `super::space`'s.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::space::free_bytes;

/// The file's name inside the data folder. Its bytes were never written: they are blocks set apart.
pub const SPARE_FILE: &str = "snova.spare";

const MEGABYTE: u64 = 1 << 20;
/// An erasure of one customer needs some hundred kilobytes of log; rewriting the file needs as much as it is long.
const LEAST: u64 = 4 * MEGABYTE;
const MOST: u64 = 64 * MEGABYTE;
/// So much stays free beside it: the spare must not be what fills the disk.
const BESIDE: u64 = 16 * MEGABYTE;
/// What a start on a full disk may take of it: the index of the log is made anew then.
const FOR_A_START: u64 = MEGABYTE / 2;

/// Makes the spare, or more of it, where there is room for it; as long as the database of `database` bytes, within limits.
pub(super) fn keep(dir: &Path, database: u64) -> io::Result<()> {
    let wanted = (database.next_multiple_of(MEGABYTE) + MEGABYTE).clamp(LEAST, MOST);
    let there = length(dir);
    if there >= wanted || free_bytes(dir)? < wanted - there + BESIDE {
        return Ok(());
    }
    set_apart(dir, wanted)
}

/// Makes it anew as long as it was, whatever stays free beside it: an erasure has just made room.
pub(super) fn take_back(dir: &Path, length: u64) -> io::Result<()> {
    if length == 0 || free_bytes(dir)? < length { Ok(()) } else { set_apart(dir, length) }
}

/// Gives all of it to whoever needs room now, and says how long it was.
pub(super) fn give_up(dir: &Path) -> u64 {
    let there = length(dir);
    if there > 0 && fs::remove_file(dir.join(SPARE_FILE)).is_ok() { there } else { 0 }
}

/// Gives a little of it, for a start on a full disk; `false` when there is none.
pub(super) fn give_some(dir: &Path) -> bool {
    let there = length(dir);
    let shorten = || OpenOptions::new().write(true).open(dir.join(SPARE_FILE))?.set_len(there - there.min(FOR_A_START));
    there > 0 && shorten().is_ok()
}

fn length(dir: &Path) -> u64 {
    fs::metadata(dir.join(SPARE_FILE)).map_or(0, |file| file.len())
}

fn set_apart(dir: &Path, length: u64) -> io::Result<()> {
    let path = dir.join(SPARE_FILE);
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path)?;
    super::account::hand_over(dir, &file)?;
    let before = file.metadata()?.len();
    let apart = allocate(&file, length);
    if apart.is_err() {
        // What was had for it must not be lost to half a spare.
        file.set_len(before)?;
    }
    apart
}

fn allocate(file: &File, length: u64) -> io::Result<()> {
    let length = libc::off_t::try_from(length).map_err(io::Error::other)?;
    // SAFETY: the descriptor is open through the call.
    match unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, length) } {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spare_grows_with_the_database_and_gives_room_back() {
        let dir = tempfile::tempdir().unwrap();
        keep(dir.path(), 100_000).unwrap();
        assert_eq!(length(dir.path()), LEAST);
        keep(dir.path(), 9 * MEGABYTE + 1).unwrap();
        assert_eq!(length(dir.path()), 11 * MEGABYTE);
        keep(dir.path(), 100_000).unwrap();
        assert_eq!(length(dir.path()), 11 * MEGABYTE, "it does not shrink for nothing");
        assert!(give_some(dir.path()));
        assert_eq!(length(dir.path()), 11 * MEGABYTE - FOR_A_START);
        assert_eq!(give_up(dir.path()), 11 * MEGABYTE - FOR_A_START);
        assert!(!dir.path().join(SPARE_FILE).exists() && !give_some(dir.path()) && give_up(dir.path()) == 0);
        take_back(dir.path(), LEAST).unwrap();
        assert_eq!(length(dir.path()), LEAST);
    }
}
