//! One evaluation: enrol a folder, search another, count.
//!
//! Terms as in ISO/IEC 19795-1 and NIST FRTE: FPIR over non-mated searches, FNIR over mated ones.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::{EvalError, Identity, Progress, acquire};
use crate::customer::CustomerId;
use crate::face::{Embedding, Probe, Similarity};
use crate::gallery::Gallery;
use crate::vision::Vision;

/// The false-positive rates that are reported.
const TARGETS: [f64; 2] = [0.01, 0.001];

/// What came out, for people and programs.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    pub pack: String,
    /// Customers in the gallery.
    pub gallery: usize,
    /// Searches of people who are enrolled (or should be: a failure to enrol is in here too).
    pub mated: usize,
    pub non_mated: usize,
    /// Identities without a single usable picture.
    pub failure_to_enrol: usize,
    /// Searches without a single usable picture; a mated one counts as a miss everywhere below.
    pub failure_to_acquire: usize,
    /// Pictures that did not fill a visit and were not searched.
    pub left_over: usize,
    /// Share of mated searches whose best candidate is the mate, at any similarity.
    pub rank1: f64,
    pub points: Vec<OperatingPoint>,
    /// The whole trade-off, from strict to lax: (FPIR, FNIR).
    pub det: Vec<(f64, f64)>,
}

/// The strictness at which a target FPIR is kept, and what it costs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OperatingPoint {
    pub fpir: f64,
    /// The lowest similarity at which no larger share of non-mated searches returns anyone.
    pub threshold: f32,
    /// Share of mated searches whose mate is not the best candidate at or above the threshold.
    pub fnir: f64,
}

/// One search's outcome. No similarity where nothing usable was acquired.
#[derive(Default)]
struct Outcomes {
    /// Similarity of the mate where it came first.
    mated: Vec<Option<Similarity>>,
    /// Similarity of the best candidate.
    non_mated: Vec<Option<Similarity>>,
    failure_to_acquire: usize,
    left_over: usize,
}

/// Enrols every picture of `enrol` as a template of its identity, then searches `probe`, `per_visit`
/// pictures in name order to a visit. Pictures that are too few to fill a visit are not searched: a
/// shorter visit would be another measurement.
pub fn evaluate(
    vision: &mut dyn Vision,
    enrol: &[Identity],
    probe: &[Identity],
    per_visit: usize,
    progress: Progress<'_>,
) -> Result<Evaluation, EvalError> {
    let per_visit = per_visit.max(1);
    let searched = |i: &Identity| i.pictures.len() / per_visit * per_visit;
    let total = enrol.iter().map(|i| i.pictures.len()).sum::<usize>() + probe.iter().map(searched).sum::<usize>();
    let mut done = 0;
    let mut tick = || {
        done += 1;
        progress(done, total);
    };

    let mut templates: HashMap<&str, Vec<Embedding>> = HashMap::new();
    for identity in enrol {
        let kept = templates.entry(&identity.name).or_default();
        for picture in &identity.pictures {
            kept.extend(acquire(vision, picture)?);
            tick();
        }
    }
    let ids: HashMap<&str, CustomerId> =
        enrol.iter().zip(1..).map(|(i, n)| (i.name.as_str(), CustomerId(Uuid::from_u128(n)))).collect();
    let failure_to_enrol = templates.values().filter(|kept| kept.is_empty()).count();
    let customers = templates.into_iter().map(|(name, kept)| (ids[name], kept));
    let gallery = Gallery::build(vision.pack().dimension, customers);

    let mut outcomes = Outcomes::default();
    for identity in probe {
        let visits = identity.pictures.chunks_exact(per_visit);
        outcomes.left_over += visits.remainder().len();
        for visit in visits {
            let mut shots = Vec::with_capacity(per_visit);
            for picture in visit {
                shots.extend(acquire(vision, picture)?);
                tick();
            }
            outcomes.add(&gallery, &shots, ids.get(identity.name.as_str()).copied());
        }
    }
    let (mated, non_mated) = (outcomes.mated.len(), outcomes.non_mated.len());
    if mated == 0 || non_mated == 0 {
        return Err(EvalError::NotEnough(format!(
            "there are {mated} mated and {non_mated} non-mated visits of {per_visit} pictures, and both are needed; \
             put identities of the enrolled and of others into the probe folder, each with at least {per_visit} pictures"
        )));
    }
    Ok(outcomes.count(vision.pack().name.clone(), gallery.len(), failure_to_enrol))
}

impl Outcomes {
    fn add(&mut self, gallery: &Gallery, shots: &[Embedding], mate: Option<CustomerId>) {
        let probe = Probe::from_shots(shots.iter());
        self.failure_to_acquire += usize::from(probe.is_none());
        let best = probe.and_then(|p| gallery.search(&p.embedding, 1).into_iter().next());
        match mate {
            Some(mate) => self.mated.push(best.filter(|b| b.customer == mate).map(|b| b.similarity)),
            None => self.non_mated.push(best.map(|b| b.similarity)),
        }
    }

    fn count(mut self, pack: String, gallery: usize, failure_to_enrol: usize) -> Evaluation {
        let strictest = |list: &mut Vec<Option<Similarity>>| list.sort_by(|a, b| value(*b).total_cmp(&value(*a)));
        strictest(&mut self.mated);
        strictest(&mut self.non_mated);
        let points = TARGETS.map(|fpir| {
            let threshold = threshold_at(&self.non_mated, fpir);
            OperatingPoint { fpir, threshold, fnir: 1.0 - share_at_or_above(&self.mated, threshold) }
        });
        let mut seen = HashSet::new();
        let levels = self.non_mated.iter().chain(&self.mated).filter_map(|s| *s).filter(|s| seen.insert(s.0.to_bits()));
        let mut levels: Vec<f32> = levels.map(|s| s.0).collect();
        levels.sort_by(|a, b| b.total_cmp(a));
        let det = levels
            .iter()
            .map(|t| (share_at_or_above(&self.non_mated, *t), 1.0 - share_at_or_above(&self.mated, *t)))
            .collect();
        Evaluation {
            pack,
            gallery,
            mated: self.mated.len(),
            non_mated: self.non_mated.len(),
            failure_to_enrol,
            failure_to_acquire: self.failure_to_acquire,
            left_over: self.left_over,
            rank1: share_at_or_above(&self.mated, -1.0),
            points: points.to_vec(),
            det,
        }
    }
}

fn value(similarity: Option<Similarity>) -> f32 {
    similarity.map_or(f32::NEG_INFINITY, |s| s.0)
}

/// Share of the (strictest first) outcomes at or above `threshold`; empty lists have none.
fn share_at_or_above(sorted: &[Option<Similarity>], threshold: f32) -> f64 {
    sorted.partition_point(|s| value(*s) >= threshold) as f64 / sorted.len().max(1) as f64
}

/// The lowest threshold that at most `fpir` of the (strictest first) searches reach; -1 when even the
/// laxest keeps the target.
fn threshold_at(sorted: &[Option<Similarity>], fpir: f64) -> f32 {
    let allowed = (fpir * sorted.len() as f64).floor() as usize;
    match sorted.get(allowed).copied().flatten() {
        Some(first_refused) => first_refused.0.next_up().max(-1.0),
        None => -1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(values: &[f32]) -> Vec<Option<Similarity>> {
        values.iter().map(|v| Some(Similarity(*v))).collect()
    }

    #[test]
    fn the_threshold_keeps_the_target_and_not_a_hair_more() {
        let strangers = some(&[0.9, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0, -0.1, -0.2]);
        let threshold = threshold_at(&strangers, 0.1);
        assert_eq!(share_at_or_above(&strangers, threshold), 0.1);
        assert_eq!(share_at_or_above(&strangers, 0.6), 0.2, "one hair lower would let a second through");
        assert!(threshold > 0.6 && threshold < 0.6001);
        assert!(threshold_at(&strangers, 0.01) > 0.9, "a target finer than the data allows nobody");
    }

    #[test]
    fn a_failure_to_acquire_is_a_miss_and_a_wrong_best_candidate_too() {
        let outcomes = Outcomes {
            mated: vec![Some(Similarity(0.8)), None, None],
            non_mated: some(&[0.1; 100]),
            ..Default::default()
        };
        let evaluation = outcomes.count("pack".to_owned(), 3, 0);
        assert!((evaluation.rank1 - 1.0 / 3.0).abs() < 1e-9);
        assert!((evaluation.points[0].fnir - 2.0 / 3.0).abs() < 1e-9);
    }
}
