//! From visit events to what the screen shows and what is recorded: shown first, handed to the writer at once after.
//!
//! When a visit opens and closes is `crate::visit`'s; the phrase is `crate::greeting`'s; how a write reaches the disk is
//! `crate::store`'s; threads are `crate::app`'s.

mod desk;
mod entries;
mod records;
mod screen;
mod shifts;
mod state;

pub use desk::{Desk, DeskConfig, DeskParts};
pub use entries::Entered;
pub use shifts::Shifts;
pub use state::{
    Answer, AnswerError, CandidateCard, CounterState, Counters, CrmTrouble, Entry, EntryError, EntryTaken, Greeted,
    Present,
};
