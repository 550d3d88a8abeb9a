//! Time as an argument: the only room that reads the machine's clocks or mints ids.
//!
//! Rooms that reason about time (track, visit) take a [`Monotonic`] and never ask for one, so a test
//! can run three days in a millisecond. Waiting is not here: threads wait on channels.

use std::fmt;
use std::ops::{Add, Sub};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use uuid::Uuid;

/// Adds up how long something takes, where the time itself decides nothing: for measurements only.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stopwatch(Duration);

impl Stopwatch {
    /// Runs `work` and adds its time.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clocks")]
    pub fn time<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let outcome = work();
        self.0 += began.elapsed();
        outcome
    }

    /// All that was timed so far.
    pub fn total(&self) -> Duration {
        self.0
    }
}

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

/// What the wall clock says, with whether it can be trusted: a box without a battery-backed clock
/// wakes up in the past until it has reached a time server.
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
/// beside the date that is known not to lie ahead, and neither alone may end a consent or begin one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Days {
    /// By the wall clock.
    pub wall: Date,
    /// By the time that is known to have passed, where the wall clock is implausible.
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

/// The clocks of the box. Two implementations: [`SystemClock`] and [`SimulatedClock`].
pub trait Clock: Send + Sync {
    fn monotonic(&self) -> Monotonic;
    fn wall(&self) -> WallTime;

    /// Whether [`Self::wall`] may decide what cannot be undone.
    fn trust(&self) -> Trust {
        Trust::Plausible
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

/// The machine's own clocks.
pub struct SystemClock {
    began: Instant,
    boot: Option<String>,
}

impl SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clocks")]
    pub fn new() -> Self {
        Self { began: Instant::now(), boot: boot_id() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn monotonic(&self) -> Monotonic {
        Monotonic(self.began.elapsed())
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clocks")]
    fn wall(&self) -> WallTime {
        WallTime { at: jiff::Timestamp::now(), synchronised: kernel_clock_is_synchronised() }
    }

    fn since_boot(&self) -> Option<SinceBoot> {
        Some(SinceBoot { boot: self.boot.clone()?, after: boot_time()? })
    }
}

/// The kernel's name for this start of the machine (`random(4)`).
fn boot_id() -> Option<String> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim().to_owned()).filter(|id| !id.is_empty())
}

/// `CLOCK_BOOTTIME` (`clock_gettime(2)`).
fn boot_time() -> Option<Duration> {
    // SAFETY: `timespec` is plain data, and the pointer is to a live local for the length of the call.
    let (outcome, time) = unsafe {
        let mut time: libc::timespec = std::mem::zeroed();
        (libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut time), time)
    };
    let (seconds, nanos) = (u64::try_from(time.tv_sec).ok()?, u32::try_from(time.tv_nsec).ok()?);
    (outcome == 0).then(|| Duration::new(seconds, nanos))
}

/// The kernel's own word (`adjtimex(2)`): it knows whether a time daemon has set it.
fn kernel_clock_is_synchronised() -> bool {
    // SAFETY: `timex` is plain data for which all zeroes is a valid query (modes = 0 changes nothing),
    // and the pointer is to a live local for the length of the call.
    let (state, status) = unsafe {
        let mut query: libc::timex = std::mem::zeroed();
        let state = libc::adjtimex(&raw mut query);
        (state, query.status)
    };
    state != -1 && state != libc::TIME_ERROR && status & libc::STA_UNSYNC == 0
}

/// A clock that moves only when told to: for tests, and for replaying a recording faster than life.
pub struct SimulatedClock {
    now: Mutex<(Monotonic, WallTime)>,
    boot: Mutex<Option<SinceBoot>>,
}

impl SimulatedClock {
    pub fn starting_at(wall: jiff::Timestamp) -> Self {
        let now = Mutex::new((Monotonic::default(), WallTime { at: wall, synchronised: true }));
        Self { now, boot: Mutex::default() }
    }

    /// Says during which start of the machine it is, and how long after it.
    pub fn boot(&self, since: Option<SinceBoot>) {
        *self.boot.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = since;
    }

    /// Sets the wall clock to `at`, as a time server does, whatever has passed.
    pub fn step_to(&self, at: jiff::Timestamp) {
        self.lock().1.at = at;
    }

    /// Moves both clocks forward by `by`.
    pub fn advance(&self, by: Duration) {
        let mut now = self.lock();
        now.0 = now.0 + by;
        now.1.at = now.1.at.checked_add(by).unwrap_or(now.1.at);
        if let Some(since) = &mut *self.boot.lock().unwrap_or_else(std::sync::PoisonError::into_inner) {
            since.after += by;
        }
    }

    /// Moves both clocks forward to `to`; a point in the past changes nothing.
    pub fn advance_to(&self, to: Monotonic) {
        let by = to.since(self.lock().0);
        self.advance(by);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, (Monotonic, WallTime)> {
        self.now.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Clock for SimulatedClock {
    fn monotonic(&self) -> Monotonic {
        self.lock().0
    }

    fn wall(&self) -> WallTime {
        self.lock().1
    }

    fn since_boot(&self) -> Option<SinceBoot> {
        self.boot.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}
