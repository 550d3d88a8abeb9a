//! What can go wrong with the database, in words for the owner of the box.
//!
//! Whether the same call may succeed later is [`StoreError::recovers`]; when it is tried again is the caller's.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;
use uuid::Uuid;

use crate::customer::{ConsentError, CustomerId, IdentifierKind, VisitId};
use crate::vault::{KeyError, VaultError};

/// Why the store did not do what was asked. Nothing was half written. Each text is one line, without names.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("SQLite {found} corrupts databases under load; build Snova with its bundled SQLite, {needed} or newer")]
    OldSqlite { found: String, needed: &'static str },
    #[error("cannot use the data folder {path}: {cause}; let Snova's user write there or configure another one", path = .path.display())]
    Folder { path: PathBuf, cause: io::Error },
    #[error("others may write into the data folder {path} (mode {mode:o}) and it is not Snova's alone; configure a folder of its own, or run `chmod 700` on it", path = .path.display())]
    OpenFolder { path: PathBuf, mode: u32 },
    #[error("the data folder {path} belongs to user {owner}, and this runs as user {user}; run it as its owner, or as root", path = .path.display())]
    OtherOwner { path: PathBuf, owner: u32, user: u32 },
    #[error("the database {path} cannot be written; check the folder's owner and whether the disk is mounted read-only", path = .path.display())]
    ReadOnly { path: PathBuf },
    #[error("no space left for the database {path}; free some space, or raise its limit in the configuration", path = .path.display())]
    DiskFull { path: PathBuf },
    #[error("the disk failed under the database {path} ({cause}); check the disk and the cable", path = .path.display())]
    Disk { path: PathBuf, cause: String },
    #[error("another program holds the database {path}; let it finish or stop it, then try again", path = .path.display())]
    Busy { path: PathBuf },
    #[error("the database {path} is empty or gone, although this box had one: its device key is there; put a copy of the data folder back, or accept the loss with `snova store accept-loss`", path = .path.display())]
    Lost { path: PathBuf },
    #[error("{path} is not a database of Snova; configure an empty data folder or put the right file back", path = .path.display())]
    Foreign { path: PathBuf },
    #[error("the database {path} was made by a newer Snova (schema {found}, this one knows up to {known}); update Snova", path = .path.display())]
    NewerSchema { path: PathBuf, found: i64, known: i64 },
    #[error("the database {path} is damaged ({what}); stop Snova and put a copy of the data folder back", path = .path.display())]
    Damaged { path: PathBuf, what: String },
    #[error("{table} {row}: cannot be read: {cause}")]
    Sealed { table: &'static str, row: Uuid, cause: VaultError },
    #[error("the secret {name} cannot be read: {cause}, or give it again with {}", .name.strip_prefix("camera/").map_or_else(|| format!("`snova crm secret {name}`"), |camera| format!("`snova cameras password {camera}`")))]
    Secret { name: String, cause: VaultError },
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("this {kind} is customer {owner}'s already; take it from them first with `snova customers unlink {owner}`")]
    IdentifierTaken { kind: IdentifierKind, owner: CustomerId },
    #[error("this contact of the CRM is customer {owner}'s already; unlink them first with `snova crm unlink {owner}`")]
    ContactTaken { owner: CustomerId },
    #[error("there is no customer {0}; look the id up with `snova customers list`")]
    UnknownCustomer(CustomerId),
    #[error("customer {0} is already enrolled; erase them first or enrol under a new id")]
    CustomerExists(CustomerId),
    #[error("customer {customer}: {cause}")]
    Consent { customer: CustomerId, cause: ConsentError },
    #[error("there is no visit {0}; its customer may have been erased since")]
    UnknownVisit(VisitId),
    #[error("visit {0} is already recorded with other content; record this one under a new id")]
    VisitConflict(VisitId),
    #[error("visit {0} began more than 7 days ago; correct its record in the CRM by hand")]
    OldVisit(VisitId),
    #[error("the database {path} refused a statement ({cause}); report this as a fault of Snova", path = .path.display())]
    Internal { path: PathBuf, cause: String },
}

impl StoreError {
    /// Whether the same call may succeed later. Only what the words of the request itself refuse is refused for good:
    /// a disk comes back, a key and a damaged file are put right by a person, and what was shown must wait for that.
    pub fn recovers(&self) -> bool {
        match self {
            Self::Consent { .. }
            | Self::UnknownCustomer(_)
            | Self::CustomerExists(_)
            | Self::IdentifierTaken { .. }
            | Self::ContactTaken { .. }
            | Self::UnknownVisit(_)
            | Self::VisitConflict(_)
            | Self::OldVisit(_) => false,
            Self::OldSqlite { .. }
            | Self::OtherOwner { .. }
            | Self::Lost { .. }
            | Self::Folder { .. }
            | Self::OpenFolder { .. }
            | Self::ReadOnly { .. }
            | Self::DiskFull { .. }
            | Self::Disk { .. }
            | Self::Busy { .. }
            | Self::Foreign { .. }
            | Self::NewerSchema { .. }
            | Self::Damaged { .. }
            | Self::Sealed { .. }
            | Self::Secret { .. }
            | Self::Key(_)
            | Self::Internal { .. } => true,
        }
    }

    /// Whether a person must look at the database: it, or the disk under it, is not what it should be. A full disk, a
    /// lock and a mount without the right to write are told in their own words.
    pub fn is_unreadable(&self) -> bool {
        matches!(
            self,
            Self::Damaged { .. }
                | Self::Foreign { .. }
                | Self::Disk { .. }
                | Self::Internal { .. }
                | Self::Sealed { .. }
        )
    }

    /// Whether it may be for want of room that it failed.
    pub(super) fn lacks_room(&self) -> bool {
        matches!(self, Self::DiskFull { .. } | Self::Disk { .. })
    }

    /// Whether the file itself is damaged or cannot be read; what was asked has nothing to do with it.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::Foreign { .. } | Self::Disk { .. })
    }
}

/// What a step inside a transaction runs into, before it is known which file it was.
pub(super) enum Fault {
    Said(StoreError),
    Sql(rusqlite::Error),
    /// A row that this code cannot have written.
    Row(&'static str),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Said(error)
    }
}

impl Fault {
    /// Whether one row is at fault, so that the others can be read all the same.
    pub(super) fn is_of_one_row(&self) -> bool {
        match self {
            Self::Said(error) => matches!(error, StoreError::Sealed { .. }),
            Self::Row(_) => true,
            Self::Sql(error) => matches!(
                error,
                rusqlite::Error::FromSqlConversionFailure(..)
                    | rusqlite::Error::InvalidColumnType(..)
                    | rusqlite::Error::IntegralValueOutOfRange(..)
            ),
        }
    }

    /// The fault in the owner's words; `path` is the database file.
    pub(super) fn at(self, path: &Path) -> StoreError {
        let path = path.to_owned();
        let error = match self {
            Self::Said(error) => return error,
            Self::Row(what) => return StoreError::Damaged { path, what: what.to_owned() },
            Self::Sql(error) => error,
        };
        let cause = error.to_string().replace('\n', " ");
        match error {
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::IntegralValueOutOfRange(..) => StoreError::Damaged { path, what: cause },
            error => match error.sqlite_error_code() {
                Some(ErrorCode::DiskFull) => StoreError::DiskFull { path },
                Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                    StoreError::ReadOnly { path }
                }
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed) => {
                    StoreError::Busy { path }
                }
                Some(ErrorCode::NotADatabase) => StoreError::Foreign { path },
                Some(ErrorCode::DatabaseCorrupt) => StoreError::Damaged { path, what: cause },
                Some(ErrorCode::SystemIoFailure) => StoreError::Disk { path, cause },
                _ => StoreError::Internal { path, cause },
            },
        }
    }
}

/// A failure of the file system around the database file.
pub(super) fn folder_error(path: &Path, cause: io::Error) -> StoreError {
    match cause.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::DiskFull { path: path.to_owned() },
        _ => StoreError::Folder { path: path.to_owned(), cause },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_error() -> Vec<(StoreError, bool)> {
        let (path, id) = (PathBuf::from("snova.db"), Uuid::from_u128(7));
        let (customer, said) = (CustomerId(id), || "words".to_owned());
        let io = || io::Error::other("words");
        vec![
            (StoreError::OldSqlite { found: said(), needed: "3" }, true),
            (StoreError::Folder { path: path.clone(), cause: io() }, true),
            (StoreError::ReadOnly { path: path.clone() }, true),
            (StoreError::DiskFull { path: path.clone() }, true),
            (StoreError::Disk { path: path.clone(), cause: said() }, true),
            (StoreError::Busy { path: path.clone() }, true),
            (StoreError::Foreign { path: path.clone() }, true),
            (StoreError::NewerSchema { path: path.clone(), found: 9, known: 4 }, true),
            (StoreError::Damaged { path: path.clone(), what: said() }, true),
            (StoreError::Sealed { table: "customers", row: id, cause: VaultError::Broken }, true),
            (StoreError::Secret { name: said(), cause: VaultError::Broken }, true),
            (StoreError::Internal { path, cause: said() }, true),
            (StoreError::IdentifierTaken { kind: IdentifierKind::Card, owner: customer }, false),
            (StoreError::ContactTaken { owner: customer }, false),
            (StoreError::UnknownCustomer(customer), false),
            (StoreError::CustomerExists(customer), false),
            (StoreError::Consent { customer, cause: ConsentError::Withdrawn }, false),
            (StoreError::UnknownVisit(VisitId(id)), false),
            (StoreError::VisitConflict(VisitId(id)), false),
            (StoreError::OldVisit(VisitId(id)), false),
        ]
    }

    #[test]
    fn only_what_the_request_itself_refuses_is_refused_for_good() {
        for (error, recovers) in every_error() {
            assert_eq!(error.recovers(), recovers, "{error}");
            assert!(!error.is_unreadable() || recovers, "{error}");
        }
    }

    fn at(code: i32) -> StoreError {
        Fault::Sql(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None)).at(Path::new("snova.db"))
    }

    #[test]
    fn a_disk_that_fails_and_a_damaged_file_are_damage_and_a_full_or_busy_one_is_not() {
        use rusqlite::ffi;
        for code in [ffi::SQLITE_IOERR_READ, ffi::SQLITE_IOERR_SHORT_READ, ffi::SQLITE_CORRUPT, ffi::SQLITE_NOTADB] {
            assert!(at(code).is_damage(), "{code}: {}", at(code));
        }
        for code in [ffi::SQLITE_FULL, ffi::SQLITE_BUSY, ffi::SQLITE_READONLY] {
            assert!(!at(code).is_damage(), "{code}: {}", at(code));
        }
    }
}
