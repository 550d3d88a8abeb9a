//! Secrets of the CRM's login, from the store and back to it.
//!
//! How they are sealed is `crate::store`'s. The delivery has a thread of its own, so these calls may block.

use std::sync::Arc;

use crate::crm::Secrets;
use crate::store::{Store, StoreError};
use crate::vault::CompanyKey;

/// Under which the company key is kept.
pub const COMPANY_KEY: &str = "crm/company-key";

/// The company key that the box holds; a first one is minted and kept.
pub fn company_key(store: &Store) -> Result<CompanyKey, StoreError> {
    if let Some(key) = store.secret(COMPANY_KEY)?.as_deref().and_then(CompanyKey::parse) {
        return Ok(key);
    }
    let key = CompanyKey::mint().map_err(|cause| StoreError::Secret { name: COMPANY_KEY.to_owned(), cause })?;
    store.set_secret(COMPANY_KEY, &key.in_hex())?;
    Ok(key)
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
