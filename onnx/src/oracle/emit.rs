//! Nodes and constants of a graph under construction.

use crate::proto::attribute_proto::AttributeType;
use crate::proto::tensor_proto::DataType;
use crate::proto::{AttributeProto, NodeProto, TensorProto};

/// What has been written so far. Names begin with `twin/`, apart from those of the file.
#[derive(Default)]
pub(super) struct Emit {
    pub(super) nodes: Vec<NodeProto>,
    pub(super) constants: Vec<TensorProto>,
    count: usize,
}

impl Emit {
    /// A name that nothing else has.
    pub(super) fn fresh(&mut self) -> String {
        self.count += 1;
        format!("twin/{}", self.count)
    }

    /// Appends a node with one output and gives the output's name.
    pub(super) fn op(&mut self, operator: &str, inputs: &[&str]) -> String {
        self.op_with(operator, inputs, Vec::new())
    }

    /// [`Emit::op`] with attributes.
    pub(super) fn op_with(
        &mut self,
        operator: &str,
        inputs: &[&str],
        attribute: Vec<AttributeProto>,
    ) -> String {
        let output = self.fresh();
        self.nodes.push(NodeProto {
            input: inputs.iter().map(|&name| name.to_owned()).collect(),
            output: vec![output.clone()],
            op_type: Some(operator.to_owned()),
            attribute,
            ..Default::default()
        });
        output
    }

    /// The value as double.
    pub(super) fn cast(&mut self, name: &str) -> String {
        self.cast_to(name, DataType::Double)
    }

    /// The value in another type.
    pub(super) fn cast_to(&mut self, name: &str, data_type: DataType) -> String {
        self.op_with("Cast", &[name], vec![int("to", data_type as i64)])
    }

    /// A double constant.
    pub(super) fn doubles(&mut self, dims: &[usize], values: &[f64]) -> String {
        let raw = values.iter().flat_map(|value| value.to_le_bytes());
        self.constant(DataType::Double, dims, raw.collect())
    }

    /// A double constant of one value.
    pub(super) fn double(&mut self, value: f64) -> String {
        self.doubles(&[], &[value])
    }

    /// A list of int64.
    pub(super) fn list(&mut self, values: &[i64]) -> String {
        let raw = values.iter().flat_map(|value| value.to_le_bytes());
        self.constant(DataType::Int64, &[values.len()], raw.collect())
    }

    /// The value in another shape.
    pub(super) fn reshape(&mut self, name: &str, shape: &[usize]) -> String {
        let shape: Vec<i64> = shape.iter().map(|&size| size as i64).collect();
        let shape = self.list(&shape);
        self.op("Reshape", &[name, &shape])
    }

    /// The value held between two others, each of which may be absent.
    pub(super) fn clip(&mut self, name: &str, low: Option<&str>, high: Option<&str>) -> String {
        let mut name = name.to_owned();
        if let Some(low) = low {
            name = self.op("Max", &[&name, low]);
        }
        if let Some(high) = high {
            name = self.op("Min", &[&name, high]);
        }
        name
    }

    fn constant(&mut self, data_type: DataType, dims: &[usize], raw_data: Vec<u8>) -> String {
        let name = self.fresh();
        self.constants.push(TensorProto {
            name: Some(name.clone()),
            dims: dims.iter().map(|&size| size as i64).collect(),
            data_type: Some(data_type as i32),
            raw_data: Some(raw_data.into()),
            ..Default::default()
        });
        name
    }
}

/// An integer attribute.
pub(super) fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_owned()),
        r#type: Some(AttributeType::Int as i32),
        i: Some(value),
        ..Default::default()
    }
}

/// A list attribute.
pub(super) fn ints(name: &str, values: &[usize]) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_owned()),
        r#type: Some(AttributeType::Ints as i32),
        ints: values.iter().map(|&value| value as i64).collect(),
        ..Default::default()
    }
}
