//! Cycles of the operations whose end is known at their start.

use ir::arch::{Arch, Dataflow};
use ir::isa::Opcode;

use crate::operation::{Destination, Exec, MaxPool, Operation};

/// Cycles from start to last cycle of `operation`; none for the transfers, which depend on the memory.
///
/// # Source
/// `docs/concepts/timing.md`, section "Engines".
pub(crate) fn cycles(arch: &Arch, operation: &Operation) -> Option<u64> {
    match operation {
        Operation::Load(..) | Operation::Store(..) => None,
        Operation::Exec(op) => Some(exec(arch, op)),
        Operation::Requantise(op) => Some(words(arch, Opcode::Requantise, &op.destination)),
        Operation::MaxPool(op) => Some(max_pool(op)),
        Operation::Lookup(op) => Some(words(arch, Opcode::Lookup, &op.destination)),
        Operation::Pack(op) => Some(words(arch, Opcode::Pack, &op.destination)),
    }
}

fn exec(arch: &Arch, op: &Exec) -> u64 {
    let (pixels, steps) = (pixels(op.window.pixels), op.window.steps());
    match op.dataflow {
        Dataflow::OutputStationary => pixels * steps,
        Dataflow::WeightStationary => {
            arch.exec_fill_cycles() + (steps - 1) * arch.exec_step_cycles(pixels) + pixels
        }
    }
}

fn max_pool(op: &MaxPool) -> u64 {
    1 + (pixels(op.window.pixels) * op.window.steps() - 1) + 2
}

fn words(arch: &Arch, opcode: Opcode, destination: &Destination) -> u64 {
    let (slot, tail) = arch.vector_cycles(opcode);
    1 + (pixels(destination.pixels) - 1) * slot + tail
}

fn pixels(bounds: [u32; 2]) -> u64 {
    u64::from(bounds[0]) * u64::from(bounds[1])
}
