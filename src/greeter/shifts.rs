//! Who serves at each counter, as the point of sale says it: staff's names, in memory alone until a visit has one.
//!
//! Whether anybody may say it is the owner's word (`[visit] served_by`), which the composition root keeps.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::face::CounterId;

/// A handle on who serves where. Cheap to clone; it has no `Debug`, so that no log gets a name.
#[derive(Clone, Default)]
pub struct Shifts(Arc<Mutex<BTreeMap<CounterId, String>>>);

impl Shifts {
    /// Somebody serves at `counter` from now on, or nobody who is named.
    pub fn set(&self, counter: &CounterId, who: Option<String>) {
        match who {
            Some(who) => self.lock().insert(counter.clone(), who),
            None => self.lock().remove(counter),
        };
    }

    pub fn who(&self, counter: &CounterId) -> Option<String> {
        self.lock().get(counter).cloned()
    }

    /// Nobody is named any more.
    pub fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<CounterId, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
