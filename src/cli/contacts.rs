//! `snova crm link`, `unlink`, `unclear` and `company-key`: whose contact a customer is, where a person must say it.
//!
//! What Snova finds out by itself is `crate::sync`'s.

use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde_json::json;

use super::crm::{connector, wait_for};
use super::{Outcome, out};
use crate::config::Config;
use crate::crm::{Contact, ContactId, CrmSettings};
use crate::customer::CustomerId;
use crate::names::Agreement;
use crate::store::{Link, Store, StoreError, TargetId, Why};
use crate::sync::{Company, LinkBook, Linked, Marked, compare_names, link_customer, mark_contact, unmark_contacts};
use crate::vault::CompanyKey;

/// 64 digits, and room for spaces between them.
const MOST_BYTES: usize = 200;

#[derive(Args)]
pub struct LinkArgs {
    customer: CustomerId,
    /// The CRM's id of the contact
    contact: Option<String>,
    /// Link them although their names are different
    #[arg(long, requires = "contact")]
    force: bool,
    /// Create a contact if the CRM has none, also in place of one that was deleted there
    #[arg(long, conflicts_with = "contact")]
    create: bool,
}

#[derive(Args)]
pub struct UnclearArgs {
    /// Print one JSON object on one line
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
#[group(multiple = false)]
pub struct CompanyKeyArgs {
    /// Print the key itself, for the other stores
    #[arg(long)]
    reveal: bool,
    /// Take the key of another store: asked for, or read from standard input
    #[arg(long)]
    set: bool,
    /// Mint a new key, which all other stores must then be given
    #[arg(long)]
    new: bool,
    /// Say that nobody holds the key of this fingerprint any more: its marks are taken over
    #[arg(long, value_name = "FINGERPRINT")]
    gone: Option<String>,
}

pub fn link(args: LinkArgs, config: &Config) -> Result<Outcome> {
    let customer = args.customer;
    let store = super::existing_store(config)?.ok_or(StoreError::UnknownCustomer(customer))?;
    let target = store.use_crm(&config.crm.common.identity)?;
    if let Some(contact) = args.contact {
        return link_by_hand(customer, ContactId(contact), args.force, &store, target, config);
    }
    let mut connector = connector(config, &store)?;
    let clock = super::system_clock();
    if args.create {
        // What was known of them forbids it.
        store.set_link(target, customer, &Link::Absent(clock.wall().at), clock.wall().at)?;
    }
    let company = Company::of(&store)?;
    let book = LinkBook { store: &store, target, company: &company };
    let create_contacts = args.create || config.crm.common.create_contacts;
    let settings = CrmSettings { create_contacts, ..config.crm.common.clone() };
    match wait_for(link_customer(book, &mut *connector, &settings, &*clock, customer))?? {
        Linked::Found(id) => out::line(format_args!("customer {customer} is the contact {id}")),
        Linked::Created(id) => out::line(format_args!("customer {customer} was created as the contact {id}")),
        Linked::Waiting => {
            out::line("a contact is being created just now; the service looks in a minute whether it is the only one")
        }
        Linked::Erased => return Err(StoreError::UnknownCustomer(customer).into()),
        Linked::Absent => {
            out::line(format_args!(
                "the CRM has nobody with their mark, phone or e-mail; name the contact with `snova crm link {customer} CONTACT`, \
                 or create it with `snova crm link {customer} --create`"
            ));
            return Ok(Outcome::Warnings);
        }
        Linked::Unclear(why) => {
            out::line(in_words(why, customer));
            return Ok(Outcome::Warnings);
        }
        Linked::Deleted => {
            out::line(in_words(Why::Deleted, customer));
            return Ok(Outcome::Warnings);
        }
    }
    Ok(Outcome::Done)
}

fn link_by_hand(
    customer: CustomerId,
    id: ContactId,
    force: bool,
    store: &Arc<Store>,
    target: TargetId,
    config: &Config,
) -> Result<Outcome> {
    let name = store.consented_name(customer)?.ok_or(StoreError::UnknownCustomer(customer))?;
    let mut connector = connector(config, store)?;
    let found: Contact = wait_for(connector.contact(&id))??
        .filter(|found| !found.deleted && found.master.is_none())
        .with_context(|| format!("the CRM has no contact {id}, or has put it away; copy its id from there"))?;
    if let Some(owner) = store.customer_linked_to(target, &id.0)?.filter(|owner| *owner != customer) {
        return Err(StoreError::ContactTaken { owner }.into());
    }
    let found_so = match compare_names(&name, &found) {
        Agreement::Agree => "their names agree",
        Agreement::CannotSay(_) => "their names do not say whether they are one person: you do",
        Agreement::Disagree(_) if force => "their names are different: you say that they are one person",
        Agreement::Disagree(_) => bail!(
            "the contact {id} has another name than the customer {customer}; look at both, and give --force if they are one person"
        ),
    };
    let now = super::system_clock().wall().at;
    // On the disk before it is written: an erasure takes it off again.
    store.set_link(target, customer, &Link::Marking(id.0.clone()), now)?;
    let company = Company::of(store)?;
    if let Marked::Full(most) = wait_for(mark_contact(&mut *connector, &found, customer, &company))?? {
        bail!(
            "the contact {id} has no room for another word of Snova: its field holds {most} characters; make it longer in the CRM"
        );
    }
    store.set_link(target, customer, &Link::Linked(id.0.clone()), now)?;
    store.vouch(target, customer)?;
    wait_for(unmark_contacts(&mut *connector, customer, Some(&id)))??;
    let mark = found.mark();
    let stores = mark.customers().iter().filter(|other| **other != customer).count();
    let beside = match (stores, mark.is_foreign()) {
        (0, false) => String::new(),
        (0, true) => "; what another program wrote into the field of the mark stays".to_owned(),
        (stores, _) => format!("; it has {stores} more of Snova's words, which stay"),
    };
    out::line(format_args!("customer {customer} is the contact {id} now; {found_so}{beside}"));
    Ok(Outcome::Done)
}

pub fn unlink(customer: CustomerId, config: &Config) -> Result<Outcome> {
    let store = super::existing_store(config)?.ok_or(StoreError::UnknownCustomer(customer))?;
    if config.crm.is_some() {
        let mut connector = connector(config, &store)?;
        wait_for(unmark_contacts(&mut *connector, customer, None))??;
    }
    let done = if store.unlink(store.current_target()?, customer)? { "is looked for anew" } else { "had no contact" };
    out::line(format_args!("customer {customer} {done}"));
    Ok(Outcome::Done)
}

pub fn unclear(args: &UnclearArgs, config: &Config) -> Result<Outcome> {
    let all = match super::existing_store(config)? {
        Some(store) => {
            let named = |customer| -> Result<String, StoreError> {
                Ok(store.customer(customer)?.map(|known| known.name.full()).unwrap_or_default())
            };
            let rows = store.unclear(store.current_target()?)?.into_iter();
            rows.map(|row| Ok((named(row.customer)?, row))).collect::<Result<Vec<_>, StoreError>>()?
        }
        None => Vec::new(),
    };
    if args.json {
        let row = |(name, row): &(String, crate::store::Unclear)| {
            json!({
                "customer": row.customer.to_string(),
                "name": name,
                "why": row.why.as_str(),
                "candidates": row.candidates,
                "since": row.since.to_string(),
            })
        };
        out::line(json!({ "unclear": all.iter().map(row).collect::<Vec<_>>() }));
    } else if all.is_empty() {
        out::line("of every customer it is clear which contact they are");
    }
    for (name, row) in all.iter().filter(|_| !args.json) {
        let candidates = match row.candidates.as_slice() {
            [] => String::new(),
            ids => format!(" (contacts {})", ids.join(", ")),
        };
        out::line(format_args!("{}  {name}{candidates}: {}", row.customer, in_words(row.why, row.customer)));
    }
    Ok(if all.is_empty() { Outcome::Done } else { Outcome::Warnings })
}

/// Why it is unclear, and what to do about it.
fn in_words(why: Why, customer: CustomerId) -> String {
    let by_hand = format!("name the right one with `snova crm link {customer} CONTACT`");
    match why {
        Why::Several => format!("several contacts could be them; {by_hand}, or merge them in the CRM"),
        Why::AnotherName => {
            format!(
                "their phone or e-mail is on a contact of another name; if it is them all the same, {by_hand} --force"
            )
        }
        Why::CannotSay => {
            format!("the name on the contact does not say whether it is them; {by_hand}, or complete the name there")
        }
        Why::AnotherCustomer => {
            "the contact is another customer of this box: enrolled twice? erase one with `snova customers erase`"
                .to_owned()
        }
        Why::ForeignMark => format!(
            "another program writes into the field of Snova's mark; give Snova a field of its own, or {by_hand}"
        ),
        Why::MarkFull => "the field of Snova's mark on the contact is full; make it longer in the CRM".to_owned(),
        Why::OtherCompanyKey => {
            "another store marks contacts under another company key, so nobody is created; see `snova crm company-key`"
                .to_owned()
        }
        Why::Refused => {
            "the CRM refuses to mark or create the contact; `snova crm probe` says what is missing".to_owned()
        }
        Why::Deleted => format!(
            "their contact was deleted in the CRM; erase them here too with `snova customers erase {customer}`, {by_hand}, \
             or create a new one with `snova crm link {customer} --create`"
        ),
    }
}

pub fn company_key(args: &CompanyKeyArgs, config: &Config) -> Result<Outcome> {
    let store = if args.set {
        super::open_store(config)?
    } else {
        super::existing_store(config)?
            .context("there is no database yet to keep a company key in; start the service once")?
    };
    let company = Company::of(&store)?;
    if args.reveal {
        out::line(company.key.in_hex());
        return Ok(Outcome::Done);
    }
    if args.set || args.new {
        let key = if args.new {
            CompanyKey::mint()?
        } else {
            let told = super::read_secret("company key", MOST_BYTES)?;
            CompanyKey::parse(&told).context("this is no company key; give the 64 digits that `snova crm company-key --reveal` prints in another store")?
        };
        company.change(&store, &key)?;
        store.wake_delivery()?;
    } else if let Some(fingerprint) = &args.gone {
        ensure!(*fingerprint != company.fingerprint(), "{fingerprint} is the key that this box holds");
        company.take_over(&store, fingerprint)?;
        store.wake_delivery()?;
    }
    out::line(format_args!("company key {}", Company::of(&store)?.fingerprint()));
    match other_key(&store)? {
        Some(words) => {
            out::line(words);
            Ok(Outcome::Warnings)
        }
        None => Ok(Outcome::Done),
    }
}

/// What to do about a store with another company key, if there is one.
pub(super) fn other_key(store: &Store) -> Result<Option<String>, StoreError> {
    let seen = store.other_key_on(store.current_target()?)?;
    Ok(seen.map(|(fingerprint, contact)| {
        format!(
            "the contact {contact} is marked under the company key {fingerprint}, which this box does not hold, so that it creates nobody; \
             give all stores one key with `snova crm company-key --set`, or say `--gone {fingerprint}` if no store has it any more"
        )
    }))
}
