//! The latency constants of the machine, in cycles: the single place that states them.
//!
//! The simulator's recurrence and the generated localparams both read these methods.
//! `docs/concepts/timing.md` derives each number from the pipeline.

use super::{Arch, Reduction};
use crate::isa::Opcode;

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

    /// Cycles between the words of a vector operation, and from the last word's first read to the last write.
    ///
    /// A word is one pixel's tile of accumulators, one window element, or one pair of operands.
    pub fn vector_cycles(&self, opcode: Opcode) -> (u64, u64) {
        match opcode {
            Opcode::Requantise => {
                let groups = u64::from(self.array.cols / self.vector.requantise_lanes);
                let interval = u64::from(self.vector.requantise_interval);
                (
                    groups * interval,
                    (groups - 1) * interval + self.requantise_latency() + 1,
                )
            }
            Opcode::Pack => (2, 4),
            Opcode::Lookup => {
                let groups = u64::from(self.word_bytes() / self.vector.table_lanes.max(1));
                (groups, groups + 4)
            }
            _ => (1, 2),
        }
    }
}
