//! The operations of the vector engine.

use ir::numerics::{ParameterWord, rne_shift};
use ir::operation::{Lookup, MaxPool, Pack, Requantise};

use super::scale::Channels;
use super::{Addresses, Fault, Values};
use crate::watch::{Watch, Words};

/// What max-pool reads outside the source: the smallest value.
const OUTSIDE: i8 = i8::MIN;

impl<W: Watch> Values<'_, W> {
    pub(super) fn requantise(&mut self, op: &Requantise) -> Result<(), Fault> {
        let cols = self.arch().array.cols as usize;
        let word_bytes = self.arch().word_bytes() as usize;
        let addresses = Addresses::of(self.arch());
        let channels = self.channels(op.channel(self.arch()))?;
        let (half, byte) = (usize::from(op.half), op.byte(self.arch()) as usize);
        let first = half * self.arch().accumulators.pixels as usize;
        let [nx, ny] = op.destination.pixels;
        for (pixel, (y, x)) in (0..ny)
            .flat_map(|y| (0..nx).map(move |x| (y, x)))
            .enumerate()
        {
            self.watch.read(Words::Accumulators, first + pixel)?;
            let word = addresses.word(op.destination.word(x, 0, y))?;
            self.watch.write(Words::Activations, word)?;
            let sums = &self.state.accumulators[(first + pixel) * cols..][..cols];
            let bytes = &mut self.state.activations[word * word_bytes + byte..][..cols];
            channels.requantise(bytes, sums, op.zero_point, op.clamp);
        }
        Ok(())
    }

    /// The parameters of one tile of columns, from channel `first` on, modulo the number of channels.
    fn channels(&mut self, first: u32) -> Result<Channels, Fault> {
        let (n_channels, word_bytes) = (self.arch().parameters.channels, self.arch().word_bytes());
        let words: Result<_, Fault> = (0..self.arch().array.cols)
            .map(|c| {
                let start = (first.wrapping_add(c) % n_channels) as usize * ParameterWord::BYTES;
                let word = start / word_bytes as usize;
                self.watch.read(Words::Parameters, word)?;
                let bytes = self.state.parameters[start..].first_chunk();
                Ok(ParameterWord::from_bytes(
                    *bytes.expect("a word for each channel"),
                ))
            })
            .collect();
        Ok(Channels::of(words?))
    }

    pub(super) fn max_pool(&mut self, op: &MaxPool) -> Result<(), Fault> {
        let [nx, ny] = op.window.pixels;
        let mut best = vec![OUTSIDE; self.arch().word_bytes() as usize];
        for y in 0..ny {
            for block in 0..op.window.blocks {
                for x in 0..nx {
                    best.fill(OUTSIDE);
                    self.max_of_window(op, [x, y], block, &mut best)?;
                    self.write_word(op.destination.word(x, block, y), &best)?;
                }
            }
        }
        Ok(())
    }

    fn max_of_window(
        &mut self,
        op: &MaxPool,
        [x, y]: [u32; 2],
        block: u32,
        best: &mut [i8],
    ) -> Result<(), Fault> {
        let (w, s) = (&op.window, &op.window.strides);
        let [x, y] = [i64::from(x), i64::from(y)];
        let base =
            i64::from(w.source) + s.pixel[0] * x + s.pixel[1] * y + s.block * i64::from(block);
        for ky in 0..i64::from(w.kernel[1]) {
            for kx in 0..i64::from(w.kernel[0]) {
                let at = [
                    w.origin[0] + w.stride[0] * x + w.dilation[0] * kx,
                    w.origin[1] + w.stride[1] * y + w.dilation[1] * ky,
                ];
                if (0..w.extent[0]).contains(&at[0]) && (0..w.extent[1]).contains(&at[1]) {
                    let address = base + s.kernel[0] * kx + s.kernel[1] * ky;
                    let word = self.read_word(address)?;
                    for (best, &value) in best.iter_mut().zip(word) {
                        *best = (*best).max(value as i8);
                    }
                }
            }
        }
        Ok(())
    }

    pub(super) fn lookup(&mut self, op: &Lookup) -> Result<(), Fault> {
        let (first, second) = self.read_both_tables(op.source_b.is_some())?;
        let look = |table: &[i32], byte: u8| i64::from(table[usize::from(byte)]);
        let [nx, ny] = op.destination.pixels;
        let mut result = vec![0; self.arch().word_bytes() as usize];
        for y in 0..ny {
            for x in 0..nx {
                let offset = op.strides[0] * i64::from(x) + op.strides[1] * i64::from(y);
                let mut sums: Vec<i64> = self
                    .read_word(i64::from(op.source) + offset)?
                    .iter()
                    .map(|&byte| look(&first, byte))
                    .collect();
                if let Some(source_b) = op.source_b {
                    let word = self.read_word(i64::from(source_b) + offset)?;
                    for (sum, &byte) in sums.iter_mut().zip(word) {
                        *sum += look(&second, byte);
                    }
                }
                for (result, sum) in result.iter_mut().zip(sums) {
                    // The zero point of the output is in the tables.
                    *result = op.clamp.apply(rne_shift(sum, op.fraction_bits));
                }
                self.write_word(op.destination.word(x, 0, y), &result)?;
            }
        }
        Ok(())
    }

    pub(super) fn pack(&mut self, op: &Pack) -> Result<(), Fault> {
        let word_bytes = i64::from(self.arch().word_bytes());
        let addresses = Addresses::of(self.arch());
        let [nx, ny] = op.destination.pixels;
        for y in 0..ny {
            let row = op.origin[1] + op.stride[1] * i64::from(y);
            let base = i64::from(op.source) + op.row * i64::from(y);
            for x in 0..nx {
                let first = op.origin[0] + op.stride[0] * i64::from(x);
                let mut bytes = vec![op.padding as u8; op.taps as usize];
                for (byte, column) in bytes.iter_mut().zip(first..) {
                    if (0..op.extent[1]).contains(&row) && (0..op.extent[0]).contains(&column) {
                        let word = self.read_word(base + column / word_bytes)?;
                        *byte = word[(column % word_bytes) as usize];
                    }
                }
                let word = addresses.word(op.destination.word(x, 0, y))?;
                self.watch.write(Words::Activations, word)?;
                let start = word * word_bytes as usize + op.lane as usize;
                self.state.activations[start..][..bytes.len()].copy_from_slice(&bytes);
            }
        }
        Ok(())
    }

    /// The tables; the second one counts as read only if it is used.
    fn read_both_tables(&mut self, both: bool) -> Result<(Vec<i32>, Vec<i32>), Fault> {
        let words = self.arch().table_words() as usize;
        for word in 0..if both { words } else { words / 2 } {
            self.watch.read(Words::Tables, word)?;
        }
        let entries = self.state.tables.chunks_exact(4);
        let mut first: Vec<i32> = entries
            .map(|b| i32::from_le_bytes(b.try_into().expect("four bytes an entry")))
            .collect();
        let second = first.split_off(256);
        Ok((first, second))
    }

    fn read_word(&mut self, address: i64) -> Result<&[u8], Fault> {
        let word = Addresses::of(self.arch()).word(address)?;
        self.watch.read(Words::Activations, word)?;
        let word_bytes = self.arch().word_bytes() as usize;
        Ok(&self.state.activations[word * word_bytes..][..word_bytes])
    }

    fn write_word(&mut self, address: i64, values: &[i8]) -> Result<(), Fault> {
        let word = Addresses::of(self.arch()).word(address)?;
        self.watch.write(Words::Activations, word)?;
        let bytes = &mut self.state.activations[word * values.len()..][..values.len()];
        for (byte, &value) in bytes.iter_mut().zip(values) {
            *byte = value as u8;
        }
        Ok(())
    }
}
