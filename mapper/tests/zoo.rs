//! The standard networks compile for `edge` and equal the reference there; on `nano` the reasons are listed.

#![allow(clippy::print_stdout, reason = "the figures are for people")]

mod common;

use common::{compile_and_verify, preset};

#[test]
fn the_zoo_runs_on_edge() {
    for name in ["ds_cnn", "resnet8", "mobilenet_v1_025"] {
        let file = onnx::zoo::write(name, 1).expect("the zoo has it");
        let network =
            onnx::import_bytes(&file, &onnx::Options::default()).expect("the zoo is supported");
        let (compiled, outcome) =
            compile_and_verify(&network, &preset("edge")).unwrap_or_else(|e| panic!("{name}: {e}"));
        let utilisation = network.total_macs() as f64 / (256.0 * outcome.cycles as f64);
        println!(
            "{name} on edge: {} instructions, {} semaphores, {} cycles predicted, {} simulated, {:.1} % of peak",
            compiled.program.instructions.len(),
            compiled.program.semaphores.len(),
            compiled.predicted_cycles(),
            outcome.cycles,
            100.0 * utilisation,
        );
        for arch in ["nano", "both"] {
            match compile_and_verify(&network, &preset(arch)) {
                Ok((compiled, outcome)) => println!(
                    "{name} on {arch}: {} predicted, {} simulated",
                    compiled.predicted_cycles(),
                    outcome.cycles
                ),
                Err(error) => {
                    println!("{name} on {arch}: refused: {error}");
                    let problems = mapper::fits(&network, &preset(arch)).problems;
                    problems.iter().take(4).for_each(|p| println!("  {p}"));
                    assert!(!error.contains("differs"), "{error}");
                }
            }
        }
    }
}
