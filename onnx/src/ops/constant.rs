//! Constants, and the arithmetic on shapes that exporters leave in the graph.

use crate::constant::{Constant, Data, Width, made};
use crate::error::Reason;
use crate::node::Node;
use crate::ops::axis_of;
use crate::proto::tensor_proto::DataType;
use crate::value::{Quant, Value};
use crate::walk::Walk;
use ir::fit::Fit;
use ir::network::HostType;
use std::rc::Rc;

/// `Constant` with a tensor or numbers in it.
pub(crate) fn constant(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    let value = if let Some(proto) = node.tensor("value") {
        Constant::read(proto, walk.folder)?
    } else if let Some(list) = node.ints("value_ints") {
        Constant::list(list.to_vec())
    } else if node.has("value_float") {
        Constant::scalar(node.float("value_float", 0.0))
    } else if node.has("value_int") {
        Constant {
            dims: Vec::new(),
            ..Constant::list(vec![node.int("value_int", 0)])
        }
    } else {
        return Err(Reason::unsupported("it has no tensor, float or integers"));
    };
    Ok(Value::Constant(Rc::new(value)))
}

/// `Shape`, as a constant.
pub(crate) fn shape(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    let value = walk.value(node, 0)?;
    let mut shape = value.shape().unwrap_or_default().to_vec();
    let is_constant = matches!(value, Value::Constant(_) | Value::QuantConstant(_));
    if let Some(first) = shape.first_mut().filter(|_| !is_constant) {
        // Shapes of activations are those of one image of the batch.
        *first = first.saturating_mul(walk.batch);
    }
    let rank = shape.len().fit::<i64>();
    let bound = |name: &str, default: i64| {
        let given = node.int(name, default);
        (if given < 0 {
            given.saturating_add(rank)
        } else {
            given
        })
        .clamp(0, rank)
        .fit::<usize>()
    };
    let (start, end) = (bound("start", 0), bound("end", rank));
    let sizes = shape[start..end.max(start)]
        .iter()
        .map(|&size| i64::try_from(size).unwrap_or(i64::MAX))
        .collect();
    Ok(Value::Constant(Rc::new(Constant::list(sizes))))
}

/// `Gather` along the first axis of a constant.
pub(crate) fn gather(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    let (list, indices) = (walk.constant(node, 0)?, walk.constant(node, 1)?);
    let (Some((&n, inner)), 0) = (list.dims.split_first(), node.int("axis", 0)) else {
        return Err(Reason::unsupported(
            "only entries of the first axis of a constant can be gathered",
        ));
    };
    let n_inner: usize = inner.iter().product();
    let at = indices
        .integers()?
        .into_iter()
        .map(|index| axis_of(index, n));
    let at = at.collect::<Result<Vec<_>, _>>()?;
    made(&[at.len(), n_inner])?;
    let positions = at.iter().flat_map(|&i| i * n_inner..(i + 1) * n_inner);
    Ok(Value::Constant(Rc::new(Constant {
        dims: [indices.dims.as_slice(), inner].concat(),
        data: list.data.picked(positions),
    })))
}

/// `ReduceProd` of a constant list, as exporters compute the size of a flattened shape.
pub(crate) fn reduce_prod(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    let list = walk.constant(node, 0)?;
    if list.dims.len() > 1 {
        return Err(Reason::unsupported("only constant lists are multiplied"));
    }
    let product = list
        .integers()?
        .into_iter()
        .try_fold(1_i64, i64::checked_mul)
        .and_then(|product| Data::of_integers(&[product], list.width().ok()?))
        .ok_or_else(|| Reason::constant("the product does not fit its type"))?;
    let dims = vec![1; usize::from(node.int("keepdims", 1) != 0)];
    Ok(Value::Constant(Rc::new(Constant {
        dims,
        data: product,
    })))
}

/// `ConstantOfShape`.
pub(crate) fn constant_of_shape(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    let shape = walk.constant(node, 0)?.integers()?;
    let dims = shape.iter().map(|&size| usize::try_from(size).ok());
    let dims: Option<Vec<usize>> = dims.collect();
    let dims = dims.ok_or_else(|| Reason::dimensions(format!("the shape is {shape:?}")))?;
    let n_values = made(&dims)?;
    let value = match node.tensor("value") {
        Some(proto) => Constant::read(proto, walk.folder)?,
        None => Constant::scalar(0.0),
    };
    if value.data.len() != 1 {
        return Err(Reason::constant("`value` is no single value"));
    }
    Ok(Value::Constant(Rc::new(Constant {
        dims,
        data: value.data.picked(std::iter::repeat_n(0, n_values)),
    })))
}

/// `Cast` of constants, and of real values to the type that they have.
pub(crate) fn cast(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    let value = walk.value(node, 0)?;
    let to = node.int("to", 0);
    let constant = match &value {
        Value::Constant(constant) => constant,
        Value::QuantConstant(_) | Value::FloatInput(_) | Value::Real(_) | Value::Pending(_)
            if to == DataType::Float as i64 =>
        {
            return Ok(value);
        }
        Value::Host(host)
            if to == DataType::Float as i64 && host.host_type == HostType::Float32 =>
        {
            return Ok(value);
        }
        Value::Integer(view) if to == DataType::Float as i64 => {
            // The integers themselves are the real values.
            let unsigned = walk.is_unsigned(view.tensor);
            let quant = Quant {
                scale: 1.0,
                zero_point: if unsigned { i8::MIN } else { 0 },
                unsigned,
            };
            return Ok(Value::Real(walk.with_quant(view, quant)?));
        }
        other => {
            return Err(Reason::unsupported(format!(
                "{} becomes {}",
                other.describe(),
                i32::try_from(to)
                    .ok()
                    .and_then(|to| DataType::try_from(to).ok())
                    .map_or("an unknown type", |to| to.as_str_name())
            )));
        }
    };
    let width = match to {
        to if to == DataType::Float as i64 => None,
        to if to == DataType::Int8 as i64 => Some(Width::Int8),
        to if to == DataType::Uint8 as i64 || to == DataType::Bool as i64 => Some(Width::Uint8),
        to if to == DataType::Int32 as i64 => Some(Width::Int32),
        to if to == DataType::Int64 as i64 => Some(Width::Int64),
        _ => return Err(Reason::unsupported(format!("constants cast to type {to}"))),
    };
    let data = match (width, constant.floats()) {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a float is what is asked for"
        )]
        (None, _) => Some(Data::Float(
            constant.reals().iter().map(|&v| v as f32).collect(),
        )),
        (Some(width), Err(_)) => Data::of_integers(&constant.integers()?, width),
        (Some(width), Ok(floats)) => {
            #[expect(clippy::cast_possible_truncation, reason = "a cast drops the fraction")]
            let whole: Vec<i64> = floats.iter().map(|&v| v as i64).collect();
            Data::of_integers(&whole, width)
        }
    };
    let data =
        data.ok_or_else(|| Reason::constant("a value does not fit the type it is cast to"))?;
    Ok(Value::Constant(Rc::new(Constant {
        dims: constant.dims.clone(),
        data,
    })))
}
