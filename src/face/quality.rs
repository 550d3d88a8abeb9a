//! What can be wrong with a face image, in words that a person can act on.
//!
//! How it is measured is `vision::quality`'s.

use std::fmt;

/// Why the quality gate refused a face image. The order is the order of reporting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QualityReason {
    TooSmall,
    CutOff,
    Turned,
    TooDark,
    TooBright,
    Blurred,
}

impl QualityReason {
    pub const ALL: [Self; 6] =
        [Self::TooSmall, Self::CutOff, Self::Turned, Self::TooDark, Self::TooBright, Self::Blurred];

    /// A stable name for metrics and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TooSmall => "too_small",
            Self::CutOff => "cut_off",
            Self::Turned => "turned",
            Self::TooDark => "too_dark",
            Self::TooBright => "too_bright",
            Self::Blurred => "blurred",
        }
    }

    /// What is wrong, and the remedy.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::TooSmall => "the face is too small; come closer or use a larger picture",
            Self::CutOff => "the face is cut off at the edge; move to the middle of the picture",
            Self::Turned => "the face is turned away; look into the camera",
            Self::TooDark => "the face is too dark; add light from the front",
            Self::TooBright => "the face is too bright; avoid direct light or a window behind the camera",
            Self::Blurred => "the face is blurred; hold still, or clean and focus the lens",
        }
    }
}

impl fmt::Display for QualityReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.remedy())
    }
}

/// The quality of one face image: `score` in [0, 1] ranks shots of a track, best 1; the gate's verdict
/// is in `reasons`, empty when the image is usable.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Quality {
    pub score: f32,
    pub reasons: Vec<QualityReason>,
}

impl Quality {
    pub fn is_usable(&self) -> bool {
        self.reasons.is_empty()
    }
}
