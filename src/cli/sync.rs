//! `snova sync`: what waits for the CRM, what was given up, and another try.
//!
//! Delivery itself is the running service's.

use anyhow::Result;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use super::{Outcome, out, settle};
use crate::config::Config;
use crate::store::{Ask, DeadLetter, Store, Task};
use crate::sync::{about_to_be_sent, notes};

/// Given-up events that are listed, and waiting ones that are shown.
const MOST: usize = 500;

#[derive(Args)]
#[command(after_help = "Examples:\n  snova sync status\n  snova sync dry-run\n  snova sync retry")]
pub struct SyncArgs {
    #[command(subcommand)]
    command: SyncCommand,
}

#[derive(Subcommand)]
enum SyncCommand {
    /// How far the CRM lags behind, why, and which events were given up
    #[command(after_help = "The exit code is 1 where somebody should look at it.

Examples:
  snova sync status
  snova sync status --json")]
    Status {
        /// Print one JSON object on one line
        #[arg(long)]
        json: bool,
    },
    /// Take given-up events up again, and end the delivery's rest
    #[command(after_help = "Examples:\n  snova sync retry\n  snova sync retry 0193…\n  snova sync retry --like 0193…")]
    Retry {
        /// The given-up event; all without one
        event: Option<Uuid>,
        /// All that were given up for the same cause as this one
        #[arg(long, value_name = "EVENT", conflicts_with = "event")]
        like: Option<Uuid>,
    },
    /// Forget a given-up event; a visit that may be in the CRM nevertheless is taken back there
    #[command(after_help = "Examples:\n  snova sync discard 0193…")]
    Discard { event: Uuid },
    /// Bring a CRM that is no longer configured what it must still take back or forget; or give that up
    #[command(after_help = settle::HELP)]
    Settle(settle::SettleArgs),
    /// Print the requests for what waits now, without sending or changing anything
    #[command(after_help = "Examples:\n  snova sync dry-run")]
    DryRun,
}

pub fn run(args: SyncArgs, config: &Config) -> Result<Outcome> {
    let Some(store) = super::existing_store(config)? else {
        out::line("nothing waits: there is no database yet");
        return Ok(Outcome::Done);
    };
    match args.command {
        SyncCommand::Status { json } => status(&store, config, json),
        SyncCommand::Retry { event, like } => {
            let taken = match like {
                Some(like) => store.retry_like(like)?,
                None => store.retry(event)?,
            };
            anyhow::ensure!(
                event.or(like).is_none() || taken > 0,
                "no given-up event has this id; `snova sync status` lists them"
            );
            out::line(format_args!("{taken} given-up events wait again; the service tries at once"));
            Ok(Outcome::Done)
        }
        SyncCommand::Discard { event } => {
            let now = super::system_clock().wall().at;
            anyhow::ensure!(
                store.discard(event, now)?,
                "no given-up event has this id; `snova sync status` lists them"
            );
            out::line(format_args!("{event} is forgotten"));
            Ok(Outcome::Done)
        }
        SyncCommand::Settle(args) => settle::run(&args, &store, config),
        SyncCommand::DryRun => dry_run(&store, config),
    }
}

fn status(store: &Store, config: &Config, as_json: bool) -> Result<Outcome> {
    let (outbox, state, letters) = (store.outbox_status()?, store.sync_state()?, store.dead_letters(MOST)?);
    let debts = store.debts()?;
    let now = super::system_clock().wall().at;
    let resting = state.blocked_until.filter(|until| *until > now);
    let other_key = store.other_company_key(store.current_target()?)?;
    let notes = notes(&outbox, None, other_key.as_deref(), now);
    let quiet = letters.is_empty() && state.error_class.is_none() && state.unlinked == 0 && debts.is_empty();
    let outcome = if quiet && notes.is_empty() { Outcome::Done } else { Outcome::Warnings };
    if as_json {
        out::line(json!({
            "crm": config.crm.vendor.as_str(),
            "depth": outbox.depth,
            "oldest": outbox.oldest_created_at.map(|at| at.to_string()),
            "unlinked": state.unlinked,
            "held": outbox.held,
            "debts": debts.iter().map(settle::view).collect::<Vec<_>>(),
            "last_success": state.last_success.map(|at| at.to_string()),
            "error_class": state.error_class,
            "error": state.error,
            "rests_until": resting.map(|at| at.to_string()),
            "notes": notes.iter().map(|(_, said)| said).collect::<Vec<_>>(),
            "dead": letters.iter().map(view).collect::<Vec<_>>(),
        }));
        return Ok(outcome);
    }
    out::line(format_args!("CRM           {}", config.crm.vendor.as_str()));
    out::line(format_args!("waiting       {}{}", outbox.depth, since(", the oldest since ", outbox.oldest_created_at)));
    out::line(format_args!("last success  {}", state.last_success.map_or_else(|| "never".to_owned(), short)));
    if outbox.held > 0 {
        out::line(format_args!(
            "held          {} visits that no consent covers today; they are sent if one does again",
            outbox.held
        ));
    }
    if state.unlinked > 0 {
        out::line(format_args!(
            "no contact    {} customers; `snova crm link CUSTOMER` looks for one, create_contacts in [crm] makes them",
            state.unlinked
        ));
    }
    if let Some(class) = &state.error_class {
        let said = state.error.as_deref().unwrap_or_default();
        out::line(format_args!("trouble       {class}: {said}{}", since("; rests until ", resting)));
    }
    for (_, said) in &notes {
        out::line(format_args!("see to it     {said}"));
    }
    out::line(format_args!("given up      {}", letters.len()));
    for letter in &letters {
        let class = letter.class.as_deref().unwrap_or("unknown");
        let said = letter.said.as_deref().unwrap_or_default();
        out::line(format_args!(
            "  {}  {} of customer {}, tried {} times, {class}: {said}",
            letter.event, letter.kind, letter.customer, letter.attempts
        ));
    }
    for debt in &debts {
        out::line(format_args!("owed          {}", settle::in_words(debt)));
    }
    if !letters.is_empty() {
        out::line("mend the cause in the CRM, then `snova sync retry`; or `snova sync discard EVENT`");
    }
    Ok(outcome)
}

fn view(letter: &DeadLetter) -> serde_json::Value {
    json!({
        "event": letter.event.to_string(),
        "kind": letter.kind,
        "customer": letter.customer.to_string(),
        "visit": letter.visit.map(|visit| visit.to_string()),
        "created_at": letter.created_at.to_string(),
        "attempts": letter.attempts,
        "class": letter.class,
        "said": letter.said,
    })
}

fn dry_run(store: &std::sync::Arc<Store>, config: &Config) -> Result<Outcome> {
    anyhow::ensure!(config.crm.is_some(), "no CRM is configured; set kind in [crm]");
    let clock = super::trusted_clock(Some(store));
    let waiting = store.waiting(&Ask {
        target: store.current_target()?,
        most: MOST,
        linked_only: false,
        now: clock.wall().at,
        server_now: None,
        is_try: false,
        days: clock.days(&config.device.time_zone),
        trust: clock.trust(),
    })?;
    if waiting.is_empty() {
        out::line("nothing is due to be sent now");
        return Ok(Outcome::Done);
    }
    for claimed in &waiting {
        match &claimed.task {
            Task::Visit(_) => {}
            Task::Void(sent) => out::line(format_args!("would mark the visit {} as void\n", sent.key)),
            Task::Amend(_, sent) => {
                out::line(format_args!("would rewrite the visit {} by what is known now\n", sent.key))
            }
            Task::Erasure(gone) => out::line(format_args!(
                "would make the CRM forget customer {}: {} visits{}\n",
                claimed.customer,
                gone.records.len(),
                if gone.contact.is_some() { ", and the link on their contact" } else { "" }
            )),
        }
    }
    let box_id = store.box_id(clock.wall().at)?;
    let connector = super::crm::connector(config, store)?;
    let records = about_to_be_sent(&waiting, &config.crm.common.shop, box_id);
    for text in connector.preview(&records) {
        out::line(&text);
    }
    Ok(Outcome::Done)
}

fn short(at: Timestamp) -> String {
    Timestamp::from_second(at.as_second()).unwrap_or(at).to_string()
}

fn since(words: &str, at: Option<Timestamp>) -> String {
    at.map(|at| format!("{words}{}", short(at))).unwrap_or_default()
}
