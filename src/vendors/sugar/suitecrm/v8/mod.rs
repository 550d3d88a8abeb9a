//! SuiteCRM by its V8 API: one meeting a call, created under our key and with its contact.
//!
//! Visits are in `meetings`, reading answers is `wire`'s, searching by e-mail `addresses`'.

mod addresses;
mod meetings;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};

use self::addresses::Addresses;
use self::wire::{Outcome, Refusal};
use super::SECRETS;
use crate::crm::refresh::kept;
use crate::crm::watermark::Watermark;
use crate::crm::{
    Failure, Finding, Http, HttpSettings, Manners, Mark, RecordId, Reply, Request, Seek, Token, Tools, VisitRecord,
    phone_like, quoted_path,
};
use crate::vendors::sugar::connector::Api;
use crate::vendors::sugar::findings;
use crate::vendors::sugar::shape::{CONTACTS, MEETINGS, PHONES, Row, Shape, Values};

/// SuiteCRM publishes no limit; five a second leave people at work their server.
const INTERVAL: Duration = Duration::from_millis(200);
/// Rows of one page.
const PAGE: u64 = 50;
/// Contacts in the bin that one look tells of.
const MOST_GONE: u64 = 50;
const KIND: &str = "application/vnd.api+json";

/// The connector.
pub(super) struct SuiteCrm {
    shape: Arc<Shape>,
    client_id: String,
    base: String,
    http: Http,
    tools: Tools,
    token: Option<Token>,
    /// Who looks after a contact, and who Snova itself is there.
    owners: BTreeMap<String, String>,
    own_user: Option<String>,
    /// Whether a meeting that is saved with a contact is in that contact's list, as SuiteCRM's code has it: proved by
    /// the first one.
    ties_by_saving: Option<bool>,
    addresses: Addresses,
}

impl SuiteCrm {
    pub fn new(
        shape: Arc<Shape>,
        client_id: &str,
        base: String,
        http: &HttpSettings,
        tools: &Tools,
    ) -> Result<Self, Failure> {
        Ok(Self {
            shape,
            client_id: client_id.to_owned(),
            base,
            http: Http::new(http, tools, INTERVAL)?,
            tools: tools.clone(),
            token: None,
            owners: BTreeMap::new(),
            own_user: None,
            ties_by_saving: None,
            addresses: Addresses::default(),
        })
    }

    async fn log_in(&mut self) -> Result<Token, Failure> {
        let secret = kept(&self.tools, SECRETS[0])?;
        let body = json!({
            "grant_type": "client_credentials", "client_id": self.client_id, "client_secret": secret,
        });
        let request = Request::post(format!("{}/access_token", self.base)).json(&body);
        let reply = self.http.send(&request).await?;
        let (token, lasts) = wire::token(&reply, &*self.tools.clock)?;
        let token = Token::new(token, self.tools.clock.monotonic(), lasts.map(Duration::from_secs));
        self.token = Some(token.clone());
        Ok(token)
    }

    /// Sends what `build` makes of the API's address; logs in anew where the session has ended.
    async fn call(&mut self, build: impl Fn(&str) -> Request + Send + Sync) -> Result<Reply, Failure> {
        let base = format!("{}/V8", self.base);
        for _ in 0..2 {
            let now = self.tools.clock.monotonic();
            let token = match &self.token {
                Some(token) if token.is_fresh(now) => token.clone(),
                _ => self.log_in().await?,
            };
            let request = build(&base).bearer(&token.value).header("accept", KIND);
            let reply = self.http.send(&request).await?;
            if !wire::is_session_over(&reply) {
                return Ok(reply);
            }
            self.token = None;
        }
        Err(Failure::auth(
            "SuiteCRM gave a token and then refused it; see that its web server passes the Authorization header on",
        ))
    }

    async fn get(&mut self, path: &str, id: &str, query: &[(&str, &str)]) -> Result<Outcome, Failure> {
        let reply = self.ask(path, query).await?;
        wire::outcome(&reply, id, &*self.tools.clock)
    }

    async fn ask(&mut self, path: &str, query: &[(&str, &str)]) -> Result<Reply, Failure> {
        self.call(|base| {
            let request = Request::get(format!("{base}{path}"));
            query.iter().fold(request, |request, (name, value)| request.query(name, value))
        })
        .await
    }

    /// `POST /module` creates, `PATCH /module` changes; the id is in the body.
    async fn write(&mut self, create: bool, module: &str, id: &str, values: &Values) -> Result<Outcome, Failure> {
        let body = document(module, id, values);
        let reply = self
            .call(|base| {
                let url = format!("{base}/module");
                if create { posted(url, &body) } else { Request::patch(url).body(KIND, body.to_string()) }
            })
            .await?;
        wire::outcome(&reply, id, &*self.tools.clock)
    }

    /// One page of contacts for which this holds, with the number of pages.
    async fn contacts(&mut self, filter: (&str, &str), page: u64) -> Result<(Vec<Row>, u64), Failure> {
        let columns = self.shape.contact_columns()?.join(",");
        let (size, number) = (PAGE.to_string(), page.to_string());
        let query = [
            (filter.0, filter.1),
            ("fields[Contacts]", &columns),
            ("page[size]", &size),
            ("page[number]", &number),
            // Ascending is without a sign.
            ("sort", "date_modified"),
        ];
        wire::rows(&self.get("/module/Contacts", "", &query).await?.done("a search for contacts")?)
    }

    /// A page of contacts changed since then, and whether there are more.
    async fn changed_since(&mut self, mark: &Watermark) -> Result<(Vec<Row>, bool), Failure> {
        let number = mark.skip / PAGE + 1;
        let (rows, pages) = self.contacts(("filter[date_modified][gte]", &super::time(mark.since)), number).await?;
        Ok((rows, number < pages))
    }

    /// V8 cannot list the bin: it refuses, and names the one record that it should have shown. One at a time they are
    /// told all the same.
    async fn thrown_away(&mut self, since: &str) -> Result<Vec<String>, Failure> {
        let mut gone = Vec::new();
        for number in 1..=MOST_GONE {
            let number = number.to_string();
            let query = [
                ("filter[deleted][eq]", "1"),
                ("filter[date_modified][gte]", since),
                ("fields[Contacts]", "date_modified"),
                ("page[size]", "1"),
                ("page[number]", &number),
                ("sort", "date_modified"),
            ];
            let reply = self.ask("/module/Contacts", &query).await?;
            if let Some(id) = wire::unshown(&reply) {
                gone.push(id);
                continue;
            }
            let body = wire::outcome(&reply, "", &*self.tools.clock)?.done("looking at contacts in the bin")?;
            let (rows, _) = wire::rows(&body)?;
            if rows.is_empty() {
                break;
            }
            gone.extend(rows.into_iter().map(|row| row.id));
        }
        Ok(gone)
    }
}

fn posted(url: String, body: &Value) -> Request {
    Request::post(url).body(KIND, body.to_string())
}

fn document(module: &str, id: &str, values: &Values) -> Value {
    json!({ "data": { "type": module, "id": id, "attributes": values } })
}

#[async_trait]
impl Api for SuiteCrm {
    fn shape(&self) -> Arc<Shape> {
        Arc::clone(&self.shape)
    }

    fn ways(&self) -> Manners {
        // V8 knows no batch.
        super::ways(1)
    }

    fn now(&self) -> jiff::Timestamp {
        self.tools.clock.wall().at
    }

    /// One in the bin is not told from one that never was.
    async fn read(&mut self, module: &'static str, ids: &[String], fields: &[String]) -> Result<Vec<Row>, Failure> {
        let mut rows = Vec::new();
        for id in ids {
            let path = format!("/module/{module}/{}", quoted_path(id));
            let query = [(&*format!("fields[{module}]"), &*fields.join(","))];
            if let Some(body) = self.get(&path, id, &query).await?.found("reading a record")? {
                let row = wire::row(&body["data"]);
                rows.push(row.ok_or_else(|| Failure::transient("SuiteCRM's answer holds no record"))?);
            }
        }
        Ok(rows)
    }

    async fn search(&mut self, sought: &Seek) -> Result<Vec<Row>, Failure> {
        // One field and one word at a time: before 7.13 or so, an "or" took in everybody who is not deleted.
        let asked: Vec<(String, String)> = match sought {
            Seek::Mark(customer) => {
                let field = self.shape.external_id()?;
                Mark::words(*customer).map(|word| (format!("filter[{field}][like]"), format!("%{word}%"))).into()
            }
            Seek::Phone(phone) => PHONES.map(|field| (format!("filter[{field}][like]"), phone_like(phone))).into(),
            Seek::Email(email) => return self.by_email(email).await,
        };
        let mut rows = Vec::new();
        for (name, value) in asked {
            rows.extend(self.contacts((&name, &value), 1).await?.0);
        }
        Ok(rows)
    }

    async fn since(&mut self, mark: &Watermark) -> Result<(Vec<Row>, Vec<String>, bool), Failure> {
        let (rows, more) = self.changed_since(mark).await?;
        let gone = self.thrown_away(&super::time(mark.since)).await?;
        Ok((rows, gone, more))
    }

    async fn create_contact(&mut self, id: &str, values: &Values) -> Result<Option<Row>, Failure> {
        match self.write(true, CONTACTS, id, values).await? {
            Outcome::Refused(Refusal::Exists) => Ok(None),
            created => {
                let row = wire::row(&created.done("creating a contact")?["data"]);
                row.map(Some).ok_or_else(|| Failure::transient("SuiteCRM's answer names no contact"))
            }
        }
    }

    async fn change(
        &mut self,
        module: &'static str,
        rows: &[(String, Values)],
    ) -> Result<Vec<Result<Option<Row>, Failure>>, Failure> {
        let mut changed = Vec::with_capacity(rows.len());
        for (id, values) in rows {
            let outcome = self.write(false, module, id, values).await?;
            changed.push(outcome.found("changing a record").map(|body| body.and_then(|body| wire::row(&body["data"]))));
        }
        Ok(changed)
    }

    async fn remove(&mut self, module: &'static str, ids: &[String]) -> Result<(), Failure> {
        for id in ids {
            let path = format!("/module/{module}/{}", quoted_path(id));
            let reply = self.call(|base| Request::delete(format!("{base}{path}"))).await?;
            wire::outcome(&reply, id, &*self.tools.clock)?.found("removing a record")?;
        }
        Ok(())
    }

    async fn meetings_of(&mut self, contact: &str) -> Result<Option<Vec<Row>>, Failure> {
        let path = format!("/module/Contacts/{}/relationships/meetings", quoted_path(contact));
        let (mut rows, size) = (Vec::new(), PAGE.to_string());
        for number in 1.. {
            let number = number.to_string();
            let query = [("page[size]", &*size), ("page[number]", &*number), ("sort", "date_entered")];
            let Some(body) = self.get(&path, contact, &query).await?.found("reading a contact's meetings")? else {
                return Ok(None);
            };
            let (page, pages) = wire::rows(&body)?;
            let is_last = page.is_empty() || number.parse().is_ok_and(|number: u64| number >= pages);
            rows.extend(page);
            if is_last {
                break;
            }
        }
        // Earlier releases name them only.
        let bare: Vec<String> = rows.iter().filter(|row| row.values.is_empty()).map(|row| row.id.clone()).collect();
        rows.retain(|row| !row.values.is_empty());
        let columns = self.shape.meeting_columns();
        rows.extend(self.read(MEETINGS, &bare, &columns).await?);
        Ok(Some(rows))
    }

    async fn send(&mut self, visits: &[VisitRecord]) -> Result<Vec<Result<RecordId, Failure>>, Failure> {
        let mut rows = Vec::with_capacity(visits.len());
        for visit in visits {
            rows.push(self.record_one(visit).await?);
        }
        Ok(rows)
    }

    async fn look(&mut self) -> Result<Vec<Finding>, Failure> {
        self.token = None;
        self.log_in().await?;
        let modules = match self.get("/meta/modules", "", &[]).await?.done("a look at its modules") {
            Ok(mut body) => body["data"]["attributes"].take(),
            Err(failure) => return Ok(vec![Finding::warning("modules and rights", failure.to_string())]),
        };
        // A module comes with the list of what may be done there; one that is not listed gives nothing.
        let lacking = |module: &str| {
            let given = modules[module]["access"].as_array().map(Vec::as_slice).unwrap_or_default();
            let wanted = ["list", "view", "edit", "delete"];
            wanted.into_iter().filter(|right| !given.iter().any(|own| own == right)).collect::<Vec<_>>()
        };
        let mut found: Vec<Finding> = [MEETINGS, CONTACTS].map(|name| findings::rights(name, &lacking(name))).into();
        found.push(self.addresses_are_shown().await);
        Ok(found)
    }

    async fn fields(&mut self, module: &'static str) -> Result<BTreeSet<String>, Failure> {
        let body = self.get(&format!("/meta/fields/{module}"), "", &[]).await?.done("a look at its fields")?;
        let attributes = body["data"]["attributes"].as_object();
        Ok(attributes.into_iter().flat_map(|fields| fields.keys().cloned()).collect())
    }

    fn show(&self, visits: &[VisitRecord]) -> Vec<String> {
        let url = format!("{}/V8/module", self.base);
        let one = |visit: &VisitRecord| {
            let owner = self.owners.get(&visit.contact.0).map(String::as_str).unwrap_or_default();
            posted(url.clone(), &document(MEETINGS, &visit.key.to_string(), &self.values(visit, owner))).in_words()
        };
        visits.iter().map(one).collect()
    }
}
