//! The CRMs that the box tells, or has told: which one is the current one, and what delivery remembers of each.
//!
//! What is on its way to them is `outbox` and `delivery`; what they have, `ledger`; what is owed to former ones, `debts`.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Transaction, params};

use super::error::Fault;
use super::lane::{self, Lane};
use super::outbox::NOT_THERE;
use super::rows::{micros, time};
use super::{Store, StoreError, amendments};

/// A CRM that was configured at one time or is now. It means something to this store alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TargetId(pub(super) i64);

/// What delivery remembers over a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyncState {
    pub cursor: String,
    pub last_success: Option<Timestamp>,
    pub failing_since: Option<Timestamp>,
    pub blocked_until: Option<Timestamp>,
    pub error_class: Option<String>,
    pub error: Option<String>,
    /// Counts the times that a person asked for another try.
    pub wakes: u64,
    /// Customers with waiting visits and no contact.
    pub unlinked: u64,
    pub lane: Lane,
}

const UNREADABLE: Fault = Fault::Row("what delivery remembers is not what this Snova writes");

/// In SQL: the CRM that is told now.
pub(super) const CURRENT: &str = "(SELECT id FROM targets WHERE state = 'current')";

impl Store {
    /// Says which CRM is told from now on. What was never tried goes to it; what another one has, or may have, stays with
    /// that one, and so does everything that is to be taken back or forgotten there.
    pub fn use_crm(&self, identity: &str) -> Result<TargetId, StoreError> {
        self.write(|tx| {
            let (before, named): (i64, String) =
                tx.query_row("SELECT id, identity FROM targets WHERE state = 'current'", [], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })?;
            if named == identity {
                return Ok(TargetId(before));
            }
            // The place that was kept for the first CRM becomes that CRM.
            let is_place = named.is_empty() && of_identity(tx, identity)?.is_none();
            if is_place {
                tx.execute("UPDATE targets SET identity = ?2 WHERE id = ?1", params![before, identity])?;
                return Ok(TargetId(before));
            }
            tx.execute("UPDATE targets SET state = 'former' WHERE id = ?1", params![before])?;
            tx.execute(
                "INSERT INTO targets (identity, state) VALUES (?1, 'current')
                 ON CONFLICT (identity) DO UPDATE SET state = 'current', cursor = '', pulled_at = NULL,
                 failing_since = NULL, blocked_until = NULL, error_class = NULL, error = NULL, refused = 0",
                params![identity],
            )?;
            let now = of_identity(tx, identity)?.ok_or(UNREADABLE)?;
            // A card says what one CRM knows; it is asked for anew if that one comes back.
            tx.execute("UPDATE upkeep SET gallery = gallery + 1", [])?;
            tx.execute(
                "UPDATE customers SET changed = (SELECT gallery FROM upkeep)
                 WHERE id IN (SELECT customer FROM crm_links WHERE sealed NOT NULL)",
                [],
            )?;
            tx.execute("UPDATE crm_links SET sealed = NULL, as_of = NULL WHERE target = ?1", params![before])?;
            move_untried(tx, TargetId(before), now)?;
            amendments::leave(tx, TargetId(before))?;
            Ok(now)
        })
    }

    /// The CRM that is told now, or the place of the first one.
    pub fn current_target(&self) -> Result<TargetId, StoreError> {
        self.read(current)
    }

    /// What delivery to the current CRM remembers.
    pub fn sync_state(&self) -> Result<SyncState, StoreError> {
        self.read(|tx| state(tx, current(tx)?))
    }

    /// What delivery to `target` remembers.
    pub fn sync_state_of(&self, target: TargetId) -> Result<SyncState, StoreError> {
        self.read(|tx| state(tx, target))
    }

    /// Remembers where the next look for changed cards begins; and, at the end of one, that all cards are as of `at`.
    pub fn keep_cursor(&self, target: TargetId, cursor: &str, at: Option<Timestamp>) -> Result<(), StoreError> {
        self.write(|tx| {
            tx.execute(
                "UPDATE targets SET cursor = ?2, pulled_at = coalesce(?3, pulled_at) WHERE id = ?1",
                params![target.0, cursor, at.map(micros)],
            )?;
            Ok(())
        })
    }

    /// Remembers a failure of the whole delivery to `target`, and until when it waits.
    pub fn keep_failure(
        &self,
        target: TargetId,
        class: &str,
        said: &str,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.write(|tx| {
            tx.execute(
                "UPDATE targets SET error_class = ?2, error = ?3, blocked_until = ?4, failing_since = coalesce(failing_since, ?5)
                 WHERE id = ?1",
                params![target.0, class, said, micros(until), micros(now)],
            )?;
            Ok(())
        })
    }

    /// The delivery to `target` is well again.
    pub fn clear_failure(&self, target: TargetId) -> Result<(), StoreError> {
        self.write(|tx| {
            tx.execute(
                "UPDATE targets SET error_class = NULL, error = NULL, blocked_until = NULL, failing_since = NULL
                 WHERE id = ?1 AND (error_class NOT NULL OR blocked_until NOT NULL)",
                params![target.0],
            )?;
            Ok(())
        })
    }

    /// Ends the rest of a delivery that waits out a failure: what it failed at may have been mended.
    pub fn wake_delivery(&self) -> Result<(), StoreError> {
        self.write(wake)
    }
}

pub(super) fn current(tx: &Transaction<'_>) -> Result<TargetId, Fault> {
    let sql = "SELECT id FROM targets WHERE state = 'current'";
    Ok(TargetId(tx.prepare_cached(sql)?.query_row([], |row| row.get(0))?))
}

pub(super) fn of_identity(tx: &Transaction<'_>, identity: &str) -> Result<Option<TargetId>, Fault> {
    let found = tx.query_row("SELECT id FROM targets WHERE identity = ?1", params![identity], |row| row.get(0));
    Ok(found.optional()?.map(TargetId))
}

pub(super) fn wake(tx: &Transaction<'_>) -> Result<(), Fault> {
    tx.execute("UPDATE targets SET blocked_until = NULL, wakes = wakes + 1 WHERE state = 'current'", [])?;
    let suspects =
        format!("UPDATE deliveries SET not_before = NULL WHERE target = {CURRENT} AND suspect_since NOT NULL");
    tx.execute(&suspects, [])?;
    Ok(())
}

/// What no CRM can have goes to the other one, as if it had never been meant for this. So does what this one refused: the
/// ledger remembers that it may have it nevertheless.
fn move_untried(tx: &Transaction<'_>, from: TargetId, to: TargetId) -> Result<(), Fault> {
    let untried = format!(
        "target = ?1 AND ({NOT_THERE} OR suspect_since NOT NULL OR state = 'dead' AND last_error_class = 'poison')
         AND EXISTS (SELECT 1 FROM facts WHERE seq = deliveries.fact AND kind = 'visit')"
    );
    let sql = format!(
        "UPDATE deliveries SET target = ?2, state = iif(state = 'dead', 'new', state), attempts = 0, first_attempt_at = NULL,
         attempt_started_at = NULL, not_before = NULL, last_error_class = NULL, last_error = NULL, suspect_since = NULL WHERE {untried}"
    );
    tx.execute(&sql, params![from.0, to.0])?;
    Ok(())
}

fn state(tx: &Transaction<'_>, target: TargetId) -> Result<SyncState, Fault> {
    let unlinked: i64 = tx
        .prepare_cached(
            // By the few links in doubt: it is asked at each step, and the outbox may be long.
            "SELECT count(*) FROM crm_links l WHERE l.target = ?1 AND l.state IN ('absent', 'unclear', 'deleted')
             AND EXISTS (SELECT 1 FROM outbox o WHERE o.customer = l.customer AND o.target = ?1 AND o.state = 'new'
                 AND o.kind = 'visit')",
        )?
        .query_row(params![target.0], |row| row.get(0))?;
    let mut statement = tx.prepare_cached(
        "SELECT cursor, last_success, failing_since, blocked_until, error_class, error, wakes FROM targets WHERE id = ?1",
    )?;
    let mut rows = statement.query(params![target.0])?;
    let row = rows.next()?.ok_or(UNREADABLE)?;
    let at = |column| row.get::<_, Option<i64>>(column)?.map(time).transpose();
    Ok(SyncState {
        cursor: row.get(0)?,
        last_success: at(1)?,
        failing_since: at(2)?,
        blocked_until: at(3)?,
        error_class: row.get(4)?,
        error: row.get(5)?,
        wakes: row.get::<_, i64>(6)?.unsigned_abs(),
        unlinked: unlinked.unsigned_abs(),
        lane: lane::of(tx, target)?,
    })
}
