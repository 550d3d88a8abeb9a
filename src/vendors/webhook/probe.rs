//! Whether a webhook's receiver is there, checks signatures and answers for each event.
//!
//! It is sent two events named `probe`: one that it must take, and one that it must refuse.

use serde_json::{Value, json};

use super::{Webhook, wire};
use crate::crm::Finding;

/// A shorter key can be guessed.
const SHORTEST_KEY: usize = 24;

pub(super) async fn probe(webhook: &mut Webhook) -> Vec<Finding> {
    let key = match webhook.signing_key() {
        Ok(key) => key,
        Err(failure) => return vec![Finding::missing("the signing key", failure.to_string())],
    };
    let mut found = vec![if key.len() < SHORTEST_KEY {
        Finding::warning(
            "the signing key",
            format!("it is short; give both sides one of {SHORTEST_KEY} characters or more, drawn at random"),
        )
    } else {
        Finding::good("the signing key")
    }];
    let event = probe_event(webhook);
    let answered = match webhook.post("probe", std::slice::from_ref(&event), &key).await {
        Ok(reply) => {
            let is_empty = reply.body.trim_ascii().is_empty();
            wire::outcomes(&reply, &[event], &*webhook.tools.clock)
                .and_then(|mut outcomes| outcomes.pop().unwrap_or_else(|| Ok(super::RecordId(String::new()))))
                .map(|_| is_empty)
        }
        Err(failure) => Err(failure),
    };
    let is_empty = match answered {
        Ok(is_empty) => is_empty,
        Err(failure) => {
            found.push(Finding::missing("a signed event is taken", failure.to_string()));
            return found;
        }
    };
    found.push(Finding::good("a signed event is taken"));
    let what = "the answer says what became of each event";
    found.push(if is_empty {
        Finding::warning(what, "it is empty, which counts as taken; answer with \"results\", so that a page of a proxy in between is not taken for yours")
    } else {
        Finding::good(what)
    });
    found.push(false_signature(webhook).await);
    found
}

fn probe_event(webhook: &Webhook) -> Value {
    let clock = &webhook.tools.clock;
    json!({ "event": "probe", "key": clock.mint().to_string(), "at": wire::time(clock.wall().at) })
}

async fn false_signature(webhook: &mut Webhook) -> Finding {
    let what = "a false signature is refused";
    let event = probe_event(webhook);
    match webhook.post("probe", &[event], "a key that nobody has").await {
        Ok(reply) if matches!(reply.status, 401 | 403) => Finding::good(what),
        Ok(reply) if reply.is_success() => {
            Finding::warning(what, "the receiver took it: anybody can send it visits; let it compare Snova-Signature")
        }
        Ok(reply) => Finding::warning(
            what,
            format!("the receiver answered HTTP {}; let it answer 401 to a false signature", reply.status),
        ),
        Err(failure) => Finding::warning(what, failure.to_string()),
    }
}
