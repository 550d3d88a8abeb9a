//! The box's one database, `snova.db`: customers, consents, templates, visits, facts and their deliveries, the ledger, secrets; the only SQL of the
//! house.
//!
//! What is personal is sealed by `crate::vault` before it is written; how, and what of it is secret, stands there. Delivering the outbox and searching the
//! templates are not here. All calls block: run them off the async runtime's threads.

mod account;
mod amendments;
mod canary;
mod cards;
mod connection;
mod consents;
pub mod copies;
mod customers;
mod day;
mod debts;
mod delivery;
mod erasure;
mod error;
mod gaps;
mod heap;
mod held;
mod identifiers;
mod lane;
mod ledger;
mod left;
mod letters;
mod links;
mod main_file;
mod outbox;
mod receipts;
mod retention;
mod roster;
mod rows;
mod scrub;
mod secrets;
mod soundness;
mod space;
mod spare;
mod targets;
mod told;
mod tombstone;
mod upkeep;
mod vfs;
mod visits;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::vault::{DeviceKey, KEY_FILE, Seal};
pub use account::other_owner;
pub use canary::KeyState;
pub use cards::KeptCard;
pub use copies::{Copy, set_aside};
pub use customers::NewCustomer;
pub use day::{DayVisit, VisitState};
pub use debts::Debt;
pub use delivery::{Ask, Claimed, Conclusion, Task};
pub use erasure::Erasure;
use error::Fault;
pub use error::StoreError;
pub use identifiers::KeptIdentifier;
pub use lane::Lane;
pub use ledger::SentRecord;
pub use left::{LeftVisit, SeenAt};
pub use letters::DeadLetter;
pub use links::{Link, Unclear, Why};
pub use outbox::OutboxStatus;
pub use receipts::Payer;
pub use roster::{Known, Roster, RosterChange, RosterRead, RosterRow, RosterStamp};
pub use soundness::UnreadableRow;
pub use space::free_bytes;
pub use spare::SPARE_FILE;
pub use targets::{SyncState, TargetId};
pub use told::DueTold;
pub use tombstone::Tombstone;
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
    /// The file that was opened, by device and number.
    file: Option<(u64, u64)>,
    writer: Mutex<Connection>,
    reader: Mutex<Connection>,
    busy_timeout: Duration,
    /// Copies of before this start.
    old_copies: Vec<PathBuf>,
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
        let old_copies = copies::paths(&config.dir)?;
        let connect = || {
            let writer = connection::open_writer(&path, config, may_be_new).map_err(at)?;
            Ok::<_, StoreError>((writer, connection::open_reader(&path, config).map_err(at)?))
        };
        let (writer, reader) = match connect() {
            // The log's index alone may not fit on a full disk.
            Err(error) if error.lacks_room() && spare::give_some(&config.dir) => connect(),
            connected => connected,
        }?;
        let file = soundness::file_of(&path);
        let store = Self {
            path,
            seal,
            key: DeviceKey::absent(),
            file,
            writer: Mutex::new(writer),
            reader: Mutex::new(reader),
            busy_timeout: config.busy_timeout,
            old_copies,
        };
        // After the database: a folder that is not ours gets no key.
        store.settle_key()?;
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

    /// This box's own id, minted once and never changed: it travels with every event, so that a centre which hears of many
    /// boxes can tell them apart.
    pub fn box_id(&self, now: jiff::Timestamp) -> Result<uuid::Uuid, StoreError> {
        let kept = |tx: &Transaction<'_>| -> Result<Option<[u8; 16]>, Fault> {
            Ok(tx.query_row("SELECT box FROM upkeep", [], |row| row.get(0))?)
        };
        if let Some(id) = self.read(kept)? {
            return Ok(uuid::Uuid::from_bytes(id));
        }
        let minted = crate::clock::mint_at(now).into_bytes();
        self.write(|tx| {
            tx.execute("UPDATE upkeep SET box = coalesce(box, ?1)", [minted])?;
            Ok(uuid::Uuid::from_bytes(kept(tx)?.unwrap_or(minted)))
        })
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
