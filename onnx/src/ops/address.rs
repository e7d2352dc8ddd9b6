//! Operators that only change addresses: they change the view and leave nothing in the network.

use crate::constant::{Constant, Data};
use crate::error::Reason;
use crate::node::Node;
use crate::ops::axis_of;
use crate::value::{Pending, QuantConstant, Value, View};
use crate::walk::Walk;
use std::rc::Rc;

/// `Identity`.
pub(crate) fn identity(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    walk.value(node, 0)
}

/// `Reshape` to a constant shape.
pub(crate) fn reshape(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    let value = walk.value(node, 0)?;
    let target = walk.constant(node, 1)?;
    let (target, _) = target.integers()?;
    let given = value.shape().unwrap_or_default().to_vec();
    let n_values: usize = given.iter().product();
    let keeps_zero = node.int("allowzero", 0) == 0;
    let mut shape = Vec::with_capacity(target.len());
    for (axis, &size) in target.iter().enumerate() {
        shape.push(match (size, given.get(axis)) {
            (0, Some(&size)) if keeps_zero => size,
            (-1, _) => 1,
            (size, _) => usize::try_from(size).unwrap_or(0),
        });
    }
    if let Some(open) = target.iter().position(|&size| size == -1) {
        let rest = shape
            .iter()
            .try_fold(1_usize, |product, &size| product.checked_mul(size))
            .unwrap_or(0);
        shape[open] = n_values.checked_div(rest).unwrap_or(0);
    }
    with_shape(value, shape)
}

/// `Flatten`.
pub(crate) fn flatten(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    let value = walk.value(node, 0)?;
    let shape = value.shape().unwrap_or_default().to_vec();
    let axis = node.int("axis", 1);
    // Here an axis behind the last dimension is allowed.
    let axis = if axis == shape.len() as i64 {
        shape.len()
    } else {
        axis_of(axis, shape.len())?
    };
    with_shape(
        value,
        vec![
            shape[..axis].iter().product(),
            shape[axis..].iter().product(),
        ],
    )
}

/// `Squeeze`.
pub(crate) fn squeeze(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    let value = walk.value(node, 0)?;
    let shape = value.shape().unwrap_or_default().to_vec();
    let axes = match axes(walk, node)? {
        Some(axes) => axes
            .iter()
            .map(|&axis| axis_of(axis, shape.len()))
            .collect::<Result<_, _>>()?,
        None => (0..shape.len())
            .filter(|&axis| shape[axis] == 1)
            .collect::<Vec<_>>(),
    };
    let kept = shape
        .iter()
        .enumerate()
        .filter(|(axis, _)| !axes.contains(axis))
        .map(|(_, &size)| size);
    with_shape(value, kept.collect())
}

/// `Unsqueeze`.
pub(crate) fn unsqueeze(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    let value = walk.value(node, 0)?;
    let mut shape = value.shape().unwrap_or_default().to_vec();
    let given = axes(walk, node)?.unwrap_or_default();
    let rank = shape.len() + given.len();
    let mut axes = given
        .iter()
        .map(|&axis| axis_of(axis, rank))
        .collect::<Result<Vec<_>, _>>()?;
    axes.sort_unstable();
    for axis in axes {
        if axis > shape.len() {
            return Err(Reason::dimensions(format!("axis {axis} is given twice")));
        }
        shape.insert(axis, 1);
    }
    with_shape(value, shape)
}

/// `Transpose`.
pub(crate) fn transpose(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    let value = walk.value(node, 0)?;
    let shape = value.shape().unwrap_or_default().to_vec();
    let permutation = match node.ints("perm") {
        Some(given) => given
            .iter()
            .map(|&axis| axis_of(axis, shape.len()))
            .collect::<Result<Vec<_>, _>>()?,
        None => (0..shape.len()).rev().collect(),
    };
    let mut sorted = permutation.clone();
    sorted.sort_unstable();
    if !sorted.into_iter().eq(0..shape.len()) {
        return Err(Reason::dimensions(format!(
            "`perm` {permutation:?} is no permutation of {} dimensions",
            shape.len()
        )));
    }
    let moved: Vec<usize> = permutation.iter().map(|&axis| shape[axis]).collect();
    let reorder = |view: View| -> Result<View, Reason> {
        let order = view
            .order
            .transpose(&shape, &permutation)
            .ok_or_else(no_fixed_order)?;
        Ok(View {
            order,
            shape: moved.clone(),
            ..view
        })
    };
    Ok(match value {
        Value::FloatInput(view) => Value::FloatInput(reorder(view)?),
        Value::Integer(view) => Value::Integer(reorder(view)?),
        Value::Real(view) => Value::Real(reorder(view)?),
        Value::Host(view) => Value::Host(reorder(view)?),
        Value::Pending(pending) => {
            let order = pending
                .order
                .transpose(&shape, &permutation)
                .ok_or_else(no_fixed_order)?;
            Value::Pending(Rc::new(Pending {
                order,
                shape: moved,
                ..pending.as_ref().clone()
            }))
        }
        Value::Constant(constant) if permutation == [1, 0] => {
            Value::Constant(Rc::new(turn(&constant)))
        }
        Value::QuantConstant(constant) if permutation == [1, 0] => {
            let integers = turn(&constant.integers);
            let axis = 1 - constant.axis.min(1);
            Value::QuantConstant(Rc::new(QuantConstant {
                integers,
                axis,
                ..constant.as_ref().clone()
            }))
        }
        _ => {
            return Err(Reason::unsupported(
                "transposed constant of more than two dimensions",
            ));
        }
    })
}

/// The value with another shape of as many elements.
pub(crate) fn with_shape(value: Value, shape: Vec<usize>) -> Result<Value, Reason> {
    let given = value.shape().unwrap_or_default();
    let n_values = shape
        .iter()
        .try_fold(1_usize, |product, &size| product.checked_mul(size));
    if n_values != Some(given.iter().product()) {
        return Err(Reason::dimensions(format!(
            "shape {given:?} cannot become {shape:?}"
        )));
    }
    Ok(match value {
        Value::FloatInput(view) => Value::FloatInput(View { shape, ..view }),
        Value::Integer(view) => Value::Integer(View { shape, ..view }),
        Value::Real(view) => Value::Real(View { shape, ..view }),
        Value::Host(view) => Value::Host(View { shape, ..view }),
        Value::Pending(pending) => Value::Pending(Rc::new(Pending {
            shape,
            ..pending.as_ref().clone()
        })),
        Value::Constant(constant) => Value::Constant(Rc::new(Constant {
            dims: shape,
            ..constant.as_ref().clone()
        })),
        Value::QuantConstant(constant) if constant.scales.len() <= 1 => {
            let integers = Constant {
                dims: shape,
                ..constant.integers.clone()
            };
            Value::QuantConstant(Rc::new(QuantConstant {
                integers,
                ..constant.as_ref().clone()
            }))
        }
        Value::QuantConstant(_) => {
            return Err(Reason::unsupported(
                "reshaped constant with a scale for each channel",
            ));
        }
        Value::Broken => Value::Broken,
    })
}

fn no_fixed_order() -> Reason {
    Reason::unsupported("it splits the image in a way that is no fixed stride")
}

fn axes(walk: &mut Walk, node: &Node) -> Result<Option<Vec<i64>>, Reason> {
    match node.input(1) {
        Some(_) => Ok(Some(walk.constant(node, 1)?.integers()?.0.to_vec())),
        None => Ok(node.ints("axes").map(<[i64]>::to_vec)),
    }
}

/// The transpose of a constant matrix.
fn turn(constant: &Constant) -> Constant {
    let [rows, columns] = [constant.dims[0], constant.dims[1]];
    let sources =
        || (0..columns).flat_map(move |column| (0..rows).map(move |row| row * columns + column));
    let data = match &constant.data {
        Data::Float(values) => Data::Float(sources().map(|i| values[i]).collect()),
        Data::Integer(values, width) => {
            Data::Integer(sources().map(|i| values[i]).collect(), *width)
        }
    };
    Constant {
        dims: vec![columns, rows],
        data,
    }
}
