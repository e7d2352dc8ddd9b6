//! Program x Arch to Outcome and Trace.
//!
//! [`simulate`] runs a checked program as the hardware does: to the cycle for the start and end of every
//! instruction, and to the bit for every word of memory.
//!
//! - `timing` moves instructions and bursts through the units; it knows no values.
//! - `function` gives each operation its meaning on real memory images; it knows no time.
//! - `hazard` proves, while values are computed, that semaphores alone put all accesses in order, whatever the
//!   memory does.
//! - What an operation reads from its registers, and how long it takes, is said in [`ir::operation`] for both.
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
mod timing;
pub mod trace;

use ir::isa::Engine;
use ir::program::Checked;

pub use counters::{Counters, EngineCycles, FetchCycles, LayerCycles, Traffic};
pub use error::SimError;
pub use hazard::{Access, Hazard, HazardKind, Place};
pub use state::{Memory, State};
pub use timing::MemoryTiming;
pub use trace::Trace;

use function::Values;
use record::Record;

/// How much is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Cycles only: neither memory nor local memories change, and no hazard is seen.
    Timing,
    /// Cycles and values.
    Full,
    /// Cycles, values and a [`Trace`].
    Trace,
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
/// In [`Mode::Timing`] it is not looked at and may be empty.
///
/// # Errors
/// [`SimError`]: the program would not do on hardware what it says.
///
/// # Panics
/// When `checked` was not made by `ir::Program::check` and the program does not end.
pub fn simulate(
    checked: Checked<'_>,
    memory: &mut Memory,
    timing: MemoryTiming,
    mode: Mode,
) -> Result<Outcome, SimError> {
    simulate_from(&mut State::new(checked.arch), checked, memory, timing, mode)
}

/// Runs a program on a machine that has run others before: `state` is what they left.
///
/// In [`Mode::Timing`] only the registers of `state` change.
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
    timing: MemoryTiming,
    mode: Mode,
) -> Result<Outcome, SimError> {
    let mut record = Record::new(checked, mode == Mode::Trace);
    let mut registers = std::mem::take(&mut state.registers);
    let mut values = (mode != Mode::Timing).then(|| Values::new(checked, state, memory));
    let result = timing::run(
        checked,
        timing,
        &mut registers,
        values.as_mut(),
        &mut record,
    );
    state.registers = registers;
    result.map(|()| record.into_outcome())
}
