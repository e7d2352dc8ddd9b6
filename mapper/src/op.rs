//! One run of an engine before it is encoded: what it does, and what it touches.
//!
//! A list of operations in program order has a meaning of its own, that of executing them one after the other.
//! `order` and `sync` keep exactly this meaning; so neither they nor the lowering can introduce a race.

use ir::isa::Engine;
use ir::operation::{Operation, Space};

/// A memory of the machine, or the part of one that is tracked alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Storage {
    /// The activation banks, by linear address.
    Banks,
    /// The weight memory, by word.
    Weights,
    /// The parameter memory, by word.
    Parameters,
    /// The tables.
    Tables,
    /// One half of the accumulators.
    Half(u8),
    /// External memory, by word.
    Memory,
}

impl Storage {
    pub(crate) const COUNT: usize = 7;

    /// The local memory `space`.
    pub(crate) fn of(space: Space) -> Storage {
        match space {
            Space::Activations => Storage::Banks,
            Space::Weights => Storage::Weights,
            Space::Parameters => Storage::Parameters,
            Space::Tables => Storage::Tables,
        }
    }

    pub(crate) fn index(self) -> usize {
        match self {
            Storage::Banks => 0,
            Storage::Weights => 1,
            Storage::Parameters => 2,
            Storage::Tables => 3,
            Storage::Half(half) => 4 + half as usize,
            Storage::Memory => 6,
        }
    }
}

/// A range of one memory, from `start` to `end`, the end excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Access {
    pub(crate) storage: Storage,
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) write: bool,
}

impl Access {
    pub(crate) fn read(storage: Storage, start: i64, words: i64) -> Access {
        Access {
            storage,
            start,
            end: start + words,
            write: false,
        }
    }

    pub(crate) fn write(storage: Storage, start: i64, words: i64) -> Access {
        Access {
            storage,
            start,
            end: start + words,
            write: true,
        }
    }

    /// Whether the order of the two decides what is read or what stays.
    pub(crate) fn depends(&self, other: &Access) -> bool {
        self.storage == other.storage
            && (self.write || other.write)
            && self.start < other.end
            && other.start < self.end
    }

    /// Whether both need the same port of the same bank.
    pub(crate) fn shares_port(&self, other: &Access, bank_words: i64) -> bool {
        self.storage == Storage::Banks
            && other.storage == Storage::Banks
            && self.write == other.write
            && self.start / bank_words <= (other.end - 1) / bank_words
            && other.start / bank_words <= (self.end - 1) / bank_words
    }
}

/// What an address in memory counts from; instructions, constants and tensors follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Base {
    Constants,
    Tensors,
}

/// A word in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) base: Base,
    pub(crate) word: u32,
}

/// One run.
#[derive(Clone, Debug)]
pub(crate) struct Op {
    /// A load or store has its address in memory from `base` on.
    pub(crate) operation: Operation,
    pub(crate) base: Base,
    pub(crate) accesses: Vec<Access>,
    pub(crate) layer: u16,
    /// The step of the schedule, by which loads are moved ahead.
    pub(crate) step: u32,
}

impl Op {
    pub(crate) fn engine(&self) -> Engine {
        self.operation.engine()
    }

    /// Whether the order of the two operations decides the result.
    pub(crate) fn depends(&self, other: &Op) -> bool {
        self.accesses
            .iter()
            .any(|a| other.accesses.iter().any(|b| a.depends(b)))
    }
}
