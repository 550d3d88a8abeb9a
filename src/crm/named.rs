//! An id made of a name: the same one each time, for CRMs whose rows have a UUID of ours as their key.
//!
//! Keys of visits are minted with the visit; they are not made here.

use sha2::{Digest, Sha256};
use uuid::Uuid;

/// The id of `name` among the things called `space`. It cannot be led back to a name that nobody guesses.
pub fn named_id(space: &str, name: &str) -> Uuid {
    let mut hash = Sha256::new();
    hash.update(b"snova\0");
    hash.update(space.as_bytes());
    hash.update(b"\0");
    hash.update(name.as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.finalize()[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_id_and_another_in_another_space() {
        assert_eq!(named_id("device", "shop-7"), named_id("device", "shop-7"));
        assert_ne!(named_id("device", "shop-7"), named_id("device", "shop-8"));
        assert_ne!(named_id("device", "shop-7"), named_id("contact", "shop-7"));
        assert_eq!(named_id("device", "shop-7").get_version_num(), 8);
    }
}
