//! `snova replay`: a scene, a video or a folder of pictures through the whole recognition, faster than life.
//!
//! Nothing is recorded and nobody is greeted: `snova demo` and `snova run` do that. What is true of a scene is
//! kept by `super::truth`.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};

use super::known::Known;
use super::out;
use super::truth::Entries;
use crate::app::{Places, settings};
use crate::camera::{self, Capture, FrameSource, Scene, SceneSource, SourceError, SourceSpec, Truth};
use crate::clock::{Clock, Monotonic, SimulatedClock};
use crate::config::Config;
use crate::customer::{CustomerId, Decision, Sighting, VisitId};
use crate::face::{BoundingBox, CameraId, CounterId, Frame};
use crate::gallery::GalleryHandle;
use crate::pipeline::{Pipeline, Stage, StepOutcome};
use crate::vision::Vision;
use crate::visit::{VisitEvent, Visits};

#[derive(Args)]
#[command(
    after_help = "A file that ends in .toml is a scene, a folder holds pictures in name order, anything else is a video.
The customers are those of the configured store; nothing is written.

Examples:
  snova replay scenes/regular.toml
  snova replay --frames 300 --json yesterday.mp4
  snova replay pictures/"
)]
pub struct ReplayArgs {
    /// Print one JSON object an event, and one at the end
    #[arg(long)]
    json: bool,
    /// Stop after so many frames
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    frames: Option<u64>,
    #[arg(value_name = "SCENE|VIDEO|FOLDER")]
    source: PathBuf,
}

pub fn run(args: &ReplayArgs, config: &Config) -> Result<()> {
    let mut recording = Recording::open(&args.source)?;
    let vision = super::open_calibrated_vision(config)?;
    let system = super::system_clock();
    let known = Known::load(config, vision.pack(), &*system)?;
    if known.gallery.is_empty() && !args.json {
        out::line("note: nobody is enrolled, so nobody will be named; enrol somebody with `snova enrol`");
    }
    let gallery = GalleryHandle::new(known.gallery.clone());
    let mut replay = Replay {
        // The stages are measured in the machine's time, everything else happens in the recording's.
        pipeline: Pipeline::new(Box::new(vision), gallery, Arc::clone(&system), settings::pipeline(config)),
        visits: Visits::new(settings::visit(config)),
        counter: config.counters[0].name.clone(),
        camera: CameraId::new("replay"),
        clock: SimulatedClock::starting_at(system.wall().at),
        known,
        json: args.json,
        whose: HashMap::new(),
        entries: recording.scene().is_some().then(Entries::default),
        frames: 0,
        times: HashMap::new(),
    };
    while args.frames.is_none_or(|most| replay.frames < most)
        && let Some(capture) = recording.next()?
    {
        let truth = recording.scene().map(|scene| scene.truth(capture.offset));
        replay.frame(capture, truth)?;
    }
    replay.end();
    Ok(())
}

/// An opened recording; of a scene the truth can be asked.
enum Recording {
    Scene(SceneSource),
    Other(Box<dyn FrameSource>),
}

impl Recording {
    fn open(path: &Path) -> Result<Self> {
        if path.extension().is_some_and(|extension| extension == "toml") {
            let scene = Scene::open(path, &Places::media()?)?;
            return Ok(Self::Scene(SceneSource::new(scene, false)));
        }
        let spec = if path.is_dir() {
            SourceSpec::Images(settings::images(path, false))
        } else {
            SourceSpec::Video(settings::video(path, false))
        };
        Ok(Self::Other(camera::open(&spec)?))
    }

    fn next(&mut self) -> Result<Option<Capture>, SourceError> {
        match self {
            Self::Scene(source) => source.next(),
            Self::Other(source) => source.next(),
        }
    }

    fn scene(&self) -> Option<&Scene> {
        match self {
            Self::Scene(source) => Some(source.scene()),
            Self::Other(_) => None,
        }
    }
}

struct Replay {
    pipeline: Pipeline,
    visits: Visits,
    counter: CounterId,
    camera: CameraId,
    clock: SimulatedClock,
    known: Known,
    json: bool,
    /// Whom the visits and questions so far are about.
    whose: HashMap<VisitId, Vec<CustomerId>>,
    /// For a scene only.
    entries: Option<Entries>,
    frames: u64,
    times: HashMap<Stage, Duration>,
}

impl Replay {
    fn frame(&mut self, capture: Capture, truth: Option<Vec<Truth>>) -> Result<()> {
        self.clock.advance_to(Monotonic(capture.offset));
        let now = self.clock.monotonic();
        if let (Some(entries), Some(truth)) = (&mut self.entries, truth) {
            entries.see(capture.offset, truth);
        }
        let frame = Frame {
            counter: self.counter.clone(),
            camera: self.camera.clone(),
            seq: self.frames,
            captured_at: now,
            pixels: capture.pixels,
        };
        let StepOutcome { sightings, times, .. } = self.pipeline.step(frame)?;
        self.frames += 1;
        for (stage, took) in times {
            *self.times.entry(stage).or_default() += took;
        }
        let clock = &self.clock;
        let events = self.visits.advance(now, &self.counter, &sightings, &mut || clock.mint());
        for event in events {
            self.compare(&event, &sightings);
            self.tell(&event);
        }
        Ok(())
    }

    /// Holds a naming against the scene's truth.
    fn compare(&mut self, event: &VisitEvent, sightings: &[Sighting]) {
        let Some(entries) = &mut self.entries else { return };
        match event {
            VisitEvent::Opened { customer, .. } | VisitEvent::Returned { customer, .. } => {
                if let Some(bounds) = face_of(sightings, *customer) {
                    entries.name(&bounds, self.known.name(*customer));
                }
            }
            VisitEvent::Suggested { candidates, .. } => {
                if let Some(bounds) = candidates.first().and_then(|best| face_of(sightings, *best)) {
                    entries.ask(&bounds);
                }
            }
            _ => {}
        }
    }

    fn tell(&mut self, event: &VisitEvent) {
        let (visit, name, word) = match event {
            VisitEvent::Opened { visit, customer, .. } => {
                self.whose.insert(*visit, vec![*customer]);
                (visit, "visit_opened", "visit opened:")
            }
            VisitEvent::Suggested { visit, candidates, .. } => {
                self.whose.insert(*visit, candidates.clone());
                (visit, "suggested", "cashier asked:")
            }
            VisitEvent::Returned { visit, .. } => (visit, "returned", "back:"),
            VisitEvent::Left { visit, recorded: true, .. } => (visit, "left", "left:"),
            VisitEvent::Left { visit, recorded: false, .. } => (visit, "suggestion_gone", "left unanswered:"),
            VisitEvent::Closed { visit, .. } => (visit, "visit_closed", "visit over:"),
            // Nobody answers a replay, and nobody gives a card.
            VisitEvent::Confirmed { .. }
            | VisitEvent::Rejected { .. }
            | VisitEvent::Reassigned { .. }
            | VisitEvent::Held { .. } => return,
        };
        let customers = self.whose.get(visit).map(Vec::as_slice).unwrap_or_default();
        let (at, counter) = (self.clock.monotonic().0, &self.counter);
        if self.json {
            let view = |c: &CustomerId| json!({ "id": c.to_string(), "name": self.known.name(*c) });
            let customers: Vec<Value> = customers.iter().map(view).collect();
            let counter = counter.as_str();
            out::line(json!({ "at_s": at.as_secs_f64(), "counter": counter, "event": name, "customers": customers }));
        } else {
            let names: Vec<&str> = customers.iter().map(|c| self.known.name(*c)).collect();
            out::line(format_args!("{} {counter} {word} {}", stamp(at), names.join(" or ")));
        }
    }

    fn end(&mut self) {
        let at = self.clock.monotonic().0;
        let stages: Vec<(&str, f64)> = Stage::ALL
            .iter()
            .map(|stage| {
                let total = self.times.get(stage).copied().unwrap_or_default();
                (stage.as_str(), total.as_secs_f64() * 1000.0 / self.frames.max(1) as f64)
            })
            .collect();
        if self.json {
            let rounded = |ms: f64| (ms * 1000.0).round() / 1000.0;
            let stages: serde_json::Map<String, Value> =
                stages.iter().map(|(name, ms)| ((*name).to_owned(), json!(rounded(*ms)))).collect();
            let mut end = json!({ "at_s": at.as_secs_f64(), "event": "end", "frames": self.frames, "mean_ms": stages });
            if let Some(entries) = &self.entries {
                end["truth"] = entries.json();
            }
            out::line(end);
            return;
        }
        out::line(format_args!("{} end of the recording: {} frames", stamp(at), self.frames));
        let total: f64 = stages.iter().map(|(_, ms)| ms).sum();
        let mut line = format!("mean ms a frame: {total:.1} (");
        for (index, (name, ms)) in stages.iter().enumerate() {
            // Writing into a String cannot fail.
            let _ = write!(line, "{}{name} {ms:.1}", if index > 0 { ", " } else { "" });
        }
        out::line(format_args!("{line})"));
        if let Some(entries) = &self.entries {
            out::line("who truly was there:");
            entries.lines().for_each(|line| out::line(format_args!("  {line}")));
        }
    }
}

/// Where the face is that was taken for `customer`, or that the cashier is asked about.
fn face_of(sightings: &[Sighting], customer: CustomerId) -> Option<BoundingBox> {
    let is_theirs = |decision: &Decision| match decision {
        Decision::Match(candidate) => candidate.customer == customer,
        Decision::Maybe(candidates) => candidates.first().is_some_and(|best| best.customer == customer),
        Decision::NoMatch | Decision::Undecided(_) => false,
    };
    sightings.iter().find(|s| is_theirs(&s.decision)).map(|s| s.bounds)
}

/// A point of the recording as minutes, seconds and milliseconds.
pub(super) fn stamp(at: Duration) -> String {
    let ms = at.as_millis();
    format!("{:02}:{:02}.{:03}", ms / 60_000, ms / 1000 % 60, ms % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_of_time_is_minutes_seconds_and_milliseconds() {
        assert_eq!(stamp(Duration::from_millis(2_133)), "00:02.133");
        assert_eq!(stamp(Duration::from_secs(3_725)), "62:05.000");
    }
}
