//! The fields that `snova crm prepare` makes or names: what is told on contacts, and what visits have beside their text.

use super::Dialect;
use super::rows::{Holds, Words, record_columns, told_columns};
use crate::crm::{Finding, Verdict};

/// A column that Snova can fill.
pub(super) struct Wanted {
    /// Its key in the configuration.
    pub key: &'static str,
    pub holds: Holds,
    pub name: String,
}

fn wanted<const N: usize>(
    columns: [(&'static str, Holds, Option<&str>); N],
    named: impl Fn(&str) -> String,
) -> Vec<Wanted> {
    let one = |(key, holds, own): (&'static str, Holds, Option<&str>)| Wanted {
        key,
        holds,
        name: own.map_or_else(|| named(key), str::to_owned),
    };
    columns.into_iter().map(one).collect()
}

/// The columns of contacts and those of visits: by the configuration's names, or by those that `named` gives.
pub(super) fn all(words: &Words, named: impl Fn(&str) -> String) -> (Vec<Wanted>, Vec<Wanted>) {
    (wanted(told_columns(&words.told), &named), wanted(record_columns(&words.record), &named))
}

/// What to put into the configuration.
pub(super) fn configuration<D: Dialect>(own: &D, told: &[Wanted], record: &[Wanted]) -> Finding {
    let section = own.words().section;
    let lines = |part: &str, columns: &[Wanted]| {
        let lines: String = columns.iter().map(|column| format!("{} = \"{}\"\n", column.key, column.name)).collect();
        format!("[crm.{section}.{part}]\n{lines}")
    };
    let remedy = format!("{}{}", lines("told", told), lines("record", record)).trim_end().to_owned();
    let what =
        "the fields that Snova can fill; each is filled only while its line stands in the configuration".to_owned();
    Finding { verdict: Verdict::Good, what, remedy }
}

/// What an administrator is told to make.
pub(super) fn kind(holds: Holds) -> &'static str {
    match holds {
        Holds::Text => "a text of 250 characters",
        Holds::Time => "a date and time",
        Holds::Day => "a date",
        Holds::Whole => "a whole number",
        Holds::Decimal => "a decimal number with two places",
    }
}
