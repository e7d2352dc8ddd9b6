//! The sums of all operand pairs as real numbers.

use super::AddError;
use crate::fit::Fit;
use crate::network::Tensor;
use crate::numerics::Clamp;
use crate::op::table_values;

/// The smallest and largest power of two that an operand's scale may have beside that of the output.
///
/// A smaller operand only says on which side of a tie the sum lies: a sum that is no tie without it is at least 2^-36
/// away from one, and such an operand is below 2^-37. One value of a larger operand is more than another operand that
/// the tables can hold, so that it saturates. So exponents beyond these are held, and all numbers here fit 128 bits.
const EXPONENTS: [i32; 2] = [-46, 32];

/// Both operands in the order of a table, over one denominator: `(first[a] + second[b]) / step` is the sum in steps of
/// the output, and its zero point is in `first`.
pub(super) struct ExactSums {
    first: Vec<i128>,
    second: Vec<i128>,
    step: i128,
}

impl ExactSums {
    pub(super) fn new(a: &Tensor, b: &Tensor, y: &Tensor) -> Result<Self, AddError> {
        let [a_scale, b_scale, y_scale] = [a, b, y].map(|tensor| parts(tensor.scale));
        let (mantissa, exponent) = y_scale?;
        let step = mantissa << -EXPONENTS[0];
        let operand = |x: &Tensor, (mantissa, x_exponent): (i128, i32), offset: i128| {
            let held = (x_exponent - exponent).clamp(EXPONENTS[0], EXPONENTS[1]);
            let scale = mantissa << (held - EXPONENTS[0]);
            let value = |value| (i128::from(value) - i128::from(x.zero_point)) * scale + offset;
            table_values().map(value).collect()
        };
        Ok(ExactSums {
            first: operand(a, a_scale?, i128::from(y.zero_point) * step),
            second: operand(b, b_scale?, 0),
            step,
        })
    }

    /// The steps of the output that entries have to reach: an operand beyond all that the other one could bring back
    /// into the 256 steps of the output saturates wherever it is held.
    pub(super) fn reach(&self) -> u64 {
        u64::try_from(self.largest() / self.step + 1).expect("exponents are held")
    }

    /// The entries that are nearest to the operands.
    pub(super) fn nearest_entries(&self, fraction_bits: u32) -> [Vec<i32>; 2] {
        let largest = self.largest();
        [&self.first, &self.second].map(|values| {
            let entry = |value: &i128| {
                let held = *value.clamp(&-largest, &largest);
                let entry = rne_quotient(held << fraction_bits, self.step);
                i32::try_from(entry).expect("the bits of fraction are such that all entries fit")
            };
            values.iter().map(entry).collect()
        })
    }

    /// What each pair of operands gives, the first one slowest: the sum rounded half to even, in the range of `clamp`.
    pub(super) fn rounded(&self, clamp: Clamp) -> Vec<i8> {
        let mut results = Vec::with_capacity(self.first.len() * self.second.len());
        for a in &self.first {
            // The second operand ascends, and the result with it.
            let mut result = clamp.lo;
            for b in &self.second {
                while result < clamp.hi && self.is_above(a + b, result) {
                    result += 1;
                }
                results.push(result);
            }
        }
        results
    }

    /// Whether `sum` rounds to more than `result`; a tie goes to the even neighbour.
    fn is_above(&self, sum: i128, result: i8) -> bool {
        let (twice, border) = (2 * sum, (2 * i128::from(result) + 1) * self.step);
        twice > border || (twice == border && result & 1 == 1)
    }

    fn largest(&self) -> i128 {
        let [a, b] = [&self.first, &self.second]
            .map(|values| values.iter().map(|value| value.abs()).max().unwrap_or(0));
        a.max(b).min(a.min(b) + 256 * self.step)
    }
}

/// A scale as `mantissa * 2^exponent`, up to a constant power of two.
fn parts(scale: f32) -> Result<(i128, i32), AddError> {
    if !(scale.is_normal() && scale > 0.0) {
        return Err(AddError::Scale { scale });
    }
    let bits = scale.to_bits();
    let mantissa = i128::from(bits & 0x7f_ffff | 0x80_0000);
    Ok((mantissa, (bits >> 23).fit::<i32>()))
}

/// `numerator / denominator` rounded half to even, for a positive denominator.
fn rne_quotient(numerator: i128, denominator: i128) -> i128 {
    let floor = numerator.div_euclid(denominator);
    let twice = 2 * numerator.rem_euclid(denominator);
    let up = twice > denominator || (twice == denominator && floor & 1 == 1);
    floor + i128::from(up)
}
