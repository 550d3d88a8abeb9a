//! `snova store`: what the owner decides about a database or a device key that is gone for good.
//!
//! What is wrong is `snova check`'s to say. Nothing is given up without this command.

use std::io::{IsTerminal, Write};

use anyhow::Result;
use clap::{Args, Subcommand};

use super::out;
use crate::app::settings;
use crate::config::Config;
use crate::store::{KeyState, Store, StoreError};
use crate::vault::Seal;

#[derive(Args)]
#[command(after_help = "Examples:\n  snova store accept-loss\n  snova store accept-loss --yes")]
pub struct StoreArgs {
    #[command(subcommand)]
    command: StoreCommand,
}

#[derive(Subcommand)]
enum StoreCommand {
    /// Begin anew where the database, or its device key, is gone and no copy can be put back
    #[command(
        after_help = "A database that is gone: a new, empty one is made. A device key that is gone, or another box's:
cards, phones, e-mail addresses and passwords are given up; customers stay and are greeted by their face.

Examples:
  snova store accept-loss
  snova store accept-loss --yes"
    )]
    AcceptLoss {
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

pub fn run(args: &StoreArgs, config: &Config) -> Result<()> {
    let StoreCommand::AcceptLoss { yes } = args.command;
    let place = settings::store(config);
    match super::existing_store(config) {
        Err(error) if matches!(error.downcast_ref(), Some(StoreError::Lost { .. })) => {
            confirmed(
                yes,
                "every customer, visit and password of this box is given up, and an empty database is made",
            )?;
            Store::accept_lost_database(&place, Seal::plain())?;
            out::line(
                "a new, empty database is made; enrol the customers anew. A service that ran meanwhile is restarted",
            );
        }
        Err(error) => return Err(error),
        Ok(None) => out::line("nothing is lost: there is no database yet"),
        Ok(Some(store)) if store.key_state()? == KeyState::Fine => out::line("nothing is lost: database and key fit"),
        Ok(Some(store)) => {
            confirmed(yes, "all cards, phones, e-mail addresses and passwords of this box are given up")?;
            let gone = store.accept_lost_key()?.unwrap_or(0);
            out::line(format_args!("{gone} sealed values are given up; give cards and passwords anew"));
        }
    }
    Ok(())
}

/// Asks on a terminal; elsewhere `--yes` is needed.
fn confirmed(yes: bool, what: &str) -> Result<()> {
    if yes {
        return Ok(());
    }
    anyhow::ensure!(std::io::stdin().is_terminal(), "{what}; say so with --yes");
    let mut asked = std::io::stderr();
    // A question that cannot be shown is answered by nobody.
    write!(asked, "{what}. Go on? [y/N] ")?;
    asked.flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    anyhow::ensure!(matches!(answer.trim(), "y" | "Y" | "yes"), "nothing was changed; put a copy back instead");
    Ok(())
}
