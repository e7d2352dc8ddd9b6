//! `Add` and `QLinearAdd` of two activations.

use crate::error::Reason;
use crate::node::Node;
use crate::ops::conv::{bias, emit};
use crate::value::{Pending, PendingOp, Value, View};
use crate::walk::Walk;
use std::rc::Rc;

/// Addition between `DequantizeLinear` and `QuantizeLinear`; also the bias that exporters put behind a `MatMul`.
pub(crate) fn add(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    match (walk.value(node, 0)?, walk.value(node, 1)?) {
        (Value::Pending(sum), constant @ (Value::Constant(_) | Value::QuantConstant(_)))
        | (constant @ (Value::Constant(_) | Value::QuantConstant(_)), Value::Pending(sum)) => {
            add_bias(&sum, constant)
        }
        _ => {
            let (a, b) = (walk.real(node, 0)?, walk.real(node, 1)?);
            sum(walk, node, &a, &b)
        }
    }
}

/// onnxruntime's `QLinearAdd`.
pub(crate) fn qlinear_add(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    let (a, b) = (walk.integer(node, 0)?, walk.integer(node, 3)?);
    let pending = sum(walk, node, &a, &b)?;
    emit(walk, node, &pending, 6)
}

fn sum(walk: &mut Walk, node: &Node, a: &View, b: &View) -> Result<Value, Reason> {
    walk.decide_by_rank(a)?;
    walk.decide_by_rank(b)?;
    let image = walk.tensor(a.tensor).shape();
    let order = walk.order(a)?;
    if a.shape != b.shape || image != walk.tensor(b.tensor).shape() || order != walk.order(b)? {
        return Err(Reason::unsupported(format!(
            "operands {:?} and {:?} differ in shape or layout",
            a.shape, b.shape
        ))
        .help("only tensors of one shape are added; broadcasting is not supported"));
    }
    Ok(Value::Pending(Rc::new(Pending {
        label: node.label.clone(),
        op: PendingOp::Add,
        inputs: vec![a.tensor, b.tensor],
        image,
        shape: a.shape.clone(),
        order,
        range: (f32::NEG_INFINITY, f32::INFINITY),
    })))
}

fn add_bias(sum: &Pending, constant: Value) -> Result<Value, Reason> {
    let unclamped = sum.range == (f32::NEG_INFINITY, f32::INFINITY);
    let PendingOp::Conv(draft) = &sum.op else {
        return Err(Reason::unsupported(
            "addition of a constant, other than the bias of a product",
        ));
    };
    let is_bias = constant.shape().is_some_and(|dims| {
        dims.last() == sum.shape.last()
            && dims.iter().product::<usize>() == draft.out_channels
            && sum.shape.len() < 4
    });
    if !unclamped || !is_bias {
        return Err(Reason::unsupported(
            "addition of a constant, other than the bias of a product",
        ));
    }
    let added = bias(Some(constant), &draft.accumulator_scales)?;
    let mut draft = draft.clone();
    for (bias, added) in draft.bias.iter_mut().zip(added) {
        *bias = bias.wrapping_add(added);
    }
    Ok(Value::Pending(Rc::new(Pending {
        op: PendingOp::Conv(draft),
        ..sum.clone()
    })))
}
