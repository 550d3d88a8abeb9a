//! The phrase for the customer at the counter: language, time of day, form of address.
//!
//! Who is greeted and when is `crate::greeter`'s; the other words on the screen are `crate::i18n`'s; the
//! Ukrainian vocative has its own file, `vocative`.
//!
//! The etiquette, in the order in which it decides:
//!
//! 1. What the customer asked to be called (`PersonName::spoken`) replaces every rule below.
//! 2. A returning regular hears that they are known, whatever the hour: «И снова здравствуйте, Иван
//!    Петрович!» Anyone else is greeted by the time of day.
//! 3. «Доброй ночи», «На добраніч» and "Good night" are farewells, so the night has a greeting without a
//!    time in it.
//! 4. A name is never shortened, never transliterated and never taken apart: a Latin-script name stays
//!    Latin in a Cyrillic phrase, and the other way round. A surname is said only where the customer
//!    chose the form with a title.
//! 5. A title needs a grammatical gender. It is the one on record or the one in the patronymic; without
//!    either, the title is left out rather than guessed.
//! 6. Russian addresses in the nominative. Ukrainian addresses in the vocative, all parts of it or none:
//!    where one part cannot be inflected with certainty, the whole name stays in the nominative.

mod vocative;

use crate::customer::{FormOfAddress, Gender, PersonName};
use crate::i18n::Language;

/// A part of the day that has a greeting of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PartOfDay {
    Morning,
    Day,
    Evening,
    Night,
}

/// The local hours at which the parts of the day begin, in ascending order. `night_from` may be 24: then
/// the evening lasts until midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayHours {
    pub morning_from: u8,
    pub day_from: u8,
    pub evening_from: u8,
    pub night_from: u8,
}

impl Default for DayHours {
    fn default() -> Self {
        Self { morning_from: 5, day_from: 12, evening_from: 18, night_from: 23 }
    }
}

impl DayHours {
    /// The part of the day that the local `hour` (0 to 23) belongs to.
    pub fn part_at(&self, hour: u8) -> PartOfDay {
        if hour < self.morning_from || hour >= self.night_from {
            PartOfDay::Night
        } else if hour < self.day_from {
            PartOfDay::Morning
        } else if hour < self.evening_from {
            PartOfDay::Day
        } else {
            PartOfDay::Evening
        }
    }
}

/// The greeting at the local `hour` (0 to 23) with the usual [`DayHours`]. `again` says that a visit of
/// this customer before the present one is on record.
pub fn greet(name: &PersonName, language: Language, hour: u8, again: bool) -> String {
    greet_at(name, language, DayHours::default().part_at(hour), again)
}

/// The greeting in a part of the day; never empty.
pub fn greet_at(name: &PersonName, language: Language, part: PartOfDay, again: bool) -> String {
    let opening = opening(language, part, again);
    let address = address(name, language);
    if address.is_empty() { format!("{opening}!") } else { format!("{opening}, {address}!") }
}

/// How the customer is addressed: the name part of the greeting. Empty only for a name without a letter
/// in it, which [`PersonName::checked`] refuses.
pub fn address(name: &PersonName, language: Language) -> String {
    if let Some(spoken) = said(name.spoken.as_deref()) {
        return spoken.to_owned();
    }
    match name.form {
        FormOfAddress::TitleFamily => {
            titled(name, language).unwrap_or_else(|| by_given_name(name, said(name.patronymic.as_deref()), language))
        }
        FormOfAddress::GivenPatronymic => by_given_name(name, said(name.patronymic.as_deref()), language),
        FormOfAddress::Given => by_given_name(name, None, language),
    }
}

fn opening(language: Language, part: PartOfDay, again: bool) -> &'static str {
    match (language, again, part) {
        (Language::Russian, true, _) => "И снова здравствуйте",
        (Language::Russian, false, PartOfDay::Morning) => "Доброе утро",
        (Language::Russian, false, PartOfDay::Day) => "Добрый день",
        (Language::Russian, false, PartOfDay::Evening) => "Добрый вечер",
        (Language::Russian, false, PartOfDay::Night) => "Здравствуйте",
        (Language::Ukrainian, true, _) => "І знову вітаємо",
        (Language::Ukrainian, false, PartOfDay::Morning) => "Доброго ранку",
        (Language::Ukrainian, false, PartOfDay::Day) => "Доброго дня",
        (Language::Ukrainian, false, PartOfDay::Evening) => "Доброго вечора",
        (Language::Ukrainian, false, PartOfDay::Night) => "Вітаємо",
        (Language::English, true, _) => "Welcome back",
        (Language::English, false, PartOfDay::Morning) => "Good morning",
        (Language::English, false, PartOfDay::Day) => "Good afternoon",
        (Language::English, false, PartOfDay::Evening) => "Good evening",
        (Language::English, false, PartOfDay::Night) => "Hello",
    }
}

fn by_given_name(name: &PersonName, patronymic: Option<&str>, language: Language) -> String {
    let given = name.given.trim();
    if language == Language::Ukrainian {
        let gender = name.gender.or_else(|| name.patronymic.as_deref().and_then(vocative::gender_of_patronymic));
        let inflected = match patronymic {
            Some(patronymic) => vocative::given_and_patronymic(given, patronymic, gender),
            None => vocative::given(given, gender),
        };
        if let Some(inflected) = inflected {
            return inflected;
        }
    }
    patronymic.map_or_else(|| given.to_owned(), |patronymic| format!("{given} {patronymic}").trim().to_owned())
}

fn titled(name: &PersonName, language: Language) -> Option<String> {
    let family = said(name.family.as_deref())?;
    let gender = name.gender.or_else(|| name.patronymic.as_deref().and_then(vocative::gender_of_patronymic))?;
    let title = match (language, gender) {
        (Language::Russian, Gender::Masculine) => "господин",
        (Language::Russian, Gender::Feminine) => "госпожа",
        (Language::Ukrainian, Gender::Masculine) => "пане",
        (Language::Ukrainian, Gender::Feminine) => "пані",
        (Language::English, Gender::Masculine) => "Mr",
        (Language::English, Gender::Feminine) => "Ms",
    };
    let inflected = if language == Language::Ukrainian { vocative::family(family, gender) } else { None };
    Some(format!("{title} {}", inflected.as_deref().unwrap_or(family)))
}

/// The part without its surrounding space, if anything is left of it.
fn said(part: Option<&str>) -> Option<&str> {
    part.map(str::trim).filter(|part| !part.is_empty())
}
