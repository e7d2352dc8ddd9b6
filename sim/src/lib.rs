//! Program x Arch to Outcome and Trace.
//!
//! [`simulate`] runs a checked program as the hardware does: to the cycle for the start and end of every
//! instruction, and to the bit for every word of memory.
//!
//! - [`ir::timing`] says what happens when; it knows no values, and the search for mappings asks it too.
//! - `record` counts its cycles as the hardware does, and splits them by layer and cause.
//! - `function` gives each operation its meaning on real memory images; it knows no time.
//! - `watch` is told of each access; `hazard` proves, while values are computed, that semaphores alone put all accesses
//!   in order, whatever the memory does.
//! - `simulator` keeps all of that but the values for the next run of the same program.
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
mod simulator;
mod state;
mod tokens;
pub mod trace;
mod watch;

use ir::MemoryModel;
use ir::isa::Engine;
use ir::program::Checked;

pub use counters::{Counters, EngineCycles, FetchCycles, LayerCycles, Traffic};
pub use error::SimError;
pub use hazard::{Access, Hazard, HazardKind, Place};
pub use simulator::Simulator;
pub use state::{Memory, State};
pub use trace::Trace;

use function::Scratch;
use hazard::Hazards;
use simulator::Plan;

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
    let mut state = State::new(checked.arch);
    let plan = Plan::of(&state.registers, checked, model)?;
    if mode == Mode::Full {
        let hazards = Hazards::new(checked, memory.words(checked.arch));
        let mut scratch = Scratch::new(checked.arch);
        plan.run(checked, &mut state, &mut scratch, memory, hazards)?;
    }
    Ok(plan.outcome(checked, mode == Mode::Trace))
}
