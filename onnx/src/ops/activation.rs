//! `Relu` and `Clip`: a range, which ends up in the clamp of the operator before, or in a table.

use crate::constant::{Constant, Data};
use crate::error::Reason;
use crate::node::Node;
use crate::ops::quantise::copy;
use crate::value::{Value, View};
use crate::walk::{Walk, pending, unexpected};
use std::fmt::Display;
use std::rc::Rc;

/// `Relu`.
pub(crate) fn relu(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    limit(walk, node, (0.0, f32::INFINITY))
}

/// `Clip` with constant bounds, which are attributes before operator set 11.
pub(crate) fn clip(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    match walk.value(node, 0)? {
        Value::Constant(constant) => return clip_steps(walk, node, &constant),
        Value::Integer(view) => return clip_codes(walk, node, &view),
        _ => {}
    }
    let mut bounds = [
        node.float("min", f32::NEG_INFINITY),
        node.float("max", f32::INFINITY),
    ];
    for (i, bound) in bounds.iter_mut().enumerate() {
        if node.input(i + 1).is_none() {
            continue;
        }
        let value = walk.value(node, i + 1)?;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "bounds of the file are floats"
        )]
        let single = match &value {
            Value::Constant(constant) => Constant::single(constant.floats()?)?,
            Value::QuantConstant(constant) => Constant::single(&constant.reals()?)? as f32,
            other => return Err(unexpected(i + 1, "a constant", other)),
        };
        *bound = single;
    }
    limit(walk, node, range(bounds)?)
}

/// Clips the integers of a tensor, as exporters spell values of fewer than eight bits.
fn clip_codes(walk: &mut Walk, node: &Node, view: &View) -> Result<Value, Reason> {
    let quant = walk.quant_of(view.tensor)?;
    let rebase = if quant.unsigned { 128 } else { 0 };
    let (lo, hi) = integer_bounds(walk, node)?;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "it is held in the range of int8"
    )]
    let code = |bound: i64| bound.saturating_sub(rebase).clamp(-128, 127) as i8;
    let range = (quant.dequantise(code(lo)), quant.dequantise(code(hi)));
    let clipped = copy(walk, &node.label, view)?.limited(range);
    let name = node.proto.output.first().map_or("", String::as_str);
    Ok(Value::Integer(walk.emit(&clipped, name, quant)?))
}

/// Clips the steps of quantised weights, as `torch.export` spells a range of -127 to 127.
fn clip_steps(walk: &mut Walk, node: &Node, constant: &Constant) -> Result<Value, Reason> {
    let (lo, hi) = integer_bounds(walk, node)?;
    let steps = constant.integers()?.into_iter();
    let steps: Vec<i64> = steps.map(|step| step.clamp(lo, hi)).collect();
    let data = Data::of_integers(&steps, constant.width()?)
        .ok_or_else(|| Reason::constant(format!("the bounds {lo} and {hi} do not fit its type")))?;
    Ok(Value::Constant(Rc::new(Constant {
        dims: constant.dims.clone(),
        data,
    })))
}

fn integer_bounds(walk: &mut Walk, node: &Node) -> Result<(i64, i64), Reason> {
    let mut bounds = [i64::MIN, i64::MAX];
    for (i, bound) in bounds.iter_mut().enumerate() {
        if node.input(i + 1).is_some() {
            *bound = Constant::single(&walk.constant(node, i + 1)?.integers()?)?;
        }
    }
    range(bounds)
}

/// The bounds, if they are in order; NaN never is.
fn range<T: PartialOrd + Display>([lo, hi]: [T; 2]) -> Result<(T, T), Reason> {
    if lo <= hi {
        return Ok((lo, hi));
    }
    Err(Reason::constant(format!(
        "the bounds {lo} and {hi} are no range"
    )))
}

fn limit(walk: &mut Walk, node: &Node, range: (f32, f32)) -> Result<Value, Reason> {
    Ok(pending(match walk.value(node, 0)? {
        Value::Pending(result) => result.limited(range),
        Value::Real(view) => copy(walk, &node.label, &view)?.limited(range),
        other => {
            return Err(unexpected(
                0,
                "a float result or a dequantised tensor",
                &other,
            ));
        }
    }))
}
