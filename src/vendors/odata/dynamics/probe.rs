//! Whether a Dynamics environment has what Snova needs: login, rights, columns, keys, change tracking.
//!
//! Nothing is changed there.

use serde_json::Value;

use super::definitions::{describe, has};
use super::{Dynamics, SIGNS, definitions, prefix};
use crate::crm::Finding;
use crate::vendors::odata::rows::{card_columns, record_columns, told_columns};
use crate::vendors::odata::{Dialect, MARK_CHARS};

pub(super) async fn probe(org: &mut Dynamics) -> Vec<Finding> {
    org.session = None;
    let user = match org.get("WhoAmI", &[]).await {
        Ok(who) => who["UserId"].as_str().unwrap_or_default().to_owned(),
        Err(failure) => return vec![Finding::missing("login", failure.to_string())],
    };
    let mut found = vec![Finding::good("login")];
    found.extend(rights(org, &user).await);
    match describe(org, "contact").await {
        Ok(contact) => {
            let words = org.own.words();
            let external = words.fields.external_id.clone().unwrap_or_default();
            let told = told_columns(&words.told);
            let read = card_columns(words).chain(told.iter().filter_map(|(_, _, name)| *name));
            let read: Vec<Finding> = read.map(|name| column(&contact, "contact", name, false)).collect();
            found.push(column(&contact, "contact", &external, true));
            found.extend(room(org, &external).await);
            let keys = contact["Keys"].as_array().into_iter().flatten();
            if keys.into_iter().any(|key| key["KeyAttributes"] == serde_json::json!([external])) {
                let remedy = "delete it: contacts that were merged may bear one mark, which it refuses";
                found.push(Finding::warning(format!("the alternate key {external} of contact"), remedy));
            }
            found.extend(read);
            let what = "change tracking of contact";
            found.push(if contact["ChangeTrackingEnabled"] == true {
                Finding::good(what)
            } else {
                Finding::warning(
                    what,
                    "tick Track changes in the table's advanced options; without it, deleted contacts are noticed late",
                )
            });
        }
        Err(failure) => found.push(Finding::missing("the table contact", failure.to_string())),
    }
    found.extend(visits(org).await);
    if !org.own.settings.device_table.is_empty() {
        found.extend(device(org).await);
    }
    found
}

/// Whether the column of the mark holds the names of several boxes.
async fn room(org: &mut Dynamics, name: &str) -> Option<Finding> {
    let path = format!(
        "EntityDefinitions(LogicalName='contact')/Attributes(LogicalName='{name}')/Microsoft.Dynamics.CRM.StringAttributeMetadata"
    );
    let most = org.get(&path, &[("$select", "MaxLength")]).await.ok()?["MaxLength"].as_u64()?;
    let remedy = format!("it holds {most} characters; make them {MARK_CHARS}, or few boxes can know one contact");
    (most < MARK_CHARS as u64).then(|| Finding::warning(format!("the length of {name}"), remedy))
}

/// The table of visits, with the lookup that binds them to contacts.
async fn visits(org: &mut Dynamics) -> Vec<Finding> {
    let entity = definitions::visits(org);
    let record = |org: &Dynamics, table: &Value| {
        let columns = record_columns(&org.own.words().record);
        columns
            .iter()
            .filter_map(|(_, _, name)| *name)
            .map(|name| column(table, &entity, name, true))
            .collect::<Vec<_>>()
    };
    let Some(visit) = org.own.settings.visit.clone() else {
        return match describe(org, "task").await {
            Ok(table) => [vec![lookup(&table, "task", "regardingobjectid_contact_task")], record(org, &table)].concat(),
            Err(failure) => vec![Finding::missing("the table task", failure.to_string())],
        };
    };
    let what = format!("the table {}", visit.table);
    let table = match describe(org, &visit.entity).await {
        Ok(table) => table,
        Err(failure) => {
            let remedy = format!("create it, or leave table in [crm.dynamics.visit] empty for tasks ({failure})");
            return vec![Finding::missing(what, remedy)];
        }
    };
    let mut found = vec![
        if table["EntitySetName"] == visit.table.as_str() {
            Finding::good(what)
        } else {
            Finding::missing(what, "give the entity set's name of entity in table")
        },
        lookup(&table, &visit.entity, &visit.contact),
    ];
    let own = [&visit.id, &visit.name, &visit.at, &visit.until, &visit.counter, &visit.how, &visit.void];
    found.extend(own.into_iter().map(|name| column(&table, &visit.entity, name, true)));
    found.extend(record(org, &table));
    found
}

/// A lookup by the name under which rows are bound, in which capitals count.
fn lookup(table: &Value, entity: &str, name: &str) -> Finding {
    let what = format!("the lookup {name} of {entity}");
    let all = table["ManyToOneRelationships"].as_array().map(Vec::as_slice).unwrap_or_default();
    if all.iter().any(|one| one["ReferencingEntityNavigationPropertyName"] == name) {
        Finding::good(what)
    } else {
        Finding::missing(what, "create it, or give its name as $metadata has it; capitals count")
    }
}

fn column(table: &Value, entity: &str, name: &str, needed: bool) -> Finding {
    let what = format!("the column {name} of {entity}");
    if has(table, name) {
        Finding::good(what)
    } else if needed {
        Finding::missing(what, "create it, or name the right one; logical names have small letters")
    } else {
        Finding::warning(what, "create it, or leave its key empty in [crm.dynamics.fields]")
    }
}

fn key(table: &Value, entity: &str, name: &str) -> Finding {
    let what = format!("the alternate key {name} of {entity}");
    let all = table["Keys"].as_array().map(Vec::as_slice).unwrap_or_default();
    let own = all.iter().find(|key| {
        let columns = key["KeyAttributes"].as_array().map(Vec::as_slice).unwrap_or_default();
        matches!(columns, [one] if *one == name)
    });
    match own.map(|key| key["EntityKeyIndexStatus"].as_str().unwrap_or_default()) {
        Some("Active") => Finding::good(what),
        Some("Failed") => {
            Finding::missing(what, "its index failed, since values repeat; mend them and activate it again")
        }
        Some(_) => Finding::missing(what, "its index is being built; look again in some minutes"),
        None => Finding::missing(what, "add a key with this one column to the table"),
    }
}

/// The rights of the app's user, by the names that Dynamics gives them.
async fn rights(org: &mut Dynamics, user: &str) -> Vec<Finding> {
    let mut wanted = vec![
        ("prvReadContact", "Read on Contact"),
        ("prvWriteContact", "Write on Contact"),
        ("prvCreateContact", "Create on Contact"),
        ("prvAppendToContact", "Append To on Contact"),
    ];
    if org.own.settings.visit.is_none() {
        wanted.extend([
            ("prvCreateActivity", "Create on Activity"),
            ("prvReadActivity", "Read on Activity"),
            ("prvWriteActivity", "Write on Activity"),
            ("prvAppendActivity", "Append on Activity"),
            ("prvDeleteActivity", "Delete on Activity"),
        ]);
    }
    let mut found = Vec::new();
    for (name, shown) in wanted {
        let path = format!(
            "systemusers({user})/Microsoft.Dynamics.CRM.RetrieveUserPrivilegeByPrivilegeName(PrivilegeName='{name}')"
        );
        let what = format!("the right {shown}");
        let depths = match org.get(&path, &[]).await {
            Ok(body) => body["RolePrivileges"].as_array().cloned().unwrap_or_default(),
            // How Dynamics answers this was not seen on a live tenant; the visits will tell.
            Err(_) => {
                found.push(Finding::warning(what, "Dynamics does not say whether the app has it; look at its role"));
                continue;
            }
        };
        found.push(match (depths.is_empty(), depths.iter().any(|one| one["Depth"] == "Global")) {
            (true, _) => Finding::missing(what, "give it to the role of the app's user"),
            (false, true) => Finding::good(what),
            (false, false) => {
                Finding::warning(what, "give it for the whole organisation, or some contacts stay unseen")
            }
        });
    }
    found
}

async fn device(org: &mut Dynamics) -> Vec<Finding> {
    let (table, own) = (org.own.settings.device_table.clone(), org.own.settings.device_key.clone());
    let filter = format!("EntitySetName eq '{table}'");
    let entity =
        match org.get("EntityDefinitions", &[("$select", "LogicalName,EntitySetName"), ("$filter", &filter)]).await {
            Ok(list) => list["value"][0]["LogicalName"].as_str().map(str::to_owned),
            Err(_) => None,
        };
    let what = format!("the table {table}");
    let Some(entity) = entity else { return vec![Finding::warning(what, "create it for signs of life")] };
    match describe(org, &entity).await {
        Ok(described) => {
            let mut found = vec![Finding::good(what), key(&described, &entity, &own)];
            let prefix = prefix(&own);
            found.extend(SIGNS.into_iter().map(|name| column(&described, &entity, &format!("{prefix}_{name}"), true)));
            found
        }
        Err(failure) => vec![Finding::warning(what, failure.to_string())],
    }
}
