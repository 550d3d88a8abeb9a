//! The machine's own clocks, as the kernel tells them.
//!
//! Whether they can be right is judged in `trusted`.

use std::time::{Duration, Instant};

use super::{Clock, Monotonic, WallTime};

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

/// The machine's own clocks.
pub struct SystemClock {
    /// Since the machine's start.
    began: Duration,
}

impl SystemClock {
    pub fn new() -> Self {
        Self { began: since_machine_start() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn monotonic(&self) -> Monotonic {
        Monotonic(since_machine_start().saturating_sub(self.began))
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clocks")]
    fn wall(&self) -> WallTime {
        WallTime { at: jiff::Timestamp::now(), synchronised: kernel_clock_is_synchronised() }
    }
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

/// By the clock that also counts while the machine sleeps (`CLOCK_BOOTTIME`), and that nobody sets: the wall clock of a
/// box that slept has moved by as much, and is not taken for one that was set.
fn since_machine_start() -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a live local for the length of the call. It fails for a clock that the kernel does not
    // have alone, and this one is in every kernel since 2.6.39.
    unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut now) };
    Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
}
