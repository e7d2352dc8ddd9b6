//! From sums to bytes, for one tile of columns, by the widest vectors that the processor has.
//!
//! [`Requantise::apply`](ir::numerics::Requantise::apply) is the definition, in integers. It is bit for bit a product of two
//! floats that is rounded half to even, of which a processor computes many at once.

use ir::numerics::{Clamp, ParameterWord};

/// The parameters of one tile of columns.
pub(super) struct Channels {
    words: Vec<ParameterWord>,
    biases: Vec<i32>,
    /// Mantissa and shift as one float; zero where no sum gives another value than zero.
    scales: Vec<f32>,
    has_avx2: bool,
}

impl Channels {
    pub(super) fn of(words: Vec<ParameterWord>) -> Channels {
        let scale = |word: &ParameterWord| {
            let exponent = 127_u32.saturating_sub(word.scale.shift.into());
            word.scale.mantissa as f32 * f32::from_bits(exponent << 23)
        };
        Channels {
            biases: words.iter().map(|word| word.bias).collect(),
            scales: words.iter().map(scale).collect(),
            words,
            #[cfg(target_arch = "x86_64")]
            has_avx2: std::arch::is_x86_feature_detected!("avx2"),
            #[cfg(not(target_arch = "x86_64"))]
            has_avx2: false,
        }
    }

    /// Makes a byte of the sum of each column.
    pub(super) fn requantise(&self, bytes: &mut [u8], sums: &[i32], zero_point: i8, clamp: Clamp) {
        #[cfg(target_arch = "x86_64")]
        if self.has_avx2 {
            #[expect(unsafe_code, reason = "the processor has AVX2")]
            return unsafe { avx2::requantise(self, bytes, sums, zero_point, clamp) };
        }
        for ((byte, &sum), word) in bytes.iter_mut().zip(sums).zip(&self.words) {
            let sum = sum.wrapping_add(word.bias);
            *byte = word.scale.apply(sum, zero_point, clamp) as u8;
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use super::Channels;
    use ir::numerics::Clamp;

    /// What lies beyond it is at an end of the range, with any zero point.
    const FAR: f32 = 1024.0;

    #[target_feature(enable = "avx2")]
    pub(super) fn requantise(
        channels: &Channels,
        bytes: &mut [u8],
        sums: &[i32],
        zero_point: i8,
        clamp: Clamp,
    ) {
        let [zero_point, lo, hi] = [zero_point, clamp.lo, clamp.hi].map(i32::from);
        let parameters = channels.biases.iter().zip(&channels.scales);
        for ((byte, &sum), (&bias, &scale)) in bytes.iter_mut().zip(sums).zip(parameters) {
            let product = sum.wrapping_add(bias) as f32 * scale;
            let steps = product.round_ties_even().clamp(-FAR, FAR) as i32;
            *byte = (steps + zero_point).max(lo).min(hi) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Channels;
    use ir::numerics::{Clamp, ParameterWord, Requantise};
    use proptest::prelude::*;

    fn sum() -> impl Strategy<Value = i32> {
        prop_oneof![any::<i32>(), -1000..1000, Just(i32::MIN), Just(i32::MAX)]
    }

    fn word() -> impl Strategy<Value = ParameterWord> {
        let mantissa = prop_oneof![0..1_u32 << 24, 1_u32 << 23..1 << 24, Just(1 << 23), Just(0)];
        let shift = prop_oneof![any::<u8>(), 0..64_u8, 20..40_u8];
        (sum(), mantissa, shift).prop_map(|(bias, mantissa, shift)| ParameterWord {
            bias,
            scale: Requantise { mantissa, shift },
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]
        #[test]
        fn vectors_give_the_bytes_of_the_definition(
            columns in proptest::collection::vec((sum(), word()), 1..40),
            zero_point in any::<i8>(),
            ends in any::<[i8; 2]>(),
        ) {
            let (sums, words): (Vec<i32>, Vec<ParameterWord>) = columns.into_iter().unzip();
            let clamp = Clamp { lo: ends[0].min(ends[1]), hi: ends[0].max(ends[1]) };
            let expected: Vec<u8> = sums
                .iter()
                .zip(&words)
                .map(|(sum, word)| word.scale.apply(sum.wrapping_add(word.bias), zero_point, clamp) as u8)
                .collect();
            let mut bytes = vec![0; sums.len()];
            Channels::of(words).requantise(&mut bytes, &sums, zero_point, clamp);
            prop_assert_eq!(bytes, expected);
        }
    }
}
