//! The reference executor: every tensor of a network, in plain loops.

use super::{Network, NetworkError};
use crate::op::Value;

impl Network {
    /// Computes every tensor of the network from its `inputs`, in plain integer loops.
    ///
    /// `inputs` are in the order of [`Network::inputs`], each `[channels, height, width]`. The result has the values
    /// of every tensor, in the order of [`Network::tensors`].
    ///
    /// # Errors
    /// [`NetworkError`] if the network is not valid, or number or sizes of the inputs do not fit.
    pub fn reference(&self, inputs: &[Vec<i8>]) -> Result<Vec<Vec<i8>>, NetworkError> {
        self.validate()?;
        if inputs.len() != self.inputs.len() {
            return Err(NetworkError::InputCount {
                expected: self.inputs.len(),
                given: inputs.len(),
            });
        }
        let mut values = vec![Vec::new(); self.tensors.len()];
        for (&id, given) in self.inputs.iter().zip(inputs) {
            let tensor = self.tensor(id);
            if given.len() != tensor.n_values() {
                return Err(NetworkError::Boundary {
                    tensor: tensor.name.clone(),
                    expected: format!("{} int8 values", tensor.n_values()),
                    given: format!("{}", given.len()),
                });
            }
            values[id.index()] = given.clone();
        }
        for constant in &self.constants {
            values[constant.tensor.index()] = constant.values.clone();
        }
        for einsum in &self.einsums {
            let operands: Vec<Value> = einsum
                .inputs
                .iter()
                .map(|&id| Value {
                    tensor: self.tensor(id),
                    values: &values[id.index()],
                })
                .collect();
            values[einsum.output.index()] =
                einsum.kind.reference(&operands, self.tensor(einsum.output));
        }
        Ok(values)
    }
}
