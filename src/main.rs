//! Arguments to command; the only place where an error becomes an exit code.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match snova::cli::run(snova::cli::Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error may be gone; the exit code still says it.
            let _ = writeln!(std::io::stderr(), "snova: {error:#}");
            ExitCode::FAILURE
        }
    }
}
