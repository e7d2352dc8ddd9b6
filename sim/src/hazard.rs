//! Proof that semaphores put all accesses in order.
//!
//! An engine works in order, and a token is raised when the last result of its instruction is readable.
//! So an instruction on one engine comes after one on another if and only if a chain of tokens leads from it to
//! here. Each semaphore has one producer and one consumer, so the n-th token taken is the n-th one raised, and
//! vector clocks (Fidge 1988, Mattern 1989) decide the question exactly.
//!
//! The answer does not depend on cycles: what passes here is safe with any memory, and what does not pass is at
//! best right by luck.

use std::collections::VecDeque;
use std::fmt;

use ir::arch::Arch;
use ir::isa::{Engine, Instruction};
use ir::program::{Checked, Program};

use crate::watch::{Watch, Words};

/// A place that instructions read or write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A word of an activation bank.
    Bank {
        /// The bank.
        bank: u32,
        /// The word in it.
        word: u32,
    },
    /// A word of the weight memory.
    Weights(u32),
    /// A word of the parameter memory, as LOAD counts them.
    Parameters(u32),
    /// A word of the tables, as LOAD counts them.
    Tables(u32),
    /// The sums of one pixel.
    Accumulators {
        /// The half.
        half: u32,
        /// The pixel in it.
        pixel: u32,
    },
    /// A word of memory.
    Memory(u32),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Bank { bank, word } => write!(f, "word {word} of bank {bank}"),
            Place::Weights(word) => write!(f, "word {word} of the weights"),
            Place::Parameters(word) => write!(f, "word {word} of the parameters"),
            Place::Tables(word) => write!(f, "word {word} of the tables"),
            Place::Accumulators { half, pixel } => {
                write!(f, "pixel {pixel} of accumulator half {half}")
            }
            Place::Memory(word) => write!(f, "word {word} of memory"),
        }
    }
}

/// What is wrong about two accesses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HazardKind {
    /// A word is read that may not have been written yet.
    ReadAfterWrite,
    /// A word is written that may still have to be read.
    WriteAfterRead,
    /// Two engines may use the read port of one bank at once.
    ReadPort,
    /// Two engines may use the write port of one bank at once.
    WritePort,
    /// An instruction reads a word that it has written itself.
    OwnResult,
    /// A STORE writes over the program.
    Program,
}

/// An instruction that uses a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// Index in the program.
    pub index: usize,
    /// The engine.
    pub engine: Engine,
    /// Its text.
    pub instruction: String,
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "instruction {} `{}` on {}",
            self.index,
            self.instruction,
            self.engine.name()
        )
    }
}

/// Two accesses to one place that no chain of semaphores puts in order; always a bug in the compiler or in a
/// hand-written program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, miette::Diagnostic)]
#[error("{second} {}, {place}, {}", self.verb(), self.rest())]
#[diagnostic(
    code(sim::hazard),
    help("let the first instruction signal a semaphore that the second one waits for")
)]
pub struct Hazard {
    /// What is wrong.
    pub kind: HazardKind,
    /// The place.
    pub place: Place,
    /// The access that comes first in the program.
    pub first: Access,
    /// The access that does not wait for it.
    pub second: Access,
}

impl Hazard {
    fn verb(&self) -> &'static str {
        match self.kind {
            HazardKind::ReadAfterWrite | HazardKind::ReadPort | HazardKind::OwnResult => "reads",
            HazardKind::WriteAfterRead | HazardKind::WritePort | HazardKind::Program => "writes",
        }
    }

    fn rest(&self) -> String {
        let first = &self.first;
        match self.kind {
            HazardKind::ReadAfterWrite => format!("but does not wait for {first}, which writes it"),
            HazardKind::WriteAfterRead => format!("but does not wait for {first}, which reads it"),
            HazardKind::ReadPort => format!("but does not wait for {first}, which reads this bank"),
            HazardKind::WritePort => {
                format!("but does not wait for {first}, which writes this bank")
            }
            HazardKind::OwnResult => "which it has written itself".to_owned(),
            HazardKind::Program => "which holds the program".to_owned(),
        }
    }
}

/// The instruction that last touched something: its index plus 1, or 0 for none.
type Touch = u32;

/// The latest accesses to the words of one memory.
#[derive(Default)]
struct Region {
    writers: Vec<Touch>,
    /// By the engine that reads; empty for an engine that never does.
    readers: [Vec<Touch>; 4],
}

impl Region {
    fn new(words: usize, readers: &[Engine]) -> Region {
        let reads = |engine: Engine| {
            if readers.contains(&engine) {
                vec![0; words]
            } else {
                Vec::new()
            }
        };
        Region {
            writers: vec![0; words],
            readers: Engine::ALL.map(reads),
        }
    }
}

/// The instructions of which an engine knows that they have ended: how many of each engine.
type Clock = [u32; 4];

/// The engine of a `run` instruction, and its position among those of the engine, from 1.
#[derive(Clone, Copy)]
struct Turn {
    engine: Engine,
    ordinal: u32,
}

/// The checker, and its view of the instruction that runs now.
pub(crate) struct Hazards<'a> {
    program: &'a Program,
    bank_shift: u32,
    accumulator_pixels: usize,
    program_words: usize,
    /// Of each instruction.
    turns: Vec<Turn>,
    clocks: [Clock; 4],
    /// What the producer of each token knew and did, for all tokens not yet taken.
    tokens: Vec<VecDeque<Clock>>,
    activations: Region,
    weights: Region,
    parameters: Region,
    tables: Region,
    accumulators: Region,
    memory: Region,
    /// Latest reader and writer of each bank by engine.
    bank_readers: Vec<[Touch; 4]>,
    bank_writers: Vec<[Touch; 4]>,
    current: Touch,
    engine: Engine,
}

impl<'a> Hazards<'a> {
    pub(crate) fn new(checked: Checked<'a>, memory_words: usize) -> Hazards<'a> {
        let (program, arch) = (checked.program, checked.arch);
        let banks = arch.activations.banks as usize;
        let activations = banks * arch.activations.words as usize;
        let pixels = arch.accumulators.pixels as usize;
        let parameters = arch.parameters.channels as usize * 8 / arch.word_bytes() as usize;
        let vec = &[Engine::Vec];
        Hazards {
            program,
            bank_shift: arch.activations.words.trailing_zeros(),
            accumulator_pixels: pixels,
            program_words: program_words(program, arch),
            turns: turns(program),
            clocks: [[0; 4]; 4],
            tokens: vec![VecDeque::new(); arch.semaphores.count as usize],
            activations: Region::new(activations, &[Engine::Exec, Engine::Vec, Engine::Store]),
            weights: Region::new(arch.weights.words as usize, &[Engine::Exec]),
            parameters: Region::new(parameters, vec),
            tables: Region::new(arch.table_words() as usize, vec),
            accumulators: Region::new(2 * pixels, vec),
            memory: Region::new(memory_words, &[Engine::Load]),
            bank_readers: vec![[0; 4]; banks],
            bank_writers: vec![[0; 4]; banks],
            current: 0,
            engine: Engine::Load,
        }
    }

    /// Whether the current instruction comes after `touch`, or is it.
    fn follows(&self, touch: Touch) -> bool {
        if touch == 0 {
            return true;
        }
        let index = touch as usize - 1;
        let Turn { engine, ordinal } = self.turns[index];
        self.clocks[self.engine.index()][engine.index()] >= ordinal
    }

    fn region(&mut self, of: Words) -> &mut Region {
        match of {
            Words::Activations => &mut self.activations,
            Words::Weights => &mut self.weights,
            Words::Parameters => &mut self.parameters,
            Words::Tables => &mut self.tables,
            Words::Accumulators => &mut self.accumulators,
            Words::Memory => &mut self.memory,
        }
    }

    fn place(&self, of: Words, word: usize) -> Place {
        match of {
            Words::Activations => Place::Bank {
                bank: (word >> self.bank_shift) as u32,
                word: (word & ((1 << self.bank_shift) - 1)) as u32,
            },
            Words::Weights => Place::Weights(word as u32),
            Words::Parameters => Place::Parameters(word as u32),
            Words::Tables => Place::Tables(word as u32),
            Words::Accumulators => Place::Accumulators {
                half: (word / self.accumulator_pixels) as u32,
                pixel: (word % self.accumulator_pixels) as u32,
            },
            Words::Memory => Place::Memory(word as u32),
        }
    }

    fn read_activation(&mut self, word: usize) -> Result<(), Hazard> {
        let e = self.engine.index();
        if self.activations.readers[e][word] == self.current {
            // Read before and in order then; but a max-pool may have written it since.
            if self.activations.writers[word] == self.current {
                return Err(self.own_result(word));
            }
            return Ok(());
        }
        let writer = self.activations.writers[word];
        if writer == self.current {
            return Err(self.own_result(word));
        }
        if !self.follows(writer) {
            return Err(self.hazard(
                HazardKind::ReadAfterWrite,
                self.place(Words::Activations, word),
                writer,
            ));
        }
        self.activations.readers[e][word] = self.current;
        let bank = word >> self.bank_shift;
        if self.bank_readers[bank][e] != self.current {
            for other in self.bank_readers[bank] {
                if !self.follows(other) {
                    return Err(self.hazard(
                        HazardKind::ReadPort,
                        self.place(Words::Activations, word),
                        other,
                    ));
                }
            }
            self.bank_readers[bank][e] = self.current;
        }
        Ok(())
    }

    fn write_activation(&mut self, word: usize) -> Result<(), Hazard> {
        let e = self.engine.index();
        for readers in &self.activations.readers {
            let reader = readers.get(word).copied().unwrap_or(0);
            if !self.follows(reader) {
                return Err(self.hazard(
                    HazardKind::WriteAfterRead,
                    self.place(Words::Activations, word),
                    reader,
                ));
            }
        }
        let bank = word >> self.bank_shift;
        if self.bank_writers[bank][e] != self.current {
            for other in self.bank_writers[bank] {
                if !self.follows(other) {
                    return Err(self.hazard(
                        HazardKind::WritePort,
                        self.place(Words::Activations, word),
                        other,
                    ));
                }
            }
            self.bank_writers[bank][e] = self.current;
        }
        self.activations.writers[word] = self.current;
        Ok(())
    }

    #[cold]
    fn own_result(&self, word: usize) -> Hazard {
        self.hazard(
            HazardKind::OwnResult,
            self.place(Words::Activations, word),
            self.current,
        )
    }

    /// The finding that the current instruction and `other` are not in order; the program's order says which is first.
    #[cold]
    fn hazard(&self, kind: HazardKind, place: Place, other: Touch) -> Hazard {
        let access = |touch: Touch| {
            let index = touch as usize - 1;
            Access {
                index,
                engine: self.turns[index].engine,
                instruction: self.program.instructions[index].to_string(),
            }
        };
        let kind = match kind {
            HazardKind::ReadAfterWrite if other > self.current => HazardKind::WriteAfterRead,
            HazardKind::WriteAfterRead if other > self.current => HazardKind::ReadAfterWrite,
            kind => kind,
        };
        Hazard {
            kind,
            place,
            first: access(other.min(self.current)),
            second: access(other.max(self.current)),
        }
    }
}

impl Watch for Hazards<'_> {
    /// Begins instruction `index`: it learns what the producers of its tokens knew.
    fn begin(&mut self, index: usize) {
        let Instruction::Run(run) = &self.program.instructions[index] else {
            unreachable!("an operation is that of a run instruction");
        };
        self.engine = run.opcode.engine();
        self.current = index as Touch + 1;
        let e = self.engine.index();
        for wait in run.waits.iter().flatten() {
            let tokens = &mut self.tokens[wait.semaphore.0 as usize];
            let latest = tokens.drain(..usize::from(wait.amount)).next_back();
            let known = latest.expect("a taken token was raised");
            for (mine, theirs) in self.clocks[e].iter_mut().zip(known) {
                *mine = theirs.max(*mine);
            }
        }
        self.clocks[e][e] = self.turns[index].ordinal;
        for semaphore in run.signals.iter().flatten() {
            self.tokens[semaphore.0 as usize].push_back(self.clocks[e]);
        }
    }

    fn read(&mut self, of: Words, word: usize) -> Result<(), Hazard> {
        if of == Words::Activations {
            return self.read_activation(word);
        }
        let (e, current) = (self.engine.index(), self.current);
        let region = self.region(of);
        region.readers[e][word] = current;
        let writer = region.writers[word];
        if self.follows(writer) {
            Ok(())
        } else {
            Err(self.hazard(HazardKind::ReadAfterWrite, self.place(of, word), writer))
        }
    }

    fn write(&mut self, of: Words, word: usize) -> Result<(), Hazard> {
        let current = self.current;
        match of {
            Words::Activations => return self.write_activation(word),
            Words::Memory if word < self.program_words => {
                return Err(self.hazard(HazardKind::Program, self.place(of, word), current));
            }
            _ => {}
        }
        // One engine writes all the others, and one reads them.
        let region = self.region(of);
        region.writers[word] = current;
        let readers = region.readers.iter();
        let readers = readers.filter_map(|readers| readers.get(word));
        let reader = readers.copied().max().unwrap_or(0);
        if self.follows(reader) {
            Ok(())
        } else {
            Err(self.hazard(HazardKind::WriteAfterRead, self.place(of, word), reader))
        }
    }
}

fn turns(program: &Program) -> Vec<Turn> {
    let mut seen = [0; 4];
    let turn = |instruction: &Instruction| match instruction {
        Instruction::Run(run) => {
            let engine = run.opcode.engine();
            seen[engine.index()] += 1;
            Turn {
                engine,
                ordinal: seen[engine.index()],
            }
        }
        // No other touches a memory.
        Instruction::Nop | Instruction::Configure { .. } => Turn {
            engine: Engine::Load,
            ordinal: 0,
        },
    };
    program.instructions.iter().map(turn).collect()
}

fn program_words(program: &Program, arch: &Arch) -> usize {
    ir::program::instruction_words(arch, program.instructions.len()) as usize
}
