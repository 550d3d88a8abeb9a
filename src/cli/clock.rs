//! `snova clock`: what the box makes of its clock, and the owner's word that it is right.
//!
//! How it is judged is `crate::clock`'s. The running service sees the owner's word within seconds.

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use serde_json::json;

use super::{Outcome, out};
use crate::clock::{Judgement, REMEDY, Trust, release_time};
use crate::config::Config;

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(
    after_help = "A clock that stands before a time that has passed, or far above what can have passed, is not believed:
regulars whose consent is live either way are greeted, nothing is done that cannot be undone, and nobody is
enrolled. It is believed again when a time server has set it or the CRM's clock agrees; a box without either needs
the owner's word. The exit code is 1 while it is not believed.

Examples:
  snova clock
  snova clock --json
  snova clock accept"
)]
pub struct ClockArgs {
    /// Print one JSON object on one line
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    command: Option<ClockCommand>,
}

#[derive(Subcommand)]
enum ClockCommand {
    /// Say that the clock is right now: look at the time that `snova clock` shows first
    #[command(after_help = "Examples:\n  sudo timedatectl set-time '2027-03-02 09:30'\n  snova clock accept")]
    Accept,
}

pub fn run(args: &ClockArgs, config: &Config) -> Result<Outcome> {
    match args.command {
        None => show(config, args.json),
        Some(ClockCommand::Accept) => accept(config),
    }
}

fn show(config: &Config, as_json: bool) -> Result<Outcome> {
    let store = super::existing_store(config)?;
    let judgement = judge(&*super::trusted_clock(store.as_deref()))?;
    let outcome = if judgement.trust == Trust::Plausible { Outcome::Done } else { Outcome::Warnings };
    let verdict = match judgement.trust {
        Trust::Plausible => "plausible",
        Trust::Behind => "behind",
        Trust::Ahead => "ahead",
    };
    if as_json {
        out::line(json!({
            "wall": judgement.wall.at.to_string(),
            "synchronised": judgement.wall.synchronised,
            "floor": judgement.floor.to_string(),
            "database": store.is_some(),
            "judgement": verdict,
        }));
        return Ok(outcome);
    }
    let local = judgement.wall.at.to_zoned(config.device.time_zone.clone());
    let known = if store.is_some() { "" } else { ", when this version was made: there is no database yet" };
    out::line(format_args!("clock         {:.0} ({})", judgement.wall.at, local.strftime("%Y-%m-%d %H:%M %Z")));
    out::line(format_args!("synchronised  {}", if judgement.wall.synchronised { "yes" } else { "no" }));
    out::line(format_args!("floor         {:.0}{known}", judgement.floor));
    out::line(format_args!("judgement     {verdict}"));
    if outcome != Outcome::Done {
        out::line(format_args!("{judgement}; {REMEDY}"));
    }
    Ok(outcome)
}

fn accept(config: &Config) -> Result<Outcome> {
    let store = super::open_store(config)?;
    let clock = super::trusted_clock(Some(&store));
    let wall = clock.wall().at;
    clock.accept(wall);
    let judgement = judge(&*clock)?;
    anyhow::ensure!(
        judgement.trust == Trust::Plausible,
        "the clock says {wall:.0}, which is before this version of Snova was made ({:.0}); set the clock, then accept it",
        release_time()
    );
    store.accept_clock(&judgement.kept())?;
    out::line(format_args!("the clock is taken as right: {wall:.0}; a running service follows within seconds"));
    Ok(Outcome::Done)
}

fn judge(clock: &dyn crate::clock::Clock) -> Result<Judgement> {
    clock.judgement().context("this clock is not judged")
}
