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
    #[cfg(target_arch = "x86_64")]
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
        }
    }

    /// Makes a byte of the sum of each column.
    pub(super) fn requantise(&self, bytes: &mut [u8], sums: &[i32], zero_point: i8, clamp: Clamp) {
        let first = self.by_vectors(bytes, sums, zero_point, clamp);
        let columns = bytes.iter_mut().zip(sums).zip(&self.words).skip(first);
        for ((byte, &sum), word) in columns {
            let sum = sum.wrapping_add(word.bias);
            *byte = word.scale.apply(sum, zero_point, clamp) as u8;
        }
    }

    /// Does what vectors can; gives the first column that is left.
    #[cfg(target_arch = "x86_64")]
    fn by_vectors(&self, bytes: &mut [u8], sums: &[i32], zero_point: i8, clamp: Clamp) -> usize {
        if !self.has_avx2 {
            return 0;
        }
        #[expect(unsafe_code, reason = "the processor has AVX2")]
        unsafe {
            avx2::requantise(self, bytes, sums, zero_point, clamp);
        }
        sums.len() - sums.len() % avx2::LANES
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn by_vectors(&self, _: &mut [u8], _: &[i32], _: i8, _: Clamp) -> usize {
        0
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use super::Channels;
    use ir::numerics::Clamp;
    use std::arch::x86_64::{
        __m256i, _mm256_add_epi32, _mm256_cvtepi32_ps, _mm256_cvtps_epi32, _mm256_max_epi32,
        _mm256_max_ps, _mm256_min_epi32, _mm256_min_ps, _mm256_mul_ps, _mm256_set1_epi32,
        _mm256_set1_ps,
    };

    /// Columns of one vector.
    pub(super) const LANES: usize = 8;
    /// What lies beyond it is at an end of the range, with any zero point.
    const FAR: f32 = 1024.0;

    /// For the columns that fill vectors.
    #[target_feature(enable = "avx2")]
    pub(super) fn requantise(
        channels: &Channels,
        bytes: &mut [u8],
        sums: &[i32],
        zero_point: i8,
        clamp: Clamp,
    ) {
        let [zero_point, lo, hi] =
            [zero_point, clamp.lo, clamp.hi].map(|value| _mm256_set1_epi32(value.into()));
        let [far, near] = [FAR, -FAR].map(|end| _mm256_set1_ps(end));
        let (bytes, _) = bytes.as_chunks_mut::<LANES>();
        let (sums, _) = sums.as_chunks::<LANES>();
        let (biases, _) = channels.biases.as_chunks::<LANES>();
        let (scales, _) = channels.scales.as_chunks::<LANES>();
        for ((bytes, &sums), (&biases, &scales)) in
            bytes.iter_mut().zip(sums).zip(biases.iter().zip(scales))
        {
            let sums = _mm256_add_epi32(bytemuck::cast(sums), bytemuck::cast(biases));
            let steps = _mm256_mul_ps(_mm256_cvtepi32_ps(sums), bytemuck::cast(scales));
            // It rounds half to even.
            let steps = _mm256_cvtps_epi32(_mm256_min_ps(_mm256_max_ps(steps, near), far));
            let codes: __m256i = _mm256_add_epi32(steps, zero_point);
            let codes: [i32; LANES] =
                bytemuck::cast(_mm256_min_epi32(_mm256_max_epi32(codes, lo), hi));
            *bytes = codes.map(|code| code as u8);
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
