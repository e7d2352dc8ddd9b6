//! Random programs and random networks on a handful of archs: simulator and RTL agree in everything.
//!
//! `TILEWRIGHT_FUZZ` multiplies the numbers; `make fuzz` sets it.

#![expect(
    clippy::print_stdout,
    reason = "what was met is shown with `--nocapture`"
)]

#[path = "../../mapper/tests/common/mod.rs"]
mod common;

use std::path::Path;

use host_runtime::verify::{Options, Variant, verify};
use host_runtime::verilated::Optimise;
use host_runtime::{Error, Machine, RtlMachine, fuzz};
use ir::Arch;
use ir::memory::MemoryModel;
use ir::network::Network;

const MODELS: [MemoryModel; 3] = [MemoryModel::Ideal, MemoryModel::M1, MemoryModel::M2];
/// Per arch: cases of random programs, and random networks.
const PROGRAMS: usize = 48;
const NETWORKS: u64 = 6;
/// Networks whose first layers run depth first.
const DEPTH_FIRST: u64 = 2;

fn arch(path: &str) -> Arch {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    let text = std::fs::read_to_string(&path).expect("the arch file is there");
    ir::arch::read(&path.display().to_string(), &text).unwrap_or_else(|e| panic!("{e}"))
}

fn times() -> usize {
    std::env::var("TILEWRIGHT_FUZZ")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(1)
}

fn machine(arch: &Arch) -> Option<RtlMachine> {
    match RtlMachine::of(arch, Optimise::Quick) {
        Ok(machine) => Some(machine),
        Err(Error::Unavailable { reason, .. }) => {
            hw::flow::skip_test(&reason);
            None
        }
        Err(error) => panic!("{}: {error}", arch.name),
    }
}

fn check(path: &str) {
    let arch = arch(path);
    let Some(mut rtl) = machine(&arch) else {
        return;
    };
    let report = fuzz::fuzz(&arch, Some(&mut rtl), &MODELS, 5000, PROGRAMS * times())
        .expect("the fuzz runs");
    println!(
        "{}: {} programs, {} instructions, {} cycles",
        arch.name, report.cases, report.instructions, report.cycles
    );
    println!("{}", report.coverage);
    if let Some(failure) = report.failure {
        panic!(
            "{} seed {} {:?}: {}\n{} of {} operations left:\n{}",
            arch.name,
            failure.case.seed,
            failure.model,
            failure.difference,
            failure.case.len(),
            failure.operations_before,
            failure.case.program(&arch).disassembly()
        );
    }
    assert_eq!(
        report.coverage.empty_cells(),
        Vec::<String>::new(),
        "{}: what no program met",
        arch.name
    );
    let (mut ran, mut deep, mut seed) = (0, 0, 0);
    while ran < NETWORKS * times() as u64 || deep < DEPTH_FIRST * times() as u64 {
        seed += 1;
        let vector = arch.vector.max_pool && arch.vector.table_lanes > 0;
        let (network, passes) = match seed % 2 {
            0 => (common::random_network(seed, 4, vector), None),
            _ => (
                common::random_chain(seed, 3, vector),
                Some("*0: output=passes"),
            ),
        };
        match agree(&arch, &network, passes, seed) {
            None => {}
            Some(Ok(())) if passes.is_some() => deep += 1,
            Some(Ok(())) => ran += 1,
            Some(Err(difference)) => {
                let (left, difference) = shrink(&arch, &network, passes, difference, seed);
                let einsums = network.einsums.iter().take(left).map(|einsum| {
                    format!(
                        "{} -> {:?}\n",
                        einsum.name,
                        network.tensor(einsum.output).shape()
                    )
                });
                let (all, einsums) = (network.einsums.len(), einsums.collect::<String>());
                panic!(
                    "{} network {seed}: {difference}\n{left} of {all} einsums left:\n{einsums}",
                    arch.name
                );
            }
        }
        assert!(
            seed < 40 * NETWORKS * times() as u64,
            "{}: only {ran} of {seed} networks fit, {deep} with layers that run depth first",
            arch.name
        );
    }
    println!(
        "{}: {ran} networks, {deep} with layers that run depth first, {} others refused by name",
        arch.name,
        seed - ran - deep
    );
}

/// The least number of einsums from the start on which the devices still differ.
fn shrink(
    arch: &Arch,
    network: &Network,
    passes: Option<&str>,
    difference: String,
    seed: u64,
) -> (usize, String) {
    let all = network.einsums.len();
    let shorter =
        (1..all).find_map(
            |left| match agree(arch, &start_of(network, left), passes, seed) {
                Some(Err(difference)) => Some((left, difference)),
                _ => None,
            },
        );
    shorter.unwrap_or((all, difference))
}

/// The network up to and with its einsum number `n`, whose output it gives.
fn start_of(network: &Network, n: usize) -> Network {
    let einsums = network.einsums[..n].to_vec();
    Network {
        outputs: vec![einsums[n - 1].output],
        einsums,
        constants: Vec::new(),
        host_steps: Vec::new(),
        results: Vec::new(),
        batch: 1,
        ..network.clone()
    }
}

/// Whether all devices agree on the network; `None` if it does not fit `arch`, or not with the directive.
fn agree(
    arch: &Arch,
    network: &Network,
    directive: Option<&str>,
    seed: u64,
) -> Option<Result<(), String>> {
    let compile = |keep_all| {
        let options = mapper::Options {
            keep_all,
            ..directive.map_or_else(Default::default, common::directed)
        };
        let compiled = mapper::compile(network, arch, &options).ok();
        compiled.map(|compiled| compiled.program)
    };
    if compile(false).is_none() || compile(true).is_none() {
        return None;
    }
    let mut random = common::Random(seed);
    let inputs: Vec<Vec<i8>> = network
        .inputs
        .iter()
        .map(|id| {
            (0..network.tensor(*id).n_values())
                .map(|_| random.next() as i8)
                .collect()
        })
        .collect();
    let rtl = RtlMachine::of(arch, Optimise::Quick).map(|m| Box::new(m) as Box<dyn Machine>);
    let options = Options {
        models: &MODELS,
        images: &[inputs.clone(), inputs],
        machines: vec![("rtl", rtl)],
        cycle_limit: 10_000_000,
    };
    let result = verify(network, arch, options, |variant| {
        Ok::<_, Error>(compile(variant == Variant::KeepAll).expect("it compiled before"))
    });
    Some(match result {
        Err(error) => Err(error.to_string()),
        Ok(result) if result.agrees() => Ok(()),
        Ok(result) => Err(result.first.expect("a first difference").to_string()),
    })
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
fn dot_8x1() {
    check("tests/archs/dot_8x1.toml");
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
