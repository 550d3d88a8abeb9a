//! One word of a name with its spellings laid over one another: as it is written, and as it sounds in any alphabet.
//!
//! Which name it is, `given` knows.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// The alphabet of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Script {
    Cyrillic,
    Latin,
    Other,
}

/// A word as texts, each coarser than the one before.
#[derive(Clone)]
pub(super) struct Word {
    /// As it was typed.
    pub raw: String,
    pub script: Script,
    /// In small letters, without marks and signs between them.
    pub plain: String,
    /// In its own alphabet: е for ё, э, є; и for і, ї, й, ы; no signs, no doubled letters. «наталя» for «Наталья».
    pub fold: String,
    /// By ear, across alphabets: "natalia" for «Наталья», «Наталя», "Nataliya".
    pub sound: String,
    /// The halves of a double name.
    pub halves: Vec<Word>,
}

/// Latin letters that look like Cyrillic ones, and are typed for them.
const ALIKE: [(char, char); 13] = [
    ('a', 'а'),
    ('b', 'в'),
    ('c', 'с'),
    ('e', 'е'),
    ('h', 'н'),
    ('i', 'і'),
    ('k', 'к'),
    ('m', 'м'),
    ('o', 'о'),
    ('p', 'р'),
    ('t', 'т'),
    ('x', 'х'),
    ('y', 'у'),
];

impl Word {
    pub fn new(raw: &str) -> Self {
        let mut plain: Vec<char> = raw.nfkc().flat_map(char::to_lowercase).filter(|c| is_letter(*c)).collect();
        let cyrillic = plain.iter().any(|c| is_cyrillic(*c));
        if cyrillic {
            for letter in &mut plain {
                *letter = ALIKE.iter().find(|(latin, _)| latin == letter).map_or(*letter, |(_, same)| *same);
            }
        }
        let bare: Vec<char> = plain.iter().flat_map(|c| c.nfkd()).filter(|c| !is_combining_mark(*c)).collect();
        let script = match cyrillic {
            true => Script::Cyrillic,
            false if bare.iter().all(char::is_ascii) => Script::Latin,
            false => Script::Other,
        };
        let (fold, by_ear) = match script {
            Script::Cyrillic => {
                let letters = bare.iter().copied().filter(|c| !matches!(c, 'ь' | 'ъ'));
                (once(letters.map(folded)), of_cyrillic(&bare))
            }
            Script::Latin => (once(bare.iter().copied()), of_latin(&bare)),
            Script::Other => (once(bare.iter().copied()), bare.iter().collect()),
        };
        let halves: Vec<&str> = raw.split('-').filter(|half| half.chars().any(char::is_alphabetic)).collect();
        let halves = if halves.len() > 1 { halves.into_iter().map(Self::new).collect() } else { Vec::new() };
        let (raw, plain) = (raw.to_owned(), plain.into_iter().collect());
        Self { raw, script, plain, fold, sound: smooth(&by_ear), halves }
    }

    /// The halves of a double name, or the one that it is.
    pub fn parts(&self) -> &[Self] {
        if self.halves.is_empty() { std::slice::from_ref(self) } else { &self.halves }
    }

    pub fn len(&self) -> usize {
        self.fold.chars().count()
    }
}

/// Letters and digits, without the apostrophes that Unicode counts among them.
fn is_letter(c: char) -> bool {
    c.is_alphanumeric() && !('\u{2b0}'..='\u{2ff}').contains(&c)
}

fn is_cyrillic(letter: char) -> bool {
    ('\u{400}'..='\u{52f}').contains(&letter)
}

fn folded(letter: char) -> char {
    match letter {
        'ё' | 'э' | 'є' => 'е',
        'і' | 'ї' | 'й' | 'ы' => 'и',
        'ґ' | 'ғ' => 'г',
        'ў' | 'ұ' | 'ү' => 'у',
        'ә' => 'а',
        'қ' => 'к',
        'ң' => 'н',
        'ө' => 'о',
        'һ' => 'х',
        other => other,
    }
}

/// Doubled letters once.
pub(super) fn once(letters: impl Iterator<Item = char>) -> String {
    let mut text = String::new();
    for letter in letters {
        if !text.ends_with(letter) {
            text.push(letter);
        }
    }
    text
}

/// «ье», «йо», "ye", "io" are one vowel after whatever scheme they were written by.
fn smooth(by_ear: &str) -> String {
    let once_more = |text: &str| once(text.chars());
    once_more(&once_more(by_ear).replace("ie", "e").replace("io", "e"))
}

/// The code of sounds: Latin letters, and digits for ж, ц, ч, ш.
fn of_cyrillic(plain: &[char]) -> String {
    let mut text = String::new();
    for (at, letter) in plain.iter().enumerate() {
        let next = plain.get(at + 1).copied().map(folded);
        let sound = match folded(*letter) {
            'т' if next == Some('с') => continue,
            'с' if at > 0 && plain[at - 1] == 'т' => "2",
            'ь' | 'ъ' if next.is_some_and(|n| "аеиоуюя".contains(n)) => "i",
            'ь' | 'ъ' => continue,
            'а' => "a",
            'б' => "b",
            'в' => "v",
            'г' | 'х' => "g",
            'д' => "d",
            'е' => "e",
            'ж' => "1",
            'з' => "z",
            'и' => "i",
            'к' => "k",
            'л' => "l",
            'м' => "m",
            'н' => "n",
            'о' => "o",
            'п' => "p",
            'р' => "r",
            'с' => "s",
            'т' => "t",
            'у' => "u",
            'ф' => "f",
            'ц' => "2",
            'ч' => "3",
            'ш' => "4",
            'щ' => "43",
            'ю' => "iu",
            'я' => "ia",
            other => {
                text.push(other);
                continue;
            }
        };
        text.push_str(sound);
    }
    text
}

/// What several Latin letters stand for, the longest first.
const LATIN: [(&str, &str); 18] = [
    ("shch", "43"),
    ("sch", "4"),
    ("sh", "4"),
    ("sz", "4"),
    ("ch", "3"),
    ("cz", "3"),
    ("zh", "1"),
    ("kh", "g"),
    ("gh", "g"),
    ("ph", "f"),
    ("th", "t"),
    ("ts", "2"),
    ("tz", "2"),
    ("ck", "k"),
    ("x", "ks"),
    ("h", "g"),
    ("w", "v"),
    ("q", "k"),
];

fn of_latin(plain: &[char]) -> String {
    let plain: String = plain.iter().collect();
    let (mut rest, mut text) = (plain.as_str(), String::new());
    while let Some(letter) = rest.chars().next() {
        let known = LATIN.iter().find(|(letters, _)| rest.starts_with(letters));
        match known {
            Some((letters, sound)) => {
                text.push_str(sound);
                rest = &rest[letters.len()..];
                continue;
            }
            None if letter == 'c' => text.push('k'),
            None if matches!(letter, 'y' | 'j') => text.push('i'),
            None => text.push(letter),
        }
        rest = &rest[letter.len_utf8()..];
    }
    text
}

/// Whether one letter more, less, other or exchanged makes one word of the other.
pub(super) fn is_near(a: &str, b: &str) -> bool {
    a.chars().count().abs_diff(b.chars().count()) <= 1 && strsim::osa_distance(a, b) <= 1
}

/// Whether a word can be written with that letter at its beginning.
pub(super) fn begins(word: &Word, initial: &Word) -> bool {
    let (Some(first), Some(heard)) = (word.fold.chars().next(), word.sound.chars().next()) else { return false };
    let Some(letter) = initial.fold.chars().next() else { return false };
    if word.script == initial.script || initial.script == Script::Other || word.script == Script::Other {
        return first == letter;
    }
    let (latin, heard) = match initial.script {
        Script::Latin => (letter, heard),
        _ => (first, initial.sound.chars().next().unwrap_or(letter)),
    };
    let sounds = match latin {
        'c' => "k32s",
        'h' => "g",
        'i' | 'j' | 'y' => "ie",
        'k' | 'x' => "kg",
        's' => "s4",
        't' => "t2",
        'w' => "v",
        'z' => "z1",
        _ => return latin == heard,
    };
    sounds.contains(heard)
}
