//! What a name in the graph stands for while the nodes are walked.

use crate::constant::{Constant, count};
use crate::error::Reason;
use crate::order::Order;
use ir::network::{HostId, HostType, TensorId};
use ir::numerics::quantise;
use ir::op::{Positions, Window};
use std::rc::Rc;

/// Scale and zero point of an activation, rebased to int8.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Quant {
    pub(crate) scale: f32,
    pub(crate) zero_point: i8,
    /// Whether the file has uint8 values, 128 above ours.
    pub(crate) unsigned: bool,
}

impl Quant {
    /// The int8 value of a real number.
    pub(crate) fn quantise(&self, value: f32) -> i8 {
        quantise(value, self.scale, self.zero_point)
    }
}

/// A tensor as a node sees it: some shape, some order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct View {
    pub(crate) tensor: TensorId,
    pub(crate) shape: Vec<usize>,
    pub(crate) order: Order,
}

/// Quantised constants with the scales of `axis`: one, or one for each index.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct QuantConstant {
    pub(crate) integers: Rc<Constant>,
    pub(crate) scales: Vec<f32>,
    pub(crate) zero_points: Vec<i64>,
    pub(crate) axis: usize,
}

/// A float result that has no tensor until a `QuantizeLinear` gives it a scale.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pending {
    /// The node that computes it.
    pub(crate) label: String,
    pub(crate) op: PendingOp,
    /// The shape `[channels, height, width]` of the tensor to come.
    pub(crate) image: [usize; 3],
    /// The view of the tensor to come.
    pub(crate) shape: Vec<usize>,
    pub(crate) order: Order,
    /// The range that ReLU and clip have left, in real values.
    pub(crate) range: (f32, f32),
}

/// The most operations whose result has no scale until a `QuantizeLinear` gives them one. Each is done once for each use,
/// so that a small file could ask for any number.
const MAX_OPERATIONS: usize = 256;

/// The range of a result that nothing limits.
pub(crate) const UNLIMITED: (f32, f32) = (f32::NEG_INFINITY, f32::INFINITY);

/// The operation of a [`Pending`].
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum PendingOp {
    Conv(ConvDraft),
    /// A convolution and a residual, which are rounded together.
    ConvAdd(ConvDraft, TensorId),
    /// A convolution and a constant that is not the same everywhere, in the tensor's order.
    ConvAddConstant(ConvDraft, Rc<Vec<f64>>),
    Add([TensorId; 2]),
    /// Addition of a constant that is not the same everywhere, in the tensor's order.
    AddConstant(TensorId, Rc<Vec<f64>>),
    Mul([TensorId; 2]),
    AveragePool {
        x: TensorId,
        window: Window,
        counted: [usize; 4],
    },
    MaxPool(Operand, Window),
    Concat(Vec<Operand>),
    Select {
        x: Operand,
        channels: Vec<usize>,
        rows: Positions,
        columns: Positions,
        /// What lies around the image, a real value.
        padding: f32,
    },
    /// A function that differs from channel to channel: values below zero times the slope of their channel.
    Slopes(TensorId, Rc<Vec<f64>>),
    /// Nothing but a change of scale or range.
    Copy(TensorId),
    /// Any function of one value, as its 256 real results.
    Function(TensorId, Rc<Vec<f64>>),
}

/// What is moved without being changed: a tensor, or a result that has no scale yet. Rounding keeps order, so it may as
/// well come first.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Operand {
    Tensor(TensorId),
    Pending(Rc<Pending>),
}

/// A convolution before its output has a scale.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ConvDraft {
    pub(crate) input: TensorId,
    pub(crate) out_channels: usize,
    pub(crate) group_channels: usize,
    pub(crate) groups: usize,
    pub(crate) window: Window,
    pub(crate) stretch: [usize; 2],
    /// The weights less their zero points, which has up to nine bits.
    pub(crate) weights: Vec<i16>,
    /// The bias of each output channel in steps of the accumulator.
    pub(crate) bias_steps: Vec<f64>,
    /// What is added to it, in real values.
    pub(crate) bias: Vec<f64>,
    /// One step of the accumulator, the exact product of the scales of input and weights, for each output channel.
    pub(crate) scales: Vec<f64>,
}

impl Pending {
    /// Refuses a result of too many values, or one whose shape is not that of its image.
    pub(crate) fn check(&self) -> Result<(), Reason> {
        let n_operations = self.n_operations();
        if n_operations > MAX_OPERATIONS {
            return Err(Reason::unsupported(format!(
                "{n_operations} operations wait for one scale, the limit is {MAX_OPERATIONS}"
            ))
            .help("put a QuantizeLinear and DequantizeLinear between them"));
        }
        if count(&self.image)? == count(&self.shape)? {
            return Ok(());
        }
        Err(Reason::dimensions(format!(
            "its result is the image {:?}, which is no {:?}: window and input differ in their dimensions",
            self.image, self.shape
        )))
    }

    /// How many einsums it takes, those of operands without a scale once for each use.
    fn n_operations(&self) -> usize {
        let of = |operand: &Operand| match operand {
            Operand::Tensor(_) => 0,
            Operand::Pending(pending) => pending.n_operations(),
        };
        1 + match &self.op {
            PendingOp::MaxPool(x, _) | PendingOp::Select { x, .. } => of(x),
            PendingOp::Concat(operands) => operands.iter().map(of).sum(),
            _ => 0,
        }
    }

    /// The same result, held in `range` as well.
    pub(crate) fn limited(&self, (lo, hi): (f32, f32)) -> Pending {
        Pending {
            range: (self.range.0.clamp(lo, hi), self.range.1.clamp(lo, hi)),
            ..self.clone()
        }
    }

    /// Whether nothing limits it.
    pub(crate) fn is_unlimited(&self) -> bool {
        self.range == UNLIMITED
    }

    /// A tensor that it is computed from.
    pub(crate) fn first_tensor(&self) -> TensorId {
        match &self.op {
            PendingOp::Conv(draft)
            | PendingOp::ConvAdd(draft, _)
            | PendingOp::ConvAddConstant(draft, _) => draft.input,
            PendingOp::Add([x, _])
            | PendingOp::Mul([x, _])
            | PendingOp::AddConstant(x, _)
            | PendingOp::AveragePool { x, .. }
            | PendingOp::Copy(x)
            | PendingOp::Slopes(x, _)
            | PendingOp::Function(x, _) => *x,
            PendingOp::MaxPool(x, _) | PendingOp::Select { x, .. } => x.first_tensor(),
            PendingOp::Concat(operands) => operands[0].first_tensor(),
        }
    }
}

impl Operand {
    fn first_tensor(&self) -> TensorId {
        match self {
            Operand::Tensor(id) => *id,
            Operand::Pending(pending) => pending.first_tensor(),
        }
    }
}

/// A value that the host computes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct HostValue {
    pub(crate) id: HostId,
    pub(crate) shape: Vec<usize>,
    pub(crate) host_type: HostType,
}

impl HostValue {
    /// Refuses the value where it is none of `types`.
    pub(crate) fn expect(&self, types: &[HostType]) -> Result<(), Reason> {
        if types.contains(&self.host_type) {
            return Ok(());
        }
        Err(Reason::unsupported(format!(
            "its input is {:?} on the host, where {types:?} is needed",
            self.host_type
        )))
    }
}

/// What a name in the graph stands for.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Constant(Rc<Constant>),
    QuantConstant(Rc<QuantConstant>),
    /// A float graph input before its `QuantizeLinear`.
    FloatInput(View),
    /// int8 or uint8 activations.
    Integer(View),
    /// Activations behind a `DequantizeLinear`.
    Real(View),
    Pending(Rc<Pending>),
    /// What a step of the host gives.
    Host(HostValue),
    /// The result of a node with a problem, which has been reported already.
    Broken,
}

impl Value {
    /// The shape that nodes see, if the value has one.
    pub(crate) fn shape(&self) -> Option<&[usize]> {
        match self {
            Value::Constant(constant) => Some(&constant.dims),
            Value::QuantConstant(constant) => Some(&constant.integers.dims),
            Value::FloatInput(view) | Value::Integer(view) | Value::Real(view) => Some(&view.shape),
            Value::Host(value) => Some(&value.shape),
            Value::Pending(pending) => Some(&pending.shape),
            Value::Broken => None,
        }
    }

    /// What messages call the value.
    pub(crate) fn describe(&self) -> &'static str {
        match self {
            Value::Constant(_) => "a constant",
            Value::QuantConstant(_) => "a dequantised constant",
            Value::FloatInput(_) => "a float input that is not quantised",
            Value::Integer(_) => "a quantised tensor",
            Value::Real(_) => "a dequantised tensor",
            Value::Pending(_) => "a float result that is not quantised",
            Value::Host(_) => "the result of a step that is left to the host",
            Value::Broken => "the result of a refused node",
        }
    }
}
