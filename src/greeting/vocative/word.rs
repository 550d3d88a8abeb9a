//! One word in Ukrainian spelling and the questions that the rules ask of it.

use super::Form;

/// A word of Ukrainian letters and apostrophes, with at least one letter.
pub(super) struct Word<'a> {
    text: &'a str,
    /// Letter by letter the word in lower case; Ukrainian letters keep their number in it.
    lower: String,
    last: char,
}

impl<'a> Word<'a> {
    /// `None` for anything that is not wholly in Ukrainian letters: another script, a Russian letter, a
    /// stress mark, a look-alike from the Latin alphabet.
    pub(super) fn new(text: &'a str) -> Option<Self> {
        let lower = text.to_lowercase();
        if lower.starts_with(is_apostrophe) || !lower.chars().all(|c| is_letter(c) || is_apostrophe(c)) {
            return None;
        }
        let last = lower.chars().last().filter(|last| is_letter(*last))?;
        Some(Self { text, lower, last })
    }

    pub(super) fn last(&self) -> char {
        self.last
    }

    pub(super) fn ends(&self, with: &[&str]) -> bool {
        with.iter().any(|ending| self.lower.ends_with(ending))
    }

    pub(super) fn holds(&self, letters: &str) -> bool {
        self.lower.contains(letters)
    }

    pub(super) fn is(&self, one_of: &[&str]) -> bool {
        one_of.contains(&self.lower.as_str())
    }

    pub(super) fn syllables(&self) -> usize {
        self.lower.chars().filter(|c| is_vowel(*c)).count()
    }

    pub(super) fn ends_in_consonant(&self) -> bool {
        !is_vowel(self.last)
    }

    /// The vowel right before the single consonant at the end.
    pub(super) fn vowel_before_final_consonant(&self) -> Option<char> {
        let before = self.lower.chars().rev().nth(1)?;
        (self.ends_in_consonant() && is_vowel(before)).then_some(before)
    }

    /// Whether a final «я» marks the consonant before it as soft; after a vowel, «й», «ь» or an apostrophe
    /// it does not.
    pub(super) fn softens_before_final(&self) -> bool {
        let before = self.lower.chars().rev().nth(1);
        before.is_some_and(|c| is_letter(c) && !is_vowel(c) && !matches!(c, 'ь' | 'й'))
    }

    /// What Ukrainian never spells: «и» at the beginning or beside a vowel, «ья» and «ье», and «ь» after
    /// other consonants than д, т, з, с, ц, л, н (рь stands only before «о»: Ігорьович).
    pub(super) fn is_russian_by_spelling(&self) -> bool {
        let pairs = self.lower.chars().zip(self.lower.chars().skip(1));
        self.lower.starts_with('и')
            || self.lower.ends_with("рь")
            || pairs.into_iter().any(|pair| match pair {
                ('и', next) => is_vowel(next),
                (before, 'и') => is_vowel(before),
                ('ь', next) => matches!(next, 'я' | 'е' | 'и' | 'ю'),
                (before, 'ь') => !matches!(before, 'д' | 'т' | 'з' | 'с' | 'ц' | 'л' | 'н' | 'р'),
                _ => false,
            })
    }

    /// The word without its last `drop` letters and with `ending`, in capitals where the word is.
    pub(super) fn with(&self, drop: usize, ending: &str) -> Form {
        let kept = self.text.char_indices().rev().nth(drop.saturating_sub(1)).map_or(0, |(at, _)| at);
        let stem = if drop == 0 { self.text } else { &self.text[..kept] };
        let letters = || self.text.chars().filter(|c| is_letter_of_any_case(*c));
        let in_capitals = letters().count() > 1 && letters().all(char::is_uppercase);
        Form::Inflected(if in_capitals {
            format!("{stem}{}", ending.to_uppercase())
        } else {
            format!("{stem}{ending}")
        })
    }
}

fn is_letter(c: char) -> bool {
    matches!(c, 'а'..='щ' | 'ь' | 'ю' | 'я' | 'є' | 'і' | 'ї' | 'ґ')
}

fn is_letter_of_any_case(c: char) -> bool {
    c.to_lowercase().all(is_letter)
}

fn is_vowel(c: char) -> bool {
    matches!(c, 'а' | 'е' | 'є' | 'и' | 'і' | 'ї' | 'о' | 'у' | 'ю' | 'я')
}

fn is_apostrophe(c: char) -> bool {
    matches!(c, '\'' | '’' | 'ʼ')
}
