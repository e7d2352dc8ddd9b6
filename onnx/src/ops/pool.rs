//! Pooling in all its spellings.

use crate::error::Reason;
use crate::node::Node;
use crate::ops::address::{channels_back, channels_first};
use crate::ops::conv::emit;
use crate::ops::window::{padded, window};
use crate::ops::{address, axis_of};
use crate::value::{PendingOp, Value, View};
use crate::walk::{Walk, pending, pending_image};
use ir::network::{HostOperator, HostType, TensorId};
use ir::op::Window;

/// `MaxPool`, on dequantised or on quantised values.
pub(crate) fn max_pool(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    refuse_column_major(node)?;
    let (operand, shape, image) = walk.moved(node, 0, 1)?;
    let window = window(node, kernel(node)?, [image[1], image[2]])?;
    let output = window.pooled_shape(image)?;
    let op = PendingOp::MaxPool(operand, window);
    let result = pending_image(&node.label, op, output, shape.len());
    walk.moved_value(node, result)
}

/// `GlobalMaxPool`.
pub(crate) fn global_max_pool(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    global_max(walk, node, 1)
}

fn global_max(walk: &mut Walk, node: &Node, channel: usize) -> Result<Value, Reason> {
    let (operand, shape, image) = walk.moved(node, 0, channel)?;
    let op = PendingOp::MaxPool(operand, Window::dense([image[1], image[2]]));
    let result = pending_image(&node.label, op, [image[0], 1, 1], shape.len());
    walk.moved_value(node, result)
}

/// `ReduceMax` over rows and columns, as some exporters spell the global maximum.
pub(crate) fn reduce_max(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    let rank = walk.value(node, 0)?.shape().unwrap_or_default().len();
    let channel = kept_axis(walk, node, rank)?;
    let result = global_max(walk, node, channel)?;
    reduced(walk, node, result, channel)
}

/// `AveragePool` between `DequantizeLinear` and `QuantizeLinear`.
pub(crate) fn average_pool(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    let view = walk.real(node, 0)?;
    average(walk, node, &view)
}

/// onnxruntime's `QLinearAveragePool`.
pub(crate) fn qlinear_average_pool(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    refuse_channels_last(node)?;
    let view = walk.integer(node, 0)?;
    let result = average(walk, node, &view)?;
    emit(walk, node, &result, 3)
}

/// `GlobalAveragePool` between `DequantizeLinear` and `QuantizeLinear`.
pub(crate) fn global_average_pool(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    let value = walk.value(node, 0)?;
    if let Value::Pending(result) = &value
        && let PendingOp::Conv(_) = result.op
        && result.shape.len() > 2
    {
        return on_host(walk, node, &value);
    }
    let view = walk.real(node, 0)?;
    global(walk, node, &view)
}

/// onnxruntime's `QLinearGlobalAveragePool`.
pub(crate) fn qlinear_global_average_pool(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    refuse_channels_last(node)?;
    let view = walk.integer(node, 0)?;
    let result = global(walk, node, &view)?;
    emit(walk, node, &result, 3)
}

/// `ReduceMean` over rows and columns, as some exporters spell the global average.
pub(crate) fn reduce_mean(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    let view = walk.real(node, 0)?;
    let channel = kept_axis(walk, node, view.shape.len())?;
    let Value::Real(view) = channels_first(walk, node, Value::Real(view), channel)? else {
        unreachable!("a view in another order is a view");
    };
    let result = global(walk, node, &view)?;
    reduced(walk, node, result, channel)
}

/// The one axis that is not reduced behind that of the images.
fn kept_axis(walk: &mut Walk, node: &Node, rank: usize) -> Result<usize, Reason> {
    let given = match node.input(1) {
        Some(_) => walk.constant(node, 1)?.integers()?,
        None => node.ints("axes").unwrap_or_default().to_vec(),
    };
    let mut axes = given
        .iter()
        .map(|&axis| axis_of(axis, rank))
        .collect::<Result<Vec<_>, _>>()?;
    axes.sort_unstable();
    axes.dedup();
    let kept: Vec<usize> = (0..rank).filter(|axis| !axes.contains(axis)).collect();
    match kept.as_slice() {
        &[0, channel] if rank > 2 => Ok(channel),
        _ => Err(Reason::unsupported(format!(
            "it reduces axes {axes:?} of {rank}, only all but those of images and channels are supported"
        ))),
    }
}

/// The result `[1, C, 1, 1]` with or without the dimensions of size 1 that are left of those reduced.
fn reduced(walk: &mut Walk, node: &Node, result: Value, channel: usize) -> Result<Value, Reason> {
    let shape = result.shape().unwrap_or_default().to_vec();
    if node.int("keepdims", 1) != 0 {
        return channels_back(walk, node, result, channel);
    }
    address::with_shape(walk, node, result, shape[..2].to_vec())
}

fn refuse_channels_last(node: &Node) -> Result<(), Reason> {
    if node.int("channels_last", 0) != 0 {
        return Err(Reason::unsupported("`channels_last` images")
            .help("save the model before layout optimisation"));
    }
    Ok(())
}

fn average(walk: &mut Walk, node: &Node, view: &View) -> Result<Value, Reason> {
    refuse_column_major(node)?;
    let (x, image) = walk.image(view)?;
    let (kernel, size) = (kernel(node)?, [image[1], image[2]]);
    let window = window(node, kernel, size)?;
    // What `ceil_mode` adds behind the padding does not count, which is the rule of ONNX since operator set 19.
    let counted = match node.int("count_include_pad", 0) {
        0 => [0; 4],
        _ => padded(node, kernel, size)?.pads,
    };
    let output = window.pooled_shape(image)?;
    finish(node, view, x, output, window, counted)
}

fn refuse_column_major(node: &Node) -> Result<(), Reason> {
    if node.int("storage_order", 0) != 0 {
        return Err(Reason::unsupported("`storage_order` 1"));
    }
    Ok(())
}

fn kernel(node: &Node) -> Result<[usize; 2], Reason> {
    if node.ints("kernel_shape").is_none() {
        return Err(Reason::dimensions("it has no `kernel_shape`"));
    }
    node.sizes("kernel_shape", 1)
}

fn global(walk: &mut Walk, node: &Node, view: &View) -> Result<Value, Reason> {
    let (x, image) = walk.image(view)?;
    let window = Window::dense([image[1], image[2]]);
    finish(node, view, x, [image[0], 1, 1], window, [0; 4])
}

/// The average of a float result that has no scale: the host computes it, if it is the last thing to be computed.
fn on_host(walk: &mut Walk, node: &Node, value: &Value) -> Result<Value, Reason> {
    let x = walk.on_host(&node.label, value)?;
    let mean = HostOperator::Mean {
        axis: 2,
        end: x.shape.len(),
    };
    let mut shape = x.shape;
    shape[2..].fill(1);
    let mean = walk.host_step(&node.label, mean, vec![x.id], shape, HostType::Float32);
    Ok(Value::Host(mean))
}

fn finish(
    node: &Node,
    view: &View,
    x: TensorId,
    output: [usize; 3],
    window: Window,
    counted: [usize; 4],
) -> Result<Value, Reason> {
    let op = PendingOp::AveragePool { x, window, counted };
    Ok(pending(pending_image(
        &node.label,
        op,
        output,
        view.shape.len(),
    )))
}
