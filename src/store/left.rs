//! Visits over a stop of the service: when their customers were last seen, and which of them may go on.
//!
//! How a visit is opened, closed and answered is `visits`; who stands at the counter again is `crate::visit`'s.

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Transaction, params};

use super::Store;
use super::error::{Fault, StoreError};
use super::rows::{key, micros, visit_id, wall};
use super::visits::{VISIT_COLUMNS, VisitRecord, VisitVerdict, close, require, visit_of};
use crate::clock::{SinceBoot, WallTime};
use crate::customer::VisitId;

/// When the customer of a visit was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenAt {
    pub at: Timestamp,
    pub since_boot: Option<SinceBoot>,
}

/// A visit that has ended lately.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftVisit {
    pub record: VisitRecord,
    pub ended: WallTime,
    /// How long ago its customer left.
    pub ago: Duration,
}

/// More visits than a box has within its merge window.
const MOST_TO_TAKE_UP: u32 = 512;

impl Store {
    /// As [`Self::close_visit`], with when the customer left, so that the next start can go on with the visit.
    pub fn leave_visit(
        &self,
        id: VisitId,
        left: &SeenAt,
        closed_at: WallTime,
        deliver_after: Timestamp,
    ) -> Result<(), StoreError> {
        self.write(|tx| {
            let visit = require(tx, id)?;
            if visit.closed_at.is_some() {
                return Ok(());
            }
            see(tx, id, left)?;
            // A visit that was begun anew while this was on its way may have begun later by its clock.
            let began = visit.record.opened_at;
            close(tx, id, if closed_at.at < began.at { began } else { closed_at }, deliver_after)
        })
    }

    /// Notes when the customers of open visits were last seen: should the box stop dead, their visits end then.
    pub fn note_seen(&self, seen: &[(VisitId, SeenAt)]) -> Result<(), StoreError> {
        self.write(|tx| seen.iter().try_for_each(|(id, seen)| see(tx, *id, seen)))
    }

    /// Closes visits that a crash left open and returns how many. They end when their customers were last seen, or
    /// as they began where that was never noted; their events may be sent `grace` later. To be called once, before
    /// new visits open.
    pub fn close_left_open(&self, grace: Duration) -> Result<usize, StoreError> {
        self.write(|tx| {
            let mut statement = tx.prepare(
                "SELECT id, max(opened_at, coalesce(seen_at, opened_at)), opened_synchronised FROM visits
                 WHERE closed_at IS NULL",
            )?;
            let mut rows = statement.query([])?;
            let mut left = Vec::new();
            while let Some(row) = rows.next()? {
                left.push((visit_id(row, 0)?, wall(row.get(1)?, row.get(2)?)?));
            }
            for (id, ended) in &left {
                close(tx, *id, *ended, ended.at.checked_add(grace).unwrap_or(ended.at))?;
            }
            Ok(left.len())
        })
    }

    /// The visits that ended less than `window` ago and may go on: the latest of each customer, with how long ago their
    /// customer left. That is asked of the clock that nobody sets, if the machine has not been restarted, or else of
    /// the wall clock.
    pub fn visits_to_take_up(
        &self,
        now: WallTime,
        since_boot: Option<&SinceBoot>,
        window: Duration,
    ) -> Result<Vec<LeftVisit>, StoreError> {
        self.read(|tx| {
            let mut statement = tx.prepare(&format!(
                "{VISIT_COLUMNS} WHERE v.closed_at NOT NULL ORDER BY v.rowid DESC LIMIT {MOST_TO_TAKE_UP}"
            ))?;
            let mut rows = statement.query([])?;
            let mut found: Vec<LeftVisit> = Vec::new();
            while let Some(row) = rows.next()? {
                let visit = visit_of(row)?;
                let Some(ended) = visit.closed_at.filter(|_| visit.verdict != VisitVerdict::Rejected) else { continue };
                let boot = row.get::<_, Option<String>>(12)?.zip(row.get::<_, Option<i64>>(13)?);
                let by_boot = since_boot.zip(boot).filter(|(now, (boot, _))| now.boot == *boot);
                let ago = match by_boot {
                    Some((now, (_, after))) => now.after.checked_sub(Duration::from_millis(after.unsigned_abs())),
                    None => Duration::try_from(now.at.duration_since(ended.at)).ok(),
                };
                let newer = found.iter().any(|other| other.record.customer == visit.record.customer);
                if let Some(ago) = ago.filter(|ago| *ago < window && !newer) {
                    found.push(LeftVisit { record: visit.record, ended, ago });
                }
            }
            Ok(found)
        })
    }
}

fn see(tx: &Transaction<'_>, id: VisitId, seen: &SeenAt) -> Result<(), Fault> {
    let since = seen.since_boot.as_ref();
    tx.execute(
        "UPDATE visits SET seen_at = ?2, boot = ?3, seen_after_ms = ?4 WHERE id = ?1 AND closed_at IS NULL",
        params![
            key(id.0),
            micros(seen.at),
            since.map(|since| &since.boot),
            since.map(|since| i64::try_from(since.after.as_millis()).unwrap_or(i64::MAX)),
        ],
    )?;
    Ok(())
}
