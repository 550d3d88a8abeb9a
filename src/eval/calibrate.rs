//! A pack's threshold table from a folder of labelled photographs.
//!
//! Every other identity calibrates, the rest check what the table then does: no threshold is judged by
//! the faces that chose it.

use super::{EvalError, Identity, Progress, acquire};
use crate::face::{Embedding, ThresholdRow, fuse};
use crate::vision::Vision;

const FPIRS: [f64; 2] = [0.01, 0.001];
/// Gallery sizes that a few thousand faces resolve; beyond, the table goes on with its last slope.
const GALLERIES: [usize; 3] = [10, 30, 100];
const TEMPLATES: [usize; 3] = [1, 2, 3];
const SHOTS: [usize; 3] = [1, 2, 3];
/// Fewer identities than this on either side give no row.
const LEAST: usize = 50;

/// A row with what it did on the identities that had no part in choosing it.
#[derive(Clone, Debug, PartialEq)]
pub struct CalibratedRow {
    pub row: ThresholdRow,
    /// FPIR and FNIR on the other half.
    pub checked_fpir: f64,
    pub checked_fnir: f64,
}

/// The rows, and how many identities stand behind them.
#[derive(Clone, Debug)]
pub struct Calibration {
    pub rows: Vec<CalibratedRow>,
    pub calibrating: usize,
    pub checking: usize,
}

/// Embeds every picture once, then finds for each gallery size and count of templates and shots the
/// threshold that keeps each FPIR.
pub fn calibrate(
    vision: &mut dyn Vision,
    faces: &[Identity],
    progress: Progress<'_>,
) -> Result<Calibration, EvalError> {
    let total = faces.iter().map(|i| i.pictures.len()).sum();
    let (mut done, mut embedded) = (0, Vec::with_capacity(faces.len()));
    for identity in faces {
        let mut kept = Vec::with_capacity(identity.pictures.len());
        for picture in &identity.pictures {
            kept.extend(acquire(vision, picture)?);
            done += 1;
            progress(done, total);
        }
        embedded.push(kept);
    }
    let (mut chosen, mut held_out) = (Vec::new(), Vec::new());
    for (n, identity) in embedded.into_iter().enumerate() {
        if n % 2 == 0 { chosen.push(identity) } else { held_out.push(identity) }
    }
    let mut rows = Vec::new();
    for templates in TEMPLATES {
        for shots in SHOTS {
            let (choosing, checking) = (Pairs::of(&chosen, templates, shots), Pairs::of(&held_out, templates, shots));
            if choosing.enrolled.len() < LEAST || checking.enrolled.len() < LEAST {
                continue;
            }
            for fpir in FPIRS {
                for gallery in GALLERIES {
                    let own = choosing.threshold(fpir, gallery);
                    let row = ThresholdRow { fpir, gallery, templates, shots, threshold: own };
                    let threshold = not_below_fewer(row, &rows);
                    rows.push(CalibratedRow {
                        row: ThresholdRow { threshold, ..row },
                        checked_fpir: checking.fpir(threshold, gallery),
                        checked_fnir: checking.fnir(threshold),
                    });
                }
            }
        }
    }
    if rows.is_empty() {
        return Err(EvalError::NotEnough(format!(
            "a calibration needs at least {} identities, more with several pictures each",
            2 * LEAST
        )));
    }
    Ok(Calibration { rows, calibrating: chosen.len(), checking: held_out.len() })
}

/// Fused images are alike in what all faces share, so thresholds rise a little with the counts. Where a row
/// falls below one of fewer images, its few faces did not resolve the tail, and the larger sample holds.
fn not_below_fewer(row: ThresholdRow, rows: &[CalibratedRow]) -> f32 {
    let fewer = rows.iter().map(|calibrated| calibrated.row).filter(|r| {
        r.fpir == row.fpir && r.gallery == row.gallery && r.templates <= row.templates && r.shots <= row.shots
    });
    fewer.map(|r| r.threshold).fold(row.threshold, f32::max)
}

/// All comparisons of probes with the fused templates of others, and with their own.
struct Pairs {
    enrolled: Vec<(usize, Embedding)>,
    /// For each probe: its similarities to everyone else's template, highest first.
    impostors: Vec<Vec<f32>>,
    /// Similarity of a probe to its own identity's template made of other pictures.
    genuine: Vec<f32>,
}

impl Pairs {
    fn of(faces: &[Vec<Embedding>], templates: usize, shots: usize) -> Self {
        let enrolled: Vec<(usize, Embedding)> =
            faces.iter().enumerate().filter_map(|(n, parts)| Some((n, fuse(parts.get(..templates)?)?))).collect();
        let (mut impostors, mut genuine) = (Vec::new(), Vec::new());
        for (n, parts) in faces.iter().enumerate() {
            for probe in parts.chunks_exact(shots).filter_map(fuse) {
                let others = enrolled.iter().filter(|(m, _)| *m != n);
                let mut similarities: Vec<f32> = others.map(|(_, t)| t.similarity(&probe).0).collect();
                similarities.sort_by(|a, b| b.total_cmp(a));
                impostors.push(similarities);
            }
            if let Some((_, own)) = enrolled.iter().find(|(m, _)| *m == n) {
                let later = parts.get(templates..).unwrap_or_default();
                genuine.extend(later.chunks_exact(shots).filter_map(fuse).map(|probe| own.similarity(&probe).0));
            }
        }
        Self { enrolled, impostors, genuine }
    }

    /// The expected FPIR in a gallery of `size` drawn from the enrolled: for each probe, the chance that
    /// at least one of `size` draws reaches the threshold. Averaged over probes and not pooled, since a
    /// few faces resemble many.
    fn fpir(&self, threshold: f32, size: usize) -> f64 {
        let chance = |similarities: &Vec<f32>| {
            let above = similarities.partition_point(|s| *s >= threshold) as f64;
            1.0 - (1.0 - above / similarities.len().max(1) as f64).powf(size as f64)
        };
        self.impostors.iter().map(chance).sum::<f64>() / self.impostors.len().max(1) as f64
    }

    fn fnir(&self, threshold: f32) -> f64 {
        self.genuine.iter().filter(|s| **s < threshold).count() as f64 / self.genuine.len().max(1) as f64
    }

    /// The lowest threshold, to a ten-thousandth, whose expected FPIR is at most `fpir`.
    fn threshold(&self, fpir: f64, size: usize) -> f32 {
        let (mut low, mut high) = (-10_000i32, 10_000i32);
        while low < high {
            let middle = (low + high).div_euclid(2);
            if self.fpir(middle as f32 / 10_000.0, size) <= fpir {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        high as f32 / 10_000.0
    }
}
