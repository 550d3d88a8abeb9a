//! What the box keeps of the time over a stop, in the one row that is about the box itself.
//!
//! What is made of it is `crate::clock`'s; when it is written is `crate::app`'s. Erasures and changes of the gallery are
//! counted in the same row by those who make them.

use std::time::Duration;

use rusqlite::{Transaction, params};

use super::error::Fault;
use super::rows::{micros, time};
use super::{Store, StoreError};
use crate::clock::{Kept, SinceBoot};

impl Store {
    /// What was kept of the time; costs one row.
    pub fn floor(&self) -> Result<Kept, StoreError> {
        self.read(|tx| {
            let sql = "SELECT floor, believed, accepted, heard, boot, kept_after_ms FROM upkeep";
            let mut statement = tx.prepare_cached(sql)?;
            let (times, boot, after) = statement.query_row([], |row| {
                let times: [Option<i64>; 4] = [row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?];
                Ok((times, row.get::<_, Option<String>>(4)?, row.get::<_, Option<i64>>(5)?))
            })?;
            let [floor, believed, accepted, heard] = times.map(|kept| kept.map(time).transpose());
            let since =
                |(boot, after): (String, i64)| SinceBoot { boot, after: Duration::from_millis(after.max(0) as u64) };
            let boot = boot.zip(after).map(since);
            Ok(Kept { floor: floor?, believed: believed?, accepted: accepted?, heard: heard?, boot })
        })
    }

    /// Keeps what is known of the time, unless the owner has accepted the clock since `kept.accepted`: what they said is
    /// not overwritten by a process that has not heard of it. Tells whether it was kept.
    pub fn keep_floor(&self, kept: &Kept) -> Result<bool, StoreError> {
        self.write(|tx| {
            let accepted: Option<i64> = tx.query_row("SELECT accepted FROM upkeep", [], |row| row.get(0))?;
            let is_known = accepted == kept.accepted.map(micros);
            if is_known {
                put(tx, kept)?;
            }
            Ok(is_known)
        })
    }

    /// The owner accepts the clock: keeps all of `kept`.
    pub fn accept_clock(&self, kept: &Kept) -> Result<(), StoreError> {
        self.write(|tx| put(tx, kept))
    }
}

fn put(tx: &Transaction<'_>, kept: &Kept) -> Result<(), Fault> {
    let [floor, believed, accepted, heard] =
        [kept.floor, kept.believed, kept.accepted, kept.heard].map(|at| at.map(micros));
    let boot = kept.boot.as_ref().map(|since| since.boot.as_str());
    let after = kept.boot.as_ref().map(|since| i64::try_from(since.after.as_millis()).unwrap_or(i64::MAX));
    let sql = "UPDATE upkeep SET floor = ?1, believed = ?2, accepted = ?3, heard = ?4, boot = ?5, kept_after_ms = ?6";
    tx.execute(sql, params![floor, believed, accepted, heard, boot, after])?;
    Ok(())
}
