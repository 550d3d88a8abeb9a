//! One named thread a camera: opens its source, paces and stamps frames, and brings a lost camera back.
//!
//! What a source does is not here (see `FrameSource`), nor who takes the frames (see `slot.rs`).
//!
//! A second, small thread watches the first: a driver may block for ever, and then somebody else must
//! notice, say so, and stop the source so that it can be opened anew.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;

use super::backoff::{Backoff, splitmix};
use super::frozen::Repeats;
use super::pacer::Pacer;
use super::status::{Shown, Status};
use super::{CameraState, Capture, FrameSender, FrameSource, Pace, SourceError};
use crate::clock::{Clock, Monotonic, WallTime};
use crate::face::{CameraId, CounterId, Frame};
use crate::shutdown::Shutdown;

/// A source is opened by this, again after each loss.
type Open = Box<dyn Fn() -> Result<Box<dyn FrameSource>, SourceError> + Send>;

/// One camera of one counter.
#[derive(Clone, Debug)]
pub struct CameraConfig {
    pub counter: CounterId,
    pub camera: CameraId,
    /// Silence after which the camera counts as stalled; after twice as long it is opened anew.
    pub stall_after: Duration,
}

/// How long pictures must come before an outage counts as over: a loose cable is one outage, not fifty.
const STEADY_AFTER: Duration = Duration::from_secs(5);

/// How often the watching thread looks.
const LOOK: Duration = Duration::from_millis(20);

/// A running camera. It ends with the shutdown or with its recording; dropping this does not end it.
pub struct Camera {
    id: CameraId,
    counter: CounterId,
    state: watch::Receiver<CameraState>,
    threads: [JoinHandle<()>; 2],
    shared: Arc<Shared>,
}

/// By which whoever decodes a camera's pictures tells whether that succeeds: the camera itself cannot know.
#[derive(Clone)]
pub struct Eye(Arc<Shared>);

impl Eye {
    pub fn looked_at(&self, is_decoded: bool) {
        let now = self.0.now();
        // A good picture after a good one changes nothing.
        if !is_decoded || self.0.lock().undecoded.is_some() {
            self.0.change(|status| status.looked_at(now, is_decoded));
        }
    }
}

impl Camera {
    /// Starts both threads. `open` is called on the camera's thread, first at once.
    pub fn start(
        config: CameraConfig,
        open: impl Fn() -> Result<Box<dyn FrameSource>, SourceError> + Send + 'static,
        frames: FrameSender,
        clock: Arc<dyn Clock>,
        shutdown: Shutdown,
    ) -> io::Result<Self> {
        let (publisher, state) = watch::channel(CameraState::Starting);
        let CameraConfig { counter, camera: id, stall_after } = config.clone();
        let shared = Arc::new(Shared { status: Mutex::new(Status::new(stall_after)), publisher, clock });
        let watched = Arc::clone(&shared);
        let asked = shutdown.clone();
        let watch = named("watch", &id).spawn(move || watched.watch(&asked))?;
        let runner = Runner {
            config,
            open: Box::new(open),
            frames,
            shared: Arc::clone(&shared),
            shutdown,
            seq: 0,
            repeats: Repeats::default(),
            frozen_noted: false,
        };
        let run = named("camera", &id).spawn(move || runner.run());
        // Without its camera the watching thread has nothing to wait for.
        let run = run.inspect_err(|_| shared.change(|status| status.shown = Shown::Ended))?;
        Ok(Self { id, counter, state, threads: [run, watch], shared })
    }

    pub fn id(&self) -> &CameraId {
        &self.id
    }

    pub fn counter(&self) -> &CounterId {
        &self.counter
    }

    /// What is true now, at most 20 ms late.
    pub fn state(&self) -> CameraState {
        self.state.borrow().clone()
    }

    /// For whoever decodes its pictures.
    pub fn eye(&self) -> Eye {
        Eye(Arc::clone(&self.shared))
    }

    /// The state to wait on.
    pub fn watch(&self) -> watch::Receiver<CameraState> {
        self.state.clone()
    }

    /// Waits up to `limit` for the threads to end; false if one is stuck in a driver and was left behind.
    pub fn join(self, limit: Duration) -> bool {
        const NAP: Duration = Duration::from_millis(2);
        let mut waited = Duration::ZERO;
        while self.threads.iter().any(|thread| !thread.is_finished()) {
            if waited >= limit {
                return false;
            }
            std::thread::sleep(NAP);
            waited += NAP;
        }
        self.threads.into_iter().all(|thread| thread.join().is_ok())
    }
}

/// A thread's name must not hold a zero byte, whatever the camera is called.
fn named(what: &str, id: &CameraId) -> std::thread::Builder {
    std::thread::Builder::new().name(format!("{what}-{}", id.as_str().replace('\0', "")))
}

/// What both threads know.
struct Shared {
    status: Mutex<Status>,
    publisher: watch::Sender<CameraState>,
    clock: Arc<dyn Clock>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the status and publishes the state if it is another.
    fn change<T>(&self, change: impl FnOnce(&mut Status) -> T) -> T {
        let mut status = self.lock();
        let answer = change(&mut status);
        let state = status.state(self.clock.monotonic());
        self.publisher.send_if_modified(|shown| {
            let differs = *shown != state;
            *shown = state;
            differs
        });
        answer
    }

    fn now(&self) -> (Monotonic, WallTime) {
        (self.clock.monotonic(), self.clock.wall())
    }

    /// The watching thread: until the shutdown, or until the recording has ended.
    fn watch(&self, shutdown: &Shutdown) {
        while !shutdown.wait_for(LOOK) {
            let now = self.clock.monotonic();
            let stop = self.change(|status| status.give_up(now));
            // Outside of the lock: what stopping does is the source's own business.
            if let Some(stop) = stop {
                stop.stop();
            }
            if matches!(self.lock().shown, Shown::Ended) {
                return;
            }
        }
        let stop = self.lock().stop.clone();
        if let Some(stop) = stop {
            stop.stop();
        }
    }
}

/// The camera's own thread.
struct Runner {
    config: CameraConfig,
    open: Open,
    frames: FrameSender,
    shared: Arc<Shared>,
    shutdown: Shutdown,
    seq: u64,
    repeats: Repeats,
    frozen_noted: bool,
}

/// Why one opened source was left.
enum Left {
    Ended,
    Shutdown,
    Lost(SourceError),
}

/// A time without a working camera, from its first error until pictures have come steadily.
struct Outage {
    since: Monotonic,
    tries: u32,
}

impl Runner {
    fn run(mut self) {
        let mut backoff =
            Backoff::new(self.config.camera.as_str().bytes().fold(0, |seed, b| splitmix(seed ^ u64::from(b))));
        let mut outage = None;
        loop {
            let left = self.run_one_source(&mut outage, &mut backoff);
            // Nobody may stop what is gone, and a stopped source is not to be blamed for the next one.
            self.shared.change(|status| (status.stop, status.waiting) = (None, None));
            let wait = match left {
                Left::Shutdown => return,
                Left::Ended => {
                    tracing::info!(camera = %self.config.camera, frames = self.seq, "recording ended");
                    return self.shared.change(|status| status.shown = Shown::Ended);
                }
                Left::Lost(error) => {
                    self.note_loss(&error, &mut outage);
                    if error.is_refused() { backoff.wait_refused() } else { backoff.wait() }
                }
            };
            if self.shutdown.wait_for(wait) {
                return;
            }
        }
    }

    /// Opens the source and takes its pictures until it ends, fails, or the stop is asked.
    fn run_one_source(&mut self, outage: &mut Option<Outage>, backoff: &mut Backoff) -> Left {
        let opened_at = self.shared.now();
        self.shared.change(|status| {
            (status.waiting, status.begun, status.given_up) = (Some(opened_at), false, false);
        });
        let mut source = match (self.open)() {
            Ok(source) => source,
            Err(error) => return Left::Lost(error),
        };
        self.shared.change(|status| status.stop = source.stop_handle());
        let mut pacer = Pacer::default();
        let mut first_at = None;
        // The watching thread may have looked for the stop handle before it was there: so look again now.
        while !self.shutdown.is_asked() {
            let waiting_since = self.shared.now();
            self.shared.change(|status| status.waiting = Some(waiting_since));
            let capture = match source.next() {
                _ if self.shutdown.is_asked() => return Left::Shutdown,
                Ok(Some(capture)) => capture,
                Ok(None) if source.pace() == Pace::ByOffset && !self.shared.lock().given_up => return Left::Ended,
                Ok(None) => return Left::Lost(SourceError::new("the camera has ended its pictures")),
                Err(error) => return Left::Lost(self.explained(error)),
            };
            self.shared.change(|status| (status.waiting, status.begun, status.shown) = (None, true, Shown::Live));
            if source.pace() == Pace::ByOffset && !self.wait_until_due(&mut pacer, capture.offset) {
                return Left::Shutdown;
            }
            let seen_at = self.shared.now();
            let frozen = source.frozen_after().and_then(|after| self.repeats.see(&capture.pixels, seen_at, after));
            let is_useless = self.shared.change(|status| {
                status.frozen = frozen;
                status.is_reopening_due(seen_at.0)
            });
            if is_useless {
                return Left::Lost(SourceError::new("its pictures cannot be used; switch the camera off and on"));
            }
            if let Some(since) = frozen {
                // Whoever is in this picture may have left long ago: nobody may look at it any more.
                self.note_frozen(since);
                continue;
            }
            self.frozen_noted = false;
            let now = self.put(capture);
            if now.since(*first_at.get_or_insert(now)) >= STEADY_AFTER {
                backoff.reset();
                self.note_return(outage);
            }
        }
        Left::Shutdown
    }

    /// Waits until a recording's picture is due; false if the stop was asked.
    fn wait_until_due(&self, pacer: &mut Pacer, offset: Duration) -> bool {
        loop {
            let ahead = pacer.ahead(self.shared.clock.monotonic(), offset);
            if ahead.is_zero() {
                return !self.shutdown.is_asked();
            }
            // In slices, for a clock that is simulated moves while we sleep.
            if self.shutdown.wait_for(ahead.min(LOOK)) {
                return false;
            }
        }
    }

    fn put(&mut self, capture: Capture) -> Monotonic {
        let captured_at = self.shared.clock.monotonic();
        let CameraConfig { counter, camera, .. } = &self.config;
        let (counter, camera) = (counter.clone(), camera.clone());
        self.frames.put(Frame { counter, camera, seq: self.seq, captured_at, pixels: capture.pixels });
        self.seq += 1;
        captured_at
    }

    /// A source that we stopped for its silence reports the stop; what a person needs is the silence.
    fn explained(&self, error: SourceError) -> SourceError {
        let status = self.shared.lock();
        if !status.given_up {
            return error;
        }
        let silent_s = status.patience().as_secs_f32();
        SourceError::new(format!("no picture for {silent_s:.1} s; check the camera's cable and power"))
    }

    fn note_loss(&self, error: &SourceError, outage: &mut Option<Outage>) {
        let (now, wall) = self.shared.now();
        match outage {
            Some(outage) => outage.tries += 1,
            None => {
                tracing::warn!(camera = %self.config.camera, cause = %error, "camera lost; it is being opened anew");
                *outage = Some(Outage { since: now, tries: 1 });
            }
        }
        self.shared.change(|status| {
            let since = if let Shown::Lost { since, .. } = &status.shown { *since } else { wall };
            status.shown = Shown::Lost { since, cause: error.to_string(), refused: error.is_refused() };
        });
    }

    fn note_frozen(&mut self, since: WallTime) {
        if !std::mem::replace(&mut self.frozen_noted, true) {
            tracing::warn!(camera = %self.config.camera, since = %since.at, "the camera repeats its last picture; switch it off and on");
        }
    }

    fn note_return(&self, outage: &mut Option<Outage>) {
        let Some(Outage { since, tries }) = outage.take() else { return };
        let outage_ms = self.shared.clock.monotonic().since(since).as_millis() as u64;
        tracing::info!(camera = %self.config.camera, outage_ms, tries, "camera is back");
    }
}
