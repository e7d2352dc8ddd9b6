//! Writing a network as QDQ ONNX, node by node.

use crate::proto::attribute_proto::AttributeType;
use crate::proto::tensor_proto::DataType;
use crate::proto::tensor_shape_proto::{Dimension, dimension};
use crate::proto::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    TensorShapeProto, TypeProto, ValueInfoProto, type_proto,
};
use ir::fit::Fit;
use ir::network::{Einsum, Tensor};
use ir::op::{Conv, Kind, Window};
use prost::Message;

/// A file under construction.
pub(super) struct File {
    graph: GraphProto,
}

impl File {
    /// A file with one float input, which is quantised to `input`.
    pub(super) fn new(input: &Tensor) -> Self {
        let mut file = File {
            graph: GraphProto::default(),
        };
        let shape = [
            None,
            Some(input.channels),
            Some(input.height),
            Some(input.width),
        ];
        file.graph.input.push(value_info("image", &shape));
        file.quantise("image", input);
        file
    }

    /// Appends a convolution with its ReLU, or a flatten and a `Gemm` where `relu` is `None`.
    pub(super) fn conv(
        &mut self,
        einsum: &Einsum,
        x: &Tensor,
        y: &Tensor,
        weight_scales: &[f32],
        relu: Option<bool>,
    ) {
        let Kind::Conv(op) = &einsum.kind else {
            unreachable!("the builder gives convolutions only");
        };
        let name = &einsum.name;
        let bias_scales: Vec<f32> = weight_scales.iter().map(|&scale| x.scale * scale).collect();
        let [rows, columns] = op.window.kernel;
        let n_inputs = op.group_channels * rows * columns;
        let dims = match relu {
            Some(_) => vec![op.out_channels, op.group_channels, rows, columns],
            None => vec![op.out_channels, n_inputs],
        };
        let bytes = op
            .weights
            .iter()
            .map(|&weight| weight.cast_unsigned())
            .collect();
        self.constant(
            &format!("{name}.w"),
            DataType::Int8,
            &dims,
            bytes,
            weight_scales,
        );
        let bytes = op.bias.iter().flat_map(|bias| bias.to_le_bytes()).collect();
        self.constant(
            &format!("{name}.b"),
            DataType::Int32,
            &[op.out_channels],
            bytes,
            &bias_scales,
        );
        let constants = [format!("{name}.w.real"), format!("{name}.b.real")];
        let mut input = self.dequantise(name, x);
        if relu.is_some() {
            let inputs = [&input, &constants[0], &constants[1]];
            self.node(
                "Conv",
                name,
                &inputs,
                &format!("{name}.real"),
                conv_attributes(op),
            );
        } else {
            let flat = format!("{name}.flat");
            self.node("Flatten", &flat, &[&input], &flat, Vec::new());
            input = flat;
            let inputs = [&input, &constants[0], &constants[1]];
            self.node(
                "Gemm",
                name,
                &inputs,
                &format!("{name}.real"),
                vec![int("transB", 1)],
            );
        }
        self.quantise_result(name, y, relu == Some(true));
    }

    /// Appends an addition with its ReLU.
    pub(super) fn add(&mut self, einsum: &Einsum, [a, b]: [&Tensor; 2], y: &Tensor, relu: bool) {
        let name = &einsum.name;
        let inputs = [
            self.dequantise(&format!("{name}.a"), a),
            self.dequantise(&format!("{name}.b"), b),
        ];
        self.node(
            "Add",
            name,
            &[&inputs[0], &inputs[1]],
            &format!("{name}.real"),
            Vec::new(),
        );
        self.quantise_result(name, y, relu);
    }

    /// Appends a global average pooling.
    pub(super) fn global_average(&mut self, einsum: &Einsum, x: &Tensor, y: &Tensor) {
        let name = &einsum.name;
        let input = self.dequantise(name, x);
        self.node(
            "GlobalAveragePool",
            name,
            &[&input],
            &format!("{name}.real"),
            Vec::new(),
        );
        self.quantise_result(name, y, false);
    }

    /// Appends a maximum pooling.
    pub(super) fn max_pool(&mut self, einsum: &Einsum, x: &Tensor, y: &Tensor, window: &Window) {
        let name = &einsum.name;
        let input = self.dequantise(name, x);
        self.node(
            "MaxPool",
            name,
            &[&input],
            &format!("{name}.real"),
            window_attributes(window),
        );
        self.quantise_result(name, y, false);
    }

    /// Ends the file with `output` as its float output `logits` and gives the bytes.
    pub(super) fn finish(mut self, name: &str, output: &Tensor) -> Vec<u8> {
        let scale = self.scale(output);
        self.node(
            "DequantizeLinear",
            "logits",
            &[&output.name, &scale.0, &scale.1],
            "logits",
            Vec::new(),
        );
        self.graph
            .output
            .push(value_info("logits", &[None, Some(output.channels)]));
        self.graph.name = Some(name.to_string());
        let opset = OperatorSetIdProto {
            domain: Some(String::new()),
            version: Some(17),
        };
        let model = ModelProto {
            ir_version: Some(8),
            producer_name: Some("tilewright".into()),
            opset_import: vec![opset],
            graph: Some(self.graph),
            ..ModelProto::default()
        };
        model.encode_to_vec()
    }

    fn node(
        &mut self,
        operator: &str,
        name: &str,
        inputs: &[&String],
        output: &str,
        attribute: Vec<AttributeProto>,
    ) {
        self.graph.node.push(NodeProto {
            op_type: Some(operator.to_string()),
            name: Some(name.to_string()),
            input: inputs.iter().map(|input| input.to_string()).collect(),
            output: vec![output.to_string()],
            attribute,
            ..NodeProto::default()
        });
    }

    /// Appends the `DequantizeLinear` of `x` for the node `reader` and gives the name of its result.
    fn dequantise(&mut self, reader: &str, x: &Tensor) -> String {
        let (scale, zero_point) = self.scale(x);
        let result = format!("{}.real.{reader}", x.name);
        let source = self.source(x);
        self.node(
            "DequantizeLinear",
            &result,
            &[&source, &scale, &zero_point],
            &result,
            Vec::new(),
        );
        result
    }

    /// The name under which the quantised values of `x` are known.
    fn source(&self, x: &Tensor) -> String {
        if x.name == "image" {
            "image.q".to_string()
        } else {
            x.name.clone()
        }
    }

    fn quantise_result(&mut self, name: &str, y: &Tensor, relu: bool) {
        let mut result = format!("{name}.real");
        if relu {
            let limited = format!("{name}.relu");
            self.node("Relu", &limited, &[&result], &limited, Vec::new());
            result = limited;
        }
        self.quantise(&result, y);
    }

    fn quantise(&mut self, real: &str, y: &Tensor) {
        let (scale, zero_point) = self.scale(y);
        let source = self.source(y);
        let real = real.to_string();
        self.node(
            "QuantizeLinear",
            &format!("{source}.quantise"),
            &[&real, &scale, &zero_point],
            &source,
            Vec::new(),
        );
    }

    /// The names of the scale and zero point of `tensor`, written when they are first asked for.
    fn scale(&mut self, tensor: &Tensor) -> (String, String) {
        let (scale, zero_point) = (
            format!("{}.scale", tensor.name),
            format!("{}.zero", tensor.name),
        );
        if self
            .graph
            .initializer
            .iter()
            .all(|known| known.name() != scale)
        {
            self.initialiser(
                &scale,
                DataType::Float,
                &[],
                tensor.scale.to_le_bytes().to_vec(),
            );
            self.initialiser(
                &zero_point,
                DataType::Int8,
                &[],
                vec![tensor.zero_point.cast_unsigned()],
            );
        }
        (scale, zero_point)
    }

    /// Writes a constant with a scale for each index of its first dimension, and its `DequantizeLinear`.
    fn constant(
        &mut self,
        name: &str,
        data_type: DataType,
        dims: &[usize],
        bytes: Vec<u8>,
        scales: &[f32],
    ) {
        let (scale, result) = (format!("{name}.scale"), format!("{name}.real"));
        let scale_bytes = scales
            .iter()
            .flat_map(|scale| scale.to_le_bytes())
            .collect();
        self.initialiser(name, data_type, dims, bytes);
        self.initialiser(&scale, DataType::Float, &[scales.len()], scale_bytes);
        self.node(
            "DequantizeLinear",
            &result,
            &[&name.to_string(), &scale],
            &result,
            vec![int("axis", 0)],
        );
    }

    fn initialiser(&mut self, name: &str, data_type: DataType, dims: &[usize], bytes: Vec<u8>) {
        self.graph.initializer.push(TensorProto {
            name: Some(name.to_string()),
            data_type: Some(data_type as i32),
            dims: dims.iter().map(|&dim| dim.fit::<i64>()).collect(),
            raw_data: Some(bytes.into()),
            ..TensorProto::default()
        });
    }
}

fn conv_attributes(op: &Conv) -> Vec<AttributeProto> {
    let mut attributes = window_attributes(&op.window);
    attributes.push(int("group", op.groups.fit::<i64>()));
    attributes
}

fn window_attributes(window: &Window) -> Vec<AttributeProto> {
    vec![
        ints("kernel_shape", &window.kernel),
        ints("strides", &window.stride),
        ints("pads", &window.pads),
    ]
}

fn int(name: &str, value: i64) -> AttributeProto {
    let kind = AttributeType::Int as i32;
    AttributeProto {
        name: Some(name.into()),
        r#type: Some(kind),
        i: Some(value),
        ..AttributeProto::default()
    }
}

fn ints(name: &str, values: &[usize]) -> AttributeProto {
    let kind = AttributeType::Ints as i32;
    let ints = values.iter().map(|&value| value.fit::<i64>()).collect();
    AttributeProto {
        name: Some(name.into()),
        r#type: Some(kind),
        ints,
        ..AttributeProto::default()
    }
}

/// A float tensor of `shape`; a dimension without a size is the batch `N`.
fn value_info(name: &str, shape: &[Option<usize>]) -> ValueInfoProto {
    let dimension = |size: &Option<usize>| {
        let value = match size {
            Some(size) => dimension::Value::DimValue((*size).fit::<i64>()),
            None => dimension::Value::DimParam("N".into()),
        };
        Dimension {
            value: Some(value),
            ..Dimension::default()
        }
    };
    let shape = TensorShapeProto {
        dim: shape.iter().map(dimension).collect(),
    };
    let tensor = type_proto::Tensor {
        elem_type: Some(DataType::Float as i32),
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
}
