//! Contacts of the org: searched, marked, created under their key, read with those that were deleted or merged.
//!
//! Visits are `visits`'; what a row means in our words is `wire`'s.

use serde_json::{Value, json};

use super::wire::{Answer, quoted};
use super::{Salesforce, columns, is_id, wire};
use crate::crm::{
    Changes, Contact, ContactId, Creation, Failure, FailureClass, Mark, NewContact, Request, Seek, Told, phone_like,
};

impl Salesforce {
    fn contact_columns(&self) -> String {
        let (fields, told) = (&self.settings.fields, &self.settings.told);
        let told = columns::told(told);
        let told = told.iter().filter_map(|(_, name, ..)| name.as_deref());
        let own = fields.external_id.as_deref().into_iter().chain(fields.card().map(|(_, name)| name)).chain(told);
        let mut columns = vec![
            "Id",
            "FirstName",
            "LastName",
            "MobilePhone",
            "Phone",
            "HomePhone",
            "Email",
            "Owner.Name",
            "SystemModstamp",
            "IsDeleted",
            "MasterRecordId",
        ];
        // A column that is asked for twice makes the whole query wrong.
        for name in own.filter(|name| !name.is_empty()) {
            if !columns.contains(&name) {
                columns.push(name);
            }
        }
        columns.join(",")
    }

    /// Contacts of which `wanted` holds, deleted and merged ones too where `way` is "queryAll".
    async fn contacts_where(&mut self, way: &str, wanted: &str) -> Result<Vec<Contact>, Failure> {
        let soql = format!("SELECT {} FROM Contact WHERE {wanted} ORDER BY Id LIMIT 50", self.contact_columns());
        let answer = self.query(way, &soql).await?;
        Ok(self.contacts(&answer))
    }

    fn contacts(&self, answer: &Answer) -> Vec<Contact> {
        let settings = &self.settings;
        answer.records.iter().filter_map(|row| wire::contact(row, &settings.fields, &settings.told)).collect()
    }

    pub(super) async fn found(&mut self, sought: &Seek) -> Result<Vec<Contact>, Failure> {
        let wanted = match sought {
            Seek::Mark(customer) => {
                let field = self.external_id()?;
                Mark::words(*customer).map(|word| format!("{field} LIKE '%{word}%'")).join(" OR ")
            }
            Seek::Phone(phone) => {
                let like = phone_like(phone);
                format!("MobilePhone LIKE '{like}' OR Phone LIKE '{like}' OR HomePhone LIKE '{like}'")
            }
            Seek::Email(email) => format!("Email = '{}'", quoted(email)),
        };
        let found = self.contacts_where("query", &wanted).await?;
        Ok(found.into_iter().filter(|contact| sought.is_met_by(contact, self.country)).collect())
    }

    pub(super) async fn mark(&mut self, contact: &ContactId, text: &str) -> Result<(), Failure> {
        let field = self.external_id()?.to_owned();
        let change = json!({ "attributes": { "type": "Contact" }, "id": contact.0, field.as_str(): text });
        self.update(&[change]).await?.into_iter().collect::<Result<(), _>>()?;
        // A trigger or flow of the org may have put something else there.
        let there = self.one(contact).await?.filter(|there| !there.deleted);
        let there = there.ok_or_else(|| Failure::contact_gone("the contact is not in Salesforce any more"))?;
        if there.external_id.as_deref().unwrap_or_default() == text {
            return Ok(());
        }
        Err(Failure::blocked(
            format!(
                "Salesforce took {field} of a contact and holds another value there; see which rule or flow of the org changes it"
            ),
            None,
        ))
    }

    pub(super) async fn created(&mut self, new: &NewContact) -> Result<Creation, Failure> {
        let (settings, mark) = (&self.settings, self.external_id()?);
        let mut row = json!({
            "FirstName": new.given,
            // A contact has a surname in Salesforce, whatever people have.
            "LastName": new.family.as_deref().unwrap_or(&new.given),
            mark: new.mark,
            settings.contact_key.as_str(): new.key.to_string(),
        });
        let named = |field: &'_ Option<String>| field.clone().filter(|field| !field.is_empty());
        for (field, value) in [
            (named(&settings.fields.patronymic), new.patronymic.as_deref()),
            (Some("MobilePhone".to_owned()), new.phone.as_deref()),
            (Some("Email".to_owned()), new.email.as_deref()),
            (named(&settings.told.source), Some("Snova")),
        ] {
            if let (Some(field), Some(value)) = (field, value) {
                row[field] = value.into();
            }
        }
        let reply = self.call(|base| Request::post(format!("{base}/sobjects/Contact")).json(&row)).await?;
        if !wire::is_taken(&reply) {
            return wire::created(&reply, &*self.tools.clock).map(Creation::Made);
        }
        let wanted = format!("{} = '{}'", self.settings.contact_key, new.key);
        let mut there = self.contacts_where("queryAll", &wanted).await?;
        there.sort_by_key(|contact| contact.deleted);
        there.into_iter().next().map(|contact| Creation::Taken(Box::new(contact))).ok_or_else(|| {
            Failure::poison(
                "Salesforce says that a value of the new contact is taken, and shows nobody under its key: another field is \
                 unique, or the user may not see all contacts; link the customer with `snova crm link`",
            )
        })
    }

    pub(super) async fn one(&mut self, id: &ContactId) -> Result<Option<Contact>, Failure> {
        if !is_id(&id.0) {
            return Ok(None);
        }
        Ok(self.contacts_where("queryAll", &format!("Id = '{}'", id.0)).await?.into_iter().next())
    }

    pub(super) async fn changed_since(&mut self, cursor: &str) -> Result<Changes, Failure> {
        // The watermark, or the rest of a long answer with the watermark to go on from.
        let (rest, since) = match cursor.strip_prefix("rest:").and_then(|both| both.split_once(' ')) {
            Some((rest, since)) => (Some(rest.to_owned()), since),
            None => (None, cursor),
        };
        if since.is_empty() {
            return Ok(Changes { cursor: wire::time(self.tools.clock.wall().at), ..Changes::default() });
        }
        let answer = match rest {
            Some(rest) => match self.next_page(&rest).await {
                // Salesforce keeps the rest of an answer for two days only.
                Err(failure) if failure.class == FailureClass::Poison => {
                    return Ok(Changes { cursor: since.to_owned(), more: true, ..Changes::default() });
                }
                answer => answer?,
            },
            None => {
                let columns = self.contact_columns();
                let wanted = format!("SystemModstamp >= {since} ORDER BY SystemModstamp, Id");
                self.query("queryAll", &format!("SELECT {columns} FROM Contact WHERE {wanted}")).await?
            }
        };
        let latest =
            answer.records.iter().filter_map(|row| row["SystemModstamp"].as_str()).filter_map(wire::read_time).max();
        let reached = latest.map_or_else(|| since.to_owned(), wire::time);
        let contacts = self.contacts(&answer);
        Ok(match answer.next {
            Some(rest) => Changes { contacts, cursor: format!("rest:{rest} {reached}"), more: true },
            None => Changes { contacts, cursor: reached, more: false },
        })
    }

    pub(super) async fn told(&mut self, told: &[(ContactId, Told)]) -> Result<Vec<Result<(), Failure>>, Failure> {
        if self.settings.told.is_empty() {
            return Ok(vec![Ok(()); told.len()]);
        }
        let row = |(contact, told): &(ContactId, Told)| {
            let mut row = wire::told_row(told, &self.settings.told);
            row["attributes"] = json!({ "type": "Contact" });
            row["id"] = contact.0.as_str().into();
            row
        };
        let rows: Vec<Value> = told.iter().map(row).collect();
        self.update(&rows).await
    }
}
