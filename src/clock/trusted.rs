//! The wall clock, judged: whether it can be right, by a floor of time that has passed for certain.
//!
//! The floor and the last time that was believed are kept over a stop by `crate::store`; when they are written is
//! `crate::app`'s. Nothing is decided here about customers.
//!
//! 1. The floor is raised by synchronised time, and by time that passes at its own pace; by nothing else. It is never
//!    before [`RELEASE`].
//! 2. Synchronised time is believed, both ways, and may lower the floor. So may a CRM's `Date` and the owner: one glitch
//!    into 2036 is not for ever.
//! 3. A wall clock that nobody synchronises is plausible if it stands neither below the floor nor far above what can have
//!    passed. Once it was plausible, it must go on at its own pace.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::{Clock, Days, Judgement, Kept, Monotonic, SinceBoot, Trust, WallTime};

/// The release that this is, and a day before which it was not made.
pub const RELEASE: (&str, Date) = ("0.4.0", date(2026, 11, 27));

/// How far a wall clock may be set without being doubted: a person who corrects minutes by hand, and a clock chip that
/// is read to whole seconds, are no fault. Hours and days are what consents and greetings hang on.
const STEP: SignedDuration = SignedDuration::from_mins(10);
/// How far a CRM's clock, and the chip after a long run of the box, may be from ours without saying anything about it: a
/// server with a wrong time zone is hours off; a chip that loses 17 s a day (200 ppm) needs years. Consents are
/// counted in days.
const DAY: SignedDuration = SignedDuration::from_hours(24);
/// How long a box may have been off: a season, a year in a cupboard, and a month to spare. A chip that jumped to another
/// year is seen.
const STOP: SignedDuration = SignedDuration::from_hours(400 * 24);
/// How long after its release a version may be installed on a new box, of which nothing is known: three years, so that
/// 2036 is seen.
const SHELF: SignedDuration = SignedDuration::from_hours(3 * 366 * 24);
/// Of the time that passes, this part is not held for certain: quartzes err by up to 200 ppm. So a chip that runs slower
/// than the processor never falls below the floor.
const UNCERTAIN: u32 = 5_000;
/// Both clocks are read within this, or again.
const AT_ONCE: Duration = Duration::from_secs(1);

/// [`RELEASE`] as a time.
pub fn release_time() -> Timestamp {
    RELEASE.1.to_zoned(TimeZone::UTC).map_or(Timestamp::UNIX_EPOCH, |zoned| zoned.timestamp())
}

/// A clock around another one, whose wall time it judges. May be asked from any thread.
pub struct TrustedClock {
    inner: Arc<dyn Clock>,
    state: Mutex<State>,
}

/// A wall time, and when it was that.
#[derive(Clone, Copy)]
struct Reading {
    at: Timestamp,
    when: Monotonic,
}

struct State {
    /// Has passed for certain.
    floor: Reading,
    /// What the wall clock said when it was last plausible.
    believed: Reading,
    /// The same within this run, by whose pace the wall clock has to go on; `None` before the first plausible one.
    anchor: Option<Reading>,
    /// Nothing above this can be, where there is no anchor.
    ceiling: Reading,
    /// What a CRM said last.
    heard: Option<Reading>,
    /// The owner has said that the clock is right: a CRM that says otherwise is not asked.
    owner: bool,
    skew: Option<SignedDuration>,
    accepted: Option<Timestamp>,
}

impl TrustedClock {
    /// With what was kept over the stop. A stop within one run of the machine has a known length, and the wall clock
    /// must have gone on at its own pace over it.
    pub fn new(inner: Arc<dyn Clock>, kept: Kept) -> Self {
        let (when, wall) = read(&*inner);
        let same_run = kept.boot.zip(inner.since_boot()).filter(|(kept, now)| kept.boot == now.boot);
        let stopped = same_run.map(|(kept, now)| now.after.saturating_sub(kept.after));
        let reading = |at, passed: Duration| Reading { at: later(at, signed(passed)), when };
        let passed = stopped.unwrap_or_default();
        let release = release_time();
        let floor = kept.floor.unwrap_or(release).max(release);
        let believed = kept.believed.unwrap_or(floor).max(floor);
        let is_new = kept.floor.is_none() && kept.believed.is_none();
        let heard = kept.heard.filter(|_| stopped.is_some());
        // A CRM that said otherwise has taken the anchor away.
        let anchored = stopped.filter(|_| heard.is_none_or(|heard| within(believed, heard, DAY) == Trust::Plausible));
        let mut state = State {
            floor: reading(floor, certain(passed)),
            believed: reading(believed, passed),
            anchor: anchored.map(|passed| reading(believed, passed)),
            ceiling: reading(later(believed, if is_new { SHELF } else { STOP }), passed),
            heard: heard.map(|heard| reading(heard, passed)),
            owner: false,
            skew: None,
            accepted: kept.accepted,
        };
        state.look(when, wall);
        Self { inner, state: Mutex::new(state) }
    }

    fn look(&self) -> (MutexGuard<'_, State>, Monotonic, WallTime, Trust) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (now, wall) = read(&*self.inner);
        let trust = state.look(now, wall);
        (state, now, wall, trust)
    }
}

impl Clock for TrustedClock {
    fn monotonic(&self) -> Monotonic {
        self.inner.monotonic()
    }

    fn wall(&self) -> WallTime {
        self.inner.wall()
    }

    fn since_boot(&self) -> Option<SinceBoot> {
        self.inner.since_boot()
    }

    fn trust(&self) -> Trust {
        self.look().3
    }

    fn judgement(&self) -> Option<Judgement> {
        let (state, now, wall, trust) = self.look();
        Some(Judgement {
            wall,
            trust,
            floor: state.floor.certain(now),
            believed: state.believed.by(now),
            heard: state.heard.map(|heard| heard.by(now)),
            skew: state.skew,
            accepted: state.accepted,
            boot: state.anchor.or(state.heard).and_then(|_| self.inner.since_boot()),
        })
    }

    /// The known date stands beside an implausible wall date, and beside one that is within the tolerance before it.
    fn days(&self, zone: &TimeZone) -> Days {
        let (state, now, wall, trust) = self.look();
        let day = |at: Timestamp| at.to_zoned(zone.clone()).date();
        let (wall, known) = (day(wall.at), day(state.known(now)));
        Days { wall, known: (trust != Trust::Plausible || known > wall).then_some(known) }
    }

    /// Never raises anything: a CRM's server may be wrong as well.
    fn hear(&self, said: Timestamp) {
        let (mut state, now, wall, _) = self.look();
        state.hear(now, wall, said);
    }

    fn accept(&self, mark: Timestamp) {
        let (mut state, now, wall, _) = self.look();
        state.accepted = Some(mark);
        state.accept(now, wall.at);
    }
}

impl State {
    /// Judges what the wall clock says now, and learns from it.
    fn look(&mut self, now: Monotonic, wall: WallTime) -> Trust {
        let trust = self.judge(now, wall);
        if trust == Trust::Plausible {
            let reading = Reading { at: wall.at, when: now };
            self.believed = reading;
            if wall.synchronised {
                self.floor = Reading { at: wall.at.max(release_time()), when: now };
                self.anchor = Some(reading);
                (self.heard, self.owner) = (None, false);
            }
            // An anchor is not moved by the readings that follow: many small steps would make a large one.
            self.anchor.get_or_insert(reading);
        }
        trust
    }

    fn judge(&self, now: Monotonic, wall: WallTime) -> Trust {
        if later(wall.at, STEP) < release_time() {
            // No time server that is right says so.
            return Trust::Behind;
        }
        if wall.synchronised {
            return Trust::Plausible;
        }
        if let Some(heard) = self.heard
            && let apart = within(wall.at, heard.by(now), DAY)
            && apart != Trust::Plausible
        {
            return apart;
        }
        match self.anchor {
            Some(anchor) => within(wall.at, anchor.by(now), STEP),
            None if later(wall.at, STEP) < self.floor.certain(now) => Trust::Behind,
            None if later(wall.at, DAY) < self.believed.by(now) => Trust::Behind,
            None if wall.at > self.ceiling.by(now) => Trust::Ahead,
            None => Trust::Plausible,
        }
    }

    fn hear(&mut self, now: Monotonic, wall: WallTime, said: Timestamp) {
        self.skew = Some(wall.at.duration_since(said));
        if wall.synchronised || said < release_time() {
            return;
        }
        let reading = |at| Reading { at, when: now };
        if within(wall.at, said, STEP) == Trust::Plausible {
            // Two clocks that do not know of one another say the same: what was kept is wrong.
            self.heard = Some(reading(said));
            (self.believed, self.anchor) = (reading(wall.at), Some(reading(wall.at)));
            self.lower(now, said.min(wall.at), STEP);
        } else if !self.owner {
            self.heard = Some(reading(said));
            self.lower(now, said, DAY);
            if self.believed.by(now) > later(said, DAY) {
                self.believed = reading(said);
            }
            if self.anchor.is_some_and(|anchor| within(anchor.by(now), said, DAY) != Trust::Plausible) {
                self.anchor = None;
            }
        }
    }

    /// Lowers a floor that is more than `by` above `to`: small differences are the tolerance's.
    fn lower(&mut self, now: Monotonic, to: Timestamp, by: SignedDuration) {
        if self.floor.certain(now) > later(to, by) {
            self.floor = Reading { at: to.max(release_time()), when: now };
        }
    }

    fn accept(&mut self, now: Monotonic, wall: Timestamp) {
        if later(wall, STEP) < release_time() {
            return;
        }
        let reading = Reading { at: wall, when: now };
        (self.believed, self.anchor) = (reading, Some(reading));
        (self.heard, self.owner) = (None, true);
        self.lower(now, wall, SignedDuration::ZERO);
    }

    fn known(&self, now: Monotonic) -> Timestamp {
        self.floor.certain(now).max(self.believed.by(now))
    }
}

impl Reading {
    /// The reading and the time since, at its own pace.
    fn by(self, now: Monotonic) -> Timestamp {
        later(self.at, signed(now.since(self.when)))
    }

    /// The same, but for what two quartzes may differ by.
    fn certain(self, now: Monotonic) -> Timestamp {
        later(self.at, signed(certain(now.since(self.when))))
    }
}

/// Where `wall` stands against what is `expected`, give or take `by`.
fn within(wall: Timestamp, expected: Timestamp, by: SignedDuration) -> Trust {
    let apart = wall.duration_since(expected);
    if apart.abs() <= by {
        Trust::Plausible
    } else if apart.is_negative() {
        Trust::Behind
    } else {
        Trust::Ahead
    }
}

fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// Of a time that passed by one quartz, what has passed by any other.
fn certain(passed: Duration) -> Duration {
    passed.saturating_sub(passed / UNCERTAIN)
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

/// Both clocks at one moment: a machine that pauses in between, or a test that turns the hands, is asked again.
fn read(clock: &dyn Clock) -> (Monotonic, WallTime) {
    let mut before = clock.monotonic();
    for _ in 0..3 {
        let (wall, after) = (clock.wall(), clock.monotonic());
        if after.since(before) <= AT_ONCE {
            return (after, wall);
        }
        before = after;
    }
    (before, clock.wall())
}
