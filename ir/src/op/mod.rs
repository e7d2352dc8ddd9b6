//! The closed list of operations: one file each with its shape rule, its cost and its meaning.
//!
//! The meaning of a kind is its `reference`: plain loops over integers, bit exact, the oracle of every device.
//! All kinds are of the exact class; none works in float.
//! An operand is one image `[channels, height, width]`.
//!
//! | kind | stands for |
//! |---|---|
//! | [`Conv`] | convolution of any group count, and matmul and fully connected as its special cases |
//! | [`Add`] | residual addition |
//! | [`MaxPool`], [`AveragePool`] | pooling, global pooling included |
//! | [`Concat`] | joining along channels |
//! | [`Table`] | any function of one int8 value, such as a lone ReLU or a change of scale |
//! | [`Select`] | slices, splits, shuffles, explicit padding, nearest resizing |
//! | [`Mul`] | the product of two activations |
//! | [`ConvAdd`] | a convolution and a residual addition with one rounding |

mod add;
mod average_pool;
mod concat;
mod conv;
mod conv_add;
mod max_pool;
mod mul;
mod select;
mod table;
#[cfg(test)]
mod tests;
mod window;

use crate::fit::Fit;
pub use add::{Add, AddError, Difference};
pub use average_pool::AveragePool;
pub use concat::Concat;
pub use conv::Conv;
pub use conv_add::ConvAdd;
pub use max_pool::MaxPool;
pub use mul::Mul;
pub use select::{Positions, Select};
pub use table::Table;
pub use window::Window;

use crate::network::Tensor;
use serde::{Deserialize, Serialize};

/// What an einsum computes, with its constants.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Kind {
    /// Convolution, matmul, fully connected.
    Conv(Conv),
    /// Residual addition.
    Add(Add),
    /// Maximum over windows.
    MaxPool(MaxPool),
    /// Average over windows.
    AveragePool(AveragePool),
    /// Joining along channels.
    Concat(Concat),
    /// A function of each value.
    Table(Table),
    /// Copies of channels, rows and columns.
    Select(Select),
    /// The product of two activations.
    Mul(Mul),
    /// Convolution and residual addition with one rounding.
    ConvAdd(ConvAdd),
}

/// An operand of a reference: the values and the tensor they belong to.
#[derive(Debug, Clone, Copy)]
pub struct Value<'a> {
    /// The shape, scale and zero point.
    pub tensor: &'a Tensor,
    /// The values, `[channels, height, width]`.
    pub values: &'a [i8],
}

impl Value<'_> {
    /// The value at a channel, row and column, or `None` in the padding around the image.
    pub fn at(&self, channel: usize, row: isize, column: isize) -> Option<i8> {
        let Tensor { height, width, .. } = *self.tensor;
        let inside = (0..height.fit::<isize>()).contains(&row)
            && (0..width.fit::<isize>()).contains(&column);
        inside.then(|| {
            self.values[(channel * height + row.fit::<usize>()) * width + column.fit::<usize>()]
        })
    }
}

/// Why the constants or operands of an operation contradict each other.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum OpError {
    /// The number of operands is wrong.
    #[error("{expected} operands expected, {given} given")]
    OperandCount {
        /// The number that the kind takes.
        expected: usize,
        /// The number given.
        given: usize,
    },
    /// Two operands do not have the shapes that the kind needs.
    #[error("operand shapes {first:?} and {second:?} do not fit each other")]
    OperandShapes {
        /// One shape, `[channels, height, width]`.
        first: [usize; 3],
        /// The other.
        second: [usize; 3],
    },
    /// The output tensor does not have the shape that the rule gives.
    #[error("output shape is {given:?}, but the operands give {expected:?}")]
    OutputShape {
        /// The shape that the operands give.
        expected: [usize; 3],
        /// The shape of the output tensor.
        given: [usize; 3],
    },
    /// The channels of the operand do not fit the weights.
    #[error("operand has {given} channels, the weights want {expected}")]
    Channels {
        /// The channels that the weights want.
        expected: usize,
        /// The channels of the operand.
        given: usize,
    },
    /// A list of constants has the wrong length.
    #[error("{what} has {given} entries, {expected} are needed")]
    Length {
        /// The list.
        what: &'static str,
        /// The length needed.
        expected: usize,
        /// The length given.
        given: usize,
    },
    /// The tables of an addition have bits of fraction that no machine can shift away.
    #[error("addition tables have {given} bits of fraction, 1 to {limit} are possible")]
    FractionBits {
        /// The bits given.
        given: u32,
        /// The most that are possible.
        limit: u32,
    },
    /// The window does not fit the image.
    #[error(
        "window {kernel:?} with stride {stride:?} has no place in an image of {image:?} with its padding"
    )]
    Window {
        /// Rows and columns of the window, dilation not counted.
        kernel: [usize; 2],
        /// The stride.
        stride: [usize; 2],
        /// Rows and columns of the image.
        image: [usize; 2],
    },
    /// A selection names channels that the operand does not have, or positions far outside it.
    #[error("the selection names channels or positions that an image of {image:?} does not have")]
    Positions {
        /// The shape of the operand, `[channels, height, width]`.
        image: [usize; 3],
    },
    /// A scale that the hardware cannot hold.
    #[error(transparent)]
    Scale(#[from] crate::numerics::ScaleError),
    /// An empty range of the output.
    #[error(transparent)]
    Clamp(#[from] crate::numerics::ClampError),
}

impl Kind {
    /// The name that messages and reports use, such as `conv`.
    pub fn name(&self) -> &'static str {
        match self {
            Kind::Conv(_) => "conv",
            Kind::Add(_) => "add",
            Kind::MaxPool(_) => "max_pool",
            Kind::AveragePool(_) => "average_pool",
            Kind::Concat(_) => "concat",
            Kind::Table(_) => "table",
            Kind::Select(_) => "select",
            Kind::Mul(_) => "mul",
            Kind::ConvAdd(_) => "conv_add",
        }
    }

    /// The shape `[channels, height, width]` of the output for operands of the shapes `inputs`.
    ///
    /// # Errors
    /// [`OpError`] if constants and operands do not fit together.
    pub fn output_shape(&self, inputs: &[[usize; 3]]) -> Result<[usize; 3], OpError> {
        match self {
            Kind::Conv(op) => op.output_shape(one(inputs)?),
            Kind::Add(op) => op.output_shape(two(inputs)?),
            Kind::MaxPool(op) => op.output_shape(one(inputs)?),
            Kind::AveragePool(op) => op.output_shape(one(inputs)?),
            Kind::Concat(op) => op.output_shape(inputs),
            Kind::Table(op) => op.output_shape(one(inputs)?),
            Kind::Select(op) => op.output_shape(one(inputs)?),
            Kind::Mul(op) => op.output_shape(two(inputs)?),
            Kind::ConvAdd(op) => op.output_shape(two(inputs)?),
        }
    }

    /// How far a bias is from what the file states, at most, in steps of the output, as [`Conv::bias_error`].
    pub fn bias_error(&self) -> f32 {
        match self {
            Kind::Conv(op) => op.bias_error,
            Kind::ConvAdd(op) => op.conv.bias_error,
            _ => 0.0,
        }
    }

    /// The multiply-accumulates for an output of the shape `[channels, height, width]`, padding included.
    pub fn macs(&self, output: [usize; 3]) -> u64 {
        match self {
            Kind::Conv(op) => op.macs(output),
            Kind::ConvAdd(op) => op.conv.macs(output),
            Kind::Add(_)
            | Kind::MaxPool(_)
            | Kind::AveragePool(_)
            | Kind::Concat(_)
            | Kind::Table(_)
            | Kind::Select(_)
            | Kind::Mul(_) => 0,
        }
    }

    /// Computes the values of `output` from `inputs`, which must be valid for this kind.
    pub fn reference(&self, inputs: &[Value], output: &Tensor) -> Vec<i8> {
        match self {
            Kind::Conv(op) => op.reference(inputs[0], output),
            Kind::Add(op) => op.reference([inputs[0], inputs[1]]),
            Kind::MaxPool(op) => op.reference(inputs[0], output),
            Kind::AveragePool(op) => op.reference(inputs[0], output),
            Kind::Concat(op) => op.reference(inputs),
            Kind::Table(op) => op.reference(inputs[0]),
            Kind::Select(op) => op.reference(inputs[0]),
            Kind::Mul(op) => op.reference([inputs[0], inputs[1]], output),
            Kind::ConvAdd(op) => op.reference([inputs[0], inputs[1]], output),
        }
    }
}

fn one(inputs: &[[usize; 3]]) -> Result<[usize; 3], OpError> {
    match inputs {
        [x] => Ok(*x),
        _ => Err(OpError::OperandCount {
            expected: 1,
            given: inputs.len(),
        }),
    }
}

fn two(inputs: &[[usize; 3]]) -> Result<[[usize; 3]; 2], OpError> {
    <[[usize; 3]; 2]>::try_from(inputs).map_err(|_| OpError::OperandCount {
        expected: 2,
        given: inputs.len(),
    })
}

fn check_length(what: &'static str, expected: usize, given: usize) -> Result<(), OpError> {
    if expected == given {
        Ok(())
    } else {
        Err(OpError::Length {
            what,
            expected,
            given,
        })
    }
}

/// The position of an int8 value in a 256-entry table: value -128 comes first.
pub fn table_index(value: i8) -> usize {
    usize::from(value.cast_unsigned() ^ 0x80)
}

/// All int8 values in the order of a 256-entry table.
pub fn table_values() -> impl Iterator<Item = i8> {
    i8::MIN..=i8::MAX
}
