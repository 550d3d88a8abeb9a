//! Whether the device key is the one that this database's values are sealed with: a value that is sealed for this alone.
//!
//! What a key does is `crate::vault`'s. A key that does not fit is never used: nothing is sealed with it.

use rusqlite::{OptionalExtension, Transaction, params};
use uuid::Uuid;

use super::error::{Fault, StoreError};
use super::{Store, identifiers, secrets};
use crate::vault::{DeviceKey, KEY_FILE, KeyError, SealContext};

/// What is known of the device key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    Fine,
    /// Its file is gone, and values are sealed with it.
    Missing,
    /// The file has another key than the one that the values are sealed with.
    Mismatch,
}

const CANARY: SealContext = SealContext { table: "upkeep", column: "canary", row: Uuid::nil() };

impl Store {
    /// Looks at the key's file again. A key that has come back is taken into use.
    pub fn key_state(&self) -> Result<KeyState, StoreError> {
        match DeviceKey::find(self.dir()) {
            Ok(None) => Ok(KeyState::Missing),
            Ok(Some(found)) => {
                let fits = self.read(|tx| fits(tx, &found))?;
                if fits {
                    self.key.become_this(&found);
                }
                Ok(if fits { KeyState::Fine } else { KeyState::Mismatch })
            }
            Err(KeyError::Size { .. }) => Ok(KeyState::Mismatch),
            Err(error) => Err(error.into()),
        }
    }

    /// Finds the key, or makes it where nothing was ever sealed.
    pub(super) fn settle_key(&self) -> Result<KeyState, StoreError> {
        let state = self.key_state()?;
        match state {
            KeyState::Missing if !self.read(holds_sealed_values)? => {
                self.key.become_this(&DeviceKey::find_or_make(self.dir())?.key);
            }
            KeyState::Missing | KeyState::Mismatch => return Ok(state),
            KeyState::Fine => {}
        }
        if self.read(canary)?.is_none() {
            // One that cannot be written now is written at the next opening.
            if let Err(error) = self.put_canary() {
                tracing::debug!(%error, "the device key cannot be marked as this database's");
            }
        }
        Ok(KeyState::Fine)
    }

    /// Gives up what is sealed with a key that is gone for good: cards, phones, e-mail addresses, secrets, cards of the
    /// CRM. The key that is there, or a new one, is this database's from now on. `None` when the key is the right one.
    pub fn accept_lost_key(&self) -> Result<Option<usize>, StoreError> {
        if self.key_state()? == KeyState::Fine {
            return Ok(None);
        }
        let unfit = DeviceKey::find(self.dir());
        if matches!(unfit, Err(KeyError::Size { .. })) {
            let path = self.dir().join(KEY_FILE);
            std::fs::remove_file(&path).map_err(|cause| StoreError::Folder { path, cause })?;
        }
        let given_up = self.write(|tx| {
            let gone = tx.execute("DELETE FROM identifiers", [])? + tx.execute("DELETE FROM secrets", [])?;
            tx.execute("UPDATE crm_links SET sealed = NULL, as_of = NULL WHERE sealed IS NOT NULL", [])?;
            tx.execute("UPDATE upkeep SET canary = NULL, gallery = gallery + 1", [])?;
            Ok(gone)
        })?;
        self.settle_key()?;
        Ok(Some(given_up))
    }

    /// Refuses what would have to be sealed while the right key is not there.
    pub(super) fn need_key(&self) -> Result<(), StoreError> {
        if self.key.is_there() { Ok(()) } else { Err(self.lost_key()) }
    }

    /// What is to be said while the right key is not there.
    pub fn lost_key(&self) -> StoreError {
        KeyError::NotOurs { path: self.dir().join(KEY_FILE) }.into()
    }

    fn put_canary(&self) -> Result<(), StoreError> {
        let sealed = self.key.seal(&CANARY, b"snova");
        let sealed = sealed.map_err(|cause| StoreError::Sealed { table: "upkeep", row: CANARY.row, cause })?;
        self.write(|tx| {
            tx.execute("UPDATE upkeep SET canary = ?1 WHERE canary IS NULL", params![sealed])?;
            Ok(())
        })
    }
}

fn canary(tx: &Transaction<'_>) -> Result<Option<Vec<u8>>, Fault> {
    Ok(tx.query_row("SELECT canary FROM upkeep", [], |row| row.get(0)).optional()?.flatten())
}

/// Whether `key` opens the canary, or, of a database from before there was one, a value that is sealed.
fn fits(tx: &Transaction<'_>, key: &DeviceKey) -> Result<bool, Fault> {
    if let Some(sealed) = canary(tx)? {
        return Ok(key.open(&CANARY, &sealed).is_ok());
    }
    Ok(match (identifiers::first_opens(tx, key)?, secrets::first_opens(tx, key)?) {
        (None, None) => true,
        (one, other) => one == Some(true) || other == Some(true),
    })
}

fn holds_sealed_values(tx: &Transaction<'_>) -> Result<bool, Fault> {
    let any = "SELECT EXISTS (SELECT 1 FROM identifiers) OR EXISTS (SELECT 1 FROM secrets)
        OR EXISTS (SELECT 1 FROM upkeep WHERE canary IS NOT NULL)";
    Ok(tx.query_row(any, [], |row| row.get(0))?)
}
