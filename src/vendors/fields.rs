//! The fields that Snova may fill in a CRM beside its mark: their keys here, what they hold, and what an administrator reads
//! on them.
//!
//! How a vendor makes and writes them is its own.

use jiff::Timestamp;
use jiff::civil::Date;

use crate::crm::{Finding, RecordFields, Told, ToldFields};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Time,
    Date,
    Text,
    Number,
    Sum,
    YesNo,
}

/// A field of ours, and what the CRM calls it where the configuration says so.
pub(super) struct Field<'a> {
    pub key: &'static str,
    /// Short enough for a name of 13 letters with `SNOVA_` before it.
    pub code: &'static str,
    pub kind: Kind,
    /// For the administrator, as the field's heading in the CRM.
    pub label: &'static str,
    pub name: Option<&'a str>,
}

/// A value of [`Told`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Time(Timestamp),
    Date(Date),
    Text(&'a str),
    Number(u32),
}

macro_rules! field {
    ($fields:ident, $key:ident, $code:literal, $kind:ident, $label:literal) => {
        Field { key: stringify!($key), code: $code, kind: Kind::$kind, label: $label, name: $fields.$key.as_deref() }
    };
}

pub(super) fn of_contact(told: &ToldFields) -> [Field<'_>; 9] {
    [
        field!(told, first_visit, "FIRST", Time, "Первый визит"),
        field!(told, last_visit, "LAST", Time, "Последний визит"),
        field!(told, late_since, "LATE", Date, "Не приходит с"),
        field!(told, consent, "CONSENT", Text, "Согласие"),
        field!(told, consent_until, "UNTIL", Date, "Согласие до"),
        field!(told, source, "SOURCE", Text, "Откуда пришёл"),
        field!(told, visits_30, "V30", Number, "Визитов за 30 дней"),
        field!(told, visits_90, "V90", Number, "Визитов за 90 дней"),
        field!(told, home_store, "HOME", Text, "Свой магазин"),
    ]
}

pub(super) fn of_visit(record: &RecordFields) -> [Field<'_>; 7] {
    [
        field!(record, store, "STORE", Text, "Магазин"),
        field!(record, counter, "COUNTER", Text, "Касса"),
        field!(record, how, "HOW", Text, "Как узнан"),
        field!(record, served_by, "SERVED", Text, "Кто обслужил"),
        field!(record, receipt, "RECEIPT", Text, "Номер чека"),
        field!(record, sum, "SUM", Sum, "Сумма чека"),
        field!(record, greeting, "GREETING", Text, "Приветствие верное"),
    ]
}

/// Of each named field its value, or nothing, which empties it.
pub(super) fn values<'a>(fields: &'a ToldFields, told: &'a Told) -> Vec<(&'a str, Option<Value<'a>>)> {
    let time = |at: Option<Timestamp>| at.map(Value::Time);
    let date = |date: Option<Date>| date.map(Value::Date);
    let number = |count: Option<u32>| count.map(Value::Number);
    let all = [
        (&fields.first_visit, time(told.first_visit)),
        (&fields.last_visit, time(told.last_visit)),
        (&fields.late_since, date(told.late_since)),
        (&fields.consent, told.consent.map(|word| Value::Text(word.as_str()))),
        (&fields.consent_until, date(told.consent_until)),
        (&fields.source, told.source.as_deref().map(Value::Text)),
        (&fields.visits_30, number(told.visits_30)),
        (&fields.visits_90, number(told.visits_90)),
        (&fields.home_store, told.home_store.as_deref().map(Value::Text)),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name.as_deref()?, value))).collect()
}

/// What must be read back once `told` was written: what has no field is not there, and CRMs keep whole seconds.
pub(super) fn kept(fields: &ToldFields, told: &Told) -> Told {
    let seconds = |at: Option<Timestamp>| at.and_then(|at| Timestamp::from_second(at.as_second()).ok());
    let text = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
    Told {
        first_visit: fields.first_visit.as_ref().and(seconds(told.first_visit)),
        last_visit: fields.last_visit.as_ref().and(seconds(told.last_visit)),
        late_since: fields.late_since.as_ref().and(told.late_since),
        consent: fields.consent.as_ref().and(told.consent),
        consent_until: fields.consent_until.as_ref().and(told.consent_until),
        source: fields.source.as_ref().and(text(&told.source)),
        visits_30: fields.visits_30.as_ref().and(told.visits_30),
        visits_90: fields.visits_90.as_ref().and(told.visits_90),
        home_store: fields.home_store.as_ref().and(text(&told.home_store)),
    }
}

/// A section of the configuration with the names that its keys have in the CRM, to be pasted.
pub(super) fn section(name: &str, named: &[(&'static str, String)]) -> String {
    let lines: String = named.iter().map(|(key, name)| format!("\n{key} = \"{name}\"")).collect();
    if named.is_empty() { String::new() } else { format!("[{name}]{lines}") }
}

/// What is left to be put into the configuration once the fields are there.
pub(super) fn to_paste(sections: &[String]) -> Finding {
    let sections: Vec<&str> = sections.iter().map(String::as_str).filter(|section| !section.is_empty()).collect();
    let what = match sections.as_slice() {
        [] => "the configuration names every field that is there",
        _ => "put into the configuration what is to be written, and leave out what is not",
    };
    Finding { remedy: sections.join("\n"), ..Finding::good(what) }
}
