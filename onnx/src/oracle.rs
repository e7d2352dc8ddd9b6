//! Rewrites of an ONNX file that make onnxruntime a witness: bytes in, bytes out.
//!
//! - [`written_out`]: a copy of each constant for each use, and more that the session that computes integers exactly
//!   (`session.x64quantprecision`) wants: it does not start where two nodes share a constant.
//! - [`tapped`]: every tensor between nodes is an output too, for [`twin`] to know types and shapes.
//! - [`twin`]: the same graph in double precision. Every rounding stands as the standard defines it, and the value in
//!   front of the last rounding is an output too, so that a rounding tie can be told from a fault.
//!
//! Nothing of import is used here: what shares its code would share its faults.

mod emit;
mod functions;
mod sums;
mod twin;

pub use twin::{Given, TwinFile, TwinOutput, twin};

use crate::proto::tensor_proto::DataType;
use crate::proto::{GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto};
use prost::Message;
use std::collections::{BTreeMap, BTreeSet};

/// What one run saw of a tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The type of its values.
    pub element: Element,
    /// Its shape.
    pub shape: Vec<usize>,
}

impl Seen {
    /// From the name of the type, as onnxruntime writes it.
    pub fn new(element: &str, shape: Vec<usize>) -> Seen {
        let element = match element {
            "float32" | "float64" => Element::Float,
            "int8" => Element::Int8,
            "uint8" => Element::Uint8,
            _ => Element::Other,
        };
        Seen { element, shape }
    }
}

/// The types that the twin tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element {
    /// Floats of 32 or 64 bits.
    Float,
    /// int8.
    Int8,
    /// uint8.
    Uint8,
    /// Anything else: shapes, indices, conditions. The twin leaves it as it is.
    Other,
}

/// Why a file has no rewrite.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {reason}")]
pub struct NoRewrite {
    /// The node or the file.
    pub place: String,
    /// What is in the way.
    pub reason: String,
}

/// The file in the form that the precise session of onnxruntime takes: a constant of its own for each use of one, and each
/// zero point of constants written out. The meaning is the same.
///
/// # Errors
/// [`NoRewrite`] if `bytes` are no ONNX file.
pub fn written_out(bytes: &[u8]) -> Result<Vec<u8>, NoRewrite> {
    let mut model = decode(bytes)?;
    let graph = model.graph.get_or_insert_default();
    let tensors = constants(graph);
    let mut used = BTreeSet::new();
    for (index, node) in graph.node.iter_mut().enumerate() {
        if let Some(zero) = missing_zero_point(node, &tensors, format!("{index}/zero")) {
            node.input.push(zero.name().to_owned());
            graph.initializer.push(zero);
        }
        for (operand, name) in node.input.iter_mut().enumerate() {
            // The first use keeps the constant of the file.
            let Some(tensor) = tensors.get(name).filter(|_| !used.insert(name.clone())) else {
                continue;
            };
            let mut copy = tensor.clone();
            *name = format!("{name}/use{index}_{operand}");
            copy.name = Some(name.clone());
            graph.initializer.push(copy);
        }
    }
    Ok(model.encode_to_vec())
}

/// The zero point of bytes with a scale for each channel, where it is left out. The optimiser turns the type of such
/// bytes round and would give them one zero point for all channels, which it then refuses to run.
fn missing_zero_point(
    node: &NodeProto,
    tensors: &BTreeMap<String, TensorProto>,
    name: String,
) -> Option<TensorProto> {
    if node.op_type() != "DequantizeLinear" || node.input.len() != 2 {
        return None;
    }
    let (values, scale) = (tensors.get(&node.input[0])?, tensors.get(&node.input[1])?);
    let mut sizes = scale.dims.iter().map(|&size| usize::try_from(size).ok());
    let n_values = sizes.try_fold(1_usize, |n, size| n.checked_mul(size?))?;
    // A scale for each index of an axis of the values.
    let fits = values.dims.iter().any(|&size| size as usize == n_values) || n_values == 1;
    let is_byte = matches!(
        DataType::try_from(values.data_type()),
        Ok(DataType::Int8 | DataType::Uint8)
    );
    (fits && is_byte).then(|| TensorProto {
        name: Some(name),
        dims: scale.dims.clone(),
        data_type: values.data_type,
        raw_data: Some(vec![0; n_values].into()),
        ..Default::default()
    })
}

/// The file with every tensor between nodes as an output behind its own outputs.
///
/// # Errors
/// [`NoRewrite`] if `bytes` are no ONNX file.
pub fn tapped(bytes: &[u8]) -> Result<Vec<u8>, NoRewrite> {
    let mut model = decode(bytes)?;
    let graph = model.graph.get_or_insert_default();
    let mut known: BTreeSet<String> = graph.output.iter().map(|o| o.name().to_owned()).collect();
    let between = graph.node.iter().flat_map(|node| &node.output);
    for name in between.filter(|name| !name.is_empty()) {
        if known.insert(name.clone()) {
            // Without a type: onnxruntime infers it.
            graph.output.push(ValueInfoProto {
                name: Some(name.clone()),
                ..Default::default()
            });
        }
    }
    Ok(model.encode_to_vec())
}

/// A `QuantizeLinear` of a graph input, with one scale for all.
#[derive(Debug, Clone, PartialEq)]
pub struct InputQuantiser {
    /// The name of the graph input.
    pub input: String,
    /// The name of the bytes that it makes.
    pub output: String,
    /// The size of one step.
    pub scale: f32,
    /// The byte that stands for zero, in the type of the output.
    pub zero_point: i64,
}

/// Every [`InputQuantiser`] whose scale and zero point are constants of the file.
///
/// # Errors
/// [`NoRewrite`] if `bytes` are no ONNX file.
pub fn input_quantisers(bytes: &[u8]) -> Result<Vec<InputQuantiser>, NoRewrite> {
    let model = decode(bytes)?;
    let graph = model.graph.unwrap_or_default();
    let constants = constants(&graph);
    let is_input = |name: &String| graph.input.iter().any(|input| input.name() == name);
    let quantiser = |node: &NodeProto| -> Option<InputQuantiser> {
        let input = node.input.first().filter(|name| is_input(name))?;
        let scale = constants.get(node.input.get(1)?)?;
        let scale = match scale.raw_data.as_deref() {
            Some(raw) => f32::from_le_bytes(raw.try_into().ok()?),
            None => *scale
                .float_data
                .first()
                .filter(|_| scale.float_data.len() == 1)?,
        };
        let zero_point = match node.input.get(2).filter(|name| !name.is_empty()) {
            Some(zero) => byte(constants.get(zero)?)?,
            None => 0,
        };
        Some(InputQuantiser {
            input: input.clone(),
            output: node.output.first()?.clone(),
            scale,
            zero_point,
        })
    };
    let quantisers = graph
        .node
        .iter()
        .filter(|node| node.op_type() == "QuantizeLinear");
    Ok(quantisers.filter_map(quantiser).collect())
}

/// The first value of a constant of int8 or uint8.
fn byte(tensor: &TensorProto) -> Option<i64> {
    let raw = tensor
        .raw_data
        .as_ref()
        .and_then(|raw| raw.first().copied());
    let listed = tensor.int32_data.first().map(|&value| i64::from(value));
    match DataType::try_from(tensor.data_type()).ok()? {
        DataType::Int8 => raw.map(|raw| i64::from(raw.cast_signed())).or(listed),
        DataType::Uint8 => raw.map(i64::from).or(listed),
        _ => None,
    }
}

/// The initialisers and the tensors of `Constant` nodes, by name.
fn constants(graph: &GraphProto) -> BTreeMap<String, TensorProto> {
    let initialisers = graph.initializer.iter();
    let initialisers = initialisers.map(|tensor| (tensor.name().to_owned(), tensor.clone()));
    let mut constants: BTreeMap<String, TensorProto> = initialisers.collect();
    for node in &graph.node {
        let value = node.attribute.iter().find(|a| a.name() == "value");
        let value = value.and_then(|a| a.t.clone());
        if let ("Constant", Some(tensor), Some(name)) = (node.op_type(), value, node.output.first())
        {
            constants.insert(name.clone(), tensor);
        }
    }
    constants
}

fn decode(bytes: &[u8]) -> Result<ModelProto, NoRewrite> {
    ModelProto::decode(bytes).map_err(|error| NoRewrite {
        place: "the file".into(),
        reason: error.to_string(),
    })
}

/// The node for messages: its operator, and its name or that of its first output.
fn place(node: &NodeProto) -> String {
    let output = node.output.first().map_or("", String::as_str);
    let name = if node.name().is_empty() {
        output
    } else {
        node.name()
    };
    format!("{} `{name}`", node.op_type())
}
