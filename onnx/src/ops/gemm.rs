//! `Gemm`, `MatMul` and their integer spellings, as convolutions.
//!
//! One row is a convolution whose window is the whole image, whatever the order in which a flatten has lined the image
//! up: the weights are put in the image's order. Several rows are a 1x1 convolution over as many pixels.

use crate::constant::Constant;
use crate::error::Reason;
use crate::node::Node;
use crate::ops::conv::{bias, emit, quant_constant};
use crate::order::{Digit, Order};
use crate::value::{ConvDraft, Pending, PendingOp, QuantConstant, Value, View};
use crate::walk::Walk;
use ir::op::Window;
use std::rc::Rc;

/// `Gemm` between `DequantizeLinear` and `QuantizeLinear`.
pub(crate) fn gemm(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    let a = walk.real(node, 0)?;
    let b = quant_constant(walk, node, 1)?;
    let c = if node.input(2).is_some() {
        Some(walk.value(node, 2)?)
    } else {
        None
    };
    product(walk, node, &a, &b, c)
}

/// `MatMul` with constant weights between `DequantizeLinear` and `QuantizeLinear`.
pub(crate) fn matmul(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    let a = walk.real(node, 0)?;
    let b = quant_constant(walk, node, 1)?;
    product(walk, node, &a, &b, None)
}

/// `QLinearMatMul` with constant weights.
pub(crate) fn qlinear_matmul(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    let a = walk.integer(node, 0)?;
    let b = walk.integer_constant(node, 3, 1)?;
    let pending = product(walk, node, &a, &b, None)?;
    emit(walk, node, &pending, 6)
}

/// onnxruntime's `QGemm` with an int8 result.
pub(crate) fn qgemm(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    if node.input(7).is_none() {
        return Err(Reason::unsupported("its result is float").help("give it an output scale"));
    }
    let a = walk.integer(node, 0)?;
    let axis = if node.int("transB", 0) != 0 { 0 } else { 1 };
    let b = walk.integer_constant(node, 3, axis)?;
    let c = if node.input(6).is_some() {
        Some(walk.value(node, 6)?)
    } else {
        None
    };
    let pending = product(walk, node, &a, &b, c)?;
    emit(walk, node, &pending, 7)
}

fn product(
    walk: &mut Walk,
    node: &Node,
    a: &View,
    b: &QuantConstant,
    c: Option<Value>,
) -> Result<Value, Reason> {
    if node.int("transA", 0) != 0
        || node.float("alpha", 1.0) != 1.0
        || (c.is_some() && node.float("beta", 1.0) != 1.0)
    {
        return Err(Reason::unsupported(
            "`transA`, `alpha` or `beta` differ from 0, 1 and 1",
        ));
    }
    let transposed = node.int("transB", 0) != 0;
    let &[first, second] = b.integers.dims.as_slice() else {
        return Err(Reason::dimensions(format!(
            "weights have the shape {:?}, two dimensions are needed",
            b.integers.dims
        )));
    };
    let (n, k) = if transposed {
        (first, second)
    } else {
        (second, first)
    };
    let Some((&columns, rows)) = a
        .shape
        .split_last()
        .filter(|(columns, _)| **columns == k && k > 0 && n > 0)
    else {
        return Err(Reason::dimensions(format!(
            "input {:?} and weights {:?} do not fit",
            a.shape, b.integers.dims
        )));
    };
    let m: usize = rows.iter().product();
    let (mut weights, scales) = b.weights(if transposed { 0 } else { 1 }, n)?;
    if !transposed {
        weights = (0..n)
            .flat_map(|out| (0..k).map(move |i| (out, i)))
            .map(|(out, i)| weights[i * n + out])
            .collect();
    }
    let (kernel, image) = if m == 1 {
        whole_image(walk, a, columns, &mut weights)?
    } else {
        pixels(walk, a, [m, k])?
    };
    let x_scale = walk.quant_of(a.tensor)?.scale;
    let accumulator_scales: Vec<f32> = scales.iter().map(|&scale| x_scale * scale).collect();
    let bias = bias(c.map(squeeze_bias), &accumulator_scales)?;
    let draft = ConvDraft {
        out_channels: n,
        group_channels: image[0],
        groups: 1,
        window: Window::dense(kernel),
        weights,
        bias,
        accumulator_scales,
    };
    let output = if m == 1 {
        [n, 1, 1]
    } else {
        [n, image[1], image[2]]
    };
    let pending = Pending {
        label: node.label.clone(),
        op: PendingOp::Conv(draft),
        inputs: vec![a.tensor],
        image: output,
        shape: [rows, &[n]].concat(),
        order: Order::new(vec![Digit { size: m, step: 1 }, Digit { size: n, step: m }]),
        range: (f32::NEG_INFINITY, f32::INFINITY),
    };
    Ok(Value::Pending(Rc::new(pending)))
}

/// One row: the window is the whole image, and each row of `weights` is put in the image's order.
fn whole_image(
    walk: &mut Walk,
    a: &View,
    k: usize,
    weights: &mut [i8],
) -> Result<([usize; 2], [usize; 3]), Reason> {
    if walk.drafts[a.tensor.index()].image.is_none() {
        let image = match *walk.host_shape(a.tensor) {
            [1, channels, height, width]
                if channels * height * width == k && a.order.is_identity() =>
            {
                [channels, height, width]
            }
            _ => [k, 1, 1],
        };
        walk.decide(a, image)?;
    }
    let order = walk.order(a)?;
    if !order.is_identity() {
        let positions = order.positions();
        for row in weights.chunks_mut(k) {
            let given = row.to_vec();
            for (&position, value) in positions.iter().zip(given) {
                row[position] = value;
            }
        }
    }
    let image = walk.tensor(a.tensor).shape();
    Ok(([image[1], image[2]], image))
}

/// Several rows: each is a pixel.
fn pixels(
    walk: &mut Walk,
    a: &View,
    [m, k]: [usize; 2],
) -> Result<([usize; 2], [usize; 3]), Reason> {
    if walk.drafts[a.tensor.index()].image.is_none() {
        let steps = a
            .order
            .steps(&[m, k])
            .map(|_| a.order.transpose(&[m, k], &[1, 0]));
        let columns = steps
            .flatten()
            .ok_or_else(|| Reason::unsupported("its rows are no fixed stride apart"))?;
        walk.decide(
            &View {
                order: columns,
                ..a.clone()
            },
            [k, m, 1],
        )?;
    }
    let image = walk.tensor(a.tensor).shape();
    let expected = Order::new(vec![Digit { size: m, step: 1 }, Digit { size: k, step: m }]);
    if walk.order(a)? != expected || image[0] != k {
        return Err(Reason::unsupported(
            "its rows are not the pixels of an image with the columns as channels",
        ));
    }
    Ok(([1, 1], image))
}

/// A bias may come as `[1, N]`.
fn squeeze_bias(value: Value) -> Value {
    match value {
        Value::QuantConstant(constant) if constant.integers.dims.len() > 1 => {
            let n = constant.integers.dims.iter().product();
            let integers = Constant {
                dims: vec![n],
                data: constant.integers.data.clone(),
            };
            Value::QuantConstant(Rc::new(QuantConstant {
                integers,
                ..constant.as_ref().clone()
            }))
        }
        other => other,
    }
}
