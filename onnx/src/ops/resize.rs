//! `Resize` and `Upsample` to the nearest pixel, `DepthToSpace` and `SpaceToDepth`.

use crate::constant::made;
use crate::error::Reason;
use crate::node::Node;
use crate::ops::conv::Affine;
use crate::ops::select::check_positions;
use crate::value::{ConvDraft, PendingOp, Value};
use crate::walk::{Walk, pending_image};
use ir::network::TensorId;
use ir::op::{Positions, Window};

/// `Resize` to the nearest pixel by whole factors.
pub(crate) fn resize(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    let policy = node.text("keep_aspect_ratio_policy", "stretch");
    if policy != "stretch" {
        return Err(Reason::unsupported(format!(
            "`keep_aspect_ratio_policy` is `{policy}`, only `stretch` is supported"
        ))
        .help("write the sizes out as they come of it"));
    }
    // Operator set 10 has the factors where later ones have the region.
    let (scales, sizes) = if walk.opset < 11 { (1, 9) } else { (2, 3) };
    let shape = walk.value(node, 0)?.shape().unwrap_or_default().to_vec();
    let axes = match node.ints("axes") {
        Some(axes) => {
            let axes = axes.iter().map(|&axis| super::axis_of(axis, shape.len()));
            axes.collect::<Result<Vec<_>, _>>()?
        }
        None => (0..shape.len()).collect(),
    };
    let given_sizes = match node.input(sizes) {
        Some(_) => Some(walk.constant(node, sizes)?.integers()?),
        None => None,
    };
    let factors: Vec<f64> = match given_sizes {
        Some(sizes) if sizes.len() == axes.len() => {
            let factor = |(&size, &axis): (&i64, &usize)| size as f64 / shape[axis] as f64;
            sizes.iter().zip(&axes).map(factor).collect()
        }
        Some(sizes) => {
            return Err(Reason::dimensions(format!(
                "{} sizes for {} dimensions",
                sizes.len(),
                axes.len()
            )));
        }
        None => walk.reals(node, scales)?.values,
    };
    if factors.len() != axes.len() {
        return Err(Reason::dimensions(format!(
            "{} factors for {} dimensions",
            factors.len(),
            axes.len()
        )));
    }
    let mut all = vec![1.0; shape.len()];
    for (factor, axis) in factors.into_iter().zip(axes) {
        all[axis] = factor;
    }
    let factors = whole(&all)?;
    let mode = node.text("mode", "nearest");
    if mode != "nearest" {
        return Err(Reason::unsupported(format!("`mode` is `{mode}`"))
            .help("resizing to the nearest pixel is supported"));
    }
    let coordinates = node.text("coordinate_transformation_mode", "half_pixel");
    let coordinates = if walk.opset < 11 {
        "asymmetric"
    } else {
        &coordinates
    };
    let rounding = node.text("nearest_mode", "round_prefer_floor");
    let rounding = if walk.opset < 11 { "floor" } else { &rounding };
    for &factor in &factors {
        check_repeats(factor, coordinates, rounding)?;
    }
    repeat(walk, node, &factors)
}

/// `Upsample` to the nearest pixel, which `Resize` replaced.
pub(crate) fn upsample(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    let mode = node.text("mode", "nearest");
    if mode != "nearest" {
        return Err(Reason::unsupported(format!("`mode` is `{mode}`"))
            .help("resizing to the nearest pixel is supported"));
    }
    let factors = match node.input(1) {
        Some(_) => walk.reals(node, 1)?.values,
        None => node
            .floats("scales")
            .iter()
            .map(|&factor| factor.into())
            .collect(),
    };
    let factors = whole(&factors)?;
    repeat(walk, node, &factors)
}

fn whole(factors: &[f64]) -> Result<Vec<usize>, Reason> {
    let number = |&factor: &f64| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "whether it keeps its value is checked"
        )]
        let number = factor as usize;
        let is_whole = number as f64 == factor && (1..=64).contains(&number);
        is_whole.then_some(number).ok_or_else(|| {
            Reason::unsupported(format!("an image is resized by {factor}"))
                .help("whole factors of up to 64 are supported")
        })
    };
    factors.iter().map(number).collect()
}

/// Whether output position `i` is pixel `i / factor`, as everywhere where the rounding goes down.
fn check_repeats(factor: usize, coordinates: &str, rounding: &str) -> Result<(), Reason> {
    let scale = factor as f64;
    let source = |i: usize| {
        let at = i as f64;
        let at = match coordinates {
            "asymmetric" => at / scale,
            "half_pixel" | "pytorch_half_pixel" | "half_pixel_symmetric" => {
                (at + 0.5) / scale - 0.5
            }
            _ => return None,
        };
        let rounded = match rounding {
            "floor" => at.floor(),
            "ceil" => at.ceil(),
            "round_prefer_floor" => (at - 0.5).ceil(),
            "round_prefer_ceil" => (at + 0.5).floor(),
            _ => return None,
        };
        Some(rounded.max(0.0))
    };
    // The pattern repeats after each pixel; the second one has neighbours on both sides.
    let fits = (factor..2 * factor).all(|i| source(i) == Some(1.0)) || factor == 1;
    if fits {
        return Ok(());
    }
    Err(Reason::unsupported(format!(
        "with `{coordinates}` and `{rounding}` an image {factor} times as large does not repeat each pixel {factor} times"
    ))
    .help("use `asymmetric` with `floor`, as PyTorch exports it, or `half_pixel`"))
}

/// Each pixel as often as `factors` say, which are those of all dimensions.
fn repeat(walk: &mut Walk, node: &Node, factors: &[usize]) -> Result<Value, Reason> {
    let (x, shape, image) = walk.moved(node, 0, 1)?;
    let (lead, [rows, columns]) = match *factors {
        [batch, channels, rows, columns] => ([batch, channels], [rows, columns]),
        [batch, channels, columns] => ([batch, channels], [1, columns]),
        _ => return Err(Reason::dimensions(format!("input {shape:?} is no image"))),
    };
    if lead != [1, 1] {
        return Err(Reason::unsupported("images or channels are repeated"));
    }
    let positions = |size: usize, repeat: usize| Positions {
        size: size * repeat,
        repeat,
        ..Positions::all(size)
    };
    let [channels, height, width] = image;
    let output = [channels, height * rows, width * columns];
    let (rows, columns) = (positions(height, rows), positions(width, columns));
    check_positions(rows, columns, image)?;
    let op = PendingOp::Select {
        x,
        channels: (0..made(&[channels])?).collect(),
        rows,
        columns,
        padding: 0.0,
    };
    let result = pending_image(&node.label, op, output, shape.len());
    walk.moved_value(node, result)
}

/// `DepthToSpace`: a convolution over the image with its pixels set apart, whose weights pick one channel for each place.
pub(crate) fn depth_to_space(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    let view = walk.real(node, 0)?;
    let (input, image) = walk.image(&view)?;
    let block = block_size(node)?;
    let area = block * block;
    if !image[0].is_multiple_of(area) {
        return Err(Reason::dimensions(format!(
            "{} channels are no multiple of {area}",
            image[0]
        )));
    }
    let channels = image[0] / area;
    let is_column_first = node.text("mode", "DCR") == "DCR";
    made(&[channels, image[0], area])?;
    let mut draft = picking(walk, input, channels)?;
    draft.groups = 1;
    draft.group_channels = image[0];
    draft.stretch = [block; 2];
    draft.window = Window {
        pads: [block - 1; 4],
        ..Window::dense([block; 2])
    };
    draft.weights = vec![0; channels * image[0] * area];
    for channel in 0..channels {
        for place in 0..area {
            let source = if is_column_first {
                place * channels + channel
            } else {
                channel * area + place
            };
            // A tap sees the pixel that lies as far before the window's end as the place lies behind the pixel.
            draft.weights[(channel * image[0] + source) * area + (area - 1 - place)] = 1;
        }
    }
    let output = [channels, image[1] * block, image[2] * block];
    let result = pending_image(
        &node.label,
        PendingOp::Conv(draft),
        output,
        view.shape.len(),
    );
    keep_grid(walk, node, input, result)
}

/// `SpaceToDepth`: a convolution that picks one place of each block for each channel.
pub(crate) fn space_to_depth(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    let view = walk.real(node, 0)?;
    let (input, image) = walk.image(&view)?;
    let block = block_size(node)?;
    let area = block * block;
    if image[1..].iter().any(|size| !size.is_multiple_of(block)) {
        return Err(Reason::dimensions(format!(
            "an image of {:?} is no multiple of blocks of {block}",
            &image[1..]
        )));
    }
    let channels = image[0].saturating_mul(area);
    made(&[channels, image[0], area])?;
    let mut draft = picking(walk, input, channels)?;
    draft.groups = 1;
    draft.group_channels = image[0];
    draft.window = Window {
        stride: [block; 2],
        ..Window::dense([block; 2])
    };
    draft.weights = vec![0; channels * image[0] * area];
    let is_column_first = node.text("mode", "DCR") == "DCR";
    for channel in 0..channels {
        let (place, source) = if is_column_first {
            (channel / image[0], channel % image[0])
        } else {
            (channel % area, channel / area)
        };
        draft.weights[(channel * image[0] + source) * area + place] = 1;
    }
    let output = [channels, image[1] / block, image[2] / block];
    let result = pending_image(
        &node.label,
        PendingOp::Conv(draft),
        output,
        view.shape.len(),
    );
    keep_grid(walk, node, input, result)
}

/// A convolution whose weights of one are still to be placed.
fn picking(walk: &Walk, input: TensorId, channels: usize) -> Result<ConvDraft, Reason> {
    let same = Affine {
        factor: 1.0,
        added: 0.0,
    };
    let scale = f64::from(walk.quant_of(input)?.scale);
    Ok(ConvDraft::scaling(input, scale, &vec![same; channels]))
}

fn block_size(node: &Node) -> Result<usize, Reason> {
    usize::try_from(node.int("blocksize", 0))
        .ok()
        .filter(|block| (1..=64).contains(block))
        .ok_or_else(|| Reason::dimensions(format!("`blocksize` is {}", node.int("blocksize", 0))))
}

/// The result in the scale of its input, which it keeps.
fn keep_grid(
    walk: &mut Walk,
    node: &Node,
    input: TensorId,
    result: crate::value::Pending,
) -> Result<Value, Reason> {
    let quant = walk.quant_of(input)?;
    let view = walk.emit(&result, &format!("{}.result", node.label), quant)?;
    Ok(match walk.value(node, 0)? {
        Value::Integer(_) => Value::Integer(view),
        _ => Value::Real(view),
    })
}
