//! Overwriting what erasures left in the files: copies, remains between rows, and the log.
//!
//! Deleted rows leave bytes behind: in the log, and, rarely, on pages between which SQLite moved rows earlier;
//! `secure_delete` does not reach those. So the log is emptied, which `super::vfs` makes an overwriting on the disk, and
//! `super::gaps` clears the pages. Blocks that the disk itself keeps out of reach (wear levelling) need the encrypting vault;
//! backups are their owner's.

use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior, params};

use super::error::{Fault, StoreError, folder_error};
use super::{Store, copies, gaps, lock, spare};

pub(super) const TRACES_LEFT: &str = "erased rows still have traces in the database files; will be tried again";

/// How long a reader in the way is waited for. Nobody can write meanwhile, so the rest is for the next time.
const PATIENCE: Duration = Duration::from_millis(250);

/// How often it is tried in a row, where a reader is in the way or somebody writes between two steps: when somebody waits for the
/// erasure, and when it is looked after now and then.
pub(super) const AT_ONCE: usize = 6;
const NOW_AND_THEN: usize = 2;

/// What a scrub did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Scrubbed {
    pub whole: bool,
    pub copies: usize,
}

impl Store {
    /// Overwrites what erasures left in the files, if any is due; `true` when nothing is left. Reads the whole
    /// file, while others may read and not write. Costs one row when nothing is due.
    pub fn scrub(&self) -> Result<bool, StoreError> {
        self.scrub_all(NOW_AND_THEN).map(|scrubbed| scrubbed.whole)
    }

    pub(super) fn scrub_all(&self, tries: usize) -> Result<Scrubbed, StoreError> {
        let (erasures, scrubbed) = self.read(|tx| {
            let mut statement = tx.prepare_cached("SELECT erasures, scrubbed FROM upkeep")?;
            Ok(statement.query_row([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?)
        })?;
        if scrubbed >= erasures {
            return Ok(Scrubbed { whole: true, copies: 0 });
        }
        let copies = copies::destroy_all(self.dir())?;
        let mut writer = lock(&self.writer);
        for _ in 0..tries {
            let at = |fault: Fault| fault.at(&self.path);
            if self.empty_log(&writer).map_err(at)? && self.clear(&mut writer, erasures).map_err(at)? {
                drop(writer);
                // Pages that were read before the erasure.
                lock(&self.reader).execute_batch("PRAGMA shrink_memory").map_err(|error| at(error.into()))?;
                return Ok(Scrubbed { whole: true, copies });
            }
        }
        Ok(Scrubbed { whole: false, copies })
    }

    /// Clears the pages and notes it, in one transaction, so that nobody writes back what they read before; `false` when
    /// somebody has written since the log was emptied.
    fn clear(&self, writer: &mut Connection, erasures: i64) -> Result<bool, Fault> {
        let page_size = writer.pragma_query_value(None, "page_size", |row| row.get::<_, u32>(0))?;
        let tx = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let log = self.dir().join(format!("{}-wal", super::FILE_NAME));
        if std::fs::metadata(log).is_ok_and(|log| log.len() > 0) {
            return Ok(false);
        }
        gaps::clear(&tx, page_size as usize).map_err(|cause| folder_error(&self.path, cause))?;
        // A change that other connections see: they forget the pages that they have in memory.
        tx.execute("UPDATE upkeep SET scrubbed = max(scrubbed, ?1)", params![erasures])?;
        tx.commit()?;
        writer.execute_batch("PRAGMA shrink_memory")?;
        Ok(true)
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
        spare::keep(self.dir(), length).map_err(|cause| folder_error(self.dir(), cause))
    }
}
