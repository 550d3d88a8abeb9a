//! Forgetting a customer: every row in one transaction, then every trace in the files.
//!
//! Deleted rows leave bytes behind: in the log, and, rarely, on pages between which SQLite moved rows earlier;
//! `secure_delete` does not reach those. So the file is rewritten and the log emptied. Blocks that the disk
//! itself keeps out of reach (wear levelling) need the encrypting vault; backups are their owner's.

use rusqlite::{Connection, Transaction, params};

use super::customers::{gallery_changed, require_customer};
use super::error::{Fault, StoreError};
use super::rows::key;
use super::{Store, connection, identifiers, lock, outbox, tombstone};
use crate::clock::WallTime;
use crate::customer::CustomerId;
use crate::vault::DeviceKey;

pub(super) const TRACES_LEFT: &str = "erased rows still have traces in the database files; will be tried again";

/// What an erasure removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Erasure {
    pub templates: usize,
    pub visits: usize,
    /// Outbox events that went with the customer.
    pub events: usize,
    /// `false`: the customer is gone from every answer, but bytes of theirs are still in the files, because
    /// another program was reading them or the disk is full. [`Store::scrub`] and the next start try again.
    pub scrubbed: bool,
}

impl Store {
    /// Erases a customer: name, cards, phones, consents, templates, visits and events in one transaction, which leaves only
    /// an `erasure` event for the CRM: the dead id and, sealed until it is delivered, what the CRM has of them; then the traces in the files, as [`Store::scrub`].
    /// A visit that belongs to another customer now stays theirs. The size limit does not apply: a full box
    /// must be able to forget.
    pub fn erase(&self, id: CustomerId, now: WallTime) -> Result<Erasure, StoreError> {
        let mut writer = lock(&self.writer);
        let limit = connection::lift_limit(&writer).map_err(|fault| fault.at(&self.path))?;
        let removed = self.write_on(&mut writer, |tx| remove_rows(tx, &self.key, id, now));
        if let Err(fault) = connection::set_limit(&writer, limit) {
            tracing::warn!(error = %fault.at(&self.path), "the size limit does not hold until the next start");
        }
        drop(writer);
        let removed = removed?;
        // The rows are gone whatever happens now; that is told by the flag, not by an error.
        let scrubbed = self.scrub().unwrap_or_else(|error| {
            tracing::warn!(%error, "{TRACES_LEFT}");
            false
        });
        Ok(Erasure { scrubbed, ..removed })
    }

    /// Overwrites what erasures left in the files, if any is due; `true` when nothing is left. Rewrites the
    /// whole file in one transaction: needs as much memory and disk for that moment as it is long. Costs one
    /// row when nothing is due.
    pub fn scrub(&self) -> Result<bool, StoreError> {
        let (erasures, scrubbed) = self.read(erasures_and_scrubbed)?;
        if scrubbed >= erasures {
            return Ok(true);
        }
        let mut writer = lock(&self.writer);
        // Our own reader would keep the log from being emptied.
        let reader = lock(&self.reader);
        let emptied = rewrite(&writer).map_err(|fault| fault.at(&self.path))?;
        drop(reader);
        if emptied {
            self.write_on(&mut writer, |tx| {
                tx.execute("UPDATE upkeep SET scrubbed = max(scrubbed, ?1)", params![erasures])?;
                Ok(())
            })?;
        }
        Ok(emptied)
    }
}

fn remove_rows(tx: &Transaction<'_>, device: &DeviceKey, id: CustomerId, now: WallTime) -> Result<Erasure, Fault> {
    require_customer(tx, id)?;
    let customer = params![key(id.0)];
    // Before the rows go that say what each CRM has.
    let tombstones = tombstone::of(tx, id)?;
    let events = outbox::drop_all(tx, id)?;
    let visits = tx.execute("DELETE FROM visits WHERE customer = ?1", customer)?;
    let templates = tx.execute("DELETE FROM templates WHERE customer = ?1", customer)?;
    identifiers::drop_all(tx, id)?;
    tx.execute("DELETE FROM crm_links WHERE customer = ?1", customer)?;
    tx.execute("DELETE FROM consents WHERE customer = ?1", customer)?;
    tx.execute("DELETE FROM customers WHERE id = ?1", customer)?;
    let event = outbox::put_erasure(tx, id, now.at)?;
    tombstone::keep(tx, device, event, &tombstones)?;
    tx.execute("UPDATE upkeep SET erasures = erasures + 1", [])?;
    gallery_changed(tx, id)?;
    Ok(Erasure { templates, visits, events, scrubbed: false })
}

fn erasures_and_scrubbed(tx: &Transaction<'_>) -> Result<(i64, i64), Fault> {
    let mut statement = tx.prepare_cached("SELECT erasures, scrubbed FROM upkeep")?;
    Ok(statement.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?)
}

/// Builds the file anew from its live rows, then empties the log; `false` when a reader is in the way.
fn rewrite(connection: &Connection) -> Result<bool, Fault> {
    connection.execute_batch("VACUUM")?;
    let busy: bool = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    Ok(!busy)
}
