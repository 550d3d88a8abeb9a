//! `snova customers`: who is enrolled, what is kept of them, their cards and phones, and erasure.

use std::io::IsTerminal;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use serde_json::json;

use super::{Given, Outcome, out, who};
use crate::config::Config;
use crate::customer::{Customer, CustomerId, Identifier, Purpose};
use crate::enrolment;
use crate::store::{Erasure, KeptIdentifier, StoreError};

#[derive(Args)]
#[command(after_help = "WHO is an id, or the beginning of an id or of a name, where it fits one customer only.

Examples:
  snova customers list
  snova customers link 0193… --card 4820000123456
  snova customers erase \"Иван Петрович\"")]
pub struct CustomersArgs {
    #[command(subcommand)]
    command: CustomersCommand,
}

#[derive(Subcommand)]
enum CustomersCommand {
    /// One line a customer
    #[command(after_help = "Examples:\n  snova customers list\n  snova customers list --json")]
    List {
        /// Print one JSON array instead of text
        #[arg(long)]
        json: bool,
    },
    /// Everything kept about one customer, but for the templates' numbers
    #[command(after_help = "Examples:\n  snova customers show Соколов\n  snova customers show --json 0193…")]
    Show {
        who: String,
        /// Print one JSON object on one line
        #[arg(long)]
        json: bool,
    },
    /// Give an enrolled customer cards, phones or e-mail addresses by which they are greeted, and found in the CRM
    #[command(after_help = "Examples:
  snova customers link 0193… --card 4820000123456
  snova customers link 0193… --phone +79123456789")]
    Link {
        who: String,
        #[command(flatten)]
        given: Given,
    },
    /// Take cards, phones or e-mail addresses from a customer
    #[command(after_help = "Examples:
  snova customers unlink 0193… --card 4820000123456
  snova customers unlink 0193… --all")]
    Unlink {
        who: String,
        #[command(flatten)]
        given: Given,
        /// Every card and phone of theirs
        #[arg(long, conflicts_with_all = ["card", "phone", "email"])]
        all: bool,
    },
    /// Erase a customer for ever, everywhere on this box; the CRM is told
    #[command(
        after_help = "On a terminal the name is shown and asked about; elsewhere --yes is needed. The exit code is 1 while traces
are left in the files: the running service, or the next start, takes them away.

Examples:
  snova customers erase \"Иван Петрович\"
  snova customers erase 0193… --yes"
    )]
    Erase {
        who: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

pub fn run(args: CustomersArgs, config: &Config) -> Result<Outcome> {
    let store = super::existing_store(config)?;
    let clock = super::system_clock();
    let today = super::today(config, &*clock);
    let live = |c: &Customer| c.consent.is_live(Purpose::CardGreeting, today);
    let find = |who: &str| {
        let (id, name) = who::find(store.as_deref(), who)?;
        Ok::<_, anyhow::Error>((id, name, store.as_deref().ok_or(StoreError::UnknownCustomer(id))?))
    };
    match args.command {
        CustomersCommand::List { json } => {
            let customers = store.as_ref().map_or_else(|| Ok(Vec::new()), |store| store.customers())?;
            if json {
                out::line(serde_json::Value::Array(customers.iter().map(|c| view(c, live(c))).collect()));
            } else if customers.is_empty() {
                out::line("nobody is enrolled; enrol somebody with `snova enrol`");
            }
            for customer in customers.iter().filter(|_| !json) {
                let consent = if live(customer) { "" } else { "  (consent not live: not greeted)" };
                let card = &customer.card;
                out::line(format_args!("{}  {}  visits {}{consent}", customer.id, customer.name.full(), card.visits));
            }
        }
        CustomersCommand::Show { who, json } => {
            let (id, _, store) = find(&who)?;
            let customer = store.customer(id)?.ok_or(StoreError::UnknownCustomer(id))?;
            let mut view = view(&customer, live(&customer));
            view["identifiers"] = store.identifiers(id)?.iter().map(identifier).collect();
            if json { out::line(view) } else { out::line(format_args!("{view:#}")) }
        }
        CustomersCommand::Link { who, given } => {
            let (id, _, store) = find(&who)?;
            let given = some(&given, config)?;
            store.add_identifiers(id, &given, clock.wall(), today)?;
            out::line(format_args!("customer {id} is greeted by {} now", listed(&given)));
        }
        CustomersCommand::Unlink { who, given, all } => {
            let (id, _, store) = find(&who)?;
            if all {
                let taken = store.remove_identifiers(id)?;
                out::line(format_args!("customer {id} has no card and no phone any more ({taken} taken)"));
                return Ok(Outcome::Done);
            }
            for identifier in some(&given, config)? {
                if !store.remove_identifier(id, &identifier)? {
                    anyhow::bail!(
                        "customer {id} has no {} like that; look with `snova customers show {id}`",
                        identifier.kind()
                    );
                }
                out::line(format_args!("customer {id} is not greeted by {} any more", listed(&[identifier])));
            }
        }
        CustomersCommand::Erase { who, yes } => {
            let (id, name, store) = find(&who)?;
            if !yes && !agreed(id, name.as_deref())? {
                out::line("nothing was erased");
                return Ok(Outcome::Done);
            }
            return Ok(told(id, enrolment::erase(id, store, &*clock)?));
        }
    }
    Ok(Outcome::Done)
}

/// Asks whoever sits there whether this customer is meant.
fn agreed(id: CustomerId, name: Option<&str>) -> Result<bool> {
    if !std::io::stdin().is_terminal() {
        anyhow::bail!("an erasure is for ever, and there is no terminal to ask on; give --yes if {id} is meant");
    }
    let name = name.unwrap_or("(the name cannot be read)");
    out::line(format_args!(
        "{name}\ncustomer {id} would be erased for ever, here and in the CRM. Type \"yes\" to do it:"
    ));
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).context("the answer cannot be read")?;
    Ok(["yes", "да", "так"].contains(&answer.trim().to_lowercase().as_str()))
}

/// Says what went, and whether that was all.
fn told(id: CustomerId, erased: Erasure) -> Outcome {
    let copies = match erased.copies {
        0 => String::new(),
        1 => ", 1 copy of the database".to_owned(),
        copies => format!(", {copies} copies of the database"),
    };
    out::line(format_args!(
        "customer {id} is erased: {} templates, {} visits{copies}",
        erased.templates, erased.visits
    ));
    if erased.scrubbed {
        return Outcome::Done;
    }
    out::line(
        "not done yet: another program reads the database, or the disk is full, so traces are still in its files; the running \
         service, or the next start, takes them away",
    );
    Outcome::Warnings
}

fn some(given: &Given, config: &Config) -> Result<Vec<Identifier>> {
    let identifiers = given.identifiers(config)?;
    anyhow::ensure!(
        !identifiers.is_empty(),
        "no card, phone or e-mail was given; give --card CODE, --phone NUMBER or --email ADDRESS"
    );
    Ok(identifiers)
}

fn listed(identifiers: &[Identifier]) -> String {
    let each = identifiers.iter().map(|identifier| format!("{} {}", identifier.kind(), identifier.masked()));
    each.collect::<Vec<_>>().join(" and ")
}

/// Enough to tell one from another, and no more: the output of a command is seen over shoulders.
fn identifier(kept: &KeptIdentifier) -> serde_json::Value {
    match &kept.identifier {
        Some(identifier) => json!({ "kind": kept.kind.as_str(), "masked": identifier.masked() }),
        None => json!({ "kind": kept.kind.as_str(), "lost": "sealed with another device key; give it again" }),
    }
}

fn view(customer: &Customer, live: bool) -> serde_json::Value {
    let (name, consent, card) = (&customer.name, &customer.consent, &customer.card);
    json!({
        "id": customer.id.to_string(),
        "name": {
            "given": name.given,
            "patronymic": name.patronymic,
            "family": name.family,
            "gender": name.gender.map(|g| g.as_str()),
            "address": name.form.as_str(),
            "spoken": name.spoken,
        },
        "language": customer.language.map(|l| l.code()),
        "card": {
            "tier": card.tier,
            "note": card.note,
            "visits": card.visits,
            "last_visit": card.last_visit.map(|at| at.to_string()),
            "crm": card.crm.as_ref().map(|crm| json!({
                "visits": crm.visits,
                "last_visit": crm.last_visit.map(|at| at.to_string()),
                "owner": crm.owner,
                "offer": crm.offer,
                "birthday": crm.birthday.map(|day| day.to_string()),
                "as_of": crm.as_of.to_string(),
            })),
        },
        "consent": {
            "live": live,
            "given_on": consent.given_on.to_string(),
            "method": consent.method.as_str(),
            "purposes": consent.purposes.iter().map(|p| p.as_str()).collect::<Vec<_>>(),
            "valid_until": consent.valid_until.map(|d| d.to_string()),
            "withdrawn_at": consent.withdrawn_at.map(|at| at.to_string()),
        },
        "enrolled_at": customer.enrolled_at.to_string(),
    })
}
