//! Programs from assembly text, on the example archs.

#![allow(dead_code, reason = "each test file uses a part")]

use ir::arch::{self, Arch};
use ir::isa::{Engine, Instruction};
use ir::memory::MemoryModel;
use ir::program::{Program, SemaphoreUse, instruction_words};
use sim::{Memory, Mode, Outcome, SimError};

pub(crate) fn edge() -> Arch {
    arch::read(
        "edge.toml",
        include_str!("../../../examples/archs/edge.toml"),
    )
    .expect("edge is an arch")
}

pub(crate) fn nano() -> Arch {
    arch::read(
        "nano.toml",
        include_str!("../../../examples/archs/nano.toml"),
    )
    .expect("nano is an arch")
}

/// Edge with the dot reduction, both dataflows and a small array.
pub(crate) fn dot() -> Arch {
    let mut arch = edge();
    arch.name = "dot".to_owned();
    arch.array.rows = 8;
    arch.array.cols = 4;
    arch.array.reduction = ir::arch::Reduction::Dot;
    arch.array.dataflows = vec![
        ir::arch::Dataflow::WeightStationary,
        ir::arch::Dataflow::OutputStationary,
    ];
    arch.vector.requantise_lanes = 2;
    arch.vector.requantise_interval = 2;
    assert_eq!(arch.problems(), Vec::<String>::new());
    arch
}

/// A program of one layer; `semaphores` are producer and consumer by index.
///
/// Lines are instructions or `#` comments; `data` follows the instructions, and 1024 words of room follow the data.
pub(crate) fn program(
    arch: &Arch,
    semaphores: &[(Engine, Engine)],
    text: &str,
    data: &[u8],
) -> Program {
    let lines = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or("").trim());
    let instructions: Vec<Instruction> = lines
        .filter(|line| !line.is_empty())
        .map(|line| line.parse().expect("the line is an instruction"))
        .collect();
    let constants_word = instruction_words(arch, instructions.len());
    let mut constants = data.to_vec();
    let word = arch.word_bytes() as usize;
    constants.resize(data.len().next_multiple_of(word), 0);
    Program {
        network: "test".to_owned(),
        arch_hash: arch.hash(),
        layer_of: vec![0; instructions.len()],
        layers: vec!["only".to_owned()],
        semaphores: semaphores
            .iter()
            .map(|&(producer, consumer)| SemaphoreUse {
                meaning: format!("{} to {}", producer.name(), consumer.name()),
                producer,
                consumer,
            })
            .collect(),
        constants_word,
        memory_words: constants_word + (constants.len() / word) as u32 + 1024,
        constants,
        instructions,
        inputs: Vec::new(),
        outputs: Vec::new(),
        intermediates: Vec::new(),
    }
}

/// Runs `program` from reset; gives the outcome and the memory.
pub(crate) fn run_with(
    arch: &Arch,
    program: &Program,
    model: MemoryModel,
    mode: Mode,
) -> Result<(Outcome, Vec<u8>), SimError> {
    let checked = program.check(arch).expect("the program ends");
    let mut memory = Memory::of(checked);
    let outcome = sim::simulate(checked, &mut memory, model, mode)?;
    Ok((outcome, memory.bytes))
}

/// As [`run_with`], in full mode on ideal memory, of a program that must be right.
#[track_caller]
pub(crate) fn run(arch: &Arch, program: &Program) -> (Outcome, Vec<u8>) {
    run_with(arch, program, MemoryModel::Ideal, Mode::Full).unwrap_or_else(|e| panic!("{e}"))
}

/// A small generator of numbers, good enough to fill memories.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.0 >> 33) % n
    }

    pub(crate) fn bytes(&mut self, n: usize) -> Vec<u8> {
        (0..n).map(|_| self.below(256) as u8).collect()
    }
}
