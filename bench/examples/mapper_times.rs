//! Prints how long the exact mapper takes, as a table: CPU milliseconds of one thread, least of five runs, nothing cached.

use std::fmt::Write as _;

use ir::workload::{Einsum, Workload};
use mapper::exact::{Hooks, Model, Objective, StopReason, fuse, map};
use rustix::time::{ClockId, clock_gettime};

#[path = "../tests/common/trees.rs"]
mod trees;

const RUNS: usize = 5;
/// The longest that fusion of one workload may take, in CPU milliseconds.
const FUSION_MS: f64 = 60_000.0;

const OBJECTIVES: [Objective; 3] = [
    Objective::Energy,
    Objective::Latency,
    Objective::EnergyDelay,
];

/// CPU milliseconds of this thread.
fn cpu_ms() -> f64 {
    milliseconds(ClockId::ThreadCPUTime)
}

/// CPU milliseconds of all threads.
fn process_ms() -> f64 {
    milliseconds(ClockId::ProcessCPUTime)
}

fn milliseconds(clock: ClockId) -> f64 {
    let now = clock_gettime(clock);
    now.tv_sec as f64 * 1e3 + now.tv_nsec as f64 * 1e-6
}

/// Milliseconds of one search, its nodes, and whether it came to its end.
fn time(
    einsum: &Einsum,
    tree: &ir::tree::Tree,
    model: Model,
    objective: Objective,
) -> (f64, u64, bool) {
    let mut best = (f64::INFINITY, 0, false);
    for _ in 0..RUNS {
        let start = cpu_ms();
        let mut stop = |nodes| nodes > trees::NODES;
        let found = map(einsum, tree, model, objective, &mut stop).expect("it fits");
        let ms = cpu_ms() - start;
        let certificate = found.certificate;
        if ms < best.0 {
            best = (
                ms,
                certificate.nodes,
                certificate.stop == StopReason::Exhausted,
            );
        }
        if ms > 500.0 {
            break;
        }
    }
    best
}

/// A row of what fusion of `workload` gives.
fn fused(workload: &Workload, tree: &str, model: (Model, &str), objective: Objective) -> String {
    let start = process_ms();
    let hooks = Hooks {
        stop: &|_| process_ms() - start > FUSION_MS,
        ..Hooks::default()
    };
    let found = fuse(workload, &trees::tree(tree), model.0, objective, &hooks);
    let found = found.expect("it fits").expect("a nest of each einsum");
    let ms = process_ms() - start;
    let stopped = found.certificate.stop == StopReason::Stopped;
    format!(
        "| {} | {tree} | {} | {objective:?} | {ms:.0} | {:.2} | {:.2} | {:.0} | {:.0} | {} | {} |\n",
        workload.name,
        model.1,
        found.unfused.0 * 1e-6,
        found.energy_pj * 1e-6,
        found.unfused.1,
        found.cycles,
        found.outermost_bits,
        if stopped { "stopped" } else { "proven" }
    )
}

fn main() {
    let layers = trees::workload("layers");
    let mut text = String::from(
        "# Times of the exact mapper\n\nWritten by `cargo run --release -p tilewright-bench --example mapper_times`.\n\
         CPU milliseconds of one thread, least of five runs, nothing cached; a search stops after 2 million nodes.\n\
         `perfect` is AccelForge's space and model; `machine` has tiles of any size, memories in any order, double buffers and phases.\n",
    );
    let mut slides = layers.einsums.clone();
    slides.retain(|e| {
        e.ranks.iter().any(|r| {
            e.operands
                .iter()
                .any(|o| o.slides_over(&r.name) && r.size > 1)
        })
    });
    for (name, space, model) in trees::SPACES {
        let tree = trees::tree(name);
        let _ = write!(
            text,
            "\n## {name}, {space}\n\n| objective | layers | median, ms | slowest, ms | proven |\n|---|---|---|---|---|\n"
        );
        let mut rows: Vec<String> = layers
            .einsums
            .iter()
            .map(|e| format!("| {} |", e.name))
            .collect();
        for objective in OBJECTIVES {
            let mut of_kind = [Vec::new(), Vec::new()];
            for (einsum, row) in layers.einsums.iter().zip(&mut rows) {
                let (ms, nodes, proven) = time(einsum, &tree, *model, objective);
                of_kind[usize::from(slides.contains(einsum))].push((ms, proven));
                let proof = if proven { "" } else { ", stopped" };
                let _ = write!(row, " {ms:.3} | {nodes}{proof} |");
            }
            for (mut times, kind) in of_kind
                .into_iter()
                .zip(["GEMM and 1x1", "convolutions with halo"])
            {
                times.sort_by(|a, b| a.0.total_cmp(&b.0));
                let _ = writeln!(
                    text,
                    "| {objective:?} | {kind} | {:.3} | {:.3} | {} of {} |",
                    times[times.len() / 2].0,
                    times[times.len() - 1].0,
                    times.iter().filter(|t| t.1).count(),
                    times.len()
                );
            }
        }
        let columns: String = OBJECTIVES
            .iter()
            .map(|o| format!(" {o:?}, ms | nodes |"))
            .collect();
        let _ = write!(
            text,
            "\n| layer |{columns}\n|---|{}\n{}\n",
            "---|---|".repeat(OBJECTIVES.len()),
            rows.join("\n")
        );
    }
    for name in ["resnet50", "mobilenet_v2", "bert_base"] {
        let workload = trees::workload(name);
        let start = cpu_ms();
        let mut n_proven = 0;
        for einsum in &workload.einsums {
            let tree = trees::tree("gemmini_like");
            let mut stop = |nodes| nodes > trees::NODES;
            let found = map(
                einsum,
                &tree,
                Model::MACHINE,
                Objective::EnergyDelay,
                &mut stop,
            )
            .expect("it fits");
            n_proven += usize::from(found.certificate.stop == StopReason::Exhausted);
        }
        let _ = writeln!(
            text,
            "{}{name} on gemmini_like, machine: {} einsums, {n_proven} proven, {:.1} ms in all",
            if name == "resnet50" {
                "\n## Whole networks\n\n"
            } else {
                "\n"
            },
            workload.einsums.len(),
            cpu_ms() - start
        );
    }
    let _ = writeln!(
        text,
        "\n## Fused\n\nShared loops and residency; all CPU time of one search.\n\n\
         | workload | tree | model | objective | ms | alone, uJ | fused, uJ | alone, cycles | fused, cycles | outermost bits | |\n\
         |---|---|---|---|---|---|---|---|---|---|---|"
    );
    let attention = ["attention", "attention_online"].map(trees::workload);
    let networks = ["resnet8", "mobilenet_v1_025", "mobilenet_v2", "resnet50"];
    let of_zoo = |name| Workload::of(&onnx::zoo::shapes(name, 0).expect("of the zoo"));
    let networks = networks.map(of_zoo).into_iter();
    let networks = networks.chain([trees::workload("bert_base_chain")]);
    let models = [
        (Model::ACCELFORGE, "accelforge"),
        (Model::MACHINE, "machine"),
    ];
    for workload in &attention {
        for model in models {
            for objective in OBJECTIVES {
                text += &fused(workload, "one_buffer", model, objective);
            }
        }
    }
    for workload in networks {
        for tree in ["gemmini_like", "tpu_like", "edge"] {
            for objective in OBJECTIVES {
                text += &fused(&workload, tree, models[1], objective);
            }
        }
    }
    std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes())
        .expect("standard output is open");
}
