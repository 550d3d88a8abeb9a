//! Opening the database file: folder, permissions, pragmas, schema, and the refusals that go with them.
//!
//! What is asked of an open database is in the sibling files.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use super::error::{Fault, StoreError, folder_error};
use super::{FILE_NAME, StoreConfig, account, copies, vfs};

/// "Snva": tells `file(1)`, and us, whose database it is.
const APPLICATION_ID: i64 = 0x536e_7661;
const SCHEMA_VERSION: i64 = 4;
const SCHEMA: &str = include_str!("schema.sql");
/// The steps from each older version to the next, the first one from version 1.
const STEPS: [&str; SCHEMA_VERSION as usize - 1] =
    [include_str!("schema_2.sql"), include_str!("schema_3.sql"), include_str!("schema_4.sql")];

/// Releases before this may corrupt a database in WAL mode when two connections write and checkpoint at once.
const OLDEST_SQLITE: i32 = 3_051_003;

/// SQLite's own limit of a file's pages.
const MOST_PAGES: i64 = 4_294_967_294;

pub(super) fn refuse_old_sqlite(number: i32, text: &str) -> Result<(), StoreError> {
    if number < OLDEST_SQLITE {
        return Err(StoreError::OldSqlite { found: text.to_owned(), needed: "3.51.3" });
    }
    Ok(())
}

/// Makes folder (0700) and file (0600) where missing, and closes what others may look into.
pub(super) fn prepare_file(dir: &Path) -> Result<PathBuf, StoreError> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|cause| folder_error(dir, cause))?;
    let path = dir.join(FILE_NAME);
    let private = || -> io::Result<()> {
        // A file that is there is never opened here: closing it again would drop the locks that another
        // connection of this process has on it (fcntl(2)).
        match OpenOptions::new().create_new(true).write(true).mode(0o600).open(&path) {
            // Nobody has it open yet, so that closing it drops no lock.
            Ok(file) => return account::hand_over(dir, &file),
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Err(_) => {}
        }
        Ok(())
    };
    account::close_to_others(dir)?;
    private().map_err(|cause| folder_error(&path, cause))?;
    Ok(path)
}

/// The one writing connection. No byte is changed in a file that is not ours. `may_be_new`: an empty file is made a
/// database, where otherwise it is one that was lost.
pub(super) fn open_writer(path: &Path, config: &StoreConfig, may_be_new: bool) -> Result<Connection, Fault> {
    // Openings take turns, so that nobody meets a database half made. Released when the folder is closed.
    let folder = File::open(&config.dir).and_then(|folder| folder.lock().map(|()| folder));
    let _turn = folder.map_err(|cause| folder_error(&config.dir, cause))?;
    let mut connection = open(path, config)?;
    let found = found_version(&connection, path)?;
    if found.is_none() && !may_be_new {
        return Err(StoreError::Lost { path: path.to_owned() }.into());
    }
    if connection.is_readonly("main")? {
        return Err(StoreError::ReadOnly { path: path.to_owned() }.into());
    }
    let mode: String = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        return Err(StoreError::ReadOnly { path: path.to_owned() }.into());
    }
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "secure_delete", true)?;
    // Before the limit: a full box must be able to update.
    if let Some(version) = found.filter(|version| *version < SCHEMA_VERSION) {
        copies::before_migration(&connection, &config.dir)?;
        migrate(&mut connection, version)?;
    }
    if let Some(max_bytes) = config.max_bytes {
        let page: u64 = connection.pragma_query_value(None, "page_size", |row| row.get::<_, i64>(0))?.unsigned_abs();
        let pages = i64::try_from(max_bytes / page.max(1)).unwrap_or(MOST_PAGES);
        set_limit(&connection, pages.clamp(1, MOST_PAGES))?;
    }
    if found.is_none() {
        create_tables(&mut connection)?;
    }
    Ok(connection)
}

/// Lets the file grow freely and returns the limit that held, in pages.
pub(super) fn lift_limit(connection: &Connection) -> Result<i64, Fault> {
    let limit = connection.pragma_query_value(None, "max_page_count", |row| row.get(0))?;
    set_limit(connection, MOST_PAGES)?;
    Ok(limit)
}

/// Bounds the file; one that is larger already just grows no more.
pub(super) fn set_limit(connection: &Connection, pages: i64) -> Result<(), Fault> {
    Ok(connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?)
}

/// A connection for one look, with nothing in its cache: what it reads is what lies in the file now.
pub(super) fn open_look(path: &Path) -> Result<Connection, Fault> {
    let connection = Connection::open_with_flags_and_vfs(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        vfs::NAME,
    )?;
    connection.busy_timeout(Duration::from_secs(1))?;
    connection.pragma_update(None, "mmap_size", 0)?;
    Ok(connection)
}

/// The reading connection: it cannot write even by mistake.
pub(super) fn open_reader(path: &Path, config: &StoreConfig) -> Result<Connection, Fault> {
    let connection = open(path, config)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

fn open(path: &Path, config: &StoreConfig) -> Result<Connection, Fault> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if !vfs::register() {
        let cause = "its file layer cannot be added".to_owned();
        return Err(StoreError::Internal { path: path.to_owned(), cause }.into());
    }
    let connection = if config.overwrite {
        Connection::open_with_flags_and_vfs(path, flags, vfs::NAME)?
    } else {
        Connection::open_with_flags(path, flags)?
    };
    connection.busy_timeout(config.busy_timeout)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "mmap_size", 0)?;
    // Nothing of a customer goes to a temporary file outside the data folder.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    Ok(connection)
}

/// The schema's version; `None` for an empty file to be made ours. An error when it is another's or a newer Snova's.
fn found_version(connection: &Connection, path: &Path) -> Result<Option<i64>, Fault> {
    let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let (application, version) = (number("application_id")?, number("user_version")?);
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    match (application, version, tables) {
        (0, 0, 0) => Ok(None),
        (APPLICATION_ID, 1..=SCHEMA_VERSION, _) => Ok(Some(version)),
        (APPLICATION_ID, found, _) if found > SCHEMA_VERSION => {
            Err(StoreError::NewerSchema { path: path.to_owned(), found, known: SCHEMA_VERSION }.into())
        }
        _ => Err(StoreError::Foreign { path: path.to_owned() }.into()),
    }
}

/// Brings an older database up to the present version, or leaves it as it was.
fn migrate(connection: &mut Connection, from: i64) -> Result<(), Fault> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for (step, to) in STEPS.iter().zip(2..).skip_while(|(_, to)| *to <= from) {
        tx.execute_batch(step)?;
        tracing::info!(version = to, "the database was brought up to date");
    }
    tx.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    tx.commit()?;
    Ok(())
}

/// All tables and both marks, or none of them.
fn create_tables(connection: &mut Connection) -> Result<(), Fault> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    tx.execute_batch(SCHEMA)?;
    tx.pragma_update(None, "application_id", APPLICATION_ID)?;
    tx.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    tx.commit()?;
    Ok(())
}

/// The first thing SQLite finds wrong with the pages; quicker than [`first_damage`], indices are not compared.
pub(super) fn broken_page(tx: &Transaction<'_>) -> Result<Option<String>, Fault> {
    let verdict: String = tx.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    Ok((verdict != "ok").then(|| verdict.replace('\n', " ")))
}

/// The first thing SQLite finds wrong with pages, indices or references.
pub(super) fn first_damage(tx: &Transaction<'_>) -> Result<Option<String>, Fault> {
    let verdict: String = tx.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if verdict != "ok" {
        return Ok(Some(verdict.replace('\n', " ")));
    }
    let mut dangling = tx.prepare("PRAGMA foreign_key_check")?;
    let mut rows = dangling.query([])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let (table, parent): (String, String) = (row.get(0)?, row.get(2)?);
    Ok(Some(format!("a row of {table} refers to a missing row of {parent}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_sqlite_with_the_wal_reset_fault_is_refused() {
        let refused = refuse_old_sqlite(3_051_002, "3.51.2").expect_err("3.51.2 has the fault");
        assert!(refused.to_string().contains("3.51.2") && refused.to_string().contains("3.51.3"), "{refused}");
        assert!(refuse_old_sqlite(3_051_003, "3.51.3").is_ok());
    }

    #[test]
    fn the_sqlite_that_is_built_in_is_new_enough() {
        assert!(refuse_old_sqlite(rusqlite::version_number(), rusqlite::version()).is_ok());
    }
}
