//! Looks whether the store can still be read, also while nobody is at the counter, and says so on the board.
//!
//! How it is looked at is `crate::store`'s; failing writes are told by whoever writes.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, Monotonic};
use crate::store::{self, KeyState, Store, StoreError};
use crate::trouble::{Teller, Trouble, Troubles};

/// A look at every page and seal costs at most this share of the time, but is made now and then in any case.
const CLOSELY_SHARE: u32 = 100;
const CLOSELY_SOONEST: Duration = Duration::from_secs(5);
const CLOSELY_LATEST: Duration = Duration::from_secs(600);

pub(super) struct Lookout {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    troubles: Troubles,
    /// When every page is looked at next.
    closely_at: Option<Monotonic>,
    /// The page damage that was found last holds until such a look finds none.
    broken: bool,
    damaged: bool,
    set_aside: bool,
    /// The last thing that was logged, so that it is not said every other second.
    said: String,
}

impl Lookout {
    pub fn new(store: Arc<Store>, clock: Arc<dyn Clock>, troubles: Troubles) -> Self {
        let (closely_at, said) = (None, String::new());
        Self { store, clock, troubles, closely_at, broken: false, damaged: false, set_aside: false, said }
    }

    pub fn look(&mut self) {
        let lost = self.store.is_lost();
        self.troubles.set(Teller::Keeper, Trouble::StoreLost, lost);
        if lost {
            self.say(&StoreError::Lost { path: self.store.path().to_owned() });
            return;
        }
        match self.look_into() {
            Ok(()) => {
                if std::mem::take(&mut self.damaged) {
                    tracing::info!("the database can be read again");
                    self.troubles.set(Teller::Keeper, Trouble::StoreUnreadable, false);
                }
                self.look_at_key();
            }
            Err(error) if error.is_damage() => self.found_damaged(&error),
            // Another program holds it, or the disk is full: nothing is known of what lies in it.
            Err(error) => tracing::debug!(%error, "the database cannot be looked at now"),
        }
    }

    fn look_into(&mut self) -> Result<(), StoreError> {
        self.store.look()?;
        let began = self.clock.monotonic();
        if self.closely_at.is_some_and(|at| began < at) && !self.broken {
            return Ok(());
        }
        let looked = self.store.look_closely();
        let now = self.clock.monotonic();
        let rest = now.since(began).saturating_mul(CLOSELY_SHARE).clamp(CLOSELY_SOONEST, CLOSELY_LATEST);
        self.closely_at = Some(now + rest);
        self.broken = looked.as_ref().is_err_and(StoreError::is_damage);
        let unreadable = looked?;
        let customers: BTreeSet<_> = unreadable.iter().map(|row| row.customer).collect();
        self.troubles.count(Teller::Keeper, Trouble::RowUnreadable, customers.len() as u64);
        Ok(())
    }

    fn look_at_key(&mut self) {
        match self.store.key_state() {
            Ok(state) => {
                self.troubles.set(Teller::Keeper, Trouble::KeyMissing, state == KeyState::Missing);
                self.troubles.set(Teller::Keeper, Trouble::KeyMismatch, state == KeyState::Mismatch);
                if state == KeyState::Fine {
                    self.said.clear();
                } else {
                    self.say(&self.store.lost_key());
                }
            }
            Err(error) => self.say(&error),
        }
    }

    fn found_damaged(&mut self, error: &StoreError) {
        self.damaged = true;
        self.troubles.set(Teller::Keeper, Trouble::StoreUnreadable, true);
        self.say(error);
        if !std::mem::replace(&mut self.set_aside, true) {
            match self.store.set_aside(DAMAGED) {
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "no copy of the damaged database can be put aside"),
            }
        }
    }

    fn say(&mut self, error: &StoreError) {
        let text = error.to_string();
        if text != self.said {
            tracing::error!("{text}");
            self.said = text;
        }
    }
}

/// Why a copy is put aside, as its name says.
const DAMAGED: &str = "damaged";

/// Keeps a copy of a damaged file in `dir` that cannot be opened, before anybody mends it.
pub(super) fn set_aside(dir: &Path) {
    if let Err(error) = store::set_aside(dir, DAMAGED) {
        tracing::warn!(%error, "no copy of the damaged database can be put aside");
    }
}
