//! `Gemm`, `MatMul` and their integer spellings, as convolutions.
//!
//! One row is a convolution whose window is the whole image, whatever the order in which a flatten has lined the image
//! up: the weights are put in the image's order. Several rows are a 1x1 convolution over as many pixels.

use crate::constant::Constant;
use crate::error::Reason;
use crate::node::Node;
use crate::ops::address;
use crate::ops::conv::{Affine, affine, bias, emit, quant_constant};
use crate::order::{Digit, Order};
use crate::value::{ConvDraft, Pending, PendingOp, QuantConstant, UNLIMITED, Value, View};
use crate::walk::{Walk, pending};
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
    product(walk, node, &a, &b, c, BiasOf::Result)
}

/// `MatMul` with constant weights between `DequantizeLinear` and `QuantizeLinear`.
pub(crate) fn matmul(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    let a = walk.real(node, 0)?;
    let b = quant_constant(walk, node, 1)?;
    product(walk, node, &a, &b, None, BiasOf::Result)
}

/// `QLinearMatMul` with constant weights.
pub(crate) fn qlinear_matmul(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    let a = walk.integer(node, 0)?;
    let b = walk.integer_constant(node, 3, 1)?;
    let result = product(walk, node, &a, &b, None, BiasOf::Result)?;
    emit(walk, node, &result, 6)
}

/// onnxruntime's `QGemm`, whose result is float where it has no output scale.
pub(crate) fn qgemm(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    let a = walk.integer(node, 0)?;
    let axis = if node.int("transB", 0) != 0 { 0 } else { 1 };
    let b = walk.integer_constant(node, 3, axis)?;
    let c = if node.input(6).is_some() {
        Some(walk.value(node, 6)?)
    } else {
        None
    };
    // Its bias is in steps of the scaled product: `alpha` scales both.
    let result = product(walk, node, &a, &b, c, BiasOf::Sum)?;
    if node.input(7).is_none() {
        return Ok(result);
    }
    emit(walk, node, &result, 7)
}

/// What a bias is added to.
#[derive(Clone, Copy, PartialEq)]
enum BiasOf {
    /// The sum of products, before `alpha`.
    Sum,
    /// The result, behind `alpha`, times `beta`.
    Result,
}

fn product(
    walk: &mut Walk,
    node: &Node,
    a: &View,
    b: &QuantConstant,
    c: Option<Value>,
    bias_of: BiasOf,
) -> Result<Value, Reason> {
    let a = &if node.int("transA", 0) == 0 {
        a.clone()
    } else {
        address::transposed(a)?
    };
    let transposed = node.int("transB", 0) != 0;
    let (n, k) = match *b.integers.dims.as_slice() {
        [n, k] if transposed => (n, k),
        [k, n] => (n, k),
        // A batch of one.
        [1, k, n] | [1, 1, k, n] => (n, k),
        _ => {
            return Err(Reason::dimensions(format!(
                "weights have the shape {:?}, two dimensions are needed",
                b.integers.dims
            )));
        }
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
    let axis = b.integers.dims.len() - if transposed { 2 } else { 1 };
    let (mut weights, scales) = b.weights(axis, n)?;
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
    let alpha = f64::from(node.float("alpha", 1.0));
    let scale = |&scale: &f32| f64::from(x_scale) * f64::from(scale);
    let scales: Vec<f64> = scales.iter().map(scale).collect();
    let is_scaled = alpha != 1.0 || (c.is_some() && node.float("beta", 1.0) != 1.0);
    let (of_sum, of_result) = if is_scaled && bias_of == BiasOf::Result {
        (None, c)
    } else {
        (c, None)
    };
    let bias = bias(squeeze_bias(of_sum, n)?, &scales)?;
    let draft = ConvDraft {
        input: a.tensor,
        out_channels: n,
        group_channels: image[0],
        groups: 1,
        window: Window::dense(kernel),
        stretch: [1, 1],
        weights,
        bias_steps: bias.steps,
        bias: bias.real,
        scales,
    };
    let output = if m == 1 {
        [n, 1, 1]
    } else {
        [n, image[1], image[2]]
    };
    // Weights of more dimensions give theirs to the result; a list has no rows, and gives a list.
    let batch = vec![1; b.integers.dims.len().saturating_sub(a.shape.len().max(2))];
    let result = Pending {
        label: node.label.clone(),
        op: PendingOp::Conv(draft.clone()),
        image: output,
        shape: [&batch[..], rows, &[n]].concat(),
        order: Order::new(vec![Digit { size: m, step: 1 }, Digit { size: n, step: m }]),
        range: UNLIMITED,
    };
    if !is_scaled {
        return Ok(pending(result));
    }
    // With `alpha` and `beta` the sum is one of real numbers.
    let beta = f64::from(node.float("beta", 1.0));
    let added = crate::ops::conv::bias(squeeze_bias(of_result, n)?, &draft.scales)?;
    let term = |channel: usize| Affine {
        factor: alpha,
        added: beta * (added.steps[channel] * draft.scales[channel] + added.real[channel]),
    };
    let terms: Vec<Affine> = (0..n).map(term).collect();
    affine(&result, &draft, &terms)
}

/// One row: the window is the whole image, and each row of `weights` is put in the image's order.
fn whole_image(
    walk: &mut Walk,
    a: &View,
    k: usize,
    weights: &mut [i16],
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

/// A bias may come as `[1, N]`, or as one value for all.
fn squeeze_bias(value: Option<Value>, n: usize) -> Result<Option<Value>, Reason> {
    let Some(value) = value else { return Ok(None) };
    let dims = value.shape().unwrap_or_default();
    let n_values: usize = dims.iter().product();
    let (last, before) = dims.split_last().unwrap_or((&1, &[]));
    if before.iter().any(|&size| size != 1) || (*last != n && *last != 1) {
        return Err(Reason::unsupported(format!(
            "a bias of the shape {dims:?}, one value for each of {n} columns is supported"
        )));
    }
    let spread = |constant: &Constant| Constant {
        dims: vec![n],
        data: constant.data.picked((0..n).map(|i| i % n_values)),
    };
    Ok(Some(match &value {
        Value::Constant(constant) => Value::Constant(Rc::new(spread(constant))),
        Value::QuantConstant(constant) => Value::QuantConstant(Rc::new(QuantConstant {
            integers: Rc::new(spread(&constant.integers)),
            axis: 0,
            ..constant.as_ref().clone()
        })),
        _ => value,
    }))
}
