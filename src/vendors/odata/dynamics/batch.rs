//! Batches of the Dataverse Web API: several requests in one multipart body, and their answers in order.
//!
//! What an answer means is `wire`'s.

use serde_json::Value;

use super::wire;
use crate::crm::{Failure, Reply, Request};

/// JSON has no line that begins like this: within its texts a line's end is written as `\n`.
const BOUNDARY: &str = "batch_snova";
const KIND: &str = "multipart/mixed;boundary=batch_snova";

/// One request of a batch.
pub(super) struct Part {
    method: &'static str,
    /// Below the API's root: "tasks(…)".
    row: String,
    condition: Option<&'static str>,
    body: Option<Value>,
}

impl Part {
    pub(super) fn new(method: &'static str, row: String) -> Self {
        Self { method, row, condition: None, body: None }
    }

    /// Creates the row, and is refused where it is there already.
    pub(super) fn create(row: String, body: Value) -> Self {
        Self { method: "PATCH", row, condition: Some("If-None-Match: *"), body: Some(body) }
    }

    /// Changes the row, and is refused where it is not there.
    pub(super) fn update(row: String, body: Value) -> Self {
        Self { method: "PATCH", row, condition: Some("If-Match: *"), body: Some(body) }
    }

    fn text(&self) -> String {
        let mut text = format!(
            "--{BOUNDARY}\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n{} {}/{} HTTP/1.1\r\n",
            self.method,
            wire::ROOT,
            self.row
        );
        for line in
            self.condition.into_iter().chain(self.body.as_ref().map(|_| "Content-Type: application/json; type=entry"))
        {
            text.push_str(line);
            text.push_str("\r\n");
        }
        text.push_str("\r\n");
        if let Some(body) = &self.body {
            text.push_str(&body.to_string());
        }
        text.push_str("\r\n");
        text
    }
}

/// The whole batch. Without the preference the first refusal ends it, and those behind it are not come to.
pub(super) fn request(base: &str, parts: &[Part]) -> Request {
    let mut body: String = parts.iter().map(Part::text).collect();
    body.push_str(&format!("--{BOUNDARY}--\r\n"));
    Request::post(format!("{base}/$batch")).header("prefer", "odata.continue-on-error").body(KIND, body)
}

/// What one request was answered.
pub(super) struct Answer {
    pub status: u16,
    body: Value,
}

impl Answer {
    pub(super) fn is_absent(&self) -> bool {
        wire::says_absent(self.status, &self.body)
    }

    pub(super) fn failure(&self) -> Option<Failure> {
        wire::refusal(self.status, &self.body).or_else(|| match self.status {
            200..=299 => None,
            429 | 500..=599 => Some(Failure::transient(format!("Dynamics failed at this row (HTTP {})", self.status))),
            status => Some(Failure::poison(format!("Dynamics refused the row (HTTP {status})"))),
        })
    }
}

/// The answers in the order of the requests. Fewer or more than those say nothing about any.
pub(super) fn answers(reply: &Reply, wanted: usize) -> Result<Vec<Answer>, Failure> {
    let unclear = || Failure::transient("Dynamics's answer does not say what became of each request");
    let kind = reply.header("content-type").unwrap_or_default();
    let boundary = kind.split(';').find_map(|part| part.trim().strip_prefix("boundary=")).ok_or_else(unclear)?;
    let text = String::from_utf8_lossy(&reply.body);
    let line = format!("--{}", boundary.trim_matches('"'));
    // What comes before the first line and behind the last one is not part of it; without the last, it is half.
    let (inner, _) = text.split_once(&format!("{line}--")).ok_or_else(unclear)?;
    let answers: Option<Vec<Answer>> = inner.split(&*line).skip(1).map(answer).collect();
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
