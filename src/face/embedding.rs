//! Vectors that stand for faces, how several become one, and how two are compared.
//!
//! Whose vector it is, and which similarity is enough, is not here: see `gallery`.

use std::fmt;

/// A unit-length embedding of one face image: `dimension` values, L2 norm 1.
#[derive(Clone, PartialEq)]
pub struct Embedding(Box<[f32]>);

/// Cosine of two embeddings, in [-1, 1].
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Similarity(pub f32);

impl Embedding {
    /// Scales `raw` to unit length. `None` for an empty, zero or non-finite vector, which no face gives.
    pub fn from_raw(mut raw: Vec<f32>) -> Option<Self> {
        let norm = raw.iter().map(|v| f64::from(*v) * f64::from(*v)).sum::<f64>().sqrt();
        if !norm.is_finite() || norm < 1e-6 {
            return None;
        }
        raw.iter_mut().for_each(|v| *v = (f64::from(*v) / norm) as f32);
        Some(Self(raw.into_boxed_slice()))
    }

    pub fn values(&self) -> &[f32] {
        &self.0
    }

    pub fn dimension(&self) -> usize {
        self.0.len()
    }

    /// Cosine with `other`; the two must come from the same pack (same dimension).
    pub fn similarity(&self, other: &Self) -> Similarity {
        debug_assert_eq!(self.dimension(), other.dimension());
        Similarity(self.0.iter().zip(&other.0).map(|(a, b)| a * b).sum())
    }
}

/// What is let go is not left in freed memory.
impl Drop for Embedding {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

/// Overwrites values that nobody may find after their memory is freed.
pub fn wipe(values: &mut [f32]) {
    values.fill(0.0);
    // A write that nobody reads would be left out otherwise.
    std::hint::black_box(values);
}

impl fmt::Debug for Embedding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Embedding({} values)", self.0.len())
    }
}

/// The house's one definition of fusion: the normalised mean of unit embeddings.
/// `None` when there is nothing to fuse, or dimensions differ.
pub fn fuse<'a>(parts: impl IntoIterator<Item = &'a Embedding>) -> Option<Embedding> {
    let mut parts = parts.into_iter();
    let mut sum = parts.next()?.values().to_vec();
    for part in parts {
        if part.dimension() != sum.len() {
            return None;
        }
        sum.iter_mut().zip(part.values()).for_each(|(s, v)| *s += v);
    }
    Embedding::from_raw(sum)
}

/// What is searched for: a track's best shots, fused. Never stored.
#[derive(Clone, Debug)]
pub struct Probe {
    pub embedding: Embedding,
    /// How many shots were fused, at least 1; the threshold depends on it.
    pub shots: usize,
}

impl Probe {
    /// Fuses `shots`; `None` when there are none.
    pub fn from_shots<'a>(shots: impl ExactSizeIterator<Item = &'a Embedding>) -> Option<Self> {
        let count = shots.len();
        fuse(shots).map(|embedding| Self { embedding, shots: count })
    }
}

/// An enrolled reference embedding of a customer, with the pack that made it and its quality in [0, 1].
#[derive(Clone, Debug)]
pub struct Template {
    pub embedding: Embedding,
    pub pack: String,
    pub quality: f32,
}
