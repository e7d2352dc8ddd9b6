//! The boundary of the graph: initialisers, inputs, outputs, and the order of the nodes.

use super::{Draft, Walk};
use crate::constant::count;
use crate::dims;
use crate::error::{ImportError, Reason};
use crate::node::Node;
use crate::order::Order;
use crate::proto::tensor_proto::DataType;
use crate::proto::tensor_shape_proto::dimension::Value as Dim;
use crate::proto::{GraphProto, TypeProto, ValueInfoProto, type_proto};
use crate::value::{Value, View};
use ir::network::{GraphOutput, HostType, HostView};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

impl<'a> Walk<'a> {
    /// Notes where each initialiser is.
    pub(super) fn read_initialisers(&mut self, graph: &'a GraphProto) {
        for proto in &graph.initializer {
            if self.initialisers.insert(proto.name(), proto).is_some() {
                let reason = Reason::duplicate("two initialisers have this name");
                self.problems
                    .push(reason.at(format!("initialiser `{}`", proto.name())));
            }
        }
    }

    /// Makes a tensor of each graph input that is no initialiser.
    pub(super) fn read_inputs(&mut self, graph: &GraphProto) {
        let inputs = || {
            let given = graph.input.iter();
            given.filter(|info| !graph.initializer.iter().any(|i| i.name() == info.name()))
        };
        let batches: Option<Vec<usize>> = inputs().map(batch).collect();
        if let Some([first, others @ ..]) = batches.as_deref()
            && others.iter().all(|batch| batch == first)
        {
            self.batch = *first;
        }
        for info in inputs() {
            let value = self.read_input(info).unwrap_or_else(|reason| {
                self.problems
                    .push(reason.at(format!("input `{}`", info.name())));
                Value::Broken
            });
            self.values.insert(info.name().to_string(), value);
        }
    }

    fn read_input(&mut self, info: &ValueInfoProto) -> Result<Value, Reason> {
        if self.values.contains_key(info.name()) {
            return Err(Reason::duplicate("two graph inputs have this name"));
        }
        let host_type = host_type(info)?;
        let shape = self.input_shape(info)?;
        let tensor = self.next_tensor();
        let order = Order::identity(count(&shape)?);
        let name = self.unique_tensor(info.name());
        let host = HostView {
            name: info.name().to_string(),
            shape: shape.clone(),
            strides: [0; 3],
            host_type,
        };
        self.drafts.push(Draft {
            name,
            image: None,
            quant: None,
            host: Some(host),
            axes: Vec::new(),
        });
        self.inputs.push(tensor);
        let view = View {
            tensor,
            shape,
            order,
        };
        Ok(if host_type == HostType::Float32 {
            Value::FloatInput(view)
        } else {
            Value::Integer(view)
        })
    }

    fn input_shape(&self, info: &ValueInfoProto) -> Result<Vec<usize>, Reason> {
        let shape = match tensor_type(info) {
            Some(type_proto::Tensor {
                shape: Some(shape), ..
            }) => &shape.dim,
            _ => {
                return Err(
                    Reason::dimensions("it has no shape").help("export with a static shape")
                );
            }
        };
        let size =
            |(axis, dim): (usize, &crate::proto::tensor_shape_proto::Dimension)| match &dim.value {
                Some(Dim::DimValue(size)) => usize::try_from(*size)
                    .ok()
                    .filter(|&size| size > 0)
                    .ok_or_else(|| Reason::dimensions(format!("dimension {axis} is {size}"))),
                Some(Dim::DimParam(symbol)) => {
                    self.symbolic(axis, &dims::name(info.name(), axis, symbol))
                }
                None => self.symbolic(axis, &dims::name(info.name(), axis, "")),
            };
        let mut sizes: Vec<usize> = shape
            .iter()
            .enumerate()
            .map(size)
            .collect::<Result<_, _>>()?;
        count(&sizes)?;
        if self.batch > 1 {
            // The images of a batch run one after the other.
            sizes[0] = 1;
        }
        Ok(sizes)
    }

    fn symbolic(&self, axis: usize, name: &str) -> Result<usize, Reason> {
        match self.options.dims.get(name) {
            Some(0) => Err(Reason::dimensions(format!(
                "dimension `{name}` is given as 0"
            ))),
            Some(&size) => Ok(size),
            None if axis == 0 => Ok(1),
            None => Err(
                Reason::dimensions(format!("dimension {axis}, `{name}`, has no size"))
                    .help(format!("give its size, as in `--dim {name}=224`")),
            ),
        }
    }

    /// Finds what the host has to do for each graph output.
    pub(super) fn read_outputs(&mut self, graph: &GraphProto) {
        for info in &graph.output {
            if let Err(reason) = self.read_output(info.name()) {
                self.problems
                    .push(reason.at(format!("output `{}`", info.name())));
            }
        }
        if graph.output.is_empty() {
            self.problems
                .push(Reason::dimensions("it has no outputs").at("graph"));
        }
    }

    fn read_output(&mut self, name: &str) -> Result<(), Reason> {
        let value = self.lookup(name)?;
        if matches!(value, Value::Broken) {
            return Ok(());
        }
        let value = self.on_host(name, &value)?;
        if self.batch > 1 && value.shape.first() != Some(&1) {
            return Err(Reason::dimensions(format!(
                "its shape {:?} does not begin with the batch",
                value.shape
            )));
        }
        self.results.push(GraphOutput {
            name: name.to_string(),
            value: value.id,
        });
        Ok(())
    }

    /// The positions of the nodes in topological order, as near to the order of the file as possible.
    pub(super) fn sorted(&mut self, nodes: &[Node]) -> Result<Vec<usize>, ImportError> {
        let producers = self.producers(nodes);
        let mut n_waiting = vec![0; nodes.len()];
        let mut readers = vec![Vec::new(); nodes.len()];
        for (idx, node) in nodes.iter().enumerate() {
            for producer in node
                .proto
                .input
                .iter()
                .filter_map(|name| producers.get(name.as_str()))
            {
                n_waiting[idx] += 1;
                readers[*producer].push(idx);
            }
        }
        let mut ready: BinaryHeap<Reverse<usize>> = (0..nodes.len())
            .filter(|&i| n_waiting[i] == 0)
            .map(Reverse)
            .collect();
        let mut sorted = Vec::with_capacity(nodes.len());
        while let Some(Reverse(idx)) = ready.pop() {
            sorted.push(idx);
            for &reader in &readers[idx] {
                n_waiting[reader] -= 1;
                if n_waiting[reader] == 0 {
                    ready.push(Reverse(reader));
                }
            }
        }
        match n_waiting.iter().position(|&n| n > 0) {
            Some(idx) => Err(ImportError::Cycle {
                node: nodes[idx].label.clone(),
            }),
            None => Ok(sorted),
        }
    }

    fn producers<'n>(&mut self, nodes: &[Node<'n>]) -> BTreeMap<&'n str, usize> {
        let mut producers = BTreeMap::new();
        for (idx, node) in nodes.iter().enumerate() {
            for name in node.proto.output.iter().filter(|name| !name.is_empty()) {
                let known = self.values.contains_key(name.as_str())
                    || self.initialisers.contains_key(name.as_str());
                if known || producers.insert(name.as_str(), idx).is_some() {
                    let reason = Reason::duplicate(format!("`{name}` is provided twice"));
                    self.problems.push(reason.at(format!(
                        "node `{}` ({})",
                        node.label,
                        node.operator()
                    )));
                }
            }
        }
        producers
    }
}

/// How many images an input takes at once, if it has dimensions behind that of the images.
fn batch(info: &ValueInfoProto) -> Option<usize> {
    let dims = &tensor_type(info)?.shape.as_ref()?.dim;
    match (dims.len(), &dims.first()?.value) {
        (3.., Some(Dim::DimValue(size))) => usize::try_from(*size).ok().filter(|&size| size > 0),
        _ => None,
    }
}

fn tensor_type(info: &ValueInfoProto) -> Option<&type_proto::Tensor> {
    match info.r#type.as_ref() {
        Some(TypeProto {
            value: Some(type_proto::Value::TensorType(tensor)),
            ..
        }) => Some(tensor),
        _ => None,
    }
}

fn host_type(info: &ValueInfoProto) -> Result<HostType, Reason> {
    match tensor_type(info).map(|tensor| tensor.elem_type()) {
        Some(t) if t == DataType::Float as i32 => Ok(HostType::Float32),
        Some(t) if t == DataType::Int8 as i32 => Ok(HostType::Int8),
        Some(t) if t == DataType::Uint8 as i32 => Ok(HostType::Uint8),
        _ => Err(Reason::unsupported(
            "it is not a tensor of float, int8 or uint8",
        )),
    }
}
