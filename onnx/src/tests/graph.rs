//! Small ONNX files for tests.

use crate::proto::attribute_proto::AttributeType;
use crate::proto::tensor_proto::DataType;
use crate::proto::tensor_shape_proto::{Dimension, dimension};
use crate::proto::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    TensorShapeProto, TypeProto, ValueInfoProto, type_proto,
};
use crate::{ImportError, Options, Problem};
use ir::network::Network;
use prost::Message;

/// A graph under construction, with the input `x` of int8 or uint8.
pub(super) struct Graph {
    pub(super) model: ModelProto,
}

impl Graph {
    /// A graph with the input `x` of `shape` and `data_type`, and the output `y`.
    pub(super) fn new(shape: &[i64], data_type: DataType) -> Self {
        let info = |name: &str, shape: &[i64]| {
            let dim = |&size: &i64| Dimension {
                value: Some(dimension::Value::DimValue(size)),
                ..Dimension::default()
            };
            let shape = TensorShapeProto {
                dim: shape.iter().map(dim).collect(),
            };
            let tensor = type_proto::Tensor {
                elem_type: Some(data_type as i32),
                shape: Some(shape),
            };
            let r#type = TypeProto {
                value: Some(type_proto::Value::TensorType(tensor)),
                ..TypeProto::default()
            };
            ValueInfoProto {
                name: Some(name.into()),
                r#type: Some(r#type),
                ..ValueInfoProto::default()
            }
        };
        let graph = GraphProto {
            input: vec![info("x", shape)],
            output: vec![info("y", &[])],
            ..GraphProto::default()
        };
        let opset_import = vec![OperatorSetIdProto {
            domain: None,
            version: Some(13),
        }];
        Graph {
            model: ModelProto {
                graph: Some(graph),
                opset_import,
                ..ModelProto::default()
            },
        }
    }

    fn graph(&mut self) -> &mut GraphProto {
        self.model.graph.as_mut().unwrap()
    }

    /// Appends a node written as `y = Add a b`, with `domain.` before the operator where it is not ONNX's own.
    pub(super) fn node(mut self, text: &str, attribute: Vec<AttributeProto>) -> Self {
        let (output, call) = text.split_once(" = ").unwrap();
        let mut words = call.split(' ');
        let operator = words.next().unwrap();
        let (domain, op_type) = operator.rsplit_once('.').unwrap_or(("", operator));
        let input = words
            .map(|word| if word == "_" { "" } else { word }.to_string())
            .collect();
        self.graph().node.push(NodeProto {
            op_type: Some(op_type.into()),
            domain: Some(domain.into()),
            input,
            output: vec![output.into()],
            attribute,
            ..NodeProto::default()
        });
        self
    }

    /// Adds float constants.
    pub(super) fn floats(mut self, name: &str, dims: &[i64], values: &[f32]) -> Self {
        let (name, dims, float_data) = (Some(name.to_string()), dims.to_vec(), values.to_vec());
        let data_type = Some(DataType::Float as i32);
        self.graph().initializer.push(TensorProto {
            name,
            dims,
            data_type,
            float_data,
            ..TensorProto::default()
        });
        self
    }

    /// Adds integer constants.
    pub(super) fn integers(
        mut self,
        name: &str,
        dims: &[i64],
        data_type: DataType,
        values: &[i64],
    ) -> Self {
        let mut proto = TensorProto {
            name: Some(name.into()),
            dims: dims.to_vec(),
            ..TensorProto::default()
        };
        proto.data_type = Some(data_type as i32);
        if data_type == DataType::Int64 {
            proto.int64_data = values.to_vec();
        } else {
            proto.int32_data = values.iter().map(|&value| value as i32).collect();
        }
        self.graph().initializer.push(proto);
        self
    }

    /// Adds the scale `name.s` and the zero point `name.z`.
    pub(super) fn quant(
        self,
        name: &str,
        scale: f32,
        data_type: DataType,
        zero_point: i64,
    ) -> Self {
        self.floats(&format!("{name}.s"), &[], &[scale]).integers(
            &format!("{name}.z"),
            &[],
            data_type,
            &[zero_point],
        )
    }

    /// Imports the file.
    pub(super) fn import(&self) -> Result<Network, ImportError> {
        crate::import_bytes(&self.model.encode_to_vec(), &Options::default())
    }

    /// The problems of the file.
    #[track_caller]
    pub(super) fn problems(&self) -> Vec<Problem> {
        match self.import() {
            Err(ImportError::Refused { problems }) => problems,
            other => panic!("refusal expected, not {other:?}"),
        }
    }

    /// Imports the file and gives the output for the int8 values `x`, in the order of the tensor.
    #[track_caller]
    pub(super) fn run(&self, x: &[i8]) -> Vec<i8> {
        let network = self.import().unwrap();
        let tensors = network.reference(&[x.to_vec()]).unwrap();
        tensors[network.outputs[0].index()].clone()
    }
}

pub(super) fn int(name: &str, value: i64) -> AttributeProto {
    let kind = AttributeType::Int as i32;
    AttributeProto {
        name: Some(name.into()),
        r#type: Some(kind),
        i: Some(value),
        ..AttributeProto::default()
    }
}

pub(super) fn ints(name: &str, values: &[i64]) -> AttributeProto {
    let kind = AttributeType::Ints as i32;
    AttributeProto {
        name: Some(name.into()),
        r#type: Some(kind),
        ints: values.to_vec(),
        ..AttributeProto::default()
    }
}

pub(super) fn text(name: &str, value: &str) -> AttributeProto {
    let kind = AttributeType::String as i32;
    let s = Some(value.as_bytes().to_vec());
    AttributeProto {
        name: Some(name.into()),
        r#type: Some(kind),
        s,
        ..AttributeProto::default()
    }
}
