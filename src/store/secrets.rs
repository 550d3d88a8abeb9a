//! Secrets that the owner gives this box: camera passwords and the like, sealed under a name.
//!
//! Who asks for them is not here. A name is no secret: it may be listed and logged.

use rusqlite::{OptionalExtension, Transaction, params};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::Store;
use super::error::{Fault, StoreError};
use crate::vault::{DeviceKey, SealContext, VaultError};

impl Store {
    /// Keeps `value` under `name`, in place of one that is there. A name looks like `camera/till-1-left`.
    pub fn set_secret(&self, name: &str, value: &str) -> Result<(), StoreError> {
        self.need_key()?;
        let sealed = self.key.seal(&context(name), value.as_bytes()).map_err(|cause| unopened(name, cause))?;
        self.write(|tx| {
            tx.execute(
                "INSERT INTO secrets (name, sealed) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET sealed = ?2",
                params![name, sealed],
            )?;
            Ok(())
        })
    }

    /// The secret of that name; `None` when there is none. One that does not open, because the device key was
    /// replaced, is an error: it must be given again.
    pub fn secret(&self, name: &str) -> Result<Option<String>, StoreError> {
        self.read(|tx| {
            let mut statement = tx.prepare_cached("SELECT sealed FROM secrets WHERE name = ?1")?;
            let sealed: Option<Vec<u8>> = statement.query_row(params![name], |row| row.get(0)).optional()?;
            Ok(sealed.map(|sealed| open(&self.key, name, &sealed)).transpose()?)
        })
    }

    /// Forgets a secret; `false` if there was none of that name.
    pub fn remove_secret(&self, name: &str) -> Result<bool, StoreError> {
        self.write(|tx| Ok(tx.execute("DELETE FROM secrets WHERE name = ?1", params![name])? > 0))
    }

    /// The names under which there are secrets, in order.
    pub fn secret_names(&self) -> Result<Vec<String>, StoreError> {
        self.read(|tx| {
            let mut statement = tx.prepare_cached("SELECT name FROM secrets ORDER BY name")?;
            let names = statement.query_map([], |row| row.get(0))?;
            Ok(names.collect::<Result<_, _>>()?)
        })
    }
}

/// Opens every secret, for the error alone.
pub(super) fn open_every_seal(tx: &Transaction<'_>, device: &DeviceKey) -> Result<(), Fault> {
    let mut statement = tx.prepare("SELECT name, sealed FROM secrets")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (name, sealed): (String, Vec<u8>) = (row.get(0)?, row.get(1)?);
        open(device, &name, &sealed)?;
    }
    Ok(())
}

/// Whether the first sealed value opens; `None` where there is none.
pub(super) fn first_opens(tx: &Transaction<'_>, device: &DeviceKey) -> Result<Option<bool>, Fault> {
    let mut statement = tx.prepare("SELECT name, sealed FROM secrets LIMIT 1")?;
    let first = statement.query_row([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?))).optional()?;
    Ok(first.map(|(name, sealed)| device.open(&context(&name), &sealed).is_ok()))
}

fn open(device: &DeviceKey, name: &str, sealed: &[u8]) -> Result<String, StoreError> {
    let plain = device.open(&context(name), sealed).map_err(|cause| unopened(name, cause))?;
    String::from_utf8(plain).map_err(|_| unopened(name, VaultError::Broken))
}

fn unopened(name: &str, cause: VaultError) -> StoreError {
    StoreError::Secret { name: name.to_owned(), cause }
}

/// The name is bound into the seal, so that no secret can be given out under another's name.
fn context(name: &str) -> SealContext {
    let hash: [u8; 32] = Sha256::digest(name.as_bytes()).into();
    let row = std::array::from_fn(|i| hash[i]);
    SealContext { table: "secrets", column: "sealed", row: Uuid::from_bytes(row) }
}
