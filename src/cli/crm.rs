//! `snova crm`: the configured CRM looked at, and its secrets.
//!
//! Whose contact a customer is is `contacts`'; delivery itself is the running service's, what waits for it `snova sync`'s.

use std::sync::Arc;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};

use super::{Outcome, contacts, out};
use crate::config::Config;
use crate::crm::{CrmConnector, Finding, Secrets, SystemTimer, Tools, Verdict};
use crate::customer::CustomerId;
use crate::store::Store;
use crate::sync::StoreSecrets;

/// Longer than any token or key that a CRM gives.
const MOST_BYTES: usize = 8_192;

#[derive(Args)]
#[command(after_help = "Examples:
  snova crm secret crm/salesforce/client-secret
  snova crm probe
  snova crm link 0193… 003Aa0000012345")]
pub struct CrmArgs {
    #[command(subcommand)]
    command: CrmCommand,
}

#[derive(Subcommand)]
enum CrmCommand {
    /// Log in to the CRM and say which rights, fields and limits it has; changes nothing there
    #[command(after_help = "The exit code is 2 where something is missing, 1 where something works less well.

Examples:
  snova crm probe")]
    Probe,
    /// Keep a secret of the CRM's login, sealed; without a name list those that it needs
    #[command(
        after_help = "The secret is asked for, or read from standard input: it never stands on a command line. It is kept
sealed with the key of this box; a running service takes it with its next login.

Examples:
  snova crm secret
  snova crm secret crm/salesforce/client-secret
  pass shop/salesforce | snova crm secret crm/salesforce/client-secret
  snova crm secret crm/salesforce/client-secret --remove"
    )]
    Secret {
        name: Option<String>,
        /// Forget the secret instead
        #[arg(long, requires = "name")]
        remove: bool,
    },
    /// Look for a customer's contact in the CRM now, or say which one it is
    #[command(after_help = "The customer's word is added beside those of other stores, which stay.

Examples:
  snova crm link 0193…
  snova crm link 0193… 003Aa0000012345
  snova crm link 0193… --create")]
    Link(contacts::LinkArgs),
    /// Make the fields that Snova can fill in the CRM, or say how the administrator makes them
    #[command(after_help = "Examples:\n  snova crm prepare")]
    Prepare,
    /// Take the customer's word off their contact, and forget which one it is: they are looked for anew
    #[command(after_help = "Examples:\n  snova crm unlink 0193…")]
    Unlink { customer: CustomerId },
    /// List the customers of whom a person must say which contact they are, with the reason
    #[command(after_help = "The exit code is 1 where there are any.

Examples:
  snova crm unclear
  snova crm unclear --json")]
    Unclear(contacts::UnclearArgs),
    /// Show the fingerprint of the key that all stores of the company share, or exchange that key
    #[command(
        after_help = "Contacts that Snova creates get a key of their phone under the company key, so that a CRM refuses a second
one from another store. All stores must hold the same.

Examples:
  snova crm company-key
  snova crm company-key --reveal
  snova crm company-key --set"
    )]
    CompanyKey(contacts::CompanyKeyArgs),
}

pub fn run(args: CrmArgs, config: &Config) -> Result<Outcome> {
    match args.command {
        CrmCommand::Probe => probe(config),
        CrmCommand::Prepare => prepare(config),
        CrmCommand::Secret { name, remove } => secret(name.as_deref(), remove, config),
        CrmCommand::Link(args) => contacts::link(args, config),
        CrmCommand::Unlink { customer } => contacts::unlink(customer, config),
        CrmCommand::Unclear(args) => contacts::unclear(&args, config),
        CrmCommand::CompanyKey(args) => contacts::company_key(&args, config),
    }
}

/// The configured connector on the store's secrets.
pub(super) fn connector(config: &Config, store: &Arc<Store>) -> Result<Box<dyn CrmConnector>> {
    config.crm.open(&tools(Some(Arc::clone(store))))?.context("no CRM is configured; set kind in [crm]")
}

fn tools(store: Option<Arc<Store>>) -> Tools {
    let secrets: Arc<dyn Secrets> = Arc::new(StoreSecrets(store));
    Tools { clock: super::system_clock(), timer: Arc::new(SystemTimer), secrets, server_clock: Arc::default() }
}

/// One thread is enough for one conversation.
pub(super) fn wait_for<T>(talk: impl Future<Output = T>) -> Result<T> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build().context("the network cannot be used")?;
    Ok(runtime.block_on(talk))
}

fn probe(config: &Config) -> Result<Outcome> {
    anyhow::ensure!(config.crm.is_some(), "no CRM is configured; set kind in [crm]");
    // A look makes no database: without one no secret is kept, and the connector says which it needs.
    let store = super::existing_store(config)?;
    let other_key = store.as_deref().map(contacts::other_key).transpose()?.flatten();
    let tools = tools(store);
    let mut connector = config.crm.open(&tools)?.context("no CRM is configured; set kind in [crm]")?;
    let mut findings = wait_for(connector.probe())?;
    findings.extend(other_key.map(|remedy| Finding::warning("the company key", remedy)));
    if let Some(mut beacon) = config.crm.open_beacon(&tools)? {
        let of_beacon = wait_for(beacon.probe())?.into_iter();
        findings.extend(of_beacon.map(|found| Finding { what: format!("heartbeat_url: {}", found.what), ..found }));
    }
    Ok(print(&findings))
}

fn prepare(config: &Config) -> Result<Outcome> {
    let store = super::existing_store(config)?;
    let mut connector = config.crm.open(&tools(store))?.context("no CRM is configured; set kind in [crm]")?;
    Ok(print(&wait_for(connector.prepare())?))
}

fn print(findings: &[Finding]) -> Outcome {
    let mut outcome = Outcome::Done;
    for finding in findings {
        let (mark, weight) = match finding.verdict {
            Verdict::Good => ("good   ", Outcome::Done),
            Verdict::Warning => ("warning", Outcome::Warnings),
            Verdict::Missing => ("MISSING", Outcome::Errors),
        };
        outcome = outcome.max(weight);
        let remedy = if finding.remedy.is_empty() { String::new() } else { format!(": {}", finding.remedy) };
        out::line(format_args!("{mark}  {}{remedy}", finding.what));
    }
    outcome
}

fn secret(name: Option<&str>, remove: bool, config: &Config) -> Result<Outcome> {
    let known = config.crm.secret_names();
    let Some(name) = name else {
        anyhow::ensure!(!known.is_empty(), "no CRM is configured; set kind in [crm]");
        let kept = super::existing_store(config)?.map(|store| store.secret_names()).transpose()?.unwrap_or_default();
        for name in &known {
            let state = if kept.iter().any(|kept| kept == *name) { "kept" } else { "not given" };
            out::line(format_args!("{name}  {state}"));
        }
        return Ok(Outcome::Done);
    };
    anyhow::ensure!(
        known.contains(&name),
        "the configured CRM has no secret \"{name}\"; `snova crm secret` lists those that it has"
    );
    if remove {
        let gone = super::existing_store(config)?.map(|store| store.remove_secret(name)).transpose()?.unwrap_or(false);
        out::line(format_args!("{name} {}", if gone { "is forgotten" } else { "was not kept" }));
        return Ok(Outcome::Done);
    }
    let value = super::read_secret("secret", MOST_BYTES)?;
    let store = super::open_store(config)?;
    store.set_secret(name, &value)?;
    // A delivery that rests because it had none, or a wrong one, tries again.
    store.wake_delivery()?;
    out::line(format_args!("{name} is kept"));
    Ok(Outcome::Done)
}
