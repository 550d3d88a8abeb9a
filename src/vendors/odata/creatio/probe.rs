//! Whether a Creatio site has what Snova needs: login, the objects, columns and list entries, rights to read; and the columns
//! that an administrator makes for what Snova can fill, since OData may not.
//!
//! Nothing is changed there, so the rights to write are seen only with the first visit.

use super::{Creatio, Login};
use crate::crm::{Failure, Finding};
use crate::vendors::odata::prepare::{self, Wanted};
use crate::vendors::odata::rows::{card_columns, record_columns, told_columns};
use crate::vendors::odata::{Dialect, MARK_CHARS};

pub(super) async fn probe(site: &mut Creatio) -> Vec<Finding> {
    site.session = None;
    site.own.kinds = None;
    let login = match &site.own.settings.login {
        Login::Client { .. } => "login by the identity service",
        Login::Form { .. } => "login by user and password",
    };
    let mut found = Vec::new();
    match read(site, "Contact", "Id,Name,GivenName,Surname,MobilePhone,Phone,HomePhone,Email,OwnerId,ModifiedOn").await
    {
        Ok(()) => found.extend([Finding::good(login), Finding::good("contacts can be read")]),
        Err(failure) => {
            let by = site.own.settings.net_framework;
            let remedy = format!("{failure}; the address asked was that of net_framework = {by}");
            return vec![Finding::missing(format!("{login}, and reading contacts"), remedy)];
        }
    }
    found.push(mark(site).await);
    let words = site.own.words();
    let names = |columns: &[(&str, _, Option<&str>)]| {
        columns.iter().filter_map(|(_, _, name)| name.map(str::to_owned)).collect::<Vec<_>>()
    };
    let (told, record) = (names(&told_columns(&words.told)), names(&record_columns(&words.record)));
    let cards: Vec<String> = card_columns(words).map(str::to_owned).chain(told).collect();
    let remedy = "add it to contacts and publish, or leave its key empty";
    for name in cards {
        found.push(match column(site, "Contact", &name).await {
            (what, Ok(())) => Finding::good(what),
            (what, Err(failure)) => Finding::warning(what, format!("{remedy} ({failure})")),
        });
    }
    let what = "activities can be read";
    let columns = "Id,Title,StartDate,DueDate,ContactId,OwnerId,StatusId,ActivityCategoryId,Notes";
    found.push(match read(site, "Activity", columns).await {
        Ok(()) => Finding::good(what),
        Err(failure) => Finding::missing(what, format!("give the user rights on activities ({failure})")),
    });
    for name in record {
        found.push(match column(site, "Activity", &name).await {
            (what, Ok(())) => Finding::good(what),
            (what, Err(failure)) => {
                Finding::missing(what, format!("add it to activities, or leave its key empty ({failure})"))
            }
        });
    }
    let what = "category and statuses of visits";
    found.push(match Dialect::ready(site).await {
        Ok(()) => Finding::good(what),
        Err(failure) => Finding::missing(what, failure.to_string()),
    });
    let object = site.own.settings.device_object.clone();
    if !object.is_empty() {
        let what = format!("the object {object} with its columns");
        let columns = "Id,UsrName,UsrVersion,UsrSeenAt,UsrOutboxDepth,UsrOutboxAgeS,UsrOutboxDead,UsrCamerasLost";
        found.push(match read(site, &object, columns).await {
            Ok(()) => Finding::good(what),
            Err(failure) => Finding::warning(what, format!("create it for signs of life, and publish ({failure})")),
        });
    }
    found
}

pub(super) async fn prepare(site: &mut Creatio) -> Vec<Finding> {
    let (told, record) = prepare::all(site.own.words(), |key| {
        let parts = key.split('_').map(|part| part[..1].to_uppercase() + &part[1..]);
        format!("UsrSnova{}", parts.collect::<String>())
    });
    let mut found = vec![mark(site).await];
    for (set, columns) in [("Contact", &told), ("Activity", &record)] {
        for Wanted { holds, name, .. } in columns {
            let kind = prepare::kind(*holds);
            found.push(match column(site, set, name).await {
                (what, Ok(())) => Finding::good(format!("{what} is there")),
                (what, Err(_)) => Finding::warning(
                    what,
                    format!("in the designer add {kind} with the code {name} to {set}, and publish"),
                ),
            });
        }
    }
    found.push(prepare::configuration(&site.own, &told, &record));
    found
}

async fn mark(site: &mut Creatio) -> Finding {
    let Some(name) = site.own.words().fields.external_id.clone() else {
        return Finding::missing("external_id", "name the column in [crm.creatio.fields]");
    };
    match column(site, "Contact", &name).await {
        (what, Ok(())) => Finding::good(what),
        (what, Err(failure)) => {
            let remedy =
                format!("add it to the section Contacts as a text of {MARK_CHARS} characters, and publish ({failure})");
            Finding::missing(what, remedy)
        }
    }
}

async fn read(site: &mut Creatio, set: &str, columns: &str) -> Result<(), Failure> {
    site.rows(set, &[("$select", columns), ("$top", "1")]).await.map(|_| ())
}

/// Whether a column is there, and what it is called for people.
async fn column(site: &mut Creatio, set: &str, name: &str) -> (String, Result<(), Failure>) {
    let answer = match name.split_once('.') {
        Some((lookup, column)) => {
            let expand = format!("{lookup}($select={column})");
            site.rows(set, &[("$select", "Id"), ("$expand", &expand), ("$top", "1")]).await.map(|_| ())
        }
        None => read(site, set, &format!("Id,{name}")).await,
    };
    (format!("the column {name} of {set}"), answer)
}
