//! What a `run` instruction does: each operation with its operands, in absolute terms.
//!
//! One file for each operation says which registers hold its operands, in both directions, which of them the machine moves
//! on by itself, and how long it takes. Compiler, checker, simulator and program generator all start from here, so they
//! cannot disagree about a bound or an address. What an operation does to values stands in the simulator and in the RTL.
//!
//! A new operation is a file here, a line of the table below, its opcode and registers in [`crate::isa`], a meaning in the
//! simulator and a unit in the RTL.

mod exec;
mod lookup;
mod loops;
mod pack;
mod pool;
mod registers;
mod requantise;
#[cfg(test)]
mod tests;
mod transfer;

pub use exec::Exec;
pub use lookup::Lookup;
pub use loops::{Destination, Strides, Window};
pub use pack::Pack;
pub use pool::MaxPool;
pub use registers::{Advance, Registers, Settings};
pub use requantise::Requantise;
pub use transfer::{Load, Space, Store};

use crate::arch::Arch;
use crate::isa::{Engine, FieldOverflow, Instruction, Opcode, Run};

/// A value that an operation has no meaning for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} is {value}: {limit}")]
pub struct OperandError {
    /// The register and its field, or what is made of them.
    pub what: String,
    /// The value.
    pub value: i64,
    /// What is possible.
    pub limit: String,
}

/// What each operation says of itself.
trait Operands: Sized {
    const OPCODE: Opcode;

    /// Whether a design of `arch` has the unit for it, with these flags.
    fn has_unit(_arch: &Arch, _flags: u8) -> bool {
        true
    }

    /// The flags of its instruction.
    fn flags(&self) -> u8 {
        0
    }

    /// Its operands, as `registers` and `flags` hold them.
    fn read(registers: &Registers, flags: u8) -> Result<Self, OperandError>;

    /// Whether the units of `arch` can follow it, wherever its addresses lie.
    fn fits(&self, arch: &Arch) -> Result<(), OperandError>;

    /// The registers that it reads, with what they have to hold. Address changes of a loop that runs once are not among
    /// them, for nothing reads them.
    fn settings(&self) -> Result<Settings, FieldOverflow>;

    /// The registers that the machine moves on behind it.
    fn advances(&self, _arch: &Arch) -> Vec<Advance> {
        Vec::new()
    }

    /// What it goes through one after the other: words moved, or pixels times steps.
    fn steps(&self) -> u64;

    /// Cycles from its start to its last cycle; none where the memory decides.
    fn cycles(&self, arch: &Arch) -> Option<u64>;
}

macro_rules! operations {
    ($($variant:ident),+) => {
        /// One operation with all its operands.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Operation {
            $(#[doc = concat!("See [`", stringify!($variant), "`].")] $variant($variant),)+
        }

        $(impl From<$variant> for Operation {
            fn from(operation: $variant) -> Operation { Operation::$variant(operation) }
        })+

        impl Operation {
            /// Whether a design of `arch` has the unit for `run`.
            pub fn has_unit(arch: &Arch, run: &Run) -> bool {
                match run.opcode { $(Opcode::$variant => $variant::has_unit(arch, run.flags),)+ }
            }

            /// The operands of `run`, as `registers` hold them in its start cycle.
            ///
            /// # Errors
            /// [`OperandError`] for a value without a meaning, such as a loop that runs no times.
            pub fn read(registers: &Registers, run: &Run) -> Result<Operation, OperandError> {
                Ok(match run.opcode {
                    $(Opcode::$variant => $variant::read(registers, run.flags)?.into(),)+
                })
            }

            /// Whether the units of `arch` can follow it. Addresses may lie outside of their memories: they wrap, and
            /// whoever follows them says where nothing is.
            ///
            /// # Errors
            /// [`OperandError`] for what they cannot.
            pub fn fits(&self, arch: &Arch) -> Result<(), OperandError> {
                match self { $(Operation::$variant(operation) => operation.fits(arch),)+ }
            }

            /// Its operation code.
            pub const fn opcode(&self) -> Opcode {
                match self { $(Operation::$variant(_) => $variant::OPCODE,)+ }
            }

            /// The flags of its instruction.
            pub fn flags(&self) -> u8 {
                match self { $(Operation::$variant(operation) => operation.flags(),)+ }
            }

            /// The registers that it reads, with what they have to hold; the inverse of [`Operation::read`].
            ///
            /// # Errors
            /// [`FieldOverflow`] for a value that the instruction set cannot say.
            pub fn settings(&self) -> Result<Settings, FieldOverflow> {
                match self { $(Operation::$variant(operation) => operation.settings(),)+ }
            }

            /// The registers that the machine moves on behind it.
            pub fn advances(&self, arch: &Arch) -> Vec<Advance> {
                match self { $(Operation::$variant(operation) => operation.advances(arch),)+ }
            }

            /// What it goes through one after the other: words moved, or pixels times steps.
            pub fn steps(&self) -> u64 {
                match self { $(Operation::$variant(operation) => operation.steps(),)+ }
            }

            /// Cycles from its start to its last cycle; none for the transfers, which depend on the memory.
            ///
            /// # Source
            /// `docs/concepts/timing.md`, section "Engines".
            pub fn cycles(&self, arch: &Arch) -> Option<u64> {
                match self { $(Operation::$variant(operation) => operation.cycles(arch),)+ }
            }
        }
    };
}

operations![Load, Exec, Store, Requantise, MaxPool, Lookup, Pack];

impl Operation {
    /// The operations of the run instructions of `code`, in program order, on a machine whose registers hold `registers`,
    /// and then what the code leaves in them.
    ///
    /// # Errors
    /// The index of the first instruction whose operands have no meaning, as [`Operation::read`].
    pub fn all(
        code: &[Instruction],
        registers: &mut Registers,
        arch: &Arch,
    ) -> Result<Vec<Operation>, (usize, OperandError)> {
        let mut operations = Vec::new();
        for (index, instruction) in code.iter().enumerate() {
            match instruction {
                Instruction::Nop => {}
                Instruction::Configure { register, value } => registers.set(*register, *value),
                Instruction::Run(run) => {
                    let operation = Operation::read(registers, run);
                    let operation = operation.map_err(|error| (index, error))?;
                    for advance in operation.advances(arch) {
                        registers.advance(&advance);
                    }
                    operations.push(operation);
                }
            }
        }
        Ok(operations)
    }

    /// The engine that runs it.
    pub const fn engine(&self) -> Engine {
        self.opcode().engine()
    }

    /// Its instruction, without waits and signals.
    pub fn run(&self) -> Run {
        Run {
            flags: self.flags(),
            ..Run::new(self.opcode())
        }
    }
}

/// Refuses a `value` above `most`.
fn at_most(what: &str, value: i64, most: i64) -> Result<(), OperandError> {
    if value <= most {
        return Ok(());
    }
    Err(OperandError {
        what: what.to_owned(),
        value,
        limit: format!("{most} at most"),
    })
}

/// Refuses more pixels than half of the accumulators holds.
fn half_holds(arch: &Arch, pixels: u64) -> Result<(), OperandError> {
    let pixels = i64::try_from(pixels).unwrap_or(i64::MAX);
    at_most(
        "the number of pixels",
        pixels,
        arch.accumulators.pixels.into(),
    )
}

/// The bit of `flag`, where it is set.
const fn bit(is_set: bool, flag: u8) -> u8 {
    if is_set { flag } else { 0 }
}
