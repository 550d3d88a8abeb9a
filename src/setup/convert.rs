//! Makes the ONNX file of a model out of what its package holds. Deterministic: the same members always give
//! the same bytes, so the manifest can carry the result's sha256.
//!
//! The formats are `super::onnx`'s and `super::tfjs`'; whether the result computes what it should is
//! `crate::vision::golden`'s.

use prost::Message;

use super::onnx::{Attribute, Dimension, FLOAT, Graph, Model, Node, OnnxError, OperatorSet, Tensor, ValueInfo};
use super::tfjs::{TfjsError, Weights};
use crate::vision::manifest::Conversion;

/// A member of an archive: its path there, and its content.
pub struct Extracted {
    pub path: String,
    pub bytes: Vec<u8>,
}

/// Why a model could not be converted.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    #[error("this conversion needs a member ending in {0:?}")]
    NoMember(&'static str),
    #[error(transparent)]
    Onnx(#[from] OnnxError),
    #[error(transparent)]
    Tfjs(#[from] TfjsError),
    #[error("the graph has no {0}")]
    NoPart(&'static str),
}

/// Runs `conversion` on the members that its manifest entry lists; gives the ONNX file's bytes.
pub fn convert(conversion: Conversion, members: &[Extracted]) -> Result<Vec<u8>, ConvertError> {
    match conversion {
        Conversion::CenterfaceDynamicInput => centerface_dynamic_input(ending(members, ".onnx")?),
        Conversion::MobilefacenetFromTfjs => {
            let by_name = |name: &str| {
                let file = |member: &&Extracted| member.path.rsplit('/').next() == Some(name);
                members.iter().find(file).map(|member| member.bytes.as_slice())
            };
            let weights = Weights::read(ending(members, ".json")?, by_name)?;
            mobilefacenet(&weights)
        }
    }
}

fn ending<'a>(members: &'a [Extracted], end: &'static str) -> Result<&'a [u8], ConvertError> {
    let member = members.iter().find(|member| member.path.ends_with(end)).ok_or(ConvertError::NoMember(end))?;
    Ok(&member.bytes)
}

/// CenterFace was exported for one picture of 32 × 32: free the batch, the height and the width. The network is
/// fully convolutional and its output has a quarter of the input's height and width.
fn centerface_dynamic_input(source: &[u8]) -> Result<Vec<u8>, ConvertError> {
    let mut model = Model::decode_whole(source)?;
    let graph = model.graph.as_mut().ok_or(ConvertError::NoPart("body"))?;
    let is_weight = |name: &Option<String>| graph.initializer.iter().any(|weight| weight.name == *name);
    // IR version 3 wanted every weight listed as an input too; there it would only hinder constant folding.
    let input = graph.input.iter().find(|input| !is_weight(&input.name)).ok_or(ConvertError::NoPart("input"))?;
    let input = input.name.clone().unwrap_or_default();
    graph.input = vec![ValueInfo::floats(&input, dimensions(3, "H", "W"))];
    for output in &mut graph.output {
        let channels = fixed_length(output, 1).ok_or(ConvertError::NoPart("channel count in an output"))?;
        let name = output.name.clone().unwrap_or_default();
        *output = ValueInfo::floats(&name, dimensions(channels, "h", "w"));
    }
    graph.value_info.clear();
    Ok(model.encode_to_vec())
}

fn dimensions(channels: i64, height: &str, width: &str) -> Vec<Dimension> {
    vec![Dimension::free("B"), Dimension::fixed(channels), Dimension::free(height), Dimension::free(width)]
}

fn fixed_length(value: &ValueInfo, axis: usize) -> Option<i64> {
    value.kind.as_ref()?.tensor.as_ref()?.shape.as_ref()?.dimension.get(axis)?.value
}

/// A graph that grows node by node; every value is named after the layer that made it.
#[derive(Default)]
struct Builder {
    graph: Graph,
}

impl Builder {
    fn weight(&mut self, name: String, dims: &[usize], values: &[f32]) -> String {
        self.graph.initializer.push(Tensor {
            dims: dims.iter().map(|side| *side as i64).collect(),
            data_type: Some(FLOAT),
            float_data: Vec::new(),
            name: Some(name.clone()),
            raw_data: Some(values.iter().flat_map(|value| value.to_le_bytes()).collect()),
        });
        name
    }

    fn node(&mut self, op_type: &str, output: String, input: &[&str], attribute: Vec<Attribute>) -> String {
        self.graph.node.push(Node {
            input: input.iter().map(|name| (*name).to_owned()).collect(),
            output: vec![output.clone()],
            name: Some(output.clone()),
            op_type: Some(op_type.to_owned()),
            attribute,
        });
        output
    }

    fn finish(mut self, name: &str, input: ValueInfo, output: ValueInfo) -> Vec<u8> {
        self.graph.name = Some(name.to_owned());
        self.graph.input.push(input);
        self.graph.output.push(output);
        // Operator set 13 belongs to IR version 7; both are read by every runtime of the last years.
        let operators = OperatorSet { domain: Some(String::new()), version: Some(13) };
        let model = Model {
            ir_version: Some(7),
            producer_name: Some("snova".to_owned()),
            producer_version: None,
            graph: Some(self.graph),
            opset_import: vec![operators],
        };
        model.encode_to_vec()
    }
}

/// A convolution of MobileFaceNet: square kernel, its stride, and whether it shrinks the map by its kernel.
#[derive(Clone, Copy)]
struct Geometry {
    kernel: usize,
    stride: i64,
    valid: bool,
}

impl Geometry {
    const POINT: Self = Self { kernel: 1, stride: 1, valid: false };

    fn three(stride: i64) -> Self {
        Self { kernel: 3, stride, valid: false }
    }

    /// TensorFlow's SAME on even sizes: with stride 2 all padding of a 3 × 3 kernel goes to the bottom right.
    fn attributes(self, groups: usize) -> Vec<Attribute> {
        let pads = match (self.valid || self.kernel == 1, self.stride) {
            (true, _) => [0, 0, 0, 0],
            (false, 2) => [0, 0, 1, 1],
            (false, _) => [1, 1, 1, 1],
        };
        vec![
            Attribute::ints("kernel_shape", &[self.kernel as i64; 2]),
            Attribute::ints("strides", &[self.stride; 2]),
            Attribute::ints("pads", &pads),
            Attribute::int("group", groups as i64),
        ]
    }
}

/// MobileFaceNet's layers, made of the named weights.
struct MobileFaceNet<'a> {
    weights: &'a Weights,
    builder: Builder,
}

/// The packaged graph is broken (it gives nearly one embedding for everybody): a ReLU is fused before the |x| of
/// each PReLU and the slopes' sign is turned. So the network is built anew from the weights.
fn mobilefacenet(weights: &Weights) -> Result<Vec<u8>, ConvertError> {
    const BODY: &str = "MobileFaceNet/MobileFaceNet";
    const LOGITS: &str = "MobileFaceNet/Logits";
    // (group, blocks, channels inside, channels out, stride of the first block)
    const GROUPS: [(usize, usize, usize, usize, i64); 5] =
        [(2, 5, 128, 64, 2), (3, 1, 256, 128, 2), (4, 6, 256, 128, 1), (5, 1, 512, 128, 2), (6, 2, 256, 128, 1)];
    let mut net = MobileFaceNet { weights, builder: Builder::default() };
    let mut x = "input".to_owned();
    x = net.conv(&x, &format!("{BODY}/Conv2d_0"), [3, 64], Geometry::three(2))?;
    x = net.prelu(&x, &format!("{BODY}/Conv2d_0"), 64)?;
    x = net.depthwise(&x, &format!("{BODY}/SeparableConv2d"), 64, Geometry::three(1))?;
    x = net.prelu(&x, &format!("{BODY}/SeparableConv2d"), 64)?;
    x = net.conv(&x, &format!("{BODY}/Conv"), [64, 64], Geometry::POINT)?;
    let mut channels = 64;
    for (group, blocks, inside, out, first_stride) in GROUPS {
        for block in 0..blocks {
            let at = format!("{BODY}/Conv2d_{group}_InvResBlock_{block}");
            let stride = if block == 0 { first_stride } else { 1 };
            x = net.inverted_residual(&x, &at, [channels, inside, out], stride)?;
            channels = out;
        }
    }
    x = net.conv(&x, &format!("{BODY}/Conv2d_7"), [128, 512], Geometry::POINT)?;
    x = net.prelu(&x, &format!("{BODY}/Conv2d_7"), 512)?;
    let global = Geometry { kernel: 7, stride: 1, valid: true };
    x = net.depthwise(&x, &format!("{LOGITS}/SeparableConv2d"), 512, global)?;
    x = net.conv(&x, &format!("{LOGITS}/Conv"), [512, 512], Geometry::POINT)?;
    x = net.conv(&x, &format!("{LOGITS}/LinearConv1x1"), [512, 192], Geometry::POINT)?;
    net.builder.node("Flatten", "embedding".to_owned(), &[&x], vec![Attribute::int("axis", 1)]);
    let side = || Dimension::fixed(112);
    let input = ValueInfo::floats("input", vec![Dimension::free("N"), Dimension::fixed(3), side(), side()]);
    let output = ValueInfo::floats("embedding", vec![Dimension::free("N"), Dimension::fixed(192)]);
    Ok(net.builder.finish("MobileFaceNet", input, output))
}

impl MobileFaceNet<'_> {
    fn inverted_residual(
        &mut self,
        x: &str,
        at: &str,
        [channels, inside, out]: [usize; 3],
        stride: i64,
    ) -> Result<String, ConvertError> {
        let expand = format!("{at}/Conv");
        let spread = format!("{at}/SeparableConv2d");
        let y = self.conv(x, &expand, [channels, inside], Geometry::POINT)?;
        let y = self.prelu(&y, &expand, inside)?;
        let y = self.depthwise(&y, &spread, inside, Geometry::three(stride))?;
        let y = self.prelu(&y, &spread, inside)?;
        let y = self.conv(&y, &format!("{at}/Conv_1"), [inside, out], Geometry::POINT)?;
        if stride == 1 { Ok(self.builder.node("Add", format!("{at}/Add"), &[&y, x], Vec::new())) } else { Ok(y) }
    }

    /// HWIO weights to OIHW; the batch normalisation is already folded in.
    fn conv(&mut self, x: &str, at: &str, [i, o]: [usize; 2], geometry: Geometry) -> Result<String, ConvertError> {
        let k = geometry.kernel;
        let hwio = self.weights.get(&format!("{at}/Conv2D_weights"), &[k, k, i, o])?;
        let offset = self.weights.get(&format!("{at}/Conv2D_bn_offset"), &[o])?;
        let oihw = transpose(hwio, k * k * i, o);
        let oihw: Vec<f32> = oihw.chunks(k * k * i).flat_map(|hwi| transpose(hwi, k * k, i)).collect();
        self.convolution(x, at, [o, i, k, k], &oihw, offset, geometry.attributes(1))
    }

    /// One kernel a channel: HWC weights to CHW.
    fn depthwise(&mut self, x: &str, at: &str, c: usize, geometry: Geometry) -> Result<String, ConvertError> {
        let k = geometry.kernel;
        let hwc = self.weights.get(&format!("{at}/depthwise_weights"), &[k, k, c, 1])?;
        let offset = self.weights.get(&format!("{at}/depthwise_bn_offset"), &[c])?;
        self.convolution(x, at, [c, 1, k, k], &transpose(hwc, k * k, c), offset, geometry.attributes(c))
    }

    fn convolution(
        &mut self,
        x: &str,
        at: &str,
        dims: [usize; 4],
        kernel: &[f32],
        offset: &[f32],
        attributes: Vec<Attribute>,
    ) -> Result<String, ConvertError> {
        let kernel = self.builder.weight(format!("{at}/kernel"), &dims, kernel);
        let offset = self.builder.weight(format!("{at}/offset"), &[dims[0]], offset);
        Ok(self.builder.node("Conv", format!("{at}/Conv"), &[x, &kernel, &offset], attributes))
    }

    /// The package writes PReLU as relu(x) + mul · (x − |x|) with the sign of `mul` turned: slope = −2 · mul.
    fn prelu(&mut self, x: &str, at: &str, c: usize) -> Result<String, ConvertError> {
        let slope: Vec<f32> = self.weights.get(&format!("{at}/mul"), &[c])?.iter().map(|mul| -2.0 * mul).collect();
        let slope = self.builder.weight(format!("{at}/slope"), &[c, 1, 1], &slope);
        Ok(self.builder.node("PRelu", format!("{at}/PRelu"), &[x, &slope], Vec::new()))
    }
}

/// `rows` × `columns`, row by row, to `columns` × `rows`.
fn transpose(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|column| (0..rows).map(move |row| values[row * columns + column])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tiny_centerface() -> Vec<u8> {
        let square = |name: &str, channels| {
            let side = || Dimension::fixed(32);
            ValueInfo::floats(name, vec![Dimension::fixed(10), Dimension::fixed(channels), side(), side()])
        };
        let mut builder = Builder::default();
        let kernel = builder.weight("k".to_owned(), &[2, 3, 1, 1], &[0.5; 6]);
        builder.node("Conv", "heat".to_owned(), &["picture", &kernel], Vec::new());
        builder.graph.input.push(square("k", 3));
        builder.finish("tiny", square("picture", 3), square("heat", 2))
    }

    fn member(path: &str, bytes: Vec<u8>) -> Extracted {
        Extracted { path: path.to_owned(), bytes }
    }

    #[test]
    fn centerface_takes_any_size_and_keeps_its_weights() {
        let members = [member("a/b.onnx", tiny_centerface())];
        let converted = convert(Conversion::CenterfaceDynamicInput, &members).unwrap();
        let graph = Model::decode_whole(&converted).unwrap().graph.unwrap();
        let before = Model::decode_whole(&members[0].bytes).unwrap().graph.unwrap();
        assert_eq!(graph.input, [ValueInfo::floats("picture", dimensions(3, "H", "W"))]);
        assert_eq!(graph.output, [ValueInfo::floats("heat", dimensions(2, "h", "w"))]);
        assert_eq!((graph.node, graph.initializer), (before.node, before.initializer));
    }

    #[test]
    fn conversion_is_deterministic() {
        let members = [member("a/b.onnx", tiny_centerface())];
        let once = convert(Conversion::CenterfaceDynamicInput, &members).unwrap();
        assert_eq!(once, convert(Conversion::CenterfaceDynamicInput, &members).unwrap());
    }

    #[test]
    fn members_that_do_not_fit_are_errors() {
        let empty = [member("m.json", br#"{"weightsManifest":[]}"#.to_vec())];
        let missing = convert(Conversion::MobilefacenetFromTfjs, &empty);
        assert!(matches!(missing, Err(ConvertError::Tfjs(TfjsError::NoTensor(_)))));
        assert!(matches!(convert(Conversion::MobilefacenetFromTfjs, &[]), Err(ConvertError::NoMember(".json"))));
        let broken = [member("m.onnx", vec![0xff; 40])];
        assert!(matches!(convert(Conversion::CenterfaceDynamicInput, &broken), Err(ConvertError::Onnx(_))));
        let hollow = [member("m.onnx", Vec::new())];
        assert!(matches!(convert(Conversion::CenterfaceDynamicInput, &hollow), Err(ConvertError::NoPart(_))));
    }

    #[test]
    fn transposing_twice_is_nothing() {
        let values: Vec<f32> = (0..6u8).map(f32::from).collect();
        assert_eq!(transpose(&values, 2, 3), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
        assert_eq!(transpose(&transpose(&values, 2, 3), 3, 2), values);
    }
}
