//! The Ukrainian vocative of given names, patronymics and surnames.
//!
//! The phrase around it is in `super`. The rules are those of the Ukrainian orthography of 2019 (§ 87 for
//! men's names, § 67 for the soft group with Ігор and Лазар: «Ігорю», where the older norm had «Ігоре»).
//! Where it allows two forms: of «Олеже (й Олегу)» the one that it names first is taken; of «пане
//! Коваленку» and «пане Коваленко» the vocative where it is certain, and else the nominative.
//!
//! A wrong form embarrasses, a nominative does not. So every rule answers with one of three words:
//! inflected, stays as it is, or not known; one "not known" leaves the whole name in the nominative.

mod given;
mod word;

use super::Gender;
use given::given_part;
use word::Word;

/// What the rules say of one word.
#[derive(Debug, PartialEq, Eq)]
enum Form {
    Inflected(String),
    /// It does not decline, or its vocative equals its nominative.
    Unchanged,
    NotKnown,
}

/// The vocative of a given name, or `None` where it is not known.
pub(super) fn given(name: &str, gender: Option<Gender>) -> Option<String> {
    by_parts(name, |part| given_part(part, gender))
}

/// The vocative of both, or `None` where that of either is not known.
pub(super) fn given_and_patronymic(name: &str, patronymic: &str, gender: Option<Gender>) -> Option<String> {
    let patronymic = by_parts(patronymic, patronymic_part)?;
    Some(format!("{} {patronymic}", given(name, gender)?))
}

/// The vocative of a surname after «пане» or «пані», or `None` where it is not known.
///
/// A woman's surname stays in the nominative. The norm inflects one that is a noun (пані Гаркуше) and
/// leaves one that is an adjective (пані Молода), and the spelling does not tell the two apart.
pub(super) fn family(name: &str, gender: Gender) -> Option<String> {
    match gender {
        Gender::Feminine => None,
        Gender::Masculine => by_parts(name, masculine_family_part),
    }
}

/// The gender that a patronymic shows, in Ukrainian or Russian.
pub(super) fn gender_of_patronymic(patronymic: &str) -> Option<Gender> {
    let lower = patronymic.trim().to_lowercase();
    if lower.ends_with("ич") || lower.ends_with("іч") {
        Some(Gender::Masculine)
    } else if lower.ends_with("вна") || lower.ends_with("чна") {
        Some(Gender::Feminine)
    } else {
        None
    }
}

/// Inflects the parts between hyphens and spaces one by one. A first part of one syllable before a hyphen
/// stays as it is: Жан-Жаку, Драй-Хмаро.
fn by_parts(name: &str, rule: impl Fn(&Word) -> Form) -> Option<String> {
    let mut vocative = String::with_capacity(name.len() + 2);
    for part in name.split_inclusive(['-', ' ']) {
        let text = part.trim_end_matches(['-', ' ']);
        let word = Word::new(text)?;
        let separator = &part[text.len()..];
        let stays = separator == "-" && word.ends_in_consonant() && word.syllables() == 1;
        match if stays { Form::Unchanged } else { rule(&word) } {
            Form::Inflected(form) => vocative.push_str(&form),
            Form::Unchanged => vocative.push_str(text),
            Form::NotKnown => return None,
        }
        vocative.push_str(separator);
    }
    Some(vocative)
}

fn patronymic_part(word: &Word) -> Form {
    // «-евич», «-овна», «-евна», «-инична» and «-ьич» are Russian forms.
    if word.ends(&["евич", "ьич"]) {
        Form::NotKnown
    } else if word.ends(&["ич", "іч"]) {
        word.with(0, "у")
    } else if word.ends(&["івна", "ївна"]) {
        word.with(1, "о")
    } else {
        Form::NotKnown
    }
}

/// A man's surname. The nominative is right after «пане» as well, so only certain vocatives are made.
fn masculine_family_part(word: &Word) -> Form {
    // Adjectives (Зеленський, Товстий, Чорних) and what looks like one; «-ов», «-ін» and their kin have
    // both forms in the norm.
    if word.is_russian_by_spelling()
        || word.ends(&["ий", "ій", "ой", "их", "ів", "їв", "ов", "ев", "єв", "ин", "ін", "їн"])
        || word.is(&["дюма", "золя", "петіпа", "люка"])
    {
        return Form::NotKnown;
    }
    let vowel_before_last = word.vowel_before_final_consonant();
    match word.last() {
        'о' if word.ends(&["ко"]) && !word.ends(&["іко", "око", "ско"]) => word.with(1, "у"),
        'а' if word.ends(&["жа", "ча", "ша", "ща"]) => word.with(1, "е"),
        'а' => word.with(1, "о"),
        'я' if word.softens_before_final() => word.with(1, "е"),
        'я' if word.holds("ья") => Form::NotKnown,
        'я' => word.with(1, "є"),
        'й' if word.ends(&["ай", "уй"]) => word.with(1, "ю"),
        'ь' if word.ends(&["аль", "оль", "уль", "ань", "унь"]) => word.with(1, "ю"),
        // Vowels that never alternate; after «е», «о» and «і» the stem may change (Орел: Орле).
        'к' if word.syllables() > 1 && matches!(vowel_before_last, Some('а' | 'и' | 'у' | 'ю' | 'я')) => {
            word.with(0, "у")
        }
        'б' | 'в' | 'д' | 'з' | 'л' | 'м' | 'н' | 'п' | 'с' | 'т' | 'ф' | 'ш'
            if matches!(vowel_before_last, Some('а' | 'и' | 'у' | 'ю' | 'я')) =>
        {
            word.with(0, "е")
        }
        _ => Form::NotKnown,
    }
}
