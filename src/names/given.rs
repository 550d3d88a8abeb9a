//! The table of given names: which words are one name, and whose.
//!
//! The data is `given.txt`; what a word means in a whole name is `reading`'s.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::kin;
use super::sound::{Script, Word, begins, is_near};
use crate::customer::Gender;

/// How a word is the name of its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// Another name that some people use for this one.
    Perhaps,
    Short,
    Full,
}

struct Group {
    gender: Gender,
    forms: Vec<(Word, Kind)>,
}

type Entries = Vec<(usize, Kind)>;

struct Table {
    groups: Vec<Group>,
    /// By the word as it is written, with е for ё, by its fold: «Лёнька» is Леонид, «Ленька» too, «Ленка» is Елена.
    by_text: [HashMap<String, Entries>; 3],
    by_sound: HashMap<String, Entries>,
    /// The same, of whole names alone: «Дания» is not «Даня», though no Latin letters tell them apart.
    whole_by_sound: HashMap<String, Entries>,
    /// The sound of a patronymic without its ending, with the fathers' names it may come from.
    by_stem: HashMap<String, Vec<usize>>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| Table::read(include_str!("given.txt")));

impl Table {
    fn read(text: &str) -> Self {
        let mut table = Self {
            groups: Vec::new(),
            by_text: Default::default(),
            by_sound: HashMap::new(),
            whole_by_sound: HashMap::new(),
            by_stem: HashMap::new(),
        };
        for line in text.lines() {
            let Some((gender, names)) = line.split_once(' ') else { continue };
            let Ok(gender) = gender.parse::<Gender>() else { continue };
            let mut columns = names.split('|');
            let mut column = || columns.next().unwrap_or_default().split_whitespace();
            let mut forms: Vec<(Word, Kind)> = column().map(|word| form(word, Kind::Full)).collect();
            forms.extend(column().map(|word| form(word, Kind::Short)));
            let index = table.groups.len();
            for (word, kind) in &forms {
                for (map, text) in table.by_text.iter_mut().zip(texts(word)) {
                    enter(map, text, index, *kind);
                }
                enter(&mut table.by_sound, word.sound.clone(), index, *kind);
                if *kind == Kind::Full {
                    enter(&mut table.whole_by_sound, word.sound.clone(), index, *kind);
                }
            }
            if gender == Gender::Masculine {
                let fathers =
                    forms.iter().filter(|(_, kind)| *kind == Kind::Full).map(|(word, _)| kin::stem(&word.sound));
                let made = column().filter_map(|word| Some(kin::ended(&Word::new(word))?.0.stem));
                for stem in fathers.map(str::to_owned).chain(made.collect::<Vec<_>>()) {
                    let groups = table.by_stem.entry(stem).or_default();
                    if !groups.contains(&index) {
                        groups.push(index);
                    }
                }
            }
            table.groups.push(Group { gender, forms });
        }
        table
    }
}

fn form(word: &str, kind: Kind) -> (Word, Kind) {
    match word.strip_suffix('?') {
        Some(word) => (Word::new(word), Kind::Perhaps),
        None => (Word::new(word), kind),
    }
}

fn texts(word: &Word) -> [String; 3] {
    [word.plain.clone(), word.plain.replace('ё', "е"), word.fold.clone()]
}

fn enter(map: &mut HashMap<String, Entries>, text: String, group: usize, kind: Kind) {
    let entries = map.entry(text).or_default();
    match entries.iter_mut().find(|(there, _)| *there == group) {
        Some((_, known)) => *known = (*known).max(kind),
        None => entries.push((group, kind)),
    }
}

/// What the table says of a word; empty for one that is not in it.
fn entries(word: &Word) -> &'static [(usize, Kind)] {
    let by_text = TABLE.by_text.iter().zip(texts(word)).find_map(|(map, text)| map.get(&text));
    let by_sound = if word.script == Script::Latin { &TABLE.by_sound } else { &TABLE.whole_by_sound };
    by_text.or_else(|| by_sound.get(&word.sound)).map_or(&[], Vec::as_slice)
}

/// Whether the table has the word, and as what: a whole name rather than a short form.
pub(super) fn is_known(word: &Word) -> bool {
    word.parts().iter().any(|half| entries(half).iter().any(|(_, kind)| *kind != Kind::Perhaps))
}

pub(super) fn is_whole(word: &Word) -> bool {
    word.parts().iter().any(|half| entries(half).iter().any(|(_, kind)| *kind == Kind::Full))
}

/// The gender of a name that only one gender bears.
pub(super) fn gender(word: &Word) -> Option<Gender> {
    let known = entries(word.parts().first()?);
    let mut genders =
        known.iter().filter(|(_, kind)| *kind != Kind::Perhaps).map(|(group, _)| TABLE.groups[*group].gender);
    let first = genders.next()?;
    genders.all(|gender| gender == first).then_some(first)
}

/// The fathers' names that a patronymic's stem may come from.
pub(super) fn fathers(stem: &str) -> &'static [usize] {
    TABLE.by_stem.get(stem).map_or(&[], Vec::as_slice)
}

/// Whether an initial is that of this given name, in any of its languages.
pub(super) fn has_initial(word: &Word, initial: &Word) -> bool {
    let known = entries(word);
    let forms =
        known.iter().filter(|(_, kind)| *kind != Kind::Perhaps).flat_map(|(group, _)| &TABLE.groups[*group].forms);
    let mut forms = forms.filter(|(form, kind)| *kind == Kind::Full && form.script == initial.script);
    begins(word, initial) || forms.any(|(form, _)| begins(form, initial))
}

/// Whether an initial is that of a patronymic of one of these fathers.
pub(super) fn have_initial(fathers: &[usize], initial: &Word) -> bool {
    let mut forms = fathers.iter().flat_map(|group| &TABLE.groups[*group].forms);
    forms.any(|(form, kind)| *kind == Kind::Full && begins(form, initial))
}

/// How two given names stand to one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Same {
    Yes,
    No,
    /// They may be one: another name that is used for it, or a slip of the pen.
    Perhaps,
    /// A short form of both genders.
    EitherGender,
    /// At least one is in no table, so that nothing says how its bearer is called otherwise.
    Unknown,
}

/// Compares two words as given names of somebody of that gender, if it is known.
pub(super) fn compare(a: &Word, b: &Word, gender: Option<Gender>) -> Same {
    let (first, second) = (a.parts(), b.parts());
    if first.len() + second.len() == 2 || a.fold == b.fold {
        return compare_single(a, b, gender);
    }
    let pairs: Vec<Same> = first.iter().zip(second).map(|(a, b)| compare_single(a, b, gender)).collect();
    if pairs.iter().all(|same| *same == Same::Yes) {
        return Same::Yes;
    }
    let mut any = first.iter().flat_map(|a| second.iter().map(move |b| compare_single(a, b, gender)));
    if any.all(|same| same == Same::No) { Same::No } else { Same::Perhaps }
}

fn compare_single(a: &Word, b: &Word, gender: Option<Gender>) -> Same {
    let of_gender = |word: &Word| -> Entries {
        let of = |group: &usize| gender.is_none_or(|gender| TABLE.groups[*group].gender == gender);
        entries(word).iter().copied().filter(|(group, _)| of(group)).collect()
    };
    let (known, other) = (of_gender(a), of_gender(b));
    match (known.is_empty(), other.is_empty()) {
        (false, false) => {
            let shared = known.iter().filter_map(|(group, kind)| {
                let (_, its) = other.iter().find(|(there, _)| there == group)?;
                // Two that are both at times used for a third are not one for that.
                (a.fold == b.fold || *kind.max(its) != Kind::Perhaps).then_some((*group, *kind.min(its)))
            });
            let shared: Vec<(usize, Kind)> = shared.collect();
            let mut sure =
                shared.iter().filter(|(_, kind)| *kind != Kind::Perhaps).map(|(g, _)| TABLE.groups[*g].gender);
            match (shared.is_empty(), sure.next()) {
                (true, _) => Same::No,
                (false, _) if a.fold == b.fold => Same::Yes,
                (false, None) => Same::Perhaps,
                (false, Some(first)) if sure.all(|gender| gender == first) => Same::Yes,
                (false, Some(_)) => Same::EitherGender,
            }
        }
        _ if a.fold == b.fold => Same::Yes,
        (true, false) => misspelt(a, &other),
        (false, true) => misspelt(b, &known),
        (true, true) if a.script != b.script && a.sound == b.sound => Same::Yes,
        (true, true) if is_near(&a.sound, &b.sound) => Same::Perhaps,
        (true, true) => Same::Unknown,
    }
}

/// The shortest word in which one wrong letter still leaves the name certain.
const LONG: usize = 7;

/// Whether a word that is no name is one of these names with a slip in it, and can be no other name.
fn misspelt(word: &Word, names: &[(usize, Kind)]) -> Same {
    let near = |form: &Word| form.script == word.script && is_near(&form.fold, &word.fold);
    let of_names = |(index, _): (usize, &Group)| names.iter().any(|(name, _)| *name == index);
    let ends = |text: &str| (text.chars().next(), text.chars().last());
    let mut groups = TABLE.groups.iter().enumerate();
    let is_one =
        groups.clone().filter(|group| of_names(*group)).any(|(_, group)| group.forms.iter().any(|(f, _)| near(f)));
    if !is_one {
        return Same::Unknown;
    }
    let is_other = groups.any(|group| {
        let mut forms = group.1.forms.iter();
        if of_names(group) {
            // The first and the last letter tell more than others: Олег, Ольга; Валентин, Валентина.
            forms.any(|(form, _)| near(form) && ends(&form.fold) != ends(&word.fold))
        } else {
            forms.any(|(form, _)| near(form))
        }
    });
    if is_other || word.len() < LONG { Same::Perhaps } else { Same::Yes }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_mans_name_is_a_womans() {
        let words = |gender: Gender| -> Vec<&Word> {
            let groups = TABLE.groups.iter().filter(|group| group.gender == gender);
            let forms = groups.flat_map(|group| &group.forms).filter(|(_, kind)| *kind != Kind::Perhaps);
            forms.map(|(word, _)| word).filter(|word| super::gender(word).is_some()).collect()
        };
        let (men, women) = (words(Gender::Masculine), words(Gender::Feminine));
        assert!(men.len() > 1000 && women.len() > 1000, "{} and {}", men.len(), women.len());
        let pairs = men.iter().flat_map(|man| women.iter().map(move |woman| (man, woman)));
        let agree: Vec<String> = pairs
            .filter(|(man, woman)| compare(man, woman, None) == Same::Yes)
            .map(|(man, woman)| format!("{} | {}", man.raw, woman.raw))
            .collect();
        assert!(agree.is_empty(), "{} agree\n{}", agree.len(), agree.join("\n"));
    }
}
