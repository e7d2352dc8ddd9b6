//! `Concat` and `QLinearConcat` along channels.

use crate::constant::Constant;
use crate::error::Reason;
use crate::node::Node;
use crate::ops::axis_of;
use crate::ops::conv::emit;
use crate::order::Order;
use crate::value::{Pending, PendingOp, Value, View};
use crate::walk::Walk;
use std::rc::Rc;

/// Joins dequantised or quantised tensors along channels, or constant lists.
pub(crate) fn concat(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    if matches!(walk.value(node, 0)?, Value::Constant(_)) {
        return constants(walk, node);
    }
    let n = node.proto.input.len();
    if let Value::Integer(first) = walk.value(node, 0)? {
        let quant = walk.quant_of(first.tensor)?;
        let mut views = Vec::with_capacity(n);
        for i in 0..n {
            match walk.value(node, i)? {
                Value::Integer(view) if walk.quant_of(view.tensor)? == quant => views.push(view),
                other => {
                    return Err(Reason::unsupported(format!(
                        "input {i}, {}, has another scale",
                        other.describe()
                    )));
                }
            }
        }
        let pending = join(walk, node, &views)?;
        let name = node.proto.output.first().map_or("", String::as_str);
        return Ok(Value::Integer(walk.emit(&pending, name, quant)?));
    }
    let views = (0..n)
        .map(|i| walk.real(node, i))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Value::Pending(Rc::new(join(walk, node, &views)?)))
}

/// onnxruntime's `QLinearConcat`: output scale first, then each input with its own.
pub(crate) fn qlinear_concat(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    let starts = (2..node.proto.input.len()).step_by(3);
    let views = starts
        .map(|i| walk.integer(node, i))
        .collect::<Result<Vec<_>, _>>()?;
    let pending = Value::Pending(Rc::new(join(walk, node, &views)?));
    emit(walk, node, &pending, 0)
}

fn join(walk: &mut Walk, node: &Node, views: &[View]) -> Result<Pending, Reason> {
    let Some(first) = views.first() else {
        return Err(Reason::dimensions("it has no inputs"));
    };
    let rank = first.shape.len();
    if axis_of(node.int("axis", 1), rank)? != 1 || first.shape[0] != 1 {
        return Err(Reason::unsupported("it does not join channels (axis 1)"));
    }
    let mut image = [0; 3];
    for view in views {
        walk.decide_by_rank(view)?;
        let shape = walk.tensor(view.tensor).shape();
        let is_plain = view.shape.len() == rank
            && shape[0] == view.shape[1]
            && walk.order(view)?.is_identity();
        if !is_plain || (image[0] > 0 && shape[1..] != image[1..]) {
            return Err(Reason::unsupported(format!(
                "inputs of the shapes {:?} and {:?} do not join along channels",
                first.shape, view.shape
            )));
        }
        image = [image[0] + shape[0], shape[1], shape[2]];
    }
    let mut shape = first.shape.clone();
    shape[1] = image[0];
    Ok(Pending {
        label: node.label.clone(),
        op: PendingOp::Concat,
        inputs: views.iter().map(|view| view.tensor).collect(),
        image,
        shape,
        order: Order::identity(image.iter().product()),
        range: (f32::NEG_INFINITY, f32::INFINITY),
    })
}

/// Joins lists of sizes, from which exporters build the shape of a `Reshape`.
fn constants(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    let mut joined = Vec::new();
    for i in 0..node.proto.input.len() {
        joined.extend_from_slice(walk.constant(node, i)?.integers()?.0);
    }
    Ok(Value::Constant(Rc::new(Constant::list(joined))))
}
