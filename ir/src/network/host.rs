//! How the host sees the inputs of a network, and the types of its values.

use super::{NetworkError, Tensor};
use crate::numerics::{dequantise, quantise};
use serde::{Deserialize, Serialize};

/// The type of the values that the host hands over or reads back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum HostType {
    /// Float values, quantised on the way in and dequantised on the way out with the tensor's scale.
    Float32,
    /// The int8 values themselves.
    Int8,
    /// uint8 values, 128 above the int8 ones.
    Uint8,
    /// Positions; only outputs have them.
    Int64,
}

/// The host's name, shape, order and type of an input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HostView {
    /// The name of the graph input in the file.
    pub name: String,
    /// The shape in the file, such as `[1, 32, 32, 3]`.
    pub shape: Vec<usize>,
    /// The steps of channel, row and column in the host's order: value `[c, y, x]` is at `c*s[0] + y*s[1] + x*s[2]`.
    pub strides: [usize; 3],
    /// The type of the host's values.
    pub host_type: HostType,
}

/// Values in the host's order and type.
#[derive(Debug, Clone, PartialEq)]
pub enum HostValues {
    /// Float values.
    Float32(Vec<f32>),
    /// int8 values.
    Int8(Vec<i8>),
    /// uint8 values.
    Uint8(Vec<u8>),
    /// Positions.
    Int64(Vec<i64>),
}

impl HostView {
    /// Whether shape and strides put the values of a tensor of `shape` on as many places of the host, each on its own.
    pub fn fits(&self, shape: [usize; 3]) -> bool {
        let product = |sizes: &[usize]| sizes.iter().try_fold(1_usize, |n, &m| n.checked_mul(m));
        let mut axes: Vec<(usize, usize)> = self.strides.into_iter().zip(shape).collect();
        axes.retain(|&(_, size)| size != 1);
        axes.sort_unstable();
        let mut places = 1_usize;
        let dense = axes.iter().all(|&(stride, size)| {
            let fits = stride == places;
            places = places.saturating_mul(size);
            fits
        });
        dense && product(&self.shape) == product(&shape)
    }
}

impl HostValues {
    /// The number of values.
    pub fn len(&self) -> usize {
        match self {
            HostValues::Float32(v) => v.len(),
            HostValues::Int8(v) => v.len(),
            HostValues::Uint8(v) => v.len(),
            HostValues::Int64(v) => v.len(),
        }
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The type of the values.
    pub fn host_type(&self) -> HostType {
        match self {
            HostValues::Float32(_) => HostType::Float32,
            HostValues::Int8(_) => HostType::Int8,
            HostValues::Uint8(_) => HostType::Uint8,
            HostValues::Int64(_) => HostType::Int64,
        }
    }

    /// Puts the values of `other`, which are of the same type, behind these.
    ///
    /// # Panics
    /// If they are of another type.
    pub fn append(&mut self, other: HostValues) {
        match (self, other) {
            (HostValues::Float32(all), HostValues::Float32(more)) => all.extend(more),
            (HostValues::Int8(all), HostValues::Int8(more)) => all.extend(more),
            (HostValues::Uint8(all), HostValues::Uint8(more)) => all.extend(more),
            (HostValues::Int64(all), HostValues::Int64(more)) => all.extend(more),
            _ => panic!("values of two types do not follow each other"),
        }
    }
}

impl Tensor {
    /// Turns the host's values into the tensor's, `[channels, height, width]`.
    ///
    /// # Errors
    /// [`NetworkError::Boundary`] if the tensor is not at the boundary, or type or number of values do not fit.
    pub fn from_host(&self, values: &HostValues) -> Result<Vec<i8>, NetworkError> {
        let view = self.view_of(values.host_type(), values.len())?;
        let int8: Vec<i8> = match values {
            HostValues::Float32(v) => v
                .iter()
                .map(|&x| quantise(x, self.scale, self.zero_point))
                .collect(),
            HostValues::Int8(v) => v.clone(),
            HostValues::Uint8(v) => v.iter().map(|&x| (x ^ 0x80).cast_signed()).collect(),
            // No input of a network has this type.
            HostValues::Int64(_) => {
                return Err(NetworkError::Boundary {
                    tensor: self.name.clone(),
                    expected: "int8 values".into(),
                    given: format!("{} int64 values", values.len()),
                });
            }
        };
        Ok(self.host_indices(view).map(|i| int8[i]).collect())
    }

    /// Values of the host that become `values` of this input.
    ///
    /// # Errors
    /// [`NetworkError::Boundary`] if the tensor is no input, or the number of values does not fit.
    pub fn to_host(&self, values: &[i8]) -> Result<HostValues, NetworkError> {
        let host_type = self
            .host
            .as_ref()
            .map_or(HostType::Int8, |view| view.host_type);
        let view = self.view_of(host_type, values.len())?;
        let mut int8 = vec![0_i8; values.len()];
        for (i, &value) in self.host_indices(view).zip(values) {
            int8[i] = value;
        }
        let real = |&value: &i8| dequantise(value, self.scale, self.zero_point);
        Ok(match view.host_type {
            HostType::Float32 => HostValues::Float32(int8.iter().map(real).collect()),
            HostType::Int8 => HostValues::Int8(int8),
            HostType::Uint8 => {
                HostValues::Uint8(int8.iter().map(|&q| q.cast_unsigned() ^ 0x80).collect())
            }
            HostType::Int64 => HostValues::Int64(int8.iter().map(|&q| q.into()).collect()),
        })
    }

    fn view_of(&self, host_type: HostType, n_values: usize) -> Result<&HostView, NetworkError> {
        match &self.host {
            Some(view) if view.host_type == host_type && n_values == self.n_values() => Ok(view),
            Some(view) => Err(NetworkError::Boundary {
                tensor: self.name.clone(),
                expected: format!("{} {:?} values", self.n_values(), view.host_type),
                given: format!("{n_values} {host_type:?} values"),
            }),
            None => Err(NetworkError::Boundary {
                tensor: self.name.clone(),
                expected: "nothing, for it is inside the network".into(),
                given: format!("{n_values} {host_type:?} values"),
            }),
        }
    }

    /// The host's index of each value, in the tensor's order.
    fn host_indices(&self, view: &HostView) -> impl Iterator<Item = usize> {
        let [channels, height, width] = self.shape();
        let [of_channel, of_row, of_column] = view.strides;
        (0..channels).flat_map(move |c| {
            (0..height).flat_map(move |y| {
                (0..width).map(move |x| c * of_channel + y * of_row + x * of_column)
            })
        })
    }
}
