//! Whether an amoCRM account has what Snova needs: login, fields, notes, names of its people.
//!
//! Nothing is changed there.

use serde_json::Value;

use super::{AmoCrm, MOST_PAGES, PAGE, wire};
use crate::crm::{Failure, Finding, Request};
use crate::vendors::fields::of_contact;

/// Kinds of fields that hold a text of 36 characters.
const TEXTS: &[&str] = &["text", "textarea"];

pub(super) async fn probe(account: &mut AmoCrm) -> Vec<Finding> {
    (account.token, account.field_is_there) = (None, false);
    account.owners.clear();
    if let Err(failure) = login(account).await {
        return vec![Finding::missing("login", failure.to_string())];
    }
    let mut found = vec![Finding::good("login")];
    match fields(account).await {
        Ok(there) => found.extend(mapped(account, &there)),
        Err(failure) => found.push(Finding::missing("the fields of contacts", failure.to_string())),
    }
    found.push(match look(account, "/contacts/notes", &[("filter[note_type][]", "extended_service_message")]).await {
        Ok(_) => Finding::good("the notes of contacts"),
        Err(failure) => Finding::missing(
            "the notes of contacts",
            format!("let the integration see all contacts: its owner must be an administrator ({failure})"),
        ),
    });
    found.push(match look(account, "/users", &[]).await {
        Ok(_) => Finding::good("the names of who looks after a customer"),
        Err(failure) => Finding::warning(
            "the names of who looks after a customer",
            format!("cards show none; the integration's owner must be an administrator ({failure})"),
        ),
    });
    found.push(filter(account).await);
    found
}

async fn login(account: &mut AmoCrm) -> Result<(), Failure> {
    let account_of = account.call(|base| Request::get(format!("{base}/account"))).await?;
    wire::done(&account_of, &*account.tools.clock)?;
    match account_of.json()?["id"].is_number() {
        true => Ok(()),
        false => Err(Failure::transient("the answer names no account; check url in [crm.amocrm]")),
    }
}

/// Whether a list may be read; its first row.
async fn look(account: &mut AmoCrm, path: &str, wanted: &[(&str, &str)]) -> Result<Option<Value>, Failure> {
    let build = |base: &str| {
        let request = Request::get(format!("{base}{path}")).query("limit", "1");
        wanted.iter().fold(request, |request, (name, value)| request.query(name, value))
    };
    let reply = account.call(build).await?;
    wire::done(&reply, &*account.tools.clock)?;
    if reply.status == 204 {
        return Ok(None);
    }
    let body = reply.json()?;
    let lists = body["_embedded"].as_object();
    let first = lists.and_then(|lists| lists.values().find_map(|rows| rows.as_array()?.first().cloned()));
    Ok(first)
}

/// All fields of contacts.
pub(super) async fn fields(account: &mut AmoCrm) -> Result<Vec<Value>, Failure> {
    let mut all = Vec::new();
    for page in 1..=MOST_PAGES {
        let limit = PAGE.to_string();
        let (rows, more) =
            account.page_of("/contacts/custom_fields", "custom_fields", page, &[("limit", &limit)]).await?;
        all.extend(rows);
        if !more {
            break;
        }
    }
    Ok(all)
}

fn mapped(account: &AmoCrm, there: &[Value]) -> Vec<Finding> {
    let fields = &account.settings.fields;
    let named = std::iter::once(("external_id", fields.external_id.as_deref()));
    let named = named.chain(fields.card().map(|(key, name)| (key, Some(name))));
    let told = of_contact(&account.settings.told);
    let finding = |(key, field): (&str, Option<&str>)| {
        let field = field?;
        let what = format!("the field {field} of contacts ({key})");
        let row = there.iter().find(|row| wire::id(&row["id"]).as_deref() == Some(field));
        let kind = row.map(|row| row["type"].as_str().unwrap_or_default());
        Some(match (key, kind) {
            ("external_id", Some(kind)) if TEXTS.contains(&kind) => Finding::good(what),
            ("external_id", Some(_)) => Finding::missing(what, "make a field of the kind text for it"),
            ("external_id", None) => {
                Finding::missing(what, "make a text field in a contact's settings and give its number")
            }
            (_, Some(_)) => Finding::good(what),
            (_, None) => Finding::warning(what, "give the right number, or leave the key out"),
        })
    };
    named.chain(told.iter().map(|field| (field.key, field.name))).filter_map(finding).collect()
}

/// The filter by field is opened account by account; where it is not, everybody is found. Snova does without it.
async fn filter(account: &mut AmoCrm) -> Finding {
    let what = "the filter by field";
    let field = account.settings.fields.external_id.clone().unwrap_or_default();
    let name = format!("filter[custom_fields_values][{field}][]");
    // A value that nobody has.
    let nobody = account.tools.clock.mint().to_string();
    match look(account, "/contacts", &[(&name, &nobody)]).await {
        Ok(None) => Finding::good(format!("{what}: works or finds nobody; Snova does not need it")),
        Ok(Some(row)) => {
            let ignored =
                if wire::id(&row["id"]).is_some() { "is not open in this account" } else { "answers without sense" };
            Finding::good(format!("{what}: {ignored}; Snova does not need it"))
        }
        Err(failure) => Finding::warning(what, failure.to_string()),
    }
}
