//! What no nest can beat, whatever the search finds.

use ir::tree::{Component, Compute, Kind, Memory, Tree};
use ir::workload::{Einsum, Role, Workload};
use serde::Serialize;

use super::cost::Cost;
use super::problem::Problem;
use super::search::least_values;
use super::{Hooks, Model, Objective, Sought, StopReason, of_shapes, recall};

/// Bounds of an einsum on a tree.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Limits {
    /// Cycles that compute needs at full use.
    pub compute_cycles: u64,
    /// Bits that cross the outermost memory if every value does so once.
    pub compulsory_bits: u64,
    /// The roofline: the larger of compute and the compulsory traffic at the bandwidth of the outermost memory.
    pub roofline_cycles: f64,
}

/// The bounds that need no search.
pub fn limits(einsum: &Einsum, tree: &Tree, model: Model) -> Limits {
    let problem = Problem::new(einsum, tree, model);
    let lanes = problem
        .lanes
        .unwrap_or(problem.fanouts.iter().map(|f| f.size).product());
    let outermost = &problem.memories[0];
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count below 2^53"
    )]
    let values = |operand| least_values(&problem, operand) as u64;
    let bits = |read: bool| -> u64 {
        let operands = problem
            .operands
            .iter()
            .enumerate()
            .filter(|(_, o)| o.is_output != read);
        operands
            .map(|(i, _)| values(i) * outermost.bits[i].complete)
            .sum()
    };
    let (reads, writes) = (bits(true), bits(false));
    let cycles = |port: &super::problem::Port| {
        (if port.reads { reads } else { 0 } + if port.writes { writes } else { 0 }) as f64
            / port.bits_per_cycle
    };
    let compute_cycles = problem.n_operations().div_ceil(lanes);
    Limits {
        compute_cycles,
        compulsory_bits: reads + writes,
        roofline_cycles: outermost
            .ports
            .iter()
            .map(cycles)
            .fold(compute_cycles as f64, f64::max),
    }
}

/// For each einsum of `workload`, in its order, the least bits that cross the outermost memory if all memory below it were
/// one, shared by all tensors.
///
/// None if the search for it was stopped, or if that memory holds less than one value of each tensor.
///
/// # Source
/// Orojenesis (Huang et al., ISCA 2024): a bound for every dataflow at a given buffer size.
pub fn buffer_bounds(
    workload: &Workload,
    tree: &Tree,
    model: Model,
    hooks: &Hooks,
) -> Vec<Option<u64>> {
    let model = Model {
        phases: false,
        ordered: false,
        perfect: false,
        ..model
    };
    of_shapes(workload, |einsum| {
        let merged = merged(einsum, tree);
        let sought = Sought::Best(Objective::Energy);
        let (points, certificate) = recall::points(einsum, &merged, model, sought, hooks).ok()?;
        let is_proven = certificate.stop == StopReason::Exhausted;
        let best = points.first().filter(|_| is_proven)?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "bits at 1 pJ each"
        )]
        let bits = best.cost.energy_pj as u64;
        Some(bits)
    })
}

/// All memory below the outermost as one, which is free; the outermost charges 1 pJ a bit.
fn merged(einsum: &Einsum, tree: &Tree) -> Tree {
    let mut copies = 1;
    let mut size_bits = Some(0u64);
    for component in &tree.components[1..] {
        match component {
            Component::Fanout(fanout) => copies *= fanout.size,
            Component::Memory(memory) => {
                size_bits = size_bits
                    .zip(memory.size_bits)
                    .map(|(sum, size)| sum.saturating_add(size.saturating_mul(copies)));
            }
            Component::Compute(_) => {}
        }
    }
    let Component::Memory(outermost) = &tree.components[0] else {
        unreachable!("a tree starts with a memory")
    };
    let least_bits = |role: Role| {
        let here = tree
            .memories()
            .filter_map(|(_, m)| m.value_bits.get(&role).copied());
        let operands = einsum
            .operands
            .iter()
            .filter(|o| o.role == role)
            .map(|o| o.bits);
        here.chain(operands).min().map(|bits| (role, bits))
    };
    let buffer = Memory {
        name: "on chip".to_owned(),
        size_bits,
        keeps: Role::ALL.to_vec(),
        may_bypass: Vec::new(),
        value_bits: Role::ALL.into_iter().filter_map(least_bits).collect(),
        read_pj_per_bit: 0.0,
        write_pj_per_bit: 0.0,
        ports: Vec::new(),
        ..outermost.clone()
    };
    Tree {
        kind: Kind::Tree,
        components: vec![
            Component::Memory(Memory {
                read_pj_per_bit: 1.0,
                write_pj_per_bit: 1.0,
                ports: Vec::new(),
                ..outermost.clone()
            }),
            Component::Memory(buffer),
            Component::Compute(Compute {
                name: "compute".to_owned(),
                pj_per_operation: 0.0,
                vector: None,
            }),
        ],
        ..tree.clone()
    }
}

/// What binds a mapping.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Binds {
    /// All copies compute all the time, but for edges.
    Compute,
    /// The port of a memory.
    Port(String),
}

/// What binds a mapping of `tree` with this cost.
pub fn binds(tree: &Tree, cost: &Cost) -> Binds {
    match cost.busiest_port.and_then(|at| tree.memories().nth(at)) {
        Some((_, memory)) => Binds::Port(memory.name.clone()),
        None => Binds::Compute,
    }
}
