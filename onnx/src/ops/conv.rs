//! `Conv` and `QLinearConv`.

use crate::error::Reason;
use crate::node::Node;
use crate::ops::window::window;
use crate::value::{ConvDraft, PendingOp, QuantConstant, Value, View};
use crate::walk::Walk;
use crate::walk::pending_image;
use std::rc::Rc;

/// Convolution between `DequantizeLinear` and `QuantizeLinear`.
pub(crate) fn conv(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    let x = walk.real(node, 0)?;
    let weights = quant_constant(walk, node, 1)?;
    let bias = if node.input(2).is_some() {
        Some(walk.value(node, 2)?)
    } else {
        None
    };
    convolution(walk, node, &x, &weights, bias)
}

/// Convolution of integers.
pub(crate) fn qlinear_conv(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    let x = walk.integer(node, 0)?;
    let weights = walk.integer_constant(node, 3, 0)?;
    let bias = if node.input(8).is_some() {
        Some(walk.value(node, 8)?)
    } else {
        None
    };
    let pending = convolution(walk, node, &x, &weights, bias)?;
    emit(walk, node, &pending, 6)
}

/// Gives the pending result of a `QLinear` node the scale at input `i`.
pub(crate) fn emit(
    walk: &mut Walk,
    node: &Node,
    pending: &Value,
    i: usize,
) -> Result<Value, Reason> {
    let Value::Pending(pending) = pending else {
        return Ok(Value::Broken);
    };
    let unsigned = walk.is_unsigned(pending.inputs[0]);
    let quant = walk.quant(node, i, unsigned)?;
    let name = node.proto.output.first().map_or("", String::as_str);
    Ok(Value::Integer(walk.emit(pending, name, quant)?))
}

/// The quantised weights at input `i` of a float node.
pub(crate) fn quant_constant(
    walk: &mut Walk,
    node: &Node,
    i: usize,
) -> Result<Rc<QuantConstant>, Reason> {
    match walk.value(node, i)? {
        Value::QuantConstant(constant) => Ok(constant),
        other => Err(crate::walk::unexpected(i, "a dequantised constant", &other)
            .help("weights must be int8 constants")),
    }
}

/// The bias of each channel in steps of the accumulator.
pub(crate) fn bias(value: Option<Value>, accumulator_scales: &[f32]) -> Result<Vec<i32>, Reason> {
    match value {
        None => Ok(vec![0; accumulator_scales.len()]),
        Some(Value::QuantConstant(constant)) => constant.bias(accumulator_scales),
        Some(Value::Constant(constant)) => {
            let scales = if constant.floats().is_ok() {
                vec![1.0]
            } else {
                accumulator_scales.to_vec()
            };
            if let Ok(floats) = constant.floats() {
                return float_bias(floats, accumulator_scales);
            }
            let integers = constant.as_ref().clone();
            QuantConstant {
                integers,
                scales,
                zero_points: vec![0],
                axis: 0,
            }
            .bias(accumulator_scales)
        }
        Some(other) => Err(Reason::unsupported(format!(
            "bias is {}, a constant is needed",
            other.describe()
        ))),
    }
}

fn float_bias(floats: &[f32], accumulator_scales: &[f32]) -> Result<Vec<i32>, Reason> {
    if floats.len() != accumulator_scales.len() {
        return Err(Reason::constant(format!(
            "bias has {} values for {} channels",
            floats.len(),
            accumulator_scales.len()
        )));
    }
    let steps = |(&value, &scale): (&f32, &f32)| (value / scale).round_ties_even() as i32;
    Ok(floats.iter().zip(accumulator_scales).map(steps).collect())
}

fn convolution(
    walk: &mut Walk,
    node: &Node,
    x: &View,
    constant: &QuantConstant,
    bias_value: Option<Value>,
) -> Result<Value, Reason> {
    let image = walk.image(x)?;
    let (out_channels, group_channels, kernel) = match *constant.integers.dims.as_slice() {
        [out, group, rows, columns] => (out, group, [rows, columns]),
        [out, group, columns] => (out, group, [1, columns]),
        _ => {
            return Err(Reason::dimensions(format!(
                "weights have the shape {:?}",
                constant.integers.dims
            )));
        }
    };
    let declared: [usize; 2] = if node.ints("kernel_shape").is_some() {
        node.sizes("kernel_shape", 1)?
    } else {
        kernel
    };
    let groups = usize::try_from(node.int("group", 1)).unwrap_or(0);
    if declared != kernel
        || groups == 0
        || out_channels == 0
        || group_channels.checked_mul(groups) != Some(image[0])
        || !out_channels.is_multiple_of(groups)
    {
        return Err(Reason::dimensions(format!(
            "weights of the shape {:?} in {groups} groups do not fit {} channels and the kernel {declared:?}",
            constant.integers.dims, image[0]
        )));
    }
    let window = window(node, kernel, [image[1], image[2]])?;
    let [rows, columns] = window.output_size([image[1], image[2]])?;
    let (weights, weight_scales) = constant.weights(0, out_channels)?;
    let x_scale = walk.quant_of(x.tensor)?.scale;
    let accumulator_scales: Vec<f32> = weight_scales.iter().map(|&scale| x_scale * scale).collect();
    let bias = bias(bias_value, &accumulator_scales)?;
    let draft = ConvDraft {
        out_channels,
        group_channels,
        groups,
        window,
        weights,
        bias,
        accumulator_scales,
    };
    let op = PendingOp::Conv(draft);
    let pending = pending_image(
        &node.label,
        op,
        vec![x.tensor],
        [out_channels, rows, columns],
        x.shape.len(),
    );
    Ok(Value::Pending(Rc::new(pending)))
}
