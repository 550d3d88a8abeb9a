//! What a webhook is told and what it answers: the events, the signature, the results.
//!
//! The same is written down for the receiver's author in `docs/crm/webhook.md`.

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::clock::Clock;
use crate::crm::{Failure, Forgotten, Greeting, RecordId, Reply, SentVisit, VisitRecord};

/// So long may the receiver's own id of a record be.
const MOST_ID: usize = 200;

pub(super) fn time(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

pub(super) fn visit(visit: &VisitRecord) -> Value {
    let mut event = said(visit);
    event["event"] = "visit".into();
    event["key"] = visit.key.to_string().into();
    event
}

/// The visit as it is known now. What is said a second time has the same key, and what is said anew another.
pub(super) fn amendment(visit: &VisitRecord) -> Value {
    let mut event = said(visit);
    event["event"] = "amendment".into();
    event["visit"] = visit.key.to_string().into();
    let digest = hex(&Sha256::digest(event.to_string()));
    event["key"] = format!("amendment-{}-{}", visit.key, &digest[..16]).into();
    event
}

/// What is known of a visit; what nobody said is `null`.
fn said(visit: &VisitRecord) -> Value {
    json!({
        "customer": visit.customer.to_string(),
        "shop": visit.shop,
        "box": visit.box_id.to_string(),
        "counter": visit.counter.to_string(),
        "opened_at": time(visit.opened_at.at),
        "closed_at": time(visit.closed_at.at),
        "synchronised": visit.opened_at.synchronised && visit.closed_at.synchronised,
        "how": visit.how.as_str(),
        "greeting": visit.greeting.map(Greeting::as_str),
        "served_by": visit.served_by,
        "receipt": visit.receipt.as_ref().map(|receipt| json!({ "number": receipt.number, "sum": receipt.decimal() })),
        "clock_ahead_s": visit.skew.map(|ahead| ahead.as_secs()),
    })
}

pub(super) fn void(visit: &SentVisit) -> Value {
    json!({
        "event": "void",
        // The visit's own key is taken already, by the visit.
        "key": format!("void-{}", visit.key),
        "visit": visit.key.to_string(),
    })
}

pub(super) fn erasure(gone: &Forgotten) -> Value {
    let visits: Vec<String> = gone.visits.iter().map(|visit| visit.key.to_string()).collect();
    json!({
        "event": "erasure",
        "key": gone.key.to_string(),
        "customer": gone.customer.to_string(),
        "visits": visits,
    })
}

/// The event's key; of several events a key of just these, so that no other batch is taken for this one.
pub(super) fn request_key(events: &[Value]) -> String {
    let keys: Vec<&str> = events.iter().filter_map(|event| event["key"].as_str()).collect();
    match keys.as_slice() {
        [one] => (*one).to_owned(),
        several => hex(&Sha256::digest(several.join("\n"))),
    }
}

/// `v1=` and the HMAC-SHA256 of `timestamp.body`.
pub(super) fn signature(key: &[u8], timestamp: &str, body: &[u8]) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        // HMAC takes keys of every length.
        return String::new();
    };
    for part in [timestamp.as_bytes(), b".", body] {
        mac.update(part);
    }
    format!("v1={}", hex(&mac.finalize().into_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a reply that is no success means.
fn failure(reply: &Reply, clock: &dyn Clock) -> Option<Failure> {
    if reply.is_success() {
        return None;
    }
    let code = reply.json().ok().and_then(|body| body["code"].as_str().map(str::to_owned)).unwrap_or_default();
    let status = reply.status;
    let said = match status {
        401 | 403 => Failure::auth(format!(
            "the webhook's receiver refuses the signature (HTTP {status}); compare the key on both sides{}",
            clocks_apart(reply, clock)
        )),
        409 | 425 => Failure::transient(format!("the webhook's receiver asks to try again (HTTP {status})")),
        410 => Failure::blocked("the webhook's receiver was shut down (HTTP 410); give its new url", None),
        400 | 413 | 422 => Failure::poison(format!("the webhook's receiver refused the event (HTTP {status})")),
        _ => reply.common_failure(clock).unwrap_or_else(|| {
            // A wrong address refuses everybody's visit: none of them is to blame.
            Failure::blocked(
                format!("there is no receiver of this webhook at its address (HTTP {status}); correct url"),
                None,
            )
        }),
    };
    Some(said.with_code(&code))
}

/// Says so where the clocks differ: a signature of another hour is refused like a wrong one.
fn clocks_apart(reply: &Reply, clock: &dyn Clock) -> String {
    let theirs = reply.header("date").and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
    let apart = theirs.map(|theirs| clock.wall().at.duration_since(theirs.timestamp()).as_secs().abs() / 60);
    match apart {
        Some(minutes) if minutes >= 5 => format!(", and set the clocks: they are {minutes} minutes apart"),
        _ => String::new(),
    }
}

/// What became of each event. An empty success means that all were taken; whatever else is said must be said of each.
pub(super) fn outcomes(
    reply: &Reply,
    events: &[Value],
    clock: &dyn Clock,
) -> Result<Vec<Result<RecordId, Failure>>, Failure> {
    if let Some(failure) = failure(reply, clock) {
        return Err(failure);
    }
    if reply.body.trim_ascii().is_empty() {
        return Ok(vec![Ok(RecordId(String::new())); events.len()]);
    }
    let body = reply.json()?;
    let results = body["results"].as_array().ok_or_else(|| {
        Failure::transient("the webhook's receiver answered something without \"results\"; nothing is taken from it")
    })?;
    let outcome = |event: &Value| {
        let mut own = results.iter().filter(|result| result["key"] == event["key"]);
        match (own.next(), own.next()) {
            (Some(result), None) => outcome(result),
            _ => Err(Failure::transient("the webhook's receiver does not say what became of the event")),
        }
    };
    Ok(events.iter().map(outcome).collect())
}

fn outcome(result: &Value) -> Result<RecordId, Failure> {
    let code = result["code"].as_str().unwrap_or_default();
    match result["status"].as_str().unwrap_or_default() {
        "ok" => {
            let id = result["id"].as_str().unwrap_or_default();
            Ok(RecordId(id.chars().take(MOST_ID).collect()))
        }
        "refused" => Err(Failure::poison("the webhook's receiver refused the event").with_code(code)),
        "retry" => Err(Failure::transient("the webhook's receiver asks to send the event again later").with_code(code)),
        _ => Err(Failure::transient("the webhook's receiver gives the event a status that is none")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_hmac_sha_256_over_timestamp_and_body() {
        // RFC 4231, case 2: its data happens to be two words around a character that is not ours to choose.
        let mut mac = Hmac::<Sha256>::new_from_slice(b"Jefe").unwrap();
        mac.update(b"what do ya want for nothing?");
        assert_eq!(
            hex(&mac.finalize().into_bytes()),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        let whole = signature(b"key", "1772442000", b"[]");
        let mut mac = Hmac::<Sha256>::new_from_slice(b"key").unwrap();
        mac.update(b"1772442000.[]");
        assert_eq!(whole, format!("v1={}", hex(&mac.finalize().into_bytes())));
    }

    #[test]
    fn a_batch_has_a_key_of_its_own() {
        let event = |key: &str| json!({ "key": key });
        assert_eq!(request_key(&[event("a")]), "a");
        let both = request_key(&[event("a"), event("b")]);
        assert_eq!(both.len(), 64);
        assert_ne!(both, request_key(&[event("b"), event("a")]));
    }
}
