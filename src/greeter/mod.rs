//! From visit events to what the screen shows and what the store records.
//!
//! When a visit opens and closes is `crate::visit`'s; the phrase is `crate::greeting`'s.

mod state;

pub use state::{Answer, AnswerError, CandidateCard, CounterState, Counters, Greeted, Present, Verdict};
