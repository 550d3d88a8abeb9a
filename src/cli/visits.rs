//! `snova visits`: the visits of a day, and one of them voided.
//!
//! What a CRM hears of it, and when, is the running service's; what still waits is `snova sync`'s.

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use jiff::civil::Date;
use serde_json::json;

use super::{out, who};
use crate::config::Config;
use crate::customer::VisitId;
use crate::face::CounterId;
use crate::store::{DayVisit, StoreError};

#[derive(Args)]
#[command(after_help = "Examples:
  snova visits list
  snova visits void 0193…
  snova visits void 0193… --other \"Елена Павловна\"")]
pub struct VisitsArgs {
    #[command(subcommand)]
    command: VisitsCommand,
}

#[derive(Subcommand)]
enum VisitsCommand {
    /// The visits of a day, today's without one: when, where, who, how known, how far on the way to the CRM
    #[command(
        after_help = "open: at a counter. waiting: on its way to the CRM. delivered: the CRM has it. void: it was somebody else.
refused: the CRM does not take it. here: the customer did not agree that the CRM hears of it.

Examples:
  snova visits list
  snova visits list --day 2026-05-12 --counter till-1 --json"
    )]
    List {
        /// A day of the shop's calendar: 2026-05-12
        #[arg(long)]
        day: Option<Date>,
        /// Only those that began at this counter
        #[arg(long)]
        counter: Option<String>,
        /// Print one JSON array instead of text
        #[arg(long)]
        json: bool,
    },
    /// Say that a visit of the last 7 days was somebody else's; the CRM is told if it may have it
    #[command(
        after_help = "CUSTOMER is an id, or the beginning of an id or of a name, where it fits one customer only. Whoever is at a counter
stays on its screen until they leave; «не он» there takes them off it.

Examples:
  snova visits void 0193…
  snova visits void 0193… --other \"Елена Павловна\""
    )]
    Void {
        visit: VisitId,
        /// It was this customer's
        #[arg(long, value_name = "CUSTOMER")]
        other: Option<String>,
    },
}

pub fn run(args: VisitsArgs, config: &Config) -> Result<()> {
    let store = super::existing_store(config)?;
    let clock = super::trusted_clock(store.as_deref());
    let time_zone = &config.device.time_zone;
    match args.command {
        VisitsCommand::List { day, counter, json } => {
            let day = day.unwrap_or_else(|| clock.wall().at.to_zoned(time_zone.clone()).date());
            let begin = |day: Date| Ok::<_, jiff::Error>(day.to_zoned(time_zone.clone())?.timestamp());
            let bounds = || Ok::<_, jiff::Error>(begin(day)?..begin(day.tomorrow()?)?);
            let bounds = bounds().context("the calendar does not go so far")?;
            let counter = counter.as_deref().map(CounterId::new);
            let visits = match &store {
                Some(store) => store.visits_of_day(bounds, counter.as_ref())?,
                None => Vec::new(),
            };
            if json {
                out::line(serde_json::Value::Array(visits.iter().map(view).collect()));
                return Ok(());
            }
            if visits.is_empty() {
                out::line(format_args!("no visits on {day}"));
            }
            for DayVisit { visit, name, state } in &visits {
                let time = visit.record.opened_at.at.to_zoned(time_zone.clone()).strftime("%H:%M").to_string();
                let name = name.as_ref().map_or_else(|| "(the name cannot be read)".to_owned(), |name| name.full());
                let receipt = visit.receipt.as_ref();
                let receipt = receipt.map(|receipt| format!("  receipt {} of {}", receipt.number, receipt.decimal()));
                out::line(format_args!(
                    "{time}  {}  {name}  {}  {}  {}{}",
                    visit.record.counter,
                    visit.record.how.as_str(),
                    state.as_str(),
                    visit.record.id,
                    receipt.unwrap_or_default()
                ));
            }
        }
        VisitsCommand::Void { visit, other } => {
            let other = other.map(|other| who::find(store.as_deref(), &other)).transpose()?;
            let store = store.ok_or(StoreError::UnknownVisit(visit))?;
            let other = other.map(|(customer, _)| customer);
            store.void_visit(visit, other, clock.wall(), clock.days(time_zone))?;
            match other {
                Some(other) => {
                    out::line(format_args!("visit {visit} is customer {other}'s now; a CRM that has it is told"))
                }
                None => out::line(format_args!("visit {visit} is void; a CRM that has it is told")),
            }
        }
    }
    Ok(())
}

fn view(DayVisit { visit, name, state }: &DayVisit) -> serde_json::Value {
    json!({
        "id": visit.record.id.to_string(),
        "counter": visit.record.counter.as_str(),
        "customer": visit.record.customer.to_string(),
        "name": name.as_ref().map(|name| name.full()),
        "how": visit.record.how.as_str(),
        "opened_at": visit.record.opened_at.at.to_string(),
        "closed_at": visit.closed_at.map(|closed| closed.at.to_string()),
        "state": state.as_str(),
        "receipt": visit.receipt.as_ref().map(|receipt| json!({"number": receipt.number, "sum": receipt.sum})),
    })
}
