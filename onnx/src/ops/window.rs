//! The window attributes that convolution and pooling share.

use crate::error::Reason;
use crate::node::Node;
use ir::op::Window;

/// The window of `node` for a `kernel` over an image of `[rows, columns]`.
pub(crate) fn window(node: &Node, kernel: [usize; 2], image: [usize; 2]) -> Result<Window, Reason> {
    let mut window = padded(node, kernel, image)?;
    if node.int("ceil_mode", 0) != 0 {
        widen(&mut window, image);
    }
    Ok(window)
}

/// The window with the padding of the file, without what `ceil_mode` adds behind it.
pub(crate) fn padded(node: &Node, kernel: [usize; 2], image: [usize; 2]) -> Result<Window, Reason> {
    let stride = node.sizes("strides", 1)?;
    let dilation = node.sizes("dilations", 1)?;
    if stride.contains(&0) || dilation.contains(&0) || kernel.contains(&0) {
        return Err(Reason::dimensions("a kernel size, stride or dilation is 0"));
    }
    let pads = line_pads(node, node.sizes("pads", 0)?);
    let mut window = Window {
        kernel,
        stride,
        pads,
        dilation,
    };
    match node.text("auto_pad", "NOTSET").as_str() {
        "NOTSET" | "" => {}
        "VALID" => window.pads = [0; 4],
        same if dilation != [1, 1] && node.proto.op_type().ends_with("Pool") => {
            return Err(Reason::unsupported(format!(
                "`auto_pad` is `{same}` with dilations {dilation:?}: by ONNX the output has the size of the input, onnxruntime makes it smaller"
            ))
            .help("write the padding out as `pads`"));
        }
        same if !node.proto.op_type().ends_with("Pool") && crops(&window, image) => {
            return Err(Reason::unsupported(format!(
                "`auto_pad` is `{same}` with strides {:?} and a kernel of {kernel:?}: the windows leave out pixels on the right, of which onnxruntime crops a part on the left, and ONNX nothing",
                window.stride
            ))
            .help("write the padding out as `pads`"));
        }
        "SAME_UPPER" => window.pads = same(&window, image, false),
        "SAME_LOWER" => window.pads = same(&window, image, true),
        other => return Err(Reason::unsupported(format!("`auto_pad` is `{other}`"))),
    }
    Ok(window)
}

/// Padding of one spatial dimension, which [`Node::sizes`] reads as that of rows too, is that of columns.
pub(crate) fn line_pads(node: &Node, pads: [usize; 4]) -> [usize; 4] {
    let is_line = node.ints("pads").is_some_and(|pads| pads.len() == 2);
    if is_line {
        [0, pads[1], 0, pads[3]]
    } else {
        pads
    }
}

/// The pixels that the windows of automatic padding reach over.
fn reach(window: &Window, image: [usize; 2], axis: usize) -> usize {
    let steps = image[axis].div_ceil(window.stride[axis]) - 1;
    steps * window.stride[axis] + (window.kernel[axis] - 1) * window.dilation[axis] + 1
}

/// Whether automatic padding is negative, and so much so that it moves the first window in onnxruntime.
fn crops(window: &Window, image: [usize; 2]) -> bool {
    (0..2).any(|axis| image[axis] > reach(window, image, axis) + 2)
}

/// The padding for which the output has `image / stride` rows and columns, rounded up.
fn same(window: &Window, image: [usize; 2], more_before: bool) -> [usize; 4] {
    let mut pads = [0; 4];
    for axis in 0..2 {
        let total = reach(window, image, axis).saturating_sub(image[axis]);
        let before = if more_before {
            total.div_ceil(2)
        } else {
            total / 2
        };
        pads[axis] = before;
        pads[axis + 2] = total - before;
    }
    pads
}

/// Pads behind the image so that rounding down gives what rounding up would, without windows that start in the padding.
fn widen(window: &mut Window, image: [usize; 2]) {
    for (axis, &size) in image.iter().enumerate() {
        let reach = (window.kernel[axis] - 1) * window.dilation[axis] + 1;
        let padded = size + window.pads[axis] + window.pads[axis + 2];
        let rest = padded.saturating_sub(reach) % window.stride[axis];
        let last_start = padded.saturating_sub(reach) - rest + window.stride[axis];
        if rest > 0 && last_start < size + window.pads[axis] {
            window.pads[axis + 2] += window.stride[axis] - rest;
        }
    }
}
