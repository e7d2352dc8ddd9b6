//! One pass over the nodes of a graph, in topological order.
//!
//! Each name in the graph gets a [`Value`]. A float operator becomes a [`Pending`](crate::value::Pending) result, and the
//! `QuantizeLinear` behind it makes an einsum of it; so both spellings of quantisation meet in [`Walk::emit`].
//! A node with a problem is reported, and its results are marked so that nothing is reported twice.

mod build;
mod graph;

pub(crate) use build::pending_image;

use crate::constant::Constant;
use crate::error::{ImportError, Problem, Reason};
use crate::node::Node;
use crate::order::{Axis, Order};
use crate::proto::{ModelProto, TensorProto};
use crate::value::{Quant, QuantConstant, Value, View};
use crate::{Options, Report, ops};
use ir::network::{Einsum, HostStep, HostType, HostView, Network, TensorId};
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
    pub(crate) initialisers: BTreeMap<&'a str, &'a TensorProto>,
    pub(crate) values: BTreeMap<String, Value>,
    pub(crate) drafts: Vec<Draft>,
    pub(crate) inputs: Vec<TensorId>,
    pub(crate) einsums: Vec<Einsum>,
    pub(crate) einsum_names: BTreeSet<String>,
    pub(crate) host_tail: Vec<HostStep>,
    pub(crate) problems: Vec<Problem>,
}

/// Imports `model`, whose external data lies in `folder`.
pub(crate) fn walk(
    model: &ModelProto,
    folder: Option<&Path>,
    options: &Options,
) -> Result<Report, ImportError> {
    let graph = model.graph.clone().unwrap_or_default();
    let nodes: Vec<Node> = graph.node.iter().map(Node::new).collect();
    let mut walk = Walk {
        folder,
        options,
        initialisers: BTreeMap::new(),
        values: BTreeMap::new(),
        drafts: Vec::new(),
        inputs: Vec::new(),
        einsums: Vec::new(),
        einsum_names: BTreeSet::new(),
        host_tail: Vec::new(),
        problems: Vec::new(),
    };
    walk.read_initialisers(&graph);
    walk.read_inputs(&graph);
    for idx in walk.sorted(&nodes)? {
        walk.visit(&nodes[idx]);
    }
    let outputs = walk.read_outputs(&graph);
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
        Some(walk.finish(name, outputs)?)
    } else {
        None
    };
    Ok(Report {
        name: name.to_string(),
        operators,
        problems: walk.problems,
        network,
    })
}

impl Walk<'_> {
    fn visit(&mut self, node: &Node) {
        let value = match self.handle(node) {
            Ok(value) => value,
            Err(reason) => {
                self.problems.push(reason.at(format!(
                    "node `{}` ({})",
                    node.label,
                    node.operator()
                )));
                Value::Broken
            }
        };
        let mut names = node.proto.output.iter().filter(|name| !name.is_empty());
        if let Some(first) = names.next() {
            self.values.insert(first.clone(), value);
        }
        for name in names {
            self.values.insert(name.clone(), Value::Broken);
        }
    }

    fn handle(&mut self, node: &Node) -> Result<Value, Reason> {
        let handler = ops::handler(node)?;
        for name in node.proto.input.iter().filter(|name| !name.is_empty()) {
            if matches!(self.lookup(name)?, Value::Broken) {
                return Ok(Value::Broken);
            }
        }
        if node.proto.output.len() > 1 && node.proto.output[1..].iter().any(|name| !name.is_empty())
        {
            return Err(Reason::unsupported(format!(
                "{} outputs, only the first is supported",
                node.proto.output.len()
            )));
        }
        handler(self, node)
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

    /// The dequantised activations at input `i` of `node`.
    pub(crate) fn real(&mut self, node: &Node, i: usize) -> Result<View, Reason> {
        match self.value(node, i)? {
            Value::Real(view) => Ok(view),
            other => Err(unexpected(i, "a dequantised tensor", &other)
                .help("only the quantised form runs: put QuantizeLinear and DequantizeLinear in front, as static quantisation does")),
        }
    }

    /// The activations at input `i` of `node`, in the integer spelling, whose scale and zero point are the next two inputs.
    pub(crate) fn integer(&mut self, node: &Node, i: usize) -> Result<View, Reason> {
        match self.value(node, i)? {
            Value::Integer(view) => {
                let quant = self.quant(node, i + 1, self.is_unsigned(view.tensor))?;
                self.set_quant(view.tensor, quant)?;
                Ok(view)
            }
            other => Err(unexpected(i, "a quantised tensor", &other)),
        }
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
            Some(_) => self.constant(node, i + 2)?.integers()?.0.to_vec(),
            None => vec![0],
        };
        Ok(Rc::new(QuantConstant {
            integers: integers.as_ref().clone(),
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
        let (&[zero_point], width) = zero_point.integers()? else {
            return Err(Reason::unsupported(
                "activations with a zero point for each channel",
            ));
        };
        let rebased = match width {
            crate::constant::Width::Uint8 => zero_point - 128,
            crate::constant::Width::Int8 => zero_point,
            other => {
                return Err(Reason::unsupported(format!(
                    "activations of {other:?}, only int8 and uint8 are supported"
                )));
            }
        };
        Ok(Quant {
            scale,
            zero_point: rebased as i8,
            unsigned: width == crate::constant::Width::Uint8,
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

    /// Reads `view` as one image and gives `[channels, height, width]`; three dimensions are an image of one row.
    pub(crate) fn image(&mut self, view: &View) -> Result<[usize; 3], Reason> {
        let image = match *view.shape.as_slice() {
            [1, channels, height, width] => [channels, height, width],
            [1, channels, width] => [channels, 1, width],
            [batch, _, _, _] => {
                return Err(Reason::dimensions(format!("batch size is {batch}, only 1 is supported"))
                    .help("export with batch size 1 or a symbolic batch dimension; images run one after the other"));
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
        if self.order(view)?.is_identity() && self.drafts[view.tensor.index()].image == Some(image)
        {
            return Ok(image);
        }
        Err(Reason::unsupported(
            "its input is a reshaped or transposed image, which would have to be moved in memory",
        )
        .help("keep images as [N, C, H, W] between operators"))
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

    fn finish(&mut self, name: &str, outputs: Vec<TensorId>) -> Result<Network, ImportError> {
        let network = Network {
            name: name.to_string(),
            tensors: (0..self.drafts.len() as u32)
                .map(|i| self.tensor(TensorId(i)))
                .collect(),
            einsums: std::mem::take(&mut self.einsums),
            inputs: self.inputs.clone(),
            outputs,
            host_tail: std::mem::take(&mut self.host_tail),
        };
        network.validate()?;
        Ok(network)
    }
}

/// The reason that input `i` is `found`, where `expected` is needed.
pub(crate) fn unexpected(i: usize, expected: &str, found: &Value) -> Reason {
    Reason::unsupported(format!(
        "input {i} is {}, {expected} is needed",
        found.describe()
    ))
}
