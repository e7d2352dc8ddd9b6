//! Convolution, with matmul and fully connected as special cases.
//!
//! A fully connected layer is a convolution whose window is the whole image; a matmul with M rows is a 1x1
//! convolution over M pixels. So a machine needs one reduction, and the mapper one kind of loop nest.

use super::{OpError, Value, Window, check_length};
use crate::fit::Fit;
use crate::network::Tensor;
use crate::numerics::{Clamp, Requantise, requantise_f32};
use serde::{Deserialize, Serialize};

/// Grouped two-dimensional convolution with bias and per-channel requantisation.
///
/// `y[o, r, c] = clamp(rint(f32(acc) * scales[o]) + y_zero_point)` with
/// `acc = bias[o] + sum((x - x_zero_point) * w)` in int32 that wraps around. Padding has the value zero, that is the
/// zero point of the input. Weights have no zero point. A transposed convolution is one over the image with
/// `stretch - 1` zeros between its pixels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Conv {
    /// The number of output channels.
    pub out_channels: usize,
    /// The number of input channels that one output channel reads.
    pub group_channels: usize,
    /// The number of groups that input and output channels are divided into.
    pub groups: usize,
    /// The window.
    pub window: Window,
    /// The distance `[rows, columns]` at which the pixels of the input are set apart; 1 means that they are not.
    pub stretch: [usize; 2],
    /// The weights, `[out_channels, group_channels, kernel rows, kernel columns]`.
    #[serde(with = "crate::bytes")]
    pub weights: Vec<i8>,
    /// The bias of each output channel, in steps of the accumulator.
    pub bias: Vec<i32>,
    /// How far a bias is from what the file states, at most, in steps of the output, 0 if it is next to nothing:
    /// steps of the accumulator are whole.
    pub bias_error: f32,
    /// The requantise scale of each output channel, `f32(f32(x_scale * w_scale) / y_scale)`.
    pub scales: Vec<f32>,
    /// The range of the output; ReLU and clip are in it.
    pub clamp: Clamp,
}

/// Pixels whose windows are gathered at a time: they stay in the cache while every channel of the output reads them.
const BLOCK: usize = 32;

impl Conv {
    /// The number of input channels.
    pub fn in_channels(&self) -> usize {
        self.group_channels.saturating_mul(self.groups)
    }

    /// Whether each channel is convolved on its own.
    pub fn is_depthwise(&self) -> bool {
        self.group_channels == 1 && self.groups > 1
    }

    /// The weight of an output channel, a channel of its group and a position of the window.
    pub fn weight(&self, out: usize, channel: usize, tap_row: usize, tap_column: usize) -> i8 {
        let [rows, columns] = self.window.kernel;
        self.weights
            [((out * self.group_channels + channel) * rows + tap_row) * columns + tap_column]
    }

    /// The shape of the output for an operand of the shape `x`.
    ///
    /// # Errors
    /// [`OpError`] if channels, constants or window do not fit, or a scale is outside the parameter word.
    pub fn output_shape(&self, x: [usize; 3]) -> Result<[usize; 3], OpError> {
        let [channels, height, width] = x;
        if self.groups == 0
            || self.in_channels() != channels
            || !self.out_channels.is_multiple_of(self.groups)
        {
            return Err(OpError::Channels {
                expected: self.in_channels(),
                given: channels,
            });
        }
        check_length(
            "weights",
            self.out_channels
                .saturating_mul(self.group_channels)
                .saturating_mul(self.window.n_taps()),
            self.weights.len(),
        )?;
        check_length("bias", self.out_channels, self.bias.len())?;
        check_length("scales", self.out_channels, self.scales.len())?;
        self.requantise()?;
        self.clamp.check()?;
        let [rows, columns] = self.window.output_size(self.stretched([height, width])?)?;
        Ok([self.out_channels, rows, columns])
    }

    /// The size `[rows, columns]` of an `image` whose pixels are set apart.
    ///
    /// # Errors
    /// [`OpError::Window`] if a stretch is 0, or the stretched image is absurdly large.
    pub fn stretched(&self, image: [usize; 2]) -> Result<[usize; 2], OpError> {
        let along = |axis: usize| {
            let gaps = image[axis].checked_sub(1)?;
            (self.stretch[axis] > 0).then_some(())?;
            gaps.checked_mul(self.stretch[axis])?.checked_add(1)
        };
        match (along(0), along(1)) {
            (Some(rows), Some(columns)) => Ok([rows, columns]),
            _ => Err(OpError::Window {
                kernel: self.window.kernel,
                stride: self.window.stride,
                image,
            }),
        }
    }

    /// The requantise scale of each output channel as the hardware holds it.
    ///
    /// # Errors
    /// [`OpError::Scale`] for the first scale that the parameter word cannot hold.
    pub fn requantise(&self) -> Result<Vec<Requantise>, OpError> {
        Ok(self
            .scales
            .iter()
            .map(|&scale| Requantise::from_scale(scale))
            .collect::<Result<_, _>>()?)
    }

    /// The multiply-accumulates for an output of the shape `y`, padding included.
    pub fn macs(&self, y: [usize; 3]) -> u64 {
        y.iter().product::<usize>() as u64 * (self.group_channels * self.window.n_taps()) as u64
    }

    /// Computes the output values.
    pub fn reference(&self, x: Value, y: &Tensor) -> Vec<i8> {
        self.requantised(&self.accumulators(x, y), y)
    }

    /// The output values of `accumulators`, which are in the shape of `y`.
    pub fn requantised(&self, accumulators: &[i32], y: &Tensor) -> Vec<i8> {
        let n_pixels = y.height * y.width;
        let requantise =
            |(i, &acc)| requantise_f32(acc, self.scales[i / n_pixels], y.zero_point, self.clamp);
        accumulators.iter().enumerate().map(requantise).collect()
    }

    /// Computes the int32 sums before requantisation, in the shape of `y`. They wrap around, so their order is no matter.
    pub fn accumulators(&self, x: Value, y: &Tensor) -> Vec<i32> {
        let (n_pixels, n_taps) = (
            y.height * y.width,
            self.group_channels * self.window.n_taps(),
        );
        let per_group = self.out_channels / self.groups;
        let mut accumulators = vec![0; y.n_values()];
        let mut patches = Vec::with_capacity(BLOCK * n_taps);
        let mut weights = Vec::with_capacity(n_taps);
        for group in 0..self.groups {
            for first in (0..n_pixels).step_by(BLOCK) {
                let pixels = first..n_pixels.min(first + BLOCK);
                patches.clear();
                for pixel in pixels.clone() {
                    self.gather(x, group, [pixel / y.width, pixel % y.width], &mut patches);
                }
                for out in group * per_group..(group + 1) * per_group {
                    weights.clear();
                    weights.extend(
                        self.weights[out * n_taps..][..n_taps]
                            .iter()
                            .map(|&w| i16::from(w)),
                    );
                    for pixel in pixels.clone() {
                        let patch = &patches[(pixel - first) * n_taps..][..n_taps];
                        accumulators[out * n_pixels + pixel] =
                            self.bias[out].wrapping_add(dot(&weights, patch));
                    }
                }
            }
        }
        accumulators
    }

    /// Appends to `patch` what the window of `group` sees at `[row, column]` of the output, less the zero point, in the
    /// order of the weights.
    fn gather(&self, x: Value, group: usize, [row, column]: [usize; 2], patch: &mut Vec<i16>) {
        let zero_point = i16::from(x.tensor.zero_point);
        for channel in group * self.group_channels..(group + 1) * self.group_channels {
            for tap_row in 0..self.window.kernel[0] {
                for tap_column in 0..self.window.kernel[1] {
                    let at = [
                        self.window.row(row, tap_row),
                        self.window.column(column, tap_column),
                    ];
                    let value = self
                        .pixel(at)
                        .and_then(|[row, column]| x.at(channel, row, column));
                    patch.push(value.map_or(0, |value| i16::from(value) - zero_point));
                }
            }
        }
    }

    /// The pixel of the input at a position of the stretched image, or none where there is a zero between pixels.
    fn pixel(&self, at: [isize; 2]) -> Option<[isize; 2]> {
        let [rows, columns] = self.stretch.map(|stretch| stretch.fit::<isize>());
        (at[0] % rows == 0 && at[1] % columns == 0).then(|| [at[0] / rows, at[1] / columns])
    }
}

/// The sum of products, in a form that compilers turn into vector instructions.
fn dot(a: &[i16], b: &[i16]) -> i32 {
    let products = a.iter().zip(b).map(|(&a, &b)| i32::from(a) * i32::from(b));
    products.fold(0, i32::wrapping_add)
}
