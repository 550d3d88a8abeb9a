//! What a customer gives at the counter instead of a face: a card, a code or a phone, in one form for each.
//!
//! Whose it is, is `crate::store`'s; the value reaches no log: `Debug` prints the kind alone.

use std::fmt;
use std::str::FromStr;

/// The most characters of a code. A QR code of a loyalty card holds some dozen.
pub const MAX_CODE_CHARS: usize = 128;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IdentifierKind {
    /// A loyalty card, a barcode, a QR code: any code.
    Card,
    Phone,
    /// Finds the customer in the CRM; greets whoever types it at the counter too.
    Email,
}

/// A card, phone or e-mail address in its one form, so that equal ones are equal text however they were entered.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identifier {
    kind: IdentifierKind,
    value: String,
}

/// Why a text is no identifier. It does not quote the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentifierError {
    #[error("a card's code has 1 to {MAX_CODE_CHARS} printable characters; give what the scanner reads")]
    Card,
    #[error("this is not a phone number; give it with + and the country code, such as +79123456789")]
    Phone,
    #[error("this is not an e-mail address; give one such as name@example.com")]
    Email,
}

/// A country whose numbers may be entered as they are dialled at home. Others are given with +; a library that
/// knows every country's numbers weighs more than this whole page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Country {
    /// ISO 3166-1.
    code: &'static str,
    calling: &'static str,
    /// What is dialled before a number within the country; empty where nothing is.
    trunk: &'static [&'static str],
    /// Digits after the country's code (ITU-T E.164 national numbering plans).
    digits: usize,
}

const COUNTRIES: [Country; 13] = [
    Country { code: "RU", calling: "7", trunk: &["8"], digits: 10 },
    Country { code: "KZ", calling: "7", trunk: &["8"], digits: 10 },
    // 8 0… was dialled in Ukraine until 2009, and is still printed and said.
    Country { code: "UA", calling: "380", trunk: &["0", "80"], digits: 9 },
    Country { code: "BY", calling: "375", trunk: &["80", "0"], digits: 9 },
    Country { code: "MD", calling: "373", trunk: &["0"], digits: 8 },
    Country { code: "GE", calling: "995", trunk: &["0"], digits: 9 },
    Country { code: "AM", calling: "374", trunk: &["0"], digits: 8 },
    Country { code: "AZ", calling: "994", trunk: &["0"], digits: 9 },
    Country { code: "UZ", calling: "998", trunk: &[], digits: 9 },
    Country { code: "KG", calling: "996", trunk: &["0"], digits: 9 },
    Country { code: "PL", calling: "48", trunk: &[], digits: 9 },
    Country { code: "GB", calling: "44", trunk: &["0"], digits: 10 },
    Country { code: "US", calling: "1", trunk: &["1"], digits: 10 },
];

impl Country {
    pub fn code(self) -> &'static str {
        self.code
    }

    /// The whole number of digits dialled within the country, or with its code but without the +.
    fn international(self, digits: &str) -> Option<String> {
        let national = |rest: &str| (rest.len() == self.digits).then(|| format!("+{}{rest}", self.calling));
        let trunk = self.trunk.iter().filter_map(|trunk| digits.strip_prefix(trunk)).find_map(national);
        trunk.or_else(|| digits.strip_prefix(self.calling).and_then(national)).or_else(|| national(digits))
    }
}

impl FromStr for Country {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        COUNTRIES.into_iter().find(|country| country.code == text).ok_or_else(|| {
            let codes: Vec<&str> = COUNTRIES.iter().map(|country| country.code).collect();
            format!("{text:?} is not a country whose numbers Snova knows; give one of {}", codes.join(", "))
        })
    }
}

impl IdentifierKind {
    pub const ALL: [Self; 3] = [Self::Card, Self::Phone, Self::Email];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Card => "card",
            Self::Phone => "phone",
            Self::Email => "email",
        }
    }
}

impl Identifier {
    /// A card's code. Space around it and the case of Latin letters do not count; in a code of digits alone
    /// neither do the spaces and hyphens that a card is printed with.
    pub fn card(text: &str) -> Result<Self, IdentifierError> {
        let text = text.trim();
        let is_spacing = |c: char| c == ' ' || c == '-' || c == '\u{a0}';
        let numeric = text.chars().all(|c| c.is_ascii_digit() || is_spacing(c));
        let value: String = text.chars().filter(|c| !(numeric && is_spacing(*c))).collect();
        let length = value.chars().count();
        if length == 0 || length > MAX_CODE_CHARS || value.chars().any(char::is_control) {
            return Err(IdentifierError::Card);
        }
        Ok(Self { kind: IdentifierKind::Card, value: value.to_ascii_lowercase() })
    }

    /// A phone number of any country with + or 00, or as it is dialled within `country`.
    pub fn phone(text: &str, country: Option<Country>) -> Result<Self, IdentifierError> {
        let text = text.trim();
        let is_dressing = |c: char| matches!(c, ' ' | '\u{a0}' | '(' | ')' | '-' | '\u{2011}' | '\u{2013}' | '.');
        let (plus, rest) = text.strip_prefix('+').map_or((false, text), |rest| (true, rest));
        if !rest.chars().all(|c| c.is_ascii_digit() || is_dressing(c)) {
            return Err(IdentifierError::Phone);
        }
        let digits: String = rest.chars().filter(char::is_ascii_digit).collect();
        let abroad = if plus { Some(digits.as_str()) } else { digits.strip_prefix("00") };
        let value = match abroad {
            // E.164: at most 15 digits, the first of a country's code is never 0; none has fewer than 8 in all.
            Some(digits) => {
                let good = (8..=15).contains(&digits.len()) && !digits.starts_with('0');
                good.then(|| format!("+{digits}"))
            }
            None => country.and_then(|country| country.international(&digits)).or_else(|| unmistakable(&digits)),
        };
        value.map(|value| Self { kind: IdentifierKind::Phone, value }).ok_or(IdentifierError::Phone)
    }

    /// An e-mail address. Capitals do not count, as with every provider that people use.
    pub fn email(text: &str) -> Result<Self, IdentifierError> {
        let value = text.trim().to_lowercase();
        let plain =
            |c: char| !c.is_control() && !c.is_whitespace() && !matches!(c, '<' | '>' | '"' | ',' | ';' | '(' | ')');
        let shaped = value.split_once('@').is_some_and(|(name, host)| {
            !name.is_empty()
                && !host.contains('@')
                && host.contains('.')
                && host.split('.').all(|part| !part.is_empty())
        });
        if !shaped || value.chars().count() > MAX_CODE_CHARS || !value.chars().all(plain) {
            return Err(IdentifierError::Email);
        }
        Ok(Self { kind: IdentifierKind::Email, value })
    }

    pub fn kind(&self) -> IdentifierKind {
        self.kind
    }

    /// The one form: a code in small letters, a number as +79123456789. It is personal: for the vault alone.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The value as it was read back from where it is kept.
    pub(crate) fn kept(kind: IdentifierKind, value: String) -> Self {
        Self { kind, value }
    }

    /// Enough for its owner to tell it from another of theirs: the last four characters; of a short one fewer.
    pub fn masked(&self) -> String {
        let length = self.value.chars().count();
        let shown = if length >= 8 { 4 } else { length / 4 };
        format!("…{}", self.value.chars().skip(length - shown).collect::<String>())
    }
}

/// Numbers that are told by themselves: +7 and +380 without their +.
fn unmistakable(digits: &str) -> Option<String> {
    let whole = |calling: &str, length| digits.len() == length && digits.starts_with(calling);
    (whole("7", 11) || whole("380", 12)).then(|| format!("+{digits}"))
}

/// What an entry at the counter may be, the likeliest first. Empty for a text that is nothing.
///
/// A QR code counts as its whole text. A scanner that acts as a keyboard types Cyrillic letters for Latin ones when
/// a Cyrillic layout is on: such a text is tried as it stands, then as the keys it was typed with.
pub fn parse_entry(text: &str, country: Option<Country>) -> Vec<Identifier> {
    let (card, phone) = (Identifier::card(text).ok(), Identifier::phone(text, country).ok());
    let typed = text.chars().any(is_cyrillic).then(|| by_keys(text));
    let typed = typed.and_then(|text| Identifier::card(&text).ok());
    // 12 and 13 digits without a + are a barcode sooner than a number of another country.
    let email = Identifier::email(text).ok();
    let found = if phone.is_some() { [phone, card, typed, None] } else { [email, card, typed, None] };
    found.into_iter().flatten().collect()
}

fn is_cyrillic(c: char) -> bool {
    matches!(c, '\u{400}'..='\u{52f}')
}

/// Keys of the Russian and Ukrainian layouts with the signs that they bear in the US layout. The letters of the two
/// differ where the keys do, so one table serves both.
const KEYS: [(&str, &str); 4] = [
    ("йцукенгшщзхъфывапролджэячсмитьбюё", "qwertyuiop[]asdfghjkl;'zxcvbnm,.`"),
    ("ЙЦУКЕНГШЩЗХЪФЫВАПРОЛДЖЭЯЧСМИТЬБЮЁ", "QWERTYUIOP{}ASDFGHJKL:\"ZXCVBNM<>~"),
    ("іїєґІЇЄҐ", "s]'\\S}\"|"),
    (".,\"№;:?/", "/?@#$^&|"),
];

fn by_keys(text: &str) -> String {
    let key = |c: char| {
        let found = KEYS.iter().find_map(|(theirs, ours)| theirs.chars().zip(ours.chars()).find(|(t, _)| *t == c));
        found.map_or(c, |(_, ours)| ours)
    };
    text.chars().map(key).collect()
}

impl fmt::Display for IdentifierKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identifier({}, …)", self.kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn country(code: &str) -> Option<Country> {
        Some(code.parse().unwrap())
    }

    fn phone(text: &str, at: &str) -> Option<String> {
        Identifier::phone(text, at.parse().ok()).ok().map(|id| id.value)
    }

    #[test]
    fn one_number_has_one_form_however_it_is_written() {
        for text in
            ["8 (912) 345-67-89", "+7 912 345-67-89", "79123456789", "9123456789", "007 912 3456789", "8.912.345.67.89"]
        {
            assert_eq!(phone(text, "RU").as_deref(), Some("+79123456789"), "{text}");
        }
        for text in ["067 123 45 67", "+380671234567", "380671234567", "8 067 1234567", "(067) 123\u{a0}45\u{2011}67"] {
            assert_eq!(phone(text, "UA").as_deref(), Some("+380671234567"), "{text}");
        }
        assert_eq!(phone("8 029 123-45-67", "BY").as_deref(), Some("+375291234567"));
        assert_eq!(phone("07700 900123", "GB").as_deref(), Some("+447700900123"));
        assert_eq!(phone("(212) 555-0123", "US").as_deref(), Some("+12125550123"));
        // A number that is whole by itself needs no country.
        for (text, number) in [("+44 20 7946 0958", "+442079460958"), ("79123456789", "+79123456789")] {
            assert_eq!(phone(text, "").as_deref(), Some(number));
        }
        assert_eq!(phone("380671234567", "RU").as_deref(), Some("+380671234567"), "another country's whole number");
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in [
            "",
            "+",
            "12345",
            "8 912 345 67",
            "+1234567",
            "+1234567890123456",
            "+0123456789",
            "call me",
            "89123456789x",
            "4820000123456",
        ] {
            assert_eq!(phone(text, "RU"), None, "{text}");
        }
        assert_eq!(phone("9123456789", ""), None, "without a country nobody knows whose it is");
        assert!("XX".parse::<Country>().unwrap_err().contains("RU, KZ, UA"));
    }

    #[test]
    fn a_card_is_the_same_in_capitals_with_space_around_it_and_in_printed_groups() {
        let card = |text: &str| Identifier::card(text).unwrap();
        assert_eq!(card(" AbC-12 \r\n"), card("abc-12"));
        assert_eq!(card("4820 0001 2345-6"), card("4820000123456"));
        assert_ne!(card("a b"), card("ab"), "only a number's groups are joined");
        assert_ne!(card("a-b"), card("ab"));
        assert!(Identifier::card(&"7".repeat(MAX_CODE_CHARS)).is_ok());
        for bad in ["", "   ", "a\u{7}b", "a\nb", &"7".repeat(MAX_CODE_CHARS + 1)] {
            assert_eq!(Identifier::card(bad), Err(IdentifierError::Card));
        }
    }

    #[test]
    fn a_code_scanned_under_a_cyrillic_layout_is_read_by_its_keys() {
        for (typed, meant) in [
            ("ЫТЩМФ-4820", "snova-4820"),
            ("ІТЩМФ-4820", "SNOVA-4820"),
            ("ыутв", "send"),
            ("реезыЖ..ыдщм.сфкв,шв=7", "https://slov/card?id=7"),
            ("хъїґ", "[]]\\"),
        ] {
            let found = parse_entry(typed, None);
            assert_eq!(found.len(), 2, "as it stands, then by its keys: {typed}");
            assert_eq!(found[0], Identifier::card(typed).unwrap());
            assert_eq!(found[1], Identifier::card(meant).unwrap(), "{typed}");
        }
        assert_eq!(parse_entry("snova-4820", None).len(), 1);
    }

    #[test]
    fn an_entry_is_a_phone_where_it_can_be_one_and_a_card_always() {
        let kinds = |text| parse_entry(text, country("RU")).iter().map(Identifier::kind).collect::<Vec<_>>();
        use IdentifierKind::{Card, Email, Phone};
        assert_eq!(kinds("8 (912) 345-67-89"), [Phone, Card]);
        assert_eq!(kinds("4820000123456"), [Card]);
        assert_eq!(kinds("https://club.example/c/81"), [Card]);
        assert_eq!(kinds("Ivan@Example.com"), [Email, Card]);
        assert_eq!(kinds("  "), []);
        assert_eq!(kinds("tab\there"), []);
    }

    #[test]
    fn an_email_is_the_same_in_capitals_and_a_text_without_a_host_is_none() {
        let email = |text: &str| Identifier::email(text).map(|id| id.value);
        assert_eq!(email(" Ivan.Petrov@Example.COM ").as_deref(), Ok("ivan.petrov@example.com"));
        for bad in
            ["", "ivan", "@x.ru", "ivan@", "ivan@ru", "ivan@x..ru", "a@b@c.ru", "a b@x.ru", "<a@x.ru>", "a@x.ru;b@x.ru"]
        {
            assert_eq!(email(bad), Err(IdentifierError::Email), "{bad}");
        }
    }

    #[test]
    fn a_masked_value_shows_its_end_and_debug_nothing() {
        let card = |text: &str| Identifier::card(text).unwrap();
        assert_eq!(card("4820000123456").masked(), "…3456");
        assert_eq!(card("12345678").masked(), "…5678");
        assert_eq!(card("1234567").masked(), "…7");
        assert_eq!(card("123").masked(), "…");
        assert_eq!(format!("{:?}", card("123")), "Identifier(card, …)");
    }
}
