//! `Relu` and `Clip`: a range, which ends up in the clamp of the operator before, or in a table.

use crate::constant::{Constant, Data};
use crate::error::Reason;
use crate::node::Node;
use crate::ops::quantise::copy;
use crate::value::{Pending, Value};
use crate::walk::{Walk, unexpected};
use std::fmt::Display;
use std::rc::Rc;

/// `Relu`.
pub(crate) fn relu(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    limit(walk, node, (0.0, f32::INFINITY))
}

/// `Clip` with constant bounds.
pub(crate) fn clip(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    if let Value::Constant(constant) = walk.value(node, 0)? {
        return clip_steps(walk, node, &constant);
    }
    let mut bounds = [f32::NEG_INFINITY, f32::INFINITY];
    for (i, bound) in bounds.iter_mut().enumerate() {
        if node.input(i + 1).is_none() {
            continue;
        }
        *bound = match walk.value(node, i + 1)? {
            Value::Constant(constant) => single(constant.floats()?)?,
            Value::QuantConstant(constant) => {
                let (steps, _) = constant.integers.integers()?;
                let (&[step], &[scale], &[zero]) = (
                    steps,
                    constant.scales.as_slice(),
                    constant.zero_points.as_slice(),
                ) else {
                    return Err(Reason::constant("a bound is not a single number"));
                };
                (step.saturating_sub(zero)) as f32 * scale
            }
            other => return Err(unexpected(i + 1, "a constant", &other)),
        };
    }
    limit(walk, node, range(bounds)?)
}

/// Clips the steps of quantised weights, as `torch.export` spells a range of -127 to 127.
fn clip_steps(walk: &mut Walk, node: &Node, constant: &Constant) -> Result<Value, Reason> {
    let (steps, width) = constant.integers()?;
    let mut bounds = [i64::MIN, i64::MAX];
    for (i, bound) in bounds.iter_mut().enumerate() {
        if node.input(i + 1).is_some() {
            *bound = single(walk.constant(node, i + 1)?.integers()?.0)?;
        }
    }
    let (lo, hi) = range(bounds)?;
    let steps = steps.iter().map(|step| (*step).clamp(lo, hi)).collect();
    Ok(Value::Constant(Rc::new(Constant {
        dims: constant.dims.clone(),
        data: Data::Integer(steps, width),
    })))
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

fn single<T: Copy>(values: &[T]) -> Result<T, Reason> {
    match values {
        [value] => Ok(*value),
        _ => Err(Reason::constant("a bound is not a single number")),
    }
}

fn limit(walk: &mut Walk, node: &Node, (lo, hi): (f32, f32)) -> Result<Value, Reason> {
    let pending = match walk.value(node, 0)? {
        Value::Pending(pending) => pending.as_ref().clone(),
        Value::Real(view) => copy(walk, &node.label, &view)?,
        other => {
            return Err(unexpected(
                0,
                "a float result or a dequantised tensor",
                &other,
            ));
        }
    };
    let range = (pending.range.0.clamp(lo, hi), pending.range.1.clamp(lo, hi));
    Ok(Value::Pending(Rc::new(Pending { range, ..pending })))
}
