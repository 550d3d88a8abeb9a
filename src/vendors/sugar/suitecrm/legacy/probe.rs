//! Whether a SuiteCRM has what Snova needs over v4_1: login, modules and rights, fields.
//!
//! Nothing is changed there.

use serde_json::{Value, json};

use super::super::{contact_findings, external_id};
use super::SuiteCrm;
use crate::crm::{Failure, Finding};

pub(super) async fn probe(crm: &mut SuiteCrm) -> Vec<Finding> {
    crm.session = None;
    if let Err(failure) = crm.log_in().await {
        return vec![Finding::missing("login", failure.to_string())];
    }
    let mut found = vec![Finding::good("login")];
    match crm.call("get_available_modules", &json!({ "filter": "all" })).await {
        Ok(body) => found.extend(["Meetings", "Contacts"].map(|module| rights(&body["modules"], module))),
        Err(failure) => found.push(Finding::warning("modules and rights", failure.to_string())),
    }
    match fields(crm, "Meetings").await {
        Ok(there) => {
            for own in ["name", "description", "status", "date_start", "duration_minutes", "parent_type", "parent_id"] {
                let what = format!("the field {own} of Meetings");
                found.push(if there[own].is_null() {
                    Finding::missing(what, "let the user see and edit it")
                } else {
                    Finding::good(what)
                });
            }
        }
        Err(failure) => found.push(Finding::missing("the fields of Meetings", failure.to_string())),
    }
    match fields(crm, "Contacts").await {
        Ok(there) => found.extend(contact_findings(&crm.settings.fields, |field| !there[field].is_null())),
        Err(failure) => found.push(Finding::missing("the fields of Contacts", failure.to_string())),
    }
    found.push(searchable(crm).await);
    found
}

async fn fields(crm: &mut SuiteCrm, module: &str) -> Result<Value, Failure> {
    let mut body = crm.call("get_module_fields", &json!({ "module_name": module, "fields": [] })).await?;
    Ok(body["module_fields"].take())
}

/// Each module comes with a list of `{"action": …, "access": …}`.
fn rights(modules: &Value, module: &str) -> Finding {
    let what = format!("the rights on {module}");
    let own = modules.as_array().into_iter().flatten().find(|own| own["module_key"] == module);
    let Some(own) = own else {
        return Finding::missing(what, format!("let the user open {module} (Admin, Role Management)"));
    };
    let acls = own["acls"].as_array().map(Vec::as_slice).unwrap_or_default();
    let denied = |right: &&str| acls.iter().any(|acl| acl["action"] == **right && acl["access"] == false);
    let denied: Vec<&str> = ["list", "view", "edit", "delete"].into_iter().filter(denied).collect();
    if denied.is_empty() {
        return Finding::good(what);
    }
    Finding::missing(what, format!("give the user's role the rights {} (Admin, Role Management)", denied.join(", ")))
}

/// Customers are found by this field.
async fn searchable(crm: &mut SuiteCrm) -> Finding {
    let field = match external_id(&crm.settings.fields) {
        Ok(field) => field.to_owned(),
        Err(failure) => return Finding::missing("searching contacts", failure.to_string()),
    };
    let table = if field.ends_with("_c") { "contacts_cstm" } else { "contacts" };
    let what = format!("searching contacts by {field}");
    match crm.contacts(&format!("{table}.{field} = '{}'", uuid::Uuid::nil()), 0).await {
        Ok(_) => Finding::good(what),
        Err(failure) => Finding::missing(what, failure.to_string()),
    }
}
