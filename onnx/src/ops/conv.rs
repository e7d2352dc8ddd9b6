//! `Conv`, `ConvTranspose` and `QLinearConv`.

use crate::error::Reason;
use crate::node::Node;
use crate::ops::window::{line_pads, window};
use crate::value::{ConvDraft, Pending, PendingOp, QuantConstant, Value, View};
use crate::walk::{Walk, pending_image};
use ir::network::TensorId;
use ir::op::Window;
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
    let unsigned = walk.is_unsigned(pending.first_tensor());
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
            .help("weights must be int8 or uint8 constants")),
    }
}

/// The bias of a product, for each output channel.
pub(crate) struct Bias {
    /// In steps of the accumulator.
    pub(crate) steps: Vec<f64>,
    /// What is added to it, in real values.
    pub(crate) real: Vec<f64>,
}

/// Reads a bias for output channels with the given steps of the accumulator.
pub(crate) fn bias(value: Option<Value>, scales: &[f64]) -> Result<Bias, Reason> {
    let n = scales.len();
    let mut bias = Bias {
        steps: vec![0.0; n],
        real: vec![0.0; n],
    };
    let fits = |given: usize| {
        if given == n {
            return Ok(());
        }
        Err(Reason::constant(format!(
            "bias has {given} values for {n} channels"
        )))
    };
    match value {
        None => {}
        Some(Value::Constant(constant)) => {
            fits(constant.data.len())?;
            if constant.floats().is_ok() {
                bias.real = constant.reals();
            } else {
                bias.steps = constant.reals();
            }
        }
        Some(Value::QuantConstant(constant)) => {
            let values = constant.reals()?;
            fits(values.len())?;
            let steps = constant.steps();
            for (channel, &scale) in scales.iter().enumerate() {
                let own = f64::from(constant.scales[channel % constant.scales.len()]);
                // The scale of a bias is that of the accumulator, but for the last bits.
                if (own / scale - 1.0).abs() < 1e-4 {
                    bias.steps[channel] = steps[channel];
                    bias.real[channel] = steps[channel] * (own - scale);
                } else {
                    bias.real[channel] = values[channel];
                }
            }
        }
        Some(other) => {
            return Err(Reason::unsupported(format!(
                "bias is {}, a constant is needed",
                other.describe()
            )));
        }
    }
    Ok(bias)
}

/// A factor and a number to be added, for one channel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Affine {
    pub(crate) factor: f64,
    pub(crate) added: f64,
}

/// The convolution `draft` of `result` with a factor and a number added for each channel.
pub(crate) fn affine(
    result: &Pending,
    draft: &ConvDraft,
    terms: &[Affine],
) -> Result<Value, Reason> {
    let mut draft = draft.clone();
    let per_channel = draft.weights.len() / draft.out_channels;
    for (channel, &Affine { factor, added }) in terms.iter().enumerate() {
        if !factor.is_finite() || !added.is_finite() {
            return Err(Reason::constant(format!(
                "the factor {factor:e} or the number {added:e} of channel {channel} is not finite"
            )));
        }
        // Scales are positive: the sign goes to weights and bias.
        if factor < 0.0 {
            let weights = &mut draft.weights[channel * per_channel..][..per_channel];
            weights.iter_mut().for_each(|weight| *weight = -*weight);
            draft.bias_steps[channel] = -draft.bias_steps[channel];
        }
        draft.scales[channel] *= factor.abs();
        draft.bias[channel] = draft.bias[channel] * factor + added;
    }
    Ok(crate::walk::pending(Pending {
        op: PendingOp::Conv(draft),
        ..result.clone()
    }))
}

impl ConvDraft {
    /// The convolution that multiplies each channel of `input`, whose steps are `scale`, by its factor and adds a number.
    ///
    /// Weights are whole numbers for which the number that is added is nearly a whole number of steps too: of the 127 that
    /// fit, the best is off by less than 1/127 of a weight.
    pub(crate) fn scaling(input: TensorId, scale: f64, terms: &[Affine]) -> ConvDraft {
        let n = terms.len();
        let mut draft = ConvDraft {
            input,
            out_channels: n,
            group_channels: 1,
            groups: n,
            window: Window::dense([1, 1]),
            stretch: [1, 1],
            weights: Vec::with_capacity(n),
            bias_steps: vec![0.0; n],
            bias: Vec::with_capacity(n),
            scales: Vec::with_capacity(n),
        };
        for term in terms {
            let step = scale * term.factor.abs();
            let weight = if step > 0.0 {
                best_weight(term.added / step)
            } else {
                1
            };
            draft
                .weights
                .push(if term.factor < 0.0 { -weight } else { weight });
            draft.bias.push(term.added);
            draft.scales.push(step / f64::from(weight));
        }
        draft
    }
}

/// The weight for which `number` times it is nearest to a whole number, in parts of the weight.
fn best_weight(number: f64) -> i16 {
    let off = |weight: i16| {
        let product = number * f64::from(weight);
        (product - product.round_ties_even()).abs() / f64::from(weight)
    };
    let better = |best: i16, weight: i16| {
        if off(weight) < off(best) {
            weight
        } else {
            best
        }
    };
    (1..=i16::from(i8::MAX)).fold(1, better)
}

/// The result of `draft`, an image of the size `[rows, columns]`.
fn result(node: &Node, draft: ConvDraft, [rows, columns]: [usize; 2], rank: usize) -> Value {
    let image = [draft.out_channels, rows, columns];
    let op = PendingOp::Conv(draft);
    crate::walk::pending(pending_image(&node.label, op, image, rank))
}

/// `ConvTranspose`: a convolution over the image with its pixels set apart, with the window turned round.
pub(crate) fn conv_transpose(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    let x = walk.real(node, 0)?;
    let constant = quant_constant(walk, node, 1)?;
    let (tensor, image) = walk.image(&x)?;
    let dims = constant.integers.dims.as_slice();
    let (in_channels, group_outputs, kernel) = match *dims {
        [input, out, rows, columns] => (input, out, [rows, columns]),
        [input, out, columns] => (input, out, [1, columns]),
        _ => {
            return Err(Reason::dimensions(format!(
                "weights have the shape {dims:?}"
            )));
        }
    };
    let groups = usize::try_from(node.int("group", 1)).unwrap_or(0);
    if groups == 0
        || group_outputs == 0
        || in_channels != image[0]
        || !in_channels.is_multiple_of(groups)
        || kernel.contains(&0)
    {
        return Err(Reason::dimensions(format!(
            "weights of the shape {dims:?} in {groups} groups do not fit {} channels",
            image[0]
        )));
    }
    let (stretch, window) = transposed_window(node, kernel, [image[1], image[2]])?;
    let (group_inputs, out_channels) = (in_channels / groups, group_outputs * groups);
    let (given, weight_scales) = constant.weights(1, group_outputs)?;
    let n_taps = kernel[0] * kernel[1];
    let mut weights = Vec::with_capacity(given.len());
    for out in 0..out_channels {
        let (group, own) = (out / group_outputs, out % group_outputs);
        for channel in 0..group_inputs {
            let first = ((group * group_inputs + channel) * group_outputs + own) * n_taps;
            weights.extend((0..n_taps).rev().map(|tap| given[first + tap]));
        }
    }
    let x_scale = walk.quant_of(tensor)?.scale;
    let scale = |out: usize| f64::from(x_scale) * f64::from(weight_scales[out % group_outputs]);
    let scales: Vec<f64> = (0..out_channels).map(scale).collect();
    let bias_value = match node.input(2) {
        Some(_) => Some(walk.value(node, 2)?),
        None => None,
    };
    let bias = bias(bias_value, &scales)?;
    let stretched = [0, 1].map(|axis| (image[axis + 1] - 1) * stretch[axis] + 1);
    let size = window.output_size(stretched)?;
    let draft = ConvDraft {
        input: tensor,
        out_channels,
        group_channels: group_inputs,
        groups,
        window,
        stretch,
        weights,
        bias_steps: bias.steps,
        bias: bias.real,
        scales,
    };
    Ok(result(node, draft, size, x.shape.len()))
}

/// Stretch and window of a transposed convolution: padding becomes what is left of the window's reach.
fn transposed_window(
    node: &Node,
    kernel: [usize; 2],
    image: [usize; 2],
) -> Result<([usize; 2], Window), Reason> {
    let stretch: [usize; 2] = node.sizes("strides", 1)?;
    let dilation: [usize; 2] = node.sizes("dilations", 1)?;
    let extra: [usize; 2] = node.sizes("output_padding", 0)?;
    let mut pads: [usize; 4] = line_pads(node, node.sizes("pads", 0)?);
    if stretch.contains(&0) || dilation.contains(&0) {
        return Err(Reason::dimensions("a stride or dilation is 0"));
    }
    let reach = |axis: usize| (kernel[axis] - 1) * dilation[axis];
    let auto = node.text("auto_pad", "NOTSET");
    let wanted: Option<[usize; 2]> = match node.ints("output_shape") {
        Some(_) => Some(node.sizes("output_shape", 1)?),
        None if auto.starts_with("SAME") => Some([0, 1].map(|axis| image[axis] * stretch[axis])),
        None => None,
    };
    if let Some(wanted) = wanted {
        for axis in 0..2 {
            let whole = stretch[axis] * (image[axis] - 1) + extra[axis] + reach(axis) + 1;
            let total = whole.checked_sub(wanted[axis]).ok_or_else(|| {
                Reason::dimensions(format!(
                    "an output of {wanted:?} is larger than the window reaches"
                ))
            })?;
            let before = if auto == "SAME_UPPER" {
                total / 2
            } else {
                total - total / 2
            };
            (pads[axis], pads[axis + 2]) = (before, total - before);
        }
    }
    let mut window = Window {
        kernel,
        stride: [1, 1],
        pads: [0; 4],
        dilation,
    };
    for axis in 0..2 {
        let before = reach(axis).checked_sub(pads[axis]);
        let after = (reach(axis) + extra[axis]).checked_sub(pads[axis + 2]);
        let (Some(before), Some(after)) = (before, after) else {
            return Err(Reason::unsupported(format!(
                "the padding {pads:?} exceeds the reach of the kernel {kernel:?}"
            )));
        };
        (window.pads[axis], window.pads[axis + 2]) = (before, after);
    }
    Ok((stretch, window))
}

fn convolution(
    walk: &mut Walk,
    node: &Node,
    x: &View,
    constant: &QuantConstant,
    bias_value: Option<Value>,
) -> Result<Value, Reason> {
    let (tensor, image) = walk.image(x)?;
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
    let size = window.output_size([image[1], image[2]])?;
    let (weights, weight_scales) = constant.weights(0, out_channels)?;
    let x_scale = walk.quant_of(tensor)?.scale;
    let scale = |&scale: &f32| f64::from(x_scale) * f64::from(scale);
    let scales: Vec<f64> = weight_scales.iter().map(scale).collect();
    let bias = bias(bias_value, &scales)?;
    let draft = ConvDraft {
        input: tensor,
        out_channels,
        group_channels,
        groups,
        window,
        stretch: [1, 1],
        weights,
        bias_steps: bias.steps,
        bias: bias.real,
        scales,
    };
    Ok(result(node, draft, size, x.shape.len()))
}
