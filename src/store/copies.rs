//! Copies of the database that Snova itself makes: of a damaged file, and before a migration. Listed, reached by every
//! erasure, and gone after the next healthy start or 14 days.
//!
//! A copy is `snova.db.REASON-TIME`, with its log beside it as `…-wal`. What the owner copies is the owner's.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use rusqlite::Connection;

use super::error::{Fault, StoreError, folder_error};
use super::main_file::MainFile;
use super::space::free_bytes;
use super::{FILE_NAME, Store, account, lock, vfs};

/// A copy that no healthy start has ended is gone after this time all the same.
pub const COPIES_LAST: Duration = Duration::from_secs(14 * 24 * 3600);

/// A copy of the database.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Copy {
    pub path: PathBuf,
    pub bytes: u64,
    pub made_at: SystemTime,
}

impl Store {
    /// The copies that Snova has made and that are still there, oldest name first.
    pub fn copies(&self) -> Result<Vec<Copy>, StoreError> {
        list(self.dir())
    }

    /// Puts a copy of the file aside as it lies on the disk, log and all; `reason` becomes part of its name.
    pub fn set_aside(&self, reason: &str) -> Result<PathBuf, StoreError> {
        // No write of ours falls between the file and its log.
        let writer = lock(&self.writer);
        let made = set_aside_by(self.dir(), reason, |into| MainFile::of(&writer)?.copy_to(into));
        made.map_err(|cause| folder_error(&self.path, cause))
    }

    /// Ends the copies whose time has come; those of before this start go once the database is found whole. Reads all
    /// of it then. Returns how many went.
    pub fn tidy_copies(&self, now: Timestamp) -> Result<usize, StoreError> {
        let old = |copy: &Copy| {
            let made = Timestamp::try_from(copy.made_at).ok();
            made.is_some_and(|made| Duration::try_from(now.duration_since(made)).is_ok_and(|age| age > COPIES_LAST))
        };
        let (mut gone, mut left) = with_logs(self.dir())?.into_iter().partition::<Vec<_>, _>(old);
        left.retain(|copy| self.old_copies.contains(&copy.path));
        if !left.is_empty() && self.verify().is_ok() {
            gone.append(&mut left);
        }
        destroy(&gone).map_err(|cause| folder_error(self.dir(), cause))
    }
}

/// Puts a copy aside of a database that could not be opened; never beside an open [`Store`] of this process, whose locks
/// the reading would drop (fcntl(2)).
pub fn set_aside(dir: &Path, reason: &str) -> Result<PathBuf, StoreError> {
    let read = |into: &mut File| io::copy(&mut File::open(dir.join(FILE_NAME))?, into).map(drop);
    set_aside_by(dir, reason, read).map_err(|cause| folder_error(&dir.join(FILE_NAME), cause))
}

/// A whole copy of an open database, made by SQLite; none where there is no room for one.
pub(super) fn before_migration(connection: &Connection, dir: &Path) -> Result<(), Fault> {
    let at = |cause| Fault::from(folder_error(dir, cause));
    let bytes = fs::metadata(dir.join(FILE_NAME)).map_err(at)?.len();
    if free_bytes(dir).map_err(at)? < bytes.saturating_mul(3) {
        tracing::warn!("no room for a copy of the database before it is brought up to date");
        return Ok(());
    }
    let (path, file) = begin(dir, "before-update").map_err(at)?;
    drop(file);
    let text = path.to_str().ok_or(Fault::Row("the data folder's name is not text"))?;
    let made = connection.execute("VACUUM INTO ?1", [text]);
    let synced = made.map_err(Fault::from).and_then(|_| File::open(&path).and_then(|f| f.sync_all()).map_err(at));
    if let Err(fault) = synced {
        // Half a copy is none.
        destroy(&with_logs(dir)?.into_iter().filter(|copy| copy.path == path).collect::<Vec<_>>()).map_err(at)?;
        return Err(fault);
    }
    Ok(())
}

/// Overwrites and deletes every copy in the folder; how many there were.
pub(super) fn destroy_all(dir: &Path) -> Result<usize, StoreError> {
    destroy(&with_logs(dir)?).map_err(|cause| folder_error(dir, cause))
}

fn destroy(copies: &[Copy]) -> io::Result<usize> {
    for copy in copies {
        vfs::overwrite(&copy.path)?;
        fs::remove_file(&copy.path)?;
    }
    if let Some(dir) = copies.first().and_then(|copy| copy.path.parent()) {
        File::open(dir)?.sync_all()?;
    }
    Ok(copies.iter().filter(|copy| !is_log(&copy.path)).count())
}

/// The copies in a data folder.
pub fn list(dir: &Path) -> Result<Vec<Copy>, StoreError> {
    let mut copies = with_logs(dir)?;
    copies.retain(|copy| !is_log(&copy.path));
    Ok(copies)
}

/// The files of all copies.
pub(super) fn paths(dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    Ok(with_logs(dir)?.into_iter().map(|copy| copy.path).collect())
}

/// The copies in a data folder, and their logs, each a file.
fn with_logs(dir: &Path) -> Result<Vec<Copy>, StoreError> {
    let at = |cause| folder_error(dir, cause);
    let mut copies = Vec::new();
    for entry in fs::read_dir(dir).map_err(at)? {
        let entry = entry.map_err(at)?;
        let name = entry.file_name();
        if name.to_str().and_then(|name| name.strip_prefix(FILE_NAME)).is_some_and(|rest| rest.starts_with('.')) {
            let file = entry.metadata().map_err(at)?;
            copies.push(Copy { path: entry.path(), bytes: file.len(), made_at: file.modified().map_err(at)? });
        }
    }
    copies.sort();
    Ok(copies)
}

fn belongs_to(path: &Path, copy: &Copy) -> bool {
    copy.path.as_os_str().as_bytes().starts_with(path.as_os_str().as_bytes())
}

fn is_log(path: &Path) -> bool {
    path.to_str().is_some_and(|path| path.ends_with("-wal"))
}

/// An empty copy under a name that is not taken; its time is the one the file system gave it.
fn begin(dir: &Path, reason: &str) -> io::Result<(PathBuf, File)> {
    let new = |path: &Path| OpenOptions::new().create_new(true).write(true).mode(0o600).open(path);
    let first = dir.join(format!("{FILE_NAME}.{reason}-now"));
    let file = new(&first)?;
    account::hand_over(dir, &file)?;
    let made = Timestamp::try_from(file.metadata()?.modified()?).map_err(io::Error::other)?;
    let path = dir.join(format!("{FILE_NAME}.{reason}-{}", made.strftime("%Y%m%dT%H%M%S%3fZ")));
    fs::rename(&first, &path)?;
    Ok((path, file))
}

fn set_aside_by(dir: &Path, reason: &str, read: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<PathBuf> {
    let (path, mut file) = begin(dir, reason)?;
    let copied = read(&mut file).and_then(|()| file.flush()).and_then(|()| file.sync_all()).and_then(|()| {
        // Locks lie on the database and the log's index, never on the log.
        let log = dir.join(format!("{FILE_NAME}-wal"));
        if fs::metadata(&log).map_or(0, |log| log.len()) == 0 {
            return Ok(());
        }
        let mut beside = path.clone().into_os_string();
        beside.push("-wal");
        let mut beside = OpenOptions::new().create_new(true).write(true).mode(0o600).open(beside)?;
        account::hand_over(dir, &beside)?;
        io::copy(&mut File::open(log)?, &mut beside)?;
        beside.sync_all()
    });
    match copied.and_then(|()| File::open(dir)?.sync_all()) {
        Ok(()) => {
            tracing::warn!(path = %path.display(), "a copy of the database was put aside");
            Ok(path)
        }
        Err(error) => {
            // A copy that is not whole helps nobody, and holds people all the same.
            let half = with_logs(dir).map_err(io::Error::other)?;
            destroy(&half.into_iter().filter(|copy| belongs_to(&path, copy)).collect::<Vec<_>>())?;
            Err(error)
        }
    }
}
