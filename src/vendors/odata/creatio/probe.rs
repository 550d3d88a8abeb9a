//! Whether a Creatio site has what Snova needs: login, the objects, columns and list entries, rights to read.
//!
//! Nothing is changed there, so the rights to write are seen only with the first visit.

use super::{Creatio, Login};
use crate::crm::{Failure, Finding};

pub(super) async fn probe(site: &mut Creatio) -> Vec<Finding> {
    site.session = None;
    site.kinds = None;
    let login = match &site.settings.login {
        Login::Client { .. } => "login by the identity service",
        Login::Form { .. } => "login by user and password",
    };
    let mut found = Vec::new();
    match read(site, "Contact", "Id,Name,GivenName,Surname,MobilePhone,Phone,HomePhone,Email,ModifiedOn").await {
        Ok(()) => found.extend([Finding::good(login), Finding::good("contacts can be read")]),
        Err(failure) => {
            let remedy =
                format!("{failure}; the address asked was that of net_framework = {}", site.settings.net_framework);
            return vec![Finding::missing(format!("{login}, and reading contacts"), remedy)];
        }
    }
    let fields = site.settings.fields.clone();
    match &fields.external_id {
        Some(name) => {
            let remedy = "add it to the section Contacts as a text of 50 characters, and publish";
            found.push(column(site, name, true, remedy).await);
        }
        None => found.push(Finding::missing("external_id", "name the column in [crm.creatio.fields]")),
    }
    let read_only = [
        &fields.patronymic,
        &fields.tier,
        &fields.notes,
        &fields.offer,
        &fields.birthday,
        &fields.visits,
        &fields.last_visit,
        &site.settings.phone_e164.clone(),
    ];
    for name in read_only.into_iter().flatten() {
        found.push(column(site, name, false, "add it to contacts and publish, or leave its key empty").await);
    }
    let what = "activities can be read";
    found.push(
        match read(site, "Activity", "Id,Title,StartDate,DueDate,ContactId,StatusId,ActivityCategoryId,Notes").await {
            Ok(()) => Finding::good(what),
            Err(failure) => Finding::missing(what, format!("give the user rights on activities ({failure})")),
        },
    );
    let what = "category and statuses of visits";
    found.push(match site.kinds().await {
        Ok(_) => Finding::good(what),
        Err(failure) => Finding::missing(what, failure.to_string()),
    });
    let object = site.settings.device_object.clone();
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

async fn read(site: &mut Creatio, set: &str, columns: &str) -> Result<(), Failure> {
    site.rows(set, &[("$select", columns), ("$top", "1")]).await.map(|_| ())
}

async fn column(site: &mut Creatio, name: &str, needed: bool, remedy: &str) -> Finding {
    let what = format!("the column {name} of Contact");
    let answer = match name.split_once('.') {
        Some((lookup, column)) => {
            let expand = format!("{lookup}($select={column})");
            site.rows("Contact", &[("$select", "Id"), ("$expand", &expand), ("$top", "1")]).await.map(|_| ())
        }
        None => read(site, "Contact", &format!("Id,{name}")).await,
    };
    match answer {
        Ok(()) => Finding::good(what),
        Err(failure) if needed => Finding::missing(what, format!("{remedy} ({failure})")),
        Err(failure) => Finding::warning(what, format!("{remedy} ({failure})")),
    }
}
