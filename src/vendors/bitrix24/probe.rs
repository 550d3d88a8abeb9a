//! Whether a Битрикс24 portal has what Snova needs: login, rights, fields, the smart processes of visits and boxes.
//!
//! Nothing is changed there.

use serde_json::json;

use super::names::CONTACT;
use super::{Bitrix24, wire};
use crate::crm::{Failure, Finding};
use crate::vendors::fields::{of_contact, of_visit};

pub(super) async fn probe(portal: &mut Bitrix24) -> Vec<Finding> {
    (portal.token, portal.visit_names, portal.card_names) = (None, None, None);
    portal.owners.clear();
    let what = "login with the right crm";
    let mut found =
        match portal.call("crm.item.list", &json!({ "entityTypeId": CONTACT, "select": ["id"], "start": -1 })).await {
            Ok(_) => vec![Finding::good(what)],
            Err(failure) => return vec![Finding::missing(what, failure.to_string())],
        };
    found.extend(contact_fields(portal).await);
    if portal.settings.fields.external_id.is_none() {
        found.push(match portal.foreign_ids().await {
            Ok(false) => Finding::good("originatorId of contacts is free"),
            Ok(true) => Finding::warning(
                "originatorId of contacts is free",
                "another program has its ids there; make a text field for contacts and name it in external_id in [crm.bitrix24.fields]",
            ),
            Err(failure) => Finding::warning("originatorId of contacts is free", failure.to_string()),
        });
    }
    match portal.settings.visit_type_id {
        Some(type_id) => found.extend(visits(portal, type_id).await),
        None => found.push(Finding::good(
            "visits are comments in the contact's timeline, since visit_type_id names no smart process",
        )),
    }
    if let Some(type_id) = portal.settings.device_type_id {
        let what = format!("the smart process {type_id} of boxes");
        found.push(match portal.known(type_id).await {
            Ok(known) if known.spelled("xmlId").is_some() => Finding::good(what),
            Ok(_) => Finding::warning(what, "it has no xmlId; signs of life do not find their element"),
            Err(failure) => Finding::warning(what, format!("correct device_type_id ({failure})")),
        });
    }
    found.push(names_of_people(portal).await);
    found
}

async fn contact_fields(portal: &mut Bitrix24) -> Vec<Finding> {
    let known = match portal.known(CONTACT).await {
        Ok(known) => known,
        Err(failure) => return vec![Finding::missing("the fields of contacts", failure.to_string())],
    };
    let fields = portal.settings.fields.clone();
    let mut found = Vec::new();
    if let Some(name) = &fields.external_id {
        let what = format!("the field {name} of contacts (external_id)");
        found.push(match known.spelled(name) {
            Some(_) => Finding::good(what),
            None => Finding::missing(what, "make a text field of that name, or correct [crm.bitrix24.fields]"),
        });
    }
    let told = portal.settings.told.clone();
    let told = of_contact(&told);
    let told = told.iter().filter_map(|field| Some((field.key, field.name?)));
    for (key, name) in fields.card().chain(told) {
        let what = format!("the field {name} of contacts ({key})");
        found.push(match known.spelled(name) {
            Some(_) => Finding::good(what),
            None => Finding::warning(what, "make it, or leave its key empty"),
        });
    }
    found
}

async fn visits(portal: &mut Bitrix24, type_id: u32) -> Vec<Finding> {
    let what = format!("the smart process {type_id} of visits");
    let known = match portal.known(type_id).await {
        Ok(known) => known,
        Err(failure) => {
            let remedy = format!("make it, let the login add to it, and correct visit_type_id ({failure})");
            return vec![Finding::missing(what, remedy)];
        }
    };
    let mut found = vec![Finding::good(&*what)];
    let (wanted, record) = (portal.settings.visit.clone(), portal.settings.record.clone());
    let own = [&wanted.at, &wanted.until, &wanted.counter, &wanted.void].into_iter().filter_map(|name| name.as_deref());
    let record = of_visit(&record);
    let own = own.chain(record.iter().filter_map(|field| field.name));
    let mut filled = vec!["title".to_owned(), "xmlId".to_owned(), "contactIds".to_owned(), "contactId".to_owned()];
    for name in ["xmlId", "contactIds"].into_iter().chain(own) {
        let what = format!("the field {name} of {type_id}");
        found.push(match known.spelled(name) {
            Some(spelled) => {
                filled.push(spelled);
                Finding::good(what)
            }
            None if name == "contactIds" => {
                Finding::missing(what, "switch on the field of clients in the smart process's settings")
            }
            None => Finding::missing(
                what,
                "make it, or name the right one in [crm.bitrix24.visit] or [crm.bitrix24.record]",
            ),
        });
    }
    let filled: Vec<&str> = filled.iter().map(|name| &**name).collect();
    let demanded = known.demanded(&filled);
    if !demanded.is_empty() {
        let remedy = format!("Snova does not fill {}; let them be empty", demanded.join(", "));
        found.push(Finding::missing("no other field must be filled", remedy));
    }
    found.push(match kind(portal, type_id).await {
        Ok(true) => Finding::warning(
            "the bin of visits",
            "it is on: an erased customer's visits lie there until it is emptied; switch it off in the smart process's settings",
        ),
        Ok(false) => Finding::good("the bin of visits is off"),
        Err(failure) => Finding::warning("the bin of visits", format!("see that it is off ({failure})")),
    });
    if portal.restricted.is_some() {
        let remedy = "it allows none (CREATE_DYNAMIC_ITEM_RESTRICTED): visits are comments in the contact's timeline";
        found.push(Finding::warning("new elements by the tariff", remedy));
    }
    found
}

/// Whether deleted elements go into a bin.
async fn kind(portal: &mut Bitrix24, type_id: u32) -> Result<bool, Failure> {
    let answer = portal.call("crm.type.getByEntityTypeId", &json!({ "entityTypeId": type_id })).await?;
    let on = &answer["result"]["type"]["isRecyclebinEnabled"];
    Ok(*on == "Y" || *on == true)
}

async fn names_of_people(portal: &mut Bitrix24) -> Finding {
    let what = "the names of who looks after a customer";
    let remedy = "cards show none; add the right to see users (user_brief) to the login";
    match portal.ask("user.get", &json!({ "start": -1 })).await {
        Ok(reply) => match wire::answer(&reply, &*portal.tools.clock) {
            Ok(_) => Finding::good(what),
            Err(failure) => Finding::warning(what, format!("{remedy} ({failure})")),
        },
        Err(failure) => Finding::warning(what, failure.to_string()),
    }
}
