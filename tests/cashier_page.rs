//! The cashier's page in a real browser: what is shown, what goes away, what a tap says.

#[path = "support/browser.rs"]
mod browser;
#[path = "support/web_box.rs"]
mod web_box;

use std::path::PathBuf;

use browser::Browser;
use serde_json::json;
use snova::greeter::CounterState;
use snova::i18n::Language;
use web_box::{TestBox, greeted, in_language, ivan, live, lost, name, nobody, perhaps, with};

/// (what, language, state) for every look that the page can have.
fn scenes() -> Vec<(&'static str, Language, CounterState)> {
    use Language::{English, Russian, Ukrainian};
    let olena = || greeted(2, "Добрий день, Олено Василівно!", name("Олена", "Василівна", "Шевченко"));
    let smith = || greeted(3, "Good afternoon, Mr Smith!", name("John", "", "Smith"));
    let two_of_them = || vec![name("Иван", "Петрович", "Сидоров"), name("Игорь", "Петрович", "Сидоров")];
    let long = "А".repeat(80);
    vec![
        ("idle", Russian, nobody()),
        ("match", Russian, with(vec![ivan()])),
        ("match-uk", Ukrainian, with(vec![olena()])),
        ("match-en", English, with(vec![smith()])),
        ("maybe", Russian, with(vec![perhaps(4, vec![name("Иван", "Петрович", "Сидоров")])])),
        ("maybe-en", English, with(vec![perhaps(4, vec![name("John", "", "Smith")])])),
        ("several", Russian, with(vec![perhaps(5, two_of_them())])),
        ("two", Russian, with(vec![ivan(), perhaps(4, vec![name("Анна", "Сергеевна", "Ким")])])),
        ("two-uk", Ukrainian, with(vec![olena(), perhaps(4, vec![name("Оксана", "", "")])])),
        ("three", Russian, with(vec![ivan(), olena(), smith()])),
        ("four", Russian, with(vec![ivan(), olena(), smith(), perhaps(4, two_of_them())])),
        ("camera-lost", Russian, CounterState { cameras: vec![lost("till-1-front")], ..nobody() }),
        (
            "camera-lost-one-of-two",
            Ukrainian,
            CounterState { cameras: vec![live("front"), lost("side")], ..with(vec![olena()]) },
        ),
        ("unsaved", Russian, CounterState { unsaved_visits: 2, ..with(vec![ivan()]) }),
        (
            "long-name",
            Russian,
            with(vec![greeted(6, &format!("Здравствуйте, {long} {long}!"), name(&long, &long, &long))]),
        ),
        ("long-maybe", Russian, with(vec![perhaps(7, vec![name(&long, &long, &long)]), ivan()])),
    ]
}

const SIZES: [(&str, u32, u32); 4] =
    [("kiosk", 800, 480), ("laptop", 1280, 800), ("screen", 1920, 1080), ("phone", 390, 844)];

/// With `SNOVA_SCREENSHOTS=<directory>` every look is also kept as a picture, to be looked at by a person.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_cut_off_at_any_size_in_any_look() {
    let keep = std::env::var_os("SNOVA_SCREENSHOTS").map(PathBuf::from);
    let browser = Browser::open().await;
    let mut bad = Vec::new();
    for (scene, language, state) in scenes() {
        let shop = TestBox::with(&["till-1"], in_language(language, "till-1")).await;
        let people = state.present.len();
        shop.show("till-1", state);
        browser.goto(&shop.url("/")).await;
        let drawn = format!("document.querySelectorAll('.card').length === {people} && document.body.dataset.state");
        browser.wait_until(&drawn, web_box::SOON).await;
        browser.wait_until("!document.querySelector('[data-settling]')", web_box::SOON).await;
        for (size, width, height) in SIZES {
            browser.resize(width, height).await;
            for scheme in ["light", "dark"] {
                browser.prefer(scheme).await;
                if let Some(directory) = &keep {
                    browser.screenshot(&directory.join(format!("{scene}-{size}-{scheme}.png"))).await;
                }
            }
            let faults = browser.eval(FAULTS).await;
            if faults != json!([]) {
                bad.push(format!("{scene} at {width}×{height}: {faults}"));
            }
        }
        let complaints = browser.complaints().await;
        assert_eq!(complaints, Vec::<String>::new(), "{scene}");
        browser.goto("about:blank").await;
        shop.stop().await;
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

/// Everything that a person would call broken.
const FAULTS: &str = r"(() => {
  const faults = [];
  const wide = document.documentElement;
  if (wide.scrollWidth > innerWidth) faults.push(`page is ${wide.scrollWidth} wide`);
  for (const text of document.querySelectorAll('.headline, .name, .facts, .calm-line, .calm-more')) {
    if (text.scrollWidth > text.clientWidth + 1) faults.push(`${text.className} is cut at the side`);
  }
  for (const body of document.querySelectorAll('.body')) {
    if (body.scrollHeight > body.clientHeight + 1) faults.push(`card is cut: ${body.scrollHeight} > ${body.clientHeight}`);
  }
  for (const button of document.querySelectorAll('button')) {
    const box = button.getBoundingClientRect();
    const card = button.closest('.card').getBoundingClientRect();
    const least = button.className === 'quiet' ? 48 : 64;
    if (box.height < least) faults.push(`${button.className} is ${box.height} high`);
    if (box.bottom > card.bottom || box.right > card.right || box.left < card.left) faults.push(`${button.className} sticks out`);
    if (button.scrollWidth > button.clientWidth || button.scrollHeight > button.clientHeight + 1) faults.push(`${button.className} text is cut`);
  }
  const alone = document.querySelectorAll('.card').length === 1 && document.querySelector('.headline:not([data-length])');
  const size = alone ? parseFloat(getComputedStyle(alone).fontSize) : Infinity;
  if (size < innerWidth * 0.06) faults.push(`greeting is ${size} px`);
  return faults;
})()";
