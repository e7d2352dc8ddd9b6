//! What makes a network valid.

use super::{Einsum, HostFault, Network, TensorId};
use crate::op::OpError;

/// Why a network, or what is given to it, does not fit together.
#[derive(Debug, Clone, PartialEq, thiserror::Error, miette::Diagnostic)]
pub enum NetworkError {
    /// An einsum's constants or shapes contradict each other: a bug of whoever built the network.
    #[error("einsum `{einsum}`: {source}")]
    #[diagnostic(
        code(network::einsum),
        help("a network from a file should never have this; please report the file")
    )]
    Einsum {
        /// The einsum.
        einsum: String,
        /// What is wrong with it.
        #[source]
        source: OpError,
    },
    /// A tensor id is out of range, read before it is written, or written twice: a bug of whoever built the network.
    #[error("tensor {} of `{place}` is {problem}", .tensor.0)]
    #[diagnostic(
        code(network::order),
        help("list the einsums in topological order, each writing its own tensor")
    )]
    Order {
        /// The tensor.
        tensor: TensorId,
        /// The einsum, or the network itself.
        place: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// The number of inputs is wrong: the caller's fault.
    #[error("the network has {expected} inputs, {given} were given")]
    #[diagnostic(
        code(network::input_count),
        help("give one list of values for each input, in order")
    )]
    InputCount {
        /// The inputs of the network.
        expected: usize,
        /// The inputs given.
        given: usize,
    },
    /// What the host is to compute contradicts itself: a bug of whoever built the network.
    #[error("host step `{step}` {fault}")]
    #[diagnostic(
        code(network::host),
        help("a network from a file should never have this; please report the file")
    )]
    Host {
        /// The step, or the output of the file.
        step: String,
        /// What is wrong with it.
        fault: HostFault,
    },
    /// Values do not fit a tensor: the caller's fault.
    #[error("tensor `{tensor}` takes {expected}, {given} were given")]
    #[diagnostic(
        code(network::boundary),
        help("`tilewright check` lists the inputs and outputs with their types")
    )]
    Boundary {
        /// The tensor.
        tensor: String,
        /// What it takes.
        expected: String,
        /// What was given.
        given: String,
    },
}

impl Network {
    /// Checks that ids, order, shapes and constants fit together.
    ///
    /// # Errors
    /// The first [`NetworkError`] found, in the order of the einsums.
    pub fn validate(&self) -> Result<(), NetworkError> {
        let mut written = vec![false; self.tensors.len()];
        for &id in &self.inputs {
            write(&mut written, id, &self.name)?;
        }
        for constant in &self.constants {
            write(&mut written, constant.tensor, &self.name)?;
            let tensor = self.tensor(constant.tensor);
            if constant.values.len() != tensor.n_values() {
                return Err(NetworkError::Boundary {
                    tensor: tensor.name.clone(),
                    expected: format!("{} int8 values", tensor.n_values()),
                    given: constant.values.len().to_string(),
                });
            }
        }
        for einsum in &self.einsums {
            for &id in &einsum.inputs {
                read(&written, id, &einsum.name)?;
            }
            write(&mut written, einsum.output, &einsum.name)?;
            self.validate_einsum(einsum)
                .map_err(|source| NetworkError::Einsum {
                    einsum: einsum.name.clone(),
                    source,
                })?;
        }
        self.outputs
            .iter()
            .try_for_each(|&id| read(&written, id, &self.name))
    }

    fn validate_einsum(&self, einsum: &Einsum) -> Result<(), OpError> {
        let inputs: Vec<[usize; 3]> = einsum
            .inputs
            .iter()
            .map(|&id| self.tensor(id).shape())
            .collect();
        let expected = einsum.kind.output_shape(&inputs)?;
        let given = self.tensor(einsum.output).shape();
        if expected != given {
            return Err(OpError::OutputShape { expected, given });
        }
        Ok(())
    }
}

fn read(written: &[bool], id: TensorId, place: &str) -> Result<(), NetworkError> {
    match written.get(id.index()) {
        Some(true) => Ok(()),
        Some(false) => Err(order(id, place, "read before it is written")),
        None => Err(order(id, place, "not in the network")),
    }
}

fn write(written: &mut [bool], id: TensorId, place: &str) -> Result<(), NetworkError> {
    match written.get_mut(id.index()) {
        Some(done @ false) => {
            *done = true;
            Ok(())
        }
        Some(true) => Err(order(id, place, "written twice")),
        None => Err(order(id, place, "not in the network")),
    }
}

fn order(tensor: TensorId, place: &str, problem: &'static str) -> NetworkError {
    NetworkError::Order {
        tensor,
        place: place.into(),
        problem,
    }
}
