//! On a design with both dataflows the search picks the better one for each layer, and directives are obeyed.

#![expect(clippy::result_large_err, reason = "an error ends a test")]

mod common;

use common::{Build, compile_and_verify, directed, preset, verify};
use ir::arch::Dataflow;
use ir::network::{Network, TensorId};
use ir::op::Window;
use mapper::{MapError, Options, compile};

fn fully_connected(channels: usize, out: usize) -> Network {
    let mut build = Build::new(1, [channels, 1, 1]);
    build.conv(TensorId(0), out, 1, Window::dense([1, 1]));
    build.finish()
}

fn directed_to(network: &Network, dataflow: Dataflow) -> Result<mapper::Compiled, MapError> {
    let options = directed(&format!("*: dataflow={}", dataflow.name()));
    compile(network, &preset("both"), &options)
}

fn dataflow(compiled: &mapper::Compiled) -> Dataflow {
    compiled.layers[0]
        .choice
        .expect("the layer runs on the array")
        .dataflow
}

/// One pixel: an accumulator that is read again after one cycle would miss its last update, so weight-stationary takes
/// three cycles for each step where output-stationary takes one.
#[test]
fn a_fully_connected_layer_is_output_stationary() {
    let (network, arch) = (fully_connected(200, 32), preset("both"));
    let (compiled, outcome) = compile_and_verify(&network, &arch).expect("it fits");
    assert_eq!(dataflow(&compiled), Dataflow::OutputStationary);
    let other = directed_to(&network, Dataflow::WeightStationary).expect("it fits");
    let slower = verify(&network, &arch, &other, 7).expect("it is right");
    assert!(
        outcome.cycles < slower.cycles,
        "{} {}",
        outcome.cycles,
        slower.cycles
    );
}

/// A sum of 2,304 words of weights for each column tile must be split, which only partial sums in the accumulators allow.
#[test]
fn a_long_sum_is_weight_stationary() {
    let mut build = Build::new(1, [256, 5, 5]);
    build.conv(TensorId(0), 8, 1, Window::dense([3, 3]));
    let network = build.finish();
    let (compiled, _) = compile_and_verify(&network, &preset("both")).expect("it fits");
    assert_eq!(dataflow(&compiled), Dataflow::WeightStationary);
    let refused =
        directed_to(&network, Dataflow::OutputStationary).expect_err("it cannot be split");
    assert!(matches!(refused, MapError::Directives(_)), "{refused}");
    let mut arch = preset("both");
    arch.array.dataflows = vec![Dataflow::OutputStationary];
    let problems = mapper::fits(&network, &arch).problems;
    expect_test::expect![
        "`conv0`: one column tile's weights needs 2304 words, arch `both` has 2048"
    ]
    .assert_eq(&problems[0].to_string());
}

#[test]
fn a_certificate_accounts_for_every_candidate() {
    let mut build = Build::new(3, [24, 12, 12]);
    build.conv(
        TensorId(0),
        40,
        1,
        Window {
            pads: [1; 4],
            ..Window::dense([3, 3])
        },
    );
    let compiled = compile(&build.finish(), &preset("both"), &Options::default()).expect("it fits");
    let c = compiled.layers[0]
        .certificate
        .as_ref()
        .expect("it was searched");
    let pruned = c.pruned_by_accumulators
        + c.pruned_by_weights
        + c.pruned_by_parameters
        + c.pruned_by_reduction;
    assert_eq!(c.candidates, pruned + c.pruned_by_bound + c.costed);
    assert!(c.best_cycles >= c.roofline_cycles(), "{c:?}");
    assert!(c.sentence().contains("in this model and space"));
}

#[test]
fn each_objective_is_the_better_of_the_two_in_its_own() {
    for seed in 0..20 {
        let (network, arch) = (common::random_network(seed, 3, false), preset("both"));
        let Ok(best) = compile(&network, &arch, &Options::default()) else {
            continue;
        };
        let traffic = Options {
            objective: mapper::Objective::Traffic,
            ..Options::default()
        };
        let other = compile(&network, &arch, &traffic).expect("the space is the same");
        for (a, b) in best.layers.iter().zip(&other.layers) {
            assert!(
                a.cost.cycles <= b.cost.cycles && a.cost.traffic_words >= b.cost.traffic_words,
                "seed {seed} {}",
                a.name
            );
        }
    }
}
