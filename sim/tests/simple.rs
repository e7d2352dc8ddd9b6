//! Copies one word of memory through a bank, and says how long that takes.

use ir::arch;
use ir::isa::{Engine, Instruction};
use ir::memory::MemoryModel;
use ir::program::{Program, SemaphoreUse};
use sim::{Memory, Mode};

#[test]
fn copy_a_word() {
    let nano = include_str!("../../examples/archs/nano.toml");
    let arch = arch::read("nano.toml", nano).expect("nano is an arch");

    // STORE waits for a token that LOAD raises when the word can be read.
    let text = "load.memory address=4
                load.destination address=0 space=0
                load.length words=1
                load signal=0
                store.source address=0
                store.memory address=5
                store.length words=1
                store wait=0:1";
    let instructions: Vec<Instruction> = text
        .lines()
        .map(|line| line.parse().expect("an instruction"))
        .collect();
    let program = Program {
        network: "copy".to_owned(),
        arch_hash: arch.hash(),
        layer_of: vec![0; instructions.len()],
        layers: vec!["copy".to_owned()],
        semaphores: vec![SemaphoreUse {
            meaning: "word loaded".to_owned(),
            producer: Engine::Load,
            consumer: Engine::Store,
        }],
        // Eight instructions are four words of eight bytes.
        constants_word: 4,
        constants: b"a word..".to_vec(),
        memory_words: 6,
        instructions,
        inputs: Vec::new(),
        outputs: Vec::new(),
        intermediates: Vec::new(),
    };

    let checked = program.check(&arch).expect("the program ends");
    let mut memory = Memory::of(checked);
    let outcome =
        sim::simulate(checked, &mut memory, MemoryModel::Ideal, Mode::Full).expect("it is right");

    assert_eq!(&memory.bytes[40..48], b"a word..");
    let [load, store] = outcome.instructions[..] else {
        panic!("two instructions run");
    };
    // The third and fourth words of the program are fetched before the LOAD gets its turn.
    assert_eq!((load.start, load.last), (9, 14));
    assert_eq!((store.start, store.last), (15, 20));
    assert_eq!(outcome.cycles, 20);
}
