//! `snova customers`: who is enrolled, what is kept of them, their cards and phones, and erasure.

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::json;

use super::{Given, out};
use crate::config::Config;
use crate::customer::{Customer, CustomerId, Identifier, Purpose};
use crate::enrolment;
use crate::store::{KeptIdentifier, Store, StoreError};

#[derive(Args)]
#[command(
    after_help = "Examples:\n  snova customers list\n  snova customers link 0193… --card 4820000123456\n  snova customers erase 0193…"
)]
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
    #[command(after_help = "Examples:\n  snova customers show 0193…\n  snova customers show --json 0193…")]
    Show {
        id: CustomerId,
        /// Print one JSON object on one line
        #[arg(long)]
        json: bool,
    },
    /// Give an enrolled customer cards, phones or e-mail addresses by which they are greeted, and found in the CRM
    #[command(after_help = "Examples:
  snova customers link 0193… --card 4820000123456
  snova customers link 0193… --phone +79123456789")]
    Link {
        id: CustomerId,
        #[command(flatten)]
        given: Given,
    },
    /// Take cards, phones or e-mail addresses from a customer
    #[command(after_help = "Examples:
  snova customers unlink 0193… --card 4820000123456
  snova customers unlink 0193… --all")]
    Unlink {
        id: CustomerId,
        #[command(flatten)]
        given: Given,
        /// Every card and phone of theirs
        #[arg(long, conflicts_with_all = ["card", "phone", "email"])]
        all: bool,
    },
    /// Erase a customer for ever, everywhere on this box; the CRM is told
    #[command(after_help = "Examples:\n  snova customers erase 0193…")]
    Erase { id: CustomerId },
}

pub fn run(args: CustomersArgs, config: &Config) -> Result<()> {
    let store = super::existing_store(config)?;
    let clock = super::system_clock();
    let today = super::today(config, &*clock);
    let live = |c: &Customer| c.consent.is_live(Purpose::CardGreeting, today);
    match args.command {
        CustomersCommand::List { json } => {
            let (customers, unreadable) = match &store {
                Some(store) => (store.customers()?, unreadable(store)?),
                None => Default::default(),
            };
            if json {
                let marked = unreadable.iter().map(|id| json!({"id": id.to_string(), "unreadable": true}));
                out::line(serde_json::Value::Array(customers.iter().map(|c| view(c, live(c))).chain(marked).collect()));
                return Ok(());
            }
            if customers.is_empty() && unreadable.is_empty() {
                out::line("nobody is enrolled; enrol somebody with `snova enrol`");
            }
            for customer in &customers {
                let consent = if live(customer) { "" } else { "  (consent not live: not greeted)" };
                let card = &customer.card;
                out::line(format_args!("{}  {}  visits {}{consent}", customer.id, customer.name.full(), card.visits));
            }
            for id in unreadable {
                out::line(format_args!(
                    "{id}  cannot be read, not greeted; put a copy of the data folder back, or erase and enrol them anew"
                ));
            }
        }
        CustomersCommand::Show { id, json } => {
            let store = store.ok_or(StoreError::UnknownCustomer(id))?;
            let customer = store.customer(id)?.ok_or(StoreError::UnknownCustomer(id))?;
            let mut view = view(&customer, live(&customer));
            view["identifiers"] = store.identifiers(id)?.iter().map(identifier).collect();
            if json { out::line(view) } else { out::line(format_args!("{view:#}")) }
        }
        CustomersCommand::Link { id, given } => {
            let store = store.ok_or(StoreError::UnknownCustomer(id))?;
            let given = some(&given, config)?;
            store.add_identifiers(id, &given, clock.wall(), today)?;
            out::line(format_args!("customer {id} is greeted by {} now", listed(&given)));
        }
        CustomersCommand::Unlink { id, given, all } => {
            let store = store.ok_or(StoreError::UnknownCustomer(id))?;
            if all {
                let taken = store.remove_identifiers(id)?;
                out::line(format_args!("customer {id} has no card and no phone any more ({taken} taken)"));
                return Ok(());
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
        CustomersCommand::Erase { id } => {
            let store = store.ok_or(StoreError::UnknownCustomer(id))?;
            let erased = enrolment::erase(id, &store, &*clock)?;
            out::line(format_args!(
                "customer {id} is erased: {} templates, {} visits",
                erased.templates, erased.visits
            ));
        }
    }
    Ok(())
}

/// Customers whose own row cannot be read. A template of somebody who can be read is `snova check`'s to name.
fn unreadable(store: &Store) -> Result<Vec<CustomerId>> {
    let rows = store.unreadable_rows()?.into_iter();
    Ok(rows.filter(|row| row.table == "customers").map(|row| row.customer).collect())
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
