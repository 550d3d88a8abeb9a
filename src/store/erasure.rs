//! Forgetting a customer: every row in one transaction, then every trace in the files.
//!
//! How the traces go is `super::scrub`'s.

use rusqlite::{Transaction, params};

use super::customers::{gallery_changed, require_customer};
use super::error::{Fault, StoreError};
use super::rows::key;
use super::scrub::{AT_ONCE, Scrubbed, TRACES_LEFT};
use super::{Store, connection, identifiers, lock, outbox, spare, tombstone};
use crate::clock::WallTime;
use crate::customer::CustomerId;
use crate::vault::DeviceKey;

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
    /// Copies of the database that Snova had made, destroyed with it: see [`Store::copies`].
    pub copies: usize,
}

impl Store {
    /// Erases a customer: name, cards, phones, consents, templates, visits and events in one transaction, which leaves only
    /// an `erasure` event for the CRM: the dead id and, sealed until it is delivered, what the CRM has of them; then the traces in the files, as [`Store::scrub`].
    /// A visit that belongs to another customer now stays theirs. The size limit does not apply, and on a full disk
    /// the spare is given up for it: a full box must be able to forget.
    pub fn erase(&self, id: CustomerId, now: WallTime) -> Result<Erasure, StoreError> {
        let removed = self.remove(id, now);
        let mut given_up = 0;
        let removed = match removed {
            Err(error) if error.lacks_room() => {
                given_up = spare::give_up(self.dir());
                if given_up > 0 { self.remove(id, now) } else { Err(error) }
            }
            removed => removed,
        };
        let Ok(removed) = removed else {
            self.take_spare_back(given_up);
            return removed;
        };
        // The rows are gone whatever happens now; that is told by the flag, not by an error.
        let Scrubbed { whole, copies } = self.scrub_all(AT_ONCE).unwrap_or_else(|error| {
            tracing::warn!(%error, "{TRACES_LEFT}");
            Scrubbed::default()
        });
        self.take_spare_back(given_up);
        Ok(Erasure { scrubbed: whole, copies, ..removed })
    }

    fn remove(&self, id: CustomerId, now: WallTime) -> Result<Erasure, StoreError> {
        let mut writer = lock(&self.writer);
        let limit = connection::lift_limit(&writer).map_err(|fault| fault.at(&self.path))?;
        let removed = self.write_on(&mut writer, |tx| remove_rows(tx, &self.key, id, now));
        if let Err(fault) = connection::set_limit(&writer, limit) {
            tracing::warn!(error = %fault.at(&self.path), "the size limit does not hold until the next start");
        }
        removed
    }

    fn take_spare_back(&self, length: u64) {
        if let Err(error) = spare::take_back(self.dir(), length) {
            tracing::warn!(%error, "no room is kept back for the next erasure on this full disk");
        }
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
    Ok(Erasure { templates, visits, events, scrubbed: false, copies: 0 })
}
