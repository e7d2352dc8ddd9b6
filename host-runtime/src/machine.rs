//! What the simulator and the RTL have in common: a program runs on a memory image, with cycles and spans.
//!
//! Devices, `verify` and the random programs all stand on [`Machine`]; it knows no networks.

use ir::MemoryModel;
use ir::isa::{Engine, Instruction};
use ir::program::Checked;
use serde::{Deserialize, Serialize};

use crate::Error;

/// Start and signal of one run instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Span {
    /// The engine.
    pub engine: Engine,
    /// The position among the engine's run instructions.
    pub nth: u32,
    /// Cycle in which it starts.
    pub start: u64,
    /// Cycle in which it raises its signals.
    pub signal: u64,
}

/// The result of one run of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineRun {
    /// Cycles from the doorbell until the machine is quiet.
    pub cycles: u64,
    /// The hardware counters by name; `None` when the design has none.
    pub counters: Option<Vec<(String, u64)>>,
    /// Every run instruction, by engine, then in order.
    pub spans: Vec<Span>,
}

/// Something that executes programs to the cycle.
///
/// Registers and local memories keep what a run left in them, as on a board, until a reset.
pub trait Machine: Send {
    /// The device's name.
    fn name(&self) -> &'static str;

    /// Rings the doorbell: the next calls of [`Machine::advance`] run `program`.
    fn begin(&mut self, program: Checked, model: MemoryModel);

    /// Advances the run under way by about `cycles` cycles; the result when it ends.
    ///
    /// `memory` is the memory from word 0 on, `memory_words` of the program, with its image and inputs.
    ///
    /// # Errors
    /// What is wrong with program or machine, which is then reset.
    fn advance(
        &mut self,
        program: Checked,
        memory: &mut Vec<u8>,
        cycles: u64,
    ) -> Result<Option<MachineRun>, Error>;

    /// Ends a run under way; the reason says in which cycle and what each engine was doing.
    fn stop(&mut self, program: Checked) -> Error;

    /// Runs `program` on `memory` from doorbell to end.
    ///
    /// # Errors
    /// [`Error::Timeout`] after `cycle_limit` cycles; otherwise as [`Machine::advance`].
    fn run(
        &mut self,
        program: Checked,
        memory: &mut Vec<u8>,
        model: MemoryModel,
        cycle_limit: u64,
    ) -> Result<MachineRun, Error> {
        self.begin(program, model);
        match self.advance(program, memory, cycle_limit)? {
            Some(run) if run.cycles > cycle_limit => Err(late(self.name(), run.cycles)),
            Some(run) => Ok(run),
            None => Err(self.stop(program)),
        }
    }
}

/// The error of a run that ended beyond its limit, on a machine that cannot be stopped in between.
pub(crate) fn late(device: &'static str, cycle: u64) -> Error {
    Error::Timeout {
        device,
        cycle,
        state: "the run ended there, beyond its limit".to_owned(),
    }
}

/// The memory before a run: the program's image, and zeros up to the program's `memory_words`.
pub fn memory_image(program: Checked) -> Vec<u8> {
    let mut memory = program.program.image(program.arch);
    let needed = program.program.memory_words as usize * program.arch.word_bytes() as usize;
    memory.resize(needed.max(memory.len()), 0);
    memory
}

/// Index in the program of the `nth` run instruction of `engine`.
pub fn instruction_index(instructions: &[Instruction], engine: Engine, nth: u32) -> Option<usize> {
    let is_run = |instruction: &Instruction| matches!(instruction, Instruction::Run(run) if run.opcode.engine() == engine);
    instructions
        .iter()
        .enumerate()
        .filter(|(_, instruction)| is_run(instruction))
        .nth(nth as usize)
        .map(|(index, _)| index)
}
