//! What the box keeps of the time over a stop, in the one row that is about the box itself.
//!
//! What is made of it is `crate::clock`'s; when it is written is `crate::app`'s. Erasures and changes of the gallery are
//! counted in the same row by those who make them.

use rusqlite::params;

use super::rows::{micros, time};
use super::{Store, StoreError};
use crate::clock::Kept;

impl Store {
    /// What was kept of the time; costs one row.
    pub fn floor(&self) -> Result<Kept, StoreError> {
        self.read(|tx| {
            let sql = "SELECT floor, believed, accepted FROM upkeep";
            let row: [Option<i64>; 3] =
                tx.prepare_cached(sql)?.query_row([], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?]))?;
            let [floor, believed, accepted] = row.map(|kept| kept.map(time).transpose());
            Ok(Kept { floor: floor?, believed: believed?, accepted: accepted? })
        })
    }

    /// Keeps floor and last believed time, unless the owner has accepted the clock since `kept.accepted`: what they said
    /// is not overwritten by a process that has not heard of it. Tells whether it was kept.
    pub fn keep_floor(&self, kept: Kept) -> Result<bool, StoreError> {
        self.write(|tx| {
            let sql = "UPDATE upkeep SET floor = ?1, believed = ?2 WHERE accepted IS ?3";
            let [floor, believed, accepted] = [kept.floor, kept.believed, kept.accepted].map(|at| at.map(micros));
            Ok(tx.execute(sql, params![floor, believed, accepted])? > 0)
        })
    }

    /// The owner accepts the clock: keeps all of `kept`.
    pub fn accept_clock(&self, kept: Kept) -> Result<(), StoreError> {
        self.write(|tx| {
            let sql = "UPDATE upkeep SET floor = ?1, believed = ?2, accepted = ?3";
            let [floor, believed, accepted] = [kept.floor, kept.believed, kept.accepted].map(|at| at.map(micros));
            tx.execute(sql, params![floor, believed, accepted])?;
            Ok(())
        })
    }
}
