//! Cards and phones on the command line: enrolled without a photograph, given, shown masked, taken.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, dead_code, reason = "a test fails by panicking")]

#[path = "support/command_line.rs"]
mod command_line;

use command_line::{Ended, Shop};
use serde_json::{Value, json};

const CONSENT: [&str; 4] = ["--consent-on", "2026-01-15", "--consent-method", "paper-form"];

fn enrol(shop: &Shop, given: &str, rest: &[&str]) -> Ended {
    shop.snova(&[&["enrol", "--given", given], &CONSENT[..], rest].concat())
}

/// Enrols, and gives the id.
fn enrolled(shop: &Shop, given: &str, rest: &[&str]) -> String {
    let ended = enrol(shop, given, rest);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(ended.out.contains("without photos"), "{}", ended.out);
    ended.out.split_whitespace().nth(2).expect("enrolled as …").to_owned()
}

fn shown(shop: &Shop, id: &str) -> Value {
    let ended = shop.snova(&["customers", "show", "--json", id]);
    serde_json::from_str(&ended.out).unwrap_or_else(|_| panic!("{}", ended.err))
}

#[test]
fn a_customer_is_enrolled_by_card_and_phone_alone_and_no_model_is_needed() {
    let shop = Shop::open();
    shop.configure("[runtime]\nlibrary = \"/nowhere/libonnxruntime.so\"");
    let twice = ["--card", "SNOVA-4820", "--card", " snova-4820 ", "--phone", "8 (912) 345-67-89"];
    let id = enrolled(&shop, "Анна", &twice);
    let anna = shown(&shop, &id);
    let masked = [json!({"kind": "card", "masked": "…4820"}), json!({"kind": "phone", "masked": "…6789"})];
    assert_eq!(anna["identifiers"], json!(masked));
    assert_eq!(anna["consent"]["purposes"], json!(["card-greeting", "visit-records"]));
    assert_eq!(anna["consent"]["live"], true);
    let own_wish = enrolled(&shop, "Яна", &["--card", "4821", "--no-visit-records"]);
    assert_eq!(shown(&shop, &own_wish)["consent"]["purposes"], json!(["card-greeting"]));
    let listed = shop.snova(&["customers", "list"]);
    assert!(listed.out.lines().count() == 2 && !listed.out.contains("4820"), "{}", listed.out);
}

#[test]
fn cards_are_given_and_taken_and_one_has_one_owner() {
    let shop = Shop::open();
    let (anna, yana) = (enrolled(&shop, "Анна", &["--card", "4820"]), enrolled(&shop, "Яна", &["--card", "4821"]));
    let given = shop.snova(&["customers", "link", &anna, "--phone", "+380671234567"]);
    assert!(given.code == Some(0) && given.out.contains("phone …4567"), "{}{}", given.out, given.err);
    assert_eq!(shown(&shop, &anna)["identifiers"].as_array().unwrap().len(), 2);

    shop.snova(&["customers", "link", &yana, "--card", "4820"]).fails_with(&[&anna, "unlink"]);
    enrol(&shop, "Пётр", &["--card", "4820"]).fails_with(&[&anna, "unlink"]);
    shop.snova(&["customers", "unlink", &yana, "--card", "4820"]).fails_with(&["no card like that", "customers show"]);

    let taken = shop.snova(&["customers", "unlink", &anna, "--card", "4820"]);
    assert!(taken.code == Some(0) && taken.out.contains("not greeted by card"), "{}{}", taken.out, taken.err);
    assert_eq!(shop.snova(&["customers", "link", &yana, "--card", "4820"]).code, Some(0), "now it is free");
    let all = shop.snova(&["customers", "unlink", &yana, "--all"]);
    assert!(all.code == Some(0) && all.out.contains("2 taken"), "{}", all.out);
    assert_eq!(shown(&shop, &yana)["identifiers"], json!([]));
}

#[test]
fn what_cannot_be_is_refused_in_one_line_and_nobody_is_enrolled() {
    let shop = Shop::open();
    enrol(&shop, "Анна", &["--phone", "12345"]).fails_with(&["not a phone number", "with +"]);
    enrol(&shop, "Анна", &["--card", "  "]).fails_with(&["printable characters"]);
    enrol(&shop, "Анна", &["--card", "4820", "--consent-until", "2026-01-20"]).fails_with(&["ended on 2026-01-20"]);
    let nothing = enrol(&shop, "Анна", &[]);
    assert!(nothing.code == Some(2) && nothing.err.contains("PHOTO"), "{}", nothing.err);
    assert!(!shop.data().join("snova.db").exists());
    let anna = enrolled(&shop, "Анна", &["--card", "4820"]);
    shop.snova(&["customers", "link", &anna]).fails_with(&["--card CODE, --phone NUMBER or --email ADDRESS"]);
    let nobody = uuid::Uuid::nil().to_string();
    shop.snova(&["customers", "link", &nobody, "--card", "1"]).fails_with(&["no customer", "customers list"]);
}
