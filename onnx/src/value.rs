//! What a name in the graph stands for while the nodes are walked.

use crate::constant::Constant;
use crate::order::Order;
use ir::network::TensorId;
use ir::numerics::quantise;
use ir::op::Window;
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
    pub(crate) integers: Constant,
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
    pub(crate) inputs: Vec<TensorId>,
    /// The shape `[channels, height, width]` of the tensor to come.
    pub(crate) image: [usize; 3],
    /// The view of the tensor to come.
    pub(crate) shape: Vec<usize>,
    pub(crate) order: Order,
    /// The range that ReLU and clip have left, in real values.
    pub(crate) range: (f32, f32),
}

/// The operation of a [`Pending`].
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum PendingOp {
    Conv(ConvDraft),
    Add,
    MaxPool(Window),
    AveragePool {
        window: Window,
        count_include_pad: bool,
    },
    Concat,
    /// Nothing but a change of scale or range.
    Copy,
}

/// A convolution before its output has a scale.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ConvDraft {
    pub(crate) out_channels: usize,
    pub(crate) group_channels: usize,
    pub(crate) groups: usize,
    pub(crate) window: Window,
    pub(crate) weights: Vec<i8>,
    pub(crate) bias: Vec<i32>,
    /// `f32(x_scale * w_scale)` of each output channel.
    pub(crate) accumulator_scales: Vec<f32>,
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
    /// The tensor that a step left to the host would read.
    Host(View),
    /// The result of a node with a problem, which has been reported already.
    Broken,
}

impl Value {
    /// The shape that nodes see, if the value has one.
    pub(crate) fn shape(&self) -> Option<&[usize]> {
        match self {
            Value::Constant(constant) => Some(&constant.dims),
            Value::QuantConstant(constant) => Some(&constant.integers.dims),
            Value::FloatInput(view)
            | Value::Integer(view)
            | Value::Real(view)
            | Value::Host(view) => Some(&view.shape),
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
