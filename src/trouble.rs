//! What keeps the box from its work, as one list that every part writes to and every screen reads from.
//!
//! What each trouble is called on a screen is `crate::web`'s. What is wrong with a camera, with delivery or with the
//! load is told by those parts themselves.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Something that a person must mend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Trouble {
    /// The database cannot be read or written: damaged, or the disk fails.
    StoreUnreadable,
    /// The database is empty or gone although the box had one.
    StoreLost,
    /// The device key is gone although values are sealed with it.
    KeyMissing,
    /// The device key is not the one that the values are sealed with.
    KeyMismatch,
    /// Single rows of the database cannot be read; their customers are not greeted.
    RowUnreadable,
    /// The clock cannot be right.
    Clock,
}

impl Trouble {
    pub const ALL: [Self; 6] =
        [Self::StoreUnreadable, Self::StoreLost, Self::KeyMissing, Self::KeyMismatch, Self::RowUnreadable, Self::Clock];

    /// A stable name for metrics and programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::StoreUnreadable => "store_unreadable",
            Self::StoreLost => "store_lost",
            Self::KeyMissing => "key_missing",
            Self::KeyMismatch => "key_mismatch",
            Self::RowUnreadable => "row_unreadable",
            Self::Clock => "clock",
        }
    }
}

/// What keeps single visits from the CRM, or makes them worth less, although it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeliveryTrouble {
    /// Visits wait long for their customer's contact.
    Unlinked,
    /// A person must say which contact a customer is.
    Unclear,
    /// Another store has another company key: the same person may become two contacts.
    OtherKey,
    /// The box's clock and the CRM's are far apart.
    Skew,
}

impl DeliveryTrouble {
    pub const ALL: [Self; 4] = [Self::Unlinked, Self::Unclear, Self::OtherKey, Self::Skew];

    /// A stable name for metrics and programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unlinked => "unlinked",
            Self::Unclear => "unclear",
            Self::OtherKey => "other_key",
            Self::Skew => "skew",
        }
    }
}

/// Who says so: a part that finds nothing wrong does not unsay what another one has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Teller {
    /// Who reads customers and writes visits, as the counter needs it.
    Desk,
    /// Who looks at the box itself.
    Keeper,
}

/// The troubles of the box. Cheap to clone; all clones are one list.
#[derive(Clone, Default)]
pub struct Troubles(Arc<Mutex<BTreeMap<(Trouble, Teller), u64>>>);

impl Troubles {
    /// Says that `trouble` holds (`true`) or not, as far as `teller` sees.
    pub fn set(&self, teller: Teller, trouble: Trouble, holds: bool) {
        self.count(teller, trouble, u64::from(holds));
    }

    /// Says how often `trouble` holds; 0 ends it.
    pub fn count(&self, teller: Teller, trouble: Trouble, times: u64) {
        let mut all = self.lock();
        if times == 0 {
            all.remove(&(trouble, teller));
        } else {
            all.insert((trouble, teller), times);
        }
    }

    pub fn holds(&self, trouble: Trouble) -> bool {
        self.all().iter().any(|(held, _)| *held == trouble)
    }

    /// What holds now, with how often at most, in the order of [`Trouble::ALL`].
    pub fn all(&self) -> Vec<(Trouble, u64)> {
        let mut all: BTreeMap<Trouble, u64> = BTreeMap::new();
        for ((trouble, _), times) in self.lock().iter() {
            let most = all.entry(*trouble).or_default();
            *most = (*most).max(*times);
        }
        all.into_iter().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(Trouble, Teller), u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_part_says_every_other_reads_until_it_is_over() {
        let (said, read) = {
            let board = Troubles::default();
            (board.clone(), board)
        };
        said.set(Teller::Keeper, Trouble::Clock, true);
        said.count(Teller::Desk, Trouble::RowUnreadable, 3);
        assert_eq!(read.all(), [(Trouble::RowUnreadable, 3), (Trouble::Clock, 1)]);
        said.set(Teller::Keeper, Trouble::Clock, false);
        assert!(!read.holds(Trouble::Clock) && read.holds(Trouble::RowUnreadable));
    }

    #[test]
    fn one_part_does_not_unsay_what_another_has_found() {
        let board = Troubles::default();
        board.set(Teller::Keeper, Trouble::StoreUnreadable, true);
        board.set(Teller::Desk, Trouble::StoreUnreadable, false);
        assert!(board.holds(Trouble::StoreUnreadable));
    }

    #[test]
    fn every_trouble_is_in_the_list_once_and_named_once() {
        let names: std::collections::BTreeSet<_> = Trouble::ALL.iter().map(|t| t.as_str()).collect();
        assert_eq!(names.len(), Trouble::ALL.len());
    }
}
