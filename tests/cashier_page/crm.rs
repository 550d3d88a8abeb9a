//! What the company's CRM says on the cashier's page: the card, its age, and a CRM that takes no visits.

use serde_json::json;
use snova::customer::{Card, CrmCard};
use snova::greeter::{CounterState, CrmTrouble, Greeted, Present};
use snova::i18n::Language;

use crate::browser::{Browser, TWO_FRAMES};
use crate::web_box::{SOON, TestBox, at, greeted, in_language, ivan, lost, name, nobody, with};
use crate::{AT_REST, FAULTS, keep, page_with, seen};

/// A card with everything on it, heard of three minutes ago.
fn full() -> Card {
    Card {
        tier: Some("Золотая карта".to_owned()),
        note: Some("Берёт капучино без сахара, любит место у окна".to_owned()),
        visits: 3,
        last_visit: Some(at("2026-05-02T09:30:00Z")),
        crm: Some(CrmCard {
            visits: Some(12),
            last_visit: Some(at("2026-05-11T09:30:00Z")),
            owner: Some("Мария Коваль".to_owned()),
            offer: Some("вторая чашка за полцены до конца мая".to_owned()),
            birthday: Some("1961-05-15".parse().unwrap()),
            as_of: at("2026-05-12T11:04:00Z"),
        }),
    }
}

/// The same with texts as people write them who were given a large field.
fn long() -> Card {
    let crm = full().crm.unwrap();
    Card {
        tier: Some("Платиновая карта «Друзья дома», семейный счёт".to_owned()),
        note: Some(
            "Берёт капучино на овсяном молоке без сахара, любит место у окна, не любит громкую музыку. ".repeat(3),
        ),
        visits: 103,
        crm: Some(CrmCard {
            visits: Some(1_212),
            last_visit: Some(at("2025-12-31T09:30:00Z")),
            owner: Some("Александра Константинопольская-Новогрудская".to_owned()),
            offer: Some(
                "вторая чашка за полцены, пирог дня в подарок к любому завтраку и десять процентов на зерно. "
                    .repeat(3),
            ),
            as_of: at("2025-11-23T11:04:00Z"),
            ..crm
        }),
        ..full()
    }
}

fn carrying(person: Present, card: Card) -> Present {
    let Greeted::Match { customer, name, greeting, .. } = person.who else { panic!("a question has no card") };
    Present { who: Greeted::Match { customer, name, greeting, card }, ..person }
}

fn with_crm(change: impl FnOnce(&mut CrmCard)) -> Card {
    let mut card = full();
    card.crm.as_mut().map(change).unwrap();
    card
}

async fn details(browser: &Browser) -> String {
    let each = "[...document.querySelectorAll('.body > :not(.headline):not(.facts), .facts > span')]";
    let said = browser.eval(&format!("{each}.map(part => part.textContent).join(' | ')")).await;
    said.as_str().unwrap().replace('\u{a0}', " ")
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_the_crm_knows_stands_on_the_card_in_the_words_of_the_till() {
    for (language, words) in [
        (
            Language::Russian,
            "Иван Петрович Сидоров | День рождения через 3 дня | Золотая карта | 12 визитов, из них здесь 3 | Последний \
             визит: вчера | Ведёт: Мария Коваль | Берёт капучино без сахара, любит место у окна | Можно предложить: \
             вторая чашка за полцены до конца мая",
        ),
        (
            Language::Ukrainian,
            "Иван Петрович Сидоров | День народження через 3 дні | Золотая карта | 12 візитів, з них тут 3 | Останній \
             візит: учора | Веде: Мария Коваль | Берёт капучино без сахара, любит место у окна | Можна запропонувати: \
             вторая чашка за полцены до конца мая",
        ),
        (
            Language::English,
            "Иван Петрович Сидоров | Birthday in 3 days | Золотая карта | 12 visits, 3 of them here | Last visit: \
             yesterday | Looked after by Мария Коваль | Берёт капучино без сахара, любит место у окна | You could offer: \
             вторая чашка за полцены до конца мая",
        ),
    ] {
        let shop = TestBox::with(&["till-1"], in_language(language, "till-1")).await;
        shop.show("till-1", with(vec![carrying(ivan(), full())]));
        let browser = Browser::open().await;
        browser.goto(&shop.url("/")).await;
        browser.wait_until(AT_REST, SOON).await;
        assert_eq!(details(&browser).await, words);
        // An offer is a word to say: there is nothing to press but that it is somebody else.
        assert_eq!(browser.eval("[...document.querySelectorAll('.card button')].length").await, json!(1));
        let page = browser.eval("document.documentElement.outerHTML").await;
        assert!(!page.as_str().unwrap().contains("1961"), "nobody's age is on the page");
        browser.goto("about:blank").await;
        shop.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn visits_birthdays_and_age_of_the_card_are_said_as_people_say_them() {
    let (shop, browser) = page_with(vec![]).await;
    let counted = |here, all| Card { visits: here, ..with_crm(|crm| crm.visits = all) };
    let born = |day: &str| with_crm(|crm| crm.birthday = day.parse().ok());
    let as_of = |time: &str| with_crm(|crm| crm.as_of = at(time));
    for (card, words, never) in [
        (counted(0, None), "Первый визит", "визитов"),
        (counted(0, Some(0)), "Первый визит", "визитов"),
        (counted(0, Some(1)), "1 визит, здесь впервые", "из них"),
        (counted(0, Some(22)), "22 визита, здесь впервые", "из них"),
        (counted(1, Some(21)), "21 визит, из них здесь 1", "впервые"),
        (counted(5, Some(102)), "102 визита, из них здесь 5", "впервые"),
        (counted(5, Some(111)), "111 визитов, из них здесь 5", "впервые"),
        (counted(5, Some(5)), "5 визитов", "здесь"),
        // The CRM has not heard of the last ones yet.
        (counted(5, Some(3)), "5 визитов", "здесь"),
        (counted(5, None), "5 визитов", "здесь"),
        (born("1990-05-12"), "Сегодня день рождения", "через"),
        (born("1990-05-13"), "Завтра день рождения", "через"),
        (born("1990-05-14"), "День рождения через 2 дня", "1990"),
        (born("1990-05-19"), "День рождения через 7 дней", "1990"),
        (born("1990-05-20"), "12 визитов", "рождения"),
        (born("1990-05-11"), "12 визитов", "рождения"),
        (as_of("2026-05-11T11:07:00Z"), "12 визитов", "Карточка из CRM"),
        (as_of("2026-05-11T11:06:00Z"), "Карточка из CRM от 11 мая", "2026"),
        (as_of("2025-11-23T11:06:00Z"), "Карточка из CRM от 23 ноября 2025 г.", "от 11"),
    ] {
        shop.show("till-1", nobody());
        browser.wait_until("!document.querySelector('.card')", SOON).await;
        shop.show("till-1", with(vec![carrying(ivan(), card)]));
        browser.wait_until(AT_REST, SOON).await;
        let said = details(&browser).await;
        assert!(said.split(" | ").any(|part| part.starts_with(words)), "no {words} in {said}");
        assert!(!said.contains(never), "{never} in {said}");
    }
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_of_the_crm_are_only_text() {
    let attack = "<img src=x onerror=\"document.title='taken'\">";
    let card = with_crm(|crm| {
        crm.owner = Some(format!("\u{202e}{attack}"));
        crm.offer = Some(format!("{attack}</script><b>"));
    });
    let (shop, browser) = page_with(vec![carrying(ivan(), card)]).await;
    assert_eq!(browser.eval("document.querySelectorAll('img, b, .card script').length").await, json!(0));
    assert!(details(&browser).await.contains(&format!("Можно предложить: {attack}</script><b>")));
    assert_ne!(browser.eval("document.title").await, json!("taken"));
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crm_that_takes_no_visits_is_told_calmly_and_after_what_is_worse() {
    let late = Some(CrmTrouble::Late { since: at("2026-05-12T09:40:00Z") });
    let old = Some(CrmTrouble::Late { since: at("2026-05-10T09:40:00Z") });
    for (language, trouble, words) in [
        (Language::Russian, late, "Визиты ждут отправки в CRM с 12:40"),
        (Language::Russian, old, "Визиты ждут отправки в CRM с 10 мая"),
        (Language::Russian, Some(CrmTrouble::Refused), "CRM не принимает вход: сообщите в офис"),
        (Language::Russian, Some(CrmTrouble::Blocked), "CRM не принимает визиты: сообщите в офис"),
        (Language::Ukrainian, late, "Візити чекають на відправлення до CRM з 12:40"),
        (Language::Ukrainian, Some(CrmTrouble::Refused), "CRM не приймає вхід: повідомте офіс"),
        (Language::English, late, "Visits have been waiting for the CRM since 12:40"),
        (Language::English, Some(CrmTrouble::Blocked), "The CRM takes no visits: tell the office"),
    ] {
        let shop = TestBox::with(&["till-1"], in_language(language, "till-1")).await;
        let state = |present| CounterState { crm_trouble: trouble, ..with(present) };
        shop.show("till-1", state(vec![]));
        let browser = Browser::open().await;
        browser.goto(&shop.url("/")).await;
        browser.wait_until("document.body.dataset.state === 'crm'", SOON).await;
        let text = seen(&browser).await;
        assert!(text.contains(words) && text.contains("14:07"), "the clock stays: {text}");
        assert_eq!(browser.eval("document.body.hasAttribute('data-said')").await, json!(false));
        // Guests are greeted as ever, and what is worse comes first.
        shop.show("till-1", state(vec![ivan()]));
        browser.wait_until(AT_REST, SOON).await;
        assert!(seen(&browser).await.contains(words));
        for (worse, name) in [
            (CounterState { cameras: vec![lost("front")], ..state(vec![]) }, "lost"),
            (CounterState { unsaved_visits: 2, ..state(vec![]) }, "unsaved"),
            (CounterState { overloaded: true, ..state(vec![]) }, "overloaded"),
        ] {
            shop.show("till-1", worse);
            browser.wait_until(&format!("document.body.dataset.state === '{name}'"), SOON).await;
            assert!(!seen(&browser).await.contains(words));
        }
        browser.goto("about:blank").await;
        shop.stop().await;
    }
}

fn looks() -> Vec<(&'static str, Language, CounterState)> {
    use Language::{English, Russian, Ukrainian};
    let olena = |n| greeted(n, "Добрий день, Олено Василівно!", name("Олена", "Василівна", "Шевченко"));
    let smith = |n| greeted(n, "Good afternoon, Mr Smith!", name("John", "", "Smith"));
    let some = |card: fn() -> Card, count| {
        let people = [ivan(), olena(2), smith(3), olena(4)];
        people.into_iter().take(count).map(|person| carrying(person, card())).collect::<Vec<_>>()
    };
    let late = Some(CrmTrouble::Late { since: at("2026-05-12T09:40:00Z") });
    vec![
        ("crm-one", Russian, with(some(full, 1))),
        ("crm-two", Ukrainian, with(some(full, 2))),
        ("crm-four", English, with(some(full, 4))),
        ("crm-long-one", Ukrainian, with(some(long, 1))),
        ("crm-long-two", English, with(some(long, 2))),
        ("crm-long-four", Russian, with(some(long, 4))),
        ("crm-by-card", Russian, with(vec![Present { entered: true, ..carrying(ivan(), long()) }])),
        ("crm-late", Ukrainian, CounterState { crm_trouble: late, ..with(some(full, 1)) }),
        ("crm-refused", English, CounterState { crm_trouble: Some(CrmTrouble::Refused), ..nobody() }),
    ]
}

const SIZES: [(&str, u32, u32); 4] =
    [("tablet", 1024, 600), ("laptop", 1280, 800), ("wide", 1366, 768), ("screen", 1920, 1080)];

/// What is there and cannot be read.
const UNREADABLE: &str = r"(() => {
  const faults = [];
  for (const text of document.querySelectorAll('.body > *')) {
    const size = parseFloat(getComputedStyle(text).fontSize);
    if (size < 11.5) faults.push(`${text.className} is ${size.toFixed(1)} px`);
    const box = text.getBoundingClientRect();
    const card = text.closest('.body').getBoundingClientRect();
    if (box.top < card.top - 1 || box.bottom > card.bottom + 1) faults.push(`${text.className} sticks out`);
    if (text.scrollWidth > text.clientWidth + 1) faults.push(`${text.className} is cut at the side`);
  }
  const status = document.getElementById('status');
  if (status.scrollWidth > status.clientWidth) faults.push('the status is cut');
  return faults;
})()";

#[tokio::test(flavor = "multi_thread")]
async fn a_full_card_is_read_whole_at_any_size_however_long_its_texts() {
    let browser = Browser::open().await;
    let mut bad = Vec::new();
    for (look, language, state) in looks() {
        let shop = TestBox::with(&["till-1"], in_language(language, "till-1")).await;
        let people = state.present.len();
        shop.show("till-1", state);
        browser.goto(&shop.url("/")).await;
        let drawn = format!("document.querySelectorAll('.card').length === {people} && document.body.dataset.state");
        browser.wait_until(&format!("{drawn} && !document.querySelector('[data-settling]')"), SOON).await;
        for (size, width, height) in SIZES {
            browser.resize(width, height).await;
            browser.prefer(if size == "wide" { "dark" } else { "light" }).await;
            browser.wait_until(TWO_FRAMES, SOON).await;
            keep(&browser, &format!("{look}-{size}")).await;
            for faults in [browser.eval(FAULTS).await, browser.eval(UNREADABLE).await] {
                if faults != json!([]) {
                    bad.push(format!("{look} at {width}×{height}: {faults}"));
                }
            }
        }
        browser.goto("about:blank").await;
        shop.stop().await;
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}
