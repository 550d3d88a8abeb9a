//! The box's one database, `snova.db`: customers, consents, templates, visits, outbox, secrets; the only SQL of the
//! house.
//!
//! What is personal is sealed by `crate::vault` before it is written; how, and what of it is secret, stands there. Delivering the outbox and searching the
//! templates are not here. All calls block: run them off the async runtime's threads.

mod connection;
mod consents;
pub mod copies;
mod customers;
mod delivery;
mod erasure;
mod error;
mod gaps;
mod heap;
mod identifiers;
mod links;
mod main_file;
mod outbox;
mod owner;
mod rows;
mod scrub;
mod secrets;
mod space;
mod spare;
mod tombstone;
mod vfs;
mod visits;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::vault::{DeviceKey, Found, Seal};
pub use copies::{Copy, set_aside};
pub use customers::NewCustomer;
pub use delivery::{Claimed, Conclusion, DeadLetter, Task};
pub use erasure::Erasure;
use error::Fault;
pub use error::StoreError;
pub use identifiers::KeptIdentifier;
pub use links::{KeptCard, Link, SyncState};
pub use outbox::OutboxStatus;
pub use space::free_bytes;
pub use spare::SPARE_FILE;
pub use tombstone::{SentRecord, Tombstone};
pub use visits::{Visit, VisitRecord, VisitVerdict};

/// The database's file name inside the data folder.
pub const FILE_NAME: &str = "snova.db";

/// Where the database lies and how large it may grow.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// The data folder; made if missing, for Snova's user only.
    pub dir: PathBuf,
    /// The most bytes `snova.db` may have, without its log; beyond it writes fail with [`StoreError::DiskFull`].
    pub max_bytes: Option<u64>,
    /// How long a call waits for another program's write before [`StoreError::Busy`].
    pub busy_timeout: Duration,
    /// Whether what is cut off the files is overwritten first. Always; without it the test of the raw disk shows what it is for.
    #[doc(hidden)]
    pub overwrite: bool,
}

impl StoreConfig {
    /// The database in `dir`, without a limit, waiting 5 s for other programs.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), max_bytes: None, busy_timeout: Duration::from_secs(5), overwrite: true }
    }
}

/// The open database. One connection writes, one reads; several processes may have it open at once.
/// Every write is one transaction, on the disk when the call returns.
pub struct Store {
    path: PathBuf,
    seal: Seal,
    key: DeviceKey,
    writer: Mutex<Connection>,
    reader: Mutex<Connection>,
    busy_timeout: Duration,
    /// Copies of before this start.
    old_copies: Vec<PathBuf>,
}

impl Store {
    /// Opens the database, making folder, file and device key at the first time, and bringing one of an older
    /// Snova up to date. Ends an erasure that a power cut or another program's reading kept from being complete.
    pub fn open(config: &StoreConfig, seal: Seal) -> Result<Self, StoreError> {
        connection::refuse_old_sqlite(rusqlite::version_number(), rusqlite::version())?;
        let path = connection::prepare_file(&config.dir)?;
        let at = |fault: Fault| fault.at(&path);
        let old_copies = copies::paths(&config.dir)?;
        let connect = || {
            let writer = connection::open_writer(&path, config).map_err(at)?;
            Ok::<_, StoreError>((writer, connection::open_reader(&path, config).map_err(at)?))
        };
        let (writer, reader) = match connect() {
            // The log's index alone may not fit on a full disk.
            Err(error) if error.lacks_room() && spare::give_some(&config.dir) => connect(),
            connected => connected,
        }?;
        // After the database: a folder that is not ours gets no key.
        let Found { key, is_new } = DeviceKey::find_or_make(&config.dir)?;
        let store = Self {
            path,
            seal,
            key,
            writer: Mutex::new(writer),
            reader: Mutex::new(reader),
            busy_timeout: config.busy_timeout,
            old_copies,
        };
        if is_new && store.read(holds_sealed_values)? {
            tracing::warn!(
                "the device key was missing and a new one was made: cards, phones and secrets given before do not open; \
                 put device.key back from a copy, or give them again"
            );
        }
        if let Err(error) = store.scrub() {
            tracing::warn!(%error, "{}", scrub::TRACES_LEFT);
        }
        if let Err(error) = store.keep_spare() {
            tracing::warn!(%error, "no room is kept back for erasures on a full disk");
        }
        Ok(store)
    }

    fn dir(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }

    /// The database file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A number that changes whenever customers, consents or templates changed, in this process or another;
    /// visits do not move it. Costs one row; a service asks it every second or so, calls [`Store::templates`]
    /// anew when it moved, and [`Store::scrub`] beside it.
    pub fn change_stamp(&self) -> Result<u64, StoreError> {
        self.read(|tx| {
            let stamp: i64 = tx.prepare_cached("SELECT gallery FROM upkeep")?.query_row([], |row| row.get(0))?;
            Ok(stamp.unsigned_abs())
        })
    }

    /// Reads the whole database and checks it: pages, references, seals. Takes seconds for a large one.
    pub fn verify(&self) -> Result<(), StoreError> {
        let damage = self.read(connection::first_damage)?;
        if let Some(what) = damage {
            return Err(StoreError::Damaged { path: self.path.clone(), what });
        }
        self.read(|tx| {
            customers::open_every_seal(tx, self.seal)?;
            identifiers::open_every_seal(tx, &self.key)?;
            secrets::open_every_seal(tx, &self.key)
        })
    }

    /// Runs `work` in one transaction that is either whole on the disk or not there at all.
    fn write<T>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T, Fault>) -> Result<T, StoreError> {
        self.write_on(&mut lock(&self.writer), work)
    }

    fn write_on<T>(
        &self,
        writer: &mut Connection,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        let run = || {
            // Immediate: waiting for another writer happens here, never in the middle.
            let tx = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let outcome = work(&tx)?;
            tx.commit()?;
            Ok(outcome)
        };
        run().map_err(|fault: Fault| fault.at(&self.path))
    }

    /// Runs `work` on one unchanging view of the database.
    fn read<T>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T, Fault>) -> Result<T, StoreError> {
        let mut reader = lock(&self.reader);
        let run = || {
            let tx = reader.transaction_with_behavior(TransactionBehavior::Deferred)?;
            work(&tx)
        };
        run().map_err(|fault: Fault| fault.at(&self.path))
    }
}

fn holds_sealed_values(tx: &Transaction<'_>) -> Result<bool, Fault> {
    let any = "SELECT EXISTS (SELECT 1 FROM identifiers) OR EXISTS (SELECT 1 FROM secrets)";
    Ok(tx.query_row(any, [], |row| row.get(0))?)
}

/// A panic in another thread rolled its transaction back; the connection is as good as before.
fn lock(connection: &Mutex<Connection>) -> MutexGuard<'_, Connection> {
    connection.lock().unwrap_or_else(PoisonError::into_inner)
}
