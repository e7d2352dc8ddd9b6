//! How fast the simulator, the verilated design and the mapper are on digits.
//!
//! The throughput that criterion prints is cycles of the machine a second. A device that cannot run here is skipped with
//! its reason. Absolute figures hold for one machine; `scripts/bench` states their ratios within one run.

use std::hint::black_box;
use std::time::Duration;

use criterion::{
    BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime,
};
use host_runtime::verilated::Optimise;
use host_runtime::{Machine, RtlMachine};
use ir::memory::MemoryModel;
use ir::network::Network;
use ir::program::Checked;
use sim::{Memory, Mode, simulate};

#[path = "../tests/common/mod.rs"]
mod common;

fn settings(group: &mut BenchmarkGroup<WallTime>) {
    group
        .sample_size(20)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(4));
}

fn machines(criterion: &mut Criterion) {
    let network = common::digits();
    for preset in ["edge", "nano"] {
        let arch = common::preset(preset);
        let compiled = mapper::compile(&network, &arch, &mapper::Options::default())
            .expect("digits fits the presets");
        let checked = compiled
            .program
            .check(&arch)
            .expect("compiled programs are sound");
        let image = Memory::of(checked);
        let cycles = simulate(checked, &mut image.clone(), MemoryModel::M1, Mode::Timing)
            .expect("digits runs")
            .cycles;
        let mut group = criterion.benchmark_group(format!("cycles/{preset}"));
        settings(&mut group);
        group.throughput(Throughput::Elements(cycles));
        for (name, mode) in [
            ("sim_timing", Mode::Timing),
            ("sim_full", Mode::Full),
            ("sim_trace", Mode::Trace),
        ] {
            group.bench_function(name, |bencher| {
                let mut memory = image.clone();
                bencher.iter(|| {
                    black_box(
                        simulate(checked, &mut memory, MemoryModel::M1, mode)
                            .expect("digits runs")
                            .cycles,
                    )
                });
            });
        }
        match RtlMachine::of(&arch, Optimise::Full) {
            Ok(mut machine) => rtl(&mut group, &mut machine, checked, &image.bytes),
            Err(error) => skip(&format!("cycles/{preset}/rtl"), &error),
        }
        group.finish();
    }
}

/// Says why a bench is left out; a design that is at fault is no reason.
#[expect(clippy::print_stdout, reason = "criterion prints there too")]
fn skip(name: &str, error: &host_runtime::Error) {
    let reason = error
        .unavailable()
        .unwrap_or_else(|| panic!("{name}: {error}"));
    println!("{name}: skipped: {reason}");
}

fn rtl(
    group: &mut BenchmarkGroup<WallTime>,
    machine: &mut dyn Machine,
    checked: Checked,
    image: &[u8],
) {
    group.sample_size(10);
    group.bench_function("rtl", |bencher| {
        let mut memory = image.to_vec();
        bencher.iter(|| {
            black_box(
                machine
                    .run(checked, &mut memory, MemoryModel::M1, 1 << 32)
                    .expect("digits runs")
                    .cycles,
            )
        });
    });
}

fn mapping(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("map");
    settings(&mut group);
    group.sample_size(10);
    let networks: Vec<(&str, Network)> = vec![("digits", common::digits())];
    for preset in ["edge", "nano"] {
        let arch = common::preset(preset);
        for (name, network) in &networks {
            group.bench_function(format!("{name}/{preset}"), |bencher| {
                bencher.iter(|| {
                    black_box(
                        mapper::compile(network, &arch, &mapper::Options::default())
                            .expect("it fits"),
                    )
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, machines, mapping);
criterion_main!(benches);
