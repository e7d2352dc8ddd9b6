//! `QuantizeLinear` and `DequantizeLinear`.

use crate::constant::{Constant, Data, Width};
use crate::error::Reason;
use crate::node::Node;
use crate::ops::axis_of;
use crate::proto::tensor_proto::DataType;
use crate::value::{Pending, PendingOp, QuantConstant, Value, View};
use crate::walk::{Walk, unexpected};
use std::rc::Rc;

/// Gives a pending result its scale, or marks a float input as quantised.
pub(crate) fn quantize_linear(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    refuse_blocks(node)?;
    let input = walk.value(node, 0)?;
    if let Value::Constant(constant) = &input {
        return quantise_constant(walk, node, constant);
    }
    if let Value::Host(view) = input {
        return Ok(Value::Host(view));
    }
    let quant = walk.quant(
        node,
        1,
        node.int("output_dtype", 0) != DataType::Int8 as i64,
    )?;
    let name = node.proto.output.first().map_or("", String::as_str);
    match input {
        Value::FloatInput(view) => {
            walk.set_quant(view.tensor, quant)?;
            Ok(Value::Integer(view))
        }
        Value::Real(view) if walk.quant_of(view.tensor)? == quant => Ok(Value::Integer(view)),
        Value::Real(view) => {
            let pending = copy(walk, &node.label, &view)?;
            Ok(Value::Integer(walk.emit(&pending, name, quant)?))
        }
        Value::Pending(pending) => Ok(Value::Integer(walk.emit(&pending, name, quant)?)),
        other => Err(unexpected(0, "a float tensor", &other)),
    }
}

/// Marks activations or constants as dequantised.
pub(crate) fn dequantize_linear(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    refuse_blocks(node)?;
    match walk.value(node, 0)? {
        Value::Integer(view) => {
            let quant = walk.quant(node, 1, walk.is_unsigned(view.tensor))?;
            walk.set_quant(view.tensor, quant)?;
            Ok(Value::Real(view))
        }
        Value::Constant(constant) => {
            let axis = scale_axis(node, constant.dims.len())?;
            Ok(Value::QuantConstant(walk.integer_constant(node, 0, axis)?))
        }
        Value::Host(view) => Ok(Value::Host(view)),
        other => Err(unexpected(0, "a quantised tensor", &other)),
    }
}

/// The pending result that only changes the scale or range of `view`.
pub(crate) fn copy(walk: &mut Walk, label: &str, view: &View) -> Result<Pending, Reason> {
    walk.decide_by_rank(view)?;
    let image = walk.tensor(view.tensor).shape();
    Ok(Pending {
        label: label.to_string(),
        op: PendingOp::Copy,
        inputs: vec![view.tensor],
        image,
        shape: view.shape.clone(),
        order: walk.order(view)?,
        range: (f32::NEG_INFINITY, f32::INFINITY),
    })
}

fn refuse_blocks(node: &Node) -> Result<(), Reason> {
    if node.int("block_size", 0) != 0 {
        return Err(
            Reason::unsupported("blocked quantisation").help("quantise per tensor or per channel")
        );
    }
    Ok(())
}

fn scale_axis(node: &Node, rank: usize) -> Result<usize, Reason> {
    // A constant with one scale has no axis, and the default of 1 may be outside its rank.
    axis_of(node.int("axis", 1), rank).or_else(|reason| if rank <= 1 { Ok(0) } else { Err(reason) })
}

/// Quantises float weights, as exporters of quantisation-aware training leave it to the reader.
fn quantise_constant(walk: &mut Walk, node: &Node, constant: &Constant) -> Result<Value, Reason> {
    let values = constant.floats()?;
    let scales = walk.constant(node, 1)?;
    let scales = scales.floats()?;
    let axis = scale_axis(node, constant.dims.len())?;
    if node.input(2).is_some()
        && walk
            .constant(node, 2)?
            .integers()?
            .0
            .iter()
            .any(|&zero_point| zero_point != 0)
    {
        return Err(Reason::unsupported("constants quantised with a zero point")
            .help("quantise weights symmetrically"));
    }
    let n_inner: usize = constant.dims.iter().skip(axis + 1).product();
    let n_scales = scales.len();
    if n_scales == 0 || (n_scales > 1 && constant.dims.get(axis) != Some(&n_scales)) {
        return Err(Reason::constant(format!(
            "{n_scales} scales for shape {:?}, axis {axis}",
            constant.dims
        )));
    }
    let steps = |(i, &value): (usize, &f32)| {
        i64::from(ir::numerics::quantise(
            value,
            scales[i / n_inner % n_scales],
            0,
        ))
    };
    let integers = values.iter().enumerate().map(steps).collect();
    Ok(Value::Constant(Rc::new(Constant {
        dims: constant.dims.clone(),
        data: Data::Integer(integers, Width::Int8),
    })))
}

impl QuantConstant {
    /// The symmetric int8 values with one scale for each of `n` indices of `axis`.
    pub(crate) fn weights(&self, axis: usize, n: usize) -> Result<(Vec<i8>, Vec<f32>), Reason> {
        let (values, width) = self.integers.integers()?;
        let rebase = match width {
            Width::Int8 => 0,
            Width::Uint8 => 128,
            other => {
                return Err(Reason::unsupported(format!(
                    "weights of {other:?}, only int8 and uint8 are supported"
                )));
            }
        };
        let default_zero = |zero_points: &[i64]| {
            zero_points
                .iter()
                .find(|&&zero_point| zero_point != rebase)
                .copied()
        };
        if let Some(zero_point) = default_zero(&self.zero_points) {
            return Err(Reason::unsupported(format!(
                "weights have the zero point {}, only 0 is supported",
                zero_point - rebase
            ))
            .help("quantise weights symmetrically (`WeightSymmetric` in onnxruntime)"));
        }
        if self.scales.is_empty() {
            return Err(Reason::constant("weights have no scale"));
        }
        if self.scales.len() > 1 && (self.axis != axis || self.scales.len() != n) {
            return Err(Reason::unsupported(format!(
                "weights have {} scales along axis {}, one scale or {n} along axis {axis} are supported",
                self.scales.len(),
                self.axis
            )));
        }
        if let Some(scale) = self
            .scales
            .iter()
            .find(|scale| !scale.is_finite() || **scale < 0.0)
        {
            return Err(Reason::constant(format!(
                "weight scale {scale:e} is not a finite positive number"
            )));
        }
        let scales = self.scales.iter().copied().cycle().take(n).collect();
        Ok((
            values.iter().map(|&value| (value - rebase) as i8).collect(),
            scales,
        ))
    }

    /// The int32 values of a bias with the scales of the accumulator, brought to these where they differ.
    pub(crate) fn bias(&self, accumulator_scales: &[f32]) -> Result<Vec<i32>, Reason> {
        let (values, _) = self.integers.integers()?;
        let n = accumulator_scales.len();
        if values.len() != n
            || self.scales.is_empty()
            || (self.scales.len() > 1 && self.scales.len() != n)
        {
            return Err(Reason::constant(format!(
                "bias has {} values and {} scales for {n} channels",
                values.len(),
                self.scales.len()
            )));
        }
        if self.zero_points.iter().any(|&zero_point| zero_point != 0) {
            return Err(Reason::unsupported("bias with a zero point"));
        }
        let scales = self.scales.iter().cycle();
        let entry = |((&value, &scale), &target): ((&i64, &f32), &f32)| {
            let ratio = f64::from(scale) / f64::from(target);
            if (ratio - 1.0).abs() < 1e-4 {
                return value as i32;
            }
            (value as f64 * ratio).round_ties_even() as i32
        };
        Ok(values
            .iter()
            .zip(scales)
            .zip(accumulator_scales)
            .map(entry)
            .collect())
    }
}
