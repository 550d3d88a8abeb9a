//! Visits on record and what the point of sale says, asked of the running service: sockets, desk, writer and database.
//!
//! What each address refuses is `web/visits.rs`; what a CRM hears, `store_visits.rs`.
#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/http_client.rs"]
mod http_client;
#[path = "support/running_service.rs"]
mod running_service;
#[path = "support/scripted_vision.rs"]
mod scripted_vision;
#[path = "support/tills.rs"]
mod tills;

use std::time::Duration;

use reqwest::Method;
use scripted_vision::ScriptedVision;
use serde_json::{Value, json};
use snova::app::Service;
use snova::customer::{Identifier, Purpose, VisitId};
use snova::store::VisitVerdict;
use tills::{Shop, done, enter, eventually, http};

async fn ask(service: &Service, method: Method, path: &str, body: Value) -> (u16, Value) {
    let url = format!("http://{}/api/v1/{path}", service.address());
    let answer = http().request(method, url).json(&body).send().await.expect("an answer");
    (answer.status().as_u16(), answer.json().await.expect("JSON"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visit_gets_its_receipt_and_who_served_and_is_voided_after_it_has_left_the_screen() {
    let mut shop = Shop::with_tills(&["till-1"]);
    shop.settings.served_by = true;
    shop.settings.desk.visit.merge = Duration::ZERO;
    let purposes = [Purpose::CardGreeting, Purpose::VisitRecords];
    shop.enrol_card("Иван", Identifier::card("4820").expect("a code"), &purposes);
    let mut service = shop.open(Box::new(ScriptedVision::new(64))).await;
    let serves = ask(&service, Method::PUT, "counters/till-1/served-by", json!({"who": "Анна"})).await;
    assert_eq!(serves, (200, json!({"counter": "till-1", "who": "Анна"})));
    let (_, entered) = enter(&service, "till-1", "4820").await;
    let id: VisitId = entered["visit_id"].as_str().expect("an id").parse().expect("an id");
    let receipt = json!({"number": "A-1734", "sum": 123_450});
    let kept = (200, json!({"visit_id": id.0, "number": "A-1734", "sum": 123_450}));
    assert_eq!(ask(&service, Method::POST, "counters/till-1/receipt", receipt.clone()).await, kept);
    assert_eq!(done(&service, &entered["visit_id"]).await, 200);
    let ended = || shop.count("visits WHERE closed_at NOT NULL") == 1;
    eventually("the visit is over", ended).await;
    assert_eq!(ask(&service, Method::POST, "counters/till-1/receipt", receipt).await, kept, "sent again, he has left");
    assert_eq!(done(&service, &entered["visit_id"]).await, 404, "the desk knows nothing of it any more");

    for _ in 0..2 {
        let void = ask(&service, Method::POST, &format!("visits/{id}/void"), json!({})).await;
        assert_eq!(void, (200, json!({"visit_id": id.0, "customer_id": null})));
    }
    let visit = shop.store.visit(id).expect("readable").expect("recorded");
    assert_eq!((visit.verdict, visit.served_by.as_deref()), (VisitVerdict::Rejected, Some("Анна")));
    let (_, day) = ask(&service, Method::GET, "visits", Value::Null).await;
    assert_eq!((&day["visits"][0]["state"], &day["visits"][0]["name"]["given"]), (&json!("void"), &json!("Иван")));

    // The owner switches it off: it can be said no more, and nobody is named any more.
    let off = snova::app::Settings { served_by: false, ..shop.settings.clone() };
    service.exchange(off, None).await.expect("a reload");
    let (status, _) = ask(&service, Method::PUT, "counters/till-1/served-by", json!({"who": "Яна"})).await;
    assert_eq!(status, 403);
    let (_, entered) = enter(&service, "till-1", "4820").await;
    let id: VisitId = entered["visit_id"].as_str().expect("an id").parse().expect("an id");
    assert_eq!(shop.store.visit(id).expect("readable").expect("recorded").served_by, None);
    service.stop().await.expect("a clean stop");
}
