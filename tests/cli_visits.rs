//! `snova visits`: a day's visits listed, one of them voided or moved, what is refused and how.
//!
//! What a correction does is `store_visits.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "each test uses its part of the support code")]

#[path = "support/command_line.rs"]
mod command_line;

use command_line::{Ended, Shop};
use serde_json::{Value, json};
use snova::clock::{Clock, SystemClock, WallTime};
use snova::customer::{CustomerId, HowKnown, Receipt, VisitId};
use snova::face::CounterId;
use snova::store::{Store, StoreConfig, VisitRecord};
use snova::vault::Seal;

fn enrol(shop: &Shop, given: &str, card: &str) -> CustomerId {
    let name = ["enrol", "--given", given, "--family", "Соколова", "--card", card];
    let ended = shop.snova(&[&name[..], &["--consent-on", "2026-01-15", "--consent-method", "paper-form"]].concat());
    let words = ended.out.split_once("enrolled as ").expect("enrolled").1;
    words.split_whitespace().next().expect("an id").parse().expect("an id")
}

/// A visit that ended so many days ago, as the service records it.
fn visited(shop: &Shop, customer: CustomerId, counter: &str, days: i64) -> VisitId {
    let clock = SystemClock::new();
    let store = Store::open(&StoreConfig::new(shop.data()), Seal::plain()).expect("opens");
    let at = clock.wall().at.checked_sub(jiff::SignedDuration::from_hours(24 * days)).unwrap();
    let at = WallTime { at, synchronised: true };
    let record = VisitRecord {
        id: VisitId(clock.mint()),
        customer,
        counter: CounterId::new(counter),
        opened_at: at,
        how: HowKnown::Entered,
    };
    let today = clock.wall().at.to_zoned(jiff::tz::TimeZone::UTC).date();
    store.open_visit(&record, today).expect("the consent is live");
    store.close_visit(record.id, at, at.at).expect("it is open");
    store.put_receipt(record.id, &Receipt { number: "A-1".to_owned(), sum: 123_450 }, at.at).expect("written");
    record.id
}

fn list(shop: &Shop, more: &[&str]) -> Value {
    let ended = shop.snova(&[&["visits", "list", "--json"], more].concat());
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    serde_json::from_str(&ended.out).expect("JSON")
}

fn void(shop: &Shop, visit: VisitId, more: &[&str]) -> Ended {
    shop.snova(&[&["visits", "void", &visit.to_string()], more].concat())
}

#[test]
fn a_days_visits_are_listed_voided_and_moved_and_the_same_again_is_one() {
    let shop = Shop::open();
    shop.configure("[device]\ntime_zone = \"UTC\"");
    let (anna, yana) = (enrol(&shop, "Анна", "4820"), enrol(&shop, "Яна", "4821"));
    let first = visited(&shop, anna, "till-1", 0);
    let second = visited(&shop, anna, "till-2", 0);
    visited(&shop, anna, "till-1", 3);
    let listed = list(&shop, &[]);
    assert_eq!(listed.as_array().map(Vec::len), Some(2), "today's alone: {listed}");
    let told = &listed[0];
    assert_eq!(
        (&told["id"], &told["name"], &told["counter"], &told["how"], &told["state"], &told["receipt"]),
        (
            &json!(first.to_string()),
            &json!("Анна Соколова"),
            &json!("till-1"),
            &json!("entered"),
            &json!("waiting"),
            &json!({"number": "A-1", "sum": 123_450})
        )
    );
    assert_eq!(list(&shop, &["--counter", "till-2"])[0]["id"], json!(second.to_string()));
    let text = shop.snova(&["visits", "list", "--counter", "till-2"]).out;
    assert!(text.contains("Анна Соколова") && text.contains("receipt A-1 of 1234.50"), "{text}");

    for _ in 0..2 {
        let ended = void(&shop, first, &[]);
        assert!(ended.code == Some(0) && ended.out.contains("is void"), "{}{}", ended.out, ended.err);
        let ended = void(&shop, second, &["--other", "Яна"]);
        assert!(ended.out.contains(&format!("customer {yana}'s now")), "{}{}", ended.out, ended.err);
    }
    let listed = list(&shop, &[]);
    assert_eq!((&listed[0]["state"], &listed[0]["customer"]), (&json!("void"), &json!(anna.to_string())));
    assert_eq!((&listed[1]["state"], &listed[1]["name"]), (&json!("waiting"), &json!("Яна Соколова")));
    assert!(shop.snova(&["customers", "erase", "--yes", &yana.to_string()]).code == Some(0));
    assert_eq!(list(&shop, &[]).as_array().map(Vec::len), Some(1), "nothing of the erased");
}

#[test]
fn what_cannot_be_voided_is_refused_in_one_line() {
    let shop = Shop::open();
    let nothing = shop.snova(&["visits", "list"]);
    assert!(nothing.code == Some(0) && nothing.out.starts_with("no visits on "), "{}", nothing.out);
    let nobody = VisitId(uuid::Uuid::nil());
    void(&shop, nobody, &[]).fails_with(&["no visit", "erased"]);
    assert!(!shop.data().join("snova.db").exists(), "a look makes no database");
    let anna = enrol(&shop, "Анна", "4820");
    void(&shop, nobody, &[]).fails_with(&["no visit", "erased"]);
    let old = visited(&shop, anna, "till-1", 8);
    void(&shop, old, &[]).fails_with(&["7 days", "in the CRM by hand"]);
    let young = visited(&shop, anna, "till-1", 0);
    void(&shop, young, &["--other", "Пётр"]).fails_with(&["snova customers list"]);
    let badly = shop.snova(&["visits", "list", "--day", "yesterday"]);
    assert!(badly.code == Some(2) && badly.err.contains("--day"), "{}", badly.err);
}
