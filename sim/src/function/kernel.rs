//! The sums of one reduction step for many pixels, by the widest vectors that the processor has.
//!
//! Two rows of the array are one step of the kernel: products of two pairs of 16-bit numbers, added, for each column. That
//! is `vpmaddwd` of AVX2 for eight columns at once. All kernels give the same bits: sums wrap at 32 bits.

/// Columns of one vector.
const LANES: usize = 8;

/// A weight tile as the kernels read it: for each eight columns and each pair of rows the weights of both rows. Columns and
/// rows that make up the last vector are zero.
#[derive(Default)]
pub(super) struct Tile {
    vectors: Vec<[[i16; 2]; LANES]>,
    cols: usize,
    pairs: usize,
}

impl Tile {
    /// Takes the bytes of a tile, `[column][row]`.
    pub(super) fn set(&mut self, bytes: &[u8], rows: usize) {
        self.cols = bytes.len() / rows;
        self.pairs = rows.div_ceil(2);
        self.vectors.clear();
        let n_vectors = self.cols.div_ceil(LANES) * self.pairs;
        self.vectors.resize(n_vectors, [[0; 2]; LANES]);
        for (column, weights) in bytes.chunks_exact(rows).enumerate() {
            let vectors = &mut self.vectors[column / LANES * self.pairs..][..self.pairs];
            for (vector, pair) in vectors.iter_mut().zip(weights.chunks(2)) {
                for (own, &weight) in vector[column % LANES].iter_mut().zip(pair) {
                    *own = i16::from(weight as i8);
                }
            }
        }
    }
}

/// What is multiplied with a tile: one word for each pixel.
pub(super) struct Words<'a> {
    /// The memory of the words.
    pub(super) bytes: &'a [u8],
    /// Where the word of each pixel starts; none for one in the padding.
    pub(super) starts: &'a [Option<usize>],
    /// The word in the padding.
    pub(super) padding: &'a [u8],
}

impl Words<'_> {
    fn word(&self, start: Option<usize>) -> &[u8] {
        match start {
            Some(start) => &self.bytes[start..][..self.padding.len()],
            None => self.padding,
        }
    }
}

/// A way to compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kernel {
    /// Plain Rust.
    Portable,
    /// AVX2, for columns in eights and words of 8, 16 or 32 bytes.
    #[cfg(target_arch = "x86_64")]
    Avx2,
}

impl Kernel {
    /// Those that this processor has, the fastest last.
    pub(super) fn all() -> Vec<Kernel> {
        let known = [
            (Kernel::Portable, true),
            #[cfg(target_arch = "x86_64")]
            (Kernel::Avx2, std::arch::is_x86_feature_detected!("avx2")),
        ];
        let has = known.into_iter().filter(|(_, has)| *has);
        has.map(|(kernel, _)| kernel).collect()
    }

    /// Adds to the sums of each pixel, `[pixel][column]`, the product of its word with the tile.
    pub(super) fn multiply(self, sums: &mut [i32], words: &Words, tile: &Tile) {
        match self {
            Kernel::Portable => portable(sums, words, tile),
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2 => match (words.padding.len(), tile.cols % 8) {
                #[expect(
                    unsafe_code,
                    reason = "the processor has AVX2, or the kernel is not listed"
                )]
                (8, 0) => unsafe { avx2::multiply::<8>(sums, words, tile) },
                #[expect(
                    unsafe_code,
                    reason = "the processor has AVX2, or the kernel is not listed"
                )]
                (16, 0) => unsafe { avx2::multiply::<16>(sums, words, tile) },
                #[expect(
                    unsafe_code,
                    reason = "the processor has AVX2, or the kernel is not listed"
                )]
                (32, 0) => unsafe { avx2::multiply::<32>(sums, words, tile) },
                _ => portable(sums, words, tile),
            },
        }
    }
}

fn portable(sums: &mut [i32], words: &Words, tile: &Tile) {
    for (sums, &start) in sums.chunks_exact_mut(tile.cols).zip(words.starts) {
        let word = words.word(start);
        let groups = tile.vectors.chunks_exact(tile.pairs);
        for (sums, vectors) in sums.chunks_mut(LANES).zip(groups) {
            for (pair, vector) in word.chunks(2).zip(vectors) {
                let first = i32::from(pair[0] as i8);
                let second = pair.get(1).map_or(0, |&value| i32::from(value as i8));
                for (sum, &[a, b]) in sums.iter_mut().zip(vector) {
                    *sum = sum.wrapping_add(first * i32::from(a) + second * i32::from(b));
                }
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use super::{LANES, Tile, Words};
    use std::arch::x86_64::{
        __m256i, _mm256_add_epi32, _mm256_cvtepi8_epi16, _mm256_madd_epi16, _mm256_set1_epi32,
    };

    /// For words of `BYTES`, at most 32, and columns in eights.
    #[target_feature(enable = "avx2")]
    pub(super) fn multiply<const BYTES: usize>(sums: &mut [i32], words: &Words, tile: &Tile) {
        for (sums, &start) in sums.chunks_exact_mut(tile.cols).zip(words.starts) {
            let pairs = pairs::<BYTES>(words.word(start));
            let (sums, _) = sums.as_chunks_mut::<LANES>();
            for (sums, vectors) in sums.iter_mut().zip(tile.vectors.chunks_exact(BYTES / 2)) {
                let mut sum: __m256i = bytemuck::cast(*sums);
                for (&weights, &pair) in vectors.iter().zip(&pairs[..BYTES / 2]) {
                    let products =
                        _mm256_madd_epi16(_mm256_set1_epi32(pair), bytemuck::cast(weights));
                    sum = _mm256_add_epi32(sum, products);
                }
                *sums = bytemuck::cast(sum);
            }
        }
    }

    /// The bytes of a word as pairs of 16-bit numbers.
    #[target_feature(enable = "avx2")]
    fn pairs<const BYTES: usize>(word: &[u8]) -> [i32; 16] {
        let mut pairs = [0; 16];
        let word: [u8; BYTES] = taken(word);
        for (bytes, pairs) in word.chunks(16).zip(pairs.chunks_exact_mut(8)) {
            let mut sixteen = [0_u8; 16];
            sixteen[..bytes.len()].copy_from_slice(bytes);
            let wide = _mm256_cvtepi8_epi16(bytemuck::cast(sixteen));
            pairs.copy_from_slice(&bytemuck::cast::<__m256i, [i32; 8]>(wide));
        }
        pairs
    }

    /// The first `N` of some.
    fn taken<T: Copy, const N: usize>(of: &[T]) -> [T; N] {
        *of.first_chunk().expect("there are as many")
    }
}

#[cfg(test)]
mod tests {
    use super::{Kernel, Tile, Words};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_kernel_gives_the_sums_of_the_definition(
            rows in prop_oneof![Just(8_usize), Just(16), Just(32), 1_usize..40],
            cols in prop_oneof![Just(8_usize), Just(16), Just(64), 1_usize..20],
            starts in proptest::collection::vec(proptest::option::of(0_usize..100), 1..9),
            bytes in proptest::collection::vec(any::<u8>(), 3000),
            before in any::<i32>(),
        ) {
            let weights = &bytes[..rows * cols];
            let padding = vec![bytes[2999]; rows];
            let words = Words { bytes: &bytes, starts: &starts, padding: &padding };
            let mut tile = Tile::default();
            tile.set(weights, rows);
            let mut expected = Vec::new();
            for &start in &starts {
                let word = start.map_or(&padding[..], |start| &bytes[start..][..rows]);
                for column in weights.chunks_exact(rows) {
                    let products = word.iter().zip(column);
                    let sum = products.map(|(&v, &w)| i32::from(v as i8) * i32::from(w as i8)).sum();
                    expected.push(before.wrapping_add(sum));
                }
            }
            for kernel in Kernel::all() {
                let mut sums = vec![before; starts.len() * cols];
                kernel.multiply(&mut sums, &words, &tile);
                prop_assert_eq!(&sums, &expected, "{:?}", kernel);
            }
        }
    }
}
