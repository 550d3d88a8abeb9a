//! The acceptance point as a function of what is asked: target FPIR, gallery size, templates, shots.
//!
//! The numbers come from a pack's manifest, made by `snova eval --calibrate`; none is chosen here.

use super::Similarity;

/// One calibrated point. `templates` and `shots` are counts of fused images on each side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ThresholdRow {
    pub fpir: f64,
    pub gallery: usize,
    pub templates: usize,
    pub shots: usize,
    pub threshold: f32,
}

/// A pack's calibrated points and the evaluation that made them.
#[derive(Clone, Debug, PartialEq)]
pub struct ThresholdTable {
    rows: Vec<ThresholdRow>,
    pub evaluation: String,
}

/// Why a table cannot be used.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum ThresholdError {
    #[error("the threshold table is empty; run `snova eval --calibrate` and put its rows into the pack")]
    Empty,
    #[error("threshold row {row}: {what}")]
    BadRow { row: usize, what: &'static str },
}

impl ThresholdTable {
    /// Checks and keeps the rows: at least one, each with FPIR in (0, 1), counts of at least 1 and a
    /// threshold in [-1, 1].
    pub fn new(rows: Vec<ThresholdRow>, evaluation: String) -> Result<Self, ThresholdError> {
        if rows.is_empty() {
            return Err(ThresholdError::Empty);
        }
        for (row, r) in rows.iter().enumerate() {
            let bad = |what| Err(ThresholdError::BadRow { row, what });
            if !(r.fpir > 0.0 && r.fpir < 1.0) {
                return bad("fpir must lie between 0 and 1");
            }
            if r.gallery == 0 || r.templates == 0 || r.shots == 0 {
                return bad("gallery, templates and shots must be at least 1");
            }
            if !(-1.0..=1.0).contains(&r.threshold) {
                return bad("threshold must lie in [-1, 1]");
            }
        }
        Ok(Self { rows, evaluation })
    }

    /// The table of a pack that nobody has evaluated yet: it names nobody, whatever the similarity.
    pub fn uncalibrated() -> Self {
        Self { rows: Vec::new(), evaluation: String::new() }
    }

    /// Whether an evaluation stands behind this table.
    pub fn is_calibrated(&self) -> bool {
        !self.rows.is_empty()
    }

    pub fn rows(&self) -> &[ThresholdRow] {
        &self.rows
    }

    /// The similarity at which a search of `gallery` customers may name somebody.
    ///
    /// Between calibrated sizes the threshold is linear in the logarithm of the gallery size (each
    /// doubling asks the same step more of the best impostor), and beyond the largest size it goes on
    /// with the last slope. A smaller gallery than calibrated uses the smallest. FPIR is interpolated
    /// likewise and never extrapolated to a laxer value. Counts take the nearest calibrated count at or
    /// below what is there.
    pub fn threshold(&self, fpir: f64, gallery: usize, templates: usize, shots: usize) -> Similarity {
        if !self.is_calibrated() {
            return Similarity(f32::INFINITY);
        }
        let templates = nearest_at_or_below(self.rows.iter().map(|r| r.templates), templates);
        let of_templates = || self.rows.iter().filter(move |r| r.templates == templates);
        let shots = nearest_at_or_below(of_templates().map(|r| r.shots), shots);
        let rows: Vec<&ThresholdRow> = of_templates().filter(|r| r.shots == shots).collect();

        let mut rates: Vec<f64> = rows.iter().map(|r| r.fpir).collect();
        rates.sort_by(f64::total_cmp);
        rates.dedup();
        let by_rate: Vec<(f64, f64)> =
            rates.iter().map(|&rate| (rate.ln(), by_gallery_size(&rows, rate, gallery))).collect();
        let wanted = fpir.ln().min(by_rate.last().map_or(0.0, |r| r.0));
        Similarity(on_line(&by_rate, wanted).clamp(-1.0, 1.0) as f32)
    }
}

fn by_gallery_size(rows: &[&ThresholdRow], fpir: f64, gallery: usize) -> f64 {
    let mut points: Vec<(f64, f64)> =
        rows.iter().filter(|r| r.fpir == fpir).map(|r| ((r.gallery as f64).ln(), f64::from(r.threshold))).collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    let smallest = points.first().map_or(0.0, |p| p.0);
    on_line(&points, (gallery.max(1) as f64).ln().max(smallest))
}

/// Piecewise linear through sorted `points`; outside, the end's slope goes on.
fn on_line(points: &[(f64, f64)], at: f64) -> f64 {
    let Some(last) = points.len().checked_sub(1) else { return 1.0 };
    if last == 0 {
        return points[0].1;
    }
    let right = points.iter().position(|p| p.0 >= at).unwrap_or(last).max(1);
    let (a, b) = (points[right - 1], points[right]);
    a.1 + (b.1 - a.1) * (at - a.0) / (b.0 - a.0)
}

fn nearest_at_or_below(counts: impl Iterator<Item = usize> + Clone, wanted: usize) -> usize {
    let below = counts.clone().filter(|c| *c <= wanted).max();
    below.or_else(|| counts.min()).unwrap_or(1)
}
