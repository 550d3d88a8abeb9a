//! The name that is greeted: the one that the customer consented with, and what a CRM has of it in full.
//!
//! The phrase is `crate::greeting`'s.

use super::written::{Token, Words, Written};
use super::{Agreement, judge};
use crate::customer::PersonName;

/// `ours`, with the parts that `theirs` has and ours lacks or only has the first letter of; unchanged where the names do
/// not agree. Gender, form of address and spoken form stay ours, and so does the given name they were told for.
pub fn greeted(ours: &PersonName, theirs: Written) -> PersonName {
    let words = Words::of(Written::of(ours));
    let is_whole =
        |part: &Option<String>| part.as_deref().is_some_and(|part| part.chars().nth(1).is_some_and(|c| c != '.'));
    if words.tokens.iter().all(|token| !token.is_initial) && is_whole(&ours.patronymic) && is_whole(&ours.family) {
        return ours.clone();
    }
    let theirs = Words::of(theirs);
    let (Agreement::Agree, Some((known, told))) = judge((&words, ours.gender), (&theirs, None)) else {
        return ours.clone();
    };
    let mut name = ours.clone();
    let given = known.given.map(|given| (given, told.given));
    if let Some((initial, Some(given))) = given
        && initial.is_initial
        && !given.is_initial
        && ours.given.chars().filter(|c| c.is_alphabetic()).count() == 1
    {
        name.given = cased(given);
    }
    // No «Саша Петрович», no «Пётр Сергійович», and no name in two alphabets.
    let is_one_name = |a: &Token, b: &Token| a.is_initial || a.word.fold == b.word.fold;
    let is_one_script = |part: &Token| given.is_none_or(|(given, _)| given.word.script == part.word.script);
    let fuller = |ours: &Option<String>, known: Option<&Token>, told: Option<&Token>| -> Option<String> {
        let lacks = ours.is_none() && known.is_none() || known.is_some_and(|known| known.is_initial);
        told.filter(|told| lacks && !told.is_initial && is_one_script(told)).map(cased)
    };
    let matches = given.is_some_and(|(ours, theirs)| theirs.is_some_and(|theirs| is_one_name(ours, theirs)));
    let has_father = told.patronymic.is_some_and(|patronymic| patronymic.patronymic.is_some());
    if matches && has_father {
        name.patronymic = fuller(&ours.patronymic, known.patronymic, told.patronymic).or(name.patronymic);
    }
    name.family = fuller(&ours.family, known.family, told.family).or(name.family);
    name.checked().unwrap_or_else(|_| ours.clone())
}

/// A part as it was typed, but for one typed in large letters only, or in small ones.
fn cased(token: &Token) -> String {
    let raw = &token.word.raw;
    let letters = || raw.chars().filter(|c| c.is_alphabetic());
    if letters().any(char::is_uppercase) && letters().any(char::is_lowercase) {
        return raw.clone();
    }
    let mut starts = true;
    raw.chars()
        .flat_map(|c| {
            let cased: Vec<char> = if starts { c.to_uppercase().collect() } else { c.to_lowercase().collect() };
            starts = c == '-';
            cased
        })
        .collect()
}
