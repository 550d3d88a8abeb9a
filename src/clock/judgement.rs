//! What was made of the wall clock: to be kept over a stop, and said in words.
//!
//! How it is judged is `trusted`'s; where it is kept is `crate::store`'s.

use std::fmt;

use jiff::{SignedDuration, Timestamp};

use super::{SinceBoot, Trust, WallTime};

/// What to do about a clock that is implausible.
pub const REMEDY: &str = "connect the box to the network, or set the clock and run `snova clock accept`";

/// What is known of the time over a stop; of a new box nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// A time that has passed for certain.
    pub floor: Option<Timestamp>,
    /// What the wall clock said when it was last plausible.
    pub believed: Option<Timestamp>,
    /// What it said when the owner last accepted it: another process sees by it that they did.
    pub accepted: Option<Timestamp>,
    /// What a CRM said.
    pub heard: Option<Timestamp>,
    /// When it was all of this, if the wall clock was plausible or a CRM was heard in that run of the machine: as long
    /// as that lasts, no stop of unknown length lies in between.
    pub boot: Option<SinceBoot>,
}

/// How the wall clock was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    pub wall: WallTime,
    pub trust: Trust,
    /// A time that has passed for certain.
    pub floor: Timestamp,
    /// What the wall clock says, or where it is implausible what it said when it last was not, and the time since.
    pub believed: Timestamp,
    /// What a CRM said last, and the time since; `None` while a time server or the owner knows better.
    pub heard: Option<Timestamp>,
    /// By how much the wall clock was ahead of the CRM's when that last answered.
    pub skew: Option<SignedDuration>,
    /// The mark of the owner's last word that was followed.
    pub accepted: Option<Timestamp>,
    /// The present moment, if the wall clock was plausible or a CRM was heard since the machine started.
    pub boot: Option<SinceBoot>,
}

impl Judgement {
    /// By what the wall clock is measured.
    pub fn known(&self) -> Timestamp {
        self.floor.max(self.believed)
    }

    /// What of it is kept over a stop.
    pub fn kept(&self) -> Kept {
        Kept {
            floor: Some(self.floor),
            believed: Some(self.believed),
            accepted: self.accepted,
            heard: self.heard,
            boot: self.boot.clone(),
        }
    }
}

/// One line, without what to do about it.
impl fmt::Display for Judgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (wall, known) = (self.wall.at, self.known());
        match self.trust {
            Trust::Plausible => return write!(f, "the clock says {wall:.0}, which is plausible"),
            Trust::Behind => write!(f, "the clock says {wall:.0}, which is past")?,
            Trust::Ahead => write!(f, "the clock says {wall:.0}, which is still to come")?,
        }
        match self.heard {
            Some(heard) => write!(f, ": by the CRM's clock it is {heard:.0}"),
            None if self.trust == Trust::Behind => write!(f, ": it is {known:.0} at least"),
            None => write!(f, ": it was {known:.0} by the last time that could be right"),
        }
    }
}
