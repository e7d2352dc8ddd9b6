//! The model's cycles are the simulator's: for whole programs and for layers alone, on random networks, archs and
//! memories, and on the standard networks.

#![allow(clippy::print_stdout, reason = "the figures are for people")]

mod common;

use common::{digits, preset, random_arch, random_network};
use ir::arch::{Arch, Attachment};
use ir::memory::MemoryModel;
use ir::network::Network;
use mapper::{Compiled, Options, compile};
use sim::{Memory, Mode, Outcome, simulate};

fn simulated(compiled: &Compiled, arch: &Arch, memory: MemoryModel) -> Outcome {
    let checked = compiled
        .program
        .check(arch)
        .expect("compiled programs are sound");
    simulate(checked, &mut Memory::default(), memory, Mode::Timing).expect("it ends")
}

#[track_caller]
fn check(network: &Network, arch: &Arch, memory: MemoryModel) -> Option<()> {
    let options = Options {
        memory,
        ..Options::default()
    };
    let compiled = compile(network, arch, &options).ok()?;
    let outcome = simulated(&compiled, arch, memory);
    let what = format!("{} on {} with {}", network.name, arch.name, memory.name());
    assert_eq!(compiled.predicted_cycles(), outcome.cycles, "{what}");
    if let [layer] = &compiled.layers[..] {
        assert_eq!(layer.cost.cycles, outcome.cycles, "{what}: the layer");
        let [load, exec, vec, store] = outcome.counters.engines.map(|engine| engine.busy);
        let busy = [
            layer.cost.load,
            layer.cost.exec,
            layer.cost.vec,
            layer.cost.store,
        ];
        assert_eq!(busy, [load, exec, vec, store], "{what}: busy cycles");
        let moved = outcome.traffic.load_words + outcome.traffic.store_words;
        assert_eq!(layer.cost.traffic_words, moved, "{what}: traffic");
        assert_eq!(
            layer.cost.fetch,
            outcome.counters.fetch.dispatch + outcome.counters.fetch.starved,
            "{what}: fetch"
        );
    }
    Some(())
}

#[test]
fn random_programs_take_the_cycles_of_the_simulator() {
    let memories = [
        MemoryModel::Ideal,
        MemoryModel::M1,
        MemoryModel::M2,
        MemoryModel::Fixed {
            latency: 3,
            beat_gap: 5,
        },
    ];
    let mut ran = 0;
    for seed in 0..200 {
        let mut arch = random_arch(seed);
        if seed % 5 == 0 && arch.array.rows == 8 {
            arch.memory.attachment = Attachment::OnChip;
            arch.memory.words = 16384;
            arch.host = ir::arch::Host::Uart;
            arch.memory.burst_words = arch.memory.burst_words.clamp(4, 8);
        }
        let network = random_network(seed, 5, true);
        let memory = memories[seed as usize % memories.len()];
        ran += u64::from(check(&network, &arch, memory).is_some());
        for id in network.einsum_ids() {
            ran += u64::from(check(&network.alone(id), &arch, memory).is_some());
        }
    }
    println!("{ran} programs");
    assert!(ran > 150, "most cases must run: {ran}");
}

#[test]
fn layers_alone_take_the_cycles_of_the_simulator() {
    for arch in ["nano", "edge", "both"].map(preset) {
        for network in [digits(), zoo("ds_cnn")] {
            check(&network, &arch, MemoryModel::M1);
            let ran = network
                .einsum_ids()
                .filter(|id| check(&network.alone(*id), &arch, MemoryModel::M1).is_some())
                .count();
            println!(
                "{} on {}: {ran} of {} layers",
                network.name,
                arch.name,
                network.einsums.len()
            );
            assert!(ran + 1 >= network.einsums.len());
        }
    }
}

fn zoo(name: &str) -> Network {
    onnx::zoo::build(name, 1).expect("the zoo has it").0
}
