//! Visits as elements of a smart process, or as comments in the contact's timeline, written and found again.
//!
//! A visit may lie in either place: a tariff can stop allowing elements between two tries.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::names::{CONTACT, VisitNames};
use super::wire::Command;
use super::{BATCH, Bitrix24, MOST_PAGES, RESTRICTED, wire};
use crate::crm::{ContactId, Failure, RecordId, SentVisit, VisitRecord, mark, void_text};

/// How far before a visit its comment is looked for: clocks differ, and how the portal writes its time is its own.
const SLACK: Duration = Duration::from_secs(24 * 3600);
/// Before the id of a comment; an element's stands alone.
const COMMENT: &str = "comment:";
const NO_ELEMENTS: &str = "CREATE_DYNAMIC_ITEM_RESTRICTED";

/// A comment in a contact's timeline.
struct Comment {
    id: i64,
    contact: ContactId,
    text: String,
}

/// A method about one comment.
fn about(method: &str, comment: &Comment) -> Command {
    let command = Command::new(method).with("id", comment.id);
    if comment.contact.0.is_empty() {
        return command;
    }
    command.with("ownerTypeId", CONTACT).with("ownerId", &comment.contact)
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
        if let Some(type_id) = self.elements() {
            let names = self.visit_names(type_id).await?;
            let all: Vec<usize> = (0..visits.len()).collect();
            for part in all.chunks(BATCH) {
                let commands: Vec<Command> =
                    part.iter().map(|at| self.element(type_id, &names, &visits[*at])).collect();
                for (at, outcome) in part.iter().zip(self.batch(&commands).await?) {
                    match outcome.result() {
                        Err((code, _)) if code == NO_ELEMENTS => {
                            self.restricted = Some(self.tools.clock.monotonic() + RESTRICTED);
                        }
                        Err((_, failure)) => drop(done.insert(*at, Err(failure))),
                        Ok((result, _)) => {
                            done.insert(*at, self.element_made(&result["item"], &names, &visits[*at]));
                        }
                    }
                }
            }
        }
        let left: Vec<usize> = (0..visits.len()).filter(|at| !done.contains_key(at)).collect();
        for part in left.chunks(BATCH) {
            let commands: Vec<Command> = part.iter().map(|at| self.comment(&visits[*at])).collect();
            for (at, outcome) in part.iter().zip(self.batch(&commands).await?) {
                let unnamed = || Failure::transient("Битрикс24's answer names no comment");
                let made = outcome.result().map_err(|(_, failure)| failure);
                let id = made.and_then(|(result, _)| wire::number(&result).ok_or_else(unnamed));
                done.insert(*at, id.map(|id| RecordId(format!("{COMMENT}{id}"))));
            }
        }
        Ok(done.into_values().collect())
    }

    fn element(&self, type_id: u32, names: &VisitNames, visit: &VisitRecord) -> Command {
        let names = &names.0;
        let mut command = Command::new("crm.item.add")
            .with("entityTypeId", type_id)
            .with("fields[title]", format!("{} ({})", visit.title(self.language), visit.shop))
            .with("fields[xmlId]", visit.key)
            .with("fields[contactIds][0]", &visit.contact);
        for (name, value) in [
            (&names.at, wire::time(visit.opened_at.at)),
            (&names.until, wire::time(visit.closed_at.at)),
            (&names.counter, format!("{} / {}", visit.shop, visit.counter)),
            (&names.how, visit.how.as_str().to_owned()),
        ] {
            if let Some(name) = name {
                command = command.with(&format!("fields[{name}]"), value);
            }
        }
        command
    }

    /// The id of a new element. One that lacks what was sent is there all the same; the fields are looked up anew
    /// before the next is sent.
    fn element_made(&mut self, item: &Value, names: &VisitNames, visit: &VisitRecord) -> Result<RecordId, Failure> {
        let id = wire::id_of(item).ok_or_else(|| Failure::transient("Битрикс24's answer names no element"))?;
        let at_is_there = names.0.at.as_ref().is_none_or(|name| !item[name].is_null());
        if !at_is_there || item["xmlId"] != visit.key.to_string().as_str() {
            self.visit_names = None;
        }
        Ok(RecordId(id.to_string()))
    }

    fn comment(&self, visit: &VisitRecord) -> Command {
        let text = format!("{} {}", wire::time(visit.opened_at.at), visit.text(self.language));
        Command::new("crm.timeline.comment.add")
            .with("fields[ENTITY_ID]", &visit.contact)
            .with("fields[ENTITY_TYPE]", "contact")
            .with("fields[COMMENT]", text)
    }

    pub(super) fn preview_command(&self, visit: &VisitRecord) -> Option<Command> {
        Some(match self.settings.visit_type_id {
            Some(type_id) => self.element(type_id, &VisitNames(self.settings.visit.clone()), visit),
            None => self.comment(visit),
        })
    }

    pub(super) async fn reconcile_visits(&mut self, visits: &[VisitRecord]) -> Result<Vec<Option<RecordId>>, Failure> {
        let mut elements = BTreeMap::new();
        for part in visits.chunks(BATCH) {
            let keys: Vec<String> = part.iter().map(|visit| visit.key.to_string()).collect();
            elements.extend(self.elements_of(&keys).await?.into_iter().map(|(key, id)| (key, id.to_string())));
        }
        let mut contacts: BTreeMap<ContactId, Timestamp> = BTreeMap::new();
        for visit in visits.iter().filter(|visit| !elements.contains_key(&visit.key.to_string())) {
            let from = visit.tried_at.unwrap_or(visit.opened_at.at).min(visit.opened_at.at);
            let earliest = contacts.entry(visit.contact.clone()).or_insert(from);
            *earliest = from.min(*earliest);
        }
        let comments = self.comments_of(contacts).await?;
        let there = |visit: &VisitRecord| {
            let element = elements.get(&visit.key.to_string()).cloned();
            let in_text = |comment: &&Comment| comment.text.contains(&visit.mark());
            let id =
                element.or_else(|| comments.iter().find(in_text).map(|comment| format!("{COMMENT}{}", comment.id)));
            id.map(RecordId)
        };
        Ok(visits.iter().map(there).collect())
    }

    /// Key and id of every element with one of these keys; twins come twice.
    async fn elements_of(&mut self, keys: &[String]) -> Result<Vec<(String, i64)>, Failure> {
        let Some(type_id) = self.settings.visit_type_id.filter(|_| !keys.is_empty()) else { return Ok(Vec::new()) };
        let rows = self.list(type_id, &json!({ "@xmlId": keys }), &json!(["id", "xmlId"])).await?;
        let own = |row: &Value| {
            let key = row["xmlId"].as_str().filter(|key| keys.iter().any(|own| own == key))?;
            Some((key.to_owned(), wire::id_of(row)?))
        };
        Ok(rows.iter().filter_map(own).collect())
    }

    /// The comments of these contacts since a little before the time beside each. Whether the list can be filtered
    /// by time depends on the portal's version, so it is read from its newest end.
    async fn comments_of(&mut self, contacts: BTreeMap<ContactId, Timestamp>) -> Result<Vec<Comment>, Failure> {
        let mut found = Vec::new();
        let mut asked: Vec<(ContactId, Timestamp, u64)> =
            contacts.into_iter().map(|(contact, from)| (contact, from.checked_sub(SLACK).unwrap_or(from), 0)).collect();
        for _ in 0..MOST_PAGES {
            if asked.is_empty() {
                return Ok(found);
            }
            let mut left = Vec::new();
            for part in asked.chunks(BATCH) {
                let commands: Vec<Command> = part
                    .iter()
                    .map(|(contact, _, start)| {
                        Command::new("crm.timeline.comment.list")
                            .with("filter[ENTITY_ID]", contact)
                            .with("filter[ENTITY_TYPE]", "contact")
                            .with("select[0]", "ID")
                            .with("select[1]", "CREATED")
                            .with("select[2]", "COMMENT")
                            .with("order[ID]", "DESC")
                            .with("start", start)
                    })
                    .collect();
                for ((contact, from, _), outcome) in part.iter().zip(self.batch(&commands).await?) {
                    let (result, next) = match outcome.result() {
                        Ok(answer) => answer,
                        // The contact is gone, and its timeline with it.
                        Err((code, _)) if matches!(&*code, "NOT_FOUND" | "OWNER_NOT_FOUND") => continue,
                        Err((_, failure)) => return Err(failure),
                    };
                    let rows = wire::list(&result)
                        .ok_or_else(|| Failure::transient("Битрикс24's answer holds no comments"))?;
                    let created = |row: &Value| row["CREATED"].as_str().and_then(|at| at.parse::<Timestamp>().ok());
                    let is_past = rows.iter().filter_map(created).any(|at| at < *from);
                    found.extend(rows.iter().filter_map(|row| {
                        let text = row["COMMENT"].as_str().unwrap_or_default().to_owned();
                        Some(Comment { id: wire::id_of(row)?, contact: contact.clone(), text })
                    }));
                    if let Some(next) = next.filter(|_| !is_past) {
                        left.push((contact.clone(), *from, next));
                    }
                }
            }
            asked = left;
        }
        Err(Failure::transient("Битрикс24's list of comments does not end"))
    }

    /// Elements and comments of these visits, each seen with the key or mark of its visit. An element is where its key
    /// is, whatever id was told: in another portal the same number is somebody else's.
    async fn places(&mut self, visits: &[SentVisit]) -> Result<(BTreeSet<i64>, Vec<Comment>), Failure> {
        let keys: Vec<String> = visits.iter().map(|visit| visit.key.to_string()).collect();
        let found = self.elements_of(&keys).await?;
        let mut comments = self.told_comments(visits).await?;
        let bears = |comment: &Comment, visit: &SentVisit| comment.text.contains(&mark(visit.key));
        let mut contacts = BTreeMap::new();
        for visit in visits.iter().filter(|visit| !visit.contact.0.is_empty()) {
            let is_element = found.iter().any(|(key, _)| *key == visit.key.to_string());
            if !is_element && !comments.iter().any(|comment| bears(comment, visit)) {
                let earliest = contacts.entry(visit.contact.clone()).or_insert(visit.written_at);
                *earliest = visit.written_at.min(*earliest);
            }
        }
        for comment in self.comments_of(contacts).await? {
            if visits.iter().any(|visit| bears(&comment, visit)) && comments.iter().all(|own| own.id != comment.id) {
                comments.push(comment);
            }
        }
        Ok((found.into_iter().map(|(_, id)| id).collect(), comments))
    }

    /// The comments whose ids were told, as far as they are there and bear the mark of the visit they were told of.
    async fn told_comments(&mut self, visits: &[SentVisit]) -> Result<Vec<Comment>, Failure> {
        let told = |visit: &SentVisit| visit.record.as_ref()?.0.strip_prefix(COMMENT)?.parse::<i64>().ok();
        let told: Vec<(i64, &SentVisit)> = visits.iter().filter_map(|visit| Some((told(visit)?, visit))).collect();
        let mut comments = Vec::new();
        for part in told.chunks(BATCH) {
            let commands: Vec<Command> =
                part.iter().map(|(id, _)| Command::new("crm.timeline.comment.get").with("id", id)).collect();
            for ((id, visit), outcome) in part.iter().zip(self.batch(&commands).await?) {
                let row = match outcome.result() {
                    Ok((row, _)) => row,
                    Err((code, _)) if code == "NOT_FOUND" => continue,
                    Err((_, failure)) => return Err(failure),
                };
                let text = row["COMMENT"].as_str().map(str::to_owned);
                let text = text.ok_or_else(|| Failure::transient("Битрикс24's answer holds no comment"))?;
                if text.contains(&mark(visit.key)) {
                    // Where it is now: the contacts may have been merged.
                    let owner = wire::number(&row["ENTITY_ID"]).filter(|_| row["ENTITY_TYPE"] == "contact");
                    let contact = ContactId(owner.map(|id| id.to_string()).unwrap_or_default());
                    comments.push(Comment { id: *id, contact, text });
                }
            }
        }
        Ok(comments)
    }

    pub(super) async fn void_visit(&mut self, visit: &SentVisit) -> Result<(), Failure> {
        let (elements, comments) = self.places(std::slice::from_ref(visit)).await?;
        let text = void_text(self.language, visit.key);
        let mut commands = Vec::new();
        if let Some(type_id) = self.settings.visit_type_id.filter(|_| !elements.is_empty()) {
            let names = self.visit_names(type_id).await?;
            for id in elements {
                let mut command = Command::new("crm.item.update")
                    .with("entityTypeId", type_id)
                    .with("id", id)
                    .with("fields[title]", &text);
                if let Some(void) = &names.0.void {
                    command = command.with(&format!("fields[{void}]"), "Y");
                }
                commands.push(command);
            }
        }
        let update = |comment| about("crm.timeline.comment.update", comment).with("fields[COMMENT]", &text);
        commands.extend(comments.iter().map(update));
        self.all_done(&commands).await
    }

    pub(super) async fn forget_visits(&mut self, visits: &[SentVisit]) -> Result<(), Failure> {
        let (elements, comments) = self.places(visits).await?;
        let mut commands = Vec::new();
        if let Some(type_id) = self.settings.visit_type_id {
            commands.extend(
                elements
                    .into_iter()
                    .map(|id| Command::new("crm.item.delete").with("entityTypeId", type_id).with("id", id)),
            );
        }
        commands.extend(comments.iter().map(|comment| about("crm.timeline.comment.delete", comment)));
        self.all_done(&commands).await?;
        // A deletion answers nothing; that nothing is found any more is the answer.
        let (elements, comments) = self.places(visits).await?;
        if elements.is_empty() && comments.is_empty() {
            return Ok(());
        }
        Err(Failure::transient("an erased customer's visits are still in Битрикс24; they are deleted again"))
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
