//! A convolution and a residual addition with one rounding, as exporters leave it that quantise only what comes of both.

use super::{Conv, OpError, Value, check_length, table_index};
use crate::network::Tensor;
use crate::numerics::round_sum;
use serde::{Deserialize, Serialize};

/// `y = clamp(rne(acc * scales[o] + residuals[r]) + y_zero_point)`: the real sum, rounded once, half to even. `acc` and
/// `scales` are those of the convolution of the first operand, `r` is the second operand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConvAdd {
    /// The convolution; its clamp is that of the sum.
    pub conv: Conv,
    /// What each of the 256 values of the second operand stands for, in steps of the output; that of -128 first.
    pub residuals: Vec<f32>,
}

impl ConvAdd {
    /// The shape of the output for operands of the shapes `x`.
    ///
    /// # Errors
    /// [`OpError`] as for [`Conv`], if the second operand has another shape, or the list of residuals another length.
    pub fn output_shape(&self, x: [[usize; 3]; 2]) -> Result<[usize; 3], OpError> {
        check_length("list of residuals", 256, self.residuals.len())?;
        let first = self.conv.output_shape(x[0])?;
        if first != x[1] {
            return Err(OpError::OperandShapes {
                first,
                second: x[1],
            });
        }
        Ok(first)
    }

    /// Computes the output values.
    pub fn reference(&self, x: [Value; 2], y: &Tensor) -> Vec<i8> {
        let n_pixels = y.height * y.width;
        let accumulators = self.conv.accumulators(x[0], y);
        let sum = |(i, (&acc, &r)): (usize, (&i32, &i8))| {
            let residual = self.residuals[table_index(r)];
            let sign = if residual < 0.0 { -1 } else { 1 };
            let terms = [
                (i64::from(acc), self.conv.scales[i / n_pixels]),
                (sign, residual.abs()),
            ];
            let rounded = round_sum(terms).saturating_add(i64::from(y.zero_point));
            self.conv.clamp.apply(rounded)
        };
        accumulators
            .iter()
            .zip(x[1].values)
            .enumerate()
            .map(sum)
            .collect()
    }
}
