//! Joining along channels.

use super::{OpError, Value, check_length, table_index};
use serde::{Deserialize, Serialize};

/// The channels of all operands one after the other, each brought to the scale of the output by a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Concat {
    /// For each operand the output value of its 256 values; the identity where scale and zero point are the output's.
    pub tables: Vec<Vec<i8>>,
}

impl Concat {
    /// The shape of the output for operands of the shapes `inputs`.
    ///
    /// # Errors
    /// [`OpError`] if rows or columns differ, or the tables do not fit the operands.
    pub fn output_shape(&self, inputs: &[[usize; 3]]) -> Result<[usize; 3], OpError> {
        let Some(&first) = inputs.first() else {
            return Err(OpError::OperandCount {
                expected: self.tables.len(),
                given: 0,
            });
        };
        check_length(
            "list of concatenation tables",
            inputs.len(),
            self.tables.len(),
        )?;
        self.tables
            .iter()
            .try_for_each(|table| check_length("concatenation table", 256, table.len()))?;
        if let Some(&second) = inputs.iter().find(|shape| shape[1..] != first[1..]) {
            return Err(OpError::OperandShapes { first, second });
        }
        Ok([
            inputs.iter().map(|shape| shape[0]).sum(),
            first[1],
            first[2],
        ])
    }

    /// Computes the output values.
    pub fn reference(&self, inputs: &[Value]) -> Vec<i8> {
        let translated = inputs.iter().zip(&self.tables).flat_map(|(input, table)| {
            input
                .values
                .iter()
                .map(move |&value| table[table_index(value)])
        });
        translated.collect()
    }
}
