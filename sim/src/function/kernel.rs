//! The sums of one reduction step for many pixels, by the widest vectors that the processor has.
//!
//! All kernels give the same bits: sums wrap at 32 bits. AVX2 takes two rows of the array at once, as products of two pairs
//! of 16-bit numbers for each of eight columns (`vpmaddwd`). VNNI takes four rows at once, as products of four pairs of
//! bytes for each of sixteen columns (`vpdpbusd`); the bytes of one side have no sign there, so activations are 128
//! larger, and 128 times the sum of the weights is taken off again.

/// A way to compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kernel {
    /// Plain Rust.
    Portable,
    /// AVX2, for columns in eights and words of 8, 16 or 32 bytes.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512 VNNI, for columns in sixteens and words of 8, 16 or 32 bytes.
    #[cfg(target_arch = "x86_64")]
    Vnni,
}

impl Kernel {
    /// Those that this processor has, the fastest last.
    pub(super) fn all() -> Vec<Kernel> {
        let known = [
            (Kernel::Portable, true),
            #[cfg(target_arch = "x86_64")]
            (Kernel::Avx2, std::arch::is_x86_feature_detected!("avx2")),
            #[cfg(target_arch = "x86_64")]
            (
                Kernel::Vnni,
                std::arch::is_x86_feature_detected!("avx512f")
                    && std::arch::is_x86_feature_detected!("avx512vnni"),
            ),
        ];
        let has = known.into_iter().filter(|(_, has)| *has);
        has.map(|(kernel, _)| kernel).collect()
    }

    /// Whether it computes tiles of this size.
    pub(super) fn fits(self, rows: usize, cols: usize) -> bool {
        match self {
            Kernel::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2 => [8, 16, 32].contains(&rows) && cols.is_multiple_of(avx2::LANES),
            #[cfg(target_arch = "x86_64")]
            Kernel::Vnni => [8, 16, 32].contains(&rows) && cols.is_multiple_of(vnni::LANES),
        }
    }
}

/// A weight tile as one of the kernels reads it.
#[derive(Clone)]
pub(super) enum Tile {
    /// As it lies in memory, `[column][row]`.
    Plain { weights: Vec<i8>, rows: usize },
    #[cfg(target_arch = "x86_64")]
    Pairs(avx2::Pairs),
    #[cfg(target_arch = "x86_64")]
    Quads(vnni::Quads),
}

impl Tile {
    /// A tile of zeros for `kernel`, which it must fit.
    pub(super) fn new(kernel: Kernel, rows: usize, cols: usize) -> Tile {
        match kernel {
            Kernel::Portable => Tile::Plain {
                weights: vec![0; rows * cols],
                rows,
            },
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2 => Tile::Pairs(avx2::Pairs::new(rows, cols)),
            #[cfg(target_arch = "x86_64")]
            Kernel::Vnni => Tile::Quads(vnni::Quads::new(rows, cols)),
        }
    }

    /// Takes the bytes of a tile of the same size, `[column][row]`.
    pub(super) fn set(&mut self, bytes: &[u8]) {
        match self {
            Tile::Plain { weights, .. } => weights.copy_from_slice(bytemuck::cast_slice(bytes)),
            #[cfg(target_arch = "x86_64")]
            Tile::Pairs(tile) => tile.set(bytes),
            #[cfg(target_arch = "x86_64")]
            Tile::Quads(tile) => tile.set(bytes),
        }
    }

    /// Adds to the sums of each pixel of a line, `[pixel][column]`, the product of its word with the tile.
    #[expect(
        unsafe_code,
        reason = "a tile of vectors is made by a kernel that the processor has"
    )]
    pub(super) fn multiply(&self, sums: &mut [i32], line: Line) {
        match self {
            Tile::Plain { weights, rows } => portable(sums, line, weights, *rows),
            #[cfg(target_arch = "x86_64")]
            Tile::Pairs(tile) => match tile.rows() {
                8 => unsafe { tile.multiply::<8>(sums, line) },
                16 => unsafe { tile.multiply::<16>(sums, line) },
                _ => unsafe { tile.multiply::<32>(sums, line) },
            },
            #[cfg(target_arch = "x86_64")]
            Tile::Quads(tile) => match tile.rows() {
                8 => unsafe { tile.multiply::<8>(sums, line) },
                16 => unsafe { tile.multiply::<16>(sums, line) },
                _ => unsafe { tile.multiply::<32>(sums, line) },
            },
        }
    }
}

/// What is multiplied with a tile: words that lie at equal distances.
#[derive(Clone, Copy)]
pub(super) struct Line<'a> {
    /// The memory of the words.
    pub(super) bytes: &'a [u8],
    /// Where the first one starts.
    pub(super) start: usize,
    /// From one to the next, in bytes.
    pub(super) step: isize,
}

impl Line<'_> {
    /// The first `rows` bytes of word `nth`.
    fn word(&self, nth: usize, rows: usize) -> &[u8] {
        let start = self.start.wrapping_add_signed(nth as isize * self.step);
        &self.bytes[start..][..rows]
    }

    /// Word `nth`, of `N` bytes.
    #[cfg(target_arch = "x86_64")]
    fn array<const N: usize>(&self, nth: usize) -> [u8; N] {
        *self.word(nth, N).first_chunk().expect("it has as many")
    }
}

fn portable(sums: &mut [i32], line: Line, weights: &[i8], rows: usize) {
    let cols = weights.len() / rows;
    for (nth, sums) in sums.chunks_exact_mut(cols).enumerate() {
        let word = line.word(nth, rows);
        for (sum, weights) in sums.iter_mut().zip(weights.chunks_exact(rows)) {
            let products = word
                .iter()
                .zip(weights)
                .map(|(&value, &weight)| i32::from(value as i8) * i32::from(weight));
            *sum = sum.wrapping_add(products.sum());
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use super::Line;
    use std::arch::x86_64::{
        __m256i, _mm256_add_epi32, _mm256_cvtepi8_epi16, _mm256_madd_epi16, _mm256_set1_epi32,
    };

    /// Columns of one vector.
    pub(super) const LANES: usize = 8;

    /// For each eight columns and each pair of rows the weights of both rows.
    #[derive(Clone)]
    pub(crate) struct Pairs {
        vectors: Vec<[[i16; 2]; LANES]>,
        cols: usize,
    }

    impl Pairs {
        pub(super) fn new(rows: usize, cols: usize) -> Pairs {
            Pairs {
                vectors: vec![[[0; 2]; LANES]; cols / LANES * rows / 2],
                cols,
            }
        }

        pub(super) fn rows(&self) -> usize {
            2 * self.vectors.len() * LANES / self.cols
        }

        pub(super) fn set(&mut self, bytes: &[u8]) {
            let rows = self.rows();
            for (column, weights) in bytes.chunks_exact(rows).enumerate() {
                let vectors = &mut self.vectors[column / LANES * rows / 2..][..rows / 2];
                let (weights, _) = weights.as_chunks::<2>();
                for (vector, pair) in vectors.iter_mut().zip(weights) {
                    vector[column % LANES] = pair.map(|weight| i16::from(weight as i8));
                }
            }
        }

        #[target_feature(enable = "avx2")]
        pub(super) fn multiply<const ROWS: usize>(&self, sums: &mut [i32], line: Line) {
            for (nth, sums) in sums.chunks_exact_mut(self.cols).enumerate() {
                let pairs = pairs::<ROWS>(line.array(nth));
                let (sums, _) = sums.as_chunks_mut::<LANES>();
                for (sums, vectors) in sums.iter_mut().zip(self.vectors.chunks_exact(ROWS / 2)) {
                    let mut sum: __m256i = bytemuck::cast(*sums);
                    for (&weights, &pair) in vectors.iter().zip(&pairs[..ROWS / 2]) {
                        let products =
                            _mm256_madd_epi16(_mm256_set1_epi32(pair), bytemuck::cast(weights));
                        sum = _mm256_add_epi32(sum, products);
                    }
                    *sums = bytemuck::cast(sum);
                }
            }
        }
    }

    /// The bytes of a word as pairs of 16-bit numbers.
    #[target_feature(enable = "avx2")]
    fn pairs<const ROWS: usize>(word: [u8; ROWS]) -> [i32; 16] {
        let mut pairs = [0; 16];
        for (bytes, pairs) in word.chunks(16).zip(pairs.chunks_exact_mut(8)) {
            let mut sixteen = [0_u8; 16];
            sixteen[..bytes.len()].copy_from_slice(bytes);
            let wide = _mm256_cvtepi8_epi16(bytemuck::cast(sixteen));
            pairs.copy_from_slice(&bytemuck::cast::<__m256i, [i32; 8]>(wide));
        }
        pairs
    }
}

#[cfg(target_arch = "x86_64")]
mod vnni {
    use super::Line;
    use std::arch::x86_64::{
        __m512i, _mm512_dpbusd_epi32, _mm512_set1_epi8, _mm512_set1_epi32, _mm512_setzero_si512,
        _mm512_sub_epi32, _mm512_xor_si512,
    };

    /// Columns of one vector.
    pub(super) const LANES: usize = 16;

    /// For each sixteen columns and each four rows the weights of these rows.
    #[derive(Clone)]
    pub(crate) struct Quads {
        vectors: Vec<[[u8; 4]; LANES]>,
        /// 128 times the sum of the weights of each column.
        offsets: Vec<[i32; LANES]>,
    }

    impl Quads {
        pub(super) fn new(rows: usize, cols: usize) -> Quads {
            Quads {
                vectors: vec![[[0; 4]; LANES]; cols / LANES * rows / 4],
                offsets: vec![[0; LANES]; cols / LANES],
            }
        }

        pub(super) fn rows(&self) -> usize {
            4 * self.vectors.len() / self.offsets.len()
        }

        pub(super) fn set(&mut self, bytes: &[u8]) {
            let rows = self.rows();
            for (column, weights) in bytes.chunks_exact(rows).enumerate() {
                let vectors = &mut self.vectors[column / LANES * rows / 4..][..rows / 4];
                let (quads, _) = weights.as_chunks::<4>();
                for (vector, quad) in vectors.iter_mut().zip(quads) {
                    vector[column % LANES] = *quad;
                }
                let sum: i32 = weights.iter().map(|&weight| i32::from(weight as i8)).sum();
                self.offsets[column / LANES][column % LANES] = 128 * sum;
            }
        }

        #[target_feature(enable = "avx512f,avx512vnni")]
        pub(super) fn multiply<const ROWS: usize>(&self, sums: &mut [i32], line: Line) {
            let cols = self.offsets.len() * LANES;
            let groups = self.vectors.chunks_exact(ROWS / 4).zip(&self.offsets);
            for (group, (vectors, &offset)) in groups.enumerate() {
                // Eight are the most; those that a word does not have are not used.
                let mut weights = [_mm512_setzero_si512(); 8];
                for (own, &vector) in weights.iter_mut().zip(vectors) {
                    *own = bytemuck::cast(vector);
                }
                let offset: __m512i = bytemuck::cast(offset);
                let high = _mm512_set1_epi8(i8::MIN);
                for (nth, sums) in sums.chunks_exact_mut(cols).enumerate() {
                    let sums: &mut [i32; LANES] = sums[group * LANES..]
                        .first_chunk_mut()
                        .expect("columns come in sixteens");
                    let word: [u8; ROWS] = line.array(nth);
                    let (quads, _) = word.as_chunks::<4>();
                    let mut sum = _mm512_sub_epi32(bytemuck::cast(*sums), offset);
                    for (&weights, &quad) in weights.iter().zip(quads) {
                        let quad = _mm512_set1_epi32(i32::from_le_bytes(quad));
                        sum = _mm512_dpbusd_epi32(sum, _mm512_xor_si512(high, quad), weights);
                    }
                    *sums = bytemuck::cast(sum);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Kernel, Line, Tile};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_kernel_gives_the_sums_of_the_definition(
            rows in prop_oneof![Just(8_usize), Just(16), Just(32), 1_usize..40],
            cols in prop_oneof![Just(8_usize), Just(16), Just(64), 1_usize..20],
            start in 1400_usize..1500,
            step in -80_isize..80,
            pixels in 1_usize..9,
            bytes in proptest::collection::vec(any::<u8>(), 3000),
            before in any::<i32>(),
        ) {
            let weights = &bytes[..rows * cols];
            let line = Line { bytes: &bytes, start, step };
            let mut expected = Vec::new();
            for pixel in 0..pixels {
                let word = &bytes[start.wrapping_add_signed(pixel as isize * step)..][..rows];
                for column in weights.chunks_exact(rows) {
                    let products = word.iter().zip(column);
                    let sum = products.map(|(&v, &w)| i32::from(v as i8) * i32::from(w as i8)).sum();
                    expected.push(before.wrapping_add(sum));
                }
            }
            for kernel in Kernel::all().into_iter().filter(|kernel| kernel.fits(rows, cols)) {
                let mut sums = vec![before; pixels * cols];
                let mut tile = Tile::new(kernel, rows, cols);
                // What was in it does not matter.
                tile.set(&bytes[bytes.len() - rows * cols..]);
                tile.set(weights);
                tile.multiply(&mut sums, line);
                prop_assert_eq!(&sums, &expected, "{:?}", kernel);
            }
        }
    }
}
