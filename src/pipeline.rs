//! One step from a frame to sightings: detect, track, gate, align, embed, search, decide.
//!
//! No threads, no queue and no store are here: `crate::app` feeds frames in and carries sightings on.

mod followed;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use image::RgbImage;

use crate::clock::{Clock, Monotonic};
use crate::customer::{Decision, Sighting, TrackId};
use crate::face::{CameraId, Detection, FaceChip, Frame, FrameError, QualityReason};
use crate::gallery::{DecisionConfig, Face, Gallery, GalleryHandle, Shot, settle};
use crate::track::{Continuity, TrackConfig, Tracked, Tracker};
use crate::vision::{Vision, VisionError, portrait};
use followed::Followed;

/// How much looking a track is worth.
#[derive(Clone, Debug, PartialEq)]
pub struct PipelineConfig {
    /// Best shots of a track that are fused.
    pub shots: usize,
    /// Embeddings a track may cost before only a much better shot is worth another.
    pub attempts: usize,
    /// Shots closer in time than this are nearly the same picture.
    pub shot_spacing: Duration,
    /// Embeddings a frame may cost, over all its faces.
    pub embeds_per_frame: usize,
    /// How long a doubtful track is followed without a usable look at the face; its name is not said meanwhile.
    pub recheck_within: Duration,
    pub decision: DecisionConfig,
    pub track: TrackConfig,
}

impl Default for PipelineConfig {
    fn default() -> Self {
        Self {
            shots: 5,
            attempts: 20,
            shot_spacing: Duration::from_millis(120),
            embeds_per_frame: 2,
            recheck_within: Duration::from_millis(1500),
            decision: DecisionConfig::default(),
            track: TrackConfig::default(),
        }
    }
}

/// The stages whose time is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    Decode,
    Detect,
    Track,
    /// Aligning faces and holding them against the quality gate.
    Gate,
    Embed,
    Decide,
}

impl Stage {
    pub const ALL: [Self; 6] = [Self::Decode, Self::Detect, Self::Track, Self::Gate, Self::Embed, Self::Decide];

    /// A stable name for metrics and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Decode => "decode",
            Self::Detect => "detect",
            Self::Track => "track",
            Self::Gate => "gate",
            Self::Embed => "embed",
            Self::Decide => "decide",
        }
    }
}

/// What one frame gave.
#[derive(Debug, Default)]
pub struct StepOutcome {
    pub sightings: Vec<Sighting>,
    pub times: Vec<(Stage, Duration)>,
    /// The part of these times that was spent inside of the models' graphs.
    pub in_graphs: Duration,
    /// Why shots were refused in this frame.
    pub refused: Vec<QualityReason>,
    /// Tracks that were decided in this frame, with their new decision.
    pub decided: Vec<(TrackId, Decision)>,
}

/// Why a frame gave nothing. The next frame may.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    #[error("camera \"{camera}\" sent a picture that cannot be used: {cause}")]
    BadFrame { camera: CameraId, cause: FrameError },
    #[error(transparent)]
    Vision(#[from] VisionError),
}

/// The joined parts. One thread owns it.
pub struct Pipeline {
    vision: Box<dyn Vision>,
    gallery: GalleryHandle,
    clock: Arc<dyn Clock>,
    config: PipelineConfig,
    trackers: HashMap<CameraId, Tracker>,
    tracks: HashMap<TrackId, Followed>,
    minted: u64,
    searched: Arc<Gallery>,
}

impl Pipeline {
    pub fn new(vision: Box<dyn Vision>, gallery: GalleryHandle, clock: Arc<dyn Clock>, config: PipelineConfig) -> Self {
        let searched = gallery.snapshot();
        Self { vision, gallery, clock, config, trackers: HashMap::new(), tracks: HashMap::new(), minted: 0, searched }
    }

    /// The models, for work that is served between frames (enrolment).
    pub fn vision(&mut self) -> &mut dyn Vision {
        &mut *self.vision
    }

    /// The models, for another pipeline. All that is known of faces goes.
    pub fn into_vision(self) -> Box<dyn Vision> {
        self.vision
    }

    /// Looks at one frame. Every live face of it gives one sighting, undecided ones too.
    pub fn step(&mut self, frame: Frame) -> Result<StepOutcome, StepError> {
        let mut outcome = StepOutcome::default();
        let (counter, camera, now) = (frame.counter.clone(), frame.camera.clone(), frame.captured_at);
        let mut watch = StopWatch::start(Arc::clone(&self.clock));
        let in_graphs = self.vision.in_graphs();
        let picture = frame.into_rgb().map_err(|cause| StepError::BadFrame { camera: camera.clone(), cause })?;
        outcome.times.push(watch.lap(Stage::Decode));
        let detections = self.vision.detect(&picture)?;
        outcome.times.push(watch.lap(Stage::Detect));
        let mut tracked = self.follow(&camera, now, &detections);
        outcome.times.push(watch.lap(Stage::Track));
        let wanted = self.gate(&picture, &detections, &tracked, now, &mut outcome.refused);
        outcome.times.push(watch.lap(Stage::Gate));
        self.embed(wanted, &camera, &mut tracked, now)?;
        outcome.times.push(watch.lap(Stage::Embed));
        outcome.decided = self.decide(&camera, &tracked);
        outcome.times.push(watch.lap(Stage::Decide));
        outcome.in_graphs = self.vision.in_graphs().saturating_sub(in_graphs);
        outcome.sightings = tracked
            .iter()
            .map(|t| Sighting {
                counter: counter.clone(),
                camera: camera.clone(),
                track: t.track,
                bounds: detections[t.detection].bounds,
                decision: self.tracks.get(&t.track).map_or(Decision::Undecided(None), |s| s.reported(&self.config)),
                seen_at: now,
            })
            .collect();
        Ok(outcome)
    }

    fn mint(minted: &mut u64) -> TrackId {
        *minted += 1;
        TrackId(*minted)
    }

    fn follow(&mut self, camera: &CameraId, now: Monotonic, detections: &[Detection]) -> Vec<Tracked> {
        let config = &self.config.track;
        let tracker = self.trackers.entry(camera.clone()).or_insert_with(|| Tracker::new(config.clone()));
        let minted = &mut self.minted;
        let mut tracked = tracker.update(now, detections, &mut || Self::mint(minted));
        for t in &mut tracked {
            let state = self.tracks.entry(t.track).or_default();
            if t.continuity == Continuity::Doubtful && !state.shots.is_empty() {
                state.doubtful_since.get_or_insert(now);
            }
            let overdue = |since: Monotonic| now.since(since) > self.config.recheck_within;
            if state.doubtful_since.is_some_and(overdue) {
                t.track = renew(tracker, &mut self.tracks, t.track, Self::mint(minted));
            }
        }
        self.pass(now);
        tracked
    }

    /// Lets time pass at all cameras. Whoever stood before one that has fallen silent, or sends nothing that can be
    /// used, is forgotten soon after their track would have ended: without this, only its next frame would do it.
    pub fn pass(&mut self, now: Monotonic) {
        self.trackers.values_mut().for_each(|tracker| tracker.pass(now));
        let live: HashSet<TrackId> = self.trackers.values().flat_map(Tracker::live).collect();
        self.tracks.retain(|id, _| live.contains(id));
        self.follow_gallery();
    }

    /// The faces that are followed now, at all cameras; of no other is anything remembered.
    pub fn followed(&self) -> usize {
        self.tracks.len()
    }

    /// Where customers were enrolled or erased, or consents ended: what is known is judged anew, without a new look,
    /// and the gallery as it was before is let go.
    fn follow_gallery(&mut self) {
        let gallery = self.gallery.snapshot();
        if !Arc::ptr_eq(&gallery, &self.searched) {
            self.tracks.values_mut().for_each(|state| state.ranked = None);
            self.searched = gallery;
        }
    }

    /// Aligns and measures the faces that are worth a shot, and keeps the best few that pass.
    fn gate(
        &mut self,
        picture: &RgbImage,
        detections: &[Detection],
        tracked: &[Tracked],
        now: Monotonic,
        refused: &mut Vec<QualityReason>,
    ) -> Vec<(usize, FaceChip, f32)> {
        let mut wanted = Vec::new();
        for (index, t) in tracked.iter().enumerate() {
            let Some(state) = self.tracks.get_mut(&t.track) else { continue };
            if !state.wants_shot(now, &self.config) {
                continue;
            }
            let found = portrait(&*self.vision, picture, &detections[t.detection]);
            let reason = match &found {
                Ok(face) => face.quality.reasons.first().copied(),
                Err(reason) => Some(*reason),
            };
            state.last_reason = reason;
            match (found, reason) {
                (Ok(face), None) if state.is_worth(face.quality.score, &self.config) => {
                    wanted.push((index, face.chip, face.quality.score));
                }
                (_, Some(reason)) => refused.push(reason),
                _ => {}
            }
        }
        wanted.sort_by(|a, b| b.2.total_cmp(&a.2));
        wanted.truncate(self.config.embeds_per_frame);
        wanted
    }

    fn embed(
        &mut self,
        wanted: Vec<(usize, FaceChip, f32)>,
        camera: &CameraId,
        tracked: &mut [Tracked],
        now: Monotonic,
    ) -> Result<(), StepError> {
        if wanted.is_empty() {
            return Ok(());
        }
        let (places, chips): (Vec<(usize, f32)>, Vec<FaceChip>) =
            wanted.into_iter().map(|(index, chip, quality)| ((index, quality), chip)).unzip();
        let embeddings = self.vision.embed(&chips)?;
        let same_face = self.vision.pack().thresholds.threshold(self.config.decision.maybe_fpir, 1, 1, 1);
        for ((index, quality), embedding) in places.into_iter().zip(embeddings) {
            let track = &mut tracked[index].track;
            let exchanged = self.tracks.get(track).is_some_and(|s| s.is_exchanged(&embedding, same_face));
            if exchanged && let Some(tracker) = self.trackers.get_mut(camera) {
                *track = renew(tracker, &mut self.tracks, *track, Self::mint(&mut self.minted));
            }
            let state = self.tracks.entry(*track).or_default();
            state.add(Shot { embedding, quality }, now, self.config.shots);
        }
        Ok(())
    }

    /// Ranks the tracks of this camera that have something new, a shot or a changed gallery, and settles anew who of
    /// all of them is whom. Those that this frame does not show take part as long as they live.
    fn decide(&mut self, camera: &CameraId, tracked: &[Tracked]) -> Vec<(TrackId, Decision)> {
        self.follow_gallery();
        let (config, table) = (&self.config, &self.vision.pack().thresholds);
        let live: HashSet<TrackId> = self.trackers.get(camera).into_iter().flat_map(Tracker::live).collect();
        let seen: HashSet<TrackId> = tracked.iter().map(|t| t.track).collect();
        let mut faces = Vec::with_capacity(live.len());
        // In the order of their coming, so that the same frames give the same names.
        let mut states: Vec<_> = self.tracks.iter_mut().filter(|(track, _)| live.contains(track)).collect();
        states.sort_by_key(|(track, _)| **track);
        let (mut settled, mut news) = (Vec::with_capacity(states.len()), Vec::new());
        for (track, state) in states {
            let before = state.reported(config);
            state.rank(&self.searched, table, &config.decision);
            let is_seen = seen.contains(track) && state.doubtful_since.is_none();
            let Followed { ranked: Some(ranked), standing, .. } = state else { continue };
            faces.push(Face { ranked, standing, is_seen });
            settled.push((*track, before));
        }
        let decisions = settle(&mut faces, &config.decision);
        for ((track, before), decision) in settled.into_iter().zip(decisions) {
            let Some(state) = self.tracks.get_mut(&track) else { continue };
            state.decision = Some(decision);
            let after = state.reported(config);
            if before != after {
                news.push((track, after));
            }
        }
        news
    }
}

/// The face followed as `old` turned out to be (or may be) somebody else's: a new track, nothing inherited.
fn renew(tracker: &mut Tracker, tracks: &mut HashMap<TrackId, Followed>, old: TrackId, new: TrackId) -> TrackId {
    tracker.split(old, new);
    tracks.remove(&old);
    tracks.insert(new, Followed::default());
    new
}

struct StopWatch {
    clock: Arc<dyn Clock>,
    since: Monotonic,
}

impl StopWatch {
    fn start(clock: Arc<dyn Clock>) -> Self {
        let since = clock.monotonic();
        Self { clock, since }
    }

    fn lap(&mut self, stage: Stage) -> (Stage, Duration) {
        let now = self.clock.monotonic();
        let took = now - self.since;
        self.since = now;
        (stage, took)
    }
}
