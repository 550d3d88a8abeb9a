//! Rows of contacts and visits in our words: what their columns are called, what is read from them and written to them.
//!
//! Which columns a vendor has beside those that the configuration names is in its [`Words`].

use jiff::civil::Date;
use serde_json::{Map, Value, json};

use super::wire;
use crate::crm::{
    ConsentWord, Contact, ContactFields, ContactId, NewContact, RecordFields, Told, ToldFields, VisitRecord,
};

/// How a choice, a lookup or a number of Dynamics is shown to people.
const SHOWN: &str = "OData.Community.Display.V1.FormattedValue";
/// The state of a contact of Dynamics that was deactivated, as one that was merged into another is.
const INACTIVE: i64 = 1;

/// What a vendor's tables and columns are called.
pub struct Words {
    pub vendor: &'static str,
    /// Behind `crm.` in the configuration.
    pub section: &'static str,
    /// Between the site's address and the entity sets.
    pub root: &'static str,
    /// The most of a filter, encoded.
    pub filter_chars: usize,
    /// Whether an answer to a creation shows the row.
    pub shows_rows: bool,
    pub contacts: &'static str,
    pub contact_id: &'static str,
    pub given: &'static str,
    pub family: &'static str,
    /// Where the whole name is demanded beside its parts.
    pub full_name: Option<&'static str>,
    pub phones: &'static [&'static str],
    pub emails: &'static [&'static str],
    /// Of a contact, beside those: its owner, its state.
    pub more: &'static [&'static str],
    pub expand: &'static [&'static str],
    pub visits: String,
    pub visit_id: String,
    /// The contact of a visit in its row, and in a filter.
    pub visit_contact: String,
    pub visit_of: String,
    pub visit_at: String,
    /// Whether it is open, or void.
    pub visit_state: String,
    /// The column in which the mark stands; `None` where the table is Snova's alone.
    pub marked_in: Option<&'static str>,
    pub fields: ContactFields,
    /// A column of contacts with the phone in E.164.
    pub phone_e164: Option<String>,
    pub told: ToldFields,
    pub record: RecordFields,
    /// How a column that holds a day is written.
    pub day: fn(Date) -> String,
}

/// What a column made for Snova holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    Text,
    Time,
    Day,
    Whole,
    Decimal,
}

/// The columns of `told`, by key: what they hold, and their names where they have one.
pub(super) fn told_columns(told: &ToldFields) -> [(&'static str, Holds, Option<&str>); 9] {
    [
        ("first_visit", Holds::Time, told.first_visit.as_deref()),
        ("last_visit", Holds::Time, told.last_visit.as_deref()),
        ("late_since", Holds::Day, told.late_since.as_deref()),
        ("consent", Holds::Text, told.consent.as_deref()),
        ("consent_until", Holds::Day, told.consent_until.as_deref()),
        ("source", Holds::Text, told.source.as_deref()),
        ("visits_30", Holds::Whole, told.visits_30.as_deref()),
        ("visits_90", Holds::Whole, told.visits_90.as_deref()),
        ("home_store", Holds::Text, told.home_store.as_deref()),
    ]
}

/// The columns of `record`, likewise.
pub(super) fn record_columns(record: &RecordFields) -> [(&'static str, Holds, Option<&str>); 7] {
    [
        ("store", Holds::Text, record.store.as_deref()),
        ("counter", Holds::Text, record.counter.as_deref()),
        ("how", Holds::Text, record.how.as_deref()),
        ("served_by", Holds::Text, record.served_by.as_deref()),
        ("receipt", Holds::Text, record.receipt.as_deref()),
        ("sum", Holds::Decimal, record.sum.as_deref()),
        ("greeting", Holds::Text, record.greeting.as_deref()),
    ]
}

/// The columns of contacts that the configuration names for the till.
pub(super) fn card_columns(words: &Words) -> impl Iterator<Item = &str> {
    words.fields.card().map(|(_, name)| name).chain(words.phone_e164.as_deref())
}

/// `$select` and `$expand` of contacts. A mapped name such as "UsrTier.Name" is a column of what a lookup leads to.
pub(super) fn contact_columns(words: &Words) -> (String, String) {
    let mut select = vec![words.contact_id, words.given, words.family];
    select.extend([words.phones, words.emails, words.more].concat());
    let mut expand: Vec<String> = words.expand.iter().map(|&link| link.to_owned()).collect();
    let told = told_columns(&words.told);
    let told = told.iter().filter_map(|(_, _, name)| *name);
    for name in words.fields.external_id.as_deref().into_iter().chain(card_columns(words)).chain(told) {
        match name.split_once('.') {
            Some((lookup, column)) => expand.push(format!("{lookup}($select={column})")),
            None if select.contains(&name) => {}
            None => select.push(name),
        }
    }
    (select.join(","), expand.join(","))
}

/// A text of a row that is not empty.
fn own(value: &Value) -> Option<String> {
    value.as_str().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
}

/// Whether a contact's row is there and is nobody who was deactivated or merged.
pub(super) fn lives(row: &Value) -> bool {
    row["statecode"] != INACTIVE
}

/// A row of contacts in our words; `None` for one without an id. Of one that was deleted only the id is left.
pub(super) fn contact(row: &Value, words: &Words) -> Option<Contact> {
    if row["reason"].is_string() {
        let id = row["id"].as_str()?;
        // The id alone, or within an address.
        let id = id.rsplit_once('(').map_or(id, |(_, rest)| rest.trim_end_matches(')'));
        return Some(Contact { id: id.to_owned(), deleted: true, ..Contact::default() });
    }
    let value = |name: &str| match name.split_once('.') {
        Some((lookup, column)) => &row[lookup][column],
        None => &row[name],
    };
    let text = |name: &str| own(value(name));
    // A choice is a number, and its name stands beside it.
    let shown = |name: &str| own(&row[format!("{name}@{SHOWN}")]);
    let raw = |field: &Option<String>| field.as_deref().and_then(text);
    let mapped = |field: &Option<String>| field.as_deref().and_then(|name| shown(name).or_else(|| text(name)));
    let at = |field: &Option<String>| raw(field).and_then(|text| wire::read_time(&text));
    // A day may come as a time at midnight; its zone must not move it to the day before.
    let day = |field: &Option<String>| {
        raw(field).and_then(|text| text.get(..10)?.parse().ok()).filter(|day: &Date| day.year() > 1)
    };
    let number = |field: &Option<String>| {
        let number = field.as_deref().and_then(|name| value(name).as_f64());
        number.map(|count| count.clamp(0.0, f64::from(u32::MAX)) as u32)
    };
    let (fields, told) = (&words.fields, &words.told);
    let consent = raw(&told.consent);
    Some(Contact {
        id: wire::id(row, words.contact_id)?.to_string(),
        external_id: raw(&fields.external_id),
        phones: words.phones.iter().filter_map(|name| text(name)).chain(raw(&words.phone_e164)).collect(),
        emails: words.emails.iter().filter_map(|name| text(name)).collect(),
        given: text(words.given),
        patronymic: raw(&fields.patronymic),
        family: text(words.family),
        tier: mapped(&fields.tier),
        owner: own(&row["Owner"]["Name"]).or_else(|| shown("_ownerid_value")),
        notes: mapped(&fields.notes),
        offer: mapped(&fields.offer),
        birthday: day(&fields.birthday),
        visits: number(&fields.visits),
        last_visit: at(&fields.last_visit),
        deleted: !lives(row),
        master: wire::id(row, "_masterid_value").map(|id| ContactId(id.to_string())),
        told: Told {
            first_visit: at(&told.first_visit),
            last_visit: at(&told.last_visit),
            late_since: day(&told.late_since),
            consent: [ConsentWord::Live, ConsentWord::Ended]
                .into_iter()
                .find(|word| consent.as_deref() == Some(word.as_str())),
            consent_until: day(&told.consent_until),
            source: raw(&told.source),
            visits_30: number(&told.visits_30),
            visits_90: number(&told.visits_90),
            home_store: raw(&told.home_store),
        },
    })
}

/// What is written of a contact beside its mark.
pub(super) fn told(told: &Told, words: &Words) -> Value {
    let values = [
        told.first_visit.map(|at| json!(wire::time(at))),
        told.last_visit.map(|at| json!(wire::time(at))),
        told.late_since.map(|day| json!((words.day)(day))),
        told.consent.map(|word| json!(word.as_str())),
        told.consent_until.map(|day| json!((words.day)(day))),
        told.source.clone().map(Value::from),
        told.visits_30.map(Value::from),
        told.visits_90.map(Value::from),
        told.home_store.clone().map(Value::from),
    ];
    let columns = told_columns(&words.told);
    let named =
        columns.into_iter().zip(values).filter_map(|((_, _, name), value)| Some((name?.to_owned(), value.into())));
    Value::Object(named.collect())
}

/// What of a visit has a column of its own by the configuration.
pub(super) fn particulars(visit: &VisitRecord, words: &Words) -> Map<String, Value> {
    let text = |text: &str| Some(Value::from(text));
    let values = [
        text(&visit.shop),
        text(&visit.counter.to_string()),
        text(visit.how.as_str()),
        visit.served_by.as_deref().and_then(text),
        visit.receipt.as_ref().and_then(|receipt| text(&receipt.number)),
        visit.receipt.as_ref().map(|receipt| json!(receipt.sum as f64 / 100.0)),
        visit.greeting.and_then(|greeting| text(greeting.as_str())),
    ];
    let columns = record_columns(&words.record);
    columns.into_iter().zip(values).filter_map(|((_, _, name), value)| Some((name?.to_owned(), value?))).collect()
}

/// A contact to be created; its key stands elsewhere.
pub(super) fn new_contact(new: &NewContact, words: &Words) -> Map<String, Value> {
    let parts = [new.family.as_deref(), Some(&*new.given), new.patronymic.as_deref()];
    let name = parts.into_iter().flatten().collect::<Vec<_>>().join(" ");
    let optional = [
        (words.full_name, Some(&*name)),
        (Some(words.given), Some(&*new.given)),
        (Some(words.family), new.family.as_deref()),
        (words.fields.patronymic.as_deref(), new.patronymic.as_deref()),
        (words.phones.first().copied(), new.phone.as_deref()),
        (words.phone_e164.as_deref(), new.phone.as_deref()),
        (words.emails.first().copied(), new.email.as_deref()),
        (words.fields.external_id.as_deref(), Some(&*new.mark)),
        (words.told.source.as_deref(), Some("Snova")),
    ];
    optional.into_iter().filter_map(|(field, value)| Some((field?.to_owned(), value?.into()))).collect()
}
