//! Whether a CRM takes what it is sent: what it took, what it refused since, and which of that is a row's own fault.
//!
//! A refusal is held against one row only with evidence that the lane works: a visit was taken since its first refusal.
//! Until then it is a suspect, and waits. Giving out and concluding is `delivery`'s, what a person decides, `letters`'.

use jiff::Timestamp;
use rusqlite::{Transaction, params};
use uuid::Uuid;

use super::error::Fault;
use super::rows::{key, micros};
use super::targets::TargetId;

/// What the last answers of a CRM say of the lane to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lane {
    /// Visits that it ever took.
    pub taken: u64,
    /// Refusals since it last took one: of different rows, or of the same ones again.
    pub refused: u64,
    /// The visits that were refused since then and wait.
    pub suspects: u64,
}

/// After so many refusals, and nothing taken, it is not the rows.
const MANY: u64 = 3;

impl Lane {
    /// Everything is refused: that is not the fault of the rows.
    pub fn is_stopped(&self) -> bool {
        self.refused >= MANY
    }

    /// What was never tried would be refused as well. While it is but one row or two, others are sent beside them.
    pub fn holds_up_all(&self) -> bool {
        self.is_stopped() && self.suspects >= MANY
    }
}

pub(super) fn of(tx: &Transaction<'_>, target: TargetId) -> Result<Lane, Fault> {
    let mut statement = tx.prepare_cached(
        "SELECT taken, refused, (SELECT count(*) FROM deliveries JOIN facts ON seq = fact
             WHERE target = targets.id AND suspect_since = taken AND deliveries.state = 'new' AND kind = 'visit')
         FROM targets WHERE id = ?1",
    )?;
    let number = |row: &rusqlite::Row<'_>, column| row.get::<_, i64>(column).map(i64::unsigned_abs);
    let read = |row: &rusqlite::Row<'_>| {
        Ok(Lane { taken: number(row, 0)?, refused: number(row, 1)?, suspects: number(row, 2)? })
    };
    Ok(statement.query_row(params![target.0], read)?)
}

/// `target` did what it was asked; `visits` of that were visits. These open the lane: what it was suspected of is over, and
/// the suspects go on. A taking back that goes through says nothing of visits that are refused.
pub(super) fn went_through(tx: &Transaction<'_>, target: TargetId, visits: u64, now: Timestamp) -> Result<(), Fault> {
    tx.prepare_cached("UPDATE targets SET last_success = ?2 WHERE id = ?1")?.execute(params![target.0, micros(now)])?;
    if visits > 0 {
        tx.prepare_cached(
            "UPDATE deliveries SET not_before = NULL WHERE target = ?1 AND suspect_since NOT NULL AND state = 'new'
             AND (SELECT refused FROM targets WHERE id = ?1) > 0",
        )?
        .execute(params![target.0])?;
        let taken = "UPDATE targets SET taken = taken + ?2, refused = 0 WHERE id = ?1";
        tx.prepare_cached(taken)?.execute(params![target.0, i64::try_from(visits).unwrap_or(i64::MAX)])?;
    }
    tx.prepare_cached(
        "UPDATE targets SET failing_since = NULL, blocked_until = NULL, error_class = NULL, error = NULL
         WHERE id = ?1 AND refused = 0",
    )?
    .execute(params![target.0])?;
    Ok(())
}

/// `target` refused something; which row's fault that is, is not known.
pub(super) fn refuses(tx: &Transaction<'_>, target: TargetId) -> Result<(), Fault> {
    tx.prepare_cached("UPDATE targets SET refused = refused + 1 WHERE id = ?1")?.execute(params![target.0])?;
    Ok(())
}

/// `target`, which had taken `before` visits until this call, refused the event for what it is. Whether it is given up.
pub(super) fn refused(
    tx: &Transaction<'_>,
    target: TargetId,
    event: Uuid,
    before: u64,
    (class, said, not_before): (&str, &str, Timestamp),
) -> Result<(), Fault> {
    refuses(tx, target)?;
    tx.prepare_cached(
        "UPDATE deliveries SET last_error_class = ?3, last_error = ?4,
         suspect_since = coalesce(suspect_since, ?5), state = 'new', not_before = ?6
         WHERE target = ?1 AND fact = (SELECT seq FROM facts WHERE id = ?2)",
    )?
    .execute(params![target.0, key(event), class, said, before.cast_signed(), micros(not_before)])?;
    tx.prepare_cached(
        "UPDATE deliveries SET state = 'dead', suspect_since = NULL, not_before = NULL
         WHERE target = ?1 AND fact = (SELECT seq FROM facts WHERE id = ?2)
         AND suspect_since < (SELECT taken FROM targets WHERE id = ?1)",
    )?
    .execute(params![target.0, key(event)])?;
    Ok(())
}

/// The event was refused before and is taken now: its cause is mended, and what was given up for the same one comes back.
pub(super) fn cause_is_mended(tx: &Transaction<'_>, target: TargetId, event: Uuid) -> Result<usize, Fault> {
    let sql = format!(
        "UPDATE deliveries SET state = 'new', not_before = NULL WHERE target = ?1 AND state = 'dead' AND {LIKE} ?2)"
    );
    Ok(tx.prepare_cached(&sql)?.execute(params![target.0, key(event)])?)
}

/// In SQL, of `deliveries`, to be followed by an event and a bracket: refused in the same words as that one.
pub(super) const LIKE: &str = "(last_error_class, last_error) = (SELECT last_error_class, last_error
    FROM outbox o WHERE o.target = deliveries.target AND o.event =";
