//! The keys of `[crm.bitrix24]`.
//!
//! Their meaning to the owner is in `firmware-config/snova.toml`.

use super::{address, contact_fields, record_fields, told_fields, word};
use crate::config::reader::{Faults, Section};
use crate::crm::ContactFields;
use crate::vendors::bitrix24::{Settings, VisitFields};

/// Битрикс24's own service of refresh tokens.
const OAUTH: &str = "https://oauth.bitrix24.tech";

pub(super) fn settings(section: &mut Section, faults: &mut Faults) -> Option<Settings> {
    let url = address(section, faults, "url", "https://shop.bitrix24.ru");
    if url.as_deref().is_some_and(|url| url.contains("/rest")) {
        section.fault(
            faults,
            &["url"],
            "the webhook is a secret and does not belong here; give the portal's address, and the webhook by `snova crm secret crm/bitrix24/webhook`",
        );
    }
    let client_id = word(section, faults, "client_id");
    let oauth_url = if section.has("oauth_url") { address(section, faults, "oauth_url", OAUTH) } else { None };
    let number = |section: &mut Section, faults: &mut Faults, key| {
        Some(section.whole(faults, key, 0_u32, 0..=1_000_000)).filter(|number| *number > 0)
    };
    let visit_type_id = number(section, faults, "visit_type_id");
    let device_type_id = number(section, faults, "device_type_id");
    let mut own = section.within(faults, "visit");
    let visit = VisitFields {
        at: word(&mut own, faults, "at"),
        until: word(&mut own, faults, "until"),
        counter: word(&mut own, faults, "counter"),
        void: word(&mut own, faults, "void"),
    };
    // Where version 0.3.0 had it.
    let how = word(&mut own, faults, "how");
    own.close(faults);
    if visit_type_id.is_some() && visit.at.is_none() {
        let what = "needs the field of the visit's time; name it as at in [crm.bitrix24.visit]";
        section.fault(faults, &["visit_type_id"], what);
    }
    let defaults = ContactFields {
        patronymic: Some("secondName".to_owned()),
        notes: Some("comments".to_owned()),
        birthday: Some("birthdate".to_owned()),
        ..ContactFields::default()
    };
    let fields = contact_fields(section, faults, defaults);
    let (told, mut record) = (told_fields(section, faults), record_fields(section, faults));
    record.how = record.how.or(how);
    let oauth_url = oauth_url.unwrap_or_else(|| OAUTH.to_owned());
    Some(Settings { url: url?, client_id, oauth_url, visit_type_id, visit, device_type_id, fields, told, record })
}
