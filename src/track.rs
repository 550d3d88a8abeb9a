//! Following faces from frame to frame of one camera, by place and size alone.
//!
//! Whose face it is plays no part here; but where two faces could have been mistaken for one another, the
//! track says so, and `crate::pipeline` looks again before it trusts a name.

use std::time::Duration;

use crate::clock::Monotonic;
use crate::customer::TrackId;
use crate::face::{BoundingBox, Detection};

/// The tracker's limits.
#[derive(Clone, Debug, PartialEq)]
pub struct TrackConfig {
    /// Boxes of one face in consecutive frames overlap by at least this intersection over union.
    pub min_iou: f32,
    /// A face unseen for longer is a new one when it comes back.
    pub max_gap: Duration,
    /// A face unseen for longer than this is looked at again before its name is trusted, and so is one that a
    /// frame in between did not show: somebody else may have stepped into its place.
    pub trusted_gap: Duration,
    /// Boxes that overlap less than this are the same face only if another look says so.
    pub trusted_iou: f32,
}

impl Default for TrackConfig {
    fn default() -> Self {
        Self {
            min_iou: 0.25,
            max_gap: Duration::from_millis(800),
            trusted_gap: Duration::from_millis(350),
            trusted_iou: 0.4,
        }
    }
}

/// How sure it is that a track's new detection is the same face as before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Continuity {
    New,
    Continued,
    /// Another face was near, it jumped, or it was out of sight for a while.
    Doubtful,
}

/// A detection of this frame with the track it continues.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tracked {
    pub track: TrackId,
    /// Index into the frame's detections.
    pub detection: usize,
    pub continuity: Continuity,
}

struct Track {
    id: TrackId,
    bounds: BoundingBox,
    /// Movement of the centre in pixels a second.
    velocity: (f32, f32),
    seen_at: Monotonic,
    /// A frame since then did not show it.
    missed: bool,
}

/// The live tracks of one camera.
pub struct Tracker {
    config: TrackConfig,
    tracks: Vec<Track>,
}

impl Tracker {
    pub fn new(config: TrackConfig) -> Self {
        Self { config, tracks: Vec::new() }
    }

    /// Matches the frame's detections to tracks, best overlap first; every detection gets a track, new ones
    /// from `mint`. Tracks unseen for too long end here.
    pub fn update(
        &mut self,
        now: Monotonic,
        detections: &[Detection],
        mint: &mut dyn FnMut() -> TrackId,
    ) -> Vec<Tracked> {
        self.tracks.retain(|track| now.since(track.seen_at) <= self.config.max_gap);
        let predicted: Vec<BoundingBox> = self.tracks.iter().map(|track| track.predict(now)).collect();
        let mut pairs = Vec::new();
        for (t, expected) in predicted.iter().enumerate() {
            for (d, detection) in detections.iter().enumerate() {
                // Prediction may overshoot when somebody stops; where they last stood counts as well.
                let iou = expected.iou(&detection.bounds).max(self.tracks[t].bounds.iou(&detection.bounds));
                if iou >= self.config.min_iou {
                    pairs.push((iou, t, d));
                }
            }
        }
        pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut owner: Vec<Option<(usize, f32)>> = vec![None; detections.len()];
        let mut used = vec![false; self.tracks.len()];
        for &(iou, t, d) in &pairs {
            if owner[d].is_none() && !used[t] {
                owner[d] = Some((t, iou));
                used[t] = true;
            }
        }
        let rivals = |t: usize, d: usize| pairs.iter().filter(|(_, pt, pd)| (*pt == t) != (*pd == d)).count();
        let mut result = Vec::with_capacity(detections.len());
        for (d, detection) in detections.iter().enumerate() {
            let tracked = match owner[d] {
                Some((t, iou)) => {
                    let doubtful = rivals(t, d) > 0
                        || self.tracks[t].missed
                        || iou < self.config.trusted_iou
                        || now.since(self.tracks[t].seen_at) > self.config.trusted_gap
                        || changed_size(&self.tracks[t].bounds, &detection.bounds);
                    self.tracks[t].follow(now, detection.bounds);
                    let continuity = if doubtful { Continuity::Doubtful } else { Continuity::Continued };
                    Tracked { track: self.tracks[t].id, detection: d, continuity }
                }
                None => {
                    let id = mint();
                    let bounds = detection.bounds;
                    self.tracks.push(Track { id, bounds, velocity: (0.0, 0.0), seen_at: now, missed: false });
                    Tracked { track: id, detection: d, continuity: Continuity::New }
                }
            };
            result.push(tracked);
        }
        self.tracks.iter_mut().for_each(|track| track.missed = track.seen_at < now);
        result
    }

    /// Ends tracks while no frame comes. A frame may wait while others are looked at, so silence is waited for twice as
    /// long as a frame that comes and does not show the face.
    pub fn pass(&mut self, now: Monotonic) {
        self.tracks.retain(|track| now.since(track.seen_at) <= 2 * self.config.max_gap);
    }

    /// Gives the face that `old` follows a new identity: it turned out to be somebody else.
    pub fn split(&mut self, old: TrackId, new: TrackId) {
        self.tracks.iter_mut().filter(|t| t.id == old).for_each(|t| t.id = new);
    }

    /// The tracks that have not ended.
    pub fn live(&self) -> impl Iterator<Item = TrackId> + '_ {
        self.tracks.iter().map(|track| track.id)
    }
}

impl Track {
    fn predict(&self, now: Monotonic) -> BoundingBox {
        let seconds = now.since(self.seen_at).as_secs_f32();
        let (dx, dy) = (self.velocity.0 * seconds, self.velocity.1 * seconds);
        let b = self.bounds;
        BoundingBox { x1: b.x1 + dx, y1: b.y1 + dy, x2: b.x2 + dx, y2: b.y2 + dy }
    }

    fn follow(&mut self, now: Monotonic, bounds: BoundingBox) {
        let seconds = now.since(self.seen_at).as_secs_f32();
        if seconds > 0.0 {
            let (from, to) = (self.bounds.centre(), bounds.centre());
            let fresh = ((to.x - from.x) / seconds, (to.y - from.y) / seconds);
            // Half old, half new: detections jitter by a pixel or two.
            self.velocity = ((self.velocity.0 + fresh.0) / 2.0, (self.velocity.1 + fresh.1) / 2.0);
        }
        self.bounds = bounds;
        self.seen_at = now;
    }
}

/// A face does not grow or shrink by half between two frames; another face in its place may.
fn changed_size(before: &BoundingBox, after: &BoundingBox) -> bool {
    let ratio = after.area() / before.area().max(1.0);
    !(0.45..=2.2).contains(&ratio)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::face::Landmarks;

    fn face(x: f32, y: f32, side: f32) -> Detection {
        let bounds = BoundingBox { x1: x, y1: y, x2: x + side, y2: y + side };
        Detection { bounds, landmarks: Landmarks::default(), confidence: 0.9 }
    }

    struct Camera {
        tracker: Tracker,
        minted: u64,
    }

    impl Camera {
        fn new() -> Self {
            Self { tracker: Tracker::new(TrackConfig::default()), minted: 0 }
        }

        fn see(&mut self, ms: u64, detections: &[Detection]) -> Vec<(u64, Continuity)> {
            let minted = &mut self.minted;
            let mut mint = || {
                *minted += 1;
                TrackId(*minted)
            };
            let tracked = self.tracker.update(Monotonic::from_millis(ms), detections, &mut mint);
            tracked.iter().map(|t| (t.track.0, t.continuity)).collect()
        }
    }

    #[test]
    fn a_walking_face_keeps_its_track() {
        let mut camera = Camera::new();
        assert_eq!(camera.see(0, &[face(0.0, 0.0, 100.0)]), [(1, Continuity::New)]);
        for step in 1..20u32 {
            let seen = camera.see(u64::from(step) * 66, &[face(step as f32 * 20.0, 0.0, 100.0)]);
            assert_eq!(seen, [(1, Continuity::Continued)], "step {step}");
        }
    }

    #[test]
    fn two_faces_apart_keep_their_tracks_whatever_the_order_of_detections() {
        let mut camera = Camera::new();
        camera.see(0, &[face(0.0, 0.0, 80.0), face(300.0, 0.0, 80.0)]);
        let seen = camera.see(66, &[face(302.0, 0.0, 80.0), face(2.0, 0.0, 80.0)]);
        assert_eq!(seen, [(2, Continuity::Continued), (1, Continuity::Continued)]);
    }

    #[test]
    fn faces_that_cross_are_doubtful() {
        let mut camera = Camera::new();
        camera.see(0, &[face(0.0, 0.0, 100.0), face(50.0, 0.0, 100.0)]);
        let seen = camera.see(66, &[face(20.0, 0.0, 100.0), face(30.0, 0.0, 100.0)]);
        assert!(seen.iter().all(|(_, continuity)| *continuity == Continuity::Doubtful), "{seen:?}");
    }

    #[test]
    fn a_face_back_after_a_short_absence_is_doubtful_and_after_a_long_one_new() {
        let mut camera = Camera::new();
        camera.see(0, &[face(0.0, 0.0, 100.0)]);
        camera.see(100, &[]);
        assert_eq!(camera.see(600, &[face(0.0, 0.0, 100.0)]), [(1, Continuity::Doubtful)]);
        assert_eq!(camera.see(2_000, &[face(0.0, 0.0, 100.0)]), [(2, Continuity::New)]);
    }

    #[test]
    fn a_face_that_one_frame_did_not_show_is_doubtful_once() {
        let mut camera = Camera::new();
        camera.see(0, &[face(0.0, 0.0, 100.0)]);
        camera.see(66, &[]);
        assert_eq!(camera.see(133, &[face(0.0, 0.0, 100.0)]), [(1, Continuity::Doubtful)]);
        assert_eq!(camera.see(200, &[face(0.0, 0.0, 100.0)]), [(1, Continuity::Continued)]);
    }

    #[test]
    fn a_face_that_jumps_is_doubtful() {
        let mut camera = Camera::new();
        camera.see(0, &[face(0.0, 0.0, 100.0)]);
        assert_eq!(camera.see(66, &[face(50.0, 0.0, 100.0)]), [(1, Continuity::Doubtful)]);
    }

    #[test]
    fn a_face_of_another_size_in_the_same_place_is_doubtful() {
        let mut camera = Camera::new();
        camera.see(0, &[face(0.0, 0.0, 100.0)]);
        assert_eq!(camera.see(66, &[face(20.0, 20.0, 60.0)]), [(1, Continuity::Doubtful)]);
    }
}
