//! What is wrong with the box itself on the cashier's page: one line, whole at any size, in every language.

use serde_json::json;
use snova::camera::CameraState;
use snova::clock::WallTime;
use snova::face::CameraId;
use snova::greeter::CounterState;
use snova::i18n::Language;
use snova::trouble::Trouble;

use crate::browser::{Browser, TWO_FRAMES};
use crate::web_box::{SOON, TestBox, at, in_language, ivan, nobody, with};
use crate::{AT_REST, FAULTS, keep, seen};

const CUT: &str =
    "(() => { const line = document.getElementById('status'); return line.scrollWidth > line.clientWidth; })()";

#[tokio::test(flavor = "multi_thread")]
async fn each_trouble_of_the_box_is_one_whole_line_in_every_language_and_guests_are_greeted_as_ever() {
    let browser = Browser::open().await;
    for language in Language::ALL {
        let shop = TestBox::with(&["till-1"], in_language(language, "till-1")).await;
        browser.resize(1024, 600).await;
        browser.goto(&shop.url("/")).await;
        browser.wait_until("document.body.dataset.state === 'live'", SOON).await;
        let mut told = std::collections::BTreeSet::new();
        for trouble in Trouble::ALL {
            let state = |present| CounterState { troubles: vec![(trouble, 21)], ..with(present) };
            shop.show("till-1", state(vec![]));
            browser.wait_until("document.body.dataset.state === 'trouble'", SOON).await;
            browser.wait_until(TWO_FRAMES, SOON).await;
            let look = format!("trouble-{}-{}", trouble.as_str(), language.code());
            keep(&browser, &look).await;
            told.insert(browser.eval("document.getElementById('status').textContent").await.to_string());
            let large = matches!(trouble, Trouble::StoreLost | Trouble::StoreUnreadable);
            assert_eq!(browser.eval("document.body.hasAttribute('data-said')").await, json!(large), "{look}");
            assert_eq!(browser.eval(CUT).await, json!(false), "{look}: {}", seen(&browser).await);
            assert_eq!(browser.eval(FAULTS).await, json!([]), "{look}");
            // Guests are greeted beside it.
            shop.show("till-1", state(vec![ivan()]));
            browser.wait_until(AT_REST, SOON).await;
            keep(&browser, &format!("{look}-ivan")).await;
            assert_eq!(browser.eval(CUT).await, json!(false), "{look} beside a card");
            shop.show("till-1", nobody());
            browser.wait_until("document.body.dataset.state === 'live'", SOON).await;
        }
        assert_eq!(told.len(), Trouble::ALL.len(), "each has words of its own: {told:?}");
        browser.goto("about:blank").await;
        shop.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_that_gives_nothing_to_look_at_is_named_with_what_to_do() {
    let since = WallTime { at: at("2026-05-12T11:03:20Z"), synchronised: true };
    let browser = Browser::open().await;
    for (language, state, what, then) in [
        (Language::Russian, CameraState::Frozen { since }, "Картинка камеры застыла", "с 14:03 — перезапустите"),
        (
            Language::Ukrainian,
            CameraState::Unreadable { since },
            "Картинка камери не читається",
            "з 14:03 — перезапустіть",
        ),
        (Language::English, CameraState::Frozen { since }, "The camera’s picture is frozen", "since 14:03 — restart"),
    ] {
        let shop = TestBox::with(&["till-1"], in_language(language, "till-1")).await;
        let look = format!("camera-{}-{}", state.as_str(), language.code());
        shop.show("till-1", CounterState { cameras: vec![(CameraId::new("front"), state)], ..nobody() });
        browser.resize(1024, 600).await;
        browser.goto(&shop.url("/")).await;
        browser.wait_until("document.body.dataset.state === 'lost'", SOON).await;
        browser.wait_until(TWO_FRAMES, SOON).await;
        keep(&browser, &look).await;
        let text = seen(&browser).await;
        assert!(text.contains(what) && text.contains(then), "{look}: {text}");
        assert_eq!(browser.eval(CUT).await, json!(false), "{look}");
        assert_eq!(browser.eval(FAULTS).await, json!([]), "{look}");
        browser.goto("about:blank").await;
        shop.stop().await;
    }
}
