//! OData 4 as far as the fakes of Creatio and Dynamics need it: tables with typed columns, `$filter` with its strict
//! literals, the other options of a query, and the description of the tables in CSDL.
//!
//! What each vendor answers where this says no is the vendor's.

mod told;

use jiff::Timestamp;
use serde_json::{Map, Value};
pub use told::{Tables, told};

pub type Row = Map<String, Value>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    Guid,
    Time,
    Date,
    Whole,
    Decimal,
    Flag,
}

/// A table.
#[derive(Clone, Copy)]
pub struct Entity {
    pub name: &'static str,
    pub set: &'static str,
    pub key: &'static str,
    pub columns: &'static [(&'static str, Kind)],
    pub links: &'static [Link],
}

/// A lookup: `nav` is its name in paths, `column` where the id lies, `to` the entity it leads to.
#[derive(Clone, Copy)]
pub struct Link {
    pub nav: &'static str,
    pub column: &'static str,
    pub to: &'static str,
}

impl Entity {
    pub fn kind(&self, column: &str) -> Option<Kind> {
        self.columns.iter().find(|(name, _)| *name == column).map(|(_, kind)| *kind)
    }

    pub fn link(&self, nav: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.nav == nav)
    }
}

/// The options of a query, decoded.
#[derive(Clone, Copy)]
pub struct Options<'a>(pub &'a [(String, String)]);

impl<'a> Options<'a> {
    pub fn get(self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

/// The id in `set(id)`, which stands without quotes.
pub fn bare_id(text: &str) -> Option<String> {
    (text.len() == 36).then(|| text.parse::<uuid::Uuid>().ok()).flatten().map(|id| id.to_string())
}

/// Whether a value may be stored in such a column.
pub fn fits(kind: Kind, value: &Value) -> bool {
    match (kind, value) {
        (_, Value::Null) => true,
        (Kind::Text, Value::String(_)) | (Kind::Flag, Value::Bool(_)) => true,
        (Kind::Guid, Value::String(text)) => bare_id(text).is_some(),
        (Kind::Time, Value::String(text)) => text.parse::<Timestamp>().is_ok(),
        (Kind::Date, Value::String(text)) => text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok(),
        (Kind::Whole, Value::Number(number)) => number.is_i64() || number.is_u64(),
        (Kind::Decimal, Value::Number(_)) => true,
        _ => false,
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    Text(String),
    Guid(String),
    Time(Timestamp),
    Date(String),
    Number(f64),
    Flag(bool),
    Null,
}

impl Literal {
    fn read(token: &Token) -> Option<Self> {
        let text = match token {
            Token::Quoted(text) => return Some(Self::Text(text.clone())),
            Token::Word(text) => text.as_str(),
            Token::Mark(_) => return None,
        };
        match text {
            "null" => return Some(Self::Null),
            "true" => return Some(Self::Flag(true)),
            "false" => return Some(Self::Flag(false)),
            _ => {}
        }
        if let Some(id) = bare_id(text) {
            return Some(Self::Guid(id));
        }
        if text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok() {
            return Some(Self::Date(text.to_owned()));
        }
        if text.contains('T')
            && let Ok(at) = text.parse()
        {
            return Some(Self::Time(at));
        }
        text.parse().ok().map(Self::Number)
    }

    fn fits(&self, kind: Kind) -> bool {
        matches!(
            (self, kind),
            (Self::Null, _)
                | (Self::Text(_), Kind::Text)
                | (Self::Guid(_), Kind::Guid)
                | (Self::Time(_), Kind::Time)
                | (Self::Date(_), Kind::Date)
                | (Self::Number(_), Kind::Whole | Kind::Decimal)
                | (Self::Flag(_), Kind::Flag)
        )
    }

    fn edm(&self) -> &'static str {
        match self {
            Self::Text(_) => "Edm.String",
            Self::Guid(_) => "Edm.Guid",
            Self::Time(_) => "Edm.DateTimeOffset",
            Self::Date(_) => "Edm.Date",
            Self::Number(_) => "Edm.Int32",
            Self::Flag(_) => "Edm.Boolean",
            Self::Null => "null",
        }
    }
}

/// A condition over a row's values by their paths.
#[derive(Clone, Debug)]
pub enum Filter {
    And(Box<Filter>, Box<Filter>),
    Or(Box<Filter>, Box<Filter>),
    Not(Box<Filter>),
    Compare { path: String, folded: bool, sign: String, literal: Literal },
    In(String, Vec<Literal>),
    Text { function: String, path: String, part: String },
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Quoted(String),
    Mark(char),
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let (mut all, mut rest) = (Vec::new(), text.trim_start());
    while let Some(first) = rest.chars().next() {
        if matches!(first, '(' | ')' | ',') {
            all.push(Token::Mark(first));
            rest = &rest[1..];
        } else if first == '\'' {
            let (mut inner, mut at) = (String::new(), 1);
            loop {
                let end = rest[at..].find('\'').ok_or("There is an unterminated string literal")? + at;
                inner.push_str(&rest[at..end]);
                at = end + 1;
                if !rest[at..].starts_with('\'') {
                    break;
                }
                inner.push('\'');
                at += 1;
            }
            all.push(Token::Quoted(inner));
            rest = &rest[at..];
        } else {
            let end =
                rest.find(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | ',' | '\'')).unwrap_or(rest.len());
            all.push(Token::Word(rest[..end].to_owned()));
            rest = &rest[end..];
        }
        rest = rest.trim_start();
    }
    Ok(all)
}

/// Reads a `$filter`. `kind` says what a path holds, or in the vendor's words that there is no such path.
pub fn filter(text: &str, kind: &dyn Fn(&str) -> Result<Kind, String>) -> Result<Filter, String> {
    let tokens = tokens(text)?;
    let mut reader = Reader { tokens: &tokens, kind };
    let filter = reader.any()?;
    if reader.tokens.is_empty() { Ok(filter) } else { Err(format!("Syntax error at the end of '{text}'")) }
}

struct Reader<'a> {
    tokens: &'a [Token],
    kind: &'a dyn Fn(&str) -> Result<Kind, String>,
}

impl Reader<'_> {
    fn next(&mut self) -> Result<Token, String> {
        let (first, rest) = self.tokens.split_first().ok_or("Expression expected at the end")?;
        self.tokens = rest;
        Ok(first.clone())
    }

    fn takes(&mut self, wanted: &Token) -> bool {
        let there = self.tokens.first() == Some(wanted);
        if there {
            self.tokens = &self.tokens[1..];
        }
        there
    }

    fn mark(&mut self, mark: char) -> Result<(), String> {
        if self.takes(&Token::Mark(mark)) { Ok(()) } else { Err(format!("'{mark}' expected")) }
    }

    fn any(&mut self) -> Result<Filter, String> {
        let mut left = self.all()?;
        while self.takes(&Token::Word("or".to_owned())) {
            left = Filter::Or(Box::new(left), Box::new(self.all()?));
        }
        Ok(left)
    }

    fn all(&mut self) -> Result<Filter, String> {
        let mut left = self.one()?;
        while self.takes(&Token::Word("and".to_owned())) {
            left = Filter::And(Box::new(left), Box::new(self.one()?));
        }
        Ok(left)
    }

    fn one(&mut self) -> Result<Filter, String> {
        if self.takes(&Token::Word("not".to_owned())) {
            return Ok(Filter::Not(Box::new(self.one()?)));
        }
        if self.takes(&Token::Mark('(')) {
            let inner = self.any()?;
            self.mark(')')?;
            return Ok(inner);
        }
        let Token::Word(word) = self.next()? else { return Err("A property is expected".to_owned()) };
        if matches!(word.as_str(), "contains" | "startswith" | "endswith") {
            self.mark('(')?;
            let Token::Word(path) = self.next()? else { return Err("A property is expected".to_owned()) };
            if (self.kind)(&path)? != Kind::Text {
                return Err(format!("No function signature for the function with name '{word}' matches"));
            }
            self.mark(',')?;
            let Token::Quoted(part) = self.next()? else { return Err("A string is expected".to_owned()) };
            self.mark(')')?;
            return Ok(Filter::Text { function: word, path, part });
        }
        let folded = matches!(word.as_str(), "tolower" | "toupper");
        let path = if folded {
            self.mark('(')?;
            let Token::Word(path) = self.next()? else { return Err("A property is expected".to_owned()) };
            self.mark(')')?;
            path
        } else {
            word
        };
        let kind = (self.kind)(&path)?;
        let Token::Word(sign) = self.next()? else { return Err("An operator is expected".to_owned()) };
        if sign == "in" {
            self.mark('(')?;
            let mut literals = Vec::new();
            loop {
                literals.push(self.literal(kind)?);
                if !self.takes(&Token::Mark(',')) {
                    break;
                }
            }
            self.mark(')')?;
            return Ok(Filter::In(path, literals));
        }
        if !matches!(sign.as_str(), "eq" | "ne" | "gt" | "ge" | "lt" | "le") {
            return Err(format!("Syntax error: '{sign}' is no operator"));
        }
        let literal = self.literal(kind)?;
        Ok(Filter::Compare { path, folded, sign, literal })
    }

    fn literal(&mut self, kind: Kind) -> Result<Literal, String> {
        let token = self.next()?;
        let literal = Literal::read(&token).ok_or_else(|| format!("'{token:?}' is not a literal"))?;
        if literal.fits(kind) {
            return Ok(literal);
        }
        Err(format!(
            "A binary operator with incompatible types was detected. Found operand types 'Edm.{kind:?}' and '{}' for operator kind 'Equal'.",
            literal.edm()
        ))
    }
}

impl Filter {
    /// Texts are compared as SQL Server does by default: small and capital letters are the same.
    pub fn holds(&self, value: &dyn Fn(&str) -> Value) -> bool {
        match self {
            Self::And(a, b) => a.holds(value) && b.holds(value),
            Self::Or(a, b) => a.holds(value) || b.holds(value),
            Self::Not(a) => !a.holds(value),
            Self::In(path, literals) => literals.iter().any(|literal| compare(&value(path), literal) == Some(0)),
            Self::Text { function, path, part } => {
                let own = value(path).as_str().unwrap_or_default().to_lowercase();
                let part = part.to_lowercase();
                match function.as_str() {
                    "contains" => own.contains(&part),
                    "startswith" => own.starts_with(&part),
                    _ => own.ends_with(&part),
                }
            }
            Self::Compare { path, sign, literal, .. } => {
                let order = compare(&value(path), literal);
                match sign.as_str() {
                    "eq" => order == Some(0),
                    "ne" => order != Some(0),
                    "gt" => order.is_some_and(|order| order > 0),
                    "ge" => order.is_some_and(|order| order >= 0),
                    "lt" => order.is_some_and(|order| order < 0),
                    _ => order.is_some_and(|order| order <= 0),
                }
            }
        }
    }
}

/// Less than, equal to or more than zero, as the value is to the literal; `None` where they cannot be compared.
fn compare(value: &Value, literal: &Literal) -> Option<i32> {
    let order = match literal {
        Literal::Null => return value.is_null().then_some(0),
        Literal::Text(text) => value.as_str()?.to_lowercase().cmp(&text.to_lowercase()),
        Literal::Guid(id) => value.as_str()?.to_lowercase().cmp(id),
        Literal::Date(day) => value.as_str()?.get(..10)?.cmp(day),
        Literal::Time(at) => value.as_str()?.parse::<Timestamp>().ok()?.cmp(at),
        Literal::Number(number) => value.as_f64()?.partial_cmp(number)?,
        Literal::Flag(flag) => value.as_bool()?.cmp(flag),
    };
    Some(order as i32)
}

/// Sorts by `$orderby`; the paths must have been looked at.
pub fn sort(rows: &mut [Row], orderby: &str, value: &dyn Fn(&Row, &str) -> Value) {
    let keys: Vec<(&str, bool)> = orderby
        .split(',')
        .map(|part| part.trim())
        .filter(|part| !part.is_empty())
        .map(|part| (part.split(' ').next().unwrap_or_default(), part.ends_with(" desc")))
        .collect();
    rows.sort_by(|a, b| {
        for (path, down) in &keys {
            let (a, b) = (value(a, path), value(b, path));
            let order = match (a.as_f64(), b.as_f64()) {
                (Some(a), Some(b)) => a.total_cmp(&b),
                _ => a.as_str().unwrap_or_default().cmp(b.as_str().unwrap_or_default()),
            };
            if order.is_ne() {
                return if *down { order.reverse() } else { order };
            }
        }
        std::cmp::Ordering::Equal
    });
}

/// The paths of `$orderby` or `$select`.
pub fn paths(list: &str) -> Vec<String> {
    list.split(',')
        .filter_map(|part| part.trim().split(' ').next())
        .filter(|p| !p.is_empty())
        .map(str::to_owned)
        .collect()
}

/// `$expand`: each lookup with the columns that are wanted of it, none meaning all.
pub fn expansions(list: &str) -> Vec<(String, Vec<String>)> {
    let (mut all, mut depth, mut part) = (Vec::new(), 0, String::new());
    for c in list.chars().chain([',']) {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if c == ',' && depth == 0 {
            let (nav, options) = part.split_once('(').unwrap_or((&part, ""));
            let options = options.trim_end_matches(')');
            let select = options.split(';').find_map(|option| option.trim().strip_prefix("$select="));
            if !nav.trim().is_empty() {
                all.push((nav.trim().to_owned(), paths(select.unwrap_or_default())));
            }
            part.clear();
        } else {
            part.push(c);
        }
    }
    all
}

/// The tables in CSDL, as `$metadata` gives them.
pub fn metadata(namespace: &str, entities: &[Entity]) -> String {
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<edmx:Edmx Version=\"4.0\" xmlns:edmx=\"http://docs.oasis-open.org/odata/ns/edmx\">\n\
         <edmx:DataServices>\n<Schema Namespace=\"{namespace}\" xmlns=\"http://docs.oasis-open.org/odata/ns/edm\">\n"
    );
    for entity in entities {
        text +=
            &format!("<EntityType Name=\"{0}\">\n<Key><PropertyRef Name=\"{1}\"/></Key>\n", entity.name, entity.key);
        for (name, kind) in entity.columns {
            let edm = match kind {
                Kind::Text => "Edm.String",
                Kind::Guid => "Edm.Guid",
                Kind::Time => "Edm.DateTimeOffset",
                Kind::Date => "Edm.Date",
                Kind::Whole => "Edm.Int32",
                Kind::Decimal => "Edm.Decimal",
                Kind::Flag => "Edm.Boolean",
            };
            let nullable = if *name == entity.key { " Nullable=\"false\"" } else { "" };
            text += &format!("<Property Name=\"{name}\" Type=\"{edm}\"{nullable}/>\n");
        }
        for Link { nav, column, to } in entity.links {
            let key = entities.iter().find(|other| other.name == *to).map_or("Id", |other| other.key);
            text += &format!(
                "<NavigationProperty Name=\"{nav}\" Type=\"{namespace}.{to}\"><ReferentialConstraint Property=\"{column}\" ReferencedProperty=\"{key}\"/></NavigationProperty>\n"
            );
        }
        text += "</EntityType>\n";
    }
    text += "<EntityContainer Name=\"Container\">\n";
    for entity in entities {
        text += &format!("<EntitySet Name=\"{}\" EntityType=\"{namespace}.{}\">\n", entity.set, entity.name);
        for Link { nav, to, .. } in entity.links {
            if let Some(other) = entities.iter().find(|other| other.name == *to) {
                text += &format!("<NavigationPropertyBinding Path=\"{nav}\" Target=\"{}\"/>\n", other.set);
            }
        }
        text += "</EntitySet>\n";
    }
    text + "</EntityContainer>\n</Schema>\n</edmx:DataServices>\n</edmx:Edmx>\n"
}
