//! The network: an acyclic graph of einsums over named int8 tensors.
//!
//! A [`Network`] is plain data, in the form that every device can run: each activation is one image
//! `[channels, height, width]` of int8, and each [`Einsum`] is one of the closed list of [`Kind`]s, whose meaning is
//! the `reference` function beside its definition in [`crate::op`].
//! Everything that is only an address change (reshape, transpose, flatten) is gone; what remains of it is the
//! [`HostView`] of the inputs and the [`HostStep`]s that make the outputs of the file from those of a device.
//!
//! Deliberately not here: batches above one on a device, which runs the images of a batch one after the other.

mod host;
mod results;
mod run;
#[cfg(test)]
mod tests;
mod validate;

use crate::fit::Fit;
pub use host::{HostType, HostValues, HostView};
pub use results::{
    Arrangement, FloatConv, GraphOutput, HostFault, HostId, HostOperator, HostStep, HostTensor,
};
pub use validate::NetworkError;

use crate::op::Kind;
use serde::{Deserialize, Serialize};

/// The position of a tensor in [`Network::tensors`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TensorId(pub u32);

/// The position of an einsum in [`Network::einsums`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EinsumId(pub u32);

impl TensorId {
    /// The position as an index.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl EinsumId {
    /// The position as an index.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// An acyclic graph of einsums over named tensors, for one image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Network {
    /// The name that messages and reports use.
    pub name: String,
    /// All activation tensors; a [`TensorId`] is a position in this list.
    pub tensors: Vec<Tensor>,
    /// The operations in topological order; an [`EinsumId`] is a position in this list.
    pub einsums: Vec<Einsum>,
    /// The tensors that the host provides.
    pub inputs: Vec<TensorId>,
    /// Tensors whose values are given here, such as an operand of an addition that does not change.
    pub constants: Vec<ConstantTensor>,
    /// The tensors that the host reads back, each once.
    pub outputs: Vec<TensorId>,
    /// What the host computes from these, in order.
    pub host_steps: Vec<HostStep>,
    /// The outputs of the file.
    pub results: Vec<GraphOutput>,
    /// How many images the file takes at once; a device runs them one after the other.
    pub batch: usize,
}

/// A tensor with given values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConstantTensor {
    /// The tensor.
    pub tensor: TensorId,
    /// Its values, `[channels, height, width]`.
    #[serde(with = "crate::bytes")]
    pub values: Vec<i8>,
}

/// One activation tensor: int8, `[channels, height, width]`, with `real = (value - zero_point) * scale`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tensor {
    /// The name, unique in the network.
    pub name: String,
    /// The number of channels.
    pub channels: usize,
    /// The number of rows.
    pub height: usize,
    /// The number of columns.
    pub width: usize,
    /// The size of one step.
    pub scale: f32,
    /// The int8 value that stands for zero (uint8 tensors are rebased by 128 at import).
    pub zero_point: i8,
    /// How the host sees the tensor, if it is an input of the network.
    pub host: Option<HostView>,
}

/// One operation of the network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Einsum {
    /// The name, unique in the network.
    pub name: String,
    /// What it computes, with its constants.
    pub kind: Kind,
    /// The tensors it reads, in the order of the kind's operands.
    pub inputs: Vec<TensorId>,
    /// The tensor it writes.
    pub output: TensorId,
}

impl Tensor {
    /// The number of values.
    pub fn n_values(&self) -> usize {
        self.channels * self.height * self.width
    }

    /// The shape `[channels, height, width]`.
    pub fn shape(&self) -> [usize; 3] {
        [self.channels, self.height, self.width]
    }
}

impl Network {
    /// The tensor of `id`.
    ///
    /// # Panics
    /// If `id` is not of this network.
    pub fn tensor(&self, id: TensorId) -> &Tensor {
        &self.tensors[id.index()]
    }

    /// The einsum of `id`.
    ///
    /// # Panics
    /// If `id` is not of this network.
    pub fn einsum(&self, id: EinsumId) -> &Einsum {
        &self.einsums[id.index()]
    }

    /// The ids of all einsums, in topological order.
    pub fn einsum_ids(&self) -> impl Iterator<Item = EinsumId> {
        (0..self.einsums.len().fit::<u32>()).map(EinsumId)
    }

    /// The network of one einsum, with its operands as inputs.
    pub fn alone(&self, id: EinsumId) -> Network {
        let mut einsum = self.einsum(id).clone();
        let mut ids: Vec<TensorId> = Vec::new();
        let mut of = |id: TensorId| {
            let at = ids
                .iter()
                .position(|other| *other == id)
                .unwrap_or(ids.len());
            if at == ids.len() {
                ids.push(id);
            }
            TensorId(at.fit::<u32>())
        };
        einsum.inputs.iter_mut().for_each(|id| *id = of(*id));
        einsum.output = of(einsum.output);
        Network {
            name: einsum.name.clone(),
            inputs: (0..einsum.output.0).map(TensorId).collect(),
            constants: Vec::new(),
            outputs: vec![einsum.output],
            tensors: ids.iter().map(|id| self.tensor(*id).clone()).collect(),
            einsums: vec![einsum],
            host_steps: Vec::new(),
            results: Vec::new(),
            batch: 1,
        }
    }

    /// The multiply-accumulates of one einsum, padding included.
    pub fn macs(&self, id: EinsumId) -> u64 {
        let einsum = self.einsum(id);
        einsum.kind.macs(self.tensor(einsum.output).shape())
    }

    /// The multiply-accumulates of the whole network, padding included.
    pub fn total_macs(&self) -> u64 {
        self.einsum_ids().map(|id| self.macs(id)).sum()
    }

    /// The einsum that writes `tensor`, if any does.
    pub fn producer(&self, tensor: TensorId) -> Option<EinsumId> {
        self.einsum_ids()
            .find(|&id| self.einsum(id).output == tensor)
    }

    /// The einsums that read `tensor`.
    pub fn consumers(&self, tensor: TensorId) -> impl Iterator<Item = EinsumId> {
        self.einsum_ids()
            .filter(move |&id| self.einsum(id).inputs.contains(&tensor))
    }
}
