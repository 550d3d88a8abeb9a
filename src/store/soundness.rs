//! Whether the database can still be read: looks that go past every cache to the file, and the rows that do not open.
//!
//! Who looks how often, and who is told, is `crate::app`'s.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rusqlite::{Connection, Transaction, TransactionBehavior};
use uuid::Uuid;

use super::error::{Fault, StoreError};
use super::{FILE_NAME, Seal, Store, StoreConfig, connection, customers};
use crate::customer::CustomerId;

/// A row that cannot be read though the others can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnreadableRow {
    pub table: &'static str,
    pub row: Uuid,
    pub customer: CustomerId,
}

impl Store {
    /// Makes a new, empty database where one was lost: the owner knows it. The device key stays.
    pub fn accept_lost_database(config: &StoreConfig, seal: Seal) -> Result<(), StoreError> {
        let path = config.dir.join(FILE_NAME);
        // Logs of the one that is gone would be taken for the new one's.
        for end in ["", "-wal", "-shm"] {
            let file = config.dir.join(format!("{FILE_NAME}{end}"));
            match fs::remove_file(&file) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(cause) => return Err(StoreError::Folder { path, cause }),
            }
        }
        Self::open_as(config, seal, true).map(drop)
    }

    /// Whether the file that was opened is gone from its place, or empty.
    pub fn is_lost(&self) -> bool {
        is_empty(&self.path) || self.file != file_of(&self.path)
    }

    /// A cheap look at the file itself: its first page, its schema, one small table.
    pub fn look(&self) -> Result<(), StoreError> {
        self.look_by(|tx| {
            let _: i64 = tx.query_row("SELECT gallery FROM upkeep", [], |row| row.get(0))?;
            let _: i64 = tx.query_row("SELECT count(*) FROM customers", [], |row| row.get(0))?;
            Ok(())
        })
    }

    /// Looks at every page, then opens every seal; gives the rows that cannot be read.
    pub fn look_closely(&self) -> Result<Vec<UnreadableRow>, StoreError> {
        self.look_by(|tx| {
            if let Some(what) = connection::broken_page(tx)? {
                return Err(StoreError::Damaged { path: self.path.clone(), what }.into());
            }
            customers::unreadable_rows(tx, self.seal)
        })
    }

    /// Rows of customers and templates that do not open.
    pub fn unreadable_rows(&self) -> Result<Vec<UnreadableRow>, StoreError> {
        self.read(|tx| customers::unreadable_rows(tx, self.seal))
    }

    fn look_by<T>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T, Fault>) -> Result<T, StoreError> {
        let run = || {
            let mut fresh: Connection = connection::open_look(&self.path)?;
            let tx = fresh.transaction_with_behavior(TransactionBehavior::Deferred)?;
            work(&tx)
        };
        run().map_err(|fault: Fault| fault.at(&self.path))
    }
}

/// Whether there is nothing at `path`. What cannot be looked at is not known to be gone.
pub(super) fn is_empty(path: &Path) -> bool {
    match fs::metadata(path) {
        Ok(facts) => facts.len() == 0,
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

pub(super) fn file_of(path: &Path) -> Option<(u64, u64)> {
    fs::metadata(path).ok().map(|facts| (facts.dev(), facts.ino()))
}
