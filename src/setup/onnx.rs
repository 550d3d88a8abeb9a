//! The part of the ONNX file format that the conversions read and write, as protobuf messages.
//!
//! Field numbers are those of `onnx.proto` (ONNX 1.x, proto2, so presence is explicit and only what is marked
//! so is packed). What the conversions do with a graph is `super::convert`'s.

use prost::Message;

/// `TensorProto.DataType.FLOAT`
pub const FLOAT: i32 = 1;
const ATTRIBUTE_INT: i32 = 2;
const ATTRIBUTE_INTS: i32 = 7;

#[derive(Clone, PartialEq, Message)]
pub struct Model {
    #[prost(int64, optional, tag = "1")]
    pub ir_version: Option<i64>,
    #[prost(string, optional, tag = "2")]
    pub producer_name: Option<String>,
    #[prost(string, optional, tag = "3")]
    pub producer_version: Option<String>,
    #[prost(message, optional, tag = "7")]
    pub graph: Option<Graph>,
    #[prost(message, repeated, tag = "8")]
    pub opset_import: Vec<OperatorSet>,
}

#[derive(Clone, PartialEq, Message)]
pub struct OperatorSet {
    #[prost(string, optional, tag = "1")]
    pub domain: Option<String>,
    #[prost(int64, optional, tag = "2")]
    pub version: Option<i64>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Graph {
    #[prost(message, repeated, tag = "1")]
    pub node: Vec<Node>,
    #[prost(string, optional, tag = "2")]
    pub name: Option<String>,
    #[prost(message, repeated, tag = "5")]
    pub initializer: Vec<Tensor>,
    #[prost(message, repeated, tag = "11")]
    pub input: Vec<ValueInfo>,
    #[prost(message, repeated, tag = "12")]
    pub output: Vec<ValueInfo>,
    #[prost(message, repeated, tag = "13")]
    pub value_info: Vec<ValueInfo>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Node {
    #[prost(string, repeated, tag = "1")]
    pub input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub output: Vec<String>,
    #[prost(string, optional, tag = "3")]
    pub name: Option<String>,
    #[prost(string, optional, tag = "4")]
    pub op_type: Option<String>,
    #[prost(message, repeated, tag = "5")]
    pub attribute: Vec<Attribute>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Attribute {
    #[prost(string, optional, tag = "1")]
    pub name: Option<String>,
    #[prost(float, optional, tag = "2")]
    pub f: Option<f32>,
    #[prost(int64, optional, tag = "3")]
    pub i: Option<i64>,
    #[prost(bytes = "vec", optional, tag = "4")]
    pub s: Option<Vec<u8>>,
    #[prost(int64, repeated, packed = "false", tag = "8")]
    pub ints: Vec<i64>,
    #[prost(int32, optional, tag = "20")]
    pub kind: Option<i32>,
}

impl Attribute {
    pub fn int(name: &str, value: i64) -> Self {
        Self { name: Some(name.to_owned()), i: Some(value), kind: Some(ATTRIBUTE_INT), ..Self::default() }
    }

    pub fn ints(name: &str, values: &[i64]) -> Self {
        Self { name: Some(name.to_owned()), ints: values.to_vec(), kind: Some(ATTRIBUTE_INTS), ..Self::default() }
    }
}

#[derive(Clone, PartialEq, Message)]
pub struct Tensor {
    #[prost(int64, repeated, packed = "false", tag = "1")]
    pub dims: Vec<i64>,
    #[prost(int32, optional, tag = "2")]
    pub data_type: Option<i32>,
    #[prost(float, repeated, tag = "4")]
    pub float_data: Vec<f32>,
    #[prost(string, optional, tag = "8")]
    pub name: Option<String>,
    #[prost(bytes = "vec", optional, tag = "9")]
    pub raw_data: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ValueInfo {
    #[prost(string, optional, tag = "1")]
    pub name: Option<String>,
    #[prost(message, optional, tag = "2")]
    pub kind: Option<Type>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Type {
    #[prost(message, optional, tag = "1")]
    pub tensor: Option<TensorType>,
}

#[derive(Clone, PartialEq, Message)]
pub struct TensorType {
    #[prost(int32, optional, tag = "1")]
    pub elements: Option<i32>,
    #[prost(message, optional, tag = "2")]
    pub shape: Option<Shape>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Shape {
    #[prost(message, repeated, tag = "1")]
    pub dimension: Vec<Dimension>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Dimension {
    #[prost(int64, optional, tag = "1")]
    pub value: Option<i64>,
    #[prost(string, optional, tag = "2")]
    pub parameter: Option<String>,
}

impl Dimension {
    /// A length that every run shares.
    pub fn fixed(length: i64) -> Self {
        Self { value: Some(length), parameter: None }
    }

    /// A length that each run chooses; equal names are equal lengths.
    pub fn free(name: &str) -> Self {
        Self { value: None, parameter: Some(name.to_owned()) }
    }
}

impl ValueInfo {
    /// A tensor of floats.
    pub fn floats(name: &str, dimension: Vec<Dimension>) -> Self {
        let tensor = TensorType { elements: Some(FLOAT), shape: Some(Shape { dimension }) };
        Self { name: Some(name.to_owned()), kind: Some(Type { tensor: Some(tensor) }) }
    }
}

/// Why bytes were not taken as a model.
#[derive(Debug, thiserror::Error)]
pub enum OnnxError {
    #[error("not an ONNX model: {0}")]
    Undecodable(#[from] prost::DecodeError),
    #[error("the ONNX model holds fields that this conversion does not know and would lose")]
    Lossy,
}

impl Model {
    /// Decodes `bytes`, and refuses them if anything would be lost by encoding again: protobuf silently drops
    /// fields that a reader does not know.
    pub fn decode_whole(bytes: &[u8]) -> Result<Self, OnnxError> {
        let model = Self::decode(bytes)?;
        if model.encode_to_vec() == bytes { Ok(model) } else { Err(OnnxError::Lossy) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn model_with_an_unknown_field_is_refused() {
        let model = Model { ir_version: Some(4), ..Model::default() };
        let mut bytes = model.encode_to_vec();
        assert_eq!(Model::decode_whole(&bytes).unwrap(), model);
        bytes.extend([0x28, 0x01]); // model_version = 1
        assert!(matches!(Model::decode_whole(&bytes), Err(OnnxError::Lossy)));
    }

    #[test]
    fn zero_that_was_written_stays_written() {
        let set = OperatorSet { domain: Some(String::new()), version: Some(0) };
        assert_eq!(set.encode_to_vec(), [0x0a, 0x00, 0x10, 0x00]);
    }

    #[test]
    fn bytes_that_are_no_model_are_an_error() {
        assert!(matches!(Model::decode_whole(b"\x0f\xff\xff"), Err(OnnxError::Undecodable(_))));
    }
}
