//! What the machine holds between two doorbells, and the memory outside of it.

use ir::arch::Arch;
use ir::operation::Registers;
use ir::program::Checked;

/// Bytes of the two tables: 512 values of 4 bytes.
pub(crate) const TABLE_BYTES: usize = 512 * 4;

/// The contents of all local memories and registers of one machine; all zero after reset.
///
/// One doorbell leaves what the next one finds: pass the same State to several runs.
/// Semaphores are not in it, since a checked program takes all its tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The configuration registers.
    pub registers: Registers,
    /// The activation banks one after the other: word `a` starts at byte `a * rows`.
    pub activations: Vec<u8>,
    /// The weight memory.
    pub weights: Vec<u8>,
    /// The parameter memory: bias (int32), mantissa (24 bits), shift (8 bits) of each channel, little-endian.
    pub parameters: Vec<u8>,
    /// The two tables, little-endian int32.
    pub tables: Vec<u8>,
    /// The accumulators, `[half][pixel][column]`.
    pub accumulators: Vec<i32>,
}

impl State {
    /// The state of `arch` after reset.
    pub fn new(arch: &Arch) -> State {
        let word_bytes = arch.word_bytes() as usize;
        State {
            registers: Registers::default(),
            activations: vec![
                0;
                arch.activations.banks as usize
                    * arch.activations.words as usize
                    * word_bytes
            ],
            weights: vec![0; arch.weights.words as usize * word_bytes],
            parameters: vec![0; arch.parameters.channels as usize * 8],
            tables: vec![0; TABLE_BYTES],
            accumulators: vec![0; 2 * arch.accumulators.pixels as usize * arch.array.cols as usize],
        }
    }
}

/// The bytes of the memory at the root of the machine, from word 0 on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// The bytes; a word that is not here must not be touched.
    pub bytes: Vec<u8>,
}

impl Memory {
    /// How many words of `arch` it has.
    pub(crate) fn words(&self, arch: &Arch) -> usize {
        self.bytes.len() / arch.word_bytes() as usize
    }

    /// The memory as it is before the host writes inputs: the image of the program, then zeros, `memory_words` in all.
    pub fn of(checked: Checked<'_>) -> Memory {
        let mut bytes = checked.program.image(checked.arch);
        let needed = checked.program.memory_words as usize * checked.arch.word_bytes() as usize;
        bytes.resize(needed.max(bytes.len()), 0);
        Memory { bytes }
    }
}
