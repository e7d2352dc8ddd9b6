//! The product of two activations, such as the gate of a squeeze-and-excite block.

use super::{OpError, Value};
use crate::network::Tensor;
use crate::numerics::{Clamp, Requantise, requantise_f32};
use serde::{Deserialize, Serialize};

/// `y = clamp(rint(f32((a - a_zero_point) * (b - b_zero_point)) * scale) + y_zero_point)`.
///
/// The second operand has the shape of the first, or one value where the first has many channels, rows or columns.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Mul {
    /// The requantise scale, `f32(f32(a_scale * b_scale) / y_scale)`.
    pub scale: f32,
    /// The range of the output; ReLU and clip are in it.
    pub clamp: Clamp,
}

impl Mul {
    /// The shape of the output for operands of the shapes `x`.
    ///
    /// # Errors
    /// [`OpError`] if the second shape does not fit the first, or the scale is outside the parameter word.
    pub fn output_shape(&self, x: [[usize; 3]; 2]) -> Result<[usize; 3], OpError> {
        Requantise::from_scale(self.scale)?;
        let fits = x[0].iter().zip(&x[1]).all(|(&a, &b)| b == a || b == 1);
        if !fits {
            return Err(OpError::OperandShapes {
                first: x[0],
                second: x[1],
            });
        }
        Ok(x[0])
    }

    /// Computes the output values.
    pub fn reference(&self, x: [Value; 2], y: &Tensor) -> Vec<i8> {
        let [a, b] = x;
        let zero_points = [a, b].map(|x| i32::from(x.tensor.zero_point));
        let mut values = Vec::with_capacity(a.values.len());
        for channel in 0..a.tensor.channels {
            for row in 0..a.tensor.height {
                for column in 0..a.tensor.width {
                    let index = |t: &Tensor| {
                        let at = |i: usize, size: usize| if size == 1 { 0 } else { i };
                        (at(channel, t.channels) * t.height + at(row, t.height)) * t.width
                            + at(column, t.width)
                    };
                    let factor = |x: Value, zero: i32| i32::from(x.values[index(x.tensor)]) - zero;
                    let product = factor(a, zero_points[0]) * factor(b, zero_points[1]);
                    values.push(requantise_f32(
                        product,
                        self.scale,
                        y.zero_point,
                        self.clamp,
                    ));
                }
            }
        }
        values
    }
}
