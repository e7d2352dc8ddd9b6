//! One pass over the nodes of a graph, in topological order.
//!
//! Each name in the graph gets a [`Value`]. A float operator becomes a [`Pending`](crate::value::Pending) result, and the
//! `QuantizeLinear` behind it makes an einsum of it; so both spellings of quantisation meet in [`Walk::emit`].
//! A node with a problem is reported, and its results are marked so that nothing is reported twice.

mod build;
mod graph;
mod host;

pub(crate) use build::{identity_reals, pending, pending_image};

use crate::constant::{Constant, Data, count};
use crate::error::{ImportError, Problem, Reason};
use crate::fold::{fold, without_unread};
use crate::node::Node;
use crate::ops::Handler;
use crate::ops::address::channels_first;
use crate::order::{Axis, Order};
use crate::proto::{GraphProto, ModelProto, TensorProto, ValueInfoProto};
use crate::value::{Operand, Pending, PendingOp, Quant, QuantConstant, Value, View};
use crate::{Options, Report, ops};
use ir::network::{
    ConstantTensor, Einsum, GraphOutput, HostStep, HostType, HostView, Network, TensorId,
};
use ir::op::{Kind, Positions, Select, Table, table_values};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::rc::Rc;

/// A tensor while its properties are still being found.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub(crate) name: String,
    /// `[channels, height, width]`; open for a graph input until an operator reads it.
    pub(crate) image: Option<[usize; 3]>,
    /// Open for an integer graph input until an operator says its scale.
    pub(crate) quant: Option<Quant>,
    pub(crate) host: Option<HostView>,
    /// For a graph input, the way from the host's order to the tensor's.
    pub(crate) axes: Vec<Axis>,
}

/// The state of the pass.
pub(crate) struct Walk<'a> {
    pub(crate) folder: Option<&'a Path>,
    pub(crate) options: &'a Options,
    /// The version of ONNX's own operators.
    pub(crate) opset: i64,
    /// The images that the file takes at once, where its inputs say more than one; shapes then say one.
    pub(crate) batch: usize,
    /// How often a name is still read, by nodes to come and as an output of the graph. Values that nobody reads any more
    /// are dropped: weights are there in several forms on their way.
    pub(crate) readers: BTreeMap<&'a str, usize>,
    pub(crate) initialisers: BTreeMap<&'a str, &'a TensorProto>,
    pub(crate) values: BTreeMap<String, Value>,
    pub(crate) drafts: Vec<Draft>,
    pub(crate) inputs: Vec<TensorId>,
    pub(crate) einsums: Vec<Einsum>,
    pub(crate) einsum_names: BTreeSet<String>,
    pub(crate) tensor_names: BTreeSet<String>,
    pub(crate) constants: Vec<ConstantTensor>,
    pub(crate) outputs: Vec<TensorId>,
    pub(crate) host_steps: Vec<HostStep>,
    pub(crate) results: Vec<GraphOutput>,
    pub(crate) problems: Vec<Problem>,
}

/// Which einsums a network has.
#[derive(Clone, Copy)]
pub(crate) enum Einsums {
    /// Those of the nodes, but for what others do on their way.
    Folded,
    /// Those of the nodes.
    AsWritten,
}

/// Imports `model`, whose external data lies in `folder`.
pub(crate) fn walk(
    model: &ModelProto,
    folder: Option<&Path>,
    options: &Options,
    einsums: Einsums,
) -> Result<Report, ImportError> {
    let empty = GraphProto::default();
    let graph = model.graph.as_ref().unwrap_or(&empty);
    let nodes: Vec<Node> = graph.node.iter().map(Node::new).collect();
    let read = nodes.iter().flat_map(|node| &node.proto.input);
    let outputs = graph.output.iter().map(ValueInfoProto::name);
    let mut walk = Walk {
        folder,
        options,
        opset: crate::file::opset(model),
        batch: 1,
        readers: BTreeMap::new(),
        initialisers: BTreeMap::new(),
        values: BTreeMap::new(),
        drafts: Vec::new(),
        inputs: Vec::new(),
        einsums: Vec::new(),
        einsum_names: BTreeSet::new(),
        tensor_names: BTreeSet::new(),
        constants: Vec::new(),
        outputs: Vec::new(),
        host_steps: Vec::new(),
        results: Vec::new(),
        problems: Vec::new(),
    };
    for name in read.map(String::as_str).chain(outputs) {
        *walk.readers.entry(name).or_default() += 1;
    }
    walk.problems.extend(file_problem(&nodes));
    walk.read_initialisers(graph);
    walk.read_inputs(graph);
    for idx in walk.sorted(&nodes)? {
        walk.visit(&nodes[idx]);
    }
    walk.read_outputs(graph);
    let name = if graph.name().is_empty() {
        "network"
    } else {
        graph.name()
    };
    let mut operators = BTreeMap::new();
    for node in &nodes {
        *operators.entry(node.operator()).or_insert(0) += 1;
    }
    let network = if walk.problems.is_empty() {
        Some(walk.finish(name, einsums)?)
    } else {
        None
    };
    Ok(Report {
        name: name.to_string(),
        operators,
        problems: walk.problems,
        external: crate::constant::external_files(graph, folder),
        network,
    })
}

/// What keeps a whole file out, in one sentence: it is not quantised, or not before it runs.
fn file_problem(nodes: &[Node]) -> Option<Problem> {
    let has = |name: &str| nodes.iter().any(|node| node.proto.op_type() == name);
    let is_dynamic = ["DynamicQuantizeLinear", "MatMulInteger", "ConvInteger"]
        .into_iter()
        .any(has);
    if is_dynamic {
        let reason = Reason::unsupported("the network is quantised dynamically: its activations have no scales before it runs")
            .help("quantise it statically, as `onnxruntime.quantization.quantize_static` does with a few images");
        return Some(reason.at("graph"));
    }
    let computes = ["Conv", "ConvTranspose", "Gemm", "MatMul"]
        .into_iter()
        .any(has);
    let is_quantised = nodes.iter().any(|node| {
        let name = node.proto.op_type();
        name.starts_with("QLinear")
            || name.ends_with("quantizeLinear")
            || name == "QuantizeLinear"
            || name == "QGemm"
    });
    (computes && !is_quantised).then(|| {
        Reason::unsupported("the network is not quantised: nothing in it is an int8 or uint8 tensor")
            .help("quantise it statically, as `onnxruntime.quantization.quantize_static` does with a few images")
            .at("graph")
    })
}

impl Walk<'_> {
    fn visit(&mut self, node: &Node) {
        let values = self.handle(node).unwrap_or_else(|reason| {
            let place = format!("node `{}` ({})", node.label, node.operator());
            self.problems.push(reason.at(place));
            Vec::new()
        });
        let mut values = values.into_iter();
        for name in &node.proto.output {
            let value = values.next().unwrap_or(Value::Broken);
            if !name.is_empty() {
                self.values.insert(name.clone(), value);
            }
        }
        for name in &node.proto.input {
            if let Some(readers) = self.readers.get_mut(name.as_str()) {
                *readers -= 1;
                if *readers == 0 {
                    self.values.remove(name);
                }
            }
        }
    }

    /// The values of the node's outputs, or none if an operand has been reported already.
    fn handle(&mut self, node: &Node) -> Result<Vec<Value>, Reason> {
        let values = self.results(node)?;
        for value in &values {
            match value {
                Value::Pending(result) => result.check()?,
                other => drop(count(other.shape().unwrap_or_default())?),
            }
        }
        Ok(values)
    }

    fn results(&mut self, node: &Node) -> Result<Vec<Value>, Reason> {
        let handler = ops::handler(node)?;
        for name in node.proto.input.iter().filter(|name| !name.is_empty()) {
            if matches!(self.lookup(name)?, Value::Broken) {
                // What is wrong with the constants shows all the same.
                ops::check_constants(self, node)?;
                return Ok(Vec::new());
            }
        }
        let n_used = node
            .proto
            .output
            .iter()
            .rposition(|name| self.readers.contains_key(name.as_str()))
            .map_or(0, |last| last + 1);
        match handler {
            Handler::One(handler) if n_used <= 1 => Ok(vec![handler(self, node)?]),
            Handler::One(_) => Err(Reason::unsupported(format!(
                "{n_used} of its outputs are used, only the first is supported"
            ))),
            Handler::Many(handler) => handler(self, node),
        }
    }

    /// The value of `name`; initialisers are read when they are first asked for.
    pub(crate) fn lookup(&mut self, name: &str) -> Result<Value, Reason> {
        if let Some(value) = self.values.get(name) {
            return Ok(value.clone());
        }
        let proto = self
            .initialisers
            .get(name)
            .ok_or_else(|| Reason::missing(name))?;
        let value = Value::Constant(Rc::new(Constant::read(proto, self.folder)?));
        self.values.insert(name.to_string(), value.clone());
        Ok(value)
    }

    /// The value of input `i` of `node`.
    pub(crate) fn value(&mut self, node: &Node, i: usize) -> Result<Value, Reason> {
        let name = node
            .input(i)
            .ok_or_else(|| Reason::unsupported(format!("input {i} is left out")))?;
        self.lookup(name)
    }

    /// The constant at input `i` of `node`.
    pub(crate) fn constant(&mut self, node: &Node, i: usize) -> Result<Rc<Constant>, Reason> {
        match self.value(node, i)? {
            Value::Constant(constant) => Ok(constant),
            other => Err(unexpected(i, "a constant", &other)),
        }
    }

    /// The dequantised activations at input `i` of `node`; also those of a result that keeps the scale of its operand.
    pub(crate) fn real(&mut self, node: &Node, i: usize) -> Result<View, Reason> {
        let value = self.value(node, i)?;
        match &value {
            Value::Real(view) => return Ok(view.clone()),
            Value::Pending(pending) => {
                if let Some(view) = self.realise(pending) {
                    let view = view?;
                    if let Some(name) = node.input(i) {
                        self.values
                            .insert(name.to_string(), Value::Real(view.clone()));
                    }
                    return Ok(view);
                }
            }
            _ => {}
        }
        if let Value::Pending(result) = &value
            && let PendingOp::Copy(x) = result.op
            && let Some(quant) = self.drafts[x.index()].quant
        {
            return Err(Reason::unsupported(format!(
                "input {i} is limited to {} and {}, which are no whole steps of its scale {:e}",
                result.range.0, result.range.1, quant.scale
            ))
            .help("put a QuantizeLinear and DequantizeLinear behind the Clip"));
        }
        Err(unexpected(i, "a dequantised tensor", &value).help(match value {
            Value::Host(_) => {
                "the host computes it behind the last operator of the machine, which cannot go on from there"
            }
            Value::Constant(_) | Value::QuantConstant(_) => "give it a tensor of activations",
            Value::FloatInput(_) => "put a QuantizeLinear and DequantizeLinear behind the graph input",
            _ => {
                "only the quantised form runs: put QuantizeLinear and DequantizeLinear in front, as static quantisation does"
            }
        }))
    }

    /// Makes a tensor of a result whose values are whole steps of a scale that is known, such as that of a pooling's
    /// operand; none if there is no such scale.
    pub(crate) fn realise(&mut self, pending: &Pending) -> Option<Result<View, Reason>> {
        let quant = self.grid(pending)?;
        let name = format!("{}.result", pending.label);
        Some(self.emit(pending, &name, quant))
    }

    /// What a node that only moves values reads: an image of a tensor, or of a result that has no scale yet. Axis `channel`
    /// of the operand is that of the channels, and the second of the shape that is given.
    pub(crate) fn moved(
        &mut self,
        node: &Node,
        i: usize,
        channel: usize,
    ) -> Result<(Operand, Vec<usize>, [usize; 3]), Reason> {
        let value = self.value(node, i)?;
        self.moved_operand(node, i, value, channel)
    }

    /// As [`Walk::moved`], with `value` for what is at input `i`.
    pub(crate) fn moved_operand(
        &mut self,
        node: &Node,
        i: usize,
        value: Value,
        channel: usize,
    ) -> Result<(Operand, Vec<usize>, [usize; 3]), Reason> {
        let value = channels_first(self, node, value, channel)?;
        match value {
            Value::FloatInput(view) | Value::Integer(view) | Value::Real(view) => {
                let (tensor, image) = self.image(&view)?;
                Ok((Operand::Tensor(tensor), view.shape, image))
            }
            Value::Pending(pending) => {
                let [channels, height, width] = pending.image;
                let is_image = match *pending.shape.as_slice() {
                    [1, c, h, w] => [c, h, w] == pending.image,
                    [1, c, w] => [c, w] == [channels, width] && height == 1,
                    _ => false,
                };
                if !is_image || !pending.order.is_identity() {
                    self.real(node, i)?;
                    return self.moved(node, i, channel);
                }
                Ok((
                    Operand::Pending(Rc::clone(&pending)),
                    pending.shape.clone(),
                    pending.image,
                ))
            }
            other => Err(unexpected(i, "a tensor of activations", &other)),
        }
    }

    /// The value of a node that only moves what is at its first input: integers stay integers of the same scale.
    pub(crate) fn moved_value(&mut self, node: &Node, result: Pending) -> Result<Value, Reason> {
        if !matches!(self.value(node, 0)?, Value::Integer(_)) {
            return Ok(pending(result));
        }
        let quant = self.grid(&result).ok_or_else(|| {
            Reason::unsupported("it works on integers of which no node says the scale")
        })?;
        let name = node.proto.output.first().map_or("", String::as_str);
        Ok(Value::Integer(self.emit(&result, name, quant)?))
    }

    /// The activations at input `i` of `node`, in the integer spelling, whose scale and zero point are the next two inputs.
    pub(crate) fn integer(&mut self, node: &Node, i: usize) -> Result<View, Reason> {
        match self.value(node, i)? {
            Value::Integer(view) => {
                let quant = self.quant(node, i + 1, self.is_unsigned(view.tensor))?;
                self.with_quant(&view, quant)
            }
            other => Err(unexpected(i, "a quantised tensor", &other)),
        }
    }

    /// The float graph input of `view` as `quant` makes codes of it.
    pub(crate) fn quantised_input(&mut self, view: &View, quant: Quant) -> Result<View, Reason> {
        let tensor = match self.drafts[view.tensor.index()].quant {
            Some(known) if known != quant => self.input_again(view.tensor, quant)?,
            _ => {
                self.set_quant(view.tensor, quant)?;
                view.tensor
            }
        };
        Ok(View {
            tensor,
            ..view.clone()
        })
    }

    /// The codes of `view` read with the scale of `quant`, which need not be the one that they were written with.
    pub(crate) fn with_quant(&mut self, view: &View, quant: Quant) -> Result<View, Reason> {
        let draft = &self.drafts[view.tensor.index()];
        let known = match draft.quant {
            Some(known) if known != quant => known,
            _ => {
                self.set_quant(view.tensor, quant)?;
                return Ok(view.clone());
            }
        };
        if known.unsigned != quant.unsigned {
            return Err(Reason::constant(format!(
                "`{}` is read as int8 in one place and as uint8 in another",
                draft.name
            )));
        }
        // The codes of a float input are made with the scale that it was quantised with.
        let host_type = draft.host.as_ref().map(|host| host.host_type);
        if matches!(host_type, Some(HostType::Int8 | HostType::Uint8)) {
            return Ok(View {
                tensor: self.input_again(view.tensor, quant)?,
                ..view.clone()
            });
        }
        self.recoded(view, quant, |code| code)
    }

    /// The values of `view` with the other sign, exactly: `~q - ~z` is `z - q`.
    pub(crate) fn negated(&mut self, view: &View) -> Result<View, Reason> {
        let quant = self.quant_of(view.tensor)?;
        let quant = Quant {
            zero_point: !quant.zero_point,
            ..quant
        };
        self.recoded(view, quant, |code| !code)
    }

    /// Other codes for those of `view`, which mean what `quant` says.
    fn recoded(
        &mut self,
        view: &View,
        quant: Quant,
        code: impl Fn(i8) -> i8,
    ) -> Result<View, Reason> {
        self.decide_by_rank(view)?;
        let order = self.order(view)?;
        let image = self.tensor(view.tensor).shape();
        let name = self.drafts[view.tensor.index()].name.clone();
        let table = Kind::Table(Table {
            values: table_values().map(code).collect(),
        });
        let tensor = self.push(&name, table, vec![view.tensor], &name, (image, quant))?;
        Ok(View {
            tensor,
            order,
            shape: view.shape.clone(),
        })
    }

    /// The graph input of `tensor` as another tensor, with another scale.
    fn input_again(&mut self, tensor: TensorId, quant: Quant) -> Result<TensorId, Reason> {
        let host = self.drafts[tensor.index()].host.clone();
        let same = |id: &&TensorId| {
            let draft = &self.drafts[id.index()];
            draft.host.as_ref().map(|view| &view.name) == host.as_ref().map(|view| &view.name)
                && draft.quant == Some(quant)
        };
        if let Some(known) = self.inputs.iter().find(same) {
            return Ok(*known);
        }
        let id = self.next_tensor();
        let name = self.unique_tensor(&self.drafts[tensor.index()].name.clone());
        self.drafts.push(Draft {
            name,
            quant: Some(quant),
            ..self.drafts[tensor.index()].clone()
        });
        self.inputs.push(id);
        Ok(id)
    }

    /// The tensor of which `tensor` is a table, and the table.
    pub(crate) fn table_of(&self, tensor: TensorId) -> Option<(TensorId, &Table)> {
        let einsum = self.einsums.iter().find(|einsum| einsum.output == tensor)?;
        match &einsum.kind {
            Kind::Table(table) => Some((einsum.inputs[0], table)),
            _ => None,
        }
    }

    /// The id of the next draft.
    pub(crate) fn next_tensor(&self) -> TensorId {
        TensorId(u32::try_from(self.drafts.len()).expect("a file has fewer tensors"))
    }

    /// `name`, or what makes it unlike the names of all other tensors.
    pub(crate) fn unique_tensor(&mut self, name: &str) -> String {
        unique(&mut self.tensor_names, name)
    }

    /// The quantised constants at input `i` of `node`, in the integer spelling, whose scale and zero point are the next
    /// two inputs, along `axis`.
    pub(crate) fn integer_constant(
        &mut self,
        node: &Node,
        i: usize,
        axis: usize,
    ) -> Result<Rc<QuantConstant>, Reason> {
        let integers = self.constant(node, i)?;
        let scales = self.constant(node, i + 1)?.floats()?.to_vec();
        let zero_points = match node.input(i + 2) {
            Some(_) => self.constant(node, i + 2)?.integers()?,
            None => vec![0],
        };
        Ok(Rc::new(QuantConstant {
            integers,
            scales,
            zero_points,
            axis,
        }))
    }

    /// The scale at input `i` of `node` and the zero point behind it, one of each.
    pub(crate) fn quant(&mut self, node: &Node, i: usize, unsigned: bool) -> Result<Quant, Reason> {
        let scale = self.constant(node, i)?;
        let &[scale] = scale.floats()? else {
            return Err(
                Reason::unsupported("activations with a scale for each channel")
                    .help("quantise activations per tensor; weights may be per channel"),
            );
        };
        if !scale.is_normal() || scale < 0.0 {
            return Err(Reason::constant(format!(
                "activation scale {scale:e} is not a positive normal number"
            )));
        }
        let Some(_) = node.input(i + 1) else {
            return Ok(Quant {
                scale,
                zero_point: if unsigned { i8::MIN } else { 0 },
                unsigned,
            });
        };
        let zero_point = self.constant(node, i + 1)?;
        let (zero_point, unsigned) = match &zero_point.data {
            Data::Uint8(values) => (rebased(Constant::single(values)?), true),
            Data::Int8(values) => (Constant::single(values)?, false),
            _ => {
                return Err(Reason::unsupported(format!(
                    "activations of {:?}, only int8 and uint8 are supported",
                    zero_point.width()?
                )));
            }
        };
        Ok(Quant {
            scale,
            zero_point,
            unsigned,
        })
    }

    /// Whether the file has `tensor` as uint8, as far as known.
    pub(crate) fn is_unsigned(&self, tensor: TensorId) -> bool {
        let draft = &self.drafts[tensor.index()];
        let host_is = draft
            .host
            .as_ref()
            .is_some_and(|view| view.host_type == HostType::Uint8);
        draft.quant.map_or(host_is, |quant| quant.unsigned)
    }

    /// Says that `tensor` has the scale and zero point `quant`.
    pub(crate) fn set_quant(&mut self, tensor: TensorId, quant: Quant) -> Result<(), Reason> {
        let unsigned = self.is_unsigned(tensor);
        let draft = &mut self.drafts[tensor.index()];
        let host_type = draft.host.as_ref().map(|view| view.host_type);
        if unsigned != quant.unsigned && host_type != Some(HostType::Float32) {
            return Err(Reason::constant(format!(
                "`{}` is read as int8 in one place and as uint8 in another",
                draft.name
            )));
        }
        match draft.quant {
            Some(known) if known != quant => Err(Reason::unsupported(format!(
                "`{}` is read with scale {:e} and zero point {}, it has {:e} and {}",
                draft.name, quant.scale, quant.zero_point, known.scale, known.zero_point
            ))
            .help("put a QuantizeLinear between the two scales")),
            _ => {
                draft.quant = Some(quant);
                Ok(())
            }
        }
    }

    /// Scale and zero point of a tensor.
    pub(crate) fn quant_of(&self, tensor: TensorId) -> Result<Quant, Reason> {
        let draft = &self.drafts[tensor.index()];
        draft
            .quant
            .ok_or_else(|| Reason::unsupported(format!("`{}` has no scale", draft.name)))
    }

    /// Reads `view` as one image and gives its tensor and `[channels, height, width]`; three dimensions are an image of
    /// one row. Channels in another order are brought into order.
    pub(crate) fn image(&mut self, view: &View) -> Result<(TensorId, [usize; 3]), Reason> {
        let image = match *view.shape.as_slice() {
            [1, channels, height, width] => [channels, height, width],
            [1, channels, width] => [channels, 1, width],
            [batch, _, _, _] => {
                return Err(Reason::dimensions(format!(
                    "batch size is {batch} here, that of the inputs is {}",
                    self.batch
                ))
                .help("keep the batch as the first dimension of every tensor"));
            }
            _ => {
                return Err(Reason::dimensions(format!(
                    "input shape {:?} is no image [1, C, H, W]",
                    view.shape
                )));
            }
        };
        if self.drafts[view.tensor.index()].image.is_none() {
            self.decide(view, image)?;
        }
        let order = self.order(view)?;
        if order.is_identity() && self.drafts[view.tensor.index()].image == Some(image) {
            return Ok((view.tensor, image));
        }
        let Some(channels) = self.channels_of(view.tensor, image, &order) else {
            return Err(Reason::unsupported(
                "its input is a reshaped or transposed image, which would have to be moved in memory",
            )
            .help("keep images as [N, C, H, W] between operators"));
        };
        let quant = self.quant_of(view.tensor)?;
        let select = Kind::Select(Select {
            channels,
            rows: Positions::all(image[1]),
            columns: Positions::all(image[2]),
            padding: quant.zero_point,
        });
        let name = format!("{}.reordered", self.drafts[view.tensor.index()].name);
        let tensor = self.push(&name, select, vec![view.tensor], &name, (image, quant))?;
        Ok((tensor, image))
    }

    /// The channel of the tensor for each channel of `image`, if nothing else than channels is in another order.
    fn channels_of(
        &self,
        tensor: TensorId,
        image: [usize; 3],
        order: &Order,
    ) -> Option<Vec<usize>> {
        let [_, height, width] = self.drafts[tensor.index()].image?;
        let along = order.along(&image)?;
        let [channels, rows, columns] = along.as_slice() else {
            return None;
        };
        let is_same = image[1..] == [height, width]
            && rows.iter().copied().eq((0..height).map(|row| row * width))
            && columns.iter().copied().eq(0..width)
            && channels.iter().all(|at| at.is_multiple_of(height * width));
        is_same.then(|| channels.iter().map(|at| at / (height * width)).collect())
    }

    /// Fixes the layout of a graph input, from the first view that an operator reads as `image`.
    pub(crate) fn decide(&mut self, view: &View, image: [usize; 3]) -> Result<(), Reason> {
        let Some(steps) = view.order.steps(&image) else {
            return Err(Reason::unsupported(
                "the graph input is reshaped in a way that is no fixed stride",
            ));
        };
        let [channels, height, width] = image;
        let inner = [height * width, width, 1];
        let mut axes: Vec<Axis> = Vec::new();
        for ((&size, &from_step), to_step) in
            [channels, height, width].iter().zip(&steps).zip(inner)
        {
            if size > 1 {
                axes.push(Axis {
                    size,
                    from_step,
                    to_step,
                });
            }
        }
        let draft = &mut self.drafts[view.tensor.index()];
        draft.image = Some(image);
        draft.axes = axes;
        if let Some(host) = &mut draft.host {
            host.strides = [steps[0], steps[1], steps[2]];
        }
        Ok(())
    }

    /// The tensor of a view `[1, C]` that has one value for each channel.
    pub(crate) fn row(&mut self, view: &View) -> Result<TensorId, Reason> {
        self.decide_by_rank(view)?;
        let image = self.tensor(view.tensor).shape();
        if view.shape != [1, image[0]] || image[1..] != [1, 1] || !self.order(view)?.is_identity() {
            return Err(Reason::unsupported(format!(
                "its input {:?} is a flattened image of {image:?}, whose values would have to be moved in memory",
                view.shape
            )));
        }
        Ok(view.tensor)
    }

    /// Fixes the layout of a graph input that an operator reads in any order: by its number of dimensions.
    pub(crate) fn decide_by_rank(&mut self, view: &View) -> Result<(), Reason> {
        if self.drafts[view.tensor.index()].image.is_some() {
            return Ok(());
        }
        let order = Order::identity(view.shape.iter().product());
        match *view.shape.as_slice() {
            [1, channels, height, width] => self.decide(view, [channels, height, width]),
            [1, channels] => self.decide(view, [channels, 1, 1]),
            _ => self.decide(
                &View {
                    order,
                    ..view.clone()
                },
                [1, 1, view.shape.iter().product()],
            ),
        }
    }

    /// The shape in which the host hands over a graph input.
    pub(crate) fn host_shape(&self, tensor: TensorId) -> &[usize] {
        self.drafts[tensor.index()]
            .host
            .as_ref()
            .map_or(&[], |host| &host.shape)
    }

    /// The order of `view` in its tensor, once the layout of the tensor is known.
    pub(crate) fn order(&self, view: &View) -> Result<Order, Reason> {
        let draft = &self.drafts[view.tensor.index()];
        if !self.inputs.contains(&view.tensor) {
            return Ok(view.order.clone());
        }
        let order = draft.image.and_then(|_| view.order.through(&draft.axes));
        order.ok_or_else(|| {
            Reason::unsupported(format!(
                "graph input `{}` is read in two layouts that do not fit each other",
                draft.name
            ))
        })
    }

    fn finish(&mut self, name: &str, einsums: Einsums) -> Result<Network, ImportError> {
        let ids =
            (0..self.drafts.len()).map(|i| TensorId(u32::try_from(i).expect("counted before")));
        let network = Network {
            name: name.to_string(),
            tensors: ids.map(|id| self.tensor(id)).collect(),
            einsums: std::mem::take(&mut self.einsums),
            inputs: self.inputs.clone(),
            constants: std::mem::take(&mut self.constants),
            outputs: self.outputs.clone(),
            host_steps: std::mem::take(&mut self.host_steps),
            results: std::mem::take(&mut self.results),
            batch: self.batch,
        };
        let network = match einsums {
            Einsums::Folded => fold(network),
            Einsums::AsWritten => network,
        };
        let network = without_unread(network);
        network.validate()?;
        network.result_types()?;
        Ok(network)
    }
}

/// A uint8 value as the int8 value 128 below.
pub(crate) fn rebased(value: u8) -> i8 {
    (value ^ 0x80).cast_signed()
}

/// `name`, or what makes it unlike all `names`, to which it is added.
pub(crate) fn unique(names: &mut BTreeSet<String>, name: &str) -> String {
    let mut unique = name.to_string();
    let mut n_same = 1;
    while !names.insert(unique.clone()) {
        n_same += 1;
        unique = format!("{name}.{n_same}");
    }
    unique
}

/// The reason that input `i` is `found`, where `expected` is needed.
pub(crate) fn unexpected(i: usize, expected: &str, found: &Value) -> Reason {
    Reason::unsupported(format!(
        "input {i} is {}, {expected} is needed",
        found.describe()
    ))
}
