//! `[crm]`: which CRM, how it is reached, and the keys that every vendor shares.
//!
//! A vendor's own keys are stated in its folder of `crate::vendors`.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::reader::{Faults, Section};
use super::{Crm, Device};
use crate::crm::{CrmSettings, HttpSettings, Key, Keys, key};
use crate::vendors::{VENDORS, Vendor, webhook as beacon};

/// Reads `[crm]` with all vendors' sections; only that of `kind` must be complete.
pub(super) fn crm(mut section: Section, faults: &mut Faults, device: &Device) -> Crm {
    let default = Crm::default().common;
    let kind = section.parsed(faults, "kind", kind).unwrap_or("none");
    let seconds = |section: &mut Section, faults: &mut Faults, key, default: Duration, range| {
        Duration::from_secs(section.whole(faults, key, default.as_secs(), range))
    };
    let http = HttpSettings {
        timeout: Duration::from_millis(section.whole(
            faults,
            "timeout_ms",
            default.http.timeout.as_millis() as u64,
            100..=600_000,
        )),
        ca_file: section
            .parsed(faults, "ca_file", |text| Ok((!text.is_empty()).then(|| PathBuf::from(text))))
            .flatten(),
        proxy: section.parsed(faults, "proxy", proxy).flatten(),
    };
    let mut vendor = None;
    for known in &VENDORS {
        let mut own = section.within(faults, known.kind);
        if kind == known.kind && !own.is_there() {
            let what = format!("{kind:?} needs its own section; add [crm.{kind}]");
            section.fault(faults, &["kind"], what);
        }
        let read = (known.read)(&mut Reader { section: &mut own, faults });
        own.close(faults);
        vendor = vendor.or(read.filter(|_| kind == known.kind));
    }
    let vendor = vendor.unwrap_or(Vendor::None);
    let common = CrmSettings {
        identity: vendor.identity(),
        http,
        create_contacts: section.flag(faults, "create_contacts", default.create_contacts),
        tells: vendor.told().is_some_and(|told| !told.is_empty()),
        names_from_crm: section.flag(faults, "names_from_crm", default.names_from_crm),
        grace: seconds(&mut section, faults, "grace_s", default.grace, 0..=86_400),
        pull_every: seconds(&mut section, faults, "pull_s", default.pull_every, 0..=604_800),
        heartbeat_every: seconds(&mut section, faults, "heartbeat_s", default.heartbeat_every, 0..=86_400),
        stale_after: seconds(&mut section, faults, "stale_s", default.stale_after, 60..=31_536_000),
        language: device.language,
        country: device.country,
        shop: device.store.clone(),
    };
    let mut reader = Reader { section: &mut section, faults };
    let keys: &mut dyn Keys = &mut reader;
    let beacon = keys.optional_address(key("heartbeat_url", "https://watch.example.com/snova", ""));
    let beacon = beacon.map(|url| beacon::Settings { url });
    section.close(faults);
    Crm { common, vendor, beacon }
}

fn kind(text: &str) -> Result<&'static str, String> {
    let kinds: Vec<&str> = std::iter::once("none").chain(VENDORS.iter().map(|vendor| vendor.kind)).collect();
    let found = kinds.iter().find(|kind| **kind == text);
    found.copied().ok_or_else(|| format!("{text:?} is not a CRM that Snova knows; give one of {}", kinds.join(", ")))
}

fn proxy(text: &str) -> Result<Option<String>, String> {
    match text {
        "" => Ok(None),
        _ if text.starts_with("http://") && !text.contains('@') => Ok(Some(text.to_owned())),
        _ => Err(format!("{text:?} is not a proxy; give one such as \"http://192.168.1.5:3128\", without a password")),
    }
}

/// A section of the file, as a vendor asks for its keys.
struct Reader<'r, 't, 'f> {
    section: &'r mut Section<'t>,
    faults: &'r mut Faults<'f>,
}

impl Keys for Reader<'_, '_, '_> {
    fn is_there(&self) -> bool {
        self.section.is_there()
    }

    fn has(&self, name: &str) -> bool {
        self.section.has(name)
    }

    fn text(&mut self, key: Key) -> Option<String> {
        self.section.text(self.faults, key.name).map(str::to_owned)
    }

    fn flag(&mut self, key: Key, default: bool) -> bool {
        self.section.flag(self.faults, key.name, default)
    }

    fn whole(&mut self, key: Key, default: u32, range: RangeInclusive<u64>) -> u32 {
        self.section.whole(self.faults, key.name, default, range)
    }

    fn within(&mut self, key: Key, read: &mut dyn FnMut(&mut dyn Keys)) {
        let mut own = self.section.within(self.faults, key.name);
        read(&mut Reader { section: &mut own, faults: self.faults });
        own.close(self.faults);
    }

    fn fault(&mut self, names: &[&'static str], what: &str) {
        self.section.fault(self.faults, names, what);
    }

    fn missing(&mut self, key: Key) {
        self.section.missing(self.faults, key.name, key.shown);
    }
}
