//! Cards and phones over HTTP: what is handed on, how each refusal looks, and that nothing of the text comes back.

use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value, json};
use snova::greeter::EntryError;

use crate::web_box::{TestBox, visit};
use crate::web_client::{SHORT, client, json_of, refusal};

fn entry(shop: &TestBox, path: &str, body: &Value) -> RequestBuilder {
    client().post(shop.url(path)).json(body)
}

#[tokio::test]
async fn an_entry_reaches_its_counter_and_the_visit_comes_back() {
    let mut shop = TestBox::start(&["till-1", "till-2"]).await;
    let body = json!({"entered": " 8 (912) 345-67-89 "});
    let sent = tokio::spawn(json_of(entry(&shop, "/api/v1/counters/till-2/entries", &body)));
    let (counter, entered) = shop.hear_entry(Ok(visit(9))).await;
    assert_eq!((counter.as_str(), entered.as_str()), ("till-2", " 8 (912) 345-67-89 "));
    assert_eq!(sent.await.unwrap(), (StatusCode::OK, json!({"visit_id": visit(9).0, "record": "recorded"})));
    let (status, code) = refusal(entry(&shop, "/api/v1/counter/entries", &body)).await;
    assert_eq!((status, code.as_str()), (StatusCode::NOT_FOUND, "several_counters"));
    let (status, code) = refusal(entry(&shop, "/api/v1/counters/till-9/entries", &body)).await;
    assert_eq!((status, code.as_str()), (StatusCode::NOT_FOUND, "no_such_counter"));
    assert!(shop.entries.try_recv().is_err());
    shop.stop().await;

    let mut shop = TestBox::start(&["till-1"]).await;
    let sent = tokio::spawn(json_of(entry(&shop, "/api/v1/counter/entries", &body)));
    assert_eq!(shop.hear_entry(Ok(visit(9))).await.0, "till-1");
    assert_eq!(sent.await.unwrap().0, StatusCode::OK);
    shop.stop().await;
}

#[tokio::test]
async fn every_refusal_has_its_code_and_quotes_nothing_of_the_entry() {
    let mut shop = TestBox::start(&["till-1"]).await;
    for (error, status, code) in [
        (EntryError::Unknown, 404, "unknown_entry"),
        (EntryError::ConsentEnded, 403, "consent_ended"),
        (EntryError::TooMany, 429, "too_many_entries"),
        (EntryError::Busy, 503, "busy"),
    ] {
        let request = entry(&shop, "/api/v1/counter/entries", &json!({"entered": "4820000123456"}));
        let sent = tokio::spawn(json_of(request));
        shop.hear_entry(Err(error)).await;
        let (told, body) = sent.await.unwrap();
        assert_eq!((told.as_u16(), &body["error"]["code"]), (status, &json!(code)));
        assert!(!body.to_string().contains("4820000123456"), "{body}");
    }
    shop.stop().await;
}

#[tokio::test]
async fn malformed_and_foreign_entries_never_reach_the_greeter() {
    let mut shop = TestBox::start(&["till-1"]).await;
    let url = shop.url("/api/v1/counter/entries");
    let post = |body: Vec<u8>| client().post(&url).header("content-type", "application/json").body(body);
    for (body, status, code) in [
        (b"".to_vec(), 400, "bad_json"),
        (b"{}".to_vec(), 400, "bad_json"),
        (b"\"4820000123456\"".to_vec(), 400, "bad_json"),
        (b"{\"entered\":4820000123456}".to_vec(), 400, "bad_json"),
        (b"{\"entered\":\"4820\",\"key\":\"4820000123456\"}".to_vec(), 400, "bad_json"),
        (b"{\"entered\":\"1\",\"4820000123456\":\"x\"}".to_vec(), 400, "bad_json"),
        (vec![b' '; 16 * 1024 + 1], 413, "too_large"),
    ] {
        let (told, answer) = json_of(post(body)).await;
        assert_eq!((told.as_u16(), &answer["error"]["code"]), (status, &json!(code)));
        assert!(!answer.to_string().contains("4820000123456"), "{answer}");
    }
    let foreign = post(b"{\"entered\":\"4820\"}".to_vec()).header("sec-fetch-site", "cross-site");
    assert_eq!(refusal(foreign).await, (StatusCode::FORBIDDEN, "cross_site".to_owned()));
    let form = client().post(&url).header("content-type", "text/plain").body("{\"entered\":\"4820\"}");
    assert_eq!(refusal(form).await.0, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert!(shop.entries.try_recv().is_err());
    shop.stop().await;
}

#[tokio::test]
async fn a_greeter_that_says_nothing_costs_a_bounded_wait() {
    let shop = TestBox::with(&["till-1"], |parts| parts.limits.answer = SHORT).await;
    let (status, code) = refusal(entry(&shop, "/api/v1/counter/entries", &json!({"entered": "4820"}))).await;
    assert_eq!((status, code.as_str()), (StatusCode::SERVICE_UNAVAILABLE, "busy"));
    shop.stop().await;
}
