//! Why a simulation has no outcome.

use ir::isa::Engine;

use crate::hazard::Hazard;

/// A program that the hardware would run wrongly; always a bug in the compiler or in a hand-written program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, miette::Diagnostic)]
pub enum SimError {
    /// Two accesses that no chain of semaphores puts in order.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Hazard(#[from] Hazard),
    /// A register or an address holds what the operation cannot use.
    #[error("instruction {index} `{instruction}`: {reason}")]
    #[diagnostic(code(sim::operand))]
    Operand {
        /// Index in the program.
        index: usize,
        /// Its text.
        instruction: String,
        /// What is wrong.
        reason: String,
    },
    /// A semaphore is raised above what its counter can hold.
    #[error(
        "instruction {index} on {} raises semaphore {semaphore} (`{meaning}`) above {limit} tokens in cycle {cycle}",
        engine.name()
    )]
    #[diagnostic(
        code(sim::tokens),
        help("let the producer wait for a token that the consumer gives back")
    )]
    Tokens {
        /// Index of the semaphore.
        semaphore: usize,
        /// What it is for.
        meaning: String,
        /// The largest count, `2^semaphores.bits - 1`.
        limit: u32,
        /// Index of the instruction that raises it.
        index: usize,
        /// The engine of that instruction.
        engine: Engine,
        /// The cycle in which it does.
        cycle: u64,
    },
}
