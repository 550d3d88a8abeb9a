//! The box as a whole: a frame's step with one and two threads, camera to screen, start and memory; each on an
//! idle box and on a busy one.
//!
//! Single stages are `pipeline.rs`, searches `gallery.rs`. This one has no criterion: what counts here are the
//! slowest of some hundred runs, and processes that are started and watched.
#![allow(clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a benchmark prints, or stops")]
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

mod busy;
mod process;
mod screen;
mod steps;

use std::time::Duration;

fn main() {
    // `cargo bench` hands over `--bench`; a word that is no option chooses one part.
    let chosen: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let wanted = |part: &str| chosen.is_empty() || chosen.iter().any(|word| word == part);
    for load in [Load::Idle, Load::Busy] {
        let _busy = (load == Load::Busy).then(busy::Busy::start);
        println!("\n{load:?} box");
        if wanted("steps") {
            steps::measure();
        }
        if wanted("screen") {
            screen::measure();
        }
        if wanted("process") {
            process::measure();
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Load {
    Idle,
    Busy,
}

/// Times, in the order of their length.
struct Sorted(Vec<Duration>);

impl Sorted {
    fn new(mut times: Vec<Duration>) -> Self {
        assert!(!times.is_empty(), "something was measured");
        times.sort();
        Self(times)
    }

    /// The time that `share` of all do not exceed.
    fn at(&self, share: f64) -> f64 {
        let index = (share * (self.0.len() - 1) as f64).round() as usize;
        self.0[index].as_secs_f64() * 1_000.0
    }
}

impl std::fmt::Display for Sorted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:6.2} {:6.2} {:6.2} ms (median, p95, worst)", self.at(0.5), self.at(0.95), self.at(1.0))
    }
}
