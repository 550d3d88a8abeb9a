//! What the system concluded about one live track.
//!
//! The rules that conclude are `crate::gallery`'s.

use super::CustomerId;
use crate::clock::Monotonic;
use crate::face::{BoundingBox, CameraId, CounterId, QualityReason, Similarity};

/// A customer with the similarity of the probe to their fused template.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    pub customer: CustomerId,
    pub similarity: Similarity,
}

/// One face followed through the frames of one camera; never reused while the process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrackId(pub u64);

/// The system's word on a track. It may suggest a name; it authorises nothing.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    Match(Candidate),
    /// Somebody a person should confirm, best first; never empty.
    Maybe(Vec<Candidate>),
    NoMatch,
    /// Not enough usable shots yet, with what last stood in the way.
    Undecided(Option<QualityReason>),
}

/// A live track in one frame with its decision so far.
#[derive(Clone, Debug, PartialEq)]
pub struct Sighting {
    pub counter: CounterId,
    pub camera: CameraId,
    pub track: TrackId,
    pub bounds: BoundingBox,
    pub decision: Decision,
    /// When the frame was captured.
    pub seen_at: Monotonic,
}
