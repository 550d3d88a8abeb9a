//! Secrets of the CRM's login, from the store and back to it.
//!
//! How they are sealed is `crate::store`'s. The delivery has a thread of its own, so these calls may block.

use std::sync::Arc;

use crate::crm::Secrets;
use crate::store::Store;

/// The store as a connector's keeper of secrets.
pub struct StoreSecrets(pub Arc<Store>);

impl Secrets for StoreSecrets {
    fn secret(&self, name: &str) -> Result<Option<String>, String> {
        self.0.secret(name).map_err(|error| error.to_string())
    }

    fn keep(&self, name: &str, value: &str) -> Result<(), String> {
        self.0.set_secret(name, value).map_err(|error| error.to_string())
    }
}
