//! Whether a SuiteCRM has what Snova needs over V8: login, modules and rights, fields, searches.
//!
//! Nothing is changed there.

use serde_json::Value;

use super::super::external_id;
use super::SuiteCrm;
use super::wire::Outcome;
use crate::crm::{Failure, Finding};

pub(super) async fn probe(crm: &mut SuiteCrm) -> Vec<Finding> {
    crm.token = None;
    if let Err(failure) = crm.log_in().await {
        return vec![Finding::missing("login", failure.to_string())];
    }
    let mut found = vec![Finding::good("login")];
    match attributes(crm, "/meta/modules").await {
        Ok(modules) => found.extend(["Meetings", "Contacts"].map(|module| rights(&modules, module))),
        Err(failure) => found.push(Finding::warning("modules and rights", failure.to_string())),
    }
    match attributes(crm, "/meta/fields/Meetings").await {
        Ok(fields) => {
            let own = ["name", "description", "status", "date_start", "duration_minutes", "parent_type", "parent_id"];
            let remedy = "let the client's user see and edit it";
            found.extend(own.map(|field| there(&fields, "Meetings", field, remedy)));
        }
        Err(failure) => found.push(Finding::missing("the fields of Meetings", failure.to_string())),
    }
    match attributes(crm, "/meta/fields/Contacts").await {
        Ok(fields) => {
            found.extend(super::super::contact_findings(&crm.settings.fields, |field| !fields[field].is_null()))
        }
        Err(failure) => found.push(Finding::missing("the fields of Contacts", failure.to_string())),
    }
    found.push(searchable(crm).await);
    found.push(by_email(crm).await);
    found
}

async fn attributes(crm: &mut SuiteCrm, path: &str) -> Result<Value, Failure> {
    let mut body = crm.get(path, "").await?.done("a look at its fields")?;
    Ok(body["data"]["attributes"].take())
}

fn there(fields: &Value, module: &str, wanted: &str, remedy: &str) -> Finding {
    let what = format!("the field {wanted} of {module}");
    if fields[wanted].is_null() { Finding::missing(what, remedy) } else { Finding::good(what) }
}

/// A module comes with the list of what may be done there.
fn rights(modules: &Value, module: &str) -> Finding {
    let what = format!("the rights on {module}");
    let Some(given) = modules[module]["access"].as_array() else {
        return Finding::missing(what, format!("let the client's user open {module} (Admin, Role Management)"));
    };
    let lacking: Vec<&str> =
        ["list", "view", "edit", "delete"].into_iter().filter(|right| !given.iter().any(|own| own == right)).collect();
    if lacking.is_empty() {
        return Finding::good(what);
    }
    Finding::missing(what, format!("give the user's role the rights {} (Admin, Role Management)", lacking.join(", ")))
}

/// Customers are found by this field; early releases of V8 cannot search by fields of a tenant's own.
async fn searchable(crm: &mut SuiteCrm) -> Finding {
    let field = match external_id(&crm.settings.fields) {
        Ok(field) => field.to_owned(),
        Err(failure) => return Finding::missing("searching contacts", failure.to_string()),
    };
    let what = format!("searching contacts by {field}");
    match crm.contacts((&format!("filter[{field}][eq]"), &uuid::Uuid::nil().to_string()), 1).await {
        Ok(_) => Finding::good(what),
        Err(failure) => Finding::missing(what, failure.to_string()),
    }
}

/// Before 7.12.3 a search by e-mail was a fault of the database.
async fn by_email(crm: &mut SuiteCrm) -> Finding {
    let what = "searching contacts by e-mail";
    let query = [("filter[email1][eq]", "nobody@example.invalid"), ("page[size]", "1"), ("page[number]", "1")];
    match crm.list("Contacts", &query).await {
        Ok(Outcome::Done(_)) => Finding::good(what),
        Ok(Outcome::Refused(_)) => Finding::missing(
            what,
            "update SuiteCRM to 7.12.3 or later, or set api = \"v4_1\" in [crm.suitecrm]: customers with an e-mail \
             cannot be looked for",
        ),
        Err(failure) => Finding::missing(what, failure.to_string()),
    }
}
