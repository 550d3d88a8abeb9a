//! (being built)
pub mod convert;
pub mod onnx;
pub mod tfjs;
