//! SuiteCRM by its older API v4_1: visits as `meetings` has them, everything else by entries and questions in SQL.
//!
//! Reading its answers is `wire`'s. A key that is there already makes the database fail, and so does much else: what is
//! there is asked for before and after, and nothing but that counts.

mod meetings;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use md5::{Digest, Md5};
use serde_json::{Value, json};

use self::wire::Answer;
use super::SECRETS;
use crate::crm::refresh::kept;
use crate::crm::watermark::Watermark;
use crate::crm::{
    Failure, Finding, Http, HttpSettings, Manners, Mark, RecordId, Request, Seek, Tools, VisitRecord, phone_like,
};
use crate::vendors::sugar::connector::Api;
use crate::vendors::sugar::findings;
use crate::vendors::sugar::shape::{CONTACTS, MEETINGS, PHONES, Row, Shape, Values};

/// SuiteCRM publishes no limit; five a second leave people at work their server.
const INTERVAL: Duration = Duration::from_millis(200);
/// Rows of one call; a tenth of a second each.
const BATCH: usize = 20;
/// Rows of one page.
const PAGE: u64 = 100;
/// Contacts in the bin that one look tells of: their ids alone.
const MOST_GONE: u64 = 1000;

/// The connector.
pub(super) struct SuiteCrm {
    shape: Arc<Shape>,
    user: String,
    url: String,
    http: Http,
    tools: Tools,
    session: Option<String>,
    /// Snova's own user, as the login tells it.
    own_user: Option<String>,
}

impl SuiteCrm {
    pub fn new(
        shape: Arc<Shape>,
        user: &str,
        url: String,
        http: &HttpSettings,
        tools: &Tools,
    ) -> Result<Self, Failure> {
        Ok(Self {
            shape,
            user: user.to_owned(),
            url,
            http: Http::new(http, tools, INTERVAL)?,
            tools: tools.clone(),
            session: None,
            own_user: None,
        })
    }

    async fn log_in(&mut self) -> Result<String, Failure> {
        let password = kept(&self.tools, SECRETS[1])?;
        let digest: String = Md5::digest(password.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        let body = json!({
            "user_auth": { "user_name": self.user, "password": digest, "version": "1" },
            "application_name": "snova", "name_value_list": [],
        });
        let reply = self.http.send(&request(&self.url, "login", &body)).await?;
        let refused = || Failure::transient("SuiteCRM's login answer holds no session");
        let Answer::Done(body) = wire::answer(&reply, &*self.tools.clock)? else { return Err(refused()) };
        let session = body["id"].as_str().filter(|id| !id.is_empty()).ok_or_else(refused)?.to_owned();
        self.own_user = body["name_value_list"]["user_id"]["value"].as_str().map(str::to_owned);
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

    /// Those of these rows that are not in the bin.
    async fn entries(&mut self, module: &str, ids: &[String], fields: &[String]) -> Result<Vec<Row>, Failure> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut rows = wire::rows(&self.call("get_entries", &entries(module, ids, fields, json!([]))).await?)?;
        rows.retain(|row| !row.deleted);
        Ok(rows)
    }

    /// Rows for which a condition in SQL holds, in or out of the bin, and whether there are more.
    async fn list(&mut self, question: &Question<'_>, fields: &[String]) -> Result<(Vec<Row>, bool), Failure> {
        let module = question.module;
        let mut wanted = vec!["id".to_owned(), "deleted".to_owned()];
        wanted.extend_from_slice(fields);
        let arguments = json!({
            "module_name": module, "query": question.condition,
            "order_by": format!("{}.date_modified", module.to_lowercase()), "offset": question.offset,
            "select_fields": wanted, "link_name_to_fields_array": [], "max_results": question.most,
            "deleted": i32::from(question.in_bin), "favorites": false,
        });
        let body = self.call("get_entry_list", &arguments).await?;
        let mut rows = wire::rows(&body)?;
        let read = question.offset + rows.len() as u64;
        let is_full = rows.len() as u64 == question.most;
        let more = wire::number(&body["total_count"]).map_or(is_full, |total| read < total);
        if question.in_bin {
            rows.iter_mut().for_each(|row| row.deleted = true);
        } else {
            rows.retain(|row| !row.deleted);
        }
        Ok((rows, more))
    }

    /// Which of these are in the bin: their ids are used up.
    async fn thrown_away(&mut self, module: &'static str, ids: &[String]) -> Result<BTreeSet<String>, Failure> {
        if ids.is_empty() {
            return Ok(BTreeSet::new());
        }
        let quoted: Vec<String> = ids.iter().map(|id| format!("'{}'", like(id))).collect();
        let condition = format!("{}.id IN ({})", module.to_lowercase(), quoted.join(","));
        let question = Question { module, condition: &condition, in_bin: true, offset: 0, most: ids.len() as u64 };
        Ok(self.list(&question, &[]).await?.0.into_iter().map(|row| row.id).collect())
    }

    async fn set_entries(&mut self, module: &str, rows: Vec<Value>) -> Result<Option<Value>, Failure> {
        self.try_call("set_entries", &json!({ "module_name": module, "name_value_lists": rows })).await
    }
}

/// What is asked of a module in SQL.
struct Question<'a> {
    module: &'static str,
    condition: &'a str,
    in_bin: bool,
    offset: u64,
    most: u64,
}

fn entries(module: &str, ids: &[String], fields: &[String], links: Value) -> Value {
    let mut wanted = vec!["id".to_owned(), "deleted".to_owned()];
    wanted.extend_from_slice(fields);
    json!({
        "module_name": module, "ids": ids, "select_fields": wanted, "link_name_to_fields_array": links,
        "track_view": false,
    })
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

/// A row to be written; `new` is one under an id of ours.
fn written(id: &str, values: &Values, new: bool) -> Value {
    let mut row: Vec<Value> = values.iter().map(|(name, value)| pair(name, value.clone())).collect();
    row.extend(new.then(|| pair("new_with_id", true)));
    row.push(pair("id", id));
    row.into()
}

/// A text within a question in SQL, which v4_1 hands to the database as it is: what is not a letter, a digit or plainly
/// harmless becomes "any one character", and what is found is compared anew.
fn like(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+' | '@') { c } else { '_' })
        .collect()
}

#[async_trait]
impl Api for SuiteCrm {
    fn shape(&self) -> Arc<Shape> {
        Arc::clone(&self.shape)
    }

    fn ways(&self) -> Manners {
        super::ways(BATCH)
    }

    fn now(&self) -> jiff::Timestamp {
        self.tools.clock.wall().at
    }

    async fn read(&mut self, module: &'static str, ids: &[String], fields: &[String]) -> Result<Vec<Row>, Failure> {
        let mut rows = self.entries(module, ids, fields).await?;
        let absent: Vec<String> = ids.iter().filter(|id| !rows.iter().any(|row| row.id == **id)).cloned().collect();
        let binned = self.thrown_away(module, &absent).await?;
        rows.extend(binned.into_iter().map(|id| Row { id, deleted: true, ..Row::default() }));
        Ok(rows)
    }

    async fn search(&mut self, sought: &Seek) -> Result<Vec<Row>, Failure> {
        let any = |conditions: Vec<String>| format!("({})", conditions.join(" OR "));
        let condition = match sought {
            Seek::Mark(customer) => {
                let field = self.shape.external_id()?;
                // Fields of a tenant's own live in a table of their own.
                let table = if field.ends_with("_c") { "contacts_cstm" } else { "contacts" };
                any(Mark::words(*customer).map(|word| format!("{table}.{field} LIKE '%{}%'", like(&word))).into())
            }
            Seek::Phone(phone) => {
                let pattern = phone_like(phone);
                any(PHONES.map(|field| format!("contacts.{field} LIKE '{pattern}'")).into())
            }
            Seek::Email(email) => format!(
                "contacts.id IN (SELECT eabr.bean_id FROM email_addr_bean_rel eabr JOIN email_addresses ea ON ea.id = \
                 eabr.email_address_id WHERE eabr.bean_module = 'Contacts' AND eabr.deleted = 0 AND ea.deleted = 0 AND \
                 ea.email_address_caps LIKE '{}')",
                like(&email.to_uppercase())
            ),
        };
        let columns = self.shape.contact_columns()?;
        let question = Question { module: CONTACTS, condition: &condition, in_bin: false, offset: 0, most: PAGE };
        Ok(self.list(&question, &columns).await?.0)
    }

    async fn since(&mut self, mark: &Watermark) -> Result<(Vec<Row>, Vec<String>, bool), Failure> {
        let condition = format!("contacts.date_modified >= '{}'", super::time(mark.since));
        let columns = self.shape.contact_columns()?;
        let live = Question { module: CONTACTS, condition: &condition, in_bin: false, offset: mark.skip, most: PAGE };
        let (rows, more) = self.list(&live, &columns).await?;
        let (gone, _) = self.list(&Question { in_bin: true, offset: 0, most: MOST_GONE, ..live }, &[]).await?;
        Ok((rows, gone.into_iter().map(|row| row.id).collect(), more))
    }

    async fn create_contact(&mut self, id: &str, values: &Values) -> Result<Option<Row>, Failure> {
        let (ids, columns) = ([id.to_owned()], self.shape.contact_columns()?);
        if !self.read(CONTACTS, &ids, &columns).await?.is_empty() {
            return Ok(None);
        }
        let row = written(id, values, true);
        let taken = self.set_entries(CONTACTS, vec![row]).await?.is_some();
        let there = self.entries(CONTACTS, &ids, &columns).await?.pop();
        match (taken, there) {
            (true, Some(row)) => Ok(Some(row)),
            // The database failed, and somebody is there: another box was quicker, or this answer was lost.
            (false, Some(_)) => Ok(None),
            (_, None) => Err(Failure::transient("SuiteCRM did not take a new contact; see suitecrm.log there")),
        }
    }

    /// What v4_1 answers says nothing of what it wrote: unknown ids and fields are passed over. So the rows are read.
    async fn change(
        &mut self,
        module: &'static str,
        rows: &[(String, Values)],
    ) -> Result<Vec<Result<Option<Row>, Failure>>, Failure> {
        let mut changed = Vec::with_capacity(rows.len());
        for rows in rows.chunks(BATCH) {
            let lists = rows.iter().map(|(id, values)| written(id, values, false)).collect();
            if self.set_entries(module, lists).await?.is_none() {
                return Err(Failure::transient("SuiteCRM failed in changing a record; see suitecrm.log there"));
            }
            let fields: BTreeSet<String> = rows.iter().flat_map(|(_, values)| values.keys().cloned()).collect();
            let ids: Vec<String> = rows.iter().map(|(id, _)| id.clone()).collect();
            let there = self.entries(module, &ids, &Vec::from_iter(fields)).await?;
            let mut there: BTreeMap<String, Row> = there.into_iter().map(|row| (row.id.clone(), row)).collect();
            changed.extend(ids.iter().map(|id| Ok(there.remove(id))));
        }
        Ok(changed)
    }

    async fn remove(&mut self, module: &'static str, ids: &[String]) -> Result<(), Failure> {
        for ids in ids.chunks(BATCH) {
            let there = self.entries(module, ids, &[]).await?;
            let rows: Vec<Value> =
                there.iter().map(|row| json!([pair("id", row.id.as_str()), pair("deleted", 1)])).collect();
            if rows.is_empty() {
                continue;
            }
            let done = self.set_entries(module, rows).await?.is_some();
            if !self.entries(module, ids, &[]).await?.is_empty() {
                let said =
                    format!("SuiteCRM did not remove a record; give the user's role the right to delete {module}");
                return Err(if done { Failure::blocked(said, None) } else { Failure::transient(said) });
            }
        }
        Ok(())
    }

    async fn meetings_of(&mut self, contact: &str) -> Result<Option<Vec<Row>>, Failure> {
        let mut columns = self.shape.meeting_columns();
        columns.push("id".to_owned());
        let mut rows = Vec::new();
        loop {
            let arguments = json!({
                "module_name": CONTACTS, "module_id": contact, "link_field_name": "meetings",
                "related_module_query": "", "related_fields": columns,
                "related_module_link_name_to_fields_array": [], "deleted": 0, "order_by": "date_entered",
                "offset": rows.len(), "limit": PAGE,
            });
            let page = wire::rows(&self.call("get_relationships", &arguments).await?)?;
            let is_last = (page.len() as u64) < PAGE;
            rows.extend(page);
            if is_last {
                break;
            }
        }
        // A contact that is gone has an empty list, too.
        let is_there = !rows.is_empty() || !self.entries(CONTACTS, &[contact.to_owned()], &[]).await?.is_empty();
        Ok(is_there.then_some(rows))
    }

    async fn send(&mut self, visits: &[VisitRecord]) -> Result<Vec<Result<RecordId, Failure>>, Failure> {
        self.record_all(visits).await
    }

    async fn look(&mut self) -> Result<Vec<Finding>, Failure> {
        self.session = None;
        self.log_in().await?;
        let modules = match self.call("get_available_modules", &json!({ "filter": "all" })).await {
            Ok(mut body) => body["modules"].take(),
            Err(failure) => return Ok(vec![Finding::warning("modules and rights", failure.to_string())]),
        };
        // Each module comes with a list of `{"action": …, "access": …}`; one that is not listed gives nothing.
        let lacking = |module: &str| {
            let own = modules.as_array().into_iter().flatten().find(|own| own["module_key"] == module);
            let denied = |right: &str| {
                let acls = own.and_then(|own| own["acls"].as_array()).map(Vec::as_slice).unwrap_or_default();
                own.is_none() || acls.iter().any(|acl| acl["action"] == right && acl["access"] == false)
            };
            ["list", "view", "edit", "delete"].into_iter().filter(|right| denied(right)).collect::<Vec<_>>()
        };
        Ok([MEETINGS, CONTACTS].map(|module| findings::rights(module, &lacking(module))).into())
    }

    async fn fields(&mut self, module: &'static str) -> Result<BTreeSet<String>, Failure> {
        let body = self.call("get_module_fields", &json!({ "module_name": module, "fields": [] })).await?;
        let fields = body["module_fields"].as_object();
        Ok(fields.into_iter().flat_map(|fields| fields.keys().cloned()).collect())
    }

    /// The session is left out, as a login is; the arguments are shown as they are before they become a form.
    fn show(&self, visits: &[VisitRecord]) -> Vec<String> {
        let shown = |batch: &[VisitRecord]| {
            let rows: Vec<Value> = batch.iter().map(|visit| self.new_meeting(visit, None)).collect();
            let arguments = json!({ "module_name": MEETINGS, "name_value_lists": rows });
            format!("set_entries, by {}", Request::post(&self.url).json(&arguments).in_words())
        };
        visits.chunks(BATCH).map(shown).collect()
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
