//! The key of this box: made once, kept beside the database, it seals secrets and hides what is looked up.
//!
//! It protects copies of the database, not the stolen disk: see the head of `crate::vault`. Which columns are
//! sealed with it is `crate::store`'s.

use std::fmt;
use std::fs::{File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::Mac;
use sha2::Sha256;

use super::{SealContext, VaultError};

/// The key's file name inside the data folder.
pub const KEY_FILE: &str = "device.key";
pub(super) const KEY_BYTES: usize = 32;

/// Format 1: this byte, then the nonce, then XChaCha20-Poly1305 over the plain bytes with the place as associated
/// data. A nonce of 24 random bytes may be drawn without counting how often.
const SEALED: u8 = 1;
const NONCE_BYTES: usize = 24;

/// Why there is no key. Each text is one line.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("the device key {path} cannot be used: {cause}; let Snova's user read and write the data folder", path = .path.display())]
    File { path: PathBuf, cause: io::Error },
    #[error("the device key {path} has {found} bytes instead of {KEY_BYTES}; put the right file back from a copy", path = .path.display())]
    Size { path: PathBuf, found: u64 },
    #[error("others on this machine may read the device key {path}; run `chmod 600` on it", path = .path.display())]
    Open { path: PathBuf },
    #[error("the device key {path} is missing or not the one that this database's values are sealed with; put it back from a copy, or accept their loss with `snova store accept-loss`", path = .path.display())]
    NotOurs { path: PathBuf },
    #[error("the machine gives no random bytes for the device key ({0}); restart it")]
    NoRandom(getrandom::Error),
}

/// Seals secrets (format 1) and makes blind indices. The two uses have keys of their own, derived from the file's.
/// Clones are one key. It may be absent, when the right one is not there: then nothing is sealed or opened, and no
/// index is found.
#[derive(Clone, Default)]
pub struct DeviceKey(Arc<OnceLock<Derived>>);

#[derive(Clone)]
struct Derived {
    seal: [u8; KEY_BYTES],
    index: [u8; KEY_BYTES],
}

/// A device key as it was found.
pub struct Found {
    pub key: DeviceKey,
    /// Whether there was none and it was made now.
    pub is_new: bool,
}

impl DeviceKey {
    /// No key yet; see [`DeviceKey::become_this`].
    pub fn absent() -> Self {
        Self::default()
    }

    /// From now on this key, and all its clones, is that one. A key that is there already stays what it is.
    pub fn become_this(&self, found: &Self) {
        if let Some(derived) = found.0.get() {
            let _ = self.0.set(derived.clone());
        }
    }

    pub fn is_there(&self) -> bool {
        self.0.get().is_some()
    }

    /// The key of the data folder `dir`, if it is there; never makes one.
    pub fn find(dir: &Path) -> Result<Option<Self>, KeyError> {
        Ok(read(&dir.join(KEY_FILE))?.map(|bytes| Self::of(&bytes)))
    }

    /// Reads the key of the data folder `dir`; makes it, whole and on the disk, where there is none.
    pub fn find_or_make(dir: &Path) -> Result<Found, KeyError> {
        let path = dir.join(KEY_FILE);
        if let Some(bytes) = read(&path)? {
            return Ok(Found { key: Self::of(&bytes), is_new: false });
        }
        let mut bytes = [0; KEY_BYTES];
        getrandom::fill(&mut bytes).map_err(KeyError::NoRandom)?;
        let failed = |cause| KeyError::File { path: path.clone(), cause };
        if make(dir, &path, &bytes).map_err(failed)? {
            return Ok(Found { key: Self::of(&bytes), is_new: true });
        }
        // Another process was faster: its key holds.
        let theirs = read(&path)?.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
        Ok(Found { key: Self::of(&theirs), is_new: false })
    }

    fn of(bytes: &[u8; KEY_BYTES]) -> Self {
        let derived = |purpose: &[u8]| hmac(bytes, &[purpose]);
        let derived = Derived { seal: derived(b"snova seal format 1"), index: derived(b"snova blind index") };
        Self(Arc::new(OnceLock::from(derived)))
    }

    /// The bytes to be kept for `plain` at the place `context` (format 1).
    pub fn seal(&self, context: &SealContext, plain: &[u8]) -> Result<Vec<u8>, VaultError> {
        let key = self.0.get().ok_or(VaultError::NoKey)?;
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|_| VaultError::NoRandom)?;
        let place = context.bytes();
        let payload = Payload { msg: plain, aad: &place };
        let cipher = XChaCha20Poly1305::new(&key.seal.into());
        // The one way to fail is a plain text of more than 256 GB.
        let hidden = cipher.encrypt(&XNonce::from(nonce), payload).map_err(|_| VaultError::Broken)?;
        Ok([&[SEALED][..], &nonce, &hidden].concat())
    }

    /// What was sealed at the place `context`. Refuses the plain format 0 too: who can write the file must not be
    /// able to put a value of their own where a sealed one belongs.
    pub fn open(&self, context: &SealContext, sealed: &[u8]) -> Result<Vec<u8>, VaultError> {
        let key = self.0.get().ok_or(VaultError::NoKey)?;
        let (format, rest) = sealed.split_first().ok_or(VaultError::Broken)?;
        if *format != SEALED {
            return Err(VaultError::UnknownFormat(*format));
        }
        let (nonce, hidden) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(VaultError::Broken)?;
        let place = context.bytes();
        let cipher = XChaCha20Poly1305::new(&key.seal.into());
        cipher.decrypt(&XNonce::from(*nonce), Payload { msg: hidden, aad: &place }).map_err(|_| VaultError::OtherKey)
    }

    /// A number by which `value` of this kind is found again, and from which it cannot be told without the key:
    /// there are so few phone numbers that a plain hash would hide none.
    pub fn blind_index(&self, kind: &str, value: &str) -> [u8; 32] {
        // Nobody's: an index of a key that is there is never all zeroes.
        let Some(key) = self.0.get() else { return [0; 32] };
        let length = (kind.len() as u64).to_le_bytes();
        hmac(&key.index, &[&length, kind.as_bytes(), value.as_bytes()])
    }
}

impl fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeviceKey(…)")
    }
}

pub(super) fn hmac(key: &[u8; KEY_BYTES], parts: &[&[u8]]) -> [u8; 32] {
    // The block is HMAC's own: a key shorter than it is filled up with zeroes, by its definition.
    let mut block = [0; 64];
    block[..KEY_BYTES].copy_from_slice(key);
    let mut mac = hmac::Hmac::<Sha256>::new(&block.into());
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

/// The key's bytes; `None` where there is no file.
fn read(path: &Path) -> Result<Option<[u8; KEY_BYTES]>, KeyError> {
    let failed = |cause| KeyError::File { path: path.to_owned(), cause };
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let facts = file.metadata().map_err(failed)?;
    if facts.permissions().mode() & 0o077 != 0 {
        return Err(KeyError::Open { path: path.to_owned() });
    }
    let wrong_size = KeyError::Size { path: path.to_owned(), found: facts.len() };
    if facts.len() != KEY_BYTES as u64 {
        return Err(wrong_size);
    }
    let mut bytes = [0; KEY_BYTES];
    file.read_exact(&mut bytes).map_err(failed)?;
    Ok(Some(bytes))
}

/// Writes the key beside its place and moves it there in one step; `false` if one is there by then.
fn make(dir: &Path, path: &Path, bytes: &[u8]) -> io::Result<bool> {
    let mut draft =
        tempfile::Builder::new().prefix(KEY_FILE).permissions(Permissions::from_mode(0o600)).tempfile_in(dir)?;
    draft.write_all(bytes)?;
    // Root makes it for the account that the folder belongs to, which could not read it otherwise.
    let folder = dir.metadata()?;
    if folder.uid() != draft.as_file().metadata()?.uid() {
        fchown(draft.as_file(), Some(folder.uid()), Some(folder.gid()))?;
    }
    draft.as_file().sync_all()?;
    match draft.persist_noclobber(path) {
        Ok(_) => {}
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
        Err(error) => return Err(error.error),
    }
    // The name is on the disk only with its folder.
    File::open(dir)?.sync_all()?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    use uuid::Uuid;

    use super::*;
    use crate::vault::Seal;

    const HERE: SealContext = SealContext { table: "secrets", column: "sealed", row: Uuid::from_u128(7) };

    fn key() -> DeviceKey {
        DeviceKey::of(&[7; KEY_BYTES])
    }

    #[test]
    fn the_key_is_made_once_for_its_owner_alone_and_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let first = DeviceKey::find_or_make(dir.path()).unwrap();
        let again = DeviceKey::find_or_make(dir.path()).unwrap();
        assert_eq!((first.is_new, again.is_new), (true, false));
        let sealed = first.key.seal(&HERE, b"secret").unwrap();
        assert_eq!(again.key.open(&HERE, &sealed).as_deref(), Ok(&b"secret"[..]));
        let facts = fs::metadata(dir.path().join(KEY_FILE)).unwrap();
        assert_eq!((facts.mode() & 0o777, facts.len()), (0o600, 32));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside it");
        let elsewhere = tempfile::tempdir().unwrap();
        let other = DeviceKey::find_or_make(elsewhere.path()).unwrap();
        assert_eq!(other.key.open(&HERE, &sealed), Err(VaultError::OtherKey), "every box has a key of its own");
    }

    #[test]
    fn without_its_key_nothing_is_sealed_opened_or_found_until_the_key_is_back() {
        let sealed = key().seal(&HERE, b"secret").unwrap();
        let absent = DeviceKey::absent();
        let clone = absent.clone();
        assert_eq!(absent.seal(&HERE, b"secret"), Err(VaultError::NoKey));
        assert_eq!(absent.open(&HERE, &sealed), Err(VaultError::NoKey));
        assert_ne!(absent.blind_index("card", "4820"), key().blind_index("card", "4820"));
        absent.become_this(&key());
        assert_eq!(clone.open(&HERE, &sealed).as_deref(), Ok(&b"secret"[..]), "all clones are one key");
        absent.become_this(&DeviceKey::of(&[8; KEY_BYTES]));
        assert!(clone.open(&HERE, &sealed).is_ok(), "a key does not change under what was sealed with it");
    }

    #[test]
    fn many_at_once_agree_on_one_key() {
        let dir = tempfile::tempdir().unwrap();
        let make = || DeviceKey::find_or_make(dir.path()).unwrap();
        let found: Vec<Found> = std::thread::scope(|scope| {
            let all: Vec<_> = (0..8).map(|_| scope.spawn(make)).collect();
            all.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert_eq!(found.iter().filter(|f| f.is_new).count(), 1);
        let index = |f: &Found| f.key.blind_index("card", "4820");
        assert!(found.iter().all(|f| index(f) == index(&found[0])));
    }

    #[test]
    fn a_key_of_the_wrong_size_or_that_others_may_read_is_refused_in_words() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(KEY_FILE);
        for (bytes, mode, words) in [
            (31, 0o600, "31 bytes instead of 32"),
            (33, 0o600, "33 bytes instead of 32"),
            (0, 0o600, "0 bytes instead of 32"),
            (32, 0o640, "chmod 600"),
            (32, 0o604, "chmod 600"),
        ] {
            fs::write(&path, vec![1; bytes]).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let told = DeviceKey::find_or_make(dir.path()).err().unwrap().to_string();
            assert!(told.contains(words) && told.contains("; ") && !told.contains('\n'), "{told}");
            assert_eq!(fs::read(&path).unwrap(), vec![1; bytes], "the file is left as it was");
        }
    }

    #[test]
    fn what_was_sealed_opens_in_its_place_alone_and_with_its_key_alone() {
        for plain in [&b""[..], b"a", "пароль".as_bytes()] {
            let sealed = key().seal(&HERE, plain).unwrap();
            assert_eq!(key().open(&HERE, &sealed).as_deref(), Ok(plain));
            assert!(plain.len() < 2 || !sealed.windows(plain.len()).any(|w| w == plain));
            assert_ne!(sealed, key().seal(&HERE, plain).unwrap(), "the same value is never sealed alike");
            let elsewhere = SealContext { row: Uuid::from_u128(8), ..HERE };
            assert_eq!(key().open(&elsewhere, &sealed), Err(VaultError::OtherKey));
            let other = DeviceKey::of(&[8; KEY_BYTES]);
            assert_eq!(other.open(&HERE, &sealed), Err(VaultError::OtherKey));
        }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let sealed = key().seal(&HERE, b"note").unwrap();
        for bit in 0..sealed.len() * 8 {
            let mut bent = sealed.clone();
            bent[bit / 8] ^= 1 << (bit % 8);
            assert!(key().open(&HERE, &bent).is_err(), "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert!(key().open(&HERE, &sealed[..length]).is_err(), "length {length}");
        }
    }

    #[test]
    fn a_plain_value_is_not_taken_for_a_sealed_one() {
        let plain = Seal::plain().seal(&HERE, b"chosen by somebody else");
        assert_eq!(key().open(&HERE, &plain), Err(VaultError::UnknownFormat(0)));
    }

    #[test]
    fn a_blind_index_hangs_on_key_kind_and_value() {
        let index = key().blind_index("card", "4820");
        assert_eq!(index, key().blind_index("card", "4820"));
        assert_ne!(index, key().blind_index("phone", "4820"));
        assert_ne!(index, key().blind_index("car", "d4820"));
        assert_ne!(index, DeviceKey::of(&[8; KEY_BYTES]).blind_index("card", "4820"));
    }

    /// RFC 4231, test case 2 with its key filled up, so that the construction is the standard's.
    #[test]
    fn the_index_is_hmac_sha_256() {
        let mut jefe = [0; KEY_BYTES];
        jefe[..4].copy_from_slice(b"Jefe");
        let hex: String =
            hmac(&jefe, &[b"what do ya want ", b"for nothing?"]).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }

    #[test]
    fn debug_prints_nothing_of_the_key() {
        assert_eq!(format!("{:?}", key()), "DeviceKey(…)");
    }
}
