//! From visit events to what the screen shows and what the store records: shown first, committed at once after.
//!
//! When a visit opens and closes is `crate::visit`'s; the phrase is `crate::greeting`'s; threads are
//! `crate::app`'s.

mod desk;
mod entries;
mod journal;
mod state;

pub use desk::{Desk, DeskConfig};
pub use entries::Entered;
pub use journal::Journal;
pub use state::{
    Answer, AnswerError, CandidateCard, CounterState, Counters, CrmTrouble, Entry, EntryError, Greeted, Present,
};
