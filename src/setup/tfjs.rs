//! Reads the weights of a TensorFlow.js graph model: a JSON manifest and the binary files it lists.
//!
//! The graph itself is ignored: which layers the weights belong to is `super::convert`'s.

use std::collections::BTreeMap;

use serde::Deserialize;

/// One tensor as stored: HWIO order for convolutions.
#[derive(Clone, Debug, PartialEq)]
pub struct Weight {
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
}

/// Tensors of floats by name.
#[derive(Debug)]
pub struct Weights(BTreeMap<String, Weight>);

/// Why weights could not be read.
#[derive(Debug, thiserror::Error)]
pub enum TfjsError {
    #[error("not a TensorFlow.js manifest: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the manifest lists the file {0:?}, which is not there")]
    NoFile(String),
    #[error("{name:?} is of type {dtype:?}; only plain float32 and int32 can be read")]
    Type { name: String, dtype: String },
    #[error("{name:?} needs more bytes than its file has left")]
    Beyond { name: String },
    #[error("{0:?} is listed twice")]
    Twice(String),
    #[error("{bytes} bytes of the weight files belong to no tensor")]
    LeftOver { bytes: usize },
    #[error("there is no tensor {0:?}")]
    NoTensor(String),
    #[error("{name:?} has the shape {got:?}, expected {expected:?}")]
    Shape { name: String, got: Vec<usize>, expected: Vec<usize> },
}

#[derive(Deserialize)]
struct GraphModel {
    #[serde(rename = "weightsManifest")]
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    paths: Vec<String>,
    weights: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    name: String,
    shape: Vec<usize>,
    dtype: String,
    #[serde(default)]
    quantization: Option<serde::de::IgnoredAny>,
}

impl Weights {
    /// Reads the manifest `json`; `file` gives the bytes of a binary file by the name the manifest uses.
    ///
    /// Memory is claimed only for bytes that are there, whatever shapes the manifest claims.
    pub fn read<'a>(json: &[u8], file: impl Fn(&str) -> Option<&'a [u8]>) -> Result<Self, TfjsError> {
        let model: GraphModel = serde_json::from_slice(json)?;
        let mut weights = BTreeMap::new();
        for group in model.groups {
            let mut bytes = Vec::new();
            for path in group.paths {
                bytes.extend_from_slice(file(&path).ok_or(TfjsError::NoFile(path))?);
            }
            let mut rest = bytes.as_slice();
            for entry in group.weights {
                let (name, weight) = take(entry, &mut rest)?;
                // Integers are arguments of operators (axes), never weights of a layer.
                let Some(weight) = weight else { continue };
                if weights.insert(name.clone(), weight).is_some() {
                    return Err(TfjsError::Twice(name));
                }
            }
            if !rest.is_empty() {
                return Err(TfjsError::LeftOver { bytes: rest.len() });
            }
        }
        Ok(Self(weights))
    }

    /// The tensor `name`, whose shape must be `shape`.
    pub fn get(&self, name: &str, shape: &[usize]) -> Result<&[f32], TfjsError> {
        let weight = self.0.get(name).ok_or_else(|| TfjsError::NoTensor(name.to_owned()))?;
        if weight.shape != shape {
            return Err(TfjsError::Shape {
                name: name.to_owned(),
                got: weight.shape.clone(),
                expected: shape.to_vec(),
            });
        }
        Ok(&weight.values)
    }
}

fn take(entry: Entry, rest: &mut &[u8]) -> Result<(String, Option<Weight>), TfjsError> {
    let Entry { name, shape, dtype, quantization } = entry;
    let is_float = dtype == "float32";
    if quantization.is_some() || !(is_float || dtype == "int32") {
        let dtype = if quantization.is_some() { "quantised".to_owned() } else { dtype };
        return Err(TfjsError::Type { name, dtype });
    }
    let length = shape.iter().try_fold(4usize, |length, side| length.checked_mul(*side));
    let Some((mine, others)) = length.and_then(|length| rest.split_at_checked(length)) else {
        return Err(TfjsError::Beyond { name });
    };
    *rest = others;
    let weight = is_float.then(|| {
        let values = mine.as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four)).collect();
        Weight { shape, values }
    });
    Ok((name, weight))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(weights: &str, bytes: &[u8]) -> Result<Weights, TfjsError> {
        let json = format!(r#"{{"weightsManifest":[{{"paths":["w.bin"],"weights":[{weights}]}}]}}"#);
        Weights::read(json.as_bytes(), |name| (name == "w.bin").then_some(bytes))
    }

    #[test]
    fn tensors_are_read_in_the_order_of_the_manifest() {
        let bytes: Vec<u8> = [1f32, 2.0, 3.0].iter().flat_map(|v| v.to_le_bytes()).collect();
        let weights =
            read(r#"{"name":"a","shape":[2],"dtype":"float32"},{"name":"axis","shape":[],"dtype":"int32"}"#, &bytes)
                .unwrap();
        assert_eq!(weights.get("a", &[2]).unwrap(), [1.0, 2.0]);
        assert!(matches!(weights.get("axis", &[]), Err(TfjsError::NoTensor(_))));
        assert!(matches!(weights.get("a", &[1, 2]), Err(TfjsError::Shape { .. })));
    }

    #[test]
    fn huge_shape_is_an_error_and_claims_no_memory() {
        for shape in ["4294967295,4294967295,4294967295", "18446744073709551615", "4000000000000"] {
            let entry = format!(r#"{{"name":"a","shape":[{shape}],"dtype":"float32"}}"#);
            assert!(matches!(read(&entry, &[0; 16]), Err(TfjsError::Beyond { .. })), "{shape}");
        }
    }

    #[test]
    fn tensor_beyond_the_file_is_an_error() {
        let entry = r#"{"name":"a","shape":[5],"dtype":"float32"}"#;
        assert!(matches!(read(entry, &[0; 16]), Err(TfjsError::Beyond { .. })));
        assert!(matches!(read(entry, &[0; 24]), Err(TfjsError::LeftOver { bytes: 4 })));
    }

    #[test]
    fn hostile_manifests_are_errors() {
        let deep = "[".repeat(100_000);
        for json in ["", "[]", "{}", r#"{"weightsManifest":3}"#, deep.as_str()] {
            assert!(matches!(Weights::read(json.as_bytes(), |_| None), Err(TfjsError::Json(_))));
        }
        for entry in [
            r#"{"name":"a","shape":[-1],"dtype":"float32"}"#,
            r#"{"name":"a","shape":[1.5],"dtype":"float32"}"#,
            r#"{"name":"a","shape":"x","dtype":"float32"}"#,
        ] {
            assert!(matches!(read(entry, &[0; 4]), Err(TfjsError::Json(_))), "{entry}");
        }
        let elsewhere = br#"{"weightsManifest":[{"paths":["../../etc/passwd"],"weights":[]}]}"#;
        assert!(matches!(Weights::read(elsewhere, |_| None), Err(TfjsError::NoFile(_))));
        let twice = r#"{"name":"a","shape":[1],"dtype":"float32"},{"name":"a","shape":[1],"dtype":"float32"}"#;
        assert!(matches!(read(twice, &[0; 8]), Err(TfjsError::Twice(_))));
        let quantised = r#"{"name":"a","shape":[4],"dtype":"float32","quantization":{"dtype":"uint8"}}"#;
        assert!(matches!(read(quantised, &[0; 4]), Err(TfjsError::Type { .. })));
    }
}
