//! What is written on contacts beside the mark.
//!
//! The fields for it are `prepare`'s.

use std::collections::BTreeMap;

use serde_json::json;

use super::contacts::read;
use super::names::CONTACT;
use super::wire::Command;
use super::{BATCH, Bitrix24, wire};
use crate::crm::{ContactId, Failure, Told};
use crate::vendors::fields::{self, Value};

fn gone() -> Failure {
    Failure::contact_gone("the contact is not in Битрикс24 any more")
}

impl Bitrix24 {
    /// Up to fifty contacts in one batch. What is there already is not written again; what was written is looked for in the
    /// answer, since the portal drops a value of a field that it does not have.
    pub(super) async fn tell_contacts(
        &mut self,
        told: &[(ContactId, Told)],
    ) -> Result<Vec<Result<(), Failure>>, Failure> {
        let names = self.card_names().await?;
        if let Err(failure) = names.all_told(&self.settings.told) {
            // It may have been made meanwhile.
            self.card_names = None;
            return Err(failure);
        }
        let mut done: BTreeMap<usize, Result<(), Failure>> = BTreeMap::new();
        let all: Vec<usize> = (0..told.len()).collect();
        for part in all.chunks(BATCH) {
            let ids = part.iter().map(|at| told[*at].0.0.clone()).collect();
            let there = self.contact_rows(&ids, &json!(["*"])).await?;
            let holds = |row: &serde_json::Value, told: &Told| {
                read(row, &names).is_some_and(|there| there.told == fields::kept(&names.told, told))
            };
            let mut left = Vec::new();
            for at in part {
                match there.get(&told[*at].0.0) {
                    None => drop(done.insert(*at, Err(gone()))),
                    Some(row) if holds(row, &told[*at].1) => drop(done.insert(*at, Ok(()))),
                    Some(_) => left.push(*at),
                }
            }
            if left.is_empty() {
                continue;
            }
            let commands: Vec<Command> = left
                .iter()
                .map(|at| {
                    let (contact, told) = &told[*at];
                    let command = Command::new("crm.item.update").with("entityTypeId", CONTACT).with("id", contact);
                    fields::values(&names.told, told).into_iter().fold(command, |command, (name, value)| {
                        command.with(&format!("fields[{name}]"), value.map(text).unwrap_or_default())
                    })
                })
                .collect();
            for (at, outcome) in left.into_iter().zip(self.batch(&commands).await?) {
                let outcome = match outcome.result() {
                    Ok((result, _)) if holds(&result["item"], &told[at].1) => Ok(()),
                    Ok(_) => {
                        self.card_names = None;
                        let said = "Битрикс24 took what is told of a contact and does not hold it; see that the fields of [crm.bitrix24.told] are of the right types and may be edited";
                        Err(Failure::blocked(said, None))
                    }
                    Err((code, _)) if code == "NOT_FOUND" => Err(gone()),
                    Err((_, failure)) => Err(failure),
                };
                done.insert(at, outcome);
            }
        }
        Ok(done.into_values().collect())
    }
}

fn text(value: Value<'_>) -> String {
    match value {
        Value::Time(at) => wire::time(at),
        Value::Date(date) => date.to_string(),
        Value::Text(text) => text.to_owned(),
        Value::Number(count) => count.to_string(),
    }
}
