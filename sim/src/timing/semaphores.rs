//! The counting semaphores between engines.

use ir::arch::Arch;
use ir::isa::{Run, Semaphore, Wait};
use ir::program::Program;

use super::NEVER;
use crate::error::SimError;

/// Counts, and the signals that are still to come.
pub(crate) struct Semaphores {
    counts: Vec<u32>,
    limit: u32,
    /// Signals under way: cycle, semaphore, index of the instruction.
    ///
    /// An instruction that raises nothing has its signal cycle too: until then the machine is not quiet.
    pending: Vec<(u64, Option<Semaphore>, usize)>,
}

impl Semaphores {
    pub(crate) fn new(arch: &Arch) -> Semaphores {
        Semaphores {
            counts: vec![0; arch.semaphores.count as usize],
            limit: (1 << arch.semaphores.bits) - 1,
            pending: Vec::new(),
        }
    }

    /// The first wait of `run` that is not satisfied.
    pub(crate) fn missing(&self, run: &Run) -> Option<Wait> {
        let short = |wait: &&Wait| self.counts[wait.semaphore.0 as usize] < u32::from(wait.amount);
        run.waits.iter().flatten().find(short).copied()
    }

    /// Takes the tokens of `run`, which must all be there.
    pub(crate) fn take(&mut self, run: &Run) {
        for wait in run.waits.iter().flatten() {
            self.counts[wait.semaphore.0 as usize] -= u32::from(wait.amount);
        }
    }

    /// Notes that instruction `index` raises the semaphores of `run` in `cycle`.
    pub(crate) fn schedule(&mut self, run: &Run, index: usize, cycle: u64) {
        let raised = run.signals.iter().filter(|signal| signal.is_some());
        self.pending
            .extend(raised.map(|&signal| (cycle, signal, index)));
        if run.signals == [None; 2] {
            self.pending.push((cycle, None, index));
        }
    }

    /// The next cycle in which a semaphore is raised.
    pub(crate) fn next(&self) -> u64 {
        self.pending
            .iter()
            .map(|(cycle, ..)| *cycle)
            .min()
            .unwrap_or(NEVER)
    }

    /// Raises what is due in `cycle`; to be called after the takes of that cycle, which leave room.
    pub(crate) fn raise(&mut self, cycle: u64, program: &Program) -> Result<(), SimError> {
        for (due, semaphore, index) in self.pending.iter().copied() {
            let Some(semaphore) = semaphore.filter(|_| due == cycle) else {
                continue;
            };
            let id = semaphore.0 as usize;
            if self.counts[id] == self.limit {
                return Err(SimError::Tokens {
                    semaphore: id,
                    meaning: program.semaphores[id].meaning.clone(),
                    limit: self.limit,
                    index,
                    engine: program.semaphores[id].producer,
                    cycle,
                });
            }
            self.counts[id] += 1;
        }
        self.pending.retain(|(due, ..)| *due != cycle);
        Ok(())
    }
}
