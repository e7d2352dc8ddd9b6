//! Pooling in all its spellings.

use crate::error::Reason;
use crate::node::Node;
use crate::ops::conv::emit;
use crate::ops::window::window;
use crate::ops::{address, axis_of};
use crate::value::{PendingOp, Value, View};
use crate::walk::{Walk, pending_image, unexpected};
use ir::op::Window;
use std::rc::Rc;

/// `MaxPool`, on dequantised or on quantised values.
pub(crate) fn max_pool(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    let value = walk.value(node, 0)?;
    let (Value::Real(view) | Value::Integer(view)) = &value else {
        return Err(unexpected(0, "a quantised or dequantised tensor", &value));
    };
    let pending = pool(walk, node, view, PendingOp::MaxPool)?;
    if let (Value::Integer(view), Value::Pending(pending)) = (&value, &pending) {
        let quant = walk.quant_of(view.tensor)?;
        let name = node.proto.output.first().map_or("", String::as_str);
        return Ok(Value::Integer(walk.emit(pending, name, quant)?));
    }
    Ok(pending)
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
    let pending = average(walk, node, &view)?;
    emit(walk, node, &pending, 3)
}

/// `GlobalAveragePool` between `DequantizeLinear` and `QuantizeLinear`.
pub(crate) fn global_average_pool(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    let view = walk.real(node, 0)?;
    global(walk, node, &view)
}

/// onnxruntime's `QLinearGlobalAveragePool`.
pub(crate) fn qlinear_global_average_pool(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    refuse_channels_last(node)?;
    let view = walk.integer(node, 0)?;
    let pending = global(walk, node, &view)?;
    emit(walk, node, &pending, 3)
}

/// `ReduceMean` over rows and columns, as some exporters spell the global average.
pub(crate) fn reduce_mean(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    let view = walk.real(node, 0)?;
    let given = match node.input(1) {
        Some(_) => walk.constant(node, 1)?.integers()?.0.to_vec(),
        None => node.ints("axes").unwrap_or_default().to_vec(),
    };
    let rank = view.shape.len();
    let mut axes = given
        .iter()
        .map(|&axis| axis_of(axis, rank))
        .collect::<Result<Vec<_>, _>>()?;
    axes.sort_unstable();
    if rank != 4 || axes != [2, 3] {
        return Err(Reason::unsupported(format!(
            "it reduces axes {axes:?} of {rank}, only rows and columns are supported"
        )));
    }
    let pending = global(walk, node, &view)?;
    if node.int("keepdims", 1) != 0 {
        return Ok(pending);
    }
    address::with_shape(pending, vec![1, view.shape[1]])
}

fn refuse_channels_last(node: &Node) -> Result<(), Reason> {
    if node.int("channels_last", 0) != 0 {
        return Err(Reason::unsupported("`channels_last` images")
            .help("save the model before layout optimisation"));
    }
    Ok(())
}

fn average(walk: &mut Walk, node: &Node, view: &View) -> Result<Value, Reason> {
    let count_include_pad = node.int("count_include_pad", 0) != 0;
    if count_include_pad && node.int("ceil_mode", 0) != 0 {
        return Err(Reason::unsupported(
            "`ceil_mode` together with `count_include_pad`",
        ));
    }
    pool(walk, node, view, |window| PendingOp::AveragePool {
        window,
        count_include_pad,
    })
}

fn pool(
    walk: &mut Walk,
    node: &Node,
    view: &View,
    op: impl Fn(Window) -> PendingOp,
) -> Result<Value, Reason> {
    if node.int("storage_order", 0) != 0 {
        return Err(Reason::unsupported("`storage_order` 1"));
    }
    if node.ints("kernel_shape").is_none() {
        return Err(Reason::dimensions("it has no `kernel_shape`"));
    }
    let image = walk.image(view)?;
    let window = window(node, node.sizes("kernel_shape", 1)?, [image[1], image[2]])?;
    finish(walk, node, view, image, window, op)
}

fn global(walk: &mut Walk, node: &Node, view: &View) -> Result<Value, Reason> {
    let image = walk.image(view)?;
    let op = |window| PendingOp::AveragePool {
        window,
        count_include_pad: false,
    };
    finish(
        walk,
        node,
        view,
        image,
        Window::dense([image[1], image[2]]),
        op,
    )
}

fn finish(
    walk: &mut Walk,
    node: &Node,
    view: &View,
    image: [usize; 3],
    window: Window,
    op: impl Fn(Window) -> PendingOp,
) -> Result<Value, Reason> {
    let output = window.pooled_shape(image)?;
    walk.quant_of(view.tensor)?;
    Ok(Value::Pending(Rc::new(pending_image(
        &node.label,
        op(window),
        vec![view.tensor],
        output,
        view.shape.len(),
    ))))
}
