//! LOAD and STORE: copies of words.

use ir::operation::{Load, Space, Store};

use super::{Addresses, Fault, Values};
use crate::hazard::Watch;

impl<W: Watch> Values<'_, W> {
    pub(super) fn load(&mut self, op: &Load) -> Result<(), Fault> {
        let word_bytes = self.arch().word_bytes() as usize;
        let addresses = Addresses::of(self.arch());
        for i in 0..op.words {
            let from = self.memory_word(op.memory, i)?;
            self.watch.read_memory(from)?;
            let local = op.local.wrapping_add(i);
            let (target, to) = match op.space {
                Space::Activations => {
                    let to = addresses.word(i64::from(local))?;
                    self.watch.write_activation(to)?;
                    (&mut self.state.activations, to)
                }
                Space::Weights => {
                    let to = wrap(local, self.state.weights.len() / word_bytes);
                    self.watch.write_weights(to)?;
                    if let Some(tile) = self
                        .tiles
                        .get_mut(to / self.checked.arch.array.cols as usize)
                    {
                        tile.1 = false;
                    }
                    (&mut self.state.weights, to)
                }
                Space::Parameters => {
                    let to = wrap(local, self.state.parameters.len() / word_bytes);
                    self.watch.write_parameters(to)?;
                    (&mut self.state.parameters, to)
                }
                Space::Tables => {
                    let to = wrap(local, self.state.tables.len() / word_bytes);
                    self.watch.write_tables(to)?;
                    (&mut self.state.tables, to)
                }
            };
            let bytes = &self.memory.bytes[from * word_bytes..][..word_bytes];
            target[to * word_bytes..][..word_bytes].copy_from_slice(bytes);
        }
        Ok(())
    }

    pub(super) fn store(&mut self, op: &Store) -> Result<(), Fault> {
        let word_bytes = self.arch().word_bytes() as usize;
        let addresses = Addresses::of(self.arch());
        for i in 0..op.words {
            let from = addresses.word(i64::from(op.local) + i64::from(i))?;
            self.watch.read_activation(from)?;
            let to = self.memory_word(op.memory, i)?;
            self.watch.write_memory(to)?;
            let bytes = &self.state.activations[from * word_bytes..][..word_bytes];
            self.memory.bytes[to * word_bytes..][..word_bytes].copy_from_slice(bytes);
        }
        Ok(())
    }

    fn memory_word(&self, first: u32, i: u32) -> Result<usize, Fault> {
        let word = first as usize + i as usize;
        let words = self.memory.bytes.len() / self.arch().word_bytes() as usize;
        if word < words {
            Ok(word)
        } else {
            Err(Fault::Operand(format!(
                "word {word} is beyond the {words} words of memory"
            )))
        }
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
