//! A TOML text read key by key, with every fault kept and placed on its line.
//!
//! Which sections and keys there are is `sections`' knowledge. The text is walked by hand rather than
//! derived: a derived reader stops at the first fault, and an owner wants to see them all.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The faults found so far in one text.
pub(super) struct Faults<'a> {
    text: &'a str,
    path: String,
    found: Vec<(usize, String)>,
    #[cfg(test)]
    absent: Vec<String>,
}

/// One table of the text, or the place where it could be.
pub(super) struct Section<'t> {
    /// As it is written: `[visit]`.
    title: String,
    table: Option<&'t DeTable<'t>>,
    at: usize,
    asked: Vec<&'static str>,
}

impl<'a> Faults<'a> {
    pub(super) fn new(text: &'a str, path: &Path) -> Self {
        Self {
            text,
            path: one_line(&path.display().to_string()),
            found: Vec::new(),
            #[cfg(test)]
            absent: Vec::new(),
        }
    }

    /// The text as a table; empty, with the faults noted, where it is not TOML.
    pub(super) fn document(&mut self) -> DeTable<'a> {
        let (document, errors) = DeTable::parse_recoverable(self.text);
        for error in &errors {
            let at = error.span().map_or(self.text.len(), |span| span.start);
            self.note(at, format!("{}; correct the TOML here", one_line(error.message())));
        }
        if errors.is_empty() { document.into_inner() } else { DeTable::new() }
    }

    /// Notes a fault at a byte of the text.
    pub(super) fn note(&mut self, at: usize, what: impl Display) {
        let before = &self.text.as_bytes()[..at.min(self.text.len())];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        self.found.push((line, format!("{} line {line}: {what}", self.path)));
    }

    /// The faults in the order of their lines.
    pub(super) fn into_lines(mut self) -> Vec<String> {
        self.found.sort_by_key(|(line, _)| *line);
        self.found.into_iter().map(|(_, text)| text).collect()
    }

    /// The keys that were asked for and are not in the text.
    #[cfg(test)]
    pub(super) fn absent(&self) -> Vec<String> {
        self.absent.clone()
    }
}

impl<'t> Section<'t> {
    /// The text's outermost table: sections only.
    pub(super) fn root(table: &'t DeTable<'t>) -> Self {
        Self { title: "the file".to_owned(), table: Some(table), at: 0, asked: Vec::new() }
    }

    /// The table `[name]`; without one, every key has its default.
    pub(super) fn section(&mut self, faults: &mut Faults, name: &'static str) -> Section<'t> {
        self.titled(faults, name, format!("[{name}]"))
    }

    /// The table of that name within this one: `[crm.webhook]`.
    pub(super) fn within(&mut self, faults: &mut Faults, name: &'static str) -> Section<'t> {
        let title = format!("{}.{name}]", self.title.trim_end_matches(']'));
        self.titled(faults, name, title)
    }

    fn titled(&mut self, faults: &mut Faults, name: &'static str, title: String) -> Section<'t> {
        let value = self.value(name);
        let table = value.and_then(|value| {
            let table = value.get_ref().as_table();
            if table.is_none() {
                faults.note(value.span().start, format!("{name} is a section; write {title} on a line of its own"));
            }
            table
        });
        Section { title, table, at: value.map_or(self.at, |v| v.span().start), asked: Vec::new() }
    }

    /// The tables `[[name]]`; `None` where there is no such key, or it is something else (noted). `title` is how they are written.
    pub(super) fn tables(&mut self, faults: &mut Faults, name: &'static str, title: &str) -> Option<Vec<Section<'t>>> {
        let value = self.value(name)?;
        let items = value.get_ref().as_array().map(|array| array.iter().collect::<Vec<_>>());
        let mut tables = Vec::new();
        let mut misplaced = items.is_none();
        for item in items.unwrap_or_default() {
            match item.get_ref().as_table() {
                Some(table) => {
                    tables.push(Section {
                        title: title.to_owned(),
                        table: Some(table),
                        at: item.span().start,
                        asked: Vec::new(),
                    });
                }
                None => misplaced = true,
            }
        }
        if misplaced {
            faults
                .note(value.span().start, format!("{name} is a list of sections; write {title} on a line of its own"));
        }
        (!misplaced).then_some(tables)
    }

    pub(super) fn text(&mut self, faults: &mut Faults, key: &'static str) -> Option<&'t str> {
        let value = self.value(key)?;
        let text = value.get_ref().as_str();
        if text.is_none() {
            self.mistyped(faults, key, value, "a text in quotes");
        }
        text
    }

    /// A text that `read` understands; what `read` answers else is the fault.
    pub(super) fn parsed<T>(
        &mut self,
        faults: &mut Faults,
        key: &'static str,
        read: impl FnOnce(&'t str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.text(faults, key)?;
        read(text).map_err(|why| self.fault(faults, &[key], one_line(&why))).ok()
    }

    pub(super) fn flag(&mut self, faults: &mut Faults, key: &'static str, default: bool) -> bool {
        let Some(value) = self.value(key) else { return default };
        value.get_ref().as_bool().unwrap_or_else(|| {
            self.mistyped(faults, key, value, "true or false");
            default
        })
    }

    /// A whole number within `range`.
    pub(super) fn whole<T>(
        &mut self,
        faults: &mut Faults,
        key: &'static str,
        default: T,
        range: RangeInclusive<u64>,
    ) -> T
    where
        T: TryFrom<u64>,
    {
        let Some(value) = self.value(key) else { return default };
        let wanted = || format!("a whole number from {} to {}", range.start(), range.end());
        let Some(integer) = value.get_ref().as_integer() else {
            self.mistyped(faults, key, value, &wanted());
            return default;
        };
        let number = u64::from_str_radix(integer.as_str(), integer.radix()).ok();
        let fitting = number.filter(|number| range.contains(number)).and_then(|number| T::try_from(number).ok());
        fitting.unwrap_or_else(|| {
            self.fault(faults, &[key], format!("{} is out of range; give {}", one_line(integer.as_str()), wanted()));
            default
        })
    }

    /// A number within `range`, whole or with a fraction.
    pub(super) fn number(
        &mut self,
        faults: &mut Faults,
        key: &'static str,
        default: f64,
        range: RangeInclusive<f64>,
    ) -> f64 {
        let Some(value) = self.value(key) else { return default };
        let wanted = || format!("a number from {} to {}", range.start(), range.end());
        let written = match value.get_ref() {
            DeValue::Float(float) => float.as_str(),
            DeValue::Integer(integer) if integer.radix() == 10 => integer.as_str(),
            _ => {
                self.mistyped(faults, key, value, &wanted());
                return default;
            }
        };
        written.parse().ok().filter(|number| range.contains(number)).unwrap_or_else(|| {
            self.fault(faults, &[key], format!("{} is out of range; give {}", one_line(written), wanted()));
            default
        })
    }

    /// Notes a fault of these keys together, on the line of the first of them that is written.
    pub(super) fn fault(&self, faults: &mut Faults, keys: &[&'static str], what: impl Display) {
        let written = keys.iter().find_map(|key| self.table?.get(*key));
        let names = keys.iter().map(|key| format!("\"{key}\"")).collect::<Vec<_>>().join(" and ");
        faults.note(written.map_or(self.at, |v| v.span().start), format!("{names} in {}: {what}", self.title));
    }

    /// Notes that a key without a default is missing.
    pub(super) fn missing(&self, faults: &mut Faults, key: &'static str, example: &str) {
        faults.note(self.at, format!("{} lacks the key \"{key}\"; add {key} = \"{example}\"", self.title));
    }

    /// Whether the text has this table at all.
    pub(super) fn is_there(&self) -> bool {
        self.table.is_some()
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(key))
    }

    /// From here on no key is unknown: which there should be cannot be told.
    pub(super) fn accept_all(&mut self) {
        self.table = None;
    }

    /// Refuses every key that was not asked for.
    pub(super) fn close(self, faults: &mut Faults) {
        #[cfg(test)]
        faults
            .absent
            .extend(self.asked.iter().filter(|key| !self.has(key)).map(|key| format!("{key} in {}", self.title)));
        for (key, value) in self.table.into_iter().flatten() {
            if self.asked.contains(&key.get_ref().as_ref()) {
                continue;
            }
            let nearest = self.asked.iter().max_by(|a, b| {
                let similarity = |known: &str| strsim::normalized_damerau_levenshtein(known, &shortened(key.get_ref()));
                similarity(a).total_cmp(&similarity(b))
            });
            let remedy = nearest.map_or_else(String::new, |known| format!("; did you mean \"{known}\"?"));
            let kind = if self.title.starts_with('[') || !value.get_ref().is_table() { "key" } else { "section" };
            let key_text = one_line(&shortened(key.get_ref()));
            faults.note(key.span().start, format!("unknown {kind} \"{key_text}\" in {}{remedy}", self.title));
        }
    }

    fn value(&mut self, key: &'static str) -> Option<&'t Spanned<DeValue<'t>>> {
        self.asked.push(key);
        self.table?.get(key)
    }

    fn mistyped(&self, faults: &mut Faults, key: &'static str, value: &Spanned<DeValue>, wanted: &str) {
        let given = value.get_ref().type_str();
        let article = if given.starts_with(['a', 'i']) { "an" } else { "a" };
        self.fault(faults, &[key], format!("give {wanted}, not {article} {given}"));
    }
}

/// Text from the file as part of one line.
fn one_line(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

/// A key as long as any key could be; comparing costs the square of it.
fn shortened(key: &str) -> String {
    key.chars().take(60).collect()
}
