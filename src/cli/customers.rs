//! `snova customers`: who is enrolled, what is kept of them, and erasure.

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::json;

use super::out;
use crate::config::Config;
use crate::customer::{Customer, CustomerId, Purpose};
use crate::enrolment;
use crate::store::StoreError;

#[derive(Args)]
#[command(after_help = "Examples:\n  snova customers list\n  snova customers erase 0193…")]
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
    /// Erase a customer for ever, everywhere on this box; the CRM is told
    #[command(after_help = "Examples:\n  snova customers erase 0193…")]
    Erase { id: CustomerId },
}

pub fn run(args: CustomersArgs, config: &Config) -> Result<()> {
    let store = super::existing_store(config)?;
    let clock = super::system_clock();
    let today = super::today(config, &*clock);
    let live = |c: &Customer| c.consent.is_live(Purpose::Recognition, today);
    match args.command {
        CustomersCommand::List { json } => {
            let customers = store.map_or_else(|| Ok(Vec::new()), |store| store.customers())?;
            if json {
                out::line(serde_json::Value::Array(customers.iter().map(|c| view(c, live(c))).collect()));
            } else if customers.is_empty() {
                out::line("nobody is enrolled; enrol somebody with `snova enrol`");
            }
            for customer in customers.iter().filter(|_| !json) {
                let consent = if live(customer) { "" } else { "  (consent not live: not recognised)" };
                let card = &customer.card;
                out::line(format_args!("{}  {}  visits {}{consent}", customer.id, customer.name.full(), card.visits));
            }
        }
        CustomersCommand::Show { id, json } => {
            let customer = store.map_or(Ok(None), |store| store.customer(id))?;
            let customer = customer.ok_or(StoreError::UnknownCustomer(id))?;
            let view = view(&customer, live(&customer));
            if json { out::line(view) } else { out::line(format_args!("{view:#}")) }
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
