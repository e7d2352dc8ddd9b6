//! What sees each access of a run: the proof of a program's first run, nothing in the next ones.

use ir::operation::Space;

use crate::hazard::Hazard;

/// A memory, by what lies in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Words {
    /// The activation banks, one behind the other.
    Activations,
    /// The weight memory.
    Weights,
    /// The parameter memory, in words as LOAD counts them.
    Parameters,
    /// The tables, in words as LOAD counts them.
    Tables,
    /// The accumulators, a word for the sums of a pixel, one half behind the other.
    Accumulators,
    /// The memory at the root of the machine.
    Memory,
}

impl From<Space> for Words {
    fn from(space: Space) -> Words {
        match space {
            Space::Activations => Words::Activations,
            Space::Weights => Words::Weights,
            Space::Parameters => Words::Parameters,
            Space::Tables => Words::Tables,
        }
    }
}

/// Sees each access of a run.
pub(crate) trait Watch {
    /// Instruction `index` begins; the accesses from here on are its own.
    fn begin(&mut self, index: usize);

    /// A word is read.
    ///
    /// # Errors
    /// The access that it is not in order with.
    fn read(&mut self, of: Words, word: usize) -> Result<(), Hazard>;

    /// A word is written.
    ///
    /// # Errors
    /// The access that it is not in order with.
    fn write(&mut self, of: Words, word: usize) -> Result<(), Hazard>;
}

/// Of a program that ran before, whose accesses are in order whatever its data.
pub(crate) struct Proven;

impl Watch for Proven {
    fn begin(&mut self, _: usize) {}

    fn read(&mut self, _: Words, _: usize) -> Result<(), Hazard> {
        Ok(())
    }

    fn write(&mut self, _: Words, _: usize) -> Result<(), Hazard> {
        Ok(())
    }
}
