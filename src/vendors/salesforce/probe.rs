//! Whether a Salesforce org has what Snova needs: login, objects, fields, rights, calls left.
//!
//! Nothing is changed there.

use serde_json::Value;

use super::{Salesforce, wire};
use crate::crm::{Failure, Finding, Request};

pub(super) async fn probe(org: &mut Salesforce) -> Vec<Finding> {
    org.login = None;
    if let Err(failure) = org.log_in().await {
        return vec![Finding::missing("login", failure.to_string())];
    }
    let mut found = vec![Finding::good("login")];
    let visit = org.settings.visit.clone();
    match describe(org, &visit.object).await {
        Ok(object) => {
            found.push(creatable(&object, &visit.object));
            let own = [&visit.contact, &visit.at, &visit.until, &visit.counter, &visit.how, &visit.void];
            found.extend(own.into_iter().map(|field| writable(&object, &visit.object, field)));
            found.push(unique(&object, &visit.object, &visit.key));
        }
        Err(failure) => found.push(Finding::missing(
            format!("the object {}", visit.object),
            format!("create it, and let the integration user see it ({failure})"),
        )),
    }
    let fields = org.settings.fields.clone();
    match describe(org, "Contact").await {
        Ok(contact) => {
            let external = fields.external_id.clone().unwrap_or_default();
            found.push(unique(&contact, "Contact", &external));
            let read = [
                &fields.patronymic,
                &fields.tier,
                &fields.notes,
                &fields.offer,
                &fields.birthday,
                &fields.visits,
                &fields.last_visit,
            ];
            let named = read.into_iter().filter_map(|field| field.as_deref()).filter(|field| !field.is_empty());
            found.extend(named.map(|field| readable(&contact, "Contact", field)));
        }
        Err(failure) => found.push(Finding::missing("the object Contact", failure.to_string())),
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

async fn describe(org: &mut Salesforce, object: &str) -> Result<Value, Failure> {
    let path = format!("/sobjects/{object}/describe");
    let reply = org.call(|base| Request::get(format!("{base}{path}"))).await?;
    wire::done(&reply, &*org.tools.clock)?;
    reply.json()
}

fn field<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    object["fields"].as_array()?.iter().find(|field| field["name"] == name)
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

fn writable(object: &Value, name: &str, wanted: &str) -> Finding {
    let what = format!("the field {wanted} of {name}");
    match field(object, wanted) {
        Some(field) if field["updateable"] == true => Finding::good(what),
        Some(_) => Finding::missing(what, "let the integration user edit it (field-level security)"),
        None => Finding::missing(what, "create it, or name the right one in [crm.salesforce.visit]"),
    }
}

/// A key that is not unique lets two racing upserts make twins that fail for ever.
fn unique(object: &Value, name: &str, wanted: &str) -> Finding {
    let what = format!("the field {wanted} of {name}, unique external id");
    match field(object, wanted) {
        Some(field) if field["externalId"] == true && field["unique"] == true => Finding::good(what),
        Some(_) => Finding::missing(what, "tick External ID and Unique in the field's definition"),
        None => Finding::missing(what, "create it as Text(36) with External ID and Unique"),
    }
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
