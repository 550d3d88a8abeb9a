//! The real program for an hour: does its memory come to rest, and is every visit that a screen showed a row?
//!
//! Two counters whose cameras play the demo scene over and over, cards by the API, a screen open at each, a CRM that
//! takes the visits, a reload now and then. `make soak` runs it; `cargo bench` does not. What a start and 45 s take is
//! `whole_box/process.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a bench reports so")]
#![allow(clippy::disallowed_methods, reason = "the real program runs by the real clock")]

#[path = "../../tests/support/command_line.rs"]
#[allow(dead_code, reason = "each test uses its part of the support code")]
mod command_line;
#[path = "../../tests/support/crm/mod.rs"]
mod crm;
#[path = "../../tests/support/http_client.rs"]
mod http_client;
mod shop;
mod watched;

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::{Duration, Instant};

use shop::Soaked;
use watched::{Sample, slope_kb_a_minute};

const EVERY: Duration = Duration::from_secs(10);
const RELOAD_EVERY: Duration = Duration::from_secs(600);

fn main() {
    let minutes = std::env::var("SNOVA_SOAK_MINUTES").ok().and_then(|minutes| minutes.parse::<f64>().ok());
    let Some(minutes) = minutes else {
        println!("soak: not run; `make soak` takes an hour, or as many minutes as SNOVA_SOAK_MINUTES says");
        return;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(soak(Duration::from_secs_f64(minutes * 60.0)));
}

async fn soak(length: Duration) {
    let mut report = Report::default();
    let shop = Soaked::open().await;
    report.line(&format!("{} s; resident memory in kB", length.as_secs()));
    let reload_every = RELOAD_EVERY.min(length / 4);
    let (began, mut samples, mut reloads) = (Instant::now(), Vec::<Sample>::new(), 0);
    while began.elapsed() < length {
        tokio::time::sleep(EVERY).await;
        // None at the very end: a stop in the middle of a reload is another matter.
        let is_due = began.elapsed().as_secs() / reload_every.as_secs().max(1) > reloads;
        if is_due && began.elapsed() + 2 * EVERY < length {
            reloads += 1;
            shop.reload(reloads);
        }
        let sample = Sample::of(shop.process(), began.elapsed(), shop.rows().len(), shop.database_bytes());
        if samples.len() % 6 == 5 {
            report.line(&sample.to_string())
        } else {
            report.raw(&sample.to_string())
        }
        samples.push(sample);
    }
    let shown = shop.close().await;
    let rows = shop.rows();
    // Models, pictures of every size and the threads' own heaps have their place after a while.
    let warm: Vec<&Sample> = samples.iter().filter(|s| s.at > (length / 3).min(Duration::from_secs(900))).collect();
    let (first, second) = warm.split_at(warm.len() / 2);
    report.line(&format!(
        "slope after the warm-up {:.1} kB a minute; its first half {:.1}, its second {:.1}",
        slope_kb_a_minute(&warm),
        slope_kb_a_minute(first),
        slope_kb_a_minute(second),
    ));
    let (Some(from), Some(to)) = (warm.first(), warm.last()) else { panic!("too short to say anything") };
    report.line(&format!(
        "from {} to {} kB, while the database grew from {} to {} kB: each of its two connections keeps pages in memory, \
         2 MB at most",
        from.anonymous_kb,
        to.anonymous_kb,
        from.database_bytes / 1024,
        to.database_bytes / 1024,
    ));
    let (no_row, not_shown) = (shown.difference(&rows).count(), rows.difference(&shown).count());
    report.line(&format!(
        "{reloads} reloads; {} visits on the screens, {} rows, {no_row} without a row, {not_shown} rows that no screen showed",
        shown.len(),
        rows.len(),
    ));
    report.keep();
    assert_eq!((no_row, not_shown), (0, 0), "visits that happened are rows");
}

/// What is printed, and with it what is too much to print.
#[derive(Default)]
struct Report(String);

impl Report {
    fn line(&mut self, text: &str) {
        println!("{text}");
        let _ = std::io::stdout().flush();
        self.raw(text);
    }

    fn raw(&mut self, text: &str) {
        let _ = writeln!(self.0, "{text}");
    }

    /// As a file, if SNOVA_SOAK_KEEP names one.
    fn keep(&self) {
        if let Some(path) = std::env::var_os("SNOVA_SOAK_KEEP") {
            std::fs::write(path, &self.0).expect("the run can be kept there");
        }
    }
}
