//! The fields of the family's contacts and meetings: what they are called, how they are read and what is written into them.
//!
//! Which requests carry them is each member's.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::crm::{
    ConsentWord, Contact, ContactFields, ContactId, Failure, NewContact, RecordFields, Standing, Told, ToldFields,
    VisitRecord, mark,
};
use crate::customer::Country;
use crate::i18n::Language;

pub(super) const CONTACTS: &str = "Contacts";
pub(super) const MEETINGS: &str = "Meetings";
/// The fields of a contact that hold phones.
pub(super) const PHONES: [&str; 4] = ["phone_mobile", "phone_work", "phone_home", "phone_other"];
/// A meeting that was held, and one that is taken back.
const HELD: &str = "Held";
pub(super) const VOID: &str = "Not Held";
/// The family's subject of a meeting holds no more.
const SUBJECT_CHARS: usize = 50;

/// Values to be written, by field; an empty text empties it.
pub(super) type Values = Map<String, Value>;

/// A row of a module in one form: values as texts, as people typed them.
#[derive(Clone, Default)]
pub(super) struct Row {
    pub id: String,
    pub deleted: bool,
    pub values: BTreeMap<String, String>,
    pub emails: Vec<String>,
}

impl Row {
    pub fn text(&self, name: &str) -> Option<&str> {
        Some(self.values.get(name)?.trim()).filter(|text| !text.is_empty())
    }

    fn mapped(&self, field: &Option<String>) -> Option<&str> {
        field.as_deref().and_then(|name| self.text(name))
    }

    fn time(&self, field: &Option<String>) -> Option<Timestamp> {
        self.mapped(field).and_then(read_time)
    }

    fn count(&self, field: &Option<String>) -> Option<u32> {
        let count = self.mapped(field)?.parse::<f64>().ok()?;
        Some(count.clamp(0.0, f64::from(u32::MAX)) as u32)
    }
}

/// What Studio calls a kind of field.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Text(usize),
    DateTime,
    Date,
    Integer,
    Decimal,
}

/// A value that Snova writes, if its field has a name: the key in the configuration, its kind, that name.
pub(super) type Written<'a> = (&'static str, Kind, Option<&'a str>);

/// What one member calls things.
pub(super) struct Shape {
    /// "SuiteCRM".
    pub vendor: &'static str,
    /// "crm.suitecrm".
    pub section: &'static str,
    pub fields: ContactFields,
    pub told: ToldFields,
    pub record: RecordFields,
    /// The meetings' field for the key, where their id is not the key.
    pub key_field: Option<String>,
    pub time: fn(Timestamp) -> String,
    pub language: Language,
    pub country: Option<Country>,
}

/// Times come with an offset, or in UTC with a space.
pub(super) fn read_time(text: &str) -> Option<Timestamp> {
    text.parse().ok().or_else(|| {
        let plain = DateTime::strptime("%Y-%m-%d %H:%M:%S", text).ok()?;
        Some(plain.to_zoned(TimeZone::UTC).ok()?.timestamp())
    })
}

impl Shape {
    pub fn external_id(&self) -> Result<&str, Failure> {
        let missing =
            || Failure::blocked(format!("external_id in [{}.fields] is empty; name the field", self.section), None);
        self.plain(self.fields.external_id.as_deref().filter(|name| !name.is_empty()).ok_or_else(missing)?)
    }

    /// Names of fields become parts of addresses and of questions in SQL.
    fn plain<'a>(&self, name: &'a str) -> Result<&'a str, Failure> {
        if name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Ok(name);
        }
        let (section, vendor) = (self.section, self.vendor);
        let said =
            format!("a field in [{section}] is not named as {vendor} names fields: letters, digits and _; correct it");
        Err(Failure::blocked(said, None))
    }

    /// The fields of a card that have a name.
    pub fn card(&self) -> impl Iterator<Item = &str> {
        self.fields.card().map(|(_, name)| name)
    }

    pub fn told_fields(&self) -> [Written<'_>; 9] {
        let own = &self.told;
        [
            ("first_visit", Kind::DateTime, own.first_visit.as_deref()),
            ("last_visit", Kind::DateTime, own.last_visit.as_deref()),
            ("late_since", Kind::Date, own.late_since.as_deref()),
            ("consent", Kind::Text(20), own.consent.as_deref()),
            ("consent_until", Kind::Date, own.consent_until.as_deref()),
            ("source", Kind::Text(50), own.source.as_deref()),
            ("visits_30", Kind::Integer, own.visits_30.as_deref()),
            ("visits_90", Kind::Integer, own.visits_90.as_deref()),
            ("home_store", Kind::Text(100), own.home_store.as_deref()),
        ]
    }

    pub fn record_fields(&self) -> [Written<'_>; 7] {
        let own = &self.record;
        [
            ("store", Kind::Text(100), own.store.as_deref()),
            ("counter", Kind::Text(50), own.counter.as_deref()),
            ("how", Kind::Text(20), own.how.as_deref()),
            ("served_by", Kind::Text(100), own.served_by.as_deref()),
            ("receipt", Kind::Text(50), own.receipt.as_deref()),
            ("sum", Kind::Decimal, own.sum.as_deref()),
            ("greeting", Kind::Text(20), own.greeting.as_deref()),
        ]
    }

    /// The fields of a contact that are read.
    pub fn contact_columns(&self) -> Result<Vec<String>, Failure> {
        let own = ["first_name", "last_name", "email1", "assigned_user_name", "date_modified", self.external_id()?];
        let told = self.told_fields().into_iter().filter_map(|(.., name)| name);
        let mut all = Vec::new();
        for name in own.into_iter().chain(PHONES).chain(self.card()).chain(told) {
            let name = self.plain(name)?.to_owned();
            if !all.contains(&name) {
                all.push(name);
            }
        }
        Ok(all)
    }

    /// The fields of a meeting that are read.
    pub fn meeting_columns(&self) -> Vec<String> {
        let own = ["description", "status", "date_start"].into_iter().chain(self.record.store.as_deref());
        own.chain(self.key_field.as_deref()).map(str::to_owned).collect()
    }

    pub fn contact(&self, row: &Row) -> Contact {
        let (fields, told) = (&self.fields, &self.told);
        let text = |name: &str| row.text(name).map(str::to_owned);
        let mapped = |field: &Option<String>| row.mapped(field).map(str::to_owned);
        let date = |field: &Option<String>| row.mapped(field).and_then(|date| date.parse().ok());
        let consent = [ConsentWord::Live, ConsentWord::Ended];
        Contact {
            id: row.id.clone(),
            external_id: mapped(&fields.external_id),
            phones: PHONES.iter().filter_map(|name| text(name)).collect(),
            emails: row.emails.clone(),
            given: text("first_name"),
            patronymic: mapped(&fields.patronymic),
            family: text("last_name"),
            tier: mapped(&fields.tier),
            owner: text("assigned_user_name"),
            notes: mapped(&fields.notes),
            offer: mapped(&fields.offer),
            birthday: date(&fields.birthday),
            visits: row.count(&fields.visits),
            last_visit: row.time(&fields.last_visit),
            deleted: row.deleted,
            master: None,
            told: Told {
                first_visit: row.time(&told.first_visit),
                last_visit: row.time(&told.last_visit),
                late_since: date(&told.late_since),
                consent: row
                    .mapped(&told.consent)
                    .and_then(|word| consent.into_iter().find(|consent| consent.as_str() == word)),
                consent_until: date(&told.consent_until),
                source: mapped(&told.source),
                visits_30: row.count(&told.visits_30),
                visits_90: row.count(&told.visits_90),
                home_store: mapped(&told.home_store),
            },
        }
    }

    /// A new contact's values, without its id.
    pub fn new_contact(&self, new: &NewContact) -> Result<Values, Failure> {
        let mut values = Values::new();
        let mut put = |name: &str, value: &str| values.insert(name.to_owned(), value.into());
        put("first_name", &new.given);
        // A contact has a surname there, whatever people have.
        put("last_name", new.family.as_ref().unwrap_or(&new.given));
        put(self.external_id()?, &new.mark);
        let patronymic = self.fields.patronymic.as_deref().filter(|field| !field.is_empty());
        let source = self.told.source.as_deref();
        for (field, value) in [
            (patronymic, new.patronymic.as_deref()),
            (Some("phone_mobile"), new.phone.as_deref()),
            (Some("email1"), new.email.as_deref()),
            (source, Some("Snova")),
        ] {
            if let (Some(field), Some(value)) = (field, value) {
                put(self.plain(field)?, value);
            }
        }
        Ok(values)
    }

    /// What a meeting says, which may be written again later.
    pub fn words(&self, visit: &VisitRecord) -> Values {
        let mut values = Values::new();
        let title: String = visit.title(self.language).chars().take(SUBJECT_CHARS).collect();
        values.insert("name".to_owned(), title.into());
        values.insert("description".to_owned(), visit.text(self.language).into());
        let receipt = visit.receipt.as_ref();
        let said = [
            Some(visit.shop.clone()),
            Some(visit.counter.to_string()),
            Some(visit.how.as_str().to_owned()),
            visit.served_by.clone(),
            receipt.map(|receipt| receipt.number.clone()),
            receipt.map(|receipt| receipt.decimal()),
            visit.greeting.map(|greeting| greeting.as_str().to_owned()),
        ];
        for ((.., name), said) in self.record_fields().into_iter().zip(said) {
            if let (Some(name), Some(said)) = (name, said) {
                values.insert(name.to_owned(), said.into());
            }
        }
        values
    }

    /// A meeting's values, without its id. `owner` is a user's id.
    pub fn meeting(&self, visit: &VisitRecord, owner: Option<&str>) -> Values {
        let minutes = visit.minutes();
        let mut values = self.words(visit);
        let own = [
            ("status", HELD.to_owned()),
            ("date_start", (self.time)(visit.opened_at.at)),
            ("date_end", (self.time)(visit.closed_at.at.max(visit.opened_at.at))),
            ("duration_hours", (minutes / 60).to_string()),
            ("duration_minutes", (minutes % 60).to_string()),
            ("parent_type", CONTACTS.to_owned()),
            ("parent_id", visit.contact.0.clone()),
        ];
        values.extend(own.into_iter().map(|(name, value)| (name.to_owned(), value.into())));
        values.extend(owner.map(|owner| ("assigned_user_id".to_owned(), owner.into())));
        values
    }

    /// What is written on a contact: each value whose field has a name, and nothing where there is none.
    pub fn told(&self, told: &Told) -> Values {
        let time = |at: Option<Timestamp>| at.map(self.time);
        let said = [
            time(told.first_visit),
            time(told.last_visit),
            told.late_since.map(|date| date.to_string()),
            told.consent.map(|word| word.as_str().to_owned()),
            told.consent_until.map(|date| date.to_string()),
            told.source.clone(),
            told.visits_30.map(|count| count.to_string()),
            told.visits_90.map(|count| count.to_string()),
            told.home_store.clone(),
        ];
        let named = self.told_fields().into_iter().zip(said);
        named.filter_map(|((.., name), said)| Some((name?.to_owned(), said.unwrap_or_default().into()))).collect()
    }

    /// A meeting of ours on a contact; `None` for other people's, and for one that has lost its time.
    pub fn standing(&self, row: &Row) -> Option<Standing> {
        let said = row.text("description").unwrap_or_default();
        let by_field = row.mapped(&self.key_field).and_then(|key| Uuid::try_parse(key).ok());
        // Where the id is the key, every meeting has a UUID: ours says so.
        let by_id = || Uuid::try_parse(&row.id).ok().filter(|key| said.contains(&mark(*key)));
        let by_mark = || Uuid::try_parse(said.split_once("#visit:")?.1.get(..36)?).ok();
        let key = by_field.or_else(by_id).or_else(|| self.key_field.as_ref().and_then(|_| by_mark()))?;
        Some(Standing {
            key,
            opened_at: row.text("date_start").and_then(read_time)?,
            store: row.mapped(&self.record.store).map(str::to_owned),
            void: row.text("status") == Some(VOID),
        })
    }

    pub fn not_kept(&self, field: &str) -> Failure {
        let vendor = self.vendor;
        let said =
            format!("{vendor} did not keep the field {field} of a contact; create it, and run `snova crm probe`");
        Failure::blocked(said, None)
    }

    pub fn gone(&self, contact: &ContactId) -> Failure {
        Failure::contact_gone(format!("the contact {contact} is not in {} any more, or in its bin", self.vendor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_each_form_that_the_family_answers_in() {
        let at: Timestamp = "2026-01-12T11:05:00Z".parse().unwrap();
        for text in ["2026-01-12 11:05:00", "2026-01-12T11:05:00+00:00", "2026-01-12T14:05:00+03:00"] {
            assert_eq!(read_time(text), Some(at), "{text}");
        }
        assert_eq!(read_time("yesterday"), None);
    }
}
