//! Time as an argument: the only room that reads the machine's clocks, judges them, or mints ids.
//!
//! Rooms that reason about time (track, visit) take a [`Monotonic`] and never ask for one, so a test
//! can run three days in a millisecond. Waiting is not here: threads wait on channels. What is kept of the time over a
//! stop is written by `crate::store`, when `crate::app` says so.

mod judgement;
mod simulated;
mod system;
mod trusted;

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

pub use judgement::{Judgement, Kept, REMEDY};
pub use simulated::SimulatedClock;
pub use system::{Stopwatch, SystemClock};
pub use trusted::{RELEASE, TrustedClock, release_time};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use uuid::Uuid;

/// A point on the monotonic time line: the time since this process (or simulation) began.
/// It orders and measures; it never tells the date.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Monotonic(pub Duration);

impl Monotonic {
    /// The time line's beginning plus `ms` milliseconds.
    pub const fn from_millis(ms: u64) -> Self {
        Self(Duration::from_millis(ms))
    }

    /// How long ago `earlier` was; zero if it lies ahead.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Monotonic {
    type Output = Self;
    fn add(self, by: Duration) -> Self {
        Self(self.0.saturating_add(by))
    }
}

impl Sub for Monotonic {
    type Output = Duration;
    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}

/// What the wall clock says, with whether a time server has set it: a box without a battery-backed clock
/// wakes up in the past until it has reached one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WallTime {
    pub at: jiff::Timestamp,
    pub synchronised: bool,
}

impl fmt::Display for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.at, if self.synchronised { "" } else { " (clock not synchronised)" })
    }
}

/// The shop's date, by every clock that may be right. A trusted clock gives one; one that is implausible stands
/// beside the date that is known otherwise: either may end a consent, and one of them is enough that it has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Days {
    /// By the wall clock.
    pub wall: Date,
    /// By the last time that was believed and what has passed since, where the wall clock is implausible.
    pub known: Option<Date>,
}

impl Days {
    /// The dates, one or two.
    pub fn all(self) -> impl Iterator<Item = Date> {
        std::iter::once(self.wall).chain(self.known)
    }
}

impl From<Date> for Days {
    fn from(wall: Date) -> Self {
        Self { wall, known: None }
    }
}

/// Whether the wall clock can be right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    #[default]
    Plausible,
    /// It stands before a time that is known to have passed.
    Behind,
    /// It stands far above what can have passed.
    Ahead,
}

/// The clocks of the box. [`SystemClock`] and [`SimulatedClock`] tell the time; [`TrustedClock`] stands around either and
/// judges what it tells.
pub trait Clock: Send + Sync {
    fn monotonic(&self) -> Monotonic;
    fn wall(&self) -> WallTime;

    /// Whether [`Self::wall`] may decide what cannot be undone.
    fn trust(&self) -> Trust {
        Trust::Plausible
    }

    /// What there is to keep over a stop, and to say, of how the wall clock is judged; `None` for a clock that judges
    /// nothing.
    fn judgement(&self) -> Option<Judgement> {
        None
    }

    /// A CRM said that it was `said` when it answered just now.
    fn hear(&self, said: jiff::Timestamp) {
        let _ = said;
    }

    /// The owner said that the wall clock is right; `mark` is what it said then, by which their word is known.
    fn accept(&self, mark: jiff::Timestamp) {
        let _ = mark;
    }

    /// The shop's date, for questions of consent.
    fn days(&self, zone: &TimeZone) -> Days {
        self.wall().at.to_zoned(zone.clone()).date().into()
    }

    /// The machine's present start and how long ago it was, by a clock that nobody sets and that runs on in sleep: it
    /// orders what happened before and after a restart of the program. `None` where the machine does not tell.
    fn since_boot(&self) -> Option<SinceBoot> {
        None
    }

    /// A new UUIDv7: unique everywhere, ordered by this clock's wall time, so it may travel to a centre.
    fn mint(&self) -> Uuid {
        mint_at(self.wall().at)
    }
}

/// A point of time within one run of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinceBoot {
    /// Another one for each start of the machine.
    pub boot: String,
    pub after: Duration,
}

/// A new UUIDv7 for something that happened at `at`, where the time travels with the data and no clock does.
pub fn mint_at(at: jiff::Timestamp) -> Uuid {
    let seconds = u64::try_from(at.as_second()).unwrap_or(0);
    let nanos = u32::try_from(at.subsec_nanosecond()).unwrap_or(0);
    Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, seconds, nanos))
}
