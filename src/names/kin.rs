//! What a name has from others: the father's name in the patronymic, the family's, each with the gender it shows.

use super::given;
use super::sound::{Script, Word, is_near, once};
use crate::customer::Gender;

/// A father's name, by its sound and without its ending.
#[derive(Clone)]
pub(super) struct Patronymic {
    pub gender: Gender,
    pub stem: String,
}

/// The endings as they sound, the longest first. The short masculine one is that of many families too.
const ENDINGS: [(&str, Gender); 8] = [
    ("ini3na", Gender::Feminine),
    ("ovna", Gender::Feminine),
    ("evna", Gender::Feminine),
    ("ivna", Gender::Feminine),
    ("i3na", Gender::Feminine),
    ("ovi3", Gender::Masculine),
    ("evi3", Gender::Masculine),
    ("i3", Gender::Masculine),
];

/// The word as a patronymic: «Сергеевич», «Іллівна», "Petrovych".
pub(super) fn patronymic(word: &Word) -> Option<Patronymic> {
    let (patronymic, ending) = ended(word)?;
    (ending != "i3" || !given::fathers(&patronymic.stem).is_empty()).then_some(patronymic)
}

/// A word that has the ending of a patronymic, with that ending.
pub(super) fn ended(word: &Word) -> Option<(Patronymic, &'static str)> {
    let (ending, gender) = ENDINGS.into_iter().find(|(ending, _)| word.sound.ends_with(ending))?;
    let stem = stem(word.sound.strip_suffix(ending)?).to_owned();
    (!stem.is_empty()).then_some((Patronymic { gender, stem }, ending))
}

/// A name by its sound without the vowels at its end, which patronymics drop: "serg" of «Сергей» and «Сергій».
pub(super) fn stem(sound: &str) -> &str {
    sound.trim_end_matches(['a', 'e', 'i', 'o', 'u'])
}

/// How two parts of a name stand to one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Like {
    Same,
    /// A slip of the pen lies between them.
    Near,
    Other,
}

pub(super) fn compare_patronymics(a: &Patronymic, b: &Patronymic) -> Like {
    if a.stem == b.stem {
        return Like::Same;
    }
    let (fathers, others) = (given::fathers(&a.stem), given::fathers(&b.stem));
    match fathers.is_empty() || others.is_empty() {
        false if fathers.iter().any(|father| others.contains(father)) => Like::Same,
        true if a.stem.len() > 3 && is_near(&a.stem, &b.stem) => Like::Near,
        _ => Like::Other,
    }
}

/// Endings of families by gender, as they sound, with what both have in common. Ukrainian ones that end in -ина are
/// men's too, and English ones in -in show nothing.
const FAMILIES: [(&str, &str, Option<Gender>); 15] = [
    ("skaia", "sk", Some(Gender::Feminine)),
    ("skoi", "sk", Some(Gender::Masculine)),
    ("ska", "sk", Some(Gender::Feminine)),
    ("ski", "sk", Some(Gender::Masculine)),
    ("2kaia", "2k", Some(Gender::Feminine)),
    ("2koi", "2k", Some(Gender::Masculine)),
    ("2ka", "2k", Some(Gender::Feminine)),
    ("2ki", "2k", Some(Gender::Masculine)),
    ("aia", "", Some(Gender::Feminine)),
    ("ova", "ov", Some(Gender::Feminine)),
    ("eva", "ev", Some(Gender::Feminine)),
    ("ov", "ov", Some(Gender::Masculine)),
    ("ev", "ev", Some(Gender::Masculine)),
    ("ina", "in", None),
    ("i", "", None),
];

/// Neutral endings that only families have.
const NEUTRAL: [&str; 8] = ["enko", "4in", "4ina", "3uk", "iuk", "ian", "3ik", "dze"];

/// A family as it sounds, in the form that both genders share, and the gender that its own form shows.
fn family(word: &Word) -> (String, Option<Gender>) {
    let sound = word.sound.strip_suffix("oi").filter(|rest| !rest.ends_with("sk") && !rest.ends_with("2k"));
    if let Some(stem) = sound.filter(|stem| stem.len() > 2) {
        return (stem.to_owned(), None);
    }
    for (ending, shared, gender) in FAMILIES {
        if let Some(stem) = word.sound.strip_suffix(ending).filter(|stem| stem.len() > 2) {
            return (format!("{stem}{shared}"), gender);
        }
    }
    (word.sound.clone(), None)
}

/// The gender that the form of a family shows.
pub(super) fn gender_of_family(word: &Word) -> Option<Gender> {
    family(word).1
}

/// Whether a word has the ending of a family.
pub(super) fn is_family(word: &Word) -> bool {
    gender_of_family(word).is_some()
        || NEUTRAL.iter().any(|ending| word.sound.len() > 5 && word.sound.ends_with(ending))
}

/// Compares families across genders and alphabets; of a double one a half is enough.
pub(super) fn compare_families(a: &Word, b: &Word) -> Like {
    let likes: Vec<Like> = a.parts().iter().flat_map(|a| b.parts().iter().map(move |b| compare_single(a, b))).collect();
    [Like::Same, Like::Near].into_iter().find(|like| likes.contains(like)).unwrap_or(Like::Other)
}

/// The shortest family in which one other letter may be a slip.
const LONG: usize = 5;

fn compare_single(a: &Word, b: &Word) -> Like {
    let (first, second) = (family(a).0, family(b).0);
    // «Олейник» is «Олійник» in Ukrainian.
    let in_both = |text: &str| once(text.replace('e', "i").chars());
    if in_both(&first) == in_both(&second) {
        return Like::Same;
    }
    let is_near = first.len() >= LONG && first.get(..1) == second.get(..1) && is_near(&first, &second);
    match is_near {
        // One letter is what schemes of transliteration differ in.
        true if a.script != b.script && b.script != Script::Other => Like::Same,
        true => Like::Near,
        false => Like::Other,
    }
}
