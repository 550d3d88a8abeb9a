//! What commands print: the one room that writes to standard output.

use std::io::{IsTerminal, Write};

/// One line for a person or, with `--json`, for a program.
pub fn line(text: impl std::fmt::Display) {
    // A reader that has gone (`| head`) must not bring the service down.
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// A progress line that overwrites itself on a terminal and is silent elsewhere.
pub fn progress(what: &str, done: usize, of: usize) {
    let mut error = std::io::stderr();
    if error.is_terminal() && (done.is_multiple_of(10) || done == of) {
        let end = if done == of { "\n" } else { "" };
        // Progress that cannot be shown is no reason to stop.
        let _ = write!(error, "\r{what}: {done} of {of}{end}");
    }
}

/// A whole document, as it is.
pub fn bytes(document: &[u8]) {
    // As above: a pager that was closed is no fault.
    let _ = std::io::stdout().write_all(document);
}
