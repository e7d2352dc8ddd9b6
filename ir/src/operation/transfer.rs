//! LOAD and STORE: words copied between memory and a local memory.

use super::{Advance, OperandError, Operands, Registers, Settings, at_most};
use crate::arch::Arch;
use crate::isa::{FieldOverflow, Opcode, Register};

/// A local memory that LOAD can fill, by its code in `load.destination`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// The activation banks.
    Activations,
    /// The weight memory.
    Weights,
    /// The parameter memory.
    Parameters,
    /// The two tables.
    Tables,
}

impl Space {
    /// All of them, in the order of their codes.
    pub const ALL: [Space; 4] = [
        Space::Activations,
        Space::Weights,
        Space::Parameters,
        Space::Tables,
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Space::Activations => "activations",
            Space::Weights => "weights",
            Space::Parameters => "parameters",
            Space::Tables => "tables",
        }
    }

    /// Its size in words.
    pub fn words(self, arch: &Arch) -> u32 {
        match self {
            Space::Activations => arch.activations.banks * arch.activations.words,
            Space::Weights => arch.weights.words,
            Space::Parameters => arch.parameter_words(arch.parameters.channels),
            Space::Tables => arch.table_words(),
        }
    }
}

/// Words copied from memory to a local memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Load {
    /// First word in memory.
    pub memory: u32,
    /// The local memory.
    pub space: Space,
    /// First word in it.
    pub local: u32,
    /// Words, at least 1.
    pub words: u32,
}

/// Words copied from the activation banks to memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// First word in the banks.
    pub local: u32,
    /// First word in memory.
    pub memory: u32,
    /// Words, at least 1.
    pub words: u32,
}

/// A counter of the hardware holds less than all words of the memory.
fn holds(arch: &Arch, what: &str, words: u32) -> Result<(), OperandError> {
    at_most(what, words.into(), i64::from(arch.memory.words) - 1)
}

impl Operands for Load {
    const OPCODE: Opcode = Opcode::Load;

    fn read(registers: &Registers, _flags: u8) -> Result<Load, OperandError> {
        let [_, space] = registers.fields(Register::LoadDestination);
        let [words] = registers.bounds(Register::LoadLength)?;
        Ok(Load {
            memory: registers.first(Register::LoadMemory),
            space: match space {
                0 => Space::Activations,
                1 => Space::Weights,
                2 => Space::Parameters,
                _ => Space::Tables,
            },
            local: registers.first(Register::LoadDestination),
            words,
        })
    }

    fn fits(&self, arch: &Arch) -> Result<(), OperandError> {
        holds(arch, "`words` of `load.length`", self.words)
    }

    fn settings(&self) -> Result<Settings, FieldOverflow> {
        let mut settings = Settings::default();
        settings.add(Register::LoadMemory, [self.memory.into()])?;
        let space = self.space as i64;
        settings.add(Register::LoadDestination, [self.local.into(), space])?;
        settings.add(Register::LoadLength, [self.words.into()])?;
        Ok(settings)
    }

    fn advances(&self, arch: &Arch) -> Vec<Advance> {
        let memory = Advance {
            register: Register::LoadMemory,
            amount: self.words,
            end: arch.memory.words,
        };
        let local = Advance {
            register: Register::LoadDestination,
            amount: self.words,
            end: self.space.words(arch),
        };
        vec![memory, local]
    }

    fn steps(&self) -> u64 {
        self.words.into()
    }

    fn cycles(&self, _arch: &Arch) -> Option<u64> {
        None
    }
}

impl Operands for Store {
    const OPCODE: Opcode = Opcode::Store;

    fn read(registers: &Registers, _flags: u8) -> Result<Store, OperandError> {
        let [words] = registers.bounds(Register::StoreLength)?;
        Ok(Store {
            local: registers.first(Register::StoreSource),
            memory: registers.first(Register::StoreMemory),
            words,
        })
    }

    fn fits(&self, arch: &Arch) -> Result<(), OperandError> {
        holds(arch, "`words` of `store.length`", self.words)
    }

    fn settings(&self) -> Result<Settings, FieldOverflow> {
        let mut settings = Settings::default();
        settings.add(Register::StoreMemory, [self.memory.into()])?;
        settings.add(Register::StoreSource, [self.local.into()])?;
        settings.add(Register::StoreLength, [self.words.into()])?;
        Ok(settings)
    }

    fn advances(&self, arch: &Arch) -> Vec<Advance> {
        let memory = Advance {
            register: Register::StoreMemory,
            amount: self.words,
            end: arch.memory.words,
        };
        let local = Advance {
            register: Register::StoreSource,
            amount: self.words,
            end: Space::Activations.words(arch),
        };
        vec![memory, local]
    }

    fn steps(&self) -> u64 {
        self.words.into()
    }

    fn cycles(&self, _arch: &Arch) -> Option<u64> {
        None
    }
}
