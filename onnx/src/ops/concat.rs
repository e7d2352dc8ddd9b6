//! `Concat` and `QLinearConcat` along channels, wherever these stand in the shape.

use crate::constant::{Constant, Data};
use crate::error::Reason;
use crate::node::Node;
use crate::ops::address::channels_back;
use crate::ops::axis_of;
use crate::ops::conv::emit;
use crate::order::Order;
use crate::value::{Operand, Pending, PendingOp, UNLIMITED, Value};
use crate::walk::{Walk, pending};
use std::rc::Rc;

/// Joins dequantised or quantised tensors along channels, or constant lists.
pub(crate) fn concat(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    match walk.value(node, 0)? {
        Value::Constant(_) => constants(walk, node),
        Value::Integer(first) => {
            let quant = walk.quant_of(first.tensor)?;
            for i in 0..node.proto.input.len() {
                match walk.value(node, i)? {
                    Value::Integer(view) if walk.quant_of(view.tensor)? == quant => {}
                    other => {
                        return Err(Reason::unsupported(format!(
                            "input {i}, {}, has another scale",
                            other.describe()
                        )));
                    }
                }
            }
            let values = values(walk, node)?;
            let (result, channel) = join(walk, node, values)?;
            let result = walk.moved_value(node, result)?;
            channels_back(walk, node, result, channel)
        }
        _ => {
            let values = values(walk, node)?;
            let (result, channel) = join(walk, node, values)?;
            channels_back(walk, node, pending(result), channel)
        }
    }
}

/// onnxruntime's `QLinearConcat`: output scale first, then each input with its own.
pub(crate) fn qlinear_concat(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    // One tensor may be read with a scale of its own at each place.
    let values = (2..node.proto.input.len())
        .step_by(3)
        .map(|i| Ok((i, Value::Integer(walk.integer(node, i)?))))
        .collect::<Result<_, Reason>>()?;
    let (result, channel) = join(walk, node, values)?;
    let result = emit(walk, node, &pending(result), 0)?;
    channels_back(walk, node, result, channel)
}

/// The inputs of `node` by their places.
fn values(walk: &mut Walk, node: &Node) -> Result<Vec<(usize, Value)>, Reason> {
    (0..node.proto.input.len())
        .map(|i| Ok((i, walk.value(node, i)?)))
        .collect()
}

/// The joined tensor with its channels as the second axis, and which axis they are in the file.
fn join(
    walk: &mut Walk,
    node: &Node,
    inputs: Vec<(usize, Value)>,
) -> Result<(Pending, usize), Reason> {
    let mut operands: Vec<Operand> = Vec::new();
    let mut first: Vec<usize> = Vec::new();
    let mut image = [0; 3];
    let mut channel = 1;
    for (i, value) in inputs {
        if operands.is_empty() {
            let rank = value.shape().unwrap_or_default().len();
            channel = axis_of(node.int("axis", 1), rank)?;
            if channel == 0 {
                return Err(Reason::unsupported("it joins images and not channels"));
            }
        }
        let (operand, shape, own) =
            joined(walk, node, i, value, channel).map_err(|reason| match channel {
                1 => reason,
                axis => reason.help(format!(
                    "images are joined along channels, which axis {axis} is not"
                )),
            })?;
        if operands.is_empty() {
            first.clone_from(&shape);
        }
        if shape.len() != first.len() || (!operands.is_empty() && own[1..] != image[1..]) {
            return Err(Reason::unsupported(format!(
                "inputs of the shapes {first:?} and {shape:?} do not join along channels"
            )));
        }
        image = [image[0] + own[0], own[1], own[2]];
        operands.push(operand);
    }
    if operands.is_empty() {
        return Err(Reason::dimensions("it has no inputs"));
    }
    let mut shape = first;
    shape[1] = image[0];
    let joined = Pending {
        label: node.label.clone(),
        op: PendingOp::Concat(operands),
        image,
        shape,
        order: Order::identity(image.iter().copied().fold(1, usize::saturating_mul)),
        range: UNLIMITED,
    };
    Ok((joined, channel))
}

/// One of the tensors that are joined: an image, or a row of channels `[1, C]`.
fn joined(
    walk: &mut Walk,
    node: &Node,
    i: usize,
    value: Value,
    channel: usize,
) -> Result<(Operand, Vec<usize>, [usize; 3]), Reason> {
    let &[1, channels] = value.shape().unwrap_or_default() else {
        return walk.moved_operand(node, i, value, channel);
    };
    let view = match value {
        Value::Integer(view) => view,
        _ => walk.real(node, i)?,
    };
    let tensor = walk.row(&view)?;
    Ok((Operand::Tensor(tensor), view.shape, [channels, 1, 1]))
}

/// Joins constants of one type, such as the lists from which exporters build the shape of a `Reshape`.
fn constants(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    let parts = (0..node.proto.input.len())
        .map(|i| walk.constant(node, i))
        .collect::<Result<Vec<_>, _>>()?;
    let dims = &parts[0].dims;
    let axis = axis_of(node.int("axis", 0), dims.len())?;
    let is_line = parts.iter().all(|part| part.dims.len() == 1);
    if axis != 0 || !is_line {
        return Err(Reason::unsupported("only lists of constants are joined"));
    }
    let width = parts[0].width()?;
    let mut values = Vec::new();
    for part in &parts {
        values.extend(part.integers()?);
    }
    let data = Data::of_integers(&values, width)
        .ok_or_else(|| Reason::constant("the lists have different types"))?;
    Ok(Value::Constant(Rc::new(Constant {
        dims: vec![values.len()],
        data,
    })))
}
