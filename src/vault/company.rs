//! The company key: one secret of all stores, from which the keys of contacts that Snova creates are derived.
//!
//! Two boxes that hold the same key give the same person the same key, so that a CRM which enforces keys refuses the second.
//! It protects a phone from being guessed out of a contact's key; nothing is sealed with it. Where it is kept is the caller's.

use std::fmt;

use uuid::Uuid;

use super::VaultError;
use super::key::{KEY_BYTES, hmac};

/// The key, on the heap, where what is freed is wiped. `Debug` prints its fingerprint alone.
#[derive(Clone)]
pub struct CompanyKey(Box<[u8; KEY_BYTES]>);

impl CompanyKey {
    /// A fresh one, of the system's randomness.
    pub fn mint() -> Result<Self, VaultError> {
        let mut bytes = Box::new([0; KEY_BYTES]);
        getrandom::fill(&mut *bytes).map_err(|_| VaultError::NoRandom)?;
        Ok(Self(bytes))
    }

    /// Reads the 64 hexadecimal digits that [`Self::in_hex`] gives, with spaces and hyphens between them or without.
    pub fn parse(text: &str) -> Option<Self> {
        let digits: Vec<u8> = text.bytes().filter(|byte| !matches!(byte, b' ' | b'-' | b'\n' | b'\r')).collect();
        if digits.len() != 2 * KEY_BYTES {
            return None;
        }
        let mut bytes = Box::new([0; KEY_BYTES]);
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self(bytes))
    }

    /// To be kept sealed, and to be told to the other stores.
    pub fn in_hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Eight digits by which two boxes are told whether they hold the same key. They say nothing of the key.
    pub fn fingerprint(&self) -> String {
        hmac(&self.0, &[b"fingerprint"])[..4].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The key of the `ordinal`-th contact (from 1) that is reached by `value`, a normalised phone or e-mail.
    pub fn contact_key(&self, value: &str, ordinal: u32) -> Uuid {
        let digest = hmac(&self.0, &[b"contact\0", value.as_bytes(), b"\0", &ordinal.to_be_bytes()]);
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        uuid::Builder::from_custom_bytes(bytes).into_uuid()
    }
}

impl fmt::Debug for CompanyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CompanyKey({})", self.fingerprint())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_boxes_with_one_key_give_a_phone_the_same_keys_and_two_keys_do_not() {
        let key = CompanyKey::mint().unwrap();
        let told = CompanyKey::parse(&key.in_hex()).unwrap();
        assert_eq!(told.fingerprint(), key.fingerprint());
        assert_eq!(told.contact_key("+79120000001", 1), key.contact_key("+79120000001", 1));
        assert_ne!(key.contact_key("+79120000001", 1), key.contact_key("+79120000001", 2));
        let other = CompanyKey::mint().unwrap();
        assert_ne!(other.contact_key("+79120000001", 1), key.contact_key("+79120000001", 1));
        assert_ne!(other.fingerprint(), key.fingerprint());
        assert!(CompanyKey::parse("abc").is_none());
        assert!(CompanyKey::parse(&"zz".repeat(KEY_BYTES)).is_none());
    }
}
