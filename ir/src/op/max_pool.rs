//! Maximum over windows.

use super::{OpError, Value, Window};
use crate::network::Tensor;
use serde::{Deserialize, Serialize};

/// The largest value of each window; input and output have the same scale and zero point. Padding never wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaxPool {
    /// The window.
    pub window: Window,
}

impl MaxPool {
    /// The shape of the output for an operand of the shape `x`.
    ///
    /// # Errors
    /// [`OpError::Window`] if the window does not fit, or could lie in the padding alone.
    pub fn output_shape(&self, x: [usize; 3]) -> Result<[usize; 3], OpError> {
        self.window.pooled_shape(x)
    }

    /// Computes the output values.
    pub fn reference(&self, x: Value, y: &Tensor) -> Vec<i8> {
        let mut values = Vec::with_capacity(y.n_values());
        for channel in 0..y.channels {
            for row in 0..y.height {
                for column in 0..y.width {
                    values.push(
                        self.window
                            .inside(x, channel, row, column)
                            .max()
                            .unwrap_or(i8::MIN),
                    );
                }
            }
        }
        values
    }
}
