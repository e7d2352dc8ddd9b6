//! What a cache gives back is what the search found, whatever stands in its files.

use ir::workload::Workload;

use crate::cache::Cache;
use crate::common::Remembers;
use crate::exact::{Hooks, Model, Objective, fuse, map_workload, pareto_workload};

use super::cases;
use super::random::{Random, einsum, tree};

fn searching(cache: &Remembers) -> Hooks<'_> {
    Hooks {
        cache,
        ..Hooks::default()
    }
}

/// A long search stops at once.
fn idle(cache: &Remembers) -> Hooks<'_> {
    Hooks {
        cache,
        stop: &|_| true,
    }
}

#[test]
fn what_is_remembered_is_what_was_found() {
    let mut n = 0;
    for seed in cases(200) {
        let mut random = Random::new(seed);
        let mut workload = Workload {
            name: "one".to_owned(),
            einsums: vec![einsum(&mut random, 8, 200)],
        };
        let tree = tree(&mut random, 3);
        let model = *random.pick(&[Model::MACHINE, Model::ACCELFORGE]);
        let objective = *random.pick(&[Objective::Energy, Objective::EnergyDelay]);
        let cache = Remembers::default();
        let best = map_workload(&workload, &tree, model, objective, &searching(&cache));
        let front = pareto_workload(&workload, &tree, model, &searching(&cache));
        if best[0].is_err() {
            assert!(cache.all().is_empty());
            continue;
        }
        n += 1;
        // Other names of tensors, and of the einsum, are no other problem.
        workload.einsums[0].name = "other".to_owned();
        for operand in &mut workload.einsums[0].operands {
            operand.tensor += "_";
        }
        let none = Remembers::default();
        let fresh = map_workload(&workload, &tree, model, objective, &searching(&none));
        let again = map_workload(&workload, &tree, model, objective, &searching(&cache));
        assert_eq!(fresh, again, "seed {seed}");
        assert_ne!(
            best, again,
            "seed {seed}: the mapping has the names of its einsum"
        );
        let again = pareto_workload(&workload, &tree, model, &searching(&cache));
        assert_eq!((cache.puts(), cache.hits()), (2, 2), "seed {seed}");
        let cost = |points: &crate::exact::Pareto| {
            let (points, certificate) = points.as_ref().expect("it fits");
            let costs: Vec<_> = points.iter().map(|p| p.cost.clone()).collect();
            (costs, certificate.clone())
        };
        assert_eq!(cost(&front[0]), cost(&again[0]), "seed {seed}");
    }
    println!("{n} problems remembered");
}

#[test]
fn what_no_search_would_write_is_not_used() {
    let workload = gemm(40, 24, 56);
    let tree = gemmini();
    let (model, objective) = (Model::MACHINE, Objective::Energy);
    let cache = Remembers::default();
    let best = map_workload(&workload, &tree, model, objective, &searching(&cache));
    let written = cache.all();
    let (key, text) = written.first_key_value().expect("one is remembered");
    let hostile = [
        String::new(),
        "{}".to_owned(),
        text.replace("\"operand\":0", "\"operand\":7"),
        text.replace("\"memory\":0", "\"memory\":1"),
        text.replace("\"memory\":1", "\"memory\":1000000"),
        text.replace("\"rank\":0", "\"rank\":31"),
        text.replace("\"fanout\":0", "\"fanout\":9"),
        text.replace("\"tile\":1", "\"tile\":0"),
        text.replace("\"tile\":1", "\"tile\":18446744073709551615"),
        text.replace("\"copies\":", "\"copies\":1"),
        text.replace("exhausted", "stopped"),
        "{\"nests\":[],".to_owned() + &text[text.find("\"certificate").expect("it has one")..],
    ];
    for text in hostile {
        assert_ne!(written[key], text, "it was changed");
        cache.put(key, &text);
        let again = map_workload(&workload, &tree, model, objective, &searching(&cache));
        assert_eq!(best, again, "{text}");
        assert_eq!(written, cache.all(), "the good one takes its place");
    }
}

#[test]
fn a_stopped_search_is_not_remembered() {
    let workload = gemm(2048, 2048, 4096);
    let tree = include_str!("../../../../examples/trees/eyeriss_like.toml");
    let tree = ir::tree::read("eyeriss_like", tree).expect("a tree");
    let (model, objective) = (Model::MACHINE, Objective::Energy);
    let cache = Remembers::default();
    let best = map_workload(&workload, &tree, model, objective, &idle(&cache));
    assert!(best[0].as_ref().is_ok_and(|found| found.best.is_none()));
    let fused = fuse(&workload, &tree, model, objective, &idle(&cache));
    assert_eq!(fused, Ok(None));
    assert!(cache.all().is_empty());
}

#[test]
fn fused_schedules_are_remembered() {
    let text = include_str!("../../../../examples/workloads/attention.toml");
    let mut workload = ir::workload::read("attention", text).expect("a workload");
    let tree = include_str!("../../../../examples/trees/one_buffer.toml");
    let tree = ir::tree::read("one_buffer", tree).expect("a tree");
    let (model, objective) = (Model::ACCELFORGE, Objective::Energy);
    let cache = Remembers::default();
    let fused = fuse(&workload, &tree, model, objective, &searching(&cache));
    let n = cache.puts();
    let again = fuse(&workload, &tree, model, objective, &searching(&cache));
    assert_eq!(fused, again);
    assert_eq!((cache.puts(), cache.hits()), (n, 1));
    // What is in the cache is of these einsums, or not used.
    let key = |(key, _): &(String, String)| key.starts_with("fused");
    let (key, text) = cache.all().into_iter().find(key).expect("it is remembered");
    for (from, to) in [
        ("\"einsum\":\"", "\"einsum\":\"x"),
        ("\"group_ends\":[", "\"group_ends\":[9,"),
        ("exhausted", "stopped"),
    ] {
        assert!(text.contains(from));
        cache.put(&key, &text.replacen(from, to, 1));
        let again = fuse(&workload, &tree, model, objective, &searching(&cache));
        assert_eq!(fused, again);
        assert_eq!(cache.all()[&key], text);
    }
    // How often an einsum occurs is part of the problem.
    workload.einsums[0].repeat = 2;
    let again = fuse(&workload, &tree, model, objective, &idle(&cache)).expect("it fits");
    assert!(
        again
            .is_none_or(|again| Some(again.energy_pj) != fused.ok().flatten().map(|f| f.energy_pj))
    );
}

fn gemm(m: u64, n: u64, k: u64) -> Workload {
    let text = format!(
        "format = 1\nname = \"gemm\"\n[[einsum]]\nname = \"gemm\"\n\
         equation = \"O[m, n] += I[m, k] * W[k, n]\"\nranks = {{ m = {m}, n = {n}, k = {k} }}\n"
    );
    ir::workload::read("gemm", &text).expect("a workload")
}

fn gemmini() -> ir::tree::Tree {
    let text = include_str!("../../../../examples/trees/gemmini_like.toml");
    ir::tree::read("gemmini_like", text).expect("a tree")
}
