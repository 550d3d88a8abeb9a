//! What is known of one face while it is followed: its shots, its ranking, its decision.
//!
//! Following it by place is `crate::track`'s; the rules of the decision are `crate::gallery`'s.

use super::PipelineConfig;
use crate::clock::Monotonic;
use crate::customer::Decision;
use crate::face::{Embedding, QualityReason, Similarity, ThresholdTable, fuse};
use crate::gallery::{DecisionConfig, Gallery, Ranked, Shot, Standing, conclude};

/// What is known of one live track. Its shots live in memory as long as the face is followed.
#[derive(Default)]
pub(super) struct Followed {
    /// Best first.
    pub shots: Vec<Shot>,
    attempts: usize,
    last_shot_at: Option<Monotonic>,
    pub last_reason: Option<QualityReason>,
    /// Whom the shots resemble; kept as long as shots and gallery are the same.
    pub ranked: Option<Ranked>,
    /// What was settled between this face and the others of its camera.
    pub standing: Standing,
    /// What the ranking led to in the camera's last frame; reported once enough of them agree that it is final or final enough.
    pub decision: Option<Decision>,
    /// Since when the face may have been exchanged for another.
    pub doubtful_since: Option<Monotonic>,
}

impl Followed {
    /// Whether this track may cost another look: it is undecided, or its face may have been exchanged.
    pub fn wants_shot(&self, now: Monotonic, config: &PipelineConfig) -> bool {
        let rested = self.last_shot_at.is_none_or(|last| now.since(last) >= config.shot_spacing);
        let matched = matches!(self.decision, Some(Decision::Match(_)));
        rested && (self.doubtful_since.is_some() || !matched)
    }

    /// Whether a shot of this quality can change anything.
    pub fn is_worth(&self, quality: f32, config: &PipelineConfig) -> bool {
        let (best, worst) =
            (self.shots.first().map_or(0.0, |s| s.quality), self.shots.last().map_or(0.0, |s| s.quality));
        if self.doubtful_since.is_some() || self.shots.len() < config.shots {
            return true;
        }
        // Somebody who came closer or turned to the camera after the attempts were spent deserves a new look.
        if self.attempts < config.attempts { quality > worst } else { quality > best * 1.25 }
    }

    /// Whether a shot of a doubtful track is of another face than the shots before.
    pub fn is_exchanged(&self, shot: &Embedding, same_face: Similarity) -> bool {
        let before = fuse(self.shots.iter().map(|s| &s.embedding));
        self.doubtful_since.is_some() && before.is_some_and(|b| b.similarity(shot) < same_face)
    }

    pub fn add(&mut self, shot: Shot, now: Monotonic, keep: usize) {
        let place = self.shots.partition_point(|s| s.quality >= shot.quality);
        self.shots.insert(place, shot);
        self.shots.truncate(keep.max(1));
        self.attempts += 1;
        self.last_shot_at = Some(now);
        self.doubtful_since = None;
        // Who bears a name keeps the looks that gave it; what comes later only says whether it is still the same face.
        if !matches!(self.decision, Some(Decision::Match(_))) {
            (self.decision, self.ranked) = (None, None);
        }
    }

    /// Searches the gallery for the shots, unless that was done already. Without a ranking there is no decision.
    pub fn rank(&mut self, gallery: &Gallery, table: &ThresholdTable, config: &DecisionConfig) {
        if self.ranked.is_none() {
            self.ranked = conclude(gallery, &self.shots, table, config);
        }
        if self.ranked.is_none() {
            self.decision = None;
        }
    }

    /// The decision as others see it. A match counts at once, and is not said of a face that may be another
    /// one until it was looked at; "maybe" and "no match" only when enough shots were collected that the next
    /// one will hardly change them, so that a screen does not flicker.
    pub fn reported(&self, config: &PipelineConfig) -> Decision {
        match &self.decision {
            Some(_) if self.doubtful_since.is_some() => Decision::Undecided(self.last_reason),
            Some(decision @ Decision::Match(_)) => decision.clone(),
            Some(decision) if self.shots.len() >= config.shots => decision.clone(),
            _ => Decision::Undecided(self.last_reason),
        }
    }
}
