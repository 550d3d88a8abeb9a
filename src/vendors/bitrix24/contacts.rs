//! Contacts of the portal: found, marked, made, taken back, read, and followed as they change.
//!
//! The portal keeps no external id unique. The pair originatorId and originId may be another program's, such as that
//! of an accounting exchange: it is never overwritten.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::{Value, json};

use super::names::{CONTACT, CardNames, DEAL};
use super::wire::Command;
use super::{Bitrix24, PAGE, wire};
use crate::crm::{Changes, ConsentWord, Contact, ContactId, Failure, Mark, NewContact, Seek, Told, phone_spellings};

/// Whose ids these are, in originatorId.
const ORIGINATOR: &str = "snova";
/// By how much two looks at the changes overlap.
const OVERLAP: Duration = Duration::from_secs(10);
/// Of those whom the portal finds by a phone, so many are looked at.
const MOST_FOUND: usize = 20;

fn filled(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Array(values) => return values.first().and_then(filled),
        _ => return None,
    };
    Some(text).filter(|text| !text.is_empty())
}

/// A comment's words, without HTML's tags and BB codes.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    let mut within = None;
    for c in text.chars() {
        match (within, c) {
            (None, '<') => within = Some('>'),
            (None, '[') => within = Some(']'),
            (Some(end), c) if c == end => {
                within = None;
                plain.push(' ');
            }
            (None, c) => plain.push(c),
            _ => {}
        }
    }
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether a list's value in this row has no word yet.
fn has_new_word(row: &Value, names: &CardNames) -> bool {
    names.words.iter().any(|(name, words)| filled(&row[name]).is_some_and(|text| !words.contains_key(&text)))
}

/// A row in our words; `None` for one without an id.
pub(super) fn read(row: &Value, names: &CardNames) -> Option<Contact> {
    let fields = &names.fields;
    let value = |field: &Option<String>| field.as_deref().map(|name| &row[name]).unwrap_or(&Value::Null);
    let text = |field: &Option<String>| {
        let text = filled(value(field))?;
        match field.as_ref().and_then(|name| names.words.get(name)) {
            Some(words) => words.get(&text).cloned(),
            None => Some(text),
        }
    };
    let external_id = match &fields.external_id {
        Some(name) => filled(&row[name]),
        None => filled(&row["originId"]).map(|id| match filled(&row["originatorId"]) {
            Some(own) if own == ORIGINATOR => id,
            // Another program's: not ours, and not free either.
            other => format!("{}:{id}", other.unwrap_or_default()),
        }),
    };
    let several = |kind: &str| {
        let rows = wire::list(&row["fm"]).unwrap_or_default();
        rows.iter().filter(|row| row["typeId"] == kind).filter_map(|row| filled(&row["value"])).collect()
    };
    let count = |field: &Option<String>| {
        let count = filled(value(field))?.parse::<f64>().ok()?;
        Some(count.clamp(0.0, f64::from(u32::MAX)) as u32)
    };
    let day = |field: &Option<String>| filled(value(field)).and_then(|date| date.get(..10)?.parse::<Date>().ok());
    let at = |field: &Option<String>| filled(value(field)).and_then(|at| at.parse::<Timestamp>().ok());
    let told = &names.told;
    let told = Told {
        first_visit: at(&told.first_visit),
        last_visit: at(&told.last_visit),
        late_since: day(&told.late_since),
        consent: text(&told.consent).and_then(|word| ConsentWord::read(&word)),
        consent_until: day(&told.consent_until),
        source: text(&told.source),
        visits_30: count(&told.visits_30),
        visits_90: count(&told.visits_90),
        home_store: text(&told.home_store),
    };
    Some(Contact {
        id: wire::id_of(row)?.to_string(),
        external_id,
        phones: several("PHONE"),
        emails: several("EMAIL"),
        given: filled(&row["name"]),
        patronymic: text(&fields.patronymic),
        family: filled(&row["lastName"]),
        tier: text(&fields.tier),
        owner: None,
        notes: text(&fields.notes).map(|notes| plain(&notes)).filter(|notes| !notes.is_empty()),
        offer: text(&fields.offer),
        birthday: day(&fields.birthday),
        visits: count(&fields.visits),
        last_visit: at(&fields.last_visit),
        told,
        ..Contact::default()
    })
}

impl Bitrix24 {
    /// Rows as contacts, with the names of who looks after them.
    async fn read_contacts(&mut self, rows: &[Value]) -> Result<Vec<Contact>, Failure> {
        let mut names = self.card_names().await?;
        if rows.iter().any(|row| has_new_word(row, &names)) {
            // The company has added to a list since its words were read.
            self.card_names = None;
            names = self.card_names().await?;
        }
        let mut contacts = Vec::new();
        for row in rows {
            let Some(mut contact) = read(row, &names) else { continue };
            if let Some(owner) = wire::number(&row["assignedById"]).filter(|id| *id > 0) {
                contact.owner = self.owner(owner).await?;
            }
            contacts.push(contact);
        }
        Ok(contacts)
    }

    /// Who that is; `None` where the login may not know.
    async fn owner(&mut self, id: i64) -> Result<Option<String>, Failure> {
        if let Some(known) = self.owners.get(&id) {
            return Ok(known.clone());
        }
        let reply = self.ask("user.get", &json!({ "FILTER": { "ID": id } })).await?;
        let hidden =
            matches!(&*wire::code_of(&reply), "insufficient_scope" | "ACCESS_DENIED" | "ERROR_METHOD_NOT_FOUND");
        let name = if hidden {
            None
        } else {
            let answer = wire::answer(&reply, &*self.tools.clock)?;
            let row = wire::list(&answer["result"]).and_then(|rows| rows.into_iter().next()).unwrap_or_default();
            let parts = [filled(&row["NAME"]), filled(&row["LAST_NAME"])];
            Some(parts.into_iter().flatten().collect::<Vec<_>>().join(" ")).filter(|name| !name.is_empty())
        };
        self.owners.insert(id, name.clone());
        Ok(name)
    }

    async fn row(&mut self, id: &ContactId) -> Result<Option<Value>, Failure> {
        let answer = self.call_of("crm.item.get", &json!({ "entityTypeId": CONTACT, "id": id.0 })).await?;
        let Some(answer) = answer else { return Ok(None) };
        let row = answer["result"]["item"].clone();
        if wire::id_of(&row).is_none() {
            return Err(Failure::transient("Битрикс24's answer holds no contact"));
        }
        Ok(Some(row))
    }

    pub(super) async fn one_contact(&mut self, id: &ContactId) -> Result<Option<Contact>, Failure> {
        let rows: Vec<Value> = self.row(id).await?.into_iter().collect();
        Ok(self.read_contacts(&rows).await?.into_iter().next())
    }

    pub(super) async fn find_contacts(&mut self, sought: &Seek) -> Result<Vec<Contact>, Failure> {
        let names = self.card_names().await?;
        let rows = match sought {
            Seek::Mark(customer) => {
                let mut rows = Vec::new();
                for word in Mark::words(*customer) {
                    let filter = match &names.fields.external_id {
                        Some(name) => json!({ format!("%{name}"): word }),
                        None => json!({ "=originatorId": ORIGINATOR, "%originId": word }),
                    };
                    rows.extend(self.list_page(CONTACT, &filter, &json!(["*"]), 0).await?.0);
                }
                rows
            }
            Seek::Phone(phone) => {
                // The portal's index knows digits only.
                let digits = |text: &String| text.chars().all(|c| c.is_ascii_digit() || c == '+');
                self.found_by("PHONE", phone_spellings(phone).into_iter().filter(digits).collect()).await?
            }
            Seek::Email(email) => self.found_by("EMAIL", vec![email.clone()]).await?,
        };
        let is_sought = |row: &Value| read(row, &names).is_some_and(|contact| sought.is_met_by(&contact, self.country));
        let rows: Vec<Value> = rows.into_iter().filter(is_sought).collect();
        self.read_contacts(&rows).await
    }

    async fn found_by(&mut self, kind: &str, values: Vec<String>) -> Result<Vec<Value>, Failure> {
        let params = json!({ "entity_type": "CONTACT", "type": kind, "values": values });
        let answer = self.call("crm.duplicate.findbycomm", &params).await?;
        // Nobody is an empty list where somebody is a map.
        let ids = wire::list(&answer["result"]["CONTACT"]).unwrap_or_default();
        let commands: Vec<Command> = ids
            .iter()
            .filter_map(wire::number)
            .take(MOST_FOUND)
            .map(|id| Command::new("crm.item.get").with("entityTypeId", CONTACT).with("id", id))
            .collect();
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        let mut rows = Vec::new();
        for outcome in self.batch(&commands).await? {
            match outcome.result() {
                Ok((result, _)) => rows.push(result["item"].clone()),
                Err((code, _)) if code == "NOT_FOUND" => {}
                Err((_, failure)) => return Err(failure),
            }
        }
        Ok(rows)
    }

    /// What the external id's fields are given.
    fn id_fields(names: &CardNames, value: &str) -> Value {
        match &names.fields.external_id {
            Some(name) => json!({ name.as_str(): value }),
            None => {
                let originator = if value.is_empty() { "" } else { ORIGINATOR };
                json!({ "originatorId": originator, "originId": value })
            }
        }
    }

    pub(super) async fn link_contact(&mut self, id: &ContactId, text: &str) -> Result<(), Failure> {
        let names = self.card_names().await?;
        let gone = || Failure::contact_gone("the contact is not in Битрикс24 any more");
        let row = self.row(id).await?.ok_or_else(gone)?;
        let originator = filled(&row["originatorId"]);
        if names.fields.external_id.is_none() && originator.is_some_and(|own| own != ORIGINATOR) {
            return Err(Failure::blocked(
                "the contact's originatorId is another program's, and is left to it; make a text field for contacts and name it in external_id in [crm.bitrix24.fields]",
                None,
            ));
        }
        let params = json!({ "entityTypeId": CONTACT, "id": id.0, "fields": Self::id_fields(&names, text) });
        self.call_of("crm.item.update", &params).await?.ok_or_else(gone)?;
        // A field that the portal does not know is passed over without a word.
        let row = self.row(id).await?.ok_or_else(gone)?;
        if read(&row, &names).and_then(|contact| contact.external_id).unwrap_or_default() == text {
            return Ok(());
        }
        self.card_names = None;
        Err(Failure::blocked(
            "Битрикс24 took the customer's id and does not hold it; see that external_id is a text field which may be edited",
            None,
        ))
    }

    /// Deletes a contact that Snova has just made, if nobody but Snova has anything to do with it.
    pub(super) async fn retire_contact(&mut self, younger: &ContactId, elder: &ContactId) -> Result<(), Failure> {
        let names = self.card_names().await?;
        let Some(row) = self.row(younger).await? else { return Ok(()) };
        let kept = |why: &str| {
            Err(Failure::poison(format!(
                "the contact {younger} is left, since {why}; merge it into {elder} in Битрикс24 by hand"
            )))
        };
        let mark = read(&row, &names).map(|contact| contact.mark()).unwrap_or_default();
        if mark.customers().len() != 1 || mark.is_foreign() {
            return kept("it is not Snova's alone");
        }
        let of_it = json!({ "=contactId": younger.0 });
        for type_id in [DEAL].into_iter().chain(self.settings.visit_type_id) {
            if !self.list_page(type_id, &of_it, &json!(["id"]), 0).await?.0.is_empty() {
                return kept("it has records already");
            }
        }
        if !self.comments_on(younger).await?.is_empty() {
            return kept("it has comments already");
        }
        let reply = self.ask("crm.item.delete", &json!({ "entityTypeId": CONTACT, "id": younger.0 })).await?;
        if wire::code_of(&reply) == "ACCESS_DENIED" {
            return kept("the login may not delete contacts");
        }
        if wire::code_of(&reply) != "NOT_FOUND" {
            wire::answer(&reply, &*self.tools.clock)?;
        }
        match self.row(younger).await? {
            None => Ok(()),
            Some(_) => Err(Failure::transient("a double is still in Битрикс24; it is deleted again")),
        }
    }

    pub(super) async fn create_contact(&mut self, new: &NewContact) -> Result<ContactId, Failure> {
        let names = self.card_names().await?;
        let mut fields = Self::id_fields(&names, &new.mark);
        fields["name"] = new.given.as_str().into();
        let patronymic = names.fields.patronymic.as_deref();
        for (name, value) in [(patronymic, &new.patronymic), (Some("lastName"), &new.family)] {
            if let (Some(name), Some(value)) = (name, value) {
                fields[name] = value.as_str().into();
            }
        }
        if let Some(source) = &names.told.source {
            fields[source] = "Snova".into();
        }
        let reached = [("PHONE", &new.phone), ("EMAIL", &new.email)];
        let reached = reached.into_iter().filter_map(|(kind, value)| {
            value.as_ref().map(|value| json!({ "typeId": kind, "valueType": "WORK", "value": value }))
        });
        fields["fm"] = reached.collect();
        let answer = self.call("crm.item.add", &json!({ "entityTypeId": CONTACT, "fields": fields })).await?;
        let id = wire::id_of(&answer["result"]["item"]);
        id.map(|id| ContactId(id.to_string())).ok_or_else(|| Failure::transient("Битрикс24's answer names no contact"))
    }

    /// A walk by ascending ids over what has changed since the last walk began, by the portal's clock: who changes
    /// behind the walk's back is met by the next one.
    pub(super) async fn changed_contacts(&mut self, cursor: &str) -> Result<Changes, Failure> {
        let mut parts = cursor.split(' ');
        let Some(since) = parts.next().filter(|since| !since.is_empty()) else {
            let answer = self.call("crm.item.fields", &json!({ "entityTypeId": CONTACT })).await?;
            let now = wire::begun(&answer, OVERLAP);
            let now = now.ok_or_else(|| Failure::transient("Битрикс24's answer does not say the time"))?;
            return Ok(Changes { cursor: now, ..Changes::default() });
        };
        let under_way = parts.next().zip(parts.next().and_then(|id| id.parse::<i64>().ok()));
        let (begun, last) = under_way.map_or((None, 0), |(begun, last)| (Some(begun.to_owned()), last));
        let (rows, answer) = self.list_page(CONTACT, &json!({ ">=updatedTime": since }), &json!(["*"]), last).await?;
        let begun = begun.or_else(|| wire::begun(&answer, OVERLAP)).unwrap_or_else(|| since.to_owned());
        let contacts = self.read_contacts(&rows).await?;
        let last = rows.iter().filter_map(wire::id_of).max();
        Ok(match last.filter(|_| rows.len() >= PAGE) {
            Some(last) => Changes { contacts, cursor: format!("{since} {begun} {last}"), more: true },
            None => Changes { contacts, cursor: begun, more: false },
        })
    }

    /// Whether some of the portal's first contacts are another program's.
    pub(super) async fn foreign_ids(&mut self) -> Result<bool, Failure> {
        let (rows, _) = self.list_page(CONTACT, &json!({}), &json!(["id", "originatorId"]), 0).await?;
        let foreign = |row: &Value| filled(&row["originatorId"]).is_some_and(|own| own != ORIGINATOR);
        Ok(rows.iter().any(foreign))
    }
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn a_comment_is_read_without_its_markup() {
        assert_eq!(plain("без <b>сахара</b><br>окно [B]слева[/B]\n"), "без сахара окно слева");
    }
}
