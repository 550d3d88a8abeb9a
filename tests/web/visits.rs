//! The visits on record over HTTP: a day's list, a visit voided, receipts, who serves; on a real store where it matters.

use std::sync::Mutex;

use jiff::civil::Date;
use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value, json};
use snova::customer::{CustomerId, HowKnown, Receipt, Verdict, VisitId};
use snova::face::CounterId;
use snova::greeter::{AnswerError, Shifts};
use snova::web::{BookError, BookedState, BookedVisit, VisitBook};
use std::sync::Arc;

use crate::web_box::{TestBox, at, customer, ivan, name, perhaps, visit, with};
use crate::web_client::{answer_to, client, get, json_of, refusal};

/// A book of one visit, with what was asked of it.
#[derive(Default)]
struct Book {
    asked: Mutex<Vec<String>>,
    refuses: Option<BookError>,
}

impl Book {
    fn note<T>(&self, what: String, outcome: T) -> Result<T, BookError> {
        self.asked.lock().unwrap().push(what);
        self.refuses.map_or(Ok(outcome), Err)
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

impl VisitBook for Book {
    fn of_day(&self, day: Date, counter: Option<&CounterId>) -> Result<Vec<BookedVisit>, BookError> {
        self.note(format!("{day} at {:?}", counter.map(CounterId::as_str)), vec![booked()])
    }

    fn void(&self, visit: VisitId, other: Option<CustomerId>) -> Result<Option<CustomerId>, BookError> {
        self.note(format!("void {visit} for {other:?}"), other)
    }

    fn receipt(&self, visit: VisitId, receipt: &Receipt) -> Result<(), BookError> {
        self.note(format!("{visit}: {} of {}", receipt.number, receipt.sum), ())
    }

    fn receipt_at(&self, counter: &CounterId, shown: &[VisitId], receipt: &Receipt) -> Result<VisitId, BookError> {
        self.note(format!("{counter}, {} shown: {}", shown.len(), receipt.number), visit(3))
    }
}

fn booked() -> BookedVisit {
    BookedVisit {
        visit: visit(3),
        customer: customer(3),
        counter: CounterId::new("till-1"),
        name: Some(name("Анна", "Сергеевна", "Ким")),
        how: HowKnown::Entered,
        opened_at: at("2026-05-12T09:40:10.75Z"),
        closed_at: None,
        state: BookedState::Delivered,
        receipt: Some(Receipt { number: "A-1".to_owned(), sum: 123_450 }),
    }
}

async fn shop_with(book: &Arc<Book>) -> TestBox {
    let book = Arc::clone(book);
    TestBox::with(&["till-1", "till-2"], |parts| parts.visits = book).await
}

fn post(shop: &TestBox, path: &str, body: &Value) -> RequestBuilder {
    client().post(shop.url(path)).json(body)
}

fn void_path(n: u128) -> String {
    format!("/api/v1/visits/{}/void", visit(n))
}

#[tokio::test]
async fn a_day_is_listed_with_names_times_and_how_far_each_visit_is() {
    let book = Arc::<Book>::default();
    let shop = shop_with(&book).await;
    let expected = json!({"day": "2026-05-12", "visits": [{
        "visit_id": visit(3).0,
        "counter": "till-1",
        "customer_id": customer(3).0,
        "name": {"given": "Анна", "patronymic": "Сергеевна", "family": "Ким"},
        "how": "entered",
        "opened_at": "2026-05-12T09:40:10Z",
        "closed_at": null,
        "state": "delivered",
        "receipt": {"number": "A-1", "sum": 123_450},
    }]});
    assert_eq!(json_of(get(&shop, "/api/v1/visits")).await, (StatusCode::OK, expected), "today's by the shop's clock");
    json_of(get(&shop, "/api/v1/visits?counter=till%2D2&day=2026-05-01")).await;
    assert_eq!(book.asked(), ["2026-05-12 at None", "2026-05-01 at Some(\"till-2\")"]);
    for (query, refused) in [
        ("day=yesterday", (StatusCode::BAD_REQUEST, "bad_query")),
        ("day=%ff", (StatusCode::BAD_REQUEST, "bad_query")),
        ("week=1", (StatusCode::BAD_REQUEST, "bad_query")),
        ("day", (StatusCode::BAD_REQUEST, "bad_query")),
        ("counter=till-9", (StatusCode::NOT_FOUND, "no_such_counter")),
    ] {
        let told = refusal(get(&shop, &format!("/api/v1/visits?{query}"))).await;
        assert_eq!(told, (refused.0, refused.1.to_owned()), "{query}");
    }
    let rebound = refusal(get(&shop, "/api/v1/visits").header("host", "evil.example")).await;
    assert_eq!(rebound.0, StatusCode::MISDIRECTED_REQUEST);
    assert_eq!(book.asked(), Vec::<String>::new(), "what is refused is not asked");
    shop.stop().await;
}

#[tokio::test]
async fn a_visit_that_left_the_screen_is_voided_by_the_book_and_one_at_a_counter_leaves_it_too() {
    let book = Arc::<Book>::default();
    let mut shop = shop_with(&book).await;
    let other = customer(7);
    for (heard, body, verdict, asked) in [
        (Err(AnswerError::UnknownVisit), json!({}), Verdict::No, "None".to_owned()),
        (Ok(()), json!({"customer_id": other.0}), Verdict::Other(other), format!("{:?}", Some(other))),
    ] {
        let sent = tokio::spawn(json_of(post(&shop, &void_path(4), &body)));
        assert_eq!(shop.hear(heard).await, (visit(4), verdict));
        let told = json!({"visit_id": visit(4).0, "customer_id": body["customer_id"]});
        assert_eq!(sent.await.unwrap(), (StatusCode::OK, told));
        assert_eq!(book.asked(), [format!("void {} for {asked}", visit(4))]);
    }
    let bare = client().post(shop.url(&void_path(4))).header("content-type", "application/json");
    let sent = tokio::spawn(json_of(bare));
    shop.hear(Err(AnswerError::UnknownVisit)).await;
    assert_eq!(sent.await.unwrap().0, StatusCode::OK, "without a body");
    shop.stop().await;

    // What the desk took and the disk does not have yet is no error.
    let unknown = Arc::new(Book { refuses: Some(BookError::UnknownVisit), ..Book::default() });
    let mut shop = shop_with(&unknown).await;
    for (heard, status) in [(Ok(()), StatusCode::OK), (Err(AnswerError::UnknownVisit), StatusCode::NOT_FOUND)] {
        let sent = tokio::spawn(json_of(post(&shop, &void_path(4), &json!({}))));
        shop.hear(heard).await;
        assert_eq!(sent.await.unwrap().0, status);
    }
    shop.stop().await;
}

#[tokio::test]
async fn what_the_book_refuses_is_said_by_code() {
    for (refuses, status, code) in [
        (BookError::UnknownCustomer, 404, "no_such_customer"),
        (BookError::NoConsent, 403, "consent_ended"),
        (BookError::TooOld, 409, "visit_too_old"),
        (BookError::Store, 503, "store_failed"),
    ] {
        let book = Arc::new(Book { refuses: Some(refuses), ..Book::default() });
        let mut shop = shop_with(&book).await;
        let sent = tokio::spawn(refusal(post(&shop, &void_path(4), &json!({}))));
        shop.hear(Err(AnswerError::UnknownVisit)).await;
        assert_eq!(sent.await.unwrap(), (StatusCode::from_u16(status).unwrap(), code.to_owned()));
        shop.stop().await;
    }
    let book = Arc::<Book>::default();
    let shop = shop_with(&book).await;
    for (path, body, code) in [
        ("/api/v1/visits/4/void".to_owned(), json!({}), "bad_visit_id"),
        (void_path(4), json!({"customer": 1}), "bad_json"),
    ] {
        assert_eq!(refusal(post(&shop, &path, &body)).await, (StatusCode::BAD_REQUEST, code.to_owned()));
    }
    let foreign = post(&shop, &void_path(4), &json!({})).header("origin", "http://evil.example");
    assert_eq!(refusal(foreign).await, (StatusCode::FORBIDDEN, "cross_site".to_owned()));
    assert_eq!(book.asked(), Vec::<String>::new());
    shop.stop().await;
}

#[tokio::test]
async fn a_no_of_the_cashier_holds_after_the_visit_has_left_the_screen_and_a_yes_does_not() {
    let book = Arc::<Book>::default();
    let mut shop = shop_with(&book).await;
    for (verdict, status) in [("no", StatusCode::OK), ("yes", StatusCode::NOT_FOUND), ("done", StatusCode::NOT_FOUND)] {
        let sent = tokio::spawn(json_of(answer_to(&shop, visit(4), &json!({"verdict": verdict}))));
        shop.hear(Err(AnswerError::UnknownVisit)).await;
        assert_eq!(sent.await.unwrap().0, status, "{verdict}");
    }
    assert_eq!(book.asked(), [format!("void {} for None", visit(4))]);
    shop.stop().await;
}

#[tokio::test]
async fn a_receipt_is_kept_under_the_visit_or_under_whoever_is_named_at_the_counter() {
    let book = Arc::<Book>::default();
    let shop = shop_with(&book).await;
    let body = json!({"number": " A-1 ", "sum": -500});
    let of = |n: u128| json!({"visit_id": visit(n).0, "number": "A-1", "sum": -500});
    let path = format!("/api/v1/visits/{}/receipt", visit(4));
    for _ in 0..2 {
        assert_eq!(json_of(post(&shop, &path, &body)).await, (StatusCode::OK, of(4)));
    }
    // Who is only asked about is nobody's customer yet.
    shop.show("till-1", with(vec![ivan(), perhaps(4, vec![name("Яна", "", "")])]));
    let at_counter = "/api/v1/counters/till-1/receipt";
    assert_eq!(json_of(post(&shop, at_counter, &body)).await, (StatusCode::OK, of(3)));
    let kept = format!("{}: A-1 of -500", visit(4));
    assert_eq!(book.asked(), [kept.clone(), kept, "till-1, 1 shown: A-1".to_owned()]);
    for bad in [
        json!({"number": "", "sum": 1}),
        json!({"number": "x".repeat(65), "sum": 1}),
        json!({"number": "a\nb", "sum": 1}),
        json!({"number": "1", "sum": 1_000_000_000_001_i64}),
        json!({"number": "1", "sum": 1.5}),
        json!({"number": "1"}),
        json!({"number": "1", "sum": 1, "currency": "RUB"}),
    ] {
        for path in [path.as_str(), at_counter] {
            assert_eq!(refusal(post(&shop, path, &bad)).await.0, StatusCode::BAD_REQUEST, "{bad}");
        }
    }
    assert_eq!(refusal(post(&shop, "/api/v1/counters/till-9/receipt", &body)).await.0, StatusCode::NOT_FOUND);
    assert_eq!(book.asked(), Vec::<String>::new());
    shop.stop().await;
    for (refuses, status, code) in [
        (BookError::NobodyThere, StatusCode::NOT_FOUND, "nobody_there"),
        (BookError::SeveralThere, StatusCode::CONFLICT, "several_there"),
    ] {
        let shop = shop_with(&Arc::new(Book { refuses: Some(refuses), ..Book::default() })).await;
        assert_eq!(refusal(post(&shop, at_counter, &body)).await, (status, code.to_owned()));
        shop.stop().await;
    }
}

#[tokio::test]
async fn who_serves_is_taken_only_where_the_owner_has_switched_it_on() {
    let put = |shop: &TestBox, body: &Value| client().put(shop.url("/api/v1/counters/till-1/served-by")).json(body);
    let anna = json!({"who": " Анна "});
    let shop = TestBox::start(&["till-1"]).await;
    let (status, told) = json_of(put(&shop, &anna)).await;
    assert_eq!((status, &told["error"]["code"]), (StatusCode::FORBIDDEN, &json!("served_by_off")));
    assert!(told["error"]["message"].as_str().unwrap().contains("served_by = true in [visit]"), "{told}");
    shop.stop().await;

    let (shifts, till) = (Shifts::default(), CounterId::new("till-1"));
    let on = shifts.clone();
    let shop = TestBox::with(&["till-1"], |parts| parts.counters = parts.counters.clone().with_shifts(Some(on))).await;
    let named = json!({"counter": "till-1", "who": "Анна"});
    assert_eq!(json_of(put(&shop, &anna)).await, (StatusCode::OK, named));
    assert_eq!(shifts.who(&till).as_deref(), Some("Анна"));
    for bad in [json!({"who": "я".repeat(81)}), json!({"who": "a\u{7}"}), json!({"who": 1}), json!({})] {
        assert_eq!(refusal(put(&shop, &bad)).await.0, StatusCode::BAD_REQUEST, "{bad}");
    }
    assert_eq!(shifts.who(&till).as_deref(), Some("Анна"));
    let nobody = json!({"counter": "till-1", "who": null});
    assert_eq!(json_of(put(&shop, &json!({"who": ""}))).await, (StatusCode::OK, nobody));
    assert_eq!(shifts.who(&till), None, "the shift is over");
    shop.stop().await;
}
