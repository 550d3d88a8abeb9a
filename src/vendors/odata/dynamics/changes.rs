//! Following changed contacts in Dynamics: by change tracking, or by the time of change where that is off.
//!
//! A cursor is `link …` with the rest of an address that Dynamics gave, `since TIME`, or `since TIME …` in the middle
//! of such a look.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::{ANNOTATED, Dynamics};
use crate::crm::{Changes, Contact, Failure, Request};
use crate::vendors::odata::wire::{self, is_refusal};
use crate::vendors::odata::{Dialect, PAGE, rows};

/// How far a look by time reaches back: a row's stamp is older than the moment in which others see it.
const OVERLAP: Duration = Duration::from_secs(120);

pub(super) async fn changed(org: &mut Dynamics, cursor: &str) -> Result<Changes, Failure> {
    if let Some(link) = cursor.strip_prefix("link ") {
        return match tracked(org, link).await {
            // A link is good for seven days. All is read anew, at the next look: at once, a fault that stays would
            // make it go round for ever.
            Err(failure) if is_refusal(&failure) => Ok(Changes::default()),
            page => page,
        };
    }
    if let Some(since) = cursor.strip_prefix("since ") {
        return by_time(org, since).await;
    }
    let (select, _) = rows::contact_columns(org.own.words());
    match tracked(org, &format!("contacts?$select={select}")).await {
        // Change tracking is off for contacts, or the role does not reach the whole organisation.
        Err(failure) if is_refusal(&failure) => Ok(since(org.tools.clock.wall().at)),
        page => page,
    }
}

fn since(at: Timestamp) -> Changes {
    Changes { cursor: format!("since {}", wire::time(at)), ..Changes::default() }
}

fn contacts(org: &Dynamics, body: &mut Value) -> Result<Vec<Contact>, Failure> {
    let rows = wire::rows("Dynamics", body)?;
    Ok(rows.iter().filter_map(|row| rows::contact(row, org.own.words())).collect())
}

async fn tracked(org: &mut Dynamics, link: &str) -> Result<Changes, Failure> {
    let prefer = format!("odata.track-changes,odata.maxpagesize={PAGE},{ANNOTATED}");
    let build =
        |base: &str| Request::get(format!("{base}/{link}")).header("if-none-match", "null").header("prefer", &*prefer);
    let reply = org.call(build).await?;
    let mut body = wire::read("Dynamics", &reply, &*org.tools.clock)?;
    let contacts = contacts(org, &mut body)?;
    let next = org.link(&body, "@odata.nextLink");
    let more = next.is_some();
    let Some(link) = next.or_else(|| org.link(&body, "@odata.deltaLink")) else {
        // The wish to track was passed over.
        return Ok(Changes { contacts, ..since(org.tools.clock.wall().at) });
    };
    Ok(Changes { contacts, cursor: format!("link {link}"), more })
}

async fn by_time(org: &mut Dynamics, cursor: &str) -> Result<Changes, Failure> {
    let (text, within) = cursor.split_once(' ').unwrap_or((cursor, ""));
    let Ok(begin) = text.parse::<Timestamp>() else { return Ok(since(org.tools.clock.wall().at)) };
    let (select, _) = rows::contact_columns(org.own.words());
    let mut body = if within.is_empty() {
        let filter = format!("modifiedon ge {}", wire::time(begin.checked_sub(OVERLAP).unwrap_or(begin)));
        let options = [("$select", &*select), ("$filter", &*filter), ("$orderby", "modifiedon,contactid")];
        org.get("contacts", &options).await?
    } else {
        match org.get(within, &[]).await {
            Err(failure) if is_refusal(&failure) => return Ok(since(begin)),
            body => body?,
        }
    };
    let times = body["value"].as_array().into_iter().flatten();
    let latest = times.filter_map(|row| row["modifiedon"].as_str()?.parse::<Timestamp>().ok()).max();
    let reached = wire::time(latest.unwrap_or(begin).max(begin));
    let contacts = contacts(org, &mut body)?;
    Ok(match org.link(&body, "@odata.nextLink") {
        Some(next) => Changes { contacts, cursor: format!("since {reached} {next}"), more: true },
        None => Changes { contacts, cursor: format!("since {reached}"), more: false },
    })
}
