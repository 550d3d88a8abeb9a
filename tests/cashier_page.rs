//! The cashier's page in a real browser: what is shown, what goes away, what a tap says.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/browser.rs"]
mod browser;
#[path = "cashier_page/crm.rs"]
mod crm;
#[path = "support/http_client.rs"]
mod http_client;
#[path = "cashier_page/troubles.rs"]
mod troubles;
#[path = "support/web_box.rs"]
mod web_box;
#[path = "support/web_line.rs"]
mod web_line;

use std::path::PathBuf;
use std::time::Duration;

use browser::Browser;
use serde_json::json;
use snova::customer::{Card, PersonName, Verdict};
use snova::greeter::{AnswerError, CounterState, Greeted, Present};
use snova::i18n::Language;
use web_box::{
    SOON, TestBox, at, customer, greeted, in_language, ivan, live, lost, name, nobody, perhaps, visit, with,
};
use web_line::Line;

const ANYBODY: &str = "document.querySelector('.card')";
const NOBODY: &str = "!document.querySelector('.card')";
/// The cards stand still and take taps.
const AT_REST: &str = "document.querySelector('.card') && !document.querySelector('[data-settling]')";

/// A page of a box with one counter, with `present` at it.
async fn page_with(present: Vec<Present>) -> (TestBox, Browser) {
    let shop = TestBox::start(&["till-1"]).await;
    let anybody = !present.is_empty();
    shop.show("till-1", with(present));
    let browser = Browser::open().await;
    browser.goto(&shop.url("/")).await;
    browser.wait_until(if anybody { AT_REST } else { "document.body.dataset.state === 'live'" }, SOON).await;
    (shop, browser)
}

/// With `SNOVA_SCREENSHOTS=<directory>` every look is also kept as a picture, to be looked at by a person.
async fn keep(browser: &Browser, look: &str) {
    if let Some(directory) = std::env::var_os("SNOVA_SCREENSHOTS") {
        browser.screenshot(&PathBuf::from(directory).join(format!("{look}.png"))).await;
    }
}

async fn seen(browser: &Browser) -> String {
    browser.eval("document.body.innerText").await.as_str().unwrap().replace('\u{a0}', " ")
}

#[tokio::test(flavor = "multi_thread")]
async fn greeting_appears_and_goes_with_the_person() {
    let (shop, browser) = page_with(vec![]).await;
    shop.show("till-1", with(vec![ivan()]));
    browser.wait_until(ANYBODY, SOON).await;
    let text = seen(&browser).await;
    for part in [
        "С возвращением, Иван Петрович!",
        "Иван Петрович Сидоров",
        "Золотая карта",
        "12 визитов",
        "вчера",
        "берёт без сахара",
    ] {
        assert!(text.contains(part), "no {part} in {text}");
    }
    let spoken = browser.eval("document.getElementById('announce').textContent").await;
    assert_eq!(spoken, json!("С возвращением, Иван Петрович!"));
    shop.show("till-1", nobody());
    browser.wait_until(NOBODY, SOON).await;
    assert!(!seen(&browser).await.contains("Иван"));
    assert_eq!(browser.eval("document.getElementById('announce').textContent").await, json!(""));
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn counter_with_nobody_known_shows_only_time_and_camera() {
    let (shop, browser) = page_with(vec![]).await;
    let lines: Vec<String> = seen(&browser).await.lines().filter(|l| !l.is_empty()).map(str::to_owned).collect();
    assert_eq!(lines, ["14:07", "вторник, 12 мая", "Камера работает", "Карта или телефон", "till-1"]);
    assert_eq!(browser.eval("document.documentElement.lang").await, json!("ru"));
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_stand_in_order_of_arrival_and_the_rest_stay_put() {
    let olena = || greeted(2, "Добрий день, Олено!", name("Олена", "", ""));
    let (shop, browser) = page_with(vec![ivan()]).await;
    browser.eval("(document.querySelector('.card').mark = 'the same', true)").await;
    shop.show("till-1", with(vec![ivan(), olena()]));
    browser.wait_until("document.querySelectorAll('.card').length === 2", SOON).await;
    let order = "[...document.querySelectorAll('.card')].map(card => card.dataset.visit)";
    assert_eq!(browser.eval(order).await, json!([visit(1).to_string(), visit(2).to_string()]));
    assert_eq!(browser.eval("document.querySelector('.card').mark").await, json!("the same"));
    shop.show("till-1", with(vec![olena()]));
    browser.wait_until("document.querySelectorAll('.card').length === 1", SOON).await;
    assert_eq!(browser.eval(order).await, json!([visit(2).to_string()]));
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn yes_no_and_another_name_reach_the_greeter() {
    let (mut shop, browser) = page_with(vec![perhaps(4, vec![name("Иван", "Петрович", "Сидоров")])]).await;
    browser.click(".yes").await;
    assert_eq!(shop.hear(Ok(())).await, (visit(4), Verdict::Yes));
    browser.wait_until("document.querySelector('.said').textContent === 'Записано'", SOON).await;

    shop.show("till-1", with(vec![perhaps(5, vec![name("Иван", "", ""), name("Игорь", "", "")])]));
    browser.wait_until(&format!("{AT_REST} && document.querySelectorAll('.yes').length === 2"), SOON).await;
    browser.click(".yes + .yes").await;
    assert_eq!(shop.hear(Ok(())).await, (visit(5), Verdict::Other(customer(51))));

    shop.show("till-1", with(vec![perhaps(6, vec![name("Анна", "", "")])]));
    browser.wait_until(&format!("{AT_REST} && document.body.innerText.includes('Анна')"), SOON).await;
    browser.click(".no").await;
    assert_eq!(shop.hear(Ok(())).await, (visit(6), Verdict::No));

    shop.show("till-1", with(vec![ivan()]));
    browser.wait_until(&format!("{AT_REST} && document.querySelector('.quiet')"), SOON).await;
    browser.click(".quiet").await;
    assert_eq!(shop.hear(Ok(())).await, (visit(1), Verdict::No));
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn enter_and_escape_answer_the_only_question_but_a_scanner_does_not() {
    let (mut shop, browser) = page_with(vec![perhaps(4, vec![name("Иван", "Петрович", "")])]).await;
    browser.press("4820000123456\u{e007}").await;
    browser.press("\u{e00c}").await;
    assert!(shop.answers.try_recv().is_err(), "a barcode is no answer");
    // Long enough after the scanner's last key.
    browser.wait_until("(window.from ??= performance.now()) && performance.now() - window.from > 400", SOON).await;
    browser.press("\u{e007}").await;
    assert_eq!(shop.hear(Ok(())).await, (visit(4), Verdict::Yes));

    shop.show("till-1", with(vec![perhaps(5, vec![name("Анна", "", "")])]));
    browser.wait_until(&format!("{AT_REST} && document.body.innerText.includes('Анна')"), SOON).await;
    browser.press("\u{e00c}").await;
    assert_eq!(shop.hear(Ok(())).await, (visit(5), Verdict::No));
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_answer_is_told_in_words_and_can_be_given_again() {
    let (mut shop, browser) = page_with(vec![perhaps(4, vec![name("Иван", "Петрович", "")])]).await;
    for (refusal, words) in [
        (AnswerError::Busy, "Устройство занято. Нажмите ещё раз"),
        (AnswerError::UnknownCustomer, "Этого клиента больше нет в списке"),
        (AnswerError::UnknownVisit, "Гость уже отошёл от кассы"),
    ] {
        browser.click(".yes").await;
        shop.hear(Err(refusal)).await;
        browser.wait_until(&format!("document.querySelector('.said').textContent === '{words}'"), SOON).await;
    }
    keep(&browser, "refused-laptop-light").await;
    assert_eq!(browser.eval("document.querySelectorAll('button:disabled').length").await, json!(0));
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_names_are_only_text() {
    let attack = "<img src=x onerror=\"document.title='taken'\">";
    let backwards = "\u{202e}нави \u{2066}עברית";
    let named = |given: &str| PersonName { family: Some("</script><b>x</b>".into()), ..PersonName::given(given) };
    let mut first = greeted(1, attack, named(attack));
    if let Greeted::Match { card, .. } = &mut first.who {
        card.note = Some(attack.to_owned());
        card.tier = Some("<b>".to_owned());
    }
    let (shop, browser) = page_with(vec![first, perhaps(4, vec![named(backwards), named(attack)])]).await;
    assert_eq!(browser.eval("document.querySelectorAll('img, b, .card script').length").await, json!(0));
    assert_eq!(browser.eval("document.querySelector('.headline').textContent").await, json!(attack));
    assert_eq!(browser.eval("document.querySelector('.note').textContent").await, json!(attack));
    assert_ne!(browser.eval("document.title").await, json!("taken"));
    // What turns text around stays within its own piece.
    assert_eq!(browser.eval("getComputedStyle(document.querySelector('.several')).direction").await, json!("ltr"));
    assert_eq!(browser.eval(FAULTS).await, json!([]));
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_camera_is_told_in_words_without_its_cause() {
    let (shop, browser) = page_with(vec![]).await;
    shop.show("till-1", CounterState { cameras: vec![lost("till-1-front")], ..nobody() });
    browser.wait_until("document.body.dataset.state === 'lost'", SOON).await;
    let text = seen(&browser).await;
    assert!(text.contains("Камера не отвечает") && text.contains("с 14:03 — проверьте кабель и питание"), "{text}");
    assert!(!text.contains("rtsp") && !text.contains("secret"), "{text}");
    shop.show("till-1", nobody());
    browser.wait_until("document.body.dataset.state === 'live'", SOON).await;
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_go_when_the_box_is_gone_and_the_whole_picture_comes_back_with_it() {
    let (shop, browser) = page_with(vec![ivan()]).await;
    let address = shop.address;
    shop.stop().await;
    browser.wait_until(NOBODY, Duration::from_secs(8)).await;
    let text = seen(&browser).await;
    assert!(text.contains("Нет связи с устройством"), "{text}");
    keep(&browser, "offline-laptop-light").await;
    let listener = snova::web::bind(address).await.unwrap();
    let shop = TestBox::on(listener, &["till-1"], |_| {}).await;
    let olena = greeted(2, "Добрий день, Олено!", name("Олена", "", ""));
    shop.show("till-1", with(vec![olena, perhaps(4, vec![name("Анна", "", "")])]));
    browser.wait_until("document.querySelectorAll('.card').length === 2", SOON).await;
    let text = seen(&browser).await;
    assert!(text.contains("Добрий день, Олено!") && text.contains("Это Анна?"), "{text}");
    assert!(!text.contains("Нет связи"), "{text}");
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_go_when_the_line_falls_silent_without_an_error() {
    let shop = TestBox::with(&["till-1"], |parts| parts.limits.ping = Duration::from_millis(400)).await;
    shop.show("till-1", with(vec![ivan()]));
    let line = Line::to(shop.address);
    let browser = Browser::open().await;
    browser.goto(&format!("http://{}/", line.address)).await;
    browser.wait_until(AT_REST, SOON).await;
    line.cut(true);
    browser.wait_until(NOBODY, Duration::from_secs(5)).await;
    assert!(seen(&browser).await.contains("Нет связи с устройством"));
    line.cut(false);
    browser.wait_until(ANYBODY, SOON).await;
    browser.goto("about:blank").await;
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_and_days_are_said_as_people_say_them() {
    let (shop, browser) = page_with(vec![]).await;
    for (visits, last, words) in [
        (0, None, "Первый визит"),
        (1, Some("2026-05-12T06:00:00Z"), "1 визит Последний визит: сегодня"),
        (2, Some("2026-05-11T20:59:00Z"), "2 визита Последний визит: вчера"),
        // 00:30 of the 12th in the shop, though still the 11th in Greenwich.
        (3, Some("2026-05-11T21:30:00Z"), "3 визита Последний визит: сегодня"),
        (5, Some("2026-05-09T09:00:00Z"), "5 визитов Последний визит: 3 дня назад"),
        (11, Some("2026-05-07T09:00:00Z"), "11 визитов Последний визит: 5 дней назад"),
        (21, Some("2026-03-08T09:00:00Z"), "21 визит Последний визит: 8 марта"),
        (102, Some("2025-12-31T09:00:00Z"), "102 визита Последний визит: 31 декабря 2025 г."),
    ] {
        let card = Card { tier: None, note: None, visits, last_visit: last.map(at), crm: None };
        let mut person = ivan();
        if let Greeted::Match { card: shown, .. } = &mut person.who {
            *shown = card;
        }
        shop.show("till-1", with(vec![person]));
        let said = "[...document.querySelectorAll('.facts span')].map(s => s.textContent).join(' ').replaceAll('\\u00a0', ' ')";
        browser.wait_until(&format!("{said} === '{words}'"), SOON).await;
    }
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn page_of_an_updated_box_loads_itself_anew() {
    let shop = TestBox::with(&["till-1"], |parts| parts.limits.ping = Duration::from_millis(400)).await;
    let browser = Browser::open().await;
    browser.goto(&shop.url("/")).await;
    browser.eval("(window.old = true, document.body.dataset.build = 'older', true)").await;
    browser.wait_until("window.old === undefined && document.body?.dataset.state === 'live'", SOON).await;
    browser.goto("about:blank").await;
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn box_with_several_counters_asks_which_one_this_is() {
    let shop = TestBox::with(&["till-1", "каса <2>"], in_language(Language::Ukrainian, "каса <2>")).await;
    shop.show("till-1", with(vec![ivan()]));
    let browser = Browser::open().await;
    browser.goto(&shop.url("/")).await;
    assert_eq!(
        browser.eval("[...document.querySelectorAll('a')].map(a => a.textContent)").await,
        json!(["till-1", "каса <2>"])
    );
    browser.click("li:nth-child(2) a").await;
    browser.wait_until("document.body.dataset.state === 'live'", SOON).await;
    let text = seen(&browser).await;
    assert!(text.contains("Камера працює") && text.contains("каса <2>"), "{text}");
    assert!(!text.contains("Иван"), "one till never shows another's customer: {text}");
    assert_eq!(browser.eval("document.documentElement.lang").await, json!("uk"));
    browser.goto("about:blank").await;
    shop.stop().await;
}

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

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_cut_off_at_any_size_in_any_look() {
    let browser = Browser::open().await;
    let mut bad = Vec::new();
    for (scene, language, state) in scenes() {
        let shop = TestBox::with(&["till-1"], in_language(language, "till-1")).await;
        let people = state.present.len();
        shop.show("till-1", state);
        browser.goto(&shop.url("/")).await;
        let drawn = format!("document.querySelectorAll('.card').length === {people} && document.body.dataset.state");
        browser.wait_until(&drawn, SOON).await;
        browser.wait_until("!document.querySelector('[data-settling]')", SOON).await;
        for (size, width, height) in SIZES {
            browser.resize(width, height).await;
            for scheme in ["light", "dark"] {
                browser.prefer(scheme).await;
                keep(&browser, &format!("{scene}-{size}-{scheme}")).await;
            }
            // The page fits its text to a new size with the frame after the next.
            browser.wait_until(browser::TWO_FRAMES, SOON).await;
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
  for (const button of document.querySelectorAll('.card button')) {
    const box = button.getBoundingClientRect();
    const card = button.closest('.card').getBoundingClientRect();
    const least = ['quiet', 'done'].includes(button.className) ? 48 : 64;
    if (box.height < least) faults.push(`${button.className} is ${box.height} high`);
    if (box.bottom > card.bottom || box.right > card.right || box.left < card.left) faults.push(`${button.className} sticks out`);
    if (button.scrollWidth > button.clientWidth || button.scrollHeight > button.clientHeight + 1) faults.push(`${button.className} text is cut`);
  }
  const alone = document.querySelectorAll('.card').length === 1 && document.querySelector('.headline');
  const size = alone && alone.textContent.length < 45 ? parseFloat(getComputedStyle(alone).fontSize) : Infinity;
  // A card that tells much leaves it less room.
  const part = document.querySelector('.offer') ? 0.045 : 0.06;
  if (size < innerWidth * part) faults.push(`greeting is ${size} px`);
  return faults;
})()";
