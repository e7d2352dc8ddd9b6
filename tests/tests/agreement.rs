//! The digits network on the reference, the simulator and the RTL: every bit and every cycle.

use std::path::{Path, PathBuf};

use host_runtime::machine::memory_image;
use host_runtime::{Machine, RtlMachine, SimMachine};
use ir::Arch;
use ir::memory::MemoryModel;
use ir::network::Network;

fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn arch(name: &str) -> Arch {
    let path = file(&format!("examples/archs/{name}.toml"));
    ir::arch::read(name, &std::fs::read_to_string(path).expect("the preset is there")).expect("presets are legal")
}

fn digits() -> Network {
    onnx::import(&file("examples/networks/digits_int8.onnx"), &onnx::Options::default()).expect("digits is supported")
}

fn agree(arch: &Arch, model: MemoryModel) {
    let network = digits();
    let input: Vec<i8> = (0..64).map(|i| (i * 37 % 251) as u8 as i8).collect();
    let values = network.reference(std::slice::from_ref(&input)).expect("one input");
    for keep_all in [false, true] {
        let compiled = mapper::compile(&network, arch, &mapper::Options { keep_all, ..Default::default() }).expect("fits");
        let program = compiled.program.check(arch).expect("a sound program");
        let mut machines: Vec<Box<dyn Machine>> = vec![Box::new(SimMachine::new(arch))];
        machines.push(Box::new(RtlMachine::of(arch, host_runtime::verilated::Optimise::Quick).expect("it builds")));
        let mut runs = vec![];
        for machine in &mut machines {
            let mut memory = memory_image(program);
            let word_bytes = arch.word_bytes();
            let place = &program.program.inputs[0];
            let start = (place.word * word_bytes) as usize;
            let bytes = place.pack(word_bytes, &input);
            memory[start..start + bytes.len()].copy_from_slice(&bytes);
            let run = machine.run(program, &mut memory, model, 1_000_000).unwrap_or_else(|e| panic!("{}: {e}", machine.name()));
            for image in program.program.outputs.iter().chain(&program.program.intermediates) {
                let start = (image.word * word_bytes) as usize;
                let got = image.unpack(word_bytes, &memory[start..]);
                let want = &values[image.tensor as usize];
                let wrong = got.iter().zip(want).filter(|(a, b)| a != b).count();
                println!("{} keep_all={keep_all} tensor {}: {wrong} of {} wrong", machine.name(), image.tensor, want.len());
                assert_eq!(wrong, 0);
            }
            println!("{} {} cycles {}", arch.name, machine.name(), run.cycles);
            runs.push((run, memory));
        }
        let (a, b) = (&runs[0], &runs[1]);
        for (x, y) in a.0.spans.iter().zip(&b.0.spans) {
            assert_eq!(x, y);
        }
        assert_eq!(a.0.cycles, b.0.cycles);
        if b.0.counters.is_some() {
            assert_eq!(a.0.counters, b.0.counters);
        }
        assert!(a.1 == b.1, "memory images differ");
    }
}

#[test]
fn nano() {
    agree(&arch("nano"), MemoryModel::Ideal);
}

#[test]
fn edge_m0() {
    agree(&arch("edge"), MemoryModel::Ideal);
}

#[test]
fn edge_m2() {
    agree(&arch("edge"), MemoryModel::M2);
}
