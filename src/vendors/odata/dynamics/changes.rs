//! Following changed contacts in Dynamics: by change tracking, or by the time of change where that is off.
//!
//! A cursor is `link …` with the rest of an address that Dynamics gave, `since TIME`, or `since TIME …` in the middle
//! of such a look. Only what stands behind the API's root is kept of an address, so the token never goes elsewhere.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::{Dynamics, is_refusal, wire};
use crate::crm::{Changes, Failure, Request};

/// How far a look by time reaches back: a row's stamp is older than the moment in which others see it.
const OVERLAP: Duration = Duration::from_secs(120);
const PAGE: &str = "odata.maxpagesize=500";
const TRACKED: &str = "odata.track-changes,odata.maxpagesize=500";

pub(super) async fn changed(org: &mut Dynamics, cursor: &str) -> Result<Changes, Failure> {
    if let Some(link) = cursor.strip_prefix("link ") {
        return match page(org, link, TRACKED).await {
            Ok(body) => Ok(tracked(org, &body)),
            // A link is good for seven days. All is read anew, at the next look: at once, a fault that stays would
            // make it go round for ever.
            Err(failure) if is_refusal(&failure) => Ok(Changes::default()),
            Err(failure) => Err(failure),
        };
    }
    if let Some(since) = cursor.strip_prefix("since ") {
        return by_time(org, since).await;
    }
    let select = wire::contact_columns(&org.settings.fields);
    let first = format!("contacts?$select={select}");
    match page(org, &first, TRACKED).await {
        Ok(body) => Ok(tracked(org, &body)),
        // Change tracking is off for contacts, or the role does not reach the whole organisation.
        Err(failure) if is_refusal(&failure) => Ok(since(org.tools.clock.wall().at)),
        Err(failure) => Err(failure),
    }
}

fn since(at: Timestamp) -> Changes {
    Changes { cursor: format!("since {}", wire::time(at)), ..Changes::default() }
}

async fn page(org: &mut Dynamics, link: &str, prefer: &str) -> Result<Value, Failure> {
    let reply = org.call(|base| wire::read(Request::get(format!("{base}/{link}")), prefer)).await?;
    wire::done(&reply, &*org.tools.clock)?;
    let body = reply.json()?;
    if body["value"].is_array() { Ok(body) } else { Err(Failure::transient("Dynamics's answer holds no rows")) }
}

/// What stands behind the API's root in a link of the page's.
fn rest(body: &Value, name: &str) -> Option<String> {
    let (_, rest) = body[name].as_str()?.split_once(&format!("{}/", wire::ROOT))?;
    Some(rest.to_owned())
}

fn rows(body: &Value) -> &[Value] {
    body["value"].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn tracked(org: &Dynamics, body: &Value) -> Changes {
    let contacts = rows(body).iter().filter_map(|row| wire::contact(row, &org.settings.fields)).collect();
    let next = rest(body, "@odata.nextLink");
    let more = next.is_some();
    let Some(link) = next.or_else(|| rest(body, "@odata.deltaLink")) else {
        // The wish to track was passed over.
        return Changes { contacts, ..since(org.tools.clock.wall().at) };
    };
    Changes { contacts, cursor: format!("link {link}"), more }
}

async fn by_time(org: &mut Dynamics, cursor: &str) -> Result<Changes, Failure> {
    let (text, within) = cursor.split_once(' ').unwrap_or((cursor, ""));
    let Ok(begin) = text.parse::<Timestamp>() else { return Ok(since(org.tools.clock.wall().at)) };
    let select = wire::contact_columns(&org.settings.fields);
    let body = if within.is_empty() {
        let from = wire::time(begin.checked_sub(OVERLAP).unwrap_or(begin));
        let link = format!("contacts?$select={select}&$filter=modifiedon%20ge%20{from}&$orderby=modifiedon,contactid");
        page(org, &link, PAGE).await?
    } else {
        match page(org, within, PAGE).await {
            Err(failure) if is_refusal(&failure) => return Ok(since(begin)),
            body => body?,
        }
    };
    let contacts = rows(&body).iter().filter_map(|row| wire::contact(row, &org.settings.fields)).collect();
    let latest = rows(&body).iter().filter_map(|row| row["modifiedon"].as_str()?.parse::<Timestamp>().ok()).max();
    let reached = wire::time(latest.unwrap_or(begin).max(begin));
    Ok(match rest(&body, "@odata.nextLink") {
        Some(next) => Changes { contacts, cursor: format!("since {reached} {next}"), more: true },
        None => Changes { contacts, cursor: format!("since {reached}"), more: false },
    })
}
