//! Random networks on random archs: each is refused with a reason, or equals the reference on the simulator.

#![allow(clippy::print_stdout, reason = "the figures are for people")]

mod common;

use std::path::Path;

use common::{compile_and_verify, number, random_arch, random_network};
use mapper::{Hooks, MapError, Options, compile, compiles};

#[test]
fn random_networks_equal_the_reference_or_are_refused() {
    let (count, first) = (number("CASES", 150), number("SEED", 0));
    let mut refused = std::collections::BTreeMap::new();
    let mut failed = Vec::new();
    for seed in first..first + count {
        let (network, arch) = (random_network(seed, 6, true), random_arch(seed));
        let problem = match mapper::fits(&network, &arch).problems.into_iter().next() {
            Some(problem) => Some(problem),
            // What is known only when the program is there.
            None => compile(
                &network,
                &arch,
                &Options {
                    keep_all: true,
                    ..Options::default()
                },
            )
            .err()
            .filter(|e| {
                matches!(
                    e,
                    MapError::Memory { .. }
                        | MapError::Semaphores { .. }
                        | MapError::Capacity { .. }
                )
            }),
        };
        if let Some(problem) = problem {
            let text = problem.to_string();
            let words: Vec<&str> = text
                .split(' ')
                .filter(|w| !w.contains('`') && !w.chars().any(|c| c.is_ascii_digit()))
                .collect();
            *refused.entry(words.join(" ")).or_insert(0) += 1;
            continue;
        }
        if let Err(error) = compile_and_verify(&network, &arch) {
            failed.push(format!("seed {seed}: {error}"));
        }
    }
    println!("refused: {refused:#?}");
    assert!(
        failed.is_empty(),
        "{} of {count} failed:\n{}",
        failed.len(),
        failed.join("\n")
    );
    assert!(
        refused.values().sum::<u64>() < count / 2,
        "most cases must run"
    );
}

/// A check finds a problem exactly where compiling does, and the same; also what only the program shows.
#[test]
fn a_check_says_what_compiling_says() {
    let mut n_memory = 0;
    for seed in 0..40 {
        let network = random_network(seed, 6, true);
        let mut arch = random_arch(seed);
        arch.memory.words = [64, 1 << 20][seed as usize % 2];
        let checked = compiles(&network, &arch, &Hooks::default()).problems;
        let compiled = compile(&network, &arch, &Options::default()).err();
        assert_eq!(checked.first(), compiled.as_ref(), "seed {seed}");
        n_memory += u32::from(matches!(compiled, Some(MapError::Memory { .. })));
    }
    assert!(n_memory > 5, "{n_memory} cases meet the limit of memory");
}

/// What is too large by itself is named for every layer, whatever stands in the way of the others.
#[test]
fn all_that_is_too_large_is_listed() {
    let network = onnx::zoo::shapes("mobilenet_v2", 1).expect("the zoo has it");
    let problems = mapper::fits(&network, &common::preset("both")).problems;
    let too_large = problems
        .iter()
        .filter(|problem| matches!(problem, MapError::Capacity { .. }));
    let layers: std::collections::BTreeSet<String> = too_large
        .map(|problem| problem.to_string())
        .map(|text| text.split(':').next().unwrap_or_default().to_owned())
        .collect();
    assert!(layers.contains("`conv0`"), "{layers:?}");
    assert!(layers.contains("`average62`"), "{layers:?}");
}

/// Groups of column tiles load equal weights once each, so weights that fit once may not fit as often as there are groups.
#[test]
fn weights_stay_only_if_those_of_all_groups_fit() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/archs/dot_8x1.toml");
    let text = std::fs::read_to_string(path).expect("the arch is there");
    let arch = ir::arch::read("dot_8x1", &text).expect("it is legal");
    for seed in [20, 219] {
        let network = random_network(seed, 4, false);
        compile_and_verify(&network, &arch).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
    }
}
