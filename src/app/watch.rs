//! The vision thread: takes the newest frame, looks at it, hands the sightings on.
//!
//! What looking means is `crate::pipeline`'s.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use super::load::{Change, Load};
use crate::camera::{FrameReceiver, Taken};
use crate::clock::{Clock, Monotonic};
use crate::customer::{Decision, Sighting};
use crate::face::{CameraId, CounterId};
use crate::pipeline::{Pipeline, StepError, StepOutcome};
use crate::shutdown::Shutdown;
use crate::telemetry::Metrics;

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
    pipeline: Pipeline,
    frames: FrameReceiver,
    sightings: SyncSender<Seen>,
    metrics: Arc<Metrics>,
    stop: Shutdown,
    load: Load,
    overloaded: Arc<AtomicBool>,
    clock: Arc<dyn Clock>,
    /// Whether the last frame failed, so that a lasting fault is said once.
    failing: bool,
}

impl Watcher {
    pub fn new(
        pipeline: Pipeline,
        frames: FrameReceiver,
        sightings: SyncSender<Seen>,
        metrics: Arc<Metrics>,
        stop: Shutdown,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let (load, overloaded) = (Load::default(), Arc::default());
        Self { pipeline, frames, sightings, metrics, stop, load, overloaded, clock, failing: false }
    }

    /// Whether the box keeps up with its cameras, from now on.
    pub fn overloaded(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.overloaded)
    }

    /// Until the stop is asked. Without any camera (or after the last recording's end) it waits for it.
    pub fn run(mut self) {
        let mut skipped = std::collections::HashMap::new();
        while !self.stop.is_asked() {
            self.judge_load();
            let frame = match self.frames.take(PATIENCE) {
                Taken::Frame(frame) => frame,
                Taken::Nothing => continue,
                Taken::Closed => {
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
            self.load.looked(&camera, self.clock.monotonic(), given);
            let outcome = self.pipeline.step(frame);
            self.note_trouble(&camera, outcome.as_ref().err());
            let Ok(outcome) = outcome else { continue };
            self.count(&camera, &outcome);
            let seen = Seen { counter, camera, captured_at, sightings: outcome.sightings };
            if self.sightings.send(seen).is_err() {
                return;
            }
        }
    }

    /// Says once when the box no longer keeps up, and once when it does again.
    fn judge_load(&mut self) {
        let Some(change) = self.load.judge(self.clock.monotonic()) else { return };
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

    fn note_trouble(&mut self, camera: &CameraId, error: Option<&StepError>) {
        if let Some(error) = error.filter(|_| !self.failing) {
            tracing::warn!(%camera, %error, "a frame could not be looked at");
        }
        self.failing = error.is_some();
    }

    fn count(&self, camera: &CameraId, outcome: &StepOutcome) {
        self.metrics.frames_processed.inc(camera.as_str());
        for (stage, took) in &outcome.times {
            self.metrics.stage_seconds.observe(stage.as_str(), *took);
        }
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
