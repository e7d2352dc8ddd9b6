//! Steps that the host computes, because they run once, in float, behind everything else.

use crate::error::Reason;
use crate::node::Node;
use crate::ops::address::across_batch;
use crate::ops::axis_of;
use crate::value::Value;
use crate::walk::Walk;
use ir::network::{HostOperator, HostType};
use std::ops::Range;

/// `Softmax`.
pub(crate) fn softmax(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    float_softmax(walk, node, false)
}

/// `LogSoftmax`.
pub(crate) fn log_softmax(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    float_softmax(walk, node, true)
}

fn float_softmax(walk: &mut Walk, node: &Node, log: bool) -> Result<Value, Reason> {
    let x = walk.host_input(node, 0)?;
    x.expect(&[HostType::Float32])?;
    let Range { start, end } = line(node, walk.opset, x.shape.len())?;
    refuse_batch(walk, start)?;
    let operator = HostOperator::Softmax {
        axis: start,
        end,
        log,
    };
    let result = walk.host_step(
        &node.label,
        operator,
        vec![x.id],
        x.shape,
        HostType::Float32,
    );
    Ok(Value::Host(result))
}

/// onnxruntime's `QLinearSoftmax`.
pub(crate) fn qlinear_softmax(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    let x = match walk.value(node, 0)? {
        Value::Integer(_) => {
            let view = walk.integer(node, 0)?;
            walk.on_host(&node.label, &Value::Integer(view))?
        }
        _ => walk.host_input(node, 0)?,
    };
    x.expect(&[HostType::Int8, HostType::Uint8])?;
    let unsigned = x.host_type == HostType::Uint8;
    let (of_x, of_y) = (
        walk.quant(node, 1, unsigned)?,
        walk.quant(node, 3, unsigned)?,
    );
    let Range { start, end } = line(node, node.int("opset", walk.opset), x.shape.len())?;
    refuse_batch(walk, start)?;
    let operator = HostOperator::QuantisedSoftmax {
        axis: start,
        end,
        x_scale: of_x.scale,
        y_scale: of_y.scale,
        y_zero_point: i32::from(of_y.zero_point) + if unsigned { 128 } else { 0 },
    };
    let result = walk.host_step(&node.label, operator, vec![x.id], x.shape, x.host_type);
    Ok(Value::Host(result))
}

/// The axes along which a softmax sums: one, and before operator set 13 all from the given one on.
fn line(node: &Node, opset: i64, rank: usize) -> Result<Range<usize>, Reason> {
    if opset >= 13 {
        let axis = axis_of(node.int("axis", -1), rank)?;
        return Ok(axis..axis + 1);
    }
    Ok(axis_of(node.int("axis", 1), rank)?..rank)
}

fn refuse_batch(walk: &Walk, axis: usize) -> Result<(), Reason> {
    if axis == 0 && walk.batch > 1 {
        return Err(across_batch(walk.batch));
    }
    Ok(())
}

/// `ArgMax`.
pub(crate) fn arg_max(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    position(walk, node, false)
}

/// `ArgMin`.
pub(crate) fn arg_min(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    position(walk, node, true)
}

fn position(walk: &mut Walk, node: &Node, smallest: bool) -> Result<Value, Reason> {
    let x = walk.host_input(node, 0)?;
    x.expect(&[HostType::Float32, HostType::Int8, HostType::Uint8])?;
    let axis = axis_of(node.int("axis", 0), x.shape.len())?;
    refuse_batch(walk, axis)?;
    let operator = HostOperator::ArgMax {
        axis,
        last: node.int("select_last_index", 0) != 0,
        smallest,
    };
    let mut shape = x.shape;
    shape[axis] = 1;
    let result = walk.host_step(
        &node.label,
        operator,
        vec![x.id],
        shape.clone(),
        HostType::Int64,
    );
    if node.int("keepdims", 1) != 0 {
        return Ok(Value::Host(result));
    }
    shape.remove(axis);
    let order = crate::order::Order::identity(shape.iter().product());
    Ok(Value::Host(walk.arrange(
        &node.label,
        &result,
        shape,
        &order,
    )))
}
