//! Overwriting what erasures left in the files: copies, remains between rows, and the log.
//!
//! Deleted rows leave bytes behind: in the log, and, rarely, on pages between which SQLite moved rows earlier;
//! `secure_delete` does not reach those. So the file is rewritten and the log emptied, which `super::vfs` makes an overwriting
//! on the disk. Blocks that the disk itself keeps out of reach (wear levelling) need the encrypting vault; backups are their owner's.

use std::sync::atomic::Ordering;
use std::time::Duration;

use rusqlite::{Connection, params};

use super::error::{Fault, StoreError};
use super::{Store, copies, lock, spare};

pub(super) const TRACES_LEFT: &str = "erased rows still have traces in the database files; will be tried again";

/// How long a reader in the way is waited for. Nobody can write meanwhile, so the rest is for the next time.
const PATIENCE: Duration = Duration::from_millis(250);

/// What a scrub did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Scrubbed {
    pub whole: bool,
    pub copies: usize,
}

impl Store {
    /// Overwrites what erasures left in the files, if any is due; `true` when nothing is left. Rewrites the
    /// whole file in one transaction: needs as much memory and disk for that moment as it is long, and others write after it.
    /// Costs one row when nothing is due.
    pub fn scrub(&self) -> Result<bool, StoreError> {
        self.scrub_all().map(|scrubbed| scrubbed.whole)
    }

    pub(super) fn scrub_all(&self) -> Result<Scrubbed, StoreError> {
        let (erasures, scrubbed) = self.read(|tx| {
            let mut statement = tx.prepare_cached("SELECT erasures, scrubbed FROM upkeep")?;
            Ok(statement.query_row([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?)
        })?;
        if scrubbed >= erasures {
            return Ok(Scrubbed { whole: true, copies: 0 });
        }
        let copies = copies::destroy_all(self.dir())?;
        let mut writer = lock(&self.writer);
        let at = |fault: Fault| fault.at(&self.path);
        // Once for these erasures, however often the log cannot be emptied: each time it would grow by the whole file.
        let rewritten = if self.rewritten.load(Ordering::Relaxed) < erasures {
            writer.execute_batch("VACUUM").map(|()| self.rewritten.fetch_max(erasures, Ordering::Relaxed))
        } else {
            Ok(erasures)
        };
        // On a full disk the file cannot be rewritten; the log, which has nearly all of it, can be emptied.
        let emptied = self.empty_log(&writer).map_err(at)?;
        rewritten.map_err(|error| at(error.into()))?;
        if emptied {
            self.write_on(&mut writer, |tx| {
                tx.execute("UPDATE upkeep SET scrubbed = max(scrubbed, ?1)", params![erasures])?;
                Ok(())
            })?;
            // Pages that were read before the erasure.
            writer.execute_batch("PRAGMA shrink_memory").map_err(|error| at(error.into()))?;
            drop(writer);
            lock(&self.reader).execute_batch("PRAGMA shrink_memory").map_err(|error| at(error.into()))?;
        }
        Ok(Scrubbed { whole: emptied, copies })
    }

    /// Moves the log into the file and empties it; `false` when a reader is in the way.
    fn empty_log(&self, connection: &Connection) -> Result<bool, Fault> {
        connection.busy_timeout(PATIENCE.min(self.busy_timeout))?;
        let busy = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, bool>(0));
        connection.busy_timeout(self.busy_timeout)?;
        Ok(!busy?)
    }

    /// Sets room apart on the disk, so that a full one can still forget; more as the database grows. Nothing where
    /// the disk has little left.
    pub fn keep_spare(&self) -> Result<(), StoreError> {
        let length = std::fs::metadata(&self.path).map_or(0, |file| file.len());
        spare::keep(self.dir(), length).map_err(|cause| super::error::folder_error(self.dir(), cause))
    }
}
