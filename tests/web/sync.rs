//! The outbox over HTTP: what an operator is told, what each decision does, and who may not decide.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value, json};
use snova::web::{DeadLetter, OutboxHealth, SyncDesk, SyncError};
use uuid::Uuid;

use crate::web_box::{TestBox, at, customer, outbox, visit};
use crate::web_client::{client, get, json_of, refusal};

/// An outbox in memory, with what was asked of it.
#[derive(Default)]
struct Kept {
    dead: Mutex<BTreeMap<Uuid, DeadLetter>>,
    asked: Mutex<Vec<String>>,
    broken: bool,
    slow: Duration,
}

impl Kept {
    fn with(letters: impl IntoIterator<Item = DeadLetter>) -> Arc<Self> {
        let dead = letters.into_iter().map(|letter| (letter.event, letter)).collect();
        Arc::new(Self { dead: Mutex::new(dead), ..Self::default() })
    }

    fn note<T>(&self, what: String, outcome: Result<T, SyncError>) -> Result<T, SyncError> {
        std::thread::sleep(self.slow);
        self.asked.lock().unwrap().push(what);
        if self.broken { Err(SyncError::Store) } else { outcome }
    }

    fn take(&self, event: Uuid) -> Result<(), SyncError> {
        self.dead.lock().unwrap().remove(&event).map(drop).ok_or(SyncError::UnknownEvent)
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

impl SyncDesk for Kept {
    fn report(&self) -> Result<OutboxHealth, SyncError> {
        let report = OutboxHealth {
            connected: false,
            dead: self.dead.lock().unwrap().len() as u64,
            unlinked: 4,
            held: 5,
            debts: 6,
            error_class: Some("tenant-blocked"),
            error: Some("the plan's daily requests are used up; they begin anew at midnight".to_owned()),
            blocked_until: Some(at("2026-05-12T21:00:00.25Z")),
            ..outbox()
        };
        self.note("report".to_owned(), Ok(report))
    }

    fn dead(&self, most: usize) -> Result<Vec<DeadLetter>, SyncError> {
        let all = self.dead.lock().unwrap().values().cloned().collect();
        self.note(format!("dead, at most {most}"), Ok(all))
    }

    fn retry(&self, event: Uuid) -> Result<(), SyncError> {
        let outcome = self.take(event);
        self.note(format!("retry {event}"), outcome)
    }

    fn retry_all(&self) -> Result<u64, SyncError> {
        let dead = std::mem::take(&mut *self.dead.lock().unwrap());
        self.note("retry all".to_owned(), Ok(dead.len() as u64))
    }

    fn discard(&self, event: Uuid) -> Result<(), SyncError> {
        let outcome = self.take(event);
        self.note(format!("discard {event}"), outcome)
    }
}

fn event(n: u128) -> Uuid {
    Uuid::from_u128(0x0190_0000_0000_7000_a000_0000_0000_0000 + n)
}

fn letter(n: u128) -> DeadLetter {
    DeadLetter {
        event: event(n),
        kind: "visit".to_owned(),
        visit: Some(visit(n).0),
        customer: customer(n).0,
        created_at: at("2026-05-12T09:40:10.75Z"),
        attempts: 3,
        error_class: Some("poison".to_owned()),
        error: Some("the field \"Shop\" does not take this value; add it to the list".to_owned()),
    }
}

async fn shop_with(desk: &Arc<Kept>) -> TestBox {
    let desk = Arc::clone(desk);
    TestBox::with(&["till-1"], |parts| parts.sync = desk).await
}

fn post(shop: &TestBox, path: &str) -> RequestBuilder {
    client().post(shop.url(path)).json(&json!({}))
}

#[tokio::test]
async fn an_operator_is_told_how_far_visits_are_and_what_is_wrong() {
    let desk = Kept::with([letter(1)]);
    let shop = shop_with(&desk).await;
    let expected = json!({
        "crm": "salesforce",
        "connected": false,
        "depth": 3,
        "oldest_age_s": 90,
        "dead": 1,
        "unlinked": 4,
        "held": 5,
        "debts": 6,
        "last_success": "2026-05-12T11:06:40Z",
        "error_class": "tenant-blocked",
        "error": "the plan's daily requests are used up; they begin anew at midnight",
        "blocked_until": "2026-05-12T21:00:00Z",
        "notes": [],
    });
    assert_eq!(json_of(get(&shop, "/api/v1/sync")).await, (StatusCode::OK, expected));
    shop.stop().await;
}

#[tokio::test]
async fn dead_letters_are_listed_by_ids_and_never_more_than_500() {
    let erasure = DeadLetter {
        kind: "erasure".to_owned(),
        visit: None,
        error_class: None,
        error: None,
        attempts: 0,
        ..letter(2)
    };
    let desk = Kept::with([letter(1), erasure]);
    let shop = shop_with(&desk).await;
    let expected = json!({"dead": [
        {
            "event_id": event(1),
            "kind": "visit",
            "visit_id": visit(1).0,
            "customer_id": customer(1).0,
            "created_at": "2026-05-12T09:40:10Z",
            "attempts": 3,
            "error_class": "poison",
            "error": "the field \"Shop\" does not take this value; add it to the list",
        },
        {
            "event_id": event(2),
            "kind": "erasure",
            "visit_id": null,
            "customer_id": customer(2).0,
            "created_at": "2026-05-12T09:40:10Z",
            "attempts": 0,
            "error_class": null,
            "error": null,
        },
    ]});
    assert_eq!(json_of(get(&shop, "/api/v1/sync/dead")).await, (StatusCode::OK, expected));
    assert_eq!(desk.asked(), ["dead, at most 500"]);
    shop.stop().await;

    let shop = shop_with(&Kept::with((0..600).map(letter))).await;
    let (_, body) = json_of(get(&shop, "/api/v1/sync/dead")).await;
    assert_eq!(body["dead"].as_array().map(Vec::len), Some(500));
    shop.stop().await;
}

#[tokio::test]
async fn each_decision_reaches_the_outbox_once_and_says_what_came_of_it() {
    let desk = Kept::with((1..=5).map(letter));
    let shop = shop_with(&desk).await;
    let of = |n, what: &str| format!("/api/v1/sync/dead/{}/{what}", event(n));
    assert_eq!(json_of(post(&shop, &of(1, "retry"))).await, (StatusCode::OK, json!({"retried": 1})));
    assert_eq!(json_of(post(&shop, &of(2, "discard"))).await, (StatusCode::OK, json!({"event_id": event(2)})));
    assert_eq!(desk.asked(), [format!("retry {}", event(1)), format!("discard {}", event(2))]);
    for (n, what) in [(1, "retry"), (2, "discard"), (9, "retry"), (9, "discard")] {
        let told = refusal(post(&shop, &of(n, what))).await;
        assert_eq!(told, (StatusCode::NOT_FOUND, "unknown_event".to_owned()));
    }
    // Without a body, as a person at a command line sends it.
    let bare = client().post(shop.url("/api/v1/sync/retry")).header("content-type", "application/json");
    assert_eq!(json_of(bare).await, (StatusCode::OK, json!({"retried": 3})));
    assert_eq!(json_of(post(&shop, "/api/v1/sync/retry")).await.1, json!({"retried": 0}));
    let (_, left) = json_of(get(&shop, "/api/v1/sync/dead")).await;
    assert_eq!(left, json!({"dead": []}));
    shop.stop().await;
}

#[tokio::test]
async fn malformed_and_foreign_decisions_never_reach_the_outbox() {
    let desk = Kept::with([letter(1)]);
    let shop = shop_with(&desk).await;
    let discard = format!("/api/v1/sync/dead/{}/discard", event(1));
    for path in ["/api/v1/sync/dead/1/retry", "/api/v1/sync/dead/x/discard"] {
        assert_eq!(refusal(post(&shop, path)).await, (StatusCode::BAD_REQUEST, "bad_event_id".to_owned()));
    }
    for path in [discard.as_str(), "/api/v1/sync/retry"] {
        for (header, value) in [("sec-fetch-site", "cross-site"), ("origin", "http://evil.example")] {
            let told = refusal(post(&shop, path).header(header, value)).await;
            assert_eq!(told, (StatusCode::FORBIDDEN, "cross_site".to_owned()), "{path}");
        }
        let form = client().post(shop.url(path)).header("content-type", "text/plain");
        assert_eq!(refusal(form).await.0, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{path}");
        let rebound = post(&shop, path).header("host", "evil.example");
        assert_eq!(refusal(rebound).await.0, StatusCode::MISDIRECTED_REQUEST, "{path}");
        assert_eq!(refusal(get(&shop, path)).await, (StatusCode::METHOD_NOT_ALLOWED, "wrong_method".to_owned()));
    }
    assert_eq!(desk.asked(), Vec::<String>::new());
    shop.stop().await;
}

#[tokio::test]
async fn a_store_that_fails_or_falls_silent_is_said_so() {
    let broken = Arc::new(Kept { broken: true, ..Kept::default() });
    let shop = shop_with(&broken).await;
    for request in [get(&shop, "/api/v1/sync"), get(&shop, "/api/v1/sync/dead"), post(&shop, "/api/v1/sync/retry")] {
        assert_eq!(refusal(request).await, (StatusCode::SERVICE_UNAVAILABLE, "store_failed".to_owned()));
    }
    shop.stop().await;

    let silent = Arc::new(Kept { slow: Duration::from_secs(5), ..Kept::default() });
    let shop = shop_with(&silent).await;
    let told = refusal(get(&shop, "/api/v1/sync")).await;
    assert_eq!(told, (StatusCode::GATEWAY_TIMEOUT, "store_silent".to_owned()));
    // Who is at the counter is shown all the same.
    let (status, body) = json_of(get(&shop, "/api/v1/counter")).await;
    assert_eq!((status, &body["present"]), (StatusCode::OK, &Value::Array(Vec::new())));
    shop.stop().await;
}
