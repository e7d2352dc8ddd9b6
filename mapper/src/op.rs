//! One run of an engine before it is encoded: what it does, and what it touches.
//!
//! A list of operations in program order has a meaning of its own, that of executing them one after the other.
//! `order` and `sync` keep exactly this meaning; so neither they nor the lowering can introduce a race.

use ir::isa::{Engine, Opcode, Register};

/// A memory of the machine, or the part of one that is tracked alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Space {
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

impl Space {
    pub(crate) const COUNT: usize = 7;

    pub(crate) fn index(self) -> usize {
        match self {
            Space::Banks => 0,
            Space::Weights => 1,
            Space::Parameters => 2,
            Space::Tables => 3,
            Space::Half(half) => 4 + half as usize,
            Space::Memory => 6,
        }
    }
}

/// A range of one memory, from `start` to `end`, the end excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Access {
    pub(crate) space: Space,
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) write: bool,
}

impl Access {
    pub(crate) fn read(space: Space, start: i64, words: i64) -> Access {
        Access {
            space,
            start,
            end: start + words,
            write: false,
        }
    }

    pub(crate) fn write(space: Space, start: i64, words: i64) -> Access {
        Access {
            space,
            start,
            end: start + words,
            write: true,
        }
    }

    /// Whether the order of the two decides what is read or what stays.
    pub(crate) fn depends(&self, other: &Access) -> bool {
        self.space == other.space
            && (self.write || other.write)
            && self.start < other.end
            && other.start < self.end
    }

    /// Whether both need the same port of the same bank.
    pub(crate) fn shares_port(&self, other: &Access, bank_words: i64) -> bool {
        self.space == Space::Banks
            && other.space == Space::Banks
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
    pub(crate) opcode: Opcode,
    pub(crate) flags: u8,
    /// The registers that it reads, with the values they must have.
    pub(crate) registers: Vec<(Register, Vec<i64>)>,
    /// The address in memory of a load or store.
    pub(crate) place: Option<Place>,
    pub(crate) accesses: Vec<Access>,
    pub(crate) layer: u16,
    /// The step of the schedule, by which loads are moved ahead.
    pub(crate) step: u32,
}

impl Op {
    pub(crate) fn engine(&self) -> Engine {
        self.opcode.engine()
    }

    /// Whether the order of the two operations decides the result.
    pub(crate) fn depends(&self, other: &Op) -> bool {
        self.accesses
            .iter()
            .any(|a| other.accesses.iter().any(|b| a.depends(b)))
    }
}

/// The flag bits of `opcode` for the flags in `names`.
pub(crate) fn flags(opcode: Opcode, names: &[(&str, bool)]) -> u8 {
    names
        .iter()
        .filter(|(_, set)| *set)
        .fold(0, |bits, (name, _)| {
            let bit = opcode
                .flags()
                .iter()
                .position(|flag| flag == name)
                .expect("the operation has this flag");
            bits | 1 << bit
        })
}
