//! Equal layers are searched once, and neither threads nor a cache change a byte.

#![allow(clippy::print_stdout, reason = "the figures are for people")]

mod common;

use std::collections::BTreeSet;

use common::{Random, Remembers, digits, directed, preset, random_arch, random_network};
use ir::arch::Arch;
use ir::memory::MemoryModel;
use ir::network::Network;
use mapper::{Compiled, Hooks, MapError, Options, compile, compile_with};

/// Everything that a result says, as text.
fn bytes(compiled: &Compiled) -> String {
    format!(
        "{:?}\n{}\n{:?}",
        compiled.program, compiled.schedule, compiled.layers
    )
}

fn zoo(name: &str) -> Network {
    onnx::zoo::shapes(name, 1).expect("the zoo has it")
}

fn on_threads(
    n: usize,
    network: &Network,
    arch: &Arch,
    options: &Options,
    cache: &Remembers,
) -> String {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(n)
        .build()
        .expect("threads start");
    let hooks = Hooks {
        cache,
        ..Hooks::default()
    };
    pool.install(|| bytes(&compile_with(network, arch, options, &hooks).expect("it fits")))
}

#[test]
fn threads_and_caches_change_no_byte() {
    let networks = [
        digits(),
        zoo("resnet8"),
        zoo("ds_cnn"),
        zoo("mobilenet_v1_025"),
    ];
    for network in &networks {
        for options in [
            Options::default(),
            directed("operator=conv: tile_rows=2\noperator=depthwise: order=strips_outer"),
        ] {
            let options = Options {
                explain: true,
                ..options
            };
            let arch = preset("edge");
            let expected = bytes(&compile(network, &arch, &options).expect("it fits"));
            for n in [1, 2, 8] {
                let cache = Remembers::default();
                let cold = on_threads(n, network, &arch, &options, &cache);
                assert!(
                    cold == expected,
                    "`{}` differs on {n} threads",
                    network.name
                );
                let n_found = cache.all().len();
                let warm = on_threads(n, network, &arch, &options, &cache);
                assert!(
                    warm == expected,
                    "`{}` differs with a warm cache",
                    network.name
                );
                assert_eq!(cache.all().len(), n_found, "all was found");
                assert!(cache.hits() >= n_found);
            }
        }
    }
}

/// One cache for many networks, archs and directives: whatever a result depends on is in the statement of its problem.
#[test]
fn a_shared_cache_never_answers_another_question() {
    let cache = Remembers::default();
    let hooks = Hooks {
        cache: &cache,
        ..Hooks::default()
    };
    let lines = [
        "",
        "*: dataflow=weight_stationary",
        "*: tile_rows=1",
        "p>=4: group_tiles=1",
        "*: strip_rows=2",
        "*: output=spills",
        "*: inputs=stays output=stays",
        "*: inputs=stays output=stays strip_rows=2",
    ];
    let mut n = 0;
    let mut random = Random(9);
    for seed in 0..400 {
        let network = random_network(random.within(0, 6) as u64, 4, true);
        let arch = random_arch(random.within(0, 3) as u64);
        let options = Options {
            keep_all: random.chance(50),
            objective: random.pick(&[mapper::Objective::Cycles, mapper::Objective::Traffic]),
            memory: random.pick(&[MemoryModel::Ideal, MemoryModel::M1]),
            ..directed(random.pick(&lines))
        };
        let (fresh, shared) = (
            compile(&network, &arch, &options),
            compile_with(&network, &arch, &options, &hooks),
        );
        match (fresh, shared) {
            (Ok(fresh), Ok(shared)) => {
                assert!(bytes(&fresh) == bytes(&shared), "seed {seed}");
                n += 1;
            }
            (Err(fresh), Err(shared)) => assert_eq!(fresh, shared),
            _ => panic!("seed {seed}: one of the two is refused"),
        }
    }
    let hits = cache.hits();
    println!("{n} compiled, {hits} hits");
    assert!(n > 40 && hits > 40);
}

/// The same of two questions that differ in one thing, in both orders.
#[test]
fn what_differs_in_one_thing_is_another_question() {
    let (network, arch) = (digits(), preset("both"));
    let lines = [
        "",
        "*: strip_rows=1",
        "*: dataflow=weight_stationary",
        "*: output=spills",
        "*: tile_cols=2",
        "*: group_tiles=1",
        "*: order=weights_outer strip_rows=2 group_tiles=1",
    ];
    let fresh: Vec<String> = lines
        .iter()
        .map(|lines| bytes(&compile(&network, &arch, &directed(lines)).expect("it fits")))
        .collect();
    for first in lines {
        for (second, fresh) in lines.iter().zip(&fresh) {
            let cache = Remembers::default();
            let hooks = Hooks {
                cache: &cache,
                ..Hooks::default()
            };
            compile_with(&network, &arch, &directed(first), &hooks).expect("it fits");
            let shared = compile_with(&network, &arch, &directed(second), &hooks).expect("it fits");
            assert!(bytes(&shared) == *fresh, "`{second}` after `{first}`");
        }
    }
}

/// Stages of a network repeat their layers, and so do the plans that are not chosen: no question is asked twice.
#[test]
fn equal_layers_are_searched_once() {
    let network = zoo("mobilenet_v1_025");
    let cache = Remembers::default();
    let hooks = Hooks {
        cache: &cache,
        ..Hooks::default()
    };
    let compiled =
        compile_with(&network, &preset("edge"), &Options::default(), &hooks).expect("it fits");
    let chosen: Vec<String> = compiled
        .layers
        .iter()
        .filter(|layer| layer.choice.is_some())
        .map(|layer| format!("{:?} {:?} {:?}", layer.macs, layer.choice, layer.cost))
        .collect();
    let different: BTreeSet<&String> = chosen.iter().collect();
    let n_searched = cache.puts();
    println!(
        "{} layers on the array, {} different; {n_searched} searched, {:?}",
        chosen.len(),
        different.len(),
        compiled.residency
    );
    assert!(different.len() < chosen.len(), "some layers are equal");
    assert_eq!(cache.hits(), 0);
    assert_eq!(n_searched, cache.all().len());
}

#[test]
fn a_compilation_ends_when_the_caller_says_so() {
    let hooks = Hooks {
        stop: &|| true,
        ..Hooks::default()
    };
    let stopped = compile_with(&digits(), &preset("edge"), &Options::default(), &hooks);
    assert!(matches!(stopped, Err(MapError::Stopped)));
}
