//! Requantisation, the one place where an int32 sum becomes an int8 activation.
//!
//! The rule is `y = clamp(rint(f32(acc) * scale) + zero_point)`, round half to even, as onnxruntime's fused
//! integer operators compute it. It is written twice: [`requantise_f32`] says it in f32, and [`Requantise`] says
//! it with integers only, as the hardware does (24 significant bits, one 24x24 multiply, two roundings).
//! A property test holds the two together, near ties and up to the ends of int32.
//!
//! Deliberately not here: TFLite's and 16-bit multipliers, which do not agree with onnxruntime.

use crate::fit::Fit;
use serde::{Deserialize, Serialize};

/// The number of significant bits of a [`Requantise`] mantissa, the implicit one included.
pub const MANTISSA_BITS: u32 = 24;
/// The largest shift that the 8-bit field of the parameter word may hold.
pub const MAX_SHIFT: u8 = 63;
/// The bits of fraction of fixed-point table entries, of which those of a [`crate::op::Add`] may have fewer.
pub const FRACTION_BITS: u32 = 20;

/// The closed range of int8 values that an operator may produce.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clamp {
    /// The smallest value.
    pub lo: i8,
    /// The largest value.
    pub hi: i8,
}

impl Clamp {
    /// The whole int8 range, which only saturates.
    pub const FULL: Clamp = Clamp {
        lo: i8::MIN,
        hi: i8::MAX,
    };

    /// Refuses an empty range.
    ///
    /// # Errors
    /// [`ClampError`] if the smallest value is above the largest.
    pub fn check(self) -> Result<(), ClampError> {
        if self.lo <= self.hi {
            return Ok(());
        }
        Err(ClampError(self))
    }

    /// Brings `value` into the range, which must not be empty.
    pub fn apply(self, value: i64) -> i8 {
        value
            .clamp(i64::from(self.lo), i64::from(self.hi))
            .fit::<i8>()
    }
}

/// A range without a value: a bug of whoever built the operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the range of the output is empty: its smallest value is {}, its largest {}", .0.lo, .0.hi)]
pub struct ClampError(pub Clamp);

/// A scale that no parameter word can hold.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error, miette::Diagnostic)]
#[error("requantise scale {scale:e} is outside the range of the parameter word: 0 <= scale < 2^24")]
#[diagnostic(
    code(numerics::scale),
    help(
        "check the scales of the operator: input scale * weight scale / output scale must be finite and below 2^24"
    )
)]
pub struct ScaleError {
    /// The scale, an int32 sum to an int8 step.
    pub scale: f32,
}

/// A requantise scale as the hardware holds it: `mantissa * 2^-shift`.
///
/// `mantissa` has its leading one at bit 23, or is 0 for scales so small (below 2^-40) that every int32 sum
/// rounds to 0. `shift` is 0 to 63.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requantise {
    /// The 24 significant bits of the scale, the implicit one included.
    pub mantissa: u32,
    /// The number of bits to shift the product right.
    pub shift: u8,
}

/// Bias and scale of an output channel, as the parameter memory holds them: bias in bytes 0 to 3, mantissa in 4 to 6,
/// shift in 7, little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParameterWord {
    /// What is added to the sum.
    pub bias: i32,
    /// What it is multiplied by then.
    pub scale: Requantise,
}

impl ParameterWord {
    /// Its size.
    pub const BYTES: usize = 8;

    /// The bytes.
    pub fn to_bytes(self) -> [u8; ParameterWord::BYTES] {
        let [b0, b1, b2, b3] = self.bias.to_le_bytes();
        let [m0, m1, m2, _] = self.scale.mantissa.to_le_bytes();
        [b0, b1, b2, b3, m0, m1, m2, self.scale.shift]
    }

    /// The inverse of [`ParameterWord::to_bytes`].
    pub fn from_bytes(bytes: [u8; ParameterWord::BYTES]) -> ParameterWord {
        let [b0, b1, b2, b3, m0, m1, m2, shift] = bytes;
        ParameterWord {
            bias: i32::from_le_bytes([b0, b1, b2, b3]),
            scale: Requantise {
                mantissa: u32::from_le_bytes([m0, m1, m2, 0]),
                shift,
            },
        }
    }
}

impl Requantise {
    /// Splits `scale` into mantissa and shift, exactly.
    ///
    /// # Errors
    /// [`ScaleError`] if `scale` is negative, not finite, or 2^24 and above.
    pub fn from_scale(scale: f32) -> Result<Self, ScaleError> {
        if !(0.0..16_777_216.0).contains(&scale) {
            return Err(ScaleError { scale });
        }
        let bits = scale.to_bits();
        let shift = 150 - ((bits >> 23) & 0xff).fit::<i32>();
        if shift > i32::from(MAX_SHIFT) {
            return Ok(Requantise {
                mantissa: 0,
                shift: 0,
            });
        }
        Ok(Requantise {
            mantissa: (bits & 0x7f_ffff) | 0x80_0000,
            shift: shift.fit::<u8>(),
        })
    }

    /// Requantises `acc` with integer arithmetic only, bit for bit as [`requantise_f32`].
    pub fn apply(self, acc: i32, zero_point: i8, clamp: Clamp) -> i8 {
        let (acc_mantissa, acc_exponent) = round_to_mantissa(u64::from(acc.unsigned_abs()));
        let (product, product_exponent) =
            round_to_mantissa(acc_mantissa * u64::from(self.mantissa));
        let exponent =
            acc_exponent.fit::<i32>() + product_exponent.fit::<i32>() - i32::from(self.shift);
        let magnitude = if exponent >= 0 {
            // The product has at most 25 bits, and anything above 2^8 saturates: 30 places are enough to show it.
            (product << exponent.min(30)).fit::<i64>()
        } else {
            rne_shift(product.fit::<i64>(), exponent.unsigned_abs())
        };
        let rounded = if acc < 0 { -magnitude } else { magnitude };
        clamp.apply(rounded + i64::from(zero_point))
    }
}

/// Requantises `acc`: `clamp(rint(f32(acc) * scale) + zero_point)`, round half to even.
///
/// # Source
/// onnxruntime, `MlasRequantizeOutput` (`core/mlas/lib/quantize.cpp`).
#[expect(
    clippy::cast_possible_truncation,
    reason = "beyond int64 it stays at the end, and is clamped"
)]
pub fn requantise_f32(acc: i32, scale: f32, zero_point: i8, clamp: Clamp) -> i8 {
    let rounded = (acc as f32 * scale).round_ties_even();
    clamp.apply((rounded as i64).saturating_add(i64::from(zero_point)))
}

/// Quantises one float: `clamp(rint(value / scale) + zero_point)` over int8, as `QuantizeLinear`.
///
/// Not-a-number becomes `zero_point`.
#[expect(
    clippy::cast_possible_truncation,
    reason = "beyond int64 it stays at the end, and is clamped"
)]
pub fn quantise(value: f32, scale: f32, zero_point: i8) -> i8 {
    let rounded = (value / scale).round_ties_even();
    Clamp::FULL.apply((rounded as i64).saturating_add(i64::from(zero_point)))
}

/// Gives the float that `value` stands for, as `DequantizeLinear`.
pub fn dequantise(value: i8, scale: f32, zero_point: i8) -> f32 {
    f32::from(i16::from(value) - i16::from(zero_point)) * scale
}

/// Shifts `value` right by `n_bits` and rounds half to even.
pub fn rne_shift(value: i64, n_bits: u32) -> i64 {
    if n_bits == 0 {
        return value;
    }
    if n_bits > 62 {
        return 0;
    }
    let floor = value >> n_bits;
    let rest = value - (floor << n_bits);
    let half = 1_i64 << (n_bits - 1);
    let up = rest > half || (rest == half && floor & 1 == 1);
    floor + i64::from(up)
}

/// Rounds a sum of products to an integer once, half to even, whatever the sizes of its terms.
///
/// Each term is a value of at most 32 bits with its sign and a scale that is finite and not negative.
pub fn round_sum<const N: usize>(terms: [(i64, f32); N]) -> i64 {
    // A product is `value * mantissa * 2^exponent`, with at most 57 bits before the exponent.
    let products = terms.map(|(value, scale)| {
        let bits = scale.to_bits();
        let exponent = ((bits >> 23) & 0xff).fit::<i32>();
        let mantissa = i128::from(bits & 0x7f_ffff) | i128::from(exponent > 0) << 23;
        (i128::from(value) * mantissa, exponent.max(1) - 150)
    });
    let used = products.iter().filter(|(product, _)| *product != 0);
    let Some(highest) = used.map(|(_, exponent)| *exponent).max() else {
        return 0;
    };
    // Below 64 places under the last bit of the largest term, only the sign of what is there can matter.
    let lowest = highest - 64;
    let aligned = |&(product, exponent): &(i128, i32)| {
        let places = exponent - lowest;
        if product == 0 {
            0
        } else if places >= 0 {
            product << places
        } else {
            let floor = product >> places.unsigned_abs().min(127);
            // An odd last bit stands for whatever was cut off.
            floor | i128::from(floor << places.unsigned_abs().min(64) != product)
        }
    };
    let sum: i128 = products.iter().map(aligned).sum();
    if lowest >= 0 {
        // Far beyond every code; what matters is the side.
        return if sum > 0 {
            i64::MAX
        } else {
            sum.signum() as i64 * i64::MAX
        };
    }
    let n_bits = lowest.unsigned_abs();
    if n_bits > 126 {
        return 0;
    }
    let floor = sum >> n_bits;
    let (rest, half) = (sum - (floor << n_bits), 1_i128 << (n_bits - 1));
    let up = rest > half || (rest == half && floor & 1 == 1);
    i64::try_from(floor + i128::from(up)).unwrap_or(if floor > 0 { i64::MAX } else { i64::MIN })
}

/// Rounds `value` half to even to 24 significant bits and gives them with the number of bits dropped.
///
/// A carry may leave 2^24 itself, which is still one significant bit.
fn round_to_mantissa(value: u64) -> (u64, u32) {
    let n_bits = u64::BITS - value.leading_zeros();
    let n_dropped = n_bits.saturating_sub(MANTISSA_BITS);
    (rne_shift(value.fit(), n_dropped).fit(), n_dropped)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(acc: i32, scale: f32, zero_point: i8) {
        let integer = Requantise::from_scale(scale).unwrap();
        let given = integer.apply(acc, zero_point, Clamp::FULL);
        let expected = requantise_f32(acc, scale, zero_point, Clamp::FULL);
        assert_eq!(
            given, expected,
            "{acc} * {scale:e} + {zero_point}, {integer:?}"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn both_forms_agree(acc: i32, mantissa in 0_u32..1 << 23, exponent in 1_u32..151, zero_point: i8) {
            check(acc, f32::from_bits(exponent << 23 | mantissa), zero_point);
        }

        #[test]
        fn both_forms_agree_where_the_result_is_small(acc in -5_000_000_i32..5_000_000, steps in 0.1_f32..200.0, zero_point: i8) {
            check(acc, steps / acc.unsigned_abs().max(1) as f32, zero_point);
        }

        #[test]
        fn both_forms_agree_near_ties(half in 0_i32..300, shift in 0_u32..24, off in -2_i32..=2, ulps in -2_i32..=2) {
            // acc * 2^-(shift + 1) is a half, give or take the last bit of either factor.
            let acc = (2 * half + 1) << shift;
            let scale = f32::from_bits((0.5 / (1_u32 << shift) as f32).to_bits().wrapping_add_signed(ulps));
            for acc in [acc.saturating_add(off), (-acc).saturating_sub(off)] {
                check(acc, scale, 0);
                check(acc, scale, -7);
            }
        }

        #[test]
        fn both_forms_agree_where_the_sum_has_more_than_24_bits(low in 0_i32..1 << 10, high in 0_i32..1 << 21, scale in 1e-8_f32..1e-5) {
            check((high << 10) | low, scale, 0);
            check(-((high << 10) | low), scale, 0);
        }
    }

    #[test]
    fn both_forms_agree_at_the_ends() {
        for acc in [
            i32::MIN,
            i32::MIN + 1,
            -1,
            0,
            1,
            1 << 24,
            (1 << 24) + 1,
            i32::MAX - 1,
            i32::MAX,
        ] {
            for scale in [
                0.0,
                f32::MIN_POSITIVE,
                1e-13,
                2_f32.powi(-40),
                2_f32.powi(-32),
                0.1,
                1.0,
                16_777_215.0,
            ] {
                check(acc, scale, 127);
                check(acc, scale, -128);
            }
        }
    }

    #[test]
    fn scales_outside_the_parameter_word_are_refused() {
        for scale in [-1.0, f32::NAN, f32::INFINITY, 16_777_216.0] {
            assert!(Requantise::from_scale(scale).is_err(), "{scale}");
        }
        let word = Requantise::from_scale(0.75).unwrap();
        assert_eq!(
            word,
            Requantise {
                mantissa: 0xc0_0000,
                shift: 24
            }
        );
        assert_eq!(Requantise::from_scale(1e-13).unwrap().mantissa, 0);
    }

    #[test]
    fn halves_round_to_even() {
        let rounded = |value: i64| rne_shift(value, 2);
        assert_eq!([2, 6, 10, -2, -6, -10].map(rounded), [0, 2, 2, 0, -2, -2]);
        assert_eq!([1, 3, 5, 7, -1, -3].map(rounded), [0, 1, 1, 2, 0, -1]);
        assert_eq!(
            [
                quantise(2.5, 1.0, 0),
                quantise(3.5, 1.0, 0),
                quantise(1e30, 1.0, 0)
            ],
            [2, 4, 127]
        );
        assert_eq!(quantise(f32::NAN, 1.0, 9), 9);
    }
}
