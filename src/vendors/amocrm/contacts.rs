//! Contacts of the account: found, marked, made, taken back, and followed as they change or go.
//!
//! A contact that was deleted, or merged into another, is simply not there any more.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{AmoCrm, IDS, MOST_PAGES, PAGE, wire};
use crate::crm::{Changes, Contact, ContactId, Failure, Mark, NewContact, Request, Seek, quoted_path};
use crate::i18n::Language;

/// Seconds by which two looks at the changes overlap.
const OVERLAP: i64 = 10;
/// Pages of what a search finds.
const MOST_FOUND: usize = 4;
/// The given name of a contact that was taken back: the API cannot delete one.
const DOUBLE: &str = "Дубль (Snova)";
/// Rows of a page of events.
const EVENTS: usize = 100;

/// Which contact it was that a note on a double names.
fn double_text(language: Language, url: &str, elder: &ContactId) -> String {
    let what = match language {
        Language::Russian => "Дубль: этот человек есть здесь",
        Language::Ukrainian => "Дубль: ця людина є тут",
        Language::English => "A double: this person is here",
    };
    format!("{what}: {url}/contacts/detail/{elder}")
}

impl AmoCrm {
    /// Rows as contacts, with the names of who looks after them.
    pub(super) async fn contacts(&mut self, rows: &[Value]) -> Result<Vec<Contact>, Failure> {
        let mut contacts = Vec::new();
        for row in rows {
            let Some(mut contact) = wire::contact(row, &self.settings) else { continue };
            if let Some(owner) = row["responsible_user_id"].as_i64().filter(|id| *id > 0) {
                contact.owner = self.owner(owner).await?;
            }
            contacts.push(contact);
        }
        Ok(contacts)
    }

    pub(super) async fn row(&mut self, id: &ContactId) -> Result<Option<Value>, Failure> {
        let path = format!("/contacts/{}", quoted_path(&id.0));
        let reply = self.call(|base| Request::get(format!("{base}{path}"))).await?;
        if matches!(reply.status, 204 | 404) && !reply.is_html() {
            return Ok(None);
        }
        wire::done(&reply, &*self.tools.clock)?;
        let row = reply.json()?;
        Ok(row["id"].is_number().then_some(row))
    }

    /// Those of these contacts that are there.
    pub(super) async fn rows_of(&mut self, ids: &BTreeSet<String>) -> Result<BTreeMap<String, Value>, Failure> {
        let mut there = BTreeMap::new();
        let ids: Vec<&str> = ids.iter().map(|id| &**id).collect();
        for ids in ids.chunks(IDS) {
            let limit = PAGE.to_string();
            let wanted: Vec<(&str, &str)> =
                ids.iter().map(|id| ("filter[id][]", *id)).chain([("limit", &*limit)]).collect();
            let (rows, more) = self.page(1, &wanted).await?;
            let named: Vec<(String, Value)> =
                rows.into_iter().filter_map(|row| Some((wire::id(&row["id"])?, row))).collect();
            if !more && named.iter().all(|(id, _)| ids.contains(&&**id)) {
                there.extend(named);
                continue;
            }
            // An account that passes the filter over shows some of everybody: who is not among them may be there.
            for id in ids {
                there.extend(self.row(&ContactId((*id).to_owned())).await?.map(|row| ((*id).to_owned(), row)));
            }
        }
        Ok(there)
    }

    /// A page of contacts, and whether there is another.
    pub(super) async fn page(&mut self, page: usize, wanted: &[(&str, &str)]) -> Result<(Vec<Value>, bool), Failure> {
        self.page_of("/contacts", "contacts", page, wanted).await
    }

    /// A page of the list at that path, whose rows have that name.
    pub(super) async fn page_of(
        &mut self,
        path: &str,
        name: &str,
        page: usize,
        wanted: &[(&str, &str)],
    ) -> Result<(Vec<Value>, bool), Failure> {
        let build = |base: &str| {
            let request = Request::get(format!("{base}{path}"));
            let request = wanted.iter().fold(request, |request, (name, value)| request.query(name, value));
            request.query("page", &page.to_string())
        };
        let reply = self.call(build).await?;
        wire::page(&reply, name, &*self.tools.clock)
    }

    /// A filter by field is ignored where the account does not have it, and then everybody is found. `query` looks into
    /// all fields, for parts of them too: both need a second look.
    pub(super) async fn find_contacts(&mut self, sought: &Seek) -> Result<Vec<Contact>, Failure> {
        let words = match sought {
            Seek::Mark(customer) => Mark::words(*customer).to_vec(),
            Seek::Phone(phone) => vec![phone[phone.len().saturating_sub(10)..].to_owned()],
            Seek::Email(email) => vec![email.clone()],
        };
        let mut found: BTreeMap<String, Value> = BTreeMap::new();
        for words in words {
            for page in 1..=MOST_FOUND {
                let (rows, more) = self.page(page, &[("query", &words), ("limit", &PAGE.to_string())]).await?;
                let sought_ones = rows.into_iter().filter_map(|row| {
                    let contact = wire::contact(&row, &self.settings)?;
                    sought.is_met_by(&contact, self.country).then_some((contact.id, row))
                });
                found.extend(sought_ones);
                if !more {
                    break;
                }
            }
        }
        let found: Vec<Value> = found.into_values().collect();
        self.contacts(&found).await
    }

    /// Sends a change of one contact, whose absence is said.
    async fn change(&mut self, id: &ContactId, change: &Value) -> Result<(), Failure> {
        let path = format!("/contacts/{}", quoted_path(&id.0));
        let reply = self.call(|base| Request::patch(format!("{base}{path}")).json(change)).await?;
        if reply.status == 404 && !reply.is_html() {
            return Err(Failure::contact_gone("the contact is not in amoCRM any more"));
        }
        wire::done(&reply, &*self.tools.clock)
    }

    /// Writes that value, or nothing, into the external-id field, and looks whether it is there.
    pub(super) async fn write_external_id(&mut self, id: &ContactId, value: &str) -> Result<(), Failure> {
        let field = self.seen_external_id().await?;
        let values = (!value.is_empty()).then(|| json!([{ "value": value }]));
        self.change(id, &json!({ "custom_fields_values": [{ "field_id": field, "values": values }] })).await?;
        let Some(row) = self.row(id).await? else {
            return Err(Failure::contact_gone("the contact is not in amoCRM any more"));
        };
        let kept = wire::contact(&row, &self.settings).and_then(|contact| contact.external_id);
        if kept.unwrap_or_default() == value {
            return Ok(());
        }
        Err(Failure::blocked(
            format!(
                "amoCRM took the customer's id and field {field} does not hold it; see that it is a text field which may be edited"
            ),
            None,
        ))
    }

    pub(super) async fn create_contact(&mut self, new: &NewContact) -> Result<ContactId, Failure> {
        let mark = self.seen_external_id().await?;
        let number = |field: &Option<String>| field.as_deref().and_then(|field| field.parse::<i64>().ok());
        let (patronymic, source) = (number(&self.settings.fields.patronymic), number(&self.settings.told.source));
        let own = [(Some(mark), Some(&*new.mark)), (patronymic, new.patronymic.as_deref()), (source, Some("Snova"))];
        let own = own
            .into_iter()
            .filter_map(|(field, value)| Some(json!({ "field_id": field?, "values": [{ "value": value? }] })));
        let reached = [("PHONE", &new.phone), ("EMAIL", &new.email)].into_iter().filter_map(|(code, value)| {
            let value = value.as_ref()?;
            Some(json!({ "field_code": code, "values": [{ "value": value, "enum_code": "WORK" }] }))
        });
        let values: Vec<Value> = own.chain(reached).collect();
        let mut row = json!({
            "first_name": new.given,
            "custom_fields_values": values,
            "request_id": new.customer.to_string(),
        });
        if let Some(family) = &new.family {
            row["last_name"] = family.as_str().into();
        }
        let body = json!([row]);
        let reply = self.call(|base| Request::post(format!("{base}/contacts")).json(&body)).await?;
        wire::done(&reply, &*self.tools.clock)?;
        let made = wire::id(&reply.json()?["_embedded"]["contacts"][0]["id"]);
        made.map(ContactId).ok_or_else(|| Failure::transient("amoCRM's answer names no contact"))
    }

    /// Empties a contact that cannot be deleted: nobody finds it any more, and a note says who it was.
    pub(super) async fn retire_contact(&mut self, younger: &ContactId, elder: &ContactId) -> Result<(), Failure> {
        let Some(row) = self.row(younger).await? else { return Ok(()) };
        let mark = wire::contact(&row, &self.settings).map(|contact| contact.mark()).unwrap_or_default();
        let is_emptied = row["first_name"] == DOUBLE && mark.is_empty();
        if !is_emptied && (mark.customers().len() != 1 || mark.is_foreign()) {
            return Err(Failure::poison(format!(
                "the contact {younger} is not Snova's alone; merge it into {elder} in amoCRM by hand"
            )));
        }
        let path = format!("/contacts/{younger}/notes");
        let text = double_text(self.language, &self.settings.url, elder);
        let wanted = [("filter[note_type][]", "common"), ("limit", "250")];
        let (notes, _) = self.page_of(&path, "notes", 1, &wanted).await?;
        if !notes.iter().any(|note| note["params"]["text"] == text.as_str()) {
            let body = json!([{ "note_type": "common", "params": { "text": text } }]);
            let reply = self.call(|base| Request::post(format!("{base}{path}")).json(&body)).await?;
            wire::done(&reply, &*self.tools.clock)?;
        }
        if is_emptied {
            return Ok(());
        }
        // Every value that this contact has was given to it by Snova.
        let codes = ["PHONE", "EMAIL"].into_iter().map(|code| json!({ "field_code": code, "values": null }));
        let fields = [&self.settings.fields.external_id, &self.settings.fields.patronymic].into_iter().flatten();
        let fields = fields.filter_map(|field| field.parse::<i64>().ok());
        let own = fields.map(|field| json!({ "field_id": field, "values": null }));
        let values: Vec<Value> = codes.chain(own).collect();
        let change = json!({ "first_name": DOUBLE, "last_name": "", "custom_fields_values": values });
        self.change(younger, &change).await
    }

    /// The newest change seen by an earlier walk; within a walk also the newest one of its own, and the page; last, how far
    /// the account's events were read.
    pub(super) async fn changed_contacts(&mut self, cursor: &str) -> Result<Changes, Failure> {
        let mut parts = cursor.split(' ').map(|part| part.parse::<i64>().ok());
        let newest_first = ("order[updated_at]", "desc");
        let Some(since) = parts.next().flatten() else {
            let (rows, _) = self.page(1, &[newest_first, ("limit", "1")]).await?;
            let newest = rows.first().and_then(|row| row["updated_at"].as_i64()).unwrap_or(0);
            return Ok(Changes { cursor: newest.to_string(), ..Changes::default() });
        };
        let newest = parts.next().flatten().filter(|newest| *newest > 0);
        let page = parts.next().flatten().unwrap_or(1).max(1);
        let heard = parts.next().flatten().unwrap_or(since);
        let (rows, more) = self.page(page as usize, &[newest_first, ("limit", &PAGE.to_string())]).await?;
        let stamps: Vec<i64> = rows.iter().map(|row| row["updated_at"].as_i64().unwrap_or(0)).collect();
        if !stamps.is_sorted_by(|a, b| a >= b) {
            return Err(Failure::blocked(
                "amoCRM does not sort contacts by their change; changes cannot be read",
                None,
            ));
        }
        let newest = newest.or(stamps.first().copied()).unwrap_or(since).max(since);
        let wanted: Vec<Value> =
            rows.into_iter().filter(|row| row["updated_at"].as_i64().is_none_or(|at| at >= since - OVERLAP)).collect();
        let mut contacts = self.contacts(&wanted).await?;
        if more && wanted.len() == stamps.len() {
            return Ok(Changes { contacts, cursor: format!("{since} {newest} {} {heard}", page + 1), more: true });
        }
        let (gone, heard) = self.gone_since(heard).await?;
        contacts.extend(gone);
        Ok(Changes { contacts, cursor: format!("{newest} 0 1 {heard}"), more: false })
    }

    /// Contacts that the account's events call deleted or merged, as far as they are gone; and how far the events were read.
    /// Which of a merge's contacts its event is about is unverified: each that it names is asked for.
    async fn gone_since(&mut self, heard: i64) -> Result<(Vec<Contact>, i64), Failure> {
        let (from, limit) = ((heard - OVERLAP).to_string(), EVENTS.to_string());
        let wanted = [
            ("filter[type][]", "contact_deleted"),
            ("filter[type][]", "entity_merged"),
            ("filter[created_at][from]", &*from),
            ("limit", &*limit),
        ];
        let (mut named, mut latest) = (BTreeSet::new(), heard);
        for page in 1..=MOST_PAGES {
            let (events, more) = match self.page_of("/events", "events", page, &wanted).await {
                Ok(events) => events,
                // Not every login may read events; who is gone is then met with the next visit.
                Err(failure) if failure.class == crate::crm::FailureClass::TenantBlocked && failure.wait.is_none() => {
                    break;
                }
                Err(failure) => return Err(failure),
            };
            for event in events.iter().filter(|event| event["entity_type"] == "contact") {
                named.extend(wire::id(&event["entity_id"]));
                for value in [&event["value_before"], &event["value_after"]] {
                    wire::ids_within(value, &mut named);
                }
                latest = latest.max(event["created_at"].as_i64().unwrap_or(0));
            }
            if !more {
                break;
            }
        }
        let there = if named.is_empty() { BTreeMap::new() } else { self.rows_of(&named).await? };
        let gone = named.into_iter().filter(|id| !there.contains_key(id));
        Ok((gone.map(|id| Contact { id, deleted: true, ..Contact::default() }).collect(), latest))
    }
}
