//! What a tenant of the family has and lacks: `snova crm probe` and `snova crm prepare`.
//!
//! Nothing is changed there: none of the family's APIs makes a field, so each is named for the administrator.

use std::collections::BTreeSet;

use super::connector::Api;
use super::shape::{CONTACTS, Kind, MEETINGS, Shape, Written};
use crate::crm::{Failure, Finding, Seek};
use crate::customer::CustomerId;

/// What every visit is written into.
const OF_A_VISIT: [&str; 9] = [
    "name",
    "description",
    "status",
    "date_start",
    "duration_hours",
    "duration_minutes",
    "parent_type",
    "parent_id",
    "assigned_user_id",
];

fn named(module: &str, field: &str) -> String {
    format!("the field {field} of {module}")
}

fn mark_remedy(shape: &Shape) -> String {
    format!(
        "create it in Studio (Contacts, TextField, 255 characters), or name the right one in [{}.fields]",
        shape.section
    )
}

/// How Studio is told to make it; it adds `_c` to the name by itself.
fn in_studio(module: &str, kind: Kind, name: &str) -> String {
    let kind = match kind {
        Kind::Text(chars) => format!("TextField, {chars} characters"),
        Kind::DateTime => "DateTime".to_owned(),
        Kind::Date => "Date".to_owned(),
        Kind::Integer => "Integer".to_owned(),
        Kind::Decimal => "Decimal, precision 2".to_owned(),
    };
    format!("Admin, Studio, {module}, Fields, Add Field: {kind}, name {}", name.trim_end_matches("_c"))
}

/// Rights that are lacking on a module.
pub(super) fn rights(module: &str, lacking: &[&str]) -> Finding {
    let what = format!("the rights on {module}");
    if lacking.is_empty() {
        return Finding::good(what);
    }
    Finding::missing(what, format!("give the user's role the rights {} (Admin, Role Management)", lacking.join(", ")))
}

async fn searchable(api: &mut impl Api) -> Finding {
    let shape = api.shape();
    let field = shape.external_id().unwrap_or_default();
    let what = format!("searching contacts by {field}");
    match api.search(&Seek::Mark(CustomerId(uuid::Uuid::nil()))).await {
        Ok(_) => Finding::good(what),
        Err(failure) => Finding::missing(what, failure.to_string()),
    }
}

pub(super) async fn probe(api: &mut impl Api) -> Vec<Finding> {
    let shape = api.shape();
    let mut found = vec![Finding::good("login")];
    match api.look().await {
        Ok(own) => found.extend(own),
        Err(failure) => return vec![Finding::missing("login", failure.to_string())],
    }
    for module in [MEETINGS, CONTACTS] {
        match api.fields(module).await {
            Ok(there) => found.extend(fields(&shape, module, &there)),
            Err(failure) => found.push(Finding::missing(format!("the fields of {module}"), failure.to_string())),
        }
    }
    found.push(searchable(api).await);
    found
}

/// Each field that is written or read, whether it is there.
fn fields(shape: &Shape, module: &'static str, there: &BTreeSet<String>) -> Vec<Finding> {
    let judged = |field: &str, lacking: &dyn Fn(String) -> Finding| {
        let what = named(module, field);
        if there.contains(field) { Finding::good(what) } else { lacking(what) }
    };
    let mut found = Vec::new();
    let written: Vec<Written> = if module == MEETINGS {
        let remedy = "let the user see and edit it (Admin, Role Management)";
        found.extend(OF_A_VISIT.map(|field| judged(field, &|what| Finding::missing(what, remedy))));
        shape.record_fields().into()
    } else {
        let remedy = mark_remedy(shape);
        let mark = shape.fields.external_id.as_deref().unwrap_or_default();
        found.push(judged(mark, &|what| Finding::missing(what, remedy.clone())));
        let remedy = format!("create it in Studio, or leave its key empty in [{}.fields]", shape.section);
        found.extend(shape.card().map(|field| judged(field, &|what| Finding::warning(what, remedy.clone()))));
        shape.told_fields().into()
    };
    for (_, kind, name) in written {
        if let Some(name) = name {
            found.push(judged(name, &|what| Finding::missing(what, in_studio(module, kind, name))));
        }
    }
    found
}

pub(super) async fn prepare(api: &mut impl Api) -> Vec<Finding> {
    let shape = api.shape();
    let (mut found, mut toml) = (Vec::new(), String::new());
    let written: [(_, Vec<Written>, _); 2] =
        [(CONTACTS, shape.told_fields().into(), "told"), (MEETINGS, shape.record_fields().into(), "record")];
    for (module, written, part) in written {
        let there = match api.fields(module).await {
            Ok(there) => there,
            Err(failure) => return vec![said(module, &failure)],
        };
        if module == CONTACTS {
            let mark = shape.fields.external_id.as_deref().unwrap_or("snova_customer_c");
            let what = named(module, mark);
            let is_there = there.contains(mark);
            found.push(if is_there { Finding::good(what) } else { Finding::missing(what, mark_remedy(&shape)) });
        }
        toml += &format!("[{}.{part}]\n", shape.section);
        for (key, kind, name) in written {
            let name = name.map_or_else(|| format!("snova_{key}_c"), str::to_owned);
            let what = named(module, &name);
            let is_there = there.contains(&name);
            found.push(if is_there {
                Finding::good(what)
            } else {
                Finding::warning(what, in_studio(module, kind, &name))
            });
            toml += &format!("{key} = \"{name}\"\n");
        }
    }
    found.push(Finding { remedy: toml, ..Finding::good("once they are there, these lines of snova.toml use them") });
    found
}

fn said(module: &str, failure: &Failure) -> Finding {
    Finding::missing(format!("the fields of {module}"), failure.to_string())
}
