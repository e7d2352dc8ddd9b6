//! LOAD and STORE: copies of words.

use std::ops::Range;

use ir::operation::{Load, Space, Store};

use super::{Addresses, Fault, Values};
use crate::watch::{Watch, Words};

impl<W: Watch> Values<'_, W> {
    pub(super) fn load(&mut self, op: &Load) -> Result<(), Fault> {
        let word_bytes = self.arch().word_bytes() as usize;
        let mut from = self.memory_words(op.memory, op.words)?;
        for piece in self.pieces(op.space, op.local, op.words)? {
            for (from, to) in (from..).zip(piece.clone()) {
                self.watch.read(Words::Memory, from)?;
                self.watch.write(op.space.into(), to)?;
            }
            if op.space == Space::Weights {
                self.load_tiles(&piece);
            }
            let source = &self.memory.bytes[from * word_bytes..][..piece.len() * word_bytes];
            let target = match op.space {
                Space::Activations => &mut self.state.activations,
                Space::Weights => &mut self.state.weights,
                Space::Parameters => &mut self.state.parameters,
                Space::Tables => &mut self.state.tables,
            };
            target[piece.start * word_bytes..][..source.len()].copy_from_slice(source);
            from += piece.len();
        }
        Ok(())
    }

    pub(super) fn store(&mut self, op: &Store) -> Result<(), Fault> {
        let word_bytes = self.arch().word_bytes() as usize;
        let mut to = self.memory_words(op.memory, op.words)?;
        for piece in self.pieces(Space::Activations, op.local, op.words)? {
            for (from, to) in piece.clone().zip(to..) {
                self.watch.read(Words::Activations, from)?;
                self.watch.write(Words::Memory, to)?;
            }
            let source =
                &self.state.activations[piece.start * word_bytes..][..piece.len() * word_bytes];
            self.memory.bytes[to * word_bytes..][..source.len()].copy_from_slice(source);
            to += piece.len();
        }
        Ok(())
    }

    /// Where `n` local words from `first` on lie, in pieces, for addresses wrap at the end of their memory.
    fn pieces(&self, space: Space, first: u32, n: u32) -> Result<Vec<Range<usize>>, Fault> {
        let word_bytes = self.arch().word_bytes() as usize;
        let activations = Addresses::of(self.arch());
        let period = match space {
            Space::Activations => activations.mask as usize + 1,
            Space::Weights => self.state.weights.len() / word_bytes,
            Space::Parameters => self.state.parameters.len() / word_bytes,
            Space::Tables => self.state.tables.len() / word_bytes,
        };
        let mut pieces = Vec::new();
        let (mut start, mut left) = (wrap(first, period), n as usize);
        while left > 0 {
            let piece = start..period.min(start + left);
            if space == Space::Activations {
                activations.word(piece.end as i64 - 1)?;
            }
            left -= piece.len();
            start = 0;
            pieces.push(piece);
        }
        Ok(pieces)
    }

    /// The weights at `words` are others now.
    fn load_tiles(&mut self, words: &Range<usize>) {
        let cols = self.arch().array.cols as usize;
        let (first, last) = (words.start / cols, (words.end - 1) / cols);
        for (_, is_turned) in self.scratch.tiles.iter_mut().take(last + 1).skip(first) {
            *is_turned = false;
        }
    }

    /// The first of `n` words of memory, all of which are there.
    fn memory_words(&self, first: u32, n: u32) -> Result<usize, Fault> {
        let (first, n) = (first as usize, n as usize);
        let words = self.memory.words(self.arch());
        if first + n > words {
            let word = first.max(words);
            return Err(Fault::Operand(format!(
                "word {word} is beyond the {words} words of memory"
            )));
        }
        Ok(first)
    }
}

/// A local word address in a memory of `words`, a power of two.
fn wrap(address: u32, words: usize) -> usize {
    address as usize & (words - 1)
}

#[cfg(test)]
mod tests {
    use super::wrap;

    #[test]
    fn a_local_address_wraps_at_the_end_of_its_memory() {
        assert_eq!([3, 4, 5, 8].map(|address| wrap(address, 4)), [3, 0, 1, 0]);
    }
}
