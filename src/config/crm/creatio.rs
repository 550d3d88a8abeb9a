//! The keys of `[crm.creatio]`.
//!
//! Their meaning to the owner is in `firmware-config/snova.toml`.

use super::address;
use crate::config::reader::{Faults, Section};
use crate::crm::creatio::Settings;

pub(super) fn settings(section: &mut Section, faults: &mut Faults) -> Option<Settings> {
    Some(Settings { url: address(section, faults, "url", "https://example.com")? })
}
