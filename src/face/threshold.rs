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
    /// with the last slope. A smaller gallery than calibrated uses the smallest. Between calibrated FPIRs, and
    /// below the smallest, it goes likewise with the logarithm of the FPIR; above the largest it is that of the
    /// largest. Counts take the nearest calibrated count at or below what is there.
    ///
    /// It is never laxer than what any smaller gallery or larger FPIR is asked, by whatever row, so that a
    /// table in which chance made a harder task look easier is not believed. A table of one FPIR says nothing of
    /// stricter ones: there, as for an FPIR that is no number above 0, nobody is named.
    pub fn threshold(&self, fpir: f64, gallery: usize, templates: usize, shots: usize) -> Similarity {
        const NOBODY: Similarity = Similarity(f32::INFINITY);
        if !self.is_calibrated() || fpir.is_nan() || fpir <= 0.0 {
            return NOBODY;
        }
        let templates = nearest_at_or_below(self.rows.iter().map(|r| r.templates), templates);
        let of_templates = || self.rows.iter().filter(move |r| r.templates == templates);
        let shots = nearest_at_or_below(of_templates().map(|r| r.shots), shots);
        let rows: Vec<&ThresholdRow> = of_templates().filter(|r| r.shots == shots).collect();

        let rates = sorted(rows.iter().map(|r| r.fpir.ln()));
        let sizes = sorted(rows.iter().map(|r| (r.gallery as f64).ln()));
        let (Some(&strictest), Some(&laxest)) = (rates.first(), rates.last()) else { return NOBODY };
        let rate = fpir.ln().min(laxest);
        if rates.len() == 1 && rate < strictest {
            return NOBODY;
        }
        let size = (gallery.max(1) as f64).ln().max(sizes.first().copied().unwrap_or(0.0));
        // Between two neighbouring rates and sizes the plane has no summit: the easier tasks' highest threshold is
        // at one of the corners.
        let easier_rates = || rates.iter().copied().filter(|r| *r > rate).chain([rate]);
        let easier_sizes = sizes.iter().copied().filter(|s| *s < size).chain([size]);
        let corners = easier_sizes.flat_map(|size| {
            let at_size: Vec<(f64, f64)> = rates.iter().map(|&rate| (rate, by_size(&rows, rate, size))).collect();
            easier_rates().map(move |rate| on_line(&at_size, rate)).collect::<Vec<f64>>()
        });
        Similarity(corners.fold(-1.0, f64::max).min(1.0) as f32)
    }
}

/// The threshold along one calibrated rate; of two rows for one size the stricter holds. Sizes and rates are logarithms.
fn by_size(rows: &[&ThresholdRow], rate: f64, size: f64) -> f64 {
    let mut points: Vec<(f64, f64)> = Vec::new();
    for row in rows.iter().filter(|r| r.fpir.ln() == rate) {
        let (at, threshold) = ((row.gallery as f64).ln(), f64::from(row.threshold));
        match points.iter_mut().find(|point| point.0 == at) {
            Some(point) => point.1 = point.1.max(threshold),
            None => points.push((at, threshold)),
        }
    }
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    on_line(&points, size.max(points.first().map_or(0.0, |p| p.0)))
}

/// Piecewise linear through sorted `points`, no two at one place; outside, the end's slope goes on.
fn on_line(points: &[(f64, f64)], at: f64) -> f64 {
    let Some(last) = points.len().checked_sub(1) else { return 1.0 };
    if last == 0 {
        return points[0].1;
    }
    let right = points.iter().position(|p| p.0 >= at).unwrap_or(last).max(1);
    let (a, b) = (points[right - 1], points[right]);
    a.1 + (b.1 - a.1) * (at - a.0) / (b.0 - a.0)
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut all: Vec<f64> = values.collect();
    all.sort_by(f64::total_cmp);
    all.dedup();
    all
}

fn nearest_at_or_below(counts: impl Iterator<Item = usize> + Clone, wanted: usize) -> usize {
    let below = counts.clone().filter(|c| *c <= wanted).max();
    below.or_else(|| counts.min()).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row(fpir: f64, gallery: usize, threshold: f32) -> ThresholdRow {
        ThresholdRow { fpir, gallery, templates: 1, shots: 1, threshold }
    }

    fn table(rows: &[ThresholdRow]) -> ThresholdTable {
        ThresholdTable::new(rows.to_vec(), "test".to_owned()).expect("the rows are valid")
    }

    fn at(table: &ThresholdTable, fpir: f64, gallery: usize) -> f32 {
        table.threshold(fpir, gallery, 1, 1).0
    }

    fn is_near(found: f32, expected: f32) -> bool {
        (found - expected).abs() < 1e-5
    }

    /// As the default pack's rows for one template and one shot.
    fn calibrated() -> ThresholdTable {
        let of = |fpir, thresholds: [f32; 3]| {
            [10, 100, 1000].into_iter().zip(thresholds).map(move |(gallery, t)| row(fpir, gallery, t))
        };
        table(&of(0.01, [0.45, 0.53, 0.60]).chain(of(0.001, [0.53, 0.60, 0.70])).collect::<Vec<_>>())
    }

    #[test]
    fn a_calibrated_point_is_its_row_and_between_two_it_is_linear_in_logarithms() {
        let table = calibrated();
        assert!(table.rows().iter().all(|r| is_near(at(&table, r.fpir, r.gallery), r.threshold)));
        assert!(is_near(at(&table, 0.01, 32), 0.45 + 0.08 * 32f32.log10() - 0.08));
        assert!(is_near(at(&table, 10f64.powf(-2.5), 100), 0.565));
    }

    #[test]
    fn beyond_what_was_calibrated_the_last_slope_goes_on() {
        let table = calibrated();
        assert!(is_near(at(&table, 0.01, 10_000), 0.67));
        assert!(is_near(at(&table, 0.0001, 100), 0.67));
        assert!(is_near(at(&table, 0.001, 3), 0.53), "a smaller gallery uses the smallest");
        assert!(is_near(at(&table, 0.2, 10), 0.45) && is_near(at(&table, f64::INFINITY, 10), 0.45));
        assert_eq!(at(&table, 1e-300, usize::MAX), 1.0);
    }

    #[test]
    fn an_fpir_that_cannot_be_met_or_is_none_names_nobody() {
        for fpir in [f64::NAN, 0.0, -0.0, -1.0, f64::NEG_INFINITY] {
            assert_eq!(at(&calibrated(), fpir, 100), f32::INFINITY, "{fpir}");
        }
        let of_one_rate = table(&[row(0.01, 10, 0.4), row(0.01, 100, 0.5)]);
        assert_eq!(at(&of_one_rate, 0.001, 10), f32::INFINITY);
        assert!(is_near(at(&of_one_rate, 0.01, 1_000), 0.6) && is_near(at(&of_one_rate, 0.5, 1), 0.4));
    }

    #[test]
    fn one_row_holds_for_every_gallery_and_of_two_for_one_point_the_stricter() {
        let single = table(&[row(0.01, 10, 0.4)]);
        assert!([0, 1, 10, 99_999].into_iter().all(|gallery| is_near(at(&single, 0.01, gallery), 0.4)));
        let double = table(&[row(0.01, 10, 0.5), row(0.01, 10, 0.4), row(0.001, 10, 0.6), row(0.001, 10, 0.6)]);
        assert!(is_near(at(&double, 0.01, 10), 0.5) && is_near(at(&double, 0.0001, 10), 0.7));
    }

    /// Any rows at all, in any order, with gaps and contradictions.
    fn rows() -> impl Strategy<Value = Vec<ThresholdRow>> {
        let fpir = prop::sample::select(vec![0.0001, 0.001, 0.01, 0.05, 0.9]);
        let gallery = prop::sample::select(vec![1usize, 10, 30, 100, 5_000]);
        prop::collection::vec((fpir, gallery, -1.0f32..=1.0), 1..12)
            .prop_map(|rows| rows.into_iter().map(|(f, g, t)| row(f, g, t)).collect())
    }

    fn fpir() -> impl Strategy<Value = f64> {
        prop_oneof![
            4 => (-9.0f64..0.5).prop_map(|exponent| 10f64.powf(exponent)),
            1 => prop::sample::select(vec![0.0, 0.0001, 0.001, 0.01, 1.0, 1e300, f64::MIN_POSITIVE, f64::INFINITY]),
        ]
    }

    fn gallery() -> impl Strategy<Value = usize> {
        prop_oneof![4 => 0usize..20_000, 1 => prop::sample::select(vec![0, 1, 10, 100, usize::MAX])]
    }

    proptest! {
        #[test]
        fn a_larger_gallery_or_a_smaller_fpir_never_asks_less(
            rows in rows(), fpirs in (fpir(), fpir()), sizes in (gallery(), gallery()),
        ) {
            let table = table(&rows);
            let (stricter, laxer) = (fpirs.0.min(fpirs.1), fpirs.0.max(fpirs.1));
            let (smaller, larger) = (sizes.0.min(sizes.1), sizes.0.max(sizes.1));
            let found = at(&table, stricter, larger);
            prop_assert!(!found.is_nan() && (found == f32::INFINITY || (-1.0..=1.0).contains(&found)), "{found}");
            prop_assert!(at(&table, stricter, smaller) <= found + 1e-5);
            prop_assert!(at(&table, laxer, larger) <= found + 1e-5);
        }

        #[test]
        fn no_calibrated_row_that_asks_no_more_is_stricter(rows in rows(), fpir in fpir(), gallery in gallery()) {
            let found = at(&table(&rows), fpir, gallery);
            let easier = rows.iter().filter(|r| r.fpir >= fpir && r.gallery <= gallery);
            let strictest = easier.map(|r| r.threshold).fold(-1.0, f32::max);
            prop_assert!(found >= strictest - 1e-5, "{found} where a row asks for {strictest}");
        }

        #[test]
        fn no_input_gives_a_threshold_that_is_no_number(rows in rows(), bits in any::<u64>(), gallery in any::<usize>()) {
            let fpir = f64::from_bits(bits);
            let found = at(&table(&rows), fpir, gallery);
            prop_assert!(!found.is_nan());
            prop_assert!(fpir > 0.0 || found == f32::INFINITY);
        }
    }
}
