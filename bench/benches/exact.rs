//! How long the exact mapper takes for one layer: one thread, nothing cached.
//!
//! The layers are those of `examples/workloads/layers.toml`. `cargo run --release -p tilewright-bench --example mapper_times`
//! prints medians and the slowest of each kind, with what is proven.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use mapper::exact::{Objective, map};

#[path = "../tests/common/trees.rs"]
mod trees;

fn layers(criterion: &mut Criterion) {
    let workload = trees::workload("layers");
    for (tree, space, model) in trees::SPACES {
        let tree = trees::tree(tree);
        let mut group = criterion.benchmark_group(format!("exact/{}/{space}", tree.name));
        group
            .sample_size(10)
            .warm_up_time(Duration::from_millis(200))
            .measurement_time(Duration::from_secs(1));
        for einsum in &workload.einsums {
            group.bench_function(&einsum.name, |bencher| {
                bencher.iter(|| {
                    let mut stop = |nodes| nodes > trees::NODES;
                    black_box(
                        map(einsum, &tree, *model, Objective::EnergyDelay, &mut stop)
                            .expect("it fits"),
                    )
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, layers);
criterion_main!(benches);
