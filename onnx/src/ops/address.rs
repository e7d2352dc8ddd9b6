//! Operators that only change addresses: they change the view and leave nothing in the network.

use crate::constant::Constant;
use crate::error::Reason;
use crate::node::Node;
use crate::ops::axis_of;
use crate::order::Order;
use crate::value::{Pending, QuantConstant, Value, View};
use crate::walk::{Walk, pending};
use ir::fit::Fit;
use std::rc::Rc;

/// `Identity`, and `Dropout`, which does nothing after training.
pub(crate) fn identity(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    walk.value(node, 0)
}

/// `Dropout`, which does nothing outside of training.
pub(crate) fn dropout(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    if node.input(2).is_some() && walk.constant(node, 2)?.reals() != [0.0] {
        return Err(Reason::unsupported("`training_mode` is set")
            .help("export the network in evaluation mode"));
    }
    walk.value(node, 0)
}

/// `Reshape` to a constant shape.
pub(crate) fn reshape(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    let value = walk.value(node, 0)?;
    let mut target = walk.constant(node, 1)?.integers()?;
    let given = value.shape().unwrap_or_default().to_vec();
    if walk.batch > 1 && !is_constant(&value) {
        let rest = target.get(1..).unwrap_or_default().iter();
        let image: Option<i64> = rest
            .clone()
            .try_fold(1_i64, |product, &size| product.checked_mul(size));
        let batch = i64::try_from(walk.batch).ok();
        let keeps_batch = match target.first() {
            Some(&first) if Some(first) == batch => true,
            Some(0) => node.int("allowzero", 0) == 0,
            Some(-1) => image == i64::try_from(given.iter().product::<usize>()).ok(),
            _ => false,
        };
        if !keeps_batch {
            return Err(across_batch(walk.batch));
        }
        // One image of the batch.
        target[0] = 1;
    }
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
    with_shape(walk, node, value, shape)
}

/// `Flatten`.
pub(crate) fn flatten(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    let value = walk.value(node, 0)?;
    let shape = value.shape().unwrap_or_default().to_vec();
    let axis = node.int("axis", 1);
    // Here an axis behind the last dimension is allowed.
    let axis = if axis == shape.len().fit::<i64>() {
        shape.len()
    } else {
        axis_of(axis, shape.len())?
    };
    if walk.batch > 1 && axis == 0 && !is_constant(&value) {
        return Err(across_batch(walk.batch));
    }
    with_shape(
        walk,
        node,
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
    if walk.batch > 1 && axes.contains(&0) && !is_constant(&value) {
        return Err(across_batch(walk.batch));
    }
    let kept = shape
        .iter()
        .enumerate()
        .filter(|(axis, _)| !axes.contains(axis))
        .map(|(_, &size)| size);
    with_shape(walk, node, value, kept.collect())
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
    if walk.batch > 1 && axes.contains(&0) && !is_constant(&value) {
        return Err(across_batch(walk.batch));
    }
    for axis in axes {
        if axis > shape.len() {
            return Err(Reason::dimensions(format!("axis {axis} is given twice")));
        }
        shape.insert(axis, 1);
    }
    with_shape(walk, node, value, shape)
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
    permuted(walk, node, value, &permutation)
}

/// The value with axis `channel` as its second.
pub(crate) fn channels_first(
    walk: &mut Walk,
    node: &Node,
    value: Value,
    channel: usize,
) -> Result<Value, Reason> {
    let rank = value.shape().unwrap_or_default().len();
    permuted(walk, node, value, &to_second(channel, rank))
}

/// The value whose second axis becomes axis `channel`.
pub(crate) fn channels_back(
    walk: &mut Walk,
    node: &Node,
    value: Value,
    channel: usize,
) -> Result<Value, Reason> {
    let rank = value.shape().unwrap_or_default().len();
    let order = to_second(channel, rank);
    let place = |axis: usize| order.iter().position(|&from| from == axis);
    let back: Vec<usize> = (0..rank).filter_map(place).collect();
    permuted(walk, node, value, &back)
}

/// The axes with `axis` as the second, the others in their order; all in their order if there is no such axis.
fn to_second(axis: usize, rank: usize) -> Vec<usize> {
    let mut axes: Vec<usize> = (0..rank).collect();
    if (1..rank).contains(&axis) {
        axes[1..=axis].rotate_right(1);
    }
    axes
}

/// The value with its axes in the order of `permutation`.
fn permuted(
    walk: &mut Walk,
    node: &Node,
    value: Value,
    permutation: &[usize],
) -> Result<Value, Reason> {
    if permutation.iter().copied().eq(0..permutation.len()) {
        return Ok(value);
    }
    if walk.batch > 1 && permutation.first() != Some(&0) && !is_constant(&value) {
        return Err(across_batch(walk.batch));
    }
    let shape = value.shape().unwrap_or_default().to_vec();
    let moved: Vec<usize> = permutation.iter().map(|&axis| shape[axis]).collect();
    let turn = |order: &Order| {
        order
            .transpose(&shape, permutation)
            .ok_or_else(no_fixed_order)
    };
    let reorder = |view: View| -> Result<View, Reason> {
        Ok(View {
            order: turn(&view.order)?,
            shape: moved.clone(),
            ..view
        })
    };
    let identity = Order::identity(shape.iter().product());
    Ok(match value {
        Value::FloatInput(view) => Value::FloatInput(reorder(view)?),
        Value::Integer(view) => Value::Integer(reorder(view)?),
        Value::Real(view) => Value::Real(reorder(view)?),
        Value::Host(value) => {
            let order = turn(&identity)?;
            Value::Host(walk.arrange(&node.label, &value, moved, &order))
        }
        Value::Pending(result) => pending(Pending {
            order: turn(&result.order)?,
            shape: moved,
            ..result.as_ref().clone()
        }),
        Value::Constant(constant) => {
            Value::Constant(Rc::new(constant.arranged(moved, &turn(&identity)?)))
        }
        Value::QuantConstant(constant) => {
            let axis = permutation.iter().position(|&axis| axis == constant.axis);
            Value::QuantConstant(Rc::new(QuantConstant {
                integers: Rc::new(constant.integers.arranged(moved, &turn(&identity)?)),
                axis: axis.unwrap_or(constant.axis),
                ..constant.as_ref().clone()
            }))
        }
        Value::Broken => Value::Broken,
    })
}

/// The view with its two dimensions exchanged.
pub(crate) fn transposed(view: &View) -> Result<View, Reason> {
    let &[rows, columns] = view.shape.as_slice() else {
        return Err(Reason::dimensions(format!("{:?} is no matrix", view.shape)));
    };
    let turned = view.order.transpose(&[rows, columns], &[1, 0]);
    Ok(View {
        order: turned.ok_or_else(no_fixed_order)?,
        shape: vec![columns, rows],
        ..view.clone()
    })
}

/// The value with another shape of as many elements.
pub(crate) fn with_shape(
    walk: &mut Walk,
    node: &Node,
    value: Value,
    shape: Vec<usize>,
) -> Result<Value, Reason> {
    let given = value.shape().unwrap_or_default().to_vec();
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
        Value::Host(value) => {
            let order = Order::identity(shape.iter().product());
            Value::Host(walk.arrange(&node.label, &value, shape, &order))
        }
        Value::Pending(result) => pending(Pending {
            shape,
            ..result.as_ref().clone()
        }),
        Value::Constant(constant) => Value::Constant(Rc::new(Constant {
            dims: shape,
            ..constant.as_ref().clone()
        })),
        Value::QuantConstant(constant) => {
            let axis = same_axis(&given, constant.axis, &shape);
            if constant.scales.len() > 1 && axis.is_none() {
                return Err(Reason::unsupported(
                    "the axis with a scale for each channel is split or joined",
                ));
            }
            Value::QuantConstant(Rc::new(QuantConstant {
                integers: Rc::new(Constant {
                    dims: shape,
                    ..constant.integers.as_ref().clone()
                }),
                axis: axis.unwrap_or(0),
                ..constant.as_ref().clone()
            }))
        }
        Value::Broken => Value::Broken,
    })
}

/// The axis of `new` that is `axis` of `old`, if a reshape leaves it whole.
fn same_axis(old: &[usize], axis: usize, new: &[usize]) -> Option<usize> {
    let before: usize = old.get(..axis)?.iter().product();
    let size = *old.get(axis)?;
    let fits = |&at: &usize| new[at] == size && new[..at].iter().product::<usize>() == before;
    (0..new.len()).find(fits)
}

fn is_constant(value: &Value) -> bool {
    matches!(value, Value::Constant(_) | Value::QuantConstant(_))
}

/// The reason that a node does something across the images of a batch.
pub(crate) fn across_batch(batch: usize) -> Reason {
    Reason::unsupported(format!(
        "it works across the {batch} images of the batch, which run one after the other"
    ))
    .help("export with a batch of 1, or do this step outside the network")
}

fn no_fixed_order() -> Reason {
    Reason::unsupported("it splits the image in a way that is no fixed stride")
}

fn axes(walk: &mut Walk, node: &Node) -> Result<Option<Vec<i64>>, Reason> {
    match node.input(1) {
        Some(_) => Ok(Some(walk.constant(node, 1)?.integers()?)),
        None => Ok(node.ints("axes").map(<[i64]>::to_vec)),
    }
}
