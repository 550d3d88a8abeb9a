//! `snova demo` as somebody who tries it out sees it: the real binary, and its page in a real browser.
//!
//! The page's looks are `cashier_page.rs`; the service without a browser is `service.rs`.
#![allow(clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a test fails by panicking")]

#[path = "support/browser.rs"]
mod browser;
#[path = "support/http_client.rs"]
mod http_client;

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use browser::Browser;

/// More than model loading and the walk to the counter take on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// The demo's process, killed when the test fails.
struct Demo(Child);

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// With `SNOVA_SCREENSHOTS=<directory>` the page is also kept as pictures, to be looked at by a person.
#[tokio::test(flavor = "multi_thread")]
async fn the_demo_greets_its_customer_on_the_page_and_forgets_him() {
    let keep = std::env::var_os("SNOVA_SCREENSHOTS").map(PathBuf::from);
    let browser = Browser::open().await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_snova"));
    command.args(["demo", "--listen", "127.0.0.1:0", "--language", "ru"]).stdout(Stdio::piped());
    let mut demo = Demo(command.spawn().expect("the binary runs"));
    let printed = BufReader::new(demo.0.stdout.take().expect("its output is ours"));
    let url = printed.lines().map_while(Result::ok).find_map(|line| {
        let (_, url) = line.split_once("The cashier's screen: ")?;
        Some(url.trim().to_owned())
    });
    let url = url.expect("the demo says where its page is: are the models installed? run `snova setup`");
    assert!(!url.contains(":0/"), "the port is the real one: {url}");

    browser.goto(&url).await;
    browser.wait_until("document.body.innerText.includes('Иван Петрович')", PATIENCE).await;
    browser.wait_until("!document.querySelector('[data-settling]')", PATIENCE).await;
    let page = browser.eval("document.querySelector('.headline').innerText").await;
    assert!(page.as_str().is_some_and(|text| text.contains(", Иван Петрович!")), "{page}");
    let text = browser.eval("document.body.innerText").await;
    assert!(text.as_str().is_some_and(|text| text.contains("Золотая карта")), "{text}");
    if let Some(directory) = &keep {
        browser.screenshot(&directory.join("demo-greeting.png")).await;
    }
    browser.wait_until("!document.querySelector('.card')", PATIENCE).await;
    let text = browser.eval("document.body.innerText").await;
    assert!(!text.as_str().is_some_and(|text| text.contains("Иван")), "{text}");
    if let Some(directory) = &keep {
        browser.screenshot(&directory.join("demo-empty.png")).await;
    }
    assert_eq!(browser.complaints().await, Vec::<String>::new());

    let stop = i32::try_from(demo.0.id()).expect("a process id fits");
    // SAFETY: a plain system call on a process that this test started and has not waited for.
    unsafe { libc::kill(stop, libc::SIGTERM) };
    let ended = tokio::task::spawn_blocking(move || demo.0.wait());
    let ended = tokio::time::timeout(Duration::from_secs(10), ended).await.expect("it stops when it is told to");
    assert!(ended.expect("no panic").expect("it ends").success(), "an orderly stop is a success");
}
