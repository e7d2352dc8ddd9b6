//! The check that a Program ends: it is executed without time, with the Arch's queue depths.
//!
//! Engines only add tokens, remove their own, and free their own queue, and each semaphore has one
//! consumer; so any order of steps reaches the same end, and one execution decides deadlock.

use std::collections::VecDeque;

use super::Program;
use crate::arch::Arch;
use crate::isa::{Engine, Instruction, Run};

/// A program that no device may load; always a bug in the compiler or in a hand-written program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, miette::Diagnostic)]
pub enum CheckError {
    /// Compiled for another Arch.
    #[error("the program is for arch {program:016x}, this is arch `{name}` {arch:016x}")]
    #[diagnostic(code(program::arch), help("compile the network again for this arch"))]
    Arch {
        /// Hash in the program.
        program: u64,
        /// Name of the arch at hand.
        name: String,
        /// Its hash.
        arch: u64,
    },
    /// An operation that the design does not have.
    #[error("instruction {index} `{instruction}`: this arch has no unit for it")]
    #[diagnostic(code(program::unit))]
    Unit {
        /// Index in the program.
        index: usize,
        /// Its text.
        instruction: String,
    },
    /// A semaphore is used by an engine that does not own that side of it, or does not exist, or is waited for twice.
    #[error("instruction {index} `{instruction}`: {reason}")]
    #[diagnostic(code(program::semaphore))]
    Semaphore {
        /// Index in the program.
        index: usize,
        /// Its text.
        instruction: String,
        /// What is wrong.
        reason: String,
    },
    /// No engine can go on.
    #[error("the program stops at {}", stuck.join("; "))]
    #[diagnostic(
        code(program::deadlock),
        help(
            "each waits for a token that an instruction behind it, or behind a full queue, would signal"
        )
    )]
    Deadlock {
        /// What each engine waits for.
        stuck: Vec<String>,
    },
    /// Tokens are left at the end, so that a second run would differ from the first.
    #[error("semaphore {semaphore} (`{meaning}`) holds {tokens} tokens at the end")]
    #[diagnostic(code(program::tokens))]
    Tokens {
        /// Index of the semaphore.
        semaphore: usize,
        /// What it is for.
        meaning: String,
        /// Tokens left.
        tokens: u32,
    },
    /// The program and its data do not fit the memory.
    #[error("the program needs {needed} words of memory, the arch has {available}")]
    #[diagnostic(code(program::memory))]
    Memory {
        /// Words needed.
        needed: u32,
        /// Words there are.
        available: u32,
    },
}

/// Proof that a program passed [`Program::check`].
#[derive(Clone, Copy, Debug)]
pub struct Checked<'a> {
    /// The program.
    pub program: &'a Program,
    /// The arch it was checked against.
    pub arch: &'a Arch,
}

impl Program {
    /// Checks that the program is for `arch`, uses what `arch` has, and ends with all tokens taken.
    ///
    /// # Errors
    /// The first [`CheckError`].
    pub fn check<'a>(&'a self, arch: &'a Arch) -> Result<Checked<'a>, CheckError> {
        if self.arch_hash != arch.hash() {
            return Err(CheckError::Arch {
                program: self.arch_hash,
                name: arch.name.clone(),
                arch: arch.hash(),
            });
        }
        if self.memory_words > arch.memory.words {
            return Err(CheckError::Memory {
                needed: self.memory_words,
                available: arch.memory.words,
            });
        }
        for (index, instruction) in self.instructions.iter().enumerate() {
            self.check_instruction(arch, index, instruction)?;
        }
        Execution::new(self, arch).run()?;
        Ok(Checked {
            program: self,
            arch,
        })
    }

    fn check_instruction(
        &self,
        arch: &Arch,
        index: usize,
        instruction: &Instruction,
    ) -> Result<(), CheckError> {
        let Instruction::Run(run) = instruction else {
            return Ok(());
        };
        if !arch.runs(run.opcode) {
            return Err(CheckError::Unit {
                index,
                instruction: instruction.to_string(),
            });
        }
        let fault = |reason: String| {
            Err(CheckError::Semaphore {
                index,
                instruction: instruction.to_string(),
                reason,
            })
        };
        let engine = run.opcode.engine();
        let users = run
            .waits
            .iter()
            .flatten()
            .map(|w| (w.semaphore, false))
            .chain(run.signals.iter().flatten().map(|s| (*s, true)));
        for (semaphore, signals) in users {
            let id = semaphore.0;
            let Some(usage) = self
                .semaphores
                .get(id as usize)
                .filter(|_| u32::from(id) < arch.semaphores.count)
            else {
                return fault(format!("there is no semaphore {id}"));
            };
            let (owner, side) = if signals {
                (usage.producer, "producer")
            } else {
                (usage.consumer, "consumer")
            };
            if owner != engine {
                return fault(format!("the {side} of semaphore {id} is {}", owner.name()));
            }
        }
        match (run.waits, run.signals) {
            ([Some(a), Some(b)], _) if a.semaphore == b.semaphore => {
                fault("it waits for one semaphore twice".to_owned())
            }
            (_, [Some(a), Some(b)]) if a == b => fault("it signals one semaphore twice".to_owned()),
            _ => Ok(()),
        }
    }
}

struct Execution<'a> {
    program: &'a Program,
    depth: usize,
    next: usize,
    queues: [VecDeque<usize>; 4],
    tokens: Vec<u32>,
}

impl<'a> Execution<'a> {
    fn new(program: &'a Program, arch: &Arch) -> Self {
        let tokens = vec![0; program.semaphores.len()];
        Execution {
            program,
            depth: arch.queues.depth as usize,
            next: 0,
            queues: Default::default(),
            tokens,
        }
    }

    fn run(mut self) -> Result<(), CheckError> {
        loop {
            let mut moved = self.dispatch();
            for engine in Engine::ALL {
                moved |= self.step(engine);
            }
            if !moved {
                break;
            }
        }
        if self.next < self.program.instructions.len() || self.queues.iter().any(|q| !q.is_empty())
        {
            return Err(CheckError::Deadlock {
                stuck: self.stuck(),
            });
        }
        match self.tokens.iter().position(|t| *t > 0) {
            None => Ok(()),
            Some(semaphore) => Err(CheckError::Tokens {
                semaphore,
                meaning: self.program.semaphores[semaphore].meaning.clone(),
                tokens: self.tokens[semaphore],
            }),
        }
    }

    fn dispatch(&mut self) -> bool {
        let first = self.next;
        while let Some(instruction) = self.program.instructions.get(self.next) {
            if let Some(engine) = instruction.engine() {
                let queue = &mut self.queues[engine.index()];
                if queue.len() == self.depth {
                    break;
                }
                queue.push_back(self.next);
            }
            self.next += 1;
        }
        self.next > first
    }

    fn step(&mut self, engine: Engine) -> bool {
        let mut moved = false;
        while let Some(&index) = self.queues[engine.index()].front() {
            if let Instruction::Run(run) = &self.program.instructions[index] {
                if !self.take(run) {
                    break;
                }
                run.signals
                    .iter()
                    .flatten()
                    .for_each(|s| self.tokens[s.0 as usize] += 1);
            }
            self.queues[engine.index()].pop_front();
            moved = true;
        }
        moved
    }

    fn take(&mut self, run: &Run) -> bool {
        let ready = run
            .waits
            .iter()
            .flatten()
            .all(|w| self.tokens[w.semaphore.0 as usize] >= u32::from(w.amount));
        if ready {
            run.waits
                .iter()
                .flatten()
                .for_each(|w| self.tokens[w.semaphore.0 as usize] -= u32::from(w.amount));
        }
        ready
    }

    fn stuck(&self) -> Vec<String> {
        let heads = Engine::ALL.iter().filter_map(|engine| {
            let index = *self.queues[engine.index()].front()?;
            Some(format!(
                "instruction {index} `{}`",
                self.program.instructions[index]
            ))
        });
        let fetch = self
            .program
            .instructions
            .get(self.next)
            .map(|i| format!("dispatch of instruction {} `{i}`: queue full", self.next));
        heads.chain(fetch).collect()
    }
}
