//! A name as somebody typed it, taken apart: words and initials, without what is no name.
//!
//! Which word is which part of the name, `reading` says.

use std::collections::HashMap;
use std::fmt;
use std::sync::LazyLock;

use super::kin::{self, Patronymic};
use super::sound::Word;
use super::{Why, given, given::Same};
use crate::customer::{Gender, PersonName};

/// A name as somebody typed it, in whatever fields. Empty texts count as absent.
#[derive(Clone, Copy, Default)]
pub struct Written<'a> {
    pub given: Option<&'a str>,
    pub patronymic: Option<&'a str>,
    pub family: Option<&'a str>,
}

impl<'a> Written<'a> {
    pub fn of(name: &'a PersonName) -> Self {
        Self { given: Some(&name.given), patronymic: name.patronymic.as_deref(), family: name.family.as_deref() }
    }
}

/// A name never reaches a log by accident.
impl fmt::Debug for Written<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Written(…)")
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Given,
    Patronymic,
    Family,
}

/// A word of a name, or the first letter of one.
#[derive(Clone)]
pub(super) struct Token {
    pub word: Word,
    pub field: Field,
    /// Whether the field holds nothing else, so that its name says what the word is.
    pub is_alone: bool,
    pub is_initial: bool,
    pub patronymic: Option<Patronymic>,
}

/// One name, taken apart.
#[derive(Default)]
pub(super) struct Words {
    pub tokens: Vec<Token>,
    pub is_elder: Option<bool>,
    /// Why it is not the name of one person.
    pub fault: Option<Why>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sort {
    Title,
    Noise,
    Company,
    Several,
    Younger,
    Elder,
    Particle,
    Son,
    Daughter,
}

static SORTS: LazyLock<HashMap<String, Sort>> = LazyLock::new(|| {
    let mut sorts = HashMap::new();
    for line in include_str!("words.txt").lines() {
        let mut words = line.split_whitespace();
        let sort = match words.next() {
            Some("title") => Sort::Title,
            Some("noise") => Sort::Noise,
            Some("company") => Sort::Company,
            Some("several") => Sort::Several,
            Some("younger") => Sort::Younger,
            Some("elder") => Sort::Elder,
            Some("particle") => Sort::Particle,
            Some("son") => Sort::Son,
            Some("daughter") => Sort::Daughter,
            _ => continue,
        };
        sorts.extend(words.map(|word| (word.to_owned(), sort)));
    }
    sorts
});

/// What is read of a field; nobody's name is longer.
const MOST_CHARS: usize = 200;

impl Words {
    pub fn of(written: Written) -> Self {
        let mut words = Self::default();
        for (field, text) in
            [(Field::Given, written.given), (Field::Patronymic, written.patronymic), (Field::Family, written.family)]
        {
            words.read(field, text.unwrap_or_default());
        }
        words.drop_repeated();
        for at in 0..words.tokens.len() {
            let field = words.tokens[at].field;
            words.tokens[at].is_alone = words.tokens.iter().filter(|token| token.field == field).count() == 1;
        }
        if words.tokens.is_empty() {
            words.fault = words.fault.or(Some(Why::NoName));
        }
        words
    }

    fn read(&mut self, field: Field, text: &str) {
        let text: String = text.chars().filter(|c| !is_invisible(*c)).take(MOST_CHARS).collect();
        let text = text.replace(['‐', '‑', '‒', '–', '—', '−'], "-").replace(" -", "-").replace("- ", "-");
        // «Мария/Пётр» are two; "+7…" is a phone.
        let joins =
            |at: usize| text[at..].starts_with(['/', '&', '+']) && !text[at + 1..].starts_with(char::is_numeric);
        let text: String =
            text.char_indices().map(|(at, c)| if joins(at) { " & ".to_owned() } else { c.to_string() }).collect();
        let chunks: Vec<&str> = text
            .split(|c: char| c.is_whitespace() || ",;:()[]«»\"“”„_|".contains(c))
            .filter(|chunk| !chunk.is_empty())
            .collect();
        let mut before = String::new();
        for (at, chunk) in chunks.iter().enumerate() {
            let starts_large = chunk.chars().next().is_some_and(char::is_uppercase);
            // Phones, addresses, numbers of cards; a word that ends in a digit stands for itself.
            if chunk.contains('@') || !starts_large && chunk.chars().any(char::is_numeric) {
                continue;
            }
            let lower = chunk.to_lowercase();
            let bare = lower.trim_end_matches('.');
            // «И.» is an initial, and «Муж» a family where one may stand.
            let is_letter = starts_large && bare.chars().count() == 1;
            let is_last = at + 1 == chunks.len() && (at > 0 || field == Field::Family);
            let may_be_family = starts_large && (is_last || chunks.get(at + 1).is_some_and(|next| next.contains('.')));
            match SORTS.get(bare).copied().filter(|_| !is_letter) {
                Some(Sort::Noise) => {}
                Some(Sort::Title) if !(starts_large && is_last) => {}
                Some(Sort::Company) => self.fault = Some(Why::NoName),
                Some(Sort::Several) if !may_be_family => self.fault = self.fault.or(Some(Why::SeveralNames)),
                Some(Sort::Younger) => self.is_elder = Some(false),
                Some(Sort::Elder) => self.is_elder = Some(true),
                Some(Sort::Particle) if !starts_large && at + 1 < chunks.len() => before.push_str(chunk),
                Some(Sort::Son) => self.father(Gender::Masculine),
                Some(Sort::Daughter) => self.father(Gender::Feminine),
                _ => self.push(field, &format!("{}{chunk}", std::mem::take(&mut before))),
            }
        }
    }

    /// The word before is a father's name.
    fn father(&mut self, gender: Gender) {
        if let Some(token) = self.tokens.last_mut() {
            token.patronymic = Some(Patronymic { gender, stem: kin::stem(&token.word.sound).to_owned() });
        }
    }

    /// A word, or several initials in one («П.С.»), perhaps with the family («П.С.Муж»).
    fn push(&mut self, field: Field, chunk: &str) {
        let mut rest = chunk;
        while !rest.is_empty() {
            let (part, after, has_dot) = match rest.split_once('.') {
                Some((part, after)) => (part, after, true),
                None => (rest, "", false),
            };
            rest = after;
            let part = part.trim_matches(|c: char| !c.is_alphanumeric());
            let letters = part.chars().filter(|c| c.is_alphanumeric()).count();
            if letters == 0 {
                continue;
            }
            let word = Word::new(part);
            let is_initial = letters == 1 || letters == 2 && has_dot;
            let patronymic = if is_initial { None } else { kin::patronymic(&word) };
            self.tokens.push(Token { word, field, is_alone: false, is_initial, patronymic });
        }
    }

    /// The same word in two fields, and a short form beside its name («Александр (Саша)»), are one word.
    fn drop_repeated(&mut self) {
        let shared = |tokens: &[Token], field| tokens.iter().filter(|token| token.field == field).count() > 1;
        let mut at = 0;
        while at < self.tokens.len() {
            let token = &self.tokens[at];
            let is_repeated = self.tokens.iter().enumerate().any(|(other, there)| {
                if other == at || token.is_initial || there.is_initial {
                    return false;
                }
                if token.word.fold == there.word.fold {
                    return shared(&self.tokens, token.field) && (other > at || token.field == there.field);
                }
                let is_name = given::is_whole(&there.word) && given::is_known(&token.word);
                let is_short = is_name && !given::is_whole(&token.word) && there.field == token.field;
                is_short && given::compare(&token.word, &there.word, None) == Same::Yes
            });
            if is_repeated {
                self.tokens.remove(at);
            } else {
                at += 1;
            }
        }
    }
}

/// Marks of direction, joiners, soft hyphens: they are seen by nobody and typed by no one.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}
