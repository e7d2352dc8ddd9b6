//! The graph in double precision.
//!
//! Floats, int8 and uint8 are doubles in it; `QuantizeLinear` and `DequantizeLinear` are what the standard says they are,
//! in `Div`, `Round`, `Add`, `Clip`, `Sub` and `Mul`. The integer operators are written as what they stand for, and the
//! operators without a kernel for doubles as sums of slices and products. Whatever else there is, onnxruntime runs as it
//! is, or refuses.

use super::emit::{Emit, int, ints};
use super::{Element, NoRewrite, Seen, decode, functions, place, sums};
use crate::node::Node;
use crate::proto::tensor_proto::DataType;
use crate::proto::{NodeProto, TensorProto, TypeProto, ValueInfoProto, type_proto};
use prost::Message;
use std::collections::{BTreeMap, BTreeSet};

/// Where the twin has an output of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TwinOutput {
    /// The output's name in the file.
    pub name: String,
    /// The output of the twin with its value.
    pub value: String,
    /// The output of the twin with the value in front of the last rounding, held to the range of its type.
    pub real: Option<String>,
    /// The output of the twin with the size of one step of the last rounding, where that is not 1.
    pub step: Option<String>,
}

/// The graph in double precision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TwinFile {
    /// The ONNX file.
    pub bytes: Vec<u8>,
    /// Every output of the file.
    pub outputs: Vec<TwinOutput>,
    /// The quantised tensors that are inputs of the twin, in the type and shape of the file.
    pub given: Vec<Given>,
}

/// A quantised tensor that whoever runs the twin gives it: the nodes behind are judged by their own operands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// The input of the twin.
    pub input: String,
    /// What the twin itself makes of this tensor.
    pub own: TwinOutput,
}

/// Rewrites the file in double precision; `seen` has every input and every tensor between nodes. The quantised tensors of
/// `given`, but for outputs of the graph, go on as they are given to the twin and not as it rounds them.
///
/// # Errors
/// [`NoRewrite`] with the operator that has none.
pub fn twin(
    bytes: &[u8],
    seen: &BTreeMap<String, Seen>,
    given: &BTreeSet<String>,
) -> Result<TwinFile, NoRewrite> {
    let mut model = decode(bytes)?;
    let mut graph = model.graph.take().unwrap_or_default();
    let nodes = std::mem::take(&mut graph.node);
    let mut twin = Twin {
        seen: with_initialisers(seen, &graph.initializer),
        producers: BTreeMap::new(),
        emit: Emit::default(),
        doubles: BTreeMap::new(),
        unrounded: BTreeMap::new(),
        given: given.clone(),
        rounded: BTreeMap::new(),
    };
    for output in &graph.output {
        twin.given.remove(output.name());
    }
    for proto in &nodes {
        for output in &proto.output {
            twin.producers.insert(output, proto);
        }
        twin.node(&Node::new(proto))?;
        proto.output.iter().for_each(|name| twin.go_on(name));
    }
    let mut outputs = Vec::new();
    for output in &graph.output {
        outputs.push(twin.output(output.name())?);
    }
    let mut given = Vec::new();
    for (name, value) in std::mem::take(&mut twin.rounded) {
        let element = twin.element(&name);
        graph.input.push(input(&given_name(&name), element));
        given.push(twin.given(&name, &value)?);
    }
    let Emit {
        nodes, constants, ..
    } = twin.emit;
    let own = given.iter().map(|given| &given.own);
    let names = outputs.iter().chain(own).flat_map(|output| {
        [
            Some(&output.value),
            output.real.as_ref(),
            output.step.as_ref(),
        ]
    });
    let names: Vec<&String> = names.flatten().collect();
    graph.output = names
        .iter()
        .map(|&name| ValueInfoProto {
            name: Some(name.clone()),
            ..Default::default()
        })
        .collect();
    graph.node = nodes;
    graph.initializer.extend(constants);
    graph.value_info.clear();
    model.graph = Some(graph);
    Ok(TwinFile {
        bytes: model.encode_to_vec(),
        outputs,
        given,
    })
}

fn given_name(name: &str) -> String {
    format!("given/{name}")
}

/// A graph input of bytes, whose shape the values say.
fn input(name: &str, element: Element) -> ValueInfoProto {
    let data_type = match element {
        Element::Uint8 => DataType::Uint8,
        _ => DataType::Int8,
    };
    let tensor = type_proto::Tensor {
        elem_type: Some(data_type as i32),
        shape: None,
    };
    ValueInfoProto {
        name: Some(name.to_owned()),
        r#type: Some(TypeProto {
            value: Some(type_proto::Value::TensorType(tensor)),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// Types and shapes of constants beside those of all else.
fn with_initialisers(
    seen: &BTreeMap<String, Seen>,
    initialisers: &[TensorProto],
) -> BTreeMap<String, Seen> {
    let of = |tensor: &TensorProto| {
        let element = match DataType::try_from(tensor.data_type()) {
            Ok(DataType::Float | DataType::Double) => Element::Float,
            Ok(DataType::Int8) => Element::Int8,
            Ok(DataType::Uint8) => Element::Uint8,
            _ => Element::Other,
        };
        let shape = tensor
            .dims
            .iter()
            .map(|&size| size.max(0) as usize)
            .collect();
        (tensor.name().to_owned(), Seen { element, shape })
    };
    let mut seen = seen.clone();
    seen.extend(initialisers.iter().map(of));
    seen
}

struct Twin<'a> {
    seen: BTreeMap<String, Seen>,
    producers: BTreeMap<&'a str, &'a NodeProto>,
    emit: Emit,
    /// The double of each name of the file that has one.
    doubles: BTreeMap<String, String>,
    /// What stands in front of the rounding of each quantised tensor.
    unrounded: BTreeMap<String, Unrounded>,
    /// The quantised tensors that go on as they are given.
    given: BTreeSet<String>,
    /// What the twin itself rounds them to.
    rounded: BTreeMap<String, String>,
}

#[derive(Clone)]
struct Unrounded {
    /// In steps, zero point included.
    value: String,
    range: [f64; 2],
}

/// A scale and its zero point, by their names in the file.
type Grid<'n> = (&'n str, Option<&'n str>);

impl<'a> Twin<'a> {
    fn node(&mut self, node: &Node<'a>) -> Result<(), NoRewrite> {
        let proto = node.proto;
        if proto.output.is_empty() {
            return Err(refused(node, "it has no output"));
        }
        if proto
            .attribute
            .iter()
            .any(|a| a.g.is_some() || !a.graphs.is_empty())
        {
            return Err(refused(node, "it has a graph of its own"));
        }
        if node.int("channels_last", 0) != 0 {
            return Err(refused(node, "its channels are last"));
        }
        let y = match proto.op_type() {
            "QuantizeLinear" => {
                let grid = (self.input(node, 1)?, node.input(2));
                let x = self.double_of(node, 0)?;
                return self.quantise(node, &x, grid);
            }
            "DequantizeLinear" => {
                let axis = node.int("axis", 1);
                let grid = (self.input(node, 1)?, node.input(2));
                self.dequantise(node, self.input(node, 0)?, grid, axis)?
            }
            "Conv" | "ConvTranspose" => {
                let [x, w] = [self.input(node, 0)?, self.input(node, 1)?];
                let bias = node.input(2).map(|bias| self.double(bias));
                let doubles = [self.double(x), self.double(w)];
                self.conv(node, [&doubles[0], &doubles[1]], bias.as_deref(), [x, w])?
            }
            "AveragePool" => {
                let x = self.double_of(node, 0)?;
                let shapes = self.io_shapes(node)?;
                sums::average_pool(&mut self.emit, node, &x, [&shapes[0], &shapes[1]])?
            }
            "GlobalAveragePool" => {
                let x = self.double_of(node, 0)?;
                let shapes = self.io_shapes(node)?;
                sums::global_average(&mut self.emit, node, &x, [&shapes[0], &shapes[1]])?
            }
            "GlobalMaxPool" => {
                let x = self.double_of(node, 0)?;
                let [shape, _] = self.io_shapes(node)?;
                let [image] = sums::images(node, [&shape])?;
                let kernel = vec![ints("kernel_shape", image)];
                self.emit.op_with("MaxPool", &[&x], kernel)
            }
            "QLinearConv" => self.qlinear_conv(node)?,
            "QLinearMatMul" => {
                let a = self.operand(node, 0, -2)?;
                let b = self.operand(node, 3, -1)?;
                self.emit.op("MatMul", &[&a, &b])
            }
            "QGemm" => self.qgemm(node)?,
            "QLinearAdd" | "QLinearMul" => {
                let (a, b) = (self.operand(node, 0, 0)?, self.operand(node, 3, 0)?);
                let operator = proto.op_type().trim_start_matches("QLinear");
                self.emit.op(operator, &[&a, &b])
            }
            "QLinearConcat" => {
                let mut parts = Vec::new();
                for first in (2..proto.input.len()).step_by(3) {
                    parts.push(self.operand(node, first, 0)?);
                }
                let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
                let axis = vec![int("axis", node.int("axis", 0))];
                self.emit.op_with("Concat", &parts, axis)
            }
            "QLinearAveragePool" | "QLinearGlobalAveragePool" => {
                let x = self.operand(node, 0, 0)?;
                let shapes = self.io_shapes(node)?;
                let shapes = [shapes[0].as_slice(), shapes[1].as_slice()];
                if proto.op_type() == "QLinearAveragePool" {
                    sums::average_pool(&mut self.emit, node, &x, shapes)?
                } else {
                    sums::global_average(&mut self.emit, node, &x, shapes)?
                }
            }
            "QLinearSigmoid" | "QLinearLeakyRelu" => {
                let x = self.operand(node, 0, 0)?;
                functions::function(&mut self.emit, node, &x).expect("both are functions")
            }
            "PRelu" => {
                let (x, slope) = (self.double_of(node, 0)?, self.double_of(node, 1)?);
                self.emit.leaky_relu(&x, &slope)
            }
            "Clip" => {
                let x = self.double_of(node, 0)?;
                self.clip(node, &x)?
            }
            "Resize" | "Upsample" if node.text("mode", "nearest") == "nearest" => {
                self.in_two_halves(node)?
            }
            "Cast" if self.is_real(&proto.output[0]) => {
                if self.element(&proto.output[0]) != Element::Float {
                    return Err(refused(node, "it casts to an integer type of 8 bits"));
                }
                self.double_of(node, 0)?
            }
            // Their values are the file's; whoever needs doubles casts them.
            "Constant" | "ConstantOfShape" => {
                self.emit.nodes.push(proto.clone());
                return Ok(());
            }
            _ => {
                let x = node
                    .input(0)
                    .filter(|x| self.is_real(x))
                    .map(|x| self.double(x));
                let y = x.and_then(|x| functions::function(&mut self.emit, node, &x));
                let Some(y) = y else {
                    self.as_it_is(node);
                    return Ok(());
                };
                y
            }
        };
        let integer = proto.op_type().starts_with("QLinear") || proto.op_type() == "QGemm";
        if let Some(grid) = self.output_grid(node).filter(|_| integer) {
            return self.quantise(node, &y, grid);
        }
        self.doubles.insert(proto.output[0].clone(), y);
        Ok(())
    }

    /// Copies a node whose operator has a kernel for doubles, or none at all.
    fn as_it_is(&mut self, node: &Node) {
        let mut copy = node.proto.clone();
        for name in &mut copy.input {
            if self.is_real(name) {
                *name = self.double(name);
            }
        }
        for name in &mut copy.output {
            if self.is_real(name) {
                let double = self.emit.fresh();
                self.doubles.insert(name.clone(), double.clone());
                *name = double;
            }
        }
        self.emit.nodes.push(copy);
    }

    fn quantise(&mut self, node: &Node, x: &str, (scale, zero): Grid) -> Result<(), NoRewrite> {
        let output = &node.proto.output[0];
        let range = match self.element(output) {
            Element::Int8 => [-128.0, 127.0],
            Element::Uint8 => [0.0, 255.0],
            _ => {
                return Err(refused(
                    node,
                    "it quantises to another type than int8 and uint8",
                ));
            }
        };
        let rank = self.shape(output).map_or(0, <[usize]>::len);
        let [scale, zero] = self.grid(node, (scale, zero), node.int("axis", 1), rank)?;
        let steps = self.emit.op("Div", &[x, &scale]);
        let rounded = self.emit.op("Round", &[&steps]);
        let shifted = self.emit.op("Add", &[&rounded, &zero]);
        let value = self.hold(&shifted, range);
        let unrounded = self.emit.op("Add", &[&steps, &zero]);
        let unrounded = Unrounded {
            value: unrounded,
            range,
        };
        self.unrounded.insert(output.clone(), unrounded);
        self.doubles.insert(output.clone(), value);
        Ok(())
    }

    /// Lets the tensor go on as it is given, if it is.
    fn go_on(&mut self, name: &str) {
        let own = self.doubles.get(name).cloned();
        if let Some(own) = own.filter(|_| self.given.contains(name)) {
            let given = self.emit.cast(&given_name(name));
            self.doubles.insert(name.to_owned(), given);
            self.rounded.insert(name.to_owned(), own);
        }
    }

    fn dequantise(
        &mut self,
        node: &Node,
        x: &str,
        grid: Grid,
        axis: i64,
    ) -> Result<String, NoRewrite> {
        let x_double = self.double(x);
        self.dequantise_double(
            node,
            &x_double,
            self.shape(x).map_or(0, <[usize]>::len),
            grid,
            axis,
        )
    }

    fn dequantise_double(
        &mut self,
        node: &Node,
        x: &str,
        rank: usize,
        grid: Grid,
        axis: i64,
    ) -> Result<String, NoRewrite> {
        let [scale, zero] = self.grid(node, grid, axis, rank)?;
        let x = self.emit.op("Sub", &[x, &zero]);
        Ok(self.emit.op("Mul", &[&x, &scale]))
    }

    /// Scale and zero point as doubles that broadcast over a tensor of `rank`.
    fn grid(
        &mut self,
        node: &Node,
        (scale, zero): Grid,
        axis: i64,
        rank: usize,
    ) -> Result<[String; 2], NoRewrite> {
        if node.int("block_size", 0) != 0 {
            return Err(refused(node, "it has a scale for each block"));
        }
        let dims = self.shape(scale).unwrap_or_default().to_vec();
        let n: usize = dims.iter().product();
        let mut shape = Vec::new();
        if n > 1 {
            let axis = usize::try_from(if axis < 0 { axis + rank as i64 } else { axis });
            let axis = axis.ok().filter(|&axis| dims.len() == 1 && axis < rank);
            let axis = axis.ok_or_else(|| refused(node, "its scales lie along no axis"))?;
            shape = vec![1; rank - axis];
            shape[0] = n;
        }
        let scale = self.double(scale);
        let scale = self.emit.reshape(&scale, &shape);
        let zero = match zero {
            Some(zero) => {
                let n: usize = self.shape(zero).unwrap_or_default().iter().product();
                let zero = self.double(zero);
                if n > 1 {
                    self.emit.reshape(&zero, &shape)
                } else {
                    self.emit.reshape(&zero, &[])
                }
            }
            None => self.emit.double(0.0),
        };
        Ok([scale, zero])
    }

    /// Operand `first` of an integer operator with scale and zero point behind it, as real values.
    fn operand(&mut self, node: &Node, first: usize, axis: i64) -> Result<String, NoRewrite> {
        let grid = (self.input(node, first + 1)?, node.input(first + 2));
        self.dequantise(node, self.input(node, first)?, grid, axis)
    }

    /// Where an integer operator has the grid of its output, if it quantises at all.
    fn output_grid<'n>(&self, node: &Node<'n>) -> Option<Grid<'n>> {
        let at = match node.proto.op_type() {
            "QLinearConcat" => 0,
            "QLinearSigmoid" | "QLinearLeakyRelu" => 3,
            "QLinearAveragePool" | "QLinearGlobalAveragePool" => 3,
            "QGemm" => 7,
            _ => 6,
        };
        Some((node.input(at)?, node.input(at + 1)))
    }

    fn conv(
        &mut self,
        node: &Node,
        doubles: [&str; 2],
        bias: Option<&str>,
        [x, w]: [&str; 2],
    ) -> Result<String, NoRewrite> {
        let shapes = [x, w, &node.proto.output[0]].map(|name| self.shape(name));
        let [Some(x), Some(w), Some(y)] = shapes else {
            return Err(refused(node, "a shape is not known"));
        };
        if w.len() < 3 || x.len() != w.len() || y.contains(&0) {
            return Err(refused(node, "its shapes are none of a convolution"));
        }
        let convolve = if node.proto.op_type() == "ConvTranspose" {
            sums::conv_transpose
        } else {
            sums::conv
        };
        let shapes = [x, w, y].map(<[usize]>::to_vec);
        let shapes = [&shapes[0][..], &shapes[1][..], &shapes[2][..]];
        convolve(&mut self.emit, node, doubles, bias, shapes)
    }

    fn qlinear_conv(&mut self, node: &Node) -> Result<String, NoRewrite> {
        let (x, w) = (self.operand(node, 0, 0)?, self.operand(node, 3, 0)?);
        let bias = match node.input(8) {
            Some(bias) => Some(self.bias(bias, [self.input(node, 1)?, self.input(node, 4)?], None)),
            None => None,
        };
        let names = [self.input(node, 0)?, self.input(node, 3)?];
        self.conv(node, [&x, &w], bias.as_deref(), names)
    }

    fn qgemm(&mut self, node: &Node) -> Result<String, NoRewrite> {
        // A scale for each column of the product lies along an axis of the second operand.
        let axis = i64::from(node.int("transB", 0) == 0);
        let (a, b) = (self.operand(node, 0, 0)?, self.operand(node, 3, axis)?);
        let alpha = node.float("alpha", 1.0);
        let c = match node.input(6) {
            Some(c) => {
                let scales = [self.input(node, 1)?, self.input(node, 4)?];
                Some(self.bias(c, scales, Some(alpha)))
            }
            None => None,
        };
        let inputs: Vec<&str> = [Some(a.as_str()), Some(b.as_str()), c.as_deref()]
            .into_iter()
            .flatten()
            .collect();
        Ok(self
            .emit
            .op_with("Gemm", &inputs, node.proto.attribute.clone()))
    }

    /// An int32 bias in steps of the product of two scales.
    fn bias(&mut self, bias: &str, scales: [&str; 2], alpha: Option<f32>) -> String {
        let bias = self.double(bias);
        let [a, b] = scales.map(|scale| self.double(scale));
        let y = self.emit.op("Mul", &[&bias, &a]);
        let y = self.emit.op("Mul", &[&y, &b]);
        match alpha {
            Some(alpha) if alpha != 1.0 => {
                let alpha = self.emit.double(f64::from(alpha));
                self.emit.op("Mul", &[&y, &alpha])
            }
            _ => y,
        }
    }

    /// A `Clip` of the double `x`.
    fn clip(&mut self, node: &Node, x: &str) -> Result<String, NoRewrite> {
        let mut bounds = [None, None];
        for (index, name) in ["min", "max"].into_iter().enumerate() {
            bounds[index] = match node.input(1 + index) {
                Some(bound) => {
                    let bound = self.double(bound);
                    Some(self.emit.reshape(&bound, &[]))
                }
                None if node.has(name) => Some(self.emit.double(f64::from(node.float(name, 0.0)))),
                None => None,
            };
        }
        Ok(self
            .emit
            .clip(x, bounds[0].as_deref(), bounds[1].as_deref()))
    }

    /// An operator that only copies values and has no kernel for doubles, run on both halves of each value as floats.
    fn in_two_halves(&mut self, node: &Node) -> Result<String, NoRewrite> {
        let x = self.double_of(node, 0)?;
        let high = self.emit.cast_to(&x, DataType::Float);
        let back = self.emit.cast(&high);
        let low = self.emit.op("Sub", &[&x, &back]);
        let low = self.emit.cast_to(&low, DataType::Float);
        let halves = [high, low].map(|half| {
            let mut copy = node.proto.clone();
            copy.name = None;
            copy.input[0] = half;
            let output = self.emit.fresh();
            copy.output = vec![output.clone()];
            self.emit.nodes.push(copy);
            self.emit.cast(&output)
        });
        Ok(self.emit.op("Add", &[&halves[0], &halves[1]]))
    }

    /// The output of the file, and what stands in front of its last rounding.
    fn output(&mut self, name: &str) -> Result<TwinOutput, NoRewrite> {
        let value = match self.is_real(name) {
            true => self.double(name),
            false => name.to_owned(),
        };
        // An output of its own, even where the graph has one tensor twice.
        let value = self.emit.op("Identity", &[&value]);
        let (real, step) = match self.real(name)? {
            Some((real, step)) => (Some(self.emit.op("Identity", &[&real])), step),
            None => (None, self.last_step(name)),
        };
        Ok(TwinOutput {
            name: name.to_owned(),
            value,
            real,
            step: step.map(|step| self.emit.op("Identity", &[&step])),
        })
    }

    fn given(&mut self, name: &str, value: &str) -> Result<Given, NoRewrite> {
        let real = self.real(name)?.map(|(real, _)| real);
        let own = TwinOutput {
            name: name.to_owned(),
            value: self.emit.op("Identity", &[value]),
            real: real.map(|real| self.emit.op("Identity", &[&real])),
            step: None,
        };
        let input = given_name(name);
        Ok(Given { input, own })
    }

    /// The tensor with its last rounding left out, and the size of one step, where only one value makes each of its.
    fn real(&mut self, name: &str) -> Result<Option<(String, Option<String>)>, NoRewrite> {
        if let Some(Unrounded { value, range }) = self.unrounded.get(name).cloned() {
            return Ok(Some((self.hold(&value, range), None)));
        }
        let Some(proto) = self.producers.get(name).copied() else {
            return Ok(None);
        };
        let node = Node::new(proto);
        let operators = [
            "DequantizeLinear",
            "Reshape",
            "Transpose",
            "Flatten",
            "Squeeze",
            "Unsqueeze",
            "Identity",
            "Dropout",
            "Clip",
        ];
        if !operators.contains(&proto.op_type()) {
            return Ok(None);
        }
        let input = self.input(&node, 0)?;
        let Some((real, step)) = self.real(input)? else {
            return Ok(None);
        };
        if proto.op_type() == "Clip" {
            return Ok(Some((self.clip(&node, &real)?, step)));
        }
        if proto.op_type() != "DequantizeLinear" {
            let mut copy = proto.clone();
            copy.name = None;
            copy.input[0] = real;
            let output = self.emit.fresh();
            copy.output = vec![output.clone()];
            self.emit.nodes.push(copy);
            return Ok(Some((output, step)));
        }
        let grid = (self.input(&node, 1)?, node.input(2));
        let rank = self.shape(input).map_or(0, <[usize]>::len);
        let real = self.dequantise_double(&node, &real, rank, grid, node.int("axis", 1))?;
        let scale = self.double(grid.0);
        Ok(Some((real, Some(scale))))
    }

    /// The step of the last quantised tensor that makes `name`.
    fn last_step(&mut self, name: &str) -> Option<String> {
        let mut name = name;
        while let Some(proto) = self.producers.get(name).copied() {
            let inputs = &proto.input;
            if proto.op_type() == "DequantizeLinear" {
                let scale = inputs.get(1)?.clone();
                return Some(self.double(&scale));
            }
            // Constants are no way back.
            name = inputs
                .iter()
                .find(|input| self.producers.contains_key(input.as_str()))?;
        }
        None
    }

    fn hold(&mut self, name: &str, range: [f64; 2]) -> String {
        let [low, high] = range.map(|bound| self.emit.double(bound));
        self.emit.clip(name, Some(&low), Some(&high))
    }

    fn double_of(&mut self, node: &Node, i: usize) -> Result<String, NoRewrite> {
        let name = self.input(node, i)?;
        Ok(self.double(name))
    }

    /// The double of a tensor of the file.
    fn double(&mut self, name: &str) -> String {
        if let Some(double) = self.doubles.get(name) {
            return double.clone();
        }
        let double = self.emit.cast(name);
        self.doubles.insert(name.to_owned(), double.clone());
        double
    }

    fn input<'n>(&self, node: &Node<'n>, i: usize) -> Result<&'n str, NoRewrite> {
        node.input(i)
            .ok_or_else(|| refused(node, "an input is left out"))
    }

    fn io_shapes(&self, node: &Node) -> Result<[Vec<usize>; 2], NoRewrite> {
        let shapes = [self.input(node, 0)?, &node.proto.output[0]].map(|name| self.shape(name));
        match shapes {
            [Some(x), Some(y)] if x.len() > 2 && x.len() == y.len() => Ok([x.to_vec(), y.to_vec()]),
            _ => Err(refused(node, "its shapes are none of a window")),
        }
    }

    fn shape(&self, name: &str) -> Option<&[usize]> {
        self.seen.get(name).map(|seen| seen.shape.as_slice())
    }

    fn element(&self, name: &str) -> Element {
        self.seen
            .get(name)
            .map_or(Element::Other, |seen| seen.element)
    }

    /// Whether the twin has the tensor as doubles.
    fn is_real(&self, name: &str) -> bool {
        self.element(name) != Element::Other
    }
}

fn refused(node: &Node, reason: &str) -> NoRewrite {
    NoRewrite {
        place: place(node.proto),
        reason: reason.into(),
    }
}
