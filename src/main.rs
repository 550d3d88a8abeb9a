//! Arguments to command; the only place where an error becomes an exit code.

use clap::{Parser, Subcommand};

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Setup(snova::cli::setup::SetupArgs),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Setup(args) => snova::cli::setup::run(args),
    }
}
