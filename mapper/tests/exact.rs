//! The exact mapper against what is known of published architectures.

#![allow(clippy::print_stdout, reason = "the figures are for people")]

use std::path::Path;

use ir::tree::{Component, Memory, Tree};
use ir::workload::Workload;
use mapper::exact::{Model, Objective, StopReason, map};

fn tree(name: &str) -> Tree {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../examples/trees")
        .join(name)
        .with_extension("toml");
    let text = std::fs::read_to_string(&path).expect("the tree is there");
    ir::tree::read(name, &text).unwrap_or_else(|e| panic!("{e:?}"))
}

fn gemm(m: u64, n: u64, k: u64) -> Workload {
    let text = format!(
        "format = 1\nname = \"gemm\"\n[[einsum]]\nname = \"gemm\"\nequation = \"O[m, n] += I[m, k] * W[k, n]\"\nranks = {{ m = {m}, n = {n}, k = {k} }}\n"
    );
    ir::workload::read("gemm", &text).unwrap_or_else(|e| panic!("{e:?}"))
}

/// The optima that a prototype and AccelForge found (research of the project): energy in pJ, cycles, EDP in J s at 1 GHz.
#[test]
fn gemms_on_gemmini() {
    let tree = tree("gemmini_like");
    for (m, n, k, edp) in [
        (512, 3072, 768, 5.447679e-6),
        (49, 2048, 512, 2.589996e-8),
        (64, 96, 60, 3.159301e-12),
    ] {
        let workload = gemm(m, n, k);
        let found = map(
            &workload.einsums[0],
            &tree,
            Model::ACCELFORGE,
            Objective::EnergyDelay,
            &mut |nodes| nodes > 20_000_000,
        )
        .expect("it fits");
        let best = found.best.expect("not stopped");
        println!("{}\n{:?}\n{:?}", best.mapping, best.cost, found.certificate);
        let ours = best.cost.energy_delay() * 1e-12 * 1e-9;
        assert!(
            (ours / edp - 1.0).abs() < 1e-6,
            "{m}x{n}x{k}: {ours:e}, not {edp:e}"
        );
    }
}

/// What is listed before the search is stopped like the search.
#[test]
fn listing_is_stopped() {
    let mut tree = tree("one_buffer");
    let Component::Memory(buffer) = tree.components[1].clone() else {
        panic!("it is a memory")
    };
    let small = |i: usize| {
        Component::Memory(Memory {
            name: format!("b{i}"),
            may_bypass: buffer.keeps.clone(),
            ..buffer.clone()
        })
    };
    tree.components.splice(2..2, (0..5).map(small));
    let workload = gemm(4, 4, 4);
    for most in [1, 10, 100] {
        let mut asked = 0;
        let mut stop = |nodes| {
            assert_eq!(nodes, 0, "the search has begun");
            asked += 1;
            asked >= most
        };
        let einsum = &workload.einsums[0];
        let found = map(einsum, &tree, Model::MACHINE, Objective::Energy, &mut stop);
        let found = found.expect("it fits");
        assert_eq!(found.best, None);
        assert_eq!(found.certificate.stop, StopReason::Stopped);
        assert_eq!(asked, most, "it went on");
    }
}
