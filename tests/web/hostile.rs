//! What hostile, careless and slow peers get: a refusal in words, and never more of the box than their share.

use std::net::TcpStream;
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::json;
use snova::customer::PersonName;
use snova::web::Limits;

use crate::web_box::{SOON, TestBox, at, customer, greeted, ivan, name, visit, with};
use crate::web_client::{SHORT, Screen, answer_to, client, eventually, get, json_of, refusal, say};

#[tokio::test]
async fn greeter_that_says_nothing_costs_a_bounded_wait() {
    let shop = TestBox::with(&["till-1"], |parts| parts.limits.answer = SHORT).await;
    let (status, code) = refusal(answer_to(&shop, visit(4), &json!({"verdict": "yes"}))).await;
    assert_eq!((status, code.as_str()), (StatusCode::SERVICE_UNAVAILABLE, "busy"));
    shop.stop().await;
}

#[tokio::test]
async fn malformed_answers_are_refused_and_never_reach_the_greeter() {
    let mut shop = TestBox::start(&["till-1"]).await;
    let url = shop.url(&format!("/api/v1/visits/{}/answer", visit(4)));
    let post = |body: &[u8]| client().post(&url).header("content-type", "application/json").body(body.to_vec());
    let id = customer(1);
    for (body, status, code) in [
        (b"".to_vec(), 400, "bad_json"),
        (b"{\"verdict\":\"yes\",".to_vec(), 400, "bad_json"),
        (b"{\"verdict\":\"\xff\xfe\"}".to_vec(), 400, "bad_json"),
        (b"{\"verdict\":\"perhaps\"}".to_vec(), 400, "bad_json"),
        (b"{}".to_vec(), 400, "bad_json"),
        (b"{\"verdict\":\"yes\",\"customer\":1}".to_vec(), 400, "bad_json"),
        (b"{\"verdict\":\"yes\",\"verdict\":\"no\"}".to_vec(), 400, "bad_json"),
        (b"{\"verdict\":\"yes\",\"customer_id\":\"x\"}".to_vec(), 400, "bad_json"),
        (b"{\"verdict\":\"other\"}".to_vec(), 400, "customer_missing"),
        (format!("{{\"verdict\":\"other\",\"customer_id\":\"{id}\"}} x").into_bytes(), 400, "bad_json"),
        ([vec![b'['; 16 * 1024], vec![]].concat(), 400, "bad_json"),
        (vec![b' '; 16 * 1024 + 1], 413, "too_large"),
        (vec![b'x'; 4 * 1024 * 1024], 413, "too_large"),
    ] {
        let expected = (StatusCode::from_u16(status).unwrap(), code.to_owned());
        assert_eq!(refusal(post(&body)).await, expected, "{}", String::from_utf8_lossy(&body[..body.len().min(80)]));
    }
    let misspelt = json!({"verdict": "yes", "customerid": null});
    let (_, body) = json_of(answer_to(&shop, visit(4), &misspelt)).await;
    assert!(body["error"]["message"].as_str().unwrap().contains("unknown field `customerid`"), "{body}");
    let bad_id = client().post(shop.url("/api/v1/visits/1/answer")).json(&json!({"verdict": "yes"}));
    assert_eq!(refusal(bad_id).await, (StatusCode::BAD_REQUEST, "bad_visit_id".to_owned()));
    assert!(shop.answers.try_recv().is_err());
    shop.stop().await;
}

#[tokio::test]
async fn other_sites_cannot_answer_for_the_cashier() {
    let mut shop = TestBox::start(&["till-1"]).await;
    let yes = json!({"verdict": "yes"});
    for (header, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "http://evil.example"),
        ("origin", "null"),
        ("origin", "http://127.0.0.1:1"),
    ] {
        let (status, code) = refusal(answer_to(&shop, visit(4), &yes).header(header, value)).await;
        assert_eq!((status, code.as_str()), (StatusCode::FORBIDDEN, "cross_site"), "{header}: {value}");
    }
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", ""] {
        let url = shop.url(&format!("/api/v1/visits/{}/answer", visit(4)));
        let request = client().post(url).header("content-type", kind).body("{\"verdict\":\"yes\"}");
        assert_eq!(refusal(request).await, (StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json".to_owned()), "{kind}");
    }
    assert!(shop.answers.try_recv().is_err());
    let own = answer_to(&shop, visit(4), &yes).header("origin", shop.url("")).header("sec-fetch-site", "same-origin");
    let sent = tokio::spawn(json_of(own));
    shop.hear(Ok(())).await;
    assert_eq!(sent.await.unwrap().0, StatusCode::OK);
    shop.stop().await;
}

#[tokio::test]
async fn name_that_is_not_the_boxs_own_shows_nothing() {
    let shop = TestBox::with(&["till-1"], |parts| parts.limits.header_read = SHORT).await;
    shop.show("till-1", with(vec![ivan()]));
    for host in ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:8080"] {
        let (status, code) = refusal(get(&shop, "/api/v1/counter").header("host", host)).await;
        assert_eq!((status, code.as_str()), (StatusCode::MISDIRECTED_REQUEST, "unknown_host"), "{host}");
    }
    for host in ["till.shop.lan", "localhost:8080", "[::1]:8080"] {
        let response = get(&shop, "/api/v1/counter").header("host", host).send().await.unwrap();
        assert_eq!(response.status(), 200, "{host}");
    }
    for (head, status) in [
        ("GET /api/v1/counter HTTP/1.1\r\n\r\n", "400"),
        ("GET /api/v1/counter HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\n\r\n", "400"),
        ("GET http://evil.example/api/v1/counter HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", "421"),
    ] {
        let answer = say(shop.address, head.as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{head} {answer}");
        assert!(!answer.contains("Иван"));
    }
    shop.stop().await;
}

#[tokio::test]
async fn screens_are_bounded_and_a_closed_one_gives_its_place_back() {
    let limits = Limits { streams: 3, ping: Duration::from_millis(20), ..Limits::default() };
    let shop = TestBox::with(&["till-1"], |parts| parts.limits = limits).await;
    let mut screens = Vec::new();
    for _ in 0..3 {
        let mut screen = Screen::open(&shop, "/api/v1/counter/events").await;
        screen.event("counter").await;
        screens.push(screen);
    }
    let (status, code) = refusal(get(&shop, "/api/v1/counter/events")).await;
    assert_eq!((status, code.as_str()), (StatusCode::SERVICE_UNAVAILABLE, "too_many_screens"));
    assert_eq!(get(&shop, "/api/v1/counter").send().await.unwrap().status(), 200, "the rest still works");
    screens.pop();
    eventually("the place is free", || shop.listeners("till-1") == 2).await;
    Screen::open(&shop, "/api/v1/counter/events").await.event("counter").await;
    shop.stop().await;
}

#[tokio::test]
async fn connections_of_one_address_are_bounded() {
    let limits = Limits { connections_per_address: 4, ..Limits::default() };
    let shop = TestBox::with(&["till-1"], |parts| parts.limits = limits).await;
    let held: Vec<TcpStream> = (0..4).map(|_| TcpStream::connect(shop.address).unwrap()).collect();
    assert_eq!(say(shop.address, b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").await, "", "the fifth is closed");
    drop(held);
    let polite = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
    let served = async { while !say(shop.address, polite).await.starts_with("HTTP/1.1 200") {} };
    tokio::time::timeout(SOON, served).await.expect("the places are given back");
    shop.stop().await;
}

#[tokio::test]
async fn peer_that_dawdles_over_its_headers_is_dropped() {
    let shop = TestBox::with(&["till-1"], |parts| parts.limits.header_read = SHORT).await;
    // The end of the connection comes from the box: the peer itself would wait for SOON.
    assert_eq!(say(shop.address, b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ").await, "");
    assert_eq!(say(shop.address, b"").await, "");
    let idle = say(shop.address, b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").await;
    assert!(idle.starts_with("HTTP/1.1 200"), "an idle connection is closed after its answer: {idle}");
    shop.stop().await;
}

#[tokio::test]
async fn peer_that_dawdles_over_its_body_is_told_so() {
    let shop = TestBox::with(&["till-1"], |parts| parts.limits.request = SHORT).await;
    let head = format!(
        "POST /api/v1/visits/{}/answer HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n\
         Content-Length: 100\r\n\r\n{{\"verd",
        visit(4)
    );
    let answer = say(shop.address, head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("too_slow"), "{answer}");
    shop.stop().await;
}

#[tokio::test]
async fn what_is_not_http_1_is_not_answered_with_a_page() {
    let shop = TestBox::with(&["till-1"], |parts| parts.limits.header_read = SHORT).await;
    let many_headers = format!("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n{}\r\n", "X-A: b\r\n".repeat(1000));
    let long_header = format!("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: {}\r\n\r\n", "b".repeat(200_000));
    for noise in [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        b"\0\0\0\0\r\n\r\n".to_vec(),
        b"GET / HTTP/1.1\r\nHost: \xff\xfe\r\n\r\n".to_vec(),
        many_headers.into_bytes(),
        long_header.into_bytes(),
    ] {
        let answer = say(shop.address, &noise).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    assert_eq!(get(&shop, "/health").send().await.unwrap().status(), 200);
    shop.stop().await;
}

#[tokio::test]
async fn page_of_a_counter_with_a_strange_name_is_still_safe() {
    let strange = "каса </title><script>1</script> \"{{words}}\"";
    let shop = TestBox::start(&[strange]).await;
    let page = get(&shop, "/").send().await.unwrap().text().await.unwrap();
    assert!(!page.contains("<script>1"), "{page}");
    assert_eq!(page.matches("Это другой человек").count(), 1, "no name fills another place");
    shop.stop().await;
}

#[tokio::test]
async fn longest_names_and_oldest_times_pass_through_unchanged() {
    let shop = TestBox::start(&["till-1"]).await;
    let long = "\u{202e}\"\\\u{2028}".repeat(PersonName::MAX_CHARS / 4);
    let mut person = greeted(1, &long, name(&long, &long, &long));
    person.since = at("0001-01-01T00:00:00Z");
    shop.show("till-1", with(vec![person]));
    let (_, body) = json_of(get(&shop, "/api/v1/counter")).await;
    assert_eq!(body["present"][0]["name"]["given"], json!(long));
    let mut screen = Screen::open(&shop, "/api/v1/counter/events").await;
    assert_eq!(screen.event("counter").await, body);
    shop.stop().await;
}
