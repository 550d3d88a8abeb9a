//! SuiteCRM by its older API v4_1: meetings under our key by `set_entries`, each then tied to its contact.
//!
//! Reading its answers is `wire`'s, looking at the tenant is `probe`'s. A key that is there already makes the database
//! fail, and so does much else: what is there is asked for before and after, and nothing but that counts.

mod probe;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use md5::{Digest, Md5};
use serde_json::{Value, json};

use self::wire::Answer;
use super::{PHONES, SECRETS, Settings, Suspects};
use crate::crm::watermark::Watermark;
use crate::crm::{
    Changes, Contact, ContactId, Creation, CrmConnector, CrmSettings, Failure, Finding, Forgotten, Heartbeat, Http,
    Manners, NewContact, RecordId, Request, Seek, SentVisit, Standing, Told, Tools, VisitRecord, phone_like,
};
use crate::customer::Country;
use crate::i18n::Language;

/// SuiteCRM publishes no limit; five a second leave people at work their server.
const INTERVAL: Duration = Duration::from_millis(200);
/// Meetings of one call; a tenth of a second each.
const BATCH: usize = 20;
/// Contacts of one page.
const PAGE: u64 = 100;

/// The connector.
pub(super) struct SuiteCrm {
    settings: Settings,
    user: String,
    url: String,
    country: Option<Country>,
    language: Language,
    http: Http,
    tools: Tools,
    session: Option<String>,
    suspects: Suspects,
}

impl SuiteCrm {
    pub fn new(
        settings: &Settings,
        user: &str,
        path: &str,
        common: &CrmSettings,
        tools: &Tools,
    ) -> Result<Self, Failure> {
        Ok(Self {
            settings: settings.clone(),
            user: user.to_owned(),
            url: format!("{}{path}", settings.url),
            country: common.country,
            language: common.language,
            http: Http::new(&common.http, tools, INTERVAL)?,
            tools: tools.clone(),
            session: None,
            suspects: Suspects::default(),
        })
    }

    async fn log_in(&mut self) -> Result<String, Failure> {
        let password = self.tools.secrets.secret(SECRETS[1]).map_err(Failure::auth)?.ok_or_else(|| {
            Failure::auth(format!("no password is kept; give it with `snova crm secret {}`", SECRETS[1]))
        })?;
        let digest: String = Md5::digest(password.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        let body = json!({
            "user_auth": { "user_name": self.user, "password": digest, "version": "1" },
            "application_name": "snova", "name_value_list": [],
        });
        let reply = self.http.send(&request(&self.url, "login", &body)).await?;
        let refused = || Failure::transient("SuiteCRM's login answer holds no session");
        let Answer::Done(body) = wire::answer(&reply, &*self.tools.clock)? else { return Err(refused()) };
        let session = body["id"].as_str().filter(|id| !id.is_empty()).ok_or_else(refused)?.to_owned();
        self.session = Some(session.clone());
        Ok(session)
    }

    /// The answer to one method, or `None` where the database failed in it.
    async fn try_call(&mut self, method: &str, arguments: &Value) -> Result<Option<Value>, Failure> {
        for _ in 0..2 {
            let session = match &self.session {
                Some(session) => session.clone(),
                None => self.log_in().await?,
            };
            let mut arguments = arguments.clone();
            arguments["session"] = session.into();
            let reply = self.http.send(&request(&self.url, method, &arguments)).await?;
            match wire::answer(&reply, &*self.tools.clock)? {
                Answer::Done(body) => return Ok(Some(body)),
                Answer::Failed => return Ok(None),
                Answer::SessionOver => self.session = None,
            }
        }
        Err(Failure::auth("SuiteCRM accepted the login and then refused the session; see its session settings"))
    }

    async fn call(&mut self, method: &str, arguments: &Value) -> Result<Value, Failure> {
        let done = self.try_call(method, arguments).await?;
        done.ok_or_else(|| {
            Failure::transient(format!("SuiteCRM failed in {method} (HTTP 500); see suitecrm.log there if it stays so"))
        })
    }

    async fn entries(&mut self, module: &str, ids: &[String], fields: &[&str]) -> Result<Vec<Value>, Failure> {
        let arguments = json!({
            "module_name": module, "ids": ids, "select_fields": fields, "link_name_to_fields_array": [],
            "track_view": false,
        });
        wire::entries(&mut self.call("get_entries", &arguments).await?)
    }

    /// Which of these meetings are there, and whether each has its time.
    async fn meetings(&mut self, keys: &[String]) -> Result<BTreeMap<String, bool>, Failure> {
        if keys.is_empty() {
            return Ok(BTreeMap::new());
        }
        let entries = self.entries("Meetings", keys, &["id", "date_start", "deleted"]).await?;
        Ok(wire::dated(&entries).collect())
    }

    /// Which of these records are in the bin: their ids are used up.
    async fn thrown_away(&mut self, module: &str, ids: &[String]) -> Result<BTreeSet<String>, Failure> {
        let quoted: Vec<String> = ids.iter().map(|id| format!("'{id}'")).collect();
        let query = format!("{}.id IN ({})", module.to_lowercase(), quoted.join(","));
        let arguments = json!({
            "module_name": module, "query": query, "order_by": "", "offset": 0, "select_fields": ["id"],
            "link_name_to_fields_array": [], "max_results": ids.len(), "deleted": 1, "favorites": false,
        });
        let body = self.call("get_entry_list", &arguments).await?;
        let listed = body["entry_list"].as_array().into_iter().flatten();
        Ok(listed.filter_map(|entry| entry["id"].as_str().map(str::to_owned)).collect())
    }

    /// A page of contacts for which a condition in SQL holds, and whether there are more.
    async fn contacts(&mut self, condition: &str, offset: u64) -> Result<(Vec<Value>, bool), Failure> {
        let mut fields = vec!["id", "deleted"];
        fields.extend(super::columns(&self.settings.fields)?);
        let arguments = json!({
            "module_name": "Contacts", "query": condition, "order_by": "contacts.date_modified", "offset": offset,
            "select_fields": fields, "link_name_to_fields_array": [], "max_results": PAGE, "deleted": 0,
            "favorites": false,
        });
        let mut body = self.call("get_entry_list", &arguments).await?;
        let entries = wire::entries(&mut body)?;
        let read = offset + entries.len() as u64;
        let more = wire::number(&body["total_count"]).map_or(entries.len() as u64 == PAGE, |total| read < total);
        let more = more && !entries.is_empty();
        Ok((entries, more))
    }

    fn rows(&self, visits: &[&VisitRecord]) -> Value {
        let row = |visit: &&VisitRecord| {
            let mut row = values(&super::meeting(visit, self.language));
            row.push(pair("new_with_id", true));
            row.push(pair("id", visit.key.to_string()));
            Value::Array(row)
        };
        json!({ "module_name": "Meetings", "name_value_lists": visits.iter().map(row).collect::<Vec<_>>() })
    }

    /// Creates what is not there and says what is there then. The answer itself is not trusted.
    async fn create_meetings(&mut self, visits: &[VisitRecord]) -> Result<BTreeMap<String, bool>, Failure> {
        let keys: Vec<String> = visits.iter().map(|visit| visit.key.to_string()).collect();
        let before = self.meetings(&keys).await?;
        let absent = missing(visits, &before);
        if absent.is_empty() {
            return Ok(before);
        }
        let rows = self.rows(&absent);
        let failed = self.try_call("set_entries", &rows).await?.is_none();
        let there = self.meetings(&keys).await?;
        let (taken, left): (Vec<_>, Vec<_>) =
            absent.into_iter().partition(|visit| there.contains_key(&visit.key.to_string()));
        taken.iter().for_each(|visit| self.suspects.took(visit.key));
        if !failed || visits.len() == 1 || left.is_empty() {
            return Ok(there);
        }
        // The database failed at one row: those before it were kept, those after it never looked at. Each goes alone.
        for visit in left {
            let rows = self.rows(&[visit]);
            self.try_call("set_entries", &rows).await?;
            if !self.meetings(&[visit.key.to_string()]).await?.is_empty() {
                self.suspects.took(visit.key);
            }
        }
        self.meetings(&keys).await
    }

    /// A refusal without a reason. From the second one on an earlier visit is written once more, unchanged: if that
    /// goes well, it is this one's fault; if not, it is nobody's, and all wait.
    async fn judge(&mut self, visit: &VisitRecord) -> Result<Failure, Failure> {
        if self.suspects.refused(visit.key) {
            return Ok(super::unexplained());
        }
        let Some(earlier) = self.suspects.taken.map(|key| key.to_string()) else { return Err(super::unexplained()) };
        // An id that is not there is passed over, which would prove nothing.
        let is_there = !self.meetings(std::slice::from_ref(&earlier)).await?.is_empty();
        let row = json!({ "module_name": "Meetings", "name_value_list": [pair("id", earlier)] });
        let written = is_there && self.try_call("set_entry", &row).await?.is_some();
        if written { Ok(super::at_fault()) } else { Err(super::unexplained()) }
    }

    /// A parent alone does not put the meeting into the contact's list. Safe to repeat; `false` where there is no such
    /// contact.
    async fn tie(&mut self, key: &str, contact: &ContactId) -> Result<bool, Failure> {
        let arguments = json!({
            "module_name": "Meetings", "module_id": key, "link_field_name": "contacts", "related_ids": [contact.0],
            "name_value_list": [], "delete": 0,
        });
        let body = self.call("set_relationship", &arguments).await?;
        let count = |name: &str| wire::number(&body[name]).unwrap_or(0);
        match (count("created"), count("failed")) {
            (1.., _) => Ok(true),
            (_, 1..) => Ok(false),
            _ => Err(Failure::transient("SuiteCRM does not say whether a meeting was tied to its contact")),
        }
    }

    async fn set_entry(&mut self, module: &str, row: Vec<Value>) -> Result<Value, Failure> {
        self.call("set_entry", &json!({ "module_name": module, "name_value_list": row })).await
    }

    /// Writes the external id and reads it again: v4_1 passes over unknown fields and unknown ids. `None` where there
    /// is no such contact.
    async fn write_external_id(&mut self, contact: &ContactId, value: &str) -> Result<Option<()>, Failure> {
        let field = super::external_id(&self.settings.fields)?.to_owned();
        self.set_entry("Contacts", vec![pair("id", contact.0.as_str()), pair(&field, value)]).await?;
        match self.contact(contact).await? {
            None => Ok(None),
            Some(kept) if kept.external_id.as_deref().unwrap_or_default() == value => Ok(Some(())),
            Some(_) => Err(super::not_kept(&field)),
        }
    }
}

fn request(url: &str, method: &str, arguments: &Value) -> Request {
    Request::post(url).form(&[
        ("method", method),
        ("input_type", "JSON"),
        ("response_type", "JSON"),
        ("rest_data", &arguments.to_string()),
    ])
}

fn pair(name: &str, value: impl Into<Value>) -> Value {
    json!({ "name": name, "value": value.into() })
}

fn values(values: &[(&str, String)]) -> Vec<Value> {
    values.iter().map(|(name, value)| pair(name, value.as_str())).collect()
}

fn missing<'a>(visits: &'a [VisitRecord], there: &BTreeMap<String, bool>) -> Vec<&'a VisitRecord> {
    visits.iter().filter(|visit| !there.contains_key(&visit.key.to_string())).collect()
}

/// A text within a question in SQL, which v4_1 hands to the database as it is: what is not a letter, a digit or plainly
/// harmless becomes "any one character", and what is found is compared anew.
fn like(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+' | '@') { c } else { '_' })
        .collect()
}

#[async_trait]
impl CrmConnector for SuiteCrm {
    fn manners(&self) -> Manners {
        Manners {
            keyed: true,
            batch: BATCH,
            keyed_contacts: true,
            settle: Duration::ZERO,
            needs_contact: true,
            mark_chars: 255,
        }
    }

    async fn record(&mut self, visits: &[VisitRecord]) -> Result<Vec<Result<RecordId, Failure>>, Failure> {
        let there = self.create_meetings(visits).await?;
        let absent: Vec<String> = missing(visits, &there).iter().map(|visit| visit.key.to_string()).collect();
        let thrown = if absent.is_empty() { BTreeSet::new() } else { self.thrown_away("Meetings", &absent).await? };
        let mut rows = Vec::with_capacity(visits.len());
        for visit in visits {
            let key = visit.key.to_string();
            rows.push(match there.get(&key) {
                Some(true) if self.tie(&key, &visit.contact).await? => Ok(RecordId(key)),
                Some(true) => Err(super::contact_gone()),
                Some(false) => {
                    let said = "SuiteCRM took a visit and lost its time; see that it keeps date_start";
                    return Err(Failure::blocked(said, None));
                }
                // Somebody there has thrown it away: it was recorded, and stays away.
                None if thrown.contains(&key) => Ok(RecordId(key)),
                None => Err(self.judge(visit).await?),
            });
        }
        Ok(rows)
    }

    async fn reconcile(&mut self, visits: &[VisitRecord]) -> Result<Vec<Option<RecordId>>, Failure> {
        let keys: Vec<String> = visits.iter().map(|visit| visit.key.to_string()).collect();
        let there = self.meetings(&keys).await?;
        Ok(keys.into_iter().map(|key| there.contains_key(&key).then_some(RecordId(key))).collect())
    }

    async fn void(&mut self, visit: &SentVisit) -> Result<(), Failure> {
        // An id that is not there is passed over.
        let row = vec![pair("id", visit.key.to_string()), pair("status", "Not Held")];
        self.set_entry("Meetings", row).await.map(|_| ())
    }

    async fn forget(&mut self, gone: &Forgotten) -> Result<(), Failure> {
        for visits in gone.visits.chunks(BATCH) {
            let keys: Vec<String> = visits.iter().map(|visit| visit.key.to_string()).collect();
            for key in self.meetings(&keys).await?.into_keys() {
                self.set_entry("Meetings", vec![pair("id", key), pair("deleted", 1)]).await?;
            }
            if !self.meetings(&keys).await?.is_empty() {
                let said = "SuiteCRM did not remove a meeting; give the user's role the right to delete meetings";
                return Err(Failure::blocked(said, None));
            }
        }
        Ok(())
    }

    async fn find(&mut self, sought: &Seek) -> Result<Vec<Contact>, Failure> {
        let condition = match sought {
            Seek::Mark(customer) => {
                let field = super::external_id(&self.settings.fields)?;
                // Fields of a tenant's own live in a table of their own.
                let table = if field.ends_with("_c") { "contacts_cstm" } else { "contacts" };
                format!("{table}.{field} = '{customer}'")
            }
            Seek::Phone(phone) => {
                let pattern = phone_like(phone);
                let any: Vec<String> =
                    PHONES.iter().map(|field| format!("contacts.{field} LIKE '{pattern}'")).collect();
                format!("({})", any.join(" OR "))
            }
            Seek::Email(email) => format!(
                "contacts.id IN (SELECT eabr.bean_id FROM email_addr_bean_rel eabr JOIN email_addresses ea ON ea.id = \
                 eabr.email_address_id WHERE eabr.bean_module = 'Contacts' AND eabr.deleted = 0 AND ea.deleted = 0 AND \
                 ea.email_address_caps LIKE '{}')",
                like(&email.to_uppercase())
            ),
        };
        let (entries, _) = self.contacts(&condition, 0).await?;
        let contacts = entries.iter().filter_map(|entry| wire::read_contact(entry, &self.settings.fields));
        Ok(contacts.filter(|contact| sought.is_met_by(contact, self.country)).collect())
    }

    async fn write_mark(&mut self, contact: &ContactId, text: &str) -> Result<(), Failure> {
        let written = self.write_external_id(contact, text).await?;
        written.ok_or_else(|| Failure::contact_gone("the contact is not in SuiteCRM any more"))
    }

    async fn create(&mut self, new: &NewContact) -> Result<Creation, Failure> {
        let field = super::external_id(&self.settings.fields)?.to_owned();
        let id = ContactId(new.key.to_string());
        let mut row = values(&super::new_contact(new, &self.settings.fields)?);
        if self.contact(&id).await?.is_none() {
            let mut id = id.clone();
            if self.thrown_away("Contacts", std::slice::from_ref(&id.0)).await?.is_empty() {
                row.extend([pair("new_with_id", true), pair("id", id.0.as_str())]);
                self.set_entry("Contacts", row).await?;
            } else {
                // Somebody threw that one away, and its id is used up.
                let body = self.set_entry("Contacts", row).await?;
                let fresh = body["id"].as_str().filter(|id| !id.is_empty());
                id = ContactId(fresh.ok_or_else(|| Failure::transient("SuiteCRM names no contact"))?.to_owned());
            }
            return match self.contact(&id).await? {
                Some(kept) if kept.external_id.as_deref() == Some(&*new.mark) => Ok(Creation::Made(id)),
                Some(_) => Err(super::not_kept(&field)),
                None => Err(Failure::transient("SuiteCRM took a new contact and does not have it")),
            };
        }
        Ok(Creation::Made(id))
    }

    async fn contact(&mut self, id: &ContactId) -> Result<Option<Contact>, Failure> {
        let settings = self.settings.clone();
        let mut fields = vec!["id", "deleted"];
        fields.extend(super::columns(&settings.fields)?);
        let entries = self.entries("Contacts", std::slice::from_ref(&id.0), &fields).await?;
        Ok(entries.iter().find_map(|entry| wire::read_contact(entry, &settings.fields)))
    }

    async fn changed(&mut self, cursor: &str) -> Result<Changes, Failure> {
        let Some(mark) = Watermark::read(cursor) else {
            let begin = Watermark::begin(self.tools.clock.wall().at);
            return Ok(Changes { cursor: begin.cursor(), ..Changes::default() });
        };
        let condition = format!("contacts.date_modified >= '{}'", super::time(mark.since));
        let (entries, more) = self.contacts(&condition, mark.skip).await?;
        let next = mark.after(entries.iter().filter_map(wire::stamp).max(), entries.len() as u64, more);
        let contacts = entries.iter().filter_map(|entry| wire::read_contact(entry, &self.settings.fields)).collect();
        Ok(Changes { contacts, cursor: next.cursor(), more })
    }

    async fn amend(&mut self, _visit: &VisitRecord, _sent: &SentVisit) -> Result<(), Failure> {
        Err(Failure::blocked("not built yet", None))
    }

    async fn retire(&mut self, _younger: &ContactId, _elder: &ContactId) -> Result<(), Failure> {
        Err(Failure::blocked("not built yet", None))
    }

    async fn visits_of(&mut self, _contact: &ContactId) -> Result<Vec<Standing>, Failure> {
        Err(Failure::blocked("not built yet", None))
    }

    async fn tell(&mut self, _told: &[(ContactId, Told)]) -> Result<Vec<Result<(), Failure>>, Failure> {
        Err(Failure::blocked("not built yet", None))
    }

    async fn prepare(&mut self) -> Vec<Finding> {
        Vec::new()
    }

    async fn probe(&mut self) -> Vec<Finding> {
        probe::probe(self).await
    }

    /// SuiteCRM has no place for it.
    async fn heartbeat(&mut self, _: &Heartbeat) -> Result<bool, Failure> {
        Ok(false)
    }

    /// The session is left out, as a login is; the arguments are shown as they are before they become a form.
    fn preview(&self, visits: &[VisitRecord]) -> Vec<String> {
        let shown = |method: &str, arguments: &Value| {
            format!("{method}, by {}", Request::post(&self.url).json(arguments).in_words())
        };
        let visits: Vec<&VisitRecord> = visits.iter().collect();
        visits.chunks(BATCH).map(|batch| shown("set_entries", &self.rows(batch))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_an_address_reaches_the_database_as_sql() {
        assert_eq!(like("ANNA.O'NEIL+SHOP@X.RU"), "ANNA.O_NEIL+SHOP@X.RU");
        assert_eq!(like("a\\'; DROP%\"ж"), "a____DROP___");
    }
}
