//! Dimensions of graph inputs that the file leaves without a size, and the sizes that the user gives them.

use crate::Options;
use crate::error::ImportError;
use crate::proto::tensor_shape_proto::{Dimension, dimension::Value as Dim};
use crate::proto::{GraphProto, ModelProto, ValueInfoProto, type_proto};

/// What a dimension without a size is called: by its symbol, or by its input and axis where it has none.
pub(crate) fn name(input: &str, axis: usize, symbol: &str) -> String {
    if symbol.is_empty() {
        format!("{input}.{axis}")
    } else {
        symbol.to_owned()
    }
}

/// Checks that every size of `options` belongs to a dimension of the file.
pub(crate) fn check(model: &ModelProto, options: &Options) -> Result<(), ImportError> {
    let mut known: Vec<String> = Vec::new();
    for name in model.graph.iter().flat_map(names) {
        if !known.contains(&name) {
            known.push(name);
        }
    }
    match options.dims.keys().find(|name| !known.contains(name)) {
        None => Ok(()),
        Some(name) => Err(ImportError::Dimension {
            name: name.clone(),
            known,
        }),
    }
}

fn names(graph: &GraphProto) -> impl Iterator<Item = String> {
    graph.input.iter().flat_map(|info| {
        let dims = shape(info).into_iter().flatten().enumerate();
        dims.filter_map(|(axis, dim)| match &dim.value {
            Some(Dim::DimValue(_)) => None,
            Some(Dim::DimParam(symbol)) => Some(name(info.name(), axis, symbol)),
            None => Some(name(info.name(), axis, "")),
        })
    })
}

fn shape(info: &ValueInfoProto) -> Option<&[Dimension]> {
    match info.r#type.as_ref()?.value.as_ref()? {
        type_proto::Value::TensorType(tensor) => Some(&tensor.shape.as_ref()?.dim),
        _ => None,
    }
}
