//! Creatio by OData 4: a visit is an activity whose primary key is the visit's own, so that there can be one only.
//!
//! Reading its answers is `wire`'s, logging in `login`'s, looking at the site `probe`'s, and what `record` does about
//! rows in doubt `visits`'s. Creatio may report a failure after the row was written, and may save an activity without
//! its contact and call that a success: what is not seen in the answer is looked up.

mod login;
mod probe;
pub mod settings;
mod visits;
mod wire;

use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use uuid::Uuid;

use self::login::Session;
use crate::crm::named::named_id;
use crate::crm::{
    Changes, Contact, ContactFields, ContactId, Creation, CrmConnector, CrmSettings, Failure, Finding, Forgotten,
    Heartbeat, Http, Manners, NewContact, RecordFields, RecordId, Reply, Request, Seek, SentVisit, Standing, Told,
    ToldFields, Tools, VisitRecord, phone_spellings,
};
use crate::customer::Country;
use crate::i18n::Language;

/// The secrets of the login: which of them is needed is the configuration's choice.
pub const SECRETS: &[&str] = &["crm/creatio/client-secret", "crm/creatio/password"];

/// Creatio publishes no limit; five a second leave the site's people room.
const INTERVAL: Duration = Duration::from_millis(200);
/// Requests of one `$batch`. A hundred are allowed; each runs the site's own processes and all must be done in one
/// request's time.
const BATCH: usize = 20;
/// Rows that are asked for by id in one address: IIS takes some two thousand characters.
const IDS: usize = 20;
/// The most of a filter, encoded, for the same reason.
const FILTER_CHARS: usize = 1500;
/// Contacts of one page of changes.
const PAGE: usize = 500;
/// How far a look for changes reaches back: a row's stamp is older than the moment in which others see it.
const OVERLAP: Duration = Duration::from_secs(120);

/// `[crm.creatio]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `https://shop.creatio.com`, the site's root.
    pub url: String,
    pub login: Login,
    /// Whether the site runs on .NET Framework, which has its services below `/0`.
    pub net_framework: bool,
    pub visit: VisitSettings,
    /// A custom text column of contacts with the mobile phone in E.164, where the site keeps one.
    pub phone_e164: Option<String>,
    /// A custom object with a row a box; empty: no sign of life.
    pub device_object: String,
    pub fields: ContactFields,
    /// What is written on a contact beside its mark.
    pub told: ToldFields,
    /// Values of a visit that have no standard place.
    pub record: RecordFields,
}

/// How the box logs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    /// OAuth's client credentials, from the identity service.
    Client { identity_url: String, client_id: String },
    /// A user's name and password, as a browser's form sends them.
    Form { user: String },
}

/// `[crm.creatio.visit]`: each a GUID or the name in the site's own list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VisitSettings {
    pub category: String,
    pub finished: String,
    pub cancelled: String,
    /// The contact of the employee who owns the activities; `None`: whoever the site takes.
    pub owner: Option<Uuid>,
}

impl Default for VisitSettings {
    /// Ids that come with every site in whatever language: "To do", "Completed", "Canceled" (unverified on a live
    /// one; whether they are there is asked before the first visit).
    fn default() -> Self {
        Self {
            category: "f51c4643-58e6-df11-971b-001d60e938c6".to_owned(),
            finished: "4bdbb88f-58e6-df11-971b-001d60e938c6".to_owned(),
            cancelled: "201cfba8-58e6-df11-971b-001d60e938c6".to_owned(),
            owner: None,
        }
    }
}

/// The connector.
pub struct Creatio {
    settings: Settings,
    country: Option<Country>,
    language: Language,
    http: Http,
    tools: Tools,
    session: Option<Session>,
    kinds: Option<Kinds>,
    /// Whether this box's own row is known to be there.
    has_device: bool,
}

/// The site's ids of what `[crm.creatio.visit]` names.
#[derive(Clone, Copy)]
struct Kinds {
    category: Uuid,
    finished: Uuid,
    cancelled: Uuid,
}

impl Creatio {
    pub fn new(settings: &Settings, common: &CrmSettings, tools: &Tools) -> Result<Self, Failure> {
        let http = Http::new(&common.http, tools, INTERVAL)?;
        Ok(Self {
            settings: settings.clone(),
            country: common.country,
            language: common.language,
            http,
            tools: tools.clone(),
            session: None,
            kinds: None,
            has_device: false,
        })
    }

    /// Where the entity sets are.
    fn base(&self) -> String {
        format!("{}{}/odata", self.settings.url, if self.settings.net_framework { "/0" } else { "" })
    }

    fn external_id(&self) -> Result<String, Failure> {
        let field = self.settings.fields.external_id.clone();
        field.ok_or_else(|| Failure::blocked("external_id in [crm.creatio.fields] is empty; name the column", None))
    }

    /// Sends what `build` makes of the address of the entity sets; logs in anew where the session has ended.
    async fn call(&mut self, build: impl Fn(&str) -> Request + Send + Sync) -> Result<Reply, Failure> {
        let base = self.base();
        for first in [true, false] {
            let now = self.tools.clock.monotonic();
            let session = match self.session.take().filter(|session| session.is_fresh(now)) {
                Some(session) => session,
                None => login::log_in(&mut self.http, &self.settings, &self.tools).await?,
            };
            let session = self.session.insert(session);
            let reply = self.http.send(&session.sign(wire::headed(build(&base)))).await?;
            session.follow(&reply);
            if !login::is_lost(&reply) {
                return Ok(reply);
            }
            self.session = None;
            if !first && reply.is_success() {
                return Err(Failure::transient("Creatio sent a page instead of an answer; nothing is taken from it"));
            }
        }
        Err(Failure::auth(
            "Creatio accepted the login and then refused the session; check the user's rights and net_framework",
        ))
    }

    /// The rows of an entity set, a page of them.
    async fn rows(&mut self, set: &str, options: &[(&str, &str)]) -> Result<Vec<Value>, Failure> {
        let build = |base: &str| {
            options
                .iter()
                .fold(Request::get(format!("{base}/{set}")), |request, (name, value)| request.query(name, value))
        };
        let reply = self.call(build).await?;
        wire::rows(&reply, &*self.tools.clock)
    }

    /// The rows with these ids, as far as they are there. Asking for a set by a filter, an empty answer means that a
    /// row is missing; asking for one row, 404 could as well mean that the set is.
    async fn rows_by_id(&mut self, set: &str, ids: &[Uuid], select: &str) -> Result<Vec<Value>, Failure> {
        let mut all = Vec::new();
        for some in ids.chunks(IDS) {
            let wanted: Vec<String> = some.iter().map(|id| format!("Id eq {id}")).collect();
            all.extend(self.rows(set, &[("$filter", &wanted.join(" or ")), ("$select", select)]).await?);
        }
        Ok(all)
    }

    /// Changes one row; one that is not there stays away. Whether it is done is the caller's to look up where it
    /// matters.
    async fn patch(&mut self, set: &str, id: Uuid, change: &Value) -> Result<(), Failure> {
        let reply = self.call(|base| wire::json_body(Request::patch(format!("{base}/{set}({id})")), change)).await?;
        wire::done(&reply, &*self.tools.clock)
    }

    /// The ids of category and statuses, asked for once.
    async fn kinds(&mut self) -> Result<Kinds, Failure> {
        if let Some(kinds) = self.kinds {
            return Ok(kinds);
        }
        let options = [("$select", "Id,Name"), ("$top", "500")];
        let categories = self.rows("ActivityCategory", &options).await?;
        let statuses = self.rows("ActivityStatus", &options).await?;
        let visit = &self.settings.visit;
        let kinds = Kinds {
            category: wire::listed(&categories, &visit.category, "category")?,
            finished: wire::listed(&statuses, &visit.finished, "finished")?,
            cancelled: wire::listed(&statuses, &visit.cancelled, "cancelled")?,
        };
        self.kinds = Some(kinds);
        Ok(kinds)
    }

    /// Contacts for which one of the conditions holds.
    async fn contacts(&mut self, any: &[String], most: &str) -> Result<Vec<Contact>, Failure> {
        let (select, expand) = wire::contact_columns(&self.settings);
        let mut found: Vec<Contact> = Vec::new();
        for filter in wire::filters(any, FILTER_CHARS) {
            let options = [("$filter", &*filter), ("$select", &select), ("$expand", &expand), ("$top", most)];
            for row in self.rows("Contact", &options).await? {
                if let Some(contact) = wire::contact(&row, &self.settings)
                    && found.iter().all(|other| other.id != contact.id)
                {
                    found.push(contact);
                }
            }
        }
        Ok(found)
    }

    /// Writes the external id and sees whether it stuck.
    async fn set_external_id(&mut self, contact: Uuid, value: &str) -> Result<bool, Failure> {
        let field = self.external_id()?;
        let done = self.patch("Contact", contact, &json!({ field.as_str(): value })).await;
        let rows = self.rows_by_id("Contact", &[contact], &format!("Id,{field}")).await?;
        match rows.first() {
            None => Ok(false),
            Some(row) if row[&field].as_str().unwrap_or_default() == value => Ok(true),
            Some(_) => {
                done?;
                Err(Failure::blocked("Creatio did not keep the external id; run `snova crm probe`", None))
            }
        }
    }
}

/// An id of the CRM's as what it must be.
fn guid(id: &str) -> Option<Uuid> {
    id.parse().ok().filter(|id: &Uuid| !id.is_nil())
}

#[async_trait]
impl CrmConnector for Creatio {
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
        visits::record(self, visits).await
    }

    async fn reconcile(&mut self, visits: &[VisitRecord]) -> Result<Vec<Option<RecordId>>, Failure> {
        let keys: Vec<Uuid> = visits.iter().map(|visit| visit.key).collect();
        let rows = self.rows_by_id("Activity", &keys, "Id").await?;
        let there = |key: &Uuid| rows.iter().any(|row| wire::id(row, "Id") == Some(*key));
        Ok(keys.iter().map(|key| there(key).then(|| RecordId(key.to_string()))).collect())
    }

    async fn void(&mut self, visit: &SentVisit) -> Result<(), Failure> {
        let cancelled = self.kinds().await?.cancelled;
        let done = self.patch("Activity", visit.key, &json!({ "StatusId": cancelled })).await;
        // What Creatio answers for a row that is not there is unverified, and it may save nothing with success.
        let rows = self.rows_by_id("Activity", &[visit.key], "Id,StatusId").await?;
        match rows.first() {
            None => Ok(()),
            Some(row) if wire::id(row, "StatusId") == Some(cancelled) => Ok(()),
            Some(_) => {
                done?;
                Err(Failure::blocked("Creatio did not keep the activity's status; run `snova crm probe`", None))
            }
        }
    }

    async fn forget(&mut self, gone: &Forgotten) -> Result<(), Failure> {
        let keys: Vec<Uuid> = gone.visits.iter().map(|visit| visit.key).collect();
        for some in keys.chunks(BATCH) {
            let reply = self.call(|base| wire::deletions(base, some)).await?;
            let refused = wire::first_refusal(&reply, &*self.tools.clock)?;
            if !self.rows_by_id("Activity", some, "Id").await?.is_empty() {
                return Err(refused.unwrap_or_else(|| {
                    Failure::blocked("Creatio did not delete activities; give the user that right", None)
                }));
            }
        }
        Ok(())
    }

    async fn find(&mut self, sought: &Seek) -> Result<Vec<Contact>, Failure> {
        let any: Vec<String> = match sought {
            Seek::Mark(customer) => {
                vec![format!("{} eq {}", self.external_id()?, wire::quoted(&customer.to_string()))]
            }
            Seek::Phone(phone) => {
                let normalised = self.settings.phone_e164.iter().map(|field| (field.as_str(), phone.clone()));
                let spelt = phone_spellings(phone)
                    .into_iter()
                    .flat_map(|text| ["MobilePhone", "Phone", "HomePhone"].map(|field| (field, text.clone())));
                normalised.chain(spelt).map(|(field, text)| format!("{field} eq {}", wire::quoted(&text))).collect()
            }
            Seek::Email(email) => vec![format!("Email eq {}", wire::quoted(email))],
        };
        let found = self.contacts(&any, "20").await?;
        Ok(found.into_iter().filter(|contact| sought.is_met_by(contact, self.country)).collect())
    }

    async fn write_mark(&mut self, contact: &ContactId, text: &str) -> Result<(), Failure> {
        let gone = || Failure::contact_gone("the contact is not in Creatio any more");
        let id = guid(&contact.0).ok_or_else(gone)?;
        if self.set_external_id(id, text).await? { Ok(()) } else { Err(gone()) }
    }

    async fn create(&mut self, new: &NewContact) -> Result<Creation, Failure> {
        let field = self.external_id()?;
        let id = new.key;
        let row = wire::new_contact(new, id, &self.settings, &field);
        let reply = self.call(|base| wire::json_body(Request::post(format!("{base}/Contact")), &row)).await?;
        let failure = wire::failure(&reply, &*self.tools.clock);
        let there = self.rows_by_id("Contact", &[id], &format!("Id,{field}")).await?;
        match there.first() {
            Some(row) if row[&field] == new.mark.as_str() => {}
            Some(_) => {
                self.set_external_id(id, &new.mark).await?;
            }
            None => {
                return Err(failure.unwrap_or_else(|| {
                    Failure::transient("Creatio says that it created the contact, and does not have it")
                }));
            }
        }
        Ok(Creation::Made(ContactId(id.to_string())))
    }

    async fn contact(&mut self, id: &ContactId) -> Result<Option<Contact>, Failure> {
        let Some(id) = guid(&id.0) else { return Ok(None) };
        Ok(self.contacts(&[format!("Id eq {id}")], "1").await?.into_iter().next())
    }

    async fn changed(&mut self, cursor: &str) -> Result<Changes, Failure> {
        let Some(mut at) = wire::Place::read(cursor) else {
            let now = wire::Place { since: self.tools.clock.wall().at, skip: 0, within: false };
            return Ok(Changes { cursor: now.to_string(), ..Changes::default() });
        };
        let from = if at.within { at.since } else { at.since.checked_sub(OVERLAP).unwrap_or(at.since) };
        let (select, expand) = wire::contact_columns(&self.settings);
        let (filter, skip, top) =
            (format!("ModifiedOn ge {}", wire::time(from)), at.skip.to_string(), PAGE.to_string());
        let options = [
            ("$filter", &*filter),
            ("$orderby", "ModifiedOn,Id"),
            ("$top", &*top),
            ("$skip", &*skip),
            ("$select", &*select),
            ("$expand", &*expand),
        ];
        let rows = self.rows("Contact", &options).await?;
        let more = rows.len() >= PAGE;
        at.advance(from, &rows, more);
        let contacts = rows.iter().filter_map(|row| wire::contact(row, &self.settings)).collect();
        Ok(Changes { contacts, cursor: at.to_string(), more })
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

    async fn heartbeat(&mut self, beat: &Heartbeat) -> Result<bool, Failure> {
        if self.settings.device_object.is_empty() {
            return Ok(false);
        }
        let object = self.settings.device_object.clone();
        let id = named_id("creatio device", &beat.device);
        if !self.has_device {
            self.has_device = !self.rows_by_id(&object, &[id], "Id").await?.is_empty();
        }
        let mut row = wire::sign_of_life(beat);
        if self.has_device {
            self.has_device = false;
            self.patch(&object, id, &row).await?;
        } else {
            row["Id"] = id.to_string().into();
            let reply = self.call(|base| wire::json_body(Request::post(format!("{base}/{object}")), &row)).await?;
            wire::done(&reply, &*self.tools.clock)?;
        }
        self.has_device = true;
        Ok(true)
    }

    fn preview(&self, visits: &[VisitRecord]) -> Vec<String> {
        let kinds = self.kinds.unwrap_or_else(|| {
            let own = |text: &str| text.parse().unwrap_or(Uuid::nil());
            let visit = &self.settings.visit;
            Kinds { category: own(&visit.category), finished: own(&visit.finished), cancelled: own(&visit.cancelled) }
        });
        let base = self.base();
        visits.chunks(BATCH).map(|batch| visits::batch(self, &base, batch, kinds).in_words()).collect()
    }
}
