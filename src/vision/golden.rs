//! Golden cases: outputs that a converted model must give for inputs made by formula.
//!
//! They tell a graph that computes the right thing from one that merely loads. Recognition quality is
//! `crate::eval`'s.

use std::path::{Path, PathBuf};

use ort::session::Session;
use ort::value::Tensor;
use serde::Deserialize;

use super::runtime::{self, RuntimeError};

/// `golden.toml` beside a pack's manifest.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoldenCases {
    #[serde(rename = "case")]
    pub cases: Vec<GoldenCase>,
}

/// One run of one model.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoldenCase {
    /// The ONNX file in the pack's folder.
    pub file: String,
    pub input: Formula,
    /// Batch, channels, height, width.
    pub shape: [usize; 4],
    /// The formula's 0 and 1 become these.
    pub low: f64,
    pub high: f64,
    #[serde(rename = "output")]
    pub outputs: Vec<GoldenOutput>,
}

/// How an input is made; both are exact on every machine to well below the tolerance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Formula {
    /// `((i · 1103515245 + 12345) mod 2³¹) / 2³¹` over the flat index `i`.
    Noise,
    /// `(sin(x / 7 + c) + cos(y / 11 − c) + 2) / 4` over column `x`, row `y`, channel `c`.
    Smooth,
}

/// What one output must be.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoldenOutput {
    pub name: String,
    pub shape: Vec<usize>,
    /// Euclidean length and mean of all values, and the first eight of them.
    pub l2: f64,
    pub mean: f64,
    pub first8: [f64; 8],
}

/// Why a model does not pass.
#[derive(Debug, thiserror::Error)]
pub enum GoldenError {
    #[error("the golden cases are not valid: {0}; restore them from the release")]
    Invalid(String),
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    #[error("{model} does not run: {cause}", model = .model.display())]
    Run { model: PathBuf, cause: String },
    #[error("{model} gives wrong values: {what} of output {output:?} is {got}, expected {expected}", model = .model.display())]
    Differs { model: PathBuf, output: String, what: String, got: String, expected: String },
}

impl GoldenCases {
    pub fn parse(text: &str) -> Result<Self, GoldenError> {
        toml::from_str(text).map_err(|error| GoldenError::Invalid(error.to_string().replace('\n', " ")))
    }

    /// The cases of one ONNX file.
    pub fn of(&self, file: &str) -> impl Iterator<Item = &GoldenCase> {
        self.cases.iter().filter(move |case| case.file == file)
    }
}

/// Runs the model `onnx` on the cases' inputs and compares the outputs. ONNX Runtime must be loaded.
pub fn check<'a>(onnx: &Path, cases: impl IntoIterator<Item = &'a GoldenCase>) -> Result<(), GoldenError> {
    let run_error = |error: ort::Error| GoldenError::Run {
        model: onnx.to_owned(),
        cause: error.to_string().split_whitespace().collect::<Vec<_>>().join(" "),
    };
    let mut session =
        Session::builder(runtime::environment()?).map_err(run_error)?.commit_from_file(onnx).map_err(run_error)?;
    for case in cases {
        let input = Tensor::from_array((case.shape, case.values())).map_err(run_error)?;
        let outputs = session.run(ort::inputs![input]).map_err(run_error)?;
        for golden in &case.outputs {
            let output = outputs.get(&golden.name).ok_or_else(|| GoldenError::Run {
                model: onnx.to_owned(),
                cause: format!("it has no output {:?}", golden.name),
            })?;
            let (shape, values) = output.try_extract_tensor::<f32>().map_err(run_error)?;
            golden.compare(shape, values).map_err(|(what, got, expected)| GoldenError::Differs {
                model: onnx.to_owned(),
                output: golden.name.clone(),
                what,
                got,
                expected,
            })?;
        }
    }
    Ok(())
}

impl GoldenCase {
    fn values(&self) -> Vec<f32> {
        let [batch, channels, height, width] = self.shape;
        let length = batch * channels * height * width;
        let value = |i: usize| {
            let unit = match self.input {
                Formula::Noise => noise(i as u64),
                Formula::Smooth => smooth(i % width, i / width % height, i / (width * height) % channels),
            };
            (self.low + (self.high - self.low) * unit) as f32
        };
        (0..length).map(value).collect()
    }
}

fn noise(i: u64) -> f64 {
    let modulus = 1u64 << 31;
    (i.wrapping_mul(1_103_515_245).wrapping_add(12_345) % modulus) as f64 / modulus as f64
}

fn smooth(x: usize, y: usize, c: usize) -> f64 {
    let (x, y, c) = (x as f64, y as f64, c as f64);
    ((x / 7.0 + c).sin() + (y / 11.0 - c).cos() + 2.0) / 4.0
}

impl GoldenOutput {
    /// Relative to the value or, where that is small, to a tenth of the output's usual size: processors round
    /// sums differently. An error is what differs, what it is, and what it should be.
    fn compare(&self, shape: &[i64], values: &[f32]) -> Result<(), (String, String, String)> {
        const TOLERANCE: f64 = 1e-3;
        if !shape.iter().map(|side| usize::try_from(*side).ok()).eq(self.shape.iter().map(|side| Some(*side))) {
            return Err(("the shape".to_owned(), format!("{shape:?}"), format!("{:?}", self.shape)));
        }
        let count = values.len().max(1) as f64;
        let usual = self.l2 / count.sqrt();
        let check = |what: String, got: f64, expected: f64| {
            let near = (got - expected).abs() <= TOLERANCE * expected.abs().max(0.1 * usual);
            if near { Ok(()) } else { Err((what, got.to_string(), expected.to_string())) }
        };
        check("the length".to_owned(), values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt(), self.l2)?;
        check("the mean".to_owned(), values.iter().map(|v| f64::from(*v)).sum::<f64>() / count, self.mean)?;
        for (i, expected) in self.first8.iter().enumerate() {
            let got = values.get(i).map_or(f64::NAN, |value| f64::from(*value));
            check(format!("value {i}"), got, *expected)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn golden() -> GoldenOutput {
        let first8 = [1.0; 8];
        GoldenOutput { name: "o".to_owned(), shape: vec![1, 8], l2: 8f64.sqrt(), mean: 1.0, first8 }
    }

    #[test]
    fn formulas_are_what_the_page_says() {
        assert_eq!(noise(0), 12_345.0 / 2_147_483_648.0);
        assert_eq!(smooth(0, 0, 0), 0.75);
        let case = GoldenCase {
            file: String::new(),
            input: Formula::Smooth,
            shape: [1, 2, 2, 3],
            low: -1.0,
            high: 1.0,
            outputs: Vec::new(),
        };
        let values = case.values();
        assert_eq!(values.len(), 12);
        assert_eq!(values[6 + 3 + 2], (2.0 * smooth(2, 1, 1) - 1.0) as f32);
    }

    #[test]
    fn output_within_the_tolerance_passes_and_beyond_it_fails() {
        assert!(golden().compare(&[1, 8], &[1.0005; 8]).is_ok());
        assert!(golden().compare(&[1, 8], &[1.002; 8]).is_err());
        assert!(golden().compare(&[8, 1], &[1.0; 8]).is_err());
        assert!(golden().compare(&[-1, 8], &[1.0; 8]).is_err());
        assert!(golden().compare(&[1, 8], &[f32::NAN; 8]).is_err());
        let mut swapped = [1.0; 8];
        (swapped[0], swapped[1]) = (1.01, 0.99);
        assert!(golden().compare(&[1, 8], &swapped).is_err());
    }
}
