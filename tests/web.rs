//! The web over a real socket: what each address gives. What hostile peers get is in `web/hostile.rs`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "web/crm.rs"]
mod crm;
#[path = "web/entries.rs"]
mod entries;
#[path = "web/hostile.rs"]
mod hostile;
#[path = "support/http_client.rs"]
mod http_client;
#[path = "web/sync.rs"]
mod sync;
#[path = "web/visits.rs"]
mod visits;
#[path = "support/web_box.rs"]
mod web_box;
#[path = "support/web_client.rs"]
mod web_client;
#[path = "support/web_schema.rs"]
mod web_schema;

use snova::customer::Verdict;
use std::net::SocketAddr;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use snova::greeter::{AnswerError, CounterState, CrmTrouble};
use snova::trouble::Trouble;
use snova::web::WebError;
use web_box::{NOW, TestBox, customer, ivan, lost, name, nobody, perhaps, visit, with};
use web_client::{Screen, answer_to, client, get, json_of, refusal};

#[tokio::test]
async fn picture_of_a_counter_says_who_is_there_and_nothing_more() {
    let shop = TestBox::start(&["till-1"]).await;
    let doubt = perhaps(4, vec![name("Анна", "Сергеевна", "Ким"), name("Яна", "", "")]);
    shop.show("till-1", CounterState { cameras: vec![lost("front")], unsaved_visits: 1, ..with(vec![ivan(), doubt]) });
    let (status, body) = json_of(get(&shop, "/api/v1/counters/till-1")).await;
    assert_eq!(status, 200);
    let expected = json!({
        "counter": "till-1",
        "present": [
            {
                "visit_id": visit(1).to_string(),
                "decision": "match",
                "customer_id": customer(1).to_string(),
                "greeting": "С возвращением, Иван Петрович!",
                "name": {"given": "Иван", "patronymic": "Петрович", "family": "Сидоров"},
                "candidates": [],
                "card": {
                    "tier": "Золотая карта",
                    "note": "берёт без сахара",
                    "visits": 12,
                    "last_visit": "2026-05-11T09:30:00Z",
                    "crm": null,
                },
                "entered": false,
                "since": "2026-05-12T11:06:55Z",
            },
            {
                "visit_id": visit(4).to_string(),
                "decision": "maybe",
                "customer_id": null,
                "greeting": null,
                "name": null,
                "candidates": [
                    {
                        "customer_id": customer(40).to_string(),
                        "name": {"given": "Анна", "patronymic": "Сергеевна", "family": "Ким"},
                    },
                    {
                        "customer_id": customer(41).to_string(),
                        "name": {"given": "Яна", "patronymic": null, "family": null},
                    },
                ],
                "card": null,
                "entered": false,
                "since": "2026-05-12T11:06:58Z",
            },
        ],
        "cameras": [{"name": "front", "state": "lost", "since": "2026-05-12T11:03:20Z"}],
        "unsaved_visits": 1,
        "overloaded": false,
        "crm_trouble": null,
        "troubles": [],
    });
    assert_eq!(body, expected);
    assert_eq!(json_of(get(&shop, "/api/v1/counter")).await, (StatusCode::OK, expected));
    shop.stop().await;
}

#[tokio::test]
async fn short_form_is_refused_with_the_choice_where_there_are_several_counters() {
    let shop = TestBox::start(&["till-1", "till-2"]).await;
    shop.show("till-1", with(vec![ivan()]));
    for path in ["/api/v1/counter", "/api/v1/counter/events"] {
        let (status, body) = json_of(get(&shop, path)).await;
        assert_eq!((status, &body["error"]["code"]), (StatusCode::NOT_FOUND, &json!("several_counters")));
        assert!(body["error"]["message"].as_str().unwrap().contains("till-1, till-2"));
    }
    let (_, list) = json_of(get(&shop, "/api/v1/counters")).await;
    let counters = json!([{"name": "till-1", "language": "ru"}, {"name": "till-2", "language": "ru"}]);
    assert_eq!(list, json!({"counters": counters}));
    let (_, second) = json_of(get(&shop, "/api/v1/counters/till-2")).await;
    assert_eq!(second["present"], json!([]), "one till never shows another's customer");
    shop.stop().await;
}

#[tokio::test]
async fn unknown_addresses_and_methods_are_refused_in_json() {
    let shop = TestBox::start(&["till-1"]).await;
    for (request, status, code) in [
        (get(&shop, "/api/v1/counters/till-9"), 404, "no_such_counter"),
        (get(&shop, "/api/v1/counters/till-9/events"), 404, "no_such_counter"),
        (get(&shop, "/api/v1/counters/%ff"), 400, "bad_path"),
        (get(&shop, "/counters/%ff"), 400, "bad_path"),
        (get(&shop, "/assets/..%2f..%2fCargo.toml"), 404, "no_such_page"),
        (get(&shop, "/assets/secret.js"), 404, "no_such_page"),
        (get(&shop, "/.env"), 404, "no_such_page"),
        (client().delete(shop.url("/health")).header("content-type", "application/json"), 405, "wrong_method"),
        (client().post(shop.url("/")).json(&json!({})), 405, "wrong_method"),
    ] {
        assert_eq!(refusal(request).await, (StatusCode::from_u16(status).unwrap(), code.to_owned()));
    }
    assert_eq!(get(&shop, "/counters/till-9").send().await.unwrap().status(), 404);
    shop.stop().await;
}

#[tokio::test]
async fn every_answer_reaches_the_greeter_and_its_word_comes_back() {
    let mut shop = TestBox::start(&["till-1"]).await;
    let other = json!({"verdict": "other", "customer_id": customer(7).0});
    for (body, verdict) in [
        (json!({"verdict": "yes"}), Verdict::Yes),
        (json!({"verdict": "no"}), Verdict::No),
        (json!({"verdict": "done"}), Verdict::Done),
        (other, Verdict::Other(customer(7))),
    ] {
        let sent = tokio::spawn(json_of(answer_to(&shop, visit(4), &body)));
        assert_eq!(shop.hear(Ok(())).await, (visit(4), verdict));
        let taken = json!({"visit_id": visit(4).0, "verdict": body["verdict"]});
        assert_eq!(sent.await.unwrap(), (StatusCode::OK, taken));
    }
    for (error, status, code) in [
        (AnswerError::UnknownVisit, 404, "visit_gone"),
        (AnswerError::UnknownCustomer, 404, "no_such_customer"),
        (AnswerError::Busy, 503, "busy"),
    ] {
        let sent = tokio::spawn(refusal(answer_to(&shop, visit(4), &json!({"verdict": "no"}))));
        shop.hear(Err(error)).await;
        assert_eq!(sent.await.unwrap(), (StatusCode::from_u16(status).unwrap(), code.to_owned()));
    }
    shop.stop().await;
}

#[tokio::test]
async fn answer_about_somebody_whom_the_screen_no_longer_shows_is_not_taken() {
    let mut shop = TestBox::start(&["till-1"]).await;
    shop.show("till-1", with(vec![perhaps(4, vec![name("Анна", "", ""), name("Яна", "", "")])]));
    let stale = json!({"verdict": "yes", "customer_id": customer(41).0});
    let (status, code) = refusal(answer_to(&shop, visit(4), &stale)).await;
    assert_eq!((status, code.as_str()), (StatusCode::CONFLICT, "picture_changed"));
    assert!(shop.answers.try_recv().is_err());
    let fresh = json!({"verdict": "yes", "customer_id": customer(40).0});
    let sent = tokio::spawn(json_of(answer_to(&shop, visit(4), &fresh)));
    assert_eq!(shop.hear(Ok(())).await, (visit(4), Verdict::Yes));
    assert_eq!(sent.await.unwrap().0, StatusCode::OK);
    shop.stop().await;
}

#[tokio::test]
async fn every_answer_carries_the_headers_that_keep_it_on_this_screen() {
    let shop = TestBox::start(&["till-1"]).await;
    for path in ["/", "/api/v1/counter", "/api/v1/counter/events", "/health", "/nothing", "/assets/cashier.js"] {
        let response = get(&shop, path).send().await.unwrap();
        let header = |name: &str| response.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or("").to_owned();
        let policy = header("content-security-policy");
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(header("referrer-policy"), "no-referrer", "{path}");
        assert_eq!(header("cross-origin-resource-policy"), "same-origin", "{path}");
        let caching = if path.starts_with("/assets/") { "public, no-cache" } else { "no-store" };
        assert_eq!(header("cache-control"), caching, "{path}");
    }
    shop.stop().await;
}

#[tokio::test]
async fn asset_that_the_browser_has_is_not_sent_again() {
    let shop = TestBox::start(&["till-1"]).await;
    let page = get(&shop, "/").send().await.unwrap().text().await.unwrap();
    let paths: Vec<&str> = page.split('"').filter(|part| part.starts_with("/assets/")).collect();
    assert!(paths.len() >= 3, "{page}");
    for path in paths {
        let first = get(&shop, path).send().await.unwrap();
        assert_eq!(first.status(), 200, "{path}");
        let tag = first.headers()["etag"].to_str().unwrap().to_owned();
        let again = get(&shop, path).header("if-none-match", &tag).send().await.unwrap();
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{path}");
        assert_eq!(again.text().await.unwrap(), "", "{path}");
        let older = get(&shop, path).header("if-none-match", "\"0000\"").send().await.unwrap();
        assert_eq!(older.status(), 200, "{path}");
    }
    shop.stop().await;
}

#[tokio::test]
async fn stream_gives_the_picture_at_once_at_every_change_and_signs_of_life() {
    let shop = TestBox::with(&["till-1"], |parts| parts.limits.ping = Duration::from_millis(50)).await;
    shop.show("till-1", with(vec![ivan()]));
    let mut screen = Screen::open(&shop, "/api/v1/counters/till-1/events").await;
    let first = screen.text_until("\n\n").await;
    assert!(first.contains("event: counter\n") && first.contains("retry: 1000\n"), "{first}");
    assert!(first.contains("С возвращением, Иван Петрович!"), "{first}");
    let ping = screen.event("ping").await;
    assert_eq!(ping["now"], NOW);
    shop.show("till-1", nobody());
    assert_eq!(screen.event("counter").await["present"], json!([]));

    let (_, whole) = json_of(get(&shop, "/api/v1/counter")).await;
    let mut back = Screen::open(&shop, "/api/v1/counter/events").await;
    assert_eq!(back.event("counter").await, whole, "a screen that comes back gets the whole picture");
    shop.stop().await;
    assert!(back.ended().await && screen.ended().await, "the stop ends the streams");
}

#[tokio::test]
async fn health_is_good_news_only_when_the_box_does_its_work() {
    let shop = TestBox::start(&["till-1", "till-2"]).await;
    let (status, body) = json_of(get(&shop, "/health")).await;
    assert_eq!(status, 200);
    let camera = json!({"name": "till-1-front", "state": "live"});
    assert_eq!(
        body,
        json!({
            "status": "fine",
            "troubles": [],
            "version": env!("CARGO_PKG_VERSION"),
            "pack": "opencv-zoo",
            "gallery_customers": 120,
            "cameras": [camera, camera],
            "unsaved_visits": 0,
            "outbox": {
                "crm": "salesforce",
                "connected": true,
                "depth": 3,
                "oldest_age_s": 90,
                "dead": 0,
                "unlinked": 0,
                "held": 0,
                "debts": 0,
                "last_success": "2026-05-12T11:06:40Z",
                "error_class": null,
                "error": null,
                "blocked_until": null,
                "notes": [],
            },
            "clock_synchronised": true,
            "uptime_s": 86400,
        })
    );
    shop.show("till-2", CounterState { cameras: vec![lost("side")], ..nobody() });
    let (status, body) = json_of(get(&shop, "/health")).await;
    assert_eq!((status, &body["troubles"]), (StatusCode::SERVICE_UNAVAILABLE, &json!(["camera_lost"])));
    assert!(!body.to_string().contains("rtsp"), "no address of a camera: {body}");
    shop.show("till-2", CounterState { unsaved_visits: 2, ..nobody() });
    let (status, body) = json_of(get(&shop, "/health")).await;
    assert_eq!((status, &body["troubles"]), (StatusCode::SERVICE_UNAVAILABLE, &json!(["writes_delayed"])));
    assert_eq!(body["unsaved_visits"], 2);
    shop.stop().await;
}

#[tokio::test]
async fn what_is_wrong_with_the_box_itself_is_on_the_screen_and_takes_it_out_of_service() {
    let shop = TestBox::start(&["till-1"]).await;
    for trouble in Trouble::ALL {
        shop.show("till-1", CounterState { troubles: vec![(trouble, 2)], ..nobody() });
        let (status, body) = json_of(get(&shop, "/health")).await;
        assert_eq!((status, &body["status"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("trouble")));
        assert_eq!(body["troubles"], json!([trouble.as_str()]));
        let told = &json_of(get(&shop, "/api/v1/counter")).await.1["troubles"];
        assert_eq!(*told, json!([{"kind": trouble.as_str(), "count": 2}]));
    }
    shop.stop().await;
}

#[tokio::test]
async fn an_overloaded_box_says_so() {
    let overloaded = || snova::web::HealthReport { overloaded: true, ..web_box::report() };
    let shop = TestBox::with(&["till-1"], |parts| parts.health = std::sync::Arc::new(overloaded)).await;
    let (status, body) = json_of(get(&shop, "/health")).await;
    assert_eq!((status, &body["troubles"]), (StatusCode::SERVICE_UNAVAILABLE, &json!(["overloaded"])));
    shop.show("till-1", CounterState { overloaded: true, ..nobody() });
    assert_eq!(json_of(get(&shop, "/api/v1/counter")).await.1["overloaded"], true);
    shop.stop().await;
}

#[tokio::test]
async fn metrics_are_lines_that_prometheus_reads() {
    let shop = TestBox::start(&["till-1"]).await;
    shop.show("till-1", with(vec![ivan()]));
    shop.metrics.frames_captured.inc_by("till-1-front", 42);
    let response = get(&shop, "/metrics").send().await.unwrap();
    assert!(response.headers()["content-type"].to_str().unwrap().starts_with("application/openmetrics-text"));
    let text = response.text().await.unwrap();
    assert!(text.contains("snova_frames_captured_total{camera=\"till-1-front\"} 42\n"), "{text}");
    assert!(text.ends_with("# EOF\n"));
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (series, number) = line.rsplit_once(' ').unwrap();
        number.parse::<f64>().unwrap_or_else(|e| panic!("{line}: {e}"));
        assert!(series.starts_with("snova_"), "{line}");
    }
    assert!(!text.contains("Иван") && !text.contains(&customer(1).to_string()), "{text}");
    shop.stop().await;
}

#[tokio::test]
async fn document_names_every_route_and_every_route_answers_as_documented() {
    let mut shop = TestBox::start(&["till-1"]).await;
    shop.show(
        "till-1",
        CounterState {
            cameras: vec![lost("front")],
            crm_trouble: Some(CrmTrouble::Late { since: web_box::at(NOW) }),
            ..with(vec![crm::known_to_the_crm(), perhaps(4, vec![name("Анна", "", "")])])
        },
    );
    let (_, document) = json_of(get(&shop, "/api/v1/openapi.json")).await;
    let mut documented: Vec<&str> = document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    documented.sort_unstable();
    assert_eq!(
        documented,
        [
            "/",
            "/api/v1/counter",
            "/api/v1/counter/entries",
            "/api/v1/counter/events",
            "/api/v1/counters",
            "/api/v1/counters/{counter}",
            "/api/v1/counters/{counter}/entries",
            "/api/v1/counters/{counter}/events",
            "/api/v1/counters/{counter}/receipt",
            "/api/v1/counters/{counter}/served-by",
            "/api/v1/openapi.json",
            "/api/v1/sync",
            "/api/v1/sync/dead",
            "/api/v1/sync/dead/{event}/discard",
            "/api/v1/sync/dead/{event}/retry",
            "/api/v1/sync/retry",
            "/api/v1/visits",
            "/api/v1/visits/{visit_id}/answer",
            "/api/v1/visits/{visit_id}/receipt",
            "/api/v1/visits/{visit_id}/void",
            "/assets/{file}",
            "/counters/{counter}",
            "/health",
            "/metrics",
        ]
    );
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let real = path
                .replace("{counter}", "till-1")
                .replace("{visit_id}", &visit(4).to_string())
                .replace("{event}", &visit(4).to_string())
                .replace("{file}", "cashier.js");
            let method: Method = method.to_uppercase().parse().unwrap();
            let mut request = client().request(method.clone(), shop.url(&real));
            let is_entry = path.ends_with("/entries");
            if method != Method::GET {
                request = request.json(&match path.rsplit('/').next() {
                    Some("entries") => json!({"entered": "4820"}),
                    Some("receipt") => json!({"number": "A-1", "sum": 100}),
                    Some("served-by") => json!({"who": "Анна"}),
                    Some("void") => json!({}),
                    _ => json!({"verdict": "yes"}),
                });
            }
            let sent = tokio::spawn(request.send());
            if is_entry {
                shop.hear_entry(Ok(visit(4))).await;
            } else if path.ends_with("/answer") || path.ends_with("/void") {
                shop.hear(Ok(())).await;
            }
            let response = sent.await.unwrap().unwrap();
            let told = &operation["responses"][response.status().as_str()];
            assert!(told.is_object(), "{path}: {} is not documented", response.status());
            let schema = &told["content"]["application/json"]["schema"];
            if schema.is_object() {
                let body: Value = response.json().await.unwrap();
                assert_eq!(web_schema::differences(&document, schema, &body), Vec::<String>::new(), "{path}");
            }
        }
    }
    let error = json_of(get(&shop, "/api/v1/counters/none")).await.1;
    let schema = json!({"$ref": "#/components/schemas/ErrorBody"});
    assert_eq!(web_schema::differences(&document, &schema, &error), Vec::<String>::new());
    let wrong = json!({"error": {"code": 1, "cause": "x"}});
    assert_eq!(web_schema::differences(&document, &schema, &wrong).len(), 3, "the check itself can fail");
    shop.stop().await;
}

/// A route that is registered past the OpenAPI router would be missing in the document unseen.
#[test]
fn no_route_is_registered_past_the_document() {
    for entry in std::fs::read_dir("src/web").unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|kind| kind == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            for way in [".route(", ".route_service(", ".nest(", ".nest_service(", ".merge("] {
                assert!(!text.contains(way), "{} uses {way}", path.display());
            }
        }
    }
}

#[tokio::test]
async fn address_in_use_is_told_in_one_line_with_what_to_do() {
    let first = snova::web::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let address = first.local_addr().unwrap();
    let error = snova::web::bind(address).await.unwrap_err();
    assert!(matches!(error, WebError::InUse(taken) if taken == address));
    let text = error.to_string();
    assert!(text.contains(&address.to_string()) && text.contains("another address") && !text.contains('\n'), "{text}");
    let nowhere = snova::web::bind(SocketAddr::from(([203, 0, 113, 1], 8080))).await.unwrap_err();
    assert!(matches!(nowhere, WebError::NoSuchAddress(_)), "{nowhere}");
}
