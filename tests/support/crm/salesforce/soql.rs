//! As much of SOQL as clients use at the fake.

use serde_json::Value;

use super::Row;

pub struct Query {
    pub object: String,
    pub fields: Vec<String>,
    /// Alternatives of conditions that must all hold.
    pub any: Vec<Vec<Condition>>,
    pub by_stamp: bool,
    pub limit: Option<usize>,
}

pub enum Condition {
    Is(String, String),
    Like(String, String),
    In(String, Vec<String>),
    From(String, jiff::Timestamp),
}

pub fn parse(soql: &str) -> Option<Query> {
    let rest = strip(soql.trim(), "SELECT ")?;
    let (fields, rest) = split(rest, " FROM ")?;
    let (object, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let (head, limit) = match split(rest, "LIMIT ") {
        Some((head, limit)) => (head, Some(limit.trim().parse().ok()?)),
        None => (rest, None),
    };
    let (wheres, order) = split(head, "ORDER BY ").unwrap_or((head, ""));
    let mut any = Vec::new();
    if let Some(conditions) = strip(wheres.trim(), "WHERE ") {
        for alternative in conditions.split(" OR ") {
            any.push(alternative.split(" AND ").map(condition).collect::<Option<Vec<_>>>()?);
        }
    }
    let fields = fields.split(',').map(|field| field.trim().to_owned()).collect();
    Some(Query { object: object.to_owned(), fields, any, by_stamp: order.contains("SystemModstamp"), limit })
}

fn strip<'a>(text: &'a str, head: &str) -> Option<&'a str> {
    text.get(..head.len()).filter(|start| start.eq_ignore_ascii_case(head)).map(|_| &text[head.len()..])
}

fn split<'a>(text: &'a str, word: &str) -> Option<(&'a str, &'a str)> {
    let at = text.to_ascii_uppercase().find(word)?;
    Some((&text[..at], &text[at + word.len()..]))
}

fn condition(text: &str) -> Option<Condition> {
    let text = text.trim();
    let literal = |text: &str| {
        let inner = text.trim().strip_prefix('\'')?.strip_suffix('\'')?;
        Some(inner.replace("\\'", "'").replace("\\\\", "\\"))
    };
    if let Some((field, list)) = split(text, " IN (") {
        let list = list.trim_end().strip_suffix(')')?;
        return Some(Condition::In(field.trim().to_owned(), list.split(',').map(literal).collect::<Option<_>>()?));
    }
    if let Some((field, pattern)) = split(text, " LIKE ") {
        return Some(Condition::Like(field.trim().to_owned(), literal(pattern)?));
    }
    for sign in [">=", ">"] {
        if let Some((field, at)) = text.split_once(sign) {
            return Some(Condition::From(field.trim().to_owned(), at.trim().parse().ok()?));
        }
    }
    let (field, value) = text.split_once('=')?;
    Some(Condition::Is(field.trim().to_owned(), literal(value)?))
}

impl Query {
    pub fn matches(&self, row: &Row) -> bool {
        self.any.is_empty() || self.any.iter().any(|all| all.iter().all(|condition| condition.holds(row)))
    }

    /// Whether a row's id is compared with what can be none.
    pub fn misnames_ids(&self) -> bool {
        let is_wrong = |condition: &Condition| match condition {
            Condition::Is(field, id) => field == "Id" && !matches!(id.len(), 15 | 18),
            _ => false,
        };
        self.any.iter().flatten().any(is_wrong)
    }
}

impl Condition {
    fn holds(&self, row: &Row) -> bool {
        let text = |field: &str| row.get(field).and_then(Value::as_str).unwrap_or_default();
        match self {
            Self::Is(field, value) => text(field) == value,
            Self::In(field, values) => values.iter().any(|value| text(field) == value),
            Self::Like(field, pattern) => like(&text(field).to_lowercase(), &pattern.to_lowercase()),
            Self::From(field, at) => text(field).parse::<jiff::Timestamp>().is_ok_and(|own| own >= *at),
        }
    }
}

/// `%` stands for any run of characters; the caller has made capitals small.
pub fn like(text: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('%');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut open = pattern.ends_with('%');
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
        open = open || part.is_empty();
    }
    rest.is_empty() || pattern.ends_with('%')
}
