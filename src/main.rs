//! Arguments to command; the only place where an error becomes an exit code.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use snova::cli::Outcome;
use snova::memory::Wiping;

#[global_allocator]
static MEMORY: Wiping = Wiping;

fn main() -> ExitCode {
    match snova::cli::run(snova::cli::Arguments::parse()) {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Warnings) => ExitCode::from(1),
        Ok(Outcome::Errors) => ExitCode::from(2),
        Err(error) => {
            for line in format!("{error:#}").lines() {
                // Standard error may be gone; the exit code still says it.
                let _ = writeln!(std::io::stderr(), "snova: {line}");
            }
            ExitCode::FAILURE
        }
    }
}
