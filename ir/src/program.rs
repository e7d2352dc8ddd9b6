//! A Program: instructions, constants and data layout of one Schedule on one Arch.
//!
//! Memory holds, from word 0: the instructions, the constants, then room for tensors.
//! Every tensor lies in memory and in the banks as `[y][block][x]` words of `rows` channels,
//! so rows of an image are contiguous and producer and consumer agree whatever the tiles are.
//! The one exception is an input that is packed: it lies as plain bytes, see [`Layout`].

mod check;

use crate::fit::Fit;
pub use check::{CheckError, Checked};

use serde::{Deserialize, Serialize};

use crate::arch::Arch;
use crate::isa::{Engine, Instruction};

/// Which engines use a semaphore, and what for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SemaphoreUse {
    /// What a token means, for people: `weights ready`.
    pub meaning: String,
    /// The only engine that signals it.
    pub producer: Engine,
    /// The only engine that waits for it.
    pub consumer: Engine,
}

/// How a tensor lies in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// `[y][block][x]` words, whose lanes are channels.
    #[default]
    Blocks,
    /// `[channel][y][x]` bytes, each row filled up to whole words: the source of the row mapping `taps`.
    Planes,
}

/// A tensor in memory: the words from `word` on, in the order of `layout`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TensorImage {
    /// Index of the tensor in the network.
    pub tensor: u32,
    /// First word in memory.
    pub word: u32,
    /// Channels.
    pub channels: u32,
    /// Rows.
    pub height: u32,
    /// Columns.
    pub width: u32,
    /// The order of its values.
    #[serde(default)]
    pub layout: Layout,
}

impl TensorImage {
    /// Words of one row: all blocks of all columns, or one row of one plane.
    fn row_words(&self, word_bytes: u32) -> u32 {
        match self.layout {
            Layout::Blocks => self.channels.div_ceil(word_bytes) * self.width,
            Layout::Planes => self.width.div_ceil(word_bytes),
        }
    }

    /// Words of the whole tensor.
    pub fn words(&self, word_bytes: u32) -> u32 {
        let rows = match self.layout {
            Layout::Blocks => self.height,
            Layout::Planes => self.channels * self.height,
        };
        self.row_words(word_bytes) * rows
    }

    /// Byte offset of a value from the start of the tensor.
    pub fn offset(&self, word_bytes: u32, channel: u32, y: u32, x: u32) -> usize {
        let (word, lane) = match self.layout {
            Layout::Blocks => {
                let word = y * self.row_words(word_bytes) + channel / word_bytes * self.width + x;
                (word, channel % word_bytes)
            }
            Layout::Planes => {
                let row = channel * self.height + y;
                let word = row * self.row_words(word_bytes) + x / word_bytes;
                (word, x % word_bytes)
            }
        };
        word as usize * word_bytes as usize + lane as usize
    }

    /// The bytes of `values` (`[channel][y][x]`); bytes that hold no value are 0.
    pub fn pack(&self, word_bytes: u32, values: &[i8]) -> Vec<u8> {
        let mut bytes = vec![0; (self.words(word_bytes) * word_bytes) as usize];
        self.for_each(word_bytes, |index, offset| {
            bytes[offset] = values[index].cast_unsigned()
        });
        bytes
    }

    /// The values (`[channel][y][x]`) of `bytes`, which start at the tensor's first word.
    pub fn unpack(&self, word_bytes: u32, bytes: &[u8]) -> Vec<i8> {
        let mut values = vec![0; (self.channels * self.height * self.width) as usize];
        self.for_each(word_bytes, |index, offset| {
            values[index] = bytes[offset].cast_signed()
        });
        values
    }

    fn for_each(&self, word_bytes: u32, mut visit: impl FnMut(usize, usize)) {
        let mut index = 0;
        for channel in 0..self.channels {
            for y in 0..self.height {
                for x in 0..self.width {
                    visit(index, self.offset(word_bytes, channel, y, x));
                    index += 1;
                }
            }
        }
    }
}

/// Instructions, constants and layout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Name of the network.
    pub network: String,
    /// [`Arch::hash`] of the arch it is for.
    pub arch_hash: u64,
    /// All instructions in dispatch order, without the filling of the last chunk.
    pub instructions: Vec<Instruction>,
    /// For each instruction the index of its layer in `layers`; stalls are charged to it.
    pub layer_of: Vec<u16>,
    /// Names of the layers.
    pub layers: Vec<String>,
    /// The semaphores in use, by index.
    pub semaphores: Vec<SemaphoreUse>,
    /// Word address at which `constants` start: the first word after the instructions.
    pub constants_word: u32,
    /// Weights, parameters and tables, as whole words.
    #[serde(with = "crate::bytes")]
    pub constants: Vec<u8>,
    /// Words of memory used in all.
    pub memory_words: u32,
    /// Where the host writes the inputs.
    pub inputs: Vec<TensorImage>,
    /// Where the host reads the outputs.
    pub outputs: Vec<TensorImage>,
    /// Tensors between layers that are in memory at the end of a run.
    pub intermediates: Vec<TensorImage>,
}

/// Words that `instructions` occupy in memory, filled up with nops to whole chunks.
pub fn instruction_words(arch: &Arch, instructions: usize) -> u32 {
    let chunk = (arch.instructions_per_word() * arch.fetch.chunk_words) as usize;
    instructions.div_ceil(chunk).fit::<u32>() * arch.fetch.chunk_words
}

impl Program {
    /// Chunks that FETCH reads.
    pub fn chunks(&self, arch: &Arch) -> u32 {
        instruction_words(arch, self.instructions.len()) / arch.fetch.chunk_words
    }

    /// The first bytes of memory: instructions, filled with nops, then constants.
    pub fn image(&self, arch: &Arch) -> Vec<u8> {
        let mut bytes: Vec<u8> = self
            .instructions
            .iter()
            .flat_map(|i| i.encode().to_le_bytes())
            .collect();
        bytes.resize((self.constants_word * arch.word_bytes()) as usize, 0);
        bytes.extend_from_slice(&self.constants);
        bytes
    }

    /// The assembly text: one instruction a line, a comment line at each change of layer.
    pub fn disassembly(&self) -> String {
        let mut text = String::new();
        let mut layer = None;
        for (instruction, &of) in self.instructions.iter().zip(&self.layer_of) {
            if layer != Some(of) {
                layer = Some(of);
                let name = crate::text::comment(&self.layers[of as usize]);
                text += &format!("# {name}\n");
            }
            text += &format!("{instruction}\n");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_in_the_comments_of_a_listing() {
        for name in crate::text::hostile() {
            let program = Program {
                network: name.clone(),
                arch_hash: 0,
                instructions: vec![Instruction::Nop],
                layer_of: vec![0],
                layers: vec![name],
                semaphores: Vec::new(),
                constants_word: 0,
                constants: Vec::new(),
                memory_words: 0,
                inputs: Vec::new(),
                outputs: Vec::new(),
                intermediates: Vec::new(),
            };
            let text = program.disassembly();
            let ends = |c: char| "\n\r\u{b}\u{c}\u{85}\u{2028}\u{2029}\0".contains(c);
            let lines: Vec<&str> = text.split(ends).collect();
            assert!(
                matches!(lines[..], [comment, "nop", ""] if comment.starts_with("# ") && !comment.ends_with('\\')),
                "{lines:?}"
            );
        }
    }
}
