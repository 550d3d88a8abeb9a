//! The way to an OData server and back: sessions, reading by filters and pages, writing by batches.
//!
//! What is sent and what it means for visits and contacts is the connector's.

use std::collections::BTreeMap;

use serde_json::Value;
use uuid::Uuid;

use super::login::Session;
use super::wire::{self, Answer, Part, guid};
use super::{Dialect, INTERVAL, PAGE, rows};
use crate::crm::{Contact, CrmSettings, Failure, Http, Reply, Request, Tools};
use crate::customer::Country;
use crate::i18n::Language;

/// The connector.
pub struct OData<D> {
    pub(super) own: D,
    pub(super) country: Option<Country>,
    pub(super) language: Language,
    pub(super) http: Http,
    pub(super) tools: Tools,
    pub(super) session: Option<Session>,
    /// The server refused the headers that the vendor's pages show.
    pub(super) plain: bool,
    /// Records bear their contact's owner, until that is refused.
    pub(super) owners: bool,
}

impl<D: Dialect> OData<D> {
    pub(super) fn open(own: D, common: &CrmSettings, tools: &Tools) -> Result<Self, Failure> {
        let http = Http::new(&common.http, tools, INTERVAL)?;
        let (country, language) = (common.country, common.language);
        Ok(Self { own, country, language, http, tools: tools.clone(), session: None, plain: false, owners: true })
    }

    pub(super) fn vendor(&self) -> &'static str {
        self.own.words().vendor
    }

    /// The column of the mark.
    pub(super) fn mark_column(&self) -> Result<String, Failure> {
        let words = self.own.words();
        words.fields.external_id.clone().ok_or_else(|| {
            Failure::blocked(format!("external_id in [crm.{}.fields] is empty; name the column", words.section), None)
        })
    }

    /// Sends what `build` makes of the address of the entity sets; logs in anew where the session has ended.
    pub(super) async fn call(&mut self, build: impl Fn(&str) -> Request + Send + Sync) -> Result<Reply, Failure> {
        let base = self.own.base();
        let vendor = self.vendor();
        for first in [true, false] {
            let now = self.tools.clock.monotonic();
            let session = match self.session.take().filter(|session| session.is_fresh(now)) {
                Some(session) => session,
                None => self.own.log_in(&mut self.http, &self.tools).await?,
            };
            let session = self.session.insert(session);
            let reply = self.http.send(&session.sign(D::headed(build(&base)))).await?;
            session.follow(&reply);
            if !D::is_lost(&reply) {
                return Ok(reply);
            }
            self.session = None;
            if !first && reply.is_success() {
                return Err(Failure::transient(format!(
                    "{vendor} sent a page instead of an answer; nothing is taken from it"
                )));
            }
        }
        Err(Failure::auth(format!(
            "{vendor} accepted the login and then refused the session; look whether its user is there and has a role, and at the \
             address in its section"
        )))
    }

    /// What a reading request is answered; `path` is below the entity sets' address.
    pub(super) async fn get(&mut self, path: &str, options: &[(&str, &str)]) -> Result<Value, Failure> {
        let build = |base: &str| {
            let request = D::reading(Request::get(format!("{base}/{path}")));
            options.iter().fold(request, |request, (name, value)| request.query(name, value))
        };
        let reply = self.call(build).await?;
        wire::read(self.vendor(), &reply, &*self.tools.clock)
    }

    /// The rows of one page.
    pub(super) async fn rows(&mut self, set: &str, options: &[(&str, &str)]) -> Result<Vec<Value>, Failure> {
        let mut body = self.get(set, options).await?;
        wire::rows(self.vendor(), &mut body)
    }

    /// All rows that a filter finds, page after page: by the links that the server gives, or else by their number.
    pub(super) async fn all_rows(
        &mut self,
        set: &str,
        filter: &str,
        select: &str,
        key: &str,
    ) -> Result<Vec<Value>, Failure> {
        let mut all: Vec<Value> = Vec::new();
        let top = PAGE.to_string();
        let mut next: Option<String> = None;
        loop {
            let skip = all.len().to_string();
            let mut options = vec![("$filter", filter), ("$select", select), ("$orderby", key)];
            if self.own.words().shows_rows {
                options.extend([("$top", &*top), ("$skip", &*skip)]);
            }
            let mut body = match &next {
                Some(link) => self.get(link, &[]).await?,
                None => self.get(set, &options).await?,
            };
            next = self.link(&body, "@odata.nextLink");
            let rows = wire::rows(self.vendor(), &mut body)?;
            let more = next.is_some() || (self.own.words().shows_rows && rows.len() >= PAGE);
            all.extend(rows);
            if !more {
                return Ok(all);
            }
        }
    }

    /// What stands behind the entity sets' address in a link of an answer: only that is kept, so that what signs a request
    /// never goes elsewhere.
    pub(super) fn link(&self, body: &Value, name: &str) -> Option<String> {
        let link = body[name].as_str()?;
        Some(link.split_once(&format!("{}/", self.own.words().root)).map_or(link, |(_, rest)| rest).to_owned())
    }

    /// The rows with these ids, as far as they are there. Asking for a set by a filter, an empty answer means that a
    /// row is missing; asking for one row, 404 could as well mean that the set is.
    pub(super) async fn rows_by_id(
        &mut self,
        set: &str,
        key: &str,
        ids: &[Uuid],
        select: &str,
    ) -> Result<Vec<Value>, Failure> {
        let wanted: Vec<String> = ids.iter().map(|id| format!("{key} eq {id}")).collect();
        let mut all = Vec::new();
        for filter in wire::filters(&wanted, self.own.words().filter_chars) {
            all.extend(self.rows(set, &[("$filter", &filter), ("$select", select)]).await?);
        }
        all.retain(|row| wire::id(row, key).is_some_and(|id| ids.contains(&id)));
        Ok(all)
    }

    /// Sends parts and answers for each, in their order. Where the headers of the vendor's own pages are refused, a plainer
    /// form is tried once.
    pub(super) async fn send(&mut self, parts: &[Part]) -> Result<Vec<Option<Answer>>, Failure> {
        loop {
            let plain = self.plain;
            let reply = self.call(|base| D::batch(base, parts, plain)).await?;
            if let Some(failure) = wire::failure(self.vendor(), &reply, &*self.tools.clock) {
                return Err(failure);
            }
            let answers = D::answers(&reply, parts.len())?;
            if answers.iter().flatten().any(|answer| answer.status == 429) {
                self.http.slow_down();
            }
            if plain || !answers.iter().all(|answer| answer.as_ref().is_some_and(Answer::is_refused_form)) {
                return Ok(answers);
            }
            self.plain = true;
        }
    }

    /// Changes a row; `false` when it is not there. Whether it is done is the caller's to look up where it matters.
    pub(super) async fn write(&mut self, part: Part) -> Result<bool, Failure> {
        let vendor = self.vendor();
        let answer = self.send(&[part]).await?.pop().flatten();
        let answer = answer.ok_or_else(|| Failure::transient(format!("{vendor} did not come to the request")))?;
        if answer.is_absent() {
            return Ok(false);
        }
        answer.failure(vendor).map_or(Ok(true), Err)
    }

    /// Contacts for which one of the conditions holds.
    pub(super) async fn contacts(&mut self, any: &[String]) -> Result<Vec<Contact>, Failure> {
        let words = self.own.words();
        let (set, most) = (words.contacts, words.filter_chars);
        let (select, expand) = rows::contact_columns(words);
        let mut found: Vec<Contact> = Vec::new();
        for filter in wire::filters(any, most) {
            let mut options = vec![("$filter", &*filter), ("$select", &*select), ("$top", "50")];
            if !expand.is_empty() {
                options.push(("$expand", &expand));
            }
            for row in self.rows(set, &options).await? {
                if let Some(contact) = rows::contact(&row, self.own.words())
                    && found.iter().all(|other| other.id != contact.id)
                {
                    found.push(contact);
                }
            }
        }
        Ok(found)
    }

    pub(super) async fn contact_of(&mut self, id: Uuid) -> Result<Option<Contact>, Failure> {
        let found = self.contacts(&[format!("{} eq {id}", self.own.words().contact_id)]).await?;
        Ok(found.into_iter().find(|contact| guid(&contact.id) == Some(id)))
    }

    /// The rows of these contacts that are there and were not merged into others, with their owners.
    pub(super) async fn holders(&mut self, contacts: &[Uuid]) -> Result<BTreeMap<Uuid, Value>, Failure> {
        let words = self.own.words();
        let (set, key) = (words.contacts, words.contact_id);
        let select = [&[key], words.more].concat().join(",");
        let rows = self.rows_by_id(set, key, contacts, &select).await?;
        Ok(rows.into_iter().filter(rows::lives).filter_map(|row| Some((wire::id(&row, key)?, row))).collect())
    }

    pub(super) fn gone(&self) -> Failure {
        Failure::contact_gone(format!("the contact is not in {} any more, or was merged into another", self.vendor()))
    }
}
