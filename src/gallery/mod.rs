//! The 1:N side: who of the enrolled a probe resembles, and whether that is enough to say a name.
//!
//! Vectors and their fusion are `face::embedding`'s; following a face through frames is `crate::track`'s.

mod decide;
mod index;
mod settle;

pub use decide::{DecisionConfig, Ranked, Shot, conclude};
pub use index::{Gallery, GalleryHandle};
pub use settle::{Face, Standing, settle, settle_once};
