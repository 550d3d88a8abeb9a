//! A person's name as Russian, Ukrainian and English speakers bear it, and how they wish to be addressed.
//!
//! The phrase made of it is `crate::greeting`'s.

use std::fmt;
use std::str::FromStr;

/// Grammatical gender, used for titles and word forms only. The customer tells it; nothing guesses it
/// from a face.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gender {
    Feminine,
    Masculine,
}

/// How the customer wishes to be addressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FormOfAddress {
    /// «Иван Петрович»; the given name alone where there is no patronymic.
    #[default]
    GivenPatronymic,
    /// «Иван».
    Given,
    /// «господин Иванов», «пані Шевченко», "Mr Smith".
    TitleFamily,
}

/// A name and its manners. Fields are trimmed, non-empty and at most [`PersonName::MAX_CHARS`] long.
#[derive(Clone, PartialEq, Eq)]
pub struct PersonName {
    pub given: String,
    pub patronymic: Option<String>,
    pub family: Option<String>,
    pub gender: Option<Gender>,
    pub form: FormOfAddress,
    /// What is said instead of anything derived from the rules, for names that the rules get wrong:
    /// already in the right case («Іллє Олеговичу»).
    pub spoken: Option<String>,
}

/// Why a name was refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NameError {
    #[error("the {0} is empty; give it or leave the option out")]
    Empty(&'static str),
    #[error("the {0} is longer than {max} characters; shorten it", max = PersonName::MAX_CHARS)]
    TooLong(&'static str),
    #[error("the {0} holds a line break or another control character; remove it")]
    ControlCharacter(&'static str),
    #[error("a title with the surname needs a surname: give --family")]
    TitleNeedsFamily,
    #[error("a title with the surname needs the gender of the title: give --gender f or --gender m")]
    TitleNeedsGender,
}

impl PersonName {
    pub const MAX_CHARS: usize = 80;

    /// Trims and checks every part; refuses a form of address whose parts are missing.
    pub fn checked(self) -> Result<Self, NameError> {
        let optional = |part: Option<String>, what| part.map(|p| clean(&p, what)).transpose();
        let name = Self {
            given: clean(&self.given, "given name")?,
            patronymic: optional(self.patronymic, "patronymic")?,
            family: optional(self.family, "surname")?,
            spoken: optional(self.spoken, "spoken form")?,
            ..self
        };
        if name.form == FormOfAddress::TitleFamily && name.spoken.is_none() {
            if name.family.is_none() {
                return Err(NameError::TitleNeedsFamily);
            }
            if name.gender.is_none() {
                return Err(NameError::TitleNeedsGender);
            }
        }
        Ok(name)
    }

    /// A name of one part, addressed by it.
    pub fn given(given: &str) -> Self {
        Self {
            given: given.to_owned(),
            patronymic: None,
            family: None,
            gender: None,
            form: FormOfAddress::default(),
            spoken: None,
        }
    }

    /// The parts in the order Russian, Ukrainian and English documents share: given, patronymic, family.
    pub fn full(&self) -> String {
        let parts = [Some(self.given.as_str()), self.patronymic.as_deref(), self.family.as_deref()];
        parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }
}

/// A name never reaches a log by accident.
impl fmt::Debug for PersonName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PersonName(…)")
    }
}

impl FromStr for Gender {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "f" => Ok(Self::Feminine),
            "m" => Ok(Self::Masculine),
            _ => Err(format!("\"{text}\" is not a grammatical gender; give f or m")),
        }
    }
}

impl Gender {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Feminine => "f",
            Self::Masculine => "m",
        }
    }
}

impl FromStr for FormOfAddress {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "given-patronymic" => Ok(Self::GivenPatronymic),
            "given" => Ok(Self::Given),
            "title-family" => Ok(Self::TitleFamily),
            _ => Err(format!("\"{text}\" is not a form of address; give given-patronymic, given or title-family")),
        }
    }
}

impl FormOfAddress {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::GivenPatronymic => "given-patronymic",
            Self::Given => "given",
            Self::TitleFamily => "title-family",
        }
    }
}

fn clean(part: &str, what: &'static str) -> Result<String, NameError> {
    let part = part.trim();
    if part.is_empty() {
        return Err(NameError::Empty(what));
    }
    if part.chars().count() > PersonName::MAX_CHARS {
        return Err(NameError::TooLong(what));
    }
    if part.chars().any(char::is_control) {
        return Err(NameError::ControlCharacter(what));
    }
    Ok(part.to_owned())
}
