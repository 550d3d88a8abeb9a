//! What of an erased customer stays in the memory of the running service: nothing that it knew them by.
//!
//! Files and the raw disk are `store_faults.rs`, `privacy.rs` and `raw_disk.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(dead_code, clippy::print_stdout, reason = "each test uses its part of the support code")]

#[path = "support/command_line.rs"]
mod command_line;
#[path = "support/http_client.rs"]
mod http_client;

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use command_line::Shop;
use serde_json::{Value, json};

/// The real binary, killed when the test ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How often each text is in the memory that the process may write; `None` where this user may not look.
fn in_memory(pid: u32, texts: &[&str]) -> Option<Vec<usize>> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
    let memory = File::open(format!("/proc/{pid}/mem")).ok()?;
    let mut found = vec![0; texts.len()];
    for line in maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|rights| rights.starts_with("rw"))) {
        let (from, to) = line.split(' ').next()?.split_once('-')?;
        let (from, to) = (u64::from_str_radix(from, 16).ok()?, u64::from_str_radix(to, 16).ok()?);
        let mut at = from;
        while at < to {
            // A text that lies across two of these is found in the second.
            let begin = at.saturating_sub(64).max(from);
            let mut bytes = vec![0; ((to - begin) as usize).min(1 << 20)];
            if memory.read_exact_at(&mut bytes, begin).is_err() {
                break;
            }
            at = begin + bytes.len() as u64;
            for (text, count) in texts.iter().zip(&mut found) {
                *count += occurrences(&bytes, text.as_bytes());
            }
        }
    }
    Some(found)
}

fn occurrences(bytes: &[u8], text: &[u8]) -> usize {
    // SAFETY: both ranges are those of live slices.
    let next =
        |from: &[u8]| unsafe { libc::memmem(from.as_ptr().cast(), from.len(), text.as_ptr().cast(), text.len()) };
    let (mut rest, mut count) = (bytes, 0);
    loop {
        let at = next(rest);
        if at.is_null() {
            return count;
        }
        count += 1;
        rest = &rest[at as usize - rest.as_ptr() as usize + 1..];
    }
}

async fn picture(address: &str) -> Value {
    let http = http_client::builder().build().expect("an HTTP client");
    let answer = http.get(format!("{address}api/v1/counter")).send().await.expect("the page answers");
    answer.json().await.expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_an_erased_customer_lingers_in_the_memory_of_the_service() {
    let shop = Shop::open();
    let enrol = |given: &str, patronymic: &str, card: &str, note: &str| {
        let name = ["enrol", "--given", given, "--patronymic", patronymic, "--card", card, "--note", note];
        let ended =
            shop.snova(&[&name[..], &["--consent-on", "2026-01-15", "--consent-method", "paper-form"]].concat());
        assert_eq!(ended.code, Some(0), "{}", ended.err);
    };
    enrol("Феофилакт", "Поликарпович", "48207731590", "носит зелёную шляпу");
    enrol("Олимпиада", "Гордеевна", "48209902468", "носит синюю шляпу");
    let mut service = Running(
        Command::new(env!("CARGO_BIN_EXE_snova"))
            .args(["run", "--config"])
            .arg(shop.path("snova.toml"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("snova starts"),
    );
    let mut line = String::new();
    BufReader::new(service.0.stdout.take().expect("a pipe")).read_line(&mut line).expect("it says where it is");
    let address = line.split_whitespace().find(|word| word.starts_with("http://")).expect("an address").to_owned();

    // Both are greeted by their cards, one after the other; he is erased while he stands there.
    let http = http_client::builder().build().expect("an HTTP client");
    for card in ["48209902468", "48207731590"] {
        let entry = http.post(format!("{address}api/v1/counter/entries")).json(&json!({ "entered": card }));
        assert!(entry.send().await.expect("an answer").status().is_success());
    }
    assert!(picture(&address).await.to_string().contains("Феофилакт"), "he is greeted");
    let texts = ["Феофилакт", "Поликарпович", "зелёную шляпу", "48207731590"];
    let pid = service.0.id();
    let Some(before) = in_memory(pid, &texts) else {
        println!("skipped: this user may not look into another process");
        return;
    };
    assert!(before[..2].iter().all(|count| *count > 0), "the search finds whom the screen shows: {before:?}");

    let erased = shop.snova(&["customers", "erase", "Феофилакт", "--yes"]);
    assert_eq!(erased.code, Some(0), "{}{}", erased.out, erased.err);
    let mut left = Vec::new();
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        // Somebody looks at the screen, as always.
        picture(&address).await;
        left = in_memory(pid, &texts).expect("as before");
        if left.iter().all(|count| *count == 0) {
            break;
        }
    }
    println!("in the memory before: {before:?}, after: {left:?}");
    assert_eq!(left, vec![0; texts.len()], "of {texts:?}");
}
