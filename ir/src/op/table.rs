//! Any function of one int8 value.

use super::{OpError, Value, check_length, table_index, table_values};
use crate::network::Tensor;
use crate::numerics::{dequantise, quantise};
use serde::{Deserialize, Serialize};

/// A function of each value, as the list of its 256 results.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// The output for each int8 value, -128 first.
    #[serde(with = "crate::bytes")]
    pub values: Vec<i8>,
}

impl Table {
    /// Tabulates `function`, a function of real values, between the scales of `x` and `y`.
    pub fn new(x: &Tensor, y: &Tensor, function: impl Fn(f32) -> f32) -> Self {
        let entry = |value| {
            quantise(
                function(dequantise(value, x.scale, x.zero_point)),
                y.scale,
                y.zero_point,
            )
        };
        Table {
            values: table_values().map(entry).collect(),
        }
    }

    /// The shape of the output, that of the operand.
    ///
    /// # Errors
    /// [`OpError::Length`] if the table is not 256 entries long.
    pub fn output_shape(&self, x: [usize; 3]) -> Result<[usize; 3], OpError> {
        check_length("table", 256, self.values.len())?;
        Ok(x)
    }

    /// Computes the output values.
    pub fn reference(&self, x: Value) -> Vec<i8> {
        x.values
            .iter()
            .map(|&value| self.values[table_index(value)])
            .collect()
    }
}
