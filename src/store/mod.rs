//! The box's one database, `snova.db`: customers, consents, templates, visits, outbox, secrets; the only SQL of the
//! house.
//!
//! What is personal is sealed by `crate::vault` before it is written; how, and what of it is secret, stands there. Delivering the outbox and searching the
//! templates are not here. All calls block: run them off the async runtime's threads.

mod account;
mod canary;
mod connection;
mod consents;
mod copies;
mod customers;
mod delivery;
mod erasure;
mod error;
mod identifiers;
mod left;
mod links;
mod outbox;
mod roster;
mod rows;
mod secrets;
mod soundness;
mod space;
mod tombstone;
mod visits;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::vault::{DeviceKey, KEY_FILE, Seal};
pub use account::other_owner;
pub use canary::KeyState;
pub use customers::NewCustomer;
pub use delivery::{Claimed, Conclusion, DeadLetter, Task};
pub use erasure::Erasure;
use error::Fault;
pub use error::StoreError;
pub use identifiers::KeptIdentifier;
pub use left::{LeftVisit, SeenAt};
pub use links::{KeptCard, Link, SyncState};
pub use outbox::OutboxStatus;
pub use roster::{Known, Roster, RosterChange, RosterRead, RosterRow, RosterStamp};
pub use soundness::UnreadableRow;
pub use space::free_bytes;
pub use tombstone::{SentRecord, Tombstone};
pub use visits::{Visit, VisitRecord, VisitVerdict};
pub use writer::{VisitWrite, WriteQueue, Writer, Written, visit_writer};

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
}

impl StoreConfig {
    /// The database in `dir`, without a limit, waiting 5 s for other programs.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), max_bytes: None, busy_timeout: Duration::from_secs(5) }
    }
}

/// The open database. One connection writes, one reads; several processes may have it open at once.
/// Every write is one transaction, on the disk when the call returns.
pub struct Store {
    path: PathBuf,
    seal: Seal,
    key: DeviceKey,
    /// The file that was opened, by device and number.
    file: Option<(u64, u64)>,
    writer: Mutex<Connection>,
    reader: Mutex<Connection>,
}

impl Store {
    /// Opens the database, making folder, file and device key at the first time, and bringing one of an older
    /// Snova up to date. A file that is empty or gone beside a device key was lost, and is not made anew. Without the key
    /// that its values are sealed with it opens all the same: see [`Store::key_state`]. Ends an erasure that a power cut or another program's reading kept from being complete.
    pub fn open(config: &StoreConfig, seal: Seal) -> Result<Self, StoreError> {
        account::refuse_others(&config.dir)?;
        // Made after the first database: where it is, there was one.
        let is_first = !config.dir.join(KEY_FILE).try_exists().unwrap_or(true);
        Self::open_as(config, seal, is_first)
    }

    /// As [`Store::open`]; an empty or missing file is made a database only if it `may_be_new`.
    fn open_as(config: &StoreConfig, seal: Seal, may_be_new: bool) -> Result<Self, StoreError> {
        connection::refuse_old_sqlite(rusqlite::version_number(), rusqlite::version())?;
        if !may_be_new && soundness::is_empty(&config.dir.join(FILE_NAME)) {
            return Err(StoreError::Lost { path: config.dir.join(FILE_NAME) });
        }
        let path = connection::prepare_file(&config.dir)?;
        let at = |fault: Fault| fault.at(&path);
        let writer = connection::open_writer(&path, config, may_be_new).map_err(at)?;
        let reader = connection::open_reader(&path, config).map_err(at)?;
        let file = soundness::file_of(&path);
        let (writer, reader) = (Mutex::new(writer), Mutex::new(reader));
        let store = Self { path, seal, key: DeviceKey::absent(), file, writer, reader };
        // After the database: a folder that is not ours gets no key.
        store.settle_key()?;
        if let Err(error) = store.scrub() {
            tracing::warn!(%error, "{}", erasure::TRACES_LEFT);
        }
        Ok(store)
    }

    /// The database file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A number that changes whenever customers, their consents, identifiers, templates or CRM's cards changed, in this
    /// process or another; visits do not move it. Costs one row. What changed is [`Store::read_roster`]'s.
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

/// A panic in another thread rolled its transaction back; the connection is as good as before.
fn lock(connection: &Mutex<Connection>) -> MutexGuard<'_, Connection> {
    connection.lock().unwrap_or_else(PoisonError::into_inner)
}
