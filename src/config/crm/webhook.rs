//! The keys of `[crm.webhook]`.
//!
//! Their meaning to the owner is in `firmware-config/snova.toml`.

use super::address;
use crate::config::reader::{Faults, Section};
use crate::vendors::webhook::Settings;

pub(super) fn settings(section: &mut Section, faults: &mut Faults) -> Option<Settings> {
    Some(Settings { url: address(section, faults, "url", "https://crm.example.com/snova")? })
}
