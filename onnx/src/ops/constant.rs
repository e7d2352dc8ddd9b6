//! Constants, and the arithmetic on shapes that exporters leave in the graph.

use crate::constant::{Constant, Data};
use crate::error::Reason;
use crate::node::Node;
use crate::ops::axis_of;
use crate::value::Value;
use crate::walk::Walk;
use std::rc::Rc;

/// `Constant` with a tensor or numbers in it.
pub(crate) fn constant(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    let value = if let Some(proto) = node.tensor("value") {
        Constant::read(proto, walk.folder)?
    } else if let Some(list) = node.ints("value_ints") {
        Constant::list(list.to_vec())
    } else if node.has("value_float") {
        Constant {
            dims: Vec::new(),
            data: Data::Float(vec![node.float("value_float", 0.0)]),
        }
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
    let shape = value.shape().unwrap_or_default();
    let rank = shape.len() as i64;
    let bound = |name: &str, default: i64| {
        let given = node.int(name, default);
        (if given < 0 {
            given.saturating_add(rank)
        } else {
            given
        })
        .clamp(0, rank) as usize
    };
    let (start, end) = (bound("start", 0), bound("end", rank));
    let sizes = shape[start..end.max(start)]
        .iter()
        .map(|&size| size as i64)
        .collect();
    Ok(Value::Constant(Rc::new(Constant::list(sizes))))
}

/// `Gather` from a constant list.
pub(crate) fn gather(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    let (list, indices) = (walk.constant(node, 0)?, walk.constant(node, 1)?);
    let (&[n], 0) = (list.dims.as_slice(), node.int("axis", 0)) else {
        return Err(Reason::unsupported(
            "only elements of a constant list can be gathered",
        ));
    };
    let (values, width) = list.integers()?;
    let pick = |&index: &i64| axis_of(index, n).map(|i| values[i]);
    let picked = indices
        .integers()?
        .0
        .iter()
        .map(pick)
        .collect::<Result<_, _>>()?;
    Ok(Value::Constant(Rc::new(Constant {
        dims: indices.dims.clone(),
        data: Data::Integer(picked, width),
    })))
}
