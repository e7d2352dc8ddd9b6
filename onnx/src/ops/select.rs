//! `Pad`, `Slice` and `Split`: parts of images, and what lies around them.

use crate::constant::{Constant, made};
use crate::error::Reason;
use crate::node::Node;
use crate::ops::address::across_batch;
use crate::ops::axis_of;
use crate::order::{Digit, Order};
use crate::value::{Pending, PendingOp, Value};
use crate::walk::{Walk, pending_image};
use ir::op::{Positions, Select};
use std::rc::Rc;

/// What is taken along one dimension: `size` positions from `start`, each `step` after the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Part {
    start: i64,
    step: i64,
    size: usize,
}

impl Part {
    fn all(size: usize) -> Part {
        Part {
            start: 0,
            step: 1,
            size,
        }
    }

    fn positions(self) -> Result<Positions, Reason> {
        let number = |value: i64| {
            i32::try_from(value)
                .map_err(|_| Reason::dimensions(format!("the position {value} is out of range")))
        };
        Ok(Positions {
            size: self.size,
            start: number(self.start)?,
            step: number(self.step)?,
            repeat: 1,
        })
    }
}

/// `Pad` with a constant value around images.
pub(crate) fn pad(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    let mode = node.text("mode", "constant");
    if mode != "constant" {
        return Err(Reason::unsupported(format!("`mode` is `{mode}`"))
            .help("only constant padding is supported"));
    }
    let rank = walk.value(node, 0)?.shape().unwrap_or_default().len();
    let pads = match node.input(1) {
        Some(_) => walk.constant(node, 1)?.integers()?,
        None => node.ints("pads").unwrap_or_default().to_vec(),
    };
    let axes = match node.input(3) {
        Some(_) => {
            let given = walk.constant(node, 3)?.integers()?;
            let axes = given.iter().map(|&axis| axis_of(axis, rank));
            axes.collect::<Result<Vec<_>, _>>()?
        }
        None => (0..rank).collect(),
    };
    if pads.len() != 2 * axes.len() {
        return Err(Reason::dimensions(format!(
            "{} pads for {} dimensions",
            pads.len(),
            axes.len()
        )));
    }
    let padding = padding(walk, node)?;
    let shape = walk.value(node, 0)?.shape().unwrap_or_default().to_vec();
    let mut parts: Vec<Part> = shape.iter().map(|&size| Part::all(size)).collect();
    for (i, &axis) in axes.iter().enumerate() {
        let (before, after) = (pads[i], pads[axes.len() + i]);
        let size = i64::try_from(shape[axis])
            .ok()
            .and_then(|size| size.checked_add(before)?.checked_add(after))
            .and_then(|size| usize::try_from(size).ok())
            .filter(|&size| size > 0);
        let (Some(start), Some(size)) = (before.checked_neg(), size) else {
            return Err(Reason::dimensions(format!(
                "pads {before} and {after} leave nothing of {}",
                shape[axis]
            )));
        };
        parts[axis] = Part {
            start,
            step: 1,
            size,
        };
    }
    select(walk, node, &parts, padding)
}

/// The value around the image: an input, since operator set 11, of the type of the image.
fn padding(walk: &mut Walk, node: &Node) -> Result<f32, Reason> {
    if node.input(2).is_none() {
        return match walk.value(node, 0)? {
            // Of integers, zero is the code 0.
            Value::Integer(_) => padding_code(walk, node, 0),
            _ => Ok(node.float("value", 0.0)),
        };
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the padding of real values is a float"
    )]
    match walk.value(node, 2)? {
        Value::Constant(constant) if constant.floats().is_ok() => {
            Constant::single(constant.floats()?)
        }
        Value::Constant(constant) => {
            let code = Constant::single(&constant.integers()?)?;
            padding_code(walk, node, code)
        }
        Value::QuantConstant(constant) => Ok(Constant::single(&constant.reals()?)? as f32),
        other => Err(crate::walk::unexpected(2, "a constant", &other)),
    }
}

fn padding_code(walk: &mut Walk, node: &Node, code: i64) -> Result<f32, Reason> {
    let Value::Integer(view) = walk.value(node, 0)? else {
        return Err(Reason::constant("an integer around real values"));
    };
    let quant = walk.quant_of(view.tensor)?;
    let code = code - if quant.unsigned { 128 } else { 0 };
    let code = i8::try_from(code)
        .map_err(|_| Reason::constant(format!("the padding {code} does not fit its type")))?;
    Ok(quant.dequantise(code))
}

/// `Slice` of images or of constants, with attributes before operator set 10.
pub(crate) fn slice(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    let value = walk.value(node, 0)?;
    let shape = value.shape().unwrap_or_default().to_vec();
    let mut list = |i: usize, name: &str| -> Result<Option<Vec<i64>>, Reason> {
        Ok(match node.input(i) {
            Some(_) => Some(walk.constant(node, i)?.integers()?),
            None => node.ints(name).map(<[i64]>::to_vec),
        })
    };
    let (Some(starts), Some(ends)) = (list(1, "starts")?, list(2, "ends")?) else {
        return Err(Reason::dimensions("it has no starts or ends"));
    };
    let n = i64::try_from(starts.len()).unwrap_or(i64::MAX);
    let axes = list(3, "axes")?.unwrap_or_else(|| (0..n).collect());
    let steps = list(4, "steps")?.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] {
        return Err(Reason::dimensions(
            "starts, ends, axes and steps differ in number",
        ));
    }
    let mut parts: Vec<Part> = shape.iter().map(|&size| Part::all(size)).collect();
    let is_constant = matches!(value, Value::Constant(_));
    for (i, &axis) in axes.iter().enumerate() {
        let axis = axis_of(axis, shape.len())?;
        if axis == 0 && walk.batch > 1 && !is_constant {
            // One image stands for the whole batch.
            let batch = Part::all(walk.batch);
            if part(walk.batch, starts[i], ends[i], steps[i])? != batch {
                return Err(across_batch(walk.batch));
            }
            continue;
        }
        parts[axis] = part(shape[axis], starts[i], ends[i], steps[i])?;
    }
    if let Value::Constant(constant) = &value {
        return constant_part(constant, &parts);
    }
    select(walk, node, &parts, 0.0)
}

/// The positions of `start..end` in steps of `step` along a dimension, as ONNX counts them.
fn part(size: usize, start: i64, end: i64, step: i64) -> Result<Part, Reason> {
    let n = i64::try_from(size).unwrap_or(i64::MAX);
    let from_front = |at: i64| if at < 0 { at.saturating_add(n) } else { at };
    let (start, end) = if step > 0 {
        (from_front(start).clamp(0, n), from_front(end).clamp(0, n))
    } else {
        // The last position is -1 where there is none.
        (
            from_front(start).max(0).min(n - 1),
            from_front(end).max(-1).min(n - 1),
        )
    };
    let distance = if step > 0 { end - start } else { start - end };
    let count = u64::try_from(distance)
        .ok()
        .filter(|_| step != 0)
        .and_then(|distance| usize::try_from(distance.div_ceil(step.unsigned_abs())).ok());
    match count.filter(|&count| count > 0) {
        // Of one position, the step leads nowhere.
        Some(1) => Ok(Part {
            start,
            step: 1,
            size: 1,
        }),
        Some(size) => Ok(Part { start, step, size }),
        None => Err(Reason::dimensions(format!(
            "nothing is left of {size} positions from {start} to {end} in steps of {step}"
        ))),
    }
}

fn constant_part(constant: &Constant, parts: &[Part]) -> Result<Value, Reason> {
    let mut step = 1;
    let (mut first, mut digits) = (0_usize, Vec::new());
    let mut dims = Vec::new();
    for (part, &size) in parts.iter().zip(&constant.dims).rev() {
        let at = |value: i64| {
            usize::try_from(value).map_err(|_| Reason::unsupported("a constant in reverse order"))
        };
        first += at(part.start)? * step;
        digits.push(Digit {
            size: part.size,
            step: at(part.step)? * step,
        });
        dims.push(part.size);
        step *= size;
    }
    digits.reverse();
    dims.reverse();
    let positions = Order::new(digits).positions();
    Ok(Value::Constant(Rc::new(Constant {
        dims,
        data: constant
            .data
            .picked(positions.into_iter().map(|at| first + at)),
    })))
}

/// `Split` of images along one dimension.
pub(crate) fn split(walk: &mut Walk, node: &Node) -> Result<Vec<Value>, Reason> {
    let value = walk.value(node, 0)?;
    let shape = value.shape().unwrap_or_default().to_vec();
    let axis = axis_of(node.int("axis", 0), shape.len())?;
    if axis == 0 && walk.batch > 1 && !matches!(value, Value::Constant(_)) {
        return Err(across_batch(walk.batch));
    }
    let n_outputs = node.proto.output.len();
    let given = match node.input(1) {
        Some(_) => Some(walk.constant(node, 1)?.integers()?),
        None => node.ints("split").map(<[i64]>::to_vec),
    };
    let sizes: Vec<usize> = match given {
        Some(sizes) => {
            let sizes = sizes.iter().map(|&size| usize::try_from(size).unwrap_or(0));
            sizes.collect()
        }
        None => {
            // The last part is smaller where the parts are not equal.
            let size = shape[axis].div_ceil(n_outputs.max(1));
            let of = |i: usize| shape[axis].saturating_sub(i * size).min(size);
            (0..n_outputs).map(of).collect()
        }
    };
    if sizes.len() != n_outputs || sizes.contains(&0) || sizes.iter().sum::<usize>() != shape[axis]
    {
        return Err(Reason::dimensions(format!(
            "parts of {sizes:?} do not make {} positions for {n_outputs} outputs",
            shape[axis]
        )));
    }
    let mut start = 0;
    let mut values = Vec::with_capacity(n_outputs);
    for (i, &size) in sizes.iter().enumerate() {
        let mut parts: Vec<Part> = shape.iter().map(|&size| Part::all(size)).collect();
        parts[axis] = Part {
            start: i64::try_from(start).unwrap_or(i64::MAX),
            step: 1,
            size,
        };
        start += size;
        values.push(match &value {
            Value::Constant(constant) => constant_part(constant, &parts)?,
            _ if walk.readers.contains_key(node.proto.output[i].as_str()) => {
                selected(walk, node, &node.proto.output[i], &parts, 0.0)?
            }
            _ => Value::Broken,
        });
    }
    Ok(values)
}

fn select(walk: &mut Walk, node: &Node, parts: &[Part], padding: f32) -> Result<Value, Reason> {
    let name = node.proto.output.first().map_or("", String::as_str);
    selected(walk, node, name, parts, padding)
}

/// Parts of an image, under the name of one output.
fn selected(
    walk: &mut Walk,
    node: &Node,
    name: &str,
    parts: &[Part],
    padding: f32,
) -> Result<Value, Reason> {
    if matches!(walk.value(node, 0)?.shape(), Some([1, _])) {
        return selected_row(walk, node, name, parts, padding);
    }
    let (x, shape, image) = walk.moved(node, 0, 1)?;
    let (batch, own) = match *parts {
        [batch, channels, rows, columns] => (batch, [channels, rows, columns]),
        [batch, channels, columns] => (batch, [channels, Part::all(1), columns]),
        _ => return Err(Reason::dimensions(format!("input {shape:?} is no image"))),
    };
    if batch != Part::all(1) {
        return Err(Reason::unsupported(
            "it changes the dimension of the images",
        ));
    }
    finish(walk, node, name, x, (own, image), padding, shape.len())
}

/// Parts of a row of channels `[1, C]`.
fn selected_row(
    walk: &mut Walk,
    node: &Node,
    name: &str,
    parts: &[Part],
    padding: f32,
) -> Result<Value, Reason> {
    let value = walk.value(node, 0)?;
    let view = match value {
        Value::Integer(view) | Value::FloatInput(view) => view,
        _ => walk.real(node, 0)?,
    };
    walk.decide_by_rank(&view)?;
    let image = walk.tensor(view.tensor).shape();
    if image[1..] != [1, 1] || !walk.order(&view)?.is_identity() || parts[0] != Part::all(1) {
        return Err(Reason::unsupported(
            "its input is a flattened image, whose values would have to be moved in memory",
        ));
    }
    let x = crate::value::Operand::Tensor(view.tensor);
    let own = [parts[1], Part::all(1), Part::all(1)];
    finish(walk, node, name, x, (own, image), padding, 2)
}

/// Refuses rows and columns that lie too far outside the image, or are too many.
pub(crate) fn check_positions(
    rows: Positions,
    columns: Positions,
    image: [usize; 3],
) -> Result<(), Reason> {
    let select = Select {
        channels: vec![0],
        rows,
        columns,
        padding: 0,
    };
    select.output_shape(image)?;
    Ok(())
}

fn finish(
    walk: &mut Walk,
    node: &Node,
    name: &str,
    x: crate::value::Operand,
    ([channels, rows, columns], image): ([Part; 3], [usize; 3]),
    padding: f32,
    rank: usize,
) -> Result<Value, Reason> {
    let channel = |i: usize| {
        let at = channels.start + channels.step * i64::try_from(i).unwrap_or(i64::MAX);
        usize::try_from(at).ok().filter(|&at| at < image[0])
    };
    let list: Option<Vec<usize>> = (0..made(&[channels.size])?).map(channel).collect();
    let list = list.ok_or_else(|| Reason::unsupported("padding of channels"))?;
    let output = [list.len(), rows.size, columns.size];
    let (rows, columns) = (rows.positions()?, columns.positions()?);
    check_positions(rows, columns, image)?;
    let op = PendingOp::Select {
        x,
        channels: list,
        rows,
        columns,
        padding,
    };
    let mut result: Pending = pending_image(name, op, output, rank);
    if rank == 2 {
        result.shape = vec![1, output[0]];
    }
    result.label = if node.proto.output.len() > 1 {
        name.to_string()
    } else {
        node.label.clone()
    };
    if let Value::Integer(_) = walk.value(node, 0)? {
        let quant = walk.grid(&result).ok_or_else(|| {
            Reason::unsupported("it works on integers of which no node says the scale")
        })?;
        return Ok(Value::Integer(walk.emit(&result, name, quant)?));
    }
    Ok(crate::walk::pending(result))
}
