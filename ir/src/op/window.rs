//! The sliding window that convolution and pooling share.

use super::{OpError, Value};
use crate::fit::Fit;
use serde::{Deserialize, Serialize};

/// The largest number of rows or columns of an image with its padding.
pub(super) const MAX_PADDED: usize = 1 << 24;

/// A sliding window over rows and columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// The size `[rows, columns]`, without dilation.
    pub kernel: [usize; 2],
    /// The step `[rows, columns]` from one output to the next.
    pub stride: [usize; 2],
    /// The padding `[top, left, bottom, right]`.
    pub pads: [usize; 4],
    /// The distance `[rows, columns]` between neighbours in the window; 1 means dense.
    pub dilation: [usize; 2],
}

impl Window {
    /// A dense window without padding that moves by one.
    pub fn dense(kernel: [usize; 2]) -> Self {
        Window {
            kernel,
            stride: [1, 1],
            pads: [0; 4],
            dilation: [1, 1],
        }
    }

    /// The number of positions in the window.
    pub fn n_taps(&self) -> usize {
        self.kernel[0].saturating_mul(self.kernel[1])
    }

    /// The rows and columns of the output for an `image` of `[rows, columns]`.
    ///
    /// # Errors
    /// [`OpError::Window`] if the window does not fit once, a size, stride or dilation is 0, or the padded image has more
    /// than 2^24 rows or columns.
    pub fn output_size(&self, image: [usize; 2]) -> Result<[usize; 2], OpError> {
        let along = |axis: usize| -> Option<usize> {
            let reach = self.kernel[axis]
                .checked_sub(1)?
                .checked_mul(self.dilation[axis])?
                .checked_add(1)?;
            let padded = image[axis]
                .checked_add(self.pads[axis])?
                .checked_add(self.pads[axis + 2])?;
            if self.dilation[axis] == 0 || padded > MAX_PADDED {
                return None;
            }
            padded
                .checked_sub(reach)?
                .checked_div(self.stride[axis])?
                .checked_add(1)
        };
        match (along(0), along(1)) {
            (Some(rows), Some(columns)) => Ok([rows, columns]),
            _ => Err(OpError::Window {
                kernel: self.kernel,
                stride: self.stride,
                image,
            }),
        }
    }

    /// The row of the image, maybe in the padding, that tap row `tap` of output row `out` reads.
    pub fn row(&self, out: usize, tap: usize) -> isize {
        (out * self.stride[0] + tap * self.dilation[0]).fit::<isize>() - self.pads[0].fit::<isize>()
    }

    /// The column of the image, maybe in the padding, that tap column `tap` of output column `out` reads.
    pub fn column(&self, out: usize, tap: usize) -> isize {
        (out * self.stride[1] + tap * self.dilation[1]).fit::<isize>() - self.pads[1].fit::<isize>()
    }
}

impl Window {
    /// The shape of a pooled image of the shape `x`.
    ///
    /// # Errors
    /// [`OpError::Window`] if the window does not fit, or could lie in the padding alone.
    pub fn pooled_shape(&self, x: [usize; 3]) -> Result<[usize; 3], OpError> {
        let [channels, height, width] = x;
        let [rows, columns] = self.output_size([height, width])?;
        // The first tap that is not before the image must be in the window, and not behind the image.
        let sees = |axis: usize, start: isize, size: usize| {
            let tap = (-start).max(0).fit::<usize>().div_ceil(self.dilation[axis]);
            let at = start + (tap * self.dilation[axis]).fit::<isize>();
            tap < self.kernel[axis] && at < size.fit::<isize>()
        };
        if (0..rows).all(|row| sees(0, self.row(row, 0), height))
            && (0..columns).all(|column| sees(1, self.column(column, 0), width))
        {
            return Ok([channels, rows, columns]);
        }
        Err(OpError::Window {
            kernel: self.kernel,
            stride: self.stride,
            image: [height, width],
        })
    }

    /// The values of a window that lie inside the image.
    pub(super) fn inside<'a>(
        &'a self,
        x: Value<'a>,
        channel: usize,
        row: usize,
        column: usize,
    ) -> impl Iterator<Item = i8> + 'a {
        let taps = (0..self.kernel[0]).flat_map(|r| (0..self.kernel[1]).map(move |c| (r, c)));
        taps.filter_map(move |(r, c)| x.at(channel, self.row(row, r), self.column(column, c)))
    }
}
