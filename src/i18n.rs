//! The languages Snova speaks with people.
//!
//! The greeting phrase is `crate::greeting`'s, the words of the cashier's page are `crate::web`'s. Logs,
//! errors and the command line are in English and stand where they arise.

use std::fmt;
use std::str::FromStr;

/// A language for greetings and screens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Language {
    Russian,
    Ukrainian,
    English,
}

impl Language {
    pub const ALL: [Self; 3] = [Self::Russian, Self::Ukrainian, Self::English];

    /// The ISO 639-1 code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Russian => "ru",
            Self::Ukrainian => "uk",
            Self::English => "en",
        }
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl FromStr for Language {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|l| l.code() == text);
        found.ok_or_else(|| format!("\"{text}\" is not a language of Snova; give ru, uk or en"))
    }
}
