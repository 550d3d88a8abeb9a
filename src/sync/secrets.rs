//! Secrets of the CRM's login and the company key, from the store and back to it.
//!
//! How they are sealed is `crate::store`'s. The delivery has a thread of its own, so these calls may block.

use std::sync::Arc;

use crate::crm::{Contact, Secrets};
use crate::store::{Store, StoreError};
use crate::vault::CompanyKey;

/// Under which the company key is kept.
pub const COMPANY_KEY: &str = "crm/company-key";
/// Under which the fingerprints are kept of keys that this box had before.
const FORMER_KEYS: &str = "crm/company-key-former";

/// The company key that the box holds, and which ones it held before: marks under those are its own, to be renewed.
pub struct Company {
    pub key: CompanyKey,
    former: Vec<String>,
}

impl Company {
    /// As it is kept; a first key is minted.
    pub fn of(store: &Store) -> Result<Self, StoreError> {
        let former = store.secret(FORMER_KEYS)?.unwrap_or_default();
        let former = former.split_whitespace().map(str::to_owned).collect();
        if let Some(key) = store.secret(COMPANY_KEY)?.as_deref().and_then(CompanyKey::parse) {
            return Ok(Self { key, former });
        }
        let key = CompanyKey::mint().map_err(|cause| StoreError::Secret { name: COMPANY_KEY.to_owned(), cause })?;
        store.set_secret(COMPANY_KEY, &key.in_hex())?;
        Ok(Self { key, former })
    }

    pub fn fingerprint(&self) -> String {
        self.key.fingerprint()
    }

    /// The fingerprint on `contact` of a key that this box never held.
    pub fn other_on(&self, contact: &Contact) -> Option<String> {
        contact.mark().company.filter(|there| *there != self.fingerprint() && !self.former.contains(there))
    }

    /// No store holds the key of that fingerprint any more: its marks are this box's to renew.
    pub fn take_over(self, store: &Store, fingerprint: &str) -> Result<(), StoreError> {
        let former: Vec<String> = self.former.into_iter().chain([fingerprint.to_owned()]).collect();
        store.set_secret(FORMER_KEYS, &former.join(" "))?;
        store.clear_other_key(store.current_target()?)?;
        store.fetch_cards_anew()
    }

    /// Has the box hold `key` from now on. Every mark of the box is looked at anew, and nobody else's key is held against it.
    pub fn change(self, store: &Store, key: &CompanyKey) -> Result<(), StoreError> {
        let (before, now) = (self.fingerprint(), key.fingerprint());
        let former: Vec<String> = self.former.into_iter().chain([before]).filter(|own| *own != now).collect();
        store.set_secret(FORMER_KEYS, &former.join(" "))?;
        store.set_secret(COMPANY_KEY, &key.in_hex())?;
        store.clear_other_key(store.current_target()?)?;
        store.fetch_cards_anew()
    }
}

/// The store as a connector's keeper of secrets; without one none is kept.
pub struct StoreSecrets(pub Option<Arc<Store>>);

impl Secrets for StoreSecrets {
    fn secret(&self, name: &str) -> Result<Option<String>, String> {
        self.0.as_ref().map_or(Ok(None), |store| store.secret(name)).map_err(|error| error.to_string())
    }

    fn keep(&self, name: &str, value: &str) -> Result<(), String> {
        let store = self.0.as_ref().ok_or("there is no database yet to keep a secret in; start the service once")?;
        store.set_secret(name, value).map_err(|error| error.to_string())
    }
}
