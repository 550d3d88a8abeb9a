//! The portal's fields: that each configured one is there, and what the portal calls it.
//!
//! The portal takes a value for a field that it does not have without a word and drops it: so names are looked up
//! before they are used. It spells a field of the company's own in two ways, `UF_CRM_5_AT` and `ufCrm5At`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Bitrix24, VisitFields, wire};
use crate::crm::{ContactFields, Failure, RecordFields, ToldFields};
use crate::vendors::fields::of_contact;

/// Contacts among the kinds of things in CRM.
pub(super) const CONTACT: u32 = 3;
pub(super) const DEAL: u32 = 2;

/// The fields of one kind of things.
pub(super) struct Known(Map<String, Value>);

/// The fields of a visit as the portal spells them.
#[derive(Clone)]
pub(super) struct VisitNames {
    pub visit: VisitFields,
    pub record: RecordFields,
}

/// The fields of a contact as the portal spells them, and the words of its lists.
#[derive(Clone)]
pub(super) struct CardNames {
    pub fields: ContactFields,
    pub told: ToldFields,
    /// Of fields that are lists, by the number that stands in a contact.
    pub words: BTreeMap<String, BTreeMap<String, String>>,
}

impl Known {
    /// The portal's spelling of that field.
    pub fn spelled(&self, name: &str) -> Option<String> {
        let is_it = |own: &str, field: &Value| {
            own == name || field["upperName"].as_str().is_some_and(|upper| upper.eq_ignore_ascii_case(name))
        };
        self.0.iter().find(|(own, field)| is_it(own, field)).map(|(own, _)| own.clone())
    }

    /// The words of a list, by their numbers; `None` for a field that is none.
    fn words(&self, name: &str) -> Option<BTreeMap<String, String>> {
        let field = self.0.get(name).filter(|field| field["type"] == "enumeration")?;
        let items = wire::list(&field["items"]).unwrap_or_default();
        let word =
            |item: &Value| Some((wire::number(&item["ID"])?.to_string(), item["VALUE"].as_str()?.trim().to_owned()));
        Some(items.iter().filter_map(word).collect())
    }

    /// Fields that must be filled and that Snova does not fill.
    pub fn demanded(&self, filled: &[&str]) -> Vec<String> {
        let demanded = self.0.iter().filter(|(name, field)| {
            field["isRequired"] == true && field["isReadOnly"] != true && !filled.contains(&name.as_str())
        });
        demanded.map(|(name, _)| name.clone()).collect()
    }
}

impl Bitrix24 {
    pub(super) async fn known(&mut self, type_id: u32) -> Result<Known, Failure> {
        let answer = self.call("crm.item.fields", &json!({ "entityTypeId": type_id })).await?;
        match &answer["result"]["fields"] {
            Value::Object(fields) => Ok(Known(fields.clone())),
            _ => Err(Failure::transient("Битрикс24's answer holds no fields")),
        }
    }

    /// The names of a visit's fields; an error that stops the lane where one is missing.
    pub(super) async fn visit_names(&mut self, type_id: u32) -> Result<VisitNames, Failure> {
        if let Some(names) = &self.visit_names {
            return Ok(names.clone());
        }
        let known = self.known(type_id).await?;
        for name in ["xmlId", "title", "contactIds"] {
            if known.spelled(name).is_none() {
                return Err(lacking(name, type_id, "switch the clients' field on in its settings"));
            }
        }
        let spelled = |section: &str, field: &Option<String>| match field {
            None => Ok(None),
            Some(name) => match known.spelled(name) {
                Some(name) => Ok(Some(name)),
                None => Err(lacking(name, type_id, &format!("correct [crm.bitrix24.{section}]"))),
            },
        };
        let (visit, record) = (&self.settings.visit, &self.settings.record);
        let names = VisitNames {
            visit: VisitFields {
                at: spelled("visit", &visit.at)?,
                until: spelled("visit", &visit.until)?,
                counter: spelled("visit", &visit.counter)?,
                void: spelled("visit", &visit.void)?,
            },
            record: RecordFields {
                store: spelled("record", &record.store)?,
                counter: spelled("record", &record.counter)?,
                how: spelled("record", &record.how)?,
                served_by: spelled("record", &record.served_by)?,
                receipt: spelled("record", &record.receipt)?,
                sum: spelled("record", &record.sum)?,
                greeting: spelled("record", &record.greeting)?,
            },
        };
        Ok(self.visit_names.insert(names).clone())
    }

    /// The names of a contact's fields. Of those that are only read a missing one counts as not configured.
    pub(super) async fn card_names(&mut self) -> Result<CardNames, Failure> {
        if let Some(names) = &self.card_names {
            return Ok(names.clone());
        }
        let known = self.known(CONTACT).await?;
        let wanted = &self.settings.fields;
        let external_id = match &wanted.external_id {
            None => None,
            Some(name) => Some(known.spelled(name).ok_or_else(|| {
                Failure::blocked(
                    format!("Битрикс24's contacts have no field {name}; correct external_id in [crm.bitrix24.fields]"),
                    None,
                )
            })?),
        };
        let spelled = |field: &Option<String>| field.as_deref().and_then(|name| known.spelled(name));
        let fields = ContactFields {
            external_id,
            patronymic: spelled(&wanted.patronymic),
            tier: spelled(&wanted.tier),
            notes: spelled(&wanted.notes),
            offer: spelled(&wanted.offer),
            birthday: spelled(&wanted.birthday),
            visits: spelled(&wanted.visits),
            last_visit: spelled(&wanted.last_visit),
        };
        let wanted = &self.settings.told;
        let told = ToldFields {
            first_visit: spelled(&wanted.first_visit),
            last_visit: spelled(&wanted.last_visit),
            late_since: spelled(&wanted.late_since),
            consent: spelled(&wanted.consent),
            consent_until: spelled(&wanted.consent_until),
            source: spelled(&wanted.source),
            visits_30: spelled(&wanted.visits_30),
            visits_90: spelled(&wanted.visits_90),
            home_store: spelled(&wanted.home_store),
        };
        let lists = [&fields.tier, &fields.notes, &fields.offer];
        let words = lists.into_iter().flatten().filter_map(|name| Some((name.clone(), known.words(name)?))).collect();
        Ok(self.card_names.insert(CardNames { fields, told, words }).clone())
    }
}

impl CardNames {
    /// All of what is told has a field; the portal would drop the rest without a word.
    pub fn all_told(&self, wanted: &ToldFields) -> Result<(), Failure> {
        let (wanted, own) = (of_contact(wanted), of_contact(&self.told));
        let missing = wanted.iter().zip(&own).find(|(wanted, own)| wanted.name.is_some() && own.name.is_none());
        let Some((field, _)) = missing else { return Ok(()) };
        let name = field.name.unwrap_or_default();
        let said = format!("Битрикс24's contacts have no field {name}; correct {} in [crm.bitrix24.told]", field.key);
        Err(Failure::blocked(said, None))
    }
}

fn lacking(name: &str, type_id: u32, remedy: &str) -> Failure {
    Failure::blocked(format!("Битрикс24's smart process {type_id} has no field {name}; {remedy}"), None)
}
