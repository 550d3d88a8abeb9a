//! How a vendor states its keys of the configuration: each once, where it is read, with what it means to the owner.
//!
//! Two readers: `crate::config`'s takes values from the file and notes what is wrong with them; [`Page`] writes the keys down
//! as `firmware-config/snova.toml` shows them.

use std::ops::RangeInclusive;

use super::{ContactFields, RecordFields, ToldFields};

/// One key of a section.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    pub name: &'static str,
    /// What it means to the owner, in sentences; empty where the key before has said it.
    pub about: &'static str,
    /// Its default, or an example: the value that the page shows.
    pub shown: &'static str,
}

/// A key by its name, the value that is shown and what it means.
pub const fn key(name: &'static str, shown: &'static str, about: &'static str) -> Key {
    Key { name, about, shown }
}

/// A section whose keys are asked for one after the other.
pub trait Keys {
    /// Whether the file has this section.
    fn is_there(&self) -> bool;

    /// Whether the file has this key.
    fn has(&self, name: &str) -> bool;

    /// The text of a key; `None` where it is not given, or is no text (noted).
    fn text(&mut self, key: Key) -> Option<String>;

    fn flag(&mut self, key: Key, default: bool) -> bool;

    /// A whole number within `range`.
    fn whole(&mut self, key: Key, default: u32, range: RangeInclusive<u64>) -> u32;

    /// The section of that name within this one.
    fn within(&mut self, key: Key, read: &mut dyn FnMut(&mut dyn Keys));

    /// Notes a fault of these keys, on the line of the first of them that is written.
    fn fault(&mut self, names: &[&'static str], what: &str);

    /// Notes that a key without a default is missing.
    fn missing(&mut self, key: Key);
}

impl dyn Keys + '_ {
    /// A text that `read` understands; what `read` answers else is the fault.
    pub fn parsed<T>(&mut self, key: Key, read: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let text = self.text(key)?;
        read(&text).map_err(|why| self.fault(&[key.name], &why)).ok()
    }

    /// A name or id of the CRM's: no space and no control character. `None` where it is empty or not given.
    pub fn word(&mut self, key: Key) -> Option<String> {
        self.parsed(key, word).filter(|word| !word.is_empty())
    }

    /// A word without which there is no login or no place; where it is missing that is noted.
    pub fn needed(&mut self, key: Key) -> Option<String> {
        let word = self.word(key);
        if word.is_none() && self.is_there() {
            self.missing(key);
        }
        word
    }

    /// The word, or the one that is shown where none is given.
    pub fn named(&mut self, key: Key) -> String {
        self.word(key).unwrap_or_else(|| key.shown.to_owned())
    }

    /// The CRM's address: HTTPS, without a slash at its end. One that carries a login is refused without quoting it.
    pub fn address(&mut self, key: Key) -> Option<String> {
        if self.is_there() && !self.has(key.name) {
            self.missing(key);
        }
        self.optional_address(key)
    }

    /// The same for a key that may be left out, or be empty.
    pub fn optional_address(&mut self, key: Key) -> Option<String> {
        self.parsed(key, |text| address(text, key.shown)).filter(|address| !address.is_empty())
    }

    /// `fields`: what the contact's fields are called. A field has the name of `defaults` unless it is given, and none where
    /// it is given empty; `shown` are examples for those without default.
    pub fn contact_fields(
        &mut self,
        about: &'static str,
        defaults: &ContactFields,
        shown: [&'static str; 8],
    ) -> ContactFields {
        let mut fields = ContactFields::default();
        self.within(key("fields", "", about), &mut |own| {
            let mut field = |name, shown, default: &Option<String>| {
                let given = own.word(key(name, shown, ""));
                if own.has(name) { given } else { default.clone() }
            };
            fields = ContactFields {
                external_id: field("external_id", shown[0], &defaults.external_id),
                patronymic: field("patronymic", shown[1], &defaults.patronymic),
                tier: field("tier", shown[2], &defaults.tier),
                notes: field("notes", shown[3], &defaults.notes),
                offer: field("offer", shown[4], &defaults.offer),
                birthday: field("birthday", shown[5], &defaults.birthday),
                visits: field("visits", shown[6], &defaults.visits),
                last_visit: field("last_visit", shown[7], &defaults.last_visit),
            };
        });
        fields
    }

    /// `told`: what Snova writes on a contact beside its mark. Nothing has a name unless it is given.
    pub fn told_fields(&mut self, shown: [&'static str; 9]) -> ToldFields {
        let about = "What Snova writes on a contact beside its mark, each where it has a name: `snova crm prepare` makes these \
                     fields, or says how. The counts and dates are of the CRM's own records of visits, in all stores.";
        let mut told = ToldFields::default();
        self.within(key("told", "", about), &mut |own| {
            let mut field = |name, shown| own.word(key(name, shown, ""));
            told = ToldFields {
                first_visit: field("first_visit", shown[0]),
                last_visit: field("last_visit", shown[1]),
                late_since: field("late_since", shown[2]),
                consent: field("consent", shown[3]),
                consent_until: field("consent_until", shown[4]),
                source: field("source", shown[5]),
                visits_30: field("visits_30", shown[6]),
                visits_90: field("visits_90", shown[7]),
                home_store: field("home_store", shown[8]),
            };
        });
        told
    }

    /// `record`: what the values of a visit are called that have no standard place.
    pub fn record_fields(&mut self, shown: [&'static str; 7]) -> RecordFields {
        let about = "What the values of a visit are called that have no place of their own, each where it has a name; \
                     `snova crm prepare` makes these too.";
        let mut record = RecordFields::default();
        self.within(key("record", "", about), &mut |own| {
            let mut field = |name, shown| own.word(key(name, shown, ""));
            record = RecordFields {
                store: field("store", shown[0]),
                counter: field("counter", shown[1]),
                how: field("how", shown[2]),
                served_by: field("served_by", shown[3]),
                receipt: field("receipt", shown[4]),
                sum: field("sum", shown[5]),
                greeting: field("greeting", shown[6]),
            };
        });
        record
    }
}

fn word(text: &str) -> Result<String, String> {
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '"' | '\'' | '/' | '\\' | '?' | '#');
    if text.len() <= 200 && text.chars().all(plain) {
        return Ok(text.to_owned());
    }
    Err(format!("{text:?} is not a name or id of the CRM; copy it from there"))
}

fn address(text: &str, example: &str) -> Result<String, String> {
    if text.is_empty() {
        return Ok(String::new());
    }
    let bad = || format!("the address cannot be used; give one such as {example:?}");
    let rest = text
        .strip_prefix("https://")
        .ok_or_else(|| format!("the address does not begin with https://; give one such as {example:?}"))?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err("a password does not belong into the address; give it by `snova crm secret NAME`".to_owned());
    }
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\'' | '\\' | '<' | '>' | '`' | '?' | '#');
    if authority.is_empty() || text.len() > 500 || !rest.chars().all(plain) {
        return Err(bad());
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// The keys as `firmware-config/snova.toml` shows them: commented out, each after what it means.
#[derive(Debug, Default)]
pub struct Page {
    title: String,
    text: String,
}

impl Page {
    const WIDTH: usize = 118;

    /// The page of the section `title` ("crm.salesforce"), which `about` begins.
    pub fn of(title: &str, about: &str, read: impl FnOnce(&mut dyn Keys)) -> String {
        let mut page = Self { title: title.to_owned(), text: String::new() };
        page.says(about);
        page.text.push_str(&format!("#    [{title}]\n"));
        read(&mut page);
        page.text
    }

    fn says(&mut self, about: &str) {
        let mut line = String::from("#");
        for word in about.split_whitespace() {
            if line.len() > 1 && line.chars().count() + 1 + word.chars().count() > Self::WIDTH {
                self.text.push_str(&line);
                self.text.push('\n');
                line = String::from("#");
            }
            line.push(' ');
            line.push_str(word);
        }
        if line.len() > 1 {
            self.text.push_str(&line);
            self.text.push('\n');
        }
    }

    fn shows(&mut self, key: Key, value: &str) {
        self.says(key.about);
        self.text.push_str(&format!("#    {} = {value}\n", key.name));
    }
}

impl Keys for Page {
    fn is_there(&self) -> bool {
        true
    }

    fn has(&self, _name: &str) -> bool {
        true
    }

    fn text(&mut self, key: Key) -> Option<String> {
        self.shows(key, &format!("{:?}", key.shown));
        Some(key.shown.to_owned())
    }

    fn flag(&mut self, key: Key, default: bool) -> bool {
        self.shows(key, &default.to_string());
        default
    }

    fn whole(&mut self, key: Key, default: u32, _range: RangeInclusive<u64>) -> u32 {
        self.shows(key, key.shown);
        key.shown.parse().unwrap_or(default)
    }

    fn within(&mut self, key: Key, read: &mut dyn FnMut(&mut dyn Keys)) {
        self.text.push_str("#\n");
        self.says(key.about);
        let title = format!("{}.{}", self.title, key.name);
        self.text.push_str(&format!("#    [{title}]\n"));
        let mut own = Self { title, text: String::new() };
        read(&mut own);
        self.text.push_str(&own.text);
    }

    fn fault(&mut self, _names: &[&'static str], _what: &str) {}

    fn missing(&mut self, _key: Key) {}
}
