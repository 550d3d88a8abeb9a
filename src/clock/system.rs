//! The machine's own clocks, as the kernel tells them.
//!
//! Whether they can be right is judged in `trusted`.

use std::time::{Duration, Instant};

use super::{Clock, Monotonic, SinceBoot, WallTime};

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
    /// After the machine's start.
    began: Duration,
    boot: Option<String>,
}

impl SystemClock {
    pub fn new() -> Self {
        Self { began: boot_time().unwrap_or_default(), boot: boot_id() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn monotonic(&self) -> Monotonic {
        Monotonic(boot_time().unwrap_or_default().saturating_sub(self.began))
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clocks")]
    fn wall(&self) -> WallTime {
        WallTime { at: jiff::Timestamp::now(), synchronised: kernel_clock_is_synchronised() }
    }

    fn since_boot(&self) -> Option<SinceBoot> {
        Some(SinceBoot { boot: self.boot.clone()?, after: boot_time()? })
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

/// The kernel's name for this start of the machine (`random(4)`).
fn boot_id() -> Option<String> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim().to_owned()).filter(|id| !id.is_empty())
}

/// `CLOCK_BOOTTIME` (`clock_gettime(2)`): it also counts while the machine sleeps, and nobody sets it. The wall clock of
/// a box that slept has moved by as much, and is not taken for one that was set.
fn boot_time() -> Option<Duration> {
    // SAFETY: `timespec` is plain data, and the pointer is to a live local for the length of the call.
    let (outcome, time) = unsafe {
        let mut time: libc::timespec = std::mem::zeroed();
        (libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut time), time)
    };
    let (seconds, nanos) = (u64::try_from(time.tv_sec).ok()?, u32::try_from(time.tv_nsec).ok()?);
    (outcome == 0).then(|| Duration::new(seconds, nanos))
}
