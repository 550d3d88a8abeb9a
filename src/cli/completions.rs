//! `snova completions` and `snova man`: the command line's own description, for shells and for man(1).
//!
//! The commands are described where they are defined; nothing is written twice here.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, CommandFactory, ValueEnum};
use clap_complete::aot::{Shell, generate};

use super::{Arguments, Outcome, out};

const NAME: &str = "snova";

#[derive(Args)]
#[command(after_help = "Examples:
  snova completions bash > /etc/bash_completion.d/snova
  snova completions zsh > ~/.zfunc/_snova
  snova completions fish > ~/.config/fish/completions/snova.fish")]
pub struct CompletionsArgs {
    /// Which shell
    #[arg(value_enum)]
    shell: ShellName,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ShellName {
    Bash,
    Zsh,
    Fish,
    Elvish,
    #[value(name = "powershell")]
    PowerShell,
}

#[derive(Args)]
#[command(after_help = "Examples:
  snova man | man -l -
  snova man --dir /usr/local/share/man/man1")]
pub struct ManArgs {
    /// Write a page for each command into this folder instead: snova.1, snova-run.1, …
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

pub fn completions(args: &CompletionsArgs) -> Result<Outcome> {
    let shell = match args.shell {
        ShellName::Bash => Shell::Bash,
        ShellName::Zsh => Shell::Zsh,
        ShellName::Fish => Shell::Fish,
        ShellName::Elvish => Shell::Elvish,
        ShellName::PowerShell => Shell::PowerShell,
    };
    let mut script = Vec::new();
    generate(shell, &mut Arguments::command(), NAME, &mut script);
    out::bytes(&script);
    Ok(Outcome::Done)
}

pub fn man(args: &ManArgs) -> Result<Outcome> {
    match &args.dir {
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Arguments::command()).render(&mut page).context("the manual page cannot be made")?;
            out::bytes(&page);
        }
        Some(dir) => {
            let write = || {
                std::fs::create_dir_all(dir)?;
                // The made-up command `help` needs no pages.
                clap_mangen::generate_to(Arguments::command().disable_help_subcommand(true), dir)
            };
            write().with_context(|| format!("cannot write manual pages into {}", dir.display()))?;
            out::line(format_args!("manual pages are in {}", dir.display()));
        }
    }
    Ok(Outcome::Done)
}
