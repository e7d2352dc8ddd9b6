//! The latency constants of the machine, in cycles: the single place that states them.
//!
//! The simulator's recurrence and the generated localparams both read these methods.
//! `docs/concepts/timing.md` derives each number from the pipeline.

use super::{Arch, Dataflow, Reduction};
use crate::isa::Opcode;

/// Cycles from the start of a STORE to the offer of its first burst.
pub const STORE_LEAD: u64 = 3;
/// Cycles from acceptance to the first beat of a read, in memory on chip: the access of a write, and one more.
pub const ON_CHIP_READ: u64 = 2;
/// Cycles from acceptance to the first beat of a write, in memory on chip.
pub const ON_CHIP_WRITE: u64 = 1;

impl Arch {
    /// Cycles from the last issued step of an EXEC to its signal.
    ///
    /// Memory, operand register, product register, sum: 4; a systolic column adds one cycle for each further row.
    pub fn exec_drain_cycles(&self) -> u64 {
        match self.array.reduction {
            Reduction::Dot => 4,
            Reduction::Systolic => u64::from(self.array.rows) + 3,
        }
    }

    /// Cycles of a weight-stationary EXEC before its first step: the reading of the first weight tile by column.
    ///
    /// Where whole tiles are read it is one cycle, so that a tile that continues the sums of the one before never
    /// reads an accumulator that is still being written.
    pub fn exec_fill_cycles(&self) -> u64 {
        if self.reads_whole_tiles() {
            1
        } else {
            u64::from(self.array.cols)
        }
    }

    /// Cycles of one reduction step over `pixels` in weight-stationary order, the last step of a tile excepted.
    ///
    /// At least the reading of the next weight tile, and at least 3: an accumulator that is read again sooner
    /// would miss its last update.
    pub fn exec_step_cycles(&self, pixels: u64) -> u64 {
        pixels.max(self.exec_fill_cycles()).max(3)
    }

    /// Cycles from a value entering a requantise unit to its result.
    pub fn requantise_latency(&self) -> u64 {
        match self.vector.requantise_interval {
            1 => 7,
            2 => 8,
            _ => 10,
        }
    }

    /// Cycles of an EXEC from its start to its last cycle.
    pub fn exec_cycles(&self, dataflow: Dataflow, pixels: u64, steps: u64) -> u64 {
        match dataflow {
            Dataflow::OutputStationary => pixels * steps,
            Dataflow::WeightStationary => {
                self.exec_fill_cycles() + (steps - 1) * self.exec_step_cycles(pixels) + pixels
            }
        }
    }

    /// Cycles of an operation of VEC on `n` words from its start to its last cycle.
    ///
    /// A word is one pixel's tile of accumulators, one window element, or one pair of operands.
    pub fn vec_cycles(&self, opcode: Opcode, n: u64) -> u64 {
        let (slot, tail) = self.vec_pace(opcode);
        1 + (n - 1) * slot + tail
    }

    /// Cycles between the words of an operation of VEC, and from the last word's first read to the last write.
    fn vec_pace(&self, opcode: Opcode) -> (u64, u64) {
        match opcode {
            Opcode::Requantise => {
                let groups = u64::from(self.array.cols / self.vector.requantise_lanes);
                let interval = u64::from(self.vector.requantise_interval);
                (
                    groups * interval,
                    (groups - 1) * interval + self.requantise_latency() + 1,
                )
            }
            Opcode::MaxPool => (1, 2),
            Opcode::Pack => (2, 4),
            Opcode::Lookup => {
                let groups = u64::from(self.word_bytes() / self.vector.table_lanes.max(1));
                (groups, groups + 4)
            }
            Opcode::Load | Opcode::Exec | Opcode::Store => unreachable!("no operation of VEC"),
        }
    }
}
