//! Residual addition by two tables of aligned fixed-point values.
//!
//! The two operands have scales of their own. The tables bring both to the scale of the output with
//! [`FRACTION_BITS`] bits of fraction, and fold the output's zero point in before the one rounding. This integer form
//! *is* the meaning. onnxruntime's fused addition works in f32 and differs for a handful of the 65,536 operand
//! pairs; [`Add::differing_pairs`] counts them so that the number can be printed.

use super::{OpError, Value, check_length, table_index, table_values};
use crate::network::Tensor;
use crate::numerics::{Clamp, FRACTION_BITS, rne_shift};
use serde::{Deserialize, Serialize};

/// The largest magnitude of a table entry, such that a sum of two fits an int32.
const MAX_ENTRY: f64 = ((1_i64 << 30) - 1) as f64;

/// Addition of two tensors of one shape: `y = clamp(rne_shift(tables[0][a] + tables[1][b], 20))`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Add {
    /// For each operand its 256 values in steps of the output, times 2^20; the first has the output's zero point in it.
    pub tables: [Vec<i32>; 2],
    /// The range of the output; ReLU and clip are in it.
    pub clamp: Clamp,
}

impl Add {
    /// Builds the tables for operands `a` and `b` and output `y`, of which only scale and zero point are read.
    ///
    /// Entries beyond +-2^30, which only an output scale far below an operand's can give, are held there.
    pub fn new(a: &Tensor, b: &Tensor, y: &Tensor, clamp: Clamp) -> Self {
        let table = |x: &Tensor, offset: i8| -> Vec<i32> {
            let ratio = f64::from(x.scale / y.scale);
            let entry = |value: i8| {
                let steps = f64::from(i16::from(value) - i16::from(x.zero_point)) * ratio
                    + f64::from(offset);
                let fixed = (steps * f64::from(1_u32 << FRACTION_BITS)).round_ties_even();
                fixed.clamp(-MAX_ENTRY, MAX_ENTRY) as i32
            };
            table_values().map(entry).collect()
        };
        Add {
            tables: [table(a, y.zero_point), table(b, 0)],
            clamp,
        }
    }

    /// Adds one pair of values.
    pub fn apply(&self, a: i8, b: i8) -> i8 {
        let sum =
            i64::from(self.tables[0][table_index(a)]) + i64::from(self.tables[1][table_index(b)]);
        self.clamp.apply(rne_shift(sum, FRACTION_BITS))
    }

    /// The shape of the output for operands of the shapes `x`.
    ///
    /// # Errors
    /// [`OpError`] if the shapes differ or a table is not 256 entries long.
    pub fn output_shape(&self, x: [[usize; 3]; 2]) -> Result<[usize; 3], OpError> {
        self.tables
            .iter()
            .try_for_each(|table| check_length("addition table", 256, table.len()))?;
        self.clamp.check()?;
        if x[0] != x[1] {
            return Err(OpError::OperandShapes {
                first: x[0],
                second: x[1],
            });
        }
        Ok(x[0])
    }

    /// Computes the output values.
    pub fn reference(&self, x: [Value; 2]) -> Vec<i8> {
        x[0].values
            .iter()
            .zip(x[1].values)
            .map(|(&a, &b)| self.apply(a, b))
            .collect()
    }

    /// Counts the operand pairs, of 65,536, for which this addition differs from onnxruntime's fused one.
    ///
    /// # Source
    /// onnxruntime, `MlasQLinearAddKernelAvx2Helper` (`core/mlas/lib/intrinsics/avx2/qladd_avx2.cpp`).
    pub fn differing_pairs(&self, a: &Tensor, b: &Tensor, y: &Tensor) -> usize {
        let (ratio_a, ratio_b) = (a.scale / y.scale, b.scale / y.scale);
        let fixed = f32::from(y.zero_point)
            - (ratio_a * f32::from(a.zero_point) + ratio_b * f32::from(b.zero_point));
        let fused = |p: i8, q: i8| {
            let sum = f32::from(p).mul_add(ratio_a, f32::from(q).mul_add(ratio_b, fixed));
            self.clamp.apply(sum.round_ties_even() as i64)
        };
        table_values()
            .map(|p| {
                table_values()
                    .filter(|&q| fused(p, q) != self.apply(p, q))
                    .count()
            })
            .sum()
    }
}
