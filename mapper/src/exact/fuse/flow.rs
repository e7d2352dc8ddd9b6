//! Which einsum produces and consumes which tensor, and what can be joined.

use std::collections::BTreeSet;

use ir::tree::Tree;
use ir::workload::Workload;

/// A tensor that one einsum produces and later ones consume.
pub(crate) struct Flow {
    pub(crate) producer: usize,
    /// Einsum and operand, in order.
    pub(crate) consumers: Vec<(usize, usize)>,
    /// The memory in which it may be exchanged on chip, by position among the memories.
    pub(crate) memory: Option<usize>,
    pub(crate) n_values: u64,
    /// Bits of a complete value there.
    pub(crate) bits: u64,
}

impl Flow {
    pub(crate) fn last(&self) -> usize {
        self.consumers.last().expect("a flow has a consumer").0
    }
}

/// All tensors between einsums.
pub(crate) fn flows(workload: &Workload, tree: &Tree) -> Vec<Flow> {
    let einsums = &workload.einsums;
    let mut flows = Vec::new();
    for (producer, einsum) in einsums.iter().enumerate() {
        let output = einsum.output();
        let mut consumers = Vec::new();
        for (index, later) in einsums.iter().enumerate().skip(producer + 1) {
            let reads = later
                .operands
                .split_last()
                .expect("an einsum has an output")
                .1;
            let reads = reads
                .iter()
                .enumerate()
                .filter(|(_, o)| o.tensor == output.tensor);
            consumers.extend(reads.map(|(operand, _)| (index, operand)));
            if later.output().tensor == output.tensor {
                break;
            }
        }
        if consumers.is_empty() {
            continue;
        }
        let mut users = consumers
            .iter()
            .map(|(e, o)| (&einsums[*e], &einsums[*e].operands[*o]));
        let fanouts = tree
            .components
            .iter()
            .position(|c| matches!(c, ir::tree::Component::Fanout(_)));
        let fits = |(at, memory): (usize, &ir::tree::Memory)| {
            let above = fanouts.is_none_or(|fanout| at < fanout);
            let mut users = consumers.iter().map(|(e, o)| einsums[*e].operands[*o].role);
            above
                && memory.keeps.contains(&output.role)
                && users.all(|role| memory.keeps.contains(&role))
        };
        let once = einsum.repeat == 1 && users.all(|(e, _)| e.repeat == 1);
        let memory = tree.memories().skip(1).position(fits).map(|at| at + 1);
        let bits = memory.and_then(|m| {
            let (_, memory) = tree.memories().nth(m).expect("a position of a memory");
            memory.value_bits.get(&output.role).copied()
        });
        flows.push(Flow {
            producer,
            n_values: output.n_values(),
            bits: bits.unwrap_or(output.bits).into(),
            memory: memory.filter(|_| once),
            consumers,
        });
    }
    flows
}

/// Whether einsums `first..=last` may stand in one shared loop, as far as tensors go.
pub(crate) fn may_group(flows: &[Flow], workload: &Workload, first: usize, last: usize) -> bool {
    let inside = |e: usize| (first..=last).contains(&e);
    let once = workload.einsums[first..=last].iter().all(|e| e.repeat == 1);
    let mut connected = vec![false; last - first];
    for flow in flows.iter().filter(|f| inside(f.producer)) {
        if !flow.consumers.iter().any(|c| inside(c.0)) {
            continue;
        }
        if flow.memory.is_none() || !inside(flow.last()) {
            return false;
        }
        connected[flow.producer - first..flow.last() - first].fill(true);
    }
    once && connected.iter().all(|c| *c)
}

/// The choices of residents after einsums `first..=last`, from those before.
pub(crate) fn after(
    flows: &[Flow],
    residents: &BTreeSet<usize>,
    first: usize,
    last: usize,
) -> Vec<BTreeSet<usize>> {
    let stay: BTreeSet<usize> = residents
        .iter()
        .copied()
        .filter(|f| flows[*f].last() > last)
        .collect();
    let mut choices = vec![stay];
    for (index, flow) in flows.iter().enumerate() {
        let crosses = (first..=last).contains(&flow.producer) && flow.last() > last;
        if crosses && flow.memory.is_some() {
            for choice in choices.clone() {
                choices.push(choice.into_iter().chain([index]).collect());
            }
        }
    }
    choices
}
