//! The fields that Snova fills, made in the portal, or named for the administrator where the login may not make them.
//!
//! What is there already stays.

use serde_json::{Value, json};

use super::Bitrix24;
use super::names::CONTACT;
use crate::crm::{Failure, Finding};
use crate::vendors::fields::{self, Field, Kind};

/// Where fields are made: among those of contacts, or of the smart process with that number of its own.
#[derive(Clone, Copy)]
enum Place {
    Contacts,
    Elements { type_id: u32, own: i64 },
}

/// How the portal calls a kind of field, and what an administrator chooses for it.
fn kind(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Time => ("datetime", "Дата/Время"),
        Kind::Date => ("date", "Дата"),
        Kind::Text => ("string", "Строка"),
        Kind::Number => ("integer", "Целое число"),
        Kind::Sum => ("double", "Число"),
        Kind::YesNo => ("boolean", "Да/Нет"),
    }
}

impl Place {
    fn type_id(self) -> u32 {
        match self {
            Self::Contacts => CONTACT,
            Self::Elements { type_id, .. } => type_id,
        }
    }

    /// The name that a field without one is given. A contact's has 20 letters at most.
    fn name(self, field: &Field<'_>) -> String {
        let code = if field.code.is_empty() { String::new() } else { format!("_{}", field.code) };
        match self {
            Self::Contacts => format!("UF_CRM_SNOVA{code}"),
            Self::Elements { own, .. } => format!("UF_CRM_{own}_SNOVA{code}"),
        }
    }

    fn request(self, name: &str, field: &Field<'_>) -> (&'static str, Value) {
        let (typed, label) = (kind(field.kind).0, format!("Snova: {}", field.label));
        match self {
            Self::Contacts => {
                let own = name.strip_prefix("UF_CRM_").unwrap_or(name);
                let fields = json!({ "FIELD_NAME": own, "USER_TYPE_ID": typed, "LABEL": label, "SHOW_FILTER": "Y", "MANDATORY": "N" });
                ("crm.contact.userfield.add", json!({ "fields": fields }))
            }
            Self::Elements { own, .. } => {
                let field = json!({
                    "entityId": format!("CRM_{own}"), "fieldName": name, "userTypeId": typed, "editFormLabel": { "ru": label },
                    "showFilter": "Y", "mandatory": "N",
                });
                ("userfieldconfig.add", json!({ "moduleId": "crm", "field": field }))
            }
        }
    }
}

/// Findings, and the names that the keys of each section have.
struct Prepared {
    found: Vec<Finding>,
    sections: Vec<String>,
}

impl Prepared {
    async fn fields(
        &mut self,
        portal: &mut Bitrix24,
        place: Place,
        section: &str,
        wanted: &[Field<'_>],
    ) -> Result<(), Failure> {
        let known = portal.known(place.type_id()).await?;
        let names: Vec<String> =
            wanted.iter().map(|field| field.name.map_or_else(|| place.name(field), str::to_owned)).collect();
        let mut refused = Vec::new();
        for (field, name) in wanted.iter().zip(&names) {
            let (method, params) = place.request(name, field);
            let made = match known.spelled(name) {
                Some(_) => Ok(()),
                None => portal.call(method, &params).await.map(drop),
            };
            refused.push(made.err());
        }
        // What was taken is not yet there.
        let after = portal.known(place.type_id()).await?;
        let of = if matches!(place, Place::Contacts) { "contacts" } else { "visits" };
        let mut named = Vec::new();
        for ((field, name), refused) in wanted.iter().zip(&names).zip(refused) {
            let (what, is_there) = (format!("the field {name} of {of} ({})", field.key), after.spelled(name).is_some());
            let made = if known.spelled(name).is_some() { "" } else { ", made" };
            if is_there {
                // What the configuration says already need not be pasted.
                named.extend(field.name.is_none().then(|| (field.key, name.clone())));
                self.found.push(Finding::good(format!("{what}{made}")));
                continue;
            }
            let why = refused
                .map_or_else(|| "Битрикс24 took it and does not show it".to_owned(), |failure| failure.to_string());
            let remedy = format!(
                "make it, of the type {}, with the heading «Snova: {}» ({why})",
                kind(field.kind).1,
                field.label
            );
            self.found.push(Finding::warning(what, remedy));
        }
        self.sections.push(fields::section(&format!("crm.bitrix24.{section}"), &named));
        Ok(())
    }
}

pub(super) async fn prepare(portal: &mut Bitrix24) -> Vec<Finding> {
    let mut prepared = Prepared { found: Vec::new(), sections: Vec::new() };
    if let Err(failure) = all(portal, &mut prepared).await {
        prepared.found.push(Finding::missing("the fields of the portal", failure.to_string()));
        return prepared.found;
    }
    (portal.card_names, portal.visit_names) = (None, None);
    prepared.found.push(fields::to_paste(&prepared.sections));
    prepared.found
}

async fn all(portal: &mut Bitrix24, prepared: &mut Prepared) -> Result<(), Failure> {
    let settings = portal.settings.clone();
    let mark = [Field {
        key: "external_id",
        code: "",
        kind: Kind::Text,
        label: "ID",
        name: settings.fields.external_id.as_deref(),
    }];
    prepared.fields(portal, Place::Contacts, "fields", &mark).await?;
    prepared.fields(portal, Place::Contacts, "told", &fields::of_contact(&settings.told)).await?;
    let Some(type_id) = settings.visit_type_id else {
        prepared.found.push(Finding::good(
            "visits are comments, which have no fields: what is counted and filtered is the contact's",
        ));
        return Ok(());
    };
    let answer = portal.call("crm.type.getByEntityTypeId", &json!({ "entityTypeId": type_id })).await?;
    let own = super::wire::id_of(&answer["result"]["type"]);
    let own = own.ok_or_else(|| Failure::transient("Битрикс24's answer does not say which smart process that is"))?;
    let place = Place::Elements { type_id, own };
    let visit = &settings.visit;
    let own = [
        Field { key: "at", code: "AT", kind: Kind::Time, label: "Пришёл", name: visit.at.as_deref() },
        Field { key: "until", code: "UNTIL", kind: Kind::Time, label: "Ушёл", name: visit.until.as_deref() },
        Field { key: "void", code: "VOID", kind: Kind::YesNo, label: "Отменено", name: visit.void.as_deref() },
    ];
    prepared.fields(portal, place, "visit", &own).await?;
    prepared.fields(portal, place, "record", &fields::of_visit(&settings.record)).await
}
