//! Making the fields in a Salesforce org, where the integration user may, or naming them for the administrator.
//!
//! A field that is made by the Tooling API is seen by nobody until a permission set gives it: only what the user sees is
//! said to be ready for the configuration, since one field too many makes every request wrong.

use serde_json::json;

use super::columns::Column;
use super::probe::describe;
use super::{Salesforce, wire};
use crate::crm::{Finding, Request};

/// What became of a field that was to be made.
enum Made {
    Now,
    Before,
    Refused,
}

pub(super) async fn prepare(org: &mut Salesforce) -> Vec<Finding> {
    let (mut found, mut ready) = (Vec::new(), Vec::new());
    let mut may = true;
    let columns = org.settings.columns(true);
    for object in ["Contact".to_owned(), org.settings.visit.object.clone()] {
        let described = match describe(org, &object).await {
            Ok(described) => described,
            Err(failure) => {
                let remedy = format!(
                    "create it (Setup, Object Manager, Create, Custom Object), let the integration user see it, and prepare again ({failure})"
                );
                found.push(Finding::warning(format!("the object {object}"), remedy));
                continue;
            }
        };
        for column in columns.iter().filter(|column| column.object == object) {
            if let Some(seen) = column.seen(&described) {
                if seen.remedy.is_empty() {
                    ready.push(column);
                }
                found.push(seen);
                continue;
            }
            let made = if may { make(org, column).await } else { Made::Refused };
            may = !matches!(made, Made::Refused);
            let grant = "give the integration user's permission set Read and Edit on it, and prepare again";
            found.push(Finding::warning(
                column.what(),
                match made {
                    Made::Now => format!("it was made; {grant}"),
                    Made::Before => format!("it is there and the user does not see it; {grant}"),
                    Made::Refused => format!(
                        "make it in Setup, Object Manager, {object}, Fields & Relationships: {}; {grant}",
                        column.kind.in_words()
                    ),
                },
            ));
        }
    }
    found
        .push(Finding { remedy: configuration(&ready), ..Finding::good("the fields that may be named in snova.toml") });
    found
}

async fn make(org: &mut Salesforce, column: &Column) -> Made {
    let Some(plain) = column.name.strip_suffix("__c") else { return Made::Refused };
    let mut metadata = column.kind.metadata();
    metadata["label"] = plain.replace('_', " ").into();
    let body = json!({ "FullName": format!("{}.{}", column.object, column.name), "Metadata": metadata });
    let reply = org.call(|base| Request::post(format!("{base}/tooling/sobjects/CustomField")).json(&body)).await;
    match reply {
        Ok(reply) if reply.is_success() => Made::Now,
        Ok(reply) if wire::code(&reply) == "DUPLICATE_DEVELOPER_NAME" => Made::Before,
        _ => Made::Refused,
    }
}

/// The lines of the configuration that switch on what is there.
fn configuration(ready: &[&Column]) -> String {
    let mut lines = Vec::new();
    for section in ["visit", "record", "told"] {
        let own: Vec<String> = ready
            .iter()
            .filter_map(|column| column.toml.filter(|(own, _)| *own == section).map(|(_, key)| (key, column)))
            .map(|(key, column)| format!("{key} = \"{}\"", column.name))
            .collect();
        if !own.is_empty() {
            lines.push(format!("[crm.salesforce.{section}]"));
            lines.extend(own);
        }
    }
    if lines.is_empty() { "none yet".to_owned() } else { lines.join("\n") }
}
