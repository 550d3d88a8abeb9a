//! The CRM's part of a counter's picture and of `/health`, as programs read it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use snova::customer::CrmCard;
use snova::greeter::{CounterState, CrmTrouble, Greeted, Present};
use snova::trouble::DeliveryTrouble;
use snova::web::{HealthReport, OutboxHealth};

use crate::web_box::{TestBox, at, ivan, lost, nobody, outbox, report, with};
use crate::web_client::{get, json_of};

/// Ivan with all that a CRM can tell of him; born in 1961.
pub fn known_to_the_crm() -> Present {
    let mut person = ivan();
    let Greeted::Match { card, .. } = &mut person.who else { panic!("Ivan is greeted") };
    card.crm = Some(CrmCard {
        visits: Some(112),
        last_visit: Some(at("2026-05-12T08:15:00Z")),
        owner: Some("Мария Коваль".to_owned()),
        offer: Some("вторая чашка за полцены".to_owned()),
        birthday: Some("1961-05-15".parse().unwrap()),
        as_of: at("2026-05-11T20:00:00.5Z"),
    });
    person
}

#[tokio::test]
async fn a_card_of_the_crm_has_what_is_due_today_and_no_date_of_birth() {
    let shop = TestBox::start(&["till-1"]).await;
    shop.show("till-1", with(vec![known_to_the_crm()]));
    let (_, body) = json_of(get(&shop, "/api/v1/counter")).await;
    let card = &body["present"][0]["card"];
    let expected = json!({
        "tier": "Золотая карта",
        "note": "берёт без сахара",
        "visits": 12,
        "last_visit": "2026-05-12T08:15:00Z",
        "crm": {
            "visits": 112,
            "owner": "Мария Коваль",
            "offer": "вторая чашка за полцены",
            "birthday_in_days": 3,
            "as_of": "2026-05-11T20:00:00Z",
            "stale": false,
        },
    });
    assert_eq!(*card, expected);
    assert!(!body.to_string().contains("1961"), "{body}");
    shop.stop().await;
}

#[tokio::test]
async fn the_configuration_says_when_a_card_is_old() {
    let shop = TestBox::with(&["till-1"], |parts| parts.stale_after = Duration::from_secs(3600)).await;
    shop.show("till-1", with(vec![known_to_the_crm()]));
    assert_eq!(json_of(get(&shop, "/api/v1/counter")).await.1["present"][0]["card"]["crm"]["stale"], true);
    shop.stop().await;
}

/// The birthday is reckoned in the shop's time zone: in Kyiv it is the 12th already.
#[tokio::test]
async fn a_day_begins_where_the_shop_is() {
    let midnight = Arc::new(snova::clock::SimulatedClock::starting_at(at("2026-05-11T21:30:00Z")));
    let shop = TestBox::with(&["till-1"], |parts| parts.clock = midnight).await;
    shop.show("till-1", with(vec![known_to_the_crm()]));
    assert_eq!(json_of(get(&shop, "/api/v1/counter")).await.1["present"][0]["card"]["crm"]["birthday_in_days"], 3);
    shop.stop().await;
}

#[tokio::test]
async fn trouble_with_the_crm_is_listed_and_leaves_the_box_in_service() {
    let shop = TestBox::start(&["till-1", "till-2"]).await;
    for (trouble, told, on_screen) in [
        (CrmTrouble::Refused, "crm_refused", json!({"kind": "refused"})),
        (CrmTrouble::Blocked, "crm_blocked", json!({"kind": "blocked"})),
        (
            CrmTrouble::Late { since: at("2026-05-12T09:40:00.5Z") },
            "crm_late",
            json!({"kind": "late", "since": "2026-05-12T09:40:00Z"}),
        ),
    ] {
        for till in ["till-1", "till-2"] {
            shop.show(till, CounterState { crm_trouble: Some(trouble), ..nobody() });
        }
        let (status, body) = json_of(get(&shop, "/health")).await;
        assert_eq!((status.as_u16(), &body["status"], &body["troubles"]), (200, &json!("degraded"), &json!([told])));
        assert_eq!(json_of(get(&shop, "/api/v1/counters/till-2")).await.1["crm_trouble"], on_screen);
        let both = CounterState { cameras: vec![lost("front")], crm_trouble: Some(trouble), ..nobody() };
        shop.show("till-1", both);
        let (status, body) = json_of(get(&shop, "/health")).await;
        assert_eq!((status.as_u16(), &body["status"]), (503, &json!("trouble")));
        assert_eq!(body["troubles"], json!(["camera_lost", told]));
    }
    shop.stop().await;
}

#[tokio::test]
async fn health_tells_of_the_outbox_what_an_operator_needs() {
    let bad = || {
        let outbox = OutboxHealth {
            connected: false,
            dead: 2,
            unlinked: 4,
            notes: vec![(DeliveryTrouble::Skew, "the clocks differ; set this one".to_owned())],
            error_class: Some("auth"),
            error: Some("the login is refused: renew the key with `snova crm secret`".to_owned()),
            blocked_until: Some(at("2026-05-12T12:00:00Z")),
            ..outbox()
        };
        HealthReport { outbox, ..report() }
    };
    let shop = TestBox::with(&["till-1"], |parts| parts.health = Arc::new(bad)).await;
    let (status, body) = json_of(get(&shop, "/health")).await;
    let told: &Value = &body["outbox"];
    assert_eq!(
        (status.as_u16(), &body["status"], &body["troubles"]),
        (200, &json!("degraded"), &json!(["dead_letters", "crm_skew"]))
    );
    assert_eq!(
        (&told["connected"], &told["unlinked"], &told["error_class"]),
        (&json!(false), &json!(4), &json!("auth"))
    );
    assert_eq!(told["error"], "the login is refused: renew the key with `snova crm secret`");
    assert_eq!(told["blocked_until"], "2026-05-12T12:00:00Z");
    assert_eq!(told["notes"], json!(["the clocks differ; set this one"]));
    shop.stop().await;
}
