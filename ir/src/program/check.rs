//! The check that a Program ends: it is executed without time, with the Arch's queue depths.
//!
//! Engines only add tokens, remove their own, and free their own queue, and each semaphore has one
//! consumer; so any order of steps reaches the same end, and one execution decides deadlock.

use std::collections::VecDeque;

use super::Program;
use crate::arch::Arch;
use crate::isa::{Engine, Instruction, Run};
use crate::operation::{OperandError, Operation, Registers};

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
    #[diagnostic(code(program::unit), help("compile the network again for this arch"))]
    Unit {
        /// Index in the program.
        index: usize,
        /// Its text.
        instruction: String,
    },
    /// An operand for which the operation has no meaning; hardware would give anything, or never end.
    #[error("instruction {index} `{instruction}`: {error}")]
    #[diagnostic(
        code(program::operand),
        help("set the register in front of the operation; registers are 0 after reset")
    )]
    Operand {
        /// Index in the program.
        index: usize,
        /// Its text.
        instruction: String,
        /// The value, and what is possible.
        error: OperandError,
    },
    /// More work than any network needs.
    #[error("the program takes {steps} steps up to instruction {index}: {limit} at most")]
    #[diagnostic(
        code(program::steps),
        help("split the program; the largest networks of the zoo take a thousandth of it")
    )]
    Steps {
        /// Index of the instruction that is too much.
        index: usize,
        /// Words moved, and steps of all loops.
        steps: u64,
        /// How many may be.
        limit: u64,
    },
    /// A semaphore is used by an engine that does not own that side of it, or does not exist, or is waited for twice.
    #[error("instruction {index} `{instruction}`: {reason}")]
    #[diagnostic(
        code(program::semaphore),
        help("a semaphore has one producer and one consumer, and an instruction uses it once")
    )]
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
    #[diagnostic(
        code(program::tokens),
        help("let the consumer wait for every token before the program ends: 0 must be left")
    )]
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
    #[diagnostic(
        code(program::memory),
        help("compile the network again for this arch, or raise `memory.words`")
    )]
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
        let mut registers = Registers::default();
        let mut steps = 0;
        for (index, instruction) in self.instructions.iter().enumerate() {
            match instruction {
                Instruction::Nop => {}
                Instruction::Configure { register, value } => {
                    registers.set(*register, *value);
                }
                Instruction::Run(run) => {
                    self.check_instruction(arch, index, run)?;
                    let fault = |error| CheckError::Operand {
                        index,
                        instruction: instruction.to_string(),
                        error,
                    };
                    let operation = Operation::read(&registers, run).map_err(fault)?;
                    operation.fits(arch).map_err(fault)?;
                    steps += operation.steps();
                    if steps > STEP_LIMIT {
                        return Err(CheckError::Steps {
                            index,
                            steps,
                            limit: STEP_LIMIT,
                        });
                    }
                }
            }
        }
        Execution::new(self, arch).run()?;
        Ok(Checked {
            program: self,
            arch,
        })
    }

    fn check_instruction(&self, arch: &Arch, index: usize, run: &Run) -> Result<(), CheckError> {
        let instruction = Instruction::Run(*run);
        if !Operation::has_unit(arch, run) {
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

/// Steps of a program that no network needs, and that keep a simulator busy for minutes.
const STEP_LIMIT: u64 = 1 << 32;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::SemaphoreUse;

    /// A program of the text on the example arch `both`; semaphore 0 goes from load to vec.
    #[track_caller]
    fn check(text: &str, expected: Result<(), &str>) {
        let toml = include_str!("../../../examples/archs/both.toml");
        let arch = crate::arch::read("both.toml", toml).expect("it is an arch");
        let instructions: Vec<Instruction> = text
            .lines()
            .map(|line| line.parse().expect("it is an instruction"))
            .collect();
        let program = Program {
            network: "n".into(),
            arch_hash: arch.hash(),
            layer_of: vec![0; instructions.len()],
            instructions,
            layers: vec!["l".into()],
            semaphores: vec![SemaphoreUse {
                meaning: "loaded".into(),
                producer: Engine::Load,
                consumer: Engine::Vec,
            }],
            constants_word: 64,
            constants: Vec::new(),
            memory_words: 64,
            inputs: Vec::new(),
            outputs: Vec::new(),
            intermediates: Vec::new(),
        };
        let given = program.check(&arch).map(|_| ()).map_err(|error| {
            assert!(miette::Diagnostic::help(&error).is_some(), "{error}");
            error.to_string()
        });
        assert_eq!(given, expected.map_err(str::to_owned));
    }

    #[test]
    fn tokens_that_are_left_are_refused() {
        let load = "load.length words=1\nload signal=0";
        check(
            &format!("{load}\nvec.pixels x=1 y=1\nlookup wait=0:1"),
            Ok(()),
        );
        check(
            load,
            Err("semaphore 0 (`loaded`) holds 1 tokens at the end"),
        );
    }

    #[test]
    fn operations_of_no_length_are_refused() {
        for (text, message) in [
            (
                "load",
                "instruction 0 `load`: `words` of `load.length` is 0: at least 1 is possible",
            ),
            (
                "load.length words=1048575\nload\nload.length words=0\nload",
                "instruction 3 `load`: `words` of `load.length` is 0: at least 1 is possible",
            ),
            (
                "store",
                "instruction 0 `store`: `words` of `store.length` is 0: at least 1 is possible",
            ),
            (
                "exec.reduction kernel_x=1 kernel_y=0 blocks=1\nexec",
                "instruction 1 `exec`: `kernel_y` of `exec.reduction` is 0: at least 1 is possible",
            ),
            (
                "exec.reduction kernel_x=1 kernel_y=1 blocks=1\nexec.pixels x=0 y=4\nexec",
                "instruction 2 `exec`: `x` of `exec.pixels` is 0: at least 1 is possible",
            ),
            (
                "exec.reduction kernel_x=1 kernel_y=1 blocks=1\nexec.pixels x=43 y=3\nexec",
                "instruction 2 `exec`: the number of pixels is 129: 128 at most",
            ),
            (
                "requantise",
                "instruction 0 `requantise`: `x` of `vec.pixels` is 0: at least 1 is possible",
            ),
            (
                "vec.pixels x=1 y=1\nvec.clamp low=3 high=2 dropped=0\nlookup",
                "instruction 2 `lookup`: `low` of `vec.clamp` is 3: `high`, 2, at most",
            ),
            (
                "vec.pixels x=1 y=1\nvec.group group=1\nrequantise",
                "instruction 2 `requantise`: the first byte of `vec.group` is 8: 7 at most",
            ),
            (
                "vec.pixels x=1 y=1\nmax_pool",
                "instruction 1 `max_pool`: `kernel_x` of `vec.window` is 0: at least 1 is possible",
            ),
            (
                "vec.pixels x=2047 y=2047\nvec.window kernel_x=63 kernel_y=63 blocks=1023\nmax_pool",
                "the program takes 17013451129983 steps up to instruction 2: 4294967296 at most",
            ),
            (
                "vec.pixels x=1 y=1\nvec.window kernel_x=6 kernel_y=0 blocks=0\nvec.pack lane=3 padding=0\npack",
                "instruction 3 `pack`: the last lane of `vec.pack` is 9: 8 at most",
            ),
        ] {
            check(text, Err(message));
        }
    }
}
