//! Visits as elements of a smart process, or as comments, written and found again.
//!
//! A visit may lie in either place: a tariff can stop allowing elements between two tries. Comments are `comments`'.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::comments::{COMMENT, Comment, looks_for};
use super::names::VisitNames;
use super::wire::Command;
use super::{BATCH, Bitrix24, RESTRICTED, wire};
use crate::crm::{ContactId, Failure, RecordId, SentVisit, Standing, VisitRecord, void_text};
use crate::vendors::texts::{self, Said};

const NO_ELEMENTS: &str = "CREATE_DYNAMIC_ITEM_RESTRICTED";

/// An element that bears one of our keys.
struct Element {
    id: i64,
    key: Uuid,
    title: String,
    /// Whose it is; nobody's where the portal has dropped its client.
    contact: Option<i64>,
}

fn gone() -> Failure {
    Failure::contact_gone("the visit's contact is not in Битрикс24 any more: it was deleted, or merged into another")
}

impl Bitrix24 {
    /// The smart process of visits, where it may be written to.
    fn elements(&self) -> Option<u32> {
        let now = self.tools.clock.monotonic();
        self.settings.visit_type_id.filter(|_| self.restricted.is_none_or(|until| now >= until))
    }

    pub(super) async fn record_visits(
        &mut self,
        visits: &[VisitRecord],
    ) -> Result<Vec<Result<RecordId, Failure>>, Failure> {
        let mut done: BTreeMap<usize, Result<RecordId, Failure>> = BTreeMap::new();
        // The portal takes an element of a contact that is not there, and drops whose it was.
        let contacts = visits.iter().map(|visit| visit.contact.0.clone()).collect();
        let there = self.contact_rows(&contacts, &json!(["id", "assignedById"])).await?;
        for (at, visit) in visits.iter().enumerate().filter(|(_, visit)| !there.contains_key(&visit.contact.0)) {
            done.insert(at, Err(if visit.contact.0.parse::<i64>().is_ok() { gone() } else { not_ours() }));
        }
        let left =
            |done: &BTreeMap<usize, _>| (0..visits.len()).filter(|at| !done.contains_key(at)).collect::<Vec<_>>();
        if let Some(type_id) = self.elements() {
            let names = self.visit_names(type_id).await?;
            for part in left(&done).chunks(BATCH) {
                let owner = |visit: &VisitRecord| {
                    there.get(&visit.contact.0).and_then(|row| wire::number(&row["assignedById"]))
                };
                let commands: Vec<Command> =
                    part.iter().map(|at| self.element(type_id, &names, &visits[*at], owner(&visits[*at]))).collect();
                for (at, outcome) in part.iter().zip(self.batch(&commands).await?) {
                    match outcome.result() {
                        Err((code, _)) if code == NO_ELEMENTS => {
                            self.restricted = Some(self.tools.clock.monotonic() + RESTRICTED);
                        }
                        Err((_, failure)) => drop(done.insert(*at, Err(failure))),
                        Ok((result, _)) => {
                            let made = self.element_made(type_id, &result["item"], &names, &visits[*at]).await;
                            done.insert(*at, made);
                        }
                    }
                }
            }
        }
        for part in left(&done).chunks(BATCH) {
            let commands: Vec<Command> = part.iter().map(|at| self.comment(&visits[*at])).collect();
            for (at, outcome) in part.iter().zip(self.batch(&commands).await?) {
                let unnamed = || Failure::transient("Битрикс24's answer names no comment");
                let made = outcome
                    .result()
                    .map_err(|(code, failure)| if code == "OWNER_NOT_FOUND" { gone() } else { failure });
                let id = made.and_then(|(result, _)| wire::number(&result).ok_or_else(unnamed));
                done.insert(*at, id.map(|id| RecordId(format!("{COMMENT}{id}"))));
            }
        }
        Ok(done.into_values().collect())
    }

    /// What an element says of its visit, by the portal's names.
    fn values(&self, names: &VisitNames, visit: &VisitRecord) -> Vec<(String, String)> {
        let (own, record) = (&names.visit, &names.record);
        let greeting = visit.greeting.map(|greeting| greeting.as_str().to_owned());
        let all = [
            (&own.at, Some(wire::time(visit.opened_at.at))),
            (&own.until, Some(wire::time(visit.closed_at.at))),
            (&own.counter, Some(format!("{} / {}", visit.shop, visit.counter))),
            (&record.store, Some(visit.shop.clone())),
            (&record.counter, Some(visit.counter.to_string())),
            (&record.how, Some(visit.how.as_str().to_owned())),
            (&record.served_by, visit.served_by.clone()),
            (&record.receipt, visit.receipt.as_ref().map(|receipt| receipt.number.clone())),
            (&record.sum, visit.receipt.as_ref().map(|receipt| receipt.decimal())),
            (&record.greeting, greeting),
        ];
        let named = all.into_iter().filter_map(|(name, value)| Some((name.clone()?, value?)));
        [("title".to_owned(), visit.title(self.language))].into_iter().chain(named).collect()
    }

    fn element(&self, type_id: u32, names: &VisitNames, visit: &VisitRecord, owner: Option<i64>) -> Command {
        let mut command = Command::new("crm.item.add")
            .with("entityTypeId", type_id)
            .with("fields[xmlId]", visit.key)
            .with("fields[contactIds][0]", &visit.contact);
        if let Some(owner) = owner.filter(|id| *id > 0) {
            command = command.with("fields[assignedById]", owner);
        }
        with_fields(command, &self.values(names, visit))
    }

    /// The id of a new element. One that lacks a value which was sent is there all the same; the fields are looked up anew
    /// before the next is sent. One whose contact went at that moment is nobody's, and is taken back.
    async fn element_made(
        &mut self,
        type_id: u32,
        item: &Value,
        names: &VisitNames,
        visit: &VisitRecord,
    ) -> Result<RecordId, Failure> {
        let id = wire::id_of(item).ok_or_else(|| Failure::transient("Битрикс24's answer names no element"))?;
        if wire::number(&item["contactId"]).is_none_or(|contact| contact == 0) {
            let delete = Command::new("crm.item.delete").with("entityTypeId", type_id).with("id", id);
            self.all_done(&[delete]).await?;
            return Err(gone());
        }
        let is_kept = |(name, value): &(String, String)| value.is_empty() || !item[name].is_null();
        if !self.values(names, visit).iter().all(is_kept) || item["xmlId"] != visit.key.to_string().as_str() {
            self.visit_names = None;
        }
        Ok(RecordId(id.to_string()))
    }

    pub(super) fn preview_command(&self, visit: &VisitRecord) -> Option<Command> {
        let settings = &self.settings;
        Some(match settings.visit_type_id {
            Some(type_id) => {
                let names = VisitNames { visit: settings.visit.clone(), record: settings.record.clone() };
                self.element(type_id, &names, visit, None)
            }
            None => self.comment(visit),
        })
    }

    pub(super) async fn reconcile_visits(&mut self, visits: &[VisitRecord]) -> Result<Vec<Option<RecordId>>, Failure> {
        let mut elements = BTreeMap::new();
        for part in visits.chunks(BATCH) {
            let keys: Vec<Uuid> = part.iter().map(|visit| visit.key).collect();
            elements.extend(self.elements_of(&keys).await?.into_iter().map(|element| (element.key, element)));
        }
        let lost = visits.iter().filter_map(|visit| Some((visit, elements.get(&visit.key)?)));
        let lost = lost.filter(|(_, element)| element.contact.is_none_or(|contact| contact == 0));
        let tie = |(visit, element): (&VisitRecord, &Element)| {
            self.update(element.id).map(|command| command.with("fields[contactIds][0]", &visit.contact))
        };
        let ties: Vec<Command> = lost.filter_map(tie).collect();
        self.all_done(&ties).await?;
        let missing = visits.iter().filter(|visit| !elements.contains_key(&visit.key));
        let comments = self.comments_of(looks_for(missing)).await?;
        let there = |visit: &VisitRecord| {
            let element = elements.get(&visit.key).map(|element| element.id.to_string());
            let comment = || comments.iter().find(|comment| comment.bears(visit.key));
            element.or_else(|| comment().map(|comment| format!("{COMMENT}{}", comment.id))).map(RecordId)
        };
        Ok(visits.iter().map(there).collect())
    }

    /// A change of an element of visits.
    fn update(&self, id: i64) -> Option<Command> {
        let type_id = self.settings.visit_type_id?;
        Some(Command::new("crm.item.update").with("entityTypeId", type_id).with("id", id))
    }

    /// Every element with one of these keys; twins come twice.
    async fn elements_of(&mut self, keys: &[Uuid]) -> Result<Vec<Element>, Failure> {
        let Some(type_id) = self.settings.visit_type_id.filter(|_| !keys.is_empty()) else { return Ok(Vec::new()) };
        let texts: Vec<String> = keys.iter().map(Uuid::to_string).collect();
        let select = json!(["id", "xmlId", "title", "contactId"]);
        let rows = self.list(type_id, &json!({ "@xmlId": texts }), &select).await?;
        let own = |row: &Value| {
            let key = row["xmlId"].as_str()?.parse().ok().filter(|key| keys.contains(key))?;
            let title = row["title"].as_str().unwrap_or_default().to_owned();
            Some(Element { id: wire::id_of(row)?, key, title, contact: wire::number(&row["contactId"]) })
        };
        Ok(rows.iter().filter_map(own).collect())
    }

    /// Elements and comments of these visits, each seen with the key or mark of its visit. An element is where its key
    /// is, whatever id was told: in another portal the same number is somebody else's.
    async fn places(&mut self, visits: &[SentVisit]) -> Result<(Vec<Element>, Vec<Comment>), Failure> {
        let keys: Vec<Uuid> = visits.iter().map(|visit| visit.key).collect();
        let elements = self.elements_of(&keys).await?;
        let mut comments = self.told_comments(visits).await?;
        let is_found = |visit: &&SentVisit| {
            elements.iter().any(|element| element.key == visit.key)
                || comments.iter().any(|comment| comment.bears(visit.key))
        };
        let left = visits.iter().filter(|visit| !visit.contact.0.is_empty() && !is_found(visit));
        // All of a contact's, whenever they were written: there may be twins of some time before.
        let looks = left.map(|visit| (visit.contact.clone(), Default::default())).collect();
        for comment in self.comments_of(looks).await? {
            if visits.iter().any(|visit| comment.bears(visit.key)) && comments.iter().all(|own| own.id != comment.id) {
                comments.push(comment);
            }
        }
        Ok((elements, comments))
    }

    /// Gives the records of a visit that stand these values and that text; a void one stays as it is.
    async fn rewrite(&mut self, visit: &SentVisit, values: &[(String, String)], text: &str) -> Result<(), Failure> {
        let (elements, comments) = self.places(std::slice::from_ref(visit)).await?;
        let stands = |text: &str| texts::said(text, visit.key) == Said::Stands;
        let updates =
            elements.iter().filter(|element| stands(&element.title)).filter_map(|element| self.update(element.id));
        let updates = updates.map(|command| with_fields(command, values));
        let changed = comments.iter().filter(|comment| stands(&comment.text)).filter_map(|comment| {
            // A comment keeps the time of its visit, which stands nowhere else.
            let text = match (texts::time_of(&comment.text), texts::time_of(text)) {
                (Some(_), None) => format!("{} {text}", comment.text.split(' ').next().unwrap_or_default()),
                _ => text.to_owned(),
            };
            let changes = comment.text != text;
            changes.then(|| comment.command("crm.timeline.comment.update").with("fields[COMMENT]", text))
        });
        let commands: Vec<Command> = updates.chain(changed).collect();
        self.all_done(&commands).await
    }

    async fn names_of_elements(&mut self) -> Result<Option<VisitNames>, Failure> {
        Ok(match self.settings.visit_type_id {
            Some(type_id) => Some(self.visit_names(type_id).await?),
            None => None,
        })
    }

    pub(super) async fn void_visit(&mut self, visit: &SentVisit) -> Result<(), Failure> {
        let text = void_text(self.language, visit.key);
        let void = self.names_of_elements().await?.and_then(|names| names.visit.void);
        let void = void.map(|name| (name, "Y".to_owned()));
        let values: Vec<(String, String)> = [("title".to_owned(), text.clone())].into_iter().chain(void).collect();
        self.rewrite(visit, &values, &text).await
    }

    pub(super) async fn amend_visit(&mut self, visit: &VisitRecord, sent: &SentVisit) -> Result<(), Failure> {
        let names = self.names_of_elements().await?;
        let values = names.map(|names| self.values(&names, visit)).unwrap_or_default();
        let text = self.comment_text(visit);
        self.rewrite(sent, &values, &text).await
    }

    pub(super) async fn forget_visits(&mut self, visits: &[SentVisit]) -> Result<(), Failure> {
        let (elements, comments) = self.places(visits).await?;
        let mut commands = Vec::new();
        if let Some(type_id) = self.settings.visit_type_id {
            let delete = |element: &Element| {
                Command::new("crm.item.delete").with("entityTypeId", type_id).with("id", element.id)
            };
            commands.extend(elements.iter().map(delete));
        }
        commands.extend(comments.iter().map(|comment| comment.command("crm.timeline.comment.delete")));
        self.all_done(&commands).await?;
        // A deletion answers nothing; that nothing is found any more is the answer.
        let (elements, comments) = self.places(visits).await?;
        if elements.is_empty() && comments.is_empty() {
            return Ok(());
        }
        Err(Failure::transient("an erased customer's visits are still in Битрикс24; they are deleted again"))
    }

    /// The visits of a contact, as elements and as comments, whichever box wrote them.
    pub(super) async fn standing_visits(&mut self, contact: &ContactId) -> Result<Vec<Standing>, Failure> {
        let mut standing = Vec::new();
        if let (Some(type_id), Some(names)) = (self.settings.visit_type_id, self.names_of_elements().await?) {
            let named = [&names.visit.at, &names.visit.void, &names.record.store].into_iter().flatten();
            let select: Vec<&str> =
                ["id", "xmlId", "title", "createdTime"].into_iter().chain(named.map(|name| &**name)).collect();
            let rows = self.list(type_id, &json!({ "=contactId": contact.0 }), &json!(select)).await?;
            let own = |row: &Value| {
                let key: Uuid = row["xmlId"].as_str()?.parse().ok()?;
                let text = |name: Option<&String>| row[name?].as_str().map(str::to_owned);
                let title = row["title"].as_str().unwrap_or_default();
                let at = text(names.visit.at.as_ref()).or_else(|| row["createdTime"].as_str().map(str::to_owned))?;
                let is_void = text(names.visit.void.as_ref()).is_some_and(|void| void == "Y");
                Some(Standing {
                    key,
                    opened_at: at.parse().ok()?,
                    store: text(names.record.store.as_ref()).or_else(|| texts::store_in(title)),
                    void: is_void || texts::said(title, key) == Said::Void,
                })
            };
            standing.extend(rows.iter().filter_map(own));
        }
        let own = |comment: Comment| {
            let key = texts::key_in(&comment.text)?;
            let at = comment.text.split(' ').next().and_then(|at| at.parse::<Timestamp>().ok());
            let void = texts::said(&comment.text, key) == Said::Void;
            Some(Standing { key, opened_at: at.or(comment.created)?, store: texts::store_in(&comment.text), void })
        };
        standing.extend(self.comments_on(contact).await?.into_iter().filter_map(own));
        let mut seen = BTreeSet::new();
        standing.retain(|visit| seen.insert(visit.key));
        Ok(standing)
    }

    async fn all_done(&mut self, commands: &[Command]) -> Result<(), Failure> {
        for part in commands.chunks(BATCH) {
            for outcome in self.batch(part).await? {
                outcome.gone_or_done()?;
            }
        }
        Ok(())
    }
}

fn with_fields(command: Command, values: &[(String, String)]) -> Command {
    values.iter().fold(command, |command, (name, value)| command.with(&format!("fields[{name}]"), value))
}

fn not_ours() -> Failure {
    Failure::poison("the contact's id is none of Битрикс24's")
}
