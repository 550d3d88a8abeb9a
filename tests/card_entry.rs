//! Cards and phones on the cashier's page, in a real browser: scanned anywhere, typed by hand, told calmly.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/browser.rs"]
mod browser;
#[path = "support/http_client.rs"]
mod http_client;
#[path = "support/running_service.rs"]
mod running_service;
#[path = "support/scripted_vision.rs"]
mod scripted_vision;
#[path = "support/tills.rs"]
mod tills;
#[path = "support/web_box.rs"]
mod web_box;

use std::path::PathBuf;
use std::time::Duration;

use browser::Browser;
use serde_json::json;
use snova::customer::{Identifier, Purpose, Verdict};
use snova::greeter::{CounterState, EntryError, EntryTaken, Present};
use snova::i18n::Language;
use web_box::{SOON, TestBox, in_language, ivan, name, nobody, perhaps, visit, with};

const CODE: &str = "4820000123456";
const ENTER: &str = "\u{e007}";
const ESCAPE: &str = "\u{e00c}";
/// The cards stand still and take taps.
const AT_REST: &str = "document.querySelector('.card') && !document.querySelector('[data-settling]')";
const SAID: &str = "document.getElementById('entry-said').textContent";
const ROW_OPEN: &str = "!document.getElementById('entry').hidden && document.activeElement.id === 'entered'";
const ROW_CLOSED: &str = "document.getElementById('entry').hidden && document.getElementById('entered').value === ''";
/// Longer than a scanner's keys are apart.
const A_WHILE: &str =
    "(window.from ??= performance.now()) && performance.now() - window.from > 400 && delete window.from";

async fn page_showing(state: CounterState) -> (TestBox, Browser) {
    let shop = TestBox::start(&["till-1"]).await;
    let cards = state.present.len();
    shop.show("till-1", state);
    let browser = Browser::open().await;
    browser.goto(&shop.url("/")).await;
    browser.wait_until("document.body.dataset.state === 'live'", SOON).await;
    if cards > 0 {
        browser.wait_until(AT_REST, SOON).await;
    }
    (shop, browser)
}

fn is_it_ivan() -> Present {
    perhaps(4, vec![name("Иван", "Петрович", "")])
}

/// With a card in hand, and no camera needed.
fn by_card() -> Present {
    Present { entered: true, ..ivan() }
}

/// Neither on the page nor in any field of it.
async fn assert_forgotten(browser: &Browser, text: &str) {
    let everything = "document.documentElement.outerHTML + [...document.querySelectorAll('input')].map(i => i.value)";
    let page = browser.eval(everything).await;
    assert!(!page.as_str().unwrap().contains(text), "{text} is still on the page");
}

/// With `SNOVA_SCREENSHOTS=<directory>` every look is also kept as a picture, to be looked at by a person.
async fn keep(browser: &Browser, look: &str) {
    if let Some(directory) = std::env::var_os("SNOVA_SCREENSHOTS") {
        browser.screenshot(&PathBuf::from(directory).join(format!("{look}.png"))).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_anywhere_on_the_page_is_an_entry_and_answers_no_question() {
    let (mut shop, browser) = page_showing(with(vec![is_it_ivan()])).await;
    browser.press(&format!("{CODE}{ENTER}")).await;
    assert_eq!(shop.hear_entry(Ok(visit(1))).await, ("till-1".to_owned(), CODE.to_owned()));
    assert_forgotten(&browser, CODE).await;
    // Spaces and the Enter at its end would press the button that has the focus.
    browser.eval("(document.querySelector('.yes').focus(), true)").await;
    browser.press(&format!("AB CD 12{ENTER}")).await;
    assert_eq!(shop.hear_entry(Ok(visit(1))).await.1, "AB CD 12");
    browser.press(&format!("ЫТЩМФ-77{ENTER}")).await;
    assert_eq!(shop.hear_entry(Ok(visit(1))).await.1, "ЫТЩМФ-77", "the box knows how to read it");
    // Too short for a code: a slip of the hand.
    browser.press(&format!("12{ENTER}")).await;
    browser.wait_until(A_WHILE, SOON).await;
    assert!(shop.answers.try_recv().is_err() && shop.entries.try_recv().is_err());

    browser.eval("(document.activeElement.blur(), true)").await;
    browser.press(ENTER).await;
    assert_eq!(shop.hear(Ok(())).await, (visit(4), Verdict::Yes), "a key by itself answers still");
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_lost_is_asked_for_again_under_the_same_key() {
    let (mut shop, browser) = page_showing(nobody()).await;
    browser.press(&format!("{CODE}{ENTER}")).await;
    // Nobody answers the first: the box was slow, or the answer was lost on its way.
    let first = shop.entries.recv().await.unwrap();
    let again = tokio::time::timeout(Duration::from_secs(8), shop.entries.recv()).await.unwrap().unwrap();
    assert_eq!((again.entered.as_str(), again.key), (CODE, first.key));
    assert!(first.key.is_some());
    again.reply.send(Ok(EntryTaken { visit: visit(1), recorded: false })).unwrap();
    browser.wait_until(&format!("{SAID} === ''"), SOON).await;
    browser.press(&format!("{CODE}{ENTER}")).await;
    let other = shop.entries.recv().await.unwrap();
    assert_ne!(other.key, first.key, "the same card given again is another entry");
    other.reply.send(Ok(EntryTaken { visit: visit(1), recorded: true })).unwrap();
    assert!(shop.entries.try_recv().is_err());
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_typed_by_a_person_are_no_scan() {
    let (mut shop, browser) = page_showing(nobody()).await;
    for key in ["4", "8", "2", "0", "1", ENTER] {
        browser.press(key).await;
        browser.wait_until(A_WHILE, SOON).await;
    }
    assert!(shop.entries.try_recv().is_err());
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_typed_by_hand_is_sent_and_gone_from_the_page() {
    let (mut shop, browser) = page_showing(with(vec![is_it_ivan()])).await;
    browser.click("#give").await;
    browser.wait_until(ROW_OPEN, SOON).await;
    let field = "(f => [f.inputMode, f.autocomplete, f.form, f.name])(document.getElementById('entered'))";
    assert_eq!(browser.eval(field).await, json!(["tel", "off", null, ""]));
    browser.press("8 912 345").await;
    browser.wait_until(A_WHILE, SOON).await;
    browser.press(" 67 89").await;
    browser.wait_until(A_WHILE, SOON).await;
    browser.press(ENTER).await;
    assert_eq!(shop.hear_entry(Ok(visit(1))).await.1, "8 912 345 67 89");
    browser.wait_until(ROW_CLOSED, SOON).await;
    assert_forgotten(&browser, "345").await;
    assert!(shop.answers.try_recv().is_err(), "its Enter is no answer to the question");

    // The same with taps alone; and a scanner may type into the open field.
    browser.click("#give").await;
    browser.press("+380671234567").await;
    browser.click("#entry-find").await;
    assert_eq!(shop.hear_entry(Ok(visit(1))).await.1, "+380671234567");
    browser.click("#give").await;
    browser.wait_until(ROW_OPEN, SOON).await;
    browser.press(&format!("{CODE}{ENTER}")).await;
    assert_eq!(shop.hear_entry(Ok(visit(1))).await.1, CODE);
    assert!(shop.entries.try_recv().is_err(), "and it is one entry, not two");
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn escape_and_cancel_close_the_field_and_answer_nothing() {
    let (mut shop, browser) = page_showing(with(vec![is_it_ivan()])).await;
    for way in ["key", "button"] {
        browser.click("#give").await;
        browser.wait_until(ROW_OPEN, SOON).await;
        browser.press("912").await;
        browser.wait_until(A_WHILE, SOON).await;
        if way == "key" {
            browser.press(ESCAPE).await
        } else {
            browser.click("#entry-cancel").await
        }
        browser.wait_until(ROW_CLOSED, SOON).await;
        assert_forgotten(&browser, "912").await;
    }
    assert!(shop.answers.try_recv().is_err() && shop.entries.try_recv().is_err());
    browser.wait_until(A_WHILE, SOON).await;
    browser.press(ESCAPE).await;
    assert_eq!(shop.hear(Ok(())).await, (visit(4), Verdict::No), "now it is the answer again");
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_became_of_a_card_is_told_calmly_in_three_languages_and_goes_by_itself() {
    let words = [
        (Language::Russian, "Карта не найдена", "Согласие этого клиента больше не действует"),
        (Language::Ukrainian, "Картку не знайдено", "Згода цього клієнта більше не діє"),
        (Language::English, "Card not found", "This customer’s consent is no longer valid"),
    ];
    let browser = Browser::open().await;
    for (language, unknown, ended) in words {
        let mut shop = TestBox::with(&["till-1"], in_language(language, "till-1")).await;
        shop.show("till-1", with(vec![ivan()]));
        browser.goto(&shop.url("/")).await;
        browser.wait_until(AT_REST, SOON).await;
        for (refusal, told) in [(EntryError::ConsentEnded, ended), (EntryError::Unknown, unknown)] {
            browser.press(&format!("{CODE}{ENTER}")).await;
            shop.hear_entry(Err(refusal)).await;
            browser.wait_until(&format!("{SAID} === '{told}'"), SOON).await;
            assert_eq!(browser.eval("document.querySelectorAll('.card').length").await, json!(1), "the card stays");
        }
        if language == Language::Russian {
            keep(&browser, "unknown-laptop").await;
            browser
                .wait_until(&format!("{SAID} === '' && !document.querySelector('.shown')"), Duration::from_secs(8))
                .await;
        }
        browser.goto("about:blank").await;
        shop.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn done_takes_the_card_of_a_guest_whom_nobody_sees() {
    let (mut shop, browser) = page_showing(with(vec![by_card(), is_it_ivan()])).await;
    assert_eq!(browser.eval("document.querySelectorAll('.done').length").await, json!(1));
    browser.click(".done").await;
    assert_eq!(shop.hear(Ok(())).await, (visit(1), Verdict::Done));
    shop.show("till-1", with(vec![ivan()]));
    browser.wait_until(&format!("{AT_REST} && !document.querySelector('.done')"), SOON).await;
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_counter_without_cameras_is_no_trouble() {
    let (shop, browser) = page_showing(CounterState { cameras: Vec::new(), ..nobody() }).await;
    let text = browser.eval("document.body.innerText").await;
    let text = text.as_str().unwrap();
    assert!(text.contains("Без камеры: гости по карте и телефону") && text.contains("14:07"), "{text}");
    assert_eq!(browser.eval("document.body.hasAttribute('data-said')").await, json!(false));
    shop.show("till-1", CounterState { overloaded: true, ..nobody() });
    browser.wait_until("document.body.dataset.state === 'overloaded'", SOON).await;
    let text = browser.eval("document.body.innerText").await;
    assert!(text.as_str().unwrap().contains("имена приходят с опозданием"), "{text}");
    shop.stop().await;
}

/// Everything that a person would call broken in the bar and the row for entries.
const FAULTS: &str = r"(() => {
  const faults = [];
  if (document.documentElement.scrollWidth > innerWidth) faults.push('the page is too wide');
  for (const each of document.querySelectorAll('.bar button, .entry button, .entry input, .card button')) {
    const box = each.getBoundingClientRect();
    if (box.width === 0) continue;
    if (box.height < 48 || box.width < 48) faults.push(`${each.id || each.className} is ${box.width} × ${box.height}`);
    if (box.left < 0 || box.right > innerWidth || box.bottom > innerHeight) faults.push(`${each.id || each.className} sticks out`);
    if (each.scrollWidth > each.clientWidth + 1) faults.push(`${each.id || each.className} is cut`);
  }
  for (const body of document.querySelectorAll('.body')) {
    if (body.scrollHeight > body.clientHeight + 1) faults.push(`card is cut: ${body.scrollHeight} > ${body.clientHeight}`);
  }
  const said = document.getElementById('entry-said');
  if (said.scrollWidth > said.clientWidth) faults.push('what became of it is cut');
  return faults;
})()";

const SIZES: [(&str, u32, u32); 3] = [("kiosk", 800, 480), ("laptop", 1280, 800), ("phone", 390, 844)];

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_it_is_cut_off_at_any_size() {
    let browser = Browser::open().await;
    let mut bad = Vec::new();
    let no_camera = |present| CounterState { present, cameras: Vec::new(), ..nobody() };
    for (look, language, state) in [
        ("idle", Language::Russian, no_camera(vec![])),
        ("by-card", Language::Russian, no_camera(vec![by_card()])),
        ("by-card-uk", Language::Ukrainian, no_camera(vec![by_card()])),
        (
            "by-card-and-two",
            Language::English,
            with(vec![by_card(), is_it_ivan(), Present { visit: visit(9), ..by_card() }]),
        ),
        ("overloaded", Language::Ukrainian, CounterState { overloaded: true, ..with(vec![ivan()]) }),
    ] {
        let mut shop = TestBox::with(&["till-1"], in_language(language, "till-1")).await;
        let people = state.present.len();
        shop.show("till-1", state);
        browser.goto(&shop.url("/")).await;
        let drawn = format!(
            "document.querySelectorAll('.card').length === {people} && document.body.dataset.state !== 'starting'"
        );
        browser.wait_until(&format!("{drawn} && !document.querySelector('[data-settling]')"), SOON).await;
        for part in ["bar", "row", "said"] {
            match part {
                "row" => {
                    browser.click("#give").await;
                    browser.wait_until(ROW_OPEN, SOON).await;
                }
                "said" => {
                    browser.press(&format!("{CODE}{ENTER}")).await;
                    shop.hear_entry(Err(EntryError::TooMany)).await;
                    browser.wait_until(&format!("{SAID}.length > 12"), SOON).await;
                }
                _ => {}
            }
            for (size, width, height) in SIZES {
                browser.resize(width, height).await;
                for scheme in ["light", "dark"] {
                    browser.prefer(scheme).await;
                    keep(&browser, &format!("{look}-{part}-{size}-{scheme}")).await;
                }
                // The page fits its text to a new size with the frame after the next.
                browser.wait_until(browser::TWO_FRAMES, SOON).await;
                let faults = browser.eval(FAULTS).await;
                if faults != json!([]) {
                    bad.push(format!("{look} with {part} at {width}×{height}: {faults}"));
                }
            }
        }
        browser.goto("about:blank").await;
        shop.stop().await;
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_tills_page_never_shows_the_other_tills_guests() {
    let shop = tills::Shop::with_tills(&["till-1", "till-2"]);
    for (given, code) in [("Иван", "4820001"), ("Ольга", "4820002"), ("Нина", "4820003")] {
        shop.enrol_card(given, Identifier::card(code).unwrap(), &[Purpose::CardGreeting]);
    }
    let service = shop.open(Box::new(scripted_vision::ScriptedVision::new(64))).await;
    let browser = Browser::open().await;
    browser.goto(&format!("http://{}/counters/till-2", service.address())).await;
    browser.wait_until("document.body.dataset.state === 'live'", SOON).await;
    // Every text that this page ever shows.
    let watch = "(() => {
        window.ever = document.body.innerText;
        const note = () => { window.ever += document.body.innerText; };
        new MutationObserver(note).observe(document.body, { subtree: true, childList: true, characterData: true });
        return true;
    })()";
    browser.eval(watch).await;
    assert_eq!(tills::enter(&service, "till-1", "4820001").await.0, 200);
    browser.press(&format!("4820003{ENTER}")).await;
    browser.wait_until("document.querySelector('.headline')?.textContent.includes('Нина')", SOON).await;
    assert_eq!(tills::enter(&service, "till-1", "4820002").await.0, 200);
    browser.wait_until(AT_REST, SOON).await;
    browser.click(".done").await;
    browser.wait_until("!document.querySelector('.card')", SOON).await;
    browser.press(&format!("4820009{ENTER}")).await;
    browser.wait_until(&format!("{SAID} === 'Карта не найдена'"), SOON).await;
    let ever = browser.eval("window.ever").await;
    let ever = ever.as_str().unwrap();
    assert!(ever.contains("Нина"), "{ever}");
    assert!(!ever.contains("Иван") && !ever.contains("Ольга") && !ever.contains("4820"), "{ever}");
    browser.goto("about:blank").await;
    service.stop().await.expect("it stops in order");
    assert_eq!(shop.count("visits WHERE counter = 'till-2'"), 1);
    assert_eq!(shop.count("visits WHERE counter = 'till-1'"), 2);
}
