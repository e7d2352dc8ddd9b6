//! The digits network compiles for the presets and gives the reference's values on the simulator.

#![allow(clippy::print_stdout, reason = "the figures are for people")]

mod common;

use common::{compile_and_verify, digits, preset};
use mapper::{Options, compile};

#[test]
fn digits_equals_the_reference_on_the_presets() {
    for name in ["nano", "edge"] {
        let arch = preset(name);
        let (compiled, outcome) =
            compile_and_verify(&digits(), &arch).unwrap_or_else(|error| panic!("{name}: {error}"));
        let predicted = compiled.predicted_cycles();
        println!(
            "{name}: {} instructions, {} semaphores, {predicted} cycles predicted, {} simulated",
            compiled.program.instructions.len(),
            compiled.program.semaphores.len(),
            outcome.cycles,
        );
        for (layer, report) in outcome.layers.iter().zip(&compiled.layers) {
            println!(
                "  {} {:?}\n    simulated load/exec/vec/store {layer:?}",
                report.name, report.cost
            );
        }
    }
}

#[test]
fn a_compilation_is_the_same_each_time() {
    let (network, arch) = (digits(), preset("edge"));
    let program = || {
        compile(&network, &arch, &Options::default())
            .expect("digits fits")
            .program
    };
    assert_eq!(program(), program());
}

#[test]
fn simulated_cycles_rank_the_runners_up() {
    let (network, arch) = (digits(), preset("edge"));
    let mut cycles = |program: &ir::Program| {
        let checked = program.check(&arch).expect("a compiled program is sound");
        let mut memory = sim::Memory::default();
        sim::simulate(checked, &mut memory, ir::MemoryModel::M1, sim::Mode::Timing)
            .expect("it ends")
            .cycles
    };
    let plain = compile(&network, &arch, &Options::default()).expect("digits fits");
    let before = cycles(&plain.program);
    let ranked = mapper::compile_ranked(&network, &arch, &Options::default(), &mut cycles)
        .expect("digits fits");
    let after = cycles(&ranked.program);
    println!("edge: {before} cycles by the model, {after} ranked by the simulator");
    assert!(after <= before);
}
