//! What the kernel says of a process, and the line through it.

use std::fmt;
use std::time::Duration;

pub struct Sample {
    pub at: Duration,
    pub resident_kb: u64,
    /// Without files that are mapped: what the program itself asked for.
    pub anonymous_kb: u64,
    pub threads: u64,
    pub open_files: usize,
    pub rows: usize,
    pub database_bytes: u64,
}

impl Sample {
    pub fn of(process: u32, at: Duration, rows: usize, database_bytes: u64) -> Self {
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("it lives");
        let number = |what: &str| {
            let line = status.lines().find(|line| line.starts_with(what)).expect("the kernel says it");
            line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("a number")
        };
        let open_files = std::fs::read_dir(format!("/proc/{process}/fd")).expect("it is ours").count();
        let (resident_kb, anonymous_kb, threads) = (number("VmRSS:"), number("RssAnon:"), number("Threads:"));
        Self { at, resident_kb, anonymous_kb, threads, open_files, rows, database_bytes }
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (minutes, database_kb) = (self.at.as_secs_f64() / 60.0, self.database_bytes / 1024);
        let Self { resident_kb, anonymous_kb, threads, open_files, rows, .. } = self;
        write!(
            f,
            "{minutes:6.1} min  {resident_kb} resident  {anonymous_kb} anonymous  {open_files} files  \
             {threads} threads  {rows} rows  {database_kb} database"
        )
    }
}

/// The slope of the line with the least squares through the anonymous memory.
pub fn slope_kb_a_minute(samples: &[&Sample]) -> f64 {
    let n = samples.len() as f64;
    let point = |s: &&Sample| (s.at.as_secs_f64() / 60.0, s.anonymous_kb as f64);
    let (x, y) = samples.iter().map(point).fold((0.0, 0.0), |sum, p| (sum.0 + p.0 / n, sum.1 + p.1 / n));
    let (xy, xx) = samples
        .iter()
        .map(point)
        .fold((0.0, 0.0), |sum, p| (sum.0 + (p.0 - x) * (p.1 - y), sum.1 + (p.0 - x) * (p.0 - x)));
    if xx > 0.0 { xy / xx } else { 0.0 }
}
