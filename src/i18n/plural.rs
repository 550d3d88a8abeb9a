//! Which form of a noun a count takes.
//!
//! The nouns themselves are in `words`.

use super::Language;

/// The categories of the Unicode CLDR for whole numbers, under its names: what `Intl.PluralRules` in a
/// browser calls `one`, `few` and `many`; its `other` (English) is `many` here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PluralForm {
    One,
    Few,
    Many,
}

/// A phrase with `{n}` in each form that a language has; English repeats its plural in `few`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plural {
    pub one: &'static str,
    pub few: &'static str,
    pub many: &'static str,
}

impl Plural {
    /// The phrase for `n` with the number in it.
    pub fn phrase(&self, language: Language, n: u64) -> String {
        let form = match plural_form(language, n) {
            PluralForm::One => self.one,
            PluralForm::Few => self.few,
            PluralForm::Many => self.many,
        };
        super::fill(form, &[("n", &n.to_string())])
    }
}

/// The form that `n` takes. Russian and Ukrainian share the rule: 1, 21, 101 визит; 2, 3, 4, 22 визита;
/// 0, 5, 11 to 14, 111 визитов.
pub fn plural_form(language: Language, n: u64) -> PluralForm {
    match language {
        Language::English if n == 1 => PluralForm::One,
        Language::English => PluralForm::Many,
        Language::Russian | Language::Ukrainian => match (n % 10, n % 100) {
            (_, 11..=14) => PluralForm::Many,
            (1, _) => PluralForm::One,
            (2..=4, _) => PluralForm::Few,
            _ => PluralForm::Many,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::i18n::ui;

    #[test]
    fn counts_take_the_right_noun_form() {
        let visits = |language, n| ui(language).visits.phrase(language, n);
        for (n, ru, uk, en) in [
            (0, "0 визитов", "0 візитів", "0 visits"),
            (1, "1 визит", "1 візит", "1 visit"),
            (2, "2 визита", "2 візити", "2 visits"),
            (4, "4 визита", "4 візити", "4 visits"),
            (5, "5 визитов", "5 візитів", "5 visits"),
            (11, "11 визитов", "11 візитів", "11 visits"),
            (12, "12 визитов", "12 візитів", "12 visits"),
            (14, "14 визитов", "14 візитів", "14 visits"),
            (15, "15 визитов", "15 візитів", "15 visits"),
            (21, "21 визит", "21 візит", "21 visits"),
            (22, "22 визита", "22 візити", "22 visits"),
            (25, "25 визитов", "25 візитів", "25 visits"),
            (101, "101 визит", "101 візит", "101 visits"),
            (111, "111 визитов", "111 візитів", "111 visits"),
            (112, "112 визитов", "112 візитів", "112 visits"),
            (1_002, "1002 визита", "1002 візити", "1002 visits"),
        ] {
            assert_eq!(visits(Language::Russian, n), ru);
            assert_eq!(visits(Language::Ukrainian, n), uk);
            assert_eq!(visits(Language::English, n), en);
        }
    }

    #[test]
    fn the_largest_count_has_a_form() {
        for language in Language::ALL {
            assert_eq!(plural_form(language, u64::MAX), PluralForm::Many);
        }
    }
}
