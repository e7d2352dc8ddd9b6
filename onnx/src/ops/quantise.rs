//! `QuantizeLinear` and `DequantizeLinear`.

use crate::constant::{Constant, Data};
use crate::error::Reason;
use crate::node::Node;
use crate::ops::axis_of;
use crate::proto::tensor_proto::DataType;
use crate::value::{Pending, PendingOp, Quant, QuantConstant, UNLIMITED, Value, View};
use crate::walk::{Walk, rebased, unexpected};
use ir::network::HostType;
use ir::numerics::quantise;
use std::rc::Rc;

/// Gives a pending result its scale, or marks a float input as quantised.
pub(crate) fn quantize_linear(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    refuse_blocks(node)?;
    let input = walk.value(node, 0)?;
    if let Value::Constant(constant) = &input {
        return quantise_constant(walk, node, constant);
    }
    let quant = walk.quant(
        node,
        1,
        node.int("output_dtype", 0) != DataType::Int8 as i64,
    )?;
    let name = node.proto.output.first().map_or("", String::as_str);
    match input {
        Value::FloatInput(view) => Ok(Value::Integer(walk.quantised_input(&view, quant)?)),
        Value::Host(value) => {
            value.expect(&[HostType::Float32])?;
            Ok(Value::Host(walk.quantise_on_host(
                &node.label,
                &value,
                quant,
            )))
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
            Ok(Value::Real(walk.with_quant(&view, quant)?))
        }
        Value::Constant(constant) => {
            let axis = scale_axis(node, constant.dims.len())?;
            Ok(Value::QuantConstant(walk.integer_constant(node, 0, axis)?))
        }
        Value::Host(value) => {
            value.expect(&[HostType::Int8, HostType::Uint8])?;
            let quant = walk.quant(node, 1, value.host_type == HostType::Uint8)?;
            Ok(Value::Host(walk.dequantise_on_host(
                &node.label,
                &value,
                quant,
            )))
        }
        other => Err(unexpected(0, "a quantised tensor", &other)),
    }
}

/// The pending result that only changes the scale or range of `view`.
pub(crate) fn copy(walk: &mut Walk, label: &str, view: &View) -> Result<Pending, Reason> {
    walk.decide_by_rank(view)?;
    let image = walk.tensor(view.tensor).shape();
    Ok(Pending {
        label: label.to_string(),
        op: PendingOp::Copy(view.tensor),
        image,
        shape: view.shape.clone(),
        order: walk.order(view)?,
        range: UNLIMITED,
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
    let int8 = node.int("output_dtype", 0) == DataType::Int8 as i64;
    let default = if int8 {
        Data::Int8(vec![0])
    } else {
        Data::Uint8(vec![0])
    };
    let zero_points = match node.input(2) {
        Some(_) => walk.constant(node, 2)?.data.clone(),
        None => default,
    };
    let n_inner: usize = constant.dims.iter().skip(axis + 1).product();
    let n_scales = scales.len();
    let is_per_axis = n_scales == 1 || constant.dims.get(axis) == Some(&n_scales);
    if n_scales == 0 || !is_per_axis || ![1, n_scales].contains(&zero_points.len()) {
        return Err(Reason::constant(format!(
            "{n_scales} scales and {} zero points for shape {:?}, axis {axis}",
            zero_points.len(),
            constant.dims
        )));
    }
    let code =
        |i: usize, zero_point: i8| quantise(values[i], scales[i / n_inner % n_scales], zero_point);
    let positions = 0..values.len();
    let data = match &zero_points {
        Data::Int8(zeros) => {
            let zero = |i: usize| zeros[i / n_inner % zeros.len()];
            Data::Int8(positions.map(|i| code(i, zero(i))).collect())
        }
        Data::Uint8(zeros) => {
            let zero = |i: usize| rebased(zeros[i / n_inner % zeros.len()]);
            Data::Uint8(
                positions
                    .map(|i| code(i, zero(i)).cast_unsigned() ^ 0x80)
                    .collect(),
            )
        }
        _ => {
            return Err(Reason::unsupported(
                "constants quantised to another type than int8 or uint8",
            ));
        }
    };
    Ok(Value::Constant(Rc::new(Constant {
        dims: constant.dims.clone(),
        data,
    })))
}

impl QuantConstant {
    /// The weights less their zero points, in up to nine bits, with one scale for each of `n` indices of `axis`.
    pub(crate) fn weights(&self, axis: usize, n: usize) -> Result<(Vec<i16>, Vec<f32>), Reason> {
        let n_scales = self.scales.len();
        if n_scales == 0 {
            return Err(Reason::constant("weights have no scale"));
        }
        if n_scales > 1 && (self.axis != axis || n_scales != n) {
            return Err(Reason::unsupported(format!(
                "weights have {n_scales} scales along axis {}, one scale or {n} along axis {axis} are supported",
                self.axis
            )));
        }
        let invalid = |scale: &&f32| !scale.is_finite() || **scale < 0.0;
        if let Some(scale) = self.scales.iter().find(invalid) {
            return Err(Reason::constant(format!(
                "weight scale {scale:e} is not a finite positive number"
            )));
        }
        let zeros = self.zero_points.iter().map(|&zero| i16::try_from(zero));
        let zeros: Vec<i16> = zeros
            .collect::<Result<_, _>>()
            .map_err(|_| Reason::constant("a zero point of weights is no int8 or uint8"))?;
        if ![1, n].contains(&zeros.len()) {
            return Err(Reason::constant(format!(
                "weights have {} zero points for {n} channels",
                zeros.len()
            )));
        }
        let n_inner: usize = self.integers.dims.iter().skip(axis + 1).product();
        let zero = |i: usize| zeros[i / n_inner % zeros.len()];
        let weights = match &self.integers.data {
            Data::Int8(values) => {
                let values = values.iter().enumerate();
                values.map(|(i, &w)| i16::from(w) - zero(i)).collect()
            }
            Data::Uint8(values) => {
                let values = values.iter().enumerate();
                values.map(|(i, &w)| i16::from(w) - zero(i)).collect()
            }
            _ => {
                return Err(Reason::unsupported(format!(
                    "weights of {:?}, only int8 and uint8 are supported",
                    self.integers.width()?
                )));
            }
        };
        Ok((
            weights,
            self.scales.iter().copied().cycle().take(n).collect(),
        ))
    }

    /// Scale, zero point and int8 values, where they are quantised as a tensor of activations is.
    pub(crate) fn codes(&self) -> Option<(Quant, Vec<i8>)> {
        let (&[scale], &[zero_point]) = (self.scales.as_slice(), self.zero_points.as_slice())
        else {
            return None;
        };
        let (zero_point, unsigned, codes) = match &self.integers.data {
            Data::Int8(codes) => (i8::try_from(zero_point).ok()?, false, codes.clone()),
            Data::Uint8(codes) => {
                let zero_point = u8::try_from(zero_point).ok()?;
                (
                    rebased(zero_point),
                    true,
                    codes.iter().map(|&code| rebased(code)).collect(),
                )
            }
            _ => return None,
        };
        let quant = Quant {
            scale,
            zero_point,
            unsigned,
        };
        (scale.is_normal() && scale > 0.0).then_some((quant, codes))
    }

    /// The integers less their zero points.
    pub(crate) fn steps(&self) -> Vec<f64> {
        let zeros = &self.zero_points;
        let n_inner: usize = self.integers.dims.iter().skip(self.axis + 1).product();
        let zero = |i: usize| zeros.get(i / n_inner.max(1) % zeros.len().max(1)).copied();
        let values = self.integers.reals().into_iter().enumerate();
        values
            .map(|(i, value)| value - zero(i).unwrap_or(0) as f64)
            .collect()
    }

    /// The real numbers that the integers stand for.
    pub(crate) fn reals(&self) -> Result<Vec<f64>, Reason> {
        let n_inner: usize = self.integers.dims.iter().skip(self.axis + 1).product();
        let n_scales = self.scales.len();
        let along = self.integers.dims.get(self.axis).copied().unwrap_or(1);
        if n_scales == 0 || (n_scales > 1 && n_scales != along) {
            return Err(Reason::constant(format!(
                "{n_scales} scales for shape {:?}, axis {}",
                self.integers.dims, self.axis
            )));
        }
        let scale = |i: usize| f64::from(self.scales[i / n_inner.max(1) % n_scales]);
        let steps = self.steps().into_iter().enumerate();
        Ok(steps.map(|(i, step)| step * scale(i)).collect())
    }
}
