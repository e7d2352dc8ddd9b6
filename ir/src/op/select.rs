//! Copies of channels, rows and columns: slices, splits, shuffles, explicit padding and nearest resizing.

use super::{OpError, Value};
use crate::fit::Fit;
use serde::{Deserialize, Serialize};

/// Which rows, or which columns, of the operand the output has.
///
/// Position `i` of the output is position `start + step * (i / repeat)` of the operand, or padding if that lies outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Positions {
    /// The number of positions of the output.
    pub size: usize,
    /// The first position of the operand; negative in the padding.
    pub start: i32,
    /// From one position of the operand to the next; negative where the order turns round.
    pub step: i32,
    /// How often each position is repeated, at least 1.
    pub repeat: usize,
}

impl Positions {
    /// All `size` positions, once each.
    pub fn all(size: usize) -> Self {
        Positions {
            size,
            start: 0,
            step: 1,
            repeat: 1,
        }
    }

    /// The position of the operand at position `i` of the output, maybe in the padding.
    pub fn source(&self, i: usize) -> isize {
        self.start as isize + self.step as isize * (i / self.repeat).fit::<isize>()
    }

    /// Whether the output has every one of `size` positions, in order.
    pub fn is_all(&self, size: usize) -> bool {
        *self == Positions::all(size)
    }
}

/// `y[c, i, j] = x[channels[c], rows.source(i), columns.source(j)]`, or `padding` where that is outside the image.
///
/// Input and output have the same scale and zero point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Select {
    /// For each channel of the output that of the operand.
    pub channels: Vec<usize>,
    /// The rows.
    pub rows: Positions,
    /// The columns.
    pub columns: Positions,
    /// The value around the image.
    pub padding: i8,
}

impl Select {
    /// The shape of the output for an operand of the shape `x`.
    ///
    /// # Errors
    /// [`OpError::Positions`] if a channel is not there, a size or repetition is 0, or positions lie absurdly far outside.
    pub fn output_shape(&self, x: [usize; 3]) -> Result<[usize; 3], OpError> {
        let sensible = |positions: &Positions, size: usize| {
            let limit = super::window::MAX_PADDED.fit::<isize>();
            positions.size > 0
                && positions.size <= limit.fit::<usize>()
                && positions.repeat > 0
                && (positions.step as isize).abs() <= size.max(1).fit::<isize>()
                && [0, positions.size - 1]
                    .iter()
                    .all(|&i| positions.source(i).abs() <= limit)
        };
        let fits = !self.channels.is_empty()
            && self.channels.iter().all(|&channel| channel < x[0])
            && sensible(&self.rows, x[1])
            && sensible(&self.columns, x[2]);
        if !fits {
            return Err(OpError::Positions { image: x });
        }
        Ok([self.channels.len(), self.rows.size, self.columns.size])
    }

    /// Whether every channel is there once, in order.
    pub fn keeps_channels(&self, n: usize) -> bool {
        self.channels.iter().copied().eq(0..n)
    }

    /// Whether rows or columns are repeated.
    pub fn repeats(&self) -> bool {
        self.rows.repeat > 1 || self.columns.repeat > 1
    }

    /// Computes the output values.
    pub fn reference(&self, x: Value) -> Vec<i8> {
        let mut values =
            Vec::with_capacity(self.channels.len() * self.rows.size * self.columns.size);
        for &channel in &self.channels {
            for row in 0..self.rows.size {
                for column in 0..self.columns.size {
                    let at = x.at(channel, self.rows.source(row), self.columns.source(column));
                    values.push(at.unwrap_or(self.padding));
                }
            }
        }
        values
    }
}
