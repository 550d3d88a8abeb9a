//! Whether a SugarCRM tenant has what Snova needs: login, the right to upsert, modules, fields.
//!
//! Nothing is changed there. The shape of `/me` and `/metadata` follows the vendor's guide (unverified on a tenant).

use serde_json::Value;

use super::{SugarCrm, wire};
use crate::crm::{Failure, Finding};

pub(super) async fn probe(crm: &mut SugarCrm) -> Vec<Finding> {
    // The login itself is to be seen: nothing of an earlier one is used.
    (crm.access, crm.refresh) = (None, None);
    if let Err(failure) = crm.log_in().await {
        return vec![Finding::missing("login", failure.to_string())];
    }
    let mut found = vec![Finding::good("login")];
    let (me, metadata) = match (read(crm, "/me").await, read(crm, METADATA).await) {
        (Ok(me), Ok(metadata)) => (me, metadata),
        (Err(failure), _) | (_, Err(failure)) => {
            found.push(Finding::missing("modules and rights", failure.to_string()));
            return found;
        }
    };
    let me = &me["current_user"];
    match crm.settings.visit_key_field.clone() {
        None => {
            let what = "the right to upsert by sync_key";
            found.push(if me["type"] == "admin" {
                Finding::good(what)
            } else {
                Finding::missing(
                    what,
                    "make the user an administrator (Admin, User Management), or give the meetings a text field for \
                     the key and name it in visit_key_field of [crm.sugarcrm]",
                )
            });
            found.push(field(&metadata, "Meetings", "sync_key", "update SugarCRM to 10.2 or later"));
        }
        Some(own) => {
            let remedy = "create it in Studio (Meetings, TextField, 36 characters), or correct visit_key_field";
            found.push(field(&metadata, "Meetings", &own, remedy));
        }
    }
    found.extend(["Meetings", "Contacts"].map(|module| rights(me, module)));
    for own in ["status", "date_start", "duration_hours", "duration_minutes", "parent_type", "parent_id", "contacts"] {
        found.push(field(&metadata, "Meetings", own, "let the user see and edit it (Admin, Role Management)"));
    }
    let fields = crm.settings.fields.clone();
    let external = fields.external_id.unwrap_or_default();
    let remedy =
        "create it in Studio (Contacts, TextField, 36 characters), or name the right one in [crm.sugarcrm.fields]";
    found.push(field(&metadata, "Contacts", &external, remedy));
    let read =
        [fields.patronymic, fields.tier, fields.notes, fields.offer, fields.birthday, fields.visits, fields.last_visit];
    for own in read.into_iter().flatten().filter(|own| !own.is_empty()) {
        found.push(match has(&metadata, "Contacts", &own) {
            true => Finding::good(named("Contacts", &own)),
            false => {
                Finding::warning(named("Contacts", &own), "create it, or leave its key empty in [crm.sugarcrm.fields]")
            }
        });
    }
    found.push(searchable(crm).await);
    found
}

const METADATA: &str = "/metadata?type_filter=modules&module_filter=Contacts,Meetings";

async fn read(crm: &mut SugarCrm, path: &str) -> Result<Value, Failure> {
    let reply = crm.get(path).await?;
    wire::answered(&reply, &*crm.tools.clock)?;
    reply.json()
}

fn named(module: &str, field: &str) -> String {
    format!("the field {field} of {module}")
}

fn has(metadata: &Value, module: &str, field: &str) -> bool {
    !metadata["modules"][module]["fields"][field].is_null()
}

fn field(metadata: &Value, module: &str, wanted: &str, remedy: &str) -> Finding {
    let what = named(module, wanted);
    if has(metadata, module, wanted) { Finding::good(what) } else { Finding::missing(what, remedy) }
}

/// Rights that are not named are given.
fn rights(me: &Value, module: &str) -> Finding {
    let denied: Vec<&str> = ["access", "list", "view", "create", "edit", "delete"]
        .into_iter()
        .filter(|right| me["acl"][module][*right] == "no")
        .collect();
    let what = format!("the rights on {module}");
    if denied.is_empty() {
        return Finding::good(what);
    }
    Finding::missing(what, format!("give the user's role the rights {} (Admin, Role Management)", denied.join(", ")))
}

/// Visits in doubt are looked for by their key, so a search by it must work.
async fn searchable(crm: &mut SugarCrm) -> Finding {
    let what = format!("searching meetings by {}", crm.key_field());
    match crm.meetings(&[uuid::Uuid::nil()]).await {
        Ok(_) => Finding::good(what),
        Err(failure) => Finding::missing(what, failure.to_string()),
    }
}
