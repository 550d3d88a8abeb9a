//! The one seam through which personal data goes to rest: what the store writes is sealed here first.
//!
//! **Encrypted** (format 1, [`DeviceKey`]): secrets such as camera passwords, and the cards and phones of
//! customers. **Not encrypted** (format 0, [`Seal`], plain bytes with a checksum): names, tiers, notes and
//! templates; who can read the database can read those. The device key lies in the same folder as the database:
//! it protects a copy of the database alone (a backup, a file sent to support), not the stolen disk.
//! Where sealed bytes are kept is `crate::store`'s.

mod company;
mod key;

use std::fmt;

use sha2::{Digest, Sha256};
use uuid::Uuid;

pub use company::CompanyKey;
pub use key::{DeviceKey, Found, KEY_FILE, KeyError};

/// The place a sealed value belongs to. A value copied to another row, column or table does not open there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealContext {
    pub table: &'static str,
    pub column: &'static str,
    pub row: Uuid,
}

impl SealContext {
    fn bytes(&self) -> Vec<u8> {
        let parts = [self.table.as_bytes(), self.column.as_bytes(), self.row.as_bytes()];
        // Length first, so that no two places run together into the same bytes.
        parts
            .iter()
            .flat_map(|part| (part.len() as u64).to_le_bytes().into_iter().chain(part.iter().copied()))
            .collect()
    }
}

/// Why sealed bytes do not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    #[error("it is sealed in format {0}, which this Snova does not know; update Snova")]
    UnknownFormat(u8),
    #[error("its seal is broken: the bytes are damaged or belong to another row; restore a copy")]
    Broken,
    #[error("it was sealed with another device key, or is damaged; put device.key back from a copy")]
    OtherKey,
    #[error("the device key is missing or not this database's; put device.key back from a copy")]
    NoKey,
    #[error("the machine gives no random bytes; restart it")]
    NoRandom,
}

/// Seals and opens without secrecy: see the head of this file.
#[derive(Clone, Copy)]
pub struct Seal(());

/// Format 0: this byte, then [`CHECKSUM_BYTES`] of SHA-256 over context and plain bytes, then the plain bytes.
/// The checksum finds bit rot and swapped rows; it stops nobody who can write the file.
const PLAIN: u8 = 0;
const CHECKSUM_BYTES: usize = 8;

impl Seal {
    /// The seal without secrecy (format 0).
    pub fn plain() -> Self {
        Self(())
    }

    /// The bytes to be kept for `plain` at the place `context`.
    pub fn seal(&self, context: &SealContext, plain: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::with_capacity(1 + CHECKSUM_BYTES + plain.len());
        sealed.push(PLAIN);
        sealed.extend_from_slice(&checksum(context, plain));
        sealed.extend_from_slice(plain);
        sealed
    }

    /// What was sealed at the place `context`; refuses damaged, moved and unknown bytes.
    pub fn open(&self, context: &SealContext, sealed: &[u8]) -> Result<Vec<u8>, VaultError> {
        let (format, rest) = sealed.split_first().ok_or(VaultError::Broken)?;
        if *format != PLAIN {
            return Err(VaultError::UnknownFormat(*format));
        }
        let (sum, plain) = rest.split_at_checked(CHECKSUM_BYTES).ok_or(VaultError::Broken)?;
        if sum != checksum(context, plain) {
            return Err(VaultError::Broken);
        }
        Ok(plain.to_vec())
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal(plain)")
    }
}

fn checksum(context: &SealContext, plain: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut hash = Sha256::new();
    hash.update(context.bytes());
    hash.update(plain);
    let whole = hash.finalize();
    std::array::from_fn(|i| whole[i])
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: SealContext = SealContext { table: "customers", column: "sealed", row: Uuid::from_u128(7) };

    #[test]
    fn what_was_sealed_opens_in_its_place() {
        for plain in [&b""[..], b"a", "Иван Петрович".as_bytes()] {
            let sealed = Seal::plain().seal(&HERE, plain);
            assert_eq!(Seal::plain().open(&HERE, &sealed).as_deref(), Ok(plain));
        }
    }

    #[test]
    fn a_value_moved_to_another_row_column_or_table_does_not_open() {
        let sealed = Seal::plain().seal(&HERE, b"note");
        for elsewhere in [
            SealContext { row: Uuid::from_u128(8), ..HERE },
            SealContext { column: "note", ..HERE },
            SealContext { table: "templates", ..HERE },
            SealContext { table: "customerss", column: "ealed", ..HERE },
        ] {
            assert_eq!(Seal::plain().open(&elsewhere, &sealed), Err(VaultError::Broken));
        }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let sealed = Seal::plain().seal(&HERE, b"note");
        for bit in 0..sealed.len() * 8 {
            let mut bent = sealed.clone();
            bent[bit / 8] ^= 1 << (bit % 8);
            assert!(Seal::plain().open(&HERE, &bent).is_err(), "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert_eq!(Seal::plain().open(&HERE, &sealed[..length]), Err(VaultError::Broken), "length {length}");
        }
    }

    #[test]
    fn a_format_from_the_future_is_named_not_guessed() {
        let mut sealed = Seal::plain().seal(&HERE, b"note");
        sealed[0] = 9;
        assert_eq!(Seal::plain().open(&HERE, &sealed), Err(VaultError::UnknownFormat(9)));
    }
}
