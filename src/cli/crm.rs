//! `snova crm`: the configured CRM looked at, its secrets, and whose contact a customer is.
//!
//! Delivery itself is the running service's; what waits for it is `snova sync`'s.

use std::sync::Arc;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};

use super::{Outcome, out};
use crate::config::Config;
use crate::crm::{ContactId, CrmConnector, Finding, Secrets, SystemTimer, Tools, Verdict};
use crate::customer::CustomerId;
use crate::store::{Link, Store, StoreError};
use crate::sync::{LinkBook, Linked, StoreSecrets, company_key, link_customer, mark_contact};

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
    #[command(after_help = "Examples:\n  snova crm link 0193…\n  snova crm link 0193… 003Aa0000012345")]
    Link {
        customer: CustomerId,
        /// The CRM's id of the contact
        contact: Option<String>,
    },
    /// Forget which contact a customer is: they are looked for anew
    #[command(after_help = "Examples:\n  snova crm unlink 0193…")]
    Unlink { customer: CustomerId },
}

pub fn run(args: CrmArgs, config: &Config) -> Result<Outcome> {
    match args.command {
        CrmCommand::Probe => probe(config),
        CrmCommand::Secret { name, remove } => secret(name.as_deref(), remove, config),
        CrmCommand::Link { customer, contact } => link(customer, contact, config),
        CrmCommand::Unlink { customer } => {
            let store = super::existing_store(config)?.ok_or(StoreError::UnknownCustomer(customer))?;
            let done =
                if store.unlink(store.current_target()?, customer)? { "is looked for anew" } else { "had no contact" };
            out::line(format_args!("customer {customer} {done}"));
            Ok(Outcome::Done)
        }
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
    let tools = tools(super::existing_store(config)?);
    let mut connector = config.crm.open(&tools)?.context("no CRM is configured; set kind in [crm]")?;
    let mut findings = wait_for(connector.probe())?;
    if let Some(mut beacon) = config.crm.open_beacon(&tools)? {
        let of_beacon = wait_for(beacon.probe())?.into_iter();
        findings.extend(of_beacon.map(|found| Finding { what: format!("heartbeat_url: {}", found.what), ..found }));
    }
    let mut outcome = Outcome::Done;
    for finding in &findings {
        let (mark, weight) = match finding.verdict {
            Verdict::Good => ("good   ", Outcome::Done),
            Verdict::Warning => ("warning", Outcome::Warnings),
            Verdict::Missing => ("MISSING", Outcome::Errors),
        };
        outcome = outcome.max(weight);
        let remedy = if finding.remedy.is_empty() { String::new() } else { format!(": {}", finding.remedy) };
        out::line(format_args!("{mark}  {}{remedy}", finding.what));
    }
    Ok(outcome)
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

fn link(customer: CustomerId, contact: Option<String>, config: &Config) -> Result<Outcome> {
    let store = super::existing_store(config)?.ok_or(StoreError::UnknownCustomer(customer))?;
    let clock = super::system_clock();
    let target = store.use_crm(&config.crm.common.identity)?;
    let company = company_key(&store)?;
    let mut connector = connector(config, &store)?;
    if let Some(contact) = contact {
        store.customer(customer)?.ok_or(StoreError::UnknownCustomer(customer))?;
        let id = ContactId(contact);
        let found = wait_for(connector.contact(&id))??.filter(|found| !found.deleted);
        let found = found.with_context(|| format!("the CRM has no contact {id}; copy its id from there"))?;
        if let Some(owner) = store.customer_linked_to(target, &id.0)?.filter(|owner| *owner != customer) {
            return Err(StoreError::ContactTaken { owner }.into());
        }
        wait_for(mark_contact(&mut *connector, &found, customer, &company.fingerprint()))??;
        store.set_link(target, customer, &Link::Linked(id.0.clone()), clock.wall().at)?;
        out::line(format_args!("customer {customer} is the contact {id} now"));
        return Ok(Outcome::Done);
    }
    let book = LinkBook { store: &store, target, company: &company };
    let linked = wait_for(link_customer(book, &mut *connector, &config.crm.common, &*clock, customer))??;
    match linked {
        Linked::Found(id) => out::line(format_args!("customer {customer} is the contact {id}")),
        Linked::Created(id) => out::line(format_args!("customer {customer} was created as the contact {id}")),
        Linked::Waiting => out::line("a contact is perhaps being created just now; ask again in a minute"),
        Linked::Absent => {
            out::line(format_args!(
                "the CRM has nobody with their id, phone or e-mail; name the contact with `snova crm link {customer} CONTACT`, \
                 or set create_contacts = true in [crm]"
            ));
            return Ok(Outcome::Warnings);
        }
        Linked::Unclear => {
            out::line(format_args!(
                "several contacts could be them, or the one that could is another customer's; name it with \
                 `snova crm link {customer} CONTACT`"
            ));
            return Ok(Outcome::Warnings);
        }
    }
    Ok(Outcome::Done)
}
