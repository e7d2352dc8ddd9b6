//! Average over windows, global pooling included.

use super::{OpError, Value, Window};
use crate::network::Tensor;
use crate::numerics::{Clamp, Requantise, requantise_f32};
use serde::{Deserialize, Serialize};

/// The average of each window: `clamp(rint(f32(sum) * f32(x_scale / f32(y_scale * n))) + y_zero_point)`, where `sum`
/// is over `x - x_zero_point` and `n` is the number of values that count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AveragePool {
    /// The window; a global pool has the whole image.
    pub window: Window,
    /// The padding `[top, left, bottom, right]` that counts as zeros; what a window reaches beyond it does not count.
    pub counted: [usize; 4],
    /// The range of the output; ReLU and clip are in it.
    pub clamp: Clamp,
}

impl AveragePool {
    /// The requantise scale for a window in which `n` values count.
    pub fn scale(x_scale: f32, y_scale: f32, n: usize) -> f32 {
        x_scale / (y_scale * n as f32)
    }

    /// The number of values that count at an output position of an image of the shape `x`.
    pub fn window_count(&self, x: [usize; 3], row: usize, column: usize) -> usize {
        let inside = |at: isize, axis: usize| {
            let (before, after) = (self.counted[axis], self.counted[axis + 2]);
            let distance = at.unsigned_abs();
            if at < 0 {
                distance <= before
            } else {
                distance < x[axis + 1].saturating_add(after)
            }
        };
        let rows = (0..self.window.kernel[0])
            .filter(|&tap| inside(self.window.row(row, tap), 0))
            .count();
        let columns = (0..self.window.kernel[1])
            .filter(|&tap| inside(self.window.column(column, tap), 1))
            .count();
        rows * columns
    }

    /// The requantise scale for a window in which `n` values count, as the hardware holds it.
    ///
    /// # Errors
    /// [`OpError::Scale`] if the parameter word cannot hold it.
    pub fn requantise(x_scale: f32, y_scale: f32, n: usize) -> Result<Requantise, OpError> {
        Ok(Requantise::from_scale(Self::scale(x_scale, y_scale, n))?)
    }

    /// The shape of the output for an operand of the shape `x`.
    ///
    /// # Errors
    /// [`OpError::Window`] if the window does not fit, or could lie in the padding alone; [`OpError::Clamp`] if the
    /// range is empty.
    pub fn output_shape(&self, x: [usize; 3]) -> Result<[usize; 3], OpError> {
        self.clamp.check()?;
        self.window.pooled_shape(x)
    }

    /// Computes the output values.
    pub fn reference(&self, x: Value, y: &Tensor) -> Vec<i8> {
        let mut values = Vec::with_capacity(y.n_values());
        for channel in 0..y.channels {
            for row in 0..y.height {
                for column in 0..y.width {
                    let window = self.window.inside(x, channel, row, column);
                    let sum = window
                        .map(|v| i32::from(v) - i32::from(x.tensor.zero_point))
                        .fold(0, i32::wrapping_add);
                    let n = self.window_count(x.tensor.shape(), row, column);
                    let scale = Self::scale(x.tensor.scale, y.scale, n);
                    values.push(requantise_f32(sum, scale, y.zero_point, self.clamp));
                }
            }
        }
        values
    }
}
