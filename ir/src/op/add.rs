//! Residual addition by two tables of aligned fixed-point values.
//!
//! The two operands have scales of their own. The tables bring both to the scale of the output, with as many bits of
//! fraction as fit, and fold the output's zero point in before the one rounding. This integer form *is* the meaning.
//!
//! [`Add::new`] picks the entries such that the result is that of the exact real sum, rounded half to even, for every
//! pair of operands. Entries rounded to nearest miss it where a sum is within 2^-20 of a tie: hundreds of pairs where
//! the scales are all but simple fractions of each other. [`Add::difference`] counts what is left.

mod exact;
#[cfg(test)]
mod tests;

use super::{OpError, Value, check_length, table_index, table_values};
use crate::network::Tensor;
use crate::numerics::{Clamp, FRACTION_BITS, rne_shift};
use exact::ExactSums;
use serde::{Deserialize, Serialize};

/// The largest magnitude of an entry before it is moved, such that moving it keeps it an int32.
const MAX_ENTRY: i32 = (1 << 30) - 1;

/// Addition of two tensors of one shape: `y = clamp(rne_shift(tables[0][a] + tables[1][b], fraction_bits))`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Add {
    /// For each operand its 256 values in steps of the output, times `2^fraction_bits`; the first has the output's zero
    /// point in it.
    pub tables: [Vec<i32>; 2],
    /// The bits of fraction of all entries, 1 to [`FRACTION_BITS`].
    pub fraction_bits: u32,
    /// The range of the output; ReLU and clip are in it.
    pub clamp: Clamp,
}

/// How far an addition is from the exact real sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Difference {
    /// The pairs of operands that give another result, of 65,536.
    pub pairs: usize,
    /// The steps of the output by which the worst of them is wrong.
    pub steps: u8,
}

/// Scales that no tables of an addition can bring together.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error, miette::Diagnostic)]
pub enum AddError {
    /// A scale stands for nothing: the caller's fault.
    #[error("scale {scale:e} of an addition is not a positive normal number")]
    #[diagnostic(
        code(numerics::addition_scale),
        help("quantise the network again; a scale is the size of one step")
    )]
    Scale {
        /// The scale.
        scale: f32,
    },
    /// A constant that is added is too large for the output's steps: the fault of the network's scales.
    #[error(
        "a constant of an addition reaches {steps:e} steps of its output, its tables hold {limit}"
    )]
    #[diagnostic(
        code(numerics::addition_constant),
        help("calibrate the range of the output again")
    )]
    Steps {
        /// Steps of the output.
        steps: f64,
        /// The largest number of steps.
        limit: u64,
    },
    /// The output's steps are too small for its operands: the fault of the network's scales.
    #[error(
        "the operands of an addition reach {steps} steps of its output, its tables hold {limit}"
    )]
    #[diagnostic(
        code(numerics::addition_range),
        help(
            "the output scale {output:e} is too small beside those of the operands, {first:e} and {second:e}: calibrate the range of the output again"
        )
    )]
    Range {
        /// Steps of the output that the operand with the smaller range reaches, and 256 more.
        steps: u64,
        /// The largest number of steps.
        limit: u64,
        /// The scale of the first operand.
        first: f32,
        /// The scale of the second operand.
        second: f32,
        /// The scale of the output.
        output: f32,
    },
}

impl Add {
    /// Builds the tables for operands `a` and `b` and output `y`, of which only scale and zero point are read.
    ///
    /// # Errors
    /// [`AddError`] if a scale is not a positive normal number, or if both operands have more than about 2^21 times the
    /// scale of the output.
    pub fn new(a: &Tensor, b: &Tensor, y: &Tensor, clamp: Clamp) -> Result<Self, AddError> {
        let sums = ExactSums::new(a, b, y)?;
        let fraction_bits = (1..=FRACTION_BITS)
            .rev()
            .find(|bits| sums.reach() <= u64::from(MAX_ENTRY.unsigned_abs() >> bits))
            .ok_or(AddError::Range {
                steps: sums.reach(),
                limit: u64::from(MAX_ENTRY.unsigned_abs() >> 1),
                first: a.scale,
                second: b.scale,
                output: y.scale,
            })?;
        let nearest = Add {
            tables: sums.nearest_entries(fraction_bits),
            fraction_bits,
            clamp,
        };
        Ok(nearest.moved(&sums.rounded(clamp)).unwrap_or(nearest))
    }

    /// Builds the tables from what the values of both operands stand for, in steps of the output, 256 each; the first has
    /// the output's zero point in it. Entries are rounded to nearest.
    ///
    /// # Errors
    /// [`AddError::Steps`] if a number is beyond about 2^29 steps, or none.
    pub fn of_steps(steps: &[Vec<f64>; 2], clamp: Clamp) -> Result<Self, AddError> {
        let all = steps.iter().flatten();
        let reach = all.fold(0.0_f64, |reach, step| reach.max(step.abs()));
        let fits = |bits: &u32| reach * f64::from(1_u32 << bits) < f64::from(MAX_ENTRY);
        let fraction_bits = (1..=FRACTION_BITS).rev().find(fits);
        let fraction_bits = fraction_bits.ok_or(AddError::Steps {
            steps: reach,
            limit: u64::from(MAX_ENTRY.unsigned_abs() >> 1),
        })?;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "it is below the largest entry"
        )]
        let entry = |step: &f64| {
            let fixed = (step * f64::from(1_u32 << fraction_bits)).round_ties_even();
            fixed as i32
        };
        let table = |steps: &Vec<f64>| steps.iter().map(entry).collect();
        Ok(Add {
            tables: [table(&steps[0]), table(&steps[1])],
            fraction_bits,
            clamp,
        })
    }

    /// Adds one pair of values.
    pub fn apply(&self, a: i8, b: i8) -> i8 {
        self.add_entries(table_index(a), table_index(b))
    }

    /// The shape of the output for operands of the shapes `x`.
    ///
    /// # Errors
    /// [`OpError`] if the shapes differ, a table is not 256 entries long, or the bits of fraction are out of range.
    pub fn output_shape(&self, x: [[usize; 3]; 2]) -> Result<[usize; 3], OpError> {
        self.tables
            .iter()
            .try_for_each(|table| check_length("addition table", 256, table.len()))?;
        if !(1..=FRACTION_BITS).contains(&self.fraction_bits) {
            return Err(OpError::FractionBits {
                given: self.fraction_bits,
                limit: FRACTION_BITS,
            });
        }
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

    /// Says how far this addition is from the exact real sum, rounded half to even, over all pairs of operands.
    ///
    /// # Errors
    /// [`AddError::Scale`] if a scale is not a positive normal number.
    pub fn difference(&self, a: &Tensor, b: &Tensor, y: &Tensor) -> Result<Difference, AddError> {
        let exact = ExactSums::new(a, b, y)?.rounded(self.clamp);
        let pairs = table_values().flat_map(|p| table_values().map(move |q| self.apply(p, q)));
        let mut difference = Difference::default();
        for steps in pairs.zip(exact).map(|(given, exact)| given.abs_diff(exact)) {
            difference.pairs += usize::from(steps > 0);
            difference.steps = difference.steps.max(steps);
        }
        Ok(difference)
    }

    fn add_entries(&self, a: usize, b: usize) -> i8 {
        let sum = i64::from(self.tables[0][a]) + i64::from(self.tables[1][b]);
        self.clamp.apply(rne_shift(sum, self.fraction_bits))
    }

    /// The same with entries moved by as little as gives `wanted` for every pair, if there are such entries.
    ///
    /// Each pair bounds the sum of two entries from below and above, so the first table and the negative of the second
    /// are the unknowns of difference constraints. Bellman and Ford's method, which corrects one unknown of each broken
    /// constraint, settles within as many passes as there are unknowns or not at all.
    fn moved(&self, wanted: &[i8]) -> Option<Add> {
        let mut add = self.clone();
        let half = 1_i64 << (self.fraction_bits - 1);
        for _ in 0..=add.tables[0].len() + add.tables[1].len() {
            let mut settled = true;
            for (a, row) in wanted.chunks_exact(add.tables[1].len()).enumerate() {
                for (b, &want) in row.iter().enumerate() {
                    let given = add.add_entries(a, b);
                    if given == want {
                        continue;
                    }
                    settled = false;
                    // The last sum that still rounds to `want`: a tie does if that is even.
                    let inside = half - i64::from(want & 1);
                    let centre = i64::from(want) << self.fraction_bits;
                    let [first, second] = &mut add.tables;
                    if given > want {
                        let sum = centre + inside;
                        first[a] = i32::try_from(sum - i64::from(second[b])).ok()?;
                    } else {
                        let sum = centre - inside;
                        second[b] = i32::try_from(sum - i64::from(first[a])).ok()?;
                    }
                }
            }
            if settled {
                return Some(add);
            }
        }
        None
    }
}
