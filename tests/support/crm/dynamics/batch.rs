//! Batches of the Dataverse Web API: multipart requests, change sets that are all or nothing, multipart answers.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::json;

use super::super::server::form;
use super::super::{Answer, Asked};
use super::{FakeDynamics, ROOT, error};

const MOST_PARTS: usize = 1000;
const BOUNDARY: &str = "batchresponse_3f2c";
const INNER: &str = "changesetresponse_9a1b";

/// A request of a batch with its number for references.
struct Part {
    id: Option<String>,
    asked: Asked,
}

enum Item {
    One(Part),
    Set(Vec<Part>),
}

fn boundary(kind: &str) -> Option<String> {
    let value = kind.split(';').find_map(|part| part.trim().strip_prefix("boundary="))?;
    kind.starts_with("multipart/mixed").then(|| value.trim_matches('"').to_owned())
}

/// The pieces between a boundary's lines; lines end with CR and LF, or it is no batch.
fn pieces<'a>(text: &'a str, boundary: &str) -> Option<Vec<&'a str>> {
    let line = format!("--{boundary}\r\n");
    let (inner, _) = text.split_once(&format!("--{boundary}--"))?;
    Some(inner.split(&*line).skip(1).collect())
}

fn header(head: &str, name: &str) -> Option<String> {
    head.split("\r\n").find_map(|line| {
        let (own, value) = line.split_once(':')?;
        own.trim().eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
    })
}

fn part(text: &str, outer: &Asked) -> Option<Part> {
    let (head, http) = text.split_once("\r\n\r\n")?;
    if header(head, "content-type")? != "application/http" || header(head, "content-transfer-encoding")? != "binary" {
        return None;
    }
    let (http_head, body) = http.split_once("\r\n\r\n").unwrap_or((http.trim_end(), ""));
    let (line, headers) = http_head.split_once("\r\n").unwrap_or((http_head, ""));
    let (method, rest) = line.split_once(' ')?;
    let target = rest.strip_suffix(" HTTP/1.1")?;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let path = path.split_once("://").and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..])).unwrap_or(path);
    let mut all: Vec<(String, String)> = headers
        .split("\r\n")
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_lowercase(), value.trim().to_owned()))
        .collect();
    all.push(("host".to_owned(), outer.header("host").unwrap_or("localhost").to_owned()));
    if !body.trim().is_empty() && !all.iter().any(|(name, value)| name == "content-type" && value.contains("json")) {
        return None;
    }
    Some(Part {
        id: header(head, "content-id"),
        asked: Asked {
            method: method.to_owned(),
            path: percent_encoding::percent_decode_str(path).decode_utf8_lossy().into_owned(),
            query: form(query),
            headers: all,
            body: body.trim_end_matches("\r\n").as_bytes().to_vec(),
        },
    })
}

fn item(text: &str, outer: &Asked) -> Option<Item> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    match boundary(&header(head, "content-type")?) {
        Some(inner) => {
            let parts: Option<Vec<Part>> = pieces(body, &inner)?.into_iter().map(|text| part(text, outer)).collect();
            // A change set holds no question.
            parts.filter(|parts| parts.iter().all(|part| part.asked.method != "GET")).map(Item::Set)
        }
        None => part(text, outer).map(Item::One),
    }
}

fn answered(answer: &Answer, id: Option<&str>) -> String {
    let id = id.map(|id| format!("Content-ID: {id}\r\n")).unwrap_or_default();
    let mut text = format!(
        "Content-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n{id}\r\nHTTP/1.1 {} {}\r\n",
        answer.status,
        hyper::StatusCode::from_u16(answer.status).ok().and_then(|s| s.canonical_reason()).unwrap_or("Unknown")
    );
    for (name, value) in &answer.headers {
        text += &format!("{name}: {value}\r\n");
    }
    text + "OData-Version: 4.0\r\n\r\n" + &String::from_utf8_lossy(&answer.body) + "\r\n"
}

impl FakeDynamics {
    pub(super) fn batch(&mut self, asked: &Asked, now: Timestamp) -> Answer {
        let bad = |message: &str| error(400, "0x80060888", message);
        let text = asked.text();
        let Some(line) = asked.header("content-type").and_then(boundary) else {
            return bad("The content type of a batch is multipart/mixed with a boundary.");
        };
        let Some(items) = pieces(&text, &line)
            .and_then(|pieces| pieces.into_iter().map(|text| item(text, asked)).collect::<Option<Vec<_>>>())
        else {
            return bad("The message of the batch is not well formed.");
        };
        let count = |item: &Item| match item {
            Item::One(_) => 1,
            Item::Set(parts) => parts.len(),
        };
        if items.iter().map(count).sum::<usize>() > MOST_PARTS {
            return bad("The batch has more than 1000 requests.");
        }
        let goes_on = asked.header("prefer").is_some_and(|prefer| prefer.contains("odata.continue-on-error"));
        let mut body = String::new();
        let mut status = 200;
        for item in items {
            let (text, failed) = match item {
                Item::One(part) => {
                    let answer = self.one(&part.asked, now);
                    (answered(&answer, part.id.as_deref()), answer.status >= 400)
                }
                Item::Set(parts) => self.set(&parts, now),
            };
            body += &format!("--{BOUNDARY}\r\n{text}");
            if failed && !goes_on {
                status = 400;
                break;
            }
        }
        body += &format!("--{BOUNDARY}--\r\n");
        let headers = vec![("content-type".to_owned(), format!("multipart/mixed; boundary={BOUNDARY}"))];
        Answer { status, headers, body: body.into_bytes() }
    }

    fn one(&mut self, asked: &Asked, now: Timestamp) -> Answer {
        let path = asked.path.strip_prefix(ROOT).unwrap_or(&asked.path);
        self.serve(path.trim_start_matches('/'), asked, now)
    }

    /// All of it or nothing; `$1` in an address is what the request with that number made.
    fn set(&mut self, parts: &[Part], now: Timestamp) -> (String, bool) {
        let before = (self.tables.clone(), self.version, self.deleted.clone());
        let mut made: BTreeMap<String, String> = BTreeMap::new();
        let mut text = String::new();
        for part in parts {
            let mut asked = part.asked.clone();
            let mut body = asked.text();
            for (id, row) in &made {
                let reference = format!("${id}");
                if asked.path.trim_start_matches('/') == reference {
                    asked.path = row.clone();
                }
                body = body.replace(&format!("\"{reference}\""), &json!(row).to_string());
            }
            asked.body = body.into_bytes();
            let answer = self.one(&asked, now);
            if answer.status >= 400 {
                (self.tables, self.version, self.deleted) = before;
                return (answered(&answer, part.id.as_deref()), true);
            }
            let row = answer.headers.iter().find(|(name, _)| name == "OData-EntityId");
            if let (Some(id), Some((_, row))) = (&part.id, row) {
                let below = row.split_once(ROOT).map_or(row.as_str(), |(_, rest)| rest);
                made.insert(id.clone(), below.to_owned());
            }
            text += &format!("--{INNER}\r\n{}", answered(&answer, part.id.as_deref()));
        }
        (format!("Content-Type: multipart/mixed; boundary={INNER}\r\n\r\n{text}--{INNER}--\r\n"), false)
    }
}
