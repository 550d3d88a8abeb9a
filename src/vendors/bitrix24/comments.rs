//! Visits as comments in the contact's timeline: sought from its newest end, and told apart by the mark in their texts.
//!
//! When a visit is a comment is `visits`'.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::names::CONTACT;
use super::wire::Command;
use super::{BATCH, Bitrix24, MOST_PAGES, wire};
use crate::crm::{ContactId, Failure, SentVisit, VisitRecord};
use crate::vendors::texts;

/// How far before the first try, by the portal's clock, a comment is looked for.
const SLACK: SignedDuration = SignedDuration::from_mins(10);
/// Before the id of a comment; an element's stands alone.
pub(super) const COMMENT: &str = "comment:";

/// A comment in a contact's timeline.
pub(super) struct Comment {
    pub id: i64,
    pub contact: ContactId,
    pub text: String,
    pub created: Option<Timestamp>,
}

/// How far a contact's comments are looked through: to a time, until these keys are met, or to the end.
#[derive(Default)]
pub(super) struct Look {
    from: Option<Timestamp>,
    keys: Vec<Uuid>,
}

impl Comment {
    pub fn bears(&self, key: Uuid) -> bool {
        texts::bears(&self.text, key)
    }

    /// A method about this comment.
    pub fn command(&self, method: &str) -> Command {
        let command = Command::new(method).with("id", self.id);
        if self.contact.0.is_empty() {
            return command;
        }
        command.with("ownerTypeId", CONTACT).with("ownerId", &self.contact)
    }
}

/// By contact, how these doubtful visits are looked for.
pub(super) fn looks_for<'a>(visits: impl Iterator<Item = &'a VisitRecord>) -> BTreeMap<ContactId, Look> {
    let mut looks: BTreeMap<ContactId, Look> = BTreeMap::new();
    for visit in visits {
        let from = visit.tried_at.and_then(|tried| tried.checked_sub(SLACK).ok());
        let look = looks.entry(visit.contact.clone()).or_insert_with(|| Look { from, keys: Vec::new() });
        look.from = look.from.zip(from).map(|(earliest, from)| earliest.min(from));
        look.keys.push(visit.key);
    }
    looks
}

impl Bitrix24 {
    pub(super) fn comment_text(&self, visit: &VisitRecord) -> String {
        format!("{} {}", wire::time(visit.opened_at.at), visit.text(self.language))
    }

    pub(super) fn comment(&self, visit: &VisitRecord) -> Command {
        Command::new("crm.timeline.comment.add")
            .with("fields[ENTITY_ID]", &visit.contact)
            .with("fields[ENTITY_TYPE]", "contact")
            .with("fields[COMMENT]", self.comment_text(visit))
    }

    /// All comments of a contact.
    pub(super) async fn comments_on(&mut self, contact: &ContactId) -> Result<Vec<Comment>, Failure> {
        self.comments_of(BTreeMap::from([(contact.clone(), Look::default())])).await
    }

    /// The comments of these contacts, the newest first, as far as each is looked through. Whether the list can be filtered
    /// by time depends on the portal's version, so it is read from its newest end.
    pub(super) async fn comments_of(&mut self, looks: BTreeMap<ContactId, Look>) -> Result<Vec<Comment>, Failure> {
        let mut found: Vec<Comment> = Vec::new();
        let mut asked: Vec<(ContactId, Look, u64)> =
            looks.into_iter().map(|(contact, look)| (contact, look, 0)).collect();
        for _ in 0..MOST_PAGES {
            if asked.is_empty() {
                return Ok(found);
            }
            let mut left = Vec::new();
            while !asked.is_empty() {
                let part: Vec<_> = asked.drain(..asked.len().min(BATCH)).collect();
                let commands: Vec<Command> = part.iter().map(|(contact, _, start)| page(contact, *start)).collect();
                for ((contact, look, _), outcome) in part.into_iter().zip(self.batch(&commands).await?) {
                    let (result, next) = match outcome.result() {
                        Ok(answer) => answer,
                        // The contact is gone, and its timeline with it.
                        Err((code, _)) if matches!(&*code, "NOT_FOUND" | "OWNER_NOT_FOUND") => continue,
                        Err((_, failure)) => return Err(failure),
                    };
                    let rows = wire::list(&result)
                        .ok_or_else(|| Failure::transient("Битрикс24's answer holds no comments"))?;
                    let before = found.len();
                    found.extend(rows.iter().filter_map(|row| {
                        let text = row["COMMENT"].as_str().unwrap_or_default().to_owned();
                        let created = row["CREATED"].as_str().and_then(|at| at.parse().ok());
                        Some(Comment { id: wire::id_of(row)?, contact: contact.clone(), text, created })
                    }));
                    let is_past = found[before..]
                        .iter()
                        .any(|own| own.created.zip(look.from).is_some_and(|(at, from)| at < from));
                    let is_met = |key: &Uuid| found.iter().any(|comment| comment.bears(*key));
                    let is_enough = is_past || !look.keys.is_empty() && look.keys.iter().all(is_met);
                    if let Some(next) = next.filter(|_| !is_enough) {
                        left.push((contact, look, next));
                    }
                }
            }
            asked = left;
        }
        Err(Failure::transient("Битрикс24's list of comments does not end"))
    }

    /// The comments whose ids were told, as far as they are there and bear the mark of the visit they were told of.
    pub(super) async fn told_comments(&mut self, visits: &[SentVisit]) -> Result<Vec<Comment>, Failure> {
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
                // Where it is now: the contacts may have been merged.
                let owner = wire::number(&row["ENTITY_ID"]).filter(|_| row["ENTITY_TYPE"] == "contact");
                let contact = ContactId(owner.map(|id| id.to_string()).unwrap_or_default());
                let comment = Comment { id: *id, contact, text, created: None };
                comments.extend(Some(comment).filter(|comment| comment.bears(visit.key)));
            }
        }
        Ok(comments)
    }
}

fn page(contact: &ContactId, start: u64) -> Command {
    Command::new("crm.timeline.comment.list")
        .with("filter[ENTITY_ID]", contact)
        .with("filter[ENTITY_TYPE]", "contact")
        .with("select[0]", "ID")
        .with("select[1]", "CREATED")
        .with("select[2]", "COMMENT")
        .with("order[ID]", "DESC")
        .with("start", start)
}
