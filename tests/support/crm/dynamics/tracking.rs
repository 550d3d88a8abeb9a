//! Change tracking of the Dataverse Web API: a first look at all, then what has changed since, deletions among it.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::odata::{Entity, Options, Row};
use super::super::{Answer, Asked};
use super::{FakeDynamics, ROOT, error};

const MOST_ROWS: usize = 5000;
/// How long a token is good for.
const DAYS: i64 = 7;

/// Tokens of the rest of a page and of what comes after: version, time, rows that were passed.
fn parts(token: &str) -> Option<(u64, i64, usize)> {
    let mut parts = token.split('!');
    let version = parts.next()?.parse().ok()?;
    let at = parts.next()?.parse().ok()?;
    Some((version, at, parts.next().and_then(|rows| rows.parse().ok()).unwrap_or(0)))
}

impl FakeDynamics {
    /// `None`: this is no question about changes.
    pub(super) fn tracked(&mut self, entity: &'static Entity, asked: &Asked, now: Timestamp) -> Option<Answer> {
        let options = Options(&asked.query);
        let delta = options.get("$deltatoken");
        let rest = options.get("$skiptoken").filter(|token| token.contains('!'));
        let asks = asked.header("prefer").is_some_and(|prefer| prefer.contains("odata.track-changes"));
        if delta.is_none() && rest.is_none() && !(asks && options.get("$skiptoken").is_none()) {
            return None;
        }
        if ["$filter", "$orderby", "$expand", "$top"].iter().any(|name| options.get(name).is_some()) {
            return Some(error(400, "0x80060888", "The query option is not supported with change tracking."));
        }
        if entity.name != "contact" || !self.tracks {
            return Some(error(
                400,
                "0x80040216",
                &format!("Entity: {} isn't enabled for change tracking.", entity.name),
            ));
        }
        let token = delta.or(rest).map(parts);
        let (since, at, done) = match token {
            None => (0, now.as_second(), 0),
            Some(Some(token)) => token,
            Some(None) => return Some(error(400, "0x80060888", "The token is not valid.")),
        };
        if now.as_second() - at > DAYS * 86_400 {
            return Some(error(
                400,
                "0x80044352",
                "Version stamp associated with the client has expired. Please perform a full sync.",
            ));
        }
        let version = |row: &Row| row.get("#version").and_then(Value::as_u64).unwrap_or(0);
        let mut rows: Vec<(u64, Value)> = Vec::new();
        for row in self.rows(entity.name).iter().filter(|row| version(row) > since) {
            rows.push((version(row), Value::Object(self.view(entity, row, asked).ok()?)));
        }
        if since > 0 {
            let gone = self.deleted.iter().filter(|(version, table, _)| *version > since && *table == entity.name);
            rows.extend(gone.map(|(version, _, id)| {
                let context = format!("$metadata#{}/$deletedEntity", entity.set);
                (*version, json!({ "@odata.context": context, "id": id, "reason": "deleted" }))
            }));
        }
        rows.sort_by_key(|(version, _)| *version);
        let size = page_size(asked);
        let page: Vec<Value> = rows.iter().skip(done).take(size).map(|(_, row)| row.clone()).collect();
        let mut body = json!({ "@odata.context": format!("$metadata#{}/$delta", entity.set), "value": page });
        if rows.len() > done + size {
            let token = format!("{since}!{at}!{}", done + size);
            body["@odata.nextLink"] = link(entity, asked, "$skiptoken", &token).into();
        } else {
            let token = format!("{}!{}", self.version, now.as_second());
            body["@odata.deltaLink"] = link(entity, asked, "$deltatoken", &token).into();
        }
        Some(Answer::json(200, &body))
    }
}

pub(super) fn page_size(asked: &Asked) -> usize {
    let prefer = asked.header("prefer").unwrap_or_default();
    let size = prefer.split(',').find_map(|part| part.trim().strip_prefix("odata.maxpagesize="));
    size.and_then(|size| size.parse().ok()).unwrap_or(MOST_ROWS).clamp(1, MOST_ROWS)
}

/// The request's own address with one option more, for the rest of an answer.
pub(super) fn link(entity: &Entity, asked: &Asked, option: &str, value: &str) -> String {
    let quoted =
        |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
    let host = asked.header("host").unwrap_or("localhost");
    let mut options: Vec<String> = asked
        .query
        .iter()
        .filter(|(name, _)| name != "$skiptoken" && name != "$deltatoken")
        .map(|(name, own)| format!("{name}={}", quoted(own)))
        .collect();
    options.push(format!("{option}={}", quoted(value)));
    format!("https://{host}{ROOT}/{}?{}", entity.set, options.join("&"))
}
