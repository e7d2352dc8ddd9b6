//! Program x Arch to Outcome and Trace.
//!
//! [`simulate`] runs a checked program as the hardware does: to the cycle for the start and end of every
//! instruction, and to the bit for every word of memory.
//!
//! - [`ir::timing`] says what happens when; it knows no values, and the search for mappings asks it too.
//! - `record` counts its cycles as the hardware does, and splits them by layer and cause.
//! - `function` gives each operation its meaning on real memory images; it knows no time.
//! - `hazard` proves, while values are computed, that semaphores alone put all accesses in order, whatever the
//!   memory does.
//!
//! Not here: what a program is for (`mapper`), what a network means (`ir`), and any hardware number (`ir::arch`).
//!
//! # Example
//!
//! ```ignore
#![doc = include_str!("../tests/simple.rs")]
//! ```

mod counters;
mod error;
mod function;
mod hazard;
mod record;
mod state;
mod tokens;
pub mod trace;

use ir::MemoryModel;
use ir::Program;
use ir::isa::{Engine, Instruction};
use ir::operation::{OperandError, Operation};
use ir::program::Checked;
use ir::timing::Timeline;

pub use counters::{Counters, EngineCycles, FetchCycles, LayerCycles, Traffic};
pub use error::SimError;
pub use hazard::{Access, Hazard, HazardKind, Place};
pub use state::{Memory, State};
pub use trace::Trace;

use function::Values;

/// How much is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Cycles only: neither memory nor local memories change, and no hazard is seen.
    Timing,
    /// Cycles and a [`Trace`], otherwise as [`Mode::Timing`].
    Trace,
    /// Cycles and values.
    Full,
}

/// When one `run` instruction ran, in cycles after the doorbell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Span {
    /// Index in the program.
    pub index: usize,
    /// The engine.
    pub engine: Engine,
    /// The cycle in which it started.
    pub start: u64,
    /// The last cycle in which the engine was busy with it.
    pub last: u64,
    /// The cycle in which its semaphores were raised.
    pub signal: u64,
}

/// What a run gave, beside the contents of the memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Cycles from the doorbell until the machine was quiet.
    pub cycles: u64,
    /// All `run` instructions, in program order.
    pub instructions: Vec<Span>,
    /// What the hardware counts.
    pub counters: Counters,
    /// The engine counters split by layer, as in [`ir::Program::layers`]; a last row holds what came after an
    /// engine's last instruction.
    pub layers: Vec<[LayerCycles; 4]>,
    /// Words, bursts and multiplications.
    pub traffic: Traffic,
    /// The events, in [`Mode::Trace`].
    pub trace: Option<Trace>,
}

/// Runs a program on a machine after reset.
///
/// `memory` holds the image of the program and its inputs, see [`Memory::of`]; afterwards it holds the outputs.
/// It is looked at in [`Mode::Full`] alone, and may be empty otherwise.
///
/// # Errors
/// [`SimError`]: the program would not do on hardware what it says.
///
/// # Panics
/// When `checked` was not made by `ir::Program::check` and the program does not end.
pub fn simulate(
    checked: Checked<'_>,
    memory: &mut Memory,
    model: MemoryModel,
    mode: Mode,
) -> Result<Outcome, SimError> {
    simulate_from(&mut State::new(checked.arch), checked, memory, model, mode)
}

/// Runs a program on a machine that has run others before: `state` is what they left.
///
/// Without values only the registers of `state` change.
///
/// # Errors
/// As [`simulate`]; `state` and `memory` are then as the program left them.
///
/// # Panics
/// As [`simulate`].
pub fn simulate_from(
    state: &mut State,
    checked: Checked<'_>,
    memory: &mut Memory,
    model: MemoryModel,
    mode: Mode,
) -> Result<Outcome, SimError> {
    let (program, arch) = (checked.program, checked.arch);
    let fault = |(index, error): (usize, OperandError)| SimError::Operand {
        index,
        instruction: program.instructions[index].to_string(),
        reason: error.to_string(),
    };
    let operations = Operation::all(&program.instructions, &mut state.registers, arch);
    let operations = operations.map_err(fault)?;
    for (index, operation) in runs(program).zip(&operations) {
        operation
            .fits(arch)
            .map_err(|error| fault((index, error)))?;
    }
    let timeline = Timeline::of(&program.instructions, &operations, arch, model);
    tokens::check(checked, &timeline)?;
    if mode == Mode::Full {
        let mut values = Values::new(checked, state, memory);
        for (index, operation) in by_start(program, &operations, &timeline) {
            values.execute(index, operation)?;
        }
    }
    let traced = mode == Mode::Trace;
    Ok(record::outcome(checked, &operations, &timeline, traced))
}

/// The indices of the run instructions.
fn runs(program: &Program) -> impl Iterator<Item = usize> {
    let instructions = program.instructions.iter().enumerate();
    let runs = instructions.filter(|(_, instruction)| matches!(instruction, Instruction::Run(_)));
    runs.map(|(index, _)| index)
}

/// The operations in the order of their starts, with the indices of their instructions.
fn by_start<'a>(
    program: &Program,
    operations: &'a [Operation],
    timeline: &Timeline,
) -> Vec<(usize, &'a Operation)> {
    let mut ordered: Vec<(usize, &Operation)> = runs(program).zip(operations).collect();
    let mut start = vec![0; program.instructions.len()];
    for step in timeline.steps.iter().flatten() {
        start[step.index] = step.start;
    }
    ordered.sort_by_key(|(index, operation)| (start[*index], operation.engine()));
    ordered
}
