//! The vision thread: takes the newest frame, looks at it, hands the sightings on.
//!
//! What looking means is `crate::pipeline`'s.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use tokio::sync::watch;

use super::load::{Change, Load};
use super::pulse::Pulse;
use crate::camera::{CameraState, Eye, FrameReceiver, Taken};
use crate::clock::{Clock, Monotonic};
use crate::customer::{Decision, Sighting};
use crate::face::{CameraId, CounterId};
use crate::pipeline::{Pipeline, StepError, StepOutcome};
use crate::shutdown::Shutdown;
use crate::telemetry::Metrics;
use crate::vision::Vision;

/// How long the thread waits for a frame before it looks whether to stop.
const PATIENCE: Duration = Duration::from_millis(100);

/// The sightings of one frame, on their way to the desk.
pub(super) struct Seen {
    pub counter: CounterId,
    pub camera: CameraId,
    pub captured_at: Monotonic,
    pub sightings: Vec<Sighting>,
}

pub(super) struct Watcher {
    pub pipeline: Pipeline,
    pub frames: FrameReceiver,
    pub sightings: SyncSender<Seen>,
    pub metrics: Arc<Metrics>,
    pub clock: Arc<dyn Clock>,
    pub stop: Shutdown,
    /// Whether the box does not keep up with its cameras.
    pub overloaded: Arc<AtomicBool>,
    pub pulse: Arc<Pulse>,
    pub cameras: Vec<watch::Receiver<CameraState>>,
    /// Which set of cameras and models this is, since the service began.
    pub run: u32,
    pub eyes: HashMap<CameraId, Eye>,
}

impl Watcher {
    /// Until the stop is asked; gives the models back. Without any camera (or after the last recording's end) it waits for
    /// the stop.
    pub fn run(mut self) -> Box<dyn Vision> {
        self.watch();
        self.pipeline.into_vision()
    }

    fn watch(&mut self) {
        let mut skipped = HashMap::new();
        let mut load = Load::default();
        // Whether the last frame failed, so that a lasting fault is said once.
        let mut failing = false;
        while !self.stop.is_asked() {
            self.judge_load(&mut load);
            // A camera that is lost sends no frame that would end its tracks.
            self.pipeline.pass(self.clock.monotonic());
            let frame = match self.frames.take(PATIENCE) {
                Taken::Frame(frame) => frame,
                Taken::Nothing => {
                    self.beat_without_frame();
                    continue;
                }
                Taken::Closed => {
                    self.beat_without_frame();
                    self.stop.wait_for(PATIENCE);
                    continue;
                }
            };
            let (counter, camera, captured_at) = (frame.counter.clone(), frame.camera.clone(), frame.captured_at);
            let total = self.frames.skipped(&camera);
            let before = skipped.insert(camera.clone(), total).unwrap_or(0);
            self.metrics.frames_skipped.inc_by(camera.as_str(), total.saturating_sub(before));
            let given = 1 + total.saturating_sub(before);
            self.metrics.frames_captured.inc_by(camera.as_str(), given);
            load.looked(&camera, self.clock.monotonic(), given);
            let outcome = self.pipeline.step(frame);
            if let Some(eye) = self.eyes.get(&camera) {
                eye.looked_at(!matches!(outcome, Err(StepError::BadFrame { .. })));
            }
            note_trouble(&mut failing, &camera, outcome.as_ref().err());
            // A picture that is broken is the camera's fault; models that fail are ours, and no progress.
            if !matches!(outcome, Err(StepError::Vision(_))) {
                self.pulse.beat();
            }
            let Ok(outcome) = outcome else { continue };
            self.count(&camera, &outcome);
            let mut sightings = outcome.sightings;
            // The visits outlive this pipeline, which counts its tracks from the beginning: none of them is an old one.
            sightings.iter_mut().for_each(|seen| seen.track.0 |= u64::from(self.run) << 32);
            let seen = Seen { counter, camera, captured_at, sightings };
            if self.sightings.send(seen).is_err() {
                return;
            }
        }
    }

    /// No frame is progress only where it is known why: a camera that is said to be live owes one.
    fn beat_without_frame(&self) {
        if self.cameras.iter().all(|state| *state.borrow() != CameraState::Live) {
            self.pulse.beat();
        }
    }

    /// Says once when the box no longer keeps up, and once when it does again.
    fn judge_load(&self, load: &mut Load) {
        let Some(change) = load.judge(self.clock.monotonic()) else { return };
        match &change {
            Change::Overloaded { camera, given_fps, looked_at_fps } => tracing::warn!(
                %camera,
                given_fps,
                looked_at_fps,
                "overloaded: names come late; give cameras a lower rate or size, or fewer cameras to this box"
            ),
            Change::Over => tracing::info!("no longer overloaded"),
        }
        let overloaded = change != Change::Over;
        self.metrics.overloaded.set(i64::from(overloaded));
        self.overloaded.store(overloaded, Ordering::Release);
    }

    fn count(&self, camera: &CameraId, outcome: &StepOutcome) {
        self.metrics.frames_processed.inc(camera.as_str());
        for (stage, took) in &outcome.times {
            self.metrics.stage_seconds.observe(stage.as_str(), *took);
        }
        self.metrics.graphs_seconds.observe(outcome.in_graphs);
        for reason in &outcome.refused {
            self.metrics.refused_shots.inc(reason.as_str());
        }
        for (_, decision) in &outcome.decided {
            let decided = match decision {
                Decision::Match(_) => "match",
                Decision::Maybe(_) => "maybe",
                Decision::NoMatch => "no_match",
                Decision::Undecided(_) => "undecided",
            };
            self.metrics.decisions.inc(decided);
        }
    }
}

fn note_trouble(failing: &mut bool, camera: &CameraId, error: Option<&StepError>) {
    if let Some(error) = error.filter(|_| !*failing) {
        tracing::warn!(%camera, %error, "a frame could not be looked at");
    }
    *failing = error.is_some();
}
