//! Mappings in text form that are no nests, and trees that have none.

use ir::mapping::Node;
use ir::tree::Component;

use crate::exact::{Model, Objective, evaluate, map};

const WORKLOAD: &str = "format = 1\nname = \"gemm\"\n[[einsum]]\nname = \"gemm\"\n\
    equation = \"O[m, n] += I[m, k] * W[k, n]\"\nranks = { m = 4, n = 4, k = 4 }\n";

fn keep(level: &str, tensors: &[&str]) -> Node {
    Node::Keep {
        level: level.to_owned(),
        tensors: tensors.iter().map(|t| (*t).to_owned()).collect(),
    }
}

fn space(rank: &str, size: u64) -> Node {
    Node::Spatial {
        rank: rank.to_owned(),
        size,
        fanout: Some("columns".to_owned()),
    }
}

fn time(rank: &str, size: u64, step: u64) -> Node {
    Node::For {
        rank: rank.to_owned(),
        size,
        step,
    }
}

#[track_caller]
fn check(nodes: Vec<Node>, expect: expect_test::Expect) {
    let workload = ir::workload::read("gemm", WORKLOAD).expect("a workload");
    let text = include_str!("../../../../examples/trees/gemmini_like.toml");
    let tree = ir::tree::read("gemmini_like", text).expect("a tree");
    let einsum = &workload.einsums[0];
    let found = map(
        einsum,
        &tree,
        Model::MACHINE,
        Objective::Energy,
        &mut |_| false,
    );
    let mut mapping = found.expect("it fits").best.expect("not stopped").mapping;
    mapping.nodes = [
        keep("dram", &["I", "W", "O"]),
        keep("scratchpad", &["I", "W"]),
        keep("accumulator", &["O"]),
    ]
    .into_iter()
    .chain(nodes)
    .collect();
    let error = evaluate(einsum, &tree, Model::MACHINE, &mapping).expect_err("no nest");
    expect.assert_eq(&error.to_string());
}

#[test]
fn no_nests() {
    check(
        vec![keep("weight_register", &["W"]), space("n", 4)],
        expect_test::expect![
            "einsum `gemm`, node `spatial n 4 on columns`: fan-out `columns` stands above what comes before it"
        ],
    );
    check(
        vec![space("n", 0)],
        expect_test::expect!["einsum `gemm`, node `spatial n 0 on columns`: there is no copy"],
    );
    check(
        vec![time("n", 4, 0)],
        expect_test::expect!["einsum `gemm`, node `for n in 0..4 by 0`: the tile at hand is 4"],
    );
}

/// A value of a tensor fits in a register of its size only while no other follows.
#[test]
fn a_double_buffer_takes_two_tiles() {
    let text = include_str!("../../../../examples/trees/gemmini_like.toml");
    let mut tree = ir::tree::read("gemmini_like", text).expect("a tree");
    let Some(Component::Memory(register)) = tree
        .components
        .iter_mut()
        .find(|c| c.name() == "weight_register")
    else {
        unreachable!("it is a memory")
    };
    (register.size_bits, register.double_buffered) = (Some(8), true);
    let workload = ir::workload::read("gemm", &WORKLOAD.replace('4', "400")).expect("a workload");
    let search = |model| {
        map(
            &workload.einsums[0],
            &tree,
            model,
            Objective::Energy,
            &mut |_| false,
        )
    };
    let error = search(Model::MACHINE).expect_err("two buffers do not fit");
    expect_test::expect!["no nest fits: `weight_register` must keep at least 16 bits in double buffers, and has 8 bits"].assert_eq(&error.to_string());
    assert!(search(Model::ACCELFORGE).is_ok(), "it has no buffers");
}

#[test]
fn a_tree_can_be_too_deep() {
    let text = include_str!("../../../../examples/trees/one_buffer.toml");
    let mut tree = ir::tree::read("one_buffer", text).expect("a tree");
    let buffer = tree.components[1].clone();
    for index in 0..8 {
        let Component::Memory(mut memory) = buffer.clone() else {
            unreachable!("it is a memory")
        };
        memory.name = format!("level{index}");
        tree.components.insert(2, Component::Memory(memory));
    }
    let workload = ir::workload::read("gemm", WORKLOAD).expect("a workload");
    let search = map(
        &workload.einsums[0],
        &tree,
        Model::MACHINE,
        Objective::Energy,
        &mut |_| false,
    );
    expect_test::expect![
        "einsum `gemm` has 30 tiles in the memories of the tree, and 25 can be searched"
    ]
    .assert_eq(&search.expect_err("it is too deep").to_string());
}
