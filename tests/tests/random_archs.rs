//! Random programs and random networks on a handful of archs: simulator and RTL agree in everything.
//!
//! `TILEWRIGHT_FUZZ` multiplies the numbers; `make fuzz` sets it.

#[path = "../../mapper/tests/common/mod.rs"]
mod common;

use std::path::Path;

use host_runtime::verilated::Optimise;
use host_runtime::verify::{Options, Variant, verify};
use host_runtime::{Error, Machine, RtlMachine, fuzz};
use ir::Arch;
use ir::memory::MemoryModel;

const MODELS: [MemoryModel; 3] = [MemoryModel::Ideal, MemoryModel::M1, MemoryModel::M2];
/// Per arch: cases of random programs, and random networks.
const PROGRAMS: usize = 40;
const NETWORKS: u64 = 6;

fn arch(path: &str) -> Arch {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    let text = std::fs::read_to_string(&path).expect("the arch file is there");
    ir::arch::read(&path.display().to_string(), &text).unwrap_or_else(|e| panic!("{e}"))
}

fn times() -> usize {
    std::env::var("TILEWRIGHT_FUZZ").ok().and_then(|n| n.parse().ok()).unwrap_or(1)
}

fn machine(arch: &Arch) -> Option<RtlMachine> {
    match RtlMachine::of(arch, Optimise::Quick) {
        Ok(machine) => Some(machine),
        Err(Error::Unavailable { reason, .. }) => {
            println!("skipped: {reason}");
            None
        }
        Err(error) => panic!("{}: {error}", arch.name),
    }
}

fn check(path: &str) {
    let arch = arch(path);
    let Some(mut rtl) = machine(&arch) else { return };
    let report = fuzz::fuzz(&arch, Some(&mut rtl), &MODELS, 5000, PROGRAMS * times()).expect("the fuzz runs");
    println!("{}: {} programs, {} instructions, {} cycles", arch.name, report.cases, report.instructions, report.cycles);
    if let Some(failure) = report.failure {
        let program = failure.case.program(&arch);
        panic!("{} seed {} {:?}: {}\n{}", arch.name, failure.case.seed, failure.model, failure.difference, program.disassembly());
    }
    let (mut ran, mut seed) = (0, 0);
    while ran < NETWORKS * times() as u64 {
        seed += 1;
        ran += u64::from(network(&arch, seed));
        assert!(seed < 40 * NETWORKS * times() as u64, "{}: only {ran} of {seed} networks fit", arch.name);
    }
    println!("{}: {ran} networks, {} others refused by name", arch.name, seed - ran);
}

/// Whether random network `seed` fits `arch`; if it does, all devices agree on it.
fn network(arch: &Arch, seed: u64) -> bool {
    let network = common::random_network(seed, 4, arch.vector.max_pool && arch.vector.table_lanes > 0);
    let compile = |keep_all| mapper::compile(&network, arch, &mapper::Options { keep_all, ..Default::default() });
    if compile(false).is_err() || compile(true).is_err() {
        return false;
    }
    let mut random = common::Random(seed);
    let inputs: Vec<Vec<i8>> =
        network.inputs.iter().map(|id| (0..network.tensor(*id).n_values()).map(|_| random.next() as i8).collect()).collect();
    let rtl = RtlMachine::of(arch, Optimise::Quick).map(|m| Box::new(m) as Box<dyn Machine>);
    let options =
        Options { models: &MODELS, images: &[inputs.clone(), inputs], machines: vec![("rtl", rtl)], cycle_limit: 10_000_000 };
    let result = verify(&network, arch, options, |variant| {
        Ok::<_, Error>(compile(variant == Variant::KeepAll).expect("it compiled before").program)
    })
    .unwrap_or_else(|e| panic!("{} network {seed}: {e}", arch.name));
    assert!(result.agrees(), "{} network {seed}: {}", arch.name, result.first.expect("a first difference"));
    true
}

#[test]
fn systolic_8x4() {
    check("tests/archs/systolic_8x4.toml");
}

#[test]
fn systolic_16x1() {
    check("tests/archs/systolic_16x1.toml");
}

#[test]
fn dot_16x16() {
    check("tests/archs/dot_16x16.toml");
}

#[test]
fn dot_32x8() {
    check("tests/archs/dot_32x8.toml");
}

#[test]
fn on_chip_8x4() {
    check("tests/archs/on_chip_8x4.toml");
}

#[test]
fn both() {
    check("examples/archs/both.toml");
}
