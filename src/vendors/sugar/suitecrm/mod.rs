//! SuiteCRM: a visit is a meeting that was held, whose id is our key.
//!
//! Two ways lead there: `v8` is the JSON API of SuiteCRM 7.10 and later, `legacy` is v4_1 for those before or where V8 is
//! shut. Here is what both share: times, contacts, and what a refusal without a reason means.

mod legacy;
pub mod settings;
mod v8;

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::crm::{
    Contact, ContactFields, CrmConnector, CrmSettings, Failure, Finding, NewContact, RecordFields, ToldFields, Tools,
    VisitRecord,
};
use crate::customer::CustomerId;
use crate::i18n::Language;

/// The secrets of the login: the first for V8, the second for v4_1.
pub const SECRETS: &[&str] = &["crm/suitecrm/client-secret", "crm/suitecrm/password"];

/// `[crm.suitecrm]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `https://crm.shop.example`.
    pub url: String,
    pub api: Api,
    pub fields: ContactFields,
    /// What is written on a contact beside its mark.
    pub told: ToldFields,
    /// Values of a visit that have no standard place.
    pub record: RecordFields,
}

/// By which API, with its login and the path at which it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Api {
    /// `path` is "/Api", or "/legacy/Api" in SuiteCRM 8.
    V8 { client_id: String, path: String },
    /// `path` is "/service/v4_1/rest.php", or that after "/legacy".
    Legacy { user: String, path: String },
}

/// The connector for the configured API.
pub fn open(settings: &Settings, common: &CrmSettings, tools: &Tools) -> Result<Box<dyn CrmConnector>, Failure> {
    Ok(match &settings.api {
        Api::V8 { client_id, path } => Box::new(v8::SuiteCrm::new(settings, client_id, path, common, tools)?),
        Api::Legacy { user, path } => Box::new(legacy::SuiteCrm::new(settings, user, path, common, tools)?),
    })
}

/// The fields of a contact that hold phones.
const PHONES: [&str; 4] = ["phone_mobile", "phone_work", "phone_home", "phone_other"];

/// As SuiteCRM keeps times: in UTC, with a space. One with a `T` is accepted and lost.
fn time(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// V8 answers with an offset, v4_1 as times are kept.
fn read_time(text: &str) -> Option<Timestamp> {
    text.parse().ok().or_else(|| {
        let plain = DateTime::strptime("%Y-%m-%d %H:%M:%S", text).ok()?;
        Some(plain.to_zoned(TimeZone::UTC).ok()?.timestamp())
    })
}

/// Names of fields become parts of a question in SQL.
fn field_name(name: &str) -> Result<&str, Failure> {
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if plain && !name.is_empty() {
        return Ok(name);
    }
    Err(Failure::blocked(
        "a field in [crm.suitecrm.fields] is not named as SuiteCRM names fields: letters, digits and _; correct it",
        None,
    ))
}

fn external_id(fields: &ContactFields) -> Result<&str, Failure> {
    let field = fields.external_id.as_deref();
    let missing = || Failure::blocked("external_id in [crm.suitecrm.fields] is empty; name the field", None);
    field_name(field.ok_or_else(missing)?)
}

/// The fields of a contact that are read.
fn columns(fields: &ContactFields) -> Result<Vec<&str>, Failure> {
    let own = [
        &fields.external_id,
        &fields.patronymic,
        &fields.tier,
        &fields.notes,
        &fields.offer,
        &fields.birthday,
        &fields.visits,
        &fields.last_visit,
    ];
    let mut all = vec!["first_name", "last_name", "email1", "assigned_user_name", "date_modified"];
    all.extend(PHONES);
    for field in own.into_iter().filter_map(|field| field.as_deref()).filter(|field| !field.is_empty()) {
        all.push(field_name(field)?);
    }
    Ok(all)
}

/// SuiteCRM keeps what people type as it would stand in a page.
fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&#039;", "'")
        .replace("&#39;", "'")
        .replace("&amp;", "&")
}

/// A contact from its values by name.
fn contact(id: &str, value: impl Fn(&str) -> Option<String>, fields: &ContactFields) -> Contact {
    let text = |name: &str| {
        let text = unescaped(value(name)?.trim());
        Some(text).filter(|text| !text.is_empty())
    };
    let mapped = |field: &Option<String>| field.as_deref().and_then(text);
    let count = mapped(&fields.visits).and_then(|count| count.parse::<f64>().ok());
    Contact {
        id: id.to_owned(),
        external_id: mapped(&fields.external_id),
        phones: PHONES.iter().filter_map(|name| text(name)).collect(),
        emails: text("email1").into_iter().collect(),
        given: text("first_name"),
        patronymic: mapped(&fields.patronymic),
        family: text("last_name"),
        tier: mapped(&fields.tier),
        owner: text("assigned_user_name"),
        notes: mapped(&fields.notes),
        offer: mapped(&fields.offer),
        birthday: mapped(&fields.birthday).and_then(|date| date.parse().ok()),
        visits: count.map(|count| count.clamp(0.0, f64::from(u32::MAX)) as u32),
        last_visit: mapped(&fields.last_visit).and_then(|at| read_time(&at)),
        deleted: text("deleted").as_deref() == Some("1"),
        ..Contact::default()
    }
}

/// A meeting's values, without its id.
fn meeting(visit: &VisitRecord, language: Language) -> Vec<(&'static str, String)> {
    let minutes = visit.minutes();
    vec![
        ("name", visit.title(language)),
        ("description", visit.text(language)),
        ("status", "Held".to_owned()),
        ("date_start", time(visit.opened_at.at)),
        ("date_end", time(visit.closed_at.at.max(visit.opened_at.at))),
        ("duration_hours", (minutes / 60).to_string()),
        ("duration_minutes", (minutes % 60).to_string()),
        ("parent_type", "Contacts".to_owned()),
        ("parent_id", visit.contact.0.clone()),
    ]
}

/// A new contact's values, without its id.
fn new_contact<'a>(new: &'a NewContact, fields: &'a ContactFields) -> Result<Vec<(&'a str, String)>, Failure> {
    let mut values = vec![
        ("first_name", new.given.clone()),
        // A contact has a surname in SuiteCRM, whatever people have.
        ("last_name", new.family.clone().unwrap_or_else(|| new.given.clone())),
        (external_id(fields)?, new.mark.clone()),
    ];
    let patronymic = fields.patronymic.as_deref().filter(|field| !field.is_empty());
    for (field, value) in
        [(patronymic, &new.patronymic), (Some("phone_mobile"), &new.phone), (Some("email1"), &new.email)]
    {
        if let (Some(field), Some(value)) = (field, value) {
            values.push((field_name(field)?, value.clone()));
        }
    }
    Ok(values)
}

/// The id of the contact that is created for a customer: always the same one, so that a second creation is refused;
/// and not the customer's own, which an erasure takes out of the CRM.
fn contact_id(customer: CustomerId) -> Uuid {
    let digest = Sha256::digest(format!("contact of {customer}").as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}

fn not_kept(field: &str) -> Failure {
    let said = format!("SuiteCRM did not keep the field {field} of a contact; create it, and run `snova crm probe`");
    Failure::blocked(said, None)
}

fn contact_gone() -> Failure {
    Failure::contact_gone("the visit's contact is not in SuiteCRM any more; link the customer anew by `snova crm link`")
}

/// What a look at the contacts' fields came to: the external id must be there, the card's may be.
fn contact_findings(fields: &ContactFields, is_there: impl Fn(&str) -> bool) -> Vec<Finding> {
    let named = |field: &str| format!("the field {field} of Contacts");
    let external = fields.external_id.clone().unwrap_or_default();
    let mut found = vec![if is_there(&external) {
        Finding::good(named(&external))
    } else {
        Finding::missing(
            named(&external),
            "create it in Studio (Contacts, TextField, 36 characters), or name the right one in [crm.suitecrm.fields]",
        )
    }];
    let read = [
        &fields.patronymic,
        &fields.tier,
        &fields.notes,
        &fields.offer,
        &fields.birthday,
        &fields.visits,
        &fields.last_visit,
    ];
    for field in read.into_iter().filter_map(|field| field.as_deref()).filter(|field| !field.is_empty()) {
        found.push(if is_there(field) {
            Finding::good(named(field))
        } else {
            Finding::warning(named(field), "create it in Studio, or leave its key empty in [crm.suitecrm.fields]")
        });
    }
    found
}

/// Visits that the database refused. It gives no reason, and may be in trouble itself: a visit is at fault only if it is
/// refused a second time while the database writes on an earlier one.
#[derive(Default)]
struct Suspects {
    refused: BTreeSet<Uuid>,
    /// The visit that was taken last.
    taken: Option<Uuid>,
}

impl Suspects {
    const MOST: usize = 10_000;

    fn took(&mut self, key: Uuid) {
        self.refused.remove(&key);
        self.taken = Some(key);
    }

    /// Whether it is the first refusal of this visit.
    fn refused(&mut self, key: Uuid) -> bool {
        if self.refused.len() >= Self::MOST {
            self.refused.clear();
        }
        self.refused.insert(key)
    }
}

/// A visit that is refused while others are taken.
fn at_fault() -> Failure {
    Failure::poison("SuiteCRM's database refuses this visit, and no other; see suitecrm.log there")
}

/// A refusal of which it is not known whose fault it is: the lane finds that out.
fn unexplained() -> Failure {
    Failure::poison("SuiteCRM's database refused a visit and gave no reason; it is tried again, see suitecrm.log there")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_suitecrm_keeps_them_and_read_as_it_answers() {
        let at: Timestamp = "2026-01-12T11:05:00Z".parse().unwrap();
        assert_eq!(time(at), "2026-01-12 11:05:00");
        for text in ["2026-01-12 11:05:00", "2026-01-12T11:05:00+00:00", "2026-01-12T14:05:00+03:00"] {
            assert_eq!(read_time(text), Some(at), "{text}");
        }
        assert_eq!(read_time("yesterday"), None);
    }

    #[test]
    fn a_customers_contact_has_always_the_same_id_and_not_theirs() {
        let customer = CustomerId(Uuid::from_u128(7));
        assert_eq!(contact_id(customer), contact_id(customer));
        assert_ne!(contact_id(customer), customer.0);
        assert_ne!(contact_id(customer), contact_id(CustomerId(Uuid::from_u128(8))));
    }
}
