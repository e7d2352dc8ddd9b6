//! Whether a semaphore is raised above what its counter can hold.

use ir::arch::Arch;
use ir::isa::{Engine, Instruction};
use ir::program::{Checked, Program};
use ir::timing::{Step, Timeline};

use crate::error::SimError;

/// Looks for the first raise that finds its counter full.
///
/// # Errors
/// [`SimError::Tokens`] for it.
pub(crate) fn check(checked: Checked<'_>, timeline: &Timeline) -> Result<(), SimError> {
    let (program, arch) = (checked.program, checked.arch);
    let overflows = (0..program.semaphores.len()).filter_map(|semaphore| {
        let tokens = Tokens {
            program,
            semaphore,
            raises: &timeline.steps[program.semaphores[semaphore].producer.index()],
            takes: &timeline.steps[program.semaphores[semaphore].consumer.index()],
        };
        tokens.overflow(arch)
    });
    match overflows.min_by_key(|overflow| overflow.cycle) {
        Some(overflow) => Err(overflow.error(program, arch)),
        None => Ok(()),
    }
}

fn limit(arch: &Arch) -> u32 {
    (1 << arch.semaphores.bits) - 1
}

/// What happens to one semaphore.
struct Tokens<'a> {
    program: &'a Program,
    semaphore: usize,
    raises: &'a [Step],
    takes: &'a [Step],
}

/// A raise that finds its counter full.
struct Overflow {
    semaphore: usize,
    index: usize,
    cycle: u64,
}

impl Overflow {
    fn error(&self, program: &Program, arch: &Arch) -> SimError {
        let usage = &program.semaphores[self.semaphore];
        let engine: Engine = usage.producer;
        SimError::Tokens {
            semaphore: self.semaphore,
            meaning: usage.meaning.clone(),
            limit: limit(arch),
            index: self.index,
            engine,
            cycle: self.cycle,
        }
    }
}

impl Tokens<'_> {
    /// Tokens taken and raised by `step`.
    fn moved(&self, step: &Step) -> (u32, u32) {
        let Instruction::Run(run) = &self.program.instructions[step.index] else {
            return (0, 0);
        };
        let waits = run.waits.iter().flatten();
        let own = waits.filter(|wait| wait.semaphore.0 as usize == self.semaphore);
        let taken = own.map(|wait| u32::from(wait.amount)).sum();
        let signals = run.signals.iter().flatten();
        let raised = signals.filter(|signal| signal.0 as usize == self.semaphore);
        (taken, raised.count() as u32)
    }

    /// The tokens of a cycle are taken before others are raised, which leaves room.
    fn overflow(&self, arch: &Arch) -> Option<Overflow> {
        let mut takes = self.takes.iter().peekable();
        let mut held = 0;
        for step in self.raises {
            let (_, raised) = self.moved(step);
            let Some(cycle) = step.signal.filter(|_| raised > 0) else {
                continue;
            };
            while let Some(take) = takes.next_if(|take| take.start <= cycle) {
                held -= self.moved(take).0;
            }
            held += raised;
            if held > limit(arch) {
                return Some(Overflow {
                    semaphore: self.semaphore,
                    index: step.index,
                    cycle,
                });
            }
        }
        None
    }
}
