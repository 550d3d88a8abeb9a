//! Whether a Salesforce org has what Snova needs: login, objects, fields, rights, calls left.
//!
//! Nothing is changed there.

use serde_json::Value;

use super::columns::{Column, Kind, field};
use super::{Salesforce, wire};
use crate::crm::{Failure, Finding, Request};

pub(super) async fn probe(org: &mut Salesforce) -> Vec<Finding> {
    org.login = None;
    if let Err(failure) = org.log_in().await {
        return vec![Finding::missing("login", failure.to_string())];
    }
    let mut found = vec![Finding::good("login")];
    let (settings, columns) = (org.settings.clone(), org.settings.columns(false));
    for name in [&*settings.visit.object, "Contact"] {
        let object = match describe(org, name).await {
            Ok(object) => object,
            Err(failure) => {
                let remedy = format!("create it, and let the integration user see it ({failure})");
                found.push(Finding::missing(format!("the object {name}"), remedy));
                continue;
            }
        };
        if name != "Contact" {
            found.push(creatable(&object, name));
        }
        let missing = |column: &Column| {
            let remedy = format!("create it as {}, or name the right one in [crm.salesforce]", column.kind.in_words());
            Finding::missing(column.what(), remedy)
        };
        let own = columns.iter().filter(|column| column.object == name);
        found.extend(own.map(|column| column.seen(&object).unwrap_or_else(|| missing(column))));
        if name == "Contact" {
            found.extend(settings.fields.card().map(|(_, field)| readable(&object, name, field)));
        }
    }
    if !org.settings.device_object.is_empty() {
        let object = org.settings.device_object.clone();
        found.push(match describe(org, &object).await {
            Ok(described) => unique(&described, &object, "Device__c"),
            Err(failure) => {
                Finding::warning(format!("the object {object}"), format!("create it for signs of life ({failure})"))
            }
        });
    }
    found.push(calls_left(org).await);
    found
}

pub(super) async fn describe(org: &mut Salesforce, object: &str) -> Result<Value, Failure> {
    let path = format!("/sobjects/{object}/describe");
    let reply = org.call(|base| Request::get(format!("{base}{path}"))).await?;
    wire::done(&reply, &*org.tools.clock)?;
    reply.json()
}

fn creatable(object: &Value, name: &str) -> Finding {
    let what = format!("the right to create and change {name}");
    if object["createable"] == true && object["updateable"] == true {
        return Finding::good(what);
    }
    Finding::missing(what, format!("give the integration user's permission set Create and Edit on {name}"))
}

fn readable(object: &Value, name: &str, wanted: &str) -> Finding {
    let what = format!("the field {wanted} of {name}");
    match field(object, wanted) {
        Some(_) => Finding::good(what),
        None => Finding::warning(
            what,
            "create it or let the user read it, or leave its key empty in [crm.salesforce.fields]",
        ),
    }
}

/// Without a key that is unique a box would have a second row with each new id.
fn unique(object: &Value, name: &str, wanted: &str) -> Finding {
    let column = Column { object: name.to_owned(), name: wanted.to_owned(), kind: Kind::Key, toml: None };
    column
        .seen(object)
        .unwrap_or_else(|| Finding::missing(column.what(), "create it as Text with External ID and Unique"))
}

async fn calls_left(org: &mut Salesforce) -> Finding {
    let what = "API calls left today";
    let limits = match org.call(|base| Request::get(format!("{base}/limits"))).await {
        Ok(reply) if reply.is_success() => reply.json().unwrap_or(Value::Null),
        _ => return Finding::warning(what, "the org does not say; give the user the right View Setup to see it"),
    };
    let number = |name: &str| limits["DailyApiRequests"][name].as_u64();
    match (number("Remaining"), number("Max")) {
        (Some(left), Some(most)) if left * 10 >= most => Finding::good(format!("{what}: {left} of {most}")),
        (Some(left), Some(most)) => Finding::warning(
            format!("{what}: {left} of {most}"),
            "others use them up; ask for more, or raise pull_s in [crm]",
        ),
        _ => Finding::warning(what, "the org does not say"),
    }
}
