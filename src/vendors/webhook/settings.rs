//! The keys of `[crm.webhook]`, each with what it means to the owner.

use super::Settings;
use crate::crm::{Keys, key};

pub const ABOUT: &str = "A webhook of your own: docs/crm/webhook.md says what it is told and what it must answer.";

pub fn read(keys: &mut dyn Keys) -> Option<Settings> {
    let about = "The receiver's address, without a password. The key: `snova crm secret crm/webhook/key`.";
    Some(Settings { url: keys.address(key("url", "https://crm.example.com/snova", about))? })
}
