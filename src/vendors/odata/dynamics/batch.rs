//! Batches of the Dataverse Web API: several requests in one multipart body, and their answers in order.

use serde_json::Value;

use super::ROOT;
use crate::crm::{Failure, Reply, Request};
use crate::vendors::odata::wire::{Answer, Doing, Part};

/// JSON has no line that begins like this: within its texts a line's end is written as `\n`.
const BOUNDARY: &str = "batch_snova";
const KIND: &str = "multipart/mixed;boundary=batch_snova";

fn text(part: &Part, plain: bool) -> String {
    let (method, condition) = match part.doing {
        Doing::Create => ("PATCH", "If-None-Match: *\r\n"),
        Doing::Update => ("PATCH", "If-Match: *\r\n"),
        Doing::Put => ("PATCH", ""),
        Doing::Delete => ("DELETE", ""),
    };
    let (kind, body) = match (&part.body, plain) {
        (Value::Null, _) => ("", String::new()),
        (body, false) => ("Content-Type: application/json; type=entry\r\n", body.to_string()),
        (body, true) => ("Content-Type: application/json\r\n", body.to_string()),
    };
    format!(
        "--{BOUNDARY}\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n\
         {method} {ROOT}/{} HTTP/1.1\r\n{condition}{kind}\r\n{body}\r\n",
        part.row()
    )
}

/// The whole batch. Without the preference the first refusal ends it, and those behind it are not come to.
pub(super) fn request(base: &str, parts: &[Part], plain: bool) -> Request {
    let mut body: String = parts.iter().map(|part| text(part, plain)).collect();
    body.push_str(&format!("--{BOUNDARY}--\r\n"));
    Request::post(format!("{base}/$batch")).header("prefer", "odata.continue-on-error").body(KIND, body)
}

/// The answers in the order of the requests. Fewer or more than those say nothing about any.
pub(super) fn answers(reply: &Reply, wanted: usize) -> Result<Vec<Option<Answer>>, Failure> {
    let unclear = || Failure::transient("Dynamics's answer does not say what became of each request");
    let kind = reply.header("content-type").unwrap_or_default();
    let boundary = kind.split(';').find_map(|part| part.trim().strip_prefix("boundary=")).ok_or_else(unclear)?;
    let text = String::from_utf8_lossy(&reply.body);
    let line = format!("--{}", boundary.trim_matches('"'));
    // What comes before the first line and behind the last one is not part of it; without the last, it is half.
    let (inner, _) = text.split_once(&format!("{line}--")).ok_or_else(unclear)?;
    let answers: Option<Vec<Option<Answer>>> = inner.split(&*line).skip(1).map(|part| answer(part).map(Some)).collect();
    answers.filter(|answers| answers.len() == wanted).ok_or_else(unclear)
}

fn answer(part: &str) -> Option<Answer> {
    // The part's own headers, then the answer's line and headers, then its body.
    let part = part.replace("\r\n", "\n");
    let (_, http) = part.trim_start_matches('\n').split_once("\n\n")?;
    let http = http.trim_start();
    let status = http.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let body = http.split_once("\n\n").map(|(_, body)| body.trim()).unwrap_or_default();
    Some(Answer { status, body: serde_json::from_str(body).unwrap_or(Value::Null) })
}
