//! `snova sync settle`: what CRMs that are no longer configured must still take back or forget, brought there or given up.
//!
//! What is owed is `crate::store`'s to know, how it is brought `crate::sync`'s.

use std::collections::BTreeMap;
use std::io::{BufRead, IsTerminal};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde_json::json;

use super::crm::wait_for;
use super::{Outcome, out};
use crate::config::Config;
use crate::crm::{CrmSettings, Heartbeat, Secrets, SystemTimer, Tools};
use crate::store::{Debt, Store};
use crate::sync::{Courier, CourierParts, StoreSecrets, company_key};
use crate::telemetry::Metrics;
use crate::vendors::Configured;

const MOST_BYTES: usize = 8192;

pub(super) const HELP: &str =
    "The file holds the [crm] section, with the vendor's own, as it stood in the configuration \
while that CRM was
configured. Secrets are taken from the store where the present CRM is of another kind; else they are asked for, or
read from standard input, one NAME=VALUE a line. They are not kept.

Examples:
  snova sync settle --target pilot.bitrix24.ru --crm-config old.toml
  snova sync settle --target pilot.bitrix24.ru --sign-off";

#[derive(Args)]
pub struct SettleArgs {
    /// The CRM, as `snova sync status` names it, or a part of that which only it has
    #[arg(long, value_name = "IDENTITY")]
    target: String,
    /// The configuration that it had
    #[arg(long, value_name = "FILE", required_unless_present = "sign_off", conflicts_with = "sign_off")]
    crm_config: Option<PathBuf>,
    /// Give up what it is owed: it keeps what it has
    #[arg(long)]
    sign_off: bool,
    /// Do not ask
    #[arg(long, requires = "sign_off")]
    yes: bool,
}

pub fn run(args: &SettleArgs, store: &Arc<Store>, config: &Config) -> Result<Outcome> {
    let debt = owed(&args.target, store.debts()?)?;
    match &args.crm_config {
        Some(file) => bring(&debt, &Config::load(Some(file))?.crm, store, config),
        None => sign_off(&debt, args.yes, store),
    }
}

fn owed(named: &str, debts: Vec<Debt>) -> Result<Debt> {
    let mut meant: Vec<Debt> = debts.into_iter().filter(|debt| debt.identity.contains(named)).collect();
    if let Some(exact) = meant.iter().position(|debt| debt.identity == named) {
        meant = vec![meant.swap_remove(exact)];
    }
    ensure!(meant.len() < 2, "several CRMs are called like {named:?}; name one whole, as `snova sync status` does");
    meant.pop().with_context(|| {
        format!("nothing is owed to a CRM called {named:?}; `snova sync status` lists those that something is owed to")
    })
}

fn bring(debt: &Debt, settings: &Configured, store: &Arc<Store>, config: &Config) -> Result<Outcome> {
    let identity = settings.common.identity.clone();
    ensure!(identity == debt.identity, "this file configures {identity}, not {}", debt.identity);
    let secrets: Arc<dyn Secrets> = if settings.vendor.as_str() == config.crm.vendor.as_str() {
        // The store keeps those of the present CRM under the same names.
        Arc::new(Asked::new()?)
    } else {
        Arc::new(StoreSecrets(Some(Arc::clone(store))))
    };
    let clock = super::system_clock();
    let tools =
        Tools { clock: Arc::clone(&clock), timer: Arc::new(SystemTimer), secrets, server_clock: Arc::default() };
    let connector = settings.open(&tools)?.context("this file configures no CRM; set kind in [crm]")?;
    let (device, box_id) = (config.device.name.clone(), store.box_id(clock.wall().at)?);
    let at = clock.wall();
    let courier = Courier::settling(
        CourierParts {
            store: Arc::clone(store),
            connector,
            beacon: None,
            company: company_key(store)?,
            settings: CrmSettings { shop: config.crm.common.shop.clone(), ..settings.common.clone() },
            clock,
            server_clock: tools.server_clock,
            time_zone: config.device.time_zone.clone(),
            metrics: Arc::new(Metrics::new()),
            heartbeat: Arc::new(move || Heartbeat {
                device: device.clone(),
                box_id,
                version: env!("CARGO_PKG_VERSION").to_owned(),
                at,
                cameras: Vec::new(),
                outbox_depth: 0,
                outbox_oldest: None,
                outbox_dead: 0,
            }),
        },
        debt.target,
    )?;
    wait_for(courier.settle())?;
    let left = store.debts()?.into_iter().find(|left| left.target == debt.target);
    let Some(left) = left else {
        out::line(format_args!("{} has taken back and forgotten all that it should", address(&debt.identity)));
        return Ok(Outcome::Done);
    };
    let said = store.sync_state_of(debt.target)?.error.unwrap_or_else(|| "it is not due yet".to_owned());
    out::line(in_words(&left));
    out::line(format_args!("not all could be brought: {said}"));
    Ok(Outcome::Warnings)
}

fn sign_off(debt: &Debt, yes: bool, store: &Arc<Store>) -> Result<Outcome> {
    if !yes {
        ensure!(std::io::stdin().is_terminal(), "somebody must say yes to this: run it on a terminal, or give --yes");
        out::line(in_words(debt));
        out::line("Give that up for good? [y/N]");
        let mut answer = String::new();
        std::io::stdin().lock().read_line(&mut answer)?;
        if !matches!(answer.trim(), "y" | "Y" | "yes") {
            bail!("nothing was given up");
        }
    }
    let events = store.sign_off(debt.target)?;
    for event in &events {
        tracing::warn!(%event, "given up: a CRM that is no longer configured will not hear of it");
    }
    out::line(format_args!("{} events for {} are given up", events.len(), address(&debt.identity)));
    Ok(Outcome::Done)
}

/// "3 records in pilot.bitrix24.ru can no longer be taken back: …"
pub(super) fn in_words(debt: &Debt) -> String {
    let what = [(debt.records, "records"), (debt.contacts, "contacts"), (debt.in_doubt, "visits in doubt")];
    let what: Vec<String> =
        what.iter().filter(|(count, _)| *count > 0).map(|(count, of)| format!("{count} {of}")).collect();
    let place = address(&debt.identity);
    format!(
        "{} in {place} can no longer be taken back: it is not configured any more; `snova sync settle --target {place}` \
         with its old configuration, or with --sign-off",
        if what.is_empty() { format!("{} events", debt.events.len()) } else { what.join(", ") }
    )
}

pub(super) fn view(debt: &Debt) -> serde_json::Value {
    json!({
        "target": debt.identity,
        "records": debt.records,
        "contacts": debt.contacts,
        "in_doubt": debt.in_doubt,
        "events": debt.events.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

/// The host and path of a CRM, without its kind.
fn address(identity: &str) -> &str {
    let url = identity.split_once(' ').map_or(identity, |(_, url)| url);
    url.split_once("://").map_or(url, |(_, rest)| rest)
}

/// Secrets as somebody gives them now, forgotten when the command ends.
struct Asked(Mutex<BTreeMap<String, String>>);

impl Asked {
    fn new() -> Result<Self> {
        let mut given = BTreeMap::new();
        if !std::io::stdin().is_terminal() {
            for line in std::io::stdin().lock().lines() {
                let line = line.context("the secrets cannot be read from standard input")?;
                let Some((name, value)) = line.split_once('=') else {
                    ensure!(line.trim().is_empty(), "give the secrets as NAME=VALUE, one a line");
                    continue;
                };
                given.insert(name.trim().to_owned(), value.trim().to_owned());
            }
        }
        Ok(Self(Mutex::new(given)))
    }
}

impl Secrets for Asked {
    fn secret(&self, name: &str) -> Result<Option<String>, String> {
        let mut given = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !given.contains_key(name) && std::io::stdin().is_terminal() {
            let value = super::read_secret(name, MOST_BYTES).map_err(|error| error.to_string())?;
            given.insert(name.to_owned(), value);
        }
        Ok(given.get(name).cloned())
    }

    fn keep(&self, name: &str, value: &str) -> Result<(), String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), value.to_owned());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreConfig;
    use crate::vault::Seal;

    fn debt(identity: &str) -> Debt {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&StoreConfig::new(dir.path()), Seal::plain()).unwrap();
        let target = store.current_target().unwrap();
        Debt { target, identity: identity.to_owned(), records: 3, contacts: 0, in_doubt: 1, events: Vec::new() }
    }

    #[test]
    fn a_debt_is_said_with_its_place_and_the_way_to_settle_it() {
        let said = in_words(&debt("bitrix24 https://pilot.bitrix24.ru"));
        assert!(
            said.starts_with("3 records, 1 visits in doubt in pilot.bitrix24.ru can no longer be taken back: "),
            "{said}"
        );
        assert!(said.contains("`snova sync settle --target pilot.bitrix24.ru`"), "{said}");
    }

    #[test]
    fn a_crm_is_meant_by_its_whole_name_or_by_a_part_that_only_it_has() {
        let all = || vec![debt("bitrix24 https://a.example"), debt("bitrix24 https://a.example/two")];
        assert_eq!(owed("two", all()).unwrap().identity, "bitrix24 https://a.example/two");
        assert_eq!(owed("bitrix24 https://a.example", all()).unwrap().identity, "bitrix24 https://a.example");
        assert!(owed("a.example", all()).unwrap_err().to_string().contains("several"));
        assert!(owed("b.example", all()).unwrap_err().to_string().contains("nothing is owed"));
    }
}
