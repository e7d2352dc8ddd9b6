//! A machine that runs one program after the other, and what it knows of the last one.

use ir::MemoryModel;
use ir::arch::Arch;
use ir::isa::Instruction;
use ir::operation::{OperandError, Operation, Registers};
use ir::program::{Checked, Program};
use ir::timing::Timeline;

use crate::error::SimError;
use crate::function::{Scratch, Values};
use crate::hazard::Hazards;
use crate::watch::{Proven, Watch};
use crate::{Memory, Outcome, State, record, tokens};

/// What is true of every run of a program, whatever its data: its operations, when they start, and what is counted.
///
/// Cycles do not depend on values, and neither does the order of accesses: both are found out once.
pub(crate) struct Plan {
    instructions: Vec<Instruction>,
    arch_hash: u64,
    model: MemoryModel,
    /// As the program finds them, and as it leaves them.
    registers: [Registers; 2],
    operations: Vec<Operation>,
    timeline: Timeline,
    /// The indices of instructions and operations, in the order of their starts.
    by_start: Vec<(usize, usize)>,
}

impl Plan {
    /// Decodes a program for a machine with these `registers`, and finds out when each instruction runs.
    ///
    /// # Errors
    /// [`SimError`] for an operation that the machine cannot do, or a semaphore that is raised too often.
    pub(crate) fn of(
        registers: &Registers,
        checked: Checked<'_>,
        model: MemoryModel,
    ) -> Result<Plan, SimError> {
        let (program, arch) = (checked.program, checked.arch);
        let fault = |(index, error): (usize, OperandError)| SimError::Operand {
            index,
            instruction: program.instructions[index].to_string(),
            reason: error.to_string(),
        };
        let mut after = registers.clone();
        let operations = Operation::all(&program.instructions, &mut after, arch).map_err(fault)?;
        for (index, operation) in runs(program).zip(&operations) {
            operation
                .fits(arch)
                .map_err(|error| fault((index, error)))?;
        }
        let timeline = Timeline::of(&program.instructions, &operations, arch, model);
        tokens::check(checked, &timeline)?;
        Ok(Plan {
            instructions: program.instructions.clone(),
            arch_hash: program.arch_hash,
            model,
            registers: [registers.clone(), after],
            by_start: by_start(program, &operations, &timeline),
            operations,
            timeline,
        })
    }

    /// It as the plan of this program on a machine with these `registers`, if it is one.
    fn for_run(
        mut self,
        registers: &Registers,
        checked: Checked<'_>,
        model: MemoryModel,
    ) -> Option<Plan> {
        let (program, arch) = (checked.program, checked.arch);
        let is_same = self.model == model
            && self.arch_hash == program.arch_hash
            && self.instructions == program.instructions;
        if is_same && self.registers[0] != *registers {
            // A program that sets what it needs does the same from any registers.
            let mut after = registers.clone();
            let operations = Operation::all(&program.instructions, &mut after, arch).ok()?;
            self.registers = [registers.clone(), after];
            return (operations == self.operations).then_some(self);
        }
        is_same.then_some(self)
    }

    /// Computes all values; `watch` sees each access.
    pub(crate) fn run<W: Watch>(
        &self,
        checked: Checked<'_>,
        state: &mut State,
        scratch: &mut Scratch,
        memory: &mut Memory,
        watch: W,
    ) -> Result<(), SimError> {
        state.registers.clone_from(&self.registers[1]);
        let mut values = Values::new(checked, state, memory, scratch, watch);
        for &(index, nth) in &self.by_start {
            values.execute(index, &self.operations[nth])?;
        }
        Ok(())
    }

    /// What a run gives beside values.
    pub(crate) fn outcome(&self, checked: Checked<'_>, traced: bool) -> Outcome {
        record::outcome(checked, &self.operations, &self.timeline, traced)
    }
}

/// The machine of an arch. Registers and local memories keep what a run left in them, as on a board.
pub struct Simulator {
    state: State,
    scratch: Scratch,
    last: Option<(Plan, Outcome)>,
}

impl Simulator {
    /// A machine after reset.
    pub fn new(arch: &Arch) -> Simulator {
        Simulator {
            state: State::new(arch),
            scratch: Scratch::new(arch),
            last: None,
        }
    }

    /// Runs a program with its values, as [`crate::simulate`] does.
    ///
    /// The order of accesses is proven when a program runs for the first time; the same program again is only computed.
    ///
    /// # Errors
    /// [`SimError`]; the machine and `memory` are then as the program left them.
    ///
    /// # Panics
    /// As [`crate::simulate`].
    pub fn run(
        &mut self,
        checked: Checked<'_>,
        memory: &mut Memory,
        model: MemoryModel,
    ) -> Result<&Outcome, SimError> {
        let known = self.last.take().and_then(|(plan, outcome)| {
            let plan = plan.for_run(&self.state.registers, checked, model);
            Some((plan?, outcome))
        });
        let known = match known {
            Some((plan, outcome)) => {
                plan.run(checked, &mut self.state, &mut self.scratch, memory, Proven)?;
                (plan, outcome)
            }
            None => {
                let plan = Plan::of(&self.state.registers, checked, model)?;
                let hazards = Hazards::new(checked, memory.words(checked.arch));
                plan.run(checked, &mut self.state, &mut self.scratch, memory, hazards)?;
                let outcome = plan.outcome(checked, false);
                (plan, outcome)
            }
        };
        Ok(&self.last.insert(known).1)
    }
}

/// The indices of the run instructions.
fn runs(program: &Program) -> impl Iterator<Item = usize> {
    let instructions = program.instructions.iter().enumerate();
    let runs = instructions.filter(|(_, instruction)| matches!(instruction, Instruction::Run(_)));
    runs.map(|(index, _)| index)
}

/// The indices of instructions and of their operations, in the order of their starts.
fn by_start(
    program: &Program,
    operations: &[Operation],
    timeline: &Timeline,
) -> Vec<(usize, usize)> {
    let mut ordered: Vec<(usize, usize)> = runs(program).zip(0..).collect();
    let mut start = vec![0; program.instructions.len()];
    for step in timeline.steps.iter().flatten() {
        start[step.index] = step.start;
    }
    ordered.sort_by_key(|&(index, nth)| (start[index], operations[nth].engine()));
    ordered
}
