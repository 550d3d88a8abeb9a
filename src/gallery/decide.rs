//! The rules by which candidates become a decision. A wrong name is worse than no name.
//!
//! Nothing is measured here: similarities come from `gallery::index`, thresholds from the pack's table. Which of
//! several faces gets a name is `gallery::settle`'s.

use super::Gallery;
use crate::customer::{Candidate, CustomerId, Decision};
use crate::face::{Embedding, Probe, Similarity, ThresholdTable};

/// The rules' numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct DecisionConfig {
    /// Share of strangers' searches that may name somebody, in (0, 1).
    pub fpir: f64,
    /// The same for a suggestion that a person must confirm; at least `fpir`.
    pub maybe_fpir: f64,
    /// How far the best candidate must stand above the second, as a difference of similarities.
    pub margin: f32,
    /// Shots that a decision needs.
    pub min_shots: usize,
    /// Share of single shots that must have the same best candidate, in (0, 1].
    pub agreement: f64,
    /// How far another face must stand above the one that bears a name to take it over, as a difference of
    /// similarities. By default the same as `margin` and for its reason: a smaller difference between two
    /// similarities does not tell who is who, and of two alike the better one would change from look to look.
    pub takeover: f32,
}

impl Default for DecisionConfig {
    fn default() -> Self {
        Self { fpir: 0.001, maybe_fpir: 0.01, margin: 0.05, min_shots: 3, agreement: 0.6, takeover: 0.05 }
    }
}

/// One accepted image of a track: its embedding and its quality score in [0, 1].
#[derive(Clone, Debug)]
pub struct Shot {
    pub embedding: Embedding,
    pub quality: f32,
}

/// A track's best candidates with the acceptance points that hold for the best of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranked {
    pub candidates: Vec<Candidate>,
    pub match_at: Similarity,
    pub maybe_at: Similarity,
    /// Whether enough single shots agree with the fused probe on the best candidate.
    pub agreed: bool,
}

/// Candidates that are kept for the cashier to choose from.
const SUGGESTIONS: usize = 3;

/// Searches the fused shots. `None` while there are fewer than the rules need, or nobody is enrolled.
pub fn conclude(gallery: &Gallery, shots: &[Shot], table: &ThresholdTable, config: &DecisionConfig) -> Option<Ranked> {
    if shots.len() < config.min_shots.max(1) {
        return None;
    }
    let probe = Probe::from_shots(shots.iter().map(|shot| &shot.embedding))?;
    let candidates = gallery.search(&probe.embedding, SUGGESTIONS + 1);
    let best = candidates.first()?;
    let at = |fpir| threshold(table, gallery, best.customer, probe.shots, fpir);
    let (match_at, maybe_at) = (at(config.fpir), at(config.maybe_fpir));
    // The agreement of single shots is looked up only where it can matter.
    let agreed = best.similarity >= maybe_at && agrees(gallery, shots, best.customer, config.agreement);
    Some(Ranked { candidates, match_at, maybe_at, agreed })
}

/// The acceptance point for `customer`. Shots of one track resemble one another more than the calibrated
/// photographs of different days, so the strictest of the thresholds for 1 to `shots` shots is taken.
fn threshold(table: &ThresholdTable, gallery: &Gallery, customer: CustomerId, shots: usize, fpir: f64) -> Similarity {
    let templates = gallery.templates(customer);
    (1..=shots.max(1))
        .map(|n| table.threshold(fpir, gallery.len(), templates, n))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .unwrap_or(Similarity(f32::INFINITY))
}

fn agrees(gallery: &Gallery, shots: &[Shot], customer: CustomerId, share: f64) -> bool {
    let best = |shot: &&Shot| gallery.search(&shot.embedding, 1).first().is_some_and(|c| c.customer == customer);
    shots.iter().filter(best).count() as f64 >= share * shots.len() as f64
}

/// What a ranking leads to, where the customers in `taken` are already given to other faces.
pub(super) fn decide(ranked: &Ranked, taken: &[CustomerId], config: &DecisionConfig) -> Decision {
    let Some(best) = ranked.candidates.first() else { return Decision::NoMatch };
    if best.similarity < ranked.maybe_at || taken.contains(&best.customer) {
        // Somebody else in the frame resembles this customer more. The next candidate of a face that
        // resembled another one best is no basis for a name.
        return Decision::NoMatch;
    }
    let second = ranked.candidates.get(1).map_or(-1.0, |c| c.similarity.0);
    let clear = best.similarity.0 - second >= config.margin;
    if best.similarity >= ranked.match_at && clear && ranked.agreed {
        return Decision::Match(*best);
    }
    let plausible = ranked.candidates.iter().filter(|c| c.similarity >= ranked.maybe_at);
    Decision::Maybe(plausible.filter(|c| !taken.contains(&c.customer)).take(SUGGESTIONS).copied().collect())
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::face::ThresholdRow;

    fn id(n: u128) -> CustomerId {
        CustomerId(Uuid::from_u128(n))
    }

    fn ranked(candidates: &[(u128, f32)]) -> Ranked {
        let candidates =
            candidates.iter().map(|(n, s)| Candidate { customer: id(*n), similarity: Similarity(*s) }).collect();
        Ranked { candidates, match_at: Similarity(0.5), maybe_at: Similarity(0.4), agreed: true }
    }

    fn decided(ranked: &Ranked) -> Decision {
        decide(ranked, &[], &DecisionConfig::default())
    }

    fn matched(decision: &Decision) -> Option<CustomerId> {
        match decision {
            Decision::Match(candidate) => Some(candidate.customer),
            _ => None,
        }
    }

    #[test]
    fn a_clear_candidate_above_the_threshold_is_a_match() {
        assert_eq!(matched(&decided(&ranked(&[(1, 0.7), (2, 0.2)]))), Some(id(1)));
    }

    #[test]
    fn a_runner_up_too_close_makes_it_a_question() {
        let decision = decided(&ranked(&[(1, 0.7), (2, 0.68)]));
        assert!(matches!(decision, Decision::Maybe(c) if c.len() == 2));
    }

    #[test]
    fn shots_that_disagree_make_it_a_question() {
        let torn = Ranked { agreed: false, ..ranked(&[(1, 0.7)]) };
        assert!(matches!(decided(&torn), Decision::Maybe(_)));
    }

    #[test]
    fn between_the_thresholds_it_is_a_question_and_below_nothing() {
        assert!(matches!(decided(&ranked(&[(1, 0.45)])), Decision::Maybe(_)));
        assert_eq!([&[(2, 0.39)][..], &[]].map(|r| decided(&ranked(r))), [Decision::NoMatch, Decision::NoMatch]);
    }

    #[test]
    fn fewer_shots_than_the_rules_need_conclude_nothing() {
        let row = ThresholdRow { fpir: 0.001, gallery: 10, templates: 1, shots: 1, threshold: 0.5 };
        let table = ThresholdTable::new(vec![row], "test".to_owned()).expect("valid");
        let face = Embedding::from_raw(vec![1.0, 0.0]).expect("not zero");
        let gallery = Gallery::build(2, [(id(1), vec![face.clone()])]);
        let shot = Shot { embedding: face, quality: 1.0 };
        let config = DecisionConfig::default();
        let conclude_with = |n| conclude(&gallery, &vec![shot.clone(); n], &table, &config);
        assert!(conclude_with(2).is_none());
        assert!(conclude_with(3).is_some_and(|r| r.agreed));
    }
}
